"""Rectifiers: activations that let the positive through, and what each makes of the negative.

At their corner they are continuous and have no derivative (*Plain Talk* §12.4 calls ReLU differentiable there: it has one slope
from the left, 0, and another from the right, 1). Any number between the two is a sub-gradient. `right=True` takes that of the
right side, as the table of *Plain Talk* §2.1.2 does; `right=False` that of the left, as PyTorch does. Training cannot tell them
apart: an input is exactly 0 on a set of measure 0, unless it was padded.
"""

from __future__ import annotations

from math import erf

import numpy as np

from gradus.reference.catalogue import Entry
from gradus.reference.sigmoids import TABLE, sigmoid

SELU_SCALE, SELU_ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717  # Klambauer et al. 2017


def _beyond(inputs: np.ndarray, right: bool) -> np.ndarray:
    """Where the right-hand piece holds: from 0 on, or above 0 only."""
    return inputs >= 0 if right else inputs > 0


def relu(inputs: np.ndarray) -> np.ndarray:
    """max(0, x), for arrays of any shape (*Principles and Practice* listing 3-4 takes single numbers only)."""
    return np.maximum(inputs, 0)


def relu_derivative(inputs: np.ndarray, right: bool = True) -> np.ndarray:
    """1 above 0, 0 below."""
    return np.where(_beyond(inputs, right), 1.0, 0.0)


def leaky_relu(inputs: np.ndarray, slope: float = 0.01) -> np.ndarray:
    """x, below 0 slope * x. *Principles and Practice* listing 7-7 has this under the name relu, with slope 0.1."""
    return np.where(inputs >= 0, inputs, slope * inputs)


def leaky_relu_derivative(inputs: np.ndarray, slope: float = 0.01, right: bool = True) -> np.ndarray:
    """1 above 0, slope below: never 0, so that no unit dies."""
    return np.where(_beyond(inputs, right), 1.0, slope)


def prelu(inputs: np.ndarray, slope: float | np.ndarray = 0.25) -> np.ndarray:
    """The leaky ReLU with a learned slope, a number or an array that broadcasts (He et al. 2015, eq. 1, begins at 0.25)."""
    return np.where(inputs >= 0, inputs, slope * inputs)


def prelu_derivative(inputs: np.ndarray, slope: float | np.ndarray = 0.25, right: bool = True) -> np.ndarray:
    return np.where(_beyond(inputs, right), 1.0, slope)


def prelu_parameter_derivative(inputs: np.ndarray) -> np.ndarray:
    """By the slope, element by element: x below 0, 0 above."""
    return np.minimum(inputs, 0)


def rrelu(
    inputs: np.ndarray, lower: float = 1 / 8, upper: float = 1 / 3, generator: np.random.Generator | None = None
) -> np.ndarray:
    """The leaky ReLU whose slope is drawn for every element, evenly from lower to upper; without a generator, their mean.

    Xu et al. 2015 write a slope, yet draw from 3 to 8 and divide by 5.5 in testing (a slope of 0.18): that is a divisor. Drawing
    the slope from 1/8 to 1/3 and testing with 11/48 = 0.23 is PyTorch's reading, and ours.
    """
    return prelu(inputs, _rrelu_slopes(inputs, lower, upper, generator))


def rrelu_derivative(
    inputs: np.ndarray,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    generator: np.random.Generator | None = None,
    right: bool = True,
) -> np.ndarray:
    """The slopes that were drawn: the generator has to be in the state in which the forward pass found it."""
    return prelu_derivative(inputs, _rrelu_slopes(inputs, lower, upper, generator), right)


def _rrelu_slopes(inputs: np.ndarray, lower: float, upper: float, generator: np.random.Generator | None) -> np.ndarray:
    if generator is None:
        return np.full(inputs.shape, (lower + upper) / 2)
    return generator.uniform(lower, upper, inputs.shape)


