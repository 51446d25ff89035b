"""Cats and dogs with 2 000 training pictures: the five experiments of *Deep Learning with Python*, 1st ed., §5.2 and §5.3.

The text's figures are of its validation pictures, after the last epoch; ours are of the test pictures, with the weights that were
best on the validation pictures. Its base is VGG16, which these recipes name `...-vgg16` (its weights have to be imported); the
others take SqueezeNet 1.0. Steps of the text that pass the end of its data (100 of 32 pictures of 2 000) are epochs here.
`...-small` are for a CPU: smaller pictures and fewer epochs.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gradus.data.augment.settings import get_preset
from gradus.data.load import DataSettings
from gradus.models import ModelSettings
from gradus.recipes.recipe import Published, Recipe
from gradus.tasks.settings import TaskSettings
from gradus.train.settings import FineTuneSettings, OptimizerSettings, ScheduleSettings, TrainSettings

DATA = DataSettings(source="cats_vs_dogs")
TASK = "image-classification"
BOOK = "Deep Learning with Python, 1st ed., "


def keras_rmsprop(learning_rate: float) -> OptimizerSettings:
    """RMSprop as Keras 2 has it: it forgets squared gradients faster than PyTorch's (0.9 against 0.99)."""
    return OptimizerSettings(name="rmsprop", learning_rate=learning_rate, rho=0.9, epsilon=1e-7)


def _from_scratch(name: str, about: str, train: TrainSettings, dropout: float, size: int, **more: Any) -> Recipe:
    return Recipe(
        name=name,
        about=about,
        data=DATA,
        task=TaskSettings(name=TASK, options={"normalize": "unit", "image_size": size}),
        model=ModelSettings(name="cats_dogs_convnet", options={"dropout": dropout}),
        train=train,
        **more,
    )


def cats_dogs_scratch(name: str = "cats-dogs-scratch", size: int = 150) -> Recipe:
    """§5.2.1 to §5.2.4, listings 5-5 to 5-10."""
    return _from_scratch(
        name,
        f"A convnet from nothing, {size}x{size} pictures: it soon knows its 2 000 pictures by heart.",
        TrainSettings(epochs=30, batch_size=20, optimizer=keras_rmsprop(1e-4)),
        dropout=0.0,
        size=size,
        published=Published(
            metric="accuracy", value=0.71, source=f"{BOOK}§5.2.4 (70 to 72 % of the validation pictures)"
        ),
    )


def cats_dogs_augmented(name: str = "cats-dogs-augmented", size: int = 150, epochs: int = 160) -> Recipe:
    """§5.2.5, listings 5-11 to 5-14. The text's 100 epochs of 100 batches of 32 show as many pictures as 160 epochs do."""
    return _from_scratch(
        name,
        f"The same with augmentation and dropout, {size}x{size} pictures, {epochs} epochs.",
        TrainSettings(epochs=epochs, batch_size=32, optimizer=keras_rmsprop(1e-4)),
        dropout=0.5,
        size=size,
        augment=get_preset("book"),
        published=Published(metric="accuracy", value=0.82, source=f"{BOOK}§5.2.5 (validation pictures)"),
    )


def cats_dogs_scratch_small() -> Recipe:
    return cats_dogs_scratch("cats-dogs-scratch-small", 75)


def cats_dogs_augmented_small() -> Recipe:
    """At the text's rate of 1e-4 this ends at 0.740 after as many epochs, and still rises."""
    made = cats_dogs_augmented("cats-dogs-augmented-small", 75, 60)
    faster = replace(made.train, optimizer=keras_rmsprop(5e-4), schedule=ScheduleSettings(name="cosine"))
    return replace(made, train=faster)


def _pretrained(name: str, about: str, train: TrainSettings, published: float, where: str, **more: Any) -> Recipe:
    """On SqueezeNet: the mean over its last map, a hidden layer of 256 as in listing 5-18, dropout, two classes."""
    return Recipe(
        name=name,
        about=about,
        data=DATA,
        task=TaskSettings(name=TASK),
        model=ModelSettings(name="squeezenet1_0", options={"hidden": 256}, weights="imagenet"),
        train=train,
        published=Published(metric="accuracy", value=published, source=f"{BOOK}{where}"),
        **more,
    )


