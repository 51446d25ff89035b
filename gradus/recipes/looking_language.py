"""From a run of a language model to a writer that looks can ask."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gradus.errors import unknown_name
from gradus.look.inside.sight import Sight
from gradus.look.inside.table import WRITING_LOOKS
from gradus.look.inside.temperature import Writer
from gradus.recipes.generating import Sampling, language_task, never_written, prompt_ids, write_on
from gradus.recipes.looking import _typed
from gradus.recipes.run import load_run


def writer_of(path: str | Path) -> Writer:
    """The writer of a run's folder. Raises `UserError` where it is no language model."""
    run = load_run(path)
    task = language_task(run)

    def logits(prompt: str | None) -> Tensor:
        model = run.model
        ids = prompt_ids(task, prompt)[:, -task.options.length :]
        with torch.inference_mode():
            return model(ids.to(run.plan.device))[0, -1].float().cpu()

    def write(prompt: str | None, length: int, temperature: float, seed: int) -> str:
        sampling = Sampling(temperature=temperature, seed=seed)
        return "".join(piece for piece, _ in write_on(run, prompt, length, sampling))

    names = tuple(task.encoder.decode([index]) or name for index, name in enumerate(task.encoder.tokens))
    return Writer(run.path.resolve().name, logits, never_written(task), write, names, task.unit, run)


def look_at_writing(writer: Writer, what: str, prompts: Sequence[str] = (), **chosen: Any) -> Sight:
    """Makes one look (`WRITING_LOOKS`). chosen: the look's own settings; texts are read as their types."""
    if what not in WRITING_LOOKS:
        raise unknown_name("look", what, WRITING_LOOKS)
    module, _, name = WRITING_LOOKS[what].function.partition(":")
    function = getattr(importlib.import_module(f"gradus.look.inside.{module}"), name)
    return function(writer, list(prompts), **_typed(what, function, chosen))
