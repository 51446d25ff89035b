"""The commands for reading and trying: lesson, catalogue, check."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from gradus.cli.flags import whole_number
from gradus.cli.output import print_table, say
from gradus.errors import UserError

if TYPE_CHECKING:
    from torch import nn

    from gradus.cli.command_line import AddCommand
    from gradus.look.gradient_check import GradientReport


def add_commands(command: AddCommand) -> None:
    """Adds the commands to the parser of the command line."""
    lesson = command("lesson", "One idea, shown with numbers and a picture: runs it and writes a page.", run_lessons)
    lesson.add_argument("names", metavar="NAME", nargs="*", help="which; `all` for all of them")
    lesson.add_argument("--list", action="store_true", help="name them all")
    lesson.add_argument("--out", metavar="DIR", default="lessons", help="where the pages go (default lessons)")
    catalogue = command(
        "catalogue", "All primitives with formula, plot, derivative, range and source, as one page.", run_catalogue
    )
    catalogue.add_argument("--out", metavar="DIR", default="lessons", help="where the page goes (default lessons)")

    check = command("check", "Compare a network's gradients with differences, layer by layer, in float64.", run_check)
    check.add_argument("name", metavar="MODEL", nargs="?", help="a network's name (`gradus list models`)")
    check.add_argument("--file", metavar="FILE.py:CLASS", help="your own module in its place; the file is run")
    check.add_argument("--set", metavar="option=value", action="append", default=[], help="an argument of the network")
    check.add_argument("--input-shape", metavar="3,32,32", help="of one row, without the batch")
    check.add_argument("--samples", metavar="N", help="numbers moved in each tensor (10; fewer in large networks)")
    check.add_argument("--train", action="store_true", help="in training mode: dropout, statistics of the batch")
    check.add_argument("--seed", metavar="N", default="0", help="of the weights, the inputs and what is moved (0)")
    check.add_argument("--json", action="store_true", help="one JSON object")


def run_lessons(arguments: argparse.Namespace) -> None:
    from gradus.lessons.table import LESSONS, SUBJECTS

    if arguments.list:
        for subject, lessons in SUBJECTS.items():
            print(subject)
            print_table([[f"  {name}", lesson.shows] for name, lesson in lessons.items()])
        return
    if not arguments.names:
        raise UserError("which lesson? `gradus lesson --list` names them, `gradus lesson all` runs them all")
    from gradus.lessons.run import check_names, run_lesson
    from gradus.look.text import number

    for name in check_names(list(LESSONS) if arguments.names == ["all"] else arguments.names):
        result = run_lesson(name, arguments.out)
        print_table([[key, number(value, 6)] for key, value in result.numbers.items()])
        say(f"{name}: {result.path} ({result.seconds:.1f} s)")


def run_check(arguments: argparse.Namespace) -> None:
    """Prints the comparison and exits with 1 where a gradient is wrong."""
    seed = whole_number(arguments.seed, "--seed")
    samples = None if arguments.samples is None else whole_number(arguments.samples, "--samples", least=1)
    name, module, shape = _subject(arguments, seed)
    from gradus.look.gradient_check import check_gradients, make_inputs

    inputs = None if shape is None else make_inputs(shape, seed, module)
    report = check_gradients(module, inputs, samples=samples, training=arguments.train, seed=seed)
    if arguments.json:
        print(json.dumps({"model": name, **report.to_json()}))
    else:
        _print_check(name, report)
    if not report.is_right:
        sys.exit(1)


def _subject(arguments: argparse.Namespace, seed: int) -> tuple[str, nn.Module, tuple[int, ...] | None]:
    """What to check: its name, the module, and the shape of one row of its inputs (None: its first layer tells)."""
    if bool(arguments.name) == bool(arguments.file):
        raise UserError("check what? Either a network (`gradus list models`) or --file FILE.py:CLASS")
    options, shape = _options(arguments.set), _shape(arguments.input_shape)
    from gradus.look.subject import own_module, small_model

    if arguments.file:
        return arguments.file, own_module(arguments.file, options, seed), shape
    return arguments.name, *small_model(arguments.name, options, shape, seed)


def _options(assignments: list[str]) -> dict[str, Any]:
    from gradus.settings import parse_value

    options = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or not key.strip():
            raise UserError(f"--set {assignment}: expected option=value, for example num_classes=10")
        options[key.strip()] = parse_value(text)
    return options


def _shape(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    sizes = text.lower().replace("x", ",").split(",")
    if not all(size.strip().isdigit() and int(size) > 0 for size in sizes):
        raise UserError(f"--input-shape: expected sizes above 0 such as 3,32,32, received '{text}'")
    return tuple(int(size) for size in sizes)


def _print_check(name: str, report: GradientReport) -> None:
    from gradus.look.gradient_check import verdict

    mode = "training" if report.training else "evaluation"
    rows, *sizes = report.shape
    print(
        f"{name}: {rows} rows of {'x'.join(map(str, sizes))} in float64, {mode} mode, up to {report.samples} numbers a tensor"
    )
    table = [["layer", "type", "moved", "in the network", "alone", "", "worst at"]]
    for layer in report.layers:
        network, alone = ("" if one is None else f"{one.error:.0e}" for one in (layer.network, layer.alone))
        word = verdict(layer.both.error) if layer.both.checked else "not compared"
        place = layer.both.where if layer.both.error else ""
        table.append([layer.name or "(itself)", layer.kind, str(layer.both.checked), network, alone, word, place])
    print_table(table)
    kinks = sum(layer.both.kinks for layer in report.layers)
    if kinks:
        print(
            f"{kinks} numbers lay at a kink (ReLU, max), where there is no derivative; others were taken where there were any"
        )
    for layer in report.layers:
        for parameter in layer.unused:
            print(f"not used: {layer.name + '.' if layer.name else ''}{parameter}: the outputs do not depend on it")
    for note in report.notes:
        print(f"note: {note}")
    worst = report.worst
    print(f"{report.verdict}: worst relative error {worst.error:.1e}" + (f" at {worst.where}" if worst.error else ""))
    if report.faulty:
        named = [
            f"{layer} ({_kind(report, layer)})" if layer else "the network's own forward" for layer in report.faulty
        ]
        print(f"the backward pass of {' and '.join(named)} is not the derivative of its forward pass")


def _kind(report: GradientReport, name: str) -> str:
    return next((layer.kind for layer in report.layers if layer.name == name), "its own forward")


def run_catalogue(arguments: argparse.Namespace) -> None:
    from gradus.lessons.catalogue import write_catalogue

    say(str(write_catalogue(arguments.out)))
