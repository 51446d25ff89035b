"""The classic picture of a convolutional network: stacks of maps that get smaller and more, from left to right, then vectors.

For networks without branches. Maps are drawn as squares (their sides grow with the logarithm of their size), a stack shows at
most `SHOWN` of them; vectors are bars.
"""

from __future__ import annotations

import math

from gradus.look.network.boxes import pictures_of
from gradus.look.network.canvas import SMALL, Arrow, Canvas, Rectangle, Words, text_width
from gradus.look.network.drawing import COLOURS
from gradus.look.network.graph import Graph

SHOWN = 6  # maps of a stack
LONGEST = 16  # stacks in a picture
OFFSET = 6.0  # pixels from one map of a stack to the next
HIGH, LOW = 150.0, 14.0  # the largest and smallest side of a map
GAP, MARGIN = 30.0, 14.0


def draw_volumes(graph: Graph) -> Canvas | None:
    """The canvas, or None for a network that is no chain from pictures, or too long to be legible."""
    boxes = pictures_of(graph, {}, "", depth=len(graph.nodes))[0].boxes
    chain = all(box.inputs == [number - 1] for number, box in enumerate(boxes) if number)
    shapes = [graph.nodes[box.members[-1]].shapes[0] for box in boxes]
    drawn = [
        (box, shape)
        for number, (box, shape) in enumerate(zip(boxes, shapes, strict=True))
        if number == 0 or box.family not in ("shape", "pointwise")
    ]
    pictured = chain and len(shapes[0]) == 3 and any(box.family == "convolution" for box in boxes)
    if not pictured or len(drawn) > LONGEST or not all(len(shape) in (1, 3) for _, shape in drawn):
        return None
    largest = max(max(shape[1:]) for _, shape in drawn if len(shape) == 3)
    canvas = Canvas(0, HIGH + OFFSET * SHOWN + 96)
    middle = 44 + (HIGH + OFFSET * SHOWN) / 2
    x = MARGIN
    right: tuple[float, float] | None = None
    for index, (box, shape) in enumerate(drawn):
        width, height = _size(shape, largest)
        count = min(shape[0], SHOWN) if len(shape) == 3 else 1
        above = "x".join(map(str, shape)) if len(shape) == 1 else f"{shape[0]} @ {shape[1]}x{shape[2]}"
        lines = [] if index == 0 else box.lines()[:1]
        room = max(
            width + OFFSET * (count - 1), text_width(above, SMALL), *(text_width(line, SMALL) for line in lines), 0
        )
        left = x + (room - width - OFFSET * (count - 1)) / 2
        top = middle - (height + OFFSET * (count - 1)) / 2
        if right is not None:
            canvas.shapes.append(Arrow((right, (left - 3, middle)), curved=False))
        role = COLOURS["input" if index == 0 else box.family]
        for number in range(count):
            shift = OFFSET * number
            canvas.shapes.append(Rectangle(left + shift, top + shift, width, height, role, tint=0.18, corner=1.0))
        centre = x + room / 2
        canvas.shapes.append(Words(centre, top - 10, above, SMALL, bold=False))
        canvas.shapes += [
            Words(centre, canvas.height - 24 + 13 * n, line, SMALL, "muted") for n, line in enumerate(lines)
        ]
        right = (left + width + OFFSET * (count - 1) + 3, middle)
        x += room + GAP
    canvas.width = x - GAP + MARGIN
    return canvas


def _size(shape: tuple[int, ...], largest: int) -> tuple[float, float]:
    """Width and height in pixels of a map (C, H, W), or of a vector as a bar."""

    def side(pixels: int) -> float:
        return LOW + (HIGH - LOW) * math.log(pixels) / math.log(max(largest, 2))

    if len(shape) == 3:
        return side(shape[2]), side(shape[1])
    return 9.0, min(HIGH + OFFSET * SHOWN, 20 + 18 * math.log2(max(shape[0], 2)))
