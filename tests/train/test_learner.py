"""One step of the supervised learner: against gradients and averages by hand, and what it does with numbers that are none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from gradus.data.columns import Column, Label, Labels, Number
from gradus.data.dataset import Dataset, NumberedRows, Split
from gradus.reference import losses as reference
from gradus.reference import penalties
from gradus.tasks.inputs import Inputs
from gradus.tasks.settings import TaskSettings
from gradus.tasks.table import create_task
from gradus.tasks.targets import ClassOptions, ClassTarget, NumberOptions, NumberTarget
from gradus.tasks.task import InputTargetTask
from gradus.train import checkpoint
from gradus.train.devices import Plan
from gradus.train.learner import FLAG, NonFiniteError, Supervised, split
from gradus.train.randomness import seed_step
from gradus.train.settings import OptimizerSettings, RegularizationSettings, TrainSettings

CPU = torch.device("cpu")
SGD = OptimizerSettings(name="sgd", learning_rate=0.5)


class Straight(Inputs):
    """Tensors as they come, of any type: lets a learner be tested in float64."""

    def prepare(self, batch):
        return batch

    def fit(self, train, exclude):
        raise NotImplementedError

    encode = features = model_options = state = restore = fit


def class_task(**options: Any) -> InputTargetTask:
    return InputTargetTask("classes", Straight(), ClassTarget(ClassOptions(**options)))


def number_task() -> InputTargetTask:
    task = InputTargetTask("numbers", Straight(), NumberTarget(NumberOptions()))
    task.target.mean, task.target.deviation = [0.0], [1.0]
    task.to_device(CPU)
    return task


def network(seed: int = 0, *middle: nn.Module, classes: int = 3) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 5), *middle, nn.ELU(), nn.Linear(5, classes)).double()


def rows(number: int, seed: int = 0, classes: int = 3) -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    inputs = torch.randn(number, 4, generator=draw, dtype=torch.float64)
    return {"inputs": inputs, "targets": torch.randint(classes, (number,), generator=draw)}


def learner(model: nn.Module, task: InputTargetTask | None = None, **settings: Any) -> Supervised:
    return Supervised(model, task or class_task(), TrainSettings(**{"optimizer": SGD, **settings}), Plan(CPU))


def values(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    """The same names with the same bits (not-a-number equals itself)."""
    return first.keys() == second.keys() and all(
        torch.equal(torch.nan_to_num(first[name]), torch.nan_to_num(second[name])) for name in first
    )


def close(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_allclose(first[name], second[name], rtol=1e-12, atol=1e-14, err_msg=name)


# A step


def test_a_step_is_the_gradient_of_the_mean_loss():
    batch, model, other = rows(6), network(), network()
    sums = learner(model).step(batch)
    loss = functional.cross_entropy(other(batch["inputs"]), batch["targets"])
    gradients = torch.autograd.grad(loss, list(other.parameters()))
    for found, start, gradient in zip(model.parameters(), other.parameters(), gradients, strict=True):
        np.testing.assert_allclose(found.detach(), (start - 0.5 * gradient).detach(), rtol=1e-12)
    assert sums["loss"].item() == pytest.approx(loss.item(), rel=1e-12)
    right = (other(batch["inputs"]).argmax(dim=1) == batch["targets"]).sum()
    assert int(sums["correct"]) == int(right)


def test_gradients_do_not_pile_up_from_step_to_step():
    one, two = network(), network()
    first, second = learner(one), learner(two)
    first.step(rows(6, 1))
    two.load_state_dict(one.state_dict())  # the first step of a fresh learner from there must be the second of the old
    first.step(rows(6, 2))
    second.step(rows(6, 2))
    assert equal(values(one), values(two))


@pytest.mark.parametrize("number", [1, 7, 8])
@pytest.mark.parametrize("accumulate", [2, 3, 7, 10])
def test_parts_have_the_gradient_of_the_whole_batch(number, accumulate):
    whole, parts = network(), network()
    settings = {"regularization": RegularizationSettings(l1=0.01, l2=0.02, clip_norm=0.5)}
    first, second = learner(whole, **settings), learner(parts, accumulate=accumulate, **settings)
    for seed in range(3):
        sums, others = first.step(rows(number, seed)), second.step(rows(number, seed))
        close(sums, others)
    close(values(whole), values(parts))
    for one, other in zip(whole.parameters(), parts.parameters(), strict=True):
        np.testing.assert_allclose(one.grad, other.grad, rtol=1e-10, atol=1e-14)


def test_parts_have_the_gradient_of_the_whole_batch_with_class_weights():
    whole, parts = network(), network()
    for model, accumulate in ((whole, 1), (parts, 3)):
        task = class_task()
        task.target.weights = torch.tensor([0.5, 1.0, 4.0], dtype=torch.float64)
        learner(model, task, accumulate=accumulate).step(rows(7))
    close(values(whole), values(parts))


def test_a_batch_is_cut_into_parts_that_are_nearly_equal():
    parts = split(rows(7), 3)
    assert [len(part["inputs"]) for part in parts] == [3, 2, 2]
    assert torch.equal(torch.cat([part["targets"] for part in parts]), rows(7)["targets"])
    assert [len(part["inputs"]) for part in split(rows(2), 5)] == [1, 1]


def test_penalties_enter_the_gradient_but_not_the_loss():
    batch, model, other = rows(6), network(), network()
    settings = RegularizationSettings(l1=0.03, l2=0.2)
    sums = learner(model, regularization=settings).step(batch)
    loss = functional.cross_entropy(other(batch["inputs"]), batch["targets"])
    gradients = torch.autograd.grad(loss, list(other.parameters()))
    value = 0.0
    for found, start, gradient in zip(model.parameters(), other.parameters(), gradients, strict=True):
        array, slope = start.detach().numpy(), gradient.numpy()
        if array.ndim == 2:
            slope = slope + penalties.elastic_penalty_backward(array, 0.03, 0.2)
            value += penalties.elastic_penalty(array, 0.03, 0.2)
        np.testing.assert_allclose(found.detach(), array - 0.5 * slope, rtol=1e-10)
    assert sums["loss"].item() == pytest.approx(loss.item(), rel=1e-12)
    assert sums["penalty"].item() == pytest.approx(value, rel=1e-6)


def test_max_norm_holds_after_every_step():
    model = network()
    made = learner(model, regularization=RegularizationSettings(max_norm=0.3))
    for seed in range(4):
        made.step(rows(6, seed))
        for layer in (model[0], model[-1]):
            assert float(layer.weight.detach().norm(dim=1).max()) <= 0.3
    assert float(model[0].bias.detach().norm()) > 0  # biases are learnt and not limited


def test_clipping_bounds_the_step():
    model = network()
    before = values(model)
    learner(model, regularization=RegularizationSettings(clip_norm=1e-3)).step(rows(6))
    moved = torch.cat([(before[name] - tensor).flatten() for name, tensor in values(model).items()])
    assert float(moved.norm()) == pytest.approx(0.5 * 1e-3, rel=1e-2)


def test_the_learning_rate_follows_the_factor():
    made = learner(network(), optimizer=OptimizerSettings(name="adamw", learning_rate=0.2, weight_decay=0.1))
    assert made.set_learning_rate(0.5) == pytest.approx(0.1)
    assert made.set_learning_rate(0.25) == pytest.approx(0.05)  # of the base, not of the last
    assert [group["lr"] for group in made.optimizer.param_groups] == [pytest.approx(0.05)] * 2


# Evaluation


def test_evaluation_is_exact_over_uneven_batches_and_changes_nothing():
    model = network(0, nn.BatchNorm1d(5), nn.Dropout(0.5))
    made, data = learner(model, class_task(label_smoothing=0.3)), rows(10)
    made.step(rows(6, 3))
    before = values(model)
    parts = [{name: tensor[start : start + 4] for name, tensor in data.items()} for start in (0, 4, 8)]
    sums, number = made.evaluate(parts)
    assert number == 10 and model.training and equal(before, values(model))
    found = made.summarize(sums, number)
    model.eval()
    outputs = model(data["inputs"])
    assert found["loss"] == pytest.approx(functional.cross_entropy(outputs, data["targets"]).item(), rel=1e-12)
    assert found["accuracy"] == pytest.approx((outputs.argmax(dim=1) == data["targets"]).double().mean().item())


def test_a_failed_evaluation_leaves_the_model_in_training():
    made = learner(network())
    with pytest.raises(RuntimeError):
        made.evaluate([{"inputs": torch.zeros(2, 9, dtype=torch.float64), "targets": torch.zeros(2, dtype=torch.long)}])
    assert made.model.training


# Averaging


def test_the_average_is_that_of_a_loop_by_hand():
    decay = 0.5
    raw, averaged = network(0, nn.BatchNorm1d(5)), network(0, nn.BatchNorm1d(5))
    plain, made = learner(raw), learner(averaged, average=decay)
    by_hand = [p.detach().clone() for p in raw.parameters()]
    for step in range(1, 13):
        plain.step(rows(6, step))
        made.step(rows(6, step))
        now = min(decay, (1 + step) / (10 + step))
        by_hand = [now * mean + (1 - now) * p.detach() for mean, p in zip(by_hand, raw.parameters(), strict=True)]
    assert now == decay  # the last steps average at the full decay, the first ones (2/11, 3/12, ...) did not
    assert equal(values(raw), values(averaged))  # averaging does not change what is learnt
    assert made.averaged is not None
    for found, wanted in zip(made.averaged.parameters(), by_hand, strict=True):
        np.testing.assert_allclose(found.detach(), wanted, rtol=1e-12)
    for (name, found), wanted in zip(made.averaged.named_buffers(), raw.buffers(), strict=True):
        assert torch.equal(found, wanted), name
    assert equal(dict(made.predicting_state()), values(made.averaged))


def test_evaluation_uses_the_averaged_weights():
    made, data = learner(network(), average=0.9), rows(8, 9)
    for seed in range(3):
        made.step(rows(6, seed))
    sums, _ = made.evaluate([data])
    with torch.no_grad():
        wanted = functional.cross_entropy(made.averaged(data["inputs"]), data["targets"])
        other = functional.cross_entropy(made.model(data["inputs"]), data["targets"])
    assert sums["loss"] / 8 == pytest.approx(wanted.item(), rel=1e-12)
    assert sums["loss"] / 8 != pytest.approx(other.item(), rel=1e-3)


# What is not a finite number


class Explode(nn.Module):
    """Gives infinity for every input."""

    def forward(self, inputs):
        return inputs.abs() / 0


def refused(made: Supervised, batch: dict[str, torch.Tensor]) -> tuple[str, int | None]:
    """Where a step failed and for which row, having checked that it changed nothing."""
    model = values(made.model)
    training = {name: tensor.clone() for name, tensor in made.training_state().items()}
    averaged = values(made.averaged) if made.averaged is not None else {}
    updates = made.updates
    if made.guard:
        with pytest.raises(NonFiniteError):
            made.step(batch)
    else:  # as on a GPU: nothing is read, the update is skipped on the device
        assert made.step(batch)[FLAG].item() == 1
        made.updates -= 1
    assert equal(values(made.model), model) and equal(made.training_state(), training) and made.updates == updates
    assert made.averaged is None or equal(values(made.averaged), averaged)
    return made.diagnose(batch)


ADAM = OptimizerSettings(name="adam", learning_rate=0.1)


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_bad_input_is_named_and_nothing_is_learnt(bad, accumulate):
    made = learner(network(), optimizer=ADAM, average=0.9, accumulate=accumulate)
    made.step(rows(6))
    batch = rows(6, 1)
    batch["inputs"][5, 2] = bad  # in the last part, after others have given their gradients
    assert refused(made, batch) == ("the inputs of the model", 5)
    made.step(rows(6, 2))
    assert all(bool(torch.isfinite(p).all()) for p in made.model.parameters())


def test_a_bad_input_behind_an_activation_that_saturates():
    """tanh(inf) is 1, so the loss is finite; the gradient by the first weights is 0 * inf."""
    torch.manual_seed(0)
    made = learner(nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double())
    batch = rows(6)
    batch["inputs"][5, 2] = float("inf")
    assert refused(made, batch) == ("the inputs of the model", 5)


class Steep(torch.autograd.Function):
    """The identity, whose gradient is infinite for values above 10."""

    @staticmethod
    def forward(context, inputs):
        context.save_for_backward(inputs)
        return inputs.clone()

    @staticmethod
    def backward(context, gradient):
        (inputs,) = context.saved_tensors
        return torch.where(inputs > 10, float("inf"), gradient)


class Cliff(nn.Module):
    def forward(self, inputs):
        return Steep.apply(inputs)


@pytest.mark.parametrize("guard", [True, False])
@pytest.mark.parametrize("average", [None, 0.9])
def test_a_bad_gradient_is_named_with_its_row_and_changes_nothing(guard, average):
    torch.manual_seed(0)
    made = learner(nn.Sequential(nn.Linear(4, 3), Cliff()).double(), optimizer=ADAM, average=average)
    made.step(rows(6))
    if not guard:
        made.guard, made.optimizer.found_inf = False, made.flag
    batch = rows(6, 1)
    batch["inputs"][2] = 1e4 * made.model[0].weight[1].detach().sign()
    assert refused(made, batch) == ("the gradient of 0.bias", 2)


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_after_a_bad_step_that_was_not_read_nothing_is_learnt_any_more(name):
    made = learner(network(), optimizer=OptimizerSettings(name=name))
    made.guard, made.optimizer.found_inf = False, made.flag
    made.step(rows(6))
    before = values(made.model)
    bad = rows(6, 1)
    bad["inputs"][0, 0] = float("nan")
    flags = [made.step(batch)[FLAG].item() for batch in (bad, rows(6, 2), rows(6, 3))]
    assert flags == [1, 1, 1] and equal(values(made.model), before)


@pytest.mark.parametrize("guard", [True, False])
def test_a_bad_buffer_is_named_and_nothing_is_learnt(guard):
    """In training, batch normalisation does not use its running statistics, so the loss stays finite."""
    torch.manual_seed(0)
    made = learner(nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 3)).double())
    made.step(rows(6))
    if not guard:
        made.guard, made.optimizer.found_inf = False, made.flag
    made.model[1].running_var[2] = float("inf")
    weights = {name: p.detach().clone() for name, p in made.model.named_parameters()}
    if guard:
        with pytest.raises(NonFiniteError):
            made.step(rows(6, 1))
    else:
        assert made.step(rows(6, 1))[FLAG].item() == 1
    assert all(torch.equal(weights[name], p) for name, p in made.model.named_parameters())
    assert made.diagnose(rows(6, 1)) == ("the buffer 1.running_var", None)


def test_a_bad_metric_stops_the_step_that_counted_it():
    made = learner(network(classes=1), number_task())
    counts = made.task.counts
    made.task.counts = lambda outputs, targets, *, training: {
        **counts(outputs, targets, training=training),
        "absolute": outputs.sum() / 0,
    }
    targets = torch.zeros(6, 1, dtype=torch.float64)
    before = values(made.model)
    with pytest.raises(NonFiniteError):
        made.step({"inputs": rows(6)["inputs"], "targets": targets})
    assert equal(values(made.model), before)


def test_a_bad_step_leaves_no_gradient_behind():
    one, two = network(), network()
    first, second = learner(one, accumulate=3), learner(two, accumulate=3)
    batch = rows(6, 1)
    batch["inputs"][5, 2] = float("nan")
    refused(first, batch)
    first.step(rows(6, 2))
    second.step(rows(6, 2))
    assert equal(values(one), values(two))


def test_a_bad_parameter_is_named():
    made = learner(network(), optimizer=ADAM)
    made.step(rows(6))
    with torch.no_grad():
        made.model[2].weight[1, 1] = float("inf")
    assert refused(made, rows(6, 1)) == ("the parameter 2.weight", None)


def test_the_layer_that_gives_a_bad_output_is_named():
    made = learner(network(0, Explode()), optimizer=ADAM)
    assert refused(made, rows(6)) == ("the output of layer 1 (Explode)", 0)


def test_a_bad_target_shows_in_the_loss_alone():
    made = learner(network(classes=1), number_task())
    targets = torch.zeros(6, 1, dtype=torch.float64)
    made.step({"inputs": rows(6)["inputs"], "targets": targets})
    targets[3] = float("nan")
    assert refused(made, {"inputs": rows(6)["inputs"], "targets": targets}) == ("the targets", 3)


def test_looking_for_the_place_leaves_no_hooks():
    made = learner(network(0, Explode()))
    refused(made, rows(6))
    assert not any(module._forward_hooks for module in made.model.modules())


# Going on


class Pictures(nn.Module):
    """A small convnet with normalisation and dropout: channels-last weights, buffers, randomness in training."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.body = nn.Sequential(nn.Conv2d(2, 4, 2), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 3, 2), nn.Dropout(0.3))
        self.scale = nn.Parameter(torch.tensor(1.0))  # a parameter of no dimensions, as a step counter is

    def forward(self, inputs):
        return self.scale * self.body(inputs).mean(dim=(2, 3))


