"""The head of R-CNN and SPP-Net: linear support vector machines and box regressors on the features of a network that is trained
no more. They are solved by scikit-learn once the training has ended (`finish`), and are then part of the weights.

As in R-CNN (Girshick et al. 2014, appendices B and C): features are scaled to a mean length of 20; for each class the given boxes
are positive and the regions that overlap no object of it by 0.3 are negative, of which those are added, round by round, that the
machine has wrong or nearly wrong (hard negative mining); the boxes are ridge regressions on the regions that overlap an object by
0.6, with lambda 1000. A machine's score has no unit: a logistic curve (Platt 1999), fitted to whether regions overlap an object
of the class by 0.5, brings it to 0..1. It rises, so that the order within a class, and with it average precision, stays.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from gradus.boxes.coding import decode_boxes, encode_boxes
from gradus.boxes.geometry import areas, pairwise_iou
from gradus.boxes.targets import is_learnt, labels_of
from gradus.models.detection.region_head import match_regions, take

LENGTH = 20.0  # of the mean feature vector
PENALTY = 0.001  # C of the machines
POSITIVE_WEIGHT = 2.0
RIDGE = 1000.0
NEGATIVE, REGRESSED, FOUND = 0.3, 0.6, 0.5  # overlaps: see above
ROUNDS = 4  # of mining, at most
BEGIN = 2000  # negatives of the first round
NEVER = 10.0  # the margin, on the wrong side, of a class without examples


class SolvedHead(nn.Module):
    """F features -> scores and boxes of K classes. Its numbers are buffers: nothing descends to them."""

    solved: Tensor
    scale: Tensor
    weight: Tensor
    bias: Tensor
    curve: Tensor
    box_weight: Tensor
    box_bias: Tensor

    def __init__(self, features: int, num_classes: int) -> None:
        super().__init__()
        self.register_buffer("solved", torch.zeros(1))  # 1 once `solve` was called
        self.register_buffer("scale", torch.ones(1))
        self.register_buffer("weight", torch.zeros(num_classes, features))
        self.register_buffer("bias", torch.zeros(num_classes))
        self.register_buffer(
            "curve", torch.tensor([[1.0, 0.0]]).repeat(num_classes, 1)
        )  # probability = sigmoid(a s + b)
        self.register_buffer("box_weight", torch.zeros(num_classes, 4, features))
        self.register_buffer("box_bias", torch.zeros(num_classes, 4))

    def margins(self, features: Tensor) -> Tensor:
        """(..., F) -> (..., K): the machines' own scores, 1 and -1 at the margins."""
        return (features * self.scale).float() @ self.weight.T + self.bias

    def scores(self, features: Tensor) -> Tensor:
        """(..., F) -> (..., K) from 0 to 1."""
        return (self.margins(features) * self.curve[:, 0] + self.curve[:, 1]).sigmoid()

    def boxes(self, features: Tensor, regions: Tensor) -> Tensor:
        """(..., F) and boxes (..., 4) -> (..., K, 4)."""
        deltas = (features * self.scale).float() @ self.box_weight.flatten(0, 1).T + self.box_bias.flatten()
        return decode_boxes(deltas.unflatten(-1, (-1, 4)), regions[..., None, :])

    def solve(self, collected: Collected) -> str:
        """Sets all its numbers from regions and their features; returns what was done in words."""
        features = collected.features.astype(np.float64)
        scale = LENGTH / max(float(np.linalg.norm(features, axis=1).mean()) if len(features) else 0.0, 1e-9)
        features *= scale
        self.scale.fill_(scale)
        told = []
        for number in range(len(self.bias)):
            given, overlap = collected.given == number, collected.overlaps[:, number]
            weight, bias, rounds = _machine(features, given, (overlap < NEGATIVE) & (collected.given < 0))
            _set(self.weight[number], weight)
            _set(self.bias[number], bias)
            _set(self.curve[number], _curve(features @ weight + bias, overlap >= FOUND))
            near = overlap > REGRESSED
            weights, biases = _regression(features[near], collected.deltas[near, number])
            _set(self.box_weight[number], weights)
            _set(self.box_bias[number], biases)
            told.append(f"{int(given.sum())} given, {rounds} rounds")
        self.solved.fill_(1)
        return f"support vector machines and box regressions solved on {len(features):,} regions ({'; '.join(told)})"


