"""Searching: scales and samplers as functions, each method's trials, a search that was killed, and what a mistake is told."""

from __future__ import annotations

import json
import math
import signal
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from children import Children
from hypothesis import given, settings
from hypothesis import strategies as st

import gradus
from gradus.errors import UserError
from gradus.recipes.many import Outcome
from gradus.recipes.recipe import Recipe, read_recipe, write_recipe
from gradus.recipes.search import conduct
from gradus.recipes.search.conduct import Plan, read_plan, resume_search, search
from gradus.recipes.search.propose import SearchSettings, create_proposer, grid, shrunk
from gradus.recipes.search.space import SHORT, Dimension, apply, parse_dimension, read_space, sample
from gradus.recipes.search.trials import MedianRule, Trial, append_trials, ranked, read_trials
from gradus.train.settings import OptimizerSettings, TrainSettings

DIMENSIONS = [
    Dimension("a", "linear", -3.0, 7.5),
    Dimension("b", "log", 1e-6, 10.0),
    Dimension("c", "one_minus_log", 0.5, 0.9999),
    Dimension("d", "int", -2, 9),
    Dimension("e", "int_log", 8, 1024),
    Dimension("f", "choice", choices=([32], [64, 64], "relu", 0.5)),
]
IDS = [dimension.scale for dimension in DIMENSIONS]


def iris(epochs: int = 2, **training) -> Recipe:
    """A recipe that trains in hundredths of a second."""
    recipe = Recipe(
        train=TrainSettings(epochs=epochs, batch_size=32, optimizer=OptimizerSettings(name="sgd"), **training)
    )
    return replace(recipe, data=replace(recipe.data, source="iris"))


# Scales


@pytest.mark.parametrize("dimension", DIMENSIONS, ids=IDS)
@given(position=st.floats(0, 1))
def test_values_stay_between_the_ends_and_positions_come_back(dimension: Dimension, position: float):
    value = dimension.value(position)
    if dimension.scale == "choice":
        assert value in dimension.choices
    else:
        assert dimension.low <= value <= dimension.high
    assert dimension.value(dimension.position(value)) == value
    # what four digits, or the width of a whole number, leave of a position
    step = {"int": 1 / 12, "choice": 1 / 4, "int_log": 0.15, "log": 1e-4, "linear": 1e-3, "one_minus_log": 1e-3}
    assert abs(dimension.position(value) - position) <= step[dimension.scale]


@pytest.mark.parametrize("dimension", DIMENSIONS, ids=IDS)
@given(low=st.floats(0, 1), high=st.floats(0, 1))
def test_scales_rise(dimension: Dimension, low: float, high: float):
    if dimension.scale != "choice":
        assert (dimension.value(min(low, high))) <= dimension.value(max(low, high))


def kolmogorov(sample: np.ndarray) -> float:
    """The Kolmogorov-Smirnov distance between a sample in 0..1 and the even distribution."""
    ordered = np.sort(sample)
    steps = np.arange(1, len(ordered) + 1) / len(ordered)
    return float(np.maximum(steps - ordered, ordered - steps + 1 / len(ordered)).max())


def test_samples_are_even_on_their_own_scale():
    rows = [sample(DIMENSIONS, 5, index) for index in range(2000)]
    limit = 1.63 / math.sqrt(2000)  # one in a hundred samples is further off
    rates = np.array([row["b"] for row in rows])
    assert kolmogorov((np.log10(rates) + 6) / 7) < limit
    assert kolmogorov((rates - 1e-6) / 10) > 0.5  # which is not even on the linear scale
    betas = np.array([row["c"] for row in rows])
    assert kolmogorov(np.log(2 * (1 - betas)) / np.log(2 * 1e-4)) < limit
    assert kolmogorov((np.array([row["a"] for row in rows]) + 3) / 10.5) < limit
    for name, values in (("d", range(-2, 10)), ("f", DIMENSIONS[5].choices)):
        counts = [sum(row[name] == value for row in rows) for value in values]
        expected = 2000 / len(counts)
        assert sum((count - expected) ** 2 / expected for count in counts) < 30  # chi squared


