"""Activations that PyTorch lacks, and the table of all by name. The mathematics: `gradus.reference.activations`.

Each acts on every element of a tensor of any shape. Those with learned parameters hold one set a channel, channels being the
second axis, as in `nn.PReLU`: (B, C) or (B, C, ...). channels=1 is one set for all.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from gradus.errors import unknown_name


def _beside(parameter: Tensor, inputs: Tensor) -> Tensor:
    """(..., C) -> (..., C, 1, ..., 1), so that it broadcasts with inputs (B, C, ...)."""
    return parameter.reshape(*parameter.shape, *([1] * (inputs.dim() - 2)))


class ArcTan(nn.Module):
    def forward(self, inputs: Tensor) -> Tensor:
        return torch.atan(inputs)


class BentIdentity(nn.Module):
    """(sqrt(x^2 + 1) - 1)/2 + x."""

    def forward(self, inputs: Tensor) -> Tensor:
        return (torch.sqrt(inputs.square() + 1) - 1) / 2 + inputs


class Sinusoid(nn.Module):
    def forward(self, inputs: Tensor) -> Tensor:
        return torch.sin(inputs)


class Sinc(nn.Module):
    """sin x / x, 1 at 0: `torch.sinc` has pi x in x's place."""

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.sinc(inputs / math.pi)


class Gaussian(nn.Module):
    """e^(-x^2)."""

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.exp(-inputs.square())


class Absolute(nn.Module):
    def forward(self, inputs: Tensor) -> Tensor:
        return inputs.abs()


class ScaledTanh(nn.Module):
    """1.7159 tanh(2x/3): maps 1 to 1 and -1 to -1, with its largest curvature there (LeCun et al. 1998, appendix A)."""

    amplitude = 1.7159
    slope = 2 / 3

    def forward(self, inputs: Tensor) -> Tensor:
        return self.amplitude * torch.tanh(self.slope * inputs)


class HardSigmoid(nn.Module):
    """slope * x + 1/2, cut off at 0 and 1. 0.2 is that of Keras 1 and 2; `nn.Hardsigmoid` has 1/6."""

    def __init__(self, slope: float = 0.2) -> None:
        super().__init__()
        self.slope = slope

    def forward(self, inputs: Tensor) -> Tensor:
        return (self.slope * inputs + 0.5).clamp(0, 1)


class BinaryStep(nn.Module):
    """1 from 0 on, 0 below. Its gradient is made up.

    The true derivative is 0 and would teach nothing. Backward, this hands the gradient through where -1 <= x <= 1 and stops it
    elsewhere, as if it were that straight line (the straight-through estimator of Hubara et al. 2016). So no finite difference
    agrees with it.
    """

    def forward(self, inputs: Tensor) -> Tensor:
        line = inputs.clamp(-1, 1)
        return (inputs >= 0).to(inputs.dtype) + (line - line.detach())


class SoftExponential(nn.Module):
    """From logarithm to exponential with a learned alpha, at first 0, which is the identity (Godfrey and Gashler 2015).

    For negative alpha the logarithm ends at x = 1/alpha - alpha; below it this stays at the value just above, with gradient 0,
    where the formula has none.
    """

    near = 1e-4  # smaller alphas are computed by the series, which has no division
    least = 1e-6  # of what a logarithm is taken

    def __init__(self, channels: int = 1, alpha: float = 0.0) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.full((channels,), float(alpha)))

    def forward(self, inputs: Tensor) -> Tensor:
        alpha = _beside(self.alpha, inputs)
        flat = alpha.abs() < self.near
        divisor = torch.where(flat, torch.ones_like(alpha), alpha)
        exponential = torch.expm1(divisor.clamp(min=0) * inputs) / divisor + divisor
        inside = (-divisor * (inputs + divisor)).clamp(min=self.least - 1)
        curved = torch.where(divisor > 0, exponential, -torch.log1p(inside) / divisor)
        bend = torch.where(flat, inputs, torch.zeros_like(inputs)).square() / 2  # what is not taken must not overflow
        return torch.where(flat, inputs + alpha * (1 + bend), curved)


