"""Forward and backward of layers. Each backward takes the gradient of the loss by the output and returns it by the inputs."""

from __future__ import annotations

import numpy as np


def subsampling(inputs: np.ndarray, coefficient: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """LeNet-5's S layers: coefficient * (sum over a 2x2 field) + bias. (B, C, H, W) -> (B, C, H/2, W/2), H and W even."""
    batch, channels, height, width = inputs.shape
    sums = inputs.reshape(batch, channels, height // 2, 2, width // 2, 2).sum(axis=(3, 5))
    return sums * coefficient[:, None, None] + bias[:, None, None]


def subsampling_backward(
    inputs: np.ndarray, coefficient: np.ndarray, gradient: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients by (inputs, coefficient, bias)."""
    batch, channels, height, width = inputs.shape
    sums = inputs.reshape(batch, channels, height // 2, 2, width // 2, 2).sum(axis=(3, 5))
    spread = (gradient * coefficient[:, None, None]).repeat(2, axis=2).repeat(2, axis=3)
    return spread, (gradient * sums).sum(axis=(0, 2, 3)), gradient.sum(axis=(0, 2, 3))