def elu(inputs: np.ndarray, alpha: float = 1.0) -> np.ndarray:
    """x, below 0 alpha (e^x - 1) (Clevert et al. 2016, eq. 15)."""
    return np.where(inputs >= 0, inputs, alpha * np.expm1(np.minimum(inputs, 0)))


def elu_derivative(inputs: np.ndarray, alpha: float = 1.0, right: bool = True) -> np.ndarray:
    """1 above 0; below alpha e^x = f(x) + alpha. A corner only where alpha is not 1."""
    return np.where(_beyond(inputs, right), 1.0, alpha * np.exp(np.minimum(inputs, 0)))


def selu(inputs: np.ndarray) -> np.ndarray:
    """1.0507 times the ELU with alpha 1.6733: it keeps mean 0 and variance 1 of standard normal inputs."""
    return SELU_SCALE * elu(inputs, SELU_ALPHA)


def selu_derivative(inputs: np.ndarray, right: bool = True) -> np.ndarray:
    return SELU_SCALE * elu_derivative(inputs, SELU_ALPHA, right)


def gelu(inputs: np.ndarray, approximate: bool = False) -> np.ndarray:
    """x Phi(x), Phi the distribution function of the standard normal (Hendrycks and Gimpel 2016).

    approximate: x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), the form of GPT-2, off by at most 5e-4.
    """
    if approximate:
        return inputs / 2 * (1 + np.tanh(_gelu_angle(inputs)))
    return inputs * _normal_distribution(inputs)


def gelu_derivative(inputs: np.ndarray, approximate: bool = False) -> np.ndarray:
    """Phi(x) + x phi(x), phi the normal density; of the tanh form, its own derivative."""
    if approximate:
        curve = np.tanh(_gelu_angle(inputs))
        return (1 + curve) / 2 + inputs / 2 * (1 - curve**2) * np.sqrt(2 / np.pi) * (1 + 3 * 0.044715 * inputs**2)
    return _normal_distribution(inputs) + inputs * np.exp(-(inputs**2) / 2) / np.sqrt(2 * np.pi)


def _gelu_angle(inputs: np.ndarray) -> np.ndarray:
    return np.sqrt(2 / np.pi) * (inputs + 0.044715 * inputs**3)


def _normal_distribution(inputs: np.ndarray) -> np.ndarray:
    return (1 + np.vectorize(erf, otypes=[float])(inputs / np.sqrt(2))) / 2


def softplus(inputs: np.ndarray) -> np.ndarray:
    """ln(1 + e^x), without overflow."""
    return np.logaddexp(0, inputs)


def softplus_derivative(inputs: np.ndarray) -> np.ndarray:
    """The sigmoid."""
    return sigmoid(inputs)


def srelu(
    inputs: np.ndarray, left: float = -1.0, left_slope: float = 0.2, right: float = 1.0, right_slope: float = 0.5
) -> np.ndarray:
    """S-shaped ReLU (Jin et al. 2016, eq. 1): x between the thresholds, straight lines of other slopes beyond. left <= right."""
    below, above = left + left_slope * (inputs - left), right + right_slope * (inputs - right)
    return np.where(inputs <= left, below, np.where(inputs >= right, above, inputs))


def srelu_derivative(
    inputs: np.ndarray, left: float = -1.0, left_slope: float = 0.2, right: float = 1.0, right_slope: float = 0.5
) -> np.ndarray:
    """The outer slopes hold at the thresholds themselves."""
    return np.where(inputs <= left, left_slope, np.where(inputs >= right, right_slope, 1.0))


