"""The commands `generate`, what a generative model makes, by the task of the run, and `score`, how good its pictures are."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gradus.cli.flags import real_number, whole_number
from gradus.cli.output import say
from gradus.errors import UserError

if TYPE_CHECKING:
    from gradus.cli.command_line import AddCommand
    from gradus.recipes.run import Run

TEXT_FLAGS = ("prompt", "length", "temperature", "top_k", "top_p")  # for runs that write
PICTURE_FLAGS = ("label", "out", "set")  # for runs that make pictures


def add_commands(command: AddCommand) -> None:
    parser = command(
        "generate", "Have a run's model make something new: texts from a prompt, or pictures.", run_generate
    )
    parser.add_argument("run", metavar="RUN")
    parser.add_argument(
        "--prompt", metavar="TEXT", help="what it goes on from; without it a document, or a line, begins"
    )
    parser.add_argument("--length", metavar="N", help="tokens at most (400)")
    parser.add_argument("--temperature", metavar="T", help="0: the most probable token, 1: as learnt (1)")
    parser.add_argument("--top-k", metavar="K", help="only the K most probable tokens; 0: all (0)")
    parser.add_argument("--top-p", metavar="P", help="only the most probable tokens that hold this share (1)")
    parser.add_argument("--seed", metavar="S", default="0", help="the same seed makes the same (0)")
    parser.add_argument("--count", metavar="N", help="how many (texts: 1, pictures: 64)")
    parser.add_argument("--json", action="store_true", help="one JSON object a text, or a picture")
    parser.add_argument("--label", metavar="CLASS", help="pictures of this class, of a network that is told classes")
    parser.add_argument("--out", metavar="FOLDER", help="where pictures go (RUN/generated)")
    parser.add_argument(
        "--set", metavar="name=value", action="append", help="a setting of the sampling, such as steps=20"
    )
    score = command(
        "score",
        "How good the pictures are that a run makes, by a classifier's eyes: each number is explained.",
        run_score,
    )
    score.add_argument("run", metavar="RUN")
    score.add_argument("--judge", metavar="RUN", help="a classifier of such pictures; without it one is trained")
    score.add_argument("--count", metavar="N", help="pictures that are made (2000, or as many as were held out)")
    score.add_argument("--seed", metavar="S", default="0", help="the same seed makes the same pictures (0)")
    score.add_argument("--out", metavar="FOLDER", help="where page and pictures go (RUN/score)")
    score.add_argument(
        "--set", metavar="name=value", action="append", help="a setting of the sampling, such as steps=20"
    )
    score.add_argument("--json", action="store_true", help="one JSON object")


def run_generate(arguments: argparse.Namespace) -> None:
    from gradus.recipes.run import load_run

    run = load_run(arguments.run)
    if run.task.name not in GENERATORS:
        known = " and ".join(GENERATORS)
        raise UserError(
            f"{arguments.run}: this run's task is {run.task.name}, which makes nothing new; runs of {known} do"
        )
    make, flags = GENERATORS[run.task.name]
    for flag in {*TEXT_FLAGS, *PICTURE_FLAGS} - {*flags}:
        if getattr(arguments, flag) is not None:
            raise UserError(f"--{flag.replace('_', '-')}: means nothing to a run of {run.task.name}; leave it out")
    make(run, arguments)


def _write_pictures(run: Run, arguments: argparse.Namespace) -> None:
    """Each as a PNG file, and all of them on one sheet."""
    from gradus.recipes.picturing import check_folder, labels_asked, make_pictures, write_pictures

    count, seed = whole_number(arguments.count or "64", "--count"), whole_number(arguments.seed, "--seed")
    sampling = _settings(arguments.set)
    folder = Path(arguments.out) if arguments.out else run.path / "generated"
    check_folder(folder)  # before anything long begins
    made = make_pictures(run, count, seed=seed, label=arguments.label, sampling=sampling, tell=_tell(count))
    labels = labels_asked(run.task, count, arguments.label)  # type: ignore[arg-type]
    made_by = {"run": str(run.path), "seed": seed, "label": arguments.label, "sampling": sampling}
    paths = write_pictures(folder, made, labels, made_by)
    if not arguments.json:
        print(f"{count} picture{'s' if count > 1 else ''}: {folder / 'all.png'}, and each in {folder}")
        return
    for number, (path, label) in enumerate(zip(paths, labels, strict=True)):
        print(json.dumps({"number": number, "label": label, "path": str(path)}, ensure_ascii=False))


def _settings(assignments: list[str] | None) -> dict[str, str]:
    """What `--set name=value` was given."""
    found = {}
    for assignment in assignments or ():
        name, equals, value = assignment.partition("=")
        if not equals or not name.strip():
            raise UserError(f"--set {assignment}: expected name=value, for example steps=20")
        found[name.strip()] = value.strip()
    return found


def _tell(count: int) -> Callable[[int], None]:
    """How many pictures are made, on a terminal, where it takes several batches."""

    def tell(made: int) -> None:
        if sys.stderr.isatty() and count > made:
            print(f"\r{made} of {count} pictures", end="\r", file=sys.stderr, flush=True)

    return tell


def run_score(arguments: argparse.Namespace) -> None:
    from gradus.recipes.run import load_run
    from gradus.recipes.scoring import score_run

    run = load_run(arguments.run)
    count = None if arguments.count is None else whole_number(arguments.count, "--count")
    scored = score_run(
        run,
        judge=None if arguments.judge is None else load_run(arguments.judge),
        count=count,
        seed=whole_number(arguments.seed, "--seed"),
        sampling=_settings(arguments.set),
        tell=_tell(count or 2000),
        say=(lambda line: None) if arguments.json else say,
    )
    paths = scored.to_sight().write(Path(arguments.out) if arguments.out else run.path / "score")
    if arguments.json:
        print(json.dumps({**scored.to_json(), "page": str(paths[0])}, ensure_ascii=False))
        return
    for line in scored.lines():
        print(line)
    print(f"page: {paths[0]}")


def _write_texts(run: Run, arguments: argparse.Namespace) -> None:
    """To the terminal as it is written; the prompt stands first."""
    from gradus.recipes.generating import Sampling, write_on

    sampling = Sampling(
        temperature=real_number(arguments.temperature or "1", "--temperature"),
        top_k=whole_number(arguments.top_k or "0", "--top-k"),
        top_p=real_number(arguments.top_p or "1", "--top-p"),
        seed=whole_number(arguments.seed, "--seed"),
    )
    length, count = whole_number(arguments.length or "400", "--length"), whole_number(arguments.count or "1", "--count")
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


Generator = Callable[["Run", argparse.Namespace], None]
GENERATORS: dict[str, tuple[Generator, tuple[str, ...]]] = {  # task -> what makes, and the flags that it knows
    "language-modeling": (_write_texts, TEXT_FLAGS),
    "picture-generation": (_write_pictures, PICTURE_FLAGS),
}
