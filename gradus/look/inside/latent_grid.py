"""The space of latents: pictures decoded on a grid of two of its numbers, and where pictures of the data lie in it."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from gradus.errors import UserError
from gradus.look.inside.maker import Maker
from gradus.look.inside.painting import CLASS_COLOURS, chart
from gradus.look.inside.sight import Panel, Sight, grid
from gradus.look.inside.subject import Picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ACTIVE = 0.01  # a latent number is used where its mean given the picture varies by more than that (Burda 2015 §5.2)


def latent_grid(
    maker: Maker,
    pictures: Sequence[Picture] = (),
    *,
    side: int = 15,
    low: float = 0.05,
    high: float = 0.95,
    axes: tuple[int, ...] = (),
    of_class: str = "",
) -> Sight:
    """side * side pictures (225 with 15): two latent numbers at evenly spaced quantiles, from `low` to `high`, of the Gaussian
    that they are drawn from, the others at its mean. Deep Learning with Python, listing 8-28.

    axes: which two; empty: 0 and 1, or of more than two those that vary most over the data

    Arrays: `latents` (side * side, L), `pictures` (side * side, H, W, C), from the upper left, row by row.
    """
    if side < 2 or not 0 < low < high < 1:
        raise UserError(
            f"latent-grid: expected side of 2 or more and 0 < low < high < 1, received {side}, {low}, {high}"
        )
    mean, deviation = maker.spread()
    across, up = chosen_axes(maker, axes, len(mean))
    quantiles = torch.tensor([NormalDist().inv_cdf(float(share)) for share in np.linspace(low, high, side)])
    latents = mean.repeat(side, side, 1)
    latents[:, :, across] = mean[across] + deviation[across] * quantiles[None, :]
    latents[:, :, up] = mean[up] + deviation[up] * quantiles.flip(0)[:, None]
    latents = latents.flatten(0, 1)
    made = maker.make(latents, maker.labels_for(len(latents), of_class), alike=True)
    title = f"{maker.name}: {len(made)} pictures of its space of latents"
    said = [
        f"Latent number {across} grows to the right, number {up} upwards, at quantiles {low:g} to {high:g} of a Gaussian"
        + (f"; the other {len(mean) - 2} stay at their mean." if len(mean) > 2 else ".")
    ]
    sight = Sight("latent-grid", title, said=said, arrays={"latents": latents.numpy(), "pictures": made})
    sight.panels.append(Panel("grid", title, grid(made, side, gap=0), magnify=magnified(made.shape[1] * side)))
    return sight


def magnified(side: int) -> int:
    """How many times as large a sheet of so many pixels is shown."""
    return max(1, round(800 / side))


def chosen_axes(maker: Maker, axes: Sequence[int], size: int) -> tuple[int, int]:
    """The two latent numbers that are moved. Raises `UserError` where there are no such two."""
    if size < 2:
        raise UserError(f"{maker.name}: it has one latent number, a grid takes two")
    if axes:
        if len(axes) != 2 or len({*axes}) != 2 or not all(0 <= axis < size for axis in axes):
            raise UserError(f"axes: expected two different numbers from 0 to {size - 1}, received {list(axes)}")
        return axes[0], axes[1]
    if size == 2 or not hasattr(maker.subject.model, "encode"):
        return 0, 1
    rows = maker.rows("train", 500, 0)
    first, second = maker.encode(rows.pixels, rows.labels).var(dim=0).topk(2).indices.tolist()
    return first, second


def latent_map(
    maker: Maker, pictures: Sequence[Picture] = (), *, split: str = "test", rows: int = 2000, seed: int = 0
) -> Sight:
    """Rows of a split as points where the network puts them, coloured by class; of more than two numbers, the two directions in
    which they vary most.

    Numbers: `active`, how many latent numbers are used (their means vary by more than 0.01 over the rows); `neighbour`, the share
    of rows whose nearest other row is of the same class.
    Arrays: `latents` (N, L), `points` (N, 2), `labels` (N,).
    """
    found = maker.rows(split, rows, seed)
    latents = maker.encode(found.pixels, found.labels).flatten(1)
    if len(latents) < 2:
        raise UserError("latent-map: it takes 2 rows or more")
    points = in_the_plane(latents)
    labels = found.labels.numpy()
    classes = maker.subject.classes or ()
    title = f"{maker.name}: where {len(points)} rows of {split} lie"
    sight = Sight("latent-map", title)
    sight.arrays = {"latents": latents.numpy(), "points": points, "labels": labels}
    sight.numbers["active"] = float((latents.var(dim=0) > ACTIVE).sum())
    used = f"{sight.numbers['active']:.0f} of {latents.shape[1]}"
    sight.said.append(f"Latent numbers that are used, which vary by more than {ACTIVE} over these rows: {used}.")
    if classes:
        distances = torch.cdist(latents, latents).fill_diagonal_(torch.inf)
        near = labels[distances.argmin(dim=1).numpy()]
        sight.numbers["neighbour"] = float((near == labels).mean())
        sight.said.append(f"The nearest other row is of the same class for {sight.numbers['neighbour']:.1%} of them.")

    def paint(axes: Axes, colours: dict[str, str]) -> None:
        for number in range(max(1, len(classes))):
            mine = points[labels == number] if classes else points
            colour = CLASS_COLOURS[number % len(CLASS_COLOURS)]
            label = classes[number] if classes else None
            axes.plot(*mine.T, ".", markersize=3, color=colour, label=label, alpha=0.8)
        axes.set_aspect("equal", "datalim")
        two = latents.shape[1] == 2
        axes.set(xlabel="latent 0" if two else "first direction", ylabel="latent 1" if two else "second direction")
        if classes:
            axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize=8, markerscale=3)

    sight.panels.append(chart("points", title, paint, size=(8.5, 7)))
    return sight


def in_the_plane(latents: Tensor) -> np.ndarray:
    """(N, L) -> (N, 2): the two numbers themselves, or the two principal components."""
    if latents.shape[1] == 2:
        return latents.numpy()
    centred = (latents - latents.mean(dim=0)).double()
    if latents.shape[1] == 1:
        return np.hstack([latents.numpy(), np.zeros((len(latents), 1))])
    *_, directions = torch.linalg.svd(centred, full_matrices=False)
    return (centred @ directions[:2].T).float().numpy()
