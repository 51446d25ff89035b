"""Whether a small batch can be learnt by heart, and whether the gradients of layers of one's own are slopes."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gradus.doctor.case import Case, NotHere
from gradus.doctor.commands import train_with
from gradus.doctor.finding import Finding
from gradus.doctor.probe import Probe, named, probe
from gradus.doctor.scales import main_weight
from gradus.errors import UserError
from gradus.look.gradient_check import check_gradients

ROWS, FEWEST_ROWS = 32, 8
STEPS, LEAST_STEPS = 150, 60
HOPELESS = 75  # steps after which less than a tenth of the loss is gone: there is no point in going on
BUDGET = 1e11  # floating-point operations at one rate: some seconds of one core
RATES = (1e-3, 1e-2)  # of Adam
LEARNT = 0.1  # share of the loss of chance at which it is known by heart
NOT_LEARNT = 0.5
WEIGHTS = 4  # for each number to be learnt, at least: fewer cannot hold them
TIMED = 10
SECONDS = 10.0  # of the processor that the steps at one rate may take, by the first of them
SAMPLES = 2  # numbers moved in each tensor


def find_cannot_memorise(case: Case) -> list[Finding]:
    """Adam on 32 rows, without dropout and augmentation: whatever can learn at all learns these by heart.

    Rows whose inputs vary in D directions are asked for 2 (D + 1) at a time: so many a single linear unit parts with even chances
    in any two classes (Cover 1965), while of more rows near each other nobody learns the answers by heart in a few steps.
    Half the loss of chance after 150 steps is far from it. Networks too small for it, or too large to be tried in some seconds,
    are not asked; what is in between is not judged.
    """
    tried = probe(case, ROWS)
    count = _told_apart(tried.inputs)
    if count < FEWEST_ROWS:
        raise NotHere("too few inputs differ to tell rows apart")
    if count < ROWS:
        tried = probe(case, count)
    outputs = tried.outputs()
    if not isinstance(outputs, Tensor):
        raise NotHere("the network gives no tensor")
    weights = [p for p in tried.model.parameters() if p.requires_grad]
    if sum(p.numel() for p in weights) < WEIGHTS * outputs.numel():
        raise NotHere("the network has too few weights to learn rows by heart")
    steps = min(STEPS, int(BUDGET / max(3 * len(outputs) * case.experiment.operations, 1)))
    if steps < LEAST_STEPS:
        raise NotHere("the network is too large to be tried in some seconds")
    chance = float(tried.loss(torch.zeros_like(outputs)))
    if not bool(torch.isfinite(outputs).all()) or not math.isfinite(chance):
        raise NotHere("the network gives numbers that are not finite")
    begun = {name: tensor.clone() for name, tensor in tried.model.state_dict().items()}
    left = chance
    for rate in RATES:
        tried.model.load_state_dict(begun)
        left = min(left, _learn(tried, rate, steps, chance))
        if left <= NOT_LEARNT * chance:
            break
    case.measured["one batch by heart"] = {"loss": left, "of chance": chance, "rows": len(outputs), "steps": steps}
    if left <= NOT_LEARNT * chance:
        return []
    tried.model.load_state_dict(begun)
    layer = _where_gradients_stop(tried)
    settings = (f"data.rows={len(outputs)}", f"train.batch_size={len(outputs)}", "train.epochs=200")
    by_heart = train_with(case, *settings, lesson="forward-and-backward")
    return [
        Finding(
            kind="cannot-memorise",
            told=f"{len(outputs)} rows cannot be learnt by heart: after {steps} steps of Adam their loss is {left:.3g}, where "
            f"chance has {chance:.3g}" + (f"; no gradient reaches {layer}" if layer else ""),
            where=layer or "the network",
            value=left / chance,
            usual=f"below {LEARNT:g} of the loss of chance",
            strength=0.4,
            command="gradus lesson forward-and-backward" if case.dataset.ordered else by_heart,
        )
    ]


def _told_apart(inputs: Any) -> int:
    """How many of the rows can be asked for. Raises `NotHere` where two are equal, so that no function may have all answers."""
    if not isinstance(inputs, Tensor):
        return ROWS
    flat = inputs.flatten(1).detach().cpu().double()
    if len(flat.unique(dim=0)) < len(flat):
        raise NotHere("rows with equal inputs cannot be told apart")
    if not inputs.is_floating_point():
        return ROWS
    return min(ROWS, 2 * (int(torch.linalg.matrix_rank(flat - flat.mean(dim=0))) + 1))


def _learn(tried: Probe, rate: float, steps: int, chance: float) -> float:
    """The lowest loss on the way, which ends when the rows are known or hardly anything was learnt."""
    optimizer = torch.optim.Adam([p for p in tried.model.parameters() if p.requires_grad], lr=rate)
    least, started = float("inf"), time.process_time()
    for step in range(steps):
        if step == TIMED and (time.process_time() - started) * steps / TIMED > SECONDS:
            raise NotHere("the network is too slow to be tried in some seconds")
        optimizer.zero_grad()
        loss = tried.loss(tried.outputs())
        if not torch.isfinite(loss) or not loss.requires_grad:
            break
        least = min(least, loss.item())
        if least < LEARNT * chance or (step == HOPELESS and least > 0.9 * chance):
            break
        loss.backward()
        optimizer.step()
    return least


def _where_gradients_stop(tried: Probe) -> str:
    """The layer nearest the answers that gets no gradient; empty where all get one."""
    tried.model.zero_grad()
    loss = tried.loss(tried.outputs())
    if not loss.requires_grad:
        return "any layer"
    loss.backward()
    layers = [(name, weight) for name, m in tried.model.named_modules() if (weight := main_weight(m)) is not None]
    without = [name for name, weight in layers if weight.grad is None or float(weight.grad.abs().max()) < 1e-20]
    return named(without[-1], tried.model) if without else ""


def find_wrong_gradients(case: Case) -> list[Finding]:
    """Functions with a backward pass of their own, against differences in float64."""
    tried = probe(case, 2, training=False)
    outputs = tried.outputs()
    if not isinstance(outputs, Tensor) or not _own_backwards(outputs):
        raise NotHere("no function of the network has a backward pass of its own")
    inputs = tried.inputs if isinstance(tried.inputs, Tensor) else tuple(tried.inputs)
    try:
        report = check_gradients(tried.model, inputs, samples=SAMPLES, seed=case.seed)
    except UserError as error:
        raise NotHere(str(error)) from None
    case.measured["gradients against differences"] = report.worst.error if np.isfinite(report.worst.error) else None
    if report.is_right:
        return []
    faulty = report.faulty[0] if report.faulty else ""
    layer = named(faulty, tried.model) if faulty else "the network's own forward"
    return [
        Finding(
            kind="custom-gradient",
            told=f"the backward pass of {layer} is not the slope of what it gives: it is off by {100 * report.worst.error:.2g} % "
            f"at {report.worst.where}",
            where=faulty,
            value=float(report.worst.error),
            usual="below 1e-7 in float64",
            strength=0.96,
            command="gradus lesson gradient-checking",
            others=("gradus check --file FILE.py:CLASS",),
        )
    ]


def _own_backwards(outputs: Tensor) -> bool:
    return any(isinstance(node, torch.autograd.function.BackwardCFunction) for node in _nodes(outputs))


def _nodes(outputs: Tensor) -> Iterator[Any]:
    """All nodes of the graph of gradients."""
    seen, waiting = set(), [outputs.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            yield node
            waiting += [following for following, _ in node.next_functions]
