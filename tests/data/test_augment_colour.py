"""Values of pixels: closed forms, Pillow and colorsys; erasing and mixing."""

from __future__ import annotations

import colorsys
import math

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage
from PIL import ImageEnhance

from gradus.data.augment.apply import Augmentation
from gradus.data.augment.colour import change_colours, draw_colours, hue_parts, principal_components
from gradus.data.augment.mixing import cut_out, draw_beta, mix, others_of
from gradus.data.augment.settings import AugmentSettings

PARTS = hue_parts()


def pictures(rows=4, channels=3, low=0, high=256, seed=0):
    numbers = np.random.default_rng(seed).integers(low, high, (rows, 12, 10, channels), dtype=np.uint8)
    return torch.from_numpy(numbers)


def augment(batch, components=None, seed=0, **settings):
    size, mean = batch.shape[1:3], batch.float().mean(dim=(0, 1, 2))
    torch.manual_seed(seed)
    return Augmentation(AugmentSettings(**settings), size, mean, components)(batch)


def planes(batch):
    return batch.permute(0, 3, 1, 2).float()


def test_nothing_asked_is_nothing_done():
    batch = pictures()
    found, shares = augment(batch)
    assert torch.equal(found, planes(batch)) and shares is None


def test_brightness_is_a_factor():
    batch = pictures()
    torch.testing.assert_close(augment(batch, brightness=(0.5, 0.5))[0], planes(batch) * 0.5)
    assert augment(batch, brightness=(3.0, 3.0))[0].max() == 255  # kept within the levels


@pytest.mark.parametrize("channels", [1, 3])
def test_contrast_is_about_the_mean_colour(channels):
    batch = pictures(channels=channels, low=90, high=160)
    plain = planes(batch)
    mean = plain.mean(dim=(2, 3), keepdim=True)
    found = augment(batch, contrast=(1.5, 1.5))[0]
    torch.testing.assert_close(found, (plain - mean) * 1.5 + mean)
    torch.testing.assert_close(found.mean(dim=(2, 3)), mean[:, :, 0, 0])


@pytest.mark.parametrize("factor", [0.0, 0.4, 1.7])
def test_saturation_is_that_of_pillow(factor):
    batch = pictures(low=60, high=180)
    found = augment(batch, saturation=(factor, factor))[0].permute(0, 2, 3, 1).numpy()
    for picture, mine in zip(batch.numpy(), found, strict=True):
        theirs = np.asarray(ImageEnhance.Color(PillowImage.fromarray(picture)).enhance(factor), dtype=float)
        assert np.abs(mine - theirs).max() < 1.6  # Pillow rounds the grey and the result


def test_hue_turns_the_plane_of_i_and_q():
    colours = np.random.default_rng(0).random((50, 3))
    for degrees in (-50, 30, 180):
        angle = math.radians(degrees)
        turn = (PARTS[0] + math.cos(angle) * PARTS[1] + math.sin(angle) * PARTS[2]).double().numpy()
        for colour in colours:
            y, i, q = colorsys.rgb_to_yiq(*colour)
            turned_y, turned_i, turned_q = colorsys.rgb_to_yiq(*(turn @ colour))
            assert turned_y == pytest.approx(y, abs=0.01)  # colorsys rounds its luma to 0.30, 0.59, 0.11
            if math.hypot(i, q) > 0.05:
                change = math.degrees(math.atan2(turned_q, turned_i) - math.atan2(q, i))
                assert (change - degrees + 180) % 360 - 180 == pytest.approx(0, abs=0.5)
    torch.testing.assert_close(PARTS[0] + PARTS[1], torch.eye(3), atol=1e-6, rtol=0)


