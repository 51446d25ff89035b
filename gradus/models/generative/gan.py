"""Dense games: generative adversarial nets (Goodfellow et al. 2014), and those that are told classes (Mirza and Osindero 2014).

Sizes are those of the authors' settings for MNIST. Dropout of a half in both players, and of a fifth of the discriminator's
pixels, is theirs too (in the first paper only the discriminator's).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from gradus.errors import UserError
from gradus.models.generative.game import Game, one_hot
from gradus.nn import Maxout

PIXELS_LEFT_OUT = 0.2


class GAN(Game):
    """Latents - 1200 - 1200 - pixels with ReLU and sigmoid; pixels - 240 - 240 - 1 with maxout of 5 pieces, dropout between.

    hidden: widths of the generator; units: of the discriminator
    """

    pixels: Literal["unit"] = "unit"

    def __init__(
        self,
        in_channels: int = 1,
        image_size: int = 28,
        num_classes: int | None = None,
        latent_size: int = 100,
        hidden: Sequence[int] = (1200, 1200),
        units: Sequence[int] = (240, 240),
        pieces: int = 5,
        dropout: float = 0.5,
        rules: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(latent_size, num_classes, rules)
        if num_classes:
            raise UserError("gan is told no classes (task.options.conditional); cgan and dcgan can be")
        shape = (in_channels, image_size, image_size)
        size = in_channels * image_size**2
        layers: list[nn.Module] = []
        for before, after in zip([latent_size, *hidden], hidden, strict=False):
            layers += [nn.Linear(before, after), nn.ReLU()]
        last = hidden[-1] if hidden else latent_size
        self.generator = nn.Sequential(*layers, nn.Linear(last, size), nn.Sigmoid(), nn.Unflatten(1, shape))
        layers = [nn.Flatten(), nn.Dropout(PIXELS_LEFT_OUT if dropout else 0.0)]
        for before, after in zip([size, *units], units, strict=False):
            layers += [Maxout(before, after, pieces), nn.Dropout(dropout)]
        self.discriminator = nn.Sequential(*layers, nn.Linear(units[-1] if units else size, 1))

    def judge(self, pictures: Tensor, classes: Tensor | None = None) -> Tensor:
        return self.discriminator(pictures)[:, 0]

    def generate(
        self, latents: Tensor, classes: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        return self.generator(latents)


class CGAN(Game):
    """Mirza and Osindero 2014, §4.1. z - 200 and y - 1000, ReLU, joined before 1200 more, ReLU, sigmoid pixels.

    The discriminator has maxout: x - 240 units of 5 pieces, y - 50 of 5, joined to 240 of 4, then one logit.
    """

    pixels: Literal["unit"] = "unit"

    def __init__(
        self,
        in_channels: int = 1,
        image_size: int = 28,
        num_classes: int = 10,
        latent_size: int = 100,
        dropout: float = 0.5,
        rules: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(latent_size, num_classes, rules)
        shape = (in_channels, image_size, image_size)
        size = in_channels * image_size**2
        self.generator = _Joined(
            nn.Sequential(nn.Linear(latent_size, 200), nn.ReLU()),
            nn.Sequential(nn.Linear(num_classes, 1000), nn.ReLU()),
            nn.Sequential(
                nn.Dropout(dropout),
                nn.Linear(1200, 1200),
                nn.ReLU(),
                nn.Dropout(dropout),
                nn.Linear(1200, size),
                nn.Sigmoid(),
                nn.Unflatten(1, shape),
            ),
        )
        self.discriminator = _Joined(
            nn.Sequential(nn.Flatten(), nn.Dropout(PIXELS_LEFT_OUT if dropout else 0.0), Maxout(size, 240, 5)),
            Maxout(num_classes, 50, 5),
            nn.Sequential(nn.Dropout(dropout), Maxout(290, 240, 4), nn.Dropout(dropout), nn.Linear(240, 1)),
        )

    def judge(self, pictures: Tensor, classes: Tensor | None = None) -> Tensor:
        assert self.num_classes
        return self.discriminator(pictures, one_hot(classes, self.num_classes, pictures))[:, 0]

    def generate(
        self, latents: Tensor, classes: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        assert self.num_classes
        return self.generator(latents, one_hot(classes, self.num_classes, latents))


class _Joined(nn.Module):
    """Two inputs through a branch each, side by side into what follows."""

    def __init__(self, first: nn.Module, second: nn.Module, after: nn.Module) -> None:
        super().__init__()
        self.first, self.second, self.after = first, second, after

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        return self.after(torch.cat([self.first(one), self.second(other)], dim=1))
