"""Which columns of a table are to be learnt: named by the user, or by a name that says so."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gradus.data.columns import Image, Label
from gradus.data.readers.cells import Cells, is_missing, listed
from gradus.data.readers.convert import parse_flag
from gradus.data.readers.infer import all_cells, all_numbers, infer_type
from gradus.errors import UserError, did_you_mean

TARGET_NAMES = ("target", "label", "class", "y", "标签", "类别")


def target_names(tables: Sequence[Cells], target: str | None, where: str, notes: list[str]) -> list[str]:
    """The names of the target columns. Raises `UserError` for an unknown one, or where none can be told."""
    columns = list(tables[0].columns)
    if target is None:
        name = _guess(tables, where)
        notes.append(f"target: column '{name}'")
        return [name]
    names = [target] if target in columns else [name.strip() for name in target.split(",") if name.strip()]
    for name in names or [target]:
        if name not in columns:
            raise UserError(
                f"{where}: there is no column '{name}'{did_you_mean(name, columns)}; columns: {listed(columns)}"
            )
    if len(set(names)) < len(names):
        raise UserError(f"{where}: the target '{target}' names a column twice")
    return names


def _guess(tables: Sequence[Cells], where: str) -> str:
    columns = list(tables[0].columns)
    named = [name for name in columns if name.casefold() in TARGET_NAMES]
    if len(named) == 1:
        return named[0]
    if not named:
        types = {name: infer_type(all_cells(tables, name)) for name in columns}
        labels = [name for name, kind in types.items() if isinstance(kind, Label)]
        if len(labels) == 1 and any(isinstance(kind, Image) for kind in types.values()):
            return labels[0]
    found = (
        f"both '{named[0]}' and '{named[1]}' could be it" if named else "no column is called target, label, class or y"
    )
    raise UserError(f"{where}: name the column to learn with --target ({found}); columns: {listed(columns)}")


def rows_with_target(table: Cells, names: Sequence[str]) -> Cells:
    """The rows in which no target column is missing."""
    keep = [index for index in range(len(table)) if not any(is_missing(table.columns[name][index]) for name in names)]
    return table if len(keep) == len(table) else table.take(np.array(keep, dtype=np.int64))


def are_flags(tables: Sequence[Cells], names: Sequence[str]) -> bool:
    """Whether several target columns are 0/1 columns: one multi-label target. Otherwise they are a target each."""
    present = _present(tables, names)
    return all(parse_flag(cell) is not None for cells in present.values() for cell in cells)


def all_are_numbers(tables: Sequence[Cells], names: Sequence[str]) -> bool:
    """Whether several target columns all hold numbers: then whole numbers are no classes, however few they are."""
    return all(all_numbers(cells) for cells in _present(tables, names).values())


def _present(tables: Sequence[Cells], names: Sequence[str]) -> dict[str, list[object]]:
    return {name: [cell for cell in all_cells(tables, name) if not is_missing(cell)] for name in names}
