"""What a detector gives for a batch of pictures: numbers that know how they are compared with the truth, and how they are read.

A detector is a module `(B, C, H, W) -> Predictions`, in training and in evaluation; the task asks nothing else of it. So each
system (its assignment of objects to places, its losses, its decoding) stands in one file.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class ProposedPictures:
    """The inputs of a detector that is given its regions: pictures (B, C, H, W), and boxes (B, P, 4) in their pixels that may
    hold objects; those without area are empty. A detector says by `takes_proposals` that it wants such, and how many."""

    pictures: Tensor
    proposals: Tensor

    @property
    def shape(self) -> torch.Size:
        return self.pictures.shape

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, rows: slice) -> ProposedPictures:
        return ProposedPictures(self.pictures[rows], self.proposals[rows])


class Predictions(ABC):
    """Boxes are in pixels of the pictures that the network was given."""

    parts: dict[str, Tensor] | None = None  # the losses by name, once they were computed; without gradient

    @abstractmethod
    def losses(self, objects: Tensor) -> dict[str, Tensor]:
        """Name -> scalar, each the mean over the pictures of the batch; their sum is minimised. objects: (B, M, 6), see
        `boxes/targets.py`: rows of class -1 are empty, ignored ones are neither learnt nor background."""

    @abstractmethod
    def detections(self) -> Tensor:
        """(B, K, 6): left, top, right, bottom, class, score, by falling score; see `boxes/targets.py`."""

    @abstractmethod
    def detach(self) -> Predictions:
        """The same without gradient. Keeps `parts`."""

    @abstractmethod
    def __len__(self) -> int:
        """Pictures."""

    @abstractmethod
    def __getitem__(self, rows: slice) -> Predictions:
        """Those for some of the pictures."""

    def loss(self, objects: Tensor) -> Tensor:
        """The sum of the losses."""
        found = self.losses(objects)
        self.parts = {name: value.detach() for name, value in found.items()}
        return sum(found.values(), start=next(iter(found.values())).new_zeros(()))
