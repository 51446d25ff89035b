"""Pictures a second of generative networks in training: ours against the same steps in a loop written by hand.

    python benchmarks/generative.py [--rows 2560] [--threads 2] [--repeats 3] [--peers .peers/bin/python]

All train on random 28x28 pictures in batches of 128 with the same network, losses and Adam, in this process one after the other,
three times in turn; the first epoch of each is not counted. Ours includes the checks for what is not finite and the sums of
what is told. Keras on torch, where its environment is named, trains the variational autoencoder alone, in a process of its
own, as its documentation does (`add_loss`). Printed: the median of the repeats.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from typing import Any

import numpy as np

BATCH, SIDE = 128, 28
NETWORKS = ("conv_vae", "dcgan", "diffusion")


def ours(name: str, pictures: np.ndarray, threads: int) -> float:
    from gradus.data.columns import Column, Image
    from gradus.data.dataset import Dataset, NumberedRows, Split
    from gradus.data.load import DataSettings
    from gradus.models import ModelSettings
    from gradus.recipes.execute import create_trainer
    from gradus.recipes.experiment import prepare, train_settings
    from gradus.recipes.recipe import Recipe
    from gradus.tasks.settings import TaskSettings

    split = Split({"image": Column(Image(channels=1), pictures)}, NumberedRows.count("random", len(pictures)))
    dataset = Dataset(name="random", source="random", splits={"train": split})
    recipe = Recipe(
        data=DataSettings(source="random", validation=0, test=0),
        task=TaskSettings(name="picture-generation"),
        model=ModelSettings(name=name),
        train=train_settings(epochs=2, batch_size=BATCH, threads=threads, optimizer="adam"),
    )
    trainer = create_trainer(prepare(recipe, dataset, measure=False))
    trainer.fit()
    seconds = [record["train_seconds"] for record in trainer.history]
    return len(pictures) / (seconds[1] - seconds[0])


def bare(name: str, pictures: np.ndarray, threads: int) -> float:
    import torch

    from gradus.models import create_model

    torch.set_num_threads(threads)
    model = create_model(name).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    data = torch.from_numpy(pictures)
    players = getattr(model, "players", ())
    parts = [getattr(model, player) for player in players] or [model]
    optimizers = [torch.optim.Adam(part.parameters(), 0.001, fused=True) for part in parts]
    rate = 0.0
    for _ in range(2):
        order, began = torch.randperm(len(data)), time.perf_counter()
        for rows in order.split(BATCH):
            inputs = data[rows].permute(0, 3, 1, 2).float() / 255
            inputs = inputs * 2 - 1 if model.pixels == "symmetric" else inputs
            for place, optimizer in enumerate(optimizers):
                for part in parts:
                    part.requires_grad_(part is parts[place])
                optimizer.zero_grad()
                outcome = model.play(players[place], inputs) if players else model(inputs)
                outcome.loss.mean().backward()
                optimizer.step()
        rate = len(data) / (time.perf_counter() - began)
    return rate


def keras_on_torch(rows: int, threads: int) -> float:
    """The same variational autoencoder in Keras, by its own `fit`."""
    os.environ["KERAS_BACKEND"] = "torch"
    import keras
    import torch
    from keras import layers, ops

    torch.set_num_threads(threads)

    class Sampling(layers.Layer):
        def call(self, inputs: Any) -> Any:
            mean, log_variance = inputs
            kl = -0.5 * ops.sum(1 + log_variance - ops.square(mean) - ops.exp(log_variance), axis=1)
            self.add_loss(ops.mean(kl))
            return mean + ops.exp(0.5 * log_variance) * keras.random.normal(ops.shape(mean))

    class Likelihood(layers.Layer):
        def call(self, inputs: Any) -> Any:
            pictures, made = inputs
            self.add_loss(ops.mean(ops.sum(keras.losses.binary_crossentropy(pictures, made), axis=(1, 2))))
            return made

    pictures = keras.Input((SIDE, SIDE, 1))
    maps = pictures
    for width, stride in ((32, 1), (64, 2), (64, 1), (64, 1)):
        maps = layers.Conv2D(width, 3, strides=stride, padding="same", activation="relu")(maps)
    hidden = layers.Dense(32, activation="relu")(layers.Flatten()(maps))
    latents = Sampling()([layers.Dense(2)(hidden), layers.Dense(2)(hidden)])
    maps = layers.Dense(14 * 14 * 64, activation="relu")(latents)
    maps = layers.Reshape((14, 14, 64))(maps)
    maps = layers.Conv2DTranspose(32, 3, strides=2, padding="same", activation="relu")(maps)
    made = layers.Conv2D(1, 3, padding="same", activation="sigmoid")(maps)
    model = keras.Model(pictures, Likelihood()([pictures, made]))
    model.compile(optimizer=keras.optimizers.Adam(0.001))
    data = _random(rows).astype(np.float32) / 255
    model.fit(data, batch_size=BATCH, epochs=1, verbose=0)
    began = time.perf_counter()
    model.fit(data, batch_size=BATCH, epochs=1, verbose=0)
    return rows / (time.perf_counter() - began)


def _random(rows: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (rows, SIDE, SIDE, 1), dtype=np.uint8)


def _peer(python: str, rows: int, threads: int) -> float:
    command = [python, __file__, "--keras", "--rows", str(rows), "--threads", str(threads)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=20 * BATCH)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peers", help="Python of an environment with Keras and torch (.peers/bin/python)")
    parser.add_argument("--keras", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.keras:
        print(keras_on_torch(chosen.rows, chosen.threads))
        return
    pictures = _random(chosen.rows)
    for name in NETWORKS:
        rates: dict[str, list[float]] = {}
        for _ in range(chosen.repeats):
            rates.setdefault("gradus", []).append(ours(name, pictures, chosen.threads))
            rates.setdefault("bare loop", []).append(bare(name, pictures, chosen.threads))
            if chosen.peers and name == "conv_vae":
                rates.setdefault("Keras on torch", []).append(_peer(chosen.peers, chosen.rows, chosen.threads))
        middle = {way: statistics.median(found) for way, found in rates.items()}
        told = ", ".join(f"{way} {rate:,.0f} pictures/s" for way, rate in middle.items())
        print(f"{name}: {told}; gradus takes {middle['bare loop'] / middle['gradus']:.2f} of the bare time", flush=True)


if __name__ == "__main__":
    sys.exit(main())
