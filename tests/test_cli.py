"""The commands as a user types them: from a folder or a file to predictions and a report, and what a mistake is told."""

from __future__ import annotations

import csv
import json
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_diabetes, load_digits, load_wine

from gradus import cli


@pytest.fixture
def gradus(capsys: pytest.CaptureFixture):
    """Runs a command line; returns (exit code, standard output, standard error)."""

    def run(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return run


@pytest.fixture
def mistake(gradus, in_empty_folder: Path):
    """Runs a command line that must fail: exit code 2, one sentence, no traceback, no run folder. Returns the sentence."""

    def run(*arguments: object) -> str:
        before = {path for path in Path("runs").rglob("*")} if Path("runs").exists() else set()
        code, _, error = gradus(*arguments)
        assert code == 2, error
        assert error.startswith("gradus: ") and error.count("\n") == 1 and "Traceback" not in error
        after = {path for path in Path("runs").rglob("*")} if Path("runs").exists() else set()
        assert after == before
        return error

    return run


def write_pictures(folder: Path, classes: dict[int, str], count: int, size: int = 16) -> None:
    """`count` digits of each class as PNG files in class folders."""
    digits = load_digits()
    for digit, name in classes.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number, pixels in enumerate(digits.images[digits.target == digit][:count]):
            picture = Image.fromarray((pixels * 15.9).astype(np.uint8)).resize((size, size))
            picture.save(folder / name / f"{name}{number}.png")


def write_csv(path: Path, names: list[str], rows, encoding: str = "utf-8") -> None:
    with open(path, "w", newline="", encoding=encoding) as file:
        csv.writer(file).writerows([names, *rows])


@pytest.fixture
def wine(in_empty_folder: Path) -> Path:
    data = load_wine()
    names = [*data.feature_names, "cultivar"]
    write_csv(
        Path("wine.csv"), names, [[*row, "红白黄"[label]] for row, label in zip(data.data, data.target, strict=True)]
    )
    return Path("wine.csv")


# From data to predictions and a report


def test_a_folder_of_pictures(gradus, in_empty_folder: Path):
    write_pictures(Path("数字"), {3: "三", 7: "七"}, 60)
    code, told, error = gradus("train", "--data", "数字", "--epochs", 4, "--model", "mlp")
    assert code == 0, error
    assert "task: image-classification" in told and "held out" in told and "batch size: 4" in told
    assert "majority class" in told and "logistic regression" in told
    run = Path("runs/mlp-数字-1")
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "三" in page and "七" in page
    assert "model: mnist_convnet" not in told  # it was named

    code, printed, _ = gradus("predict", run, "数字/三/三1.png", "数字/七", "--json")
    answers = [json.loads(line) for line in printed.splitlines()]
    assert code == 0 and len(answers) == 61
    assert np.mean([answer["prediction"] in answer["input"].rpartition("/")[2] for answer in answers]) > 0.9
    code, printed, _ = gradus("eval", run, "--split", "test", "--json")
    assert json.loads(printed)["accuracy"] == json.loads((run / "evaluation.json").read_text())["metrics"]["accuracy"]


def test_everything_is_inferred_for_a_folder(gradus, in_empty_folder: Path):
    write_pictures(Path("photos"), {0: "zero", 1: "one"}, 20, size=20)
    code, told, error = gradus("train", "--data", "photos", "--epochs", 1)
    assert code == 0, error
    assert "model: mnist_convnet" in told and "task: image-classification" in told and "device: CPU" in told
    recipe = tomllib.loads(Path("runs/mnist_convnet-photos-1/recipe.toml").read_text())
    assert recipe["model"]["options"] == {"in_channels": 1, "image_size": 20, "num_classes": 2}
    assert recipe["train"]["batch_size"] == 1 and recipe["train"]["optimizer"]["learning_rate"] == 0.001


def test_a_table_of_classes(gradus, wine: Path):
    code, _, error = gradus("train", "--data", wine, "--target", "cultivar", "--epochs", 15, "--seed", 1)
    assert code == 0, error
    run = "runs/mlp-wine-1"
    code, printed, _ = gradus("predict", run, wine, "--json")
    answers = [json.loads(line)["prediction"] for line in printed.splitlines()]
    truth = ["红白黄"[label] for label in load_wine().target]
    assert np.mean([answer == true for answer, true in zip(answers, truth, strict=True)]) > 0.95
    assert "红" in Path(run, "report.html").read_text(encoding="utf-8")
    row = dict(zip(load_wine().feature_names, map(float, load_wine().data[0]), strict=True))
    assert "红" in gradus("predict", run, json.dumps(row))[1]

    assert (
        gradus("train", "--data", wine, "--target", "cultivar", "--epochs", 2, "--model", "logistic_regression")[0] == 0
    )
    code, printed, _ = gradus("compare", run, "runs/logistic_regression-wine-1")
    assert "train.epochs" in printed and "accuracy" in printed and "train.seed" in printed


def test_a_table_of_numbers(gradus, in_empty_folder: Path):
    data = load_diabetes(scaled=False)
    write_csv(
        Path("diabetes.csv"),
        [*data.feature_names, "target"],
        [[*x, y] for x, y in zip(data.data, data.target, strict=True)],
    )
    code, _, error = gradus("train", "--data", "diabetes.csv", "--epochs", 15)
    assert code == 0, error
    evaluation = json.loads(Path("runs/mlp-diabetes-1/evaluation.json").read_text())
    assert evaluation["metrics"]["mae"] < 0.8 * evaluation["baselines"]["mean"]["mae"]
    assert evaluation["baselines"]["ridge regression"]["r2"] > 0.3
    answers = [
        float(line.split()[-1]) for line in gradus("predict", "runs/mlp-diabetes-1", "diabetes.csv")[1].splitlines()
    ]
    assert np.corrcoef(answers, data.target)[0, 1] > 0.6


def test_a_recipe_and_its_settings(gradus, in_empty_folder: Path):
    code, _, error = gradus(
        "train", "digits-lenet5", "--epochs", 1, "--set", "train.average=0.9", "--out", "here", "--tensorboard"
    )
    assert code == 0, error
    assert list(Path("here/tensorboard").iterdir())
    code, printed, _ = gradus("config", "here")
    settings = tomllib.loads(printed)
    assert settings["train"]["average"] == 0.9 and settings["train"]["epochs"] == 1
    Path("again.toml").write_text(printed)
    assert gradus("train", "again.toml", "--out", "there")[0] == 0
    first, second = (json.loads(Path(run, "evaluation.json").read_text())["metrics"] for run in ("here", "there"))
    assert first == second  # recipe.toml repeats the run
    assert gradus("resume", "here")[1].strip() == "here: this run is finished"


def test_reproduce_prints_a_row_and_goes_on_where_it_was(gradus, in_empty_folder: Path):
    Path("quick.toml").write_text(gradus("config", "digits-lenet5")[1].replace("epochs = 30", "epochs = 1"))
    code, printed, error = gradus("reproduce", "quick.toml", "--seeds", 2)
    assert code == 0, error
    assert "| digits-lenet5 | accuracy |" in printed and "(n=2)" in printed
    stamp = Path("runs/reproduce/digits-lenet5-seed-0/evaluation.json").stat().st_mtime_ns
    assert (
        gradus("reproduce", "quick.toml", "--seeds", 2)[1].splitlines()[-1].split("|")[:4]
        == printed.splitlines()[-1].split("|")[:4]
    )
    assert Path("runs/reproduce/digits-lenet5-seed-0/evaluation.json").stat().st_mtime_ns == stamp


@pytest.mark.parametrize("what", ["models", "data", "tasks", "recipes"])
def test_lists(gradus, what: str):
    code, printed, _ = gradus("list", what)
    expected = {"models": "lenet5", "data": "digits", "tasks": "tabular-regression", "recipes": "mnist-convnet"}
    assert code == 0 and expected[what] in printed


def test_data_show_and_scan(gradus, wine: Path):
    code, printed, error = gradus("data", "show", wine, "--target", "cultivar")
    assert code == 0 and "178 rows" in printed and "3 classes" in printed, error
    code, printed, error = gradus("data", "scan", "digits")
    assert code == 0 and "1,797" in printed, error


# Mistakes


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["trian"], "did you mean 'train'"),
        (["train"], "what should be learnt"),
        (["train", "--epoch", "3"], "did you mean '--epochs'"),
        (["train", "mnist-convent"], "did you mean 'mnist-convnet'"),
        (["train", "nothing.toml"], "there is no such file"),
        (["train", "--data", "digts"], "did you mean 'digits'"),
        (["train", "--data", "./missing"], "there is no such file or folder"),
        (["train", "digits-lenet5", "--model", "lenet"], "did you mean 'lenet5'"),
        (["train", "digits-lenet5", "--task", "image-clasification"], "did you mean 'image-classification'"),
        (["train", "digits-lenet5", "--optimizer", "adamm"], "did you mean 'adam"),
        (["train", "digits-lenet5", "--learning-rate", "-1"], "expected a number above 0, received -1"),
        (["train", "digits-lenet5", "--learning-rate", "fast"], "expected a number, received 'fast'"),
        (["train", "digits-lenet5", "--learning-rate", "nan"], "expected a number above 0"),
        (["train", "digits-lenet5", "--epochs", "0"], "epochs: expected a whole number above 0"),
        (["train", "digits-lenet5", "--epochs", "2.5"], "train.epochs: expected a whole number, received 2.5"),
        (["train", "digits-lenet5", "--batch-size", "5000"], "more than the 1294 training rows"),
        (["train", "digits-lenet5", "--device", "gpu"], "expected one of auto, cpu, cuda"),
        (["train", "digits-lenet5", "--set", "train.optimiser.momentum=0.9"], "did you mean 'optimizer'"),
        (["train", "digits-lenet5", "--set", "train.epochs"], "expected part.field=value"),
        (["train", "digits-lenet5", "--set", "train.optimizer.momentum=0.9"], "adamw has none"),
        (["train", "digits-lenet5", "--set", "model.options.hiden=[3]"], "no option 'hiden'"),
        (["train", "digits-lenet5", "--set", "task.options.label_smothing=0.1"], "did you mean 'label_smoothing'"),
        (["train", "digits-lenet5", "--set", "train.monitor=acuracy"], "did you mean 'accuracy'"),
        (["train", "digits-lenet5", "--set", "task.options.image_size=50"], "takes pictures of 28x28 or 32x32"),
        (["train", "digits-lenet5", "--validation", "0", "--set", "train.patience=3"], "needs validation rows"),
        (["train", "digits-lenet5", "--task", "tabular-regression"], "use --task image-classification"),
        (["resume", "runs/none"], "there is no such run"),
        (["eval", "runs/none"], "there is no such run"),
        (["predict", "runs/none", "a.png"], "there is no such run"),
        (["reproduce", "mnist-mlp", "--seeds", "many"], "expected a whole number above 0, received 'many'"),
        (["list", "modles"], "invalid choice"),
    ],
)
def test_mistakes_in_what_is_asked_for(mistake, arguments: list[str], told: str):
    assert told in mistake(*arguments)


