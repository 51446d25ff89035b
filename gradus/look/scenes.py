"""Boxes and masks drawn on pictures: uint8 arrays in, uint8 RGB arrays out, so that sheets, reports and files share them.

A class has the same colour wherever it is drawn, by its place in the list of classes. Labels are in Pillow's own font, which
knows Latin letters only.
"""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from gradus.data.columns import Objects

# the first classes: colours that are told apart, and seen on light and on dark
COLOURS = (
    *((230, 60, 60), (50, 125, 235), (60, 180, 75), (245, 200, 40), (150, 75, 205), (65, 205, 220)),
    *((245, 140, 40), (240, 80, 190), (135, 95, 55), (170, 220, 80), (20, 125, 125), (250, 170, 175)),
)
GOLDEN = 0.6180339887  # of a turn: hues that follow each other so are far apart
UNKNOWN = (120, 120, 120)  # pixels without a class
INK, PAPER = (25, 25, 25), (255, 255, 255)


def class_colour(index: int) -> tuple[int, int, int]:
    """The colour of class `index`, for any number of classes."""
    if index < len(COLOURS):
        return COLOURS[index]
    light = (0.95, 0.7, 0.5)[index % 3]
    red, green, blue = colorsys.hsv_to_rgb(index * GOLDEN % 1, 0.75, light)
    return round(255 * red), round(255 * green), round(255 * blue)


def draw_objects(
    picture: np.ndarray, objects: Objects, classes: Sequence[str], *, labels: bool = True, width: int | None = None
) -> np.ndarray:
    """uint8 (H, W, 1 or 3) -> uint8 (H, W, 3) with a frame around each object, its class, and its score where it has one.

    Larger boxes are drawn first, so that small ones are not covered. Ignored objects have a thin frame, and their class stands
    in brackets.

    labels: whether classes and scores are written
    width:  pixels of the lines; by default according to the picture
    """
    image = PillowImage.fromarray(to_colour(picture))
    draw = ImageDraw.Draw(image)
    short = min(image.size)
    width = max(1, round(short / 180)) if width is None else width
    beyond = 2 * width + 2  # pixels past the edge, where nothing is seen of a frame; Pillow does not draw to any place
    most = [image.width + beyond, image.height + beyond] * 2
    objects = objects.take(np.isfinite(objects.boxes).all(axis=1))
    objects = replace(objects, boxes=np.clip(objects.boxes, -beyond, most))
    sides = objects.boxes[:, 2:] - objects.boxes[:, :2]
    order = np.argsort(-sides.prod(axis=1), kind="stable")
    for index in order.tolist():
        _frame(draw, objects, index, 1 if objects.ignored[index] else width)
    if labels:
        letters = font(max(10, round(short / 32)))
        for index in order.tolist():
            _label(draw, objects, index, classes, letters, image.size)
    return np.asarray(image)


def draw_mask(picture: np.ndarray, mask: np.ndarray, classes: Sequence[str], *, opacity: float = 0.55) -> np.ndarray:
    """uint8 (H, W, 1 or 3) and class indices (H, W) -> uint8 (H, W, 3): the picture under the colours of the classes. What is no
    index of a class (the ignored pixels) is grey.

    opacity: 0, only the picture, to 1, only the colours
    """
    if mask.shape != picture.shape[:2]:
        raise ValueError(f"a mask of {mask.shape} for a picture of {picture.shape[:2]}")
    table = np.array([class_colour(index) for index in range(len(classes))] + [UNKNOWN], dtype=np.float32)
    known = (mask >= 0) & (mask < len(classes))
    colours = table[np.where(known, mask, len(classes)).astype(np.int64)]
    return (to_colour(picture) * (1 - opacity) + colours * opacity).round().astype(np.uint8)


def draw_legend(classes: Sequence[str], width: int, *, unknown: bool = False) -> np.ndarray:
    """uint8 (H, width, 3): each class beside its colour, in as many lines as they need. unknown: also that of no class."""
    letters, gap, square = font(13), 16, 12
    entries = [(in_a_line(name), class_colour(index)) for index, name in enumerate(classes)]
    entries += [("no class", UNKNOWN)] if unknown else []
    places: list[tuple[float, int]] = []
    x, line = float(gap), 0
    for name, _ in entries:
        needed = square + 5 + letters.getlength(name) + gap
        if x > gap and x + needed > width:
            x, line = gap, line + 1
        places.append((x, line))
        x += needed
    image = PillowImage.new("RGB", (width, 20 * (line + 1) + 8), PAPER)
    draw = ImageDraw.Draw(image)
    for (name, colour), (x, line) in zip(entries, places, strict=True):
        top = 20 * line + 8
        draw.rectangle((x, top, x + square, top + square), fill=colour)
        draw.text((x + square + 5, top + square / 2), name, fill=INK, font=letters, anchor="lm")
    return np.asarray(image)


def to_colour(picture: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 1 or 3) -> uint8 (H, W, 3)."""
    return np.ascontiguousarray(np.broadcast_to(picture, (*picture.shape[:2], 3)))


def in_a_line(text: str) -> str:
    """A text without line ends, which Pillow would place otherwise."""
    return " ".join(text.split())


@cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font in a size of pixels."""
    return ImageFont.load_default(size)


def _frame(draw: ImageDraw.ImageDraw, objects: Objects, index: int, width: int) -> None:
    left, top, right, bottom = (float(side) for side in objects.boxes[index])
    # pixel i covers i to i + 1, so the last pixel inside is right - 1
    corners = (round(left), round(top), max(round(left), round(right) - 1), max(round(top), round(bottom) - 1))
    draw.rectangle(corners, outline=class_colour(int(objects.labels[index])), width=width)


def _label(draw, objects: Objects, index: int, classes: Sequence[str], letters, size: tuple[int, int]) -> None:
    """The class (and score) above the box's upper left corner, or in it where there is no room above."""
    label = int(objects.labels[index])
    text = in_a_line(classes[label]) if 0 <= label < len(classes) else f"class {label}"
    if objects.scores is not None:
        text += f" {objects.scores[index]:.2f}"
    if objects.ignored[index]:
        text = f"({text})"
    colour = class_colour(label)
    _, top, right, bottom = letters.getbbox(text, anchor="lt")
    wide, high = right + 4, bottom - top + 4
    x = min(max(round(float(objects.boxes[index, 0])), 0), max(size[0] - round(wide), 0))
    y = round(float(objects.boxes[index, 1])) - round(high)
    if y < 0:
        y = max(0, round(float(objects.boxes[index, 1])))
    y = min(y, max(size[1] - round(high), 0))
    draw.rectangle((x, y, x + wide - 1, y + high - 1), fill=colour)
    brightness = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]
    draw.text((x + 2, y + 2), text, fill=INK if brightness > 140 else PAPER, font=letters, anchor="lt")
