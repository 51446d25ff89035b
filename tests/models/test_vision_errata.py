"""What the texts have wrong about the networks of 2012 to 2015, and what follows from ours."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from gradus.models import create_model
from gradus.models.auxiliary import AuxiliaryNetwork
from gradus.models.vision.googlenet import MODULES, Inception


def shapes(name: str, side: int, **options) -> dict[str, tuple[int, ...]]:
    """Layer -> shape of its output for one picture, without the batch."""
    found = {}
    with torch.device("meta"):
        model = create_model(name, **options).eval()
        for layer, module in model.named_modules():
            module.register_forward_hook(
                lambda _, __, output, layer=layer: found.update({layer: tuple(output.shape[1:])})
            )
        model(torch.empty(1, 3, side, side))
    return found


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def test_alexnet_means_227_pixels():
    """(224 - 11) / 4 is no whole number and gives 54; 227 gives 55, 27, 13, 6, as printed."""
    at_227 = shapes("alexnet_2012", 227)
    assert [at_227[f"features.{index}"] for index in (0, 3, 7, 14)] == [
        (96, 55, 55),
        (96, 27, 27),
        (256, 13, 13),
        (256, 6, 6),
    ]
    assert at_227["avgpool"] == (256, 6, 6) and at_227["flatten"] == (9216,)
    assert shapes("alexnet_2012", 224)["features.0"] == (96, 54, 54)


def test_alexnet_has_five_convolutions_three_pools_and_three_dense_layers():
    for name in ("alexnet", "alexnet_2012", "caffenet"):
        with torch.device("meta"):
            kinds = [type(layer) for layer in create_model(name).modules()]
        assert [kinds.count(kind) for kind in (nn.Conv2d, nn.MaxPool2d, nn.Linear)] == [5, 3, 3], name


def test_the_last_maps_of_alexnet_are_128_for_each_gpu():
    with torch.device("meta"):
        last = [layer for layer in create_model("alexnet_2012").features if isinstance(layer, nn.Conv2d)][-1]
    assert last.groups == 2 and last.out_channels // last.groups == 128


def test_two_groups_are_the_two_branches_of_listing_4_14():
    """The listing's branches, written out: the second, fourth and fifth layer see their own half, the third sees both."""
    torch.manual_seed(0)
    model = create_model("alexnet_2012", num_classes=2, normalization="none", hidden=(8,), initialization="he").eval()
    convolutions = [layer for layer in model.features if isinstance(layer, nn.Conv2d)]
    pictures = torch.randn(2, 3, 227, 227)

    def branch(maps: torch.Tensor, layer: nn.Conv2d, half: int) -> torch.Tensor:
        rows = slice(half * layer.out_channels // 2, (half + 1) * layer.out_channels // 2)
        return functional.conv2d(maps, layer.weight[rows], layer.bias[rows], layer.stride, layer.padding).relu()

    def pool(maps: torch.Tensor) -> torch.Tensor:
        return functional.max_pool2d(maps, 3, 2)

    with torch.no_grad():
        halves = [pool(branch(pictures, convolutions[0], half)) for half in (0, 1)]
        halves = [pool(branch(halves[half], convolutions[1], half)) for half in (0, 1)]
        merged = torch.cat(halves, 1)
        halves = [branch(merged, convolutions[2], half) for half in (0, 1)]
        halves = [branch(halves[half], convolutions[3], half) for half in (0, 1)]
        halves = [pool(branch(halves[half], convolutions[4], half)) for half in (0, 1)]
        by_hand = model.classifier(torch.cat(halves, 1).flatten(1))
        assert torch.allclose(model(pictures), by_hand, atol=1e-5)


def test_the_summary_of_listing_4_15_is_another_network():
    """56 876 418 by the listing, 37 313 921 by the summary below it: 224 pixels padded, one tower, 4x4 maps, one output."""
    with torch.device("meta"):
        model = create_model("alexnet_2012", num_classes=1, groups=1, normalization="none")
    features = parameters(model.features)
    assert features == 3_747_200
    assert features + (4 * 4 * 256 * 4096 + 4096) + (4096 * 4096 + 4096) + 4097 == 37_313_921


def test_most_of_alexnet_is_in_its_dense_layers():
    """The "94 %" is that of one tower; with two groups it is 96.17 %."""
    for groups, share in ((1, 93.99), (2, 96.17)):
        with torch.device("meta"):
            model = create_model("alexnet_2012", groups=groups)
        assert 100 * parameters(model.classifier) / parameters(model) == pytest.approx(share, abs=0.005)


def test_pooling_before_normalising_leaves_a_quarter_of_the_work():
    sizes = {name: shapes(name, 227) for name in ("alexnet_2012", "caffenet")}
    normalised = {"alexnet_2012": sizes["alexnet_2012"]["features.2"], "caffenet": sizes["caffenet"]["features.3"]}
    assert normalised == {"alexnet_2012": (96, 55, 55), "caffenet": (96, 27, 27)}
    assert 55**2 / 27**2 > 4


def test_vggs_convolutions_keep_the_size():
    found = shapes("vgg16", 224)
    assert found["features.1"] == (64, 224, 224) and found["features.4"] == (64, 112, 112)
    assert found["avgpool"] == (512, 7, 7)


def test_the_base_of_vgg16_on_150_pixels():
    """Deep Learning with Python, listing 5-16: 4x4x512 from 150x150, 14 714 688 parameters."""
    found = shapes("vgg16", 150, num_classes=1, hidden=(256,), map_size=4)
    ends = [found[name] for name in ("features.4", "features.9", "features.16", "features.23", "features.30")]
    assert ends == [(64, 75, 75), (128, 37, 37), (256, 18, 18), (512, 9, 9), (512, 4, 4)]
    with torch.device("meta"):
        model = create_model("vgg16", num_classes=1, hidden=(256,), map_size=4)
    assert (parameters(model.features), parameters(model.classifier)) == (14_714_688, 2_097_665)
    last_block = sum(parameters(model.get_submodule(name)) for name in model.stages["block5"])
    assert last_block + parameters(model.classifier) == 9_177_089


def test_googlenets_sizes_and_reductions():
    found = shapes("googlenet_2014", 224)
    sizes = {name: found[name] for name in ("conv1", "maxpool1", "conv2", "conv3", "maxpool2", *MODULES)}
    assert sizes["conv2"] == (64, 56, 56)  # not 192, as the figure has it
    assert sizes["inception3a"] == (256, 28, 28) and sizes["inception4a"] == (512, 14, 14)
    assert sizes["inception5a"] == (832, 7, 7) and sizes["inception5b"] == (1024, 7, 7)  # not 832
    with torch.device("meta"):
        module = create_model("googlenet_2014").inception4a
    assert (module.branch3[0].conv.out_channels, module.branch3[1].conv.out_channels) == (16, 48)


def test_multiplications_of_the_5x5_branch():
    """Course notes §4.2.9: 120 422 400 directly, 12 443 648 through 16 maps."""
    with torch.device("meta"):
        reduce, large = Inception(192, (64, 96, 128, 16, 32, 32), False).branch3
    assert 28 * 28 * 32 * 5 * 5 * 192 == 120_422_400
    assert 28 * 28 * (reduce.conv.weight.numel() + large.conv.weight.numel()) == 12_443_648


def test_auxiliary_heads_are_left_out_after_training_and_weigh_three_tenths():
    with torch.device("meta"):
        model = create_model("googlenet_2014", num_classes=5)
        assert isinstance(model, AuxiliaryNetwork) and model.auxiliary_weight == 0.3
        assert [tuple(one.shape) for one in model(torch.empty(2, 3, 64, 64))] == [(2, 5)] * 3
        assert model.eval()(torch.empty(2, 3, 64, 64)).shape == (2, 5)


def test_branches_without_padding_do_not_fit_together():
    """Deep Learning with Python §7.1.4: 16, 15, 13 and 14 pixels from 32; with padding all have 16."""

    def sides(padded: bool) -> list[int]:
        def conv(kernel: int, stride: int = 1) -> nn.Module:
            return nn.Conv2d(1, 1, kernel, stride, padding=kernel // 2 if padded else 0)

        branches = [
            nn.Sequential(conv(1, 2)),
            nn.Sequential(conv(1), conv(3, 2)),
            nn.Sequential(nn.AvgPool2d(3, 2, padding=int(padded)), conv(3)),
            nn.Sequential(conv(1), conv(3), conv(3, 2)),
        ]
        return [branch(torch.zeros(1, 1, 32, 32)).shape[-1] for branch in branches]

    assert sides(False) == [16, 15, 13, 14]
    assert sides(True) == [16, 16, 16, 16]


def test_the_table_of_the_colour_digit_network():
    """Course notes §4.1.13: 1216, 48 001, 10 081 and 841 are printed; 456 + 2416 with the 6 kernels of the text."""
    with torch.device("meta"):
        model = create_model("lenet5", in_channels=3, image_size=32)
    dense = [parameters(layer) for layer in (*model.hidden, model.head) if parameters(layer)]
    assert dense == [48_120, 10_164, 850]
    assert [parameters(layer) for layer in model.features if parameters(layer)] == [456, 2_416]
    assert parameters(model) == 62_006
    assert (parameters(nn.Conv2d(3, 8, 5)), parameters(nn.Conv2d(8, 16, 5))) == (608, 3_216)
    assert 608 + 3_216 + sum(dense) == 62_958
