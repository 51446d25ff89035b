"""One update of every optimiser: `name(weights, gradient, state, *, learning_rate, ...) -> new weights`.

`state` begins as {} and is changed in place; nothing else is. Below g is the gradient, w the weights, η the learning rate, and
t the number of the update, from 1. Weights and gradient have one shape, any. `descend` repeats an update along a function;
`minibatches` cuts an epoch into batches. What is done to gradients besides is in `gradients`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from gradus.reference.catalogue import Entry
from gradus.reference.gradients import decay_weights

State = dict[str, Any]


def _kept(state: State, name: str, weights: np.ndarray) -> np.ndarray:
    return state.get(name, np.zeros_like(weights))


def _count(state: State) -> int:
    state["updates"] = state.get("updates", 0) + 1
    return state["updates"]


def _root(square: np.ndarray, epsilon: float, inside: bool) -> np.ndarray:
    """sqrt(s) + epsilon, or sqrt(s + epsilon) as the course notes have it (with 1e-8 inside, 1e-4 in its effect)."""
    return np.sqrt(square + epsilon) if inside else np.sqrt(square) + epsilon


def gradient_descent(weights: np.ndarray, gradient: np.ndarray, state: State, *, learning_rate: float) -> np.ndarray:
    """w - η g (*Principles and Practice* eq. 2-5). The gradient is the slope, neither the step taken nor the curvature."""
    return weights - learning_rate * gradient


def gradient_ascent(weights: np.ndarray, gradient: np.ndarray, state: State, *, learning_rate: float) -> np.ndarray:
    """w + η g: up the hill, for pictures that excite a filter (*Principles and Practice* eq. 6-1)."""
    return weights + learning_rate * gradient


def momentum(
    weights: np.ndarray, gradient: np.ndarray, state: State, *, learning_rate: float, coefficient: float = 0.9
) -> np.ndarray:
    """v = μ v - η g; w + v (Polyak 1964). *Principles and Practice* eq. 3-18 prints w = μ w - η g, which has no velocity.

    torch.optim.SGD keeps v = μ v + g and takes η v: the same path while η does not change. Its `dampening` = μ starts with v = g,
    not (1 - μ) g, so it is `averaged_momentum` but for the first gradient, whose share 1 fades as μ^t.
    """
    state["velocity"] = coefficient * _kept(state, "velocity", weights) - learning_rate * gradient
    return weights + state["velocity"]


def averaged_momentum(
    weights: np.ndarray, gradient: np.ndarray, state: State, *, learning_rate: float, coefficient: float = 0.9
) -> np.ndarray:
    """v = k v + (1 - k) g; w - η v (course notes §2.2.5): classical momentum of the rate (1 - k) η."""
    state["velocity"] = coefficient * _kept(state, "velocity", weights) + (1 - coefficient) * gradient
    return weights - learning_rate * state["velocity"]


def nesterov(
    weights: np.ndarray, gradient: np.ndarray, state: State, *, learning_rate: float, coefficient: float = 0.9
) -> np.ndarray:
    """v = μ v - η g; w + μ v - η g. Nesterov's (1983) step, written at the point looked ahead to (Sutskever et al. 2013).

    This is the listing in *Deep Learning with Python* §2.4.3, which calls it momentum (and takes 0.1; 0.9 is customary).
    """
    state["velocity"] = coefficient * _kept(state, "velocity", weights) - learning_rate * gradient
    return weights + coefficient * state["velocity"] - learning_rate * gradient


def adagrad(
    weights: np.ndarray, gradient: np.ndarray, state: State, *, learning_rate: float = 0.01, epsilon: float = 1e-10
) -> np.ndarray:
    """s = s + g^2; w - η g / (sqrt(s) + ε) (Duchi et al. 2011): each weight's own rate, which only falls."""
    state["square"] = _kept(state, "square", weights) + gradient**2
    return weights - learning_rate * gradient / (np.sqrt(state["square"]) + epsilon)


