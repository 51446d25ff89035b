"""What every contestant trains: the same rows, the same network, the same batch size, the same optimiser.

Four workloads. `mlp` and `convnet` are the two MNIST experiments of *Deep Learning with Python*; `lstm` classifies the film
reviews of IMDB by their last 200 words; `tiny` is softmax regression on 64 pixels, so small that nearly all of its time is the
framework's own.

Shapes: N rows, H x W pixels, T tokens.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

SEED = 0
LEARNING_RATE, RHO, EPSILON = 0.001, 0.9, 1e-7  # of RMSprop, in every contestant
WORDS, LENGTH = 10_000, 200  # of `lstm`: tokens 0 (padding), 1 (unknown) and the most frequent words; tokens a review
PADDING, UNKNOWN, FIRST_WORD = 0, 1, 2


@dataclass(frozen=True, kw_only=True)
class Workload:
    """train_inputs, test_inputs: pictures uint8 (N, H, W, 1), or tokens int32 (N, T); train_labels, test_labels: int64 (N,)"""

    name: str
    about: str
    model: str  # its name in gradus.create_model, or "lstm"; the Keras twin is in keras_peer.py
    batch_size: int
    options: dict[str, Any]  # of the model, beside the sizes that follow from the data
    num_classes: int
    train_inputs: np.ndarray
    train_labels: np.ndarray
    test_inputs: np.ndarray
    test_labels: np.ndarray

    @property
    def steps(self) -> int:
        """Updates an epoch; the last batch may be shorter."""
        return -(-len(self.train_labels) // self.batch_size)

    @property
    def is_text(self) -> bool:
        return self.train_inputs.ndim == 2

    def create_model(self) -> Any:
        """The torch module, its weights drawn as Gradus draws them for `SEED`. It takes (B, 1, H, W) in 0..1, or (B, T)."""
        import torch

        from gradus import create_model
        from gradus.models import accepted_options
        from gradus.train.randomness import INITIAL_WEIGHTS, derive

        torch.manual_seed(derive(SEED, INITIAL_WEIGHTS))
        if self.is_text:
            from lstm import LstmClassifier

            return LstmClassifier(WORDS, self.num_classes)
        height, width = self.train_inputs.shape[1:3]
        sizes = {"in_features": height * width, "in_channels": 1, "image_size": height, "num_classes": self.num_classes}
        accepted = accepted_options(self.model)
        return create_model(self.model, **{k: v for k, v in sizes.items() if k in accepted}, **self.options)


# name: what it is, network, its options, batch size, classes, the file of its rows
WORKLOADS: dict[str, tuple[str, str, dict[str, Any], int, int, str]] = {
    "mlp": ("784-512-10, ReLU, batch 128", "mlp", {"hidden": [512]}, 128, 10, "mnist"),
    "convnet": ("MNIST convnet, 93 322 parameters, batch 64", "mnist_convnet", {}, 64, 10, "mnist"),
    "lstm": ("embedding 32, LSTM 32, reviews of 200 tokens, batch 128", "lstm", {}, 128, 2, "reviews"),
    "tiny": ("softmax regression, 64-10, batch 32", "logistic_regression", {}, 32, 10, "digits"),
}
# Training rows where --rows does not say: all of MNIST; 100 steps of reviews (Keras on torch is slow); 1 000 steps of `tiny`
USUAL_ROWS = {"mnist": 60_000, "reviews": 12_800, "digits": 32_000}


def write_data(folder: Path, rows: int | None, names: Sequence[str]) -> dict[str, str]:
    """Writes the arrays of the workloads `names` to `folder`; returns for each what its rows are, in words.

    rows: training rows, or None for the usual number (`USUAL_ROWS`)
    """
    files = {name: WORKLOADS[name][-1] for name in names}
    about = {}
    for file in dict.fromkeys(files.values()):
        arrays, about[file] = {"mnist": mnist, "reviews": reviews, "digits": small_digits}[file](
            rows or USUAL_ROWS[file]
        )
        np.savez(folder / f"{file}.npz", **arrays)
    return {name: about[file] for name, file in files.items()}


def read_workload(name: str, folder: Path) -> Workload:
    """The workload `name`, with the arrays that `write_data` left in `folder`."""
    about, model, options, batch_size, classes, file = WORKLOADS[name]
    with np.load(folder / f"{file}.npz") as arrays:
        return Workload(
            name=name, about=about, model=model, batch_size=batch_size, options=options, num_classes=classes, **arrays
        )


def mnist(rows: int) -> tuple[dict[str, np.ndarray], str]:
    """MNIST where a folder of GRADUS_DATA or the cache holds it, else digits at its size. Nothing is downloaded."""
    import gradus
    from gradus.data import catalogue
    from gradus.data.images import stack_pictures

    if catalogue.find(catalogue.CATALOGUE["mnist"]) is None:
        stand_in = digits(rows)
        for name in ("train_inputs", "test_inputs"):
            larger = stand_in[name].repeat(3, axis=1).repeat(3, axis=2)  # 24x24
            stand_in[name] = np.pad(larger, ((0, 0), (2, 2), (2, 2), (0, 0)))
        told = "NOT MNIST, which is not on this machine (set GRADUS_DATA): scikit-learn's digits brought to 28x28"
        return stand_in, f"{told} and repeated to {rows:,} training rows"
    dataset = gradus.load_data("mnist")
    arrays = {}
    for split, kept in (("train", rows), ("test", 10_000)):
        part = dataset[split].take(np.arange(min(kept, len(dataset[split]))))
        arrays[f"{split}_inputs"] = stack_pictures(part["image"], (28, 28), "stretch")
        arrays[f"{split}_labels"] = np.asarray(part["label"].values, dtype=np.int64)
    return arrays, f"MNIST, the first {len(arrays['train_labels']):,} of 60 000 training rows"


def digits(rows: int) -> dict[str, np.ndarray]:
    """scikit-learn's 1 797 digits: the last 300 to test, the others repeated to `rows` training rows."""
    import gradus

    whole = gradus.load_data("digits")["train"]
    images, labels = np.asarray(whole["image"].values), np.asarray(whole["label"].values, dtype=np.int64)
    repeated = np.arange(rows) % (len(labels) - 300)
    return {
        "train_inputs": images[repeated],
        "train_labels": labels[repeated],
        "test_inputs": images[-300:],
        "test_labels": labels[-300:],
    }


