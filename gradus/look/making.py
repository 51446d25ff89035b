"""What a report shows of what a network makes: samples, how they came to be, pictures made again, nearest training pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradus.look import charts
from gradus.look.draw import png
from gradus.look.inside.painting import captioned, enlarged
from gradus.look.inside.sight import grid
from gradus.look.page import Html, element, figure, join, paragraph, section
from gradus.look.text import number
from gradus.tasks.assessment import GenerationAssessment

JUDGED = ("d_real", "d_fake")  # parts of games: the discriminator's probability that a picture is real


@dataclass(frozen=True, kw_only=True)
class Making:
    """Pictures are uint8 (N, H, W, C).

    samples:    what was made; labels: the class that each was asked for as, or None
    epochs:     epoch -> (K, H, W, C): the same K latents as the network learnt
    originals, remade: pictures of the split, and what the network makes of them; None where it makes none again
    neighbours: of the first samples the nearest training pictures, by pixels; distances: to them
    usual:      the median distance of pictures of the split to their nearest training pictures
    """

    samples: np.ndarray
    labels: Sequence[str | None]
    epochs: Mapping[int, np.ndarray]
    originals: np.ndarray | None = None
    remade: np.ndarray | None = None
    neighbours: np.ndarray | None = None
    distances: np.ndarray | None = None
    usual: float = 0.0


def making_sections(making: Making, split: str) -> list[Html]:
    """The pictures of a report, each with what to look for."""
    sections = [_samples(making)]
    if len(making.epochs) > 1:
        sections.append(_strip(making))
    if making.originals is not None and making.remade is not None:
        both = np.concatenate([enlarged(making.originals, 64), enlarged(making.remade, 64)])
        words = paragraph(
            f"Above: pictures of the {split} split. Below: what the network makes of each. What is lost there, it has not learnt."
        )
        drawn = _picture(grid(both, len(making.originals), gap=3), "pictures and their reconstructions")
        sections.append(section("remade", "Made again", words, drawn))
    if making.neighbours is not None and making.distances is not None:
        sections.append(_neighbours(making, split))
    return sections


def _picture(pixels: np.ndarray, description: str) -> Html:
    image = element(
        "img", src=png(pixels), alt=description, style="max-width:100%;height:auto;image-rendering:pixelated"
    )
    return element("div", image, class_="wide")


def _samples(making: Making) -> Html:
    several = list(dict.fromkeys(label for label in making.labels if label is not None))
    shown = enlarged(making.samples, 64)
    if len(several) > 1:
        pixels = captioned(shown, [label or "" for label in making.labels], min(len(several), 10), 6)
        words = "One column a class, as it was asked for."
    else:
        pixels, words = grid(shown, 10, gap=3), "Made from random latents, none chosen."
    more = "Do they differ from each other, and would you take them for real? In numbers: gradus score RUN."
    return section(
        "pictures", "What it makes", paragraph(words, more), _picture(pixels, "pictures that the network made")
    )


def _strip(making: Making) -> Html:
    rows = [enlarged(pictures, 48) for pictures in making.epochs.values()]
    captions = [""] * sum(map(len, rows))
    for place, epoch in enumerate(making.epochs):
        captions[place * len(rows[0])] = f"epoch {epoch}"
    pixels = captioned(np.concatenate(rows), captions, len(rows[0]), 6)
    words = paragraph("A column is one latent, a row one epoch: how the same beginnings became pictures.")
    return section("strip", "How they came to be", words, _picture(pixels, "the same latents by epoch"))


def _neighbours(making: Making, split: str) -> Html:
    assert making.neighbours is not None and making.distances is not None
    shown = enlarged(np.concatenate([making.samples[: len(making.neighbours)], making.neighbours]), 64)
    distance = float(np.median(making.distances))
    words = paragraph(
        "Above: made. Below: the training picture nearest in pixels. A copy would look the same.",
        f"The median distance is {number(distance, 3)}; of {split} pictures it is {number(making.usual, 3)}.",
        "What is smooth lies nearer to everything." if distance < making.usual else "",
    )
    drawn = _picture(grid(shown, len(making.neighbours), gap=3), "made pictures and the nearest training pictures")
    return section("neighbours", "Are they copies?", words, drawn)


def making_sentence(who: Html, assessment: GenerationAssessment, where: str) -> Html:
    """The headline: there is no accuracy, so what it says of real pictures it has not learnt."""
    means = dict(zip(assessment.names, assessment.values.astype(np.float64).mean(axis=0), strict=True))
    if {*JUDGED} <= {*means}:
        real, fake = (element("em", number(100 * means[part], 2) + "%") for part in JUDGED)
        return join(
            (
                who,
                " makes pictures, which its own discriminator takes for real with ",
                fake,
                f", and {where} with ",
                real,
                ".",
            )
        )
    loss = element("em", number(means["loss"], 4))
    parts = ", ".join(f"{part.replace('_', ' ')} {number(value, 4)}" for part, value in means.items() if part != "loss")
    return join((who, " makes pictures; its loss is ", loss, f"{f' ({parts})' if parts else ''} on {where}."))


def parts_of(assessment: object) -> tuple[str, ...]:
    """The numbers that are drawn by epoch beside the loss."""
    if not isinstance(assessment, GenerationAssessment):
        return ()
    return tuple(part for part in assessment.names if part not in ("loss", *JUDGED))


def balance_figure(history: Sequence[Mapping[str, Any]], epochs: Sequence[float]) -> tuple[Html, str] | None:
    """Of a game: the discriminator's answers by epoch, and what they say; None for all else."""
    if not history or not all(f"train_{part}" in history[-1] for part in JUDGED):
        return None
    real, fake = (np.array([float(record.get(f"train_{part}", np.nan)) for record in history]) for part in JUDGED)
    drawing = charts.balance("balance", epochs, real, fake)
    keys = [("model", "real pictures"), ("second", "made ones")]
    note = "At one half it cannot tell them apart. Near 1 and 0 it wins, and the generator learns little from it."
    gap = real[-1] - fake[-1]
    said = f"In the last epoch the discriminator gave real pictures {number(real[-1], 2)} and made ones {number(fake[-1], 2)}: "
    said += "it hardly tells them apart." if gap < 0.2 else "it is ahead." if gap < 0.8 else "it wins clearly."
    return figure(drawing, "The discriminator's answers", keys, note), said
