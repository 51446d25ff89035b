"""The gradients of a network by its backward pass against those by differences, layer by layer (course notes §2.1.8).

Two comparisons, both in float64. In the whole network, weights are moved one by one and the change of a fixed random
projection of the outputs is compared with autograd's: a faulty layer spoils its own row and those of all layers below it. So
each layer is also checked alone, with the very inputs that it gets in the network: there only the faulty one is wrong, and it
is named.

Parameters are checked whether or not they are frozen. Evaluation mode by default, without dropout and with the stored
averages of batch normalisation; in training mode the random numbers are the same at every evaluation. What changes sides near
a point (ReLU, max) has no derivative there: such numbers are replaced and counted (`differences.py`). A layer that is used
several times is checked alone with the inputs of its first use. What is meant to differ from the derivative (a
straight-through estimator) is told as wrong.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gradus.errors import UserError
from gradus.look.differences import Comparison, compare

# worst relative error below which a gradient is called so (course notes §2.1.8, CS231n)
VERDICTS = (("good", 1e-7), ("fair", 1e-5), ("look", 1e-3))
WRONG = "wrong"
SAMPLES = 10  # numbers moved in each tensor
BUDGET = (
    1e11  # floating-point operations that all evaluations of the whole network may take, about; then fewer are moved
)
INPUTS = "inputs"


def verdict(error: float) -> str:
    """good below 1e-7; fair below 1e-5, as rounding leaves it in deep networks; look below 1e-3; else wrong."""
    return next((word for word, bound in VERDICTS if error < bound), WRONG)


@dataclass(frozen=True)
class LayerCheck:
    """One layer: its own parameters in the whole network, and the layer alone by its parameters and inputs.

    network: None where it has no parameters of its own; alone: None where it was not called by itself
    unused:  its parameters that the outputs do not depend on
    """

    name: str
    kind: str
    network: Comparison | None
    alone: Comparison | None
    unused: tuple[str, ...] = ()

    @property
    def both(self) -> Comparison:
        found = [one for one in (self.network, self.alone) if one]
        return found[0] if len(found) == 1 else found[0].with_other(found[1])


@dataclass(frozen=True)
class GradientReport:
    """What was compared, layer by layer from the inputs on, and what follows.

    faulty: the layers whose own backward pass is wrong; "" is the network's own forward
    """

    layers: tuple[LayerCheck, ...]
    shape: tuple[int, ...]
    samples: int
    training: bool
    faulty: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def worst(self) -> Comparison:
        """The comparison with the largest error; its place is named with the layer."""
        layer = max(self.layers, key=lambda one: one.both.error)
        place = ".".join(part for part in (layer.name if layer.name != INPUTS else "", layer.both.where) if part)
        return Comparison(layer.both.checked, layer.both.kinks, layer.both.error, place, layer.both.depends)

    @property
    def verdict(self) -> str:
        return verdict(self.worst.error)

    @property
    def is_right(self) -> bool:
        return self.verdict != WRONG

    def to_json(self) -> dict[str, Any]:
        """Plain values; an error that is not finite is None."""

        def plain(comparison: Comparison | None) -> dict[str, Any] | None:
            if comparison is None:
                return None
            return asdict(comparison) | {"error": comparison.error if np.isfinite(comparison.error) else None}

        layers = [
            {
                "name": layer.name,
                "type": layer.kind,
                "network": plain(layer.network),
                "alone": plain(layer.alone),
                "verdict": verdict(layer.both.error),
                "unused": list(layer.unused),
            }
            for layer in self.layers
        ]
        return {
            "verdict": self.verdict,
            "worst": plain(self.worst),
            "faulty": list(self.faulty),
            "layers": layers,
            "shape": list(self.shape),
            "samples": self.samples,
            "training": self.training,
            "notes": list(self.notes),
        }


def check_gradients(
    module: nn.Module,
    inputs: Tensor | Sequence[Tensor] | None = None,
    *,
    samples: int | None = None,
    training: bool = False,
    seed: int = 0,
) -> GradientReport:
    """Compares the gradients of a module, which is copied and left as it is, with differences.

    inputs:  what it is called with, batch first; None: two rows of normal numbers of the shape that its first layer tells
    samples: numbers moved in each tensor; None: 10, or fewer where the network is large
    seed:    chooses them, and the projection

    Raises `UserError` where the module cannot be called with the inputs, or gives other outputs each time.
    """
    generator = np.random.default_rng(seed)
    if inputs is None:
        inputs = make_inputs(first_shape(module), seed, module)
    given = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    kind = type(module).__name__
    try:
        network = copy.deepcopy(module).cpu().double().train(training).requires_grad_(True)
        whole = _Scalar(network, tuple(_as_float64(one) for one in given), {}, seed)
    except UserError:
        raise
    except Exception as error:  # of the module's own code
        shapes = " and ".join(str(tuple(one.shape)) for one in given)
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(f"{kind} does not take inputs of shape {shapes}: {reason}") from error
    calls = _record_calls(network, whole)
    notes = whole.notes()
    parameters = list(_parameters(network))
    if samples is None:
        samples = _affordable(whole, len(parameters) + 1)
        if samples < SAMPLES:
            notes.append(f"{samples} numbers of each tensor are moved, not {SAMPLES}: the network is large")
    layers = _check_network(network, whole, calls, parameters, samples, generator)
    faulty = tuple(layer.name for layer in layers if layer.alone and verdict(layer.alone.error) == WRONG)
    if not faulty and any(verdict(layer.both.error) == WRONG for layer in layers):
        faulty = _faulty_containers(network, calls, samples, generator) or ("",)
    return GradientReport(tuple(layers), tuple(given[0].shape), samples, training, faulty, tuple(notes))


def make_inputs(shape: Sequence[int], seed: int, module: nn.Module | None = None) -> Tensor:
    """Two rows of normal numbers; of token numbers for a module that begins with an embedding."""
    random = torch.Generator().manual_seed(seed)
    first = next((layer for layer in module.modules() if not list(layer.children())), None) if module else None
    if isinstance(first, nn.Embedding):
        return torch.randint(first.num_embeddings, (2, *shape), generator=random)
    return torch.randn(2, *shape, generator=random, dtype=torch.float64)


def first_shape(module: nn.Module) -> tuple[int, ...]:
    """The shape of one row, as the module's first layer tells it. Raises `UserError` where it does not."""
    first = next((layer for layer in module.modules() if not list(layer.children())), None)
    side = getattr(module, "image_size", 32)
    if isinstance(first, nn.Linear):
        return (first.in_features,)
    if isinstance(first, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        return (first.in_channels, *[side] * (first.weight.ndim - 2))
    if isinstance(first, nn.Embedding):
        return (8,)
    if isinstance(first, nn.RNNBase):
        return (5, first.input_size)
    raise UserError(
        f"what does {type(module).__name__} take? Its first layer ({type(first).__name__}) does not tell the shape of its "
        "inputs: give it, for example --input-shape 3,32,32 (in Python: inputs=)"
    )


# ---- what is differentiated


class _Scalar:
    """A smooth number made of what a module returns: the sum of its outputs times fixed random numbers.

    The random state and the buffers are the same at every evaluation.
    """

    def __init__(self, module: nn.Module, arguments: tuple, keywords: dict[str, Any], seed: int) -> None:
        self.module, self.arguments, self.keywords, self.seed = module, arguments, keywords, seed
        self.tensors = [one for one in _tensors((arguments, keywords)) if one.is_floating_point() and one.numel()]
        for tensor in self.tensors:
            tensor.requires_grad_(True)
        self.buffers = [(buffer, buffer.clone()) for buffer in module.buffers()]
        with torch.no_grad():
            self.outputs = self.call()
        random = torch.Generator().manual_seed(seed)
        self.projection = [
            torch.randn(one.shape, generator=random, dtype=torch.float64) / max(one.numel(), 1) ** 0.5
            for one in self.outputs
        ]
        self.size = float(sum((one * w).abs().sum() for one, w in zip(self.outputs, self.projection, strict=True)))

    def call(self) -> list[Tensor]:
        """The outputs that are real numbers. The module gets copies: it may work in place."""
        arguments, keywords = _map(torch.clone, (self.arguments, self.keywords))
        for buffer, stored in self.buffers:
            buffer.copy_(stored)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            outputs = self.module(*arguments, **keywords)
        return [one for one in _tensors(outputs) if one.is_floating_point()]

    def total(self) -> Tensor:
        pairs = zip(self.call(), self.projection, strict=True)
        return sum(((one * weight).sum() for one, weight in pairs), torch.zeros((), dtype=torch.float64))

    def number(self) -> float:
        return self.total().item()

    def gradients(self, tensors: Sequence[Tensor]) -> list[Tensor | None]:
        """By autograd; None where it leads to none."""
        total = self.total()
        if not total.requires_grad or not tensors:
            return [None] * len(tensors)
        return list(torch.autograd.grad(total, list(tensors), allow_unused=True))

    def notes(self) -> list[str]:
        """What is to be said of the outputs. Raises `UserError` where nothing can be compared."""
        kind = type(self.module).__name__
        if not self.outputs:
            raise UserError(f"{kind} returns no real numbers, so there is nothing to differentiate")
        if not all(bool(torch.isfinite(one).all()) for one in self.outputs):
            raise UserError(f"{kind} returns numbers that are not finite for these inputs")
        with torch.no_grad():
            again = self.call()
        if not all(torch.equal(one, other) for one, other in zip(self.outputs, again, strict=True)):
            raise UserError(f"{kind} returns other numbers for the same inputs each time, so differences mean nothing")
        if any(one.dtype != torch.float64 for one in self.outputs):
            return ["it computes in less than float64 somewhere inside: errors up to 1e-2 may be rounding"]
        return []

    def compare(
        self, tensors: Sequence[tuple[str, Tensor]], samples: int, generator: np.random.Generator
    ) -> list[Comparison]:
        """One comparison a named tensor."""
        gradients = self.gradients([tensor for _, tensor in tensors])
        return [
            compare(self.number, tensor, gradient, name, self.size, samples, generator)
            for (name, tensor), gradient in zip(tensors, gradients, strict=True)
        ]

    def named_inputs(self) -> list[tuple[str, Tensor]]:
        return [(f"input {number}" if number else "input", tensor) for number, tensor in enumerate(self.tensors)]


def _map(function: Any, value: Any) -> Any:
    """`function` of every tensor in nested tuples, lists and dictionaries."""
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(_map(function, one) for one in value))
    if isinstance(value, tuple | list):
        return type(value)(_map(function, one) for one in value)
    if isinstance(value, dict):
        return {key: _map(function, one) for key, one in value.items()}
    return value


