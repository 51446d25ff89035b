"""How likely pictures are to a machine with an energy, in nats: what neither its free energy nor its pseudo-likelihood says."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from gradus.errors import UserError
from gradus.look.inside.energy import inputs_of
from gradus.look.inside.sight import Sight
from gradus.look.inside.subject import Picture, Subject
from gradus.models.generative.annealing import (
    log_mean,
    log_mean_range,
    partition_weights,
    unnormalised_likelihoods,
)
from gradus.models.generative.dbn import Stack
from gradus.models.generative.rbm import RBM
from gradus.nn.sampling import drawn_alike


@torch.no_grad()
def likelihood(
    subject: Subject,
    pictures: Sequence[Picture] = (),
    *,
    chains: int = 100,
    steps: int = 10_000,
    rows: int = 10_000,
    split: str = "test",
    seed: int = 0,
) -> Sight:
    """The log-likelihood of rows, in nats a picture, by annealed importance sampling (Salakhutdinov and Murray 2008); of a stack
    its variational bound. Grey pixels are drawn as 0 or 1, of the same picture always alike.

    chains: how many estimates the partition function is the mean of; steps: of each, from independent pixels to the machine
    rows:   at most so many of the split, and of train

    Raises `UserError` for other networks than `rbm` and `dbn`, and for Gaussian units.
    """
    machines = _machines(subject)
    if chains < 2 or steps < 1 or rows < 2:
        raise UserError(
            f"likelihood: expected 2 chains, 1 step and 2 rows or more, received {chains}, {steps} and {rows}"
        )
    generator = torch.Generator().manual_seed(seed)

    drawn = {name: _drawn(subject, name, rows, seed) for name in dict.fromkeys(("train", split))}
    seen = drawn["train"]
    for machine in machines[:-1]:
        seen = machine.hidden_chances(seen)
    logs = partition_weights(machines[-1], _often(seen).logit(), steps, chains, generator)
    constant, (low, high) = log_mean(logs), log_mean_range(logs)
    effective = float(1 / logs.softmax(0).square().sum())
    found = {
        name: torch.cat([unnormalised_likelihoods(machines, batch, generator) for batch in part.split(500)]) - constant
        for name, part in drawn.items()
    }
    chances = _often(drawn["train"]).expand_as(drawn[split])
    independent = -functional.binary_cross_entropy(chances, drawn[split], reduction="sum")
    numbers = {name: float(values.mean()) for name, values in found.items()}
    numbers |= {
        "independent_pixels": float(independent) / len(drawn[split]),
        "log_partition": constant,
        "log_partition_high": high,
        "chains_that_count": effective,
    }
    between = f"at most {high:.2f}"
    if math.isfinite(low):
        numbers["log_partition_low"] = low
        between = f"between {low:.2f} and {high:.2f}"
    stack = len(machines) > 1
    what = "At least" if stack else "About"
    errors = {name: float(values.std()) / math.sqrt(len(values)) for name, values in found.items()}
    said = [
        f"{what} {numbers[split]:.2f} nats a picture of {split} ({len(found[split])} rows, standard error "
        f"{errors[split]:.2f}), {numbers['train']:.2f} of train; of pixels that are independent of each other "
        f"{numbers['independent_pixels']:.2f}.",
        f"log Z = {constant:.2f}, {between} by three standard errors of {chains} chains, of which "
        f"{effective:.0f} count. Where chains miss a part of what the machine finds likely, Z is too small, and the "
        "likelihood too good: ask again with more steps, and it should stay.",
    ]
    if stack:
        said.append(f"Of a stack of {len(machines)} machines this is a lower bound, but for the error of log Z.")
    if not math.isfinite(low) or effective < max(5, chains / 10):
        said.append("Few chains count, so log Z is uncertain: use more steps.")
    return Sight(
        "likelihood",
        f"Log-likelihood by {subject.name}",
        said=said,
        arrays={
            **{name: values.cpu().numpy() for name, values in found.items()},
            "log_weights": np.asarray(logs.cpu()),
        },
        numbers=numbers,
    )


def _drawn(subject: Subject, split: str, rows: int, seed: int) -> Tensor:
    """(rows, D) of 0 and 1: rows of a split as the visible units see them."""
    part = subject.labelled(split).sample(rows, seed)
    batches = torch.arange(len(part)).split(500)
    return torch.cat([drawn_alike(inputs_of(subject, part, chosen).flatten(1)) for chosen in batches])


def _often(states: Tensor) -> Tensor:
    """(D,): how often each unit is on, as if each had been on once and off once besides."""
    return (states.sum(dim=0) + 1) / (len(states) + 2)


def _machines(subject: Subject) -> list[RBM]:
    model = subject.model
    machines = model.machines if isinstance(model, Stack) else [model]
    kept = [machine for machine in machines if isinstance(machine, RBM) and machine.visible == "bernoulli"]
    if len(kept) < len(machines):
        raise UserError(
            f"likelihood: {subject.name} is no rbm or dbn whose pixels are 0 or 1; of other machines there is free-energy"
        )
    return kept
