"""How weights begin. PyTorch's layers draw their own; this is for results that were printed with another choice.

The same schemes in NumPy, with their sources: `gradus.reference.initializers`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

from gradus.errors import unknown_name


def _truncated_normal(weight: Tensor) -> None:
    deviation = 1 / math.sqrt(weight[0].numel())
    nn.init.trunc_normal_(weight, std=deviation, a=-2 * deviation, b=2 * deviation)


def _identity(weight: Tensor) -> None:
    if weight.ndim == 2:
        nn.init.eye_(weight)
    else:
        nn.init.dirac_(weight)


# scheme -> what draws a weight, in place. Deviations are σ, not σ²; n is the fan-in: of a convolution, channels times field
DRAWS: dict[str, Callable[[Tensor], object]] = {
    "glorot": nn.init.xavier_uniform_,
    "glorot_normal": nn.init.xavier_normal_,
    "he": partial(nn.init.kaiming_normal_, nonlinearity="relu"),
    "he_uniform": partial(nn.init.kaiming_uniform_, nonlinearity="relu"),
    "lecun": partial(nn.init.kaiming_normal_, nonlinearity="linear"),
    "truncated_normal": _truncated_normal,
    "normal": partial(nn.init.normal_, std=0.01),
    "unit_normal": nn.init.normal_,
    "orthogonal": nn.init.orthogonal_,
    "identity": _identity,
    "zeros": nn.init.zeros_,
}
INITIALIZERS = ("pytorch", *DRAWS)


def initialize(model: nn.Module, scheme: str) -> None:
    """Draws the weights of every linear and convolutional layer again, in place, and sets their biases to 0.

    pytorch:          as the layers did themselves: weights and biases uniform in +-1/sqrt(n)
    glorot:           uniform in +-sqrt(6 / (n + fan-out)) (Glorot and Bengio 2010, eq. 16; Keras' default)
    glorot_normal:    N(0, 2 / (n + fan-out))
    he, he_uniform:   N(0, 2 / n), or uniform of that variance, for ReLU (He et al. 2015)
    lecun:            N(0, 1 / n), for tanh
    truncated_normal: N(0, 1 / n), each value within two deviations; what is left has 0.88 of the deviation
    normal:           N(0, 0.01^2)
    unit_normal:      N(0, 1): too large, to see what that does
    orthogonal:       rows (or columns) of length 1 at right angles
    identity:         each output hands on the input of its number
    zeros:            all 0: neurons of one layer stay alike, to see what that does

    Other layers (embeddings, recurrent ones, transposed convolutions, norms) keep what they drew.
    """
    if scheme not in INITIALIZERS:
        raise unknown_name("initialization", scheme, INITIALIZERS)
    if scheme == "pytorch":
        return
    for layer in model.modules():
        if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
            DRAWS[scheme](layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
