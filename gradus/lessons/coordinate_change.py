"""Learning as a search for better coordinates: turn and shift the axes until one sign tells black from white."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradus.lessons.plane import dots
from gradus.look.charts import INK, MODEL, SECOND, THIRD

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage

ANGLES = np.arange(0, 360, 5)  # degrees
SHIFTS = np.linspace(-2, 2, 41)
# each fold: axis moved, axis read, height, frequency
FOLDS = ((2, 0, 0.9, 1.7), (0, 2, 0.9, 1.6), (2, 1, 0.9, 1.9), (1, 2, 0.8, 2.0))


def two_colours(count: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Points on both sides of a slanted line that does not pass the middle. (N, 2), (N,) of 0, 1."""
    points = generator.uniform(-2, 2, size=(4 * count, 2))
    distance = points @ np.array([np.cos(np.radians(35)), np.sin(np.radians(35))]) - 0.4
    kept = np.flatnonzero(np.abs(distance) > 0.12)[:count]
    return points[kept], (distance[kept] > 0).astype(int)


def ring(count: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A disc of one colour inside a ring of the other."""
    radius = np.concatenate([generator.uniform(0, 0.9, count // 2), generator.uniform(1.1, 2, count - count // 2)])
    angle = generator.uniform(0, 2 * np.pi, count)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1), (radius > 1).astype(int)


def change(points: np.ndarray, degrees: float, shift: float) -> np.ndarray:
    """The points in axes turned by so many degrees, then shifted along the new first axis."""
    angle = np.radians(degrees)
    axes = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])  # columns: the new axes
    return points @ axes - np.array([shift, 0.0])


def score(points: np.ndarray, classes: np.ndarray) -> float:
    """Share of rows for which the rule 'class 1 where x > 0' holds."""
    return float(((points[:, 0] > 0) == classes).mean())


def search(points: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """The score of every turn and shift: (angles, shifts)."""
    return np.array(
        [[score(change(points, float(angle), float(shift)), classes) for shift in SHIFTS] for angle in ANGLES]
    )


def polar(points: np.ndarray) -> np.ndarray:
    """Distance from the middle (less 1), and angle."""
    return np.stack([np.hypot(*points.T) - 1, np.arctan2(points[:, 1], points[:, 0])], axis=1)


def fold(points: np.ndarray, step: tuple[int, int, float, float], sign: int) -> np.ndarray:
    """Moves one coordinate by a wave of another; sign −1 undoes it. (N, 3)."""
    moved, read, height, frequency = step
    folded = points.copy()
    folded[:, moved] += sign * height * np.sin(frequency * points[:, read])
    return folded


def sheets(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Two flat sheets of paper, one above the other: (2 side², 3), and which."""
    u, v = np.meshgrid(np.linspace(-1.5, 1.5, side), np.linspace(-1.5, 1.5, side))
    flat = np.stack([u.ravel(), v.ravel()], axis=1)
    lower, upper = (np.hstack([flat, np.full((len(flat), 1), height)]) for height in (-0.12, 0.12))
    return np.vstack([lower, upper]), np.repeat([0, 1], len(flat))


def unfolding(side: int) -> tuple[list[np.ndarray], np.ndarray]:
    """The ball of paper, and the sheets after each fold undone, last first; and which sheet each point is on."""
    points, which = sheets(side)
    for step in FOLDS:
        points = fold(points, step, 1)
    stages = [points]
    for step in reversed(FOLDS):
        stages.append(fold(stages[-1], step, -1))
    return stages, which


def by_plane(points: np.ndarray, which: np.ndarray) -> float:
    """Share of points that one plane puts on the right side (logistic regression, hardly restrained)."""
    from sklearn.linear_model import LogisticRegression

    return float(LogisticRegression(C=1e4, max_iter=500).fit(points, which).score(points, which))


def show(page: LessonPage) -> None:
    points, classes = two_colours(200, np.random.default_rng(0))
    scores = search(points, classes)
    best = np.argwhere(scores == scores.max())  # several changes can be equally good: the one in the middle of them
    angle_index, shift_index = best[len(best) // 2]
    degrees, shift = float(ANGLES[angle_index]), float(SHIFTS[shift_index])
    page.text(
        "Points of two colours. We want the shortest possible rule, `x > 0` is blue, and look for axes in which it "
        "is true. We allow turns and shifts of the axes; this set of allowed changes is the **hypothesis space**. "
        "The share of points that the rule gets right is the feedback. Trying them all is already machine learning."
    )
    page.number("tried", scores.size, "changes of axes tried")
    page.number("raw", score(points, classes), "right in the given axes")
    page.number("best", scores.max(), "right in the best axes")
    page.number("degrees", degrees, "turned by, degrees (the data were made with 35)")
    page.number("shift", shift, "shifted by (made with 0.4)")

    def three(every):
        direction = np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))])
        across = np.array([-direction[1], direction[0]])
        for axes, shown in zip(every, (points, points, change(points, degrees, shift)), strict=True):
            dots(axes, shown, classes, 3)
            axes.set(xlim=(-3.2, 3.2), ylim=(-3.2, 3.2), xticks=[-2, 0, 2], yticks=[-2, 0, 2], aspect="equal")
        centre = shift * direction
        for line in (direction, across):
            ends = np.stack([centre - 3 * line, centre + 3 * line])
            every[1].plot(ends[:, 0], ends[:, 1], color=INK, linewidth=1)
        every[2].axvline(0, color=INK, linewidth=1)
        for axes, title in zip(every, ("as given", "new axes", "in the new axes"), strict=True):
            axes.set_title(title)

    def landscape(axes):
        axes.imshow(
            scores.T, extent=(0, 360, SHIFTS[0], SHIFTS[-1]), origin="lower", aspect="auto", cmap="viridis", alpha=0.9
        )
        axes.plot([degrees], [shift], "o", color=SECOND, markersize=7)
        axes.set(xlabel="turn, degrees", ylabel="shift", xticks=[0, 90, 180, 270, 360])
        axes.grid(visible=False)

    page.figure(three, "The same points in other axes", panels=(1, 3), size=(6.2, 2.4))
    page.figure(
        landscape,
        "Share right for every change",
        keys=[("second", "best")],
        note="Bright: many right. The search looks at every place and takes the brightest.",
    )
    page.correction(
        "Deep Learning with Python §2.3.5",
        "`array([u, v])` with $u=(\\cos\\theta,\\sin\\theta)$ and $v=(-\\sin\\theta,\\cos\\theta)$ turns by $\\theta$",
        "that puts them as rows and turns by $-\\theta$; they are the columns of the rotation",
    )
    turned = np.array([[np.cos(np.pi / 2), np.sin(np.pi / 2)], [-np.sin(np.pi / 2), np.cos(np.pi / 2)]]) @ np.array(
        [1.0, 0.0]
    )
    page.number(
        "printed_turn",
        float(np.degrees(np.arctan2(turned[1], turned[0]))),
        "where the printed matrix turns (1, 0), degrees",
        printed=90,
    )

    page.heading("The answer must be among the questions")
    disc, inner = ring(200, np.random.default_rng(1))
    page.text(
        "A disc inside a ring: no turn or shift helps. With one more kind of change, to distance and angle, the "
        "rule is perfect at once. A search finds only what its space holds, which is why networks build theirs "
        "from many small pieces."
    )
    page.number("ring_best", search(disc, inner).max(), "right in the best turned and shifted axes")
    page.number("ring_polar", score(polar(disc), inner), "right with distance from the middle as first axis")
    _paper(page)
    page.try_it("gradus lesson clock-hands", "gradus lesson hidden-layer-representations")


