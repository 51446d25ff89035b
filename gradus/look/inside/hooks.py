"""What passes through a network: the outputs of named layers, kept as they were when they left."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

BATCH = 32


@contextmanager
def recorded(modules: dict[str, nn.Module], *, copy: bool = True) -> Iterator[dict[str, Tensor]]:
    """While it lasts, name -> the last output of that module. Outputs that are no tensor are left out.

    copy: detached copies, which no later in-place operation reaches; False: the outputs themselves, for gradients
    """
    kept: dict[str, Tensor] = {}

    def keep(name: str):
        def hook(module: nn.Module, given: object, output: object) -> None:
            if isinstance(output, Tensor):
                kept[name] = output.detach().clone() if copy else output

        return hook

    handles = [module.register_forward_hook(keep(name)) for name, module in modules.items()]
    try:
        yield kept
    finally:
        for handle in handles:
            handle.remove()


class _Enough(Exception):
    """All layers have been seen: the rest of the pass is not needed."""


def collect(model: nn.Module, layers: Mapping[str, nn.Module], inputs: Tensor) -> dict[str, Tensor]:
    """name -> the output of its layer, from one forward pass that ends after the last of them; gradients flow.

    A layer that is used several times gives its first output; one that is not used is missing.
    """
    found: dict[str, Tensor] = {}

    def keeper(name: str) -> Callable[..., None]:
        def keep(module: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
            found.setdefault(name, output)
            if len(found) == len(layers):
                raise _Enough

        return keep

    hooks = [module.register_forward_hook(keeper(name)) for name, module in layers.items()]
    try:
        model(inputs)
    except _Enough:
        pass
    finally:
        for hook in hooks:
            hook.remove()
    return found


def layers(model: nn.Module) -> dict[str, nn.Module]:
    """The modules that do the computing: those without children, in the order of their names' registration."""
    return {name: module for name, module in model.named_modules() if name and not any(module.children())}


@torch.no_grad()
def outputs_of(model: nn.Module, modules: dict[str, nn.Module], inputs: Tensor) -> dict[str, Tensor]:
    """Name -> the output for these inputs, in the order in which the modules are run; a module run twice has its last one."""
    with recorded(modules) as kept:
        model(inputs)
    return dict(kept)


def parts(count: int, size: int = BATCH) -> Sequence[slice]:
    """Slices of at most `size` rows."""
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]