def small_digits(rows: int) -> tuple[dict[str, np.ndarray], str]:
    return digits(rows), f"digits, {rows:,} training rows at 8x8 (1 497 different ones, repeated)"


def reviews(rows: int, test_rows: int = 2_000) -> tuple[dict[str, np.ndarray], str]:
    """Film reviews as token ids, from imdb/SPLIT.parquet in a folder of GRADUS_DATA; else random ids of the same shape."""
    from gradus.data.places import data_folders

    folder = next((folder / "imdb" for folder in data_folders() if (folder / "imdb" / "train.parquet").exists()), None)
    if folder is None:
        told = "NOT IMDB, which is not on this machine (set GRADUS_DATA): random tokens of the same shapes"
        return random_reviews(rows, test_rows), f"{told}, {rows:,} training rows"
    texts, labels = read_reviews(folder / "train.parquet", rows)
    words = [re.findall(r"\w+", text.lower()) for text in texts]
    counted = Counter(word for review in words for word in review)
    ids = {word: FIRST_WORD + place for place, (word, _) in enumerate(counted.most_common(WORDS - FIRST_WORD))}
    test_texts, test_labels = read_reviews(folder / "test.parquet", test_rows)
    arrays = {
        "train_inputs": encode_words(words, ids),
        "train_labels": labels,
        "test_inputs": encode_words([re.findall(r"\w+", text.lower()) for text in test_texts], ids),
        "test_labels": test_labels,
    }
    return arrays, f"IMDB, {len(labels):,} of 25 000 training reviews, the last {LENGTH} words of each"


def read_reviews(file: Path, rows: int) -> tuple[list[str], np.ndarray]:
    """`rows` texts and labels, drawn without order: the file is sorted by label."""
    from pyarrow import parquet

    table = parquet.read_table(file)
    chosen = np.random.default_rng(SEED).permutation(len(table))[:rows]
    table = table.take(chosen)
    return table["text"].to_pylist(), table["label"].to_numpy().astype(np.int64)


def encode_words(reviews: Sequence[Sequence[str]], ids: dict[str, int]) -> np.ndarray:
    """int32 (N, T): the last T words of each, padded on the left."""
    tokens = np.full((len(reviews), LENGTH), PADDING, dtype=np.int32)
    for row, words in zip(tokens, reviews, strict=True):
        if words:
            last = words[-LENGTH:]
            row[-len(last) :] = [ids.get(word, UNKNOWN) for word in last]
    return tokens


def random_reviews(rows: int, test_rows: int) -> dict[str, np.ndarray]:
    """Two classes that differ in the words they use, so that there is something to learn."""
    generator = np.random.default_rng(SEED)
    labels = generator.integers(0, 2, rows + test_rows)
    tokens = generator.integers(FIRST_WORD, WORDS, (rows + test_rows, LENGTH), dtype=np.int32)
    marked = generator.random(tokens.shape) < 0.1
    tokens[marked] = (FIRST_WORD + labels[:, None] * 100 + tokens % 100)[marked]
    return {
        "train_inputs": tokens[:rows],
        "train_labels": labels[:rows],
        "test_inputs": tokens[rows:],
        "test_labels": labels[rows:],
    }
