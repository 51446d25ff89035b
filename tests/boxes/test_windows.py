"""Windows on a picture: all places, flush with the edges."""

from __future__ import annotations

import numpy as np

from gradus.boxes.windows import windows_of


def test_windows_cover_the_picture_and_end_at_its_edges():
    boxes = windows_of((20, 31), [(8, 10), (4, 4)], step=0.5)
    large = boxes[(boxes[:, 3] - boxes[:, 1]) == 8]
    assert sorted(set(large[:, 1])) == [0, 4, 8, 12] and sorted(set(large[:, 0])) == [0, 5, 10, 15, 20, 21]
    assert len(large) == 24 and boxes[:, 2].max() == 31 and boxes[:, 3].max() == 20
    seen = np.zeros((20, 31), dtype=bool)
    for left, top, right, bottom in large.astype(int):
        seen[top:bottom, left:right] = True
    assert seen.all()


def test_windows_larger_than_the_picture_are_left_out():
    assert windows_of((20, 31), [(21, 4), (4, 32)]).shape == (0, 4)
    assert windows_of((20, 31), [(20, 31)]).tolist() == [[0, 0, 31, 20]]
