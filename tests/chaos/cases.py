"""What is trained under attack, and what must come out of it whatever happened on the way."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from pathlib import Path

from children import Children

SAVE_OFTEN = ("--set", "train.checkpoint_seconds=0")  # after every epoch, so that attacks fall into saves too


@dataclass(frozen=True)
class Case:
    """A recipe and its flags. `table`: rows of a generated table with missing cells, in place of a data set's name.

    needs: a setting without which the case is skipped, as TOML path
    """

    name: str
    flags: tuple[str, ...]
    table: int = 0
    needs: str = ""
    in_short_set: bool = False

    def arguments(self, folder: Path) -> list[str]:
        data = ("--data", str(made_table(folder / "table.csv", self.table)), "--target", "kind") if self.table else ()
        return ["train", *self.flags, *data, "--device", "cpu", *SAVE_OFTEN]


def _diabetes(*flags: str) -> tuple[str, ...]:
    return ("--data", "diabetes", "--batch-size", "16", "--epochs", "4", *flags)


def _set(*assignments: str) -> tuple[str, ...]:
    return tuple(part for assignment in assignments for part in ("--set", assignment))


_STREAMED = _set("data.stream=always", "data.workers=4")

CASES = [
    Case("plain", _diabetes("--optimizer", "sgd", "--learning-rate", "0.01")),
    Case(
        "momentum",
        _diabetes("--optimizer", "sgd", "--learning-rate", "0.01")
        + _set("train.optimizer.momentum=0.9", "train.schedule.name=cosine"),
    ),
    Case("adamw", _diabetes("--optimizer", "adamw") + _set("train.regularization.clip_norm=1")),
    Case("average", _diabetes("--optimizer", "rmsprop") + _set("train.average=0.99")),
    Case("dropout", _diabetes() + _set("model.name=mlp", "model.options.dropout=0.3"), in_short_set=True),
    Case("accumulate", _diabetes() + _set("train.accumulate=2", "train.regularization.l2=0.001")),
    Case(
        "plateau",
        _diabetes("--learning-rate", "0.02") + _set("train.schedule.name=plateau", "train.schedule.patience=1"),
    ),
    Case("patience", _diabetes("--learning-rate", "0.05", "--epochs", "30") + _set("train.patience=2")),
    Case("table", ("--epochs", "4", "--batch-size", "32"), table=600),
    Case("pictures", ("digits-lenet5", "--epochs", "2", "--batch-size", "64")),
    Case(
        "pictures-dropout",
        (
            *("--data", "digits", "--epochs", "3", "--batch-size", "64"),
            *_set("train.average=0.99", "model.name=mlp", "model.options.dropout=0.3"),
        ),
    ),
    Case(
        "pictures-workers",
        ("digits-lenet5", "--epochs", "2", "--batch-size", "64", *_STREAMED),
        needs="data.workers",
        in_short_set=True,
    ),
]


def has_setting(path: str) -> bool:
    from gradus.recipes.recipe import Recipe
    from gradus.settings import field_types

    kind = Recipe
    for name in path.split("."):
        if name not in field_types(kind):
            return False
        kind = field_types(kind)[name]
    return True


def made_table(path: Path, rows: int) -> Path:
    """A CSV file of two numbers, a category and a class, some cells empty; the same bytes each time."""
    if not path.exists():
        chance = random.Random(0)
        lines = ["height,colour,width,kind"]
        for _ in range(rows):
            kind = chance.choice("abc")
            height = f"{ord(kind) - 97 + chance.gauss(0, 0.7):.3f}" if chance.random() > 0.05 else ""
            lines.append(f"{height},{chance.choice(('red', 'green', ''))},{chance.gauss(0, 1):.3f},{kind}")
        path.write_text("\n".join(lines) + "\n")
    return path


def results(run: Path) -> dict:
    """All that must not depend on how often a run was stopped, which is everything but times: weights, optimiser, metrics,
    the position and the best of the checkpoint, the evaluation."""
    found: dict = {}
    for name in ("last/model", "last/optimizer", "best/model"):
        path = run / "checkpoints" / f"{name}.safetensors"
        found[name] = path.read_bytes() if path.exists() else None
    for name in ("last", "best"):
        path = run / "checkpoints" / name / "state.json"
        found[f"{name} state"] = _timeless(json.loads(path.read_text())["state"]) if path.exists() else None
    found["metrics"] = [_timeless(json.loads(line)) for line in (run / "metrics.jsonl").read_text().splitlines()]
    evaluation = json.loads((run / "evaluation.json").read_text())
    found["evaluation"] = {key: value for key, value in evaluation.items() if key != "timing"}
    assert "</html>" in (run / "report.html").read_text()[-20:]
    return found


def _timeless(record: dict) -> dict:
    return {key: value for key, value in record.items() if key != "train_seconds"}


def left_over(run: Path) -> list[str]:
    """Temporaries, which no finished run may hold."""
    return sorted(str(path.relative_to(run)) for path in run.rglob(".*"))


def order_of(trace: Path) -> dict[int, str]:
    """Number of the update -> digest of its batch, having checked that an update that was made twice had the same batch."""
    found: dict[int, str] = {}
    for line in trace.read_text().splitlines():
        update, digest = line.split()
        assert found.setdefault(int(update), digest) == digest, f"update {update} saw another batch when it came again"
    return found


@dataclass
class Whole:
    """A run that nothing happened to: its arguments, its results, its order of samples, how often each moment comes."""

    arguments: list[str]
    results: dict
    order: dict[int, str]
    calls: dict[str, int] = field(default_factory=dict)


def untouched(case: Case, children: Children, folder: Path) -> Whole:
    arguments = case.arguments(folder)
    run, trace, count = folder / "run", folder / "trace", folder / "count"
    ended = children.run(*arguments, "--out", run, moments=[{"count": str(count)}, {"trace": str(trace)}])
    assert ended.code == 0, str(ended)
    assert not left_over(run)
    return Whole(arguments, results(run), order_of(trace), json.loads(count.read_text()))
