"""Object detection: which things are where. The network answers with `Predictions`; answers are in pixels of the picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gradus.boxes.anchors import kmeans_anchors
from gradus.boxes.average_precision import best_score_from_counts, pool_metrics, precision_from_counts
from gradus.boxes.matching import match_counts
from gradus.boxes.targets import stack_objects, unstack_detections, unstack_objects
from gradus.data.augment.follow import LEAST_SEEN, move_boxes
from gradus.data.columns import Boxes
from gradus.data.dataset import Dataset, Split
from gradus.data.objects import checked_objects, fault_notes
from gradus.errors import UserError
from gradus.models.detection.predictions import Predictions, ProposedPictures
from gradus.tasks.assessment import DetectionAssessment
from gradus.tasks.encode import contents
from gradus.tasks.proposals import proposals_of
from gradus.tasks.scene_task import SceneTask
from gradus.tasks.scenes import SceneInputs, from_network, move_objects, sizes_of, to_network
from gradus.tasks.targets import target_column
from gradus.tasks.task import Answer

USUAL_SCORE = 0.3  # of boxes that are told, where no validation picture says better


@dataclass(frozen=True, kw_only=True)
class BoxOptions:
    """How boxes are learnt and told."""

    # usual sizes of boxes that are looked for in the training pictures, for networks that begin with some
    anchors: int = 6
    # of the boxes that `gradus predict` tells; None: the score with the best F1 on the validation pictures. Measured are all
    least_score: float | None = None
    # boxes a picture that selective search gives to detectors that take them; 0: as many as the model wants
    proposals: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.proposals <= 10_000:
            raise UserError(f"proposals: expected 0 to 10,000 boxes a picture, received {self.proposals}")
        if self.anchors < 1:
            raise UserError(f"anchors: expected a whole number above 0, received {self.anchors}")


class DetectionTask(SceneTask):
    """Pictures -> boxes with classes and scores.

    Encoded: inputs uint8 (N, height, width, C); places (N, 6), see `scenes.py`; targets float32 (N, M, 6) in pixels of the
    pictures, see `boxes/targets.py`; with the option `proposals` also proposals float32 (N, P, 4), see `proposals.py`. The
    network sees boxes in its own pixels, and `collected` brings detections back.
    """

    directions = {"map50": "max"}  # noqa: RUF012 - as of all tasks
    name = "object-detection"
    best_score: float | None = None

    def __init__(self, inputs: SceneInputs, options: BoxOptions) -> None:
        super().__init__(inputs)
        self.options = options

    def fit(self, dataset: Dataset) -> None:
        self.column = target_column(dataset)
        column = dataset["train"][self.column]
        if not isinstance(column.type, Boxes):
            raise UserError(f"target '{self.column}' holds {contents(column)}: object detection needs boxes")
        self.classes = column.type.classes
        if not any(len(row) for row in column):
            raise UserError(f"target '{self.column}': there is no box in any training row")
        self.inputs.fit(dataset["train"], exclude=(self.column,))
        self.anchors = self._usual_sizes(dataset["train"])
        self.notes = [*self.inputs.notes, *self._faults(dataset)]

    def _faults(self, dataset: Dataset) -> list[str]:
        """What is not learnt or counted as it stands in the data, over all splits."""
        faults: Counter[str] = Counter()
        for split in dataset.splits.values():
            faults += checked_objects(list(split[self.column]), sizes_of(split[self.inputs.column]))[1]
        return fault_notes(faults)

    def _usual_sizes(self, split: Split) -> list[list[float]]:
        """Width and height, in the network's pixels, that the counted boxes of a split gather around, by rising area."""
        found = []
        sizes_of_rows = sizes_of(split[self.inputs.column])
        checked, _ = checked_objects(list(split[self.column]), sizes_of_rows)
        for one, (height, width) in zip(checked, sizes_of_rows, strict=True):
            down, across = self.inputs.place(height, width)[2:4]
            boxes = one.boxes[~one.ignored]
            found.append((boxes[:, 2:] - boxes[:, :2]) * [across, down])
        sizes = np.concatenate(found)
        sizes = sizes[(sizes > 0).all(axis=1)]
        if not len(sizes):
            raise UserError(f"target '{self.column}': no box of the training rows has an area and counts")
        count = min(self.options.anchors, len(np.unique(sizes, axis=0)))
        return [[round(side, 2) for side in one] for one in kmeans_anchors(torch.from_numpy(sizes), count).tolist()]

    def encode(self, split: Split, *, with_target: bool = True) -> dict[str, Any]:
        tensors = self.inputs.encode(split)
        if self.options.proposals:
            tensors["proposals"], note = proposals_of(split[self.inputs.column], self.options.proposals)
            self.notes += [note] if note else []
        if with_target:
            sizes = tensors["places"][:, :2].numpy()
            tensors["targets"] = stack_objects(checked_objects(list(split[self.column]), sizes)[0])
        return tensors

    def prepare(self, batch: dict[str, Tensor], *, training: bool) -> tuple[Any, Any]:
        inputs, warp = self.inputs.prepare(batch["inputs"], self.augmentation if training else None)
        objects = batch.get("targets")
        if objects is not None:
            objects = torch.cat([to_network(objects[..., :4], batch["places"]), objects[..., 4:]], dim=2)
            objects = move_objects(objects, warp)
        if "proposals" not in batch:
            return inputs, objects
        proposals = to_network(batch["proposals"], batch["places"])
        if warp is not None:
            proposals, seen = move_boxes(proposals, warp)
            proposals = proposals * (seen >= LEAST_SEEN)[..., None]
        return ProposedPictures(inputs, proposals), objects

    def loss(self, outputs: Predictions, targets: Tensor, *, training: bool) -> Tensor:  # type: ignore[override]
        return outputs.loss(targets)

    def counts(self, outputs: Predictions, targets: Tensor, *, training: bool) -> dict[str, Tensor]:
        """The parts of the loss; and in evaluation what average precision is made of."""
        found = {f"{name}_loss": value * len(outputs) for name, value in (outputs.parts or {}).items()}
        if not training:
            found |= match_counts(outputs.detections(), targets, len(self.classes))
        return found

    def metrics(self, totals: dict[str, np.ndarray], samples: int) -> dict[str, float]:
        """map50 and the best score by binned scores: within a thousandth of the exact ones."""
        found = {name: float(value / samples) for name, value in totals.items() if name.endswith("_loss")}
        if "objects" not in totals:
            return found
        by_class = precision_from_counts(totals["right"], totals["wrong"], totals["objects"])
        found["map50"] = float(np.nanmean(by_class)) if np.isfinite(by_class).any() else 0.0
        best = best_score_from_counts(totals["right"], totals["wrong"], totals["objects"])
        return found if best is None else {**found, "best_score": best}

    def check_outputs(self, outputs: Any, rows: int, model: str) -> None:
        if not isinstance(outputs, Predictions):
            raise UserError(f"model {model} is no detector")

    def collected(self, outputs: Predictions, batch: dict[str, Tensor]) -> Tensor:
        """Detections (B, K, 6) in pixels of the pictures."""
        found = outputs.detections().float()
        return torch.cat([from_network(found[..., :4], batch["places"]), found[..., 4:]], dim=2)

    def assess(self, outputs: Tensor, targets: Tensor) -> DetectionAssessment:
        found, given = unstack_detections(outputs), unstack_objects(targets)
        assessment = DetectionAssessment(classes=self.classes, predictions=found, targets=given)
        assessment.metrics.update(pool_metrics(assessment.pool))
        return assessment

    @property
    def least_score(self) -> float:
        """From which on boxes are told."""
        if self.options.least_score is not None:
            return self.options.least_score
        return USUAL_SCORE if self.best_score is None else self.best_score

    def use_record(self, record: Mapping[str, Any]) -> None:
        self.best_score = record.get("validation_best_score")

    def decode(self, outputs: Tensor) -> list[Answer]:
        kind = Boxes(classes=self.classes)
        rows = unstack_detections(outputs)
        return [Answer(row.take(row.scores >= self.least_score), kind) for row in rows]  # type: ignore[operator]

    def baselines(self, train: dict[str, Tensor], test: dict[str, Tensor]) -> dict[str, dict[str, float]]:
        from gradus.tasks.scene_baselines import same_boxes

        answer = same_boxes(train, test["places"], len(self.classes))
        return {"the same boxes on every picture": self.assess(answer, test["targets"]).metrics}

    def model_options(self) -> dict[str, Any]:
        return {
            "in_channels": len(self.inputs.mean),
            "num_classes": len(self.classes),
            "picture_size": list(self.inputs.size),
            "anchors": self.anchors,
        }

    def state(self) -> dict[str, Any]:
        return {
            "inputs": self.inputs.state(),
            "column": self.column,
            "classes": list(self.classes),
            "anchors": self.anchors,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.inputs.restore(state["inputs"])
        self.column, self.classes, self.anchors = state["column"], tuple(state["classes"]), state["anchors"]