def adadelta(
    weights: np.ndarray,
    gradient: np.ndarray,
    state: State,
    *,
    learning_rate: float = 1.0,
    decay: float = 0.9,
    epsilon: float = 1e-6,
) -> np.ndarray:
    """The change g sqrt(d + ε) / sqrt(s + ε), s and d averages of g^2 and of the changes^2 (Zeiler 2012, algorithm 1).

    The paper has no learning rate (1), and its epsilons stand inside the roots: without them the first step would be 0.
    """
    state["square"] = decay * _kept(state, "square", weights) + (1 - decay) * gradient**2
    change = gradient * np.sqrt(_kept(state, "change", weights) + epsilon) / np.sqrt(state["square"] + epsilon)
    state["change"] = decay * _kept(state, "change", weights) + (1 - decay) * change**2
    return weights - learning_rate * change


def rmsprop(
    weights: np.ndarray,
    gradient: np.ndarray,
    state: State,
    *,
    learning_rate: float = 0.001,
    decay: float = 0.9,
    epsilon: float = 1e-8,
    coefficient: float = 0.0,
    epsilon_inside: bool = False,
) -> np.ndarray:
    """s = k s + (1 - k) g^2; v = μ v + g / (sqrt(s) + ε); w - η v (Tieleman and Hinton 2012). μ = 0: no momentum.

    epsilon_inside: sqrt(s + ε), as the course notes §2.2.6 print it.
    """
    state["square"] = decay * _kept(state, "square", weights) + (1 - decay) * gradient**2
    scaled = gradient / _root(state["square"], epsilon, epsilon_inside)
    state["velocity"] = coefficient * _kept(state, "velocity", weights) + scaled
    return weights - learning_rate * state["velocity"]


def adam(
    weights: np.ndarray,
    gradient: np.ndarray,
    state: State,
    *,
    learning_rate: float = 0.001,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    epsilon_inside: bool = False,
) -> np.ndarray:
    """v = β1 v + (1 - β1) g; s = β2 s + (1 - β2) g^2; w - η v̂ / (sqrt(ŝ) + ε) (Kingma and Ba 2015, algorithm 1).

    v̂ = v / (1 - β1^t) and ŝ = s / (1 - β2^t) undo the start at 0. epsilon_inside: sqrt(ŝ + ε), as the course notes §2.2.7.
    """
    step = _count(state)
    state["mean"] = beta1 * _kept(state, "mean", weights) + (1 - beta1) * gradient
    state["square"] = beta2 * _kept(state, "square", weights) + (1 - beta2) * gradient**2
    mean, square = state["mean"] / (1 - beta1**step), state["square"] / (1 - beta2**step)
    return weights - learning_rate * mean / _root(square, epsilon, epsilon_inside)


def adamw(
    weights: np.ndarray,
    gradient: np.ndarray,
    state: State,
    *,
    learning_rate: float = 0.001,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    weight_decay: float = 0.01,
) -> np.ndarray:
    """Adam, and apart from it w - η λ w (Loshchilov and Hutter 2019, algorithm 2): the decay is not divided by sqrt(ŝ)."""
    shrunk = decay_weights(weights, learning_rate, weight_decay)
    return adam(shrunk, gradient, state, learning_rate=learning_rate, beta1=beta1, beta2=beta2, epsilon=epsilon)


def amsgrad(
    weights: np.ndarray,
    gradient: np.ndarray,
    state: State,
    *,
    learning_rate: float = 0.001,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
) -> np.ndarray:
    """Adam with the largest s so far in the place of s, so that no weight's rate rises again (Reddi et al. 2018)."""
    step = _count(state)
    state["mean"] = beta1 * _kept(state, "mean", weights) + (1 - beta1) * gradient
    state["square"] = beta2 * _kept(state, "square", weights) + (1 - beta2) * gradient**2
    state["largest"] = np.maximum(_kept(state, "largest", weights), state["square"])
    root = np.sqrt(state["largest"] / (1 - beta2**step)) + epsilon
    return weights - learning_rate * state["mean"] / (1 - beta1**step) / root


