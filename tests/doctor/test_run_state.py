"""What the doctor says of a run that has not ended, whose data have changed, or that is only a recipe; what it prints works."""

from __future__ import annotations

import csv
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

from gradus import cli
from gradus.cli import doctor
from gradus.cli.flags import recipe_of
from gradus.doctor.case import NotHere
from gradus.doctor.checks.state import find_changed_data, find_unfinished
from gradus.doctor.examine import open_case
from gradus.errors import UserError
from gradus.train import signs_of_epochs
from gradus.train.signs import RATE, Evidence, Sign
from gradus.train.signs_of_epochs import read_signs


def write_table(path: Path, rows: int) -> Path:
    random = np.random.default_rng(0)
    numbers = random.normal(size=(rows, 3)).round(4)
    answers = np.where(numbers.sum(axis=1) > 0, "yes", "no")
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows(
            [["a", "b", "c", "answer"], *([*row, label] for row, label in zip(numbers, answers, strict=True))]
        )
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with table.csv and runs/table, a run on it."""
    folder = tmp_path_factory.mktemp("state")
    write_table(folder / "table.csv", 200)
    train(folder, "--epochs", "2", "--out", folder / "runs" / "table")
    return folder


def train(folder: Path, *more: object) -> None:
    line = [
        "train",
        "--data",
        folder / "table.csv",
        "--target",
        "answer",
        "--validation",
        "0.2",
        "--device",
        "cpu",
        *more,
    ]
    with pytest.raises(SystemExit) as ended:
        cli.main([str(part) for part in line])
    assert not ended.value.code


@pytest.fixture
def mine(trained: Path, tmp_path: Path) -> Path:
    """The folder for a test to change: the run names the table by its path, which is the new one."""
    shutil.copytree(trained, tmp_path / "it")
    recipe = tmp_path / "it" / "runs" / "table" / "recipe.toml"
    recipe.write_text(recipe.read_text().replace(str(trained), str(tmp_path / "it")))
    return tmp_path / "it"


def told(capsys: pytest.CaptureFixture, *line: object) -> tuple[int, str, str]:
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        cli.main([str(part) for part in line])
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


def test_a_run_as_it_was_left(mine):
    case = open_case(mine / "runs" / "table", None, None, None)
    assert find_unfinished(case) == [] and find_changed_data(case) == []


def test_a_training_that_has_not_ended(mine, capsys):
    run = mine / "runs" / "table"
    (run / "evaluation.json").unlink()
    recipe = run / "recipe.toml"
    recipe.write_text(recipe.read_text().replace("epochs = 2", "epochs = 40"))
    (found,) = find_unfinished(open_case(run, None, None, None))
    assert "2 of 40 epochs" in found.told and found.command == f"gradus resume {run}"
    code, said, _ = told(capsys, "doctor", run, "--only", "unfinished")
    assert code == 0 and "1 warning" in said
    with pytest.raises(UserError, match=r"has not ended.*gradus resume"):
        doctor.run_doctor(arguments("doctor", run, "--learning-curve"))
    assert not (run / "learning_curve").exists()


def arguments(*line: object):
    return cli.parse([str(part) for part in line])


@pytest.mark.parametrize(("rows", "words"), [(150, "96 train rows, then 128"), (200, "other values")])
def test_data_that_have_changed(mine, rows, words):
    path = write_table(mine / "table.csv", rows)
    if rows == 200:
        path.write_text(path.read_text().replace("yes", "no", 1).replace("no", "yes", 3))
    (found,) = find_changed_data(open_case(mine / "runs" / "table", None, None, None))
    assert words in found.told and found.level == "fault"
    assert arguments(*shlex.split(found.command)[1:]).recipe == str(mine / "runs" / "table" / "recipe.toml")


def test_a_run_without_a_record_of_its_data(mine):
    (mine / "runs" / "table" / "task.json").write_text(
        (mine / "runs" / "table" / "task.json").read_text().replace('"fingerprint"', '"other"')
    )
    with pytest.raises(NotHere, match="did not write down"):
        find_changed_data(open_case(mine / "runs" / "table", None, None, None))


def test_findings_are_told_where_the_page_cannot_be_written(mine, capsys):
    (mine / "runs" / "table" / "doctor.html").mkdir()
    code, said, error = told(capsys, "doctor", mine / "runs" / "table")
    assert code == 2 and "doctor.html" in error and "Traceback" not in error
    assert "training rows" in said and "advice" in said


def test_commands_name_a_recipe_as_it_was_typed(mine, capsys):
    line = ["--data", mine / "table.csv", "--target", "answer", "--set", "train.optimizer.learning_rate=1e-9"]
    code, said, _ = told(capsys, "doctor", *line, "--only", "rate")
    assert code == 0
    (command,) = [one.split("next: ")[1] for one in said.splitlines() if "next: " in one]
    assert command.startswith(shlex.join(["gradus", "train", *map(str, line)]))
    recipe_of(arguments(*shlex.split(command)[1:]))


def test_what_dies_of_a_rate_is_given_the_same_rate():
    def sign(kind: str, *settings: str) -> Sign:
        return Sign(kind=kind, told="", where="", epoch=1, value=1.0, usual="", strength=1.0, settings=settings)

    high, dead = sign("rate-too-high", f"{RATE}=0.001"), sign("dead-units", f"{RATE}=0.5", "in words")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(signs_of_epochs, "QUESTIONS", (lambda evidence: [dead], lambda evidence: [high]))
        one, other = read_signs(Evidence([], [], 5.0))
    assert one.settings == (f"{RATE}=0.001", "in words") and one.strength == 0.5 and other == high
