"""What is looked into of a generative network: how it makes pictures of latents, and reads latents from pictures where it can."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gradus.errors import UserError
from gradus.look.inside.subject import Picture, Rows, Subject

AT_ONCE = 250  # pictures that pass through the network together


@dataclass(frozen=True)
class Maker:
    """A generative network in evaluation mode.

    subject:     its model, and the way of pictures into it; its rows are labelled where the data have classes
    pictures_of: what the model makes (N, C, H, W) -> uint8 (N, H, W, C)
    conditional: whether it is told classes, which are those of the subject
    binary:      whether it sees 0 and 1 in place of grey values
    """

    subject: Subject
    pictures_of: Callable[[Tensor], np.ndarray]
    conditional: bool = False
    binary: bool = False

    @property
    def name(self) -> str:
        return self.subject.name

    def encode(self, pixels: np.ndarray | Tensor, labels: Tensor | None = None, damaged: bool = False) -> Tensor:
        """uint8 (N, H, W, C) of the model's size -> latents (N, ...) on the CPU; of a VAE their means.

        damaged: as a denoising autoencoder sees them, by the global random state
        Raises `UserError` for a network that reads no latents from pictures.
        """
        model = self.subject.model
        if not hasattr(model, "encode"):
            raise UserError(f"{self.name}: this network makes pictures of latents, but reads none from a picture")
        found = []
        with torch.inference_mode():
            for start in range(0, len(pixels), AT_ONCE):
                given = self.inputs(pixels[start : start + AT_ONCE])
                given = model.damage(given) if damaged else given  # type: ignore[operator]
                found.append(model.encode(given, self._told(labels, start)).cpu())  # type: ignore[operator]
        return torch.cat(found)

    def inputs(self, pixels: np.ndarray | Tensor) -> Tensor:
        """uint8 (N, H, W, C) -> what the model takes (N, C, H, W)."""
        return self.subject.prepare(torch.as_tensor(pixels).to(self.subject.device))

    def told(self, labels: Tensor | None) -> Tensor | None:
        """The classes (N,) on the model's device; None for a network that is told none."""
        if not self.conditional:
            return None
        if labels is None or bool((labels < 0).any()):
            raise UserError(f"{self.name}: this network is told classes; give pictures of the data, or --class NAME")
        return labels.to(self.subject.device)

    def _told(self, labels: Tensor | None, start: int) -> Tensor | None:
        told = self.told(labels)
        return None if told is None else told[start : start + AT_ONCE]

    def make(self, latents: Tensor, labels: Tensor | None = None, seed: int = 0, alike: bool = False) -> np.ndarray:
        """Latents (N, ...) -> uint8 (N, H, W, C).

        alike: each is made with the same random numbers, of networks that use some, so that pictures differ by the latents alone
        """
        step = 1 if alike and self._is_random else AT_ONCE
        made = []
        generator = torch.Generator().manual_seed(seed)
        with torch.inference_mode():
            for start in range(0, len(latents), step):
                if alike:
                    generator.manual_seed(seed)
                given = latents[start : start + step].to(self.subject.device)
                told = self._told(labels, start)
                told = None if told is None else told[: len(given)]
                made.append(self.pictures_of(self.subject.model.generate(given, told, generator)))  # type: ignore[operator]
        return np.concatenate(made)

    @property
    def _is_random(self) -> bool:
        """Latents that are pictures are those of networks that go on drawing: diffusion, energies."""
        return self.draw(1, 0).ndim > 2

    def draw(self, count: int, seed: int) -> Tensor:
        return self.subject.model.draw(count, torch.Generator().manual_seed(seed))  # type: ignore[operator]

    def spread(self) -> tuple[Tensor, Tensor]:
        """Mean and deviation (L,) of the latents that are drawn. Raises `UserError` where a latent is no list of numbers."""
        drawn = self.draw(1, 0)
        if drawn.ndim != 2:
            shape = "x".join(map(str, drawn.shape[1:]))
            raise UserError(
                f"{self.name}: its latents are {shape}, not a list of numbers that could be moved one by one"
            )
        spread = getattr(self.subject.model, "spread", None)
        if spread is None:
            return torch.zeros(drawn.shape[1]), torch.ones(drawn.shape[1])
        mean, deviation = spread()
        return mean.detach().cpu(), deviation.detach().cpu()

    def rows(self, split: str, count: int, seed: int) -> Rows:
        """At most `count` rows of a split, chosen by the seed. Raises `UserError` for an unknown split, or none."""
        if count < 1:
            raise UserError(f"{self.name}: expected 1 row or more to look at, received {count}")
        assert self.subject.rows is not None
        return self.subject.rows(split).sample(count, seed)

    def class_of(self, name: str) -> int:
        if not self.subject.classes:
            raise UserError(f"{self.name}: its data have no classes")
        return self.subject.class_index(name)

    def labels_of(self, pictures: Sequence[Picture]) -> Tensor:
        """(N,) int64, -1 where a picture's class is not known."""
        return torch.tensor([-1 if picture.label is None else picture.label for picture in pictures])

    def labels_for(self, count: int, of_class: str) -> Tensor | None:
        """The class to be told for `count` pictures, where one is to be told."""
        if not self.conditional:
            if of_class:
                raise UserError(f"{self.name}: --class: this network is told no classes")
            return None
        return torch.full((count,), self.class_of(of_class) if of_class else 0)
