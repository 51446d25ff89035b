"""Drawings: every layer is in one box and every tensor on one arrow, nothing covers anything, deep networks are folded."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gradus.look.network.boxes import LARGEST, Picture, pictures_of
from gradus.look.network.canvas import Arrow, Canvas, Rectangle, Words, text_width
from gradus.look.network.drawing import describe, draw
from gradus.look.network.summary import Summary, summarize
from gradus.look.network.volumes import draw_volumes
from gradus.models import create_model

NETWORKS = [
    ("lenet5", (1, 28, 28), {}),
    ("squeezenet1_0", (3, 64, 64), {}),
    ("mlp", (20,), {"in_features": 20, "num_classes": 3}),
    ("resnet18", (3, 64, 64), {}),
    ("googlenet", (3, 64, 64), {}),
    ("fractalnet", (3, 32, 32), {}),
    ("resnet56", (3, 32, 32), {}),
    ("densenet_40_12", (3, 32, 32), {}),
]


def network(name: str, shape: tuple[int, ...], options: dict) -> Summary:
    with torch.device("meta"):
        return summarize(create_model(name, **options), shape, name=name)


@pytest.fixture(scope="module")
def summaries() -> dict[str, Summary]:
    return {name: network(name, shape, options) for name, shape, options in NETWORKS}


def drawn(summary: Summary) -> list[Picture]:
    return pictures_of(summary.graph, summary.stages, summary.name)


def edges_by_box(summary: Summary, picture: Picture) -> set[tuple[int, int]]:
    box_of = {member: number for number, box in enumerate(picture.boxes) for member in box.members}
    found = {
        (box_of[edge.source], box_of[number])
        for number, node in enumerate(summary.graph.nodes)
        for edge in node.inputs
        if number in box_of and edge.source in box_of
    }
    return {(source, target) for source, target in found if source != target}


@pytest.mark.parametrize("name", [name for name, _, _ in NETWORKS])
def test_every_layer_is_in_one_box_and_every_tensor_on_one_arrow(summaries, name):
    summary = summaries[name]
    whole, *details = drawn(summary)
    members = [member for box in whole.boxes for member in box.members]
    assert sorted(members) == list(range(len(summary.graph.nodes)))
    assert len(whole.boxes) <= LARGEST
    assert {(s, t) for t, box in enumerate(whole.boxes) for s in box.inputs} == edges_by_box(summary, whole)
    for picture in details:
        told = {(s, t) for t, box in enumerate(picture.boxes) for s in box.inputs if picture.boxes[s].members}
        assert told == edges_by_box(summary, picture)


@pytest.mark.parametrize("name", [name for name, _, _ in NETWORKS])
def test_nothing_covers_anything(summaries, name):
    for picture in drawn(summaries[name]):
        canvas = draw(picture)
        boxes = [shape for shape in canvas.shapes if isinstance(shape, Rectangle) and shape.corner == 4.0]
        words = [shape for shape in canvas.shapes if isinstance(shape, Words)]
        arrows = [shape for shape in canvas.shapes if isinstance(shape, Arrow)]
        assert len(boxes) == len(picture.boxes) + sum(box.times > 1 for box in picture.boxes)
        assert {line for box in picture.boxes for line in box.lines()} <= {word.text for word in words}
        assert len(arrows) >= sum(len(box.inputs) for box in picture.boxes)
        assert_apart([_corners(box) for box in boxes], allowed=3.0)
        labels = [word for word in words if word.plate]
        assert_apart([_corners(one) for one in (*boxes, *labels)], allowed=3.0)
        assert min(word.size for word in words) >= 9
        for word in words:
            left, top, right, bottom = _corners(word)
            assert left >= 0 and top >= 0 and right <= canvas.width and bottom <= canvas.height
        assert_no_arrow_runs_through_a_box(arrows, boxes)


def _corners(shape: Rectangle | Words) -> tuple[float, float, float, float]:
    if isinstance(shape, Rectangle):
        return shape.x, shape.y, shape.x + shape.width, shape.y + shape.height
    width = text_width(shape.text, shape.size, shape.bold)
    left = shape.x if shape.anchor == "start" else shape.x - width / 2
    return left, shape.y - shape.size / 2, left + width, shape.y + shape.size / 2


def assert_apart(corners: list[tuple[float, float, float, float]], allowed: float) -> None:
    """No two overlap, but for those that stand for several: a second outline `allowed` pixels behind."""
    for number, (left, top, right, bottom) in enumerate(corners):
        for other_left, other_top, other_right, other_bottom in corners[:number]:
            wide = min(right, other_right) - max(left, other_left)
            high = min(bottom, other_bottom) - max(top, other_top)
            second = abs(abs(left - other_left) - allowed) < 0.01 and abs(abs(top - other_top) - allowed) < 0.01
            assert wide <= 0 or high <= allowed or second


def assert_no_arrow_runs_through_a_box(arrows: list[Arrow], boxes: list[Rectangle]) -> None:
    """Curves are followed in small steps; the ends, which touch their boxes, are left out."""
    for arrow in arrows:
        for (x, y), (to_x, to_y) in zip(arrow.points, arrow.points[1:], strict=False):
            share = np.linspace(0.02, 0.98, 25)
            across = share**2 * (3 - 2 * share) if arrow.curved else share
            down = share + 0.0 if not arrow.curved else 1.5 * share * (1 - share) + share**3
            for at_x, at_y in zip(x + (to_x - x) * across, y + (to_y - y) * down, strict=True):
                for box in boxes:
                    inside = box.x + 1 < at_x < box.x + box.width - 1 and box.y + 4 < at_y < box.y + box.height - 4
                    assert not inside


def test_the_words_of_boxes(summaries):
    boxes = {box.name: box for box in drawn(summaries["resnet18"])[0].boxes}
    assert boxes["conv1"].lines() == ["conv 7x7, 64, /2, pad 3", "BatchNorm, ReLU", "conv1"]
    assert boxes["conv1"].gives == ["64x32x32"] and boxes["maxpool"].title == "max pool 3x3, /2, pad 1"
    assert (
        boxes["avgpool"].title == "global average pool" and boxes["fc"].title == "dense, 1000" and boxes["fc"].is_output
    )
    sums = [box for box in boxes.values() if box.title == "+"] or [
        b for b in drawn(summaries["resnet18"])[0].boxes if b.title == "+"
    ]
    assert sums and all(box.after == ["ReLU"] and len(box.inputs) == 2 for box in sums)


def test_an_inception_module_is_drawn_once(summaries):
    whole, module = drawn(summaries["googlenet"])
    assert sum(box.title == "Inception" for box in whole.boxes) == 9
    assert module.title == "Inception: inception3a"
    (joined,) = [box for box in module.boxes if box.title == "concatenate"]
    assert len(joined.inputs) == 4 and joined.gives == ["256x8x8"] and joined.is_output
    assert sorted(box.title for box in module.boxes if box.inputs == [0]) == [
        *("conv 1x1, 16", "conv 1x1, 64", "conv 1x1, 96", "max pool 3x3, pad 1"),
    ]


def test_equal_blocks_in_a_row_are_one_box(summaries):
    whole, *details = drawn(summaries["resnet56"])
    assert [box.times for box in whole.boxes if box.scope] == [9, 1, 8, 1, 8]
    assert [box.lines()[0] for box in whole.boxes][2:4] == ["CifarBlock  × 9", "CifarBlock"]
    assert [box.name for box in whole.boxes][4] == "layer2.1 to layer2.8"
    assert [picture.title for picture in details] == ["CifarBlock: layer1.0", "CifarBlock: layer2.0"]


def test_a_chain_without_modules_is_folded_too():
    layers = [layer for _ in range(60) for layer in (nn.Linear(4, 4), nn.Tanh())]
    summary = summarize(nn.Sequential(nn.Linear(3, 4), *layers, nn.Linear(4, 2)), (3,))
    (picture,) = drawn(summary)
    assert [box.times for box in picture.boxes] == [1, 1, 60, 1]


def test_depth_opens_modules():
    inner = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)))
    summary = summarize(nn.Sequential(inner, nn.Linear(4, 2)), (4,))
    titles = [[box.title for box in pictures_of(summary.graph, {}, "", depth)[0].boxes] for depth in (0, 1, 2)]
    assert titles == [
        ["input", "Sequential", "dense, 2"],
        ["input", "dense, 4", "Sequential", "dense, 2"],
        ["input", "dense, 4", "dense, 4", "dense, 4", "dense, 2"],
    ]


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.lstm, self.head = nn.Embedding(9, 4), nn.LSTM(4, 3, batch_first=True), nn.Linear(3, 2)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.lstm(self.embed(tokens))[1][0][-1])


def test_a_recurrent_network():
    summary = summarize(Recurrent(), (5,))
    (picture,) = drawn(summary)
    assert [box.title for box in picture.boxes] == ["input", "Embedding, 4", "LSTM, 3", "slice", "dense, 2"]
    assert "Embedding, 4 from input, gives 5x4" in describe(picture)


def test_svg_and_pixels(summaries):
    picture = drawn(summaries["lenet5"])[0]
    canvas = draw(picture)
    svg = canvas.to_svg("drawing", describe(picture))
    for box in picture.boxes:
        assert all(f">{line}</text>" in svg for line in box.lines())
    assert svg.count("<polygon") == 9 and "var(--model, #1f6feb)" in svg  # eight tensors and the output
    assert not re.search(r"(href|url|script)", svg)
    assert canvas.to_svg_file("LeNet-5").startswith('<svg xmlns="http://www.w3.org/2000/svg" width="')
    pixels = canvas.to_pixels()
    assert pixels.dtype == np.uint8 and pixels.shape[2] == 3
    assert abs(pixels.shape[0] - 1.5 * canvas.height) <= 1 and abs(pixels.shape[1] - 1.5 * canvas.width) <= 1
    box = next(shape for shape in canvas.shapes if isinstance(shape, Rectangle) and shape.role == "model")
    red, _, blue = pixels[int(1.5 * (box.y + 4)), int(1.5 * (box.x + 6))].astype(int)
    assert blue > red + 15  # a convolution is blue


def test_words_are_data_and_no_markup():
    canvas = Canvas(40, 20, [Words(20, 10, "<b>&")])
    assert "&lt;b&gt;&amp;" in canvas.to_svg("drawing", "")


def test_volumes_of_a_chain(summaries):
    canvas = draw_volumes(summaries["lenet5"].graph)
    words = [shape.text for shape in canvas.shapes if isinstance(shape, Words)]
    assert [word for word in words if "@" in word] == [
        *("1 @ 28x28", "6 @ 28x28", "6 @ 14x14", "16 @ 10x10", "16 @ 5x5"),
    ]
    assert {"120", "84", "10", "conv 5x5, 6, pad 2", "max pool 2x2, /2"} <= set(words)
    squares = [shape for shape in canvas.shapes if isinstance(shape, Rectangle)]
    assert max(square.x + square.width for square in squares) <= canvas.width
    sides = [square.width for square in squares if square.width == square.height]
    assert sides == sorted(sides, reverse=True) and len(set(sides)) == 4  # 28, 14, 10, 5
    assert draw_volumes(summaries["resnet18"].graph) is None and draw_volumes(summaries["mlp"].graph) is None
