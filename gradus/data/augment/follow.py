"""What lies on a picture follows it: points and boxes. Masks: `geometry.warp_masks`."""

from __future__ import annotations

import torch
from torch import Tensor

from gradus.data.augment.geometry import Warp

LEAST_SEEN = 0.25  # of a thing: of less it can hardly be said what it is


def move_points(points: Tensor, warp: Warp) -> tuple[Tensor, Tensor]:
    """Points float (B, N, 2) as x, y in pixels from the upper left corner -> their places on the new pictures (B, N, 2), and
    whether they lie on them: bool (B, N). The middle of the pixel in column i has x = i + 0.5.

    Where a picture is flipped, a left eye is seen on the right: which point is which does not change.
    """
    x, y = points[..., 0] - warp.source[1] / 2, points[..., 1] - warp.source[0] / 2
    rows = [[value[:, None] for value in row.unbind(1)] for row in warp.inverse().to(points.dtype).unbind(1)]
    moved_x, moved_y = (a * x + b * y + t + side / 2 for (a, b, t), side in zip(rows, warp.size[::-1], strict=True))
    inside = (moved_x >= 0) & (moved_x < warp.size[1]) & (moved_y >= 0) & (moved_y < warp.size[0])
    return torch.stack([moved_x, moved_y], dim=2), inside


def move_boxes(boxes: Tensor, warp: Warp) -> tuple[Tensor, Tensor]:
    """Boxes float (B, N, 4) as left, top, right, bottom in pixels -> the boxes around their moved corners, cut off at the edges
    of the new pictures, and the share of each that is still seen, (B, N), 0 of one without any area.

    The box around a turned box is larger than one around the thing itself: by up to twice the area at 45 degrees.
    """
    left, top, right, bottom = boxes.unbind(2)
    corners = torch.stack([left, top, right, top, right, bottom, left, bottom], dim=2).view(len(boxes), -1, 2)
    moved = move_points(corners, warp)[0].view(*boxes.shape[:2], 4, 2)
    left, top, right, bottom = (*moved.amin(dim=2).unbind(2), *moved.amax(dim=2).unbind(2))
    area = (right - left) * (bottom - top)
    height, width = warp.size
    left, right, top, bottom = (
        *(x.clamp(0, width) for x in (left, right)),
        *(y.clamp(0, height) for y in (top, bottom)),
    )
    seen = (right - left) * (bottom - top)
    return torch.stack([left, top, right, bottom], dim=2), torch.where(seen > 0, seen / area, 0)
