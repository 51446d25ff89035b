"""The command for data: scan, show, export."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradus.cli.flags import AUGMENT_HELP, whole_number
from gradus.cli.output import print_table, say
from gradus.errors import UserError

if TYPE_CHECKING:
    from gradus.cli.command_line import AddCommand
    from gradus.data.augment.settings import AugmentSettings
    from gradus.data.clock import Clock
    from gradus.data.dataset import Dataset


def add_commands(command: AddCommand) -> None:
    """Adds the command to the parser of the command line."""
    data = command(
        "data",
        "Look at data: scan them for problems, show what is in them, or export them in another format.",
        run_data,
    )
    data.add_argument("action", choices=("scan", "show", "export"))
    data.add_argument("data", metavar="DATA", help="a catalogue name, or the path of a file or folder")
    data.add_argument("--target", metavar="COLUMN", help="the column to learn")
    data.add_argument("--time", metavar="COLUMN", help="the column that tells the time of a row")
    data.add_argument(
        "--augment", metavar="PRESET", help=f"show: draw some pictures as training sees them; {AUGMENT_HELP}"
    )
    data.add_argument("--set", metavar="augment.field=value", action="append", default=[], help="with --augment")
    data.add_argument(
        "--out",
        metavar="FILE.png|DIR",
        help="show: draw pictures with their boxes, masks or classes; export: new folder",
    )
    data.add_argument("--pictures", metavar="N", help="show --out: how many pictures (12; with --augment 4)")
    data.add_argument("--split", metavar="SPLIT", help="show --out: of which split (train)")
    data.add_argument("--seed", metavar="N", default="0", help="with --augment: another draw")
    data.add_argument("--to", metavar="FORMAT", help="export: coco, voc or yolo; csv for boxes, masks for masks")


def run_data(arguments: argparse.Namespace) -> None:
    wrong = [flag for flag in ("to",) if getattr(arguments, flag) is not None and arguments.action != "export"]
    if wrong:
        raise UserError(f"data {arguments.action}: --{wrong[0]} is for `gradus data export`")
    {"scan": _scan, "show": _show, "export": _export}[arguments.action](arguments)


def _scan(arguments: argparse.Namespace) -> None:
    from gradus.data.catalogue import CATALOGUE
    from gradus.data.load import load_data
    from gradus.data.scan import scan

    named = arguments.data in CATALOGUE
    if not named and not Path(arguments.data).exists():
        load_data(arguments.data)  # says what is wrong with the name
    result = scan(load_data(arguments.data) if named else Path(arguments.data), arguments.target, arguments.time)
    for line in result.summary:
        print(line)
    for finding in result.findings:
        print(f"{finding.severity}: {finding.where}: {finding.message}")
    print(f"{len(result.findings)} findings" if result.findings else "nothing found that needs attention")


def _export(arguments: argparse.Namespace) -> None:
    from gradus.data.load import load_data
    from gradus.data.writers import FORMATS, export

    for flag in ("to", "out"):
        if getattr(arguments, flag) is None:
            choice = f": {', '.join(FORMATS)}" if flag == "to" else " DIR, a new folder"
            raise UserError(f"data export: expected --{flag}{choice}")
    dataset = load_data(arguments.data, arguments.target)
    for note in export(dataset, arguments.to, arguments.out):
        print(f"note: {note}")
    say(f"written: {arguments.out}")


def _show(arguments: argparse.Namespace) -> None:
    from gradus.data.load import DataSettings, read_data

    dataset = read_data(DataSettings(source=arguments.data, target=arguments.target, time=arguments.time))
    if arguments.augment is not None or arguments.set:
        _show_augmented(dataset, arguments)
    elif arguments.out is not None and dataset.clock is not None:
        _show_series(dataset, dataset.clock, arguments)
    elif arguments.out is not None:
        _show_pictures(dataset, arguments)
    else:
        _show_table(dataset)


def _show_table(dataset: Dataset) -> None:
    from gradus.data.scan_texts import describe_texts

    print(f"{dataset.name}: {dataset.about}" if dataset.about else dataset.name)
    for note in dataset.notes:
        print(f"note: {note}")
    for name, split in dataset.splits.items():
        print(f"{name}: {len(split):,} rows")
    types = dataset.types
    print_table(
        [
            [name, type(kind).__name__, _describe(kind), "target" if name == dataset.target else ""]
            for name, kind in types.items()
        ]
    )
    first = next(iter(dataset.splits.values()))
    shown = min(5, len(first))
    rows = [
        [first.origins[index], *(" ".join(kind.to_text(first[name][index]).split()) for name, kind in types.items())]
        for index in range(shown)
    ]
    print_table([["", *types], *rows])
    for line in describe_texts(dataset):
        print(line)


def _describe(kind: Any) -> str:
    classes = getattr(kind, "classes", None)
    if classes is not None:
        return f"{len(classes)} classes: {', '.join(classes[:6])}{', ...' if len(classes) > 6 else ''}"
    return {1: "grey", 3: "colour"}.get(getattr(kind, "channels", 0), "")


def _show_series(dataset: Dataset, clock: Clock, arguments: argparse.Namespace) -> None:
    """Each column of numbers as a whole and its first ten seasons (days of hours), as a PNG."""
    import numpy as np

    from gradus.data.clock import series_of, times_of
    from gradus.data.columns import Number
    from gradus.look.forecasts import draw_series

    path = _picture_path(arguments.out)
    train = dataset["train"]
    rows = np.flatnonzero(series_of(train, clock) == series_of(train, clock)[0])
    targets = (dataset.target or "").split(",")
    names = [name for name, kind in dataset.types.items() if isinstance(kind, Number)]
    names.sort(key=lambda name: name not in targets)
    values = np.stack([np.asarray(train[name].values)[rows] for name in names], axis=1)
    draw_series(path, names, times_of(train, clock)[rows], values, first=10 * (clock.season() or 30))
    print(path)


def _show_pictures(dataset: Dataset, arguments: argparse.Namespace) -> None:
    """A sheet of pictures with what is known of them, as a PNG."""
    from gradus.look.scene_sheet import draw_sheet

    path = _picture_path(arguments.out)
    draw_sheet(dataset, path, pictures=whole_number(arguments.pictures or "12", "--pictures"), split=arguments.split)
    print(path)


def _show_augmented(dataset: Dataset, arguments: argparse.Namespace) -> None:
    """Some pictures of a data set with what augmentation makes of them, as a PNG. Boxes and masks follow."""
    from gradus.data.columns import Boxes, Mask
    from gradus.look.augmented import draw_augmented
    from gradus.look.scene_sheet import draw_augmented_scenes

    asked = _augment_settings(arguments)
    path = _picture_path(arguments.out or f"augmented-{dataset.name}.png")
    seed, pictures = (
        whole_number(arguments.seed or "0", "--seed"),
        whole_number(arguments.pictures or "4", "--pictures"),
    )
    if any(isinstance(kind, Boxes | Mask) for kind in dataset.types.values()):
        draw_augmented_scenes(dataset, asked, path, pictures=pictures, seed=seed)
    else:
        draw_augmented(dataset, asked, path, pictures=pictures, seed=seed)
    print(f"{asked.describe() or 'nothing is changed'}")
    print(path)


def _augment_settings(arguments: argparse.Namespace) -> AugmentSettings:
    from gradus import settings
    from gradus.data.augment.settings import get_preset
    from gradus.recipes.recipe import Recipe

    values: dict[str, Any] = {"augment": settings.to_dict(get_preset(arguments.augment or "none"))}
    for assignment in arguments.set:
        if not assignment.startswith("augment."):
            raise UserError(f"--set {assignment}: only augment.FIELD=VALUE changes what is drawn here")
        values = settings.override(values, assignment, Recipe)
    return settings.from_dict(Recipe, values).augment


def _picture_path(out: str) -> Path:
    path = Path(out)
    if path.suffix.lower() != ".png":
        raise UserError(f"--out {out}: expected a file name that ends in .png")
    if not path.parent.is_dir():
        raise UserError(f"--out {out}: there is no folder {path.parent}")
    return path
