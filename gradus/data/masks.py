"""Masks: pictures whose pixels are classes, read from files of class numbers, palette indices or colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage

from gradus.data.columns import take
from gradus.data.images import open_picture
from gradus.errors import UserError

MOST_CLASSES = 255  # class numbers are stored in a byte, and one value stands for none
NUMBERED = ("L", "P", "1", "I", "I;16")  # modes of pictures whose values are class numbers or a palette's indices

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class EncodedMasks(Sequence):
    """Masks still encoded, read as uint8 (height, width) class indices when asked for.

    table:   uint8 (256,): what each value of a file becomes, `ignore` where it stands for no class
    colours: of files of colours: value i is what colour i stands for, and all other colours are value 255
    """

    sources: Sequence[bytes | Path]
    names: Sequence[str]
    table: np.ndarray
    colours: tuple[Colour, ...] | None = None

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, index):
        return self.table[self.values(index)]

    def values(self, index: int) -> np.ndarray:
        """uint8 (height, width): the values of a file, before `table` gives them a meaning."""
        if self.colours is None:
            return decode_indices(self.sources[index], self.names[index])
        return decode_colours(self.sources[index], self.names[index], self.colours)

    def take(self, indices: np.ndarray) -> EncodedMasks:
        return EncodedMasks(take(self.sources, indices), take(self.names, indices), self.table, self.colours)


def identity_table(classes: int, ignore: int) -> np.ndarray:
    """The table of files that hold class indices: every other value stands for none."""
    table = np.full(256, ignore, dtype=np.uint8)
    table[:classes] = np.arange(classes)
    return table


def decode_indices(source: bytes | Path, name: str) -> np.ndarray:
    """uint8 (height, width): the values of a grey file (also one saved as colours), or the palette's indices. Raises `UserError`
    naming `name`."""
    picture = open_picture(source, name)
    try:
        if picture.mode in ("RGB", "RGBA", "LA"):
            values = _grey_values(np.asarray(picture), name)
        elif picture.mode in NUMBERED:
            values = np.asarray(picture.convert("L") if picture.mode == "1" else picture)
        else:
            raise UserError(f"{name}: a mask holds class numbers, a palette or colours, this picture is {picture.mode}")
    except (OSError, SyntaxError, ValueError, PillowImage.DecompressionBombError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{name}: the mask is broken ({error})") from None
    if values.size and values.max() > 255:
        raise UserError(f"{name}: class numbers go to 255, found {int(values.max())}")
    return values.astype(np.uint8)


def _grey_values(array: np.ndarray, name: str) -> np.ndarray:
    """(height, width) of a picture whose channels are equal; transparency is not looked at."""
    if array.shape[2] >= 3 and not (
        np.array_equal(array[..., 0], array[..., 1]) and np.array_equal(array[..., 0], array[..., 2])
    ):
        raise UserError(
            f"{name}: this mask is in colours; which class is which? Expected a file colors.csv with the lines name,r,g,b"
        )
    return array[..., 0]


def decode_colours(source: bytes | Path, name: str, colours: tuple[Colour, ...]) -> np.ndarray:
    """uint8 (height, width): the index of each pixel's colour, 255 for all that are not in `colours`."""
    picture = open_picture(source, name)
    try:
        four = np.asarray(picture.convert("RGB").convert("RGBX"))
    except (OSError, SyntaxError, ValueError, PillowImage.DecompressionBombError) as error:
        raise UserError(f"{name}: the mask is broken ({error})") from None
    packed = np.ascontiguousarray(four).view("<u4")[..., 0] & 0xFFFFFF
    return _colour_table(colours)[packed]


@lru_cache(maxsize=2)
def _colour_table(colours: tuple[Colour, ...]) -> np.ndarray:
    """uint8 (2^24,): packed colour -> index. One look-up a pixel, whatever the number of classes."""
    table = np.full(1 << 24, 255, dtype=np.uint8)
    for index, (red, green, blue) in enumerate(colours):
        table[red | green << 8 | blue << 16] = index
    return table
