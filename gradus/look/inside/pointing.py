"""The pointing game (Zhang et al. 2016): does the strongest place of a map lie on the object?

Held against the centre of the picture, where photographers put things, and against a random point, which hits as often as the
object is large.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gradus.data.images import decode_picture, resize
from gradus.errors import UserError, unknown_name
from gradus.look.inside.faithful import methods_of
from gradus.look.inside.overlay import in_frame, strongest
from gradus.look.inside.painting import as_rgb, captioned
from gradus.look.inside.sight import Panel, Sight
from gradus.look.inside.subject import Picture, Subject
from gradus.look.inside.why import asked_of
from gradus.look.text import percent

SHOWN = 24  # pictures in the sheet


@dataclass
class Game:
    """One picture with its object. mask: bool (height, width), true on the object."""

    picture: Picture
    mask: np.ndarray
    of_class: str


def read_games(path: Path, subject: Subject) -> list[Game]:
    """The pictures and objects of a JSON file: a list of {"picture": FILE or SPLIT:ROW, "boxes": [[left, top, right, bottom],
    ...] or "mask": FILE, "class": what to ask for (as --class takes it; the network's own answer where it is left out)}.

    Boxes are in pixels of the picture at its own size, right and bottom not included; a mask is a picture, not 0 on the object.
    Files are looked for beside the JSON file. Raises `UserError` naming the entry.
    """
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: this is no JSON file ({error})") from None
    if not isinstance(entries, list) or not entries:
        raise UserError(f'{path}: expected a list of {{"picture": ..., "boxes": [[left, top, right, bottom]]}}')
    return [_game(entry, f"{path}, entry {number}", path.parent, subject) for number, entry in enumerate(entries)]


def _game(entry: Any, where: str, folder: Path, subject: Subject) -> Game:
    if not isinstance(entry, dict) or not isinstance(entry.get("picture"), str):
        raise UserError(f'{where}: expected an object with "picture"')
    if ("boxes" in entry) == ("mask" in entry):
        raise UserError(f'{where}: expected either "boxes" or "mask"')
    picture = _picture(entry["picture"], where, folder, subject)
    height, width = picture.pixels.shape[:2]
    if "mask" in entry:
        mask = decode_picture(folder / str(entry["mask"]), 1, str(folder / str(entry["mask"])))[:, :, 0] > 0
        if mask.shape != (height, width):
            raise UserError(f"{where}: the mask is {mask.shape[1]}x{mask.shape[0]}, the picture {width}x{height}")
    else:
        mask = _from_boxes(entry["boxes"], height, width, where)
    if not mask.any():
        raise UserError(f"{where}: the object is empty")
    return Game(picture, mask, str(entry.get("class", "")))


def _picture(name: str, where: str, folder: Path, subject: Subject) -> Picture:
    try:
        row = None if (folder / name).exists() else subject.row(name)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    if row is not None:
        return row
    return Picture(name, decode_picture(folder / name, subject.channels, str(folder / name)))


def _from_boxes(boxes: Any, height: int, width: int, where: str) -> np.ndarray:
    mask = np.zeros((height, width), dtype=bool)
    for box in boxes if isinstance(boxes, list) else [None]:
        if not isinstance(box, list) or len(box) != 4 or not all(isinstance(side, int | float) for side in box):
            raise UserError(f"{where}: a box is [left, top, right, bottom], received {box!r}")
        left, top, right, bottom = (round(side) for side in box)
        if not (0 <= left < right <= width and 0 <= top < bottom <= height):
            raise UserError(f"{where}: the box {box} does not lie in the picture of {width}x{height}")
        mask[top:bottom, left:right] = True
    return mask


def pointing(
    subject: Subject,
    pictures: Sequence[Picture] = (),
    *,
    boxes: str = "",
    method: str = "grad-cam",
    layer: str = "",
) -> Sight:
    """How often the strongest place of a map lies on the object, against the picture's centre and a random point.

    boxes: a JSON file of pictures and objects (`read_games`); method: of `compare`; layer: of Grad-CAM
    """
    if not boxes:
        raise UserError("pointing: which objects? Give --set boxes=FILE, a JSON list of pictures with boxes or masks")
    games = read_games(Path(boxes), subject)
    methods = methods_of(subject, subject.inputs([games[0].picture]), layer)
    if method not in methods:
        raise unknown_name("method", method, methods)
    points = []
    for game in games:
        asked = asked_of(subject, game.picture, game.of_class)
        shown = methods[method](asked)[0].cpu().numpy()
        points.append(strongest(*in_frame(shown, subject, *game.mask.shape)))
    hits = np.array([game.mask[point] for game, point in zip(games, points, strict=True)])
    centre = np.array([game.mask[game.mask.shape[0] // 2, game.mask.shape[1] // 2] for game in games])
    chance = float(np.mean([game.mask.mean() for game in games]))
    return _told(subject, games, points, hits, centre, chance, method)


def _told(
    subject: Subject,
    games: list[Game],
    points: list[tuple[int, int]],
    hits: np.ndarray,
    centre: np.ndarray,
    chance: float,
    method: str,
) -> Sight:
    from scipy.stats import binomtest

    won, lost = int((hits & ~centre).sum()), int((~hits & centre).sum())
    p = binomtest(won, won + lost).pvalue if won + lost else 1.0
    sight = Sight("pointing", f"The pointing game of {method}: {subject.name}")
    hit, middle = percent(float(hits.mean())), percent(float(centre.mean()))
    sight.said = [
        f"{len(games)} pictures: the strongest place of {method} lies on the object in {hit}, the centre of the "
        f"picture in {middle}, a random point in {percent(chance)}.",
        f"{method} hits where the centre misses {won} times, the other way round {lost} times (sign test: p = {p:.2g}).",
    ]
    sight.numbers = {method: hits.mean(), "centre": centre.mean(), "random point": chance, "p of the sign test": p}
    sight.arrays = {"points": np.array(points), "hits": hits, "centre": centre}
    missed_first = np.argsort(hits, kind="stable")[:SHOWN]
    tiles = np.stack([_tile(games[index], points[index]) for index in missed_first])
    captions = [f"{games[index].picture.name}\n{'hit' if hits[index] else 'missed'}" for index in missed_first]
    sheet = captioned(tiles, captions, columns=6)
    sight.panels = [Panel("sheet", "Objects (bright) and strongest places (cross), misses first", sheet)]
    return sight


def _tile(game: Game, point: tuple[int, int], side: int = 128) -> np.ndarray:
    """The picture, dark outside the object, with a cross at the point, fitted into a square."""
    picture = as_rgb(game.picture.pixels)
    shown = np.where(game.mask[:, :, None], picture, picture // 3).astype(np.uint8)
    arm = max(1, round(max(picture.shape) / 18))
    thick = max(1, arm // 5)
    y, x = point
    for ys, xs in ((arm, thick), (thick, arm)):
        shown[max(0, y - ys) : y + ys + 1, max(0, x - xs) : x + xs + 1] = (255, 40, 40)
    return resize(shown, (side, side), "pad")
