"""Penalties on weights and limits of them, with their gradients by the weights. Biases are not penalised.

The texts state one penalty in several scales, which this page keeps apart. With n training samples:

    L2:  lambda/(2n) sum w^2      *Principles and Practice* eq. 3-21, *Plain Talk* §7.6, course notes §2.1.3
         l2 sum w^2               Keras, *Deep Learning with Python* §4.4.2, and our `regularization.l2`
    L1:  lambda/n sum |w|         *Principles and Practice* eq. 3-23, *Plain Talk* §7.6
         lambda/(2m) sum |w|      course notes §2.1.3: half as much, with the same lambda
"""

from __future__ import annotations

import numpy as np

from gradus.reference.catalogue import Entry


def l1_penalty(weights: np.ndarray, strength: float, samples: int = 1, half: bool = False) -> float:
    """strength / samples * sum |w|; `half` of it is the course notes' convention."""
    return float(strength / samples * np.abs(weights).sum() / (2 if half else 1))


def l1_penalty_backward(weights: np.ndarray, strength: float, samples: int = 1, half: bool = False) -> np.ndarray:
    """strength / samples * sign(w): the same pull at any size, so that weights reach 0. At 0 it is 0."""
    return strength / samples * np.sign(weights) / (2 if half else 1)


def l2_penalty(weights: np.ndarray, strength: float, samples: int = 1) -> float:
    """strength / (2 samples) * sum w^2."""
    return float(strength / (2 * samples) * (weights**2).sum())


def l2_penalty_backward(weights: np.ndarray, strength: float, samples: int = 1) -> np.ndarray:
    """strength / samples * w. The 1/2 is there to cancel."""
    return strength / samples * weights


def decay(weights: np.ndarray, rate: float, strength: float, samples: int = 1) -> np.ndarray:
    """(1 - rate strength / samples) w: what plain gradient descent makes of `l2_penalty`, and why it is called weight decay.

    The factor lies in (0, 1) only while rate * strength < samples ("always below 1", *Principles and Practice* eq. 3-22, is not
    enough: below -1 the weights grow).
    """
    return (1 - rate * strength / samples) * weights


def elastic_penalty(weights: np.ndarray, l1: float, l2: float) -> float:
    """l1 * sum |w| + l2 * sum w^2. *Deep Learning with Python* §4.4.2 describes the L2 term as 0.001 * w: it is squared."""
    return float(l1 * np.abs(weights).sum() + l2 * (weights**2).sum())


def elastic_penalty_backward(weights: np.ndarray, l1: float, l2: float) -> np.ndarray:
    """l1 * sign(w) + 2 * l2 * w."""
    return l1 * np.sign(weights) + 2 * l2 * weights


def max_norm(weights: np.ndarray, largest: float) -> np.ndarray:
    """Each neuron's weight vector (a row of (out, ...)) scaled back to length `largest` where it is longer.

    It bounds weights, not activations (*Principles and Practice* eq. 3-24; its §3.5 says activations). It is applied after an
    update and is no part of the loss, so it has no backward pass.
    """
    rows = weights.reshape(len(weights), -1)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows * np.minimum(1, largest / np.maximum(norms, 1e-300))).reshape(weights.shape)


CATALOGUE: tuple[Entry, ...] = (
    Entry(
        name="L1 penalty",
        function="penalties.l1_penalty",
        backward="penalties.l1_penalty_backward",
        formula=r"C=\frac{\lambda}{n}\sum_w |w|",
        derivative=r"\frac{\partial C}{\partial w}=\frac{\lambda}{n}\operatorname{sgn}(w)",
        range=r"[0,\infty)",
        fast="regularization.l1",
        source="*Principles and Practice* eq. 3-23; *Plain Talk* §7.6; course notes §2.1.3 (half of it)",
        note="sgn(0) is 0.",
    ),
    Entry(
        name="L2 penalty",
        function="penalties.l2_penalty",
        backward="penalties.l2_penalty_backward",
        formula=r"C=\frac{\lambda}{2n}\sum_w w^2",
        derivative=r"\frac{\partial C}{\partial w}=\frac{\lambda}{n}w",
        range=r"[0,\infty)",
        fast="regularization.l2",
        source="*Principles and Practice* eq. 3-21, 3-22; *Plain Talk* §6.9, §7.6; course notes §2.1.3",
        note="regularization.l2 is lambda/(2n) of this.",
    ),
    Entry(
        name="weight decay",
        function="penalties.decay",
        formula=r"w\leftarrow(1-\frac{\eta\lambda}{n})w",
        fast="optimizer.weight_decay",
        source="*Principles and Practice* eq. 3-22; course notes §2.1.3",
        note="The same as the L2 penalty for plain gradient descent only.",
    ),
    Entry(
        name="elastic penalty",
        function="penalties.elastic_penalty",
        backward="penalties.elastic_penalty_backward",
        formula=r"C=l_1\sum_w |w|+l_2\sum_w w^2",
        derivative=r"\frac{\partial C}{\partial w}=l_1\operatorname{sgn}(w)+2l_2 w",
        range=r"[0,\infty)",
        fast="regularization.l1, regularization.l2",
        source="*Deep Learning with Python* §4.4.2, listing 4-7",
        note="Printed as 0.001 times the coefficient; the L2 term is squared.",
    ),
    Entry(
        name="max-norm",
        function="penalties.max_norm",
        formula=r"w\leftarrow w\cdot\min(1,\frac{c}{\|w\|_2})",
        range=r"\|w\|_2\le{c}",
        fast="regularization.max_norm",
        source="*Principles and Practice* eq. 3-24",
        note="A limit of weights, not of activations; c = 3 or 4.",
    ),
)
