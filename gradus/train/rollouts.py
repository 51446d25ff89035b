"""A source of batches that are learnt from and then forgotten: environments are stepped with the policy as it is (a rollout), and
the rollout is gone through in minibatches, a few times.

T, N: steps and environments of a rollout. What the trainer calls rows are steps of environments: a rollout of T N of them, gone
through `passes` times in minibatches of `batch_size`, is passes T N / batch_size steps of the trainer.

Exact resume: actions follow from the seed of the trainer's step and the order of minibatches from (seed, rollout, pass); a
checkpoint keeps the rollout that is being learnt from, and where the environments stand.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gradus.errors import UserError
from gradus.tasks.control import ControlTask
from gradus.train.action_distributions import ActionDistribution, Categorical, Gaussian
from gradus.train.advantages import advantages
from gradus.train.experience import LEARNING
from gradus.train.randomness import EPISODES, ORDER, derive
from gradus.train.settings import TrainSettings
from gradus.train.source import Batch


def usual_minibatch(settings: TrainSettings) -> int:
    """The batch size where none is given: a quarter of a rollout, as PPO is mostly run; for the plain gradient all of it."""
    whole = settings.policy.steps * settings.experience.environments
    return whole // 4 if settings.policy.clip and whole % 4 == 0 else whole


def check_rollouts(settings: TrainSettings) -> None:
    """Raises `UserError` where the numbers of steps do not go into each other."""
    experience, length = settings.experience, settings.policy.steps
    whole = length * experience.environments
    what = (
        f"a rollout of {whole} steps (policy.steps = {length} of experience.environments = {experience.environments})"
    )
    if whole % settings.batch_size:
        raise UserError(f"batch_size: {settings.batch_size} does not go into {what}")
    if experience.epoch_steps < whole:
        raise UserError(f"experience.epoch_steps: {experience.epoch_steps} is less than {what}")


class Rollouts:
    """The source of policy gradients.

    model: observations -> (outputs (N, ...), values (N,)), as it is when a rollout begins; `distribution` knows what outputs say
    """

    def __init__(self, task: ControlTask, settings: TrainSettings, device: torch.device, model: nn.Module) -> None:
        self.task, self.settings, self.policy, self.device, self.model = task, settings, settings.policy, device, model
        experience = settings.experience
        self.length, self.passes = self.policy.steps, self.policy.passes  # T
        whole = self.length * experience.environments
        self.rows, self.whole = experience.epoch_steps // whole * whole, whole  # as many rollouts as fit
        self.minibatches = whole // settings.batch_size
        self.each = self.passes * self.minibatches  # steps of the trainer for each rollout
        self.steps = self.rows // whole * self.each
        self.environments = task.environments(experience.environments, derive(settings.seed, EPISODES, LEARNING))
        self.distribution: ActionDistribution = Gaussian() if task.spaces.numbers else Categorical()
        self.rollout: Batch = {}  # name -> (T N, ...), step by step
        self.left = 0  # batches that are still to come from it
        self._order = torch.empty(0)

    def order(self, epoch: int) -> Tensor:
        return torch.arange(self.rows)

    def size(self, step: int) -> int:
        """Steps of the trainer stand for as many steps of environments: together they are those of the rollout."""
        part = step % self.each
        return (part + 1) * self.whole // self.each - part * self.whole // self.each

    def batch(self, epoch: int, step: int) -> Batch:
        """observations (B, ...), actions (B,) or (B, A), worth, returns, drawn_with (B,); and played (3,): how many episodes
        ended since the last batch, and the sums of their returns and lengths."""
        part = step % self.each
        played = np.zeros(3)
        if part == 0:
            self.rollout, played = self._act()
        number, rest = divmod(part, self.minibatches)
        if rest == 0 or not len(self._order):  # none yet: continued from a checkpoint
            rollout = epoch * (self.steps // self.each) + step // self.each
            generator = torch.Generator().manual_seed(derive(self.settings.seed, ORDER, rollout, number))
            self._order = torch.randperm(self.whole, generator=generator).to(self.device)
        self.left = self.each - 1 - part
        rows = self._order[rest * self.settings.batch_size : (rest + 1) * self.settings.batch_size]
        return {name: tensor[rows] for name, tensor in self.rollout.items()} | {"played": torch.from_numpy(played)}

    @torch.no_grad()
    def _act(self) -> tuple[Batch, NDArray]:
        """T steps in all environments, with actions drawn by torch's global generator."""
        length, count, worlds = self.length, len(self.environments), self.environments
        observations = torch.empty((length, count, *worlds.spaces.shape), dtype=getattr(torch, worlds.spaces.dtype))
        numbers = worlds.spaces.numbers
        actions = torch.empty((length, count, numbers)) if numbers else torch.empty((length, count), dtype=torch.int64)
        drawn_with, values, following = (torch.zeros((length, count)) for _ in range(3))
        rewards, terminated, ended = (np.zeros((length, count), kind) for kind in (np.float32, bool, bool))
        played = np.zeros(3)
        was_training = self.model.training
        self.model.eval()
        for step in range(length):
            observations[step] = torch.from_numpy(worlds.observations)
            outputs, values[step] = self._asked(observations[step])
            actions[step] = self.distribution.draw(outputs)
            drawn_with[step] = self.distribution.log_chances(outputs, actions[step])
            came = worlds.step(actions[step].numpy())
            rewards[step], terminated[step], ended[step] = came.rewards, came.terminated, came.ended
            if step:
                following[step - 1] = torch.where(torch.from_numpy(ended[step - 1]), following[step - 1], values[step])
            if step == length - 1 or came.truncated.any():  # what no later step tells the value of
                following[step] = self._asked(torch.from_numpy(came.reached))[1]
            played += [came.ended.sum(), came.returns[came.ended].sum(), came.lengths[came.ended].sum()]
        self.model.train(was_training)
        flags = torch.from_numpy(terminated), torch.from_numpy(ended)
        discount, trace = self.settings.experience.discount, self.policy.trace
        worth = advantages(torch.from_numpy(rewards), values, following, *flags, discount, trace)
        found = {
            "observations": observations,
            "actions": actions,
            "worth": worth,
            "returns": worth + values,
            "drawn_with": drawn_with,
        }
        return {name: tensor.flatten(0, 1).to(self.device) for name, tensor in found.items()}, played

    def _asked(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs (N, ...) and values (N,) of observations (N, ...), on the CPU, as float32."""
        outputs, values = self.model(self.task.seen(observations.to(self.device)))
        return outputs.float().cpu(), values.float().cpu()

    def state(self) -> dict[str, Tensor]:
        """Where the environments stand, and the rollout where it is not yet learnt from to the end."""
        found = {f"environments.{name}": torch.from_numpy(value) for name, value in self.environments.state().items()}
        if self.left:
            found |= {"left": torch.tensor(self.left)}
            found |= {f"rollout.{name}": tensor for name, tensor in self.rollout.items()}
        return found

    def restore(self, state: dict[str, Tensor]) -> str:
        """Goes on where `state` stood; what could not be brought back, in words."""
        self.rollout = {
            name.partition(".")[2]: tensor.to(self.device)
            for name, tensor in state.items()
            if name.startswith("rollout.")
        }
        self.left, self._order = int(state.get("left", 0)), torch.empty(0)
        where = {
            name.partition(".")[2]: tensor.cpu().numpy()
            for name, tensor in state.items()
            if name.startswith("environments.")
        }
        return self.environments.bring_back(where)

    def close(self) -> None:
        self.environments.close()
