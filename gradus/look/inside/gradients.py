"""Why, by gradients with respect to the picture: saliency, SmoothGrad, guided backpropagation, integrated gradients.

B rows, C channels, H x W places. Every row has its own target, so several classes of one picture are several rows. Nothing is
left in the model: its parameters get no gradients, its modes stay.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from gradus.look.inside.hooks import parts
from gradus.look.inside.scores import ScoreKind, evaluating, of_targets


def gradient(
    model: nn.Module, inputs: Tensor, targets: Tensor, kind: ScoreKind = "score", *, guided: bool = False
) -> Tensor:
    """d score of target / d inputs, (B, C, H, W) (Simonyan, Vedaldi, Zisserman 2013).

    guided: guided backpropagation (Springenberg et al. 2015): what arrives at a ReLU on its way back loses its negative part
    """
    found = []
    with evaluating(model), torch.enable_grad():
        for part in parts(len(inputs)):
            given = inputs[part].detach().requires_grad_()
            scores = of_targets(model(given), targets[part], kind)
            for node in relus(scores) if guided else ():
                node.register_prehook(lambda arrived: tuple(one.clamp(min=0) for one in arrived))
            found.append(torch.autograd.grad(scores.sum(), given)[0])
    return torch.cat(found)


def smooth_gradient(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    kind: ScoreKind = "score",
    *,
    samples: int = 25,
    noise: float = 0.15,
    seed: int = 0,
    guided: bool = False,
) -> Tensor:
    """SmoothGrad (Smilkov et al. 2017): the mean gradient of `samples` noisy copies, (B, C, H, W).

    noise: the deviation of the Gaussian noise, as a share of each picture's range from its smallest to its largest value
    """
    generator = torch.Generator(inputs.device).manual_seed(seed)
    spread = noise * (inputs.amax((1, 2, 3), keepdim=True) - inputs.amin((1, 2, 3), keepdim=True))
    total = torch.zeros_like(inputs)
    for part in parts(samples):
        copies = part.stop - part.start
        shape = (copies, *inputs.shape)
        noisy = inputs + spread * torch.randn(shape, generator=generator, device=inputs.device, dtype=inputs.dtype)
        total += gradient(model, noisy.flatten(0, 1), targets.repeat(copies), kind, guided=guided).view(shape).sum(0)
    return total / samples


def integrated_gradients(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    baseline: Tensor,
    kind: ScoreKind = "score",
    *,
    steps: int = 64,
) -> Tensor:
    """(inputs - baseline) times the mean gradient on the straight way between them, (B, C, H, W) (Sundararajan et al. 2017).

    The integral is taken by the midpoint rule. Their sum over all places and channels approaches f(inputs) - f(baseline)
    (`completeness`), the nearer the more steps.
    """
    baseline = baseline.expand_as(inputs)
    fractions = (torch.arange(steps, dtype=inputs.dtype, device=inputs.device) + 0.5) / steps
    mean = torch.zeros_like(inputs)
    for row in range(len(inputs)):
        for part in parts(steps):
            share = fractions[part].view(-1, 1, 1, 1)
            on_the_way = baseline[row] + share * (inputs[row] - baseline[row])
            found = gradient(model, on_the_way, targets[row].expand(len(share)), kind)
            mean[row] += found.sum(0) / steps
    return (inputs - baseline) * mean


@torch.no_grad()
def completeness(
    model: nn.Module, inputs: Tensor, targets: Tensor, baseline: Tensor, attributions: Tensor, kind: ScoreKind = "score"
) -> tuple[Tensor, Tensor]:
    """Each row's sum of attributions, and f(inputs) - f(baseline), which it should equal: both (B,)."""
    with evaluating(model):
        at_inputs = of_targets(model(inputs), targets, kind)
        at_baseline = of_targets(model(baseline.expand_as(inputs)), targets, kind)
    return attributions.sum((1, 2, 3)), at_inputs - at_baseline


def relus(scores: Tensor) -> list[Any]:
    """The ReLUs that a tensor was computed through, modules and functions alike: their nodes in its graph of gradients."""
    found, seen, waiting = [], set(), [scores.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if node.name() == "ReluBackward0":
            found.append(node)
        waiting += [following for following, _ in node.next_functions]
    return found
