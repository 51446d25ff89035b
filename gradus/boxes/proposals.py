"""Region proposals: boxes that may hold an object of any kind, found by selective search without anything learnt.

One search finds few of the objects; several of different colours, scales and similarities find most (Uijlings et al. 2013, §4):
a `QUALITIES` is a list of such searches. The best order within them is not known: a box comes earlier the later in its search
it was joined, times a random number (§4.4), and boxes that nearly repeat an earlier one are left out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import PIL.Image

from gradus.boxes.felzenszwalb import felzenszwalb
from gradus.boxes.selective_search import SIMILARITIES, join_regions
from gradus.errors import UserError, unknown_name
from gradus.reference.overlap import box_iou

Search = tuple[str, float, tuple[str, ...]]  # colour space, scale of the first pieces, similarities
QUALITIES: dict[str, tuple[Search, ...]] = {
    "fast": (("hsv", 200.0, ("size", "fill")), ("rgb", 30.0, SIMILARITIES)),
    "full": tuple(
        (space, scale, measures)
        for space, scales in (("hsv", (100.0, 200.0)), ("lab", (30.0, 100.0)), ("rgb", (30.0, 100.0)))
        for scale in scales
        for measures in (SIMILARITIES, ("texture", "size", "fill"), ("size", "fill"))
    ),
}
LONGEST_SIDE = {"fast": 256, "full": 384}  # that pictures are brought to, in pixels


def propose(
    picture: np.ndarray,
    most: int = 300,
    *,
    quality: str = "fast",
    longest_side: int | None = None,
    min_size: int = 20,
    same: float = 0.8,
    seed: int = 0,
) -> np.ndarray:
    """float32 (P, 4): at most `most` boxes of a picture uint8 (H, W, 3), the more likely ones first. The same for the same seed.

    quality:      "fast" (2 searches) or "full" (18)
    longest_side: larger pictures are brought to it first; None: 256 if fast, 384 if full
    min_size:     pixels of the smallest pieces, in the smaller picture; boxes narrower or lower than 4 of its pixels are left out
    same:         a box is left out if its IoU with an earlier one is above it

    Raises `UserError` for a picture of another kind and an unknown quality.
    """
    if quality not in QUALITIES:
        raise unknown_name("quality of proposals", quality, QUALITIES)
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
        raise UserError(f"proposals need a picture uint8 (H, W, 3), got {picture.dtype} {picture.shape}")
    height, width = picture.shape[:2]
    smaller = _smaller(picture, longest_side or LONGEST_SIDE[quality])
    generator = np.random.default_rng(seed)
    found, ranks = [], []
    pieces: dict[tuple[str, float], tuple[np.ndarray, np.ndarray]] = {}
    for space, scale, measures in QUALITIES[quality]:
        if (space, scale) not in pieces:
            values = in_colours(smaller, space)
            pieces[space, scale] = values, felzenszwalb(values, scale, min_size=min_size)
        boxes = join_regions(*pieces[space, scale], measures).boxes
        found.append(boxes)
        ranks.append(generator.random(len(boxes)) * np.arange(len(boxes), 0, -1))
    ranked = np.concatenate(found)[np.argsort(np.concatenate(ranks), kind="stable")]
    ranked = ranked[((ranked[:, 2:] - ranked[:, :2]) >= 4).all(axis=1)]
    if not len(ranked):
        ranked = np.array([[0, 0, smaller.shape[1], smaller.shape[0]]])
    chosen = distinct(ranked, most, same)
    scale_x, scale_y = width / smaller.shape[1], height / smaller.shape[0]
    return (chosen * np.array([scale_x, scale_y, scale_x, scale_y])).astype(np.float32)


def recall(
    proposals: Sequence[np.ndarray],
    truths: Sequence[np.ndarray],
    counts: Sequence[int] = (100, 300, 1000),
    thresholds: Sequence[float] = (0.5, 0.7),
) -> list[dict[str, float]]:
    """How many true boxes are found by the first proposals of each picture: a record for each number of proposals.

    proposals: (P_i, 4) a picture, truths: (M_i, 4) a picture. A record has `proposals` (the mean number that there were),
    `recall50` and so on (share of true boxes that a proposal overlaps by that IoU) and `overlap` (mean best IoU of true boxes).
    """
    records = []
    for count in counts:
        pairs = [(boxes[:count], true) for boxes, true in zip(proposals, truths, strict=True)]
        best = [box_iou(true, boxes).max(axis=1, initial=0) for boxes, true in pairs if len(true)]
        overlaps = np.concatenate(best) if best else np.zeros(0)
        record = {"proposals": float(np.mean([len(boxes) for boxes, _ in pairs]))}
        for threshold in thresholds:
            record[f"recall{round(threshold * 100)}"] = float((overlaps >= threshold).mean())
        records.append(record | {"overlap": float(overlaps.mean())})
    return records


def distinct(boxes: np.ndarray, most: int, same: float) -> np.ndarray:
    """The first `most` of boxes (N, 4) whose IoU with none before them that is kept is above `same`."""
    kept: list[np.ndarray] = []
    while len(boxes) and len(kept) < most:
        kept.append(boxes[0])
        boxes = boxes[1:][box_iou(boxes[:1], boxes[1:])[0] <= same]
    return np.stack(kept) if kept else boxes[:0]


def in_colours(picture: np.ndarray, space: str) -> np.ndarray:
    """uint8 (H, W, 3) of "rgb", "hsv" or "lab" of a picture uint8 (H, W, 3) in RGB. Of Lab, L is brought to 0 to 255 and a, b are
    moved by 128."""
    if space == "hsv":
        return np.asarray(PIL.Image.fromarray(picture).convert("HSV"))
    return _lab(picture) if space == "lab" else picture


def _lab(picture: np.ndarray) -> np.ndarray:
    """CIE L*a*b* of sRGB under daylight (D65)."""
    values = picture.astype(np.float32) / 255
    linear = np.where(values > 0.04045, ((values + 0.055) / 1.055) ** 2.4, values / 12.92)
    primaries = np.array(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175], [0.0193339, 0.119192, 0.9503041]]
    )
    response = linear @ (primaries / primaries.sum(axis=1, keepdims=True)).T  # of X, Y, Z, white is 1
    root = np.where(response > (6 / 29) ** 3, np.cbrt(response), response * (29 / 6) ** 2 / 3 + 4 / 29)
    x, y, z = np.moveaxis(root, 2, 0)
    lab = np.stack([(116 * y - 16) * 2.55, 500 * (x - y) + 128, 200 * (y - z) + 128], axis=2)
    return lab.round().clip(0, 255).astype(np.uint8)


def _smaller(picture: np.ndarray, longest_side: int) -> np.ndarray:
    height, width = picture.shape[:2]
    ratio = longest_side / max(height, width)
    if ratio >= 1:
        return picture
    size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
    return np.asarray(PIL.Image.fromarray(picture).resize(size, PIL.Image.Resampling.BILINEAR))
