"""What a network is made of: a layer table, its totals, and drawings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from gradus.errors import UserError
from gradus.look.inside.sight import Panel, Sight
from gradus.look.inside.subject import Picture, Subject
from gradus.look.network.boxes import pictures_of
from gradus.look.network.drawing import describe, draw
from gradus.look.network.summary import Summary, summarize
from gradus.look.network.volumes import draw_volumes
from gradus.look.network.words import NUMERIC, aligned

LONGEST = 64  # rows that are printed unasked; a longer table is summed


@dataclass(frozen=True)
class Network:
    """A network without pictures, data or, mostly, numbers in its weights (`recipes/networks.py` makes them).

    inputs: one row for each input; make: gives the network with numbers; folder: of the run, where it is one
    """

    name: str
    module: nn.Module
    inputs: list[Tensor]
    make: Callable[[], nn.Module]
    folder: Path | None = None
    notes: tuple[str, ...] = ()


def structure(subject: Subject | Network, pictures: Sequence[Picture] = (), *, depth: str = "") -> Sight:
    """The layers of a network, its costs and its drawing, for one row.

    depth: of the table and the drawing: "all" layers, "stages", or how many parts of dotted names stay apart, the rest summed;
        "": all in the page, what fits in print and in the drawing
    """
    summary = _summary(subject)
    printed = depth or _fitting(summary)
    header, rows = summary.table(printed)
    right = [index for index, title in enumerate(header) if title in NUMERIC]
    note = [] if depth or printed == "all" else [f"(summed; all {len(summary.graph.nodes)} layers: --set depth=all)"]
    panels = []
    opened = int(depth) if depth.isdigit() else len(summary.graph.nodes) if depth == "all" else None
    for index, picture in enumerate(pictures_of(summary.graph, summary.stages, summary.name, opened)):
        canvas, words = draw(picture), describe(picture)
        svg = canvas.to_svg(f"drawing-{index}", words)
        panels.append(Panel(f"drawing-{index}" if index else "drawing", picture.title, canvas.to_pixels(), drawing=svg))
    volumes = draw_volumes(summary.graph)
    if volumes is not None:
        svg = volumes.to_svg("volumes", f"The maps of {summary.name} as volumes")
        panels.insert(1, Panel("volumes", "Maps and their sizes", volumes.to_pixels(), drawing=svg))
    return Sight(
        "structure",
        f"Structure of {summary.name}",
        said=summary.sentences(),
        panels=panels,
        tables=[("Layers", *summary.table(depth or "all"))],
        printed=[*aligned([header, *rows], right), *note, ""],
        record=summary.to_json(depth or "all"),
        files={"structure.csv": summary.to_csv(depth or "all")},
    )


def _summary(subject: Subject | Network) -> Summary:
    if isinstance(subject, Subject):
        inputs = [torch.zeros(1, subject.channels, subject.size, subject.size)]
        return summarize(subject.model, inputs=inputs, name=subject.name)
    try:
        return summarize(subject.module, inputs=subject.inputs, name=subject.name)
    except UserError:
        if not any(one.is_meta for one in subject.module.parameters()):
            raise
        return summarize(subject.make(), inputs=subject.inputs, name=subject.name)


def _fitting(summary: Summary) -> str:
    """The finest table that is not longer than `LONGEST`: all layers, or modules summed."""
    for depth in ("all", "4", "3", "2", "1"):
        if len(summary.rows(depth)) <= LONGEST:
            return depth
    return "stages" if summary.stages else "1"
