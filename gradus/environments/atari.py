"""Atari 2600 games as the papers on DQN prepare them (Mnih 2013, 2015; Machado 2018), by the Arcade Learning Environment.

    screen 210x160 -> grey -> maximum of the last two frames -> 84x84 by area -> the last four, newest last: uint8 (4, 84, 84)

An action is held for `frame_skip` frames and their rewards are added up; of these frames only the last two are looked at, the
larger value of each pixel, since the console draws some sprites in every second frame only.

Choices. Grey is taken before the maximum, as Dopamine and ALE's own vector environment do (Mnih 2015 takes the maximum of the
colours first; they differ where two colours meet). A picture is made smaller by area: each new pixel is the mean of what it
covers, fractions of pixels included, which is OpenCV's INTER_AREA. Actions are the game's own (6 in Pong) unless `all_actions`
asks for all 18 of the console. Sticky actions (Machado 2018) are off, as in the papers on DQN.

ale-py is GPL-2.0 and brings the games with it: it is installed by `gradus[atari]` alone.
"""

from __future__ import annotations

import base64
import json
from collections import deque
from functools import cache
from typing import Any

import numpy as np

from gradus.errors import UserError, unknown_name

try:
    import ale_py
    import gymnasium
    from ale_py import roms
except ImportError:
    raise UserError("Atari games need a package that is not installed: pip install 'gradus[atari]'") from None

SIDE = 84  # of what the network sees, in pixels
FRAMES_A_SECOND = 60
PREFIX = "ALE/"


