"""The table of recipes: name -> the function that returns it."""

from __future__ import annotations

from collections.abc import Callable

from gradus.errors import unknown_name
from gradus.recipes import boston, digits, mnist
from gradus.recipes.recipe import Recipe

RECIPES: dict[str, Callable[[], Recipe]] = {
    "digits-lenet5": digits.digits_lenet5,
    "mnist-logistic-regression": mnist.mnist_logistic_regression,
    "mnist-mlp": mnist.mnist_mlp,
    "mnist-convnet": mnist.mnist_convnet,
    "lenet5-mnist": mnist.lenet5_mnist,
    "lenet5-mnist-1998": mnist.lenet5_mnist_1998,
    "boston": boston.boston,
    "boston-housing": boston.boston_housing,
}


def get_recipe(name: str) -> Recipe:
    """The recipe of a name. Raises `UserError` naming the nearest one."""
    if name not in RECIPES:
        raise unknown_name("recipe", name, RECIPES)
    return RECIPES[name]()
