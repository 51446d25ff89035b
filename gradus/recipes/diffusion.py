"""Recipes that make pictures by diffusion, beyond the texts."""

from __future__ import annotations

from gradus.data.load import DataSettings
from gradus.models import ModelSettings
from gradus.recipes.recipe import Recipe
from gradus.tasks.settings import TaskSettings
from gradus.train.settings import OptimizerSettings, ScheduleSettings, TrainSettings


def mnist_diffusion() -> Recipe:
    """A small U-Net that is told classes: Ho 2020, Nichol 2021's schedule, Ho and Salimans 2022."""
    return Recipe(
        name="mnist-diffusion",
        about="Digits from noise, on demand: 15 epochs of a small U-Net.",
        data=DataSettings(source="mnist", validation=0.03),
        task=TaskSettings(name="picture-generation", options={"conditional": True}),
        model=ModelSettings(name="diffusion"),
        train=TrainSettings(
            epochs=15,
            batch_size=128,
            average=0.999,
            optimizer=OptimizerSettings(name="adam", learning_rate=0.002),
            schedule=ScheduleSettings(name="cosine", warmup=0.03),
        ),
    )
