"""Acting in an environment: observations in, actions out, learnt from the rewards that follow.

There are no rows: what stands for a data set is a handful of first observations, by which models are tried. The environments
are made here, each with a seed of its own; what is learnt from what happens in them is the learner's affair (`train/acting.py`).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gradus.data.columns import ColumnType
from gradus.data.dataset import Dataset, Split
from gradus.environments import Environments, Played, Policy, Spaces, make_environments, play_episodes
from gradus.errors import UserError
from gradus.tasks.assessment import ControlAssessment
from gradus.tasks.control_exact import best_expected
from gradus.tasks.task import Answer, Task

BEST = "the best there can be"  # stands among the baselines, where it is known
AT_ONCE = 16  # episodes that are played side by side where a policy is measured


@dataclass(frozen=True, kw_only=True)
class ControlOptions:
    """Which world, and how it is measured."""

    episodes: int = 100  # played greedily when the training is over
    environment: dict[str, Any] = field(default_factory=dict)  # arguments of the environment, as gymnasium takes them

    def __post_init__(self) -> None:
        if self.episodes < 1:
            raise UserError(f"task.options.episodes: expected a whole number above 0, received {self.episodes}")


class ControlTask(Task):
    """Encoded: inputs (N, ...), observations as the environment gives them; targets (N,) zeros."""

    name = "control"
    directions = {"return": "max", "length": "max"}  # noqa: RUF012 - as of all tasks
    target_column = "action"
    spaces: Spaces
    source: str

    def __init__(self, options: ControlOptions) -> None:
        self.options, self.notes = options, []
        self.device = torch.device("cpu")

    @property
    def input_types(self) -> dict[str, ColumnType]:
        return {}

    def to_device(self, device: torch.device) -> None:
        self.device = device

    def fit(self, dataset: Dataset) -> None:
        self.source = dataset.source
        made = self.environments(1, 0)
        self.spaces = made.spaces
        made.close()
        self.notes = []
        if self.spaces.limited:
            self.notes.append(
                f"an episode ends after {self.spaces.max_steps:,} steps, since this world has no limit of its own; another one: "
                "--set task.options.environment={max_episode_steps=200}"
            )
        if not self.spaces.repeatable:
            self.notes.append(
                "this environment cannot be brought back to where it stood: a resumed run begins new episodes"
            )

    def environments(self, count: int, seed: int, *, judged: bool = False, **options: Any) -> Environments:
        """Environments to be acted in; options: arguments of the environment besides those of the task. judged: whether a policy
        is measured there: then whole games are played, also where lives are learnt from."""
        whole = {"life_ends": False} if judged and "life_ends" in self.options.environment else {}
        return make_environments(self.source, count, seed, {**self.options.environment, **whole, **options})

    @property
    def stacked(self) -> int:
        """Of how many frames an observation is a stack, along its first axis; 0: it is none."""
        return self.spaces.stacked

    def prepare(self, batch: dict[str, Tensor], *, training: bool) -> tuple[Tensor, Any]:
        return self.seen(batch["inputs"]), batch.get("targets")

    def seen(self, observations: Tensor) -> Tensor:
        """Observations as networks take them, float32: bytes from 0 to 1, the number of a state as a vector with a one in it."""
        if self.spaces.states:
            return nn.functional.one_hot(observations.long(), self.spaces.states).float()
        if observations.dtype == torch.uint8:
            return observations.float() / 255
        return observations.float()

    def policy(self, model: nn.Module) -> Policy:
        """What the model holds for the best actions, (N,) or (N, numbers), for observations (N, ...)."""

        def act(observations: NDArray) -> NDArray:
            with torch.inference_mode():
                seen = self.seen(torch.from_numpy(observations).to(self.device))
                return model.greedy(seen).cpu().numpy()  # type: ignore[operator]

        return act

    def play(self, policy: Policy, episodes: int, seed: int) -> Played:
        """Whole episodes; the same seed begins the same ones."""
        environments = self.environments(min(episodes, AT_ONCE), seed, judged=True)
        try:
            return play_episodes(environments, policy, episodes)
        finally:
            environments.close()

    def assessed(self, played: Played) -> ControlAssessment:
        """Mean and deviation of the returns, and the mean length."""
        found = {"return": float(played.returns.mean()), "length": float(played.lengths.mean())}
        if len(played.returns) > 1:
            found["return_deviation"] = float(played.returns.std(ddof=1))
        return ControlAssessment(
            returns=played.returns, lengths=played.lengths, targets=np.zeros(len(played.returns)), metrics=found
        )

    def metrics(self, totals: dict[str, np.ndarray], samples: int) -> dict[str, float]:
        """Of episodes that ended: `played` counts them, and adds up their returns and lengths."""
        episodes, returns, lengths = totals["played"].tolist()
        return {"return": returns / episodes, "length": lengths / episodes} if episodes else {}

    def baselines(self, train: dict[str, Tensor], test: dict[str, Tensor]) -> dict[str, dict[str, float]]:
        """Actions drawn at random, as many episodes as in the end; and the best there can be, where that is known."""
        random = np.random.default_rng(0)

        def act(observations: NDArray) -> NDArray:
            if self.spaces.numbers:
                return random.uniform(-1, 1, (len(observations), self.spaces.numbers)).astype(np.float32)
            return random.integers(self.spaces.actions, size=len(observations))

        found = {"random actions": self.assessed(self.play(act, self.options.episodes, seed=0)).metrics}
        best = best_expected(self)
        return found if best is None else found | {BEST: {"return": best}}

    def encode(self, split: Split, *, with_target: bool = True) -> dict[str, Any]:
        """First observations, one a row."""
        environments = self.environments(len(split), 0)
        first = torch.from_numpy(environments.observations.copy())
        environments.close()
        return {"inputs": first} | ({"targets": torch.zeros(len(split))} if with_target else {})

    def shown(self, split: Split) -> None:
        return None

    def check_outputs(self, outputs: Any, rows: int, model: str) -> None:
        first = outputs[0] if isinstance(outputs, tuple) else outputs
        numbers, wanted = self.spaces.numbers, self.spaces.actions or 2 * self.spaces.numbers
        if isinstance(first, Tensor) and tuple(first.shape) == (rows, wanted):
            return
        if numbers:
            raise UserError(
                f"model {model}, with these options, does not make the numbers ({numbers}) of an action; actor_critic does"
            )
        raise UserError(
            f"model {model}, with these options, does not say of {self.spaces.actions} actions what to do; q_network does"
        )

    def model_options(self) -> dict[str, Any]:
        shape = self.spaces.shape
        pictures = {"in_channels": shape[0], "image_size": shape[-1]} if len(shape) == 3 else {}
        actions = {"num_actions": self.spaces.actions or self.spaces.numbers, "continuous": bool(self.spaces.numbers)}
        return {"in_features": self.spaces.states or math.prod(shape), **actions, **pictures}

    def state(self) -> dict[str, Any]:
        return {"source": self.source, "spaces": asdict(self.spaces)}

    def restore(self, state: dict[str, Any]) -> None:
        self.source, spaces = state["source"], state["spaces"]
        self.spaces = Spaces(**{**spaces, "shape": tuple(spaces["shape"])})

    # What tasks on rows do with their targets

    def loss(self, outputs: Tensor, targets: Tensor, *, training: bool) -> Tensor:
        raise TypeError("what is minimised is said by the learner")

    def counts(self, outputs: Any, targets: Tensor, *, training: bool) -> dict[str, Tensor]:
        return {}

    def assess(self, outputs: Tensor, targets: Tensor) -> ControlAssessment:
        raise TypeError("episodes are played, not read: see `play`")

    def decode(self, outputs: Tensor) -> list[Answer]:
        raise UserError("this model answers nothing about rows; it acts: gradus eval RUN --episodes 100")
