"""Region proposals as part of the encoded data: computed once a picture, by all cores, and kept on the disk.

A picture's file is `proposals/DIGEST.npy` in the cache folder; the digest is of its pixels, of how many boxes are asked for and
of `VERSION`, so that the same picture is found again in whatever data set it is.
"""

from __future__ import annotations

import hashlib
import io
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gradus.boxes.proposals import propose
from gradus.data.columns import Column
from gradus.data.hub import Say, print_to_stderr
from gradus.data.places import cache_folder
from gradus.errors import UserError
from gradus.files import write_atomic

VERSION = 1  # of what `propose` gives: raised where it gives other boxes for the same picture
PART = 64  # pictures that are decoded and handed to the other processes at a time
TOLD_SECONDS = 5.0  # what takes longer is said beforehand


def proposals_of(column: Column, most: int, say: Say = print_to_stderr) -> tuple[Tensor, str]:
    """float32 (N, most, 4) in pixels of the pictures, the likeliest first, the rest empty (all 0); and a note on what was
    computed now, empty where all were on the disk."""
    folder = cache_folder() / "proposals"
    stacked = torch.zeros(len(column), most, 4)
    started, computed = time.perf_counter(), 0
    for start in range(0, len(column), PART):
        rows = range(start, min(start + PART, len(column)))
        pictures = [column[row] for row in rows]
        files = [folder / f"{_digest(picture, most)}.npy" for picture in pictures]
        found = [_read(file) for file in files]
        missing = [number for number, boxes in enumerate(found) if boxes is None]
        for number, boxes in zip(missing, _computed([pictures[number] for number in missing], most), strict=True):
            found[number] = boxes
            _keep(files[number], boxes)
            computed += 1
            left = (time.perf_counter() - started) * (len(column) - rows[number] - 1) / computed
            if computed == 2 and left > TOLD_SECONDS:
                say(f"computing region proposals: about {left:.0f} s for {len(column)} pictures, once")
        for row, kept in zip(rows, found, strict=True):
            assert kept is not None
            stacked[row, : len(kept)] = torch.from_numpy(kept[:most])
    seconds = time.perf_counter() - started
    note = f"region proposals of {computed} pictures computed in {seconds:.1f} s and kept in {folder}"
    return stacked, note if computed else ""


def _digest(picture: np.ndarray, most: int) -> str:
    digest = hashlib.sha256(f"{VERSION} {most} {picture.shape}".encode())
    digest.update(np.ascontiguousarray(picture).data)
    return digest.hexdigest()[:40]


def _read(file: Path) -> np.ndarray | None:
    """Boxes (P, 4) of a file; None where there is none, or where it is not what was kept."""
    try:
        boxes = np.load(io.BytesIO(file.read_bytes()))
    except (OSError, ValueError, EOFError):
        return None
    return boxes if boxes.dtype == np.float32 and boxes.ndim == 2 and boxes.shape[1] == 4 else None


def _keep(file: Path, boxes: np.ndarray) -> None:
    """Where the cache cannot be written, it is done without: the boxes are computed again the next time."""
    content = io.BytesIO()
    np.save(content, boxes)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(file, content.getvalue())
    except (OSError, UserError):
        pass


def propose_boxes(picture: np.ndarray, most: int) -> np.ndarray:
    """float32 (P, 4), P <= most, of a uint8 picture (height, width, 1 or 3)."""
    coloured = np.repeat(picture, 3, axis=2) if picture.shape[2] == 1 else picture
    return np.asarray(propose(coloured, most), dtype=np.float32).reshape(-1, 4)


def _computed(pictures: list[np.ndarray], most: int) -> Iterator[np.ndarray]:
    """In as many processes as there are cores; in this one where theirs are killed."""
    one, done = partial(propose_boxes, most=most), 0
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1
    if min(cores, len(pictures)) > 1:
        context = multiprocessing.get_context("fork")
        workers = ProcessPoolExecutor(min(cores, len(pictures)), context, _begin_worker)
        try:
            for boxes in workers.map(one, pictures):
                yield boxes
                done += 1
        except BrokenProcessPool:
            pass
        finally:
            workers.shutdown(cancel_futures=True)
    yield from map(one, pictures[done:])


def _begin_worker() -> None:
    """Ctrl-C is the parent's affair: it lets them end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
