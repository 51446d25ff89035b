"""What maps are measured by: deletion and insertion, shuffled weights, the pointing game."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import spearmanr
from small_subject import picture_of, small_convnet, subject_with
from torch import nn

from gradus.errors import UserError
from gradus.look.inside import faithful
from gradus.look.inside.pointing import pointing
from gradus.look.inside.scores import classes_asked, rank_correlation

BOXES = Path(__file__).parent


class Corner(nn.Module):
    """Class 1 by the brightness of the upper left quarter, class 0 a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 1, 1)
        with torch.no_grad():
            self.conv.weight.fill_(1.0)
            self.conv.bias.zero_()

    def forward(self, inputs):
        seen = self.conv(inputs)[:, 0, : inputs.shape[2] // 2, : inputs.shape[3] // 2].mean((1, 2))
        return torch.stack([torch.ones_like(seen), 4 * seen], 1)


def test_deletion_is_steep_and_insertion_early_for_the_map_that_is_right():
    model = Corner()
    white, black = torch.ones(1, 3, 12, 12), torch.zeros(1, 3, 12, 12)
    right = torch.zeros(4, 4)
    right[:2, :2] = torch.tensor([[4.0, 3], [2, 1]])
    deleted = faithful.curve(model, white, black, 1, right, steps=16)
    by_hand = [torch.tensor([1.0, 12 * max(0, 4 - cells) / 4]).softmax(0)[1] for cells in range(17)]
    assert torch.allclose(deleted, torch.stack(by_hand), atol=1e-6)
    wrong = faithful.curve(model, white, black, 1, -right, steps=16)
    assert faithful.area(deleted) < faithful.area(wrong) - 0.4
    inserted = faithful.curve(model, black, white, 1, right, steps=16)
    assert faithful.area(inserted) > faithful.area(faithful.curve(model, black, white, 1, -right, steps=16)) + 0.4
    assert deleted[0] == inserted[-1] and deleted[-1] == inserted[0]


def test_the_area_is_that_of_trapezia():
    assert faithful.area(torch.tensor([1.0, 0.5, 0.0])) == 0.5
    assert faithful.area(torch.tensor([1.0, 0.0, 0.0, 0.0, 0.0])) == 0.125


def test_a_map_in_cells_keeps_its_places():
    fine = torch.zeros(28, 28)
    fine[4:6, 20:22] = 1  # cell (2, 10) of 14 x 14
    cells = faithful.in_cells(fine, 28)
    assert cells.shape == (14, 14) and cells[2, 10] == 1 and cells.sum() == 1
    coarse = faithful.in_cells(torch.eye(7), 28)
    assert coarse.shape == (14, 14) and coarse.argmax() // 14 == coarse.argmax() % 14
    assert faithful.in_cells(torch.rand(8, 8), 8).shape == (8, 8)


def test_shuffled_weights_are_the_same_numbers_elsewhere():
    model = small_convnet()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    other = faithful.shuffled(model, seed=1)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
        there = other.state_dict()[name]
        assert torch.equal(there.flatten().sort().values, value.flatten().sort().values)
        assert not torch.equal(there, value)
    again = faithful.shuffled(model, seed=1).state_dict()
    assert all(torch.equal(value, again[name]) for name, value in other.state_dict().items())


def test_rank_correlation_is_spearmans():
    one, other = torch.rand(5, 6).round(decimals=1), torch.rand(5, 6).round(decimals=1)
    expected = spearmanr(one.numpy().ravel(), other.numpy().ravel()).statistic
    assert rank_correlation(one.numpy(), other.numpy()) == pytest.approx(expected)
    assert np.isnan(rank_correlation(one.numpy(), np.zeros((5, 6))))


def test_compare_measures_every_method_and_the_controls():
    subject = subject_with(small_convnet(), size=20)
    sight = faithful.compare(subject, [picture_of(30, 20)], steps=4)
    methods = ["gradient", "gradient x input", "smoothgrad", "guided", "integrated gradients", "occlusion", "grad-cam"]
    ((_, header, rows),) = sight.tables
    assert [row[0] for row in rows] == [*methods, "cam", "random order", "centre first"]
    assert all(len(row) == len(header) for row in rows)
    areas, kept = sight.arrays["measured-0"][:, :2], sight.arrays["measured-0"][:, 2]
    assert (areas > 0).all() and (areas < 1).all()
    assert np.isnan(kept[-2:]).all()  # no network had a say in the controls
    assert np.nanmax(kept[:8]) < 0.999 and np.isfinite(kept[:8]).sum() >= 5  # the maps follow the weights


def test_of_a_known_network_the_maps_beat_the_controls():
    subject = subject_with(Corner(), size=28)
    bright = picture_of(28, 28)
    bright.pixels[:] = bright.pixels // 4 + 128
    bright.pixels[14:] //= 4
    bright.pixels[:, 14:] //= 4
    sight = faithful.compare(subject, [bright], of_class="1", steps=14, sanity=False)
    ((_, _, rows),) = sight.tables
    deletion = dict(zip([row[0] for row in rows], sight.arrays["measured-0"][:, 0], strict=True))
    for method in ("gradient", "integrated gradients", "occlusion", "gradient x input"):
        assert deletion[method] < min(deletion["random order"], deletion["centre first"])


def test_classes_are_asked_by_name_number_and_range():
    subject = subject_with(small_convnet(), classes=("ant", "bee", "cat", "dog"))
    outputs = torch.tensor([0.1, 0.9, 0.3, 0.4])
    assert classes_asked(subject, "", outputs) == [1]
    assert classes_asked(subject, "dog, ant", outputs) == [3, 0]
    assert classes_asked(subject, "2-3,0,dog", outputs) == [3, 0]
    for wrong in ("wolf", "3-9", "2-1", "9"):
        with pytest.raises(UserError, match="class"):
            classes_asked(subject, wrong, outputs)
    with pytest.raises(UserError, match="outputs 0 to 3"):
        classes_asked(subject_with(small_convnet()), "4", outputs)


@pytest.fixture
def games(tmp_path: Path) -> Callable:
    """Writes pictures with a bright upper left quarter, and a file of objects."""

    def write(*entries: dict) -> Path:
        dark = np.zeros((30, 40, 3), np.uint8)
        dark[:15, :20] = 250
        Image.fromarray(dark).save(tmp_path / "a.png")
        mask = np.zeros((30, 40), np.uint8)
        mask[:15, :20] = 1
        Image.fromarray(mask).save(tmp_path / "mask.png")
        (tmp_path / "games.json").write_text(json.dumps(list(entries)))
        return tmp_path / "games.json"

    return write


def test_the_pointing_game_counts_hits_of_the_map_the_centre_and_chance(games):
    subject = subject_with(Corner(), size=20)
    path = games(
        {"picture": "a.png", "boxes": [[0, 0, 20, 15]], "class": "1"},
        {"picture": "a.png", "mask": "mask.png", "class": "0-1"},
        {"picture": "a.png", "boxes": [[20, 15, 40, 30]], "class": "1"},
        {"picture": "a.png", "boxes": [[30, 0, 40, 15], [0, 20, 10, 30]]},
    )
    sight = pointing(subject, boxes=str(path), method="gradient x input")
    assert sight.arrays["hits"].tolist() == [True, True, False, False]
    assert sight.arrays["centre"].tolist() == [False, False, True, False]
    assert sight.numbers["gradient x input"] == 0.5 and sight.numbers["centre"] == 0.25
    assert sight.numbers["random point"] == pytest.approx((0.25 + 0.25 + 0.25 + 250 / 1200) / 4)


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"picture": "a.png"}, "either"),
        ({"boxes": [[0, 0, 1, 1]]}, "picture"),
        ({"picture": "a.png", "boxes": [[0, 0, 41, 1]]}, "does not lie in the picture of 40x30"),
        ({"picture": "a.png", "boxes": [[5, 0, 5, 1]]}, "does not lie"),
        ({"picture": "a.png", "boxes": [[1, 2, 3]]}, "left, top, right, bottom"),
        ({"picture": "a.png", "boxes": []}, "empty"),
        ({"picture": "b.png", "boxes": [[0, 0, 1, 1]]}, "no such file"),
        ({"picture": "test:3", "boxes": [[0, 0, 1, 1]]}, "--data"),
        ({"picture": "a.png", "boxes": [[0, 0, 9, 9]], "class": "7"}, "class"),
    ],
)
def test_mistakes_in_the_file_of_objects_are_named(games, entry: dict, told: str):
    subject = subject_with(Corner(), size=20)
    with pytest.raises(UserError, match=told):
        pointing(subject, boxes=str(games(entry)), method="gradient")


