"""Six lines, seven ANDs and an OR draw a snowflake; and how many ways a line can split a few points."""

from __future__ import annotations

from functools import partial
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from gradus.lessons.plane import dots, grid, regions
from gradus.look.charts import INK
from gradus.reference.activations import sigmoid

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage

BOX = (-2.5, 2.5)
RING = (1, 3, 5, 2, 4, 6)  # the lines in the order of the hexagon's edges
INSIDE = {1: -1, 2: 1, 3: -1, 4: 1, 5: -1, 6: 1}  # the sign of line k inside the hexagon: l1 < 0, l2 > 0, ...
Region = dict[int, int]  # line -> the sign that it must have
HEXAGON: Region = dict(INSIDE)
# the point of the star on edge k: outside k, inside its two neighbours
POINTS: tuple[Region, ...] = tuple(
    {RING[i]: -INSIDE[RING[i]], RING[i - 1]: INSIDE[RING[i - 1]], RING[(i + 1) % 6]: INSIDE[RING[(i + 1) % 6]]}
    for i in range(6)
)
PRINTED_WRONG = {5: {2: -1, 3: -1, 5: 1}, 4: {4: -1, 2: -1, 6: 1}}  # as printed; both need l2 > 0


def lines() -> tuple[np.ndarray, np.ndarray]:
    """Weights (2, 6) and bias (6,) of six lines at distance 1 around the origin; column k - 1 is line k."""
    weights, bias = np.zeros((2, 6)), np.zeros(6)
    for place, line in enumerate(RING):
        angle = np.pi / 3 * place + np.pi / 6
        outward = np.array([np.cos(angle), np.sin(angle)])
        weights[:, line - 1] = -INSIDE[line] * outward
        bias[line - 1] = INSIDE[line]
    return weights, bias


def printed_points() -> tuple[Region, ...]:
    """The six triangles with the two printed ones in their places."""
    wrong = dict(zip((RING.index(line) for line in PRINTED_WRONG), PRINTED_WRONG.values(), strict=True))
    return tuple(wrong.get(place, triangle) for place, triangle in enumerate(POINTS))


