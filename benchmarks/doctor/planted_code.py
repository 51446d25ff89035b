"""Faults that stand in a network, in the settings of the training, or in the code that trains."""

from __future__ import annotations

from functools import partial
from typing import Any

import networks
import patches
from planted_data import sorted_rows
from subject import Subject, small, subject
from torch import nn

from gradus.data.augment.settings import AugmentSettings

PIXELS = 28 * 28


def digits_with(model: Any, **training: Any) -> Subject:
    """MNIST with a network or settings that are at fault."""
    return subject(small("mnist", 1500, 500), model, **{"epochs": 4, **training})


def colours_with(model: Any, **training: Any) -> Subject:
    """CIFAR-10 likewise."""
    return subject(small("cifar10", 1500, 500, 16), model, **{"epochs": 6, **training})


# The network


def no_activation() -> Subject:
    return digits_with(partial(networks.perceptron, PIXELS, 10, hidden=(128, 64), activation=nn.Identity))


def zeros() -> Subject:
    return digits_with("mlp", options={"hidden": [64], "initialization": "zeros"})


def ten_times_larger_weights() -> Subject:
    return digits_with(partial(networks.perceptron, PIXELS, 10, hidden=(128, 64), scale=10.0))


def dead_by_bias() -> Subject:
    return digits_with(partial(networks.perceptron, PIXELS, 10, hidden=(128, 64), bias=-6.0))


def twenty_sigmoids() -> Subject:
    return digits_with(partial(networks.perceptron, PIXELS, 10, hidden=(32,) * 20, activation=nn.Sigmoid))


def detached_branch() -> Subject:
    return colours_with(partial(networks.DetachedBranch, 3, 16, 10), epochs=4)


def frozen_by_mistake() -> Subject:
    return colours_with(partial(networks.frozen_first_layer, 3, 16, 10))


def softmax_twice() -> Subject:
    return digits_with(partial(networks.SoftmaxAtTheEnd, 1, 28, 10))


def too_many_outputs() -> Subject:
    """A head of 20 for ten classes: the training does not begin."""
    return digits_with(partial(networks.SmallConvnet, 1, 28, 20), trained=False)


def dropout_at_test() -> Subject:
    return digits_with(partial(networks.DropoutAlways, 1, 28, 10))


def batch_norm_in_training_mode() -> Subject:
    return colours_with(partial(networks.NormsStayInTraining, 3, 16, 10))


def too_small() -> Subject:
    return digits_with("mlp", options={"hidden": [2], "activation": "tanh"}, learning_rate=0.01, epochs=15)


def too_large() -> Subject:
    model = partial(networks.SmallConvnet, 3, 16, 10, width=32)
    return subject(small("cifar10", 400, 500, 16), model, epochs=25)


# Settings


def rate_hundred_times() -> Subject:
    return digits_with("lenet5", learning_rate=0.1)


def rate_hundred_times_forecast() -> Subject:
    windows = {"lookback": 72, "step": 6, "delay": 24}
    series = small("beijing_weather", 4000)
    return subject(
        *(series, "gru"), options={"hidden_size": 16}, task_options=windows, epochs=4, batch_size=128, learning_rate=0.3
    )


def rate_too_high_for_sgd() -> Subject:
    return digits_with("mlp", optimizer="sgd", learning_rate=50.0)


def rate_thousandth() -> Subject:
    return digits_with("lenet5", learning_rate=1e-6)


def rate_thousandth_table() -> Subject:
    return subject(small("breast_cancer", 569), "mlp", learning_rate=1e-6, epochs=20)


def flipped_digits() -> Subject:
    return digits_with("lenet5", augment=AugmentSettings(flip_horizontal=0.5, flip_vertical=0.5), epochs=6)


# The code that trains


def gradients_kept() -> Subject:
    return digits_with("lenet5", patched=patches.gradients_not_cleared)


def summed_loss() -> Subject:
    return digits_with("mlp", patched=patches.loss_summed, optimizer="sgd", learning_rate=0.002)


def not_shuffled() -> Subject:
    return subject(sorted_rows(small("mnist", 1500, 500)), "lenet5", epochs=4, patched=patches.rows_in_file_order)


def slow_data() -> Subject:
    return digits_with("mlp", patched=patches.slow_batches)
