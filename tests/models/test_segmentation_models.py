"""Networks for segmentation: their parameters as published, conversion, unpooling, atrous layers, any size, learning by heart."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from gradus.errors import UserError
from gradus.models import create_model
from gradus.models.atrous import AtrousMaxPool, make_atrous
from gradus.models.backbone import Backbone
from gradus.models.segmentation.enlarge import LearntEnlargement, enlarge, pad_to_multiple

SMALL = {
    "fcn32s": {"backbone": "squeezenet1_1", "hidden": (16,), "dropout": 0.0},
    "fcn16s": {"backbone": "squeezenet1_1", "hidden": (16,), "dropout": 0.0},
    "fcn8s": {"backbone": "squeezenet1_1", "hidden": (16,), "dropout": 0.0},
    "deeplab": {"backbone": "squeezenet1_1", "hidden": 16, "rates": (1, 2), "dropout": 0.0},
    "segnet": {"width": 8, "depth": 3},
    "unet": {"width": 8, "depth": 2},
}


def made(name: str, **more: object) -> nn.Module:
    torch.manual_seed(0)
    return create_model(name, **{"num_classes": 3, **SMALL[name], **more})


def on_meta(name: str, **options: object) -> nn.Module:
    with torch.device("meta"):
        return create_model(name, **options)


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


# --- parameters, against the texts and the papers


@pytest.mark.parametrize(
    ("name", "options", "parameters"),
    [
        ("fcn32s", {"num_classes": 1000}, 138_357_544),  # as VGG16: nothing is added by making layers convolutions
        ("fcn32s", {"num_classes": 21, "learnt": "none"}, 134_346_581),  # bilinear
        ("fcn16s", {"num_classes": 21, "learnt": "all"}, 134_816_036),  # both enlargements learnt
        ("fcn8s", {"num_classes": 21, "learnt": "none"}, 134_346_581 + 21 * 513 + 21 * 257),
    ],
)
def test_parameters_of_fcn_on_vgg16(name, options, parameters):
    assert count(on_meta(name, backbone="vgg16", **options)) == parameters


def test_parts_of_the_fcn_of_the_text():
    model = on_meta("fcn16s", backbone="vgg16", num_classes=21, learnt="all")
    fc6, fc7 = (layer for layer in model.hidden if isinstance(layer, nn.Conv2d))
    assert fc6.weight.shape == (4096, 512, 7, 7)  # a 1x1 kernel would have 2 101 248 parameters and see one cell
    assert (count(fc6), count(fc7), count(model.score)) == (102_764_544, 16_781_312, 86_037)
    assert (count(model.twice["stride16"]), count(model.last)) == (7_077, 451_605)
    assert count(model.skips["stride16"]) == 10_773
    # the text's first network ends with the learnt enlargement by two
    assert count(model) - count(model.skips) - count(model.last) == 134_353_658


def test_pictures_of_512_have_maps_of_16_and_come_back_as_512():
    model = on_meta("fcn32s", backbone="vgg16", num_classes=1000)
    pictures = torch.empty(1, 3, 512, 512, device="meta")
    (maps,) = model.backbone(pictures)
    assert model.coarse_scores(maps).shape == (1, 1000, 16, 16)
    assert model(pictures).shape == (1, 1000, 512, 512)  # 16 x 32 is 512, not 640


def test_skips_of_vgg_are_poolings_found_by_stride():
    model = on_meta("fcn8s", backbone="vgg16", num_classes=21)
    kinds = [model.backbone.network.get_submodule(level.module) for level in model.backbone.levels]
    assert all(isinstance(kind, nn.MaxPool2d) for kind in kinds)
    assert [(level.stride, level.channels) for level in model.backbone.levels] == [(8, 256), (16, 512), (32, 512)]
    # AlexNet has three poolings, and no map of stride 8: it cannot be an FCN-8s with skips from pool3 and pool4
    assert sum(isinstance(module, nn.MaxPool2d) for module in on_meta("alexnet").modules()) == 3


def test_parameters_of_segnet_and_unet():
    assert count(on_meta("segnet", num_classes=11)) == 29_449_355  # the paper: 29.45 million
    # by hand: two 3x3 convolutions a level, 2x2 up, 1x1 at the end, all with biases
    widths = [64, 128, 256, 512, 1024]
    total, before = 0, 1
    for width in widths:
        total += (9 * before + 1) * width + (9 * width + 1) * width
        before = width
    for wide, width in zip(widths[:0:-1], widths[-2::-1], strict=True):
        total += (4 * wide + 1) * width + (9 * 2 * width + 1) * width + (9 * width + 1) * width
    total += 2 * 65
    assert total == count(on_meta("unet", num_classes=2, in_channels=1, batch_norm=False)) == 31_030_658


# --- conversion


def test_the_middle_cell_of_a_converted_classifier_is_its_answer():
    """Of a small VGG on 224x224: the 7x7 kernel, padded, sees all of the 7x7 map from its middle and from nowhere else."""
    torch.manual_seed(0)
    classifier = create_model("vgg11", num_classes=6, hidden=(24, 12)).eval()
    model = create_model("fcn32s", num_classes=6, backbone="vgg11", hidden=(24, 12)).eval()
    notes = model.load_backbone(classifier.state_dict(), "here")
    assert "classifier.0, classifier.3, classifier.6" in notes[-1]
    picture = torch.randn(1, 3, 224, 224)
    with torch.inference_mode():
        wanted = classifier(picture)
        scores = model.coarse_scores(model.backbone(picture)[-1])
    assert scores.shape == (1, 6, 7, 7)
    torch.testing.assert_close(scores[:, :, 3, 3], wanted, rtol=1e-4, atol=1e-6)
    assert not torch.allclose(scores[:, :, 0, 0], wanted, atol=1e-4)


def test_a_head_for_other_classes_begins_anew():
    classifier = create_model("vgg11", num_classes=6, hidden=(24,))
    model = create_model("fcn16s", num_classes=4, backbone="vgg11", hidden=(24,))
    notes = model.load_backbone(classifier.state_dict(), "here")
    assert notes[-1].endswith("convolutions: classifier.0")


@pytest.mark.parametrize(("coarse", "fine"), [("fcn32s", "fcn16s"), ("fcn16s", "fcn8s")])
def test_a_finer_fcn_goes_on_from_a_coarser_one(coarse, fine):
    first, second = made(coarse).eval(), made(fine).eval()
    with torch.no_grad():
        first.score.weight.normal_(std=0.1)
    notes = second.load_backbone(first.state_dict(), "runs/first")
    assert "goes on from runs/first" in notes[0]
    mine = second.state_dict()
    assert all(torch.equal(tensor, mine[name]) for name, tensor in first.state_dict().items())
    pictures = torch.randn(1, 3, 96, 96)
    with torch.inference_mode():  # the new scores are 0 at first, so only the enlargement differs
        before, after = first(pictures), second(pictures)
    assert (before - after).abs().mean() < 0.2 * before.std()
    with pytest.raises(UserError, match="not weights of an FCN on squeezenet1_1"):
        second.load_backbone({"score.weight": torch.zeros(1)}, "elsewhere")


# --- enlarging


@pytest.mark.parametrize("factor", [2, 8, 16])
def test_a_learnt_enlargement_begins_as_bilinear(factor):
    maps = torch.randn(2, 3, 5, 6)
    with torch.inference_mode():
        learnt = LearntEnlargement(3, factor)(maps)
    wanted = enlarge(maps, (5 * factor, 6 * factor))
    assert learnt.shape == wanted.shape
    inside = slice(factor // 2, -(factor // 2))  # outside of it one has zeros beyond the edge, the other the edge
    torch.testing.assert_close(learnt[:, :, inside, inside], wanted[:, :, inside, inside])


def test_padding_goes_to_the_next_multiple():
    assert pad_to_multiple(torch.ones(1, 1, 33, 64), 32).shape == (1, 1, 64, 64)
    padded = pad_to_multiple(torch.ones(1, 1, 30, 31), 32)
    assert padded.sum() == 30 * 31
    assert padded[0, 0, 29, 30] == 1


# --- unpooling


def test_unpooling_puts_values_where_they_were_largest():
    model = made("segnet", depth=1)
    for block in (*model.down, *model.up):
        for index in range(len(block)):
            block[index] = nn.Identity()
    model.head = nn.Identity()
    picture = torch.randn(1, 3, 5, 7)  # odd sides too
    with torch.inference_mode():
        found = model(picture)
    assert found.shape == picture.shape
    largest = functional.max_pool2d(picture, 2, ceil_mode=True)
    assert (found != 0).sum() == largest.numel()
    torch.testing.assert_close(found[found != 0], picture[found != 0])  # each at its own place
    torch.testing.assert_close(found.sum(), largest.sum())


def test_segnet_begins_with_published_weights_of_its_encoder():
    classifier, model = create_model("vgg16_bn", hidden=(), map_size=1), create_model("segnet", num_classes=4)
    model.load_backbone(classifier.state_dict(), "here")
    torch.testing.assert_close(model.down[1][3].weight, classifier.features[10].weight)
    torch.testing.assert_close(model.down[4][7].running_var, classifier.features[41].running_var)
    with pytest.raises(UserError, match="width is not 64"):
        made("segnet").load_backbone(classifier.state_dict(), "here")


# --- atrous layers


@pytest.mark.parametrize("name", ["squeezenet1_0", "squeezenet1_1"])
def test_an_atrous_network_has_its_old_values_and_those_between(name):
    torch.manual_seed(0)
    dense = Backbone(name, (8, 16)).eval()
    atrous = Backbone(name, (8, 16)).eval()
    atrous.load_state_dict(dense.state_dict())
    make_atrous(atrous.network, atrous.chain, 3, 8)
    assert atrous.state_dict().keys() == dense.state_dict().keys()
    pictures = torch.randn(1, 3, 96, 128)
    with torch.inference_mode():
        fine, coarse = dense(pictures)
        same, finer = atrous(pictures)
    assert finer.shape[2:] == fine.shape[2:]
    torch.testing.assert_close(same, fine)
    torch.testing.assert_close(finer[:, :, ::2, ::2], coarse, rtol=1e-4, atol=1e-5)


def test_resnet_at_an_eighth_agrees_at_every_fourth_place():
    torch.manual_seed(0)
    dense, atrous = Backbone("resnet18", (32,)).eval(), Backbone("resnet18", (32,)).eval()
    atrous.load_state_dict(dense.state_dict())
    make_atrous(atrous.network, atrous.chain, 3, 8)
    pictures = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        torch.testing.assert_close(atrous(pictures)[0][:, :, ::4, ::4], dense(pictures)[0], rtol=1e-4, atol=1e-5)


def test_a_pool_keeps_its_window_and_its_size():
    maps = torch.randn(1, 2, 9, 8)
    for dilation in (1, 2):
        found = AtrousMaxPool(3, 1, dilation)(maps)
        assert found.shape == maps.shape
        rows, columns = slice(4 - dilation, 5 + dilation, dilation), slice(3 - dilation, 4 + dilation, dilation)
        assert found[0, 1, 4, 3] == maps[0, 1, rows, columns].max()


def test_what_cannot_be_atrous_is_told():
    network = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.AvgPool2d(2))
    make_atrous(network, ["0"], 3, 2)
    with pytest.raises(UserError, match="its layer 1 cannot be made atrous"):
        make_atrous(network, ["0", "1"], 3, 2)


def test_branches_of_the_pyramid_have_weights_of_their_own_and_are_summed():
    model = made("deeplab", rates=(6, 12, 18, 24), hidden=4).eval()
    for branch in model.head.branches:
        nn.init.normal_(branch[-1].weight)
    first = [branch[0] for branch in model.head.branches]
    assert [layer.dilation for layer in first] == [(6, 6), (12, 12), (18, 18), (24, 24)]
    assert all(layer.kernel_size == (3, 3) for layer in first)
    assert len({layer.weight.data_ptr() for layer in first}) == 4
    maps = torch.randn(1, 512, 5, 6)
    with torch.inference_mode():
        torch.testing.assert_close(model.head(maps), sum(branch(maps) for branch in model.head.branches))
    assert create_model("deeplab", num_classes=3).head.branches[2][0].dilation == (18, 18)  # printed: 16


# --- all of them


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("size", [(64, 64), (45, 70), (33, 32)])
def test_logits_have_the_size_of_the_picture(name, size):
    model = made(name).eval()
    with torch.inference_mode():
        assert model(torch.randn(2, 3, *size)).shape == (2, 3, *size)
    if name == "deeplab":
        assert made(name, head="v3").eval()(torch.randn(1, 3, *size)).shape == (1, 3, *size)
    if name == "unet":
        assert made(name, upsampling="bilinear").eval()(torch.randn(1, 3, *size)).shape == (1, 3, *size)


def scenes(side: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Two pictures (2, 3, side, side) with a square and a bar on grey, and their classes."""
    torch.manual_seed(1)
    pictures, classes = torch.randn(2, 3, side, side) * 0.1, torch.zeros(2, side, side, dtype=torch.long)
    for row, (top, left) in enumerate([(8, 8), (side - 24, side - 24)]):
        pictures[row, 0, top : top + 16, left : left + 16] += 2
        classes[row, top : top + 16, left : left + 16] = 1
    pictures[:, 1, -8:], classes[:, -8:] = pictures[:, 1, -8:] - 2, 2
    return pictures, classes


@pytest.mark.parametrize(
    ("name", "side", "steps"), [("fcn8s", 32, 25), ("deeplab", 32, 25), ("segnet", 48, 40), ("unet", 32, 15)]
)
def test_two_scenes_are_learnt_by_heart_and_the_same_seed_gives_the_same_bits(name, side, steps):
    pictures, classes = scenes(side)
    model = made(name)
    twin = made(name)
    for network in (model, twin):
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-3 if "backbone" in SMALL[name] else 1e-2)
        for _ in range(steps if network is model else 2):
            optimizer.zero_grad()
            loss = functional.cross_entropy(network(pictures), classes)
            loss.backward()
            optimizer.step()
            if network is model and _ == 1:
                second = loss.item()
    assert loss.item() == second
    with torch.inference_mode():
        found = model.eval()(pictures).argmax(dim=1)
    assert (found == classes).float().mean() > 0.95
