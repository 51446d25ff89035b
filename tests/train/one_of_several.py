"""What each process of `test_distributed.py` runs: `python one_of_several.py JOB FOLDER`.

The cases are here so that one process (pytest's) and several compute the same ones. Each job is a function of a World and a folder.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from gradus.data.catalogue import load
from gradus.data.splits import complete_splits
from gradus.models import create_model
from gradus.tasks.settings import TaskSettings
from gradus.tasks.table import create_task
from gradus.train import trainer as trainer_module
from gradus.train.devices import plan_device
from gradus.train.distributed import Part, SharedSource, create_learner
from gradus.train.folder import RunFolder
from gradus.train.settings import OptimizerSettings, RegularizationSettings, TrainSettings
from gradus.train.source import Batch, Resident
from gradus.train.trainer import Interrupted, Trainer
from gradus.train.world import World, join

KINDS = ("ddp", "fsdp")
GRADIENTS = [(32, 1), (32, 2), (32, 4), (13, 1), (13, 3), (3, 1), (3, 2), (1, 1)]  # rows of the batch, accumulate
EPOCHS, ROWS = 3, 230  # of trainings: 8 steps an epoch, the last one of 6 rows


class Double(nn.Module):
    """Images as float64."""

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs.double()


def network(double: bool = False, noisy: bool = False) -> nn.Module:
    """A network whose sizes (301, 7, 10) no number of processes divides, and of which one layer is a block of its own.

    noisy: with what depends on which rows a process has: dropout and batch normalisation
    """
    torch.manual_seed(7)
    model = create_model("mlp", in_features=64, num_classes=10, hidden=(301, 301, 7), dropout=0.2 if noisy else 0.0)
    if noisy:
        model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), model)
    return nn.Sequential(Double(), model).double() if double else model


def digits():
    dataset = complete_splits(load("digits"), 0.1, 0.2, 0, "label")
    task = create_task(TaskSettings(name="image-classification", options={"normalize": "unit"}), dataset)
    task.to_device(torch.device("cpu"))
    return task, {name: task.encode(split) for name, split in dataset.splits.items()}


def settings(kind: str, **changes) -> TrainSettings:
    return TrainSettings(**{"batch_size": 32, "device": "cpu", "distribution": kind, **changes})


def sgd(rate: float = 0.05) -> OptimizerSettings:
    return OptimizerSettings(name="sgd", learning_rate=rate, momentum=0.9)


def take(batch: Batch, world: World) -> Batch:
    return batch if world.size == 1 else Part(batch, world)


def whole(tensor) -> Tensor:
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor.clone()


def all_gradients(world: World, kind: str) -> dict[str, Tensor]:
    """Of batches of several sizes, in float64: "rows/accumulate/parameter" -> gradient."""
    task, tensors = digits()
    found = {}
    for rows, accumulate in GRADIENTS:
        plan = plan_device("cpu")
        learner = create_learner(network(double=True), task, settings(kind, accumulate=accumulate), plan, world)
        batch = {name: tensor[:rows] for name, tensor in tensors["train"].items()}
        for _ in range(2):  # the second time DistributedDataParallel has arranged its buckets
            learner._gradients(take(batch, world))
        for name, parameter in learner.model.named_parameters():
            found[f"{rows}/{accumulate}/{name}"] = whole(parameter.grad)
    return found


def hundred_losses(world: World, kind: str) -> Tensor:
    """(100,) float64: the mean loss of each of 100 steps in float32; the last batch of an epoch is short."""
    task, tensors = digits()
    learner = create_learner(network(), task, settings(kind, optimizer=sgd(0.05)), plan_device("cpu"), world)
    source = Resident({name: tensor[:500] for name, tensor in tensors["train"].items()}, 32)
    shared = source if world.size == 1 else SharedSource(source, world)
    losses = []
    for number in range(100):
        epoch, step = divmod(number, source.steps)
        found = learner.step(shared.batch(epoch, step))
        sums = world.gather(found["loss"].double().item() * shared.size(step))
        losses.append(sum(sums) / source.size(step))
    return torch.tensor(losses, dtype=torch.float64)


def all_regularized(world: World, kind: str) -> dict[str, Tensor]:
    """Weights after 12 float64 steps with every optimiser, with penalties, clipping, max-norm and averaging."""
    task, tensors = digits()
    regularization = RegularizationSettings(l1=1e-4, l2=1e-3, max_norm=1.5, clip_norm=0.5, clip_value=0.2)
    found = {}
    for name in ("sgd", "adamw", "rmsprop"):
        optimizer = OptimizerSettings(name=name, learning_rate=0.01, weight_decay=0.01)
        changes = {"optimizer": optimizer, "regularization": regularization, "average": 0.9}
        learner = create_learner(network(double=True), task, settings(kind, **changes), plan_device("cpu"), world)
        for step in range(12):
            rows = slice(step * 20, step * 20 + 20)
            result = learner.step(take({key: tensor[rows] for key, tensor in tensors["train"].items()}, world))
        penalties = world.gather(result["penalty"].item())
        found[f"{name}/penalty"] = torch.tensor(penalties[0], dtype=torch.float64)
        found |= {f"{name}/raw/{key}": whole(value) for key, value in learner.model.state_dict().items()}
        found |= {f"{name}/averaged/{key}": whole(value) for key, value in learner.predictor.state_dict().items()}
    return found


def make_trainer(world: World, kind: str, folder: Path, noisy: bool = False) -> Trainer:
    task, tensors = digits()
    optimizer = OptimizerSettings(name="adamw", learning_rate=0.002)
    chosen = settings(kind, epochs=EPOCHS, optimizer=optimizer, average=0.9, checkpoint_seconds=0.0)
    folder.mkdir(exist_ok=True)
    few = {name: tensor[:ROWS] for name, tensor in tensors["train"].items()}
    source = Resident(few, chosen.batch_size, chosen.seed)
    return Trainer(
        create_learner(network(noisy=noisy), task, chosen, plan_device("cpu"), world),
        source if world.size == 1 else SharedSource(source, world),
        chosen,
        validation=tensors["validation"],
        monitor=task.primary,
        folder=RunFolder(folder),
        world=world,
    )


def train(world: World, kind: str, folder: Path, noisy: bool = False) -> Trainer:
    trainer = make_trainer(world, kind, folder, noisy)
    trainer.fit()
    return trainer


def stop_in_the_middle(world: World, kind: str, folder: Path, noisy: bool = False) -> tuple[int, int, int]:
    """A signal to the last process alone, in its second epoch; returns where this process stopped, and by which signal."""
    trainer = make_trainer(world, kind, folder, noisy)
    step_of, steps = trainer.learner.step, iter(range(10**6))

    def step(batch):
        if next(steps) == trainer.source.steps + 3 and world.rank == world.size - 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return step_of(batch)

    trainer.learner.step = step
    trainer_module.MEET_SECONDS = 0.0  # they meet after every step
    try:
        trainer.fit()
    except Interrupted as stopped:
        return trainer.epoch, trainer.step, stopped.signal_number
    raise AssertionError("the training was not stopped")


def go_on(world: World, kind: str, folder: Path, noisy: bool = False) -> Trainer:
    trainer = make_trainer(world, kind, folder, noisy)
    trainer.restore()
    trainer.fit()
    return trainer


def job_compute(world: World, folder: Path) -> None:
    """Everything that is compared with one process, and a training that is stopped."""
    for kind in KINDS:
        import time
        t=[time.perf_counter()]
        found = all_gradients(world, kind)
        t.append(time.perf_counter())
        regularized = all_regularized(world, kind)
        t.append(time.perf_counter())
        losses = hundred_losses(world, kind)
        t.append(time.perf_counter())
        if world.is_main:
            save_file(found, folder / f"{kind}-gradients.safetensors")
            save_file(regularized, folder / f"{kind}-regularized.safetensors")
            save_file({"losses": losses}, folder / f"{kind}-losses.safetensors")
        train(world, kind, folder / f"{kind}-whole")
        places = world.gather(stop_in_the_middle(world, kind, folder / f"{kind}-stopped"))
        assert len({tuple(place) for place in places}) == 1, places
        assert places[0] == [1, 4, signal.SIGTERM], places
        t.append(time.perf_counter())
        train(world, kind, folder / f"{kind}-noisy", noisy=True)
        stop_in_the_middle(world, kind, folder / f"{kind}-noisy-stopped", noisy=True)
        go_on(world, kind, folder / f"{kind}-noisy-stopped", noisy=True)
        t.append(time.perf_counter())
        if world.is_main: print(world.size, kind, [round(b-a,1) for a,b in zip(t,t[1:])], file=open("/tmp/distributed/times","a"))


def job_go_on(world: World, folder: Path) -> None:
    for kind in KINDS:
        go_on(world, kind, folder / f"{kind}-stopped")


def job_damaged(world: World, folder: Path) -> None:
    """Each process is told the same of a checkpoint that is damaged."""
    try:
        make_trainer(world, "fsdp", folder).restore()
    except ValueError as error:
        (folder / f"told-{world.rank}").write_text(str(error), encoding="utf-8")


if __name__ == "__main__":
    torch.set_num_threads(1)
    {"compute": job_compute, "go_on": job_go_on, "damaged": job_damaged}[sys.argv[1]](join(), Path(sys.argv[2]))
