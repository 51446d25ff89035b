"""One LSTM that reads both texts, and a head that compares what it read (*Deep Learning with Python*, §7.1.5).

head="concatenate" is the text's: with inputs of 128 numbers and one output it has 20 673 parameters and 128 more (PyTorch's
second bias of each gate). Its answer changes when the texts change places, though likeness does not; the others are symmetric:

    symmetric     a linear layer on [|a - b|, a * b]
    manhattan     a linear layer on the one number exp(-|a - b|_1), which is 1 where both are alike (Mueller and Thyagarajan 2016)
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from gradus.errors import UserError
from gradus.models.sequence.front import Front, last_step
from gradus.models.sequence.recurrent import Kind, Recurrent

HEADS = ("symmetric", "concatenate", "manhattan")


class SiameseLSTM(nn.Module):
    """Two tensors of ids (B, T), (B, U) or numbers (B, T, F), (B, U, F) -> (B, num_classes)."""

    def __init__(
        self,
        num_classes: int = 2,
        num_tokens: int | None = None,
        in_features: int | None = None,
        embedding_size: int = 64,
        hidden_size: int = 32,
        head: Literal["symmetric", "concatenate", "manhattan"] = "symmetric",
        kind: Kind = "lstm",
        bidirectional: bool = False,
        dropout: float = 0.0,
        masked: bool = True,
    ) -> None:
        super().__init__()
        if head not in HEADS:
            raise UserError(f"head: expected one of {', '.join(HEADS)}, received {head}")
        self.front = Front(num_tokens, embedding_size, in_features, dropout, masked)
        self.body = Recurrent(kind, self.front.width, hidden_size, 1, bidirectional)
        self.compares = head
        width = 1 if head == "manhattan" else 2 * self.body.width
        self.head = nn.Linear(width, num_classes)

    def read(self, inputs: Tensor) -> Tensor:
        """What the one reader makes of a text: (B, width). Of a bidirectional one, the means over the steps."""
        vectors, mask = self.front(inputs)
        outputs = self.body(vectors, mask)
        if not self.body.bidirectional:
            return last_step(outputs, mask)
        if mask is None:
            return outputs.mean(dim=1)
        exist = mask[:, :, None].to(outputs.dtype)
        return (outputs * exist).sum(dim=1) / exist.sum(dim=1).clamp(min=1)

    def forward(self, inputs: tuple[Tensor, Tensor]) -> Tensor:
        first, second = self.read(inputs[0]), self.read(inputs[1])
        if self.compares == "concatenate":
            return self.head(torch.cat([first, second], dim=1))
        apart = (first - second).abs()
        if self.compares == "manhattan":
            return self.head(torch.exp(-apart.sum(dim=1, keepdim=True)))
        return self.head(torch.cat([apart, first * second], dim=1))
