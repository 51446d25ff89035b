"""A computation graph as an inline SVG: left to right, each value in a box with its derivative below it.

Above a box stands the name of its value, where it has one; in it the value, and under a line the derivative in another
colour. The circle at its left edge is the operation that made it. Text stays text, colours are the roles of `charts.py`. One
unit is one pixel: a drawing is shown no larger than that, and where there is no room for it it scrolls sideways before its
text gets too small to read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gradus.look.charts import ROLES
from gradus.look.layout import place
from gradus.look.page import Html, element
from gradus.look.text import brief, number
from gradus.reference.graph import Variable, in_order, names_of

LARGEST = 80  # values that one drawing holds
TEXT = 14.0  # pixels
LETTER = 0.56 * TEXT  # the mean width of a letter or digit
SMALLEST = 0.8  # of its size: less is not legible
ROW, NAME, CIRCLE, GAP, BETWEEN = 22.0, 19.0, 12.0, 14.0, 28.0  # heights of a line and a name, a radius, two distances
SIGNS = {"*": "×", "-": "−", "/": "÷", "**": "xʸ", "transpose": "T", "convolution": "∗"}


def draw_graph(variable: Variable, name: str) -> Html:
    """The graph of all that `variable` was computed from.

    name: unique in the page, letters, digits and hyphens. Derivatives are shown after `variable.backward()`.

    Raises ValueError where the graph has more than `LARGEST` values: it would not be legible.
    """
    order = in_order(variable)
    if len(order) > LARGEST:
        raise ValueError(
            f"a drawing holds {LARGEST} values, this graph has {len(order)}: draw a smaller one, or list it with trace()"
        )
    names = names_of(order)
    number_of = {id(node): index for index, node in enumerate(order)}
    inputs = [[number_of[id(source)] for source in node.inputs] for node in order]
    drawing = _Drawing([_box(node) for node in order], inputs)
    legend, width, height = _legend(drawing, names[id(variable)])
    head = element(
        "marker",
        element("path", d="M0,0 L8,4 L0,8 z", fill=role("muted")),
        id=f"{name}-head",
        orient="auto",
        markerUnits="userSpaceOnUse",
        **{"viewBox": "0 0 8 8", "refX": "7", "refY": "4", "markerWidth": "8", "markerHeight": "8"},
    )
    svg = element(
        "svg",
        element("defs", head),
        *(drawing.edge(target, slot, name) for target, sources in enumerate(inputs) for slot in range(len(sources))),
        *(drawing.node(index) for index in range(len(order))),
        legend,
        role="img",
        aria_label=_words(drawing.boxes, inputs, [names[id(node)] for node in order]),
        style=f"max-width: {width:.0f}px; min-width: {SMALLEST * width:.0f}px",
        **{"viewBox": f"0 0 {width:.0f} {height:.0f}", "font-size": f"{TEXT:g}"},
    )
    return element("div", svg, class_="scroll", tabindex="0")


def role(colour: str) -> str:
    """A colour of `charts.py` as the page's variable, with the light theme's as fallback."""
    return f"var(--{colour}, {ROLES[colour][1]})"


@dataclass(frozen=True)
class _Box:
    """What a value's box says. operation: empty for what was given; derivative: None where there is none to show."""

    name: str
    operation: str
    value: str
    derivative: str | None
    constant: bool

    @property
    def width(self) -> float:
        if self.constant:
            return LETTER * len(self.value) + 8
        longest = max(len(self.value), len(self.derivative or ""))
        return max(LETTER * longest + 16, LETTER * len(self.name) + 4, 40.0)

    @property
    def sign(self) -> float:
        """The width of the operation's sign: a circle, wider around a word."""
        return max(2 * CIRCLE, LETTER * len(self.operation) + 10) if self.operation else 0.0

    @property
    def body(self) -> float:
        """The height without the name."""
        return ROW if self.derivative is None else 2 * ROW

    @property
    def height(self) -> float:
        return self.body + (NAME if self.name else 0.0)


def _box(node: Variable) -> _Box:
    if node.constant:
        return _Box(node.name, "", _shown(node.value), None, True)
    derivative = _shown(node.gradient) if node.reached else None
    return _Box(brief(node.name, 16), SIGNS.get(node.operation, node.operation), _shown(node.value), derivative, False)


def _shown(value: np.ndarray) -> str:
    """A number, a vector of at most three numbers, or the shape of what is larger."""
    if value.size == 1:
        return number(float(value.reshape(())), 4)
    if value.ndim == 1 and len(value) <= 3:
        return f"({', '.join(number(float(item), 3) for item in value)})"
    return f"{len(value)} numbers" if value.ndim == 1 else "×".join(str(size) for size in value.shape)


