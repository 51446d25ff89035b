"""Environments: worlds that an agent acts in, stepped side by side, and Markov decision processes as tables."""

from gradus.environments.episodes import Played, Policy, play_episodes
from gradus.environments.make import SCHEMES, decision_process, is_environment, make_environments
from gradus.environments.vector import Environments, Spaces, Step

__all__ = [
    "SCHEMES",
    "Environments",
    "Played",
    "Policy",
    "Spaces",
    "Step",
    "decision_process",
    "is_environment",
    "make_environments",
    "play_episodes",
]
