"""Every network of the table by property, and each against the numbers that its source prints.

A new network gets the property tests by being listed: its arguments tell what it takes. Light networks are tested in all
cases, heavy ones in one.
"""

from __future__ import annotations

import copy
import sys
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from gradus.errors import UserError
from gradus.models import MODELS, accepted_options, create_model, image_sizes, model_class, smallest_image_size
from gradus.models.auxiliary import auxiliary_heads_of, main_outputs, total_loss
from gradus.models.stages import StagedNetwork, head_of

CLASSES = 7
MANY_PARAMETERS, MANY_LAYERS = 3_000_000, 100  # from here on a network is heavy: one case stands for all of its cases
# dense layers that only cost time are made small, where a network has an option for that
SLIM = {f"vgg{depth}{norm}": {"hidden": (16,), "map_size": 1} for depth in (11, 13, 16, 19) for norm in ("", "_bn")}
SLIM |= {name: {"hidden": (16,)} for name in ("alexnet", "alexnet_2012", "caffenet", "zfnet")}


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


def is_for_pictures(name: str) -> bool:
    return "in_channels" in accepted_options(name)


def cases_of(name: str) -> list[Case]:
    """For pictures: colour and grey at each fixed side (28 and 33 where any will do). For vectors: a vector and a picture."""
    if not is_for_pictures(name):
        vector, picture = {"num_classes": CLASSES, "in_features": 12}, {"num_classes": CLASSES, "in_features": 24}
        return [Case(name, vector, (12,)), Case(name, picture, (2, 3, 4))]
    smallest, sized = smallest_image_size(name), "image_size" in accepted_options(name)
    sides = image_sizes(name, {}) or ((max(28, smallest), max(33, smallest)) if sized else (max(smallest + 1, 17),))
    found = []
    for side in sides:
        for channels in (3, 1):
            options = {"num_classes": CLASSES, "in_channels": channels, **SLIM.get(name, {})}
            found.append(Case(name, options | ({"image_size": side} if sized else {}), (channels, side, side)))
    return found


def is_heavy(model: nn.Module) -> bool:
    layers = [module for module in model.modules() if not list(module.children())]
    return count(model) > MANY_PARAMETERS or len(layers) > MANY_LAYERS


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def same(first: torch.Tensor, second: torch.Tensor) -> bool:
    """As far as float32 goes; sums are taken in another order."""
    return float((first - second).abs().max()) <= 1e-4 * max(0.1, float(first.abs().max()))


def settle(model: nn.Module, inputs: torch.Tensor) -> None:
    """Batch normalisation takes half its averages from these inputs: a thousand layers overflow with averages of nothing."""
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    before = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.5
    if norms:
        with torch.no_grad():
            model.train()(inputs)
    for norm, momentum in zip(norms, before, strict=True):
        norm.momentum = momentum


def answers(model: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    """What the network says in evaluation."""
    with torch.no_grad():
        return model.eval()(inputs)


# the others give boxes and maps or take sequences, and have tests of their own
OTHERS = ("detection.", "segmentation.", "sequence.", "pairs.", "generative.", "control.")
CLASSIFIERS = [name for name in MODELS if not MODELS[name][0].startswith(OTHERS)]


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_the_properties_of_a_network(name):
    first, *others = cases_of(name)
    model = first.make()
    assert MODELS[name][1]
    assert_properties(first, model)
    any_size = is_for_pictures(name) and "image_size" not in accepted_options(name)
    if any_size:
        assert_small_pictures_pass_or_are_told(model, smallest_image_size(name))
    if not is_heavy(model):
        for case in others:
            assert_properties(case, case.make())
        assert_the_seed_decides_the_weights(first)
    usual = getattr(model, "usual_image_size", 0)
    if any_size and usual > 64:  # where it would take long with numbers: by shapes alone
        outputs = answers(model.to("meta"), torch.empty(2, 3, usual, usual, device="meta"))
        assert outputs.shape == (2, CLASSES)


def assert_properties(case: Case, model: nn.Module) -> None:
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in case.options.items()}
    assert (model.created_as.name, model.created_as.options) == (case.name, plain)
    inputs = case.inputs(3)
    settle(model, case.inputs(8))
    outputs = answers(model, inputs)
    assert outputs.shape == (3, CLASSES) and bool(torch.isfinite(outputs).all())
    assert same(outputs[1:2], answers(model, inputs[1:2]))  # a row alone is as among others
    assert_stages_are_the_network(model, inputs, outputs)
    for head in (head_of(model), *auxiliary_heads_of(model)):
        assert model.get_submodule(head).weight.shape[0] == CLASSES
    assert_weights_round_trip(case, model, inputs, outputs)
    assert_every_parameter_has_a_gradient(model, case.inputs(8))


