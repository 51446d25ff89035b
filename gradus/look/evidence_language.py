"""The part of a language model's report that is its own: what surprised it, where, and which tokens."""

from __future__ import annotations

import math

import numpy as np

from gradus.look import charts
from gradus.look.page import Html, element, figure, paragraph, section, table
from gradus.look.text import count, number, percent
from gradus.tasks.assessment import LanguageAssessment

PASSAGES, PASSAGE = 4, 240  # the most surprising passages that are shown, and about how many characters long they are
DEEPEST = 8.0  # nats at which the colour of a token is full: one chance in 3 000
LISTED = 15  # tokens of the table
FIGURES = "figures"


def language_evidence(assessment: LanguageAssessment) -> list[Html]:
    """Sections: which tokens cost most, passages coloured by surprise, the loss by the place in a row."""
    counted = np.isfinite(assessment.nats)
    if not counted.any():
        return []
    return [
        section("mistakes", "What surprised it", _words(assessment, counted), _by_token(assessment, counted)),
        section("examples", "The most surprising passages", *_passages(assessment)),
        section("position", "How much context helps", _by_place(assessment, counted)),
    ]


def _words(assessment: LanguageAssessment, counted: np.ndarray) -> Html:
    nats = assessment.nats[counted]
    loss, unit = float(nats.mean()), assessment.unit
    choice = math.exp(min(loss, 700))
    half = float(np.median(nats))
    return paragraph(
        f"A token is a {unit} here. On average it is as unsure as if it had to choose among {number(choice, 3)} equally likely "
        f"{unit}s (perplexity, e to the {number(loss)} nats a {unit}).",
        f"Half of the {count(len(nats))} {unit}s cost less than {number(half, 3)} nats: surprise is uneven. The tenth that "
        f"cost most make up {percent(_share_of_dearest(nats))} of the loss.",
    )


def _share_of_dearest(nats: np.ndarray) -> float:
    dearest = np.sort(nats)[-max(len(nats) // 10, 1) :]
    return float(dearest.sum() / max(nats.sum(), 1e-12))


def _by_token(assessment: LanguageAssessment, counted: np.ndarray) -> Html:
    ids, nats = assessment.targets[counted], assessment.nats[counted]
    size = len(assessment.tokens)
    times, total = np.bincount(ids, minlength=size), np.bincount(ids, weights=nats, minlength=size)
    order = np.argsort(-total, kind="stable")[:LISTED]
    rows = [
        [
            element("code", visible(assessment.tokens[token])),
            count(times[token]),
            number(total[token] / times[token], 3),
            percent(total[token] / total.sum()),
        ]
        for token in order
        if times[token]
    ]
    header = [f"{assessment.unit} that came", "times", "nats each", "of the whole loss"]
    note = paragraph("Those that the loss is made of: dear ones that come often.", class_="note")
    return element("div", table(header, rows, numeric=(1, 2, 3)), note)


def _passages(assessment: LanguageAssessment) -> list[Html]:
    """The windows of the longest surprise, none overlapping another, each token coloured by its nats."""
    note = paragraph(
        f"Each {assessment.unit} is the darker the less it was expected; full colour from {DEEPEST:g} nats, one chance in 3,000. "
        "Hold the pointer on one for its number.",
        class_="note",
    )
    letters = float(np.mean([len(token) + len(assessment.between) for token in assessment.tokens[4:]]))
    length = max(8, round(PASSAGE / max(letters, 1.0)))
    ids, nats = assessment.targets.ravel(), assessment.nats.ravel()
    kept = np.isfinite(nats)
    ids, nats = ids[kept], nats[kept]
    length = min(length, len(nats))
    sums = np.concatenate([[0.0], np.cumsum(nats)])
    means = (sums[length:] - sums[:-length]) / length
    found: list[int] = []
    for start in np.argsort(-means, kind="stable"):
        if all(abs(int(start) - other) >= length for other in found):
            found.append(int(start))
        if len(found) == PASSAGES:
            break
    shown = [
        element(
            "figure",
            element("figcaption", element("strong", f"{number(means[start], 3)} nats a {assessment.unit}")),
            coloured(assessment, ids[start : start + length], nats[start : start + length]),
        )
        for start in found
    ]
    return [note, *shown]


def coloured(assessment: LanguageAssessment, ids: np.ndarray, nats: np.ndarray) -> Html:
    """A passage, each token upon a colour of its nats."""
    pieces: list[object] = []
    for token, cost in zip(ids, nats, strict=True):
        text = assessment.tokens[int(token)]
        depth = round(100 * min(float(cost) / DEEPEST, 1))
        shade = f"background:color-mix(in srgb, var(--bad) {depth}%, transparent)"
        pieces.append(element("span", visible(text, spaces=False), style=shade, title=f"{cost:.2f} nats"))
        pieces.append("\n" if "\n" in text else assessment.between)
    return element("pre", *pieces, style="white-space:pre-wrap;font-family:var(--mono)")


def visible(text: str, spaces: bool = True) -> str:
    """A token with its line breaks, and where it stands alone its spaces, as marks that can be seen."""
    text = text.replace("\n", "⏎").replace("\t", "⇥")
    return text.replace(" ", "␣") if spaces else text


def _by_place(assessment: LanguageAssessment, counted: np.ndarray) -> Html:
    each = counted.sum(axis=0)
    total = np.where(counted, assessment.nats, 0).sum(axis=0)
    places = np.flatnonzero(each)
    means = total[places] / each[places]

    def paint(axes: charts.Axes) -> None:
        axes.plot(places + 1, means, color=charts.MODEL, marker="o" if len(places) <= 12 else None, markersize=3.6)
        axes.set(xlabel=f"place of the {assessment.unit} in its row", ylabel=f"nats a {assessment.unit}")

    note = (
        "The further on in a row, the more has been read before it. A flat line: the state was carried over from the row before, "
        "or context further back tells nothing."
    )
    drawing = charts.draw("places", paint, "Loss against the place in a row")
    return element("div", figure(drawing, "Loss by place in the row", note=note), class_=FIGURES)
