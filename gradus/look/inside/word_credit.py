"""What each step of a passage adds to a score: gradients times inputs, integrated gradients, and leaving it out.

T steps. A word has no gradient of its own: what is differentiated by is its vector, the output of the network's embedding. Of
numbers, and of bags of words, the inputs themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from gradus.errors import UserError
from gradus.look.inside.passages import Passage, PassageSubject
from gradus.look.network.trace import in_mode

Scores = Literal["score", "probability"]
Baseline = Literal["zero", "mean"]


@contextmanager
def differentiable(model: nn.Module) -> Iterator[None]:
    """In evaluation mode with gradients; recurrent layers by PyTorch's own kernels, as cuDNN's have none in evaluation."""
    with in_mode(model, training=False), torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
        yield


def embedding_of(subject: PassageSubject, inputs: Tensor) -> nn.Embedding:
    """The layer that turns these ids (B, T) into vectors: the first embedding that is called with so many.

    Raises `UserError` where there is none.
    """
    called: list[nn.Embedding] = []

    def hook(module: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
        assert isinstance(module, nn.Embedding)
        if given[0].shape == inputs.shape:
            called.append(module)

    layers = [module for module in subject.model.modules() if isinstance(module, nn.Embedding)]
    handles = [module.register_forward_hook(hook) for module in layers]
    try:
        with torch.no_grad(), in_mode(subject.model, training=False):
            subject.model(inputs)
    finally:
        for handle in handles:
            handle.remove()
    if not called:
        raise UserError(f"{subject.name} has no embedding, so its words have no vectors to take a gradient by")
    return called[0]


@contextmanager
def vectors_given(embedding: nn.Embedding, vectors: Tensor) -> Iterator[None]:
    """While it lasts, the layer gives these vectors (B, T, n) at its first call, whatever ids it is called with."""
    calls = 0

    def hook(module: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return vectors if calls == 1 else output

    handle = embedding.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


class Vectors:
    """A passage as vectors, and the score of one output as a function of them.

    whole: (T, n) the vectors of the words; (T, F) numbers; (V, 1) the bag
    against: another output, whose score is taken off
    """

    def __init__(
        self, subject: PassageSubject, passage: Passage, output: int, scores: Scores, against: int | None = None
    ) -> None:
        if passage.other is not None:
            raise UserError(
                f"{subject.name} reads pairs of texts, for which words are left out only: --set way=left-out"
            )
        self.subject, self.passage, self.output, self.scores = subject, passage, output, scores
        self.against = against
        self.inputs = subject.batch([passage])
        self.embedding = None if self.inputs.is_floating_point() else embedding_of(subject, self.inputs)
        if self.embedding is None:
            found = self.inputs[0] if self.inputs.ndim == 3 else self.inputs[0][:, None]
        else:
            found = self.embedding(self.inputs)[0]
        self.whole = found.detach()

    def all_scores(self, vectors: Tensor) -> Tensor:
        """(B, T, n) -> (B, K)."""
        if self.embedding is None:
            found = self.subject.model(vectors if self.inputs.ndim == 3 else vectors[:, :, 0])
        else:
            with vectors_given(self.embedding, vectors):
                found = self.subject.model(self.inputs.expand(len(vectors), -1))
        return self.subject.scores(found)

    def __call__(self, vectors: Tensor) -> Tensor:
        """(B, T, n) -> (B,): the output that is asked about."""
        scores = self.all_scores(vectors)
        scores = self.subject.certain(scores) if self.scores == "probability" else scores
        asked = scores[:, self.output]
        return asked if self.against is None else asked - scores[:, self.against]

    def gradient(self, vectors: Tensor) -> Tensor:
        given = vectors.detach().requires_grad_()
        with differentiable(self.subject.model):
            return torch.autograd.grad(self(given).sum(), given)[0]

    def value(self, vectors: Tensor) -> float:
        with torch.no_grad(), in_mode(self.subject.model, training=False):
            return float(self(vectors[None])[0])

    def baseline(self, kind: Baseline) -> Tensor:
        """(T, n): no content: zeros, or the mean vector of the vocabulary (of numbers, 0 is their mean already)."""
        if kind == "mean" and self.embedding is not None:
            return self.embedding.weight.detach().mean(dim=0).expand_as(self.whole)
        return torch.zeros_like(self.whole)

    def by_step(self, credit: Tensor) -> np.ndarray:
        """(T, n) -> (T,): summed over the numbers of a step; a bag's shared out among the places where a word stands."""
        total = credit.sum(dim=1).double().cpu()
        if not self.passage.is_bag:
            return total.numpy()
        ids = self.passage.ids
        assert ids is not None
        return (total / torch.bincount(ids, minlength=len(total)).clamp(min=1))[ids].numpy()


def gradient_times_input(vectors: Vectors) -> np.ndarray:
    """(T,): the score's gradient by each word's vector times that vector: what the word adds, to the first order."""
    return vectors.by_step(vectors.gradient(vectors.whole[None])[0] * vectors.whole)


def integrated_gradients(vectors: Vectors, kind: Baseline = "zero", steps: int = 64) -> tuple[np.ndarray, float]:
    """((T,), gap): (vectors - baseline) times the mean gradient on the straight way between them (Sundararajan et al. 2017).

    gap: their sum minus f(vectors) - f(baseline), which goes to 0 with the number of steps (midpoint rule)
    """
    start = vectors.baseline(kind)
    way = vectors.whole - start
    total = torch.zeros_like(way)
    fractions = (torch.arange(steps, device=way.device) + 0.5) / steps
    for part in fractions.split(max(1, 8192 // max(len(way), 1))):
        total += vectors.gradient(start + part[:, None, None] * way).sum(dim=0)
    credit = way * total / steps
    difference = vectors.value(vectors.whole) - vectors.value(start)
    return vectors.by_step(credit), float(credit.double().sum()) - difference


def left_out(subject: PassageSubject, passage: Passage, output: int, scores: Scores = "score") -> np.ndarray:
    """(T,): how far the score falls without each step: words are taken out, numbers set to their mean."""
    shorter = [passage.without([place]) for place in range(len(passage))]
    whole = _values(subject, [passage], output, scores)
    return whole - _values(subject, shorter, output, scores)


@torch.no_grad()
def _values(subject: PassageSubject, passages: Sequence[Passage], output: int, scores: Scores) -> np.ndarray:
    found = []
    with in_mode(subject.model, training=False):
        for first in range(0, len(passages), 64):
            given = subject.scores(subject.model(subject.batch(passages[first : first + 64])))
            found.append((subject.certain(given) if scores == "probability" else given)[:, output].double().cpu())
    return torch.cat(found).numpy()


def deletion(
    subject: PassageSubject,
    passages: Sequence[Passage],
    credit: Callable[[Passage, int], np.ndarray],
    fractions: Sequence[float],
) -> np.ndarray:
    """(passages, fractions): the probability of the network's own answer when that share of the steps is taken out, those with
    the most credit first."""
    answers = subject.certainties(passages).argmax(dim=1).tolist()
    shorter = []
    for passage, answer in zip(passages, answers, strict=True):
        order = np.argsort(-credit(passage, answer), kind="stable")
        shorter += [passage.without(order[: round(share * len(passage))]) for share in fractions]
    found = subject.certainties(shorter).numpy().reshape(len(passages), len(fractions), -1)
    return found[np.arange(len(passages)), :, answers]
