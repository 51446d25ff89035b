"""Remedies against over-fitting a wave through few noisy points: what each does to the weights and to new points."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradus.lessons.network import Layers, accuracy, backward, draw_layers, forward, logistic_gradient, logit, xavier
from gradus.lessons.two_classes import draw_classes, moons
from gradus.lessons.wave import (
    DEGREE,
    NOISE,
    STEPS,
    TEST,
    TRAIN,
    VALIDATION,
    curve,
    draw_points,
    error,
    lasso,
    ridge,
    train_curve,
    truth,
    values_of,
)
from gradus.look.charts import INK, MODEL, MUTED, SECOND

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage

LAMBDAS = np.logspace(-6, 2, 33)
GRID = np.linspace(-1, 1, 200)


def show(page: LessonPage) -> None:
    _degrees(page)
    _strengths(page)
    _sparse(page)
    _networks(page)
    _boundaries(page)


def _degrees(page: LessonPage) -> None:
    degrees = {2: "too stiff", 5: "about right", 15: "too supple"}
    fits = {degree: ridge(0, degree) for degree in degrees}
    page.text(
        f"{len(TRAIN[0])} noisy points of a wave. A polynomial of degree 2 cannot follow it: **under-fitting**, "
        "large error on the points it learnt from. One of degree 15 follows the noise as well: **over-fitting**, "
        "small error there and a large one on new points. **Regularisation** is whatever makes the error on new "
        "points smaller without making the model smaller. Error here is the root of the mean squared error."
    )

    def paint(axes):
        for one, degree in zip(axes, degrees, strict=True):
            one.plot(GRID, truth(GRID), color=MUTED, linewidth=1)
            one.plot(*TRAIN, "o", color=INK, markersize=3)
            one.plot(GRID, curve(fits[degree], GRID), color=MODEL)
            one.set(ylim=(-2.2, 2.2), xticks=[-1, 0, 1], yticks=[-2, 0, 2])
            one.set_title(f"degree {degree}", fontsize=10.5)

    page.figure(
        paint,
        "Three fits of the same points",
        panels=(1, 3),
        size=(6.4, 2.4),
        keys=[("ink", "points"), ("muted", "truth"), ("model", "fit")],
    )
    for degree, words in degrees.items():
        page.number(
            f"train_{degree}",
            error(curve(fits[degree], TRAIN[0]), TRAIN[1]),
            f"degree {degree} ({words}): error on its own points",
        )
        page.number(
            f"test_{degree}",
            error(curve(fits[degree], TEST[0]), TEST[1]),
            (f"degree {degree}: error on 1000 new points"),
        )


def best_strength() -> float:
    """The strength of L2 with the smallest error on the validation points."""
    return float(min(LAMBDAS, key=lambda strength: error(curve(ridge(strength), VALIDATION[0]), VALIDATION[1])))


def _strengths(page: LessonPage) -> None:
    fits = [ridge(strength) for strength in LAMBDAS]
    learnt = [error(curve(fit, TRAIN[0]), TRAIN[1]) for fit in fits]
    held_out = [error(curve(fit, VALIDATION[0]), VALIDATION[1]) for fit in fits]
    norms = [float(np.linalg.norm(fit[0])) for fit in fits]
    chosen = best_strength()
    page.heading("L2: how strong?")
    page.text(
        r"**L2** adds $\lambda\sum w^2$ to the loss. Its gradient $2\lambda w$ pulls every weight towards zero, in "
        r"proportion to its "
        "size. More $\\lambda$, smaller weights, smoother curve. Too much, and the wave is gone. Which $\\lambda$ is "
        "best is asked "
        "of **validation** points that were not learnt from, and the answer is checked on others."
    )

    def paint(axes):
        axes[0].semilogx(LAMBDAS, learnt, color=MODEL)
        axes[0].semilogx(LAMBDAS, held_out, color=SECOND)
        axes[0].axvline(chosen, color=MUTED, linewidth=1, linestyle=(0, (3, 3)))
        axes[0].set(xlabel="λ", ylabel="error", xticks=[1e-6, 1e-3, 1, 100], ylim=(0, 1.2))
        axes[1].loglog(LAMBDAS, norms, color=INK)
        axes[1].set(xlabel="λ", ylabel="norm of weights", xticks=[1e-6, 1e-3, 1, 100])

    page.figure(
        paint,
        "Error and weights by λ, degree 15",
        panels=(1, 2),
        size=(6.4, 2.6),
        keys=[("model", "training"), ("second", "validation"), ("ink", "norm of the weights")],
    )
    page.number("best_lambda", chosen, "λ with the smallest validation error")
    page.number(
        "best_test",
        error(curve(ridge(chosen), TEST[0]), TEST[1]),
        f"its error on the test points (the noise alone is {NOISE})",
    )
    page.number("free_norm", norms[0], "norm of the weights, almost no penalty")
    page.number("best_norm", float(np.linalg.norm(ridge(chosen)[0])), "norm of the weights at the best λ")
    page.correction(
        "Deep Learning with Python, 1st ed. §4.4.2",
        "L2 adds 0.001 times each coefficient to the loss",
        "0.001 times its **square**; times the coefficient's absolute value would be L1",
    )
    page.correction(
        "same, §4.4.2",
        "weight decay is the same as L2",
        r"only for plain gradient descent: $w-\eta(g+2\lambda w)=(1-2\eta\lambda)w-\eta g$. Adam and RMSprop divide "
        "the penalty's gradient by the size of past gradients, which decay does not",
    )


def _sparse(page: LessonPage) -> None:
    strengths = np.logspace(-4, 0, 17)
    fits = [lasso(strength) for strength in strengths]
    l2, l1 = ridge(best_strength()), lasso(0.03)
    page.heading("L1: fewer weights")
    page.text(
        r"**L1** adds $\lambda\sum|w|$. Its pull does not grow with the weight, nor fade: it is as strong on a tiny "
        "weight as on a large one, so weights that help little are pulled to exactly zero. L2's pull fades, so its "
        "weights become small but never zero."
    )

    def paint(axes):
        places = np.arange(1, DEGREE + 1)
        axes[0].bar(places - 0.2, np.abs(l2[0]), 0.4, color=MODEL)
        axes[0].bar(places + 0.2, np.abs(l1[0]), 0.4, color=SECOND)
        axes[0].set(xlabel="degree of the term", ylabel="size of its weight", xticks=[1, 5, 10, 15])
        axes[1].semilogx(strengths, [int((fit[0] != 0).sum()) for fit in fits], color=SECOND, marker="o", markersize=3)
        axes[1].set(xlabel="λ of L1", ylabel="weights not zero", xticks=[1e-4, 1e-2, 1])

    page.figure(
        paint,
        "Weights under both",
        panels=(1, 2),
        size=(6.4, 2.6),
        keys=[("model", "L2, best λ"), ("second", "L1")],
        note="The terms are Legendre's polynomials: together the same curves as powers of x, but less alike.",
    )
    page.number("l1_kept", float((l1[0] != 0).sum()), f"weights of {DEGREE} that are not zero, L1 with λ = 0.03")
    page.number("l2_kept", float((l2[0] != 0).sum()), "the same for L2")
    page.number("l1_test", error(curve(l1, TEST[0]), TEST[1]), "test error with L1")


METHODS: dict[str, dict] = {
    "none": {},
    "L1": {"l1": 0.003},
    "L2": {"l2": 0.003},
    "max-norm": {"largest": 1.0},
    "dropout": {"drop": 0.2},
    "early stopping": {"stop": True},
    "more data": {"count": 200},
}


def _networks(page: LessonPage) -> None:
    page.heading("The same for a network")
    page.text(
        f"A 1-50-50-1 network has 2,701 weights and biases for 20 points. {STEPS:,} steps of Adam, each time with "
        "one remedy. **Max-norm** shortens each unit's weight vector to a given length after a step; **dropout** "
        "switches off random units at every step; **early stopping** keeps the weights of the step that was best "
        "on the validation points; **more data** has 200 points."
    )
    rows, nets = [], {}
    for name, options in METHODS.items():
        layers, when = train_curve(**options)
        nets[name] = layers
        own = draw_points(options["count"], 4) if "count" in options else TRAIN
        weights = np.concatenate([w.ravel() for w, _ in layers])
        learnt, tested = error(values_of(layers, own[0]), own[1]), error(values_of(layers, TEST[0]), TEST[1])
        rows.append(
            [
                name,
                round(learnt, 3),
                round(tested, 3),
                round(float(np.linalg.norm(weights)), 2),
                float((np.abs(weights) < 0.01).mean().round(3)),
            ]
        )
        key = name.replace(" ", "_").replace("-", "_").lower()
        page.number(
            f"net_{key}", tested, f"test error, {name}" + (f" (kept step {when})" if options.get("stop") else "")
        )
    page.table(["remedy", "training error", "test error", "norm of weights", "share below 0.01"], rows)

    def paint(axes):
        for one, name in zip(axes, ("none", "L2", "dropout", "early stopping"), strict=True):
            one.plot(GRID, truth(GRID), color=MUTED, linewidth=1)
            one.plot(*TRAIN, "o", color=INK, markersize=3)
            one.plot(GRID, values_of(nets[name], GRID), color=MODEL)
            one.set(ylim=(-2.2, 2.2), xticks=[-1, 0, 1], yticks=[-2, 0, 2])
            one.set_title(name, fontsize=10.5)

    page.figure(
        paint, "Four of them", panels=(2, 2), keys=[("ink", "points"), ("muted", "truth"), ("model", "network")]
    )
    page.correction(
        "Principles and Practice §3.5",
        "max-norm limits activations",
        "it limits the length of each unit's vector of incoming **weights**",
    )
    page.text(
        "The training error with a penalty is larger: that is the price. What counts is the error on new points. "
        "Dropout does not help here; the texts, too, advise against it on small networks."
    )


def train_boundary(l2: float, keep: float, seed: int, steps: int = 2000, rate: float = 0.3) -> Layers:
    """The 2-20-3-1 ReLU network of the course's exercise, with its penalty (λ/2m)·sum w² or its dropout."""
    points, labels = moons(100, 5, 0.35)
    generator = np.random.default_rng(seed)
    layers = draw_layers((2, 20, 3, 1), xavier, generator)
    for _ in range(steps):
        masks = [(generator.random((len(points), m)) < keep) / keep for m in (20, 3)] if keep < 1 else None
        sums, outputs = forward(layers, points, "relu", masks)
        gradients = backward(layers, sums, outputs, logistic_gradient(sums[-1], labels), "relu", masks)
        layers = [
            (w - rate * (dw + l2 / len(points) * w), b - rate * db)
            for (w, b), (dw, db) in zip(layers, gradients, strict=True)
        ]
    return layers


