"""Losses and penalties, with their gradients by the network's outputs (or by the weights)."""

from __future__ import annotations

import numpy as np


def softmax(logits: np.ndarray) -> np.ndarray:
    """exp(z_i) / sum_j exp(z_j) over the last axis; the largest logit is subtracted first, so that nothing overflows."""
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def smooth(targets: np.ndarray, classes: int, smoothing: float) -> np.ndarray:
    """(N,) class indices -> (N, C) rows of 1 - s + s/C at the class and s/C elsewhere."""
    rows = np.full((len(targets), classes), smoothing / classes)
    rows[np.arange(len(targets)), targets] += 1 - smoothing
    return rows


def cross_entropy(logits: np.ndarray, targets: np.ndarray, smoothing: float = 0.0) -> float:
    """Mean over the batch of -sum_c q_c log p_c, p = softmax(logits), q = smoothed one-hot targets. logits (N, C)."""
    wanted = smooth(targets, logits.shape[1], smoothing)
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_probabilities = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return float(-(wanted * log_probabilities).sum(axis=1).mean())


def cross_entropy_backward(logits: np.ndarray, targets: np.ndarray, smoothing: float = 0.0) -> np.ndarray:
    """(p - q) / N."""
    return (softmax(logits) - smooth(targets, logits.shape[1], smoothing)) / len(targets)


def elastic_penalty(weights: np.ndarray, l1: float, l2: float) -> float:
    """l1 * sum |w| + l2 * sum w^2. *Deep Learning with Python* §4.4.2 describes the L2 term as 0.001 * w: it is squared."""
    return float(l1 * np.abs(weights).sum() + l2 * (weights**2).sum())


def elastic_penalty_backward(weights: np.ndarray, l1: float, l2: float) -> np.ndarray:
    """l1 * sign(w) + 2 * l2 * w."""
    return l1 * np.sign(weights) + 2 * l2 * weights


def max_norm(weights: np.ndarray, largest: float) -> np.ndarray:
    """Each neuron's weight vector (a row of (out, ...)) scaled back to length `largest` where it is longer.

    It bounds weights, not activations (*Principles and Practice* eq. 3-24; its §3.5 says activations).
    """
    rows = weights.reshape(len(weights), -1)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows * np.minimum(1, largest / np.maximum(norms, 1e-300))).reshape(weights.shape)
