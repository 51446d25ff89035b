"""Advantages against sums written out and a case by hand; the policy's loss against the exact gradient of a small process."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from gradus.train.action_distributions import Categorical, Gaussian
from gradus.train.advantages import advantages, normalized, policy_loss

DISCOUNT, TRACE = 0.9, 0.8


def column(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)[:, None]


def loss_of(logits, values, actions, *others, **settings):
    """Of a policy that chooses one of some actions."""
    policy = Categorical()
    return policy_loss(policy.log_chances(logits, actions), policy.entropies(logits), values, *others, **settings)


def flags(*values: int) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.bool)[:, None]


def test_a_case_by_hand():
    # d = 1 + 0.9*4 - 2 = 2.6,  0 + 0.9*1 - 4 = -3.1,  5 + 0 - 1 = 4 (terminated)
    # A = 2.6 + 0.72*(-0.22) = 2.4416,  -3.1 + 0.72*4 = -0.22,  4
    found = advantages(
        column(1, 0, 5), column(2, 4, 1), column(4, 1, 99), flags(0, 0, 1), flags(0, 0, 1), DISCOUNT, TRACE
    )
    np.testing.assert_allclose(found[:, 0], [2.4416, -0.22, 4.0], atol=1e-12)


def test_against_sums_written_out_with_ends_and_cuts():
    random = np.random.default_rng(0)
    steps, count = 12, 3
    rewards, values, following = (random.normal(size=(steps, count)) for _ in range(3))
    ended = random.random((steps, count)) < 0.3
    terminated = ended & (random.random((steps, count)) < 0.5)
    assert terminated.any() and (ended & ~terminated).any()
    tensors = [torch.from_numpy(array) for array in (rewards, values, following, terminated, ended)]
    found = advantages(*tensors, DISCOUNT, TRACE)
    for step, one in itertools.product(range(steps), range(count)):
        total, weight = 0.0, 1.0
        for later in range(step, steps):
            ahead = 0.0 if terminated[later, one] else following[later, one]
            total += weight * (rewards[later, one] + DISCOUNT * ahead - values[later, one])
            if ended[later, one]:
                break
            weight *= DISCOUNT * TRACE
        assert found[step, one].item() == pytest.approx(total, abs=1e-12)


def test_with_a_trace_of_one_it_is_the_return_less_the_value_and_a_cut_goes_on_with_what_was_reached():
    rewards, values = column(1, 1, 1), column(7, 8, 9)
    following = column(8, 9, 100)
    whole = 1 + 0.9 + 0.81
    over = advantages(rewards, values, following, flags(0, 0, 1), flags(0, 0, 1), 0.9, 1.0)
    cut = advantages(rewards, values, following, flags(0, 0, 0), flags(0, 0, 1), 0.9, 1.0)
    assert over[0, 0].item() == pytest.approx(whole - 7)
    assert cut[0, 0].item() == pytest.approx(whole + 0.9**3 * 100 - 7)


def test_the_plain_loss_has_the_exact_gradient_of_the_expected_return():
    """Two states, two actions, episodes of two steps, all eight enumerated: what is expected is known, so is its gradient."""
    move = torch.tensor(
        [[0.8, 0.3], [0.1, 0.6]], dtype=torch.float64
    )  # (state, action): probability of going to state 1
    reward = torch.tensor([[1.0, -2.0], [0.5, 3.0]], dtype=torch.float64)

    def expected(logits: torch.Tensor) -> torch.Tensor:
        policy = logits.softmax(1)
        last = (policy * reward).sum(1)
        first = policy[0] * (reward[0] + (1 - move[0]) * last[0] + move[0] * last[1])
        return first.sum()

    logits = torch.tensor([[0.3, -0.5], [1.0, 0.2]], dtype=torch.float64, requires_grad=True)
    exact = torch.empty_like(logits)
    for place in itertools.product(range(2), range(2)):  # by finite differences
        moved = [logits.detach().clone() for _ in range(2)]
        moved[0][place] += 1e-5
        moved[1][place] -= 1e-5
        exact[place] = (expected(moved[0]) - expected(moved[1])) / 2e-5

    policy = logits.detach().softmax(1)
    values = torch.tensor(
        [4.0, -1.0], dtype=torch.float64
    )  # any baseline of the state leaves the mean gradient as it is
    total = torch.zeros((), dtype=torch.float64)
    for first, reached, second in itertools.product(range(2), range(2), range(2)):
        chance = policy[0, first] * (move[0, first] if reached else 1 - move[0, first]) * policy[reached, second]
        seen, done = torch.tensor([0, reached]), torch.tensor([first, second])
        worth = advantages(
            reward[seen, done][:, None],
            values[seen][:, None],
            column(values[reached], 0),
            flags(0, 1),
            flags(0, 1),
            1,
            1,
        )[:, 0]
        outcome = loss_of(
            logits[seen], values[seen], done, worth, worth, worth, clip=0, value_weight=0.0, entropy_weight=0.0
        )
        total = total + chance * outcome.loss.sum()
    (found,) = torch.autograd.grad(-total, logits)
    torch.testing.assert_close(found.double(), exact, atol=1e-6, rtol=1e-5)


def loss_at(log_ratio: float, worth: float, clip: float = 0.2) -> tuple[float, float]:
    """The loss of one row whose action became exp(log_ratio) times as probable, and its gradient in the action's logit."""
    logits = torch.zeros((1, 2), dtype=torch.float64, requires_grad=True)
    drawn_with = torch.tensor([np.log(0.5) - log_ratio], dtype=torch.float64)
    zero = torch.zeros(1, dtype=torch.float64)
    outcome = loss_of(
        logits,
        zero,
        torch.tensor([0]),
        torch.tensor([worth], dtype=torch.float64),
        zero,
        drawn_with,
        clip=clip,
        value_weight=0.5,
        entropy_weight=0.0,
    )
    outcome.loss.sum().backward()
    return outcome.loss.item(), logits.grad[0, 0].item()


