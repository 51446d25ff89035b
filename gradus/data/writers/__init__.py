"""Writers of data sets with boxes or masks, in the formats of the field. The readers read the same from what they write."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from gradus.data.columns import Mask
from gradus.data.dataset import Dataset
from gradus.data.writers.coco import write_coco, write_coco_outlines
from gradus.data.writers.files import Scene, new_folder, scene_columns, write_pictures
from gradus.data.writers.masks import write_masks, write_voc_masks
from gradus.data.writers.table import write_table
from gradus.data.writers.voc import write_voc
from gradus.data.writers.yolo import write_yolo, write_yolo_outlines
from gradus.errors import UserError, unknown_name

Scenes = dict[str, list[Scene]]

# format -> (what writes annotations beside pictures, the folder of a split's pictures)
BOXES: dict[str, tuple[Callable[[Path, Scenes, tuple[str, ...]], list[str]], str]] = {
    "coco": (write_coco, "{split}"),
    "voc": (write_voc, "JPEGImages"),
    "yolo": (write_yolo, "images/{split}"),
    "csv": (write_table, "images/{split}"),
}
MASKS: dict[str, tuple[Callable[[Path, Scenes, Mask], list[str]], str]] = {
    "masks": (write_masks, "images/{split}"),
    "coco": (write_coco_outlines, "{split}"),
    "voc": (write_voc_masks, "JPEGImages"),
    "yolo": (write_yolo_outlines, "images/{split}"),
}
FORMATS = tuple({**BOXES, **MASKS})


def export(dataset: Dataset, to: str, out: str | Path) -> list[str]:
    """Writes a data set into the new folder `out` and returns notes on what the format cannot hold.

    to: of boxes `coco`, `voc`, `yolo` or `csv`; of masks `masks` or `voc`, or, as outlines along the edges of their pixels that
        are drawn back exactly, `coco` or `yolo`

    The files of pictures are copied byte for byte; pictures that are arrays become PNG. Coordinates are written with as many
    digits as it takes to read the same float32 again; order of rows, boxes and classes stays.

    Raises `UserError` for an unknown format, data without boxes (or masks), and where `out` exists; then nothing is written.
    """
    if to not in FORMATS:
        raise unknown_name("format", to, FORMATS)
    picture, target, kind = scene_columns(dataset)
    formats: dict[str, Any] = MASKS if isinstance(kind, Mask) else BOXES
    if to not in formats:
        what = type(kind).__name__.lower()
        raise UserError(f"{dataset.name}: its {what} cannot be written as {to}, but as {', '.join(formats)}")
    write, place = formats[to]
    with new_folder(Path(out)) as folder:
        scenes = write_pictures(dataset, picture, target, folder, place)
        return write(folder, scenes, kind if isinstance(kind, Mask) else kind.classes)
