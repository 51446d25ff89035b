"""The page: the findings with their commands, the errors on one bar, the curves. It stands alone, without scripts or requests."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gradus.doctor.examine import Diagnosis
from gradus.doctor.finding import KINDS, Finding
from gradus.doctor.gaps import overfitting_epoch
from gradus.doctor.table import CHECKS
from gradus.doctor.told import STAGES, summary
from gradus.files import write_atomic
from gradus.look import charts
from gradus.look.page import Html, details, document, element, figure, join, name, paragraph, section, table
from gradus.look.text import capital, count, is_share, number, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LONGEST = 160  # letters of a headline
TONES = {"fault": "bad", "warning": "bad", "advice": "even"}


def write_page(path: Path, diagnosis: Diagnosis, title: str, history: Sequence[dict[str, Any]] = ()) -> None:
    """Writes doctor.html. title: what was examined; history: the records of its epochs."""
    measured = diagnosis.measured
    body = [
        _head(diagnosis, title),
        section(
            "findings", "What was found", *(_finding(place, one) for place, one in enumerate(diagnosis.findings, 1))
        )
        if diagnosis.findings
        else Html(""),
        _gaps(measured["gaps"]) if "gaps" in measured else Html(""),
        _curve(measured["learning curve"]) if "learning curve" in measured else Html(""),
        _training(history),
        _asked(diagnosis),
    ]
    write_atomic(path, document(f"The doctor: {title}", join(body)))


def write_json(path: Path, diagnosis: Diagnosis) -> None:
    """Writes doctor.json; what is not a finite number is null."""
    write_atomic(path, json.dumps(plain(diagnosis.to_json()), indent=1, allow_nan=False) + "\n")


def plain(value: Any) -> Any:
    """`value` as JSON has it: arrays as lists, numbers that are not finite as None."""
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _head(diagnosis: Diagnosis, title: str) -> Html:
    sentence = "Nothing was found that is wrong."
    if diagnosis.findings:
        first = diagnosis.findings[0]
        sentence = capital(first.told if len(first.told) <= LONGEST else KINDS[first.kind].about) + "."
    return element(
        "header",
        element("p", name(title), element("span", "doctor"), class_="eyebrow"),
        element("h1", sentence),
        paragraph(capital(summary(diagnosis)) + ".", class_="lead"),
    )


def _finding(place: int, one: Finding) -> Html:
    facts = [one.where, f"usual: {one.usual}" if one.usual else "", f"{one.kind}: {KINDS[one.kind].about}"]
    facts += [f"{split} rows {', '.join(map(str, rows[:20]))}" for split, rows in one.rows.items() if rows]
    level = element("span", one.level, class_=f"verdict {TONES[one.level]}")
    return join(
        (
            element("h3", f"{place}. ", level),
            paragraph(capital(one.told) + "."),
            paragraph("; ".join(fact for fact in facts if fact) + ".", class_="note"),
            paragraph("Next: ", element("code", one.command)) if one.command else "",
            element("ul", *(element("li", _remedy(other)) for other in one.others)) if one.others else "",
        )
    )


def _remedy(other: str) -> Html:
    """A remedy in words, with its command as code where it has one."""
    about, colon, command = other.rpartition(": gradus ")
    return join((f"{about}: ", element("code", f"gradus {command}"))) if colon else join((other,))


def _gaps(measured: dict[str, Any]) -> Html:
    stages = {key: measured["stages"][key] for key in STAGES if key in measured["stages"]}
    whole = max([*(one["high"] for one in stages.values() if math.isfinite(one["high"])), 1e-12])

    def said(error: float) -> str:
        return percent(round(error, 3) + 0.0, 1) if is_share(measured["metric"]) else number(error, 3)

    bars = []
    for key, one in stages.items():
        low, high = (min(max(one[end] / whole, 0), 1) * 100 for end in ("low", "high"))
        pieces = [element("i", style=f"width:{100 * min(max(one['error'] / whole, 0), 1):.2f}%")]
        if key != "bound":
            pieces.append(element("b", style=f"left:{low:.2f}%;width:{high - low:.2f}%"))
        bars.append(
            element(
                "li",
                element("span", STAGES[key], class_="label"),
                element("span", *pieces, class_="track"),
                element("span", said(one["error"]), class_="value"),
                class_="model" if key == "train" else None,
            )
        )
    rows = [
        [
            " or ".join(gap["kinds"]),
            f"{STAGES[gap['from']]} → {STAGES[gap['to']]}",
            said(gap["size"]),
            f"{said(gap['low'])} to {said(gap['high'])}",
            "yes" if gap["sure"] else "no",
        ]
        for gap in measured["gaps"]
    ]
    note = (
        f"The error is {measured['error']}; the bound is {measured['bound']}. The fine line marks the 95 % interval. Training "
        "rows are judged as in use, without augmentation and dropout. The test rows are reported and choose nothing."
    )
    header = ["gap", "between", "size", "95 % interval", "beyond chance, and large enough to matter"]
    return section(
        "gaps",
        "From the bound to the test rows",
        element("ul", *bars, class_="bars"),
        paragraph(note, class_="note"),
        table(header, rows, numeric=(2, 3)),
    )


def _curve(measured: dict[str, Any]) -> Html:
    """Errors against rows with the fitted curve, drawn on to four times the rows."""
    rows, errors, fitted = np.array(measured["rows"]), np.array(measured["errors"]), measured["curve"]
    further = measured["further"]

    def paint(axes: Axes) -> None:
        across = np.geomspace(rows[0], rows[-1] * further[-1]["times"], 100)
        values = fitted["a"] + fitted["b"] * across ** -fitted["c"]
        known = across <= rows[-1]
        axes.plot(across[known], values[known], color=charts.MODEL)
        axes.plot(across[~known], values[~known], color=charts.MODEL, linestyle=(0, (4, 3)))
        axes.plot(rows, errors, "o", color=charts.SECOND, markersize=5)
        for one in further:
            if one["low"] is not None:
                axes.plot([one["times"] * rows[-1]] * 2, [one["low"], one["high"]], color=charts.MODEL, linewidth=1.4)
        axes.set_xscale("log")
        axes.set_ylim(bottom=0)
        axes.set(xlabel="training rows", ylabel=measured["error"])

    drawing = figure(
        charts.draw("learning-curve", paint, "Error against the number of training rows"),
        "Error by training rows",
        [("second", "measured"), ("model", "curve, drawn on")],
        note="Each size was trained once, with as many updates. The intervals hold the chance of the validation rows, and "
        "that of training as far as the epochs tell.",
    )
    return section("rows", "Would more rows help?", paragraph(capital(measured["said"]) + "."), drawing)


def _training(history: Sequence[dict[str, Any]]) -> Html:
    known = [one for one in history if "train_loss" in one and "validation_loss" in one]
    if len(known) < 2:
        return Html("")
    epochs = [one["epoch"] for one in known]
    losses = [np.array([one[key] for one in known], dtype=np.float64) for key in ("train_loss", "validation_loss")]
    start = overfitting_epoch(known)
    drawing = figure(
        charts.learning_curves("loss", epochs, *losses, title="Loss by epoch"),
        "Loss",
        [("model", "training"), ("second", "validation")],
    )
    said = f"From epoch {start} on the validation loss rose while the training loss fell." if start else ""
    return section("training", "The training", paragraph(said), drawing)


def _asked(diagnosis: Diagnosis) -> Html:
    rows = [[check, CHECKS[check].about if check in CHECKS else "", why] for check, why in diagnosis.skipped.items()]
    skipped = table(["check", "what it asks", "why it does not apply"], rows) if rows else Html("")
    text = element("pre", element("code", json.dumps(plain(diagnosis.measured), indent=1)))
    numbers = element("div", text, class_="scroll", tabindex="0")
    asked = f"{count(len(CHECKS))} questions are known; {count(len(rows))} of them do not apply here."
    return section("asked", "What was asked", paragraph(asked), skipped, details("all that was measured", numbers))
