"""A Laplacian pyramid of games (Denton, Chintala, Szlam and Fergus 2015): a small picture first, then ever finer differences.

    down(I): half as large, each pixel the mean of four        up(I): twice as large, bilinear
    h_k = I_k - up(I_k+1),  I_k+1 = down(I_k)      so I_k = up(I_k+1) + h_k exactly, whatever `down` and `up` are

At each level but the smallest a generator sees up(I_k+1) and noise, and makes h_k; a discriminator sees up(I_k+1) with the true
or the made difference on it. At the smallest level a game of dense layers makes the picture itself. Each level is a game by
itself, in which the coarse picture is a real one, so all learn at the same time; only `generate` goes through all of them.

Different from the paper: sides are halved as often as there are levels (28, 14, 7); noise is normal or uniform by `rules`; where
classes are told, each has a plane of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from gradus.errors import UserError
from gradus.models.generative.game import Game, Pictures, one_hot, small_weights
from gradus.models.generative.outcome import Outcome, as_pair


def down(pictures: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, C, H / 2, W / 2)."""
    return functional.avg_pool2d(pictures, 2)


def up(pictures: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, C, 2 H, 2 W)."""
    return functional.interpolate(pictures, scale_factor=2, mode="bilinear", align_corners=False)


def pyramid(pictures: Tensor, levels: int) -> list[Tensor]:
    """The differences from the finest to the coarsest, and last the smallest picture: `levels` tensors."""
    found = []
    for _ in range(levels - 1):
        smaller = down(pictures)
        found.append(pictures - up(smaller))
        pictures = smaller
    return [*found, pictures]


def from_pyramid(parts: list[Tensor]) -> Tensor:
    """The picture of a pyramid."""
    *differences, picture = parts
    for difference in reversed(differences):
        picture = up(picture) + difference
    return picture


class LAPGAN(Game):
    """levels: sizes of the pyramid, 2 or more; the side must be that often even. width: maps of the convolutions.

    A latent is the noise of all levels in one row: `latent_size` numbers of the smallest, then a plane for each finer one.
    """

    def __init__(
        self,
        in_channels: int = 1,
        image_size: int = 28,
        num_classes: int | None = None,
        latent_size: int = 100,
        levels: int = 3,
        width: int = 32,
        hidden: int = 256,
        rules: Mapping[str, Any] | None = None,
    ) -> None:
        if levels < 2 or image_size % 2 ** (levels - 1) or image_size >> (levels - 1) < 4:
            raise UserError(
                f"lapgan: {levels} levels of a picture of {image_size} pixels: expected 2 or more, the side even at each "
                "but the last, which has 4 pixels or more"
            )
        self.sides = [image_size >> level for level in range(levels)]  # the finest first
        self.smallest, self.planes = latent_size, [side**2 for side in self.sides[:-1]]
        super().__init__(latent_size + sum(self.planes), num_classes, rules)
        smallest, told = in_channels * self.sides[-1] ** 2, num_classes or 0
        fine = range(levels - 1)
        self.generator = nn.ModuleList(convolutions(in_channels + 1 + told, width, in_channels) for _ in fine)
        self.generator.append(
            nn.Sequential(
                nn.Linear(latent_size + told, hidden),
                nn.ReLU(),
                nn.Linear(hidden, hidden),
                nn.ReLU(),
                nn.Linear(hidden, smallest),
                nn.Tanh(),
                nn.Unflatten(1, (in_channels, self.sides[-1], self.sides[-1])),
            )
        )
        self.discriminator = nn.ModuleList(judge_of(2 * in_channels + told, side, width) for side in self.sides[:-1])
        self.discriminator.append(
            nn.Sequential(
                nn.Linear(smallest + told, hidden),
                nn.LeakyReLU(0.2),
                nn.Dropout(0.3),
                nn.Linear(hidden, hidden),
                nn.LeakyReLU(0.2),
                nn.Dropout(0.3),
                nn.Linear(hidden, 1),
            )
        )
        small_weights(self)
        for level in (self.generator[-1], self.discriminator[-1]):  # layers without norms would begin with nothing
            for part in level.modules():
                if isinstance(part, nn.Linear):
                    nn.init.xavier_uniform_(part.weight)

    def noise_of(self, latents: Tensor) -> list[Tensor]:
        """The noise of each level, the finest first: planes (B, 1, H, W), and the last (B, latent_size)."""
        smallest, *planes = latents.split([self.smallest, *self.planes], dim=1)
        sides = self.sides[:-1]
        return [*(plane.view(-1, 1, side, side) for plane, side in zip(planes, sides, strict=True)), smallest]

    def at_level(self, level: int, noise: Tensor, coarse: Tensor | None, classes: Tensor | None) -> Tensor:
        """What the generator of a level makes: a difference, or at the last one the smallest picture."""
        if coarse is None:
            return self.generator[level](self.told(noise, classes))  # type: ignore[index]
        return self.generator[level](self.with_classes(torch.cat([coarse, noise], dim=1), classes))  # type: ignore[index]

    def judge_level(self, level: int, found: Tensor, coarse: Tensor | None, classes: Tensor | None) -> Tensor:
        """(B,) logits of a difference being real, or of the smallest picture."""
        discriminator = self.discriminator[level]  # type: ignore[index]
        if coarse is None:
            return discriminator(self.told(self.seen(found).flatten(1), classes))[:, 0]
        shown = torch.cat([self.seen(coarse + found), coarse], dim=1)
        return discriminator(self.with_classes(shown, classes))[:, 0]

    def with_classes(self, maps: Tensor, classes: Tensor | None) -> Tensor:
        if not self.num_classes:
            return maps
        planes = one_hot(classes, self.num_classes, maps)[:, :, None, None]
        return torch.cat([maps, planes.expand(-1, -1, *maps.shape[2:])], dim=1)

    def play(self, player: str, inputs: Pictures) -> Outcome:
        """The losses of all levels added up: no weight stands in two of them."""
        pictures, classes = as_pair(inputs)
        parts = pyramid(pictures, len(self.sides))
        noises = self.noise_of(self.latents_like(pictures))
        total, told = torch.zeros(len(pictures), device=pictures.device), dict[str, Tensor]()
        for level, (side, found, noise) in enumerate(zip(self.sides, parts, noises, strict=True)):
            coarse = None if level == len(self.sides) - 1 else pictures - found
            with torch.set_grad_enabled(player == "generator" and torch.is_grad_enabled()):
                made = self.at_level(level, noise, coarse, classes)
            fake = self.judge_level(level, made, coarse, classes)
            if player == "generator":
                outcome = self.generator_outcome(fake)
            else:
                outcome = self.discriminator_outcome(self.judge_level(level, found, coarse, classes), fake)
            total = total + outcome.loss
            told |= {f"{name}_{side}": value for name, value in outcome.parts.items() if not name.endswith("_loss")}
            pictures = down(pictures)
        return Outcome(total, {f"{player}_loss": total, **told})

    def judge(self, pictures: Tensor, classes: Tensor | None = None) -> Tensor:
        """The mean of the levels' logits."""
        parts, judged = pyramid(pictures, len(self.sides)), []
        for level, found in enumerate(parts):
            coarse = None if level == len(parts) - 1 else pictures - found
            judged.append(self.judge_level(level, found, coarse, classes))
            pictures = down(pictures) if coarse is not None else pictures
        return torch.stack(judged).mean(dim=0)

    def generate(
        self, latents: Tensor, classes: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        *planes, smallest = self.noise_of(latents)
        picture = self.at_level(len(planes), smallest, None, classes)
        for level in reversed(range(len(planes))):
            coarse = up(picture)
            picture = coarse + self.at_level(level, planes[level], coarse, classes)
        return picture


def convolutions(inputs: int, width: int, outputs: int) -> nn.Sequential:
    """(B, inputs, H, W) -> (B, outputs, H, W), without a bound: a difference may be up to 2 either way."""
    return nn.Sequential(
        nn.Conv2d(inputs, width, 5, padding=2, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.Conv2d(width, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.Conv2d(width, outputs, 3, padding=1),
    )


def judge_of(inputs: int, side: int, width: int) -> nn.Sequential:
    """(B, inputs, side, side) -> (B, 1), by strided convolutions and no norms, which the paper reports to have harmed."""
    return nn.Sequential(
        nn.Conv2d(inputs, width, 5, stride=2, padding=2),
        nn.LeakyReLU(0.2),
        nn.Dropout2d(0.2),
        nn.Conv2d(width, 2 * width, 5, stride=2, padding=2),
        nn.LeakyReLU(0.2),
        nn.Dropout2d(0.2),
        nn.Flatten(),
        nn.Linear(2 * width * (-(-side // 4)) ** 2, 1),
    )
