"""Where pixels go: SciPy and Pillow as oracles, and what lies on a picture follows it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage
from scipy import ndimage

from gradus.data.augment import geometry
from gradus.data.augment.follow import move_boxes, move_points
from gradus.data.augment.geometry import Warp, draw_warp, warp_masks, warp_pictures
from gradus.data.augment.settings import PRESETS, AugmentSettings

CPU = torch.device("cpu")
SCIPY = {"nearest": "nearest", "reflect": "reflect", "wrap": "grid-wrap", "constant": "grid-constant"}


def pictures(rows=3, height=20, width=31, channels=3, seed=0):
    return torch.from_numpy(
        np.random.default_rng(seed).integers(0, 256, (rows, height, width, channels), dtype=np.uint8)
    )


def draw(rows=64, size=(32, 32), source=(32, 32), seed=0, **settings) -> Warp:
    torch.manual_seed(seed)
    return draw_warp(AugmentSettings(**settings), rows, source, size, CPU)


@pytest.mark.parametrize("fill", SCIPY)
def test_a_warp_is_that_of_scipy(fill):
    batch = pictures()
    torch.manual_seed(0)
    warp = Warp(torch.eye(2, 3) + torch.randn(3, 2, 3) * torch.tensor([0.4, 0.4, 5.0]), (20, 31), (24, 26))
    found = warp_pictures(batch, warp, fill, 77.0).numpy()
    flip = np.array([[0, 1], [1, 0]])  # SciPy counts rows first
    for picture, matrix, warped in zip(batch.numpy(), warp.matrices.double().numpy(), found, strict=True):
        linear = flip @ matrix[:, :2] @ flip
        # from index to index: our coordinates have their origin in the middle
        offset = flip @ matrix[:, 2] + np.array([9.5, 15.0]) - linear @ np.array([11.5, 12.5])
        for channel in range(3):
            expected = ndimage.affine_transform(
                picture[..., channel].astype(float), linear, offset, (24, 26), order=1, mode=SCIPY[fill], cval=77.0
            )
            np.testing.assert_allclose(warped[channel], expected, atol=0.05)


def test_turning_is_that_of_pillow():
    smooth = np.clip(np.add.outer(np.sin(np.arange(40) / 5) * 60, np.cos(np.arange(40) / 4) * 60) + 128, 0, 255)
    picture = smooth.astype(np.uint8)
    for degrees in (90, 180, 30, -75):
        angle = math.radians(degrees)
        matrix = torch.tensor([[[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0]]])
        found = warp_pictures(torch.from_numpy(picture)[None, :, :, None], Warp(matrix, (40, 40), (40, 40)), "constant")
        turned = PillowImage.fromarray(picture).rotate(degrees, PillowImage.Resampling.BILINEAR)
        inner = slice(8, 32)  # Pillow has steps at the edge
        difference = found[0, 0].numpy()[inner, inner] - np.asarray(turned, dtype=float)[inner, inner]
        assert np.abs(difference).max() < 1.5


def test_no_change_is_none_to_the_bit():
    batch = pictures()
    warp = draw(3, (20, 31), (20, 31))
    assert warp.whole
    assert torch.equal(warp_pictures(batch, warp), batch.permute(0, 3, 1, 2).float())


@pytest.mark.parametrize(("name", "axis"), [("flip_horizontal", 3), ("flip_vertical", 2)])
def test_flips_are_exact(name, axis):
    batch = pictures()
    plain = batch.permute(0, 3, 1, 2).float()
    assert torch.equal(warp_pictures(batch, draw(3, (20, 31), (20, 31), **{name: 1.0})), plain.flip(axis))
    half = draw(2000, **{name: 0.5}).matrices[:, int(axis == 2), int(axis == 2)]
    assert 0.45 < (half < 0).float().mean() < 0.55 and set(half.tolist()) == {-1.0, 1.0}


@pytest.mark.parametrize("fill", ["nearest", "reflect", "wrap", "constant"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("size", "settings"),
    [
        ((20, 31), {"pad": 5}),
        ((20, 31), {"shift_horizontal": 0.35, "shift_vertical": 0.9}),
        ((13, 18), {"random_crop": True}),
        ((13, 18), {"pad": 3, "random_crop": True, "shift_horizontal": 0.3}),
        ((13, 18), {}),
    ],
)
def test_copied_pixels_are_those_of_a_warp(fill, channels, size, settings):
    batch = pictures(40, channels=channels)
    warp = draw(40, size, (20, 31), flip_horizontal=0.5, flip_vertical=0.5, **settings)
    assert warp.whole
    copied = warp_pictures(batch, warp, fill, 9.0)
    torch.testing.assert_close(copied, warp_pictures(batch, replace(warp, whole=False), fill, 9.0), atol=0.05, rtol=0)


def test_what_is_padded_with_the_mean_has_its_colour():
    batch = pictures() // 2  # below 128, so that nothing of a picture is taken for the fill
    found = warp_pictures(
        batch, draw(3, (20, 31), (20, 31), pad=9, seed=5), "mean", torch.tensor([201.0, 222.4, 240.6])
    )
    outside = found[:, 0] == 201
    assert 0.1 < outside.float().mean() < 0.8
    assert torch.equal(outside, found[:, 1] == 222) and torch.equal(outside, found[:, 2] == 241)


def test_a_middle_crop_is_a_slice():
    batch = pictures()
    found = warp_pictures(batch, draw(3, (15, 24), (20, 31)))
    assert torch.equal(found, batch[:, 2:17, 3:27].permute(0, 3, 1, 2).float())


def test_padded_crops_are_anywhere():
    moved = draw(5000, pad=2).matrices[:, :, 2]
    assert torch.equal(moved, moved.round())
    counts = torch.unique(moved, dim=0, return_counts=True)[1]
    assert len(counts) == 25 and counts.min() > 140 and counts.max() < 260


def test_random_crops_are_anywhere_inside():
    places = draw(4000, (24, 24), (32, 32), random_crop=True).matrices[:, :, 2]
    assert places.min() == -4 and places.max() == 4
    assert len(torch.unique(places, dim=0)) == 81


def test_what_is_drawn_lies_in_its_range():
    turned = draw(4000, rotation=30).matrices
    angles = torch.rad2deg(torch.atan2(turned[:, 1, 0], turned[:, 0, 0]))
    assert -30.001 <= angles.min() < -29.5 and 29.5 < angles.max() <= 30.001
    torch.testing.assert_close(torch.linalg.det(turned[:, :, :2]), torch.ones(4000))
    shifts = draw(4000, shift_horizontal=0.25, shift_vertical=0.1).matrices[:, :, 2]
    assert shifts.amin(0).tolist() == [-8, -3] and shifts.amax(0).tolist() == [8, 3]
    for value, low, high in ((0.2, 0.8, 1.2), ((0.5, 2.0), 0.5, 2.0)):
        zoomed = 1 / draw(4000, zoom=value).matrices[:, 0, 0]
        assert low - 1e-4 <= zoomed.min() < low * 1.02 and high * 0.99 < zoomed.max() <= high + 1e-4
    apart = draw(100, zoom=0.2, zoom_sides="apart").matrices
    assert not torch.equal(apart[:, 0, 0], apart[:, 1, 1])
    together = draw(100, zoom=0.2).matrices
    assert torch.equal(together[:, 0, 0], together[:, 1, 1])


def test_the_cut_out_part_has_the_area_and_aspect_that_were_asked_for():
    warp = draw(4000, (32, 32), (40, 60), crop_area=(0.2, 0.6), crop_aspect=(0.5, 2.0))
    width, height = warp.matrices[:, 0, 0] * 32, warp.matrices[:, 1, 1] * 32
    area, fits = width * height / 2400, (width < 59.9) & (height < 39.9)
    assert fits.float().mean() > 0.8
    assert 0.1999 < area[fits].min() < 0.21 and 0.58 < area.max() < 0.6001
    aspect = (width / height)[fits]
    assert 0.499 < aspect.min() < 0.6 and 1.8 < aspect.max() < 2.001
    assert (warp.matrices[:, 0, 2].abs() + width / 2).max() < 30.001  # never beyond the picture
    assert (warp.matrices[:, 1, 2].abs() + height / 2).max() < 20.001


def test_shear_is_in_degrees():
    """At 0.2 radians, as the books' Keras took it, the line leans; at 0.2 degrees, as later ones do, nothing is seen."""
    line = torch.zeros(1, 41, 41, 1, dtype=torch.uint8)
    line[:, :, 20] = 255
    lean = {}
    for degrees in (0.2, math.degrees(0.2), 45.0):
        slant = torch.tensor([[[1.0, math.tan(math.radians(degrees)), 0.0], [0.0, 1.0, 0.0]]])
        drawn = warp_pictures(line, Warp(slant, (41, 41), (41, 41)), "constant")[0, 0]
        lean[degrees] = int(drawn[10].argmax() - drawn[30].argmax())
    assert list(lean.values()) == [0, 4, 20]
    sheared = draw(4000, shear=math.degrees(0.2)).matrices[:, 0, 1]
    assert math.tan(0.19) < sheared.max() <= math.tan(0.2) + 1e-6
    assert PRESETS["book"][1].shear == pytest.approx(math.degrees(0.2), abs=0.01)


