"""Dropout: in training each value is set to 0 with probability `rate`. The mask is drawn apart, so that backward can use it.

Two ways to keep the expectation: inverted (divide by the keep probability in training, do nothing at test time) and classic
(do nothing in training, multiply by the keep probability at test time). Both scale by 1 - rate, not by the rate, as *Deep
Learning with Python* §4.4.3 has it: the two agree at 0.5 alone. No function changes its inputs.
"""

from __future__ import annotations

import numpy as np

from gradus.reference.catalogue import Entry


def dropout_mask(shape: tuple[int, ...], rate: float, generator: np.random.Generator) -> np.ndarray:
    """True where a value is kept: each on its own, with probability 1 - rate. A fresh one for every step; rate in [0, 1)."""
    if not 0 <= rate < 1:
        raise ValueError(f"a dropout rate is in [0, 1), received {rate}")
    return generator.random(shape) >= rate


def dropout(inputs: np.ndarray, kept: np.ndarray, rate: float) -> np.ndarray:
    """Inverted, in training: the kept values divided by 1 - rate, 0 elsewhere. At test time: the inputs."""
    return inputs * kept / (1 - rate)


def dropout_backward(kept: np.ndarray, rate: float, gradient: np.ndarray) -> np.ndarray:
    """The same mask and the same factor on the gradient."""
    return gradient * kept / (1 - rate)


def classic_dropout(inputs: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Classic, in training: the kept values as they are, 0 elsewhere."""
    return inputs * kept


def classic_dropout_backward(kept: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """The same mask on the gradient."""
    return gradient * kept


def classic_dropout_inference(inputs: np.ndarray, rate: float) -> np.ndarray:
    """Classic, at test time: everything times the keep probability 1 - rate. Its gradient is the same factor."""
    return inputs * (1 - rate)


CATALOGUE: tuple[Entry, ...] = (
    Entry(
        name="dropout (inverted)",
        function="dropout.dropout",
        backward="dropout.dropout_backward",
        formula=r"y_i = \frac{d_i}{1 - r} x_i,\quad d_i \sim \mathrm{Bernoulli}(1 - r)",
        derivative=r"\frac{d_i}{1 - r}",
        fast="torch.nn.Dropout",
        source="Srivastava et al. 2014; course notes §2.1.4; *Principles and Practice* §3.4.6; "
        "*Deep Learning with Python* §4.4.3",
        note="*Deep Learning with Python* scales by the rate: it is the keep probability. Listing 3-25 of *Principles and "
        "Practice* changes its argument and returns nothing. Course notes §2.1.4 leave the backward mask out.",
    ),
    Entry(
        name="dropout (classic)",
        function="dropout.classic_dropout",
        backward="dropout.classic_dropout_backward",
        formula=r"y_i = d_i x_i\ \text{in training},\quad y_i = (1 - r) x_i\ \text{at test time}",
        derivative=r"d_i",
        fast="gradus.nn.ClassicDropout",
        source="Hinton et al. 2012; course notes §2.1.4; *Deep Learning with Python* §4.4.3",
        note="Its activations are smaller in training than those of inverted dropout by 1 - r.",
    ),
)
