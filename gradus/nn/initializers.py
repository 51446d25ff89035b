"""How weights begin. PyTorch's layers draw their own; this is for results that were printed with another choice."""

from __future__ import annotations

from torch import nn

from gradus.errors import unknown_name

INITIALIZERS = ("pytorch", "glorot")


def initialize(model: nn.Module, scheme: str) -> None:
    """Draws the weights of every linear and convolutional layer again, in place.

    pytorch: as the layers did themselves: weights and biases uniform in +-1/sqrt(fan-in)
    glorot:  weights uniform in +-sqrt(6 / (fan-in + fan-out)), biases 0 (Glorot and Bengio 2010, eq. 16; Keras' default)
    """
    if scheme not in INITIALIZERS:
        raise unknown_name("initialization", scheme, INITIALIZERS)
    if scheme == "pytorch":
        return
    for layer in model.modules():
        if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
