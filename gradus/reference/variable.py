"""What a computation graph is made of: a value that remembers how it was made, its operators, and the walk back.

Each operation records its result, its inputs, and for every input a pull: the function that takes the gradient by the result
to the gradient by this input. `graph.py` has the functions and tells what is chosen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Pull = Callable[[np.ndarray], np.ndarray]  # gradient by the result -> gradient by one input


class Variable:
    """A value of the computation, how it was made, and its gradient.

    operation: what made it, such as "+"; empty for what was given
    inputs:    of that operation, in order
    constant:  a number of the formula: gets no gradient
    reached:   whether `backward` came by
    """

    __array_ufunc__ = None  # so that `array * variable` asks the variable, not each element of the array

    def __init__(self, value: Any, name: str = "", *, constant: bool = False) -> None:
        self._value = real(value)
        self.name = name
        self.operation = ""
        self.inputs: tuple[Variable, ...] = ()
        self.constant = constant
        self.reached = False
        self._pulls: tuple[Pull, ...] = ()
        self._gradient: np.ndarray | None = None
        self._differentiated = False

    @property
    def value(self) -> np.ndarray:
        """float64, read-only: it can be replaced (`w.value = w.value - rate * w.gradient`), but not changed in place."""
        return self._value

    @value.setter
    def value(self, new: Any) -> None:
        new = real(new)
        if self.operation:
            raise ValueError(f"{self} was computed: change the values it is computed from, and compute it again")
        if new.shape != self.shape:
            raise ValueError(f"{self} has the shape {self.shape}, its new value has {new.shape}")
        self._value = new

    @property
    def gradient(self) -> np.ndarray:
        """The derivative of the result by this value, shaped as the value; zeros where `backward` did not come by."""
        return np.zeros(self.shape) if self._gradient is None else self._gradient

    @property
    def shape(self) -> tuple[int, ...]:
        return self._value.shape

    def named(self, name: str) -> Variable:
        """Gives a computed value a name, for `trace` and drawings: `u = (b * c).named("U")`."""
        self.name = name
        return self

    def backward(self, gradient: Any = None) -> None:
        """Adds the derivatives of this value to the gradients of all that it was computed from.

        gradient: only for an array: of its shape, the weights of the sum of its elements that is differentiated
        """
        if self._differentiated:
            raise ValueError(
                f"backward was already called on {self}: a second call would add every gradient again; "
                "call forget() first, or compute it anew"
            )
        if gradient is None and self._value.size != 1:
            raise ValueError(
                f"{self} has the shape {self.shape}: backward needs a gradient of that shape to start from"
            )
        seed = np.ones(self.shape) if gradient is None else real(gradient)
        if seed.shape != self.shape:
            raise ValueError(f"{self} has the shape {self.shape}, the gradient to start from has {seed.shape}")
        self._differentiated = True
        arrived = {id(self): seed}
        for node in reversed(in_order(self)):  # every user of a value comes before it
            if node.constant:
                continue
            flow = arrived.pop(id(node))
            node._gradient = np.array(node.gradient + flow)
            node.reached = True
            for source, pull in zip(node.inputs, node._pulls, strict=True):
                if not source.constant:
                    back = unbroadcast(pull(flow), source.shape)
                    arrived[id(source)] = arrived[id(source)] + back if id(source) in arrived else back

    def forget(self) -> None:
        """Sets the gradients of this value and of all that it was computed from back to zero."""
        for node in in_order(self):
            node._gradient, node.reached, node._differentiated = None, False, False

    def __str__(self) -> str:
        return f"'{self.name}'" if self.name else f"the result of {self.operation}" if self.operation else "a variable"

    def __repr__(self) -> str:
        made = f", made by {self.operation}" if self.operation else ""
        return f"Variable({self._value.tolist()}, {self.name!r}{made})"

    def __add__(self, other: Any) -> Variable:
        return add(self, other)

    def __radd__(self, other: Any) -> Variable:
        return add(other, self)

    def __sub__(self, other: Any) -> Variable:
        return subtract(self, other)

    def __rsub__(self, other: Any) -> Variable:
        return subtract(other, self)

    def __mul__(self, other: Any) -> Variable:
        return multiply(self, other)

    def __rmul__(self, other: Any) -> Variable:
        return multiply(other, self)

    def __truediv__(self, other: Any) -> Variable:
        return divide(self, other)

    def __rtruediv__(self, other: Any) -> Variable:
        return divide(other, self)

    def __pow__(self, other: Any) -> Variable:
        return power(self, other)

    def __rpow__(self, other: Any) -> Variable:
        return power(other, self)

    def __neg__(self) -> Variable:
        return negative(self)

    def __matmul__(self, other: Any) -> Variable:
        return matmul(self, other)

    def __rmatmul__(self, other: Any) -> Variable:
        return matmul(other, self)

    def __getitem__(self, index: Any) -> Variable:
        return take(self, index)


# ---- the parts that every operation is made of


def variable(value: Any) -> Variable:
    """A Variable as it is; a number or an array as a constant."""
    return value if isinstance(value, Variable) else Variable(value, constant=True)


def record(operation: str, value: np.ndarray, *inputs: tuple[Variable, Pull]) -> Variable:
    """The result of an operation, with each of its inputs and that input's pull."""
    result = Variable(value)
    result.operation = operation
    result.inputs = tuple(source for source, _ in inputs)
    result._pulls = tuple(pull for _, pull in inputs)
    return result


