"""Losses that teach distances: of the same kind near, of different kinds far. With mining, as loops, and gradients.

Embeddings are rows (N, D). Triplet distances are squared Euclidean ones, as in FaceNet (Schroff et al. 2015).
"""

from __future__ import annotations

import numpy as np

from gradus.reference.activations import sigmoid
from gradus.reference.catalogue import Entry
from gradus.reference.losses import binary_cross_entropy_with_logits


def triplet(anchors: np.ndarray, positives: np.ndarray, negatives: np.ndarray, margin: float = 0.2) -> float:
    """Mean over triplets of max(0, d(a, p) - d(a, n) + margin), d = |f(a) - f(p)|^2.

    *Plain Talk* §13.1 prints no max(0, ), without which far negatives pay for near ones for ever. The loss is positive until
    d(a, n) exceeds d(a, p) by the margin, not merely until it exceeds it (course notes §4.4.4).
    """
    if not len(anchors):
        return 0.0
    return float(np.maximum(0, _triplet_gap(anchors, positives, negatives) + margin).mean())


def triplet_backward(
    anchors: np.ndarray, positives: np.ndarray, negatives: np.ndarray, margin: float = 0.2
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """By (anchors, positives, negatives): 2 (n - p), 2 (p - a), 2 (a - n) over T where the loss is positive, else 0."""
    active = (_triplet_gap(anchors, positives, negatives) + margin > 0)[:, None] * 2 / max(len(anchors), 1)
    return active * (negatives - positives), active * (positives - anchors), active * (anchors - negatives)


def _triplet_gap(anchors: np.ndarray, positives: np.ndarray, negatives: np.ndarray) -> np.ndarray:
    return ((anchors - positives) ** 2).sum(axis=1) - ((anchors - negatives) ** 2).sum(axis=1)


def mine_triplets(embeddings: np.ndarray, labels: np.ndarray, mining: str = "semi_hard") -> np.ndarray:
    """(T, 3) rows of (anchor, positive, negative) out of one batch.

    all:       every one there is
    semi_hard: for each anchor and positive the nearest negative that is farther than the positive; where there is none, the
               farthest negative (Schroff et al. 2015, eq. 4, and TensorFlow Addons for the second half)
    hard:      for each anchor the farthest positive and the nearest negative (Hermans et al. 2017, eq. 5). Hard negatives
               alone can drive all embeddings to one point early on (Schroff et al. 2015, §3.2)
    """
    distances = ((embeddings[:, None] - embeddings[None]) ** 2).sum(axis=-1)
    found = []
    for anchor in range(len(labels)):
        positives = [row for row in range(len(labels)) if labels[row] == labels[anchor] and row != anchor]
        negatives = [row for row in range(len(labels)) if labels[row] != labels[anchor]]
        if not positives or not negatives:
            continue
        to = distances[anchor]
        if mining == "all":
            found += [(anchor, positive, negative) for positive in positives for negative in negatives]
        elif mining == "hard":
            found.append((anchor, max(positives, key=to.__getitem__), min(negatives, key=to.__getitem__)))
        else:
            for positive in positives:
                outside = [negative for negative in negatives if to[negative] > to[positive]]
                nearest = min(outside, key=to.__getitem__) if outside else max(negatives, key=to.__getitem__)
                found.append((anchor, positive, nearest))
    return np.array(found, dtype=int).reshape(-1, 3)


def batch_triplet(embeddings: np.ndarray, labels: np.ndarray, margin: float = 0.2, mining: str = "semi_hard") -> float:
    """The mean loss of the triplets that `mine_triplets` takes out of the batch; 0 where there are none."""
    anchors, positives, negatives = embeddings[mine_triplets(embeddings, labels, mining).T]
    return triplet(anchors, positives, negatives, margin)


def batch_triplet_backward(
    embeddings: np.ndarray, labels: np.ndarray, margin: float = 0.2, mining: str = "semi_hard"
) -> np.ndarray:
    """The gradients of the triplets, added up where each row stands. Which triplets are taken is held constant."""
    rows = mine_triplets(embeddings, labels, mining).T
    gradient = np.zeros_like(embeddings)
    anchors, positives, negatives = embeddings[rows]
    for places, part in zip(rows, triplet_backward(anchors, positives, negatives, margin), strict=True):
        np.add.at(gradient, places, part)
    return gradient


def contrastive(first: np.ndarray, second: np.ndarray, same: np.ndarray, margin: float = 1.0) -> float:
    """Mean over pairs of d^2/2 for the same kind and max(0, margin - d)^2/2 for different ones (Hadsell et al. 2006, eq. 4).

    d is the Euclidean distance, not its square. same: (N,) of 1 and 0 (the paper's Y is 1 - same).
    """
    distances = np.linalg.norm(first - second, axis=1)
    apart = np.maximum(0, margin - distances)
    return float((same * distances**2 + (1 - same) * apart**2).mean() / 2)


def contrastive_backward(
    first: np.ndarray, second: np.ndarray, same: np.ndarray, margin: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """By (first, second). Two different rows at one point have no direction to part in: 0."""
    difference = first - second
    distances = np.linalg.norm(difference, axis=1)
    push = np.divide(np.maximum(0, margin - distances), distances, out=np.zeros_like(distances), where=distances > 0)
    by_first = (same - (1 - same) * push)[:, None] * difference / len(first)
    return by_first, -by_first


def pair_features(first: np.ndarray, second: np.ndarray, form: str = "absolute") -> np.ndarray:
    """What a siamese network's last unit sees of two embeddings (N, D): |f - f'|, or (f - f')^2 / (f + f').

    form: "absolute" or "chi_square" (Taigman et al. 2014, §4.1), which needs features from 0 on; 0/0 is 0.
    """
    if form == "absolute":
        return np.abs(first - second)
    total = first + second
    return np.divide((first - second) ** 2, total, out=np.zeros_like(total), where=total != 0)


def chi_square_distance(first: np.ndarray, second: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """(N,): sum over k of w_k (f_k - f'_k)^2 / (f_k + f'_k)."""
    return (pair_features(first, second, "chi_square") * (1.0 if weights is None else weights)).sum(axis=-1)


def verification(
    first: np.ndarray,
    second: np.ndarray,
    weight: np.ndarray,
    bias: float,
    same: np.ndarray,
    form: str = "absolute",
) -> float:
    """Binary cross-entropy of sigmoid(w . features(f, f') + b), 1 for the same person (course notes §4.4.6).

    A larger difference has to make "the same" less probable: learnt weights are negative.
    """
    return binary_cross_entropy_with_logits(pair_features(first, second, form) @ weight + bias, same)


def verification_backward(
    first: np.ndarray,
    second: np.ndarray,
    weight: np.ndarray,
    bias: float,
    same: np.ndarray,
    form: str = "absolute",
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """By (first, second, weight, bias). Of the chi-square features: 1 - 4 f'^2 / (f + f')^2 by f, and the same turned round."""
    features = pair_features(first, second, form)
    error = (sigmoid(features @ weight + bias) - same) / len(same)
    outer = error[:, None] * weight
    if form == "absolute":
        by_first = outer * np.sign(first - second)
        by_second = -by_first
    else:
        total = np.where(first + second == 0, 1.0, first + second)
        there = first + second != 0
        by_first = outer * there * (1 - 4 * second**2 / total**2)
        by_second = outer * there * (1 - 4 * first**2 / total**2)
    return by_first, by_second, features.T @ error, float(error.sum())


CATALOGUE: tuple[Entry, ...] = (
    Entry(
        name="triplet",
        function="metric_losses.triplet",
        backward="metric_losses.triplet_backward",
        formula=r"L=\frac{1}{T}\sum\max(0,\|a-p\|^2-\|a-n\|^2+\alpha)",
        derivative=r"\frac{\partial L}{\partial a}=\frac{2}{T}(n-p)",
        range=r"[0,\infty)",
        fast="gradus.nn.triplet_loss",
        source="Schroff et al. 2015, eq. 2; *Plain Talk* §13.1; course notes §4.4.4",
        note="*Plain Talk* omits max(0, ). torch.nn.TripletMarginLoss takes distances that are not squared.",
    ),
    Entry(
        name="triplet, mined from a batch",
        function="metric_losses.batch_triplet",
        backward="metric_losses.batch_triplet_backward",
        formula=r"L=\frac{1}{|M|}\sum_{(a,p,n)\in M}\max(0,\|a-p\|^2-\|a-n\|^2+\alpha)",
        range=r"[0,\infty)",
        fast="gradus.nn.batch_triplet_loss",
        source="Schroff et al. 2015, §3.2; Hermans et al. 2017, eq. 5; course notes §4.4.5",
        note="M: all triplets, the semi-hard ones, or the hardest of each anchor.",
    ),
    Entry(
        name="contrastive",
        function="metric_losses.contrastive",
        backward="metric_losses.contrastive_backward",
        formula=r"L=\frac{1}{2N}\sum[s\,d^2+(1-s)\max(0,m-d)^2]",
        derivative=r"\frac{\partial L}{\partial f}=\frac{1}{N}(s-(1-s)\frac{\max(0,m-d)}{d})(f-f')",
        range=r"[0,\infty)",
        fast="gradus.nn.contrastive_loss",
        source="Hadsell et al. 2006, eq. 4",
        note="s = 1 for the same kind.",
    ),
    Entry(
        name="chi-square distance",
        function="metric_losses.chi_square_distance",
        formula=r"\chi^2(f,f')=\sum_k w_k\frac{(f_k-f'_k)^2}{f_k+f'_k}",
        derivative=r"\frac{\partial\chi^2}{\partial f_k}=w_k(1-\frac{4f_k'^2}{(f_k+f'_k)^2})",
        fast="gradus.nn.pair_features",
        source="Taigman et al. 2014, §4.1; course notes §4.4.6",
        note="For features from 0 on. Its gradient stands in `verification_backward`.",
    ),
    Entry(
        name="siamese verification",
        function="metric_losses.verification",
        backward="metric_losses.verification_backward",
        formula=r"\hat{y}=\sigma(\sum_k w_k|f_k-f'_k|+b)",
        derivative=r"\frac{\partial L}{\partial w_k}=\frac{1}{N}\sum(\hat{y}-y)|f_k-f'_k|",
        range=r"[0,\infty)",
        fast="gradus.nn.PairVerification",
        source="course notes §4.4.6; Taigman et al. 2014, §4",
        note="Loss: binary cross-entropy. |f - f'| or the chi-square features.",
    ),
)
