"""The part of the command `eval` for runs that act: episodes are played in place of rows being read."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from gradus.cli.flags import whole_number
from gradus.cli.output import print_table
from gradus.errors import UserError

if TYPE_CHECKING:
    from gradus.recipes.run import Run

FLAGS = ("episodes", "seed", "video")


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--episodes", metavar="N", help="of a run that acts: how many to play (100)")
    parser.add_argument("--seed", metavar="S", help="of these episodes; those of the run's own test else")

    parser.add_argument("--video", metavar="FILE", help="film the first of them: a .gif, or a .mp4")


def plays(run: Any, arguments: argparse.Namespace) -> TypeGuard[Run]:
    """Whether this run acts. Raises `UserError` where flags were given that mean nothing to it."""
    acts = getattr(getattr(run, "task", None), "name", "") == "control"
    for flag in FLAGS:
        if not acts and getattr(arguments, flag) is not None:
            raise UserError(f"--{flag}: is for runs that act in an environment; this one is measured on --split rows")
    if acts and arguments.set:
        raise UserError("--set: a run that acts has no settings that could be changed afterwards")
    return acts


def play(run: Run, arguments: argparse.Namespace) -> None:
    """Plays episodes with the best weights and tells what came of them."""
    from gradus.look.film import check_film

    episodes = None if arguments.episodes is None else whole_number(arguments.episodes, "--episodes")
    seed = None if arguments.seed is None else whole_number(arguments.seed, "--seed")
    if arguments.video is not None:
        check_film(Path(arguments.video))  # before anything long begins
    found = run.play(episodes, seed=seed)
    if arguments.json:
        _film(run, arguments.video, seed)
        print(json.dumps({"run": arguments.run, "episodes": len(found.returns), **found.metrics}))
        return
    print(f"{len(found.returns)} episodes, the best action always taken, best weights")
    spread = found.metrics.get("return_deviation", 0.0)
    rows = [
        [
            "return",
            f"{found.metrics['return']:.5g} ± {spread:.3g} (least {found.returns.min():g}, most {found.returns.max():g})",
        ],
        ["length", f"{found.metrics['length']:.5g} steps"],
    ]
    if "expected_return" in found.metrics:
        rows.append(
            ["expected return", f"{found.metrics['expected_return']:.6g}, computed from the chances of the environment"]
        )
    print_table(rows)
    told = _film(run, arguments.video, seed)
    if told:
        print(told)


def _film(run: Run, path: str | None, seed: int | None) -> str:
    """Films the first episode where a file is named; what is in it, in words."""
    if path is None:
        return ""
    from gradus.recipes.filming import film_run

    film = film_run(run, path, seed=seed)
    what = "the first episode" if film.ended else f"the first {film.seconds:.3g} s of the first episode"
    return f"{path}: {what}, {film.frames} frames, return {film.earned:g}"
