"""Outlines of objects: polygons and run lengths, as COCO and YOLO write them, drawn as masks, and traced back.

A pixel belongs to a polygon that its middle lies in, by an odd number of borders to its left; so borders along the pixels' own
edges, as `trace` gives them, are drawn back exactly.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from gradus.data.columns import take
from gradus.errors import UserError

Size = tuple[int, int]  # height, width
REST, UNKNOWN = 254, 255  # in drawings, the numbers of pixels of no object, and of those whose class is not known
Part = tuple[tuple[slice, slice], np.ndarray]  # rows and columns of a picture, and which of the pixels there are inside


@dataclass(frozen=True)
class Polygons:
    """The parts of an object, each float (corners, 2) of x and y in pixels; pixel i covers i to i + 1."""

    parts: tuple[np.ndarray, ...]

    def draw(self, size: Size) -> Iterator[Part]:
        return (fill(part, size) for part in self.parts)


@dataclass(frozen=True)
class Runs:
    """COCO's run lengths, int (N,): pixels outside and inside in turn, column by column from the upper left of a picture of
    `size`."""

    counts: np.ndarray
    size: Size

    def draw(self, size: Size) -> Iterator[Part]:
        inside = np.arange(len(self.counts)) % 2 == 1
        yield np.s_[0 : size[0], 0 : size[1]], np.repeat(inside, self.counts).reshape(self.size, order="F")


@dataclass(frozen=True)
class Drawing:
    """What is known of one picture's pixels: the class number and outline of each object, drawn larger ones first (so that what
    lies before something is seen), and the boxes (left, top, right, bottom) in which objects have no outline.
    """

    outlines: tuple[tuple[int, Polygons | Runs], ...]
    boxes: tuple[tuple[float, float, float, float], ...] = ()

    def draw(self, size: Size) -> np.ndarray:
        """uint8 (height, width): class numbers, REST where there is no object, UNKNOWN in `boxes`."""
        mask = np.full(size, REST, dtype=np.uint8)
        for left, top, right, bottom in self.boxes:
            window, inside = fill(np.array([[left, top], [right, top], [right, bottom], [left, bottom]]), size)
            mask[window][inside] = UNKNOWN
        drawn = [(number, list(outline.draw(size))) for number, outline in self.outlines]
        for number, parts in sorted(drawn, key=lambda one: -sum(int(inside.sum()) for _, inside in one[1])):
            for window, inside in parts:
                mask[window][inside] = number
        return mask


@dataclass(frozen=True)
class DrawnMasks(Sequence):
    """Masks that are drawn when asked for: uint8 (height, width) class indices.

    sizes: of the pictures, None where one cannot be read or its outlines do not fit it
    table: uint8 (256,): the class index of each number in the drawings
    """

    drawings: Sequence[Drawing]
    sizes: Sequence[Size | None]
    names: Sequence[str]
    table: np.ndarray

    def __len__(self) -> int:
        return len(self.drawings)

    def __getitem__(self, index):
        size = self.sizes[index]
        if size is None:
            raise UserError(f"{self.names[index]}: its mask cannot be drawn")
        return self.table[self.drawings[index].draw(size)]

    def take(self, indices: np.ndarray) -> DrawnMasks:
        drawings, sizes, names = (take(values, indices) for values in (self.drawings, self.sizes, self.names))
        return DrawnMasks(drawings, sizes, names, self.table)


def fill(corners: np.ndarray, size: Size) -> Part:
    """The pixels of a picture of `size` whose middle is in the polygon of `corners`, float (N, 2), by the even-odd rule."""
    height, width = size
    start, end = corners, np.roll(corners, -1, axis=0)
    # each border from above to below, whichever way it is walked: so one that is walked twice takes itself back
    falls = start[:, 1:] <= end[:, 1:]
    low, high = np.where(falls, start, end), np.where(falls, end, start)
    first, last = (np.clip(np.ceil(one[:, 1] - 0.5), 0, height).astype(int) for one in (low, high))
    rows = last - first
    border = np.repeat(np.arange(len(corners)), rows)
    row = np.arange(len(border)) - np.repeat(np.cumsum(rows) - rows, rows) + first[border]
    (x, y), (to_x, to_y) = low[border].T, high[border].T
    crossing = x + (row + 0.5 - y) * (to_x - x) / (to_y - y)
    column = np.clip(np.ceil(crossing - 0.5), 0, width).astype(int)
    if not len(row):
        return np.s_[0:0, 0:0], np.zeros((0, 0), dtype=bool)
    top, left = row.min(), column.min()
    flips = np.zeros((row.max() + 1 - top, column.max() + 1 - left), dtype=np.uint8)
    np.bitwise_xor.at(flips, (row - top, column - left), 1)
    inside = np.bitwise_xor.accumulate(flips, axis=1)[:, :-1].astype(bool)  # nothing lies behind the last crossing
    return np.s_[top : top + inside.shape[0], left : left + inside.shape[1]], inside


def trace(mask: np.ndarray) -> Iterator[tuple[np.ndarray, int]]:
    """(outline, area) of each connected part of a bool (height, width) mask: float (corners, 2) along the edges of its pixels,
    and how many these are. Holes hang on the outer border, and on each other, by cuts that are walked both ways."""
    from scipy.ndimage import find_objects, label

    numbered, _ = label(mask)
    for number, window in enumerate(find_objects(numbered), start=1):
        corner = np.array([window[1].start, window[0].start], dtype=np.float64)
        part = numbered[window] == number
        # the outer border, then holes downwards
        loops = sorted(_loops(part), key=lambda loop: loop.min(axis=0)[::-1].tolist())
        walk = loops[:1]
        for above, hole in pairwise(loops):
            walk += [above[:1], hole]
        back = [loop[:1] for loop in reversed(loops)] if len(loops) > 1 else []
        yield np.concatenate([*walk, *back]) + corner, int(part.sum())


def _loops(mask: np.ndarray) -> Iterator[np.ndarray]:
    """The closed borders of a mask, each (corners, 2), pixels to the right of the walk."""
    padded = np.pad(mask, 1).astype(np.int8)
    across, down = np.diff(padded, axis=0)[:, 1:-1], np.diff(padded, axis=1)[1:-1]
    nexts: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for y, x in np.argwhere(across).tolist():  # above a pixel to the right, below one to the left
        here, there = ((x, y), (x + 1, y)) if across[y, x] > 0 else ((x + 1, y), (x, y))
        nexts.setdefault(here, []).append(there)
    for y, x in np.argwhere(down).tolist():  # left of a pixel upwards, right of one downwards
        here, there = ((x, y + 1), (x, y)) if down[y, x] > 0 else ((x, y), (x, y + 1))
        nexts.setdefault(here, []).append(there)
    while nexts:
        walk = [next(iter(nexts))]
        while len(walk) == 1 or walk[-1] != walk[0]:
            here = walk[-1]
            walk.append(nexts[here].pop())
            if not nexts[here]:
                del nexts[here]
        steps = np.diff(np.array(walk, dtype=np.float64), axis=0)
        turns = (steps != np.roll(steps, 1, axis=0)).any(axis=1)
        yield np.array(walk[:-1], dtype=np.float64)[turns]


def read_runs(counts: str | Sequence[int], size: Size) -> Runs | None:
    """COCO's run lengths, as numbers or in its text form; None where they do not cover a picture of `size` just so."""
    numbers = _runs_of(counts) if isinstance(counts, str) else list(counts)
    if numbers is None or min(numbers, default=-1) < 0 or sum(numbers) != size[0] * size[1] or max(numbers) > 2**31:
        return None
    return Runs(np.array(numbers, dtype=np.int64), size)


def _runs_of(text: str) -> list[int] | None:
    """The text form: five bits a character from 48, the sixth says that more follow, the last's fifth bit is the sign; from the
    fourth number on, the difference to the last but one (as the public cocoapi has it)."""
    numbers: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64:
            return None
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        numbers.append(value + (numbers[-2] if len(numbers) > 2 else 0))
        value = shift = 0
    return None if shift else numbers
