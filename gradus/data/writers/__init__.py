"""Writers of data sets with boxes or masks, in the formats of the field. The readers read the same from what they write."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gradus.data.columns import Boxes, Mask
from gradus.data.dataset import Dataset
from gradus.data.writers.coco import write_coco
from gradus.data.writers.files import Scene, new_folder, scene_columns, write_pictures
from gradus.data.writers.masks import write_masks
from gradus.data.writers.table import write_table
from gradus.data.writers.voc import write_voc
from gradus.data.writers.yolo import write_yolo
from gradus.errors import UserError, unknown_name

Writer = Callable[[Path, dict[str, list[Scene]], tuple[str, ...]], list[str]]

# format -> (what writes annotations beside pictures, the folder of a split's pictures)
BOXES: dict[str, tuple[Writer, str]] = {
    "coco": (write_coco, "{split}"),
    "voc": (write_voc, "JPEGImages"),
    "yolo": (write_yolo, "images/{split}"),
    "csv": (write_table, "images/{split}"),
}
FORMATS = (*BOXES, "masks")


def export(dataset: Dataset, to: str, out: str | Path) -> list[str]:
    """Writes a data set into the new folder `out` as `coco`, `voc`, `yolo` or `csv` (boxes) or `masks`, and returns notes on what
    the format cannot hold.

    The files of pictures are copied byte for byte; pictures that are arrays become PNG. Coordinates are written with as many
    digits as it takes to read the same float32 again; order of rows, boxes and classes stays.

    Raises `UserError` for an unknown format, data without boxes (or masks), and where `out` exists; then nothing is written.
    """
    if to not in FORMATS:
        raise unknown_name("format", to, FORMATS)
    picture, target, kind = scene_columns(dataset)
    if isinstance(kind, Mask) != (to == "masks"):
        fits = "masks" if isinstance(kind, Mask) else ", ".join(BOXES)
        raise UserError(f"{dataset.name}: its {type(kind).__name__.lower()} cannot be written as {to}, but as {fits}")
    with new_folder(Path(out)) as folder:
        if isinstance(kind, Boxes):
            write, place = BOXES[to]
            return write(folder, write_pictures(dataset, picture, target, folder, place), kind.classes)
        scenes = write_pictures(dataset, picture, target, folder, "images/{split}")
        return write_masks(folder, scenes, kind)
