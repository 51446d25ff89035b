"""The table of recipes: name -> the function that returns it."""

from __future__ import annotations

from collections.abc import Callable

from gradus.errors import unknown_name
from gradus.recipes import (
    bccd,
    bccd_places,
    bccd_regions,
    boston,
    camvid,
    cats_dogs,
    cifar,
    digits,
    mnist,
    text_tasks,
)
from gradus.recipes.recipe import Recipe

RECIPES: dict[str, Callable[[], Recipe]] = {
    "digits-lenet5": digits.digits_lenet5,
    "mnist-logistic-regression": mnist.mnist_logistic_regression,
    "mnist-mlp": mnist.mnist_mlp,
    "mnist-convnet": mnist.mnist_convnet,
    "lenet5-mnist": mnist.lenet5_mnist,
    "lenet5-mnist-1998": mnist.lenet5_mnist_1998,
    "cats-dogs-scratch": cats_dogs.cats_dogs_scratch,
    "cats-dogs-scratch-small": cats_dogs.cats_dogs_scratch_small,
    "cats-dogs-augmented": cats_dogs.cats_dogs_augmented,
    "cats-dogs-augmented-small": cats_dogs.cats_dogs_augmented_small,
    "cats-dogs-features": cats_dogs.cats_dogs_features,
    "cats-dogs-features-augmented": cats_dogs.cats_dogs_features_augmented,
    "cats-dogs-fine-tuned": cats_dogs.cats_dogs_fine_tuned,
    "cats-dogs-features-vgg16": cats_dogs.cats_dogs_features_vgg16,
    "cats-dogs-features-augmented-vgg16": cats_dogs.cats_dogs_features_augmented_vgg16,
    "cats-dogs-fine-tuned-vgg16": cats_dogs.cats_dogs_fine_tuned_vgg16,
    "cifar10-tutorial": cifar.cifar10_tutorial,
    "cifar10-resnet20": cifar.cifar10_resnet20,
    "cifar10-resnet20-small": cifar.cifar10_resnet20_small,
    "cifar10-resnet56": cifar.cifar10_resnet56,
    "cifar10-resnet56-small": cifar.cifar10_resnet56_small,
    "cifar10-resnet110": cifar.cifar10_resnet110,
    "cifar10-plain20": cifar.cifar10_plain20,
    "cifar10-plain20-small": cifar.cifar10_plain20_small,
    "cifar10-plain56": cifar.cifar10_plain56,
    "cifar10-plain56-small": cifar.cifar10_plain56_small,
    "cifar10-densenet-bc": cifar.cifar10_densenet_bc,
    "cifar10-wrn28-10": cifar.cifar10_wrn28_10,
    "cifar10-fast": cifar.cifar10_fast,
    "cifar10-fast-small": cifar.cifar10_fast_small,
    "bccd-grid": bccd.bccd_grid,
    "bccd-grid-quick": bccd.bccd_grid_quick,
    "bccd-yolo": bccd.bccd_yolo,
    "bccd-ssd": bccd.bccd_ssd,
    "bccd-localization": bccd_places.bccd_localization,
    "bccd-landmarks": bccd_places.bccd_landmarks,
    "bccd-sliding-window": bccd_places.bccd_sliding_window,
    "babi-qa1": text_tasks.babi_qa1,
    "babi-qa1-memory": text_tasks.babi_qa1_memory,
    "siamese-dialogues": text_tasks.siamese_dialogues,
    "several-outputs": text_tasks.several_outputs,
    "imdb-capitals": text_tasks.imdb_capitals,
    "camvid-fcn8s": camvid.camvid_fcn8s,
    "camvid-deeplab": camvid.camvid_deeplab,
    "camvid-segnet": camvid.camvid_segnet,
    "camvid-unet": camvid.camvid_unet,
    "camvid-fcn8s-full": camvid.camvid_fcn8s_full,
    "camvid-deeplab-full": camvid.camvid_deeplab_full,
    "camvid-segnet-full": camvid.camvid_segnet_full,
    "camvid-unet-full": camvid.camvid_unet_full,
    "bccd-faster-rcnn": bccd_regions.bccd_faster_rcnn,
    "bccd-faster-rcnn-four-steps": bccd_regions.bccd_faster_rcnn_four_steps,
    "bccd-fast-rcnn": bccd_regions.bccd_fast_rcnn,
    "bccd-spp-net": bccd_regions.bccd_spp_net,
    "bccd-rcnn": bccd_regions.bccd_rcnn,
    "boston": boston.boston,
    "boston-housing": boston.boston_housing,
}


def get_recipe(name: str) -> Recipe:
    """The recipe of a name. Raises `UserError` naming the nearest one."""
    if name not in RECIPES:
        raise unknown_name("recipe", name, RECIPES)
    return RECIPES[name]()
