"""What each filter wants to see: pictures that raise its mean answer, for one layer or all, and how many are found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from gradus.errors import UserError
from gradus.look.inside.ascent import STEPS, Ascent, Method
from gradus.look.inside.hooks import collect, parts
from gradus.look.inside.painting import captioned, chart, enlarged
from gradus.look.inside.sight import Panel, Sight, to_uint8
from gradus.look.inside.subject import Picture, Subject
from gradus.look.text import number, percent, plural

SIZE = 96  # pixels, where neither the setting nor a small network says otherwise
REFERENCE = 64  # pictures that a filter's answer is held against
BATCH = 64


def wants(
    subject: Subject,
    pictures: Sequence[Picture] = (),
    *,
    layer: str = "",
    filters: int = 0,
    method: Method = "fourier",
    size: int = 0,
    steps: int = 0,
    rate: float = 0.0,
    jitter: int = 4,
    seed: int = 0,
) -> Sight:
    """Pictures found by gradient ascent on the mean of each channel (or on each unit) of a layer's outputs.

    layer:   a name, or a stage's; every convolution where none is given
    filters: how many, from the first on; 0: 64 of one layer, 16 of each where all are asked for
    method:  fourier, pixels or smoothed (`ascent.py`); steps, rate: 0 for the method's own; jitter, for fourier: in pixels
    size:    the pictures' side; 0: that of the network's own pictures, at most 96

    A filter counts as converged where its final mean answer is above the highest that it gives to any of 64 real pictures: those
    given, or rows of the training split; where there are neither, to any of 64 noise pictures (every pixel even in 0..255).

    Arrays by layer: `NAME` uint8 (filters, size, size, C), `NAME.answer` and `NAME.reference` (filters,).
    """
    if filters < 0 or size < 0:
        raise UserError("wants: filters and size are at least 1, or 0 to have them chosen")
    names = [layer] if layer else [n for n, module in subject.model.named_modules() if isinstance(module, nn.Conv2d)]
    if not names:
        raise UserError(f"{subject.name} has no convolutions; name a layer with --layer")
    count = filters or (64 if layer else 16)
    side = size or min(subject.size, SIZE)
    ascent = Ascent(size=side, method=method, steps=steps, rate=rate, jitter=min(jitter, side // 8), seed=seed)
    compared, kind = reference_inputs(subject, pictures, ascent)
    sight = Sight("wants", f"What the filters of {subject.name} want to see")
    shares = {}
    for name in names:
        found = _of_layer(subject, name, count, ascent, compared)
        sight.arrays |= {name: found.pictures, f"{name}.answer": found.answers, f"{name}.reference": found.reference}
        shares[name] = float((found.answers > found.reference).mean())
        sight.panels.append(_panel(name, found, shares[name], kind))
    sight.numbers |= {"converged": float(np.mean(list(shares.values()))), "steps": float(steps or STEPS[method])}
    sight.said = [
        f"Pictures of {side} x {side} that raise the mean answer of a filter, by gradient ascent ({method}, "
        f"{steps or STEPS[method]} steps).",
        f"Converged means: answered more strongly than the strongest of {kind}; {percent(sight.numbers['converged'])} do.",
        "Below each: its number, its answer, and in brackets that strongest one.",
    ]
    if len(names) > 1:
        sight.panels.insert(0, _shares_chart(shares))
        rows = [[name, str(len(sight.arrays[name])), percent(share)] for name, share in shares.items()]
        sight.tables.append(("Converged, by layer", ["layer", "filters looked at", "converged"], rows))
    return sight


def reference_inputs(subject: Subject, pictures: Sequence[Picture], ascent: Ascent) -> tuple[Tensor, str]:
    """Model inputs (B, C, H, W) that answers are held against, and what they are in words."""
    if pictures:
        return subject.inputs(pictures), f"the {plural(len(pictures), 'picture')} given"
    if subject.rows is not None:
        rows = subject.rows("train").sample(REFERENCE)
        return subject.prepare(rows.pixels.to(subject.device)), f"{len(rows)} training pictures"
    noise = noise_pictures(REFERENCE, subject.channels, ascent.size, ascent.seed + 1)
    return subject.prepare(noise.permute(0, 2, 3, 1).to(subject.device) * 255), f"{REFERENCE} noise pictures"


def noise_pictures(count: int, channels: int, size: int, seed: int) -> Tensor:
    """Float 0..1: each pixel even in 0..1, each picture by itself."""
    return torch.rand((count, channels, size, size), generator=torch.Generator().manual_seed(seed))


class _Found:
    """pictures: uint8 (F, H, W, C); answers: mean answers to them as they were written; reference: the highest real ones."""

    def __init__(self, pictures: np.ndarray, answers: np.ndarray, reference: np.ndarray) -> None:
        self.pictures, self.answers, self.reference = pictures, answers, reference


def _of_layer(subject: Subject, name: str, count: int, ascent: Ascent, compared: Tensor) -> _Found:
    module = subject.layer(name)
    answer = answer_of(subject.model, module)
    with torch.no_grad():
        given = torch.cat([answer(compared[part]) for part in parts(len(compared))])  # (pictures, channels)
    total = min(count, given.shape[1])
    pictures, answers = [], []
    for part in parts(total, BATCH):
        written, reached = ascend(subject, ascent, answer, torch.arange(part.start, part.stop))
        pictures.append(written)
        answers.append(reached)
    highest = given.max(dim=0).values[:total].cpu()
    return _Found(torch.cat(pictures).numpy(), torch.cat(answers).numpy(), highest.numpy())


def ascend(
    subject: Subject, ascent: Ascent, answer: Callable[[Tensor], Tensor], units: Tensor
) -> tuple[Tensor, Tensor]:
    """A picture uint8 (N, H, W, C) for each of `units` (N,), and what these very pictures are answered with (N,).

    answer: model inputs (B, C, H, W) -> (B, units of the layer). Units that stay silent are tried once more, from noise of 30
    times the contrast: after a ReLU no gradient leads out of zero.
    """
    pictures, answers = _ascend_once(subject, ascent, answer, units)
    silent = (answers == 0).nonzero()[:, 0]
    if len(silent):
        louder = replace(ascent, contrast=30 * ascent.contrast)
        pictures[silent], answers[silent] = _ascend_once(subject, louder, answer, units[silent])
    return pictures, answers


def _ascend_once(subject: Subject, ascent: Ascent, answer: Callable, units: Tensor) -> tuple[Tensor, Tensor]:
    places = units.to(subject.device)[:, None]
    found = ascent.run(subject, len(units), lambda inputs: answer(inputs).gather(1, places)[:, 0])
    written = torch.from_numpy(to_uint8(found.permute(0, 2, 3, 1).cpu().numpy()))
    with torch.no_grad():
        return written, answer(subject.prepare(written.to(subject.device))).gather(1, places)[:, 0].float().cpu()


def answer_of(model: nn.Module, module: nn.Module) -> Callable[[Tensor], Tensor]:
    """A function from model inputs to (B, C): the mean of each channel (or the values) of a module's outputs.

    The network is run only as far as that module.
    """

    def answer(inputs: Tensor) -> Tensor:
        kept = collect(model, {"layer": module}, inputs)
        if "layer" not in kept:
            raise UserError("this layer is not used by the network's forward pass")
        output = kept["layer"]
        return output.flatten(2).mean(dim=2) if output.ndim > 2 else output

    return answer


def _panel(name: str, found: _Found, share: float, kind: str) -> Panel:
    captions = [
        f"{index}\n{number(answer, 3)} ({number(reference, 3)})"
        for index, (answer, reference) in enumerate(zip(found.answers, found.reference, strict=True))
    ]
    title = f"{name}: what {len(captions)} filters want, {percent(share, 0)} above {kind}"
    tiles = captioned(enlarged(found.pictures, 96), captions, columns=8, gap=6, letters=11)
    return Panel(name.replace(".", "-"), title, tiles, titled=True)


def _shares_chart(shares: dict[str, float]) -> Panel:
    def paint(axes, colours) -> None:
        axes.plot(
            range(1, len(shares) + 1), [100 * share for share in shares.values()], color=colours["model"], marker="o"
        )
        axes.set_xlabel("convolution, from the input on")
        axes.set_ylabel("filters converged, %")
        axes.set_ylim(0, 104)

    return chart("converged", "Filters for which a picture is found, by layer", paint)
