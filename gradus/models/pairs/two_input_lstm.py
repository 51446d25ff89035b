"""A text and a question, each read by an LSTM of its own; what both say is joined (*Deep Learning with Python*, listing 7-1).

With the listing's sizes (10 000 tokens, 500 answers) it has 1 000 052 parameters and 192 more: PyTorch's LSTMs have two biases a
gate where Keras has one. The listing reads padding like a word (masked=False); here the end of a text is its last word.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gradus.models.sequence.front import Front, last_step
from gradus.models.sequence.recurrent import Recurrent


class TwoInputLSTM(nn.Module):
    """embedding_sizes, hidden_sizes: of the text and of the question."""

    def __init__(
        self,
        num_tokens: int,
        num_classes: int = 2,
        embedding_sizes: tuple[int, int] = (64, 32),
        hidden_sizes: tuple[int, int] = (32, 16),
        dropout: float = 0.0,
        masked: bool = True,
    ) -> None:
        super().__init__()
        self.fronts = nn.ModuleList(Front(num_tokens, size, None, dropout, masked) for size in embedding_sizes)
        sizes = zip(embedding_sizes, hidden_sizes, strict=True)
        self.bodies = nn.ModuleList(Recurrent("lstm", width, hidden) for width, hidden in sizes)
        self.head = nn.Linear(sum(hidden_sizes), num_classes)

    def forward(self, inputs: tuple[Tensor, Tensor]) -> Tensor:
        read = []
        for ids, front, body in zip(inputs, self.fronts, self.bodies, strict=True):
            vectors, mask = front(ids)
            read.append(last_step(body(vectors, mask), mask))
        return self.head(torch.cat(read, dim=1))
