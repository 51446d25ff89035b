"""Recipes for machines with an energy on MNIST, and for what their features are worth to a classifier.

gradus train mnist-rbm --out runs/rbm
gradus train mnist-rbm-features --weights runs/rbm      # against mnist-pixels, the same on pixels
gradus train mnist-dbn --out runs/dbn
gradus train mnist-dbn-1000 --weights runs/dbn          # against the same without --weights, and mnist-mlp-1000
"""

from __future__ import annotations

from dataclasses import replace

from gradus.data.load import DataSettings
from gradus.models import ModelSettings
from gradus.recipes.recipe import Recipe
from gradus.tasks.settings import TaskSettings
from gradus.train.settings import (
    FineTuneSettings,
    OptimizerSettings,
    RegularizationSettings,
    ScheduleSettings,
    TrainSettings,
)

PICTURES = TaskSettings(name="picture-generation")
CLASSES = TaskSettings(name="image-classification", options={"normalize": "unit"})
STACK = [500, 500, 1000]
# Hinton 2010: small batches, a learning rate of about 0.05, some momentum, little weight decay
BY_CONTRAST = TrainSettings(
    epochs=30,
    batch_size=50,
    optimizer=OptimizerSettings(name="sgd", learning_rate=0.05, momentum=0.5, weight_decay=0.0001),
    schedule=ScheduleSettings(name="cosine"),
)
FEW = DataSettings(source="mnist", rows=1000)  # besides 6 000 that only choose the weights


def mnist_rbm() -> Recipe:
    return Recipe(
        name="mnist-rbm",
        about="500 hidden units, contrastive divergence with one step.",
        data=DataSettings(source="mnist"),
        task=PICTURES,
        model=ModelSettings(name="rbm", options={"hidden": 500}),
        train=BY_CONTRAST,
    )


def mnist_rbm_persistent() -> Recipe:
    """Persistent chains make better samples, and are less greedy for features."""
    machine = ModelSettings(name="rbm", options={"hidden": 500, "chains": 100})
    optimizer = replace(BY_CONTRAST.optimizer, learning_rate=0.03, momentum=0.0)
    return replace(
        mnist_rbm(),
        name="mnist-rbm-persistent",
        about="500 hidden units, 100 persistent chains: for fantasies.",
        model=machine,
        train=replace(BY_CONTRAST, optimizer=optimizer),
    )


def mnist_pixels() -> Recipe:
    """What `mnist-rbm-features` has to beat: the same classifier, optimiser and epochs, on the pixels."""
    return Recipe(
        name="mnist-pixels",
        about="Logistic regression on pixels, trained until it no longer gets better.",
        data=DataSettings(source="mnist"),
        task=CLASSES,
        model=ModelSettings(name="logistic_regression"),
        train=TrainSettings(epochs=30, batch_size=128, optimizer=OptimizerSettings(name="adam", learning_rate=0.001)),
    )


def mnist_rbm_features() -> Recipe:
    """Without `--weights RUN` of `mnist-rbm` the features are random projections."""
    pixels = mnist_pixels()
    return replace(
        pixels,
        name="mnist-rbm-features",
        about="Logistic regression on what the hidden units of a machine say (--weights RUN of mnist-rbm).",
        model=ModelSettings(name="dbn_classifier", options={"hidden": [500]}),
        train=replace(pixels.train, fine_tune=FineTuneSettings(freeze=("features",))),
    )


def mnist_dbn() -> Recipe:
    return Recipe(
        name="mnist-dbn",
        about="784-500-500-1000, 15 epochs a machine, without labels.",
        data=DataSettings(source="mnist", validation=0),
        task=PICTURES,
        model=ModelSettings(name="dbn", options={"hidden": STACK}),
        train=replace(BY_CONTRAST, epochs=45, schedule=ScheduleSettings()),
    )


def mnist_dbn_1000() -> Recipe:
    """Without `--weights RUN` of `mnist-dbn` it begins at random."""
    return Recipe(
        name="mnist-dbn-1000",
        about="784-500-500-1000-10 of sigmoids with 1 000 labels (--weights RUN of mnist-dbn).",
        data=FEW,
        task=CLASSES,
        model=ModelSettings(name="dbn_classifier", options={"hidden": STACK}),
        train=TrainSettings(
            epochs=60,
            batch_size=50,
            optimizer=OptimizerSettings(name="adam", learning_rate=0.0005),
            schedule=ScheduleSettings(name="cosine"),
        ),
    )


def mnist_mlp_1000() -> Recipe:
    """What a network of today does with as many labels and layers: ReLU, dropout, no pre-training."""
    recipe = mnist_dbn_1000()
    return replace(
        recipe,
        name="mnist-mlp-1000",
        about="784-500-500-1000-10 of ReLU with dropout and 1 000 labels.",
        model=ModelSettings(name="mlp", options={"hidden": STACK, "dropout": 0.5}),
        train=replace(recipe.train, regularization=RegularizationSettings(l2=0.00001)),
    )
