"""Functions and modules that PyTorch lacks. What PyTorch has is used as it is."""

from gradus.nn.convolution import SamePad2d, SeparableConv2d, dense_to_convolution, same_pad2d
from gradus.nn.dropout import ClassicDropout
from gradus.nn.highway import Highway
from gradus.nn.initializers import initialize
from gradus.nn.layers import ScaledTanh, SparselyConnectedConv2d, Subsampling
from gradus.nn.normalization import LocalResponseNorm
from gradus.nn.pooling import ChunkMaxPool1d, SpatialPyramidPool2d, StochasticPool2d, stochastic_pool2d
from gradus.nn.regions import roi_align, roi_pool

__all__ = [
    "ChunkMaxPool1d",
    "ClassicDropout",
    "Highway",
    "LocalResponseNorm",
    "SamePad2d",
    "ScaledTanh",
    "SeparableConv2d",
    "SparselyConnectedConv2d",
    "SpatialPyramidPool2d",
    "StochasticPool2d",
    "Subsampling",
    "dense_to_convolution",
    "initialize",
    "roi_align",
    "roi_pool",
    "same_pad2d",
    "stochastic_pool2d",
]
