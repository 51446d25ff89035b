"""Sums brought to mean 0 and spread 1 batch by batch: where they fall on the sigmoid, what training gains, what use needs."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from gradus.look.charts import INK, MODEL, SECOND, THIRD
from gradus.reference.activations import sigmoid, sigmoid_derivative
from gradus.reference.losses import cross_entropy, cross_entropy_backward
from gradus.reference.normalization import (
    batch_norm,
    batch_norm_backward,
    batch_norm_inference,
    batch_statistics,
    running_statistics,
)

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage

SIZES = (64, 32, 32, 32, 32, 10)
EPOCHS, BATCH, RATE, MOMENTUM = 12, 64, 0.5, 0.1


def digits() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """scikit-learn's digits, pixels in 0..1: 1437 to learn from, 360 to test."""
    from sklearn.datasets import load_digits

    data = load_digits()
    order = np.random.default_rng(0).permutation(len(data.target))
    train, test = order[:1437], order[1437:]
    return data.data[train] / 16, data.target[train], data.data[test] / 16, data.target[test]


class Network:
    """Dense layers with sigmoids between; with `normalised`, batch normalisation before each sigmoid.

    A normalised layer has no bias: its mean is taken off anyway, and the shift β does that work.
    """

    def __init__(self, normalised: bool) -> None:
        generator = np.random.default_rng(1)
        self.normalised = normalised
        self.weights = [generator.normal(size=(n, m)) / np.sqrt(n) for n, m in itertools.pairwise(SIZES)]
        self.shifts = [np.zeros(m) for m in SIZES[1:]]  # β, or the bias
        self.scales = [np.ones(m) for m in SIZES[1:-1]]  # γ
        self.running = [(np.zeros(m), np.ones(m)) for m in SIZES[1:-1]]

    def forward(
        self, inputs: np.ndarray, by: str = "running"
    ) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
        """(what goes into every layer, sums x W, sums before the sigmoid); the last are the logits.

        by: the statistics, "running", of this "batch", or of this batch with the running ones "moved" towards it
        """
        entering, sums, ready = [inputs], [], []
        for index, weight in enumerate(self.weights):
            sums.append(entering[-1] @ weight)
            if index == len(self.weights) - 1 or not self.normalised:
                ready.append(sums[-1] + self.shifts[index])
            elif by == "running":
                ready.append(
                    batch_norm_inference(sums[-1], self.scales[index], self.shifts[index], *self.running[index])
                )
            else:
                if by == "moved":
                    self.running[index] = running_statistics(sums[-1], *self.running[index], MOMENTUM)
                ready.append(batch_norm(sums[-1], self.scales[index], self.shifts[index]))
            entering.append(sigmoid(ready[-1]))
        return entering[:-1], sums, ready

    def step(self, inputs: np.ndarray, labels: np.ndarray) -> float:
        """One step of descent on a batch; its loss."""
        entering, sums, ready = self.forward(inputs, "moved")
        gradient = cross_entropy_backward(ready[-1], labels)
        for index in reversed(range(len(self.weights))):
            hidden = index < len(self.weights) - 1
            if hidden:
                gradient = gradient * sigmoid_derivative(ready[index])
            by_shift = gradient.sum(axis=0)
            if hidden and self.normalised:
                gradient, by_scale, by_shift = batch_norm_backward(sums[index], self.scales[index], gradient)
                self.scales[index] = self.scales[index] - RATE * by_scale
            self.shifts[index] = self.shifts[index] - RATE * by_shift
            by_weight, gradient = entering[index].T @ gradient, gradient @ self.weights[index].T
            self.weights[index] = self.weights[index] - RATE * by_weight
        return cross_entropy(ready[-1], labels)

    def accuracy(self, inputs: np.ndarray, labels: np.ndarray, by: str = "running") -> float:
        """Share of rows right."""
        return float((self.forward(inputs, by)[2][-1].argmax(axis=1) == labels).mean())