class SReLU(nn.Module):
    """x between two learned thresholds, lines of learned slopes beyond them (Jin et al. 2016).

    It begins as a leaky ReLU of slope 0.2 with a second corner at 1 that is still straight. Where training has moved the lower
    threshold above the upper one, the lower line holds up to its threshold.
    """

    def __init__(self, channels: int = 1) -> None:
        super().__init__()
        self.left = nn.Parameter(torch.zeros(channels))
        self.left_slope = nn.Parameter(torch.full((channels,), 0.2))
        self.right = nn.Parameter(torch.ones(channels))
        self.right_slope = nn.Parameter(torch.ones(channels))

    def forward(self, inputs: Tensor) -> Tensor:
        left, right = _beside(self.left, inputs), _beside(self.right, inputs)
        below = left + _beside(self.left_slope, inputs) * (inputs - left)
        above = right + _beside(self.right_slope, inputs) * (inputs - right)
        return torch.where(inputs <= left, below, torch.where(inputs >= right, above, inputs))


class APL(nn.Module):
    """max(0, x) + sum over S hinges of a_s max(0, b_s - x), a and b learned (Agostinelli et al. 2015).

    It begins as the ReLU: a = 0, and b spread evenly over -1..1 so that no two hinges stay the same. `slopes` and `offsets`
    hold S numbers a channel, the first hinge's first; they have one dimension, so no penalty of weights reaches them.
    """

    def __init__(self, channels: int = 1, hinges: int = 2) -> None:
        super().__init__()
        self.hinges = hinges
        self.slopes = nn.Parameter(torch.zeros(hinges * channels))
        self.offsets = nn.Parameter(torch.linspace(-1, 1, hinges + 2)[1:-1].repeat_interleave(channels))

    def forward(self, inputs: Tensor) -> Tensor:
        outputs = functional.relu(inputs)
        for slope, offset in zip(self.slopes.chunk(self.hinges), self.offsets.chunk(self.hinges), strict=True):
            outputs = outputs + _beside(slope, inputs) * functional.relu(_beside(offset, inputs) - inputs)
        return outputs


class Maxout(nn.Module):
    """Dense layers side by side, of which each output takes the largest (Goodfellow et al. 2013). (..., n) -> (..., m).

    pieces: how many. The layer has pieces * (n + 1) * m parameters. A layer, not an activation: `activation` does not make it.
    """

    def __init__(self, in_features: int, out_features: int, pieces: int = 2, bias: bool = True) -> None:
        super().__init__()
        self.pieces, self.out_features = pieces, out_features
        self.linear = nn.Linear(in_features, pieces * out_features, bias=bias)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.linear(inputs).unflatten(-1, (self.pieces, self.out_features)).max(dim=-2).values


ACTIVATIONS: dict[str, Callable[..., nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "gelu": nn.GELU,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "absolute": Absolute,
    "apl": APL,
    "arctan": ArcTan,
    "bent_identity": BentIdentity,
    "binary_step": BinaryStep,
    "gaussian": Gaussian,
    "gelu_tanh": partial(nn.GELU, approximate="tanh"),
    "hard_sigmoid": nn.Hardsigmoid,
    "identity": nn.Identity,
    "keras_hard_sigmoid": HardSigmoid,
    "leaky_relu": nn.LeakyReLU,
    "prelu": nn.PReLU,
    "rrelu": nn.RReLU,
    "scaled_tanh": ScaledTanh,
    "sinc": Sinc,
    "sinusoid": Sinusoid,
    "soft_exponential": SoftExponential,
    "softplus": nn.Softplus,
    "softsign": nn.Softsign,
    "srelu": SReLU,
}
LEARNED = ("apl", "prelu", "soft_exponential", "srelu")  # their first argument is the number of channels


def activation(name: str, channels: int = 1) -> nn.Module:
    """A new module of `ACTIVATIONS`. channels: how many sets of parameters the learned ones have.

    Raises UserError for an unknown name.
    """
    if name not in ACTIVATIONS:
        raise unknown_name("activation", name, ACTIVATIONS)
    return ACTIVATIONS[name](channels) if name in LEARNED else ACTIVATIONS[name]()
