"""Activation functions: all of them can be had from here.

Here stand those of one number without a corner or an S; `sigmoids.py` has the S-shaped ones, `rectifiers.py` those with a
corner at 0, `vector_activations.py` those over several numbers (softmax, maxout). `name(inputs, ...)` is the value for an
array of any shape, `name_derivative(inputs, ...)` is f'(inputs). The list is the table of *Plain Talk* §2.1.2, with what the
other texts add.
"""

from __future__ import annotations

import numpy as np

from gradus.reference.catalogue import Entry
from gradus.reference.rectifiers import (  # noqa: F401 - handed on
    apl,
    apl_derivative,
    apl_parameter_derivatives,
    elu,
    elu_derivative,
    gelu,
    gelu_derivative,
    leaky_relu,
    leaky_relu_derivative,
    prelu,
    prelu_derivative,
    prelu_parameter_derivative,
    relu,
    relu_derivative,
    rrelu,
    rrelu_derivative,
    selu,
    selu_derivative,
    softplus,
    softplus_derivative,
    srelu,
    srelu_derivative,
    srelu_parameter_derivatives,
)
from gradus.reference.sigmoids import (  # noqa: F401 - handed on
    arctan,
    arctan_derivative,
    binary_step,
    binary_step_derivative,
    hard_sigmoid,
    hard_sigmoid_derivative,
    scaled_tanh,
    scaled_tanh_derivative,
    sigmoid,
    sigmoid_derivative,
    softsign,
    softsign_derivative,
    tanh,
    tanh_derivative,
)
from gradus.reference.vector_activations import (  # noqa: F401 - handed on
    hardmax,
    hardmax_backward,
    log_softmax,
    log_softmax_backward,
    maxout,
    maxout_backward,
    softmax,
    softmax_backward,
)


def identity(inputs: np.ndarray) -> np.ndarray:
    """x. A stack of layers with it is one linear layer."""
    return inputs.copy()


def identity_derivative(inputs: np.ndarray) -> np.ndarray:
    return np.ones_like(inputs)


def linear(inputs: np.ndarray, slope: float = 1.0, intercept: float = 0.0) -> np.ndarray:
    """a x + b (*Principles and Practice* eq. 3-1)."""
    return slope * inputs + intercept


def linear_derivative(inputs: np.ndarray, slope: float = 1.0, intercept: float = 0.0) -> np.ndarray:
    return np.full_like(inputs, slope)


def bent_identity(inputs: np.ndarray) -> np.ndarray:
    return (np.sqrt(inputs**2 + 1) - 1) / 2 + inputs


def bent_identity_derivative(inputs: np.ndarray) -> np.ndarray:
    return inputs / (2 * np.sqrt(inputs**2 + 1)) + 1


def soft_exponential(inputs: np.ndarray, alpha: float = 0.5) -> np.ndarray:
    """From logarithm (alpha = -1) over identity (0) to exponential (1); Godfrey and Gashler 2015, eq. 1.

    alpha < 0: -ln(1 - alpha (x + alpha)) / alpha, which exists only above x = 1/alpha - alpha; NaN at and below.
    alpha > 0: (e^(alpha x) - 1) / alpha + alpha.
    """
    if alpha == 0:
        return inputs.copy()
    if alpha > 0:
        return np.expm1(alpha * inputs) / alpha + alpha
    inside = -alpha * (inputs + alpha)
    return -np.log1p(np.where(inside > -1, inside, np.nan)) / alpha


def soft_exponential_derivative(inputs: np.ndarray, alpha: float = 0.5) -> np.ndarray:
    """By x: 1 / (1 - alpha (alpha + x)) for alpha < 0, e^(alpha x) otherwise."""
    if alpha >= 0:
        return np.exp(alpha * inputs)
    inside = 1 - alpha * (alpha + inputs)
    return 1 / np.where(inside > 0, inside, np.nan)


def soft_exponential_parameter_derivative(inputs: np.ndarray, alpha: float = 0.5) -> np.ndarray:
    """By alpha, element by element. Both branches meet at alpha = 0, where it is 1 + x^2/2."""
    if alpha == 0:
        return 1 + inputs**2 / 2
    if alpha > 0:
        return inputs * np.exp(alpha * inputs) / alpha - np.expm1(alpha * inputs) / alpha**2 + 1
    inside = 1 - alpha * (alpha + inputs)
    inside = np.where(inside > 0, inside, np.nan)
    return np.log(inside) / alpha**2 + (inputs + 2 * alpha) / (alpha * inside)


def sinusoid(inputs: np.ndarray) -> np.ndarray:
    return np.sin(inputs)


def sinusoid_derivative(inputs: np.ndarray) -> np.ndarray:
    return np.cos(inputs)


def sinc(inputs: np.ndarray) -> np.ndarray:
    """sin x / x, and 1 at 0. No pi in it: *Plain Talk* prints sin(x)/pi. NumPy's and PyTorch's sinc(x) is this at pi x."""
    return np.sinc(inputs / np.pi)


