"""How rare the rarest class is, and whether the metric sees it."""

from __future__ import annotations

import numpy as np

from gradus.doctor.case import Case
from gradus.doctor.finding import Finding

RARE = 20.0  # rows of the largest class for one of the smallest


def find_imbalance(case: Case) -> list[Finding]:
    """Imbalance that accuracy hides: with one row in a hundred of a class, never naming it is 99 % right."""
    classes = case.classes
    counts = np.bincount(case.targets("train"), minlength=len(classes))
    smallest, largest = int(counts.argmin()), int(counts.argmax())
    ratio = counts[largest] / max(counts[smallest], 1)
    metric, _ = case.task.monitored(case.recipe.train.monitor)
    if ratio < RARE or metric != "accuracy":
        return []
    share = counts[largest] / counts.sum()
    return [
        Finding(
            kind="imbalance",
            told=f"'{classes[smallest]}' has {counts[smallest]:,} training rows and '{classes[largest]}' "
            f"{counts[largest]:,}: naming the latter always is {100 * share:.1f} % right, so accuracy says little",
            where=f"class {classes[smallest]}",
            value=float(ratio),
            usual=f"below {RARE:g} rows of the largest class for one of the smallest",
            strength=min(1.0, 0.5 + ratio / 200),
            command=f"gradus train {case.named} --set task.options.class_weights=balanced --set train.monitor=loss",
        )
    ]
