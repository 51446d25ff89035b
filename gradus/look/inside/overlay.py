"""Maps over pictures: brought back to the picture's own frame and size, coloured, blended, with a bar of the scale.

A network sees a picture stretched, cropped or padded to a square. Its map is a map of that square, so it is put where the square
lay in the picture; what was cropped away has no colour.
"""

from __future__ import annotations

import matplotlib
import numpy as np
import torch
from PIL import Image, ImageDraw

from gradus.look.inside.painting import as_rgb, font_of
from gradus.look.inside.sight import to_uint8
from gradus.look.inside.subject import Subject
from gradus.look.text import number

FOR_COLOURS = "turbo"  # 0 (dark blue) to 1 (red)
SIGNED_COLOURS = "RdBu_r"  # -1 (blue) to 1 (red)
BAR, GAP, LABELS = 12, 6, 44  # widths in pixels
SMALLEST_SHOWN = 200  # pixels: smaller pictures are enlarged to about this side
LARGEST_SHOWN = 1200
# maps of single pixels reach their strongest colour at this quantile, or one pixel would leave the rest pale
UPRIGHT = 0.99


def in_frame(
    shown: np.ndarray, subject: Subject, height: int, width: int, times: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """A map (h, w) of what the network saw -> float32 (height * times, width * times) over the picture, and where it was seen.

    Bilinear between the centres of the map's places; where the map is as fine as the network's pixels, each keeps its own value.
    """
    high, wide = subject.seen(height, width)
    across, covered_x = _along(width, wide, times)
    down, covered_y = _along(height, high, times)
    grid = torch.stack(
        [torch.from_numpy(across)[None].expand(len(down), -1), torch.from_numpy(down)[:, None].expand(-1, len(across))],
        dim=-1,
    )
    values = torch.from_numpy(np.ascontiguousarray(shown, dtype=np.float32))[None, None]
    mode = "nearest" if times > 1 and max(shown.shape) >= subject.size else "bilinear"
    placed = torch.nn.functional.grid_sample(
        values, grid[None].float(), mode=mode, padding_mode="border", align_corners=False
    )
    return placed[0, 0].numpy(), covered_y[:, None] & covered_x[None]


def _along(length: int, side: float, times: int) -> tuple[np.ndarray, np.ndarray]:
    """For each pixel of one side of the enlarged picture: where in the part seen it lies (-1..1), and whether it lies in it.

    side: of the part that is seen, in pixels of the picture
    """
    places = (np.arange(length * times) + 0.5) / times - (length - side) / 2
    relative = 2 * places / side - 1
    return relative, np.abs(relative) <= 1


def magnified(pixels: np.ndarray, subject: Subject) -> tuple[np.ndarray, int]:
    """uint8 RGB: a picture (H, W, C), each pixel repeated, and how many times: to a side of about `SMALLEST_SHOWN`, and so that
    what the network sees of it has as many pixels as the network takes; no side above `LARGEST_SHOWN` for that."""
    height, width = pixels.shape[:2]
    seen = min(subject.seen(height, width))
    wanted = max(round(SMALLEST_SHOWN / max(height, width)), int(np.ceil(subject.size / seen)))
    times = max(1, min(wanted, LARGEST_SHOWN // max(height, width)))
    return as_rgb(pixels).repeat(times, axis=0).repeat(times, axis=1), times


def overlaid(
    pixels: np.ndarray, values: np.ndarray, subject: Subject, *, fine: bool, signed: bool, opacity: float
) -> tuple[np.ndarray, float]:
    """A picture (H, W, C) below a map (h, w) of what was seen of it, and the value that has the strongest colour.

    fine: a map of single pixels, drawn over a pale picture; its colours are cut at the quantile `UPRIGHT`
    """
    large, times = magnified(pixels, subject)
    size = float(np.quantile(np.abs(values), UPRIGHT)) if fine else float(np.abs(values).max())
    scaled = values / size if size > 0 else np.zeros_like(values)  # an empty map stays empty
    height, width = pixels.shape[:2]
    placed, seen = in_frame(scaled, subject, height, width, times)
    return blend(large, placed, seen, signed=signed, opacity=opacity, faint=fine), size


def blend(
    picture: np.ndarray, values: np.ndarray, seen: np.ndarray, *, signed: bool, opacity: float, faint: bool
) -> np.ndarray:
    """uint8 RGB (H, W, 3): a picture uint8 (H, W, C) below the colours of values (H, W) in 0..1 (signed: -1..1).

    The stronger a value, the more it covers the picture, `opacity` (0..1) at most. faint: the picture is shown pale and grey, for
    maps of single pixels. Blended in float and clipped once, so nothing overflows.
    """
    below = as_rgb(picture).astype(np.float32) / 255
    if faint:
        below = 0.5 + 0.5 * below @ np.array([0.299, 0.587, 0.114], np.float32)[:, None].repeat(3, 1)
    strength = np.clip(np.abs(values), 0, 1)
    colours = matplotlib.colormaps[SIGNED_COLOURS if signed else FOR_COLOURS](
        0.5 + 0.5 * values if signed else np.clip(values, 0, 1)
    )[..., :3].astype(np.float32)
    cover = (opacity * strength ** (0.5 if faint else 0.7) * seen)[..., None]
    shown = below * (1 - cover) + colours * cover
    return to_uint8(np.where(seen[..., None], shown, 0.35 * below + 0.65))


def with_bar(picture: np.ndarray, low: float, high: float, *, signed: bool) -> np.ndarray:
    """The picture (H, W, 3) with a bar of the colours from `low` to `high` at its right, the ends written beside it."""
    height, width = picture.shape[:2]
    sheet = Image.fromarray(with_room(picture))
    scale = np.linspace(1, 0, height)[:, None].repeat(BAR, 1)
    colours = matplotlib.colormaps[SIGNED_COLOURS if signed else FOR_COLOURS](scale)[..., :3]
    sheet.paste(Image.fromarray(to_uint8(colours)), (width + GAP, 0))
    pen, font = ImageDraw.Draw(sheet), font_of(10)
    left = width + GAP + BAR + 3
    pen.text((left, 0), number(high, 2), fill="black", font=font)
    pen.text((left, height - 12), number(low, 2), fill="black", font=font)
    if signed:
        pen.text((left, height // 2 - 6), "0", fill="black", font=font)
    return np.asarray(sheet)


def with_room(picture: np.ndarray) -> np.ndarray:
    """The picture (H, W, 3) with as much white at its right as a bar takes."""
    return np.pad(picture, ((0, 0), (0, GAP + BAR + LABELS), (0, 0)), constant_values=255)


def strongest(values: np.ndarray, seen: np.ndarray) -> tuple[int, int]:
    """(row, column) of the largest value among the places that were seen."""
    at = int(np.where(seen, values, -np.inf).argmax())
    return at // values.shape[1], at % values.shape[1]
