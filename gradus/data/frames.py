"""Pictures one after the other, from files, folders, moving pictures and videos, never more than one of them in memory.

A frame of a moving picture (GIF, WebP, APNG) or of a video is named FILE#NUMBER, counted from 1. Videos need PyAV.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageSequence

from gradus.data.images import SUFFIXES, decode_picture, open_picture, to_array
from gradus.errors import UserError

VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg")
MOVING = (".gif", ".webp", ".png", ".apng")


@dataclass(frozen=True)
class Frame:
    """One picture: uint8 (height, width, channels). name: for people; path: relative, unlike that of other inputs of one command
    only by chance, without suffix, to name what is made of it."""

    name: str
    path: Path
    pixels: np.ndarray


def find_files(inputs: Sequence[str | Path]) -> list[tuple[Path, Path]]:
    """(file, its path within the folder that was named) of each picture and video of files and folders, folders sorted.

    Raises `UserError` for what is not there, holds no picture, or cannot be read without PyAV: before anything is begun.
    """
    found: list[tuple[Path, Path]] = []
    for given in inputs:
        path = Path(given)
        if path.is_dir():
            files = sorted(f for f in path.rglob("*") if _suits(f) and not f.name.startswith("."))
            if not files:
                raise UserError(f"{path}: there is no picture and no video in this folder")
            found += [(file, file.relative_to(path)) for file in files]
        elif not path.exists():
            raise UserError(f"{path}: there is no such file")
        elif path.suffix.lower() in (".csv", ".tsv", ".json", ".jsonl", ".parquet", ".txt"):
            raise UserError(f"{path}: this run takes pictures and videos, received a {path.suffix} file")
        else:
            found.append((path, Path(path.name)))
    for file, _ in found:
        if file.suffix.lower() in VIDEOS:
            _pyav(file)
            break
    return found


def _suits(path: Path) -> bool:
    return path.suffix.lower() in (*SUFFIXES, *VIDEOS, *MOVING)


def read_frames(files: Sequence[tuple[Path, Path]], channels: int) -> Iterator[Frame]:
    """The frames of what `find_files` found. channels: 1 (grey) or 3 (RGB)."""
    for file, relative in files:
        if file.suffix.lower() in VIDEOS:
            parts = _video(file, channels)
        elif file.suffix.lower() in MOVING and _moves(file):
            parts = _moving(file, channels)
        else:
            yield Frame(str(file), relative.with_suffix(""), decode_picture(file, channels, str(file)))
            continue
        for number, pixels in enumerate(parts, start=1):
            yield Frame(f"{file}#{number}", relative.with_name(f"{relative.stem}-{number:05d}"), pixels)


def _moves(file: Path) -> bool:
    with open_picture(file, str(file)) as picture:
        return getattr(picture, "n_frames", 1) > 1


def _moving(file: Path, channels: int) -> Iterator[np.ndarray]:
    with open_picture(file, str(file)) as picture:
        try:
            for frame in ImageSequence.Iterator(picture):
                yield to_array(frame.copy(), channels)
        except (OSError, SyntaxError, ValueError, PillowImage.DecompressionBombError) as error:
            raise UserError(f"{file}: the picture is broken ({error})") from None


def _video(file: Path, channels: int) -> Iterator[np.ndarray]:
    av = _pyav(file)
    try:
        with av.open(str(file)) as container:
            if not container.streams.video:
                raise UserError(f"{file}: there are no pictures in this video")
            found = False
            for frame in container.decode(video=0):
                found = True
                pixels = frame.to_ndarray(format="gray" if channels == 1 else "rgb24")
                pixels = np.rot90(pixels, round(frame.rotation / 90))  # as a player shows what a phone took upright
                yield np.ascontiguousarray(pixels[:, :, None] if channels == 1 else pixels)
            if not found:
                raise UserError(f"{file}: there are no pictures in this video")
    except (av.FFmpegError, OSError) as error:
        raise UserError(f"{file}: the video cannot be read ({error})") from None


def _pyav(file: Path):
    try:
        import av
    except ImportError:
        raise UserError(f"{file}: videos need a package that is not installed: pip install 'gradus[video]'") from None
    return av