def srelu_parameter_derivatives(
    inputs: np.ndarray, left: float, left_slope: float, right: float, right_slope: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """By (left, left_slope, right, right_slope), element by element."""
    below, above = inputs <= left, (inputs >= right) & (inputs > left)
    return below * (1 - left_slope), below * (inputs - left), above * (1 - right_slope), above * (inputs - right)


def apl(
    inputs: np.ndarray,
    slopes: np.ndarray | tuple[float, ...] = (0.2,),
    offsets: np.ndarray | tuple[float, ...] = (0.5,),
) -> np.ndarray:
    """Adaptive piecewise linear unit (Agostinelli et al. 2015, eq. 1): max(0, x) + sum over s of a_s max(0, b_s - x).

    slopes, offsets: S of each (first axis), numbers or arrays that broadcast with the inputs. In print the indices a_i^s, b_i^s
    (i the neuron, s = 1..S the hinge) have become powers.
    """
    hinges = [slope * np.maximum(0, offset - inputs) for slope, offset in zip(slopes, offsets, strict=True)]
    return np.maximum(0, inputs) + sum(hinges)


def apl_derivative(
    inputs: np.ndarray,
    slopes: np.ndarray | tuple[float, ...] = (0.2,),
    offsets: np.ndarray | tuple[float, ...] = (0.5,),
    right: bool = True,
) -> np.ndarray:
    """H(x) - sum of a_s H(b_s - x), H the step from 0 to 1; at a corner the slope of one side, as everywhere here."""
    total = relu_derivative(inputs, right)
    for slope, offset in zip(slopes, offsets, strict=True):
        total = total - slope * (1.0 - _beyond(inputs - offset, right))
    return total


def apl_parameter_derivatives(
    inputs: np.ndarray, slopes: np.ndarray | tuple[float, ...], offsets: np.ndarray | tuple[float, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """By (slopes, offsets), each (S, ...inputs): max(0, b_s - x) and a_s where b_s > x."""
    by_slopes = [np.maximum(0, offset - inputs) for offset in offsets]
    by_offsets = [slope * (offset > inputs) for slope, offset in zip(slopes, offsets, strict=True)]
    return np.stack(by_slopes), np.stack(by_offsets)


CATALOGUE: tuple[Entry, ...] = (
    Entry(
        name="ReLU",
        function="rectifiers.relu",
        backward="rectifiers.relu_derivative",
        formula=r"f(x)=\max(0,x)",
        derivative=r"f'(x)=\begin{cases}0 & x<0 \\ 1 & x\ge 0\end{cases}",
        range=r"[0,\infty)",
        fast="torch.nn.ReLU",
        source=f"*Principles and Practice* eq. 3-4; {TABLE}; course notes §1.3.5; *Deep Learning with Python* fig. 3-4",
        note="Continuous everywhere, not differentiable at 0. The table takes 1 there, PyTorch and the course notes 0.",
        span=(-4, 4),
    ),
    Entry(
        name="leaky ReLU",
        function="rectifiers.leaky_relu",
        backward="rectifiers.leaky_relu_derivative",
        formula=r"f(x)=\begin{cases}\alpha x & x<0 \\ x & x\ge 0\end{cases}",
        derivative=r"f'(x)=\begin{cases}\alpha & x<0 \\ 1 & x\ge 0\end{cases}",
        range=r"(-\infty,\infty)",
        fast="torch.nn.LeakyReLU",
        source=f"Maas et al. 2013; {TABLE} (0.01); *Principles and Practice* §3.1.6, listing 7-7 (0.1); DCGAN (0.2)",
        note="Recommended in *Principles and Practice* without its formula; listing 7-7 calls it relu.",
        span=(-4, 4),
    ),
    Entry(
        name="PReLU",
        function="rectifiers.prelu",
        backward="rectifiers.prelu_derivative",
        formula=r"f(x)=\begin{cases}\alpha x & x<0 \\ x & x\ge 0\end{cases}",
        derivative=r"f'(x)=\begin{cases}\alpha & x<0 \\ 1 & x\ge 0\end{cases}",
        range=r"(-\infty,\infty)",
        fast="torch.nn.PReLU",
        source=f"He et al. 2015, eq. 1; {TABLE}",
        note="alpha is learned, for all channels or one a channel.",
        span=(-4, 4),
    ),
    Entry(
        name="RReLU",
        function="rectifiers.rrelu",
        backward="rectifiers.rrelu_derivative",
        formula=r"f(x)=\begin{cases}\alpha x & x<0 \\ x & x\ge 0\end{cases},\quad \alpha\sim U(l,u)",
        derivative=r"f'(x)=\begin{cases}\alpha & x<0 \\ 1 & x\ge 0\end{cases}",
        range=r"(-\infty,\infty)",
        fast="torch.nn.RReLU",
        source=f"Xu et al. 2015, eq. 4; {TABLE}",
        note="alpha is drawn for each element in training and fixed to (l + u)/2 in testing.",
        span=(-4, 4),
    ),
    Entry(
        name="ELU",
        function="rectifiers.elu",
        backward="rectifiers.elu_derivative",
        formula=r"f(x)=\begin{cases}\alpha(e^x-1) & x<0 \\ x & x\ge 0\end{cases}",
        derivative=r"f'(x)=\begin{cases}f(x)+\alpha & x<0 \\ 1 & x\ge 0\end{cases}",
        range=r"(-\alpha,\infty)",
        fast="torch.nn.ELU",
        source=f"Clevert et al. 2016; {TABLE}",
        span=(-4, 4),
    ),
    Entry(
        name="SELU",
        function="rectifiers.selu",
        backward="rectifiers.selu_derivative",
        formula=r"f(x)=\lambda\begin{cases}\alpha(e^x-1) & x<0 \\ x & x\ge 0\end{cases},"
        r"\quad \lambda=1.0507,\ \alpha=1.6733",
        derivative=r"f'(x)=\lambda\begin{cases}\alpha e^x & x<0 \\ 1 & x\ge 0\end{cases}",
        range=r"(-1.7581,\infty)",
        fast="torch.nn.SELU",
        source="Klambauer et al. 2017, eq. 2",
        span=(-4, 4),
    ),
    Entry(
        name="GELU",
        function="rectifiers.gelu",
        backward="rectifiers.gelu_derivative",
        formula=r"f(x)=x\,\Phi(x)",
        derivative=r"f'(x)=\Phi(x)+x\,\varphi(x)",
        range=r"[-0.17,\infty)",
        fast="torch.nn.GELU",
        source="Hendrycks and Gimpel 2016",
        note="The tanh form of GPT-2 is `approximate=True`.",
        span=(-4, 4),
    ),
    Entry(
        name="softplus",
        function="rectifiers.softplus",
        backward="rectifiers.softplus_derivative",
        formula=r"f(x)=\ln(1+e^x)",
        derivative=r"f'(x)=\sigma(x)",
        range=r"(0,\infty)",
        fast="torch.nn.Softplus",
        source=TABLE,
        span=(-6, 6),
    ),
    Entry(
        name="SReLU",
        function="rectifiers.srelu",
        backward="rectifiers.srelu_derivative",
        formula=r"f(x)=\begin{cases}t_l+a_l(x-t_l) & x\le t_l \\ x & t_l<x<t_r \\ t_r+a_r(x-t_r) & x\ge t_r\end{cases}",
        derivative=r"f'(x)=\begin{cases}a_l & x\le t_l \\ 1 & t_l<x<t_r \\ a_r & x\ge t_r\end{cases}",
        range=r"(-\infty,\infty)",
        fast="gradus.nn.SReLU",
        source=f"Jin et al. 2016, eq. 1; {TABLE}",
        note="Four learned numbers a channel. Drawn with t = -1 and 1, a = 0.2 and 0.5.",
        span=(-4, 4),
    ),
    Entry(
        name="APL",
        function="rectifiers.apl",
        backward="rectifiers.apl_derivative",
        formula=r"f(x)=\max(0,x)+\sum_{s=1}^{S}a_s\max(0,-x+b_s)",
        derivative=r"f'(x)=H(x)-\sum_{s=1}^{S}a_s H(-x+b_s)",
        range=r"(-\infty,\infty)",
        fast="gradus.nn.APL",
        source=f"Agostinelli et al. 2015, eq. 1; {TABLE}",
        note="a_s and b_s are learned for each neuron; in the scan their indices read as powers. Drawn with a = 0.2, b = 0.5.",
        span=(-4, 4),
    ),
)
