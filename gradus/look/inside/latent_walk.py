"""Ways through the space of latents: from one picture to the next, and along a direction that stands for an attribute."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gradus.errors import UserError
from gradus.look.inside.latent_grid import magnified
from gradus.look.inside.maker import Maker
from gradus.look.inside.sight import Panel, Sight, grid
from gradus.look.inside.subject import Picture, Rows
from gradus.look.page import element

Way = Literal["", "line", "arc"]
MEASURED = ("ink", "slant")  # attributes that can be measured in a picture


def walk(
    maker: Maker,
    pictures: Sequence[Picture] = (),
    *,
    steps: int = 12,
    stops: int = 4,
    way: Way = "",
    of_class: str = "",
    rows: int = 2000,
    seed: int = 0,
) -> Sight:
    """A way from picture to picture, or from class to class, or from one drawn latent to the next, in `steps` pictures each; as
    rows of pictures, and as a GIF that goes there and back.

    pictures: two or more, for a network that reads pictures
    of_class: two or more names: it goes from the mean of one class to that of the next
    stops:    drawn latents, where neither is given
    way:      "line" or "arc" (White 2016); empty: lines between latents that were read, arcs between drawn ones, whose lengths
              are all alike
    rows:     of the test split, for the means of classes

    Numbers: the mean change of a pixel (of 255) between neighbours on the way, and the largest.
    """
    if steps < 2:
        raise UserError(f"walk: steps: expected 2 or more, received {steps}")
    names = [name.strip() for name in of_class.split(",") if name.strip()]
    labels = None
    if len(pictures) == 1 or (not pictures and len(names) == 1 and not maker.conditional):
        raise UserError("walk: from where to where? Give two pictures or more, two classes, or none at all")
    if pictures:
        labels = maker.labels_of(pictures)
        points, titles = maker.encode(maker.subject.pixels(pictures), labels), [one.name for one in pictures]
    elif len(names) > 1:
        points, titles = _means_of(maker, names, rows, seed), names
        labels = torch.tensor([maker.class_of(name) for name in names])
    else:
        if stops < 2:
            raise UserError(f"walk: stops: expected 2 or more, received {stops}")
        points, titles = maker.draw(stops, seed), [f"latent {number}" for number in range(stops)]
        labels = maker.labels_for(stops, of_class)
    along = between if (way or ("line" if pictures or len(names) > 1 else "arc")) == "line" else around
    shares = torch.linspace(0, 1, steps)
    strips, changes = [], []
    for first in range(len(points) - 1):
        told = None if labels is None else labels[first].expand(steps)
        made = maker.make(along(points[first], points[first + 1], shares), told, seed, alike=True)
        strips.append(made)
        changes += np.abs(np.diff(made.astype(np.float64), axis=0)).mean(axis=(1, 2, 3)).tolist()
    title = f"{maker.name}: a walk from {' to '.join(titles)}"
    sight = Sight("walk", title, arrays={"pictures": np.stack(strips), "latents": points.numpy()})
    sight.numbers = {"mean change": float(np.mean(changes)), "largest change": float(np.max(changes))}
    sheet = np.concatenate(strips)
    sight.panels.append(Panel("strip", title, grid(sheet, steps), magnify=magnified(steps * sheet.shape[1])))
    moving = animation([*sheet, *sheet[::-1]])
    sight.files["walk.gif"] = moving
    source = f"data:image/gif;base64,{base64.b64encode(moving).decode()}"
    sight.first = element("p", element("img", src=source, alt=title, style="width:12rem;image-rendering:pixelated"))
    return sight


def between(first: Tensor, last: Tensor, shares: Tensor) -> Tensor:
    """(N, ...) points at `shares` (N,) of the straight line."""
    shares = shares.view(-1, *[1] * first.ndim)
    return first * (1 - shares) + last * shares


def around(first: Tensor, last: Tensor, shares: Tensor) -> Tensor:
    """(N, ...) points at `shares` (N,) of the arc around 0 (Shoemake 1985): of points of one length, all have that length."""
    cosine = (first * last).sum() / (first.norm() * last.norm()).clamp(min=1e-12)
    angle = torch.acos(cosine.clamp(-1, 1))
    if float(angle.sin()) < 1e-4:
        return between(first, last, shares)
    shares = shares.view(-1, *[1] * first.ndim)
    return (((1 - shares) * angle).sin() * first + (shares * angle).sin() * last) / angle.sin()


def animation(frames: Sequence[np.ndarray], milliseconds: int = 90, least: int = 140) -> bytes:
    """A GIF that never ends, of uint8 (H, W, C), each enlarged to about `least` pixels."""
    times = max(1, round(least / frames[0].shape[0]))
    pages = [
        Image.fromarray(frame.repeat(times, axis=0).repeat(times, axis=1).squeeze()).convert("P") for frame in frames
    ]
    written = io.BytesIO()
    pages[0].save(
        written, format="gif", save_all=True, append_images=pages[1:], duration=milliseconds, loop=0, disposal=2
    )
    return written.getvalue()


def _means_of(maker: Maker, names: Sequence[str], count: int, seed: int) -> Tensor:
    rows = maker.rows("test", count, seed)
    latents = maker.encode(rows.pixels, rows.labels)
    return torch.stack([_mean_where(latents, rows.labels == maker.class_of(name), name) for name in names])


def _mean_where(latents: Tensor, chosen: Tensor, name: str) -> Tensor:
    if not bool(chosen.any()):
        raise UserError(f"class {name}: none of the rows is of it; take more with --set rows=N")
    return latents[chosen].mean(dim=0)


def arithmetic(
    maker: Maker,
    pictures: Sequence[Picture] = (),
    *,
    attribute: str = "ink",
    without: str = "",
    strengths: tuple[float, ...] = (-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5),
    rows: int = 2000,
    count: int = 6,
    seed: int = 0,
) -> Sight:
    """Adds an attribute to pictures, and takes it away: latent + strength * direction, decoded.

    attribute: "ink" (how much of the picture is bright) or "slant", which are measured: the direction leads from the mean of the
               quarter of the rows with least of it to that of the quarter with most, class by class; or the name of a class: from
               the mean of the class `without` (empty: of all others) to its mean
    rows:      of the test split, for the means
    count:     pictures that are changed, where none is given

    Numbers, over 200 rows: for a measured attribute its mean at each strength; for a class the share of changed pictures that lie
    nearest to that class's mean when they are read again.
    """
    found = maker.rows("test", rows, seed)
    latents = maker.encode(found.pixels, found.labels)
    direction, measure, start = _direction(maker, latents, found, attribute, without)
    examined = start[:200]
    labels = found.labels
    sight = Sight("arithmetic", f"{maker.name}: {attribute} added and taken away")
    for strength in strengths:
        changed = maker.make(latents[examined] + strength * direction, labels[examined], seed, alike=True)
        sight.numbers[f"{measure.name} at {strength:+g}"] = measure.of(changed, labels[examined])
    if pictures:
        shown, told = maker.subject.pixels(pictures), maker.labels_of(pictures)
        points = maker.encode(shown, told)
    else:
        chosen = start[:count]
        shown, told, points = found.pixels[chosen].numpy(), labels[chosen], latents[chosen]
    strips = []
    for row, point in enumerate(points):
        ways = torch.stack([point + strength * direction for strength in strengths])
        strips.append(
            np.concatenate([shown[row][None], maker.make(ways, told[row].expand(len(ways)), seed, alike=True)])
        )
    times = ", ".join(f"{strength:+g}" for strength in strengths)
    sight.said.append(f"Left the picture, then what is made of its latent with {times} times the direction.")
    sheet = np.concatenate(strips)
    sight.arrays = {"direction": direction.numpy(), "pictures": np.stack(strips)}
    wide = len(strengths) + 1
    sight.panels.append(Panel("sheet", sight.title, grid(sheet, wide), magnify=magnified(wide * sheet.shape[1])))
    return sight


class _Measure:
    """How much of an attribute pictures have: uint8 (N, H, W, C) -> their mean."""

    def __init__(self, name: str, maker: Maker, means: Tensor | None = None, wanted: int = 0) -> None:
        self.name, self.maker, self.means, self.wanted = name, maker, means, wanted

    def of(self, pictures: np.ndarray, labels: Tensor) -> float:
        if self.means is None:
            return float(np.mean(MEASURES[self.name](pictures)))
        read = self.maker.encode(pictures, labels).flatten(1)
        return float((torch.cdist(read, self.means).argmin(dim=1) == self.wanted).float().mean())


def _direction(
    maker: Maker, latents: Tensor, rows: Rows, attribute: str, without: str
) -> tuple[Tensor, _Measure, Tensor]:
    """The direction, what is measured of it, and the numbers of the rows that it is tried on."""
    labels = rows.labels
    if attribute in MEASURED:
        if without:
            raise UserError(f"without: it is for classes; {attribute} is measured in the pictures")
        values = torch.from_numpy(MEASURES[attribute](rows.pixels.numpy()))
        return _quarters(latents, values, labels), _Measure(attribute, maker), torch.arange(len(labels))
    if attribute not in (maker.subject.classes or ()):
        known = ", ".join((*MEASURED, *(maker.subject.classes or ())))
        raise UserError(f"attribute: expected one of {known}, received '{attribute}'")
    if without == attribute:
        raise UserError(f"without: expected another class than the attribute's, received '{without}' for both")
    wanted = maker.class_of(attribute)
    others = labels == maker.class_of(without) if without else labels != wanted
    direction = _mean_where(latents, labels == wanted, attribute) - _mean_where(latents, others, without or "any other")
    present = labels.unique().tolist()
    means = torch.stack([latents[labels == number].mean(dim=0).flatten() for number in present])
    measure = _Measure(f"read as {attribute}", maker, means, present.index(wanted))
    return direction, measure, others.nonzero().flatten()


def _quarters(latents: Tensor, values: Tensor, labels: Tensor) -> Tensor:
    """Mean over the classes of mean(latents of the quarter with most) - mean(of the quarter with least)."""
    found = []
    for number in labels.unique().tolist():
        mine = (labels == number).nonzero().flatten()
        quarter = len(mine) // 4
        if quarter:
            order = mine[values[mine].argsort()]
            found.append(latents[order[-quarter:]].mean(dim=0) - latents[order[:quarter]].mean(dim=0))
    if not found:
        raise UserError("arithmetic: too few rows; take more with --set rows=N")
    return torch.stack(found).mean(dim=0)


def ink(pictures: np.ndarray) -> np.ndarray:
    """uint8 (N, H, W, C) -> (N,): the mean brightness, 0 to 1."""
    return pictures.reshape(len(pictures), -1).mean(axis=1) / 255


def slant(pictures: np.ndarray) -> np.ndarray:
    """uint8 (N, H, W, C) -> (N,): pixels to the right for each pixel upwards, by the second moments of the brightness."""
    light = pictures.astype(np.float64).mean(axis=3)
    total = light.sum(axis=(1, 2)).clip(min=1e-9)
    down, right = (np.arange(size, dtype=np.float64) for size in light.shape[1:])
    x = (light * right).sum(axis=(1, 2)) / total
    y = (light * down[:, None]).sum(axis=(1, 2)) / total
    dx, dy = right[None, None, :] - x[:, None, None], y[:, None, None] - down[None, :, None]
    return (light * dx * dy).sum(axis=(1, 2)) / (light * dy**2).sum(axis=(1, 2)).clip(min=1e-9)


MEASURES = {"ink": ink, "slant": slant}
