"""The layer table: counts against closed forms, torch's own counter and what is published; the tables of the texts."""

from __future__ import annotations

import csv
import io
import json

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from gradus.errors import UserError
from gradus.look.network.graph import Node
from gradus.look.network.summary import Summary, example_inputs, summarize
from gradus.look.network.words import memory_text, short, window_text
from gradus.models import create_model
from gradus.reference import geometry


def of_network(name: str, shape: tuple[int, ...], **options: object) -> Summary:
    with torch.device("meta"):
        model = create_model(name, **options)
    return summarize(model, shape, name=name)


def with_weights(summary: Summary, what: str) -> list:
    return [getattr(row, what) for row in summary.rows() if row.parameters]


# ---- closed forms


def test_a_convolution_and_a_dense_layer():
    model = nn.Sequential(nn.Conv2d(4, 6, (3, 5), 2, 1, groups=2), nn.ReLU(), nn.Flatten(), nn.Linear(150, 7))
    given, convolution, relu, flatten, dense = summarize(model, (4, 9, 12)).rows()
    assert (given.shape, convolution.shape, flatten.shape, dense.shape) == ((4, 9, 12), (6, 5, 5), (150,), (7,))
    assert convolution.parameters == geometry.convolution_parameters(4, 6, 3, 5, groups=2)
    assert convolution.multiply_adds == 6 * 5 * 5 * (4 // 2) * 3 * 5
    assert (dense.parameters, dense.multiply_adds) == (geometry.dense_parameters(150, 7), 150 * 7)
    assert [row.bytes for row in (given, convolution, relu, flatten, dense)] == [1728, 600, 600, 0, 28]
    assert window_text(convolution.window) == "3x5 /2 pad 1 2 groups"
    assert relu.inputs == (convolution.name,)


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize(("made_by", "gates"), [(nn.LSTM, 4), (nn.GRU, 3), (nn.RNN, 1)])
def test_recurrent_layers(made_by, gates, directions):
    model = made_by(5, 7, num_layers=2, batch_first=True, bidirectional=directions == 2)
    summary = summarize(model, (11, 5))
    a_step = directions * gates * 7 * ((5 + 7) + (7 * directions + 7))
    assert summary.multiply_adds == 11 * a_step
    assert summary.parameters == a_step + directions * 2 * 2 * gates * 7


def test_attention():
    class Attending(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, inputs: Tensor) -> Tensor:
            return self.attention(inputs, inputs, inputs)[0]

    summary = summarize(Attending(), (6, 8))
    assert summary.multiply_adds == 4 * 6 * 8 * 8 + 2 * 6 * 6 * 8
    assert summary.rows()[1].parameters == 4 * (8 * 8 + 8)


class Mixed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.wide, self.deep = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, groups=8)
        self.up, self.line = nn.ConvTranspose2d(8, 4, 3, stride=2), nn.Linear(4, 5)

    def forward(self, inputs: Tensor) -> Tensor:
        maps = self.up(self.deep(self.wide(inputs).relu()))
        places = maps.flatten(2).transpose(1, 2)
        return self.line(places @ (places.transpose(1, 2) @ places))


def test_against_the_counter_of_torch():
    """It counts two operations a multiply-add."""
    torch.manual_seed(0)
    model = Mixed().eval()
    with FlopCounterMode(display=False) as counter:
        model(torch.randn(1, 3, 8, 8))
    assert 2 * summarize(model, (3, 8, 8)).multiply_adds == counter.get_total_flops()


# ---- what is published (multiply-adds in thousand millions: torchvision's documentation; parameters: the same)

PUBLISHED = [
    ("alexnet", 61_100_840, 0.714),
    ("vgg16", 138_357_544, 15.47),
    ("vgg19", 143_667_240, 19.632),
    ("resnet18", 11_689_512, 1.814),
    ("resnet50", 25_557_032, 4.089),
    ("squeezenet1_0", 1_248_424, 0.819),
    ("squeezenet1_1", 1_235_496, 0.349),
    ("mobilenet_v2", 3_504_872, 0.301),
]


