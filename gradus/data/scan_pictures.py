"""What the scan learns of each picture: its size, its mode, whether it decodes, and a hash of its file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gradus.data.columns import Image
from gradus.data.dataset import Dataset
from gradus.data.images import EncodedImages, decode_picture, open_picture, size_of
from gradus.errors import UserError

PLAIN_MODES = ("L", "RGB")
ODDITIES = {
    "1": "black and white without greys",
    "P": "a palette picture",
    "LA": "with transparency, which becomes white",
    "PA": "with transparency, which becomes white",
    "RGBA": "with transparency, which becomes white",
    "RGBa": "with transparency, which becomes white",
    "CMYK": "in printing colours, which are converted to RGB",
    "YCbCr": "in YCbCr colours, which are converted to RGB",
    "LAB": "in Lab colours, which are converted to RGB",
    "HSV": "in HSV colours, which are converted to RGB",
    "I": "of more than 8 bits, which are scaled to 8",
    "I;16": "of 16 bits, which are scaled to 8",
    "I;16B": "of 16 bits, which are scaled to 8",
    "F": "of decimal numbers, which are scaled to 8 bits",
}


@dataclass(frozen=True)
class PictureFacts:
    """One picture. `broken` is the sentence that says why it cannot be read; `oddity` what is unusual in its mode."""

    origin: str
    content: bytes | int  # hash of the file; equal for equal pictures only
    height: int = 0
    width: int = 0
    oddity: str = ""
    broken: str = ""


def look_at_pictures(dataset: Dataset) -> dict[str, list[PictureFacts]]:
    """Column name -> the facts of its pictures, over all splits in order."""
    facts: dict[str, list[PictureFacts]] = {}
    for name, kind in dataset.types.items():
        if not isinstance(kind, Image):
            continue
        facts[name] = []
        for split in dataset.splits.values():
            values = split[name].values
            for index in range(len(split)):
                origin, number = split.origins[index], len(facts[name])
                if isinstance(values, EncodedImages):
                    facts[name].append(_look_at_file(values.sources[index], origin, number))
                else:
                    facts[name].append(_look_at_array(np.asarray(values[index]), origin))
    return facts


def _hash(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()


def _look_at_array(array: np.ndarray, origin: str) -> PictureFacts:
    content = _hash(repr(array.shape).encode() + array.tobytes())
    return PictureFacts(origin, content, height=array.shape[0], width=array.shape[1])


def _look_at_file(source: bytes | Path, origin: str, number: int) -> PictureFacts:
    """number: of the picture in the data set; stands in for the hash of a broken one, which is like no other."""
    try:
        content = source.read_bytes() if isinstance(source, Path) else source
        with open_picture(content, "") as picture:
            mode, (height, width) = picture.mode, size_of(picture)
        decode_picture(content, 3, "")
    except FileNotFoundError:
        return PictureFacts(origin, number, broken="there is no such file")
    except (UserError, OSError) as error:
        return PictureFacts(origin, number, broken=str(error).removeprefix(": "))
    oddity = "" if mode in PLAIN_MODES else f"a picture {ODDITIES.get(mode, 'of the unusual mode')} (mode {mode})"
    return PictureFacts(origin, _hash(content), height, width, oddity.replace("a picture a ", "a "))
