"""Points and frames drawn on pictures."""

from __future__ import annotations

import numpy as np

from gradus.look.points import FOUND_RGB, GIVEN_RGB, draw_frame, draw_points


def test_a_dot_stands_at_its_point():
    picture = np.zeros((40, 60, 1), dtype=np.uint8)
    drawn = draw_points(picture, np.array([[30.5, 20.5], [np.nan, 3.0]]))
    assert drawn.shape == (40, 60, 3) and drawn.dtype == np.uint8 and not picture.any()
    assert tuple(drawn[20, 30]) == FOUND_RGB
    rows, columns = np.nonzero(drawn.any(axis=2))
    assert (rows.mean(), columns.mean()) == (20, 30)  # round, and nothing else
    named = draw_points(picture, np.array([[30.5, 20.5]]), ["nose"])
    assert named.any(axis=2).sum() > drawn.any(axis=2).sum()


def test_a_frame_runs_along_its_box():
    picture = np.full((40, 60, 3), 10, dtype=np.uint8)
    drawn = draw_frame(picture, np.array([10.0, 5.0, 50.0, 35.0]), GIVEN_RGB)
    rows, columns = np.nonzero((drawn == GIVEN_RGB).all(axis=2))
    assert abs(columns.min() - 10) <= 1 and abs(columns.max() - 50) <= 1
    assert abs(rows.min() - 5) <= 1 and abs(rows.max() - 35) <= 1
    assert tuple(drawn[20, 30]) == (10, 10, 10)
    assert (
        draw_frame(picture, np.array([30.0, 20.0, 20.0, 10.0])).shape == picture.shape
    )  # a box inside out is no crash
