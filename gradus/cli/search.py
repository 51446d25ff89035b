"""The commands that look for better settings and combine runs: search, lr, ensemble."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from gradus.cli.flags import add_recipe_flags, real_number, recipe_of, whole_number
from gradus.cli.output import format_value, print_table, say
from gradus.errors import UserError

if TYPE_CHECKING:
    from gradus.cli.command_line import AddCommand
    from gradus.recipes.search import SearchResult

# flag -> what it takes; fields of SearchSettings, whose defaults stand there
SEARCH_FLAGS = {
    "method": "grid, random (default), zoom (random from coarse to fine) or optuna",
    "trials": "how many in all (default 32)",
    "rounds": "zoom: rounds, between which the space shrinks around the best (default 3)",
    "folds": "judge each trial by the mean over K folds of the training rows",
    "search-seed": "of what is drawn (default 0); --seed is that of the trainings",
    "at-once": "trials that are trained side by side and then kept (default 16)",
}


def add_commands(command: AddCommand) -> None:
    """Adds the three commands to the parser of the command line."""
    search = command(
        "search",
        "Try many settings of a recipe; the best validation metric wins and is written as a recipe.",
        run_search,
    )
    add_recipe_flags(search)
    search.add_argument(
        "--vary",
        metavar="SETTING=SCALE:LOW..HIGH",
        action="append",
        default=[],
        help="such as learning_rate=log:1e-4..1, dropout=0..0.5, hidden=[[32],[64,64]]; "
        "scales: linear, log, one_minus_log, int, int_log; a list: choices",
    )
    for flag, about in SEARCH_FLAGS.items():
        search.add_argument(f"--{flag}", metavar="X", help=about)
    search.add_argument(
        "--prune", action="store_true", help="stop trials that are worse than the median at their epoch"
    )
    search.add_argument("--out", metavar="DIR", help="the search's folder; default runs/search-NAME-NUMBER")
    search.add_argument("--resume", metavar="DIR", help="continue a search")

    rates = command("lr", "Learning-rate range test: a picture of loss against rate, and a suggestion.", run_rates)
    add_recipe_flags(rates)
    rates.add_argument("--lowest", metavar="X", default="1e-7", help="the first rate (default 1e-7)")
    rates.add_argument("--highest", metavar="X", default="10", help="the last rate (default 10)")
    rates.add_argument("--steps", metavar="N", help="how many steps (default: those of an epoch, but 200 to 400)")
    rates.add_argument("--seeds", metavar="N", default="1", help="repeats, whose losses are averaged (default 1)")
    rates.add_argument("--out", metavar="DIR", help="the folder; default runs/lr-NAME-NUMBER")

    ensemble = command("ensemble", "Average the answers of several runs on the same data.", run_ensemble)
    ensemble.add_argument("runs", metavar="RUN", nargs="+")
    ensemble.add_argument(
        "--weights", default="equal", help="equal (default), fitted on validation rows, or 0.5,0.3,0.2"
    )
    ensemble.add_argument("--combine", default="arithmetic", help="arithmetic (default) or geometric means")
    ensemble.add_argument("--method", default="nelder-mead", help="of fitting: nelder-mead (default) or random")
    ensemble.add_argument("--seed", metavar="N", default="0", help="of the random method")
    ensemble.add_argument("--split", default="test", help="what to judge on: test (default), validation or train")
    ensemble.add_argument("--out", metavar="DIR", help="keep it there; `gradus predict DIR INPUT` then works")
    ensemble.add_argument("--json", action="store_true", help="one JSON object")


def run_search(arguments: argparse.Namespace) -> None:
    from gradus.recipes.search import resume_search, search
    from gradus.train.trainer import TrainingStopped

    if arguments.resume:
        if arguments.recipe or arguments.data or arguments.vary or arguments.out:
            raise UserError(
                "--resume takes all settings from its folder: leave out the recipe, --data, --vary and --out"
            )
        result = resume_search(arguments.resume, say=say)
    else:
        if not arguments.vary:
            raise UserError("what should be varied? For example --vary learning_rate=log:1e-4..1")
        recipe = recipe_of(arguments)
        result = search(recipe, arguments.vary, arguments.out, say=say, **_search_settings(arguments))
    _print_result(result)
    if result.best is None:
        first = next((trial.error for trial in result.trials if trial.error), "")
        raise TrainingStopped(f"no trial came to a result. {first}".strip())


def _search_settings(arguments: argparse.Namespace) -> dict[str, Any]:
    how: dict[str, Any] = {"prune": True} if arguments.prune else {}
    for flag in SEARCH_FLAGS:
        text = getattr(arguments, flag.replace("-", "_"))
        if text is not None:
            name = flag.removeprefix("search-").replace("-", "_")
            how[name] = text if name == "method" else whole_number(text, f"--{flag}")
    return how


def _print_result(result: SearchResult) -> None:
    print_table(result.table())
    print(result.summary())
    if result.best is not None:
        print_table([["best", str(result.path / "best.toml")], ["picture", str(result.path / "search.png")]])
    if result.caution():
        print(f"note: {result.caution()}")


def run_rates(arguments: argparse.Namespace) -> None:
    steps = whole_number(arguments.steps, "--steps") if arguments.steps is not None else None
    lowest, highest = real_number(arguments.lowest, "--lowest"), real_number(arguments.highest, "--highest")
    seeds = whole_number(arguments.seeds, "--seeds")
    recipe = recipe_of(arguments)
    from gradus.recipes.lr_range import lr_range_run

    folder, found = lr_range_run(
        recipe, arguments.out, lowest=lowest, highest=highest, steps=steps, seeds=seeds, say=say
    )
    rows = [[what, f"{value:.3g}" if value is not None else "-"] for what, value in found.marks().items()]
    print_table([*rows, ["picture", str(folder / "lr.png")]])
    if found.suggestion is None:
        print("note: the loss did not fall at any rate, so there is no suggestion: look at the data, or at the picture")


def run_ensemble(arguments: argparse.Namespace) -> None:
    weights: Any = arguments.weights
    if weights not in ("equal", "fitted") and "," in weights:
        weights = [real_number(part, "--weights") for part in weights.split(",")]
    seed = whole_number(arguments.seed, "--seed")
    from gradus.recipes.ensemble import ensemble

    made = ensemble(arguments.runs, weights, combine=arguments.combine, method=arguments.method, seed=seed)
    rows, (what, likeness) = made.compare(arguments.split), made.likeness(arguments.split)
    kept = str(made.save(arguments.out, arguments.split)) if arguments.out else None
    if arguments.json:
        members = [{"name": name, "weight": weight, **metrics} for name, weight, metrics in rows]
        print(json.dumps({"split": arguments.split, "rows": members, what: likeness.tolist(), "out": kept}))
        return
    names = list(rows[0][2])
    table = [[f"on {arguments.split}", "weight", *names]]
    for name, weight, metrics in rows:
        shown = [format_value(metric, metrics[metric]) for metric in names]
        table.append([name, "" if weight is None else f"{weight:.3f}", *shown])
    print_table(table)
    print(f"\n{what}, {arguments.split} rows")
    numbers = [str(number + 1) for number in range(len(likeness))]
    header = ["", *numbers]
    matrix = [[f"{number} {made.members[int(number) - 1].name}"] for number in numbers]
    for line, values in zip(matrix, likeness, strict=True):
        line += [f"{value:.3f}" for value in values]
    print_table([header, *matrix])
    if kept:
        print_table([["ensemble", kept]])
