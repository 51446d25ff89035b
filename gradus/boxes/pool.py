"""Found and given objects of many pictures in flat arrays, and the pairs of them that overlap: what all measures count from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gradus.data.columns import Objects

LEAST_OVERLAP = 0.1  # of the pairs that are kept


@dataclass(frozen=True, kw_only=True)
class Pool:
    """F found and G given objects of `pictures` pictures, P pairs.

    Found ones stand by picture, class and falling score (equal scores as they came); `rank` (F,) counts from 0 within a picture
    and class. Pairs are of one picture, of any classes, with an overlap of 0.1 or more: `iou` (P,), and `cover` (P,), the
    share of the found box that lies in the given one, by which COCO measures how much of it a crowd explains.
    """

    pictures: int
    classes: int
    found_boxes: np.ndarray  # float64 (F, 4)
    found_picture: np.ndarray
    found_label: np.ndarray
    score: np.ndarray
    rank: np.ndarray
    given_boxes: np.ndarray  # float64 (G, 4)
    given_picture: np.ndarray
    given_label: np.ndarray
    ignored: np.ndarray  # bool (G,)
    found: np.ndarray  # (P,) indices of found objects, ascending
    given: np.ndarray  # (P,) of given ones, ascending within each
    iou: np.ndarray
    cover: np.ndarray

    @property
    def same(self) -> np.ndarray:
        """bool (P,): pairs of one class."""
        return self.found_label[self.found] == self.given_label[self.given]

    def objects_by_class(self, counted: np.ndarray | None = None) -> np.ndarray:
        """(C,): given objects of each class; those that are not ignored, or `counted` (weights (G,))."""
        counted = ~self.ignored if counted is None else counted
        return np.bincount(self.given_label, counted, minlength=self.classes)


def pool_objects(found: Sequence[Objects], given: Sequence[Objects], classes: int) -> Pool:
    """The pool of as many pictures as there are in both. Found ones without scores count as equally sure."""
    boxes, picture, label = _joined(found)
    score = np.concatenate(
        [np.ones(len(one)) if one.scores is None else one.scores.astype(np.float64) for one in found] or [np.zeros(0)]
    )
    order = np.lexsort((-score, label, picture))
    boxes, picture, label, score = boxes[order], picture[order], label[order], score[order]
    given_boxes, given_picture, given_label = _joined(given)
    ignored = np.concatenate([one.ignored for one in given] or [np.zeros(0, bool)]).astype(bool)
    pairs = _pairs(boxes, picture, given_boxes, given_picture, ignored, len(given))
    return Pool(
        pictures=len(given),
        classes=classes,
        found_boxes=boxes,
        found_picture=picture,
        found_label=label,
        score=score,
        rank=places_within(picture * max(classes, 1) + label),
        given_boxes=given_boxes,
        given_picture=given_picture,
        given_label=given_label,
        ignored=ignored,
        **pairs,
    )


def _joined(rows: Sequence[Objects]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes (N, 4), the picture of each and its class."""
    picture = np.repeat(np.arange(len(rows)), [len(one) for one in rows])
    boxes = np.concatenate([one.boxes for one in rows] or [np.zeros((0, 4))]).astype(np.float64)
    return boxes, picture, np.concatenate([one.labels for one in rows] or [np.zeros(0, np.int64)])


def _pairs(
    boxes: np.ndarray,
    picture: np.ndarray,
    given_boxes: np.ndarray,
    given_picture: np.ndarray,
    ignored: np.ndarray,
    pictures: int,
) -> dict[str, np.ndarray]:
    edges = np.arange(pictures + 1)
    found_from, given_from = np.searchsorted(picture, edges), np.searchsorted(given_picture, edges)
    kept: dict[str, list[np.ndarray]] = {"found": [], "given": [], "iou": [], "cover": []}
    for one in range(pictures):
        mine, theirs = boxes[found_from[one] : found_from[one + 1]], given_boxes[given_from[one] : given_from[one + 1]]
        if not len(mine) or not len(theirs):
            continue
        low = np.maximum(mine[:, None, :2], theirs[None, :, :2])
        high = np.minimum(mine[:, None, 2:], theirs[None, :, 2:])
        shared = np.maximum(high - low, 0).prod(axis=2)
        area = (mine[:, 2:] - mine[:, :2]).clip(0).prod(axis=1)[:, None]
        other = (theirs[:, 2:] - theirs[:, :2]).clip(0).prod(axis=1)[None]
        iou = shared / np.maximum(area + other - shared, 1e-300)
        cover = shared / np.maximum(area, 1e-300)
        crowd = ignored[given_from[one] : given_from[one + 1]]
        row, column = np.nonzero((iou >= LEAST_OVERLAP) | (crowd & (cover >= LEAST_OVERLAP)))
        kept["found"].append(row + found_from[one])
        kept["given"].append(column + given_from[one])
        kept["iou"].append(iou[row, column])
        kept["cover"].append(cover[row, column])
    empty = {"found": np.zeros(0, np.int64), "given": np.zeros(0, np.int64), "iou": np.zeros(0), "cover": np.zeros(0)}
    return {name: np.concatenate([empty[name], *parts]) for name, parts in kept.items()}


def places_within(groups: np.ndarray) -> np.ndarray:
    """(N,) of groups that stand together: the place of each within its own."""
    starts = np.flatnonzero(np.diff(groups, prepend=-1))
    lengths = np.diff(np.append(starts, len(groups)))
    return np.arange(len(groups)) - np.repeat(starts, lengths)
