"""Boxes and masks drawn on pictures, and sheets of them: where lines and colours are, and that augmentation takes boxes along."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from gradus.data.augment.settings import AugmentSettings
from gradus.data.columns import Boxes, Column, Image, Label, Mask, Objects, Points
from gradus.data.dataset import Dataset, NumberedRows, Split
from gradus.errors import UserError
from gradus.look.scene_sheet import _versions, draw_augmented_scenes, draw_sheet, scaled
from gradus.look.scenes import UNKNOWN, class_colour, draw_legend, draw_mask, draw_objects

BLACK = np.zeros((100, 120, 3), dtype=np.uint8)


def test_a_frame_covers_the_pixels_of_its_box() -> None:
    found = draw_objects(BLACK, Objects.of([[10, 20, 50, 60]], [1]), ("a", "b"), labels=False, width=1)
    inked = (found == class_colour(1)).all(axis=2)
    rows, columns = np.nonzero(inked)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (20, 59, 10, 49)  # the box covers up to 60 and 50
    assert inked.sum() == 2 * 40 + 2 * 38 and not BLACK.any()


def test_labels_scores_and_ignored_boxes() -> None:
    objects = Objects.of([[10, 40, 110, 90]], [0], scores=[0.5])
    plain = draw_objects(BLACK, objects, ("cat",), labels=False)
    assert not np.array_equal(plain, draw_objects(BLACK, objects, ("cat",)))
    sure = Objects.of([[10, 40, 110, 90]], [0], scores=[0.9])
    assert not np.array_equal(draw_objects(BLACK, sure, ("cat",)), draw_objects(BLACK, objects, ("cat",)))
    far = [[1e20, 1, 2e20, 9]], [[-1e30, -1e30, 1e30, 1e30]]
    for wrong in ([[np.nan, 0, 1, 1]], [[-50, -50, 300, 300]], [[20, 5, 10, 5]], *far):  # drawn as far as it can be
        assert draw_objects(BLACK, Objects.of(wrong, [7], [True]), ("cat",)).shape == (100, 120, 3)
    assert draw_objects(BLACK[..., :1], Objects.of([], []), ()).shape == (100, 120, 3)
    assert np.array_equal(draw_objects(BLACK, objects, ("a\ncat",)), draw_objects(BLACK, objects, ("a cat",)))
    assert np.array_equal(draw_legend(("a\ncat",), 90), draw_legend(("a cat",), 90))


def test_masks_have_the_colours_of_their_classes() -> None:
    mask = np.zeros((100, 120), dtype=np.uint8)
    mask[:50], mask[90:] = 1, 255
    found = draw_mask(BLACK, mask, ("a", "b"), opacity=1)
    assert tuple(found[0, 0]) == class_colour(1) and tuple(found[60, 0]) == class_colour(0)
    assert tuple(found[95, 0]) == UNKNOWN
    half = draw_mask(np.full_like(BLACK, 200), mask, ("a", "b"), opacity=0.5)
    assert np.allclose(half[0, 0], (np.array(class_colour(1)) + 200) / 2, atol=1)
    with pytest.raises(ValueError, match="a mask of"):
        draw_mask(BLACK, mask[:5], ("a",))


def test_colours_of_many_classes_are_distinct() -> None:
    assert len({class_colour(index) for index in range(120)}) == 120


def test_a_legend_breaks_into_lines() -> None:
    narrow, wide = (draw_legend([f"class {n}" for n in range(20)], width) for width in (200, 2000))
    assert narrow.shape[0] > wide.shape[0] and narrow.shape[1] == 200


def test_places_follow_a_new_size() -> None:
    objects = Objects.of([[10, 20, 50, 60]], [0])
    picture, moved = scaled(BLACK, objects, side=240)
    assert picture.shape == (200, 240, 3) and moved.boxes.tolist() == [[20, 40, 100, 120]]
    mask = np.arange(100 * 120).reshape(100, 120) % 7
    assert np.array_equal(scaled(BLACK, mask, side=240)[1][::2, ::2], mask)
    assert scaled(BLACK, np.array([[10.0, 20.0]]), side=240)[1].tolist() == [[20, 40]]


def test_boxes_and_masks_move_with_the_picture() -> None:
    """A bright square on black: after each draw its box, and its mask, are where it is."""
    picture = BLACK.copy()
    picture[30:60, 20:70] = 255
    settings = AugmentSettings(flip_horizontal=0.5, shift_horizontal=0.15, zoom=0.2, fill="constant")
    mask = (picture[..., 0] > 0).astype(np.uint8)
    import torch

    torch.manual_seed(1)
    both = _versions(picture, Objects.of([[20, 30, 70, 60]], [0]), settings, 8)
    torch.manual_seed(1)
    masks = _versions(picture, mask, settings, 8)
    places = set()
    for (moved, objects), (same, of_mask) in zip(both, masks, strict=True):
        assert np.array_equal(moved, same)
        rows, columns = np.nonzero(moved[..., 0] > 127)
        seen = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert np.abs(objects.boxes[0] - seen).max() <= 1
        assert ((of_mask == 1) != (moved[..., 0] > 127)).mean() < 0.02
        places.add(tuple(seen))
    assert len(places) > 4


def test_boxes_of_which_little_is_left_are_shown_as_ignored() -> None:
    """Shifts by up to half of the picture, of a box in its corner: it leaves by and by."""
    import torch

    torch.manual_seed(1)
    picture, settings = np.zeros((100, 100, 3), dtype=np.uint8), AugmentSettings(shift_horizontal=0.5)
    versions = _versions(picture, Objects.of([[0, 40, 40, 60]], [0]), settings, 60)
    left = [(len(objects), bool(objects.ignored.any())) for _, objects in versions]
    assert {(0, False), (1, True), (1, False)} == set(left)
    for _, objects in versions:
        if len(objects):
            width = objects.boxes[0, 2] - objects.boxes[0, 0]
            assert objects.ignored[0] == (width < 10) or abs(width - 10) < 0.1


def data(kind: Boxes | Mask | Points | Label, value: object) -> Dataset:
    pictures = np.random.default_rng(0).integers(0, 255, (5, 30, 40, 3), dtype=np.uint8)
    values = value if isinstance(value, np.ndarray) else [value] * 5
    split = Split({"image": Column(Image(), pictures), "what": Column(kind, values)}, NumberedRows.count("t", 5))
    return Dataset(name="t", source="t", splits={"train": split}, target="what")


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Boxes(classes=("cat",)), Objects.of([[1, 1, 20, 20]], [0])),
        (Mask(classes=("a", "b")), np.zeros((5, 30, 40), dtype=np.uint8)),
        (Points(names=("nose",)), np.full((5, 1, 2), 7.0)),
        (Label(classes=("cat", "dog")), np.array([0, 1, 0, 1, -1])),
    ],
)
def test_sheets(tmp_path: Path, kind: Boxes | Mask | Points | Label, value: object) -> None:
    whole = data(kind, value)
    sheet = draw_sheet(whole, tmp_path / "s.png", pictures=4, columns=2)
    assert np.array_equal(np.asarray(PillowImage.open(tmp_path / "s.png")), sheet)
    assert sheet.shape[1] == 10 + 2 * (120 + 10)
    with pytest.raises(UserError, match="t has no split 'test'"):
        draw_sheet(whole, tmp_path / "s.png", split="test")


def test_augmented_sheets(tmp_path: Path) -> None:
    whole = data(Boxes(classes=("cat",)), Objects.of([[1, 1, 20, 20]], [0]))
    settings = AugmentSettings(flip_horizontal=0.5, rotation=30)
    first = draw_augmented_scenes(whole, settings, tmp_path / "a.png", pictures=2, versions=3)
    assert np.array_equal(first, draw_augmented_scenes(whole, settings, tmp_path / "b.png", pictures=2, versions=3))
    assert not np.array_equal(first, draw_augmented_scenes(whole, settings, tmp_path / "c.png", 2, 3, seed=1))
    with pytest.raises(UserError, match="not mixed"):
        draw_augmented_scenes(whole, AugmentSettings(mixup=0.2), tmp_path / "d.png")
    assert not (tmp_path / "d.png").exists()