def test_the_game_needs_its_file_and_a_known_method(games, tmp_path: Path):
    subject = subject_with(Corner(), size=20)
    with pytest.raises(UserError, match="boxes=FILE"):
        pointing(subject)
    with pytest.raises(UserError, match="no such file"):
        pointing(subject, boxes=str(tmp_path / "absent.json"))
    with pytest.raises(UserError, match=r"gradcam.*grad-cam"):
        pointing(subject, boxes=str(games({"picture": "a.png", "boxes": [[0, 0, 9, 9]]})), method="gradcam")


def test_the_boxes_of_heads_lie_within_those_of_animals():
    heads, animals = (json.loads((BOXES / f"{name}.json").read_text()) for name in ("heads", "animals"))
    assert [entry["picture"] for entry in heads] == [f"test:{row}" for row in [*range(50), *range(500, 550)]]
    assert [entry["picture"] for entry in animals] == [entry["picture"] for entry in heads]
    for head, animal in zip(heads, animals, strict=True):
        assert head["class"] == animal["class"] == ("281-285" if int(head["picture"][5:]) < 500 else "151-268")
        assert len(head["boxes"]) == len(animal["boxes"])


def test_grad_cam_of_squeezenet_finds_the_heads_of_cats_and_dogs(real_data: Path):
    from gradus.recipes.looking import subject_of

    weights = real_data / "weights" / "squeezenet1_0-imagenet.safetensors"
    if not weights.exists() or not (real_data / "cats_vs_dogs").is_dir():
        pytest.skip("needs cats_vs_dogs and the weights of SqueezeNet in GRADUS_DATA")
    subject = subject_of("squeezenet1_0", weights=str(weights), data="cats_vs_dogs")
    numbers = pointing(subject, boxes=str(BOXES / "heads.json")).numbers
    assert numbers["centre"] == pytest.approx(0.53)  # of the boxes alone
    assert numbers["grad-cam"] > numbers["centre"] > numbers["random point"]
    assert numbers["p of the sign test"] < 1e-3


def test_areas_that_tell_nothing_are_told():
    flat = picture_of(20, 20)
    flat.pixels[:] = 100  # as blurred as it can be
    told = faithful.compare(subject_with(small_convnet(), size=20), [flat], steps=2, sanity=False).said
    assert any("blurred it is still answered so" in sentence for sentence in told)