def test_the_clipped_loss_stops_to_push_where_the_ratio_has_gone_far_enough_and_only_there():
    high, low = np.log(1.5), np.log(0.5)
    assert loss_at(high, 1.0) == (pytest.approx(-1.2), 0)  # good and already likelier: no more
    assert loss_at(low, -1.0) == (pytest.approx(0.8), 0)  # bad and already less likely: no more
    loss, gradient = loss_at(high, -1.0)  # bad and likelier: taken back
    assert loss == pytest.approx(1.5) and gradient > 0
    loss, gradient = loss_at(low, 1.0)  # good and less likely: raised
    assert loss == pytest.approx(-0.5) and gradient < 0
    assert loss_at(0.0, 1.0)[1] == pytest.approx(
        loss_at(0.0, 1.0, clip=0)[1]
    )  # at the first pass it is the plain gradient


def test_parts_of_the_loss():
    logits = torch.log(torch.tensor([[0.25, 0.75]]))
    outcome = loss_of(
        logits,
        torch.tensor([3.0]),
        torch.tensor([1]),
        torch.tensor([2.0]),
        torch.tensor([5.0]),
        torch.log(torch.tensor([0.75])),
        clip=0.2,
        value_weight=0.5,
        entropy_weight=0.1,
    )
    entropy = -(0.25 * np.log(0.25) + 0.75 * np.log(0.75))
    assert outcome.parts["value_loss"].item() == pytest.approx(2.0) and outcome.parts["policy_loss"].item() == -2
    assert outcome.parts["entropy"].item() == pytest.approx(entropy) and abs(outcome.parts["divergence"].item()) < 1e-6
    assert outcome.loss.item() == pytest.approx(-2 + 0.5 * 2 - 0.1 * entropy)


def test_advantages_are_normalised_and_one_alone_is_left():
    found = normalized(torch.tensor([1.0, 2.0, 3.0, 6.0]))
    assert found.mean().abs() < 1e-6 and found.std(correction=0).item() == pytest.approx(1)
    assert normalized(torch.tensor([4.0])).item() == 4


def test_numbers_are_drawn_from_normal_distributions():
    outputs = torch.tensor([[0.5, -1.0, np.log(2.0), np.log(0.1)]], dtype=torch.float64)
    theirs = torch.distributions.Normal(torch.tensor([0.5, -1.0]).double(), torch.tensor([2.0, 0.1]).double())
    actions = torch.tensor([[0.0, -1.1], [3.0, -1.0]], dtype=torch.float64)
    chances = Gaussian().log_chances(outputs.expand(2, -1), actions)
    torch.testing.assert_close(chances, theirs.log_prob(actions).sum(dim=1))
    torch.testing.assert_close(Gaussian().entropies(outputs)[0], theirs.entropy().sum())
    torch.manual_seed(0)
    drawn = Gaussian().draw(outputs.expand(20_000, -1))
    torch.testing.assert_close(drawn.mean(dim=0), theirs.mean, atol=0.03, rtol=0)
    torch.testing.assert_close(drawn.std(dim=0), theirs.stddev, atol=0, rtol=0.02)
