"""What an autoencoder makes of pictures, and the bounds of a variational one."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from gradus.errors import UserError
from gradus.look.inside.latent_grid import magnified
from gradus.look.inside.maker import AT_ONCE, Maker
from gradus.look.inside.sight import Panel, Sight, grid
from gradus.look.inside.subject import Picture

LEARNT_FROM = 5000  # training rows that the principal components are found from


def reconstructions(
    maker: Maker, pictures: Sequence[Picture] = (), *, count: int = 16, rows: int = 1000, seed: int = 0
) -> Sight:
    """Pictures above, what is made of them below; of a denoising autoencoder the damaged picture that it sees stands between.

    count: test rows that are shown, where no picture is given; rows: test rows that are measured

    Numbers: `squared error`, the mean of a pixel (0 to 1) over the measured rows, of the mean latent; `of components`, that of as
    many principal components as a latent has numbers, of 5 000 training rows; `of the damaged`, of what a denoising one sees.
    """
    measured = maker.rows("test", rows, seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        seen, made = _again(maker, measured.pixels, measured.labels)
        if pictures:
            originals, labels = maker.subject.pixels(pictures), maker.labels_of(pictures)
            shown = _again(maker, originals, labels)
        else:
            originals, shown = measured.pixels[:count].numpy(), (seen[:count], made[:count])
    whole = maker.pictures_of(maker.inputs(measured.pixels))
    latent = maker.encode(measured.pixels[:1], measured.labels[:1]).numel()
    sight = Sight("reconstructions", f"{maker.name}: pictures, and what it makes of them")
    sight.numbers["squared error"] = error_of(made, whole)
    train = maker.rows("train", LEARNT_FROM, seed)
    components = by_components(maker.pictures_of(maker.inputs(train.pixels)), whole, latent)
    sight.numbers["of components"] = float(((components - whole / 255.0) ** 2).mean())
    lines, names = [originals, shown[1]], "above the picture, below what is made of it"
    if _damages(maker):
        sight.numbers["of the damaged"] = error_of(seen, whole)
        lines, names = [originals, *shown], "the picture, what the network sees of it, what it makes of that"
    sight.said.append(f"From each latent of {latent} numbers: {names}.")
    sight.arrays = {"pictures": originals, "seen": shown[0], "made": shown[1]}
    sheet = np.concatenate(lines)
    wide = len(originals)
    sight.panels.append(Panel("sheet", sight.title, grid(sheet, wide), magnify=magnified(wide * sheet.shape[1])))
    return sight


def _damages(maker: Maker) -> bool:
    return getattr(maker.subject.model, "noise", "none") != "none"


def _again(maker: Maker, pixels: np.ndarray | Tensor, labels: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """What the network sees of pictures, and what it makes of them: uint8 (N, H, W, C) each."""
    seen, made = [], []
    model = maker.subject.model
    for start in range(0, len(pixels), AT_ONCE):
        given, told = maker.inputs(pixels[start : start + AT_ONCE]), labels[start : start + AT_ONCE]
        if _damages(maker):
            given = model.damage(given)  # type: ignore[operator]
        seen.append(maker.pictures_of(given))
        made.append(maker.make(maker.encode(seen[-1], told), told))
    return np.concatenate(seen), np.concatenate(made)


def error_of(made: np.ndarray, pictures: np.ndarray) -> float:
    """The mean squared error of a pixel, of uint8 pictures taken as 0 to 1."""
    return float((((made.astype(np.float64) - pictures) / 255) ** 2).mean())


def by_components(train: np.ndarray, test: np.ndarray, count: int) -> np.ndarray:
    """uint8 pictures (N, H, W, C) -> (M, H, W, C) from 0 to 1: `test` said again by `count` principal components of `train`."""
    known, given = (part.reshape(len(part), -1) / 255.0 for part in (train, test))
    mean = known.mean(axis=0)
    _, vectors = np.linalg.eigh((known - mean).T @ (known - mean))
    kept = vectors[:, ::-1][:, :count]
    return ((given - mean) @ kept @ kept.T + mean).reshape(test.shape)


def bound(
    maker: Maker,
    pictures: Sequence[Picture] = (),
    *,
    samples: int = 500,
    rows: int = 500,
    split: str = "test",
    seed: int = 0,
) -> Sight:
    """The importance-weighted bound of a variational autoencoder (Burda, Grosse and Salakhutdinov 2015): in nats a picture,
    E log((1/K) sum of p(x, z) / q(z | x)) over K latents z drawn from q. With K = 1 it is the elbo; it rises with K to log p(x).

    samples: the largest K; rows: of the split, chosen by the seed

    Numbers: the bound for K = 1, 5, 50, ... and, in the table, the standard error of each by the choice of the rows.
    """
    model = maker.subject.model
    if not hasattr(model, "log_weights"):
        raise UserError(f"{maker.name}: only a variational autoencoder has these bounds")
    if samples < 1 or rows < 2:
        raise UserError(f"bound: expected 1 sample and 2 rows or more, received {samples} and {rows}")
    found = maker.rows(split, rows, seed)
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        torch.manual_seed(seed)
        at_once = max(1, 20_000 // samples)
        weights = torch.cat(
            [
                model.log_weights(  # type: ignore[operator]
                    _given(maker, found.pixels[start : start + at_once], found.labels[start : start + at_once]), samples
                )
                .double()
                .cpu()
                for start in range(0, len(found), at_once)
            ],
            dim=1,
        )
    title = f"{maker.name}: bounds on the log-likelihood of {len(found)} rows of {split}"
    sight = Sight("bound", title, arrays={"log_weights": weights.numpy()})
    lines = []
    for size in [size for size in (1, 5, 50, 500, 5000) if size < samples] + [samples]:
        each = bounds_of(weights, size)
        error = float(each.std() / math.sqrt(len(each)))
        sight.numbers[f"K = {size}"] = float(each.mean())
        lines.append([str(size), f"{each.mean():.2f}", f"{error:.2f}"])
    sight.tables.append(("Nats a picture", ["K", "bound", "standard error"], lines))
    grey = "Its pictures are 0 and 1: these are log-probabilities." if maker.binary else ""
    density = "Its pixels have a Gaussian density: these are log-densities, and can be above 0."
    kind = density if getattr(model, "likelihood", "") == "gaussian" else grey
    sight.said.append(kind or "Its pictures are grey: no probabilities of anything (docs/autoencoders.md).")
    return sight


def _given(maker: Maker, pixels: Tensor, labels: Tensor) -> Tensor | tuple[Tensor, Tensor]:
    inputs = maker.inputs(pixels)
    return (inputs, labels.to(inputs.device)) if maker.conditional else inputs


def bounds_of(log_weights: Tensor, size: int) -> Tensor:
    """(samples, N) -> (N,): the mean over groups of `size` samples of log mean exp; what does not fill a group is left out."""
    groups = log_weights[: len(log_weights) // size * size].view(-1, size, log_weights.shape[1])
    return (groups.logsumexp(dim=1) - math.log(size)).mean(dim=0)
