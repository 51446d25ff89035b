"""Sound runs: networks, data and settings of several kinds, in which nothing is wrong. Advice is welcome here, alarms are not."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import networks
from subject import Subject, cut, small, subject, two_classes

from gradus.data.augment.settings import AugmentSettings


class Healthy(NamedTuple):
    """on: data and task; about: network and settings; make: gives what is examined."""

    on: str
    about: str
    make: Callable[[], Subject]


def digits_lenet() -> Subject:
    return subject(small("digits", 1797), "lenet5", epochs=15, batch_size=32)


def digits_tanh() -> Subject:
    options = {"hidden": [64, 32], "activation": "tanh", "initialization": "glorot"}
    return subject(small("digits", 1797), "mlp", options=options, epochs=20, seed=3)


def mnist_perceptron() -> Subject:
    return subject(small("mnist", 2000, 500), "mlp", options={"hidden": [128]}, epochs=8)


def mnist_logistic() -> Subject:
    return subject(small("mnist", 2000, 500), "logistic_regression", epochs=8, seed=1)


def mnist_lenet_sgd() -> Subject:
    return subject(
        *(small("mnist", 2000, 500), "lenet5"), optimizer="sgd", learning_rate=0.05, momentum=0.9, epochs=5, seed=2
    )


def mnist_norms() -> Subject:
    return subject(small("mnist", 2000, 500), partial(networks.SmallConvnet, 1, 28, 10), epochs=4)


def mnist_dropout() -> Subject:
    options = {"hidden": [256, 128], "dropout": 0.5}
    return subject(small("mnist", 2000, 500), "mlp", options=options, epochs=12, seed=4)


def mnist_augmented() -> Subject:
    moved = AugmentSettings(rotation=10, shift_horizontal=0.08, shift_vertical=0.08, zoom=0.1)
    return subject(small("mnist", 2000, 500), "lenet5", augment=moved, epochs=8, seed=5)


def mnist_smoothed() -> Subject:
    return subject(
        *(small("mnist", 2000, 500), "lenet5"),
        task_options={"label_smoothing": 0.1},
        schedule={"name": "cosine"},
        weight_decay=1e-4,
        epochs=6,
        seed=6,
    )


def mnist_uneven() -> Subject:
    dataset = two_classes(small("mnist", 12_000, 4_000), 3, 5, (900, 300), ("three", "five"))
    return subject(dataset, "lenet5", epochs=6)


def cifar_convnet() -> Subject:
    flips = AugmentSettings(flip_horizontal=0.5, pad=1)
    return subject(
        *(small("cifar10", 2500, 500, 16), partial(networks.SmallConvnet, 3, 16, 10)), augment=flips, epochs=8, seed=7
    )


def cifar_residual() -> Subject:
    options = {"depth": 8, "num_classes": 10}
    return subject(
        *(small("cifar10", 2000, 500, 16), "cifar_resnet"),
        options=options,
        optimizer="sgd",
        learning_rate=0.1,
        momentum=0.9,
        weight_decay=1e-4,
        schedule={"name": "cosine"},
        epochs=6,
    )


def cats_and_dogs_transfer() -> Subject:
    return subject(
        *(small("cats_vs_dogs", 300, 120, 96), "squeezenet1_0"),
        options={"hidden": 64},
        weights="imagenet",
        task_options={"image_size": 96},
        freeze="features",
        epochs=8,
        batch_size=20,
    )


def wine() -> Subject:
    return subject(small("wine", 178), "mlp", options={"hidden": [16]}, epochs=40, learning_rate=3e-3)


def iris() -> Subject:
    return subject(small("iris", 150), "mlp", options={"hidden": [16]}, epochs=60, learning_rate=5e-3, seed=1)


def breast_cancer() -> Subject:
    return subject(small("breast_cancer", 569), "mlp", options={"hidden": [32], "dropout": 0.2}, epochs=25)


def boston() -> Subject:
    return subject(small("boston_housing", 404, 102), "mlp", options={"hidden": [64, 64]}, epochs=80)


def boston_residual() -> Subject:
    dataset = cut(small("boston_housing", 404, 102), validation=0.2)
    return subject(dataset, partial(networks.ResidualPerceptron, 13, 1), epochs=60, seed=2)


def reviews_bag() -> Subject:
    options = {"encoding": "tf-idf", "vocabulary": 3000}
    return subject(
        *(small("imdb", 2500, 600), "logistic_regression"), task_options=options, epochs=8, learning_rate=0.03
    )


def reviews_vectors() -> Subject:
    return subject(
        *(small("imdb", 2500, 600), "averaged_embeddings"),
        options={"embedding_size": 16, "dropout": 0.3},
        task_options={"vocabulary": 3000, "max_length": 150},
        epochs=10,
        learning_rate=5e-3,
        seed=3,
    )


def weather_dense() -> Subject:
    return subject(
        *(small("beijing_weather", 12_000), "sequence_mlp"),
        options={"hidden": [32]},
        task_options={"lookback": 48, "step": 2, "delay": 3, "calendar": ["hour"]},
        epochs=10,
        batch_size=128,
    )


def weather_gru() -> Subject:
    return subject(
        *(small("beijing_weather", 12_000), "gru"),
        options={"hidden_size": 24},
        task_options={"lookback": 24, "step": 2, "delay": 4, "calendar": ["hour"]},
        epochs=10,
        batch_size=128,
        learning_rate=3e-3,
        seed=1,
    )


HEALTHY: dict[str, Healthy] = {
    "digits-lenet": Healthy("digits", "LeNet-5", digits_lenet),
    "digits-tanh": Healthy("digits", "dense layers with tanh", digits_tanh),
    "mnist-perceptron": Healthy("MNIST", "one hidden layer", mnist_perceptron),
    "mnist-logistic": Healthy("MNIST", "logistic regression", mnist_logistic),
    "mnist-lenet-sgd": Healthy("MNIST", "LeNet-5, SGD with momentum", mnist_lenet_sgd),
    "mnist-norms": Healthy("MNIST", "a convnet of one's own with batch norms", mnist_norms),
    "mnist-dropout": Healthy("MNIST", "two hidden layers with dropout 0.5", mnist_dropout),
    "mnist-augmented": Healthy("MNIST", "LeNet-5, digits moved, turned and zoomed", mnist_augmented),
    "mnist-smoothed": Healthy("MNIST", "LeNet-5, label smoothing, cosine, weight decay", mnist_smoothed),
    "mnist-uneven": Healthy("MNIST", "two classes 3 : 1", mnist_uneven),
    "cifar-convnet": Healthy("CIFAR-10", "a convnet of one's own, flips and shifts", cifar_convnet),
    "cifar-residual": Healthy("CIFAR-10", "a residual network of 8 layers, SGD, cosine", cifar_residual),
    "cats-and-dogs": Healthy("cats and dogs", "a new head on SqueezeNet's frozen features", cats_and_dogs_transfer),
    "wine": Healthy("wine", "dense, 178 rows", wine),
    "iris": Healthy("iris", "dense, 150 rows", iris),
    "breast-cancer": Healthy("breast cancer", "dense with dropout", breast_cancer),
    "boston": Healthy("Boston housing", "dense, numbers", boston),
    "boston-residual": Healthy("Boston housing", "residual dense of one's own", boston_residual),
    "reviews-bag": Healthy("IMDB", "logistic regression on TF-IDF", reviews_bag),
    "reviews-vectors": Healthy("IMDB", "averaged word vectors, dropout", reviews_vectors),
    "weather-dense": Healthy("Beijing weather", "a flattened window, dense", weather_dense),
    "weather-gru": Healthy("Beijing weather", "a GRU", weather_gru),
}