def unbroadcast(gradient: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Sums a gradient over what broadcasting repeated, so that it has the shape of the value before."""
    gradient = gradient.sum(axis=tuple(range(gradient.ndim - len(shape))))
    repeated = tuple(axis for axis, size in enumerate(shape) if size == 1 and gradient.shape[axis] != 1)
    return gradient.sum(axis=repeated, keepdims=True)


def in_order(result: Variable) -> list[Variable]:
    """All values that a result is computed from, itself last: each stands after its inputs (topological order)."""
    order: list[Variable] = []
    seen: set[int] = set()
    waiting = [(result, False)]  # a stack of our own: a chain of 10 000 steps would overflow Python's
    while waiting:
        node, inputs_are_done = waiting.pop()
        if inputs_are_done:
            order.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            waiting.append((node, True))
            waiting.extend((source, False) for source in reversed(node.inputs))
    return order


def real(value: Any) -> np.ndarray:
    """A float64 copy that cannot be written to."""
    if isinstance(value, Variable):
        raise ValueError(f"expected numbers, received a Variable ({value}): use its .value")
    try:
        numbers = np.array(value)
        if numbers.dtype.kind not in "fiub":
            raise TypeError
    except (TypeError, ValueError):
        raise ValueError(f"expected real numbers, received {value!r:.60}") from None
    numbers = numbers.astype(np.float64)
    numbers.flags.writeable = False
    return numbers


def binary(operation: str, left: Any, right: Any) -> tuple[Variable, Variable, np.ndarray, np.ndarray]:
    """Both operands as variables and as arrays that can be broadcast together."""
    left, right = variable(left), variable(right)
    try:
        np.broadcast_shapes(left.shape, right.shape)
    except ValueError:
        raise ValueError(f"{operation}: the shapes {left.shape} and {right.shape} do not fit together") from None
    return left, right, left.value, right.value


# ---- arithmetic


def add(left: Any, right: Any) -> Variable:
    left, right, a, b = binary("+", left, right)
    return record("+", a + b, (left, lambda g: g), (right, lambda g: g))


def subtract(left: Any, right: Any) -> Variable:
    left, right, a, b = binary("-", left, right)
    return record("-", a - b, (left, lambda g: g), (right, lambda g: -g))


def multiply(left: Any, right: Any) -> Variable:
    left, right, a, b = binary("*", left, right)
    return record("*", a * b, (left, lambda g: g * b), (right, lambda g: g * a))


def divide(left: Any, right: Any) -> Variable:
    left, right, a, b = binary("/", left, right)
    return record("/", a / b, (left, lambda g: g / b), (right, lambda g: -g * a / b**2))


def power(base: Any, exponent: Any) -> Variable:
    """d/da a^b = b a^(b-1), d/db a^b = a^b ln a: a variable exponent needs a base above 0."""
    base, exponent, a, b = binary("**", base, exponent)
    value = a**b

    def by_base(g: np.ndarray) -> np.ndarray:
        return g * np.where(b == 0, 0.0, b * a ** np.where(b == 0, 1.0, b - 1))

    return record("**", value, (base, by_base), (exponent, lambda g: g * value * np.log(a)))


def negative(x: Any) -> Variable:
    x = variable(x)
    return record("-", -x.value, (x, lambda g: -g))


# ---- what the brackets and @ stand for


def matmul(left: Any, right: Any) -> Variable:
    """(..., n, k) @ (..., k, m) -> (..., n, m), leading axes broadcast.

    A vector (k,) is a row on the left, a column on the right. dL/dA = dL/dC B^T, dL/dB = A^T dL/dC.
    """
    left, right = variable(left), variable(right)
    a, b = left.value, right.value
    try:
        value = np.matmul(a, b)
    except ValueError:
        raise ValueError(f"@: the shapes {left.shape} and {right.shape} do not fit together") from None
    rows, columns = (a[None, :] if a.ndim == 1 else a), (b[:, None] if b.ndim == 1 else b)

    def whole(g: np.ndarray) -> np.ndarray:  # with the axes back that vectors have not
        g = g[..., None] if b.ndim == 1 else g
        return g[..., None, :] if a.ndim == 1 else g

    def by_left(g: np.ndarray) -> np.ndarray:
        slope = whole(g) @ columns.swapaxes(-1, -2)
        return slope[..., 0, :] if a.ndim == 1 else slope

    def by_right(g: np.ndarray) -> np.ndarray:
        slope = rows.swapaxes(-1, -2) @ whole(g)
        return slope[..., 0] if b.ndim == 1 else slope

    return record("@", value, (left, by_left), (right, by_right))


def take(x: Any, index: Any) -> Variable:
    """x[index], with NumPy's indices. What is taken twice gets the sum of both gradients."""
    x = variable(x)
    shape = x.shape

    def back(g: np.ndarray) -> np.ndarray:
        gradient = np.zeros(shape)
        np.add.at(gradient, index, g)
        return gradient

    return record("take", x.value[index], (x, back))