def and_units(areas: tuple[Region, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Weights ±20 (6, A) and bias (A,): 10 where all signs are met, -10 or less where not."""
    weights = np.zeros((6, len(areas)))
    for unit, area in enumerate(areas):
        for line, sign in area.items():
            weights[line - 1, unit] = 20 * sign
    return weights, 10 - np.maximum(weights, 0).sum(axis=0)


def snowflake(points: np.ndarray, triangles: tuple[Region, ...] = POINTS, steepness: float | None = None) -> np.ndarray:
    """The network: (N, 2) -> (N,). Six lines, seven ANDs, one OR. steepness=None: steps; else sigmoids."""

    def switch(sums: np.ndarray) -> np.ndarray:
        return (sums > 0).astype(np.float64) if steepness is None else sigmoid(sums)

    weights, bias = lines()
    sides = switch((points @ weights + bias) * (steepness or 1))
    and_weights, and_bias = and_units((HEXAGON, *triangles))
    return switch(switch(sides @ and_weights + and_bias).sum(axis=1) * 20 - 10)


def star(points: np.ndarray) -> np.ndarray:
    """The same figure without a network: two large triangles, one upon the other. (N, 2) -> (N,) of 0, 1."""
    angles = np.pi / 3 * np.arange(6) + np.pi / 6
    far = points @ np.stack([np.cos(angles), np.sin(angles)])
    return ((far[:, ::2].max(axis=1) < 1) | (far[:, 1::2].max(axis=1) < 1)).astype(np.float64)


def best_line(points: np.ndarray, classes: np.ndarray) -> float:
    """Largest share of rows right by one line, over 90 directions and 101 offsets, either side being the class."""
    best = 0.0
    for angle in np.linspace(0, np.pi, 90, endpoint=False):
        along = points @ np.array([np.cos(angle), np.sin(angle)])
        beyond = along[:, None] > np.linspace(-4, 4, 101)
        right = (beyond == classes.astype(bool)[:, None]).mean(axis=0)
        best = max(best, float(right.max()), float(1 - right.min()))
    return best


def separable(points: np.ndarray, labels: np.ndarray) -> bool:
    """Whether a line has all rows labelled 1 on one side and the others on the other: a linear program decides."""
    from scipy.optimize import linprog

    signs = 2 * labels - 1
    constraints = -signs[:, None] * np.hstack([points, np.ones((len(points), 1))])
    found = linprog(np.zeros(points.shape[1] + 1), A_ub=constraints, b_ub=-np.ones(len(points)), bounds=(None, None))
    return bool(found.status == 0)


def splits(points: np.ndarray) -> int:
    """How many of the 2^N labellings of the rows a line can make."""
    return sum(separable(points, np.array(labels)) for labels in product((0, 1), repeat=len(points)))


def show(page: LessonPage) -> None:
    where = grid(BOX, BOX, 300)
    inside = star(where)
    page.text(
        "A neuron cuts the plane along a line, an AND neuron keeps what lies on the right side of several lines, "
        "an OR neuron joins such pieces. Three layers therefore draw any figure with straight edges. This one has "
        "six lines, seven pieces (a hexagon and six points) and one OR."
    )
    found = snowflake(where)
    page.number("neurons", 6 + 7 + 1, "neurons")
    page.number(
        "wrong", float((found != inside).mean()), "share of a grid of 90,000 places where network and star differ"
    )

    def drawn(axes):
        regions(axes, snowflake, BOX, BOX, count=200)
        weights, bias = lines()
        for k in range(6):
            normal = -weights[:, k] * bias[k]
            along = np.array([-normal[1], normal[0]])
            ends = np.stack([normal + 4 * along, normal - 4 * along])
            axes.plot(ends[:, 0], ends[:, 1], color=INK, linewidth=0.7, alpha=0.6)
            axes.text(*(normal * 2.2), f"l{k + 1}", ha="center", va="center", color=INK)
        axes.set(xlim=BOX, ylim=BOX, xticks=[-2, 0, 2], yticks=[-2, 0, 2], aspect="equal")

    page.figure(drawn, "Six lines and what they enclose", size=(4.4, 4.2))
    page.formula(
        r"\mathrm{hexagon}:\ l_1,l_3,l_5<0<l_2,l_4,l_6",
        "$l_i$ is the weighted sum of the neuron of line $i$: 0 on the line, and of either sign beside it.",
    )
    _printed(page, where, inside)
    _sigmoid(page, where, inside)
    _one_line(page, where, inside)
    _shattering(page)
    page.try_it("gradus lesson logic-gates", "gradus lesson universal-approximation")


def _printed(page: LessonPage, where: np.ndarray, inside: np.ndarray) -> None:
    def as_printed(points: np.ndarray) -> np.ndarray:
        return snowflake(points, printed_points())

    page.correction(
        "Plain Talk §5.3.1",
        "two of the points are $(l_2<0,\\ l_3<0,\\ l_5>0)$ and $(l_4<0,\\ l_2<0,\\ l_6>0)$",
        "both need $l_2>0$: a point of the star is outside one edge and inside the two edges beside it. The edges "
        "follow each other as 1, 3, 5, 2, 4, 6",
    )
    page.number(
        "printed_wrong",
        float((as_printed(where) != inside).mean()),
        "share of the square that is wrong with the printed signs",
    )

    def drawn(axes):
        regions(axes, as_printed, BOX, BOX, count=200)
        axes.set(xticks=[-2, 0, 2], yticks=[-2, 0, 2], aspect="equal")

    page.figure(drawn, "With the printed signs", size=(4.4, 3.8))
    page.correction(
        "Plain Talk §5.3.1",
        "a point lies above the line where $ax+by+c>0$",
        "that holds for $b>0$ only; with $b<0$ it lies below",
    )


def _sigmoid(page: LessonPage, where: np.ndarray, inside: np.ndarray) -> None:
    page.heading("Soft switches")
    page.text(
        "Descent cannot train steps, since their slope is zero. With sigmoids the same weights work, and how sharp "
        "the figure is depends on how large the weights of the first layer are."
    )
    steepness = (2.0, 5.0, 20.0)

    def drawn(every):
        for axes, steep in zip(every, steepness, strict=True):
            regions(axes, partial(snowflake, steepness=steep), BOX, BOX, count=140)
            axes.set(title=f"weights × {steep:g}", xticks=[-2, 0, 2], yticks=[-2, 0, 2], aspect="equal")

    page.figure(drawn, "The star of sigmoids", panels=(1, 3), size=(6.2, 2.4))
    for steep in steepness:
        wrong = float(((snowflake(where, steepness=steep) > 0.5) != inside).mean())
        page.number(f"soft_wrong_{steep:g}", wrong, f"share wrong, weights of the lines times {steep:g}")


def _one_line(page: LessonPage, where: np.ndarray, inside: np.ndarray) -> None:
    page.heading("One line is not enough")
    few = np.random.default_rng(0).permutation(len(where))[:4000]
    page.number("outside", float(1 - inside[few].mean()), "share right by saying outside everywhere")
    page.number("best_line", best_line(where[few], inside[few]), "share right by the best single line")
    page.text(
        "The star is not **linearly separable**: no line has it on one side and the rest on the other. The best "
        "one gives up on it."
    )


def _shattering(page: LessonPage) -> None:
    page.heading("How much a line can do")
    triangle = np.array([[0.0, 0], [1, 0], [0.4, 1]])
    row = np.array([[0.0, 0], [1, 1], [2, 2]])
    square = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]])
    centre = np.array([[0.0, 0], [2, 0], [1, 2], [1, 0.7]])
    page.text(
        "Give each of three points one of two colours, in all eight ways. If the points are not in a row, a line can "
        "make each of them: the line **shatters** them. No four points can be shattered: of four corners, the two "
        "diagonals cross, and no line has one diagonal on each side; nor has one the middle of a triangle on one side "
        "and its corners on the other. The largest number of points that can be shattered is the **VC dimension**; "
        "for lines in the plane it is 3."
    )
    for name, points, says in (
        ("three", triangle, "colourings of three points that a line can make, of 8"),
        ("row", row, "the same with the three in a row, of 8"),
        ("four", square, "colourings of four corners, of 16"),
        ("centre", centre, "of a triangle and a point inside it, of 16"),
    ):
        page.number(f"splits_{name}", splits(points), says)

    def eight(every):
        for axes, labels in zip(every, product((0, 1), repeat=3), strict=True):
            chosen = np.array(labels)
            weights = splitting_line(triangle, chosen)
            regions(axes, partial(side, weights), (-0.6, 1.6), (-0.6, 1.6), level=0.0, count=30)
            dots(axes, triangle, chosen, 7)
            axes.set(xticks=[], yticks=[])

    page.figure(eight, "Three points, eight colourings", panels=(2, 4), size=(6.2, 3.2))
    page.correction(
        "Plain Talk §5.3.3",
        "the VC dimension is the $D$ for which points are divided into $D$ categories, and 1000 neurons have "
        "$2^{1000}$ divisions",
        "it is the largest number of points that can be given all of their colourings; $2^{1000}$ counts the "
        "patterns of 1000 switches and says nothing of which colourings a network can make",
    )


def side(weights: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Above 0 on one side of the line, below on the other. weights (3,), points (N, 2)."""
    return points @ weights[:2] + weights[2]


def splitting_line(points: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(3,): weights and bias of a line with margin between the two colours; a constant where there is one colour."""
    from scipy.optimize import linprog

    signs = 2 * labels - 1
    rows = -signs[:, None] * np.hstack([points, np.ones((len(points), 1))])
    # least sum of |w|, as w = u - v with u, v >= 0, under: sign * (w x + b) >= 1
    split = np.hstack([rows[:, :2], -rows[:, :2], rows[:, 2:]])
    bounds = [(0, None)] * 4 + [(None, None)]
    found = linprog(np.array([1.0, 1, 1, 1, 0]), A_ub=split, b_ub=-np.ones(len(points)), bounds=bounds).x
    return np.array([found[0] - found[2], found[1] - found[3], found[4]])
