"""What a report on a network that makes pictures shows of them (`look/making.py`), gathered from a run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gradus.look.making import Making
from gradus.look.resemblance import nearest
from gradus.recipes.picturing import labels_asked, make_pictures
from gradus.recipes.scoring import pictures_learnt
from gradus.tasks.generation import GenerationTask
from gradus.train.randomness import seed_step

if TYPE_CHECKING:
    from gradus.recipes.run import Run

SHOWN = 40  # samples
ROWS, COLUMNS = 8, 8  # of the strip: epochs and latents
REMADE = 10
SEARCHED, USUAL = (
    20_000,
    200,
)  # training pictures that neighbours are looked for among; pictures that say how near is usual


def making_of(run: Run, split: str) -> Making | None:
    """None for other tasks than making pictures."""
    task = run.task
    if not isinstance(task, GenerationTask):
        return None
    count = SHOWN if not task.options.conditional else min(SHOWN, 5 * len(task.asked))
    samples = make_pictures(run, count)
    known = pictures_learnt(run, "train", 0, SEARCHED)
    others = pictures_learnt(run, split, 0, USUAL)
    originals, remade = _remade(run, task, split)
    points = _flat(known)
    places, distances = nearest(_flat(samples[:REMADE]), points)
    return Making(
        samples=samples,
        labels=labels_asked(task, count, None),
        epochs=_strip(run, task.inputs.size),
        originals=originals,
        remade=remade,
        neighbours=known[places],
        distances=distances,
        usual=float(np.median(nearest(_flat(others), points)[1])),
    )


def _flat(pictures: np.ndarray) -> np.ndarray:
    return pictures.reshape(len(pictures), -1).astype(np.float32) / 255


def _remade(run: Run, task: GenerationTask, split: str) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Pictures of the split, and what the network makes of them, where it does."""
    rows = {name: tensor[:REMADE].to(run.plan.device) for name, tensor in run.experiment.tensors[split].items()}
    with torch.random.fork_rng(), torch.inference_mode():
        seed_step(run.recipe.train.seed, 0, 0, run.plan.device)
        inputs, _ = task.prepare(rows, training=False)
        made = run.model(inputs).made
    if made is None:
        return None, None
    pictures = inputs if isinstance(inputs, Tensor) else inputs[0]
    return task.pictures_of(pictures), task.pictures_of(made)


def _strip(run: Run, side: int) -> dict[int, np.ndarray]:
    """Of some of the epochs in RUN/samples the first pictures of the sheet, whose tiles stand one pixel apart."""
    files = sorted(path for path in (run.path / "samples").glob("*.png") if re.fullmatch(r"\d+", path.stem))
    chosen = [
        files[place] for place in np.unique(np.linspace(0, len(files) - 1, min(ROWS, len(files))).round().astype(int))
    ]
    found = {}
    for path in chosen:
        with Image.open(path) as image:
            pixels = np.asarray(image)
        pixels = pixels[:, :, None] if pixels.ndim == 2 else pixels
        tiles = [pixels[:side, left : left + side] for left in range(0, COLUMNS * (side + 1), side + 1)]
        tiles = [tile for tile in tiles if tile.shape[:2] == (side, side)]
        if tiles:
            found[int(path.stem)] = np.stack(tiles)
    return found
