"""What a class wants to see: pictures made from noise that the network answers as that class, from many random starts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from gradus.errors import UserError
from gradus.look.inside.answers import probabilities
from gradus.look.inside.ascent import STEPS, Ascent, Method
from gradus.look.inside.hooks import parts
from gradus.look.inside.painting import captioned, enlarged
from gradus.look.inside.scores import class_groups, output_count
from gradus.look.inside.sight import Panel, Sight
from gradus.look.inside.subject import Picture, Subject
from gradus.look.inside.wants import BATCH, answer_of, ascend
from gradus.look.text import number, percent
from gradus.models.stages import head_of

SIZE = 128  # pixels of networks that take any size


def class_wants(
    subject: Subject,
    pictures: Sequence[Picture] = (),
    *,
    of_class: str = "",
    starts: int = 16,
    sure: float = 0.95,
    method: Method = "fourier",
    size: int = 0,
    steps: int = 0,
    rate: float = 0.0,
    jitter: int = 8,
    seed: int = 0,
) -> Sight:
    """Gradient ascent on the score of a class before softmax, from `starts` different starts, and how many of the pictures the
    network then answers as that class with a probability above `sure`.

    The pictures are judged as they are written, in 8 bits. A network answers one picture the same way each time, so asking it a
    hundred times about one (*Principles and Practice*, §6.2.3) measures nothing; a hundred starts (starts=100) do.

    of_class: a class's name or number; several with commas between, or a range
    size:     the pictures' side; 0: the network's own, or 128 where it takes any
    Arrays by class: `NAME` uint8 (starts, size, size, C) and `NAME.probability` (starts,).
    """
    if not of_class:
        raise UserError("class-wants: which class? Give --class NAME, or its number")
    if starts < 1 or not 0 <= sure < 1:
        raise UserError("class-wants: starts is at least 1, sure a probability below 1")
    side = size or (subject.size if has_own_size(subject) else min(subject.size, SIZE))
    score = class_scores(subject)
    sight = Sight("class-wants", f"What {subject.name} wants to see")
    groups = class_groups(subject, of_class, output_count(subject))
    for index in dict.fromkeys(index for group in groups for index in group):
        ascent = Ascent(size=side, method=method, steps=steps, rate=rate, jitter=min(jitter, side // 8), seed=seed)
        found = []
        for part in parts(starts, BATCH):
            units = torch.full((part.stop - part.start,), index)
            found.append(ascend(subject, _from(ascent, part.start), score, units)[0])
        _report(sight, subject, index, torch.cat(found), sure, f"{method}, {steps or STEPS[method]} steps")
    return sight


def _from(ascent: Ascent, start: int) -> Ascent:
    """The same with other noise for each batch of starts."""
    return Ascent(**{**vars(ascent), "seed": ascent.seed + start})


def has_own_size(subject: Subject) -> bool:
    """Whether the network is best asked about pictures of its own size: it takes no other, or was trained here on that one."""
    fixed = getattr(subject.model, "image_sizes", None) or isinstance(getattr(subject.model, "image_size", None), int)
    return bool(fixed) or subject.run is not None


def class_scores(subject: Subject) -> Callable[[Tensor], Tensor]:
    """Model inputs -> (B, classes) before softmax: of the last layer with weights, as what follows may hide a gradient (ReLU)."""
    with torch.no_grad():
        inputs = subject.blank()
        outputs = subject.model(inputs)
        last = answer_of(subject.model, subject.layer(head_of(subject.model)))
        if outputs.ndim == 2 and last(inputs).shape == outputs.shape:
            return last
    return subject.model


def _report(sight: Sight, subject: Subject, index: int, pixels: Tensor, sure: float, how: str) -> None:
    every = probabilities(subject, pixels)
    name, chosen = subject.class_name(index), every[:, index]
    share = float((chosen > sure).mean())
    answered = [subject.class_name(int(best)) for best in every.argmax(axis=1)]
    captions = [
        f"{percent(float(p))}" + ("" if best == name else f", {best}") for p, best in zip(chosen, answered, strict=True)
    ]
    sight.said.append(
        f"{name}: {percent(share, 0)} of {len(chosen)} random starts end as a picture that the network answers so with more "
        f"than {percent(sure, 0)}; their median probability is {percent(float(np.median(chosen)))} ({how})."
    )
    sight.numbers[f"{name}: sure"] = share
    sight.arrays |= {name: pixels.numpy(), f"{name}.probability": chosen}
    title = f"{name}: {len(chosen)} random starts, {percent(share, 0)} answered so with more than {number(100 * sure)}%"
    columns = min(len(captions), 8 if len(captions) > 16 else 4)
    tiles = captioned(enlarged(pixels.numpy(), 128), captions, columns=columns, gap=8)
    sight.panels.append(Panel(f"class-{index}", title, tiles, titled=True))
