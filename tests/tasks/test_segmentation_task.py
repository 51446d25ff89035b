"""Segmentation as a task: losses, ignored pixels, crops, sizes, tiles and the CRF."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from gradus.data.augment.settings import AugmentSettings
from gradus.data.columns import Column, Image, Mask
from gradus.data.dataset import Dataset, Split
from gradus.errors import UserError
from gradus.nn.mask_losses import pixel_cross_entropy, pixel_dice, pixel_focal
from gradus.tasks.scenes import SceneInputs, SceneOptions
from gradus.tasks.segmentation import MaskOptions, SegmentationTask

CLASSES = ("ground", "thing", "sky")
IGNORE = 255


def scene(height: int, width: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A picture whose red level is 80 times its class, in stripes and a square, and the mask; a row is unknown."""
    random = np.random.default_rng(seed)
    mask = np.zeros((height, width), dtype=np.uint8)
    mask[: height // 3] = 2
    top, left = random.integers(height // 3, height - 12), random.integers(0, width - 12)
    mask[top : top + 12, left : left + 12] = 1
    picture = np.stack([mask * 80, random.integers(0, 50, mask.shape), np.full(mask.shape, 90)], axis=2)
    mask[-1] = IGNORE
    return picture.astype(np.uint8), mask


def split(sizes: list[tuple[int, int]]) -> Split:
    rows = [scene(*size, seed) for seed, size in enumerate(sizes)]
    columns = {
        "image": Column(Image(), [picture for picture, _ in rows]),
        "mask": Column(Mask(classes=CLASSES), [mask for _, mask in rows]),
    }
    return Split(columns, [f"row {number}" for number in range(len(rows))])


def fitted(sizes: list[tuple[int, int]], scenes: dict[str, Any] | None = None, **options: Any) -> SegmentationTask:
    task = SegmentationTask(SceneInputs(SceneOptions(**(scenes or {}))), MaskOptions(**options))
    task.fit(Dataset(name="scenes", source="scenes", splits={"train": split(sizes)}, target="mask"))
    task.to_device(torch.device("cpu"))
    return task


def by_red(task: SegmentationTask, sure: float = 40.0):
    """What a network that reads the class off the red level would give of prepared pictures: logits."""

    def logits(inputs: torch.Tensor) -> torch.Tensor:
        red = inputs[:, :1] * task.inputs.scale[0] + task.inputs.center[0]
        return -(red - torch.tensor([0.0, 80, 160]).view(1, 3, 1, 1)).abs() / sure

    def outputs_of(rows: dict[str, torch.Tensor]) -> torch.Tensor:
        inputs, _ = task.prepare(rows, training=False)
        return task.collected(logits(inputs), rows)

    return outputs_of


# --- losses


def some_logits() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    targets = torch.randint(0, 3, (2, 5, 6))
    targets[0, :2] = IGNORE
    return torch.randn(2, 3, 5, 6, requires_grad=True), targets


def test_cross_entropy_is_pytorchs_and_focal_with_focus_0_is_too():
    logits, targets = some_logits()
    weights = torch.tensor([0.2, 1.0, 3.0])
    for given in (None, weights):
        wanted = functional.cross_entropy(logits, targets, weight=given, ignore_index=IGNORE)
        torch.testing.assert_close(pixel_cross_entropy(logits, targets, IGNORE, given), wanted)
        torch.testing.assert_close(pixel_focal(logits, targets, IGNORE, given, focus=0), wanted)
    one = torch.tensor([[[[0.0]], [[math.log(3.0)]]]])  # p = 3/4
    wanted = torch.tensor(0.25**2 * math.log(4 / 3))
    torch.testing.assert_close(pixel_focal(one, torch.ones(1, 1, 1, dtype=torch.long), IGNORE), wanted)


def test_dice_by_hand():
    targets = torch.tensor([[[0, 0, 1, IGNORE]]])
    logits = torch.tensor([[0.8, 0.4, 0.1, 0.3], [0.2, 0.6, 0.9, 0.7]]).log()[None, :, None]
    first = 2 * (0.8 + 0.4) / (0.8**2 + 0.4**2 + 0.1**2 + 2)
    second = 2 * 0.9 / (0.2**2 + 0.6**2 + 0.9**2 + 1)
    torch.testing.assert_close(pixel_dice(logits, targets, IGNORE), torch.tensor(1 - (first + second) / 2))
    exact = functional.one_hot(targets.clamp(max=1), 2).permute(0, 3, 1, 2) * 100.0
    assert pixel_dice(exact, targets, IGNORE) < 1e-6
    only = torch.zeros(1, 1, 4, dtype=torch.long)  # a class that is not there does not count
    torch.testing.assert_close(pixel_dice(torch.tensor([[[[9.0] * 4], [[-9.0] * 4]]]), only, IGNORE), torch.tensor(0.0))


@pytest.mark.parametrize("loss", [pixel_cross_entropy, pixel_focal, pixel_dice])
def test_pixels_without_a_class_change_nothing(loss):
    logits, targets = some_logits()
    value = loss(logits, targets, IGNORE, torch.tensor([1.0, 2.0, 0.5]))
    (slope,) = torch.autograd.grad(value, logits)
    assert (slope[0, :, :2] == 0).all()
    assert (slope[0, :, 2:] != 0).any()
    other = logits.detach().clone()
    other[0, :, :2] = 7.0
    torch.testing.assert_close(loss(other, targets, IGNORE, torch.tensor([1.0, 2.0, 0.5])), value)
    assert loss(logits, torch.full_like(targets, IGNORE), IGNORE) == 0  # and nothing known is no NaN


@pytest.mark.parametrize("name", ["cross-entropy", "focal", "dice", "cross-entropy+dice"])
def test_the_loss_that_is_named_is_taken(name):
    task = fitted([(40, 48)] * 2, loss=name)
    logits, targets = some_logits()
    parts = {"cross-entropy": pixel_cross_entropy, "focal": pixel_focal, "dice": pixel_dice}
    wanted = sum(parts[part](logits, targets, IGNORE) for part in name.split("+"))
    torch.testing.assert_close(task.loss(logits, targets, training=True), wanted)


def test_class_weights_do_not_see_pixels_without_a_class_and_weigh_in_training_alone():
    sizes = [(40, 48)] * 2
    task = fitted(sizes, class_weights="balanced")
    masks = np.stack([mask for mask in split(sizes)["mask"]])
    counts = np.array([(masks == number).sum() for number in range(3)])
    assert counts.sum() == masks.size - 2 * 48
    np.testing.assert_allclose(task.weights.numpy(), counts.sum() / (3 * counts), rtol=1e-6)
    logits, targets = some_logits()
    assert task.loss(logits, targets, training=True) != task.loss(logits, targets, training=False)


def test_measures_leave_pixels_without_a_class_out():
    task = fitted([(40, 48)] * 2)
    rows = task.encode(split([(40, 48)] * 2))
    assessment = task.assess(by_red(task)(rows), rows["targets"])
    assert assessment.metrics["miou"] == 1
    assert assessment.metrics["pixel_accuracy"] == 1


# --- sizes, crops


@pytest.mark.parametrize("fit", ["pad", "stretch"])
@pytest.mark.parametrize("sizes", [[(40, 48)] * 3, [(40, 48), (80, 50), (33, 99)]], ids=["equal", "different"])
def test_masks_lie_where_the_pictures_lie(fit, sizes):
    """A network that reads the class off the colour is right but at edges, whatever was done to the pictures."""
    task = fitted(sizes, {"image_size": (64, 64), "fit": fit})
    rows = task.encode(split(sizes))
    assert task.scored_size == ((40, 48) if len(set(sizes)) == 1 else (64, 64))
    assert tuple(rows["targets"].shape[1:]) == task.scored_size
    assert task.assess(by_red(task)(rows), rows["targets"]).metrics["pixel_accuracy"] > 0.95
    inputs, masks = task.prepare(rows, training=False)
    assert masks.shape[1:] == inputs.shape[2:] == (64, 64)
    if fit == "pad" and len(set(sizes)) == 1:  # 64x53 of 64: margins are not learnt
        assert (masks[:, :4] == IGNORE).all()


def test_predicted_masks_have_each_pictures_own_size():
    task = fitted([(40, 48)] * 3, {"image_size": (32, 48)})
    sizes = [(40, 48), (90, 31), (20, 77)]
    answers = task.answers(split(sizes), by_red(task))
    for answer, size, (_, given) in zip(answers, sizes, [scene(*size, n) for n, size in enumerate(sizes)], strict=True):
        assert answer.value.shape == size
        known = given != IGNORE
        assert (answer.value[known] == given[known]).mean() > 0.85


def test_a_very_thin_picture_has_a_mask_too():
    task = fitted([(40, 48)] * 3, {"image_size": (32, 48)})
    thin = Split({"image": Column(Image(), [np.full((2, 300, 3), 80, dtype=np.uint8)])}, ["thin"])
    (answer,) = task.answers(thin, by_red(task))
    assert answer.value.shape == (2, 300) and (answer.value == 1).all()


def test_training_sees_parts_and_evaluation_whole_pictures():
    task = fitted([(40, 48)] * 4, crop_size=(24, 32))
    rows = task.encode(split([(40, 48)] * 4))
    torch.manual_seed(0)
    inputs, masks = task.prepare(rows, training=True)
    assert inputs.shape == (4, 3, 24, 32)
    assert masks.shape == (4, 24, 32)
    whole, given = task.prepare(rows, training=False)
    assert whole.shape == (4, 3, 40, 48)
    red = (inputs[:, 0] * task.inputs.scale[0] + task.inputs.center[0]).round()
    known = masks != IGNORE
    assert (red[known] == 80 * masks[known].float()).all()  # the same part of both
    torch.manual_seed(0)
    augmented = task.augmented(AugmentSettings(flip_horizontal=0.5), rows)
    assert augmented.prepare(rows, training=True)[0].shape == (4, 3, 24, 32)
    assert given.shape == (4, 40, 48)


@pytest.mark.parametrize(
    "settings",
    [
        AugmentSettings(flip_horizontal=1.0),
        AugmentSettings(rotation=30),
        AugmentSettings(zoom=(0.6, 1.6)),
        AugmentSettings(crop_area=(0.3, 0.6)),
        AugmentSettings(shear=20, shift_horizontal=0.2),
    ],
    ids=["flip", "rotation", "zoom", "crop_area", "shear"],
)
def test_masks_follow_every_warp(settings):
    """The red level tells the class of a pixel; at edges, where it is interpolated, they may differ."""
    task = fitted([(60, 72)] * 4)
    rows = task.encode(split([(60, 72)] * 4))
    torch.manual_seed(0)
    inputs, masks = task.augmented(settings, rows).prepare(rows, training=True)
    red = inputs[:, 0] * task.inputs.scale[0] + task.inputs.center[0]
    known = masks != IGNORE
    assert known.float().mean() > 0.3
    assert ((red[known] / 80).round() == masks[known].float()).float().mean() > 0.95


# --- tiles, CRF


def test_a_larger_picture_is_read_in_tiles_at_the_scale_of_training():
    task = fitted([(80, 96)] * 2, {"image_size": (40, 48)}, tiles=True)
    assert task.scale == (0.5, 0.5)
    picture, mask = scene(300, 250, 0)
    one = Split({"image": Column(Image(), [picture])}, ["large"])
    seen: list[tuple[int, ...]] = []
    inner = by_red(task)

    def outputs_of(rows: dict[str, torch.Tensor]) -> torch.Tensor:
        seen.append(tuple(rows["inputs"].shape))
        return inner(rows)

    (answer,) = task.answers(one, outputs_of)
    assert answer.value.shape == mask.shape
    assert all(shape[1:] == (40, 48, 3) for shape in seen)
    known = mask != IGNORE
    assert (answer.value[known] == mask[known]).mean() > 0.97
    whole = fitted([(80, 96)] * 2, {"image_size": (40, 48)}).answers(one, inner)[0]
    assert (whole.value[known] == mask[known]).mean() < (answer.value[known] == mask[known]).mean()


def test_a_smaller_picture_is_one_tile_of_its_own_size():
    task = fitted([(40, 48)] * 2, tiles=True)
    picture, mask = scene(30, 33, 1)
    (answer,) = task.answers(Split({"image": Column(Image(), [picture])}, ["small"]), by_red(task))
    known = mask != IGNORE
    np.testing.assert_array_equal(answer.value[known], mask[known])


def test_the_crf_takes_lonely_pixels_away_in_tests_and_predictions_alone():
    sizes = [(40, 48)] * 2
    plain, refined = fitted(sizes), fitted(sizes, crf=5)
    rows = plain.encode(split(sizes))
    torch.manual_seed(0)
    _, targets = plain.prepare(rows, training=False)
    right = functional.one_hot(torch.where(targets == IGNORE, 0, targets).long(), 3).permute(0, 3, 1, 2).float()
    logits = right + torch.randn_like(right)
    before = plain.assess(plain.collected(logits, rows), rows["targets"]).metrics["pixel_accuracy"]
    after = refined.assess(refined.collected(logits, rows), rows["targets"]).metrics["pixel_accuracy"]
    assert before < 0.8
    assert after > 0.97
    torch.testing.assert_close(
        refined.loss(logits, targets, training=False), plain.loss(logits, targets, training=False)
    )


def test_what_was_fitted_is_restored():
    task = fitted([(80, 96)] * 2, {"image_size": (40, 48)}, class_weights="median")
    other = SegmentationTask(SceneInputs(SceneOptions(image_size=(40, 48))), MaskOptions(class_weights="median"))
    other.restore(task.state())
    assert other.state() == task.state()
    assert other.scale == (0.5, 0.5)


def test_mistakes_are_told():
    with pytest.raises(UserError, match=r"crop_size: 64x50 is larger than the pictures \(48x40\)"):
        fitted([(40, 48)], crop_size=(50, 64))
    many = split([(40, 48)])
    kind = Mask(classes=tuple(f"class {number}" for number in range(1000)))
    many.columns["mask"] = Column(kind, many.columns["mask"].values)
    with pytest.raises(UserError, match="has 1000 classes; masks hold 255 at most"):
        SegmentationTask(SceneInputs(SceneOptions()), MaskOptions()).fit(
            Dataset(name="scenes", source="scenes", splits={"train": many}, target="mask")
        )
    many.columns["mask"] = Column(Mask(classes=("ground",)), many.columns["mask"].values)
    with pytest.raises(UserError, match=r"has one class only \('ground'\): there is nothing to tell apart"):
        SegmentationTask(SceneInputs(SceneOptions()), MaskOptions()).fit(
            Dataset(name="scenes", source="scenes", splits={"train": many}, target="mask")
        )
    with pytest.raises(UserError, match="at least 16 pixels, received 8"):
        MaskOptions(crop_size=8)
    with pytest.raises(UserError, match="crf_appearance: expected weight, pixels, levels"):
        MaskOptions(crf_appearance=(1.0, 2.0))
    with pytest.raises(UserError, match=r"without a task\.options\.crop_size"):
        task = fitted([(40, 48)])
        task.augmented(AugmentSettings(random_crop=True), {})
    rows = split([(40, 48)])
    rows.columns["mask"].values[0] = rows.columns["mask"].values[0][:-1]
    with pytest.raises(UserError, match="row 0: its mask has 48x39 pixels, the picture 48x40"):
        fitted([(40, 48)]).encode(rows)
