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
    """Whether several target columns are 0/1 columns (True: one multi-label target) or numbers (False: a target each).

    Raises `UserError` naming the row for a target column that is neither.
    """
    columns = {name: [cell for cell in all_cells(tables, name) if not is_missing(cell)] for name in names}
    if all(parse_flag(cell) is not None for cells in columns.values() for cell in cells):
        return True
    for name, cells in columns.items():
        if not all_numbers(cells):
            raise UserError(
                f"the targets {','.join(names)}: several targets must be 0/1 columns or numbers, but '{name}' holds "
                f"'{_first_other(cells)}'"
            )
    return False


def _first_other(cells: Sequence[object]) -> object:
    return next(cell for cell in cells if not all_numbers([cell]))
