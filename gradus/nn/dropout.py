"""Dropout as it was first described. `nn.Dropout` is the inverted one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gradus.errors import UserError


class ClassicDropout(nn.Module):
    """Training: each value is 0 with probability `rate`, the others as they are. Evaluation: everything times 1 - rate.

    Hinton et al. 2012. The expectation is that of `nn.Dropout`'s outputs times 1 - rate, in training and in evaluation alike.
    """

    def __init__(self, rate: float = 0.5) -> None:
        super().__init__()
        if not 0 <= rate < 1:
            raise UserError(f"a dropout rate is in [0, 1), received {rate}")
        self.rate = rate

    def forward(self, inputs: Tensor) -> Tensor:
        if self.training:
            return inputs * (torch.rand_like(inputs, dtype=torch.float32) >= self.rate)  # bfloat16 would be too coarse
        return inputs * (1 - self.rate)

    def extra_repr(self) -> str:
        return f"{self.rate}"
