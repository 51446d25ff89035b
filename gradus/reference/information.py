"""Information, entropy and what is built on them (*Plain Talk* §6.8.2). `base` 2 gives bits, e nats, 10 hartleys.

Distributions are arrays that are at least 0 and add up to 1 over the last axis. 0 log 0 is 0, its limit.
"""

from __future__ import annotations

import numpy as np

from gradus.reference.catalogue import Entry


def _logarithm(values: np.ndarray, base: float) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.log(np.asarray(values, dtype=float)) / np.log(base)


def _weighted(probabilities: np.ndarray, values: np.ndarray) -> np.ndarray:
    """sum p v over the last axis, 0 where p is 0 whatever v is."""
    return np.where(probabilities > 0, probabilities * np.where(probabilities > 0, values, 0), 0).sum(axis=-1)


def self_information(probability: np.ndarray | float, base: float = 2.0) -> np.ndarray:
    """-log p: how surprising an outcome is; infinite for an impossible one."""
    return -_logarithm(np.asarray(probability), base)


def self_information_derivative(probability: np.ndarray | float, base: float = 2.0) -> np.ndarray:
    """-1 / (p ln b)."""
    return -1 / (np.asarray(probability, dtype=float) * np.log(base))


def entropy(probabilities: np.ndarray, base: float = 2.0) -> np.ndarray:
    """-sum p log p: the mean surprise. 0 when certain, log n for n even outcomes."""
    probabilities = np.asarray(probabilities, dtype=float)
    return _weighted(probabilities, self_information(probabilities, base))


def cross_entropy(targets: np.ndarray, probabilities: np.ndarray, base: float = 2.0) -> np.ndarray:
    """-sum p log q: the mean surprise of one who expects q where p is true. Infinite where q is 0 and p is not."""
    return _weighted(np.asarray(targets, dtype=float), self_information(probabilities, base))


def kullback_leibler(targets: np.ndarray, probabilities: np.ndarray, base: float = 2.0) -> np.ndarray:
    """sum p log(p / q), cross-entropy less entropy: what it costs to expect q instead of p; 0 for q = p only, else above.

    *Plain Talk* §6.8.2 says of the cross-entropy that it is the difference of two entropies; this is the difference, of a
    cross-entropy and an entropy.
    """
    targets = np.asarray(targets, dtype=float)
    with np.errstate(invalid="ignore"):  # both may be -inf, where p is 0 and counts nothing
        difference = _logarithm(targets, base) - _logarithm(probabilities, base)
    return _weighted(targets, difference)


def mutual_information(joint: np.ndarray, base: float = 2.0) -> float:
    """sum p(x, y) log(p(x, y) / (p(x) p(y))) of a table (n, m): what one of the two tells of the other; 0 if independent."""
    joint = np.asarray(joint, dtype=float)
    independent = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    return float(kullback_leibler(joint.ravel(), independent.ravel(), base))


CATALOGUE: tuple[Entry, ...] = (
    Entry(
        name="self-information",
        function="information.self_information",
        backward="information.self_information_derivative",
        formula=r"-\log_b p",
        derivative=r"-\frac{1}{p \ln b}",
        range=r"[0, \infty)",
        source="Shannon 1948; *Plain Talk* §6.8.2",
        span=(0.01, 1.0),
    ),
    Entry(
        name="entropy",
        function="information.entropy",
        formula=r"-\sum_i p_i \log_b p_i",
        range=r"[0, \log_b n]",
        source="Shannon 1948; *Plain Talk* §6.8.2",
        note="the book's 0.1164 comes of a rounded 0.023; it is 0.11612",
    ),
    Entry(
        name="cross-entropy of two distributions",
        function="information.cross_entropy",
        formula=r"-\sum_i p_i \log_b q_i",
        derivative=r"-\frac{p_i}{q_i \ln b}",
        range=r"[H(p), \infty)",
        source="*Plain Talk* §6.8.2",
        note="not the difference of two entropies",
    ),
    Entry(
        name="Kullback-Leibler divergence of two distributions",
        function="information.kullback_leibler",
        formula=r"\sum_i p_i \log_b \frac{p_i}{q_i}",
        derivative=r"-\frac{p_i}{q_i \ln b}",
        range=r"[0, \infty)",
        source="Kullback and Leibler 1951",
    ),
    Entry(
        name="mutual information",
        function="information.mutual_information",
        formula=r"\sum_{x, y} p(x, y) \log_b \frac{p(x, y)}{p(x) p(y)}",
        range=r"[0, \min(H(x), H(y))]",
        source="Shannon 1948",
    ),
)
