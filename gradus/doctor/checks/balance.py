"""How rare the rarest class is and whether the metric sees it, and whether there are rows enough to tell models apart."""

from __future__ import annotations

import numpy as np

from gradus.doctor.case import Case
from gradus.doctor.commands import train_with
from gradus.doctor.finding import Finding
from gradus.look.measures import wilson_interval
from gradus.tasks.assessment import ClassAssessment

RARE = 20.0  # rows of the largest class for one of the smallest
WIDE = 0.05  # half of the interval of an accuracy of 0.9 above which two models can hardly be told apart


def find_imbalance(case: Case) -> list[Finding]:
    """Imbalance that accuracy hides: with one row in a hundred of a class, never naming it is 99 % right."""
    classes = case.classes
    counts = np.bincount(case.targets("train"), minlength=len(classes))
    smallest, largest = int(counts.argmin()), int(counts.argmax())
    ratio = counts[largest] / max(counts[smallest], 1)
    metric, _ = case.task.monitored(case.recipe.train.monitor)
    weighted = getattr(getattr(getattr(case.task, "target", None), "options", None), "class_weights", "none")
    if ratio < RARE or metric != "accuracy" or weighted != "none":
        return []
    share = counts[largest] / counts.sum()
    return [
        Finding(
            kind="imbalance",
            told=f"'{classes[smallest]}' has {counts[smallest]:,} training rows and '{classes[largest]}' "
            f"{counts[largest]:,}: naming the latter always is {100 * share:.1f} % right, so accuracy says "
            f"little{_judged(case, smallest)}",
            where=f"class {classes[smallest]}",
            value=float(ratio),
            usual=f"below {RARE:g} rows of the largest class for one of the smallest",
            strength=min(1.0, 0.5 + ratio / 200),
            command=train_with(case, "task.options.class_weights=balanced", lesson="confusion-and-f1"),
            others=("read macro_f1 and the recall of each class in the report, not accuracy",),
        )
    ]


def _judged(case: Case, smallest: int) -> str:
    """What a trained network makes of the rare class, in words."""
    if case.run is None or "test" not in case.tensors:
        return ""
    assessment = case.run.assess("test")
    if not isinstance(assessment, ClassAssessment):
        return ""
    row = assessment.per_class()[smallest]
    metrics = assessment.metrics
    found = round(row["recall"] * row["support"])
    return (
        f" (test: accuracy {metrics['accuracy']:.3f}, macro F1 {metrics['macro_f1']:.3f}, "
        f"{found:.0f} of {row['support']:.0f} rows of '{assessment.classes[smallest]}' found)"
    )


def find_few_rows(case: Case) -> list[Finding]:
    """So few rows to judge by that chance decides which of two models looks better."""
    _ = case.classes
    split = "test" if "test" in case.tensors else "validation"
    rows = len(case.targets(split))
    low, high = wilson_interval(round(0.9 * rows), rows)
    half = (high - low) / 2
    if half < WIDE:
        return []
    again = train_with(case, lesson="bad-splits")
    return [
        Finding(
            kind="few-rows",
            told=f"{rows} {split} rows: an accuracy of 0.9 on them lies between {low:.2f} and {high:.2f} (95 %), so that models "
            f"less than {half:.2f} apart cannot be told apart",
            where=f"{split} rows",
            value=float(rows),
            usual="140 rows or more, for an interval of 0.05 either way",
            strength=0.3,
            command=f"{again} --folds 5" if again.startswith("gradus train") else again,
        )
    ]
