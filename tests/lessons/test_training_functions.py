"""The mathematics inside the lessons of training, against PyTorch, SciPy, scikit-learn and enumeration."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, special
from sklearn.decomposition import PCA
from sklearn.linear_model import Lasso, Ridge
from sklearn.preprocessing import StandardScaler

from gradus.lessons import (
    batch_normalisation,
    batch_size,
    dropout,
    ensembles_of_paths,
    gradient_checking,
    loss_gallery,
    network,
    normalisation,
    optimiser_race,
    search_grid_random,
    vanishing_gradients,
    wave,
)
from gradus.reference import losses, optimizers

quick = settings(max_examples=25, deadline=None)


def tensor(array: np.ndarray) -> torch.Tensor:
    return torch.tensor(array, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
def test_network_gradients_are_those_of_torch(activation):
    generator = np.random.default_rng(0)
    layers = [(w, generator.normal(size=len(b))) for w, b in network.draw_layers((3, 5, 4, 1), network.he, generator)]
    inputs, labels = generator.normal(size=(6, 3)), generator.integers(0, 2, 6).astype(float)
    masks = [(generator.random((6, m)) < 0.7) / 0.7 for m in (5, 4)]
    sums, outputs = network.forward(layers, inputs, activation, masks)
    found = network.backward(layers, sums, outputs, network.logistic_gradient(sums[-1], labels), activation, masks)

    weights = [(tensor(w), tensor(b)) for w, b in layers]
    x = torch.tensor(inputs)
    for index, (w, b) in enumerate(weights):
        x = x @ w + b
        if index < 2:
            x = getattr(torch, activation)(x) * torch.tensor(masks[index])
    loss = torch.nn.functional.binary_cross_entropy_with_logits(x[:, 0], torch.tensor(labels))
    loss.backward()
    assert network.logistic_loss(sums[-1], labels) == pytest.approx(loss.item(), rel=1e-12)
    for (dw, db), (w, b) in zip(found, weights, strict=True):
        np.testing.assert_allclose(dw, w.grad, rtol=1e-10, atol=1e-13)
        np.testing.assert_allclose(db, b.grad, rtol=1e-10, atol=1e-13)


def test_flatten_and_back():
    layers = network.draw_layers((3, 4, 2), network.xavier, np.random.default_rng(0))
    for (w, b), (again, bias) in zip(layers, network.unflatten(network.flatten(layers), layers), strict=True):
        np.testing.assert_array_equal(w, again)
        np.testing.assert_array_equal(b, bias)


@pytest.mark.parametrize(("normalised", "residual"), [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_gradient_sizes_are_those_of_autograd(activation, normalised, residual):
    depth, width = 4, vanishing_gradients.WIDTH
    found = vanishing_gradients.gradient_sizes(activation, "√(2/n)", depth, normalised=normalised, residual=residual)
    generator = np.random.default_rng(0)  # the same draws in the same order
    weights = [torch.tensor(np.sqrt(2 / width) * generator.normal(size=(width, width))) for _ in range(depth)]
    x = tensor(generator.normal(size=(vanishing_gradients.ROWS, width)))
    entering = []
    for weight in weights:
        x = x.clone() if entering else x
        x.retain_grad()
        entering.append(x)
        sums = x @ weight
        if normalised:
            sums = torch.nn.functional.batch_norm(sums, None, None, training=True, eps=1e-12)
        x = getattr(torch, activation)(sums) + (x if residual else 0)
    x.backward(torch.tensor(generator.normal(size=x.shape)))
    np.testing.assert_allclose(found, [float((e.grad**2).mean().sqrt()) for e in entering], rtol=1e-8)


def test_lines_of_least_loss():
    values = loss_gallery.line_points(12.0)
    x = loss_gallery.X
    np.testing.assert_allclose(loss_gallery.fit_line(values, "squared"), np.polyfit(x, values, 1), rtol=1e-10)

    def absolute(line):
        return np.abs(line[0] * x + line[1] - values).sum()

    through = []  # a line of least absolute residuals goes through two of the points
    for i, j in combinations(range(len(x)), 2):
        slope = (values[j] - values[i]) / (x[j] - x[i])
        through.append(absolute((slope, values[i] - slope * x[i])))
    assert absolute(loss_gallery.fit_line(values, "absolute")) == pytest.approx(min(through), rel=1e-4)
    huber = optimize.minimize(lambda line: losses.huber(line[0] * x + line[1], values, 0.5), (0.5, 1.0), tol=1e-12)
    np.testing.assert_allclose(loss_gallery.fit_line(values, "huber"), huber.x, atol=1e-4)


def test_cross_entropy_of_two_points_ends_in_its_only_valley():
    best = optimize.minimize_scalar(lambda w: float(loss_gallery.two_points(np.array([w]), "logistic")[0]))
    assert loss_gallery.descend_two_points(-1.0, "logistic") == pytest.approx(best.x, abs=1e-4)
    weight = np.linspace(-4, 3, 300)
    assert np.diff(loss_gallery.two_points(weight, "logistic"), 2).min() > -1e-12
    assert np.diff(loss_gallery.two_points(weight, "squared"), 2).min() < -1e-5


@quick
@given(st.integers(1, 200), st.integers(1, 70), st.integers(0, 99))
def test_an_epoch_has_every_row_once(rows, size, seed):
    parts = batch_size.batches(rows, size, np.random.default_rng(seed))
    assert sorted(np.concatenate(parts)) == list(range(rows))
    assert all(len(part) == size for part in parts[:-1]) and 1 <= len(parts[-1]) <= size


def test_ridge_and_lasso_are_scikit_learns():
    x, values = wave.TRAIN
    columns = wave.basis(x)
    weights, bias = wave.ridge(0.01)
    model = Ridge(alpha=0.01 * len(x)).fit(columns, values)
    np.testing.assert_allclose(weights, model.coef_, rtol=1e-6, atol=1e-9)
    assert bias == pytest.approx(model.intercept_, rel=1e-6)
    weights, bias = wave.lasso(0.03)
    model = Lasso(alpha=0.03 / 2, tol=1e-10, max_iter=100_000).fit(
        columns, values
    )  # its loss is half of the mean square
    np.testing.assert_allclose(weights, model.coef_, atol=1e-6)
    assert bias == pytest.approx(model.intercept_, abs=1e-6)


def test_max_norm_holds_in_the_network():
    layers, _ = wave.train_curve(largest=1.0, steps=200)
    assert all(np.linalg.norm(weight, axis=0).max() <= 1 + 1e-9 for weight, _ in layers)


def test_standardising_and_principal_components_are_scikit_learns():
    rows = normalisation.wine("flavanoids", "total_phenols", "hue")
    np.testing.assert_allclose(normalisation.standardise(rows, rows), StandardScaler().fit_transform(rows), atol=1e-12)
    directions, variances = normalisation.principal(rows)
    model = PCA().fit(rows)
    np.testing.assert_allclose(variances, model.explained_variance_, rtol=1e-10)
    np.testing.assert_allclose(np.abs(directions.T), np.abs(model.components_), atol=1e-8)
    np.testing.assert_allclose(np.cov(normalisation.whiten(rows, rows).T), np.eye(3), atol=1e-3)


@pytest.mark.parametrize("normalised", [True, False])
def test_a_step_of_the_normalised_network_is_that_of_torch(normalised):
    net = batch_normalisation.Network(normalised)
    inputs, labels, _, _ = batch_normalisation.digits()
    inputs, labels = inputs[:32], labels[:32]
    weights, shifts, scales = ([tensor(part) for part in parts] for parts in (net.weights, net.shifts, net.scales))
    x = torch.tensor(inputs)
    for index, weight in enumerate(weights):
        x = x @ weight
        if index == len(weights) - 1:
            x = x + shifts[index]
        elif normalised:
            x = torch.sigmoid(
                torch.nn.functional.batch_norm(x, None, None, scales[index], shifts[index], training=True)
            )
        else:
            x = torch.sigmoid(x + shifts[index])
    loss = torch.nn.functional.cross_entropy(x, torch.tensor(labels))
    loss.backward()
    assert net.step(inputs, labels) == pytest.approx(loss.item(), rel=1e-9)
    pairs = [*zip(net.weights, weights, strict=True), *zip(net.shifts, shifts, strict=True)]
    for moved, before in pairs + (list(zip(net.scales, scales, strict=True)) if normalised else []):
        expected = before.detach() - batch_normalisation.RATE * before.grad
        np.testing.assert_allclose(moved, expected, rtol=1e-7, atol=1e-10)


def test_checked_gradients_are_those_of_torch():
    parameters = gradient_checking.start()
    inputs, labels = gradient_checking.data()
    named = {name: tensor(value) for name, value in parameters.items()}
    x = torch.tensor(inputs)
    for index in (1, 2, 3):
        x = x @ named[f"W{index}"] + named[f"b{index}"]
        x = torch.tanh(x) if index < 3 else x
    torch.nn.functional.binary_cross_entropy_with_logits(x[:, 0], torch.tensor(labels)).backward()
    found = gradient_checking.gradients(parameters)
    for name, value in named.items():
        np.testing.assert_allclose(found[name], value.grad, rtol=1e-9, atol=1e-13)


def test_one_pass_is_the_geometric_mean_of_all_subnetworks():
    generator = np.random.default_rng(0)
    layers = network.draw_layers((2, dropout.HIDDEN, 1), network.he, generator)
    points = generator.normal(size=(7, 2))
    every = special.expit(dropout.every_subnetwork(layers, points))
    yes, no = np.exp(np.log(every).mean(axis=0)), np.exp(np.log1p(-every).mean(axis=0))
    halved = [layers[0], (layers[1][0] / 2, layers[1][1])]
    whole = special.expit(network.forward(halved, points)[0][-1][:, 0])
    np.testing.assert_allclose(yes / (yes + no), whole, rtol=1e-10)


def test_paths_by_length():
    np.testing.assert_array_equal(ensembles_of_paths.binomial(8), [special.comb(8, k, exact=True) for k in range(9)])
    net = ensembles_of_paths.Blocks(residual=True)
    x, y, _, _ = ensembles_of_paths.digits()
    lengths, whole = ensembles_of_paths.path_gradients(net, torch.tensor(x[:10]), torch.tensor(y[:10]))
    assert [len(lengths[k]) for k in range(9)] == list(ensembles_of_paths.binomial(8))
    torch.testing.assert_close(sum(g for gradients in lengths.values() for g in gradients), whole)


def test_descent_leaves_the_bowl_above_its_limit():
    just_below, above = (
        optimiser_race.run(optimizers.gradient_descent, optimiser_race.bowl, optimiser_race.BOWL_START, rate, 500)
        for rate in (0.99 * 2 / 30, 1.05 * 2 / 30)
    )
    assert np.abs(just_below[-1]).max() < 0.1 and np.abs(above[-1]).max() > 1e6


@pytest.mark.parametrize(
    ("slope", "value"),
    [
        (optimiser_race.bowl, lambda x, y: (x**2 + 30 * y**2) / 2),
        (optimiser_race.valley, optimize.rosen),
        (optimiser_race.saddle, lambda x, y: (x**2 - y**2) / 2),
    ],
)
def test_slopes_of_the_courses(slope, value):
    point = np.array([0.3, -0.7])
    function = (lambda p: value(p)) if value is optimize.rosen else (lambda p: value(*p))
    np.testing.assert_allclose(slope(point), optimize.approx_fprime(point, function, 1e-7), rtol=1e-4)


def test_random_search_finds_what_its_distribution_says():
    """The mean of the best of 25 draws, from the distribution function of the score, by a different generator."""
    generator = np.random.RandomState(0)
    draws = search_grid_random.score(*generator.rand(2, 4000, search_grid_random.BUDGET)).max(axis=1)
    found = [
        search_grid_random.best(search_grid_random.random_points(np.random.default_rng(seed))) for seed in range(1000)
    ]
    assert np.mean(found) == pytest.approx(draws.mean(), abs=0.03)


def test_the_share_that_is_not_convex():
    """The sign of the smaller eigenvalue against second differences of the loss itself."""
    step = 1e-3
    for loss in ("squared", "logistic"):
        value = {
            (i, j): loss_gallery.six_points(loss, loss_gallery.W + i * step, loss_gallery.B + j * step)
            for i in (-1, 0, 1)
            for j in (-1, 0, 1)
        }
        ww = (value[1, 0] - 2 * value[0, 0] + value[-1, 0]) / step**2
        bb = (value[0, 1] - 2 * value[0, 0] + value[0, -1]) / step**2
        wb = (value[1, 1] - value[1, -1] - value[-1, 1] + value[-1, -1]) / (4 * step**2)
        smaller = np.linalg.eigvalsh(np.stack([ww, wb, wb, bb], axis=-1).reshape(-1, 2, 2))[:, 0]
        assert loss_gallery.curvature_share(loss) == pytest.approx((smaller < -1e-8).mean(), abs=0.01)
