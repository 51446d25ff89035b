"""The layer table of any network: shapes, parameters, multiply-adds, memory, receptive fields; printed, as JSON, as CSV.

    print(gradus.summarize(model, (3, 224, 224)))

All numbers are of one row (a batch of one). A multiply-add is one multiplication with its addition; those of convolutions, dense
layers, other matrix products and recurrent layers are counted, as in the publications of networks; biases, normalisation,
activations and pooling are not. Memory is that of the network's own precision (fp32: four bytes a number).
"""

from __future__ import annotations

import copy
import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gradus.errors import UserError
from gradus.look.gradient_check import first_shape
from gradus.look.network.graph import Graph, Shape
from gradus.look.network.memory import kept_for_training, peak_memory
from gradus.look.network.rows import HEADER, Row, keys_by_depth, rows_of, stage_names
from gradus.look.network.trace import TraceError, trace
from gradus.look.network.words import NUMERIC, aligned, memory_text, shape_text, short
from gradus.look.text import count, percent
from gradus.models.stages import stages_of

TOTALS = ("parameters", "trainable", "buffers", "multiply_adds", "dense", "parameter_bytes", "peak", "kept")


@dataclass(frozen=True)
class Summary:
    """What a network is made of, for one row.

    parameters: numbers in all parameters; trainable: of those that learn; buffers: numbers that are kept but not learnt
    unused:     names of the parameters that this run did not need
    dense:      numbers in the parameters of dense layers
    peak:       bytes of activations that a forward pass holds at its worst moment, each freed after its last use
    kept:       bytes of activations that a training step keeps for the backward pass; None where that could not be measured
    parameter_bytes: of all parameters
    stages:     stage -> names of its modules
    """

    name: str
    graph: Graph
    parameters: int
    trainable: int
    buffers: int
    unused: tuple[str, ...]
    dense: int
    peak: int
    kept: int | None
    parameter_bytes: int
    stages: dict[str, tuple[str, ...]]

    @property
    def multiply_adds(self) -> int:
        return sum(node.multiply_adds for node in self.graph.nodes)

    @property
    def inputs(self) -> list[Shape]:
        return [node.shapes[0] for node in self.graph.nodes if node.kind == "input"]

    def rows(self, depth: int | str = "all") -> list[Row]:
        """A row for each call of a layer or function, or sums of them.

        depth: "all" (not summed), "stages", or how many parts of dotted names stay apart. Raises `UserError` for anything else.
        """
        names = [node.name for node in self.graph.nodes]
        if depth == "stages":
            if not self.stages:
                raise UserError(f"depth: {self.name} has no stages; expected a number or 'all'")
            pairs = zip(stage_names(self.graph, self.stages), names, strict=True)
            keys = [stage or name for stage, name in pairs]
        elif depth == "all":
            keys = names
        elif str(depth).isdigit() and int(depth) > 0:
            keys = keys_by_depth(self.graph, int(depth))
        else:
            raise UserError(f"depth: expected a number above 0, 'stages' or 'all', received '{depth}'")
        return rows_of(self.graph, self.stages, keys)

    def table(self, depth: int | str = "all") -> tuple[list[str], list[list[str]]]:
        """Header and rows as texts; columns that would be empty are left out."""
        above, cells = "", []
        for row in self.rows(depth):
            cells.append(row.cells(above))
            above = row.name
        held = [column for column in range(len(HEADER)) if any(row[column] for row in cells)]
        if not any(node.window for node in self.graph.nodes):  # nothing looks through windows
            held = [column for column in held if HEADER[column] not in ("sees", "stride")]
        return [HEADER[column] for column in held], [[row[column] for column in held] for row in cells]

    def sentences(self) -> list[str]:
        """The totals in words."""
        if not self.parameters:
            said = ["No parameters, so nothing learns"]
        else:
            learn = "all" if self.trainable == self.parameters else count(self.trainable)
            said = [
                f"{count(self.parameters)} parameters ({memory_text(self.parameter_bytes)}), of which {learn} learn"
            ]
            if self.dense:
                said[0] += f" and {percent(self.dense / self.parameters)} are in dense layers"
        if self.buffers:
            said[0] += f"; {count(self.buffers)} numbers in buffers"
        said += [f"{short(self.multiply_adds)} multiply-adds a row"]
        memory = f"A forward pass holds up to {memory_text(self.peak)} of activations a row"
        if self.kept is not None:
            memory += f"; training keeps {memory_text(self.kept)} a row"
            memory += f", and {memory_text(4 * self.parameter_bytes)} for parameters, gradients and Adam's two moments"
        said.append(memory)
        if self.unused:
            more = f" and {len(self.unused) - 4} more" if len(self.unused) > 4 else ""
            said.append(f"Not used in this run: {', '.join(self.unused[:4])}{more}")
        if self.graph.real:
            said.append("What happens depends on the values: this is the run of one row of random numbers")
        return [f"{sentence}." for sentence in said]

    def to_text(self, depth: int | str = "all") -> str:
        """The table in aligned columns and the totals below it."""
        header, rows = self.table(depth)
        right = [index for index, title in enumerate(header) if title in NUMERIC]
        return "\n".join([*aligned([header, *rows], right), "", *self.sentences()])

    def __str__(self) -> str:
        return self.to_text()

    def to_json(self, depth: int | str = "all") -> dict[str, Any]:
        """Whole numbers and lists, for programs. edges: [source, target] by the names of the unsummed layers."""
        return {
            "network": self.name,
            "inputs": [list(shape) for shape in self.inputs],
            "layers": [row.to_json() for row in self.rows(depth)],
            "edges": sorted(list(edge) for edge in self.graph.edges),
            **{total: getattr(self, total) for total in TOTALS},
            "unused": list(self.unused),
        }

    def to_csv(self, depth: int | str = "all") -> str:
        """A line a layer, plain numbers; sizes as 3x3."""
        written = io.StringIO()
        rows = [row.to_json() for row in self.rows(depth)]
        writer = csv.DictWriter(written, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            texts = {
                key: ("; " if key == "inputs" else "x").join(map(str, v))
                for key, v in row.items()
                if isinstance(v, list)
            }
            writer.writerow(row | texts)
        return written.getvalue()


def summarize(
    module: nn.Module,
    input_shape: Sequence[int] | Sequence[Sequence[int]] | None = None,
    *,
    inputs: Sequence[Tensor] | None = None,
    name: str = "",
) -> Summary:
    """The structure of any module.

    input_shape: of one row, without the batch: (3, 224, 224); a list of several for several inputs; None: its first layer tells.
        A network that begins with an embedding gets token numbers
    inputs: in place of shapes, tensors with a batch of one

    The module is not changed, and its weights are not read where shapes suffice. Raises `UserError` for shapes it cannot take.
    """
    name = name or type(module).__name__
    if inputs is None:
        inputs = example_inputs(module, input_shape)
    if any(isinstance(one, nn.parameter.UninitializedParameter) for one in module.parameters()):
        module = copy.deepcopy(module)
        _run(name, module, inputs, real=True)  # lazy layers get their sizes
    try:
        graph = _run(name, module, inputs, real=False)
    except UserError:
        if any(one.is_meta for one in module.parameters()):
            raise
        graph = _run(name, module, inputs, real=True)
    used = {one for node in graph.nodes for one in node.learnt}
    parameters = list(module.parameters())
    return Summary(
        name=name,
        graph=graph,
        parameters=sum(one.numel() for one in parameters),
        trainable=sum(one.numel() for one in parameters if one.requires_grad),
        buffers=sum(one.numel() for one in module.buffers()),
        unused=tuple(name for name, _ in module.named_parameters() if name not in used),
        dense=sum(node.parameters for node in graph.nodes if node.family == "dense"),
        peak=peak_memory(graph),
        kept=kept_for_training(module, inputs, graph.real),
        parameter_bytes=sum(one.numel() * one.element_size() for one in parameters),
        stages=stages_of(module),
    )


def _run(name: str, module: nn.Module, inputs: Sequence[Tensor], real: bool) -> Graph:
    try:
        return trace(module, inputs, real)
    except TraceError as error:
        shapes = " and ".join(shape_text(tensor.shape[1:]) for tensor in inputs)
        words = " ".join(str(error.error).split())
        place = f", in {error.place}" if error.place else ""
        raise UserError(f"{name} cannot take {shapes}{place}: {type(error.error).__name__}: {words}") from error


def example_inputs(
    module: nn.Module, shape: Sequence[int] | Sequence[Sequence[int]] | None, whole: Sequence[int] = ()
) -> list[Tensor]:
    """One row of random numbers for each shape; of token numbers for a module that begins with an embedding.

    shape: as in `summarize`; whole: places of the inputs that are token numbers whatever the module begins with
    """
    first = next((layer for layer in module.modules() if not list(layer.children())), module)
    if shape is None:
        shape = first_shape(module)
    shapes = [shape] if not shape or isinstance(shape[0], int) else shape
    floating = next((one.dtype for one in module.parameters() if one.is_floating_point()), torch.float32)
    random = torch.Generator().manual_seed(0)
    made = []
    for place, sizes in enumerate(shapes):
        size = (1, *sizes)  # type: ignore[misc]
        if place in whole or (place == 0 and isinstance(first, nn.Embedding | nn.EmbeddingBag)):
            most = first.num_embeddings if isinstance(first, nn.Embedding | nn.EmbeddingBag) else 2
            made.append(torch.randint(most, size, generator=random))
        else:
            made.append(torch.randn(size, generator=random).to(floating))
    return made
