"""Where the states of an environment lie on a map, for drawing them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

# (rows down, columns right) of an action that moves; None: one that does something else
Move = tuple[int, int] | None

LEFT, DOWN, RIGHT, UP = (0, -1), (1, 0), (0, 1), (-1, 0)


@dataclass(frozen=True, eq=False)
class Layout:
    """A map of H x W cells.

    cells:   H strings of W characters: S start, G goal, H hole, C cliff, # wall, others as they are
    sheets:  title -> (H, W) int64, the state that each cell is, -1 where it is none; several where a state says more than a place
    actions: their names
    moves:   where each goes
    walls:   (row, column) of cells with a wall at their right side
    """

    cells: tuple[str, ...]
    sheets: dict[str, np.ndarray]
    actions: tuple[str, ...]
    moves: tuple[Move, ...]
    walls: tuple[tuple[int, int], ...] = ()

    def place_of(self, state: int) -> tuple[str, int, int]:
        """(sheet, row, column) of a state; ("", -1, -1) of one that is on no sheet."""
        for title, numbers in self.sheets.items():
            found = np.argwhere(numbers == state)
            if len(found):
                return title, int(found[0, 0]), int(found[0, 1])
        return "", -1, -1


def layout_of(environment: Any) -> Layout | None:
    """The map of gymnasium's FrozenLake, CliffWalking and Taxi; None of others."""
    kind = type(environment.unwrapped).__name__
    known = {"FrozenLakeEnv": _frozen_lake, "CliffWalkingEnv": _cliff_walking, "TaxiEnv": _taxi}
    return known[kind](environment.unwrapped) if kind in known else None


def _frozen_lake(lake: Any) -> Layout:
    cells = tuple("".join(letter.decode() for letter in row) for row in lake.desc)
    numbers = np.arange(lake.desc.size).reshape(lake.desc.shape)
    return Layout(cells, {"": numbers}, ("left", "down", "right", "up"), (LEFT, DOWN, RIGHT, UP))


def _cliff_walking(cliff: Any) -> Layout:
    height, width = cliff.shape
    cells = ("." * width,) * (height - 1) + ("S" + "C" * (width - 2) + "G",)
    numbers = np.arange(height * width).reshape(height, width)
    numbers[-1, 1:-1] = -1  # who steps there is back at the start
    return Layout(cells, {"": numbers}, ("up", "right", "down", "left"), (UP, RIGHT, DOWN, LEFT))


def _taxi(taxi: Any) -> Layout:
    """Four of the twenty sheets: on the way to a passenger at each of the four places, bound for the next one, then aboard."""
    height, width = 5, 5
    marks = {place: letter for place, letter in zip(taxi.locs, "RGYB", strict=True)}
    cells = tuple("".join(marks.get((row, column), ".") for column in range(width)) for row in range(height))
    walls = tuple(
        (row, column)
        for row in range(height)
        for column in range(width - 1)
        if taxi.desc[1 + row, 2 * column + 2] == b"|"
    )

    def sheet(passenger: int, goal: int) -> np.ndarray:
        return np.array(
            [[taxi.encode(row, column, passenger, goal) for column in range(width)] for row in range(height)]
        )

    sheets = {
        f"passenger {where}, bound for {'RGYB'[goal]}": sheet(passenger, goal)
        for where, passenger, goal in (("at R", 0, 3), ("aboard", 4, 3), ("at Y", 2, 1), ("aboard", 4, 1))
    }
    names = ("south", "north", "east", "west", "pick up", "drop off")
    return Layout(cells, sheets, names, (DOWN, UP, RIGHT, LEFT, None, None), walls)