def train(normalised: bool) -> tuple[Network, np.ndarray]:
    """(network, loss of every step)"""
    inputs, labels, _, _ = digits()
    net, losses = Network(normalised), []
    generator = np.random.default_rng(2)
    for _ in range(EPOCHS):
        order = generator.permutation(len(inputs))
        for begin in range(0, len(order) - BATCH + 1, BATCH):
            rows = order[begin : begin + BATCH]
            losses.append(net.step(inputs[rows], labels[rows]))
    return net, np.array(losses)


def show(page: LessonPage) -> None:
    _region(page)
    nets = {name: train(name == "with") for name in ("with", "without")}
    _training(page, nets)
    _use(page, nets["with"][0])


def _region(page: LessonPage) -> None:
    sums = np.random.default_rng(0).normal(5, 3, (2000, 1))
    one, zero = np.ones(1), np.zeros(1)
    moved = {
        "as they come": sums,
        "normalised": batch_norm(sums, one, zero),
        "γ = 2, β = 1": batch_norm(sums, 2 * one, one),
    }
    page.text(
        "The sums of a layer drift while the layers before it learn. If they drift to where the sigmoid is flat, "
        "the layer stops learning. **Batch normalisation** takes off the mean of the batch and divides by its "
        "spread, unit by unit, and then lets the network choose scale γ and shift β itself."
    )
    page.formula(r"\hat x=\frac{x-\mu}{\sqrt{\sigma^2+\epsilon}},\qquad y=\gamma\hat x+\beta")

    def paint(axes):
        z = np.linspace(-8, 14, 200)
        for one_axes, (name, values) in zip(axes, moved.items(), strict=True):
            one_axes.hist(
                values[:, 0],
                bins=40,
                range=(-8, 14),
                color=SECOND,
                alpha=0.5,
                weights=np.full(len(values), 4.5 / len(values)),
            )
            one_axes.plot(z, sigmoid(z), color=MODEL)
            one_axes.set(xlabel="sum", yticks=[0, 0.5, 1], xticks=[-5, 0, 5, 10], ylim=(0, 1.05))
            one_axes.set_title(name, fontsize=10.5)

    page.figure(
        paint,
        "Where the sums fall on the sigmoid",
        panels=(1, 3),
        size=(6.4, 2.5),
        keys=[("model", "sigmoid"), ("second", "sums of a batch")],
    )
    for key, (name, values) in zip(("raw", "normal", "rescaled"), moved.items(), strict=True):
        page.number(f"{key}_slope", float(sigmoid_derivative(values).mean()), f"mean slope of the sigmoid, {name}")
    _undone(page, sums)


def _undone(page: LessonPage, sums: np.ndarray) -> None:
    one, zero = np.ones(1), np.zeros(1)
    mean, variance = batch_statistics(sums)
    undone = batch_norm(sums, np.sqrt(variance + 1e-5), mean)
    page.number(
        "undone",
        float(np.abs(undone - sums).max()),
        r"largest difference, if γ is $\sqrt{\sigma^2+\epsilon}$ and β is μ: all is undone, so nothing is lost",
    )
    shifted = batch_norm(sums + 7, one, zero)
    page.number(
        "bias_cancels",
        float(np.abs(shifted - batch_norm(sums, one, zero)).max()),
        "what a bias of 7 before it changes: nothing, so the layer before needs none",
    )
    page.correction(
        "Course notes §2.3.5",
        r"γ = $\sqrt{\sigma+\epsilon}$ undoes it",
        r"$\sqrt{\sigma^2+\epsilon}$; the variance, not the standard deviation, stands under the root",
    )
    page.correction(
        "Deep Learning and Computer Vision §4.4.4",
        "divide by the variance; due to Szegedy",
        "by the standard deviation; the first author is Ioffe",
    )