@dataclass(frozen=True)
class Collected:
    """Regions of the training pictures, N in all: features (N, F); overlaps (N, K), with the best object of each class; deltas
    (N, K, 4) that lead to it; given (N,): the class of a region that is a given box, -1 for proposals."""

    features: np.ndarray
    overlaps: np.ndarray
    deltas: np.ndarray
    given: np.ndarray


def collect(batches: Iterable[tuple[Tensor, Tensor, Tensor]], num_classes: int) -> Collected:
    """batches: features (B, M + P, F), objects (B, M, 6), proposals (B, P, 4); features of the objects' boxes stand first."""
    parts = []
    for features, objects, proposals in batches:
        regions = torch.cat([objects[..., :4], proposals], dim=1)
        learnt = is_learnt(objects)
        given = torch.full(regions.shape[:2], -1, device=regions.device)
        given[:, : objects.shape[1]] = torch.where(learnt, labels_of(objects), -1)
        usable = ~match_regions(regions, objects).spoilt
        usable[:, : objects.shape[1]] = learnt
        overlaps, deltas = [], []
        for number in range(num_classes):
            mine = learnt & (labels_of(objects) == number)
            best, which = torch.where(mine[:, None], pairwise_iou(regions, objects[..., :4]), 0).max(dim=2)
            overlaps.append(best)
            deltas.append(encode_boxes(take(objects[..., :4], which), regions))
        rows = usable & (areas(regions) > 0)
        found = (features, torch.stack(overlaps, dim=2), torch.stack(deltas, dim=2), given)
        parts.append([part[rows].float().cpu().numpy() for part in found])
    return Collected(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _machine(features: np.ndarray, positive: np.ndarray, negative: np.ndarray) -> tuple[np.ndarray, float, int]:
    """Weights, bias and how many rounds of mining there were. Without both kinds of rows it says no to everything."""
    from sklearn.svm import LinearSVC

    if not positive.any() or not negative.any():
        return np.zeros(features.shape[1]), -NEVER, 0
    candidates = np.flatnonzero(negative)
    chosen = np.random.default_rng(0).permutation(candidates)[:BEGIN]
    machine, rounds = None, 0
    while rounds < ROUNDS:
        rounds += 1
        rows = np.concatenate([np.flatnonzero(positive), chosen])
        machine = LinearSVC(
            C=PENALTY,
            loss="hinge",
            class_weight={1: POSITIVE_WEIGHT},
            intercept_scaling=10,
            random_state=0,
            max_iter=20_000,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a machine that is not quite at its optimum serves as well
            machine.fit(features[rows], positive[rows].astype(int))
        hard = candidates[machine.decision_function(features[candidates]) > -1]
        new = np.setdiff1d(hard, chosen)
        if not len(new):
            break
        chosen = np.concatenate([chosen, new])
    assert machine is not None
    return machine.coef_[0], float(machine.intercept_[0]), rounds


def _curve(margins: np.ndarray, right: np.ndarray) -> tuple[float, float]:
    """Slope and offset of the logistic curve that tells from a margin how likely the region is right. Weakly held back, so that
    where both kinds can be told apart its scores do not all become 0 and 1."""
    from sklearn.linear_model import LogisticRegression

    if not right.any() or right.all():
        return 1.0, 0.0
    fitted = LogisticRegression().fit(margins[:, None], right.astype(int))
    slope = float(fitted.coef_[0, 0])
    return (slope, float(fitted.intercept_[0])) if slope > 0 else (1.0, 0.0)


def _regression(features: np.ndarray, deltas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights (4, F) and biases (4,); without rows nothing is moved."""
    from sklearn.linear_model import Ridge

    if not len(features):
        return np.zeros((4, features.shape[1])), np.zeros(4)
    fitted = Ridge(alpha=RIDGE).fit(features, deltas)
    return fitted.coef_, fitted.intercept_


def _set(tensor: Tensor, values: object) -> None:
    tensor.copy_(torch.as_tensor(values))
