"""Rows that are in two splits: the same, or almost the same; and equal rows with different labels.

Equal are rows whose encoded pictures, texts (but for case and white space) or input values are. Rows of a table of few values
are equal by chance: there as many must be expected as the training rows have among themselves; of other tables as many as
rows that are made up of the training rows have among these (`made_up.py`). One number, alone or beside classes, does not tell
a copy from an equal value: where training rows have twins among themselves, nothing is said of others.

Almost equal are rows far nearer to one training row than to others: the nearest is at less than a share r of the distance of the
tenth (Lowe's ratio test). Among rows that were drawn independently that happens with probability 1 - (1 - r^D)^9, where D is
the dimension that the rows fill (estimated by Levina and Bickel's likelihood from the distances themselves), so r follows from
the chance of one in a thousand. Categories, rounded and missing values part rows of a table as no dimension tells, so as
many are allowed for as made-up rows have. Texts are compared by their runs of four words.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from gradus.data.columns import Column, Label, Number, Text
from gradus.data.images import EncodedImages
from gradus.doctor.case import Case, NotHere
from gradus.doctor.data_commands import scan_command
from gradus.doctor.finding import Finding
from gradus.doctor.made_up import made_up
from gradus.doctor.rows import rows_of
from gradus.doctor.simple import nearest
from gradus.tasks.assessment import ClassAssessment
from gradus.tasks.rows import EncodedRows

SHARE = 0.01  # of a split, from which on it counts
SHARE_NEAR = 0.03  # likewise of almost equal ones: CIFAR-10 itself has as many (Barz and Denzler 2020)
FEWEST = 3  # rows
CHANCE = 1e-6
TIMES = 2.0  # as many equal rows as made-up ones have: columns go together a little more in the data
MOST_KNOWN, MOST_ASKED = 20_000, 1_500  # training rows that are compared with, rows of a split that are
TENTH = 10
RATIO_CHANCE = 1e-3  # that a row is so much nearer to one row than to the tenth by chance
LARGEST_RATIO = 0.5
SIDE = 8  # pixels that pictures are averaged down to before they are compared: little changes when they move by one
TEXTS_KNOWN, WORDS_KNOWN, RUN = 5_000, 200, 4
SHORT_TEXT = 12  # words below which texts are equal by chance
FEW_WORDS = 300  # different ones in 500 texts, below which they are made by rules


def find_shared_rows(case: Case) -> list[Finding]:
    """Rows of validation or test that are training rows too: they measure memory."""
    train = codes_of(case, "train")
    known = dict(zip(reversed(train), reversed(range(len(train))), strict=True))
    findings = []
    for split in ("test", "validation"):
        if split not in case.tensors:
            continue
        codes = codes_of(case, split)
        shared = [row for row, code in enumerate(codes) if code in known]
        share = len(shared) / len(codes)
        case.measured.setdefault("shared rows", {})[split] = share
        if len(shared) < FEWEST or share < SHARE or not _above(len(shared), len(codes), _equal_by_chance(case)):
            continue
        first = shared[0]
        findings.append(
            Finding(
                kind="shared-rows",
                told=f"{len(shared):,} of {len(codes):,} {split} rows ({100 * share:.0f} %) are training rows too: "
                f"{split} row {first} is training row {known[codes[first]]}{_flattery(case, split, shared)}",
                where=f"{split} rows",
                value=share,
                usual="none; a few in a thousand in large collections",
                strength=min(1.0, 0.6 + 2 * share + (split == "test") * 0.1),
                command=scan_command(case),
                others=(f"take these rows out of the training rows, or out of {split}",),
                rows={split: shared[:20]},
            )
        )
    return findings


def find_near_duplicates(case: Case) -> list[Finding]:
    """Rows of validation or test that are almost training rows: another copy of a picture, a text with a few words changed."""
    if case.dataset.ordered:
        raise NotHere("rows in time are near each other by nature")
    findings = []
    for split in ("test", "validation"):
        if split not in case.tensors:
            continue
        asked = case.rows_of(split, MOST_ASKED)
        equal = set(codes_of(case, "train"))
        codes = codes_of(case, split)
        other = np.array([codes[row] not in equal for row in asked])
        near, partner, limit = _near(case, split, asked)
        shared = asked[near & other]
        share = len(shared) / len(asked)
        case.measured.setdefault("near duplicates", {})[split] = {"share": share, "limit": limit}
        if len(shared) < FEWEST or share < SHARE_NEAR or not _above(len(shared), len(asked), 2 * RATIO_CHANCE):
            continue
        by_chance = case.once("almost equal by chance", partial(_near_by_chance, case, limit))
        case.measured["near duplicates"][split]["by chance"] = by_chance
        if not _above(len(shared), len(asked), by_chance):
            continue
        first = int(shared[0])
        of = f" (of {len(asked):,} looked at)" if len(asked) < len(codes) else ""
        findings.append(
            Finding(
                kind="near-duplicates",
                told=f"{len(shared):,} {split} rows{of}, {100 * share:.0f} %, are almost training rows: {split} row {first} is "
                f"far nearer to training row {int(partner[np.flatnonzero(asked == first)[0]])} than to any other"
                f"{_flattery(case, split, shared.tolist())}",
                where=f"{split} rows",
                value=share,
                usual=f"below {100 * SHARE_NEAR:g} % of rows at less than {limit:.2f} of the distance of the tenth nearest",
                strength=min(1.0, 0.5 + 2 * share + (split == "test") * 0.1),
                command=scan_command(case),
                others=(f"split by what the rows are copies of, or take these rows out of {split}",),
                rows={split: shared[:20].tolist()},
            )
        )
    return findings


def find_label_conflicts(case: Case) -> list[Finding]:
    """Training rows that are equal and are called by different names."""
    classes = case.classes
    if not _is_rich(case):
        raise NotHere("rows of few values are equal by chance, with different labels")
    codes, labels = codes_of(case, "train"), case.targets("train")
    given: dict[Any, set[int]] = {}
    for code, label in zip(codes, labels.tolist(), strict=True):
        given.setdefault(code, set()).add(label)
    rows = [row for row, code in enumerate(codes) if len(given[code]) > 1]
    share = len(rows) / len(codes)
    case.measured["label conflicts"] = share
    if len(rows) < 2 * FEWEST or share < SHARE or not _above(len(rows), len(codes), _equal_by_chance(case)):
        return []
    names = [classes[label] for label in sorted(given[codes[rows[0]]])]
    return [
        Finding(
            kind="label-conflicts",
            told=f"{len(rows):,} of {len(codes):,} training rows ({100 * share:.1f} %) have an equal row with another label: row "
            f"{rows[0]} is called {' and '.join(repr(name) for name in names[:3])}",
            where="training labels",
            value=share,
            usual=f"below {100 * SHARE:g} %",
            strength=min(1.0, 0.4 + 3 * share),
            command=scan_command(case),
            rows={"train": rows[:20]},
        )
    ]


# ------------------------------------------------------------ equal rows


def codes_of(case: Case, split: str) -> list[Any]:
    """For each row of a split a value that is the same for equal rows only."""
    if split not in case.tensors:
        raise NotHere(f"there are no {split} rows")
    return case.once(f"codes of {split}", lambda: _codes(case, split))


def _codes(case: Case, split: str) -> list[Any]:
    if case.dataset.ordered:
        raise NotHere("rows in time overlap")
    inputs, rows = case.tensors[split].get("inputs"), case.dataset[split]
    if len(case.tensors[split]["targets"]) != len(rows):
        raise NotHere("rows of the data are not those that are learnt from")
    if isinstance(inputs, Tensor) and inputs.dtype == torch.uint8 and inputs.ndim == 4:
        return [_hash(row.tobytes()) for row in inputs.numpy()]
    names = [name for name in case.task.input_types if name in rows.columns]
    if not names:
        raise NotHere("it is not known which columns are read")
    columns = [_values(rows[name].values, rows[name].type) for name in names]
    return columns[0] if len(columns) == 1 else list(zip(*columns, strict=True))


def _hash(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()


def _values(values: Any, kind: Any) -> list[Any]:
    if isinstance(values, EncodedImages):
        contents = (values.sources[row] for row in range(len(values)))
        return [_hash(one if isinstance(one, bytes) else one.read_bytes()) for one in contents]
    if isinstance(kind, Text):
        return [" ".join(text.lower().split()) for text in values]
    if isinstance(kind, Number | Label):
        return [None if value != value else value for value in np.asarray(values).tolist()]
    return [_hash(np.asarray(value).tobytes()) for value in values]


def _is_rich(case: Case) -> bool:
    """Whether two rows are hardly ever equal by chance."""
    rows = case.dataset["train"]
    return any(_is_telling(rows[name]) for name in case.task.input_types if name in rows.columns)


def _is_telling(column: Column) -> bool:
    """Whether two values are hardly ever equal by chance: pictures, long texts, numbers that mostly differ."""
    if isinstance(column.type, Text):
        words = [text.split() for text in column.values[:500]]
        return bool(np.mean([len(text) for text in words]) >= SHORT_TEXT) and (
            len({one for text in words for one in text}) >= FEW_WORDS
        )
    if isinstance(column.type, Number):
        values = np.asarray(column.values)
        return len(np.unique(values)) > len(values) / 4
    return not isinstance(column.type, Label)


def _share_of_twins(codes: list[Any]) -> float:
    counts = Counter(codes)
    return sum(count for count in counts.values() if count > 1) / len(codes)


def _equal_by_chance(case: Case) -> float:
    """The share of rows that have an equal training row though nothing was copied; measured once."""
    return case.once("equal by chance", lambda: _share_equal(case))


def _share_equal(case: Case) -> float:
    train = codes_of(case, "train")
    if not _is_rich(case):
        return _share_of_twins(train)
    columns, values = case.dataset["train"].columns, _varying(case)
    others = [name for name in values if not isinstance(columns[name].type, Label | Number)]
    if len(others) == 1 and _is_telling(columns[others[0]]):
        return 0.0
    if len(values) < 2:
        return _share_of_twins(train)
    known = list(zip(*values.values(), strict=True))
    counts, shares = Counter(known), []
    for sources, kin in made_up({name: columns[name] for name in values}, np.arange(len(train))):
        made = zip(*([values[name][row] for row in taken.tolist()] for name, taken in sources.items()), strict=True)
        pairs = zip(made, kin.tolist(), strict=True)
        shares.append(np.mean([counts[value] > sum(known[row] == value for row in set(own)) for value, own in pairs]))
    return TIMES * float(np.mean(shares))


def _varying(case: Case) -> dict[str, Sequence[Any]]:
    """Column -> its values as `codes_of` tells them apart, of the columns that are read and not the same in all training rows."""
    train = codes_of(case, "train")
    names = [name for name in case.task.input_types if name in case.dataset["train"].columns]
    values = zip(*train, strict=True) if len(names) > 1 and isinstance(train[0], tuple) else [train]
    return {name: one for name, one in zip(names, values, strict=False) if len(set(one)) > 1}


def _above(found: int, total: int, share: float) -> bool:
    """Whether so many of so many are more than a share of them gives by chance."""
    from scipy.stats import binom

    return bool(binom.sf(found - 1, total, min(share, 1.0)) < CHANCE)


def _flattery(case: Case, split: str, rows: list[int]) -> str:
    """How much better the network is on these rows, in words, where one was trained and tells classes apart."""
    assessment = case.run.assess(split) if case.run is not None else None
    if not isinstance(assessment, ClassAssessment) or len(assessment.targets) <= max(rows):
        return ""
    right = assessment.predictions == assessment.targets
    others = np.delete(right, rows)
    if not len(others):
        return ""
    flattery = round(100 * float(right.mean() - others.mean()), 1)
    if flattery <= 0:
        return ""
    return (
        f"; on them the accuracy is {right[rows].mean():.3f}, on the others {others.mean():.3f}: they flatter by "
        f"{flattery:.1f} points"
    )


# ------------------------------------------------------------ almost equal rows


def _near(case: Case, split: str, asked: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """((Q,) whether each row is almost a training row, (Q,) which one, the largest ratio of distances that counts)."""
    texts = [name for name, kind in case.task.input_types.items() if isinstance(kind, Text)]
    if texts:
        return _near_texts(case, split, asked, texts)
    known = case.rows_of("train", MOST_KNOWN)
    references = _vectors(case, "train", known)
    if len(references) < 5 * TENTH:
        raise NotHere("there are too few training rows to tell what is near")
    distances, _ = nearest(references[:: max(1, len(references) // 500)], references, TENTH + 10)
    limit = ratio_limit(distances[:, 1:])
    found, places = nearest(_vectors(case, split, asked), references, TENTH)
    near = found[:, 0] < limit * found[:, -1]
    return near, known[places[:, 0]], limit


def _near_by_chance(case: Case, limit: float) -> float:
    """The share of made-up rows that are almost training rows; 0 for pictures and single columns, which are made of no parts."""
    columns, varying = case.dataset["train"].columns, list(_varying(case))
    texts = [name for name in varying if isinstance(columns[name].type, Text)]
    if texts:
        if len(texts) == 1:
            return 0.0
        known = case.rows_of("train", TEXTS_KNOWN)
        sources, kin = next(made_up({name: columns[name] for name in texts}, known))
        references = _runs(columns, dict.fromkeys(texts, known))
        return float(_alike(_runs(columns, sources), references, np.searchsorted(known, kin))[0].mean())
    places = rows_of(case, "train", MOST_KNOWN).columns
    numbers = case.rows_of("train", MOST_KNOWN)
    if len(varying) < 2 or set(varying) - set(places):
        return 0.0
    vectors, shares = _vectors(case, "train", numbers), []
    for sources, kin in made_up({name: columns[name] for name in varying}, numbers):
        made = np.zeros((len(kin), vectors.shape[1]))
        for name, taken in sources.items():
            made[:, places[name]] = vectors[np.searchsorted(numbers, taken)][:, places[name]]
        found, near = nearest(made, vectors, TENTH + kin.shape[1])
        for own in kin.T:
            found[numbers[near] == own[:, None]] = np.inf
        found = np.sort(found, axis=1)[:, :TENTH]
        equal = found[:, 0] < 1e-6  # of standardised columns
        shares.append(float(((found[:, 0] < limit * found[:, -1]) & ~equal).mean()))
    return float(np.mean(shares))


def ratio_limit(distances: np.ndarray) -> float:
    """The ratio of the first to the tenth distance that independent rows fall below with a chance of `RATIO_CHANCE`.

    distances: (N, K) of rows to their neighbours, ascending, themselves left out
    """
    far = distances[:, -1:]
    inside = distances[:, TENTH // 2 : -1]  # the nearest may be copies
    fit = (far[:, 0] > 0) & (inside > 0).all(axis=1)
    if not fit.any():
        return 0.0
    # of neighbours 6 to K - 1 of a ball of radius `far`: the log ratios of those beyond the fifth, by their order statistics
    count = distances.shape[1]
    ranks = np.arange(TENTH // 2 + 1, count)
    expected = np.array([sum(1 / j for j in range(rank, count)) for rank in ranks])  # E of D ln(far / d_rank)
    dimension = expected.sum() * fit.sum() / np.log(far[fit] / inside[fit]).sum()
    ratio = (1 - (1 - RATIO_CHANCE) ** (1 / (TENTH - 1))) ** (1 / max(dimension, 1e-6))
    return float(min(ratio, LARGEST_RATIO))


def _vectors(case: Case, split: str, numbers: np.ndarray) -> np.ndarray:
    """(R, F) float32 vectors that hardly change when a picture moves by a pixel or becomes brighter."""
    inputs = case.tensors[split].get("inputs")
    if isinstance(inputs, EncodedRows):
        raise NotHere("the pictures are streamed: too many to compare each with each")
    if isinstance(inputs, Tensor) and inputs.dtype == torch.uint8 and inputs.ndim == 4:
        found = []
        for first in range(0, len(numbers), 1000):
            part = inputs[torch.as_tensor(numbers[first : first + 1000])].permute(0, 3, 1, 2).float()
            small = functional.adaptive_avg_pool2d(part, SIDE).flatten(1)
            small = small - small.mean(dim=1, keepdim=True)
            found.append(small / small.norm(dim=1, keepdim=True).clamp(min=1e-6))
        return torch.cat(found).numpy()
    rows = rows_of(case, split, len(numbers))
    if rows.kind != "numbers" or not _is_rich(case):
        raise NotHere("rows of few values are near each other by chance")
    return rows.features.astype(np.float64)


def _near_texts(case: Case, split: str, asked: np.ndarray, columns: list[str]) -> tuple[np.ndarray, np.ndarray, float]:
    """As `_near`, by the share of runs of words that two texts have in common (Jaccard): one half, twice that of the tenth."""
    if not _is_rich(case):
        raise NotHere("short texts are alike by chance")
    known = case.rows_of("train", TEXTS_KNOWN)
    train, judged = (case.dataset[name].columns for name in ("train", split))
    near, places = _alike(_runs(judged, dict.fromkeys(columns, asked)), _runs(train, dict.fromkeys(columns, known)))
    return near, known[places], LARGEST_RATIO


def _runs(columns: Mapping[str, Column], rows: Mapping[str, np.ndarray]) -> Any:
    """Sparse (R, 2^20): which runs of words the texts have, those of several columns one after the other. rows: column -> (R,)"""
    from sklearn.feature_extraction.text import HashingVectorizer

    runs = HashingVectorizer(ngram_range=(RUN, RUN), n_features=2**20, binary=True, norm=None, alternate_sign=False)
    parts = zip(*([columns[name].values[row] for row in taken.tolist()] for name, taken in rows.items()), strict=True)
    return runs.transform(" ".join(" ".join(one).split()[:WORDS_KNOWN]) for one in parts)


def _alike(queries: Any, references: Any, without: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """((Q,) whether one text of the references is far more alike than the tenth, (Q,) which). without: (Q, K) some of the
    references that a query is not held against."""
    sizes = np.asarray(references.sum(axis=1)).ravel()
    near, places = np.zeros(queries.shape[0], dtype=bool), np.zeros(queries.shape[0], dtype=np.int64)
    for first in range(0, queries.shape[0], 200):
        both = (queries[first : first + 200] @ references.T).toarray()
        own = np.asarray(queries[first : first + 200].sum(axis=1))
        alike = both / np.maximum(own + sizes - both, 1)
        if without is not None:
            np.put_along_axis(alike, without[first : first + 200], 0, axis=1)
        order = np.sort(alike, axis=1)
        places[first : first + 200] = alike.argmax(axis=1)
        tenth = order[:, -min(TENTH, order.shape[1])]
        near[first : first + 200] = (order[:, -1] >= LARGEST_RATIO) & (tenth <= LARGEST_RATIO * order[:, -1])
    return near, places
