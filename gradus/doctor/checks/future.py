"""What comes later: an input of a forecast that tells what lies ahead, and training rows that are later than those that judge.

A column that looks ahead (shifted the wrong way, smoothed to both sides, filled backwards) explains what is foretold, together
with the target's own past, far better than the target's past and all other columns do. Both are lines, fitted to blocks of time
and judged on the blocks between them.
"""

from __future__ import annotations

import shlex

import numpy as np

from gradus.data.clock import times_of
from gradus.data.columns import Label, Number, Text, Time
from gradus.data.device_rows import Windows
from gradus.data.readers.cells import Cells
from gradus.data.readers.times import time_values
from gradus.doctor.case import Case, NotHere
from gradus.doctor.commands import train_with
from gradus.doctor.data_commands import LESSON, scan_command
from gradus.doctor.finding import Finding
from gradus.doctor.rows import places_of
from gradus.errors import UserError
from gradus.tasks.series_inputs import SeriesInputs

MOST = 4_000  # windows
FEWEST = 200
BLOCKS = 10
LEAST = 0.5  # of the variance that a column that looks ahead explains at least
GAIN = 3.0  # times as much is left unexplained without it
SHORTEST_DATE = 6  # letters of 1/2/24; a number of four may be a year, or anything else
PENALTIES = (1e-6, 1e-3, 1e-1, 10.0)  # of the lines, times the rows; the best on the rows held out


def find_future_leak(case: Case) -> list[Finding]:
    """A column whose window tells what lies ahead, where the target's past and all other columns cannot."""
    inputs, targets = case.tensors["train"].get("inputs"), case.tensors["train"]["targets"]
    if not (isinstance(inputs, Windows) and isinstance(targets, Windows) and inputs.values.is_floating_point()):
        raise NotHere("nothing is foretold")
    numbers = case.rows_of("train", MOST)
    if len(numbers) < FEWEST:
        raise NotHere("there are too few windows")
    seen = places_of(inputs[numbers].numpy().astype(np.float64))  # (N, places, F)
    ahead = targets[numbers].flatten(1).numpy().astype(np.float64)[:, -1]
    columns = _columns(case)
    own = [place for name in case.task.target_column.split(",") for place in columns.pop(name.strip(), [])]
    with_it = {name: _explained(seen[:, :, [*own, *places]], ahead) for name, places in columns.items()}
    past = _explained(seen[:, :, own], ahead) if own else 0.0
    looking = [name for name, share in with_it.items() if share > LEAST and 1 - past > GAIN * (1 - share)]
    case.measured["future"] = {"past of the target": past, **with_it}
    if not looking:
        return []
    kept = [place for name, places in columns.items() if name not in looking for place in places]
    rest = max(past, _explained(seen[:, :, [*own, *kept]], ahead)) if own or kept else 0.0
    best = max(looking, key=lambda name: with_it[name])
    if 1 - rest <= GAIN * (1 - with_it[best]):
        return []
    return [
        Finding(
            kind="future-leak",
            told=f"column '{best}' tells what lies ahead: with it a line explains {100 * with_it[best]:.1f} % of what is "
            f"foretold, with the past of '{case.task.target_column}' and all other columns {100 * max(rest, 0):.1f} %",
            where=f"column '{best}'",
            value=with_it[best],
            usual=f"no column leaves less than a third of what all others leave ({100 * (1 - rest):.1f} %)",
            strength=1.0,
            command=scan_command(case),
            others=(
                f"take '{best}' out of the data, or shift it to when it was known",
                "smooth with windows that end at the row, never centred ones",
            ),
        )
    ]


def _columns(case: Case) -> dict[str, list[int]]:
    """Column -> which of the numbers of a row are of it, as `SeriesInputs` encodes them."""
    reader = getattr(case.task, "inputs", None)
    if not isinstance(reader, SeriesInputs):
        raise NotHere("it is not known which columns are read")
    table = reader.table
    found: dict[str, list[int]] = {}
    at = 0
    for name, kind in table.types.items():
        width = len(kind.classes) if isinstance(kind, Label) else 1 + table.numbers[name]["missing"]
        found[name] = list(range(at, at + width))
        at += width
    for name in reader.circular:
        found[name] = [at, at + 1]
        at += 2
    return found


def _explained(seen: np.ndarray, ahead: np.ndarray) -> float:
    """The share of the variance of `ahead` (N,) that a line through what is seen (N, places, F) explains in blocks of time that
    it was not fitted to, with the penalty that is best there."""
    flat = seen.reshape(len(seen), -1)
    held = np.arange(len(flat)) * BLOCKS // len(flat) % 2 == 1
    center, answer = flat[~held].mean(axis=0), ahead[~held].mean()
    known, asked = flat[~held] - center, flat[held] - center
    products, wanted = known.T @ known, known.T @ (ahead[~held] - answer)
    total = ((ahead[held] - answer) ** 2).sum()
    shares = []
    for penalty in PENALTIES:
        weights = np.linalg.solve(products + penalty * len(known) * np.eye(len(products)), wanted)
        shares.append(1 - ((asked @ weights + answer - ahead[held]) ** 2).sum() / max(total, 1e-12))
    return float(max(shares))


