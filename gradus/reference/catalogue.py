"""What the catalogue of primitives says of each: formula, derivative, range, source. Data only; `gradus catalogue` draws it.

Every module of this package ends with its own `CATALOGUE`, beside the functions it describes.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# family -> (title, modules whose `CATALOGUE` belongs to it), in the order of the page
FAMILIES: dict[str, tuple[str, tuple[str, ...]]] = {
    "activations": ("Activations", ("sigmoids", "rectifiers", "activations", "vector_activations")),
    "losses": (
        "Losses and penalties",
        ("regression_losses", "losses", "compound_losses", "metric_losses", "image_losses", "penalties"),
    ),
    "dense": ("Dense layers, dropout and shortcuts", ("dense", "dropout", "residual")),
    "convolution": ("Convolution", ("convolution", "convolution_kinds", "convolution_matrix", "geometry")),
    "pooling": ("Pooling", ("pooling", "other_pooling")),
    "normalization": ("Normalisation", ("normalization",)),
    "recurrent": (
        "Recurrent cells and sequences",
        ("recurrent", "sequences", "lstm", "lstm_peephole", "gru", "recurrent_dropout", "clipping"),
    ),
    "attention": ("Attention", ("attention",)),
    "words": ("Words: embeddings and losses over vocabularies", ("embedding", "word_losses", "hierarchical_softmax")),
    "ctc": ("Connectionist temporal classification", ("ctc",)),
    "markov": ("Hidden Markov models", ("hmm",)),
    "energy": ("Energies", ("energy",)),
    "decisions": ("Decisions and their values", ("decisions", "temporal_difference")),
    "initializers": ("Initial weights", ("initializers",)),
    "optimizers": ("Optimisers", ("optimizers", "gradients")),
    "schedules": ("Learning rates over time, and averages", ("schedules", "averages")),
    "metrics": ("Metrics", ("metrics", "overlap", "boxes", "edit_distance")),
    "information": ("Information theory", ("information",)),
    "calculus": ("Calculus and search", ("calculus",)),
    "gradients": ("Gradients and back-propagation", ("graph", "backpropagation")),
    "tensors": ("Operations on tensors", ("tensors",)),
}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One primitive.

    name:       as the field calls it: "leaky ReLU"
    function:   where its forward pass stands in `gradus.reference`: "activations.leaky_relu"
    backward:   its derivative or backward pass, likewise; empty where it has none
    formula:    LaTeX of the value
    derivative: LaTeX of the derivative (of a loss: by the outputs); empty where the backward pass is a program
    range:      LaTeX of the set of its values, or words; empty where it says nothing
    fast:       what to use in training: "torch.nn.LeakyReLU", "gradus.nn.SReLU"
    source:     paper (authors, year, equation), and the sections of the texts that have it
    note:       what the texts have wrong, which convention is ours, what happens at a kink
    span:       the arguments it is drawn over, where it is a function of one number
    """

    name: str
    function: str
    formula: str
    source: str
    backward: str = ""
    derivative: str = ""
    range: str = ""
    fast: str = ""
    note: str = ""
    span: tuple[float, float] | None = None


def entries(family: str) -> list[Entry]:
    """The entries of one family of `FAMILIES`."""
    return [
        entry
        for module in FAMILIES[family][1]
        for entry in importlib.import_module(f"gradus.reference.{module}").CATALOGUE
    ]


def find(function: str) -> Callable[..., Any]:
    """The function behind "module.name" of this package."""
    module, _, name = function.partition(".")
    return getattr(importlib.import_module(f"gradus.reference.{module}"), name)
