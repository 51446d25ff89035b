"""Looks at how a language model chooses: its next-token distribution at several temperatures, and what it writes at each."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gradus.errors import UserError
from gradus.look.evidence_language import visible
from gradus.look.inside.painting import chart
from gradus.look.inside.sight import Panel, Sight
from gradus.look.page import Html, element
from gradus.look.text import number
from gradus.nn.sampling import entropy, next_distribution

Temperatures = tuple[float, ...]
CURVE = np.linspace(0, 2.5, 51)  # temperatures at which the entropy is drawn


@dataclass(frozen=True)
class Writer:
    """A language model that can be asked.

    logits: prompt -> (V,), of the token that follows; forbidden: bool (V,), tokens that are never written
    write:  (prompt, length, temperature, seed) -> what is written on
    tokens: what each id is; unit: what a token is, in one word; run: the run
    """

    name: str
    logits: Callable[[str | None], Tensor]
    forbidden: Tensor
    write: Callable[[str | None, int, float, int], str]
    tokens: tuple[str, ...]
    unit: str
    run: Any = None


def _checked(temperatures: Temperatures) -> Temperatures:
    if not temperatures or any(not 0 <= one < math.inf for one in temperatures):
        raise UserError(f"temperatures: expected numbers from 0, received {list(temperatures)}")
    return temperatures


def temperature(
    writer: Writer,
    prompts: Sequence[str],
    *,
    temperatures: Temperatures = (0.01, 0.2, 0.4, 0.6, 0.8, 1.0),
    tokens: int = 12,
) -> Sight:
    """The next-token distribution after a prompt, reweighted (*Deep Learning with Python*, figure 8-2), and its entropy.

    tokens: of the most probable ones that bars are drawn for
    """
    prompt = prompts[0] if prompts else None
    logits = writer.logits(prompt)
    kept = min(tokens, int((~writer.forbidden).sum()))
    found = {one: next_distribution(logits, one, forbidden=writer.forbidden) for one in _checked(temperatures)}
    order = next_distribution(logits, 1.0, forbidden=writer.forbidden).argsort(descending=True)[:kept]
    labels = [visible(writer.tokens[int(index)]) for index in order]
    curve = torch.stack([next_distribution(logits, float(one), forbidden=writer.forbidden) for one in CURVE])
    nats = entropy(curve).numpy()
    most = math.log(int((~writer.forbidden).sum()))
    after = f"after {prompt!r}" if prompt is not None else "at the beginning"
    sight = Sight(
        "temperature",
        f"The next {writer.unit} {after}, by temperature",
        said=[
            "A temperature T raises each probability to the power 1/T. "
            f"At 0 only the most probable {writer.unit} is written, at 1 the model's own distribution is drawn from, and "
            f"far above 1 all become alike: {number(most, 3)} nats of entropy."
        ],
        arrays={"logits": logits.numpy(), "temperatures": CURVE, "entropy": nats},
        numbers={f"entropy at {one:g} (nats)": float(entropy(chances)) for one, chances in found.items()},
    )

    def paint_entropy(axes: Any, colours: dict[str, str]) -> None:
        axes.plot(CURVE, nats, color=colours["model"])
        axes.axhline(most, color=colours["muted"], linewidth=1, linestyle=(0, (3, 3)))
        axes.set(xlabel="temperature", ylabel="entropy (nats)", ylim=(0, 1.05 * most))

    sight.panels.append(chart("entropy", "Entropy by temperature", paint_entropy, "Dashed: all alike."))
    for index, (one, chances) in enumerate(found.items()):
        sight.panels.append(_bars(f"bars-{index}", f"Temperature {one:g}", labels, chances[order].numpy()))
    return sight


def _bars(name: str, title: str, labels: list[str], shares: np.ndarray) -> Panel:
    def paint(axes: Any, colours: dict[str, str]) -> None:
        axes.bar(np.arange(len(shares)), shares, color=colours["model"])
        axes.set_xticks(np.arange(len(shares)), labels)
        axes.set(ylim=(0, 1), ylabel="probability")
        axes.grid(visible=False, axis="x")

    return chart(name, title, paint, "")


def samples(
    writer: Writer,
    prompts: Sequence[str],
    *,
    temperatures: Temperatures = (0.2, 0.5, 1.0, 1.2),
    length: int = 400,
    seed: int = 0,
) -> Sight:
    """What is written at several temperatures, side by side, each from the same prompt and with the same random numbers."""
    if length < 1 or seed < 0:
        raise UserError(f"length, seed: expected 1 or more and 0 or more, received {length}, {seed}")
    columns: list[Html] = []
    files: dict[str, str] = {}
    begins: list[str | None] = list(prompts) or [None]
    for one in _checked(temperatures):
        shown = []
        for prompt in begins:
            text = writer.write(prompt, length, one, seed)
            shown.append(element("pre", element("strong", prompt or ""), text, style="white-space:pre-wrap"))
            files[f"samples-{one:g}.txt"] = files.get(f"samples-{one:g}.txt", "") + f"{prompt or ''}{text}\n\n"
        columns.append(
            element("div", element("h3", f"Temperature {one:g}"), *shown, style="flex:1 1 16rem;min-width:0")
        )
    return Sight(
        "samples",
        f"What {writer.name} writes",
        said=[
            f"{length} {writer.unit}s at most from the same beginning (in bold), which every temperature starts from anew, with "
            f"the random numbers of seed {seed}. Low temperatures repeat what is safe; high ones invent words."
        ],
        first=element("div", *columns, style="display:flex;flex-wrap:wrap;gap:1.5rem"),
        files=dict(files),
        record={"samples": files},
    )
