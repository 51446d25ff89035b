"""The part of a report on several answers about each row."""

from __future__ import annotations

from gradus.look.page import Html, element, name, paragraph, section, table
from gradus.look.text import brief, count, metric_value, metric_words
from gradus.tasks.assessment import SeveralAssessment


def several_evidence(assessment: SeveralAssessment, rows: str) -> list[Html]:
    """A table of each output's own metrics."""
    parts = []
    for column, part in assessment.parts.items():
        values = [[metric_words(what), metric_value(what, value)] for what, value in part.metrics.items()]
        parts.append(element("div", element("h3", name(brief(column))), table(["metric", "value"], values, [1])))
    said = f"Each output by itself, on {count(len(assessment.targets))} {rows}. The loss is their weighted sum."
    return [section("mistakes", "Each output", paragraph(said), element("div", *parts, class_="beside"))]
