"""Networks that tell how probable each action is to be taken, and what a state is worth: (logits (N, A), values (N,)).

The weights begin orthogonal, those of the actions' logits a hundred times smaller, so that all actions are about as probable at
first (Schulman's code for PPO; Andrychowicz 2021 finds the small last layer to matter).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from torch import Tensor, nn

from gradus.errors import UserError
from gradus.models.control.atari import FEATURES, SIDE, check_side

Policy = tuple[Tensor, Tensor]  # logits (N, A) and values (N,)


def orthogonal(layer: nn.Module, gain: float) -> None:
    if isinstance(layer, nn.Linear | nn.Conv2d):
        nn.init.orthogonal_(layer.weight, gain)
        assert layer.bias is not None
        nn.init.zeros_(layer.bias)


class ActorCritic(nn.Module):
    """Two networks of fully connected tanh layers over vectors (N, in_features) or states as one-hot vectors: one for the policy,
    one for the value, which share nothing (Schulman 2017, §6.1).

    hidden: widths of the layers of each
    """

    learns = "policy_gradient"

    def __init__(self, in_features: int = 4, num_actions: int = 2, hidden: Sequence[int] = (64, 64)) -> None:
        super().__init__()
        if any(width < 1 for width in hidden):
            raise UserError(f"actor_critic: hidden must be whole numbers above 0, received {list(hidden)}")
        self.policy = self._network(in_features, hidden, num_actions, 0.01)
        self.value = self._network(in_features, hidden, 1, 1.0)

    @staticmethod
    def _network(in_features: int, hidden: Sequence[int], outputs: int, gain: float) -> nn.Sequential:
        widths = [in_features, *hidden]
        layers: list[nn.Module] = [nn.Flatten()]
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after), nn.Tanh()]
        layers.append(nn.Linear(widths[-1], outputs))
        for layer in layers[:-1]:
            orthogonal(layer, math.sqrt(2))
        orthogonal(layers[-1], gain)
        return nn.Sequential(*layers)

    def forward(self, observations: Tensor) -> Policy:
        return self.policy(observations), self.value(observations).squeeze(1)

    def greedy(self, observations: Tensor) -> Tensor:
        return self.policy(observations).argmax(dim=1)


class AtariActorCritic(nn.Module):
    """Policy and value of Atari screens (N, C, 84, 84) on the features of a network for DQN, which they share.

    features: of the paper of "2013" or of "2015"
    """

    learns = "policy_gradient"

    def __init__(
        self,
        in_channels: int = 4,
        image_size: int = SIDE,
        num_actions: int = 6,
        features: Literal["2013", "2015"] = "2015",
    ) -> None:
        super().__init__()
        check_side("atari_actor_critic", image_size)
        if features not in FEATURES:
            raise UserError(f"atari_actor_critic: features must be 2013 or 2015, received {features}")
        make, width = FEATURES[features]
        self.features = make(in_channels)
        self.policy, self.value = nn.Linear(width, num_actions), nn.Linear(width, 1)
        for layer in self.features:
            orthogonal(layer, math.sqrt(2))
        orthogonal(self.policy, 0.01)
        orthogonal(self.value, 1.0)

    def forward(self, observations: Tensor) -> Policy:
        features = self.features(observations)
        return self.policy(features), self.value(features).squeeze(1)

    def greedy(self, observations: Tensor) -> Tensor:
        return self(observations)[0].argmax(dim=1)
