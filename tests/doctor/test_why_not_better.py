"""What the doctor says of trained runs: one too small, one too large for its rows, one whose validation rows are from elsewhere;
the commands that it gives; its page."""

from __future__ import annotations

import dataclasses
import json
import shlex
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from gradus.cli import build_parser
from gradus.cli.flags import recipe_of
from gradus.data.columns import Column, Label, Number
from gradus.data.dataset import Dataset, NumberedRows, Split
from gradus.data.load import DataSettings
from gradus.doctor.case import Case, NotHere
from gradus.doctor.checks.why_not_better import find_gaps, find_no_better
from gradus.doctor.examine import examine, open_case
from gradus.doctor.page import plain, write_json, write_page
from gradus.doctor.remedies import FAMILIES, KNOBS, LESSONS, command_of, next_in_family, remedies_for
from gradus.doctor.stages import measure_errors
from gradus.doctor.told import told
from gradus.errors import UserError
from gradus.lessons.table import LESSONS as EVERY_LESSON
from gradus.models import MODELS, ModelSettings, accepted_options
from gradus.recipes.execute import train_recipe
from gradus.recipes.recipe import Recipe, write_recipe
from gradus.recipes.run import Run
from gradus.recipes.table import RECIPES
from gradus.tasks.control import BEST
from gradus.train.settings import OptimizerSettings, TrainSettings

ONLY = ("gaps", "simple")


def digits(folder: Path, *, hidden: list[int], rows: int = 0, epochs: int = 12) -> Run:
    recipe = Recipe(
        data=DataSettings(source="digits", rows=rows),
        model=ModelSettings(name="mlp", options={"hidden": hidden}),
        train=TrainSettings(epochs=epochs, optimizer=OptimizerSettings(learning_rate=0.005)),
    )
    return train_recipe(recipe, folder)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return digits(tmp_path_factory.mktemp("runs") / "small", hidden=[2], epochs=3)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return digits(tmp_path_factory.mktemp("runs") / "large", hidden=[256], rows=60, epochs=25)


