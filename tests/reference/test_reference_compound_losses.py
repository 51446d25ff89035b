"""Losses made of losses: by their definition in loops, and their gradients by differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numerical import NEAR, differences, normal
from torch.nn import functional

from gradus.reference import compound_losses, losses

quick = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 999)


@quick
@given(st.integers(1, 4), st.integers(1, 4), seeds)
def test_multi_task_sum(rows, tasks, seed):
    random = np.random.default_rng(seed)
    values, weights, mask = (
        random.uniform(size=(rows, tasks)),
        random.uniform(size=tasks),
        random.integers(0, 2, (rows, tasks)),
    )
    by_hand = sum(weights[t] * values[n, t] for n in range(rows) for t in range(tasks) if mask[n, t]) / rows
    assert compound_losses.multi_task(values, weights, mask) == pytest.approx(by_hand, abs=1e-12)
    slope = differences(lambda v: compound_losses.multi_task(v, weights, mask), values)
    np.testing.assert_allclose(compound_losses.multi_task_backward(values, weights, mask), slope, **NEAR)


def test_several_labels_of_a_row_add_up_and_missing_ones_do_not_count():
    """Course notes §3.2.13: (1/m) sum over rows and the four labels that are known."""
    logits, targets = normal(0, 3, 4), np.array([[1.0, 0, 1, 0], [0, 1, 1, 1], [0, 0, 0, 1]])
    mask = np.array([[1, 1, 1, 1], [1, 0, 1, 0], [1, 1, 0, 1]])
    each = np.maximum(logits, 0) - logits * targets + np.log1p(np.exp(-np.abs(logits)))
    wanted = compound_losses.multi_task(each, mask=mask)
    found = losses.binary_cross_entropy_with_logits(logits, targets, mask=mask, divide_by="rows")
    assert found == pytest.approx(wanted) == pytest.approx((each * mask).sum() / 3)


def test_boxes_of_background_cost_nothing():
    classes, boxes = np.array([0.4, 0.9]), np.array([2.0, 7.0])
    is_object = np.array([1, 0])  # u >= 1
    values, mask = np.stack([classes, boxes], axis=1), np.stack([np.ones(2), is_object], axis=1)
    assert compound_losses.multi_task(values, np.array([1.0, 0.5]), mask) == pytest.approx((0.4 + 0.5 * 2 + 0.9) / 2)


def test_auxiliary_sum():
    assert compound_losses.auxiliary_sum(1.0, np.array([2.0, 4.0])) == pytest.approx(2.8)
    main, auxiliaries = compound_losses.auxiliary_sum_backward(1.0, np.array([2.0, 4.0]))
    assert main == 1 and auxiliaries.tolist() == [0.3, 0.3]
    slope = differences(lambda a: compound_losses.auxiliary_sum(1.0, a), np.array([2.0, 4.0]))
    np.testing.assert_allclose(auxiliaries, slope, **NEAR)


@pytest.mark.parametrize("form", ["squared", "mixed"])
@pytest.mark.parametrize("grid", [(), (2, 2)])
def test_localisation_backward(form, grid):
    outputs, targets = normal(0, 3, *grid, 8), np.zeros((3, *grid, 8))
    targets[0, ..., :6] = [1, 0.5, 0.4, 0.2, 0.3, 1]
    targets[2, ..., 6] = 1  # no object: whatever stands there
    slope = differences(lambda a: compound_losses.localisation(a, targets, form), outputs)
    np.testing.assert_allclose(
        compound_losses.localisation_backward(outputs, targets, form), slope, rtol=1e-5, atol=1e-7
    )
    assert not compound_losses.localisation_backward(outputs, targets, form)[1:, ..., 1:].any()


def test_localisation_by_hand():
    wanted = np.array([[1.0, 0.5, 0.7, 0.3, 0.4, 0, 1, 0], [0, 9, 9, 9, 9, 9, 9, 9]])
    outputs = wanted + 0.1
    assert compound_losses.localisation(outputs[:1], wanted[:1]) == pytest.approx(8 * 0.01)
    assert compound_losses.localisation(outputs[1:], wanted[1:]) == pytest.approx(0.01)
    found = compound_losses.localisation(outputs[:1], wanted[:1], "mixed")
    each = (
        functional.binary_cross_entropy_with_logits(torch.tensor(1.1), torch.tensor(1.0))
        + 4 * 0.01
        + functional.cross_entropy(torch.tensor([[0.1, 1.1, 0.1]]), torch.tensor([1]))
    )
    assert found == pytest.approx(each.item(), rel=1e-6)


def test_weighted_error():
    predicted, targets, weights = np.array([0, 1, 1]), np.array([0, 0, 1]), np.array([1.0, 10, 1])
    assert compound_losses.weighted_error(predicted, targets, weights) == pytest.approx(10 / 12)
    assert compound_losses.weighted_error(predicted, targets, np.ones(3)) == pytest.approx(1 / 3)
