"""Long short-term memory (Hochreiter and Schmidhuber 1997; the forget gate is of Gers et al. 2000).

Shapes: B sequences, T steps, n numbers in, m units. The four gates stand side by side in the order i, f, g, o (PyTorch's):
input_weight (n, 4m), hidden_weight (m, 4m), bias (4m,).

    i = sigmoid(x W_i + h U_i + b_i)      input gate: how much of the candidate is written
    f = sigmoid(x W_f + h U_f + b_f)      forget gate: how much of the old cell is kept (1 keeps all)
    g = tanh(x W_g + h U_g + b_g)         candidate
    o = sigmoid(x W_o + h U_o + b_o)      output gate: how much of the cell is shown
    c = f c' + i g                        cell;  c' and h' are those of the step before
    h = o tanh(c)                         state

*Principles and Practice* eq. 8-1 to 8-6, which calls the forget gate "output gate" in §8.2; *Plain Talk* §8.3 calls o the
"forget gate". An LSTM is a cell, not an algorithm "instead of" back-propagation through time: `lstm_backward` is BPTT.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gradus.reference.catalogue import Entry
from gradus.reference.sigmoids import sigmoid

Gradients = tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Trace:
    """Everything of a forward pass, each (B, T, m)."""

    input_gate: np.ndarray
    forget_gate: np.ndarray
    candidate: np.ndarray
    output_gate: np.ndarray
    cells: np.ndarray
    states: np.ndarray


def lstm_trace(
    inputs: np.ndarray,
    initial: np.ndarray,
    initial_cell: np.ndarray,
    input_weight: np.ndarray,
    hidden_weight: np.ndarray,
    bias: np.ndarray,
) -> Trace:
    """The forward pass with its gates, to be looked at over time."""
    state, cell = initial, initial_cell
    steps = []
    for step in range(inputs.shape[1]):
        sums = inputs[:, step] @ input_weight + state @ hidden_weight + bias
        first, second, third, fourth = np.split(sums, 4, axis=1)
        i, f, g, o = sigmoid(first), sigmoid(second), np.tanh(third), sigmoid(fourth)
        cell = f * cell + i * g
        state = o * np.tanh(cell)
        steps.append((i, f, g, o, cell, state))
    return Trace(*(np.stack(values, axis=1) for values in zip(*steps, strict=True)))


def lstm(
    inputs: np.ndarray,
    initial: np.ndarray,
    initial_cell: np.ndarray,
    input_weight: np.ndarray,
    hidden_weight: np.ndarray,
    bias: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """inputs (B, T, n), initial and initial_cell (B, m) -> all states and all cells, each (B, T, m)."""
    trace = lstm_trace(inputs, initial, initial_cell, input_weight, hidden_weight, bias)
    return trace.states, trace.cells


def lstm_backward(
    inputs: np.ndarray,
    initial: np.ndarray,
    initial_cell: np.ndarray,
    input_weight: np.ndarray,
    hidden_weight: np.ndarray,
    bias: np.ndarray,
    gradient: np.ndarray,
    cell_gradient: np.ndarray | None = None,
) -> Gradients:
    """Gradients by the six arguments. gradient (B, T, m) by the states; cell_gradient by the cells, where they are used too.

    Between two cells stands only the forget gate: dc' = dc f. That is the path on which a gradient survives.
    """
    trace = lstm_trace(inputs, initial, initial_cell, input_weight, hidden_weight, bias)
    states_before = np.concatenate([initial[:, None], trace.states[:, :-1]], axis=1)
    cells_before = np.concatenate([initial_cell[:, None], trace.cells[:, :-1]], axis=1)
    by_sums = np.zeros((*inputs.shape[:2], 4 * initial.shape[1]))
    by_state, by_cell = np.zeros_like(initial), np.zeros_like(initial_cell)
    for step in reversed(range(inputs.shape[1])):
        i, f, g, o = (
            gate[:, step] for gate in (trace.input_gate, trace.forget_gate, trace.candidate, trace.output_gate)
        )
        shown = np.tanh(trace.cells[:, step])
        by_state = by_state + gradient[:, step]
        by_cell = by_cell + by_state * o * (1 - shown**2) + (0 if cell_gradient is None else cell_gradient[:, step])
        by_sums[:, step] = np.concatenate(
            [
                by_cell * g * i * (1 - i),
                by_cell * cells_before[:, step] * f * (1 - f),
                by_cell * i * (1 - g**2),
                by_state * shown * o * (1 - o),
            ],
            axis=1,
        )
        by_cell = by_cell * f
        by_state = by_sums[:, step] @ hidden_weight.T
    return (
        by_sums @ input_weight.T,
        by_state,
        by_cell,
        np.einsum("btn,btm->nm", inputs, by_sums),
        np.einsum("btk,btm->km", states_before, by_sums),
        by_sums.sum(axis=(0, 1)),
    )


def initial_bias(units: int, forget: float = 1.0) -> np.ndarray:
    """(4m,): 0, and `forget` for the forget gate, which begins open then (Gers et al. 2000; Jozefowicz et al. 2015).

    TensorFlow adds its `forget_bias` in the forward pass; *Plain Talk* §8.5 sets it to 0, as the paper of that example did.
    """
    bias = np.zeros(4 * units)
    bias[units : 2 * units] = forget
    return bias


def lstm_parameters(size: int, units: int) -> int:
    """4 m (n + m + 1). PyTorch has 4 m more, its second bias."""
    return 4 * units * (size + units + 1)


def lstm_as_told(
    inputs: np.ndarray,
    initial: np.ndarray,
    initial_carry: np.ndarray,
    input_weight: np.ndarray,
    hidden_weight: np.ndarray,
    carry_weight: np.ndarray,
    bias: np.ndarray,
    activation: Callable[[np.ndarray], np.ndarray] = np.tanh,
) -> tuple[np.ndarray, np.ndarray]:
    """The cell of *Deep Learning with Python* listings 6-25 and 6-26, word for word. It is not an LSTM: to compare only.

    The output is act(x W_o + s U_o + c V_o + b_o): the *old* carry goes in through a matrix, where an LSTM has o tanh(c) of the
    new one. The activations are not said; with tanh for all, as here, a "gate" may be negative. Order i, f, k, o.
    inputs (B, T, n), carry_weight (m, m) -> outputs and carries (B, T, m).
    """
    state, carry = initial, initial_carry
    outputs, carries = [], []
    for step in range(inputs.shape[1]):
        sums = inputs[:, step] @ input_weight + state @ hidden_weight + bias
        first, second, third, fourth = np.split(sums, 4, axis=1)
        state = activation(fourth + carry @ carry_weight)
        carry = activation(first) * activation(third) + carry * activation(second)
        outputs.append(state)
        carries.append(carry)
    return np.stack(outputs, axis=1), np.stack(carries, axis=1)


CATALOGUE: tuple[Entry, ...] = (
    Entry(
        name="LSTM",
        function="lstm.lstm",
        backward="lstm.lstm_backward",
        formula=r"c_t = f_t \odot c_{t-1} + i_t \odot g_t, \quad h_t = o_t \odot \tanh(c_t)",
        derivative=r"\frac{\partial c_t}{\partial c_{t-1}} = f_t \text{ (along the cell)}",
        range=r"h: (-1, 1)",
        fast="torch.nn.LSTM",
        source=(
            "Hochreiter and Schmidhuber 1997; Gers et al. 2000; Principles and Practice eq. 8-1 to 8-6; Plain Talk §8.3;"
            " Deep Learning with Python §6.2.2; course notes §5.1.10"
        ),
        note="Two texts call a gate by another's name; one takes the cell for a substitute of back-propagation through time.",
    ),
    Entry(
        name="LSTM as told",
        function="lstm.lstm_as_told",
        formula=r"y_t = a(x_t W_o + y_{t-1} U_o + c_t V_o + b_o), \quad c_{t+1} = i_t \odot k_t + c_t \odot f_t",
        source="Deep Learning with Python listings 6-25, 6-26",
        note="Not an LSTM: the old carry enters the output through a matrix and inside the activation.",
    ),
)