def test_hue_keeps_luma_and_grey():
    batch = pictures(low=110, high=140)
    luma = torch.tensor([0.299, 0.587, 0.114])
    found = augment(batch, hue=180)[0]
    assert (found - planes(batch)).abs().max() > 5
    torch.testing.assert_close(
        torch.einsum("bchw,c->bhw", found, luma), torch.einsum("bchw,c->bhw", planes(batch), luma), atol=0.01, rtol=0
    )
    grey = pictures(channels=1).expand(-1, -1, -1, 3).contiguous()
    torch.testing.assert_close(augment(grey, hue=180)[0], planes(grey), atol=0.1, rtol=0)


def test_grey_takes_all_colour_of_some():
    found = augment(pictures(400), grey=0.3)[0]
    lost = (found[:, 0] - found[:, 1]).abs().amax(dim=(1, 2)) < 1e-3
    assert 0.24 < lost.float().mean() < 0.36
    assert torch.equal(found[~lost], planes(pictures(400))[~lost])


def test_offsets_are_levels():
    batch = pictures(300, low=100, high=120)
    same = augment(batch, offset=20)[0] - planes(batch)
    assert torch.allclose(same.amin(dim=(1, 2, 3)), same.amax(dim=(1, 2, 3)), atol=1e-4)
    assert -20 <= same.min() < -19 and 19 < same.max() <= 20
    apart = (augment(batch, channel_offset=20)[0] - planes(batch)).mean(dim=(2, 3))
    assert (apart[:, 0] - apart[:, 1]).abs().max() > 10


def test_a_composition_is_one_change_after_the_other():
    batch = pictures(low=100, high=150)
    settings = {"brightness": (0.9, 0.9), "contrast": (1.3, 1.3), "saturation": (1.4, 1.4)}
    step = planes(batch)
    for name, value in settings.items():
        matrices, offsets = draw_colours(AugmentSettings(**{name: value}), step, PARTS, None)
        step = change_colours(step.clone(), matrices, offsets, mixes=True)
    torch.testing.assert_close(augment(batch, **settings)[0], step, atol=1e-3, rtol=0)


def test_principal_components_are_of_pixels_in_0_to_1():
    """AlexNet's noise moves pixels by a few levels; by eigenvalues of pixels in 0 to 255 it would be hundreds."""
    numbers = np.random.default_rng(0)
    shared = numbers.normal(size=(4000, 1)) * 50
    pixels = np.clip(128 + shared + numbers.normal(size=(4000, 3)) * 10, 0, 255).astype(np.uint8)
    components = principal_components(pixels).double().numpy()
    values, vectors = np.linalg.eigh(np.cov((pixels / 255).T, bias=True))
    lengths = np.linalg.norm(components, axis=0)
    np.testing.assert_allclose(lengths, values * 255, rtol=1e-5)
    np.testing.assert_allclose(np.abs(components[:, 2] / lengths[2]), np.abs(vectors[:, 2]), rtol=1e-4)
    assert np.ptp(np.abs(components[:, 2])) < 0.05 * lengths[2]  # brightness is the largest component
    grey = torch.full((5000, 4, 4, 3), 128, dtype=torch.uint8)
    moved = (augment(grey, torch.from_numpy(components).float(), pca=0.1)[0] - 128)[:, :, 0, 0]
    expected = 0.01 * components @ components.T
    np.testing.assert_allclose(np.cov(moved.numpy().T), expected, atol=0.06 * expected.max())
    assert 0.5 < moved.std() < 5


def test_noise_has_its_deviation():
    batch = torch.full((50, 12, 10, 3), 128, dtype=torch.uint8)
    assert (augment(batch, noise=10)[0] - 128).std() == pytest.approx(10, rel=0.05)
    black = augment(torch.zeros_like(batch), noise=10)[0]
    assert black.min() == 0 and black.max() > 10


