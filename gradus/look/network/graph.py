"""What happens in a network as a directed graph: nodes are calls of layers and functions, edges are tensors."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import nn

from gradus.look.network.fields import Field, Window

Shape = tuple[int, ...]  # of one row: without the batch

FAMILIES = {  # family -> what a legend calls it
    "input": "input",
    "convolution": "convolution",
    "pooling": "pooling",
    "dense": "dense",
    "sequence": "recurrence, attention, embedding",
    "join": "sum, concatenation",
    "pointwise": "activation, normalisation, dropout",
    "shape": "change of shape",
    "block": "block of layers",
    "other": "other",
}
FUNCTIONS = {  # family -> functions
    "join": {"add", "sub", "mul", "div", "cat", "stack", "maximum", "minimum", "lerp", "hstack", "vstack"},
    "shape": {
        *(
            "flatten",
            "view",
            "reshape",
            "permute",
            "transpose",
            "squeeze",
            "unsqueeze",
            "chunk",
            "split",
            "unbind",
            "pad",
        ),
        *(
            "getitem",
            "repeat",
            "expand",
            "swapaxes",
            "movedim",
            "unflatten",
            "select",
            "narrow",
            "interpolate",
            "setitem",
        ),
        *("pixel_shuffle", "roll", "flip", "tile", "unfold", "fold"),
    },
    "dense": {"linear", "matmul", "mm", "bmm", "einsum", "addmm", "baddbmm", "bilinear"},
    "sequence": {"lstm", "gru", "rnn_tanh", "rnn_relu", "embedding", "scaled_dot_product_attention"},
    "pointwise": {
        *(
            "relu",
            "relu6",
            "leaky_relu",
            "elu",
            "selu",
            "gelu",
            "silu",
            "sigmoid",
            "tanh",
            "softmax",
            "log_softmax",
            "softplus",
        ),
        *(
            "hardswish",
            "hardtanh",
            "mish",
            "dropout",
            "dropout2d",
            "alpha_dropout",
            "batch_norm",
            "layer_norm",
            "group_norm",
        ),
        *(
            "instance_norm",
            "local_response_norm",
            "normalize",
            "clamp",
            "prelu",
            "exp",
            "log",
            "neg",
            "abs",
            "sqrt",
            "pow",
        ),
    },
    "pooling": {"mean", "sum", "amax", "max", "amin", "min"},
}
LAYERS: dict[str, tuple[type, ...]] = {
    "convolution": (nn.modules.conv._ConvNd,),
    "dense": (nn.Linear, nn.Bilinear),
    "sequence": (nn.RNNBase, nn.modules.rnn.RNNCellBase, nn.MultiheadAttention, nn.Embedding, nn.EmbeddingBag),
    "shape": (nn.Flatten, nn.Unflatten, nn.Upsample, nn.PixelShuffle, nn.PixelUnshuffle, nn.Fold, nn.Unfold),
}


def family_of_function(name: str) -> str:
    if "conv" in name:
        return "convolution"
    if "_pool" in name:
        return "pooling"
    return next((family for family, names in FUNCTIONS.items() if name in names), "other")


def family_of_layer(layer: nn.Module, keeps_shape: bool, windowed: bool) -> str:
    """By its class; a class that is not listed by what it does: a window with or without parameters, or none."""
    for family, classes in LAYERS.items():
        if isinstance(layer, classes):
            return family
    learns = any(one.ndim > 1 for one in layer.parameters())
    if windowed:
        return "convolution" if learns else "pooling"
    if "Pool" in type(layer).__name__:
        return "pooling"
    return "pointwise" if keeps_shape and not learns else "other"


@dataclass(frozen=True)
class Edge:
    """A tensor on its way. source: the number of the node that made it; shape: of one row."""

    source: int
    shape: Shape


@dataclass
class Node:
    """One call of a layer (a module without modules in it) or of a function between layers.

    name:    the layer's dotted name, with " (2)" at its second call; of a function, its kind after the name of the module it
             is in: "layer1.0.add"
    kind:    the layer's class, or the function: "Conv2d", "add"; "input" for what the network is given
    family:  what it does, one of `FAMILIES`
    layer:   the layer's dotted name; "" for inputs and functions
    scopes:  the modules it is in, from the outside in (the network itself left out), " (2)" for a second call
    inputs:  the tensors it takes, in order, as far as they depend on the network's inputs or on its parameters
    shapes:  of all tensors it gives, for one row
    window:  of a convolution or pooling
    sees:    what one of its numbers sees of the inputs (`fields.py`)
    multiply_adds: of matrix products and convolutions, for one row
    values:  numbers it gives a row
    parameters: numbers in the parameters that are used here first; trainable: those of them that learn
    learnt:  names of all parameters that are used here
    memory:  identity of each piece of memory that holds what it gives -> its bytes, 0 where the piece was there before
    """

    name: str
    kind: str
    family: str = "other"
    layer: str = ""
    scopes: tuple[str, ...] = ()
    inputs: tuple[Edge, ...] = ()
    shapes: tuple[Shape, ...] = ()
    window: Window | None = None
    sees: Field = None
    multiply_adds: int = 0
    values: int = 0
    parameters: int = 0
    trainable: int = 0
    learnt: tuple[str, ...] = ()
    memory: dict[int, int] = field(default_factory=dict, repr=False)

    @property
    def bytes(self) -> int:
        """New memory for one row: 0 for a view of its input, or where it writes over it."""
        return sum(self.memory.values())


@dataclass(frozen=True)
class Graph:
    """nodes: in the order of their calls, so edges lead from lower to higher numbers. outputs: what the network returns.

    classes: class names of the modules by their dotted names; kinds of `scopes` among them
    real: whether it was traced with numbers, since shapes alone did not do (control flow that depends on values)
    """

    nodes: tuple[Node, ...]
    outputs: tuple[Edge, ...]
    classes: dict[str, str]
    real: bool = False

    @property
    def edges(self) -> set[tuple[str, str]]:
        """(name of the source, name of the target), for tests and for people."""
        return {(self.nodes[edge.source].name, node.name) for node in self.nodes for edge in node.inputs}
