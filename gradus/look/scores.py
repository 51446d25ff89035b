"""The scores of generated pictures, for people: each number with what it means, beside real pictures and beside noise."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gradus.look.inside.painting import captioned, chart, enlarged
from gradus.look.inside.sight import Panel, Sight, grid
from gradus.look.text import count, number, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PAIRS = 12
SHEET = 100
WORDS = {  # what is printed: a name, and one sentence
    "recognised": (
        "recognised as asked for",
        "The judge sees the class that was asked for; beside it how often it is right about real pictures.",
    ),
    "confidence": (
        "confidence",
        "The mean probability of the class that the judge finds likeliest; a mixture of two digits makes it unsure.",
    ),
    "classes_covered": (
        "classes covered",
        "Classes that occur at least a tenth as often as among the training pictures; fewer: modes were dropped.",
    ),
    "rarest_class": (
        "rarest class",
        "How often the rarest class occurs, as a share of how often it does among the training pictures.",
    ),
    "frechet": (
        "Fréchet distance",
        "How far mean and spread of the judge's features are from the training pictures', 0 being not at all; it also "
        "grows with fewer pictures, and cannot be compared with one by another judge.",
    ),
    "precision": (
        "precision",
        "Share of the pictures that lie where training pictures lie, in the judge's features: how credible they are.",
    ),
    "recall": (
        "recall",
        "Share of the training pictures that lie where these pictures lie: how much of the variety is made.",
    ),
    "nearest_pixels": (
        "nearest training picture",
        "Median distance in pixels to the nearest training picture; far below that of real pictures it would be copying, "
        "though smooth pictures are nearer too.",
    ),
    "nearest_features": (
        "nearest in features",
        "The same distance in the judge's features.",
    ),
    "copies": (
        "suspiciously near",
        "Share nearer to a training picture than the nearest hundredth of real pictures, so 1% is as it should be.",
    ),
}


@dataclass(frozen=True)
class Measure:
    """name: a key of `WORDS`; unit: "share", "" or "of 10"; values: of what was "made", of real pictures "held", of "noise"."""

    name: str
    unit: str
    values: Mapping[str, float | None]

    def told(self, whose: str) -> str:
        value = self.values.get(whose)
        if value is None:
            return ""
        if self.unit == "share":
            return percent(value)
        return f"{value:g} {self.unit}" if self.unit else number(value, 3)


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What was measured of pictures `made` (N, H, W, C) uint8 beside the training pictures `known` (M, H, W, C).

    counts: made, held_out, training, seed; labels: (N,) the class each was asked for as, or None
    nearest_pixels, nearest_features: (N,) the number of the nearest known picture, and the distance
    distances: to the nearest in pixels, of what was "made" and of real pictures "held" out
    """

    title: str
    judge: str
    counts: Mapping[str, int]
    measures: Sequence[Measure]
    made: np.ndarray
    labels: Sequence[str | None]
    known: np.ndarray
    nearest_pixels: tuple[np.ndarray, np.ndarray]
    nearest_features: tuple[np.ndarray, np.ndarray]
    distances: Mapping[str, np.ndarray]

    def __getitem__(self, name: str) -> float:
        """The value of what was made."""
        return next(float(one.values["made"] or 0) for one in self.measures if one.name == name)

    def sentences(self) -> list[str]:
        """Of what, by whom, and what stands beside it."""
        made, held = self.counts["made"], self.counts["held_out"]
        said = [
            f"{count(made)} pictures by seed {self.counts['seed']}, judged by {self.judge}, beside {count(held)} held-out "
            f"real pictures and noise."
        ]
        if held != made:
            said.append("These are not equally many, which Fréchet distance and recall depend on.")
        return said

    def lines(self) -> list[str]:
        """The table as the command prints it, with a sentence under each number."""
        rows = [["", "made", "real", "noise"]]
        rows += [
            [WORDS[one.name][0], *(one.told(whose) for whose in ("made", "held", "noise"))] for one in self.measures
        ]
        widths = [max(len(row[place]) for row in rows) for place in range(4)]
        lines = [*self.sentences(), ""]
        for row, one in zip(rows, [None, *self.measures], strict=True):
            first, *others = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            lines.append("  ".join([first, *others]).rstrip())
            if one is not None:
                lines += [f"  {line}" for line in textwrap.wrap(WORDS[one.name][1], 100)]
        return lines

    def to_json(self) -> dict[str, Any]:
        values = {
            one.name: {whose: value for whose, value in one.values.items() if value is not None}
            for one in self.measures
        }
        return {"judge": self.judge, **self.counts, "scores": values}

    def to_sight(self) -> Sight:
        """The page: the numbers, what was made, and the training pictures nearest to it."""
        header = ["", "made", "real", "noise", "what it says"]
        rows = [
            [WORDS[one.name][0], *(one.told(whose) for whose in ("made", "held", "noise")), WORDS[one.name][1]]
            for one in self.measures
        ]
        closest = np.argsort(self.nearest_pixels[1], kind="stable")[:PAIRS]
        shown = enlarged(self.made[:SHEET], 48)
        labels = [label or "" for label in self.labels[:SHEET]]
        several = len({*labels}) > 1
        return Sight(
            "score",
            self.title,
            said=self.sentences(),
            panels=[
                Panel("made", "What it made", captioned(shown, labels, 10, 6) if several else grid(shown, 10)),
                self._pairs("nearest", "The pictures nearest to a training picture", closest),
                self._pairs("first", "The first pictures", np.arange(min(PAIRS, len(self.made)))),
                self._chart(),
            ],
            tables=[("Scores", header, rows)],
            record=self.to_json(),
        )

    def _pairs(self, name: str, title: str, rows: np.ndarray) -> Panel:
        first, second = self.nearest_pixels[0][rows], self.nearest_features[0][rows]
        tiles = np.concatenate([self.made[rows], self.known[first], self.known[second]])
        note = "Above: made. In the middle the training picture nearest in pixels, below the one nearest in the judge's features."
        return Panel(name, title, grid(enlarged(tiles, 48), len(rows), gap=3), note)

    def _chart(self) -> Panel:
        made, held = self.distances["made"], self.distances["held"]

        def paint(axes: Axes, colours: dict[str, str]) -> None:
            edges = np.linspace(0, max(made.max(), held.max()) * 1.02, 40)
            for values, role, label in ((held, "second", "real, held out"), (made, "model", "made")):
                heights = np.histogram(values, edges)[0] / len(values)
                axes.stairs(heights, edges, color=colours[role], label=label, linewidth=1.6)
            axes.set(xlabel="distance to the nearest training picture (pixels)", ylabel="share")
            axes.legend(frameon=False)

        note = "Copies would stand near 0, left of what real pictures reach."
        return chart("distances", "How near the nearest training picture is", paint, note)
