"""YOLO text files: data.yaml, labels/SPLIT/*.txt, and SPLIT.txt, which lists the pictures in their order."""

from __future__ import annotations

import json
from pathlib import Path

from gradus.data.writers.files import SPLIT_FOLDERS, Scene, boxes_of


def write_yolo(folder: Path, scenes: dict[str, list[Scene]], classes: tuple[str, ...]) -> list[str]:
    """Ignored boxes have no form here and are left out, which is noted."""
    lines = []
    left_out = 0
    for split, rows in scenes.items():
        name = SPLIT_FOLDERS[split]
        lines.append(f"{name}: {name}.txt")
        (folder / f"{name}.txt").write_text("".join(f"./{scene.file}\n" for scene in rows), encoding="utf-8")
        labels = folder / "labels" / name
        labels.mkdir(parents=True)
        for scene in rows:
            (labels / f"{scene.stem}.txt").write_text(_boxes(scene), encoding="utf-8")
            left_out += int(scene.value.ignored.sum())
    lines += ["names:", *(f"  {number}: {json.dumps(name, ensure_ascii=False)}" for number, name in enumerate(classes))]
    (folder / "data.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return [f"{left_out:,} ignored boxes were left out: YOLO has no form for them"] if left_out else []


def _boxes(scene: Scene) -> str:
    lines = []
    for left, top, right, bottom, label, ignored in boxes_of(scene):
        centre = (left + right) / 2 / scene.width, (top + bottom) / 2 / scene.height
        sides = (right - left) / scene.width, (bottom - top) / scene.height
        if not ignored:
            lines.append(" ".join([str(label), *(repr(value) for value in (*centre, *sides))]) + "\n")
    return "".join(lines)
