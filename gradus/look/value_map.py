"""A map of places with what they are worth, the best actions there, and a way through them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from gradus.environments.layout import Layout
from gradus.look.text import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GROUNDS = {"#": ("ink", 0.7), "H": ("ink", 0.3), "C": ("sixth", 0.45), "G": ("third", 0.35)}  # role and strength
LEAST = 1e-6  # of the largest value: actions that are nearer than that to the best are as good


def best_actions(action_values: np.ndarray) -> list[list[int]]:
    """For each state (S, A) the actions that are the best, all of equals."""
    largest = action_values.max(axis=1, keepdims=True)
    near = action_values >= largest - LEAST * np.maximum(1, np.abs(largest))
    return [np.flatnonzero(row).tolist() for row in near]


def paint_map(
    axes: Axes,
    colours: dict[str, str],
    layout: Layout,
    sheet: str,
    action_values: np.ndarray,
    *,
    path: Sequence[int] = (),
    ends: Sequence[int] = (),
    title: str = "",
    written: bool = True,
) -> None:
    """action_values (S, A): the deeper a cell's colour, the more the best action there is worth; arrows show it, all of equals.

    path: states in their order, drawn as a line where they lie on this sheet; ends: states after which nothing comes: no arrows
    written: whether the values are written too
    """
    from matplotlib.patches import Rectangle

    numbers = layout.sheets[sheet]
    height, width = numbers.shape
    values, best = action_values.max(axis=1), best_actions(action_values)
    shown = [int(state) for state in numbers.flat if state >= 0 and state not in ends]
    low, high = float(values[shown].min()), float(values[shown].max())
    for row in range(height):
        for column in range(width):
            state, mark = int(numbers[row, column]), layout.cells[row][column]
            axes.add_patch(Rectangle((column, row), 1, 1, fill=False, edgecolor=colours["line"], lw=0.6))
            known = state >= 0 and state not in ends
            ground, strength = ("model", 0.0) if known else GROUNDS.get(mark, ("model", 0.0))
            if known:
                strength = 0.6 * (values[state] - low) / (high - low or 1.0)
            axes.add_patch(Rectangle((column, row), 1, 1, facecolor=colours[ground], alpha=float(strength), lw=0))
            if mark.isalnum() and mark not in "CF":
                axes.text(column + 0.07, row + 0.07, mark, ha="left", va="top", fontsize=7, color=colours["ink"])
            if known:
                _arrows(axes, colours, layout, row, column, best[state])
            if known and written:
                told = number(float(values[state]), 3)
                axes.text(column + 0.95, row + 0.95, told, ha="right", va="bottom", fontsize=6, color=colours["muted"])
    for row, column in layout.walls:
        axes.plot([column + 1, column + 1], [row, row + 1], color=colours["ink"], lw=2.5, solid_capstyle="butt")
    _way(axes, colours, numbers, path)
    axes.set(xlim=(-0.05, width + 0.05), ylim=(height + 0.05, -0.05), aspect="equal", xticks=[], yticks=[])
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if title:
        axes.set_title(title, fontsize=9, loc="left", color=colours["ink"])


def _arrows(axes: Axes, colours: dict[str, str], layout: Layout, row: int, column: int, best: list[int]) -> None:
    if len(best) == len(layout.actions):
        return  # all are equal: nothing is known, or nothing matters
    for action in best:
        move = layout.moves[action]
        if move is None:
            axes.text(
                column + 0.5,
                row + 0.45,
                layout.actions[action],
                ha="center",
                va="center",
                fontsize=6.5,
                color=colours["ink"],
            )
            continue
        down, right = move
        axes.annotate(
            "",
            xy=(column + 0.5 + 0.34 * right, row + 0.47 + 0.34 * down),
            xytext=(column + 0.5 - 0.12 * right, row + 0.47 - 0.12 * down),
            arrowprops={
                "arrowstyle": "-|>",
                "color": colours["ink"],
                "lw": 0.9,
                "mutation_scale": 7,
                "shrinkA": 0,
                "shrinkB": 0,
            },
        )


def _way(axes: Axes, colours: dict[str, str], numbers: np.ndarray, path: Sequence[int]) -> None:
    """The way as a line; a state that is not on this sheet interrupts it."""
    places = {int(state): place for place, state in np.ndenumerate(numbers) if state >= 0}
    across, down = [], []
    for state in path:
        row, column = places.get(int(state), (np.nan, np.nan))
        across.append(column + 0.58)
        down.append(row + 0.56)
    axes.plot(across, down, color=colours["second"], lw=2.2, alpha=0.75, solid_joinstyle="round", zorder=3)
    if across:
        axes.plot(across[:1], down[:1], "o", color=colours["second"], ms=6, zorder=4)


def map_size(layout: Layout, sheet: str) -> tuple[float, float]:
    """Inches of a drawing in which its texts can be read."""
    height, width = layout.sheets[sheet].shape
    cell = min(0.62, 8.0 / max(width, 5))
    return max(width * cell + 0.2, 3.4), height * cell + 0.5
