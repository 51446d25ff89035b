"""Searching for good settings: the space, what is tried next, the trials, the folder that holds them."""

from gradus.recipes.search.conduct import resume_search, search
from gradus.recipes.search.result import SearchResult

__all__ = ["SearchResult", "resume_search", "search"]
