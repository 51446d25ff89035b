"""Exponentially weighted averages (course notes §2.2.3, §2.2.4), of losses, of gradients, of weights."""

from __future__ import annotations

import numpy as np

from gradus.reference.catalogue import Entry


def exponential_average(values: np.ndarray, decay: float = 0.9, corrected: bool = False) -> np.ndarray:
    """v_t = β v_(t-1) + (1 - β) x_t along axis 0, from v_0 = 0. (T, ...) -> (T, ...).

    The start at 0 makes the first averages too small; `corrected` divides by 1 - β^t, the sum of the weights so far.
    """
    values = np.asarray(values, dtype=float)
    averages, running = np.empty_like(values), np.zeros_like(values[0])
    for step, value in enumerate(values, 1):
        running = decay * running + (1 - decay) * value
        averages[step - 1] = running / (1 - decay**step) if corrected else running
    return averages


def average_weights(decay: float, count: int) -> np.ndarray:
    """(1 - β) β^k: how much the value k steps ago counts, k = 0 ... count - 1. They add up to 1 - β^count."""
    return (1 - decay) * decay ** np.arange(count)


def window(decay: float) -> float:
    """1 / (1 - β), the number of values that such an average is like: 10 for 0.9, 50 for 0.98, 1000 for 0.999.

    β^window is about 1/e (0.9^10 = 0.349), from which on a value counts little. The course notes §2.3.2 print 1/1-β.
    """
    return 1 / (1 - decay)


def growing_decay(decay: float, updates: float | np.ndarray) -> np.ndarray:
    """min(β, (1 + t) / (10 + t)): TensorFlow's decay at update t, small at first so that the beginning is forgotten soon."""
    updates = np.asarray(updates, dtype=float)
    return np.minimum(decay, (1 + updates) / (10 + updates))


def shadow_average(values: np.ndarray, decay: float = 0.9999, growing: bool = True) -> np.ndarray:
    """The shadow of a variable after each update (*Plain Talk* §6.9). values (T, ...): initial value, then one a update.

    It begins as the variable itself, so it needs no correction: shadow = d shadow + (1 - d) value, d = `growing_decay` or β.
    """
    values = np.asarray(values, dtype=float)
    shadows = [values[0]]
    for update, value in enumerate(values[1:], 1):
        share = float(growing_decay(decay, update)) if growing else decay
        shadows.append(share * shadows[-1] + (1 - share) * value)
    return np.stack(shadows)


CATALOGUE: tuple[Entry, ...] = (
    Entry(
        name="exponentially weighted average",
        function="averages.exponential_average",
        formula=r"v_t = \beta v_{t-1} + (1 - \beta) x_t, \quad \hat v_t = \frac{v_t}{1 - \beta^t}",
        source="course notes §2.2.3, §2.2.4; *Plain Talk* §6.9",
        fast="train.average",
        note="like a mean of 1/(1 - β) values; the notes print 1/1-β",
    ),
    Entry(
        name="weights of the average",
        function="averages.average_weights",
        formula=r"(1 - \beta) \beta^k",
        source="course notes §2.2.3",
    ),
    Entry(
        name="window",
        function="averages.window",
        formula=r"\frac{1}{1 - \beta}",
        source="course notes §2.2.3, §2.3.2",
        span=(0.0, 0.98),
    ),
    Entry(
        name="shadow of the weights",
        function="averages.shadow_average",
        formula=r"s \leftarrow d s + (1 - d) w, \quad d = \min\left(\beta, \frac{1 + t}{10 + t}\right)",
        source="*Plain Talk* §6.9 (tf.train.ExponentialMovingAverage)",
        fast="train.average",
    ),
)
