"""The networks for Atari as the papers print them, counted by hand, and what all networks that act offer."""

from __future__ import annotations

import pytest
import torch

from gradus.errors import UserError
from gradus.models import create_model

SCREENS = torch.rand(2, 4, 84, 84)


def parameters_of(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def shapes_of(model: torch.nn.Module) -> list[tuple[int, ...]]:
    return [tuple(value.shape) for name, value in model.named_parameters() if name.endswith("weight")]


@pytest.mark.parametrize("actions", [6, 18])
def test_the_network_of_2013(actions):
    model = create_model("atari_dqn_2013", num_actions=actions)
    assert shapes_of(model) == [(16, 4, 8, 8), (32, 16, 4, 4), (256, 32 * 9 * 9), (actions, 256)]
    by_hand = (16 * 4 * 64 + 16) + (32 * 16 * 16 + 32) + (2592 * 256 + 256) + (256 * actions + actions)
    assert parameters_of(model) == by_hand == 676_144 + 257 * actions
    assert model(SCREENS).shape == (2, actions)


@pytest.mark.parametrize("actions", [6, 18])
def test_the_network_of_2015(actions):
    model = create_model("atari_dqn", num_actions=actions)
    assert shapes_of(model) == [(32, 4, 8, 8), (64, 32, 4, 4), (64, 64, 3, 3), (512, 64 * 7 * 7), (actions, 512)]
    by_hand = (32 * 4 * 64 + 32) + (64 * 32 * 16 + 64) + (64 * 64 * 9 + 64) + (3136 * 512 + 512) + 513 * actions
    assert parameters_of(model) == by_hand == 1_684_128 + 513 * actions
    assert model(SCREENS).shape == (2, actions)


def test_with_dueling_heads_the_mean_is_the_value():
    model = create_model("atari_dqn", dueling=True)
    values = model.head.value(model.features(SCREENS))
    torch.testing.assert_close(model(SCREENS).mean(dim=1, keepdim=True), values)


@pytest.mark.parametrize("name", ["q_network", "actor_critic", "atari_dqn", "atari_dqn_2013", "atari_actor_critic"])
def test_all_offer_what_acts(name):
    torch.manual_seed(0)
    model = create_model(name, num_actions=3)
    assert model.learns in ("q_learning", "policy_gradient")
    seen = SCREENS if "atari" in name else torch.randn(2, 4)
    actions = model.greedy(seen)
    assert actions.shape == (2,) and actions.dtype == torch.int64 and int(actions.max()) < 3
    outputs = model(seen)
    shapes = [tuple(one.shape) for one in outputs] if isinstance(outputs, tuple) else [tuple(outputs.shape)]
    assert shapes == ([(2, 3), (2,)] if model.learns == "policy_gradient" else [(2, 3)])


@pytest.mark.parametrize("name", ["actor_critic", "atari_actor_critic"])
def test_a_policy_begins_undecided(name):
    torch.manual_seed(0)
    model = create_model(name)
    logits, _ = model(SCREENS if "atari" in name else torch.randn(64, 4))
    assert logits.softmax(dim=1).std(dim=1).max() < 0.02


def test_policy_and_value_of_vectors_share_nothing():
    model = create_model("actor_critic")
    logits, _ = model(torch.randn(5, 4))
    logits.sum().backward()
    assert all(parameter.grad is None for parameter in model.value.parameters())


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("atari_dqn", {"image_size": 210}, "84x84, received 210x210"),
        ("atari_actor_critic", {"features": "2014"}, "2013 or 2015"),
        ("actor_critic", {"hidden": [0]}, "above 0"),
    ],
)
def test_mistakes_are_told(name, options, told):
    with pytest.raises(UserError, match=told):
        create_model(name, **options)
