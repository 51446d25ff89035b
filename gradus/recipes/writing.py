"""What a report on texts shows beside the answers (`look/writing.py`), gathered from a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from gradus.data.device_rows import Ragged
from gradus.data.text.encoders import UNKNOWN
from gradus.errors import UserError
from gradus.look.examples import shown_rows
from gradus.look.inside.word_credit import Vectors, integrated_gradients, left_out
from gradus.look.writing import Read, Writing
from gradus.recipes.looking_texts import is_sequence_task, subject_of_sequences
from gradus.tasks.assessment import Assessment, ClassAssessment
from gradus.tasks.task import InputTargetTask

if TYPE_CHECKING:
    from gradus.recipes.run import Run

STEPS = 16  # of integrated gradients: colours need no more
LONGEST = 2000  # tokens of a text that credit is computed for; longer ones are shown plain


def writing_of(run: Run, split: str, assessment: Assessment) -> Writing | None:
    """None for other tasks than the classification of texts."""
    task: Any = run.task
    if (
        not isinstance(task, InputTargetTask)
        or not is_sequence_task(task)
        or not isinstance(assessment, ClassAssessment)
    ):
        return None
    inputs: Any = task.inputs
    rows = run.experiment.tensors[split]["inputs"]
    if isinstance(rows, Ragged):
        offsets, ids = rows.offsets.cpu().numpy(), rows.flat.cpu().numpy().astype(np.int64)
        numbers = np.repeat(np.arange(len(rows)), np.diff(offsets))
        size = inputs.encoder.size
        kinds = np.unique(numbers * size + ids)
        pairs = np.column_stack([kinds // size, kinds % size])
        lengths = np.diff(offsets)
        unknown = np.bincount(numbers, weights=ids == UNKNOWN, minlength=len(rows))
    elif isinstance(rows, Tensor) and rows.ndim == 2:
        found = rows.cpu().numpy()
        pairs = np.argwhere(found > 0)
        lengths, unknown = found.sum(axis=1, dtype=np.int64), found[:, UNKNOWN].astype(np.float64)
    else:
        return None
    names = inputs.encoder.tokens
    read = _read(run, split, assessment)
    return Writing(lengths=lengths, unknown=unknown, pairs=pairs, names=names, read=read)


def _read(run: Run, split: str, assessment: ClassAssessment) -> dict[int, Read]:
    """The rows that the report shows, with what each word added to the answer, against the true class."""
    subject = subject_of_sequences(run)
    assert subject.rows is not None
    passages, found = subject.rows(split), {}
    for row in shown_rows(assessment, texts=True):
        try:
            passage = passages.passage(row)
            if len(passage) > LONGEST:
                continue
            answer, truth = int(assessment.predictions[row]), int(assessment.targets[row])
            against = truth if truth not in (answer, -1) else None
            if passage.other is None:
                vectors = Vectors(subject, passage, answer, "score", against)
                credit = integrated_gradients(vectors, steps=STEPS)[0]
            else:
                credit = left_out(subject, passage, answer)
        except UserError:  # a text without tokens, or a network without word vectors: it is shown plain
            continue
        found[row] = Read(passage.steps, credit, subject.joined)
    return found
