"""Forward and backward of layers. Each backward takes the gradient of the loss by the output and returns it by the inputs."""

from __future__ import annotations

import numpy as np


def scaled_tanh(inputs: np.ndarray) -> np.ndarray:
    """A tanh(S x) with A = 1.7159, S = 2/3 (LeCun et al. 1998, appendix A)."""
    return 1.7159 * np.tanh(2 / 3 * inputs)


def scaled_tanh_backward(inputs: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """d/dx A tanh(S x) = A S (1 - tanh^2(S x))."""
    return gradient * 1.7159 * 2 / 3 * (1 - np.tanh(2 / 3 * inputs) ** 2)
