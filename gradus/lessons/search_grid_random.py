"""Where to try: a grid against random points with the same budget, and the scale on which to draw."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradus.look.charts import INK, MODEL, SECOND

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage

BUDGET = 25
PEAK = 0.37  # where the important setting is best


def score(important: np.ndarray, other: np.ndarray, peak: float = PEAK) -> np.ndarray:
    """How good a setting is, at most 1: a narrow hill in one setting, and next to nothing of the other. Both in 0..1."""
    return 0.95 * np.exp(-(((important - peak) / 0.06) ** 2)) + 0.05 * other


def grid(side: int = 5) -> np.ndarray:
    """side × side points at the middles of equal cells of the unit square. (side², 2)"""
    middles = (np.arange(side) + 0.5) / side
    return np.array([(x, y) for x in middles for y in middles])


def random_points(
    generator: np.random.Generator, count: int = BUDGET, low: float = 0.0, high: float = 1.0
) -> np.ndarray:
    """Points of the unit square, the first coordinate in low..high. (count, 2)"""
    points = generator.random((count, 2))
    points[:, 0] = low + (high - low) * points[:, 0]
    return points


def best(points: np.ndarray, peak: float = PEAK) -> float:
    """The best score among the points."""
    return float(score(points[:, 0], points[:, 1], peak).max())


def zoom(generator: np.random.Generator, budget: int = BUDGET) -> float:
    """Half of the budget anywhere, the other half within a tenth of the best so far: from coarse to fine."""
    coarse = random_points(generator, budget // 2)
    centre = coarse[score(*coarse.T).argmax(), 0]
    fine = random_points(generator, budget - budget // 2, max(0, centre - 0.1), min(1, centre + 0.1))
    return max(best(coarse), best(fine))


def draw_rates(count: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Learning rates from 0.0001 to 1: drawn evenly, and drawn as 10^(-4 u), evenly on a logarithmic scale."""
    return generator.uniform(1e-4, 1, count), 10 ** (-4 * generator.random(count))


