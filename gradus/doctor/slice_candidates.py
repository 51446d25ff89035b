"""Groups of rows that may have more mistakes than the rest: by columns, pictures, texts, times, classes, what the network holds.

A group is named in words that a reader can check, never by a number of ours alone.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gradus.data.columns import Boxes, Image, Label, Labels, Number, Text, Time
from gradus.data.dataset import Split
from gradus.doctor.error_table import ErrorTable
from gradus.doctor.picture_facts import picture_facts
from gradus.errors import UserError
from gradus.models.stages import head_of
from gradus.recipes.run import Run

MOST_CLASSES = 50  # of a column; what has more is nearer to a name than to a group
SEASONS = ("winter (Dec to Feb)", "spring (Mar to May)", "summer (Jun to Aug)", "autumn (Sep to Nov)")
CLUSTER_ROWS = 150  # rows a cluster, about


@dataclass(frozen=True)
class Slice:
    """Some of the rows. about: which, in words; family: what they were grouped by; rows: bool (N,)."""

    about: str
    family: str
    rows: np.ndarray

    def __and__(self, other: Slice) -> Slice:
        return Slice(f"{self.about} and {other.about}", f"{self.family} x {other.family}", self.rows & other.rows)


def candidates(run: Run, table: ErrorTable, rows: np.ndarray, *, clusters: bool = True) -> list[Slice]:
    """All groups of the rows of these numbers; the masks are over `rows`. clusters: those of what the network holds, too."""
    found = _by_class(table, rows)
    if table.rows is not None:
        found += _by_columns(table.rows, rows, set(run.task.target_column.split(",")))
    features = embedding(run, table.split, rows) if clusters else None
    return found + ([] if features is None else _by_cluster(features, table, rows))


def _by_class(table: ErrorTable, rows: np.ndarray) -> list[Slice]:
    found = []
    for values, words in ((table.truth, "of class"), (table.answers, "answered as")):
        if values is not None:
            mine = values[rows]
            found += [
                Slice(f"{words} {name}", words, mine == number)
                for number, name in enumerate(table.classes[:MOST_CLASSES])
                if (mine == number).any()
            ]
    return found


def _by_columns(split: Split, rows: np.ndarray, targets: set[str]) -> list[Slice]:
    found: list[Slice] = []
    for name, column in split.columns.items():
        kind = column.type
        if name in targets:
            if isinstance(kind, Boxes):
                found += _by_objects([column[row] for row in rows])
            elif isinstance(kind, Labels):
                holds = np.asarray(column.values)[rows]
                found += [Slice(f"with label {one}", "label", holds[:, i]) for i, one in enumerate(kind.classes)]
        elif isinstance(kind, Label):
            values = np.asarray(column.values)[rows]
            found += [
                Slice(f"{name} is {kind.classes[value] if value >= 0 else 'missing'}", name, values == value)
                for value in (np.unique(values) if len(kind.classes) <= MOST_CLASSES else ())
            ]
        elif isinstance(kind, Number):
            found += by_number(name, np.asarray(column.values, dtype=np.float64)[rows])
        elif isinstance(kind, Text):
            found += _by_text(name, [column[row] for row in rows])
        elif isinstance(kind, Time):
            found += _by_time(name, np.asarray(column.values)[rows])
        elif isinstance(kind, Image):
            for fact, numbers in picture_facts(column, rows).items():
                found += by_number(fact, numbers)
    return found


def by_number(name: str, values: np.ndarray) -> list[Slice]:
    """Quarters of the values, the lowest and the highest tenth, and those that are missing; few values stand for themselves."""
    found, missing = [], ~np.isfinite(values)
    if missing.any():
        found.append(Slice(f"{name} is missing", name, missing))
    known = values[~missing]
    levels = np.unique(known)
    if len(levels) < 2:
        return found
    if len(levels) <= 6:
        return found + [Slice(f"{name} is {level:.4g}", name, values == level) for level in levels]
    cuts = np.quantile(known, (0.1, 0.25, 0.5, 0.75, 0.9))
    low, first, half, third, high = (float(cut) for cut in cuts)
    found += [
        Slice(f"{name} at most {low:.4g}", name, values <= low),
        Slice(f"{name} at most {first:.4g}", name, values <= first),
        Slice(f"{name} from {first:.4g} to {half:.4g}", name, (values > first) & (values <= half)),
        Slice(f"{name} from {half:.4g} to {third:.4g}", name, (values > half) & (values <= third)),
        Slice(f"{name} above {third:.4g}", name, values > third),
        Slice(f"{name} above {high:.4g}", name, values > high),
    ]
    return found


def _by_text(name: str, texts: list[str]) -> list[Slice]:
    """By length, and by how many of its words are in no other of the texts."""
    words = [re.findall(r"\w+", text.lower()) for text in texts]
    known = Counter(word for one in words for word in set(one))
    lengths = np.array([len(one) for one in words], dtype=np.float64)
    rare = np.array([sum(known[word] == 1 for word in one) for one in words]) / np.maximum(lengths, 1)
    return by_number(f"words of {name}", lengths) + by_number(f"share of rare words of {name}", rare)


def _by_time(name: str, times: np.ndarray) -> list[Slice]:
    known = ~np.isnat(times)
    seconds = np.where(known, times, np.datetime64(0, "s")).astype("datetime64[s]").astype(np.int64)
    hour, day = seconds // 3600 % 24, (seconds // 86_400 + 3) % 7  # 1 January 1970 was a Thursday
    month = np.where(known, times, np.datetime64(0, "s")).astype("datetime64[M]").astype(np.int64) % 12
    found = []
    if len(np.unique(hour[known])) > 1:
        found += [
            Slice(f"{name} from {start} to {start + 4} o'clock", f"hour of {name}", known & (hour // 4 * 4 == start))
            for start in range(0, 24, 4)
        ]
    if len(np.unique(day[known])) > 1:
        found.append(Slice(f"{name} at the weekend", f"day of {name}", known & (day >= 5)))
    if len(np.unique(month[known])) > 3:
        seasons = (month + 1) % 12 // 3
        found += [
            Slice(f"{name} in {season}", f"season of {name}", known & (seasons == i))
            for i, season in enumerate(SEASONS)
        ]
    return [one for one in found if one.rows.any()]


def _by_objects(objects: list[Any]) -> list[Slice]:
    """Pictures by how many objects they hold and how small the smallest is (the root of its area, in pixels)."""
    numbers = np.array([len(one) for one in objects], dtype=np.float64)
    sizes = np.full(len(objects), np.nan)
    for row, one in enumerate(objects):
        if len(one):
            sides = np.maximum(one.boxes[:, 2:] - one.boxes[:, :2], 0)
            sizes[row] = np.sqrt(sides.prod(axis=1).min())
    return by_number("number of objects", numbers) + by_number("size of the smallest object", sizes)


def embedding(run: Run, split: str, rows: np.ndarray) -> np.ndarray | None:
    """(rows, F) what the last layer with weights is given; maps and sequences by their means. None where rows have no one
    vector there, or are others than those of the split."""
    model, tensors = run.model, run.experiment.tensors[split]
    if len(tensors["targets"]) <= rows.max():
        return None
    try:
        head = model.get_submodule(head_of(model))
    except (UserError, IndexError, AttributeError, KeyError):
        return None
    caught: list[Tensor] = []

    def catch(module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        held = arguments[0].detach().float()
        caught.append(held.flatten(2).mean(dim=2) if held.ndim == 4 else held.mean(dim=1) if held.ndim == 3 else held)

    handle = head.register_forward_pre_hook(catch)
    try:
        run.outputs({name: tensor[torch.as_tensor(rows)] for name, tensor in tensors.items()})
    finally:
        handle.remove()
    features = torch.cat(caught).cpu().numpy() if caught else np.zeros((0, 1))
    return features if features.shape[0] == len(rows) and features.ndim == 2 else None


def _by_cluster(features: np.ndarray, table: ErrorTable, rows: np.ndarray) -> list[Slice]:
    """Groups of rows that the network holds alike (k-means), each named by the row nearest to its middle and its commonest
    class."""
    from sklearn.cluster import KMeans

    groups = int(np.clip(len(rows) // CLUSTER_ROWS, 2, 16))
    scale = np.maximum(features.std(axis=0), 1e-6)
    wide = (features - features.mean(axis=0)) / scale
    if len(rows) < 2 * CLUSTER_ROWS or len(np.unique(wide, axis=0)) <= groups:
        return []
    fitted = KMeans(groups, n_init=2, random_state=0).fit(wide)
    found = []
    for group in range(groups):
        mine = fitted.labels_ == group
        nearest = np.flatnonzero(mine)[np.argmin(((wide[mine] - fitted.cluster_centers_[group]) ** 2).sum(axis=1))]
        words = f"like {table.split}:{rows[nearest]}"
        if table.truth is not None:
            counts = np.bincount(table.truth[rows][mine], minlength=len(table.classes))
            share = counts.max() / counts.sum()
            words += f", {100 * share:.0f} % of them {table.classes[counts.argmax()]}"
        found.append(Slice(words, "what the network holds", mine))
    return found
