"""Filming a run that acts: the first of the episodes by which it is measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gradus.environments import Environments
from gradus.errors import UserError
from gradus.look.film import check_film, write_film
from gradus.look.worlds import DRAWN, writing
from gradus.recipes.playing import control_task
from gradus.train.experience import TESTING
from gradus.train.randomness import EPISODES, derive

if TYPE_CHECKING:
    from gradus.recipes.run import Run

SECONDS = 20.0  # that a film lasts at most
TEXT_RATE = 4  # steps a second of worlds that are written as text
USUAL_RATE = 30.0  # of a world that names none
LARGEST = 320  # pixels of a film's longer side; what is larger is made smaller by a whole factor
SMALLEST = 300  # what is smaller is made larger by a whole factor, as long as it stays below


@dataclass(frozen=True)
class Filmed:
    """frames: pictures in the film; seconds: its length; ended: whether the episode ended in it; earned: its rewards so far."""

    frames: int
    seconds: float
    ended: bool
    earned: float


def film_run(run: Run, path: str | Path, *, seed: int | None = None, seconds: float = SECONDS) -> Filmed:
    """Plays the first of the episodes that `play_run` plays for this seed and writes it as a film, cut after `seconds`.

    Worlds that are known are drawn by us (`look/worlds.py`), others by themselves; those that can only be written, as text.
    Raises `UserError` for a run that does not act, a name without a format, a world that shows nothing.
    """
    path, task = Path(path), control_task(run)
    check_film(path)
    policy = task.policy(run.model)
    chosen = derive(run.recipe.train.seed, EPISODES, TESTING) if seed is None else seed
    name = task.spaces.name.partition("-v")[0]
    worlds, picture, rate = _begun(task, chosen, name)
    try:
        frames, ended, earned = [picture(worlds.observations[0])], False, 0.0
        while not ended and len(frames) < seconds * rate:
            step = worlds.step(policy(worlds.observations))
            ended, earned = bool(step.ended[0]), float(step.returns[0])
            if not ended or name in DRAWN:  # the others show the next episode by now
                frames.append(picture(step.reached[0]))
    finally:
        worlds.close()
    write_film(path, _of_one_size(frames), rate)
    return Filmed(len(frames), len(frames) / rate, ended, earned)


def _begun(task: Any, seed: int, name: str) -> tuple[Environments, Callable[[np.ndarray], np.ndarray], float]:
    """One environment at the begin of an episode, what makes a picture of it (and of its observation), and its steps a second."""
    if name in DRAWN:
        worlds = task.environments(1, seed, judged=True)
        return worlds, DRAWN[name], _rate(worlds)
    missing = ""
    for mode in ("rgb_array", "ansi"):
        try:
            worlds = task.environments(1, seed, judged=True, render_mode=mode)
            show = worlds.each[0].render
            first = show()
        except Exception as error:  # packages that draw are missing in as many ways as there are worlds
            missing = missing or str(error)
            continue
        if mode == "ansi" and isinstance(first, str):
            return worlds, partial(_written, show), TEXT_RATE
        if isinstance(first, np.ndarray) and first.ndim == 3:
            return worlds, partial(_shown, show), _rate(worlds)
    raise UserError(f"{task.spaces.name}: this world shows no pictures ({missing or 'it has no render mode for them'})")


def _written(show: Callable[[], str], observation: np.ndarray) -> np.ndarray:
    return writing(show())


def _shown(show: Callable[[], np.ndarray], observation: np.ndarray) -> np.ndarray:
    return np.asarray(show(), np.uint8)


def _rate(worlds: Environments) -> float:
    return float(getattr(worlds.each[0], "metadata", {}).get("render_fps") or USUAL_RATE)


def _of_one_size(frames: list[np.ndarray]) -> list[np.ndarray]:
    """All as large as the largest, on a ground of each one's last pixel; neither tiny nor huge."""
    height, width = max(frame.shape[0] for frame in frames), max(frame.shape[1] for frame in frames)
    longer = max(height, width)
    every, times = -(-longer // LARGEST) if longer > 2 * LARGEST else 1, max(1, SMALLEST // longer)
    made = []
    for frame in frames:
        whole = np.empty((height, width, 3), np.uint8)
        whole[:] = frame[-1, -1]
        whole[: frame.shape[0], : frame.shape[1]] = frame
        made.append(whole[::every, ::every].repeat(times, axis=0).repeat(times, axis=1))
    return made
