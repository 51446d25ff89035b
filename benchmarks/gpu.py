"""On a GPU: what a step costs with and without a CUDA graph, and the seconds of training to 99 % on MNIST and 94 % on CIFAR-10.

    python benchmarks/gpu.py --make-data FOLDER      where GRADUS_DATA holds the two sets; writes files below 60 MiB
    PYTHONPATH=. python benchmarks/gpu.py --data FOLDER [--only steps,mnist,cifar] [--runs 5] [--json FILE]

The second needs PyTorch, NumPy, Pillow and safetensors; Lightning is measured where it is installed. It also runs with
`--device cpu --rows 512 --epochs 1`, which says nothing about speed but tries every line that needs no GPU.

Held equal: rows (uint8, on the device), batch, network, optimiser and its settings, TF32 as Gradus sets it, channels-last. By
hand the order of an epoch is drawn on the device. Gradus also counts correct answers and looks for values that are not finite.

Steps: each contestant trains `1 + epochs` epochs from the start, in turns (A B C A B C ...); the first epoch (loading of kernels,
warm-up, capture) is told apart. An epoch ends when the device has finished.

Races: the test rows are judged after each epoch; judging is not counted. Time to accuracy is the training time at the end of
the first epoch whose test accuracy reaches the goal. Warm-up: one whole training of each contestant comes first and is not
counted (kernels are loaded, algorithms chosen); the capture of the graph is part of each training and is counted.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import logging
import math
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from gpu_networks import ResNet9, SmallConvnet, as_is, augment, pad
from tensor_task import Preparation, TensorTask
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from gradus.models import create_model
from gradus.train.devices import plan_device, set_up_process
from gradus.train.learner import Supervised
from gradus.train.schedules import factor_at
from gradus.train.settings import OptimizerSettings, ScheduleSettings, TrainSettings
from gradus.train.source import Resident
from gradus.train.trainer import Trainer

CLASSES = tuple("0123456789")
PART_ROWS = 16_667  # of CIFAR-10 in one file: 51 MB of pixels
WARM_UP = 3  # ordinary steps before a capture by hand


@dataclass(frozen=True)
class Rows:
    """inputs: uint8 (N, H, W, C); targets: int64 (N,); both on the device"""

    inputs: Tensor
    targets: Tensor

    def first(self, rows: int) -> Rows:
        return Rows(self.inputs[:rows], self.targets[:rows])


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is trained. `goal`: the test accuracy of a race; 0: nothing is judged."""

    name: str
    network: Callable[[], nn.Module]
    settings: TrainSettings
    train: Rows
    test: Rows | None = None
    preparation: Preparation = as_is
    smoothing: float = 0.0
    goal: float = 0.0

    @property
    def device(self) -> torch.device:
        return self.train.inputs.device

    @property
    def steps(self) -> int:
        return -(-len(self.train.targets) // self.settings.batch_size)


@dataclass
class Trained:
    """seconds: of each epoch; accuracies: on the test rows after each epoch"""

    seconds: list[float] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)

    def reached(self, goal: float) -> float:
        """Seconds of training at the end of the first epoch that reaches the goal; infinite where none does."""
        total = 0.0
        for seconds, accuracy in zip(self.seconds, self.accuracies, strict=True):
            total += seconds
            if accuracy >= goal:
                return total
        return math.inf


# Contestants: (job, seed, bf16) -> Trained


