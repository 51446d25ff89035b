"""The simple recurrent network (Elman 1990): forward, and its gradients through time, whole and truncated.

Shapes: B sequences, T steps, n numbers in, m units, K outputs. The weights are shared by all steps: they change only when
the optimiser steps, never "with time" (the course notes §5.1.3 read as if they did).

    s_t = tanh(x_t U + s_{t-1} W + b)      U (n, m) = `input_weight`, W (m, m) = `hidden_weight`, b (m,)
    y_t = s_t V + c                        V (m, K) = `output_weight`, c (K,): `outputs`

The texts write columns and no biases: their U is our U transposed.
"""

from __future__ import annotations

import numpy as np

from gradus.reference.catalogue import Entry

Gradients = tuple[np.ndarray, ...]


def rnn(
    inputs: np.ndarray, initial: np.ndarray, input_weight: np.ndarray, hidden_weight: np.ndarray, bias: np.ndarray
) -> np.ndarray:
    """All states. inputs (B, T, n), initial (B, m) -> (B, T, m) (*Principles and Practice* eq. 7-11, 7-12).

    Its eq. 7-3 writes f(Ws, Ux), two arguments; it is one, their sum.
    """
    states = []
    state = initial
    for step in range(inputs.shape[1]):
        state = np.tanh(inputs[:, step] @ input_weight + state @ hidden_weight + bias)
        states.append(state)
    return np.stack(states, axis=1)


def rnn_backward(
    inputs: np.ndarray,
    initial: np.ndarray,
    input_weight: np.ndarray,
    hidden_weight: np.ndarray,
    bias: np.ndarray,
    gradient: np.ndarray,
) -> Gradients:
    """Back-propagation through time. gradient (B, T, m) of the loss by every state's own use.

    Returns gradients by (inputs, initial, input_weight, hidden_weight, bias). One pass from the last step to the first:

        ds_t = gradient_t + dz_{t+1} W^T        what step t is told by its own loss, and by the step after it
        dz_t = ds_t (1 - s_t^2)                 eq. 7-23 prints s_t of the loss's step for all of them: it is each step's own
    """
    states = rnn(inputs, initial, input_weight, hidden_weight, bias)
    before = np.concatenate([initial[:, None], states[:, :-1]], axis=1)
    by_sums = np.zeros_like(states)  # dz
    by_next = np.zeros_like(initial)  # what the step after this one says
    for step in reversed(range(inputs.shape[1])):
        by_sums[:, step] = (gradient[:, step] + by_next) * (1 - states[:, step] ** 2)
        by_next = by_sums[:, step] @ hidden_weight.T
    return (
        by_sums @ input_weight.T,
        by_next,
        np.einsum("btn,btm->nm", inputs, by_sums),
        np.einsum("btk,btm->km", before, by_sums),
        by_sums.sum(axis=(0, 1)),
    )


def rnn_backward_truncated(
    inputs: np.ndarray,
    initial: np.ndarray,
    input_weight: np.ndarray,
    hidden_weight: np.ndarray,
    bias: np.ndarray,
    gradient: np.ndarray,
    truncation: int,
) -> Gradients:
    """The same, but the loss of step t reaches back to step t - truncation and no further (listing 7-8, its start cut at 0).

    So every loss is followed on its own: T (truncation + 1) terms instead of T. `truncation >= T - 1` is the whole gradient.
    (What practice calls truncated BPTT is another thing: the sequence cut into pieces, the state carried over. There the
    last step of a piece reaches back a whole piece and the first one not at all.)
    """
    states = rnn(inputs, initial, input_weight, hidden_weight, bias)
    before = np.concatenate([initial[:, None], states[:, :-1]], axis=1)
    by_sums, by_initial = np.zeros_like(states), np.zeros_like(initial)
    for origin in range(inputs.shape[1]):  # whose loss
        delta = gradient[:, origin] * (1 - states[:, origin] ** 2)
        for step in range(origin, max(0, origin - truncation) - 1, -1):  # what it reaches
            by_sums[:, step] += delta
            if step == 0:
                by_initial += delta @ hidden_weight.T
            else:
                delta = (delta @ hidden_weight.T) * (1 - states[:, step - 1] ** 2)
    return (
        by_sums @ input_weight.T,
        by_initial,
        np.einsum("btn,btm->nm", inputs, by_sums),
        np.einsum("btk,btm->km", before, by_sums),
        by_sums.sum(axis=(0, 1)),
    )


def outputs(states: np.ndarray, output_weight: np.ndarray, output_bias: np.ndarray) -> np.ndarray:
    """The same dense layer at every step ("time distributed"): (B, T, m) -> (B, T, K), before the softmax."""
    return states @ output_weight + output_bias


def outputs_backward(
    states: np.ndarray, output_weight: np.ndarray, output_bias: np.ndarray, gradient: np.ndarray
) -> Gradients:
    """By (states, output_weight, output_bias). eq. 7-18: dL/dV is the sum over time of s_t (y_t - target_t).

    Listing 7-5 has target - y: with it, gradient descent climbs. Listing 7-6 has V * dE where V^T dE is meant.
    """
    return (
        gradient @ output_weight.T,
        np.einsum("btm,btk->mk", states, gradient),
        gradient.sum(axis=(0, 1)),
    )


def elman_weights(
    size: int, units: int, classes: int, generator: np.random.Generator, printed: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(U, W, V) to begin with: normal, standard deviation 1/sqrt(fan-in of each) (*Principles and Practice* §7.4.1).

    printed: as its listing 7-2 does: uniform in +-1/sqrt(size) for all three, though W and V have `units` inputs, not `size`.
    """
    shapes = ((size, units), (units, units), (units, classes))
    if printed:
        bound = 1 / np.sqrt(size)
        first, second, third = (generator.uniform(-bound, bound, shape) for shape in shapes)
    else:
        first, second, third = (generator.normal(0, 1 / np.sqrt(shape[0]), shape) for shape in shapes)
    return first, second, third


def rnn_parameters(size: int, units: int) -> int:
    """m (n + m + 1)."""
    return units * (size + units + 1)


CATALOGUE: tuple[Entry, ...] = (
    Entry(
        name="simple recurrent layer",
        function="recurrent.rnn",
        backward="recurrent.rnn_backward",
        formula=r"s_t = \tanh(x_t U + s_{t-1} W + b)",
        derivative=(
            r"\delta_t = \left(\frac{\partial L}{\partial s_t} + \delta_{t+1} W^\top\right) \odot (1 - s_t^2), \quad"
            r" \frac{\partial L}{\partial W} = \sum_t s_{t-1}^\top \delta_t"
        ),
        range=r"(-1, 1)",
        fast="torch.nn.RNN",
        source="Elman 1990; Principles and Practice eq. 7-11 to 7-25; Deep Learning with Python §6.2; course notes §5.1",
        note="Eq. 7-23 has one step's derivative for all; listings 7-5 and 7-6 have the sign and the transposes wrong.",
    ),
    Entry(
        name="truncated back-propagation through time",
        function="recurrent.rnn_backward_truncated",
        formula=(
            r"\frac{\partial L_t}{\partial U} \approx \sum_{k = \max(0,\, t - \tau)}^{t} x_k^\top \delta_k^{(t)}, \quad"
            r" \delta_k^{(t)} = (\delta_{k+1}^{(t)} W^\top) \odot (1 - s_k^2)"
        ),
        fast="detach the carried state",
        source="Williams and Peng 1990; Principles and Practice listings 7-6, 7-8",
        note="Listing 7-6 defines the truncation and never uses it; listing 7-8 begins at t - 4, negative for t < 4.",
    ),
)
