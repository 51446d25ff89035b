"""Generative adversarial networks (Goodfellow 2014) of convolutions, as DCGAN has them (Radford 2015)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from gradus.errors import UserError
from gradus.models.generative.outcome import Outcome, as_pair, standard_normal


class DCGAN(nn.Module):
    """A generator, latents -> pictures, and a discriminator, pictures -> the logit of being real; for sides 4 * 2^k or 28.

    The generator's loss is -log D(G(z)) (non-saturating, Goodfellow 2014 §3). With `num_classes` both are told the class.
    """

    pixels: Literal["symmetric"] = "symmetric"
    players = ("discriminator", "generator")

    def __init__(
        self,
        in_channels: int = 1,
        image_size: int = 28,
        num_classes: int | None = None,
        latent_size: int = 100,
        width: int = 32,
    ) -> None:
        super().__init__()
        if image_size % 4:
            raise UserError(f"dcgan: image_size must be a multiple of 4, received {image_size}")
        self.latent_size, self.num_classes = latent_size, num_classes
        side, told = image_size // 4, num_classes or 0
        self.generator = nn.Sequential(
            nn.Linear(latent_size + told, 4 * width * side**2, bias=False),
            nn.BatchNorm1d(4 * width * side**2),
            nn.ReLU(),
            nn.Unflatten(1, (4 * width, side, side)),
            nn.ConvTranspose2d(4 * width, 2 * width, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(2 * width),
            nn.ReLU(),
            nn.ConvTranspose2d(2 * width, in_channels, 4, stride=2, padding=1),
            nn.Tanh(),
        )
        self.discriminator = nn.Sequential(
            nn.Conv2d(in_channels + told, 2 * width, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * width, 4 * width, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(4 * width),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            nn.Linear(4 * width * side**2, 1),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                nn.init.normal_(module.weight, 0.0, 0.02)

    def judge(self, pictures: Tensor, classes: Tensor | None) -> Tensor:
        """(B,) logits of being real."""
        if self.num_classes and classes is not None:
            maps = functional.one_hot(classes, self.num_classes).to(pictures)[:, :, None, None]
            pictures = torch.cat([pictures, maps.expand(-1, -1, *pictures.shape[2:])], dim=1)
        return self.discriminator(pictures)[:, 0]

    def play(self, player: str, inputs: Tensor | tuple[Tensor, Tensor]) -> Outcome:
        """The loss of one player on a batch; the other's weights are only passed through."""
        pictures, classes = as_pair(inputs)
        latents = torch.randn(len(pictures), self.latent_size, device=pictures.device)
        if player == "generator":
            judged = self.judge(self.generate(latents, classes), classes)
            return Outcome(functional.softplus(-judged), {"generator_loss": functional.softplus(-judged)})
        with torch.no_grad():
            made = self.generate(latents, classes)
        real, fake = self.judge(pictures, classes), self.judge(made, classes)
        loss = functional.softplus(-real) + functional.softplus(fake)
        return Outcome(loss, {"discriminator_loss": loss, "d_real": real.sigmoid(), "d_fake": fake.sigmoid()})

    def forward(self, inputs: Tensor | tuple[Tensor, Tensor]) -> Outcome:
        """What both players say of a batch."""
        first, second = (self.play(player, inputs) for player in self.players)
        return Outcome(first.loss + second.loss, {**second.parts, **first.parts})

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        return standard_normal((count, self.latent_size), generator)

    def generate(
        self, latents: Tensor, classes: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        if self.num_classes and classes is not None:
            latents = torch.cat([latents, functional.one_hot(classes, self.num_classes).to(latents)], dim=1)
        return self.generator(latents)
