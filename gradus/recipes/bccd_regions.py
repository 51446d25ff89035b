"""Blood cells (BCCD) by the region-based detectors, from R-CNN to Faster R-CNN: the first rows of the text's Table 5-1, on a CPU.

All see 320x240 in place of 640x480 and begin with SqueezeNet's ImageNet weights. Cells lie in dense groups, and platelets are
about 20 pixels wide at this size: the maps have a cell every 8 pixels, and selective search is asked for 800 boxes, which hold
more of the platelets than 300 do. Cells look the same from every side, so pictures are flipped both ways.
"""

from __future__ import annotations

from typing import Any

from gradus.data.augment.settings import AugmentSettings
from gradus.data.load import DataSettings
from gradus.models import ModelSettings
from gradus.recipes.recipe import Recipe
from gradus.tasks.settings import TaskSettings
from gradus.train.settings import (
    FineTuneSettings,
    OptimizerSettings,
    RegularizationSettings,
    ScheduleSettings,
    TrainSettings,
)

SIDE = 320
ANCHORS = [20.0, 50.0, 95.0]  # pixels: about the sides of platelets, red and white cells
PROPOSALS = 800


def _recipe(
    name: str, about: str, model: str, options: dict[str, Any], train: dict[str, Any], proposals: int = 0
) -> Recipe:
    task: dict[str, Any] = {"image_size": SIDE} | ({"proposals": proposals} if proposals else {})
    rate = train.pop("learning_rate", 3e-4)
    return Recipe(
        name=name,
        about=about,
        data=DataSettings(source="bccd"),
        task=TaskSettings(name="object-detection", options=task),
        model=ModelSettings(name=model, options=options, weights="imagenet"),
        augment=AugmentSettings(flip_horizontal=0.5, flip_vertical=0.5),
        train=TrainSettings(
            optimizer=OptimizerSettings(name="adamw", learning_rate=rate, weight_decay=0.01),
            schedule=ScheduleSettings(name="cosine", warmup=0.05),
            regularization=RegularizationSettings(clip_norm=5.0),
            **train,
        ),
    )


def bccd_faster_rcnn() -> Recipe:
    """Joint training. 128 regions a picture are learnt from."""
    options = {"anchor_sizes": ANCHORS, "before": 600, "after": 200}
    return _recipe(
        "bccd-faster-rcnn",
        "Faster R-CNN on SqueezeNet: a network proposes regions, trained together with what names them.",
        "faster_rcnn",
        options,
        {"epochs": 14, "batch_size": 2},
    )


def bccd_faster_rcnn_four_steps() -> Recipe:
    """The authors' four steps in place of joint training; the two steps on a map that stays are short."""
    options = {"anchor_sizes": ANCHORS, "before": 600, "after": 200, "training": "four-step"}
    return _recipe(
        "bccd-faster-rcnn-four-steps",
        "Faster R-CNN on SqueezeNet, trained in four steps as its authors did.",
        "faster_rcnn",
        options,
        {"epochs": 20, "batch_size": 2},
    )


def bccd_fast_rcnn() -> Recipe:
    return _recipe(
        "bccd-fast-rcnn",
        "Fast R-CNN on SqueezeNet: regions by selective search, pooled from one map of the picture.",
        "fast_rcnn",
        {},
        {"epochs": 12, "batch_size": 2},
        PROPOSALS,
    )


def bccd_spp_net() -> Recipe:
    """The convolutions stay as ImageNet left them, as in the original."""
    return _recipe(
        "bccd-spp-net",
        "SPP-Net on a frozen SqueezeNet: a spatial pyramid of each region, then support vector machines.",
        "spp_net",
        {},
        {"epochs": 10, "batch_size": 2, "learning_rate": 1e-4},
        PROPOSALS,
    )


def bccd_rcnn() -> Recipe:
    """Regions are stretched to 64x64 in place of 227x227, 400 a picture in place of 2000: else a CPU takes minutes a picture. The
    first layers, which cost most, stay as they are."""
    frozen = FineTuneSettings(
        freeze=("backbone.network.features.0", *(f"backbone.network.features.{n}" for n in (3, 4, 5)))
    )
    return _recipe(
        "bccd-rcnn",
        "R-CNN on SqueezeNet: each region is seen by itself, at 64x64, then support vector machines.",
        "rcnn",
        {"sampled": 64},
        {"epochs": 4, "batch_size": 2, "fine_tune": frozen},
        400,
    )
