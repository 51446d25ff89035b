"""The one loop, for all learners: epochs, steps, the schedule, evaluation, checkpoints, observers.

It is the loop one would write by hand, plus: what was learnt is kept on the device and read ten times a second at most; all
randomness follows from (seed, epoch, step); and it can be stopped anywhere and go on as if it had not been.

Positions: `epoch` epochs are complete and `step` steps of the next one are made. `step == source.steps` means that an epoch is
trained but not yet evaluated.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor

from gradus.errors import UserError, quoted
from gradus.stopping import Interrupted, on_signals
from gradus.train import checkpoint, shards
from gradus.train.capture import Stepper
from gradus.train.checkpoint import Checkpoint
from gradus.train.devices import denormals_as_zero
from gradus.train.folder import RunFolder
from gradus.train.learner import FLAG, MEANS, Learner, NonFiniteError, OutOfMemory
from gradus.train.randomness import PROCESS, derive, seed_step
from gradus.train.schedules import Plateau, factor_at
from gradus.train.settings import TrainSettings
from gradus.train.source import Batch, InOrder, Source, by_length, evaluation_rows, in_order
from gradus.train.watch import create_watch
from gradus.train.world import ALONE, World, add_up

MEET_SECONDS = 0.2  # how often several processes ask each other whether one was told to stop
LOOK_SECONDS = 0.1  # how often losses are read from the device, shown and checked
AGAIN_SECONDS = 1.0  # a second Ctrl-C is an order of its own after this long; sooner, it is the first one told twice

Record = dict[str, Any]
Observer = Callable[[Record], None]


class TrainingStopped(RuntimeError):
    """Training cannot go on: a value is no longer finite. The message says where, and what is safe."""


class _AskedToStop(Exception):
    """Leaves an evaluation between two batches."""


class Trainer:
    """Trains a learner on a source. `fit` runs to the end; observers receive records and cannot change anything.

    validation: rows to choose the best weights by, or None
    monitor:    the validation metric that does, and "max" or "min"
    folder:     where metrics and checkpoints go, or None to keep nothing
    origins:    where each training row came from: a sequence of texts for messages, or None
    world:      the processes that train together; each has a trainer, and all take the same steps and decisions
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
        world: World = ALONE,
    ) -> None:
        self.learner, self.source, self.settings = learner, source, settings
        self.origins, self.world = origins, world
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
        self._saved_at: tuple[int, int] | None = None  # position of the last save
        self._signal: int | None = None
        self._asked_at = 0.0
        self._asked = 0  # with several processes: the signal that came to this one; `_signal` is what all know of
        self._meet_at, self._meet_every = -1, 1  # steps
        self._met = 0.0
        self.vitals = create_watch(learner, self.stepper, settings, world, self._note, folder.path if folder else None)
        self._step_seed = settings.seed if world.is_main else derive(settings.seed, PROCESS, world.rank)

    def fit(self) -> None:
        """Trains until the last epoch, or until the validation metric has not improved for `patience` epochs."""
        self._last_save = self._met = time.perf_counter()
        if self.world.size > 1:
            self._meet_at = self.step + 1
        try:
            with self._signals(), denormals_as_zero(self.learner.device):
                while not self.finished:
                    self._train_epoch()
                    if self.stepper.failed and self.epoch == 0:
                        self._note(f"steps are not captured as a CUDA graph: {self.stepper.reason}")
                    self._finish_epoch()
                if self._signal is not None:  # between the last epoch and here
                    self._stop_interrupted()
        finally:
            self.source.close()

    def _train_epoch(self) -> None:
        learner, source, seed, watch = self.learner, self.source, self._step_seed, self.vitals
        changed = learner.begin_epoch(self.epoch)
        if changed:
            self.stepper.start_again()
            self._note(changed)
        if watch is not None:
            watch.begin(self.epoch, self.stepper)
        make_step = self.stepper.step if watch is None else watch.step
        started = time.perf_counter()
        while self.step < source.steps:
            seed_step(seed, self.epoch, self.step, learner.device)
            learner.set_learning_rate(self._factor(self.step))
            try:
                found = make_step(self.epoch, self.step)
            except NonFiniteError:
                self._stop_at_step(self.step)
            except OutOfMemory as error:
                raise TrainingStopped(f"{error}, at epoch {self.epoch + 1}, step {self.step + 1}") from None
            self._pending.append((found, source.size(self.step)))
            self.step += 1
            now = time.perf_counter()
            if self.step == self._meet_at:
                self._meet(now)
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
        self._add_up()
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
            rows = evaluation_rows(self.validation, self.settings.batch_size)
            batches = in_order(self.validation, rows, by_length(self.validation))
            seed_step(self._step_seed, self.epoch, self.source.steps, self.learner.device)  # of networks that draw
            try:
                found = self.learner.summarize(*self.learner.evaluate(self._until_asked(batches)))
            except _AskedToStop:
                self._stop_interrupted()
            record |= {f"validation_{name}": value for name, value in found.items()}
        bad = [name for name, value in record.items() if isinstance(value, float) and not math.isfinite(value)]
        if bad:
            self._stop_non_finite(f"{bad[0]} after the epoch", self.step - 1)
        self._choose_best(record)
        if self.settings.schedule.name == "plateau":
            self.plateau.update(record["validation_loss" if self.validation is not None else "train_loss"])
        self.history.append(record)
        if self.folder and self.world.is_main:
            self.folder.append_metrics(record)
        self.epoch, self.step, self._totals, self._counted = self.epoch + 1, 0, {}, 0
        self.finished = self.epoch >= self.settings.epochs or self._out_of_patience()
        if self._save_is_due() or self.finished:
            self.save()
        self._tell({"event": "epoch", **record, "best": self.best is not None and self.best["epoch"] == self.epoch})
        if self.vitals is not None:
            self.vitals.end_epoch(record)
        if self._signal is not None:
            self._stop_interrupted()

    def _until_asked(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        for batch in batches:
            if self._signal is not None:
                raise _AskedToStop
            yield batch

    def _choose_best(self, record: Record) -> None:
        metric, direction = self.monitor
        value, loss = record.get(f"validation_{metric}"), record.get("validation_loss", 0.0)
        if value is None or not getattr(self.learner, "chooses_best", True):
            return
        sign = 1 if direction == "max" else -1  # of equal values the one with the lower loss is better
        better = self.best is None or (sign * value, -loss) > (sign * self.best["value"], -self.best["loss"])
        if not better and self.best is not None and getattr(self.learner, "later_is_better", False):
            better = (value, loss) == (self.best["value"], self.best["loss"])
        if better:
            self.best = {"epoch": record["epoch"], "value": value, "loss": loss}
            self.best_state = {name: t.detach().cpu().clone() for name, t in self.learner.predicting_state().items()}
            self._best_is_saved = False

    def _out_of_patience(self) -> bool:
        patience = self.settings.patience
        return patience is not None and self.best is not None and self.epoch - self.best["epoch"] >= patience

    # What several processes agree on

    def _meet(self, now: float) -> None:
        """Tells every process of a signal that one was sent, at the same step. They meet again after as many steps as the main
        one makes in `MEET_SECONDS`."""
        fits = int(self._meet_every * MEET_SECONDS / max(now - self._met, 1e-9))
        every = max(1, min(fits, 2 * self._meet_every)) if self.world.is_main else 0
        number, self._meet_every = self.world.largest(self._asked, every)
        self._signal = number or None
        self._meet_at, self._met = self.step + self._meet_every, now

    def _save_is_due(self) -> bool:
        """Whether it is time to save after this epoch; several processes ask the clock of the main one."""
        due = time.perf_counter() - self._last_save >= self.settings.checkpoint_seconds
        if self.world.size == 1:
            return due
        number, decided = self.world.largest(self._asked, int(due) if self.world.is_main else 0)
        self._signal = number or None
        self._meet_at, self._met = self._meet_every, time.perf_counter()
        return bool(decided)

    def _add_up(self) -> None:
        """Turns what each process has counted in this epoch into the sums over all of them."""
        if self.world.size > 1:
            own = self._counted
            sums = {name: total.tolist() for name, total in self._totals.items()}
            self._totals, self._counted = add_up(self.world.gather([sums, own]))
            self.samples += self._counted - own

    # What is read from the device

    def _look(self, now: float) -> None:
        self._read_pending()
        self._next_look = now + LOOK_SECONDS
        progress: Record = {"event": "progress", "epoch": self.epoch + 1, "step": self.step, "steps": self.source.steps}
        if not self.observers:
            return
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
            if name == "loss" and self.vitals is not None:
                self.vitals.losses(first, values)
            for value, (_, rows) in zip(values, self._pending, strict=True):
                value = value * rows if name in MEANS else value
                self._totals[name] = self._totals[name] + value if name in self._totals else value
        count = sum(rows for _, rows in self._pending)
        self._counted += count
        self.samples += int(np.sum(count))  # a fleet counts for each member
        self._pending.clear()

    def _note(self, text: str) -> None:
        self._tell({"event": "note", "text": text})

    def _tell(self, record: Record) -> None:
        for observer in self.observers:
            observer(record)

    # Stopping, saving, going on

    def _stop_at_step(self, step: int) -> NoReturn:
        """Computes a step again, to name the tensor and the row at which a value is not finite. It changed no weights."""
        seed_step(self.settings.seed, self.epoch, step, self.learner.device)
        whole = getattr(self.source, "whole", self.source)  # the batch of all processes: each then finds the same
        where, row = self.learner.diagnose(whole.batch(self.epoch, step))
        if row is not None:
            index = int(self.source.order(self.epoch)[step * self.settings.batch_size + row])
            where += (
                f" for {self.origins[index] if self.origins is not None else f'row {index + 1} of the training split'}"
            )
        self._stop_non_finite(where, step)

    def _stop_non_finite(self, where: str, step: int) -> NoReturn:
        if self.vitals is not None:
            self.vitals.stopped(where, step)
        message = f"not a finite number in {where}, at epoch {self.epoch + 1}, step {step + 1} of {self.source.steps}. "
        if self.folder and checkpoint.exists(self.folder.checkpoints, "last"):
            saved = checkpoint.load(self.folder.checkpoints, "last").state["epoch"]
            message += f"The last good checkpoint is {self.folder.checkpoints / 'last'} (after epoch {saved}). "
        else:
            message += "No checkpoint had been written yet. "
        if where.startswith(("the inputs", "the targets")):
            raise TrainingStopped(message + "Correct that row, or leave it out.")
        raise TrainingStopped(message + "Try a lower learning rate, or --set train.regularization.clip_norm=1.")

    def _stop_interrupted(self) -> NoReturn:
        """Saves where that is not done yet, and stops. After the last epoch, judging the weights is left to `resume`."""
        number = self._signal
        assert number is not None
        place = f"stopped at epoch {self.epoch + 1}, step {self.step} of {self.source.steps}"
        if self.finished:
            place = f"stopped after the last epoch ({self.epoch})"
        if self.folder is None:
            raise Interrupted(f"{place}; nothing was kept (no run folder)", number)
        if self._saved_at != (self.epoch, self.step):
            self.save()
        self.world.barrier()  # none ends before all is saved
        raise Interrupted(f"{place}, and saved. Continue with: gradus resume {quoted(self.folder.path)}", number)

    def save(self) -> None:
        """Writes checkpoints/best where it changed, then checkpoints/last. Weights that are not finite are never written."""
        if self.folder is None:
            return
        parts: shards.Shards | None = None
        if isinstance(self.learner, shards.Spread):
            parts = self.learner.shards()
        weights = self.learner.predicting_state() if parts is None else {key: s.tensor for key, s in parts.items()}
        bad = checkpoint.non_finite(weights)
        if bad:
            self._stop_non_finite(f"the parameter {bad}", self.step - 1)
        self._read_pending()
        self._add_up()
        state = self._state()
        if not self.world.is_main:
            self._totals, self._counted = {}, 0  # the main process holds the sums
        with self.world.together():
            if self.world.is_main:
                self._save_best(self.folder)
                if parts is None:
                    last = Checkpoint(weights, self.learner.training_state(), state)
                    checkpoint.save(self.folder.checkpoints, "last", last)
        if parts is not None:
            shards.save(self.folder.checkpoints, "last", parts, state, self.world)
        self._last_save, self._saved_at = time.perf_counter(), (self.epoch, self.step)

    def _save_best(self, folder: RunFolder) -> None:
        folder.sync_metrics()
        if self.best_state is not None and not self._best_is_saved:
            assert self.best is not None
            checkpoint.save(folder.checkpoints, "best", Checkpoint(self.best_state, None, self.best))
            self._best_is_saved = True

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
        saved, last = None, None
        if isinstance(self.learner, shards.Spread):
            saved = shards.Saved(self.folder.checkpoints, "last", self.world)
            state = saved.state
        else:
            with self.world.together():
                last = checkpoint.load(self.folder.checkpoints, "last") if self.world.is_main else None
            state = self.world.from_main(last.state if last is not None else None)
        self.epoch, self.step, self.samples = state["epoch"], state["step"], state["samples"]
        self.train_seconds, self.finished = state["train_seconds"], state["finished"]
        self._totals = {name: np.asarray(total, dtype=np.float64) for name, total in state["totals"].items()}
        self._counted = state["counted"]
        if hasattr(self.learner, "accumulate"):
            self.learner.accumulate = state.get("accumulate", self.learner.accumulate)
        self.plateau.restore(state["plateau"])
        with self.world.together():
            if self.world.is_main:
                self.history = self.folder.keep_metrics(self.epoch)
                if len(self.history) != self.epoch:
                    held = f"{len(self.history)} of {self.epoch} epochs"
                    raise UserError(f"{self.folder.path}: metrics.jsonl holds {held}: the run is damaged")
            else:
                self._totals, self._counted = {}, 0
        if self.vitals is not None:
            self.vitals.restore(self.epoch, self.step, self.history)
        updates = self.epoch * self.source.steps + self.step
        self.learner.begin_epoch(self.epoch)
        if saved is not None and isinstance(self.learner, shards.Spread):
            self.learner.restore_shards(saved, updates)
        else:
            model = self.world.tensors_from_main(last.model if last else None, self.learner.device)
            optimizer = self.world.tensors_from_main((last.optimizer or {}) if last else None, self.learner.device)
            self.learner.restore(model, optimizer, updates)
        # `best` is written before `last`: after a kill between the two it is from an epoch that will come again
        best = None
        with self.world.together():
            if self.world.is_main and state["best"] is not None and checkpoint.exists(self.folder.checkpoints, "best"):
                best = checkpoint.load(self.folder.checkpoints, "best")
        self.best = self.world.from_main(best.state if best else None)
        self.best_state = best.model if best else None

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """A signal asks for a stop after the current step or batch; a second Ctrl-C stops at once, without saving."""

        def ask(number: int) -> None:
            if self.world.size > 1:  # all have to stop at the same step; who watches over them ends those that do not
                self._asked = self._asked or number
                return
            now = time.monotonic()
            if self._signal is None:
                self._signal, self._asked_at = number, now
            elif number == signal.SIGINT and now - self._asked_at > AGAIN_SECONDS:
                raise Interrupted("", number)

        with on_signals(ask):
            yield
