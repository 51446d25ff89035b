"""Why, by the maps of a layer: class activation maps (CAM) and Grad-CAM.

B rows, K classes, F maps of h x w places.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TypeGuard

import torch
from torch import Tensor, nn

from gradus.errors import UserError
from gradus.look.inside.hooks import recorded
from gradus.look.inside.scores import ScoreKind, evaluating, of_targets
from gradus.models.stages import head_of

# What only passes on what came before it, thinned out or not.
PASSING = (
    nn.Sequential,
    nn.Identity,
    nn.modules.dropout._DropoutNd,
    nn.modules.pooling._MaxPoolNd,
    nn.modules.pooling._AvgPoolNd,
    nn.modules.pooling._AdaptiveMaxPoolNd,
    nn.modules.pooling._AdaptiveAvgPoolNd,
)


def has_places(value: object) -> TypeGuard[Tensor]:
    """Whether it is a tensor of maps (B, F, h, w) with more than one place."""
    return isinstance(value, Tensor) and value.ndim == 4 and value.shape[2] * value.shape[3] > 1


@torch.no_grad()
def passed(model: nn.Module, inputs: Tensor) -> list[tuple[str, object, object]]:
    """Every call of a module in one pass: its name, its first input, its output; in the order in which calls end."""
    calls: list[tuple[str, object, object]] = []
    with ExitStack() as hooks, evaluating(model):
        for name, module in model.named_modules():

            def keep(module, given, output, name=name):
                calls.append((name, given[0] if given else None, output))

            hooks.callback(module.register_forward_hook(keep).remove)
        model(inputs)
    return calls


def last_maps(model: nn.Module, inputs: Tensor) -> str:
    """The name of the last module before the head that gives maps; poolings, dropouts and containers of others aside.

    Raises `UserError` where there is none.
    """
    modules = dict(model.named_modules())
    found = ""
    try:
        head = head_of(model)
    except IndexError:  # no layer with weights at the end
        head = ""
    for name, _, output in passed(model, inputs):
        if name == head and found:
            break
        if name and has_places(output) and not isinstance(modules[name], PASSING):
            found = name
    if not found:
        raise UserError("grad-cam: no layer of this network gives maps with places (channels x height x width)")
    return found


def grad_cam(model: nn.Module, inputs: Tensor, targets: Tensor, layer: nn.Module, kind: ScoreKind = "score") -> Tensor:
    """Grad-CAM (Selvaraju et al. 2017), (B, h, w) at least 0, not scaled: ReLU of the layer's maps, each weighed by the mean over
    its places of d score / d map. A row without anything above 0 is all 0.

    kind: the paper takes the score before the softmax; after it (*Deep Learning with Python* §5.4.3) the gradient of a sure
    network vanishes
    """
    with evaluating(model), torch.enable_grad(), recorded({"layer": layer}, copy=False) as kept:
        scores = of_targets(model(inputs.detach().requires_grad_()), targets, kind)
        maps = kept.get("layer")
        if maps is None or not has_places(maps):
            shape = tuple(maps.shape[1:]) if maps is not None else "nothing"
            raise UserError(f"grad-cam: the layer must give maps (channels, height, width), it gives {shape}")
        (slopes,) = torch.autograd.grad(scores.sum(), maps)
    weights = slopes.mean((2, 3), keepdim=True)
    return (weights * maps.detach()).sum(1).relu()


@torch.no_grad()
def class_maps(model: nn.Module, inputs: Tensor) -> tuple[Tensor, Tensor] | None:
    """CAM (Zhou et al. 2016): maps (B, K, h, w) and biases (K,) such that the mean of a map plus its bias *is* the class's score.

    None where the network has no such maps: they need global average pooling and after it at most one linear layer (or a 1x1
    convolution). This is found out by comparing numbers, so how the network is written does not matter.
    """
    with evaluating(model):
        outputs = model(inputs)
    if outputs.ndim != 2:
        return None
    modules = dict(model.named_modules())
    calls = passed(model, inputs)
    seen = [value for _, given, output in calls for value in (given, output) if has_places(value)]
    linear = [(name, given) for name, given, _ in calls if isinstance(modules[name], nn.Linear | nn.Conv2d)]
    for maps in reversed(seen):
        if maps.shape[1] == outputs.shape[1] and _equal(maps.mean((2, 3)), outputs):
            return maps, outputs.new_zeros(outputs.shape[1])
    if not linear:
        return None
    name, pooled = linear[-1]
    last = modules[name]
    if not isinstance(pooled, Tensor) or has_places(pooled) or last.weight.flatten(1).shape[1] != pooled[0].numel():
        return None
    weight = last.weight.flatten(1)
    bias = last.bias if last.bias is not None else outputs.new_zeros(len(weight))
    if weight.shape[0] != outputs.shape[1] or not _equal(pooled.flatten(1) @ weight.T + bias, outputs):
        return None
    for maps in reversed(seen):
        if maps.shape[1] == weight.shape[1] and _equal(maps.mean((2, 3)), pooled.flatten(1)):
            return torch.einsum("kf,bfhw->bkhw", weight, maps), bias.clone()
    return None


def _equal(one: Tensor, other: Tensor) -> bool:
    scale = float(other.abs().max().clamp(min=1e-6))
    return one.shape == other.shape and bool(((one - other).abs() <= 1e-4 * scale).all())