@pytest.mark.parametrize(("name", "parameters", "thousand_millions"), PUBLISHED)
def test_published_counts(name, parameters, thousand_millions):
    summary = of_network(name, (3, 224, 224))
    assert summary.parameters == sum(row.parameters for row in summary.rows()) == parameters
    assert round(summary.multiply_adds / 1e9, 3) == thousand_millions


def test_the_share_of_dense_layers_in_alexnet():
    """The course notes say about 94 %: that is the network without groups; with them, as published, it is 96 %."""
    summary = of_network("alexnet_2012", (3, 227, 227))
    assert summary.parameters == 60_965_224 and round(100 * summary.dense / summary.parameters, 2) == 96.17
    ungrouped = summary.parameters + (48 * 256 * 25) + (192 * 384 * 9) + (192 * 256 * 9)
    assert ungrouped == 62_378_344 and round(100 * summary.dense / ungrouped, 2) == 93.99


def test_the_receptive_field_of_vgg16():
    rows = {row.name: row for row in of_network("vgg16", (3, 224, 224)).rows()}
    pool = rows["features.30"]
    assert (pool.sees, pool.strides, pool.shape) == ((212, 212), (32, 32), (512, 7, 7))
    assert pool.sees[0] + 6 * pool.strides[0] == 404  # what a 7x7 convolution in place of the first dense layer sees


# ---- tables of the texts


