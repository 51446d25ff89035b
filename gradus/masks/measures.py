"""How well every pixel is classified: overlap by class, accuracy, and how near boundaries are. All are 0 to 1, best at 1.

    pixel accuracy           the share of pixels that are right
    mean class accuracy      the mean over the classes of the share of their pixels that are right
    mean IoU                 the mean over the classes of TP / (TP + FP + FN)
    frequency-weighted IoU   the same, each class by its share of the pixels (Long, Shelhamer and Darrell 2015)
    boundary F               the mean over pictures and classes of the F1 of boundary pixels that have one of the other within
                             0.75 % of the diagonal (Csurka et al. 2013)

Pixels without a class count nowhere. Means are over the classes that are there, of overlaps also over those that are only
predicted. A boundary pixel of a class has a neighbour above, below, left or right of another class; the edge of a picture and
pixels without a class make none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

TOLERANCE = 0.0075  # of the diagonal


def confusion_of(found: np.ndarray, given: np.ndarray, classes: int, ignore: int) -> np.ndarray:
    """(C, C) int64 pixels: row = true class, column = predicted class; pixels without a class are left out. Maps of one shape."""
    counted = given != ignore
    place = given[counted].astype(np.int64) * classes + found[counted]
    return np.bincount(place, minlength=classes * classes).reshape(classes, classes)


def confusion_by_picture(found: np.ndarray, given: np.ndarray, classes: int, ignore: int) -> np.ndarray:
    """(N, C, C) of maps (N, H, W)."""
    rows = [confusion_of(mine, theirs, classes, ignore) for mine, theirs in zip(found, given, strict=True)]
    return np.stack(rows) if rows else np.zeros((0, classes, classes), dtype=np.int64)


def intersection_over_union(confusion: np.ndarray) -> np.ndarray:
    """(C,): TP / (TP + FP + FN) of each class; nan for one that is neither there nor predicted."""
    hits = confusion.diagonal()
    union = confusion.sum(axis=0) + confusion.sum(axis=1) - hits
    return np.where(union > 0, hits / np.maximum(union, 1), np.nan)


def class_accuracy(confusion: np.ndarray) -> np.ndarray:
    """(C,): the share of each class's pixels that are right; nan for one that is not there."""
    pixels = confusion.sum(axis=1)
    return np.where(pixels > 0, confusion.diagonal() / np.maximum(pixels, 1), np.nan)


def confusion_metrics(confusion: np.ndarray) -> dict[str, float]:
    """miou, pixel_accuracy, mean_class_accuracy and frequency_weighted_iou of a confusion matrix (C, C)."""
    overlap, accuracy = intersection_over_union(confusion), class_accuracy(confusion)
    share = confusion.sum(axis=1) / max(confusion.sum(), 1)
    return {
        "miou": _mean(overlap),
        "pixel_accuracy": float(confusion.trace() / max(confusion.sum(), 1)),
        "mean_class_accuracy": _mean(accuracy),
        "frequency_weighted_iou": float(np.nansum(np.where(share > 0, share * overlap, 0))),
    }


def _mean(values: np.ndarray) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else 0.0


@dataclass(frozen=True)
class Boundaries:
    """Shares (N, C) of each picture: `precision` of predicted boundary pixels near a true one, `recall` of true ones near a
    predicted one; nan where there are none."""

    precision: np.ndarray
    recall: np.ndarray

    @property
    def f1(self) -> np.ndarray:
        """(N, C): nan where a class has no boundary in truth and answer, 0 where it has one in only one of them."""
        precision, recall = np.nan_to_num(self.precision), np.nan_to_num(self.recall)
        both = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
        return np.where(np.isnan(self.precision) & np.isnan(self.recall), np.nan, both)

    def by_class(self, rows: np.ndarray | None = None) -> np.ndarray:
        """(C,): the mean over the pictures, or some rows of them; nan for a class without a boundary."""
        values = self.f1 if rows is None else self.f1[rows]
        known = np.isfinite(values)
        return np.where(known.any(axis=0), np.nansum(values, axis=0) / np.maximum(known.sum(axis=0), 1), np.nan)


def boundaries(
    found: np.ndarray, given: np.ndarray, classes: int, ignore: int, tolerance: float = TOLERANCE
) -> Boundaries:
    """Of maps (N, H, W)."""
    precision, recall = np.full((len(given), classes), np.nan), np.full((len(given), classes), np.nan)
    for row, (mine, theirs) in enumerate(zip(found, given, strict=True)):
        reach = max(1.0, tolerance * float(np.hypot(*theirs.shape)))
        mine = np.where(theirs == ignore, theirs, mine)
        one, other = _boundary_pixels(mine, ignore), _boundary_pixels(theirs, ignore)
        precision[row], recall[row] = _share_near(one, other, reach, classes), _share_near(other, one, reach, classes)
    return Boundaries(precision, recall)


def edges(mask: np.ndarray, ignore: int) -> np.ndarray:
    """bool (H, W): pixels with a neighbour of another class."""
    found = np.zeros(mask.shape, dtype=bool)
    known = mask != ignore
    across = (mask[:, 1:] != mask[:, :-1]) & known[:, 1:] & known[:, :-1]
    down = (mask[1:] != mask[:-1]) & known[1:] & known[:-1]
    found[:, 1:] |= across
    found[:, :-1] |= across
    found[1:] |= down
    found[:-1] |= down
    return found


def _boundary_pixels(mask: np.ndarray, ignore: int) -> np.ndarray:
    """(3, n) class, row and column, ascending in this order."""
    y, x = np.nonzero(edges(mask, ignore))
    label = mask[y, x].astype(np.int64)
    order = np.argsort(label, kind="stable")
    return np.stack([label, y, x])[:, order]


def _share_near(pixels: np.ndarray, others: np.ndarray, reach: float, classes: int) -> np.ndarray:
    """(C,) the share of the boundary pixels of each class that have one of the others, of the same class, within `reach` pixels;
    nan where there are none.

    A disc is a stack of horizontal runs, and a run holds a pixel if the next one from its start on is not beyond its end. Rows
    are numbered on from class to class, with room around them, so that all classes are looked up at once.
    """
    around = int(reach) + 1
    wide = max(pixels[2].max(initial=0), others[2].max(initial=0)) + 2 * around
    high = max(pixels[1].max(initial=0), others[1].max(initial=0)) + 2 * around

    def number(label: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        return (label * high + y + around) * wide + x + around

    held = np.append(number(*others), np.iinfo(np.int64).max)
    near = np.zeros(pixels.shape[1], dtype=bool)
    for step in range(-int(reach), int(reach) + 1):
        half = int(np.sqrt(reach**2 - step**2))
        middle = number(pixels[0], pixels[1] + step, pixels[2])
        near |= held[np.searchsorted(held, middle - half)] <= middle + half
    total = np.bincount(pixels[0], minlength=classes)
    return np.where(total > 0, np.bincount(pixels[0], near, minlength=classes) / np.maximum(total, 1), np.nan)


def measures_of(confusions: np.ndarray, near: Boundaries) -> dict[str, float]:
    """All measures, of confusion matrices (N, C, C) summed over the pictures, and of the boundaries of each."""
    return {**confusion_metrics(confusions.sum(axis=0)), "boundary_f": _mean(near.by_class())}


def segmentation_metrics(found: np.ndarray, given: np.ndarray, classes: int, ignore: int) -> dict[str, float]:
    """found, given: (N, H, W) class indices. Over all pixels of all pictures together, boundaries by picture."""
    confusions = confusion_by_picture(found, given, classes, ignore)
    return measures_of(confusions, boundaries(found, given, classes, ignore))
