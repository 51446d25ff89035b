"""From a run on a table to a subject that can be looked into."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from gradus.data.columns import Label
from gradus.errors import UserError, unknown_name
from gradus.look.inside.table_subject import NumberColumn, TableRows, TableSubject
from gradus.recipes.run import Run
from gradus.tasks.inputs import TableInputs
from gradus.tasks.targets import LabelsTarget, NumberTarget


def subject_of_table(run: Run) -> TableSubject:
    """A trained run on a table. Raises `UserError` where it answers with several labels or several numbers."""
    task: Any = run.task
    target = task.target
    if isinstance(target, LabelsTarget) or (isinstance(target, NumberTarget) and target.num_outputs > 1):
        raise UserError(
            f"{run.path}: it answers several things at once; looks into tables take one class or one number"
        )
    is_number = isinstance(target, NumberTarget)

    def answer(outputs: Tensor) -> np.ndarray:
        return target.estimates(outputs)[:, 0] if is_number else torch.softmax(outputs.double(), dim=1).numpy()

    def rows(split: str) -> TableRows:
        tensors = run.experiment.tensors
        if split not in tensors:
            raise unknown_name("split", split, tensors)
        targets = tensors[split]["targets"]
        return TableRows(tensors[split]["inputs"], target.estimates(targets)[:, 0] if is_number else targets.numpy())

    return TableSubject(
        name=run.path.name,
        model=run.model,
        numbers=number_columns(task.inputs),
        classes=None if is_number else tuple(target.classes),
        target=target.column,
        answer=answer,
        rows=rows,
        run=run,
    )


def number_columns(inputs: TableInputs) -> dict[str, NumberColumn]:
    """Where the columns of numbers stand in what `TableInputs.encode` makes."""
    found, place = {}, 0
    for name, kind in inputs.types.items():
        if isinstance(kind, Label):
            place += len(kind.classes)
            continue
        number = inputs.numbers[name]
        found[name] = NumberColumn(place, number["mean"], number["deviation"])
        place += 1 + number["missing"]
    return found
