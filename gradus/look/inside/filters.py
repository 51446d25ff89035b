"""The filters of a layer as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from torch import nn

from gradus.errors import UserError
from gradus.look.inside.energy import machine_filters
from gradus.look.inside.painting import captioned, coloured, enlarged
from gradus.look.inside.sight import Panel, Sight, grid, to_uint8
from gradus.look.inside.subject import Picture, Subject
from gradus.models.generative.dbn import Stack
from gradus.models.generative.machine import Machine

Scale = Literal["layer", "filter"]


def filters(
    subject: Subject, pictures: Sequence[Picture] = (), *, layer: str = "", scale: Scale = "layer", most: int = 128
) -> Sight:
    """The weights (out, in, h, w) of a convolution, or of a machine's hidden units; as colours where they see three channels.

    layer: its name; the first convolution where none is given; of a stack of machines the number, from 1
    scale: layer: all filters share one, so that weak ones look weak; filter: each has its own
    most:  filters, and input channels of each, that are drawn; 0: all. The array holds all.
    """
    if isinstance(subject.model, Machine | Stack):
        return machine_filters(subject, layer, scale, most)
    found = {name: module for name, module in subject.model.named_modules() if isinstance(module, nn.Conv2d)}
    if not found:
        raise UserError(f"{subject.name} has no convolutions, so no filters to be shown")
    name = layer or next(iter(found))
    module = subject.layer(name)
    if not isinstance(module, nn.Conv2d):
        raise UserError(
            f"layer {name} is a {type(module).__name__}; filters are those of convolutions: {', '.join(found)}"
        )
    weight = module.weight.detach().float().cpu().numpy()
    largest = np.abs(weight).max(axis=(1, 2, 3), keepdims=True)
    shown = (weight / np.maximum(largest if scale == "filter" else largest.max(), 1e-12))[: most or None]
    words = f"{len(shown)} of {len(weight)}" if len(shown) < len(weight) else str(len(weight))
    if weight.shape[1] == 3:
        picture = _colour_tiles(shown)
        seen = "grey is 0; the colours are those it answers to"
    elif weight.shape[2:] == (1, 1):
        picture = coloured(0.5 + shown[:, : most or None, 0, 0] / 2, "RdBu_r")
        picture = picture.repeat(4, axis=0).repeat(4, axis=1)
        seen = "a row a filter, a column an input channel; red is above 0, blue below"
    else:
        picture = _matrix(shown[:, : most or None])
        seen = "a row a filter, a column an input channel; red is above 0, blue below"
    title = f"{name}: {words} filters of {' x '.join(map(str, weight.shape[1:]))}"
    return Sight(
        "filters",
        f"Filters of {name} in {subject.name}",
        said=[f"{words} filters of {weight.shape[1]} x {weight.shape[2]} x {weight.shape[3]}; {seen}."],
        panels=[Panel(name.replace(".", "-"), title, picture, titled=True)],
        arrays={"weight": weight},
        numbers={"largest_weight": float(largest.max())},
    )


def _colour_tiles(shown: np.ndarray) -> np.ndarray:
    tiles = enlarged(to_uint8(0.5 + shown.transpose(0, 2, 3, 1) / 2), 48)
    return captioned(tiles, [str(index) for index in range(len(tiles))], columns=12, gap=4, letters=10)


def _matrix(shown: np.ndarray) -> np.ndarray:
    """(filters, inputs, h, w) in -1..1 -> a grid with a row a filter; a single input channel: as many in a row as fit."""
    tiles = enlarged(
        coloured(0.5 + shown.reshape(-1, *shown.shape[2:]) / 2, "RdBu_r"), 24 if shown.shape[1] == 1 else 9
    )
    if shown.shape[1] == 1:
        return captioned(tiles, [str(index) for index in range(len(tiles))], columns=16, gap=4, letters=10)
    return grid(tiles, columns=shown.shape[1], gap=1)
