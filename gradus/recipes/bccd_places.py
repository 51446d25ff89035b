"""Blood cells: the white one located, its corners as landmarks, and all found by a sliding window.

`bccd` has 205 training pictures. All three are for a CPU.
"""

from __future__ import annotations

from gradus.data.augment.settings import AugmentSettings
from gradus.data.load import DataSettings
from gradus.models import ModelSettings
from gradus.recipes.recipe import Recipe
from gradus.tasks.settings import TaskSettings
from gradus.train.settings import OptimizerSettings, ScheduleSettings, TrainSettings

DATA = DataSettings(source="bccd")


def bccd_localization() -> Recipe:
    """Is there a white cell, and where: the course notes' vector (§4.3.1) on a backbone with ImageNet's weights."""
    return Recipe(
        name="bccd-localization",
        about="Where the white blood cell is: one box a picture, a backbone and dense layers.",
        data=DATA,
        task=TaskSettings(name="object-localization", options={"category": "WBC", "image_size": 160}),
        model=ModelSettings(name="localizer", weights="imagenet"),
        augment=AugmentSettings(flip_horizontal=0.5, flip_vertical=0.5, crop_area=(0.5, 1.0), brightness=0.2),
        train=_train(40, 3e-4),
    )


def bccd_landmarks() -> Recipe:
    """The corners of the white cell as four landmarks (§4.3.2); mirrored, left and right change places."""
    pairs = [["left_top", "right_top"], ["left_bottom", "right_bottom"]]
    return Recipe(
        name="bccd-landmarks",
        about="The four corners of the box around the white blood cell, as landmarks.",
        data=DATA,
        task=TaskSettings(name="landmarks", options={"category": "WBC", "image_size": 160, "flip_pairs": pairs}),
        model=ModelSettings(name="localizer", weights="imagenet"),
        augment=AugmentSettings(flip_horizontal=0.5, crop_area=(0.5, 1.0), brightness=0.2),
        train=_train(40, 3e-4),
    )


def bccd_sliding_window() -> Recipe:
    """A crop classifier from nothing, applied as a convolution to the picture at six scales (§4.3.3 to §4.3.5)."""
    return Recipe(
        name="bccd-sliding-window",
        about="Blood cells by a sliding window: every window of six sizes classified, in one pass a size.",
        data=DATA,
        task=TaskSettings(name="object-detection"),
        model=ModelSettings(name="sliding_window"),
        augment=AugmentSettings(flip_horizontal=0.5, flip_vertical=0.5, brightness=0.2),
        train=_train(30, 1e-3),
    )


def _train(epochs: int, learning_rate: float) -> TrainSettings:
    return TrainSettings(
        epochs=epochs,
        batch_size=8,
        optimizer=OptimizerSettings(name="adamw", learning_rate=learning_rate),
        schedule=ScheduleSettings(name="cosine"),
    )
