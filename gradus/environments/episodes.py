"""Whole episodes played with fixed rules: how good a policy is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gradus.environments.vector import Environments

Policy = Callable[[NDArray], NDArray]  # observations (N, ...) -> actions (N,), or (N, numbers)


@dataclass(frozen=True)
class Played:
    """What came of N episodes: returns (N,) float64, the sums of all rewards, and lengths (N,) int64 in steps."""

    returns: NDArray[np.float64]
    lengths: NDArray[np.int64]


def play_episodes(environments: Environments, policy: Policy, count: int) -> Played:
    """The first `count` episodes, as many from each environment as from the others, or one fewer.

    Taking those that end first from whichever environment would count the short ones too often. The environments begin anew:
    the same ones with the same policy play the same episodes.
    """
    every = len(environments)
    environments.start_again()
    wanted = np.array([count // every + (index < count % every) for index in range(every)])
    returns: list[list[float]] = [[] for _ in range(every)]
    lengths: list[list[int]] = [[] for _ in range(every)]
    while (wanted > 0).any():
        step = environments.step(policy(environments.observations))
        for index in np.flatnonzero(step.ended & (wanted > 0)):
            returns[index].append(float(step.returns[index]))
            lengths[index].append(int(step.lengths[index]))
            wanted[index] -= 1
    return Played(np.concatenate(returns), np.concatenate(lengths).astype(np.int64))
