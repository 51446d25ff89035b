"""How far back a network hears: |d answer at the end / d input so many steps before|, trained and fresh.

The answer is the network's outputs at the last step, its K numbers together; an input is the vector of a word or the numbers of a
step; the size is Frobenius' norm of the Jacobian between the two. Of many outputs it is estimated from random signs (Hutchinson).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from gradus.errors import UserError
from gradus.look.inside.painting import chart
from gradus.look.inside.passages import Passage, PassageSubject
from gradus.look.inside.sight import Sight
from gradus.look.inside.word_credit import Vectors, differentiable
from gradus.look.text import number, percent, plural


def memory(
    subject: PassageSubject,
    pictures: Sequence[Passage] = (),
    *,
    split: str = "test",
    rows: int = 8,
    steps: int = 100,
    probes: int = 8,
    fresh: bool = True,
    seed: int = 0,
) -> Sight:
    """How much the answer at the end of a passage hangs on what stood 0, 1, 2, ... steps before it, on the mean of passages.

    rows:   of `split`, where no passages are given; steps: the most that are looked back
    probes: directions of the outputs, where there are more outputs than these
    fresh:  beside it, the same network with new random weights

    Arrays: `distance`, `trained` and `fresh` (steps,), the mean norm at each distance.
    """
    if rows < 1 or steps < 2 or probes < 1:
        raise UserError("memory: rows and probes are at least 1, steps at least 2")
    passages = list(pictures)
    if not passages:
        if subject.rows is None:
            raise UserError("memory: it needs a text, or a run with rows of data")
        passages = subject.rows(split).sample(rows, seed)
    if any(passage.is_bag for passage in passages):
        raise UserError(f"memory: {subject.name} reads bags of words, which have no order")
    curves = {"trained" if subject.run is not None else "random": _curve(subject, passages, steps, probes, seed)}
    if fresh and subject.fresh is not None and subject.run is not None:
        curves["fresh"] = _curve(_with(subject, seed), passages, steps, probes, seed)
    length = len(next(iter(curves.values())))
    sight = Sight("memory", f"How far back {subject.name} hears", arrays={"distance": np.arange(length), **curves})
    sight.said.append(
        f"The size of d answer / d input by how many steps before the end the input stood, mean of "
        f"{plural(len(passages), 'passage')}."
    )
    for name, curve in curves.items():
        half, most = reach(curve, 0.5), reach(curve, 0.9)
        sight.numbers |= {f"half of it lies within, {name}": float(half), f"90% of it, {name}": float(most)}
        factor = decay(curve)
        sight.numbers[f"factor a step, {name}"] = factor
        grows = "grows" if factor > 1 else "fades"
        sight.said.append(
            f"{name.capitalize()}: half of the influence lies within the last {plural(half, 'step')}, {percent(0.9, 0)} within "
            f"{most}; from step to step back it {grows} by a factor of {number(factor, 3)}."
        )

    def paint(axes, colours) -> None:
        for (name, curve), role in zip(curves.items(), ("model", "second"), strict=False):
            axes.semilogy(
                np.arange(len(curve)),
                np.maximum(curve / max(curve.max(), 1e-300), 1e-12),
                color=colours[role],
                label=name,
            )
        powers = range(int(np.floor(np.log10(max(axes.get_ylim()[0], 1e-12)))), 1)
        shown = [power for power in powers if power % (1 if len(powers) <= 6 else 3) == 0]
        axes.set_yticks([10.0**power for power in shown], [number(10.0**power, 2) for power in shown])
        axes.minorticks_off()
        axes.set_xlabel("steps before the end")
        axes.set_ylabel("|d answer / d input|, largest = 1")
        axes.legend(frameon=False)

    sight.panels.append(chart("distance", "How far back the answer hears", paint))
    return sight


def reach(curve: np.ndarray, share: float) -> int:
    """The number of last steps that hold that share of the whole."""
    total = np.cumsum(curve)
    return int(np.searchsorted(total, share * total[-1]) + 1) if total[-1] > 0 else 0


def decay(curve: np.ndarray) -> float:
    """The factor from one step to the next further back, by a straight line through the logarithms (of what is not 0)."""
    known = np.flatnonzero(curve > curve.max(initial=0) * 1e-10)
    if len(known) < 2:
        return float("nan")
    return float(np.exp(np.polyfit(known, np.log(curve[known]), 1)[0]))


def sensitivity(subject: PassageSubject, passage: Passage, probes: int, seed: int = 0) -> np.ndarray:
    """(T,): Frobenius' norm of d scores / d vector of each step."""
    vectors = Vectors(subject, passage, 0, "score")
    with differentiable(subject.model):
        given = vectors.whole[None].clone().requires_grad_()
        scores = vectors.all_scores(given)[0]
        outputs = len(scores)
        if outputs <= probes:
            directions = torch.eye(outputs, dtype=scores.dtype)
        else:
            random = torch.Generator().manual_seed(seed)
            directions = torch.randint(0, 2, (probes, outputs), generator=random).to(scores.dtype) * 2 - 1
        total = torch.zeros(len(vectors.whole), dtype=torch.float64)
        for direction in directions.to(scores.device):
            found = torch.autograd.grad(scores @ direction, given, retain_graph=True)[0][0]
            total += found.double().square().flatten(1).sum(dim=1).cpu()
    mean = total if outputs <= probes else total / probes
    return mean.sqrt().numpy()


def _curve(subject: PassageSubject, passages: Sequence[Passage], steps: int, probes: int, seed: int) -> np.ndarray:
    """(up to `steps`,): the mean over the passages that reach so far back."""
    backwards = [sensitivity(subject, passage, probes, seed)[::-1][:steps] for passage in passages]
    longest = max(len(one) for one in backwards)
    return np.array([np.mean([one[ago] for one in backwards if len(one) > ago]) for ago in range(longest)])


def _with(subject: PassageSubject, seed: int) -> PassageSubject:
    """The subject with a fresh network."""
    assert subject.fresh is not None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: nn.Module = subject.fresh()
    return replace(subject, model=model.to(subject.device).eval())
