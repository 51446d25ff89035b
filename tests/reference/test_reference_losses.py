"""Losses of the reference: by PyTorch in float64, their gradients by differences, and what the texts print of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numerical import FLOAT64, NEAR, differences, hold, normal
from torch.nn import functional

from gradus.reference import losses
from gradus.reference.activations import log_softmax, sigmoid, softmax

quick = settings(max_examples=25, deadline=None)
shapes = st.lists(st.integers(1, 3), min_size=1, max_size=3)
seeds = st.integers(0, 999)

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
