"""One object a picture, and landmarks: learning, metrics that agree, augmentation that moves places, mistakes in one sentence."""

from __future__ import annotations

import csv
import math

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage
from torch import nn

import gradus
from gradus.boxes.landmarks import CORNERS
from gradus.data.augment.settings import AugmentSettings
from gradus.data.columns import Boxes, Column, Image, Objects, Points
from gradus.data.dataset import Dataset, NumberedRows, Split
from gradus.errors import UserError
from gradus.look.evidence import evidence
from gradus.models import create_model
from gradus.tasks.settings import TaskSettings
from gradus.tasks.table import create_task, load_task, save_state

HEIGHT, WIDTH, CLASSES = 32, 48, ("disc", "block")


def scenes(rows: int, seed: int = 0) -> Split:
    """A bright block on a dark picture, a smaller one beside it, or nothing; and the four corners of the large one."""
    generator = np.random.default_rng(seed)
    pictures = generator.integers(0, 40, (rows, HEIGHT, WIDTH, 1)).astype(np.uint8)
    boxes, points = [], np.full((rows, 4, 2), np.nan)
    for row in range(rows):
        if row % 5 == 4:
            boxes.append(Objects.of([], []))
            continue
        width, height = generator.integers(12, 20), generator.integers(10, 16)
        left, top = generator.integers(0, WIDTH - width), generator.integers(0, HEIGHT - height)
        pictures[row, top : top + height, left : left + width] = 220
        box = [left, top, left + width, top + height]
        boxes.append(Objects.of([[0, 0, 4, 4], box], [1, 1]))
        points[row] = [[box[i], box[j]] for i, j in ((0, 1), (2, 1), (2, 3), (0, 3))]
    columns = {
        "picture": Column(Image(channels=1), pictures),
        "objects": Column(Boxes(classes=CLASSES), boxes),
        "corners": Column(Points(names=CORNERS), points),
    }
    return Split(columns, NumberedRows.count("made.csv", rows))


def dataset(target: str, rows: int = 40) -> Dataset:
    kept = ("picture", target)
    splits = {"train": scenes(rows), "test": scenes(20, 1)}
    cut = {n: Split({c: s.columns[c] for c in kept}, s.origins) for n, s in splits.items()}
    return Dataset("made", "made.csv", cut, target=target)


def made(name: str, target: str, **options):
    task = create_task(TaskSettings(name=name, options=options), dataset(target))
    task.to_device(torch.device("cpu"))
    return task


class Small(nn.Module):
    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Conv2d(1, 8, 5, stride=2, padding=2), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten()),
            *(nn.Linear(8 * 8 * 12, 64), nn.ReLU(), nn.Linear(64, outputs)),
        )

    def forward(self, pictures):
        return self.layers(pictures)


def learnt(target: str, task: str, outputs: int, epochs: int, tmp_path, **options):
    torch.manual_seed(0)
    return gradus.fit(
        Small(outputs),
        dataset(target, 160),
        task,
        task_options=options,
        epochs=epochs,
        learning_rate=3e-3,
        optimizer="adam",
        batch_size=16,
        out=tmp_path / "run",
    )


@pytest.mark.parametrize("loss", ["mixed", "squared"])
def test_one_object_is_learnt(loss, tmp_path):
    run = learnt("objects", "object-localization", 7, 30, tmp_path, loss=loss)
    metrics = run.evaluate()
    assert metrics["mean_iou"] > 0.5
    assert metrics["presence_accuracy"] > 0.9
    baseline = run.evaluation["baselines"]["the mean box"]
    assert metrics["mean_iou"] > baseline["mean_iou"] + 0.15
    picture = scenes(20, 1)["picture"][0]
    answer = run.predict([picture])[0]
    assert [one["category"] for one in answer["prediction"]] == ["block"] and answer["certainty"] > 0.5
    assert run.predict([scenes(20, 1)["picture"][4]])[0]["prediction"] == []
    again = gradus.load_run(run.path, model=Small(7))
    assert again.predict([picture]) == run.predict([picture])
    assert "The worst answers" in run.report().read_text(encoding="utf-8")


