"""What `gradus doctor RUN` does with a trained run's errors when asked: tables, tags, labels, calibration, costs, choices."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradus.cli.flags import TRAIN_FLAGS
from gradus.cli.output import print_table, say
from gradus.errors import UserError

if TYPE_CHECKING:
    from gradus.doctor.error_table import ErrorTable
    from gradus.recipes.run import Run

COMPANIONS = {  # what says nothing without one of these
    "slice": ("errors",),
    "tags": ("tag",),
    "subject_to": ("optimise",),
    "more": ("optimise",),
    "split": ("errors", "tag", "tags_from", "wrong_labels", "optimise"),
}
WHOLE = ("bound", "only", "learning_curve")  # of the whole doctor
SHOWN = 10
WIDTH = 60  # letters of a row's words


def add_flags(doctor: argparse.ArgumentParser) -> None:
    """Adds the flags of error analysis to `gradus doctor`."""
    doctor.add_argument("more", metavar="RUN", nargs="*", help="further runs, to choose among with --optimise")
    errors = doctor.add_argument_group("errors of a trained run")
    errors.add_argument("--errors", action="store_true", help="worst mistakes, confusions and weak slices")
    errors.add_argument(
        "--slice", metavar="WORDS", help="with --errors: one slice, called as --errors or the doctor calls it"
    )
    errors.add_argument("--split", metavar="NAME", help="whose rows: validation where there are such, else test")
    errors.add_argument("--tag", action="store_true", help="a hundred mistakes to tag, in RUN/doctor/mistakes.csv")
    errors.add_argument("--tags", metavar="A,B", help="with --tag: the tags; in a terminal each mistake is asked about")
    errors.add_argument("--tags-from", metavar="FILE.csv", help="the filled-in table: what mending each kind can give")
    errors.add_argument("--wrong-labels", action="store_true", help="test rows with likely wrong labels, as CSV")
    errors.add_argument(
        "--calibrate", action="store_true", help="fit a temperature, so that answers are as sure as they may be"
    )
    errors.add_argument("--cost", metavar="fn=10,fp=1", help="what mistakes cost: the threshold, and what it saves")
    errors.add_argument("--optimise", metavar="METRIC", help="the best of several runs, or of a run's thresholds")
    errors.add_argument("--subject-to", metavar="LIMITS", help='with --optimise: such as "latency_ms<10"')


def run_errors(arguments: argparse.Namespace) -> bool:
    """Does what one of these flags asks for; False where none is given."""
    asked = [name for name in MODES if _is_given(arguments, name)]
    if len(asked) > 1:
        raise UserError(f"{_flag(asked[0])}, {_flag(asked[1])}: one at a time")
    _check_companions(arguments, asked)
    if arguments.recipe and (asked or (Path(arguments.recipe) / "recipe.toml").exists()):
        _check_recipe_flags(arguments)
    if not asked:
        return False
    from gradus.recipes.run import load_run

    named = [arguments.recipe, *arguments.more]
    if not named[0]:
        raise UserError(f"{_flag(asked[0])}: expected a run, such as: gradus doctor runs/lenet5-digits-1")
    if asked == ["optimise"] and len(named) == 1 and arguments.split is not None:
        raise UserError("--split: a threshold is chosen on validation rows and judged on test rows; leave it out")
    runs = [load_run(one) for one in named]
    found = MODES[asked[0]](runs[0] if asked[0] != "optimise" else runs, arguments)
    if arguments.json:
        print(json.dumps(found[1]))
    else:
        for line in found[0]:
            say(line)
    return True


def _is_given(arguments: argparse.Namespace, name: str) -> bool:
    return getattr(arguments, name) not in (None, False, [])


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _check_companions(arguments: argparse.Namespace, asked: list[str]) -> None:
    for name, needed in COMPANIONS.items():
        if _is_given(arguments, name) and not {*needed} & {*asked}:
            given = str(arguments.more[0]) if name == "more" else _flag(name)
            raise UserError(f"{given}: goes with {', '.join(map(_flag, needed))}")
    for name in WHOLE:
        if asked and _is_given(arguments, name):
            raise UserError(f"{_flag(asked[0])}, {_flag(name)}: one at a time")


def _check_recipe_flags(arguments: argparse.Namespace) -> None:
    """A run is judged as it was trained, so its recipe takes no other settings."""
    for name in (*TRAIN_FLAGS, "augment", "set"):
        if _is_given(arguments, name.replace("-", "_")):
            raise UserError(f"{_flag(name)}: {arguments.recipe} is judged as it was trained; leave it out")


Told = tuple[list[str], Any]  # lines, and what --json prints


def _table_of(run: Run, arguments: argparse.Namespace) -> ErrorTable:
    from gradus.doctor.case import NotHere
    from gradus.doctor.error_table import errors_of, split_of

    try:
        return errors_of(run, split_of(run) if arguments.split is None else arguments.split)
    except NotHere as reason:
        raise UserError(f"{run.path}: {reason}") from None


def _errors(run: Run, arguments: argparse.Namespace) -> Told:
    from gradus.doctor.error_table import confusions
    from gradus.doctor.slices import weak_slices
    from gradus.look.text import plural

    table = _table_of(run, arguments)
    if arguments.slice is not None:
        return _one_slice(run, table, arguments.slice)
    mistakes = table.mistakes
    kind = "wrong" if table.wrong is not None else "those with the largest errors"
    lines = [
        f"{table.split}: {len(table):,} rows, error {table.error_words(table.total)}; {len(mistakes):,} are {kind}"
    ]
    lines += ["", "worst:", *_rows_told(table, table.worst(SHOWN))]
    pairs = confusions(table)
    if pairs:
        lines += ["", "taken for each other:"]
    lines += [
        f"   '{one.given}' answered as '{one.answered}': {plural(one.count, 'time')}, {100 * one.share:.1f} % of its rows "
        f"({100 * one.interval.low:.1f} to {100 * one.interval.high:.1f} %)"
        for one in pairs
    ]
    slices = weak_slices(run, table, run.recipe.train.seed)
    lines += ["", "slices with more errors than the rest, found on one half of the rows and measured on the other:"]
    for one in slices:
        low, high = table.error_words(one.interval.low), table.error_words(one.interval.high)
        lines.append(f"   {one.about}: {table.error_words(one.error)} ({low} to {high}), elsewhere ")
        lines[-1] += (
            f"{table.error_words(one.rest)}; {100 * one.size:.0f} % of the rows, {100 * one.share:.0f} % of all errors"
        )
    if not slices:
        lines.append("   none that holds on both halves")
    found = {
        "split": table.split,
        "error": table.total,
        "worst": [_row_json(table, row) for row in table.worst(SHOWN)],
        "confusions": [[one.given, one.answered, one.count] for one in pairs],
        "slices": [[one.about, one.size, one.error, one.rest, one.share] for one in slices],
    }
    return lines, found


def _one_slice(run: Run, table: ErrorTable, about: str) -> Told:
    """The worst mistakes of a slice."""
    import numpy as np

    from gradus.doctor.slices import group_named, groups_of

    rows, groups = groups_of(run, table, run.recipe.train.seed)
    inside = np.zeros(len(table), dtype=bool)
    inside[rows[group_named(about, groups).rows]] = True
    worst = [int(row) for row in table.worst(len(table)) if inside[row]]
    error = table.error_words(float(table.error[inside].mean())) if inside.any() else "none"
    lines = [
        f"{table.split} rows {about}: {inside.sum():,} rows, error {error}; {len(worst)} of them are wrong or far off"
    ]
    return [*lines, *_rows_told(table, worst[: 3 * SHOWN])], [_row_json(table, row) for row in worst]


def _rows_told(table: ErrorTable, rows: Any) -> list[str]:
    from gradus.look.text import brief

    lines = []
    for row in map(int, rows):
        sure = f" ({100 * table.confidence[row]:.1f} % sure)" if table.confidence is not None else ""
        off = "" if table.wrong is not None else f", {table.error_words(float(table.error[row]))}"
        words = f"given {brief(table.given(row), WIDTH)}, answered {brief(table.answered(row), WIDTH)}{sure}{off}"
        lines.append(f"   {table.split}:{row}  {words}  [{brief(table.origin(row), WIDTH)}]")
    return lines


def _row_json(table: ErrorTable, row: int) -> dict[str, Any]:
    sure = None if table.confidence is None else float(table.confidence[row])
    given, answered = table.given(int(row)), table.answered(int(row))
    return {"row": f"{table.split}:{row}", "given": given, "answered": answered, "certainty": sure}


def _tag(run: Run, arguments: argparse.Namespace) -> Told:
    from gradus.doctor.tagging import Sheet, ask_tags, check_tags, draw_sheet, read_sheet, write_sheet

    path = run.path / "doctor" / "mistakes.csv"
    tags = tuple(one.strip() for one in (arguments.tags or "").split(",") if one.strip())
    check_tags(tags)
    if path.exists():
        sheet = read_sheet(path)
        _check_split(arguments.split, sheet.split, path)
        added = tuple(tag for tag in tags if tag not in sheet.tags)
        sheet = Sheet((*sheet.tags, *added), sheet.rows)
        if added:
            write_sheet(sheet, path)
    else:
        sheet = draw_sheet(_table_of(run, arguments), tags)
        write_sheet(sheet, path)
    if sheet.tags and sys.stdin.isatty() and not arguments.json:
        sheet = ask_tags(sheet, input, print, lambda filled: write_sheet(filled, path))
    how = (
        "put a 1 where a tag holds" if sheet.tags else "name a column for each kind of mistake, put a 1 where it holds"
    )
    then = shlex.join(["gradus", "doctor", str(run.path), "--tags-from", str(path)])
    lines = [f"{len(sheet.rows)} mistakes: {path}; {how}, then: {then}"]
    return lines, {"file": str(path), "rows": len(sheet.rows), "tags": list(sheet.tags)}


def _tags_from(run: Run, arguments: argparse.Namespace) -> Told:
    from gradus.doctor.tagging import ceilings, mass_of_mistakes, read_sheet

    sheet = read_sheet(Path(arguments.tags_from))
    if not sheet.tags:
        raise UserError(f"{arguments.tags_from}: no column is a tag; name one for each kind of mistake")
    _check_split(arguments.split, sheet.split, arguments.tags_from)
    arguments.split = sheet.split
    table = _table_of(run, arguments)
    found = ceilings(sheet, table.total, mass_of_mistakes(table))
    seen = len(sheet.looked_at)
    words = table.error_words
    lines = [
        f"{table.split}: error {words(table.total)}; {seen} mistakes looked at; what mending a kind leaves, at best:"
    ]
    lines += [
        f"   {one.tag}: {one.count} of {seen}, error down to {words(one.left)} at best "
        f"({words(one.left_interval.low)} to {words(one.left_interval.high)})"
        for one in found
    ]
    lines.append("   kinds may overlap, so these gains do not add up")
    return lines, [{"tag": one.tag, "count": one.count, "share": one.share, "left": one.left} for one in found]


def _check_split(asked: str | None, split: str, path: Path | str) -> None:
    if asked not in (None, split):
        raise UserError(f"--split {asked}: {path} has mistakes of {split} rows; for others move it away")


def _wrong_labels(run: Run, arguments: argparse.Namespace) -> Told:
    import csv
    import io

    from gradus.doctor.case import Case, NotHere
    from gradus.doctor.checks.held_out_labels import likely_wrong_rows
    from gradus.doctor.error_table import errors_of, split_of
    from gradus.files import told_disk_errors, write_atomic
    from gradus.tasks.assessment import ClassAssessment

    try:
        usual = "test" if "test" in run.experiment.tensors else split_of(run)
        split = usual if arguments.split is None else arguments.split
        table, assessed = errors_of(run, split), run.assess(split)
    except NotHere as reason:
        raise UserError(f"{run.path}: {reason}") from None
    if not isinstance(assessed, ClassAssessment):
        raise UserError(f"{run.path}: wrong labels are looked for where each row has one class")
    rows = likely_wrong_rows(Case(run.experiment, str(run.path), run), assessed, split)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["row", "origin", "given", "predicted", "certainty"])
    for row in map(int, rows):
        sure = f"{assessed.probabilities[row].max():.4f}"
        writer.writerow([f"{split}:{row}", table.origin(row), table.given(row), table.answered(row), sure])
    path = run.path / "doctor" / f"wrong-labels-{split}.csv"
    with told_disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, "\ufeff" + text.getvalue())
    kept = 1 - (table.error.sum() - len(rows)) / max(len(table) - len(rows), 1)
    lines = [
        f"{len(rows)} of the {len(table.mistakes)} mistakes on {split} rows look like wrong labels: {path}",
        f"accuracy {100 * (1 - table.total):.2f} %, without these rows {100 * kept:.2f} %; look at each before you change it",
        *_rows_told(table, rows[:SHOWN]),
    ]
    return lines, {"file": str(path), "rows": rows.tolist(), "accuracy": 1 - table.total, "without": float(kept)}


def _calibrate(run: Run, arguments: argparse.Namespace) -> Told:
    from gradus.doctor.calibration import calibrate, draw_reliability, stated
    from gradus.files import told_disk_errors
    from gradus.recipes.run import TEMPERATURE_FILE

    found = calibrate(run)
    path = run.path / "doctor" / "reliability.png"
    with told_disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    on = f"{found.split} rows"
    lines = [
        f"temperature {found.fitted.temperature:.3f}: log loss on validation rows {found.fitted.before:.4f} before, "
        f"{found.fitted.after:.4f} after"
    ]
    if found.split != "validation":
        lines[0] += f"; on {on} {found.loss[0]:.4f} before, {found.loss[1]:.4f} after"
    if found.before == found.before:  # enough answers for it
        lines.append(
            f"calibration error on {on} {100 * found.before:.1f} % before, {100 * found.after:.1f} % after: {path}"
        )
        draw_reliability(stated(run.assess(found.split)), path, f"Certainty and {on}{', calibrated' * found.is_kept}")
    if not found.is_kept:
        lines.append(
            f"the {on} are worse with it by more than chance: it was not written, and answers stay as sure as before"
        )
    else:
        lines.append("from now on gradus predict and evaluate state these probabilities; answers stay what they are")
        if found.is_worse:
            lines.append(f"on {on} that is no gain; to undo it remove {run.path / TEMPERATURE_FILE}")
    return lines, {
        "temperature": found.fitted.temperature,
        "loss": [found.fitted.before, found.fitted.after],
        "judged": {"split": found.split, "loss": [*found.loss], "worse": found.is_worse},
        "kept": found.is_kept,
    }


def _cost(run: Run, arguments: argparse.Namespace) -> Told:
    from gradus.doctor.thresholds import decide_by_cost, parse_costs

    found = decide_by_cost(run, parse_costs(arguments.cost))
    lines = [f"answer '{name}' above {threshold:.3f}" for name, threshold in found.thresholds.items()]
    if not lines:
        lines = ["answer the class of the greatest cost x probability"]
    low, high = found.interval.low, found.interval.high
    lines.append(f"a {found.split} row then costs {found.after:.4g} instead of {found.before:.4g} on average ")
    lines[-1] += f"(saved {found.saved:.4g}, {low:.4g} to {high:.4g}; chosen on {found.chosen_on})"
    if low <= 0:
        kept = "one half" if found.thresholds else "the most probable class"
        lines.append(f"that is no sure gain: keep {kept}, or hold out more rows")
    return lines, {"thresholds": found.thresholds, "before": found.before, "after": found.after, "saved": [low, high]}


def _optimise(runs: list[Run], arguments: argparse.Namespace) -> Told:
    from gradus.doctor.choosing import choose, measures_of, values_by_threshold

    limits = arguments.subject_to or ""
    if len(runs) == 1:
        return _best_threshold(runs[0], arguments, values_by_threshold)
    split = "test" if arguments.split is None else arguments.split
    models = {str(run.path): measures_of(run, split) for run in runs}
    best, refused = choose(models, arguments.optimise, limits)
    from gradus.train.observers import format_metric

    names = list(dict.fromkeys(name for values in models.values() for name in values))
    if not arguments.json:
        table = [
            [name, *(format_metric(name, values[name]) if name in values else "-" for values in models.values())]
            for name in names
        ]
        print_table([["", *models], *table])
    if best is None:
        raise UserError(f'--subject-to: no run satisfies "{limits}"')
    out = f"; {', '.join(refused)} {'does' if len(refused) == 1 else 'do'} not satisfy {limits}" if refused else ""
    return [f"best by {arguments.optimise} on {split} rows: {best}{out}"], {
        "best": best,
        "refused": refused,
        "runs": models,
    }


def _best_threshold(run: Run, arguments: argparse.Namespace, values_by_threshold: Callable[..., Any]) -> Told:
    """The threshold that the validation rows choose, and what it gives on the test rows."""
    from gradus.doctor.choosing import choose, goal_of

    splits = run.experiment.tensors
    if "validation" not in splits or "test" not in splits:
        raise UserError(
            f"{run.path}: a threshold is chosen on validation rows and judged on test rows; both are needed"
        )
    chooses, judges = values_by_threshold(run, "validation"), values_by_threshold(run, "test")
    goal, limits = goal_of(arguments.optimise), arguments.subject_to or ""
    lines, found = [], {}
    for name, values in judges.items():
        best, _ = choose(chooses[name], arguments.optimise, limits)
        if best is None:
            of = f" for '{name}'" if len(judges) > 1 else ""
            raise UserError(f'--subject-to: no threshold{of} satisfies "{arguments.subject_to}" on the validation rows')
        lines.append(f"answer '{name}' above {best}, chosen on validation rows; on test rows:")
        lines += [
            f"   {metric}: {values[best][metric]:.4f}, at one half {values['0.50'][metric]:.4f}"
            for metric in values[best]
        ]
        half_will_do = not choose({"0.50": values["0.50"]}, arguments.optimise, limits)[1]
        if half_will_do and goal(values[best]) <= goal(values["0.50"]):
            lines.append("that is no gain on the test rows: keep one half, or hold out more rows")
        found[name] = {"threshold": float(best), "test": values[best], "at one half": values["0.50"]}
    return lines, found if len(found) > 1 else next(iter(found.values()))


MODES: dict[str, Callable[..., Told]] = {
    "errors": _errors,
    "tag": _tag,
    "tags_from": _tags_from,
    "wrong_labels": _wrong_labels,
    "calibrate": _calibrate,
    "cost": _cost,
    "optimise": _optimise,
}
