"""What the tests of detectors share: small pictures with coloured rectangles on them, and the whole way from rows to a score."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from gradus.boxes.average_precision import detection_metrics
from gradus.boxes.targets import unstack_detections, unstack_objects
from gradus.models.detection.predictions import Predictions

SIDE = 48
COLOURS = ((255, 60, 60), (60, 255, 60))


def scenes(count: int, seed: int = 0) -> tuple[np.ndarray, Tensor]:
    """uint8 (count, 48, 48, 3) and their objects (count, 2, 6): a red thing on the left, a green one on the right."""
    random = np.random.default_rng(seed)
    pictures = random.integers(0, 60, (count, SIDE, SIDE, 3)).astype(np.uint8)
    objects = torch.zeros(count, 2, 6)
    for row in range(count):
        for label, colour in enumerate(COLOURS):
            width, height = random.integers(12, 22, 2)
            left = int(random.integers(0, SIDE // 2 - width + 1)) + label * SIDE // 2
            top = int(random.integers(0, SIDE - height + 1))
            pictures[row, top : top + height, left : left + width] = colour
            objects[row, label] = torch.tensor([left, top, left + width, top + height, label, 0])
    return pictures, objects


def inputs_of(pictures: np.ndarray) -> Tensor:
    return (torch.from_numpy(pictures).permute(0, 3, 1, 2).float() - 60) / 60


def proposals_near(objects: Tensor, near: int = 6, far: int = 12) -> Tensor:
    """Boxes (B, P, 4): some close to each object, some anywhere."""
    generator = torch.Generator().manual_seed(0)
    rows = len(objects)
    close = objects[:, :, None, :4] + 2 * torch.randn(rows, objects.shape[1], near, 4, generator=generator)
    corner = torch.rand(rows, far, 2, generator=generator) * (SIDE - 16)
    other = torch.cat([corner, corner + 6 + 10 * torch.rand(rows, far, 2, generator=generator)], dim=2)
    return torch.cat([close.flatten(1, 2), other], dim=1).clamp(0, SIDE)


def nothing(rows: int) -> Tensor:
    """Objects of pictures that have none."""
    empty = torch.zeros(rows, 1, 6)
    empty[..., 4] = -1
    return empty


def descend(model: nn.Module, inputs: object, objects: Tensor, steps: int, learning_rate: float = 2e-3) -> None:
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=learning_rate)
    model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        model(inputs).loss(objects).backward()
        nn.utils.clip_grad_norm_(learning, 5.0)
        optimizer.step()


@torch.no_grad()
def average_precision(model: nn.Module, inputs: object, objects: Tensor) -> float:
    outputs = model.eval()(inputs)
    assert isinstance(outputs, Predictions)
    return detection_metrics(unstack_detections(outputs.detections()), unstack_objects(objects), ("red", "green"))[
        "map50"
    ]
