"""Pictures: decoding, conversion to grey or RGB, and resizing, one picture or a whole column at a time."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import ExifTags, ImageOps, UnidentifiedImageError
from PIL import Image as PillowImage

from gradus.data.columns import Column, Image, take
from gradus.errors import UserError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
GREY_MODES = ("1", "L", "LA", "I", "I;16", "I;16B", "F")

Fit = Literal["stretch", "crop", "pad"]


def open_picture(source: bytes | Path, name: str) -> PillowImage.Image:
    """Opens an encoded picture (its header is read, its pixels are not). Raises `UserError` naming `name`."""
    try:
        if (isinstance(source, bytes) and not source) or (isinstance(source, Path) and source.stat().st_size == 0):
            raise UserError(f"{name}: the picture is empty (zero bytes)")
        return PillowImage.open(io.BytesIO(source) if isinstance(source, bytes) else source)
    except FileNotFoundError:
        raise UserError(f"{name}: there is no such file") from None
    except (UnidentifiedImageError, OSError, PillowImage.DecompressionBombError, SyntaxError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{name}: this is not a picture that can be read") from None


def decode_picture(source: bytes | Path, channels: int, name: str) -> np.ndarray:
    """Decodes to uint8 (height, width, channels). EXIF orientation is applied, transparency becomes white, and 16-bit
    pictures are scaled to 8 bits. Raises `UserError` naming `name` where the picture is broken."""
    picture = open_picture(source, name)
    try:
        return to_array(ImageOps.exif_transpose(picture) if _has_exif(picture) else picture, channels)
    except (OSError, SyntaxError, ValueError, TypeError, PillowImage.DecompressionBombError) as error:
        raise UserError(f"{name}: the picture is broken ({error})") from None


def _has_exif(picture: PillowImage.Image) -> bool:
    return picture.format in ("TIFF", "MPO") or "exif" in picture.info


def size_of(picture: PillowImage.Image) -> tuple[int, int]:
    """(height, width) that an opened picture will have when it is decoded, from its header."""
    return (picture.width, picture.height) if orientation_of(picture) >= 5 else (picture.height, picture.width)


def orientation_of(picture: PillowImage.Image) -> int:
    """EXIF's orientation of an opened picture: 1 as it is; 2 to 4 turned or mirrored; 5 to 8 with its sides exchanged."""
    found = picture.getexif().get(ExifTags.Base.Orientation, 1) if _has_exif(picture) else 1
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def to_array(picture: PillowImage.Image, channels: int) -> np.ndarray:
    """uint8 (height, width, channels) of a Pillow picture of any mode."""
    if picture.mode in ("I", "I;16", "I;16B", "F"):
        values = np.nan_to_num(np.asarray(picture, dtype=np.float64))
        largest = values.max(initial=0)
        if picture.mode.startswith("I;16") or largest > 255:
            values = values * (255 / 65535)
        elif picture.mode == "F" and largest <= 1:
            values = values * 255
        picture = PillowImage.fromarray(values.clip(0, 255).astype(np.uint8))
    if "A" in picture.mode or "transparency" in picture.info:
        rgba = picture.convert("RGBA")
        picture = PillowImage.new("RGBA", rgba.size, "white")
        picture.alpha_composite(rgba)
    array = np.asarray(picture.convert("L" if channels == 1 else "RGB"))
    return array[:, :, None] if channels == 1 else array


@dataclass(frozen=True)
class EncodedImages(Sequence):
    """Pictures still encoded: the bytes of a file (in memory, or `StoredPictures` on the disk), or its path. Read as uint8
    (height, width, channels) when asked for."""

    sources: Sequence[bytes | Path]
    names: Sequence[str]
    channels: int

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, index):
        return decode_picture(self.sources[index], self.channels, self.names[index])

    def take(self, indices: np.ndarray) -> EncodedImages:
        return EncodedImages(take(self.sources, indices), take(self.names, indices), self.channels)

    def sizes(self) -> Iterator[tuple[int, int]]:
        """(height, width) of each picture, from its header alone."""
        for source, name in zip(self.sources, self.names, strict=True):
            with open_picture(source, name) as picture:
                yield size_of(picture)


def resize(array: np.ndarray, size: tuple[int, int], fit: Fit = "stretch") -> np.ndarray:
    """A uint8 picture (height, width, channels) at `size` (height, width), antialiased.

    stretch: both sides scaled on their own. crop: the shorter side scaled, the rest of the longer cut off evenly.
    pad: the longer side scaled, the rest filled with black.
    """
    if array.shape[:2] == size:
        return array
    picture = PillowImage.fromarray(array[:, :, 0] if array.shape[2] == 1 else array)
    target = (size[1], size[0])
    bilinear = PillowImage.Resampling.BILINEAR
    if fit == "crop":
        picture = ImageOps.fit(picture, target, bilinear)
    elif fit == "pad":
        rows, columns, top, left = padded_place(array.shape[0], array.shape[1], size)
        whole = PillowImage.new(picture.mode, target)
        whole.paste(picture.resize((columns, rows), bilinear), (left, top))
        picture = whole
    else:
        picture = picture.resize(target, bilinear)
    result = np.asarray(picture)
    return result[:, :, None] if result.ndim == 2 else result


def padded_place(height: int, width: int, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Rows, columns, first row and first column of what a picture takes of `size` (height, width) when it is padded: as much as
    its sides allow, in the middle, and at least a pixel."""
    if width / height > size[1] / size[0]:
        rows, columns = max(1, round(height / width * size[1])), size[1]
    else:
        rows, columns = size[0], max(1, round(width / height * size[0]))
    return rows, columns, round((size[0] - rows) * 0.5), round((size[1] - columns) * 0.5)


def stack_pictures(column: Column, size: tuple[int, int], fit: Fit = "stretch") -> np.ndarray:
    """All pictures of a column as one uint8 array (N, height, width, channels) at `size` (height, width)."""
    assert isinstance(column.type, Image)
    if isinstance(column.values, np.ndarray) and column.values.shape[1:3] == size:
        return column.values
    stacked = np.empty((len(column), *size, column.type.channels), dtype=np.uint8)
    for index, array in enumerate(column):
        stacked[index] = resize(array, size, fit)
    return stacked
