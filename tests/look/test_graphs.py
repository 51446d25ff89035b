"""Drawings of computation graphs: what they say, where things stand, and that a browser sets them legibly."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradus.look.graphs import LARGEST, TEXT, draw_graph
from gradus.look.layout import layers_of, place
from gradus.look.page import Html, document
from gradus.reference import graph
from gradus.reference.graph import Variable


def course_notes() -> Variable:
    a, b, c = Variable(5, "a"), Variable(3, "b"), Variable(2, "c")
    return (3 * (a + (b * c).named("U")).named("V")).named("J")


def parse(drawing: str) -> ElementTree.Element:
    return ElementTree.fromstring(drawing)


def texts(drawing: str) -> list[str]:
    return ["".join(text.itertext()) for text in parse(drawing).iter("text")]


def test_names_values_derivatives_and_operations():
    result = course_notes()
    result.backward()
    drawing = draw_graph(result, "j")
    assert isinstance(drawing, Html)
    said = texts(drawing)
    for name, value, derivative in (("a", 5, 3), ("b", 3, 6), ("c", 2, 9), ("U", 6, 3), ("V", 11, 3), ("J", 33, 1)):
        at = said.index(name)
        box = said[at - 2 : at + 2] if said[at - 1] == str(value) else said[at - 1 : at + 3]
        assert str(value) in box and str(derivative) in box, (name, box)
    assert said.count("×") == 2 and said.count("+") == 1
    assert said[-1] == "valuederivative of J"
    shown = next(parse(drawing).iter("svg"))
    assert shown.get("aria-label").startswith("Computation graph of J. a: 5, derivative 3; ")
    assert "U from b, c by ×: 6, derivative 3" in shown.get("aria-label")
    assert len(list(parse(drawing).iter("path"))) == 1 + 6  # the arrow's head, two edges an operation


def test_before_backward_there_are_values_only():
    drawing = draw_graph(course_notes(), "j")
    assert "derivative" not in drawing and "var(--second" not in drawing and "33" in texts(drawing)


def test_colours_are_roles_and_the_text_is_text():
    result = course_notes()
    result.backward()
    drawing = draw_graph(result, "j")
    assert set(re.findall(r'(?:fill|stroke)="([^"]*)"', drawing)) <= {
        *(
            f"var(--{role}" + rest
            for role, rest in (("ink", ", #1d1d1f)"), ("muted", ", #6a6a70)"), ("line", ", #dedcd6)"))
        ),
        *("var(--model, #1f6feb)", "var(--second, #c2571a)", "var(--page, #ffffff)", "none"),
    }


def test_names_are_escaped_and_ids_carry_the_name():
    drawing = draw_graph((Variable(1, "<b>&") * Variable(2, "q")).named("r"), "one-2")
    assert "&lt;b&gt;&amp;" in drawing and "<b>" not in drawing
    assert re.findall(r' id="([^"]*)"', drawing) == ["one-2-head"]
    assert set(re.findall(r"url\(#([^)]*)\)", drawing)) == {"one-2-head"}


def test_vectors_are_shown_and_larger_arrays_by_their_shape():
    w, x = Variable(np.ones((4, 3)), "w"), Variable([1.0, 2.5, -3], "x")
    y = (w @ x).named("y")
    said = texts(draw_graph(graph.sum(y).named("s"), "g"))
    assert "4×3" in said and "(1, 2.5, −3)" in said and "4 numbers" in said and "@" in said


def test_a_value_used_twice_by_one_operation_has_two_arrows():
    x = Variable(3, "x")
    drawing = draw_graph((x * x).named("y"), "g")
    arrows = [path.get("d") for path in parse(drawing).iter("path") if path.get("marker-end")]
    assert len(arrows) == 2 and arrows[0] != arrows[1]


def test_a_graph_that_is_too_large_is_refused():
    value = Variable(1.0)
    for _ in range(LARGEST):
        value = value + Variable(1.0)
    with pytest.raises(ValueError, match=rf"a drawing holds {LARGEST} values, this graph has {2 * LARGEST + 1}"):
        draw_graph(value, "g")
    draw_graph(Variable(1.0, "alone"), "g")


# ---- the layout

graphs = st.integers(1, 14).flatmap(
    lambda count: st.tuples(
        *(st.lists(st.integers(0, node - 1), max_size=3) if node else st.just([]) for node in range(count))
    )
)


@settings(max_examples=100, deadline=None)
@given(graphs)
def test_edges_lead_to_the_right_and_nothing_overlaps(inputs):
    heights = [20.0 + 5 * (node % 3) for node in range(len(inputs))]
    places, bends = place(inputs, heights, gap=10, bend=16)
    assert [one.node for one in places] == list(range(len(inputs)))
    for target, sources in enumerate(inputs):
        for source in sources:
            layers = [places[source].layer, *(bend.layer for bend in bends[source, target]), places[target].layer]
            assert layers == list(range(layers[0], layers[0] + len(layers))) and len(layers) > 1
    every = [*places, *(bend for way in bends.values() for bend in way)]
    for layer in {one.layer for one in every}:
        column = sorted((one for one in every if one.layer == layer), key=lambda one: one.y)
        for upper, lower in pairwise(column):
            assert lower.y - upper.y >= (lower.height + upper.height) / 2 + 10 - 1e-6
    assert min(one.y - one.height / 2 for one in every) == pytest.approx(0)


def test_what_is_given_stands_just_before_its_first_use():
    assert layers_of([[], [], [0, 1], [], [2, 3]]) == [0, 0, 1, 1, 2]


def test_a_chain_is_a_straight_line():
    places, _ = place([[], [0], [1], [2]], [20, 30, 20, 20], gap=10, bend=16)
    assert len({round(one.y, 6) for one in places}) == 1


def test_inputs_that_cross_are_put_in_order():
    """Two results of two inputs each: an order without crossings exists and is found."""
    places, _ = place([[], [], [], [], [1, 3], [0, 2], [4, 5]], [20] * 7, gap=10, bend=16)
    upper, lower = sorted((4, 5), key=lambda node: places[node].y)
    sources = {4: (1, 3), 5: (0, 2)}
    assert max(places[node].y for node in sources[upper]) < min(places[node].y for node in sources[lower])


def test_text_is_large_enough_for_a_phone():
    """On a screen of 360 pixels less margins the drawing is shown at no less than its smallest size, or scrolls."""
    result = course_notes()
    result.backward()
    shown = next(parse(draw_graph(result, "j")).iter("svg"))
    width = float(shown.get("viewBox").split()[2])
    least = float(re.search(r"min-width: (\d+)px", shown.get("style"))[1])
    assert TEXT * least / width >= 11
    assert width < 480  # the graph of the course notes needs no more


def test_in_a_page():
    result = course_notes()
    result.backward()
    page = document("Graph", draw_graph(result, "j"))
    assert page.count("<svg") == 1
