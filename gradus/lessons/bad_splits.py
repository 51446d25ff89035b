"""Five ways to cut data in two that give a wrong score, each beside the right way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradus.look.charts import INK, MODEL, SECOND

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage

SHARE = 0.8
DAYS = 3 * 365


def nearest(inputs: np.ndarray, targets: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """What the nearest known row had."""
    squared = (asked**2).sum(1)[:, None] - 2 * asked @ inputs.T + (inputs**2).sum(1)
    return targets[squared.argmin(axis=1)]


def in_order(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """The first 80 % and the rest."""
    cut = int(SHARE * rows)
    return np.arange(cut), np.arange(cut, rows)


def shuffled(rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    order = np.random.default_rng(seed).permutation(rows)
    first, last = in_order(rows)
    return order[first], order[last]


def by_group(groups: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Shuffled, but rows of one group stay on one side."""
    names = np.unique(groups)
    chosen = names[shuffled(len(names), seed)[0]]
    known = np.isin(groups, chosen)
    return np.flatnonzero(known), np.flatnonzero(~known)


def accuracy(inputs: np.ndarray, classes: np.ndarray, split: tuple[np.ndarray, np.ndarray]) -> float:
    """Of the nearest-neighbour rule."""
    known, asked = split
    return float((nearest(inputs[known], classes[known], inputs[asked]) == classes[asked]).mean())


def random_walk(steps: int, seed: int) -> np.ndarray:
    """A price that goes up or down at random."""
    return 100 + np.random.default_rng(seed).normal(size=steps).cumsum()


def price_error(price: np.ndarray, split: tuple[np.ndarray, np.ndarray]) -> float:
    """Mean absolute error of reading the price off the nearest known day."""
    days = np.arange(len(price), dtype=np.float64)[:, None]
    known, asked = split
    return float(np.abs(nearest(days[known], price[known], days[asked]) - price[asked]).mean())


