"""The processes of diffusion: pictures become noise step by step, and noise becomes pictures (Ho 2020; Song 2020).

`shares` (T + 1,) float64 is the share of a picture's variance that is left after t steps, what the papers call alpha bar: 1 at
t = 0, nearly 0 at t = T. All functions take shares, so that steps may be left out: from t straight to any s < t.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

Schedule = Literal["cosine", "linear"]
Sampler = Literal["ddim", "ddpm"]


def shares_left(steps: int, schedule: Schedule = "cosine") -> Tensor:
    """(steps + 1,) float64: the share of the picture's variance after 0, 1, ..., `steps` steps.

    cosine: Nichol 2021, eq. 17, with s = 0.008 and no step taking more than 0.999
    linear: Ho 2020, the variance added grows from 1e-4 to 0.02 over 1000 steps; fewer steps take more each
    """
    if schedule == "cosine":
        angles = (torch.arange(steps + 1, dtype=torch.float64) / steps + 0.008) / 1.008 * math.pi / 2
        levels = angles.cos() ** 2
        added = (1 - levels[1:] / levels[:-1]).clamp(max=0.999)
    else:
        added = (torch.linspace(1e-4, 0.02, steps, dtype=torch.float64) * 1000 / steps).clamp(max=0.999)
    return torch.cat([torch.ones(1, dtype=torch.float64), (1 - added).cumprod(0)])


def noised(pictures: Tensor, noise: Tensor, share: Tensor | float) -> Tensor:
    """A draw of q(x_t | x_0): its variance is 1 where that of the pictures is (Ho 2020, eq. 4)."""
    share = torch.as_tensor(share).to(pictures)
    return share.sqrt() * pictures + (1 - share).sqrt() * noise


def posterior(clean: Tensor, noisy: Tensor, share: float, before: float) -> tuple[Tensor, float]:
    """Mean and variance of q(x_s | x_t, x_0), s < t (Ho 2020, eq. 6 and 7). share, before: what is left at t and at s."""
    kept = share / before
    mean = math.sqrt(before) * (1 - kept) / (1 - share) * clean + math.sqrt(kept) * (1 - before) / (1 - share) * noisy
    return mean, (1 - before) / (1 - share) * (1 - kept)


def places(steps: int, of: int) -> list[int]:
    """`steps` + 1 times, evenly spaced, from `of` down to 0."""
    return [round(of * place / steps) for place in range(steps, -1, -1)]


def run_chain(
    predict_noise: Callable[[Tensor, int], Tensor],
    noise: Tensor,
    shares: Tensor,
    steps: int,
    *,
    sampler: Sampler = "ddim",
    clip: bool = True,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Pictures (N, C, H, W) of initial noise, in `steps` steps.

    predict_noise: (x_t (N, C, H, W), t) -> the noise in them
    sampler: ddim: no further noise, so that the initial noise decides (Song 2020, eq. 12 with sigma = 0);
             ddpm: each step draws from q(x_s | x_t, x_0) with the estimated x_0 (Ho 2020, algorithm 2, the smaller variance)
    clip:    pictures are known to lie in -1..1: so is the estimate of x_0
    generator: on the CPU, of the noise that ddpm adds
    """
    times = places(steps, len(shares) - 1)
    state = noise
    for time, earlier in pairwise(times):
        share, before = float(shares[time]), float(shares[earlier])
        found = predict_noise(state, time)
        clean = (state - math.sqrt(1 - share) * found) / math.sqrt(share)
        if clip:
            clean = clean.clamp(-1, 1)
            found = (state - math.sqrt(share) * clean) / math.sqrt(1 - share)
        if sampler == "ddim":
            state = math.sqrt(before) * clean + math.sqrt(1 - before) * found
        else:
            mean, variance = posterior(clean, state, share, before)
            drawn = torch.randn(state.shape, generator=generator).to(state)
            state = mean + math.sqrt(variance) * drawn
    return state