def _tensors(value: Any) -> list[Tensor]:
    found: list[Tensor] = []
    _map(lambda one: found.append(one), value)
    return found


def _as_float64(value: Tensor) -> Tensor:
    value = value.detach().cpu().clone()
    return value.double() if value.is_floating_point() else value


# ---- the network and its layers


def _record_calls(network: nn.Module, whole: _Scalar) -> dict[str, tuple[tuple, dict[str, Any]]]:
    """Name of each module but the network itself -> the arguments of its first call."""
    calls: dict[str, tuple[tuple, dict[str, Any]]] = {}

    def remember(name: str) -> Any:
        def hook(_module: nn.Module, arguments: tuple, keywords: dict[str, Any]) -> None:
            calls.setdefault(name, _map(lambda one: one.detach().clone(), (arguments, keywords)))

        return hook

    hooks = [
        module.register_forward_pre_hook(remember(name), with_kwargs=True)
        for name, module in network.named_modules()
        if name
    ]
    try:
        with torch.no_grad():
            whole.call()
    finally:
        for hook in hooks:
            hook.remove()
    return calls


def _parameters(network: nn.Module) -> Iterator[tuple[str, str, Tensor]]:
    """(layer, name within it, parameter) of each parameter of real numbers, once even where layers share it."""
    seen: set[int] = set()
    for layer, module in network.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            if id(parameter) not in seen and parameter.is_floating_point() and parameter.numel():
                seen.add(id(parameter))
                yield layer, name, parameter


