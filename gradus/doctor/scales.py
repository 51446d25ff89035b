"""How large what passes through a network is, layer by layer, forwards and backwards, for one batch of real rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gradus.doctor.probe import Probe, tensor_of


@dataclass(frozen=True)
class LayerScale:
    """One layer with weights, in the order in which layers are used.

    outputs:  root mean square of its outputs
    apart:    how far rows lie apart there: the deviation over rows, as a share of `outputs`
    weights:  norm of its weights; gradient: norm of their gradient for a random direction of the network's outputs; None where
              they do not learn
    alike:    whether all its units have the same weights and get the same gradient
    """

    layer: str
    outputs: float
    apart: float
    weights: float
    gradient: float | None
    alike: bool

    @property
    def relative(self) -> float:
        """The gradient's norm as a share of that of the weights."""
        return (self.gradient or 0.0) / self.weights if self.weights else (self.gradient or 0.0)


def layer_scales(probe: Probe) -> list[LayerScale]:
    """Forwards and backwards once. What is sent back is a random direction of the outputs: a fitted network's loss has no slope.

    Weights that begin as zeros by design (the last layer of a branch, or the head) block gradients in the first step alone, so
    they are replaced by small random ones, and it is looked again; units that are alike are not.
    """
    while True:
        scales = _once(probe)
        learns_on = [one.layer for one in scales if one.weights == 0 and one.gradient is not None and not one.alike]
        if not learns_on:
            return scales
        for layer in learns_on:
            weight = main_weight(probe.model.get_submodule(layer))
            assert weight is not None
            random = torch.Generator().manual_seed(0)
            with torch.no_grad():
                weight.copy_(torch.randn(weight.shape, generator=random) * weight[0].numel() ** -0.5)


def _once(probe: Probe) -> list[LayerScale]:
    model, seen = probe.model, {}

    def keep(layer: str) -> Any:
        def hook(module: nn.Module, given: Any, output: Any) -> None:
            tensor = tensor_of(output)
            if tensor is not None and layer not in seen:
                seen[layer] = _size(tensor.detach())

        return hook

    layers = {name: module for name, module in model.named_modules() if main_weight(module) is not None}
    handles = [module.register_forward_hook(keep(name)) for name, module in layers.items()]
    model.zero_grad()
    try:
        outputs = probe.outputs()
    finally:
        for handle in handles:
            handle.remove()
    _sent_back(probe, outputs)
    return [_scale(layer, layers[layer], *sizes) for layer, sizes in seen.items()]


def _sent_back(probe: Probe, outputs: Any) -> None:
    if isinstance(outputs, Tensor):
        random = torch.Generator().manual_seed(0)
        direction = torch.randn(outputs.shape, generator=random).to(outputs)
        outcome = (outputs * direction).sum() / len(outputs)
    else:
        outcome = probe.loss(outputs)
    if outcome.requires_grad:
        outcome.backward()


def _size(output: Tensor) -> tuple[float, float]:
    output = output.double()
    size = float(output.square().mean().sqrt())
    apart = float((output - output.mean(dim=0)).square().mean().sqrt())
    return size, apart / size if size else 0.0


def _scale(layer: str, module: nn.Module, size: float, apart: float) -> LayerScale:
    weight = main_weight(module)
    assert weight is not None
    gradient = weight.grad
    norm = None if not weight.requires_grad or gradient is None else float(gradient.double().norm())
    same = norm is not None and _same_rows(weight.detach()) and _same_rows(gradient)
    return LayerScale(layer, size, apart, float(weight.detach().double().norm()), norm, same)


def _same_rows(matrix: Tensor | None) -> bool:
    """Whether all rows are equal but for rounding."""
    if matrix is None or len(matrix) < 2:
        return False
    apart = float((matrix - matrix[0]).abs().max())
    return apart <= 1e-6 * float(matrix.abs().max())


def main_weight(module: nn.Module) -> nn.Parameter | None:
    """The matrix or kernels of a layer: units first. None for modules without their own, and for embeddings."""
    if isinstance(module, nn.Embedding | nn.EmbeddingBag):
        return None
    weight = getattr(module, "weight", None)
    weight = getattr(module, "weight_ih_l0", None) if weight is None else weight
    return weight if isinstance(weight, nn.Parameter) and weight.ndim > 1 else None
