"""What a report is written from: the content that a run hands over, cleared of rows that cannot be judged."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gradus.data.columns import Image, Text
from gradus.data.dataset import Split
from gradus.look.draw import input_names
from gradus.look.making import Making
from gradus.look.writing import Writing
from gradus.tasks.assessment import Assessment, ClassAssessment, LabelsAssessment, NumberAssessment


@dataclass(frozen=True, kw_only=True)
class ReportContent:
    """Everything a report shows.

    title:       what was trained on what: "lenet5 on digits"
    task:        "image-classification"
    primary:     the metric that decides and its better direction: ("accuracy", "max") or (..., "min")
    split:       the split assessed: "test"
    assessment:  the answers on that split, `metrics` filled
    examples:    the rows of that split in the order of the assessment; None to show none
    target:      the column of `examples` that is the target (several joined by commas)
    baselines:   name -> metrics, under the names of `assessment.metrics`: {"majority class": {"accuracy": 0.1}}
    published:   {"metric": "accuracy", "value": 0.9785, "source": "Deep Learning with Python, §2.1"}, or None
    history:     one dict an epoch: epoch, step, samples, train_seconds, train_loss, validation_loss, ...
    best_epoch:  the epoch whose weights were kept, by the number in `history`
    data:        name, about, splits {name: rows}, columns [{name, type, ...}], notes [...]
    model:       name, parameters (int), layers [{name, type, output, parameters}]
    settings:    the resolved recipe, nested
    environment: versions, device, commit, ...
    timing:      seconds by part, and rates under names that end in `_per_second`
    writing:     of texts, what is shown of them beside the answers; None for all else
    making:      of a network that makes pictures, what is shown of them; None for all else
    """

    title: str
    task: str
    primary: tuple[str, str]
    split: str
    assessment: Assessment
    examples: Split | None
    target: str | None
    baselines: dict[str, dict[str, float]]
    published: dict[str, Any] | None
    history: list[dict[str, Any]]
    best_epoch: int | None
    data: dict[str, Any]
    model: dict[str, Any]
    settings: dict[str, Any]
    environment: dict[str, Any]
    timing: dict[str, float]
    writing: Writing | None = None
    making: Making | None = None

    def __post_init__(self) -> None:
        rows = len(self.assessment.targets)
        if self.examples is not None and len(self.examples) != rows:
            raise ValueError(
                f"examples has {len(self.examples)} rows, the assessment {rows}: they must be the same rows"
            )
        if self.primary[1] not in ("max", "min"):
            raise ValueError(f"primary is {self.primary}; its second part must be 'max' or 'min'")


def known_rows(content: ReportContent) -> tuple[ReportContent, int]:
    """The content without rows that have no target or no answer, and how many those are.

    Missing targets are -1 (classes) or nan (numbers); an answer is missing where the model gave nan.
    """
    assessment = content.assessment
    if isinstance(assessment, ClassAssessment):
        known = (assessment.targets >= 0) & np.isfinite(assessment.probabilities).all(axis=1)
    elif isinstance(assessment, LabelsAssessment):
        known = np.isfinite(assessment.probabilities).all(axis=1)
    elif not isinstance(assessment, NumberAssessment):
        return content, 0
    else:
        known = np.isfinite(assessment.residuals).all(axis=1)
    left_out = int((~known).sum())
    if not left_out:
        return content, 0
    kept = np.flatnonzero(known)
    answers = "predictions" if hasattr(assessment, "names") else "probabilities"
    smaller = replace(assessment, targets=assessment.targets[kept], **{answers: getattr(assessment, answers)[kept]})
    examples = content.examples.take(kept) if content.examples is not None else None
    writing = content.writing.take(kept) if content.writing is not None else None
    return replace(content, assessment=smaller, examples=examples, writing=writing), left_out


def row_word(examples: Split | None, target: str | None) -> str:
    """What one row is called, in the plural: "pictures", "texts" or "rows"."""
    if examples is None:
        return "rows"
    kinds = {type(examples.columns[column].type) for column in input_names(examples, target)}
    return "pictures" if Image in kinds else "texts" if kinds == {Text} else "rows"
