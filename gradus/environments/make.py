"""From the name of an environment to as many of them as wanted.

gym:CartPole-v1   gymnasium's CartPole-v1
grid:cliff        a grid world of ours (`grids.py`), or of a text file: grid:MAP.txt
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from gradus.environments.grids import known_grid
from gradus.environments.tables import DecisionProcess, TableEnvironment, process_of_gymnasium, spaces_of_process
from gradus.environments.vector import Environment, Environments, Spaces
from gradus.errors import UserError, unknown_name

SCHEMES = ("gym", "grid")  # what stands in front of the colon
ATARI = "ALE/"  # what stands in front of the names of its games
USUAL_LIMIT = 1000  # steps of an episode in a world that has no limit of its own: an agent may go in circles for ever


def is_environment(source: str) -> bool:
    """Whether the name of a source is that of an environment."""
    return source.partition(":")[0] in SCHEMES and ":" in source


def make_environments(
    source: str,
    count: int = 1,
    seed: int = 0,
    options: dict[str, Any] | None = None,
    wrap: Callable[[Environment], Environment] | None = None,
) -> Environments:
    """`count` environments stepped together.

    source:  gym:NAME (without its version NAME is the newest one), grid:NAME or grid:FILE
    seed:    each environment and episode has a seed of its own, derived from it
    options: of the environment itself, as gymnasium.make takes them: max_episode_steps=500, render_mode="rgb_array", ...; of a
             grid world max_episode_steps and `GridOptions`. Where neither they nor the world limit an episode, `USUAL_LIMIT` does
    wrap:    called with each environment; what it gives takes its place (gymnasium's wrappers are such functions)

    Raises `UserError` for unknown names and options, packages that are missing, and spaces that nothing here can learn in.
    """
    if count < 1:
        raise UserError(f"{source}: {count} environments; at least 1 is needed")
    scheme, name = _parts(source)
    if scheme == "grid":
        given = dict(options or {})
        limited, mode = "max_episode_steps" not in given, given.pop("render_mode", "ansi")
        if mode != "ansi":
            raise UserError(f"{source}: this world is drawn as text: render_mode='ansi', received {mode!r}")
        max_steps = given.pop("max_episode_steps", USUAL_LIMIT)
        if not isinstance(max_steps, int) or max_steps < 1:
            raise UserError(f"{source}: max_episode_steps: expected a whole number above 0, received {max_steps!r}")
        process = known_grid(name, **given)
        grids = [partial(TableEnvironment, process, max_steps)] * count
        makers: list[Callable[[], Environment]] = [
            grid if wrap is None else partial(_wrapped, grid, wrap) for grid in grids
        ]
        return Environments(makers, replace(spaces_of_process(process, source, max_steps), limited=limited), seed)
    given = dict(options or {})
    first = _make_gymnasium(name, given, wrap)
    limited = not first.spec.max_episode_steps and not name.startswith(ATARI)  # these games end by themselves
    if limited:
        first.close()
        given["max_episode_steps"] = USUAL_LIMIT
        first = _make_gymnasium(name, given, wrap)
    makers = [lambda: first, *[partial(_make_gymnasium, name, given, wrap)] * (count - 1)]
    return Environments(makers, replace(spaces_of(first), limited=limited), seed)


def decision_process(source: str, options: dict[str, Any] | None = None) -> DecisionProcess:
    """The table of an environment whose chances are known: a grid world, or one of gymnasium's toy texts.

    Raises `UserError` for environments that do not tell their chances.
    """
    scheme, name = _parts(source)
    given = {key: value for key, value in (options or {}).items() if key not in ("max_episode_steps", "render_mode")}
    if scheme == "grid":
        return known_grid(name, **given)
    return process_of_gymnasium(_make_gymnasium(name, given, None))


def _parts(source: str) -> tuple[str, str]:
    if not is_environment(source):
        raise UserError(f"'{source}' is no environment; write gym:NAME, as in gym:CartPole-v1, or grid:NAME")
    scheme, _, name = source.partition(":")
    return scheme, name


def _wrapped(make: Callable[[], Environment], wrap: Callable[[Environment], Environment]) -> Environment:
    return wrap(make())


def gymnasium_package() -> Any:
    """The package gymnasium; `UserError` where it is not installed."""
    try:
        import gymnasium
    except ImportError:
        raise UserError("environments need a package that is not installed: pip install 'gradus[rl]'") from None
    return gymnasium


def _make_gymnasium(name: str, options: dict[str, Any], wrap: Callable[[Any], Any] | None) -> Any:
    gymnasium = gymnasium_package()
    if name.startswith(ATARI):
        made = _make_atari(name, options)
        return made if wrap is None else wrap(made)
    # gymnasium warns of its own naming habits on standard error; what matters is said by `UserError`
    level = gymnasium.logger.min_level
    gymnasium.logger.min_level = logging.ERROR
    try:
        made = gymnasium.make(name, disable_env_checker=True, **options)
    except (gymnasium.error.UnregisteredEnv, gymnasium.error.DeprecatedEnv):
        raise unknown_name("environment", name, sorted(gymnasium.registry)) from None
    except gymnasium.error.DependencyNotInstalled as error:
        raise UserError(f"gym:{name}: {error}") from None
    except (TypeError, KeyError) as error:
        told = ", ".join(f"{key}={value!r}" for key, value in options.items())
        why = str(error).partition(" was raised")[0]
        raise UserError(f"gym:{name}: these options cannot be used ({told}): {why}") from None
    finally:
        gymnasium.logger.min_level = level
    return _with_shares(made if wrap is None else wrap(made))


def _with_shares(environment: Any) -> Any:
    """An environment whose actions are numbers takes them from -1 to 1, and what lies outside as the end that it is nearer to."""
    gymnasium = gymnasium_package()
    space = environment.action_space
    if not isinstance(space, gymnasium.spaces.Box):
        return environment
    low, high = space.low.astype(float), space.high.astype(float)
    with np.errstate(over="ignore"):
        bounded = np.isfinite(high.astype(space.dtype) - low.astype(space.dtype)).all()
    if len(space.shape) != 1 or not bounded or not np.issubdtype(space.dtype, np.floating):
        raise UserError(
            f"gym:{environment.spec.id}: its actions are {space}; only a row of numbers between bounds can be learnt here"
        )

    def of_shares(shares: Any) -> Any:
        middle = low + (np.clip(np.asarray(shares, float), -1, 1) + 1) / 2 * (high - low)
        return np.clip(middle.astype(space.dtype), space.low, space.high)  # rounding may lead beyond an end

    return gymnasium.wrappers.TransformAction(environment, of_shares, gymnasium.spaces.Box(-1.0, 1.0, space.shape))


def _make_atari(name: str, options: dict[str, Any]) -> Any:
    """A game as the papers on DQN see it, not as gymnasium gives it."""
    try:
        from gradus.environments.atari import AtariGame

        return AtariGame(name, **options)
    except UserError as error:
        raise UserError(f"gym:{name}: {error}") from None
    except TypeError as error:
        told = ", ".join(f"{key}={value!r}" for key, value in options.items())
        raise UserError(f"gym:{name}: these options cannot be used ({told}): {error}") from None


def spaces_of(environment: Any) -> Spaces:
    """The plain facts of a gymnasium environment (wrapped or not)."""
    gymnasium = gymnasium_package()
    spec, observation, action = environment.spec, environment.observation_space, environment.action_space
    name = spec.id
    numbered = isinstance(action, gymnasium.spaces.Discrete) and action.start == 0
    if not numbered and not (isinstance(action, gymnasium.spaces.Box) and len(action.shape) == 1):
        raise UserError(
            f"gym:{name}: its actions are {action}; only numbered ones, or a row of numbers, can be learnt here"
        )
    discrete = isinstance(observation, gymnasium.spaces.Discrete) and observation.start == 0
    if not discrete and not isinstance(observation, gymnasium.spaces.Box):
        raise UserError(f"gym:{name}: its observations are {observation}; only arrays and numbered states can be read")
    return Spaces(
        name=name,
        shape=tuple(observation.shape),
        dtype=np.dtype(observation.dtype).name,
        states=int(observation.n) if discrete else 0,
        actions=int(action.n) if numbered else 0,
        numbers=0 if numbered else action.shape[0],
        stacked=getattr(environment, "stacked", 0),
        max_steps=spec.max_episode_steps or 0,
        repeatable=not spec.nondeterministic,
    )
