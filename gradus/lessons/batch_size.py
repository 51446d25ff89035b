"""How many rows to look at before each step: what a sample says of the whole, and three ways down the same bowl."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradus.look.charts import INK, MODEL, SECOND, THIRD

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage

BALLS = np.arange(1.0, 1001.0)
ROWS, TRUE = 512, np.array([1.5, -1.0])


def sample_means(size: int, draws: int = 4000, balls: np.ndarray = BALLS) -> np.ndarray:
    """Means of samples of `size` different balls. (draws,)"""
    generator = np.random.default_rng(size)
    return np.array([generator.choice(balls, size, replace=False).mean() for _ in range(draws)])


def batches(rows: int, size: int, generator: np.random.Generator) -> list[np.ndarray]:
    """The rows in a new order, cut into parts of `size`; the last may be smaller. Every row once: an epoch.

    The indices are shuffled and then used on inputs and targets alike, so that they stay together.
    """
    order = generator.permutation(rows)
    return [order[start : start + size] for start in range(0, rows, size)]


def problem() -> tuple[np.ndarray, np.ndarray]:
    """512 rows of two columns of unequal spread, and a noisy linear target. (512, 2), (512,)"""
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(ROWS, 2)) * (1.0, 0.5)
    return inputs, inputs @ TRUE + generator.normal(0, 0.8, ROWS)


def descend(size: int, rate: float, epochs: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(path (steps + 1, 2), the loss of each step's own batch (steps,), the loss of all rows after each epoch (epochs + 1,))."""
    inputs, targets = problem()
    generator = np.random.default_rng(1)
    weights = np.array([-1.5, 1.5])
    path, own, whole = [weights], [], [full_loss(weights)]
    for _ in range(epochs):
        for rows in batches(ROWS, size, generator):
            residual = inputs[rows] @ weights - targets[rows]
            own.append(float((residual**2).mean()))
            weights = weights - rate * 2 * inputs[rows].T @ residual / len(rows)
            path.append(weights)
        whole.append(full_loss(weights))
    return np.array(path), np.array(own), np.array(whole)


def full_loss(weights: np.ndarray) -> float:
    """Mean squared error over all rows."""
    inputs, targets = problem()
    return float(((inputs @ weights - targets) ** 2).mean())


def unseen_share(rows: int, seed: int = 0) -> float:
    """Share of rows that are not seen in as many draws with replacement as there are rows."""
    drawn = np.random.default_rng(seed).integers(0, rows, rows)
    return 1 - len(np.unique(drawn)) / rows


def show(page: LessonPage) -> None:
    _balls(page)
    _epoch(page)
    _descents(page)


def _balls(page: LessonPage) -> None:
    sizes = (1, 10, 100)
    means = {size: sample_means(size) for size in sizes}
    normal = np.random.default_rng(9).normal(500.5, 100, 1000)
    page.text(
        "A box holds balls numbered 1 to 1000; their mean is 500.5. Who draws a few and takes their mean gets an "
        "estimate that is right on average and off by chance. A **mini-batch** is such a sample, and the gradient "
        "it gives is such an estimate."
    )

    def paint(axes):
        for size, colour in zip(sizes, (SECOND, THIRD, MODEL), strict=True):
            axes.hist(means[size], bins=40, range=(0, 1000), color=colour, alpha=0.65, density=True)
        axes.set(xlabel="mean of the sample", yticks=[], xticks=[0, 250, 500, 750, 1000])

    page.figure(
        paint, "Means of 4000 samples", keys=[("second", "1 ball"), ("third", "10 balls"), ("model", "100 balls")]
    )
    page.number("mean_of_all", BALLS.mean(), "mean of all balls", printed=500.5)
    for size in sizes:
        page.number(f"spread_{size}", means[size].std(), f"standard deviation of the mean of {size}")
    page.number(
        "spread_normal",
        sample_means(10, balls=normal).std(),
        "the same for 10 balls of a normal distribution, mean 500.5, deviation 100",
    )
    page.text(
        r"Ten times the work makes the estimate only $\sqrt{10}$ times as good. That is why small batches pay: many "
        "rough steps beat few exact ones. Balls that lie closer together (the normal ones) give a smaller error, "
        "for the same reason that similar rows do."
    )


