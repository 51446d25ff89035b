"""How well every pixel is classified."""

from __future__ import annotations

import numpy as np


def confusion_of(found: np.ndarray, given: np.ndarray, classes: int, ignore: int) -> np.ndarray:
    """(C, C) int64 pixels: row = true class, column = predicted class; pixels without a class are left out. Maps of one shape."""
    counted = given != ignore
    place = given[counted].astype(np.int64) * classes + found[counted]
    return np.bincount(place, minlength=classes * classes).reshape(classes, classes)


def intersection_over_union(confusion: np.ndarray) -> np.ndarray:
    """(C,): TP / (TP + FP + FN) of each class; nan for one that is neither there nor predicted."""
    hits = confusion.diagonal()
    union = confusion.sum(axis=0) + confusion.sum(axis=1) - hits
    return np.where(union > 0, hits / np.maximum(union, 1), np.nan)


def segmentation_metrics(found: np.ndarray, given: np.ndarray, classes: int, ignore: int) -> dict[str, float]:
    """found, given: (N, H, W) class indices. Over all pixels of all pictures together."""
    confusion = confusion_of(found, given, classes, ignore)
    values = intersection_over_union(confusion)
    miou = float(np.nanmean(values)) if np.isfinite(values).any() else 0.0
    return {"miou": miou, "pixel_accuracy": float(confusion.trace() / max(confusion.sum(), 1))}
