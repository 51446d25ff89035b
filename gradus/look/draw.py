"""A value of each column type as HTML, and a whole row of a split.

Everything from the user's data is escaped on its way (see page.py). Pictures are PNG data inside the page.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Collection
from typing import Any

import numpy as np

from gradus.data.columns import Column, ColumnType, Image, Label, Labels, Number, Text, Time
from gradus.data.dataset import Split
from gradus.data.images import resize
from gradus.errors import UserError
from gradus.look.page import Html, details, element, join, name
from gradus.look.text import number

LARGEST = 176  # pixels of the longer side; larger pictures are scaled down so that a page of them stays small
TINY = 64  # pictures up to this size are enlarged with visible pixels, as they are what the model sees
LETTERS = 280  # of a text that are shown at first
LONGEST = 20_000  # and unfolded
CELLS = 8


def draw_value(column_type: ColumnType, value: Any, description: str = "") -> Html:
    """One value as HTML. description: what a screen reader says of a picture."""
    if isinstance(column_type, Image):
        return draw_picture(value, description)
    if isinstance(column_type, Number):
        return element("span", number(float(value), 5), class_="number")
    if isinstance(column_type, Text):
        whole = str(value)
        if len(whole) <= LETTERS:
            return element("span", name(whole), class_="writing")
        shown = element("span", name(shortened(whole)), class_="writing")
        return join((shown, details("the whole text", element("p", name(whole[:LONGEST]), class_="writing"))))
    if isinstance(column_type, Label):
        return name(column_type.to_text(int(value)))
    if isinstance(column_type, Time):
        return element("span", column_type.to_text(value), class_="number")
    if isinstance(column_type, Labels):
        held = column_type.to_json(value)
        return join((element("span", name(label), class_="tag") for label in held), " ") if held else Html("none")
    raise TypeError(f"no drawing for the column type {type(column_type).__name__}")


def shortened(text: str, letters: int = LETTERS) -> str:
    """The beginning of a text, cut between words (in one without spaces, anywhere), with an ellipsis."""
    if len(text) <= letters:
        return text
    kept = text[: letters - 1]
    place = max(kept.rfind(" "), kept.rfind("\n"))
    return (kept[:place] if place > letters // 2 else kept).rstrip() + "…"


def draw_picture(value: np.ndarray, description: str = "") -> Html:
    """A uint8 picture (height, width, 1 or 3 channels) as an `<img>` that carries its data."""
    height, width = value.shape[:2]
    scale = LARGEST / max(height, width)
    if scale < 1:
        value = resize(np.ascontiguousarray(value), (max(round(height * scale), 1), max(round(width * scale), 1)))
    kind = "tiny" if max(height, width) <= TINY else "photo"
    return element("img", src=png(value), alt=description, class_=kind, width=value.shape[1], height=value.shape[0])


def png(value: np.ndarray) -> str:
    """A uint8 picture (height, width, 1, 3 or 4 channels) as a `data:image/png` address."""
    from PIL import Image as PillowImage

    written = io.BytesIO()
    PillowImage.fromarray(value[:, :, 0] if value.shape[2] == 1 else value).save(written, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(written.getvalue()).decode("ascii")


def photo(value: np.ndarray, description: str = "") -> Html:
    """A uint8 picture (height, width, 3) as an `<img>` with its data as JPEG, which for photographs is a tenth of a PNG."""
    from PIL import Image as PillowImage

    written = io.BytesIO()
    PillowImage.fromarray(value).save(written, "JPEG", quality=82)
    source = "data:image/jpeg;base64," + base64.b64encode(written.getvalue()).decode("ascii")
    return element("img", src=source, alt=description, class_="scene", width=value.shape[1], height=value.shape[0])


def input_names(examples: Split, target: str | None) -> list[str]:
    """The columns of `examples` that are inputs: all but the target (one column, or several joined by commas)."""
    targets = {target} if target in examples.columns else {part.strip() for part in (target or "").split(",")}
    return [column for column in examples.columns if column not in targets]


def number_spreads(examples: Split, names: Collection[str]) -> dict[str, tuple[float, float]]:
    """Mean and standard deviation of each numeric column among `names`, by which a row's unusual values are found."""
    spreads = {}
    for column_name in names:
        column = examples.columns[column_name]
        values = np.asarray(column.values, dtype=np.float64) if isinstance(column.type, Number) else np.zeros(0)
        known = values[np.isfinite(values)]
        if len(known):
            spreads[column_name] = float(known.mean()), float(known.std())
    return spreads


def draw_row(examples: Split, index: int, names: list[str], spreads: dict[str, tuple[float, float]]) -> Html:
    """The inputs `names` of one row: pictures, then texts, then a small table of the others.

    Of more than `CELLS` table columns the most unusual are shown: those furthest, in standard deviations, from the mean
    of the split (`spreads`, of `number_spreads`).
    """
    large = [column for column in names if isinstance(examples.columns[column].type, Image | Text)]
    small = [column for column in names if column not in large]
    shown = small
    if len(small) > CELLS:
        far = {column: _unusual(examples.columns[column], index, spreads.get(column)) for column in small}
        kept = set(sorted(small, key=lambda column: -far[column])[:CELLS])
        shown = [column for column in small if column in kept]
    pieces = [_drawn(examples, column, index) for column in large]
    if shown:
        rows = (
            element("tr", element("th", name(column), scope="row"), element("td", _drawn(examples, column, index)))
            for column in shown
        )
        pieces.append(element("table", element("tbody", *rows), class_="row"))
    if len(shown) < len(small):
        pieces.append(element("p", f"the {len(shown)} most unusual of {len(small)} columns", class_="note"))
    return join(pieces)


def _unusual(column: Column, index: int, spread: tuple[float, float] | None) -> float:
    if spread is None or not spread[1] > 0:
        return 0.0
    distance = abs(float(column[index]) - spread[0]) / spread[1]
    return distance if np.isfinite(distance) else 0.0


def _drawn(examples: Split, column_name: str, index: int) -> Html:
    column = examples.columns[column_name]
    try:
        return draw_value(column.type, column[index], f"{column_name} of {examples.origins[index]}")
    except (
        UserError
    ) as error:  # a picture file that has gone or broke since training: the rest of the page still counts
        return element("span", str(error), class_="broken")
