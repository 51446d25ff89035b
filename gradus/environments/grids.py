"""Grid worlds from small text maps: walls, holes, goals, a cliff, wind.

    .  free        S  a start (one of several is drawn)        #  wall: who runs into it stays
    G  goal, an end        H  hole, an end        C  cliff: back to a start        1 to 9  wind: so many cells up on leaving

Who would leave the map stays where he is.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gradus.environments.layout import DOWN, LEFT, RIGHT, UP, Layout
from gradus.environments.tables import DecisionProcess
from gradus.errors import UserError, unknown_name

ACTIONS = ("up", "right", "down", "left")
MOVES = (UP, RIGHT, DOWN, LEFT)
KNOWN = set(".S#GHC123456789")


@dataclass(frozen=True, kw_only=True)
class GridOptions:
    """step, goal, hole, cliff: rewards; of a step, and what is added to it at a goal or a hole, or is given in its place at a
    cliff. slip: how likely a step goes to one of its two sides instead, each with half of it."""

    step: float = -1.0
    goal: float = 0.0
    hole: float = -1.0
    cliff: float = -100.0
    slip: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.slip <= 1:
            raise UserError(f"slip: expected 0 to 1, received {self.slip}")


# name -> (map, options, where it is from)
GRIDS: dict[str, tuple[str, GridOptions, str]] = {
    "cliff": (
        "............\n............\n............\nSCCCCCCCCCCG",
        GridOptions(),
        "Sutton and Barto, example 6.6",
    ),
    "windy": (
        "...1112210\n...1112210\n...1112210\nS..1112G10\n...1112210\n...1112210\n...1112210".replace("0", "."),
        GridOptions(),
        "Sutton and Barto, example 6.5",
    ),
    "russell": ("...G\n.#.H\nS...", GridOptions(step=-0.04, goal=1.0, slip=0.2), "Russell and Norvig, §17.1"),
    "rooms": (
        ".....#.....\n.....#.....\n...........\n.....#.....\n.....#.....\n#.####.....\n.....###.##\n.....#.....\n"
        ".....#.....\n...........\nS....#....G",
        GridOptions(),
        "after Sutton, Precup and Singh 1999, fig. 2",
    ),
}


def grid_world(text: str, options: GridOptions | None = None) -> DecisionProcess:
    """The process of a map. Raises `UserError` for characters that mean nothing, lines of different lengths, no start, no end."""
    options = options or GridOptions()
    cells = tuple(line.strip() for line in text.strip().splitlines())
    _check(cells)
    height, width = len(cells), len(cells[0])
    numbers = np.full((height, width), -1)
    places = [(row, column) for row in range(height) for column in range(width) if cells[row][column] not in "#C"]
    for number, place in enumerate(places):
        numbers[place] = number
    starts = np.array([cells[row][column] == "S" for row, column in places], float)
    starts /= starts.sum()
    chances = np.zeros((len(places), 4, len(places)))
    rewards = np.zeros_like(chances)
    for state, (row, column) in enumerate(places):
        if cells[row][column] in "GH":
            continue
        for action in range(4):
            for turn, chance in ((0, 1 - options.slip), (1, options.slip / 2), (3, options.slip / 2)):
                down, right = _moved(cells, row, column, MOVES[(action + turn) % 4])
                mark = cells[down][right]
                to = starts if mark == "C" else np.eye(len(places))[numbers[down, right]]
                gain = (
                    options.cliff if mark == "C" else options.step + {"G": options.goal, "H": options.hole}.get(mark, 0)
                )
                chances[state, action] += chance * to
                rewards[state, action] += chance * to * gain
    rewards = np.divide(rewards, chances, out=np.zeros_like(rewards), where=chances > 0)
    return DecisionProcess(
        states=tuple(f"({row}, {column})" for row, column in places),
        actions=ACTIONS,
        chances=chances,
        rewards=rewards,
        starts=starts,
        layout=Layout(cells, {"": numbers}, ACTIONS, MOVES),
    )


def _moved(cells: tuple[str, ...], row: int, column: int, move: tuple[int, int]) -> tuple[int, int]:
    """Where a move leads from a cell, its wind added."""
    mark = cells[row][column]
    row_, column_ = row + move[0], column + move[1]
    row_ = max(row_ - (int(mark) if mark.isdigit() else 0), 0)
    inside = 0 <= row_ < len(cells) and 0 <= column_ < len(cells[0])
    if not inside:  # only what leaves the map is held back: wind still blows along its border
        row_, column_ = min(max(row_, 0), len(cells) - 1), min(max(column_, 0), len(cells[0]) - 1)
    return (row, column) if cells[row_][column_] == "#" else (row_, column_)


def _check(cells: tuple[str, ...]) -> None:
    if not cells or not cells[0]:
        raise UserError("the map is empty")
    for number, line in enumerate(cells, 1):
        if len(line) != len(cells[0]):
            raise UserError(f"line {number} of the map has {len(line)} cells, line 1 has {len(cells[0])}")
        if strange := sorted(set(line) - KNOWN):
            raise UserError(f"line {number} of the map: '{strange[0]}' means nothing; known: . S # G H C and 1 to 9")
    every = "".join(cells)
    if "S" not in every or not {"G", "H"} & set(every):
        raise UserError("a map needs a start (S) and an end (G or H)")


def known_grid(name: str, **changed: float) -> DecisionProcess:
    """A grid world of `GRIDS`, or of a text file with a map; changed: fields of `GridOptions`."""
    if name in GRIDS:
        text, options, _ = GRIDS[name]
    elif Path(name).is_file():
        text, options = Path(name).read_text(encoding="utf-8"), GridOptions()
    else:
        raise unknown_name("grid world", name, GRIDS, "; or the path of a text file with a map")
    fields = vars(options)
    for key in changed:
        if key not in fields:
            raise unknown_name("option of a grid world", key, fields)
    return grid_world(text, GridOptions(**(fields | {key: float(value) for key, value in changed.items()})))
