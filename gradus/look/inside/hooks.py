"""What passes through a network: the outputs of named layers, kept as they were when they left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
