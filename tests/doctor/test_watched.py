"""What the watch has seen, as findings: each fires where its fault is, and is silent where it is not."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gradus.cli import build_parser
from gradus.cli.flags import recipe_of
from gradus.data.load import DataSettings
from gradus.doctor.case import NotHere
from gradus.doctor.checks.watched import find_idle, find_watched
from gradus.doctor.examine import examine, open_case
from gradus.models import ModelSettings
from gradus.recipes.execute import train_recipe
from gradus.recipes.experiment import train_settings
from gradus.recipes.recipe import Recipe
from gradus.recipes.run import load_run
from gradus.train.signs import Evidence
from gradus.train.signs_of_epochs import read_signs
from gradus.train.trainer import TrainingStopped
from gradus.train.watch import read_vitals


def wine(model: ModelSettings | None = None, **training: Any) -> Recipe:
    settings = {"epochs": 8, "batch_size": 16, "optimizer": "adam", "learning_rate": 0.01, "device": "cpu"}
    model = model or ModelSettings(name="mlp", options={"hidden": [16]})
    return Recipe(data=DataSettings(source="wine"), model=model, train=train_settings(**{**settings, **training}))


def kinds_of(path) -> dict[str, Any]:
    """kind -> finding; from the run's folder, as the command would."""
    return {one.kind: one for one in find_watched(open_case(path, None, None, None))}


@pytest.mark.parametrize("watch", [True, False])
@pytest.mark.parametrize(("rate", "kinds"), [(0.01, set()), (1e-6, {"rate-too-low"}), (50.0, {"rate-too-high"})])
def test_the_learning_rate(tmp_path, rate, kinds, watch):
    notes = []
    train_recipe(wine(learning_rate=rate, watch=watch), tmp_path / "run", observers=(notes.append,))
    found = kinds_of(tmp_path / "run")
    assert kinds <= found.keys() and not ({"rate-too-low", "rate-too-high"} - kinds) & found.keys()
    assert kinds or not found
    told = [note["text"] for note in notes if note["event"] == "note" and "changed the weights" in note["text"]]
    assert len(told) == (len(kinds) if watch else 0)
    for finding in found.values():  # the command works, and changes the rate by a factor of 100
        words = finding.command.split()
        better = recipe_of(build_parser().parse_args(words[1:])).train.optimizer.learning_rate
        assert words[:2] == ["gradus", "train"] and better != rate


def test_a_run_that_was_stopped_by_its_numbers(tmp_path):
    with pytest.raises(TrainingStopped):
        train_recipe(wine(optimizer="sgd", learning_rate=1e30), tmp_path / "run")
    found = kinds_of(tmp_path / "run")
    assert found["not-finite"].strength == 1 and "of epoch 1" in found["not-finite"].told
    weightless = examine(tmp_path / "run", only=("watched", "certainty"))
    assert "before it saved any weights" in weightless.skipped["certainty"] and weightless.alarms


class Branches(nn.Module):
    """Two layers beside each other; `cut` keeps the gradient from the second."""

    def __init__(self, cut: bool) -> None:
        super().__init__()
        self.first, self.second, self.cut = nn.Linear(13, 3), nn.Linear(13, 3), cut

    def forward(self, inputs: Tensor) -> Tensor:
        other = self.second(inputs)
        return self.first(inputs) + (other.detach() if self.cut else other)


def frozen_by_mistake() -> nn.Module:
    model = Branches(cut=False)
    model.second.requires_grad_(False)
    return model


@pytest.mark.parametrize("make", [lambda: Branches(cut=True), frozen_by_mistake])
def test_a_layer_that_does_not_learn(tmp_path, make):
    recipe, model = wine(ModelSettings(), epochs=2), make()
    weights = [parameter.clone() for parameter in model.parameters()]
    state = torch.get_rng_state()
    (before,) = find_idle(open_case(recipe, None, model, None))
    assert torch.equal(torch.get_rng_state(), state)  # the doctor leaves all as it was
    assert all(torch.equal(now, then) for now, then in zip(model.parameters(), weights, strict=True))
    notes = []
    train_recipe(recipe, tmp_path / "run", model=model, observers=(notes.append,))
    run = load_run(tmp_path / "run", make())
    (after,) = find_watched(open_case(run, None, None, None))
    told = [note["text"] for note in notes if note["event"] == "note"]
    assert before.kind == after.kind == "idle-layer" and before.where == "second"
    assert sum("layer second does not learn" in text for text in told) == 1


