"""Films of what a run does: GIF and video read back, worlds that we draw, text worlds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gradus.data.frames import find_files, read_frames
from gradus.errors import UserError
from gradus.look.film import check_film, write_film
from gradus.look.worlds import POLE, cart_pole, writing

FRAMES = [np.full((20, 30, 3), (0, 0, 0), np.uint8) for _ in range(5)]
for _index, _frame in enumerate(FRAMES):
    _frame[:, 6 * _index : 6 * _index + 6] = (250, 40, 40)


@pytest.mark.parametrize("name", ["a.gif", "a.mp4"])
def test_a_film_is_read_back_frame_by_frame(tmp_path, name):
    if name != "a.gif":
        pytest.importorskip("av")
    write_film(tmp_path / name, FRAMES, 10)
    read = [frame.pixels for frame in read_frames(find_files([tmp_path / name]), 3)]
    assert len(read) == len(FRAMES)
    for one, other in zip(read, FRAMES, strict=True):
        assert np.abs(one.astype(int).mean(axis=(0, 2)) - other.astype(int).mean(axis=(0, 2))).mean() < 12


def test_a_gif_keeps_its_time_and_begins_again(tmp_path):
    for rate, duration in ((10, 100), (50, 20), (500, 20), (15, 70)):
        write_film(tmp_path / "a.gif", FRAMES, rate)
        with Image.open(tmp_path / "a.gif") as film:
            assert film.info["duration"] == duration and film.info["loop"] == 0


@pytest.mark.parametrize(("name", "told"), [("a.png", "ends in .gif"), ("nowhere/a.gif", "there is no folder")])
def test_a_name_that_cannot_be_written_is_told(tmp_path, name, told):
    with pytest.raises(UserError, match=told):
        check_film(tmp_path / name)


def test_a_missing_package_is_told(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(UserError, match=r"pip install 'gradus\[video\]'"):
        check_film(Path("a.mp4"))


def places_of(picture: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    return np.argwhere((picture == colour).all(axis=2))


def test_the_pole_leans_to_where_its_angle_says_and_the_cart_stands_where_it_is():
    right, left = (places_of(cart_pole(np.array([0, 0, angle, 0])), POLE) for angle in (0.2, -0.2))
    assert right[right[:, 0].argmin(), 1] > 155 and left[left[:, 0].argmin(), 1] < 145  # the tip
    moved = places_of(cart_pole(np.array([1.0, 0, 0, 0])), POLE)[:, 1].mean()
    assert moved == pytest.approx(150 + 300 / 5.4, abs=1.5)


def test_a_world_of_text_is_drawn_and_its_place_stands_out():
    plain, marked = writing("SF\nHG\n"), writing("\x1b[41mS\x1b[0mF\nHG\n")
    assert plain.shape == marked.shape and (plain != marked).any()
    changed = np.argwhere((plain != marked).any(axis=2))
    assert changed.max(axis=0)[0] < plain.shape[0] / 2 and changed.max(axis=0)[1] < plain.shape[1] / 2  # only the S
