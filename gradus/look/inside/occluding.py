"""Why, by covering: how much the score falls when a patch of the picture is hidden (Zeiler and Fergus 2013)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gradus.look.inside.hooks import parts
from gradus.look.inside.scores import ScoreKind, evaluating


@torch.no_grad()
def occlusion(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    *,
    patch: int,
    stride: int,
    fill: Tensor,
    kind: ScoreKind = "score",
) -> Tensor:
    """One picture (1, C, H, W) and targets (K,) -> (K, H, W): at each place the mean fall of a class's score over the patches
    that cover it. Positive: what was hidden spoke for the class.

    patch, stride: in pixels of the inputs; the last patch of a row or column is moved back to end at the border, so that every
    place is covered where stride <= patch. fill: what the patch shows, (1, C, 1, 1) or (1, C, H, W)
    """
    height, width = inputs.shape[2:]
    tops, lefts = _starts(height, patch, stride), _starts(width, patch, stride)
    rows, columns = _covered(height, tops, patch).to(inputs.device), _covered(width, lefts, patch).to(inputs.device)
    places = torch.cartesian_prod(torch.arange(len(tops)), torch.arange(len(lefts))).to(inputs.device)
    falls = []
    with evaluating(model):
        whole = _scores(model(inputs), kind)[:, targets]
        for part in parts(len(places)):
            down, across = rows[places[part, 0]], columns[places[part, 1]]
            hidden = down[:, None, :, None] & across[:, None, None, :]
            falls.append(whole - _scores(model(torch.where(hidden, fill, inputs)), kind)[:, targets])
    by_place = torch.cat(falls).T.reshape(len(targets), len(tops), len(lefts))
    total = torch.einsum("kij,ih,jw->khw", by_place, rows.to(by_place.dtype), columns.to(by_place.dtype))
    return total / (rows.sum(0)[:, None] * columns.sum(0)[None]).clamp(min=1)


def _scores(outputs: Tensor, kind: ScoreKind) -> Tensor:
    return outputs.softmax(1) if kind == "probability" else outputs


def _starts(length: int, patch: int, stride: int) -> list[int]:
    starts = list(range(0, max(length - patch, 0) + 1, stride))
    return starts if starts[-1] + patch >= length else [*starts, length - patch]


def _covered(length: int, starts: list[int], patch: int) -> Tensor:
    """(patches, length): which places each patch covers."""
    places = torch.arange(length)
    first = torch.tensor(starts)[:, None]
    return (places >= first) & (places < first + patch)