def adamax(
    weights: np.ndarray,
    gradient: np.ndarray,
    state: State,
    *,
    learning_rate: float = 0.002,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
) -> np.ndarray:
    """w - η v̂ / u with u = max(β2 u, |g| + ε): Adam in the maximum norm (Kingma and Ba 2015, algorithm 2)."""
    step = _count(state)
    state["mean"] = beta1 * _kept(state, "mean", weights) + (1 - beta1) * gradient
    state["largest"] = np.maximum(beta2 * _kept(state, "largest", weights), np.abs(gradient) + epsilon)
    return weights - learning_rate * state["mean"] / (1 - beta1**step) / state["largest"]


def nadam(
    weights: np.ndarray,
    gradient: np.ndarray,
    state: State,
    *,
    learning_rate: float = 0.002,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    momentum_decay: float = 0.004,
) -> np.ndarray:
    """Adam that looks ahead (Dozat 2016): μ_t = β1 (1 - 0.5 * 0.96^(ψ t)), and the mean of the next update is used."""
    step = _count(state)
    now, following = (beta1 * (1 - 0.5 * 0.96 ** (momentum_decay * number)) for number in (step, step + 1))
    state["product"] = state.get("product", 1.0) * now
    state["mean"] = beta1 * _kept(state, "mean", weights) + (1 - beta1) * gradient
    state["square"] = beta2 * _kept(state, "square", weights) + (1 - beta2) * gradient**2
    ahead = following * state["mean"] / (1 - state["product"] * following) + (1 - now) * gradient / (
        1 - state["product"]
    )
    return weights - learning_rate * ahead / (np.sqrt(state["square"] / (1 - beta2**step)) + epsilon)


# repeating updates


def minibatches(rows: int, size: int, generator: np.random.Generator | None = None) -> Iterator[np.ndarray]:
    """Row numbers of an epoch in batches of `size`, the last with what is left: each row once. None: in their order.

    size >= rows is batch gradient descent, 1 is stochastic, between is mini-batch. An epoch is a pass over all rows, not a random
    part of them (*Plain Talk* §7.2), and stochastic means one row an update, not n (*Principles and Practice* §2.3.1).
    """
    if size < 1:
        raise ValueError(f"minibatches: expected a size of 1 or more, received {size}")
    order = np.arange(rows) if generator is None else generator.permutation(rows)
    for first in range(0, rows, size):
        yield order[first : first + size]


def descend(
    gradient: Callable[[np.ndarray], np.ndarray],
    start: np.ndarray,
    steps: int,
    update: Callable[..., np.ndarray] = gradient_descent,
    **settings: Any,
) -> np.ndarray:
    """The path (steps + 1, ...) of `steps` updates from `start`: descend(lambda w: 2 * w, np.array([3.0]), 2, learning_rate=0.1).

    A number of steps, not `while loss > 0.01`: that loop of *Deep Learning with Python* §2.4.3 may never end.
    """
    path, state = [np.asarray(start, dtype=float)], State()
    for _ in range(steps):
        path.append(update(path[-1], np.asarray(gradient(path[-1]), dtype=float), state, **settings))
    return np.stack(path)


def _entry(name: str, function: str, formula: str, source: str, fast: str = "", note: str = "") -> Entry:
    return Entry(name=name, function=f"optimizers.{function}", formula=formula, source=source, fast=fast, note=note)


