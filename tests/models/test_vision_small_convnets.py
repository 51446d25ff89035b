"""The convnets of the texts for CIFAR-10 and for cats and dogs, and the fast one: sizes, order of layers, starting weights."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from gradus.errors import UserError
from gradus.models import create_model
from gradus.nn import LocalResponseNorm


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def on_meta(name: str, **options: object) -> nn.Module:
    with torch.device("meta"):
        return create_model(name, **options)


def fit(model: nn.Module, inputs: torch.Tensor, steps: int, rate: float) -> list[float]:
    optimizer, losses = torch.optim.Adam(model.parameters(), lr=rate), []
    for _ in range(steps):
        loss = functional.cross_entropy(model(inputs), torch.arange(len(inputs)) % 2)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


@pytest.mark.parametrize(
    ("name", "side", "rate"),
    [
        ("cifar10_tutorial", 24, 0.001),
        ("cats_dogs_convnet", 46, 0.001),
        ("separable_convnet", 32, 0.01),
        ("fast_cifar", 17, 0.003),
    ],
)
def test_two_pictures_are_told_apart_in_a_few_steps(name, side, rate):
    torch.manual_seed(0)
    options = {"image_size": side} if name in ("cifar10_tutorial", "cats_dogs_convnet") else {}
    options |= (
        {"initialization": "he"} if name == "separable_convnet" else {}
    )  # from Keras' weights it takes 40
    model = create_model(name, num_classes=2, **options)
    losses = fit(model, torch.randn(2, 3, side, side), 12, rate)
    assert losses[-1] < 0.35 * losses[0]
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None and float(parameter.grad.abs().max()) > 0, key


# The TensorFlow tutorial's network


def test_the_layers_of_the_tutorial():
    model = on_meta("cifar10_tutorial")
    parts = {name: count(module) for name, module in model.named_children() if count(module)}
    assert parts == {"conv1": 4_864, "conv2": 102_464, "local3": 885_120, "local4": 73_920, "output": 1_930}
    assert sum(parts.values()) == 1_068_298
    chain = [name for names in model.stages.values() for name in names]
    assert chain.index("pool1") < chain.index("norm1") and chain.index("norm2") < chain.index("pool2")
    sides = [model.run(torch.empty(1, 3, 24, 24, device="meta"), last=stage).shape[2:] for stage in ("part1", "part2")]
    assert sides == [(12, 12), (6, 6)]
    odd = on_meta("cifar10_tutorial", image_size=31)  # 16, 8: padded as TensorFlow's SAME, rounded up
    assert odd(torch.empty(1, 3, 31, 31, device="meta")).shape == (1, 10)


def test_the_tutorial_begins_as_printed():
    torch.manual_seed(0)
    model = create_model("cifar10_tutorial")
    cut = 0.8796  # of the deviation is left of a normal distribution cut off at two deviations
    printed = {
        "conv1": (0.05, 0),
        "conv2": (0.05, 0.1),
        "local3": (0.04, 0.1),
        "local4": (0.04, 0.1),
        "output": (1 / 192, 0),
    }
    for name, (deviation, bias) in printed.items():
        layer = model.get_submodule(name)
        assert float(layer.weight.detach().std()) == pytest.approx(cut * deviation, rel=0.03), name
        assert float(layer.weight.detach().abs().max()) <= 2 * deviation
        assert layer.bias.tolist() == pytest.approx([bias] * len(layer.bias))


def test_the_tutorials_norm_is_across_maps():
    """out = a / (1 + 0.001 / 9 * sum of a^2 over 4 maps to either side)^0.75: the sum is not divided by their number."""
    model = create_model("cifar10_tutorial")
    assert isinstance(model.norm1, LocalResponseNorm)
    maps = 50 * torch.randn(1, 64, 1, 1)
    squares = [float((maps[0, max(0, i - 4) : i + 5] ** 2).sum()) for i in range(64)]
    wanted = [float(maps[0, i]) / (1 + 0.001 / 9 * squares[i]) ** 0.75 for i in range(64)]
    assert torch.allclose(model.norm1(maps).flatten(), torch.tensor(wanted), rtol=1e-4)


# Cats and dogs


def test_cats_and_dogs_with_one_output_and_with_two():
    one, two = on_meta("cats_dogs_convnet", num_classes=1), on_meta("cats_dogs_convnet", num_classes=2)
    parts = {name: count(module) for name, module in one.named_children() if count(module)}
    printed = {"block1": 896, "block2": 18_496, "block3": 73_856, "block4": 147_584, "hidden": 3_211_776, "head": 513}
    assert parts == printed and count(one) == 3_453_121  # listing 5-6
    assert count(two) == 3_453_634
    inputs, sides = torch.empty(1, 3, 150, 150, device="meta"), []
    for number in range(1, 5):
        inputs = one.run(inputs, f"block{number}", f"block{number}")
        sides.append(inputs.shape[2])
    assert sides == [74, 36, 17, 7]


def test_one_sigmoid_output_is_two_with_cross_entropy():
    """The probability of the second class is the sigmoid of the difference of the logits, and the losses are equal."""
    torch.manual_seed(0)
    two, one = (create_model("cats_dogs_convnet", num_classes=n, image_size=46).eval() for n in (2, 1))
    state = two.state_dict()
    for name in ("head.weight", "head.bias"):
        state[name] = state[name][1:] - state[name][:1]
    one.load_state_dict(state)
    inputs, targets = torch.randn(4, 3, 46, 46), torch.tensor([0, 1, 1, 0])
    with torch.no_grad():
        pairs, single = two(inputs), one(inputs)[:, 0]
    assert torch.allclose(pairs.softmax(dim=1)[:, 1], single.sigmoid(), atol=1e-5)
    binary = functional.binary_cross_entropy_with_logits(single, targets.float())
    assert torch.allclose(functional.cross_entropy(pairs, targets), binary, atol=1e-5)


def test_dropout_before_the_dense_layer():
    model = on_meta("cats_dogs_convnet", num_classes=1, dropout=0.5)
    assert model.dropout.p == 0.5 and model.stages["hidden"] == ("flatten", "dropout", "hidden")
    assert count(model) == 3_453_121 and on_meta("cats_dogs_convnet").dropout.p == 0


# Separable


def test_separable_and_ordinary_convolutions():
    assert count(on_meta("separable_convnet")) == 38_949
    assert count(on_meta("separable_convnet", separable=False)) == 282_282
    model = on_meta("separable_convnet")
    inputs, sides = torch.empty(1, 3, 64, 64, device="meta"), []
    for layer in (*model.block1, *model.block2, *model.block3):
        inputs = layer(inputs)
        sides.append(inputs.shape[2])
    assert sides == [62, 62, 60, 60, 30, 28, 28, 26, 26, 13, 11, 11, 9, 9]


def test_a_separable_convolution_is_less_than_an_ordinary_one():
    """§9.1.6 calls them equivalent: each separable one is an ordinary one, but few ordinary ones are separable."""
    torch.manual_seed(0)
    layer = create_model("separable_convnet").block1[2]
    whole = layer.pointwise.weight * layer.depthwise.weight[:, 0][None]  # (64, 32, 3, 3)
    inputs = torch.randn(2, 32, 8, 8)
    assert torch.allclose(functional.conv2d(inputs, whole, layer.pointwise.bias), layer(inputs), atol=1e-5)
    per_map = whole.permute(1, 0, 2, 3).flatten(2)  # for each input map its 64 filters of 9
    ordinary = torch.randn_like(per_map)
    assert torch.linalg.matrix_rank(per_map).unique().tolist() == [1]
    assert torch.linalg.matrix_rank(ordinary).unique().tolist() == [9]


# The fast network


def correlated_pictures(rows: int, seed: int = 0) -> torch.Tensor:
    noise = torch.randn(rows, 3, 34, 34, generator=torch.Generator().manual_seed(seed))
    smooth = functional.avg_pool2d(noise, 3, stride=1)
    return smooth + 0.7 * smooth.mean(dim=1, keepdim=True)


def test_whitened_patches_have_equal_deviation_in_all_directions():
    model = create_model("fast_cifar")
    pictures = correlated_pictures(60)
    model.fit_inputs(pictures)
    found = functional.conv2d(pictures, model.whitening.weight)
    assert torch.allclose(found[:, :12], -found[:, 12:], atol=1e-5)  # the second half has the sign turned
    flat = found[:, :12].transpose(0, 1).flatten(1)
    second_moments = flat @ flat.T / flat.shape[1]
    assert torch.allclose(second_moments, torch.eye(12), atol=0.05)
    raw = functional.unfold(pictures, 2).transpose(0, 1).flatten(1)
    assert float((raw @ raw.T / raw.shape[1] - torch.eye(12)).abs().max()) > 0.3  # as they were


def test_the_whitening_filters_are_kept_but_not_learnt():
    torch.manual_seed(0)
    model, other = create_model("fast_cifar"), create_model("fast_cifar")
    assert "whitening.weight" not in dict(model.named_parameters()) and count(model) == 1_971_352
    model.fit_inputs(correlated_pictures(20))
    other.load_state_dict(model.state_dict(), strict=True)
    assert torch.equal(other.whitening.weight, model.whitening.weight)
    inputs = correlated_pictures(2, seed=1)
    before = model.whitening.weight.clone()
    fit(model, inputs, 1, 0.01)
    assert torch.equal(model.whitening.weight, before) and bool(model.whitening.bias.any())


def test_fast_layers_begin_as_the_identity_and_logits_small():
    torch.manual_seed(0)
    model = create_model("fast_cifar")
    inputs = torch.randn(2, 64, 7, 7)
    assert torch.allclose(model.part2[0](inputs)[:, :64], inputs, atol=1e-6)
    with torch.no_grad():
        logits = model(torch.randn(64, 3, 32, 32))
        model.scale.factor = 1.0
        assert torch.allclose(model(torch.randn(64, 3, 32, 32)).std() / logits.std(), torch.tensor(9.0), rtol=0.1)
    assert float(functional.cross_entropy(logits, torch.arange(64) % 10)) == pytest.approx(math.log(10), abs=0.15)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) == 6 and not any(norm.affine for norm in norms)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("cats_dogs_convnet", {"image_size": 45}, "at least 46x46 pixels, received image_size 45"),
        ("cats_dogs_convnet", {"dropout": 1.5}, "dropout must be in 0..1"),
        ("fast_cifar", {"widths": (64, 256)}, "three parts, received [64, 256]"),
        ("separable_convnet", {"initialization": "glorott"}, "did you mean 'glorot'"),
    ],
)
def test_mistakes_are_told(name, options, message):
    with pytest.raises(UserError) as told:
        create_model(name, **options)
    assert message in str(told.value)
