"""The commands about runs: train, resume, eval, report, compare, reproduce, and what there is to choose from."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradus.cli import play, predict
from gradus.cli.flags import add_recipe_flags, named_recipe, recipe_of, whole_number
from gradus.cli.output import format_value, print_table, say
from gradus.cli.processes import is_main, is_one_of_several, together
from gradus.errors import UserError, quoted
from gradus.stopping import told_when_stopped

if TYPE_CHECKING:
    from gradus.cli.command_line import AddCommand
    from gradus.recipes.run import Run


def add_commands(command: AddCommand) -> None:
    train = command(
        "train", "Train a model: a recipe, a TOML file, or flags; what is left open is inferred and told.", run_train
    )
    add_recipe_flags(train)
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

    resume = command("resume", "Continue a run from its last checkpoint.", run_resume)
    resume.add_argument("run", metavar="RUN")
    resume.add_argument("--tensorboard", action="store_true", help="write TensorBoard files too")
    _add_process_flags(resume)

    evaluate = command("eval", "Measure a run's best weights on a split.", run_eval)
    evaluate.add_argument("run", metavar="RUN")
    evaluate.add_argument("--split", default="test", help="train, validation or test")
    evaluate.add_argument("--json", action="store_true", help="one JSON object")
    evaluate.add_argument("--set", metavar="part.field=value", action="append", default=[], help=predict.SET_HELP)
    play.add_flags(evaluate)

    report = command("report", "Write report.html into a run's folder.", run_report)
    report.add_argument("run", metavar="RUN")

    compare = command("compare", "Runs side by side: differing settings and measured metrics.", run_compare)
    compare.add_argument("runs", metavar="RUN", nargs="+")
    compare.add_argument("--curves", metavar="FILE.png", help="draw how they learnt: runs of other seeds as one band")
    compare.add_argument("--metric", metavar="NAME", help="what --curves draws, such as train_return")

    listing = command("list", "What there is: models, data, tasks or recipes.", run_list)
    listing.add_argument("what", choices=("models", "data", "tasks", "recipes"))

    config = command("config", "Print all settings of a recipe or a run as TOML.", run_config)
    config.add_argument("source", metavar="RECIPE|RUN")

    reproduce = command("reproduce", "Run recipes with several seeds, beside the published results.", run_reproduce)
    reproduce.add_argument("recipes", metavar="RECIPE", nargs="+")
    reproduce.add_argument("--seeds", metavar="N", default="3", help="how many seeds (default 3)")
    reproduce.add_argument("--out", metavar="DIR", default="runs/reproduce", help="where the runs go")


def _add_process_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--nproc", metavar="N", help="train in N processes on this machine (1)")
    parser.add_argument(
        "--max-restarts",
        metavar="N",
        help="with --nproc: how often in a row killed processes are started again without a new checkpoint (3)",
    )


def run_train(arguments: argparse.Namespace) -> None:
    with together():
        recipe = recipe_of(arguments)
        observers = _observers(arguments)
    if arguments.folds or arguments.repeats:
        if is_one_of_several():
            raise UserError("--folds, --repeats: they train as one stacked model in one process; leave --nproc out")
        folds, repeats = (
            whole_number(arguments.folds or "0", "--folds"),
            whole_number(arguments.repeats or "1", "--repeats"),
        )
        from gradus.recipes.folds import train_folds

        _finish_folds(train_folds(recipe, folds, repeats, arguments.out, observers=observers, say=say))
        return
    from gradus.recipes.execute import train_recipe

    _finish(train_recipe(recipe, arguments.out, observers=observers, say=say))


def run_resume(arguments: argparse.Namespace) -> None:
    from gradus.recipes.folds import is_folds, resume_folds

    if is_folds(arguments.run):
        _finish_folds(resume_folds(arguments.run, observers=_observers(arguments), say=say))
        return
    from gradus.recipes.execute import resume
    from gradus.recipes.run import load_run
    from gradus.train.folder import RunFolder

    with together():
        run = load_run(arguments.run)
        finished = bool(run.evaluation)
    if finished:
        say(f"{arguments.run}: this run is finished")
        if is_main() and not (run.path / "report.html").exists() and not run.is_custom:
            folder = RunFolder.reopen(run.path)
            try:
                say(f"its report was missing: {run.report()}")
            finally:
                folder.lock.release()
        return
    _finish(resume(arguments.run, observers=_observers(arguments), say=say))


def run_eval(arguments: argparse.Namespace) -> None:
    from gradus.recipes.ensemble import load_run_or_ensemble

    run = load_run_or_ensemble(arguments.run)
    if play.plays(run, arguments):
        play.play(run, arguments)
        return
    metrics = predict.with_settings(run, arguments.set, measured=True).evaluate(arguments.split)
    if arguments.json:
        print(json.dumps({"run": arguments.run, "split": arguments.split, **metrics}))
        return
    checkpoints = Path(arguments.run) / "checkpoints"  # of a game there are no best ones
    kept = "last" if checkpoints.exists() and not (checkpoints / "best").exists() else "best"
    print(f"{arguments.split} split, {kept} weights")
    print_table([[name, format_value(name, value)] for name, value in metrics.items()])


def run_report(arguments: argparse.Namespace) -> None:
    from gradus.recipes.run import load_run

    print(load_run(arguments.run).report())


def run_compare(arguments: argparse.Namespace) -> None:
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
    print_table([header, *rows])
    from gradus.doctor.better import sentences

    for line in sentences(runs):
        print(line)


def run_list(arguments: argparse.Namespace) -> None:
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
    print_table(rows)


def run_config(arguments: argparse.Namespace) -> None:
    from gradus.recipes.recipe import write_recipe

    path = Path(arguments.source)
    if path.is_dir():
        from gradus.recipes.run import load_run

        print(write_recipe(load_run(path).recipe), end="")
    else:
        print(write_recipe(named_recipe(arguments.source)), end="")


def run_reproduce(arguments: argparse.Namespace) -> None:
    recipes = [named_recipe(name) for name in arguments.recipes]
    seeds = whole_number(arguments.seeds, "--seeds", least=1)
    from gradus.recipes.reproduce import HEADER, reproduce
    from gradus.train.observers import show_progress

    rows = []
    for recipe in recipes:
        result = reproduce(recipe, seeds, Path(arguments.out), (show_progress(),), say)
        rows.append(result.row())
    for row in [HEADER, ["---"] * len(HEADER), *rows]:
        print(f"| {' | '.join(row)} |")


def _observers(arguments: argparse.Namespace) -> tuple:
    if not is_main():
        return ()
    from gradus.train.observers import show_progress, write_tensorboard

    return (show_progress(), write_tensorboard()) if arguments.tensorboard else (show_progress(),)


def _finish(run: Run) -> None:
    """Tells how good the run is beside its baselines and the published value, and where everything is."""
    if not is_main():
        return
    evaluation = run.evaluation
    metric = run.task.primary[0]
    rows = [[f"{evaluation['split']} {metric}", format_value(metric, evaluation["metrics"][metric])]]
    rows += [[f"  {name}", format_value(metric, values[metric])] for name, values in evaluation["baselines"].items()]
    published = run.recipe.published
    if published:
        rows.append(["  published", f"{format_value(published.metric, published.value)}  ({published.source})"])
    with told_when_stopped(f"stopped before the report was written. Write it with: gradus report {quoted(run.path)}"):
        report = run.report()
    rows += [["run", str(run.path)], ["report", str(report)]]
    print_table(rows)


def _finish_folds(found: Any) -> None:
    """Tells what K-fold validation found: the mean and spread over the models, and how long to train on all rows."""
    metric, _ = found.metric
    result = found.to_json()
    failed = [outcome for outcome in found.outcomes if outcome.error]

    def figure(kind: str) -> str:
        centre, spread = result[f"mean_of_{kind}"], result[f"deviation_of_{kind}"]
        if centre is None:
            return "none: every model diverged" if failed else "none: its loss does not tell how good it is"
        return format_value(metric, centre) + (f" ± {format_value(metric, spread)}" if spread is not None else "")

    rows = [
        ["models", str(len(found.outcomes)) + (f", of which {len(failed)} diverged" if failed else "")],
        [f"validation {metric} after the last epoch", figure("last")],
        [
            "  of each",
            ", ".join(format_value(metric, value) for value in found.final[:12])
            + (", ..." if len(found.final) > 12 else ""),
        ],
        ["  at each one's best epoch (optimistic)", figure("best")],
    ]
    if found.curve:
        best = found.curve[found.best_epoch - 1]
        rows.append(["  mean curve at its best", f"{format_value(metric, best)}, at epoch {found.best_epoch}"])
    rows += [["folder", str(found.path)]]
    if (found.path / "folds.png").exists():
        rows.append(["picture", str(found.path / "folds.png")])
    print_table(rows)
