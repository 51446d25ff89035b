"""Residual networks and their relatives: sizes against the printed ones, and what makes each what it is."""

from __future__ import annotations

import pytest
import torch
from residual import blocks_of, count, losses_of_fit, make, on_meta, pictures
from torch import nn
from torch.nn import functional

from gradus.errors import UserError
from gradus.models import create_model

# name, options, parameters, what the source prints (None: derived here)
COUNTS = [
    ("resnet18", {}, 11_689_512, None),
    ("resnet34", {}, 21_797_672, None),
    ("resnet50", {}, 25_557_032, None),
    ("resnet101", {}, 44_549_160, None),
    ("resnet152", {}, 60_192_808, None),
    ("wide_resnet50_2", {}, 68_883_240, None),
    ("plain18", {}, 11_515_688, None),
    ("plain34", {}, 21_623_848, None),
    ("mobilenet_v1", {}, 4_231_976, "4.2"),
    ("mobilenet_v1", {"width": 0.75}, 2_585_560, "2.6"),
    ("mobilenet_v1", {"width": 0.5}, 1_331_592, "1.3"),
    ("mobilenet_v1", {"width": 0.25}, 470_072, "0.5"),
    ("mobilenet_v2", {}, 3_504_872, "3.5"),
    ("resnet20", {}, 269_722, "0.27"),
    ("resnet32", {}, 464_154, "0.46"),
    ("resnet44", {}, 658_586, "0.66"),
    ("resnet56", {}, 853_018, "0.85"),
    ("resnet110", {}, 1_727_962, "1.7"),
    ("preact_resnet110", {}, 1_730_522, "1.7"),
    ("preact_resnet164", {}, 1_703_258, "1.7"),
    ("preact_resnet1001", {}, 10_327_706, None),
    ("wrn16_4", {}, 2_748_890, "2.7"),
    ("wrn16_8", {}, 10_961_370, "11.0"),
    ("wrn28_10", {}, 36_479_194, "36.5"),
    ("wrn40_4", {}, 8_949_210, "8.9"),
    ("wide_resnet", {"depth": 40, "width": 1}, 563_930, "0.6"),
    ("wide_resnet", {"depth": 40, "width": 2}, 2_243_546, "2.2"),
    ("resnet_in_resnet", {}, 9_585_140, None),
    ("merge_and_run", {}, 1_710_426, "1.7"),
    ("merge_and_run", {"depth": 32, "width": 4}, 14_851_402, "14.9"),
    ("highway_convnet", {}, 342_970, None),
    ("highway_convnet", {"depth": 103}, 2_154_682, None),
    ("fractalnet", {}, 33_724_618, None),
    ("densenet121", {}, 7_978_856, None),
    ("densenet_bc_100_12", {}, 769_162, "0.8"),
    ("densenet_40_12", {}, 1_019_722, "1.0"),
]

# each kind of network, small: name, options, side of its pictures
SMALL = [
    ("resnet18", {}, 33),
    ("resnet20", {}, 9),
    ("plain20", {}, 9),
    ("cifar_resnet", {"depth": 8, "shortcut": "B"}, 8),
    ("cifar_resnet", {"depth": 11, "shortcut": "C", "convolutions": 3}, 8),
    ("cifar_resnet", {"depth": 8, "convolutions": 1}, 8),
    ("preact_resnet", {"depth": 20}, 8),
    ("wide_resnet", {"depth": 10, "width": 1, "dropout": 0.1}, 8),
    ("resnet_in_resnet", {"width": 4}, 8),
    ("merge_and_run", {"depth": 14}, 8),
    ("highway_convnet", {"depth": 10}, 8),
    ("fractalnet", {"width": 0.125}, 32),
    ("cifar_densenet", {"depth": 16, "growth": 6}, 8),
    ("cifar_densenet", {"depth": 13, "growth": 6, "bottleneck": False, "dropout": 0.1}, 8),
    ("mobilenet_v1", {"width": 0.25}, 33),
    ("mobilenet_v2", {"width": 0.25}, 33),
]