def test_a_sample_is_a_function_of_seed_and_index():
    assert sample(DIMENSIONS, 1, 7) == sample(DIMENSIONS, 1, 7)
    assert sample(DIMENSIONS, 1, 7) != sample(DIMENSIONS, 1, 8) != sample(DIMENSIONS, 2, 8)


# Texts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("train.optimizer.learning_rate=log:1e-4..1", Dimension("train.optimizer.learning_rate", "log", 1e-4, 1.0)),
        ("learning-rate=1e-4..1", Dimension("train.optimizer.learning_rate", "log", 1e-4, 1.0)),
        ("beta1=0.9..0.999", Dimension("train.optimizer.beta1", "one_minus_log", 0.9, 0.999)),
        ("dropout=0..0.5", Dimension("model.options.dropout", "linear", 0.0, 0.5)),
        ("dropout = linear:-1..-0.5:3", Dimension("model.options.dropout", "linear", -1.0, -0.5, points=3)),
        ("hidden=[[32],[64],[64,64]]", Dimension("model.options.hidden", "choice", choices=([32], [64], [64, 64]))),
        ("optimizer=[sgd, adamw]", Dimension("train.optimizer.name", "choice", choices=("sgd", "adamw"))),
        ("train.seed=int:0..9", Dimension("train.seed", "int", 0.0, 9.0)),
        ("batch_size=16..256", Dimension("train.batch_size", "int_log", 16.0, 256.0)),
        ("model.options.layers=1..4", Dimension("model.options.layers", "int", 1.0, 4.0)),
    ],
)
def test_dimensions_are_read_and_written(text: str, expected: Dimension):
    found = parse_dimension(text)
    assert found == expected
    assert parse_dimension(found.text()) == found


@pytest.mark.parametrize("name", SHORT)
def test_every_short_name_is_a_setting(name: str):
    setting, scale = SHORT[name]
    ends = {"choice": '=["a"]', "int": "=0..3", "int_log": "=2..9"}.get(scale, "=0.1..0.5")
    assert parse_dimension(name + ends).setting == setting
    if setting.startswith("train."):
        apply(
            iris(),
            {
                setting: "adam"
                if name == "optimizer"
                else "cosine"
                if name == "schedule"
                else 0
                if name == "momentum"
                else 1
                if scale.startswith("int")
                else 0.5
            },
        )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("learning_rat=1e-4..1", "did you mean 'learning_rate'"),
        ("learning_rate", "expected SETTING=SCALE:LOW..HIGH"),
        ("learning_rate=logg:1e-4..1", "did you mean 'log'"),
        ("learning_rate=log:0..1", "low end above 0"),
        ("learning_rate=log:1..0.1", "low below high"),
        ("learning_rate=0.1", "expected LOW..HIGH"),
        ("learning_rate=a..b", "expected a number, received 'a'"),
        ("learning_rate=1e-4..1:many", "whole number of points"),
        ("learning_rate=1e-4..inf", "low below high"),
        ("beta1=0.9..1", "below 1"),
        ("train.seed=int:0.5..3", "whole numbers"),
        ("optimizer=[]", "at least one choice"),
        ("optimizer=[sgd", "does not end with ]"),
        ("optimizer=sgd..adam", "expected a list of choices"),
        ("dropout=0..0.5:1", "2 or more points"),
    ],
)
def test_mistakes_in_a_dimension(text: str, told: str):
    with pytest.raises(UserError, match="(?s)" + told.replace("[", r"\[").replace("]", r"\]")):
        parse_dimension(text)


