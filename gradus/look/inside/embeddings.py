"""A map of pictures by what the network holds of them: a page to zoom in, with nearest neighbours and wrong answers."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from gradus.data.images import resize
from gradus.errors import UserError
from gradus.look.inside.answers import are_its_classes, probabilities, row_classes
from gradus.look.inside.hooks import parts
from gradus.look.inside.painting import CLASS_COLOURS, as_rgb, captioned, enlarged
from gradus.look.inside.sight import Panel, Sight, grid
from gradus.look.inside.subject import Picture, Rows, Subject
from gradus.look.page import Html, element, join
from gradus.look.text import percent
from gradus.models.stages import head_of

VIEWS = {"pca": "PCA", "tsne": "t-SNE"}
THUMBNAIL = 40  # pixels at most
SHEET = 1400  # pixels of the PNG's map
MOST_SHOWN = 24  # classes in the legend of the PNG


@dataclass
class Map:
    """features (N, F); places: view -> (N, 2) in 0..1; near (N, k): the nearest others; wrong (N,): bool; answers or None"""

    features: np.ndarray
    places: dict[str, np.ndarray]
    near: np.ndarray
    wrong: np.ndarray
    answers: np.ndarray | None


def embeddings(
    subject: Subject,
    pictures: Sequence[Picture] = (),
    *,
    split: str = "test",
    rows: int = 600,
    layer: str = "",
    neighbours: int = 5,
    seed: int = 0,
) -> Sight:
    """The rows as points, placed by PCA and by t-SNE of what a layer holds (averaged over a map's places).

    layer: whose outputs; where none is given, what the last layer with weights is given: all that the answer is made from
    Wrong marks: rows that the network answers wrong; where its classes are others than the rows', those whose nearest
    neighbours (by distance between the features) mostly have another class.
    pictures: of each, the nearest rows are shown

    Arrays: `features` (N, F), `pca` and `tsne` (N, 2) in 0..1, `near` (N, neighbours), `labels`, `wrong`; with pictures
    `nearest` (P, neighbours): rows by their number among those shown, which `rows` of the split they are said in `names`.
    """
    if rows < 5 or not 1 <= neighbours < rows:
        raise UserError("embeddings: expected 5 rows or more, and fewer neighbours than rows")
    chosen = subject.labelled(split).sample(rows, seed)
    if len(chosen) < 5:
        raise UserError(f"embeddings: the {split} split has {len(chosen)} rows; it takes 5 or more")
    features = features_of(subject, chosen.pixels, layer)
    labels, classes = chosen.labels.numpy(), row_classes(subject, chosen)
    near = nearest(features, features, neighbours + 1)[:, 1:]
    agree = labels[near] == labels[:, None]
    answers = probabilities(subject, chosen.pixels).argmax(axis=1) if are_its_classes(subject, chosen) else None
    wrong = agree.mean(axis=1) < 0.5 if answers is None else answers != labels
    found = Map(features, places(features, seed), near, wrong, answers)
    marks = "answered wrong" if answers is not None else "whose neighbours mostly have another class"
    sight = Sight(
        "embeddings",
        f"Pictures as {subject.name} holds them",
        said=[
            f"{len(labels):,} {split} rows, placed by the {features.shape[1]:,} numbers that "
            f"{layer or 'the last layer'} {'gives' if layer else 'is given'}; each is nearest to rows of its own class in "
            f"{percent(float(agree.mean()))} of cases. Crosses mark the {int(wrong.sum())} {marks}.",
            "Distances on the map are not those between the features: t-SNE keeps neighbours together, PCA what varies most.",
        ],
        first=_widget(found, chosen, classes),
        script=resources.files("gradus.look.inside").joinpath("embeddings.js").read_text(encoding="utf-8"),
        arrays={"features": features, "near": near, "labels": labels, "wrong": wrong, **found.places},
        numbers={"neighbours_of_its_class": float(agree.mean()), "marked": float(wrong.sum())},
    )
    for view, words in VIEWS.items():
        title = f"{words} of {len(labels):,} {split} rows; crosses: {marks}"
        sight.panels.append(Panel(view, title, draw_map(found, view, chosen, classes), titled=True))
    if pictures:
        _add_nearest(sight, subject, pictures, found, chosen, classes, layer, neighbours)
    return sight


@torch.no_grad()
def features_of(subject: Subject, pixels: Tensor, layer: str) -> np.ndarray:
    """(N, F) float32: the layer's outputs, or the inputs of the last layer with weights; maps and tokens by their means."""
    module = subject.layer(layer or head_of(subject.model))
    kept: list[np.ndarray] = []

    def keep(module: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
        held = output if layer else given[0]
        held = held.mean(dim=(2, 3)) if held.ndim == 4 else held.mean(dim=1) if held.ndim == 3 else held.flatten(1)
        kept.append(held.float().cpu().numpy())

    handle = module.register_forward_hook(keep)
    try:
        for part in parts(len(pixels)):
            subject.model(subject.prepare(pixels[part].to(subject.device)))
    finally:
        handle.remove()
    return np.concatenate(kept)


def nearest(features: np.ndarray, others: np.ndarray, count: int) -> np.ndarray:
    """For each of `others` (M, F) the numbers (M, count) of the nearest rows of `features` (N, F), nearest first; equal distances
    in the order of the rows, a row itself first."""
    wide, asked = features.astype(np.float64), others.astype(np.float64)
    distances = (asked**2).sum(1)[:, None] - 2 * asked @ wide.T + (wide**2).sum(1)[None, :]
    if features is others:
        np.fill_diagonal(distances, -np.inf)
    return np.argsort(distances, axis=1, kind="stable")[:, :count]


def places(features: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """View -> (N, 2) in 0..1, both axes on one scale."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    count = min(50, *features.shape)
    components = PCA(count, svd_solver="full").fit_transform(features.astype(np.float64))
    flat = np.hstack([components, np.zeros((len(features), 2))])[:, :2]
    if np.ptp(components) == 0:
        return {"pca": in_unit(flat), "tsne": in_unit(flat)}
    perplexity = min(30.0, (len(features) - 1) / 3)
    spread = TSNE(2, perplexity=perplexity, init=flat / max(flat[:, 0].std(), 1e-12) * 1e-4, random_state=seed)
    return {"pca": in_unit(flat), "tsne": in_unit(spread.fit_transform(components))}


def in_unit(points: np.ndarray) -> np.ndarray:
    """Points (N, 2) moved and scaled into 0..1, both axes alike, the narrower in the middle."""
    low, high = points.min(axis=0), points.max(axis=0)
    size = max(float((high - low).max()), 1e-12)
    return (points - (low + high) / 2) / size + 0.5


def thumbnails(rows: Rows) -> np.ndarray:
    """uint8 (N, side, side, C) of at most `THUMBNAIL` pixels."""
    pixels = rows.pixels.numpy()
    side = min(THUMBNAIL, pixels.shape[1])
    return np.stack([resize(np.ascontiguousarray(one), (side, side)) for one in pixels])


def _widget(found: Map, rows: Rows, classes: tuple[str, ...]) -> Html:
    """The map's canvas with its buttons, legend and data. All thumbnails are one picture (JPEG, quality 88)."""
    tiles = thumbnails(rows)
    columns = int(np.ceil(np.sqrt(len(tiles))))
    written = io.BytesIO()
    Image.fromarray(as_rgb(grid(tiles, columns, gap=0))).save(written, format="jpeg", quality=88)
    labels = rows.labels.tolist()
    data = {
        "views": list(VIEWS),
        "places": {view: np.round(points, 4).ravel().tolist() for view, points in found.places.items()},
        "label": labels,
        "classes": classes,
        "names": [str(one) for one in rows.names],
        "near": found.near.tolist(),
        "wrong": found.wrong.astype(int).tolist(),
        "answer": [] if found.answers is None else found.answers.tolist(),
        "answers": classes if found.answers is not None else [],
        "colours": CLASS_COLOURS,
        "side": tiles.shape[1],
        "columns": columns,
    }
    buttons = [
        element("button", words, type="button", data_view=view, aria_pressed=str(index == 0).lower())
        for index, (view, words) in enumerate(VIEWS.items())
    ]
    buttons.append(element("button", "pictures", type="button", id="map-kind"))
    address = f"data:image/jpeg;base64,{base64.b64encode(written.getvalue()).decode()}"
    style = resources.files("gradus.look.inside").joinpath("embeddings.css").read_text(encoding="utf-8")
    return join(
        [
            element("style", Html(style)),
            element("div", *buttons, _legend(sorted(set(labels)), classes), class_="map-bar"),
            element("canvas", id="map", tabindex="0", role="application", aria_label=HELP, aria_describedby="map-said"),
            element("p", HELP, class_="note"),
            element(
                "div",
                element("canvas", id="map-loupe", width="128", height="128", aria_hidden="true"),
                element("p", id="map-said", aria_live="polite"),
                class_="map-told",
            ),
            element("img", src=address, id="map-sheet", alt="", hidden="hidden"),
            element("div", json.dumps(data, ensure_ascii=False), id="map-data", hidden="hidden"),
        ]
    )


HELP = (
    "Wheel, two fingers or + and − zoom; drag or shift with arrows moves; pointer or arrows choose a picture and show its "
    "nearest; 0 shows all."
)


def _legend(labels: Sequence[int], classes: Sequence[str]) -> Html:
    keys = []
    for label in labels:
        colour = CLASS_COLOURS[label % len(CLASS_COLOURS)]
        box = element("input", type="checkbox", checked="checked", data_class=label)
        keys.append(
            element("label", box, element("span", class_="swatch", style=f"background:{colour}"), classes[label])
        )
    return join(keys)


def draw_map(found: Map, view: str, rows: Rows, classes: Sequence[str]) -> np.ndarray:
    """The map as RGB pixels: thumbnails framed in the colour of their class, crosses over those marked, a legend on top."""
    from PIL import ImageDraw

    tiles = as_rgb(thumbnails(rows))
    side = int(np.clip(0.8 * SHEET / np.sqrt(len(tiles)), 14, 64))
    sheet = Image.new("RGB", (SHEET, SHEET), "white")
    pen = ImageDraw.Draw(sheet)
    labels = rows.labels.tolist()
    for index in np.argsort(found.wrong, kind="stable"):  # those marked lie on top
        middle = found.places[view][index] * (SHEET - side - 8) + side / 2 + 4
        left, top = (int(place) for place in middle - side / 2)
        colour = CLASS_COLOURS[labels[index] % len(CLASS_COLOURS)]
        pen.rectangle((left - 2, top - 2, left + side + 1, top + side + 1), fill=colour)
        sheet.paste(Image.fromarray(tiles[index]).resize((side, side)), (left, top))
        if found.wrong[index]:
            pen.line((left, top, left + side, top + side), fill="#b3261e", width=2)
            pen.line((left, top + side, left + side, top), fill="#b3261e", width=2)
    present = sorted(set(labels))[:MOST_SHOWN]
    swatches = np.zeros((len(present), 14, 90, 3), dtype=np.uint8)
    for place, label in enumerate(present):
        colour = CLASS_COLOURS[label % len(CLASS_COLOURS)]
        swatches[place] = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    legend = captioned(swatches, [classes[label] for label in present], columns=12, gap=8)
    whole = np.full((legend.shape[0] + SHEET, max(SHEET, legend.shape[1]), 3), 255, dtype=np.uint8)
    whole[: legend.shape[0], : legend.shape[1]] = legend
    whole[legend.shape[0] :, :SHEET] = np.asarray(sheet)
    return whole


def _add_nearest(
    sight: Sight,
    subject: Subject,
    pictures: Sequence[Picture],
    found: Map,
    rows: Rows,
    classes: tuple[str, ...],
    layer: str,
    neighbours: int,
) -> None:
    """Adds the nearest rows of each picture given."""
    pixels = torch.from_numpy(subject.pixels(pictures))
    closest = nearest(found.features, features_of(subject, pixels, layer), neighbours)
    sight.arrays["nearest"] = closest
    labels = rows.labels.numpy()
    tiles, captions = [], []
    for index, picture in enumerate(pictures):
        tiles += [pixels[index].numpy(), *rows.pixels[torch.from_numpy(closest[index])].numpy()]
        captions += [picture.name, *(classes[labels[row]] for row in closest[index])]
    shown = captioned(enlarged(np.stack(tiles), 128), captions, columns=neighbours + 1)
    title = f"Each picture, and the {neighbours} rows nearest to it"
    sight.panels.insert(0, Panel("nearest", title, shown, titled=True))