def test_layers_that_are_meant_to_stay(tmp_path):
    assert find_idle(open_case(wine(), None, None, None)) == []
    frozen = wine(ModelSettings(), epochs=2, freeze=("second",))
    assert find_idle(open_case(frozen, None, Branches(cut=False), None)) == []
    with pytest.raises(NotHere, match="nothing was trained"):
        find_watched(open_case(wine(), None, None, None))


# Made-up records


def probe(update: int, **more: Any) -> dict[str, Any]:
    layers = [{"layer": name, "weight": 0.1, "update": 1e-3, "gradient": 1e-3, "matrix": True} for name in "abc"]
    return {
        "what": "probe",
        "epoch": 1,
        "step": update,
        "update": update,
        "rate": 0.1,
        "loss": 1.0,
        "layers": layers,
        **more,
    }


def unit(dead: float = 0.0, saturated: float = 0.0, kind: str = "relu") -> dict[str, Any]:
    return {"layer": "act", "after": "a", "kind": kind, "units": 10, "dead": dead, "saturated": saturated}


def epochs(train: list[float], validation: list[float] | None = None) -> list[dict[str, Any]]:
    records = [{"epoch": number, "step": 100 * number, "train_loss": loss} for number, loss in enumerate(train, 1)]
    for record, loss in zip(records, validation or [], strict=False):
        record["validation_loss"] = loss
    return records


START = {"what": "start", "epoch": 1, "step": 0, "chance": 2.3, "idle": []}
WELL = epochs([1.0, 0.5, 0.3])


def signs(records: list[dict[str, Any]], history: list[dict[str, Any]] | None = None) -> list[str]:
    return [sign.kind for sign in read_signs(Evidence([START, *records], WELL if history is None else history, 0.1))]


def test_a_gradient_of_zero_is_told_after_three_looks_and_none_at_all_after_two():
    """A layer that few pictures concern may have nothing to learn from a batch; one that is not reached never has."""

    def looks(gradient: float | None, count: int) -> list[str]:
        records = [probe(update) for update in (1, 10, 100)[:count]]
        for record in records:
            record["layers"][1]["gradient"] = gradient
        return signs(records)

    assert [looks(0.0, count) for count in (1, 2, 3)] == [[], [], ["idle-layer"]]
    assert [looks(None, count) for count in (1, 2, 3)] == [[], ["idle-layer"], ["idle-layer"]]


def test_a_healthy_record_has_no_sign():
    records = [probe(1), probe(10, units=[unit(0.3)]), probe(100, units=[unit(0.3)], loss_evaluation=0.4)]
    assert signs(records) == []


@pytest.mark.parametrize(
    ("kind", "ill", "well"),
    [
        ("dead-units", {"units": [unit(dead=0.7)]}, {"units": [unit(dead=0.5)]}),
        ("saturated-units", {"units": [unit(0, 0.95, "tanh")]}, {"units": [unit(0, 0.95, "hardtanh")]}),
        ("moving-frozen", {"moved": ["a.running_mean"]}, {"moved": []}),
        (
            "statistics-differ",
            {"loss_evaluation": 3.0, "loss_batch_statistics": 0.5},
            {"loss_evaluation": 0.6, "loss_batch_statistics": 0.5},
        ),
        (
            "vanishing",
            {"layers": [dict(probe(1)["layers"][0], gradient=1e-12), *probe(1)["layers"][1:]]},
            {"layers": [dict(probe(1)["layers"][0], gradient=1e-8), *probe(1)["layers"][1:]]},
        ),
        (
            "idle-layer",
            {"layers": [dict(probe(1)["layers"][0], gradient=None), *probe(1)["layers"][1:]]},
            {"layers": [dict(probe(1)["layers"][0], gradient=1e-30), *probe(1)["layers"][1:]]},
        ),
    ],
)
def test_what_two_probes_show(kind, ill, well):
    assert kind in signs([probe(100, **ill), probe(600, **ill)])
    assert kind not in signs([probe(100, **well), probe(600, **well)])
    if kind != "moving-frozen":
        assert kind not in signs([probe(100, **ill), probe(600)])  # once is not always


