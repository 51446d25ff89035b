"""The two networks for Atari games: of the first paper on DQN (Mnih 2013) and of the one in Nature (Mnih 2015).

Observations are float32 (N, C, 84, 84) of 0 to 1: the last C = 4 grey screens. What the papers leave open: convolutions have no
padding (84 -> 20 -> 9 -> 7), as in the authors' code of 2015. The outputs are as many as the game has actions, 3 to 18.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from gradus.errors import UserError
from gradus.models.control.q_network import DuelingHead

SIDE = 84


def features_of_2013(in_channels: int) -> nn.Sequential:
    """(N, in_channels, 84, 84) -> (N, 256)."""
    return nn.Sequential(
        nn.Conv2d(in_channels, 16, 8, stride=4),  # 20x20
        nn.ReLU(),
        nn.Conv2d(16, 32, 4, stride=2),  # 9x9
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * 9 * 9, 256),
        nn.ReLU(),
    )


def convolutions_of_2015(in_channels: int) -> nn.Sequential:
    """(N, in_channels, 84, 84) -> (N, 3136)."""
    return nn.Sequential(
        nn.Conv2d(in_channels, 32, 8, stride=4),  # 20x20
        nn.ReLU(),
        nn.Conv2d(32, 64, 4, stride=2),  # 9x9
        nn.ReLU(),
        nn.Conv2d(64, 64, 3),  # 7x7
        nn.ReLU(),
        nn.Flatten(),
    )


def features_of_2015(in_channels: int) -> nn.Sequential:
    """(N, in_channels, 84, 84) -> (N, 512)."""
    return nn.Sequential(*convolutions_of_2015(in_channels), nn.Linear(64 * 7 * 7, 512), nn.ReLU())


# name -> (what gives features, how many)
FEATURES: dict[str, tuple[Callable[[int], nn.Sequential], int]] = {
    "2013": (features_of_2013, 256),
    "2015": (features_of_2015, 512),
}


def check_side(model: str, image_size: int) -> None:
    if image_size != SIDE:
        raise UserError(f"{model}: it takes screens of {SIDE}x{SIDE}, received {image_size}x{image_size}")


class AtariDQN(nn.Module):
    """Q(s, a) of all actions at once (N, num_actions), Mnih 2015: 1,684,128 + 513 for each action parameters.

    dueling: a state's value and the actions' advantages have a layer of 512 each (Wang et al. 2015)
    """

    learns = "q_learning"

    def __init__(
        self, in_channels: int = 4, image_size: int = SIDE, num_actions: int = 6, dueling: bool = False
    ) -> None:
        super().__init__()
        check_side("atari_dqn", image_size)
        if dueling:
            self.features = convolutions_of_2015(in_channels)
            self.head: nn.Module = DuelingHead(64 * 7 * 7, 512, num_actions)
        else:
            self.features = features_of_2015(in_channels)
            self.head = nn.Linear(512, num_actions)

    def forward(self, observations: Tensor) -> Tensor:
        return self.head(self.features(observations))

    def greedy(self, observations: Tensor) -> Tensor:
        return self(observations).argmax(dim=1)


class AtariDQN2013(nn.Module):
    """Q(s, a) of all actions at once (N, num_actions), Mnih 2013: 676,144 + 257 for each action parameters."""

    learns = "q_learning"

    def __init__(self, in_channels: int = 4, image_size: int = SIDE, num_actions: int = 6) -> None:
        super().__init__()
        check_side("atari_dqn_2013", image_size)
        self.features = features_of_2013(in_channels)
        self.head = nn.Linear(256, num_actions)

    def forward(self, observations: Tensor) -> Tensor:
        return self.head(self.features(observations))

    def greedy(self, observations: Tensor) -> Tensor:
        return self(observations).argmax(dim=1)
