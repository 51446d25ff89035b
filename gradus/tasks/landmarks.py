"""Landmarks: where named points are on a picture (course notes §4.3.2). Any network for classes does.

The outputs: whether they are there (logits: none, one for all, or one a point), then x and y of each point, in the order of their
names, as shares of the picture from its middle. 64 points of a face and its presence are the notes' 129 numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from gradus.boxes.landmarks import CORNERS, Loss, corners_of, distances, point_loss, reference_lengths
from gradus.data.augment.follow import move_points
from gradus.data.augment.geometry import Warp
from gradus.data.augment.settings import AugmentSettings
from gradus.data.columns import Boxes, Column, Points
from gradus.data.dataset import Dataset, Split
from gradus.data.objects import checked_objects
from gradus.errors import UserError, unknown_name
from gradus.tasks.assessment import LandmarksAssessment
from gradus.tasks.encode import contents
from gradus.tasks.localization import largest_object
from gradus.tasks.places import PlaceTask, points_from_network, points_to_network
from gradus.tasks.scenes import SceneInputs, sizes_of
from gradus.tasks.targets import target_column
from gradus.tasks.task import Answer, Task

SHARES = (0.05, 0.1)  # of the length that errors are divided by, within which a point counts as found


@dataclass(frozen=True, kw_only=True)
class LandmarkOptions:
    """Which points, and how they are learnt."""

    loss: Loss = "wing"
    presence: Literal["auto", "none", "picture", "points"] = (
        "auto"  # auto: a point each, where training points are missing
    )
    normalize: Literal["picture", "points"] = (
        "picture"  # the diagonal that errors are divided by: of the picture, or of its points
    )
    # pairs of names that change places where a picture is mirrored: [["left_eye", "right_eye"]]; [] where none do
    flip_pairs: tuple[tuple[str, ...], ...] | None = None
    category: str = ""  # where the target has boxes: the points are the corners of the largest object of this category


class LandmarksTask(PlaceTask):
    """Pictures -> named points.

    Encoded: inputs uint8 (N, height, width, C); places (N, 6), see `scenes.py`; targets float32 (N, K + 1, 2): the points in
    pixels of the pictures, nan where they are not there, and the width and height of the picture. `prepare` gives (B, K + 2, 2):
    the points in shares of what the network sees, pixels of the picture that the whole of it is, and its size again. `collected`
    gives (B, K, 3): x, y in pixels of the picture, and the probability of being there.
    """

    directions = {"normalized_error": "min", "error_pixels": "min", "pck_0.05": "max", "pck_0.1": "max"}  # noqa: RUF012 - as of all tasks
    name = "landmarks"

    def __init__(self, inputs: SceneInputs, options: LandmarkOptions) -> None:
        super().__init__(inputs)
        self.options = options

    # ---- what is learnt

    def fit(self, dataset: Dataset) -> None:
        self.column = target_column(dataset)
        self.inputs.fit(dataset["train"], exclude=(self.column,))
        points = self._points(dataset["train"], sizes_of(dataset["train"][self.inputs.column]))
        there = np.isfinite(points).all(axis=2)
        if not there.any():
            raise UserError(f"target '{self.column}': there is no point in any training row")
        if self.options.normalize == "points" and len(self.names) < 2:
            raise UserError("normalize: one point has no extent; use normalize=picture")
        missing, presence = int((~there).sum()), self.options.presence
        self.presence = ("points" if missing else "none") if presence == "auto" else presence
        self.num_outputs = self._logits() + 2 * len(self.names)
        self._check_pairs()
        self.notes = [*self.inputs.notes, f"{len(self.names)} points a picture: {', '.join(self.names[:8])}"]
        if missing:
            self.notes.append(f"{missing:,} of {there.size:,} training points are not there; presence: {self.presence}")

    def _points(self, split: Split, sizes: Sequence[tuple[int, int]]) -> np.ndarray:
        """(N, K, 2) in pixels of pictures of these sizes (height, width). Sets `names`."""
        column = split[self.column]
        if isinstance(column.type, Boxes):
            self.names = tuple(CORNERS)
            return self._corners(column, column.type.classes, sizes)
        if not isinstance(column.type, Points):
            raise UserError(f"target '{self.column}' holds {contents(column)}: landmarks need points")
        if self.options.category:
            raise UserError("category: the target has points already; it is for a target of boxes")
        self.names = column.type.names
        points = np.asarray(column.values, dtype=np.float64)
        return np.where(np.isfinite(points).all(axis=2, keepdims=True), points, np.nan)

    def _corners(self, column: Column, classes: tuple[str, ...], sizes: Sequence[tuple[int, int]]) -> np.ndarray:
        wanted = self.options.category
        if not wanted:
            raise UserError(
                f"target '{self.column}' holds boxes: name the object whose corners are the landmarks with "
                f"task.options.category; categories: {', '.join(classes)}"
            )
        if wanted not in classes:
            raise unknown_name("category", wanted, classes)
        rows = np.stack(
            [largest_object(one, {classes.index(wanted): 0}) for one in checked_objects(list(column), sizes)[0]]
        )
        return np.where((rows[:, 4] >= 0)[:, None, None], corners_of(rows[:, :4]), np.nan)

    def _logits(self) -> int:
        return {"none": 0, "picture": 1, "points": len(self.names)}[self.presence]

    def _check_pairs(self) -> None:
        for pair in self.options.flip_pairs or ():
            if len(pair) != 2:
                raise UserError(f"flip_pairs: expected pairs of names, received {list(pair)}")
            for name in pair:
                if name not in self.names:
                    raise unknown_name("point", name, self.names)
        named = [name for pair in self.options.flip_pairs or () for name in pair]
        if len(set(named)) < len(named):
            raise UserError("flip_pairs: each name stands in one pair only")

    def _mirrored(self) -> list[int]:
        """For each point the one whose place it takes in a mirrored picture."""
        order = list(range(len(self.names)))
        for first, second in self.options.flip_pairs or ():
            one, other = self.names.index(first), self.names.index(second)
            order[one], order[other] = other, one
        return order

    def augmented(self, settings: AugmentSettings, train: dict[str, Any]) -> Task:
        if (settings.flip_horizontal or settings.flip_vertical) and self.options.flip_pairs is None:
            raise UserError(
                "augment.flip: in a mirrored picture a left eye is a right eye; say which points change places with "
                'task.options.flip_pairs=[["left_eye", "right_eye"]] ([] for none), or set the flips to 0'
            )
        return super().augmented(settings, train)

    def encode(self, split: Split, *, with_target: bool = True) -> dict[str, Any]:
        tensors = self.inputs.encode(split)
        if with_target:
            sizes = list(sizes_of(split[self.inputs.column]))
            edges = np.array([[width, height] for height, width in sizes])
            points = np.concatenate([self._points(split, sizes), edges[:, None]], axis=1)
            tensors["targets"] = torch.from_numpy(points.astype(np.float32))
        return tensors

    def prepare(self, batch: dict[str, Tensor], *, training: bool) -> tuple[Any, Any]:
        inputs, warp = self.inputs.prepare(batch["inputs"], self.augmentation if training else None)
        targets, places = batch.get("targets"), batch["places"]
        if targets is None:
            return inputs, None
        points = points_to_network(targets[:, :-1], places)
        if warp is not None:
            points = self._moved(points, warp)
        size = points.new_tensor(self.inputs.size[::-1])
        pixels = size / places[:, [3, 2]]
        return inputs, torch.cat([points / size, pixels[:, None], targets[:, -1:]], dim=1)

    def _moved(self, points: Tensor, warp: Warp) -> Tensor:
        """The points on the moved pictures: those outside are not there, and where it is mirrored pairs change places."""
        moved, inside = move_points(points, warp)
        moved = torch.where(inside[..., None], moved, torch.nan)
        mirrored = torch.linalg.det(warp.matrices[:, :, :2]) < 0
        return torch.where(mirrored[:, None, None], moved[:, self._mirrored()], moved)

    # ---- outputs

    def _read(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of presence (B, 0, 1 or K), and points (B, K, 2) in shares of what the network sees."""
        logits, points = outputs.float().split([self._logits(), 2 * len(self.names)], dim=1)
        return logits, points.unflatten(1, (-1, 2)) + 0.5

    def loss(self, outputs: Tensor, targets: Tensor, *, training: bool) -> Tensor:
        """The points' loss, and the logistic loss of the presence, times 0.3: places are the harder part."""
        logits, points = self._read(outputs)
        given = targets[:, : len(self.names)]
        loss = point_loss(points, given, self.options.loss)
        if logits.shape[1]:
            there = given.isfinite().all(dim=2)
            there = there.any(dim=1, keepdim=True) if self.presence == "picture" else there
            loss = loss + 0.3 * functional.binary_cross_entropy_with_logits(logits, there.float())
        return loss

    def _sums(self, found: Tensor, given: Tensor, sizes: Tensor) -> dict[str, Tensor]:
        """Over points in pixels: what the metrics are made of."""
        away = distances(found, given)
        normalized = away / reference_lengths(given, sizes, self.options.normalize)[:, None]
        sums = {"points": away.isfinite().sum(), "pixels": away.nansum(), "measured": normalized.isfinite().sum()}
        sums |= {"away": normalized.nansum(), **{f"near_{share}": (normalized <= share).sum() for share in SHARES}}
        return {name: value.double() if value.device.type == "cpu" else value.float() for name, value in sums.items()}

    def counts(self, outputs: Tensor, targets: Tensor, *, training: bool) -> dict[str, Tensor]:
        points, (given, pixels, sizes) = self._read(outputs)[1], targets.split([len(self.names), 1, 1], dim=1)
        return self._sums(points * pixels, given * pixels, sizes[:, 0])

    def metrics(self, totals: dict[str, np.ndarray], samples: int) -> dict[str, float]:
        points, measured = (max(float(totals[name]), 1) for name in ("points", "measured"))
        found = {"normalized_error": totals["away"] / measured, "error_pixels": totals["pixels"] / points}
        found |= {f"pck_{share}": totals[f"near_{share}"] / measured for share in SHARES}
        return {name: float(value) for name, value in found.items()}

    def collected(self, outputs: Tensor, batch: dict[str, Tensor]) -> Tensor:
        logits, points = self._read(outputs)
        size = points.new_tensor(self.inputs.size[::-1])
        points = points_from_network(points * size, batch["places"])
        chances = logits.sigmoid() if logits.shape[1] else points.new_ones(len(points), 1)
        return torch.cat([points, chances.expand(-1, len(self.names))[..., None]], dim=2)

    def assess(self, outputs: Tensor, targets: Tensor) -> LandmarksAssessment:
        found, given, sizes = outputs[..., :2], targets[:, :-1], targets[:, -1]
        sums = self._sums(found.double(), given.double(), sizes.double())
        metrics = self.metrics({name: value.numpy() for name, value in sums.items()}, len(found))
        if self._logits():
            said, there = outputs[..., 2] > 0.5, given.isfinite().all(dim=2)
            metrics["presence_accuracy"] = float((said == there).double().mean())
        return LandmarksAssessment(
            names=self.names, predictions=found.numpy(), targets=given.numpy(), sizes=sizes.numpy(), metrics=metrics
        )

    def decode(self, outputs: Tensor) -> list[Answer]:
        """Points that are probably not there become nan; the probabilities stand among the alternatives."""
        kind, answers = Points(names=self.names), []
        for row in outputs.numpy():
            points = np.where(row[:, 2:] > 0.5, row[:, :2], np.nan).astype(np.float64)
            chances = dict(zip(self.names, map(float, row[:, 2]), strict=True)) if self._logits() else {}
            answers.append(Answer(points, kind, None, chances))
        return answers

    def baselines(self, train: dict[str, Tensor], test: dict[str, Tensor]) -> dict[str, dict[str, float]]:
        """Every point at its mean place over the training pictures, as a share of them."""
        given, judged = train["targets"].cpu(), test["targets"].cpu()
        shares = torch.nan_to_num((given[:, :-1] / given[:, -1:]).nanmean(dim=0), nan=0.5)
        answer = torch.cat([shares * judged[:, -1:], torch.ones(len(judged), len(self.names), 1)], dim=2)
        return {"the mean places": self.assess(answer, judged).metrics}

    # ---- kept with a run

    def state(self) -> dict[str, Any]:
        return {
            "inputs": self.inputs.state(),
            "column": self.column,
            "names": list(self.names),
            "presence": self.presence,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.inputs.restore(state["inputs"])
        self.column, self.names, self.presence = state["column"], tuple(state["names"]), state["presence"]
        self.num_outputs = self._logits() + 2 * len(self.names)