@pytest.mark.parametrize(
    ("vary", "told"),
    [
        (["train.optimizer.learning_rat=log:0.1..1"], "did you mean 'learning_rate'"),
        (["model.options.hiden=[[3]]"], "did you mean 'hidden'"),
        (["hidden=[[3],[0]]"], "whole numbers above 0"),
        (["dropout=0.5..1.5"], "dropout must be in 0..1"),
        (["batch_size=16..4000"], "more than the"),
        (["optimizer=[sgd,adamm]"], "did you mean 'adam"),
        (["momentum=0..0.9", "optimizer=[sgd,adamw]", "momentum=0..0.5"], "varied twice"),
        (["data.split_seed=int:0..3"], "the same rows"),
        (["train.monitor=[loss,accuracy]"], "the same metric"),
        (["model=[mlp,lenet5]"], "lenet5"),
        ([], "something to vary"),
    ],
)
def test_mistakes_are_told_before_anything_runs(in_empty_folder: Path, vary: list[str], told: str):
    with pytest.raises(UserError, match=told):
        search(iris(), vary, "found")
    assert not Path("found").exists()


def test_a_search_needs_validation_rows(in_empty_folder: Path):
    recipe = iris()
    with pytest.raises(UserError, match=r"--validation 0\.1"):
        search(replace(recipe, data=replace(recipe.data, validation=0)), {"learning_rate": "0.1..1"})
    assert not Path("runs").exists()


# What is tried


def test_a_grid_is_complete():
    space = read_space({"learning_rate": "0.001..1:4", "hidden": [[8], [16]], "seed": "int:0..2"})
    found = grid(space, 32)
    assert len(found) == 4 * 2 * 3 and len({json.dumps(values) for values in found}) == 24
    assert {values["train.optimizer.learning_rate"] for values in found} == {0.001, 0.01, 0.1, 1.0}
    assert {values["train.seed"] for values in found} == {0, 1, 2}


def test_a_grid_takes_as_many_points_as_there_are_trials():
    space = read_space({"learning_rate": "0.001..1", "dropout": "0..0.5"})
    assert len(grid(space, 32)) == 25 and len(grid(space, 4)) == 4
    with pytest.raises(UserError, match="at least 4 trials"):
        grid(space, 3)
    assert len(grid(read_space({"seed": "int:0..2"}), 100)) == 3  # there are no more


def pretend(trials: list[Trial], space: list[Dimension]) -> list[Trial]:
    """Finishes trials with a metric that is highest at position 0.7 of every dimension."""
    for trial in trials:
        places = [dimension.position(trial.values[dimension.setting]) for dimension in space]
        trial.value, trial.state = -sum((place - 0.7) ** 2 for place in places), "complete"
    return trials


@pytest.mark.parametrize("method", ["grid", "random", "zoom"])
@pytest.mark.parametrize("at_once", [1, 5, 100])
def test_trials_do_not_depend_on_the_batches(method: str, at_once: int, tmp_path: Path):
    space = read_space({"learning_rate": "1e-5..1", "beta1": "0.5..0.999", "hidden": [[1], [2], [3]]})
    asked = SearchSettings(method=method, trials=30, rounds=3, at_once=at_once)
    propose = create_proposer(asked, space, "max", tmp_path)
    finished: list[Trial] = []
    while batch := propose(finished):
        assert len(batch) <= at_once
        finished += pretend(batch, space)
    once = create_proposer(replace(asked, at_once=7), space, "max", tmp_path)
    again: list[Trial] = []
    while batch := once(again):
        again += pretend(batch, space)
    assert [asdict(trial) for trial in finished] == [asdict(trial) for trial in again]
    assert [trial.index for trial in finished] == list(range(len(finished)))
    if method == "zoom":
        assert [sum(trial.round == number for trial in finished) for number in range(3)] == [10, 10, 10]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), rounds=st.integers(1, 5))
