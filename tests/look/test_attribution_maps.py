"""CAM and Grad-CAM: the identities between them, the layer that is chosen, what is empty; and maps over pictures."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_subject import small_convnet, subject_with
from torch import nn

from gradus.errors import UserError
from gradus.look.inside import cams
from gradus.look.inside.overlay import blend, in_frame, magnified, strongest, with_bar
from gradus.look.inside.subject import Picture
from gradus.models import create_model


class ByFunction(nn.Module):
    """Global average pooling as a mean in `forward`, the last layer a 1x1 convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.Sequential(nn.Conv2d(3, 5, 3), nn.Tanh())
        self.last = nn.Conv2d(5, 4, 1)

    def forward(self, inputs):
        return self.last(self.maps(inputs).mean((2, 3), keepdim=True)).flatten(1)


def into_classes() -> nn.Sequential:
    """As in network in network: the last convolution has a map a class."""
    return nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 4, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )


@pytest.mark.parametrize("make", [small_convnet, ByFunction, into_classes])
def test_the_mean_of_a_class_map_is_the_score(make):
    torch.manual_seed(2)
    model, inputs = make().eval(), torch.randn(3, 3, 12, 12)
    found = cams.class_maps(model, inputs)
    assert found is not None
    maps, bias = found
    assert maps.shape[:2] == (3, 4) and maps.shape[2] > 1
    with torch.no_grad():
        assert torch.allclose(maps.mean((2, 3)) + bias, model(inputs), atol=1e-5)


def test_networks_without_class_maps_have_none():
    inputs = torch.randn(1, 3, 12, 12)
    flat = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(500, 4))
    deep = nn.Sequential(
        *(nn.Conv2d(3, 5, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 5), nn.ReLU(), nn.Linear(5, 4))
    )
    largest = nn.Sequential(nn.Conv2d(3, 5, 3), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(5, 4))
    coarse = nn.Sequential(nn.Conv2d(3, 5, 3), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(20, 4))
    for model in (flat, deep, largest, coarse):
        assert cams.class_maps(model.eval(), inputs) is None


def test_grad_cam_is_cam_where_pooling_and_one_linear_layer_end_the_network():
    torch.manual_seed(3)
    model, inputs, targets = small_convnet(), torch.randn(3, 3, 12, 12), torch.tensor([0, 3, 2])
    found = cams.grad_cam(model, inputs, targets, model[4])
    maps, _ = cams.class_maps(model, inputs)
    places = maps.shape[2] * maps.shape[3]
    assert torch.allclose(found, maps[torch.arange(3), targets].relu() / places, atol=1e-7)
    assert found.max() > 0


def test_the_gradient_is_averaged_over_places_of_each_row_alone():
    # the book averages over (batch, height, width): with several pictures their gradients would mix
    torch.manual_seed(4)
    model, inputs = create_model("mnist_convnet", num_classes=3, image_size=18), torch.randn(4, 1, 18, 18)
    together = cams.grad_cam(model, inputs, torch.tensor([0, 1, 2, 0]), model.features[4])
    alone = torch.cat(
        [
            cams.grad_cam(model, inputs[i : i + 1], torch.tensor([c]), model.features[4])
            for i, c in enumerate([0, 1, 2, 0])
        ]
    )
    assert torch.allclose(together, alone, atol=1e-6) and together.max() > 0


def test_of_a_sure_network_only_the_score_before_the_softmax_has_a_map():
    model, inputs = small_convnet().eval(), torch.rand(1, 3, 12, 12)
    with torch.no_grad():
        model[8].weight[1] = 30.0
        model[8].bias[1] = 200.0
        assert model(inputs).softmax(1)[0, 1] == 1
    target = torch.tensor([1])
    assert cams.grad_cam(model, inputs, target, model[4], "score").max() > 0
    assert cams.grad_cam(model, inputs, target, model[4], "probability").abs().max() == 0  # as the book does


def test_a_map_without_anything_for_the_class_is_all_zero():
    model, inputs = small_convnet().eval(), torch.rand(1, 3, 12, 12)
    with torch.no_grad():
        model[8].weight[2] = -1.0
    found = cams.grad_cam(model, inputs, torch.tensor([2]), model[4])
    assert torch.equal(found, torch.zeros_like(found))


def test_hooks_go_and_frozen_networks_have_maps():
    model, inputs = small_convnet().train(), torch.rand(1, 3, 12, 12)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    assert cams.grad_cam(model, inputs, torch.tensor([0]), model[4]).isfinite().all()
    cams.class_maps(model, inputs)
    assert not any(module._forward_hooks for module in model.modules()) and model.training
    with pytest.raises(UserError, match="must give maps"):
        cams.grad_cam(model, inputs, torch.tensor([0]), model[8])
    assert not any(module._forward_hooks for module in model.modules()) and model.training


