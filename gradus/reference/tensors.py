"""Operations on tensors as loops, beside what NumPy has (*Deep Learning with Python* §2.3, course notes §1.2.7 to §1.4.4).

The loops say what is meant, element by element; the vectorised forms do the same in compiled code, many times faster.
`NAIVE` names each pair.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import numpy as np

from gradus.reference.catalogue import Entry


def _need(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def naive_relu(inputs: np.ndarray) -> np.ndarray:
    """max(x, 0) of a matrix; the input is not overwritten."""
    _need(inputs.ndim == 2, f"naive_relu: expected a matrix, received the shape {inputs.shape}")
    result = inputs.copy()
    for i in range(result.shape[0]):
        for j in range(result.shape[1]):
            result[i, j] = max(result[i, j], 0)
    return result


def _elementwise(first: np.ndarray, second: np.ndarray, operation: Callable[[float, float], float]) -> np.ndarray:
    _need(
        first.ndim == 2 and first.shape == second.shape,
        f"expected two matrices of one shape: {first.shape}, {second.shape}",
    )
    result = first.copy()
    for i in range(result.shape[0]):
        for j in range(result.shape[1]):
            result[i, j] = operation(first[i, j], second[i, j])
    return result


def naive_add(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """a + b of two matrices of one shape."""
    return _elementwise(first, second, lambda a, b: a + b)


def naive_subtract(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """a - b of two matrices of one shape."""
    return _elementwise(first, second, lambda a, b: a - b)


def naive_multiply(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """a b, element by element, of two matrices of one shape. `*` in NumPy; the product of matrices is `@`."""
    return _elementwise(first, second, lambda a, b: a * b)


def naive_add_matrix_and_vector(matrix: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """The vector (m,) is added to each row of (n, m): broadcasting. For (32, 10) it is repeated 32 times, once a row.

    §2.3.2 says 10 times. Nothing is copied: NumPy reads the vector again with a stride of 0.
    """
    _need(
        matrix.ndim == 2 and vector.ndim == 1 and matrix.shape[1] == vector.shape[0],
        f"naive_add_matrix_and_vector: expected (n, m) and (m,), received {matrix.shape} and {vector.shape}",
    )
    result = matrix.copy()
    for i in range(matrix.shape[0]):
        for j in range(matrix.shape[1]):
            result[i, j] += vector[j]
    return result


def broadcast_shape(first: Sequence[int], second: Sequence[int]) -> tuple[int, ...]:
    """The shape of a op b: axes of length 1 are put before the shorter shape, then an axis of length 1 is repeated."""
    axes = max(len(first), len(second))
    shapes = [(1,) * (axes - len(shape)) + tuple(shape) for shape in (first, second)]
    for a, b in zip(*shapes, strict=True):
        _need(a == b or 1 in (a, b), f"broadcast_shape: {tuple(first)} and {tuple(second)} do not fit: {a} against {b}")
    return tuple(b if a == 1 else a for a, b in zip(*shapes, strict=True))


def naive_vector_dot(first: np.ndarray, second: np.ndarray) -> float:
    """sum a_i b_i; [1, 2, 3] with itself is 14."""
    _need(
        first.ndim == second.ndim == 1 and first.shape == second.shape,
        f"naive_vector_dot: expected two vectors of one length, received {first.shape} and {second.shape}",
    )
    total = 0.0
    for i in range(first.shape[0]):
        total += first[i] * second[i]
    return total


def naive_matrix_vector_dot(matrix: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """(n, m) and (m,) -> (n,): the vector with each row."""
    _need(
        matrix.ndim == 2 and vector.ndim == 1 and matrix.shape[1] == vector.shape[0],
        f"naive_matrix_vector_dot: expected (n, m) and (m,), received {matrix.shape} and {vector.shape}",
    )
    return np.array([naive_vector_dot(matrix[i, :], vector) for i in range(matrix.shape[0])])


def naive_matrix_dot(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(a, b) and (b, c) -> (a, c): rows of the first with columns of the second.

    So a batch (N, n) comes first and weights (n, m) second. §2.3 writes dot(W, input), whose shapes do not fit.
    """
    _need(
        first.ndim == second.ndim == 2 and first.shape[1] == second.shape[0],
        f"naive_matrix_dot: expected (a, b) and (b, c), received {first.shape} and {second.shape}",
    )
    result = np.zeros((first.shape[0], second.shape[1]))
    for i in range(first.shape[0]):
        for j in range(second.shape[1]):
            result[i, j] = naive_vector_dot(first[i, :], second[:, j])
    return result


