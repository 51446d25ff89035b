"""Ensembles: means and weights by hand, of real runs of different kinds, and what does not belong together."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_diabetes
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

import gradus
from gradus.data.dataset import Split
from gradus.errors import UserError
from gradus.recipes.ensemble import Ensemble, Estimator, RunMember, ensemble, load_ensemble, mix
from gradus.recipes.recipe import Recipe
from gradus.recipes.run import Run
from gradus.settings import from_dict
from gradus.tasks.targets import ClassOptions, ClassTarget, LabelsTarget, NumberOptions, NumberTarget
from gradus.tasks.task import InputTargetTask


def train(
    path: Path, source: str, *, model: str = "mlp", target: str | None = None, data: dict | None = None, **training
) -> Run:
    """A small run."""
    values = {"epochs": 4, "batch_size": 16, "optimizer": {"learning_rate": 0.01}, **training}
    tree = {
        "data": {"source": source, **({"target": target} if target else {}), **(data or {})},
        "model": {"name": model},
    }
    return gradus.train_recipe(from_dict(Recipe, {**tree, "train": values}), path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def wine(folder: Path) -> list[Run]:
    """Three runs on wine that differ: two networks and a linear model, two of them trained too little."""
    return [
        train(folder / "a", "wine", seed=1),
        train(folder / "b", "wine", model="logistic_regression", epochs=1),
        train(folder / "c", "wine", seed=3, epochs=1),
    ]


@pytest.fixture(scope="module")
def diabetes(folder: Path) -> list[Run]:
    return [train(folder / "d", "diabetes"), train(folder / "e", "diabetes", model="logistic_regression", epochs=2)]


class Fixed:
    """A member that says what it was told to say, whatever the rows."""

    def __init__(self, name: str, values: dict[int, np.ndarray]) -> None:
        self.name, self.values = name, values

    def estimates(self, split: Split) -> np.ndarray:
        return self.values[len(split)]


def task_of(target) -> InputTargetTask:
    return InputTargetTask("made", None, target)  # type: ignore[arg-type]


# Means


def test_means_by_hand():
    found = np.array([[[0.9, 0.1]], [[0.4, 0.6]]])
    task = task_of(ClassTarget(ClassOptions()))
    assert np.allclose(mix(found, np.array([0.25, 0.75]), "arithmetic", task), [[0.525, 0.475]])
    # sqrt(0.9 * 0.4) : sqrt(0.1 * 0.6) = 0.6 : 0.245
    assert np.allclose(mix(found, np.array([0.5, 0.5]), "geometric", task), [[0.6 / 0.844949, 0.244949 / 0.844949]])
    numbers = task_of(NumberTarget(NumberOptions()))
    assert np.allclose(mix(np.array([[[10.0]], [[20.0]]]), np.array([0.3, 0.7]), "arithmetic", numbers), [[17.0]])
    labels = task_of(LabelsTarget(ClassOptions()))
    odds = np.sqrt((0.8 / 0.2) * (0.5 / 0.5))
    mixed = mix(np.array([[[0.8]], [[0.5]]]), np.array([0.5, 0.5]), "geometric", labels)
    assert np.allclose(mixed, odds / (1 + odds))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["arithmetic", "geometric"]))
def test_means_are_probabilities_and_one_weight_is_that_member(seed: int, combine: str):
    random = np.random.default_rng(seed)
    found, task = random.dirichlet(np.ones(4), (3, 5)), task_of(ClassTarget(ClassOptions()))
    mixed = mix(found, random.dirichlet(np.ones(3)), combine, task)
    assert np.allclose(mixed.sum(axis=1), 1) and (mixed >= 0).all()
    assert np.allclose(mix(found, np.array([0.0, 1.0, 0.0]), combine, task), found[1])


def test_certainty_and_doubt_survive_a_geometric_mean():
    found = np.array([[[1.0, 0.0]], [[1.0, 0.0]]])
    mixed = mix(found, np.array([0.5, 0.5]), "geometric", task_of(ClassTarget(ClassOptions())))
    assert np.isfinite(mixed).all() and mixed[0, 0] > 0.999999


# Estimates and outputs are inverses: what an ensemble says goes through the task's own metrics and decoding


def test_estimates_of_a_run_are_its_probabilities(wine: list[Run], diabetes: list[Run]):
    for run in (*wine, *diabetes):
        member = RunMember(run)
        found = member.estimates(run.experiment.dataset["test"])
        assessed = run.assess("test")
        said = getattr(assessed, "probabilities", assessed.predictions)
        assert np.array_equal(found, said)
        target = run.task.target  # type: ignore[attr-defined]
        assert np.allclose(target.estimates(target.outputs_of(found)), found, atol=1e-9)


def test_an_ensemble_of_one_run_twice_is_that_run(wine: list[Run], diabetes: list[Run]):
    for run in (wine[0], diabetes[0]):
        made = ensemble([run, run])
        alone = run.evaluate("test")
        assert made.evaluate("test") == pytest.approx(alone, rel=1e-5)
    rows = [{"bmi": 30.0, "bp": 90.0, **{n: 0.0 for n in ("age", "sex", "s1", "s2", "s3", "s4", "s5", "s6")}}]
    assert made.predict(rows)[0]["prediction"] == pytest.approx(run.predict(rows)[0]["prediction"], rel=1e-5)


# Weights


@pytest.mark.parametrize("method", ["nelder-mead", "random"])
@pytest.mark.parametrize("combine", ["arithmetic", "geometric"])
def test_fitted_weights_are_never_worse_on_validation(wine: list[Run], method: str, combine: str):
    equal = ensemble(wine, combine=combine)
    fitted = ensemble(wine, "fitted", combine=combine, method=method)
    assert fitted.weights.sum() == pytest.approx(1) and (fitted.weights >= 0).all()
    assert fitted.evaluate("validation")["loss"] <= equal.evaluate("validation")["loss"] + 1e-9
    for run in wine:
        assert fitted.evaluate("validation")["loss"] <= run.evaluate("validation")["loss"] + 1e-6


@pytest.mark.parametrize("method", ["nelder-mead", "random"])
def test_fitted_weights_of_numbers(diabetes: list[Run], method: str):
    fitted = ensemble(diabetes, "fitted", method=method)
    for other in (ensemble(diabetes), *diabetes):
        assert fitted.evaluate("validation")["mae"] <= other.evaluate("validation")["mae"] + 1e-4


@pytest.mark.parametrize("method", ["nelder-mead", "random"])
def test_weights_that_are_known_are_found(diabetes: list[Run], method: str):
    """One member is 3 too high, one 1 too low, and one useless: a quarter and three quarters make it right."""
    dataset, target = diabetes[0].experiment.dataset, diabetes[0].task.target  # type: ignore[attr-defined]
    true = {len(split): target.estimates(target.encode(split)) for split in dataset.splits.values()}
    random = np.random.default_rng(0)
    members = [
        Fixed("high", {n: values + 3 for n, values in true.items()}),
        Fixed("low", {n: values - 1 for n, values in true.items()}),
        Fixed("noise", {n: values + 500 * random.normal(size=values.shape) for n, values in true.items()}),
    ]
    made = ensemble([diabetes[0], *members], "fitted", method=method)
    error = made.evaluate("validation")["mae"]
    assert error < (0.3 if method == "nelder-mead" else 1.0)  # alone: 3, 1, 400, and the run's own tens
    if method == "nelder-mead":
        assert made.weights == pytest.approx([0, 0.25, 0.75, 0], abs=0.03)


def test_weights_of_ones_own(wine: list[Run]):
    made = ensemble(wine, [2, 1, 1])
    assert made.weights.tolist() == [0.5, 0.25, 0.25]
    assert ensemble(wine, [1, 0, 0]).evaluate("test")["loss"] == pytest.approx(wine[0].evaluate("test")["loss"])
    for bad in ([1, 2], [1, -1, 1], [0, 0, 0], [1, float("nan"), 1]):
        with pytest.raises(UserError, match="3 numbers of 0 or more"):
            ensemble(wine, bad)


# Members that are no runs


def test_a_forest_is_a_member(wine: list[Run], diabetes: list[Run]):
    """*Deep Learning with Python* §7.3.3: trees and networks, being so different, help each other."""
    forest = Estimator(RandomForestClassifier(100, random_state=0), wine[0])
    features = wine[0].task.inputs.features(wine[0].experiment.tensors["test"]["inputs"])  # type: ignore[attr-defined]
    assert np.array_equal(
        forest.estimates(wine[0].experiment.dataset["test"]), forest.estimator.predict_proba(features)
    )
    made = ensemble([wine[2], forest], "fitted")
    assert forest.name == "RandomForestClassifier" and [row[0] for row in made.compare()][1] == forest.name
    assert made.evaluate("validation")["loss"] <= wine[2].evaluate("validation")["loss"]
    with pytest.raises(UserError, match="only if all its members are runs"):
        made.save("nowhere")
    assert not Path("nowhere").exists()
    numbers = ensemble([diabetes[0], Estimator(RandomForestRegressor(50, random_state=0), diabetes[0], "forest")])
    worst = max(metrics["mae"] for _, _, metrics in numbers.compare()[:2])
    assert numbers.evaluate()["mae"] < worst


def test_a_class_that_training_lacks_gets_no_probability(wine: list[Run]):
    class Two:
        classes_ = np.array([0, 2])

        def fit(self, features, targets):
            assert len(features) == len(targets)

        def predict_proba(self, features):
            return np.full((len(features), 2), 0.5)

    found = Estimator(Two(), wine[0]).estimates(wine[0].experiment.dataset["test"])
    assert np.array_equal(found[0], [0.5, 0, 0.5])


@pytest.mark.parametrize(
    ("values", "told"),
    [(np.ones((36, 2)), r"shape \(36, 3\), received \(36, 2\)"), (np.full((36, 3), np.nan), "not all finite")],
)
def test_estimates_that_cannot_be(wine: list[Run], values: np.ndarray, told: str):
    with pytest.raises(UserError, match="odd: .*" + told):
        ensemble([wine[0], Fixed("odd", {36: values})]).evaluate("test")


# How members differ


def test_disagreement_by_hand(wine: list[Run]):
    targets = wine[0].experiment.tensors["test"]["targets"].numpy()
    right = np.eye(3)[targets]
    half = right.copy()
    half[:18] = np.roll(half[:18], 1, axis=1)
    what, found = ensemble([wine[0], Fixed("right", {36: right}), Fixed("half", {36: half})]).likeness()
    assert what == "share of different answers"
    assert found[1, 2] == 0.5 and np.allclose(found, found.T) and (found.diagonal() == 0).all()
    assert found[0, 1] == pytest.approx(1 - wine[0].evaluate("test")["accuracy"])


def test_errors_of_numbers_correlate(diabetes: list[Run]):
    what, found = ensemble(diabetes).likeness()
    assert what == "correlation of errors" and found.shape == (2, 2)
    assert found[0, 0] == pytest.approx(1) and -1 <= found[0, 1] < 1


# Kept and read again


def test_an_ensemble_is_kept(wine: list[Run], folder: Path, tmp_path: Path):
    made = ensemble(wine, "fitted", combine="geometric")
    path = made.save(folder / "kept")
    again = load_ensemble(path)
    assert isinstance(again, Ensemble) and again.combine == "geometric"
    assert again.weights.tolist() == pytest.approx(made.weights.tolist())
    assert again.evaluate("test") == pytest.approx(made.evaluate("test"))
    assert json.loads((path / "ensemble.json").read_text())["metrics"] == made.evaluate("test")
    folder.rename(moved := folder.with_name("moved"))  # members are named relative to the ensemble
    try:
        assert load_ensemble(moved / "kept").weights.tolist() == pytest.approx(made.weights.tolist())
    finally:
        moved.rename(folder)
    with pytest.raises(UserError, match="not empty"):
        made.save(path)
    with pytest.raises(UserError, match="did you mean"):
        load_ensemble(folder / "kep")
    (tmp_path / "ensemble.json").write_text(json.dumps({"format": 99, "combine": "arithmetic", "members": []}))
    with pytest.raises(UserError, match="newer version"):
        load_ensemble(tmp_path)
    (tmp_path / "ensemble.json").write_text('{"format": 1}')
    with pytest.raises(UserError, match="damaged"):
        load_ensemble(tmp_path)


# What does not belong together


def test_runs_that_do_not_belong_together(wine: list[Run], diabetes: list[Run], folder: Path, tmp_path: Path):
    with pytest.raises(UserError, match=r"data\.source is diabetes, not wine"):
        ensemble([wine[0], diabetes[0]])
    other = train(tmp_path / "other", "wine", epochs=1, data={"split_seed": 5})
    with pytest.raises(UserError, match=r"data\.split_seed is 5, not 0"):
        ensemble([wine[0], other])
    fold = train(tmp_path / "fold", "wine", epochs=1, data={"folds": 3, "fold": 1})
    assert ensemble([wine[0], fold]).evaluate("test")["accuracy"] > 0.3  # they share the test rows
    with pytest.raises(UserError, match=r"data\.folds is 3, not 0"):
        ensemble([wine[0], fold], "fitted")
    for bad, told in (([wine[0]], "at least two"), ([Fixed("x", {}), Fixed("y", {})], "at least one run")):
        with pytest.raises(UserError, match=told):
            ensemble(bad)
    with pytest.raises(UserError, match="geometric means are of probabilities"):
        ensemble(diabetes, combine="geometric")
    for name, told in (("weights", "equal"), ("combine", "arithmetic"), ("method", "nelder-mead")):
        with pytest.raises(UserError, match=f"unknown {name} '.*'; did you mean '{told}'"):
            ensemble(wine, **{name: told[:-1]})
    with pytest.raises(UserError, match="no such run"):
        ensemble([wine[0], str(folder / "none")])


def test_targets_and_classes_must_be_the_same(tmp_path: Path):
    data = load_diabetes(scaled=False)
    with open(tmp_path / "d.csv", "w", newline="", encoding="utf-8") as file:
        rows = [[*x, y, "high" if y > 150 else "low"] for x, y in zip(data.data[:80], data.target[:80], strict=True)]
        csv.writer(file).writerows([[*data.feature_names, "y", "level"], *rows])
    runs = [
        train(tmp_path / name, str(tmp_path / "d.csv"), target=target, epochs=1)
        for name, target in (("1", "y"), ("2", "level"))
    ]
    with pytest.raises(UserError, match="its target is level, not y"):
        ensemble(runs)
    joined = train(tmp_path / "3", str(tmp_path / "d.csv"), target="y,s1", epochs=2)  # two numbers at once
    again = train(tmp_path / "4", str(tmp_path / "d.csv"), target="y,s1", epochs=1, seed=4)
    assert set(ensemble([joined, again], "fitted").evaluate()) >= {"mae", "rmse", "r2"}


def test_no_validation_rows_no_fitting(tmp_path: Path):
    runs = [train(tmp_path / str(seed), "iris", epochs=1, seed=seed, data={"validation": 0}) for seed in (0, 1)]
    with pytest.raises(UserError, match="use equal weights"):
        ensemble(runs, "fitted")
    assert ensemble(runs).evaluate("test")


def test_several_labels_a_row(tmp_path: Path):
    random = np.random.default_rng(0)
    inputs = random.normal(size=(160, 3))
    with open(tmp_path / "l.csv", "w", newline="", encoding="utf-8") as file:
        rows = [[*row.round(4), int(row[0] > 0), int(row[1] + row[2] > 0)] for row in inputs]
        csv.writer(file).writerows([["x", "y", "z", "a", "b"], *rows])
    runs = [train(tmp_path / str(seed), str(tmp_path / "l.csv"), target="a,b", seed=seed, epochs=6) for seed in (0, 1)]
    for combine in ("arithmetic", "geometric"):
        made = ensemble(runs, "fitted", combine=combine)
        assert made.evaluate("validation")["loss"] <= min(run.evaluate("validation")["loss"] for run in runs) + 1e-6
    what, found = made.likeness()
    assert what == "share of different answers" and 0 <= found[0, 1] < 0.5
    assert set(made.predict({"x": 1.0, "y": 1.0, "z": 1.0})[0]["prediction"]) == {"a", "b"}
