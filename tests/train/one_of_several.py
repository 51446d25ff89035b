"""What each process of `test_distributed.py` runs. As a program it starts them: see `serve`.

The cases are here so that one process (pytest's) and several compute the same ones. Each job is a function of a World and a
folder.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from gradus.data.catalogue import load
from gradus.data.splits import complete_splits
from gradus.errors import UserError
from gradus.models import create_model
from gradus.tasks.settings import TaskSettings
from gradus.tasks.table import create_task
from gradus.train import trainer as trainer_module
from gradus.train.devices import plan_device
from gradus.train.distributed import Part, SharedSource, create_learner
from gradus.train.folder import RunFolder
from gradus.train.settings import OptimizerSettings, RegularizationSettings, TrainSettings
from gradus.train.source import Batch, Resident
from gradus.train.trainer import Interrupted, Trainer, TrainingStopped
from gradus.train.world import World, join, leave

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
    """Weights after 5 float64 steps with every optimiser, with penalties, clipping, max-norm and averaging."""
    task, tensors = digits()
    regularization = RegularizationSettings(l1=1e-4, l2=1e-3, max_norm=1.5, clip_norm=0.5, clip_value=0.2)
    found = {}
    for name in ("sgd", "adamw", "rmsprop"):
        optimizer = OptimizerSettings(name=name, learning_rate=0.01, weight_decay=0.01)
        changes = {"optimizer": optimizer, "regularization": regularization, "average": 0.9}
        learner = create_learner(network(double=True), task, settings(kind, **changes), plan_device("cpu"), world)
        for step in range(5):
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
    """Everything that is compared with one process, and trainings that are stopped."""
    for kind in KINDS:
        found = all_gradients(world, kind)
        regularized = all_regularized(world, kind)
        losses = hundred_losses(world, kind)
        if world.is_main:
            save_file(found, folder / f"{kind}-gradients.safetensors")
            save_file(regularized, folder / f"{kind}-regularized.safetensors")
            save_file({"losses": losses}, folder / f"{kind}-losses.safetensors")
        train(world, kind, folder / f"{kind}-whole")
        places = world.gather(stop_in_the_middle(world, kind, folder / f"{kind}-stopped"))
        assert places == [[1, 4, signal.SIGTERM]] * world.size, places
    kind = "fsdp" if world.size == 2 else "ddp"
    train(world, kind, folder / "noisy", noisy=True)
    stop_in_the_middle(world, kind, folder / "noisy-stopped", noisy=True)
    go_on(world, kind, folder / "noisy-stopped", noisy=True)


def job_go_on(world: World, folder: Path) -> None:
    for kind in KINDS:
        go_on(world, kind, folder / f"{kind}-stopped")


def job_damaged(world: World, folder: Path) -> None:
    """Each process is told the same of a checkpoint that is damaged."""
    try:
        make_trainer(world, "fsdp", folder).restore()
    except UserError as error:
        (folder / f"told-{world.rank}").write_text(str(error), encoding="utf-8")
        if not world.is_main:  # which would have waited for the main one to end
            os._exit(0)


def job_not_finite(world: World, folder: Path) -> None:
    """One row, in the part of the last process, is not finite: all stop, before the step changes a weight."""
    trainer = make_trainer(world, "ddp", folder)
    rows = trainer.source.whole.order(0)[32:64]
    trainer.source.whole.tensors["inputs"] = trainer.source.whole.tensors["inputs"].float()
    trainer.source.whole.tensors["inputs"][rows[-1]] = float("nan")
    try:
        trainer.fit()
    except TrainingStopped as stopped:
        finite = all(bool(torch.isfinite(value).all()) for value in trainer.learner.predicting_state().values())
        told = {"message": str(stopped), "step": trainer.step, "finite": finite}
        (folder / f"told-{world.rank}").write_text(json.dumps(told), encoding="utf-8")


JOBS = {"compute": job_compute, "go_on": job_go_on, "damaged": job_damaged, "not_finite": job_not_finite}


def start(job: str, folder: Path, rank: int, size: int, meeting: str) -> int:
    """Runs a job in a process forked from this one, which spares it the imports; returns its number."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        told = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size}
        os.environ.update({name: str(value) for name, value in told.items()}, GRADUS_RENDEZVOUS=meeting)
        JOBS[job](join(), folder)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        leave()
        os._exit(code)


def serve() -> None:
    """Reads lines "JOB SIZE FOLDER" and answers each with the exit codes of its processes."""
    sys.modules["pandas"] = None  # type: ignore[assignment] # scikit-learn would take it along, and it begins a thread
    import torch._dynamo  # by the first optimiser

    torch.set_num_threads(1)
    digits()  # imports scikit-learn
    del sys.modules["pandas"]
    for number, line in enumerate(sys.stdin):
        job, size, folder = line.split(maxsplit=2)
        meeting = (Path(folder.strip()) / f"meeting-{number}").as_uri()
        children = [start(job, Path(folder.strip()), rank, int(size), meeting) for rank in range(int(size))]
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        print(*codes, flush=True)


if __name__ == "__main__":
    serve()
