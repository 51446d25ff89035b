"""Baselines of tasks on scenes: answers that do not look at the picture. A model that does not beat them has learnt nothing."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gradus.boxes.geometry import pairwise_iou
from gradus.boxes.targets import is_learnt

MOST_BOXES = 20  # of a class in every picture
MOST_FITTED = 5_000  # boxes of a class that clusters are made of


def same_boxes(train: dict[str, Tensor], places: Tensor, classes: int) -> Tensor:
    """The same boxes on every picture, as detections (N, K, 6) in pixels: of each class the centres of k-means over its training
    boxes, as shares of the picture's sides, as many as it has on average where it is.

    The score of a box is the share of training pictures in which an object of its class overlaps it by half.

    train: targets (T, M, 6) and places (T, 6) in pixels of the pictures; places (N, 6): of the pictures to answer for
    """
    from sklearn.cluster import KMeans

    targets, sizes = train["targets"].cpu(), _sizes(train["places"].cpu())
    boxes, learnt = targets[..., :4] / sizes[:, None], is_learnt(targets)
    picture = torch.arange(len(targets))[:, None].expand(learnt.shape)
    rows = []
    for label in range(classes):
        mine = learnt & (targets[..., 4] == label)
        given, owner = boxes[mine], picture[mine]
        if not len(given):
            continue
        usual = round(len(given) / len(owner.unique()))
        chosen = torch.from_numpy(np.random.default_rng(0).permutation(len(given))[:MOST_FITTED])
        number = min(max(usual, 1), MOST_BOXES, len(given[chosen].unique(dim=0)))
        found = KMeans(number, n_init=1, random_state=0).fit(given[chosen].double().numpy()).cluster_centers_
        centres = torch.from_numpy(found).to(given)
        near = pairwise_iou(centres, given) >= 0.5
        scores = torch.stack([torch.tensor(len(owner[row].unique()) / len(targets)) for row in near])
        label_column = torch.full((number, 1), float(label))
        rows.append(torch.cat([centres, label_column, scores.clamp(min=1e-6)[:, None]], dim=1))
    answer = torch.cat(rows) if rows else torch.zeros(0, 6)
    answer = answer[answer[:, 5].argsort(descending=True, stable=True)]
    repeated = answer.expand(len(places), -1, -1).clone()
    repeated[..., :4] *= _sizes(places.cpu())[:, None]
    return repeated


def _sizes(places: Tensor) -> Tensor:
    """(N, 4): width, height, width, height."""
    return places[:, [1, 0, 1, 0]]


def usual_classes(masks: Tensor, classes: int) -> tuple[int, np.ndarray]:
    """Of training masks (T, H, W): the most frequent class of all pixels, and uint8 (H, W) that of each place."""
    counts = np.stack([(masks == label).sum(dim=0).cpu().numpy() for label in range(classes)])
    most = int(counts.sum(axis=(1, 2)).argmax())
    return most, np.where(counts.max(axis=0) > 0, counts.argmax(axis=0), most).astype(np.uint8)
