"""Losses of probabilities, classes and signs, with their gradients by the network's outputs.

Those of numbers stand in `regression_losses.py` and can be had from here. N rows, C classes. Logarithms are natural. A mean is
over the rows unless a docstring says otherwise.
"""

from __future__ import annotations

import numpy as np

from gradus.reference.activations import log_softmax, sigmoid, softmax
from gradus.reference.catalogue import Entry
from gradus.reference.regression_losses import (  # noqa: F401 - handed on
    absolute_residuals,
    absolute_residuals_backward,
    gaussian_log_likelihood,
    gaussian_log_likelihood_backward,
    huber,
    huber_backward,
    mean_absolute_error,
    mean_absolute_error_backward,
    mean_absolute_percentage_error,
    mean_absolute_percentage_error_backward,
    mean_squared_error,
    mean_squared_error_backward,
    mean_squared_logarithmic_error,
    mean_squared_logarithmic_error_backward,
    smooth_l1,
    smooth_l1_backward,
    squared_residuals,
    squared_residuals_backward,
)

LEAST = 1e-12  # probabilities below are raised to it before a logarithm is taken


def likelihood(probabilities: np.ndarray, targets: np.ndarray) -> float:
    """The product of p^y (1 - p)^(1 - y): how probable the binary targets are (*Principles and Practice* eq. 3-11, 3-12).

    To be maximised: no loss, though printed as one, and for two classes, not for several. p is the output, where eq. 3-11 has
    y. It rounds to 0 for some hundreds of rows, so its logarithm is what is computed with. For one p everywhere it is
    the Bernoulli likelihood p^k (1 - p)^(n - k).
    """
    return float((probabilities**targets * (1 - probabilities) ** (1 - targets)).prod())


