"""From a graph to the boxes of a drawing: fewer than calls, so that they can be read.

- Activations, normalisation and dropout stand in the box of what they follow.
- Where more than `LARGEST` boxes are left, modules become one box each, the innermost first; equal ones in a row become one,
  "x 3". What is in such a box is drawn beside it, once for each kind (`pictures_of`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from gradus.look.network.fields import WHOLE
from gradus.look.network.graph import Graph, Node
from gradus.look.network.rows import plain, stage_names
from gradus.look.network.words import shape_text, short, window_text

LARGEST = 40  # boxes of one drawing
DRAWINGS = 8  # of one network
STAGE = "stage "  # before the name of a stage in a scope


@dataclass
class Box:
    """title: its first line; after: what follows in the same box, in smaller print; name: of its layer, the last line.

    gives:   the shapes of the tensors that leave it, written at its arrows
    members: the nodes in it (none: a tensor from outside); inputs: numbers of the boxes its tensors come from
    times:   how many equal ones in a row it stands for
    scope:   where it is a whole module or stage: the names from the outside in
    """

    title: str
    family: str
    members: list[int] = field(default_factory=list)
    after: list[str] = field(default_factory=list)
    name: str = ""
    gives: list[str] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    times: int = 1
    scope: tuple[str, ...] = ()
    is_output: bool = False
    depth: int = 0  # how many modules its tensors do not leave

    def lines(self) -> list[str]:
        """The texts of the box, from the top down."""
        title = f"{self.title}  × {self.times}" if self.times > 1 else self.title
        after = list(dict.fromkeys(self.after))
        name = "" if self.name == self.title else self.name
        return [title, *([", ".join(after)] if after else []), *([name] if name else [])]


@dataclass
class Picture:
    """One drawing: of the whole network, or of a module that is one box in it."""

    title: str
    boxes: list[Box]


def pictures_of(graph: Graph, stages: dict[str, tuple[str, ...]], name: str, depth: int | None = None) -> list[Picture]:
    """The drawing of the network, then one for each kind of block in it.

    depth: how many levels of modules are opened; None: as many as leave no more than `LARGEST` boxes
    """
    everything = list(range(len(graph.nodes)))
    pictures = [Picture(name, _boxes(graph, everything, (), stages, depth))]
    drawn: dict[str, dict[tuple, int]] = {}  # class -> pattern -> how many nodes it has
    for picture in pictures:  # grows while it is walked
        for box in sorted((box for box in picture.boxes if box.scope), key=lambda box: len(box.members) // box.times):
            members = box.members[: len(box.members) // box.times]
            kind, pattern = _kind(graph, box.scope), _pattern(graph, members, sizes=False)
            known = drawn.setdefault(kind, {})
            alike = len(known) == 1 and len(members) < 2 * min(known.values())  # a second form, such as with a shortcut
            if pattern not in known and (not known or alike) and len(pictures) < DRAWINGS:
                known[pattern] = len(members)
                pictures.append(Picture(_title(graph, box.scope), _boxes(graph, members, box.scope, {}, None)))
    return pictures


def _kind(graph: Graph, scope: tuple[str, ...]) -> str:
    return graph.classes.get(plain(scope[-1]), scope[-1])


def _title(graph: Graph, scope: tuple[str, ...]) -> str:
    kind = _kind(graph, scope)
    return kind if kind == scope[-1] else f"{kind}: {plain(scope[-1])}"


def _boxes(
    graph: Graph, members: list[int], scope: tuple[str, ...], stages: dict[str, tuple[str, ...]], depth: int | None
) -> list[Box]:
    """The boxes of what is in a scope, with as many modules opened as there is room for; as a last resort those of the stages."""
    inside = 0 if scope and scope[-1].startswith(STAGE) else len(scope)
    levels = [graph.nodes[number].scopes[inside:] for number in members]
    deepest = max(map(len, levels))
    tried = [
        _units(graph, levels, members, scope, opened)
        for opened in ([depth] if depth is not None else range(deepest, -1, -1))
    ]
    if stages:
        names = [(f"{STAGE}{stage}",) if stage else () for stage in stage_names(graph, stages)]
        tried.append(_units(graph, [names[number] for number in members], members, scope, 0))
    boxes: list[Box] = []
    for units in tried:
        boxes = _linked(graph, units, scope)
        boxes = _runs(graph, boxes, layers_too=len(boxes) > LARGEST)
        if len(boxes) <= LARGEST or depth is not None:
            break
    return boxes


Units = list[tuple[list[int], tuple[str, ...]]]


def _units(
    graph: Graph, levels: Sequence[tuple[str, ...]], members: list[int], scope: tuple[str, ...], opened: int
) -> Units:
    """With `opened` levels opened, members of one module together, with its scope; all others alone.

    levels: for each member the modules that it is in. A module that one box can show (a convolution with what follows) is opened
    """
    units: Units = []
    for number, level in zip(members, levels, strict=True):
        own = (*scope, *level[: opened + 1]) if len(level) > opened else ()
        if own and units and units[-1][1] == own:
            units[-1][0].append(number)
        else:
            units.append(([number], own))
    made: Units = []
    for unit, own in units:
        whole = own and any(graph.nodes[number].family != "pointwise" for number in unit[1:])
        made += [(unit, own)] if whole else [([number], ()) for number in unit]
    return made


def _linked(graph: Graph, units: Units, scope: tuple[str, ...]) -> list[Box]:
    """A box for each unit, but for those that stand in the box of what they follow, and for each tensor from outside."""
    users = _users(graph)
    inner = {number for unit, _ in units for number in unit}
    prefix = f"{plain(scope[-1])}." if scope else ""
    boxes: list[Box] = []
    box_of: dict[int, int] = {}
    for unit, own in units:
        edges = [edge for number in unit for edge in graph.nodes[number].inputs if edge.source not in unit]
        for edge in edges:
            if edge.source not in inner and edge.source not in box_of:
                box_of[edge.source] = len(boxes)
                boxes.append(Box("input", "input", gives=[shape_text(edge.shape)]))
        sources = list(dict.fromkeys(box_of[edge.source] for edge in edges))
        node, before = graph.nodes[unit[0]], boxes[sources[0]] if len(sources) == 1 else None
        follows = before is not None and before.members and not before.scope and users[before.members[-1]] == {unit[0]}
        if not own and node.family == "pointwise" and follows:
            assert before is not None
            before.after.append(short_kind(node.kind))
            before.members += unit
            box_of[unit[0]] = sources[0]
            continue
        box = _block(graph, unit, own, prefix) if own else _single(node, unit, prefix)
        box.inputs = sources
        box_of |= dict.fromkeys(unit, len(boxes))
        boxes.append(box)
    for box in boxes:
        if box.members:
            _set_gives(graph, box, users, inner)
    return boxes


def _users(graph: Graph) -> list[set[int]]:
    """For each node those that take its tensors; -1 where the network returns one."""
    users: list[set[int]] = [set() for _ in graph.nodes]
    for number, node in enumerate(graph.nodes):
        for edge in node.inputs:
            users[edge.source].add(number)
    for edge in graph.outputs:
        users[edge.source].add(-1)
    return users


def _set_gives(graph: Graph, box: Box, users: list[set[int]], inner: set[int]) -> None:
    """The shapes of the tensors that leave a box, and whether one leaves the drawing. inner: the nodes in the drawing."""
    inside = set(box.members)
    leaving = [number for number in box.members if users[number] - inside]
    box.is_output = any(users[number] - inner for number in leaving)
    taken = [edge for edge in graph.outputs if edge.source in inside]
    last = graph.nodes[box.members[-1]].scopes
    for user in sorted({user for number in leaving for user in users[number] - inside if user >= 0}):
        box.depth = max(box.depth, sum(a == b for a, b in zip(last, graph.nodes[user].scopes, strict=False)))
        taken += [edge for edge in graph.nodes[user].inputs if edge.source in inside]
    box.gives = list(dict.fromkeys(shape_text(edge.shape) for edge in taken)) or [
        shape_text(graph.nodes[box.members[-1]].shapes[0])
    ]


def _runs(graph: Graph, boxes: list[Box], layers_too: bool) -> list[Box]:
    """Equal modules of a chain as one box, "x 3"; layers_too: single layers likewise."""
    users: list[set[int]] = [set() for _ in boxes]
    for number, box in enumerate(boxes):
        for source in box.inputs:
            users[source].add(number)
    kept: list[Box] = []
    place: dict[int, int] = {}  # number of a box -> number of the kept one that stands for it
    for number, box in enumerate(boxes):
        source = box.inputs[0] if len(box.inputs) == 1 else -1
        run = kept[place[source]] if source >= 0 else None
        alike = run is not None and run.members and (box.scope or layers_too) and _equal(graph, run, box)
        if run is not None and alike and users[source] == {number}:
            run.times += 1
            run.after = [word.removesuffix(" each") + " each" if "parameters" in word else word for word in run.after]
            run.members += box.members
            run.gives, run.is_output, run.depth = box.gives, box.is_output, box.depth
            run.name = f"{run.name.split(' to ')[0]} to {box.name}" if box.name else run.name
            place[number] = place[source]
            continue
        place[number] = len(kept)
        box.inputs = list(dict.fromkeys(place[source] for source in box.inputs))
        kept.append(box)
    return kept


def _equal(graph: Graph, run: Box, box: Box) -> bool:
    first = run.members[: len(run.members) // run.times]
    return (
        bool(run.scope) == bool(box.scope)
        and len(first) == len(box.members)
        and _pattern(graph, first, sizes=True) == _pattern(graph, box.members, sizes=True)
    )


def _pattern(graph: Graph, members: Sequence[int], sizes: bool) -> tuple:
    """What equal blocks have in common: kinds and connections, with `sizes` windows, shapes and parameters too."""
    start = members[0]
    pattern = []
    for number in members:
        node = graph.nodes[number]
        sources = tuple(max(edge.source - start, -1) for edge in node.inputs)
        exact = (node.window, node.shapes, node.parameters) if sizes else ()
        pattern.append((node.kind, sources, *exact))
    return tuple(pattern)


# ---- words


KINDS = {
    "BatchNorm": ("BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "batch_norm"),
    "LRN": ("LocalResponseNorm", "local_response_norm"),
    "dropout": ("Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "dropout"),
    "ReLU": ("relu",),
    "+": ("add",),
    "×": ("mul",),
    "−": ("sub",),
    "concatenate": ("cat",),
    "max pool": ("MaxPool1d", "MaxPool2d", "MaxPool3d", "max_pool1d", "max_pool2d", "max_pool3d"),
    "average pool": ("AvgPool1d", "AvgPool2d", "AvgPool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d"),
    "flatten": ("Flatten",),
    "slice": ("getitem",),
    "write into": ("setitem",),
}
SHORT = {kind: short for short, kinds in KINDS.items() for kind in kinds}


def short_kind(kind: str) -> str:
    return SHORT.get(kind, kind)


def _single(node: Node, unit: list[int], prefix: str) -> Box:
    name = node.layer.removeprefix(prefix) + node.name.removeprefix(node.layer)[:8] if node.layer else ""
    shape = node.shapes[0] if node.shapes else ()
    if node.kind == "input":
        return Box(node.name, "input", list(unit))
    if node.family == "convolution" and node.window is not None and shape:
        depthwise = node.window.groups > 1 and node.window.groups == shape[0]
        word = "up-conv" if node.window.transposed else "depthwise" if depthwise else "conv"
        kernel, *rest = window_text(node.window, between=", ").split(", ")
        rest = [part for part in rest if not (depthwise and part.endswith("groups"))]
        title = ", ".join([f"{word} {kernel}", str(shape[0]), *rest])
    elif node.family == "dense" and shape:
        title = f"{'dense' if node.layer else node.kind}, {shape[-1]}"
    elif node.family == "pooling" and node.window is not None:
        title = f"{_pool_word(node)} {window_text(node.window, between=', ')}"
    elif node.family == "pooling" and node.sees == WHOLE:
        title = f"global {_pool_word(node)}"
    elif node.family == "sequence" and shape and node.layer:
        title = f"{node.kind}, {shape[-1]}"
    else:
        title = short_kind(node.kind)
    return Box(title, node.family, list(unit), name=name)


def _pool_word(node: Node) -> str:
    kind = node.kind.lower()
    if "pool" not in kind and node.layer:
        return node.kind
    return "average pool" if "avg" in kind or kind == "mean" else "max pool" if "max" in kind else short_kind(node.kind)


def _block(graph: Graph, unit: list[int], scope: tuple[str, ...], prefix: str) -> Box:
    parameters = sum(graph.nodes[number].parameters for number in unit)
    kind = _kind(graph, scope)
    name = plain(scope[-1]).removeprefix(prefix)
    box = Box(kind, "block", list(unit), name="" if name == kind else name, scope=scope)
    if parameters:
        box.after.append(f"{short(parameters)} parameters")
    return box
