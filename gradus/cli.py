"""The commands: a thin skin over the Python API.

`argparse` and nothing else at import, so that `--help` and mistakes answer at once; PyTorch is imported when a command needs it.
A user's mistake is one sentence on standard error and exit code 2, training that cannot go on is 1, a signal 128 + its number.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from gradus import (
    __version__,
    cli_backtest,
    cli_data,
    cli_doctor,
    cli_generate,
    cli_import,
    cli_learn,
    cli_look,
    cli_play,
    cli_predict,
    cli_search,
)
from gradus.errors import UserError, did_you_mean, quoted
from gradus.files import unread
from gradus.stopping import on_signals, stop_now, told_when_stopped

if TYPE_CHECKING:
    from gradus.recipes.ensemble import Ensemble
    from gradus.recipes.recipe import Recipe
    from gradus.recipes.run import Run

# flag -> the setting it stands for
TRAIN_FLAGS = {
    "data": ("data.source", "catalogue name, or path of a file or folder"),
    "target": ("data.target", "the column to learn; several joined by commas"),
    "validation": ("data.validation", "share or number of training rows held out to choose the best weights"),
    "time": ("data.time", "the column that tells the time of a row; rows are then split in order"),
    "task": ("task.name", "what to learn; inferred from the columns"),
    "model": ("model.name", "which network; `gradus list models`"),
    "weights": (
        "model.weights",
        "trained weights to begin with: a safetensors file, a run, or a name such as imagenet",
    ),
    "embeddings": ("model.embeddings", "word vectors to begin with: a file of GloVe or word2vec, or a run"),
    "freeze": (
        "train.fine_tune.freeze",
        "stages or modules that do not learn, joined by commas; features: all but the head",
    ),
    "epochs": ("train.epochs", "passes over the training rows"),
    "batch-size": ("train.batch_size", "rows an update; auto: computed in as many parts as the memory asks for"),
    "learning-rate": ("train.optimizer.learning_rate", "size of the updates"),
    "optimizer": ("train.optimizer.name", "sgd, adagrad, adadelta, rmsprop, adam or adamw"),
    "workers": ("data.workers", "processes that decode streamed pictures; -1: chosen"),
    "seed": ("train.seed", "of the weights, the order and dropout"),
    "device": ("train.device", "auto, cpu or cuda"),
}


OTHER_FLAGS = (
    "out",
    "augment",
    "set",
    "tensorboard",
    "compile",
    "deterministic",
    "folds",
    "repeats",
    "nproc",
    "max-restarts",
    "json",
    "split",
    "seeds",
)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} (see {self.prog} --help)")


def build_parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="gradus", description="Deep learning from principle to practice.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"gradus {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)

    def command(name: str, about: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=about, description=about, allow_abbrev=False)

    train = command("train", "Train a model: a recipe, a TOML file, or flags; what is left open is inferred and told.")
    _add_recipe_flags(train)
    train.add_argument("--out", metavar="DIR", help="the run's folder; default runs/MODEL-DATA-NUMBER")
    train.add_argument("--tensorboard", action="store_true", help="write TensorBoard files too")
    train.add_argument(
        "--deterministic", action="store_true", help="repeatable algorithms only, and no TF32 (train.deterministic)"
    )
    train.add_argument("--folds", metavar="K", help="K-fold validation: train on each of K folds, as one stacked model")
    train.add_argument("--repeats", metavar="N", help="train N times with other seeds (and shuffles of the folds)")
    train.add_argument(
        "--compile", action="store_true", help="torch.compile the model; pays for long runs (train.compile)"
    )
    _add_process_flags(train)

    resume = command("resume", "Continue a run from its last checkpoint.")
    resume.add_argument("run", metavar="RUN")
    resume.add_argument("--tensorboard", action="store_true", help="write TensorBoard files too")
    _add_process_flags(resume)

    evaluate = command("eval", "Measure a run's best weights on a split.")
    evaluate.add_argument("run", metavar="RUN")
    evaluate.add_argument("--split", default="test", help="train, validation or test")
    evaluate.add_argument("--json", action="store_true", help="one JSON object")
    evaluate.add_argument("--set", metavar="part.field=value", action="append", default=[], help=cli_predict.SET_HELP)
    cli_play.add_flags(evaluate)

    cli_predict.add_commands(command)
    report = command("report", "Write report.html into a run's folder.")
    report.add_argument("run", metavar="RUN")

    compare = command("compare", "Runs side by side: differing settings and measured metrics.")
    compare.add_argument("runs", metavar="RUN", nargs="+")
    compare.add_argument("--curves", metavar="FILE.png", help="draw how they learnt: runs of other seeds as one band")
    compare.add_argument("--metric", metavar="NAME", help="what --curves draws, such as train_return")

    listing = command("list", "What there is: models, data, tasks or recipes.")
    listing.add_argument("what", choices=("models", "data", "tasks", "recipes"))

    config = command("config", "Print all settings of a recipe or a run as TOML.")
    config.add_argument("source", metavar="RECIPE|RUN")

    reproduce = command("reproduce", "Run recipes with several seeds, beside the published results.")
    reproduce.add_argument("recipes", metavar="RECIPE", nargs="+")
    reproduce.add_argument("--seeds", metavar="N", default="3", help="how many seeds (default 3)")
    reproduce.add_argument("--out", metavar="DIR", default="runs/reproduce", help="where the runs go")
    cli_data.add_commands(command)
    cli_search.add_commands(command, _add_recipe_flags)
    cli_backtest.add_commands(command, _add_recipe_flags)
    cli_learn.add_commands(command)
    cli_look.add_commands(command)
    cli_doctor.add_commands(command, _add_recipe_flags)
    cli_import.add_commands(command)
    cli_generate.add_commands(command)
    return parser


def _add_process_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--nproc", metavar="N", help="train in N processes on this machine (1)")
    parser.add_argument(
        "--max-restarts",
        metavar="N",
        help="with --nproc: how often in a row killed processes are started again without a new checkpoint (3)",
    )


def _add_recipe_flags(parser: argparse.ArgumentParser) -> None:
    """What a recipe is named and changed by, for every command that begins with one."""
    parser.add_argument("recipe", nargs="?", help="a recipe's name (`gradus list recipes`) or a TOML file")
    for flag, (setting, about) in TRAIN_FLAGS.items():
        parser.add_argument(f"--{flag}", metavar="X", help=f"{about} ({setting})")
    parser.add_argument("--augment", metavar="PRESET", help=f"{cli_data.AUGMENT_HELP}; then --set augment.rotation=20")
    parser.add_argument(
        "--set",
        metavar="part.field=value",
        action="append",
        default=[],
        help="any setting, such as train.average=0.999",
    )


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs a command line and exits."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    asked: list[int] = []

    def stop(number: int) -> None:
        asked.append(number)
        stop_now(number)

    try:
        with on_signals(stop):
            parsed = _parse(given)
            if _is_to_be_launched(parsed):
                from gradus.launch import launch

                sys.exit(launch(given, *_processes(parsed)))
            _COMMANDS[parsed.command](parsed)
            sys.stdout.flush()
    except KeyboardInterrupt as interrupted:
        text = str(interrupted) or "stopped"
        _fail(text if _is_main() else "", 128 + getattr(interrupted, "signal_number", 2))
    except Exception as error:
        if asked:  # what a library made of the interruption: an import that is cut off ends as an ImportError
            _fail("stopped" if _is_main() else "", 128 + asked[0])
        if isinstance(error, UserError):
            _fail("" if getattr(error, "told_by_main", False) else str(error), 2)
        if isinstance(error, BrokenPipeError):  # the reader of our output has gone: nothing to say
            unread(sys.stdout)
            sys.exit(0)
        if type(error).__name__ == "TrainingStopped":  # told without importing the trainer
            _fail(str(error), 1)
        if isinstance(error, RuntimeError) and _is_one_of_several() and _lost_another(error):
            quiet = not _is_main() or "GRADUS_LAUNCHED" in os.environ  # our launcher tells it in its own words
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
    if _is_one_of_several():
        os._exit(code)  # the threads that exchange gradients may wait for processes that are gone
    sys.exit(code)


def _is_one_of_several() -> bool:
    """Whether torchrun, or our launcher, started this process beside others."""
    return os.environ.get("WORLD_SIZE", "1") not in ("", "1")


def _is_main() -> bool:
    return not _is_one_of_several() or os.environ.get("RANK", "0") == "0"


def _lost_another(error: RuntimeError) -> bool:
    from gradus.train.world import was_lost

    return was_lost(error)


def _processes(arguments: argparse.Namespace) -> tuple[int, int]:
    from gradus.launch import check_processes

    return check_processes(getattr(arguments, "nproc", None), getattr(arguments, "max_restarts", None))


def _is_to_be_launched(arguments: argparse.Namespace) -> bool:
    """Whether this command is to run in several processes, and is not one of them yet."""
    several = _processes(arguments)[0] > 1
    if several and _is_one_of_several() and "GRADUS_LAUNCHED" not in os.environ:
        raise UserError("--nproc: torchrun has started several processes already; leave --nproc out")
    return several and not _is_one_of_several()


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = build_parser()
    if not arguments:
        parser.print_help()
        sys.exit(0)
    names = list(_COMMANDS)
    if not arguments[0].startswith("-") and arguments[0] not in names:
        raise UserError(
            f"unknown command '{arguments[0]}'{did_you_mean(arguments[0], names) or '; known: ' + ', '.join(names)}"
        )
    parsed, unknown = parser.parse_known_args(arguments)
    if unknown:
        flags = [
            f"--{flag}"
            for flag in (
                *TRAIN_FLAGS,
                *OTHER_FLAGS,
                *cli_data.FLAGS,
                *cli_predict.FLAGS,
                *cli_search.FLAGS,
                *cli_backtest.FLAGS,
                *cli_learn.FLAGS,
                *cli_look.FLAGS,
                *cli_doctor.FLAGS,
                *cli_import.FLAGS,
                *cli_generate.FLAGS,
                *cli_play.FLAGS,
            )
        ]
        elsewhere = unknown[0].partition("=")[0] in flags
        hint = f"; gradus {parsed.command} --help lists its own" if elsewhere else did_you_mean(unknown[0], flags)
        raise UserError(f"{parsed.command}: unknown argument '{unknown[0]}'{hint}")
    if parsed.command is None:
        raise UserError(f"expected a command: {', '.join(names)}")
    return parsed


def _train(arguments: argparse.Namespace) -> None:
    with _together():
        recipe = _recipe_of(arguments)
        observers = _observers(arguments)
    if arguments.folds or arguments.repeats:
        if _is_one_of_several():
            raise UserError("--folds, --repeats: they train as one stacked model in one process; leave --nproc out")
        folds, repeats = _count(arguments.folds, "--folds", 0), _count(arguments.repeats, "--repeats", 1)
        from gradus.recipes.folds import train_folds

        _finish_folds(train_folds(recipe, folds, repeats, arguments.out, observers=observers, say=_say))
        return
    from gradus.recipes.execute import train_recipe

    _finish(train_recipe(recipe, arguments.out, observers=observers, say=_say))


def _count(text: str | None, flag: str, default: int) -> int:
    if text is None:
        return default
    if not text.isdigit():
        raise UserError(f"{flag}: expected a whole number, received '{text}'")
    return int(text)


def _resume(arguments: argparse.Namespace) -> None:
    from gradus.recipes.folds import is_folds, resume_folds

    if is_folds(arguments.run):
        _finish_folds(resume_folds(arguments.run, observers=_observers(arguments), say=_say))
        return
    from gradus.recipes.execute import resume
    from gradus.recipes.run import load_run
    from gradus.train.folder import RunFolder

    with _together():
        run = load_run(arguments.run)
        finished = bool(run.evaluation)
    if finished:
        _say(f"{arguments.run}: this run is finished")
        if _is_main() and not (run.path / "report.html").exists() and not run.is_custom:
            folder = RunFolder.reopen(run.path)
            try:
                _say(f"its report was missing: {run.report()}")
            finally:
                folder.lock.release()
        return
    _finish(resume(arguments.run, observers=_observers(arguments), say=_say))


def _load(path: str) -> Run | Ensemble:
    """What a folder holds: a run, or an ensemble of runs."""
    if (Path(path) / "ensemble.json").exists():
        from gradus.recipes.ensemble import load_ensemble

        return load_ensemble(path)
    from gradus.recipes.run import load_run

    return load_run(path)


def _eval(arguments: argparse.Namespace) -> None:
    run = _load(arguments.run)
    if cli_play.plays(run, arguments):
        cli_play.play(run, arguments, _print_table)  # type: ignore[arg-type]
        return
    metrics = cli_predict.with_settings(run, arguments.set, measured=True).evaluate(arguments.split)
    if arguments.json:
        print(json.dumps({"run": arguments.run, "split": arguments.split, **metrics}))
        return
    checkpoints = Path(arguments.run) / "checkpoints"  # of a game there are no best ones
    kept = "last" if checkpoints.exists() and not (checkpoints / "best").exists() else "best"
    print(f"{arguments.split} split, {kept} weights")
    _print_table([[name, _format(name, value)] for name, value in metrics.items()])


def _report(arguments: argparse.Namespace) -> None:
    from gradus.recipes.run import load_run

    print(load_run(arguments.run).report())


def _compare(arguments: argparse.Namespace) -> None:
    from gradus.recipes.compare import compare, draw_curves
    from gradus.recipes.run import load_run

    runs = [load_run(path) for path in arguments.runs]
    if arguments.metric is not None and arguments.curves is None:
        raise UserError("--metric: is what --curves FILE.png draws; name the file too")
    if arguments.curves is not None:
        names = draw_curves(runs, Path(arguments.curves), arguments.metric or "")
        print(f"{arguments.curves}: {', '.join(names)}")
        return
    header, rows = compare(runs)
    _print_table([header, *rows])
    from gradus.doctor.better import sentences

    for line in sentences(runs):
        print(line)


def _list(arguments: argparse.Namespace) -> None:
    if arguments.what == "models":
        from gradus.models import MODELS

        rows = [[name, about] for name, (_, about) in MODELS.items()]
    elif arguments.what == "data":
        from gradus.data.catalogue import describe

        rows = describe()
    elif arguments.what == "tasks":
        from gradus.tasks.table import TASKS

        rows = [[name, kind.about, "models: " + ", ".join(kind.models)] for name, kind in TASKS.items()]
    else:
        from gradus.recipes.table import RECIPES

        made = [make() for make in RECIPES.values()]
        rows = [
            [r.name, r.about, f"published {r.published.metric} {r.published.value:g}" if r.published else ""]
            for r in made
        ]
    _print_table(rows)


def _config(arguments: argparse.Namespace) -> None:
    from gradus.recipes.recipe import write_recipe

    path = Path(arguments.source)
    if path.is_dir():
        from gradus.recipes.run import load_run

        print(write_recipe(load_run(path).recipe), end="")
    else:
        print(write_recipe(_named_recipe(arguments.source)), end="")


def _reproduce(arguments: argparse.Namespace) -> None:
    recipes = [_named_recipe(name) for name in arguments.recipes]
    if not arguments.seeds.isdigit() or int(arguments.seeds) < 1:
        raise UserError(f"--seeds: expected a whole number above 0, received '{arguments.seeds}'")
    from gradus.recipes.reproduce import HEADER, reproduce
    from gradus.train.observers import show_progress

    rows = []
    for recipe in recipes:
        result = reproduce(recipe, int(arguments.seeds), Path(arguments.out), (show_progress(),), _say)
        rows.append(result.row())
    for row in [HEADER, ["---"] * len(HEADER), *rows]:
        print(f"| {' | '.join(row)} |")


_COMMANDS = {
    "train": _train,
    "resume": _resume,
    "eval": _eval,
    "report": _report,
    "compare": _compare,
    "list": _list,
    "config": _config,
    "reproduce": _reproduce,
    **cli_data.COMMANDS,
    **cli_search.COMMANDS,
    **cli_backtest.COMMANDS,
    **cli_learn.COMMANDS,
    **cli_look.COMMANDS,
    **cli_doctor.COMMANDS,
    **cli_import.COMMANDS,
    **cli_generate.COMMANDS,
    **cli_predict.COMMANDS,
}


def _named_recipe(name: str) -> Recipe:
    from gradus.recipes.recipe import read_recipe
    from gradus.recipes.table import get_recipe

    return read_recipe(Path(name)) if name.endswith(".toml") else get_recipe(name)


def _recipe_of(arguments: argparse.Namespace) -> Recipe:
    """The recipe that a `train` command line asks for."""
    from gradus import settings
    from gradus.data.augment.settings import get_preset
    from gradus.recipes.recipe import Recipe

    if not arguments.recipe and not arguments.data:
        raise UserError(
            "what should be learnt? Name a recipe (gradus list recipes), or give --data NAME, FILE or FOLDER"
        )
    base = _named_recipe(arguments.recipe) if arguments.recipe else Recipe()
    values = settings.to_dict(base)
    given = {flag: getattr(arguments, flag.replace("-", "_")) for flag in TRAIN_FLAGS}
    given = {flag: value for flag, value in given.items() if value is not None}
    # another model, optimiser or data set does not inherit what was chosen for the old one
    if given.get("model", base.model.name) != base.model.name:
        values["model"] = {}
    if given.get("task", base.task.name) != base.task.name:
        values["task"] = {}
    if given.get("optimizer", base.train.optimizer.name) != base.train.optimizer.name:
        values["train"]["optimizer"] = {}
    if given.get("data", base.data.source) != base.data.source:
        values["data"].pop("target", None)
        values.pop("published", None)
    more = [f"train.{flag}=true" for flag in ("compile", "deterministic") if getattr(arguments, flag, False)]
    if given.get("batch-size") == "auto":
        del given["batch-size"]
        more.append("train.accumulate=0")
    if "freeze" in given:
        given["freeze"] = json.dumps([name.strip() for name in given["freeze"].split(",") if name.strip()])
    if arguments.augment is not None:
        values["augment"] = settings.to_dict(get_preset(arguments.augment))
    for flag, value in given.items():
        values = settings.override(values, f"{TRAIN_FLAGS[flag][0]}={value}", Recipe)
    for assignment in [*more, *arguments.set]:
        values = settings.override(values, assignment, Recipe)
    return settings.from_dict(Recipe, values)


def recipe_arguments(arguments: argparse.Namespace) -> list[str]:
    """What names and changes the recipe on a command line, as it would be typed for another command."""
    flags = [*TRAIN_FLAGS, "augment"]
    given = {flag: getattr(arguments, flag.replace("-", "_")) for flag in flags}
    found = [] if arguments.recipe is None else [arguments.recipe]
    found += [part for flag, value in given.items() if value is not None for part in (f"--{flag}", value)]
    return [*found, *(part for assignment in arguments.set for part in ("--set", assignment))]


def _together() -> AbstractContextManager:
    """Within it a user's mistake is told once, however many processes find it."""
    if not _is_one_of_several():
        return nullcontext()
    from gradus.train.world import join

    return join().together()


