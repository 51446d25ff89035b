"""The head of R-CNN and SPP-Net is what scikit-learn solves."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.linear_model import Ridge
from sklearn.svm import LinearSVC

from gradus.models.detection import solved_head
from gradus.models.detection.solved_head import Collected, SolvedHead, collect


def rows(count: int = 120) -> Collected:
    """Regions of two classes: features point to the class as far as they overlap its object."""
    random = np.random.default_rng(0)
    overlaps = np.clip(random.random((count, 2)) * [[1.2, 0.4]], 0, 0.9)
    overlaps[: count // 2] = overlaps[: count // 2, ::-1]
    given = np.full(count, -1)
    given[:10], given[-10:] = 1, 0
    overlaps[:10], overlaps[-10:] = (0, 1), (1, 0)
    features = np.concatenate([overlaps, random.normal(0, 0.2, (count, 3))], axis=1).astype(np.float32)
    deltas = np.stack([overlaps[:, :1] * [[1, 2, 3, 4]], overlaps[:, 1:] * [[4, 3, 2, 1]]], axis=1).astype(np.float32)
    return Collected(features, overlaps.astype(np.float32), deltas, given)


def test_scores_are_the_machine_s_and_boxes_the_regression_s() -> None:
    head, found = SolvedHead(5, 2), rows()
    said = head.solve(found)
    assert "10 given" in said
    features = torch.from_numpy(found.features)
    scaled = found.features.astype(np.float64) * (20 / np.linalg.norm(found.features.astype(np.float64), axis=1).mean())
    given, negative = found.given == 1, (found.overlaps[:, 1] < 0.3) & (found.given < 0)
    machine = LinearSVC(
        C=0.001, loss="hinge", class_weight={1: 2.0}, intercept_scaling=10, random_state=0, max_iter=20_000
    )
    chosen = np.concatenate([np.flatnonzero(given), np.random.default_rng(0).permutation(np.flatnonzero(negative))])
    machine.fit(scaled[chosen], given[chosen].astype(int))
    np.testing.assert_allclose(
        head.margins(features)[:, 1].numpy(), machine.decision_function(scaled), rtol=1e-3, atol=1e-3
    )
    near = found.overlaps[:, 0] > 0.6
    ridge = Ridge(alpha=1000).fit(scaled[near], found.deltas[near, 0])
    np.testing.assert_allclose(head.box_weight[0].numpy(), ridge.coef_, rtol=1e-4, atol=1e-6)
    regions = torch.tensor([[0.0, 0, 10, 10]]).expand(len(features), 4)
    moved = head.boxes(features, regions)[:, 0]
    centres = (moved[:, 0] + moved[:, 2]) / 2
    np.testing.assert_allclose(centres.numpy(), 5 + 10 * ridge.predict(scaled)[:, 0], rtol=1e-3)


def test_scores_rise_with_the_margin_and_say_how_often_it_is_right() -> None:
    head, found = SolvedHead(5, 2), rows(400)
    head.solve(found)
    margins, scores = (one(torch.from_numpy(found.features)) for one in (head.margins, head.scores))
    for number in range(2):
        assert (scores[margins[:, number].argsort(), number].diff() > 0).float().mean() > 0.9
        assert (scores[margins[:, number].argsort(), number].diff() >= 0).all()
    right = torch.from_numpy(found.overlaps >= 0.5).float()
    torch.testing.assert_close(scores.mean(dim=0), right.mean(dim=0), rtol=0.02, atol=0.01)


def test_hard_negatives_are_added_until_none_is_new(monkeypatch) -> None:
    monkeypatch.setattr(solved_head, "BEGIN", 5)
    found = rows()
    positive, negative = found.given == 0, (found.overlaps[:, 0] < 0.3) & (found.given < 0)
    scaled = found.features.astype(np.float64) * 20
    weight, bias, rounds = solved_head._machine(scaled, positive, negative)
    assert rounds > 1
    assert (scaled[positive] @ weight + bias).min() > (scaled[negative] @ weight + bias).mean()


def test_a_class_without_examples_says_no() -> None:
    head, found = SolvedHead(5, 3), rows()
    more = np.concatenate([found.overlaps, np.zeros((len(found.given), 1), np.float32)], axis=1)
    deltas = np.concatenate([found.deltas, np.zeros((len(found.given), 1, 4), np.float32)], axis=1)
    head.solve(Collected(found.features, more, deltas, found.given))
    scores = head.scores(torch.from_numpy(found.features))
    assert (scores[:, 2] < 0.001).all()
    assert all(torch.isfinite(buffer).all() for buffer in head.buffers())


def test_rows_are_collected_by_class_without_ignored_and_empty_ones() -> None:
    objects = torch.tensor([[[0.0, 0, 10, 10, 1, 0], [50, 50, 60, 60, 0, 1], [0, 0, 0, 0, -1, 0]]])
    proposals = torch.tensor([[[0.0, 0, 10, 8], [51, 50, 60, 60], [0, 0, 0, 0], [20, 20, 30, 30]]])
    features = torch.arange(7.0).view(1, 7, 1)
    found = collect([(features, objects, proposals)], 2)
    assert found.features[:, 0].tolist() == [0, 3, 6]  # the object, what lies on it, what lies nowhere
    assert found.given.tolist() == [1, -1, -1]
    np.testing.assert_allclose(found.overlaps, [[0, 1], [0, 0.8], [0, 0]])
    np.testing.assert_allclose(found.deltas[1, 1], [0, 1 / 8, 0, np.log(10 / 8)], rtol=1e-5)