def assert_stages_are_the_network(model: nn.Module, inputs: torch.Tensor, wanted: torch.Tensor) -> None:
    """One stage after the other gives the same, and they hold every parameter but those of auxiliary heads, once."""
    if not isinstance(model, StagedNetwork):
        return
    outputs = inputs
    with torch.no_grad():
        for stage in model.stages:
            outputs = model.run(outputs, stage, stage)
    assert torch.equal(outputs, wanted)
    assert list(model.stages)[-1] == "head" and len(model.stages) > 1
    held = [module for names in model.stages.values() for module in names]
    held += getattr(model, "auxiliary_heads", {}).values()
    assert len(held) == len(set(held))
    for name, _ in model.named_parameters():
        assert any(name.startswith(f"{module}.") for module in held), name


def assert_weights_round_trip(case: Case, model: nn.Module, inputs: torch.Tensor, wanted: torch.Tensor) -> None:
    """Strictly, into a copy that has other numbers; and in the other memory order they answer the same."""
    other = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.fill_(0.1)
    assert not same(wanted, answers(other, inputs))
    other.load_state_dict(model.state_dict(), strict=True)
    assert torch.equal(answers(other, inputs), wanted)
    if inputs.ndim == 4:
        fast = other.to(memory_format=torch.channels_last)
        assert same(wanted, answers(fast, inputs.to(memory_format=torch.channels_last)))


def assert_every_parameter_has_a_gradient(model: nn.Module, inputs: torch.Tensor) -> None:
    """With the losses of auxiliary heads; what a network leaves out at random counts when it was in once."""
    targets = torch.arange(len(inputs)) % CLASSES
    missing = {name for name, _ in model.named_parameters()}
    for _ in range(4):
        model.zero_grad()
        outputs = model.train()(inputs)
        total_loss(model, outputs, lambda one: functional.cross_entropy(one, targets)).backward()
        for name, parameter in model.named_parameters():
            if parameter.grad is not None:
                assert bool(torch.isfinite(parameter.grad).all()), name
                if bool(parameter.grad.any()):
                    missing.discard(name)
        if not missing:
            break
    model.zero_grad()
    assert missing == set()


def assert_the_seed_decides_the_weights(case: Case) -> None:
    first, same, other = (case.make(seed).state_dict() for seed in (5, 5, 6))
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def assert_small_pictures_pass_or_are_told(model: nn.Module, smallest: int) -> None:
    """At the smallest side it trains; below, it goes through or one sentence says what is needed."""
    with torch.no_grad():
        assert main_outputs(model.train()(torch.randn(2, 3, smallest, smallest))).shape == (2, CLASSES)
        try:
            model.eval()(torch.randn(2, 3, smallest - 1, smallest - 1)) if smallest > 1 else None
        except UserError as told:
            assert f"at least {smallest}x{smallest} pixels, received {smallest - 1}x{smallest - 1}" in str(told)


@pytest.mark.parametrize(
    ("name", "smallest"),
    [
        ("alexnet", 63),  # torchvision states these for its own
        ("alexnet_2012", 67),
        ("caffenet", 67),
        ("zfnet", 53),
        ("nin", 4),
        ("vgg16", 32),
        ("googlenet", 15),
        ("googlenet_2014", 31),
        ("inception_v3", 75),
        ("xception", 7),
        ("squeezenet1_0", 21),
        ("squeezenet1_1", 17),
    ],
)
def test_the_smallest_pictures_that_networks_of_any_size_take(name, smallest):
    with torch.device("meta"):
        model = create_model(name, num_classes=2)
        assert model.eval()(torch.empty(1, 3, smallest, smallest)).shape == (1, 2)
        with pytest.raises(UserError) as told:
            model(torch.empty(1, 3, smallest + 9, smallest - 1))
    wanted = f"{name} takes pictures of at least {smallest}x{smallest} pixels, received {smallest + 9}x{smallest - 1}"
    assert str(told.value) == wanted


