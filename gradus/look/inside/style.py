"""Neural style transfer: Gatys, Ecker, Bethge 2016, *Image Style Transfer Using Convolutional Neural Networks*.

The pixels of a picture are changed until a network sees in it the content of one picture and the style of others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from gradus.errors import UserError
from gradus.look.inside.layer_choice import Layer, chosen_layers
from gradus.look.inside.likeness import (
    USUAL_WEIGHTS,
    Scale,
    content_difference,
    features_of,
    luminance,
    matched_colours,
    matched_luminance,
    smoothness,
    style_sum,
    wanted_grams,
    with_colours_of,
)
from gradus.look.inside.pixels import Objective, Terms, average_pooling, descend, noise, out_of_range
from gradus.look.inside.process import as_array, panel, picture_of, strip, tell, told_sizes
from gradus.look.inside.sight import Sight
from gradus.look.inside.subject import Picture, Subject

Colours = Literal["style", "luminance", "matched"]
Pooling = Literal["max", "average"]
RANGE = 100.0  # weight of what leaves 0..1
SHOWN = (
    1,
    10,
)  # iterations of which the strip shows the picture, besides the last (*Principles and Practice* figure 6-19)


def style(
    subject: Subject,
    pictures: Sequence[Picture],
    *,
    content_layers: str = "",
    style_layers: str = "",
    style_weights: tuple[float, ...] = (),
    content_weight: float | None = None,
    style_weight: float | None = None,
    variation: float | None = None,
    scale: Scale = "relative",
    colours: Colours = "style",
    start: Literal["content", "noise"] = "content",
    height: int = 256,
    style_size: float = 1.0,
    pooling: Pooling = "max",
    optimizer: Literal["lbfgs", "adam"] = "lbfgs",
    iterations: int = 15,
    evaluations: int = 20,
    learning_rate: float = 0.02,
    seed: int = 0,
) -> Sight:
    """The content of the first picture in the style of the others.

    content_layers, style_layers: `name=weight, name, ...`; where none are named, the usual ones of the network
    style_weights:  of each style picture; equal where none are given. Only their proportion counts
    content_weight, style_weight, variation: of the three losses; variation is that of neighbouring pixels
    scale:          how the losses are scaled (`likeness.py`); the usual weights differ
    colours:        of the style; or of the content: "luminance" changes only the brightness and keeps the content's chroma
                    exactly, "matched" gives the style the mean and covariance of the content's colours first
    start:          the picture that is changed
    height:         of the result in pixels, its width as the content's; style_size: height of the styles as a share of it, which
                    makes their strokes larger or smaller
    pooling:        "average": in place of the max pools of the network, as Gatys et al. prefer for VGG
    iterations:     of `evaluations` evaluations of loss and gradient each; learning_rate: of Adam, in units of 0..1
    """
    chosen = {name: value for name, value in locals().items() if name not in ("subject", "pictures")}
    shares = _shares(style_weights, len(pictures) - 1)
    weights = _weights((content_weight, style_weight, variation), scale)
    if colours != "style" and subject.channels != 3:
        raise UserError(f"colours={colours}: {subject.name} sees grey pictures, which have no colours to be kept")
    layers = chosen_layers(subject, content_layers, "content"), chosen_layers(subject, style_layers, "style")
    content = picture_of(subject, pictures[0], height)
    styles = [picture_of(subject, picture, max(1, round(height * style_size))) for picture in pictures[1:]]
    seen, *seen_styles = _coloured(content, styles, colours)
    generator = torch.Generator().manual_seed(seed)
    begin = seen if start == "content" else noise(tuple(seen.shape), generator).to(seen)
    if colours == "luminance":
        begin = begin[:, :1]
    with told_sizes(subject), average_pooling(subject.model, pooling == "average"):
        objective = _objective(subject, layers, (seen, seen_styles), shares, weights, scale)
        made = descend(
            begin,
            lambda picture: objective(picture.expand(-1, subject.channels, -1, -1)),
            optimizer=optimizer,
            iterations=iterations,
            evaluations=evaluations,
            learning_rate=learning_rate,
            keep=SHOWN,
            words="style",
        )  # fmt: skip

    def finished(picture: Tensor) -> Tensor:
        return with_colours_of(content, picture) if colours == "luminance" else picture

    result = finished(made.picture)
    on_the_way = {f"iteration {at}": finished(picture) for at, picture in made.kept.items() if at < made.iterations}
    sight = _sight(subject, pictures, layers, (content, styles, result), on_the_way)
    sight.arrays |= {f"iteration_{at}": as_array(finished(kept)) for at, kept in made.kept.items()}
    named = dict(zip(("content_weight", "style_weight", "variation"), weights, strict=True))
    return tell(sight, made, evaluations, chosen | named | {"style_weights": shares})


def _sight(
    subject: Subject,
    pictures: Sequence[Picture],
    layers: tuple[Sequence[Layer], Sequence[Layer]],
    shown: tuple[Tensor, Sequence[Tensor], Tensor],
    on_the_way: dict[str, Tensor],
) -> Sight:
    content, styles, result = shown
    names = " and ".join(picture.name for picture in pictures[1:])
    return Sight(
        "style",
        f"{pictures[0].name} in the style of {names}, seen by {subject.name}",
        said=[
            f"Content from {', '.join(layer.name for layer in layers[0])}; "
            f"style from {', '.join(layer.name for layer in layers[1])}."
        ],
        panels=[
            panel("content", f"Content: {pictures[0].name}", content),
            *(
                panel(f"style-{index}", f"Style: {picture.name}", pixels)
                for index, (picture, pixels) in enumerate(zip(pictures[1:], styles, strict=True), start=1)
            ),
            panel("result", "Result", result),
            strip({"content": content, **on_the_way, "result": result}),
        ],
        arrays={"picture": as_array(result)},
    )


def _shares(given: Sequence[float], styles: int) -> tuple[float, ...]:
    if styles < 1:
        raise UserError("style: give the content and at least one style, as CONTENT STYLE [STYLE...]")
    shares = tuple(given) or (1.0,) * styles
    if len(shares) != styles or min(shares) < 0 or sum(shares) <= 0:
        raise UserError(
            f"style_weights: expected {styles} weights of 0 or more, one for each style and not all 0, "
            f"received {', '.join(f'{share:g}' for share in shares)}"
        )
    return shares


def _weights(given: Sequence[float | None], scale: Scale) -> tuple[float, ...]:
    weights = tuple(ours if one is None else one for one, ours in zip(given, USUAL_WEIGHTS[scale], strict=True))
    if min(weights) < 0 or not any(weights[:2]):
        raise UserError("content_weight, style_weight and variation: expected 0 or more, content and style not both 0")
    return weights


def _coloured(content: Tensor, styles: Sequence[Tensor], colours: Colours) -> list[Tensor]:
    """Content and styles as the network is to see them."""
    if colours == "luminance":
        grey = [luminance(content), *(matched_luminance(one, content) for one in styles)]
        return [one.expand(-1, 3, -1, -1) for one in grey]
    return [content, *(matched_colours(one, content) if colours == "matched" else one for one in styles)]


def _objective(
    subject: Subject,
    layers: tuple[Sequence[Layer], Sequence[Layer]],
    seen: tuple[Tensor, Sequence[Tensor]],
    shares: Sequence[float],
    weights: Sequence[float],
    scale: Scale,
) -> Objective:
    """alpha J(content, G) + beta J(style, G) + variation, G the picture; content and styles pass the network once, here.

    A loss of weight 0 is not computed.
    """
    content_weight, style_weight, variation = weights
    content_layers, style_layers = ([] if not w else given for given, w in zip(layers, weights[:2], strict=True))
    with torch.no_grad():
        wanted = features_of(subject, content_layers, seen[0], "reflect") if content_layers else {}
    grams = wanted_grams(subject, style_layers, seen[1], shares, "reflect") if style_layers else {}
    whole = sum(layer.weight for layer in content_layers)
    size = (seen[0].shape[2], seen[0].shape[3])

    def objective(picture: Tensor) -> Terms:
        features = features_of(subject, [*content_layers, *style_layers], picture, "reflect")
        terms: Terms = {}
        for layer in content_layers:
            difference = content_difference(features[layer.name], wanted[layer.name], scale)
            terms["content"] = terms.get("content", 0) + content_weight * layer.weight / whole * difference
        if style_layers:
            terms["style"] = style_weight * style_sum(features, style_layers, grams, scale, size)
        if variation:
            terms["variation"] = variation * smoothness(picture, scale)
        return terms | {"range": RANGE * out_of_range(picture)}

    return objective
