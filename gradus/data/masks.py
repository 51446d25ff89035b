"""Masks: pictures whose pixels are classes, read from files of class numbers, palette indices or colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage

from gradus.data.columns import take
from gradus.data.images import open_picture
from gradus.errors import UserError

MOST_CLASSES = 255  # class numbers are stored in a byte, and one value stands for none


@dataclass(frozen=True)
class EncodedMasks(Sequence):
    """Masks still encoded, read as uint8 (height, width) class indices when asked for.

    table: uint8 (256,): what each value of a file becomes, `ignore` where it stands for no class
    """

    sources: Sequence[bytes | Path]
    names: Sequence[str]
    table: np.ndarray

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, index):
        return self.table[decode_indices(self.sources[index], self.names[index])]

    def take(self, indices: np.ndarray) -> EncodedMasks:
        return EncodedMasks(take(self.sources, indices), take(self.names, indices), self.table)


def identity_table(classes: int, ignore: int) -> np.ndarray:
    """The table of files that hold class indices: every other value stands for none."""
    table = np.full(256, ignore, dtype=np.uint8)
    table[:classes] = np.arange(classes)
    return table


def decode_indices(source: bytes | Path, name: str) -> np.ndarray:
    """uint8 (height, width): the values of a grey file, or the palette's indices. Raises `UserError` naming `name`."""
    picture = open_picture(source, name)
    if picture.mode not in ("L", "P", "1", "I", "I;16"):
        raise UserError(f"{name}: a mask holds class numbers or a palette, this picture is {picture.mode}")
    try:
        values = np.asarray(picture.convert("L") if picture.mode == "1" else picture)
    except (OSError, SyntaxError, ValueError, PillowImage.DecompressionBombError) as error:
        raise UserError(f"{name}: the mask is broken ({error})") from None
    if values.size and values.max() > 255:
        raise UserError(f"{name}: class numbers go to 255, found {int(values.max())}")
    return values.astype(np.uint8)
