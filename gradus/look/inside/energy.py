"""Looks into machines with an energy: what their hidden units stand for, what they dream, and what they find likely."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from gradus.errors import UserError
from gradus.look.inside.painting import captioned, chart, coloured, enlarged
from gradus.look.inside.sight import Panel, Sight, grid, to_uint8
from gradus.look.inside.subject import Picture, Rows, Subject
from gradus.models.generative.conv_rbm import ConvRBM
from gradus.models.generative.dbn import Stack
from gradus.models.generative.machine import Machine

Part = Literal["lower", "upper", "left", "right", "middle", "half"]


@dataclass(frozen=True)
class Dreamer:
    """The machine whose chains are run: itself, or the topmost of a stack. enter: pictures -> its states; show: back."""

    machine: Machine
    enter: Callable[[Tensor], Tensor]
    show: Callable[[Tensor], Tensor]


def dreamer_of(subject: Subject, what: str) -> Dreamer:
    model = subject.model
    if isinstance(model, Stack):
        top, below = model.machines[-1], len(model.layers) - 1
        return Dreamer(top, lambda p: top.enter(model.below(p, below)), lambda s: model.pictured(top.leave(s), below))
    if isinstance(model, Machine):
        return Dreamer(model, model.enter, model.leave)
    raise UserError(f"{what}: {subject.name} is no machine with an energy; rbm, dbn, conv_rbm and conv_dbn are")


@torch.no_grad()
def unit_filters(model: Machine | Stack, layer: int) -> np.ndarray:
    """What each hidden unit, or map, of a machine of the stack (from 0) stands for in pixels: (units, C, h, w). Weights are
    carried down through the machines below as if these were linear (Lee et al. 2009)."""
    machines = model.machines if isinstance(model, Stack) else [model]
    machine = machines[layer]
    shown = machine.weight if isinstance(machine, ConvRBM) else machine.weight.T
    for below in reversed(machines[:layer]):
        if isinstance(below, ConvRBM):
            wide = shown.repeat_interleave(below.pool, dim=2).repeat_interleave(below.pool, dim=3)
            shown = functional.conv_transpose2d(wide, below.weight)
        else:
            shown = shown @ below.weight.T
    if shown.ndim == 2:
        shown = shown.reshape(len(shown), *cast(tuple[int, ...], machines[0].picture))
    return shown.float().cpu().numpy()


def machine_filters(subject: Subject, layer: str, scale: str, most: int) -> Sight:
    """The look `filters` at a machine. layer: the number of a machine of a stack, from 1."""
    model: Any = subject.model
    count = len(model.layers) if isinstance(model, Stack) else 1
    number = int(layer) if layer.isdecimal() else 1 if not layer else 0
    if not 1 <= number <= count:
        raise UserError(f"layer: {subject.name} has machines 1 to {count}, received '{layer}'")
    weight = unit_filters(model, number - 1)
    largest = np.abs(weight).max(axis=(1, 2, 3), keepdims=True)
    strongest = np.argsort(-np.square(weight).sum(axis=(1, 2, 3)), kind="stable")[: most or None]
    drawn = weight[strongest] / np.maximum(largest[strongest] if scale == "filter" else largest.max(), 1e-12)
    if weight.shape[1] == 3:
        tiles, seen = to_uint8(0.5 + drawn.transpose(0, 2, 3, 1) / 2), "grey is 0"
    else:
        tiles, seen = coloured(0.5 + drawn.mean(axis=1) / 2, "RdBu_r"), "red is above 0, blue below"
    picture = captioned(enlarged(tiles, 48), [str(unit) for unit in strongest], columns=16, gap=4, letters=10)
    title = f"machine {number} of {count}: the {len(strongest)} strongest of {len(weight)} hidden units"
    return Sight(
        "filters",
        f"What the hidden units of {subject.name} stand for",
        said=[f"{title}; {seen}. A picture is likely where it agrees with some of them."],
        panels=[Panel(f"machine-{number}", title, picture, titled=True)],
        arrays={"weight": weight},
        numbers={"largest_weight": float(largest.max())},
    )


@torch.no_grad()
def fantasies(
    subject: Subject,
    pictures: Sequence[Picture] = (),
    *,
    chains: int = 10,
    steps: tuple[int, ...] = (0, 1, 10, 100, 1000),
    seed: int = 0,
) -> Sight:
    """Chains of Gibbs steps on their way, from noise or from pictures: a row a chain.

    chains: how many; steps: after how many steps they are shown; seed: of the noise and the draws
    """
    dreamer, generator = dreamer_of(subject, "fantasies"), torch.Generator().manual_seed(seed)
    machine, order = dreamer.machine, sorted(set(steps))
    if chains < 1 or not order or order[0] < 0:
        raise UserError("fantasies: chains is 1 or more, and steps are whole numbers from 0 on")
    states = machine.draw(chains, generator).to(subject.device)
    if pictures:
        states = dreamer.enter(subject.inputs(pictures))
    shown, energies, done = [], [], 0
    for upto in order:
        if upto == 0:
            mean = states
        else:
            states = machine.gibbs(states, upto - done - 1, generator)
            mean = machine.visible_mean(hidden := machine.sample_hidden(states, generator))
            states, done = machine.sample_visible(hidden, generator), upto
        shown.append(_tiles(subject, dreamer.show(mean)))
        energies.append(float(machine.free_energy(states).mean()))
    columns = np.stack([grid(tiles, columns=1) for tiles in (enlarged(one, 56) for one in shown)])
    captions = [f"{step} step{'s' * (step != 1)}" for step in order]
    begun = "the pictures" if pictures else "noise"
    return Sight(
        "fantasies",
        f"Fantasies of {subject.name}",
        said=[
            f"Chains from {begun}: a row is a chain, a column the number of Gibbs steps; what is shown is the mean of the "
            "visible units. Where rows stay alike to the end, the machine knows one thing only; where nothing changes, "
            "chains do not mix."
        ],
        panels=[Panel("chains", "chains", captioned(columns, captions, len(order), gap=4, letters=10))],
        arrays={"pictures": np.stack(shown, axis=1)},
        numbers={f"free_energy_{step}": value for step, value in zip(order, energies, strict=True)},
    )


@torch.no_grad()
def damaged(
    subject: Subject,
    pictures: Sequence[Picture] = (),
    *,
    hidden: Part = "lower",
    steps: int = 300,
    seed: int = 0,
    rows: int = 100,
    split: str = "test",
) -> Sight:
    """Pictures of which a part is hidden, and what the machine puts there: the rest is held, and a chain runs.

    hidden: lower, upper, left, right: that half; middle: a square of half the side; half: every second pixel, at random
    steps:  of the chain; seed: of its draws; rows: how many of the split the error is measured on, where no pictures are given
    """
    dreamer_of(subject, "damaged")
    model, generator = subject.model, torch.Generator().manual_seed(seed)
    given = subject.inputs(pictures) if pictures else inputs_of(subject, subject.labelled(split).sample(rows, seed))
    if steps < 1 or not len(given):
        raise UserError("damaged: steps and rows are 1 or more")
    known = _known(hidden, given.shape[2:], generator).to(given.device)
    found = model.complete(given, known, steps, generator)  # type: ignore[operator]
    holes = torch.where(known, given, torch.full_like(given, 0.5))
    error = float(((found - given) ** 2)[:, :, ~known].mean())
    numbers = {"squared_error": error}
    said = [
        f"The {hidden} part is hidden; the chances of the last {min(50, steps)} of {steps} Gibbs steps, with the rest held fixed."
    ]
    if len(given) > 1:
        usual = float(((given.mean(dim=0) - given) ** 2)[:, :, ~known].mean())
        numbers["squared_error_of_mean"] = usual
        said.append(
            f"A hidden pixel is wrong by {error:.4f} (squared); the mean of these very pictures, which knows nothing of the "
            f"one it is asked about, by {usual:.4f}."
        )
    columns = [_tiles(subject, part[:16]) for part in (given, holes, found)]
    sheet = np.concatenate(columns)
    captions = [name if place == 0 else "" for name in ("true", "given", "found") for place in range(len(columns[0]))]
    return Sight(
        "damaged",
        f"Damaged pictures, completed by {subject.name}",
        said=said,
        panels=[
            Panel(
                "completed", "completed", captioned(enlarged(sheet, 56), captions, len(columns[0]), gap=4, letters=10)
            )
        ],
        arrays={"completed": found.float().cpu().numpy(), "known": known.cpu().numpy()},
        numbers=numbers,
    )


@torch.no_grad()
def free_energies(
    subject: Subject, pictures: Sequence[Picture] = (), *, rows: int = 2000, split: str = "test", seed: int = 0
) -> Sight:
    """The free energy of rows it learnt from and of others: the lower, the likelier. A gap between them is overfitting, told
    without the partition function (Hinton 2010, §6).

    split: the rows it is compared with; rows: how many of each
    """
    dreamer = dreamer_of(subject, "free-energy")

    def energies(part: Rows) -> np.ndarray:
        batches = torch.arange(len(part)).split(500)
        return np.concatenate(
            [
                dreamer.machine.free_energy(dreamer.enter(inputs_of(subject, part, rows))).cpu().numpy()
                for rows in batches
            ]
        )

    kept = {name: subject.labelled(name).sample(rows, seed) for name in dict.fromkeys(("train", split))}
    found = {name: energies(part) for name, part in kept.items()}
    gap = float(found[split].mean() - found["train"].mean())
    error = float(np.sqrt(sum(values.var() / len(values) for values in found.values())))
    said = [
        f"Rows of {split} have {gap:.3g} nats more than those of train, with a standard error of {error:.2g}: "
        + ("a sign of overfitting." if gap > 2 * error else "no sign of overfitting.")
    ]

    def paint(axes: Any, colours: dict[str, str]) -> None:
        edges = np.histogram_bin_edges(np.concatenate(list(found.values())), 40)
        for colour, (name, values) in zip(("model", "second"), found.items(), strict=False):
            axes.hist(values, edges, density=True, histtype="step", color=colours[colour], label=name)
        axes.set(xlabel="free energy, nats", yticks=[])
        axes.legend(frameon=False)

    part, values = kept[split], found[split]
    order = np.argsort(values)
    ends = np.concatenate([order[:12], order[-12:]])
    tiles = enlarged(np.asarray(part.pixels[torch.from_numpy(ends.copy())]), 56)
    captions = [f"{values[row]:.1f}\n{part.names[row]}" for row in ends]
    return Sight(
        "free-energy",
        f"Free energy by {subject.name}",
        said=said,
        panels=[
            chart("free-energies", "Free energy of rows", paint),
            Panel("ends", "the likeliest rows, and the unlikeliest", captioned(tiles, captions, 12, gap=6, letters=10)),
        ],
        arrays=found,
        numbers={
            **{f"{name}_mean": float(values.mean()) for name, values in found.items()},
            "gap": gap,
            "error": error,
        },
    )


def inputs_of(subject: Subject, rows: Rows, chosen: Tensor | None = None) -> Tensor:
    pixels = rows.pixels[torch.arange(len(rows)) if chosen is None else chosen]
    return subject.prepare(torch.as_tensor(pixels).to(subject.device))


def _tiles(subject: Subject, pictures: Tensor) -> np.ndarray:
    """(N, C, H, W) as the model has them -> uint8 (N, H, W, C)."""
    return to_uint8(subject.invert(pictures).permute(0, 2, 3, 1).float().cpu().numpy())


def _known(hidden: Part, size: Sequence[int], generator: torch.Generator) -> Tensor:
    """(H, W) bool."""
    height, width = size
    known = torch.ones(height, width, dtype=torch.bool)
    if hidden == "half":
        return torch.rand(height, width, generator=generator) < 0.5
    down = {"lower": slice(height // 2, None), "upper": slice(None, height // 2)}
    across = {"right": slice(width // 2, None), "left": slice(None, width // 2)}
    middle = slice(height // 4, height - height // 4), slice(width // 4, width - width // 4)
    rows, columns = middle if hidden == "middle" else (slice(None), slice(None))
    known[down.get(hidden, rows), across.get(hidden, columns)] = False
    return known
