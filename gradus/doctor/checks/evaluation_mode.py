"""Evaluation: the same row has the same answer every time, whatever rows are beside it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from gradus.doctor.case import Case, NotHere
from gradus.doctor.finding import Finding
from gradus.doctor.probe import Probe, named, part, probe, tensor_of, was_trained

ROWS = 16
DIFFERENT = 1e-3  # of the deviation of the outputs: rounding leaves up to 1e-5


def find_random_evaluation(case: Case) -> list[Finding]:
    """The same rows twice: in evaluation nothing may be drawn."""
    tried = _evaluated(case)
    first, again = _outputs(tried, tried.inputs), _outputs(tried, tried.inputs)
    apart = _apart(first, again)
    case.measured["answers to the same rows differ by"] = apart
    if apart < DIFFERENT:
        return []
    layer = _first_that_differs(tried, tried.inputs, tried.inputs, slice(None))
    return [
        Finding(
            kind="random-evaluation",
            told=f"in evaluation mode the same {len(first)} rows get other answers each time: they differ by "
            f"{100 * apart:.2g} % of the answers' own deviation",
            where=layer,
            value=apart,
            usual="the same answer to the last digit",
            strength=0.95,
            command="gradus lesson dropout",
            others=("functional.dropout(x, p, training=self.training), or nn.Dropout, which eval() turns off",),
        )
    ]


def find_batch_statistics(case: Case) -> list[Finding]:
    """Some rows alone and among others: in evaluation batch normalisation goes by the averages that training left."""
    tried = _evaluated(case)
    whole = _outputs(tried, tried.inputs)
    if _apart(whole, _outputs(tried, tried.inputs)) >= DIFFERENT:
        raise NotHere("in evaluation the same rows get other answers each time")
    few = slice(0, max(2, len(whole) // 4))
    alone = _outputs(tried, part(tried.inputs, few))
    apart = _apart(alone, whole[few])
    case.measured["answers alone and among others differ by"] = apart
    if apart < DIFFERENT:
        return []
    layer = _first_that_differs(tried, part(tried.inputs, few), tried.inputs, few)
    return [
        Finding(
            kind="batch-statistics",
            told=f"in evaluation mode a row's answer depends on the rows beside it: {len(alone)} rows alone and among "
            f"{len(whole)} differ by {100 * apart:.2g} % of the answers' own deviation",
            where=layer,
            value=apart,
            usual="the same answer in any company",
            strength=0.95,
            command="gradus lesson batch-normalisation",
            others=(
                "call model.eval() before answering, and let train(False) reach every norm; track_running_stats=True",
            ),
        )
    ]


def _evaluated(case: Case) -> Probe:
    return probe(case, ROWS, trained=was_trained(case), training=False)


@torch.no_grad()
def _outputs(tried: Probe, inputs: Any) -> Tensor:
    outputs = tried.outputs(inputs)
    if not isinstance(outputs, Tensor):
        raise NotHere("the network gives no tensor")
    if not bool(torch.isfinite(outputs).all()):
        raise NotHere("the network gives numbers that are not finite")
    return outputs.double()


def _apart(some: Tensor, others: Tensor) -> float:
    """The largest difference, as a share of the deviation over rows."""
    size = float((others - others.mean(dim=0)).square().mean().sqrt()) or float(others.abs().max()) or 1.0
    return float((some - others).abs().max()) / size


def _first_that_differs(tried: Probe, some: Any, others: Any, rows: slice) -> str:
    """The first layer, as layers are called, whose outputs differ; "the network's own forward" where no layer's do."""
    first, second = _kept(tried.model, some), _kept(tried.model, others)
    for name, output in first.items():
        other = second.get(name)
        if other is None or len(other) < len(output) or output.shape != other[rows].shape:
            continue
        if _apart(output.double(), other[rows].double()) >= DIFFERENT:
            return named(name, tried.model)
    return "the network's own forward"


@torch.no_grad()
def _kept(model: nn.Module, inputs: Any) -> dict[str, Tensor]:
    kept: dict[str, Tensor] = {}

    def keep(name: str) -> Any:
        def hook(module: nn.Module, given: Any, output: Any) -> None:
            tensor = tensor_of(output)
            if tensor is not None and tensor.ndim:
                kept.setdefault(name, tensor.clone())

        return hook

    leaves = [(name, module) for name, module in model.named_modules() if name and not any(module.children())]
    handles = [module.register_forward_hook(keep(name)) for name, module in leaves]
    try:
        model(inputs)
    finally:
        for handle in handles:
            handle.remove()
    return kept