def test_landmarks_are_learnt(tmp_path):
    run = learnt("corners", "landmarks", 12, 24, tmp_path)
    metrics = run.evaluate()
    baseline = run.evaluation["baselines"]["the mean places"]
    assert metrics["error_pixels"] < 0.5 * baseline["error_pixels"]
    assert metrics["pck_0.1"] > 0.8 and metrics["presence_accuracy"] > 0.9
    answer = run.predict([scenes(20, 1)["picture"][0]])[0]["prediction"]
    assert list(answer) == list(CORNERS) and answer["left_top"][0] < answer["right_top"][0]
    assert set(run.predict([scenes(20, 1)["picture"][4]])[0]["prediction"].values()) == {None}
    assert "furthest from the truth" in run.report().read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "target", "options"),
    [
        ("object-localization", "objects", {"loss": "squared"}),
        ("object-localization", "objects", {"loss": "mixed", "image_size": [64, 64], "fit": "stretch"}),
        ("landmarks", "corners", {}),
        ("landmarks", "corners", {"image_size": [64, 64], "normalize": "points"}),
        ("landmarks", "objects", {"category": "block", "presence": "picture"}),
    ],
)
def test_sums_over_batches_give_the_exact_metrics(name, target, options):
    task = made(name, target, **options)
    tensors = task.encode(scenes(20, 1))
    torch.manual_seed(0)
    outputs = torch.randn(20, task.num_outputs) * 0.5
    _, targets = task.prepare(tensors, training=False)
    totals = {}
    for part in (slice(0, 7), slice(7, 20)):
        for key, value in task.counts(outputs[part], targets[part], training=False).items():
            totals[key] = totals.get(key, 0) + value.numpy()
    exact = task.assess(task.collected(outputs, tensors), tensors["targets"]).metrics
    summed = task.metrics(totals, 20)
    for key, value in summed.items():
        assert value == pytest.approx(exact[key], abs=2e-3 if name == "object-localization" else 1e-5), key


def test_the_largest_object_of_the_category():
    task = made("object-localization", "objects", category="block")
    assert task.model_options()["num_classes"] == 6
    targets = task.encode(scenes(6))["targets"]
    assert targets[4, 0, 4] == -1
    wide = targets[0, 0, 2:4] - targets[0, 0, :2]
    assert bool((wide > 5).all())  # not the small one of 4x4
    with pytest.raises(UserError, match="unknown category 'blok'; did you mean 'block'"):
        made("object-localization", "objects", category="blok")
    with pytest.raises(UserError, match="there is no box of category 'disc' in any training row"):
        made("object-localization", "objects", category="disc")


def test_answers_in_pixels_of_a_picture_of_another_size():
    """What the network sees is padded from 64x32 to 32x32: an answer comes back to where it was."""
    task = made("object-localization", "objects", image_size=[32, 32])
    picture = np.zeros((32, 64, 1), dtype=np.uint8)
    columns = {
        "picture": Column(Image(channels=1), picture[None]),
        "objects": Column(Boxes(classes=CLASSES), [Objects.of([[8, 4, 40, 20]], [1])]),
    }
    tensors = task.encode(Split(columns, NumberedRows.count("one.csv", 1)))
    _, vector = task.prepare(tensors, training=False)
    # 64x32 becomes 32x16, with 8 rows of black above and below
    assert torch.allclose(vector[0, :5], torch.tensor([1, 12 / 32, 14 / 32, 8 / 32, 16 / 32]))
    outputs = torch.logit(vector.clamp(1e-6, 1 - 1e-6))
    found = task.decode(task.collected(outputs, tensors))[0]
    assert np.allclose(found.value.boxes, [[8, 4, 40, 20]], atol=0.01)


def test_a_mirrored_picture_mirrors_places():
    task = made("object-localization", "objects").augmented(AugmentSettings(flip_horizontal=1.0), {})
    tensors = task.encode(scenes(4))
    inputs, there = task.prepare(tensors, training=True)
    straight, before = task.prepare(tensors, training=False)
    assert torch.allclose(inputs, straight.flip(3), atol=1e-5)
    assert torch.allclose(there[:, 1], 1 - before[:, 1], atol=1e-6)
    assert torch.allclose(there[:, 2:], before[:, 2:], atol=1e-6)


def test_an_object_of_which_a_crop_leaves_too_little_is_not_there():
    """Shifted by up to its whole width: where less than a quarter is left the vector says that nothing is there."""
    task = made("object-localization", "objects").augmented(AugmentSettings(shift_horizontal=1.0), {})
    tensors = task.encode(scenes(40))
    torch.manual_seed(0)
    _, there = task.prepare(tensors, training=True)
    _, before = task.prepare(tensors, training=False)
    gone = there[:, 0] == 0
    assert before[:, 0].sum() > there[:, 0].sum() > 0
    assert (there[~gone, 4] >= 0.25 * before[~gone, 4] - 1e-4).all()


