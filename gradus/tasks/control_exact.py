"""What can be known exactly of a policy where the chances of its environment are known: no episode has to be played for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from gradus.environments import decision_process
from gradus.environments.tables import DecisionProcess
from gradus.errors import UserError
from gradus.reference import decisions

if TYPE_CHECKING:
    from gradus.tasks.control import ControlTask

KNOWN: dict[str, DecisionProcess | None] = {}  # by environment and its options


@dataclass(frozen=True)
class Expected:
    """returned: the undiscounted rewards that an episode is expected to give; length: its steps."""

    returned: float
    length: float


def process_of(task: ControlTask) -> DecisionProcess | None:
    """The table of a task's environment; None where it does not tell its chances."""
    name = f"{task.source} {sorted(task.options.environment.items())}"
    if name not in KNOWN:
        try:
            KNOWN[name] = decision_process(task.source, task.options.environment) if task.spaces.states else None
        except UserError:
            KNOWN[name] = None
    return KNOWN[name]


def greedy_policy(task: ControlTask, model: nn.Module) -> np.ndarray:
    """(S,): the action that the model holds for the best in each state."""
    with torch.inference_mode():
        states = task.seen(torch.arange(task.spaces.states, device=task.device))
        return model.greedy(states).cpu().numpy()  # type: ignore[operator]


def expected(task: ControlTask, policy: np.ndarray) -> Expected | None:
    """What a policy (S,) or (S, A) comes to within the limit of the environment; None where that cannot be known."""
    process = process_of(task)
    if process is None or not task.spaces.max_steps:
        return None
    steps = task.spaces.max_steps
    counts = np.where(process.ends[:, None], 0.0, np.ones_like(process.expected))
    length = decisions.evaluation_within(policy, process.chances, counts, steps)
    return Expected(process.return_of(policy, steps), float(process.starts @ length))


def best_expected(task: ControlTask) -> float | None:
    """The largest expected return within the limit, of policies that may know how many steps are left; None where unknown."""
    process = process_of(task)
    return process.best_return(task.spaces.max_steps) if process is not None and task.spaces.max_steps else None
