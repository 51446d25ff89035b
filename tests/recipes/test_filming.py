"""Films and learning curves of runs that act."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageSequence

pytest.importorskip("gymnasium")

from gradus.data.load import DataSettings
from gradus.errors import UserError
from gradus.recipes.compare import draw_curves
from gradus.recipes.execute import train_recipe
from gradus.recipes.filming import film_run
from gradus.recipes.policies import ppo_cartpole
from gradus.recipes.run import Run
from gradus.train.settings import ExperienceSettings, PolicySettings


def barely_trained(folder, source: str = "gym:CartPole-v1", seed: int = 0) -> Run:
    recipe = ppo_cartpole()
    train = replace(
        recipe.train,
        epochs=2,
        seed=seed,
        batch_size=16,
        experience=ExperienceSettings(environments=2, epoch_steps=16, validation_episodes=1),
        policy=PolicySettings(steps=8, passes=1),
    )
    task = replace(recipe.task, options={"episodes": 2})
    return train_recipe(replace(recipe, data=DataSettings(source=source), task=task, train=train), folder)


@pytest.mark.parametrize("source", ["gym:CartPole-v1", "gym:FrozenLake-v1", "grid:cliff"])
def test_the_first_episode_that_is_measured_is_filmed(tmp_path, source):
    run = barely_trained(tmp_path / "run", source)
    film = film_run(run, tmp_path / "a.gif", seed=3)
    played = run.play(1, seed=3)
    cut = film.frames < int(played.lengths[0])
    assert film.ended is not cut and (cut or film.earned == played.returns[0])
    with Image.open(tmp_path / "a.gif") as gif:
        frames = [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(gif)]
    assert min(frames[0].shape[:2]) >= 100
    if source == "gym:CartPole-v1":
        assert film.frames == int(played.lengths[0]) + 1 == len(frames)
        assert (frames[0] != frames[-1]).any()


def test_a_film_is_cut(tmp_path):
    run = barely_trained(tmp_path / "run")
    film = film_run(run, tmp_path / "a.gif", seconds=0.1)
    assert (film.frames, film.ended, film.earned) == (5, False, 4.0)


def test_runs_of_other_seeds_are_one_curve_and_others_another(tmp_path):
    runs = [barely_trained(tmp_path / str(seed), seed=seed) for seed in (0, 1)]
    assert draw_curves(runs, tmp_path / "a.png", "train_loss") == ["ppo-cartpole"]
    other = barely_trained(tmp_path / "lake", "gym:FrozenLake-v1")
    assert draw_curves([*runs, other], tmp_path / "b.png", "loss") == ["ppo-cartpole (1)", "ppo-cartpole (2)"]
    with pytest.raises(UserError, match="did you mean 'train_loss'"):
        draw_curves(runs, tmp_path / "c.png", "train_los")
    assert not (tmp_path / "c.png").exists()