class _Drawing:
    """Boxes with their places. A layer has room for signs (from `starts`), then for boxes (from `lefts` to `rights`)."""

    def __init__(self, boxes: Sequence[_Box], inputs: Sequence[Sequence[int]]) -> None:
        self.boxes, self.inputs = boxes, inputs
        self.places, self.bends = place(inputs, [box.height for box in boxes], GAP, ROW)
        self.starts: list[float] = []
        self.lefts: list[float] = []
        self.rights: list[float] = []
        x = 2.0
        for layer in range(max(one.layer for one in self.places) + 1):
            within = [box for box, one in zip(boxes, self.places, strict=True) if one.layer == layer]
            self.starts.append(x)
            self.lefts.append(x + max(box.sign for box in within))
            self.rights.append(self.lefts[-1] + max(box.width for box in within))
            x = self.rights[-1] + BETWEEN

    def middle(self, index: int) -> float:
        """The height at which arrows leave and reach a box: its name stands above it."""
        return self.places[index].y + (NAME / 2 if self.boxes[index].name else 0.0)

    def node(self, index: int) -> Html:
        box, layer, middle = self.boxes[index], self.places[index].layer, self.middle(index)
        left, right, top = self.lefts[layer], self.rights[layer], middle - box.body / 2
        if box.constant:
            pieces = [_text(box.value, right - 4, middle, "muted", "end")]
            if box.name:
                pieces.append(_text(box.name, right - 4, top - NAME / 2 + 1, "muted", "end"))
            return element("g", *pieces)
        centre = (left + right) / 2
        outline = element(
            "rect",
            **_at(x=left, y=top, width=right - left, height=box.body, rx=4),
            fill=role("page"),
            stroke=role("muted"),
        )
        pieces = [
            outline,
            _text(box.value, centre, top + ROW / 2, "model"),
        ]
        if box.name:
            pieces.append(_text(box.name, centre, top - NAME / 2 + 1, "ink", weight="600"))
        if box.derivative is not None:
            pieces += [
                element("line", **_at(x1=left, x2=right, y1=middle, y2=middle), stroke=role("line")),
                _text(box.derivative, centre, top + 1.5 * ROW, "second"),
            ]
        if box.operation:
            shape = _at(x=left - box.sign, y=middle - CIRCLE, width=box.sign, height=2 * CIRCLE, rx=CIRCLE)
            pieces += [
                element("rect", **shape, fill=role("page"), stroke=role("ink")),
                _text(box.operation, left - box.sign / 2, middle, "ink"),
            ]
        return element("g", *pieces)

    def edge(self, target: int, slot: int, name: str) -> Html:
        """The arrow from an input to the sign of the operation; several fan out over the sign's left end."""
        source = self.inputs[target][slot]
        layer = self.places[target].layer
        rise = self._rise(target, slot)
        tip = self.lefts[layer] - self.boxes[target].sign + CIRCLE - (CIRCLE**2 - rise**2) ** 0.5
        x, y = self.rights[self.places[source].layer], self.middle(source)
        path = f"M{x:.1f},{y:.1f}"
        for bend in self.bends[source, target]:  # straight past the boxes of the layers between
            path += f"{_curve(x, y, self.starts[bend.layer], bend.y)} H{self.rights[bend.layer]:.1f}"
            x, y = self.rights[bend.layer], bend.y
        path += _curve(x, y, tip - 1, self.middle(target) + rise)
        return element("path", d=path, fill="none", stroke=role("muted"), marker_end=f"url(#{name}-head)")

    def _rise(self, target: int, slot: int) -> float:
        """How far below the middle of the sign an arrow arrives: the inputs in the order of their heights."""

        def height(other: int) -> tuple[float, int]:
            source = self.inputs[target][other]
            bends = self.bends[source, target]
            return (bends[-1].y if bends else self.middle(source)), other

        slots = sorted(range(len(self.inputs[target])), key=height)
        most = CIRCLE - 4
        step = min(most, 2 * most / max(len(slots) - 1, 1))
        return step * (slots.index(slot) - (len(slots) - 1) / 2)


def _curve(x: float, y: float, to_x: float, to_y: float) -> str:
    half = (to_x - x) / 2
    return f" C{x + half:.1f},{y:.1f} {to_x - half:.1f},{to_y:.1f} {to_x:.1f},{to_y:.1f}"


def _at(**numbers: float) -> dict[str, str]:
    return {key: f"{value:.1f}".removesuffix(".0") for key, value in numbers.items()}


def _text(words: str, x: float, y: float, colour: str, anchor: str = "middle", weight: str | None = None) -> Html:
    """Words on a line whose middle is at y."""
    return element(
        "text", words, **_at(x=x, y=y + 0.35 * TEXT), fill=role(colour), text_anchor=anchor, font_weight=weight
    )


def _legend(drawing: _Drawing, result: str) -> tuple[Html, float, float]:
    """What the two colours mean, below the drawing; with the width and height of the whole."""
    width = drawing.rights[-1] + 2
    height = max(one.y + one.height / 2 for one in drawing.places) + 2
    if not any(box.derivative for box in drawing.boxes):
        return Html(""), width, height
    height += ROW
    says = f"derivative of {brief(result, 16)}"
    legend = element(
        "text",
        element("tspan", "value", fill=role("model")),
        element("tspan", says, dx="12", fill=role("second")),
        **_at(x=2, y=height - 6),
    )
    return legend, max(width, LETTER * (len(says) + 7) + 20), height


def _words(boxes: Sequence[_Box], inputs: Sequence[Sequence[int]], names: Sequence[str]) -> str:
    """The drawing for a screen reader."""
    said = [
        names[index]
        + (f" from {', '.join(names[source] for source in inputs[index])} by {box.operation}" if box.operation else "")
        + f": {box.value}"
        + (f", derivative {box.derivative}" if box.derivative is not None else "")
        for index, box in enumerate(boxes)
        if not box.constant
    ]
    return f"Computation graph of {names[-1]}. " + "; ".join(said)
