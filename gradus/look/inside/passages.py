"""A network for sequences, to be looked into: what a text or a stretch of a series is to it, and rows to look at.

A passage is one sequence without padding, with what stands at each of its steps in words.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from gradus.errors import UserError, unknown_name
from gradus.look.network.trace import in_mode

Answers = Literal["classes", "labels", "numbers", "next"]  # next: the token that follows, at every step
BATCH = 64


@dataclass(frozen=True)
class Passage:
    """One sequence.

    steps:  what stands at each step: the words of a text as they were written, the moments of a series
    inputs: int64 (T,) token ids, float32 (T, F) numbers, or float32 (V,) a bag of words
    ids:    int64 (T,) the id of each word; None for numbers
    label:  its class, where known
    other:  of a network that reads pairs, the second text; it stays as it is in all that is done to the first
    """

    name: str
    steps: tuple[str, ...]
    inputs: Tensor
    ids: Tensor | None = None
    label: int | None = None
    other: Passage | None = None

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def is_bag(self) -> bool:
        return self.ids is not None and self.inputs.is_floating_point()

    def without(self, places: Sequence[int] | np.ndarray) -> Passage:
        """The passage as if nothing had stood at these steps: words are left out, numbers become 0 (their mean)."""
        gone = np.zeros(len(self), dtype=bool)
        gone[np.asarray(places, dtype=np.int64)] = True
        if self.ids is None:
            kept = torch.from_numpy(~gone).to(self.inputs.dtype)
            return replace(self, inputs=self.inputs * kept[:, None])
        keep = torch.from_numpy(~gone)
        steps = tuple(step for step, out in zip(self.steps, gone, strict=True) if not out)
        inputs = self._bag_without(gone) if self.is_bag else self.inputs[keep]
        return replace(self, steps=steps, inputs=inputs, ids=self.ids[keep])

    def _bag_without(self, gone: np.ndarray) -> Tensor:
        """Counts fall by what is left out; what only tells whether a word occurs stays where it occurs elsewhere too."""
        assert self.ids is not None
        before = torch.bincount(self.ids, minlength=len(self.inputs)).to(self.inputs.dtype)
        after = torch.bincount(self.ids[torch.from_numpy(~gone)], minlength=len(self.inputs)).to(self.inputs.dtype)
        tells_only_whether = bool(((self.inputs == 0) | (self.inputs == 1)).all())
        kept = (after > 0).to(after.dtype) if tells_only_whether else after / before.clamp(min=1)
        return torch.where(before > 0, self.inputs * kept, self.inputs)


@dataclass(frozen=True)
class PassageRows:
    """Rows of a split. labels: int64 (N,) where they have one class each, else None."""

    count: int
    passage: Callable[[int], Passage]
    labels: Tensor | None = None

    def __len__(self) -> int:
        return self.count

    def sample(self, count: int, seed: int = 0) -> list[Passage]:
        """At most `count` passages, chosen by the seed, in the order of the split."""
        chosen = np.sort(np.random.default_rng(seed).permutation(len(self))[:count])
        return [self.passage(int(row)) for row in chosen]


@dataclass(frozen=True)
class PassageSubject:
    """A network of a run on texts or a series, in evaluation mode.

    answers: what its outputs (B, K) are; of a language model ("next") they are (B, T, K), and those at the last step are asked
    names:   of the K outputs
    read:    a text typed by the user -> a passage; None where the network does not take texts
    rows:    split name -> its rows
    joined:  whether the steps of a text stand without spaces between them (characters)
    fresh:   gives the same network with new random weights; None where that is not known
    along:   split name -> the whole text of it as consecutive passages, of a language model; None for others
    """

    name: str
    model: nn.Module
    answers: Answers
    names: tuple[str, ...]
    read: Callable[[str], Passage] | None
    rows: Callable[[str], PassageRows] | None = None
    joined: bool = False
    fresh: Callable[[], nn.Module] | None = None
    along: Callable[[str], list[Passage]] | None = None
    run: Any = None
    notes: tuple[str, ...] = ()

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    def batch(self, passages: Sequence[Passage]) -> Any:
        """(B, ...) as the network takes them, shorter ones padded with 0 behind their end; of pairs a tuple of two."""
        first = _stacked([passage.inputs for passage in passages]).to(self.device)
        others = [passage.other.inputs for passage in passages if passage.other is not None]
        return (first, _stacked(others).to(self.device)) if others else first

    def scores(self, outputs: Tensor) -> Tensor:
        """(B, K): of what the network gave, what is asked about."""
        if self.answers == "next":
            outputs = outputs[:, -1]
        if outputs.ndim != 2:
            raise UserError(f"{self.name} gives outputs of shape {tuple(outputs.shape[1:])}, not one score a class")
        return outputs

    def certain(self, scores: Tensor) -> Tensor:
        """Scores (B, K) -> probabilities; numbers stay as they are."""
        if self.answers == "numbers":
            return scores
        return scores.sigmoid() if self.answers == "labels" else scores.softmax(dim=1)

    @torch.no_grad()
    def certainties(self, passages: Sequence[Passage]) -> Tensor:
        """(N, K) on the CPU: probabilities, or the numbers themselves."""
        found = []
        with in_mode(self.model, training=False):
            for group in _by_length(passages, self.answers == "next"):
                some = self.batch([passages[place] for place in group])
                found.append((group, self.certain(self.scores(self.model(some)).float()).cpu()))
        result = torch.empty(len(passages), found[0][1].shape[1])
        for group, values in found:
            result[group] = values
        return result

    def row(self, name: str) -> Passage | None:
        """The passage of `SPLIT:ROW`, rows counted from 0; None for what is not of this form."""
        split, colon, row = name.partition(":")
        if not colon or not row.isdecimal() or not split.isidentifier():
            return None
        if self.rows is None:
            raise UserError(f"{name}: {self.name} has no rows of data; look into a run")
        rows = self.rows(split)
        if int(row) >= len(rows):
            raise UserError(f"{name}: the split has rows 0 to {len(rows) - 1}")
        return rows.passage(int(row))

    def labelled(self, split: str, look: str) -> PassageRows:
        """The rows of a split. Raises `UserError` where they have not one class each."""
        if self.rows is None:
            raise UserError(f"{look}: it needs labelled rows; look into a run")
        rows = self.rows(split)
        if rows.labels is None:
            raise UserError(f"{look}: it needs rows with one class each, which {self.name} has not")
        return rows

    def output(self, wanted: str, likeliest: int) -> int:
        """The output that a user names or numbers; the likeliest where none is named."""
        wanted = wanted.strip()
        if not wanted:
            return likeliest
        if wanted in self.names:
            return self.names.index(wanted)
        if wanted.isdigit() and int(wanted) < len(self.names):
            return int(wanted)
        raise unknown_name("output" if self.answers == "numbers" else "class", wanted, self.names)

    def layer(self, name: str) -> nn.Module:
        modules = dict(self.model.named_modules())
        if not name or name not in modules:
            raise unknown_name(f"layer of {self.name}", name, list(filter(None, modules)))
        return modules[name]


def _stacked(rows: Sequence[Tensor]) -> Tensor:
    longest = max(1, *(len(row) for row in rows))
    return torch.stack([torch.cat([row, row.new_zeros(longest - len(row), *row.shape[1:])]) for row in rows])


def _by_length(passages: Sequence[Passage], equal: bool) -> list[list[int]]:
    """Places of passages of about one length, `BATCH` at most together; `equal`: of exactly one, as the last step is read."""
    order = sorted(range(len(passages)), key=lambda place: len(passages[place].inputs))
    groups: list[list[int]] = []
    for place in order:
        length = len(passages[place].inputs)
        fits = groups and len(groups[-1]) < BATCH and (not equal or len(passages[groups[-1][0]].inputs) == length)
        if fits:
            groups[-1].append(place)
        else:
            groups.append([place])
    return groups