FEATURES = FineTuneSettings(freeze=("features",))


def cats_dogs_features() -> Recipe:
    """§5.3.1, listings 5-16 to 5-19. A rate of 1e-3: the text's 2e-5 is for 16 times as many features."""
    return _pretrained(
        "cats-dogs-features",
        "A new head on frozen features of SqueezeNet, computed once.",
        TrainSettings(epochs=30, batch_size=20, optimizer=keras_rmsprop(1e-3), fine_tune=FEATURES),
        0.90,
        "§5.3.1, VGG16 (validation pictures)",
    )


def cats_dogs_features_augmented() -> Recipe:
    """§5.3.1, listings 5-20 and 5-21. 10 epochs in place of 30: each takes all pictures through the frozen network again."""
    return _pretrained(
        "cats-dogs-features-augmented",
        "The same with augmentation, so that features are computed in every epoch.",
        TrainSettings(epochs=10, batch_size=20, optimizer=keras_rmsprop(1e-3), fine_tune=FEATURES),
        0.96,
        "§5.3.1, VGG16 (validation pictures; 90 % on later releases of Keras)",
        augment=get_preset("book"),
    )


def cats_dogs_fine_tuned() -> Recipe:
    """§5.3.2, listings 5-22 to 5-24, in one run: the head learns for 6 epochs, then the last stage beside it, both at 1e-5, the
    rate that the text gives its block 5."""
    return _pretrained(
        "cats-dogs-fine-tuned",
        "The same, and after 6 epochs the last stage of SqueezeNet learns too, slowly.",
        TrainSettings(
            epochs=12,
            batch_size=20,
            optimizer=keras_rmsprop(1e-3),
            schedule=ScheduleSettings(name="milestones", milestones=(6.0,), factor=0.01),
            fine_tune=FineTuneSettings(freeze=("features",), unfreeze_every=6, unfreeze_stages=1),
        ),
        0.97,
        "§5.3.2, VGG16 (test pictures)",
        augment=get_preset("book"),
    )


def _on_vgg16(recipe: Recipe, about: str, train: TrainSettings) -> Recipe:
    """The text's own base and head: 150x150 pictures, stretched; 4x4x512 features, 256 hidden units.

    The text only divides its pictures by 255; here they are as the weights expect (its way: task.options.normalize=unit).
    """
    options = {"hidden": [256], "map_size": 4, "dropout": 0.5}
    return replace(
        recipe,
        name=f"{recipe.name}-vgg16",
        about=about,
        task=TaskSettings(name=TASK, options={"image_size": 150, "fit": "stretch"}),
        model=ModelSettings(name="vgg16", options=options, weights="imagenet"),
        train=train,
    )


def cats_dogs_features_vgg16() -> Recipe:
    train = TrainSettings(epochs=30, batch_size=20, optimizer=keras_rmsprop(2e-5), fine_tune=FEATURES)
    return _on_vgg16(cats_dogs_features(), "A new head on frozen features of VGG16, computed once.", train)


def cats_dogs_features_augmented_vgg16() -> Recipe:
    train = TrainSettings(epochs=30, batch_size=20, optimizer=keras_rmsprop(2e-5), fine_tune=FEATURES)
    return _on_vgg16(cats_dogs_features_augmented(), "A new head on frozen VGG16, with augmentation.", train)


def cats_dogs_fine_tuned_vgg16() -> Recipe:
    """Listings 5-20 to 5-24 in one run: 30 epochs of the head at 2e-5, then 100 with block 5 at 1e-5."""
    train = TrainSettings(
        epochs=130,
        batch_size=20,
        optimizer=keras_rmsprop(2e-5),
        schedule=ScheduleSettings(name="milestones", milestones=(30.0,), factor=0.5),
        fine_tune=FineTuneSettings(freeze=("features",), unfreeze_every=30, unfreeze_stages=1),
    )
    return _on_vgg16(cats_dogs_fine_tuned(), "Block 5 of VGG16 learns too, after 30 epochs of the head.", train)
