"""The gradient check: right networks pass, planted faults are found and named, kinks and unused parameters are told."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from gradus.errors import UserError
from gradus.look import differences, gradient_check
from gradus.look.gradient_check import check_gradients, verdict
from gradus.look.subject import own_module, small_model


def seeded(make, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return make()


# One of each kind that is small enough: what large networks are made of stands in these too.
CHECKED = (
    *("logistic_regression", "mlp", "lenet5", "lenet5_1998", "lenet5_dropout", "lenet_caffe", "mnist_convnet"),
    *("separable_convnet", "resnet20", "nin"),
)


@pytest.mark.parametrize("name", CHECKED)
def test_networks_of_the_table_are_right(name):
    small = (3, 16, 16) if name in ("resnet20", "nin") else None  # these take any size
    model, shape = small_model(name, {}, small, seed=0)
    samples = 2 if name in ("resnet20", "nin", "separable_convnet") else 4  # many tensors
    report = check_gradients(model, torch.randn(2, *shape, generator=torch.Generator().manual_seed(0)), samples=samples)
    assert report.is_right and not report.faulty and report.worst.error < 1e-5, report.worst
    layers = {layer.name: layer for layer in report.layers}
    assert set(layers) >= {name for name, module in model.named_modules() if list(module.parameters(recurse=False))}
    assert all(layer.both.checked for layer in report.layers)
    assert not any(layer.unused for layer in report.layers)


# ---- planted faults: each is the right function with one backward pass that is wrong


class Linear(torch.autograd.Function):
    """inputs @ weight.T, whose backward is spoiled by `fault`."""

    @staticmethod
    def forward(context, inputs, weight, fault):
        context.save_for_backward(inputs, weight)
        context.fault = fault
        return inputs @ weight.T

    @staticmethod
    def backward(context, gradient):
        inputs, weight = context.saved_tensors
        by_inputs, by_weight = gradient @ weight, gradient.T @ inputs
        if context.fault == "sign":
            by_inputs = -by_inputs
        if context.fault == "factor":
            by_weight = 2 * by_weight
        if context.fault == "transpose":
            by_inputs = gradient @ weight.T
        if context.fault == "slightly":
            by_weight = by_weight * (1 + 1e-4)
        if context.fault == "nan":
            by_weight = by_weight * float("nan")
        return by_inputs, by_weight, None


class Faulty(nn.Module):
    def __init__(self, width: int, fault: str) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(width, width) / width**0.5)
        self.fault = fault

    def forward(self, inputs):
        return Linear.apply(inputs, self.weight, self.fault)


def network_with(fault: str) -> nn.Module:
    return seeded(lambda: nn.Sequential(nn.Linear(5, 6), nn.Tanh(), Faulty(6, fault), nn.Tanh(), nn.Linear(6, 3)))


def test_without_a_fault_the_smooth_network_is_good():
    report = check_gradients(network_with("none"))
    assert report.verdict == "good" and not report.faulty and report.is_right
    assert sum(layer.both.kinks for layer in report.layers) == 0


@pytest.mark.parametrize("fault", ["sign", "factor", "transpose", "nan"])
def test_planted_faults_are_found_and_the_layer_is_named(fault):
    report = check_gradients(network_with(fault), samples=4)
    assert report.verdict == "wrong" and not report.is_right and report.faulty == ("2",)
    layers = {layer.name: layer for layer in report.layers}
    assert layers["4"].network.error < 1e-7 and layers["2"].alone.error > 1e-3  # what lies above is not spoiled
    spoils_below = fault in ("sign", "transpose")
    assert (layers["0"].network.error > 1e-3) == spoils_below
    assert layers["0"].alone.error < 1e-7 and layers["1"].alone.error < 1e-7  # below it only in the whole


def test_a_doubled_gradient_has_the_error_of_a_third():
    report = check_gradients(network_with("factor"))
    worst = {layer.name: layer for layer in report.layers}["2"]
    assert worst.network.error == pytest.approx(1 / 3, rel=1e-6) and worst.network.where.startswith("weight[")
    assert report.worst.where.startswith("2.weight[")


def test_a_small_fault_is_to_be_looked_at():
    report = check_gradients(network_with("slightly"))
    assert report.verdict == "look" and report.is_right and not report.faulty
    assert report.worst.error == pytest.approx(5e-5, rel=1e-2)


def test_a_fault_of_a_forward_that_joins_layers_is_named_by_its_module():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(4, 4)

        def forward(self, inputs):
            return inputs.detach() + self.inner(inputs)  # the way past the layer is cut

    report = check_gradients(seeded(lambda: nn.Sequential(nn.Linear(3, 4), Block(), nn.Linear(4, 2))))
    assert report.faulty == ("1",)
    assert {layer.name: layer for layer in report.layers}["1.inner"].both.error < 1e-7


def test_a_fault_of_the_network_itself():
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(3, 4), nn.Linear(4, 2)

        def forward(self, inputs):
            return self.second(torch.tanh(self.first(inputs)).detach())

    report = check_gradients(seeded(Network))
    assert report.faulty == ("",) and not report.is_right
    first = {layer.name: layer for layer in report.layers}["first"]
    assert first.network.error == 1 and not first.unused  # no gradient, though the outputs depend on it


def test_parameters_that_are_not_used_are_told():
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.idle = nn.Linear(3, 2), nn.Linear(3, 2)
            self.scale = nn.Parameter(torch.ones(2))

        def forward(self, inputs):
            return self.used(inputs)

    report = check_gradients(seeded(Network))
    assert report.verdict == "good"
    assert {layer.name: layer.unused for layer in report.layers} == {
        "inputs": (),
        "": ("scale",),
        "used": (),
        "idle": ("weight", "bias"),
    }


# ---- kinks


def test_numbers_at_a_kink_are_replaced_and_counted():
    inputs = torch.tensor([[0.0, 1.0, -2.0, 0.0, 3.0]]).repeat(2, 1)
    report = check_gradients(nn.Sequential(nn.ReLU(), nn.Linear(5, 2)), inputs, samples=5)
    first = report.layers[0].network  # the inputs: six of ten are away from the kink
    assert (first.checked, first.kinks) == (5, 0) or first.kinks > 0
    assert report.verdict == "good"
    every = check_gradients(nn.Sequential(nn.ReLU(), nn.Linear(5, 2)), inputs, samples=10).layers[0].network
    assert (every.checked, every.kinks) == (6, 4)


def test_a_tensor_of_kinks_alone_is_not_compared():
    report = check_gradients(nn.Sequential(nn.ReLU()), torch.zeros(2, 3))
    assert (report.layers[0].network.checked, report.layers[0].network.kinks) == (0, 6)


def test_a_kink_near_by_is_avoided_by_a_smaller_step():
    weight = torch.tensor([3e-5], dtype=torch.float64)
    slope, rounding = differences.difference(lambda: max(weight.item(), 0.0), weight, (0,), 1.0)
    assert slope == pytest.approx(1, abs=1e-9) and rounding < 1e-9
    assert weight.item() == 3e-5  # put back
    for distance in (0.0, 1e-9):
        weight[0] = distance
        assert differences.difference(lambda: max(weight.item(), 0.0), weight, (0,), 1.0) is None


@pytest.mark.parametrize("distance", np.linspace(-1.1, 1.1, 23))
def test_no_kink_within_the_step_spoils_a_derivative(distance):
    """Wherever the corner of |x - c| + x^2 lies: either it is seen, or the derivative is right."""
    weight = torch.tensor([0.7], dtype=torch.float64)
    corner = 0.7 + distance * 1e-4
    found = differences.difference(lambda: abs(weight.item() - corner) + weight.item() ** 2, weight, (0,), 1.0)
    if found is None:
        assert abs(distance) < 0.02
    else:
        assert found[0] == pytest.approx((1 if corner < 0.7 else -1) + 1.4, abs=1e-8)


def test_differences_of_smooth_functions():
    for function, slope in ((np.sin, np.cos), (np.exp, np.exp), (lambda x: x**5, lambda x: 5 * x**4)):
        for point in (0.0, 0.3, -2.0, 11.0):
            weight = torch.tensor([point], dtype=torch.float64)
            found, _ = differences.difference(lambda f=function, w=weight: float(f(w.item())), weight, (0,), 1.0)
            assert found == pytest.approx(slope(point), rel=1e-8, abs=1e-10)


# ---- modes, kinds of modules and inputs


def test_dropout_in_training_mode_draws_the_same_numbers_each_time():
    model = seeded(lambda: nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Dropout(0.5), nn.Linear(8, 3)))
    state = torch.random.get_rng_state()
    report = check_gradients(model, training=True)
    assert report.verdict == "good" and report.training
    assert torch.equal(torch.random.get_rng_state(), state)  # the caller's random numbers go on as they were


def test_batch_normalisation_by_its_batch_and_by_its_averages():
    model = seeded(
        lambda: nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Tanh(), nn.Flatten(), nn.Linear(48, 2))
    )
    inputs = torch.randn(4, 2, 6, 6, generator=torch.Generator().manual_seed(1))
    for training in (False, True):
        report = check_gradients(model, inputs, training=training)
        assert report.worst.error < 1e-6, report.worst
    assert model[1].num_batches_tracked == 0 and model[0].weight.dtype == torch.float32 and model.training


def test_recurrent_layers_embeddings_and_several_inputs():
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.recur = nn.Embedding(9, 4), nn.LSTM(4, 3, batch_first=True)
            self.attend = nn.MultiheadAttention(3, 1, batch_first=True)

        def forward(self, tokens, scale):
            states, (last, _) = self.recur(self.embed(tokens))
            return {"mixed": self.attend(states, states, states)[0] * scale, "last": last}

    tokens = torch.arange(8).reshape(2, 4)
    report = check_gradients(seeded(Network), (tokens, torch.full((2, 1, 3), 0.7)))
    assert report.verdict in ("good", "fair"), report.worst
    layers = {layer.name: layer for layer in report.layers}
    assert layers["embed"].network.checked == 10 and layers["recur"].alone.checked > 10
    assert layers["inputs"].network.checked == 6


def test_layers_that_work_in_place():
    model = seeded(lambda: nn.Sequential(nn.Linear(6, 9), nn.ReLU(inplace=True), nn.Linear(9, 3)))
    inputs = torch.randn(2, 6)
    before = inputs.clone()
    assert check_gradients(model, inputs).is_right
    assert torch.equal(inputs, before)


def test_half_precision_inside_is_noted():
    class Rounded(nn.Linear):
        def forward(self, inputs):
            return functional.linear(inputs.float(), self.weight.float(), self.bias.float())

    report = check_gradients(seeded(lambda: Rounded(3, 2)))
    assert any("less than float64" in note for note in report.notes)


def test_the_same_seed_gives_the_same_report():
    model = network_with("none")
    assert check_gradients(model, samples=2, seed=3) == check_gradients(model, samples=2, seed=3)
    assert check_gradients(model, samples=2, seed=3) != check_gradients(model, samples=2, seed=4)


def test_a_large_network_is_sampled_less(monkeypatch):
    monkeypatch.setattr(gradient_check, "BUDGET", 3e4)
    report = check_gradients(network_with("none"))
    assert 1 <= report.samples < 10
    assert report.notes == (f"{report.samples} numbers of each tensor are moved, not 10: the network is large",)
    assert check_gradients(network_with("none"), samples=10).notes == ()


def test_verdicts():
    bounds = (0, 9e-8, 1e-7, 9e-6, 1e-5, 9e-4, 1e-3, 1, float("inf"))
    assert [verdict(error) for error in bounds] == [*["good"] * 2, *["fair"] * 2, *["look"] * 2, *["wrong"] * 3]


def test_the_report_as_json():
    report = check_gradients(network_with("nan"))
    told = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert told["verdict"] == "wrong" and told["faulty"] == ["2"] and told["shape"] == [2, 5]
    assert [layer["name"] for layer in told["layers"]] == ["inputs", "0", "1", "2", "3", "4"]
    assert told["layers"][3]["network"]["error"] is None and told["layers"][4]["network"] is None


# ---- mistakes


class Noise(nn.Module):
    def forward(self, inputs):
        self.calls = getattr(self, "calls", 0) + 1
        return inputs * self.calls


@pytest.mark.parametrize(
    ("module", "inputs", "told"),
    [
        (nn.Linear(3, 2), torch.ones(2, 4), r"^Linear does not take inputs of shape \(2, 4\): mat1 and mat2"),
        (nn.Identity(), None, r"^what does Identity take\?.*--input-shape 3,32,32"),
        (Noise(), torch.ones(2, 3), "^Noise returns other numbers for the same inputs each time"),
        (nn.Threshold(0, float("nan")), -torch.ones(2, 3), "^Threshold returns numbers that are not finite"),
        (nn.Identity(), torch.ones(2, 3, dtype=torch.long), "^Identity returns no real numbers"),
    ],
)
def test_mistakes_are_told_in_one_sentence(module, inputs, told):
    with pytest.raises(UserError, match=told) as raised:
        check_gradients(module, inputs)
    assert "\n" not in str(raised.value)


def test_networks_are_made_small_and_as_asked():
    model, shape = small_model("mlp", {"hidden": [4]}, (2, 3, 3), seed=0)
    assert shape == (2, 3, 3) and model.features[0].in_features == 18 and model.head.out_features == 5
    model, shape = small_model("lenet5", {}, (3, 32, 32), seed=0)
    assert shape == (3, 32, 32) and model.features[0].in_channels == 3 and model.image_size == 32
    assert small_model("lenet5", {"image_size": 32}, None, seed=0)[1] == (1, 32, 32)
    assert small_model("logistic_regression", {"in_features": 7}, None, seed=0)[1] == (7,)
    first, second, third = (small_model("mlp", {}, None, seed=seed)[0].head.weight for seed in (0, 0, 1))
    assert torch.equal(first, second) and not torch.equal(first, third)


def test_a_module_of_the_users_own_file(tmp_path):
    (tmp_path / "helper.py").write_text("WIDTH = 4\n")
    file = tmp_path / "mine.py"
    file.write_text(
        "from torch import nn\nfrom helper import WIDTH\n"
        "class Net(nn.Module):\n    def __init__(self, out=2):\n        super().__init__()\n"
        "        self.layer = nn.Linear(WIDTH, out)\n    def forward(self, x):\n        return self.layer(x)\n"
        "made = Net()\n"
    )
    assert own_module(f"{file}:Net", {"out": 3}, 0).layer.out_features == 3
    assert own_module(f"{file}:made", {}, 0).layer.out_features == 2
    assert check_gradients(own_module(f"{file}:Net", {}, 0)).verdict == "good"


@pytest.mark.parametrize(
    ("content", "name", "options", "told"),
    [
        ("", "Net", {}, "unknown class of {file} 'Net'"),
        ("from torch import nn\nclass Net(nn.Linear): pass", "Nett", {}, "did you mean 'Net'"),
        ("x = (", "Net", {}, "{file}: it cannot be run (line 1): SyntaxError"),
        ("import nowhere_to_be_found", "Net", {}, "{file}: it cannot be run (line 1): ModuleNotFoundError"),
        ("def Net():\n    return 3", "Net", {}, "Net(...) makes a int, expected a torch.nn.Module"),
        ("def Net():\n    x = 1\n    return 1 / 0", "Net", {}, "Net(...) failed (line 3): ZeroDivisionError"),
        ("def Net(width): pass", "Net", {}, "Net needs width: give --set width=..."),
        ("def Net(width): pass", "Net", {"widht": 3}, "Net has no option 'widht'; did you mean 'width'?"),
        ("Net = 3", "Net", {}, "Net is no class and no function"),
    ],
)
def test_mistakes_of_the_users_own_file(tmp_path, content, name, options, told):
    file = tmp_path / "mine.py"
    file.write_text(content)
    with pytest.raises(UserError) as raised:
        own_module(f"{file}:{name}", options, 0)
    assert told.format(file=file) in str(raised.value) and "\n" not in str(raised.value)


def test_no_such_file_and_no_class():
    with pytest.raises(UserError, match=r"expected FILE\.py:CLASS"):
        own_module("mine.py", {}, 0)
    with pytest.raises(UserError, match="there is no such file"):
        own_module("mine.py:Net", {}, 0)
