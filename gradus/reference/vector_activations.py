"""Activations in which outputs depend on several inputs. Each `_backward` takes the gradient of the loss by the output."""

from __future__ import annotations

import numpy as np

from gradus.reference.catalogue import Entry


def softmax(logits: np.ndarray, axis: int = -1) -> np.ndarray:
    """exp(z_i) / sum_j exp(z_j) along `axis`; the largest logit is subtracted first, so that nothing overflows.

    The sum is that of one sample. *Principles and Practice* listing 7-2 sums over the first axis and the course notes
    (§2.3.8) over everything, which is right for a single vector only.
    """
    exponentials = np.exp(logits - logits.max(axis=axis, keepdims=True))
    return exponentials / exponentials.sum(axis=axis, keepdims=True)


def softmax_backward(logits: np.ndarray, gradient: np.ndarray, axis: int = -1) -> np.ndarray:
    """p * (g - sum_j g_j p_j), since dp_j / dz_i = p_j ([i = j] - p_i)."""
    probabilities = softmax(logits, axis)
    return probabilities * (gradient - (gradient * probabilities).sum(axis=axis, keepdims=True))


def log_softmax(logits: np.ndarray, axis: int = -1) -> np.ndarray:
    """z_i - log sum_j exp(z_j): finite where the logarithm of a softmax that rounds to 0 is not."""
    shifted = logits - logits.max(axis=axis, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))


def log_softmax_backward(logits: np.ndarray, gradient: np.ndarray, axis: int = -1) -> np.ndarray:
    """g - p sum_j g_j."""
    return gradient - softmax(logits, axis) * gradient.sum(axis=axis, keepdims=True)


def hardmax(logits: np.ndarray, axis: int = -1) -> np.ndarray:
    """1 at the largest logit (of equals the first), 0 elsewhere: what softmax is a soft form of."""
    places = np.expand_dims(logits.argmax(axis=axis), axis)
    found = np.zeros_like(logits)
    np.put_along_axis(found, places, 1.0, axis=axis)
    return found


def hardmax_backward(logits: np.ndarray, gradient: np.ndarray, axis: int = -1) -> np.ndarray:
    """0: a small change of the logits changes nothing. That is why nothing can be trained through it."""
    return np.zeros_like(logits)


def maxout(inputs: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """max over k of x W_k + b_k (Goodfellow et al. 2013, eq. 1). (N, n), weight (K, n, m), bias (K, m) -> (N, m).

    It is a layer and its activation in one: K dense layers, of which each output takes the largest.
    """
    return _pieces(inputs, weight, bias).max(axis=0)


def maxout_backward(
    inputs: np.ndarray, weight: np.ndarray, bias: np.ndarray, gradient: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients by (inputs, weight, bias). All of it goes to the piece that won, of equals the first."""
    pieces = _pieces(inputs, weight, bias)
    won = hardmax(pieces, axis=0) * gradient  # (K, N, m)
    by_inputs = sum(part @ matrix.T for part, matrix in zip(won, weight, strict=True))
    by_weight = np.stack([inputs.T @ part for part in won])
    return np.asarray(by_inputs), by_weight, won.sum(axis=1)


def _pieces(inputs: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """(K, N, m)."""
    return np.stack([inputs @ matrix + shift for matrix, shift in zip(weight, bias, strict=True)])


CATALOGUE: tuple[Entry, ...] = (
    Entry(
        name="softmax",
        function="vector_activations.softmax",
        backward="vector_activations.softmax_backward",
        formula=r"p_i=\frac{e^{z_i}}{\sum_j e^{z_j}}",
        derivative=r"\frac{\partial p_j}{\partial z_i}=p_j([i=j]-p_i)",
        range="each in (0, 1), together 1",
        fast="torch.nn.Softmax",
        source="*Principles and Practice* eq. 3-5; *Plain Talk* §6.8.1; course notes §2.3.8; *Deep Learning with Python* §3.5",
        note="The nodes are not independent sigmoids (*Plain Talk* §6.8.2). The largest logit is subtracted first.",
    ),
    Entry(
        name="log-softmax",
        function="vector_activations.log_softmax",
        backward="vector_activations.log_softmax_backward",
        formula=r"\log p_i=z_i-\log\sum_j e^{z_j}",
        derivative=r"\frac{\partial \log p_j}{\partial z_i}=[i=j]-p_i",
        range=r"(-\infty,0)",
        fast="torch.nn.LogSoftmax",
        source="course notes §2.3.9 (with its loss)",
    ),
    Entry(
        name="hardmax",
        function="vector_activations.hardmax",
        backward="vector_activations.hardmax_backward",
        formula=r"h_i=[i=\operatorname{argmax}_j z_j]",
        derivative=r"\frac{\partial h_j}{\partial z_i}=0",
        range=r"\{0,1\}",
        source="course notes §2.3.9",
        note="The limit of softmax(z/T) for T to 0. Not for training.",
    ),
    Entry(
        name="maxout",
        function="vector_activations.maxout",
        backward="vector_activations.maxout_backward",
        formula=r"y_j=\max_{k}(x W_k+b_k)_j",
        range=r"(-\infty,\infty)",
        fast="gradus.nn.Maxout",
        source="Goodfellow et al. 2013, eq. 1; *Plain Talk* §13.1 (FaceNet, p = 2)",
        note="K n m weights. The gradient goes to the piece that won.",
    ),
)
