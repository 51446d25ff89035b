"""Places for the nodes of a drawing that reads from left to right: layers, few crossings, straight lines.

The usual three steps (Sugiyama, Tagawa and Toda 1981): every node goes into the layer of its longest path; an edge over
several layers gets a place in each of them, so that it runs around what stands there; the order within layers is improved by
medians, and heights are moved towards those of the neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

SWEEPS = 12


@dataclass
class Place:
    """A node, or a bend of an edge (`node` is -1). y: of its centre; height: the room that it takes."""

    node: int
    layer: int
    height: float
    y: float = 0.0
    before: list[Place] = field(default_factory=list)
    after: list[Place] = field(default_factory=list)


def layers_of(inputs: Sequence[Sequence[int]]) -> list[int]:
    """The layer of each node by its longest path; what has no input stands just before the first that uses it.

    inputs: for each node the nodes that lead to it, which all have smaller numbers
    """
    layers = [0] * len(inputs)
    for node, sources in enumerate(inputs):
        layers[node] = 1 + max((layers[source] for source in sources), default=-1)
    for node, sources in enumerate(inputs):
        users = [layers[user] for user, others in enumerate(inputs) if node in others]
        if not sources and users:
            layers[node] = min(users) - 1
    return layers


def place(
    inputs: Sequence[Sequence[int]], heights: Sequence[float], gap: float, bend: float
) -> tuple[list[Place], dict[tuple[int, int], list[Place]]]:
    """The places of all nodes, and for each edge (source, target) the bends it passes.

    heights: of the nodes; gap: least distance between two in a layer; bend: the room that a passing edge takes
    """
    layers = layers_of(inputs)
    places = [Place(node, layer, height) for node, (layer, height) in enumerate(zip(layers, heights, strict=True))]
    columns: list[list[Place]] = [[] for _ in range(max(layers, default=0) + 1)]
    for one in places:
        columns[one.layer].append(one)
    bends: dict[tuple[int, int], list[Place]] = {}
    for target, sources in enumerate(inputs):
        for source in dict.fromkeys(sources):
            way = [Place(-1, layer, bend) for layer in range(layers[source] + 1, layers[target])]
            bends[source, target] = way
            for one in way:
                columns[one.layer].append(one)
            for first, second in zip((places[source], *way), (*way, places[target]), strict=True):
                first.after.append(second)
                second.before.append(first)
    columns = _order(columns)
    _set_heights(columns, gap)
    return places, bends


def _order(columns: list[list[Place]]) -> list[list[Place]]:
    """The order within each layer with the fewest crossings that sweeping to and fro by mean positions comes by."""
    best, fewest = [list(column) for column in columns], _crossings(columns)
    for sweep in range(SWEEPS):
        forward = sweep % 2 == 1
        for column in columns if forward else columns[::-1]:
            position = {id(one): number for other in columns for number, one in enumerate(other)}

            def mean(one: Place, forward: bool = forward, position: dict[int, int] = position) -> float:
                near = one.before if forward else one.after
                return sum(position[id(other)] for other in near) / len(near) if near else position[id(one)]

            column.sort(key=mean)
        crossings = _crossings(columns)
        if crossings < fewest:
            best, fewest = [list(column) for column in columns], crossings
    return best


def _crossings(columns: list[list[Place]]) -> int:
    """How many pairs of edges between neighbouring layers cross."""
    found = 0
    for left, right in pairwise(columns):
        position = {id(one): number for number, one in enumerate(right)}
        ends = [[position[id(other)] for other in one.after] for one in left]
        for number, lower in enumerate(ends):
            found += sum(a > b for upper in ends[:number] for a in upper for b in lower)
    return found


def _set_heights(columns: list[list[Place]], gap: float) -> None:
    """Moves each place towards the mean of its neighbours, as far as the order and the distances allow."""
    for column in columns:
        _apart(column, [0.0] * len(column), gap)
    for sweep in range(2 * SWEEPS):
        forward = sweep % 2 == 0
        for column in columns if forward else columns[::-1]:
            wanted = []
            for one in column:
                near = one.before if forward else one.after
                near = near or one.before or one.after
                wanted.append(sum(other.y for other in near) / len(near) if near else one.y)
            _apart(column, wanted, gap)
    top = min((one.y - one.height / 2 for column in columns for one in column), default=0.0)
    for column in columns:
        for one in column:
            one.y -= top


def _apart(column: list[Place], wanted: list[float], gap: float) -> None:
    """Gives a layer the heights nearest to those wanted (least squares) that keep its order and the distances.

    With the distances taken off, the heights must only rise: neighbours that would not are pooled at their mean.
    """
    offset, offsets = 0.0, []
    for number, one in enumerate(column):
        if number:
            offset += (column[number - 1].height + one.height) / 2 + gap
        offsets.append(offset)
    pools: list[list[float]] = []  # sum, count
    for height, shift in zip(wanted, offsets, strict=True):
        pools.append([height - shift, 1])
        while len(pools) > 1 and pools[-2][0] / pools[-2][1] >= pools[-1][0] / pools[-1][1]:
            total, count = pools.pop()
            pools[-1][0] += total
            pools[-1][1] += count
    levels = [total / count for total, count in pools for _ in range(int(count))]
    for one, level, shift in zip(column, levels, offsets, strict=True):
        one.y = level + shift