def _affordable(whole: _Scalar, tensors: int) -> int:
    """How many numbers of each tensor can be moved for `BUDGET` operations: each takes four evaluations or more."""
    from torch.utils.flop_counter import FlopCounterMode

    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        whole.call()
    return int(np.clip(BUDGET / max(5 * tensors * counter.get_total_flops(), 1), 1, SAMPLES))


def _check_network(
    network: nn.Module,
    whole: _Scalar,
    calls: dict[str, tuple[tuple, dict[str, Any]]],
    parameters: list[tuple[str, str, Tensor]],
    samples: int,
    generator: np.random.Generator,
) -> list[LayerCheck]:
    """The row of the inputs, and one for every layer that has parameters or no layers within."""
    named = [(name, parameter) for _, name, parameter in parameters]
    found = whole.compare([*whole.named_inputs(), *named], samples, generator)
    rows = []
    if whole.tensors:
        rows.append(LayerCheck(INPUTS, "", _together(found[: len(whole.tensors)]), None))
    of_parameters = found[len(whole.tensors) :]
    gradients = whole.gradients([parameter for _, parameter in named])
    own: dict[str, list[tuple[str, Comparison, bool]]] = {}
    for (layer, name, _), comparison, gradient in zip(parameters, of_parameters, gradients, strict=True):
        own.setdefault(layer, []).append((name, comparison, gradient is not None))
    for name, module in network.named_modules():
        is_leaf = not list(module.children())
        alone = _check_alone(module, calls.get(name), samples, generator) if is_leaf and name else None
        mine = own.get(name, [])
        if mine or alone:
            unused = tuple(own_name for own_name, comparison, used in mine if not used and not comparison.depends)
            together = _together([comparison for _, comparison, _ in mine]) if mine else None
            rows.append(LayerCheck(name, type(module).__name__, together, alone, unused))
    return rows


