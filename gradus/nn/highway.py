"""Highway layers: a gate that mixes a layer's output with its input (Srivastava et al. 2015)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from gradus.errors import UserError


class Highway(nn.Module):
    """H T + x (1 - T) with H = activation(transform(x)) and T = sigmoid(gate(x)); the shape stays.

    kernel_size None: (..., features), both are linear. A number (odd): (B, features, H, W), both are convolutions that keep
    the size. The gate's bias starts at `gate_bias`, below 0, so that a new layer passes most of its input on.
    """

    def __init__(
        self,
        features: int,
        kernel_size: int | None = None,
        activation: Callable[[Tensor], Tensor] = torch.relu,
        gate_bias: float = -2.0,
    ) -> None:
        super().__init__()
        if kernel_size is not None and kernel_size % 2 == 0:
            raise UserError(f"an odd kernel_size keeps the size of the maps, received {kernel_size}")

        def layer() -> nn.Linear | nn.Conv2d:
            if kernel_size is None:
                return nn.Linear(features, features)
            return nn.Conv2d(features, features, kernel_size, padding=kernel_size // 2)

        self.transform, self.gate, self.activation = layer(), layer(), activation
        self.gate_bias = gate_bias
        nn.init.constant_(self.gate.bias, gate_bias)  # type: ignore[arg-type]

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs + torch.sigmoid(self.gate(inputs)) * (self.activation(self.transform(inputs)) - inputs)

    def extra_repr(self) -> str:
        return f"gate_bias={self.gate_bias}"
