"""Recipes of policy gradients, and of Atari games (`pip install 'gradus[atari]'`)."""

from __future__ import annotations

from dataclasses import replace

from gradus.data.load import DataSettings
from gradus.models import ModelSettings
from gradus.recipes.recipe import Published, Recipe
from gradus.tasks.settings import TaskSettings
from gradus.train.settings import (
    ExperienceSettings,
    OptimizerSettings,
    PolicySettings,
    QLearningSettings,
    RegularizationSettings,
    ScheduleSettings,
    TrainSettings,
)

SOLVED = Published(metric="return", value=475, source="gymnasium: from here on CartPole-v1 counts as solved")
TO_NOTHING = ScheduleSettings(name="polynomial")  # the learning rate falls in a line


def ppo_cartpole() -> Recipe:
    """Proximal policy optimisation."""
    return Recipe(
        name="ppo-cartpole",
        about="PPO on CartPole-v1: a pole is kept upright on a cart; 102 400 steps.",
        data=DataSettings(source="gym:CartPole-v1"),
        task=TaskSettings(name="control"),
        model=ModelSettings(name="actor_critic", options={"hidden": [64, 64]}),
        train=TrainSettings(
            epochs=20,
            batch_size=256,
            optimizer=OptimizerSettings(name="adam", learning_rate=0.001, epsilon=1e-5),
            schedule=TO_NOTHING,
            regularization=RegularizationSettings(clip_norm=0.5),
            experience=ExperienceSettings(environments=8, epoch_steps=5_120, discount=0.98, validation_episodes=16),
            policy=PolicySettings(steps=128, passes=10, clip=0.2, trace=0.9, entropy_weight=0.0),
        ),
        published=SOLVED,
    )


def reinforce_cartpole() -> Recipe:
    """The plain policy gradient, with the value of a state as its baseline: one update a rollout, of whole returns."""
    return Recipe(
        name="reinforce-cartpole",
        about="REINFORCE with a baseline on CartPole-v1; 307 200 steps.",
        data=DataSettings(source="gym:CartPole-v1"),
        task=TaskSettings(name="control"),
        model=ModelSettings(name="actor_critic", options={"hidden": [64, 64]}),
        train=TrainSettings(
            epochs=30,
            batch_size=1_024,
            optimizer=OptimizerSettings(name="adam", learning_rate=0.005),
            schedule=TO_NOTHING,
            experience=ExperienceSettings(environments=8, epoch_steps=10_240, discount=0.99, validation_episodes=16),
            policy=PolicySettings(steps=128, passes=1, clip=0.0, trace=1.0, entropy_weight=0.0),
        ),
        published=SOLVED,
    )


def a2c_cartpole() -> Recipe:
    """Advantage actor-critic: the plain gradient after every few steps."""
    return Recipe(
        name="a2c-cartpole",
        about="A2C on CartPole-v1; 204 800 steps.",
        data=DataSettings(source="gym:CartPole-v1"),
        task=TaskSettings(name="control"),
        model=ModelSettings(name="actor_critic", options={"hidden": [64, 64]}),
        train=TrainSettings(
            epochs=20,
            batch_size=128,
            optimizer=OptimizerSettings(name="rmsprop", learning_rate=0.0007, epsilon=1e-5),
            schedule=TO_NOTHING,
            regularization=RegularizationSettings(clip_norm=0.5),
            experience=ExperienceSettings(environments=8, epoch_steps=10_240, discount=0.99, validation_episodes=16),
            policy=PolicySettings(steps=16, passes=1, clip=0.0, trace=1.0, entropy_weight=0.0, normalize=False),
        ),
        published=SOLVED,
    )


def ppo_pendulum() -> Recipe:
    """Actions that are numbers. A shorter horizon (discount 0.9), as others train it too (RL Baselines3 Zoo)."""
    pole = ppo_cartpole()
    return replace(
        pole,
        name="ppo-pendulum",
        about="PPO on Pendulum-v1: a pendulum is swung up and held by a motor that is too weak to lift it; 163 840 steps.",
        data=DataSettings(source="gym:Pendulum-v1"),
        train=replace(
            pole.train,
            experience=replace(pole.train.experience, epoch_steps=8_192, discount=0.9),
            policy=replace(pole.train.policy, steps=256, trace=0.95),
        ),
        published=None,
    )


def dqn_pong() -> Recipe:
    """Double DQN on Pong with the small network of 2013, for a CPU; `model.name = "atari_dqn"` is that of 2015."""
    return Recipe(
        name="dqn-pong",
        about="Deep Q-learning on Pong from its screens, sized for a CPU: 400 000 decisions of four frames.",
        data=DataSettings(source="gym:ALE/Pong-v5"),
        task=TaskSettings(name="control", options={"episodes": 10}),
        model=ModelSettings(name="atari_dqn_2013"),
        train=TrainSettings(
            epochs=40,
            batch_size=32,
            optimizer=OptimizerSettings(name="adam", learning_rate=0.00025, epsilon=1e-4),
            experience=ExperienceSettings(environments=4, epoch_steps=10_000, validation_episodes=2),
            q_learning=QLearningSettings(
                replay_size=100_000,
                replay_start=5_000,
                train_frequency=4,
                epsilon_end=0.02,
                epsilon_steps=80_000,
                target_every=1_000,
                n_step=3,
            ),
        ),
        published=Published(
            metric="return", value=18.9, source="Mnih 2015, extended data table 2: DQN, 50 million frames"
        ),
    )


def ppo_pong() -> Recipe:
    """PPO on Pong; `model.options.features = "2015"` is the paper's network."""
    return Recipe(
        name="ppo-pong",
        about="PPO on Pong from its screens, sized for a CPU: 1 024 000 decisions of four frames.",
        data=DataSettings(source="gym:ALE/Pong-v5"),
        task=TaskSettings(name="control", options={"episodes": 10}),
        model=ModelSettings(name="atari_actor_critic", options={"features": "2013"}),
        train=TrainSettings(
            epochs=50,
            batch_size=256,
            optimizer=OptimizerSettings(name="adam", learning_rate=0.00025, epsilon=1e-5),
            schedule=TO_NOTHING,
            regularization=RegularizationSettings(clip_norm=0.5),
            experience=ExperienceSettings(environments=8, epoch_steps=20_480, validation_episodes=2),
            policy=PolicySettings(steps=128, passes=4, clip=0.1, trace=0.95, entropy_weight=0.01),
        ),
    )
