"""Models that learn word vectors, for the task `word-vectors`. V words, d numbers a vector, row 0 is padding and stays zero.

A row is a stretch of L words of a text with what stands around it, T words in all (`Stretch`). The words of a window foretell the
one in its middle, each by itself (skip-gram; the published program does the same, the roles of the two tables being alike) or by
their mean (cbow); what is foretold are words against noise, or the turns down a Huffman tree. All scores of a stretch are
products of matrices. `window_words` is the neural language model with a fixed window, GloVe learns from counts.

All have `vectors()`: (V, d), what was learnt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Stretch:
    """What skip-gram and cbow are given of B stretches.

    ids (B, T); chosen (B, L, T): 1 where a word is read for a middle, else 0
    asked (B, L, A): rows of the output table that are asked for each middle: the word itself, or the nodes on its way
    noise (B, S): words of noise, or no columns
    """

    ids: Tensor
    chosen: Tensor
    asked: Tensor
    noise: Tensor

    @property
    def shape(self) -> torch.Size:
        return self.ids.shape

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: slice) -> Stretch:
        return Stretch(self.ids[rows], self.chosen[rows], self.asked[rows], self.noise[rows])


class TwoTables(nn.Module):
    """embedding: the vectors, uniform in +-0.5/d at first; output: those of the words (or nodes) that are foretold, 0 at first
    (as in the published program)."""

    def __init__(self, num_tokens: int, embedding_size: int = 100) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_tokens, embedding_size, padding_idx=0)
        self.output = nn.Embedding(num_tokens, embedding_size)
        nn.init.uniform_(self.embedding.weight, -0.5 / embedding_size, 0.5 / embedding_size)
        nn.init.zeros_(self.output.weight)
        with torch.no_grad():
            self.embedding.weight[0] = 0

    def foretold(self, given: Stretch) -> tuple[Tensor, Tensor]:
        """(B, L * A, d) of what is asked and (B, S, d) of the noise, looked up at once: a table's gradient is made once then."""
        asked = given.asked.flatten(1)
        rows = self.output(torch.cat([asked, given.noise], dim=1))
        return rows[:, : asked.shape[1]], rows[:, asked.shape[1] :]

    def vectors(self) -> Tensor:
        return self.embedding.weight.detach()


class SkipGram(TwoTables):
    """Mikolov et al. 2013. A stretch -> scores (B, L * A * T + T * S): each word of it for what is asked, then for the noise."""

    word_form: ClassVar[str] = "skip-gram"

    def forward(self, given: Stretch) -> Tensor:
        read = self.embedding(given.ids).transpose(1, 2)  # (B, d, T)
        asked, noise = self.foretold(given)  # (B, L * A, d), (B, S, d)
        scores, against = torch.bmm(asked, read), torch.bmm(noise, read).transpose(1, 2)
        return torch.cat([scores.flatten(1), against.flatten(1)], dim=1)


class Cbow(TwoTables):
    """Mikolov et al. 2013: the mean of a window's vectors. A stretch -> scores (B, L * A + L * S)."""

    word_form: ClassVar[str] = "cbow"

    def forward(self, given: Stretch) -> Tensor:
        vectors = self.embedding(given.ids)
        chosen = given.chosen.to(vectors.dtype)
        read = torch.bmm(chosen / chosen.sum(dim=2, keepdim=True).clamp(min=1), vectors)  # (B, L, d)
        asked, noise = self.foretold(given)
        scores = torch.einsum("bld,blad->bla", read, asked.unflatten(1, given.asked.shape[1:]))
        against = torch.bmm(read, noise.transpose(1, 2))  # (B, L, S)
        return torch.cat([scores.flatten(1), against.flatten(1)], dim=1)


class WindowModel(nn.Module):
    """The vectors of a fixed window side by side, a hidden layer, a softmax over all words (Bengio et al. 2003; course notes
    §5.2.4). Ids (B, L, C) -> logits (B, L, V) of the word in the middle, or behind."""

    word_form: ClassVar[str] = "window"

    def __init__(self, num_tokens: int, context: int = 4, embedding_size: int = 100, hidden_size: int = 100) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_tokens, embedding_size, padding_idx=0)
        self.hidden = nn.Linear(context * embedding_size, hidden_size)
        self.head = nn.Linear(hidden_size, num_tokens)
        nn.init.uniform_(
            self.embedding.weight, -0.05, 0.05
        )  # with a deviation of 1 their meaning would take long to be heard
        with torch.no_grad():
            self.embedding.weight[0] = 0

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(torch.tanh(self.hidden(self.embedding(ids).flatten(2))))

    def vectors(self) -> Tensor:
        return self.embedding.weight.detach()


class GloVe(nn.Module):
    """Pennington et al. 2014. Pairs of words (B, 2) -> (B,): the log of how often they meet. Its vectors are the means of the two
    tables (the paper adds them), which play the same part."""

    word_form: ClassVar[str] = "glove"

    def __init__(self, num_tokens: int, embedding_size: int = 100) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_tokens, embedding_size)
        self.output = nn.Embedding(num_tokens, embedding_size)
        self.biases = nn.ModuleList([nn.Embedding(num_tokens, 1), nn.Embedding(num_tokens, 1)])
        for table in (self.embedding, self.output, *self.biases):
            nn.init.uniform_(table.weight, -0.5 / embedding_size, 0.5 / embedding_size)

    def forward(self, pairs: Tensor) -> Tensor:
        word, other = pairs[:, 0], pairs[:, 1]
        product = (self.embedding(word) * self.output(other)).sum(dim=1)
        return product + self.biases[0](word)[:, 0] + self.biases[1](other)[:, 0]

    def vectors(self) -> Tensor:
        mean = (self.embedding.weight.detach() + self.output.weight.detach()) / 2
        mean[0] = 0
        return mean
