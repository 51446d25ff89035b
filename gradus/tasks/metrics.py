"""Metrics over a whole split, from its assessment. Names and definitions are scikit-learn's."""

from __future__ import annotations

import numpy as np

from gradus.tasks.assessment import ClassAssessment, LabelsAssessment, NumberAssessment


def classification(assessment: ClassAssessment) -> dict[str, float]:
    """accuracy; macro_f1 (mean over the classes, 0 where a class is neither present nor predicted); top5_accuracy above ten
    classes; roc_auc for two."""
    probabilities, targets = assessment.probabilities, assessment.targets
    result = {
        "accuracy": float((assessment.predictions == targets).mean()),
        "macro_f1": float(np.mean([row["f1"] for row in assessment.per_class()])),
    }
    if len(assessment.classes) > 10:
        top = np.argpartition(-probabilities, 5, axis=1)[:, :5]
        result["top5_accuracy"] = float((top == targets[:, None]).any(axis=1).mean())
    if len(assessment.classes) == 2 and 0 < targets.sum() < len(targets):
        from sklearn.metrics import roc_auc_score

        result["roc_auc"] = float(roc_auc_score(targets, probabilities[:, 1]))
    return result


def multi_label(assessment: LabelsAssessment) -> dict[str, float]:
    """macro_f1 (mean over the labels), label_accuracy (share of single decisions that are right), exact_match (of rows)."""
    right = assessment.predictions == assessment.targets
    return {
        "macro_f1": float(np.mean([row["f1"] for row in assessment.per_class()])),
        "label_accuracy": float(right.mean()),
        "exact_match": float(right.all(axis=1).mean()),
    }


def regression(assessment: NumberAssessment) -> dict[str, float]:
    """mae, rmse (both in the target's units, pooled over all columns) and r2 (mean over the columns; 0: as good as the mean)."""
    residuals = assessment.residuals
    spread = ((assessment.targets - assessment.targets.mean(axis=0)) ** 2).sum(axis=0)
    unexplained = (residuals**2).sum(axis=0)
    r2 = np.where(spread > 0, 1 - unexplained / np.where(spread > 0, spread, 1), 0.0)
    return {
        "mae": float(np.abs(residuals).mean()),
        "rmse": float(np.sqrt((residuals**2).mean())),
        "r2": float(r2.mean()),
    }
