"""From a run on texts or a series, or a network for sequences alone, to a subject that can be looked into."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gradus.data.columns import Column, Label, Text
from gradus.data.dataset import NumberedRows, Split
from gradus.data.device_rows import PAD, Windows
from gradus.data.text.encoders import TextEncoder
from gradus.errors import UserError, unknown_name
from gradus.look.inside.passages import Answers, Passage, PassageRows, PassageSubject
from gradus.models import create_model, model_class
from gradus.recipes.run import Run
from gradus.tasks.encode import class_indices
from gradus.tasks.forecasting import ForecastTask
from gradus.tasks.language import LanguageTask
from gradus.tasks.pairs import PairInputs
from gradus.tasks.targets import LabelsTarget, NumberTarget
from gradus.tasks.task import InputTargetTask, Task
from gradus.tasks.text import TextInputs

IDS, STEPS = 1000, 60  # of a network without a run: how many ids there are, how long its random passages are


def is_sequence_task(task: Task) -> bool:
    """Whether looks at passages are for runs of this task."""
    if isinstance(task, LanguageTask | ForecastTask):
        return True
    return isinstance(task, InputTargetTask) and isinstance(task.inputs, TextInputs)


def subject_of_sequences(run: Run) -> PassageSubject:
    """A trained run on texts or a series."""
    task: Any = run.task
    common = {"name": run.path.name, "model": run.model, "run": run}
    if not run.is_custom:
        common["fresh"] = lambda: create_model(run.recipe.model.name, **run.recipe.model.options)
    if isinstance(task, LanguageTask):
        return _of_language(run, task, common)
    if isinstance(task, ForecastTask):
        return _of_forecast(run, task, common)
    return _of_texts(run, task, common)


def words_of(encoder: TextEncoder, text: str, ids: np.ndarray) -> tuple[str, ...]:
    """What stands in the text for each id: its own words where the tokeniser tells them, else the names of the ids."""
    tokenizer: Any = getattr(encoder, "tokenizer", None)
    if hasattr(tokenizer, "split"):
        words = tokenizer.split(text)
        if len(words) == len(ids):
            return tuple(words)
    return tuple(encoder.tokens[int(index)] for index in ids)


def passage_of_text(inputs: TextInputs, text: str | Sequence[str], name: str, label: int | None = None) -> Passage:
    """A text (of several columns one each) as the network of these inputs reads it, cut where it is too long; of a network that
    reads pairs the first text, with the second as its `other`."""
    if isinstance(inputs, PairInputs) and len(inputs.columns) == 2:
        if isinstance(text, str):
            raise UserError(f"{name}: this run reads two texts; name a row of its data as test:17")
        alone = []
        for column, one in zip(inputs.columns, text, strict=True):
            one_column = copy.copy(inputs)
            one_column.types = {column: inputs.types[column]}
            alone.append(passage_of_text(one_column, one, name, label))
        return replace(alone[0], other=alone[1])
    texts = [text] if isinstance(text, str) else list(text)
    texts += [""] * (len(inputs.columns) - len(texts))
    parts = [words_of(inputs.encoder, one, inputs.encoder.encode(one)) for one in texts]
    split = Split(
        {column: Column(Text(), [one]) for column, one in zip(inputs.columns, texts, strict=True)},
        NumberedRows.count("typed", 1),
    )
    as_ids = copy.copy(inputs)
    as_ids.options = replace(inputs.options, encoding="ids", pad_side="right")
    ids = as_ids.encode(split)[:1][0]
    ids = ids[ids != PAD]
    words = parts[0] if len(parts) == 1 else tuple(inputs.encoder.tokens[int(index)] for index in ids)
    if len(words) > len(ids):  # the network reads a part of the text
        words = words[: len(ids)] if inputs.options.keep == "first" else words[len(words) - len(ids) :]
    elif len(words) < len(ids):
        words = tuple(inputs.encoder.tokens[int(index)] for index in ids)
    if not len(ids):
        raise UserError(f"{name}: there is no token in this text")
    is_bag = inputs.options.encoding != "ids"
    given = inputs.prepare(inputs.encode(split)[:1])[0] if is_bag else ids
    return Passage(name, words, given, ids, label)


def _part(run: Run, split: str) -> Split:
    splits = run.experiment.dataset.splits
    if split not in splits:
        raise unknown_name("split", split, splits)
    return splits[split]


def _is_joined(encoder: TextEncoder) -> bool:
    return getattr(encoder, "name", "") == "character"


def _of_texts(run: Run, task: Any, common: dict[str, Any]) -> PassageSubject:
    inputs, target = task.inputs, task.target
    answers: Answers = "classes"
    if isinstance(target, LabelsTarget | NumberTarget):
        answers = "labels" if isinstance(target, LabelsTarget) else "numbers"
    names = tuple(getattr(target, "classes", ())) or target.source_columns

    def rows(split: str) -> PassageRows:
        part = _part(run, split)
        labels = None
        if answers == "classes" and isinstance(part[target.column].type, Label):
            labels = torch.from_numpy(np.asarray(class_indices(part[target.column], names), dtype=np.int64))
        texts = [part[column] for column in inputs.columns]

        def passage(row: int) -> Passage:
            label = None if labels is None else int(labels[row])
            return passage_of_text(inputs, [column[row] for column in texts], f"{split}:{row}", label)

        return PassageRows(len(part), passage, labels)

    return PassageSubject(
        answers=answers,
        names=names,
        read=lambda text: passage_of_text(inputs, text, _brief(text)),
        rows=rows,
        joined=_is_joined(inputs.encoder),
        **common,
    )


def _of_language(run: Run, task: LanguageTask, common: dict[str, Any]) -> PassageSubject:
    encoder = task.encoder

    def read(text: str) -> Passage:
        ids = encoder.encode(text)
        if not len(ids):
            raise UserError(f"{_brief(text)}: there is no token in this text")
        tensor = torch.from_numpy(np.asarray(ids, dtype=np.int64))
        return Passage(_brief(text), words_of(encoder, text, ids), tensor, tensor)

    def of_ids(ids: Tensor, name: str) -> Passage:
        return Passage(name, tuple(encoder.tokens[int(index)] for index in ids), ids, ids)

    def rows(split: str) -> PassageRows:
        windows = task.encode(_part(run, split), with_target=False)["inputs"]
        return PassageRows(len(windows), lambda row: of_ids(windows[[row]][0], f"{split}:{row}"))

    def along(split: str) -> list[Passage]:
        ids = torch.from_numpy(np.asarray(encoder.encode("".join(_part(run, split)[task.column])), dtype=np.int64))
        length = task.options.length
        return [of_ids(part, f"{split}:{place}") for place, part in enumerate(ids.split(length)) if len(part) == length]

    return PassageSubject(
        answers="next",
        names=tuple(encoder.tokens),
        read=read,
        rows=rows,
        along=along,
        joined=_is_joined(encoder),
        **common,
    )


def _of_forecast(run: Run, task: ForecastTask, common: dict[str, Any]) -> PassageSubject:
    options = task.options
    back = [options.lookback - 1 - place for place in range(options.lookback - 1, -1, -options.step)][::-1]

    def rows(split: str) -> PassageRows:
        windows: Windows = task.encode(_part(run, split))["inputs"]
        steps = tuple("now" if not ago else f"−{ago}" for ago in back)
        return PassageRows(len(windows), lambda row: Passage(f"{split}:{row}", steps, windows[[row]][0]))

    ahead = [f"{options.delay + place} ahead" for place in range(options.horizon)]
    names = tuple(f"{column}, {when}" for when in ahead for column in task.names)
    return PassageSubject(answers="numbers", names=names, read=None, rows=rows, **common)


def subject_of_network(name: str, options: dict[str, Any]) -> PassageSubject:
    """A network of the table with random weights, from seed 0, which reads random ids.

    Raises `UserError` where it does not take ids.
    """
    parameters = inspect.signature(model_class(name)).parameters
    if "num_tokens" not in parameters:
        raise UserError(f"{name}: it does not read token ids")
    given = {"num_tokens": IDS} | ({"length": STEPS} if "length" in parameters else {}) | options

    def make() -> nn.Module:
        return create_model(name, **given)

    torch.manual_seed(0)
    model = make().eval()
    random = torch.Generator().manual_seed(0)
    ids = torch.randint(4, given["num_tokens"], (32, STEPS), generator=random)
    names = tuple(str(index) for index in range(given["num_tokens"]))
    outputs = model(ids[:1])
    is_language = outputs.ndim == 3

    def rows(split: str) -> PassageRows:
        return PassageRows(len(ids), lambda row: Passage(f"{split}:{row}", _words(ids[row]), ids[row], ids[row]))

    return PassageSubject(
        name=name,
        model=model,
        answers="next" if is_language else "classes",
        names=names if is_language else tuple(f"output {index}" for index in range(outputs.shape[1])),
        read=None,
        rows=rows,
        fresh=make,
        notes=(f"{name} has random weights and reads random ids; look into a run for trained ones",),
    )


def takes_ids(name: str) -> bool:
    """Whether a network of the table reads token ids."""
    return "num_tokens" in inspect.signature(model_class(name)).parameters


def _words(ids: Tensor) -> tuple[str, ...]:
    return tuple(str(int(index)) for index in ids)


def _brief(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 40 else line[:39].rstrip() + "…"


def read_passages(subject: PassageSubject, given: Sequence[str | Path]) -> list[Passage]:
    """Passages of texts as typed, text files, or `SPLIT:ROW` of the subject's rows."""
    passages = []
    for one in given:
        text = str(one)
        row = subject.row(text)
        if row is not None:
            passages.append(row)
            continue
        if subject.read is None:
            raise UserError(f"{text}: {subject.name} reads no texts; name a row of its data as test:17")
        if text.endswith(".txt") and Path(text).is_file():
            text = Path(text).read_text(encoding="utf-8", errors="replace")
        passages.append(subject.read(text))
    return passages
