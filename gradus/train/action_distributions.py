"""What a policy's outputs say: how actions are drawn from them, and how probable an action was.

B: rows; A: actions, or the numbers that one is made of.
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor


class ActionDistribution(Protocol):
    """All of outputs (B, ...) of a network. Logs are natural ones; of numbers they are of densities."""

    def draw(self, outputs: Tensor) -> Tensor:
        """An action for each row of outputs on the CPU, by torch's global generator."""

    def log_chances(self, outputs: Tensor, actions: Tensor) -> Tensor:
        """(B,) of these actions."""

    def entropies(self, outputs: Tensor) -> Tensor:
        """(B,) in nats."""


class Categorical:
    """One of A actions: outputs (B, A) are logits, actions (B,) int64."""

    def draw(self, outputs: Tensor) -> Tensor:
        share = torch.rand(len(outputs), 1)
        return (outputs.softmax(dim=1).cumsum(dim=1) < share).sum(dim=1).clamp(max=outputs.shape[1] - 1)

    def log_chances(self, outputs: Tensor, actions: Tensor) -> Tensor:
        return outputs.log_softmax(dim=1).gather(1, actions[:, None]).squeeze(1)

    def entropies(self, outputs: Tensor) -> Tensor:
        every = outputs.log_softmax(dim=1)
        return -(every.exp() * every).sum(dim=1)


class Gaussian:
    """A numbers, each normally distributed: outputs (B, 2 A) are the means, then the logs of the deviations; actions (B, A)
    float32. What is drawn may lie beyond the bounds, where the environment takes it for the bound: its chance is that of the
    number drawn, as in Schulman's code."""

    def draw(self, outputs: Tensor) -> Tensor:
        means, logs = outputs.chunk(2, dim=1)
        return means + logs.exp() * torch.randn_like(means)

    def log_chances(self, outputs: Tensor, actions: Tensor) -> Tensor:
        means, logs = outputs.chunk(2, dim=1)
        return (-0.5 * ((actions - means) / logs.exp()) ** 2 - logs - 0.5 * math.log(2 * math.pi)).sum(dim=1)

    def entropies(self, outputs: Tensor) -> Tensor:
        return (outputs.chunk(2, dim=1)[1] + 0.5 * math.log(2 * math.pi * math.e)).sum(dim=1)
