"""Losses that PyTorch lacks: against the reference, by gradcheck, and what a loss must not do."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from gradus import nn as ours
from gradus.reference import compound_losses, image_losses, metric_losses
from gradus.reference import losses as reference

quick = settings(max_examples=25, deadline=None)
shapes = st.lists(st.integers(1, 3), min_size=1, max_size=3)
seeds = st.integers(0, 999)
MINING = ("all", "semi_hard", "hard")
FORMS = ("power", "squared", "absolute", "mean")


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def leaf(array: np.ndarray) -> torch.Tensor:
    return torch.tensor(array, dtype=torch.float64, requires_grad=True)


def same(value: torch.Tensor, wanted: float, leaves, gradients) -> None:
    """A scalar of the wanted value, and the wanted gradients."""
    assert value.shape == () and value.item() == pytest.approx(wanted, rel=1e-10, abs=1e-12)
    value.backward()
    for one, gradient in zip(leaves, gradients, strict=True):
        np.testing.assert_allclose(one.grad, gradient, rtol=1e-9, atol=1e-11)


# Numbers and signs


@pytest.mark.parametrize("name", ["mean_squared_logarithmic_error", "mean_absolute_percentage_error"])
@quick
@given(shape=shapes, seed=seeds)
def test_losses_of_numbers(name, shape, seed):
    outputs, targets = 2 * normal(seed, *shape), 2 * normal(seed + 1, *shape)
    tensor = leaf(outputs)
    wanted, gradient = getattr(reference, name), getattr(reference, f"{name}_backward")
    same(
        getattr(ours, name)(tensor, torch.tensor(targets)),
        wanted(outputs, targets),
        [tensor],
        [gradient(outputs, targets)],
    )


@pytest.mark.parametrize("name", ["hinge", "exponential_loss"])
@quick
@given(shape=shapes, seed=seeds)
def test_losses_of_signs(name, shape, seed):
    outputs, signs = 2 * normal(seed, *shape), np.sign(normal(seed + 1, *shape))
    tensor = leaf(outputs)
    wanted, gradient = getattr(reference, name), getattr(reference, f"{name}_backward")
    same(getattr(ours, name)(tensor, torch.tensor(signs)), wanted(outputs, signs), [tensor], [gradient(outputs, signs)])


# Several tasks


@pytest.mark.parametrize("divide_by", ["known", "rows"])
@quick
@given(rows=st.integers(1, 4), labels=st.integers(1, 4), seed=seeds)
def test_masked_binary_cross_entropy(divide_by, rows, labels, seed):
    logits, random = normal(seed, rows, labels), np.random.default_rng(seed)
    targets, mask = random.integers(0, 2, (rows, labels)).astype(float), random.integers(0, 2, (rows, labels))
    hidden = np.where(mask > 0, targets, np.nan)
    tensor = leaf(logits)
    options = {"mask": mask, "divide_by": divide_by}
    value = ours.masked_binary_cross_entropy(tensor, torch.tensor(hidden), torch.tensor(mask), divide_by)
    wanted = reference.binary_cross_entropy_with_logits(logits, targets, **options)
    same(value, wanted, [tensor], [reference.binary_cross_entropy_with_logits_backward(logits, targets, **options)])


def test_masked_binary_cross_entropy_of_all_and_of_none():
    logits, targets = torch.randn(3, 2), torch.tensor([[0.0, 1], [1, 1], [0, 0]])
    found = ours.masked_binary_cross_entropy(logits, targets, torch.ones(3, 2, dtype=torch.bool))
    assert torch.allclose(found, functional.binary_cross_entropy_with_logits(logits, targets))
    assert ours.masked_binary_cross_entropy(logits, targets, torch.zeros(3, 2)) == 0


@quick
@given(st.integers(1, 4), st.integers(1, 4), seeds)
def test_multi_task_loss(rows, tasks, seed):
    random = np.random.default_rng(seed)
    values, weights, mask = (
        random.uniform(size=(rows, tasks)),
        random.uniform(size=tasks),
        random.integers(0, 2, (rows, tasks)),
    )
    tensor = leaf(np.where(mask > 0, values, np.inf))
    value = ours.multi_task_loss(tensor, torch.tensor(weights), torch.tensor(mask))
    gradient = compound_losses.multi_task_backward(values, weights, mask)
    same(value, compound_losses.multi_task(values, weights, mask), [tensor], [gradient])
    assert ours.multi_task_loss(torch.tensor(values)).item() == pytest.approx(compound_losses.multi_task(values))


# Distances


@quick
@given(st.integers(1, 4), st.integers(1, 3), seeds)
def test_triplet_loss(rows, width, seed):
    arguments = [normal(seed + shift, rows, width) for shift in range(3)]
    tensors = [leaf(one) for one in arguments]
    gradients = metric_losses.triplet_backward(*arguments, 0.5)
    same(ours.triplet_loss(*tensors, margin=0.5), metric_losses.triplet(*arguments, 0.5), tensors, gradients)


@pytest.mark.parametrize("mining", MINING)
@quick
@given(labels=st.lists(st.integers(0, 3), min_size=1, max_size=9), margin=st.floats(0.05, 2), seed=seeds)
def test_batch_triplet_loss(mining, labels, margin, seed):
    embeddings, labels = normal(seed, len(labels), 2), np.array(labels)
    tensor = leaf(embeddings)
    value = ours.batch_triplet_loss(tensor, torch.tensor(labels), margin, mining)
    wanted = metric_losses.batch_triplet(embeddings, labels, margin, mining)
    same(value, wanted, [tensor], [metric_losses.batch_triplet_backward(embeddings, labels, margin, mining)])


@pytest.mark.parametrize("mining", MINING)
def test_batch_triplet_loss_teaches_apart_what_differs(mining):
    torch.manual_seed(0)
    inputs, labels = torch.randn(24, 6), torch.arange(24) % 3
    inputs[:, 0] += 2 * labels
    weight = torch.nn.Parameter(0.3 * torch.randn(6, 2))
    optimizer = torch.optim.Adam([weight], lr=0.05)
    costs = []
    for _ in range(150):
        embeddings = functional.normalize(inputs @ weight)
        loss = ours.batch_triplet_loss(embeddings, labels, 0.2, mining)
        costs.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert costs[-1] < 0.8 * costs[0]


@pytest.mark.parametrize("mining", MINING)
def test_rows_that_are_equal_and_batches_of_one_class_have_finite_gradients(mining):
    tensor = torch.zeros(4, 3, requires_grad=True)
    value = ours.batch_triplet_loss(tensor, torch.tensor([0, 0, 1, 1]), 0.2, mining)
    value.backward()
    assert value.item() == pytest.approx(0.2) and not tensor.grad.any()
    alone = ours.batch_triplet_loss(torch.randn(4, 3, requires_grad=True), torch.zeros(4), 0.2, mining)
    alone.backward()
    assert alone.item() == 0


@quick
@given(st.integers(1, 4), st.integers(1, 3), seeds)
def test_contrastive_loss(rows, width, seed):
    first, second = normal(seed, rows, width), normal(seed + 1, rows, width)
    second[0] = first[0]
    kinds = np.random.default_rng(seed).integers(0, 2, rows)
    tensors = [leaf(first), leaf(second)]
    value = ours.contrastive_loss(*tensors, torch.tensor(kinds), margin=2.0)
    gradients = metric_losses.contrastive_backward(first, second, kinds, 2.0)
    same(value, metric_losses.contrastive(first, second, kinds, 2.0), tensors, gradients)


@pytest.mark.parametrize("form", ["absolute", "chi_square"])
@quick
@given(rows=st.integers(1, 4), width=st.integers(1, 3), seed=seeds)
def test_pair_verification(form, rows, width, seed):
    random = np.random.default_rng(seed)
    first, second = random.uniform(0, 2, (rows, width)), random.uniform(0, 2, (rows, width))
    first[0, 0] = second[0, 0] = 0  # 0/0
    kinds = random.integers(0, 2, rows).astype(float)
    layer = ours.PairVerification(width, form).double()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(random.normal(size=width)))
        layer.bias.fill_(0.3)
    weight = layer.weight.detach().numpy()
    tensors = [leaf(first), leaf(second)]
    value = functional.binary_cross_entropy_with_logits(layer(*tensors), torch.tensor(kinds))
    gradients = metric_losses.verification_backward(first, second, weight, 0.3, kinds, form)
    wanted = metric_losses.verification(first, second, weight, 0.3, kinds, form)
    same(value, wanted, [*tensors, layer.weight, layer.bias], gradients)


def test_pair_verification_begins_with_the_right_sign():
    layer, near = ours.PairVerification(4), torch.rand(1, 4)
    assert layer(near, near) > layer(near, near + 1)


# Pictures


@quick
@given(st.integers(1, 2), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), seeds)
def test_content_and_style(batch, channels, height, width, seed):
    features, wanted = normal(seed, batch, channels, height, width), normal(seed + 1, batch, channels, height, width)
    for scale in ("gatys", "sum", "course"):
        tensor = leaf(features)
        gradient = image_losses.content_backward(features, wanted, scale)
        same(
            ours.content_loss(tensor, torch.tensor(wanted), scale),
            image_losses.content(features, wanted, scale),
            [tensor],
            [gradient],
        )
    gram = ours.gram_matrix(torch.tensor(wanted))
    np.testing.assert_allclose(gram, image_losses.gram(wanted), rtol=1e-12, atol=1e-12)
    for scale, picture in (("gatys", None), ("keras", (32, 40))):
        tensor = leaf(features)
        gradient = image_losses.style_backward(features, wanted, scale, picture)
        value = ours.style_loss(tensor, gram, picture)
        same(value, image_losses.style(features, wanted, scale, picture), [tensor], [gradient])


@pytest.mark.parametrize("form", FORMS)
@quick
@given(batch=st.integers(1, 2), height=st.integers(2, 4), width=st.integers(2, 4), seed=seeds)
def test_total_variation(form, batch, height, width, seed):
    pictures = normal(seed, batch, 2, height, width)
    pictures[:, 0] = 1.0  # flat: no corner may leave a NaN
    tensor = leaf(pictures)
    gradient = image_losses.total_variation_backward(pictures, form)
    same(ours.total_variation(tensor, form), image_losses.total_variation(pictures, form), [tensor], [gradient])


# All


def cases():
    pair, labels = [leaf(normal(1, 4, 3)), leaf(normal(2, 4, 3))], torch.tensor([0, 0, 1, 1])
    positive = [leaf(0.5 + np.abs(normal(1, 4, 3))), leaf(3 + np.abs(normal(2, 4, 3)))]
    signs, mask = torch.tensor([[1.0, -1, 1]] * 4), torch.tensor([[1, 0, 1]] * 4)
    pictures = [leaf(normal(3, 2, 2, 3, 3))]

    def mined(mining):
        return lambda a: ours.batch_triplet_loss(a, labels, 1.0, mining)

    def compared(form):
        return lambda a, b: ours.pair_features(a, b, form).sum()

    def varied(form):
        return lambda a: ours.total_variation(a, form)

    gram = ours.gram_matrix(torch.tensor(normal(4, 2, 2, 3, 3)))
    yield "msle", lambda a: ours.mean_squared_logarithmic_error(a, torch.ones_like(a)), positive[:1]
    yield "mape", lambda a: ours.mean_absolute_percentage_error(a, torch.ones_like(a)), pair[:1]
    yield "hinge", lambda a: ours.hinge(a, signs), pair[:1]
    yield "exponential", lambda a: ours.exponential_loss(a, signs), pair[:1]
    yield "masked", lambda a: ours.masked_binary_cross_entropy(a, (signs + 1) / 2, mask), pair[:1]
    yield "tasks", lambda a: ours.multi_task_loss(a, torch.tensor([1.0, 2, 3]), mask), pair[:1]
    yield "triplet", lambda a, b: ours.triplet_loss(a, b, a.flip(0)), pair
    for mining in MINING:
        yield mining, mined(mining), pair[:1]
    yield "contrastive", lambda a, b: ours.contrastive_loss(a, b, labels, 3.0), pair
    for form in ("absolute", "chi_square"):
        yield form, compared(form), positive
    yield "content", lambda a: ours.content_loss(a, torch.zeros_like(a)), pictures
    yield "style", lambda a: ours.style_loss(a, gram), pictures
    for form in FORMS:
        yield f"variation-{form}", varied(form), pictures


every_loss = pytest.mark.parametrize(
    ("function", "inputs"), [pytest.param(function, inputs, id=name) for name, function, inputs in cases()]
)


@every_loss
def test_gradients_by_finite_differences(function, inputs):
    assert torch.autograd.gradcheck(function, inputs)


@every_loss
def test_nothing_is_read_back_from_the_device(function, inputs):
    """A loss that reads a value on the way cannot be recorded: the trace has no numbers to read."""
    from torch.fx.experimental.proxy_tensor import make_fx

    recorded = make_fx(function)(*[one.detach() for one in inputs])
    other = [one.detach().flip(0) for one in inputs]
    assert torch.allclose(recorded(*other), function(*other))