def _paper(page: LessonPage) -> None:
    page.heading("A ball of paper")
    stages, which = unfolding(14)
    page.text(
        "Two sheets of paper, one of each colour, crumpled into one ball. No flat cut separates them. But the "
        "crumpling was a few simple folds, and undone one by one, each by a small simple change, the sheets come "
        "apart. This is what the layers of a deep network do with data: each unfolds a little."
    )

    def balls(every):
        for stage, (axes, points) in enumerate(zip(every, (stages[0], stages[1], stages[3], stages[4]), strict=True)):
            for label, colour in ((0, SECOND), (1, MODEL)):
                side = int(np.sqrt((which == label).sum()))
                x, y, z = (points[which == label][:, k].reshape(side, side) for k in range(3))
                axes.plot_surface(x, y, z, color=colour, alpha=0.55, linewidth=0, rcount=side, ccount=side, shade=False)
            axes.set(
                xticks=[], yticks=[], zticks=[], title=("crumpled", "one fold undone", "three undone", "flat")[stage]
            )
            axes.set(xlim=(-2, 2), ylim=(-2, 2), zlim=(-1.5, 1.5))
            axes.view_init(elev=18, azim=-60)

    page.figure(balls, "Unfolding", panels=(2, 2), axes="3d", size=(5.8, 5.4))
    shares = [by_plane(points, which) for points in stages]

    def line(axes):
        axes.plot(shares, "o-", color=THIRD, markersize=4)
        axes.set(xlabel="folds undone", ylabel="right by one flat cut", xticks=range(5), ylim=(0.45, 1.03))

    page.figure(line, "How well a flat cut separates the sheets")
    page.number("crumpled", shares[0], "share of points right by one flat cut, crumpled")
    page.number("flat", shares[-1], "the same when all folds are undone")
