"""A network that tells what each action is worth: fully connected layers over a vector of observations.

What every network for control offers: `learns`, the name of what teaches it (`train/acting.py`), and `greedy(observations) ->
(N,)`, the actions that it holds for the best. Observations are float32 (N, ...).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from gradus.errors import UserError


class QNetwork(nn.Module):
    """Q(s, a) of all actions a at once (Mnih et al. 2013), for observations (N, in_features): (N, num_actions).

    hidden:  widths of the ReLU layers
    dueling: a state's value and the actions' advantages are told by two heads, each with a hidden layer as wide as the last of
             `hidden`, and Q = V + A - mean(A) (Wang et al. 2015, equation 9)
    """

    learns = "q_learning"

    def __init__(
        self, in_features: int = 4, num_actions: int = 2, hidden: Sequence[int] = (128, 128), dueling: bool = False
    ) -> None:
        super().__init__()
        if not hidden or any(width < 1 for width in hidden):
            raise UserError(f"q_network: hidden must be one or more whole numbers above 0, received {list(hidden)}")
        widths = [in_features, *hidden]
        layers: list[nn.Module] = [nn.Flatten()]
        for before, after in pairwise(widths[:-1] if dueling else widths):
            layers += [nn.Linear(before, after), nn.ReLU()]
        self.features = nn.Sequential(*layers)
        before = widths[-2] if dueling else widths[-1]
        self.head = DuelingHead(before, widths[-1], num_actions) if dueling else nn.Linear(before, num_actions)

    def forward(self, observations: Tensor) -> Tensor:
        return self.head(self.features(observations))

    def greedy(self, observations: Tensor) -> Tensor:
        return self(observations).argmax(dim=1)


class DuelingHead(nn.Module):
    """Q (N, num_actions) of features (N, in_features), from a value and advantages whose mean is taken away."""

    def __init__(self, in_features: int, hidden: int, num_actions: int) -> None:
        super().__init__()
        self.value = nn.Sequential(nn.Linear(in_features, hidden), nn.ReLU(), nn.Linear(hidden, 1))
        self.advantage = nn.Sequential(nn.Linear(in_features, hidden), nn.ReLU(), nn.Linear(hidden, num_actions))

    def forward(self, features: Tensor) -> Tensor:
        advantage: Tensor = self.advantage(features)
        return self.value(features) + advantage - advantage.mean(dim=1, keepdim=True)
