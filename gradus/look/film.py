"""Pictures one after the other as a film: GIF, or a video where PyAV is installed."""

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from gradus.errors import UserError
from gradus.files import write_atomic

VIDEOS = (".mp4", ".mkv", ".mov", ".webm")
FASTEST = 50  # frames a second of a GIF, whose clock counts hundredths of a second; what is faster is shown slowly


def check_film(path: Path) -> None:
    """Raises `UserError` for a name that says no format, and for a video without the package that writes it."""
    suffix = path.suffix.lower()
    if suffix not in (".gif", *VIDEOS):
        raise UserError(f"{path}: a film ends in .gif, or in {', '.join(VIDEOS)}")
    if not path.parent.is_dir():
        raise UserError(f"{path}: there is no folder {path.parent}")
    if suffix in VIDEOS:
        try:
            import av  # noqa: F401 - only asked for
        except ImportError:
            raise UserError(
                f"{path}: videos need a package that is not installed: pip install 'gradus[video]'; or end it in .gif"
            ) from None


def write_film(path: Path, frames: Sequence[np.ndarray], frames_a_second: float) -> None:
    """Writes pictures (H, W, 3) uint8 of one size. A GIF has one palette of 256 colours for all of them, and repeats."""
    check_film(path)
    if path.suffix.lower() == ".gif":
        write_atomic(path, _gif(frames, frames_a_second))
    else:
        write_atomic(path, _video(frames, frames_a_second, path.suffix.lower()))


def _gif(frames: Sequence[np.ndarray], frames_a_second: float) -> bytes:
    some = np.concatenate([frames[index] for index in np.linspace(0, len(frames) - 1, min(len(frames), 8)).astype(int)])
    palette = Image.fromarray(some).quantize(256, dither=Image.Dither.NONE)
    drawn = [Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    written = io.BytesIO()
    duration = round(100 / min(frames_a_second, FASTEST)) * 10  # milliseconds, in whole hundredths of a second
    drawn[0].save(written, "GIF", save_all=True, append_images=drawn[1:], duration=duration, loop=0)
    return written.getvalue()


def _video(frames: Sequence[np.ndarray], frames_a_second: float, suffix: str) -> bytes:
    import av

    written = io.BytesIO()
    names = {".mkv": "matroska", ".webm": "webm"}
    with av.open(written, "w", format=names.get(suffix, suffix[1:])) as container:
        stream = container.add_stream(
            "vp9" if suffix == ".webm" else "h264", Fraction(frames_a_second).limit_denominator(1000)
        )
        height, width = frames[0].shape[:2]
        stream.width, stream.height, stream.pix_fmt = width - width % 2, height - height % 2, "yuv420p"
        for frame in frames:
            even = np.ascontiguousarray(frame[: stream.height, : stream.width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))
        container.mux(stream.encode())
    return written.getvalue()
