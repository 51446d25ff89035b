"""How likely pictures are to a machine with an energy: its partition function by annealed importance sampling (Neal 2001;
Salakhutdinov and Murray 2008), and the bound of a stack.

Chains begin at a machine whose sum is known, one without weights, whose pixels are independent; their machine is then turned into
the one that is asked about in small steps, with a Gibbs step after each. What each chain's weight grows by on its way is an
estimate of the sum whose mean is right.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from gradus.models.generative.machine import sample
from gradus.models.generative.rbm import RBM


@torch.no_grad()
def partition_weights(
    machine: RBM, base: Tensor, steps: int, chains: int, generator: torch.Generator | None = None
) -> Tensor:
    """(chains,) float64: the logs of numbers whose mean is the machine's Z, the sum of exp(-energy) over all states.

    base: (D,) the visible biases of the machine to begin with; those by which each pixel is on as often as in the data do well
    steps: from it to `machine`, in equal shares of the way
    """
    weight, bias = machine.weight, machine.visible_bias
    logs = torch.full(
        (chains,), float(functional.softplus(base.double()).sum()), dtype=torch.float64, device=base.device
    )
    logs += len(machine.hidden_bias) * math.log(2)
    states = sample(base.sigmoid().expand(chains, -1), generator)
    for step in range(1, steps + 1):
        share = step / steps
        heard = states @ weight + machine.hidden_bias
        # the log of what these states weigh in the machine of this step, less in the one before
        more = functional.softplus(share * heard) - functional.softplus((step - 1) / steps * heard)
        logs += (states @ (bias - base)).double() / steps + more.sum(dim=1).double()
        hidden = sample((share * heard).sigmoid(), generator)
        states = sample((share * (hidden @ weight.T) + base + share * (bias - base)).sigmoid(), generator)
    return logs


def log_mean(logs: Tensor) -> float:
    """The log of the mean of numbers that are given by their logs."""
    return float(logs.logsumexp(0) - math.log(len(logs)))


def log_mean_range(logs: Tensor, errors: float = 3.0) -> tuple[float, float]:
    """`log_mean` with so many standard errors of the mean taken off and added; -inf where nothing is left."""
    shares = (logs - logs.max()).exp()
    error = errors * float(shares.std()) / math.sqrt(len(logs))
    mean, largest = float(shares.mean()), float(logs.max())
    low = largest + math.log(mean - error) if mean > error else -math.inf
    return low, largest + math.log(mean + error)


@torch.no_grad()
def unnormalised_likelihoods(machines: list[RBM], states: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """(B,) of states (B, D) of 0 and 1: log p(states) + log Z of the topmost machine. Of a single machine it is exact, minus the
    free energy; of a stack one draw of the variational bound (Hinton 2006), whose mean is at most that."""
    told = torch.zeros(len(states), dtype=torch.float64, device=states.device)
    for machine in machines[:-1]:
        chances = machine.hidden_chances(states)
        hidden = sample(chances, generator)
        given = functional.binary_cross_entropy_with_logits(machine.said(hidden), states, reduction="none").sum(dim=1)
        uncertain = functional.binary_cross_entropy(chances, chances, reduction="none").sum(dim=1)
        told, states = told - given.double() + uncertain.double(), hidden
    return told - machines[-1].free_energy(states).double()
