"""The part of a report that records how a result came about: learning curves, time, settings, model, data, machine."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from gradus.look import charts
from gradus.look.making import balance_figure
from gradus.look.page import Html, details, element, figure, join, name, pairs, paragraph, section, table
from gradus.look.text import capital, count, duration, is_number, is_share, metric_words, number, plural

LONG = 24  # rows above which a table is folded away
SEVERAL = 12  # values of a list that are written out


def values_of(history: Sequence[Mapping[str, Any]], key: str) -> np.ndarray:
    """(epochs,) float64: one value a record, nan where it is missing or not a number."""
    found = (record.get(key) for record in history)
    return np.array([float(value) if is_number(value) else math.nan for value in found])


def learning_section(
    history: Sequence[Mapping[str, Any]], metric: str, best_epoch: int | None, parts: Sequence[str] = ()
) -> Html:
    """Loss and metric against the epoch, and what they say in words. parts: further numbers that are drawn."""
    if not history:
        return section("learning", "How it learnt", paragraph("No epochs were recorded."))
    numbered = [record.get("epoch") for record in history]
    epochs = [float(epoch) if is_number(epoch) else index + 1.0 for index, epoch in enumerate(numbered)]
    figures: list[Html] = []
    for quantity in dict.fromkeys(("loss", metric, *parts)):
        training, validation = (values_of(history, f"{part}_{quantity}") for part in ("train", "validation"))
        measured = [("model", "training", training), ("second", "validation", validation)]
        keys = [(role, word) for role, word, values in measured if np.isfinite(values).any()]
        if not keys:
            continue
        title = capital(metric_words(quantity))
        drawing = charts.learning_curves(
            f"learning-{len(figures)}", epochs, training, validation,
            title=f"{title} by epoch", best_epoch=best_epoch, share=is_share(quantity),
        )  # fmt: skip
        figures.append(figure(drawing, title, keys))
    rates = values_of(history, "learning_rate")
    if np.isfinite(rates).all() and len(set(rates)) > 1:
        drawing = charts.one_curve("learning-rate", epochs, rates, title="Learning rate by epoch")
        figures.append(figure(drawing, "Learning rate"))
    said = learning_words(epochs, values_of(history, "train_loss"), values_of(history, "validation_loss"))
    if "train_generator_loss" in history[-1]:  # of a game, whose losses say nothing of how good what is made is
        said = ["The losses are those of players: that one falls does not mean that the pictures get better."]
    balance = balance_figure(history, epochs)
    if balance is not None:
        figures.insert(0, balance[0])
        said.insert(0, balance[1])
    words = paragraph(*said)
    return section("learning", "How it learnt", words, element("div", *figures, class_="figures"))


def learning_words(epochs: Sequence[float], training: np.ndarray, validation: np.ndarray) -> list[str]:
    """What the loss curves say, in plain sentences. training, validation (epochs,), nan where not measured."""
    if len(training) and not np.isfinite(training[-1]) and np.isfinite(training).any():
        return ["Training loss was no longer a number at the end: the learning rate may be too high."]
    known = np.flatnonzero(np.isfinite(validation))
    if not len(known):
        return ["No validation loss was measured, so the curves cannot tell learning from memorising."]
    lowest = int(known[np.argmin(validation[known])])
    said = [f"Validation loss was lowest at epoch {epochs[lowest]:g} ({number(validation[lowest], 3)})."]
    last, before = known[-1], known[-1 - max(len(known) // 4, 1)] if len(known) > 1 else known[-1]
    if len(known) < 3:
        return said
    if validation[last] > 1.05 * validation[lowest] and training[last] < training[lowest]:
        said.append(
            f"After that it rose to {number(validation[last], 3)} while training loss went on falling: from there "
            "on the model memorises its training rows (overfitting)."
        )
    elif lowest == last and validation[last] < 0.98 * validation[before]:
        said.append("It was still falling at the end, so more epochs may help.")
    else:
        said.append("It changed little towards the end: more epochs of the same would hardly help.")
    return said


def timing_section(timing: Mapping[str, float]) -> Html:
    """Seconds by part as bars, rates (names that end in `_per_second`) as sentences."""
    rates = {part: value for part, value in timing.items() if part.endswith("_per_second")}
    parts = {part: value for part, value in timing.items() if part not in rates}
    longest = max((value for value in parts.values() if is_number(value)), default=0)
    bars = [
        element(
            "li",
            element("span", part.replace("_", " "), class_="label"),
            element("span", element("i", style=_width(value, longest)), class_="track"),
            element("span", duration(value), class_="value"),
        )
        for part, value in parts.items()
    ]
    said = [
        f"{count(value)} {part.removesuffix('_per_second').replace('_', ' ')} a second."
        for part, value in rates.items()
    ]
    return section("time", "Where the time went", paragraph(*said), element("ul", *bars, class_="bars") if bars else "")


def _width(value: float, longest: float) -> str:
    return f"width:{100 * value / longest if is_number(value) and longest > 0 else 0:.2f}%"


def model_section(model: Mapping[str, Any]) -> Html:
    """The network's layers: name, type, shape of the output, parameters."""
    layers = model.get("layers") or []
    total = model.get("parameters") or sum(layer.get("parameters") or 0 for layer in layers)
    words = join((name(model.get("name", "The model")), f" has {plural(total, 'parameter')}: numbers set by training."))
    rows = [
        [
            element("code", layer.get("name", "")),
            layer.get("type", ""),
            _shape(layer.get("output")),
            count(layer.get("parameters") or 0) if layer.get("parameters") else "",
        ]
        for layer in layers
    ]
    layout = table(["layer", "type", "output", "parameters"], rows, numeric=(3,), class_="layers")
    if not rows:
        return section("model", "The model", paragraph(words))
    folded = details(f"{len(rows)} layers", layout) if len(rows) > LONG else layout
    return section("model", "The model", paragraph(words), folded)


