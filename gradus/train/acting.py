"""What teaches a network that acts: the network says it by a name (`learns`), and this table has it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from gradus.errors import UserError
from gradus.tasks.control import ControlTask
from gradus.train.devices import Plan
from gradus.train.experience import check_steps
from gradus.train.learner import Learner
from gradus.train.policy_gradient import learn_policy
from gradus.train.q_learning import learn_q
from gradus.train.rollouts import check_rollouts, usual_minibatch
from gradus.train.settings import TrainSettings
from gradus.train.source import InOrder, Source
from gradus.train.tabular import check_tabular, learn_table
from gradus.train.world import World

# the learner, what it learns from (which acts), and the episodes that choose the best weights
Taught = tuple[Learner, Source, InOrder | None]


@dataclass(frozen=True)
class Teacher:
    """check: raises `UserError` for settings that do not fit each other, before anything is written; begin: makes the parts;
    usual_batch: the batch size where none is given, if it is not that of every task."""

    check: Callable[[TrainSettings], None]
    begin: Callable[[Any, ControlTask, TrainSettings, Plan], Taught]
    usual_batch: Callable[[TrainSettings], int] | None = None


TEACHERS: dict[str, Teacher] = {
    "q_learning": Teacher(check_steps, learn_q),
    "policy_gradient": Teacher(check_rollouts, learn_policy, usual_minibatch),
    "tabular": Teacher(check_tabular, learn_table),
}


def check_acting(settings: TrainSettings, learns: str) -> TrainSettings:
    """The settings, with a batch size where it hangs on how a network is taught and none is given.

    Raises `UserError` for settings that do not suit a network that acts.
    """
    if settings.fine_tune.freezes:
        raise UserError("freeze: a network that acts learns with all its parts; leave it out")
    if settings.accumulate > 1:
        raise UserError("accumulate: minibatches of experience are learnt from whole; leave it out")
    if settings.schedule.name == "plateau":
        raise UserError("schedule: plateau waits for a validation loss, which acting has none of; take another")
    if settings.patience and not settings.experience.validation_episodes:
        raise UserError("patience: stopping early needs validation; set experience.validation_episodes above 0")
    teacher = TEACHERS[learns]
    if not settings.batch_size and teacher.usual_batch is not None:
        settings = replace(settings, batch_size=teacher.usual_batch(settings))
    teacher.check(settings)
    return settings


def check_alone(world: World) -> None:
    """Raises `UserError` where several processes were started."""
    if world.size > 1:
        raise UserError(
            "a network that acts learns in one process; leave out --nproc (experience.environments steps several)"
        )


def create_acting(model: nn.Module, task: ControlTask, settings: TrainSettings, plan: Plan, world: World) -> Taught:
    """Whatever teaches `model` to act."""
    check_alone(world)
    return TEACHERS[model.learns].begin(model, task, settings, plan)  # type: ignore[index]
