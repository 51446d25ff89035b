"""Making pictures: learning what the pictures of a split are like, with no answer to be foretold.

Any network that gives an `Outcome` (`models/generative/outcome.py`) learns by this task; what it minimises is its own affair.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from gradus.data.columns import ColumnType, Label
from gradus.data.dataset import Dataset, Split
from gradus.errors import UserError, unknown_name
from gradus.models.generative.outcome import Outcome
from gradus.nn.sampling import drawn_alike
from gradus.tasks.assessment import GenerationAssessment
from gradus.tasks.inputs import ImageInputs
from gradus.tasks.task import Answer, Task


@dataclass(frozen=True, kw_only=True)
class GenerationOptions:
    """Which pictures are learnt from, and what is told with them."""

    conditional: bool = False  # the network is told the class of each picture, and can then be asked for one
    classes: tuple[str, ...] = ()  # only pictures of these classes; empty: all
    pixels: Literal["unit", "symmetric"] = "unit"  # 0 to 1, or -1 to 1; follows from the model
    # 0 or 1 in place of grey values: above one half, or drawn with the grey value as probability, in training anew every time
    binarize: Literal["none", "threshold", "sample"] = "none"


class GenerationTask(Task):
    """Encoded: inputs uint8 (N, H, W, C); targets int64 (N,), the classes, or 0 where there are none."""

    name = "picture-generation"
    directions = {"loss": "min"}  # noqa: RUF012 - as of all tasks
    column: str  # of the classes; empty where there are none

    def __init__(self, inputs: ImageInputs, options: GenerationOptions) -> None:
        self.inputs, self.options, self.notes = inputs, options, []
        self.part_names: tuple[str, ...] = ()

    @property
    def input_types(self) -> dict[str, ColumnType]:
        return self.inputs.types

    @property
    def target_column(self) -> str:
        return self.column

    def to_device(self, device: torch.device) -> None:
        self.inputs.to_device(device)

    def augmented(self, settings: Any, train: dict[str, Any]) -> Task:
        raise UserError("augment: pictures to be made are learnt as they are; leave it out")

    def fit(self, dataset: Dataset) -> None:
        labels = [name for name, kind in dataset.types.items() if isinstance(kind, Label)]
        self.column = dataset.target if dataset.target in labels else next(iter(labels), "")
        kind = dataset.types.get(self.column)
        self.classes = kind.classes if isinstance(kind, Label) else ()
        if self.options.conditional and not self.classes:
            raise UserError("conditional: there is no column of classes; name one with --target, or leave it out")
        for name in self.options.classes:
            if name not in self.classes:
                raise unknown_name("class", name, self.classes)
        self.inputs.fit(self._chosen(dataset["train"]), exclude=tuple(labels))
        self.notes = list(self.inputs.notes)

    @property
    def asked(self) -> tuple[str, ...]:
        """The classes that are learnt from, in the order in which the network knows them."""
        return tuple(name for name in self.classes if not self.options.classes or name in self.options.classes)

    def _chosen(self, split: Split) -> Split:
        if not self.options.classes or self.column not in split.columns:
            return split
        wanted = [self.classes.index(name) for name in self.asked]
        return split.take(np.flatnonzero(np.isin(np.asarray(split[self.column].values), wanted)))

    def shown(self, split: Split) -> Split:
        return self._chosen(split)

    def encode(self, split: Split, *, with_target: bool = True) -> dict[str, Any]:
        split = self._chosen(split) if with_target else split
        tensors: dict[str, Any] = {"inputs": self.inputs.encode(split)}
        if with_target:
            tensors["targets"] = torch.zeros(len(split), dtype=torch.int64)
            if self.column:
                places = np.array([self.asked.index(c) if c in self.asked else -1 for c in self.classes])
                tensors["targets"] = torch.from_numpy(places[np.asarray(split[self.column].values)])
        return tensors

    def prepare(self, batch: dict[str, Tensor], *, training: bool) -> tuple[Any, Any]:
        pictures = self.inputs.prepare(batch["inputs"])
        pictures = self.binarized(pictures, anew=training)
        if self.options.pixels == "symmetric":
            pictures = pictures * 2 - 1
        targets = batch.get("targets")
        return ((pictures, targets) if self.options.conditional else pictures), targets

    def binarized(self, pictures: Tensor, *, anew: bool) -> Tensor:
        """Grey values from 0 to 1 as 0 or 1, where that is asked for. anew: else a picture is always drawn alike."""
        if self.options.binarize == "threshold":
            return (pictures > 0.5).to(pictures.dtype)
        if self.options.binarize == "sample":
            return torch.bernoulli(pictures) if anew else drawn_alike(pictures)
        return pictures

    def pictures_of(self, pixels: Tensor) -> np.ndarray:
        """What a network makes (N, C, H, W) as pictures: uint8 (N, H, W, C)."""
        if self.options.pixels == "symmetric":
            pixels = (pixels + 1) / 2
        levels = (pixels.float().clamp(0, 1) * 255).round().to(torch.uint8)
        return levels.permute(0, 2, 3, 1).cpu().numpy()

    def loss(self, outputs: Outcome, targets: Tensor, *, training: bool) -> Tensor:  # type: ignore[override]
        return outputs.loss.mean()

    def counts(self, outputs: Outcome, targets: Tensor, *, training: bool) -> dict[str, Tensor]:
        return {name: value.sum() for name, value in outputs.parts.items()}

    def metrics(self, totals: dict[str, np.ndarray], samples: int) -> dict[str, float]:
        return {
            name: float(total / samples)
            for name, total in totals.items()
            if name not in ("loss", "penalty", "not_finite")
        }

    def check_outputs(self, outputs: Any, rows: int, model: str) -> None:
        if not isinstance(outputs, Outcome) or len(outputs) != rows:
            raise UserError(f"model {model} makes no pictures: it gives no Outcome for each of them")

    def collected(self, outputs: Outcome, batch: dict[str, Tensor]) -> Tensor:
        """(B, 1 + parts): the loss of each picture, and what stands beside it."""
        self.part_names = tuple(outputs.parts)
        return torch.stack([outputs.loss, *outputs.parts.values()], dim=1).float()

    def assess(self, outputs: Tensor, targets: Tensor) -> GenerationAssessment:
        names = ("loss", *self.part_names)
        means = outputs.double().mean(dim=0).tolist()
        return GenerationAssessment(
            names=names, values=outputs.numpy(), targets=targets.numpy(), metrics=dict(zip(names, means, strict=True))
        )

    def decode(self, outputs: Tensor) -> list[Answer]:
        raise UserError("this model answers nothing about pictures; it makes them: gradus generate RUN")

    def baselines(self, train: dict[str, Tensor], test: dict[str, Tensor]) -> dict[str, dict[str, float]]:
        return {}

    def model_options(self) -> dict[str, Any]:
        options = {"in_channels": self.inputs.channels, "image_size": self.inputs.size}
        return options | ({"num_classes": len(self.asked)} if self.options.conditional else {})

    def state(self) -> dict[str, Any]:
        return {"inputs": self.inputs.state(), "column": self.column, "classes": list(self.classes)}

    def restore(self, state: dict[str, Any]) -> None:
        self.inputs.restore(state["inputs"])
        self.column, self.classes = state["column"], tuple(state["classes"])