def sinc_derivative(inputs: np.ndarray) -> np.ndarray:
    """cos x / x - sin x / x^2, and 0 at 0. Near 0, where the two would cancel, by the series."""
    near = np.abs(inputs) < 0.1
    apart = np.where(near, 1.0, inputs)
    series = inputs * (-1 / 3 + inputs**2 / 30 - inputs**4 / 840 + inputs**6 / 45360)
    return np.where(near, series, (np.cos(apart) - np.sin(apart) / apart) / apart)


def gaussian(inputs: np.ndarray) -> np.ndarray:
    return np.exp(-(inputs**2))


def gaussian_derivative(inputs: np.ndarray) -> np.ndarray:
    return -2 * inputs * np.exp(-(inputs**2))


def absolute(inputs: np.ndarray) -> np.ndarray:
    """|x|: keeps a match and its negative alike (*Deep Learning and Computer Vision* §4.1.2)."""
    return np.abs(inputs)


def absolute_derivative(inputs: np.ndarray) -> np.ndarray:
    """The sign of x; at 0, where there is no derivative, 0."""
    return np.sign(inputs)


TABLE = "*Plain Talk* §2.1.2, table"

CATALOGUE: tuple[Entry, ...] = (
    Entry(
        name="identity",
        function="activations.identity",
        backward="activations.identity_derivative",
        formula=r"f(x)=x",
        derivative=r"f'(x)=1",
        range=r"(-\infty,\infty)",
        fast="torch.nn.Identity",
        source=f"{TABLE}; course notes §1.3.4",
        note="Layers with it compose to one linear layer.",
        span=(-4, 4),
    ),
    Entry(
        name="linear",
        function="activations.linear",
        backward="activations.linear_derivative",
        formula=r"f(x)=ax+b",
        derivative=r"f'(x)=a",
        range=r"(-\infty,\infty)",
        source="*Principles and Practice* eq. 3-1",
        span=(-4, 4),
    ),
    Entry(
        name="bent identity",
        function="activations.bent_identity",
        backward="activations.bent_identity_derivative",
        formula=r"f(x)=\frac{\sqrt{x^2+1}-1}{2}+x",
        derivative=r"f'(x)=\frac{x}{2\sqrt{x^2+1}}+1",
        range=r"(-\infty,\infty)",
        fast="gradus.nn.BentIdentity",
        source=TABLE,
        span=(-4, 4),
    ),
    Entry(
        name="soft exponential",
        function="activations.soft_exponential",
        backward="activations.soft_exponential_derivative",
        formula=r"f(x)=\begin{cases}-\frac{\ln(1-\alpha(x+\alpha))}{\alpha} & \alpha<0 \\ x & \alpha=0 \\ "
        r"\frac{e^{\alpha x}-1}{\alpha}+\alpha & \alpha>0\end{cases}",
        derivative=r"f'(x)=\begin{cases}\frac{1}{1-\alpha(\alpha+x)} & \alpha<0 \\ e^{\alpha x} & \alpha\ge 0\end{cases}",
        range=r"(-\infty,\infty)",
        fast="gradus.nn.SoftExponential",
        source=f"Godfrey and Gashler 2015, eq. 1; {TABLE}",
        note="For negative alpha it exists only above 1/alpha - alpha; the range is bounded below for positive alpha.",
        span=(-3, 3),
    ),
    Entry(
        name="sinusoid",
        function="activations.sinusoid",
        backward="activations.sinusoid_derivative",
        formula=r"f(x)=\sin x",
        derivative=r"f'(x)=\cos x",
        range=r"[-1,1]",
        fast="gradus.nn.Sinusoid",
        source=TABLE,
        span=(-8, 8),
    ),
    Entry(
        name="sinc",
        function="activations.sinc",
        backward="activations.sinc_derivative",
        formula=r"f(x)=\begin{cases}1 & x=0 \\ \frac{\sin x}{x} & x\ne 0\end{cases}",
        derivative=r"f'(x)=\begin{cases}0 & x=0 \\ \frac{\cos x}{x}-\frac{\sin x}{x^2} & x\ne 0\end{cases}",
        range=r"[-0.217234,1]",
        fast="gradus.nn.Sinc",
        source=TABLE,
        note="As scanned, with pi in the denominators. torch.sinc has sin(pi x)/(pi x).",
        span=(-15, 15),
    ),
    Entry(
        name="Gaussian",
        function="activations.gaussian",
        backward="activations.gaussian_derivative",
        formula=r"f(x)=e^{-x^2}",
        derivative=r"f'(x)=-2xe^{-x^2}",
        range=r"(0,1]",
        fast="gradus.nn.Gaussian",
        source=TABLE,
        span=(-4, 4),
    ),
    Entry(
        name="absolute value",
        function="activations.absolute",
        backward="activations.absolute_derivative",
        formula=r"f(x)=|x|",
        derivative=r"f'(x)=\operatorname{sgn}(x)",
        range=r"[0,\infty)",
        fast="gradus.nn.Absolute",
        source="*Deep Learning and Computer Vision* §4.1.2",
        note="No derivative at 0; 0 is used.",
        span=(-4, 4),
    ),
)