def test_mirrored_points_change_places_in_pairs():
    flips = AugmentSettings(flip_horizontal=1.0)
    with pytest.raises(UserError, match="a left eye is a right eye"):
        made("landmarks", "corners").augmented(flips, {})
    pairs = [["left_top", "right_top"], ["left_bottom", "right_bottom"]]
    task = made("landmarks", "corners", flip_pairs=pairs).augmented(flips, {})
    tensors = task.encode(scenes(4))
    _, moved = task.prepare(tensors, training=True)
    _, before = task.prepare(tensors, training=False)
    order = [CORNERS.index(name) for name in ("right_top", "left_top", "left_bottom", "right_bottom")]
    wanted = before[:, order] * torch.tensor([-1.0, 1.0]) + torch.tensor([1.0, 0.0])
    assert torch.allclose(moved[:, :4], wanted, atol=1e-6)
    plain = made("landmarks", "corners", flip_pairs=[]).augmented(flips, {})
    _, unpaired = plain.prepare(tensors, training=True)
    assert float(unpaired[0, 0, 0]) > float(unpaired[0, 1, 0])  # "left" is now on the right
    for wrong, said in (([["left_top"]], "expected pairs"), ([["left_top", "lefttop"]], "unknown point")):
        with pytest.raises(UserError, match=said):
            made("landmarks", "corners", flip_pairs=wrong)


def test_points_that_leave_the_picture_are_not_learnt():
    task = made("landmarks", "corners").augmented(AugmentSettings(shift_horizontal=1.0), {})
    torch.manual_seed(0)
    tensors = task.encode(scenes(20))
    _, moved = task.prepare(tensors, training=True)
    there = moved[:, :4].isfinite().all(dim=2)
    assert 0 < int(there.sum()) < int(tensors["targets"][:, :4].isfinite().all(dim=2).sum())
    assert bool(((moved[:, :4][there] >= 0) & (moved[:, :4][there] <= 1)).all())


@pytest.mark.parametrize(("presence", "outputs"), [("none", 128), ("picture", 129), ("points", 192)])
def test_the_notes_64_points_and_their_presence(presence, outputs):
    names = tuple(f"p{index}" for index in range(64))
    columns = {
        "picture": Column(Image(channels=1), np.zeros((3, 32, 32, 1), dtype=np.uint8)),
        "face": Column(Points(names=names), np.full((3, 64, 2), 7.0)),
    }
    made_of = Dataset("f", "f", {"train": Split(columns, NumberedRows.count("f", 3))}, target="face")
    task = create_task(TaskSettings(name="landmarks", options={"presence": presence}), made_of)
    assert task.model_options()["num_classes"] == outputs
    assert load_task(TaskSettings(name="landmarks"), save_state(task)).num_outputs == outputs


def test_landmarks_of_boxes_want_a_category():
    with pytest.raises(UserError, match=r"name the object whose corners .* categories: disc, block"):
        made("landmarks", "objects")
    with pytest.raises(UserError, match="the target has points already"):
        made("landmarks", "corners", category="block")


def write_faces(folder, rows: int = 12):
    generator = np.random.default_rng(0)
    with open(folder / "faces.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "left_eye_x", "left_eye_y", "nose_x", "nose_y", "age"])
        for row in range(rows):
            pixels = generator.integers(0, 255, (20, 30), dtype=np.uint8)
            PillowImage.fromarray(pixels).save(folder / f"{row}.png")
            writer.writerow([f"{row}.png", row + 0.5, 4, "" if row == 3 else 15, 9.25, 20 + row])
    return folder / "faces.csv"


def test_columns_of_x_and_y_are_points(tmp_path):
    data = gradus.load_data(write_faces(tmp_path))
    kind = data.types["points"]
    assert kind == Points(names=("left_eye", "nose")) and data.target == "points"
    column = data["train"]["points"]
    assert column[2].tolist() == [[2.5, 4.0], [15.0, 9.25]] and math.isnan(column[3][1, 0])
    assert list(data["train"].columns) == ["file", "age", "points"]
    task = create_task(TaskSettings(name="landmarks"), data)
    assert task.presence == "points" and task.num_outputs == 6
    by_age = gradus.load_data(tmp_path / "faces.csv", "age")
    assert "points" not in by_age.types and by_age.target == "age"


def test_networks_that_end_in_a_relu_are_signed_for_places():
    torch.manual_seed(0)
    pictures = torch.randn(4, 3, 32, 32)
    bounded, signed = (create_model("squeezenet1_1", num_classes=40, signed=yes).eval() for yes in (False, True))
    signed.load_state_dict(bounded.state_dict())
    with torch.no_grad():
        assert float(bounded(pictures).min()) >= 0 > float(signed(pictures).min())
    assert made("landmarks", "corners").model_options()["signed"]


def test_the_evidence_survives_a_split_without_objects():
    task = made("object-localization", "objects")
    split = scenes(20).take(np.array([4, 9]))
    tensors = task.encode(split)
    outputs = task.collected(torch.zeros(2, 7), tensors)
    sections = evidence(task.assess(outputs, tensors["targets"]), split, "objects", "pictures")
    assert len(sections) == 1 and "0 of 2 pictures have the object" in sections[0]
