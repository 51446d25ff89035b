"""Losses of the reference: by PyTorch in float64, their gradients by differences, and what the texts print of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from by_differences import FLOAT64, NEAR, differences, normal
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from gradus.reference import compound_losses, losses, regression_losses
from gradus.reference.activations import log_softmax, sigmoid, softmax

quick = settings(max_examples=25, deadline=None)
shapes = st.lists(st.integers(1, 3), min_size=1, max_size=3)
seeds = st.integers(0, 999)

# ours, its gradient, PyTorch's
OF_NUMBERS = (
    (
        losses.absolute_residuals,
        losses.absolute_residuals_backward,
        lambda a, y: functional.l1_loss(a, y, reduction="sum"),
    ),
    (
        losses.squared_residuals,
        losses.squared_residuals_backward,
        lambda a, y: functional.mse_loss(a, y, reduction="sum"),
    ),
    (
        losses.mean_squared_error,
        losses.mean_squared_error_backward,
        functional.mse_loss,
    ),
    (
        losses.mean_absolute_error,
        losses.mean_absolute_error_backward,
        functional.l1_loss,
    ),
    (
        losses.mean_squared_logarithmic_error,
        losses.mean_squared_logarithmic_error_backward,
        lambda a, y: ((a.clamp(min=1e-6) + 1).log() - (y.clamp(min=1e-6) + 1).log()).square().mean(),
    ),
    (
        losses.mean_absolute_percentage_error,
        losses.mean_absolute_percentage_error_backward,
        lambda a, y: 100 * ((a - y).abs() / y.abs()).mean(),
    ),
    (
        losses.huber,
        losses.huber_backward,
        functional.huber_loss,
    ),
    (
        losses.smooth_l1,
        losses.smooth_l1_backward,
        functional.smooth_l1_loss,
    ),
)


def hold(function, backward, torch_function, outputs, targets, **arguments):
    """Value and gradient are PyTorch's, and the gradient is that of differences."""
    tensor = torch.tensor(outputs, requires_grad=True)
    value = torch_function(tensor, torch.tensor(targets))
    value.backward()
    assert function(outputs, targets, **arguments) == pytest.approx(value.item(), rel=1e-12, abs=1e-12)
    found = backward(outputs, targets, **arguments)
    np.testing.assert_allclose(found, tensor.grad, rtol=1e-10, atol=1e-12)
    wanted = differences(lambda a: function(a, targets, **arguments), outputs)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("function", "backward", "theirs"), OF_NUMBERS, ids=lambda value: getattr(value, "__name__", "")
)
@quick
@given(shape=shapes, seed=seeds)
def test_losses_of_numbers(function, backward, theirs, shape, seed):
    targets = normal(seed, *shape)
    targets = targets + np.where(targets < 0, -0.1, 0.1)
    gap = normal(seed + 1, *shape)
    gap = np.where(np.abs(np.abs(gap) - 1) < 1e-3, 0.5, gap + np.where(gap < 0, -0.01, 0.01))  # off 0 and 1
    outputs = targets + gap
    outputs = np.where(np.abs(outputs) < 1e-3, 0.01, outputs)  # off the corner of MSLE
    hold(function, backward, theirs, outputs, targets)


@quick
@given(st.floats(0.1, 3), seeds)
def test_huber_and_smooth_l1_at_any_threshold(threshold, seed):
    outputs, targets = 2 * normal(seed, 6), normal(seed + 1, 6)
    for name in ("huber", "smooth_l1"):
        tensor = torch.tensor(outputs, requires_grad=True)
        argument = {"delta": threshold} if name == "huber" else {"beta": threshold}
        value = getattr(functional, f"{name}_loss")(tensor, torch.tensor(targets), **argument)
        value.backward()
        assert getattr(losses, name)(outputs, targets, threshold) == pytest.approx(value.item(), rel=1e-12)
        found = getattr(losses, f"{name}_backward")(outputs, targets, threshold)
        np.testing.assert_allclose(found, tensor.grad, **FLOAT64)


