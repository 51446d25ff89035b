"""Residual networks and their relatives: sizes against the printed ones, and what makes each what it is."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from gradus.errors import UserError
from gradus.models import create_model
from gradus.models.vision.cifar_resnet import ZeroPadShortcut
from gradus.models.vision.fractalnet import FractalBlock, join, local_weights
from gradus.models.vision.residual import ResidualBlock
from gradus.nn import Highway

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


@cache
def on_meta(name: str, **options: object) -> nn.Module:
    """The network without memory or time for its weights; not to be changed."""
    with torch.device("meta"):
        return create_model(name, **options)


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def make(name: str, options: dict, classes: int = 3) -> nn.Module:
    torch.manual_seed(0)
    return create_model(name, num_classes=classes, **options)


def pictures(rows: int, side: int) -> Tensor:
    return torch.randn(rows, 3, side, side, generator=torch.Generator().manual_seed(1))


def blocks_of(model: nn.Module) -> list[ResidualBlock]:
    return [module for module in model.modules() if isinstance(module, ResidualBlock)]


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


def losses_of_fit(model: nn.Module, inputs: Tensor, steps: int = 12) -> list[float]:
    """The losses of `steps` updates that tell the even rows from the odd ones."""
    optimizer, losses = torch.optim.Adam(model.parameters(), lr=0.01), []
    for _ in range(steps):
        loss = functional.cross_entropy(model(inputs), torch.arange(len(inputs)) % 2)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


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


# Residual and plain


def test_a_plain_net_is_the_residual_net_without_shortcuts():
    residual, plain, inputs = make("resnet20", {}).eval(), make("plain20", {}).eval(), pictures(2, 16)
    plain.load_state_dict(residual.state_dict(), strict=True)
    with torch.no_grad():
        assert not torch.allclose(residual(inputs), plain(inputs))
        for block in blocks_of(residual):
            block.shortcut = lambda inputs: 0
        assert torch.equal(residual(inputs), plain(inputs))


def test_the_three_kinds_of_shortcut():
    kinds = {}
    for option in ("A", "B", "C", "none"):
        model = on_meta("cifar_resnet", shortcut=option)
        kinds[option] = [type(block.downsample).__name__ for block in blocks_of(model)]
    nothing = ["NoneType"] * 3
    assert kinds["A"] == [*nothing, "ZeroPadShortcut", *nothing[:2], "ZeroPadShortcut", *nothing[:2]]
    assert kinds["B"] == [*nothing, "Sequential", *nothing[:2], "Sequential", *nothing[:2]]
    assert kinds["C"] == ["Sequential"] * 9 and kinds["none"] == ["NoneType"] * 9
    counts = [count(on_meta("cifar_resnet", shortcut=option)) for option in ("none", "A", "B", "C")]
    assert counts[0] == counts[1] < counts[2] < counts[3]


def test_zeros_fill_the_new_maps():
    inputs = torch.arange(2 * 3 * 5 * 5.0).reshape(2, 3, 5, 5)
    found = ZeroPadShortcut(2, 4)(inputs)
    assert found.shape == (2, 7, 3, 3) and torch.equal(found[:, :3], inputs[:, :, ::2, ::2])
    assert not found[:, 3:].any()


def test_a_plain_net_loses_its_gradient_on_the_way_down_and_a_residual_one_does_not():
    """Without norms to hold them up gradients of 54 layers fade; a shortcut is a way around.

    *Deep Learning and Computer Vision*, eq. 4-11.
    """
    kept = {}
    for name in ("plain56", "resnet56"):
        model = make(name, {}).eval()  # norms at their starting statistics are the identity
        for module in model.modules():
            if isinstance(module, nn.Conv2d):
                module.weight.data *= 0.5
        first = model.run(pictures(4, 8), last="stem").detach().requires_grad_()
        last = model.run(first, "layer1", "layer3")
        last.retain_grad()
        model.run(last, "head").sum().backward()
        kept[name] = float(first.grad.norm() / last.grad.norm())
    assert kept["plain56"] < 1e-6 and kept["resnet56"] > 0.1


def test_zero_init_makes_blocks_the_identity():
    model = make("resnet18", {"zero_init_residual": True}).eval()
    inputs = torch.randn(2, 64, 5, 5).relu()
    assert torch.equal(model.layer1[0](inputs), inputs)
    assert not torch.equal(make("resnet18", {}).eval().layer1[0](inputs), inputs)


def test_initial_weights_are_he_by_fan_out():
    for name, side in (("resnet50", 512), ("wrn16_8", 512), ("merge_and_run", 64)):
        weights = [m.weight for m in make(name, {}).modules() if isinstance(m, nn.Conv2d) and m.out_channels == side]
        for weight in weights[:3]:
            fan_out = weight.shape[0] * weight.shape[2] * weight.shape[3]
            assert float(weight.detach().std()) == pytest.approx((2 / fan_out) ** 0.5, rel=0.05)


# Pre-activation: the shortcut is clean


def test_a_stage_adds_its_branches_to_its_input():
    """Eq. 4-10 of *Deep Learning and Computer Vision*: x_(i+n) = x_i + the sum of the branches between."""
    model = make("preact_resnet", {"depth": 29}).eval()
    first, *others = model.layer2
    with torch.no_grad():
        state = first(torch.randn(2, 64, 8, 8))
        begin, total = state, torch.zeros_like(state)
        for block in others:
            total += block.branch(state)
            state = block(state)
    assert torch.allclose(state, begin + total, atol=1e-5)
    post = make("cifar_resnet", {"depth": 20}).eval()
    assert (
        float(post.layer1(torch.randn(2, 16, 8, 8)).detach().min()) >= 0
    )  # a ReLU behind the sum: this shortcut is not clean


def test_where_the_shape_changes_norm_and_relu_stand_before_the_fork():
    block = make("preact_resnet", {"depth": 20}).eval().layer2[0]
    inputs = -torch.rand(2, 64, 8, 8)  # all below 0: nothing is left behind the ReLU
    assert not block.shortcut(block.before(inputs)).any() and block.projection is not None


def test_wide_residual_widths_and_dropout():
    model = on_meta("wide_resnet", depth=16, width=3, dropout=0.3)
    assert [stage[0].layers[0].out_channels for stage in (model.layer1, model.layer2, model.layer3)] == [48, 96, 192]
    for block in blocks_of(model):
        kinds = [type(layer) for layer in block.layers]
        assert kinds == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.Dropout, nn.Conv2d]
        assert block.layers[3].p == 0.3
    assert not [m for m in on_meta("wrn16_4").modules() if isinstance(m, nn.Dropout)]


# Two streams


def test_without_crossing_the_streams_are_a_residual_and_a_plain_net():
    layer = make("resnet_in_resnet", {"width": 4}).eval().layer1[0].layers[0]
    layer.conv.weight.data[:4, 4:] = 0  # what t gives to r
    layer.conv.weight.data[4:, :4] = 0  # what r gives to t
    residual, transient = torch.randn(2, 4, 6, 6), torch.randn(2, 4, 6, 6)
    found = layer(torch.cat([residual, transient], dim=1))
    kept, forgot = layer.conv.weight[:4, :4], layer.conv.weight[4:, 4:]
    scale = (1 + layer.norm.eps) ** -0.5
    assert torch.allclose(found[:, :4], (residual + functional.conv2d(residual, kept, padding=1)) * scale, atol=1e-5)
    assert torch.allclose(found[:, 4:], functional.conv2d(transient, forgot, padding=1) * scale, atol=1e-5)


def test_merging_twice_is_merging_once():
    """The mapping of the shortcuts is idempotent (eq. 4 of the paper), so what it passes on neither grows nor fades."""
    model = make("merge_and_run", {"depth": 14}).eval()
    block, inputs = model.layer1[0], torch.randn(2, 32, 4, 4)
    once = block.shortcut(inputs)
    first, second = inputs.chunk(2, dim=1)
    assert torch.equal(once, torch.cat([(first + second) / 2] * 2, dim=1))
    assert torch.equal(block.shortcut(once), once)
    assert model.run(pictures(2, 8), last="layer3").shape == (2, 64, 2, 2)  # the last block makes them one
    assert not torch.equal(block.branch(inputs)[:, :16], block.branch(inputs)[:, 16:])  # two branches of their own


# Gates


def test_a_shut_gate_carries():
    model = make("highway_convnet", {"depth": 10})
    layer, inputs = model.part2[-1], torch.randn(2, 32, 4, 4)
    assert isinstance(layer, Highway)
    layer.gate.bias.data.fill_(-50)
    assert torch.equal(layer(inputs), inputs)
    layer.gate.bias.data.fill_(50)
    assert torch.allclose(layer(inputs), layer.transform(inputs).relu(), atol=1e-6)
    assert all(float(m.gate.bias[0]) == -2 for m in make("highway_convnet", {}).modules() if isinstance(m, Highway))


def test_more_than_a_hundred_highway_layers_learn_where_plain_ones_do_not():
    """No norms, no sums. With the gates thrown open the differences between pictures fade on the way up."""
    lost = {}
    for kind in ("highway", "plain"):
        model = make("highway_convnet", {"depth": 103, "widths": (6, 6, 6), "gate_bias": -4.0}, classes=2)
        for module in model.modules():
            if isinstance(module, Highway) and kind == "plain":
                module.gate.weight.data.zero_()
                module.gate.bias.data.fill_(50)
        lost[kind] = losses_of_fit(model, pictures(4, 8))[-1]
    assert lost["highway"] < 0.1 and lost["plain"] > 0.6


# Fractals


def test_a_fractal_is_joined_as_its_formula_says():
    torch.manual_seed(0)
    block = FractalBlock(4, 6, 3, drop_path=0.15, dropout=0.0).eval()
    (one,), two, four = (list(column) for column in block.columns)
    assert [len(column) for column in block.columns] == [1, 2, 4]
    inputs = torch.randn(2, 4, 5, 5)
    with torch.no_grad():
        half = (two[0](inputs) + four[1](four[0](inputs))) / 2  # f_2, joined
        whole = (one(inputs) + two[1](half) + four[3](four[2](half))) / 3
        assert torch.allclose(block(inputs), whole, atol=1e-6)


@pytest.mark.parametrize("column", [0, 1, 2])
def test_global_dropping_leaves_one_column(column):
    torch.manual_seed(0)
    block = FractalBlock(4, 6, 3, drop_path=0.15, dropout=0.0).eval()
    inputs = torch.randn(5, 4, 5, 5)
    with torch.no_grad():
        wanted = inputs
        for convolution in block.columns[column]:
            wanted = convolution(wanted)
        block.alone = torch.full((5,), column)
        assert torch.allclose(block(inputs), wanted, atol=1e-6)


def test_a_join_keeps_at_least_one_input_and_the_right_share():
    torch.manual_seed(0)
    for inputs, drop in ((2, 0.15), (3, 0.5), (4, 0.9)):
        weights = local_weights(20_000, inputs, drop, torch.device("cpu"))
        assert torch.allclose(weights.sum(dim=1), torch.ones(20_000))
        share = (weights > 0).float().mean(dim=0)
        assert torch.allclose(share, torch.full((inputs,), 1 - drop + drop**inputs / inputs), atol=0.015)
        assert torch.allclose(weights.mean(dim=0), torch.full((inputs,), 1 / inputs), atol=0.015)
    outputs = [torch.ones(2, 1, 1, 1), torch.full((2, 1, 1, 1), 3.0)]
    assert join(outputs, None).flatten().tolist() == [2, 2]
    assert join(outputs, torch.tensor([[1.0, 0.0], [0.5, 0.5]])).flatten().tolist() == [1, 2]


def test_paths_are_dropped_in_training_only():
    model, inputs = make("fractalnet", {"width": 0.125}), pictures(3, 32)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()  # so that nothing but the paths differs
    with torch.no_grad():
        assert not torch.equal(model(inputs), model(inputs))
        torch.manual_seed(5)
        found = model(inputs)
        torch.manual_seed(5)
        assert torch.equal(model(inputs), found)
        model.eval()
        assert torch.equal(model(inputs), model(inputs))
        undropped = model(inputs)
        model.train().drop_path = 0.0
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        assert torch.equal(model(inputs), undropped)
    columns = make("fractalnet", {"width": 0.125, "global_share": 0.25})._draw_columns(4000, torch.device("cpu"))
    assert float((columns == -1).float().mean()) == pytest.approx(0.75, abs=0.03)
    assert columns.unique().tolist() == [-1, 0, 1, 2]


# Dense connections


def test_each_dense_layer_reads_all_maps_before_it():
    model = on_meta("densenet121")
    widths = [layer.norm1.num_features for layer in model.features.denseblock2.values()]
    assert widths == [128 + 32 * index for index in range(12)]
    assert [model.features.get_submodule(f"transition{n}").conv.out_channels for n in (1, 2, 3)] == [128, 256, 512]
    assert on_meta("densenet_40_12").features.transition1.conv.out_channels == 160  # 16 + 12 * 12: no compression
    small = make("cifar_densenet", {"depth": 16, "growth": 6}).eval()
    inputs = torch.randn(2, 12, 4, 4)
    found = small.features.denseblock1(inputs)
    assert found.shape == (2, 24, 4, 4) and torch.equal(found[:, :12], inputs)
    assert torch.equal(found[:, 12:18], small.features.denseblock1.denselayer1(inputs))


# Cheap convolutions


def test_mobile_blocks():
    first = on_meta("mobilenet_v1")
    spatial = [m for m in first.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]
    assert [m.groups == m.in_channels for m in spatial] == [False] + [True] * 13
    second = on_meta("mobilenet_v2")
    residual = [m for m in second.modules() if isinstance(m, ResidualBlock)]
    assert len(residual) == 10  # of 17 blocks, those that keep the shape
    assert all(isinstance(block.conv[-1], nn.BatchNorm2d) for block in residual)  # linear at the narrow end
    assert [m.max_val for m in second.modules() if isinstance(m, nn.ReLU6)] == [6.0] * 35


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