def _epoch(page: LessonPage) -> None:
    parts = batches(300, 64, np.random.default_rng(0))
    page.heading("Step, epoch, remainder")
    page.text(
        "One update is a **step** (iteration). An **epoch** is one pass in which every row is used once: shuffle "
        "the rows, cut the order into batches, and take the short rest as a batch of its own. Batches are usually "
        "powers of two, 64 to 512; a set of up to about 2000 rows may be used whole."
    )
    page.number("parts", len(parts), "batches of 64 from 300 rows")
    page.number("last_part", len(parts[-1]), "rows of the last batch")
    page.number(
        "unseen", unseen_share(100_000), "share of rows never seen in 100,000 draws **with replacement** from 100,000"
    )
    page.correction(
        "Plain Talk §7.2",
        "in each epoch a random part of the data is used instead of all",
        "in each **step**; an epoch has used every row once",
    )
    page.correction(
        "Deep Learning with Python, 1st ed. §4.2.1",
        "`np.random.shuffle(data)` before the split, and nothing for the labels",
        "one permutation of the row numbers for inputs and targets, or rows and labels no longer belong together",
    )


def _descents(page: LessonPage) -> None:
    cases = {"all 512": (512, 0.3), "64": (64, 0.3), "1": (1, 0.03)}
    runs = {name: descend(size, rate, 6) for name, (size, rate) in cases.items()}
    colours = (INK, MODEL, SECOND)
    page.heading("Three ways down")
    page.text(
        "Linear regression with two weights, six epochs each. The whole set takes 6 steps, batches of 64 take 48, "
        "single rows 3072. Single rows need a smaller rate (0.03 instead of 0.3), for their gradients are noisy."
    )

    def paths(axes):
        x, y = np.meshgrid(np.linspace(-2, 2.4, 60), np.linspace(-2, 2, 60))
        inputs, targets = problem()
        loss = ((x[..., None] * inputs[:, 0] + y[..., None] * inputs[:, 1] - targets) ** 2).mean(axis=-1)
        axes.contour(x, y, loss, levels=10, colors=[INK], linewidths=0.5, alpha=0.4)
        for (path, _, _), colour in list(zip(runs.values(), colours, strict=True))[::-1]:
            axes.plot(
                path[:600, 0],
                path[:600, 1],
                color=colour,
                linewidth=1,
                marker="o" if len(path) < 100 else None,
                markersize=2.5,
            )
        axes.set(xlabel="first weight", ylabel="second weight")

    def steps(axes):
        for (_, own, _), colour in list(zip(runs.values(), colours, strict=True))[::-1]:
            axes.semilogx(np.arange(1, len(own) + 1), own, color=colour, linewidth=1)
        axes.set(xlabel="step", ylabel="loss of its own batch", ylim=(0, 12))

    keys = list(zip(("ink", "model", "second"), [f"batch: {name}" for name in cases], strict=True))
    page.figure(paths, "Paths over the loss of all rows", keys=keys)
    page.figure(
        steps, "The loss as each step sees it", keys=keys, note="Smooth with all rows, jagged with single ones."
    )
    page.table(
        ["after epoch", *cases],
        [[epoch, *(float(run[2][epoch]) for run in runs.values())] for epoch in (0, 1, 2, 6)],
        title="Loss of all rows",
    )
    for key, (_, _, whole) in zip(("whole", "mini", "single"), runs.values(), strict=True):
        page.number(f"{key}_loss", whole[1], f"loss of all rows after one epoch, {key}")
    page.correction(
        "Principles and Practice §2.3.1",
        "batch gradient descent easily reaches the global optimum; SGD draws n rows in one place and one row in "
        "another",
        "exact gradients lead to the nearest flat place, which is the global minimum only if the loss is convex; "
        "SGD strictly is one row a step, and what everybody uses is the mini-batch",
    )
    page.try_it(
        "gradus train --data digits --model mlp --batch-size 16",
        "gradus train --data digits --model mlp --batch-size 512",
    )
