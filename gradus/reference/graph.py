"""A computation graph: reverse-mode automatic differentiation over NumPy arrays.

    x, y, z = Variable(-5, "x"), Variable(2, "y"), Variable(-6, "z")
    f = (x + y) * z
    f.backward()
    x.gradient  # -6

Every value remembers how it was made (`variable.py`); `backward` walks from the result to what it was computed from, and adds
up the gradients that arrive where a value was used more than once. Here are the functions, and the table of a whole
computation.

*Principles and Practice* §2.3.3 (figs 2-10, 2-11), course notes §1.2.5, *Deep Learning with Python* §2.4.4. The last speaks
of symbolic differentiation: no formula of a derivative is made here, only its value, from the values of the forward pass.

Choices: numbers and arrays that are not Variables are constants, which get no gradient. At a kink the derivative is
PyTorch's: 0 for |x| and relu at 0, the lower slope for leaky relu, a half to each of two equal arguments of `maximum`. Not
covered: second derivatives.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from gradus.reference.catalogue import Entry
from gradus.reference.variable import (
    Pull,
    Variable,
    add,
    binary,
    divide,
    in_order,
    matmul,
    multiply,
    negative,
    power,
    record,
    subtract,
    take,
    variable,
)

__all__ = [
    "Row",
    "Variable",
    "absolute",
    "add",
    "concatenate",
    "convolution2d",
    "cos",
    "divide",
    "exp",
    "in_order",
    "leaky_relu",
    "log",
    "log_softmax",
    "matmul",
    "maximum",
    "mean",
    "multiply",
    "names_of",
    "negative",
    "power",
    "record",
    "relu",
    "reshape",
    "sigmoid",
    "sin",
    "softmax",
    "sqrt",
    "subtract",
    "sum",
    "take",
    "tanh",
    "trace",
    "transpose",
]

Axis = int | tuple[int, ...] | None


class Row(NamedTuple):
    """One value of a computation as `trace` lists it. derivative: None where `backward` did not come by."""

    name: str
    operation: str
    inputs: tuple[str, ...]
    value: np.ndarray
    derivative: np.ndarray | None


def trace(result: Variable) -> list[Row]:
    """Every value that a result is computed from, inputs first, the result last; constants stand only among the inputs."""
    order = in_order(result)
    names = names_of(order)
    return [
        Row(
            names[id(node)],
            node.operation,
            tuple(names[id(source)] for source in node.inputs),
            node.value,
            node.gradient if node.reached else None,
        )
        for node in order
        if not node.constant
    ]


def names_of(order: Sequence[Variable]) -> dict[int, str]:
    """id -> name. What has none is called v1, v2, ... in the order given, a constant by its number or its shape."""
    names: dict[int, str] = {}
    unnamed = 0
    for node in order:
        name = node.name
        if node.constant and not name:
            name = f"{float(node.value):g}" if node.value.ndim == 0 else f"array{node.shape}"
        elif not name:
            unnamed += 1
            name = f"v{unnamed}"
        names[id(node)] = name
    return names


# ---- elementwise functions


def _elementwise(operation: str, x: Variable, value: np.ndarray, derivative: np.ndarray) -> Variable:
    return record(operation, value, (x, lambda g: g * derivative))


def exp(x: Any) -> Variable:
    x = variable(x)
    value = np.exp(x.value)
    return _elementwise("exp", x, value, value)


def log(x: Any) -> Variable:
    x = variable(x)
    return _elementwise("log", x, np.log(x.value), 1 / x.value)


def sin(x: Any) -> Variable:
    x = variable(x)
    return _elementwise("sin", x, np.sin(x.value), np.cos(x.value))


def cos(x: Any) -> Variable:
    x = variable(x)
    return _elementwise("cos", x, np.cos(x.value), -np.sin(x.value))


def sqrt(x: Any) -> Variable:
    x = variable(x)
    value = np.sqrt(x.value)
    return _elementwise("sqrt", x, value, 1 / (2 * value))


def absolute(x: Any) -> Variable:
    x = variable(x)
    return _elementwise("abs", x, np.abs(x.value), np.sign(x.value))


def relu(x: Any) -> Variable:
    x = variable(x)
    return _elementwise("relu", x, np.maximum(x.value, 0), (x.value > 0).astype(np.float64))


def leaky_relu(x: Any, slope: float = 0.01) -> Variable:
    x = variable(x)
    factor = np.where(x.value > 0, 1.0, slope)
    return _elementwise("leaky relu", x, x.value * factor, factor)


def sigmoid(x: Any) -> Variable:
    """1 / (1 + exp(-x)), written so that no exponential overflows. Its derivative is s (1 - s)."""
    x = variable(x)
    value = np.exp(-np.logaddexp(0, -x.value))
    return _elementwise("sigmoid", x, value, value * (1 - value))


def tanh(x: Any) -> Variable:
    x = variable(x)
    value = np.tanh(x.value)
    return _elementwise("tanh", x, value, 1 - value**2)


def maximum(left: Any, right: Any) -> Variable:
    """The larger of two, elementwise."""
    left, right, a, b = binary("max", left, right)
    share = (a > b) + (a == b) / 2
    return record("max", np.maximum(a, b), (left, lambda g: g * share), (right, lambda g: g * (1 - share)))


# ---- functions of whole arrays


def sum(x: Any, axis: Axis = None, keepdims: bool = False) -> Variable:
    """Over some axes, or all. The gradient goes to every summand as it is."""
    x = variable(x)
    return record("sum", x.value.sum(axis=axis, keepdims=keepdims), (x, _spread(x.shape, axis, keepdims)))


def mean(x: Any, axis: Axis = None, keepdims: bool = False) -> Variable:
    """Over some axes, or all. Each of n summands gets 1/n of the gradient."""
    x = variable(x)
    value = x.value.mean(axis=axis, keepdims=keepdims)
    spread, share = _spread(x.shape, axis, keepdims), value.size / x.value.size
    return record("mean", value, (x, lambda g: spread(g) * share))


def _spread(shape: tuple[int, ...], axis: Axis, keepdims: bool) -> Pull:
    """Repeats a gradient along the axes that were summed away."""

    def pull(g: np.ndarray) -> np.ndarray:
        return np.broadcast_to(g if keepdims or axis is None else np.expand_dims(g, axis), shape)

    return pull


def softmax(x: Any, axis: int = -1) -> Variable:
    """exp(x_i) / sum_j exp(x_j). dL/dx = s (g - sum_j g_j s_j)."""
    x = variable(x)
    exponentials = np.exp(x.value - x.value.max(axis=axis, keepdims=True))
    value = exponentials / exponentials.sum(axis=axis, keepdims=True)
    return record("softmax", value, (x, lambda g: value * (g - (g * value).sum(axis=axis, keepdims=True))))


def log_softmax(x: Any, axis: int = -1) -> Variable:
    """x_i - log sum_j exp(x_j). dL/dx = g - softmax(x) sum_j g_j."""
    x = variable(x)
    shifted = x.value - x.value.max(axis=axis, keepdims=True)
    value = shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))
    return record("log softmax", value, (x, lambda g: g - np.exp(value) * g.sum(axis=axis, keepdims=True)))


def reshape(x: Any, shape: int | tuple[int, ...]) -> Variable:
    """The same numbers in another shape; one size may be -1."""
    x = variable(x)
    before = x.shape
    try:
        value = x.value.reshape(shape)
    except ValueError:
        raise ValueError(f"reshape: {x.value.size} numbers of shape {before} do not fill the shape {shape}") from None
    return record("reshape", value, (x, lambda g: g.reshape(before)))


def transpose(x: Any, axes: Sequence[int] | None = None) -> Variable:
    """The axes in another order; reversed where no order is given."""
    x = variable(x)
    order = list(range(x.value.ndim))[::-1] if axes is None else [axis % x.value.ndim for axis in axes]
    return record("transpose", x.value.transpose(order), (x, lambda g: g.transpose(np.argsort(order))))


def concatenate(parts: Sequence[Any], axis: int = 0) -> Variable:
    """Arrays one after the other along an axis; each gets back its slice of the gradient."""
    variables = [variable(part) for part in parts]
    try:
        value = np.concatenate([part.value for part in variables], axis=axis)
    except ValueError:
        shapes = " and ".join(str(part.shape) for part in variables)
        raise ValueError(f"concatenate: the shapes {shapes} do not fit together along axis {axis}") from None
    ends = np.cumsum([part.shape[axis] for part in variables])

    def slice_of(number: int) -> Pull:
        return lambda g: np.split(g, ends[:-1], axis=axis)[number]

    return record("concatenate", value, *((part, slice_of(number)) for number, part in enumerate(variables)))


def convolution2d(inputs: Any, weight: Any) -> Variable:
    """Cross-correlation without padding. inputs (N, C, H, W), weight (O, C, h, w) -> (N, O, H - h + 1, W - w + 1).

    Written as a sum over the h x w places of the kernel: at each, one shifted window of the inputs times one (O, C) matrix.
    """
    inputs, weight = variable(inputs), variable(weight)
    x, w = inputs.value, weight.value
    if x.ndim != 4 or w.ndim != 4 or x.shape[1] != w.shape[1]:
        raise ValueError(
            f"convolution2d: inputs {x.shape} and weight {w.shape} should be (N, C, H, W) and (O, C, h, w)"
        )
    rows, columns = x.shape[2] - w.shape[2] + 1, x.shape[3] - w.shape[3] + 1
    places = list(np.ndindex(w.shape[2:]))

    def window(array: np.ndarray, row: int, column: int) -> np.ndarray:
        return array[:, :, row : row + rows, column : column + columns]

    value = np.zeros((len(x), len(w), rows, columns))
    for place in places:
        value += np.einsum("nchw,oc->nohw", window(x, *place), w[:, :, *place])

    def by_inputs(g: np.ndarray) -> np.ndarray:
        gradient = np.zeros(x.shape)
        for place in places:
            window(gradient, *place)[...] += np.einsum("nohw,oc->nchw", g, w[:, :, *place])
        return gradient

    def by_weight(g: np.ndarray) -> np.ndarray:
        gradient = np.zeros(w.shape)
        for place in places:
            gradient[:, :, *place] = np.einsum("nohw,nchw->oc", g, window(x, *place))
        return gradient

    return record("convolution", value, (inputs, by_inputs), (weight, by_weight))


CATALOGUE: tuple[Entry, ...] = (
    Entry(
        name="computation graph",
        function="graph.Variable",
        formula=r"v_i = f_i(v_j : j \to i)",
        derivative=r"\bar v_j = \sum_{i : j \to i} \bar v_i \frac{\partial f_i}{\partial v_j}",
        fast="torch.autograd",
        source="Rumelhart, Hinton and Williams 1986; *Principles and Practice* §2.3.3, course notes §1.2.5, "
        "*Deep Learning with Python* §2.4.4",
        note="Reverse mode: one walk back gives the derivatives of one number by all inputs. Where a value is used twice, the "
        "gradients of both uses are added up.",
    ),
)
