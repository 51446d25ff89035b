"""Is a split of another distribution than the training rows, and if so, was it only prepared in another way?

A classifier is taught to tell training rows from rows of the split (a two-sample test by a classifier, Lopez-Paz and Oquab 2017),
out of fold. Its area under the ROC curve is 0.5 where both are drawn alike; how far it strays by chance follows from the rows
(Mann and Whitney 1947). Where it tells them apart, the known ways of preparing rows otherwise are undone one by one: if undoing
one makes the two splits alike again, or nearly, that is what happened.

Rows in time drift by nature: there only another preparation counts, not a shift.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from gradus.data.splits import k_fold
from gradus.doctor.case import Case, NotHere
from gradus.doctor.data_commands import scan_command
from gradus.doctor.finding import Finding
from gradus.doctor.rows import Rows, described, rows_of

MOST = 400  # rows of each side
FOLDS, TREES = 3, 30
CELLS = 3  # a side, of which colours and edges are told: splits differ in the whole picture, not in a corner
FEWEST = 40
LARGE = {"pictures": 0.70, "numbers": 0.70, "texts": 0.75}  # areas from which on a difference costs accuracy
CERTAIN = 4.0  # deviations above 0.5
TOGETHER = 2.0  # times the deviation of independent scores: those of one classifier err together (measured on rows drawn alike)
UNDONE = 0.5  # of the way back to 0.5 that undoing a preparation must go
FACTOR = 4.0  # of scale, from which on a column is taken to be in other units
DIMMED = 1.5  # of the high levels of pictures, from which on a change of their range is tried
DISTINCT = 10  # values of a column, below which its scale says little
ONE_LINE = 0.97  # correlation of the quantiles of two samples of the same shape
PROPORTIONAL = 0.25  # deviation of the logarithms of the ratios of their quantiles
OFFSET = 8.0  # deviations of the training rows by which all of a column lies elsewhere
NAMED = 3


Pairs = dict[str, tuple[np.ndarray, ...]]  # what is compared -> its values in training and in the split


class Apart(NamedTuple):
    area: float
    deviation: float  # of the area where both sides are alike


class Undoing(NamedTuple):
    told: str  # what was done to the split, in words
    remedy: str
    undo: Callable[[np.ndarray], np.ndarray]


def find_shift(case: Case) -> list[Finding]:
    """Validation or test rows that a classifier tells from training rows; and whether a scale, an offset, an inversion or the
    order of the channels explains it."""
    known = rows_of(case, "train", MOST)
    findings: list[Finding] = []
    judged = False
    for split in ("validation", "test"):
        if split not in case.tensors:
            continue
        other = rows_of(case, split, MOST)
        if min(len(known), len(other)) < FEWEST:
            continue
        judged = True
        if known.pictures is not None and other.pictures is not None:
            findings += _of_pictures(case, split, known.pictures, other.pictures)
            continue
        told = _of_columns(case, known, other) if known.kind == "numbers" else None
        if told is not None:
            findings.append(_prepared(case, split, *told))
        elif not case.dataset.ordered:
            apart = told_apart(known.features, other.features)
            case.measured.setdefault("shift", {})[split] = apart.area
            if _is_large(apart, known.kind):
                findings.append(_shifted(case, split, apart, _differences(case, known, other)))
    if not judged:
        raise NotHere("there are too few rows outside training")
    return findings


def _is_large(apart: Apart, kind: str) -> bool:
    return apart.area > LARGE[kind] and apart.area > 0.5 + CERTAIN * apart.deviation


def told_apart(one: np.ndarray, other: np.ndarray) -> Apart:
    """How well a classifier tells rows (N, F) of one side from rows (M, F) of the other, out of fold."""
    from scipy import sparse
    from sklearn.metrics import roc_auc_score

    both = sparse.vstack([one, other], format="csr") if sparse.issparse(one) else np.concatenate([one, other])
    side = np.repeat([0, 1], [one.shape[0], other.shape[0]])
    scores = np.zeros(len(side))
    for kept, held in k_fold(len(side), FOLDS, 0, side):
        scores[held] = _scores(both[kept], side[kept], both[held])
    area = float(roc_auc_score(side, scores))
    deviation = TOGETHER * math.sqrt(
        (len(side) + 1) / (12 * one.shape[0] * other.shape[0])
    )  # of Mann and Whitney's statistic
    return Apart(area, deviation)


def _scores(features: np.ndarray, side: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Chance of the other side: by trees where there are few columns, by logistic regression of words where there are many."""
    from sklearn.ensemble import ExtraTreesClassifier
    from sklearn.feature_extraction.text import TfidfTransformer
    from sklearn.linear_model import LogisticRegression

    if isinstance(features, np.ndarray):
        trees = ExtraTreesClassifier(TREES, min_samples_leaf=3, class_weight="balanced", random_state=0)
        return trees.fit(features, side).predict_proba(asked)[:, 1]
    weights = TfidfTransformer(sublinear_tf=True).fit(features)
    model = LogisticRegression(C=1.0, class_weight="balanced").fit(weights.transform(features), side)
    return model.decision_function(weights.transform(asked))


