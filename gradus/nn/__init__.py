"""Functions and modules that PyTorch lacks. What PyTorch has is used as it is."""

from gradus.nn.attention import AdditiveAttention, DotAttention, masked_softmax
from gradus.nn.convolution import SamePad2d, SeparableConv2d, dense_to_convolution, same_pad2d
from gradus.nn.ctc import convolved_lengths, ctc_greedy, ctc_prefix_beam
from gradus.nn.dropout import ClassicDropout
from gradus.nn.highway import Highway
from gradus.nn.initializers import initialize
from gradus.nn.layers import ScaledTanh, SparselyConnectedConv2d, Subsampling
from gradus.nn.normalization import LocalResponseNorm
from gradus.nn.pooling import ChunkMaxPool1d, SpatialPyramidPool2d, StochasticPool2d, stochastic_pool2d
from gradus.nn.recurrent import PeepholeLSTM, RecurrentDropout, ResetBeforeGRU, SameMaskDropout
from gradus.nn.regions import roi_align, roi_pool
from gradus.nn.word_losses import (
    LogUniformSampler,
    UnigramSampler,
    glove_loss,
    negative_sampling_loss,
    sampled_softmax_loss,
)

__all__ = [
    "AdditiveAttention",
    "ChunkMaxPool1d",
    "ClassicDropout",
    "DotAttention",
    "Highway",
    "LocalResponseNorm",
    "LogUniformSampler",
    "PeepholeLSTM",
    "RecurrentDropout",
    "ResetBeforeGRU",
    "SameMaskDropout",
    "SamePad2d",
    "ScaledTanh",
    "SeparableConv2d",
    "SparselyConnectedConv2d",
    "SpatialPyramidPool2d",
    "StochasticPool2d",
    "Subsampling",
    "UnigramSampler",
    "convolved_lengths",
    "ctc_greedy",
    "ctc_prefix_beam",
    "dense_to_convolution",
    "glove_loss",
    "initialize",
    "masked_softmax",
    "negative_sampling_loss",
    "roi_align",
    "roi_pool",
    "same_pad2d",
    "sampled_softmax_loss",
    "stochastic_pool2d",
]