def picture_rows(seed: int) -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    inputs = torch.randn(7, 2, 5, 5, generator=draw).to(memory_format=torch.channels_last)
    return {"inputs": inputs, "targets": torch.randint(3, (7,), generator=draw)}


OPTIMIZERS = [
    OptimizerSettings(name="sgd"),
    OptimizerSettings(name="sgd", momentum=0.9),
    OptimizerSettings(name="sgd", momentum=0.9, nesterov=True, weight_decay=0.01),
    OptimizerSettings(name="adagrad"),
    OptimizerSettings(name="adadelta"),
    OptimizerSettings(name="rmsprop"),
    OptimizerSettings(name="rmsprop", momentum=0.9),
    OptimizerSettings(name="adam"),
    OptimizerSettings(name="adamw", weight_decay=0.1, decay="all"),
]


@pytest.mark.parametrize("average", [None, 0.9], ids=["plain", "averaged"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda o: f"{o.name}-{o.momentum:g}-{o.nesterov}")
def test_a_restored_learner_goes_on_bit_equal(tmp_path, optimizer, average):
    settings = {"optimizer": optimizer, "average": average, "accumulate": 2}

    def go(made: Supervised, first: int, last: int) -> None:
        for step in range(first, last):
            seed_step(0, 0, step, CPU)
            made.set_learning_rate(1 / (1 + step))
            made.step(picture_rows(step))

    whole = learner(Pictures(0), **settings)
    go(whole, 0, 4)
    kept = checkpoint.Checkpoint(dict(whole.predicting_state()), whole.training_state(), {})
    checkpoint.save(tmp_path, "last", kept)
    go(whole, 4, 8)

    resumed, fresh = learner(Pictures(99), **settings), learner(Pictures(99), **settings)
    saved = checkpoint.load(tmp_path, "last")
    resumed.restore(saved.model, saved.optimizer or {}, 4)
    go(resumed, 4, 8)
    go(fresh, 4, 8)
    assert equal(dict(resumed.predicting_state()), dict(whole.predicting_state()))
    assert equal(resumed.training_state(), whole.training_state())
    assert equal(values(resumed.model), values(whole.model)) and resumed.updates == whole.updates == 8
    assert not equal(values(fresh.model), values(whole.model))


def test_the_training_state_names_what_it_holds():
    made = learner(network(), optimizer=ADAM, average=0.9)
    made.step(rows(6))
    names = set(made.training_state())
    parameters = [name for name, _ in made.model.named_parameters()]
    assert {f"optimizer.exp_avg.{name}" for name in parameters} <= names
    assert {f"raw.{name}" for name in parameters} <= names


# What shapes the training loss alone


def test_label_smoothing_acts_in_training_only():
    batch, model = rows(6), network()
    with torch.no_grad():
        logits = model(batch["inputs"]).numpy()
    made = learner(model, class_task(label_smoothing=0.3))
    sums, _ = made.evaluate([batch])
    targets = batch["targets"].numpy()
    assert sums["loss"] / 6 == pytest.approx(reference.cross_entropy(logits, targets), rel=1e-12)
    found = made.step(batch)["loss"].item()
    assert found == pytest.approx(reference.cross_entropy(logits, targets, 0.3), rel=1e-12)
    assert found != pytest.approx(sums["loss"] / 6, rel=1e-3)


def imbalanced(number: int = 12) -> Dataset:
    """Nine rows of class a, two of b, one of c; and one label that holds for three rows of twelve."""
    random = np.random.default_rng(0)
    columns = {
        "x": Column(Number(), random.normal(size=number)),
        "z": Column(Number(), random.normal(size=number)),
        "y": Column(Label(classes=("a", "b", "c")), np.array([0] * 9 + [1] * 2 + [2])),
        "many": Column(Labels(classes=("u", "v")), np.stack([np.arange(12) < 3, np.arange(12) < 8], axis=1)),
    }
    return Dataset("made", "made", {"train": Split(columns, NumberedRows.count("made", number))}, target="y")


def test_class_weights_act_in_training_only():
    dataset = imbalanced()
    task = create_task(TaskSettings(name="tabular-classification", options={"class_weights": "balanced"}), dataset)
    task.to_device(CPU)
    batch, model = task.encode(dataset["train"]), nn.Linear(2, 3)
    outputs = model(batch["inputs"]).detach()
    each = -torch.log_softmax(outputs.double(), dim=1)[torch.arange(12), batch["targets"]].numpy()
    weights = np.array([12 / (3 * 9)] * 9 + [12 / (3 * 2)] * 2 + [12 / 3])
    made = learner(model, task)
    assert made.evaluate([batch])[0]["loss"] / 12 == pytest.approx(each.mean(), rel=1e-6)
    assert made.step(batch)["loss"].item() == pytest.approx((weights * each).mean(), rel=1e-5)


def test_label_weights_act_in_training_only():
    dataset = replace(imbalanced(), target="many")
    options = {"class_weights": "balanced"}
    task = create_task(TaskSettings(name="tabular-classification", options=options), dataset)
    task.to_device(CPU)
    batch = task.encode(dataset["train"])
    outputs = torch.randn(12, 2, generator=torch.Generator().manual_seed(0))
    holds, logits = batch["targets"].double().numpy(), outputs.double().numpy()
    positive, negative = np.log1p(np.exp(-logits)), np.log1p(np.exp(logits))
    plain = (holds * positive + (1 - holds) * negative).mean()
    weighed = (holds * positive * np.array([9 / 3, 4 / 8]) + (1 - holds) * negative).mean()
    assert task.loss(outputs, batch["targets"], training=False).item() == pytest.approx(plain, rel=1e-6)
    assert task.loss(outputs, batch["targets"], training=True).item() == pytest.approx(weighed, rel=1e-6)


def test_smoothing_of_labels_acts_in_training_only():
    dataset = replace(imbalanced(), target="many")
    task = create_task(TaskSettings(name="tabular-classification", options={"label_smoothing": 0.4}), dataset)
    task.to_device(CPU)
    targets = task.encode(dataset["train"])["targets"]
    outputs = torch.randn(12, 2, generator=torch.Generator().manual_seed(0))
    shares = torch.sigmoid(outputs.double()).numpy()

    def entropy(wanted: np.ndarray) -> float:
        return -(wanted * np.log(shares) + (1 - wanted) * np.log(1 - shares)).mean()

    holds = targets.numpy() > 0.5  # each label is a class of its own among two: 0.4 spread over both
    assert task.loss(outputs, targets, training=True).item() == pytest.approx(
        entropy(np.where(holds, 0.8, 0.2)), rel=1e-5
    )
    assert task.loss(outputs, targets, training=False).item() == pytest.approx(entropy(holds.astype(float)), rel=1e-5)
