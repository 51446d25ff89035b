"""Which format of boxes or masks a folder is in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from gradus.data.columns import Boxes, Mask, Points
from gradus.data.dataset import SPLITS, Dataset
from gradus.data.readers.boxes_table import read_boxes_table
from gradus.data.readers.cells import TABLE_SUFFIXES, read_cells
from gradus.data.readers.coco import coco_files, is_coco_file, read_coco
from gradus.data.readers.folder import SPLIT_NAMES
from gradus.data.readers.masks import PICTURES, mask_folders, read_masks
from gradus.data.readers.objects import child, is_picture
from gradus.data.readers.voc import is_voc, read_voc
from gradus.data.readers.yolo import is_yolo, read_yolo, yaml_file
from gradus.errors import UserError, did_you_mean

ROBOFLOW = "_annotations.csv"


def read_scenes(root: Path, target: str | None = None, check: bool = True) -> Dataset | None:
    """The boxes or masks of a folder; None where it is in none of their layouts.

    target: `mask` asks for the masks of a folder that has boxes too, or for those of its objects' outlines

    Raises `UserError` for a layout that lacks a part, naming it, and for what its reader refuses.
    """
    root = Path(root)
    has_masks = bool(mask_folders(root))
    reader = _reader(root, has_masks and target == "mask")
    if reader is None:
        _refuse_half(root)
        return None
    dataset = _read(reader, root, target, check)
    if has_masks and dataset.target == "objects":
        dataset.notes.append("there are masks too: --target mask reads them in place of the boxes")
    return _with_target(dataset, target)


def read_scenes_file(file: Path, target: str | None = None, check: bool = True) -> Dataset | None:
    """The boxes, or the outlines as masks, of a COCO or YAML file; None for any other."""
    reader = read_coco if is_coco_file(file) else read_yolo if file.suffix.lower() in (".yaml", ".yml") else None
    return reader and _with_target(_read(reader, file, target, check), target)


def _read(reader: Callable[..., Dataset], path: Path, target: str | None, check: bool) -> Dataset:
    if target == "mask" and reader in (read_coco, read_yolo):
        return reader(path, check, outlines=True)
    return reader(path, check)


def _reader(root: Path, masks: bool) -> Callable[[Path, bool], Dataset] | None:
    if masks:
        return read_masks
    if coco_files(root):
        return read_coco
    if yaml_file(root):
        return read_yolo
    if is_voc(root):
        return read_voc
    if mask_folders(root):
        return read_masks
    if is_yolo(root):
        return read_yolo
    return _read_box_tables if _box_tables(root) else None


def _box_tables(root: Path) -> dict[str, Path]:
    """Split -> train/_annotations.csv, as Roboflow exports it beside the pictures."""
    return {
        SPLIT_NAMES[file.parent.name.lower()]: file
        for file in sorted(root.glob(f"*/{ROBOFLOW}"))
        if file.parent.name.lower() in SPLIT_NAMES
    }


def _read_box_tables(root: Path, check: bool) -> Dataset:
    files = _box_tables(root)
    if "train" not in files:
        raise UserError(f"{root}: there is no train/{ROBOFLOW}")
    return read_boxes_table({split: read_cells(files[split]) for split in SPLITS if split in files}, root, check)


def _with_target(dataset: Dataset, target: str | None) -> Dataset:
    if target in (None, dataset.target):
        return dataset
    places = [name for name, kind in dataset.types.items() if isinstance(kind, Boxes | Mask | Points)]
    if target not in places:
        hint = did_you_mean(str(target), places)
        raise UserError(f"{dataset.source}: there is no target '{target}'{hint}; there is {', '.join(places)}")
    return replace(dataset, target=target)


def _refuse_half(root: Path) -> None:
    """Raises `UserError` where pictures lie in images/ and no other folder has any: something was to be written about them."""
    pictures = child(root, *PICTURES)
    tables = sorted(path for path in root.iterdir() if path.suffix.lower() in TABLE_SUFFIXES)
    if any(path.stem.lower() in SPLIT_NAMES for path in tables):
        return
    if pictures is None or not any(is_picture(path) for path in pictures.rglob("*")):
        return
    others = [path for path in root.iterdir() if path.is_dir() and path != pictures and not path.name.startswith(".")]
    if any(is_picture(path) for other in others for path in other.rglob("*")):
        return
    if tables:
        raise UserError(
            f"{root}: there are pictures in {pictures.name}/; to read the table, give its path: {tables[0]}"
        )
    beside = f" (beside it: {', '.join(sorted(path.name for path in others))})" if others else ""
    raise UserError(
        f"{root}: there are pictures in {pictures.name}/, but nothing that is written about them{beside}; expected "
        "labels/*.txt and data.yaml (YOLO), annotations/*.json (COCO), Annotations/*.xml (VOC), masks/*.png, or a table"
    )
