"""Pascal VOC: Annotations/*.xml, ImageSets/Main/SPLIT.txt, and labels.txt for the order of the classes, which VOC lacks."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

from gradus.data.writers.files import SPLIT_FOLDERS, Scene, boxes_of, decimal


def write_voc(folder: Path, scenes: dict[str, list[Scene]], classes: tuple[str, ...]) -> list[str]:
    """Corners count from 1 and the last pixel belongs to the box; `difficult` stands for ignored boxes."""
    (folder / "Annotations").mkdir()
    sets = folder / "ImageSets" / "Main"
    sets.mkdir(parents=True)
    (folder / "labels.txt").write_text("".join(f"{name}\n" for name in classes), encoding="utf-8")
    for split, rows in scenes.items():
        names = "".join(f"{scene.stem}\n" for scene in rows)
        (sets / f"{SPLIT_FOLDERS[split]}.txt").write_text(names, encoding="utf-8")
        for scene in rows:
            tree = ElementTree.ElementTree(_annotation(scene, classes))
            ElementTree.indent(tree)
            tree.write(folder / "Annotations" / f"{scene.stem}.xml", encoding="utf-8")
    return []


def _annotation(scene: Scene, classes: tuple[str, ...]) -> ElementTree.Element:
    root = ElementTree.Element("annotation")
    ElementTree.SubElement(root, "filename").text = PurePosixPath(scene.file).name
    size = ElementTree.SubElement(root, "size")
    for name, value in (("width", scene.width), ("height", scene.height)):
        ElementTree.SubElement(size, name).text = str(value)
    for left, top, right, bottom, label, ignored in boxes_of(scene):
        element = ElementTree.SubElement(root, "object")
        ElementTree.SubElement(element, "name").text = classes[label]
        ElementTree.SubElement(element, "difficult").text = str(int(ignored))
        box = ElementTree.SubElement(element, "bndbox")
        corners = {"xmin": left + 1, "ymin": top + 1, "xmax": right, "ymax": bottom}
        for name, corner in corners.items():
            ElementTree.SubElement(box, name).text = decimal(corner)
    return root
