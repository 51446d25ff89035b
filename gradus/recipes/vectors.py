"""Word vectors that a user names, by a file or a run: read, put into a network, its vocabulary taken over."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gradus.data.text.encoders import SPECIAL, TextEncoder
from gradus.data.text.vectors import WordVectors, read_vectors
from gradus.errors import UserError
from gradus.models import accepted_options
from gradus.recipes.recipe import Recipe
from gradus.tasks.task import Task


def load_word_vectors(given: str | Path, wanted: Collection[str] | None = None) -> WordVectors:
    """The vectors of a file (`data/text/vectors.py`), or those that a run has learnt: of the task `word-vectors`, or the
    embedding of any network for texts. wanted: the words that are needed; None: all.

    Raises `UserError` where there is none.
    """
    path = _existing(given)
    if not path.is_dir():
        return read_vectors(path, wanted)
    run, encoder = _run_of(path)
    model = run.model
    if hasattr(model, "vectors"):
        matrix = model.vectors()
    else:
        found = embeddings_of(model, encoder.size)
        if not found:
            raise UserError(f"{path}: this run's network has no embedding: it learnt no word vectors")
        matrix = found[0].weight.detach()
    vectors = WordVectors(encoder.tokens, matrix.float().cpu().numpy(), str(given), special=len(SPECIAL))
    if wanted is None:
        return replace(vectors, whole=encoder.size - len(SPECIAL))
    kept = [vectors.places[word] for word in dict.fromkeys(wanted) if word in vectors]
    words = tuple(encoder.tokens[place] for place in kept)
    return WordVectors(words, vectors.matrix[kept], str(given), whole=encoder.size - len(SPECIAL))


def vocabulary_of(recipe: Recipe, like: Task | None = None) -> TextEncoder | None:
    """The encoder of the run whose vectors a recipe begins with: its words are those that have vectors, and a few texts of one's
    own would leave most of them out. None where there is none, or the vectors come from a file.

    like: a task that was fitted for this recipe before: its encoder is taken, so that the vectors need not be there any more
    """
    if not recipe.model.embeddings:
        return None
    if like is not None:
        return encoder_of(like)
    path = _existing(recipe.model.embeddings)
    return _run_of(path)[1] if path.is_dir() else None


def with_embedding_size(recipe: Recipe, task: Task) -> tuple[Recipe, WordVectors]:
    """The vectors of the task's vocabulary, and the recipe with the size that follows from them."""
    name, given = recipe.model.name, recipe.model.embeddings
    encoder = encoder_of(task)
    if encoder is None or "embedding_size" not in accepted_options(name):
        what = f"task {task.name} reads no words" if encoder is None else f"model {name} has no embedding"
        raise UserError(f"model.embeddings: {what}; leave it out")
    vectors = load_word_vectors(given, encoder.tokens[len(SPECIAL) :])
    if not vectors.words:
        raise UserError(f"{given}: none of the {encoder.size:,} words of the vocabulary has a vector in it")
    options: dict[str, Any] = dict(recipe.model.options)
    asked = options.setdefault("embedding_size", vectors.size)
    if asked != vectors.size:
        raise UserError(
            f"model.options.embedding_size is {asked}, but {given} has vectors of {vectors.size} numbers; leave it out"
        )
    return replace(recipe, model=replace(recipe.model, options=options)), vectors


@torch.no_grad()
def put_vectors(model: nn.Module, task: Task, vectors: WordVectors) -> list[str]:
    """Puts the vectors into the embeddings of a network for this task's vocabulary; returns a note. Words without a vector, and
    the special ids, begin as zeros: where embeddings are frozen such words say nothing."""
    encoder = encoder_of(task)
    assert encoder is not None
    found = embeddings_of(model, encoder.size)
    if not found:
        raise UserError("model.embeddings: this network has no embedding of the vocabulary's words; leave it out")
    matrix = torch.zeros(encoder.size, vectors.size)
    places = [place for place, word in enumerate(encoder.tokens) if place >= len(SPECIAL) and word in vectors]
    matrix[places] = torch.from_numpy(vectors.matrix[[vectors.places[encoder.tokens[place]] for place in places]])
    for embedding in found:
        embedding.weight.copy_(matrix)
    words = encoder.size - len(SPECIAL)
    rest = "" if len(places) == words else "; the others begin as zeros"
    return [f"embeddings: {len(places):,} of {words:,} words have a vector of {vectors.size} in {vectors.where}{rest}"]


def encoder_of(task: Task) -> TextEncoder | None:
    """What turns a task's texts into ids, or None where it reads none."""
    found = getattr(getattr(task, "inputs", None), "encoder", None) or getattr(task, "encoder", None)
    return found if isinstance(found, TextEncoder) else None


def embeddings_of(model: nn.Module, size: int) -> list[nn.Embedding]:
    """The embeddings of a network that hold a vocabulary of so many ids."""
    return [
        module
        for name, module in model.named_modules()
        if isinstance(module, nn.Embedding) and module.num_embeddings == size and name.rpartition(".")[2] == "embedding"
    ]


def named_embeddings(recipe: Recipe) -> Recipe:
    """The recipe with the path of its vectors made absolute, so that a run can be continued from any folder."""
    if not recipe.model.embeddings:
        return recipe
    path = Path(recipe.model.embeddings).expanduser()
    return replace(recipe, model=replace(recipe.model, embeddings=str(path.resolve()))) if path.exists() else recipe


def _existing(given: str | Path) -> Path:
    path = Path(given).expanduser()
    if not path.exists():
        raise UserError(
            f"{given}: there is no such file or run of word vectors; one is made by: "
            "gradus train imdb-word2vec --out runs/imdb-word2vec"
        )
    return path


def _run_of(path: Path) -> tuple[Any, TextEncoder]:
    from gradus.recipes.run import load_run  # which makes its data ready by what stands here

    run = load_run(path)
    encoder = encoder_of(run.task)
    if encoder is None:
        raise UserError(f"{path}: this run's task ({run.task.name}) reads no words, so it has no vectors of any")
    return run, encoder
