"""The mathematics of policy gradients: what an action was worth more than expected, and the losses of it.

T, N: steps and environments of a rollout; B: rows of a minibatch.

REINFORCE (Williams 1992) raises the log-probability of each action by its advantage. PPO (Schulman 2017) does the same for as
long as the ratio of the new probability to the one that it was drawn with stays within 1 +- clip, so that a rollout can be learnt
from several times. Advantages are GAE (Schulman 2016). A2C (Mnih 2016) is REINFORCE with short rollouts.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gradus.models.generative.outcome import Outcome


def advantages(
    rewards: Tensor, values: Tensor, following: Tensor, terminated: Tensor, ended: Tensor, discount: float, trace: float
) -> Tensor:
    """Generalised advantage estimates (T, N) (Schulman 2016, equation 16):

        d_t = r_t + discount V(s'_t) - V(s_t)        A_t = d_t + discount trace A_{t+1}

    rewards, values: (T, N), of each step and of the state that it was made in
    following:       (T, N), the values of what was reached: at the last step of an episode that of its last observation
    terminated:      (T, N) bool: nothing comes after, so the value of what was reached counts as 0
    ended:           (T, N) bool: terminated or cut off. An advantage reaches over neither; but one that was cut off by a time
                     limit goes on with the value of what was reached (Pardo 2018)
    trace:           lambda; 1: the whole return less the value; 0: one step
    """
    errors = rewards + discount * following * ~terminated - values
    found = torch.empty_like(errors)
    ahead = torch.zeros_like(errors[0])
    for step in reversed(range(len(errors))):
        ahead = errors[step] + discount * trace * ahead * ~ended[step]
        found[step] = ahead
    return found


def policy_loss(
    chosen: Tensor,
    entropy: Tensor,
    values: Tensor,
    worth: Tensor,
    returns: Tensor,
    drawn_with: Tensor,
    *,
    clip: float,
    value_weight: float,
    entropy_weight: float,
) -> Outcome:
    """The loss of each row (B,), and what it is the sum of.

    chosen:     (B,) the log-probability of what was done, by the network as it is
    entropy:    (B,) of its policy
    values:     (B,) of the network
    worth:      (B,) advantages
    returns:    (B,) what values are to become: V + A at the time
    drawn_with: (B,) the log-probability of the action when it was drawn
    clip:       of PPO's ratio; 0: the plain policy gradient
    """
    distance = chosen - drawn_with
    if not clip:
        policy = -worth * chosen
    else:
        ratio = distance.exp()
        policy = -torch.minimum(ratio * worth, ratio.clamp(1 - clip, 1 + clip) * worth)
    error = (values - returns).square() / 2
    with torch.no_grad():
        # KL(old || new) of the actions drawn, never negative (Schulman, "Approximating KL divergence", k3)
        divergence = distance.expm1() - distance
        parts = {"policy_loss": policy, "value_loss": error, "entropy": entropy, "divergence": divergence}
        if clip:
            parts["clipped"] = ((ratio - 1).abs() > clip).float()
    return Outcome(loss=policy + value_weight * error - entropy_weight * entropy, parts=parts)


def normalized(worth: Tensor) -> Tensor:
    """Advantages with mean 0 and deviation 1 over a minibatch; one alone stays as it is."""
    if len(worth) < 2:
        return worth
    return (worth - worth.mean()) / (worth.std(correction=0) + 1e-8)
