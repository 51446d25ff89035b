"""Where a network of tables changes its answer: the regions of its answers over two of its columns."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from torch import Tensor

from gradus.errors import UserError, unknown_name
from gradus.look.inside.painting import CLASS_COLOURS, chart
from gradus.look.inside.sight import Sight
from gradus.look.inside.subject import Picture
from gradus.look.inside.table_subject import TableRows, TableSubject
from gradus.look.text import number, percent

MARKERS = "osD^vPX*<>hp"  # classes differ in shape too
POINTS = 600
TRIED = 12  # columns that pairs are sought among


def boundary(
    subject: TableSubject,
    pictures: Sequence[Picture] = (),
    *,
    columns: str = "",
    split: str = "test",
    resolution: int = 200,
    margin: float = 0.15,
) -> Sight:
    """The answers on a grid over two columns of numbers, with the rows of a split on top; the other inputs at their means.

    columns:    two names with a comma between; where none are given, the two that alone, the others at their means, come
                nearest to the answers of all (of the 12 columns that change them most)
    resolution: of the grid, points along each column; margin: beyond the rows' range, as a share of it

    Arrays: `x` and `y` (resolution,) in the columns' units; `answers` (resolution, resolution[, classes]), a row a value of y.
    """
    if not 2 <= resolution <= 2000 or margin < 0:
        raise UserError("boundary: resolution is 2 to 2000, margin at least 0")
    rows = subject.rows(split)
    first, second = _two(subject, columns, rows)
    x, y = (_range(subject, name, rows, resolution, margin) for name in (first, second))
    inputs = rows.inputs.mean(dim=0).repeat(resolution * resolution, 1)
    right, up = np.meshgrid(x, y)
    for name, values in ((first, right), (second, up)):
        inputs[:, subject.numbers[name].place] = subject.numbers[name].encoded(values.ravel())
    answers = subject.answers(inputs)
    answers = answers.reshape(resolution, resolution, *answers.shape[1:])
    fixed = rows.inputs.shape[1] - 2
    rest = (
        f"; the other {fixed} inputs stand at their means, so a row may lie on the wrong side of a cut it is not on"
        if fixed
        else ""
    )
    sight = Sight(
        "boundary",
        f"Where {subject.name} changes its answer",
        said=[f"{subject.target} as answered over {first} and {second}{rest}."],
        arrays={"x": x, "y": y, "answers": answers},
    )
    if subject.classes:
        wrong = subject.answers(rows.inputs).argmax(axis=1) != rows.targets
        sight.said.append(f"{percent(1 - float(wrong.mean()))} of the {len(rows):,} {split} rows are answered right.")
        sight.numbers["accuracy"] = 1 - float(wrong.mean())
        if fixed:
            flat = _flattened(subject, rows, (first, second))
            sight.numbers["accuracy_of_the_cut"] = float((flat.argmax(axis=1) == rows.targets).mean())
    sight.panels.append(_draw(subject, (first, second), x, y, answers, rows))
    return sight


def _flattened(subject: TableSubject, rows: TableRows, kept: tuple[str, str]) -> np.ndarray:
    """The answers where all but two columns are at their means."""
    inputs = rows.inputs.mean(dim=0).repeat(len(rows), 1)
    for name in kept:
        place = subject.numbers[name].place
        inputs[:, place] = rows.inputs[:, place]
    return subject.answers(inputs)


def _two(subject: TableSubject, columns: str, rows: TableRows) -> tuple[str, str]:
    """The names of the two columns. Raises `UserError` where there are no two, or they are not columns of numbers."""
    named = [name.strip() for name in columns.split(",")] if columns else []
    for name in named:
        if name not in subject.numbers:
            raise unknown_name("column of numbers", name, subject.numbers)
    if columns and len(set(named)) != 2:
        raise UserError(f"boundary.columns: expected two names with a comma between, received '{columns}'")
    if len(subject.numbers) < 2:
        raise UserError(f"boundary: {subject.name} has {len(subject.numbers)} columns of numbers; it takes two")
    if named:
        return named[0], named[1]
    middle = rows.inputs.mean(dim=0)
    effect = {name: _effect(subject, column.place, middle, rows.inputs) for name, column in subject.numbers.items()}
    strongest = sorted(effect, key=lambda name: -effect[name])[:TRIED]
    whole = subject.answers(rows.inputs)
    pairs = combinations([name for name in subject.numbers if name in strongest], 2)
    return min(pairs, key=lambda pair: float(np.square(_flattened(subject, rows, pair) - whole).mean()))


def _effect(subject: TableSubject, place: int, middle: Tensor, inputs: Tensor) -> float:
    """How far the answers range while one input goes through the values of the rows and the others stay at their means."""
    moved = middle.repeat(min(len(inputs), 200), 1)
    moved[:, place] = inputs[: len(moved), place]
    answers = subject.answers(moved)
    return float(np.ptp(answers, axis=0).max())


def _range(subject: TableSubject, name: str, rows: TableRows, resolution: int, margin: float) -> np.ndarray:
    values = subject.numbers[name].values(rows.inputs)
    low, high = float(values.min()), float(values.max())
    room = margin * (high - low) or 1.0
    return np.linspace(low - room, high + room, resolution)


def _draw(
    subject: TableSubject, names: tuple[str, str], x: np.ndarray, y: np.ndarray, answers: np.ndarray, rows: TableRows
):
    shown = np.random.default_rng(0).permutation(len(rows))[:POINTS]
    points = [subject.numbers[name].values(rows.inputs)[shown] for name in names]
    targets = rows.targets[shown]

    def paint(axes, colours) -> None:
        axes.grid(visible=False)
        if subject.classes:
            _paint_classes(axes, colours, subject.classes, x, y, answers)
            for label in np.unique(targets):
                these = targets == label
                axes.scatter(
                    *(values[these] for values in points), s=16, color=CLASS_COLOURS[label % len(CLASS_COLOURS)],
                    marker=MARKERS[label % len(MARKERS)], edgecolor="white", linewidth=0.5, label=subject.classes[label],
                )  # fmt: skip
            axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
        else:
            drawn = axes.contourf(x, y, answers, levels=12, cmap="viridis")
            axes.scatter(
                *points,
                c=targets,
                s=16,
                cmap="viridis",
                vmin=drawn.zmin,
                vmax=drawn.zmax,
                edgecolor="white",
                linewidth=0.5,
            )
            axes.figure.colorbar(drawn, ax=axes, label=subject.target)
        axes.set_xlabel(names[0])
        axes.set_ylabel(names[1])

    span = "" if subject.classes else f", from {number(answers.min(), 3)} to {number(answers.max(), 3)}"
    title = f"{subject.target} by {names[0]} and {names[1]}{span}"
    note = "The deeper the colour, the surer the answer; lines are where the answer changes." if subject.classes else ""
    return chart("regions", title, paint, note, size=(6.2, 4.4))


def _paint_classes(axes, colours, classes: Sequence[str], x: np.ndarray, y: np.ndarray, answers: np.ndarray) -> None:
    """The most probable class's colour, as strong as it is sure; black lines between."""
    best = answers.argmax(axis=2)
    palette = np.array([[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in CLASS_COLOURS])[
        best % len(CLASS_COLOURS)
    ]
    sure = (
        (answers.max(axis=2) - 1 / len(classes)) / (1 - 1 / len(classes)) if len(classes) > 1 else np.ones(best.shape)
    )
    strength = (0.12 + 0.43 * np.clip(sure, 0, 1))[:, :, None]
    corners = (float(x[0]), float(x[-1]), float(y[0]), float(y[-1]))
    axes.imshow(1 - strength * (1 - palette), extent=corners, origin="lower", aspect="auto", interpolation="bilinear")
    for label in np.unique(best) if len(np.unique(best)) > 1 else ():
        ahead = answers[:, :, label] - np.delete(answers, label, axis=2).max(axis=2)  # smooth where it changes sign
        axes.contour(x, y, ahead, levels=[0], colors=[colours["ink"]], linewidths=0.9)