def test_zoom_never_leaves_the_box_and_closes_in(seed: int, rounds: int):
    space = read_space({"learning_rate": "1e-5..1", "dropout": "0..0.5", "seed": "int:3..9"})
    propose = create_proposer(
        SearchSettings(method="zoom", trials=12 * rounds, rounds=rounds, seed=seed), space, "max", Path()
    )
    finished: list[Trial] = []
    while batch := propose(finished):
        box = shrunk([trial for trial in finished if trial.round < batch[0].round], space, "max")
        for trial in batch:
            for place, dimension in enumerate(space):
                value = trial.values[dimension.setting]
                assert dimension.low <= value <= dimension.high
                if box is not None and not dimension.whole:
                    low, high = box[place]
                    assert low - 1e-3 <= dimension.position(value) <= high + 1e-3
                    assert 0 <= low < high <= 1
        finished += pretend(batch, space)
    assert len(finished) == 12 * rounds


def test_zoom_finds_what_random_search_only_comes_near_to():
    space = read_space({"learning_rate": "1e-5..1", "dropout": "0..0.5", "l2": "1e-6..1"})
    best = {}
    for method in ("random", "zoom"):
        values = []
        for seed in range(10):
            propose = create_proposer(
                SearchSettings(method=method, trials=48, rounds=4, seed=seed), space, "max", Path()
            )
            finished: list[Trial] = []
            while batch := propose(finished):
                finished += pretend(batch, space)
            values.append(ranked(finished, "max")[0].value)
        best[method] = np.mean(values)
    assert best["zoom"] > best["random"] / 2  # nearer to 0: half the distance or less


def test_shrinking_by_hand():
    space = [Dimension("a", "linear", 0.0, 10.0), Dimension("b", "choice", choices=("x", "y", "z"))]
    values = [(1.0, "x", 5.0), (4.0, "y", 1.0), (5.0, "z", 2.0), (6.0, "y", 3.0), (9.0, "x", 4.0), (2.0, "x", 9.0)]
    trials = [Trial(i, {"a": a, "b": b}, state="complete", value=v) for i, (a, b, v) in enumerate(values)]
    (low, high), kept = shrunk(trials, space, "min")  # the best three: a = 4, 5, 6
    assert (low, high) == (pytest.approx(0.3), pytest.approx(0.7)) and kept == (1, 2)
    assert shrunk([], space, "min") is None
    diverged = [replace(trial, state="diverged") for trial in trials]
    assert shrunk(diverged, space, "min") is None


# The median rule


def outcome(values: list[float], **more) -> Outcome:
    history = [{"epoch": place + 1, "validation_accuracy": value} for place, value in enumerate(values)]
    return Outcome(iris(), ("accuracy", "max"), value=max(values), epoch=1, history=history, **more)


def test_the_median_rule_by_hand():
    finished = []
    for place, last in enumerate((0.5, 0.6, 0.7, 0.8, 0.9)):
        trial = Trial(place, {})
        trial.finish([outcome([last - 0.3, last, last - 0.1])], keep_curves=True)
        assert trial.curves == [[last - 0.3, last, last]]
        finished.append(trial)

    def rule(trials: list[Trial]) -> MedianRule:
        return MedianRule(trials, ("accuracy", "max"), 1, [10, 10])

    def record(epoch: int, value: float) -> dict:
        return {"epoch": epoch, "validation_accuracy": value}

    judge = rule(finished)
    assert not judge(0, record(1, 0.0))  # the first tenth is not judged
    assert not judge(0, record(2, 0.7))  # the median itself is good enough
    assert not judge(0, record(3, 0.1))  # and what it has once reached counts
    assert not judge(1, record(2, 0.71)) and not judge(1, record(9, 0.0))  # beyond their last epoch: their last value
    assert rule(finished)(0, record(2, 0.69))
    assert not rule(finished[:4])(0, record(2, 0.0))  # too few to compare with
    assert not rule([replace(trial, state="pruned") for trial in finished])(0, record(2, 0.0))


