"""The catalogue's entries of what training is made of: they name functions that exist, formulas that draw, each module whole."""

from __future__ import annotations

import importlib
import inspect

import numpy as np
import pytest
from latex2mathml.converter import convert

from gradus.reference import catalogue

FAMILIES = ("initializers", "optimizers", "schedules", "metrics", "information", "calculus", "tensors")
ENTRIES = [entry for family in FAMILIES for entry in catalogue.entries(family)]
# functions that serve others, and stand in no table of primitives
HELPERS = {
    "fans", "descend", "minibatches", "decay_steps", "growing_decay", "averages", "roc_curve", "precision_recall_curve",
    "box_area", "relative_error", "verdict", "broadcast_shape", "logistic_gradients_loops", "check_shapes", "count_weights",
}  # fmt: skip


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.function)
def test_entries_name_functions_and_draw(entry):
    function = catalogue.find(entry.function)
    assert inspect.getdoc(function)
    for formula in (entry.formula, entry.derivative, entry.range):
        if formula:
            assert "<math" in convert(formula)
    if entry.span:
        values = np.asarray(function(np.linspace(*entry.span, 50)))
        assert values.shape == (50,) and np.isfinite(values).all()


def test_every_public_function_is_listed_or_a_helper():
    listed = {entry.function for entry in ENTRIES}
    for family in FAMILIES:
        for name in catalogue.FAMILIES[family][1]:
            module = importlib.import_module(f"gradus.reference.{name}")
            for function, value in vars(module).items():
                if inspect.isfunction(value) and value.__module__ == module.__name__ and not function.startswith("_"):
                    assert f"{name}.{function}" in listed or function in HELPERS, f"{name}.{function}"


def test_names_are_unique():
    assert len({entry.name for entry in ENTRIES}) == len(ENTRIES)


def test_these_modules_need_numpy_alone():
    for family in FAMILIES:
        for name in catalogue.FAMILIES[family][1]:
            module = importlib.import_module(f"gradus.reference.{name}")
            used = {key for key, value in vars(module).items() if inspect.ismodule(value)}
            assert used <= {"np", "math"}, name
