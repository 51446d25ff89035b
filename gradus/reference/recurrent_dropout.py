"""Dropout in a recurrent layer: one mask for the whole sequence (Gal and Ghahramani 2016).

Shapes as in `recurrent`: B sequences, T steps, n numbers in, m units. input_mask (B, n) and hidden_mask (B, m) hold 0 or
1/(1 - rate). Drawn anew at each step, T masks would wipe out of the state whatever it is meant to carry: each unit survives T
steps with probability (1 - rate)^T. Drawn once, the layer is a plain one with some rows of U and W gone.
"""

from __future__ import annotations

import numpy as np

from gradus.reference.catalogue import Entry
from gradus.reference.recurrent import Gradients, rnn, rnn_backward


def sequence_mask(batch: int, size: int, rate: float, generator: np.random.Generator) -> np.ndarray:
    """(B, size) of 1/(1 - rate) with probability 1 - rate, else 0: the mean stays 1, and evaluation needs no mask."""
    return (generator.random((batch, size)) >= rate) / (1 - rate)


def rnn_with_dropout(
    inputs: np.ndarray,
    initial: np.ndarray,
    input_weight: np.ndarray,
    hidden_weight: np.ndarray,
    bias: np.ndarray,
    input_mask: np.ndarray,
    hidden_mask: np.ndarray,
) -> np.ndarray:
    """s_t = tanh((x_t * input_mask) U + (s_{t-1} * hidden_mask) W + b). (B, T, n) -> (B, T, m).

    Masks differ between sequences, so each has its own W: its rows times its mask.
    """
    rows = [
        rnn(
            inputs[[row]] * input_mask[row],
            initial[[row]],
            input_weight,
            hidden_mask[row][:, None] * hidden_weight,
            bias,
        )
        for row in range(len(inputs))
    ]
    return np.concatenate(rows)


def rnn_with_dropout_backward(
    inputs: np.ndarray,
    initial: np.ndarray,
    input_weight: np.ndarray,
    hidden_weight: np.ndarray,
    bias: np.ndarray,
    input_mask: np.ndarray,
    hidden_mask: np.ndarray,
    gradient: np.ndarray,
) -> Gradients:
    """By (inputs, initial, input_weight, hidden_weight, bias): those of the plain layer, masked once more."""
    found = []
    for row in range(len(inputs)):
        masked = hidden_mask[row][:, None] * hidden_weight
        by_inputs, by_initial, by_input_weight, by_masked, by_bias = rnn_backward(
            inputs[[row]] * input_mask[row], initial[[row]], input_weight, masked, bias, gradient[[row]]
        )
        by_hidden_weight = hidden_mask[row][:, None] * by_masked
        found.append((by_inputs * input_mask[row], by_initial, by_input_weight, by_hidden_weight, by_bias))
    of_inputs, of_initial, *of_weights = zip(*found, strict=True)
    return np.concatenate(of_inputs), np.concatenate(of_initial), *(np.sum(parts, axis=0) for parts in of_weights)


CATALOGUE: tuple[Entry, ...] = (
    Entry(
        name="recurrent dropout",
        function="recurrent_dropout.rnn_with_dropout",
        backward="recurrent_dropout.rnn_with_dropout_backward",
        formula=r"s_t = \tanh((x_t \odot m) U + (s_{t-1} \odot q) W + b), \quad m, q \text{ the same at all } t",
        fast="gradus.nn.RecurrentDropout",
        source="Gal 2015; Gal and Ghahramani 2016; Deep Learning with Python §6.3.6",
        note="A mask that changes from step to step wipes out what the state carries.",
    ),
)
