"""The part of a report on forecasts: forecast against truth over stretches of the test, and where the errors lie."""

from __future__ import annotations

import numpy as np

from gradus.data.columns import Time
from gradus.look import charts
from gradus.look.charts import INK, MODEL
from gradus.look.forecasts import thinned, time_axis
from gradus.look.page import Html, details, element, figure, join, name, paragraph, section, table
from gradus.look.text import brief, count, number, percent
from gradus.tasks.assessment import ForecastAssessment

STRETCH = 240  # windows of a drawn stretch
WORST = 10
FIGURES = "figures"


def forecast_evidence(assessment: ForecastAssessment) -> list[Html]:
    """The sections. Of several targets each has its own figures; drawn is the last step that is foretold, the hardest one."""
    sections = []
    errors = assessment.predictions - assessment.targets
    for place, target in enumerate(assessment.names):
        several = len(assessment.names) > 1
        title = join(("Forecast and truth", *((": ", name(brief(target))) if several else ())))
        body = [
            _words(assessment, errors, place),
            element("div", *_stretches(assessment, errors, place), class_=FIGURES),
        ]
        identity = "examples" if place == 0 else f"examples-{place}"
        sections.append(section(identity, str(title), *body))
        more = [*_by_step(errors, place), *_by_time(assessment, errors, place), _residuals(errors, place)]
        identity = "mistakes" if place == 0 else f"mistakes-{place}"
        body = [element("div", *more, class_=FIGURES), *_worst(assessment, errors, place)]
        sections.append(section(identity, "Where the errors lie", *body))
    return sections


def _words(assessment: ForecastAssessment, errors: np.ndarray, place: int) -> Html:
    off = errors[..., place]
    half, most = np.quantile(np.abs(off), (0.5, 0.9))
    said = [
        f"Half of the forecasts are within {number(float(half), 3)} of the truth, nine in ten within {number(float(most), 3)}."
    ]
    lean = float(off.mean())
    if abs(lean) > 0.05 * float(np.abs(off).mean()):
        said.append(f"On average they are {number(abs(lean), 3)} too {'high' if lean > 0 else 'low'}.")
    if assessment.bands is not None and len(assessment.quantiles) > 1:
        low, high = assessment.quantiles[0], assessment.quantiles[-1]
        bands, truth = assessment.bands[:, :, place], assessment.targets[..., place]
        inside = float(((truth >= bands[..., 0]) & (truth <= bands[..., -1])).mean())
        said.append(f"The band from {percent(low, 0)} to {percent(high, 0)} holds {percent(inside)} of what came; ")
        said[-1] += f"{percent(high - low, 0)} would be exact."
    if errors.shape[1] > 1:
        said.append(f"Drawn is the last of the {count(errors.shape[1])} steps that are foretold.")
    return paragraph(*said)


