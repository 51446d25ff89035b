"""Two bacteria, two measurements: a straight border, a bent one by a 2-3-2 network, and too many hidden neurons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradus.lessons.plane import dots, regions
from gradus.look.charts import MODEL, SECOND
from gradus.reference.activations import softmax

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage

RATE, PENALTY = 0.01, 0.01
PASSES, SWEEP_PASSES = 20_000, 5_001
WIDTHS = (1, 2, 3, 4, 5, 15, 30, 50)
ACROSS, UP = (-1.8, 2.8), (-1.4, 1.9)
PRINTED = {0: 0.389105, 1000: 0.120831, 2000: 0.116688, 18000: 0.114781, 19000: 0.114780, 20000: 0.114779}


def patients(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Measurements (N, 2) and which of two bacteria (N,). Seed 0 and 300 rows are the book's data."""
    from sklearn.datasets import make_moons

    return make_moons(count, noise=0.25, random_state=seed)


@dataclass
class Network:
    """2-h-2: tanh hidden neurons, softmax outputs."""

    hidden_weight: np.ndarray  # (2, h)
    hidden_bias: np.ndarray  # (h,)
    output_weight: np.ndarray  # (h, 2)
    output_bias: np.ndarray  # (2,)

    @classmethod
    def of_width(cls, hidden: int) -> Network:
        """The book's first weights: the legacy generator with seed 0, over the root of the number of inputs."""
        random = np.random.RandomState(0)
        return cls(
            random.randn(2, hidden) / np.sqrt(2),
            np.zeros(hidden),
            random.randn(hidden, 2) / np.sqrt(hidden),
            np.zeros(2),
        )

    def probabilities(self, points: np.ndarray) -> np.ndarray:
        """(N, 2) -> (N, 2)."""
        return softmax(np.tanh(points @ self.hidden_weight + self.hidden_bias) @ self.output_weight + self.output_bias)

    def chance(self, points: np.ndarray) -> np.ndarray:
        """Of class 1: (N,)."""
        return self.probabilities(points)[:, 1]

    def cross_entropy(self, points: np.ndarray, classes: np.ndarray) -> float:
        """Mean of −ln of the probability given to the true class."""
        return float(-np.log(self.probabilities(points)[np.arange(len(points)), classes]).mean())

    def loss(self, points: np.ndarray, classes: np.ndarray) -> float:
        """(Σ cross-entropy + λ/2 Σ w²) / N, as listing 2-10 has it."""
        squares = float((self.hidden_weight**2).sum() + (self.output_weight**2).sum())
        return self.cross_entropy(points, classes) + PENALTY / 2 * squares / len(points)

    def step(self, points: np.ndarray, wanted: np.ndarray) -> None:
        """One pass over all rows; the gradient is the sum over them, not the mean. wanted: one-hot (N, 2)."""
        hidden = np.tanh(points @ self.hidden_weight + self.hidden_bias)
        error = softmax(hidden @ self.output_weight + self.output_bias) - wanted
        back = (error @ self.output_weight.T) * (1 - hidden**2)
        self.output_weight -= RATE * (hidden.T @ error + PENALTY * self.output_weight)
        self.output_bias -= RATE * error.sum(axis=0)
        self.hidden_weight -= RATE * (points.T @ back + PENALTY * self.hidden_weight)
        self.hidden_bias -= RATE * back.sum(axis=0)

    def accuracy(self, points: np.ndarray, classes: np.ndarray) -> float:
        return float((self.probabilities(points).argmax(axis=1) == classes).mean())


def train(hidden: int, points: np.ndarray, classes: np.ndarray, passes: int) -> tuple[Network, dict[int, float]]:
    """The network after so many passes, and the loss after pass 0, 1000, 2000, ... (counted as the book does)."""
    network, losses, wanted = Network.of_width(hidden), {}, np.eye(2)[classes]
    for number in range(passes):
        network.step(points, wanted)
        if number % 1000 == 0:
            losses[number] = network.loss(points, classes)
    return network, losses


