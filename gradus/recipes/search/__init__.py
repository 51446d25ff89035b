"""Searching for good settings: the space, what is tried next, the trials, the folder that holds them."""

from gradus.recipes.search.search import SearchResult, resume_search, search

__all__ = ["SearchResult", "resume_search", "search"]
