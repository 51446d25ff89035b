"""Deep convolutional GANs (Radford, Metz and Chintala 2015): strided convolutions in place of pooling and dense layers.

The paper's network for 64x64x3 has width 128 and kernel 5, latents uniform from -1 to 1: 4x4x1024, 8x8x512, 16x16x256,
32x32x128, 64x64x3. Kernel 4 is the default here: a kernel that the stride divides paints no checkerboard (*Deep Learning with
Python* §8.5, Odena 2016).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from gradus.errors import UserError
from gradus.models.generative.game import Game, halvings, one_hot, small_weights


class DCGAN(Game):
    """A generator of transposed convolutions, ReLU and tanh, a discriminator of strided ones and LeakyReLU, both normed.

    image_size:  4 to 7 times a power of 2: 28, 32, 64
    num_classes: both are told the class: the generator beside its latents, one-hot; the discriminator by a vector for each
                 class, which adds its product with the last features to the logit (Miyato and Koyama 2018)
    width:       maps at half the picture's side; each smaller map has twice as many
    kernel_size: 4 or 5
    dropout:     share of the discriminator's maps that are left out, after each of its layers
    batch_norm:  of the discriminator, its first layer aside
    """

    def __init__(
        self,
        in_channels: int = 1,
        image_size: int = 28,
        num_classes: int | None = None,
        latent_size: int = 100,
        width: int = 32,
        kernel_size: int = 4,
        dropout: float = 0.0,
        batch_norm: bool = True,
        rules: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(latent_size, num_classes, rules)
        if kernel_size not in (4, 5):
            raise UserError(f"kernel_size: expected 4 or 5, received {kernel_size}")
        if not 0 <= dropout < 1:
            raise UserError(f"dropout: expected 0 to below 1, received {dropout}")
        side, doubled = halvings("dcgan", image_size)
        widths = [width * 2**k for k in range(doubled)]  # of the maps, from the largest to the smallest
        self.generator = generator(latent_size + (num_classes or 0), side, widths[::-1], in_channels, kernel_size)
        self.discriminator = Critic(in_channels, side, widths, kernel_size, num_classes, dropout, batch_norm)
        small_weights(self)

    def judge(self, pictures: Tensor, classes: Tensor | None = None) -> Tensor:
        return self.discriminator(pictures, classes)

    def generate(
        self, latents: Tensor, classes: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        return self.generator(self.told(latents, classes))


def generator(inputs: int, side: int, widths: list[int], channels: int, kernel_size: int) -> nn.Sequential:
    """(B, inputs) -> (B, channels, side * 2^k, ...) from -1 to 1; k the number of widths, which are those of the maps."""
    first = widths[0]
    layers: list[nn.Module] = [
        nn.Linear(inputs, first * side**2, bias=False),
        nn.Unflatten(1, (first, side, side)),
        nn.BatchNorm2d(first),
        nn.ReLU(),
    ]
    for before, after in zip(widths, [*widths[1:], 0], strict=True):
        last = after == 0  # no norm at the output, nor at the discriminator's input (§3 of the paper)
        made, padding, odd = after or channels, (kernel_size - 1) // 2, kernel_size % 2
        layers.append(nn.ConvTranspose2d(before, made, kernel_size, 2, padding, odd, bias=last))
        layers += [nn.Tanh()] if last else [nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers)


class Critic(nn.Module):
    """Pictures (B, C, H, W), and classes (B,) where there are some -> (B,) logits."""

    def __init__(
        self,
        channels: int,
        side: int,
        widths: list[int],
        kernel_size: int,
        num_classes: int | None = None,
        dropout: float = 0.0,
        batch_norm: bool = True,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        padding = (kernel_size - 1) // 2
        layers: list[nn.Module] = []
        for index, (before, after) in enumerate(zip([channels, *widths], widths, strict=False)):
            normed = batch_norm and index > 0
            layers.append(nn.Conv2d(before, after, kernel_size, 2, padding, bias=not normed))
            layers += [nn.BatchNorm2d(after)] if normed else []
            layers.append(nn.LeakyReLU(0.2))
            layers += [nn.Dropout2d(dropout)] if dropout else []
        self.features = nn.Sequential(*layers, nn.Flatten())
        size = widths[-1] * side**2
        self.judgement = nn.Linear(size, 1)
        self.of_class = nn.Linear(num_classes, size, bias=False) if num_classes else None  # its columns are the vectors

    def forward(self, pictures: Tensor, classes: Tensor | None = None) -> Tensor:
        features = self.features(pictures)
        judged = self.judgement(features)[:, 0]
        if self.of_class is None or self.num_classes is None:
            return judged
        return judged + (features * self.of_class(one_hot(classes, self.num_classes, features))).sum(dim=1)


class DCGANFrogs(Game):
    """The network of *Deep Learning with Python* §8.5 for 32x32x3: generator 6 264 579, discriminator 790 913 parameters.

    Both have LeakyReLU with Keras's slope 0.3, and no norms. The listing gives the discriminator pictures from 0 to 1 and
    generates from -1 to 1; here all are from -1 to 1. Weights begin as Keras's do (Glorot).
    """

    image_sizes = (32,)

    def __init__(
        self,
        in_channels: int = 3,
        image_size: int = 32,
        num_classes: int | None = None,
        latent_size: int = 32,
        dropout: float = 0.4,
        rules: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(latent_size, num_classes, rules)
        if num_classes:
            raise UserError("dcgan_frogs is told no classes (task.options.conditional); dcgan can be")
        if image_size != 32:
            raise UserError(f"dcgan_frogs takes 32x32 pixels, received image_size {image_size}")
        self.generator = nn.Sequential(
            nn.Linear(latent_size, 128 * 16 * 16),
            nn.LeakyReLU(0.3),
            nn.Unflatten(1, (128, 16, 16)),
            nn.Conv2d(128, 256, 5, padding=2),
            nn.LeakyReLU(0.3),
            nn.ConvTranspose2d(256, 256, 4, stride=2, padding=1),  # 32x32
            nn.LeakyReLU(0.3),
            nn.Conv2d(256, 256, 5, padding=2),
            nn.LeakyReLU(0.3),
            nn.Conv2d(256, 256, 5, padding=2),
            nn.LeakyReLU(0.3),
            nn.Conv2d(256, in_channels, 7, padding=3),
            nn.Tanh(),
        )
        self.discriminator = nn.Sequential(
            nn.Conv2d(in_channels, 128, 3),  # 30x30
            nn.LeakyReLU(0.3),
            nn.Conv2d(128, 128, 4, stride=2),  # 14x14
            nn.LeakyReLU(0.3),
            nn.Conv2d(128, 128, 4, stride=2),  # 6x6
            nn.LeakyReLU(0.3),
            nn.Conv2d(128, 128, 4, stride=2),  # 2x2
            nn.LeakyReLU(0.3),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(512, 1),
        )
        for part in self.modules():
            if isinstance(part, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                nn.init.xavier_uniform_(part.weight)
                assert part.bias is not None
                nn.init.zeros_(part.bias)

    def judge(self, pictures: Tensor, classes: Tensor | None = None) -> Tensor:
        return self.discriminator(pictures)[:, 0]

    def generate(
        self, latents: Tensor, classes: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        return self.generator(latents)
