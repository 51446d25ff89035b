"""The looks that colour a picture by what spoke for a class: saliency, occlusion, integrated gradients, CAM, Grad-CAM."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from gradus.errors import UserError
from gradus.look.inside import cams, gradients, occluding
from gradus.look.inside.overlay import UPRIGHT, magnified, overlaid, with_bar, with_room
from gradus.look.inside.painting import captioned
from gradus.look.inside.scores import (
    ScoreKind,
    certainties,
    classes_asked,
    evaluating,
    outputs_in_parts,
    top_answers,
)
from gradus.look.inside.sight import Panel, Sight
from gradus.look.inside.subject import Picture, Subject
from gradus.look.text import brief, number, percent

Baseline = Literal["black", "grey", "white", "blur"]


@dataclass
class Asked:
    """One picture and what is asked of it. inputs: (K, C, size, size), the picture once for each class; targets: (K,)."""

    subject: Subject
    picture: Picture
    inputs: Tensor
    targets: Tensor
    certain: Tensor  # of all classes

    @property
    def model(self) -> torch.nn.Module:
        return self.subject.model


def asked_of(subject: Subject, picture: Picture, of_class: str) -> Asked:
    """What a look computes maps for. Raises `UserError` for an unknown class, or a network that has none."""
    inputs = subject.inputs([picture])
    outputs = outputs_in_parts(subject.model, inputs)
    if outputs.ndim != 2:
        raise UserError(f"{subject.name} gives outputs of shape {tuple(outputs.shape[1:])}, not one score a class")
    targets = torch.tensor(classes_asked(subject, of_class, outputs[0]), device=inputs.device)
    return Asked(
        subject, picture, inputs.expand(len(targets), -1, -1, -1), targets, certainties(subject, outputs)[0].cpu()
    )


def saliency(
    subject: Subject,
    pictures: Sequence[Picture],
    *,
    of_class: str = "",
    times_input: bool = False,
    samples: int = 0,
    noise: float = 0.15,
    guided: bool = False,
    scores: ScoreKind = "score",
    opacity: float = 1.0,
    seed: int = 0,
) -> Sight:
    """How much each pixel would change the score of a class, if it changed a little.

    of_class: names or numbers, with commas between; the network's own answer where none is given
    times_input: the gradient times the input, signed; otherwise the largest size of the gradient among the channels
    samples: SmoothGrad's noisy copies (25 are usual), 0 for the plain gradient; noise: their deviation, as a share of the range
    guided: guided backpropagation through ReLUs; scores: score (before the softmax) or probability
    """
    with evaluating(subject.model):
        if guided and not gradients.relus(subject.model(subject.inputs(pictures[:1]).requires_grad_())):
            raise UserError(f"saliency: {subject.name} has no ReLU through which gradients could be guided")

    def maps(asked: Asked) -> Tensor:
        found = slopes(asked)
        return (found * asked.inputs).sum(1) if times_input else found.abs().amax(1)

    def slopes(asked: Asked) -> Tensor:
        if samples > 0:
            return gradients.smooth_gradient(
                asked.model, asked.inputs, asked.targets, scores, samples=samples, noise=noise, seed=seed, guided=guided
            )
        return gradients.gradient(asked.model, asked.inputs, asked.targets, scores, guided=guided)

    words = [
        *(["guided"] if guided else []),
        f"SmoothGrad of {samples} copies" if samples > 0 else "gradient",
        *(["x input"] if times_input else []),
    ]
    sight = _sight("saliency", f"{' '.join(words)} of the {scores}", subject, pictures, of_class, maps, opacity, True)
    if guided:
        sight.said.append(
            "Guided maps show edges, much the same for every class: look at `compare` before believing them."
        )
    return sight


def occlusion(
    subject: Subject,
    pictures: Sequence[Picture],
    *,
    of_class: str = "",
    patch: int = 0,
    stride: int = 0,
    fill: Literal["grey", "mean", "blur"] = "grey",
    scores: ScoreKind = "probability",
    opacity: float = 0.75,
) -> Sight:
    """How far a class falls when a patch of the picture is hidden (red), or rises (blue).

    patch: its side in pixels of the network's input, 0: a sixth of it; stride: between patches, 0: half a patch
    fill: what the patch shows: grey, the mean colour of the picture, or the picture blurred
    """
    side = patch or max(1, round(subject.size / 6))
    step = stride or max(1, side // 2)
    if not 0 < side <= subject.size or not 0 < step <= side:
        raise UserError(
            f"occlusion: patch must be 1 to {subject.size} and stride 1 to patch, received {side} and {step}"
        )

    def maps(asked: Asked) -> Tensor:
        hidden = reference(subject, asked.picture, fill)
        return occluding.occlusion(
            asked.model, asked.inputs[:1], asked.targets, patch=side, stride=step, fill=hidden, kind=scores
        )

    title = f"fall of the {scores} under a {fill} patch of {side} x {side} pixels, every {step}"
    return _sight("occlusion", title, subject, pictures, of_class, maps, opacity, False)


def integrated_gradients(
    subject: Subject,
    pictures: Sequence[Picture],
    *,
    of_class: str = "",
    baseline: Baseline = "black",
    steps: int = 64,
    scores: ScoreKind = "score",
    opacity: float = 1.0,
) -> Sight:
    """What each pixel adds to the score of a class, on the way from a baseline to the picture: red for it, blue against it.

    baseline: a black, grey or white picture, or the picture blurred: what has its colours is attributed nothing
    steps: of the integral; the gap that they leave is printed
    """
    if steps < 1:
        raise UserError(f"integrated-gradients: steps must be at least 1, received {steps}")
    gaps: list[tuple[str, float, float]] = []

    def maps(asked: Asked) -> Tensor:
        start = reference(subject, asked.picture, baseline)
        found = gradients.integrated_gradients(asked.model, asked.inputs, asked.targets, start, scores, steps=steps)
        sums, differences = gradients.completeness(asked.model, asked.inputs, asked.targets, start, found, scores)
        for target, total, difference in zip(asked.targets.tolist(), sums.tolist(), differences.tolist(), strict=True):
            gaps.append((f"{asked.picture.name}, {subject.class_name(target)}", total, difference))
        return found.sum(1)

    title = f"integrated gradients of the {scores} from a {baseline} baseline, {steps} steps"
    sight = _sight("integrated-gradients", title, subject, pictures, of_class, maps, opacity, True)
    for what, total, difference in gaps:
        gap = abs(total - difference) / max(abs(difference), 1e-9)
        sight.said.append(
            f"{what}: the attributions add up to {number(total, 4)}, f(picture) - f(baseline) is {number(difference, 4)}"
            + (f": {percent(gap)} apart; more steps bring them together." if gap > 0.05 else f", {percent(gap)} apart.")
        )
        sight.numbers[f"completeness gap, {what}"] = gap
    return sight


def cam(subject: Subject, pictures: Sequence[Picture], *, of_class: str = "", opacity: float = 0.65) -> Sight:
    """The class's map before global average pooling, whose mean is its score. Only for networks that end so."""

    def maps(asked: Asked) -> Tensor:
        found = cams.class_maps(asked.model, asked.inputs[:1])
        if found is None:
            raise UserError(
                f"cam: {subject.name} does not end in global average pooling and at most one linear layer, so its classes have "
                "no maps of their own; use grad-cam"
            )
        return found[0][0][asked.targets]

    return _sight("cam", "class activation map", subject, pictures, of_class, maps, opacity, False)


