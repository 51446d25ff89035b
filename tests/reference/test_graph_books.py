"""The graphs of the texts with their numbers, and networks trained through them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gradus.reference import graph
from gradus.reference.graph import Variable, trace


def test_j_of_the_course_notes():
    """Course notes §1.2.5: J = 3 (a + b c) at a = 5, b = 3, c = 2."""
    a, b, c = Variable(5, "a"), Variable(3, "b"), Variable(2, "c")
    u = (b * c).named("U")
    v = (a + u).named("V")
    j = (3 * v).named("J")
    assert (u.value, v.value, j.value) == (6, 11, 33)
    j.backward()
    assert (v.gradient, a.gradient, u.gradient, b.gradient, c.gradient) == (3, 3, 3, 6, 9)
    rows = {row.name: row for row in trace(j)}
    assert list(rows) == ["a", "b", "c", "U", "V", "J"]
    assert rows["U"][1:3] == ("*", ("b", "c")) and rows["J"][1:3] == ("*", ("3", "V")) and rows["a"][1:3] == ("", ())
    assert {name: float(row.value) for name, row in rows.items()} == {"a": 5, "b": 3, "c": 2, "U": 6, "V": 11, "J": 33}
    found = {name: float(row.derivative) for name, row in rows.items()}
    assert found == {"a": 3, "b": 6, "c": 9, "U": 3, "V": 3, "J": 1}


def test_no_derivatives_before_backward():
    assert all(row.derivative is None for row in trace(Variable(2, "x") * Variable(3, "y")))


def test_f_of_principles_and_practice():
    """Principles and Practice §2.3.3, fig. 2-10: f = (x + y) z at x = -5, y = 2, z = -6."""
    x, y, z = Variable(-5, "x"), Variable(2, "y"), Variable(-6, "z")
    q = x + y
    f = q * z
    f.backward()
    assert (q.value, f.value) == (-3, 18)
    assert (x.gradient, y.gradient, z.gradient) == (-6, -6, -3)


def test_the_neuron_with_two_inputs():
    """Fig. 2-11, 1 / (1 + exp(-(w0 x0 + w1 x1 + w2))), once step by step and once as one function."""
    values = {"w0": 2.0, "x0": -1.0, "w1": -3.0, "x1": -2.0, "w2": -3.0}
    by_steps = {name: Variable(value, name) for name, value in values.items()}
    w0, x0, w1, x1, w2 = by_steps.values()
    output = 1 / (1 + graph.exp(-(w0 * x0 + w1 * x1 + w2)))
    output.backward()
    whole = {name: Variable(value, name) for name, value in values.items()}
    graph.sigmoid(whole["w0"] * whole["x0"] + whole["w1"] * whole["x1"] + whole["w2"]).backward()
    s = 1 / (1 + np.exp(-1.0))  # the sum is 1
    slope = s * (1 - s)
    wanted = {"w0": -slope, "x0": 2 * slope, "w1": -2 * slope, "x1": -3 * slope, "w2": slope}
    assert output.value == pytest.approx(s, rel=1e-15)
    for name, value in wanted.items():
        assert by_steps[name].gradient == pytest.approx(value, rel=1e-14)
        assert whole[name].gradient == pytest.approx(value, rel=1e-14)


def test_logistic_regression_of_the_course_notes():
    """Course notes §1.2.6: of the cross-entropy behind a sigmoid, dz = a - y, dw = x dz, db = dz."""
    x, y = np.array([0.5, -2.0]), 1.0
    w, b = Variable([0.3, 0.1], "w"), Variable(-0.2, "b")
    z = w @ x + b
    a = graph.sigmoid(z)
    (-(y * graph.log(a) + (1 - y) * graph.log(1 - a))).backward()
    dz = a.value - y
    np.testing.assert_allclose(z.gradient, dz, rtol=1e-12)
    np.testing.assert_allclose(w.gradient, x * dz, rtol=1e-12)
    np.testing.assert_allclose(b.gradient, dz, rtol=1e-12)


def test_gradient_of_a_dot_product_is_shaped_as_the_weights():
    """Deep Learning with Python §2.4.2: the gradient of loss(dot(W, x), y) by W has the shape of W; a small step lowers it."""
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=3), generator.normal(size=2)

    def loss(weights):
        return graph.sum((weights @ x - y) ** 2)

    w = Variable(generator.normal(size=(2, 3)), "W")
    before = loss(w)
    before.backward()
    assert w.gradient.shape == (2, 3)
    np.testing.assert_allclose(w.gradient, 2 * np.outer(w.value @ x - y, x), rtol=1e-12)
    assert loss(Variable(w.value - 0.01 * w.gradient)).value < before.value


def test_two_layers_learn_exclusive_or():
    """What no linear model can: the four rows of exclusive or, by gradient descent on the cross-entropy."""
    generator = np.random.default_rng(1)
    rows, wanted = np.array([[0, 0], [0, 1], [1, 0], [1, 1.0]]), np.array([[0], [1], [1], [0.0]])
    parameters = [Variable(generator.normal(size=shape)) for shape in ((2, 4), (4,), (4, 1), (1,))]

    def loss_of():
        w1, b1, w2, b2 = parameters
        output = graph.sigmoid(graph.tanh(rows @ w1 + b1) @ w2 + b2)
        return output, -graph.mean(wanted * graph.log(output) + (1 - wanted) * graph.log(1 - output))

    start = float(loss_of()[1].value)
    for _ in range(500):
        _, loss = loss_of()
        loss.backward()
        for parameter in parameters:
            parameter.value = parameter.value - 0.5 * parameter.gradient
        loss.forget()
    output, loss = loss_of()
    assert start > 0.5 and loss.value < 0.05
    np.testing.assert_array_equal(output.value > 0.5, wanted > 0.5)


def test_a_small_convolutional_network_is_that_of_torch():
    generator = np.random.default_rng(2)
    pictures, classes = generator.normal(size=(3, 2, 6, 6)), np.array([1, 0, 2])
    kernels, weights = generator.normal(size=(4, 2, 3, 3)), generator.normal(size=(64, 3))
    ours = [Variable(kernels), Variable(weights)]
    maps = graph.relu(graph.convolution2d(pictures, ours[0]))
    scores = graph.log_softmax(graph.reshape(maps, (3, -1)) @ ours[1])
    (-graph.mean(scores[np.arange(3), classes])).backward()
    theirs = [torch.tensor(value, requires_grad=True) for value in (kernels, weights)]
    logits = torch.conv2d(torch.tensor(pictures), theirs[0]).relu().flatten(1) @ theirs[1]
    torch.nn.functional.cross_entropy(logits, torch.tensor(classes)).backward()
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one.gradient, other.grad.numpy(), rtol=1e-10, atol=1e-12)