def naive_transpose(matrix: np.ndarray) -> np.ndarray:
    """(n, m) -> (m, n), rows become columns."""
    result = np.zeros(matrix.shape[::-1], dtype=matrix.dtype)
    for i in range(matrix.shape[0]):
        for j in range(matrix.shape[1]):
            result[j, i] = matrix[i, j]
    return result


def naive_reshape(tensor: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """The same numbers in the same row-major order under another shape: element k stays element k. Not a transpose."""
    _need(
        tensor.size == int(np.prod(shape)), f"naive_reshape: {tensor.size} numbers do not fill the shape {tuple(shape)}"
    )
    result = np.zeros(shape, dtype=tensor.dtype)
    for old, new in zip(np.ndindex(tensor.shape), np.ndindex(tuple(shape)), strict=True):
        result[new] = tensor[old]
    return result


# what NumPy has in the place of each loop
NAIVE: dict[str, tuple[Callable, Callable]] = {
    "relu": (naive_relu, lambda x: np.maximum(x, 0)),
    "add": (naive_add, np.add),
    "subtract": (naive_subtract, np.subtract),
    "multiply": (naive_multiply, np.multiply),
    "add matrix and vector": (naive_add_matrix_and_vector, np.add),
    "vector dot": (naive_vector_dot, np.dot),
    "matrix vector dot": (naive_matrix_vector_dot, np.dot),
    "matrix dot": (naive_matrix_dot, np.dot),
    "transpose": (naive_transpose, np.transpose),
    "reshape": (naive_reshape, np.reshape),
}


def rotation(angle: float) -> np.ndarray:
    """R = [u, v] with the columns u = (cos, sin) and v = (-sin, cos): R x is x turned to the left by `angle`.

    §2.3.5 says [u, v]; np.array([u, v]) would make them rows, which turns to the right.
    """
    u = [np.cos(angle), np.sin(angle)]
    v = [-np.sin(angle), np.cos(angle)]
    return np.column_stack([u, v])


def logistic_gradients_loops(
    inputs: np.ndarray, targets: np.ndarray, weights: np.ndarray, bias: float
) -> tuple[float, np.ndarray, float]:
    """(cost, dw, db) of logistic regression by two loops (course notes §1.2.6): inputs (N, n), targets (N,) of 0 and 1.

    a = sigmoid(w x + b), dz = a - y, dw_j = mean x_j dz, db = mean dz. The sum z begins anew with each row.
    """
    cost, weight_gradient, bias_gradient = 0.0, np.zeros_like(weights), 0.0
    for row, target in zip(inputs, targets, strict=True):
        z = bias
        for j in range(len(weights)):
            z += weights[j] * row[j]
        a = 1 / (1 + np.exp(-z))
        cost -= target * np.log(a) + (1 - target) * np.log(1 - a)
        dz = a - target
        for j in range(len(weights)):
            weight_gradient[j] += row[j] * dz
        bias_gradient += dz
    return cost / len(inputs), weight_gradient / len(inputs), bias_gradient / len(inputs)


def logistic_gradients(
    inputs: np.ndarray, targets: np.ndarray, weights: np.ndarray, bias: float
) -> tuple[float, np.ndarray, float]:
    """The same without loops (course notes §1.2.9)."""
    a = 1 / (1 + np.exp(-(inputs @ weights + bias)))
    cost = -(targets * np.log(a) + (1 - targets) * np.log(1 - a)).mean()
    return float(cost), inputs.T @ (a - targets) / len(inputs), float((a - targets).mean())


def check_shapes(arrays: Mapping[str, np.ndarray], **expected: str) -> dict[str, int]:
    """Whether the arrays fit together: check_shapes({"x": x, "w": w}, x="N n", w="n m") -> {"N": ..., "n": ..., "m": ...}.

    A letter stands for one length throughout, a number for itself. It also finds an array that has lost an axis, as (n,)
    for (n, 1), with which NumPy would go on silently (course notes §1.4.4). Raises ValueError.
    """
    lengths: dict[str, int] = {}
    for name, axes in expected.items():
        shape, letters = arrays[name].shape, axes.split()
        _need(
            len(shape) == len(letters),
            f"{name}: expected {len(letters)} axes ({axes}), received the shape {shape}",
        )
        for letter, length in zip(letters, shape, strict=True):
            wanted = int(letter) if letter.isdigit() else lengths.setdefault(letter, length)
            _need(length == wanted, f"{name}: expected {letter} = {wanted} in ({axes}), received the shape {shape}")
    return lengths


def count_weights(widths: Sequence[int], biases: bool = True) -> int:
    """Of dense layers between these widths: (1000, 10, 10, 10, 10, 1) has 10 310 weights and 41 biases (*Plain Talk* §7.1)."""
    weights = sum(n * m for n, m in pairwise(widths))
    return weights + (sum(widths[1:]) if biases else 0)


def _entry(name: str, function: str, formula: str, source: str, fast: str, note: str = "") -> Entry:
    return Entry(name=name, function=f"tensors.{function}", formula=formula, source=source, fast=fast, note=note)


BOOK = "*Deep Learning with Python* "
CATALOGUE: tuple[Entry, ...] = (
    _entry("ReLU by loops", "naive_relu", r"z_{ij} = \max(x_{ij}, 0)", BOOK + "§2.3.1", "torch.relu(x)"),
    _entry("addition by loops", "naive_add", r"z_{ij} = x_{ij} + y_{ij}", BOOK + "§2.3.1", "x + y"),
    _entry("subtraction by loops", "naive_subtract", r"z_{ij} = x_{ij} - y_{ij}", BOOK + "§2.3.1", "x - y"),
    _entry("multiplication by loops", "naive_multiply", r"z_{ij} = x_{ij} y_{ij}", BOOK + "§2.3.1", "x * y"),
    _entry(
        "broadcasting",
        "naive_add_matrix_and_vector",
        r"z_{ij} = x_{ij} + y_j",
        BOOK + "§2.3.2",
        "x + y",
        "(32, 10) + (10): the vector is repeated 32 times; the book says 10",
    ),
    _entry(
        "dot product of vectors",
        "naive_vector_dot",
        r"z = \sum_i x_i y_i",
        BOOK + "§2.3.3; course notes §1.2.7",
        "x @ y",
    ),
    _entry("matrix times vector", "naive_matrix_vector_dot", r"z_i = \sum_j x_{ij} y_j", BOOK + "§2.3.3", "x @ y"),
    _entry(
        "matrix times matrix",
        "naive_matrix_dot",
        r"z_{ij} = \sum_k x_{ik} y_{kj}",
        BOOK + "§2.3.3",
        "x @ y",
        "a batch stands first: input · W; the book writes dot(W, input)",
    ),
    _entry("transposition", "naive_transpose", r"z_{ji} = x_{ij}", BOOK + "§2.3.4", "x.T"),
    _entry("reshaping", "naive_reshape", r"z_k = x_k \text{ in row-major order}", BOOK + "§2.3.4", "x.reshape(shape)"),
    _entry(
        "rotation",
        "rotation",
        r"\begin{pmatrix} \cos \theta & -\sin \theta \\ \sin \theta & \cos \theta \end{pmatrix}",
        BOOK + "§2.3.5",
        "",
        "u and v are columns; as rows they turn the other way",
    ),
    _entry(
        "gradients of logistic regression",
        "logistic_gradients",
        r"\frac{\partial J}{\partial w} = \frac{1}{N} X^T (a - y), \quad "
        r"\frac{\partial J}{\partial b} = \frac{1}{N} \sum (a - y)",
        "course notes §1.2.6, §1.2.9",
        "torch.nn.BCEWithLogitsLoss",
    ),
)