def test_losses_of_numbers_by_hand():
    outputs, targets = np.array([3.0, -1.0]), np.array([1.0, 2.0])
    assert losses.absolute_residuals(outputs, targets) == 5
    assert losses.squared_residuals(outputs, targets) == 13
    assert losses.squared_residuals(outputs, targets, half=True) == 6.5
    np.testing.assert_array_equal(losses.squared_residuals_backward(outputs, targets, half=True), outputs - targets)
    assert losses.mean_absolute_error(outputs, targets) == 2.5
    assert losses.mean_squared_error(outputs, targets) == 6.5
    assert losses.huber(outputs, targets) == (1.5 + 2.5) / 2
    # 1/2 x^2 inside, |x| - 1/2 beyond (eq. 5-4)
    assert losses.smooth_l1(np.array([0.5, 2.0]), np.zeros(2)) == (0.125 + 1.5) / 2


def test_residuals_of_both_signs_would_cancel():
    outputs, targets = np.array([2.0, 0.0]), np.array([1.0, 1.0])
    assert (outputs - targets).sum() == 0 and losses.absolute_residuals(outputs, targets) == 2


def test_msle_has_one_added_and_its_clip_is_a_millionth():
    outputs, targets = np.array([math.e**2 - 1, 0.0]), np.array([0.0, 0.0])
    assert losses.mean_squared_logarithmic_error(outputs, targets) == pytest.approx(2, rel=1e-5)
    assert regression_losses.LEAST == 1e-6 != 10e-6
    # at a negative number it is what it is at the clip, and does not fail: logarithms of the printed range do
    assert losses.mean_squared_logarithmic_error(np.array([-1e5]), np.array([1.0])) == pytest.approx(
        (math.log1p(1e-6) - math.log(2)) ** 2
    )
    assert losses.mean_squared_logarithmic_error_backward(np.array([-1e5]), np.array([1.0])) == 0


def test_mape_needs_the_bars_of_its_denominator():
    outputs, targets = np.array([-8.0, 11.0]), np.array([-10.0, 10.0])
    assert losses.mean_absolute_percentage_error(outputs, targets) == pytest.approx((20 + 10) / 2)
    as_printed = 100 * (np.abs(targets - outputs) / targets).mean()
    assert as_printed == pytest.approx(-5)
    assert losses.mean_absolute_percentage_error(np.array([1e-6]), np.zeros(1)) == pytest.approx(100)  # clipped


def test_an_outlier_pulls_squares_and_not_absolute_values():
    targets = np.array([1.0, 1.0, 1.0, 101.0])
    outputs = np.ones(4)
    by_squares = np.abs(losses.mean_squared_error_backward(outputs + 1, targets))
    by_bars = np.abs(losses.mean_absolute_error_backward(outputs + 1, targets))
    assert by_squares[3] / by_squares[0] == pytest.approx(99) and by_bars[3] == by_bars[0]
    # so the constant of least loss is the mean for squares, the median for absolute values
    constants = np.linspace(0, 101, 1011)
    best = [
        constants[np.argmin([loss(np.full(4, c), targets) for c in constants])]
        for loss in (losses.mean_squared_error, losses.mean_absolute_error)
    ]
    np.testing.assert_allclose(best, [26, 1], atol=1e-9)


@quick
@given(seeds)
def test_gaussian_log_likelihood(seed):
    values = normal(seed, 7)
    dense = -0.5 * np.log(2 * np.pi * 0.49) - (values - 0.3) ** 2 / 0.98
    assert losses.gaussian_log_likelihood(values, 0.3, 0.7) == pytest.approx(dense.sum(), rel=1e-12)
    found = losses.gaussian_log_likelihood_backward(values, 0.3, 0.7)
    slope = differences(lambda p: losses.gaussian_log_likelihood(values, p[0], p[1]), np.array([0.3, 0.7]))
    np.testing.assert_allclose(found, slope, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        losses.gaussian_log_likelihood_backward(values, values.mean(), values.std()), 0, atol=1e-9
    )


# Two classes


@quick
@given(shapes, seeds)
def test_binary_cross_entropy(shape, seed):
    random = np.random.default_rng(seed)
    probabilities, targets = random.uniform(0.05, 0.95, shape), random.uniform(size=shape)
    hold(
        losses.binary_cross_entropy,
        losses.binary_cross_entropy_backward,
        functional.binary_cross_entropy,
        probabilities,
        targets,
    )
    logits = np.log(probabilities / (1 - probabilities))
    hold(
        losses.binary_cross_entropy_with_logits,
        losses.binary_cross_entropy_with_logits_backward,
        functional.binary_cross_entropy_with_logits,
        logits,
        targets,
    )
    one, other = (
        losses.binary_cross_entropy(probabilities, targets),
        losses.binary_cross_entropy_with_logits(logits, targets),
    )
    assert one == pytest.approx(other, rel=1e-10)


