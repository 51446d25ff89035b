"""The examples of a report: the rows that a model got most wrong, drawn, with its answer beside the truth."""

from __future__ import annotations

import numpy as np

from gradus.data.columns import Text
from gradus.data.dataset import Split
from gradus.look.draw import draw_row, draw_value, input_names, number_spreads
from gradus.look.page import Html, element, join, name, paragraph, section
from gradus.look.text import number, percent, plural
from gradus.look.writing import Writing, draw_read
from gradus.tasks.assessment import ClassAssessment, LabelsAssessment, NumberAssessment

MOST = 24  # wrong answers shown of a classifier; half as many of the others, whose cards are larger


Rows = ClassAssessment | LabelsAssessment | NumberAssessment


def examples_section(
    assessment: Rows, examples: Split, target: str | None, rows: str, writing: Writing | None = None
) -> Html:
    """The examples worth looking at, each with its input drawn, the truth, the answer and where the row came from.

    writing: of texts, their words with what they added to the answer
    """
    names = input_names(examples, target)
    kinds = {type(examples.columns[column].type).__name__ for column in names}
    title, said, chosen = _choose(assessment, rows, kinds == {"Text"})
    spreads = number_spreads(examples, names)
    read = writing.read if writing is not None else {}
    if read:
        said += " Red words spoke for the answer, against the true class; blue ones for the truth."
    cards = [
        element(
            "li",
            element(
                "div",
                draw_read(read[row]) if row in read else draw_row(examples, row, names, spreads),
                *(_others(examples, row, names) if row in read else ()),
                class_="input",
            ),
            element("p", answer, class_="answer"),
            element("p", name(examples.origins[row]), class_="origin", title=examples.origins[row]),
        )
        for row, answer in chosen
    ]
    layout = {frozenset({"Image"}): "examples pictures", frozenset({"Text"}): "examples texts"}.get(
        frozenset(kinds), "examples"
    )
    return section("examples", title, paragraph(said), element("ol", *cards, class_=layout) if cards else "")


def _others(examples: Split, row: int, names: list[str]) -> list[Html]:
    """Of pairs of texts, the second as it is: the first stands there with its colours."""
    texts = [column for column in names if isinstance(examples.columns[column].type, Text)]
    return [draw_value(examples.columns[column].type, examples.columns[column][row]) for column in texts[1:]]


def shown_rows(assessment: ClassAssessment, texts: bool = False) -> list[int]:
    """The rows of a classifier's assessment that are shown as examples. texts: whether they are texts, of which fewer are."""
    confidence = np.nan_to_num(assessment.probabilities.max(axis=1))
    wrong = np.flatnonzero((assessment.predictions != assessment.targets) & (assessment.targets >= 0))
    most = MOST // 2 if texts else MOST
    if not len(wrong):
        return [int(row) for row in np.argsort(confidence, kind="stable")[: MOST // 4]]
    return [int(row) for row in wrong[np.argsort(-confidence[wrong], kind="stable")][:most]]


def _choose(assessment: Rows, rows: str, texts: bool = False) -> tuple[str, str, list[tuple[int, Html]]]:
    """(the section's title, what is shown, (row, its answer in words) for each example)."""
    if isinstance(assessment, ClassAssessment):
        return _choose_classes(assessment, rows, texts)
    if isinstance(assessment, LabelsAssessment):
        chance = np.clip(assessment.probabilities.astype(np.float64), 1e-7, 1 - 1e-7)
        surprise = -np.where(assessment.targets, np.log(chance), np.log(1 - chance)).mean(axis=1)
        worst = np.argsort(-surprise, kind="stable")[: MOST // 2]
        said = f"The {plural(len(worst), 'row')} whose labels the model found least likely: true labels and its answer."
        return "The worst answers", said, [(int(row), _labels_answer(assessment, int(row))) for row in worst]
    scale = assessment.targets.std(axis=0)
    error = (np.abs(assessment.residuals) / np.where(scale > 0, scale, 1)).max(axis=1)
    worst = np.argsort(-error, kind="stable")[: MOST // 2]
    said = f"The {plural(len(worst), 'row')} furthest from the truth: true value → prediction, and the difference."
    return "The worst answers", said, [(int(row), _number_answer(assessment, int(row))) for row in worst]


def _choose_classes(assessment: ClassAssessment, rows: str, texts: bool) -> tuple[str, str, list[tuple[int, Html]]]:
    chosen = shown_rows(assessment, texts)
    wrong = int((assessment.predictions != assessment.targets).sum())
    answers = [(row, _class_answer(assessment, row)) for row in chosen]
    if not wrong:
        said = f"None of the {rows} is answered wrong. These are right, but the model was least sure of them."
        return "The least certain answers", said, answers
    shown = f"all {wrong} wrong answers" if len(chosen) == wrong else f"the {len(chosen)} of {wrong:,} it was surest of"
    said = f"Wrong answers, {shown}: the true class, what the model said, and how sure it was."
    said += " Look for wrong labels, bad input and classes that overlap."
    return "Wrong with confidence", said, answers


def _class_answer(assessment: ClassAssessment, row: int) -> Html:
    true, predicted = int(assessment.targets[row]), int(assessment.predictions[row])
    said = [element("span", name(assessment.classes[true]), class_="true")]
    if true != predicted:
        said += [Html(" → "), element("span", name(assessment.classes[predicted]), class_="false")]
    sure = percent(float(assessment.probabilities[row, predicted]))
    return join((*said, " ", element("span", sure, class_="sure")))


def _labels_answer(assessment: LabelsAssessment, row: int) -> Html:
    """The labels that hold and those that were given, each with its probability; those that do not hold in colour."""
    holds, given = assessment.targets[row], assessment.predictions[row]

    def listed(labels: np.ndarray) -> Html:
        tags = (
            element(
                "span",
                name(assessment.classes[label]),
                Html(" "),
                percent(float(assessment.probabilities[row, label]), 0),
                class_="true" if holds[label] else "false",
            )
            for label in labels
        )
        return join(tags, ", ") or Html("none")

    return join(("true: ", listed(np.flatnonzero(holds)), Html("<br>"), "answer: ", listed(np.flatnonzero(given))))


def _number_answer(assessment: NumberAssessment, row: int) -> Html:
    lines = []
    for index, target in enumerate(assessment.names[:6]):
        true, predicted = assessment.targets[row, index], assessment.predictions[row, index]
        lead = join((name(target), ": ")) if len(assessment.names) > 1 else ""
        said = (element("span", number(true), class_="true"), " → ", element("span", number(predicted), class_="false"))
        off = element("span", f"{'+' if predicted > true else '−'}{number(abs(predicted - true), 3)}", class_="sure")
        lines.append(join((lead, *said, " ", off)))
    return join(lines, "<br>")