def sales(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Three years of a shop: day of the year as cos and sin (N, 2), discount (N,), and which coat sold best (N,) 0 or 1."""
    day = np.arange(DAYS)
    season = np.stack([np.cos(2 * np.pi * day / 365), np.sin(2 * np.pi * day / 365)], axis=1)
    discount = generator.normal(size=DAYS)
    warm = (2.2 * season[:, 0] + 0.8 * discount + 0.4 * generator.normal(size=DAYS) > 0).astype(int)
    return season, discount, warm


def show(page: LessonPage) -> None:
    page.text(
        "How good is a model on data that it has not seen? To find out, some rows are held back. How they are "
        "chosen decides whether the answer is true. Here are the classical mistakes; the model is always the "
        "plainest there is: the answer of the nearest known row."
    )
    _sorted_classes(page)
    _arrow_of_time(page)
    _duplicates(page)
    _seasons(page)
    _baselines(page)
    page.try_it("gradus train --data digits --model mlp --set data.test=0.2 --validation 0.2")


def _sorted_classes(page: LessonPage) -> None:
    from sklearn.datasets import load_digits

    inputs, classes = load_digits(return_X_y=True)
    order = np.argsort(classes, kind="stable")
    inputs, classes = inputs[order], classes[order]
    first, mixed = in_order(len(classes)), shuffled(len(classes))
    page.heading("Rows in order of class")
    page.text(
        "Handwritten digits, stored class by class. The first 80 % as training set holds zeros to sevens; what is "
        "asked are eights and nines, which the model has never seen, and the last six sevens, the only "
        "ones it gets right. Shuffle before cutting."
    )
    page.number("sorted_score", accuracy(inputs, classes, first), "score, cut in order")
    page.number("shuffled_score", accuracy(inputs, classes, mixed), "score, shuffled first")

    def counts(every):
        for axes, (known, asked), title in zip(every, (first, mixed), ("in order", "shuffled"), strict=True):
            axes.bar(np.arange(10) - 0.2, np.bincount(classes[known], minlength=10), 0.4, color=MODEL)
            axes.bar(np.arange(10) + 0.2, np.bincount(classes[asked], minlength=10), 0.4, color=SECOND)
            axes.set(title=title, xlabel="digit", xticks=[0, 3, 6, 9])

    page.figure(counts, "Rows of each digit", panels=(1, 2), keys=[("model", "learnt from"), ("second", "asked")])


def _arrow_of_time(page: LessonPage) -> None:
    price = random_walk(1000, 4)
    mixed, later = shuffled(len(price)), in_order(len(price))
    yesterday = float(np.abs(np.diff(price))[later[0][-1] :].mean())
    page.heading("The arrow of time")
    page.text(
        "A price that moves at random, so that nothing of its future can be known but that it is near today's. "
        "Shuffled, the held-out days lie between known ones, and reading off the neighbour looks brilliant. But "
        "the neighbour is often tomorrow. What will be asked of the model is the time after the last known day; so "
        "hold out the last days."
    )
    page.number("shuffled_error", price_error(price, mixed), "mean error, days held out at random")
    page.number("later_error", price_error(price, later), "mean error, the last 200 days held out")
    page.number(
        "yesterday_error",
        yesterday,
        "mean error on those days of saying what yesterday had, the baseline for any forecast",
    )

    def drawn(axes):
        axes.plot(price, color=INK, linewidth=0.8)
        days = np.arange(1000, dtype=np.float64)[:, None]
        known, asked = later
        axes.plot(asked, nearest(days[known], price[known], days[asked]), color=SECOND)
        axes.axvline(asked[0], color=INK, linewidth=1, linestyle=(0, (3, 3)))
        axes.set(xlabel="day", ylabel="price", xticks=[0, 400, 800])

    page.figure(drawn, "The last 200 days held out", keys=[("ink", "price"), ("second", "forecast")])


def _duplicates(page: LessonPage) -> None:
    generator = np.random.default_rng(0)
    inputs, classes = generator.normal(size=(300, 10)), generator.integers(0, 2, 300)
    copies = np.repeat(np.arange(300), 3)
    split = shuffled(len(copies))
    disjoint = by_group(copies)
    page.heading("The same row twice")
    page.text(
        "Here the classes are drawn by a coin: there is nothing to learn. But each row is in the table three "
        "times. Shuffled, most held-out rows have a copy in the training set, and the model answers from memory. "
        "Copies must stay on one side; so must several pictures of one patient, or several windows of one "
        "recording."
    )
    page.number("copies_score", accuracy(inputs[copies], classes[copies], split), "score, copies on both sides")
    page.number(
        "disjoint_score", accuracy(inputs[copies], classes[copies], disjoint), "score, copies kept together: a coin's"
    )


def _seasons(page: LessonPage) -> None:
    season, discount, warm = sales(np.random.default_rng(1))
    day = np.arange(DAYS)
    summer = (day < 365) & (np.abs(day - 212) < 46)
    winter = (day >= 730) & ((day % 365 < 46) | (day % 365 > 319))
    first, third = day < 730, day >= 730
    plain, full = discount[:, None], np.hstack([season * 3, discount[:, None]])

    def score(inputs: np.ndarray, known: np.ndarray, asked: np.ndarray) -> float:
        return float((nearest(inputs[known], warm[known], inputs[asked]) == warm[asked]).mean())

    page.heading("A world that changes")
    page.text(
        "A shop learns in summer which coat sells best, and uses it in winter. No shuffling helps: the rule itself "
        "has changed. Such a problem is called **nonstationary**. What helps: collect data over a whole cycle, "
        "give the time of year as an input, and learn again as new data come."
    )
    page.number(
        "summer_in_summer",
        score(plain, summer & (day % 2 == 0), summer & (day % 2 == 1)),
        "learnt in summer, asked in the same summer",
    )
    page.number("summer_in_winter", score(plain, summer, winter), "learnt in summer, asked in winter")
    page.number(
        "year_without_season",
        score(plain, first, third),
        "learnt over two years without the time of year, asked in the third",
    )
    page.number("year_with_season", score(full, first, third), "the same with the time of year as an input")


def _baselines(page: LessonPage) -> None:
    names = ("ten digits", "film reviews", "46 topics of news")
    rows = [[name, share] for name, share in zip(names, (0.1, 0.5, 0.19), strict=True)]
    generator = np.random.default_rng(0)
    skewed = generator.choice(2, size=2000, p=[0.95, 0.05])
    page.heading("Better than what?")
    page.text(
        "A score says something only beside what costs nothing. Deep Learning with Python names 0.1, 0.5 and 0.19 "
        "as the shares that chance gets right on its three data sets. With unequal classes always giving the "
        "commonest answer can look splendid:"
    )
    page.table(("data", "right by chance"), rows)
    page.number("commonest", float((skewed == 0).mean()), "score of always saying no, where 5 % are yes")
