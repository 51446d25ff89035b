"""Recipes that act in environments: nothing is downloaded, gymnasium has them."""

from __future__ import annotations

from gradus.data.load import DataSettings
from gradus.models import ModelSettings
from gradus.recipes.recipe import Published, Recipe
from gradus.tasks.settings import TaskSettings
from gradus.train.settings import (
    ExperienceSettings,
    OptimizerSettings,
    QLearningSettings,
    ScheduleSettings,
    TrainSettings,
)


def dqn_cartpole() -> Recipe:
    """A pole is kept upright on a cart for 500 steps; learnt in 100 000, a minute or two."""
    return Recipe(
        name="dqn-cartpole",
        about="Deep Q-learning on CartPole-v1: a pole is kept upright on a cart; 100 000 steps.",
        data=DataSettings(source="gym:CartPole-v1"),
        task=TaskSettings(name="control"),
        model=ModelSettings(name="q_network", options={"hidden": [128, 128]}),
        train=TrainSettings(
            epochs=20,
            batch_size=128,
            optimizer=OptimizerSettings(name="adam", learning_rate=0.001),
            schedule=ScheduleSettings(name="polynomial"),  # in a line to 0: it settles, and what is good stays
            experience=ExperienceSettings(environments=8, epoch_steps=5_000, validation_episodes=16),
            q_learning=QLearningSettings(
                train_frequency=8, updates=2, target_every=200, n_step=3, epsilon_end=0.04, epsilon_steps=10_000
            ),
        ),
        published=Published(metric="return", value=475, source="gymnasium: from here on CartPole-v1 counts as solved"),
    )
