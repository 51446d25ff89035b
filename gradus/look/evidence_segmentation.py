"""The part of a report on what a segmenter sees: overlap by class, what is taken for what, boundaries, and the worst pictures."""

from __future__ import annotations

import numpy as np

from gradus.data.columns import Image
from gradus.data.dataset import Split
from gradus.data.images import Fit, resize
from gradus.errors import UserError
from gradus.look.draw import photo
from gradus.look.evidence import confusion_map, meter
from gradus.look.page import Html, element, figure, join, name, paragraph, section, table
from gradus.look.scenes import class_colour, draw_mask
from gradus.look.text import brief, count, number, percent
from gradus.masks.measures import TOLERANCE, class_accuracy, intersection_over_union
from gradus.tasks.assessment import SegmentationAssessment

WORST = 6  # pictures drawn, each four times
LARGEST = 400  # pixels of their longer side
WRONG = 0  # of the colours that classes are drawn in: red


def segmentation_evidence(assessment: SegmentationAssessment, examples: Split | None, fit: Fit) -> list[Html]:
    """The sections on pixels. fit: how pictures were brought to the size of the masks."""
    sections = [_classes_section(assessment)]
    if examples is not None:
        sections.append(_worst_section(assessment, examples, fit))
    return sections


def _classes_section(assessment: SegmentationAssessment) -> Html:
    confusion = assessment.confusions.sum(axis=0)
    overlap, recall = intersection_over_union(confusion), class_accuracy(confusion)
    precision = class_accuracy(confusion.T)
    near, pixels = assessment.boundaries.by_class(), confusion.sum(axis=1)
    classes = assessment.classes
    total = max(int(pixels.sum()), 1)
    said: list[object] = [f"{percent(1 - confusion.trace() / total)} of {count(total)} pixels are wrong."]
    there = [index for index in range(len(classes)) if pixels[index]]
    if len(there) > 1:
        worst, best = (pick(there, key=lambda index: overlap[index]) for pick in (min, max))
        said.append(
            join(
                ("Best seen is ", name(brief(classes[best])), f" (IoU {percent(overlap[best])}), worst ",
                 name(brief(classes[worst])), f" ({percent(overlap[worst])}).")
            )
        )  # fmt: skip
    said += _confusion_words(classes, confusion)
    rows = [
        [
            _named(classes[index], index),
            *(_share(value) for value in (overlap[index], precision[index], recall[index], near[index])),
            percent(pixels[index] / total),
        ]
        for index in sorted(range(len(classes)), key=lambda index: -pixels[index])
    ]
    reach = TOLERANCE * float(np.hypot(*assessment.targets.shape[1:]))
    meaning = paragraph(
        "IoU: of the pixels that are the class or were called so, the share that is both. Precision: of those called so, the "
        "share that is right; recall: of those that are, the share found. Boundary F: whether its outlines lie where they "
        f"should, within {number(reach, 2)} pixels (0.75% of the diagonal), by pictures.",
        class_="note",
    )
    header = ["class", "IoU", "precision", "recall", "boundary F", "of pixels"]
    shown = table(header, rows, numeric=range(1, 6), class_="classes")
    return section(
        "mistakes",
        "Where it is right and wrong",
        paragraph(*said),
        join((shown, meaning)),
        element("h3", "What is taken for what, in pixels"),
        confusion_map(classes, confusion),
    )


def _named(label: str, index: int) -> Html:
    """A class with the colour that it is drawn in."""
    colour = "rgb({},{},{})".format(*class_colour(index))
    return join((element("span", class_="swatch", style=f"background:{colour}"), name(label)))


def _share(value: float) -> Html | str:
    return meter(float(value)) if np.isfinite(value) else "–"


def _confusion_words(classes: tuple[str, ...], confusion: np.ndarray) -> list[object]:
    """The pair of classes that costs most pixels, and the class that is most often lost to one other."""
    mistakes = confusion - np.diag(confusion.diagonal())
    if not mistakes.any():
        return []
    true, said = np.unravel_index(mistakes.argmax(), mistakes.shape)
    words: list[object] = [
        join(
            ("Most pixels are lost where ", name(brief(classes[true])), " is taken for ", name(brief(classes[said])),
             f": {percent(mistakes[true, said] / mistakes.sum())} of all wrong ones.")
        )
    ]  # fmt: skip
    shares = mistakes / np.maximum(confusion.sum(axis=1), 1)[:, None]
    lost, to = np.unravel_index(shares.argmax(), shares.shape)
    if (lost, to) != (true, said):
        words.append(
            join(
                ("Of ", name(brief(classes[lost])), f", {percent(shares[lost, to])} of the pixels are taken for ",
                 name(brief(classes[to])), ".")
            )
        )  # fmt: skip
    return words


def _worst_section(assessment: SegmentationAssessment, examples: Split, fit: Fit) -> Html:
    overlaps = np.array([np.nanmean(v) if np.isfinite(v := _present(c)).any() else 1.0 for c in assessment.confusions])
    order = np.argsort(overlaps, kind="stable")[:WORST]
    images = next(iter(n for n, c in examples.columns.items() if isinstance(c.type, Image)))
    said = "The pictures with the lowest mean IoU: picture, truth, answer, and where they differ in red (grey: right or unknown)."
    figures = []
    for row in order.tolist():
        confusion = assessment.confusions[row]
        right = confusion.trace() / max(confusion.sum(), 1)
        try:
            parts = _four(assessment, examples[images][row], row, fit)
            drawn = element("div", *(photo(part) for part in parts), class_="row-of")
        except UserError as error:  # a file that has gone since training
            drawn = element("span", str(error), class_="broken")
        note = f"mean IoU {percent(overlaps[row])}, {percent(right)} of the pixels right"
        figures.append(figure(drawn, brief(examples.origins[row], 60), note=note))
    colours = (_named(label, index) for index, label in enumerate(assessment.classes))
    legend = element("p", join(colours, " &emsp;"), class_="note")
    return section("examples", "The worst pictures", paragraph(said), legend, element("div", *figures, class_="scenes"))


def _present(confusion: np.ndarray) -> np.ndarray:
    """Overlaps of the classes that are in the picture."""
    return np.where(confusion.sum(axis=1) > 0, intersection_over_union(confusion), np.nan)


def _four(assessment: SegmentationAssessment, picture: np.ndarray, row: int, fit: Fit) -> list[np.ndarray]:
    """uint8 (H, W, 3): picture, truth, answer, and where they differ."""
    given, found = assessment.targets[row], assessment.predictions[row]
    picture = np.ascontiguousarray(resize(np.ascontiguousarray(picture), given.shape, fit))
    step = max(1, -(-max(given.shape) // LARGEST))  # masks are thinned, not averaged
    picture, given, found = picture[::step, ::step], given[::step, ::step], found[::step, ::step]
    differs = np.where((given != found) & (given != assessment.ignore), WRONG, 1)
    blank = draw_mask(picture, np.full(given.shape, -1), (), opacity=0)
    drawn = [draw_mask(picture, mask, assessment.classes, opacity=0.65) for mask in (given, found)]
    return [blank, *drawn, draw_mask(picture, differs, ("wrong",), opacity=0.7)]