def _stretches(assessment: ForecastAssessment, errors: np.ndarray, place: int) -> list[Html]:
    """The whole split, and the stretches of it that are foretold best, as usual and worst."""
    rows = len(errors)
    off = np.abs(errors[:, -1, place])
    drawn = [_drawn(assessment, place, np.arange(rows), "whole", "The whole split")]
    if rows < 2 * STRETCH:
        return drawn
    starts = np.arange(0, rows - STRETCH + 1, STRETCH)
    means = np.array([off[start : start + STRETCH].mean() for start in starts])
    order = np.argsort(means, kind="stable")
    for word, chosen in (("best", order[0]), ("usual", order[len(order) // 2]), ("worst", order[-1])):
        kept = np.arange(starts[chosen], starts[chosen] + STRETCH)
        title = (
            f"A stretch as good as {'any' if word == 'best' else 'usual'}" if word != "worst" else "The worst stretch"
        )
        drawn.append(_drawn(assessment, place, kept, word, f"{title}: off by {number(float(means[chosen]), 3)}"))
    return drawn


def _drawn(assessment: ForecastAssessment, place: int, rows: np.ndarray, identity: str, title: str) -> Html:
    times = _times(assessment)[rows, -1]
    truth, found = assessment.targets[rows, -1, place], assessment.predictions[rows, -1, place]
    bands = assessment.bands[rows, -1, place] if assessment.bands is not None else None

    def paint(axes) -> None:
        if bands is not None and bands.shape[1] > 1 and len(rows) <= 4 * STRETCH:
            axes.fill_between(times, bands[:, 0], bands[:, -1], color=MODEL, alpha=0.2, linewidth=0)
        axes.plot(*thinned(times, truth, 1_000), color=INK, linewidth=0.9)
        axes.plot(*thinned(times, found, 1_000), color=MODEL, linewidth=0.9, alpha=0.8)
        time_axis(axes, times)

    keys = [("ink", "truth"), ("model", "foretold" + (" and its band" if bands is not None else ""))]
    return figure(charts.draw(f"forecast-{place}-{identity}", paint, title), title, keys)


def _times(assessment: ForecastAssessment) -> np.ndarray:
    """(N, steps): times, or numbers of windows."""
    if assessment.times is not None:
        return assessment.times
    rows, steps = assessment.targets.shape[:2]
    return np.arange(rows)[:, None] + np.arange(steps)


def _by_step(errors: np.ndarray, place: int) -> list[Html]:
    if errors.shape[1] < 2:
        return []
    means = np.abs(errors[..., place]).mean(axis=0)
    return [_line(f"by-step-{place}", np.arange(1, len(means) + 1), means, "step ahead", "Error by step ahead")]


def _by_time(assessment: ForecastAssessment, errors: np.ndarray, place: int) -> list[Html]:
    if assessment.times is None:
        return []
    times, off = assessment.times.ravel(), np.abs(errors[..., place]).ravel()
    hours = times.astype("datetime64[h]").astype(np.int64) % 24
    months = times.astype("datetime64[M]").astype(np.int64) % 12 + 1
    drawn = []
    for word, values in (("hour of the day", hours), ("month", months)):
        distinct = np.unique(values)
        if len(distinct) > 1:
            means = np.array([off[values == value].mean() for value in distinct])
            identity = f"by-{word.split()[0]}-{place}"
            drawn.append(_line(identity, distinct, means, word, f"Error by {word} that is foretold"))
    return drawn


def _line(identity: str, across: np.ndarray, means: np.ndarray, word: str, title: str) -> Html:
    def paint(axes) -> None:
        axes.plot(across, means, color=MODEL, marker="o" if len(across) <= 48 else None, markersize=3.6)
        axes.set(xlabel=word, ylim=(0, 1.08 * float(means.max()) or 1))
        axes.yaxis.set_major_formatter(charts.short_number)

    return figure(charts.draw(identity, paint, title), title, note="Mean absolute error.")


def _residuals(errors: np.ndarray, place: int) -> Html:
    drawing = charts.histogram(f"residuals-{place}", errors[..., place].ravel(), across="foretold minus true")
    return figure(drawing, "Errors")


def _worst(assessment: ForecastAssessment, errors: np.ndarray, place: int) -> list[Html]:
    """The moments foretold worst, not two within a tenth of a stretch."""
    off = np.abs(errors[..., place])
    rows: list[list[str]] = []
    taken = np.zeros(len(off), dtype=bool)
    for row in np.argsort(-off.max(axis=1), kind="stable").tolist():
        if taken[row] or len(rows) == WORST:
            continue
        taken[max(0, row - STRETCH // 10) : row + STRETCH // 10] = True
        step = int(off[row].argmax())
        when = _times(assessment)[row, step]
        said = Time().to_text(when) if assessment.times is not None else f"window {row + 1}"
        values = (
            assessment.predictions[row, step, place],
            assessment.targets[row, step, place],
            errors[row, step, place],
        )
        rows.append([said, *(number(float(value), 4) for value in values)])
    shown = table(["time", "foretold", "true", "error"], rows, numeric=(1, 2, 3))
    return [details(f"The {count(len(rows))} worst moments", shown)]
