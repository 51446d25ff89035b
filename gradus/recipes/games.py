"""Recipes for games: networks that make digits and frogs.

gradus train mnist-cgan --out runs/cgan        then        gradus generate runs/cgan --label 7

The text's frogs (`cifar10-frogs`) learn for 10 000 steps of 20 pictures, which is for a GPU; `cifar10-frogs-small` has another
network, for an hour of a CPU. Where a game is told no classes, MNIST's labels are not used.
"""

from __future__ import annotations

from dataclasses import replace

from gradus.data.load import DataSettings
from gradus.models import ModelSettings
from gradus.recipes.recipe import Recipe
from gradus.tasks.settings import TaskSettings
from gradus.train.settings import (
    AdversarialSettings,
    OptimizerSettings,
    RegularizationSettings,
    ScheduleSettings,
    TrainSettings,
)

DATA = DataSettings(source="mnist", validation=0)
TASK = TaskSettings(name="picture-generation")
TOLD = TaskSettings(name="picture-generation", options={"conditional": True})
FROGS = DataSettings(source="cifar10", validation=0)
# Radford 2015, §4, but for the rate (theirs 0.0002 for longer training), which falls to nothing, and the moving average
BY_ADAM = TrainSettings(
    epochs=12,
    batch_size=128,
    optimizer=OptimizerSettings(name="adam", learning_rate=0.0005, beta1=0.5),
    schedule=ScheduleSettings(name="cosine"),
    average=0.999,
)
# Mirza 2014, §4.1: divided by 1.00004 a step. Its momentum rises to 0.7, and it stops at a rate of 0.000001
AS_PRINTED = TrainSettings(
    epochs=100,
    batch_size=100,
    optimizer=OptimizerSettings(name="sgd", learning_rate=0.1, momentum=0.5),
    schedule=ScheduleSettings(name="exponential", factor=1.00004**-600),
)


def mnist_dcgan() -> Recipe:
    return Recipe(
        name="mnist-dcgan",
        about="A DCGAN of 32 and 64 maps for digits.",
        data=DATA,
        task=TASK,
        model=ModelSettings(name="dcgan"),
        train=BY_ADAM,
    )


def mnist_cgan() -> Recipe:
    """*Plain Talk* §12.3 by convolutions: any digit on demand."""
    return replace(mnist_dcgan(), name="mnist-cgan", about="A DCGAN that is told which digit to make.", task=TOLD)


def mnist_cgan_1411() -> Recipe:
    """Mirza and Osindero 2014 (arXiv 1411.1784), §4.1, with the rule of its time for the latents, and the losses as printed."""
    rules = {"latents": "uniform", "loss": "minimax"}
    return Recipe(
        name="mnist-cgan-1411",
        about="The dense conditional game as printed.",
        data=DATA,
        task=TOLD,
        model=ModelSettings(name="cgan", options={"rules": rules}),
        train=AS_PRINTED,
    )


def mnist_wgan_gp() -> Recipe:
    """Gulrajani 2017, algorithm 1: Adam with 0.0001, 0 and 0.9, five turns of the critic of 64 pictures each."""
    return Recipe(
        name="mnist-wgan-gp",
        about="A critic in place of the judge: Wasserstein distance, gradient penalty.",
        data=replace(DATA, rows=20_000),
        task=TASK,
        model=ModelSettings(name="wgan_gp", options={"width": 16}),
        train=TrainSettings(
            epochs=40,
            batch_size=320,
            optimizer=OptimizerSettings(name="adam", learning_rate=0.0005, beta1=0.0, beta2=0.9),
            schedule=ScheduleSettings(name="cosine"),
            adversarial=AdversarialSettings(turns=5),
            average=0.99,
        ),
    )


def mnist_lapgan() -> Recipe:
    """7x7 pictures, and what 14 and 28 pixels add to them."""
    return Recipe(
        name="mnist-lapgan",
        about="A game for each of three levels of a Laplacian pyramid.",
        data=replace(DATA, rows=20_000),
        task=TOLD,
        model=ModelSettings(name="lapgan", options={"width": 16}),
        train=replace(BY_ADAM, epochs=15),
    )


def cifar10_frogs() -> Recipe:
    """*Deep Learning with Python* §8.5: 5 000 frogs, 40 epochs of 250 steps, RMSprop with gradients cut to 1. The generator has
    half the discriminator's rate. Pictures are from -1 to 1, where the listing has real ones from 0 to 1; labels stay within 0
    to 1; rows are shuffled. Its `decay=1e-8` changes the rate by less than a ten thousandth and is left out."""
    return Recipe(
        name="cifar10-frogs",
        about="The text's DCGAN on CIFAR-10's frogs, for a GPU.",
        data=FROGS,
        task=TaskSettings(name="picture-generation", options={"classes": ["frog"]}),
        model=ModelSettings(name="dcgan_frogs", options={"rules": {"label_noise": 0.05}}),
        train=TrainSettings(
            epochs=40,
            batch_size=20,
            optimizer=OptimizerSettings(name="rmsprop", learning_rate=0.0004, rho=0.9, epsilon=1e-7),
            regularization=RegularizationSettings(clip_value=1.0),
            adversarial=AdversarialSettings(discriminator_rate=0.0008),
        ),
    )


def cifar10_frogs_small() -> Recipe:
    return Recipe(
        name="cifar10-frogs-small",
        about="Frogs by a DCGAN of 32 to 128 maps, for a CPU.",
        data=FROGS,
        task=TaskSettings(name="picture-generation", options={"classes": ["frog"]}),
        model=ModelSettings(name="dcgan"),
        train=replace(BY_ADAM, epochs=60, batch_size=64, optimizer=replace(BY_ADAM.optimizer, learning_rate=0.0003)),
    )
