"""Subjects small enough that their looks are known beforehand."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from gradus.look.inside.subject import Rows, Subject


def prepare(pictures: Tensor) -> Tensor:
    return pictures.permute(0, 3, 1, 2).to(torch.float32) / 255


def tiny_subject(model: nn.Module, *, size: int = 8, channels: int = 1, rows: Rows | None = None, **more) -> Subject:
    return Subject(
        name="tiny",
        model=model.eval(),
        prepare=prepare,
        invert=lambda inputs: inputs,
        size=size,
        channels=channels,
        rows=None if rows is None else lambda split: rows,
        **more,
    )


def tiny_rows(pixels: np.ndarray, labels: list[int], classes: tuple[str, ...] = ()) -> Rows:
    names = [f"row {index + 1}" for index in range(len(labels))]
    return Rows(torch.from_numpy(pixels), torch.tensor(labels), names, classes)


def bright_or_dark(count: int = 40, size: int = 8) -> Rows:
    """Pictures of class 0, dark, and of class 1, bright, with a little noise."""
    labels = [index % 2 for index in range(count)]
    noise = np.random.default_rng(0).integers(0, 40, (count, size, size, 1))
    pixels = noise + 200 * np.array(labels)[:, None, None, None]
    return tiny_rows(pixels.astype(np.uint8), labels)


class Brightness(nn.Module):
    """Two classes: answers 1 where the mean is above a half."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Conv2d(1, 2, 1)
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(2, 2)
        with torch.no_grad():
            self.features.weight.copy_(torch.tensor([1.0, -1.0]).view(2, 1, 1, 1))
            self.features.bias.zero_()
            self.head.weight.copy_(torch.tensor([[-9.0, 0.0], [9.0, 0.0]]))
            self.head.bias.copy_(torch.tensor([4.5, -4.5]))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(self.pool(self.features(inputs)))
