"""Lesions on networks whose losses are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_subject import Brightness, bright_or_dark, tiny_rows, tiny_subject
from torch import Tensor, nn

from gradus.errors import UserError
from gradus.look.inside.lesion import lesion
from gradus.look.inside.surgery import (
    passable_layers,
    replaced,
    residual_blocks,
    silenced,
    swapped,
    without_branch,
)


class Block(nn.Module):
    """x + scale * x, as a residual block whose branch is a method."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = nn.Conv2d(1, 1, 1, bias=False)
        nn.init.constant_(self.scale.weight, scale)

    def branch(self, inputs: Tensor) -> Tensor:
        return self.scale(inputs)

    def shortcut(self, inputs: Tensor) -> Tensor:
        return inputs

    def forward(self, inputs: Tensor) -> Tensor:
        return self.branch(inputs) + self.shortcut(inputs)


class PlainBlock(Block):
    """The same without its shortcut."""

    def forward(self, inputs: Tensor) -> Tensor:
        return self.branch(inputs)


class WithModules(nn.Module):
    """A block whose branch is a module."""

    def __init__(self) -> None:
        super().__init__()
        self.branch = nn.Conv2d(1, 1, 1)
        self.shortcut = nn.Identity()

    def forward(self, inputs: Tensor) -> Tensor:
        return self.branch(inputs) + self.shortcut(inputs)


def chain(*blocks: nn.Module) -> nn.Module:
    model = Brightness()
    return nn.Sequential(nn.Sequential(*blocks), model)


def test_a_block_with_a_zero_branch_is_not_missed_and_one_that_turns_the_sign_is():
    model = chain(Block(0.0), Block(-2.0), Block(-2.0))
    sight = lesion(tiny_subject(model, rows=bright_or_dark()), draws=2)
    assert sight.numbers["intact"] == 1  # twice turned
    assert sight.arrays["one"].tolist() == [1, 0.5, 0.5]
    assert sight.arrays["deleted"].shape == (4, 2)
    assert (sight.arrays["deleted"][3] == 1).all()  # all shortcuts: the picture itself
    assert (sight.arrays["swapped"] == 1).all()  # their order does not matter


def test_plain_networks_lose_layers_that_keep_the_shape():
    model = nn.Sequential(PlainBlock(1.0), PlainBlock(1.0), Brightness())
    assert not residual_blocks(model, torch.zeros(1, 1, 8, 8))
    parts = passable_layers(model, torch.zeros(1, 1, 8, 8))
    assert list(parts) == ["0", "1", "2.head"]
    sight = lesion(tiny_subject(model, rows=bright_or_dark()), draws=1)
    assert sight.arrays["one"][:2].tolist() == [1, 1]


def test_everything_is_as_it_was_afterwards():
    model = chain(Block(0.3), WithModules(), Block(-1.2))
    pictures = torch.rand(2, 1, 8, 8)
    before = model(pictures).detach()
    names = [name for name, _ in model.named_modules()]
    lesion(tiny_subject(model, rows=bright_or_dark()), draws=2)
    lesion(tiny_subject(model, rows=bright_or_dark()), of="channels", layer="1.features", draws=2)
    torch.testing.assert_close(model(pictures).detach(), before, rtol=0, atol=0)
    assert [name for name, _ in model.named_modules()] == names
    assert "branch" not in model[0][0].__dict__


def test_branches_that_are_methods_and_those_that_are_modules_are_taken_away():
    pictures = torch.rand(2, 1, 4, 4)
    for block in (Block(3.0), WithModules()):
        with without_branch(block):
            torch.testing.assert_close(block(pictures), pictures)
        assert not torch.equal(block(pictures), pictures)
    with pytest.raises(RuntimeError, match="inside"), replaced(block, "branch", lambda old: old):
        raise RuntimeError("inside")
    assert isinstance(block.branch, nn.Conv2d)


def test_swapping_puts_each_in_the_others_place():
    first, second = Block(2.0), Block(5.0)
    model = nn.Sequential(first, nn.Tanh(), second)
    pictures = torch.rand(1, 1, 2, 2)
    with swapped(first, second):
        torch.testing.assert_close(model(pictures), 3 * torch.tanh(6 * pictures))
    torch.testing.assert_close(model(pictures), 6 * torch.tanh(3 * pictures))


def test_channels_are_set_to_zero_one_at_a_time_and_in_growing_shares():
    sight = lesion(tiny_subject(Brightness(), rows=bright_or_dark()), of="channels", draws=2)
    assert sight.arrays["one"].tolist() == [0.5, 1]  # the head reads channel 0 alone
    assert sight.arrays["shares"].tolist() == [0, 0.5, 1]
    assert (sight.arrays["deleted"][0] == 1).all()
    assert (sight.arrays["deleted"][2] == 0.5).all()
    layer = nn.Conv2d(1, 3, 1)
    with silenced(layer, [1]):
        assert layer(torch.ones(1, 1, 2, 2))[0, 1].abs().max() == 0
    assert layer(torch.ones(1, 1, 2, 2))[0, 1].abs().max() > 0


def test_where_the_labels_are_others_it_is_held_against_its_own_answers():
    rows = bright_or_dark()
    foreign = tiny_rows(rows.pixels.numpy(), rows.labels.tolist(), ("cat", "dog"))
    sight = lesion(tiny_subject(chain(Block(0.0)), rows=foreign), draws=1)
    assert sight.numbers["intact"] == 1
    assert "answered as the whole network does" in sight.said[0]


def test_a_network_with_nothing_to_take_away_is_told():
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    with pytest.raises(UserError, match="neither residual blocks nor layers"):
        lesion(tiny_subject(model, rows=bright_or_dark()))
    with pytest.raises(UserError, match="no convolutions before its head"):
        lesion(tiny_subject(model, rows=bright_or_dark()), of="channels")
    with pytest.raises(UserError, match="at least 1"):
        lesion(tiny_subject(model, rows=bright_or_dark()), draws=0)


def test_blocks_of_the_zoo_are_found():
    from gradus.models import create_model

    torch.manual_seed(0)
    residual = create_model("resnet20", num_classes=2, in_channels=1).eval()
    plain = create_model("plain20", num_classes=2, in_channels=1).eval()
    example = torch.zeros(1, 1, 16, 16)
    assert len(residual_blocks(residual, example)) == 9
    assert residual_blocks(plain, example) == {}
    assert len([name for name in passable_layers(plain, example) if "head" not in name]) >= 7
    values = np.unique([type(part).__name__ for part in residual_blocks(residual, example).values()])
    assert len(values) == 1
