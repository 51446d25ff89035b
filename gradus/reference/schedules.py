"""Learning rates over time: `name(step, ..., rate) -> rate`, for one step or an array of them.

`step` counts from 0 whatever is counted: updates or epochs. All but `plateau` depend on the step alone.
`gradus.train.schedules` has them for training.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gradus.reference.catalogue import Entry

Steps = float | np.ndarray


def inverse_time(step: Steps, decay: float = 0.1, rate: float = 1.0) -> np.ndarray:
    """rate / (1 + decay * step): by the epoch in the course notes §2.2.8, by the update in Keras' decay=1e-6 (listing 4-16)."""
    return rate / (1 + decay * np.asarray(step, dtype=float))


def exponential(step: Steps, base: float = 0.95, period: float = 1.0, rate: float = 1.0) -> np.ndarray:
    """rate * base^(step / period) (course notes §2.2.8: 0.95^epoch)."""
    return rate * base ** (np.asarray(step, dtype=float) / period)


def staircase(
    step: Steps, factor: float = 0.5, period: float = 10.0, hold: float = 0.0, rate: float = 1.0
) -> np.ndarray:
    """rate * factor^floor((step - hold) / period), and `rate` itself before the step `hold`.

    *Plain Talk* §6.9: factor 0.1, period `decay_steps(50000, 128, 350)`. Its §8.5 has base * decay^max(epoch + 1 - M, 0):
    hold = M - 1, period 1.
    """
    return rate * factor ** np.floor(np.maximum(np.asarray(step, dtype=float) - hold, 0) / period)


def decay_steps(rows: int, batch_size: int, epochs: float) -> int:
    """Updates in `epochs` epochs as TensorFlow's CIFAR-10 program counts them: int(rows / batch size * epochs) = 136 718."""
    return int(rows / batch_size * epochs)


def root_decay(step: Steps, constant: float = 1.0, rate: float = 1.0) -> np.ndarray:
    """rate * k / sqrt(step), of epochs or of updates; step 0 counts as 1, for which the formula would divide by 0.

    The course notes §2.2.8 write "square" for square root.
    """
    return rate * constant / np.sqrt(np.maximum(np.asarray(step, dtype=float), 1))


def step_list(
    step: Steps, rates: Sequence[float] = (1e-2, 1e-3, 1e-4), boundaries: Sequence[float] = (10, 20)
) -> np.ndarray:
    """The first rate before the first boundary, the second from there on, ... (*Principles and Practice* listing 4-20)."""
    if len(rates) != len(boundaries) + 1 or list(boundaries) != sorted(boundaries):
        raise ValueError("step_list: expected rising boundaries and one rate more than boundaries")
    return np.asarray(rates, dtype=float)[np.searchsorted(np.asarray(boundaries, dtype=float), step, side="right")]


def polynomial(
    step: Steps, steps: float = 100, power: float = 1.0, final: float = 0.0, rate: float = 1.0
) -> np.ndarray:
    """From rate to final as (1 - step / steps)^power; final after the end. Power 1 is a straight line."""
    left = 1 - np.minimum(np.asarray(step, dtype=float) / steps, 1)
    return final + (rate - final) * left**power


def cosine(step: Steps, steps: float = 100, final: float = 0.0, rate: float = 1.0) -> np.ndarray:
    """final + (rate - final) (1 + cos(π step / steps)) / 2: half a cosine down (Loshchilov and Hutter 2017, eq. 5)."""
    progress = np.minimum(np.asarray(step, dtype=float) / steps, 1)
    return final + (rate - final) * (1 + np.cos(np.pi * progress)) / 2


def one_cycle(
    step: Steps, steps: float = 100, peak_at: float = 0.3, start: float = 0.04, final: float = 0.0, rate: float = 1.0
) -> np.ndarray:
    """Half a cosine up from `start` to `rate` at the share `peak_at` of all steps, half a cosine down to `final` (Smith 2018)."""
    progress = np.minimum(np.asarray(step, dtype=float) / steps, 1)
    up = start + (rate - start) * (1 - np.cos(np.pi * progress / peak_at)) / 2
    down = final + (rate - final) * (1 + np.cos(np.pi * (progress - peak_at) / (1 - peak_at))) / 2
    return np.where(progress < peak_at, up, down)