def test_no_gpu(mistake):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    assert "no GPU" in mistake("train", "digits-lenet5", "--device", "cuda")


def test_mistakes_in_folders(mistake):
    Path("empty").mkdir()
    assert "empty" in mistake("train", "--data", "empty")
    write_pictures(Path("one"), {1: "only"}, 30)
    assert "one class only ('only')" in mistake("train", "--data", "one")
    write_pictures(Path("broken"), {1: "a", 2: "b"}, 8)
    (Path("broken") / "a" / "a3.png").write_bytes(b"\x89PNG\r\n\x1a\nnot really")
    told = mistake("train", "--data", "broken")
    assert "a3.png" in told and "data scan" in told
    cut = Path("broken/a/a3.png")
    cut.write_bytes((Path("broken") / "a" / "a4.png").read_bytes()[:90])
    assert "a3.png" in mistake("train", "--data", "broken")


@pytest.mark.parametrize(
    ("content", "more", "told"),
    [
        ("a,b,y\n1,2,x\n1,2\n", ["--target", "y"], "row 3"),
        ("a,b,y\n", ["--target", "y"], "no rows"),
        ("a,b,y\n1,2,x\n2,3,z\n", ["--target", "yy"], "did you mean 'y'"),
        ("a,b,c\n1,2,3\n2,3,4\n", [], "--target"),
        ("a,b,y\n" + "1,2,x\n2,3,z\n" * 9, ["--target", "y", "--task", "tabular-regression"], "a column of numbers"),
        ("a,y\n" + "1,2\n" * 30, ["--target", "y", "--task", "tabular-regression"], "y"),
        ("a,y\n" + "".join(f"7,{n}.5\n" for n in range(30)), ["--target", "y"], "no usable input column"),
    ],
)
def test_mistakes_in_tables(mistake, content: str, more: list[str], told: str):
    Path("data.csv").write_text(content)
    assert told in mistake("train", "--data", "data.csv", *more)


