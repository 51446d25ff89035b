"""What augmentation may do, and the presets. Reading a recipe needs no more than this: no PyTorch here."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

from gradus.errors import UserError, unknown_name

Fill = Literal["nearest", "reflect", "wrap", "constant", "mean"]
Range = float | tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class AugmentSettings:
    """How training pictures are changed at random, anew in every step. As it stands here: not at all.

    A number that is drawn "to either side" is uniform between minus and plus the setting. A `Range` is a factor: 0.2 stands for
    0.8 to 1.2, and [0.5, 2.0] for itself. Levels are those of pictures, 0 to 255.
    """

    # Geometry: all of it is one warp of each picture, which is cut out, turned, shifted, slanted, zoomed, then flipped
    rotation: float = 0.0  # degrees, to either side
    shift_horizontal: float = 0.0  # share of the width, to either side, in whole pixels
    shift_vertical: float = 0.0  # share of the height
    shear: float = 0.0  # degrees that vertical lines slant, to either side
    zoom: Range = 0.0  # factor of the size; above 1 enlarges
    zoom_sides: Literal["together", "apart"] = "together"  # apart: height and width have a factor each
    flip_horizontal: float = 0.0  # probability of left becoming right
    flip_vertical: float = 0.0  # probability of top becoming bottom
    crop_area: tuple[float, ...] = (1.0, 1.0)  # a part of this share of the area is cut out and brought to full size
    crop_aspect: tuple[float, ...] = (0.75, 4 / 3)  # its width / height
    random_crop: bool = False  # the task.options.crop_size pixels that the model sees: anywhere, not in the middle
    pad: int = 0  # pixels that a picture is extended by on each side, before a part of its own size is cut out
    fill: Fill = "nearest"  # what is seen outside of a picture; mean: the training pictures' mean colour
    fill_value: float = 0.0  # level of fill = "constant"

    # Colour: one linear map of the pixels of each picture, in this order; the result is kept within 0 to 255
    brightness: Range = 0.0  # factor of all values
    contrast: Range = 0.0  # factor of the distance from the picture's mean colour
    saturation: Range = 0.0  # factor of the distance from grey of the same luma
    hue: float = 0.0  # degrees to either side that colours turn by, around the grey axis of YIQ
    grey: float = 0.0  # probability of losing all colour
    offset: float = 0.0  # levels added, to either side
    channel_offset: float = 0.0  # levels added to each channel, drawn for each
    pca: float = 0.0  # deviation of the factors of the principal components of the training pixels (AlexNet: 0.1)
    noise: float = 0.0  # deviation in levels of the noise added to each value

    # Erasing and mixing
    cutout: float = 0.0  # side of a square that becomes the mean colour, as a share of the shorter side
    mixup: float = 0.0  # alpha of Beta(alpha, alpha), the share of a picture that another one is laid over
    cutmix: float = 0.0  # the same alpha; the other picture takes a rectangle. Where both are set, one is drawn

    def __post_init__(self) -> None:
        for name, (most, unit) in LIMITS.items():
            value = getattr(self, name)
            if not 0 <= value <= most:
                raise UserError(f"augment.{name}: expected 0 to {most:g}{unit and ' ' + unit}, received {value:g}")
        for name in ("zoom", "brightness", "contrast", "saturation"):
            self._check_factor(name)
        for name, most in (("crop_area", 1.0), ("crop_aspect", 10.0)):
            pair = getattr(self, name)
            if len(pair) != 2 or not 0 < pair[0] <= pair[1] <= most:
                raise UserError(
                    f"augment.{name}: expected [least, largest] above 0 and at most {most:g}, received {list(pair)}"
                )
        if self.crops_area and (self.pad or self.random_crop):
            other = "pad" if self.pad else "random_crop"
            raise UserError(f"augment.crop_area and augment.{other} both choose what is cut out: leave one of them out")

    def _check_factor(self, name: str) -> None:
        value = getattr(self, name)
        low, high = factors(value) if not isinstance(value, tuple) or len(value) == 2 else (1.0, 0.0)
        positive = low > 0 if name == "zoom" else low >= 0
        if not positive or not low <= high <= 10:
            below = "to below 1" if name == "zoom" else "to 1"
            shown = f"{value:g}" if isinstance(value, float | int) else list(value)
            raise UserError(
                f"augment.{name}: expected 0 {below}, or [least, largest] with factors up to 10, received {shown}"
            )

    @property
    def crops_area(self) -> bool:
        return self.crop_area != (1.0, 1.0)

    @property
    def moves(self) -> bool:
        """Whether pixels move at all."""
        return not self.is_whole or any(getattr(self, name) for name in WHOLE)

    @property
    def is_whole(self) -> bool:
        """Whether pixels only move by whole numbers of pixels or are flipped, so that none is interpolated."""
        return not (self.rotation or self.shear or _varies(self.zoom) or self.crops_area)

    @property
    def is_on(self) -> bool:
        return self != AugmentSettings(**{name: getattr(self, name) for name in MANNERS})

    def describe(self) -> str:
        """What is done, in words: "rotation 40, zoom 0.2, flip_horizontal 0.5, fill nearest"; empty where nothing is."""
        if not self.is_on:
            return ""
        nothing = AugmentSettings()
        changed = [field.name for field in fields(self) if getattr(self, field.name) != getattr(nothing, field.name)]
        changed += ["fill"] if self.moves and "fill" not in changed else []
        return ", ".join(f"{name.replace('_', ' ')} {_text(getattr(self, name))}".strip() for name in changed)


# setting -> its largest value and the unit that a message names
LIMITS: dict[str, tuple[float, str]] = {
    "rotation": (180, "degrees"),
    "shift_horizontal": (1, "of the width"),
    "shift_vertical": (1, "of the height"),
    "shear": (80, "degrees"),
    "flip_horizontal": (1, ""),
    "flip_vertical": (1, ""),
    "pad": (4096, "pixels"),
    "fill_value": (255, "levels"),
    "hue": (180, "degrees"),
    "grey": (1, ""),
    "offset": (255, "levels"),
    "channel_offset": (255, "levels"),
    "pca": (10, ""),
    "noise": (255, "levels"),
    "cutout": (1, "of the shorter side"),
    "mixup": (100, ""),
    "cutmix": (100, ""),
}
WHOLE = ("shift_horizontal", "shift_vertical", "flip_horizontal", "flip_vertical", "random_crop", "pad")
MANNERS = ("zoom_sides", "crop_aspect", "fill", "fill_value")  # they do nothing by themselves
COLOURFUL = ("saturation", "hue", "grey", "channel_offset", "pca")  # they have no meaning for grey pictures


def factors(value: Range) -> tuple[float, float]:
    """The least and the largest factor that a `Range` stands for."""
    return (value[0], value[1]) if isinstance(value, tuple) else (1 - value, 1 + value)


def _varies(value: Range) -> bool:
    return factors(value) != (1, 1)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return ""
    if isinstance(value, tuple):
        return " to ".join(f"{part:.4g}" for part in value)
    return f"{value:.4g}" if isinstance(value, float | int) else str(value)


PRESETS: dict[str, tuple[str, AugmentSettings]] = {
    # name: (what it suits, settings)
    "none": ("nothing is changed", AugmentSettings()),
    "light": (
        "photographs, many of them",
        AugmentSettings(flip_horizontal=0.5, shift_horizontal=0.05, shift_vertical=0.05, brightness=0.1),
    ),
    "standard": (
        "photographs, a few thousand",
        AugmentSettings(
            rotation=15,
            shift_horizontal=0.1,
            shift_vertical=0.1,
            zoom=0.15,
            flip_horizontal=0.5,
            brightness=0.2,
            contrast=0.2,
            saturation=0.2,
        ),
    ),
    "strong": (
        "photographs, a few hundred, or a long training of a large network",
        AugmentSettings(
            rotation=20,
            shear=10,
            crop_area=(0.3, 1.0),
            flip_horizontal=0.5,
            brightness=0.4,
            contrast=0.4,
            saturation=0.4,
            hue=20,
            grey=0.1,
            cutout=0.25,
            mixup=0.2,
        ),
    ),
    "digits": (
        "writing and signs, which a flip would change",
        AugmentSettings(rotation=10, shift_horizontal=0.1, shift_vertical=0.1, shear=5, zoom=0.1),
    ),
    "cifar": ("pictures of 32x32: He et al. 2016 (§4.2)", AugmentSettings(pad=4, flip_horizontal=0.5, fill="mean")),
    "book": (
        "Deep Learning with Python, listing 5-11; its shear is 0.2 radians",
        AugmentSettings(
            rotation=40,
            shift_horizontal=0.2,
            shift_vertical=0.2,
            shear=11.46,
            zoom=0.2,
            zoom_sides="apart",
            flip_horizontal=0.5,
        ),
    ),
    "tutorial": (
        "TensorFlow's CIFAR-10 tutorial; with task.options crop_size=24 and normalize=per-picture",
        AugmentSettings(random_crop=True, flip_horizontal=0.5, offset=63, contrast=0.8),
    ),
    "alexnet": (
        "Krizhevsky et al. 2012 (§4.1); with task.options.crop_size below the pictures' size (224 of 256)",
        AugmentSettings(random_crop=True, flip_horizontal=0.5, pca=0.1),
    ),
}


def get_preset(name: str) -> AugmentSettings:
    """Raises `UserError` for a name that is not in `PRESETS`."""
    if name not in PRESETS:
        raise unknown_name("augmentation", name, PRESETS)
    return PRESETS[name][1]
