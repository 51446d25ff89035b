"""Softmax: scores become chances; where the classes meet; what a confident mistake costs and teaches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradus.look.charts import INK, MODEL, MUTED, SECOND, SERIES, TEXT_SIZE
from gradus.reference.activations import softmax
from gradus.reference.losses import cross_entropy, cross_entropy_backward
from gradus.reference.vector_activations import hardmax

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage

CLASSES = (3, 4, 5, 6)
RATE, STEPS = 1.0, 400
ANSWER = np.array([0.5, 0.2, 0.2, 0.1])  # ours; the notes' own numbers do not fit their words


def rings(classes: int, each: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Clouds of points around a circle, a class each. (classes * each, 2) and (classes * each,)."""
    generator = np.random.default_rng(classes)
    turns = 2 * np.pi * np.arange(classes) / classes + 0.4
    middles = 2 * np.stack([np.cos(turns), np.sin(turns)], axis=1)
    labels = np.arange(classes).repeat(each)
    return middles[labels] + generator.normal(0, 0.45, (len(labels), 2)), labels


def train(points: np.ndarray, labels: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights (2, C) and biases (C,) of a linear softmax by gradient descent from zero."""
    weight, bias = np.zeros((2, classes)), np.zeros(classes)
    for _ in range(STEPS):
        gradient = cross_entropy_backward(points @ weight + bias, labels)
        weight -= RATE * points.T @ gradient
        bias -= RATE * gradient.sum(axis=0)
    return weight, bias


def numeric_gradient(scores: np.ndarray, label: int, step: float = 1e-5) -> np.ndarray:
    """The slope of -log softmax(scores)[label] by central differences."""
    found = np.zeros_like(scores)
    for place in range(len(scores)):
        nudge = np.zeros_like(scores)
        nudge[place] = step
        ahead, behind = (cross_entropy((scores + sign * nudge)[None], np.array([label])) for sign in (1, -1))
        found[place] = (ahead - behind) / (2 * step)
    return found


def show(page: LessonPage) -> None:
    page.text(
        "A network's last layer gives a score for every class, any number. **Softmax** turns scores into shares that are "
        "positive and add to 1: each score is put into the exponential, and divided by the sum. The largest score gets the "
        "largest share, but the others keep some; **hardmax** would give it all. Hence the name."
    )
    page.formula(r"p_i=\frac{e^{z_i}}{\sum_j e^{z_j}}")
    scores = np.array([5.0, 2.0, -1.0, 3.0])
    shares = softmax(scores)

    def bars(axes):
        places = np.arange(4)
        axes.bar(places - 0.2, shares, 0.38, color=MODEL)
        axes.bar(places + 0.2, hardmax(scores), 0.38, color=SECOND)
        axes.set_xticks(places, [f"{score:.0f}".replace("-", "−") for score in scores])
        axes.set(xlabel="score", ylabel="share", yticks=[0, 0.5, 1])
        axes.grid(visible=False, axis="x")

    page.figure(bars, "Four scores", keys=[("model", "softmax"), ("second", "hardmax")], size=(4.4, 2.6))
    page.number("largest_share", shares[0], "share of the score 5", digits=4)
    page.number(
        "shift_change",
        np.abs(softmax(scores + 100) - shares).max(),
        "change of the shares if 100 is added to every score",
    )
    two = softmax(np.array([1.3, 0.0]))[0]
    page.number(
        "sigmoid_gap",
        abs(two - 1 / (1 + np.exp(-1.3))),
        "two classes: difference from the sigmoid of the scores' difference",
    )
    _regions(page)
    _loss(page)
    _gradient(page)


def _regions(page: LessonPage) -> None:
    page.heading("Where the classes meet")
    page.text(
        "Scores that are linear in the point give borders that are straight: between two classes the border is where their "
        "scores are equal. With more classes there are more pieces, never curves. For curves the network needs a hidden layer."
    )
    fitted = {}
    for classes in CLASSES:
        points, labels = rings(classes)
        fitted[classes] = points, labels, *train(points, labels, classes)

    def regions(every):
        from matplotlib.colors import ListedColormap

        colours = list(SERIES.values())
        grid = np.linspace(-3.6, 3.6, 160)
        field = np.stack(np.meshgrid(grid, grid), axis=-1)
        for axes, classes in zip(every, CLASSES, strict=True):
            points, labels, weight, bias = fitted[classes]
            chosen = (field @ weight + bias).argmax(axis=-1)
            axes.contourf(
                grid,
                grid,
                chosen,
                levels=np.arange(classes + 1) - 0.5,
                cmap=ListedColormap(colours[:classes]),
                alpha=0.25,
            )
            for label in range(classes):
                axes.plot(*points[labels == label].T, "o", color=colours[label], markersize=2.5, markeredgewidth=0)
            axes.set(xticks=[], yticks=[], aspect="equal")
            axes.set_title(f"{classes} classes", fontsize=TEXT_SIZE, color=INK)

    page.figure(regions, "Regions of a linear softmax", panels=(2, 2), size=(5.2, 5.5))
    for classes, (points, labels, weight, bias) in fitted.items():
        accuracy = float(((points @ weight + bias).argmax(axis=1) == labels).mean())
        page.number(
            f"accuracy_{classes}", accuracy, f"share of the points in the right region, {classes} classes", digits=4
        )


def _loss(page: LessonPage) -> None:
    page.heading("What a mistake costs")
    page.text(
        "The loss looks only at the share of the true class: $L=-\\log p_{true}$. Nothing if it is 1; without bound as it "
        "goes to 0. The example has four classes, and the true one is the second, which got 0.2."
    )
    page.number("loss", -np.log(ANSWER[1]), "loss for a share of 0.2", digits=4)
    page.number(
        "loss_even", cross_entropy(np.zeros((1, 4)), np.array([1])), "loss if all four classes get 1/4", digits=4
    )
    page.correction(
        "Course notes §2.3.9",
        "the first share is called the largest, but the printed vector has its largest elsewhere",
        "we use 0.5, 0.2, 0.2, 0.1, which fits the words and the loss",
    )

    def curve(axes):
        p = np.linspace(0.005, 1, 300)
        axes.plot(p, -np.log(p), color=MODEL)
        axes.plot([0.2], [-np.log(0.2)], "o", color=SECOND)
        axes.set(xlabel="share of the true class", ylabel="loss", ylim=(0, 5.4), xticks=[0, 0.2, 0.5, 1])

    page.figure(curve, "The loss", keys=[("model", "−log p"), ("second", "the example")], size=(4.4, 2.6))


def _gradient(page: LessonPage) -> None:
    page.heading("What a mistake teaches")
    page.text(
        "Softmax and cross-entropy together have the plainest gradient: **share minus truth**, $p-y$. Where the network is "
        "right, nothing; where it is sure and wrong, nearly 1. With the squared error in place of the cross-entropy the "
        "gradient is multiplied by $p(1-p)$ and dies just there: the unit is **saturated**, sure of itself and deaf."
    )
    scores, label = np.array([0.2, -1.0, 0.7, 2.0]), 1
    exact = softmax(scores) - np.eye(4)[label]
    page.number(
        "gradient_gap",
        np.abs(exact - numeric_gradient(scores, label)).max(),
        "p − y against differences, largest deviation",
    )
    z = np.linspace(-8, 8, 321)  # score of the true class, against a rival of score 0
    p = 1 / (1 + np.exp(-z))

    def curves(axes):
        axes.plot(z, 1 - p, color=MODEL)
        axes.plot(z, 4 * p * (1 - p) ** 2, color=SECOND)
        axes.axvline(0, color=MUTED, lw=0.6)
        axes.set(xlabel="lead of the true class's score", ylabel="size of the gradient", xticks=[-8, -4, 0, 4, 8])

    page.figure(curves, "How hard the score is pushed", keys=[("model", "cross-entropy"), ("second", "squared error")])
    page.number("push_cross_entropy", float(1 - p[0]), "push at a lead of −8, cross-entropy", digits=4)
    page.number("push_squared", float(4 * p[0] * (1 - p[0]) ** 2), "with the squared error of both shares", digits=3)
