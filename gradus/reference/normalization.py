"""Normalisation inside a network: over the batch (Ioffe and Szegedy 2015; Ioffe 2017), over neighbouring channels (Krizhevsky et
al. 2012).

Batch norm takes (N, F), one statistic a feature over N values, or (N, C, ...), one a channel over N and every place, which are
m w h values. Its variance is the mean squared deviation (divided by m, not m - 1), and what it divides by is the root of
variance + epsilon. The running variance is PyTorch's, divided by m - 1.
"""

from __future__ import annotations

import numpy as np

from gradus.reference.catalogue import Entry


def _axes(inputs: np.ndarray) -> tuple[int, ...]:
    """All axes but the channels'."""
    return (0, *range(2, inputs.ndim))


def _spread(values: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    """(C,) so shaped that it broadcasts over (N, C, ...)."""
    return values.reshape(-1, *[1] * (inputs.ndim - 2))


def batch_statistics(inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(mean, variance) of every feature or channel: (C,) each."""
    return inputs.mean(axis=_axes(inputs)), inputs.var(axis=_axes(inputs))


def batch_norm(inputs: np.ndarray, scale: np.ndarray, shift: np.ndarray, epsilon: float = 1e-5) -> np.ndarray:
    """In training: gamma (x - mu) / sqrt(sigma^2 + epsilon) + beta, with scale = gamma, shift = beta, and the batch's statistics.

    A bias in the layer before is cancelled by the mean: beta takes its place. gamma = sqrt(sigma^2 + epsilon) with beta = mu
    undoes the whole (course notes §2.3.5 print sqrt(sigma + epsilon)).
    """
    return batch_norm_inference(inputs, scale, shift, *batch_statistics(inputs), epsilon)


def batch_norm_inference(
    inputs: np.ndarray,
    scale: np.ndarray,
    shift: np.ndarray,
    mean: np.ndarray,
    variance: np.ndarray,
    epsilon: float = 1e-5,
) -> np.ndarray:
    """The same with statistics that are given, the running ones: an answer does not depend on the rest of its batch."""
    normal = (inputs - _spread(mean, inputs)) / np.sqrt(_spread(variance, inputs) + epsilon)
    return _spread(scale, inputs) * normal + _spread(shift, inputs)


def batch_norm_backward(
    inputs: np.ndarray, scale: np.ndarray, gradient: np.ndarray, epsilon: float = 1e-5
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients by (inputs, scale, shift) in training, where mean and variance depend on the inputs too.

    by x = gamma / sqrt(sigma^2 + epsilon) * (g - mean(g) - normal * mean(g * normal)): what would move the mean or the variance
    of the batch is taken out of the gradient.
    """
    axes = _axes(inputs)
    mean, variance = batch_statistics(inputs)
    deviation = np.sqrt(_spread(variance, inputs) + epsilon)
    normal = (inputs - _spread(mean, inputs)) / deviation
    along = gradient - gradient.mean(axis=axes, keepdims=True)
    along = along - normal * (gradient * normal).mean(axis=axes, keepdims=True)
    by_inputs = _spread(scale, inputs) / deviation * along
    return by_inputs, (gradient * normal).sum(axis=axes), gradient.sum(axis=axes)


def batch_norm_inference_backward(
    inputs: np.ndarray,
    scale: np.ndarray,
    mean: np.ndarray,
    variance: np.ndarray,
    gradient: np.ndarray,
    epsilon: float = 1e-5,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients by (inputs, scale, shift) where the statistics are constants: a plain affine map."""
    axes = _axes(inputs)
    deviation = np.sqrt(_spread(variance, inputs) + epsilon)
    normal = (inputs - _spread(mean, inputs)) / deviation
    return _spread(scale, inputs) / deviation * gradient, (gradient * normal).sum(axis=axes), gradient.sum(axis=axes)


def running_statistics(
    inputs: np.ndarray, mean: np.ndarray, variance: np.ndarray, momentum: float = 0.1, unbiased: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """One training batch into the running (mean, variance): (1 - momentum) old + momentum batch.

    PyTorch's momentum; Keras' is 1 minus it. unbiased: the batch's variance enters divided by m - 1 (PyTorch, and the paper's
    algorithm 2). Only training moves these; they start at 0 and 1.
    """
    batch_mean, batch_variance = batch_statistics(inputs)
    count = inputs.size // inputs.shape[1]
    if unbiased:
        batch_variance = batch_variance * count / (count - 1)
    return (1 - momentum) * mean + momentum * batch_mean, (1 - momentum) * variance + momentum * batch_variance


def renorm_corrections(
    inputs: np.ndarray,
    mean: np.ndarray,
    variance: np.ndarray,
    r_max: float = 3.0,
    d_max: float = 5.0,
    epsilon: float = 1e-5,
) -> tuple[np.ndarray, np.ndarray]:
    """(r, d), (C,) each: what takes values normalised by their batch to those by the running statistics, within limits:
    r = sigma_B / sigma in [1 / r_max, r_max], d = (mu_B - mu) / sigma in [-d_max, d_max]."""
    batch_mean, batch_variance = batch_statistics(inputs)
    deviation = np.sqrt(variance + epsilon)
    r = np.clip(np.sqrt(batch_variance + epsilon) / deviation, 1 / r_max, r_max)
    return r, np.clip((batch_mean - mean) / deviation, -d_max, d_max)


def batch_renorm(
    inputs: np.ndarray,
    scale: np.ndarray,
    shift: np.ndarray,
    mean: np.ndarray,
    variance: np.ndarray,
    r_max: float = 3.0,
    d_max: float = 5.0,
    epsilon: float = 1e-5,
) -> np.ndarray:
    """In training: gamma (r (x - mu_B) / sigma_B + d) + beta, with the running mean and variance as they were before this batch.

    Within the limits it is what inference gives, gamma (x - mu) / sigma + beta; at r_max = 1, d_max = 0 it is batch norm.
    """
    r, d = renorm_corrections(inputs, mean, variance, r_max, d_max, epsilon)
    return batch_norm(inputs, scale * r, scale * d + shift, epsilon)


def batch_renorm_backward(
    inputs: np.ndarray,
    scale: np.ndarray,
    mean: np.ndarray,
    variance: np.ndarray,
    gradient: np.ndarray,
    r_max: float = 3.0,
    d_max: float = 5.0,
    epsilon: float = 1e-5,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients by (inputs, scale, shift). r and d count as constants, so it is the gradient of batch norm with scale gamma r:
    the batch still answers for its mean and variance."""
    r, d = renorm_corrections(inputs, mean, variance, r_max, d_max, epsilon)
    by_inputs, by_product, by_shift = batch_norm_backward(inputs, scale * r, gradient, epsilon)
    return by_inputs, r * by_product + d * by_shift, by_shift


def _window_sums(values: np.ndarray, size: int) -> np.ndarray:
    """Sums over the channels i - size // 2 to i + size // 2, cut off at the first and last channel."""
    channels, half = values.shape[1], size // 2
    sums = np.empty_like(values)
    for i in range(channels):
        sums[:, i] = values[:, max(0, i - half) : min(channels - 1, i + half) + 1].sum(axis=1)
    return sums


def _local_factors(
    inputs: np.ndarray, size: int, alpha: float, k: float | None, convention: str
) -> tuple[np.ndarray, float]:
    """(k + strength * sum of squares, strength), by convention."""
    if size % 2 == 0:
        raise ValueError(f"the window of channels has a middle: an odd size is expected, received {size}")
    strength, constant = {"paper": (alpha, 2.0), "caffe": (alpha / size, 1.0)}[convention]
    return (constant if k is None else k) + strength * _window_sums(inputs**2, size), strength


def local_response_normalization(
    inputs: np.ndarray,
    size: int = 5,
    alpha: float = 1e-4,
    beta: float = 0.75,
    k: float | None = None,
    convention: str = "paper",
) -> np.ndarray:
    """a_i / (k + alpha * sum of a_j^2 over `size` neighbouring channels)^beta. (N, C, ...) -> the same shape.

    convention "paper": the sum as it is, k = 2 (Krizhevsky et al. 2012). "caffe": alpha is divided by the size, k = 1; so do
    PyTorch and GoogLeNet's files. TensorFlow sums, with depth_radius = size // 2 and bias = k: its alpha = 0.001 / 9 over 9
    channels is Caffe's 0.001.
    """
    factors, _ = _local_factors(inputs, size, alpha, k, convention)
    return inputs * factors**-beta


def local_response_normalization_backward(
    inputs: np.ndarray,
    gradient: np.ndarray,
    size: int = 5,
    alpha: float = 1e-4,
    beta: float = 0.75,
    k: float | None = None,
    convention: str = "paper",
) -> np.ndarray:
    """g_i s_i^-beta - 2 strength beta a_i * sum over the neighbours j of g_j a_j s_j^(-beta - 1), s being the denominators."""
    factors, strength = _local_factors(inputs, size, alpha, k, convention)
    neighbours = _window_sums(gradient * inputs * factors ** (-beta - 1), size)
    return gradient * factors**-beta - 2 * strength * beta * inputs * neighbours


CATALOGUE: tuple[Entry, ...] = (
    Entry(
        name="batch normalisation",
        function="normalization.batch_norm",
        backward="normalization.batch_norm_backward",
        formula=r"y = \gamma \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}} + \beta,\quad "
        r"\mu = \frac{1}{m} \sum_i x_i,\ \sigma^2 = \frac{1}{m} \sum_i (x_i - \mu)^2",
        derivative=r"\frac{\gamma}{\sqrt{\sigma^2 + \epsilon}} "
        r"\left(g - \overline{g} - \hat{x}\, \overline{g \hat{x}}\right)",
        fast="torch.nn.BatchNorm1d, torch.nn.BatchNorm2d, torch.nn.BatchNorm3d",
        source="Ioffe and Szegedy 2015, algorithm 1; course notes §2.3.5 to 2.3.7; *Deep Learning and Computer Vision* §4.4.4 "
        "eq. 4-5 to 4-8; *Deep Learning with Python* §7.3.1; *Plain Talk* §7.4",
        note="Course notes §2.3.5 undo it with sqrt(sigma + epsilon): it is sqrt(sigma^2 + epsilon). The chapter credits Szegedy "
        "alone and divides by the variance: Ioffe is the first author, and it is its root.",
    ),
    Entry(
        name="batch normalisation at inference",
        function="normalization.batch_norm_inference",
        backward="normalization.batch_norm_inference_backward",
        formula=r"y = \gamma \frac{x - \mu_r}{\sqrt{\sigma_r^2 + \epsilon}} + \beta",
        derivative=r"\frac{\gamma}{\sqrt{\sigma_r^2 + \epsilon}}",
        fast="torch.nn.BatchNorm2d(...).eval()",
        source="Ioffe and Szegedy 2015, algorithm 2; course notes §2.3.7",
        note="Running statistics move in training alone; the listing of *Plain Talk* §7.4 never runs the update of its.",
    ),
    Entry(
        name="batch renormalisation",
        function="normalization.batch_renorm",
        backward="normalization.batch_renorm_backward",
        formula=r"y = \gamma \left(r \frac{x - \mu_B}{\sigma_B} + d\right) + \beta,\quad "
        r"r = \mathrm{clip}\left(\frac{\sigma_B}{\sigma}\right),\ d = \mathrm{clip}\left(\frac{\mu_B - \mu}{\sigma}\right)",
        derivative=r"\frac{\gamma r}{\sigma_B} \left(g - \overline{g} - \hat{x}\, \overline{g \hat{x}}\right)",
        fast="gradus.nn.BatchRenorm",
        source="Ioffe 2017, algorithm 1; *Deep Learning with Python* §7.3.1",
        note="r and d are constants to the gradient. The paper averages deviations, this variances, as batch norm does.",
    ),
    Entry(
        name="running statistics",
        function="normalization.running_statistics",
        formula=r"\mu_r \leftarrow (1 - \lambda) \mu_r + \lambda \mu,\quad "
        r"\sigma_r^2 \leftarrow (1 - \lambda) \sigma_r^2 + \lambda \frac{m}{m - 1} \sigma^2",
        fast="torch.nn.BatchNorm2d",
        source="Ioffe and Szegedy 2015; course notes §2.3.7",
        note="PyTorch's momentum 0.1 is Keras' 0.9.",
    ),
    Entry(
        name="local response normalisation",
        function="normalization.local_response_normalization",
        backward="normalization.local_response_normalization_backward",
        formula=r"b_i = a_i \left(k + \alpha \sum_{j = \max(0, i - n/2)}^{\min(N - 1, i + n/2)} a_j^2\right)^{-\beta}",
        derivative=r"g_i s_i^{-\beta} - 2 \alpha \beta a_i \sum_j g_j a_j s_j^{-\beta - 1}",
        fast="gradus.nn.LocalResponseNorm",
        source="Krizhevsky et al. 2012 §3.3; *Deep Learning and Computer Vision* §4.3.2 eq. 4-2; *Plain Talk* §6.9",
        note="n is odd and n/2 rounds down. Caffe and PyTorch divide alpha by n (convention 'caffe'). *Plain Talk*'s 'norm1' is "
        "this, not batch norm.",
    ),
)
