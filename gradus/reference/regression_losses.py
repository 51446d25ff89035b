"""Losses of numbers, with their gradients by the outputs. outputs and targets have the same shape.

A sum weighs each element 1; a mean divides by the number of elements (over all axes; the texts' listings take the last axis,
one number a sample, whose mean over the samples is the same).
"""

from __future__ import annotations

import numpy as np

from gradus.reference.catalogue import Entry

LEAST = (
    1e-6  # MSLE and MAPE clip here. *Principles and Practice* says 10^-6 and writes 10e-6, which is ten times as much
)


def absolute_residuals(outputs: np.ndarray, targets: np.ndarray) -> float:
    """Sum of |residual|. Residuals themselves would cancel (*Plain Talk* §1.2)."""
    return float(np.abs(outputs - targets).sum())


def absolute_residuals_backward(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The sign of the residual; 0 at its corner."""
    return np.sign(outputs - targets)


def squared_residuals(outputs: np.ndarray, targets: np.ndarray, half: bool = False) -> float:
    """Sum of squared residuals; `half` of it has the tidier gradient (*Principles and Practice* eq. 2-4, 2-12)."""
    return float(((outputs - targets) ** 2).sum() / (2 if half else 1))


def squared_residuals_backward(outputs: np.ndarray, targets: np.ndarray, half: bool = False) -> np.ndarray:
    """2 (a - y), of the half a - y."""
    return (outputs - targets) * (1 if half else 2)


def mean_squared_error(outputs: np.ndarray, targets: np.ndarray) -> float:
    """Mean of the squared residuals (*Principles and Practice* eq. 3-7): far-off rows pull the most."""
    return float(((outputs - targets) ** 2).mean())


def mean_squared_error_backward(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    return 2 * (outputs - targets) / outputs.size


def mean_absolute_error(outputs: np.ndarray, targets: np.ndarray) -> float:
    """Mean of |residual| (eq. 3-8). An outlier pulls no more than any other row: it does not "punish outliers"."""
    return float(np.abs(outputs - targets).mean())


def mean_absolute_error_backward(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    return np.sign(outputs - targets) / outputs.size


def mean_squared_logarithmic_error(outputs: np.ndarray, targets: np.ndarray, least: float = LEAST) -> float:
    """Mean of (log(a + 1) - log(y + 1))^2, a and y raised to `least` first: for numbers from 0 on.

    Equation 3-9 omits the + 1, which listing 3-8 has. Negative numbers are all `least`, so the text's range of
    [-10^5, 10^5] is no use of it.
    """
    return float((_log_gap(outputs, targets, least) ** 2).mean())


def mean_squared_logarithmic_error_backward(
    outputs: np.ndarray, targets: np.ndarray, least: float = LEAST
) -> np.ndarray:
    """2 (log(a + 1) - log(y + 1)) / (a + 1) / n; 0 where the output was raised."""
    raised = np.maximum(outputs, least)
    return np.where(outputs > least, 2 * _log_gap(outputs, targets, least) / (raised + 1), 0.0) / outputs.size


def _log_gap(outputs: np.ndarray, targets: np.ndarray, least: float) -> np.ndarray:
    return np.log1p(np.maximum(outputs, least)) - np.log1p(np.maximum(targets, least))


def mean_absolute_percentage_error(outputs: np.ndarray, targets: np.ndarray, least: float = LEAST) -> float:
    """100 times the mean of |y - a| / max(|y|, least). Equation 3-10 divides by y, so negative targets make it negative."""
    return float(100 * (np.abs(targets - outputs) / np.maximum(np.abs(targets), least)).mean())


def mean_absolute_percentage_error_backward(
    outputs: np.ndarray, targets: np.ndarray, least: float = LEAST
) -> np.ndarray:
    return 100 * np.sign(outputs - targets) / np.maximum(np.abs(targets), least) / outputs.size


def huber(outputs: np.ndarray, targets: np.ndarray, delta: float = 1.0) -> float:
    """Mean of e^2/2 where |e| < delta, delta (|e| - delta/2) beyond (Huber 1964)."""
    size = np.abs(outputs - targets)
    return float(np.where(size < delta, size**2 / 2, delta * (size - delta / 2)).mean())


def huber_backward(outputs: np.ndarray, targets: np.ndarray, delta: float = 1.0) -> np.ndarray:
    """The residual, cut off at +-delta."""
    return np.clip(outputs - targets, -delta, delta) / outputs.size


def smooth_l1(outputs: np.ndarray, targets: np.ndarray, beta: float = 1.0) -> float:
    """Mean of e^2/(2 beta) where |e| < beta, |e| - beta/2 beyond (Girshick 2015, eq. 3): `huber` / beta."""
    return huber(outputs, targets, beta) / beta


def smooth_l1_backward(outputs: np.ndarray, targets: np.ndarray, beta: float = 1.0) -> np.ndarray:
    return huber_backward(outputs, targets, beta) / beta


def gaussian_log_likelihood(values: np.ndarray, mean: float, deviation: float) -> float:
    """Sum over t of -log(2 pi s^2)/2 - (x_t - m)^2 / (2 s^2) (*Plain Talk* ch. 10). To be maximised."""
    return float((-np.log(2 * np.pi * deviation**2) / 2 - (values - mean) ** 2 / (2 * deviation**2)).sum())


def gaussian_log_likelihood_backward(values: np.ndarray, mean: float, deviation: float) -> tuple[float, float]:
    """By (mean, deviation): 0 at the mean of the values and at their deviation (divided by n)."""
    residuals = values - mean
    by_deviation = (-1 / deviation + residuals**2 / deviation**3).sum()
    return float(residuals.sum() / deviation**2), float(by_deviation)


CATALOGUE: tuple[Entry, ...] = (
    Entry(
        name="sum of absolute residuals",
        function="regression_losses.absolute_residuals",
        backward="regression_losses.absolute_residuals_backward",
        formula=r"L=\sum_i |a_i-y_i|",
        derivative=r"\frac{\partial L}{\partial a_i}=\operatorname{sgn}(a_i-y_i)",
        range=r"[0,\infty)",
        fast='torch.nn.L1Loss(reduction="sum")',
        source="*Plain Talk* §1.2",
    ),
    Entry(
        name="sum of squared residuals",
        function="regression_losses.squared_residuals",
        backward="regression_losses.squared_residuals_backward",
        formula=r"L=\sum_i (a_i-y_i)^2",
        derivative=r"\frac{\partial L}{\partial a_i}=2(a_i-y_i)",
        range=r"[0,\infty)",
        fast='torch.nn.MSELoss(reduction="sum")',
        source="*Plain Talk* §4.2, §8.2; *Principles and Practice* eq. 2-4, 2-12 (half); course notes §1.2.3",
    ),
    Entry(
        name="mean squared error",
        function="regression_losses.mean_squared_error",
        backward="regression_losses.mean_squared_error_backward",
        formula=r"L=\frac{1}{n}\sum_i (a_i-y_i)^2",
        derivative=r"\frac{\partial L}{\partial a_i}=\frac{2}{n}(a_i-y_i)",
        range=r"[0,\infty)",
        fast="torch.nn.MSELoss",
        source="*Principles and Practice* eq. 3-7; *Deep Learning with Python* §3.6",
        note="Losses of two kinds cannot be compared by their values (§3.2): compare one metric.",
    ),
    Entry(
        name="mean absolute error",
        function="regression_losses.mean_absolute_error",
        backward="regression_losses.mean_absolute_error_backward",
        formula=r"L=\frac{1}{n}\sum_i |a_i-y_i|",
        derivative=r"\frac{\partial L}{\partial a_i}=\frac{1}{n}\operatorname{sgn}(a_i-y_i)",
        range=r"[0,\infty)",
        fast="torch.nn.L1Loss",
        source="*Principles and Practice* eq. 3-8",
        note="Robust: the text has it the other way round.",
    ),
    Entry(
        name="mean squared logarithmic error",
        function="regression_losses.mean_squared_logarithmic_error",
        backward="regression_losses.mean_squared_logarithmic_error_backward",
        formula=r"L=\frac{1}{n}\sum_i (\log(a_i+1)-\log(y_i+1))^2",
        derivative=r"\frac{\partial L}{\partial a_i}=\frac{2}{n}\,\frac{\log(a_i+1)-\log(y_i+1)}{a_i+1}",
        range=r"[0,\infty)",
        fast="gradus.nn.mean_squared_logarithmic_error",
        source="*Principles and Practice* eq. 3-9",
        note="The equation lacks the + 1; 10^-6 is written 10e-6. No gradient where an output is negative.",
    ),
    Entry(
        name="mean absolute percentage error",
        function="regression_losses.mean_absolute_percentage_error",
        backward="regression_losses.mean_absolute_percentage_error_backward",
        formula=r"L=\frac{100}{n}\sum_i \frac{|a_i-y_i|}{\max(|y_i|,10^{-6})}",
        derivative=r"\frac{\partial L}{\partial a_i}=\frac{100}{n}\,\frac{\operatorname{sgn}(a_i-y_i)}{\max(|y_i|,10^{-6})}",
        range=r"[0,\infty)",
        fast="gradus.nn.mean_absolute_percentage_error",
        source="*Principles and Practice* eq. 3-10",
        note="The equation lacks the bars and the clip of the denominator.",
    ),
    Entry(
        name="Huber",
        function="regression_losses.huber",
        backward="regression_losses.huber_backward",
        formula=r"L=\frac{1}{n}\sum_i\begin{cases}\frac{1}{2}e_i^2 & |e_i|<\delta \\ "
        r"\delta(|e_i|-\frac{\delta}{2}) & \text{otherwise}\end{cases}",
        derivative=r"\frac{\partial L}{\partial a_i}=\frac{1}{n}\max(-\delta,\min(\delta,e_i))",
        range=r"[0,\infty)",
        fast="torch.nn.HuberLoss",
        source="Huber 1964",
    ),
    Entry(
        name="smooth L1",
        function="regression_losses.smooth_l1",
        backward="regression_losses.smooth_l1_backward",
        formula=r"L=\frac{1}{n}\sum_i\begin{cases}\frac{1}{2\beta}e_i^2 & |e_i|<\beta \\ "
        r"|e_i|-\frac{\beta}{2} & \text{otherwise}\end{cases}",
        derivative=r"\frac{\partial L}{\partial a_i}=\frac{1}{n}\max(-1,\min(1,\frac{e_i}{\beta}))",
        range=r"[0,\infty)",
        fast="torch.nn.SmoothL1Loss",
        source="Girshick 2015, eq. 3; *Principles and Practice* eq. 5-4",
        note="Huber divided by its threshold; the same where that is 1.",
    ),
    Entry(
        name="Gaussian log-likelihood",
        function="regression_losses.gaussian_log_likelihood",
        backward="regression_losses.gaussian_log_likelihood_backward",
        formula=r"\ell=\sum_t\left(-\frac{1}{2}\ln(2\pi\sigma^2)-\frac{(x_t-\mu)^2}{2\sigma^2}\right)",
        derivative=r"\frac{\partial\ell}{\partial\mu}=\sum_t\frac{x_t-\mu}{\sigma^2}",
        range=r"(-\infty,\infty)",
        fast="torch.nn.GaussianNLLLoss",
        source="*Plain Talk* ch. 10",
        note="A likelihood: to be maximised. Its maximum over the mean is least squares.",
    ),
)
