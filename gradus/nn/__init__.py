"""Functions and modules that PyTorch lacks. What PyTorch has is used as it is."""

from gradus.nn.initializers import initialize
from gradus.nn.layers import ScaledTanh, SparselyConnectedConv2d, Subsampling

__all__ = ["ScaledTanh", "SparselyConnectedConv2d", "Subsampling", "initialize"]
