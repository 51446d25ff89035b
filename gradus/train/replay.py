"""What an agent remembers: transitions in rings, from which minibatches are drawn, evenly or by priority.

Each environment has a ring of its own in which the observations follow each other, so each is held once: what an action led to is
the next row. Behind the last step of an episode stands one row more, its last observation, from which no transition begins.
A transition of n steps is put together when it is drawn. Its return goes on with the value of what was reached, unless the
episode was terminated; one that only a time limit cut off goes on too (Pardo et al. 2018).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradus.environments import Step
from gradus.train.source import Batch

SMALLEST_PRIORITY = 1e-6  # added to every error, so that nothing is forgotten altogether (Schaul et al. 2015, §3.3)
Ints = NDArray[np.int64]


class Replay:
    """size transitions at most, over all environments; observations live on `device`.

    shape, dtype: of one observation, as NumPy names it
    stacked:      an observation is a stack of the last so many frames along its first axis: then each frame is held once; 0: no
    steps:        n of n-step returns
    exponent:     how much priorities count (alpha of Schaul et al. 2015); None: all transitions are drawn alike
    """

    def __init__(
        self,
        size: int,
        environments: int,
        shape: tuple[int, ...],
        dtype: str,
        device: torch.device,
        *,
        discount: float,
        steps: int = 1,
        stacked: int = 0,
        exponent: float | None = None,
    ) -> None:
        self.environments, self.length = environments, -(-size // environments)  # E rings of T rows
        self.device, self.discount, self.steps, self.stacked = device, discount, steps, stacked
        rings = environments, self.length
        kept = shape[1:] if stacked else shape
        self.frames = torch.zeros((environments * self.length, *kept), dtype=getattr(torch, dtype), device=device)
        self.actions = np.zeros(rings, np.int64)
        self.rewards = np.zeros(rings, np.float32)
        self.terminated, self.ended = np.zeros(rings, bool), np.zeros(rings, bool)
        self.age = np.zeros(rings, np.int64)  # steps of the episode before this row
        self.ready = np.zeros(rings, bool)  # whether a transition begins here whose n steps are known
        self.cursor = np.zeros(environments, np.int64)  # where the next row goes
        self.filled = np.zeros(environments, np.int64)
        self.played = np.zeros(environments, np.int64)  # steps of the present episode
        self.exponent = exponent
        self.tree = None if exponent is None else SumTree(environments * self.length)
        self.largest = 1.0  # priority that a new transition gets: it is to be learnt from at least once
        self._every = np.arange(environments)
        self._count = 0

    def __len__(self) -> int:
        """How many transitions can be drawn."""
        return self._count

    @property
    def bytes(self) -> int:
        return self.frames.numel() * self.frames.element_size()

    def add(self, observations: NDArray, actions: NDArray, step: Step) -> None:
        """One step of all environments: the observations (E, ...) that actions (E,) were chosen on, and what came of them."""
        every, ended = self._every, step.ended
        self._write(every, observations, actions, step.rewards, step.terminated, ended)
        if ended.any():
            over = np.flatnonzero(ended)
            nothing = np.zeros(len(over))
            self._write(over, step.reached[over], nothing, nothing, nothing > 0, nothing > 0)
            for back in range(2, self.steps + 2):  # the last steps of the episode need not wait for n to follow
                known = over[self.played[over] > back - 1]
                self._set_ready(known, (self.cursor[known] - back) % self.length, True)
            self.played[over] = 0

    def _write(
        self,
        rings: Ints,
        observations: NDArray,
        actions: NDArray,
        rewards: NDArray,
        terminated: NDArray,
        ended: NDArray,
    ) -> None:
        places, age = self.cursor[rings], self.played[rings]
        self._set_ready(rings, places, False)
        for ahead in range(1, self.stacked):  # the oldest rows lose frames of their stacks
            self._set_ready(rings, (places + ahead) % self.length, False)
        rows = torch.from_numpy(rings * self.length + places).to(self.device)
        newest = observations[:, -1] if self.stacked else observations
        self.frames[rows] = torch.from_numpy(newest).to(self.device, self.frames.dtype)
        self.actions[rings, places], self.rewards[rings, places] = actions, rewards
        self.terminated[rings, places], self.ended[rings, places] = terminated, ended
        self.age[rings, places] = age
        known = rings[age >= self.steps]
        self._set_ready(known, (self.cursor[known] - self.steps) % self.length, True)
        self.cursor[rings] = (places + 1) % self.length
        self.filled[rings] = np.minimum(self.filled[rings] + 1, self.length)
        self.played[rings] = age + 1

    def _set_ready(self, rings: Ints, places: Ints, value: bool) -> None:
        if not len(rings):
            return
        self._count += len(rings) * value - int(self.ready[rings, places].sum())
        self.ready[rings, places] = value
        if self.tree is not None:
            self.tree.set(rings * self.length + places, np.full(len(rings), self.largest if value else 0.0))

    def sample(self, count: int, importance: float = 0.0) -> Batch:
        """Transitions drawn by torch's global generator: name -> (count, ...), on the device, but for `rows`.

        observations, actions (int64), returns (the discounted sum of up to n rewards), following (observations that they led to),
        discounts (gamma^n, 0 where nothing comes after), weights (of priorities, by the exponent `importance`; else 1), rows
        """
        rows = self._evenly(count) if self.tree is None else self._by_priority(self.tree, count)
        rings, places = rows // self.length, rows % self.length
        returns, taken = self.rewards[rings, places].astype(np.float64), np.ones(count, np.int64)
        going_on = ~self.ended[rings, places]
        for ahead in range(1, self.steps):
            there = (places + ahead) % self.length
            returns += going_on * self.discount**ahead * self.rewards[rings, there]
            taken += going_on
            going_on &= ~self.ended[rings, there]
        terminated = self.terminated[rings, (places + taken - 1) % self.length]
        numbers = {
            "returns": returns,
            "discounts": self.discount**taken * ~terminated,
            "weights": self._weights(rows, importance),
        }
        return {
            "observations": self._observations(rings, places),
            "following": self._observations(rings, (places + taken) % self.length),
            "actions": torch.from_numpy(self.actions[rings, places]).to(self.device),
            **{name: torch.from_numpy(v.astype(np.float32)).to(self.device) for name, v in numbers.items()},
            "rows": torch.from_numpy(rows),
        }

    def _observations(self, rings: Ints, places: Ints) -> Tensor:
        if not self.stacked:
            return self.frames[torch.from_numpy(rings * self.length + places).to(self.device)]
        back = np.minimum(
            np.arange(self.stacked - 1, -1, -1), self.age[rings, places][:, None]
        )  # the first one repeats
        rows = rings[:, None] * self.length + (places[:, None] - back) % self.length
        return self.frames[torch.from_numpy(rows).to(self.device)]

    def _evenly(self, count: int) -> Ints:
        """Rows at which transitions begin, each with the same chance."""
        longest = int(self.filled.max())
        rows = np.empty(0, np.int64)
        while len(rows) < count:
            drawn = torch.randint(self.environments * longest, (count,)).numpy()
            drawn = drawn // longest * self.length + drawn % longest
            rows = np.concatenate([rows, drawn[self.ready.reshape(-1)[drawn]]])
        return rows[:count]

    def _by_priority(self, tree: SumTree, count: int) -> Ints:
        """One row from each of `count` parts of equal priority (Schaul et al. 2015, appendix B.2.1)."""
        inside = torch.rand(count, dtype=torch.float64).numpy()
        return tree.find((np.arange(count) + inside) / count * tree.total)

    def _weights(self, rows: Ints, importance: float) -> NDArray:
        """(1 / (N P(i)))^beta, divided by the largest: what is drawn more often counts less (Schaul et al. 2015, §3.4)."""
        if self.tree is None:
            return np.ones(len(rows))
        shares = self.tree.leaves(rows) / self.tree.total
        weights = (len(self) * shares) ** -importance
        return weights / weights.max()

    def set_priorities(self, rows: NDArray, errors: NDArray) -> None:
        """How wrong the values of drawn rows were: |delta| (N,)."""
        assert self.tree is not None and self.exponent is not None
        values = (np.abs(errors).astype(np.float64) + SMALLEST_PRIORITY) ** self.exponent
        self.largest = max(self.largest, float(values.max()))
        self.tree.set(rows, values)

    def break_off(self) -> None:
        """Forgets where the present episodes stand: what comes next belongs to others."""
        self.played[:] = 0

    def state(self) -> dict[str, Tensor]:
        arrays = {name: torch.from_numpy(getattr(self, name)) for name in _ARRAYS}
        if self.tree is not None:
            arrays["priorities"] = torch.from_numpy(self.tree.leaves(np.arange(self.environments * self.length)))
            arrays["largest"] = torch.tensor(self.largest, dtype=torch.float64)
        return {"frames": self.frames, **arrays}

    def restore(self, state: dict[str, Tensor]) -> None:
        self.frames.copy_(state["frames"])
        for name in _ARRAYS:
            getattr(self, name)[...] = state[name].cpu().numpy()
        self._count = int(self.ready.sum())
        if self.tree is not None:
            self.tree.set(np.arange(self.environments * self.length), state["priorities"].cpu().numpy())
            self.largest = float(state["largest"])


_ARRAYS = ("actions", "rewards", "terminated", "ended", "age", "ready", "cursor", "filled", "played")


class SumTree:
    """Priorities of `size` rows, and their sums by halves: a change and a search take one step a level."""

    def __init__(self, size: int) -> None:
        self.first = 1 << max(size - 1, 1).bit_length()  # where the leaves begin; the root is node 1
        self.nodes = np.zeros(2 * self.first)

    @property
    def total(self) -> float:
        return float(self.nodes[1])

    def leaves(self, rows: NDArray) -> NDArray:
        return self.nodes[self.first + rows]

    def set(self, rows: NDArray, values: NDArray) -> None:
        places = self.first + np.asarray(rows)
        self.nodes[places] = values
        for _ in range(self.first.bit_length() - 1):
            places = places >> 1
            self.nodes[places] = self.nodes[2 * places] + self.nodes[2 * places + 1]

    def find(self, sums: NDArray) -> Ints:
        """The rows at which the running sum of the priorities passes `sums` (0 to below the total); none of priority 0."""
        places = np.ones(len(sums), np.int64)
        for _ in range(self.first.bit_length() - 1):
            left = self.nodes[2 * places]
            right = (sums >= left) & (self.nodes[2 * places + 1] > 0)
            sums = sums - left * right
            places = 2 * places + right
        return places - self.first
