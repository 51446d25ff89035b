"""Rows that belong together, in several splits: the pictures of one patient, the sentences of one speaker.

What may be a group: a column named like one (patient, speaker, session, ...), or what stands before the number in the names of
files. It matters where the rows of a group are much more alike than others of the same class: the nearest training row of a test
row is of its own group far more often than the group's share of the class explains.
"""

from __future__ import annotations

import re

import numpy as np

from gradus.data.columns import Label, Number, Text
from gradus.data.dataset import Split
from gradus.doctor.case import Case, NotHere
from gradus.doctor.data_commands import LESSON
from gradus.doctor.finding import Finding
from gradus.doctor.rows import Rows, answers_of, rows_of
from gradus.doctor.simple import nearest, reduction

GROUP_NAMES = re.compile(
    r"(^|_)(id|ids|group|patient|subject|person|user|customer|client|speaker|writer|author|session|visit|drive|ride|video|clip|"
    r"scene|site|station|device|camera|batch|household|family|plot|donor|slide)s?(_?id|_?no|_?number|_?name)?($|_)",
    re.IGNORECASE,
)
NUMBERED = re.compile(r"^(.*?)[-_ ]?\d+\.\w+$")  # name-17.png
CUT = 0.3  # of the rows of a split whose group is in training too, from which on groups count as cut
ALIKE = 2.0  # times as often as by chance the nearest row is of the own group
LEAST = 0.15  # and in so many rows more than by chance
MOST = 2_000


def find_split_groups(case: Case) -> list[Finding]:
    """Groups of rows that are much alike and lie on both sides of a split."""
    split = next((name for name in ("test", "validation") if name in case.dataset.splits), None)
    if split is None or case.dataset.ordered:
        raise NotHere("there is no split, or it is one in time")
    groups = _groups(case, split)
    if not groups:
        raise NotHere("no column and no file names tell of groups")
    known, asked = rows_of(case, "train", MOST), rows_of(case, split, MOST)
    findings = []
    for name, (ours, theirs) in groups.items():
        if max(known.numbers, default=0) >= len(ours) or max(asked.numbers, default=0) >= len(theirs):
            continue
        cut = float(np.isin(theirs, np.unique(ours)).mean())
        if cut < CUT:
            continue
        same, chance = _alike(case, name, known, asked, ours[known.numbers], theirs[asked.numbers], split)
        case.measured.setdefault("groups", {})[name] = {"cut": cut, "nearest of the group": same, "by chance": chance}
        certain = 4 * np.sqrt(max(chance * (1 - chance), 1e-4) / len(asked))
        if same < ALIKE * chance or same < chance + max(LEAST, certain):
            continue
        findings.append(
            Finding(
                kind="split-groups",
                told=f"{100 * cut:.0f} % of the {split} rows have rows of their own {name} in training, and these are much "
                f"alike: the nearest training row is of the same {name} for {100 * same:.0f} % of rows, by chance for "
                f"{100 * chance:.0f} %",
                where=name,
                value=same,
                usual=f"each {name} lies in one split; or the nearest is of the same one no more often than by chance",
                strength=min(1.0, 0.4 + same - chance),
                command=LESSON,
                others=(f"split by {name}: all rows of one into the same split",),
            )
        )
    return findings


def _groups(case: Case, split: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """What may be a group -> the values of the training rows and of the split's."""
    found: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    train, other = case.dataset["train"], case.dataset[split]
    for name, kind in case.dataset.types.items():
        if (
            name in (case.dataset.target or "").split(",")
            or not GROUP_NAMES.search(name)
            or not isinstance(kind, Label | Number | Text)
        ):
            continue
        found[name] = _values(train, name), _values(other, name)
    ours, theirs = _prefixes(train), _prefixes(other)
    if ours is not None and theirs is not None:
        found["beginning of the file name"] = ours, theirs
    return {name: pair for name, pair in found.items() if _grouped(pair[0])}


def _values(split: Split, name: str) -> np.ndarray:
    kind, values = split[name].type, split[name].values
    if isinstance(kind, Label):
        return np.array([kind.classes[value] if value >= 0 else "" for value in values])
    return np.array([str(value) for value in values])


def _prefixes(split: Split) -> np.ndarray | None:
    if not isinstance(split.origins, list | tuple):
        return None
    found = [NUMBERED.match(str(origin).rsplit("/", 1)[-1]) for origin in split.origins]
    return np.array([match.group(1) for match in found if match]) if all(found) else None


def _grouped(values: np.ndarray) -> bool:
    """Whether there are several, most of more than one row."""
    _, counts = np.unique(values, return_counts=True)
    return 2 <= len(counts) <= len(values) / 2


def _alike(
    case: Case, name: str, known: Rows, asked: Rows, ours: np.ndarray, theirs: np.ndarray, split: str
) -> tuple[float, float]:
    """(share of rows whose nearest training row of the same class is of their group, that share by chance)."""
    known, asked = _without_column(known, name), _without_column(asked, name)
    reduce = reduction(known)
    references, queries = reduce(known.features), reduce(asked.features)
    try:
        own, other = answers_of(case, known, "train"), answers_of(case, asked, split)
        kinds = (own[0], other[0]) if own[1] else (np.zeros(len(ours)), np.zeros(len(theirs)))
    except NotHere:
        kinds = np.zeros(len(ours)), np.zeros(len(theirs))
    same, chance, total = 0.0, 0.0, 0
    for kind in np.unique(kinds[1]):
        mine, its = np.flatnonzero(kinds[0] == kind), np.flatnonzero(kinds[1] == kind)
        if len(mine) < 2 or len(np.unique(ours[mine])) < 2:
            continue
        near = nearest(queries[its], references[mine], 1)[1][:, 0]
        same += (ours[mine][near] == theirs[its]).sum()
        values, counts = np.unique(ours[mine], return_counts=True)
        share = dict(zip(values.tolist(), (counts / len(mine)).tolist(), strict=True))
        chance += sum(share.get(value, 0.0) for value in theirs[its].tolist())
        total += len(its)
    return (same / total, chance / total) if total else (0.0, 0.0)


def _without_column(rows: Rows, name: str) -> Rows:
    if name not in rows.columns:
        return rows
    kept = np.ones(rows.features.shape[1], dtype=bool)
    kept[rows.columns[name]] = False
    return Rows(rows.numbers, rows.features[:, kept], rows.kind)
