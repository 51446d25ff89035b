"""Pictures changed by as little as makes a network answer otherwise (adversarial examples), and accuracy under such changes.

Everything is measured in grey levels of 0..255, in the pixels that the network sees (after resizing): an epsilon of 2 means that
no channel of no pixel differs by more than 2 levels (the L-infinity norm).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gradus.errors import UserError
from gradus.look.inside.answers import demand_its_classes
from gradus.look.inside.hooks import parts
from gradus.look.inside.painting import as_rgb, captioned, chart, enlarged
from gradus.look.inside.scores import certainties, classes_asked, evaluating, outputs_in_parts, top_answers
from gradus.look.inside.sight import Panel, Sight, to_uint8
from gradus.look.inside.subject import Picture, Rows, Subject
from gradus.look.text import brief, number, percent

LARGEST_EPSILON = 64.0


def perturb(
    subject: Subject, pixels: Tensor, classes: Tensor, epsilon: Tensor, *, steps: int = 1, targeted: bool = False
) -> Tensor:
    """pixels (B, H, W, C) 0..255, classes (B,), epsilon (B,) in levels -> float32 pixels of at most that distance.

    steps = 1: the fast gradient sign method (Goodfellow et al. 2014); more: projected gradient descent (Madry et al. 2017) from
    the picture itself, by steps of 2.5 epsilon / steps. Away from `classes`, or (targeted) towards them. What descends is the
    class's log-odds, whose gradient has the sign of that of the cross-entropy but does not vanish where the network is sure.
    """
    original = pixels.to(torch.float32)
    reach = epsilon.to(original).view(-1, 1, 1, 1)
    lowest, highest = (original - reach).clamp(min=0), (original + reach).clamp(max=255)
    step = reach if steps == 1 else 2.5 * reach / steps
    changed = original
    with evaluating(subject.model), torch.enable_grad():
        for _ in range(steps):
            given = changed.detach().requires_grad_()
            outputs = subject.model(subject.prepare(given))
            (slope,) = torch.autograd.grad(_log_odds(outputs, classes).sum(), given)
            moved = given.detach() + step * slope.sign() * (1 if targeted else -1)
            changed = torch.minimum(torch.maximum(moved, lowest), highest)
    return changed


def _log_odds(outputs: Tensor, classes: Tensor) -> Tensor:
    own = outputs.gather(1, classes[:, None])
    others = outputs.scatter(1, classes[:, None], -torch.inf)
    return own[:, 0] - others.logsumexp(1)


def smallest_epsilon(succeeds: Callable[[float], bool], precision: float = 0.02) -> float | None:
    """The smallest epsilon that succeeds: doubled from 1/8 until it does, then bisected to `precision` of itself; None above 64.

    It is taken for granted that what succeeds with little succeeds with more; the answer succeeded in any case.
    """
    low, high = 0.0, 0.125
    while not succeeds(high):
        low, high = high, 2 * high
        if high > LARGEST_EPSILON:
            return None
    while high - low > precision * high:
        middle = (low + high) / 2
        low, high = (low, middle) if succeeds(middle) else (middle, high)
    return high


def adversarial(
    subject: Subject,
    pictures: Sequence[Picture],
    *,
    of_class: str = "",
    epsilon: float = 0.0,
    steps: int = 10,
) -> Sight:
    """The smallest change of a picture that the network answers otherwise for.

    of_class: the answer to be reached; any other than the present one where none is given
    epsilon: the most that a channel may change, in levels of 0..255; 0: the smallest that is found
    steps: 1 for the fast gradient sign method, more for projected gradient descent
    """
    if steps < 1 or not 0 <= epsilon <= 255:
        raise UserError(f"adversarial: steps must be at least 1 and epsilon 0 to 255, received {steps} and {epsilon:g}")
    way = "fast gradient sign method" if steps == 1 else f"projected gradient descent, {steps} steps"
    sight = Sight("adversarial", f"Adversarial pictures by the {way}: {subject.name}")
    for index, picture in enumerate(pictures):
        _attack_one(sight, subject, picture, index, of_class, epsilon, steps)
    sight.said.append("Levels are of 0 to 255. Another attack may need less: these are upper bounds.")
    return sight


def _attack_one(
    sight: Sight, subject: Subject, picture: Picture, index: int, of_class: str, epsilon: float, steps: int
) -> None:
    pixels = torch.from_numpy(subject.pixels([picture])).to(subject.device, torch.float32)
    outputs = outputs_in_parts(subject.model, subject.prepare(pixels))
    before = certainties(subject, outputs)[0]
    present = int(before.argmax())
    wanted = classes_asked(subject, of_class, outputs[0])[0] if of_class else present
    sight.said.append(f"{picture.name}: {top_answers(subject, before, 3)}.")
    if of_class and wanted == present:
        sight.said.append(f"{picture.name}: that is {subject.class_name(wanted)} already.")
        return

    def changed(levels: float) -> Tensor:
        classes, reach = torch.tensor([wanted], device=pixels.device), torch.tensor([levels], device=pixels.device)
        return perturb(subject, pixels, classes, reach, steps=steps, targeted=bool(of_class))

    def succeeds(levels: float, whole: bool = False) -> bool:
        found = changed(levels)
        answer = _answer(subject, found.round() if whole else found)
        return answer == wanted if of_class else answer != present

    least = epsilon or smallest_epsilon(succeeds)
    goal = f"into {subject.class_name(wanted)}" if of_class else "the answer"
    if least is None:
        sight.said.append(f"{picture.name}: no change up to {LARGEST_EPSILON:g} levels turned {goal}.")
        return
    after = changed(least)
    certain = certainties(subject, outputs_in_parts(subject.model, subject.prepare(after)))[0]
    sight.said.append(
        f"{picture.name}: changed by at most {number(least, 3)} levels: {top_answers(subject, certain, 3)}."
    )
    sight.numbers[f"epsilon, {picture.name}"] = least
    sight.arrays[f"adversarial-{index}"] = after[0].cpu().numpy()
    shown = _strip(subject, pixels, after, before, certain, present, least)
    sight.panels.append(Panel(f"{index}", picture.name, shown, note="The change is enlarged; grey is none."))
    if not epsilon:
        _as_file(sight, subject, picture, index, changed, succeeds, least)


def _as_file(
    sight: Sight,
    subject: Subject,
    picture: Picture,
    index: int,
    changed: Callable[[float], Tensor],
    succeeds: Callable[[float, bool], bool],
    least: float,
) -> None:
    """A file holds whole levels only: the smallest whole epsilon that still succeeds after rounding, and its pixels."""
    tried = range(max(1, int(np.ceil(least))), int(LARGEST_EPSILON) + 1)
    whole = next((levels for levels in tried if succeeds(levels, True)), None)
    if whole is None:
        sight.said.append(f"{picture.name}: rounded to whole levels, as in a file, no change was enough.")
        return
    rounded = changed(whole).round()
    certain = certainties(subject, outputs_in_parts(subject.model, subject.prepare(rounded)))[0]
    sight.said.append(
        f"{picture.name}: in whole levels, as a file holds them, {whole} is enough: {top_answers(subject, certain, 3)}."
    )
    sight.numbers[f"epsilon in whole levels, {picture.name}"] = whole
    title = f"{picture.name} changed by at most {whole}: the pixels themselves, as the network takes them"
    sight.panels.append(Panel(f"{index}-file", title, rounded[0].cpu().numpy().astype(np.uint8)))


def _answer(subject: Subject, pixels: Tensor) -> int:
    return int(outputs_in_parts(subject.model, subject.prepare(pixels))[0].argmax())


def _strip(
    subject: Subject, pixels: Tensor, after: Tensor, before: Tensor, certain: Tensor, present: int, epsilon: float
) -> np.ndarray:
    first, last = pixels[0].cpu().numpy() / 255, after[0].cpu().numpy() / 255
    times = 127.5 / epsilon
    tiles = np.stack([to_uint8(first), to_uint8(0.5 + (last - first) * times), to_uint8(last)])
    answer = int(certain.argmax())

    def caption(index: int, shares: Tensor) -> str:
        return f"{brief(subject.class_name(index))} {percent(float(shares[index]))}"

    captions = [
        f"before\n{caption(present, before)}",
        f"change x {number(times, 3)}\nat most {number(epsilon, 3)} of 255",
        f"after\n{caption(answer, certain)}",
    ]
    return captioned(enlarged(as_rgb(tiles), 200), captions, columns=3)


def robustness(
    subject: Subject,
    pictures: Sequence[Picture] = (),
    *,
    split: str = "test",
    count: int = 100,
    epsilons: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0, 8.0),
    steps: int = 10,
    seed: int = 0,
) -> Sight:
    """Accuracy on labelled rows when every picture may be changed by epsilon levels of 0..255 in each channel.

    count: rows of the split, chosen by the seed; steps: of projected gradient descent
    """
    rows = subject.labelled(split).sample(count, seed)
    demand_its_classes(subject, rows, "robustness")
    if steps < 1 or min(epsilons, default=0) < 0:
        raise UserError("robustness: steps must be at least 1 and epsilons not below 0")
    every = sorted({0.0, *epsilons})
    curves = {
        "fast gradient sign": [_accuracy_under(subject, rows, epsilon, 1) for epsilon in every],
        f"projected gradient, {steps} steps": [_accuracy_under(subject, rows, epsilon, steps) for epsilon in every],
    }

    def paint(axes: Any, colours: dict[str, str]) -> None:
        for (name, values), role in zip(curves.items(), ("second", "model"), strict=True):
            axes.plot(every, values, "o-", color=colours[role], label=name, markersize=4)
        axes.set(ylim=(-0.02, 1.02), xlabel="epsilon, levels of 255", ylabel="accuracy")
        axes.legend(frameon=False)

    sight = Sight("robustness", f"Accuracy under small changes: {subject.name}")
    sight.said = [f"{len(rows)} rows of the {split} split; every attack starts from the picture itself."]
    sight.panels = [chart("robustness", "Accuracy under changes of at most epsilon", paint)]
    sight.tables = [
        (
            "Accuracy",
            ["epsilon", *curves],
            [[f"{epsilon:g}", *(percent(values[i]) for values in curves.values())] for i, epsilon in enumerate(every)],
        )
    ]
    sight.arrays = {"epsilons": np.array(every), **{name: np.array(values) for name, values in curves.items()}}
    sight.numbers = {
        f"accuracy at {epsilon:g}, {name}": values[i]
        for name, values in curves.items()
        for i, epsilon in enumerate(every)
    }
    return sight


def _accuracy_under(subject: Subject, rows: Rows, epsilon: float, steps: int) -> float:
    right = 0
    for part in parts(len(rows)):
        pixels, labels = rows.pixels[part].to(subject.device), rows.labels[part].to(subject.device)
        if epsilon > 0:
            reach = torch.full((len(labels),), epsilon, device=subject.device)
            pixels = perturb(subject, pixels, labels, reach, steps=steps)
        right += int((outputs_in_parts(subject.model, subject.prepare(pixels)).argmax(1) == labels).sum())
    return right / len(rows)
