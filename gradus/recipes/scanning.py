"""A trained classifier as a detector: crops at every window of a picture, classified one by one, the best kept (course notes
§4.3.3).

Slow and coarse; it is what `sliding_window` does in one pass. Train the classifier on `gradus.boxes.crops.crop_dataset`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from gradus.boxes.crops import BACKGROUND, cut
from gradus.boxes.nms import nms
from gradus.boxes.windows import windows_of
from gradus.data.columns import Objects
from gradus.errors import UserError

if TYPE_CHECKING:
    from gradus.recipes.run import Run


def scan(
    run: Run,
    picture: np.ndarray,
    windows: Sequence[tuple[float, float]],
    *,
    step: float = 0.25,
    least_score: float = 0.5,
    overlap: float = 0.3,
) -> Objects:
    """The objects that a run of image classification finds in a picture, uint8 (H, W, C); labels index its classes.

    windows:     (height, width) in pixels of the picture
    step:        from a window to the next, as a share of its side
    least_score: crops whose class is less certain are dropped, as are those of class "background"
    overlap:     IoU with a better one of the same class, above which a window is dropped

    Raises `UserError` for a run of another task, or where no window fits.
    """
    classes = getattr(getattr(run.task, "target", None), "classes", ())
    if run.task.name != "image-classification" or not classes:
        raise UserError(f"{run.path}: scanning needs a run of image classification, this one is of {run.task.name}")
    boxes = windows_of(picture.shape[:2], windows, step)
    if not len(boxes):
        raise UserError(f"no window fits into a picture of {picture.shape[1]}x{picture.shape[0]}")
    answers = run.answers([cut(picture, box) for box in boxes])[1]
    labels = np.array([int(answer.value) for answer in answers])
    scores = np.array([answer.certainty or 0.0 for answer in answers], dtype=np.float32)
    background = classes.index(BACKGROUND) if BACKGROUND in classes else -1
    scores = np.where((labels == background) | (scores < least_score), 0, scores)
    kept = nms(torch.from_numpy(boxes), torch.from_numpy(scores), overlap, torch.from_numpy(labels)).numpy()
    found = Objects.of(boxes[kept], labels[kept], scores=scores[kept])
    return found.take(np.argsort(-scores[kept], kind="stable"))
