"""The drawing of a network from the top down: boxes in the colours of what they do, the sizes of tensors on the arrows.

A high drawing is cut where a single tensor passes, and goes on at the top of the next column.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gradus.look.layout import Place, layers_of, place
from gradus.look.network.boxes import Box, Picture
from gradus.look.network.canvas import FONT, SMALL, Arrow, Canvas, Rectangle, Words, text_width
from gradus.look.network.graph import FAMILIES

COLOURS = {  # family -> colour role
    "input": "ink",
    "convolution": "model",
    "pooling": "second",
    "dense": "third",
    "sequence": "fourth",
    "join": "sixth",
    "pointwise": "muted",
    "shape": "muted",
    "block": "fifth",
    "other": "ink",
}
TALLEST = 1000.0  # pixels of a column
PAD, LINE, LABEL, GAP = (
    8.0,
    15.0,
    17.0,
    24.0,
)  # in a box beside its text; a line; the shape below a box; to the next layer
BETWEEN, PASSING, MARGIN, CHANNEL = 18.0, 14.0, 10.0, 26.0  # boxes side by side, a passing arrow, the edge, two columns


@dataclass
class Cell:
    """A box with its place. x: of its middle; top; the shape that it gives stands in `LABEL` below it."""

    box: Box
    x: float = 0.0
    top: float = 0.0

    @property
    def width(self) -> float:
        lines = self.box.lines()
        widths = [text_width(lines[0], FONT, bold=True), *(text_width(line, SMALL) for line in lines[1:])]
        return max(*widths, 24.0) + 2 * PAD

    @property
    def height(self) -> float:
        return LINE * len(self.box.lines()) + PAD

    @property
    def label(self) -> str:
        return " · ".join(self.box.gives)

    @property
    def room(self) -> float:
        return max(self.width, text_width(self.label, SMALL) + 4)

    @property
    def bottom(self) -> float:
        return self.top + self.height


def draw(picture: Picture) -> Canvas:
    """The canvas of a picture, with a legend of the colours in it."""
    cells = [Cell(box) for box in picture.boxes]
    inputs = [box.inputs for box in picture.boxes]
    columns = _columns(cells, inputs)
    canvas = Canvas(0, 0)
    left, lowest, entry = MARGIN, 0.0, None
    for column in columns:
        arrows, width, height = _lay(cells, inputs, column, left, entry)
        if entry is not None:
            canvas.shapes.append(_crossing(cells[entry], left - CHANNEL / 2, arrows[0].points[0]))
        canvas.shapes += arrows
        left, lowest, entry = left + width + CHANNEL, max(lowest, height), column.leaves
    for cell in cells:
        canvas.shapes += _cell(cell)
    legend, width = _legend(picture, lowest + 34)
    canvas.shapes += legend
    canvas.width, canvas.height = max(left - CHANNEL + MARGIN, width), lowest + 50
    return canvas


@dataclass(frozen=True)
class Column:
    """boxes: their numbers; leaves: the one whose tensor goes on in the next column, where there is one."""

    boxes: list[int]
    leaves: int | None = None


def _columns(cells: Sequence[Cell], inputs: Sequence[Sequence[int]]) -> list[Column]:
    """The boxes of each column: cut where one tensor passes, best between modules, about equally high."""
    layers = layers_of(inputs)
    members: list[list[int]] = [[] for _ in range(max(layers) + 1)]
    for number, layer in enumerate(layers):
        members[layer].append(number)
    heights = [max(cells[number].height for number in layer) + LABEL + GAP for layer in members]
    wanted = sum(heights) / max(1, round(0.2 + sum(heights) / TALLEST))
    cuts: dict[int, int] = {}  # layer after which a column can end -> the box whose tensor goes on
    for layer, numbers in enumerate(members[:-1]):
        later = [source for target, sources in enumerate(inputs) if layers[target] > layer for source in sources]
        crossing = {source for source in later if layers[source] <= layer}
        if len(numbers) == 1 and crossing == set(numbers):
            cuts[layer] = numbers[0]
    columns: list[Column] = []
    begin = 0
    while sum(heights[begin:]) > 1.4 * wanted:
        reach = {cut: sum(heights[begin : cut + 1]) / wanted for cut in cuts if cut >= begin}
        near = [cut for cut, share in reach.items() if 0.7 < share < 1.2] or [
            cut for cut in reach if reach[cut] >= 1.2
        ][:1]
        if not near:
            break
        best = min(near, key=lambda cut: (cells[cuts[cut]].box.depth, abs(reach[cut] - 1)))
        columns.append(Column([number for layer in members[begin : best + 1] for number in layer], cuts[best]))
        begin = best + 1
    return [*columns, Column([number for layer in members[begin:] for number in layer])]


def _lay(
    cells: Sequence[Cell], inputs: Sequence[Sequence[int]], column: Column, left: float, entry: int | None
) -> tuple[list[Arrow], float, float]:
    """Sets the places of a column's boxes. Returns its arrows, width and height.

    entry: the box whose tensor comes in at the top
    """
    local = {number: index for index, number in enumerate(column.boxes, start=entry is not None)}
    if entry is not None:
        local[entry] = 0
    numbers = [*([entry] if entry is not None else []), *column.boxes]
    ways = [[local[s] for s in inputs[number]] if number != entry else [] for number in numbers]
    rooms = [cells[number].room if number != entry else PASSING for number in numbers]
    places, bends = place(ways, rooms, BETWEEN, PASSING)
    every = [*places, *(bend for way in bends.values() for bend in way)]
    start = min(one.y - one.height / 2 for one in every)
    layers = max(one.layer for one in places) + 1
    tops, heights = [MARGIN], [0.0] * layers
    for one, number in zip(places, numbers, strict=True):
        heights[one.layer] = max(heights[one.layer], cells[number].height + LABEL if number != entry else 0.0)
    for height in heights:
        tops.append(tops[-1] + height + GAP)
    for one, number in zip(places, numbers, strict=True):
        if number != entry:
            cells[number].x, cells[number].top = left + one.y - start, tops[one.layer]

    def out_of(index: int) -> tuple[float, float]:
        cell = cells[numbers[index]]
        return (left + places[index].y - start, tops[0]) if numbers[index] == entry else (cell.x, cell.bottom)

    arrows = []
    for target, sources in enumerate(ways):
        for source in _from_left(sources, target, places, bends):
            points = [out_of(source)]
            if numbers[source] != entry:
                points.append((points[0][0], points[0][1] + LABEL))
            for bend in bends[source, target]:
                x = left + bend.y - start
                points += [(x, tops[bend.layer]), (x, tops[bend.layer] + heights[bend.layer])]
            points.append(
                (_arrival(cells[numbers[target]], sources, source, target, places, bends), tops[places[target].layer])
            )
            arrows.append(Arrow(tuple(points)))
    if entry is not None:
        arrows.sort(key=lambda arrow: arrow.points[0] != out_of(0))
    width = max(one.y + one.height / 2 for one in every) - start
    return arrows, width, tops[-1] - GAP


def _from_left(sources: Sequence[int], target: int, places: Sequence[Place], bends: dict) -> list[int]:
    """The sources of a box in the order in which their arrows arrive."""
    return sorted(sources, key=lambda source: (bends[source, target] or [places[source]])[-1].y)


def _arrival(
    cell: Cell, sources: Sequence[int], source: int, target: int, places: Sequence[Place], bends: dict
) -> float:
    """Where on the upper edge an arrow arrives: several are spread over it."""
    order = _from_left(sources, target, places, bends)
    step = min(14.0, (cell.width - 16) / max(len(order) - 1, 1))
    return cell.x + step * (order.index(source) - (len(order) - 1) / 2)


def _crossing(cell: Cell, channel: float, to: tuple[float, float]) -> Arrow:
    """From the last box of a column up to the top of the next."""
    low = cell.bottom + LABEL + 8
    return Arrow(((cell.x, cell.bottom), (cell.x, low), (channel, low), (channel, to[1]), to), curved=False, head=False)


def _cell(cell: Cell) -> list[Rectangle | Words | Arrow]:
    role = COLOURS[cell.box.family]
    shapes: list[Rectangle | Words | Arrow] = []
    if cell.box.is_output:
        tip = cell.bottom + LABEL + 12
        shapes.append(Arrow(((cell.x, cell.bottom), (cell.x, tip))))
    shapes.append(Rectangle(cell.x - cell.width / 2, cell.top, cell.width, cell.height, role))
    if cell.box.times > 1:  # a second edge behind it: several
        shapes.insert(-1, Rectangle(cell.x - cell.width / 2 + 3, cell.top + 3, cell.width, cell.height, role))
    named = bool(cell.box.name)
    for index, line in enumerate(cell.box.lines()):
        y = cell.top + PAD / 2 + LINE * (index + 0.5)
        last = named and index == len(cell.box.lines()) - 1
        first = index == 0
        size, shade = (FONT, "ink") if first else (SMALL, "muted" if last else "ink")
        shapes.append(Words(cell.x, y, line, size, shade, bold=first))
    shapes.append(Words(cell.x, cell.bottom + LABEL / 2 + 1, cell.label, SMALL, "ink", plate=True))
    return shapes


def _legend(picture: Picture, y: float) -> tuple[list[Rectangle | Words], float]:
    """The colours that occur, with their meaning, in one line; and its width."""
    present = {box.family for box in picture.boxes}
    shapes: list[Rectangle | Words] = []
    x, seen = MARGIN, set[str]()
    for family, words in FAMILIES.items():
        if family in present and family != "input":
            same = [FAMILIES[other] for other in FAMILIES if other in present and COLOURS[other] == COLOURS[family]]
            if COLOURS[family] in seen:
                continue
            seen.add(COLOURS[family])
            text = ", ".join(one for one in same if one != "input") or words
            shapes += [
                Rectangle(x, y - 6, 12, 12, COLOURS[family], corner=2),
                Words(x + 17, y, text, SMALL, anchor="start"),
            ]
            x += 17 + text_width(text, SMALL) + 16
    return shapes, x


def describe(picture: Picture) -> str:
    """The drawing for a screen reader."""
    said = []
    for box in picture.boxes:
        sources = [picture.boxes[source].title for source in box.inputs]
        said.append(
            f"{box.title}{' from ' + ' and '.join(sources) if sources else ''}, gives {' and '.join(box.gives)}"
        )
    return f"Network {picture.title}. " + "; ".join(said)
