"""How good forecasts are: errors in the target's own units, without units, and against forecasts that cost nothing."""

from __future__ import annotations

import numpy as np
from torch import Tensor


def pinball(bands: Tensor, targets: Tensor, levels: Tensor) -> Tensor:
    """The quantile loss of bands (B, n, Q) for targets (B, n), levels (Q,): max(q e, (q - 1) e), e = target - band (Koenker and
    Bassett 1978). Its mean is least where the share q of the targets lies below the band. (B, n, Q)."""
    errors = targets[..., None] - bands
    return (levels * errors).maximum((levels - 1) * errors)


def middle(quantiles: tuple[float, ...]) -> int:
    """The place of the quantile that is nearest the median, which stands for the forecast where one number is asked for."""
    return int(np.abs(np.array(quantiles) - 0.5).argmin())


def seasonal_error(values: np.ndarray, season: int, runs: np.ndarray | None = None) -> list[float]:
    """The mean absolute difference of each column of training values (T, K) to what it was one season before: what MASE divides
    by (Hyndman and Koehler 2006, who take it from the training rows). One row before where no run of rows is that long.

    runs: (T,) which run of rows that follow each other a row is of: values of different series are not compared, nor across gaps
    """
    runs = np.zeros(len(values), dtype=np.int64) if runs is None else runs
    for apart in (season, 1):
        errors = np.abs(values[apart:] - values[:-apart])[runs[apart:] == runs[:-apart]]
        if np.isfinite(errors).any():
            break
    return [float(np.nanmean(column)) if np.isfinite(column).any() else 0.0 for column in errors.T]


def measured(
    found: np.ndarray,
    truth: np.ndarray,
    naive_error: list[float],
    bands: np.ndarray | None,
    quantiles: tuple[float, ...],
) -> dict[str, float]:
    """mae, rmse in the target's units; smape, the mean of |e| / (half of |y| + |forecast|) in per cent; mase; of bands pinball
    (mean over the quantiles, in units) and coverage, the share of what came that lies within the outer two.

    found, truth (N, steps, K); bands (N, steps, K, Q).
    """
    errors = found - truth
    metrics = {"mae": float(np.abs(errors).mean()), "rmse": float(np.sqrt((errors**2).mean()))}
    size = (np.abs(found) + np.abs(truth)) / 2
    metrics["smape"] = 100 * float(np.divide(np.abs(errors), size, out=np.zeros_like(size), where=size > 0).mean())
    if min(naive_error) > 0:
        metrics["mase"] = float((np.abs(errors) / np.array(naive_error)).mean())
    if bands is not None:
        above = truth[..., None] - bands
        levels = np.array(quantiles)
        metrics["pinball"] = float(np.maximum(levels * above, (levels - 1) * above).mean())
        metrics["coverage"] = float(((truth >= bands[..., 0]) & (truth <= bands[..., -1])).mean())
    return metrics