def _shape(output: object) -> str:
    return " × ".join(str(size) for size in output) if isinstance(output, list | tuple) else str(output or "")


def data_section(data: Mapping[str, Any]) -> Html:
    """What the data are, their splits, columns and the notes made while reading them."""
    splits = data.get("splits") or {}
    whole = sum(splits.values())
    rows = [[split, count(size), f"{100 * size / whole:.0f}%" if whole else ""] for split, size in splits.items()]
    columns = list(data.get("columns") or [])
    listed = _columns_table(columns)
    notes = [element("li", note) for note in data.get("notes") or []]
    return section(
        "data",
        "The data",
        paragraph(join((element("strong", name(data.get("name", ""))), ". ", str(data.get("about") or "")))),
        table(["split", "rows", "share"], rows, numeric=(1, 2), class_="narrow") if rows else "",
        details(f"{len(columns)} columns", listed) if len(columns) > 8 else listed,
        element("h3", "Notes made while reading") if notes else "",
        element("ul", *notes, class_="notes") if notes else "",
    )


def _columns_table(columns: Sequence[Mapping[str, Any]]) -> Html:
    rows = [_column(column) for column in columns]
    header = ["column", "type", "details"] if any(row[2] for row in rows) else ["column", "type"]
    return table(header, [row[: len(header)] for row in rows]) if rows else Html("")


def _column(column: Mapping[str, Any]) -> list[object]:
    rest = [(key, value) for key, value in column.items() if key not in ("name", "type")]
    described = join((join((key, ": ", _written(value))) for key, value in rest), "; ")
    return [name(column.get("name", "")), column.get("type", ""), described]


def settings_section(settings: Mapping[str, Any]) -> Html:
    """The resolved recipe, one group a part, in dotted names as `--set part.field=value` takes them."""
    plain: Mapping[str, Any] = {key: value for key, value in settings.items() if not isinstance(value, Mapping)}
    groups: list[tuple[str, Mapping[str, Any]]] = [("recipe", plain)] if plain else []
    groups += [(key, value) for key, value in settings.items() if isinstance(value, Mapping) and value]
    blocks = [
        element(
            "div",
            element("h3", title.replace("_", " ")),
            pairs((name(key), _written(value)) for key, value in _flat(group)),
        )
        for title, group in groups
    ]
    return section("settings", "Settings", element("div", *blocks, class_="blocks"))


def _flat(tree: Mapping[str, Any], lead: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{lead}{key}.")
        else:
            yield f"{lead}{key}", value


def _written(value: object) -> Html:
    """A setting's value as a person would write it."""
    if value is None or value == "":
        return name("none")
    if isinstance(value, bool):
        return name("yes" if value else "no")
    if isinstance(value, float):
        return name(f"{value:.10g}")
    if isinstance(value, list | tuple):
        shown = [_written(item) for item in value[:SEVERAL]]
        more = f", … {len(value) - SEVERAL} more" if len(value) > SEVERAL else ""
        return join((join(shown, ", ") if shown else "none", more))
    if isinstance(value, Mapping):
        return join((join((key, " ", _written(item))) for key, item in _flat(value)), ", ") or name("none")
    return name(value)


def environment_section(environment: Mapping[str, Any]) -> Html:
    """Versions, device and commit, folded away."""
    listed = pairs((name(key.replace("_", " ")), _written(value)) for key, value in _flat(environment))
    return section("environment", "Environment", details("Versions, device and commit", listed))
