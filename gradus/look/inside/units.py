"""Hidden units over a text, as Karpathy, Johnson and Li (2015) drew them: each step coloured by what a unit holds there.

Which units are worth a look is found by comparing all of them with simple features of the steps (`features_of_steps.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch

from gradus.errors import UserError
from gradus.look.inside.cells import LAYERS, chosen_layer, held_by, recurrent_layers
from gradus.look.inside.features_of_steps import correlations, features_of
from gradus.look.inside.hooks import outputs_of
from gradus.look.inside.passages import Passage, PassageSubject
from gradus.look.inside.sight import Panel, Sight
from gradus.look.inside.words import as_html, as_pixels
from gradus.look.network.trace import in_mode
from gradus.look.text import brief, count, number

SHOWN = 600  # steps of what is coloured where no text is given


def units(
    subject: PassageSubject,
    pictures: Sequence[Passage] = (),
    *,
    layer: str = "",
    units: str = "",
    holds: Literal["hidden", "cell"] = "hidden",
    most: int = 6,
    rows: int = 100,
    split: str = "test",
    seed: int = 0,
) -> Sight:
    """What units of a layer hold at each step of a text: red above 0, blue below; and which follow something that can be named.

    layer: one whose outputs are (B, T, m); the last recurrent one that reads forwards where none is given
    units: numbers with commas between; where none are given, for each feature the unit that follows it best, the `most` clearest
    holds: of an LSTM, its hidden state or tanh of its cell
    rows:  of `split`, from which correlations are taken; of a language model consecutive ones, its state carried along

    Arrays: `values-0` (T, m) of the first passage that is coloured, ...; `correlations` (features, m), `steps` how many count.
    """
    name = layer or (chosen_layer(subject, "") if recurrent_layers(subject.model) else "")
    if not name:
        raise UserError(
            f"units: {subject.name} has no recurrent layer; name a layer that gives a vector a step with --layer"
        )
    if subject.rows is None and not pictures:
        raise UserError("units: it needs a text, or a run with rows of data")
    asked = list(pictures)
    sight = Sight("units", f"Units of {name}, {subject.name}")
    related, followed = _related(sight, subject, name, holds, rows, split, seed) if subject.rows else ([], [])
    if not asked:
        asked = [_long_passage(subject, split)]
    values = [_values(subject, name, [one], holds)[0] for one in asked]
    size = values[0].shape[1]
    chosen = _numbers(units, size) if units else followed[:most]
    if not chosen:
        chosen = [(unit, "") for unit in np.argsort(-values[0].std(axis=0), kind="stable")[:most].tolist()]
    for index, (passage, held) in enumerate(zip(asked, values, strict=True)):
        sight.arrays[f"values-{index}"] = held
        for unit, follows in chosen:
            title = f"Unit {unit}{follows}, {brief(passage.name)}"
            drawing = as_html(passage.steps, held[:, unit], joined=subject.joined)
            pixels = as_pixels(passage.steps, held[:, unit], joined=subject.joined)
            note = f"From {number(held[:, unit].min(), 3)} (blue) to {number(held[:, unit].max(), 3)} (red)."
            sight.panels.append(Panel(f"{unit}-{index}", title, pixels, note, titled=True, drawing=drawing))
    if related:
        sight.tables.append(("The unit that follows each feature best", ["feature", "unit", "correlation"], related))
    return sight


def _numbers(given: str, size: int) -> list[tuple[int, str]]:
    parts = [part.strip() for part in given.split(",") if part.strip()]
    if not parts or not all(part.isdigit() and int(part) < size for part in parts):
        raise UserError(f"units: expected numbers from 0 to {size - 1} with commas between, received '{given}'")
    return [(int(part), "") for part in parts]


def _values(
    subject: PassageSubject, name: str, passages: list[Passage], holds: str, carried: bool = False
) -> list[np.ndarray]:
    """(T, m) of each passage."""
    module = subject.layer(name)
    if isinstance(module, LAYERS):
        held = held_by(subject, name, passages, carried=carried)
        if holds == "cell":
            if "cell" not in held[0]:
                raise UserError(f"units: {name} is no LSTM, so it has no cell; use --set holds=hidden")
            return [np.tanh(one["cell"]) for one in held]
        return [one["hidden"] for one in held]
    found = []
    with in_mode(subject.model, training=False):
        for passage in passages:
            given = outputs_of(subject.model, {name: module}, subject.batch([passage])).get(name)
            if given is None or given.ndim != 3 or given.shape[1] != len(passage):
                got = "no tensor" if given is None else f"shape {tuple(given.shape[1:])}"
                raise UserError(f"units: layer {name} gives {got}, not a vector for each of the {len(passage)} steps")
            found.append(given[0].double().cpu().numpy())
    return found


def _related(
    sight: Sight, subject: PassageSubject, name: str, holds: str, rows: int, split: str, seed: int
) -> tuple[list[list[str]], list[tuple[int, str]]]:
    """(rows of the table, [(unit, what it follows)]), the clearest first."""
    assert subject.rows is not None
    carried = (
        subject.along is not None and hasattr(subject.model, "continued") and name in recurrent_layers(subject.model)
    )
    passages = subject.along(split)[:rows] if subject.along is not None else subject.rows(split).sample(rows, seed)
    if not passages:
        return [], []
    values = np.concatenate(_values(subject, name, passages, holds, carried))
    parts = [[*passages]] if carried else [[one] for one in passages]
    told = [_features(part) for part in parts]
    names = [feature for feature in told[0] if all(feature in one for one in told)]
    table = np.stack([np.concatenate([one[feature] for one in told]) for feature in names], axis=1)
    known = passages[0].label is not None and len(subject.names) == 2
    if known:
        classes = np.concatenate([np.full(len(one), float(one.label or 0)) for one in passages])
        names, table = [*names, f"a text that is {subject.names[1]}"], np.column_stack([table, classes])
    found = correlations(values, table)
    sight.arrays |= {"correlations": found, "features": np.array(names), "steps": np.array(len(values))}
    best = np.abs(found).argmax(axis=1)
    strength = found[np.arange(len(names)), best]
    order = [int(place) for place in np.argsort(-np.abs(strength), kind="stable") if strength[place] != 0]
    if order:
        first = order[0]
        sight.said.append(
            f"Over {count(len(values))} steps of the {split} split, unit {best[first]} follows “{names[first]}” best of all: "
            f"correlation {number(float(strength[first]), 2)}. Neighbouring steps are alike, so weak ones mean little."
        )
    followed: dict[int, str] = {}
    for place in order:
        followed.setdefault(int(best[place]), f": {names[place]} ({number(float(strength[place]), 2)})")
    related = [[names[place], str(best[place]), number(float(strength[place]), 3)] for place in order]
    return related, list(followed.items())


def _features(passages: list[Passage]) -> dict[str, np.ndarray]:
    steps = [step for one in passages for step in one.steps]
    ids = [one.ids.cpu().numpy() for one in passages if one.ids is not None]
    return features_of(steps, np.concatenate(ids) if ids else None)


def _long_passage(subject: PassageSubject, split: str) -> Passage:
    """What is coloured where nothing is given: the beginning of a language model's text, or the first row."""
    assert subject.rows is not None
    if subject.along is None or not hasattr(subject.model, "continued"):
        return subject.rows(split).passage(0)
    passages, steps = [], 0
    for passage in subject.along(split):
        passages.append(passage)
        steps += len(passage)
        if steps >= SHOWN or getattr(subject.model, "length", None) is not None:  # no more than it can read at once
            break
    if len(passages) == 1:
        return passages[0]
    words = tuple(step for one in passages for step in one.steps)
    ids = torch.cat([one.inputs for one in passages])
    return Passage(f"the {split} split", words, ids, ids)
