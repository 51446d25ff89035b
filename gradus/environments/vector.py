"""Environments stepped side by side, in this process.

Choices. An environment whose episode ended is begun anew within the same step, so that every step of the trainer acts in all of
them; the last observation of the ended episode is kept apart, because a return that only the time limit cut off (truncated) goes
on with the value of that observation, while one that ended by the rules (terminated) does not. Every episode is begun with a seed
of its own, which follows from (seed, number of the environment, number of the episode): so the actions since then are all that
is needed to come back to where an environment stood; one that can save its state itself (`saved_state`, `restore_state`)
does. Not covered: a process per environment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gradus.errors import UserError


class Environment(Protocol):
    """What gymnasium's environments offer, and ours: an observation is an array, or the number of a state."""

    def reset(self, *, seed: int | None = None) -> tuple[Any, dict[str, Any]]:
        """Begins an episode: its first observation."""

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """observation, reward, terminated (by the rules), truncated (by a limit that the agent does not see), information."""

    def render(self) -> Any:
        """The present picture, (H, W, 3) uint8, where the environment was made with render_mode "rgb_array"."""

    def close(self) -> None:
        """Gives back what it holds."""


@dataclass(frozen=True, kw_only=True)
class Spaces:
    """What is observed and what can be done.

    name:       of the environment, in full
    shape:      of an observation; () where it is the number of a state
    dtype:      of an observation, as NumPy names it
    states:     how many states there are, where an observation is the number of one; else 0
    actions:    how many actions there are: 0..actions-1; 0 where an action is made of numbers
    numbers:    how many numbers an action is made of, each from -1 to 1 for the least and the most there is; else 0
    stacked:    of how many frames an observation is a stack, the newest last; 0: it is none
    max_steps:  after how many steps an episode is truncated; 0: never
    limited:    whether that limit is ours, since the environment has none of its own
    repeatable: whether the same seed and the same actions give the same episode
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    states: int = 0
    actions: int = 0
    numbers: int = 0
    stacked: int = 0
    max_steps: int = 0
    limited: bool = False
    repeatable: bool = True


@dataclass(frozen=True)
class Step:
    """What came of one action in each of N environments.

    observations: (N, *shape) what the next action is chosen on; where an episode ended, the first one of the next
    reached:      (N, *shape) what the action led to; where an episode ended, its last observation
    rewards:      (N,) float64
    terminated:   (N,) bool, ended by the rules: nothing comes after it
    truncated:    (N,) bool, cut off by a limit and not terminated: its return goes on with the value of `reached`
    returns:      (N,) float64, the rewards of the episode up to here, undiscounted; of the whole one where it ended. Where an
                  environment gives changed rewards and tells the true ones (`info["reward"]`), these are added up
    lengths:      (N,) int64, its steps up to here
    """

    observations: NDArray
    reached: NDArray
    rewards: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    returns: NDArray[np.float64]
    lengths: NDArray[np.int64]

    @property
    def ended(self) -> NDArray[np.bool_]:
        """(N,) bool: terminated or truncated."""
        return self.terminated | self.truncated


class Environments:
    """N environments of one kind. `reset` first, then `step` as often as wanted."""

    def __init__(self, makers: Sequence[Callable[[], Environment]], spaces: Spaces, seed: int) -> None:
        self.each = [make() for make in makers]
        self.spaces, self.seed = spaces, seed
        self._begin(np.zeros(len(self.each), np.int64))

    def __len__(self) -> int:
        return len(self.each)

    def _begin(self, episodes: NDArray[np.int64]) -> None:
        self.episodes = episodes
        self.taken: list[list[Any]] = [[] for _ in self.each]  # the actions of the present episodes
        self.observations = self._stack([self._first(index) for index in range(len(self.each))])
        self.returns = np.zeros(len(self.each))
        self.lengths = np.zeros(len(self.each), np.int64)

    def _stack(self, observations: list[Any]) -> NDArray:
        if not self.spaces.shape:  # numbers of states: a fifth of the time
            return np.array(observations, dtype=self.spaces.dtype)
        return np.stack([np.asarray(one, dtype=self.spaces.dtype) for one in observations])

    @property
    def _parts(self) -> tuple[int, ...]:
        """The shape of one action."""
        return (self.spaces.numbers,) if self.spaces.numbers else ()

    def _as_taken(self, action: Any) -> Any:
        return np.array(action, np.float32) if self.spaces.numbers else action

    def _first(self, index: int) -> Any:
        """Begins the episode of environment `index` that `episodes` counts: its first observation."""
        seed = episode_seed(self.seed, index, int(self.episodes[index]))
        return self.each[index].reset(seed=seed)[0]

    def reset(self) -> NDArray:
        """Begins the next episode in all of them (the first one, the first time): (N, *shape)."""
        self._begin(self.episodes + (self.lengths > 0))
        return self.observations

    def start_again(self) -> NDArray:
        """Begins the very first episodes again: the same actions then lead to the same steps."""
        self._begin(np.zeros(len(self.each), np.int64))
        return self.observations

    def step(self, actions: NDArray | Sequence[int]) -> Step:
        """Takes actions (N,) of 0..A-1, or (N, numbers)."""
        actions = np.asarray(actions)
        if actions.shape != (len(self.each), *self._parts):
            wanted = (len(self.each), *self._parts)
            raise UserError(f"actions of shape {wanted} are needed, received {actions.shape}")
        reached, following = [], []
        rewards, scores = np.zeros(len(self.each)), np.zeros(len(self.each))
        terminated, truncated = np.zeros(len(self.each), bool), np.zeros(len(self.each), bool)
        for index, action in enumerate(actions.tolist()):
            observation, rewards[index], terminated[index], cut, told = self.each[index].step(self._as_taken(action))
            scores[index] = told.get("reward", rewards[index])
            truncated[index] = cut and not terminated[index]
            self.taken[index].append(action)
            reached.append(observation)
            if terminated[index] or cut:
                self.episodes[index] += 1
                self.taken[index] = []
                observation = self._first(index)
            following.append(observation)
        self.returns = self.returns + scores
        self.lengths = self.lengths + 1
        self.observations = self._stack(following)
        done = Step(self.observations, self._stack(reached), rewards, terminated, truncated, self.returns, self.lengths)
        going_on = ~done.ended
        self.returns, self.lengths = self.returns * going_on, self.lengths * going_on
        return done

    def state(self) -> dict[str, NDArray]:
        """Where all of them stand: `restore` comes back to it where `spaces.repeatable`."""
        taken = [action for actions in self.taken for action in actions]
        return {
            "episodes": self.episodes.copy(),
            "taken": np.array(taken, np.float32 if self.spaces.numbers else np.int64).reshape(-1, *self._parts),
            "lengths": np.array([len(actions) for actions in self.taken], np.int64),
        } | self._saved()

    def _saved(self) -> dict[str, NDArray]:
        """What the environments save of themselves, where they do, and then the returns up to here, which no replay adds up."""
        saving = [one for one in self.each if hasattr(one, "saved_state")]
        if not saving:
            return {}
        saved = {
            f"saved.{index}": np.frombuffer(one.saved_state(), np.uint8).copy() for index, one in enumerate(saving)
        }
        return saved | {"returns": self.returns.copy()}

    def restore(self, state: Mapping[str, NDArray]) -> None:
        """Comes back to where `state` stood, by taking its actions again."""
        self._begin(np.array(state["episodes"], np.int64))
        ends = np.cumsum(state["lengths"])
        observations: list[Any] = list(self.observations)
        for index, (end, length) in enumerate(zip(ends.tolist(), state["lengths"].tolist(), strict=True)):
            self.taken[index] = np.asarray(state["taken"])[end - length : end].tolist()
            if "returns" in state:
                observations[index] = self.each[index].restore_state(state[f"saved.{index}"].tobytes())  # type: ignore[attr-defined]
                self.returns[index] = state["returns"][index]
                continue
            for action in self.taken[index]:
                observations[index], reward, _, _, told = self.each[index].step(self._as_taken(action))
                self.returns[index] += told.get("reward", reward)
        self.observations = self._stack(observations)
        self.lengths = np.array(state["lengths"], np.int64)

    def bring_back(self, state: Mapping[str, NDArray]) -> str:
        """Comes back to where `state` stood, or to the begin of the episodes after; what could not be brought back, in words."""
        if self.spaces.repeatable:
            self.restore(state)
            return ""
        self._begin(np.array(state["episodes"], np.int64) + 1)
        return "these environments cannot be brought back to where they stood: new episodes are begun"

    def render(self, index: int = 0) -> NDArray[np.uint8]:
        """(H, W, 3): the picture of one environment, where they were made with render_mode "rgb_array"."""
        return np.asarray(self.each[index].render(), dtype=np.uint8)

    def close(self) -> None:
        for one in self.each:
            one.close()


def episode_seed(seed: int, index: int, episode: int) -> int:
    """The seed of one episode of one environment, below 2**31."""
    return int(np.random.SeedSequence([seed, index, episode]).generate_state(1)[0] >> 1)
