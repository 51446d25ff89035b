"""The command `backtest`: a forecast judged from several moments."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable

FLAGS = ("origins",)


def add_commands(
    command: Callable[[str, str], argparse.ArgumentParser], add_recipe_flags: Callable[[argparse.ArgumentParser], None]
) -> None:
    backtest = command(
        "backtest", "Judge a forecast from several moments: the test rows in periods, each foretold from all before it."
    )
    add_recipe_flags(backtest)
    backtest.add_argument("--origins", metavar="N", default="5", help="how many periods (default 5)")
    backtest.add_argument("--out", metavar="DIR", help="the folder; default runs/MODEL-DATA-backtest-NUMBER")
    backtest.add_argument("--json", action="store_true", help="one JSON object")


def run_backtest(arguments: argparse.Namespace) -> None:
    from gradus.cli import _count, _format, _print_table, _recipe_of, _say
    from gradus.recipes.backtest import backtest
    from gradus.recipes.folds import deviation, mean
    from gradus.train.observers import show_progress

    recipe, origins = _recipe_of(arguments), _count(arguments.origins, "--origins", 5)
    found = backtest(recipe, origins, arguments.out, observers=(show_progress(),), say=_say)
    if arguments.json:
        print(json.dumps(found.to_json()))
        return
    metric, names = found.metric[0], found.baselines
    rows = [["", "from", "to", f"{metric} of the model", *names]]
    for place, period in enumerate(found.periods, start=1):
        values = [period.metrics[metric], *(period.baselines[name][metric] for name in names)]
        rows.append([f"origin {place}", period.first, period.last, *(_format(metric, value) for value in values)])
    every = [found.values(name) for name in ("", *names)]
    summary = [f"{_format(metric, mean(values) or 0)} ± {_format(metric, deviation(values) or 0)}" for values in every]
    _print_table([*rows, ["mean ± deviation", "", "", *summary], ["folder", str(found.path)]])


COMMANDS = {"backtest": run_backtest}