def straight_border(points: np.ndarray, classes: np.ndarray):
    """Logistic regression."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression().fit(points, classes)


def show(page: LessonPage) -> None:
    points, classes = patients(300, 0)
    unseen, unseen_classes = patients(10_000, 1)
    page.text(
        "Two measurements of 300 patients, and which of two bacteria each of them had. (The data are two noisy "
        "half moons that scikit-learn makes; the book tells them as medical.) Where should the border between the "
        "two illnesses run?"
    )
    line = straight_border(points, classes)

    def linear(axes):
        regions(axes, lambda where: line.predict_proba(where)[:, 1], ACROSS, UP)
        dots(axes, points, classes, 3.5)
        axes.set(xlabel="streptococcus value", ylabel="staphylococcus value", xticks=[-1, 0, 1, 2], yticks=[-1, 0, 1])

    page.figure(linear, "A straight border", keys=[("second", "pathogen I"), ("model", "pathogen II")])
    page.number(
        "linear_accuracy",
        line.score(points, classes),
        "right with a straight border (logistic regression)",
        printed="about 0.70",
    )
    page.correction(
        "Principles and Practice §2.4.3",
        "the straight border gets about 30 % wrong",
        f"on these very data it gets {100 * (1 - line.score(points, classes)):.1f} % wrong",
    )

    page.heading("Three hidden neurons")
    page.text(
        "A hidden tanh neuron is a soft straight border of its own; the output adds three of them up, and **softmax** "
        "makes two probabilities of its two sums. The loss is the mean of $-\\ln$ of the probability that the true "
        "bacterium got, and a small penalty on large weights. The formulas are those of the lesson "
        "`forward-and-backward`, for all 300 rows at once. Each pass takes the gradient of all rows."
    )
    page.formula(r"\mathbf{p}=\mathrm{softmax}(\tanh(XW_1+b_1)W_2+b_2)")
    page.formula(
        r"\delta_2=\mathbf{p}-\mathbf{y},\quad \delta_1=\delta_2W_2^{T}\odot(1-h^2)",
        "$h$ is what the hidden neurons say.",
    )
    network, losses = train(3, points, classes, PASSES + 1)
    rows = [[f"{step:,}", f"{losses[step]:.6f}", f"{printed:.6f}"] for step, printed in PRINTED.items()]
    page.table(("pass", "loss here", "loss in the book"), rows)
    page.number("first_loss", losses[0], "loss after the first pass", printed=PRINTED[0], digits=6)
    page.number("last_loss", losses[PASSES], "loss after pass 20,000", printed=PRINTED[PASSES], digits=6)
    page.number("accuracy", network.accuracy(points, classes), "share right, of the 300")
    page.correction(
        "Principles and Practice listing 2-12",
        "20,000 passes, and a loss printed for pass 20,000; comments speak of 200 rows; the seed makes every run "
        "differ",
        "counted from 0 that takes 20,001 passes; there are 300 rows; the seed makes every run the same",
    )

    def bent(axes):
        regions(axes, network.chance, ACROSS, UP)
        dots(axes, points, classes, 3.5)
        axes.set(xlabel="streptococcus value", ylabel="staphylococcus value", xticks=[-1, 0, 1, 2], yticks=[-1, 0, 1])

    page.figure(bent, "A bent border", keys=[("second", "pathogen I"), ("model", "pathogen II")])
    _between(page, network, points, classes)
    _sweep(page, points, classes, unseen, unseen_classes)
    page.try_it(
        "gradus lesson why-depth", "gradus train --data breast_cancer --model mlp --set model.options.hidden=[3]"
    )


def _between(page: LessonPage, network: Network, points: np.ndarray, classes: np.ndarray) -> None:
    """Goes on for forty passes and looks after each, not after each thousandth."""
    losses = [network.loss(points, classes)]
    for _ in range(40):
        network.step(points, np.eye(2)[classes])
        losses.append(network.loss(points, classes))
    page.text(
        "The book looks at every thousandth pass, always after an odd number of steps. Seen after every step, the "
        "loss has not settled: it jumps between two values. The gradient is a sum over 300 rows, so the rate of "
        "0.01 is a little too large for the steepest direction, and the weights go over the valley and back, as in "
        "the lesson `descent-2d`."
    )
    page.number("between", losses[1], "loss one step later", digits=6)
    page.number("again", losses[2], "and two steps later", digits=6)

    def jumps(axes):
        axes.plot(np.arange(41), losses, "o-", color=MODEL, markersize=3, linewidth=0.8)
        axes.set(xlabel="steps after pass 20,000", ylabel="loss", xticks=[0, 10, 20, 30, 40])
        axes.ticklabel_format(axis="y", useOffset=False)

    page.figure(jumps, "Not at rest")


def _sweep(
    page: LessonPage, points: np.ndarray, classes: np.ndarray, unseen: np.ndarray, unseen_classes: np.ndarray
) -> None:
    page.heading("How many?")
    networks = {width: train(width, points, classes, SWEEP_PASSES)[0] for width in WIDTHS}
    seen = [net.cross_entropy(points, classes) for net in networks.values()]
    new = [net.cross_entropy(unseen, unseen_classes) for net in networks.values()]
    rows = [
        [str(width), seen[i], new[i], 100 * net.accuracy(points, classes), 100 * net.accuracy(unseen, unseen_classes)]
        for i, (width, net) in enumerate(networks.items())
    ]
    page.text(
        "More hidden neurons bend the border more. On the rows they learnt from, that makes the loss (here without "
        "the penalty) by and large smaller. On 10,000 new patients, drawn the same way, it is smallest with three or "
        "four and larger with more: what more neurons learn are the accidents of these 300. This is **overfitting**. "
        "The share of right answers hardly shows it: the network is not so much oftener wrong as more sure where it "
        "is wrong. And only rows that were held out show it at all."
    )
    page.table(("hidden", "loss, the 300", "loss, new", "right of the 300, %", "right of new, %"), rows)

    def borders(every):
        for axes, (width, net) in zip(every, networks.items(), strict=True):
            regions(axes, net.chance, ACROSS, UP, count=80)
            dots(axes, points[::2], classes[::2], 2)
            axes.set(title=f"{width}", xticks=[], yticks=[])

    page.figure(
        borders,
        "Borders by number of hidden neurons",
        panels=(2, 4),
        size=(6.2, 3.4),
        note="Every second patient is drawn.",
    )

    def curves(axes):
        places = np.arange(len(WIDTHS))
        axes.plot(places, seen, "o-", color=MODEL, markersize=4)
        axes.plot(places, new, "o-", color=SECOND, markersize=4)
        axes.set_xticks(places, [str(width) for width in WIDTHS])
        axes.set(xlabel="hidden neurons", ylabel="loss", ylim=(0, None))

    page.figure(curves, "Seen and new patients", keys=[("model", "the 300"), ("second", "10,000 new")])
    for index, (width, net) in enumerate(networks.items()):
        if width in (4, 50):
            page.number(f"seen_{width}", seen[index], f"loss on the 300, {width} hidden neurons")
            page.number(f"new_{width}", new[index], f"loss on new patients, {width} hidden neurons")
            page.number(
                f"right_{width}", net.accuracy(points, classes), f"share right of the 300, {width} hidden neurons"
            )
    page.correction(
        "Principles and Practice listing 2-15",
        "the listing tries 1, 2, 3, 4, 30 and 50; the text speaks of 5 and 15 too, and judges overfitting by eye",
        "all eight here, with rows held out to judge by",
    )
