"""The catalogue's families of what training is made of are whole: each public function is an entry or named here as a helper."""

from __future__ import annotations

import importlib
import inspect

import numpy as np
import pytest

from gradus.reference import catalogue

FAMILIES = ("initializers", "optimizers", "schedules", "metrics", "information", "calculus", "tensors")
ENTRIES = [entry for family in FAMILIES for entry in catalogue.entries(family)]
# functions that serve others, and stand in no table of primitives
HELPERS = {
    "averages": {"growing_decay"},
    "calculus": {"relative_error", "verdict"},
    "initializers": {"fans"},
    "metrics": {"averages", "precision_recall_curve", "roc_curve"},
    "optimizers": {"descend", "minibatches"},
    "overlap": {"box_area"},
    "schedules": {"decay_steps"},
    "tensors": {"broadcast_shape", "check_shapes", "count_weights", "logistic_gradients_loops"},
}


@pytest.mark.parametrize("name", [name for family in FAMILIES for name in catalogue.FAMILIES[family][1]])
def test_every_public_function_is_listed_or_a_helper(name):
    module = importlib.import_module(f"gradus.reference.{name}")
    public = {
        function
        for function, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__ and not function.startswith("_")
    }
    named = {named for entry in module.CATALOGUE for named in (entry.function, entry.backward) if named}
    listed = {function.partition(".")[2] for function in named}
    assert public == listed | HELPERS.get(name, set()) and not listed & HELPERS.get(name, set())


@pytest.mark.parametrize("entry", [entry for entry in ENTRIES if entry.span], ids=lambda entry: entry.function)
def test_what_is_drawn_takes_an_array(entry):
    values = np.asarray(catalogue.find(entry.function)(np.linspace(*entry.span, 50)))
    assert values.shape == (50,) and np.isfinite(values).all()