def test_gbk_is_read_and_said(gradus, in_empty_folder: Path):
    rows = [[n % 7, n % 5, "好" if n % 7 > 3 else "坏"] for n in range(60)]
    write_csv(Path("质量.csv"), ["长度", "宽度", "质量"], rows, encoding="gbk")
    code, told, error = gradus("train", "--data", "质量.csv", "--target", "质量", "--epochs", 1)
    assert code == 0, error
    assert "GB18030" in told


def test_mistakes_with_runs(gradus, mistake, wine: Path):
    assert gradus("train", "--data", wine, "--target", "cultivar", "--epochs", 1, "--out", "runs/w")[0] == 0
    write_pictures(Path("p"), {1: "a"}, 1)
    assert "takes tables" in mistake("predict", "runs/w", "p/a/a0.png")
    assert "no such file" in mistake("predict", "runs/w", "nowhere.csv")
    Path("other.csv").write_text("alcohol,ash\n1,2\n")
    assert "malic_acid" in mistake("predict", "runs/w", "other.csv")
    assert "no split 'tset'" in mistake("eval", "runs/w", "--split", "tset")
    assert "not empty" in mistake("train", "digits-lenet5", "--out", "runs/w")
    assert "a file" in mistake("train", "digits-lenet5", "--out", "wine.csv")
    assert "did you mean 'runs/w'" in mistake("report", "runs/ww")
    recipe = Path("runs/w/recipe.toml")
    whole = recipe.read_text()
    recipe.write_text(whole.replace("format = 1", "format = 99"))
    assert "newer version" in mistake("eval", "runs/w")
    recipe.write_text(whole[:40])
    assert "damaged" in mistake("eval", "runs/w")
    recipe.unlink()
    assert "not a whole run" in mistake("eval", "runs/w")
    recipe.write_text(whole)
    weights = Path("runs/w/checkpoints/best/model.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1])
    assert "damaged" in mistake("eval", "runs/w")


def test_a_picture_run_wants_pictures(gradus, mistake, in_empty_folder: Path):
    assert gradus("train", "digits-lenet5", "--epochs", 1, "--out", "runs/d")[0] == 0
    Path("table.csv").write_text("a\n1\n")
    assert "takes pictures" in mistake("predict", "runs/d", "table.csv")
    Path("fake.png").write_text("no picture")
    assert "fake.png" in mistake("predict", "runs/d", "fake.png")
    Image.new("RGBA", (300, 200), "red").save("big.png")  # another size and mode is no mistake
    assert gradus("predict", "runs/d", "big.png")[0] == 0


def test_changed_data_are_not_resumed(gradus, mistake, wine: Path):
    assert gradus("train", "--data", wine, "--target", "cultivar", "--epochs", 1, "--out", "runs/w")[0] == 0
    Path("runs/w/evaluation.json").unlink()  # as if it had been killed before the end
    lines = wine.read_text(encoding="utf-8").splitlines()
    wine.write_text("\n".join(lines[:-20]) + "\n", encoding="utf-8")
    assert "not those that the run began with" in mistake("resume", "runs/w")


def test_a_full_disk_is_told(gradus, mistake, monkeypatch, wine: Path):
    import errno

    from gradus.train import checkpoint

    def full(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint, "write_synced", full)
        code, _, error = gradus("train", "--data", wine, "--target", "cultivar", "--epochs", 1, "--out", "full")
    assert code == 2 and "disk is full" in error and "bytes needed" in error
    assert not list(Path("full/checkpoints").glob("*")) and not list(Path("full/checkpoints").glob(".*"))
    code, _, error = gradus("resume", "full")
    assert code == 0, error  # there is room again


# Searching, the range test, ensembles


def test_search_from_the_command_line(gradus, in_empty_folder: Path):
    flags = ["--data", "iris", "--epochs", 2, "--vary", "learning_rate=log:1e-3..1", "--vary", "hidden=[[4],[8]]"]
    code, told, error = gradus("search", *flags, "--trials", 4, "--at-once", 2)
    assert code == 0, error
    assert "trials 0 to 1" in told and "validation accuracy" in told and "4 trials" in told
    assert "12 validation rows" in told and "best.toml" in told
    folder = Path("runs/search-mlp-iris-1")
    lines = (folder / "trials.jsonl").read_text().splitlines()
    assert len(lines) == 4 and (folder / "search.png").exists()
    code, told, _ = gradus("search", "--resume", folder)
    assert code == 0 and "4 trials are finished already" in told
    assert (folder / "trials.jsonl").read_text().splitlines() == lines
    code, told, _ = gradus("train", folder / "best.toml")
    assert code == 0 and "test accuracy" in told
    code, told, error = gradus(
        "search", *flags[:4], "--vary", "learning_rate=1e25..1e30", "--optimizer", "sgd", "--trials", 1
    )
    assert code == 1 and "no trial came to a result" in error and "1 diverged" in told


def test_the_range_test_from_the_command_line(gradus, in_empty_folder: Path):
    code, told, error = gradus("lr", "--data", "iris", "--steps", 60, "--seeds", 2, "--out", "rates")
    assert code == 0, error
    assert "suggestion" in told and "lowest loss" in told and str(Path("rates/lr.png")) in told
    assert json.loads(Path("rates/lr.json").read_text())["seeds"] == 2
    code, told, _ = gradus("lr", "--data", "iris", "--steps", 20, "--highest", "1e-6")
    assert code == 0 and "no suggestion" in told


def test_ensembles_from_the_command_line(gradus, mistake, wine: Path):
    for seed in (1, 2):
        assert (
            gradus("train", "--data", wine, "--target", "cultivar", "--epochs", 3, "--seed", seed, "--out", f"r{seed}")[
                0
            ]
            == 0
        )
    code, told, error = gradus("ensemble", "r1", "r2", "--weights", "fitted", "--out", "both")
    assert code == 0, error
    assert "all, equal weights" in told and "share of different answers" in told and "r2" in told
    code, told, _ = gradus("predict", "both", wine, "--json")
    answers = [json.loads(line)["prediction"] for line in told.splitlines()]
    assert code == 0 and len(answers) == 178 and set(answers) == set("红白黄")
    code, told, _ = gradus("eval", "both", "--json")
    kept = json.loads(Path("both/ensemble.json").read_text())
    assert json.loads(told)["accuracy"] == kept["metrics"]["accuracy"]
    code, told, _ = gradus("ensemble", "r1", "r2", "--json", "--weights", "0.75,0.25", "--split", "validation")
    assert code == 0 and [row["weight"] for row in json.loads(told)["rows"][:2]] == [0.75, 0.25]
    for arguments, sentence in (
        (["r1"], "at least two"),
        (["r1", "r3"], "no such run"),
        (["r1", "r2", "--weights", "equl"], "did you mean 'equal'"),
        (["r1", "r2", "--weights", "1,x"], "expected a number, received 'x'"),
        (["r1", "r2", "--split", "tset"], "no split 'tset'"),
        (["r1", "r2", "--out", "r1"], "not empty"),
    ):
        assert sentence in mistake("ensemble", *arguments)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["search", "digits-lenet5"], "what should be varied?"),
        (["search", "--vary", "learning_rate=0.1..1"], "what should be learnt?"),
        (["search", "digits-lenet5", "--vary", "learning-rat=0.1..1"], "did you mean 'learning_rate'"),
        (["search", "digits-lenet5", "--vary", "hidden=[[3]]"], "no option 'hidden'"),
        (["search", "digits-lenet5", "--vary", "seed=int:0..3", "--method", "gird"], "did you mean 'grid'"),
        (["search", "digits-lenet5", "--vary", "seed=int:0..3", "--trials", "few"], "expected a whole number"),
        (["search", "digits-lenet5", "--vary", "seed=int:0..3", "--trials", "0"], "1 or more"),
        (["search", "digits-lenet5", "--vary", "seed=int:0..3", "--folds", "1"], "2 or more"),
        (["search", "digits-lenet5", "--vary", "seed=int:0..3", "--validation", "0"], "add --validation 0.1"),
        (["search", "digits-lenet5", "--vry", "seed=int:0..3"], "did you mean '--vary'"),
        (["search", "--resume", "nowhere"], "no search here"),
        (["search", "digits-lenet5", "--resume", "nowhere"], "leave out"),
        (["lr", "digits-lenet5", "--lowest", "0"], "above 0"),
        (["lr", "digits-lenet5", "--steps", "3"], "10 or more"),
        (["lr", "digits-lenet5", "--highest", "much"], "expected a number"),
        (["lr"], "what should be learnt?"),
    ],
)
def test_mistakes_in_searches(mistake, arguments: list[str], told: str):
    assert told in mistake(*arguments)


def test_commands_that_are_named_work_in_a_folder_with_a_space(gradus, in_empty_folder):
    assert gradus("train", "--data", "iris", "--epochs", 1, "--out", "two words")[0] == 0
    code, _, error = gradus("train", "--data", "iris", "--epochs", 1, "--out", "two words")
    assert code == 2 and "gradus resume 'two words'" in error


def test_unknown_names_are_told_before_data_are_looked_for(mistake):
    assert "did you mean 'conv_vae' or 'dense_vae'?" in mistake("train", "--data", "no-such-data", "--model", "vae")
    assert "unknown task 'segmenting'" in mistake("train", "--data", "no-such-data", "--task", "segmenting")
