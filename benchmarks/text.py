"""An LSTM that reads film reviews: an epoch in Gradus, in loops written by hand, in Keras on torch, in turns on one machine.

    .peers/bin/python benchmarks/text.py [--epochs 2] [--rows 3200] [--only gradus,bare] [--json FILE]

The network of `imdb-lstm`: the last 500 tokens of each review, 10 000 ids, vectors of 32, LSTM of 32, batches of 128, RMSprop.
Each contestant is a process of its own with one thread and trains `1 + epochs` epochs, of which the first is not counted; between
two epochs it is stopped while the others have their turn.

What differs: `gradus` and the loops `bare` and `bare-flushed` make batches of rows of about one length, padded to the longest
of them (rows are sorted in pools of 50 batches); `bare-padded` and Keras pad all rows to 500, as the texts do, and read the
padding. `bare-flushed` takes denormal numbers as zero, as Gradus does. Gradus and Keras also count the loss and the accuracy.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import signal
import sys
import tempfile
from pathlib import Path

import numpy as np
from clock import Clock
from contestants import Contestant
from run import Measured, Process, describe_machine

HERE = Path(__file__).parent
WORDS, LENGTH, WIDTH, BATCH, POOL = 10_000, 500, 32, 128, 50
LEARNING_RATE, RHO, EPSILON = 0.001, 0.9, 1e-7

TEXT_CONTESTANTS = {
    "gradus": Contestant("Gradus, the trainer", "text:gradus"),
    "bare": Contestant("bare loop, batches of about one length", "text:bare"),
    "bare-flushed": Contestant("the same, denormal numbers taken as zero", "text:bare_flushed"),
    "bare-padded": Contestant("bare loop, all rows padded to 500", "text:bare_padded"),
    "keras-torch": Contestant(
        "Keras 3 on torch, all rows padded to 500", "text:keras_torch", {"KERAS_BACKEND": "torch"}
    ),
}


class Rows:
    """flat (all ids), offsets (N + 1,), labels (N,): the rows of a file that `write_rows` made."""

    def __init__(self, file: Path) -> None:
        with np.load(file) as arrays:
            self.flat, self.offsets, self.labels = arrays["flat"], arrays["offsets"], arrays["labels"]
        self.lengths = np.diff(self.offsets)

    def padded(self, rows: np.ndarray, length: int, left: bool = False) -> np.ndarray:
        """(R, length) int64 with 0 where there is no token."""
        found = np.zeros((len(rows), length), dtype=np.int64)
        for place, row in enumerate(rows):
            ids = self.flat[self.offsets[row] : self.offsets[row + 1]]
            found[place, length - len(ids) if left else 0 :][: len(ids)] = ids
        return found


def write_rows(file: Path, rows: int) -> str:
    """Film reviews as `imdb-lstm` reads them; else random ids of about their lengths. What they are, in words."""
    from gradus.data import catalogue
    from gradus.data.load import load_data
    from gradus.recipes.imdb import reading
    from gradus.tasks.table import create_task

    random = np.random.default_rng(0)
    if catalogue.find(catalogue.CATALOGUE["imdb"]) is None:
        lengths = np.minimum(random.lognormal(5.3, 0.6, rows).astype(int) + 10, LENGTH)
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        np.savez(file, flat=random.integers(4, WORDS, offsets[-1]), offsets=offsets, labels=random.integers(0, 2, rows))
        return f"NOT IMDB, which is not on this machine (set GRADUS_DATA): {rows:,} rows of random ids"
    whole = load_data("imdb")
    train = whole["train"].take(np.sort(random.permutation(len(whole["train"]))[:rows]))
    dataset = whole.with_splits({"train": train})
    encoded = create_task(reading(LENGTH), dataset).encode(train)
    ids = encoded["inputs"]
    np.savez(file, flat=ids.flat.numpy(), offsets=ids.offsets.numpy(), labels=encoded["targets"].numpy())
    return f"IMDB, {rows:,} of 25 000 training reviews, {ids.lengths.float().mean():.0f} tokens on average"


def gradus(rows: Rows, epochs: int, clock: Clock) -> None:
    import torch
    from gradus_entry import lap_each_epoch
    from tensor_task import TensorTask

    from gradus.data.device_rows import Ragged
    from gradus.models import create_model
    from gradus.train.devices import plan_device, set_up_process
    from gradus.train.learner import Supervised
    from gradus.train.settings import OptimizerSettings, TrainSettings
    from gradus.train.source import Resident
    from gradus.train.trainer import Trainer

    optimizer = OptimizerSettings(name="rmsprop", learning_rate=LEARNING_RATE, rho=RHO, epsilon=EPSILON)
    settings = TrainSettings(epochs=epochs, batch_size=BATCH, optimizer=optimizer, threads=1)
    plan = plan_device("cpu")
    set_up_process(plan, threads=1, deterministic=False)
    ids = Ragged(torch.from_numpy(rows.flat).int(), torch.from_numpy(rows.offsets))
    torch.manual_seed(0)
    model = create_model("lstm", num_tokens=WORDS, embedding_size=WIDTH, hidden_size=WIDTH)
    learner = Supervised(model, TensorTask(["negative", "positive"]), settings, plan)
    source = Resident({"inputs": ids, "targets": torch.from_numpy(rows.labels)}, BATCH)
    trainer = Trainer(learner, source, settings, observers=(lap_each_epoch(clock),))
    clock.start()
    trainer.fit()


def bare(rows: Rows, epochs: int, clock: Clock, *, flushed: bool = False, bucketed: bool = True) -> None:
    import torch
    from torch import nn
    from torch.nn.functional import cross_entropy

    torch.set_num_threads(1)
    torch.manual_seed(0)
    torch.set_flush_denormal(flushed)
    embedding = nn.Embedding(WORDS, WIDTH, 0 if bucketed else None)
    lstm, head = nn.LSTM(WIDTH, WIDTH, batch_first=True), nn.Linear(WIDTH, 2)
    nn.init.uniform_(embedding.weight, -0.05, 0.05)
    with torch.no_grad():
        lstm.bias_ih_l0[WIDTH : 2 * WIDTH] = 1
    model = nn.ModuleList([embedding, lstm, head])
    optimizer = torch.optim.RMSprop(model.parameters(), lr=LEARNING_RATE, alpha=RHO, eps=EPSILON)
    labels, random = torch.from_numpy(rows.labels), np.random.default_rng(0)
    everything = None if bucketed else torch.from_numpy(rows.padded(np.arange(len(labels)), LENGTH, left=True))
    clock.start()
    for _ in range(epochs):
        order = random.permutation(len(labels))
        if bucketed:
            pools = [order[start : start + POOL * BATCH] for start in range(0, len(order), POOL * BATCH)]
            order = np.concatenate([pool[np.argsort(rows.lengths[pool], kind="stable")] for pool in pools])
        batches = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]
        for place in random.permutation(len(batches)):
            chosen = batches[place]
            if everything is None:
                lengths = torch.from_numpy(rows.lengths[chosen])
                ids = torch.from_numpy(rows.padded(chosen, int(lengths.max())))
                outputs = lstm(embedding(ids))[0][torch.arange(len(chosen)), lengths - 1]
            else:
                outputs = lstm(embedding(everything[chosen]))[0][:, -1]
            loss = cross_entropy(head(outputs), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        clock.lap()


def bare_flushed(rows: Rows, epochs: int, clock: Clock) -> None:
    bare(rows, epochs, clock, flushed=True)


def bare_padded(rows: Rows, epochs: int, clock: Clock) -> None:
    bare(rows, epochs, clock, bucketed=False)


def keras_torch(rows: Rows, epochs: int, clock: Clock) -> None:
    import keras
    import torch
    from keras_peer import LapEachEpoch

    torch.set_num_threads(1)
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Embedding(WORDS, WIDTH), keras.layers.LSTM(WIDTH), keras.layers.Dense(2)]
    model = keras.Sequential([keras.Input((LENGTH,), dtype="int32"), *layers])
    model.compile(
        optimizer=keras.optimizers.RMSprop(learning_rate=LEARNING_RATE, rho=RHO, epsilon=EPSILON),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    ids = rows.padded(np.arange(len(rows.labels)), LENGTH, left=True).astype("int32")
    clock.start()
    model.fit(ids, rows.labels, batch_size=BATCH, epochs=epochs, verbose=0, callbacks=[LapEachEpoch(clock)])


class TextProcess(Process):
    """A contestant's process, which is this file with --contestant."""

    def __init__(self, name: str, file: Path, epochs: int) -> None:
        import subprocess

        self.measured = Measured(TEXT_CONTESTANTS[name])
        self.log = file.parent / f"{name}.log"
        command = [sys.executable, __file__, "--contestant", name, "--file", str(file), "--epochs", str(epochs)]
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
            )
        self._receive()
        self._pause()


