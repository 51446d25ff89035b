"""What every layer holds while a picture passes: maps as grids, vectors as strips, and how sparse they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from torch import nn

from gradus.errors import UserError
from gradus.look.inside.hooks import layers, outputs_of
from gradus.look.inside.painting import as_rgb, captioned, chart, coloured, enlarged
from gradus.look.inside.scores import rank_correlation
from gradus.look.inside.sight import Panel, Sight
from gradus.look.inside.subject import Picture, Subject
from gradus.look.text import number, percent

Scale = Literal["channel", "layer"]
Order = Literal["number", "strongest"]
MOST = 16  # pictures
TILE = 40  # pixels of the smallest tile
BLANK = 225  # grey of a channel that is the same everywhere
STRIP = 100  # values of a vector in one row of its strip
SILENT = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.Identity, nn.Flatten)


def activations(
    subject: Subject,
    pictures: Sequence[Picture],
    *,
    layer: str = "",
    channels: int = 64,
    order: Order = "number",
    scale: Scale = "channel",
) -> Sight:
    """The outputs of every layer, or of one, for each picture. The network is in evaluation mode, so dropout is off.

    layer:    a layer's or stage's name; all where none is given
    channels: the most that are shown of a layer; 0: all
    order:    of the channels: as they are numbered, or those with the largest mean magnitude first
    scale:    channel: each by its own mean and deviation; layer: all from the smallest to the largest value of the layer

    Arrays: each layer's outputs (pictures, ...), unchanged, and `zeros`: their share by layer. With two or more pictures also
    `change`: how far each layer's outputs are from those of the first picture, as a share of their length.
    """
    if channels < 0:
        raise UserError(f"activations.channels: expected 1 or more, or 0 for all, received {channels}")
    if len(pictures) > MOST:
        raise UserError(
            f"activations: at most {MOST} pictures, as every layer is kept for each; received {len(pictures)}"
        )
    chosen = {layer: subject.layer(layer)} if layer else layers(subject.model)
    chosen = {name: module for name, module in chosen.items() if layer or not isinstance(module, SILENT)}
    kept = outputs_of(subject.model, chosen, subject.inputs(pictures))
    outputs = {name: output.float().cpu().numpy() for name, output in kept.items()}
    sight = Sight("activations", f"What the layers of {subject.name} hold", arrays=dict(outputs))
    sight.panels.append(_seen(subject, pictures))
    for index, picture in enumerate(pictures):
        for name, output in outputs.items():
            before = f"{index + 1}-" if len(pictures) > 1 else ""
            shown, note = draw_output(output[index], channels, order, scale)
            title = f"{name}, {type(chosen[name]).__name__}: {note}"
            title = f"{picture.name}: {title}" if len(pictures) > 1 else title
            sight.panels.append(Panel(before + name.replace(".", "-"), title, shown, titled=True))
    sight.said.append(
        "Bright is much, dark is little"
        + (", in each channel by its own mean and deviation" if scale == "channel" else ", on one scale a layer")
        + "; a grey tile is a channel that is the same everywhere. Numbers count from 0."
    )
    _measure(sight, outputs, chosen)
    if len(pictures) > 1:
        _compare(sight, outputs, pictures)
    return sight


def _seen(subject: Subject, pictures: Sequence[Picture]) -> Panel:
    seen = enlarged(subject.pixels(pictures), 112)
    return Panel("input", "What the network was given", captioned(seen, [picture.name for picture in pictures]))


def draw_output(output: np.ndarray, channels: int, order: Order, scale: Scale) -> tuple[np.ndarray, str]:
    """One picture's output of a layer as RGB pixels, and what they show in words.

    output: (C, H, W) -> a tile a channel; (F,) or (C, 1, 1) -> a strip of values; (T, D) -> one picture with a row a token
    """
    if output.ndim == 1 or (output.ndim == 3 and output.shape[1:] == (1, 1)):
        return strip(
            output.ravel()
        ), f"{output.size} values, from {number(output.min(), 3)} to {number(output.max(), 3)}"
    maps = output if output.ndim == 3 else output.reshape(1, *output.shape[-2:]) if output.ndim == 2 else output[:1]
    strength = np.abs(maps).mean(axis=(1, 2))
    chosen = np.argsort(-strength, kind="stable") if order == "strongest" else np.arange(len(maps))
    chosen = chosen[: channels or None]
    tiles = enlarged(scaled_maps(maps[chosen], scale), TILE)
    words = f"{len(chosen)} of {len(maps)} channels" if len(chosen) < len(maps) else f"{len(maps)} channels"
    words += ", strongest first" if order == "strongest" else ""
    columns = 8 if len(chosen) <= 64 else 16
    picture = captioned(tiles, [str(channel) for channel in chosen], columns=columns, gap=3, letters=9)
    return picture, f"{words} of {maps.shape[1]} x {maps.shape[2]}"


def scaled_maps(maps: np.ndarray, scale: Scale = "channel") -> np.ndarray:
    """Maps (C, H, W) -> uint8 RGB (C, H, W, 3); the maps themselves stay as they are.

    channel: 0.5 + 0.25 (x - mean) / deviation, clipped to 0..1, by each channel (Chollet 2017, listing 5-31, as 64 of 255
    levels around 128). A channel without deviation is grey.
    """
    flat = maps.max(axis=(1, 2)) == maps.min(axis=(1, 2))
    if scale == "channel":
        mean, deviation = maps.mean(axis=(1, 2), keepdims=True), maps.std(axis=(1, 2), keepdims=True)
        values = 0.5 + 0.25 * (maps - mean) / np.where(flat[:, None, None] | (deviation == 0), 1, deviation)
    else:
        values = (maps - maps.min()) / max(float(maps.max() - maps.min()), 1e-12)
    colours = coloured(values)
    if scale == "channel":
        colours[flat] = BLANK
    return colours


def strip(values: np.ndarray, cell: int = 8, height: int = 20) -> np.ndarray:
    """A vector as RGB pixels: a bar a value, from the smallest (dark) to the largest (bright), `STRIP` of them in a row."""
    span = max(float(values.max() - values.min()), 1e-12)
    bars = coloured((values - values.min()) / span)
    rows = -(-len(bars) // STRIP)
    sheet = np.full((rows, min(STRIP, len(bars)), 3), 255, dtype=np.uint8)
    for row in range(rows):
        part = bars[row * STRIP : (row + 1) * STRIP]
        sheet[row, : len(part)] = part
    picture = sheet.repeat(height, axis=0).repeat(cell, axis=1)
    picture[height - 1 :: height] = 255
    return as_rgb(picture)


def _measure(sight: Sight, outputs: dict[str, np.ndarray], modules: dict[str, nn.Module]) -> None:
    """Adds the share of zeros and of blank channels by layer, and whether the zeros grow with depth."""
    zeros = {name: float((output == 0).mean()) for name, output in outputs.items()}
    blank = {name: blank_share(output) for name, output in outputs.items() if output.ndim == 4}
    rows = [
        [
            name,
            type(modules[name]).__name__,
            " x ".join(map(str, output.shape[1:])),
            percent(zeros[name]),
            percent(blank.get(name)),
            number(float(np.abs(output).max()), 3),
        ]
        for name, output in outputs.items()
    ]
    header = ["layer", "kind", "shape", "zeros", "blank channels", "largest"]
    sight.tables.append(("Layers", header, rows))
    sight.arrays["zeros"] = np.array(list(zeros.values()))
    rectified = [name for name, module in modules.items() if isinstance(module, nn.ReLU | nn.ReLU6) and name in outputs]
    if len(rectified) < 3:
        return
    shares = np.array([zeros[name] for name in rectified])
    sight.numbers |= {
        "zeros_first_activation": shares[0],
        "zeros_last_activation": shares[-1],
        "zeros_with_depth": float(np.nan_to_num(rank_correlation(np.arange(len(shares)), shares))),
    }
    grows = "grows" if sight.numbers["zeros_with_depth"] > 0.3 else "does not grow"
    sight.said.append(
        f"The share of zeros {grows} with depth: {percent(shares[0])} after {rectified[0]}, {percent(shares[-1])} "
        f"after {rectified[-1]}; rank correlation {number(sight.numbers['zeros_with_depth'], 2)} over {len(shares)} layers."
    )

    def paint(axes, colours) -> None:
        axes.plot(range(1, len(shares) + 1), 100 * shares, color=colours["model"], marker="o", markersize=4)
        axes.set_xlabel("activation layer, from the input on")
        axes.set_ylabel("zeros, %")
        axes.set_ylim(0, 100)

    sight.panels.insert(1, chart("zeros", "Share of zeros after each activation", paint))


def blank_share(output: np.ndarray) -> float:
    """The share of channels of (B, C, H, W) that are the same everywhere on a picture."""
    return float((output.max(axis=(2, 3)) == output.min(axis=(2, 3))).mean()) if output[0, 0].size > 1 else 0.0


def _compare(sight: Sight, outputs: dict[str, np.ndarray], pictures: Sequence[Picture]) -> None:
    """Adds how far the outputs for the other pictures are from those for the first: |a - b| / |a| by layer."""
    change = np.array([_distances(output) for output in outputs.values()])  # (layers, pictures - 1)
    sight.arrays["change"] = change
    names = [picture.name for picture in pictures[1:]]
    rows = [
        [name, *(percent(share) for share in shares)] for name, shares in zip(outputs, change.tolist(), strict=True)
    ]
    sight.tables.append((f"How far the layers are from those for {pictures[0].name}", ["layer", *names], rows))


def _distances(output: np.ndarray) -> list[float]:
    flat = output.reshape(len(output), -1)
    length = max(float(np.linalg.norm(flat[0])), 1e-12)
    return [float(np.linalg.norm(other - flat[0])) / length for other in flat[1:]]
