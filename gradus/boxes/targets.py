"""Objects of many pictures in one tensor, so that they live on the device and are indexed by rows as everything else.

    objects float32 (B, M, 6): left, top, right, bottom, class, ignored (1) or counted (0)

M is the most that a picture has; rows of class -1 are empty. Detections have the score in place of `ignored`:

    detections float32 (B, K, 6): left, top, right, bottom, class, score; by falling score, class -1 where there are fewer
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from gradus.data.columns import Objects


def stack_objects(rows: Sequence[Objects]) -> Tensor:
    """float32 (B, M, 6). Boxes without area are left out: nothing can be learnt from them nor counted. `data/objects.py` tells
    how many there are."""
    kept = [one.take((one.boxes[:, 2] > one.boxes[:, 0]) & (one.boxes[:, 3] > one.boxes[:, 1])) for one in rows]
    stacked = torch.zeros(len(kept), max([1, *map(len, kept)]), 6)
    stacked[..., 4] = -1
    for row, one in zip(stacked, kept, strict=True):
        row[: len(one), :4] = torch.from_numpy(one.boxes)
        row[: len(one), 4] = torch.from_numpy(one.labels)
        row[: len(one), 5] = torch.from_numpy(one.ignored)
    return stacked


def boxes_of(objects: Tensor) -> Tensor:
    """(B, M, 4)."""
    return objects[..., :4]


def labels_of(objects: Tensor) -> Tensor:
    """int64 (B, M), -1 where the row is empty."""
    return objects[..., 4].long()


def is_present(objects: Tensor) -> Tensor:
    """bool (B, M): rows that are not empty."""
    return objects[..., 4] >= 0


def is_learnt(objects: Tensor) -> Tensor:
    """bool (B, M): rows that are there and not ignored."""
    return is_present(objects) & (objects[..., 5] == 0)


def unstack_objects(objects: Tensor) -> list[Objects]:
    """The inverse of `stack_objects`."""
    found = []
    for row in objects.cpu():
        row = row[row[:, 4] >= 0]
        found.append(Objects.of(row[:, :4].numpy(), row[:, 4].numpy(), row[:, 5].numpy() > 0))
    return found


def unstack_detections(detections: Tensor) -> list[Objects]:
    """Detections (B, K, 6) as objects with scores."""
    found = []
    for row in detections.cpu():
        row = row[row[:, 4] >= 0]
        found.append(Objects.of(row[:, :4].numpy(), row[:, 4].numpy(), np.zeros(len(row)), row[:, 5].numpy()))
    return found