def by_hand(captured: bool) -> Callable[[Job, int, bool], Trained]:
    """A loop written for speed. captured: batch selection, forward, backward and update as one CUDA graph."""

    def train(job: Job, seed: int, bf16: bool) -> Trained:
        torch.manual_seed(seed)
        settings, device = job.settings, job.device
        model = job.network().to(device).to(memory_format=torch.channels_last).train()
        optimizer = create_optimizer(model, settings.optimizer, device)
        chosen = torch.zeros(settings.batch_size, dtype=torch.int64, device=device)

        def step(rows: Tensor) -> None:
            inputs, targets = job.train.inputs.index_select(0, rows), job.train.targets.index_select(0, rows)
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                outputs = model(job.preparation(inputs, True))
                loss = cross_entropy(outputs, targets, label_smoothing=job.smoothing)
            loss.backward()
            optimizer.step()

        graph, done, found = None, 0, Trained()
        rates = [float(group["lr"]) for group in optimizer.param_groups]
        for _ in range(settings.epochs):
            synchronize(device)
            began = time.perf_counter()
            for rows in torch.randperm(len(job.train.targets), device=device).split(settings.batch_size):
                factor = factor_at(settings.schedule, done, settings.epochs * job.steps, job.steps)
                if settings.schedule.name != "constant":
                    for group, rate in zip(optimizer.param_groups, rates, strict=True):
                        set_rate(group, rate * factor)
                done += 1
                if not captured or done <= WARM_UP or len(rows) < settings.batch_size:
                    aside(step, rows) if captured and done <= WARM_UP else step(rows)
                    continue
                chosen.copy_(rows)
                if graph is None:
                    graph = torch.cuda.CUDAGraph()
                    with torch.cuda.graph(graph):
                        step(chosen)
                graph.replay()
            synchronize(device)
            found.seconds.append(time.perf_counter() - began)
            if job.test is not None:
                found.accuracies.append(accuracy_of(model, job, bf16))
        return found

    return train