@quick
@given(st.integers(1, 4), st.integers(1, 4), st.sampled_from(["known", "rows"]), seeds)
def test_weighted_and_masked_binary_cross_entropy(rows, labels, divide_by, seed):
    random = np.random.default_rng(seed)
    logits, targets = random.normal(size=(rows, labels)), random.integers(0, 2, (rows, labels)).astype(float)
    weights, mask = random.uniform(0.5, 2, labels), random.integers(0, 2, (rows, labels))
    number = max(mask.sum(), 1) if divide_by == "known" else rows

    def with_torch(z, y):
        each = functional.binary_cross_entropy_with_logits(z, y, torch.tensor(weights), reduction="none")
        return (each * torch.tensor(mask)).sum() / number

    hold(
        losses.binary_cross_entropy_with_logits,
        losses.binary_cross_entropy_with_logits_backward,
        with_torch,
        logits,
        targets,
        weights=weights,
        mask=mask,
        divide_by=divide_by,
    )


def test_the_bracket_belongs_around_both_terms():
    probabilities, targets = np.array([0.2]), np.array([0.0])
    printed = -targets * np.log(probabilities) + (1 - targets) * np.log(1 - probabilities)
    assert printed < 0 < losses.binary_cross_entropy(probabilities, targets) == pytest.approx(-math.log(0.8))


def test_binary_cross_entropy_at_the_ends():
    sure = np.array([0.0, 1.0])
    assert losses.binary_cross_entropy(sure, sure) == pytest.approx(0, abs=1e-11)
    assert losses.binary_cross_entropy(sure, 1 - sure) == pytest.approx(12 * math.log(10), rel=1e-4)
    assert not losses.binary_cross_entropy_backward(sure, 1 - sure).any()
    far = np.array([-1e4, 1e4])
    assert losses.binary_cross_entropy_with_logits(far, np.array([1.0, 0.0])) == 1e4
    np.testing.assert_array_equal(
        losses.binary_cross_entropy_with_logits_backward(far, np.array([1.0, 0.0])), [-0.5, 0.5]
    )


def test_the_gradient_of_logistic_regression_is_the_printed_one():
    """dL/dw_j = (1/n) sum x_j (sigma(z) - y), z = w x + b: sigma is taken of z, not of x (*Plain Talk* §6.8.2)."""
    inputs, weight, targets = normal(0, 6, 3), normal(1, 3), np.array([0.0, 1, 1, 0, 1, 0])
    slope = differences(lambda w: losses.binary_cross_entropy(sigmoid(inputs @ w), targets), weight)
    np.testing.assert_allclose(inputs.T @ (sigmoid(inputs @ weight) - targets) / 6, slope, **NEAR)


def test_a_wrong_output_learns_faster_by_cross_entropy_than_by_squares():
    logit = np.array([-6.0])  # should be 1
    by_squares = losses.mean_squared_error_backward(sigmoid(logit), np.ones(1)) * sigmoid(logit) * sigmoid(-logit)
    by_entropy = losses.binary_cross_entropy_with_logits_backward(logit, np.ones(1))
    assert abs(by_entropy) > 0.99 and abs(by_squares) < 0.01


def test_squares_of_a_sigmoid_are_not_convex_and_cross_entropy_is():
    weights = np.linspace(-6, 6, 101)
    bends = {}
    for loss in (losses.mean_squared_error, losses.binary_cross_entropy):
        curve = np.array([loss(sigmoid(np.array([w])), np.ones(1)) for w in weights])
        bends[loss] = np.diff(curve, 2).min()
    assert bends[losses.mean_squared_error] < -1e-4 and bends[losses.binary_cross_entropy] > 0


