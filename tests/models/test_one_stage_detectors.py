"""What holds for every one-stage detector: it learns scenes by heart, and its losses mean what the contract says."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from gradus.boxes.average_precision import precision_from_counts
from gradus.boxes.matching import match_counts
from gradus.errors import UserError
from gradus.models import create_model

SIDE, CLASSES = 64, 2
SMALL: dict[str, dict[str, Any]] = {
    "grid_detector": {"width": 32, "anchors": [[15, 15], [25, 25]]},
    "yolo_v1": {"width": 64, "hidden": 128, "dropout": 0.0, "grid": [4, 4]},
    "ssd": {"width": 64, "scales": [0.2, 0.3, 0.45, 0.6, 0.8]},
}
STEPS = {"grid_detector": 100, "yolo_v1": 140, "ssd": 45}
RATES = {"grid_detector": 2e-3, "yolo_v1": 5e-4, "ssd": 1e-3}


def make(name: str, seed: int = 0, **options: Any) -> torch.nn.Module:
    torch.manual_seed(seed)
    given = {"picture_size": [SIDE, SIDE], "backbone": "squeezenet1_1", **SMALL[name], **options}
    return create_model(name, num_classes=CLASSES, **given)


def scenes(rows: int = 4) -> tuple[Tensor, Tensor]:
    """Pictures with a red and a green rectangle on dark noise, and where these are."""
    generator = torch.Generator().manual_seed(0)
    pictures = torch.rand(rows, 3, SIDE, SIDE, generator=generator) * 0.2
    objects = torch.zeros(rows, 3, 6)
    objects[..., 4] = -1
    for row in range(rows):
        for index in range(2):
            width, height = torch.randint(12, 28, (2,), generator=generator).tolist()
            left = index * SIDE // 2 + int(torch.randint(0, SIDE // 2 - width + 1, (1,), generator=generator))
            top = int(torch.randint(0, SIDE - height, (1,), generator=generator))
            label = (row + index) % 2
            pictures[row, label, top : top + height, left : left + width] += 1
            objects[row, index] = torch.tensor([left, top, left + width, top + height, label, 0.0])
    return pictures, objects


def with_objects(*rows: list[list[float]]) -> Tensor:
    """(B, M, 6) of rows of [left, top, right, bottom, class, ignored]."""
    found = torch.zeros(len(rows), max(1, *map(len, rows)) if rows else 1, 6)
    found[..., 4] = -1
    for one, row in zip(found, rows, strict=True):
        if row:
            one[: len(row)] = torch.tensor(row)
    return found


def average_precision(model: torch.nn.Module, pictures: Tensor, objects: Tensor) -> Tensor:
    with torch.no_grad():
        counts = match_counts(model.eval()(pictures).detections(), objects, CLASSES)
    return torch.from_numpy(precision_from_counts(*(counts[name].numpy() for name in ("right", "wrong", "objects"))))


@pytest.mark.parametrize("name", SMALL)
def test_it_learns_four_scenes_by_heart(name):
    pictures, objects = scenes()
    model = make(name)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATES[name])
    before = average_precision(model, pictures, objects).mean()
    model.train()
    for _ in range(STEPS[name]):
        optimizer.zero_grad()
        model(pictures).loss(objects).backward()
        optimizer.step()
    assert before < 0.5
    assert average_precision(model, pictures, objects).mean() > 0.9


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("case", ["nothing", "ignored", "many", "everywhere the same"])
def test_losses_and_gradients_are_finite(name, case):
    box = [20.0, 20, 40, 44]
    random = torch.Generator().manual_seed(1)
    corners = torch.rand(120, 2, generator=random) * 50
    many = torch.cat([corners, corners + 1 + torch.rand(120, 2, generator=random) * 12], dim=1)
    rows = {
        "nothing": [],
        "ignored": [[*box, 0, 1]],
        "many": [[*one, index % 2, 0] for index, one in enumerate(many.tolist())],
        "everywhere the same": [[*box, 1, 0]] * 5,
    }[case]
    model = make(name)
    pictures = scenes(2)[0]
    predictions = model(pictures)
    loss = predictions.loss(with_objects(rows, rows))
    loss.backward()
    assert predictions.parts.keys() >= {"class", "box"}
    torch.testing.assert_close(sum(predictions.parts.values()), loss.detach())
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    assert gradients and all(bool(gradient.isfinite().all()) for gradient in gradients)
    assert any(bool(gradient.any()) for gradient in gradients)  # also of a picture without objects something is learnt
    assert (predictions.parts["box"] > 0) == (case in ("many", "everywhere the same"))


@pytest.mark.parametrize("name", SMALL)
def test_what_is_ignored_is_neither_learnt_nor_background(name):
    pictures, objects = scenes(1)
    predictions = make(name).eval()(pictures)
    alone = predictions.losses(objects)
    whole = torch.cat([objects, torch.tensor([[[-9.0, -9, SIDE + 9, SIDE + 9, 0, 1]]])], dim=1)
    covered = predictions.losses(whole)
    assert torch.equal(covered["box"], alone["box"])
    background = "confidence" if name == "yolo_v1" else "class"
    assert covered[background] < alone[background]
    nothing = predictions.losses(torch.cat([whole[:, -1:]], dim=1))
    assert all(value.item() == 0 for value in nothing.values())  # all of the picture is ignored


@pytest.mark.parametrize("name", SMALL)
def test_the_loss_of_a_batch_is_the_mean_over_its_pictures(name):
    pictures, objects = scenes(4)
    objects[3, :, 4] = -1
    predictions = make(name).eval()(pictures)
    whole = predictions.losses(objects)
    rows = [predictions[row : row + 1].losses(objects[row : row + 1]) for row in range(4)]
    for part, value in whole.items():
        torch.testing.assert_close(value, torch.stack([one[part] for one in rows]).mean())


@pytest.mark.parametrize("name", SMALL)
def test_the_same_seed_gives_the_same_bits_and_rows_stand_alone(name):
    pictures, objects = scenes(3)
    first, second = (make(name, seed=5).eval()(pictures) for _ in range(2))
    assert torch.equal(first.loss(objects), second.loss(objects))
    assert torch.equal(first.detections(), second.detections())
    assert len(first) == 3 and len(first[1:]) == 2
    torch.testing.assert_close(first[1:2].detections(), first.detections()[1:2])
    detached = first.detach()
    assert detached.parts is first.parts and not detached.detections().requires_grad


@pytest.mark.parametrize("name", SMALL)
def test_pictures_of_other_shapes_and_colours(name):
    """Sides that no stride divides, grey pictures, a backbone with a map of stride 32."""
    options = {"grid": None} if name == "yolo_v1" else {"scales": None} if name == "ssd" else {"anchors": None}
    model = make(name, picture_size=[70, 101], in_channels=1, backbone="resnet18", **options)
    predictions = model(torch.randn(2, 1, 70, 101))
    assert predictions.detections().shape[2] == 6
    assert torch.isfinite(predictions.loss(with_objects([[5, 5, 60, 50, 1, 0]], [])))


@pytest.mark.parametrize("name", SMALL)
def test_published_weights_go_into_the_backbone_and_others_are_refused(name):
    model = make(name)
    torch.manual_seed(9)
    published = create_model("squeezenet1_1").state_dict()
    (note,) = model.load_backbone(published, "weights.safetensors")
    assert note.startswith("backbone squeezenet1_1 begins with these weights")
    assert torch.equal(model.backbone.network.features[0].weight, published["features.0.weight"])
    with pytest.raises(UserError, match=r"^w\.safetensors: these are not weights of squeezenet1_1: it has no '"):
        model.load_backbone({"conv1.weight": torch.zeros(1)}, "w.safetensors")
    wrong = {**published, "features.0.weight": torch.zeros(3, 3)}
    with pytest.raises(UserError, match="has shape 3x3, the network's 64x3x3x3"):
        model.load_backbone(wrong, "w.safetensors")
