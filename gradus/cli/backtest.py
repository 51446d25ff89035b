"""The command `backtest`: a forecast judged from several moments."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from gradus.cli.flags import add_recipe_flags, recipe_of, whole_number
from gradus.cli.output import format_value, print_table, say

if TYPE_CHECKING:
    from gradus.cli.command_line import AddCommand


def add_commands(command: AddCommand) -> None:
    backtest = command(
        "backtest",
        "Judge a forecast from several moments: the test rows in periods, each foretold from all before it.",
        run_backtest,
    )
    add_recipe_flags(backtest)
    backtest.add_argument("--origins", metavar="N", default="5", help="how many periods (default 5)")
    backtest.add_argument("--out", metavar="DIR", help="the folder; default runs/MODEL-DATA-backtest-NUMBER")
    backtest.add_argument("--json", action="store_true", help="one JSON object")


def run_backtest(arguments: argparse.Namespace) -> None:
    from gradus.recipes.backtest import backtest
    from gradus.recipes.folds import deviation, mean
    from gradus.train.observers import show_progress

    recipe, origins = recipe_of(arguments), whole_number(arguments.origins or "5", "--origins")
    found = backtest(recipe, origins, arguments.out, observers=(show_progress(),), say=say)
    if arguments.json:
        print(json.dumps(found.to_json()))
        return
    metric, names = found.metric[0], found.baselines
    rows = [["", "from", "to", f"{metric} of the model", *names]]
    for place, period in enumerate(found.periods, start=1):
        values = [period.metrics[metric], *(period.baselines[name][metric] for name in names)]
        rows.append([f"origin {place}", period.first, period.last, *(format_value(metric, value) for value in values)])
    every = [found.values(name) for name in ("", *names)]
    summary = [
        f"{format_value(metric, mean(values) or 0)} ± {format_value(metric, deviation(values) or 0)}"
        for values in every
    ]
    print_table([*rows, ["mean ± deviation", "", "", *summary], ["folder", str(found.path)]])
