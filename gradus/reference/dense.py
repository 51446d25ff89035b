"""The dense (fully connected) layer and what only moves numbers: flatten, concatenate. Rows are examples.

inputs (N, n) @ weight (n, m) + bias (m,). The course notes put examples in columns, Z = W A + b with W (m, n): the same layer,
transposed, and their dW carries the 1/m of a mean over examples, which here is in the gradient that comes in.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gradus.reference.catalogue import Entry


def neuron(inputs: np.ndarray, weight: np.ndarray, bias: float = 0.0) -> float:
    """w . x + b of one example: inputs and weight (n,). Its activation comes after."""
    return float(sum(w * x for w, x in zip(weight, inputs, strict=True)) + bias)


def dense_loops(inputs: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """The definition: z_j = sum_i w_ij x_i + b_j, one neuron at a time. (N, n), (n, m), (m,) -> (N, m)."""
    outputs = np.empty((len(inputs), weight.shape[1]))
    for row, example in enumerate(inputs):
        for unit in range(weight.shape[1]):
            outputs[row, unit] = neuron(example, weight[:, unit], bias[unit])
    return outputs


def dense(inputs: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
    """inputs (N, n) @ weight (n, m) + bias (m,)."""
    outputs = inputs @ weight
    return outputs if bias is None else outputs + bias


def dense_backward(
    inputs: np.ndarray, weight: np.ndarray, gradient: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients by (inputs, weight, bias): G W^T, X^T G and the sum of G over the examples, G being (N, m)."""
    return gradient @ weight.T, inputs.T @ gradient, gradient.sum(axis=0)


def add_bias_backward(gradient: np.ndarray) -> np.ndarray:
    """Gradient by a bias (C,) that was added to every example and place of (N, C, ...)."""
    return gradient.sum(axis=(0, *range(2, gradient.ndim)))


def flatten(inputs: np.ndarray) -> np.ndarray:
    """(N, ...) -> (N, product): the last axis runs fastest. (1, 40, 7, 7) -> (1, 1960)."""
    return inputs.reshape(len(inputs), -1)


def flatten_backward(inputs: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """The gradient in the shape of the inputs."""
    return gradient.reshape(inputs.shape)


def concatenate(parts: Sequence[np.ndarray], axis: int = 1) -> np.ndarray:
    """Feature maps side by side: (N, C1, H, W), (N, C2, H, W), ... -> (N, C1 + C2 + ..., H, W)."""
    return np.concatenate(parts, axis=axis)


def concatenate_backward(parts: Sequence[np.ndarray], gradient: np.ndarray, axis: int = 1) -> list[np.ndarray]:
    """The slice of the gradient that belongs to each part."""
    ends = np.cumsum([part.shape[axis] for part in parts])
    return np.split(gradient, ends[:-1], axis=axis)


CATALOGUE: tuple[Entry, ...] = (
    Entry(
        name="artificial neuron",
        function="dense.neuron",
        formula=r"z = \sum_{i=1}^{n} w_i x_i + b",
        derivative=r"\frac{\partial z}{\partial w_i} = x_i,\quad \frac{\partial z}{\partial x_i} = w_i",
        range=r"$(-\infty, \infty)$",
        fast="torch.nn.Linear(n, 1)",
        source="Rosenblatt 1958; *Principles and Practice* §2.1.2 eq. 2-1; *Plain Talk* §2.1.1",
        note="*Plain Talk* §2.1.1 adds its five terms wrongly: its two customers score 76.1 and 44.6, not 44.7 and 51.6, "
        "so that the first is the better one.",
    ),
    Entry(
        name="dense (fully connected) layer",
        function="dense.dense",
        backward="dense.dense_backward",
        formula=r"Z = X W + b,\quad X \in \mathbb{R}^{N \times n},\ W \in \mathbb{R}^{n \times m}",
        derivative=r"\nabla X = G W^{T},\quad \nabla W = X^{T} G,\quad \nabla b = \sum_{k} G_{k}",
        range=r"$(-\infty, \infty)$",
        fast="torch.nn.Linear",
        source="*Principles and Practice* §2.3.2 eq. 2-6, 2-7, §4.1.2; *Deep Learning with Python* §2.3.3; course notes §1.3.2",
        note="Examples are rows. *Deep Learning with Python* writes dot(W, input): with its own shapes only dot(input, W) "
        "is possible. *Principles and Practice* has the sums of eq. 2-6 with every row at w_i1: it is w_ij in row j.",
    ),
    Entry(
        name="flatten",
        function="dense.flatten",
        backward="dense.flatten_backward",
        formula=r"(N, C, H, W) \to (N, C H W)",
        fast="torch.nn.Flatten",
        source="*Principles and Practice* §4.6.2; course notes §4.1.10; *Deep Learning with Python* §5.1",
        note="Channels first gives another order of the numbers than channels last: weights do not carry over unchanged.",
    ),
    Entry(
        name="concatenate",
        function="dense.concatenate",
        backward="dense.concatenate_backward",
        formula=r"(N, C_1, H, W), (N, C_2, H, W) \to (N, C_1 + C_2, H, W)",
        fast="torch.cat",
        source="*Principles and Practice* listing 4-14; course notes §4.2.8; *Deep Learning with Python* §7.1.4",
        note="All but the joined axis must agree: the Inception listing of *Deep Learning with Python* lacks 'same' padding.",
    ),
)