def draw_betas(count: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Decays from 0.9 to 0.999: drawn evenly, and with 1 - beta drawn evenly on a logarithmic scale."""
    return generator.uniform(0.9, 0.999, count), 1 - 10 ** generator.uniform(-3, -1, count)


def show(page: LessonPage) -> None:
    _points(page)
    _scales(page)


def _points(page: LessonPage) -> None:
    searches = [random_points(np.random.default_rng(seed)) for seed in range(2000)]
    results = np.array([best(points) for points in searches])
    zoomed = np.array([zoom(np.random.default_rng(seed)) for seed in range(2000)])
    shown = {"grid": grid(), "random": searches[0]}

    page.text(
        "We look for the best pair of settings and can afford 25 trainings. One setting matters, the other hardly "
        "does, and we do not know which. A **grid** of 5 × 5 tries only five values of each: twenty trainings "
        "repeat a value of the one that matters. **Random** points try 25 values of both."
    )

    def paint(axes):
        x = np.linspace(0, 1, 300)
        for one, (name, points) in zip(axes, shown.items(), strict=True):
            one.fill_between(x, 1.05, 1.05 + 0.35 * score(x, 0 * x), color=MODEL, alpha=0.25, linewidth=0)
            one.vlines(
                points[:, 0], 1.05, 1.05 + 0.35 * score(points[:, 0], 0 * points[:, 0]), color=SECOND, linewidth=1
            )
            one.plot(points[:, 0], points[:, 1], "o", color=INK, markersize=3.5)
            one.set(
                xlabel="the setting that matters",
                ylabel="the other",
                xticks=[0, 0.5, 1],
                yticks=[0, 0.5, 1],
                ylim=(-0.03, 1.45),
            )
            one.set_title(name, fontsize=10.5)

    page.figure(
        paint,
        "25 trials each",
        panels=(1, 2),
        size=(6.4, 3.1),
        keys=[("ink", "trials"), ("model", "how good the important setting is"), ("second", "where it was tried")],
    )
    page.number(
        "grid_values", len(np.unique(shown["grid"][:, 0])), "values of the important setting that the grid tries"
    )
    page.number("random_values", len(np.unique(shown["random"][:, 0])), "the same for random points")
    page.number("grid_best", best(grid()), "best score of the grid")
    page.number("random_best", results.mean(), f"best score of 25 random points, mean of {len(results):,} searches")
    page.number("random_wins", (results > best(grid())).mean(), "share of random searches that beat the grid")
    page.number("zoom_best", zoomed.mean(), "12 random points, then 13 near the best of them: mean")
    page.text(
        "**From coarse to fine** spends the second half of the trials near the best of the first. It pays where "
        "the score is smooth; it loses where the first half missed the hill. A grid may be lucky, too: move the "
        "hill to a middle of its cells and it wins."
    )
    page.number("lucky_grid", best(grid(), 0.3), "best score of the grid if the hill stood at 0.3")


def _scales(page: LessonPage) -> None:
    generator = np.random.default_rng(0)
    even, logarithmic = draw_rates(20_000, generator)
    flat, reverse = draw_betas(20_000, generator)
    page.heading("On which scale?")
    page.text(
        "A learning rate somewhere from 0.0001 to 1: drawn evenly, nine of ten draws land above 0.1, and one in a "
        "thousand below 0.001. What matters is the **order of magnitude**, so draw the exponent: $r=10^{-4u}$ with "
        r"$u$ even in 0..1. A decay $\beta$ of 0.9 averages over about 10 values, 0.999 over 1000: what matters is "
        r"$1-\beta$, so draw **that** on a logarithmic scale. Counts such as units or layers may be drawn evenly."
    )
    decades = np.arange(-4, 1)
    tails = np.arange(-3, -0.9, 0.5)

    def paint(axes):
        for one, values, bins in ((axes[0], (even, logarithmic), decades), (axes[1], (1 - flat, 1 - reverse), tails)):
            for index, (drawn, colour) in enumerate(zip(values, (SECOND, MODEL), strict=True)):
                counts = np.histogram(np.log10(drawn), bins)[0] / len(drawn)
                one.bar(np.arange(len(counts)) + 0.4 * index - 0.2, counts, 0.38, color=colour)
            one.set(ylabel="share of draws", ylim=(0, 1), xticks=range(4))
        axes[0].set_xticklabels(["0.0001", "0.001", "0.01", "0.1"], ha="center")
        axes[0].set(xlabel="learning rate, from")
        axes[1].set_xticklabels(["0.001", "0.0032", "0.01", "0.032"])
        axes[1].set(xlabel="1 − β, from")

    page.figure(
        paint,
        "Where 20,000 draws land",
        panels=(1, 2),
        size=(6.4, 2.6),
        keys=[("second", "drawn evenly"), ("model", "logarithmic")],
    )
    page.number("even_above", (even > 0.1).mean(), "share of rates above 0.1, drawn evenly")
    page.number("log_above", (logarithmic > 0.1).mean(), "the same, logarithmic")
    page.number("flat_beyond", (flat > 0.99).mean(), "share of decays above 0.99, drawn evenly")
    page.number("reverse_beyond", (reverse > 0.99).mean(), r"the same, $1-\beta$ logarithmic")
    page.correction(
        "Course notes §2.3.2",
        "β averages over 1/1−β values, and 1−β is tried at 0.1, 0.01, …, 0.001",
        r"over about $1/(1-\beta)$ values, and the powers of ten between 0.1 and 0.001 are 0.1, 0.01 and 0.001, "
        "nothing more",
    )
    page.text(
        "Which setting first? The learning rate; then momentum, the number of units, and the batch size; then "
        "layers and decay. With little computing power one model is watched and nudged by hand (the notes call it "
        "the panda); with much, many are trained side by side (the fish)."
    )
    page.try_it("gradus search --data digits --model mlp --vary learning_rate=log:1e-4..1 --trials 12 --epochs 5")