class AtariGame(gymnasium.Env):
    """A game by its name in gymnasium ("ALE/Pong-v5") or in ALE ("pong").

    frame_skip:    frames that an action is held for
    stack:         pictures that are seen together; at the begin of an episode the first one stands in for those before
    clip_rewards:  only the sign of a reward is given; the reward itself is `info["reward"]`
    no_ops:        up to so many frames (at least 1) without an action begin a game, drawn anew each time; 0: none
    life_ends:     a lost life ends the episode (as terminated); the next one goes on with the game until that is over
    press_fire:    games that wait for it are begun by pressing fire
    sticky:        probability that the console repeats the action before (0.25 in Machado 2018)
    all_actions:   all 18 actions of the console, not only those that the game knows
    max_frames:    a game is cut off (truncated) after so many frames; half an hour is usual

    Raises `UserError` for a game that ALE does not bring.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": FRAMES_A_SECOND // 4}  # noqa: RUF012 - as gymnasium has it

    def __init__(
        self,
        game: str,
        *,
        frame_skip: int = 4,
        stack: int = 4,
        clip_rewards: bool = True,
        no_ops: int = 30,
        life_ends: bool = False,
        press_fire: bool = True,
        sticky: float = 0.0,
        all_actions: bool = False,
        max_frames: int = 30 * 60 * FRAMES_A_SECOND,
        render_mode: str | None = None,
    ) -> None:
        if frame_skip < 1 or stack < 1:
            raise UserError(f"frame_skip and stack: expected 1 or more, received {frame_skip} and {stack}")
        self.game, self.render_mode = rom_of(game), render_mode
        self.frame_skip, self.stack, self.clip_rewards = frame_skip, stack, clip_rewards
        self.no_ops, self.life_ends, self.max_frames = no_ops, life_ends, max_frames
        ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)  # of all of them; before the first, which greets
        self.ale = ale_py.ALEInterface()
        self.ale.setFloat("repeat_action_probability", sticky)
        self.sticky = sticky
        self._load(0)
        self.actions = self.ale.getLegalActionSet() if all_actions else self.ale.getMinimalActionSet()
        known = self.ale.getMinimalActionSet()
        self.fires = press_fire and ale_py.Action.FIRE in known
        self.action_space = gymnasium.spaces.Discrete(len(self.actions))
        self.observation_space = gymnasium.spaces.Box(0, 255, (stack, SIDE, SIDE), np.uint8)
        self.stacked = stack if stack > 1 else 0
        self.pictures: deque[np.ndarray] = deque(maxlen=stack)
        self.lives, self.over = 0, True
        self.spec = gymnasium.envs.registration.EnvSpec(f"{PREFIX}{title_of(self.game)}-v5")

    def _load(self, seed: int) -> None:
        self.ale.setInt("random_seed", seed)
        self.ale.loadROM(str(roms.get_rom_path(self.game)))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        if self.over or not self.life_ends:
            if seed is not None and self.sticky:  # the console's only chance, and it is seeded when a game is loaded
                self._load(int(self.np_random.integers(2**31)))
            self.ale.reset_game()
            self.over = False
            for _ in range(int(self.np_random.integers(1, self.no_ops + 1)) if self.no_ops else 0):
                self.ale.act(ale_py.Action.NOOP)
        if self.fires:
            self.ale.act(ale_py.Action.FIRE)
        if self.ale.game_over():  # few games end within so short a time
            self.ale.reset_game()
        self.lives = self.ale.lives()
        picture = shrink(self.ale.getScreenGrayscale())
        self.pictures.extend([picture] * self.stack)
        return np.stack(self.pictures), {"lives": self.lives}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        reward = 0.0
        screens: deque[np.ndarray] = deque(maxlen=2)
        held = self.actions[action]
        for number in range(self.frame_skip):
            reward += self.ale.act(held)
            self.over = self.ale.game_over(with_truncation=False)
            if self.over or number >= self.frame_skip - 2:
                screens.append(self.ale.getScreenGrayscale())
            if self.over:
                break
        self.pictures.append(shrink(np.maximum(screens[0], screens[-1])))
        lost = self.ale.lives() < self.lives
        self.lives = self.ale.lives()
        cut = not self.over and self.ale.getEpisodeFrameNumber() >= self.max_frames
        terminated = self.over or (self.life_ends and lost)
        self.over = self.over or cut
        given = float(np.sign(reward)) if self.clip_rewards else reward
        return np.stack(self.pictures), given, terminated, cut, {"reward": reward, "lives": self.lives}

    def render(self) -> np.ndarray:
        """(210, 160, 3) uint8: the screen in colour."""
        return self.ale.getScreenRGB()

    def saved_state(self) -> bytes:
        """All that going on needs, as JSON."""
        state = {
            "console": base64.b64encode(self.ale.cloneSystemState().serialize()).decode(),
            "pictures": base64.b64encode(np.stack(self.pictures).tobytes()).decode(),
            "lives": self.lives,
            "over": self.over,
            "random": self.np_random.bit_generator.state,
        }
        return json.dumps(state).encode()

    def restore_state(self, saved: bytes) -> np.ndarray:
        """Puts back what `saved_state` gave, from where the game goes on to the same screens; the observation there."""
        state = json.loads(saved)
        self.ale.restoreSystemState(ale_py.ALEState(base64.b64decode(state["console"])))
        pictures = np.frombuffer(base64.b64decode(state["pictures"]), np.uint8).reshape(self.stack, SIDE, SIDE)
        self.pictures.extend(pictures.copy())
        self.lives, self.over = state["lives"], state["over"]
        self.np_random.bit_generator.state = state["random"]
        return np.stack(self.pictures)


def rom_of(game: str) -> str:
    """ALE's name of a game: "ALE/SpaceInvaders-v5", "SpaceInvaders" and "space_invaders" are one."""
    plain = game.removeprefix(PREFIX).partition("-")[0]
    wanted = plain.replace("_", "").lower()
    for name in roms.get_all_rom_ids():
        if name.replace("_", "") == wanted:
            return name
    raise unknown_name("game", f"{PREFIX}{plain}", [f"{PREFIX}{title_of(name)}-v5" for name in roms.get_all_rom_ids()])


def title_of(rom: str) -> str:
    """The name in gymnasium of a game of ALE: SpaceInvaders of space_invaders."""
    return rom.title().replace("_", "")


@cache
def area_weights(size: int, side: int) -> np.ndarray:
    """(side, size) float32: which share of each of `side` new pixels every old one covers. Rows add up to 1."""
    edges = np.arange(side + 1) * (size / side)
    pixels = np.arange(size)
    covered = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return (covered.clip(min=0) * (side / size)).astype(np.float32)


def shrink(picture: np.ndarray, side: int = SIDE) -> np.ndarray:
    """A grey picture uint8 (H, W) -> uint8 (side, side), each pixel the mean of the area that it covers, rounded."""
    height, width = picture.shape
    means = area_weights(height, side) @ picture.astype(np.float32) @ area_weights(width, side).T
    return (means + 0.5).astype(np.uint8)
