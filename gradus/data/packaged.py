"""Texts that come with Gradus: a list of names, and its own source code."""

from __future__ import annotations

from pathlib import Path

from gradus.data.columns import Column, Text
from gradus.data.dataset import NumberedRows, Split

PACKAGE = Path(__file__).parent.parent


def read_packaged(name: str) -> dict[str, Split]:
    """The one split of a packaged entry of the catalogue."""
    return {"train": {"dinosaurs": dinosaurs, "gradus_code": code}[name]()}


def dinosaurs() -> Split:
    """The genera of dinosaurs in small letters, one a row."""
    file = PACKAGE / "data" / "text" / "dinosaurs.txt"
    names = file.read_text(encoding="utf-8").split()
    return Split({"name": Column(Text(), names)}, NumberedRows.count(file.name, len(names)))


def code() -> Split:
    """The lines of all Python files of the package, in the order of their paths."""
    files = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))
    text = "\n".join((PACKAGE / file).read_text(encoding="utf-8") for file in files)
    lines = text.splitlines(keepends=True)
    return Split({"text": Column(Text(), lines)}, NumberedRows.count("the package's Python files", len(lines)))
