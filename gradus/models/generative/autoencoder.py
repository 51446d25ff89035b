"""Autoencoders: a network says its picture again through a code. Dense or of convolutions; plain, sparse or denoising.

What is minimised is a sum over the pixels of a picture: the cross-entropy with its grey values (nats), or half the squared error.

Sparse: few numbers of a code are on. "l1" adds weight * sum |code| to the loss of each picture (the code behind a ReLU), "kl"
weight * sum of KL(target || mean over the batch) over the code's numbers, which lie in 0..1 (Ng 2011, lecture notes on sparse
autoencoders). The mean is of the batch that is looked at, in evaluation too.

Denoising (Vincent 2008, 2010): the encoder sees a damaged picture, the loss is against the whole one; in evaluation too.

An autoencoder has no distribution of codes. What it generates is decoded from a Gaussian with mean and covariance of the codes
that it saw in training: a moving average over the steps, kept with the weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from gradus.errors import UserError
from gradus.models.generative.coders import Decoder, Encoder, Shape, draw_weights
from gradus.models.generative.outcome import Outcome, as_pair, standard_normal

Noise = Literal["none", "masking", "gaussian", "salt-and-pepper"]
Sparsity = Literal["none", "l1", "kl"]
Reconstruction = Literal["cross-entropy", "squared"]
MEMORY = 0.01  # share of the newest step in the moving averages


class Autoencoder(nn.Module):
    """Pictures float32 (B, C, H, W) from 0 to 1 -> Outcome.

    code_size:       numbers in a code
    reconstruction:  what is minimised
    noise:           in what the encoder sees: pixels set to 0, N(0, noise_level^2) added, or pixels set to 0 or 1
    noise_level:     share of the pixels that are damaged, or the deviation of what is added
    sparsity, sparsity_weight, target: see above; target is that of "kl"
    """

    pixels: Literal["unit"] = "unit"
    code_mean: Tensor
    code_square: Tensor
    steps: Tensor

    def __init__(
        self,
        shape: Shape,
        *,
        code_size: int,
        reconstruction: Reconstruction = "cross-entropy",
        noise: Noise = "none",
        noise_level: float = 0.3,
        sparsity: Sparsity = "none",
        sparsity_weight: float = 1.0,
        target: float = 0.05,
        initialization: str = "pytorch",
    ) -> None:
        super().__init__()
        for name, value, known in (
            ("reconstruction", reconstruction, ("cross-entropy", "squared")),
            ("noise", noise, ("none", "masking", "gaussian", "salt-and-pepper")),
            ("sparsity", sparsity, ("none", "l1", "kl")),
        ):
            if value not in known:
                raise UserError(f"{name}: expected {', '.join(known[:-1])} or {known[-1]}, received '{value}'")
        if code_size < 1:
            raise UserError(f"code_size: must be 1 or more, received {code_size}")
        if noise_level < 0 or (noise != "gaussian" and noise_level > 1):
            raise UserError(f"noise_level: a share is in 0..1 and a deviation 0 or more, received {noise_level}")
        if not 0 < target < 1 or sparsity_weight < 0:
            raise UserError(
                f"target and sparsity_weight: in 0..1, and 0 or more; received {target} and {sparsity_weight}"
            )
        self.latent_size, self.reconstruction = code_size, reconstruction
        self.noise, self.noise_level = noise, noise_level
        self.sparsity, self.sparsity_weight, self.target = sparsity, sparsity_weight, target
        self.encoder = Encoder(shape)
        self.code = nn.Linear(self.encoder.size, code_size)
        self.decoder = Decoder(code_size, shape)
        draw_weights(self, initialization)
        self.register_buffer("code_mean", torch.zeros(code_size))
        self.register_buffer("code_square", torch.zeros(code_size, code_size))
        self.register_buffer("steps", torch.zeros(()))

    def encode(self, pictures: Tensor, classes: Tensor | None = None) -> Tensor:
        """(B, C, H, W) -> codes (B, code_size)."""
        return self._bounded(self.code(self.encoder(pictures)))

    def _bounded(self, codes: Tensor) -> Tensor:
        return {"none": torch.clone, "l1": torch.relu, "kl": torch.sigmoid}[self.sparsity](codes)

    def damage(self, pictures: Tensor) -> Tensor:
        """What the encoder sees of pictures, (B, C, H, W), by the global random state. A pixel's channels share its fate."""
        if self.noise == "none":
            return pictures
        if self.noise == "gaussian":
            return (pictures + self.noise_level * torch.randn_like(pictures)).clamp(0, 1)
        chance = torch.rand_like(pictures[:, :1])
        if self.noise == "masking":
            return pictures * (chance >= self.noise_level)
        salted = torch.where(chance < self.noise_level / 2, 0.0, pictures)
        return torch.where(chance >= 1 - self.noise_level / 2, 1.0, salted)

    def forward(self, inputs: Tensor | tuple[Tensor, Tensor]) -> Outcome:
        pictures, _ = as_pair(inputs)
        codes = self.encode(self.damage(pictures))
        if self.training:
            self._remember(codes.detach())
        decoded = self.decoder(codes)
        made = self._pictures(decoded)
        squares = (made - pictures).flatten(1) ** 2
        if self.reconstruction == "squared":
            error = 0.5 * squares.sum(dim=1)
        else:
            each = functional.binary_cross_entropy_with_logits(decoded, pictures, reduction="none")
            error = each.flatten(1).sum(dim=1)
        parts = {"reconstruction": error, "squared_error": squares.mean(dim=1)}
        loss = error
        if self.sparsity != "none":
            parts["sparsity"] = self._crowding(codes)
            parts["mean_code"] = codes.mean(dim=1)
            loss = error + self.sparsity_weight * parts["sparsity"]
        return Outcome(loss, parts, made)

    def _crowding(self, codes: Tensor) -> Tensor:
        """What is added for a code that is not sparse, (B,): of each picture with "l1", of the batch with "kl"."""
        if self.sparsity == "l1":
            return codes.abs().sum(dim=1)
        mean = codes.mean(dim=0).clamp(1e-6, 1 - 1e-6)
        return bernoulli_divergence(self.target, mean).sum().expand(len(codes))

    def _remember(self, codes: Tensor) -> None:
        self.steps += 1
        share = (1 / self.steps).clamp(min=MEMORY)
        self.code_mean.lerp_(codes.mean(dim=0), share)
        self.code_square.lerp_(codes.T @ codes / len(codes), share)

    def spread(self) -> tuple[Tensor, Tensor]:
        """Mean and deviation (code_size,) of the codes of training."""
        return self.code_mean, (self.code_square.diagonal() - self.code_mean**2).clamp(min=0).sqrt()

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """(count, code_size) of the Gaussian of the codes of training, on the CPU; within the range that codes have."""
        mean = self.code_mean.double().cpu()
        covariance = self.code_square.double().cpu() - torch.outer(mean, mean)
        values, vectors = torch.linalg.eigh(covariance)
        noise = standard_normal((count, self.latent_size), generator).double()
        drawn = (mean + (noise * values.clamp(min=0).sqrt()) @ vectors.T).float()
        return drawn if self.sparsity == "none" else drawn.clamp(0, 1 if self.sparsity == "kl" else None)

    def generate(
        self, latents: Tensor, classes: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        return self._pictures(self.decoder(latents))

    def _pictures(self, decoded: Tensor) -> Tensor:
        return decoded.sigmoid() if self.reconstruction == "cross-entropy" else decoded


def bernoulli_divergence(target: float, mean: Tensor) -> Tensor:
    """KL(Bernoulli(target) || Bernoulli(mean)) in nats, elementwise."""
    return target * (target / mean).log() + (1 - target) * ((1 - target) / (1 - mean)).log()


class DenseAutoencoder(Autoencoder):
    """784-128-32-128-784. That of Hinton and Salakhutdinov 2006: hidden (1000, 500, 250), code_size 30, activation "sigmoid"."""

    def __init__(
        self,
        in_channels: int = 1,
        image_size: int = 28,
        code_size: int = 32,
        hidden: Sequence[int] = (128,),
        reconstruction: Reconstruction = "cross-entropy",
        noise: Noise = "none",
        noise_level: float = 0.3,
        sparsity: Sparsity = "none",
        sparsity_weight: float = 1.0,
        target: float = 0.05,
        activation: str = "relu",
        initialization: str = "glorot",
    ) -> None:
        super().__init__(
            Shape(channels=in_channels, side=image_size, hidden=hidden, activation=activation),
            code_size=code_size,
            reconstruction=reconstruction,
            noise=noise,
            noise_level=noise_level,
            sparsity=sparsity,
            sparsity_weight=sparsity_weight,
            target=target,
            initialization=initialization,
        )


class ConvAutoencoder(Autoencoder):
    """Two strided convolutions, a code, and two transposed ones: 28 -> 14 -> 7 -> 32 -> 7 -> 14 -> 28."""

    def __init__(
        self,
        in_channels: int = 1,
        image_size: int = 28,
        code_size: int = 32,
        widths: Sequence[int] = (16, 32),
        strides: Sequence[int] = (2, 2),
        up_widths: Sequence[int] = (),
        hidden: Sequence[int] = (),
        reconstruction: Reconstruction = "cross-entropy",
        noise: Noise = "none",
        noise_level: float = 0.3,
        sparsity: Sparsity = "none",
        sparsity_weight: float = 1.0,
        target: float = 0.05,
        activation: str = "relu",
        initialization: str = "glorot",
    ) -> None:
        if not widths:
            raise UserError("conv_autoencoder: widths must name a convolution or more; dense_autoencoder has none")
        shape = Shape(
            channels=in_channels,
            side=image_size,
            widths=widths,
            strides=strides,
            up_widths=up_widths,
            hidden=hidden,
            activation=activation,
        )
        super().__init__(
            shape,
            code_size=code_size,
            reconstruction=reconstruction,
            noise=noise,
            noise_level=noise_level,
            sparsity=sparsity,
            sparsity_weight=sparsity_weight,
            target=target,
            initialization=initialization,
        )
