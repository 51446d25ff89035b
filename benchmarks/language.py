"""Tokens a second of language models in training: ours against the same steps in a loop written by hand.

    python benchmarks/language.py [--steps 200] [--threads 2]

Both train on random characters with the same network, rows, optimiser (AdamW) and clipping, in this process one after the
other, three times in turn; the first epoch of each is not counted. Ours includes the checks for what is not finite and the
counting of hits. Printed: the median of the repeats.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional

from gradus.data.columns import Column, Text
from gradus.data.dataset import Dataset, NumberedRows, Split
from gradus.data.load import DataSettings
from gradus.models import ModelSettings, create_model
from gradus.recipes.execute import create_trainer
from gradus.recipes.experiment import prepare, train_settings
from gradus.recipes.recipe import Recipe
from gradus.tasks.settings import TaskSettings

KINDS = 65
NETWORKS = {
    "recurrent_lm": ({"hidden_size": 256, "layers": 1, "embedding_size": 64}, 32),
    "transformer_lm": ({"width": 128, "layers": 4, "heads": 4}, 16),
}
LENGTH = 64


def corpus(tokens: int) -> Dataset:
    random = np.random.default_rng(0)
    text = "".join(chr(97 + letter) for letter in random.integers(0, KINDS, tokens))
    lines = [text[at : at + 80] for at in range(0, len(text), 80)]
    split = Split({"text": Column(Text(), lines)}, NumberedRows.count("random", len(lines)))
    return Dataset(name="random", source="random", splits={"train": split}, target="text", ordered=True)


def ours(name: str, dataset: Dataset, threads: int) -> float:
    options, rows = NETWORKS[name]
    streams = rows if name == "recurrent_lm" else 0
    recipe = Recipe(
        data=DataSettings(source="random", validation=0, test=0),
        task=TaskSettings(
            name="language-modeling", options={"tokenizer": "character", "length": LENGTH, "streams": streams}
        ),
        model=ModelSettings(name=name, options=options),
        train=train_settings(epochs=2, batch_size=rows, threads=threads, regularization={"clip_norm": 1.0}),
    )
    trainer = create_trainer(prepare(recipe, dataset, measure=False))
    trainer.fit()
    seconds = [record["train_seconds"] for record in trainer.history]
    return (trainer.source.rows * LENGTH) / (seconds[1] - seconds[0])


def bare(name: str, dataset: Dataset, threads: int) -> float:
    options, rows = NETWORKS[name]
    torch.set_num_threads(threads)
    ids = torch.tensor([ord(letter) - 93 for letter in "".join(dataset["train"]["text"])])
    model = create_model(name, num_tokens=KINDS + 4, length=LENGTH, **options) if name == "transformer_lm" else None
    model = model or create_model(name, num_tokens=KINDS + 4, **options)
    optimizer = torch.optim.AdamW(model.parameters(), 0.001, fused=True)
    part = (len(ids) - 1) // rows
    steps, rate = part // LENGTH, 0.0
    for _ in range(2):
        state, order, began = None, torch.randperm(steps * rows), time.perf_counter()
        for step in range(steps):
            if name == "recurrent_lm":
                starts = torch.arange(rows) * part + step * LENGTH
            else:
                starts = order[step * rows : (step + 1) * rows] * LENGTH
            places = starts[:, None] + torch.arange(LENGTH)
            inputs, targets = ids[places], ids[places + 1]
            if name == "recurrent_lm":
                outputs, state = model.continued(inputs, state)
                state = [piece.detach() for piece in state]
            else:
                outputs = model(inputs)
            loss = functional.cross_entropy(outputs.flatten(0, 1), targets.flatten())
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        rate = steps * rows * LENGTH / (time.perf_counter() - began)
    return rate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    chosen = parser.parse_args()
    ways: dict[str, Callable[[str, Dataset, int], float]] = {"gradus": ours, "bare loop": bare}
    for name, (_, rows) in NETWORKS.items():
        dataset = corpus(chosen.steps * rows * LENGTH + 1)
        rates: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(chosen.repeats):
            for way, measure in ways.items():
                rates[way].append(measure(name, dataset, chosen.threads))
        middle = {way: statistics.median(found) for way, found in rates.items()}
        told = ", ".join(f"{way} {rate:,.0f} tokens/s" for way, rate in middle.items())
        print(f"{name}: {told}; gradus takes {middle['bare loop'] / middle['gradus']:.2f} of the bare time", flush=True)


if __name__ == "__main__":
    main()
