"""Why, by gradients with respect to the picture: saliency, SmoothGrad, guided backpropagation, integrated gradients.

B rows, C channels, H x W places. Every row has its own target, so several classes of one picture are several rows. Nothing is
left in the model: its parameters get no gradients, its modes stay.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from gradus.look.inside.hooks import parts
from gradus.look.inside.scores import ScoreKind, evaluating, of_targets


def gradient(model: nn.Module, inputs: Tensor, targets: Tensor, kind: ScoreKind = "score") -> Tensor:
    """d score of target / d inputs, (B, C, H, W) (Simonyan, Vedaldi, Zisserman 2013)."""
    found = []
    with evaluating(model), torch.enable_grad():
        for part in parts(len(inputs)):
            given = inputs[part].detach().requires_grad_()
            scores = of_targets(model(given), targets[part], kind)
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
) -> Tensor:
    """SmoothGrad (Smilkov et al. 2017): the mean gradient of `samples` noisy copies, (B, C, H, W).

    noise: the deviation of the Gaussian noise, as a share of each picture's range from its smallest to its largest value
    """
    generator = torch.Generator(inputs.device).manual_seed(seed)
    spread = noise * (inputs.amax((1, 2, 3), keepdim=True) - inputs.amin((1, 2, 3), keepdim=True))
    total = torch.zeros_like(inputs)
    for _ in range(samples):
        drawn = torch.randn(inputs.shape, generator=generator, device=inputs.device, dtype=inputs.dtype)
        total += gradient(model, inputs + spread * drawn, targets, kind)
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


class _Guided(TorchDispatchMode):
    """Cuts the negative part off every gradient that arrives at a ReLU, on its way back."""

    met = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function is torch.ops.aten.threshold_backward.default:
            self.met += 1
            args = (args[0].clamp(min=0), *args[1:])
        return function(*args, **(kwargs or {}))


@contextmanager
def guided() -> Iterator[_Guided]:
    """Guided backpropagation (Springenberg et al. 2015) for the gradients taken meanwhile, of ReLU modules and functions alike.

    What is yielded counts in `met` the ReLUs passed: with none of them nothing was guided.
    """
    with _Guided() as mode:
        yield mode
