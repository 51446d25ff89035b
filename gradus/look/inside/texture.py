"""Texture synthesis: Gatys, Ecker, Bethge 2015, *Texture Synthesis Using Convolutional Neural Networks*.

Noise is changed until its Gram matrices are those of a sample: which things occur together is kept, where they stand is not
(*Principles and Practice* §6.3.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from gradus.errors import UserError
from gradus.look.inside.layer_choice import chosen_layers
from gradus.look.inside.likeness import features_of, smoothness, style_sum, wanted_grams
from gradus.look.inside.pixels import Terms, average_pooling, descend, noise, out_of_range
from gradus.look.inside.process import as_array, check_size, panel, picture_of, strip, tell, told_sizes
from gradus.look.inside.sight import Sight
from gradus.look.inside.style import RANGE, SHOWN, Pooling
from gradus.look.inside.subject import Picture, Subject


def texture(
    subject: Subject,
    pictures: Sequence[Picture],
    *,
    layers: str = "",
    sample_height: int = 256,
    height: int = 0,
    width: int = 0,
    variation: float = 2.0,
    pooling: Pooling = "max",
    optimizer: Literal["lbfgs", "adam"] = "lbfgs",
    iterations: int = 15,
    evaluations: int = 20,
    learning_rate: float = 0.02,
    seed: int = 0,
) -> Sight:
    """A new picture that has the texture of the one given, and that fits to itself as a tile.

    layers:        `name=weight, name, ...` whose Gram matrices are to agree
    sample_height: to which the sample is brought, in pixels; height, width: of the new picture (0: the sample's)
    variation:     weight of the differences of neighbouring pixels
    The other settings are those of `style`.
    """
    chosen = {name: value for name, value in locals().items() if name not in ("subject", "pictures")}
    if len(pictures) != 1:
        raise UserError(f"texture: one picture is the sample, received {len(pictures)}")
    if min(height, width, variation) < 0:
        raise UserError("texture: height, width and variation must be 0 or more")
    used = chosen_layers(subject, layers, "texture")
    sample = picture_of(subject, pictures[0], sample_height)
    size = (height or sample.shape[2], width or sample.shape[3])
    check_size(subject, *size, "the new picture")
    generator = torch.Generator().manual_seed(seed)
    begin = noise((1, subject.channels, *size), generator).to(sample)
    with told_sizes(subject), average_pooling(subject.model, pooling == "average"):
        wanted = wanted_grams(subject, used, [sample], [1.0], "reflect")

        def objective(picture: Tensor) -> Terms:
            terms = {
                "style": style_sum(features_of(subject, used, picture, "circular"), used, wanted, "relative", size)
            }
            if variation:
                terms["variation"] = variation * smoothness(picture, "relative")
            return terms | {"range": RANGE * out_of_range(picture)}

        made = descend(
            begin,
            objective,
            optimizer=optimizer,
            iterations=iterations,
            evaluations=evaluations,
            learning_rate=learning_rate,
            keep=SHOWN,
            words="texture",
        )
    on_the_way = {f"iteration {at}": picture for at, picture in made.kept.items() if at < made.iterations}
    sight = Sight(
        "texture",
        f"The texture of {pictures[0].name}, seen by {subject.name}",
        said=[f"From noise by the Gram matrices of {', '.join(layer.name for layer in used)}."],
        panels=[
            panel("sample", f"Sample: {pictures[0].name}", sample),
            panel("result", f"Made: {size[0]} x {size[1]}", made.picture),
            strip({"noise": begin, **on_the_way, "result": made.picture}),
        ],
        arrays={"picture": as_array(made.picture)},
    )
    return tell(sight, made, evaluations, chosen | {"height": size[0], "width": size[1]})