def test_a_composition_is_the_product_in_the_order_told():
    everything = {"rotation": 40, "shift_horizontal": 0.2, "shear": 20, "zoom": 0.3, "flip_horizontal": 0.5}
    composed = draw(5, **everything).matrices
    torch.manual_seed(0)
    angle = (torch.rand(5) * 2 - 1) * math.radians(40)
    shift = ((torch.rand(5) * 0.4 - 0.2) * 32).round()
    slant = ((torch.rand(5) * 2 - 1) * math.radians(20)).tan()
    scale = 1 / (torch.rand(5) * 0.6 + 0.7)
    flip = 1 - 2 * (torch.rand(5) < 0.5).float()
    for row in range(5):
        cos, sin = math.cos(angle[row]), math.sin(angle[row])
        product = (
            np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
            @ np.array([[1, 0, shift[row]], [0, 1, 0], [0, 0, 1]])
            @ np.array([[1, slant[row], 0], [0, 1, 0], [0, 0, 1]])
            @ np.diag([scale[row], scale[row], 1])
            @ np.diag([flip[row], 1, 1])
        )
        np.testing.assert_allclose(composed[row].numpy(), product[:2], atol=1e-4)


def test_matrices_invert():
    torch.manual_seed(1)
    warp = draw_warp(PRESETS["book"][1], 50, (32, 48), (32, 48), CPU)
    there, back = warp.matrices, warp.inverse()
    product = torch.einsum("bij,bjk->bik", back[:, :, :2], there[:, :, :2])
    torch.testing.assert_close(product, torch.eye(2).expand(50, 2, 2), atol=1e-5, rtol=0)
    torch.testing.assert_close(
        torch.einsum("bij,bj->bi", back[:, :, :2], there[:, :, 2]) + back[:, :, 2],
        torch.zeros(50, 2),
        atol=1e-3,
        rtol=0,
    )