@quick
@given(st.integers(1, 6), seeds)
def test_likelihood_is_to_be_maximised_and_its_logarithm_is_the_loss(rows, seed):
    random = np.random.default_rng(seed)
    probabilities, targets = random.uniform(0.1, 0.9, rows), random.integers(0, 2, rows).astype(float)
    value = losses.likelihood(probabilities, targets)
    assert value == pytest.approx(math.exp(-rows * losses.binary_cross_entropy(probabilities, targets)), rel=1e-9)
    slope = differences(lambda p: losses.likelihood(p, targets), probabilities)
    found = losses.likelihood_backward(probabilities, targets)
    np.testing.assert_allclose(found, slope, **NEAR)
    better = np.clip(probabilities + 0.05 * np.sign(targets - 0.5), 0, 1)
    assert losses.likelihood(better, targets) > value  # better outputs make it larger: no loss


def test_the_likelihood_of_one_probability_is_that_of_bernoulli():
    targets = np.array([1.0, 0, 1, 1, 0])
    assert losses.likelihood(np.full(5, 0.3), targets) == pytest.approx(0.3**3 * 0.7**2)
    constants = np.linspace(0.01, 0.99, 99)
    assert constants[np.argmax([losses.likelihood(np.full(5, p), targets) for p in constants])] == pytest.approx(3 / 5)


# Many classes


@quick
@given(st.integers(1, 4), st.integers(2, 4), seeds)
def test_categorical_cross_entropy_of_probabilities(rows, classes, seed):
    probabilities, one_hot = (
        softmax(normal(seed, rows, classes)),
        np.eye(classes)[normal(seed, rows, classes).argmax(axis=1)],
    )
    hold(
        losses.categorical_cross_entropy,
        losses.categorical_cross_entropy_backward,
        lambda p, y: -(y * p.log()).sum(dim=1).mean(),
        probabilities,
        one_hot,
    )
    indices = one_hot.argmax(axis=1)
    value = losses.categorical_cross_entropy(probabilities, one_hot)
    assert losses.cross_entropy(np.log(probabilities), indices) == pytest.approx(value, rel=1e-12)  # sparse labels
    assert losses.negative_log_likelihood(np.log(probabilities), indices) == pytest.approx(value, rel=1e-12)


def test_the_example_vector_of_the_course_notes():
    """Class 2 of (0.5, 0.2, 0.2, 0.1): the first is the largest, and the loss is -ln 0.2."""
    outputs, wanted = np.array([[0.5, 0.2, 0.2, 0.1]]), np.array([[0.0, 1, 0, 0]])
    assert outputs.sum() == pytest.approx(1) and outputs.argmax() == 0
    assert losses.categorical_cross_entropy(outputs, wanted) == pytest.approx(1.609, abs=5e-4)


def test_a_probability_of_zero_costs_much_and_not_infinity():
    value = losses.categorical_cross_entropy(np.array([[0.0, 1.0]]), np.array([[1.0, 0.0]]))
    assert value == pytest.approx(12 * math.log(10))
    assert not losses.categorical_cross_entropy_backward(np.array([[0.0, 1.0]]), np.array([[1.0, 0.0]])).any()


@quick
@given(
    st.integers(1, 5), st.integers(2, 5), st.floats(0, 0.9), st.booleans(), st.sampled_from(["weights", "rows"]), seeds
)
def test_weighted_masked_and_smoothed_cross_entropy(rows, classes, smoothing, masked, divide_by, seed):
    random = np.random.default_rng(seed)
    logits, targets, weights = (
        random.normal(size=(rows, classes)),
        random.integers(0, classes, rows),
        random.uniform(0.5, 2, classes),
    )
    mask = random.integers(0, 2, rows) if masked else np.ones(rows, dtype=int)
    mask[0] = 1
    hidden = torch.tensor(np.where(mask > 0, targets, -100))  # what PyTorch ignores
    tensor = torch.tensor(logits, requires_grad=True)
    reduction = "mean" if divide_by == "weights" else "sum"
    value = functional.cross_entropy(
        tensor, hidden, torch.tensor(weights), label_smoothing=smoothing, reduction=reduction
    )
    value = value if divide_by == "weights" else value / mask.sum()
    value.backward()
    arguments = {"smoothing": smoothing, "weights": weights, "mask": mask, "divide_by": divide_by}
    assert losses.cross_entropy(logits, targets, **arguments) == pytest.approx(value.item(), rel=1e-12)
    np.testing.assert_allclose(losses.cross_entropy_backward(logits, targets, **arguments), tensor.grad, **FLOAT64)


