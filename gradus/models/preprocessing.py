"""What a network was trained to see: size, colours and scale of its pictures, as a record that goes with its weights.

The record of `FILE.safetensors` is `FILE.json` beside it. Where there is none, `BUILT_IN` has those of known files, and
`usual_record` the one that torchvision's ImageNet weights share.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from gradus import settings
from gradus.errors import UserError

IMAGENET_MEAN = (0.485, 0.456, 0.406)  # of RGB in 0..1, as torchvision's weights expect
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5)  # both as mean and as deviation: RGB in -1..1, as weights that come from TensorFlow expect
IMAGENET_CLASSES = 1000


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """From a uint8 picture to what a network takes: brought to size, scaled to 0..1, standardised, channels ordered."""

    image_size: int = 224  # side in pixels
    fit: Literal["stretch", "crop", "pad"] = "crop"  # how another aspect ratio is met
    resize: int | None = None  # the side that pictures are brought to first, of which the middle image_size is cut out
    mean: tuple[float, ...] = IMAGENET_MEAN  # of each channel in 0..1, in RGB order
    deviation: tuple[float, ...] = IMAGENET_DEVIATION
    channel_order: Literal["rgb", "bgr"] = "rgb"  # bgr: networks that come from Caffe
    classes: tuple[str, ...] = ()  # the names of the outputs, where they are known
    source: str = ""  # where the weights come from
    licence: str = ""

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.deviation) or len(self.mean) not in (1, 3):
            raise UserError(f"mean, deviation: expected 1 or 3 numbers each, received {self.mean} and {self.deviation}")
        if min(self.deviation) <= 0:
            raise UserError(f"deviation: expected numbers above 0, received {self.deviation}")
        if self.resize is not None and self.resize < self.image_size:
            raise UserError(f"resize: expected at least image_size ({self.image_size}), received {self.resize}")

    def apply(self, pictures: Tensor) -> Tensor:
        """uint8 or float 0..255 (B, H, W, C) -> float32 (B, C, H, W), channels-last in memory. Sizes stay."""
        inputs = (pictures.permute(0, 3, 1, 2).to(torch.float32) / 255 - self._row(self.mean, pictures)) / self._row(
            self.deviation, pictures
        )
        return inputs.flip(1) if self.channel_order == "bgr" else inputs

    def invert(self, inputs: Tensor) -> Tensor:
        """(B, C, H, W) as a network takes it -> float32 0..1 (B, C, H, W) in RGB; not clipped. The inverse of `apply`."""
        inputs = inputs.flip(1) if self.channel_order == "bgr" else inputs
        return inputs * self._row(self.deviation, inputs) + self._row(self.mean, inputs)

    def _row(self, values: tuple[float, ...], like: Tensor) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=like.device)[:, None, None]

    def describe(self) -> str:
        """In words: "227x227, the middle of the shorter side at 256, ..."."""
        way = self.fit + (f", the middle of {self.resize}x{self.resize}" if self.resize else "")
        mean, deviation = (", ".join(f"{value:g}" for value in row) for row in (self.mean, self.deviation))
        return (
            f"{self.image_size}x{self.image_size} ({way}), {self.channel_order.upper() if len(self.mean) > 1 else 'grey'}, "
            f"mean {mean}, deviation {deviation}"
        )


# (network, name of its weights) -> the record of a file that has none beside it
BUILT_IN = {
    ("squeezenet1_0", "imagenet"): Preprocessing(
        image_size=227, resize=256, source="SqueezeNet v1.0, deep compression, ImageNet-1k", licence="BSD"
    ),
}
# networks whose ImageNet weights came from TensorFlow to torchvision (or, Xception's, to timm): side of the shorter side
FROM_TENSORFLOW = {"googlenet": 256, "inception_v3": 342, "xception": 333}


@cache
def imagenet_classes() -> tuple[str, ...]:
    """The names of the 1000 classes of ImageNet, in the order of the outputs, as torchvision's weights list them."""
    return tuple(Path(__file__).with_name("imagenet_classes.txt").read_text(encoding="utf-8").splitlines())


def usual_record(network: str, image_size: int) -> Preprocessing:
    """How a network of that name sees pictures with the ImageNet weights of torchvision: at evaluation the middle
    `image_size` of pictures whose shorter side is 256/224 of it."""
    if network in FROM_TENSORFLOW:
        return Preprocessing(image_size=image_size, resize=FROM_TENSORFLOW[network], mean=HALF, deviation=HALF)
    return Preprocessing(image_size=image_size, resize=round(image_size * 256 / 224))


def record_path(weights: Path) -> Path:
    return weights.with_suffix(".json")


def read_record(weights: Path, network: str, outputs: int, image_size: int | None) -> tuple[Preprocessing | None, str]:
    """The record of a file of weights, and a note where it had to be assumed.

    outputs:    how many the network has; image_size: the side that it is usually given
    None where nothing is known: the file has no record and is not of ImageNet. Raises `UserError` for a damaged record.
    """
    path = record_path(weights)
    if path.exists():
        record, note = _read(path), ""
    else:
        name = weights.stem.removeprefix(f"{network}-")
        known = BUILT_IN.get((network, name)) if weights.stem.startswith(f"{network}-") else None
        if known is None and outputs != IMAGENET_CLASSES:
            return None, f"{path.name} is missing, so nothing is known of the pictures that these weights expect"
        record = known or usual_record(network, image_size or 224)
        note = "" if known else f"{path.name} is missing: taken as ImageNet weights in torchvision's way"
    if not record.classes and outputs == IMAGENET_CLASSES:
        record = replace(record, classes=imagenet_classes())
    if record.classes and len(record.classes) != outputs:
        raise UserError(f"{path}: it names {len(record.classes)} classes, the weights have {outputs} outputs")
    return record, note


def _read(path: Path) -> Preprocessing:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: this record of a preprocessing cannot be read ({error})") from None
    if not isinstance(values, dict):
        raise UserError(f"{path}: expected a JSON object of settings such as image_size and mean")
    try:
        return settings.from_dict(Preprocessing, values)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def write_record(record: Preprocessing) -> str:
    """The JSON text that is kept beside a file of weights."""
    return json.dumps(settings.to_dict(record), indent=1, ensure_ascii=False) + "\n"
