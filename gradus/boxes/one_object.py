"""One object a picture as a vector of numbers, as the course notes have it (§4.3.1), and how such vectors are compared.

    vector (B, 5 + C): presence, centre x, centre y, height, width, one number a class

Places are shares of the picture, from its upper left corner. The notes write "b_h, h_w" and change the order of height and width
from line to line; here height always stands first. Where there is no object all is 0, and only the presence means anything.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from gradus.boxes.geometry import giou

Loss = Literal["mixed", "squared"]


def to_vectors(objects: Tensor, size: tuple[int, int], classes: int) -> Tensor:
    """Objects (B, 6) in pixels of pictures of `size` (height, width), class -1 where there is none -> vectors (B, 5 + C)."""
    left, top, right, bottom, label = objects[:, :5].unbind(1)
    height, width = size
    present = label >= 0
    places = [(left + right) / 2 / width, (top + bottom) / 2 / height, (bottom - top) / height, (right - left) / width]
    kinds = functional.one_hot(label.long().clamp(min=0), classes).to(objects)
    vectors = torch.cat([torch.stack([torch.ones_like(left), *places], dim=1), kinds], dim=1)
    return torch.where(present[:, None], vectors, 0)


def boxes_of_vectors(vectors: Tensor, size: tuple[int, int]) -> Tensor:
    """The boxes (B, 4) of vectors: left, top, right, bottom in pixels."""
    x, y, height, width = vectors[:, 1:5].unbind(1)
    tall, wide = size
    sides = [(x - width / 2) * wide, (y - height / 2) * tall, (x + width / 2) * wide, (y + height / 2) * tall]
    return torch.stack(sides, dim=1)


def read_outputs(outputs: Tensor, loss: Loss) -> Tensor:
    """What a network gives (B, 5 + C) -> vectors. `squared`: they are the vector. `mixed`: presence and places through a sigmoid,
    classes through a softmax."""
    if loss == "squared":
        return outputs
    return torch.cat([outputs[:, :5].sigmoid(), outputs[:, 5:].softmax(dim=1)], dim=1)


def squared_loss(outputs: Tensor, vectors: Tensor) -> Tensor:
    """The notes' loss: the squared differences of all 5 + C numbers where there is an object, of the presence alone where there
    is none; the mean over the pictures."""
    squares = (outputs - vectors) ** 2
    present = vectors[:, 0] > 0
    return torch.where(present, squares.sum(dim=1), squares[:, 0]).mean()


def mixed_loss(outputs: Tensor, vectors: Tensor) -> Tensor:
    """Each part by what suits it: logistic loss of the presence, over all pictures; over those with an object the cross-entropy
    of the class, 1 - generalised IoU of the box, and ten times the squared differences of its four numbers, which tell how to go
    on where boxes do not meet."""
    present = vectors[:, 0]
    number = present.sum().clamp(min=1)
    found = read_outputs(outputs, "mixed")
    presence = functional.binary_cross_entropy_with_logits(outputs[:, 0], present)
    shape = 1 - giou(boxes_of_vectors(found, (1, 1)), boxes_of_vectors(vectors, (1, 1)))
    shape = shape + 10 * ((found[:, 1:5] - vectors[:, 1:5]) ** 2).sum(dim=1)
    kinds = -(vectors[:, 5:] * outputs[:, 5:].log_softmax(dim=1)).sum(dim=1)
    return presence + ((shape + kinds) * present).sum() / number
