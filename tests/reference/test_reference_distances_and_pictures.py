"""Losses of distances and of pictures: gradients by differences, mining by the definition, and what the texts print."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numerical import FLOAT64, NEAR, differences, normal
from torch import nn

from gradus.reference import image_losses, metric_losses
from gradus.reference.activations import relu, relu_derivative
from gradus.reference.losses import binary_cross_entropy

quick = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 999)
MINING = ("all", "semi_hard", "hard")
FORMS = ("power", "squared", "absolute", "mean")


def by_each_argument(function, backward, arguments, **options):
    """Every gradient that `backward` returns is that of differences, argument by argument."""
    for place, found in enumerate(backward(*arguments, **options)):

        def of(changed, place=place):
            return function(*arguments[:place], changed, *arguments[place + 1 :], **options)

        np.testing.assert_allclose(found, differences(of, arguments[place]), rtol=1e-5, atol=1e-7)


# Triplets


@quick
@given(st.integers(1, 4), st.integers(1, 3), st.floats(0.05, 1), seeds)
def test_triplet(rows, width, margin, seed):
    arguments = [normal(seed + shift, rows, width) for shift in range(3)]
    by_each_argument(metric_losses.triplet, metric_losses.triplet_backward, arguments, margin=margin)
    theirs = nn.TripletMarginWithDistanceLoss(distance_function=lambda a, b: (a - b).square().sum(dim=1), margin=margin)
    wanted = theirs(*(torch.tensor(part) for part in arguments)).item()
    assert metric_losses.triplet(*arguments, margin=margin) == pytest.approx(wanted, rel=1e-12, abs=1e-12)


def line(*places: float) -> np.ndarray:
    return np.array(places)[:, None]


def test_the_margin_of_the_course_notes():
    """d(A, P) = 0.5 and a margin of 0.2: nothing is to be learnt from d(A, N) = 0.7 on, and something is at 0.6."""
    anchor, positive = line(0.0), line(0.5**0.5)
    for distance, loss in ((0.7, 0.0), (0.6, 0.1), (0.5, 0.2)):
        found = metric_losses.triplet(anchor, positive, line(distance**0.5), 0.2)
        assert found == pytest.approx(loss, abs=1e-12)


def test_without_the_hinge_far_negatives_pay_for_near_ones():
    anchors, positives, negatives = line(0.0, 0.0), line(1.0, 1.0), line(0.5, 5.0)
    as_printed = ((anchors - positives) ** 2 - (anchors - negatives) ** 2 + 0.2).sum()
    assert as_printed < 0 < metric_losses.triplet(anchors, positives, negatives, 0.2) == pytest.approx(0.95 / 2)


def test_one_point_for_all_costs_the_margin():
    """f = 0 is no solution: that is what the margin is for."""
    assert metric_losses.batch_triplet(np.zeros((4, 3)), np.array([0, 0, 1, 1]), 0.2, "all") == pytest.approx(0.2)


@quick
@given(st.lists(st.integers(0, 2), min_size=1, max_size=6), st.sampled_from(MINING), seeds)
def test_batch_triplet_backward(labels, mining, seed):
    embeddings, labels = normal(seed, len(labels), 2), np.array(labels)
    slope = differences(lambda e: metric_losses.batch_triplet(e, labels, 0.3, mining), embeddings)
    found = metric_losses.batch_triplet_backward(embeddings, labels, 0.3, mining)
    np.testing.assert_allclose(found, slope, rtol=1e-5, atol=1e-6)


@quick
@given(st.lists(st.integers(0, 2), min_size=1, max_size=7), seeds)
def test_mined_triplets_are_what_they_are_called(labels, seed):
    embeddings, labels = normal(seed, len(labels), 2), np.array(labels)
    distances = ((embeddings[:, None] - embeddings[None]) ** 2).sum(axis=-1)
    every = {
        (a, p, n)
        for a, p, n in itertools.product(range(len(labels)), repeat=3)
        if a != p and labels[a] == labels[p] and labels[a] != labels[n]
    }
    assert set(map(tuple, metric_losses.mine_triplets(embeddings, labels, "all"))) == every
    for mining in ("semi_hard", "hard"):
        assert set(map(tuple, metric_losses.mine_triplets(embeddings, labels, mining))) <= every
    for anchor, positive, negative in metric_losses.mine_triplets(embeddings, labels, "semi_hard"):
        farther = [distances[anchor, n] for a, p, n in every if (a, p) == (anchor, positive)]
        beyond = [distance for distance in farther if distance > distances[anchor, positive]]
        assert distances[anchor, negative] == (min(beyond) if beyond else max(farther))
    for anchor, positive, negative in metric_losses.mine_triplets(embeddings, labels, "hard"):
        of_anchor = [(p, n) for a, p, n in every if a == anchor]
        assert distances[anchor, positive] == max(distances[anchor, p] for p, _ in of_anchor)
        assert distances[anchor, negative] == min(distances[anchor, n] for _, n in of_anchor)


def test_hard_triplets_cost_most_and_one_class_has_none():
    embeddings, labels = normal(0, 12, 3), np.arange(12) % 3
    cost = {mining: metric_losses.batch_triplet(embeddings, labels, 0.2, mining) for mining in MINING}
    assert cost["hard"] > cost["all"] > 0 and cost["hard"] > cost["semi_hard"] > 0
    for mining in MINING:
        assert metric_losses.batch_triplet(embeddings, np.zeros(12), 0.2, mining) == 0
        assert not metric_losses.batch_triplet_backward(embeddings, np.zeros(12), 0.2, mining).any()


# Pairs


@quick
@given(st.integers(1, 4), st.integers(1, 3), seeds)
def test_contrastive(rows, width, seed):
    first, second = normal(seed, rows, width), normal(seed + 1, rows, width)
    same = np.random.default_rng(seed).integers(0, 2, rows)
    by_each_argument(
        lambda f, s: metric_losses.contrastive(f, s, same, 2.0),
        lambda f, s: metric_losses.contrastive_backward(f, s, same, 2.0),
        [first, second],
    )


def test_contrastive_by_hand():
    first, second = line(0.0, 0.0, 0.0), line(0.5, 0.5, 3.0)
    found = metric_losses.contrastive(first, second, np.array([1, 0, 0]), 1.0)
    assert found == pytest.approx((0.125 + 0.125 + 0) / 3)
    by_first, _ = metric_losses.contrastive_backward(line(1.0), line(1.0), np.array([0]))
    assert by_first == 0  # no direction to part in


@pytest.mark.parametrize("form", ["absolute", "chi_square"])
@quick
@given(st.integers(1, 4), st.integers(1, 3), seeds)
def test_verification(form, rows, width, seed):
    random = np.random.default_rng(seed)
    first, second = random.uniform(0.1, 2, (rows, width)), random.uniform(2.1, 4, (rows, width))
    second[::2] = random.uniform(0.1, 0.15, second[::2].shape)
    same = random.integers(0, 2, rows).astype(float)
    arguments = [first, second, random.normal(size=width), np.array(0.3)]
    by_each_argument(
        lambda *a: metric_losses.verification(*a, same, form),
        lambda *a: metric_losses.verification_backward(*a, same, form),
        arguments,
    )
    features = np.abs(first - second) if form == "absolute" else (first - second) ** 2 / (first + second)
    probabilities = 1 / (1 + np.exp(-(features @ arguments[2] + 0.3)))
    found = metric_losses.verification(*arguments, same, form)
    assert found == pytest.approx(binary_cross_entropy(probabilities, same), rel=1e-9)


def test_chi_square_distance():
    first, second = np.array([[1.0, 0.0, 2.0]]), np.array([[3.0, 0.0, 2.0]])
    assert metric_losses.chi_square_distance(first, second) == pytest.approx(1)  # 4/4 + 0/0 + 0
    assert metric_losses.chi_square_distance(first, second, np.array([2.0, 1, 1])) == pytest.approx(2)
    found = metric_losses.verification_backward(first, second, np.ones(3), 0.0, np.zeros(1), "chi_square")
    assert np.isfinite(found[0]).all() and found[0][0, 1] == 0


# Pictures


@quick
@given(st.integers(1, 2), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), seeds)
def test_content_gram_and_style(batch, channels, height, width, seed):
    features, wanted = normal(seed, batch, channels, height, width), normal(seed + 1, batch, channels, height, width)
    for scale in ("gatys", "sum", "course"):
        slope = differences(lambda f, scale=scale: image_losses.content(f, wanted, scale), features)
        np.testing.assert_allclose(image_losses.content_backward(features, wanted, scale), slope, **NEAR)
    for options in ({}, {"scale": "keras", "picture": (8, 9)}):
        slope = differences(lambda f, options=options: image_losses.style(f, wanted, **options), features)
        np.testing.assert_allclose(
            image_losses.style_backward(features, wanted, **options), slope, rtol=1e-5, atol=1e-8
        )
    gradient = normal(seed + 2, batch, channels, channels)
    slope = differences(lambda f: (gradient * image_losses.gram(f)).sum(), features)
    np.testing.assert_allclose(image_losses.gram_backward(features, gradient), slope, rtol=1e-5, atol=1e-7)


@quick
@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), seeds)
def test_gram_matrices(channels, height, width, seed):
    features = normal(seed, 1, channels, height, width)
    found = image_losses.gram(features)[0]
    by_loops = [[(features[0, i] * features[0, j]).sum() for j in range(channels)] for i in range(channels)]
    np.testing.assert_allclose(found, by_loops, **FLOAT64)
    assert np.linalg.eigvalsh(found).min() > -1e-9
    order = np.random.default_rng(seed).permutation(height * width)
    shuffled = features.reshape(1, channels, -1)[..., order].reshape(features.shape)
    np.testing.assert_allclose(image_losses.gram(shuffled)[0], found, **FLOAT64)
    assert image_losses.style(shuffled, features) < 1e-20 and image_losses.style(features, features) == 0


def test_the_constant_of_the_style_loss_is_that_of_its_layer():
    features, wanted = normal(0, 1, 5, 4, 3), normal(1, 1, 5, 4, 3)
    gap = ((image_losses.gram(features) - image_losses.gram(wanted)) ** 2).sum()
    assert image_losses.style(features, wanted) == pytest.approx(gap / (4 * 5**2 * 12**2))  # eq. 6-6
    assert image_losses.style(features, wanted) == pytest.approx(gap / (2 * 4 * 3 * 5) ** 2)  # course notes
    listing_6_19 = gap / (4 * 3**2 * (224 * 224) ** 2)
    assert image_losses.style(features, wanted, "keras", (224, 224)) == pytest.approx(listing_6_19)
    with pytest.raises(ValueError, match="height and width"):
        image_losses.style(features, wanted, "keras")


def test_the_printed_gradient_of_the_style_loss():
    """(1/(C^2 M^2)) (G - A) F, and 0 behind a ReLU that is shut."""
    inputs, wanted = normal(0, 1, 3, 2, 2), np.abs(normal(1, 1, 3, 2, 2))
    features = relu(inputs)
    gap = image_losses.gram(features)[0] - image_losses.gram(wanted)[0]
    printed = (gap @ features.reshape(3, 4) / (9 * 16)).reshape(features.shape)
    np.testing.assert_allclose(image_losses.style_backward(features, wanted), printed, **FLOAT64)
    slope = differences(lambda x: image_losses.style(relu(x), wanted), inputs)
    np.testing.assert_allclose(printed * relu_derivative(inputs), slope, **NEAR)


def test_the_half_of_the_content_loss():
    features, wanted = np.full((1, 2, 1, 2), 3.0), np.ones((1, 2, 1, 2))
    assert image_losses.content(features, wanted) == 8  # 1/2 * 4 * 2^2
    assert image_losses.content(features, wanted, "sum") == 16 and image_losses.content(features, wanted, "course") == 1
    np.testing.assert_array_equal(image_losses.content_backward(features, wanted), features - wanted)


@pytest.mark.parametrize("form", FORMS)
@quick
@given(st.integers(1, 2), st.integers(2, 4), st.integers(2, 4), seeds)
def test_total_variation_backward(form, batch, height, width, seed):
    pictures = normal(seed, batch, 2, height, width)
    slope = differences(lambda x: image_losses.total_variation(x, form), pictures)
    np.testing.assert_allclose(image_losses.total_variation_backward(pictures, form), slope, rtol=1e-4, atol=1e-6)


def test_total_variation_by_hand():
    picture = np.array([[0.0, 1.0, 1.0], [2.0, 1.0, 5.0]])[None, None]
    down, right = [2, 0, 4], [1, 0, -1, 4]
    assert image_losses.total_variation(picture, "squared") == sum(d * d for d in down + right)
    assert image_losses.total_variation(picture, "absolute") == sum(abs(d) for d in down + right)
    # pixels (0, 0) and (0, 1): 2^2 + 1^2, 0^2 + 0^2
    assert image_losses.total_variation(picture) == pytest.approx(5**1.25)
    assert image_losses.total_variation(picture, "mean") == pytest.approx(20 / 3 + 18 / 4)
    for form in FORMS:
        assert image_losses.total_variation(np.full((2, 3, 4, 4), 7.0), form) == 0
        assert not image_losses.total_variation_backward(np.full((2, 3, 4, 4), 7.0), form).any()
