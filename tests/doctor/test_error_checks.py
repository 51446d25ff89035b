"""The checks after training, each where it fires and where it does not; the commands that they name, as a user types them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from error_tables_made import answers

from gradus import cli
from gradus.cli import build_parser
from gradus.cli.flags import recipe_of
from gradus.data.load import DataSettings
from gradus.doctor import calibration
from gradus.doctor.case import Case, NotHere
from gradus.doctor.checks.certainty import find_wrong_certainty
from gradus.doctor.checks.held_out_labels import find_wrong_held_out_labels
from gradus.doctor.checks.threshold import find_better_threshold
from gradus.doctor.checks.weak_slice import find_weak_slice
from gradus.doctor.error_table import errors_of
from gradus.doctor.examine import examine
from gradus.doctor.remedies import KNOBS, remedies_for, said_of
from gradus.doctor.slice_candidates import candidates
from gradus.look.measures import Interval
from gradus.models import ModelSettings
from gradus.recipes.execute import train_recipe
from gradus.recipes.recipe import Recipe
from gradus.recipes.run import Run, load_run
from gradus.tasks.assessment import ClassAssessment
from gradus.train.settings import TrainSettings

RECIPE = Recipe(
    data=DataSettings(source="breast_cancer", validation=0.3, test=0.3),
    model=ModelSettings(name="logistic_regression"),
    train=TrainSettings(epochs=2, batch_size=16),
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train_recipe(RECIPE, tmp_path_factory.mktemp("runs") / "cancer")


def run_of(folder: Path, target: str, cell: Callable[[np.random.Generator, float, float], str], rows: int = 400) -> Run:
    """A run on a table of two columns of numbers and a target, or several joined by commas, made of each row by `cell`."""
    generator = np.random.default_rng(0)
    lines = [f"a,b,{target}"]
    for a, b in generator.normal(size=(rows, 2)):
        lines.append(f"{a:.4f},{b:.4f},{cell(generator, a, b)}")
    folder.mkdir()
    (folder / "table.csv").write_text("\n".join(lines), encoding="utf-8")
    data = DataSettings(source=str(folder / "table.csv"), target=target, validation=0.3, test=0.3)
    train = TrainSettings(epochs=3, batch_size=16)
    return train_recipe(Recipe(data=data, model=ModelSettings(name="mlp"), train=train), folder / "run")


def three_classes(generator: np.random.Generator, a: float, b: float) -> str:
    return "xyz"[int(a + generator.normal() > 0.5) + int(b > 0.5)]


def labels_of(generator: np.random.Generator, a: float, b: float) -> str:
    return "|".join(name for name, value in (("p", a), ("q", b), ("r", -a)) if value + generator.normal() > -0.7)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run_of(tmp_path_factory.mktemp("runs") / "labelled", "tags", labels_of)


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run_of(tmp_path_factory.mktemp("runs") / "three", "kind", three_classes)


def case_with(run: Run, **assessed: ClassAssessment) -> Case:
    """A case whose network answers so."""
    made = Run(run.path, run.recipe, run.task, experiment=run.experiment)
    made.temperature = 1.0
    made._assessments.update(assessed)
    return Case(run.experiment, str(run.path), made)


def answered(run: Run, split: str, certainty: np.ndarray, right: np.ndarray) -> ClassAssessment:
    targets = np.asarray(run.experiment.tensors[split]["targets"])
    said = np.where(right, targets, 1 - targets)
    probabilities = np.stack([1 - certainty, certainty], axis=1)
    probabilities[said == 0] = probabilities[said == 0, ::-1]
    return ClassAssessment(classes=run.task.target.classes, probabilities=probabilities, targets=targets)


def test_certainty_is_told_where_it_is_beyond_noise(trained):
    rows = len(trained.experiment.tensors["test"]["targets"])
    right = np.arange(rows) % 5 != 0
    (found,) = find_wrong_certainty(case_with(trained, test=answered(trained, "test", np.full(rows, 0.99), right)))
    assert found.kind == "over-confident" and found.value == pytest.approx(0.19, abs=0.01)
    assert found.command == f"gradus doctor {trained.path} --calibrate"
    (found,) = find_wrong_certainty(case_with(trained, test=answered(trained, "test", np.full(rows, 0.55), right)))
    assert found.kind == "under-confident"
    assert find_wrong_certainty(case_with(trained, test=answered(trained, "test", np.full(rows, 0.8), right))) == []


def test_wrong_labels_are_told_only_where_they_are_much_of_the_error(trained):
    """The network answers as the data have it, and sixteen labels are turned about: at its surest rows, or where it is unsure."""
    truth = np.asarray(trained.experiment.tensors["test"]["targets"])
    turned = np.random.default_rng(0).permutation(len(truth))[:16]
    for sure, fires in ((0.995, True), (0.55, False)):
        certainty = 0.6 + 0.39 * np.random.default_rng(1).random(len(truth))
        certainty[turned] = sure
        made = answered(trained, "test", certainty, np.ones(len(truth), bool))
        given = truth.copy()
        given[turned] = 1 - given[turned]
        found = find_wrong_held_out_labels(case_with(trained, test=replace(made, targets=given)))
        assert [one.kind for one in found] == ["test-labels"] * fires
        if fires:
            named = found[0].rows["test"]
            assert set(named) <= set(turned.tolist()) and len(named) >= 13  # a neighbourhood may disagree
            assert found[0].command == f"gradus doctor {trained.path} --wrong-labels"


def test_another_threshold_is_told_where_it_is_surely_better(trained):
    made = {}
    for split in ("validation", "test"):
        targets = np.asarray(trained.experiment.tensors[split]["targets"])
        up = np.where(targets == 1, 0.4, 0.2) + 0.05 * np.random.default_rng(1).random(len(targets))
        made[split] = ClassAssessment(
            classes=trained.task.target.classes, probabilities=np.stack([1 - up, up], axis=1), targets=targets
        )
    (found,) = find_better_threshold(case_with(trained, **made))
    assert found.kind == "threshold" and 0.25 < found.value < 0.4 and "1.000 instead of" in found.told
    fair = {s: replace(one, probabilities=one.probabilities * 0 + 0.5) for s, one in made.items()}
    for one in fair.values():
        one.probabilities[np.arange(len(one.targets)), one.targets] = 0.9
    assert find_better_threshold(case_with(trained, **fair)) == []


def test_the_threshold_of_a_label_has_a_command_that_finds_it(labelled, capsys):
    made = {}
    for split in ("validation", "test"):
        found = labelled.assess(split)
        up = np.where(found.targets, 0.4, 0.2) + 0.05 * np.random.default_rng(1).random(found.targets.shape)
        made[split] = replace(found, probabilities=up)
    (finding,) = find_better_threshold(case_with(labelled, **made))
    assert "its F1" in finding.told and finding.where.startswith("the answer")
    told = gradus(capsys, *shlex.split(finding.command)[1:])
    assert "answer 'p' above" in told and "answer 'q' above" in told
    both = json.loads(gradus(capsys, *shlex.split(finding.command)[1:], "--json"))
    assert {*both} == {"p", "q", "r"} and 0 < both["p"]["threshold"] < 1
    told = gradus(capsys, "doctor", labelled.path, "--optimise", "f1", "--subject-to", "f1>2", code=2)
    assert "no threshold for 'p' satisfies" in told


def test_costs_of_three_classes_are_in_the_unit_that_was_typed(three, capsys):
    found = three.assess("test")
    weights = np.array([10.0 if name == "x" else 1.0 for name in found.classes])[found.targets]
    told = json.loads(gradus(capsys, "doctor", three.path, "--cost", "x=10", "--json"))
    assert told["before"] == pytest.approx((weights * (found.predictions != found.targets)).mean())
    less = gradus(capsys, "doctor", three.path, "--cost", "x=2,y=2,z=2")
    assert "keep the most probable class" in less and "half" not in less
    error = (found.predictions != found.targets).mean()
    assert f"costs {2 * error:.4g} instead of {2 * error:.4g}" in less


def test_a_weak_slice_has_a_command_that_lists_it(trained, capsys):
    rows = len(trained.experiment.tensors["validation"]["targets"])
    values = np.asarray(trained.experiment.dataset["validation"]["smoothness error"].values)
    right = values < np.quantile(values, 0.75)
    case = case_with(trained, validation=answered(trained, "validation", np.full(rows, 0.9), right))
    (found,) = find_weak_slice(case)
    assert found.kind == "weak-slice" and found.where.startswith("smoothness error above") and found.value == 1
    assert case.measured["slices"][0]["share"] > 0.4
    told = gradus(capsys, *shlex.split(found.command)[1:])
    assert told.startswith(f"validation rows {found.where}")
    fair = answered(trained, "validation", np.full(rows, 0.9), np.arange(rows) % 9 != 0)
    assert find_weak_slice(case_with(trained, validation=fair)) == []


def test_groups_of_a_run_are_of_columns_and_classes_and_leave_the_target_out(trained):
    table = errors_of(trained, "validation")
    groups = candidates(trained, table, np.arange(len(table)))
    names = {one.family for one in groups}
    assert {"mean radius", "of class", "answered as"} <= names and "diagnosis" not in names
    assert all(len(one.rows) == len(table) for one in groups)


def test_every_command_names_a_folder_with_a_space_whole(tmp_path, capsys):
    """All that can be found of a run, the remedies of every gap, and what --tag prints, in a folder of two words."""
    run = train_recipe(RECIPE, tmp_path / "two words")
    made = {}
    for split in ("validation", "test"):
        table = run.experiment.dataset[split]
        rows, truth = len(table), np.asarray(run.experiment.tensors[split]["targets"])
        values = np.asarray(table["smoothness error"].values)
        right = values < np.quantile(values, 0.75)
        right |= truth == 0  # a slice of one class: another threshold helps, and the answers are too sure
        made[split] = answered(run, split, np.where(right, 0.99, 0.97), right)
    case = case_with(run, **made)
    found = [*examine(run).findings, *find_weak_slice(case), *find_wrong_certainty(case)]
    up = {
        split: replace(one, probabilities=np.stack([0.8 - 0.2 * one.targets, 0.2 + 0.2 * one.targets], axis=1))
        for split, one in made.items()
    }
    found += find_better_threshold(case_with(run, **up))
    sure = answered(run, "test", np.full(rows, 0.995), np.ones(rows, bool))
    turned = np.where(np.arange(rows) % 10 == 0, 1 - truth, truth)
    found += find_wrong_held_out_labels(case_with(run, test=replace(sure, targets=turned)))
    kinds = {one.kind for one in found}
    assert {"weak-slice", "over-confident", "threshold", "test-labels"} <= kinds
    told = [line for one in found for line in (one.command, *one.others)]
    for kind in KNOBS:
        told += said_of(case, remedies_for(case, kind))
    told.append(gradus(capsys, "doctor", run.path, "--tag"))
    commands = [shlex.split("gradus " + line.rpartition("gradus ")[2]) for line in told if "gradus " in line]
    named = [command for command in commands if any("two" in word for word in command)]
    assert len(named) > 10 and any(command[1] == "report" for command in named)
    for command in named:
        assert any(word.startswith(str(run.path)) for word in command), command
        build_parser().parse_args(command[1:])


def test_too_sure_a_run_without_validation_rows_trains_again_from_its_own_recipe(tmp_path):
    run = train_recipe(replace(RECIPE, data=replace(RECIPE.data, validation=0.0)), tmp_path / "run")
    rows = len(run.experiment.tensors["test"]["targets"])
    made = answered(run, "test", np.full(rows, 0.99), np.arange(rows) % 5 != 0)
    (found,) = find_wrong_certainty(case_with(run, test=made))
    recipe = run.path / "recipe.toml"
    assert found.command.startswith(f"gradus train {recipe} --set data.validation=0.1 --out ")
    assert found.others[0].startswith(f"label smoothing: gradus train {recipe} --set task.options.label_smoothing=0.1")
    for line in (found.command, found.others[0].partition(": ")[2]):
        changed = recipe_of(build_parser().parse_args(shlex.split(line)[1:]))
        assert changed != run.recipe and changed.data.source == "breast_cancer"


def gradus(capsys, *arguments: object, code: int = 0) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        cli.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    assert int(ended.value.code or 0) == code, captured.err
    return captured.out or captured.err


def test_what_the_command_says(trained, capsys):
    run = trained.path
    assert "worst:" in gradus(capsys, "doctor", run, "--errors")
    told = json.loads(gradus(capsys, "doctor", run, "--tag", "--tags", "dog", "--json"))
    sheet = Path(told["file"])
    assert sheet == run / "doctor" / "mistakes.csv" and told["tags"] == ["dog"]
    lines = sheet.read_text(encoding="utf-8-sig").splitlines()
    sheet.write_text("\n".join([lines[0], *(line[:-2] + "1,," for line in lines[1:])]), encoding="utf-8")
    assert "dog" in gradus(capsys, "doctor", run, "--tags-from", sheet)
    for flags, words in (
        (("--tag", "--split", "test"), "has mistakes of validation rows"),
        (("--tags-from", sheet, "--split", "test"), "has mistakes of validation rows"),
        (("--tag", "--tags", "row,x"), "--tags: expected different names"),
        (("--tag", "--tags", "x,x"), "--tags: expected different names"),
    ):
        assert words in gradus(capsys, "doctor", run, *flags, code=2)
    assert json.loads(gradus(capsys, "doctor", run, "--tag", "--tags", "cat", "--json"))["tags"] == ["dog", "cat"]
    assert "costs" in gradus(capsys, "doctor", run, "--cost", "fn=10,fp=1")
    assert "chosen on validation rows" in gradus(
        capsys, "doctor", run, "--optimise", "f1", "--subject-to", "recall>0.5"
    )
    alarms = ("doctor", run, "--optimise", "false_alarms")
    bound = ("--subject-to", "recall>0.92")
    assert json.loads(gradus(capsys, *alarms, *bound, "--json"))["at one half"]["recall"] < 0.92
    assert "keep one half" not in gradus(capsys, *alarms, *bound)  # one half does not satisfy it
    few = json.loads(gradus(capsys, *alarms, "--json"))
    assert few["test"]["false_alarms"] < few["at one half"]["false_alarms"]  # of them the least is best
    assert "look like wrong labels" in gradus(capsys, "doctor", run, "--wrong-labels")
    chosen = json.loads(
        gradus(capsys, "doctor", run, run, "--optimise", "accuracy", "--subject-to", "size_mb<9", "--json")
    )
    assert chosen["best"] == str(run) and chosen["runs"][str(run)]["latency_ms"] > 0


def test_what_does_not_fit_is_refused(trained, capsys):
    run = trained.path
    for flags, words in (
        (("--tags", "dog"), "--tags: goes with --tag"),
        (("--errors", "--tag"), "one at a time"),
        (("--errors", "--slice", "mean radius"), "slice"),
        (("--cost", "dog=2"), "unknown class 'dog'"),
        (("--optimise", "acuracy"), "did you mean 'accuracy'"),
        (("--optimise", "f1", "--subject-to", "f1>2"), "no threshold satisfies"),
        (("--tags-from", run / "recipe.toml"), "no column 'row'"),
        (("--errors", "--bound", "0.1"), "--errors, --bound: one at a time"),
        (("--errors", "--only", "gaps"), "--errors, --only: one at a time"),
        (("--tag", "--learning-curve"), "--tag, --learning-curve: one at a time"),
        (("--calibrate", "--split", "test"), "--split: goes with --errors"),
        (("--cost", "fn=2", "--split", "test"), "--split: goes with --errors"),
        (("--split", "test"), "--split: goes with --errors"),
        (("--optimise", "f1", "--split", "test"), "--split: a threshold is chosen on validation rows"),
        (("--errors", "--split", ""), "there is no split ''"),
        (("--errors", "--slice", ""), "slice ''"),
        (("--cost", ""), "--cost: expected NAME=NUMBER"),
        (("--optimise", ""), "metric ''"),
        (("--tags-from", ""), "cannot be read"),
        (("--errors", "--set", "train.epochs=3"), "--set: "),
        (("--epochs", "3"), "is judged as it was trained"),
    ):
        told = gradus(capsys, "doctor", run, *flags, code=2)
        assert words in told and told.count("\n") == 1


def test_a_calibrated_run_states_other_probabilities_and_the_same_answers(trained, tmp_path, capsys):
    run = load_run(trained.path)
    before = run.assess("test")
    told = json.loads(gradus(capsys, "doctor", run.path, "--calibrate", "--json"))
    again = load_run(trained.path)
    after = again.assess("test")
    assert again.temperature == pytest.approx(told["temperature"]) != 1
    assert (after.predictions == before.predictions).all() and told["loss"][1] < told["loss"][0]
    assert not np.allclose(after.probabilities, before.probabilities)
    certain = again.predict([again.experiment.dataset["test"].row(0)])[0]["certainty"]
    assert certain == pytest.approx(after.probabilities[0].max(), abs=1e-4)
    assert (
        json.loads(gradus(capsys, "doctor", run.path, "--calibrate", "--json")) == told
    )  # from its own probabilities again
    (run.path / "temperature.json").unlink()


@pytest.mark.parametrize("change", ["worse with it by more than chance", "no gain"])
def test_a_temperature_that_makes_the_test_rows_worse_is_told(trained, capsys, monkeypatch, change):
    file = trained.path / "temperature.json"
    low = -0.1 if change == "no gain" else 0.1
    judge = calibration.judged_temperature

    def made(*given: Any) -> calibration.Calibrated:
        return replace(judge(*given), loss=(0.3, 0.4), rise=Interval(low, 0.2, "made up"))

    monkeypatch.setattr(calibration, "judged_temperature", made)
    told = gradus(capsys, "doctor", trained.path, "--calibrate")
    assert change in told and "on test rows 0.3000 before, 0.4000 after" in told
    assert file.exists() == (low < 0) == (str(file) in told)
    file.unlink(missing_ok=True)


def test_compare_ends_with_a_sentence(trained, tmp_path, capsys):
    worse = train_recipe(replace(RECIPE, train=replace(RECIPE.train, epochs=1, batch_size=256)), tmp_path / "worse")
    told = gradus(capsys, "compare", worse.path, trained.path)
    assert f"{trained.path} is better than {worse.path} on 171 test rows" in told and "McNemar" in told
    same = gradus(capsys, "compare", trained.path, trained.path)
    assert "cannot be told apart on 171 test rows" in same and "p = 1" in same
    other = train_recipe(replace(RECIPE, data=replace(RECIPE.data, split_seed=1)), tmp_path / "other")
    assert "not judged on the same rows" in gradus(capsys, "compare", trained.path, other.path)


def test_rows_without_an_error_of_their_own(trained):
    with pytest.raises(NotHere, match="few"):
        few = answers(np.full(50, 0.9), np.ones(50, bool))
        find_wrong_held_out_labels(case_with(trained, test=few))
