"""Recipes on the embedded `digits`: nothing is downloaded."""

from __future__ import annotations

from gradus.data.load import DataSettings
from gradus.models import ModelSettings
from gradus.recipes.recipe import Recipe
from gradus.tasks.settings import TaskSettings
from gradus.train.settings import OptimizerSettings, ScheduleSettings, TrainSettings


def digits_lenet5() -> Recipe:
    """What `make demo` trains: LeNet-5 on 1 797 digits of 8x8 pixels, in seconds."""
    return Recipe(
        name="digits-lenet5",
        about="LeNet-5 on scikit-learn's handwritten digits (8x8, brought to 28x28).",
        data=DataSettings(source="digits", test=0.2, validation=0.1),
        task=TaskSettings(name="image-classification", options={"normalize": "unit"}),
        model=ModelSettings(name="lenet5"),
        train=TrainSettings(
            epochs=30,
            batch_size=32,
            optimizer=OptimizerSettings(name="adamw", learning_rate=0.002, weight_decay=0.01),
            schedule=ScheduleSettings(name="one_cycle"),
        ),
    )