def warmup(step: Steps, steps: float = 10, rate: float = 1.0) -> np.ndarray:
    """rate * min(1, (step + 1) / steps): a line up to `rate`, reached at the last of `steps` steps (Goyal et al. 2017)."""
    return rate * np.minimum(1, (np.asarray(step, dtype=float) + 1) / steps)


def plateau(losses: Sequence[float], factor: float = 0.5, patience: int = 1, rate: float = 1.0) -> np.ndarray:
    """The rate after each validation loss: times `factor` when `patience` losses in a row have not fallen below the lowest.

    *Principles and Practice* §3.3.1 divides by 2 or 5 whenever validation stops improving.
    """
    rates, lowest, waited = [], np.inf, 0
    for loss in losses:
        lowest, waited = (loss, 0) if loss < lowest else (lowest, waited + 1)
        if waited >= patience:
            rate, waited = rate * factor, 0
        rates.append(rate)
    return np.array(rates)


def _entry(
    name: str,
    function: str,
    formula: str,
    source: str,
    fast: str,
    note: str = "",
    span: tuple[float, float] | None = (0, 100),
) -> Entry:
    return Entry(
        name=name, function=f"schedules.{function}", formula=formula, source=source, fast=fast, note=note, span=span
    )


CATALOGUE: tuple[Entry, ...] = (
    _entry(
        "inverse time",
        "inverse_time",
        r"\eta_t = \frac{\eta_0}{1 + d t}",
        "course notes §2.2.8; *Principles and Practice* listings 4-16, 8-24",
        "schedule.name=inverse_time",
    ),
    _entry(
        "exponential",
        "exponential",
        r"\eta_t = \eta_0 b^{t / p}",
        "course notes §2.2.8",
        "schedule.name=exponential",
    ),
    _entry(
        "staircase",
        "staircase",
        r"\eta_t = \eta_0 f^{\lfloor \max(t - h, 0) / p \rfloor}",
        "*Plain Talk* §6.9, §8.5",
        "schedule.name=step",
        "schedule.hold keeps the first rate for a while",
    ),
    _entry(
        "root",
        "root_decay",
        r"\eta_t = \eta_0 \frac{k}{\sqrt{t}}",
        "course notes §2.2.8",
        "schedule.name=root",
        "the notes write square for square root; t = 0 is taken as 1",
    ),
    _entry(
        "list of steps",
        "step_list",
        r"\eta_t = r_i \text{ for } b_i \le t < b_{i+1}",
        "*Principles and Practice* listing 4-20",
        "schedule.name=milestones",
        span=(0, 30),
    ),
    _entry(
        "polynomial",
        "polynomial",
        r"\eta_t = \eta_T + (\eta_0 - \eta_T) \left(1 - \frac{t}{T}\right)^p",
        "tf.train.polynomial_decay",
        "schedule.name=polynomial",
    ),
    _entry(
        "cosine",
        "cosine",
        r"\eta_t = \eta_T + \frac{\eta_0 - \eta_T}{2} \left(1 + \cos \frac{\pi t}{T}\right)",
        "Loshchilov and Hutter 2017, eq. 5",
        "schedule.name=cosine",
    ),
    _entry(
        "one cycle",
        "one_cycle",
        r"\text{half a cosine up, half a cosine down}",
        "Smith 2018",
        "schedule.name=one_cycle",
    ),
    _entry(
        "warm-up",
        "warmup",
        r"\eta_t = \eta \min\left(1, \frac{t + 1}{T}\right)",
        "Goyal et al. 2017",
        "schedule.warmup",
        span=(0, 30),
    ),
    _entry(
        "plateau",
        "plateau",
        r"\eta \leftarrow f \eta \text{ when the loss has not fallen for } p \text{ epochs}",
        "*Principles and Practice* §3.3.1",
        "schedule.name=plateau",
        span=None,
    ),
)
