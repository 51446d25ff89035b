"""The recurrent workload's network: Embedding -> LSTM -> last output -> Linear. Its Keras twin is in keras_peer.py."""

from __future__ import annotations

from torch import Tensor, nn


class LstmClassifier(nn.Module):
    """Token ids (B, T) -> logits (B, num_classes). No masking: padding is a token like any other."""

    def __init__(self, num_words: int, num_classes: int, width: int = 32) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_words, width)
        self.lstm = nn.LSTM(width, width, batch_first=True)
        self.head = nn.Linear(width, num_classes)

    def forward(self, tokens: Tensor) -> Tensor:
        outputs, _ = self.lstm(self.embedding(tokens))  # (B, T, width)
        return self.head(outputs[:, -1])
