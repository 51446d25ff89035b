"""Losses over large vocabularies, and GloVe's. Shapes: N examples, d numbers a vector, V words, S sampled, k negatives.

No call reads a number from the device. The words that are drawn come from PyTorch's default generator, which the trainer sets
before each step.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional


class LogUniformSampler:
    """Draws words with P(k) = log((k + 2) / (k + 1)) / log(V + 1), with repetition: for ids sorted from frequent to rare."""

    def __init__(self, vocabulary: int) -> None:
        self.vocabulary = vocabulary

    def draw(self, count: int, device: torch.device | str = "cpu") -> Tensor:
        """(count,) ids: the largest k with (k + 1) <= (V + 1)^u, u uniform."""
        uniform = torch.rand(count, device=device, dtype=torch.float64)
        ids = torch.exp(uniform * math.log(self.vocabulary + 1)).long() - 1
        return ids.clamp_(0, self.vocabulary - 1)  # exp may round up to V + 1

    def log_expected(self, ids: Tensor, count: int) -> Tensor:
        """log(count * P(id)), float32."""
        ranks = ids.double()
        chance = torch.log((ranks + 2) / (ranks + 1)) / math.log(self.vocabulary + 1)
        return torch.log(count * chance).float()


class UnigramSampler:
    """Draws words with P(w) proportional to count^power (Mikolov et al. 2013b), with repetition."""

    def __init__(self, counts: Tensor, power: float = 0.75) -> None:
        weights = counts.double() ** power
        self.chances = weights / weights.sum()

    def draw(self, *shape: int) -> Tensor:
        """(*shape) ids on the device of the counts."""
        return torch.multinomial(self.chances, math.prod(shape), replacement=True).view(shape)

    def log_expected(self, ids: Tensor, count: int) -> Tensor:
        """log(count * P(id)), float32."""
        return torch.log(count * self.chances[ids]).float()


def sampled_softmax_loss(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor,
    targets: Tensor,
    sampled: Tensor,
    target_log_expected: Tensor,
    sampled_log_expected: Tensor,
) -> Tensor:
    """Mean cross-entropy of a softmax over the target and the sampled words (Jean et al. 2015, §3).

    hidden (N, d), weight (V, d), bias (V,), targets (N,), sampled (S,) for the whole batch; the logs of how often each is
    expected in the sample (N,) and (S,), which are subtracted from the scores. A sampled word that is a row's target is left out
    of that row.
    Computed in float32 at least. Only to train with: judge with the whole softmax, which this underestimates.
    """
    wide = torch.promote_types(hidden.dtype, torch.float32)
    rows, columns = hidden.to(wide), weight[sampled].to(wide)
    of_target = (rows * weight[targets].to(wide)).sum(dim=1) + bias[targets] - target_log_expected
    of_sampled = rows @ columns.t() + (bias[sampled] - sampled_log_expected)
    of_sampled = of_sampled.masked_fill(sampled == targets[:, None], -torch.inf)
    scores = torch.cat([of_target[:, None], of_sampled], dim=1)
    return (scores.logsumexp(dim=1) - of_target).mean()


def negative_sampling_loss(hidden: Tensor, weight: Tensor, targets: Tensor, negatives: Tensor) -> Tensor:
    """Mean of -log sigmoid(u_o . v) - sum over negatives of log sigmoid(-u_k . v) (Mikolov et al. 2013b, eq. 4).

    hidden (N, d), weight (V, d), targets (N,), negatives (N, k).
    """
    of_target = (hidden * weight[targets]).sum(dim=1)
    of_negatives = torch.einsum("nd,nkd->nk", hidden, weight[negatives])
    return -(functional.logsigmoid(of_target) + functional.logsigmoid(-of_negatives).sum(dim=1)).mean()


def glove_loss(
    words: Tensor,
    contexts: Tensor,
    word_bias: Tensor,
    context_bias: Tensor,
    counts: Tensor,
    largest: float = 100.0,
    power: float = 0.75,
) -> Tensor:
    """Sum over pairs of f(x) (w . c + b + b' - log x)^2, f(x) = min(1, (x/largest)^power) (Pennington et al. 2014, eq. 8).

    One row a pair: words and contexts (N, d), biases (N,), counts (N,) of how often the two met. Pairs of count 0 weigh nothing.
    """
    return log_count_loss((words * contexts).sum(dim=1) + word_bias + context_bias, counts, largest, power).sum()


def log_count_loss(predicted: Tensor, counts: Tensor, largest: float = 100.0, power: float = 0.75) -> Tensor:
    """(N,): the same of each pair, from what is `predicted` (N,) of the logs of counts (N,)."""
    seen = counts > 0
    weights = torch.where(seen, (counts / largest).pow(power).clamp(max=1), 0)
    return weights * (predicted - torch.log(torch.where(seen, counts, 1))) ** 2
