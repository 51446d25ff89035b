"""Scenes: pictures brought to one size, and everything on them with them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gradus.data.augment.geometry import Warp
from gradus.data.augment.settings import AugmentSettings
from gradus.data.columns import Column, Image
from gradus.data.dataset import Split
from gradus.data.images import resize
from gradus.errors import UserError
from gradus.tasks.scenes import SceneInputs, SceneOptions, from_network, move_objects, to_network


def pictures(*sizes: tuple[int, int], seed: int = 0) -> Split:
    random = np.random.default_rng(seed)
    arrays = [random.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]
    return Split({"image": Column(Image(), arrays)}, [f"picture {number}" for number in range(len(sizes))])


def fitted(split: Split, **options: object) -> SceneInputs:
    inputs = SceneInputs(SceneOptions(**options))  # type: ignore[arg-type]
    inputs.fit(split, exclude=())
    inputs.to_device(torch.device("cpu"))
    return inputs


@pytest.mark.parametrize("size", [(48, 64), (100, 40), (33, 190), (64, 64), (2, 300), (900, 3)])
def test_a_padded_picture_lies_where_its_place_says(size):
    inputs = fitted(pictures((40, 60)), image_size=(64, 96))
    seen = resize(np.full((*size, 1), 255, dtype=np.uint8), (64, 96), "pad")[..., 0] > 127
    _, _, down, across, top, left = inputs.place(*size)
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    assert (rows[0], rows[-1] + 1) == (top, top + round(size[0] * down))
    assert (columns[0], columns[-1] + 1) == (left, left + round(size[1] * across))


@pytest.mark.parametrize("fit", ["pad", "stretch"])
def test_boxes_go_to_the_network_and_come_back(fit):
    inputs = fitted(pictures((50, 80), (90, 30)), image_size=64, fit=fit)
    places = inputs.encode(pictures((50, 80), (90, 30)))["places"]
    boxes = torch.tensor([[[0.0, 0, 80, 50], [3.5, 7, 22, 31]], [[0.0, 0, 30, 90], [1, 2, 3, 80]]])
    there = to_network(boxes, places)
    assert there.amin() >= 0
    assert (there[..., 2] <= inputs.size[1]).all()
    assert (there[..., 3] <= inputs.size[0]).all()
    torch.testing.assert_close(from_network(there, places), boxes)
    outside = to_network(boxes + 1000, places)
    torch.testing.assert_close(from_network(outside, places)[0, 0], torch.tensor([80.0, 50, 80, 50]))


def test_the_size_follows_the_pictures():
    assert fitted(pictures((480, 640)), image_size=320).size == (240, 320)
    assert fitted(pictures((480, 640))).size == (240, 320)
    assert fitted(pictures((640, 480)), image_size=(64,)).size == (64, 48)
    assert fitted(pictures((48, 64))).size == (48, 64)
    assert fitted(pictures((48, 64)), image_size=(32, 96)).size == (32, 96)
    with pytest.raises(UserError, match="one or two sides"):
        SceneOptions(image_size=(32, 32, 32))


def test_a_model_of_one_size_decides():
    inputs = SceneInputs(SceneOptions())
    inputs.model_sizes = (300,)
    inputs.fit(pictures((48, 64)), exclude=())
    assert inputs.size == (300, 300)
    for asked in (320, (300, 240)):
        other = SceneInputs(SceneOptions(image_size=asked))
        other.model_sizes = (300,)
        with pytest.raises(UserError, match="the model takes pictures of 300x300"):
            other.fit(pictures((48, 64)), exclude=())


def test_things_follow_a_flip_and_leave_with_a_crop():
    split = pictures((40, 40), (40, 40))
    inputs = fitted(split)
    batch = inputs.encode(split)["inputs"]
    objects = torch.tensor([[[2.0, 4, 12, 10, 1, 0], [0, 0, 0, 0, -1, 0]]] * 2)
    flipped, warp = inputs.prepare(batch, inputs.augmentation(AugmentSettings(flip_horizontal=1.0)))
    torch.testing.assert_close(flipped, inputs.prepare(batch)[0].flip(3))
    moved = move_objects(objects, warp)
    torch.testing.assert_close(moved[0, 0, :5], torch.tensor([28.0, 4, 38, 10, 1]))
    assert (moved[:, 1, 4] == -1).all()
    torch.manual_seed(0)
    _, warp = inputs.prepare(batch, inputs.augmentation(AugmentSettings(crop_area=(0.1, 0.2))))
    corners = torch.tensor([[[x, y, x + 6.0, y + 6.0, 0, 0] for x in (0.0, 34.0) for y in (0.0, 34.0)]] * 2)
    assert (move_objects(corners, warp)[..., 4] < 0).any(), "a fifth of a picture does not hold all four corners"


def test_of_what_a_crop_leaves_less_than_a_quarter_is_ignored():
    """Content goes 10 to the left: of the things half, a fifth and nothing is left; the last was ignored before."""
    warp = Warp(torch.tensor([[[1.0, 0.0, 10.0], [0.0, 1.0, 0.0]]]), (20, 20), (20, 20))
    objects = torch.tensor([[[6.0, 0, 14, 8, 1, 0], [6, 0, 11, 8, 2, 0], [0, 0, 8, 8, 1, 0], [12, 0, 20, 8, 0, 1]]])
    moved = move_objects(objects, warp)[0]
    assert moved[:, 4].tolist() == [1, 2, -1, 0] and moved[:, 5].tolist() == [0, 1, 1, 1]
    assert moved[1, :4].tolist() == [0, 0, 1, 8]


def test_mixing_is_refused():
    inputs = fitted(pictures((40, 40)))
    with pytest.raises(UserError, match="not mixed"):
        inputs.augmentation(AugmentSettings(mixup=0.2))
