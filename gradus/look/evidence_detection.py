"""The part of a report on what a detector finds: by class, at which score, why it is not better, and the worst pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradus.boxes.average_precision import (
    Curve,
    Matches,
    all_classes_curve,
    best_threshold,
    class_curves,
    per_class,
    voc_matches,
)
from gradus.boxes.errors import KINDS, Errors, detection_confusion, find_errors
from gradus.boxes.pool import Pool
from gradus.data.columns import Image, Objects
from gradus.data.dataset import Split
from gradus.data.images import resize
from gradus.errors import UserError
from gradus.look import charts
from gradus.look.draw import photo
from gradus.look.evidence import FIGURES, WHOLE_MATRIX, confusion_map, confusion_table, meter
from gradus.look.measures import calibration
from gradus.look.page import Html, details, element, figure, join, name, paragraph, section, table
from gradus.look.scenes import draw_objects
from gradus.look.text import brief, capital, count, number, percent, plural
from gradus.tasks.assessment import DetectionAssessment

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CURVES = 6  # of precision and recall in one figure
WORST = 8  # pictures drawn
LARGEST = 560  # pixels of their longer side
RIGHT, WRONG, MISSED = 2, 0, 3  # of the colours that classes are drawn in: green, red, yellow

MEANINGS = {
    "place": ("in the wrong place", "an object of its class overlaps it, but by less than half"),
    "class": ("of the wrong class", "it lies on an object of another class"),
    "both": ("wrong class and place", "it overlaps an object of another class by less than half"),
    "duplicate": ("duplicates", "a surer detection has found the same object"),
    "background": ("on background", "nothing is there"),
    "missed": ("missed objects", "no detection is near them"),
}
REMEDIES = {
    "place": "Larger pictures, finer maps or more weight on the loss of boxes place them better; look also whether given boxes "
    "are drawn alike.",
    "class": "More examples of the classes that are taken for each other, or a look at their labels, help most.",
    "both": "Longer training or more pictures help with such half-right answers.",
    "duplicate": "A lower threshold of overlap in suppression removes more of them.",
    "background": "More pictures without objects, or objects that are not labelled though they are there, are worth a look.",
    "missed": "Larger pictures and anchors that fit small or unusual objects find more of them.",
}


def detection_evidence(assessment: DetectionAssessment, examples: Split | None) -> list[Html]:
    """The sections on boxes."""
    pool = assessment.pool
    matches = voc_matches(pool)
    overall = all_classes_curve(pool, matches)
    threshold, _ = best_threshold(overall)
    threshold = threshold if np.isfinite(threshold) else 0.0
    errors = find_errors(pool, matches)
    sections = [
        _classes_section(assessment, pool, matches, overall, threshold),
        _errors_section(pool, errors, threshold),
        _scores_section(pool, matches, overall, threshold),
    ]
    if examples is not None:
        sections.append(_worst_section(assessment, examples, matches, errors, threshold))
    return sections


def _classes_section(
    assessment: DetectionAssessment, pool: Pool, matches: Matches, overall: Curve, threshold: float
) -> Html:
    kept = pool.score >= threshold
    right, boxes, objects = int((matches.right & kept).sum()), int(kept.sum()), int(overall.objects)
    rows = per_class(pool)
    said: list[object] = [
        f"There are {plural(objects, 'object')}. The score that serves all classes best is {number(threshold, 2)}:"
    ]
    share = f"{percent(right / boxes)} of them are right" if boxes else "none of them is right"
    found = percent(right / objects) if objects else "none"
    said.append(
        f"of {plural(boxes, 'box', 'boxes')} with that score or more, {share}, and {found} of the objects are found."
    )
    scored = [(row["ap50"], index) for index, row in enumerate(rows) if row["objects"]]
    if len(scored) > 1:
        worst, index = min(scored)
        said.append(join(("Found worst are ", name(brief(assessment.classes[index])), f" (AP@50 {percent(worst)}).")))
    counts = detection_confusion(pool, threshold)
    names = [*assessment.classes, "(nothing)"]
    small = len(names) <= WHOLE_MATRIX
    matrix = confusion_table(names, counts) if small else confusion_map(names, counts)
    note = f"At a score of {number(threshold, 2)}. In the last row: boxes where nothing is; in the last column: objects missed."
    curves = figure(
        _precision_recall(assessment, pool, matches, rows), "Precision and recall by class", _keys(assessment, rows),
        "As the score that is asked for falls, more objects are found and more boxes are wrong. The area under the best "
        "precision at each recall is AP@50.",
    )  # fmt: skip
    return section(
        "mistakes",
        "Where it is right and wrong",
        paragraph(*said),
        element("div", element("div", curves), element("div", _class_table(assessment, rows)), class_="beside"),
        element("h3", "What is taken for what"),
        matrix,
        paragraph(note, class_="note"),
    )


def _class_table(assessment: DetectionAssessment, rows: list[dict[str, float]]) -> Html:
    cells = [
        [
            name(label),
            *(meter(row[key]) if row["objects"] else "–" for key in ("ap50", "ap", "precision", "recall")),
            number(row["threshold"], 2),
            count(row["objects"]),
        ]
        for label, row in zip(assessment.classes, rows, strict=True)
    ]
    header = ["class", "AP@50", "AP", "precision", "recall", "at score", "objects"]
    meaning = paragraph(
        "AP@50: average precision, a box being right that overlaps its object by half (Pascal VOC). AP: the mean over overlaps "
        "of 50 to 95% (COCO). Precision and recall at the score where their F1 is best for the class.",
        class_="note",
    )
    whole = table(header, cells, numeric=range(1, 7), class_="classes")
    if len(cells) <= WHOLE_MATRIX:
        return join((whole, meaning))
    order = np.argsort([row["ap50"] if row["objects"] else 2 for row in rows], kind="stable")[:10]
    first = table(["worst ten", *header[1:]], [cells[index] for index in order], numeric=range(1, 7), class_="classes")
    return join((first, meaning, details(f"All {len(cells)} of them", whole)))


def _drawn_classes(rows: list[dict[str, float]]) -> list[int]:
    """All classes with objects where they are few, else those found worst."""
    there = [index for index, row in enumerate(rows) if row["objects"]]
    return there if len(there) <= CURVES else sorted(sorted(there, key=lambda index: rows[index]["ap50"])[:CURVES])


def _keys(assessment: DetectionAssessment, rows: list[dict[str, float]]) -> list[tuple[str, str]]:
    return [
        (role, brief(assessment.classes[index], 24))
        for role, index in zip(charts.SERIES, _drawn_classes(rows), strict=False)
    ]


def _precision_recall(
    assessment: DetectionAssessment, pool: Pool, matches: Matches, rows: list[dict[str, float]]
) -> Html:
    curves = class_curves(pool, matches)

    def paint(axes: Axes) -> None:
        for colour, index in zip(charts.SERIES.values(), _drawn_classes(rows), strict=False):
            curve = curves[index]
            kept = np.unique(np.linspace(0, max(len(curve.score) - 1, 0), 300).round().astype(int))[: len(curve.score)]
            axes.plot(curve.recall[kept], curve.precision[kept], color=colour)
        charts.unit_square(axes, "recall", "precision")

    return charts.draw("precision-recall", paint, "Precision against recall of each class")


def _errors_section(pool: Pool, errors: Errors, threshold: float) -> Html:
    counts = errors.counts(pool, threshold)
    gains = errors.gain
    largest = max(KINDS, key=lambda kind: gains[kind])
    if gains[largest] < 0.0005:
        words = paragraph("There is next to nothing to gain by mending any kind of error.")
    else:
        what, _ = MEANINGS[largest]
        words = paragraph(
            f"Most is lost by {'boxes ' if largest in ('place', 'class', 'background') else ''}{what}: without them mAP@50 "
            f"would be {100 * gains[largest]:.1f} points higher.",
            REMEDIES[largest],
        )
    whole = max(max(gains.values()), 1e-9)
    bars = [
        element(
            "li",
            element("span", MEANINGS[kind][0], class_="label", title=MEANINGS[kind][1]),
            element("span", element("i", style=f"width:{100 * gains[kind] / whole:.2f}%"), class_="track"),
            element("span", f"+{100 * gains[kind]:.1f}  ({count(counts[kind])})", class_="value"),
            class_="model" if kind == largest else None,
        )
        for kind in sorted(KINDS, key=lambda kind: -gains[kind])
    ]
    meanings = "; ".join(f"{what}: {meaning}" for what, meaning in MEANINGS.values())
    note = (
        "Points of mAP@50 gained if all errors of one kind were mended, each kind alone (TIDE, Bolya et al. 2020); they do not "
        f"add up. In brackets: wrong boxes with a score of {number(threshold, 2)} or more, and missed objects. "
        f"{capital(meanings)}."
    )
    return section(
        "errors", "Why it is not better", words, element("ul", *bars, class_="bars"), paragraph(note, class_="note")
    )


def _scores_section(pool: Pool, matches: Matches, overall: Curve, threshold: float) -> Html:
    counted = matches.right | matches.wrong
    measured = calibration(pool.score[counted], matches.right[counted])
    words = paragraph(
        f"Keep boxes with a score of {number(threshold, 2)} or more (gradus predict --min-score {number(threshold, 2)}) where a "
        "missed object is as bad as a wrong box. Where misses are worse choose a lower one, where false alarms are worse a "
        "higher one.",
        f"Expected calibration error of the scores (10 bins of equal width): {number(measured.error, 3)}; 0 is perfect.",
    )

    def paint(axes: Axes) -> None:
        kept = np.flatnonzero(np.isfinite(overall.f1()))
        kept = kept[np.unique(np.linspace(0, max(len(kept) - 1, 0), 300).round().astype(int))[: len(kept)]]
        for values, colour in (
            (overall.precision, charts.MODEL),
            (overall.recall, charts.SECOND),
            (overall.f1(), charts.THIRD),
        ):
            axes.plot(overall.score[kept], values[kept], color=colour)
        axes.axvline(threshold, color=charts.MUTED, linewidth=1, linestyle=(0, (3, 3)), zorder=1)
        charts.unit_square(axes, "score that is asked for", "share")

    by_score = figure(
        charts.draw("by-score", paint, "Precision, recall and F1 by the least score"), "At which score",
        [("model", "precision"), ("second", "recall"), ("third", "F1")], "The dashed line is where F1 is best.",
    )  # fmt: skip
    trust = figure(
        charts.calibration_curve("calibration", measured, outcome="share right", across="score"), "Calibration",
        note="Dots on the dashed line: of boxes with a score of 0.8, eight in ten are right.",
    )  # fmt: skip
    return section("confidence", "Can its scores be trusted?", words, element("div", by_score, trust, class_=FIGURES))


def _worst_section(
    assessment: DetectionAssessment, examples: Split, matches: Matches, errors: Errors, threshold: float
) -> Html:
    pool, pictures = assessment.pool, len(assessment.targets)
    kept = pool.score >= threshold
    taken = np.zeros(len(pool.ignored), dtype=bool)
    taken[matches.given[matches.right & kept]] = True
    lost = ~taken & ~pool.ignored
    wrong = np.bincount(pool.found_picture[matches.wrong & kept], minlength=pictures)
    missed = np.bincount(pool.given_picture[lost], minlength=pictures)
    order = np.argsort(-(wrong + missed), kind="stable")[:WORST]
    order = order[(wrong + missed)[order] > 0]
    said = (
        f"The pictures with the most errors at a score of {number(threshold, 2)}. Thin green: found rightly; red: wrong boxes, "
        "with what they were taken for; yellow: objects that were missed."
    )
    if not len(order):
        return section("examples", "The worst pictures", paragraph("There is no picture with an error."))
    images = next(iter(n for n, c in examples.columns.items() if isinstance(c.type, Image)))
    figures = []
    for row in order.tolist():
        mine, theirs = pool.found_picture == row, pool.given_picture == row
        layers = [
            (pool.found_boxes[mine & kept & matches.right], pool.found_label[mine & kept & matches.right], None, RIGHT),
            (pool.given_boxes[theirs & lost], pool.given_label[theirs & lost], None, MISSED),
            (
                *(part[mine & kept & matches.wrong] for part in (pool.found_boxes, pool.found_label, pool.score)),
                WRONG,
            ),
        ]
        kinds = np.bincount(errors.kind[mine & kept & matches.wrong], minlength=len(KINDS))
        words = [f"{n} {MEANINGS[kind][0]}" for kind, n in zip(KINDS, kinds, strict=True) if n]
        words += [f"{missed[row]} not found"] if missed[row] else []
        try:
            drawn: Html = photo(_judged(examples[images][row], layers, assessment.classes), examples.origins[row])
        except UserError as error:  # a file that has gone since training
            drawn = element("span", str(error), class_="broken")
        figures.append(figure(drawn, brief(examples.origins[row], 60), note=", ".join(words)))
    return section("examples", "The worst pictures", paragraph(said), element("div", *figures, class_="scenes two"))


def _judged(picture: np.ndarray, layers: list, classes: tuple[str, ...]) -> np.ndarray:
    """The picture, not too large, with boxes in the colours of how they were judged."""
    scale = min(LARGEST / max(picture.shape[:2]), 1)
    size = (max(round(picture.shape[0] * scale), 1), max(round(picture.shape[1] * scale), 1))
    drawn = resize(np.ascontiguousarray(picture), size)
    across = np.array([size[1] / picture.shape[1], size[0] / picture.shape[0]] * 2)
    for boxes, labels, scores, colour in layers:
        for label in np.unique(labels):
            mine = labels == label
            objects = Objects.of(
                boxes[mine] * across, np.full(mine.sum(), colour), scores=None if scores is None else scores[mine]
            )
            plain = colour == RIGHT
            drawn = draw_objects(drawn, objects, [classes[label]] * 4, labels=not plain, width=1 if plain else 2)
    return drawn
