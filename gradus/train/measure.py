"""What is decided by measuring on the machine at hand before training begins: the precision; and the number of threads."""

from __future__ import annotations

import copy
import math
import os
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from gradus.errors import UserError
from gradus.models.auxiliary import total_loss
from gradus.train.devices import DEFAULT_THREADS, Plan
from gradus.train.settings import TrainSettings

PROBE_SECONDS = 0.05  # for all precisions together
HOPELESS = 20  # times slower in a product of two small matrices: not tried on the model, one pass might take minutes
SMALL_WORK = 2e7  # floating-point operations a step below which a second thread costs more than it saves


def choose_precision(
    settings: TrainSettings, plan: Plan, model: nn.Module, example: Callable[[], tuple[Any, Callable[[Any], Tensor]]]
) -> tuple[Plan, str]:
    """The plan with the precision that is asked for or found faster, and a note on what was measured (empty: nothing was).

    example: makes a batch as the model takes it, on the device, and the loss of what the model gives for it

    Raises `UserError` where bf16 is asked for and slower than fp32.
    """
    on_gpu = plan.device.type == "cuda"
    if settings.precision == "fp32" or (settings.precision == "auto" and not on_gpu):
        return plan, ""
    reduced = Plan(plan.device, torch.bfloat16)
    if settings.force_precision:
        return reduced, ""
    full, half = compare_precisions(plan, reduced, model, *example())
    figures = f"a pass takes {1000 * half:.2g} ms in bf16 here, {1000 * full:.2g} ms in fp32"
    if half < full:
        return reduced, f"precision: bf16 ({figures})"
    if settings.precision == "bf16":
        times = f"{half / full:.1f} times slower than fp32 here" if math.isfinite(half) else "hopelessly slow here"
        raise UserError(f"precision 'bf16': {times} ({figures}); use fp32, or --set train.force_precision=true")
    return plan, f"precision: fp32 ({figures})"


def compare_precisions(
    full: Plan, half: Plan, model: nn.Module, inputs: Any, loss_of: Callable[[Any], Tensor]
) -> tuple[float, float]:
    """Seconds of a forward and backward pass in both, within about `PROBE_SECONDS`. It works on a copy of the model."""
    small = torch.ones(64, 64, device=full.device)
    ratio = _shortest(lambda: small.bfloat16() @ small.bfloat16(), half, 0.1) / _shortest(
        lambda: small @ small, full, 0.1
    )
    model = copy.deepcopy(model).to(full.device).train()

    def one_pass(plan: Plan) -> None:
        with plan.autocast():
            loss = total_loss(model, model(inputs), loss_of)
        loss.backward()

    seconds = _shortest(lambda: one_pass(full), full, 0.4)
    if ratio > HOPELESS and full.device.type == "cpu":
        return seconds, seconds * ratio
    return seconds, _shortest(lambda: one_pass(half), half, 0.4)


def _shortest(work: Any, plan: Plan, share: float) -> float:
    """The shortest time of one run of `work` in `share` of the probe's time; the first one, which warms up, does not count."""
    work()
    plan.synchronize()
    shortest, until = math.inf, time.perf_counter() + share * PROBE_SECONDS
    while shortest == math.inf or time.perf_counter() < until:
        started = time.perf_counter()
        work()
        plan.synchronize()
        shortest = min(shortest, time.perf_counter() - started)
    return shortest


def operations(model: nn.Module, inputs: Tensor) -> float:
    """About how many floating-point operations a forward pass takes: two for each use of a weight in a product."""
    total = 0.0

    def count(module: nn.Module, arguments: Any, output: Any) -> None:
        nonlocal total
        weights = [parameter for parameter in module.parameters(recurse=False) if parameter.ndim >= 2]
        if isinstance(output, Tensor) and len(weights) == 1:
            total += 2 * output.numel() * weights[0][0].numel()  # linear layers and convolutions
        elif weights:
            first = output[0] if isinstance(output, tuple) else output
            # recurrent layers: every weight once at each position; of what is no tensor, once a row
            uses = first.numel() / first.shape[-1] if isinstance(first, Tensor) else len(first)
            total += 2 * uses * sum(weight.numel() for weight in weights)

    handles = [module.register_forward_hook(count) for module in model.modules()]
    try:
        with torch.no_grad():
            model(inputs)
    finally:
        for handle in handles:
            handle.remove()
    return total


def choose_threads(settings: TrainSettings, per_row: float, rows: int) -> tuple[int, str]:
    """How many CPU threads to compute with, and a note where other processes keep the cores busy.

    per_row: operations of a forward pass for one row; a backward pass takes twice as many. The choice depends on the work and
    on the number of cores alone, so the same command makes the same choice again.
    """
    if settings.threads:
        return settings.threads, ""
    threads = 1 if 3 * per_row * rows < SMALL_WORK else DEFAULT_THREADS
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if threads > 1 and load > 0.75 * threads:
        return threads, (
            f"other programs keep this machine busy (load {load:.1f} on {threads} cores), which can slow {threads} threads "
            "many times over: --set train.threads=1 does not wait for them"
        )
    return threads, ""
