"""Where a step went wrong: the first value that is not finite, and the row of the batch that it comes from."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from gradus.models.auxiliary import main_outputs, one_row


def first_non_finite(
    model: nn.Module, inputs: Any, targets: Any, loss_of: Callable[[Any, Any], Tensor]
) -> tuple[str, int | None]:
    """Where the first value that is not finite shows, in words, and the row of the batch that it comes from, where one does.

    Looked for in this order: inputs, weights, buffers, the layers' outputs, the loss, the gradients. It works on a copy.
    """
    model = copy.deepcopy(model)
    if isinstance(inputs, Tensor) and not is_finite(inputs):
        return "the inputs of the model", bad_row(inputs)
    if isinstance(targets, Tensor) and targets.is_floating_point() and not is_finite(targets):
        return "the targets", bad_row(targets)
    for kind, tensors in (("parameter", model.named_parameters()), ("buffer", model.named_buffers())):
        for name, tensor in tensors:
            if not is_finite(tensor):
                return f"the {kind} {name}", None
    found: list[tuple[str, int | None]] = []

    def look(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, arguments: Any, output: Any) -> None:
            if not found and isinstance(output, Tensor) and not is_finite(output):
                found.append((f"the output of layer {name} ({type(module).__name__})", bad_row(output)))

        return hook

    leaves = [(name, module) for name, module in model.named_modules() if not list(module.children())]
    handles = [module.register_forward_hook(look(name or "model")) for name, module in leaves]
    outputs = model(inputs)
    for handle in handles:
        handle.remove()
    for name, buffer in model.named_buffers():
        if not found and not is_finite(buffer):
            found.append((f"the buffer {name}", None))
    if found:
        return found[0]
    loss = loss_of(outputs, targets)
    if not is_finite(loss.detach()):
        rows = range(len(main_outputs(outputs)))
        guilty = (row for row in rows if not is_finite(loss_of(one_row(outputs, row), targets[row : row + 1])))
        return "the loss (every layer's output is finite)", next(guilty, None)
    loss.backward()
    for name, parameter in reversed(list(model.named_parameters())):  # the backward pass begins at the last one
        if parameter.grad is not None and not is_finite(parameter.grad):
            return f"the gradient of {name}", _row_with_bad_gradient(model, inputs, targets, loss_of, parameter)
    return "the step (it is finite when computed again)", None


def _row_with_bad_gradient(
    model: nn.Module, inputs: Any, targets: Any, loss_of: Callable[[Any, Any], Tensor], parameter: Tensor
) -> int | None:
    model.eval()  # one row alone has no batch statistics
    for row in range(len(targets)):
        model.zero_grad()
        one = inputs[row : row + 1] if isinstance(inputs, Tensor) else tuple(part[row : row + 1] for part in inputs)
        loss_of(model(one), targets[row : row + 1]).backward()
        if parameter.grad is not None and not is_finite(parameter.grad):
            return row
    return None


def is_finite(tensor: Tensor) -> bool:
    return bool(torch.isfinite(tensor).all())


def bad_row(tensor: Tensor) -> int | None:
    """The first row (of the first dimension) that holds a value that is not finite."""
    if tensor.ndim == 0:
        return None
    rows = torch.isfinite(tensor.detach()).flatten(1).all(dim=1) if tensor.ndim > 1 else torch.isfinite(tensor)
    return int((~rows).nonzero()[0])
