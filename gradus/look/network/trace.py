"""Runs a network once and writes down what happens: any module, any directed graph.

Hooks on all modules see the layers, a `TorchFunctionMode` the functions between them, a `TorchDispatchMode` the products that
are counted. So branches, shortcuts, layers used twice, loops, several inputs and outputs come out as they are. Control flow is
that of this one run. The network runs in evaluation mode on the meta device, where tensors are shapes without numbers; one that
needs numbers (`if x.sum() > 0`) runs with its own weights on one row of random numbers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from gradus.look.network.fields import Field, Window, behind, field_of_input
from gradus.look.network.graph import Edge, Graph, Node, Shape, family_of_function, family_of_layer

PASSED = {  # what changes no number and no place
    *("contiguous", "to", "float", "double", "half", "bfloat16", "type", "type_as", "detach", "clone", "cpu", "cuda"),
    *("requires_grad", "data", "alias", "view_as", "long", "int"),
}
NAMES = {"truediv": "div", "T": "transpose", "mT": "transpose", "concat": "cat", "concatenate": "cat"}


class TraceError(Exception):
    """A network that could not be run. place: the layer or module it happened in, "" outside of them; error: what it raised."""

    def __init__(self, place: str, error: Exception) -> None:
        super().__init__(f"{place}: {error}" if place else str(error))
        self.place, self.error = place, error


def trace(module: nn.Module, inputs: Sequence[Tensor], real: bool = False) -> Graph:
    """The graph of `module(*inputs)`, for one row: inputs are (1, ...).

    real: whether to run with numbers rather than shapes. Raises `TraceError` with what the network itself raised.
    """
    device = _device(module) if real else torch.device("meta")
    tracer = _Tracer(module)
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # it would skip the layers inside a transformer's
    try:
        with in_mode(module, training=False), torch.no_grad(), device, on_device(module, device) as replaced:
            given = [tensor.to(device) for tensor in inputs]
            tracer.start(given, replaced)
            with tracer.hooked(), tracer.counter, tracer.functions:
                try:
                    result = module(*given)
                except Exception as error:
                    raise TraceError(tracer.place(), error) from error
            return tracer.finish(result, real)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)


def _device(module: nn.Module) -> torch.device:
    return next((one.device for one in (*module.parameters(), *module.buffers())), torch.device("cpu"))


@contextmanager
def in_mode(module: nn.Module, training: bool) -> Iterator[None]:
    """In training or evaluation mode; afterwards every module as it was."""
    before = [(one, one.training) for one in module.modules()]
    module.train(training)
    try:
        yield
    finally:
        for one, was in before:
            one.training = was


@contextmanager
def on_device(module: nn.Module, device: torch.device) -> Iterator[dict[int, Tensor]]:
    """On the meta device, parameters and buffers are replaced by shapes for a while. Yields id -> the parameter it stands for."""
    if device.type != "meta" or _device(module).type == "meta":
        yield {id(one): one for one in module.parameters()}
        return
    made: dict[int, Tensor] = {}
    before = [
        (one, name, tensor)
        for one in module.modules()
        for name, tensor in (*one._parameters.items(), *one._buffers.items())
        if tensor is not None
    ]
    try:
        for one, name, tensor in before:
            if id(tensor) not in made:
                shape = torch.empty_like(tensor, device="meta")
                is_parameter = isinstance(tensor, nn.Parameter)
                made[id(tensor)] = nn.Parameter(shape, tensor.requires_grad) if is_parameter else shape
            setattr(one, name, made[id(tensor)])  # recurrent layers keep a list of theirs, which this renews too
        yield {
            id(made[id(one)]): one for one in (tensor for _, _, tensor in before if isinstance(tensor, nn.Parameter))
        }
    finally:
        for one, name, tensor in before:
            setattr(one, name, tensor)


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Every tensor in nested lists, tuples, dictionaries and dataclasses, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from tensors_in(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from tensors_in(one)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from tensors_in(getattr(value, field.name))


def is_layer(module: nn.Module) -> bool:
    """Whether a module is one node: it has none in it, or calls none of them."""
    return isinstance(module, nn.MultiheadAttention) or all(
        name == "parametrizations" for name, _ in module.named_children()
    )


class _Functions(TorchFunctionMode):
    def __init__(self, tracer: _Tracer) -> None:
        super().__init__()
        self.tracer = tracer

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None) -> Any:
        return self.tracer.on_function(func, args, kwargs or {})


class _Counter(TorchDispatchMode):
    """Counts the multiplications of matrix products and convolutions; each has its addition."""

    multiply_adds = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None) -> Any:
        result = func(*args, **(kwargs or {}))
        count = PRODUCTS.get(func.overloadpacket.__name__)
        if count is not None:
            self.multiply_adds += count(result, *args)
        return result


def _convolution(result: Tensor, taken: Tensor, weight: Tensor, *others: Any) -> int:
    transposed = others[4]  # bias, stride, padding, dilation, transposed
    return (taken if transposed else result).numel() * prod(weight.shape[1:])


def _attention(result: Any, query: Tensor, key: Tensor, value: Tensor, *_: Any) -> int:
    return prod(query.shape[:-1]) * key.shape[-2] * (query.shape[-1] + value.shape[-1])


PRODUCTS: dict[str, Any] = {
    "convolution": _convolution,
    "mm": lambda _, a, b, *others: a.numel() * b.shape[1],
    "addmm": lambda _, c, a, b, *others: a.numel() * b.shape[1],
    "bmm": lambda _, a, b, *others: a.numel() * b.shape[2],
    "baddbmm": lambda _, c, a, b, *others: a.numel() * b.shape[2],
    "mv": lambda _, a, b: a.numel(),
    "dot": lambda _, a, b: a.numel(),
    "_scaled_dot_product_flash_attention_for_cpu": _attention,
    "_scaled_dot_product_flash_attention": _attention,
    "_scaled_dot_product_efficient_attention": _attention,
}


def _recurrent(layer: nn.RNNBase, taken: Tensor) -> int:
    """Per step, layer and direction: gates x hidden x (inputs + state), and the projection of an LSTM that has one."""
    steps = taken.numel() // taken.shape[-1] if isinstance(taken, Tensor) else 0
    weights = sum(one.numel() for name, one in layer.named_parameters(recurse=False) if name.startswith("weight"))
    return steps * weights


class _Tracer:
    """Nodes are made in the order of their calls. What a tensor comes from is known by its identity, so all are kept alive."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.names = {id(one): name for name, one in module.named_modules()}
        self.learnt = {id(one): name for name, one in module.named_parameters()}
        self.functions, self.counter = _Functions(self), _Counter()
        self.nodes: list[Node] = []
        self.sources: dict[int, int] = {}  # id of a tensor -> the node that made it
        self.fields: dict[int, Field] = {}
        self.kept: list[Tensor] = []
        self.storages: set[int] = set()
        self.scopes: list[str] = []
        self.calls: dict[str, int] = {}
        self.leaf: nn.Module | None = None
        self.began: tuple[list[Tensor], list[Any], int, list[int]] = ([], [], 0, [])
        self.window: Window | None = None

    def start(self, inputs: Sequence[Tensor], parameters: dict[int, Tensor]) -> None:
        self.parameters, self.counted = parameters, set[int]()
        for number, tensor in enumerate(inputs):
            name = "input" if len(inputs) == 1 else f"input {number + 1}"
            self._keep(tensor, field_of_input(tensor))
            self._add(Node(name, "input", "input"), [], [tensor])

    @contextmanager
    def hooked(self) -> Iterator[None]:
        handles = []
        for one in self.module.modules():
            handles.append(one.register_forward_pre_hook(self.on_enter, with_kwargs=True))
            handles.append(one.register_forward_hook(self.on_exit))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def place(self) -> str:
        """Where the run is, for what is told of an error."""
        if self.leaf is not None:
            return f"{self.names[id(self.leaf)]} ({type(self.leaf).__name__})".strip()
        return self.scopes[-1] if self.scopes else ""

    def finish(self, result: Any, real: bool) -> Graph:
        outputs = tuple(self._edges(list(tensors_in(result))))
        classes = {name: type(one).__name__ for name, one in self.module.named_modules()}
        return Graph(tuple(self.nodes), outputs, classes, real)

    # ---- modules

    def is_node(self, module: nn.Module) -> bool:
        """Whether a module is one node. A whole network that is one class with functions in it is looked into."""
        return is_layer(module) and (module is not self.module or type(module).__module__.startswith("torch.nn"))

    def on_enter(self, module: nn.Module, args: tuple, keywords: dict[str, Any]) -> None:
        if self.leaf is not None:
            return
        if not self.is_node(module):
            if module is not self.module:
                self.scopes.append(self._called(self.names[id(module)]))
            return
        taken = list(tensors_in((args, keywords)))
        self.leaf, self.window = module, None
        self.began = taken, self._edges(taken), self.counter.multiply_adds, [one._version for one in taken]

    def on_exit(self, module: nn.Module, args: tuple, result: Any) -> Any:
        if self.leaf is None:
            if module is not self.module:
                self.scopes.pop()
            return None
        if module is not self.leaf:
            return None
        taken, edges, before, versions = self.began
        self.leaf = None
        if not any(True for _ in module.parameters()) and type(module) in (nn.Identity, nn.Sequential):
            return None
        result = self._apart(result, taken, versions)
        count = self.counter.multiply_adds - before
        if isinstance(module, nn.RNNBase) and taken:
            count = _recurrent(module, taken[0])
        name = self.names[id(module)]
        node = Node(
            self._called(name or type(module).__name__), type(module).__name__, layer=name, scopes=tuple(self.scopes),
            multiply_adds=count, window=self.window,
        )  # fmt: skip
        given = list(tensors_in(result))
        keeps_shape = bool(taken and given) and taken[0].shape == given[0].shape
        node.family = family_of_layer(module, keeps_shape, self.window is not None)
        self._count_parameters(node, list(module.parameters()))
        self._add(node, edges, given)
        return result

    # ---- functions

    def on_function(self, function: Any, args: tuple, keywords: dict[str, Any]) -> Any:
        name = _name(function)
        if name == "":
            return function(*args, **keywords)
        taken = list(tensors_in((args, keywords)))
        edges, versions, before = self._edges(taken), [one._version for one in taken], self.counter.multiply_adds
        seen = [self.fields.get(id(one)) for one in taken]
        result = function(*args, **keywords)
        changed = [one for one, version in zip(taken, versions, strict=True) if one._version != version]
        given = list(tensors_in(result)) or changed[:1]
        if not given:
            return result
        used = [one for one in taken if id(one) in self.parameters]
        if name in PASSED or self.leaf is not None or not (edges or used):
            field, window = (
                (next(iter(seen), None), None)
                if name in PASSED
                else behind(name, args, keywords, taken, seen, given[0])
            )
            self.window = window or self.window
            for one in given:
                self._keep(one, field)
                if name in PASSED and edges:
                    self.sources[id(one)] = edges[0].source
            return result
        result = self._apart(result, taken, versions)
        given = list(tensors_in(result)) or changed[:1]
        field, window = behind(name, args, keywords, taken, seen, given[0])
        node = Node(
            self._called(f"{self.scopes[-1]}.{name}" if self.scopes else name), name, family_of_function(name),
            scopes=tuple(self.scopes), window=window, multiply_adds=self.counter.multiply_adds - before,
        )  # fmt: skip
        for one in given:
            self._keep(one, field)
        self._count_parameters(node, used)
        self._add(node, edges, given)
        return result

    # ---- both

    def _apart(self, result: Any, taken: Sequence[Tensor], versions: Sequence[int]) -> Any:
        """A result that is its own input, unchanged (dropout in evaluation), as a tensor of its own: both may be used later."""
        for one, version in zip(taken, versions, strict=True):
            if result is one and one._version == version:
                with torch._C.DisableTorchFunction():
                    apart = one.view_as(one)
                self._keep(apart, self.fields.get(id(one)))
                return apart
        return result

    def _called(self, name: str) -> str:
        self.calls[name] = self.calls.get(name, 0) + 1
        return name if self.calls[name] == 1 else f"{name} ({self.calls[name]})"

    def _edges(self, taken: Sequence[Tensor]) -> list[Edge]:
        return [Edge(self.sources[id(one)], _row(one)) for one in taken if id(one) in self.sources]

    def _keep(self, tensor: Tensor, field: Field) -> None:
        self.kept.append(tensor)
        self.fields[id(tensor)] = field

    def _count_parameters(self, node: Node, used: Sequence[Tensor]) -> None:
        used = [one for one in used if id(one) in self.parameters]
        node.learnt = tuple(self.learnt[id(self.parameters[id(one)])] for one in used)
        for one in used:
            if id(one) not in self.counted:
                self.counted.add(id(one))
                node.parameters += one.numel()
                node.trainable += one.numel() if self.parameters[id(one)].requires_grad else 0

    def _add(self, node: Node, edges: Sequence[Edge], given: Sequence[Tensor]) -> None:
        node.inputs, node.shapes = tuple(edges), tuple(_row(one) for one in given)
        node.sees = next((self.fields.get(id(one)) for one in given), None)
        for one in given:
            if id(one) not in self.fields:
                self._keep(one, None)
            self.sources[id(one)] = len(self.nodes)
            node.values += one.numel()
            place = _storage(one)
            node.memory[place] = node.memory.get(place, 0) + (
                0 if place in self.storages else one.numel() * one.element_size()
            )
            self.storages.add(place)
        self.nodes.append(node)


def _row(tensor: Tensor) -> Shape:
    """The shape without the batch of one row."""
    shape = tuple(tensor.shape)
    return shape[1:] if len(shape) > 1 and shape[0] == 1 else shape


def _storage(tensor: Tensor) -> int:
    with torch._C.DisableTorchFunction():
        return tensor.untyped_storage()._cdata


def _name(function: Any) -> str:
    """A function's name in words: `Tensor.__iadd__`, `add_` and `torch.add` are all "add"; "" for what is no operation."""
    name = getattr(function, "__name__", "")
    if name == "__get__":
        name = getattr(getattr(function, "__self__", None), "__name__", "")
        if name not in NAMES and name != "data":
            return ""
    if name == "__set__":
        return ""
    if name.startswith("__") and name.endswith("__"):
        name = name[2:-2]
        name = name[1:] if name[:1] in "ri" and name[1:] in OPERATORS else name
    name = name.strip("_")
    return NAMES.get(name, name)


OPERATORS = {"add", "sub", "mul", "truediv", "matmul", "pow", "floordiv", "mod", "and", "or", "xor"}
