"""A noisy wave, and models that fit it: polynomials with a penalty, and a small network. What `regularisation` draws."""

from __future__ import annotations

import numpy as np

from gradus.lessons.network import Layers, backward, draw_layers, flatten, forward, unflatten, xavier
from gradus.reference.penalties import elastic_penalty_backward, max_norm

NOISE, DEGREE, STEPS = 0.25, 15, 1500


def truth(x: np.ndarray) -> np.ndarray:
    """The curve that the points were taken from."""
    return np.sin(4 * x)


def draw_points(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """x in -1..1 and noisy values. (count,) each"""
    generator = np.random.default_rng(seed)
    x = generator.uniform(-1, 1, count)
    return x, truth(x) + generator.normal(0, NOISE, count)


TRAIN, VALIDATION, TEST = draw_points(20, 0), draw_points(100, 1), draw_points(1000, 2)


def basis(x: np.ndarray, degree: int = DEGREE) -> np.ndarray:
    """Legendre polynomials of degree 1 .. degree: the same curves as powers of x, but far from being alike. (N, degree)"""
    return np.polynomial.legendre.legvander(x, degree)[:, 1:]


def error(predicted: np.ndarray, values: np.ndarray) -> float:
    """Root mean squared error."""
    return float(np.sqrt(((predicted - values) ** 2).mean()))


def ridge(
    strength: float, degree: int = DEGREE, points: tuple[np.ndarray, np.ndarray] = TRAIN
) -> tuple[np.ndarray, float]:
    """(weights, bias) that minimise mean squared error + strength * sum w², in closed form; the bias is free."""
    columns = basis(points[0], degree)
    centre, mean = columns.mean(axis=0), points[1].mean()
    centred = columns - centre
    normal = centred.T @ centred + len(points[0]) * strength * np.eye(degree)
    weights = np.linalg.lstsq(normal, centred.T @ (points[1] - mean), rcond=None)[0]
    return weights, float(mean - centre @ weights)


def lasso(strength: float, sweeps: int = 400) -> tuple[np.ndarray, float]:
    """(weights, bias) that minimise mean squared error + strength * sum |w|, one coordinate at a time.

    Along one weight the loss is a parabola plus an absolute value; its minimum is zero if the parabola's slope there is
    less than the penalty's. That is where exact zeros come from.
    """
    columns = basis(TRAIN[0])
    centre, mean = columns.mean(axis=0), TRAIN[1].mean()
    centred = columns - centre
    squares = (centred**2).mean(axis=0)
    weights, residual = np.zeros(DEGREE), TRAIN[1] - mean
    for _ in range(sweeps):
        for j in range(DEGREE):
            pull = (centred[:, j] * residual).mean() + squares[j] * weights[j]
            new = np.sign(pull) * max(abs(pull) - strength / 2, 0) / squares[j]
            residual += centred[:, j] * (weights[j] - new)
            weights[j] = new
    return weights, float(mean - centre @ weights)


def curve(fit: tuple[np.ndarray, float], x: np.ndarray) -> np.ndarray:
    """Values of a fitted polynomial."""
    weights, bias = fit
    return basis(x, len(weights)) @ weights + bias


def train_curve(
    *,
    l1: float = 0.0,
    l2: float = 0.0,
    largest: float = 0.0,
    drop: float = 0.0,
    stop: bool = False,
    count: int = 20,
    steps: int = STEPS,
) -> tuple[Layers, int]:
    """A 1-50-50-1 tanh network by Adam on squared error, with the penalty asked for: (layers, best or last step).

    stop: return the weights of the step with the smallest validation error, looked at every 25 steps
    """
    generator = np.random.default_rng(3)
    x, values = TRAIN if count == len(TRAIN[0]) else draw_points(count, 4)
    layers = draw_layers((1, 50, 50, 1), xavier, generator)
    layers[0] = (3 * layers[0][0], generator.uniform(-2, 2, 50))
    is_weight = flatten([(np.ones_like(w), np.zeros_like(b)) for w, b in layers])
    weights, mean, square = flatten(layers), 0.0, 0.0
    best, kept, when = np.inf, weights, steps
    for step in range(1, steps + 1):
        masks = [(generator.random((len(x), 50)) < 1 - drop) / (1 - drop) for _ in range(2)] if drop else None
        layers = unflatten(weights, layers)
        sums, outputs = forward(layers, x[:, None], "tanh", masks)
        slope = 2 * (sums[-1] - values[:, None]) / len(x)
        gradient = flatten(backward(layers, sums, outputs, slope, "tanh", masks))
        gradient = gradient + is_weight * elastic_penalty_backward(weights, l1, l2)
        mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
        weights = weights - 0.01 * mean / (1 - 0.9**step) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
        if largest:
            weights = flatten([(max_norm(w.T, largest).T, b) for w, b in unflatten(weights, layers)])
        if (
            stop
            and step % 25 == 0
            and (now := error(values_of(unflatten(weights, layers), VALIDATION[0]), VALIDATION[1])) < best
        ):
            best, kept, when = now, weights, step
    return unflatten(kept if stop else weights, layers), when


def values_of(layers: Layers, x: np.ndarray) -> np.ndarray:
    """What the network says at x. (N,)"""
    return forward(layers, x[:, None], "tanh")[0][-1][:, 0]
