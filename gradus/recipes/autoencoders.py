"""Autoencoders on MNIST, plain and variational. All learn from the 60 000 training pictures; the loss told at the end is that of
the 10 000 test pictures, one latent a picture. Grey values are kept but where a recipe binarises them.
"""

from __future__ import annotations

from typing import Any

from gradus.data.load import DataSettings
from gradus.models import ModelSettings
from gradus.recipes.recipe import Published, Recipe
from gradus.tasks.settings import TaskSettings
from gradus.train.settings import OptimizerSettings, ScheduleSettings, TrainSettings

DATA = DataSettings(source="mnist", validation=0)
TASK = TaskSettings(name="picture-generation")
BOOK = {  # 550 629 parameters
    "widths": [32, 64, 64, 64],
    "strides": [1, 2, 1, 1],
    "up_widths": [32],
    "hidden": [32],
}


def _training(epochs: int, *, batch_size: int = 128, **optimizer: Any) -> TrainSettings:
    """Adam with a rate of 0.001 that falls to nothing."""
    settings = OptimizerSettings(name="adam", **{"learning_rate": 1e-3, **optimizer})
    return TrainSettings(
        epochs=epochs, batch_size=batch_size, optimizer=settings, schedule=ScheduleSettings(name="cosine")
    )


def mnist_vae() -> Recipe:
    """The example of keras.io (Chollet 2020) but for the falling rate. What it prints after 30 epochs, 146.95 = 140.15 + 6.80, is
    the average over the last epoch of training, on all 70 000 pictures."""
    return Recipe(
        name="mnist-vae",
        about="A variational autoencoder of convolutions with two latent numbers: 134 165 parameters.",
        data=DATA,
        task=TASK,
        model=ModelSettings(name="conv_vae"),
        train=_training(30),
        published=Published(
            metric="loss",
            value=146.95,
            source="keras.io, Variational AutoEncoder (last epoch's average on the 70 000 pictures that it learns from)",
        ),
    )


def mnist_vae_dense() -> Recipe:
    """Two latent numbers again, from dense layers: a tenth of the time, and a better bound than the convolutions'."""
    return Recipe(
        name="mnist-vae-dense",
        about="784-512-256-2 and back, dense: two latent numbers in a few minutes.",
        data=DATA,
        task=TASK,
        model=ModelSettings(name="dense_vae", options={"latent_size": 2, "hidden": [512, 256]}),
        train=_training(30),
        published=mnist_vae().published,
    )


def mnist_vae_20() -> Recipe:
    """20 latent numbers, as most who publish on MNIST have, on grey values."""
    return Recipe(
        name="mnist-vae-20",
        about="The same with 20 latent numbers and a wider layer before them.",
        data=DATA,
        task=TASK,
        model=ModelSettings(name="conv_vae", options={"latent_size": 20, "hidden": [128]}),
        train=_training(30),
    )


def mnist_vae_binary() -> Recipe:
    """Kingma and Welling's dense network with 20 latent numbers, on pixels drawn with the grey value as probability: its elbo is
    the bound of a log-probability. `gradus look RUN bound` has it importance-weighted."""
    return Recipe(
        name="mnist-vae-binary",
        about="784-400-20, dense, on binarised pictures: log-likelihoods in nats.",
        data=DATA,
        task=TaskSettings(name="picture-generation", options={"binarize": "sample"}),
        model=ModelSettings(name="dense_vae"),
        train=_training(50),
    )


def mnist_vae_dlwp() -> Recipe:
    """*Deep Learning with Python* §8.4, listings 8-23 to 8-28: its network, optimiser, batches and epochs, with the loss that it
    means. As printed the divergence weighs 5e-4 beside the mean over the pixels: beta = 0.392 here (`docs/autoencoders.md`)."""
    return Recipe(
        name="mnist-vae-dlwp",
        about="A variational autoencoder of convolutions, as that text has it: 550 629 parameters.",
        data=DATA,
        task=TASK,
        model=ModelSettings(name="conv_vae", options=BOOK),
        train=TrainSettings(
            epochs=10,
            batch_size=16,
            optimizer=OptimizerSettings(name="rmsprop", learning_rate=0.001, rho=0.9, epsilon=1e-7),
        ),
    )


def mnist_autoencoder() -> Recipe:
    """Hinton and Salakhutdinov 2006: 784-1000-500-250-30, trained whole and without pre-training by Boltzmann machines."""
    return Recipe(
        name="mnist-autoencoder",
        about="784-1000-500-250-30 and back: better than 30 principal components.",
        data=DATA,
        task=TASK,
        model=ModelSettings(name="dense_autoencoder", options={"hidden": [1000, 500, 250], "code_size": 30}),
        train=_training(20),
    )


def mnist_denoising() -> Recipe:
    """Vincent 2010: a third of the pixels are set to black or white, and the whole picture is asked for."""
    options = {"noise": "salt-and-pepper", "noise_level": 0.3, "code_size": 64, "widths": [32, 64]}
    return Recipe(
        name="mnist-denoising",
        about="Pictures without their noise: an autoencoder of convolutions that sees them damaged.",
        data=DATA,
        task=TASK,
        model=ModelSettings(name="conv_autoencoder", options=options),
        train=_training(10),
    )


def mnist_sparse() -> Recipe:
    """Ng 2011: a code of 256 numbers of which each is on for one picture in twenty; every one then stands for a stroke."""
    options = {"hidden": [], "code_size": 256, "sparsity": "kl", "target": 0.05, "sparsity_weight": 3.0}
    return Recipe(
        name="mnist-sparse",
        about="784-256-784 with a sparse code: strokes that pictures are made of.",
        data=DATA,
        task=TASK,
        model=ModelSettings(name="dense_autoencoder", options=options),
        train=_training(20),
    )