def grad_cam(
    subject: Subject,
    pictures: Sequence[Picture],
    *,
    of_class: str = "",
    layer: str = "",
    scores: ScoreKind = "score",
    opacity: float = 0.65,
) -> Sight:
    """Where a layer's maps speak for a class, each map weighed by its mean gradient.

    layer: its name, or that of a stage; the last one with maps before the head where none is given
    scores: score, before the softmax as in the paper; probability, after it, as in *Deep Learning with Python* §5.4.3
    """
    name = layer or cams.last_maps(subject.model, subject.inputs(pictures[:1]))
    module = subject.layer(name)
    empty: list[str] = []

    def maps(asked: Asked) -> Tensor:
        found = cams.grad_cam(asked.model, asked.inputs, asked.targets, module, scores)
        for target, one in zip(asked.targets.tolist(), found, strict=True):
            if not one.max() > 0:
                empty.append(
                    f"{asked.picture.name}: nothing in {name} speaks for {subject.class_name(target)}: the map is empty."
                )
        return found

    sight = _sight(
        "grad-cam", f"Grad-CAM of {name}, {scores}", subject, pictures, of_class, maps, opacity, False, positive=True
    )
    sight.said += empty
    return sight


def reference(subject: Subject, picture: Picture, kind: Baseline | Literal["mean"]) -> Tensor:
    """The inputs (1, C, size, size) of a picture without content: of one colour, of the picture's mean colour, or blurred."""
    pixels = torch.from_numpy(subject.pixels([picture])).to(subject.device, torch.float32)
    if kind == "blur":
        return subject.prepare(blurred(pixels))
    if kind == "mean":
        return subject.prepare(pixels.mean((1, 2), keepdim=True).expand_as(pixels))
    return subject.prepare(torch.full_like(pixels, {"black": 0.0, "grey": 127.5, "white": 255.0}[kind]))


