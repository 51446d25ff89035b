"""A formula as a graph: values go forward, derivatives come back, one local rule at a node."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradus.look.graphs import draw_graph
from gradus.reference.graph import Row, Variable, log, sigmoid, trace

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage


def cost() -> dict[str, Variable]:
    """J = 3 (a + b c) at a = 5, b = 3, c = 2, with its steps."""
    a, b, c = Variable(5.0, "a"), Variable(3.0, "b"), Variable(2.0, "c")
    u = (b * c).named("u")
    v = (a + u).named("v")
    return {"a": a, "b": b, "c": c, "u": u, "v": v, "J": (3 * v).named("J")}


def product_of_sum() -> dict[str, Variable]:
    """f = (x + y) z at x = -5, y = 2, z = -6, the numbers of the book."""
    x, y, z = Variable(-5.0, "x"), Variable(2.0, "y"), Variable(-6.0, "z")
    q = (x + y).named("q")
    return {"x": x, "y": y, "z": z, "q": q, "f": (q * z).named("f")}


def neuron() -> dict[str, Variable]:
    """L = -log p, p = sigmoid(w1 x1 + w2 x2 + b), for a target of 1."""
    w1, w2, b = Variable(2.0, "w1"), Variable(-3.0, "w2"), Variable(-3.0, "b")
    x1, x2 = Variable(-1.0, "x1"), Variable(-2.0, "x2")
    z = (w1 * x1 + w2 * x2 + b).named("z")
    p = sigmoid(z).named("p")
    return {"w1": w1, "w2": w2, "b": b, "x1": x1, "x2": x2, "z": z, "p": p, "L": (-log(p)).named("L")}


def value(variable: Variable) -> float:
    return float(variable.value)


def slope(variable: Variable) -> float:
    return float(variable.gradient)


def show(page: LessonPage) -> None:
    page.text(
        "Every formula is a chain of small steps. Drawn as a **graph**, each step is a node that knows two things: how to make "
        "its value from its inputs, and how its value changes when an input does. From left to right the values are computed. "
        "From right to left come the derivatives: what arrives at a node is multiplied by the node's own slope and handed on. "
        "That is **back-propagation**, for a formula of three letters or a network of a million weights."
    )
    _cost(page)
    _product(page)
    _neuron(page)
    _twice(page)


def _cost(page: LessonPage) -> None:
    page.heading("J = 3 (a + bc)")
    steps = cost()
    steps["J"].backward()
    page.drawing(draw_graph(steps["J"], "computation-graph-cost"), "Values and derivatives of J = 3 (a + bc)")
    for name in ("u", "v", "J"):
        page.number(f"value_{name}", value(steps[name]), f"value of {name}")
    for name in ("v", "a", "u", "b", "c"):
        page.number(f"slope_{name}", slope(steps[name]), f"derivative of J by {name}")
    page.text(
        "Read it from the end. If v grows by 0.001, J grows three times as much: 3. A sum hands its derivative on to both "
        "sides, so a and u get 3. A product hands to each side the **other** side's value: b gets 3 · 2, c gets 3 · 3."
    )
    page.table(("", "made by", "value", "derivative"), [_row(row) for row in trace(steps["J"])])


def _row(row: Row) -> tuple[str, str, str, str]:
    sign = {"*": "×"}.get(row.operation, row.operation)
    made = f" {sign} ".join(row.inputs) if row.inputs else "given"
    return row.name, made, f"{float(row.value):g}", "" if row.derivative is None else f"{float(row.derivative):g}"


def _product(page: LessonPage) -> None:
    page.heading("f = (x + y) z")
    steps = product_of_sum()
    steps["f"].backward()
    page.drawing(draw_graph(steps["f"], "computation-graph-product"), "Values and derivatives of f = (x + y) z")
    page.number("value_f", value(steps["f"]), "f at x = −5, y = 2, z = −6", printed=18)
    for name, printed in (("x", -6), ("y", -6), ("z", -3)):
        page.number(f"f_{name}", slope(steps[name]), f"derivative by {name}", printed=printed)


def _neuron(page: LessonPage) -> None:
    page.heading("A neuron and its loss")
    steps = neuron()
    steps["L"].backward()
    page.text(
        "Two inputs, two weights, a bias, the sigmoid, and the loss −log p for a target of 1. Behind sigmoid and logarithm, the "
        "derivative by z is p − 1: answer minus target. A weight's derivative is that times its input."
    )
    page.drawing(draw_graph(steps["L"], "computation-graph-neuron"), "A neuron, forward and back")
    page.number("p", value(steps["p"]), "p", digits=6)
    page.number("loss", value(steps["L"]), "loss", digits=6)
    page.number("slope_z", slope(steps["z"]), "derivative by z", digits=6)
    page.number("z_gap", abs(slope(steps["z"]) - (value(steps["p"]) - 1)), "its difference from p − 1")
    for name in ("w1", "w2", "b"):
        page.number(f"neuron_{name}", slope(steps[name]), f"derivative by {name}", digits=6)


def _twice(page: LessonPage) -> None:
    page.heading("Used twice, added up")
    x = Variable(3.0, "x")
    y = (x * x + x).named("y")
    y.backward()
    page.text(
        "Where a value is used in several places, each place sends a derivative back, and they are **added**. In y = x·x + x at "
        "x = 3 three arrive: 3 and 3 from the product, 1 from the sum. In a convolution one weight is used at every pixel, in a "
        "recurrent network at every step: its derivative is the sum over all of them."
    )
    page.drawing(draw_graph(y, "computation-graph-twice"), "y = x·x + x")
    page.number("slope_twice", slope(x), "derivative at 3; by the formula 2x + 1, it is 7")
