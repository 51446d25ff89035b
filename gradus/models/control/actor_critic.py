"""Networks that tell how probable each action is to be taken, and what a state is worth: (logits (N, A), values (N,)). Where an
action is made of A numbers they give (N, 2 A) in place of logits: the means of the numbers, and the logs of their deviations.

The weights begin orthogonal, those of the actions' logits a hundred times smaller, so that all actions are about as probable at
first (Schulman's code for PPO; Andrychowicz 2021 finds the small last layer to matter).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from gradus.errors import UserError
from gradus.models.control.atari import FEATURES, SIDE, check_side

Policy = tuple[Tensor, Tensor]  # logits (N, A), or means and logs of deviations (N, 2 A); and values (N,)


def orthogonal(layer: nn.Module, gain: float) -> None:
    if isinstance(layer, nn.Linear | nn.Conv2d):
        nn.init.orthogonal_(layer.weight, gain)
        assert layer.bias is not None
        nn.init.zeros_(layer.bias)


class ActorCritic(nn.Module):
    """Two networks of fully connected tanh layers over vectors (N, in_features) or states as one-hot vectors: one for the policy,
    one for the value, which share nothing (Schulman 2017, §6.1).

    num_actions: A
    continuous:  an action is made of A numbers from -1 to 1; their deviations are weights, the same in every state
    deviation:   of these numbers at first
    hidden:      widths of the layers of each
    """

    learns = "policy_gradient"

    def __init__(
        self,
        in_features: int = 4,
        num_actions: int = 2,
        continuous: bool = False,
        hidden: Sequence[int] = (64, 64),
        deviation: float = 1.0,
    ) -> None:
        super().__init__()
        if not 0 < deviation < math.inf:
            raise UserError(f"actor_critic: deviation must be above 0, received {deviation}")
        if any(width < 1 for width in hidden):
            raise UserError(f"actor_critic: hidden must be whole numbers above 0, received {list(hidden)}")
        self.policy = self._network(in_features, hidden, num_actions, 0.01)
        self.value = self._network(in_features, hidden, 1, 1.0)
        self.log_deviation = nn.Parameter(torch.full((num_actions,), math.log(deviation))) if continuous else None

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
        outputs = self.policy(observations)
        if self.log_deviation is not None:
            outputs = torch.cat([outputs, self.log_deviation.expand_as(outputs)], dim=1)
        return outputs, self.value(observations).squeeze(1)

    def greedy(self, observations: Tensor) -> Tensor:
        outputs = self.policy(observations)
        return outputs.argmax(dim=1) if self.log_deviation is None else outputs


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
