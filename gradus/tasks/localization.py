"""Classification with localisation: is there one thing in the picture, where, and of which class (course notes §4.3.1).

Any network for classes does, with 5 + C outputs: `boxes/one_object.py`. Of pictures with several objects the largest is learnt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gradus.boxes.geometry import iou
from gradus.boxes.one_object import Loss, boxes_of_vectors, mixed_loss, read_outputs, squared_loss, to_vectors
from gradus.boxes.targets import unstack_detections, unstack_objects
from gradus.data.columns import Boxes, Objects
from gradus.data.dataset import Dataset, Split
from gradus.data.objects import checked_objects
from gradus.errors import UserError, unknown_name
from gradus.tasks.assessment import LocalizationAssessment
from gradus.tasks.encode import contents
from gradus.tasks.places import PlaceTask
from gradus.tasks.scenes import SceneInputs, from_network, move_objects, sizes_of, to_network
from gradus.tasks.targets import target_column
from gradus.tasks.task import Answer

PRESENT = 0.5  # from this probability on an object is said to be there


@dataclass(frozen=True, kw_only=True)
class LocalizationOptions:
    """What is looked for, and how it is learnt."""

    category: str = ""  # the one class that is looked for; empty: any of them, and which
    # mixed: logistic, cross-entropy and generalised IoU; squared: the course notes' squares of all numbers
    loss: Loss = "mixed"


def largest_object(objects: Objects, labels: dict[int, int]) -> np.ndarray:
    """float32 (6,): the largest object whose class is among `labels` (old -> new number), as a row of `boxes/targets.py`; class
    -1 where there is none. Ignored objects and boxes without area are passed over."""
    sides = objects.boxes[:, 2:] - objects.boxes[:, :2]
    wanted = np.isin(objects.labels, list(labels)) & ~objects.ignored & (sides > 0).all(axis=1)
    if not wanted.any():
        return np.array([0, 0, 0, 0, -1, 0], dtype=np.float32)
    best = int(np.where(wanted, sides.prod(axis=1), -1).argmax())
    return np.array([*objects.boxes[best], labels[int(objects.labels[best])], 0], dtype=np.float32)


class LocalizationTask(PlaceTask):
    """Pictures -> one object or none.

    Encoded: inputs uint8 (N, height, width, C); places (N, 6), see `scenes.py`; targets float32 (N, 1, 6) in pixels of the
    pictures, see `boxes/targets.py`. The network learns vectors (B, 5 + C); `collected` gives detections (B, 1, 6).

    mean_iou and iou50 are over the pictures that have an object, whether the network says so or not; presence_accuracy is over
    all.
    """

    directions = {"mean_iou": "max", "iou50": "max", "presence_accuracy": "max", "class_accuracy": "max"}  # noqa: RUF012 - as of all tasks
    name = "object-localization"

    def __init__(self, inputs: SceneInputs, options: LocalizationOptions) -> None:
        super().__init__(inputs)
        self.options = options

    def fit(self, dataset: Dataset) -> None:
        self.column = target_column(dataset)
        column = dataset["train"][self.column]
        if not isinstance(column.type, Boxes):
            raise UserError(f"target '{self.column}' holds {contents(column)}: object localisation needs boxes")
        self._choose(column.type.classes)
        self.inputs.fit(dataset["train"], exclude=(self.column,))
        rows = self._largest(dataset["train"], sizes_of(dataset["train"][self.inputs.column]))
        there = sum(row[4] >= 0 for row in rows)
        if not there:
            what = f"of category '{self.options.category}'" if self.options.category else "that is counted"
            raise UserError(f"target '{self.column}': there is no box {what} in any training row")
        several = sum(int(np.isin(one.labels, list(self.labels)).sum() > 1) for one in column)
        self.notes = [*self.inputs.notes, f"{there:,} of {len(rows):,} training pictures have the object"]
        if several:
            self.notes.append(f"{several:,} training pictures have several objects: the largest is learnt")

    def _choose(self, classes: tuple[str, ...]) -> None:
        wanted = self.options.category
        if wanted and wanted not in classes:
            raise unknown_name("category", wanted, classes)
        self.classes = (wanted,) if wanted else classes
        self.labels = {classes.index(name): number for number, name in enumerate(self.classes)}
        self.num_outputs = 5 + len(self.classes)

    def encode(self, split: Split, *, with_target: bool = True) -> dict[str, Any]:
        tensors = self.inputs.encode(split)
        if with_target:
            rows = self._largest(split, tensors["places"][:, :2].numpy())
            tensors["targets"] = torch.from_numpy(np.stack(rows))[:, None]
        return tensors

    def _largest(self, split: Split, sizes: Sequence[Any] | np.ndarray) -> list[np.ndarray]:
        """The object of each picture, what reaches beyond it being cut off. sizes: height and width of each."""
        return [largest_object(one, self.labels) for one in checked_objects(list(split[self.column]), sizes)[0]]

    def prepare(self, batch: dict[str, Tensor], *, training: bool) -> tuple[Any, Any]:
        """The targets as vectors (B, 5 + C), in shares of what the network sees."""
        inputs, warp = self.inputs.prepare(batch["inputs"], self.augmentation if training else None)
        objects = batch.get("targets")
        if objects is None:
            return inputs, None
        objects = torch.cat([to_network(objects[..., :4], batch["places"]), objects[..., 4:]], dim=2)
        objects = move_objects(objects, warp)[:, 0]
        objects[:, 4] = torch.where(objects[:, 5] > 0, -1, objects[:, 4])  # of which a crop left too little: not there
        return inputs, to_vectors(objects, self.inputs.size, len(self.classes))

    def loss(self, outputs: Tensor, targets: Tensor, *, training: bool) -> Tensor:
        outputs = outputs.float()
        return squared_loss(outputs, targets) if self.options.loss == "squared" else mixed_loss(outputs, targets)

    def counts(self, outputs: Tensor, targets: Tensor, *, training: bool) -> dict[str, Tensor]:
        """Boxes are cut off at the edges of what the network sees; `assess` cuts them off at those of the picture in it."""
        vectors = read_outputs(outputs.float(), self.options.loss)
        found, given = (boxes_of_vectors(one, self.inputs.size) for one in (vectors, targets))
        there = targets[:, 0] > 0
        overlap = torch.where(there, iou(self._clipped(found), given), 0)
        right = (vectors[:, 5:].argmax(dim=1) == targets[:, 5:].argmax(dim=1)) & there
        presence = (vectors[:, 0] > PRESENT) == there
        sums = {"overlap": overlap, "hits": overlap >= 0.5, "there": there, "presence": presence, "right": right}
        return {name: value.float().sum() for name, value in sums.items()}

    def _clipped(self, boxes: Tensor) -> Tensor:
        height, width = self.inputs.size
        edge = torch.tensor([width, height, width, height], dtype=boxes.dtype, device=boxes.device)
        return torch.minimum(boxes.clamp(min=0), edge)

    def metrics(self, totals: dict[str, np.ndarray], samples: int) -> dict[str, float]:
        there = max(float(totals["there"]), 1)
        found = {"mean_iou": totals["overlap"] / there, "iou50": totals["hits"] / there}
        found |= {"presence_accuracy": totals["presence"] / samples, "class_accuracy": totals["right"] / there}
        return {name: float(value) for name, value in found.items()}

    def collected(self, outputs: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """The one detection (B, 1, 6) of each picture, in its own pixels: class, and as score the probability of being there."""
        vectors = read_outputs(outputs.float(), self.options.loss)
        boxes = from_network(boxes_of_vectors(vectors, self.inputs.size)[:, None], batch["places"])
        label = vectors[:, 5:].argmax(dim=1, keepdim=True)[..., None].to(boxes)
        return torch.cat([boxes, label, vectors[:, None, :1].clamp(0, 1)], dim=2)

    def assess(self, outputs: Tensor, targets: Tensor) -> LocalizationAssessment:
        found, given = outputs[:, 0], targets[:, 0]
        there = given[:, 4] >= 0
        overlap = torch.where(there, iou(found[:, :4], given[:, :4]), 0).double()
        number = max(int(there.sum()), 1)
        metrics = {
            "mean_iou": float(overlap.sum()) / number,
            "iou50": float((overlap >= 0.5).sum()) / number,
            "presence_accuracy": float(((found[:, 5] > PRESENT) == there).double().mean()),
            "class_accuracy": float(((found[:, 4] == given[:, 4]) & there).sum()) / number,
        }
        return LocalizationAssessment(
            classes=self.classes,
            predictions=unstack_detections(outputs),
            targets=unstack_objects(targets),
            metrics=metrics,
        )

    def decode(self, outputs: Tensor) -> list[Answer]:
        """One box, or none where it is probably not there. The certainty is that of there being one, or none."""
        kind, answers = Boxes(classes=self.classes), []
        for row in unstack_detections(outputs):
            assert row.scores is not None
            presence = float(row.scores[0])
            answers.append(Answer(row.take(row.scores > PRESENT), kind, max(presence, 1 - presence)))
        return answers

    def baselines(self, train: dict[str, Tensor], test: dict[str, Tensor]) -> dict[str, dict[str, float]]:
        """The mean box of the training pictures, as shares of them, and the class that most have."""
        given, places = train["targets"][:, 0].cpu(), train["places"].cpu()
        there = given[:, 4] >= 0
        sides = places[:, [1, 0, 1, 0]]
        box = (given[:, :4] / sides)[there].mean(dim=0)
        label = given[there, 4].long().bincount().argmax()
        edges = test["places"].cpu()[:, [1, 0, 1, 0]]
        rest = torch.tensor([float(label), float(there.float().mean())]).expand(len(edges), 2)
        answer = torch.cat([box * edges, rest], dim=1)[:, None]
        return {"the mean box": self.assess(answer, test["targets"].cpu()).metrics}

    def state(self) -> dict[str, Any]:
        labels = [[old, new] for old, new in self.labels.items()]
        return {"inputs": self.inputs.state(), "column": self.column, "classes": list(self.classes), "labels": labels}

    def restore(self, state: dict[str, Any]) -> None:
        self.inputs.restore(state["inputs"])
        self.column, self.classes = state["column"], tuple(state["classes"])
        self.labels = dict(state["labels"])
        self.num_outputs = 5 + len(self.classes)
