"""Which map to believe: all methods on one picture, with what the literature measures of maps.

- Deletion (Petsiuk, Das, Saenko 2018): the cells of the picture that the map calls strongest are blurred first; the sooner the
  class's probability falls, the smaller the area below the curve, the better the map. Insertion: they are shown first on the
  blurred picture; the larger the area, the better. A map must beat the cells in random order, and the centre first. Cells, not
  pixels: a map of single pixels would win by strewing dots over the picture, which turns any network, wherever they fall.
- Sanity (Adebayo et al. 2018): the map of the same network with its weights shuffled. A method whose map hardly changes (a
  rank correlation near 1) shows the picture, not what the network learnt.
"""

from __future__ import annotations

import copy
import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gradus.errors import UserError
from gradus.look.inside import cams, gradients, occluding
from gradus.look.inside.overlay import magnified, overlaid
from gradus.look.inside.painting import captioned, chart
from gradus.look.inside.scores import of_targets, outputs_in_parts, rank_correlation, top_answers
from gradus.look.inside.sight import Panel, Sight
from gradus.look.inside.subject import Picture, Subject
from gradus.look.inside.why import Asked, asked_of, reference
from gradus.look.text import MISSING, number, percent

Method = Callable[[Asked], Tensor]  # -> maps (K, h, w), strongest where the class is explained
CELLS = 14  # a side
FINE = ("gradient", "gradient x input", "smoothgrad", "guided", "integrated gradients")  # maps of single pixels


