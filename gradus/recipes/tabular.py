"""Recipes that learn tables of action values: gymnasium has their worlds."""

from __future__ import annotations

from typing import Any, Literal

from gradus.data.load import DataSettings
from gradus.models import ModelSettings
from gradus.recipes.recipe import Published, Recipe
from gradus.tasks.settings import TaskSettings
from gradus.train.settings import (
    ExperienceSettings,
    OptimizerSettings,
    ScheduleSettings,
    TabularSettings,
    TrainSettings,
)


def _table(
    name: str,
    about: str,
    source: str,
    *,
    published: Published,
    learning_rate: float,
    epochs: int,
    schedule: Literal["constant", "cosine", "polynomial", "exponential"] = "constant",
    discount: float = 1.0,
    initial: float = 0.0,
    environment: dict[str, Any] | None = None,
    **tabular: Any,
) -> Recipe:
    return Recipe(
        name=name,
        about=about,
        data=DataSettings(source=source),
        task=TaskSettings(name="control", options={"environment": environment} if environment else {}),
        model=ModelSettings(name="q_table", options={"initial": initial} if initial else {}),
        train=TrainSettings(
            epochs=epochs,
            optimizer=OptimizerSettings(name="sgd", learning_rate=learning_rate),
            schedule=ScheduleSettings(name=schedule),
            experience=ExperienceSettings(epoch_steps=10_000, discount=discount, validation_episodes=1),
            tabular=TabularSettings(**tabular),
        ),
        published=published,
    )


def frozenlake() -> Recipe:
    """Over slippery ice to a goal: two steps of three go elsewhere. Half a minute."""
    return _table(
        "frozenlake",
        "Q-learning on FrozenLake-v1: slippery ice, 16 states; a table.",
        "gym:FrozenLake-v1",
        published=Published(
            metric="return", value=0.74, source="gymnasium: the optimum within 100 steps, as its registry notes"
        ),
        learning_rate=0.2,
        epochs=20,
        schedule="cosine",
        discount=0.999,
        epsilon_end=0.2,
        epsilon_steps=100_000,
    )


def taxi() -> Recipe:
    """A passenger is fetched and brought: 500 states, six actions. Nothing is left to chance, so the learning rate may be 1, and
    no return is above 20: with that hope in every action all of them are tried. Half a minute."""
    return _table(
        "taxi",
        "Q-learning on Taxi: fetch a passenger and bring him, 500 states; a table.",
        "gym:Taxi",
        published=Published(
            metric="return", value=7.93, source="computed: the mean of the shortest ways over all first states"
        ),
        learning_rate=1.0,
        epochs=15,
        initial=20.0,
        epsilon_start=0.1,
        epsilon_end=0.1,
    )


def cliffwalking() -> Recipe:
    """Q-learning beside a cliff: it learns the shortest way, along the edge, and falls while it explores."""
    return _cliff("cliffwalking", "Q-learning on CliffWalking: the shortest way is along the edge.", "q_learning", -13)


def cliffwalking_sarsa() -> Recipe:
    """SARSA beside a cliff: it knows that it will stumble, and learns to keep away from the edge."""
    return _cliff(
        "cliffwalking-sarsa", "SARSA on CliffWalking: an agent that stumbles keeps away from the edge.", "sarsa", -17
    )


def _cliff(name: str, about: str, method: str, value: float) -> Recipe:
    return _table(
        name,
        about,
        "gym:CliffWalking",
        published=Published(
            metric="return", value=value, source="Sutton and Barto 2018, example 6.6: the way it learns"
        ),
        learning_rate=0.5,
        epochs=20,
        schedule="cosine",
        environment={"max_episode_steps": 500},
        method=method,
        epsilon_start=0.1,
        epsilon_end=0.1,
    )
