"""Recipes: data + task + model + training settings + the published result, and the code that runs them."""

from gradus.recipes.recipe import Published, Recipe
from gradus.recipes.table import RECIPES, get_recipe

__all__ = ["RECIPES", "Published", "Recipe", "get_recipe"]