@pytest.fixture(scope="module")
def fair(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return digits(tmp_path_factory.mktemp("runs") / "fair", hidden=[64], epochs=8)


def test_too_small_a_network(small):
    found = examine(small, only=ONLY)
    bias, simple = found.findings
    assert (bias.kind, simple.kind, found.alarms) == ("avoidable-bias", "no-better-than-simple", [])
    assert bias.strength > simple.strength and bias.value == pytest.approx(small.evaluate("train")["accuracy"] * -1 + 1)
    assert shlex.split(bias.command)[:5] == [
        *("gradus", "train", str(small.path / "recipe.toml")),
        *("--set", "model.options.hidden=[32]"),
    ]
    assert not any("augment" in other or "dropout" in other for other in bias.others)  # orthogonal


def test_too_large_for_its_rows(large):
    found = examine(large, only=ONLY)
    first = found.findings[0]
    assert first.kind == "variance" and found.alarms == [] and "train → validation" in first.where
    assert "--set data.rows=0" in first.command
    assert any("--set model.options.dropout=0.3" in other for other in first.others)
    assert any("--learning-curve" in other for other in first.others)


def test_a_bound_changes_the_diagnosis(fair):
    """What people reach decides between bias and variance (course notes §3.1.9): above the bound there is nothing to gain."""
    before = examine(fair, only=("gaps",))
    assert [one.kind for one in before.findings] == ["avoidable-bias"]
    assert "taken as zero" in before.findings[0].told
    assert examine(fair, only=("gaps",), bound=before.measured["gaps"]["stages"]["train"]["error"]).findings == []
    with pytest.raises(UserError, match="from 0 up to 1"):
        examine(fair, only=("gaps",), bound=3)


def test_a_run_that_beats_the_simple_methods_has_no_finding_of_them(fair):
    evaluation = json.loads((fair.path / "evaluation.json").read_text())
    case = open_case(fair, None, None, None)
    values = {"majority class": {"accuracy": 0.1}, "logistic regression": {"accuracy": 0.5}}
    (fair.path / "evaluation.json").write_text(json.dumps({**evaluation, "baselines": values}))
    assert find_no_better(case) == []
    values["logistic regression"]["accuracy"] = evaluation["metrics"]["accuracy"] + 0.001
    (fair.path / "evaluation.json").write_text(json.dumps({**evaluation, "baselines": values}))
    (same,) = find_no_better(case)
    assert "is as good, as far as 359 rows can tell" in same.told
    values["majority class"]["accuracy"] = 0.999
    (fair.path / "evaluation.json").write_text(json.dumps({**evaluation, "baselines": values}))
    (useless,) = find_no_better(case)
    assert useless.strength > same.strength
    (fair.path / "evaluation.json").write_text(json.dumps(evaluation))


@pytest.mark.parametrize(("lies", "said"), [(0.5, "is as good, as far as 359 rows can tell"), (2.0, "is better")])
def test_a_metric_without_an_interval_has_that_of_its_stage(fair, monkeypatch, lies, said):
    """A baseline half-way to the upper end of the interval is no better beyond chance; one as far behind the end is."""
    for module in ("stages", "checks.why_not_better"):
        monkeypatch.setattr(f"gradus.doctor.{module}.confidence_interval", lambda assessment, metric: None)
    case = open_case(fair, None, None, None)
    stage = measure_errors(case).stages["test"]
    mine, evaluation = 1 - stage.error, fair.evaluation
    assert 0 < stage.deviation < 0.02 and mine == pytest.approx(evaluation["metrics"]["accuracy"])
    near = mine + lies * (1 - stage.low - mine)
    values = {"majority class": {"accuracy": 0.1}, "logistic regression": {"accuracy": near}}
    monkeypatch.setattr(Run, "evaluation", {**evaluation, "baselines": values})
    (found,) = find_no_better(case)
    assert said in found.told and found.told.startswith("logistic regression")
    clear = {"majority class": {"accuracy": 0.1}, "logistic regression": {"accuracy": 2 * mine - near}}
    monkeypatch.setattr(Run, "evaluation", {**evaluation, "baselines": clear})
    assert len(find_no_better(case)) == (lies < 1)  # the run is ahead, in the interval or beyond it
    clear |= {"logistic regression": {"accuracy": 0.2}, BEST: {"accuracy": mine + 0.001}}
    monkeypatch.setattr(Run, "evaluation", {**evaluation, "baselines": clear})
    assert find_no_better(case) == []  # what nobody can beat is no simple method


def test_a_network_of_the_users_own_gets_a_lesson_and_settings(tmp_path):
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 1), torch.nn.Linear(1, 10))
    recipe = Recipe(data=DataSettings(source="digits"), train=TrainSettings(epochs=1))
    bias, simple = examine(train_recipe(recipe, tmp_path / "run", model=model), only=ONLY).findings
    assert (bias.kind, bias.command) == ("avoidable-bias", "gradus lesson universal-approximation")
    assert "longer training: --epochs 10" in bias.others and simple.command == bias.command
    assert set(KNOBS) == set(LESSONS) and set(LESSONS.values()) <= set(EVERY_LESSON)


def test_looking_changes_nothing(small):
    before = torch.random.get_rng_state()
    weights = {name: tensor.clone() for name, tensor in small.model.state_dict().items()}
    files = {path: path.read_bytes() for path in small.path.rglob("*") if path.is_file()}
    examine(small.path, only=ONLY)
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(weights[name], tensor) for name, tensor in small.model.state_dict().items())
    assert files == {path: path.read_bytes() for path in small.path.rglob("*") if path.is_file()}


def elsewhere(random: np.random.Generator, rows: int, moved: float) -> Split:
    """Two classes on a line; the rows of another source lie `moved` further on it."""
    target = random.integers(2, size=rows)
    first = target * 2.0 + random.normal(0, 0.4, rows) + moved
    columns = {
        "first": Column(Number(), first),
        "second": Column(Number(), random.normal(size=rows)),
        "target": Column(Label(classes=("a", "b")), target),
    }
    return Split(columns, NumberedRows.count("made.csv", rows))


def test_rows_of_another_source(tmp_path, monkeypatch):
    """The training source was not asked enough to tell variance from mismatch; rows that `data.rows` left out tell (F-43)."""
    random = np.random.default_rng(0)
    splits = {
        "train": elsewhere(random, 400, 0.0),
        "validation": elsewhere(random, 300, 1.2),
        "test": elsewhere(random, 300, 1.2),
    }
    made = Dataset("made", "made", splits, target="target")
    recipe = Recipe(
        data=DataSettings(source="made"),
        model=ModelSettings(name="mlp", options={"hidden": [8]}),
        train=TrainSettings(epochs=6, optimizer=OptimizerSettings(learning_rate=0.02)),
    )
    run = train_recipe(recipe, tmp_path / "all", dataset=made)
    first = examine(run, only=("gaps",)).findings[0]
    assert first.kind == "variance" and "may be of another source" in first.told
    assert "--set data.rows=360" in first.command
    named = [one.kind for one in examine(run, only=("shift", "gaps")).findings]
    assert "mismatch" in named and "variance" not in named

    less = dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, rows=300))
    run = train_recipe(less, tmp_path / "less", dataset=made)
    monkeypatch.setattr("gradus.doctor.stages.read_data", lambda data: made)
    case = open_case(run, None, None, None)
    assert find_gaps(case)[0].kind == "mismatch"
    assert measure_errors(case).stages["train-validation"].rows == 100