class ColourDigits(nn.Module):
    """Course notes §4.1.13, with the 8 kernels of its table."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.pool1 = nn.Conv2d(3, 8, 5), nn.MaxPool2d(2)
        self.conv2, self.pool2 = nn.Conv2d(8, 16, 5), nn.MaxPool2d(2)
        self.fc3, self.fc4, self.softmax = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, inputs: Tensor) -> Tensor:
        maps = self.pool2(self.conv2(self.pool1(self.conv1(inputs)))).flatten(1)
        return self.softmax(self.fc4(self.fc3(maps)))


def test_the_size_table_of_the_course_notes():
    """It prints 1216, 48001, 10081 and 841 parameters."""
    summary = summarize(ColourDigits(), (3, 32, 32))
    rows = {row.name: row for row in summary.rows()}
    assert [(rows[n].shape, rows[n].values) for n in ("input", "conv1", "pool1", "conv2", "pool2", "fc3")] == [
        ((3, 32, 32), 3072),
        ((8, 28, 28), 6272),
        ((8, 14, 14), 1568),
        ((16, 10, 10), 1600),
        ((16, 5, 5), 400),
        ((120,), 120),
    ]
    assert with_weights(summary, "parameters") == [608, 3216, 48120, 10164, 850] and summary.parameters == 62_958


def test_the_sizes_of_the_small_convolutional_network_of_the_course_notes():
    """§4.1.10 forgets the kernel in conv1: (39 - 3)/1 + 1 is 37."""
    model = nn.Sequential(nn.Conv2d(3, 10, 3), nn.Conv2d(10, 20, 5, 2), nn.Conv2d(20, 40, 5, 2), nn.Flatten())
    shapes = [row.shape for row in summarize(model, (3, 39, 39)).rows()]
    assert shapes == [(3, 39, 39), (10, 37, 37), (20, 17, 17), (40, 7, 7), (1960,)]


def test_the_summary_of_the_cats_and_dogs_network():
    """*Deep Learning with Python* listing 5-5."""
    summary = of_network("cats_dogs_convnet", (3, 150, 150), num_classes=1)
    assert with_weights(summary, "parameters") == [896, 18_496, 73_856, 147_584, 3_211_776, 513]
    maps = [row.shape for row in summary.rows() if row.kind in ("Conv2d", "MaxPool2d")]
    assert [shape[1] for shape in maps] == [148, 74, 72, 36, 34, 17, 15, 7] and summary.parameters == 3_453_121


def test_the_shapes_of_the_one_dimensional_network_for_reviews():
    """*Deep Learning with Python*, listing 7-7 (figure 7-15 gives conv1d_2 an input of 92): 500, 494, 98, 92, 1."""

    class Reviews(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.one, self.pool = nn.Embedding(2000, 128), nn.Conv1d(128, 32, 7), nn.MaxPool1d(5)
            self.two, self.all, self.last = nn.Conv1d(32, 32, 7), nn.AdaptiveMaxPool1d(1), nn.Linear(32, 1)

        def forward(self, tokens: Tensor) -> Tensor:
            maps = self.two(self.pool(self.one(self.embed(tokens).transpose(1, 2)).relu())).relu()
            return self.last(self.all(maps).flatten(1))

    summary = summarize(Reviews(), (500,))
    rows = {row.name: row for row in summary.rows()}
    assert [rows[name].shape for name in ("input", "embed", "one", "pool", "two", "all", "last")] == [
        *((500,), (500, 128), (32, 494), (32, 98), (32, 92), (32, 1), (1,)),
    ]
    (before,) = (summary.graph.nodes[edge.source].name for edge in _node(summary, "two").inputs)
    assert before == "pool" and _node(summary, "two").inputs[0].shape == (32, 98)
    assert summary.parameters == 291_937 and rows["two"].sees == (7 + 4 + 6 * 5,)


def _node(summary: Summary, name: str) -> Node:
    return next(node for node in summary.graph.nodes if node.name == name)


def test_vgg19_has_sixteen_convolutions_and_five_poolings():
    """*Plain-talk Deep Learning* 2 counts 19 kernels of convolutions: three of the layers with weights are dense."""
    kinds = [row.kind for row in of_network("vgg19", (3, 224, 224)).rows()]
    assert (kinds.count("Conv2d"), kinds.count("Linear"), kinds.count("MaxPool2d")) == (16, 3, 5)


def test_what_a_row_is_connected_to():
    class Fork(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.score, self.up, self.skip = nn.Conv2d(2, 2, 1), nn.ConvTranspose2d(2, 2, 2, 2), nn.Conv2d(2, 2, 1)
            self.pool = nn.MaxPool2d(2)

        def forward(self, inputs: Tensor) -> Tensor:
            return self.up(self.score(self.pool(inputs))) + self.skip(inputs)

    header, rows = summarize(Fork(), (2, 8, 8)).table()
    assert header[-1] == "from"
    assert {row[0]: row[-1] for row in rows if row[-1]} == {"skip": "input", "add": "up, skip"}


# ---- sums, text, files


def test_summed_rows():
    summary = of_network("squeezenet1_0", (3, 224, 224))
    stages = {row.name: row for row in summary.rows("stages")}
    assert list(stages) == ["input", "stem", "block1", "block2", "block3", "head"]
    fire = next(row for row in summary.rows(2) if row.name == "features.3")
    assert (fire.kind, fire.shape, fire.inputs) == ("Fire", (128, 54, 54), ("features.2",))
    for depth in ("stages", 1, 2, 3, "all"):
        rows = summary.rows(depth)
        assert sum(row.parameters for row in rows) == 1_248_424
        assert sum(row.multiply_adds for row in rows) == summary.multiply_adds
        assert rows[-1].shape == (1000,)
    assert summary.rows(9) == summary.rows()


@pytest.mark.parametrize("depth", ["two", "0", 0, "-1"])
def test_a_wrong_depth(depth):
    with pytest.raises(UserError, match="expected a number above 0, 'stages' or 'all'"):
        summarize(nn.Linear(2, 2), (2,)).rows(depth)


def test_stages_of_a_network_without():
    with pytest.raises(UserError, match="Linear has no stages"):
        summarize(nn.Linear(2, 2), (2,)).rows("stages")


def test_text_json_and_csv():
    summary = of_network("lenet5", (1, 28, 28), num_classes=10)
    lines = str(summary).splitlines()
    assert lines[0].split() == [
        *("layer", "kind", "output", "window", "parameters", "multiply-adds", "values", "memory", "sees", "stride"),
    ]
    assert lines[2].split()[:7] == ["features.0", "Conv2d", "6x28x28", "5x5", "pad", "2", "156"]
    assert "61,706 parameters (241 KiB), of which all learn and 95.8% are in dense layers." in lines
    told = json.loads(json.dumps(summary.to_json()))
    assert (
        told["parameters"] == 61_706
        and told["layers"][1]["kernel"] == [5, 5]
        and ["input", "features.0"] in told["edges"]
    )
    (first, *_, last) = csv.DictReader(io.StringIO(summary.to_csv()))
    assert first["shape"] == "1x28x28" and (last["name"], last["parameters"], last["sees"]) == ("head", "850", "whole")
    assert (short(818_924_576), short(840), memory_text(1536)) == ("818.9 M", "840", "1.5 KiB")


def test_frozen_and_unused_parameters_are_told():
    model = nn.ModuleDict({"used": nn.Linear(3, 2), "idle": nn.Linear(3, 2)})
    model.forward = lambda inputs: model["used"](inputs)  # type: ignore[method-assign]
    model["used"].weight.requires_grad_(False)
    summary = summarize(model, (3,))
    assert (summary.parameters, summary.trainable, summary.unused) == (16, 10, ("idle.weight", "idle.bias"))
    assert "of which 10 learn" in summary.sentences()[0]
    assert summary.sentences()[-1] == "Not used in this run: idle.weight, idle.bias."


# ---- memory


def test_the_worst_moment_of_a_forward_pass():
    model = nn.Sequential(nn.Linear(10, 100, bias=False), nn.ReLU(), nn.Linear(100, 5))
    assert summarize(model, (10,)).peak == 4 * (10 + 100 + 100)  # input, before and behind the ReLU
    model[1].inplace = True
    assert summarize(model, (10,)).peak == 4 * (10 + 100 + 5)


def test_a_shortcut_is_held_until_it_is_added():
    class Shortcut(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.widen, self.first, self.second = nn.Linear(2, 50), nn.Linear(50, 50), nn.Linear(50, 50)

        def forward(self, inputs: Tensor) -> Tensor:
            start = self.widen(inputs)
            return start + self.second(self.first(start))

    assert summarize(Shortcut(), (2,)).peak == 4 * (2 + 3 * 50)


def test_what_training_keeps():
    model = nn.Sequential(nn.Linear(10, 100), nn.ReLU(), nn.Linear(100, 5))
    assert summarize(model, (10,)).kept == 4 * (
        10 + 100
    )  # the inputs of both layers; the ReLU's output is the second's
    sigmoid = nn.Sequential(nn.Linear(10, 100), nn.Sigmoid(), nn.Sigmoid())
    assert summarize(sigmoid, (10,)).kept == 4 * (10 + 100 + 100)


def test_training_memory_of_a_network_that_needs_numbers_leaves_it_unchanged():
    class Choosing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.line = nn.BatchNorm1d(4), nn.Linear(4, 2)

        def forward(self, inputs: Tensor) -> Tensor:
            return self.line(self.norm(inputs) if inputs.abs().sum() > 0 else inputs)

    model = Choosing()
    summary = summarize(model, (4,))
    assert summary.graph.real and summary.kept is not None and summary.kept >= 4 * 8
    assert torch.equal(model.norm.running_mean, torch.zeros(4)) and model.training


# ---- what is given


def test_the_first_layer_tells_the_shape_and_the_kind_of_numbers():
    assert summarize(nn.Sequential(nn.Conv2d(3, 2, 3))).inputs == [(3, 32, 32)]
    (tokens,) = example_inputs(nn.Embedding(7, 2), (5,))
    assert tokens.shape == (1, 5) and not tokens.is_floating_point() and tokens.max() < 7
    assert summarize(nn.Sequential(nn.Embedding(7, 2), nn.Linear(2, 1)), (5,)).rows()[-1].shape == (5, 1)


def test_layers_without_sizes_get_them():
    model = nn.Sequential(nn.LazyConv2d(4, 3), nn.Flatten(), nn.LazyLinear(2))
    assert summarize(model, (3, 6, 6)).parameters == 112 + 4 * 4 * 4 * 2 + 2
    assert isinstance(model[0], nn.LazyConv2d)  # the user's own is left alone


def test_double_precision():
    assert summarize(nn.Linear(3, 2).double(), (3,)).parameter_bytes == 8 * 8


def test_a_shape_that_does_not_fit():
    model = nn.Sequential(nn.Sequential(nn.Linear(4, 6)), nn.Linear(5, 3))
    with pytest.raises(UserError, match=r"^Sequential cannot take 4, in 1 \(Linear\): RuntimeError: mat1 and mat2 "):
        summarize(model, (4,))
