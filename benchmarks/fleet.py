"""Many small models at once: 64 regressors 13-64-64-1, one by one and as one, beside loops written by hand and the peers.

    .peers/bin/python benchmarks/fleet.py [--rounds 3] [--steps 200] [--models 64] [--sizes 1,4,16,64,256] [--only gradus-fleet]

A step means one update of every model: 64 updates. All train on the same Boston housing rows (diabetes where GRADUS_DATA does not
hold them), each from weights and in an order of its own, with Adam. All contestants run in this process on one thread, in turns:
A B C A B C ... In each turn a contestant trains from the start; its first epoch (warm-up, recording the step) is told apart
as start-up, together with what came before it. Validation is not counted. Gradus' fleet of one model is its ordinary trainer.

Contestants that train one model after the other and are slow train `FEW` models only, and their time is multiplied: so marked.

Shapes: M models, N rows, B rows a batch, F features, H hidden units.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import math
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "torch")

import torch
from run import describe_machine
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from gradus.data.catalogue import CATALOGUE, find
from gradus.data.load import DataSettings
from gradus.models import ModelSettings
from gradus.recipes.experiment import Experiment, prepare
from gradus.recipes.many import train_many
from gradus.recipes.recipe import Recipe
from gradus.tasks.settings import TaskSettings
from gradus.train import fleet
from gradus.train.settings import OptimizerSettings, TrainSettings

WIDTH, LEARNING_RATE = 64, 0.001
FEW = 4


@dataclass(frozen=True)
class Work:
    """What one turn trains: `models` models for 1 + `epochs` epochs. inputs (N, F), targets (N,), as Gradus' task scales them"""

    models: int
    batch_size: int
    epochs: int
    inputs: Tensor
    targets: Tensor

    @property
    def steps(self) -> int:
        return -(-len(self.inputs) // self.batch_size)

    def recipes(self) -> list[Recipe]:
        return [recipe(seed, self.batch_size, 1 + self.epochs) for seed in range(self.models)]

    def create_model(self, seed: int) -> nn.Module:
        """The network that Gradus makes, without Gradus around it."""
        torch.manual_seed(seed)
        layers = [nn.Linear(self.inputs.shape[1], WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(WIDTH, 1))


@dataclass(frozen=True)
class Turn:
    """step: seconds of one step of all models; start: those until the first timed epoch, less one epoch; models: trained"""

    step: float
    start: float
    models: int


@dataclass(frozen=True)
class Contestant:
    title: str
    train: Callable[[Work], Turn]
    needs: str = ""  # a package


def source() -> str:
    return "boston_housing" if find(CATALOGUE["boston_housing"]) is not None else "diabetes"


def recipe(seed: int, batch_size: int, epochs: int) -> Recipe:
    optimizer = OptimizerSettings(name="adam", learning_rate=LEARNING_RATE)
    return Recipe(
        data=DataSettings(source=source(), validation=0.25),
        task=TaskSettings(name="tabular-regression"),
        model=ModelSettings(name="mlp", options={"hidden": [WIDTH, WIDTH]}),
        train=TrainSettings(
            epochs=epochs, batch_size=batch_size, seed=seed, device="cpu", threads=1, optimizer=optimizer
        ),
    )


def create_work(models: int, batch_size: int, steps: int) -> Work:
    """Work of at least `steps` timed steps, on the training rows of Gradus' split."""
    experiment: Experiment = prepare(recipe(0, batch_size, 1))
    rows = experiment.tensors["train"]
    inputs, targets = experiment.task.prepare(rows, training=True)
    epochs = math.ceil(steps / -(-len(inputs) // batch_size))
    return Work(models, batch_size, epochs, inputs.contiguous(), targets.float().reshape(-1).contiguous())


def turn_of(began: float, marks: list[list[float]], work: Work, *, models: int, in_sequence: bool) -> Turn:
    """marks: the clock at the start of training and after each epoch, one list a training.

    in_sequence: the trainings followed each other, so that their times add up; `models` of `work.models` were trained
    """
    scale = work.models / models if in_sequence else 1.0
    timed = sum(clock[-1] - clock[1] for clock in marks) * scale
    epoch = timed / work.epochs
    first = sum(clock[1] - clock[0] for clock in marks) * scale
    before = (marks[0][0] - began) * (scale if in_sequence else 1.0)
    return Turn(epoch / work.steps, max(0.0, before + first - epoch), models)


# By hand


def bare(fused: bool) -> Callable[[Work], Turn]:
    """One model after the other; `fused`: torch.optim's fused Adam in place of its default."""

    def train(work: Work) -> Turn:
        began, marks = time.perf_counter(), []
        for seed in range(work.models):
            model = work.create_model(seed)
            optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, fused=fused)
            clock = [time.perf_counter()]
            for _ in range(1 + work.epochs):
                for chosen in torch.randperm(len(work.inputs)).split(work.batch_size):
                    inputs, targets = work.inputs.index_select(0, chosen), work.targets.index_select(0, chosen)
                    optimizer.zero_grad()
                    mse_loss(model(inputs)[:, 0], targets).backward()
                    optimizer.step()
                clock.append(time.perf_counter())
            marks.append(clock)
        return turn_of(began, marks, work, models=work.models, in_sequence=True)

    return train


def stacked(derived: bool) -> Callable[[Work], Turn]:
    """All models as one, by batched matrix products; `derived`: the gradient is written out too, autograd is not asked."""

    def train(work: Work) -> Turn:
        began = time.perf_counter()
        models = [work.create_model(seed) for seed in range(work.models)]
        columns = zip(
            *(model.parameters() for model in models), strict=True
        )  # weights (out, in) and biases (out,), in turn
        parameters: list[Tensor] = []
        for column in columns:
            tensor = torch.stack([one.detach() for one in column])
            tensor = tensor.transpose(1, 2).contiguous() if tensor.ndim == 3 else tensor[:, None]
            parameters.append(tensor.requires_grad_())  # (M, in, out), (M, 1, out)
        optimizer = torch.optim.Adam(parameters, lr=LEARNING_RATE, fused=True)
        clock = [time.perf_counter()]
        for _ in range(1 + work.epochs):
            order = torch.rand(work.models, len(work.inputs)).argsort(dim=1)
            for chosen in order.split(work.batch_size, dim=1):
                shape = (work.models, chosen.shape[1], -1)
                inputs = work.inputs.index_select(0, chosen.reshape(-1)).view(shape)
                targets = work.targets.index_select(0, chosen.reshape(-1)).view(shape)
                if derived:
                    with torch.no_grad():
                        write_gradient(parameters, inputs, targets)
                else:
                    optimizer.zero_grad()
                    first, first_bias, second, second_bias, last, last_bias = parameters
                    hidden = torch.baddbmm(first_bias, inputs, first).relu()
                    hidden = torch.baddbmm(second_bias, hidden, second).relu()
                    outputs = torch.baddbmm(last_bias, hidden, last)
                    (outputs - targets).square().mean(dim=(1, 2)).sum().backward()
                optimizer.step()
            clock.append(time.perf_counter())
        return turn_of(began, [clock], work, models=work.models, in_sequence=False)

    return train


def write_gradient(parameters: list[Tensor], inputs: Tensor, targets: Tensor) -> None:
    """Sets .grad of each parameter to that of the sum over models of the mean squared error over the batch.

    inputs (M, B, F), targets (M, B, 1)
    """
    first, first_bias, second, second_bias, last, last_bias = parameters
    low = torch.baddbmm(first_bias, inputs, first).relu_()  # (M, B, H)
    high = torch.baddbmm(second_bias, low, second).relu_()
    error = torch.baddbmm(last_bias, high, last).sub_(targets).mul_(2 / inputs.shape[1])  # (M, B, 1)
    above = torch.bmm(error, last.transpose(1, 2)).mul_(high > 0)
    below = torch.bmm(above, second.transpose(1, 2)).mul_(low > 0)
    last.grad, last_bias.grad = torch.bmm(high.transpose(1, 2), error), error.sum(1, keepdim=True)
    second.grad, second_bias.grad = torch.bmm(low.transpose(1, 2), above), above.sum(1, keepdim=True)
    first.grad, first_bias.grad = torch.bmm(inputs.transpose(1, 2), below), below.sum(1, keepdim=True)


# Gradus


def gradus_one_by_one(work: Work) -> Turn:
    return _train_many(work, together=False)


def gradus_fleet(recorded: bool | None) -> Callable[[Work], Turn]:
    """recorded: whether the step is recorded first; None: as Gradus decides by the number of steps to come."""

    def train(work: Work) -> Turn:
        with _recording(recorded):
            return _train_many(work, together=True)

    return train


def _train_many(work: Work, *, together: bool) -> Turn:
    began = time.perf_counter()
    outcomes = train_many(work.recipes(), together=together)
    whole = time.perf_counter() - began
    if errors := [outcome.error for outcome in outcomes if outcome.error]:
        raise RuntimeError(errors[0])
    before = whole - sum(outcome.seconds for outcome in outcomes)  # of a fleet each holds its share
    seconds = [[record["train_seconds"] for record in outcome.history] for outcome in outcomes]
    timed, first = sum(one[-1] - one[0] for one in seconds), sum(one[0] for one in seconds)
    epoch = timed / work.epochs
    return Turn(epoch / work.steps, max(0.0, before + first - epoch), work.models)


@contextlib.contextmanager
def _recording(recorded: bool | None) -> Iterator[None]:
    usual = fleet.TRACE_FROM
    if recorded is not None:
        fleet.TRACE_FROM = 0 if recorded else sys.maxsize
    try:
        yield
    finally:
        fleet.TRACE_FROM = usual


# The peers, one model after the other


def keras_one_by_one(work: Work) -> Turn:
    import keras
    from keras import layers

    class Mark(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
            marks[-1].append(time.perf_counter())

    inputs, targets = work.inputs.numpy(), work.targets.numpy()
    models = min(FEW, work.models)
    began, marks = time.perf_counter(), []
    for seed in range(models):
        keras.utils.set_random_seed(seed)
        hidden = [layers.Dense(WIDTH, activation="relu"), layers.Dense(WIDTH, activation="relu")]
        model = keras.Sequential([keras.Input((inputs.shape[1],)), *hidden, layers.Dense(1)])
        model.compile(optimizer=keras.optimizers.Adam(LEARNING_RATE), loss="mse")
        marks.append([time.perf_counter()])
        model.fit(inputs, targets, batch_size=work.batch_size, epochs=1 + work.epochs, verbose=0, callbacks=[Mark()])
    return turn_of(began, marks, work, models=models, in_sequence=True)


def skorch_one_by_one(work: Work) -> Turn:
    from skorch import NeuralNetRegressor
    from skorch.callbacks import Callback

    class Mark(Callback):
        def on_epoch_end(self, net: NeuralNetRegressor, **kwargs: object) -> None:
            marks[-1].append(time.perf_counter())

    inputs, targets = work.inputs.numpy(), work.targets.numpy()[:, None]
    models = min(FEW, work.models)
    began, marks = time.perf_counter(), []
    for seed in range(models):
        net = NeuralNetRegressor(
            work.create_model(seed),
            optimizer=torch.optim.Adam,
            lr=LEARNING_RATE,
            batch_size=work.batch_size,
            iterator_train__shuffle=True,
            max_epochs=1 + work.epochs,
            train_split=None,
            verbose=0,
            callbacks=[("mark", Mark())],
        )
        marks.append([time.perf_counter()])
        net.fit(inputs, targets)
    return turn_of(began, marks, work, models=models, in_sequence=True)


CONTESTANTS: dict[str, Contestant] = {
    "bare": Contestant("bare loop, one by one", bare(fused=False)),
    "bare-fused": Contestant("bare loop, one by one, fused Adam", bare(fused=True)),
    "gradus-one": Contestant("**Gradus, one by one**", gradus_one_by_one),
    "gradus-fleet": Contestant("**Gradus, the fleet**, step not recorded", gradus_fleet(recorded=False)),
    "gradus-recorded": Contestant("**Gradus, the fleet**, step recorded", gradus_fleet(recorded=True)),
    "hand-stacked": Contestant("stacked by hand, bmm and autograd", stacked(derived=False)),
    "hand-derived": Contestant("stacked by hand, gradient written out too", stacked(derived=True)),
    "skorch": Contestant("skorch, one by one", skorch_one_by_one, needs="skorch"),
    "keras": Contestant("Keras 3 on torch, one by one", keras_one_by_one, needs="keras"),
}
BY_SIZE = ("bare-fused", "gradus-fleet", "gradus-recorded", "hand-derived")


@dataclass
class Measured:
    turns: list[Turn] = field(default_factory=list)
    failure: str = ""

    @property
    def step(self) -> float:
        """Seconds a step of all models, median of the turns; not a number where there are none."""
        return statistics.median(turn.step for turn in self.turns) if self.turns else math.nan

    def as_json(self) -> dict:
        return {"turns": [vars(turn) for turn in self.turns], "failure": self.failure}


def measure(names: list[str], work: Work, rounds: int) -> dict[str, Measured]:
    """All contestants on one work, in turns. One that fails is out, and its failure is told."""
    found = {name: Measured() for name in names}
    for round_ in range(rounds):
        for name, measured in found.items():
            contestant = CONTESTANTS[name]
            if contestant.needs and importlib.util.find_spec(contestant.needs) is None:
                measured.failure = f"{contestant.needs} is not installed"
            if measured.failure:
                continue
            try:
                measured.turns.append(contestant.train(work))
            except Exception as error:
                measured.failure = (str(error).splitlines() or [type(error).__name__])[0]
        print(f"  {work.models} models, batch {work.batch_size}: round {round_ + 1} done", file=sys.stderr, flush=True)
    return found


def table(found: dict[str, Measured], work: Work) -> str:
    """Markdown. Ratios are to the fastest bare loop that trains one model after the other."""
    references = [found[name].step for name in ("bare", "bare-fused") if name in found and found[name].turns]
    reference = min(references, default=math.nan)
    lines = [
        "| contestant | ms a step of all, median | least | greatest | times as fast as the bare loop | start-up, s |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, measured in sorted(found.items(), key=lambda item: item[1].step if item[1].turns else math.inf):
        title = CONTESTANTS[name].title
        if measured.failure:
            lines.append(f"| {title} | {measured.failure} | | | | |")
            continue
        steps = [turn.step * 1e3 for turn in measured.turns]
        start = statistics.median(turn.start for turn in measured.turns)
        models = measured.turns[0].models
        if models < work.models:
            title += f" ({models} models, times {work.models / models:g})"
        numbers = " | ".join(f"{value:.2f}" for value in (measured.step * 1e3, min(steps), max(steps)))
        lines.append(f"| {title} | {numbers} | {reference / measured.step:.1f} | {start:.2f} |")
    return "\n".join(lines)


def size_table(found: dict[int, dict[str, Measured]]) -> str:
    """Markdown: medians, ms a step of all models; in brackets how many times as fast as the bare loop."""
    names = list(next(iter(found.values())))
    titles = [CONTESTANTS[name].title for name in names]
    lines = [f"| models | {' | '.join(titles)} |", "|---:|" + "---:|" * len(names)]
    for size, row in found.items():
        reference = row["bare-fused"].step if "bare-fused" in row else math.nan
        cells = []
        for measured in row.values():
            times = "" if math.isnan(reference) else f" ({reference / measured.step:.1f})"
            cells.append(measured.failure or f"{measured.step * 1e3:.2f}{times}")
        lines.append(f"| {size} | {' | '.join(cells)} |")
    return "\n".join(lines)


def parse_arguments() -> argparse.Namespace:
    def names(text: str) -> list[str]:
        chosen = text.split(",")
        if unknown := [name for name in chosen if name not in CONTESTANTS]:
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; known: {', '.join(CONTESTANTS)}")
        return chosen

    def sizes(text: str) -> list[int]:
        return [int(size) for size in text.split(",") if size]

    parser = argparse.ArgumentParser(description="Many small models at once: Gradus' fleet, loops by hand, the peers.")
    parser.add_argument("--models", type=int, default=64, help="models of the first table and of the batch-1 case")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each contestant")
    parser.add_argument("--steps", type=int, default=200, help="least timed steps a turn")
    parser.add_argument("--sizes", type=sizes, default=[1, 4, 16, 64, 256], help="fleet sizes; empty: no such table")
    parser.add_argument("--only", type=names, default=list(CONTESTANTS), help="contestants, joined by commas")
    parser.add_argument("--json", type=Path, default=Path("runs/benchmark-fleet.json"), help="where the numbers go")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    header = describe_machine("benchmarks/fleet.py")
    torch.set_num_threads(1)
    header["threads"] = "1"
    print("# Benchmark: many models\n")
    print("\n".join(f"- {key}: {value}" for key, value in header.items()), flush=True)
    work = create_work(arguments.models, 32, arguments.steps)
    rows = f"{len(work.inputs)} training rows of {source()}, {work.inputs.shape[1]} features"
    written: dict = {"header": header, "data": rows, "rounds": arguments.rounds, "cases": {}, "sizes": {}}

    cases = {f"{arguments.models} models, batch 32": work}
    cases[f"{arguments.models} models, batch 1 (the book's)"] = create_work(arguments.models, 1, arguments.steps)
    for title, case in cases.items():
        found = measure(arguments.only, case, arguments.rounds)
        print(f"\n## {title}\n\nData: {rows}. {case.epochs} timed epochs of {case.steps} steps a turn.\n")
        print(table(found, case), flush=True)
        written["cases"][title] = {name: measured.as_json() for name, measured in found.items()}

    by_size: dict[int, dict[str, Measured]] = {}
    names = [name for name in BY_SIZE if name in arguments.only]
    for size in arguments.sizes if names else []:
        by_size[size] = measure(names, replace(work, models=size), arguments.rounds)
        written["sizes"][size] = {name: measured.as_json() for name, measured in by_size[size].items()}
    if by_size:
        print(
            "\n## By the number of models, batch 32\n\nms a step of all models; in brackets: times as fast as the bare loop.\n"
        )
        print(size_table(by_size), flush=True)
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(written, indent=1) + "\n")
    print(f"\nWritten to {arguments.json}")


if __name__ == "__main__":
    main()