def _together(comparisons: Sequence[Comparison]) -> Comparison:
    result = Comparison()
    for comparison in comparisons:
        result = result.with_other(comparison)
    return result


def _check_alone(
    module: nn.Module, call: tuple[tuple, dict[str, Any]] | None, samples: int, generator: np.random.Generator
) -> Comparison | None:
    """One layer by itself, by its inputs and its parameters; None where it was not called or returns no real numbers."""
    if call is None:
        return None
    scalar = _Scalar(module, *call, seed=1)
    if not scalar.outputs:
        return None
    own = [(name, parameter) for _, name, parameter in _parameters(module)]
    return _together(scalar.compare([*scalar.named_inputs(), *own], samples, generator))


def _faulty_containers(
    network: nn.Module, calls: dict[str, tuple[tuple, dict[str, Any]]], samples: int, generator: np.random.Generator
) -> tuple[str, ...]:
    """The innermost modules made of layers that are wrong though their layers are right: their own `forward` is."""
    wrong: list[str] = []
    for name, module in reversed(list(network.named_modules())):  # inner ones come first
        if name and list(module.children()) and not any(other.startswith(f"{name}.") for other in wrong):
            alone = _check_alone(module, calls.get(name), samples, generator)
            if alone and verdict(alone.error) == WRONG:
                wrong.append(name)
    return tuple(wrong[::-1])
