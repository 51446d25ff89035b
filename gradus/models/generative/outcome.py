"""What generative networks offer, whatever they are: autoencoder, player of a game, energy, diffusion.

A generative network is a module `pictures -> Outcome`, in training and in evaluation. Pictures are float32 (B, C, H, W), from 0
to 1, or from -1 to 1 where the class says `pixels = "symmetric"`; a network that is told classes takes (pictures, classes (B,)).

    draw(count, generator)                 what a picture begins with: latents, noise, a state (count, ...), on the CPU
    generate(latents, classes, generator)  pictures (count, C, H, W) of them, in the range that it takes them

The same latents and the same generator give the same pictures.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Protocol

import torch
from torch import Tensor


@dataclass(frozen=True)
class Outcome:
    """What a network says of each picture of a batch.

    loss:  (B,) what is minimised
    parts: name -> (B,) numbers beside it, such as what a loss is the sum of, in the order in which they are told
    made:  (B, C, H, W) what the network makes of the picture, where it makes one again
    """

    loss: Tensor
    parts: dict[str, Tensor] = field(default_factory=dict)
    made: Tensor | None = None

    def detach(self) -> Outcome:
        return replace(
            self,
            loss=self.loss.detach(),
            parts={name: value.detach() for name, value in self.parts.items()},
            made=None if self.made is None else self.made.detach(),
        )

    def __len__(self) -> int:
        return len(self.loss)

    def __getitem__(self, rows: slice) -> Outcome:
        return replace(
            self,
            loss=self.loss[rows],
            parts={name: value[rows] for name, value in self.parts.items()},
            made=None if self.made is None else self.made[rows],
        )


class Generative(Protocol):
    """A network that makes pictures."""

    pixels: str  # "unit" or "symmetric"

    def __call__(self, inputs: Tensor | tuple[Tensor, Tensor]) -> Outcome: ...
    def draw(self, count: int, generator: torch.Generator) -> Tensor: ...
    def generate(
        self, latents: Tensor, classes: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Tensor: ...


def as_pair(inputs: Tensor | tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor | None]:
    """Pictures, and their classes where they are given."""
    return (inputs, None) if isinstance(inputs, Tensor) else (inputs[0], inputs[1])


def standard_normal(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """N(0, 1), on the CPU, so that the same seed gives the same pictures on every device."""
    return torch.randn(shape, generator=generator)
