"""The watch over a training: vital signs at a few steps, told when something goes wrong, and kept in the run's vitals.jsonl.

At every step nothing is done but reading a clock around the batch; losses are judged when the trainer reads them anyway. Probes
(`vitals.py`) are made at the steps 1, 10 and 100, then ever more rarely, and at the last one: together they cost about a
hundredth of the time or less. Whether a step is probed depends on its number alone. The training keeps every bit.

vitals.jsonl holds one object a line, each with "what", "epoch" (from 1) and "step" (of that epoch, from 1):
probe (what `vitals.py` measures, with the learning rate, and `update`, the number of the step in the run),
epoch (share of the time spent waiting for batches; medians of the losses), spike, stopped (where a value was not finite),
told (kind, where, text). Not watched: learners that act, games of several players, fleets; of networks that are shared out over
several processes only the losses are.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from gradus.files import append_line, write_atomic
from gradus.tasks.control import ControlTask
from gradus.train.capture import Stepper
from gradus.train.carried import Carried
from gradus.train.learner import Supervised
from gradus.train.losses import Losses
from gradus.train.settings import TrainSettings
from gradus.train.signs import Evidence
from gradus.train.signs_of_epochs import read_signs
from gradus.train.source import Resident
from gradus.train.vitals import Before, chance_loss, frozen_sample, idle_from_the_start, look, moved
from gradus.train.world import World

FILE = "vitals.jsonl"
EARLY = (1, 10, 100)  # steps of the run that are probed
PAUSE = 500  # least steps between later probes
SHARE = 10  # and at most one for every tenth of the steps so far

BEYOND = 1e30  # stands for whatever is larger, or no number

Record = dict[str, Any]


def is_probed(update: int, last: int) -> bool:
    """Whether a step of the run (from 1) is probed; `last` is the number of the last one."""
    number = EARLY[-1]
    while number < update:
        number += max(PAUSE, number // SHARE)
    return update in EARLY or update in (number, last)


class Watch:
    """learner, stepper: what is watched
    probes: whether its weights and units are looked at
    tell:   is told of what goes wrong, one line each, once
    path:   the run's folder, or None to keep nothing
    """

    def __init__(
        self,
        learner: Supervised,
        stepper: Stepper,
        epochs: int,
        probes: bool,
        tell: Callable[[str], None],
        path: Path | None,
    ) -> None:
        self.learner, self.stepper, self.probes, self.tell, self.path = learner, stepper, probes, tell, path
        self.steps, self.updates = stepper.source.steps, epochs * stepper.source.steps
        self.records: list[Record] = []
        self.history: list[Record] = []
        self.told: set[tuple[str, str]] = set()
        self.chance = chance_loss(learner, stepper.source)
        self.judge = Losses(self.chance)
        self.epoch = 0
        self.frozen: dict[str, Tensor] = {}
        self._began: tuple[float, float] | None = None  # clock and waiting, from the second step of the epoch on

    def begin(self, epoch: int, stepper: Stepper) -> None:
        """Called where an epoch begins or goes on."""
        self.epoch, self.stepper = epoch, stepper
        self.frozen = frozen_sample(self.learner) if self.probes else {}
        self._began = None
        if not self.records:
            start = {"chance": self.chance, "idle": idle_from_the_start(self.learner)}
            start |= {"streamed": not isinstance(self.stepper.source, Resident)}
            start |= {"batch_size": self.stepper.source.batch_size}
            self._keep({"what": "start", "step": 0, **start})
            self._judge()

    def step(self, epoch: int, step: int) -> dict[str, Tensor]:
        """Makes a step, and looks at it where it is one to look at."""
        if self._began is None and step:  # the first batch of an epoch is not ahead of the training
            self._began = time.perf_counter(), self.stepper.waited
        update = epoch * self.steps + step + 1
        if not self.probes or not is_probed(update, self.updates):
            return self.stepper.step(epoch, step)
        learner, batch = self.learner, self.stepper.fetch(epoch, step)
        before = Before(learner.model)
        statistics = not isinstance(learner, Carried)
        if update == 1:  # of more rows than a small batch has, normalised as in training
            seen = look(learner, self.stepper.source, batch, statistics)
            began = float(seen["loss_batch_statistics" if "loss_batch_statistics" in seen else "loss_evaluation"])
            if np.isfinite(began):
                self.judge.begin(began)
        found = self.stepper.step(epoch, step, batch)
        record: Record = {
            "what": "probe",
            "step": step + 1,
            "update": update,
            "rate": learner.optimizer.param_groups[0]["lr"],
        }
        record |= {"rate": float(record["rate"]), "loss": float(found["loss"])}
        record["layers"] = before.changes(learner.model, gradients=not self.stepper.captured)
        if np.isfinite(record["loss"]):
            record |= look(learner, self.stepper.source, batch, statistics)
        record["moved"] = moved(learner, self.frozen)
        self._keep(record)
        self._judge()
        return found

    def losses(self, first: int, values: np.ndarray) -> None:
        """The losses of the steps from `first` (from 0) of the epoch on, as they are read from the device."""
        for happened in self.judge.add(first, values.tolist()):
            self._keep(happened)
            self._judge()

    def end_epoch(self, record: Record) -> None:
        """What an epoch came to: the line of metrics.jsonl."""
        line: Record = {"what": "epoch", "step": self.steps + 1, "losses": self.judge.end_epoch()}
        if self._began is not None:
            began, waited = self._began
            line["seconds"] = round(time.perf_counter() - began, 4)
            line["waited"] = round(self.stepper.waited - waited, 4)
        self.history.append(record)
        self._keep(line)
        self._judge()

    def stopped(self, where: str, step: int) -> None:
        """A value was not finite, and the training stops."""
        self._keep({"what": "stopped", "step": step + 1, "where": where})

    def _judge(self) -> None:
        for sign in read_signs(Evidence(self.records, self.history, self.learner.base_rates[0])):
            if (sign.kind, sign.where) not in self.told:
                self.told.add((sign.kind, sign.where))
                self.tell(sign.line())
                self._keep({"what": "told", "step": 0, "kind": sign.kind, "where": sign.where, "text": sign.told})

    def _keep(self, record: Record) -> None:
        record = rounded({"what": record["what"], "epoch": self.epoch + 1, **record})
        self.records.append(record)
        if self.path is not None:
            append_line(self.path / FILE, json.dumps(record))

    def restore(self, epoch: int, step: int, history: list[Record]) -> None:
        """Goes on from a position (-1: from before the first step): what came after it is dropped, as it will come again."""
        self.epoch, self.history = epoch, list(history)
        if self.path is None:
            return
        place = (epoch + 1, step)
        self.records = [one for one in read_vitals(self.path) if (one["epoch"], one["step"]) <= place]
        self.told = {(one["kind"], one["where"]) for one in self.records if one["what"] == "told"}
        write_atomic(self.path / FILE, "".join(json.dumps(record) + "\n" for record in self.records))


def rounded(value: Any) -> Any:
    """Numbers to five digits; one that is not finite as `BEYOND`: JSON has no infinity."""
    if isinstance(value, float):
        return float(f"{value:.5g}") if abs(value) < BEYOND else BEYOND
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    return [rounded(one) for one in value] if isinstance(value, list) else value


def read_vitals(path: Path) -> list[Record]:
    """The records of vitals.jsonl in a run's folder, up to the first line that is not one; none where there is no such file."""
    records: list[Record] = []
    if not (path / FILE).exists():
        return records
    for line in (path / FILE).read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            record = json.loads(line)
            if not {"what", "epoch", "step"} <= record.keys():
                break
        except (ValueError, AttributeError):
            break
        records.append(record)
    return records


def create_watch(
    learner: Any,
    stepper: Stepper,
    settings: TrainSettings,
    world: World,
    tell: Callable[[str], None],
    path: Path | None,
) -> Watch | None:
    """The watch over a training; None where it is switched off, in all processes but the main one, and for learners whose losses
    tell nothing by themselves: games, and what acts."""
    if not settings.watch or not world.is_main or not isinstance(learner, Supervised) or hasattr(learner, "players"):
        return None
    if isinstance(learner.task, ControlTask):
        return None
    return Watch(learner, stepper, settings.epochs, probes=world.size == 1, tell=tell, path=path)
