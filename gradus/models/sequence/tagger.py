"""A class for each word: a recurrent network with an output at every step, of words and, where asked for, of their letters.

The letters of a word are read by a convolution and its maximum (Ma and Hovy 2016, without their conditional random field), which
tells what kind of word an unknown one is: its ending, its capitals.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gradus.models.sequence.front import Front
from gradus.models.sequence.recurrent import Kind, Recurrent
from gradus.nn import SameMaskDropout


class Letters(nn.Module):
    """ids (B, T, L) of the letters of each word, 0 behind its end -> (B, T, `width`)."""

    def __init__(self, num_characters: int, embedding_size: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_characters, embedding_size, 0)
        self.convolution = nn.Conv1d(embedding_size, width, 3, padding=1)
        self.width = width

    def forward(self, letters: Tensor) -> Tensor:
        words, steps, length = letters.shape
        vectors = self.embedding(letters.reshape(words * steps, length)).transpose(1, 2)
        found = self.convolution(vectors).masked_fill((letters.reshape(-1, 1, length) == 0), -torch.inf).amax(dim=2)
        return torch.where(found.isinf(), 0.0, found).reshape(words, steps, self.width)  # a word without letters: 0


class Tagger(nn.Module):
    """ids (B, T), 0 behind the end of each row, or a tuple of them and letters (B, T, L) -> logits (B, T, num_classes)."""

    def __init__(
        self,
        num_tokens: int,
        num_classes: int = 2,
        num_characters: int = 0,
        kind: Kind = "lstm",
        embedding_size: int = 64,
        hidden_size: int = 64,
        layers: int = 1,
        bidirectional: bool = True,
        dropout: float = 0.2,
        character_size: int = 32,
    ) -> None:
        super().__init__()
        self.front = Front(num_tokens, embedding_size)
        self.letters = Letters(num_characters, 16, character_size) if num_characters else None
        width = self.front.width + (character_size if num_characters else 0)
        self.dropout = SameMaskDropout(dropout) if dropout else nn.Identity()
        self.body = Recurrent(kind, width, hidden_size, layers, bidirectional, dropout)
        self.head = nn.Linear(self.body.width, num_classes)

    def forward(self, inputs: Tensor | tuple[Tensor, Tensor]) -> Tensor:
        ids, letters = (inputs, None) if isinstance(inputs, Tensor) else inputs
        vectors, mask = self.front(ids)
        if self.letters is not None:
            vectors = torch.cat([vectors, self.letters(letters)], dim=2)
        return self.head(self.dropout(self.body(self.dropout(vectors), mask)))
