"""Points and single boxes drawn on a picture, in a colour for what is given and one for what was found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw

GIVEN_RGB, FOUND_RGB = (46, 160, 67), (214, 96, 28)  # of the truth, and of answers


def draw_points(
    picture: np.ndarray,
    points: np.ndarray,
    names: Sequence[str] = (),
    colour: tuple[int, int, int] = FOUND_RGB,
) -> np.ndarray:
    """A copy of a uint8 picture (height, width, 1 or 3) as RGB with a dot at each of points (K, 2), x and y in pixels; nan: none.

    names: written beside the dots, where given
    """
    image, draw = _canvas(picture)
    radius = max(2.0, max(image.size) / 120)
    for index, (x, y) in enumerate(np.asarray(points, dtype=np.float64).tolist()):
        if not (np.isfinite(x) and np.isfinite(y)):
            continue
        place = (x - 0.5, y - 0.5)  # Pillow counts from the middle of the first pixel
        around = [place[0] - radius, place[1] - radius, place[0] + radius, place[1] + radius]
        draw.ellipse(around, fill=colour, outline=(255, 255, 255))
        if names:
            text = (place[0] + 1.5 * radius, place[1] - 1.5 * radius)
            draw.text(text, names[index], fill=colour, stroke_width=1, stroke_fill=(255, 255, 255))
    return np.asarray(image)


def draw_frame(picture: np.ndarray, box: np.ndarray, colour: tuple[int, int, int] = FOUND_RGB) -> np.ndarray:
    """A copy of a uint8 picture as RGB with the frame of one box: left, top, right, bottom in pixels."""
    image, draw = _canvas(picture)
    left, top, right, bottom = (float(side) - 0.5 for side in box)
    draw.rectangle(
        [left, top, max(left, right), max(top, bottom)], outline=colour, width=max(1, round(max(image.size) / 90))
    )
    return np.asarray(image)


def _canvas(picture: np.ndarray) -> tuple[PillowImage.Image, ImageDraw.ImageDraw]:
    image = PillowImage.fromarray(picture[:, :, 0] if picture.shape[2] == 1 else np.ascontiguousarray(picture))
    image = image.convert("RGB")
    return image, ImageDraw.Draw(image)
