"""Derivatives by differences, and what can be found with derivatives: roots, minima, mistakes in a backward pass.

Points are numbers or arrays of any shape. A derivative by differences needs two values of the function for every number of the
point, so it checks a backward pass and does not train (*Plain Talk* §4.2, §7.3 suggest that frameworks train this way).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from gradus.reference.catalogue import Entry

Scalar = Callable[[np.ndarray], float]


def forward_difference(function: Callable[[float], float], point: float, step: float = 1e-3) -> float:
    """(f(x + h) - f(x)) / h; its error is h f''/2. *Plain Talk* §7.3 prints Loss(w + Δ) - Loss(x): both at w."""
    return (function(point + step) - function(point)) / step


def central_difference(function: Callable[[float], float], point: float, step: float = 1e-6) -> float:
    """(f(x + h) - f(x - h)) / 2h; its error is h^2 f'''/6, and about 1e-16 f / h of rounding."""
    return (function(point + step) - function(point - step)) / (2 * step)


def second_difference(function: Callable[[float], float], point: float, step: float = 1e-4) -> float:
    """(f(x + h) - 2 f(x) + f(x - h)) / h^2: the curvature. The gradient is the slope (*Deep Learning with Python* §2.4.2)."""
    return (function(point + step) - 2 * function(point) + function(point - step)) / step**2


def gradient(function: Scalar, point: np.ndarray, step: float = 1e-6) -> np.ndarray:
    """The derivative of f by each number of the point, by central differences; of the shape of the point."""
    point = np.asarray(point, dtype=float)
    slopes = np.zeros_like(point)
    for index in np.ndindex(point.shape):
        ahead, behind = point.copy(), point.copy()
        ahead[index] += step
        behind[index] -= step
        slopes[index] = (function(ahead) - function(behind)) / (2 * step)
    return slopes


def jacobian(function: Callable[[np.ndarray], np.ndarray], point: np.ndarray, step: float = 1e-6) -> np.ndarray:
    """The derivative of each output by each input: outputs (m), point (n) -> (m, n), by central differences."""
    point = np.asarray(point, dtype=float)
    columns = []
    for number in range(point.size):
        shift = np.zeros_like(point)
        shift[number] = step
        columns.append((np.asarray(function(point + shift)) - np.asarray(function(point - shift))) / (2 * step))
    return np.stack(columns, axis=-1)


def hessian(function: Scalar, point: np.ndarray, step: float = 1e-4) -> np.ndarray:
    """The second derivatives (n, n): the Jacobian of the gradient, made symmetric."""
    second = jacobian(lambda place: gradient(function, place, step), point, step)
    return (second + second.T) / 2


def product_derivative(f: Callable, f_derivative: Callable, g: Callable, g_derivative: Callable) -> Callable:
    """(f g)' = f' g + f g'. *Plain Talk* §4.2 derives it with g(x) f(x + Δ) added and taken away; the Δ behind it is stray."""
    return lambda x: f_derivative(x) * g(x) + f(x) * g_derivative(x)


def chain_derivative(functions: list[Callable], derivatives: list[Callable]) -> Callable:
    """Of f_1(f_2(... f_n(x))): the product of f_i' at what f_i is given. Functions from the outermost to the innermost."""

    def derivative(x: float) -> float:
        value, product = x, 1.0
        for function, slope in zip(reversed(functions), reversed(derivatives), strict=True):
            product *= slope(value)
            value = function(value)
        return product

    return derivative


def newton(
    function: Callable[[float], float], derivative: Callable[[float], float], start: float, steps: int = 20
) -> np.ndarray:
    """A root of f: x - f(x) / f'(x), where the tangent meets the axis. The path (steps + 1,); it ends early where f' is 0."""
    path = [float(start)]
    for _ in range(steps):
        slope = derivative(path[-1])
        if slope == 0:
            break
        path.append(path[-1] - function(path[-1]) / slope)
    return np.array(path)


def newton_minimizer(
    gradient: Callable[[np.ndarray], np.ndarray],
    hessian: Callable[[np.ndarray], np.ndarray],
    start: np.ndarray,
    steps: int = 20,
) -> np.ndarray:
    """A root of the gradient: x - H^-1 g. One step suffices on a bowl; it also goes to a saddle or a top. (steps + 1, n)."""
    path = [np.asarray(start, dtype=float)]
    for _ in range(steps):
        path.append(path[-1] - np.linalg.solve(hessian(path[-1]), gradient(path[-1])))
    return np.stack(path)


def nudge(function: Scalar, start: np.ndarray | float, step: float = 0.2, most: int = 1000) -> np.ndarray:
    """Tries each number of the point a step up and down and goes to the lowest, until none is lower (*Plain Talk* §4.2).

    2 n values a move, and no step is longer than the first: on x^2 + 2 from 3, 15 moves of 0.2. The path (moves + 1, ...).
    """
    path = [np.asarray(start, dtype=float)]
    value = function(path[0])
    for _ in range(most):
        shifts = step * np.eye(path[0].size).reshape(-1, *path[0].shape)
        places = [path[-1] + sign * shift for shift in shifts for sign in (1, -1)]
        values = [function(place) for place in places]
        best = int(np.argmin(values))
        if values[best] >= value:
            break
        path.append(places[best])
        value = values[best]
    return np.stack(path)


def limited_memory_bfgs(
    function: Scalar, gradient: Callable[[np.ndarray], np.ndarray], start: np.ndarray, steps: int = 50, memory: int = 10
) -> np.ndarray:
    """L-BFGS: Newton's step with a Hessian guessed from the last `memory` steps and changes of gradient. The path (k + 1, n).

    Nocedal and Wright 2006, algorithms 7.4 and 7.5. It ends where no step makes the value fall.
    """
    path = [np.asarray(start, dtype=float)]
    slope = gradient(path[0])
    pairs: list[tuple[np.ndarray, np.ndarray]] = []
    for _ in range(steps):
        direction = -_two_loops(slope, pairs)
        length = _wolfe_length(function, gradient, path[-1], direction)
        if length is None:
            break
        path.append(path[-1] + length * direction)
        change, slope = gradient(path[-1]) - slope, gradient(path[-1])
        pairs = [*pairs, (path[-1] - path[-2], change)][-memory:]
    return np.stack(path)


def _wolfe_length(function: Scalar, gradient: Callable, point: np.ndarray, direction: np.ndarray) -> float | None:
    """A length of step after which the value is lower and the slope flatter by enough, found by doubling and halving.

    Wolfe's two conditions; the second makes (step) (change of gradient) > 0, without which the guess would be spoilt.
    """
    value, slope = function(point), float(gradient(point) @ direction)
    shortest, longest, length = 0.0, np.inf, 1.0
    for _ in range(60):
        place = point + length * direction
        if not function(place) < value + 1e-4 * length * slope:
            longest = length
        elif gradient(place) @ direction < 0.9 * slope:
            shortest = length
        else:
            return length
        length = (shortest + longest) / 2 if np.isfinite(longest) else 2 * shortest
    return None


def _two_loops(slope: np.ndarray, pairs: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """The guessed inverse Hessian times the gradient, from pairs (step, change of gradient), oldest first."""
    result, factors = slope.copy(), []
    for moved, change in reversed(pairs):
        factors.append((moved @ result) / (change @ moved))
        result = result - factors[-1] * change
    if pairs:
        moved, change = pairs[-1]
        result = result * (moved @ change) / (change @ change)
    for (moved, change), factor in zip(pairs, reversed(factors), strict=True):
        result = result + moved * (factor - (change @ result) / (change @ moved))
    return result


def relative_error(first: np.ndarray, second: np.ndarray) -> float:
    """|a - b| / (|a| + |b|), lengths of vectors: 0 for equal, 1 for opposite; 0 where both are 0."""
    total = float(np.linalg.norm(first) + np.linalg.norm(second))
    return float(np.linalg.norm(np.asarray(first) - second)) / total if total else 0.0


def gradient_check(
    loss: Callable[[dict[str, np.ndarray]], float],
    gradients: Mapping[str, np.ndarray],
    parameters: Mapping[str, np.ndarray],
    step: float = 1e-7,
) -> dict[str, float]:
    """Relative errors of hand-derived gradients against central differences, by parameter, and of "all" of them as one vector.

    Course notes §2.1.8; what to think of an error says `verdict`. Not while training (slow), with the penalty in the loss, with
    dropout off, and again after some training. At a kink, as ReLU's at 0, the differences are wrong, not the gradient.
    """
    numeric = {}
    for name, value in parameters.items():
        numeric[name] = gradient(partial(_loss_with, loss, parameters, name), value, step)
    errors = {name: relative_error(gradients[name], numeric[name]) for name in parameters}
    both = [np.concatenate([np.ravel(side[name]) for name in parameters]) for side in (gradients, numeric)]
    return {**errors, "all": relative_error(*both)}


def _loss_with(loss: Callable, parameters: Mapping[str, np.ndarray], name: str, value: np.ndarray) -> float:
    return loss({**parameters, name: value})


def verdict(error: float) -> str:
    """ "right" below 1e-6, "look" to 1e-3, "wrong" above: of float64 gradients, with the step 1e-7 (course notes §2.1.8).

    The usual words are: 1e-7 is right, 1e-5 asks for a look, 1e-3 is a mistake. Rounding alone gives a few 1e-7.
    """
    return "right" if error < 1e-6 else "look" if error < 1e-3 else "wrong"


def convolution(
    f: Callable[[np.ndarray], np.ndarray],
    g: Callable[[np.ndarray], np.ndarray],
    places: np.ndarray,
    lower: float,
    upper: float,
    pieces: int = 2000,
) -> np.ndarray:
    """h(x) = integral of f(t) g(x - t) dt: g turned round, shifted by x, laid over f.

    Added up at the midpoints of `pieces` pieces of f's support, lower to upper.
    *Plain Talk* §6.2 calls its g a square pulse but defines a ramp, t on [1, 2]; and the integral is definite.
    """
    width = (upper - lower) / pieces
    middles = lower + width * (np.arange(pieces) + 0.5)
    return np.array([(f(middles) * g(place - middles)).sum() * width for place in np.atleast_1d(places)])


def _entry(name: str, function: str, formula: str, source: str, note: str = "", fast: str = "") -> Entry:
    return Entry(name=name, function=f"calculus.{function}", formula=formula, source=source, note=note, fast=fast)


CATALOGUE: tuple[Entry, ...] = (
    _entry(
        "forward difference",
        "forward_difference",
        r"\frac{f(x + h) - f(x)}{h}",
        "*Plain Talk* §4.2; *Deep Learning with Python* §2.4.1",
        "x² + 2 at 4 with h = 0.001: 8.001",
    ),
    _entry("central difference", "central_difference", r"\frac{f(x + h) - f(x - h)}{2 h}", "course notes §2.1.8"),
    _entry(
        "second difference",
        "second_difference",
        r"\frac{f(x + h) - 2 f(x) + f(x - h)}{h^2}",
        "*Deep Learning with Python* §2.4.2",
        "the curvature; the gradient is the slope",
    ),
    _entry(
        "gradient",
        "gradient",
        r"\nabla f = \left(\frac{\partial f}{\partial x_1}, \ldots, \frac{\partial f}{\partial x_n}\right)",
        "*Plain Talk* §4.2; *Principles and Practice* §2.3.1",
        fast="torch.autograd.grad",
    ),
    _entry(
        "Jacobian",
        "jacobian",
        r"J_{ij} = \frac{\partial f_i}{\partial x_j}",
        "Nocedal and Wright 2006, A.2",
        fast="torch.func.jacrev",
    ),
    _entry(
        "Hessian",
        "hessian",
        r"H_{ij} = \frac{\partial^2 f}{\partial x_i \partial x_j}",
        "Nocedal and Wright 2006, A.2",
        fast="torch.func.hessian",
    ),
    _entry("product rule", "product_derivative", r"(f g)' = f' g + f g'", "*Plain Talk* §4.2"),
    _entry(
        "chain rule",
        "chain_derivative",
        r"(f(g(x)))' = f'(g(x)) g'(x)",
        "*Plain Talk* §4.2; *Deep Learning with Python* §2.4.4",
    ),
    _entry("Newton's root finder", "newton", r"x \leftarrow x - \frac{f(x)}{f'(x)}", "*Plain Talk* §4.2"),
    _entry(
        "Newton's minimiser",
        "newton_minimizer",
        r"x \leftarrow x - H^{-1} \nabla f",
        "*Plain Talk* §4.2 (several dimensions)",
        "it goes to saddles and tops as well",
    ),
    _entry(
        "nudge search",
        "nudge",
        r"x \leftarrow \text{argmin}_{\pm, i} f(x \pm s e_i)",
        "*Plain Talk* §4.2; *Deep Learning with Python* §2.4",
        "two values of f for every weight and move",
    ),
    _entry(
        "L-BFGS",
        "limited_memory_bfgs",
        r"x \leftarrow x - \eta \hat H^{-1} \nabla f",
        "Nocedal and Wright 2006, algorithm 7.5; *Principles and Practice* listing 6-27",
        fast="torch.optim.LBFGS",
    ),
    _entry(
        "gradient check",
        "gradient_check",
        r"\frac{\|g - \hat g\|}{\|g\| + \|\hat g\|}",
        "course notes §2.1.8, §2.1.11",
        fast="torch.autograd.gradcheck",
    ),
    _entry(
        "convolution of two functions",
        "convolution",
        r"h(x) = \int f(t) g(x - t) dt",
        "*Plain Talk* §6.2",
        "a network's convolution does not turn g round",
    ),
)