@pytest.mark.parametrize(("name", "options", "parameters", "printed"), COUNTS)
def test_parameters(name, options, parameters, printed):
    found = count(on_meta(name, **options))
    assert found == parameters
    if printed is not None:
        assert f"{found / 1e6:.{len(printed.partition('.')[2])}f}" == printed


def test_a_count_that_is_not_the_printed_one():
    assert abs(count(on_meta("merge_and_run", depth=50, width=4)) - 24_151_882) == 0  # the paper prints 24.8 M
    # 10.2 M are printed of the 1001 layers: the weights without those of the norms
    model = on_meta("preact_resnet1001")
    norms = sum(count(module) for module in model.modules() if isinstance(module, nn.BatchNorm2d))
    assert round((count(model) - norms) / 1e6, 1) == 10.2
    # public implementations of RiR have no outer shortcuts; without ours the count is theirs
    model = on_meta("resnet_in_resnet")
    assert count(model) - sum(count(block.downsample) for block in blocks_of(model) if block.downsample) == 9_492_980


@pytest.mark.parametrize(
    ("name", "depth"),
    [
        *((f"{kind}{depth}", depth) for kind in ("resnet", "plain") for depth in (18, 34, 20, 32, 44, 56, 110)),
        *(("resnet50", 50), ("resnet101", 101), ("resnet152", 152), ("wide_resnet50_2", 50)),
        *(("preact_resnet110", 110), ("preact_resnet164", 164), ("preact_resnet1001", 1001)),
        *(("densenet121", 121), ("densenet_bc_100_12", 100), ("densenet_40_12", 40), ("mobilenet_v1", 28)),
    ],
)
def test_depth_counts_layers_with_weights_but_no_shortcuts(name, depth):
    layers = [
        key
        for key, module in on_meta(name).named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear) and "downsample" not in key and "projection" not in key
    ]
    assert len(layers) == depth


def test_stages_of_imagenet_pictures():
    for name, expansion in (("resnet18", 1), ("resnet50", 4)):
        model, inputs = on_meta(name), torch.empty(2, 3, 224, 224, device="meta")
        for stage, maps, side in (("stem", 64, 56), ("layer1", 64, 56), ("layer2", 128, 28), ("layer4", 512, 7)):
            width = maps if stage == "stem" else maps * expansion
            assert model.run(inputs, last=stage).shape == (2, width, side, side)
    model, inputs = on_meta("mobilenet_v1"), torch.empty(2, 3, 224, 224, device="meta")
    found = [tuple(model.run(inputs, last=f"block{number}").shape[1:3]) for number in range(1, 6)]
    assert found == [
        (64, 112),
        (128, 56),
        (256, 28),
        (512, 14),
        (1024, 7),
    ]  # stride 1 in the last layer, or it would be 4
    model, inputs = on_meta("mobilenet_v2"), torch.empty(2, 3, 224, 224, device="meta")
    found = [tuple(model.run(inputs, last=stage).shape[1:3]) for stage in list(model.stages)[:-1]]
    assert found == [(32, 112), (16, 112), (24, 56), (32, 28), (96, 14), (1280, 7)]


@pytest.mark.parametrize(("name", "options", "side"), SMALL)
def test_stages_make_the_whole(name, options, side):
    model, inputs = make(name, options).eval(), pictures(2, side)
    with torch.no_grad():
        state = inputs
        for stage in model.stages:
            state = model.run(state, stage, stage)
        assert torch.equal(state, model(inputs)) and state.shape == (2, 3)
    used = {
        module for names in model.stages.values() for name in names for module in model.get_submodule(name).modules()
    }
    assert all(module in used for module in model.modules() if list(module.parameters(recurse=False)))


@pytest.mark.parametrize(("name", "options", "side"), SMALL)
def test_gradients_reach_every_parameter(name, options, side):
    model = make(name, options)
    functional.cross_entropy(model(pictures(16, side)), torch.arange(16) % 3).backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None and float(parameter.grad.abs().max()) > 0, key


