"""Receptive fields: as `reference.geometry` has them, and as the gradients of small networks show them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from gradus.look.network.fields import WHOLE, Axis
from gradus.look.network.summary import summarize
from gradus.look.network.trace import trace
from gradus.reference.geometry import Window, receptive_field

STACKS = [
    [Window(3)] * 3,
    [Window(7, 2, 3), Window(3, 2, 1), Window(3, 1, 1), Window(3, 2, 1)],
    [Window(3, 1, 2, 2), Window(5, 3), Window(2, 2), Window(1, 2)],
    [Window(11, 4, 2), Window(3, 2), Window(5, 1, 2), Window(3, 2)],
]


@pytest.mark.parametrize("stack", STACKS)
def test_chains_are_those_of_the_reference(stack):
    layers = [nn.Conv1d(1, 1, w.kernel, w.stride, w.padding, w.dilation) for w in stack]
    graph = trace(nn.Sequential(*layers), [torch.zeros(1, 1, 100)])
    for node, sight in zip(graph.nodes[1:], receptive_field(stack), strict=True):
        assert isinstance(node.sees, tuple)
        (axis,) = node.sees
        assert (axis.size, axis.jump, (axis.low + axis.high) / 2) == (sight.field, sight.jump, sight.centre)


def footprints(module: nn.Module, inputs: Tensor) -> dict[int, tuple[int, int]]:
    """For each place along the output's middle row: the first and last column of the input that it depends on."""
    inputs = inputs.double().requires_grad_()
    output = module.double()(inputs)
    found = {}
    for place in range(output.shape[-1]):
        one = output[..., place].sum() if output.ndim == 3 else output[:, :, output.shape[2] // 2, place].sum()
        (gradient,) = torch.autograd.grad(one, inputs, retain_graph=True)
        columns = gradient.abs().flatten(0, -2).sum(0).nonzero().flatten().tolist()
        if columns:
            found[place] = (columns[0], columns[-1])
    return found


class Inception(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 3, 3, stride=2)
        self.one, self.five = nn.Conv2d(3, 2, 1), nn.Conv2d(3, 2, (1, 5), padding=(0, 2))
        self.pool = nn.AvgPool2d(3, 1, 1)
        self.end = nn.Conv2d(7, 1, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        stem = self.stem(inputs)
        return self.end(torch.cat([self.one(stem), self.five(stem), self.pool(stem)], 1))


class Shifted(nn.Module):
    """Padding, slices with steps and a shortcut of another stride."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(2, 2, 3, stride=2, padding=1), nn.Conv2d(2, 2, 3, padding=1)

    def forward(self, inputs: Tensor) -> Tensor:
        long = self.second(self.first(inputs))
        padded = nn.functional.pad(inputs[:, :, ::2, ::2], (0, 0, 0, 0, 0, 0))
        return nn.functional.pad(long + padded, (1, 0))[..., 2:]


CASES = [
    (nn.Sequential(nn.Conv1d(1, 2, 4, 3), nn.Conv1d(2, 1, 3, dilation=2)), (1, 40)),
    (nn.Sequential(nn.AvgPool2d(3, 2, 1), nn.Conv2d(2, 2, 5, padding=2), nn.AvgPool2d(2)), (2, 24, 24)),
    (Inception(), (2, 25, 25)),
    (Shifted(), (2, 20, 20)),
    (nn.Sequential(nn.Conv2d(1, 1, 3), nn.AdaptiveAvgPool2d(5)), (1, 22, 22)),
]


@pytest.mark.parametrize(("module", "shape"), CASES, ids=["dilated", "pooled", "branches", "slices", "adaptive"])
def test_what_the_gradients_reach(module, shape):
    torch.manual_seed(0)
    node = trace(module, [torch.zeros(1, *shape)]).nodes[-1]
    axis = node.sees[-1]
    found = footprints(module, torch.randn(1, *shape))
    assert len(found) > 2
    for place, reached in found.items():
        low, high = axis.low + place * axis.jump, axis.high + place * axis.jump
        assert reached == (max(low, 0), min(high, shape[-1] - 1))


@pytest.mark.parametrize(
    "layer",
    [
        nn.ConvTranspose2d(1, 1, 4, 2, 1),
        nn.ConvTranspose2d(1, 1, 5, 2, 2),
        nn.ConvTranspose2d(1, 1, 3, 3),
        nn.Upsample(scale_factor=2),
        nn.Upsample(scale_factor=2, mode="bilinear"),
    ],
)
def test_upsampling_sees_the_most_of_all_places(layer):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), layer)
    axis = trace(module, [torch.zeros(1, 1, 12, 12)]).nodes[-1].sees[-1]
    found = footprints(module, torch.randn(1, 1, 12, 12))
    inner = [high - low + 1 for low, high in found.values() if low > 0 and high < 11]
    assert max(inner) == axis.size
    assert axis.jump == 1 / (3 if isinstance(layer, nn.ConvTranspose2d) and layer.stride[0] == 3 else 2)


class Gated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.gate = nn.Conv2d(2, 2, 3), nn.Conv2d(2, 2, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        maps = self.convolution(inputs)
        return maps * torch.sigmoid(self.gate(maps.mean((2, 3), keepdim=True)))


def test_what_sees_the_whole_picture():
    graph = trace(Gated(), [torch.zeros(1, 2, 9, 9)])
    sees = {node.name: node.sees for node in graph.nodes}
    assert sees["convolution"] == (Axis(0, 2), Axis(0, 2))
    assert sees["mean"] == sees["gate"] == sees["mul"] == WHOLE
    flat = nn.Sequential(nn.Conv2d(1, 1, 3), nn.Flatten(), nn.Linear(16, 2))
    assert [node.sees for node in trace(flat, [torch.zeros(1, 1, 6, 6)]).nodes][-1] == WHOLE


def test_vectors_have_no_receptive_field():
    summary = summarize(nn.Sequential(nn.Linear(3, 2), nn.ReLU()), (3,))
    assert [row.sees for row in summary.rows()] == [None] * 3
    assert "sees" not in summary.table()[0]


@pytest.mark.parametrize("fields", [(3, 5, 7)])
def test_stacked_three_by_three_convolutions_see_three_five_seven(fields):
    """*Principles and Practice* §6.1.1 says 3, 6, 9."""
    rows = summarize(nn.Sequential(*(nn.Conv2d(1, 1, 3) for _ in fields)), (1, 16, 16)).rows()
    assert tuple(row.sees[0] for row in rows[1:]) == fields
