"""The computation graph: its derivatives by PyTorch's autograd and by central differences, its order, its messages."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gradus.reference import graph
from gradus.reference.graph import Variable, in_order, trace

quick = settings(max_examples=25, deadline=None)
CLOSE = {"rtol": 1e-11, "atol": 1e-12}
seeds = st.integers(0, 999)


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


# ---- random expressions, evaluated by both

OURS = SimpleNamespace(
    **{name: getattr(graph, name) for name in graph.__all__ if name.islower()},
    cat=graph.concatenate,
    flip=graph.transpose,
)
TORCH = SimpleNamespace(
    **{
        name: getattr(torch, name)
        for name in ("exp", "log", "sin", "cos", "sqrt", "absolute", "maximum", "relu", "sigmoid", "tanh")
    },
    **{name: getattr(torch, name) for name in ("matmul", "reshape", "sum", "mean", "softmax", "log_softmax", "cat")},
    leaky_relu=torch.nn.functional.leaky_relu,
    flip=lambda x: x.permute(tuple(range(x.ndim))[::-1]),
)


def row(m, a):
    return m.reshape(a, (-1,))


# each step takes the functions of one side and two values; products are squashed so that nothing overflows
STEPS = [
    *(lambda m, a, b: a + b, lambda m, a, b: a - b, lambda m, a, b: m.tanh(a * b), lambda m, a, b: a / (b * b + 1)),
    *(
        lambda m, a, b: 2 - a,
        lambda m, a, b: 1 / (a * a + 1),
        lambda m, a, b: -a * 3,
        lambda m, a, b: (a - 1) / 4 + 0.5,
    ),
    *(lambda m, a, b: m.tanh(a) ** 3, lambda m, a, b: (a * a + 0.5) ** m.tanh(b), lambda m, a, b: 2 ** m.tanh(a)),
    *(lambda m, a, b: m.sin(a), lambda m, a, b: m.cos(a), lambda m, a, b: m.tanh(a), lambda m, a, b: m.sigmoid(a)),
    *(lambda m, a, b: m.exp(-(a * a)), lambda m, a, b: m.log(a * a + 1), lambda m, a, b: m.sqrt(a * a + 0.1)),
    *(lambda m, a, b: m.relu(a), lambda m, a, b: m.leaky_relu(a, 0.2), lambda m, a, b: m.absolute(a)),
    lambda m, a, b: m.maximum(a, b),
    *(lambda m, a, b: m.softmax(row(m, a), -1), lambda m, a, b: m.log_softmax(row(m, a), 0)),
    *(lambda m, a, b: m.sum(row(m, a), 0), lambda m, a, b: m.mean(m.reshape(a, (1, -1)), 1)),
    *(lambda m, a, b: m.flip(a), lambda m, a, b: row(m, a)[[0, -1, 0]], lambda m, a, b: m.cat([row(m, a), row(m, b)])),
    *(lambda m, a, b: row(m, a)[::2], lambda m, a, b: m.tanh(row(m, a) @ row(m, a))),
]
programs = st.lists(st.tuples(st.integers(0, len(STEPS) - 1), st.integers(0), st.integers(0)), min_size=1, max_size=10)
leaf_shapes = st.lists(st.sampled_from([(2, 3), (1, 3), (2, 1), (3,), ()]), min_size=1, max_size=3)


def evaluate(m, leaves, program):
    """All values of a program, one after the other; operands that do not broadcast meet as the mean of the second."""
    values = list(leaves)
    for step, first, second in program:
        a, b = values[first % len(values)], values[second % len(values)]
        try:
            np.broadcast_shapes(tuple(a.shape), tuple(b.shape))
        except ValueError:
            b = m.mean(b)
        values.append(STEPS[step](m, a, b))
    return values


@settings(max_examples=80, deadline=None)
@given(leaf_shapes, programs, seeds)
def test_random_expressions_have_the_derivatives_of_torch(shapes, program, seed):
    given_values = [normal(seed + number, *shape) for number, shape in enumerate(shapes)]
    ours = evaluate(OURS, [Variable(value) for value in given_values], program)
    theirs = evaluate(TORCH, [torch.tensor(value, requires_grad=True) for value in given_values], program)
    for tensor in theirs:
        tensor.retain_grad()
    graph.sum(ours[-1] * 1.5).backward()
    (theirs[-1] * 1.5).sum().backward()
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one.value, other.detach().numpy(), **CLOSE)
        assert one.gradient.shape == one.value.shape
        assert one.reached == (other.grad is not None)
        if one.reached:
            np.testing.assert_allclose(one.gradient, other.grad.numpy(), **CLOSE)


# ---- each function by itself


@pytest.mark.parametrize("name", ["sum", "mean"])
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2), (1,)])
def test_sums_over_axes(name, axis, keepdims):
    value = normal(1, 2, 3, 4)
    ours, theirs = Variable(value), torch.tensor(value, requires_grad=True)
    found = getattr(graph, name)(ours, axis, keepdims)
    wanted = getattr(torch, name)(theirs, dim=axis, keepdim=keepdims) if axis is not None else getattr(theirs, name)()
    seed = normal(2, *found.shape)
    if axis is not None:
        np.testing.assert_allclose(found.value, wanted.detach().numpy(), **CLOSE)
    found.backward(seed)
    wanted.backward(torch.tensor(seed).reshape(wanted.shape))
    np.testing.assert_allclose(ours.gradient, theirs.grad.numpy(), **CLOSE)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        *(((2, 3), (3, 4)), ((3,), (3,)), ((3,), (3, 4)), ((2, 3), (3,))),
        *(((5, 2, 3), (3, 4)), ((2, 3), (5, 3, 4)), ((5, 2, 3), (5, 3, 4)), ((1, 2, 3), (5, 3, 4))),
        *(((6, 1, 2, 3), (5, 3, 1)), ((3,), (5, 3, 4)), ((5, 2, 3), (3,))),
    ],
)
def test_matrix_products_of_any_shapes(left, right):
    values = normal(1, *left), normal(2, *right)
    ours = [Variable(value) for value in values]
    theirs = [torch.tensor(value, requires_grad=True) for value in values]
    found, wanted = ours[0] @ ours[1], theirs[0] @ theirs[1]
    np.testing.assert_allclose(found.value, wanted.detach().numpy(), **CLOSE)
    seed = normal(3, *found.shape)
    found.backward(seed)
    wanted.backward(torch.tensor(seed))
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one.gradient, other.grad.numpy(), **CLOSE)


@quick
@given(st.integers(1, 2), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), seeds)
def test_convolution(samples, channels, maps, height, width, seed):
    values = normal(seed, samples, channels, height + 2, width + 1), normal(seed + 1, maps, channels, height, width)
    ours = [Variable(value) for value in values]
    theirs = [torch.tensor(value, requires_grad=True) for value in values]
    found, wanted = graph.convolution2d(*ours), torch.conv2d(*theirs)
    np.testing.assert_allclose(found.value, wanted.detach().numpy(), **CLOSE)
    seed_gradient = normal(seed + 2, *found.shape)
    found.backward(seed_gradient)
    wanted.backward(torch.tensor(seed_gradient))
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one.gradient, other.grad.numpy(), **CLOSE)


FUNCTIONS = {
    "softmax over columns": lambda x: graph.softmax(x, 0),
    "log softmax over columns": lambda x: graph.log_softmax(x, 0),
    "transpose": lambda x: graph.transpose(graph.reshape(x, (2, 3, 2)), (1, 2, 0)),
    "take": lambda x: x[1:, [0, 2, 2]],
    "take by a mask": lambda x: x[np.array([True, False, True])],
    "concatenate": lambda x: graph.concatenate([x, 2 * x, np.ones((3, 1))], axis=1),
    "power": lambda x: (x * x + 1) ** x,
    "divide": lambda x: (x + 1) / (x * x + 0.5),
    "sqrt": lambda x: graph.sqrt(x * x + 0.5),
    "log": lambda x: graph.log(x * x + 0.5),
    "exp": lambda x: graph.exp(graph.sin(x)) - graph.cos(x),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_by_central_differences(name):
    point = normal(4, 3, 4)
    weights = normal(5, *FUNCTIONS[name](Variable(point)).shape)
    x = Variable(point)
    FUNCTIONS[name](x).backward(weights)
    step, slope = 1e-6, np.zeros(point.shape)
    for index in np.ndindex(point.shape):
        nudge = np.zeros(point.shape)
        nudge[index] = step
        ahead, behind = (FUNCTIONS[name](Variable(point + sign * nudge)).value for sign in (1, -1))
        slope[index] = ((ahead - behind) * weights).sum() / (2 * step)
    np.testing.assert_allclose(x.gradient, slope, rtol=1e-6, atol=1e-8)


def test_kinks_are_those_of_torch():
    values = np.array([-1.0, 0.0, 2.0])
    for name, more in (("relu", ()), ("absolute", ()), ("leaky_relu", (0.1,))):
        ours, theirs = Variable(values), torch.tensor(values, requires_grad=True)
        graph.sum(getattr(graph, name)(ours, *more)).backward()
        (torch.nn.functional.leaky_relu(theirs, 0.1) if more else getattr(torch, name)(theirs)).sum().backward()
        np.testing.assert_array_equal(ours.gradient, theirs.grad.numpy())
    left, right = Variable([1.0, 2.0]), Variable([1.0, 5.0])
    graph.sum(graph.maximum(left, right)).backward()
    np.testing.assert_array_equal(left.gradient, [0.5, 0])
    np.testing.assert_array_equal(right.gradient, [0.5, 1])


def test_powers_of_zero_and_of_negative_numbers():
    base = Variable([0.0, 0.0, -2.0])
    graph.sum(base ** np.array([0.0, 2.0, 3.0])).backward()
    np.testing.assert_array_equal(
        base.gradient, [0, 0, 12]
    )  # no nan from 0 * 0**-1, nor from ln(-2) of a constant exponent


def test_sigmoid_and_softmax_do_not_overflow():
    far = Variable([-1e4, 0.0, 1e4])
    np.testing.assert_array_equal(graph.sigmoid(far).value, [0, 0.5, 1])
    np.testing.assert_array_equal(graph.softmax(far).value, [0, 0, 1])
    assert graph.log_softmax(far).value[0] == -2e4


# ---- order, sums, messages


def test_a_value_that_is_used_twice_gets_both_gradients():
    x = Variable(3.0)
    (x * x + x).backward()
    assert x.gradient == 7  # 2 x + 1
    y = Variable(2.0)
    square = y * y
    (square * square).backward()
    assert y.gradient == 32 and square.gradient == 8  # 4 y^3, 2 y^2


def test_each_value_is_visited_once_though_the_paths_double():
    x = Variable(1.0)
    value = x
    for _ in range(60):  # 2^60 paths
        value = value + value
    assert len(in_order(value)) == 61
    value.backward()
    assert x.gradient == 2.0**60


def test_long_chains_do_not_overflow_the_stack():
    x = Variable(1.0, "x")
    value = x
    for _ in range(10_000):
        value = value + 1
    value.backward()
    assert value.value == 10_001 and x.gradient == 1
    assert len(trace(value)) == 10_001


@quick
@given(leaf_shapes, programs, seeds)
def test_inputs_stand_before_what_is_made_of_them(shapes, program, seed):
    values = evaluate(OURS, [Variable(normal(seed, *shape)) for shape in shapes], program)
    order = in_order(values[-1])
    place = {id(node): number for number, node in enumerate(order)}
    assert len(place) == len(order) and order[-1] is values[-1]
    assert all(place[id(source)] < place[id(node)] for node in order for source in node.inputs)


def test_two_results_add_up_in_what_they_share():
    x = Variable(2.0)
    first, second = 3 * x, x * x
    first.backward()
    second.backward()
    assert x.gradient == 3 + 4


def test_numbers_and_arrays_on_either_side():
    x = Variable([1.0, 2.0])
    array = np.array([3.0, 4.0])
    for found, wanted in (
        *((array + x, [4, 6]), (array - x, [2, 2]), (array * x, [3, 8]), (array / x, [3, 2]), (array @ x, 11)),
        *(
            (x + array, [4, 6]),
            (x - array, [-2, -2]),
            (x @ array, 11),
            (2**x, [2, 4]),
            (1 - x, [0, -1]),
            (6 / x, [6, 3]),
        ),
    ):
        assert isinstance(found, Variable)
        np.testing.assert_allclose(found.value, wanted)
    result = graph.sum(array * x)
    result.backward()
    np.testing.assert_array_equal(x.gradient, array)
    assert [row.name for row in trace(result)] == ["v1", "v2", "v3"]  # x, the product, the sum: the array is a constant


def test_a_second_backward_is_refused_until_the_gradients_are_forgotten():
    x = Variable(3.0, "x")
    result = (x * x).named("J")
    result.backward()
    with pytest.raises(ValueError, match=r"backward was already called on 'J'.*forget\(\)"):
        result.backward()
    assert x.gradient == 6
    result.forget()
    assert x.gradient == 0 and not x.reached
    result.backward()
    assert x.gradient == 6


def test_an_array_needs_a_gradient_to_start_from():
    x = Variable([1.0, 2.0], "x")
    with pytest.raises(
        ValueError, match=r"^the result of \* has the shape \(2,\): backward needs a gradient of that shape"
    ):
        (x * x).backward()
    with pytest.raises(ValueError, match=r"has the shape \(2,\), the gradient to start from has \(3,\)$"):
        (x * x).backward([1, 2, 3])
    assert not x.reached
    (x * x).backward([10, 100])
    np.testing.assert_array_equal(x.gradient, [20, 400])
    lone = Variable([[3.0]])
    (lone * lone).backward()  # one number, whatever its shape
    np.testing.assert_array_equal(lone.gradient, [[6]])


@pytest.mark.parametrize(
    ("mistake", "told"),
    [
        (lambda x: x + Variable(np.ones(3)), r"^\+: the shapes \(2, 2\) and \(3,\) do not fit together$"),
        (lambda x: graph.maximum(x, np.ones(5)), r"^max: the shapes \(2, 2\) and \(5,\)"),
        (lambda x: x @ np.ones((3, 2)), r"^@: the shapes \(2, 2\) and \(3, 2\) do not fit together$"),
        (lambda x: x @ 3, r"^@: the shapes \(2, 2\) and \(\) do not fit together$"),
        (
            lambda x: graph.reshape(x, (3, -1)),
            r"^reshape: 4 numbers of shape \(2, 2\) do not fill the shape \(3, -1\)$",
        ),
        (
            lambda x: graph.concatenate([x, np.ones((3, 3))]),
            r"^concatenate: the shapes \(2, 2\) and \(3, 3\) do not fit",
        ),
        (lambda x: graph.convolution2d(x, x), r"^convolution2d: inputs \(2, 2\) and weight \(2, 2\) should be"),
        (lambda x: Variable("three"), "^expected real numbers, received 'three'$"),
        (lambda x: Variable([[1], [1, 2]]), "^expected real numbers, received"),
        (lambda x: Variable(1j), "^expected real numbers"),
        (lambda x: Variable(x), r"^expected numbers, received a Variable \('x'\): use its .value$"),
    ],
)
def test_mistakes_are_told_in_one_sentence(mistake, told):
    with pytest.raises(ValueError, match=told) as raised:
        mistake(Variable(np.ones((2, 2)), "x"))
    assert "\n" not in str(raised.value)


def test_values_are_replaced_and_never_changed_in_place():
    given_value = np.array([1.0, 2.0])
    x = Variable(given_value, "x")
    given_value[0] = 7
    assert x.value[0] == 1  # a copy
    with pytest.raises(ValueError, match="read-only"):
        x.value[0] = 5
    result = graph.sum(x * x)
    x.value = [3, 4]
    result.backward()
    np.testing.assert_array_equal(x.gradient, [2, 4])  # of the values it was computed with
    with pytest.raises(ValueError, match=r"'x' has the shape \(2,\), its new value has \(3,\)"):
        x.value = [1, 2, 3]
    with pytest.raises(ValueError, match="the result of sum was computed"):
        result.value = 1
    assert repr(x) == "Variable([3.0, 4.0], 'x')" and "made by sum" in repr(result)


def test_what_is_not_used_has_gradient_zero():
    x, y = Variable([1.0, 2.0]), Variable(1.0)
    graph.sum(x[:1]).backward()
    np.testing.assert_array_equal(x.gradient, [1, 0])
    assert y.gradient == 0 and not y.reached
