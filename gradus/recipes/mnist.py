"""Recipes on MNIST: the first experiments of the texts. All train on the 60 000 and are judged once on the 10 000.

The texts choose no weights by validation in these experiments (or choose by the test set, which makes its figure too good);
here the weights after the last epoch are judged, so `data.validation` is 0.
"""

from __future__ import annotations

from gradus.data.load import DataSettings
from gradus.models import ModelSettings
from gradus.recipes.recipe import Published, Recipe
from gradus.tasks.settings import TaskSettings
from gradus.train.settings import OptimizerSettings, ScheduleSettings, TrainSettings

DATA = DataSettings(source="mnist", validation=0)
TASK = TaskSettings(name="image-classification", options={"normalize": "unit"})
# The texts use Keras 2, which draws initial weights in another way than PyTorch, and forgets squared gradients faster (0.9
# against 0.99)
KERAS_INITIALIZATION = {"initialization": "glorot"}
KERAS_RMSPROP = OptimizerSettings(name="rmsprop", learning_rate=0.001, rho=0.9, epsilon=1e-7)


def mnist_logistic_regression() -> Recipe:
    """The linear classifier that every network below has to beat."""
    return Recipe(
        name="mnist-logistic-regression",
        about="Softmax regression on pixels.",
        data=DATA,
        task=TASK,
        model=ModelSettings(name="logistic_regression"),
        train=TrainSettings(epochs=5, batch_size=128, optimizer=OptimizerSettings(name="adam")),
    )


def mnist_mlp() -> Recipe:
    """*Deep Learning with Python* §2.1, listings 2-1 to 2-5."""
    return Recipe(
        name="mnist-mlp",
        about="784-512-10 with ReLU: 407 050 parameters.",
        data=DATA,
        task=TASK,
        model=ModelSettings(name="mlp", options={"hidden": [512], **KERAS_INITIALIZATION}),
        train=TrainSettings(epochs=5, batch_size=128, optimizer=KERAS_RMSPROP),
        published=Published(metric="accuracy", value=0.9785, source="Deep Learning with Python, 1st ed., §2.1"),
    )


def mnist_convnet() -> Recipe:
    """*Deep Learning with Python* §5.1. Its text claims 99.3 %, its own output prints 99.08 %."""
    return Recipe(
        name="mnist-convnet",
        about="Three 3x3 convolutions: 93 322 parameters.",
        data=DATA,
        task=TASK,
        model=ModelSettings(name="mnist_convnet", options=KERAS_INITIALIZATION),
        train=TrainSettings(epochs=5, batch_size=64, optimizer=KERAS_RMSPROP),
        published=Published(
            metric="accuracy", value=0.9908, source="Deep Learning with Python, 1st ed., §5.1 (as printed)"
        ),
    )


def lenet5_mnist() -> Recipe:
    """*Principles and Practice* §4.5, listings 4-4 to 4-8: Adadelta, batch 128, 30 epochs, dropout."""
    return Recipe(
        name="lenet5-mnist",
        about="LeNet-5 as that text codes it: wider, with dropout, 254 718 parameters.",
        data=DATA,
        task=TASK,
        model=ModelSettings(name="lenet5_dropout", options=KERAS_INITIALIZATION),
        train=TrainSettings(
            epochs=30,
            batch_size=128,
            optimizer=OptimizerSettings(name="adadelta", learning_rate=1.0, rho=0.95, epsilon=1e-7),
        ),
        published=Published(
            metric="accuracy",
            value=0.9953,
            source="Deep Learning: Principles and Practice, §4.5 (best weights chosen on the test set, log of a resumed run)",
        ),
    )


def lenet5_mnist_1998() -> Recipe:
    """LeCun et al. 1998: the network of the paper, without distortions of the digits; 0.95 % error printed."""
    return Recipe(
        name="lenet5-mnist-1998",
        about="LeNet-5 of the 1998 paper but for its output layer; 60 850 parameters.",
        data=DATA,
        task=TaskSettings(name="image-classification", options={"normalize": "standardize"}),
        model=ModelSettings(name="lenet5_1998"),
        train=TrainSettings(
            epochs=20,
            batch_size=64,
            optimizer=OptimizerSettings(name="sgd", learning_rate=0.05, momentum=0.9),
            schedule=ScheduleSettings(name="cosine"),
        ),
        published=Published(
            metric="accuracy", value=0.9905, source="LeCun et al. 1998, table of fig. 9 (no distortions)"
        ),
    )