def test_units_that_died_under_a_high_rate():
    def probes(update: float, first: float) -> list[dict[str, Any]]:
        layers = [dict(layer, update=update) for layer in probe(1)["layers"]]
        units = [[unit(first)], [unit(0.9)], [unit(1.0)]]
        return [probe(number, layers=layers, units=some) for number, some in zip((1, 10, 100), units, strict=True)]

    ill = epochs([2.4, 2.3])
    assert signs(probes(0.1, 0.1), ill) == ["rate-too-high", "dead-units"]
    assert signs(probes(0.01, 0.1), ill) == ["dead-units"]  # the steps were not long
    assert signs(probes(0.1, 0.9), ill) == ["dead-units"]  # they were dead before
    assert signs(probes(0.1, 0.1)) == ["dead-units"]  # the others learnt well


def test_waiting_for_batches():
    epoch = {"what": "epoch", "epoch": 1, "step": 11, "losses": []}
    assert signs([{**epoch, "seconds": 10.0, "waited": 4.0}]) == ["starved"]
    assert signs([{**epoch, "seconds": 10.0, "waited": 2.0}]) == []
    assert signs([{**epoch, "seconds": 0.5, "waited": 0.4}]) == []  # too short to tell


def test_jumps_of_the_loss():
    jump = {"what": "spike", "epoch": 2, "step": 30, "before": 0.4, "after": 3.0}
    assert signs([jump]) == ["spikes"]
    risen = {"what": "risen", "epoch": 1, "step": 30, "before": 2.3, "after": 9.0}
    assert signs([risen], []) == ["rate-too-high"]
    assert signs([risen]) == []  # it came down again by itself


def test_overfitting_is_told_from_its_epoch_on():
    falling = [1.0 / number for number in range(1, 11)]
    turning = [1.0, 0.7, 0.5, 0.45, 0.5, 0.56, 0.6, 0.66, 0.7, 0.75]
    (sign,) = read_signs(Evidence([START], epochs(falling, turning), 0.1))
    assert sign.told.startswith("overfitting from epoch 5 on") and sign.settings[-1] == "train.epochs=4"
    noisy = [1.0, 0.7, 0.5, 0.45, 0.5, 0.44, 0.5, 0.46, 0.51, 0.47]
    assert signs([], epochs(falling, noisy)) == []
    assert signs([], epochs([1.0] * 4 + [0.9] * 2 + [1.1] * 4, turning)) == []  # training does not go on either


def test_overfitting_is_told_by_validation_rows_alone(tmp_path):
    """T6: the text stops by the test set, which then can no longer judge."""
    falling = [1.0 / number for number in range(1, 11)]
    turning = [1.0, 0.7, 0.5, 0.45, 0.5, 0.56, 0.6, 0.66, 0.7, 0.75]
    history = [record | {"test_loss": loss} for record, loss in zip(epochs(falling, falling), turning, strict=True)]
    assert signs([], history) == []
    run = train_recipe(wine(epochs=1), tmp_path / "run")
    assert {key.partition("_")[0] for key in run.history[0]} == {
        "epoch",
        "step",
        "samples",
        "learning",
        "train",
        "validation",
    }


def test_a_plateau():
    still = [2.0, 1.5, *[1.2] * 12]
    assert signs([], epochs(still)) == ["plateau"]
    assert signs([], epochs([2.0 * 0.9**number for number in range(14)])) == []
    assert signs([], epochs([2.0, 0.5, *[0.01] * 12])) == []  # learnt: nothing is left to fall


def test_the_folder_of_a_run_that_was_not_watched_has_no_vitals(tmp_path):
    train_recipe(wine(epochs=1, watch=False), tmp_path / "run")
    assert not (tmp_path / "run" / "vitals.jsonl").exists() and read_vitals(tmp_path / "run") == []
