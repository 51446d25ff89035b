"""Lessons on classes and measures: against hand calculation, scikit-learn and PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pages import shown
from sklearn import metrics

from gradus.lessons import confusion_and_f1 as confusion
from gradus.lessons import softmax_and_classes as classes


def test_confusion_numbers():
    found = shown("confusion-and-f1")[0]
    assert found["recall_cat"] == pytest.approx(0.9)
    assert found["recall_rabbit"] == pytest.approx(550 / 600)
    assert found["precision_dog"] == pytest.approx(200 / 240)
    assert found["accuracy"] == pytest.approx(0.93)
    assert found["always_f1"] == pytest.approx(1 / 3)
    assert (found["plain_A"], found["plain_B"]) == (pytest.approx(0.03), pytest.approx(0.05))
    assert found["weighted_A"] == pytest.approx(
        120 / 1180
    )  # 10 offensive at 10, 20 others; 20 offensive weigh 200 of 1180
    assert found["weighted_B"] == pytest.approx(50 / 1180)
    assert found["chosen_f1"] == 0.92


def test_measures_are_scikit_learns():
    truth, answers = (
        np.concatenate(
            [
                np.full(count, k)
                for (row, column), count in np.ndenumerate(confusion.CONFUSION)
                for k in [(row, column)[side]]
            ]
        )
        for side in (0, 1)
    )
    np.testing.assert_array_equal(metrics.confusion_matrix(truth, answers), confusion.CONFUSION)
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(truth, answers)
    np.testing.assert_allclose(confusion.harmonic_mean(precision, recall), f1)
    assert confusion.harmonic_mean(0.0, 0.0) == 0


def test_the_limit_decides():
    assert confusion.best_within(confusion.NETWORKS, 100) == "second"
    assert confusion.best_within(confusion.NETWORKS, 90) == "first"
    assert confusion.best_within(confusion.NETWORKS, 2000) == "third"


def test_softmax_numbers():
    found = shown("softmax-and-classes")[0]
    exponentials = np.exp([5.0, 2.0, -1.0, 3.0])
    assert found["largest_share"] == pytest.approx(exponentials[0] / exponentials.sum())
    assert found["shift_change"] < 1e-12
    assert found["sigmoid_gap"] < 1e-12
    assert found["loss"] == pytest.approx(1.609, abs=1e-3)
    assert found["loss_even"] == pytest.approx(np.log(4))
    assert found["gradient_gap"] < 1e-8
    for count in classes.CLASSES:
        assert found[f"accuracy_{count}"] > 0.9
    assert found["push_cross_entropy"] > 0.999
    assert found["push_squared"] < 0.01


def test_the_push_of_the_squared_error_is_autograds():
    lead = torch.tensor(-8.0, dtype=torch.float64, requires_grad=True)
    shares = torch.softmax(torch.stack([lead, torch.zeros_like(lead)]), dim=0)
    ((shares - torch.tensor([1.0, 0.0], dtype=torch.float64)) ** 2).sum().backward()
    found = shown("softmax-and-classes")[0]["push_squared"]
    assert found == pytest.approx(-lead.grad.item(), rel=1e-9)


def test_borders_of_a_linear_softmax_are_straight():
    """On a straight line between two points of one region there is no other region: the regions are convex."""
    points, labels = classes.rings(5)
    weight, bias = classes.train(points, labels, 5)
    generator = np.random.default_rng(0)
    ends = generator.uniform(-4, 4, (500, 2, 2))
    chosen = (ends @ weight + bias).argmax(axis=-1)
    between = ((ends[:, :1] + (ends[:, 1:] - ends[:, :1]) * np.linspace(0, 1, 9)[:, None]) @ weight + bias).argmax(
        axis=-1
    )
    same = chosen[:, 0] == chosen[:, 1]
    assert same.sum() > 50
    assert (between[same] == chosen[same, :1]).all()