def _observers(arguments: argparse.Namespace) -> tuple:
    if not _is_main():
        return ()
    from gradus.train.observers import show_progress, write_tensorboard

    return (show_progress(), write_tensorboard()) if arguments.tensorboard else (show_progress(),)


def _finish(run: Run) -> None:
    """Tells how good the run is beside its baselines and the published value, and where everything is."""
    if not _is_main():
        return
    evaluation = run.evaluation
    metric = run.task.primary[0]
    rows = [[f"{evaluation['split']} {metric}", _format(metric, evaluation["metrics"][metric])]]
    rows += [[f"  {name}", _format(metric, values[metric])] for name, values in evaluation["baselines"].items()]
    published = run.recipe.published
    if published:
        rows.append(["  published", f"{_format(published.metric, published.value)}  ({published.source})"])
    with told_when_stopped(f"stopped before the report was written. Write it with: gradus report {quoted(run.path)}"):
        report = run.report()
    rows += [["run", str(run.path)], ["report", str(report)]]
    _print_table(rows)


def _finish_folds(found: Any) -> None:
    """Tells what K-fold validation found: the mean and spread over the models, and how long to train on all rows."""
    metric, _ = found.metric
    result = found.to_json()

    def figure(kind: str) -> str:
        centre, spread = result[f"mean_of_{kind}"], result[f"deviation_of_{kind}"]
        if centre is None:
            return "none: every model diverged"
        return _format(metric, centre) + (f" ± {_format(metric, spread)}" if spread is not None else "")

    failed = [outcome for outcome in found.outcomes if outcome.error]
    rows = [
        ["models", str(len(found.outcomes)) + (f", of which {len(failed)} diverged" if failed else "")],
        [f"validation {metric} after the last epoch", figure("last")],
        [
            "  of each",
            ", ".join(_format(metric, value) for value in found.final[:12])
            + (", ..." if len(found.final) > 12 else ""),
        ],
        ["  at each one's best epoch (optimistic)", figure("best")],
    ]
    if found.curve:
        best = found.curve[found.best_epoch - 1]
        rows.append(["  mean curve at its best", f"{_format(metric, best)}, at epoch {found.best_epoch}"])
    rows += [["folder", str(found.path)]]
    if (found.path / "folds.png").exists():
        rows.append(["picture", str(found.path / "folds.png")])
    _print_table(rows)


def _format(name: str, value: float) -> str:
    from gradus.train.observers import format_metric

    return format_metric(name, value)


def _say(line: str) -> None:
    """A line of a command that goes on even where nobody reads it any longer."""
    if not _is_main():
        return
    try:
        print(line, flush=True)
    except OSError:  # a closed pipe, a closed terminal, a full disk
        unread(sys.stdout)


def _print_table(rows: list[list[str]], stream: TextIO | None = None) -> None:
    """Columns aligned by display width (Chinese characters are two wide)."""
    from unicodedata import east_asian_width

    def width(text: str) -> int:
        return sum(2 if east_asian_width(character) in "WF" else 1 for character in text)

    columns = max((len(row) for row in rows), default=0)
    widths = [max((width(row[i]) for row in rows if i < len(row)), default=0) for i in range(columns)]
    for row in rows:
        cells = [cell + " " * (widths[i] - width(cell)) for i, cell in enumerate(row)]
        print("  ".join(cells).rstrip(), file=stream)
