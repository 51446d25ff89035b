"""From settings to an optimiser of torch.optim, and what acts on gradients and weights around its step."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from gradus.train.settings import OptimizerSettings, RegularizationSettings


def create_optimizer(
    model: nn.Module,
    settings: OptimizerSettings,
    device: torch.device,
    shares: dict[nn.Parameter, float] | None = None,
) -> torch.optim.Optimizer:
    """The optimiser over the trainable parameters of `model`; under weight decay in two groups, of which one does not decay.

    shares: what share of the learning rate a parameter has, where not all have the whole; those with the largest come first

    Where torch.optim has a fused form it is used: on a CPU it takes a half to a third of the time of the default. For the
    others the plain loop is named, which saves torch.optim the choice (0.01 ms a step) and gives the same bits.
    """
    settings = settings.resolved()
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    decay_all = settings.decay == "all" or settings.weight_decay == 0
    share_of = {p: shares.get(p, 1.0) if shares else 1.0 for p in trainable}
    groups: list[dict[str, Any]] = []
    for share in sorted(set(share_of.values()), reverse=True):
        mine = [p for p in trainable if share_of[p] == share]
        decays = [p for p in mine if decay_all or p.ndim >= 2]
        rests = [p for p in mine if not (decay_all or p.ndim >= 2)]
        same = {} if share == 1 else {"lr": share}
        groups += [{"params": decays, "weight_decay": settings.weight_decay, **same}] if decays else []
        groups += [{"params": rests, "weight_decay": 0.0, **same}] if rests else []
    rate, epsilon, rho = settings.learning_rate or 0.0, settings.epsilon or 0.0, settings.rho or 0.0  # no longer None
    betas = (settings.beta1, settings.beta2)
    on_gpu = device.type == "cuda"
    # a CUDA graph repeats what it saw, so what changes from step to step has to be a tensor
    lr: Any = torch.tensor(rate, device=device) if on_gpu else rate
    for group in groups:
        if "lr" in group:
            own = group["lr"] * rate
            group["lr"] = torch.tensor(own, device=device) if on_gpu and settings.name != "adagrad" else own
    fused: dict[str, Any] = {"fused": True}
    loop: dict[str, Any] = {"foreach": True, "capturable": True} if on_gpu else {"foreach": False}
    match settings.name:
        case "sgd":
            return torch.optim.SGD(groups, lr, momentum=settings.momentum, nesterov=settings.nesterov, **fused)
        case "adagrad":
            return torch.optim.Adagrad(groups, rate, eps=epsilon, **({"foreach": True} if on_gpu else fused))
        case "adadelta":
            return torch.optim.Adadelta(groups, lr, rho=rho, eps=epsilon, **loop)
        case "rmsprop":
            return torch.optim.RMSprop(groups, lr, alpha=rho, eps=epsilon, momentum=settings.momentum, **loop)
        case "adam":
            return torch.optim.Adam(groups, lr, betas=betas, eps=epsilon, capturable=on_gpu, **fused)
    return torch.optim.AdamW(groups, lr, betas=betas, eps=epsilon, capturable=on_gpu, **fused)


def begin_momentum(optimizer: torch.optim.Optimizer) -> None:
    """Gives parameters that join others in SGD with momentum a buffer of zeros. Their first step is as without it, but
    torch.optim's fused step takes a group only where all its parameters have one, or none has."""
    for group in optimizer.param_groups if isinstance(optimizer, torch.optim.SGD) else ():
        for parameter in group["params"] if group["momentum"] else ():
            if parameter not in optimizer.state:
                optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)


def counts_on_device(group: dict[str, Any]) -> bool:
    """Whether torch.optim keeps the step counters of a group beside its parameters (else they are on the CPU)."""
    return bool(group.get("fused") or group.get("capturable"))


def weights_of(model: nn.Module) -> list[Tensor]:
    """The trainable parameters that penalties and max-norm concern: those of two or more dimensions."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad and parameter.ndim >= 2]


def penalty(weights: list[Tensor], settings: RegularizationSettings) -> Tensor | None:
    """l1 * sum |w| + l2 * sum w^2 over `weights`, or None where both are 0 or there are none."""
    if not (settings.l1 or settings.l2) or not weights:
        return None
    total = torch.zeros((), device=weights[0].device)
    for weight in weights:
        if settings.l1:
            total = total + settings.l1 * weight.abs().sum()
        if settings.l2:
            total = total + settings.l2 * weight.square().sum()
    return total


def clip(parameters: list[Tensor], settings: RegularizationSettings) -> None:
    """Clips gradients in place: each entry first, then all together."""
    if settings.clip_value is not None:
        nn.utils.clip_grad_value_(parameters, settings.clip_value)
    if settings.clip_norm is not None:
        nn.utils.clip_grad_norm_(parameters, settings.clip_norm)


@torch.no_grad()
def limit_norms(weights: list[Tensor], largest: float) -> None:
    """Scales each neuron's weight vector (row of (out, ...)) back to length `largest` where it is longer, in place."""
    for weight in weights:
        weight.copy_(torch.renorm(weight, p=2, dim=0, maxnorm=largest))