def _training(page: LessonPage, nets: dict[str, tuple[Network, np.ndarray]]) -> None:
    inputs, _labels, fresh, wanted = digits()
    page.heading("Training with and without")
    page.text(
        f"Four hidden layers of 32 sigmoids on 8 × 8 digits, {EPOCHS} epochs of plain descent at rate {RATE}, the "
        "same first weights. Without normalisation the first layers get almost no gradient, and the loss stays at "
        "ln 10."
    )

    def curves(axes):
        for name, colour in (("with", MODEL), ("without", SECOND)):
            axes.plot(nets[name][1], color=colour, linewidth=1.2)
        axes.axhline(np.log(10), color=INK, linewidth=0.8, linestyle=(0, (3, 3)))
        axes.set(xlabel="step", ylabel="loss of the batch", ylim=(0, 2.6))

    def spreads(axes):
        for one, index in zip(axes, range(4), strict=True):
            for name, colour in (("without", SECOND), ("with", MODEL)):
                values = nets[name][0].forward(inputs[:400])[2][index]
                one.hist(values.ravel(), bins=50, range=(-8, 8), color=colour, alpha=0.6, density=True)
            one.set(yticks=[], xticks=[-5, 0, 5])
            one.set_title(f"layer {index + 1}", fontsize=10.5)

    page.figure(curves, "The loss; dashed: ln 10", keys=[("model", "with"), ("second", "without")])
    page.figure(
        spreads,
        "Sums before the sigmoid, after training",
        panels=(2, 2),
        size=(6.4, 3.6),
        keys=[("model", "with"), ("second", "without")],
    )
    for name in nets:
        page.number(f"{name}_loss", nets[name][1][-20:].mean(), f"loss, mean of the last 20 steps, {name}")
        page.number(f"{name}_accuracy", nets[name][0].accuracy(fresh, wanted), f"test accuracy, {name}")
        first, last = Network(name == "with").weights[0], nets[name][0].weights[0]
        page.number(
            f"{name}_moved",
            float(np.linalg.norm(last - first) / np.linalg.norm(first)),
            f"how far the first layer's weights have moved, as a share of their length, {name}",
        )
    page.text(
        "It makes the loss's surface rounder, so larger rates work; and because each row's sums depend on the "
        "other rows of its batch, it adds a little noise, which regularises slightly."
    )


def _use(page: LessonPage, net: Network) -> None:
    inputs, _, fresh, wanted = digits()
    sums = inputs @ net.weights[0]
    mean, variance = batch_statistics(sums)
    page.heading("In use: one row at a time")
    page.text(
        "A single picture has no batch: its own mean is itself, and what comes out is β whatever the picture. So "
        "training keeps **running averages** of mean and variance, and use takes those. They are moved in training "
        "only. The rest of the batch must not change an answer."
    )
    alone = batch_norm(fresh[:1] @ net.weights[0], net.scales[0], net.shifts[0])
    page.number(
        "alone", float(np.abs(alone - net.shifts[0]).max()), "distance of a single row's own normalisation from β"
    )
    page.number(
        "alone_accuracy",
        float(np.mean([net.accuracy(fresh[i : i + 1], wanted[i : i + 1], "batch") for i in range(100)])),
        "accuracy on single rows by their own statistics",
    )
    page.number("running_accuracy", net.accuracy(fresh, wanted), "accuracy by the running ones")

    def paint(axes):
        axes.plot(mean, net.running[0][0], "o", color=MODEL, markersize=4)
        axes.plot(np.sqrt(variance), np.sqrt(net.running[0][1]), "o", color=THIRD, markersize=4)
        low, high = min(mean.min(), 0), max(mean.max(), np.sqrt(variance).max())
        axes.plot([low, high], [low, high], color=INK, linewidth=1)
        axes.set(xlabel="of all training rows", ylabel="running average")

    page.figure(
        paint, "Statistics of the first layer's 32 units", keys=[("model", "mean"), ("third", "standard deviation")]
    )
    page.number(
        "running_error",
        float(np.abs(net.running[0][0] - mean).max()),
        "largest difference of a running mean from that of all rows",
    )
    page.try_it("gradus lesson vanishing-gradients")