def test_a_stopped_fold_stops_the_others():
    finished = [Trial(i, {}, state="complete", value=0.9, curves=[[0.9] * 5, [0.1] * 5]) for i in range(5)]
    judge = MedianRule(finished, ("accuracy", "max"), 2, [5] * 4)
    assert judge(0, {"epoch": 2, "validation_accuracy": 0.5})
    assert judge(1, {"epoch": 1, "validation_accuracy": 0.99}) and not judge(
        3, {"epoch": 2, "validation_accuracy": 0.5}
    )


# Whole searches


def test_a_search_from_start_to_the_best_recipe(in_empty_folder: Path):
    lines: list[str] = []
    vary = {"learning_rate": "1e-3..1", "hidden": [[4], [8, 8]], "momentum": "0..0.95"}
    found = gradus.search(iris(epochs=4), vary, trials=6, at_once=4, say=lines.append)
    assert found.path == Path("runs/search-mlp-iris-1") and found.best is not None and found.recipe is not None
    assert [line for line in lines if line.startswith("trials")] == ["trials 0 to 3", "trials 4 to 5"]
    assert [trial.value for trial in found.trials] == sorted((t.value for t in found.trials), reverse=True)
    assert found.best.value == max(trial.value for trial in found.trials)
    assert "12 validation rows" in found.caution() and "best.toml" in found.caution()
    header, *rows = found.table(3)
    assert header[:3] == ["trial", "validation accuracy", "learning_rate"] and len(rows) == 3
    recipe = read_recipe(found.path / "best.toml")
    assert recipe == found.recipe
    assert recipe.train.optimizer.learning_rate == found.best.values["train.optimizer.learning_rate"]
    run = gradus.train_recipe(recipe, "again")
    assert max(record["validation_accuracy"] for record in run.history) == found.best.value
    assert (found.path / "search.png").read_bytes().startswith(b"\x89PNG")
    plan = read_plan(found.path)
    assert isinstance(plan, Plan) and plan.settings.trials == 6 and plan.recipe.model.name == "mlp"
    assert not (found.path / ".lock").exists()


def test_folds_are_averaged(in_empty_folder: Path):
    found = search(iris(), {"learning_rate": "0.01..1"}, "f", trials=2, folds=3)
    for trial in found.trials:
        assert len(trial.folds) == 3 and trial.value == pytest.approx(sum(trial.folds) / 3)
        assert trial.spread == pytest.approx(np.std(trial.folds, ddof=1))
    assert found.validation_rows == 120
    assert found.recipe is not None and found.recipe.data.folds == 0


def test_diverged_and_impossible_trials_are_counted(in_empty_folder: Path):
    vary = {"learning_rate": [0.1, 1e30], "optimizer": ["sgd", "adam"], "momentum": [0.0, 0.5]}
    found = search(iris(), vary, "d", method="grid", trials=8)
    states = {tuple(trial.values.values()): trial.state for trial in found.trials}
    assert states[(0.1, "adam", 0.5)] == "impossible" and states[(0.1, "sgd", 0.5)] == "complete"
    assert states[(1e30, "sgd", 0.0)] == "diverged"
    assert found.best is not None and found.best.values["train.optimizer.learning_rate"] == 0.1
    assert "diverged" in found.summary() and "2 impossible" in found.summary()
    assert [trial.state for trial in found.trials][-2:] == ["impossible", "impossible"]


def test_a_search_in_which_all_diverge(in_empty_folder: Path):
    found = search(iris(), {"learning_rate": "1e25..1e30"}, "d", trials=2)
    assert found.best is None and found.recipe is None and found.caution() == ""
    assert found.count("diverged") == 2 and not Path("d/best.toml").exists() and Path("d/search.png").exists()


