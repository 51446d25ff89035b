"""Logistic (softmax) regression: one linear layer. The first network to try; what any other has to beat."""

from __future__ import annotations

from torch import Tensor, nn


class LogisticRegression(nn.Module):
    """(B, ...) flattened to (B, in_features) -> logits (B, num_classes). in_features x num_classes + num_classes parameters."""

    def __init__(self, in_features: int, num_classes: int) -> None:
        super().__init__()
        self.head = nn.Linear(in_features, num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(inputs.flatten(1))
