"""Functions and modules that PyTorch lacks. What PyTorch has is used as it is."""

from gradus.nn.attention import AdditiveAttention, DotAttention, masked_softmax
from gradus.nn.ctc import convolved_lengths, ctc_greedy, ctc_prefix_beam
from gradus.nn.initializers import initialize
from gradus.nn.layers import ScaledTanh, SparselyConnectedConv2d, Subsampling
from gradus.nn.recurrent import PeepholeLSTM, RecurrentDropout, ResetBeforeGRU, SameMaskDropout
from gradus.nn.word_losses import (
    LogUniformSampler,
    UnigramSampler,
    glove_loss,
    negative_sampling_loss,
    sampled_softmax_loss,
)

__all__ = [
    "AdditiveAttention",
    "DotAttention",
    "LogUniformSampler",
    "PeepholeLSTM",
    "RecurrentDropout",
    "ResetBeforeGRU",
    "SameMaskDropout",
    "ScaledTanh",
    "SparselyConnectedConv2d",
    "Subsampling",
    "UnigramSampler",
    "convolved_lengths",
    "ctc_greedy",
    "ctc_prefix_beam",
    "glove_loss",
    "initialize",
    "masked_softmax",
    "negative_sampling_loss",
    "sampled_softmax_loss",
]
