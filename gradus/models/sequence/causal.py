"""Language models that see a fixed number of tokens back: causal convolutions, and Bengio's network over a window."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional

from gradus.errors import UserError

PAD = 0  # the id of padding


class SeesBack(nn.Module):
    """A language model whose logits depend on the last `sees` tokens, the newest among them, and on none before: its state is
    the ids of those, which are read again."""

    sees: int

    @abstractmethod
    def forward(self, ids: Tensor) -> Tensor: ...

    def continued(self, ids: Tensor, state: list[Tensor] | None) -> tuple[Tensor, list[Tensor]]:
        """A state: ids (1, B, S), S < sees."""
        known = ids if state is None else torch.cat([state[0][0], ids], dim=1)
        logits = self(known)[:, -ids.shape[1] :]
        return logits, [known[None, :, max(known.shape[1] - self.sees + 1, 0) :]]


class ConvolutionalBlock(nn.Module):
    """x + linear(relu(convolution(norm(x)))), the convolution over x[t], x[t - dilation], x[t - 2 * dilation], ..."""

    def __init__(self, width: int, kernel_size: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.convolution = nn.Conv1d(width, width, kernel_size, dilation=dilation)
        self.linear = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)
        self.before = (kernel_size - 1) * dilation

    def forward(self, inputs: Tensor) -> Tensor:
        moved = functional.pad(self.norm(inputs).transpose(1, 2), (self.before, 0))
        hidden = functional.relu(self.convolution(moved)).transpose(1, 2)
        return inputs + self.dropout(self.linear(hidden))


class ConvolutionalLanguageModel(SeesBack):
    """Causal convolutions, the dilation doubled from layer to layer (van den Oord et al. 2016; the residual form after Bai et
    al. 2018, with layer in place of weight normalisation). It sees 1 + (kernel_size - 1) * (2^layers - 1) tokens."""

    def __init__(
        self, num_tokens: int, width: int = 128, layers: int = 6, kernel_size: int = 3, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.sees = 1 + (kernel_size - 1) * (2**layers - 1)
        self.embedding = nn.Embedding(num_tokens, width)
        self.blocks = nn.Sequential(
            *(ConvolutionalBlock(width, kernel_size, 2**layer, dropout) for layer in range(layers))
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, num_tokens)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.norm(self.blocks(self.embedding(ids))))


class WindowLanguageModel(SeesBack):
    """Bengio et al. 2003, equation 1: the vectors of the last `window` tokens side by side, a tanh layer, and (direct) a linear
    path beside it. Before the beginning of a row lies padding."""

    def __init__(
        self, num_tokens: int, window: int = 5, embedding_size: int = 60, hidden_size: int = 50, direct: bool = True
    ) -> None:
        super().__init__()
        if window < 1:
            raise UserError(f"window_lm: expected a window of 1 token or more, received {window}")
        self.sees = window
        self.embedding = nn.Embedding(num_tokens, embedding_size, padding_idx=PAD)
        self.hidden = nn.Linear(window * embedding_size, hidden_size)
        self.head = nn.Linear(hidden_size, num_tokens)
        self.direct = nn.Linear(window * embedding_size, num_tokens, bias=False) if direct else None

    def forward(self, ids: Tensor) -> Tensor:
        padded = functional.pad(ids, (self.sees - 1, 0), value=PAD)
        vectors = self.embedding(padded.unfold(1, self.sees, 1)).flatten(2)  # (B, T, window * embedding_size)
        logits = self.head(torch.tanh(self.hidden(vectors)))
        return logits if self.direct is None else logits + self.direct(vectors)
