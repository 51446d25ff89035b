"""Steps and S-shaped activations: what a neuron's yes or no became when it had to be differentiable.

`name(inputs, ...)` and `name_derivative(inputs, ...)`, element by element.
"""

from __future__ import annotations

import numpy as np

from gradus.reference.catalogue import Entry


def binary_step(inputs: np.ndarray, low: float = 0.0) -> np.ndarray:
    """1 from 0 on, `low` below: 0 in the table, -1 in the example of *Plain Talk* §12.4."""
    return np.where(inputs >= 0, 1.0, low)


def binary_step_derivative(inputs: np.ndarray, low: float = 0.0) -> np.ndarray:
    """0; there is none at 0, where this is NaN."""
    return np.where(inputs == 0, np.nan, 0.0)


def sigmoid(inputs: np.ndarray, slope: float = 1.0) -> np.ndarray:
    """1 / (1 + e^(-a x)), between 0 and 1 and never either (in exact arithmetic).

    e^-|ax| is the only power taken, so nothing overflows. *Principles and Practice* listings 2-1 and 3-21 write
    1.0/1.0 + exp(-x), which is 1 + e^-x; listing 3-2 adds the exponentials of all elements up.
    """
    small = np.exp(-np.abs(slope * inputs))
    return np.where(slope * inputs >= 0, 1.0, small) / (1 + small)


def sigmoid_derivative(inputs: np.ndarray, slope: float = 1.0) -> np.ndarray:
    """a s (1 - s), at most a/4. 1 - s(x) is taken as s(-x), which keeps its digits."""
    return slope * sigmoid(inputs, slope) * sigmoid(-inputs, slope)


def hard_sigmoid(inputs: np.ndarray, slope: float = 1 / 6) -> np.ndarray:
    """a x + 1/2, cut off at 0 and 1: three straight lines in a sigmoid's place.

    slope: 1/6 is PyTorch's (and Keras 3's), (x + 3)/6 between -3 and 3; 0.2 is that of Keras 1 and 2, between -2.5 and 2.5.
    """
    return np.clip(slope * inputs + 0.5, 0, 1)


def hard_sigmoid_derivative(inputs: np.ndarray, slope: float = 1 / 6) -> np.ndarray:
    """a between the corners; 0 outside and (as in PyTorch) at them."""
    return np.where(np.abs(inputs) < 0.5 / slope, slope, 0.0)


def tanh(inputs: np.ndarray) -> np.ndarray:
    """(e^x - e^-x) / (e^x + e^-x), in (-1, 1)."""
    return np.tanh(inputs)


def tanh_derivative(inputs: np.ndarray) -> np.ndarray:
    """1 - tanh^2 x, in (0, 1]: the largest is 1 at 0, and none is negative (*Principles and Practice* §7.4: "[-1, 1]")."""
    return 1 - np.tanh(inputs) ** 2


def scaled_tanh(inputs: np.ndarray) -> np.ndarray:
    """A tanh(S x) with A = 1.7159, S = 2/3 (LeCun et al. 1998, appendix A)."""
    return 1.7159 * np.tanh(2 / 3 * inputs)


def scaled_tanh_derivative(inputs: np.ndarray) -> np.ndarray:
    """A S (1 - tanh^2(S x))."""
    return 1.7159 * 2 / 3 * (1 - np.tanh(2 / 3 * inputs) ** 2)


def arctan(inputs: np.ndarray) -> np.ndarray:
    return np.arctan(inputs)


def arctan_derivative(inputs: np.ndarray) -> np.ndarray:
    return 1 / (inputs**2 + 1)


def softsign(inputs: np.ndarray) -> np.ndarray:
    """x / (1 + |x|). Without the bars, as *Plain Talk* prints it, there would be a pole at -1."""
    return inputs / (1 + np.abs(inputs))


def softsign_derivative(inputs: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.abs(inputs)) ** 2


TABLE = "*Plain Talk* §2.1.2, table"

