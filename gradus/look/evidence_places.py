"""The part of a report on one object a picture, or on landmarks: how far answers are off, and the worst of them drawn."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gradus.data.columns import Image, Objects
from gradus.data.dataset import Split
from gradus.look import charts
from gradus.look.draw import draw_picture, input_names
from gradus.look.page import Html, element, figure, name, paragraph, section, table
from gradus.look.points import FOUND_RGB, GIVEN_RGB, draw_frame, draw_points
from gradus.look.text import count, number, percent
from gradus.reference.overlap import box_iou
from gradus.tasks.assessment import LandmarksAssessment, LocalizationAssessment

MOST = 12  # pictures drawn


def places_evidence(
    assessment: LocalizationAssessment | LandmarksAssessment, examples: Split | None, target: str | None, rows: str
) -> list[Html]:
    """The sections; `examples` are the rows of the assessment, or None to draw none."""
    if isinstance(assessment, LocalizationAssessment):
        return _one_object(assessment, examples, target, rows)
    return _landmarks(assessment, examples, target, rows)


def overlaps(assessment: LocalizationAssessment) -> np.ndarray:
    """(N,) IoU of the box found with the one given; nan where none is given."""
    pairs = zip(assessment.predictions, assessment.targets, strict=True)
    values = [box_iou(found.boxes[:1], given.boxes[:1]) for found, given in pairs]
    return np.array([value[0, 0] if value.size else np.nan for value in values])


def _one_object(
    assessment: LocalizationAssessment, examples: Split | None, target: str | None, rows: str
) -> list[Html]:
    found = overlaps(assessment)
    there = np.isfinite(found)
    scores = np.array([one.scores[0] if one.scores is not None and len(one) else 0.0 for one in assessment.predictions])
    said = scores > 0.5
    cells = [
        ["an object", count((there & said).sum()), count((there & ~said).sum())],
        ["none", count((~there & said).sum()), count((~there & ~said).sum())],
    ]
    words = paragraph(
        f"{count(there.sum())} of {count(len(there))} {rows} have the object; of these the box overlaps the true one by half "
        f"or more (IoU) in {percent(float((found[there] >= 0.5).mean()) if there.any() else 0.0)}."
    )
    body = [words, table(["true", "said: an object", "said: none"], cells, numeric=(1, 2))]
    if there.any():
        drawing = charts.histogram("overlap", found[there], across="intersection over union")
        body.append(figure(drawing, "Overlap of the box with the true one"))
    sections = [section("mistakes", "Is it there, and where?", *body)]
    order = np.argsort(np.where(there, found, np.inf), kind="stable")[: min(MOST, int(there.sum()))]

    def draw(picture: np.ndarray, row: int) -> tuple[np.ndarray, str]:
        return _with_boxes(picture, assessment.predictions[row], assessment.targets[row]), f"IoU {found[row]:.2f}"

    return sections + _drawn(examples, target, order, draw)


def _with_boxes(picture: np.ndarray, found: Objects, given: Objects) -> np.ndarray:
    for box in given.boxes[:1]:
        picture = draw_frame(picture, box, GIVEN_RGB)
    for box in found.boxes[:1]:
        picture = draw_frame(picture, box, FOUND_RGB)
    return picture


def _landmarks(assessment: LandmarksAssessment, examples: Split | None, target: str | None, rows: str) -> list[Html]:
    away = np.sqrt(((assessment.predictions - assessment.targets) ** 2).sum(axis=2))
    known = away[np.isfinite(away)]
    if not len(known):
        return []
    half, most = np.quantile(known, (0.5, 0.9))
    words = paragraph(
        f"Half of the points are within {number(half, 3)} pixels of their true place, nine in ten within {number(most, 3)}."
    )
    per_point = []
    for index, point in enumerate(assessment.names):
        mine = away[:, index][np.isfinite(away[:, index])]
        shown = [number(float(value), 3) for value in (mine.mean(), np.median(mine))] if len(mine) else ["", ""]
        per_point.append([name(point), *shown, count(len(mine))])
    body = [
        words,
        table(["point", "mean error, pixels", "median", rows], per_point, numeric=(1, 2, 3)),
        figure(charts.histogram("distance", known, across="pixels from the true place"), "How far off"),
    ]
    mean = np.array([row[np.isfinite(row)].mean() if np.isfinite(row).any() else -1.0 for row in away])
    order = np.argsort(-mean, kind="stable")[: min(MOST, int((mean >= 0).sum()))]

    def draw(picture: np.ndarray, row: int) -> tuple[np.ndarray, str]:
        picture = draw_points(picture, assessment.targets[row], colour=GIVEN_RGB)
        return draw_points(picture, assessment.predictions[row]), f"{mean[row]:.1f} pixels off"

    return [section("mistakes", "How far off the points are", *body), *_drawn(examples, target, order, draw)]


def _drawn(
    examples: Split | None,
    target: str | None,
    order: np.ndarray,
    draw: Callable[[np.ndarray, int], tuple[np.ndarray, str]],
) -> list[Html]:
    """The rows of `order` with what was given and what was found drawn on them."""
    if examples is None or not len(order):
        return []
    column = next(c for c in input_names(examples, target) if isinstance(examples.columns[c].type, Image))
    cards = []
    for row in order.tolist():
        picture, said = draw(examples.columns[column][row], row)
        cards.append(
            element(
                "li",
                element("div", draw_picture(picture, f"{examples.origins[row]}: {said}"), class_="input"),
                element("p", said, class_="answer"),
                element("p", name(examples.origins[row]), class_="origin", title=examples.origins[row]),
            )
        )
    words = paragraph("The pictures furthest from the truth. Green: the true place. Orange: the answer.")
    return [section("examples", "The worst answers", words, element("ol", *cards, class_="examples pictures"))]
