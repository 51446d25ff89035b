"""The command `predict`: answers of a run, of an ensemble or of a published network, for pictures, videos, texts and
rows of tables."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradus.cli.output import print_table
from gradus.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from gradus.cli.command_line import AddCommand
    from gradus.recipes.ensemble import Ensemble
    from gradus.recipes.predicting import Stages
    from gradus.recipes.run import Run
    from gradus.tasks.task import Answer

SET_HELP = "a setting that only changes how answers are found, such as task.options.crf=10"
FOLDER = "predictions"  # where drawn pictures go where nothing else is said


def add_commands(command: AddCommand) -> None:
    parser = command("predict", "Predict for pictures, folders, videos, texts, or rows of a table.", run_predict)
    parser.add_argument("run", metavar="RUN|MODEL", help="a run, or a network's name with --weights")
    parser.add_argument("inputs", metavar="INPUT", nargs="+", help="files, folders, a text in quotes, or a row as JSON")
    parser.add_argument("--weights", metavar="FILE|NAME", help="trained weights of a network, such as imagenet")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--plot", metavar="FILE.png", help="draw a forecast behind the rows that it is made from")
    parser.add_argument("--set", metavar="part.field=value", action="append", default=[], help=SET_HELP)
    scenes = parser.add_argument_group("where things are found in pictures (boxes, masks)")
    scenes.add_argument(
        "--out",
        metavar="DIR",
        help=f"a new folder for the drawn pictures ({FOLDER}, {FOLDER}-2, ...; with --json none are drawn unless this is given)",
    )
    scenes.add_argument("--min-score", metavar="X", help="tell and draw boxes with this score or more (0.3)")
    scenes.add_argument("--batch-size", metavar="N", default="8", help="pictures at a time (8)")
    scenes.add_argument("--timing", action="store_true", help="what each stage costs")


def run_predict(arguments: argparse.Namespace) -> None:
    """Raises `UserError` before anything is written where an input, an option or the folder does not suit."""
    from gradus.models import MODELS
    from gradus.recipes.ensemble import load_run_or_ensemble

    source: Any
    if arguments.weights:
        from gradus.recipes.pretrained import Pretrained

        if arguments.set:
            raise UserError("--set: only for a run; a published network has no settings of a task")
        source = Pretrained(arguments.run, arguments.weights)
    elif arguments.run in MODELS and not Path(arguments.run).exists():
        raise UserError(
            f"{arguments.run}: a network predicts with trained weights: give --weights NAME, such as imagenet"
        )
    else:
        source = with_settings(load_run_or_ensemble(arguments.run), arguments.set)
        from gradus.tasks.scenes import SceneInputs

        if isinstance(getattr(source.task, "inputs", None), SceneInputs):
            _predict_scenes(source, arguments)
            return
    for flag in ("out", "min_score", "timing"):
        if getattr(arguments, flag):
            raise UserError(f"--{flag.replace('_', '-')}: only for runs that find things in pictures, such as boxes")
    if arguments.plot:
        _check_plot(source, arguments.plot)
    names, answers = source.answers(arguments.inputs)
    _print_answers(names, answers, arguments.json)
    if arguments.plot:
        _plot(source, arguments, names, answers)


def _check_plot(source: Any, plot: str) -> None:
    if source.task.name != "forecasting":
        raise UserError(f"--plot: only forecasts are drawn, this run's task is {source.task.name}")
    if Path(plot).suffix.lower() != ".png" or not Path(plot).absolute().parent.is_dir():
        raise UserError(f"--plot {plot}: expected a file name that ends in .png, in a folder that is there")


def _plot(source: Any, arguments: argparse.Namespace, names: list[str], answers: list[Answer]) -> None:
    """What is known and what is foretold, a panel for each series and each of its targets."""
    import numpy as np

    from gradus.look.forecasts import Ahead, draw_forecasts
    from gradus.recipes.inputs import read_inputs

    task = source.task
    history = task.history(read_inputs(task, arguments.inputs))
    panels = []
    for name, answer, (times, known) in zip(names, answers, history, strict=True):
        ahead = times[-1] + task.options.delay + np.arange(task.options.horizon) if "times" not in answer.more else None
        ahead = np.array(answer.more["times"], dtype="datetime64[s]") if ahead is None else ahead
        for place, target in enumerate(task.names):
            values, low, high = answer.value[:, place], None, None
            if task.options.quantiles:
                low, high = values[:, 0], values[:, -1]
                values = values[:, task.middle]
            panels.append(Ahead(f"{target} after {name}", times, known[:, place], ahead, values, low, high))
    levels = task.options.quantiles
    draw_forecasts(Path(arguments.plot), panels, f"{levels[0]:.0%} to {levels[-1]:.0%}" if levels else "")
    print(arguments.plot, file=sys.stderr if arguments.json else sys.stdout)


def with_settings(source: Run | Ensemble, assignments: list[str], *, measured: bool = False) -> Run | Ensemble:
    """A run with some settings changed: see `recipes/later.py`."""
    if not assignments:
        return source
    from gradus.recipes.later import with_later_settings
    from gradus.recipes.run import Run

    if not isinstance(source, Run):
        raise UserError("--set: only for a run, this is an ensemble")
    return with_later_settings(source, assignments, measured=measured)


def _print_answers(names: list[str], answers: list[Answer], as_json: bool) -> None:
    if as_json:
        for name, answer in zip(names, answers, strict=True):
            print(json.dumps({"input": name, **answer.to_json()}, ensure_ascii=False))
        return
    from gradus.tasks.answer import TaggedWords

    if answers and isinstance(answers[0], TaggedWords):
        for name, answer in zip(names, answers, strict=True):
            assert isinstance(answer, TaggedWords)
            print(name, *answer.to_lines(), "", sep="\n")
        return
    print_table([[name, answer.to_text()] for name, answer in zip(names, answers, strict=True)])


def _predict_scenes(run: Run | Ensemble, arguments: argparse.Namespace) -> None:
    """A few pictures at a time: answers are told, and drawn, as they come."""
    from gradus.data.columns import Image
    from gradus.data.frames import find_files, read_frames
    from gradus.recipes.predicting import Stages, predict_frames
    from gradus.recipes.run import Run

    assert isinstance(run, Run)  # ensembles are of other tasks
    batch_size = _number(arguments.batch_size, "--batch-size", 1, 4096)
    if batch_size != int(batch_size):
        raise UserError(f"--batch-size: expected a whole number, received '{arguments.batch_size}'")
    if arguments.min_score is not None:
        _set_least_score(run, _number(arguments.min_score, "--min-score", 0, 1))
    files = find_files(arguments.inputs)
    folder = None
    if arguments.out or not arguments.json:
        folder = _new_folder(arguments.out)
    (kind,) = (kind for kind in run.task.input_types.values() if isinstance(kind, Image))
    run.model  # noqa: B018 - what is wrong with the run is told before a folder is made
    stages, names = Stages(run.plan.device), set[Path]()
    for frame, answer in predict_frames(run, read_frames(files, kind.channels), stages, int(batch_size)):
        if arguments.json:
            print(json.dumps({"input": frame.name, **answer.to_json()}, ensure_ascii=False))
        else:
            print(f"{frame.name}  {answer.to_text()}")
        if folder is not None:
            with stages("drawing"):
                _write(folder, _unused(frame.path, names), frame.pixels, answer)
    stream = sys.stderr if arguments.json else sys.stdout
    _tell(stages, folder, arguments, stream)
    best = getattr(run.task, "best_score", None)
    if best is not None and run.task.options.least_score is None:  # type: ignore[attr-defined]
        print(f"told are boxes with a score of {best:g} or more, the best on the validation pictures", file=stream)


def _number(text: str, flag: str, least: float, most: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not least <= value <= most:
        raise UserError(f"{flag}: expected a number from {least:g} to {most:g}, received '{text}'")
    return value


def _set_least_score(run: Run, score: float) -> None:
    from dataclasses import replace

    options = getattr(run.task, "options", None)
    if not hasattr(options, "least_score"):
        raise UserError(f"--min-score: only for runs that find boxes, this run's task is {run.task.name}")
    run.task.options = replace(options, least_score=score)  # type: ignore[attr-defined, type-var]


def _new_folder(given: str | None) -> Path:
    """The folder that is named, which must be new or empty; or the first unused of predictions, predictions-2, ..."""
    if given is None:
        folder, number = Path(FOLDER), 2
        while folder.exists():
            folder, number = Path(f"{FOLDER}-{number}"), number + 1
        return folder
    folder = Path(given)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"--out {given}: there is something already; name a new or an empty folder")
    return folder


def _unused(path: Path, names: set[Path]) -> Path:
    """The path, or the path-2, path-3, ... where another input had the same name."""
    found, number = path, 2
    while found in names:
        found, number = path.with_name(f"{path.name}-{number}"), number + 1
    names.add(found)
    return found


def _write(folder: Path, name: Path, pixels: np.ndarray, answer: Answer) -> None:
    """NAME.jpg with the answer drawn; of a mask also NAME-mask.png, whose grey values are the classes' numbers."""
    from PIL import Image as PillowImage

    from gradus.data.columns import Boxes, Mask, Points
    from gradus.look.points import draw_points
    from gradus.look.scenes import draw_mask, draw_objects

    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(answer.type, Boxes):
        drawn = draw_objects(pixels, answer.value, answer.type.classes)
    elif isinstance(answer.type, Mask):
        drawn = draw_mask(pixels, answer.value, answer.type.classes)
        PillowImage.fromarray(answer.value.astype("uint8")).save(path.with_name(f"{path.name}-mask.png"))
    elif isinstance(answer.type, Points):
        drawn = draw_points(pixels, answer.value, answer.type.names)
    else:
        return
    PillowImage.fromarray(drawn).save(path.with_name(f"{path.name}.jpg"), quality=92)


def _tell(stages: Stages, folder: Path | None, arguments: argparse.Namespace, stream: Any) -> None:
    """How many, how fast, where to."""
    seconds = sum(stages.seconds.values())
    many = f"{stages.pictures:,} picture{'' if stages.pictures == 1 else 's'}"
    rate = f"{many} in {seconds:.1f} s, {stages.rate:.3g} a second"
    drawn = f"; drawn into {folder}" if folder is not None and folder.exists() else ""
    print(rate + drawn, file=stream)
    if arguments.timing:
        rows = [[stage, f"{each:.1f} ms", f"{100 * share:.0f} %"] for stage, each, share in stages.rows()]
        print_table([["stage", "a picture", "of all"], *rows], stream)