def _shifted(case: Case, split: str, apart: Apart, differences: list[str]) -> Finding:
    most = "; ".join(differences[:NAMED])
    return Finding(
        kind="shift",
        told=f"a simple classifier tells {split} rows from training rows with an area under the ROC curve of {apart.area:.2f} "
        f"(0.5: alike){': ' if most else ''}{most}",
        where=f"{split} rows",
        value=apart.area,
        usual=f"0.5, by chance up to {0.5 + CERTAIN * apart.deviation:.2f} with so many rows",
        strength=min(1.0, 0.3 + apart.area - 0.5 + (split == "validation") * 0.05),
        command=scan_command(case),
        others=("draw all splits from the same rows at random, unless this difference is what the model will meet",),
    )


def _differences(case: Case, known: Rows, other: Rows) -> list[str]:
    """The columns that differ most in the mean, in words; of texts their length."""
    if known.kind == "texts":
        return _ordered({"words": tuple(np.asarray(rows.features.sum(axis=1)).ravel() for rows in (known, other))})
    pairs: Pairs = {}
    for name, places in known.columns.items():
        in_units = _numbers_of(case, name)
        pairs[f"column '{name}'"] = tuple(in_units(rows.features[:, places.start]) for rows in (known, other))
    return _ordered(pairs)


def _ordered(pairs: Pairs) -> list[str]:
    """What differs by a fifth of a deviation of the training rows and more, in words, the most first."""
    effects = []
    for name, (ours, theirs) in pairs.items():
        effect = abs(theirs.mean() - ours.mean()) / max(float(ours.std()), 1e-9)
        effects.append((effect, f"{name} {theirs.mean():.3g} on average, in training {ours.mean():.3g}"))
    return [told for size, told in sorted(effects, reverse=True) if size > 0.2]


def _statistics(pictures: np.ndarray) -> dict[str, np.ndarray]:
    """Of each picture (N, H, W, C), levels 0 to 255."""
    grey = pictures.astype(np.float32).mean(axis=3)
    found = {"brightness": grey.mean(axis=(1, 2)), "contrast": grey.std(axis=(1, 2))}
    found["fine detail"] = np.abs(np.diff(grey, axis=2)).mean(axis=(1, 2))
    return found


def _numbers_of(case: Case, name: str) -> Callable[[np.ndarray], np.ndarray]:
    """Standardised values of a column -> its own units."""
    reader = getattr(case.task, "inputs", None)
    numbers = getattr(getattr(reader, "table", reader), "numbers", {})
    scale = numbers.get(name, {"mean": 0.0, "deviation": 1.0})
    return lambda values: values.astype(np.float64) * scale["deviation"] + scale["mean"]


# ------------------------------------------------------------ another preparation


def _prepared(case: Case, split: str, told: str, remedy: str, value: float) -> Finding:
    return Finding(
        kind="other-preparation",
        told=f"{split} rows were prepared in another way than training rows: {told}",
        where=f"{split} rows",
        value=value,
        usual="the same scale, colours and order in all splits",
        strength=1.0 if split == "test" else 0.95,
        command=scan_command(case),
        others=(remedy,),
    )


def _of_pictures(case: Case, split: str, ours: np.ndarray, theirs: np.ndarray) -> list[Finding]:
    """What was done to the other pictures, where undoing it makes them alike; otherwise that they differ."""
    top = int(theirs.max())
    if top <= 2 and ours.max() >= 32:
        told = f"their pixels go to {top}, those of training to {ours.max()}: {ours.max() / max(top, 1):.0f} times as large"
        return [_prepared(case, split, told, "bring all pictures to the same range", top / float(ours.max()))]
    seen = described_and_levels(ours)
    before = told_apart(seen, described_and_levels(theirs))
    case.measured.setdefault("shift", {})[split] = before.area
    if not _is_large(before, "pictures"):
        return []
    best, after = None, before
    for undoing in _undoings(ours, theirs):
        apart = told_apart(seen, described_and_levels(undoing.undo(theirs)))
        if apart.area < after.area:
            best, after = undoing, apart
    if best is not None and after.area - 0.5 < UNDONE * (before.area - 0.5):
        areas = (
            f"told apart with an area under the ROC curve of {before.area:.2f}, once this is undone of {after.area:.2f}"
        )
        return [_prepared(case, split, f"{best.told} ({areas})", best.remedy, before.area)]
    statistics = _statistics(ours), _statistics(theirs)
    pairs: Pairs = {name: (statistics[0][name], statistics[1][name]) for name in statistics[0]}
    return [_shifted(case, split, before, _ordered(pairs))]


