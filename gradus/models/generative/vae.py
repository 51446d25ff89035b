"""The variational autoencoder (Kingma and Welling 2013; Rezende, Mohamed and Wierstra 2014)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from gradus.errors import UserError
from gradus.models.generative.outcome import Outcome, standard_normal


class ConvVAE(nn.Module):
    """The convolutional VAE of *Deep Learning with Python* §8.4: 550 629 parameters for 28x28 and two latent numbers.

    Losses are in nats a picture: -log p(x | z) summed over the pixels, of a Bernoulli of each pixel's grey value, and
    beta * KL(q(z | x) || N(0, 1)). The listing takes exp(log_var), the variance, as deviation; here that is exp(log_var / 2).
    """

    pixels: Literal["unit"] = "unit"

    def __init__(
        self, in_channels: int = 1, image_size: int = 28, latent_size: int = 2, hidden: int = 32, beta: float = 1.0
    ) -> None:
        super().__init__()
        if image_size % 2:
            raise UserError(f"conv_vae: image_size must be even, received {image_size}")
        self.latent_size, self.beta = latent_size, beta
        self.side = image_size // 2
        flat = 64 * self.side**2
        self.encoder = nn.Sequential(
            nn.Conv2d(in_channels, 32, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(64, 64, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(64, 64, 3, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(flat, hidden),
            nn.ReLU(),
        )
        self.mean = nn.Linear(hidden, latent_size)
        self.log_variance = nn.Linear(hidden, latent_size)
        self.decoder = nn.Sequential(
            nn.Linear(latent_size, flat),
            nn.ReLU(),
            nn.Unflatten(1, (64, self.side, self.side)),
            nn.ConvTranspose2d(64, 32, 3, stride=2, padding=1, output_padding=1),
            nn.ReLU(),
            nn.Conv2d(32, in_channels, 3, padding=1),
        )

    def encode(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, H, W) -> mean and log variance (B, latent_size) of q(z | x)."""
        hidden = self.encoder(pictures)
        return self.mean(hidden), self.log_variance(hidden)

    def forward(self, pictures: Tensor) -> Outcome:
        mean, log_variance = self.encode(pictures)
        latents = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
        logits = self.decoder(latents)
        reconstruction = functional.binary_cross_entropy_with_logits(logits, pictures, reduction="none")
        reconstruction = reconstruction.flatten(1).sum(dim=1)
        divergence = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(dim=1)
        loss = reconstruction + self.beta * divergence
        return Outcome(loss, {"reconstruction": reconstruction, "kl": divergence}, logits.sigmoid())

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        return standard_normal((count, self.latent_size), generator)

    def generate(
        self, latents: Tensor, classes: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        return self.decoder(latents).sigmoid()
