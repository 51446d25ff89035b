"""Atari games as a network sees them: size, maximum over two frames, lives, rewards, coming back to where they stood."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("ale_py")
pytest.importorskip("gymnasium")

from gradus.environments import make_environments
from gradus.environments.atari import AtariGame, area_weights, shrink
from gradus.errors import UserError


def test_a_picture_is_made_smaller_by_area_as_pillow_does_in_whole_pixels():
    picture = np.random.default_rng(0).integers(0, 256, (210, 160), np.uint8)
    whole = np.repeat(np.repeat(picture, 2, 0), 21, 1)  # 420x3360: each new pixel covers 5x40 of these
    ours = area_weights(210, 84) @ picture.astype(np.float32) @ area_weights(160, 84).T
    theirs = np.asarray(Image.fromarray(whole.astype(np.float32)).reduce((40, 5)))
    np.testing.assert_allclose(ours, theirs, atol=1e-3)
    assert shrink(picture).shape == (84, 84) and shrink(picture).dtype == np.uint8
    assert np.abs(shrink(picture) - theirs).max() <= 0.501  # rounded, not cut


def test_pong_has_6_actions_and_the_console_has_18():
    assert AtariGame("ALE/Pong-v5").action_space.n == 6
    assert AtariGame("pong", all_actions=True).action_space.n == 18  # 9 directions, with the button and without: not 16
    made = make_environments("gym:ALE/Pong-v5", 2)
    assert made.spaces.shape == (4, 84, 84) and made.spaces.dtype == "uint8" and made.spaces.actions == 6
    assert made.spaces.name == "ALE/Pong-v5" and made.reset().shape == (2, 4, 84, 84)


def test_the_newest_picture_is_the_maximum_of_the_last_two_of_four_frames():
    game, same = AtariGame("pong", no_ops=0), AtariGame("pong", no_ops=0)
    for one in (game, same):
        one.reset(seed=0)
    for action in [2] * 30:
        frames = []
        for _ in range(4):
            same.ale.act(same.actions[action])
            frames.append(same.ale.getScreenGrayscale())
        seen = game.step(action)[0]
        np.testing.assert_array_equal(seen[-1], shrink(np.maximum(frames[2], frames[3])))
    assert (frames[2] != frames[3]).any()  # else nothing was shown by it


def test_pictures_move_on_from_the_newest_to_the_oldest_place():
    game = AtariGame("breakout")
    first, _ = game.reset(seed=0)
    assert (first == first[0]).all()
    seen = [game.step(int(action))[0] for action in np.random.default_rng(0).integers(0, 4, 12)]
    for before, after in itertools.pairwise(seen):
        np.testing.assert_array_equal(before[1:], after[:-1])


def test_a_lost_life_ends_an_episode_only_where_asked_and_rewards_are_signs():
    actions = np.random.default_rng(1).integers(0, 4, 600)
    ends = {}
    for life_ends in (False, True):
        game = AtariGame("breakout", life_ends=life_ends, press_fire=True)
        game.reset(seed=0)
        ends[life_ends], lives = [], []
        for action in actions.tolist():
            _, reward, terminated, truncated, told = game.step(action)
            assert reward == np.sign(told["reward"]) and not truncated
            if terminated:
                ends[life_ends].append(told["lives"])
                game.reset()
            lives.append(told["lives"])
        assert set(lives) == {0, 1, 2, 3, 4, 5}
    assert set(ends[False]) == {0} and {0, 1, 2, 3, 4} <= set(ends[True])


def test_true_rewards_are_told_and_a_game_that_takes_too_long_is_truncated():
    game = AtariGame("qbert", max_frames=400)
    game.reset(seed=3)
    steps = [game.step(int(action)) for action in np.random.default_rng(0).integers(0, 6, 100)]
    true = [told["reward"] for *_, told in steps]
    assert max(true) > 1 and {reward for _, reward, *_ in steps} == {0.0, 1.0}
    made = make_environments("gym:ALE/Qbert-v5", options={"max_frames": 400})
    done = [made.step([int(action)]) for action in np.random.default_rng(0).integers(0, 6, 100)]
    end = next(step for step in done if step.ended[0])
    assert end.truncated[0] and not end.terminated[0] and end.lengths[0] <= 100
    assert max(step.returns[0] for step in done) >= 25  # a cube of Q*bert's is 25 points, and not 1


def test_games_come_back_to_where_they_stood():
    actions = np.random.default_rng(0).integers(0, 4, (60, 2))
    first, second = (make_environments("gym:ALE/Breakout", 2, 7, {"life_ends": True}) for _ in range(2))
    for action in actions[:40]:
        first.step(action)
    state = first.state()
    second.restore(state)
    np.testing.assert_array_equal(first.observations, second.observations)
    for action in actions[40:]:
        one, other = first.step(action), second.step(action)
        for name, value in vars(one).items():
            np.testing.assert_array_equal(value, getattr(other, name), err_msg=name)


def test_an_unknown_game_is_told_with_the_nearest_and_options_that_it_has_not():
    with pytest.raises(UserError, match="did you mean 'ALE/Pong-v5'"):
        make_environments("gym:ALE/Pung-v5")
    with pytest.raises(UserError, match="frameskip"):
        make_environments("gym:ALE/Pong-v5", options={"frameskip": 4})