def _boundaries(page: LessonPage) -> None:
    points, labels = moons(100, 5, 0.35)
    fresh, fresh_labels = moons(2000, 7, 0.35)
    settings = {"none": (0.0, 1.0), "L2, λ = 0.7": (0.7, 1.0), "dropout, keep 0.86": (0.0, 0.86)}
    nets = {name: [train_boundary(*setting, seed) for seed in (1, 2, 3)] for name, setting in settings.items()}
    page.heading("What it does to a boundary")
    page.text(
        "The course's exercise has a 2-20-3-1 network on 211 positions of a football field, which are not printed. "
        "Here are 100 points of two overlapping half-moons instead, 2,000 steps instead of 30,000, with the "
        "exercise's settings. Accuracies are means of three trainings from different first weights."
    )

    def paint(axes):
        for one, (name, three) in zip(axes, nets.items(), strict=True):
            draw_classes(one, points, labels, logit(three[0]), title=name)

    page.figure(paint, "Boundaries of the first training", panels=(1, 3), size=(6.4, 2.6))
    for key, (name, three) in zip(("free", "l2", "dropout"), nets.items(), strict=True):
        for part, at, wanted in (("train", points, labels), ("test", fresh, fresh_labels)):
            page.number(
                f"moons_{key}_{part}",
                float(np.mean([accuracy(net, at, wanted) for net in three])),
                f"accuracy, {name}, {part}",
            )
    page.try_it(
        "gradus train --data digits --model mlp --set train.regularization.l2=0.001",
        "gradus train --data digits --model mlp --set model.options.dropout=0.5",
    )
