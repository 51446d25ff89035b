"""Every network of the table by property, and each against the numbers that its source prints.

A new network gets the property tests by being listed: its arguments tell what it takes.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from gradus.errors import UserError
from gradus.models import MODELS, accepted_options, create_model, image_sizes, model_class, smallest_image_size

CLASSES = 7


@dataclass(frozen=True)
class Case:
    """One network with arguments that suit it, and the shape of one row of its input."""

    name: str
    options: dict[str, Any]
    row: tuple[int, ...]

    def make(self, seed: int = 0) -> nn.Module:
        torch.manual_seed(seed)
        return create_model(self.name, **self.options)

    def inputs(self, rows: int, seed: int = 1) -> torch.Tensor:
        return torch.randn(rows, *self.row, generator=torch.Generator().manual_seed(seed))

    def __str__(self) -> str:
        return f"{self.name}-{'x'.join(map(str, self.row))}"


def cases() -> list[Case]:
    """For pictures: grey and colour at each fixed side (28 and 33 where any will do). For vectors: a vector and a picture."""
    found = []
    for name in MODELS:
        accepted = accepted_options(name)
        if "image_size" in accepted:
            for side in image_sizes(name, {}) or (28, 33):
                for channels in (1, 3):
                    options = {"num_classes": CLASSES, "in_channels": channels, "image_size": side}
                    found.append(Case(name, options, (channels, side, side)))
        elif "in_channels" in accepted:
            side = smallest_image_size(name) + 1
            for channels in (1, 3):
                options = {"num_classes": CLASSES, "in_channels": channels}
                found.append(Case(name, options, (channels, side, side)))
        else:
            found.append(Case(name, {"num_classes": CLASSES, "in_features": 12}, (12,)))
            found.append(Case(name, {"num_classes": CLASSES, "in_features": 24}, (2, 3, 4)))
    return found


every_case = pytest.mark.parametrize("case", cases(), ids=str)


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_every_network_is_a_case():
    assert {case.name for case in cases()} == set(MODELS)
    assert all(about for _, about in MODELS.values())


@every_case
def test_logits_one_row_a_row(case):
    for rows in (1, 3):
        outputs = case.make()(case.inputs(rows))
        assert outputs.shape == (rows, CLASSES) and bool(torch.isfinite(outputs).all())


@every_case
def test_one_backward_pass_reaches_every_parameter(case):
    model = case.make()
    loss = functional.cross_entropy(model(case.inputs(16)), torch.arange(16) % CLASSES)
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert bool(torch.isfinite(parameter.grad).all()) and float(parameter.grad.abs().max()) > 0, name


@every_case
def test_weights_round_trip_strictly(case):
    model, other = case.make(0).eval(), case.make(1).eval()
    inputs = case.inputs(4)
    assert not torch.equal(model(inputs), other(inputs))
    other.load_state_dict(model.state_dict(), strict=True)
    assert torch.equal(model(inputs), other(inputs))


@every_case
def test_in_eval_a_row_is_answered_alone_as_among_others(case):
    model, inputs = case.make().eval(), case.inputs(5)
    with torch.no_grad():
        alone, among = model(inputs[2:3]), model(inputs)[2:3]
    assert torch.allclose(alone, among, atol=1e-5)


@every_case
def test_the_seed_decides_the_weights(case):
    first, same, other = (case.make(seed).state_dict() for seed in (5, 5, 6))
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


@every_case
def test_it_runs_in_channels_last(case):
    model, inputs = case.make().eval(), case.inputs(2)
    if inputs.ndim != 4:
        pytest.skip("vectors have no memory order of channels")
    with torch.no_grad():
        plain = model(inputs)
        fast = model.to(memory_format=torch.channels_last)(inputs.to(memory_format=torch.channels_last))
    assert torch.allclose(plain, fast, atol=1e-5)


@every_case
def test_it_knows_how_it_was_made(case):
    made = case.make().created_as
    assert made.name == case.name and made.options == case.options


@pytest.mark.parametrize(
    ("name", "options", "published"),
    [
        ("logistic_regression", {"in_features": 784}, 7_850),
        ("mlp", {"in_features": 784, "hidden": (512,)}, 407_050),  # Deep Learning with Python, listing 2-2
        ("lenet5", {}, 61_706),
        ("lenet5_1998", {}, 60_850),  # 60 000 of the paper's layers, and a linear output of 850
        ("lenet5_dropout", {}, 254_718),  # Principles and Practice, listing 4-5
        ("squeezenet1_0", {"num_classes": 1000}, 1_248_424),
        ("squeezenet1_1", {"num_classes": 1000}, 1_235_496),
        ("mnist_convnet", {}, 93_322),  # Deep Learning with Python, listing 5-2
    ],
)
def test_parameters_are_as_many_as_published(name, options, published):
    assert count(create_model(name, **{"num_classes": 10, **options})) == published


def test_the_parts_of_lenet5_are_those_of_the_paper():
    model = create_model("lenet5_1998")
    parts = [count(layer) for layer in (*model.features, *model.hidden, model.head) if count(layer)]
    assert parts == [156, 12, 1_516, 32, 48_120, 10_164, 850]


@pytest.mark.parametrize("name", ["lenet5", "lenet5_1998"])
def test_28_with_padding_is_32_with_a_border_of_zeros(name):
    torch.manual_seed(0)
    small, large = create_model(name, image_size=28).eval(), create_model(name, image_size=32).eval()
    large.load_state_dict(small.state_dict(), strict=True)
    pictures = torch.randn(3, 1, 28, 28)
    with torch.no_grad():
        found, wanted = small(pictures), large(functional.pad(pictures, (2, 2, 2, 2)))
    assert torch.allclose(found, wanted, atol=1e-6)
    assert not torch.allclose(found, large(functional.pad(pictures, (4, 0, 4, 0))), atol=1e-3)  # not just any border


def test_dropout_acts_in_training_only():
    for name, options in (("mlp", {"in_features": 9, "dropout": 0.5}), ("lenet5_dropout", {"image_size": 12})):
        model = create_model(name, num_classes=3, **options)
        inputs = torch.randn(4, 9) if name == "mlp" else torch.randn(4, 1, 12, 12)
        assert not torch.equal(model(inputs), model(inputs))
        model.eval()
        assert torch.equal(model(inputs), model(inputs))


def test_mlp_widths_and_activations():
    model = create_model("mlp", in_features=5, num_classes=2, hidden=(4, 3), activation="tanh")
    kinds = [type(layer) for layer in model.features]
    assert kinds == [nn.Linear, nn.Tanh, nn.Linear, nn.Tanh]
    assert count(model) == (5 * 4 + 4) + (4 * 3 + 3) + (3 * 2 + 2)
    assert count(create_model("mlp", in_features=5, num_classes=2, hidden=())) == 5 * 2 + 2
    assert count(create_model("mlp", in_features=5, num_classes=2, hidden=4)) == (5 * 4 + 4) + (4 * 2 + 2)
    model = create_model("mlp", in_features=5, num_classes=2, hidden=(4, 3), dropout=0.25)
    assert [layer.p for layer in model.features if isinstance(layer, nn.Dropout)] == [0.25, 0.25]


def test_the_smallest_pictures_that_the_convnets_take():
    for name, side in (("mnist_convnet", 18), ("lenet5_dropout", 12)):
        model = create_model(name, num_classes=2, image_size=side)
        assert model(torch.randn(1, 1, side, side)).shape == (1, 2)
        with pytest.raises(UserError, match=rf"at least {side}x{side} pixels, received image_size {side - 1}"):
            create_model(name, num_classes=2, image_size=side - 1)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("lenet", {}, "unknown model 'lenet'; did you mean 'lenet5'?"),
        ("LeNet5", {}, "did you mean 'lenet5'?"),
        ("transformer", {}, "unknown model 'transformer'; known: logistic_regression, mlp"),
        ("lenet5", {"num_clases": 3}, "lenet5 has no option 'num_clases'; did you mean 'num_classes'?"),
        ("lenet5", {"depth": 3}, "lenet5 has no option 'depth'; options: num_classes, in_channels, image_size"),
        ("mlp", {"num_classes": 2}, "mlp needs in_features"),
        ("mlp", {}, "mlp needs in_features and num_classes"),
        ("lenet5", {"image_size": 30}, "28x28 or 32x32 pixels, received image_size 30"),
        ("lenet5_1998", {"image_size": 64}, "28x28 or 32x32 pixels, received image_size 64"),
        ("mlp", {"in_features": 2, "num_classes": 2, "activation": "rellu"}, "did you mean 'relu'?"),
        ("mlp", {"in_features": 2, "num_classes": 2, "hidden": (4, 0)}, "hidden widths must be whole numbers above 0"),
        ("mlp", {"in_features": 2, "num_classes": 2, "hidden": (4, 1.5)}, "received [4, 1.5]"),
        ("mlp", {"in_features": 2, "num_classes": 2, "dropout": 1.0}, "dropout must be in 0..1 (1 excluded)"),
        ("mlp", {"in_features": "two", "num_classes": 2}, "mlp: "),
    ],
)
def test_mistakes_are_told(name, options, message):
    with pytest.raises(UserError) as told:
        create_model(name, **options)
    assert message in str(told.value)


@pytest.mark.parametrize("option", ["in_features", "num_classes"])
def test_negative_sizes_are_told(option):
    with pytest.raises(UserError, match=option):
        create_model("mlp", **{"in_features": 3, "num_classes": 2, option: -1})


@pytest.mark.filterwarnings("ignore:Initializing zero-element")
@pytest.mark.parametrize("option", ["in_features", "num_classes"])
def test_empty_sizes_are_told(option):
    with pytest.raises(UserError, match=option):
        create_model("mlp", **{"in_features": 3, "num_classes": 2, option: 0})


def test_the_sides_that_a_network_takes():
    assert image_sizes("lenet5", {}) == (28, 32)
    assert image_sizes("lenet5", {"image_size": 32}) == (32,)
    assert image_sizes("mnist_convnet", {}) is None
    assert image_sizes("mlp", {}) is None
    assert image_sizes(create_model("lenet5", image_size=32), {}) == (32,)
    assert image_sizes(nn.Linear(2, 2), {}) is None


def test_a_network_is_imported_when_asked_for(monkeypatch):
    monkeypatch.delitem(sys.modules, "gradus.models.vision.mnist_convnet", raising=False)
    model_class("mlp")
    assert "gradus.models.vision.mnist_convnet" not in sys.modules
    assert model_class("mnist_convnet").__name__ == "MnistConvnet"
    assert "gradus.models.vision.mnist_convnet" in sys.modules
