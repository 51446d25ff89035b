"""A crop classifier as a convolution: equal to the classifier on every crop, and refused where it could not be."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gradus.boxes.geometry import iou
from gradus.errors import UserError
from gradus.models import create_model
from gradus.models.as_convolution import as_convolution
from gradus.models.detection.sliding_window import BACKGROUND, WINDOW, SlidingWindow, crop_network, window_labels


def assert_equal_at_all_places(model, window, channels, picture_size):
    model.eval()
    network = as_convolution(model, window, channels)
    height, width = (window, window) if isinstance(window, int) else window
    pictures = torch.randn(2, channels, *picture_size)
    rows, columns = network.corners(*picture_size)
    with torch.no_grad():
        outputs = network(pictures)
        assert outputs.shape[2:] == (len(rows), len(columns))
        for r, row in enumerate(rows.tolist()):
            for c, column in enumerate(columns.tolist()):
                crop = pictures[:, :, row : row + height, column : column + width]
                assert torch.allclose(outputs[:, :, r, c], model(crop), atol=1e-6), (row, column)
    return network


@pytest.mark.parametrize(("side", "places"), [(14, 1), (16, 2), (28, 8)])
def test_the_notes_network_gives_the_notes_shapes(side, places):
    """§4.3.4: 1x1x4 on 14x14, 2x2x4 on 16x16, 8x8x4 on 28x28; equal to each crop alone."""
    torch.manual_seed(0)
    model = create_model("window_convnet")
    network = assert_equal_at_all_places(model, 14, 3, (side, side))
    assert network.stride == (2, 2) and len(network.corners(side, side)[0]) == places
    kernels = [(one.in_channels, one.out_channels, one.kernel_size[0]) for one in network if isinstance(one, nn.Conv2d)]
    assert kernels == [(3, 16, 5), (16, 400, 5), (400, 400, 1), (400, 4, 1)]


def test_strides_norms_and_odd_sides():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, stride=2),
        nn.BatchNorm2d(4),
        nn.Sequential(nn.ReLU(), nn.MaxPool2d(3, 2)),
        nn.Flatten(),
        nn.Linear(4 * 3 * 4, 8, bias=False),
        nn.BatchNorm1d(8),
        nn.Dropout(0.5),
        nn.Linear(8, 3),
    )
    for _ in range(3):
        model.train()(torch.randn(8, 2, 16, 21))  # norms that do something
    assert assert_equal_at_all_places(model, (16, 21), 2, (29, 34)).stride == (4, 4)


def test_a_mean_over_the_map_is_a_mean_over_each_window():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 6, 5), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 2))
    assert_equal_at_all_places(model, 11, 3, (15, 13))


@pytest.mark.parametrize(
    ("layers", "told"),
    [
        ([nn.Conv2d(3, 4, 3, padding=1)], r"^0: it pads its input"),
        ([nn.Conv2d(3, 4, 3), nn.MaxPool2d(2, ceil_mode=True)], r"^1: it pads"),
        ([nn.Sequential(nn.LSTM(3, 4))], r"^0\.0: a LSTM cannot be applied as a convolution"),
        ([nn.Conv2d(3, 4, 9)], r"^0: the window is too small for its kernel"),
        ([nn.AdaptiveAvgPool2d(2)], r"^0: a AdaptiveAvgPool2d cannot"),
    ],
)
def test_what_cannot_be_one_is_told_by_its_layer(layers, told):
    with pytest.raises(UserError, match=told):
        as_convolution(nn.Sequential(*layers), 8)


def test_the_weights_are_copies():
    model = create_model("window_convnet", hidden=8)
    network = as_convolution(model, 14)
    before = network(torch.ones(1, 3, 14, 14))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert torch.equal(network(torch.ones(1, 3, 14, 14)), before)


# ---- the detector


def test_a_window_of_the_detector_is_the_crop_at_its_place():
    torch.manual_seed(0)
    detector = SlidingWindow(2, sizes=(0.6, 0.9), width=4).eval()
    crops = crop_network(2, 3, 4).eval()
    theirs, mine = list(crops.parameters()), list(detector.windows.parameters())
    with torch.no_grad():
        for given, wanted in zip(theirs, mine, strict=True):
            given.copy_(wanted.view_as(given))
        pictures = torch.randn(1, 3, 60, 80)
        found = detector(pictures)
        scaled = detector.scales(60, 80)
        assert scaled == [(47, 62), (31, 41)]
        first = 0
        for size in scaled:
            smaller = nn.functional.interpolate(pictures, size, mode="bilinear", antialias=True)
            rows, columns = detector.windows.corners(*size)
            places = [(r, c) for r in rows.tolist() for c in columns.tolist()]
            for index, (row, column) in enumerate(places):
                crop = smaller[:, :, row : row + WINDOW, column : column + WINDOW]
                assert torch.allclose(found.logits[:, first + index], crops(crop), atol=1e-6)
                left, top, right, bottom = found.boxes[first + index].tolist()
                assert (left, top) == pytest.approx((column * 80 / size[1], row * 60 / size[0]), abs=1e-4)
                assert right - left == pytest.approx(WINDOW * 80 / size[1], abs=1e-4)
                assert bottom - top == pytest.approx(WINDOW * 60 / size[0], abs=1e-4)
            first += len(places)
        assert first == len(found.boxes)


def test_windows_are_labelled_by_overlap():
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 20], [0, 5, 10, 15], [50, 50, 60, 60], [80, 80, 90, 90]])
    objects = torch.tensor([[[0.0, 0, 10, 10, 1, 0], [80, 80, 90, 90, 0, 1], [0, 0, 0, 0, -1, 0]]])
    labels, learnt = window_labels(boxes, objects)
    assert labels.tolist() == [[2, 2, 0, 0, 0]]  # overlaps 1, 1/2, 1/3, 0; the last is an ignored object
    assert learnt.tolist() == [[True, True, True, True, False]]
    between = torch.tensor([[0.0, 0, 10, 22]])  # 10 / 22: neither
    assert BACKGROUND < 10 / 22 < 0.5 and window_labels(between, objects)[1].tolist() == [[False]]


def test_the_detector_learns_one_picture_by_heart():
    torch.manual_seed(0)
    detector = SlidingWindow(2, in_channels=1, sizes=(0.3, 0.5), width=4)
    pictures = torch.zeros(2, 1, 64, 64)
    pictures[0, :, 10:30, 10:30], pictures[0, :, 30:62, 30:62] = 1.0, -1.0
    objects = torch.tensor([[[10.0, 10, 30, 30, 0, 0], [30, 30, 62, 62, 1, 0]], [[0, 0, 0, 0, -1, 0]] * 2])
    optimizer = torch.optim.Adam(detector.parameters(), lr=5e-3)
    losses: list[float] = []
    for _ in range(80):
        optimizer.zero_grad()
        loss = detector(pictures).loss(objects)
        loss.backward()
        losses.append(float(loss.detach()))
        optimizer.step()
    found = detector(pictures).detections().detach()
    assert losses[-1] < 0.3 * losses[0]
    for number in range(2):  # the surest of each class lies on its thing
        first = found[0][found[0, :, 4] == number][0]
        assert float(iou(first[:4], objects[0, number, :4])) > 0.2
    assert found[1, 0, 5] < found[0, 0, 5]


def test_the_sizes_are_checked():
    with pytest.raises(UserError, match="shares of the shorter side"):
        SlidingWindow(2, sizes=(0.0,))
    with pytest.raises(UserError, match="no window fits into pictures of 12x12"):
        SlidingWindow(2, sizes=(1.0,), aspects=(4.0,))(torch.zeros(1, 3, 12, 12))


def test_the_number_of_windows():
    """Of six sizes on a picture of 320x240, the network looking every 4 of 28 pixels."""
    detector = SlidingWindow(3).to("meta").eval()
    found = detector(torch.empty(1, 3, 240, 320, device="meta"))
    assert found.logits.shape == (1, 12830, 4) and found.boxes.shape == (12830, 4)
