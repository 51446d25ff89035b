"""What is shown of an optimisation of pixels: the pictures on its way, its losses, its time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from gradus.data.images import resize
from gradus.errors import UserError
from gradus.look.charts import SERIES, short_number
from gradus.look.inside.painting import chart
from gradus.look.inside.pixels import Made
from gradus.look.inside.sight import Panel, Sight, grid, to_uint8
from gradus.look.inside.subject import Picture, Subject
from gradus.look.text import number
from gradus.models import smallest_image_size

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STRIP = 1200  # the most pixels a strip is wide


def picture_of(subject: Subject, picture: Picture, height: int) -> Tensor:
    """(1, C, height, width) of 0..1 on the subject's device, its aspect kept. Raises `UserError` where the network needs more."""
    if height < 1:
        raise UserError(f"height: expected 1 pixel or more, received {height}")
    width = max(1, round(picture.pixels.shape[1] * height / picture.pixels.shape[0]))
    check_size(subject, height, width, picture.name)
    pixels = torch.from_numpy(resize(picture.pixels, (height, width)).copy()).to(subject.device)
    return pixels.permute(2, 0, 1)[None].to(torch.float32) / 255


def check_size(subject: Subject, height: int, width: int, name: str) -> None:
    least = smallest_image_size(subject.model)
    if min(height, width) < least:
        raise UserError(f"{name} at {height} x {width}: {subject.name} needs at least {least} pixels on each side")


@contextmanager
def told_sizes(subject: Subject) -> Iterator[None]:
    """Tells in one sentence where layers that were chosen take pictures of one size only."""
    try:
        yield
    except RuntimeError as error:
        side = getattr(subject.model, "image_size", None)
        if not isinstance(side, int) or isinstance(error, torch.OutOfMemoryError):
            raise
        raise UserError(
            f"{subject.name} is made for pictures of {side} x {side}; name layers before its dense ones (`structure` lists them)"
        ) from None


def as_array(picture: Tensor) -> np.ndarray:
    """(1, C, H, W) -> float32 (H, W, C) of 0..1, clipped."""
    return picture[0].detach().clamp(0, 1).permute(1, 2, 0).float().cpu().numpy()


def panel(name: str, title: str, picture: Tensor, note: str = "") -> Panel:
    """A picture of 0..1 at its own size."""
    return Panel(name, title, to_uint8(as_array(picture)), note)


def strip(pictures: dict[str, Tensor]) -> Panel:
    """Pictures of one size side by side; their words in the title."""
    tiles = [to_uint8(as_array(picture)) for picture in pictures.values()]
    height, width = tiles[0].shape[:2]
    shrink = min(1.0, STRIP / (width * len(tiles)))
    size = (max(1, round(height * shrink)), max(1, round(width * shrink)))
    row = grid(np.stack([resize(tile, size) for tile in tiles]), columns=len(tiles), gap=4)
    return Panel("strip", f"On the way: {', '.join(pictures)}", row)


def losses_chart(made: Made, evaluations: int) -> Panel:
    """Every term of the loss against the iteration."""
    names = [name for name, values in made.history.items() if max(values) > 0]
    roles = dict(zip(names, SERIES, strict=False))

    def paint(axes: Axes, colours: dict[str, str]) -> None:
        from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

        for name, role in roles.items():
            values = np.array(made.history[name])
            places = (1 + np.arange(len(values))) / evaluations
            axes.plot(places, np.where(values > 0, values, np.nan), color=colours[role], label=name)
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(numticks=6))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(short_number))
        axes.set_xlabel("iteration")
        axes.grid(visible=False, axis="x")
        if len(names) > 1:
            axes.legend(frameon=False, fontsize=9)

    return chart("losses", "Losses, with their weights", paint)


def tell(sight: Sight, made: Made, evaluations: int, settings: dict[str, Any]) -> Sight:
    """Adds the result's losses, time and settings to a sight: what all looks made by `descend` say alike."""
    losses = made.losses()
    terms = made.history if len(made.history) > 1 else {}
    if made.why:
        sight.said.append(f"It ended after {made.iterations} iterations: {made.why}.")
    sight.panels.append(losses_chart(made, evaluations))
    sight.numbers |= {
        "loss_at_start": losses[0],
        "loss": made.loss,
        **{f"loss_{name}": values[-1] for name, values in terms.items()},
        "evaluations": made.evaluations,
        "seconds": made.seconds,
        "seconds_an_evaluation": made.seconds / made.evaluations,
    }
    sight.arrays |= {"loss": np.array(losses)} | {f"loss_{name}": np.array(values) for name, values in terms.items()}
    rows = [[name, _written(value)] for name, value in settings.items()]
    sight.tables.append(("Settings", ["setting", "value"], rows))
    return sight


def _written(value: Any) -> str:
    if isinstance(value, float):
        return number(value, 4)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(_written(one) for one in value)
    return str(value)
