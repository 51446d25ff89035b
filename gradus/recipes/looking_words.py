"""From a run or a file to word vectors that can be looked at."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gradus.data.columns import Label
from gradus.data.load import load_data
from gradus.errors import unknown_name
from gradus.look.inside.sight import Sight
from gradus.look.inside.table import WORD_LOOKS
from gradus.look.inside.word_subject import Leanings, WordSubject
from gradus.recipes.run import Run, load_run
from gradus.recipes.vectors import encoder_of, load_word_vectors


def subject_of_words(name: str | Path) -> WordSubject:
    """Word vectors of a file (GloVe, word2vec), or of a run whose network has an embedding of words."""
    path = Path(name)
    vectors = load_word_vectors(path)
    if not path.is_dir():
        return WordSubject(path.name.partition(".")[0], vectors)
    run = load_run(path)
    return WordSubject(path.resolve().name, vectors, lambda: leanings_of(run), run)


def leanings_of(run: Run) -> Leanings | None:
    """How often the words of a run stand in the training texts of each class; None where the data have no such column."""
    encoder = encoder_of(run.task)
    dataset = load_data(run.recipe.data.source, run.recipe.data.target)
    target = dataset.types.get(dataset.target or "")
    if encoder is None or not isinstance(target, Label) or len(target.classes) < 2:
        return None
    (text,) = [name for name in run.task.input_types if name in dataset.types]
    train = dataset["train"]
    counts = np.zeros((encoder.size, len(target.classes)))
    for content, label in zip(train[text], np.asarray(train[str(dataset.target)].values), strict=True):
        if label >= 0:
            np.add.at(counts[:, int(label)], encoder.encode(content), 1)
    return Leanings(target.classes, counts)


def look_at_words(subject: WordSubject, what: str, words: Sequence[str] = (), **chosen: Any) -> Sight:
    """Makes one look (`WORD_LOOKS`). chosen: the look's own settings; texts are read as their types.

    Raises `UserError` for an unknown look, setting or word.
    """
    from gradus.recipes.looking import _typed

    if what not in WORD_LOOKS:
        raise unknown_name("look", what, WORD_LOOKS)
    module, _, name = WORD_LOOKS[what].function.partition(":")
    function = getattr(importlib.import_module(f"gradus.look.inside.{module}"), name)
    return function(subject, words, **_typed(what, function, chosen))
