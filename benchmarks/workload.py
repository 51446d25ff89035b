"""What every contestant trains: the same rows, the same network, the same batch size, the same optimiser.

Three workloads. `mlp` and `convnet` are the two MNIST experiments of *Deep Learning with Python*; `tiny` is softmax
regression on 64 pixels, so small that nearly all of its time is the framework's own.

Shapes: N rows, H x W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

SEED = 0
CLASSES = 10
LEARNING_RATE, RHO, EPSILON = 0.001, 0.9, 1e-7  # of RMSprop, in every contestant


@dataclass(frozen=True, kw_only=True)
class Workload:
    """train_images, test_images: uint8 (N, H, W, 1); train_labels, test_labels: int64 (N,)"""

    name: str
    about: str
    model: str  # its name in gradus.create_model; the Keras twin is in keras_peer.py
    batch_size: int
    options: dict[str, Any]  # of the model, beside the sizes that follow from the data
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray

    @property
    def steps(self) -> int:
        """Updates an epoch; the last batch may be shorter."""
        return -(-len(self.train_labels) // self.batch_size)

    def create_model(self) -> Any:
        """The torch module, its weights drawn as Gradus draws them for `SEED`. It takes (B, 1, H, W) in 0..1."""
        import torch

        from gradus import create_model
        from gradus.models import accepted_options
        from gradus.train.randomness import INITIAL_WEIGHTS, derive

        height, width = self.train_images.shape[1:3]
        sizes = {"in_features": height * width, "in_channels": 1, "image_size": height, "num_classes": CLASSES}
        accepted = accepted_options(self.model)
        torch.manual_seed(derive(SEED, INITIAL_WEIGHTS))
        return create_model(self.model, **{k: v for k, v in sizes.items() if k in accepted}, **self.options)


# name: what it is, network, its options, batch size
WORKLOADS: dict[str, tuple[str, str, dict[str, Any], int]] = {
    "mlp": ("784-512-10, ReLU, batch 128", "mlp", {"hidden": [512]}, 128),
    "convnet": ("MNIST convnet, 93 322 parameters, batch 64", "mnist_convnet", {}, 64),
    "tiny": ("softmax regression, 64-10, batch 32", "logistic_regression", {}, 32),
}


def write_data(folder: Path, rows: int | None) -> dict[str, str]:
    """Writes the arrays of every workload to `folder`; returns for each what its rows are, in words.

    rows: training rows, or None for all (MNIST's 60 000; 32 000 for `tiny`, 1 000 steps)
    """
    pictures, about = mnist(rows or 60_000)
    np.savez(folder / "mnist.npz", **pictures)
    small = digits(rows or 32_000)
    np.savez(folder / "digits.npz", **small)
    told = f"digits, {len(small['train_labels']):,} training rows at 8x8 (1 497 different ones, repeated)"
    return {"mlp": about, "convnet": about, "tiny": told}


def read_workload(name: str, folder: Path) -> Workload:
    """The workload `name`, with the arrays that `write_data` left in `folder`."""
    about, model, options, batch_size = WORKLOADS[name]
    with np.load(folder / ("digits.npz" if name == "tiny" else "mnist.npz")) as arrays:
        return Workload(name=name, about=about, model=model, batch_size=batch_size, options=options, **arrays)


def mnist(rows: int) -> tuple[dict[str, np.ndarray], str]:
    """MNIST where a folder of GRADUS_DATA or the cache holds it, else digits at its size. Nothing is downloaded."""
    import gradus
    from gradus.data import catalogue
    from gradus.data.images import stack_pictures

    if catalogue.find(catalogue.CATALOGUE["mnist"]) is None:
        stand_in = digits(rows)
        for name in ("train_images", "test_images"):
            larger = stand_in[name].repeat(3, axis=1).repeat(3, axis=2)  # 24x24
            stand_in[name] = np.pad(larger, ((0, 0), (2, 2), (2, 2), (0, 0)))
        told = "NOT MNIST, which is not on this machine (set GRADUS_DATA): scikit-learn's digits brought to 28x28"
        return stand_in, f"{told} and repeated to {rows:,} training rows"
    dataset = gradus.load_data("mnist")
    arrays = {}
    for split, kept in (("train", rows), ("test", 10_000)):
        part = dataset[split].take(np.arange(min(kept, len(dataset[split]))))
        arrays[f"{split}_images"] = stack_pictures(part["image"], (28, 28), "stretch")
        arrays[f"{split}_labels"] = np.asarray(part["label"].values, dtype=np.int64)
    return arrays, f"MNIST, the first {len(arrays['train_labels']):,} of 60 000 training rows"


def digits(rows: int) -> dict[str, np.ndarray]:
    """scikit-learn's 1 797 digits: the last 300 to test, the others repeated to `rows` training rows."""
    import gradus

    whole = gradus.load_data("digits")["train"]
    images, labels = np.asarray(whole["image"].values), np.asarray(whole["label"].values, dtype=np.int64)
    repeated = np.arange(rows) % (len(labels) - 300)
    return {
        "train_images": images[repeated],
        "train_labels": labels[repeated],
        "test_images": images[-300:],
        "test_labels": labels[-300:],
    }