CATALOGUE: tuple[Entry, ...] = (
    Entry(
        name="binary step",
        function="sigmoids.binary_step",
        backward="sigmoids.binary_step_derivative",
        formula=r"f(x)=\begin{cases}0 & x<0 \\ 1 & x\ge 0\end{cases}",
        derivative=r"f'(x)=0 \quad (x\ne 0)",
        range=r"\{0,1\}",
        fast="gradus.nn.BinaryStep",
        source=f"{TABLE}; *Plain Talk* §12.4",
        note="No derivative at 0. The fast one has a made-up gradient, since the true one teaches nothing.",
        span=(-4, 4),
    ),
    Entry(
        name="sigmoid",
        function="sigmoids.sigmoid",
        backward="sigmoids.sigmoid_derivative",
        formula=r"\sigma(x)=\frac{1}{1+e^{-ax}}",
        derivative=r"\sigma'(x)=a\,\sigma(x)(1-\sigma(x))",
        range=r"(0,1)",
        fast="torch.nn.Sigmoid",
        source=f"*Principles and Practice* eq. 3-2; {TABLE}; course notes §1.2.2; *Deep Learning with Python* fig. 3-5",
        note="Listings 2-1 and 3-21 lack the brackets of the denominator, 3-2 sums over the array. The interval is open.",
        span=(-8, 8),
    ),
    Entry(
        name="hard sigmoid",
        function="sigmoids.hard_sigmoid",
        backward="sigmoids.hard_sigmoid_derivative",
        formula=r"f(x)=\min(1,\max(0,ax+\frac{1}{2}))",
        derivative=r"f'(x)=\begin{cases}a & |x|<\frac{1}{2a} \\ 0 & \text{otherwise}\end{cases}",
        range=r"[0,1]",
        fast="torch.nn.Hardsigmoid",
        source="Courbariaux et al. 2015; Keras 2 (a = 0.2); PyTorch and Keras 3 (a = 1/6)",
        note="Old Keras LSTM and GRU gates have a = 0.2, so their weights need that one.",
        span=(-4, 4),
    ),
    Entry(
        name="tanh",
        function="sigmoids.tanh",
        backward="sigmoids.tanh_derivative",
        formula=r"\tanh x=\frac{e^x-e^{-x}}{e^x+e^{-x}}=\frac{2}{1+e^{-2x}}-1",
        derivative=r"1-\tanh^2 x",
        range=r"(-1,1)",
        fast="torch.nn.Tanh",
        source=f"*Principles and Practice* eq. 3-3, 7-5; {TABLE}; course notes §1.3.5",
        note="The derivative lies in (0, 1], not in [-1, 1].",
        span=(-4, 4),
    ),
    Entry(
        name="scaled tanh",
        function="sigmoids.scaled_tanh",
        backward="sigmoids.scaled_tanh_derivative",
        formula=r"f(x)=1.7159\,\tanh(\frac{2}{3}x)",
        derivative=r"f'(x)=1.7159\cdot\frac{2}{3}(1-\tanh^2(\frac{2}{3}x))",
        range=r"(-1.7159,1.7159)",
        fast="gradus.nn.ScaledTanh",
        source="LeCun et al. 1998, appendix A",
        note="f(1) = 1 and f(-1) = -1, to four digits.",
        span=(-4, 4),
    ),
    Entry(
        name="arctan",
        function="sigmoids.arctan",
        backward="sigmoids.arctan_derivative",
        formula=r"f(x)=\arctan x",
        derivative=r"f'(x)=\frac{1}{x^2+1}",
        range=r"(-\frac{\pi}{2},\frac{\pi}{2})",
        fast="gradus.nn.ArcTan",
        source=TABLE,
        span=(-6, 6),
    ),
    Entry(
        name="softsign",
        function="sigmoids.softsign",
        backward="sigmoids.softsign_derivative",
        formula=r"f(x)=\frac{x}{1+|x|}",
        derivative=r"f'(x)=\frac{1}{(1+|x|)^2}",
        range=r"(-1,1)",
        fast="torch.nn.Softsign",
        source=TABLE,
        note="The bars are lost in the scan.",
        span=(-6, 6),
    ),
)
