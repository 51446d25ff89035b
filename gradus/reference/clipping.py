"""Clipping: what keeps one large gradient from throwing the weights away (*Principles and Practice* §7.4.5)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gradus.reference.catalogue import Entry


def clip_by_value(gradient: np.ndarray, largest: float) -> np.ndarray:
    """Each number cut to [-largest, largest]. The direction may turn.

    Listing 7-9 cuts where `gradient > threshold` only, so a large negative gradient passes: the test must be of the magnitude.
    """
    return np.clip(gradient, -largest, largest)


def clip_by_norm(gradient: np.ndarray, largest: float) -> np.ndarray:
    """The whole array scaled to length `largest` where it is longer (Pascanu et al. 2013, algorithm 1). Its direction stays."""
    norm = np.sqrt((gradient**2).sum())
    return gradient * (largest / norm) if norm > largest else gradient.copy()


def clip_by_global_norm(gradients: Sequence[np.ndarray], largest: float) -> tuple[list[np.ndarray], float]:
    """All gradients scaled by one factor, so that their common length is at most `largest`; and what that length was.

    One factor for all parameters: the step keeps its direction, which clipping each by its own norm does not.
    """
    norm = float(np.sqrt(sum((gradient**2).sum() for gradient in gradients)))
    factor = largest / norm if norm > largest else 1.0
    return [gradient * factor for gradient in gradients], norm


CATALOGUE: tuple[Entry, ...] = (
    Entry(
        name="clipping by value",
        function="clipping.clip_by_value",
        formula=r"\hat{g}_i = \min(\max(g_i, -c), c)",
        range=r"[-c, c]",
        fast="torch.nn.utils.clip_grad_value_",
        source="Principles and Practice listing 7-9",
        note="The listing tests g > c and lets large negative gradients through.",
    ),
    Entry(
        name="clipping by norm",
        function="clipping.clip_by_norm",
        formula=r"\hat{g} = g \min\left(1, \frac{c}{\lVert g \rVert}\right)",
        fast="torch.nn.utils.clip_grad_norm_",
        source="Pascanu et al. 2013, algorithm 1; Principles and Practice §7.4.5",
    ),
    Entry(
        name="clipping by global norm",
        function="clipping.clip_by_global_norm",
        formula=r"\hat{g}_k = g_k \min\left(1, \frac{c}{\sqrt{\sum_j \lVert g_j \rVert^2}}\right)",
        fast="torch.nn.utils.clip_grad_norm_",
        source="Pascanu et al. 2013; Plain Talk §8.5 (5 for its small and medium models, 10 for the large)",
        note="One factor for all parameters keeps the direction of the step. PyTorch divides by the norm + 1e-6.",
    ),
)
