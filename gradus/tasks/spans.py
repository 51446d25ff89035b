"""Spans of tags, as conlleval (the script of CoNLL-2000) has them: for IOB1, IOB2, IOE and BIOES alike.

A tag is O, or a letter and a type: B-PER. A span begins where the tag before it is O or of another type, where a tag says so
(B, S, U) or the one before it ended one (E, S, L); it ends where the next is O or begins one. A span is found where both its
ends and its type are right.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

_TAG = re.compile(r"([BIESLU])-(.+)")
BEGINS, ENDS = frozenset("BSU"), frozenset("ESL")


class Span(NamedTuple):
    """Words first to last (both in it), counted from 0."""

    first: int
    last: int
    type: str


def has_spans(classes: Sequence[str]) -> bool:
    """Whether tags tell spans: O, and others such as B-PER."""
    return any(_TAG.fullmatch(name) for name in classes) and all(
        name == "O" or _TAG.fullmatch(name) for name in classes
    )


def parts_of(tag: str) -> tuple[str, str]:
    """("B", "PER"), or ("O", "")."""
    found = _TAG.fullmatch(tag)
    return (found[1], found[2]) if found else ("O", "")


def begins(before: str, tag: str) -> bool:
    """Whether a span begins at `tag`, which `before` stands before (O at the begin of a text)."""
    (letter, kind), (letter_before, kind_before) = parts_of(tag), parts_of(before)
    return letter != "O" and (letter_before == "O" or kind != kind_before or letter in BEGINS or letter_before in ENDS)


def spans_of(tags: Sequence[str]) -> list[Span]:
    """The spans of one text."""
    found: list[Span] = []
    for place, tag in enumerate(tags):
        if begins(tags[place - 1] if place else "O", tag):
            found.append(Span(place, place, parts_of(tag)[1]))
        elif tag != "O":
            found[-1] = found[-1]._replace(last=place)
    return found


def begin_table(classes: Sequence[str]) -> Tensor:
    """bool (C + 1, C + 1): whether a span begins at a tag (column) after another (row). Index C is O: what is around a text."""
    names = [*classes, "O"]
    return torch.tensor([[begins(before, tag) for tag in names] for before in names])


def count_spans(predicted: Tensor, targets: Tensor, table: Tensor, types: Tensor) -> Tensor:
    """int64 (B, 3): right, found and given spans of each text, on the device.

    predicted, targets: int64 (B, T) classes, C where there is no word; table: of `begin_table`; types: of
    `type_numbers`
    """
    outside = predicted.new_full((len(predicted), 1), len(table) - 1)
    steps = predicted.shape[1]
    places = torch.arange(steps, device=predicted.device).expand_as(predicted)
    ends, starts = [], []
    for tags in (predicted, targets):
        starts.append(table[torch.cat([outside, tags[:, :-1]], dim=1), tags])
        after = torch.cat([tags[:, 1:], outside], dim=1)
        last = ~table.any(dim=0)[after] | table[tags, after]  # the next is O, or begins a span
        ends.append(
            torch.where(last, places, steps).flip(1).cummin(dim=1).values.flip(1)
        )  # where the span from here ends
    right = starts[0] & starts[1] & (ends[0] == ends[1]) & (types[predicted] == types[targets])
    return torch.stack([right.sum(dim=1), starts[0].sum(dim=1), starts[1].sum(dim=1)], dim=1)


def type_numbers(classes: Sequence[str]) -> Tensor:
    """(C + 1,) for `count_spans`."""
    types = [parts_of(name)[1] for name in (*classes, "O")]
    numbers = {kind: index for index, kind in enumerate(dict.fromkeys(types))}
    return torch.tensor([numbers[kind] for kind in types])


def span_metrics(counts: np.ndarray) -> dict[str, float]:
    """(3,) right, found, given -> span_f1, span_precision, span_recall; 0 where nothing is found or given."""
    right, found, given = (float(count) for count in counts)
    return {
        "span_f1": 2 * right / max(found + given, 1),
        "span_precision": right / max(found, 1),
        "span_recall": right / max(given, 1),
    }
