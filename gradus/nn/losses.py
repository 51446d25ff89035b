"""Losses that PyTorch lacks. Tensors in, a scalar tensor out; nothing is read back from the device.

The mathematics, with the gradients by hand: `gradus.reference` (`losses`, `metric_losses`, `image_losses`, `compound_losses`), of
which these are the fast forms under the same conventions. For mean squared and absolute errors, Huber, cross-entropies, the
multi-class hinge (`functional.multi_margin_loss`) and triplets of plain distances, use PyTorch.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

LEAST = 1e-6  # MSLE and MAPE clip here


def mean_squared_logarithmic_error(outputs: Tensor, targets: Tensor, least: float = LEAST) -> Tensor:
    """Mean of (log(a + 1) - log(y + 1))^2, both raised to `least` first: for numbers from 0 on. No gradient below that."""
    return functional.mse_loss(torch.log1p(outputs.clamp(min=least)), torch.log1p(targets.clamp(min=least)))


def mean_absolute_percentage_error(outputs: Tensor, targets: Tensor, least: float = LEAST) -> Tensor:
    """100 times the mean of |a - y| / max(|y|, least)."""
    return 100 * ((outputs - targets).abs() / targets.abs().clamp(min=least)).mean()


def hinge(outputs: Tensor, signs: Tensor) -> Tensor:
    """Mean of max(0, 1 - y a). signs: -1 and 1 (labels of 0 and 1 would be wrong: 2 y - 1 makes them right)."""
    return functional.relu(1 - signs * outputs).mean()


def exponential_loss(outputs: Tensor, signs: Tensor) -> Tensor:
    """Mean of exp(-y a). signs: -1 and 1."""
    return torch.exp(-signs * outputs).mean()


def masked_binary_cross_entropy(
    logits: Tensor, targets: Tensor, mask: Tensor, divide_by: Literal["known", "rows"] = "known"
) -> Tensor:
    """Binary cross-entropy of the labels that are known. All (N, ...); mask 1 or True where a label is known.

    What stands in `targets` where the mask is 0 does not matter, NaN included. divide_by: "known" labels, or "rows" N, so that
    the losses of one row's labels add up. 0 where nothing is known.
    """
    known = mask.to(logits.dtype)
    filled = torch.where(mask.bool(), targets.to(logits.dtype), torch.zeros_like(logits))
    total = functional.binary_cross_entropy_with_logits(logits, filled, known, reduction="sum")
    return total / (known.sum().clamp(min=1) if divide_by == "known" else len(logits))


def multi_task_loss(losses: Tensor, weights: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
    """(1/N) sum over rows and tasks of w_t m_nt L_nt. losses (N, T), which may be NaN where masked; weights (T,), mask (N, T)."""
    if mask is not None:
        losses = torch.where(mask.bool(), losses, torch.zeros_like(losses))
    if weights is not None:
        losses = losses * weights
    return losses.sum() / len(losses)


# --- distances


def triplet_loss(anchors: Tensor, positives: Tensor, negatives: Tensor, margin: float = 0.2) -> Tensor:
    """Mean of max(0, |a - p|^2 - |a - n|^2 + margin), all (T, D). `nn.TripletMarginLoss` has plain distances in their place."""
    gap = (anchors - positives).square().sum(dim=1) - (anchors - negatives).square().sum(dim=1)
    return functional.relu(gap + margin).mean()


def batch_triplet_loss(
    embeddings: Tensor,
    labels: Tensor,
    margin: float = 0.2,
    mining: Literal["all", "semi_hard", "hard"] = "semi_hard",
) -> Tensor:
    """The mean triplet loss of the triplets taken out of one batch. embeddings (N, D), labels (N,) of whole numbers.

    all:       every (anchor, positive, negative) of the batch, N^3 numbers of memory
    semi_hard: for each anchor and positive the nearest negative beyond the positive; where there is none, the farthest
    hard:      for each anchor the farthest positive and the nearest negative; may drive all rows to one point at first

    0, with gradient 0, for a batch without triplets (one class only, or one row of each).
    """
    distances = (embeddings[:, None] - embeddings[None]).square().sum(dim=-1)  # (N, N)
    other = labels[:, None] != labels[None]
    same = ~other & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    valid = same & other.any(dim=1, keepdim=True)  # (anchor, positive) with some negative
    measured = distances.detach()
    if mining == "hard":
        to_positive = distances.gather(1, measured.masked_fill(~same, -1).argmax(dim=1, keepdim=True))
        to_negative = distances.gather(1, measured.masked_fill(~other, torch.inf).argmin(dim=1, keepdim=True))
        losses, counted = functional.relu(to_positive - to_negative + margin), valid.any(dim=1, keepdim=True)
    elif mining == "semi_hard":
        outside = other[:, None, :] & (measured[:, None, :] > measured[:, :, None])  # (anchor, positive, negative)
        nearest = measured[:, None, :].masked_fill(~outside, torch.inf).argmin(dim=2)
        farthest = measured.masked_fill(~other, -1).argmax(dim=1, keepdim=True)
        chosen = torch.where(outside.any(dim=2), nearest, farthest)
        losses, counted = functional.relu(distances - distances.gather(1, chosen) + margin), valid
    else:
        losses = functional.relu(distances[:, :, None] - distances[:, None, :] + margin)
        counted = same[:, :, None] & other[:, None, :]
    return torch.where(counted, losses, torch.zeros_like(losses)).sum() / counted.sum().clamp(min=1)


def contrastive_loss(first: Tensor, second: Tensor, same: Tensor, margin: float = 1.0) -> Tensor:
    """Mean of d^2/2 for pairs of the same kind, max(0, margin - d)^2/2 for others. (N, D), (N, D), same (N,) of 1 and 0."""
    distances = torch.linalg.vector_norm(first - second, dim=1)  # its gradient is 0 where two rows are equal
    same = same.to(distances.dtype)
    return (same * distances.square() + (1 - same) * functional.relu(margin - distances).square()).mean() / 2


def pair_features(first: Tensor, second: Tensor, form: Literal["absolute", "chi_square"] = "absolute") -> Tensor:
    """|f - f'|, or (f - f')^2 / (f + f') for features from 0 on (0/0 is 0). Same shape as the two."""
    if form == "absolute":
        return (first - second).abs()
    total = first + second
    empty = total == 0
    return torch.where(empty, torch.zeros_like(total), (first - second).square() / total.masked_fill(empty, 1))


class PairVerification(nn.Module):
    """Logits (N,) that two rows of features (N, D) show the same person: w . features(f, f') + b (Taigman et al. 2014).

    Train it with `functional.binary_cross_entropy_with_logits`. The weights begin at -1/D, the bias at 0: a larger difference
    makes "the same" less probable.
    """

    def __init__(self, features: int, form: Literal["absolute", "chi_square"] = "absolute") -> None:
        super().__init__()
        self.form = form
        self.weight = nn.Parameter(torch.full((features,), -1 / features))
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        return pair_features(first, second, self.form) @ self.weight + self.bias


# --- pictures: features and pictures (N, C, H, W), the mean over N


def content_loss(features: Tensor, wanted: Tensor, scale: Literal["gatys", "sum", "course"] = "gatys") -> Tensor:
    """Squared difference of a layer's features, times 1/2, 1, or 1/(4 C H W)."""
    factor = {"gatys": 1 / 2, "sum": 1.0, "course": 1 / (4 * features[0].numel())}[scale]
    return factor * (features - wanted).square().sum() / len(features)


def gram_matrix(features: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, C, C): the products of channels, summed over the positions."""
    rows = features.flatten(2)
    return rows @ rows.transpose(1, 2)


def style_loss(features: Tensor, wanted_gram: Tensor, picture: tuple[int, int] | None = None) -> Tensor:
    """Squared difference of Gram matrices over 4 C^2 (H W)^2. wanted_gram: `gram_matrix` of the style's layer, computed once.

    picture: (height, width) of the whole picture: then C = 3 and H W are its pixels for every layer, as in the Keras example,
             whose style weights need that.
    """
    channels, height, width = (3, *picture) if picture else features.shape[1:]
    divisor = 4 * channels**2 * (height * width) ** 2
    return (gram_matrix(features) - wanted_gram).square().sum() / divisor / len(features)


def total_variation(pictures: Tensor, form: Literal["power", "squared", "absolute", "mean"] = "power") -> Tensor:
    """How much neighbouring pixels differ.

    power:    sum of (down^2 + right^2)^1.25 over all pixels but the last row and column (Keras)
    squared, absolute: sum of all squared, absolute differences
    mean:     mean squared vertical difference plus mean squared horizontal difference
    """
    down, right = pictures.diff(dim=-2), pictures.diff(dim=-1)
    if form == "mean":
        return down.square().mean() + right.square().mean()
    if form == "power":
        total = (down[..., :-1].square() + right[..., :-1, :].square()).pow(1.25).sum()
    elif form == "squared":
        total = down.square().sum() + right.square().sum()
    else:
        total = down.abs().sum() + right.abs().sum()
    return total / len(pictures)
