"""Two players: the cake, the best judge, and a game that finds its balance; the printed rule does not."""

from __future__ import annotations

import math

import numpy as np
import pytest
from pages import numbers

from gradus.lessons import two_players


def test_the_cake_is_cut_evenly():
    found = numbers("two-players")
    assert found["cut"] == pytest.approx(0.5) and found["kept"] == pytest.approx(0.5)
    assert (found["even"], found["uneven"]) == (1, 0)
    assert not two_players.is_equilibrium(0.4, True)  # B would rather have the other piece
    np.testing.assert_allclose(two_players.cake(np.array([0.3, 0.9])), [0.3, 0.1])


def test_the_best_judge_says_the_share_that_is_real():
    found = numbers("two-players")
    assert found["best_at_half"] == pytest.approx(0.5) == found["product"]
    assert found["best_at_fifth"] == pytest.approx(0.2)
    assert found["value"] == pytest.approx(-math.log(4))


def test_the_game_finds_its_balance_and_the_printed_rule_does_not():
    found = numbers("two-players")
    assert found["mean"] == pytest.approx(two_players.MEAN, abs=0.1)
    assert found["deviation"] == pytest.approx(two_players.DEVIATION, abs=0.15)
    assert found["d_real"] == pytest.approx(0.5, abs=0.02) and found["d_made"] == pytest.approx(0.5, abs=0.02)
    assert found["wrong_mean"] < two_players.BEGUN[0]  # farther from what is real than it began
