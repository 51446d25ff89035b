"""The report of a training run: one HTML file that says how good a model is, and shows why it should be believed.

The file stands alone: styles, drawings and pictures are inside, it runs no script and its security policy forbids every
request. It opens with a sentence in plain words; the evidence follows, what is long is folded away.

Not covered: reports over several runs (`gradus compare`), and the spread between seeds.
"""

from __future__ import annotations

from pathlib import Path

from gradus.files import write_atomic
from gradus.look.content import ReportContent, known_rows, row_word
from gradus.look.headline import comparison_section, headline, metrics_table
from gradus.look.page import Html, document, element, join, paragraph
from gradus.tasks.assessment import GenerationAssessment

__all__ = ["ReportContent", "page", "write_report"]


def write_report(content: ReportContent, path: Path) -> None:
    """Writes the report. Atomic: a reader of `path` sees the old file or the new one, never half."""
    write_atomic(Path(path), page(content).encode("utf-8"))


def page(content: ReportContent) -> str:
    """The whole report as one HTML document."""
    # Drawing needs matplotlib, which takes a while to import; `gradus --help` must not wait for it.
    from gradus.look.evidence import evidence
    from gradus.look.making import making_sections, parts_of
    from gradus.look.record import (
        data_section,
        environment_section,
        learning_section,
        model_section,
        settings_section,
        timing_section,
    )

    content, left_out = known_rows(content)
    rows = row_word(content.examples, content.target)
    fit = content.settings.get("task", {}).get("options", {}).get("fit", "pad")
    made = isinstance(content.assessment, GenerationAssessment)  # there is nothing simpler to compare with
    first = making_sections(content.making, content.split) if content.making is not None else []
    sections = [
        *(first if made else [comparison_section(content, metrics_table(content))]),
        learning_section(content.history, content.primary[0], content.best_epoch, parts_of(content.assessment)),
        *(
            evidence(content.assessment, content.examples, content.target, rows, fit, content.writing)
            if len(content.assessment.targets)
            else ()
        ),
        data_section(content.data),
        model_section(content.model),
        timing_section(content.timing),
        settings_section(content.settings),
        environment_section(content.environment),
    ]
    body = join((headline(content, rows, left_out), element("main", *sections), _foot()))
    return document(content.title, body)


def _foot() -> Html:
    better = paragraph(
        "Why is it not better, and what to try next? ", element("code", "gradus doctor RUN"), " says it."
    )
    whole = element("p", "Written by Gradus. This file is complete: it loads nothing from elsewhere.")
    return element("footer", better, whole)
