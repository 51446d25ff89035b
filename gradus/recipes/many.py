"""Many recipes at once: folds, repeats, seeds and the trials of a search. What came of each is an `Outcome`.

Recipes that differ only in what one stacked model can hold (`train/fleet.py`: rows, seed, learning rate, momentum, decays,
penalties, dropout rate) train as a fleet; the others follow one by one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from gradus import settings
from gradus.data.dataset import Dataset
from gradus.data.device_rows import DeviceRows
from gradus.errors import UserError
from gradus.recipes.execute import create_trainer
from gradus.recipes.experiment import Experiment, prepare
from gradus.recipes.recipe import Recipe
from gradus.tasks.control import ControlTask
from gradus.tasks.detection import DetectionTask
from gradus.tasks.generation import GenerationTask
from gradus.train import checkpoint
from gradus.train.devices import set_up_process
from gradus.train.fleet import Member
from gradus.train.fleet_trainer import FleetTrainer
from gradus.train.folder import RunFolder
from gradus.train.measure import choose_threads
from gradus.train.source import Batch
from gradus.train.trainer import Observer, Record, TrainingStopped

# told (index of the recipe, record of its epoch) after each epoch; answers whether that training should stop now
Watch = Callable[[int, Record], bool]

LARGEST_FLEET = 256  # members; beyond that a step gains nothing more
MEMORY = 2**30  # bytes of stacked weights above which a fleet is cut


@dataclass
class Outcome:
    """What came of one recipe.

    recipe:    resolved, as `prepare` gives it
    metric:    the validation metric that chose the best weights, and "max" or "min"
    value:     its best value; None where there is none (it diverged before the first epoch ended)
    epoch:     after which epoch, counted from 1
    history:   the records of its epochs, as in metrics.jsonl
    state:     the weights after that epoch, on the CPU
    seconds:   of training, from start to end (those of a fleet are shared out evenly)
    error:     why it could not go on, in words; empty where it could
    stopped:   whether `watch` stopped it
    """

    recipe: Recipe
    metric: tuple[str, str]
    value: float | None = None
    epoch: int = 0
    history: list[Record] = field(default_factory=list)
    state: dict[str, Tensor] = field(default_factory=dict)
    seconds: float = 0.0
    error: str = ""
    stopped: bool = False

    def summary(self) -> dict[str, Any]:
        """As JSON, without weights and history."""
        return {
            "value": self.value,
            "epoch": self.epoch,
            "epochs": len(self.history),
            "seconds": round(self.seconds, 3),
            "error": self.error,
            "stopped": self.stopped,
        }


def train_many(
    recipes: Sequence[Recipe],
    *,
    dataset: Dataset | None = None,
    watch: Watch | None = None,
    say: Callable[[str], None] = lambda line: None,
    together: bool = True,
    folder: RunFolder | None = None,
    observers: tuple[Observer, ...] = (),
    cache: dict[Any, Any] | None = None,
) -> list[Outcome]:
    """Trains every recipe and returns what came of each, in their order. Each needs validation rows.

    together:  as fleets where they can; False: one by one
    folder:    where a fleet keeps its checkpoints, to go on after a stop; only where all recipes are one fleet
    cache:     keeps what was read, encoded and computed once for further calls
    """
    cache = {} if cache is None else cache
    experiments = [prepare(recipe, dataset, cache=cache) for recipe in recipes]
    for experiment in experiments:
        if "validation" not in experiment.tensors:
            raise UserError("several trainings at once are compared by validation rows; set data.validation above 0")
    groups = group(experiments, say) if together else [[index] for index in range(len(experiments))]
    outcomes: list[Outcome | None] = [None] * len(experiments)
    for members in groups:
        if len(members) > 1:
            kept, threads = folder if len(groups) == 1 else None, recipes[members[0]].train.threads
            made = _train_fleet(experiments, members, watch, kept, observers, say, threads)
        else:
            made = [_train_one(members[0], experiments[members[0]], watch, observers, cache)]
        for index, outcome in zip(members, made, strict=True):
            outcomes[index] = outcome
    return [outcome for outcome in outcomes if outcome is not None]


def group(experiments: Sequence[Experiment], say: Callable[[str], None] = lambda line: None) -> list[list[int]]:
    """The indices of experiments that can train as one fleet, in groups; what cannot stands alone, and `say` is told why."""
    groups: dict[Any, list[int]] = {}
    reasons: dict[Any, str] = {}
    for index, experiment in enumerate(experiments):
        kind = _kind(experiment)
        if kind not in reasons:
            reasons[kind] = obstacle(experiment)
            if reasons[kind]:
                say(f"{experiment.recipe.model.name}: trained one by one, since {reasons[kind]}")
        groups.setdefault(index if reasons[kind] else kind, []).append(index)
    found = []
    for members in groups.values():
        size = sum(p.numel() for p in experiments[members[0]].model.parameters()) * 4
        most = max(1, min(LARGEST_FLEET, MEMORY // max(size, 1)))
        found += [members[start : start + most] for start in range(0, len(members), most)]
    return found


def obstacle(experiment: Experiment) -> str:
    """Why an experiment cannot be a member of a fleet, in words; empty where it can."""
    train = experiment.recipe.train
    if train.schedule.name == "plateau":
        return "the plateau schedule follows each model's own loss"
    if train.accumulate != 1:
        return "its batches are computed in parts"
    if train.fine_tune.freezes or train.fine_tune.rate_decay != 1:
        return "parts of it are frozen or learn at rates of their own"
    if experiment.recipe.augment.is_on:
        return "augmentation draws random numbers of its own"
    if any(isinstance(rows, DeviceRows) for rows in experiment.tensors["train"].values()):
        return "its rows are made when a batch asks for them (texts, windows)"
    if any(not isinstance(tensor, Tensor) for tensor in experiment.tensors["train"].values()):
        return "its data are streamed"
    if isinstance(experiment.task, DetectionTask):
        return "how often boxes are suppressed depends on each model's own"
    if isinstance(experiment.task, ControlTask):
        return "each acts in environments of its own"
    if isinstance(experiment.task, GenerationTask):
        return "it draws random numbers of its own"
    for name, module in experiment.model.named_modules():
        if isinstance(module, nn.modules.dropout._DropoutNd) and type(module) is not nn.Dropout:
            return f"{name} ({type(module).__name__}) draws random numbers of its own"
        if isinstance(module, nn.RNNBase):
            return f"{name} ({type(module).__name__}) has no stacked form"
    return _trial(experiment)


def _trial(experiment: Experiment) -> str:
    """Tries two rows of a fleet of two: a model may do what has no stacked form."""
    rows = {name: tensor[:2] for name, tensor in experiment.tensors["train"].items()}
    experiment.task.to_device(torch.device("cpu"))
    small = replace(experiment.recipe.train, batch_size=2)
    member = Member(experiment.model, experiment.task, rows, rows, small)
    plan = replace(experiment.plan, device=torch.device("cpu"), autocast_type=None)
    try:
        trainer = FleetTrainer([member, member], plan, monitor=("loss", "min"))
        trainer.learner.step(trainer.source.batch(0, 0))
    except (RuntimeError, NotImplementedError, ValueError, TypeError) as error:
        return (str(error).splitlines() or [type(error).__name__])[0]
    return ""


def _kind(experiment: Experiment) -> tuple[Any, ...]:
    """What the members of a fleet have in common, as a key."""
    recipe, train = experiment.recipe, experiment.recipe.train
    options = {name: bool(value) if name == "dropout" else value for name, value in recipe.model.options.items()}
    modules = [(name, type(module).__name__) for name, module in experiment.model.named_modules()]
    shapes = [(name, tuple(t.shape), str(t.dtype)) for name, t in experiment.model.state_dict().items()]
    learnt = [parameter.requires_grad for parameter in experiment.model.parameters()]
    rows = [(name, str(t.dtype), tuple(t.shape[1:])) for name, t in experiment.tensors["train"].items()]
    experiment.task.to_device(experiment.plan.device)
    statistics = [(name, tuple(tensor.shape)) for name, tensor in experiment.task.tensors().items()]
    steps = -(-len(experiment.tensors["train"]["targets"]) // train.batch_size)
    common = replace(
        train,
        seed=0,
        optimizer=replace(
            train.optimizer,
            learning_rate=1.0,
            momentum=0.5 if train.optimizer.name in ("sgd", "rmsprop") else 0.0,
            beta1=0.5,
            beta2=0.5,
            rho=0.5,
            epsilon=1.0,
            weight_decay=0.0,
        ),
        regularization=replace(train.regularization, **_used(train.regularization)),
    )
    scheduled = steps if train.schedule.name != "constant" or train.schedule.warmup else 0
    return (
        repr(
            (
                recipe.model.name,
                sorted(options.items(), key=str),
                recipe.task,
                modules,
                shapes,
                learnt,
                rows,
                statistics,
            )
        ),
        repr(settings.to_dict(common)),
        scheduled,
    )


def _used(regularization: Any) -> dict[str, Any]:
    """Every number that is set as 1: members may differ in it."""
    values = settings.to_dict(regularization)
    return {name: 1.0 if value else value for name, value in values.items()}


def _train_fleet(
    experiments: Sequence[Experiment],
    indices: list[int],
    watch: Watch | None,
    folder: RunFolder | None,
    observers: tuple[Observer, ...],
    say: Callable[[str], None],
    threads: int,
) -> list[Outcome]:
    """Trains experiments that are of one kind as one stacked model, with `threads`; 0: as many as its work is worth."""
    first = experiments[indices[0]]
    plan = first.plan
    common = first.recipe.train
    threads, _ = choose_threads(replace(common, threads=threads), first.operations, common.batch_size * len(indices))
    set_up_process(plan, threads, common.deterministic)
    placed: dict[int, Batch] = {}

    def on_device(batch: Batch) -> Batch:
        if id(batch) not in placed:
            placed[id(batch)] = {name: tensor.to(plan.device) for name, tensor in batch.items()}
        return placed[id(batch)]

    members = []
    for index in indices:
        experiment = experiments[index]
        experiment.task.to_device(plan.device)
        train, validation = on_device(experiment.tensors["train"]), on_device(experiment.tensors["validation"])
        members.append(Member(experiment.model, experiment.task, train, validation, experiment.recipe.train))
    say(f"{len(members)} models train as one")
    trainer = FleetTrainer(
        members,
        plan,
        monitor=first.task.monitored(first.recipe.train.monitor),
        watch=None if watch is None else lambda place, record: watch(indices[place], record),
        folder=folder,
        observers=observers,
    )
    if folder is not None and checkpoint.exists(folder.checkpoints, "last"):
        trainer.restore()
        say(f"continuing at epoch {trainer.epoch + 1}, step {trainer.step} of {trainer.source.steps}")
    start = {"event": "start", "path": "", "epochs": trainer.settings.epochs, "steps": trainer.source.steps}
    for observer in observers:
        observer({**start, "epoch": trainer.epoch, "rows": trainer.source.rows})
    began = time.perf_counter()
    try:
        trainer.fit()
    finally:
        for observer in observers:
            observer({"event": "stopped"})
    seconds = (time.perf_counter() - began) / len(members)
    outcomes = []
    for index, progress in zip(indices, trainer.progress, strict=True):
        outcome = Outcome(experiments[index].recipe, trainer.monitor, history=progress.history, seconds=seconds)
        outcome.error, outcome.stopped, outcome.state = progress.error, progress.stopped, progress.best_state
        if progress.best is not None:
            outcome.value, outcome.epoch = progress.best["value"], progress.best["epoch"]
        outcomes.append(outcome)
    return outcomes


def _train_one(
    index: int, experiment: Experiment, watch: Watch | None, observers: tuple[Observer, ...], cache: dict[Any, Any]
) -> Outcome:
    trainer = create_trainer(experiment, cache=cache)
    outcome = Outcome(experiment.recipe, trainer.monitor)

    def observe(record: Record) -> None:
        if record["event"] == "epoch" and watch is not None and watch(index, record):
            outcome.stopped = trainer.finished = True

    trainer.observers = (*observers, observe)
    start = {"event": "start", "path": "", "epochs": trainer.settings.epochs, "steps": trainer.source.steps}
    for observer in observers:
        observer({**start, "epoch": 0, "rows": trainer.source.rows})
    began = time.perf_counter()
    try:
        trainer.fit()
    except TrainingStopped as error:
        outcome.error = str(error)
    finally:
        for observer in observers:
            observer({"event": "stopped"})
    outcome.seconds = time.perf_counter() - began
    outcome.history = trainer.history
    if trainer.best is not None:
        outcome.value, outcome.epoch = trainer.best["value"], trainer.best["epoch"]
        outcome.state = trainer.best_state or {}
    return outcome
