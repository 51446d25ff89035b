"""Losses made of losses: several tasks, several heads, a box with its class; and the weighted count of errors.

N rows, T tasks.
"""

from __future__ import annotations

import numpy as np

from gradus.reference.activations import log_softmax, sigmoid, softmax
from gradus.reference.catalogue import Entry


def multi_task(losses: np.ndarray, weights: np.ndarray | None = None, mask: np.ndarray | None = None) -> float:
    """(1/N) sum over rows and tasks of w_t m_nt L_nt. losses (N, T), weights (T,), mask (N, T) of 0 and 1.

    Course notes §3.2.13: T labels a row, those that are missing masked. Fast R-CNN (Girshick 2015, eq. 1): L = [class, box],
    w = [1, lambda], m = [1, class is no background]; *Principles and Practice* eq. 5-1 drops that bracket, and would teach boxes
    to background.
    """
    return float((losses * multi_task_backward(losses, weights, mask)).sum())


def multi_task_backward(
    losses: np.ndarray, weights: np.ndarray | None = None, mask: np.ndarray | None = None
) -> np.ndarray:
    """w_t m_nt / N."""
    by_task = np.ones(losses.shape[1]) if weights is None else weights
    known = np.ones_like(losses) if mask is None else mask
    return np.broadcast_to(by_task * known, losses.shape) / len(losses)


def auxiliary_sum(main: float, auxiliaries: np.ndarray, weight: float = 0.3) -> float:
    """main + 0.3 * sum of the auxiliary losses (GoogLeNet; *Deep Learning and Computer Vision* §4.4.3). In training only: the
    weight is set, not learnt, and the auxiliary heads are taken off afterwards.
    """
    return float(main + weight * np.sum(auxiliaries))


def auxiliary_sum_backward(main: float, auxiliaries: np.ndarray, weight: float = 0.3) -> tuple[float, np.ndarray]:
    """By (main, auxiliaries): 1, and the weight for each."""
    return 1.0, np.full(np.shape(auxiliaries), weight)


def localisation(outputs: np.ndarray, targets: np.ndarray, form: str = "squared") -> float:
    """The loss of one object: (N, ..., 5 + C) of [p, x, y, h, w, classes], p = 1 where there is an object (course notes §4.3.1).

    form: "squared": squared error of all entries where p = 1, of the first alone where p = 0
          "mixed":   p and classes are logits: binary cross-entropy for p, softmax cross-entropy for the classes, squared
                     error for the box; the last two where p = 1 only
    Mean over N, sum over everything else: a grid (N, S, S, 5 + C) adds up its cells (§4.3.6).
    """
    present = targets[..., 0]
    if form == "squared":
        squares = (outputs - targets) ** 2
        return float((squares[..., 0] + present * squares[..., 1:].sum(axis=-1)).sum() / len(outputs))
    logits = outputs[..., 0]
    found = np.maximum(logits, 0) - logits * present + np.log1p(np.exp(-np.abs(logits)))
    box = ((outputs[..., 1:5] - targets[..., 1:5]) ** 2).sum(axis=-1)
    kind = -(targets[..., 5:] * log_softmax(outputs[..., 5:])).sum(axis=-1)
    return float((found + present * (box + kind)).sum() / len(outputs))


def localisation_backward(outputs: np.ndarray, targets: np.ndarray, form: str = "squared") -> np.ndarray:
    """2 (a - y) for squares, sigmoid(z) - y and softmax(z) - y for cross-entropies; 0 for what is masked."""
    present = targets[..., :1]
    if form == "squared":
        gradient = 2 * (outputs - targets)
    else:
        found = sigmoid(outputs[..., :1]) - present
        box = 2 * (outputs[..., 1:5] - targets[..., 1:5])
        # each row of targets sums to 1 where there is an object
        gradient = np.concatenate([found, box, softmax(outputs[..., 5:]) - targets[..., 5:]], axis=-1)
    return (
        gradient
        * np.concatenate([np.ones_like(present), present.repeat(outputs.shape[-1] - 1, axis=-1)], axis=-1)
        / len(outputs)
    )


def weighted_error(predicted: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> float:
    """sum of w_i [predicted_i is not y_i] / sum of w_i: mistakes that may not happen weigh 10 or more (course notes §3.1.7).

    A metric for choosing a model: its gradient is 0 wherever it exists, so there is no backward pass.
    """
    return float((weights * (predicted != targets)).sum() / weights.sum())


CATALOGUE: tuple[Entry, ...] = (
    Entry(
        name="multi-task sum",
        function="compound_losses.multi_task",
        backward="compound_losses.multi_task_backward",
        formula=r"L=\frac{1}{N}\sum_n\sum_t w_t m_{nt} L_{nt}",
        derivative=r"\frac{\partial L}{\partial L_{nt}}=\frac{1}{N}w_t m_{nt}",
        fast="gradus.nn.multi_task_loss",
        source="course notes §3.2.13; Girshick 2015, eq. 1; *Principles and Practice*; *Deep Learning with Python* §3.1.3",
        note="A sum, as Keras takes it, where the text says average. A box of background has no loss.",
    ),
    Entry(
        name="auxiliary sum",
        function="compound_losses.auxiliary_sum",
        backward="compound_losses.auxiliary_sum_backward",
        formula=r"L=L_3+0.3(L_1+L_2)",
        derivative=r"\frac{\partial L}{\partial L_1}=0.3",
        source="Szegedy et al. 2015, §5; *Deep Learning and Computer Vision* §4.4.3",
        note="In training only.",
    ),
    Entry(
        name="localisation",
        function="compound_losses.localisation",
        backward="compound_losses.localisation_backward",
        formula=r"L=\begin{cases}\sum_k(a_k-y_k)^2 & y_1=1 \\ (a_1-y_1)^2 & y_1=0\end{cases}",
        derivative=r"\frac{\partial L}{\partial a_k}=2(a_k-y_k)[k=1\ \text{or}\ y_1=1]",
        range=r"[0,\infty)",
        source="course notes §4.3.1, §4.3.6",
        note="The mixed form takes cross-entropies for presence and class.",
    ),
    Entry(
        name="weighted classification error",
        function="compound_losses.weighted_error",
        formula=r"E=\frac{\sum_i w_i[\hat{y}_i\ne y_i]}{\sum_i w_i}",
        range=r"[0,1]",
        source="course notes §3.1.7",
        note="No gradient: for judging.",
    ),
)
