"""What a network loses when parts of it are taken away or swapped: residual blocks, layers, channels.

Veit, Wilber, Belongie 2016, *Residual networks behave like ensembles of relatively shallow networks*: with shortcuts a network
of n blocks is 2^n paths, and taking a block away leaves half of them whole; in a plain chain every path passes every layer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Literal

import numpy as np
import torch
from torch import nn

from gradus.errors import UserError
from gradus.look.inside.answers import are_its_classes, probabilities
from gradus.look.inside.hooks import recorded
from gradus.look.inside.painting import chart
from gradus.look.inside.sight import Panel, Sight
from gradus.look.inside.subject import Picture, Rows, Subject
from gradus.look.inside.surgery import (
    kinds_of,
    passable_layers,
    passed_by,
    residual_blocks,
    silenced,
    swapped,
    without_branch,
)
from gradus.look.text import percent

Part = Literal["blocks", "channels"]


def lesion(
    subject: Subject,
    pictures: Sequence[Picture] = (),
    *,
    of: Part = "blocks",
    layer: str = "",
    split: str = "test",
    rows: int = 400,
    draws: int = 5,
    most: int = 64,
    seed: int = 0,
) -> Sight:
    """How many rows are still answered right (where labels are not the network's: answered as before) without parts.

    of:    blocks: residual blocks lose their branch and keep their shortcut; of a network without them, layers whose outputs have
           the shape of their inputs are passed by. One at a time, then k at random, then k random pairs swapped.
           channels: of one layer (`layer`; the last convolution before the head where none is given): one at a time, at most
           `most` of them, then growing shares at random, set to 0
    draws: random choices for each k, of which mean and range are shown

    Arrays: `intact` (), `one` (parts,), `deleted` and `swapped` (k, draws), k from 0 on; `shares` for channels.
    """
    if rows < 1 or draws < 1 or most < 1:
        raise UserError("lesion: rows, draws and most are at least 1")
    chosen = subject.labelled(split).sample(rows, seed)
    measure, words = _measure(subject, chosen)
    intact = measure()
    sight = Sight("lesion", f"What {subject.name} loses with parts of it")
    sight.arrays["intact"] = np.array(intact)
    sight.numbers["intact"] = intact
    sight.said.append(f"{len(chosen):,} {split} rows, whole network: {percent(intact)} {words}.")
    generator = np.random.default_rng(seed)
    if of == "channels":
        _channels(sight, subject, layer, measure, words, draws, most, generator)
    else:
        _blocks(sight, subject, chosen, measure, words, draws, generator)
    return sight


def _measure(subject: Subject, rows: Rows) -> tuple[Callable[[], float], str]:
    """A function that judges the network as it is now, and what its number is in words."""
    before = probabilities(subject, rows.pixels).argmax(axis=1)
    truth, words = (
        (rows.labels.numpy(), "answered right")
        if are_its_classes(subject, rows)
        else (before, "answered as the whole network does")
    )
    return lambda: float((probabilities(subject, rows.pixels).argmax(axis=1) == truth).mean()), words


def _blocks(
    sight: Sight, subject: Subject, rows: Rows, measure: Callable[[], float], words: str, draws: int, generator
) -> None:
    example = subject.prepare(rows.pixels[:1].to(subject.device))
    blocks = residual_blocks(subject.model, example)
    kind = "residual blocks" if blocks else "layers"
    parts = blocks or passable_layers(subject.model, example)
    if not parts:
        raise UserError(
            f"lesion: {subject.name} has neither residual blocks nor layers that keep the shape; try --set of=channels"
        )
    names = list(parts)
    without = without_branch if blocks else passed_by
    sight.arrays["one"] = np.array([_with([without(parts[name])], measure) for name in names])
    deleted = _several(
        len(names), draws, generator, lambda some: _with([without(parts[names[i]]) for i in some], measure)
    )
    sight.arrays["deleted"] = deleted
    worst = names[int(sight.arrays["one"].argmin())]
    sight.said.append(
        f"Without one of its {len(names)} {kind}: {percent(float(sight.arrays['one'].mean()))} on average, "
        f"{percent(float(sight.arrays['one'].min()))} without {worst}."
    )
    sight.panels.append(_bars(names, sight.arrays["one"], sight.numbers["intact"], f"Without one of the {kind}", words))
    lines = {"taken away": deleted}
    alike = kinds_of(subject.model, parts, example)
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :] if alike[a] == alike[b]]
    if pairs:
        swapped = _swaps(subject.model, parts, pairs, draws, generator, measure)
        sight.arrays["swapped"] = swapped
        lines["pairs swapped"] = swapped
        sight.said.append(f"With one random pair of equal shapes swapped: {percent(float(swapped[1].mean()))}.")
    sight.panels.append(
        _curves(lines, sight.numbers["intact"], f"More and more {kind}", f"how many {kind}, or pairs", words)
    )
    sight.tables.append(
        (
            f"Without one of the {kind}",
            [kind, words],
            [[n, percent(v)] for n, v in zip(names, sight.arrays["one"], strict=True)],
        )
    )
    sight.numbers |= {"without_one": float(sight.arrays["one"].mean()), "without_all": float(deleted[-1].mean())}


def _with(changes: Sequence, measure: Callable[[], float]) -> float:
    with ExitStack() as stack:
        for change in changes:
            stack.enter_context(change)
        return measure()


def _several(count: int, draws: int, generator, judge: Callable[[np.ndarray], float]) -> np.ndarray:
    """(count + 1, draws): judged without k parts, k from 0 to all; none and all need no second draw."""
    result = np.empty((count + 1, draws))
    for k in range(count + 1):
        for draw in range(draws):
            alone = k in (0, count) and draw > 0
            result[k, draw] = result[k, 0] if alone else judge(generator.permutation(count)[:k])
    return result


def _swaps(
    model: nn.Module, parts: dict[str, nn.Module], pairs: list, draws: int, generator, measure: Callable[[], float]
) -> np.ndarray:
    """(k, draws): judged with k different random pairs swapped, one after the other, k from 0 to half the parts."""
    most = min(max(1, len(parts) // 2), len(pairs))
    result = np.empty((most + 1, draws))
    for k in range(most + 1):
        for draw in range(draws):
            if k == 0 and draw:
                result[k, draw] = result[k, 0]
                continue
            with ExitStack() as stack:
                for index in generator.permutation(len(pairs))[:k]:
                    first, second = pairs[index]
                    stack.enter_context(swapped(parts[first], parts[second]))
                result[k, draw] = measure()
    return result


def _channels(
    sight: Sight, subject: Subject, layer: str, measure, words: str, draws: int, most: int, generator
) -> None:
    name = layer or last_convolution(subject)
    module = subject.layer(name)
    count = channel_count(subject, module)
    shown = np.arange(count) if count <= most else np.sort(generator.permutation(count)[:most])
    one = np.array([_with([silenced(module, [channel])], measure) for channel in shown.tolist()])
    steps = np.unique(np.linspace(0, count, 11).round().astype(int))
    deleted = np.array(
        [[_with([silenced(module, generator.permutation(count)[:k])], measure) for _ in range(draws)] for k in steps]
    )
    sight.arrays |= {"one": one, "channels": shown, "deleted": deleted, "shares": steps / count}
    half = float(deleted[np.abs(steps / count - 0.5).argmin()].mean())
    sight.numbers |= {"without_one": float(one.mean()), "without_half": half}
    sight.said.append(
        f"Without one of {len(one)} channels of {name}: {percent(float(one.mean()))} on average, {percent(float(one.min()))} "
        f"without channel {shown[int(one.argmin())]}; without half of its {count} channels: {percent(half)}."
    )
    title = f"Without channels of {name}, chosen at random"
    sight.panels.append(
        _curves(
            {"taken away": deleted},
            sight.numbers["intact"],
            title,
            "channels taken away, %",
            words,
            100 * steps / count,
        )
    )
    sight.panels.append(
        _bars(
            [str(channel) for channel in shown], one, sight.numbers["intact"], f"Without one channel of {name}", words
        )
    )


def last_convolution(subject: Subject) -> str:
    """The last convolution that is not the head itself. Raises `UserError` where there is none."""
    from gradus.models.stages import head_of

    head = head_of(subject.model)
    found = [n for n, module in subject.model.named_modules() if isinstance(module, nn.Conv2d) and n != head]
    if not found:
        raise UserError(f"lesion: {subject.name} has no convolutions before its head; name a layer with --layer")
    return found[-1]


def channel_count(subject: Subject, module: nn.Module) -> int:
    with recorded({"layer": module}) as kept, torch.no_grad():
        subject.model(subject.blank())
    if "layer" not in kept:
        raise UserError("lesion: this layer is not used by the network's forward pass")
    return kept["layer"].shape[1]


def _bars(names: Sequence[str], values: np.ndarray, intact: float, title: str, words: str) -> Panel:
    def paint(axes, colours) -> None:
        places = np.arange(len(names))
        axes.bar(places, 100 * (values - intact), color=colours["model"], width=0.8)
        axes.axhline(0, color=colours["ink"], linewidth=1)
        axes.set_ylabel("change, percentage points")
        axes.grid(visible=False, axis="x")
        if len(names) <= 24:
            axes.set_xticks(places, names, rotation=60, ha="right", fontsize=8)
        else:
            axes.set_xticks([])
            axes.set_xlabel("in their order")

    return chart(
        "one", title, paint, f"Share of rows {words}, less the {percent(intact)} of the whole network.", (6.2, 3.8)
    )


def _curves(
    lines: dict[str, np.ndarray], intact: float, title: str, label: str, words: str, places: np.ndarray | None = None
) -> Panel:
    def paint(axes, colours) -> None:
        for (name, values), role, marker in zip(lines.items(), ("model", "second"), "os", strict=False):
            x = np.arange(len(values)) if places is None else places
            axes.plot(x, 100 * values.mean(axis=1), color=colours[role], marker=marker, markersize=4, label=name)
            axes.fill_between(
                x, 100 * values.min(axis=1), 100 * values.max(axis=1), color=colours[role], alpha=0.18, linewidth=0
            )
        axes.set_ylim(0, 104)
        axes.set_xlabel(label)
        axes.set_ylabel(f"{words}, %", fontsize=9)
        if len(lines) > 1:
            axes.legend(frameon=False, fontsize=9)

    return chart("more", title, paint, "Mean of the random draws; the band is their range.", size=(5.6, 3.6))
