"""DeepDream: Mordvintsev, Olah, Tyka 2015; *Deep Learning with Python* §8.2.

A picture is changed so that layers answer more strongly, at several sizes (octaves), small to large. What an enlargement of the
smaller octave lacks against the original is put back at every octave.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from gradus.errors import UserError
from gradus.look.inside.hooks import collect
from gradus.look.inside.layer_choice import chosen_layers, named_layer
from gradus.look.inside.pixels import Counter, Made, as_inputs, ascend
from gradus.look.inside.process import as_array, check_size, panel, picture_of, tell, told_sizes
from gradus.look.inside.scores import class_groups, output_count
from gradus.look.inside.sight import Sight
from gradus.look.inside.subject import Picture, Subject

BORDER = 2  # positions at each edge of a map that do not count: they see the padding
LIMITS = {"inception_v3": 10.0}  # the text's, for its weights of the layers


def dream(
    subject: Subject,
    pictures: Sequence[Picture],
    *,
    layers: str = "",
    layer: str = "",
    filter: int | None = None,
    of_class: str = "",
    octaves: int = 3,
    octave_scale: float = 1.4,
    steps: int = 20,
    step: float = 0.01,
    limit: float | None = None,
    bounded: bool = True,
    jitter: int = 0,
    height: int = 256,
    seed: int = 0,
) -> Sight:
    """What the layers of a network see in a picture, drawn into it.

    layers:   `name=weight, name, ...`: the weighted sum of their mean squares is made larger
    layer, filter: or the mean of one filter of one layer
    of_class: or the score of a class; of several, or a range, the mean
    octaves, octave_scale: sizes, each so many times the one before it; the last is that of the picture at `height` pixels
    steps:    in each octave; step: how far a pixel moves on average, in a picture of -1..1 as the text's network takes it
    limit:    an octave ends where the loss is above it
    bounded:  pixels stay in 0..1; the text leaves them free, and its limit ends it before they go far
    jitter:   shifts the picture by up to that many pixels for each step

    Ctrl-C ends the climbing; the octaves that are left are only enlarged.
    """
    chosen = {name: value for name, value in locals().items() if name not in ("subject", "pictures")}
    if len(pictures) != 1:
        raise UserError(f"dream: one picture at a time, received {len(pictures)}")
    if octaves < 1 or octave_scale <= 1 or steps < 1 or jitter < 0:
        raise UserError("dream: octaves and steps must be 1 or more, octave_scale above 1, jitter 0 or more")
    objective, goal = _goal(subject, layers, layer, filter, of_class)
    original = picture_of(subject, pictures[0], height)
    shapes = octave_shapes((original.shape[2], original.shape[3]), octaves, octave_scale)
    check_size(subject, *shapes[0], f"{pictures[0].name}'s smallest octave")
    limit = LIMITS.get(subject.name) if limit is None else limit
    generator = torch.Generator().manual_seed(seed)
    made, counter = Made(original), Counter("dream", octaves)

    def climb(picture: Tensor) -> Tensor:
        if not made.interrupted:
            ascend(
                picture, lambda pixels: objective(as_inputs(subject, pixels)),
                steps=steps, step=step / 2, limit=limit, bounded=bounded, jitter=jitter, generator=generator, made=made,
            )  # fmt: skip
            made.iterations += 1
            counter.show(made.iterations, made.losses()[-1])
            return made.picture
        return picture

    with told_sizes(subject):
        seen = list(through_octaves(original, shapes, climb))
    counter.end()
    sight = Sight(
        "dream",
        f"{subject.name} dreams of {pictures[0].name}",
        said=[goal],
        panels=[
            panel("original", f"Original: {pictures[0].name}", original),
            *(
                panel(f"octave-{index}", f"Octave {index}: {shape[0]} x {shape[1]}", picture)
                for index, (shape, picture) in enumerate(zip(shapes[:-1], seen[:-1], strict=True), start=1)
            ),
            panel("result", "Result", seen[-1]),
        ],
        arrays={"picture": as_array(seen[-1])} | {f"octave_{i}": as_array(p) for i, p in enumerate(seen, start=1)},
    )
    return tell(sight, made, 1, chosen | {"limit": limit, "octave_shapes": [f"{h} x {w}" for h, w in shapes]})


def _goal(
    subject: Subject, layers: str, layer: str, filter: int | None, of_class: str
) -> tuple[Callable[[Tensor], Tensor], str]:
    """What is to become larger, of the network's inputs, and a sentence on it."""
    if sum(map(bool, (layers, layer, of_class))) > 1:
        raise UserError("dream: layers, layer and of_class are three goals; give one of them")
    if of_class:
        groups = class_groups(subject, of_class, output_count(subject))
        wanted_ones = list(dict.fromkeys(index for group in groups for index in group))
        names = ", ".join(subject.class_name(index) for index in wanted_ones)
        return lambda inputs: subject.model(inputs)[:, wanted_ones].mean(), f"The score of {names} grows."
    if filter is not None:
        if not layer:
            raise UserError("dream: filter is one of a layer; give layer too")
        wanted = {layer: named_layer(subject, layer)}
        with torch.no_grad():
            channels = collect(subject.model, wanted, subject.blank())[layer].shape[1]
        if not 0 <= filter < channels:
            raise UserError(f"dream: {layer} has filters 0 to {channels - 1}, received {filter}")
        said = f"Filter {filter} of {layer} answers more strongly."
        return lambda inputs: collect(subject.model, wanted, inputs)[layer][:, filter].mean(), said
    used = chosen_layers(subject, layer or layers, "dream")
    modules = {one.name: one.module for one in used}

    def strength(inputs: Tensor) -> Tensor:
        features = collect(subject.model, modules, inputs)
        return torch.stack([one.weight * mean_square(features[one.name]) for one in used]).sum()

    words = ", ".join(f"{one.name} ({one.weight:g})" for one in used)
    return strength, f"The mean squares of {words} grow."


def octave_shapes(shape: tuple[int, int], octaves: int, scale: float) -> list[tuple[int, int]]:
    """(height, width) of each octave, from small to the picture's own: the whole part of size / scale^i."""
    return [(int(shape[0] / scale**i), int(shape[1] / scale**i)) for i in reversed(range(octaves))]


def through_octaves(
    original: Tensor, shapes: Sequence[tuple[int, int]], climb: Callable[[Tensor], Tensor]
) -> list[Tensor]:
    """The picture after each octave. Each: enlarge, climb, and add what the octave before it had lost:
    resize(original) - resize(shrunk original). Without a climb the last is the original.
    """
    picture = original
    shrunk = resized(original, shapes[0])
    seen = []
    for shape in shapes:
        fitting = resized(original, shape)
        picture = climb(resized(picture, shape)) + fitting - resized(shrunk, shape)
        shrunk = fitting
        seen.append(picture)
    return seen


def resized(picture: Tensor, shape: tuple[int, int]) -> Tensor:
    """Bilinear, antialiased where it shrinks."""
    if tuple(picture.shape[2:]) == tuple(shape):
        return picture
    return functional.interpolate(picture, size=shape, mode="bilinear", antialias=True)


def mean_square(features: Tensor, border: int = BORDER) -> Tensor:
    """Of what lies inside the border, which counts neither in the sum nor in the divisor; of all where a map is too small."""
    if features.dim() == 4 and min(features.shape[2:]) > 2 * border:
        features = features[:, :, border : features.shape[2] - border, border : features.shape[3] - border]
    return features.square().mean()
