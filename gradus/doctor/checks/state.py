"""Whether a run can be judged at all: whether it has ended, and whether its data are still those that it learnt from."""

from __future__ import annotations

import shlex

from gradus.doctor.case import Case, NotHere
from gradus.doctor.finding import Finding
from gradus.doctor.remedies import free_folder
from gradus.look.text import count
from gradus.recipes.experiment import fingerprint
from gradus.train.folder import RunFolder
from gradus.train.watch import read_vitals


def find_unfinished(case: Case) -> list[Finding]:
    """A training that was interrupted. One that stopped at a value that is not finite is told by the watch."""
    run = case.trained
    if run.evaluation or any(one["what"] == "stopped" for one in read_vitals(run.path)):
        return []
    made, wanted = len(run.history), case.recipe.train.epochs
    return [
        Finding(
            kind="unfinished",
            told=f"this training has not ended: {count(made)} of {count(wanted)} epochs are made",
            where=str(run.path),
            value=float(made),
            usual="all of them, or a stop by train.patience",
            strength=1.0,
            command=f"gradus resume {shlex.quote(str(run.path))}",
        )
    ]


def find_changed_data(case: Case) -> list[Finding]:
    """Data that are not those of the training: rows that were learnt from may now be rows that judge."""
    run = case.trained
    folder = RunFolder(run.path)
    began = folder.read_json("task.json") if (run.path / "task.json").exists() else {}
    if "fingerprint" not in began or "rows" not in began:
        raise NotHere("this run did not write down what its data were")
    now = {name: len(rows) for name, rows in case.dataset.splits.items()}
    changed = [name for name in now if began["rows"].get(name) != now[name]]
    if not changed and fingerprint(case.tensors["train"]) == began["fingerprint"]:
        return []
    said = "; ".join(f"{count(now[name])} {name} rows, then {count(began['rows'].get(name, 0))}" for name in changed)
    again = free_folder(run.path.with_name(f"{run.path.name}-again"))
    return [
        Finding(
            kind="changed-data",
            told=f"the data are not those that this run learnt from: {said or 'the training rows hold other values'}",
            where=case.dataset.source,
            usual="the same rows",
            strength=1.0,
            command=shlex.join(["gradus", "train", str(run.path / "recipe.toml"), "--out", str(again)]),
        )
    ]
