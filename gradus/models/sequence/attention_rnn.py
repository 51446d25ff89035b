"""A recurrent network whose answer is read from all steps, weighed by what it has learnt to look at (Yang et al. 2016).

score_t = v . tanh(W h_t + b), weights = softmax over the steps that exist, answer from the weighted mean of the h_t. This is the
additive attention of Bahdanau et al. 2015 with one learnt question in place of a decoder's state.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gradus.models.sequence.front import Front, places_in_front
from gradus.models.sequence.recurrent import Kind, Recurrent
from gradus.nn import masked_softmax


class AttentionRNN(nn.Module):
    """Ids (B, T) or numbers (B, T, F) -> (B, num_classes).

    attention_size: units of the layer that scores the steps
    """

    def __init__(
        self,
        num_classes: int = 2,
        num_tokens: int | None = None,
        in_features: int | None = None,
        kind: Kind = "gru",
        embedding_size: int = 64,
        hidden_size: int = 64,
        layers: int = 1,
        bidirectional: bool = True,
        attention_size: int = 64,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        masked: bool = True,
    ) -> None:
        super().__init__()
        self.front = Front(num_tokens, embedding_size, in_features, dropout, masked)
        self.body = Recurrent(kind, self.front.width, hidden_size, layers, bidirectional, dropout, recurrent_dropout)
        self.key = nn.Linear(self.body.width, attention_size)
        self.score = nn.Linear(attention_size, 1, bias=False)
        self.head = nn.Linear(self.body.width, num_classes)

    def _attend(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Contexts (B, width) and weights (B, T), what exists in front."""
        vectors, mask = self.front(inputs)
        outputs = self.body(vectors, mask)
        scores = self.score(torch.tanh(self.key(outputs)))[:, None, :, 0]  # (B, 1, T)
        weights = masked_softmax(scores, mask)
        return (weights @ outputs)[:, 0], weights[:, 0]

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(self._attend(inputs)[0])

    def attention(self, inputs: Tensor) -> Tensor:
        """(B, T): the weight of each step where it stands in `inputs`; 0 for padding, sums of 1 (of an empty row 0)."""
        weights = self._attend(inputs)[1]
        if not self.front.masked:
            return weights
        outside = weights.new_zeros(len(weights), 1)
        return torch.cat([weights, outside], dim=1).gather(1, places_in_front(inputs != 0))