def test_boxes_follow_the_pixels():
    rows = 60
    batch = torch.zeros(rows, 60, 80, 1, dtype=torch.uint8)
    batch[:, 20:36, 30:60] = 255
    torch.manual_seed(2)
    warp = draw_warp(PRESETS["book"][1], rows, (60, 80), (60, 80), CPU)
    drawn = warp_pictures(batch, warp, "constant")[:, 0] > 127
    boxes, seen = move_boxes(torch.tensor([[[30.0, 20.0, 60.0, 36.0]]]).expand(rows, 1, 4), warp)
    kept = seen >= 0.25
    assert kept.sum() > 50
    for picture, box in zip(drawn[kept[:, 0]], boxes[kept], strict=True):
        y, x = picture.nonzero(as_tuple=True)
        around = torch.tensor([x.min(), y.min(), x.max() + 1, y.max() + 1])
        assert (
            around - box
        ).abs().max() < 3  # the corners of a turned rectangle lose up to two pixels to interpolation


def test_boxes_are_cut_off_and_the_share_that_is_seen_is_told():
    shifted = Warp(
        torch.tensor([[[1.0, 0.0, 10.0], [0.0, 1.0, 0.0]]]), (20, 20), (20, 20)
    )  # content goes 10 to the left
    boxes = torch.tensor([[[0.0, 0, 8, 8], [6, 0, 14, 8], [6, 0, 11, 8], [12, 4, 20, 12], [1, 1, 1, 1]]])
    boxes = torch.cat([boxes, torch.tensor([[[15.0, 5, 15, 9]]])], dim=1)
    moved, seen = move_boxes(boxes, shifted)
    assert seen[0].tolist() == pytest.approx([0, 0.5, 0.2, 1, 0, 0])
    assert moved[0, 1].tolist() == [0, 0, 4, 8] and moved[0, 3].tolist() == [2, 4, 10, 12]


