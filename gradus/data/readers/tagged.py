"""Texts with a class for each word: CoNLL files, and tables with lists of words and of tags.

A CoNLL file has a word and its tag on a line (first and last column; spaces or tabs between), and an empty line behind each
sentence; lines that begin with -DOCSTART- are left out. Tags stay as they are written (IOB1, IOB2, BIOES or no scheme at all):
what a span is, is for the measures to say.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gradus.data.columns import Column, Tags, Text
from gradus.data.dataset import SPLITS, Dataset, NumberedRows, Split
from gradus.data.readers.cells import Cells, is_missing, read_text
from gradus.data.readers.convert import class_name
from gradus.errors import UserError

TAGGED_SUFFIXES = (".conll", ".bio", ".iob", ".iob2", ".bioes")
WORDS, TAGS = "text", "tags"  # the columns of what is read from CoNLL files
SPLIT_STEMS = {"train": "train", "dev": "validation", "valid": "validation", "validation": "validation", "test": "test"}
_SCHEME = re.compile(r"O|[BIESLU]-\S+")
LOOKED_AT = 200  # lines of a .txt file by which it is told whether words and tags stand in it

Sentence = tuple[list[str], list[Any]]


def read_tagged(path: Path) -> Dataset:
    """The data set of one CoNLL file, as its "train" split, or of a folder with one for each split."""
    files = tagged_files(path) if path.is_dir() else {"train": path}
    notes: list[str] = []
    sentences = {split: _sentences(file, notes) for split, file in files.items()}
    names = sorted({tag for found in sentences.values() for _, tags, _ in found for tag in tags})
    kind = Tags(classes=tuple(names))
    splits = {}
    for split, found in sentences.items():
        lines = np.array([line for _, _, line in found])
        columns = _columns([(words, tags) for words, tags, _ in found], kind, WORDS, TAGS)
        splits[split] = Split(columns, NumberedRows(files[split].name, lines))
    return Dataset(name=path.resolve().stem, source=str(path), splits=splits, target=TAGS, notes=notes)


def tagged_files(folder: Path) -> dict[str, Path]:
    """split -> its CoNLL file, in a folder that holds such: train.conll, dev.conll or valid.txt, test.bio."""
    found: dict[str, Path] = {}
    for file in sorted(folder.iterdir()):
        split = SPLIT_STEMS.get(file.stem.lower())
        if split and (file.suffix.lower() in TAGGED_SUFFIXES or (file.suffix.lower() == ".txt" and looks_tagged(file))):
            if split in found:
                raise UserError(
                    f"{folder}: '{found[split].name}' and '{file.name}' are both the {split} split; keep one"
                )
            found[split] = file
    return {split: found[split] for split in SPLITS if split in found} if "train" in found else {}


def looks_tagged(path: Path) -> bool:
    """Whether the lines of a text file are words with tags of a scheme such as B-PER."""
    try:
        with path.open(encoding="utf-8") as file:
            lines = [line.split() for _, line in zip(range(LOOKED_AT), file, strict=False)]
    except (OSError, UnicodeDecodeError):
        return False
    lines = [columns for columns in lines if columns and columns[0] != "-DOCSTART-"]
    return bool(lines) and all(len(columns) > 1 and _SCHEME.fullmatch(columns[-1]) for columns in lines)


def _sentences(path: Path, notes: list[str]) -> list[tuple[list[str], list[str], int]]:
    """(words, tags, number of its first line) of each sentence."""
    found: list[tuple[list[str], list[str], int]] = []
    words: list[str] = []
    tags: list[str] = []
    for number, line in enumerate([*read_text(path, notes).splitlines(), ""], start=1):
        columns = line.split()
        if not columns:
            if words:
                found.append((words, tags, number - len(words)))
            words, tags = [], []
        elif columns[0] != "-DOCSTART-":
            if len(columns) < 2:
                raise UserError(
                    f"line {number} of {path.name}: expected a word and its tag, found '{line.strip()[:40]}'"
                )
            words.append(columns[0])
            tags.append(columns[-1])
    if not found:
        raise UserError(f"{path}: there is no sentence in it")
    return found


def list_columns(table: Cells, target: str | None) -> tuple[str, str] | None:
    """The names of the columns of words and of tags, in a table that has lists of as many words as tags in every row.

    target: the column of tags; None: the one called tags, ner_tags, pos_tags or labels
    """
    lists = [name for name, cells in table.columns.items() if _are_lists(cells)]
    named = [target] if target else [n for n in lists if n.casefold() in ("tags", "ner_tags", "pos_tags", "labels")]
    if len(named) != 1 or named[0] not in lists:
        return None
    lengths = [len(cell) for cell in table.columns[named[0]]]
    for name in lists:
        cells = table.columns[name]
        as_many = [len(cell) for cell in cells] == lengths
        if name != named[0] and as_many and all(isinstance(word, str) for cell in cells for word in cell):
            return name, named[0]
    return None


def _are_lists(cells: Any) -> bool:
    return isinstance(cells, list) and len(cells) > 0 and all(isinstance(cell, list | tuple) for cell in cells)


def read_lists(tables: Mapping[str, Cells], names: tuple[str, str], path: Path) -> Dataset:
    """The data set of tables with lists of words and of tags. The words are joined by spaces into one column of text."""
    words, tags = names
    rows: dict[str, list[Sentence]] = {}
    for split, table in tables.items():
        for name in names:
            if name not in table.columns:
                raise UserError(f"{table.file} has no column '{name}', which {tables['train'].file} has")
        rows[split] = []
        pairs = zip(table.columns[words], table.columns[tags], strict=True)
        for index, (first, second) in enumerate(pairs):
            if is_missing(first) or is_missing(second) or len(first) != len(second):
                raise UserError(f"{table.row(index)}: expected as many tags as words")
            rows[split].append((list(first), [None if is_missing(tag) else class_name(tag) for tag in second]))
    found = {tag for sentences in rows.values() for _, row in sentences for tag in row if tag is not None}
    whole = all(tag.isdigit() for tag in found)  # numbers of classes stay in their order
    kind = Tags(classes=tuple(sorted(found, key=(lambda tag: int(tag)) if whole else str)))
    splits = {
        split: Split(_columns(rows[split], kind, words, tags), NumberedRows(table.file, table.numbers))
        for split, table in tables.items()
    }
    note = f"'{tags}' has a tag for each of the '{words}', which are joined by spaces"
    notes = [note for table in tables.values() for note in table.notes] + [note]
    return Dataset(name=path.resolve().stem, source=str(path), splits=splits, target=tags, notes=notes)


def _columns(sentences: Sequence[Sentence], kind: Tags, words: str, tags: str) -> dict[str, Column]:
    lookup = {name: index for index, name in enumerate(kind.classes)}
    texts = [" ".join("_".join(word.split()) or "_" for word in row) for row, _ in sentences]  # a word has no space
    values = [np.array([lookup.get(tag, -1) for tag in row], dtype=np.int64) for _, row in sentences]
    return {words: Column(Text(), texts), tags: Column(kind, values)}
