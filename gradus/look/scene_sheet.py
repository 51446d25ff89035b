"""Pictures of a data set with their boxes, masks or classes drawn on them; and what augmentation makes of both."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image as PillowImage
from PIL import ImageDraw

from gradus.data.augment.apply import Augmentation
from gradus.data.augment.colour import principal_components
from gradus.data.augment.follow import LEAST_SEEN, move_boxes
from gradus.data.augment.geometry import Warp, warp_masks
from gradus.data.augment.settings import AugmentSettings
from gradus.data.columns import Boxes, ColumnType, Image, Mask, Objects, Points
from gradus.data.dataset import Dataset
from gradus.data.images import resize
from gradus.errors import UserError
from gradus.files import write_atomic
from gradus.look.scenes import INK, PAPER, class_colour, draw_legend, draw_mask, draw_objects, font, in_a_line

SIDE = 360  # pixels of the longer side of a picture on a sheet
TINY = 64  # pixels; pictures up to this side are shown at a third of SIDE
GAP = 10
CAPTION = 18  # pixels of height


def draw_sheet(
    dataset: Dataset, path: Path, pictures: int = 12, split: str | None = None, columns: int = 4
) -> np.ndarray:
    """Draws pictures from all over a split, each with its boxes, its mask or its class, and where it is from. Returns what was
    written: uint8 (H, W, 3). Raises `UserError` where there is no column of pictures, or no such split."""
    rows = dataset[split] if split else dataset.splits.get("train") or next(iter(dataset.splits.values()))
    picture, target = _columns(dataset)
    chosen = _spread(len(rows), pictures)
    kind = dataset.types[target] if target else None
    tiles = []
    for index in chosen:
        value = rows[target][index] if target else None
        array = rows[picture][index]
        array, value = scaled(array, value, SIDE if max(array.shape[:2]) > TINY else SIDE // 3)
        caption = rows.origins[index] if not kind or isinstance(kind, Boxes | Mask | Points) else kind.to_text(value)
        tiles.append(_captioned(drawn(array, value, kind), caption))
    sheet = _grid([tiles[start : start + columns] for start in range(0, len(tiles), columns)])
    return _write(path, _with_legend(sheet, kind))


def draw_augmented_scenes(
    dataset: Dataset, settings: AugmentSettings, path: Path, pictures: int = 4, versions: int = 4, seed: int = 0
) -> np.ndarray:
    """Draws pictures, each beside versions of it as training sees them, boxes and masks moved along. Returns what was written:
    uint8 (H, W, 3). Raises `UserError` where there is no column of pictures."""
    rows = dataset.splits.get("train") or next(iter(dataset.splits.values()))
    picture, target = _columns(dataset)
    assert target is not None
    if settings.mixup or settings.cutmix:
        raise UserError(
            "augment: pictures with boxes or masks are not mixed; --set augment.mixup=0 --set augment.cutmix=0"
        )
    kind = dataset.types[target]
    lines = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for index in _spread(len(rows), pictures):
            array, value = scaled(rows[picture][index], rows[target][index])
            tiles = [_captioned(drawn(array, value, kind), "as it is")]
            for moved, followed in _versions(array, value, settings, versions):
                tiles.append(_captioned(drawn(moved, followed, kind), ""))
            lines.append(tiles)
    return _write(path, _with_legend(_grid(lines), kind))


def _versions(array: np.ndarray, value: Any, settings: AugmentSettings, versions: int) -> list[tuple[np.ndarray, Any]]:
    """Versions of one picture, and of what lies on it."""
    batch = torch.from_numpy(np.stack([array] * versions))
    size = (int(batch.shape[1]), int(batch.shape[2]))
    mean = batch.to(torch.float32).mean(dim=(0, 1, 2))
    components = principal_components(batch.numpy()) if settings.pca and len(mean) == 3 else None
    augment = Augmentation(settings, size, mean, components)
    warp = augment.draw(batch)
    moved = augment.change_colours(augment.move(batch, warp)).round().clamp(0, 255).to(torch.uint8)
    pictures = list(moved.permute(0, 2, 3, 1).numpy())
    return list(zip(pictures, _follow(value, warp, versions), strict=True))


def _follow(value: Any, warp: Warp | None, versions: int) -> list[Any]:
    if warp is None:
        return [value] * versions
    if isinstance(value, Objects):
        boxes = torch.from_numpy(np.stack([value.boxes] * versions))
        moved, seen = move_boxes(boxes, warp)
        return [
            Objects.of(some.numpy(), value.labels, value.ignored | (share < LEAST_SEEN).numpy()).take(
                (share > 0).numpy()
            )
            for some, share in zip(moved, seen, strict=True)
        ]
    masks = torch.from_numpy(np.stack([value] * versions))
    return list(warp_masks(masks, warp, value=255).numpy())


def scaled(picture: np.ndarray, value: Any, side: int = SIDE) -> tuple[np.ndarray, Any]:
    """A picture (H, W, C) with its longer side brought to `side`, and the objects, mask or points on it in its new pixels."""
    height, width = picture.shape[:2]
    factor = side / max(height, width)
    size = max(1, round(height * factor)), max(1, round(width * factor))
    down, across = size[0] / height, size[1] / width
    if isinstance(value, Objects):
        boxes = value.boxes * np.array([across, down, across, down], dtype=np.float32)
        value = Objects(boxes=boxes, labels=value.labels, ignored=value.ignored, scores=value.scores)
    elif isinstance(value, np.ndarray) and value.shape == (height, width):
        y = ((np.arange(size[0]) + 0.5) / down).astype(int).clip(0, height - 1)
        x = ((np.arange(size[1]) + 0.5) / across).astype(int).clip(0, width - 1)
        value = value[y[:, None], x]
    elif isinstance(value, np.ndarray) and value.ndim == 2 and value.shape[1] == 2:
        value = value * np.array([across, down])
    return resize(np.ascontiguousarray(picture), size), value


def drawn(picture: np.ndarray, value: Any, kind: ColumnType | None) -> np.ndarray:
    """A picture with what is on it: uint8 (H, W, 3)."""
    if isinstance(kind, Boxes):
        return draw_objects(picture, value, kind.classes)
    if isinstance(kind, Mask):
        return draw_mask(picture, value, kind.classes)
    image = PillowImage.fromarray(np.ascontiguousarray(np.broadcast_to(picture, (*picture.shape[:2], 3))))
    if isinstance(kind, Points):
        draw = ImageDraw.Draw(image)
        for number, (x, y) in enumerate(np.asarray(value).tolist()):
            if x == x and y == y:
                draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=class_colour(number), outline=PAPER)
    return np.asarray(image)


def _columns(dataset: Dataset) -> tuple[str, str | None]:
    """The column of pictures, and that of what is drawn on them."""
    types = dataset.types
    picture = next((name for name, kind in types.items() if isinstance(kind, Image)), None)
    if picture is None:
        raise UserError(f"{dataset.name}: there are no pictures to draw; columns: {', '.join(types)}")
    if dataset.target in types:
        return picture, dataset.target
    return picture, next((name for name, kind in types.items() if isinstance(kind, Boxes | Mask | Points)), None)


def _spread(rows: int, number: int) -> list[int]:
    """Rows from all over a split."""
    return np.unique(np.linspace(0, rows - 1, min(max(number, 1), rows)).astype(np.int64)).tolist()


def _captioned(picture: np.ndarray, caption: str) -> np.ndarray:
    strip = PillowImage.new("RGB", (picture.shape[1], CAPTION), PAPER)
    caption = in_a_line(caption)
    text = caption if len(caption) < 52 else f"...{caption[-49:]}"
    ImageDraw.Draw(strip).text((0, CAPTION / 2), text, fill=INK, font=font(12), anchor="lm")
    return np.concatenate([np.asarray(strip), picture])


def _grid(lines: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """Tiles in rows and columns on white, each at the upper left of its place."""
    tiles = [tile for line in lines for tile in line]
    height, width = max(tile.shape[0] for tile in tiles), max(tile.shape[1] for tile in tiles)
    columns = max(map(len, lines))
    sheet = np.full((GAP + len(lines) * (height + GAP), GAP + columns * (width + GAP), 3), 255, dtype=np.uint8)
    for row, line in enumerate(lines):
        for column, tile in enumerate(line):
            top, left = GAP + row * (height + GAP), GAP + column * (width + GAP)
            sheet[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    return sheet


def _with_legend(sheet: np.ndarray, kind: ColumnType | None) -> np.ndarray:
    if isinstance(kind, Boxes | Mask):
        names, unknown = kind.classes, isinstance(kind, Mask)
    elif isinstance(kind, Points):
        names, unknown = kind.names, False
    else:
        return sheet
    return np.concatenate([sheet, draw_legend(names[:60], sheet.shape[1], unknown=unknown)])


def _write(path: Path, sheet: np.ndarray) -> np.ndarray:
    written = io.BytesIO()
    PillowImage.fromarray(sheet).save(written, "PNG", optimize=True)
    write_atomic(path, written.getvalue())
    return sheet