def aside(step: Callable[[Tensor], None], rows: Tensor) -> None:
    """A step on a side stream, as capturing asks for."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        step(rows)
    torch.cuda.current_stream().wait_stream(stream)


def create_optimizer(model: nn.Module, settings: OptimizerSettings, device: torch.device) -> torch.optim.Optimizer:
    """torch.optim's fused Adam or SGD; weights decay, biases and norms do not."""
    weights = [parameter for parameter in model.parameters() if parameter.ndim >= 2]
    others = [parameter for parameter in model.parameters() if parameter.ndim < 2]
    groups = [{"params": weights, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
    value = settings.resolved().learning_rate
    assert value is not None
    rate = torch.tensor(value, device=device) if device.type == "cuda" else value  # a graph repeats what is no tensor
    if settings.name == "sgd":
        return torch.optim.SGD(groups, rate, momentum=settings.momentum, nesterov=settings.nesterov, fused=True)
    return torch.optim.Adam(groups, rate, fused=True, capturable=device.type == "cuda")


def set_rate(group: dict, rate: float) -> None:
    if isinstance(group["lr"], Tensor):
        group["lr"].fill_(rate)
    else:
        group["lr"] = rate


@torch.no_grad()
def accuracy_of(model: nn.Module, job: Job, bf16: bool) -> float:
    assert job.test is not None
    model.eval()
    correct = torch.zeros((), dtype=torch.int64, device=job.device)
    for inputs, targets in zip(job.test.inputs.split(1000), job.test.targets.split(1000), strict=True):
        with torch.autocast(job.device.type, torch.bfloat16, enabled=bf16):
            correct += (model(job.preparation(inputs, False)).argmax(dim=1) == targets).count_nonzero()
    model.train()
    return correct.item() / len(job.test.targets)


def gradus(captured: bool) -> Callable[[Job, int, bool], Trained]:
    """Gradus' trainer; augmentation, which it has no setting for yet, by a task of the benchmark's own."""

    def train(job: Job, seed: int, bf16: bool) -> Trained:
        torch.manual_seed(seed)
        precision = "bf16" if bf16 else "fp32"
        settings = replace(job.settings, seed=seed, capture=captured, device=job.device.type, precision=precision)
        task = TensorTask(CLASSES, job.preparation, job.smoothing)
        learner = Supervised(job.network(), task, settings, plan_device(settings.device, precision))
        source = Resident({"inputs": job.train.inputs, "targets": job.train.targets}, settings.batch_size, seed)
        test = None if job.test is None else {"inputs": job.test.inputs, "targets": job.test.targets}
        trainer = Trainer(learner, source, settings, validation=test, monitor=("accuracy", "max"))
        trainer.fit()
        totals = [0.0, *(record["train_seconds"] for record in trainer.history)]
        if captured and job.device.type == "cuda" and not trainer.stepper.captured:
            raise RuntimeError(f"not captured: {trainer.stepper.reason}")
        accuracies = [record["validation_accuracy"] for record in trainer.history] if test is not None else []
        return Trained([later - sooner for sooner, later in pairwise(totals)], accuracies)

    return train


def lightning(tuned: bool) -> Callable[[Job, int, bool], Trained]:
    """Lightning over a DataLoader as documented; tuned: over batches that are selected on the device, channels-last."""

    def train(job: Job, seed: int, bf16: bool) -> Trained:
        import lightning
        from torch.utils.data import DataLoader, TensorDataset

        logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
        warnings.filterwarnings("ignore", module="lightning")
        torch.manual_seed(seed)
        settings, found, began = job.settings, Trained(), [0.0]
        model = job.network()
        if tuned:
            model = model.to(memory_format=torch.channels_last)

        class Module(lightning.LightningModule):
            def __init__(self) -> None:
                super().__init__()
                self.model = model

            def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
                inputs, targets = batch
                prepared = job.preparation(inputs, True) if tuned else inputs
                return cross_entropy(self.model(prepared), targets, label_smoothing=job.smoothing)

            def configure_optimizers(self) -> torch.optim.Optimizer:
                return create_optimizer(self.model, settings.optimizer, self.device)

        class Lap(lightning.Callback):
            def on_train_epoch_start(self, trainer: object, module: object) -> None:
                synchronize(job.device)
                began[0] = time.perf_counter()

            def on_train_epoch_end(self, trainer: object, module: object) -> None:
                synchronize(job.device)
                found.seconds.append(time.perf_counter() - began[0])

        if tuned:
            batches: object = OnDevice(job.train, settings.batch_size)
        else:
            pictures = job.preparation(job.train.inputs.cpu(), True).contiguous()
            dataset = TensorDataset(pictures, job.train.targets.cpu())
            batches = DataLoader(
                dataset, settings.batch_size, shuffle=True, num_workers=4, persistent_workers=True, pin_memory=True
            )
        trainer = lightning.Trainer(
            max_epochs=settings.epochs,
            accelerator="gpu" if job.device.type == "cuda" else "cpu",
            devices=1,
            precision="bf16-mixed" if bf16 else "32-true",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[Lap()],
        )
        trainer.fit(Module(), batches)
        return found

    return train


class OnDevice:
    """Batches by one index-select on the device, in place of a DataLoader."""

    def __init__(self, rows: Rows, batch_size: int) -> None:
        self.rows, self.batch_size = rows, batch_size

    def __len__(self) -> int:
        return -(-len(self.rows.targets) // self.batch_size)

    def __iter__(self):
        order = torch.randperm(len(self.rows.targets), device=self.rows.targets.device)
        for chosen in order.split(self.batch_size):
            yield self.rows.inputs.index_select(0, chosen), self.rows.targets.index_select(0, chosen)


# title -> (contestant, whether it needs a GPU, the package it needs)
CONTESTANTS: dict[str, tuple[Callable[[Job, int, bool], Trained], bool, str]] = {
    "by hand": (by_hand(captured=False), False, ""),
    "by hand, CUDA graph": (by_hand(captured=True), True, ""),
    "**Gradus**, not captured": (gradus(captured=False), False, ""),
    "**Gradus**": (gradus(captured=True), False, ""),
    "Lightning, tuned (rows on the device)": (lightning(tuned=True), False, "lightning"),
    "Lightning, DataLoader": (lightning(tuned=False), False, "lightning"),
}
RACERS = ("by hand", "by hand, CUDA graph", "**Gradus**, not captured", "**Gradus**")


def obstacle(title: str, device: torch.device) -> str:
    _, needs_gpu, package = CONTESTANTS[title]
    if needs_gpu and device.type != "cuda":
        return "needs a GPU"
    if package and importlib.util.find_spec(package) is None:
        return f"{package} is not installed"
    return ""


def measure(job: Job, runs: int, titles: list[str], precisions: list[bool]) -> dict[str, list[Trained] | str]:
    """All contestants in turns, with other seeds each time; instead of results the reason where one cannot or failed."""
    found: dict[str, list[Trained] | str] = {}
    for round_ in range(runs):
        for title in titles:
            for bf16 in precisions:
                name = f"{title}, {'bf16' if bf16 else 'fp32'}"
                earlier = found.setdefault(name, obstacle(title, job.device) or [])
                if isinstance(earlier, str):
                    continue
                try:
                    earlier.append(CONTESTANTS[title][0](job, round_, bf16))
                except Exception as error:
                    found[name] = (str(error).splitlines() or [type(error).__name__])[0]
                    synchronize(job.device)
        print(f"  {job.name}: round {round_ + 1} of {runs} done", file=sys.stderr, flush=True)
    return found


def step_table(job: Job, found: dict[str, list[Trained] | str]) -> str:
    """Markdown: milliseconds a step, over all epochs but the first of each training; and what the first took more."""
    lines = [
        "| contestant | ms a step, median | least | greatest | first epoch longer by, s |",
        "|---|---:|---:|---:|---:|",
    ]

    def key(item: tuple[str, list[Trained] | str]) -> float:
        return math.inf if isinstance(item[1], str) else median_epoch(item[1])

    for name, trainings in sorted(found.items(), key=key):
        if isinstance(trainings, str):
            lines.append(f"| {name} | {trainings} | | | |")
            continue
        steps = [seconds / job.steps * 1e3 for one in trainings for seconds in one.seconds[1:]]
        later = statistics.median(one.seconds[0] - statistics.median(one.seconds[1:]) for one in trainings)
        values = " | ".join(f"{value:.3f}" for value in (statistics.median(steps), min(steps), max(steps)))
        lines.append(f"| {name} | {values} | {later:.2f} |")
    return "\n".join(lines)


def median_epoch(trainings: list[Trained]) -> float:
    return statistics.median(seconds for one in trainings for seconds in one.seconds[1:])


def race_table(job: Job, found: dict[str, list[Trained] | str]) -> str:
    """Markdown. A training that does not reach the goal is told and counts as infinite."""
    lines = [
        f"| contestant | s to {job.goal:.0%}, median | least | greatest | reached | final accuracy, mean | s in all, median |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, trainings in found.items():
        if isinstance(trainings, str):
            lines.append(f"| {name} | {trainings} | | | | | |")
            continue
        times = [one.reached(job.goal) for one in trainings]
        reached = sum(math.isfinite(seconds) for seconds in times)
        values = " | ".join(_seconds(value) for value in (statistics.median(times), min(times), max(times)))
        final = statistics.mean(one.accuracies[-1] for one in trainings)
        whole = statistics.median(sum(one.seconds) for one in trainings)
        lines.append(f"| {name} | {values} | {reached} of {len(times)} | {final:.2%} | {whole:.2f} |")
    return "\n".join(lines)


def _seconds(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "not reached"


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


# The data


def make_data(folder: Path) -> None:
    """Writes mnist.npz and cifar10-0.npz, ...: uint8 pictures (N, H, W, C) and labels, as compressed NumPy archives."""
    import gradus
    from gradus.data.images import stack_pictures

    folder.mkdir(parents=True, exist_ok=True)
    for name, side in (("mnist", 28), ("cifar10", 32)):
        dataset = gradus.load_data(name)
        arrays = {}
        for split in ("train", "test"):
            arrays[f"{split}_inputs"] = stack_pictures(dataset[split]["image"], (side, side), "stretch")
            arrays[f"{split}_labels"] = np.asarray(dataset[split]["label"].values, dtype=np.uint8)
        if name == "mnist":
            np.savez_compressed(folder / "mnist.npz", **arrays)
            continue
        test = {key: value for key, value in arrays.items() if key.startswith("test")}
        np.savez_compressed(folder / "cifar10-test.npz", **test)
        for part, start in enumerate(range(0, len(arrays["train_labels"]), PART_ROWS)):
            chosen = slice(start, start + PART_ROWS)
            rows = {key: arrays[key][chosen] for key in ("train_inputs", "train_labels")}
            np.savez_compressed(folder / f"cifar10-{part}.npz", **rows)
    for file in sorted(folder.glob("*.npz")):
        print(f"{file}  {file.stat().st_size / 2**20:.1f} MiB")


def read_data(folder: Path, name: str, rows: int | None, device: torch.device) -> tuple[Rows, Rows] | None:
    """Training and test rows on the device, joined from all files of that name; None where they are missing."""
    found: dict[str, list[np.ndarray]] = {}
    for file in sorted(folder.glob(f"{name}*.npz")):
        with np.load(file) as arrays:
            for key in arrays.files:
                found.setdefault(key, []).append(arrays[key])
    if not all(f"{split}_{kind}" in found for split in ("train", "test") for kind in ("inputs", "labels")):
        return None

    def on_device(split: str) -> Rows:
        pictures = torch.from_numpy(np.concatenate(found[f"{split}_inputs"])[:rows]).to(device)
        labels = torch.from_numpy(np.concatenate(found[f"{split}_labels"])[:rows].astype(np.int64)).to(device)
        return Rows(pictures, labels)

    return on_device("train"), on_device("test")


# The three parts


def step_jobs(train: Rows, epochs: int | None) -> list[Job]:
    optimizer = OptimizerSettings(name="adam", learning_rate=0.001)

    def job(name: str, network: Callable[[], nn.Module], batch_size: int) -> Job:
        settings = TrainSettings(epochs=1 + (epochs or 3), batch_size=batch_size, optimizer=optimizer)
        return Job(name=name, network=network, settings=settings, train=train)

    return [
        job("mlp", lambda: create_model("mlp", in_features=784, num_classes=10, hidden=[512]), 128),
        job("convnet", lambda: create_model("mnist_convnet", num_classes=10), 64),
    ]


def mnist_race(train: Rows, test: Rows, epochs: int | None) -> Job:
    """Adam, one cycle up to 0.01, batches of 512, no augmentation."""
    settings = TrainSettings(
        epochs=epochs or 4,
        batch_size=min(512, len(train.targets)),
        optimizer=OptimizerSettings(name="adam", learning_rate=0.01),
        schedule=ScheduleSettings(name="one_cycle", peak_at=0.25),
    )
    return Job(name="MNIST", network=SmallConvnet, settings=settings, train=train, test=test, goal=0.99)


def cifar_race(train: Rows, test: Rows, epochs: int | None) -> Job:
    """Nesterov momentum, one cycle up to 0.4, batches of 512, crop, flip and hole, smoothed labels: Page's recipe, 24 epochs."""
    settings = TrainSettings(
        epochs=epochs or 24,
        batch_size=min(512, len(train.targets)),
        optimizer=OptimizerSettings(name="sgd", learning_rate=0.4, momentum=0.9, nesterov=True, weight_decay=5e-4),
        schedule=ScheduleSettings(name="one_cycle", peak_at=0.2),
    )
    padded = Rows(pad(train.inputs), train.targets)
    return Job(
        name="CIFAR-10",
        network=ResNet9,
        settings=settings,
        train=padded,
        test=test,
        preparation=augment,
        smoothing=0.1,
        goal=0.94,
    )


def describe(device: torch.device) -> list[str]:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU (this says nothing about a GPU)"
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    with contextlib.suppress(ImportError):
        import lightning

        versions += f", lightning {lightning.__version__}"
    command = " ".join(["python", "benchmarks/gpu.py", *sys.argv[1:]])
    return [time.strftime("date: %Y-%m-%d %H:%M"), f"device: {name}", f"versions: {versions}", f"command: {command}"]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Steps and times to accuracy on a GPU: by hand, Gradus, Lightning.")
    parser.add_argument("--make-data", type=Path, metavar="FOLDER", help="only write the data of both sets there")
    parser.add_argument("--data", type=Path, default=Path("runs/gpu-data"), help="the folder that --make-data wrote")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--only", default="steps,mnist,cifar", help="parts, joined by commas")
    parser.add_argument(
        "--runs", type=int, default=3, help="trainings of each contestant (in a race after one warm-up)"
    )
    parser.add_argument("--epochs", type=int, help="epochs (default: 3 timed ones; 4 of MNIST; 24 of CIFAR-10)")
    parser.add_argument("--rows", type=int, help="training and test rows (default: all)")
    parser.add_argument("--fp32-only", action="store_true", help="leave bf16 out, which many CPUs are very slow at")
    parser.add_argument("--json", type=Path, default=Path("runs/benchmark-gpu.json"), help="where the numbers go")
    arguments = parser.parse_args()
    arguments.only = arguments.only.split(",")
    if unknown := set(arguments.only) - {"steps", "mnist", "cifar"}:
        parser.error(f"--only: unknown: {', '.join(unknown)}; known: steps, mnist, cifar")
    if arguments.device == "cuda" and arguments.make_data is None and not torch.cuda.is_available():
        parser.error("there is no GPU that PyTorch can use; --device cpu tries the program out")
    return arguments


def main() -> None:
    arguments = parse_arguments()
    if arguments.make_data is not None:
        make_data(arguments.make_data)
        return
    device = torch.device(arguments.device)
    set_up_process(plan_device(arguments.device), threads=0, deterministic=False)  # TF32, for all contestants
    header = describe(device)
    print("# Benchmark: GPU\n\n" + "\n".join(f"- {line}" for line in header), flush=True)
    jobs: list[Job] = []
    for name in ("mnist", "cifar10"):
        wanted = [part for part in arguments.only if (part == "cifar") == (name == "cifar10")]
        if not wanted:
            continue
        rows = read_data(arguments.data, name, arguments.rows, device)
        if rows is None:
            print(f"\n{name}: not in {arguments.data} (make it with --make-data), left out", flush=True)
            continue
        jobs += step_jobs(rows[0], arguments.epochs) if "steps" in wanted else []
        jobs += [mnist_race(*rows, arguments.epochs)] if "mnist" in wanted else []
        jobs += [cifar_race(*rows, arguments.epochs)] if "cifar" in wanted else []
    written: dict = {"header": header, "jobs": {}}
    for job in jobs:
        precisions = [False] if arguments.fp32_only else ([True] if job.goal else [False, True])
        titles = list(RACERS if job.goal else CONTESTANTS)
        if job.goal:
            measure(job, 1, titles, precisions)  # the warm-up
        found = measure(job, arguments.runs, titles, precisions)
        settings = job.settings
        shape = f"{len(job.train.targets):,} training rows, batch {settings.batch_size}, {settings.epochs} epochs"
        print(f"\n## {job.name}\n\n{shape}, {arguments.runs} trainings of each.\n")
        print(race_table(job, found) if job.goal else step_table(job, found), flush=True)
        written["jobs"][job.name] = {
            name: one if isinstance(one, str) else [vars(training) for training in one] for name, one in found.items()
        }
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(written, indent=1) + "\n")
    print(f"\nWritten to {arguments.json}")


if __name__ == "__main__":
    main()
