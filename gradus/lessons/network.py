"""A small dense network in NumPy, for lessons that look inside one. Not a lesson.

Batch first: inputs (N, n) @ weight (n, m) + bias (m,). The last layer is linear: its sums are the logits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from gradus.reference import activations

Layers = list[tuple[np.ndarray, np.ndarray]]  # of each layer: weight (n, m), bias (m,)
Masks = Sequence[np.ndarray]  # of each hidden layer: what its outputs are multiplied by, (N, m)


def draw_layers(sizes: Sequence[int], deviation: Callable[[int], float], generator: np.random.Generator) -> Layers:
    """Normal weights of standard deviation `deviation(fan-in)`, biases of zero."""
    return [(deviation(n) * generator.normal(size=(n, m)), np.zeros(m)) for n, m in pairwise(sizes)]


def he(fan_in: int) -> float:
    """sqrt(2 / n): keeps the size of a ReLU layer's outputs (He et al. 2015)."""
    return float(np.sqrt(2 / fan_in))


def xavier(fan_in: int) -> float:
    """sqrt(1 / n): keeps the size of a tanh layer's outputs near zero."""
    return float(np.sqrt(1 / fan_in))


def forward(
    layers: Layers, inputs: np.ndarray, activation: str = "relu", masks: Masks | None = None
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """(sums, outputs): the sums of every layer, and what went into every layer, so outputs[0] is `inputs`."""
    squash = getattr(activations, activation)
    sums, outputs = [], [inputs]
    for index, (weight, bias) in enumerate(layers):
        sums.append(outputs[-1] @ weight + bias)
        if index < len(layers) - 1:
            passed = squash(sums[-1])
            outputs.append(passed if masks is None else passed * masks[index])
    return sums, outputs


def backward(
    layers: Layers,
    sums: list[np.ndarray],
    outputs: list[np.ndarray],
    gradient: np.ndarray,
    activation: str = "relu",
    masks: Masks | None = None,
) -> Layers:
    """The gradients by every weight and bias, given the gradient by the last sums."""
    slope = getattr(activations, f"{activation}_derivative")
    gradients = []
    for index in reversed(range(len(layers))):
        gradients.append((outputs[index].T @ gradient, gradient.sum(axis=0)))
        if index:
            gradient = gradient @ layers[index][0].T
            if masks is not None:
                gradient = gradient * masks[index - 1]
            gradient = gradient * slope(sums[index - 1])
    return gradients[::-1]


def logit(layers: Layers, activation: str = "relu") -> Callable[[np.ndarray], np.ndarray]:
    """The network as a function of points, (N, n) -> (N,): above zero it says class 1."""
    return lambda points: forward(layers, points, activation)[0][-1][:, 0]


def logistic_loss(logits: np.ndarray, labels: np.ndarray) -> float:
    """Mean binary cross-entropy. logits (N, 1), labels (N,) of 0 and 1."""
    return float((np.logaddexp(0, logits[:, 0]) - labels * logits[:, 0]).mean())


def logistic_gradient(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(a - y) / N, the gradient of `logistic_loss` by the logits. (N, 1)"""
    return (activations.sigmoid(logits) - labels[:, None]) / len(labels)


def accuracy(layers: Layers, inputs: np.ndarray, labels: np.ndarray, activation: str = "relu") -> float:
    """The share of rows on the right side of probability one half. Exactly one half counts as class 0."""
    return float(((forward(layers, inputs, activation)[0][-1][:, 0] > 0) == labels).mean())


def descend(
    layers: Layers, inputs: np.ndarray, labels: np.ndarray, rate: float, steps: int, activation: str = "relu"
) -> tuple[Layers, np.ndarray]:
    """Gradient descent on the mean cross-entropy of all rows: (layers, loss before each step)."""
    losses = np.empty(steps)
    for step in range(steps):
        sums, outputs = forward(layers, inputs, activation)
        losses[step] = logistic_loss(sums[-1], labels)
        gradients = backward(layers, sums, outputs, logistic_gradient(sums[-1], labels), activation)
        layers = [(w - rate * dw, b - rate * db) for (w, b), (dw, db) in zip(layers, gradients, strict=True)]
    return layers, losses


def flatten(layers: Layers) -> np.ndarray:
    """All numbers of all layers in one vector."""
    return np.concatenate([part.ravel() for pair in layers for part in pair])


def unflatten(vector: np.ndarray, like: Layers) -> Layers:
    """The inverse of `flatten`, by the shapes of `like`."""
    layers, start = [], 0
    for weight, bias in like:
        middle, end = start + weight.size, start + weight.size + bias.size
        layers.append((vector[start:middle].reshape(weight.shape), vector[middle:end]))
        start = end
    return layers