def test_points_follow_the_pixels():
    torch.manual_seed(3)
    warp = draw_warp(PRESETS["strong"][1], 40, (50, 50), (40, 40), CPU)
    batch = torch.zeros(40, 50, 50, 1, dtype=torch.uint8)
    batch[:, 20:27, 30:37] = 255
    moved, inside = move_points(torch.tensor([[[33.5, 23.5], [200.0, 0.0]]]).expand(40, 2, 2), warp)
    assert not inside[:, 1].any()
    drawn = warp_pictures(batch, warp, "constant")[:, 0]
    well_inside = (moved[:, 0] > 9).all(dim=1) & (moved[:, 0] < 31).all(dim=1)
    assert well_inside.sum() > 10 and inside[well_inside, 0].all()
    centre = torch.arange(40) + 0.5
    for picture, (x, y) in zip(drawn[well_inside], moved[well_inside, 0], strict=True):
        weight = picture.sum()
        assert abs((picture.sum(0) * centre).sum() / weight - x) < 0.2
        assert abs((picture.sum(1) * centre).sum() / weight - y) < 0.2


@pytest.mark.parametrize("fill", ["nearest", "reflect", "wrap"])
def test_masks_agree_with_pictures(fill):
    blobs = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(40, 30, 30)), (0, 3, 3)) > 0
    mask = torch.from_numpy(blobs.astype(np.int64) * 7)
    batch = torch.from_numpy(blobs.astype(np.uint8) * 255)[..., None]
    for settings, least in ((PRESETS["book"][1], 0.95), (AugmentSettings(pad=3, flip_vertical=0.5), 1.0)):
        torch.manual_seed(4)
        warp = draw_warp(settings, 40, (30, 30), (30, 30), CPU)
        moved = warp_masks(mask, warp, fill)
        assert moved.dtype == torch.int64 and set(moved.unique().tolist()) == {0, 7}
        agree = (moved == 7) == (warp_pictures(batch, warp, fill)[:, 0] > 127.5)
        assert agree.float().mean() >= least
        outside = warp_masks(torch.ones_like(mask), warp, fill, value=255)
        seen = warp_pictures(torch.full_like(batch, 255), warp, "constant")[:, 0] > 127.5
        assert ((outside == 1) == seen).float().mean() >= 0.99


def test_a_mask_has_no_mean():
    with pytest.raises(ValueError, match="which value is outside"):
        warp_masks(torch.zeros(1, 4, 4, dtype=torch.int64), draw(1, (4, 4), (4, 4)), "mean")


@pytest.mark.parametrize("fill", ["nearest", "wrap", "mean"])
def test_how_many_pictures_are_warped_at_a_time_changes_no_bit(monkeypatch, fill):
    generator = torch.Generator().manual_seed(0)
    batch = torch.randint(0, 256, (7, 20, 31, 3), dtype=torch.uint8, generator=generator)
    warp = draw(7, (15, 24), (20, 31), rotation=40, zoom=0.2)
    level = torch.tensor([10.0, 20.0, 30.0])
    found = []
    for cache in (1, 50_000, 10**9):
        monkeypatch.setattr(geometry, "CACHE", cache)
        found.append(warp_pictures(batch, warp, fill, level))
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])
