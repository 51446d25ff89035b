"""The command line: its parser, its exit codes, its start in several processes.

A user's mistake is one sentence on standard error and exit code 2, training that cannot go on is 1, a signal 128 + its number.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

from gradus import __version__
from gradus.cli import backtest, data, doctor, generate, learn, look, predict, runs, search, weights
from gradus.cli.processes import is_main, is_one_of_several, lost_another
from gradus.errors import UserError, did_you_mean
from gradus.files import unread
from gradus.stopping import on_signals, stop_now

Handler = Callable[[argparse.Namespace], None]
AddCommand = Callable[[str, str, Handler], argparse.ArgumentParser]  # name, what it is for, what it does


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} (see {self.prog} --help)")


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands; `handler` of what it parses does what was asked for."""
    return _build()[0]


def _build() -> tuple[argparse.ArgumentParser, Mapping[str, argparse.ArgumentParser]]:
    parser = _Parser(prog="gradus", description="Deep learning from principle to practice.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"gradus {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)

    def command(name: str, about: str, handler: Handler) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=about, description=about, allow_abbrev=False)
        made.set_defaults(handler=handler)
        return made

    for module in (runs, predict, data, search, backtest, learn, look, doctor, weights, generate):
        module.add_commands(command)
    return parser, commands.choices


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs a command line and exits."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    asked: list[int] = []

    def stop(number: int) -> None:
        asked.append(number)
        stop_now(number)

    try:
        with on_signals(stop):
            parsed = parse(given)
            if _is_to_be_launched(parsed):
                from gradus.launch import launch

                sys.exit(launch(given, *_processes(parsed)))
            parsed.handler(parsed)
            sys.stdout.flush()
    except KeyboardInterrupt as interrupted:
        text = str(interrupted) or "stopped"
        _fail(text if is_main() else "", 128 + getattr(interrupted, "signal_number", 2))
    except Exception as error:
        if asked:  # what a library made of the interruption: an import that is cut off ends as an ImportError
            _fail("stopped" if is_main() else "", 128 + asked[0])
        if isinstance(error, UserError):
            _fail("" if getattr(error, "told_by_main", False) else str(error), 2)
        if isinstance(error, BrokenPipeError):  # the reader of our output has gone: nothing to say
            unread(sys.stdout)
            sys.exit(0)
        if type(error).__name__ == "TrainingStopped":  # told without importing the trainer
            _fail(str(error), 1)
        if isinstance(error, RuntimeError) and is_one_of_several() and lost_another(error):
            quiet = not is_main() or "GRADUS_LAUNCHED" in os.environ  # our launcher tells it in its own words
            _fail("" if quiet else "another process of this training is gone, so this one cannot go on", 75)
        raise
    sys.exit(0)


def _fail(message: str, code: int) -> NoReturn:
    """Ends with a message; without one where another process tells it."""
    for stream, text in ((sys.stdout, ""), (sys.stderr, f"gradus: {message}\n" if message else "")):
        try:
            stream.write(text)
            stream.flush()
        except OSError:  # a terminal that was closed: nobody to tell
            unread(stream)
    if is_one_of_several():
        os._exit(code)  # the threads that exchange gradients may wait for processes that are gone
    sys.exit(code)


def _processes(arguments: argparse.Namespace) -> tuple[int, int]:
    from gradus.launch import check_processes

    return check_processes(getattr(arguments, "nproc", None), getattr(arguments, "max_restarts", None))


def _is_to_be_launched(arguments: argparse.Namespace) -> bool:
    """Whether this command is to run in several processes, and is not one of them yet."""
    several = _processes(arguments)[0] > 1
    if several and is_one_of_several() and "GRADUS_LAUNCHED" not in os.environ:
        raise UserError("--nproc: torchrun has started several processes already; leave --nproc out")
    return several and not is_one_of_several()


def parse(arguments: list[str]) -> argparse.Namespace:
    """What a command line asks for. Raises `UserError` where it cannot be understood."""
    parser, commands = _build()
    if not arguments:
        parser.print_help()
        sys.exit(0)
    first = arguments[0]
    if not first.startswith("-") and first not in commands:
        raise UserError(
            f"unknown command '{first}'{did_you_mean(first, commands) or '; known: ' + ', '.join(commands)}"
        )
    parsed, unknown = parser.parse_known_args(arguments)
    if unknown:
        flags = [flag for one in commands.values() for flag in one._option_string_actions]
        elsewhere = unknown[0].partition("=")[0] in flags
        hint = f"; gradus {parsed.command} --help lists its own" if elsewhere else did_you_mean(unknown[0], flags)
        raise UserError(f"{parsed.command}: unknown argument '{unknown[0]}'{hint}")
    if parsed.command is None:
        raise UserError(f"expected a command: {', '.join(commands)}")
    return parsed
