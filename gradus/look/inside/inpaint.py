"""Filling in what is missing of a picture by a network that makes pictures (Yeh et al. 2016, arXiv 1607.07539).

The latent z is looked for whose picture agrees with what is left and is a likely one:

    contextual(z) = sum over pixels of w |G(z) - y|      prior(z) = log(1 - D(G(z))), or |z|^2 / 2 where there is no judge
    z* = argmin contextual + strength * prior

w is 0 where the picture y is missing; elsewhere the share of missing pixels in the window around, so that what borders on a hole
counts most. Then G(z*) is set into the hole by its differences (Poisson blending, Perez 2003), so that no seam shows.

Different from the paper: several latents are looked for at once, and the one with the least sum is taken. In it, pictures are cut
to their middle 64x64 pixels, which are kept; what is missing is a block in their middle, or 80 % of the pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from scipy import sparse
from scipy.sparse.linalg import spsolve
from torch import Tensor, nn
from torch.nn import functional

from gradus.errors import UserError
from gradus.look.inside.maker import Maker
from gradus.look.inside.sight import Panel, Sight, grid
from gradus.look.inside.subject import Picture

WINDOW = 7  # pixels, of the weights
HIDDEN = 128  # the grey of what is missing, where it is shown
Missing = Literal["random", "center"]


def inpaint(
    maker: Maker,
    pictures: Sequence[Picture] = (),
    *,
    missing: Missing = "center",
    share: float = 0.0,
    strength: float = 0.003,
    steps: int = 300,
    starts: int = 4,
    learning_rate: float = 0.03,
    count: int = 8,
    of_class: str = "",
    seed: int = 0,
) -> Sight:
    """What a network puts where pictures are damaged: the picture, what is left of it, the network's own, and that blended in.

    missing:  "center", a square in the middle, or "random", pixels anywhere
    share:    of the pixels that are missing; 0: a quarter of the picture, or 0.8 of random pixels
    strength: of the prior, lambda in the paper
    steps, learning_rate: of Adam, on the latents
    starts:   latents that are begun from, for each picture
    count:    rows of the test split, where no picture is given
    of_class: of the pictures, for a network that is told classes; empty: their own

    Numbers: the mean error of a missing pixel (of 255), restored, and with every missing pixel as the mean of those left.
    """
    if missing not in ("center", "random"):
        raise UserError(f"inpaint: missing: expected center or random, received '{missing}'")
    if not 0 <= share < 1 or steps < 1 or starts < 1:
        raise UserError("inpaint: expected a share from 0 to below 1, and 1 or more steps and starts")
    pixels, labels = _chosen(maker, pictures, count, seed)
    side = pixels.shape[1]
    shape = (len(pixels), side, pixels.shape[2])
    kept = random_mask(shape, share or 0.8, seed) if missing == "random" else center_mask(shape, share or 0.25)
    if not all(0 < mask.sum() < mask.size for mask in kept):
        raise UserError(
            f"inpaint: share: {share:g} of {side}x{shape[2]} pixels leaves nothing to fill in, or nothing to go by"
        )
    wanted = maker.inputs(pixels)
    told = maker.told(maker.labels_for(len(pixels), of_class) if of_class else labels)
    options: dict[str, Any] = {"strength": strength, "steps": steps, "starts": starts}
    made = search(maker, wanted, torch.from_numpy(kept), told, learning_rate=learning_rate, seed=seed, **options)
    restored = np.stack([blend(*each) for each in zip(pixels, made, kept, strict=True)])
    damaged = np.where(kept[..., None], pixels, HIDDEN).astype(np.uint8)
    rows = np.stack([pixels, damaged, made, restored])
    hole = ~kept
    mean = np.stack([p[k].mean(axis=0, keepdims=True) for p, k in zip(pixels, kept, strict=True)])[:, None]
    errors = {
        "error of a missing pixel": np.abs(restored.astype(float) - pixels)[hole].mean(),
        "with the mean in its place": np.abs(mean - pixels)[hole].mean(),
        "share missing": hole.mean(),
    }
    title = f"{maker.name}: what was missing"
    sight = Sight("inpaint", title, arrays={"pictures": rows, "kept": kept})
    sight.numbers = {name: float(value) for name, value in errors.items()}
    sight.said = [
        "From top to bottom: the picture; what is left of it; the network's own picture that agrees best; that set in."
    ]
    magnify = max(1, 560 // (len(pixels) * side))
    sight.panels = [Panel(missing, title, grid(rows.reshape(-1, *rows.shape[2:]), len(pixels)), magnify=magnify)]
    return sight


def _chosen(maker: Maker, pictures: Sequence[Picture], count: int, seed: int) -> tuple[np.ndarray, Tensor | None]:
    if pictures:
        labels = maker.labels_of(pictures)
        return maker.subject.pixels(pictures), labels if maker.conditional else None
    rows = maker.rows("test", count, seed)
    return np.asarray(rows.pixels), rows.labels if maker.conditional else None


def center_mask(shape: tuple[int, int, int], share: float) -> np.ndarray:
    """(N, H, W) bool, False in a rectangle in the middle that is `share` of the picture."""
    _, height, width = shape
    high, wide = (max(1, round(side * share**0.5)) for side in (height, width))
    kept = np.ones(shape, dtype=bool)
    top, left = (height - high) // 2, (width - wide) // 2
    kept[:, top : top + high, left : left + wide] = False
    return kept


def random_mask(shape: tuple[int, int, int], share: float, seed: int) -> np.ndarray:
    """(N, H, W) bool, False for `share` of the pixels of each picture."""
    count, height, width = shape
    kept = np.ones((count, height * width), dtype=bool)
    generator = np.random.default_rng(seed)
    for row in kept:
        row[generator.permutation(height * width)[: round(share * height * width)]] = False
    return kept.reshape(shape)


def weights_of(kept: Tensor) -> Tensor:
    """kept (N, H, W) bool -> the weights of the contextual loss: 0 where missing, else the share of missing pixels around."""
    missing = (~kept)[:, None].float()
    pad = WINDOW // 2
    inside = functional.avg_pool2d(torch.ones_like(missing), WINDOW, 1, pad, count_include_pad=True)
    around = functional.avg_pool2d(missing, WINDOW, 1, pad, count_include_pad=True) / inside
    return around[:, 0] * kept


def search(
    maker: Maker,
    wanted: Tensor,
    kept: Tensor,
    classes: Tensor | None,
    *,
    strength: float,
    steps: int,
    starts: int,
    learning_rate: float,
    seed: int,
) -> np.ndarray:
    """uint8 (N, H, W, C): for each picture wanted (N, C, H, W) the one that the network makes of the best latent."""
    model, count = maker.subject.model, len(wanted)
    weights = weights_of(kept).to(wanted)[:, None].repeat(starts, 1, 1, 1)
    goal = wanted.repeat(starts, 1, 1, 1)
    told = None if classes is None else classes.repeat(starts)
    latents = maker.draw(count * starts, seed).to(wanted.device).requires_grad_()
    farthest = float(latents.detach().abs().max())  # latents stay within what can be drawn
    learns = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam([latents], learning_rate)
    for parameter in learns:
        parameter.requires_grad_(False)
    try:
        for _ in range(steps):
            made = model.generate(latents, told, torch.Generator().manual_seed(seed))  # type: ignore[operator]
            if not made.requires_grad:
                raise UserError(f"{maker.name}: what this network makes has no gradient by its latents")
            loss = cost(model, made, goal, weights, latents, told, strength)
            optimizer.zero_grad()
            loss.sum().backward()
            optimizer.step()
            with torch.no_grad():
                latents.clamp_(-farthest, farthest)
        with torch.no_grad():
            made = model.generate(latents, told, torch.Generator().manual_seed(seed))  # type: ignore[operator]
            best = cost(model, made, goal, weights, latents, told, strength).view(starts, count).argmin(dim=0)
            places = best * count + torch.arange(count, device=best.device)
            return maker.pictures_of(made[places])
    finally:
        for parameter in learns:
            parameter.requires_grad_(True)


def cost(
    model: nn.Module,
    made: Tensor,
    goal: Tensor,
    weights: Tensor,
    latents: Tensor,
    classes: Tensor | None,
    strength: float,
) -> Tensor:
    """(N,) contextual loss and `strength` times the prior of each picture."""
    contextual = (weights * (made - goal).abs()).flatten(1).sum(dim=1)
    if hasattr(model, "judge"):
        prior = -functional.softplus(model.judge(made, classes))  # type: ignore[operator]
    else:
        prior = 0.5 * latents.square().flatten(1).sum(dim=1)
    return contextual + strength * prior


def blend(picture: np.ndarray, made: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """uint8 (H, W, C): `picture` where it is kept; elsewhere what has the differences of `made` between neighbours.

    The least squares of (x_i - x_j) - (made_i - made_j) over neighbours i, j of which one is missing: Poisson's equation with
    what is kept as its border, and nothing beyond the picture's edge. A picture of which nothing is kept is `made`.
    """
    if not kept.any():
        return made
    height, width, channels = picture.shape
    number = np.full((height, width), -1)
    number[~kept] = np.arange((~kept).sum())
    indices = np.arange(height * width).reshape(height, width)
    pairs = np.concatenate(
        [
            np.stack([indices[:, :-1].ravel(), indices[:, 1:].ravel()], axis=1),
            np.stack([indices[:-1].ravel(), indices[1:].ravel()], axis=1),
        ]
    )
    pairs = np.concatenate([pairs, pairs[:, ::-1]])
    flat = number.ravel()
    pairs = pairs[flat[pairs[:, 0]] >= 0]  # one equation for each missing pixel: a sum over its neighbours
    unknown, other = flat[pairs[:, 0]], flat[pairs[:, 1]]
    size = int((~kept).sum())
    if not size:
        return picture
    diagonal = sparse.csr_matrix((np.ones(len(unknown)), (unknown, unknown)), (size, size))
    both = other >= 0
    beside = sparse.csr_matrix((np.ones(both.sum()), (unknown[both], other[both])), (size, size))
    values, guide = picture.reshape(-1, channels).astype(float), made.reshape(-1, channels).astype(float)
    right = np.zeros((size, channels))
    np.add.at(right, unknown, guide[pairs[:, 0]] - guide[pairs[:, 1]])
    np.add.at(right, unknown[~both], values[pairs[~both, 1]])
    solved = np.asarray(spsolve((diagonal - beside).tocsc(), right)).reshape(size, channels)
    result = picture.astype(float)
    result[~kept] = solved
    return np.clip(np.rint(result), 0, 255).astype(np.uint8)
