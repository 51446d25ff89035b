"""The one trainer, for a fleet: records, best weights, early stop and failure are kept for each member."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gradus.errors import UserError
from gradus.train import checkpoint
from gradus.train.checkpoint import Checkpoint
from gradus.train.devices import Plan
from gradus.train.fleet import FleetLearner, FleetSource, Member
from gradus.train.folder import RunFolder
from gradus.train.learner import MEANS
from gradus.train.trainer import Observer, Record, Trainer


@dataclass
class Progress:
    """What is kept for one member: its records, its best epoch and weights, and why it ended."""

    history: list[Record] = field(default_factory=list)
    best: Record | None = None
    best_state: dict[str, Tensor] = field(default_factory=dict)
    error: str = ""
    stopped: bool = False  # by `watch`
    finished: bool = False


class FleetTrainer(Trainer):
    """The one loop, with records, best weights, early stop and failure for each member.

    watch: told (member, record) after each epoch; a member for which it answers True is stopped
    """

    learner: FleetLearner  # type: ignore[assignment]
    source: FleetSource  # type: ignore[assignment]

    def __init__(
        self,
        members: Sequence[Member],
        plan: Plan,
        *,
        monitor: tuple[str, str],
        watch: Callable[[int, Record], bool] | None = None,
        folder: RunFolder | None = None,
        observers: tuple[Observer, ...] = (),
    ) -> None:
        settings = members[0].settings
        has_dropout = any(isinstance(module, nn.Dropout) for module in members[0].model.modules())
        source = FleetSource(members, random=has_dropout)
        learner = FleetLearner(members, plan, settings.epochs * source.steps)
        super().__init__(
            learner,  # type: ignore[arg-type]
            source,  # type: ignore[arg-type]
            settings,
            monitor=monitor,
            folder=folder,
            observers=observers,
        )
        self.validations = [member.validation for member in members]
        self.watch = watch
        self.progress = [Progress() for _ in members]
        self.active = list(range(len(members)))  # members that the learner still holds, in its order

    def _stop_non_finite(self, where: str, step: int) -> Any:
        """A member whose numbers explode ends alone: `_finish_epoch` sees to that."""

    def _read_pending(self) -> None:
        if self._pending:
            first = self.step - len(self._pending)
            losses = torch.stack([found["loss"] for found, _ in self._pending]).cpu().numpy()
            sizes = np.stack([rows for _, rows in self._pending])
            bad = ~np.isfinite(losses) & (sizes > 0)
            for place in np.flatnonzero(bad.any(axis=0)):
                member = self.progress[self.active[place]]
                step = first + int(bad[:, place].argmax())
                at = f"at epoch {self.epoch + 1}, step {step + 1} of {self.source.steps}"
                member.error = member.error or f"not a finite number in the loss, {at}"
        super()._read_pending()

    def _stop_at_step(self, step: int) -> Any:
        """See `_read_pending`."""

    def _finish_epoch(self) -> None:
        every = self.learner.summaries(self._totals, self._counted)
        judged = self.learner.evaluate_members([self.validations[index] for index in self.active])
        rate_factor = self.learner.factor
        for place, index in enumerate(self.active):
            member = self.progress[index]
            if member.finished:
                continue
            record: Record = {
                "epoch": self.epoch + 1,
                "step": (self.epoch + 1) * self.source.orders[place].steps,
                "samples": int((self.epoch + 1) * self.source.orders[place].rows),
                "train_seconds": round(self.train_seconds / len(self.progress), 4),
                "learning_rate": self.learner.rates[place] * rate_factor,
            }
            record |= {f"train_{name}": value for name, value in every[place].items()}
            totals, rows = judged[place]
            means = {name: float(totals[name] / rows) for name in MEANS if name in totals}
            found = means | self.learner.tasks[place].metrics(totals, rows)
            record |= {f"validation_{name}": value for name, value in found.items()}
            self._conclude(index, record)
        self.epoch, self.step, self._totals, self._counted = self.epoch + 1, 0, {}, 0
        going_on = [place for place, index in enumerate(self.active) if not self.progress[index].finished]
        self.finished = self.epoch >= self.settings.epochs or not going_on
        summary = self._summary()
        self.history.append(summary)
        self._tell({"event": "epoch", **summary, "best": False})
        if not self.finished and len(going_on) <= 0.7 * len(self.active):
            self._go_on_with(going_on)
        if self.finished or time.perf_counter() - self._last_save >= self.settings.checkpoint_seconds:
            self.save()
        if self._signal is not None and not self.finished:
            self._stop_interrupted()

    def _conclude(self, index: int, record: Record) -> None:
        """Takes the record of a member's epoch: failed, better than before, out of patience, stopped from outside."""
        member = self.progress[index]
        bad = [name for name, value in record.items() if isinstance(value, float) and not math.isfinite(value)]
        if bad and not member.error:
            member.error = f"not a finite number in {bad[0]} after epoch {record['epoch']}"
        if member.error:
            member.finished = True
            return
        member.history.append(record)
        metric, direction = self.monitor
        value, loss = record[f"validation_{metric}"], record["validation_loss"]
        sign = 1 if direction == "max" else -1
        if member.best is None or (sign * value, -loss) > (sign * member.best["value"], -member.best["loss"]):
            member.best = {"epoch": record["epoch"], "value": value, "loss": loss}
            member.best_state = self.learner.member_state(self.active.index(index))
        patience = self.settings.patience
        member.finished = record["epoch"] >= self.settings.epochs or (
            patience is not None and record["epoch"] - member.best["epoch"] >= patience
        )
        if self.watch is not None and not member.finished and self.watch(index, record):
            member.stopped = member.finished = True

    def _summary(self) -> Record:
        """The epoch in one record: the mean of each number over the members that are still learning."""
        last = [m.history[-1] for m in self.progress if m.history and m.history[-1]["epoch"] == self.epoch]
        summary: Record = {"epoch": self.epoch, "train_seconds": round(self.train_seconds, 4), "members": len(last)}
        for name in last[0] if last else {}:
            if name.startswith(("train_", "validation_")) and name != "train_seconds":
                summary[name] = float(np.mean([record[name] for record in last]))
        return summary

    def _go_on_with(self, places: list[int]) -> None:
        self.active = [self.active[place] for place in places]
        self.learner.keep(places)
        self.source.keep(places)

    # Saving and going on

    def save(self) -> None:
        """One checkpoint for the whole fleet: its position, and for each member records, best weights and why it ended."""
        if self.folder is None:
            return
        self._read_pending()
        model = dict(self.learner.predicting_state())
        state = self._state() | {"active": self.active, "counted": np.asarray(self._counted).tolist(), "members": []}
        for index, member in enumerate(self.progress):
            columns = list(member.history[0]) if member.history else []
            table = [[float(record[name]) for name in columns] for record in member.history]
            model[f"history.{index}"] = torch.tensor(table, dtype=torch.float64).view(len(table), len(columns))
            model |= {f"best.{index}.{name}": tensor for name, tensor in member.best_state.items()}
            kept = {"best": member.best, "error": member.error, "stopped": member.stopped, "finished": member.finished}
            state["members"].append({**kept, "columns": columns})
        last = Checkpoint(model, self.learner.training_state(), state)
        checkpoint.save(self.folder.checkpoints, "last", last)
        self._last_save, self._saved_at = time.perf_counter(), (self.epoch, self.step)

    def restore(self) -> None:
        assert self.folder is not None
        last = checkpoint.load(self.folder.checkpoints, "last")
        state, model = last.state, last.model
        if len(state["members"]) != len(self.progress):
            raise UserError(f"{self.folder.path}: holds {len(state['members'])} members, expected {len(self.progress)}")
        if state["active"] != self.active:
            self._go_on_with([self.active.index(index) for index in state["active"]])
        self.epoch, self.step, self.finished = state["epoch"], state["step"], state["finished"]
        self.train_seconds = state["train_seconds"]
        self.samples = state["samples"]
        self._totals = {name: np.asarray(total, dtype=np.float64) for name, total in state["totals"].items()}
        self._counted = np.asarray(state["counted"]) if self._totals else 0  # type: ignore[assignment]
        for index, (member, kept) in enumerate(zip(self.progress, state["members"], strict=True)):
            member.best, member.error = kept["best"], kept["error"]
            member.stopped, member.finished = kept["stopped"], kept["finished"]
            whole = {"epoch", "step", "samples"}
            member.history = [
                {n: int(v) if n in whole else v for n, v in zip(kept["columns"], row, strict=True)}
                for row in model[f"history.{index}"].tolist()
            ]
            prefix = f"best.{index}."
            member.best_state = {n.removeprefix(prefix): t for n, t in model.items() if n.startswith(prefix)}
        self.learner.restore(model, last.optimizer or {}, self.epoch * self.source.steps + self.step)
