"""What makes each residual network, and each of its relatives, what it is: shortcuts, streams, gates, fractals, dense blocks."""

from __future__ import annotations

import pytest
import torch
from residual import blocks_of, count, losses_of_fit, make, on_meta, pictures
from torch import nn
from torch.nn import functional

from gradus.models.vision.cifar_resnet import ZeroPadShortcut
from gradus.models.vision.fractalnet import FractalBlock, join, local_weights
from gradus.models.vision.residual import ResidualBlock
from gradus.nn import Highway

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
    assert all(
        float(m.gate.bias.detach()[0]) == -2 for m in make("highway_convnet", {}).modules() if isinstance(m, Highway)
    )


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