def contestant(name: str, file: Path, epochs: int) -> None:
    """The life of a contestant's process."""
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    chosen = TEXT_CONTESTANTS[name]
    os.environ.update(chosen.environment)
    clock = Clock(channel, epochs)
    getattr(importlib.import_module("text"), chosen.function.partition(":")[2])(Rows(file), epochs, clock)
    clock.send({"left": clock.left})


def measure(names: list[str], file: Path, epochs: int) -> dict[str, Measured]:
    """All contestants, in turns; the first epoch of each is not counted."""
    processes: dict[str, TextProcess] = {}
    try:
        for name in names:
            processes[name] = TextProcess(name, file, 1 + epochs)
        for epoch in range(1 + epochs):
            for process in processes.values():
                process.turn(timed=epoch > 0, last=epoch == epochs)
    finally:
        for process in processes.values():
            process.end()
    return {name: process.measured for name, process in processes.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description="An epoch of an LSTM on film reviews, side by side.")
    parser.add_argument("--epochs", type=int, default=2, help="timed epochs of each, after one that is not")
    parser.add_argument("--rows", type=int, default=3_200, help="training reviews, 25 000 at most")
    parser.add_argument("--only", default=",".join(TEXT_CONTESTANTS), help="contestants, joined by commas")
    parser.add_argument("--json", type=Path, help="where the numbers go")
    parser.add_argument("--contestant", help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.contestant:
        contestant(arguments.contestant, arguments.file, arguments.epochs)
        return
    names = arguments.only.split(",")
    if unknown := [name for name in names if name not in TEXT_CONTESTANTS]:
        parser.error(f"unknown: {', '.join(unknown)}; known: {', '.join(TEXT_CONTESTANTS)}")
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    header = describe_machine("benchmarks/text.py") | {"threads": "one each"}
    print("\n".join(f"- {key}: {value}" for key, value in header.items()), flush=True)
    with tempfile.TemporaryDirectory(prefix="gradus-benchmark-") as folder:
        file = Path(folder) / "reviews.npz"
        about = write_rows(file, arguments.rows)
        print(f"- data: {about}\n", flush=True)
        found = measure(names, file, arguments.epochs)
    print("| contestant | median, s an epoch | least | greatest | to Gradus |\n|---|---:|---:|---:|---:|")
    ours = found["gradus"].median if "gradus" in found and found["gradus"].seconds else float("nan")
    for result in sorted(found.values(), key=lambda result: result.median if result.seconds else float("inf")):
        if result.failure or not result.seconds:
            print(f"| {result.contestant.title} | failed: {result.failure} | | | |")
            continue
        times = " | ".join(f"{value:.2f}" for value in (result.median, min(result.seconds), max(result.seconds)))
        print(f"| {result.contestant.title} | {times} | {result.median / ours:.2f} |")
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        seconds = {name: result.seconds for name, result in found.items()}
        arguments.json.write_text(json.dumps({"header": header, "data": about, "seconds": seconds}, indent=1) + "\n")


if __name__ == "__main__":
    main()
