"""The command `generate`: what a generative model makes, by the task of the run."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from gradus.errors import UserError

if TYPE_CHECKING:
    from gradus.recipes.run import Run

FLAGS = ("prompt", "length", "temperature", "top-k", "top-p", "count")


def add_commands(command: Callable[[str, str], argparse.ArgumentParser]) -> None:
    parser = command("generate", "Have a run's model make something new: a language model writes on from a prompt.")
    parser.add_argument("run", metavar="RUN")
    parser.add_argument(
        "--prompt", metavar="TEXT", help="what it goes on from; without it a document, or a line, begins"
    )
    parser.add_argument("--length", metavar="N", default="400", help="tokens at most (400)")
    parser.add_argument("--temperature", metavar="T", default="1", help="0: the most probable token, 1: as learnt (1)")
    parser.add_argument("--top-k", metavar="K", default="0", help="only the K most probable tokens; 0: all (0)")
    parser.add_argument(
        "--top-p", metavar="P", default="1", help="only the most probable tokens that hold this share (1)"
    )
    parser.add_argument("--seed", metavar="S", default="0", help="the same seed, the same texts (0)")
    parser.add_argument("--count", metavar="N", default="1", help="how many (1)")
    parser.add_argument("--json", action="store_true", help="one JSON object a text")


def generate(arguments: argparse.Namespace) -> None:
    from gradus.recipes.run import load_run

    run = load_run(arguments.run)
    if run.task.name not in GENERATORS:
        known = " and ".join(GENERATORS)
        raise UserError(
            f"{arguments.run}: this run's task is {run.task.name}, which makes nothing new; runs of {known} do"
        )
    GENERATORS[run.task.name](run, arguments)


def _write_texts(run: Run, arguments: argparse.Namespace) -> None:
    """To the terminal as it is written; the prompt stands first."""
    from gradus.recipes.generating import Sampling, write_on

    sampling = Sampling(
        temperature=_number(arguments.temperature, "--temperature"),
        top_k=_whole(arguments.top_k, "--top-k"),
        top_p=_number(arguments.top_p, "--top-p"),
        seed=_whole(arguments.seed, "--seed"),
    )
    length, count = _whole(arguments.length, "--length"), _whole(arguments.count, "--count")
    if count < 1:
        raise UserError(f"--count: expected 1 or more, received {count}")
    for number in range(count):
        pieces = (piece for piece, _ in write_on(run, arguments.prompt, length, sampling, number))
        if arguments.json:
            record = {"number": number, "prompt": arguments.prompt or "", "text": "".join(pieces)}
            print(json.dumps(record, ensure_ascii=False), flush=True)
            continue
        first = next(pieces, "")  # what is wrong is told before anything is printed
        head = "" if count == 1 or run.task.documents else f"--- {number + 1} ---\n"  # type: ignore[attr-defined]
        sys.stdout.write(f"{head}{arguments.prompt or ''}{first}")
        for piece in pieces:
            sys.stdout.write(piece)
            sys.stdout.flush()
        sys.stdout.write("\n")


def _number(text: str, flag: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UserError(f"{flag}: expected a number, received '{text}'") from None


def _whole(text: str, flag: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise UserError(f"{flag}: expected a whole number, received '{text}'") from None


GENERATORS: dict[str, Callable[[Run, argparse.Namespace], None]] = {"language-modeling": _write_texts}
COMMANDS = {"generate": generate}