def same_trials(left: Path, right: Path) -> bool:
    """Whether two searches had the same trials, apart from their seconds."""
    return [replace(t, seconds=0) for t in read_trials(left / "trials.jsonl")] == [
        replace(t, seconds=0) for t in read_trials(right / "trials.jsonl")
    ]


@pytest.mark.parametrize("method", ["grid", "random", "zoom", "optuna"])
@pytest.mark.parametrize("torn", [False, True], ids=["between batches", "in a line"])
def test_a_killed_search_goes_on(in_empty_folder: Path, monkeypatch, method: str, torn: bool):
    if method == "optuna":
        pytest.importorskip("optuna", reason="needs gradus[search]")
    how = {"method": method, "trials": 9, "rounds": 3, "at_once": 3, "prune": True}
    vary = {"learning_rate": "1e-3..1:3", "dropout": "0..0.5:3"}
    search(iris(epochs=3), vary, "whole", **how)

    train, calls = conduct.train_many, []

    def killed(recipes, **more):
        calls.append(len(recipes))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return train(recipes, **more)

    with monkeypatch.context() as patched:
        patched.setattr(conduct, "train_many", killed)
        with pytest.raises(
            KeyboardInterrupt, match=r"6 finished trials are kept\. Continue with: gradus search --resume cut"
        ):
            search(iris(epochs=3), vary, "cut", **how)
    assert len(read_trials(Path("cut/trials.jsonl"))) == 6 and not same_trials(Path("whole"), Path("cut"))
    if torn:
        with open("cut/trials.jsonl", "a", encoding="utf-8") as file:
            file.write('{"index": 6, "val')
    trained: list[int] = []
    monkeypatch.setattr(
        conduct, "train_many", lambda recipes, **more: trained.append(len(recipes)) or train(recipes, **more)
    )
    found = resume_search("cut") if torn else search(iris(epochs=3), vary, "cut", **how)
    assert trained == [3]  # nothing was run twice
    assert len(found.trials) == 9 and same_trials(Path("whole"), Path("cut"))
    assert Path("whole/best.toml").read_text() == Path("cut/best.toml").read_text()
    resume_search("cut")
    assert trained == [3]


def test_another_search_is_not_mixed_in(in_empty_folder: Path):
    search(iris(), {"learning_rate": "0.1..1"}, "s", trials=2)
    before = Path("s/trials.jsonl").read_bytes()
    for vary, how, told in (
        ({"learning_rate": "0.01..1"}, {"trials": 2}, "it varies train.optimizer.learning_rate=log:0.1..1.0, not"),
        ({"learning_rate": "0.1..1", "momentum": "0..0.5"}, {"trials": 2}, "it varies 1 settings, not 2"),
        ({"learning_rate": "0.1..1"}, {"trials": 3}, "its trials is 2, not 3"),
    ):
        with pytest.raises(UserError, match=told):
            search(iris(), vary, "s", **how)
    with pytest.raises(UserError, match="its recipe is another one"):
        search(iris(epochs=3), {"learning_rate": "0.1..1"}, "s", trials=2)
    assert Path("s/trials.jsonl").read_bytes() == before


def test_folders_that_hold_no_search(in_empty_folder: Path):
    with pytest.raises(UserError, match="no search here"):
        resume_search("nowhere")
    Path("full").mkdir()
    Path("full/mine.txt").write_text("keep me")
    with pytest.raises(UserError, match="not empty"):
        search(iris(), {"learning_rate": "0.1..1"}, "full", trials=1)
    assert [path.name for path in Path("full").iterdir()] == ["mine.txt"]
    search(iris(), {"learning_rate": "0.1..1"}, "s", trials=1)
    text = Path("s/search.toml").read_text()
    Path("s/search.toml").write_text(text.replace("format = 1", "format = 9"))
    with pytest.raises(UserError, match="newer version"):
        resume_search("s")
    Path("s/search.toml").write_text(text[:50])
    with pytest.raises(UserError, match="damaged"):
        resume_search("s")


