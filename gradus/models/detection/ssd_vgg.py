"""SSD300 and SSD512 as printed (Liu et al. 2016): VGG-16 whose dense layers have become convolutions, and further layers.

network  maps (cells a side)             priors  parameters (20 classes)
ssd300   38, 19, 10, 5, 3, 1               8732  26 285 486
ssd512   64, 32, 16, 8, 4, 2, 1           24564  27 188 676

Maps are of conv4_3 (normalised), fc7, conv6_2, conv7_2, conv8_2, conv9_2 (and conv10_2). fc6 is a 3x3 convolution with holes of 6
after a third of its 7x7 weights was taken along each side; pool5 is 3x3 with stride 1. Priors have the sizes of the authors'
Caffe code for Pascal VOC. torchvision's network of 91 classes has the same parts, and 70 * 133 662 = 9 356 340 parameters more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from gradus.boxes.anchors import SSD300, SSD512, ssd_priors
from gradus.errors import UserError
from gradus.models.detection.ssd import Heads, ScaledL2Norm, SsdPredictions, draw_weights, extra_layers
from gradus.models.vision.vgg import DEPTHS, WIDTHS

CONV4_3 = 23  # modules of VGG-16's features up to its ReLU
KEPT = {
    "fc6": ("classifier.0", 3),
    "fc7": ("classifier.3", 1),
}  # layer -> VGG's layer, and which weights of a side stay


def _vgg16_features(in_channels: int) -> nn.Sequential:
    """VGG-16's convolutions under torchvision's numbers, without the last pool; the third one rounds up, so that 75 gives 38."""
    layers: list[nn.Module] = []
    for block, (width, repeats) in enumerate(zip(WIDTHS, DEPTHS[16], strict=True)):
        for _ in range(repeats):
            layers += [nn.Conv2d(in_channels, width, 3, padding=1), nn.ReLU()]
            in_channels = width
        if block < 4:
            layers.append(nn.MaxPool2d(2, ceil_mode=block == 2))
    return nn.Sequential(*layers)


class SsdOnVGG16(nn.Module):
    """(B, C, S, S) -> `SsdPredictions`. Subclasses say the sizes."""

    image_sizes: tuple[int, ...]
    sizes: Sequence[float]  # of priors in pixels, one more than maps
    ratios: Sequence[Sequence[float]]  # of each map

    def __init__(self, num_classes: int, in_channels: int = 3, backbone: str = "vgg16") -> None:
        super().__init__()
        if backbone != "vgg16":
            raise UserError(f"the printed SSD stands on vgg16; for {backbone} take model ssd")
        self.features = _vgg16_features(in_channels)
        self.norm = ScaledL2Norm(512)
        self.pool5 = nn.MaxPool2d(3, stride=1, padding=1)
        self.fc6 = nn.Conv2d(512, 1024, 3, padding=6, dilation=6)
        self.fc7 = nn.Conv2d(1024, 1024, 1)
        self.further = nn.ModuleList(self.make_further())
        channels = [512, 1024, 512, *[256] * (len(self.further) - 1)]
        self.heads = Heads(channels, [2 + 2 * len(ratios) for ratios in self.ratios], 1 + num_classes)
        for new in (self.features, self.fc6, self.fc7, self.further, self.heads):
            draw_weights(new)

    def make_further(self) -> list[nn.Module]:
        raise NotImplementedError

    def forward(self, pictures: Tensor) -> SsdPredictions:
        found = self.features[:CONV4_3](pictures)
        maps = [self.norm(found)]
        found = self.fc6(self.pool5(self.features[CONV4_3:](found))).relu()
        found = self.fc7(found).relu()
        maps.append(found)
        for layers in self.further:
            found = layers(found)
            maps.append(found)
        cells = [(one.shape[2], one.shape[3]) for one in maps]
        priors = ssd_priors(pictures.shape[2:], cells, self.sizes, self.ratios)
        offsets, logits = self.heads(maps)
        return SsdPredictions(offsets, logits, priors.to(pictures.device))

    def load_backbone(self, tensors: Mapping[str, Tensor], where: str) -> list[str]:
        """VGG-16's published weights: convolutions as they are; of fc6 every fourth output and every third weight of its 7x7, of
        fc7 every fourth output and input. Raises `UserError` where one is missing or misshaped."""
        expected = {f"features.{name}": tensor.shape for name, tensor in self.features.state_dict().items()}
        expected |= {"classifier.0.weight": torch.Size([4096, 25088]), "classifier.0.bias": torch.Size([4096])}
        expected |= {"classifier.3.weight": torch.Size([4096, 4096]), "classifier.3.bias": torch.Size([4096])}
        for name, shape in expected.items():
            if name not in tensors:
                raise UserError(f"{where}: these are not weights of vgg16: it has no '{name}'")
            if tensors[name].shape != shape:
                held, asked = ("x".join(map(str, one)) for one in (tensors[name].shape, shape))
                raise UserError(
                    f"{where}: these are not weights of vgg16: its '{name}' has shape {held}, the network's {asked}"
                )
        mine = {name: tensors[name] for name in expected if name.startswith("features.")}
        for layer, (source, every) in KEPT.items():
            weight = tensors[f"{source}.weight"]
            weight = weight.view(4096, 512, 7, 7)[::4, :, ::every, ::every] if layer == "fc6" else weight[::4, ::4]
            mine[f"{layer}.weight"] = weight.reshape(getattr(self, layer).weight.shape)
            mine[f"{layer}.bias"] = tensors[f"{source}.bias"][::4]
        self.load_state_dict(mine, strict=False)
        numbers = sum(tensor.numel() for tensor in mine.values())
        return [f"backbone vgg16 begins with these weights ({numbers:,}); all else begins anew"]


class Ssd300(SsdOnVGG16):
    image_sizes = (300,)
    _, sizes, ratios = SSD300

    def make_further(self) -> list[nn.Module]:
        """19 -> 10 -> 5 -> 3 -> 1."""
        ends = [extra_layers(256, 128, 256, stride=1, padding=0) for _ in range(2)]
        return [extra_layers(1024, 256, 512), extra_layers(512, 128, 256), *ends]


class Ssd512(SsdOnVGG16):
    image_sizes = (512,)
    _, sizes, ratios = SSD512

    def make_further(self) -> list[nn.Module]:
        """32 -> 16 -> 8 -> 4 -> 2 -> 1."""
        middle = [extra_layers(256, 128, 256) for _ in range(2)]
        last = extra_layers(256, 128, 256, kernel=4, stride=1, padding=1)
        return [extra_layers(1024, 256, 512), extra_layers(512, 128, 256), *middle, last]
