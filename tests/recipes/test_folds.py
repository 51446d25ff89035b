"""K-fold validation and repeated seeds, in a folder."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from children import Children

from gradus import load_run
from gradus.cli import main
from gradus.data.load import DataSettings
from gradus.errors import UserError
from gradus.look.curves import smooth
from gradus.models import ModelSettings
from gradus.recipes.execute import train_recipe
from gradus.recipes.folds import is_folds, resume_folds, train_folds
from gradus.recipes.recipe import Recipe, read_recipe
from gradus.train import fleet
from gradus.train.settings import TrainSettings
from gradus.train.trainer import Interrupted

RECIPE = Recipe(
    data=DataSettings(source="diabetes"),
    model=ModelSettings(name="mlp", options={"hidden": [8]}),
    train=TrainSettings(epochs=4, batch_size=32, seed=7),
)


def test_every_row_validates_once_a_repeat_and_members_are_runs(tmp_path):
    said = []
    found = train_folds(RECIPE, 3, 2, tmp_path / "folds", say=said.append)
    assert said == ["6 models train as one"]
    names = sorted(path.name for path in (tmp_path / "folds" / "members").iterdir())
    assert names == [f"fold-{fold}-repeat-{repeat}" for fold in (1, 2, 3) for repeat in (1, 2)]
    for repeat in (1, 2):
        rows: list[str] = []
        for fold in (1, 2, 3):
            run = load_run(tmp_path / "folds" / "members" / f"fold-{fold}-repeat-{repeat}")
            assert len(run.history) == 4 and run.recipe.train.seed == 7 + 3 * (repeat - 1) + fold - 1
            split = run.experiment.dataset["validation"]
            rows += [split.origins[index] for index in range(len(split))]
            best = min(record["validation_mae"] for record in run.history)
            assert run.evaluate("validation")["mae"] == pytest.approx(best, rel=1e-5)
            assert run.evaluation["metrics"]["mae"] == best
        assert len(rows) == len(set(rows)) == 442 - 88  # all but the test rows
    last = [outcome.history[-1]["validation_mae"] for outcome in found.outcomes]
    result = json.loads((tmp_path / "folds" / "folds.json").read_text())["result"]
    assert result["mean_of_last"] == pytest.approx(np.mean(last))
    assert result["deviation_of_last"] == pytest.approx(np.std(last, ddof=1))
    curves = np.array([[record["validation_mae"] for record in outcome.history] for outcome in found.outcomes])
    assert result["mean_curve"] == pytest.approx(curves.mean(axis=0))
    assert result["best_epoch_of_mean"] == curves.mean(axis=0).argmin() + 1
    assert (tmp_path / "folds" / "folds.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(UserError, match=r"models of several folds, not one run; give one of them, such as .*fold-1"):
        load_run(tmp_path / "folds")


def test_a_members_recipe_gives_the_same_model_alone(tmp_path):
    train_folds(RECIPE, 3, 1, tmp_path / "folds")
    path = tmp_path / "folds" / "members" / "fold-2-repeat-1"
    alone = train_recipe(read_recipe(path / "recipe.toml"), tmp_path / "alone")
    member = load_run(path)
    for mine, theirs in zip(member.history, alone.history, strict=True):
        assert mine["validation_mae"] == pytest.approx(theirs["validation_mae"], rel=1e-4)
    assert member.evaluate("test")["mae"] == pytest.approx(alone.evaluate("test")["mae"], rel=1e-4)


def test_repeats_without_folds_are_other_seeds_on_the_same_rows(tmp_path):
    found = train_folds(RECIPE, 0, 3, tmp_path / "seeds")
    assert [outcome.recipe.train.seed for outcome in found.outcomes] == [7, 8, 9]
    assert {outcome.recipe.data for outcome in found.outcomes} == {found.outcomes[0].recipe.data}
    assert len(set(found.values)) == 3


def test_what_was_stopped_goes_on(tmp_path, monkeypatch):
    whole = train_folds(RECIPE, 3, 1, tmp_path / "whole")
    step, steps = fleet.FleetLearner.step, 0

    def interrupted(self, parts):
        nonlocal steps
        if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
            steps += 1
            if steps == 9:
                os.kill(os.getpid(), signal.SIGTERM)
        return step(self, parts)

    monkeypatch.setattr(fleet.FleetLearner, "step", interrupted)
    with pytest.raises(Interrupted, match=r"gradus resume .*folds"):
        train_folds(RECIPE, 3, 1, tmp_path / "folds")
    assert is_folds(tmp_path / "folds") and not (tmp_path / "folds" / "members").exists()
    found = resume_folds(tmp_path / "folds")
    assert found.values == whole.values and found.curve == whole.curve
    again = resume_folds(tmp_path / "folds")  # finished: nothing is trained any more
    assert again.values == whole.values


def test_the_commands(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    command = ["train", "--data", "wine", "--epochs", "2", "--folds", "3", "--repeats", "2"]
    with pytest.raises(SystemExit) as done:
        main(command)
    assert done.value.code == 0
    out = capsys.readouterr().out
    assert "6 models train as one" in out and "validation accuracy after the last epoch" in out
    assert "runs/mlp-wine-folds-1" in out
    with pytest.raises(SystemExit) as done:
        main(["resume", "runs/mlp-wine-folds-1"])
    assert done.value.code == 0 and "mean curve at its best" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--folds", "1"], "expected 2 or more folds or repeats"),
        (["--folds", "three"], "--folds: expected a whole number, received 'three'"),
        (["--folds", "500"], "cannot make 500 folds of 142 rows"),
        (["--folds", "3", "--set", "data.folds=3", "--set", "data.fold=1"], "leave them out to train all folds"),
        (["--repeats", "2", "--validation", "0"], "validation rows"),
    ],
)
def test_mistakes_are_told_before_anything_is_written(flags, told, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as done:
        main(["train", "--data", "wine", *flags])
    assert done.value.code == 2 and told in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_a_fold_that_is_not_there_is_told():
    with pytest.raises(UserError, match=r"data.fold: expected 0 to 2 of 3 folds, received 3"):
        replace(RECIPE.data, folds=3, fold=3)


def test_smoothing_is_that_of_the_book():
    """*Deep Learning with Python* listing 3-31: factor * previous + (1 - factor) * point, the first as it is."""
    assert smooth(np.array([1.0, 2.0, 4.0]), 0.9) == pytest.approx([1.0, 1.1, 1.39])


def test_a_fleet_that_was_killed_goes_on_to_the_same_bits(children: Children, tmp_path):
    """SIGKILL to a real process, in the middle of its epochs, twice."""
    flags = ["--data", "diabetes", "--folds", "3", "--epochs", "50", "--set", "train.checkpoint_seconds=0"]
    killed = children.start("train", *flags, "--out", tmp_path / "killed")
    state = tmp_path / "killed" / "checkpoints" / "last" / "state.json"
    for epoch in (10, 25):
        until = time.monotonic() + 120
        while time.monotonic() < until and not killed.has_ended() and _epoch_of(state) < epoch:
            time.sleep(0.005)
        assert not killed.has_ended(), "it ended before it could be killed"
        killed.kill()
        killed.end()
        killed = children.start("resume", tmp_path / "killed")
    assert killed.end().code == 0
    assert children.run("train", *flags, "--out", tmp_path / "whole").code == 0
    drop = {"seconds"}
    results = [json.loads((tmp_path / name / "folds.json").read_text())["result"] for name in ("killed", "whole")]
    for result in results:
        result["members"] = [{k: v for k, v in member.items() if k not in drop} for member in result["members"]]
    assert results[0] == results[1]
    for fold in (1, 2, 3):
        files = [
            tmp_path / name / "members" / f"fold-{fold}-repeat-1" / "checkpoints/best" for name in ("killed", "whole")
        ]
        assert (files[0] / "model.safetensors").read_bytes() == (files[1] / "model.safetensors").read_bytes()


def _epoch_of(state: Path) -> int:
    try:
        return json.loads(state.read_text())["state"]["epoch"]
    except (OSError, ValueError):
        return 0
