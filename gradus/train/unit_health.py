"""Dead and saturated units, layer by layer, of whatever passes through a network.

Operations are watched, not modules, so `functional.relu(x)` within a forward counts as `nn.ReLU` does. A unit is a channel:
the second axis after a convolution, the last one after a matrix product. It is dead where its output is 0 at all places of all
rows, and saturated where almost all of its outputs stand at an end of their range. Gates within recurrent layers are left out,
and so is a sigmoid or tanh that gives the answers themselves (no weights come after it): those should be sure in the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

# name of the operation -> (least value, largest value) of its outputs, infinity where there is no end
RANGES: dict[str, tuple[float, float]] = {
    "relu": (0.0, float("inf")),
    "threshold": (0.0, float("inf")),
    "clamp_min": (0.0, float("inf")),
    "hardtanh": (0.0, 6.0),  # ReLU6; with other ends it is counted by those that it was given
    "sigmoid": (0.0, 1.0),
    "hardsigmoid": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
}
CONVOLUTIONS = ("convolution", "_convolution", "mkldnn_convolution", "cudnn_convolution")
PRODUCTS = ("addmm", "mm", "bmm", "baddbmm", "linear", "matmul")
MARGIN = 0.01  # an output within this share of the range from an end stands at it
ALMOST_ALL = 0.99  # share of the outputs of a unit that makes it saturated


@dataclass(frozen=True)
class UnitHealth:
    """The units of one activation.

    layer: the module that computes it; after: the layer with weights before it, empty where there is none; both by name
    kind:  the operation: relu, sigmoid, ...
    dead, saturated: shares of the units, 0 to 1. Only what can be 0 at an end can be dead; only what has two ends, saturated
    """

    layer: str
    after: str
    kind: str
    units: int
    dead: float
    saturated: float


class _Watch(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.inside: list[tuple[str, nn.Module]] = []
        self.found: list[UnitHealth] = []
        self.axis, self.after, self.weighed = 1, "", 0  # weighed: how many were found before the last weights

    def __torch_dispatch__(self, function: Any, types: Any, args: tuple = (), kwargs: Any = None) -> Any:
        output = function(*args, **(kwargs or {}))
        name = str(function.overloadpacket).removeprefix("aten.").rstrip("_")
        if name in CONVOLUTIONS or name in PRODUCTS:
            self.axis, self.weighed = (1 if name in CONVOLUTIONS else -1), len(self.found)
            self.after = self.inside[-1][0] if self.inside else ""
        if name in RANGES and isinstance(output, Tensor) and output.ndim >= 2 and not self._within_recurrent():
            low, high = RANGES[name]
            if name in ("hardtanh", "clamp_min", "threshold"):
                low, high = _ends(name, args, kwargs or {})
            self.found.append(self._judged(name, output.detach(), low, high))
        return output

    def _within_recurrent(self) -> bool:
        return any(isinstance(module, nn.RNNBase | nn.RNNCellBase) for _, module in self.inside)

    def _judged(self, kind: str, output: Tensor, low: float, high: float) -> UnitHealth:
        units = output.movedim(self.axis, 0).flatten(1)
        dead = (units == 0).all(dim=1).float().mean().item() if low == 0 and kind != "sigmoid" else 0.0
        saturated = 0.0
        if abs(low) != float("inf") and high != float("inf"):
            margin = MARGIN * (high - low)
            at_end = (units <= low + margin) | (units >= high - margin)
            saturated = (at_end.float().mean(dim=1) >= ALMOST_ALL).float().mean().item()
        layer = self.inside[-1][0] if self.inside else ""
        return UnitHealth(layer, self.after, kind, len(units), dead, saturated)


def _ends(name: str, args: tuple, kwargs: dict[str, Any]) -> tuple[float, float]:
    """The ends of an operation that is told them."""
    told = [value for value in (*args[1:], *kwargs.values()) if isinstance(value, int | float)]
    if name == "hardtanh":
        return (float(told[0]), float(told[1])) if len(told) > 1 else (-1.0, 1.0)
    return float(told[0]) if told else -float("inf"), float("inf")


@contextmanager
def watched_units(model: nn.Module) -> Iterator[list[UnitHealth]]:
    """While it lasts, one forward pass of the model fills the list, in the order of computing; whole when it has ended.

    The pass may be one that is trained with. Use it around a single call: what a second one gives is added at the end.
    """
    watch, handles = _Watch(), []

    def enter(name: str) -> Any:
        return lambda module, given: watch.inside.append((name, module))

    def leave(module: nn.Module, given: Any, output: Any) -> None:
        watch.inside.pop()

    for name, module in model.named_modules():
        handles.append(module.register_forward_pre_hook(enter(name)))
        handles.append(module.register_forward_hook(leave, always_call=True))
    found: list[UnitHealth] = []
    try:
        with watch:
            yield found
    finally:
        for handle in handles:
            handle.remove()
        answers = [one for one in watch.found[watch.weighed :] if one.kind in ("relu", "threshold", "clamp_min")]
        found += [*watch.found[: watch.weighed], *answers]


@torch.no_grad()
def unit_health(model: nn.Module, inputs: Any) -> list[UnitHealth]:
    """The units of every activation for a batch, in the order of computing. The model stays in the mode that it is in."""
    with watched_units(model) as found:
        model(inputs)
    return found