@pytest.mark.parametrize(
    ("name", "options", "side"), SMALL[1:]
)  # the first has the blocks of others, and takes longest
def test_two_pictures_are_told_apart_in_a_few_steps(name, options, side):
    still = {"drop_path": 0.0} if name == "fractalnet" else {}  # the loss of single paths goes up and down
    losses = losses_of_fit(make(name, {**options, **still}, classes=2), pictures(2, side))
    assert losses[-1] < 0.35 * losses[0]


@pytest.mark.parametrize(
    ("name", "options", "side"), [case for case in SMALL if case[0] not in ("highway_convnet", "fractalnet", "plain20")]
)
def test_a_residual_block_is_its_branch_and_its_shortcut(name, options, side):
    model = make(name, options).eval()
    blocks, seen = blocks_of(model), {}
    if name in ("cifar_densenet", "mobilenet_v1"):
        assert not blocks
        return
    assert blocks
    handles = [block.register_forward_hook(lambda m, i, o: seen.__setitem__(m, (i[0], o))) for block in blocks]
    with torch.no_grad():
        whole = model(pictures(2, side))
        for block in blocks:
            inputs, outputs = seen[block]
            inputs = block.before(inputs)
            assert torch.equal(outputs, block.after(block.branch(inputs) + block.shortcut(inputs)))
        for handle in handles:
            handle.remove()
        deleted = blocks[-1]
        deleted.branch = lambda inputs: torch.zeros_like(deleted.shortcut(inputs))  # a lesion
        assert not torch.equal(model(pictures(2, side)), whole)
        del deleted.branch
        assert torch.equal(model(pictures(2, side)), whole)


def test_no_activation_works_in_place():
    for name, options, _ in SMALL:
        assert not [module for module in make(name, options).modules() if getattr(module, "inplace", False)], name


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("cifar_resnet", {"depth": 21}, "depth: with 2 convolutions a block it is 8, 14, 20 and so on, received 21"),
        ("cifar_resnet", {"depth": 2}, "received 2"),
        ("cifar_resnet", {"shortcut": "D"}, "unknown shortcut 'D'"),
        ("cifar_resnet", {"convolutions": 0}, "a block has at least 1"),
        ("resnet20", {"depth": 56}, "resnet20 has no option 'depth'"),
        ("preact_resnet", {"depth": 20, "bottleneck": False, "num_classes": 0}, "num_classes must be"),
        ("preact_resnet", {"depth": 57}, "with bottlenecks it is 9n + 2, received 57"),
        ("wide_resnet", {"depth": 28, "width": 0}, "at least 1, received 0"),
        ("wide_resnet", {"depth": 29}, "6n + 4 layers"),
        ("wrn16_4", {"dropout": 1}, "dropout must be in 0..1 (1 excluded)"),
        ("merge_and_run", {"depth": 55}, "6n + 2 layers"),
        ("highway_convnet", {"depth": 20}, "3n + 4 layers"),
        ("highway_convnet", {"gate_bias": 0.5}, "a bias below 0"),
        ("highway_convnet", {"widths": (8, 8)}, "three parts, received [8, 8]"),
        ("fractalnet", {"columns": 0}, "expected 1 to 6"),
        ("fractalnet", {"drop_path": 1}, "drop_path must be"),
        ("fractalnet", {"global_share": 2}, "global_share must be"),
        ("cifar_densenet", {"depth": 41}, "with bottlenecks it is 6n + 4, received 41"),
        ("cifar_densenet", {"growth": 0}, "adds at least 1 map"),
        ("mobilenet_v1", {"width": 0}, "0.1 to 4, received 0"),
        ("mobilenet_v2", {"width": 5.0}, "0.1 to 4, received 5.0"),
    ],
)
def test_mistakes_are_told(name, options, message):
    with pytest.raises(UserError) as told:
        create_model(name, **options)
    assert message in str(told.value)