def test_numbers_have_no_bound_of_zero(tmp_path):
    recipe = Recipe(data=DataSettings(source="diabetes"), train=TrainSettings(epochs=3))
    case = open_case(train_recipe(recipe, tmp_path / "run"), None, None, None)
    errors = measure_errors(case)
    assert errors.metric == "mae" and errors.scale > errors.stages["test"].low
    assert "zero" not in errors.bound_is
    with pytest.raises(NotHere, match="nothing was trained"):
        find_gaps(Case(case.experiment, "diabetes"))


def test_every_command_is_accepted(tmp_path):
    """Each remedy of every kind of network in the recipes gives a command line whose recipe can be read, its options known."""
    parser = build_parser()
    kinds = {}
    for make in RECIPES.values():
        recipe = make()
        if recipe.task.name and recipe.task.name != "control":
            kinds.setdefault((recipe.task.name, recipe.model.name), recipe)
    told_commands = 0
    for recipe in list(kinds.values())[::2]:  # half of them: each takes a tenth of a second
        (tmp_path / "recipe.toml").write_text(write_recipe(recipe))
        case = case_of(recipe, tmp_path)
        flags = {" ".join(one.flags): one for kind in KNOBS for one in remedies_for(case, kind) if one.flags}
        for one in flags.values():
            command = shlex.split(command_of(case, one))
            changed = recipe_of(parser.parse_args(command[1:]))
            assert (changed != recipe or "--folds" in command) and not Path(command[-1]).exists()
            assert changed.model.name in MODELS
            assert set(changed.model.options) <= set(accepted_options(changed.model.name))
            told_commands += 1
    assert told_commands > 60


def case_of(recipe: Recipe, folder: Path) -> Case:
    """A case with no more than remedies ask for."""

    def augmented(settings: object, train: object) -> None:
        raise UserError("no pictures")

    experiment = SimpleNamespace(
        recipe=recipe,
        dataset=SimpleNamespace(drawn=("validation",), ordered=False),
        tensors={"train": {"targets": np.zeros(100)}, "validation": {}},
        task=SimpleNamespace(name=recipe.task.name, augmented=augmented, monitored=lambda name: ("accuracy", "max")),
    )
    run = SimpleNamespace(path=folder, is_custom=False, history=[], evaluation={})
    return Case(experiment, "run", run)  # type: ignore[arg-type]


def test_the_next_larger_network():
    assert next_in_family("resnet18") == "resnet34" and next_in_family("vgg13_bn") == "vgg16_bn"
    assert next_in_family("resnet152") == next_in_family("mlp") == ""
    assert all(name in MODELS for family in FAMILIES for name in family)


def test_the_page_stands_alone(small, tmp_path):
    found = examine(small, only=ONLY)
    found.measured["not a number"] = {"value": float("nan"), "of": np.array([1.0, np.inf])}
    write_page(tmp_path / "doctor.html", found, "small <b>", small.history)
    page = (tmp_path / "doctor.html").read_text()
    assert "small &lt;b&gt;" in page and "<script" not in page and "http" not in page.replace("http-equiv", "")
    assert found.findings[0].command.split(" --set")[0] in page and "From the bound to the test rows" in page
    write_json(tmp_path / "doctor.json", found)
    read = json.loads((tmp_path / "doctor.json").read_text())
    assert read["findings"][0]["kind"] == "avoidable-bias"
    assert (
        read["measured"]["not a number"] == {"value": None, "of": [1.0, None]} == plain(found.measured["not a number"])
    )


def test_the_terminal_says_the_command_in_one_line(small):
    found = examine(small, only=ONLY)
    lines = told(found)
    assert f"   next: {found.findings[0].command}" in lines
    assert lines[-1] == "no faults, no warnings; 2 pieces of advice"
    assert any(line.startswith("  training rows") and "█" in line for line in lines)
