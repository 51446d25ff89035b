"""A small network and pictures for the tests of looks that change pixels."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from gradus.look.inside.subject import Picture, Subject


class Tiny(nn.Module):
    """Built like VGG: two blocks and a head."""

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *(
                nn.Conv2d(channels, 6, 3, padding=1),
                nn.ReLU(),
                nn.Conv2d(6, 6, 3, padding=1),
                nn.ReLU(),
                nn.MaxPool2d(2),
            ),
            *(nn.Conv2d(6, 8, 3, padding=1), nn.ReLU()),
        )
        self.head = nn.Linear(8, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(self.features(inputs).mean((2, 3)))


def subject(
    model: nn.Module | None = None, dtype: torch.dtype = torch.float32, channels: int = 3, seed: int = 0
) -> Subject:
    torch.manual_seed(seed)
    model = (Tiny(channels) if model is None else model).to(dtype).eval()
    return Subject(
        name="tiny",
        model=model,
        prepare=lambda pixels: (pixels.permute(0, 3, 1, 2).to(dtype) / 255 - 0.5) / 0.25,
        invert=lambda inputs: inputs * 0.25 + 0.5,
        size=16,
        channels=channels,
        classes=("one", "two", "three"),
    )


def picture(seed: int, height: int = 16, width: int = 20, channels: int = 3, name: str | None = None) -> Picture:
    """Smooth coloured blobs."""
    generator = np.random.default_rng(seed)
    down, right = np.mgrid[:height, :width]
    waves = [
        np.sin(down * generator.uniform(0.1, 0.9) + right * generator.uniform(0.1, 0.9) + generator.uniform(0, 6))
        for _ in range(channels)
    ]
    pixels = 127.5 + 100 * np.stack(waves, -1)
    return Picture(name or f"picture-{seed}", pixels.astype(np.uint8))


def tensor(seed: int, dtype: torch.dtype = torch.float64, **size: int) -> Tensor:
    """The same as (1, C, H, W) of 0..1."""
    return torch.from_numpy(picture(seed, **size).pixels.copy()).permute(2, 0, 1)[None].to(dtype) / 255