# ------------------------------------------------------------ time running backwards


def find_time_order(case: Case) -> list[Finding]:
    """Training rows that are later than those that judge: what is tested is to tell the past."""
    dataset = case.dataset
    times = [name for name, kind in dataset.types.items() if isinstance(kind, Time)]
    column = dataset.clock.time if dataset.clock else times[0] if len(times) == 1 else "" if times else _dates(case)
    if not column:
        raise NotHere("no column tells the time")
    known = _times(case, "train", column)
    findings = []
    for split in ("test", "validation"):
        if split not in dataset.splits:
            continue
        judged = _times(case, split, column)
        later = float((known[:, None] > np.quantile(judged, [0.5])).mean())
        case.measured.setdefault("training rows later than the middle of", {})[split] = later
        if later < 0.02 or not (case.dataset.ordered or _follows_time(case, column)):
            continue
        first, last = (Time().to_text(np.datetime64(int(moment), "s")) for moment in (judged.min(), known.max()))
        findings.append(
            Finding(
                kind="time-order",
                told=f"{100 * later:.0f} % of the training rows are later than half of the {split} rows: {split} begins {first}, "
                f"training ends {last}; a score then says how well the past is told",
                where=f"column '{column}', {split} rows",
                value=later,
                usual=f"training ends before {split} begins",
                strength=min(1.0, 0.7 + 0.3 * later),
                command=LESSON if dataset.ordered else _named_time(case, column),
                others=("split at a moment: data.time names the column, data.test the share or the date",),
            )
        )
    return findings


def _named_time(case: Case, column: str) -> str:
    """What to type so that a column is the time: of one that was read as text, for which no training is known to fit, a look."""
    scan = scan_command(case)
    if isinstance(case.dataset.types[column], Time) or scan == LESSON:
        return train_with(case, f"data.time={column}", lesson="bad-splits")
    return f"{scan} {shlex.join(['--time', column])}"


def _dates(case: Case) -> str:
    """The only column of texts or classes that are times in all rows; empty where there is none, or more than one."""
    found = [
        name
        for name, kind in case.dataset.types.items()
        if name != case.dataset.target and isinstance(kind, Text | Label) and _moments(case, "train", name) is not None
    ]
    return (
        found[0]
        if len(found) == 1 and all(_moments(case, name, found[0]) is not None for name in case.dataset.splits)
        else ""
    )


def _moments(case: Case, split: str, column: str) -> np.ndarray | None:
    """(N,) datetime64[s]: the times of a split; of texts and classes only where every one is a time, otherwise None."""
    values, kind = case.dataset[split][column].values, case.dataset.types[column]
    if isinstance(kind, Time):
        return np.asarray(values)
    texts = [kind.classes[one] if one >= 0 else "" for one in values] if isinstance(kind, Label) else list(values)
    if not texts or not texts[0][:1].isdigit() or len(texts[0]) < SHORTEST_DATE:
        return None
    try:
        return time_values(Cells(split, None, {column: texts}, np.arange(len(texts))), column)
    except UserError:
        return None


def _times(case: Case, split: str, column: str) -> np.ndarray:
    """(N,) seconds, without those that are missing."""
    dataset = case.dataset
    values = times_of(dataset[split], dataset.clock) if dataset.clock else _moments(case, split, column)
    assert values is not None, "all rows of the column tell a time"
    return values[~np.isnat(values)].astype("datetime64[s]").astype(np.int64)


def _follows_time(case: Case, column: str) -> bool:
    """Whether targets that are near in time are alike: the differences of neighbours against those of rows drawn at random
    (von Neumann's ratio, at 3.3 deviations). Where they are not, the order in time does not matter."""
    split = case.dataset["train"]
    target = split.columns.get(case.dataset.target or "")
    if target is None or not isinstance(target.type, Number | Label):
        return False
    moments = _moments(case, "train", column)
    assert moments is not None, "all rows of the column tell a time"
    values = np.asarray(target.values, dtype=np.float64)[np.argsort(moments, kind="stable")]
    if isinstance(target.type, Label):
        values = (values == np.bincount(np.asarray(target.values)[np.asarray(target.values) >= 0]).argmax()).astype(
            np.float64
        )
    values = values[np.isfinite(values)]
    if len(values) < FEWEST or not values.std():
        return False
    ratio = np.square(np.diff(values)).mean() / (2 * values.var())
    return bool(1 - ratio > 3.3 / np.sqrt(len(values)))