@pytest.mark.parametrize(
    ("name", "options", "published"),
    [
        ("logistic_regression", {"in_features": 784}, 7_850),
        ("mlp", {"in_features": 784, "hidden": (512,)}, 407_050),  # Deep Learning with Python, listing 2-2
        ("lenet5", {}, 61_706),
        ("lenet5_1998", {}, 60_850),  # 60 000 of the paper's layers, and a linear output of 850
        ("lenet5_dropout", {}, 254_718),  # Principles and Practice, listing 4-5
        ("lenet_caffe", {}, 431_080),
        ("alexnet", {"num_classes": 1000}, 61_100_840),
        ("alexnet_2012", {"num_classes": 1000}, 60_965_224),
        ("alexnet_2012", {"num_classes": 1000, "groups": 1}, 62_378_344),
        (
            "alexnet_2012",
            {"num_classes": 2, "normalization": "none"},
            56_876_418,
        ),  # Principles and Practice, listing 4-14
        ("caffenet", {"num_classes": 1000}, 60_965_224),
        ("zfnet", {"num_classes": 1000}, 62_357_608),
        ("nin", {}, 966_986),
        ("vgg11", {"num_classes": 1000}, 132_863_336),
        ("vgg13", {"num_classes": 1000}, 133_047_848),
        ("vgg16", {"num_classes": 1000}, 138_357_544),
        ("vgg19", {"num_classes": 1000}, 143_667_240),
        ("vgg11_bn", {"num_classes": 1000}, 132_868_840),
        ("vgg13_bn", {"num_classes": 1000}, 133_053_736),
        ("vgg16_bn", {"num_classes": 1000}, 138_365_992),
        ("vgg19_bn", {"num_classes": 1000}, 143_678_248),
        ("vgg16", {"num_classes": 1, "hidden": (256,), "map_size": 4}, 16_812_353),  # Deep Learning with Python, 5-20
        ("googlenet_2014", {"num_classes": 1000}, 13_378_280),
        ("googlenet_2014", {"num_classes": 1000, "auxiliary": False}, 6_998_552),
        ("googlenet", {"num_classes": 1000}, 13_004_888),
        ("googlenet", {"num_classes": 1000, "auxiliary": False}, 6_624_904),
        ("inception_v3", {"num_classes": 1000}, 27_161_264),
        ("inception_v3", {"num_classes": 1000, "auxiliary": False}, 23_834_568),
        ("xception", {"num_classes": 1000}, 22_855_952),
        ("squeezenet1_0", {"num_classes": 1000}, 1_248_424),
        ("squeezenet1_1", {"num_classes": 1000}, 1_235_496),
        ("mnist_convnet", {}, 93_322),  # Deep Learning with Python, listing 5-2
    ],
)
def test_parameters_are_as_many_as_published(name, options, published):
    with torch.device("meta"):
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
    for name, side in (("mnist_convnet", 18), ("lenet5_dropout", 12), ("lenet_caffe", 16)):
        assert smallest_image_size(name) == side
        model = create_model(name, num_classes=2, image_size=side)
        assert model(torch.randn(1, 1, side, side)).shape == (1, 2)
        with pytest.raises(UserError, match=rf"at least {side}x{side} pixels, received image_size {side - 1}"):
            create_model(name, num_classes=2, image_size=side - 1)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("lenet", {}, "unknown model 'lenet'; did you mean 'lenet5'?"),
        ("LeNet5", {}, "did you mean 'lenet5'?"),
        ("perceiver", {}, "unknown model 'perceiver'; known: logistic_regression, mlp"),
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
