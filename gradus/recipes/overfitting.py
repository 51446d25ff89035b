"""The studies of overfitting of *Deep Learning with Python*, 1st ed., §4.4: a smaller and a larger network, L2, dropout.

    python -m gradus.recipes.overfitting [--seeds 3] [--epochs 20] [--rows N] [--json FILE]

Each variant trains with several seeds as one fleet (`train/fleet.py`); variants differ in their shapes or in what a step
computes, so they follow each other. Printed is when the validation loss was least, and what became of it by the last epoch.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from gradus.errors import UserError
from gradus.files import write_atomic
from gradus.recipes.many import Outcome, train_many
from gradus.recipes.recipe import Recipe
from gradus.recipes.table import get_recipe

STUDIES = ("reference", "small", "large", "l2", "dropout")


def study(
    recipes: Mapping[str, Recipe], seeds: int = 3, say: Callable[[str], None] = lambda line: None
) -> dict[str, list[Outcome]]:
    """Trains every variant with the seeds 0 to seeds - 1; name -> what came of each seed, epoch by epoch in its `history`."""
    if seeds < 1:
        raise UserError(f"--seeds: expected a whole number above 0, received {seeds}")
    every = [
        replace(recipe, train=replace(recipe.train, seed=seed, monitor="loss"))
        for recipe in recipes.values()
        for seed in range(seeds)
    ]
    outcomes = train_many(every, say=say)
    return {name: outcomes[place * seeds : (place + 1) * seeds] for place, name in enumerate(recipes)}


def table(found: Mapping[str, list[Outcome]]) -> list[str]:
    """Markdown: means over the seeds. Training loss is without the penalty, and with dropout where there is dropout."""
    lines = [
        "| variant | least validation loss | in epoch | its accuracy | validation loss at the end | training loss at the end |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, outcomes in found.items():
        histories = [outcome.history for outcome in outcomes]
        best = [min(history, key=lambda record: record["validation_loss"]) for history in histories]
        cells = [
            _mean([record["validation_loss"] for record in best], 3),
            _mean([record["epoch"] for record in best], 1),
            _mean([record["validation_accuracy"] for record in best], 4),
            _mean([history[-1]["validation_loss"] for history in histories], 3),
            _mean([history[-1]["train_loss"] for history in histories], 3),
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _mean(values: list[float], digits: int) -> str:
    spread = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.{digits}f}{spread}"


def main() -> None:
    parser = argparse.ArgumentParser(description="A smaller and a larger network, L2 and dropout against overfitting.")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--rows", type=int, default=0, help="training reviews (default: all 15 000 that are left)")
    parser.add_argument("--json", type=Path, help="where the records of all epochs go")
    arguments = parser.parse_args()
    recipes = {}
    for name in STUDIES:
        recipe = get_recipe(f"imdb-multi-hot-{name}")
        data, train = replace(recipe.data, rows=arguments.rows), replace(recipe.train, epochs=arguments.epochs)
        recipes[name] = replace(recipe, data=data, train=train)
    found = study(recipes, arguments.seeds, lambda line: print(line, flush=True))
    print("\n".join(table(found)))
    if arguments.json:
        records = {name: [outcome.history for outcome in outcomes] for name, outcomes in found.items()}
        write_atomic(arguments.json, json.dumps(records, indent=1) + "\n")


if __name__ == "__main__":
    main()
