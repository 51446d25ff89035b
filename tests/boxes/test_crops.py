"""Crops of objects and of background, from boxes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import gradus
from gradus.boxes.crops import background_boxes, crop_dataset, cut
from gradus.data.columns import Boxes, Column, Image, Objects
from gradus.data.dataset import Dataset, NumberedRows, Split
from gradus.errors import UserError
from gradus.recipes.scanning import scan
from gradus.reference.overlap import box_iou

CLASSES = ("dark", "bright")


def scenes(rows: int, seed: int = 0) -> Split:
    """Grey pictures of 40x60 with a dark and a bright square of 12, and an ignored one of no class of its own."""
    generator = np.random.default_rng(seed)
    pictures = generator.integers(110, 140, (rows, 40, 60, 1)).astype(np.uint8)
    boxes = []
    for row in range(rows):
        top, left = generator.integers(0, 28, 2)
        right = generator.integers(34, 48)
        pictures[row, top : top + 12, left % 20 : left % 20 + 12] = 10
        pictures[row, top : top + 12, right : right + 12] = 240
        left %= 20
        given = [[left, top, left + 12, top + 12], [right, top, right + 12, top + 12], [20, 0, 60, 40]]
        boxes.append(Objects.of(given[:2], [0, 1]) if row else Objects.of(given, [0, 1, 1], [False, False, True]))
    columns = {"scene": Column(Image(channels=1), pictures), "objects": Column(Boxes(classes=CLASSES), boxes)}
    return Split(columns, NumberedRows.count("made.csv", rows))


def dataset(rows: int = 40) -> Dataset:
    return Dataset("made", "made.csv", {"train": scenes(rows), "test": scenes(10, 1)}, target="objects")


def test_crops_hold_their_object():
    crops = crop_dataset(dataset(), (16, 16), margin=0.0, backgrounds=2)
    train = crops["train"]
    kind, labels = train["class"].type, train["class"].values
    assert kind.classes == ("dark", "bright", "background") and crops.target == "class"
    assert (labels == 0).sum() == (labels == 1).sum() == 40 and 0 < (labels == 2).sum() <= 80
    means = train["picture"].values.reshape(len(labels), -1).mean(axis=1)
    assert means[labels == 0].max() < 30 and means[labels == 1].min() > 220
    assert train.origins[len(train) - 1] == "row 40 of crops of made"


def test_the_seed_decides_the_crops():
    first, same, other = (
        crop_dataset(dataset(6), (16, 16), seed=seed)["train"]["picture"].values for seed in (0, 0, 1)
    )
    assert np.array_equal(first, same)
    assert first.shape != other.shape or not np.array_equal(first, other)


def test_background_overlaps_nothing_by_much():
    objects = scenes(1)["objects"][0].boxes[:2]
    found = background_boxes((40, 60), objects, objects, 50, np.random.default_rng(0))
    assert len(found) > 30
    for box in found:
        assert (box_iou(box[None], objects) < 0.3).all()
        assert (box >= 0).all() and box[2] <= 60 and box[3] <= 40
        assert np.allclose(box[2:] - box[:2], 12)
    assert (
        background_boxes(
            (40, 60), np.array([[0, 0, 60, 40.0]]), np.array([[0, 0, 60, 40.0]]), 5, np.random.default_rng(0)
        )
        == []
    )


def test_a_margin_ends_at_the_edge():
    picture = np.arange(200).reshape(10, 20, 1)
    assert np.array_equal(cut(picture, [4, 2, 8, 6]), picture[2:6, 4:8])
    assert np.array_equal(cut(picture, [4, 2, 8, 6], 0.5), picture[0:8, 2:10])
    assert np.array_equal(cut(picture, [0, 0, 20, 10], 0.5), picture)
    assert cut(picture, [19.5, 9.5, 19.6, 9.6]).shape == (1, 1, 1)


def test_crops_need_boxes():
    pictures = Dataset("p", "p", {"train": Split({"scene": scenes(2)["scene"]}, NumberedRows.count("p", 2))})
    with pytest.raises(UserError, match=r"one column of pictures and one of boxes; it has 1 and 0"):
        crop_dataset(pictures)


def test_a_classifier_of_crops_finds_objects(tmp_path: Path):
    """Crops, a classifier, a scan: the course notes' three steps."""
    crops = crop_dataset(dataset(), (14, 14), margin=0.0)
    model = gradus.create_model("window_convnet", num_classes=3, in_channels=1, hidden=16)
    run = gradus.fit(model, crops, epochs=8, learning_rate=3e-3, optimizer="adam", batch_size=32, out=tmp_path / "run")
    assert run.evaluate()["accuracy"] > 0.9
    test = scenes(4, 1)
    for row in range(1, 4):
        found = scan(run, test["scene"][row], [(12, 12)], step=0.25, least_score=0.6)
        given = test["objects"][row]
        for box, label in zip(given.boxes, given.labels, strict=True):
            mine = found.take(found.labels == label)
            assert len(mine) and box_iou(mine.boxes[:1], box[None])[0, 0] > 0.5
    with pytest.raises(UserError, match="no window fits into a picture of 60x40"):
        scan(run, test["scene"][0], [(41, 10)])
