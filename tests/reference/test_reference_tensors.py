"""Loops against NumPy, and the facts of *Deep Learning with Python* §2.3, corrected."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gradus.reference import tensors

quick = settings(max_examples=25, deadline=None)
sizes, seeds = st.integers(1, 4), st.integers(0, 999)


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


@quick
@given(sizes, sizes, sizes, seeds)
def test_loops_are_what_numpy_does(n, m, k, seed):
    first, same, second = normal(seed, n, m), normal(seed + 1, n, m), normal(seed + 2, m, k)
    vector, other = normal(seed + 3, m), normal(seed + 4, m)
    arguments = {
        "relu": (first,),
        "add": (first, same),
        "subtract": (first, same),
        "multiply": (first, same),
        "add matrix and vector": (first, vector),
        "vector dot": (vector, other),
        "matrix vector dot": (first, vector),
        "matrix dot": (first, second),
        "transpose": (first,),
        "reshape": (first, (m, n)),
    }
    assert set(arguments) == set(tensors.NAIVE)
    for name, given_ in arguments.items():
        before = [np.copy(argument) for argument in given_]
        naive, fast = tensors.NAIVE[name]
        np.testing.assert_allclose(naive(*given_), fast(*given_), rtol=1e-12, atol=1e-14, err_msg=name)
        for argument, copy in zip(given_, before, strict=True):
            np.testing.assert_array_equal(argument, copy)


@pytest.mark.parametrize(
    ("operation", "shapes"),
    [
        (tensors.naive_relu, [(3,)]),
        (tensors.naive_add, [(2, 3), (3, 2)]),
        (tensors.naive_subtract, [(2, 3), (3, 2)]),
        (tensors.naive_multiply, [(2,), (2,)]),
        (tensors.naive_add_matrix_and_vector, [(2, 3), (2,)]),
        (tensors.naive_vector_dot, [(2,), (3,)]),
        (tensors.naive_matrix_vector_dot, [(2, 3), (2,)]),
        (tensors.naive_matrix_dot, [(2, 3), (2, 3)]),
    ],
)
def test_shapes_that_do_not_fit_are_told(operation, shapes):
    with pytest.raises(ValueError, match=r"\(\d,( \d)?\)"):
        operation(*(np.ones(shape) for shape in shapes))


def test_the_dot_product_of_the_course_notes():
    assert tensors.naive_vector_dot(np.array([1, 2, 3]), np.array([1, 2, 3])) == 14


def test_a_vector_is_repeated_once_a_row():
    """§2.3.2: (32, 10) and (10,) repeat the vector 32 times, not 10; and without a copy."""
    matrix, vector = normal(0, 32, 10), normal(1, 10)
    repeated = np.concatenate([vector[None]] * 32, axis=0)
    np.testing.assert_allclose(tensors.naive_add_matrix_and_vector(matrix, vector), matrix + repeated)
    with pytest.raises(ValueError):
        matrix + np.concatenate([vector[None]] * 10, axis=0)
    virtual = np.broadcast_to(vector, (32, 10))
    assert virtual.strides[0] == 0 and np.shares_memory(virtual, vector)


@quick
@given(st.lists(st.integers(1, 3), max_size=4), st.lists(st.integers(1, 3), max_size=4))
def test_broadcast_shapes_are_numpys(first, second):
    try:
        wanted = np.broadcast_shapes(tuple(first), tuple(second))
    except ValueError:
        with pytest.raises(ValueError, match="do not fit"):
            tensors.broadcast_shape(first, second)
    else:
        assert tensors.broadcast_shape(first, second) == wanted


def test_shapes_of_the_book():
    assert tensors.broadcast_shape((64, 3, 32, 10), (32, 10)) == (64, 3, 32, 10)
    assert np.maximum(normal(0, 64, 3, 32, 10), normal(1, 32, 10)).shape == (64, 3, 32, 10)
    assert (normal(0, 2, 3, 4, 5) @ normal(1, 5)).shape == (2, 3, 4)
    assert np.dot(normal(0, 2, 3, 4, 5), normal(1, 5, 6)).shape == (2, 3, 4, 6)
    assert tensors.naive_transpose(np.zeros((300, 20))).shape == (20, 300)
    assert tensors.naive_reshape(np.arange(6).reshape(3, 2), (2, 3)).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert tensors.naive_reshape(np.arange(6).reshape(3, 2), (6, 1)).shape == (6, 1)
    assert tensors.naive_transpose(np.arange(6).reshape(3, 2)).tolist() == [
        [0, 2, 4],
        [1, 3, 5],
    ]  # of the same shape (2, 3)
    with pytest.raises(ValueError, match="6 numbers do not fill"):
        tensors.naive_reshape(np.arange(6), (4, 2))


def test_a_batch_stands_before_the_weights():
    """§2.3.1, §2.3.3: input (n, in) by W (in, units); dot(W, input) has no meaning unless the sizes happen to agree."""
    batch, weights = normal(0, 5, 3), normal(1, 3, 4)
    layer = torch.nn.Linear(3, 4, bias=False).double()
    layer.weight.data = torch.tensor(weights.T)
    np.testing.assert_allclose(
        tensors.naive_matrix_dot(batch, weights), layer(torch.tensor(batch)).detach(), rtol=1e-12
    )
    with pytest.raises(ValueError, match=r"received \(3, 4\) and \(5, 3\)"):
        tensors.naive_matrix_dot(weights, batch)
    square = normal(2, 3, 3), normal(3, 3, 3)
    assert np.abs(tensors.naive_matrix_dot(*square) - tensors.naive_matrix_dot(*square[::-1])).max() > 0.1


@quick
@given(st.floats(-6, 6), st.floats(-6, 6))
def test_rotations_turn_to_the_left(one, two):
    found = tensors.rotation(one)
    np.testing.assert_allclose(found @ [1, 0], [np.cos(one), np.sin(one)], atol=1e-12)
    np.testing.assert_allclose(found @ tensors.rotation(two), tensors.rotation(one + two), atol=1e-12)
    np.testing.assert_allclose(found @ found.T, np.eye(2), atol=1e-12)
    # as rows, np.array([u, v]) turns the other way
    rows = np.array([[np.cos(one), np.sin(one)], [-np.sin(one), np.cos(one)]])
    np.testing.assert_allclose(rows, tensors.rotation(-one), atol=1e-12)


def test_a_quarter_turn():
    np.testing.assert_allclose(tensors.rotation(np.pi / 2) @ [1.0, 0], [0, 1], atol=1e-12)


@quick
@given(st.integers(1, 8), st.integers(1, 4), seeds)
def test_logistic_gradients(rows, features, seed):
    inputs, weights = normal(seed, rows, features), normal(seed + 1, features)
    targets = np.random.default_rng(seed).integers(0, 2, rows)
    loops = tensors.logistic_gradients_loops(inputs, targets, weights, 0.3)
    fast = tensors.logistic_gradients(inputs, targets, weights, 0.3)
    for one, other in zip(loops, fast, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-14)
    parameter, bias = (
        torch.tensor(weights, requires_grad=True),
        torch.tensor(0.3, dtype=torch.float64, requires_grad=True),
    )
    loss = torch.nn.functional.binary_cross_entropy_with_logits(
        torch.tensor(inputs) @ parameter + bias, torch.tensor(targets, dtype=torch.float64)
    )
    loss.backward()
    np.testing.assert_allclose(fast[0], loss.item(), rtol=1e-10)
    np.testing.assert_allclose(fast[1], parameter.grad, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(fast[2], bias.grad, rtol=1e-10, atol=1e-13)


def test_shapes_are_checked_by_letters():
    arrays = {"x": np.ones((5, 3)), "w": np.ones((3, 4)), "b": np.ones(4), "z": np.ones((5, 4))}
    assert tensors.check_shapes(arrays, x="N n", w="n m", b="m", z="N m") == {"N": 5, "n": 3, "m": 4}
    with pytest.raises(ValueError, match=r"w: expected n = 3 in \(n m\), received the shape \(4, 3\)"):
        tensors.check_shapes(arrays | {"w": np.ones((4, 3))}, x="N n", w="n m")
    # an array that lost an axis: (5,) - (5, 1) would be (5, 5) without a word
    with pytest.raises(ValueError, match=r"z: expected 2 axes \(N 1\), received the shape \(5,\)"):
        tensors.check_shapes(arrays | {"z": np.ones(5)}, x="N n", z="N 1")
    assert (np.ones(5) - np.ones((5, 1))).shape == (5, 5)


def test_nudging_twenty_million_times():
    """*Plain Talk* §7.1: 10 310 weights, 2000 nudges each: 20 620 000; it prints 2062000 once."""
    widths = (1000, 10, 10, 10, 10, 1)
    assert tensors.count_weights(widths, biases=False) == 10_310
    assert 2000 * tensors.count_weights(widths, biases=False) == 20_620_000
    layers = [torch.nn.Linear(n, m) for n, m in pairwise(widths)]
    assert tensors.count_weights(widths) == sum(p.numel() for layer in layers for p in layer.parameters()) == 10_351
