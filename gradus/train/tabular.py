"""Learning a table of action values: Q-learning, SARSA, expected SARSA, double Q-learning, step by step.

    y = r + gamma * max_a' Q(s', a')           q_learning: of the best action, whatever comes next (Watkins 1989)
    y = r + gamma * Q(s', a')                  sarsa: of the action that comes next (Rummery and Niranjan 1994)
    y = r + gamma * sum_a' pi(a'|s') Q(s', a') expected_sarsa: of the mean action (van Seijen et al. 2009)
    y = r + gamma * Q2(s', argmax_a' Q1(s', a'))  double_q: one of two tables chooses, the other values (van Hasselt 2010)
    Q(s, a) <- Q(s, a) + alpha (y - Q(s, a))   and y = r where the episode was terminated

alpha is the learning rate, gamma the discount. Where only a time limit cut an episode off, y goes on with the value of the state
that was reached. The agent takes a random action with the chance epsilon, else the best, one of equals by lot.

Choices. A step of the trainer is a block of steps of the environment, in plain Python: a table learns from each step at once,
and numbers one by one are faster there than in tensors. Where the chances of the environment are known, an epoch ends by
computing what the greedy policy is expected to collect, exactly; nothing is learnt from that, and the last table is the one kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from gradus.environments import Step
from gradus.errors import UserError
from gradus.tasks.control import ControlTask
from gradus.tasks.control_exact import expected, greedy_policy
from gradus.train.devices import Plan
from gradus.train.experience import VALIDATING, Trials
from gradus.train.learner import Supervised
from gradus.train.randomness import EPISODES, derive
from gradus.train.settings import OptimizerSettings, TabularSettings, TrainSettings
from gradus.train.source import Batch

LEARNING_RATE = 0.1  # where none is given


def check_tabular(settings: TrainSettings) -> None:
    """Raises `UserError` where numbers of steps do not go into each other, or the optimiser has what a table has not."""
    experience, block = settings.experience, settings.tabular.block
    if block % experience.environments or experience.epoch_steps % block:
        raise UserError(
            f"tabular.block: {block} steps; a multiple of experience.environments ({experience.environments}) is needed, which "
            f"goes into experience.epoch_steps ({experience.epoch_steps})"
        )
    optimizer = settings.optimizer
    if optimizer.name not in ("sgd", OptimizerSettings().name) or optimizer.momentum or optimizer.weight_decay:
        raise UserError(
            "optimizer: a table moves each value by learning_rate towards its target; leave all but that out"
        )


def epsilon_at(settings: TabularSettings, position: int) -> float:
    """The chance of a random action after so many steps."""
    progress = min(1.0, position / settings.epsilon_steps)
    start, end = settings.epsilon_start, settings.epsilon_end
    if settings.epsilon_decay == "exponential":
        return start * (end / start) ** progress
    return start + progress * (end - start)


def choose(values: list[float], epsilon: float, chance: float, pick: float) -> int:
    """An action, epsilon-greedy; chance and pick are drawn from [0, 1)."""
    if chance < epsilon:
        return int(pick * len(values))
    largest = max(values)
    best = [action for action, value in enumerate(values) if value == largest]
    return best[int(pick * len(best))]


def target_value(method: str, values: list[float], next_action: int, epsilon: float) -> float:
    """What the next state is held to be worth, by its row of the table; next_action counts for sarsa alone."""
    if method == "sarsa":
        return values[next_action]
    largest = max(values)
    if method == "expected_sarsa":
        return (1 - epsilon) * largest + epsilon * sum(values) / len(values)
    return largest


class Blocks:
    """The source: a batch is the numbers of the steps that come next; the learner takes them."""

    def __init__(self, settings: TrainSettings) -> None:
        self.rows, self.block = settings.experience.epoch_steps, settings.tabular.block
        self.steps = self.rows // self.block

    def order(self, epoch: int) -> Tensor:
        return torch.arange(self.rows)

    def size(self, step: int) -> int:
        return self.block

    def batch(self, epoch: int, step: int) -> Batch:
        first = epoch * self.rows + step * self.block
        return {"positions": torch.arange(first, first + self.block)}

    def close(self) -> None:
        """Nothing runs beside the training."""


class Tabular(Supervised):
    """A model with a table `values` (S, A). Two tables learn where the method is double_q; the model then has their mean."""

    task: ControlTask
    chooses_best = False

    def __init__(self, model: nn.Module, task: ControlTask, settings: TrainSettings, plan: Plan) -> None:
        if not task.spaces.states:
            raise UserError(f"{task.source}: its observations are no numbered states, so no table can hold them")
        super().__init__(model, task, settings, plan)
        self.learning, self.discount = settings.tabular, settings.experience.discount
        rate = settings.optimizer.learning_rate or LEARNING_RATE
        self.base_rates = [rate]
        seed = derive(settings.seed, EPISODES, 0)
        self.environments = task.environments(settings.experience.environments, seed)
        values = cast(Tensor, self.model.values)
        self.tables = [values.tolist() for _ in range(1 + (self.learning.method == "double_q"))]
        self.pending = [-1] * len(self.environments)  # sarsa: the actions that were chosen already; -1: none
        self.trials = derive(settings.seed, EPISODES, VALIDATING)

    def update(self, batch: Batch) -> dict[str, Tensor]:
        """Takes as many steps as `batch` has positions, and learns from each. Sums over them are told."""
        every = len(self.environments)
        rounds = len(batch["positions"]) // every
        draws = torch.rand(rounds, every, 5, dtype=torch.float64).tolist()
        first = int(batch["positions"][0])
        alpha = self.base_rates[0] * self._factor
        played, errors, epsilons = np.zeros(3), 0.0, 0.0
        for number, drawn in enumerate(draws):
            epsilon = epsilon_at(self.learning, first + number * every)
            epsilons += epsilon * every
            squared, step = self._round(alpha, epsilon, drawn)
            errors += squared
            ended = step.ended
            if ended.any():
                played += ended.sum(), step.returns[ended].sum(), step.lengths[ended].sum()
        self._show()
        return {
            "loss": torch.tensor(errors / (rounds * every)),
            "epsilon": torch.tensor(epsilons, dtype=torch.float64),
            "played": torch.from_numpy(played),
        }

    def _round(self, alpha: float, epsilon: float, drawn: list[list[float]]) -> tuple[float, Step]:
        """One step in each environment: the sum of squared errors, and what came of the step."""
        states = self.environments.observations.tolist()
        actions = [
            pending if pending >= 0 else choose(self._values(state), epsilon, draws[0], draws[1])
            for state, pending, draws in zip(states, self.pending, drawn, strict=True)
        ]
        step = self.environments.step(actions)
        ended = step.ended.tolist()
        happened = zip(
            states, actions, step.rewards.tolist(), step.reached.tolist(), step.terminated.tolist(), strict=True
        )
        squared = 0.0
        for index, (state, action, reward, reached, terminated) in enumerate(happened):
            _, _, *draws = drawn[index]
            next_action = -1
            if self.learning.method == "sarsa" and not terminated:
                next_action = choose(self._values(reached), epsilon, draws[0], draws[1])
            target = (
                reward if terminated else reward + self.discount * self._worth(reached, next_action, epsilon, draws[2])
            )
            row = self.tables[self._learns(draws[2])][state]
            error = target - row[action]
            row[action] += alpha * error
            squared += error * error
            self.pending[index] = -1 if ended[index] else next_action
        return squared, step

    def _learns(self, coin: float) -> int:
        """Which table learns from this step."""
        return int(coin * len(self.tables))

    def _values(self, state: int) -> list[float]:
        """The row that actions are chosen by: of two tables the sum."""
        if len(self.tables) == 1:
            return self.tables[0][state]
        return [one + other for one, other in zip(self.tables[0][state], self.tables[1][state], strict=True)]

    def _worth(self, reached: int, next_action: int, epsilon: float, coin: float) -> float:
        learns = self._learns(coin)
        own = self.tables[learns][reached]
        if len(self.tables) == 2:
            return self.tables[1 - learns][reached][own.index(max(own))]
        return target_value(self.learning.method, own, next_action, epsilon)

    @torch.no_grad()
    def _show(self) -> None:
        """Puts the mean of the tables into the model."""
        self.model.values.copy_(torch.tensor(np.mean(self.tables, axis=0)))  # type: ignore[operator]

    def evaluate(self, batches: Iterable[Batch]) -> tuple[dict[str, np.ndarray], int]:
        """What the greedy policy is expected to collect, exactly, where that is known; else it plays the episodes."""
        sums = np.zeros(3)
        for batch in batches:
            first, count = int(batch["episodes"][0]), len(batch["episodes"])
            exact = expected(self.task, greedy_policy(self.task, self.model))
            if exact is not None:
                return {"played": np.array([1.0, exact.returned, exact.length])}, 1
            played = self.task.play(self.task.policy(self.model), count, derive(self.trials, first))
            sums += [count, played.returns.sum(), played.lengths.sum()]
        return {"played": sums}, int(sums[0])

    def summarize(self, totals: dict[str, np.ndarray], samples: int) -> dict[str, float]:
        found = self.task.metrics(totals, samples)
        if "loss" not in totals:
            return found
        return {"loss": float(totals["loss"] / samples)} | found | {"epsilon": float(totals["epsilon"]) / samples}

    def diagnose(self, batch: Batch) -> tuple[str, int | None]:
        return "the table of action values", None

    def training_state(self) -> dict[str, Tensor]:
        where = {f"environments.{name}": torch.from_numpy(value) for name, value in self.environments.state().items()}
        tables = torch.tensor(self.tables, dtype=torch.float64)
        return {"tables": tables, "pending": torch.tensor(self.pending), **where}

    def restore(self, predicting: dict[str, Tensor], training: dict[str, Tensor], updates: int) -> None:
        self.model.load_state_dict(predicting)
        self.tables, self.pending = training["tables"].tolist(), training["pending"].tolist()
        parts = {name.partition("."): value for name, value in training.items()}
        self.environments.restore(
            {name: value.cpu().numpy() for (part, _, name), value in parts.items() if part == "environments"}
        )
        self.updates = updates


def learn_table(
    model: Any, task: ControlTask, settings: TrainSettings, plan: Plan
) -> tuple[Tabular, Blocks, Trials | None]:
    """The learner, the steps it takes, and the episodes by which it is measured after every epoch."""
    episodes = settings.experience.validation_episodes
    return Tabular(model, task, settings, plan), Blocks(settings), Trials(episodes) if episodes else None
