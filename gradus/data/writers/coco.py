"""COCO JSON: annotations/instances_SPLIT.json beside the folders of pictures; boxes, or polygons of masks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from gradus.data.columns import Mask
from gradus.data.writers.files import SPLIT_FOLDERS, Scene, boxes_of
from gradus.data.writers.outlined import outlines_of, with_void


def write_coco(folder: Path, scenes: dict[str, list[Scene]], classes: tuple[str, ...]) -> list[str]:
    """Categories count from 1, as COCO's do; `iscrowd` stands for ignored boxes."""
    return _write(folder, scenes, classes, _of_boxes)


def write_coco_outlines(folder: Path, scenes: dict[str, list[Scene]], kind: Mask) -> list[str]:
    """A polygon for each connected part of a class, along the edges of its pixels."""
    classes, notes = with_void(scenes, kind)
    _write(folder, scenes, classes, lambda scene: _of_mask(scene, classes, kind))
    return notes


def _of_boxes(scene: Scene) -> Iterator[dict[str, Any]]:
    for left, top, right, bottom, label, ignored in boxes_of(scene):
        width, height = right - left, bottom - top
        box = [left, top, width, height]
        yield {"category_id": label + 1, "bbox": box, "area": width * height, "iscrowd": int(ignored)}


def _of_mask(scene: Scene, classes: tuple[str, ...], kind: Mask) -> Iterator[dict[str, Any]]:
    for label, corners, area in outlines_of(scene, classes, kind):
        (left, top), (right, bottom) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
        box = [left, top, right - left, bottom - top]
        outline = [corners.astype(int).ravel().tolist()]
        yield {"category_id": label + 1, "bbox": box, "area": area, "iscrowd": 0, "segmentation": outline}


def _write(
    folder: Path,
    scenes: dict[str, list[Scene]],
    classes: tuple[str, ...],
    objects_of: Callable[[Scene], Iterator[dict[str, Any]]],
) -> list[str]:
    (folder / "annotations").mkdir()
    categories = [{"id": number, "name": name} for number, name in enumerate(classes, start=1)]
    for split, rows in scenes.items():
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for number, scene in enumerate(rows, start=1):
            name = PurePosixPath(scene.file).name
            images.append({"id": number, "file_name": name, "height": scene.height, "width": scene.width})
            for entry in objects_of(scene):
                annotations.append({"id": len(annotations) + 1, "image_id": number, **entry})
        content = {"images": images, "annotations": annotations, "categories": categories}
        file = folder / "annotations" / f"instances_{SPLIT_FOLDERS[split]}.json"
        file.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return []
