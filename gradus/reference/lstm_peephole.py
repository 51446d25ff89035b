"""The LSTM whose gates see the cell (Gers and Schmidhuber 2000; Gers, Schraudolph and Schmidhuber 2002).

Shapes and order of gates as in `lstm`; peepholes (3, m): one weight a unit for i, f and o (a diagonal matrix).

    i = sigmoid(... + p_i c')      c' is the cell before this step
    f = sigmoid(... + p_f c')
    o = sigmoid(... + p_o c)       c is the new cell: the output gate is computed last

*Principles and Practice* eq. 8-7 to 8-9 shows all three the old cell: `output_sees="old"`.
"""

from __future__ import annotations

import numpy as np

from gradus.reference.catalogue import Entry
from gradus.reference.lstm import Gradients, Trace
from gradus.reference.sigmoids import sigmoid


def _check(output_sees: str) -> None:
    if output_sees not in ("new", "old"):
        raise ValueError(f'output_sees is "new" or "old", not {output_sees!r}')


def peephole_lstm_trace(
    inputs: np.ndarray,
    initial: np.ndarray,
    initial_cell: np.ndarray,
    input_weight: np.ndarray,
    hidden_weight: np.ndarray,
    bias: np.ndarray,
    peepholes: np.ndarray,
    output_sees: str = "new",
) -> Trace:
    """The forward pass with its gates."""
    _check(output_sees)
    state, cell = initial, initial_cell
    steps = []
    for step in range(inputs.shape[1]):
        sums = inputs[:, step] @ input_weight + state @ hidden_weight + bias
        first, second, third, fourth = np.split(sums, 4, axis=1)
        i, f, g = sigmoid(first + peepholes[0] * cell), sigmoid(second + peepholes[1] * cell), np.tanh(third)
        new_cell = f * cell + i * g
        o = sigmoid(fourth + peepholes[2] * (new_cell if output_sees == "new" else cell))
        cell = new_cell
        state = o * np.tanh(cell)
        steps.append((i, f, g, o, cell, state))
    return Trace(*(np.stack(values, axis=1) for values in zip(*steps, strict=True)))


def peephole_lstm(
    inputs: np.ndarray,
    initial: np.ndarray,
    initial_cell: np.ndarray,
    input_weight: np.ndarray,
    hidden_weight: np.ndarray,
    bias: np.ndarray,
    peepholes: np.ndarray,
    output_sees: str = "new",
) -> tuple[np.ndarray, np.ndarray]:
    """inputs (B, T, n) -> all states and all cells, each (B, T, m)."""
    trace = peephole_lstm_trace(
        inputs, initial, initial_cell, input_weight, hidden_weight, bias, peepholes, output_sees
    )
    return trace.states, trace.cells


def peephole_lstm_backward(
    inputs: np.ndarray,
    initial: np.ndarray,
    initial_cell: np.ndarray,
    input_weight: np.ndarray,
    hidden_weight: np.ndarray,
    bias: np.ndarray,
    peepholes: np.ndarray,
    gradient: np.ndarray,
    output_sees: str = "new",
) -> Gradients:
    """Gradients by the seven arrays; gradient (B, T, m) by the states.

    Each peephole is one more path: the sums of i and f tell the old cell, that of o tells the new one (or the old one).
    """
    trace = peephole_lstm_trace(
        inputs, initial, initial_cell, input_weight, hidden_weight, bias, peepholes, output_sees
    )
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
        by_o = by_state * shown * o * (1 - o)
        by_cell = by_cell + by_state * o * (1 - shown**2) + (peepholes[2] * by_o if output_sees == "new" else 0)
        by_i = by_cell * g * i * (1 - i)
        by_f = by_cell * cells_before[:, step] * f * (1 - f)
        by_sums[:, step] = np.concatenate([by_i, by_f, by_cell * i * (1 - g**2), by_o], axis=1)
        by_cell = (
            by_cell * f
            + peepholes[0] * by_i
            + peepholes[1] * by_f
            + (peepholes[2] * by_o if output_sees == "old" else 0)
        )
        by_state = by_sums[:, step] @ hidden_weight.T
    by_i, by_f, _, by_o = np.split(by_sums, 4, axis=2)
    seen = trace.cells if output_sees == "new" else cells_before
    return (
        by_sums @ input_weight.T,
        by_state,
        by_cell,
        np.einsum("btn,btm->nm", inputs, by_sums),
        np.einsum("btk,btm->km", states_before, by_sums),
        by_sums.sum(axis=(0, 1)),
        np.stack(
            [
                (by_i * cells_before).sum(axis=(0, 1)),
                (by_f * cells_before).sum(axis=(0, 1)),
                (by_o * seen).sum(axis=(0, 1)),
            ]
        ),
    )


CATALOGUE: tuple[Entry, ...] = (
    Entry(
        name="peephole LSTM",
        function="lstm_peephole.peephole_lstm",
        backward="lstm_peephole.peephole_lstm_backward",
        formula=(
            r"i_t = \sigma(\ldots + p_i \odot c_{t-1}), \quad f_t = \sigma(\ldots + p_f \odot c_{t-1}), \quad"
            r" o_t = \sigma(\ldots + p_o \odot c_t)"
        ),
        range=r"h: (-1, 1)",
        fast="gradus.nn.PeepholeLSTM",
        source="Gers and Schmidhuber 2000; Gers et al. 2002; Principles and Practice eq. 8-7 to 8-9",
        note="The book shows the output gate the old cell, the papers (and TensorFlow, ONNX) the new one.",
    ),
)
