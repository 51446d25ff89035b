"""Shortcuts around layers: added (He et al. 2015), projected where shapes differ, gated (Srivastava et al. 2015).

The branch F(x) is any stack of layers; these functions take its value and give back the gradient for it.
"""

from __future__ import annotations

import numpy as np

from gradus.reference.catalogue import Entry
from gradus.reference.convolution import convolution, convolution_backward


def residual(branch: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    """F(x) + x. The activation comes after the sum (first version) or stands in the branch (pre-activation)."""
    if branch.shape != inputs.shape:
        raise ValueError(f"{branch.shape} and {inputs.shape} cannot be added: project the shortcut")
    return branch + inputs


def residual_backward(gradient: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gradients by (branch, inputs): the same to both. The shortcut passes it on whole; the branch's own is added to it."""
    return gradient, gradient


def projection_residual(branch: np.ndarray, inputs: np.ndarray, weight: np.ndarray, stride: int = 1) -> np.ndarray:
    """F(x) + W_s x: a 1x1 convolution (C', C, 1, 1) with the branch's stride. (N, C, H, W) -> (N, C', H', W')."""
    return residual(branch, convolution(inputs, weight, None, stride))


def projection_residual_backward(
    inputs: np.ndarray, weight: np.ndarray, gradient: np.ndarray, stride: int = 1
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients by (branch, inputs, weight). A strided 1x1 convolution never sees the places it skips: their gradient is 0."""
    by_inputs, by_weight, _ = convolution_backward(inputs, weight, gradient, stride)
    return gradient, by_inputs, by_weight


def padded_shortcut(inputs: np.ndarray, channels: int, stride: int = 1) -> np.ndarray:
    """A shortcut to more channels without weights: every `stride`-th place, the new channels 0 (ResNet's option A)."""
    thinned = inputs[:, :, ::stride, ::stride]
    return np.pad(thinned, [(0, 0), (0, channels - thinned.shape[1]), (0, 0), (0, 0)])


def padded_shortcut_backward(inputs: np.ndarray, gradient: np.ndarray, stride: int = 1) -> np.ndarray:
    """The gradient of the old channels, at the places that were kept."""
    spread = np.zeros(inputs.shape)
    spread[:, :, ::stride, ::stride] = gradient[:, : inputs.shape[1]]
    return spread


def _gates(
    inputs: np.ndarray, weight: np.ndarray, bias: np.ndarray, gate_weight: np.ndarray, gate_bias: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(H, T): the transformed inputs and how open the gate is."""
    transformed = np.maximum(inputs @ weight + bias, 0)
    return transformed, 1 / (1 + np.exp(-(inputs @ gate_weight + gate_bias)))


def highway(
    inputs: np.ndarray, weight: np.ndarray, bias: np.ndarray, gate_weight: np.ndarray, gate_bias: np.ndarray
) -> np.ndarray:
    """H T + x (1 - T), H = relu(x W + b), T = sigmoid(x W_T + b_T). inputs (N, n), weights (n, n), biases (n,).

    b_T starts below 0, so that the layer begins as the identity.
    """
    transformed, gate = _gates(inputs, weight, bias, gate_weight, gate_bias)
    return transformed * gate + inputs * (1 - gate)


def highway_backward(
    inputs: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    gate_weight: np.ndarray,
    gate_bias: np.ndarray,
    gradient: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Gradients by (inputs, weight, bias, gate_weight, gate_bias). The kink of the relu at 0 counts as 0."""
    transformed, gate = _gates(inputs, weight, bias, gate_weight, gate_bias)
    by_transform = gradient * gate * (transformed > 0)
    by_gate = gradient * (transformed - inputs) * gate * (1 - gate)
    by_inputs = gradient * (1 - gate) + by_transform @ weight.T + by_gate @ gate_weight.T
    return by_inputs, inputs.T @ by_transform, by_transform.sum(axis=0), inputs.T @ by_gate, by_gate.sum(axis=0)


CATALOGUE: tuple[Entry, ...] = (
    Entry(
        name="identity shortcut",
        function="residual.residual",
        backward="residual.residual_backward",
        formula=r"y = F(x) + x",
        derivative=r"1 + F'(x)",
        fast="+",
        source="He et al. 2016, eq. 1; *Deep Learning and Computer Vision* §4.5.2 eq. 4-9 to 4-11; course notes §4.2.5; "
        "*Plain Talk* ch. 9",
        note="The gradient passes whole only through identity shortcuts: not projections, gates, or a relu after the sum.",
    ),
    Entry(
        name="projection shortcut",
        function="residual.projection_residual",
        backward="residual.projection_residual_backward",
        formula=r"y = F(x) + W_s x",
        derivative=r"W_s^{T} g + F'(x)^{T} g",
        fast="torch.nn.Conv2d(channels, outputs, 1, stride, bias=False)",
        source="He et al. 2016, eq. 2; *Deep Learning with Python* §7.1.4",
        note="Odd sizes: a pool in the branch rounds down, a strided 'same' convolution rounds up, and the sum fails.",
    ),
    Entry(
        name="padded shortcut",
        function="residual.padded_shortcut",
        backward="residual.padded_shortcut_backward",
        formula=r"y = F(x) + [x_{::s}, 0]",
        fast="torch.nn.functional.pad",
        source="He et al. 2016, option A",
    ),
    Entry(
        name="highway layer",
        function="residual.highway",
        backward="residual.highway_backward",
        formula=r"y = H(x)\, T(x) + x\, (1 - T(x)),\quad T(x) = \sigma(x W_T + b_T)",
        fast="gradus.nn.Highway",
        source="Srivastava et al. 2015, eq. 3; *Deep Learning and Computer Vision* §4.5.3",
        note="The chapter calls a residual unit a special case: with the one gate of this formula it is so only up to a factor "
        "(T = 1/2 gives half of it); with two gates, H T + x C, it is T = C = 1.",
    ),
)
