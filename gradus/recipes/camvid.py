"""CamVid: the eleven classes of street scenes, 367 pictures to learn from, each 480x360 (the split of SegNet's authors).

The recipes are for two CPU cores, 25 to 30 minutes each: pictures of 256x192, SqueezeNet where the papers have VGG16, a narrow
SegNet and U-Net. Masks are scored at 480x360 all the same. `...-full` are as published, for a GPU; those on VGG16 need its
weights (`gradus import`). Published values are those that Jégou et al. 2017 (*The One Hundred Layers Tiramisu*, table 3)
collected, where the best is 0.669; the classes weigh as their median frequencies, as in SegNet.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gradus.data.augment.settings import AugmentSettings
from gradus.data.load import DataSettings
from gradus.models import ModelSettings
from gradus.recipes.recipe import Published, Recipe
from gradus.tasks.settings import TaskSettings
from gradus.train.settings import OptimizerSettings, ScheduleSettings, TrainSettings

SMALL = {"image_size": [192, 256], "class_weights": "median"}
FULL = {"image_size": [360, 480], "class_weights": "median"}
SOURCE = "Jégou et al. 2017, table 3: {}, 480x360"
SEEN = AugmentSettings(flip_horizontal=0.5, zoom=(0.8, 1.5), brightness=0.2, contrast=0.2, saturation=0.2)


def _camvid(
    name: str,
    about: str,
    model: ModelSettings,
    epochs: int,
    learning_rate: float,
    published: tuple[float, str],
    **more: Any,
) -> Recipe:
    """AdamW, 4 pictures a step, a rate that rises and falls once."""
    train = TrainSettings(
        epochs=epochs,
        batch_size=4,
        optimizer=OptimizerSettings(name="adamw", learning_rate=learning_rate, weight_decay=1e-3),
        schedule=ScheduleSettings(name="one_cycle", peak_at=0.2),
    )
    return Recipe(
        name=name,
        about=about,
        data=DataSettings(source="camvid"),
        task=TaskSettings(name="semantic-segmentation", options=dict(SMALL)),
        model=model,
        train=train,
        augment=SEEN,
        published=Published(metric="miou", value=published[0], source=SOURCE.format(published[1])),
        **more,
    )


def _full(recipe: Recipe, about: str, model: ModelSettings, epochs: int, **options: Any) -> Recipe:
    """At the pictures' own size, for a GPU."""
    return replace(
        recipe,
        name=f"{recipe.name}-full",
        about=about,
        task=TaskSettings(name=recipe.task.name, options={**FULL, **options}),
        model=model,
        train=replace(recipe.train, epochs=epochs),
    )


def camvid_fcn8s() -> Recipe:
    return _camvid(
        "camvid-fcn8s",
        "FCN-8s on SqueezeNet, which knows ImageNet.",
        ModelSettings(name="fcn8s", weights="imagenet"),
        40,
        1e-3,
        (0.57, "FCN-8s on VGG16"),
    )


def camvid_deeplab() -> Recipe:
    return _camvid(
        "camvid-deeplab",
        "DeepLab on SqueezeNet, which knows ImageNet: atrous, rates of about half the paper's for pictures of half the size.",
        ModelSettings(name="deeplab", options={"rates": [3, 6, 9, 12], "hidden": 64}, weights="imagenet"),
        30,
        1e-3,
        (0.616, "DeepLab-LargeFOV on VGG16"),
    )


def camvid_segnet() -> Recipe:
    return _camvid(
        "camvid-segnet",
        "SegNet of a quarter of its width, from nothing.",
        ModelSettings(name="segnet", options={"width": 16}),
        30,
        4e-3,
        (0.464, "SegNet (60.1 with more training data, Badrinarayanan et al. 2017)"),
    )


def camvid_unet() -> Recipe:
    return _camvid(
        "camvid-unet",
        "U-Net of a quarter of its width, from nothing.",
        ModelSettings(name="unet", options={"width": 16}),
        25,
        4e-3,
        (0.669, "FC-DenseNet103, a U-Net of dense blocks and the best there"),
    )


def camvid_fcn8s_full() -> Recipe:
    model = ModelSettings(name="fcn8s", options={"backbone": "vgg16"}, weights="imagenet")
    recipe = replace(camvid_fcn8s(), train=replace(camvid_fcn8s().train, optimizer=_gentle()))
    return _full(recipe, "FCN-8s on VGG16 as published.", model, 100)


def camvid_deeplab_full() -> Recipe:
    options = {"backbone": "vgg16", "hidden": 1024}
    model = ModelSettings(name="deeplab", options=options, weights="imagenet")
    recipe = replace(camvid_deeplab(), train=replace(camvid_deeplab().train, optimizer=_gentle()))
    return _full(recipe, "DeepLab on VGG16 as published, with its CRF.", model, 100, crf=10)


def camvid_segnet_full() -> Recipe:
    return _full(camvid_segnet(), "SegNet as published, but from nothing.", ModelSettings(name="segnet"), 200)


def camvid_unet_full() -> Recipe:
    return _full(camvid_unet(), "U-Net of its full width, from nothing.", ModelSettings(name="unet"), 200)


def _gentle() -> OptimizerSettings:
    """For VGG16, which has no normalisation and weights to keep."""
    return OptimizerSettings(name="adamw", learning_rate=1e-4, weight_decay=1e-3)
