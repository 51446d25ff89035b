"""What a classifier confuses: precision, recall, F1, errors that weigh more, and a choice under a limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradus.lessons.drawing import paint_cells
from gradus.look.charts import INK, MODEL, MUTED, SECOND, TEXT_SIZE
from gradus.reference import metrics

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage

ANIMALS = ("cat", "dog", "rabbit")
# 1000 pictures; rows: what they show, columns: what the classifier says
CONFUSION = np.array([[180, 20, 0], [0, 200, 0], [30, 20, 550]])
NETWORKS = (("first", 0.90, 80.0), ("second", 0.92, 95.0), ("third", 0.95, 1500.0))  # name, F1, milliseconds
LIMIT = 100.0  # milliseconds


def harmonic_mean(precision: np.ndarray | float, recall: np.ndarray | float) -> np.ndarray | float:
    """F1: 2 / (1/P + 1/R), written so that zeros give zero. Both zero: 0."""
    return 2 * precision * recall / np.maximum(np.asarray(precision) + recall, 1e-300)


def weighted_error(answers: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> float:
    """Share of wrong answers, each picture counting with its weight."""
    return float((weights * (answers != targets)).sum() / weights.sum())


def best_within(networks: tuple[tuple[str, float, float], ...], limit: float) -> str:
    """The network of the highest F1 among those that answer in time."""
    return max((one for one in networks if one[2] <= limit), key=lambda one: one[1])[0]


def show(page: LessonPage) -> None:
    page.text(
        "1000 pictures: 200 cats, 200 dogs, 600 rabbits. A classifier takes 20 cats for dogs, 30 rabbits for cats and 20 rabbits "
        "for dogs. How good is it? The **confusion table** counts every pair of truth and answer; what stands off the diagonal "
        "is wrong."
    )

    def table(axes):
        paint_cells(axes, CONFUSION.astype(float), shade=True)
        for place, animal in enumerate(ANIMALS):
            axes.text(place + 0.5, -0.12, animal, ha="center", va="bottom", color=INK, fontsize=TEXT_SIZE)
            axes.text(-0.08, place + 0.5, animal, ha="right", va="center", color=INK, fontsize=TEXT_SIZE)
        axes.text(1.5, -0.55, "answer", ha="center", va="bottom", color=MUTED, fontsize=TEXT_SIZE)
        axes.text(-0.95, 1.5, "shown", ha="center", va="center", rotation=90, color=MUTED, fontsize=TEXT_SIZE)
        axes.set(xlim=(-1.1, 3.1), ylim=(3.1, -0.9))

    page.figure(table, "The confusion table", size=(3.6, 3.2))
    recall, precision = metrics.recall(CONFUSION), metrics.precision(CONFUSION)
    f1 = metrics.f1(CONFUSION)
    page.text(
        "**Recall** reads along a row: of the cats, how many were found? **Precision** reads down a column: of the answers "
        '"cat", how many were right? **F1** is their harmonic mean; it is near the smaller of the two, so neither can be '
        "bought at the price of the other."
    )
    page.formula(r"F_1=\frac{2}{\frac{1}{P}+\frac{1}{R}}")
    page.table(
        ("class", "recall", "precision", "F1"),
        [(animal, recall[k], precision[k], f1[k]) for k, animal in enumerate(ANIMALS)],
    )
    page.number("recall_cat", recall[0], "recall of cats", printed="90 %")
    page.number("recall_rabbit", recall[2], "recall of rabbits", printed="91.7 %")
    page.number("precision_dog", precision[1], "precision of dogs", printed="83.3 %")
    page.number("accuracy", CONFUSION.trace() / CONFUSION.sum(), "accuracy: all right answers over all pictures")
    page.correction(
        "Course notes §3.1.3",
        "precision is glossed as the accuracy of the prediction",
        "accuracy counts all right answers; precision looks only at the answers of one class",
    )

    _equal_f1(page, precision, recall)
    _weights(page)
    _limit(page)


def _equal_f1(page: LessonPage, precision: np.ndarray, recall: np.ndarray) -> None:
    def bowls(axes):
        grid = np.linspace(0.01, 1, 100)
        field = harmonic_mean(grid[None, :], grid[:, None])
        axes.contour(grid, grid, field, levels=[0.2, 0.4, 0.6, 0.8, 0.9], colors=[MODEL], linewidths=1.2)
        for level in (0.2, 0.4, 0.6, 0.8):
            axes.text(level - 0.01, level - 0.01, f"{level}", ha="right", va="top", fontsize=TEXT_SIZE - 1, color=MODEL)
        axes.contour(
            grid, grid, (grid[None, :] + grid[:, None]) / 2, levels=[0.6], colors=[SECOND], linestyles="dashed"
        )
        aside = {"cat": (-6, -4, "right"), "dog": (-6, -3, "right"), "rabbit": (-1, -14, "center")}
        for place, animal in enumerate(ANIMALS):
            axes.plot(precision[place], recall[place], "o", color=INK, markersize=4)
            *offset, side = aside[animal]
            axes.annotate(
                animal, (precision[place], recall[place]), offset, textcoords="offset points", ha=side, color=INK
            )
        axes.set(
            xlabel="precision",
            ylabel="recall",
            aspect="equal",
            xticks=[0, 0.5, 1],
            yticks=[0, 0.5, 1],
            xlim=(0, 1.03),
            ylim=(0, 1.03),
        )

    page.figure(bowls, "Lines of equal F1", keys=[("model", "F1"), ("second", "plain mean 0.6")], size=(4.4, 3.8))
    page.text(
        'A classifier that says "cat" to everything has recall 1 and precision 0.2. The plain mean would call that 0.6.'
    )
    page.number("always_mean", (0.2 + 1) / 2, "plain mean of 0.2 and 1")
    page.number("always_f1", float(harmonic_mean(0.2, 1.0)), "their F1")


def _weights(page: LessonPage) -> None:
    page.heading("Errors that weigh more")
    page.text(
        "Two cat finders are tried on 1000 pictures, 20 of them offensive. A errs on 30 pictures, 10 of which are offensive "
        "ones that it lets through as cats. B errs on 50, none of them offensive. By plain error A wins, yet nobody would "
        "ship it. Let an offensive picture weigh ten times as much (the numbers are ours; the notes give no table)."
    )
    targets = np.zeros(1000, int)
    offensive = np.arange(1000) < 20
    answers = {"A": np.isin(np.arange(1000), np.arange(10, 40)), "B": np.arange(1000) >= 950}
    for name, wrong in answers.items():
        plain = weighted_error(wrong.astype(int), targets, np.ones(1000))
        weighted = weighted_error(wrong.astype(int), targets, np.where(offensive, 10.0, 1.0))
        page.number(f"plain_{name}", plain, f"plain error of {name}")
        page.number(f"weighted_{name}", weighted, f"weighted error of {name}")
    page.formula(r"E=\frac{\sum_i w_i\,[\hat{y}_i\neq y_i]}{\sum_i w_i}")


def _limit(page: LessonPage) -> None:
    page.heading("Best within a limit")
    page.text(
        "Three networks differ in F1 and in time. A weighted sum of the two would need a price for a millisecond. Simpler: one "
        "measure is **optimised**, the others only have to be good enough (**satisficed**)."
    )
    page.table(("network", "F1", "milliseconds"), list(NETWORKS))
    chosen = best_within(NETWORKS, LIMIT)

    def paint(axes):
        for name, f1, time in NETWORKS:
            axes.plot(time, f1, "o", color=MODEL if name == chosen else MUTED, markersize=8)
            axes.annotate(name, (time, f1), (0, 7), textcoords="offset points", ha="center", color=INK)
        axes.axvline(LIMIT, color=SECOND, lw=1.2)
        axes.set(xscale="log", xlim=(50, 3000), ylim=(0.88, 0.97), xlabel="milliseconds a picture", ylabel="F1")
        axes.set_xticks([50, 100, 500, 2000], ["50", "100", "500", "2000"])

    page.figure(paint, "The best that is in time", keys=[("model", "chosen"), ("second", f"limit, {LIMIT:.0f} ms")])
    page.number(
        "chosen_f1", dict((name, f1) for name, f1, _ in NETWORKS)[chosen], f"F1 of the choice, the {chosen} network"
    )
