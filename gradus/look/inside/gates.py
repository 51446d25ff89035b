"""The gates of an LSTM or GRU over the steps of a text or series: what is let in, kept and let out, and where."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gradus.errors import UserError
from gradus.look.inside.cells import GATES, Held, chosen_layer, held_by, kind_of
from gradus.look.inside.painting import chart
from gradus.look.inside.passages import Passage, PassageSubject
from gradus.look.inside.sight import Panel, Sight
from gradus.look.inside.words import as_html, as_pixels
from gradus.look.text import brief, number, percent

LABELLED = 70  # steps that a chart names one by one
OPEN, CLOSED = 0.9, 0.1  # beyond these a gate counts as open or closed (Karpathy, Johnson, Li 2015)
KEEPING = {"lstm": "forget", "gru": "update"}  # the gate that keeps what was held where it is 1


def gates(
    subject: PassageSubject, pictures: Sequence[Passage], *, layer: str = "", unit: int = -1, units: int = 32
) -> Sight:
    """Every gate of a recurrent layer at every step: the mean of all units, each of them, and one unit step by step.

    layer: a recurrent layer; the last one that reads forwards where none is given
    unit:  the one that is told step by step; -1: the one that keeps most from step to step
    units: the most that are drawn, those whose keeping gate moves most

    Arrays: `input-0`, `forget-0`, `output-0`, `candidate-0`, `cell-0`, `hidden-0` (T, m) of the first passage (of a GRU
    `reset-0`, `update-0`, `candidate-0`, `hidden-0`), ... A GRU's update gate is PyTorch's: 1 keeps the old state.
    """
    name = chosen_layer(subject, layer)
    kind = kind_of(subject.layer(name))
    if not GATES[kind]:
        raise UserError(f"gates: {name} of {subject.name} is a simple recurrent layer, which has no gates; see `units`")
    sight = Sight("gates", f"The gates of {name}, {subject.name}")
    sight.said.append(
        "A gate of 1 lets all through, one of 0 nothing."
        + (
            " The forget gate lies on the cell: at 1 all is kept, at 0 all is dropped."
            if kind == "lstm"
            else " The update gate lies on the old state: at 1 all of it is kept, at 0 the candidate takes its place."
        )
    )
    for index, (passage, held) in enumerate(zip(pictures, held_by(subject, name, list(pictures)), strict=True)):
        sight.arrays |= {f"{part}-{index}": values for part, values in held.items()}
        _told(sight, subject, passage, held, kind, index, units)
        size = held["hidden"].shape[1]
        if not -1 <= unit < size:
            raise UserError(f"gates: {name} has units 0 to {size - 1}, received {unit}")
        chosen = unit if unit >= 0 else int(held[KEEPING[kind]].mean(axis=0).argmax())
        sight.tables.append(_unit_table(passage, held, kind, chosen))
    return sight


def _told(
    sight: Sight, subject: PassageSubject, passage: Passage, held: Held, kind: str, index: int, units: int
) -> None:
    keeping = held[KEEPING[kind]]
    for gate in GATES[kind]:
        values = held[gate]
        label = f"{gate} gate, {brief(passage.name)}"
        sight.numbers[f"mean of the {label}"] = float(values.mean())
        sight.numbers[f"open (> {OPEN}) {label}"] = float((values > OPEN).mean())
        sight.numbers[f"closed (< {CLOSED}) {label}"] = float((values < CLOSED).mean())
    kept = keeping.mean(axis=1)
    least = np.argsort(kept, kind="stable")[: min(5, len(kept))]
    dropped = ", ".join(f"“{brief(passage.steps[place], 20)}” {percent(float(kept[place]))}" for place in least)
    sight.said.append(f"{brief(passage.name)}: least is kept at {dropped}; on the whole {percent(float(kept.mean()))}.")
    title = f"{brief(passage.name)}: where the {KEEPING[kind]} gate keeps more (red) or less (blue) than it mostly does"
    moved = kept - kept.mean()
    drawing = as_html(passage.steps, moved, joined=subject.joined)
    pixels = as_pixels(passage.steps, moved, joined=subject.joined)
    sight.panels.append(Panel(f"kept-{index}", title, pixels, titled=True, drawing=drawing))
    sight.panels.append(_mean_chart(passage, held, kind, index))
    order = np.argsort(-keeping.std(axis=0), kind="stable")[:units]
    sight.panels += [_map(passage, held[gate][:, order], order, gate, index) for gate in GATES[kind]]


def _mean_chart(passage: Passage, held: Held, kind: str, index: int) -> Panel:
    def paint(axes, colours) -> None:
        for gate, role in zip(GATES[kind], ("model", "second", "third"), strict=False):
            axes.plot(held[gate].mean(axis=1), color=colours[role], label=gate)
        axes.set_ylim(0, 1)
        axes.set_ylabel("mean of the units")
        name_steps(axes, passage)
        axes.legend(frameon=False, ncols=3)

    return chart(f"means-{index}", f"{brief(passage.name)}: the gates on the whole", paint, size=_size(passage))


def _map(passage: Passage, values: np.ndarray, order: np.ndarray, gate: str, index: int) -> Panel:
    def paint(axes, colours) -> None:
        axes.imshow(values.T, aspect="auto", cmap="viridis", vmin=0, vmax=1, interpolation="nearest")
        axes.set_yticks(range(len(order)), [str(unit) for unit in order], fontsize=6)
        axes.set_ylabel("unit")
        axes.grid(False)
        name_steps(axes, passage)

    note = "A row a unit, those that move most first; dark is 0, bright is 1."
    title = f"{brief(passage.name)}: the {gate} gate of each unit"
    wide, _ = _size(passage)
    return chart(f"{gate}-{index}", title, paint, note, size=(wide, 1.5 + 0.11 * len(order)))


def _size(passage: Passage) -> tuple[float, float]:
    return (4.5 + 0.13 * min(len(passage), LABELLED), 3.2)


def name_steps(axes, passage: Passage) -> None:
    """Writes what stands at each step below the axis; of long passages their numbers only."""
    if len(passage) > LABELLED:
        axes.set_xlabel("step")
        return
    shown = [step if step.strip() else {"\n": "⏎", " ": "␣"}.get(step, step) for step in passage.steps]
    axes.set_xticks(range(len(passage)), [brief(step, 14) for step in shown], rotation=90, fontsize=7)


def _unit_table(passage: Passage, held: Held, kind: str, unit: int) -> tuple[str, list[str], list[list[str]]]:
    """One unit: o for an open gate (above half), – for a closed one, and what it holds."""
    holds = "cell" if kind == "lstm" else "hidden"

    def marked(value: float) -> str:
        return f"{'o' if value > 0.5 else '–'} {number(value, 2)}"

    rows = [
        [step, *(marked(float(held[gate][place, unit])) for gate in GATES[kind]), number(held[holds][place, unit], 3)]
        for place, step in enumerate(passage.steps[:200])
    ]
    title = f"Unit {unit} on {brief(passage.name)}: o an open gate, – a closed one"
    return title, ["step", *(f"{gate} gate" for gate in GATES[kind]), holds], rows