CATALOGUE: tuple[Entry, ...] = (
    _entry(
        "gradient descent",
        "gradient_descent",
        r"w \leftarrow w - \eta g",
        "*Principles and Practice* eq. 2-5, 3-17; *Plain Talk* §4.2; course notes §1.2.4; *Deep Learning with Python* §2.4.3",
        "torch.optim.SGD",
        "stable along a direction of curvature c for η < 2/c only; finds a minimum nearby, not the global one",
    ),
    _entry(
        "gradient ascent",
        "gradient_ascent",
        r"w \leftarrow w + \eta g",
        "*Principles and Practice* eq. 6-1",
        "torch.optim.SGD(maximize=True)",
    ),
    _entry(
        "momentum",
        "momentum",
        r"v \leftarrow \mu v - \eta g, \quad w \leftarrow w + v",
        "Polyak 1964; *Principles and Practice* eq. 3-18",
        "torch.optim.SGD(momentum=0.9)",
        "eq. 3-18 prints θ ← μθ − η∇, which has no velocity",
    ),
    _entry(
        "averaged momentum",
        "averaged_momentum",
        r"v \leftarrow k v + (1 - k) g, \quad w \leftarrow w - \eta v",
        "course notes §2.2.5",
        "torch.optim.SGD with the rate (1 - k) η",
    ),
    _entry(
        "Nesterov momentum",
        "nesterov",
        r"v \leftarrow \mu v - \eta g, \quad w \leftarrow w + \mu v - \eta g",
        "Nesterov 1983; Sutskever et al. 2013; *Deep Learning with Python* §2.4.3; *Principles and Practice* listing 4-16",
        "torch.optim.SGD(momentum=0.9, nesterov=True)",
        "*Deep Learning with Python* prints this and calls it momentum",
    ),
    _entry(
        "Adagrad",
        "adagrad",
        r"s \leftarrow s + g^2, \quad w \leftarrow w - \eta \frac{g}{\sqrt{s} + \epsilon}",
        "Duchi et al. 2011; *Deep Learning with Python* §2.4.3",
        "torch.optim.Adagrad",
    ),
    _entry(
        "Adadelta",
        "adadelta",
        r"\Delta = \frac{\sqrt{d + \epsilon}}{\sqrt{s + \epsilon}} g, \quad w \leftarrow w - \eta \Delta",
        "Zeiler 2012; *Principles and Practice* listing 4-7",
        "torch.optim.Adadelta",
        "s and d are averages of g² and Δ²",
    ),
    _entry(
        "RMSprop",
        "rmsprop",
        r"s \leftarrow k s + (1 - k) g^2, \quad w \leftarrow w - \eta \frac{g}{\sqrt{s} + \epsilon}",
        "Tieleman and Hinton 2012; course notes §2.2.6; *Deep Learning with Python* §3.4",
        "torch.optim.RMSprop",
        "the course notes have ε inside the root: epsilon_inside",
    ),
    _entry(
        "Adam",
        "adam",
        r"w \leftarrow w - \eta \frac{\hat v}{\sqrt{\hat s} + \epsilon}, \quad "
        r"\hat v = \frac{v}{1 - \beta_1^t}, \quad \hat s = \frac{s}{1 - \beta_2^t}",
        "Kingma and Ba 2015, algorithm 1; course notes §2.2.7; *Principles and Practice* listing 3-23; *Plain Talk* §8.6",
        "torch.optim.Adam",
        "the course notes have ε inside the root: epsilon_inside",
    ),
    _entry(
        "AdamW",
        "adamw",
        r"w \leftarrow (1 - \eta \lambda) w - \eta \frac{\hat v}{\sqrt{\hat s} + \epsilon}",
        "Loshchilov and Hutter 2019, algorithm 2",
        "torch.optim.AdamW",
        "weight decay and L2 are one thing for plain gradient descent only (*Deep Learning with Python* §4.4.2 says always)",
    ),
    _entry(
        "AMSGrad",
        "amsgrad",
        r"w \leftarrow w - \eta \frac{\hat v}{\sqrt{\max_{i \le t} s_i / (1 - \beta_2^t)} + \epsilon}",
        "Reddi et al. 2018",
        "torch.optim.Adam(amsgrad=True)",
    ),
    _entry(
        "Adamax",
        "adamax",
        r"u \leftarrow \max(\beta_2 u, |g| + \epsilon), \quad w \leftarrow w - \eta \frac{\hat v}{u}",
        "Kingma and Ba 2015, algorithm 2",
        "torch.optim.Adamax",
    ),
    _entry(
        "NAdam",
        "nadam",
        r"w \leftarrow w - \eta \frac{\mu_{t+1} \hat v + (1 - \mu_t) \hat g}{\sqrt{\hat s} + \epsilon}",
        "Dozat 2016",
        "torch.optim.NAdam",
    ),
)
