"""The one loop, for all learners: epochs, steps, the schedule, evaluation, checkpoints, observers.

It is the loop one would write by hand, plus: what was learnt is kept on the device and read ten times a second at most; all
randomness follows from (seed, epoch, step); and it can be stopped anywhere and go on as if it had not been.

Positions: `epoch` epochs are complete and `step` steps of the next one are made. `step == source.steps` means that an epoch is
trained but not yet evaluated.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor

from gradus.errors import UserError
from gradus.train import checkpoint
from gradus.train.capture import Stepper
from gradus.train.checkpoint import Checkpoint
from gradus.train.folder import RunFolder
from gradus.train.learner import FLAG, MEANS, Learner, NonFiniteError, OutOfMemory
from gradus.train.randomness import seed_step
from gradus.train.schedules import Plateau, factor_at
from gradus.train.settings import TrainSettings
from gradus.train.source import Batch, InOrder, Source, in_order

LOOK_SECONDS = 0.1  # how often losses are read from the device, shown and checked
EVALUATION_ROWS = 256  # least rows a batch when evaluating; nothing is stored for a backward pass, so more fit

Record = dict[str, Any]
Observer = Callable[[Record], None]


class TrainingStopped(RuntimeError):
    """Training cannot go on: a value is no longer finite. The message says where, and what is safe."""


class Interrupted(KeyboardInterrupt):
    """Stopped by a signal, after saving. `signal_number` is that of the signal."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.signal_number = signal_number


