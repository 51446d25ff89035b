"""How like two sets of pictures are, from features (N, F) of each: functions on arrays, whatever the features are."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

BLOCK = 16_000_000  # distances that are held together
SHARE_KNOWN = 0.1  # of its share among the data that a class needs to count as covered


def frechet(features: np.ndarray, others: np.ndarray) -> float:
    """The Fréchet distance between the Gaussians with the means and covariances of both (Heusel 2017, in Inception's features).

    It grows as rows get fewer, so only numbers from equally many rows can be compared.
    """
    first, second = features.astype(np.float64), others.astype(np.float64)
    return frechet_distance(first.mean(0), _covariance(first), second.mean(0), _covariance(second))


def _covariance(rows: np.ndarray) -> np.ndarray:
    return np.atleast_2d(np.cov(rows, rowvar=False))


def frechet_distance(mean: np.ndarray, covariance: np.ndarray, other: np.ndarray, others: np.ndarray) -> float:
    """|m - n|² + trace(C + D - 2 (C D)^½) of Gaussians with means (F,) and covariances (F, F) (Dowson and Landau 1982).

    The trace of (C D)^½ is the sum of the singular values of C^½ D^½: no root of a product, so it is exact where C is singular.
    """
    crossed = np.linalg.svd(_root(covariance) @ _root(others), compute_uv=False).sum()
    gap = mean - other
    return max(float(gap @ gap + np.trace(covariance) + np.trace(others) - 2 * crossed), 0.0)


def _root(matrix: np.ndarray) -> np.ndarray:
    """The symmetric root of a symmetric matrix without negative eigenvalues, but for rounding."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def precision_and_recall(real: np.ndarray, made: np.ndarray, neighbours: int = 3) -> tuple[float, float]:
    """Share of `made` that lies within what is real, and of `real` that lies within what is made (Kynkäänniemi 2019).

    A set reaches as far as a ball around each of its points, up to the k-th nearest other one. Give equally many rows of both.
    """
    return _within(made, real, neighbours), _within(real, made, neighbours)


def _within(asked: np.ndarray, points: np.ndarray, neighbours: int) -> float:
    if len(points) <= neighbours:
        raise ValueError(f"{neighbours} neighbours need more than {len(points)} points")
    radii = np.concatenate(  # the nearest is the point itself
        [np.partition(block, neighbours, axis=1)[:, neighbours] for block in _squares(points, points)]
    )
    # a point is within where rounding in float32 leaves that open
    inside = [(block <= radii * (1 + 1e-6)).any(axis=1) for block in _squares(asked, points)]
    return float(np.concatenate(inside).mean())


def nearest(asked: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each row of `asked` (N, F) the number of the nearest row of `points` (M, F), and its Euclidean distance."""
    places = np.concatenate([block.argmin(axis=1) for block in _squares(asked, points)])
    gaps = asked.astype(np.float64) - points[places].astype(np.float64)  # again, exactly
    return places, np.sqrt((gaps**2).sum(axis=1))


def _squares(asked: np.ndarray, points: np.ndarray) -> Iterator[np.ndarray]:
    """Squared distances (n, M), a block of rows at a time; from the mean on, so that float32 does not cancel."""
    middle = points.mean(axis=0, dtype=np.float64).astype(np.float32)
    points = points.astype(np.float32) - middle
    lengths = (points**2).sum(axis=1)
    size = max(1, BLOCK // len(points))
    for start in range(0, len(asked), size):
        rows = asked[start : start + size].astype(np.float32) - middle
        yield np.maximum((rows**2).sum(axis=1)[:, None] + lengths - 2 * rows @ points.T, 0)


def coverage(found: np.ndarray, expected: np.ndarray) -> tuple[int, float]:
    """How many classes occur at least a tenth as often as they should, and how often the rarest does, 1 being as it should.

    found, expected: (C,) shares of classes; those that are not expected do not count.
    """
    asked = expected > 0
    ratios = found[asked] / expected[asked]
    return int((ratios >= SHARE_KNOWN).sum()), float(ratios.min())
