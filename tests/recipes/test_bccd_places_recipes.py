"""The recipes of places run on made-up blood: a purple disc for the white cell, red ones around it."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageDraw
from safetensors.torch import save_file

import gradus
from gradus.data.catalogue import CATALOGUE
from gradus.models import ModelSettings
from gradus.recipes.table import get_recipe


@pytest.fixture
def tiny_blood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "data" / "bccd"
    folder.mkdir(parents=True)
    classes = next(kind.classes for kind in CATALOGUE["bccd"].types.values() if hasattr(kind, "classes"))
    (folder / "labels.txt").write_text("\n".join(classes) + "\n")
    generator = np.random.default_rng(0)
    names = list(CATALOGUE["bccd"].types)
    for split, rows in (("train", 12), ("validation", 4), ("test", 4)):
        pictures, objects = [], []
        for _ in range(rows):
            picture, boxes = Image.new("RGB", (64, 48), (230, 220, 210)), []
            for size, colour in ((18, (90, 40, 160)), (10, (220, 120, 110))):
                left, top = int(generator.integers(0, 64 - size)), int(generator.integers(0, 48 - size))
                boxes.append([float(side) for side in (left, top, left + size, top + size)])
                ImageDraw.Draw(picture).ellipse(boxes[-1], fill=colour)
            file = io.BytesIO()
            picture.save(file, "JPEG")
            pictures.append({"bytes": file.getvalue(), "path": None})
            objects.append({"bbox": boxes, "category": [classes.index("WBC"), classes.index("RBC")]})
        pq.write_table(pa.table({names[0]: pictures, names[1]: objects}), folder / f"{split}.parquet")
    (tmp_path / "data" / "weights").mkdir()
    weights = gradus.create_model("squeezenet1_0").state_dict()
    save_file(weights, tmp_path / "data" / "weights" / "squeezenet1_0-imagenet.safetensors")
    monkeypatch.setenv("GRADUS_DATA", str(tmp_path / "data"))


@pytest.mark.parametrize(
    ("name", "baseline", "metric"),
    [
        ("bccd-localization", "the mean box", "mean_iou"),
        ("bccd-landmarks", "the mean places", "error_pixels"),
        ("bccd-sliding-window", None, "map50"),
    ],
)
def test_a_recipe_of_places_runs(tiny_blood, tmp_path: Path, name: str, baseline: str | None, metric: str):
    recipe = get_recipe(name)
    if name == "bccd-sliding-window":  # fewer windows
        recipe = replace(recipe, model=ModelSettings(name="sliding_window", options={"sizes": [0.3, 0.5], "width": 4}))
    else:
        recipe = replace(recipe, task=replace(recipe.task, options=recipe.task.options | {"image_size": 64}))
    run = gradus.train_recipe(replace(recipe, train=replace(recipe.train, epochs=1)), tmp_path / "run")
    assert baseline is None or set(run.evaluation["baselines"]) == {baseline}
    again = gradus.load_run(run.path)
    assert again.evaluate("test")[metric] == run.evaluation["metrics"][metric]
    assert again.report().stat().st_size > 10_000
    assert len(again.predict([np.zeros((48, 64, 3), dtype=np.uint8)])) == 1
