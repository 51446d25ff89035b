"""Learning curves of several runs: runs that were measured at other places are brought together."""

from __future__ import annotations

import numpy as np
from PIL import Image

from gradus.look.returns import Curves, draw_returns, together


def test_runs_measured_at_the_same_places_are_taken_there():
    places, values = together(Curves("a", [np.array([1, 2, 3])] * 2, [np.array([1.0, 2, 3]), np.array([3.0, 4, 5])]))
    assert places.tolist() == [1, 2, 3] and values.mean(axis=0).tolist() == [2, 3, 4]


def test_others_are_joined_by_straight_lines_as_far_as_the_shortest_reaches():
    one, other = np.array([0.0, 10.0]), np.array([2.0, 4.0, 20.0])
    places, values = together(Curves("a", [one, other], [one * 2, other * 3]), points=9)
    assert places[0] == 2 and places[-1] == 10
    np.testing.assert_allclose(values, [places * 2, places * 3])


def test_the_picture_has_a_curve_a_band_and_a_goal(tmp_path):
    steps = np.arange(10)
    groups = [
        Curves("one", [steps] * 3, [steps * 1.0, steps * 2.0, steps * 3.0]),
        Curves("two", [steps], [steps * 0.5]),
    ]
    draw_returns(tmp_path / "a.png", groups, metric="return", across="environment steps", goal=20)
    draw_returns(tmp_path / "b.png", groups, metric="return", across="environment steps")
    first, second = (np.asarray(Image.open(tmp_path / name).convert("RGB")) for name in ("a.png", "b.png"))
    assert first.shape == second.shape and (first != second).any()
