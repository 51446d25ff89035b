"""The lines of a network's table: one a call, or containers and stages summed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gradus.look.network.fields import WHOLE, Field, Window
from gradus.look.network.graph import Graph, Shape
from gradus.look.network.words import memory_text, shape_text, short, sides_text, window_text
from gradus.look.text import count

HEADER = (
    "layer",
    "kind",
    "output",
    "window",
    "parameters",
    "multiply-adds",
    "values",
    "memory",
    "sees",
    "stride",
    "from",
)


@dataclass(frozen=True)
class Row:
    """A line of the table: one call of a layer or function, or several summed.

    inputs: names of the rows that its tensors come from
    sees:   the sides of the receptive field, "whole" or None; strides: the distance between the fields of two neighbours
    bytes:  of the new memory that holds what it gives
    The others are those of `graph.Node`; shape, sees and values are those of the last one where several are summed.
    """

    name: str
    kind: str
    stage: str
    shape: Shape
    window: Window | None
    inputs: tuple[str, ...]
    parameters: int
    trainable: int
    multiply_adds: int
    values: int
    bytes: int
    sees: tuple[float, ...] | str | None
    strides: tuple[float, ...] | None

    def cells(self, above: str) -> list[str]:
        """The texts of `HEADER`. above: the name of the row above; what comes from there alone is not said to."""
        return [
            *(self.name, self.kind, shape_text(self.shape), window_text(self.window)),
            count(self.parameters) if self.parameters else "",
            short(self.multiply_adds) if self.multiply_adds else "",
            count(self.values),
            memory_text(self.bytes) if self.bytes else "",
            "all" if isinstance(self.sees, str) else sides_text(self.sees),
            sides_text(self.strides),
            "" if self.inputs in ((), (above,)) else ", ".join(self.inputs),
        ]

    def to_json(self) -> dict[str, Any]:
        window = self.window
        return {
            **{"name": self.name, "kind": self.kind, "stage": self.stage, "shape": list(self.shape)},
            "kernel": list(window.kernel) if window else None,
            "stride": list(window.stride) if window else None,
            "padding": list(window.padding) if window else None,
            "dilation": list(window.dilation) if window else None,
            "groups": window.groups if window else None,
            **{"parameters": self.parameters, "trainable": self.trainable, "multiply_adds": self.multiply_adds},
            **{"values": self.values, "bytes": self.bytes},
            "sees": list(self.sees) if isinstance(self.sees, tuple) else self.sees,
            "strides": list(self.strides) if self.strides else None,
            "inputs": list(self.inputs),
        }


def stage_names(graph: Graph, stages: Mapping[str, Sequence[str]]) -> list[str]:
    """The stage of each node; a function between layers belongs to the stage before it."""
    names, now = [], ""
    for node in graph.nodes:
        where = plain(node.layer or (node.scopes[-1] if node.scopes else ""))
        for stage, modules in stages.items():
            if any(where == module or where.startswith(f"{module}.") for module in modules):
                now = stage
        names.append("" if node.kind == "input" else now)
    return names


def rows_of(graph: Graph, stages: Mapping[str, Sequence[str]], keys: Sequence[str]) -> list[Row]:
    """A row for each key, in the order of their first nodes; nodes of one key are summed. keys: one for each node."""
    in_stage = stage_names(graph, stages)
    groups: dict[str, list[int]] = {}
    for number, key in enumerate(keys):
        groups.setdefault(key, []).append(number)
    return [
        _row(graph, key, members, keys, in_stage[members[0]], key in stages and len(members) > 1)
        for key, members in groups.items()
    ]


def _row(graph: Graph, key: str, members: list[int], keys: Sequence[str], stage: str, is_stage: bool) -> Row:
    nodes = [graph.nodes[number] for number in members]
    last = nodes[-1]
    sources = [keys[edge.source] for node in nodes for edge in node.inputs if keys[edge.source] != key]
    alone = len(nodes) == 1
    return Row(
        name=last.name if alone and key not in graph.classes else key,
        kind=last.kind
        if alone
        else ("stage" if is_stage and key not in graph.classes else graph.classes.get(plain(key), "")),
        stage=stage,
        shape=last.shapes[0],
        window=last.window if alone else None,
        inputs=tuple(dict.fromkeys(sources)),
        parameters=sum(node.parameters for node in nodes),
        trainable=sum(node.trainable for node in nodes),
        multiply_adds=sum(node.multiply_adds for node in nodes),
        values=last.values,
        bytes=sum(node.bytes for node in nodes),
        sees=_sizes(last.sees),
        strides=tuple(_whole(axis.jump) for axis in last.sees) if isinstance(last.sees, tuple) else None,
    )


def _sizes(field: Field) -> tuple[float, ...] | str | None:
    return tuple(_whole(axis.size) for axis in field) if isinstance(field, tuple) else WHOLE if field else None


def _whole(value: float) -> float:
    return int(value) if value == int(value) else value


def keys_by_depth(graph: Graph, depth: int) -> list[str]:
    """For each node the first `depth` parts of the dotted name of its layer, or of the module that a function is in."""
    keys = []
    for node in graph.nodes:
        where = node.layer or (plain(node.scopes[-1]) if node.scopes else "")
        parts = where.split(".") if where else []
        opened = len(parts) < depth or (len(parts) == depth and bool(node.layer))
        keys.append(node.name if opened else ".".join(parts[:depth]))
    return keys


def plain(name: str) -> str:
    """A name without the number of its call: "block (2)" -> "block"."""
    return name.split(" (")[0]
