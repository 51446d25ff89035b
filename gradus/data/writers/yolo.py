"""YOLO text files: data.yaml, labels/SPLIT/*.txt, and SPLIT.txt, which lists the pictures in their order; boxes, or polygons of
masks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from gradus.data.columns import Mask
from gradus.data.writers.files import SPLIT_FOLDERS, Scene, boxes_of
from gradus.data.writers.outlined import outlines_of, with_void


def write_yolo(folder: Path, scenes: dict[str, list[Scene]], classes: tuple[str, ...]) -> list[str]:
    """Ignored boxes have no form here and are left out, which is noted."""
    _write(folder, scenes, classes, _boxes)
    left_out = sum(int(scene.value.ignored.sum()) for rows in scenes.values() for scene in rows)
    return [f"{left_out:,} ignored boxes were left out: YOLO has no form for them"] if left_out else []


def write_yolo_outlines(folder: Path, scenes: dict[str, list[Scene]], kind: Mask) -> list[str]:
    """A polygon for each connected part of a class, along the edges of its pixels."""
    classes, notes = with_void(scenes, kind)
    _write(folder, scenes, classes, lambda scene: _polygons(scene, classes, kind))
    return notes


def _write(
    folder: Path, scenes: dict[str, list[Scene]], classes: tuple[str, ...], text_of: Callable[[Scene], str]
) -> None:
    lines = []
    for split, rows in scenes.items():
        name = SPLIT_FOLDERS[split]
        lines.append(f"{name}: {name}.txt")
        (folder / f"{name}.txt").write_text("".join(f"./{scene.file}\n" for scene in rows), encoding="utf-8")
        labels = folder / "labels" / name
        labels.mkdir(parents=True)
        for scene in rows:
            (labels / f"{scene.stem}.txt").write_text(text_of(scene), encoding="utf-8")
    lines += ["names:", *(f"  {number}: {json.dumps(name, ensure_ascii=False)}" for number, name in enumerate(classes))]
    (folder / "data.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _boxes(scene: Scene) -> str:
    lines = []
    for left, top, right, bottom, label, ignored in boxes_of(scene):
        centre = (left + right) / 2 / scene.width, (top + bottom) / 2 / scene.height
        sides = (right - left) / scene.width, (bottom - top) / scene.height
        if not ignored:
            lines.append(" ".join([str(label), *(repr(value) for value in (*centre, *sides))]) + "\n")
    return "".join(lines)


def _polygons(scene: Scene, classes: tuple[str, ...], kind: Mask) -> str:
    lines = []
    for label, corners, _ in outlines_of(scene, classes, kind):
        shares = corners / (scene.width, scene.height)
        lines.append(" ".join([str(label), *(repr(value) for value in shares.ravel().tolist())]) + "\n")
    return "".join(lines)
