"""The filters of a layer as pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import nn

from gradus.errors import UserError
from gradus.look.inside.sight import Panel, Sight, grid, to_uint8
from gradus.look.inside.subject import Picture, Subject


def filters(subject: Subject, pictures: Sequence[Picture] = (), *, layer: str = "") -> Sight:
    """The weights (out, in, h, w) of a convolution; of the first one as colours where it sees colours.

    layer: its name; the first convolution where none is given. All filters share one scale, so that weak ones look weak.
    """
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
    scale = max(float(np.abs(weight).max()), 1e-12)
    tiles = (
        weight.transpose(0, 2, 3, 1) if weight.shape[1] == 3 else weight.reshape(-1, *weight.shape[2:])[:, :, :, None]
    )
    picture = grid(to_uint8(0.5 + tiles / (2 * scale)), columns=weight.shape[1] if weight.shape[1] > 3 else None)
    return Sight(
        "filters",
        f"Filters of {name} in {subject.name}",
        said=[f"{len(weight)} filters of {weight.shape[1]} x {weight.shape[2]} x {weight.shape[3]}; grey is 0."],
        panels=[Panel(name.replace(".", "-"), name, picture, magnify=max(1, 480 // max(picture.shape[:2])))],
        arrays={"weight": weight},
        numbers={"largest_weight": scale},
    )
