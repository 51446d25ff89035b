"""The planted faults: what each is, where, and the kinds of finding that name it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import planted_code as code
import planted_data as data
from subject import Subject


class Fault(NamedTuple):
    """on: data and task; planted: in words; kinds: of a first or second finding that names it; make: gives what is examined."""

    on: str
    planted: str
    kinds: tuple[str, ...]
    make: Callable[[], Subject]


LABELS = ("wrong-labels", "swapped-classes")

FAULTS: dict[str, Fault] = {
    # the 31 that were set before the first check was written
    "shuffled-labels": Fault("MNIST", "all labels permuted", ("no-signal",), data.shuffled_labels),
    "wrong-labels": Fault("MNIST", "20 % of the training labels wrong", ("wrong-labels",), data.one_label_in_five),
    "swapped-classes": Fault(
        "MNIST", "3 and 8 exchanged in 40 % of their training rows", LABELS, data.swapped_in_training
    ),
    "shared-rows": Fault(
        "CIFAR-10", "100 training pictures among 500 of test", ("shared-rows",), data.training_pictures_in_test
    ),
    "near-duplicates": Fault(
        "CIFAR-10",
        "120 training pictures among 500 of test, moved and brighter",
        ("near-duplicates",),
        data.almost_training_pictures_in_test,
    ),
    "target-leak": Fault(
        "Boston housing", "an assessment, 0.9 of the price", ("target-leak",), data.target_in_a_number
    ),
    "future-leak": Fault(
        "Beijing weather",
        "a smoothed column looks a day ahead",
        ("future-leak", "target-leak"),
        data.future_in_a_window,
    ),
    "normalisation-at-test": Fault(
        "breast cancer", "test rows standardised before", ("other-preparation",), data.no_normalisation_at_test
    ),
    "bgr-at-test": Fault("CIFAR-10", "test pictures in BGR", ("other-preparation",), data.other_colour_order_at_test),
    "inverted-at-test": Fault("MNIST", "test pictures inverted", ("other-preparation",), data.inverted_at_test),
    "norms-in-training-mode": Fault(
        "CIFAR-10",
        "batch norms keep to the batch in evaluation",
        ("batch-statistics",),
        code.batch_norm_in_training_mode,
    ),
    "rate-times-100": Fault("MNIST", "Adam at 0.1", ("rate-too-high",), code.rate_hundred_times),
    "rate-by-1000": Fault("MNIST", "Adam at 1e-6", ("rate-too-low",), code.rate_thousandth),
    "no-activation": Fault("MNIST", "three linear layers on each other", ("linear-network",), code.no_activation),
    "zero-weights": Fault("MNIST", "all weights begin as 0", ("same-units",), code.zeros),
    "weights-times-10": Fault(
        "MNIST", "weights begin 10 times as large", ("initial-loss", "exploding"), code.ten_times_larger_weights
    ),
    "dead-by-bias": Fault("MNIST", "biases begin at -6 before ReLU", ("dead-units",), code.dead_by_bias),
    "twenty-sigmoids": Fault("MNIST", "20 sigmoid layers", ("vanishing",), code.twenty_sigmoids),
    "detached-branch": Fault(
        "CIFAR-10", "a branch is cut off from the gradient", ("idle-layer",), code.detached_branch
    ),
    "frozen-by-mistake": Fault("CIFAR-10", "the first layer does not learn", ("idle-layer",), code.frozen_by_mistake),
    "gradients-kept": Fault("MNIST", "gradients are not cleared", ("kept-gradients",), code.gradients_kept),
    "softmax-twice": Fault("MNIST", "softmax before a loss that has one", ("probabilities",), code.softmax_twice),
    "summed-loss": Fault("MNIST", "the loss is a sum over the batch", ("loss-scale",), code.summed_loss),
    "wrong-outputs": Fault("MNIST", "20 outputs for 10 classes", ("wrong-outputs",), code.too_many_outputs),
    "dropout-at-test": Fault("MNIST", "dropout is on in evaluation", ("random-evaluation",), code.dropout_at_test),
    "too-small": Fault("MNIST", "a hidden layer of two", ("avoidable-bias", "no-better-than-simple"), code.too_small),
    "too-large": Fault("CIFAR-10", "a wide network on 400 rows", ("variance",), code.too_large),
    "shifted-validation": Fault(
        "MNIST",
        "validation pictures of another camera",
        ("shift", "mismatch", "other-preparation"),
        data.other_camera_at_validation,
    ),
    "imbalance": Fault("MNIST", "two classes 100 : 1, judged by accuracy", ("imbalance",), data.rare_class),
    "flipped-digits": Fault("MNIST", "digits flipped either way", ("harmful-augmentation",), code.flipped_digits),
    "not-shuffled": Fault("MNIST", "rows sorted by class, not shuffled", ("one-class-batches",), code.not_shuffled),
    "slow-data": Fault("MNIST", "each batch comes 20 ms late", ("starved",), code.slow_data),
    # the same and others on other tasks
    "shuffled-labels-texts": Fault("IMDB", "all labels permuted", ("no-signal",), data.shuffled_labels_of_texts),
    "wrong-labels-texts": Fault(
        "IMDB", "20 % of the training labels wrong", ("wrong-labels",), data.one_label_in_five_of_texts
    ),
    "swapped-at-test": Fault("digits", "2 and 6 exchanged in the test rows", LABELS, data.swapped_at_test),
    "shared-texts": Fault(
        "IMDB", "90 training reviews among 600 of test", ("shared-rows",), data.training_texts_in_test
    ),
    "target-in-a-code": Fault(
        "wine", "the shelf number begins with the class, four weak columns", ("target-leak",), data.target_in_a_code
    ),
    "trained-on-the-future": Fault(
        "Beijing weather", "test rows before those of training", ("time-order",), data.trained_on_what_comes_later
    ),
    "unscaled-at-test": Fault(
        "MNIST",
        "test pictures in 0..1, those of training in 0..255",
        ("other-preparation",),
        data.unscaled_pictures_at_test,
    ),
    "shifted-table": Fault(
        "Boston housing",
        "validation rows of the wealthiest districts",
        ("shift", "mismatch"),
        data.older_houses_at_validation,
    ),
    "rate-times-100-forecast": Fault(
        "Beijing weather", "a GRU by Adam at 0.3", ("rate-too-high",), code.rate_hundred_times_forecast
    ),
    "rate-for-infinity": Fault("MNIST", "SGD at 50", ("rate-too-high", "not-finite"), code.rate_too_high_for_sgd),
    "rate-by-1000-table": Fault("breast cancer", "Adam at 1e-6", ("rate-too-low",), code.rate_thousandth_table),
}
