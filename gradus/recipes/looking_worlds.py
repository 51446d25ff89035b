"""From a run that acts to a world that can be looked at."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from gradus.errors import UserError, unknown_name
from gradus.look.inside.sight import Sight
from gradus.look.inside.table import WORLD_LOOKS
from gradus.look.inside.values import WorldSubject
from gradus.recipes.run import load_run
from gradus.tasks.control import ControlTask
from gradus.tasks.control_exact import process_of


def subject_of_world(name: str | Path) -> WorldSubject:
    """The world of a run. Raises `UserError` where it does not act, or its states do not lie on a map that we have."""
    path = Path(name)
    if not path.is_dir():
        raise UserError(f"{name}: no run; a look at a world takes the folder of a run that acts in it")
    run = load_run(path)
    task = run.task
    if not isinstance(task, ControlTask):
        raise UserError(f"{name}: this run's task is {task.name}; only runs of control have a world to look at")
    process = process_of(task)
    if process is None or process.layout is None or not task.spaces.max_steps:
        raise UserError(
            f"{name}: the states of {task.source} do not lie on a map that is known; those of grid:NAME, FrozenLake, "
            "CliffWalking and Taxi do"
        )
    with torch.inference_mode():
        states = task.seen(torch.arange(task.spaces.states, device=task.device))
        outputs = run.model(states)
    if not isinstance(outputs, torch.Tensor):
        raise UserError(f"{name}: this network does not tell what actions are worth; q_table and q_network do")
    return WorldSubject(
        name=path.resolve().name,
        action_values=outputs.double().cpu().numpy(),
        process=process,
        steps=task.spaces.max_steps,
        discount=run.recipe.train.experience.discount,
        environment=lambda seed: task.environments(1, seed),
        run=run,
    )


def look_at_world(subject: WorldSubject, what: str, inputs: Sequence[str] = (), **chosen: Any) -> Sight:
    """Makes one look (`WORLD_LOOKS`). chosen: the look's own settings; texts are read as their types."""
    from gradus.recipes.looking import _typed

    if what not in WORLD_LOOKS:
        raise unknown_name("look", what, WORLD_LOOKS)
    module, _, name = WORLD_LOOKS[what].function.partition(":")
    function = getattr(importlib.import_module(f"gradus.look.inside.{module}"), name)
    return function(subject, inputs, **_typed(what, function, chosen))
