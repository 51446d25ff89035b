"""The lessons on where things are: what the texts say of them."""

from __future__ import annotations

import numpy as np
import pytest
from pages import numbers

from gradus.lessons.classification_to_detection import BOXES, steps


def test_template_matching_finds_five_planes_and_their_motion():
    found = numbers("template-matching")
    assert (found["raw_right"], found["found"], found["extra"]) == (0, 5, 0)
    assert (found["rows_moved"], found["columns_moved"]) == (-6, 4)
    assert found["margin"] > 3 and found["margin_normalized"] > 2
    assert found["same_coefficient"] > 0.85 > found["turned_coefficient"]
    assert found["larger_coefficient"] < 0.6


def test_the_notes_windows_and_their_car():
    found = numbers("classification-to-detection")
    assert [found[f"answers_{side}"] for side in (14, 16, 28)] == [1, 4, 64]
    assert found["gap"] < 1e-6
    car = [found[side] for side in ("left", "top", "right", "bottom")]
    assert car == pytest.approx([30, 55, 70, 85])  # centre (50, 70), height 30, width 40
    assert found["loss_nothing"] == pytest.approx(0.2**2)
    assert found["loss_car"] == pytest.approx(0.8**2 + 0.4**2 + 0.2**2 + 0.6**2 + 0.5**2 + 0.9**2 + 0.1**2 + 0.9**2)


def test_two_cars_are_left_of_six_boxes():
    happened = steps(BOXES)
    assert [len(left) for _, _, left in happened] == [6, 5, 2, 0]
    assert BOXES[happened[-1][1], 4].tolist() == [0.9, 0.8]
    loose = steps(BOXES, overlap=0.99)
    assert len(loose[-1][1]) == 5  # a threshold that nothing reaches drops nothing
    assert np.isin(steps(BOXES, least=0.0)[-1][1], [5]).any()