class Trainer:
    """Trains a learner on a source. `fit` runs to the end; observers receive records and cannot change anything.

    validation: rows to choose the best weights by, or None
    monitor:    the validation metric that does, and "max" or "min"
    folder:     where metrics and checkpoints go, or None to keep nothing
    origins:    where each training row came from: a sequence of texts for messages, or None
    """

    settings: TrainSettings
    epoch: int
    step: int
    samples: int  # rows learnt from, over all epochs
    train_seconds: float
    history: list[Record]
    best: Record | None  # epoch, value of the best validation metric, and the validation loss there
    best_state: dict[str, Tensor] | None  # its weights, on the CPU
    finished: bool

    def __init__(
        self,
        learner: Learner,
        source: Source,
        settings: TrainSettings,
        *,
        validation: Batch | InOrder | None = None,
        monitor: tuple[str, str] = ("loss", "min"),
        folder: RunFolder | None = None,
        observers: tuple[Observer, ...] = (),
        origins: Any = None,
    ) -> None:
        self.learner, self.source, self.settings = learner, source, settings
        self.origins = origins
        self.stepper = Stepper(learner, source, settings.capture)
        self.validation, self.monitor, self.folder, self.observers = validation, monitor, folder, observers
        self.epoch = self.step = self.samples = 0
        self.train_seconds = 0.0
        self.history, self.best, self.best_state, self.finished = [], None, None, False
        self.plateau = Plateau(settings.schedule.factor, settings.schedule.patience)
        self._totals: dict[str, np.ndarray] = {}  # sums over the rows of this epoch so far
        self._counted = 0  # those rows
        self._pending: list[tuple[dict[str, Tensor], int]] = []  # of steps not yet read from the device
        self._best_is_saved = True
        self._next_look = self._last_save = 0.0
        self._signal: int | None = None

    def fit(self) -> None:
        """Trains until the last epoch, or until the validation metric has not improved for `patience` epochs."""
        self._last_save = time.perf_counter()
        try:
            with self._signals():
                while not self.finished:
                    self._train_epoch()
                    if self.stepper.failed and self.epoch == 0:
                        self._tell(
                            {"event": "note", "text": f"steps are not captured as a CUDA graph: {self.stepper.reason}"}
                        )
                    self._finish_epoch()
        finally:
            self.source.close()

    def _train_epoch(self) -> None:
        learner, source, seed, stepper = self.learner, self.source, self.settings.seed, self.stepper
        started = time.perf_counter()
        while self.step < source.steps:
            seed_step(seed, self.epoch, self.step, learner.device)
            learner.set_learning_rate(self._factor(self.step))
            try:
                found = stepper.step(self.epoch, self.step)
            except NonFiniteError:
                self._stop_at_step(self.step)
            except OutOfMemory as error:
                raise TrainingStopped(f"{error}, at epoch {self.epoch + 1}, step {self.step + 1}") from None
            self._pending.append((found, source.size(self.step)))
            self.step += 1
            now = time.perf_counter()
            if now >= self._next_look or self._signal is not None:
                self._look(now)
                if self._signal is not None:
                    self.train_seconds += now - started
                    self._stop_interrupted()
        self._read_pending()
        self.train_seconds += time.perf_counter() - started

    def _factor(self, step: int) -> float:
        """The factor of the learning rate at a step of this epoch."""
        steps = self.source.steps
        factor = factor_at(self.settings.schedule, self.epoch * steps + step, self.settings.epochs * steps, steps)
        return factor * self.plateau.scale

    def _finish_epoch(self) -> None:
        """Evaluates, records, remembers the best, decides whether to go on, saves."""
        record: Record = {
            "epoch": self.epoch + 1,
            "step": (self.epoch + 1) * self.source.steps,
            "samples": self.samples,
            "train_seconds": round(self.train_seconds, 4),
            "learning_rate": self.learner.set_learning_rate(self._factor(self.step - 1)),
        }
        record |= {
            f"train_{name}": value for name, value in self.learner.summarize(self._totals, self._counted).items()
        }
        if self.validation is not None:
            batches = in_order(self.validation, max(self.settings.batch_size, EVALUATION_ROWS))
            found = self.learner.summarize(*self.learner.evaluate(batches))
            record |= {f"validation_{name}": value for name, value in found.items()}
        bad = [name for name, value in record.items() if isinstance(value, float) and not math.isfinite(value)]
        if bad:
            self._stop_non_finite(f"{bad[0]} after the epoch", self.step - 1)
        self._choose_best(record)
        if self.settings.schedule.name == "plateau":
            self.plateau.update(record["validation_loss" if self.validation is not None else "train_loss"])
        self.history.append(record)
        if self.folder:
            self.folder.append_metrics(record)
        self.epoch, self.step, self._totals, self._counted = self.epoch + 1, 0, {}, 0
        self.finished = self.epoch >= self.settings.epochs or self._out_of_patience()
        if self.finished or time.perf_counter() - self._last_save >= self.settings.checkpoint_seconds:
            self.save()
        self._tell({"event": "epoch", **record, "best": self.best is not None and self.best["epoch"] == self.epoch})
        if self._signal is not None and not self.finished:
            self._stop_interrupted()

    def _choose_best(self, record: Record) -> None:
        metric, direction = self.monitor
        value, loss = record.get(f"validation_{metric}"), record.get("validation_loss", 0.0)
        if value is None:
            return
        sign = 1 if direction == "max" else -1  # of equal values the one with the lower loss is better
        if self.best is None or (sign * value, -loss) > (sign * self.best["value"], -self.best["loss"]):
            self.best = {"epoch": record["epoch"], "value": value, "loss": loss}
            self.best_state = {name: t.detach().cpu().clone() for name, t in self.learner.predicting_state().items()}
            self._best_is_saved = False

    def _out_of_patience(self) -> bool:
        patience = self.settings.patience
        return patience is not None and self.best is not None and self.epoch - self.best["epoch"] >= patience

    # What is read from the device

    def _look(self, now: float) -> None:
        self._read_pending()
        self._next_look = now + LOOK_SECONDS
        progress: Record = {"event": "progress", "epoch": self.epoch + 1, "step": self.step, "steps": self.source.steps}
        found = self.learner.summarize(self._totals, self._counted)
        self._tell(progress | {f"train_{name}": value for name, value in found.items()})

    def _read_pending(self) -> None:
        """Adds up the sums of the steps since the last look, in order and in float64, so that looks do not change them."""
        if not self._pending:
            return
        first = self.step - len(self._pending)
        for name in self._pending[0][0]:
            values = torch.stack([found[name] for found, _ in self._pending]).double().cpu().numpy()
            if name == FLAG:
                if values.any():
                    self._stop_at_step(first + int((values > 0).argmax()))
                continue
            if name == "loss" and not np.isfinite(values).all():
                self._stop_at_step(first + int(np.flatnonzero(~np.isfinite(values))[0]))
            for value, (_, rows) in zip(values, self._pending, strict=True):
                value = value * rows if name in MEANS else value
                self._totals[name] = self._totals[name] + value if name in self._totals else value
        count = sum(rows for _, rows in self._pending)
        self._counted += count
        self.samples += int(np.sum(count))  # a fleet counts for each member
        self._pending.clear()

    def _tell(self, record: Record) -> None:
        for observer in self.observers:
            observer(record)

    # Stopping, saving, going on

    def _stop_at_step(self, step: int) -> NoReturn:
        """Computes a step again, to name the tensor and the row at which a value is not finite. It changed no weights."""
        seed_step(self.settings.seed, self.epoch, step, self.learner.device)
        where, row = self.learner.diagnose(self.source.batch(self.epoch, step))
        if row is not None:
            index = int(self.source.order(self.epoch)[step * self.settings.batch_size + row])
            where += (
                f" for {self.origins[index] if self.origins is not None else f'row {index + 1} of the training split'}"
            )
        self._stop_non_finite(where, step)

    def _stop_non_finite(self, where: str, step: int) -> NoReturn:
        message = f"not a finite number in {where}, at epoch {self.epoch + 1}, step {step + 1} of {self.source.steps}. "
        if self.folder and checkpoint.exists(self.folder.checkpoints, "last"):
            saved = checkpoint.load(self.folder.checkpoints, "last").state["epoch"]
            message += f"The last good checkpoint is {self.folder.checkpoints / 'last'} (after epoch {saved}). "
        else:
            message += "No checkpoint had been written yet. "
        if where.startswith(("the inputs", "the targets")):
            raise TrainingStopped(message + "Correct that row, or leave it out.")
        raise TrainingStopped(message + "Try a lower learning rate, or --set train.regularization.clip_norm=1.")

    def _stop_interrupted(self) -> None:
        number = self._signal
        assert number is not None
        place = f"stopped at epoch {self.epoch + 1}, step {self.step} of {self.source.steps}"
        if self.folder is None:
            raise Interrupted(f"{place}; nothing was kept (no run folder)", number)
        self.save()
        raise Interrupted(f"{place}, and saved. Continue with: gradus resume {self.folder.path}", number)

    def save(self) -> None:
        """Writes checkpoints/best where it changed, then checkpoints/last. Weights that are not finite are never written."""
        if self.folder is None:
            return
        weights = self.learner.predicting_state()
        bad = checkpoint.non_finite(weights)
        if bad:
            self._stop_non_finite(f"the parameter {bad}", self.step - 1)
        self._read_pending()
        self.folder.sync_metrics()
        if self.best_state is not None and not self._best_is_saved:
            assert self.best is not None
            best = Checkpoint(self.best_state, None, self.best)
            checkpoint.save(self.folder.checkpoints, "best", best)
            self._best_is_saved = True
        last = Checkpoint(weights, self.learner.training_state(), self._state())
        checkpoint.save(self.folder.checkpoints, "last", last)
        self._last_save = time.perf_counter()

    def _state(self) -> dict[str, Any]:
        return {
            "epoch": self.epoch,
            "step": self.step,
            "samples": self.samples,
            "train_seconds": self.train_seconds,
            "totals": {name: total.tolist() for name, total in self._totals.items()},
            "counted": self._counted,
            "best": self.best,
            "plateau": self.plateau.state(),
            "accumulate": getattr(self.learner, "accumulate", 1),  # it grows where memory does not suffice
            "finished": self.finished,
        }

    def restore(self) -> None:
        """Continues from checkpoints/last of the folder."""
        assert self.folder is not None
        last = checkpoint.load(self.folder.checkpoints, "last")
        state = last.state
        self.epoch, self.step, self.samples = state["epoch"], state["step"], state["samples"]
        self.train_seconds, self.best, self.finished = state["train_seconds"], state["best"], state["finished"]
        self._totals = {name: np.asarray(total, dtype=np.float64) for name, total in state["totals"].items()}
        self._counted = state["counted"]
        if hasattr(self.learner, "accumulate"):
            self.learner.accumulate = state.get("accumulate", self.learner.accumulate)
        self.plateau.restore(state["plateau"])
        self.history = self.folder.keep_metrics(self.epoch)
        if len(self.history) != self.epoch:
            held = f"{len(self.history)} of {self.epoch} epochs"
            raise UserError(f"{self.folder.path}: metrics.jsonl holds {held}: the run is damaged")
        updates = self.epoch * self.source.steps + self.step
        self.learner.restore(last.model, last.optimizer or {}, updates)
        if self.best is not None and checkpoint.exists(self.folder.checkpoints, "best"):
            self.best_state = checkpoint.load(self.folder.checkpoints, "best").model

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Ctrl-C and SIGTERM ask for a stop after the current step; a second one stops at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def ask(number: int, frame: Any) -> None:
            if self._signal is not None:
                raise KeyboardInterrupt
            self._signal = number

        before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
