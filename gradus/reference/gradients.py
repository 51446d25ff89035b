"""What is done to gradients and weights around an optimiser's update: penalties, decay, normalising. (Clipping: `clipping`.)"""

from __future__ import annotations

import numpy as np

from gradus.reference.catalogue import Entry


def with_l2(gradient: np.ndarray, weights: np.ndarray, l2: float) -> np.ndarray:
    """g + 2 λ w: the gradient under a penalty λ sum w^2 on the loss. With λ/(2n) sum w^2 (eq. 3-21) it is g + (λ/n) w."""
    return gradient + 2 * l2 * weights


def decay_weights(weights: np.ndarray, learning_rate: float, decay: float) -> np.ndarray:
    """(1 - η λ) w, apart from the gradient. With plain gradient descent this is an L2 penalty of λ/2 sum w^2; with no other.

    It shrinks w for 0 < η λ < 2, above 1 with the sign turned (*Principles and Practice* eq. 3-22: always a factor below 1).
    """
    return (1 - learning_rate * decay) * weights


def normalize_gradient(gradient: np.ndarray, epsilon: float = 1e-5) -> np.ndarray:
    """g / (root of the mean of g^2 + ε): steps of one size. The texts call it an L2 norm, and regularisation; it is neither."""
    return gradient / (np.sqrt(np.mean(gradient**2)) + epsilon)


def _entry(name: str, function: str, formula: str, source: str, fast: str = "", note: str = "") -> Entry:
    return Entry(name=name, function=f"gradients.{function}", formula=formula, source=source, fast=fast, note=note)


CATALOGUE: tuple[Entry, ...] = (
    _entry(
        "weight decay",
        "decay_weights",
        r"w \leftarrow (1 - \eta \lambda) w",
        "*Principles and Practice* eq. 3-22; course notes §2.1.3",
        "torch.optim.AdamW",
    ),
    _entry(
        "L2 in the gradient", "with_l2", r"g + 2 \lambda w", "*Principles and Practice* eq. 3-21", "regularization.l2"
    ),
    _entry(
        "normalised gradient",
        "normalize_gradient",
        r"\frac{g}{\sqrt{\frac{1}{n} \sum g^2} + \epsilon}",
        "*Principles and Practice* ch. 6 (filters by gradient ascent); *Deep Learning with Python* §5.4.2",
        note="divides by the root mean square; the texts say L2 norm",
    ),
)
