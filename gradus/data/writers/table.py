"""Tables of boxes: SPLIT.csv with a row a box, and labels.txt for the order of the classes."""

from __future__ import annotations

import csv
from pathlib import Path

from gradus.data.writers.files import SPLIT_FOLDERS, Scene, boxes_of, decimal

HEADER = ("filename", "class", "xmin", "ymin", "xmax", "ymax", "ignored")


def write_table(folder: Path, scenes: dict[str, list[Scene]], classes: tuple[str, ...]) -> list[str]:
    """A picture without boxes has a row with its name alone."""
    (folder / "labels.txt").write_text("".join(f"{name}\n" for name in classes), encoding="utf-8")
    for split, rows in scenes.items():
        with (folder / f"{SPLIT_FOLDERS[split]}.csv").open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(HEADER)
            for scene in rows:
                for *box, label, ignored in boxes_of(scene):
                    table.writerow([scene.file, classes[label], *map(decimal, box), int(ignored)])
                if not len(scene.value):
                    table.writerow([scene.file, *[""] * (len(HEADER) - 1)])
    return []