@pytest.mark.parametrize(
    ("model", "inputs", "layer"),
    [
        ("squeezenet1_0", (3, 64, 64), "features.12"),  # both branches of the last fire module, before the class maps
        ("mnist_convnet", (1, 28, 28), "features.7"),
        ("lenet5", (1, 28, 28), None),
    ],
)
def test_the_layer_by_default(model: str, inputs: tuple[int, ...], layer: str | None):
    network = create_model(model, num_classes=3)
    name = cams.last_maps(network, torch.zeros(1, *inputs))
    assert layer is None or name == layer
    assert not isinstance(network.get_submodule(name), cams.PASSING)


def test_the_layer_by_default_stands_before_the_last_pooling():
    # as block5_conv3 of the book's VGG16, whose maps are twice as fine as those after the pooling
    model = nn.Sequential(
        *(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4 * 36, 2))
    )
    assert cams.last_maps(model, torch.zeros(1, 3, 12, 12)) == "1"
    with pytest.raises(UserError, match="no layer"):
        cams.last_maps(nn.Sequential(nn.Flatten(), nn.Linear(27, 2)), torch.zeros(1, 3, 3, 3))


@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("cut", [None, 40])
@pytest.mark.parametrize(("height", "width"), [(60, 90), (90, 60), (64, 64), (33, 128)])
def test_a_map_lies_where_the_network_saw_it(fit: str, cut: int | None, height: int, width: int):
    # a bright spot is sent the way that pictures go; as a map, brought back, it must be the spot again
    top, left = height // 2 + 3, width // 2 - 9
    picture = np.zeros((height, width, 1), dtype=np.uint8)
    picture[top : top + 6, left : left + 6] = 255
    subject = subject_with(small_convnet(), size=32, channels=1, fit=fit, resize=cut)
    shown = subject.pixels([Picture("spot", picture)])[0, :, :, 0] / 255
    assert shown.shape == (32, 32)
    values, seen = in_frame(shown, subject, height, width)
    assert values.shape == seen.shape == (height, width)
    y, x = strongest(values, seen)
    assert top - 2 <= y < top + 8 and left - 2 <= x < left + 8
    if cut is None:
        square = min(height, width) ** 2
        assert abs(seen.sum() - (square if fit == "crop" else height * width)) <= max(height, width)
    else:
        assert seen.sum() < 0.95 * height * width  # something is cut away, at the sides that are not padded
    enlarged, _ = in_frame(shown, subject, height, width, times=3)
    assert enlarged.shape == (3 * height, 3 * width)


def test_coarse_maps_are_aligned_by_the_centres_of_their_cells():
    values, _ = in_frame(np.array([[0.0, 1.0]]), subject_with(small_convnet(), size=8), 4, 8)
    assert np.allclose(values[0], [0, 0, 0.125, 0.375, 0.625, 0.875, 1, 1])


def test_blending_stays_within_bytes_and_red_is_red():
    white, every = np.full((4, 4, 3), 255, np.uint8), np.ones((4, 4), bool)
    hot = blend(white, np.ones((4, 4)), every, signed=False, opacity=1.0, faint=False)
    assert hot.dtype == np.uint8 and hot[0, 0, 0] > 100 > hot[0, 0, 2]  # RGB order; nothing wraps around
    for_it = blend(white, np.ones((4, 4)), every, signed=True, opacity=1.0, faint=False)[0, 0].astype(int)
    against = blend(white, -np.ones((4, 4)), every, signed=True, opacity=1.0, faint=False)[0, 0].astype(int)
    assert for_it[0] > for_it[2] + 50 and against[2] > against[0] + 50
    nothing = blend(white, np.zeros((4, 4)), every, signed=False, opacity=1.0, faint=False)
    assert np.array_equal(nothing, white)
    drawn = np.random.default_rng(0).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    kept = drawn.copy()
    assert np.array_equal(blend(drawn, np.ones((4, 4)), every, signed=False, opacity=0.0, faint=False), drawn)
    assert np.array_equal(drawn, kept)


def test_the_bar_runs_from_the_least_at_the_bottom_to_the_most_at_the_top():
    shown = with_bar(np.zeros((50, 20, 3), np.uint8), 0, 3.5, signed=False)
    bar = shown[:, 20 + 6 + 5].astype(int)
    assert bar[0, 0] > bar[0, 2] and bar[-1, 2] > bar[-1, 0]


def test_a_picture_is_enlarged_until_what_is_seen_of_it_has_the_pixels_of_the_network():
    subject = subject_with(small_convnet(), size=100, fit="crop", resize=120)
    for height, width, times in ((8, 8, 25), (120, 200, 1), (119, 200, 2), (100, 700, 1), (2000, 100, 1)):
        large, found = magnified(np.zeros((height, width, 1), np.uint8), subject)
        assert (found, large.shape) == (times, (height * times, width * times, 3))
