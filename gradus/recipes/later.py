"""Settings that may be changed after training: they change how answers are found, never the network."""

from __future__ import annotations

from collections.abc import Sequence

from gradus import settings
from gradus.errors import UserError
from gradus.recipes.recipe import Recipe
from gradus.recipes.run import Run
from gradus.tasks.settings import TaskSettings
from gradus.tasks.table import load_task
from gradus.train.folder import RunFolder

# task -> setting -> whether it also changes what is measured
LATER: dict[str, dict[str, bool]] = {
    "object-detection": {"task.options.least_score": False, "model.options.overlap": True},
    "semantic-segmentation": {
        "task.options.tiles": False,
        "task.options.crf": True,
        "task.options.crf_smoothness": True,
        "task.options.crf_appearance": True,
    },
}


def with_later_settings(run: Run, assignments: Sequence[str], *, measured: bool = False) -> Run:
    """The run, of a folder, with `part.field=value` of some settings of `LATER`; its folder stays as it is.

    measured: it is to be measured, so that settings of predictions alone are refused

    Raises `UserError` for any other setting, and for a value that does not suit.
    """
    if not assignments:
        return run
    name = run.recipe.task.name
    known = LATER.get(name, {})
    if not known:
        raise UserError(f"--set: task {name} has no setting that may be changed after training")
    values = settings.to_dict(run.recipe)
    for assignment in assignments:
        setting = assignment.partition("=")[0].strip()
        if setting not in known:
            raise UserError(f"--set {setting}: after training only these may be changed: {', '.join(known)}")
        if measured and not known[setting]:
            raise UserError(f"--set {setting}: it changes predictions alone, not what is measured")
        values = settings.override(values, assignment, Recipe)
    recipe = settings.from_dict(Recipe, values)
    task = load_task(TaskSettings(name=name, options=recipe.task.options), RunFolder(run.path).read_json("task.json"))
    return Run(run.path, recipe, task)
