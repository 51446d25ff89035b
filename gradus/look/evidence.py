"""The part of a report that depends on what was learnt: classes, labels or numbers.

Each function takes an assessment whose rows all have an answer and a target (`content.known_rows` sees to that) and
returns sections. Rows are named by the word `rows`: "pictures", "texts" or "rows".
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from gradus.data.dataset import Split
from gradus.data.images import Fit
from gradus.look import charts
from gradus.look.draw import png
from gradus.look.evidence_parts import several_evidence
from gradus.look.evidence_places import places_evidence
from gradus.look.examples import examples_section
from gradus.look.measures import Calibration, calibration, roc_curve
from gradus.look.page import Html, details, element, figure, join, name, paragraph, section, table
from gradus.look.text import brief, count, number, percent
from gradus.look.writing import Writing, writing_section
from gradus.tasks.assessment import (
    Assessment,
    ClassAssessment,
    ControlAssessment,
    DetectionAssessment,
    ForecastAssessment,
    GenerationAssessment,
    LabelsAssessment,
    LandmarksAssessment,
    LanguageAssessment,
    LocalizationAssessment,
    NumberAssessment,
    SegmentationAssessment,
    SeveralAssessment,
    TagsAssessment,
    WordVectorAssessment,
)

WHOLE_MATRIX = 20  # up to so many classes the confusion matrix is a table with counts; above, a map and the worst pairs
MODEL_RGB, SECOND_RGB = (31, 111, 235), (214, 96, 28)  # of the map, which is a picture and cannot follow the theme
FIGURES = "figures"


def evidence(
    assessment: Assessment,
    examples: Split | None,
    target: str | None,
    rows: str,
    fit: Fit = "pad",
    writing: Writing | None = None,
) -> list[Html]:
    """The sections on where the model is right and wrong, with examples. fit: how pictures were brought to the size of masks;
    writing: of texts, what else is known of them."""
    if isinstance(assessment, DetectionAssessment):
        from gradus.look.evidence_detection import detection_evidence

        return detection_evidence(assessment, examples)
    if isinstance(assessment, SegmentationAssessment):
        from gradus.look.evidence_segmentation import segmentation_evidence

        return segmentation_evidence(assessment, examples, fit)
    if isinstance(assessment, LocalizationAssessment | LandmarksAssessment):
        return places_evidence(assessment, examples, target, rows)
    if isinstance(assessment, LanguageAssessment):
        from gradus.look.evidence_language import language_evidence

        return language_evidence(assessment)
    if isinstance(assessment, ForecastAssessment):
        from gradus.look.evidence_forecast import forecast_evidence

        return forecast_evidence(assessment)
    if isinstance(assessment, WordVectorAssessment):
        return []
    if isinstance(assessment, GenerationAssessment):
        from gradus.look.evidence_generation import generation_evidence

        return generation_evidence(assessment)
    if isinstance(assessment, ControlAssessment):
        from gradus.look.evidence_control import control_evidence

        return control_evidence(assessment)
    if isinstance(assessment, TagsAssessment):
        return _classes(assessment.by_word(), "words")
    if isinstance(assessment, SeveralAssessment):
        return several_evidence(assessment, rows)
    if isinstance(assessment, ClassAssessment):
        sections = _classes(assessment, rows)
        if writing is not None:
            sections.append(writing_section(writing, assessment.predictions != assessment.targets, rows))
    elif isinstance(assessment, LabelsAssessment):
        sections = _labels(assessment, rows)
    else:
        sections = _numbers(assessment, rows)
    if examples is not None:
        sections.append(examples_section(assessment, examples, target, rows, writing))
    return sections


# ---------------------------------------------------------------- classes


def _classes(assessment: ClassAssessment, rows: str) -> list[Html]:
    confusion = assessment.confusion()
    small = len(assessment.classes) <= WHOLE_MATRIX
    matrix = confusion_table(assessment.classes, confusion) if small else confusion_map(assessment.classes, confusion)
    right = assessment.predictions == assessment.targets
    confidence = assessment.probabilities.max(axis=1)
    measured = calibration(confidence, right)
    figures = [
        figure(
            charts.calibration_curve("calibration", measured, outcome="share right"),
            "Calibration",
            note="Dots on the dashed line: stated confidence is kept. Below it: too sure. Larger dots hold more "
            + rows
            + ".",
        ),
        figure(
            charts.shares_histogram(
                "confidence",
                measured.edges,
                [_per_bin(confidence[right], measured.edges), _per_bin(confidence[~right], measured.edges)],
                across="stated confidence",
                title="Stated confidence of right and wrong answers",
            ),
            "Confidence",
            [("model", f"right ({count(right.sum())})"), ("second", f"wrong ({count((~right).sum())})")],
            "Each colour adds up to 100%. The further apart the two, the more the confidence tells.",
        ),
    ]
    if len(assessment.classes) == 2:
        figures.append(_roc_figure(assessment))
    return [
        section(
            "mistakes",
            "Where it is right and wrong",
            _class_findings(assessment, confusion, rows),
            element("div", element("div", matrix), element("div", _per_class(assessment, "class")), class_="beside"),
        ),
        section(
            "confidence",
            "Can its confidence be trusted?",
            _calibration_words(measured, float(right.mean()), "answers"),
            element("div", *figures, class_=FIGURES),
        ),
    ]


def _class_findings(assessment: ClassAssessment, confusion: np.ndarray, rows: str) -> Html:
    wrong = int(confusion.sum() - confusion.trace())
    if not wrong:
        return paragraph(f"Not one of the {count(confusion.sum())} {rows} is answered wrong.")
    said: list[object] = [f"{count(wrong)} of {count(confusion.sum())} {rows} are answered wrong."]
    mistakes = confusion - np.diag(confusion.diagonal())
    true, predicted = np.unravel_index(mistakes.argmax(), mistakes.shape)
    times, present = int(mistakes[true, predicted]), int(confusion[true].sum())
    classes = assessment.classes
    if times > 1:
        pair = join(
            ("The most common mistake is ", name(brief(classes[true])), " taken for ", name(brief(classes[predicted])))
        )
        said.append(join((pair, f": {times:,} times, {percent(times / present)} of that class.")))
    seen = [(row["f1"], index) for index, row in enumerate(assessment.per_class()) if row["support"]]
    if len(seen) > 2:
        score, weakest = min(seen)
        said.append(
            join(("The weakest class is ", name(brief(classes[weakest])), f", with an F1 of {percent(score)}."))
        )
    return paragraph(*said)


def confusion_table(classes: Sequence[str], confusion: np.ndarray) -> Html:
    """The confusion matrix as a table: right answers in one colour, mistakes in another, shaded so that a few show."""
    present = confusion.sum(axis=1)
    shares = confusion / np.maximum(present, 1)[:, None]

    def cell(row: int, column: int) -> Html:
        share, times = shares[row, column], int(confusion[row, column])
        if not times:
            return element("td")
        depth = share if row == column else math.sqrt(share)  # a few mistakes must be seen beside many right answers
        kind = "right" if row == column else "wrong"
        return element(
            "td",
            times,
            class_=f"{kind} deep" if depth > 0.55 else kind,
            style=f"--depth:{round(100 * depth)}%",
            title=f"{classes[row]} → {classes[column]}: {times:,} of {present[row]:,} ({percent(share)})",
        )

    head = [element("td", element("span", "predicted →"), element("span", "true ↓"), class_="corner")]
    head += [element("th", element("span", name(label)), scope="col", title=label) for label in classes]
    body = [
        element(
            "tr",
            element("th", element("span", name(label)), scope="row", title=label),
            *(cell(row, column) for column in range(len(classes))),
        )
        for row, label in enumerate(classes)
    ]
    matrix = element(
        "table",
        element("thead", element("tr", *head)),
        element("tbody", *body),
        class_=_matrix_layout(classes),
    )
    note = "Rows are true classes, columns the model's answers. Shade: share of the true class, mistakes on a "
    note += "stronger scale."
    return join((element("div", matrix, class_="scroll", tabindex="0"), element("p", note, class_="note")))


def _matrix_layout(classes: Sequence[str]) -> str:
    """Style classes: column names stand upright unless they are short or there are few, whose cells can be wide."""
    if len(classes) <= 5:
        return "matrix few"
    return "matrix short" if max(map(len, classes)) <= 3 else "matrix"


def confusion_map(classes: Sequence[str], confusion: np.ndarray) -> Html:
    """For many classes: the pairs most often confused, and the matrix as a small picture without names."""
    mistakes = confusion - np.diag(confusion.diagonal())
    order = np.argsort(-mistakes, axis=None, kind="stable")[:15]
    present = confusion.sum(axis=1)
    rows = []
    for true, predicted in zip(*np.unravel_index(order, mistakes.shape), strict=True):
        times = int(mistakes[true, predicted])
        if times:
            rows.append([name(classes[true]), name(classes[predicted]), count(times), percent(times / present[true])])
    shares = confusion / np.maximum(present, 1)[:, None]
    size = len(classes)
    pixels = np.empty((size, size, 4), dtype=np.uint8)
    pixels[:, :, :3] = SECOND_RGB
    pixels[:, :, 3] = 255 * np.sqrt(shares)
    diagonal = np.arange(size)
    pixels[diagonal, diagonal, :3] = MODEL_RGB
    pixels[diagonal, diagonal, 3] = 255 * shares[diagonal, diagonal]
    picture = element("img", src=png(pixels), alt=f"Confusion matrix of {size} classes", class_="map")
    note = f"All {size} classes in their order; rows are true classes, columns the model's answers."
    worst = table(["true class", "taken for", "times", "of that class"], rows, numeric=(2, 3)) if rows else ""
    return join((worst, figure(picture, "Confusion map", note=note)))


def _per_class(assessment: ClassAssessment | LabelsAssessment, word: str) -> Html:
    rows = [
        [
            name(label),
            meter(row["precision"]),
            meter(row["recall"]),
            meter(row["f1"]),
            count(row["support"]),
        ]
        for label, row in zip(assessment.classes, assessment.per_class(), strict=True)
    ]
    header = [word, "precision", "recall", "F1", "rows"]
    meaning = paragraph(
        f"Precision: of the answers “{word} X”, the share that is right. Recall: of the true X, the share that is "
        "found. F1 is their harmonic mean.",
        class_="note",
    )
    whole = table(header, rows, numeric=(1, 2, 3, 4), class_="classes")
    if len(rows) <= WHOLE_MATRIX:
        return join((whole, meaning))
    scores = [row["f1"] if row["support"] else math.inf for row in assessment.per_class()]
    weakest = [rows[index] for index in np.argsort(scores, kind="stable")[:10]]
    first = table(["weakest ten", *header[1:]], weakest, numeric=(1, 2, 3, 4), class_="classes")
    return join((first, meaning, details(f"All {len(rows)} of them", whole)))


def meter(share: float) -> Html:
    return element("span", percent(share), class_="meter", style=f"--share:{100 * share:.1f}%")


def _per_bin(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    return calibration(values, np.ones(len(values), dtype=bool), len(edges) - 1).counts


def _calibration_words(measured: Calibration, frequency: float, answers: str) -> Html:
    if not measured.counts.sum():
        return paragraph("The model's probabilities are not numbers, so there is nothing to compare.")
    stated = float(np.nansum(measured.counts * measured.confidence) / measured.counts.sum())
    gap = stated - frequency
    chance = 1.96 * math.sqrt(
        frequency * (1 - frequency) / measured.counts.sum()
    )  # what the choice of rows alone may do
    even = abs(gap) < max(chance, 0.005)
    lean = "neither too sure nor too modest" if even else "too sure" if gap > 0 else "too modest"
    return paragraph(
        f"When it says 90%, is it right nine times out of ten? Its stated confidence averages {percent(stated)}; "
        f"{percent(frequency)} of its {answers} are right, so on the whole it is {lean}.",
        f"Expected calibration error (ECE, 10 bins of equal width): {number(measured.error, 3)}; 0 is perfect.",
    )


def _roc_figure(assessment: ClassAssessment) -> Html:
    false_rate, true_rate, area = roc_curve(assessment.probabilities[:, 1], assessment.targets == 1)
    positive = name(brief(assessment.classes[1]))
    if math.isnan(area):
        return paragraph("A ROC curve needs both classes among the rows.", class_="note")
    note = join(
        (
            "Hits are true ",
            positive,
            " found; false alarms are others called so. AUC is the area under the curve: 0.5 is chance, 1 perfect.",
        )
    )
    drawing = charts.roc("roc", false_rate, true_rate)
    return figure(drawing, "ROC curve", [("model", f"AUC {number(area, 4)}")], note)


# ---------------------------------------------------------------- labels


def _labels(assessment: LabelsAssessment, rows: str) -> list[Html]:
    measured = calibration(assessment.probabilities.ravel(), assessment.targets.ravel())
    stated = float(assessment.probabilities.mean())
    held = float(assessment.targets.mean())
    exact = (assessment.predictions == assessment.targets).all(axis=1)
    words = paragraph(
        f"All labels are right for {count(exact.sum())} of {count(len(exact))} {rows}. A label is given where its "
        "probability is above 50%.",
    )
    trust = paragraph(
        "Of the labels given 80%, do eight in ten hold? "
        f"The probabilities average {percent(stated)}; {percent(held)} of the labels hold.",
        f"Expected calibration error (ECE, 10 bins of equal width): {number(measured.error, 3)}; 0 is perfect.",
    )
    drawing = charts.calibration_curve("calibration", measured, outcome="share that holds", across="stated probability")
    note = "Every label of every row counts once. Dots on the dashed line: the probability is kept."
    curve = element("div", figure(drawing, "Calibration", note=note), class_=FIGURES)
    return [
        section("mistakes", "Label by label", words, _per_class(assessment, "label")),
        section("confidence", "Can its probabilities be trusted?", trust, curve),
    ]


# ---------------------------------------------------------------- numbers


def _numbers(assessment: NumberAssessment, rows: str) -> list[Html]:
    shown = assessment.names[:6]
    body = [_one_number(assessment, index, rows) for index in range(len(shown))] if len(assessment.targets) else []
    if len(assessment.names) > len(shown):
        body.append(paragraph(f"Drawn for the first {len(shown)} of {len(assessment.names)} targets.", class_="note"))
    return [section("mistakes", "Where it is right and wrong", *body)]


def _one_number(assessment: NumberAssessment, index: int, rows: str) -> Html:
    true, predicted = assessment.targets[:, index], assessment.predictions[:, index]
    residuals = true - predicted
    half, most = np.quantile(np.abs(residuals), (0.5, 0.9))
    bias = float(residuals.mean())
    spread = 1.96 * float(residuals.std()) / math.sqrt(len(residuals))
    lean = "They lean to neither side" if abs(bias) <= spread else f"On average they are {number(abs(bias))} too "
    lean += "" if abs(bias) <= spread else ("low" if bias > 0 else "high")
    words = paragraph(
        f"Half of the predictions are within {number(half)} of the true value, nine in ten within {number(most)}.",
        f"{lean}.",
    )
    title = element("h3", name(assessment.names[index])) if len(assessment.names) > 1 else ""
    drawn = len(charts.sample_rows(len(true)))
    sampled = f" {count(drawn)} of {count(len(true))} {rows} are drawn." if drawn < len(true) else ""
    figures = [
        figure(
            charts.scatter(f"fit-{index}", true, predicted, across="true", up="predicted", identity=True),
            "Predicted against true",
            note=f"On the line the prediction is exact.{sampled}",
        ),
        figure(
            charts.scatter(f"residuals-{index}", predicted, residuals, across="predicted", up="true − predicted"),
            "Residuals",
            note="Above the line the prediction is too low. A bend or a funnel shows what the model misses.",
        ),
        figure(
            charts.histogram(f"spread-{index}", residuals, across="true − predicted"),
            "Size of the residuals",
            note="The outermost bars hold what lies beyond." if len(residuals) >= 200 else "",
        ),
    ]
    return join((title, words, element("div", *figures, class_=FIGURES)))