def test_weights_of_rows_make_a_batch_the_mean_of_its_parts():
    logits, targets, weights = normal(0, 6, 3), np.array([0, 0, 1, 2, 2, 2]), np.array([1.0, 5, 2])
    for divide_by, equal in (("rows", True), ("weights", False)):
        whole = losses.cross_entropy(logits, targets, weights=weights, divide_by=divide_by)
        halves = [
            losses.cross_entropy(logits[part], targets[part], weights=weights, divide_by=divide_by)
            for part in (slice(3), slice(3, 6))
        ]
        assert (whole == pytest.approx(np.mean(halves))) == equal


@quick
@given(st.integers(1, 4), st.integers(2, 4), seeds)
def test_negative_log_likelihood_and_divergence(rows, classes, seed):
    logarithms, indices = (
        log_softmax(normal(seed, rows, classes)),
        np.random.default_rng(seed).integers(0, classes, rows),
    )
    hold(
        losses.negative_log_likelihood,
        losses.negative_log_likelihood_backward,
        functional.nll_loss,
        logarithms,
        indices,
    )
    wanted = softmax(normal(seed + 1, rows, classes))
    tensor = torch.tensor(logarithms, requires_grad=True)
    value = functional.kl_div(tensor, torch.tensor(wanted), reduction="batchmean")
    value.backward()
    assert losses.kullback_leibler(wanted, logarithms) == pytest.approx(value.item(), rel=1e-10, abs=1e-12)
    np.testing.assert_allclose(losses.kullback_leibler_backward(wanted, logarithms), tensor.grad, **FLOAT64)


@quick
@given(seeds)
def test_cross_entropy_is_entropy_plus_divergence_and_no_difference_of_entropies(seed):
    wanted, found = softmax(normal(seed, 1, 4)), softmax(normal(seed + 1, 1, 4))
    entropy = losses.categorical_cross_entropy(wanted, wanted)
    crossed = losses.categorical_cross_entropy(found, wanted)
    assert crossed == pytest.approx(entropy + losses.kullback_leibler(wanted, np.log(found)), rel=1e-9)
    assert crossed >= entropy - 1e-12 and losses.kullback_leibler(wanted, np.log(wanted)) == pytest.approx(0, abs=1e-12)


def test_cross_entropy_of_a_turned_distribution_is_no_difference_of_entropies():
    wanted, found = np.array([[0.7, 0.2, 0.1]]), np.array([[0.1, 0.2, 0.7]])
    assert losses.categorical_cross_entropy(wanted, wanted) == pytest.approx(
        losses.categorical_cross_entropy(found, found)
    )
    assert losses.categorical_cross_entropy(found, wanted) > 1.5  # where the difference of entropies is 0
    assert losses.kullback_leibler(np.array([[1.0, 0.0]]), np.log([[0.5, 0.5]])) == pytest.approx(math.log(2))


# Signs


@quick
@given(st.integers(1, 8), seeds)
def test_hinge_and_exponential_loss(rows, seed):
    outputs, signs = 2 * normal(seed, rows), np.sign(normal(seed + 1, rows))
    outputs = np.where(np.abs(np.abs(outputs) - 1) < 1e-3, 0.5, outputs)
    hold(losses.hinge, losses.hinge_backward, lambda a, y: (1 - y * a).clamp(min=0).mean(), outputs, signs)
    hold(losses.exponential_loss, losses.exponential_loss_backward, lambda a, y: (-y * a).exp().mean(), outputs, signs)
    # PyTorch's multi-class hinge of scores (0, a) is this one of a, halved (its mean is over the two classes)
    scores = torch.tensor(np.stack([np.zeros(rows), outputs], axis=1))
    theirs = functional.multi_margin_loss(scores, torch.tensor((signs + 1) // 2, dtype=torch.long))
    assert losses.hinge(outputs, signs) == pytest.approx(2 * theirs.item(), rel=1e-12)


def test_labels_of_zero_and_one_are_refused_and_can_be_converted():
    labels = np.array([0.0, 1.0])
    for function in (losses.hinge, losses.hinge_backward, losses.exponential_loss, losses.exponential_loss_backward):
        with pytest.raises(ValueError, match="labels of -1 and 1"):
            function(np.zeros(2), labels)
    assert losses.to_signs(labels).tolist() == [-1, 1]
    assert losses.hinge(np.array([-2.0, 2.0]), losses.to_signs(labels)) == 0


# Sums


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
