"""Which part of the rows has far more mistakes than the rest, and what mending it would give at most."""

from __future__ import annotations

import shlex

from gradus.doctor.case import Case
from gradus.doctor.error_table import errors_of, split_of
from gradus.doctor.finding import Finding
from gradus.doctor.slices import weak_slices


def find_weak_slice(case: Case) -> list[Finding]:
    """The slice that costs most beyond the rest; the others stand in the measurements."""
    run = case.trained
    table = errors_of(run, split_of(run))
    found = weak_slices(run, table, case.seed)
    case.measured["slices"] = [
        {
            "about": one.about,
            "size": one.size,
            "error": one.error,
            "interval": [one.interval.low, one.interval.high],
            "rest": one.rest,
            "share": one.share,
            "gain": one.gain,
        }
        for one in found
    ]
    if not found:
        return []
    worst = found[0]
    low, high = (table.error_words(value) for value in (worst.interval.low, worst.interval.high))
    mistakes = [int(row) for row in worst.rows if table.error[row] > 0]
    return [
        Finding(
            kind="weak-slice",
            told=f"{table.split} rows {worst.about}: the error is {table.error_words(worst.error)} ({low} to {high}), "
            f"elsewhere {table.error_words(worst.rest)}; they are {100 * worst.size:.0f} % of the rows and "
            f"{100 * worst.share:.0f} % of all errors",
            where=worst.about,
            value=worst.error,
            usual=f"as elsewhere, {table.error_words(worst.rest)}",
            strength=min(1.0, 0.2 + worst.gain),
            command=shlex.join(["gradus", "doctor", case.named, "--errors", "--slice", worst.about]),
            others=(shlex.join(["gradus", "doctor", case.named, "--tag"]),),
            rows={table.split: mistakes[:50]},
        )
    ]
