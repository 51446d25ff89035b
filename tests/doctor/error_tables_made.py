"""Error tables and assessments made up for tests."""

from __future__ import annotations

import numpy as np

from gradus.data.columns import Column, Number
from gradus.data.dataset import Split
from gradus.doctor.error_table import ErrorTable
from gradus.tasks.assessment import ClassAssessment


def table_of(wrong: np.ndarray, columns: dict[str, np.ndarray] | None = None) -> ErrorTable:
    """Rows that are right or wrong, with columns of numbers."""
    rows = Split(
        {name: Column(Number(), values) for name, values in (columns or {}).items()},
        [str(i) for i in range(len(wrong))],
    )
    return ErrorTable(
        split="validation",
        rows=rows,
        error=wrong.astype(np.float64),
        unit="rows",
        given=lambda row: "cat",
        answered=lambda row: "dog" if wrong[row] else "cat",
        wrong=wrong,
        confidence=np.linspace(0.5, 1, len(wrong)),
    )


def answers(certainty: np.ndarray, right: np.ndarray, classes: int = 2) -> ClassAssessment:
    """Answers of so much certainty, right or wrong; the true class of row i is i mod `classes`."""
    rows = np.arange(len(right))
    targets = rows % classes
    said = np.where(right, targets, (targets + 1) % classes)
    probabilities = np.tile(((1 - certainty) / (classes - 1))[:, None], (1, classes))
    probabilities[rows, said] = certainty
    return ClassAssessment(classes=tuple("abcdefghij"[:classes]), probabilities=probabilities, targets=targets)
