"""The doctor as a whole: it names what was planted, leaves a sound recipe alone, and refuses what it cannot ask."""

from __future__ import annotations

import numpy as np
import pytest

from gradus.data.load import DataSettings
from gradus.doctor.examine import examine
from gradus.doctor.finding import KINDS, Finding, ranked
from gradus.doctor.told import told
from gradus.errors import UserError
from gradus.look.network.words import memory_text
from gradus.recipes.recipe import Recipe
from gradus.recipes.table import get_recipe

DIGITS = get_recipe("digits-lenet5")


def test_faults_stand_before_warnings_and_advice():
    advice = Finding(kind="plateau", told="a", strength=1.0)
    fault = Finding(kind="no-signal", told="b", strength=0.1)
    weaker = Finding(kind="no-signal", told="c", strength=0.05)
    assert ranked([advice, weaker, fault]) == [fault, advice]
    assert all(kind.about for kind in KINDS.values())


def test_a_check_that_there_is_not():
    with pytest.raises(UserError, match="did you mean 'balance'"):
        examine(DIGITS, only=("balanc",))
    with pytest.raises(UserError, match="from 0 up to 1"):
        examine(DIGITS, bound=7)


def test_only_what_applies_is_asked():
    found = examine(Recipe(data=DataSettings(source="digits")), only=("balance",))
    assert found.findings == [] and np.isfinite(len(found.skipped))


def test_what_a_training_takes_is_told_before_it():
    found = examine(DIGITS, only=("cost",))
    line = told(found)[0]
    assert line.startswith("to expect here: ") and "rows a second" in line
    assert (
        f"take {memory_text(int(sum(v for k, v in found.measured['cost'].items() if k.startswith('bytes'))))}" in line
    )