def test_grey_pictures_have_no_colour_to_change():
    batch = pictures(channels=1)
    asked = AugmentSettings(saturation=0.5, hue=90, pca=0.1, brightness=(0.5, 0.5))
    augmentation = Augmentation(asked, (12, 10), torch.tensor([128.0]))
    torch.testing.assert_close(augmentation(batch)[0], planes(batch) * 0.5)
    assert augmentation.notes(asked) == [
        "training pictures are augmented: brightness 0.5 to 0.5",
        "augment: the pictures are grey, so saturation, hue, pca are left out",
    ]


def test_a_cutout_is_a_square_of_the_mean():
    torch.manual_seed(0)
    found = cut_out(torch.zeros(500, 3, 32, 32), 0.5, torch.tensor([1.0, 2.0, 3.0]))
    cut = found[:, 0] == 1
    assert torch.equal(found[:, 2], cut * 3.0)
    heights, widths = cut.any(dim=2).sum(1), cut.any(dim=1).sum(1)
    assert torch.equal(cut.sum(dim=(1, 2)), heights * widths)
    assert heights.max() == widths.max() == 16 and heights.min() >= 7
    assert (heights == 16).float().mean() > 0.4  # the centre is anywhere, so half of them are cut off at an edge
    centre = cut.float().mean(0)
    assert centre[16, 16] > centre[0, 0] > 0


def constant_pictures(rows=64):
    return torch.arange(rows).float()[:, None, None, None].expand(rows, 3, 20, 30) * 3


def test_mixup_weighs_by_its_shares():
    batch = constant_pictures()
    torch.manual_seed(0)
    mixed, shares = mix(batch, AugmentSettings(mixup=0.4))
    expected = shares * batch[:, 0, 0, 0] + (1 - shares) * others_of(batch)[:, 0, 0, 0]
    torch.testing.assert_close(mixed, expected[:, None, None, None].expand_as(mixed), atol=1e-3, rtol=0)
    assert shares.min() >= 0 and shares.max() <= 1 and shares.std() > 0.2


def test_cutmix_shares_are_areas():
    batch = constant_pictures(200)
    torch.manual_seed(0)
    mixed, shares = mix(batch, AugmentSettings(cutmix=1.0))
    own = mixed == batch
    torch.testing.assert_close(own.float().mean(dim=(1, 2, 3)), shares)
    assert torch.equal(mixed[~own], others_of(batch)[~own])
    pasted = ~own[:, 0]
    assert torch.equal(pasted.sum(dim=(1, 2)), pasted.any(dim=2).sum(1) * pasted.any(dim=1).sum(1))


def test_where_both_are_set_each_is_drawn():
    batch = constant_pictures(400)
    torch.manual_seed(0)
    mixed, shares = mix(batch, AugmentSettings(mixup=1.0, cutmix=1.0))
    flat = mixed.flatten(1)
    patched = (flat.amin(1) != flat.amax(1)).float().mean()  # a few rectangles are empty or cover all
    assert 0.35 < patched < 0.55
    mean = shares * batch[:, 0, 0, 0] + (1 - shares) * others_of(batch)[:, 0, 0, 0]
    torch.testing.assert_close(mixed.mean(dim=(1, 2, 3)), mean, atol=0.05, rtol=1e-4)


@pytest.mark.parametrize("alpha", [0.05, 0.2, 1.0, 8.0])
def test_beta_has_its_mean_and_variance(alpha):
    torch.manual_seed(0)
    drawn = draw_beta(alpha, 20_000, torch.device("cpu"))
    assert torch.isfinite(drawn).all()
    assert drawn.mean() == pytest.approx(0.5, abs=0.01)
    assert drawn.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.05)


def test_the_same_seed_gives_the_same_bits():
    everything = {"rotation": 9, "hue": 9, "noise": 3, "cutout": 0.3, "mixup": 0.3, "cutmix": 1, "channel_offset": 9}
    batch = pictures(8)
    one, two, other = (augment(batch, seed=seed, **everything) for seed in (1, 1, 2))
    assert torch.equal(one[0], two[0]) and torch.equal(one[1], two[1]) and not torch.equal(one[0], other[0])
