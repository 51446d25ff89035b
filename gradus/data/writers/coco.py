"""COCO JSON: annotations/instances_SPLIT.json beside the folders of pictures."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath

from gradus.data.writers.files import SPLIT_FOLDERS, Scene, boxes_of


def write_coco(folder: Path, scenes: dict[str, list[Scene]], classes: tuple[str, ...]) -> list[str]:
    """Categories count from 1, as COCO's do; `iscrowd` stands for ignored boxes."""
    (folder / "annotations").mkdir()
    categories = [{"id": number, "name": name} for number, name in enumerate(classes, start=1)]
    for split, rows in scenes.items():
        images, annotations = [], []
        for number, scene in enumerate(rows, start=1):
            name = PurePosixPath(scene.file).name
            images.append({"id": number, "file_name": name, "height": scene.height, "width": scene.width})
            for left, top, right, bottom, label, ignored in boxes_of(scene):
                width, height = right - left, bottom - top
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": number,
                        "category_id": label + 1,
                        "bbox": [left, top, width, height],
                        "area": width * height,
                        "iscrowd": int(ignored),
                    }
                )
        content = {"images": images, "annotations": annotations, "categories": categories}
        file = folder / "annotations" / f"instances_{SPLIT_FOLDERS[split]}.json"
        file.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return []