def likelihood_backward(probabilities: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """L (y - p) / (p (1 - p))."""
    return likelihood(probabilities, targets) * (targets - probabilities) / (probabilities * (1 - probabilities))


def binary_cross_entropy(probabilities: np.ndarray, targets: np.ndarray, least: float = LEAST) -> float:
    """Mean over all elements of -[y log p + (1 - y) log(1 - p)], p kept between `least` and 1 - `least`.

    The minus belongs to both terms: *Principles and Practice* eq. 3-13 and *Plain Talk* §6.8.2, §10.2 lack the bracket.
    """
    kept = np.clip(probabilities, least, 1 - least)
    return float(-(targets * np.log(kept) + (1 - targets) * np.log1p(-kept)).mean())


def binary_cross_entropy_backward(probabilities: np.ndarray, targets: np.ndarray, least: float = LEAST) -> np.ndarray:
    """(p - y) / (p (1 - p)) / n; 0 where p was cut off."""
    kept = np.clip(probabilities, least, 1 - least)
    return np.where(kept == probabilities, (kept - targets) / (kept * (1 - kept)), 0.0) / probabilities.size


def binary_cross_entropy_with_logits(
    logits: np.ndarray,
    targets: np.ndarray,
    weights: np.ndarray | None = None,
    mask: np.ndarray | None = None,
    divide_by: str = "known",
) -> float:
    """The same from logits, p = sigmoid(z): max(z, 0) - z y + log(1 + e^-|z|), which cannot overflow. z is the logit; *Plain
    Talk* §6.8.2 has e^-x in the sigmoid, x being the input.

    weights:   factors of the elements, of a shape that broadcasts
    mask:      1 where a label is known, 0 where it is missing (course notes §3.2.13)
    divide_by: "known": the number of known labels; "rows": N, so that the losses of a row's labels add up (course notes)
    """
    losses = np.maximum(logits, 0) - logits * targets + np.log1p(np.exp(-np.abs(logits)))
    return float((losses * _shares(logits, weights, mask, divide_by)).sum())


def binary_cross_entropy_with_logits_backward(
    logits: np.ndarray,
    targets: np.ndarray,
    weights: np.ndarray | None = None,
    mask: np.ndarray | None = None,
    divide_by: str = "known",
) -> np.ndarray:
    """(sigmoid(z) - y) times the share of the element."""
    return (sigmoid(logits) - targets) * _shares(logits, weights, mask, divide_by)


def _shares(logits: np.ndarray, weights: np.ndarray | None, mask: np.ndarray | None, divide_by: str) -> np.ndarray:
    """What each element counts for: weight * mask / (known elements, or rows)."""
    known = np.ones_like(logits) if mask is None else np.broadcast_to(mask, logits.shape).astype(float)
    number = max(known.sum(), 1.0) if divide_by == "known" else len(logits)
    return known * (1.0 if weights is None else weights) / number


def categorical_cross_entropy(probabilities: np.ndarray, one_hot: np.ndarray, least: float = LEAST) -> float:
    """Mean over the rows of -sum_c y_c log p_c, (N, C) both (*Principles and Practice* eq. 3-14, course notes §2.3.9).

    Listing 3-10 adds 1e-5 to every p and sums over the rows. It is H(y) + KL(y, p), not a difference of two entropies.
    """
    return float(-(one_hot * np.log(np.maximum(probabilities, least))).sum() / len(probabilities))


def categorical_cross_entropy_backward(
    probabilities: np.ndarray, one_hot: np.ndarray, least: float = LEAST
) -> np.ndarray:
    """-y / p / N; 0 where p was raised."""
    by_probabilities = -one_hot / np.maximum(probabilities, least)
    return np.where(probabilities > least, by_probabilities, 0.0) / len(probabilities)


def smooth(targets: np.ndarray, classes: int, smoothing: float) -> np.ndarray:
    """(N,) class indices -> (N, C) rows of 1 - s + s/C at the class and s/C elsewhere."""
    rows = np.full((len(targets), classes), smoothing / classes)
    rows[np.arange(len(targets)), targets] += 1 - smoothing
    return rows


def cross_entropy(
    logits: np.ndarray,
    targets: np.ndarray,
    smoothing: float = 0.0,
    weights: np.ndarray | None = None,
    mask: np.ndarray | None = None,
    divide_by: str = "weights",
) -> float:
    """Mean over the rows of -sum_c w_c q_c log p_c, p = softmax(logits), q = smoothed one-hot targets. logits (N, C).

    weights:   (C,) one a class
    mask:      (N,) 1 for rows that count, 0 for padding
    divide_by: "weights": the sum of the weights of the rows' classes (PyTorch's mean); "rows": the number of rows that count,
               which makes the gradient of a batch the mean of those of its parts (what we train with)
    """
    log_probabilities = log_softmax(logits)
    return float(-(_wanted(logits, targets, smoothing, weights, mask, divide_by) * log_probabilities).sum())


def cross_entropy_backward(
    logits: np.ndarray,
    targets: np.ndarray,
    smoothing: float = 0.0,
    weights: np.ndarray | None = None,
    mask: np.ndarray | None = None,
    divide_by: str = "weights",
) -> np.ndarray:
    """(p - q) / N; with q the weighted rows over their divisor, p sum(q) - q."""
    wanted = _wanted(logits, targets, smoothing, weights, mask, divide_by)
    return softmax(logits) * wanted.sum(axis=1, keepdims=True) - wanted


def _wanted(
    logits: np.ndarray,
    targets: np.ndarray,
    smoothing: float,
    weights: np.ndarray | None,
    mask: np.ndarray | None,
    divide_by: str,
) -> np.ndarray:
    """(N, C): what each log-probability counts for."""
    by_class = np.ones(logits.shape[1]) if weights is None else weights
    by_row = np.ones(len(logits)) if mask is None else mask.astype(float)
    number = (by_row * by_class[targets]).sum() if divide_by == "weights" else by_row.sum()
    return by_row[:, None] * by_class * smooth(targets, logits.shape[1], smoothing) / number


def negative_log_likelihood(log_probabilities: np.ndarray, class_indices: np.ndarray) -> float:
    """Mean of -log p of the right class. (N, C) log-probabilities, (N,) indices."""
    return float(-log_probabilities[np.arange(len(class_indices)), class_indices].mean())


def negative_log_likelihood_backward(log_probabilities: np.ndarray, class_indices: np.ndarray) -> np.ndarray:
    """-1/N at the right class."""
    return -smooth(class_indices, log_probabilities.shape[1], 0.0) / len(class_indices)


def to_signs(labels: np.ndarray) -> np.ndarray:
    """Labels 0 and 1 -> -1 and 1: what `hinge` and `exponential_loss` take."""
    return 2.0 * labels - 1


def hinge(outputs: np.ndarray, signs: np.ndarray) -> float:
    """Mean of max(0, 1 - y a), y = -1 or 1 (*Principles and Practice* eq. 3-15, the loss of the SVM).

    With labels 0 and 1, which the text allows, a 0 costs 1 whatever the output, so nothing is learnt from it.
    """
    _check_signs(signs)
    return float(np.maximum(0, 1 - signs * outputs).mean())


def hinge_backward(outputs: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """-y / n inside the margin; 0 outside and at its edge."""
    _check_signs(signs)
    return np.where(signs * outputs < 1, -signs, 0.0) / outputs.size


def exponential_loss(outputs: np.ndarray, signs: np.ndarray) -> float:
    """Mean of exp(-y a), y = -1 or 1: that of AdaBoost (eq. 3-16, whose listing 3-12 takes the sum)."""
    _check_signs(signs)
    return float(np.exp(-signs * outputs).mean())


def exponential_loss_backward(outputs: np.ndarray, signs: np.ndarray) -> np.ndarray:
    _check_signs(signs)
    return -signs * np.exp(-signs * outputs) / outputs.size


def _check_signs(signs: np.ndarray) -> None:
    if not np.isin(signs, (-1, 1)).all():
        raise ValueError("expected labels of -1 and 1; `to_signs` makes them of 0 and 1")


def kullback_leibler(targets: np.ndarray, log_probabilities: np.ndarray) -> float:
    """Mean over the rows of sum_c q_c (log q_c - log p_c), 0 log 0 = 0: what a cross-entropy has above the entropy of q."""
    logarithms = np.log(np.where(targets > 0, targets, 1.0))
    return float((targets * (logarithms - log_probabilities)).sum() / len(targets))


def kullback_leibler_backward(targets: np.ndarray, log_probabilities: np.ndarray) -> np.ndarray:
    """By the log-probabilities: -q / N."""
    return -targets / len(targets)


CATALOGUE: tuple[Entry, ...] = (
    Entry(
        name="likelihood",
        function="losses.likelihood",
        backward="losses.likelihood_backward",
        formula=r"L=\prod_i p_i^{y_i}(1-p_i)^{1-y_i}",
        derivative=r"\frac{\partial L}{\partial p_i}=L\,\frac{y_i-p_i}{p_i(1-p_i)}",
        range=r"[0,1]",
        source="*Principles and Practice* eq. 3-11, 3-12; *Plain Talk* ch. 10",
        note="To be maximised, and for two classes: printed as a loss for many.",
    ),
    Entry(
        name="binary cross-entropy",
        function="losses.binary_cross_entropy",
        backward="losses.binary_cross_entropy_backward",
        formula=r"L=-\frac{1}{n}\sum_i [y_i\log p_i+(1-y_i)\log(1-p_i)]",
        derivative=r"\frac{\partial L}{\partial p_i}=\frac{1}{n}\,\frac{p_i-y_i}{p_i(1-p_i)}",
        range=r"[0,\infty)",
        fast="torch.nn.BCELoss",
        source="*Principles and Practice* eq. 3-13; *Plain Talk* §6.8.2, §10.2; course notes §1.2.3",
        note="The bracket is missing in print.",
    ),
    Entry(
        name="binary cross-entropy of logits",
        function="losses.binary_cross_entropy_with_logits",
        backward="losses.binary_cross_entropy_with_logits_backward",
        formula=r"L=\frac{1}{n}\sum_i m_i w_i[\max(z_i,0)-z_i y_i+\log(1+e^{-|z_i|})]",
        derivative=r"\frac{\partial L}{\partial z_i}=\frac{1}{n}m_i w_i(\sigma(z_i)-y_i)",
        range=r"[0,\infty)",
        fast="torch.nn.BCEWithLogitsLoss, gradus.nn.masked_binary_cross_entropy",
        source="course notes §1.2.9, §3.2.13",
        note="m masks missing labels, w are weights, n counts the known labels (or the rows).",
    ),
    Entry(
        name="categorical cross-entropy",
        function="losses.categorical_cross_entropy",
        backward="losses.categorical_cross_entropy_backward",
        formula=r"L=-\frac{1}{N}\sum_n\sum_c y_{nc}\log p_{nc}",
        derivative=r"\frac{\partial L}{\partial p_{nc}}=-\frac{1}{N}\,\frac{y_{nc}}{p_{nc}}",
        range=r"[0,\infty)",
        fast="torch.nn.CrossEntropyLoss",
        source="*Principles and Practice* eq. 3-14; course notes §2.3.9; *Deep Learning with Python* §3.5",
        note="H(y) + KL(y, p), not a difference of entropies (*Plain Talk* §6.8.2).",
    ),
    Entry(
        name="cross-entropy of logits",
        function="losses.cross_entropy",
        backward="losses.cross_entropy_backward",
        formula=r"L=-\frac{1}{N}\sum_n\sum_c w_c q_{nc}\log \operatorname{softmax}(z_n)_c",
        derivative=r"\frac{\partial L}{\partial z_{nc}}=\frac{1}{N}(p_{nc}-q_{nc})",
        range=r"[0,\infty)",
        fast="torch.nn.CrossEntropyLoss",
        source="course notes §2.3.9; *Plain Talk* §6.9; Szegedy et al. 2016 (smoothing)",
        note="q is one-hot or smoothed; w (1 in the derivative shown) and a mask weigh classes and rows.",
    ),
    Entry(
        name="negative log-likelihood",
        function="losses.negative_log_likelihood",
        backward="losses.negative_log_likelihood_backward",
        formula=r"L=-\frac{1}{N}\sum_n\log p_{n,y_n}",
        derivative=r"\frac{\partial L}{\partial \log p_{nc}}=-\frac{1}{N}[c=y_n]",
        range=r"[0,\infty)",
        fast="torch.nn.NLLLoss",
        source="*Principles and Practice* eq. 3-13 (two classes)",
    ),
    Entry(
        name="hinge",
        function="losses.hinge",
        backward="losses.hinge_backward",
        formula=r"L=\frac{1}{n}\sum_i\max(0,1-y_i a_i),\quad y_i=\pm 1",
        derivative=r"\frac{\partial L}{\partial a_i}=-\frac{1}{n}y_i[y_i a_i<1]",
        range=r"[0,\infty)",
        fast="gradus.nn.hinge",
        source="*Principles and Practice* eq. 3-15",
        note="Labels are -1 and 1; 0 and 1 have to be converted.",
    ),
    Entry(
        name="exponential",
        function="losses.exponential_loss",
        backward="losses.exponential_loss_backward",
        formula=r"L=\frac{1}{n}\sum_i e^{-y_i a_i},\quad y_i=\pm 1",
        derivative=r"\frac{\partial L}{\partial a_i}=-\frac{1}{n}y_i e^{-y_i a_i}",
        range=r"(0,\infty)",
        fast="gradus.nn.exponential_loss",
        source="*Principles and Practice* eq. 3-16",
        note="The listing takes the sum.",
    ),
    Entry(
        name="Kullback-Leibler divergence",
        function="losses.kullback_leibler",
        backward="losses.kullback_leibler_backward",
        formula=r"L=\frac{1}{N}\sum_n\sum_c q_{nc}(\log q_{nc}-\log p_{nc})",
        derivative=r"\frac{\partial L}{\partial \log p_{nc}}=-\frac{1}{N}q_{nc}",
        range=r"[0,\infty)",
        fast='torch.nn.KLDivLoss(reduction="batchmean")',
        source="*Plain Talk* §6.8.2 (where cross-entropy is explained)",
    ),
)
