"""A table of action values: one number for each state and action (Watkins 1989)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class QTable(nn.Module):
    """Q(s, a) for states that are numbers 0..in_features-1, given as vectors (N, in_features) with a one in the state's place.

    initial: what every action is held to be worth before anything is known; more than it can be worth makes the agent try
             everything once ("optimism")
    """

    learns = "tabular"

    def __init__(self, in_features: int = 16, num_actions: int = 4, initial: float = 0.0) -> None:
        super().__init__()
        self.values = nn.Parameter(torch.full((in_features, num_actions), float(initial)))

    def forward(self, observations: Tensor) -> Tensor:
        return observations @ self.values

    def greedy(self, observations: Tensor) -> Tensor:
        """(N,): the best actions, the first of equals."""
        return self(observations).argmax(dim=1)