def described_and_levels(pictures: np.ndarray) -> np.ndarray:
    """(N, F): pooled colours, edges, and the levels, contrast and colours of whole pictures."""
    wide = pictures.astype(np.float32)
    means = wide.mean(axis=(1, 2))
    whole = [means, wide.std(axis=(1, 2)), wide.max(axis=(1, 2)), means - means.mean(axis=1, keepdims=True)]
    return np.concatenate([described(wide, CELLS), *(part / 255 for part in whole)], axis=1)


def _undoings(ours: np.ndarray, theirs: np.ndarray) -> list[Undoing]:
    """What may have been done to the other pictures, as told by their levels."""
    found = []
    scale = _scale_of(ours, theirs)
    if not 1 / DIMMED < scale < DIMMED:
        found.append(
            Undoing(
                f"their pixels are {_times(scale)} those of training",
                f"bring all pictures to the same range: multiply those by {1 / scale:.3g}",
                lambda pictures: np.clip(pictures / scale, 0, 255),
            )
        )
    found.append(Undoing("they are inverted (255 - x)", "invert them back: 255 - x", lambda pictures: 255.0 - pictures))
    if ours.shape[3] == 3:
        found.append(
            Undoing(
                "their channels are in the order BGR",
                "reverse the order of their channels",
                lambda pictures: pictures[..., ::-1],
            )
        )
    if theirs.shape[1] == theirs.shape[2]:
        found.append(
            Undoing("rows and columns are exchanged", "transpose them", lambda pictures: pictures.swapaxes(1, 2))
        )
    found.append(Undoing("they stand on their heads", "flip them upside down", lambda pictures: pictures[:, ::-1]))
    return found


def _scale_of(ours: np.ndarray, theirs: np.ndarray) -> float:
    """By how much the high levels of the others are those of ours; of the high ones, since 0 stays 0."""
    return float(np.quantile(theirs, 0.99) / max(np.quantile(ours, 0.99), 1e-9)) or 1e-9


def _times(scale: float) -> str:
    return f"{scale:.3g} times" if scale >= 1 else f"{1 / scale:.3g} times smaller than"


def _of_columns(case: Case, known: Rows, other: Rows) -> tuple[str, str, float] | None:
    """(which columns are in other units, the remedy, the factor of the first)."""
    told, factors = [], []
    for name, places in known.columns.items():
        in_units = _numbers_of(case, name)
        ours, theirs = (in_units(rows.features[:, places.start]) for rows in (known, other))
        if min(len(np.unique(ours)), len(np.unique(theirs))) >= DISTINCT and _in_other_units(ours, theirs):
            factors.append(theirs.std() / max(ours.std(), 1e-12))
            means = f"mean {theirs.mean():.3g}, deviation {theirs.std():.3g}; in training {ours.mean():.3g} and {ours.std():.3g}"
            told.append(f"column '{name}' has {means}")
    if not told:
        return None
    more = f", and {len(told) - NAMED} more columns" if len(told) > NAMED else ""
    remedy = "prepare the raw rows of all splits alike, by the statistics of the training rows"
    return "; ".join(told[:NAMED]) + more, remedy, float(factors[0])


def _in_other_units(ours: np.ndarray, theirs: np.ndarray) -> bool:
    """Whether two samples have the same shape but one is standardised, multiplied by a factor, or moved far away.

    A selection of rows changes the shape: quantiles of the two samples then do not lie on one line (through 0 for a factor).
    """
    at = np.linspace(0.05, 0.95, 19)
    quantiles = np.quantile(ours, at), np.quantile(theirs, at)
    if min(np.ptp(one) for one in quantiles) <= 0 or np.corrcoef(*quantiles)[0, 1] < ONE_LINE:
        return False
    factor = np.ptp(quantiles[1]) / np.ptp(quantiles[0])
    offset = abs(np.median(theirs) - np.median(ours)) / ours.std()
    if _is_standardised(ours) != _is_standardised(theirs) and (not 1 / 3 < factor < 3 or offset > 3):
        return True
    if all((one > 0).all() or (one < 0).all() for one in quantiles) and not 1 / FACTOR < factor < FACTOR:
        ratios = np.log(np.abs(quantiles[1] / quantiles[0]))
        return bool(ratios.std() < PROPORTIONAL and abs(ratios.mean()) > np.log(FACTOR))
    return bool(1 / 2 < factor < 2 and offset > OFFSET)


def _is_standardised(values: np.ndarray) -> bool:
    """About 0 on average, about 1 apart, on both sides of 0."""
    below = (values < 0).mean()
    return bool(abs(values.mean()) < 0.3 and 0.6 < values.std() < 1.6 and 0.2 < below < 0.9)
