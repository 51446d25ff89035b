"""Masks from objects' outlines: the class of every pixel, of data that tell of objects one by one (COCO, YOLO).

Pixels of no object are background: the class of that name where there is one, else a class put before all others; where
objects cover all pixels there is none. Of a class called void, unlabelled or ignore, and of an object that has a box alone,
pixels have no class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from gradus.data.columns import Column, Image, Mask
from gradus.data.dataset import SPLITS, Dataset, Split
from gradus.data.images import EncodedImages
from gradus.data.outlines import REST, Drawing, DrawnMasks, Polygons, Runs, Size
from gradus.data.readers.class_maps import IGNORE, class_map
from gradus.data.readers.objects import Annotated, Scenes, dataset_of, other_sizes, refuse_mistakes, require_train
from gradus.data.readers.pictures import Headers
from gradus.errors import UserError

BACKGROUND = "background"
FARTHEST = 1e7  # pixels


def outlines_dataset(scenes: Scenes, classes: Sequence[str], check: bool, source: Path) -> Dataset:
    """Columns `image` and `mask` (the target) of what was found.

    classes: all of them, in order
    check:   False leaves broken and missing pictures, and mistakes, for the scan to name

    Raises `UserError` where no object has an outline, there are too many classes, or as `objects_dataset` does.
    """
    found = {name: scenes.by_split[name] for name in SPLITS if scenes.by_split.get(name)}
    require_train(scenes.root, list(found))
    rows = [row for part in found.values() for row in part]
    if len(classes) >= REST:
        raise UserError(f"{source}: masks of at most {REST - 1} classes can be drawn, found {len(classes)}")
    headers = Headers()
    headers.look((row.picture for row in rows), (row.origin for row in rows))
    sizes = [size if _fits(scenes, row, size) else None for row, size in zip(rows, headers.sizes, strict=True)]
    if check:
        headers.raise_broken(scenes.root)
    if not any(outline for row in rows for outline in row.outlines) and not scenes.mistakes:
        scenes.wrong("outlines", str(source), "no object has an outline, so nothing tells the class of each pixel")
    if check:
        refuse_mistakes(scenes.root, scenes.mistakes, " --target mask")
    notes = [*scenes.notes, *headers.places_notes("outlines"), *other_sizes(found, headers, "outlines")]
    index = {name: number for number, name in enumerate(classes)}
    raw = np.arange(256, dtype=np.uint8)
    masks = DrawnMasks([_drawing(row, index) for row in rows], sizes, [row.origin for row in rows], raw)
    if alone := sum(len(drawing.boxes) for drawing in masks.drawings):
        notes.append(
            f"{alone:,} objects have a box and no outline: what lies in these boxes is not learnt, not counted"
        )
    names, table = _meaning(masks, classes, source, notes)
    masks = replace(masks, table=table)
    splits, start = {}, 0
    for name, part in found.items():
        here = np.arange(start, start + len(part))
        start += len(part)
        own = [row.origin for row in part]
        images = EncodedImages([row.picture for row in part], own, headers.channels)
        columns = {
            "image": Column(Image(channels=headers.channels), images),
            "mask": Column(Mask(classes=names, ignore=IGNORE), masks.take(here)),
        }
        splits[name] = Split(columns, own)
    return dataset_of(scenes, source, splits, "mask", notes)


def _meaning(
    masks: DrawnMasks, classes: Sequence[str], source: Path, notes: list[str]
) -> tuple[tuple[str, ...], np.ndarray]:
    """(classes of the masks, the class of each number in them): with background among them where pixels are of no object."""
    named, rest = list(classes), None
    if background := [number for number, name in enumerate(classes) if name.casefold().strip("_") == BACKGROUND]:
        rest = background[0]
        notes.append(f"pixels of no object are of the class '{classes[rest]}'")
    elif _has_rest(masks):
        named, rest = [BACKGROUND, *classes], 0
        notes.append("pixels of no object are a class of their own, 'background', before the others")
    meaning = class_map(named, np.zeros(256, dtype=np.int64), source, notes)
    table = np.full(256, IGNORE, dtype=np.uint8)
    table[: len(classes)] = meaning.table[len(named) - len(classes) : len(named)]
    if rest is not None:
        table[REST] = meaning.table[rest]
    return meaning.classes, table


def _drawing(row: Annotated, index: dict[str, int]) -> Drawing:
    objects = list(zip(row.names, row.outlines, row.boxes, strict=True))
    return Drawing(
        tuple((index[name], outline) for name, outline, _ in objects if outline is not None),
        tuple(box for _, outline, box in objects if outline is None),
    )


def _fits(scenes: Scenes, row: Annotated, size: Size | None) -> bool:
    """Whether a picture's mask can be drawn; notes run lengths that are not those of the picture, and corners that are no
    places."""
    mistakes = len(scenes.mistakes)
    for outline in row.outlines:
        if isinstance(outline, Runs) and size and size != outline.size:
            said = f"{outline.size[1]}x{outline.size[0]}"
            message = f"run lengths of {said} pixels, but the picture has {size[1]}x{size[0]}"
            scenes.wrong("outlines of another size than their picture", row.origin, message)
        elif isinstance(outline, Polygons) and not all((np.abs(part) < FARTHEST).all() for part in outline.parts):
            scenes.wrong("outlines that cannot be read", row.origin, "a corner of a polygon is no place on a picture")
    for outline, box in zip(row.outlines, row.boxes, strict=True):
        if outline is None and not all(abs(corner) < FARTHEST for corner in box):
            scenes.wrong("boxes that cannot be read", row.origin, "a box without an outline is no place on a picture")
    return len(scenes.mistakes) == mistakes


def _has_rest(masks: DrawnMasks) -> bool:
    """Whether a pixel of any picture lies in no object: mostly the first picture tells."""
    return any(bool((masks[index] == REST).any()) for index, size in enumerate(masks.sizes) if size is not None)
