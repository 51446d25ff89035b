"""The catalogue: every entry names functions that exist, formulas that can be set, and a derivative that is that of its value."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import numpy as np
import pytest

import gradus.reference
from gradus.lessons.catalogue import LOSSES, elementwise, html, identity, plot
from gradus.lessons.page import math
from gradus.reference.catalogue import FAMILIES, Entry, entries, find

ALL = [(family, entry) for family in FAMILIES for entry in entries(family)]
NAMES = [f"{family}: {entry.name}" for family, entry in ALL]
each = pytest.mark.parametrize("entry", [entry for _, entry in ALL], ids=NAMES)
TESTS = "\n".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("*.py"))


@each
def test_an_entry_is_whole(entry: Entry):
    assert callable(find(entry.function))
    assert not entry.backward or callable(find(entry.backward))
    assert entry.formula and entry.source
    for latex in (entry.formula, entry.derivative):
        assert "<merror" not in math(latex or "x", display=True)
        assert "\\" not in re.sub(r"<annotation.*?</annotation>|\\\\", "", math(latex or "x")), (
            "a macro was not understood"
        )


@each
def test_what_is_used_in_training_exists(entry: Entry):
    for name in re.findall(r"(?:torch|gradus)(?:\.\w+)+", entry.fast):
        parts = name.split(".")
        for cut in range(len(parts), 0, -1):
            try:
                found = importlib.import_module(".".join(parts[:cut]))
            except ModuleNotFoundError:
                continue
            for part in parts[cut:]:
                found = getattr(found, part)
            break


@each
def test_the_functions_are_named_in_a_test(entry: Entry):
    for function in filter(None, (entry.function, entry.backward)):
        assert re.search(rf"\b{function.rpartition('.')[2]}\b", TESTS), f"no test names {function}"


@pytest.mark.parametrize(
    "entry",
    [entry for _, entry in ALL if entry.span and entry.backward],
    ids=[name for name, (_, entry) in zip(NAMES, ALL, strict=True) if entry.span and entry.backward],
)
def test_what_is_drawn_as_the_derivative_is_that_of_the_value(entry: Entry):
    low, high = entry.span
    places = np.linspace(low, high, 240) + 0.3711 * (high - low) / 240  # off the kinks, which lie at round numbers
    step = 1e-6 * (high - low)
    value, slope = find(entry.function), elementwise(find(entry.backward), places)
    found = (elementwise(value, places + step) - elementwise(value, places - step)) / (2 * step)
    np.testing.assert_allclose(slope, found, rtol=2e-5, atol=2e-6)


def test_every_module_of_primitives_is_in_a_family():
    listed = {module for _, modules in FAMILIES.values() for module in modules}
    with_entries = {
        module.name
        for module in pkgutil.iter_modules(gradus.reference.__path__)
        if hasattr(importlib.import_module(f"gradus.reference.{module.name}"), "CATALOGUE")
    }
    assert with_entries == listed


def test_names_and_anchors_are_unique():
    for family in FAMILIES:
        names = [entry.name for entry in entries(family)]
        assert len(set(names)) == len(names), family
    anchors = [identity(entry) for _, entry in ALL]
    assert len(set(anchors)) == len(anchors)


def test_every_loss_that_is_drawn_is_one():
    functions = {entry.function.partition(".")[2]: entry for entry in entries("losses")}
    for name in LOSSES:
        assert "<svg" in plot(functions[name])


def test_the_page_shows_every_entry():
    written = html()
    assert all(f'id="{identity(entry)}"' in written for _, entry in ALL)
    assert "\\mathdefault" not in written
    shown = re.sub(r"<(annotation|style|svg).*?</\1>", "", written, flags=re.DOTALL)
    assert "\\" not in shown, "LaTeX is shown as text"


def test_the_reference_needs_numpy_alone():
    for module in pkgutil.iter_modules(gradus.reference.__path__):
        loaded = importlib.import_module(f"gradus.reference.{module.name}")
        used = {value.__name__.split(".")[0] for _, value in inspect.getmembers(loaded, inspect.ismodule)}
        assert used <= {"numpy", "importlib", "math", "itertools", "gradus", "collections"}, module.name
