"""A convolutional network from scratch: the reference's layers put together, its gradients by torch, and trained on digits."""

from __future__ import annotations

import numpy as np
import torch
from numerical import FLOAT64, normal
from sklearn.datasets import load_digits
from torch.nn import functional

from gradus.reference.convolution import convolution2d, convolution_backward
from gradus.reference.dense import dense, dense_backward, flatten, flatten_backward
from gradus.reference.losses import cross_entropy, cross_entropy_backward
from gradus.reference.pooling import average_pool2d_backward, max_pool2d, max_pool2d_backward


def start(seed: int) -> list[np.ndarray]:
    """Eight 3x3 kernels and their biases, then 128 -> 10."""
    return [normal(seed, 8, 1, 3, 3) / 3, np.zeros(8), normal(seed + 1, 128, 10) / 12, np.zeros(10)]


def step(pictures: np.ndarray, classes: np.ndarray, weights: list[np.ndarray]) -> tuple[float, list[np.ndarray]]:
    """(loss, gradients by the weights) of conv 3x3 "same" - relu - max pool 2 - flatten - dense - softmax."""
    kernels, offsets, weight, bias = weights
    maps = convolution2d(pictures, kernels, offsets, padding="same")
    active = np.maximum(maps, 0)
    pooled = max_pool2d(active, 2)
    logits = dense(flatten(pooled), weight, bias)
    by_logits = cross_entropy_backward(logits, classes)
    by_flat, by_weight, by_bias = dense_backward(flatten(pooled), weight, by_logits)
    by_active = max_pool2d_backward(active, 2, flatten_backward(pooled, by_flat))
    _, by_kernels, by_offsets = convolution_backward(pictures, kernels, by_active * (maps > 0), padding="same")
    return cross_entropy(logits, classes), [by_kernels, by_offsets, by_weight, by_bias]


def answers(pictures: np.ndarray, weights: list[np.ndarray]) -> np.ndarray:
    kernels, offsets, weight, bias = weights
    maps = np.maximum(convolution2d(pictures, kernels, offsets, padding="same"), 0)
    return dense(flatten(max_pool2d(maps, 2)), weight, bias).argmax(axis=1)


def test_gradients_of_the_whole_network_are_those_of_torch():
    pictures, classes, weights = normal(0, 5, 1, 8, 8), np.array([3, 1, 4, 1, 5]), start(1)
    loss, gradients = step(pictures, classes, weights)
    leaves = [torch.tensor(weight, requires_grad=True) for weight in weights]
    maps = functional.conv2d(torch.tensor(pictures), leaves[0], leaves[1], padding="same").relu()
    logits = functional.max_pool2d(maps, 2).flatten(1) @ leaves[2] + leaves[3]
    wanted = functional.cross_entropy(logits, torch.tensor(classes))
    wanted.backward()
    np.testing.assert_allclose(loss, wanted.item(), **FLOAT64)
    for found, leaf in zip(gradients, leaves, strict=True):
        np.testing.assert_allclose(found, leaf.grad, **FLOAT64)


def test_it_learns_digits():
    digits = load_digits()
    pictures, classes = digits.images[:, None] / 16, digits.target
    weights, generator = start(0), np.random.default_rng(0)
    for _ in range(4):
        order = generator.permutation(1000)
        for rows in order.reshape(-1, 20):
            _, gradients = step(pictures[rows], classes[rows], weights)
            weights = [weight - 0.2 * gradient for weight, gradient in zip(weights, gradients, strict=True)]
    held_out = slice(1000, None)
    assert (answers(pictures[held_out], weights) == classes[held_out]).mean() > 0.88


def test_single_steps_of_the_exercise():
    """One window is a sum of products and a bias; a maximum's mask marks it; a mean spreads 2 as four halves."""
    window, kernel = normal(0, 1, 3, 4, 4), normal(1, 1, 3, 4, 4)
    single = convolution2d(window, kernel, np.array([7.0])).item()
    np.testing.assert_allclose(single, (window * kernel).sum() + 7, **FLOAT64)
    mask = max_pool2d_backward(window[:, :1], 4, np.ones((1, 1, 1, 1)))
    np.testing.assert_array_equal(mask, window[:, :1] == window[:, :1].max())
    spread = average_pool2d_backward(np.zeros((1, 1, 2, 2)), 2, np.full((1, 1, 1, 1), 2.0))
    np.testing.assert_array_equal(spread[0, 0], [[0.5, 0.5], [0.5, 0.5]])
