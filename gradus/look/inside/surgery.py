"""Changes to a network that last as long as a `with` block: parts taken away, swapped, silenced; and where that can be done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from gradus.look.inside.hooks import recorded


def residual_blocks(model: nn.Module, example: Tensor) -> dict[str, nn.Module]:
    """The modules that add `branch(x)` to `shortcut(x)`, in order; those whose shortcut is never taken are none."""
    found = {
        name: module
        for name, module in model.named_modules()
        if callable(getattr(module, "branch", None)) and callable(getattr(module, "shortcut", None))
    }
    taken: set[str] = set()

    def note(name: str) -> Callable[[Callable], Callable]:
        def around(shortcut: Callable) -> Callable:
            def noted(inputs: Tensor) -> Tensor:
                taken.add(name)
                return shortcut(inputs)

            return noted

        return around

    with ExitStack() as stack, torch.no_grad():
        for name, module in found.items():
            stack.enter_context(replaced(module, "shortcut", note(name)))
        model(example)
    return {name: module for name, module in found.items() if name in taken}


@contextmanager
def replaced(module: nn.Module, name: str, around: Callable[[Callable], Callable]) -> Iterator[None]:
    """While it lasts, `module.name(x)` is `around(what it was)(x)`; for methods as well as for modules held under that name."""
    module.__dict__[name] = around(getattr(module, name))  # is found before methods and before modules
    try:
        yield
    finally:
        del module.__dict__[name]


def without_branch(block: nn.Module):
    """While it lasts, the block is its shortcut alone (and what it does to the sum)."""
    return replaced(block, "branch", lambda branch: lambda inputs: torch.zeros_like(branch(inputs)))


def passed_by(module: nn.Module):
    """While it lasts, the module gives what it is given."""
    return replaced(module, "forward", lambda forward: lambda inputs: inputs)


def passable_layers(model: nn.Module, example: Tensor) -> dict[str, nn.Module]:
    """The outermost modules with weights that keep the shape; chains are looked into."""
    shapes: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {}
    with ExitStack() as hooks, torch.no_grad():
        for name, module in model.named_modules():

            def note(module: nn.Module, given: tuple, output: object, name: str = name) -> None:
                if len(given) == 1 and isinstance(given[0], Tensor) and isinstance(output, Tensor):
                    shapes[name] = (tuple(given[0].shape[1:]), tuple(output.shape[1:]))

            hooks.callback(module.register_forward_hook(note).remove)
        model(example)
    found: dict[str, nn.Module] = {}
    for name, module in model.named_modules():
        inside = any(name.startswith(f"{other}.") for other in found)
        same = name in shapes and shapes[name][0] == shapes[name][1]
        if name and same and not inside and not isinstance(module, nn.Sequential) and _has_weights(module):
            found[name] = module
    return found


def _has_weights(module: nn.Module) -> bool:
    return any(parameter.ndim > 1 for parameter in module.parameters())


def kinds_of(model: nn.Module, parts: dict[str, nn.Module], example: Tensor) -> dict[str, tuple]:
    """Of each part its class and the shapes of its weights and outputs: two that share them can stand in each other's place."""
    with recorded(parts) as kept, torch.no_grad():
        model(example)
    return {
        name: (type(part), tuple(tuple(weight.shape) for weight in part.parameters()), tuple(kept[name].shape))
        for name, part in parts.items()
    }


@contextmanager
def swapped(first: nn.Module, second: nn.Module) -> Iterator[None]:
    """While it lasts, each of two modules of equal shapes stands in the other's place."""
    one, other = first.__dict__, second.__dict__
    first.__dict__, second.__dict__ = other, one
    try:
        yield
    finally:
        first.__dict__, second.__dict__ = one, other


@contextmanager
def silenced(module: nn.Module, channels: Sequence[int] | np.ndarray) -> Iterator[None]:
    """While it lasts, these channels of the module's outputs (B, C, ...) are 0."""
    places = torch.as_tensor(np.asarray(channels, dtype=np.int64))

    def silence(module: nn.Module, given: object, output: Tensor) -> Tensor:
        return output.index_fill(1, places.to(output.device), 0)

    handle = module.register_forward_hook(silence)
    try:
        yield
    finally:
        handle.remove()