def methods_of(subject: Subject, inputs: Tensor, layer: str = "") -> dict[str, Method]:
    """The methods that this network allows, with their usual settings. inputs: of any picture (1, C, size, size)."""

    def plain(asked: Asked) -> Tensor:
        return gradients.gradient(asked.model, asked.inputs, asked.targets)

    def smooth(asked: Asked) -> Tensor:
        return gradients.smooth_gradient(asked.model, asked.inputs, asked.targets).abs().amax(1)

    def guided(asked: Asked) -> Tensor:
        return gradients.gradient(asked.model, asked.inputs, asked.targets, guided=True).abs().amax(1)

    def integrated(asked: Asked) -> Tensor:
        start = reference(asked.subject, asked.picture, "black")
        return gradients.integrated_gradients(asked.model, asked.inputs, asked.targets, start).sum(1)

    def occluded(asked: Asked) -> Tensor:
        side = max(1, round(subject.size / 6))
        hidden = reference(asked.subject, asked.picture, "grey")
        step = max(1, side // 2)
        return occluding.occlusion(
            asked.model, asked.inputs[:1], asked.targets, patch=side, stride=step, fill=hidden, kind="probability"
        )

    def class_map(asked: Asked) -> Tensor:
        found = cams.class_maps(asked.model, asked.inputs[:1])
        assert found is not None
        return found[0][0][asked.targets]

    methods: dict[str, Method] = {
        "gradient": lambda asked: plain(asked).abs().amax(1),
        "gradient x input": lambda asked: (plain(asked) * asked.inputs).sum(1),
        "smoothgrad": smooth,
        "guided": guided,
        "integrated gradients": integrated,
        "occlusion": occluded,
    }
    try:
        name = layer or cams.last_maps(subject.model, inputs)
    except UserError:
        return methods
    methods["grad-cam"] = lambda asked: cams.grad_cam(
        asked.model, asked.inputs, asked.targets, asked.subject.layer(name)
    )
    if cams.class_maps(subject.model, inputs) is not None:
        methods["cam"] = class_map
    return methods


def curve(model: nn.Module, before: Tensor, after: Tensor, target: int, ranked: Tensor, steps: int = 24) -> Tensor:
    """The class's probability (steps + 1,) while the cells of `before` (1, C, H, W) are replaced by those of `after`.

    ranked: (h, w), a value for each cell; those with the largest are replaced first, equal ones in reading order
    """
    order = ranked.flatten().argsort(descending=True, stable=True)
    turn = torch.empty_like(order)
    turn[order] = torch.arange(len(order), device=order.device)
    replaced = torch.linspace(0, len(order), steps + 1, device=order.device).round()
    cells = (turn[None] < replaced[:, None]).view(-1, 1, *ranked.shape)
    shown = nn.functional.interpolate(cells.float(), before.shape[2:]) > 0.5
    outputs = outputs_in_parts(model, torch.where(shown, after, before))
    return of_targets(outputs, torch.full((steps + 1,), target, device=outputs.device), "probability")


def area(values: Tensor) -> float:
    """Below a curve over 0..1 with even steps, by trapezia."""
    return float((values[1:] + values[:-1]).mean() / 2)


def shuffled(model: nn.Module, seed: int = 0) -> nn.Module:
    """A copy whose weights are the same numbers in random places: it has learnt nothing, yet its activations keep their sizes."""
    generator = torch.Generator().manual_seed(seed)
    other = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in other.parameters():
            order = torch.randperm(parameter.numel(), generator=generator).to(parameter.device)
            parameter.copy_(parameter.flatten()[order].view_as(parameter))
    return other


def compare(
    subject: Subject,
    pictures: Sequence[Picture],
    *,
    of_class: str = "",
    layer: str = "",
    steps: int = 24,
    sanity: bool = True,
    seed: int = 0,
) -> Sight:
    """All methods side by side on a picture, each with its deletion and insertion areas, and how it fares on shuffled weights.

    of_class: the class to be explained, the network's own answer where none is given; layer: of Grad-CAM
    steps: of the curves; sanity: compare with the maps of a network whose weights are shuffled by the seed
    """
    sight = Sight("compare", f"Which map to believe: {subject.name}")
    methods = methods_of(subject, subject.inputs(pictures[:1]), layer)
    other = dataclasses.replace(subject, model=shuffled(subject.model, seed)) if sanity else None
    for index, picture in enumerate(pictures):
        asked = asked_of(subject, picture, of_class)
        asked.inputs, asked.targets = asked.inputs[:1], asked.targets[:1]
        target = int(asked.targets[0])
        sight.said.append(
            f"{picture.name}: {top_answers(subject, asked.certain)}. Explained: {subject.class_name(target)}."
        )
        _compare_one(sight, asked, index, methods, other, steps, seed)
    sight.said.append(
        "Areas below the curves. Deletion: the smaller the better; insertion: the larger the better; compare with the random "
        "order and the centre. "
        "Shuffled weights: the rank correlation of the map with that of a network that has learnt nothing, best near 0."
    )
    return sight


def _compare_one(
    sight: Sight,
    asked: Asked,
    index: int,
    methods: dict[str, Method],
    other: Subject | None,
    steps: int,
    seed: int,
) -> None:
    subject, picture, target = asked.subject, asked.picture, int(asked.targets[0])
    blur = reference(subject, picture, "blur")
    maps, rows, measured, curves = {}, [], [], {}
    for name, ranked, seconds in [*_timed(methods, asked), *_controls(asked, seed)]:
        cells = in_cells(ranked, asked.inputs.shape[-1])
        deleted = curve(asked.model, asked.inputs, blur, target, cells, steps)
        inserted = curve(asked.model, blur, asked.inputs, target, cells, steps)
        curves[name] = deleted.cpu().numpy()
        kept = float("nan")
        if name in methods:
            maps[name] = ranked.float().cpu().numpy()
            if other is not None:
                without = methods[name](dataclasses.replace(asked, subject=other))[0]
                kept = rank_correlation(maps[name], without.float().cpu().numpy())
        values = [area(deleted), area(inserted), kept, seconds]
        rows.append([name, *(number(value, 2) if np.isfinite(value) else MISSING for value in values)])
        measured.append(values[:3])
    left = float(next(iter(curves.values()))[-1])
    if left > 0.5 * float(asked.certain[target]):
        sight.said.append(
            f"{picture.name}: blurred it is still answered so ({percent(left)}), so its areas tell the maps hardly apart."
        )
    sight.arrays |= {f"{index}-{name}": values for name, values in maps.items()} | {
        f"measured-{index}": np.array(measured)
    }
    sight.panels.append(Panel(f"{index}", picture.name, _tiles(asked, maps)))
    sight.panels.append(_curves(f"deletion-{index}", picture.name, curves))
    header = ["method", "deletion", "insertion", "shuffled weights", "seconds"]
    sight.tables.append((picture.name, header, rows))


def _timed(methods: dict[str, Method], asked: Asked) -> list[tuple[str, Tensor, float]]:
    found = []
    for name, method in methods.items():
        started = time.perf_counter()
        found.append((name, method(asked)[0], time.perf_counter() - started))
    return found


def _controls(asked: Asked, seed: int) -> list[tuple[str, Tensor, float]]:
    """Orders of the cells that know nothing of the network: at random, and from the centre outwards."""
    cells, device = min(asked.inputs.shape[-1], CELLS), asked.inputs.device
    noise = torch.rand(cells, cells, generator=torch.Generator().manual_seed(seed)).to(device)
    places = torch.linspace(-1, 1, cells, device=device)
    return [
        ("random order", noise, float("nan")),
        ("centre first", -(places[:, None] ** 2 + places[None] ** 2), float("nan")),
    ]


def in_cells(ranked: Tensor, size: int) -> Tensor:
    """A map (h, w) of a picture of that size -> its means over `CELLS` x `CELLS` cells, as many as pixels at most."""
    cells = min(size, CELLS)
    if tuple(ranked.shape) == (cells, cells):
        return ranked
    large = nn.functional.interpolate(ranked[None, None].float(), (size, size), mode="bilinear", align_corners=False)
    return nn.functional.adaptive_avg_pool2d(large, cells)[0, 0]


def _tiles(asked: Asked, maps: dict[str, np.ndarray]) -> np.ndarray:
    pixels, target = asked.picture.pixels, int(asked.targets[0])
    tiles = [magnified(pixels, asked.subject)[0]]
    captions = [f"{asked.subject.class_name(target)}\n{percent(float(asked.certain[target]))}"]
    for name, one in maps.items():
        fine, signed = name in FINE, bool((one < 0).any())
        opacity = 1.0 if fine else 0.65
        tiles.append(overlaid(pixels, one, asked.subject, fine=fine, signed=signed, opacity=opacity)[0])
        captions.append(name)
    return captioned(np.stack(tiles), captions, columns=3)


def _curves(name: str, title: str, curves: dict[str, np.ndarray]) -> Panel:
    styles = [(role, line) for line in ("-", "--") for role in ("model", "second", "third", "fourth", "fifth", "sixth")]

    def paint(axes: Any, colours: dict[str, str]) -> None:
        for (method, values), (role, line) in zip(curves.items(), styles, strict=False):
            axes.plot(np.linspace(0, 1, len(values)), values, line, color=colours[role], label=method, linewidth=1.4)
        axes.set(xlabel="share of the picture blurred, strongest first", ylabel="probability", ylim=(-0.02, 1.02))
        axes.legend(frameon=False, fontsize=8)

    return chart(name, f"Deletion: {title}", paint, size=(6.0, 4.0))
