"""A source of batches that come from acting: environments are stepped with the network as it is, then the replay is sampled.

What the trainer calls rows are steps of environments here: an epoch has `epoch_steps`, a batch `train_frequency` of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradus.environments import Policy
from gradus.errors import UserError
from gradus.tasks.control import AT_ONCE, ControlTask
from gradus.train.randomness import EPISODES, derive
from gradus.train.replay import Replay
from gradus.train.settings import QLearningSettings, TrainSettings
from gradus.train.source import Batch

LARGEST_KEPT = 2**28  # bytes of observations that a checkpoint keeps; a larger replay is filled anew by a resumed run
LEARNING, VALIDATING, TESTING = 0, 1, 2  # what episodes are for: each has seeds of its own


def check_steps(settings: TrainSettings) -> None:
    """Raises `UserError` where the numbers of steps do not go into each other."""
    experience, learning = settings.experience, settings.q_learning
    frequency, environments = learning.train_frequency, experience.environments
    if frequency % environments:
        raise UserError(
            f"q_learning.train_frequency: {frequency} steps are not so many for each of {environments} environments "
            f"(experience.environments); take a multiple"
        )
    if experience.epoch_steps % frequency:
        raise UserError(
            f"experience.epoch_steps: {experience.epoch_steps} is no multiple of q_learning.train_frequency = {frequency}"
        )
    each = -(-learning.replay_size // environments)
    if each < learning.n_step + 2:  # what n steps led to, and the last observation of an episode, are rows too
        raise UserError(
            f"q_learning.replay_size: {learning.replay_size} are {each} steps of each of {environments} environments; "
            f"{learning.n_step + 2} are needed with q_learning.n_step = {learning.n_step}: take "
            f"{environments * (learning.n_step + 2)} or more"
        )
    if learning.replay_start >= experience.epoch_steps:
        raise UserError(
            f"q_learning.replay_start: nothing would be learnt in the first epoch of {experience.epoch_steps} steps "
            "(experience.epoch_steps)"
        )


def epsilon_at(settings: QLearningSettings, position: int) -> float:
    """The share of random actions after so many steps: all until `replay_start`, then from start to end in a line."""
    if position < settings.replay_start:
        return 1.0
    progress = min(1.0, (position - settings.replay_start) / settings.epsilon_steps)
    return settings.epsilon_start + progress * (settings.epsilon_end - settings.epsilon_start)


class Experience:
    """The source of deep Q-learning. policy: what the network holds for the best actions."""

    def __init__(self, task: ControlTask, settings: TrainSettings, device: torch.device, policy: Policy) -> None:
        self.settings, self.learning, self.policy = settings, settings.q_learning, policy
        self.environments = task.environments(
            settings.experience.environments, derive(settings.seed, EPISODES, LEARNING)
        )
        self.spaces = self.environments.spaces
        self.rows = settings.experience.epoch_steps
        self.frequency = self.learning.train_frequency
        self.steps = self.rows // self.frequency
        self.total = settings.epochs * self.rows
        self.replay = Replay(
            self.learning.replay_size,
            len(self.environments),
            self.spaces.shape,
            self.spaces.dtype,
            device,
            discount=settings.experience.discount,
            steps=self.learning.n_step,
            stacked=task.stacked,
            exponent=self.learning.priority_exponent if self.learning.prioritized else None,
        )

    def order(self, epoch: int) -> Tensor:
        return torch.arange(self.rows)

    def size(self, step: int) -> int:
        return self.frequency

    def batch(self, epoch: int, step: int) -> Batch:
        """`updates` minibatches from the replay, one behind the other (none before it holds `replay_start`), after some steps:
        played (3,), how many episodes ended in them, and the sums of their returns and lengths; epsilon (), of the first of them.
        """
        position = epoch * self.rows + step * self.frequency
        epsilon = epsilon_at(self.learning, position)
        played = np.zeros(3)
        for _ in range(self.frequency // len(self.environments)):
            played += self._step(epsilon)
        told = {"played": torch.from_numpy(played), "epsilon": torch.tensor(epsilon, dtype=torch.float64)}
        if self.replay.filled.sum() < self.learning.replay_start or not len(self.replay):
            return told
        start = self.learning.importance_start
        importance = start + (1 - start) * position / self.total
        drawn = self.learning.updates * self.settings.batch_size
        return self.replay.sample(drawn, importance) | told

    def _step(self, epsilon: float) -> NDArray:
        observations, count = self.environments.observations, len(self.environments)
        chance, choice = torch.rand(2, count).numpy()
        actions = (choice * self.spaces.actions).astype(np.int64)
        if (chance >= epsilon).any():
            actions = np.where(chance < epsilon, actions, self.policy(observations))
        step = self.environments.step(actions)
        self.replay.add(observations, actions, step)
        ended = step.ended
        return np.array([ended.sum(), step.returns[ended].sum(), step.lengths[ended].sum()])

    def state(self) -> dict[str, Tensor]:
        """Where the environments stand, and what is remembered where that is not too much."""
        found = {f"environments.{name}": torch.from_numpy(value) for name, value in self.environments.state().items()}
        if self.replay.bytes <= LARGEST_KEPT:
            found |= {f"replay.{name}": value for name, value in self.replay.state().items()}
        return found

    def restore(self, state: dict[str, Tensor]) -> str:
        """Goes on where `state` stood; what could not be brought back, in words."""
        kept = {name.partition(".")[2]: value for name, value in state.items() if name.startswith("replay.")}
        said = []
        if kept:
            self.replay.restore(kept)
        else:
            said.append("the replay was too large to be kept and is filled anew")
        where = {
            name.partition(".")[2]: value.cpu().numpy()
            for name, value in state.items()
            if name.startswith("environments.")
        }
        if self.spaces.repeatable and kept:
            self.environments.restore(where)
        else:  # new episodes: those after the ones that were being played
            none = {"taken": where["taken"][:0], "lengths": 0 * where["lengths"]}
            self.environments.restore({"episodes": where["episodes"] + 1, **none})
            self.replay.break_off()
            said.append("new episodes are begun")
        return "; ".join(said)

    def close(self) -> None:
        self.environments.close()


@dataclass
class Trials:
    """Episodes that choose the best weights: the same ones after every epoch, played by the learner."""

    episodes: int

    def in_order(self, batch_size: int) -> Iterator[Batch]:
        """How many to play, a handful at a time."""
        for first in range(0, self.episodes, AT_ONCE):
            yield {"episodes": torch.arange(first, min(first + AT_ONCE, self.episodes))}