def blurred(pixels: Tensor) -> Tensor:
    """(B, H, W, C) without detail: three box filters of an eighth of the side, which is nearly a Gaussian."""
    maps = pixels.permute(0, 3, 1, 2)
    reach = max(1, maps.shape[-1] // 16)
    for _ in range(3):
        padded = torch.nn.functional.pad(maps, (reach,) * 4, mode="reflect")
        maps = torch.nn.functional.avg_pool2d(padded, 2 * reach + 1, stride=1)
    return maps.permute(0, 2, 3, 1)


def _sight(
    name: str,
    what: str,
    subject: Subject,
    pictures: Sequence[Picture],
    of_class: str,
    maps_of: Callable[[Asked], Tensor],
    opacity: float,
    fine: bool,
    *,
    positive: bool = False,
) -> Sight:
    """All pictures with their maps (K, h, w). fine: maps of single pixels, drawn over a pale picture and cut at a quantile."""
    if not 0 <= opacity <= 1:
        raise UserError(f"{name}: opacity must be 0 to 1, received {opacity}")
    sight = Sight(name, f"{what[0].upper()}{what[1:]}: {subject.name}")
    for index, picture in enumerate(pictures):
        asked = asked_of(subject, picture, of_class)
        maps = maps_of(asked).detach().float().cpu().numpy()
        sight.said.append(f"{picture.name}: {top_answers(subject, asked.certain)}.")
        for target in asked.targets.tolist():
            sight.numbers[f"certainty of {subject.class_name(target)}, {picture.name}"] = float(asked.certain[target])
        sight.arrays[f"maps-{index}"] = maps
        sight.arrays[f"classes-{index}"] = asked.targets.cpu().numpy()
        strip = _strip(asked, maps, opacity, fine, positive)
        sight.panels.append(Panel(str(index), picture.name, strip, note=_bar_note(maps, fine)))
    return sight


def _bar_note(maps: np.ndarray, fine: bool) -> str:
    signed = bool((maps < 0).any())
    said = "Red speaks for the class, blue against it." if signed else "From blue (none) to red (most)."
    return said + (" Every class has its own scale" + (f", cut at the {UPRIGHT:.0%} quantile." if fine else "."))


def _strip(asked: Asked, maps: np.ndarray, opacity: float, fine: bool, positive: bool) -> np.ndarray:
    """The picture, and beside it the picture under each class's map, with bars and captions."""
    subject, pixels = asked.subject, asked.picture.pixels
    tiles = [with_room(magnified(pixels, subject)[0])]
    best = int(asked.certain.argmax())
    captions = [f"{asked.picture.name}\n{brief(subject.class_name(best))} {percent(float(asked.certain[best]))}"]
    signed = not positive and bool((maps < 0).any())
    for target, one in zip(asked.targets.tolist(), maps, strict=True):
        shown, size = overlaid(pixels, one, subject, fine=fine, signed=signed, opacity=opacity)
        tiles.append(with_bar(shown, -size if signed else 0.0, size, signed=signed))
        captions.append(f"{brief(subject.class_name(target))}\n{percent(float(asked.certain[target]))}")
    return captioned(np.stack(tiles), captions, columns=len(tiles))
