"""What augmentation makes of a data set's pictures: each beside some versions of it, as a PNG (the texts' figure of one cat)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from gradus.data.augment.apply import Augmentation
from gradus.data.augment.colour import principal_components
from gradus.data.augment.settings import AugmentSettings
from gradus.data.columns import Column, Image
from gradus.data.dataset import Dataset
from gradus.data.images import resize, stack_pictures
from gradus.errors import UserError
from gradus.look.picture import write_picture

LARGEST = 150  # pixels of a side at which pictures of several sizes, or larger ones, are shown


def draw_augmented(
    dataset: Dataset, settings: AugmentSettings, path: Path, pictures: int = 4, versions: int = 6, seed: int = 0
) -> np.ndarray:
    """Draws rows of a picture and its versions, and returns them: uint8 (pictures, versions + 1, H, W, C), the original first.

    Pictures come from all over the training split. With random_crop the versions are 3/4 of a side, as 24 of 32.
    Raises `UserError` where there is no column of pictures.
    """
    batch = torch.from_numpy(_some_pictures(dataset, pictures))
    side = batch.shape[1]
    seen = side * 3 // 4 if settings.random_crop else side
    mean = batch.to(torch.float32).mean(dim=(0, 1, 2))
    components = principal_components(batch.numpy()) if settings.pca and len(mean) == 3 else None
    augment = Augmentation(settings, (seen, seen), mean, components)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = [augment(batch)[0].round().permute(0, 2, 3, 1).to(torch.uint8).numpy() for _ in range(versions)]
    columns = [list(batch.numpy()), *([resize(one, (side, side)) for one in version] for version in made)]
    result = np.stack([np.stack(column) for column in columns], axis=1)
    _write(path, result, settings)
    return result


def _some_pictures(dataset: Dataset, number: int) -> np.ndarray:
    """uint8 (N, side, side, C) from all over the training split, brought to one size."""
    split = dataset.splits.get("train") or next(iter(dataset.splits.values()))
    found = [column for column in split.columns.values() if isinstance(column.type, Image)]
    if not found:
        raise UserError(f"{dataset.name}: there are no pictures to augment; columns: {', '.join(split.columns)}")
    rows = np.unique(np.linspace(0, len(split) - 1, number + 2).astype(np.int64)[1:-1])
    chosen = found[0].take(rows)
    arrays = list(chosen)
    sizes = {array.shape[:2] for array in arrays}
    (height, width), *_ = sizes
    own = height if len(sizes) == 1 and height == width else LARGEST
    return stack_pictures(Column(chosen.type, arrays), (min(own, LARGEST),) * 2)


def _write(path: Path, rows: np.ndarray, settings: AugmentSettings) -> None:
    pictures, columns = rows.shape[:2]

    def paint(figure) -> None:
        axes = figure.subplots(pictures, columns, squeeze=False)
        for row, some in zip(axes, rows, strict=True):
            for axis, picture in zip(row, some, strict=True):
                axis.imshow(picture.squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
                axis.set_axis_off()
        axes[0][0].set_title("as it is", fontsize=9)
        figure.suptitle(settings.describe() or "nothing is changed", fontsize=9, wrap=True)

    write_picture(path, (1.35 * columns, 1.4 * pictures + 0.5), paint)
