"""Randomness as a pure function of (seed, epoch, step): a resumed run draws what the uninterrupted one would have drawn."""

from __future__ import annotations

import torch

_MASK = (1 << 64) - 1

# The streams. Each use of randomness has its own, so that none repeats another's numbers.
INITIAL_WEIGHTS, ORDER, STEP, PROCESS, EPISODES = 0, 1, 2, 3, 4


def derive(seed: int, *parts: int) -> int:
    """A 63-bit seed from a seed and any counters, well mixed (splitmix64, Steele et al. 2014)."""
    state = seed & _MASK
    for part in parts:
        state = (state + 0x9E3779B97F4A7C15 * (part + 1)) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return state >> 1


def seed_step(seed: int, epoch: int, step: int, device: torch.device) -> None:
    """Sets the generators that dropout and augmentation draw from in this step (about 3 microseconds)."""
    value = derive(seed, STEP, epoch, step)
    torch.default_generator.manual_seed(value)
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        torch.cuda.default_generators[index].manual_seed(value)
