"""Simple methods that learn in a second: what the checks of data hold the data against.

A linear one and the nearest neighbours, on principal components; for tables also trees, which see what only several columns
together tell. Every row is judged by what was learnt without its label (out of fold).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from gradus.data.splits import k_fold
from gradus.doctor.rows import Rows

FOLDS = 5
COMPONENTS = 40
WIDEST = 600  # features whose principal axes are found exactly
NEIGHBOURS = 10
TREES = 40
ADDED = 0.5  # neighbours that each class has before one is looked at

Judge = Callable[[Any], np.ndarray]  # features -> (N, C) probabilities, or (N,) numbers


def out_of_fold(rows: Rows, targets: np.ndarray, num_classes: int | None) -> dict[str, np.ndarray]:
    """Method -> what it says of each row having learnt from the other folds: (R, C) probabilities of classes, or (R,) numbers
    where num_classes is None."""
    found: dict[str, np.ndarray] = {}
    features = reduction(rows)(rows.features)
    for kept, held in k_fold(len(rows), FOLDS, 0, targets if num_classes else None):
        for name, judge in taught(features[kept], targets[kept], num_classes, trees=rows.kind == "numbers").items():
            told = judge(features[held])
            found.setdefault(name, np.zeros((len(rows), *told.shape[1:])))[held] = told
    return found


def taught(features: np.ndarray, targets: np.ndarray, num_classes: int | None, *, trees: bool) -> dict[str, Judge]:
    """Method -> judge, learnt from rows (N, F) as `reduction` gives them."""
    judges = {}
    if num_classes is None:
        judges = {"linear": _ridge(features, targets), "neighbours": _mean_of_neighbours(features, targets)}
    else:
        judges["linear"] = _logistic(features, targets, num_classes)
        judges["neighbours"] = _share_of_neighbours(features, targets, num_classes)
    if trees:
        judges["trees"] = _forest(features, targets, num_classes)
    return judges


def reduction(rows: Rows) -> Judge:
    """What turns features into at most `COMPONENTS` numbers a row, found without any label: standardised columns as they are
    where there are few, otherwise principal components; of words those of TF-IDF, of length 1."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfTransformer

    features = rows.features
    if rows.kind == "texts":
        weights = TfidfTransformer(sublinear_tf=True).fit(features)
        size = max(1, min(2 * COMPONENTS, min(features.shape) - 1))
        turned = TruncatedSVD(size, random_state=0, n_iter=2).fit(weights.transform(features))
        return lambda inputs: _unit(turned.transform(weights.transform(inputs)))
    center, scale = features.mean(axis=0), features.std(axis=0)
    scale = np.where(scale > 1e-6, scale, 1)
    if features.shape[1] <= COMPONENTS:
        return lambda inputs: ((inputs - center) / scale).astype(np.float64)
    divisor = 1 if rows.kind == "pictures" else scale
    whole = ((features - center) / divisor).astype(np.float64)
    axes = np.linalg.eigh(whole.T @ whole)[1][:, : -COMPONENTS - 1 : -1] if whole.shape[1] <= WIDEST else _axes(whole)
    return lambda inputs: ((inputs - center) / divisor) @ axes


def _axes(whole: np.ndarray) -> np.ndarray:
    """(F, K) principal axes of wide rows, about: random projections, sharpened twice (Halko et al. 2011)."""
    drawn = np.random.default_rng(0).normal(size=(whole.shape[0], COMPONENTS + 10))
    for _ in range(2):
        drawn = np.linalg.qr(whole @ (whole.T @ drawn))[0]
    return np.linalg.svd(drawn.T @ whole, full_matrices=False)[2][:COMPONENTS].T


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def _logistic(features: np.ndarray, targets: np.ndarray, num_classes: int) -> Judge:
    from sklearn.linear_model import LogisticRegression

    seen = np.unique(targets)
    shares = np.bincount(targets, minlength=num_classes) / len(targets)
    if len(seen) < 2:
        return lambda inputs: np.repeat(shares[None], len(inputs), axis=0)
    scale = features.std() or 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what has not converged after 100 iterations is good enough here
        model = LogisticRegression(max_iter=100, C=1.0).fit(features / scale, targets)

    def judge(inputs: np.ndarray) -> np.ndarray:
        found = np.zeros((len(inputs), num_classes))
        found[:, seen] = model.predict_proba(inputs / scale)
        return found

    return judge


def nearest(queries: np.ndarray, references: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Distances (Q, count) to the nearest rows of `references`, ascending, and which they are."""
    count = min(count, len(references))
    norms = (references**2).sum(axis=1)
    distances, places = [], []
    for first in range(0, len(queries), 500):
        part = queries[first : first + 500]
        squares = norms - 2 * (part @ references.T) + (part**2).sum(axis=1)[:, None]
        near = np.argpartition(squares, count - 1, axis=1)[:, :count]
        found = np.take_along_axis(squares, near, axis=1)
        order = np.argsort(found, axis=1, kind="stable")
        places.append(np.take_along_axis(near, order, axis=1))
        distances.append(np.sqrt(np.maximum(np.take_along_axis(found, order, axis=1), 0)))
    return np.concatenate(distances), np.concatenate(places)


def _share_of_neighbours(features: np.ndarray, targets: np.ndarray, num_classes: int) -> Judge:
    def judge(inputs: np.ndarray) -> np.ndarray:
        _, near = nearest(inputs, features, NEIGHBOURS)
        votes = np.full((len(inputs), num_classes), ADDED)
        for column in near.T:
            votes[np.arange(len(inputs)), targets[column]] += 1
        return votes / votes.sum(axis=1, keepdims=True)

    return judge


def _mean_of_neighbours(features: np.ndarray, targets: np.ndarray) -> Judge:
    return lambda inputs: targets[nearest(inputs, features, NEIGHBOURS)[1]].mean(axis=1)


def _ridge(features: np.ndarray, targets: np.ndarray) -> Judge:
    from sklearn.linear_model import Ridge

    model = Ridge(alpha=1.0).fit(features, targets)
    return model.predict


def _forest(features: np.ndarray, targets: np.ndarray, num_classes: int | None) -> Judge:
    from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

    if num_classes is None:
        return ExtraTreesRegressor(TREES, min_samples_leaf=2, random_state=0).fit(features, targets).predict
    model = ExtraTreesClassifier(TREES, min_samples_leaf=2, random_state=0).fit(features, targets)

    def judge(inputs: np.ndarray) -> np.ndarray:
        found = np.zeros((len(inputs), num_classes))
        found[:, model.classes_] = model.predict_proba(inputs)
        return found

    return judge