def test_a_damaged_line_is_told(tmp_path: Path):
    path = tmp_path / "trials.jsonl"
    append_trials(path, [Trial(0, {"a": 1}), Trial(1, {"a": 2})])
    assert [trial.index for trial in read_trials(path)] == [0, 1]
    path.write_text("nonsense\n" + path.read_text())
    with pytest.raises(UserError, match="line 1 is damaged"):
        read_trials(path)


def test_optuna_is_asked_for_only_when_used(in_empty_folder: Path, monkeypatch):
    import builtins

    real = builtins.__import__

    def without(name, *more, **named):
        if name == "optuna":
            raise ImportError(name)
        return real(name, *more, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UserError, match=r"pip install 'gradus\[search\]'"):
        search(iris(), {"learning_rate": "0.1..1"}, method="optuna", trials=1)
    search(iris(), {"learning_rate": "0.1..1"}, method="random", trials=1)


def test_optuna_learns_from_what_it_saw(tmp_path: Path):
    pytest.importorskip("optuna", reason="needs gradus[search]")
    space = read_space({"learning_rate": "1e-5..1", "beta1": "0.5..0.999", "hidden": [[1], [2], [3]]})
    propose = create_proposer(SearchSettings(method="optuna", trials=40, at_once=8), space, "max", tmp_path)
    finished: list[Trial] = []
    while batch := propose(finished):
        for trial in batch:
            for dimension in space[:2]:
                assert dimension.low <= trial.values[dimension.setting] <= dimension.high
            assert trial.values["model.options.hidden"] in ([1], [2], [3])
        finished += pretend(batch, space)
    assert len(finished) == 40
    first, last = finished[:10], finished[-10:]
    assert np.mean([t.value for t in last]) > np.mean([t.value for t in first])


def test_a_fleet_is_pruned_member_by_member(in_empty_folder: Path):
    vary = {"learning_rate": [1e-6, 0.2], "seed": "int:0..5"}
    found = search(iris(epochs=20), vary, "p", method="grid", trials=12, at_once=6, prune=True)
    slow = [trial for trial in found.trials if trial.values["train.optimizer.learning_rate"] == 1e-6]
    assert found.count("pruned") == 0 and len(slow) == 6  # the slow half came first: nothing to compare with
    again = search(
        iris(epochs=20),
        {"learning_rate": [0.2, 1e-6], "seed": "int:0..5"},
        "q",
        method="grid",
        trials=12,
        at_once=6,
        prune=True,
    )
    assert again.count("pruned") == 6 and again.count("complete") == 6
    assert again.best is not None and again.best.value == found.best.value
    assert all(len(trial.curves[0]) == 3 for trial in again.trials if trial.state == "pruned")  # after a tenth, at once


def test_a_process_killed_in_the_middle(children: Children, in_empty_folder: Path):
    """SIGKILL to a real process, as soon as its second batch is kept; the same command then goes on."""
    vary, how = {"learning_rate": "1e-3..1"}, {"method": "zoom", "trials": 12, "rounds": 3, "at_once": 1}
    search(iris(epochs=3), vary, "whole", **how)
    Path("iris.toml").write_text(write_recipe(iris(epochs=3)), encoding="utf-8")
    flags = "--vary learning_rate=1e-3..1 --method zoom --trials 12 --rounds 3 --at-once 1 --out cut"
    child = children.start("search", "iris.toml", *flags.split(), folder=in_empty_folder)
    while "\ntrial 2" not in child.printed() and not child.has_ended():  # it is told before the third trial begins
        time.sleep(0.002)
    child.kill()
    assert child.end().code == -signal.SIGKILL
    kept = len(read_trials(Path("cut/trials.jsonl")))
    assert 2 <= kept < 12
    found = search(iris(epochs=3), vary, "cut", **how)
    assert len(found.trials) == 12 and same_trials(Path("whole"), Path("cut"))
