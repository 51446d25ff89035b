"""A four-layer classifier of digits, layer by layer: what the network says inside is ever easier to tell apart."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from gradus.look.charts import INK, MODEL, SECOND, SERIES

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage

WIDTHS = (64, 48, 32, 16, 10)  # pixels, three hidden layers, ten classes: four layers of weights
STEPS = 300
SHOWN = (0, 1, 4, 7, 8)  # the digits in the pictures
NAMES = ("pixels", "layer 1", "layer 2", "layer 3", "layer 4")


def digits() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """scikit-learn's 8 x 8 digits in 0..1: 1,297 to learn from, 500 to judge by."""
    from sklearn.datasets import load_digits

    inputs, classes = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(inputs))
    inputs, classes = inputs[order].astype(np.float32) / 16, classes[order]
    return inputs[500:], classes[500:], inputs[:500], classes[:500]


def make_network(seed: int = 0):
    """Linear layers with ReLU between, as one torch module."""
    import torch
    from torch import nn

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(WIDTHS):
            layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def train(network, inputs: np.ndarray, classes: np.ndarray, steps: int) -> None:
    """Adam on all rows at once, with weight decay, which keeps the weights small and the classes compact."""
    import torch

    rows, wanted = torch.from_numpy(inputs), torch.from_numpy(classes)
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-3, weight_decay=1.0)
    for _ in range(steps):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(rows), wanted).backward()
        optimizer.step()


def layer_outputs(network, inputs: np.ndarray) -> list[np.ndarray]:
    """The inputs, each hidden layer's output after ReLU, and the ten scores: (N, width) each."""
    import torch

    outputs, value = [inputs.astype(np.float64)], torch.from_numpy(inputs)
    with torch.no_grad():
        for position, layer in enumerate(network):
            value = layer(value)
            if position % 2 == 1 or position == len(network) - 1:
                outputs.append(value.numpy().astype(np.float64))
    return outputs


def principal_components(rows: np.ndarray, fitted: np.ndarray, count: int = 2) -> np.ndarray:
    """The rows seen along the `count` directions in which the fitted rows vary most."""
    _, _, directions = np.linalg.svd(fitted - fitted.mean(axis=0), full_matrices=False)
    return (rows - fitted.mean(axis=0)) @ directions[:count].T


def nearest_centroid(known: np.ndarray, known_classes: np.ndarray, asked: np.ndarray, classes: np.ndarray) -> float:
    """Share of rows whose class mean is the nearest of the ten."""
    centres = np.stack([known[known_classes == label].mean(axis=0) for label in range(10)])
    distances = ((asked[:, None] - centres) ** 2).sum(axis=2)
    return float((distances.argmin(axis=1) == classes).mean())


def separation(rows: np.ndarray, classes: np.ndarray) -> float:
    """Share of the variance that lies between the class means: 0 where classes are mixed, 1 where each is one point."""
    centres = np.stack([rows[classes == label].mean(axis=0) for label in range(10)])
    within = ((rows - centres[classes]) ** 2).sum()
    return float(1 - within / ((rows - rows.mean(axis=0)) ** 2).sum())


def show(page: LessonPage) -> None:
    inputs, classes, held, held_classes = digits()
    network, untrained = make_network(), make_network()
    train(network, inputs, classes, STEPS)
    known, asked = layer_outputs(network, inputs), layer_outputs(network, held)
    page.text(
        "A network of four layers learns to tell ten digits apart. Its last layer is only a linear one, so all the "
        "work of making the digits easy to tell apart must be done by the layers before. Each layer's output is a "
        "new description of the picture, a **representation**. Here they are, side by side, for 500 digits that it "
        "did not learn from."
    )
    rows = [int(np.flatnonzero(held_classes == label)[0]) for label in SHOWN]
    page.pictures(
        [(255 * (1 - held[row].reshape(8, 8))).astype(np.uint8)[:, :, None] for row in rows],
        [str(held_classes[row]) for row in rows],
    )

    def flat(every):
        for axes, name, fitted, rows in zip(every, NAMES, known, asked, strict=False):
            places = principal_components(rows, fitted[np.isin(classes, SHOWN)])
            for label, colour in zip(SHOWN, SERIES.values(), strict=False):
                axes.plot(
                    *places[held_classes == label].T, "o", color=colour, markersize=2.6, markeredgewidth=0, alpha=0.8
                )
            axes.set(title=name, xticks=[], yticks=[])
        every[-1].set_axis_off()  # five pictures in six places

    keys = [(role, f"digit {label}") for role, label in zip(SERIES, SHOWN, strict=False)]
    page.figure(
        flat,
        "Each layer's output on a plane",
        panels=(2, 3),
        size=(6.2, 4.2),
        keys=keys,
        note="Two principal components of each: the plane on which these five digits, of the rows learnt from, are spread most.",
    )
    page.text(
        "How easy have they become to tell apart? Ask the simplest rule: which of the ten class means is nearest? "
        "It learns nothing but ten averages. And how much of the spread of all pictures is spread between the classes? "
        "That share of the variance is 1 when all pictures of a digit are one point."
    )
    scores = [nearest_centroid(known[k], classes, asked[k], held_classes) for k in range(5)]
    parted = [separation(asked[k], held_classes) for k in range(5)]
    plain_known, plain_asked = layer_outputs(untrained, inputs), layer_outputs(untrained, held)
    plain = [nearest_centroid(plain_known[k], classes, plain_asked[k], held_classes) for k in range(5)]
    page.table(
        ("output of", "numbers", "right by nearest mean, %", "variance between classes, %"),
        [[name, WIDTHS[k], 100 * scores[k], 100 * parted[k]] for k, name in enumerate(NAMES)],
    )

    def curves(axes):
        axes.plot(scores, "o-", color=MODEL, markersize=4)
        axes.plot(plain, "o-", color=SECOND, markersize=4)
        axes.plot(parted, "o-", color=INK, markersize=4, linewidth=1)
        axes.set_xticks(range(5), ["pixels", "1", "2", "3", "4"])
        axes.set(xlabel="layer", ylabel="share", ylim=(0, 1.02))

    page.figure(
        curves,
        "Layer by layer",
        keys=[
            ("model", "right by nearest mean"),
            ("second", "same, before training"),
            ("ink", "variance between classes"),
        ],
    )
    page.number("pixels_score", scores[0], "right by nearest mean, pixels")
    page.number("layer_3_score", scores[3], "right by nearest mean, layer 3")
    page.number("pixels_separation", parted[0], "variance between classes, pixels")
    page.number("layer_3_separation", parted[3], "variance between classes, layer 3")
    page.number("untrained_score", plain[3], "right by nearest mean after layer 3 of the same network before training")
    page.number("network_score", float((asked[4].argmax(axis=1) == held_classes).mean()), "right by the network itself")
    page.text(
        "The first layer gains nearly all that the simple rule can gain. The later ones go on drawing each class "
        "together: the variance between classes still grows."
    )
    page.text(
        "Before training the layers lose what the pixels had: random layers only mix. Trained ones throw away what "
        "does not matter for the question, and keep which digit it is."
    )
    page.try_it(
        "gradus train --data digits --model mlp --set model.options.hidden=[48,32,16]",
        "gradus lesson coordinate-change",
    )
