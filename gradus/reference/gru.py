"""The gated recurrent unit (Cho et al. 2014), in the two places of its reset gate and the two senses of its update gate.

Shapes: B sequences, T steps, n numbers in, m units. The gates stand side by side in the order r, z, n (PyTorch's):
input_weight (n, 3m), hidden_weight (m, 3m), biases (3m,).

    r = sigmoid(x W_r + h' U_r + b_r)                 reset gate: 0 hides the old state from the candidate
    z = sigmoid(x W_z + h' U_z + b_z)                 update gate
    n = tanh(x W_n + (r h') U_n + b_n)                `gru`: reset before the product (Cho's last version; Keras in 2017)
    n = tanh(x W_n + b_n + r (h' U_n + d_n))          `gru_reset_after` (Cho's first version; PyTorch, cuDNN, Keras today)
    h = z h' + (1 - z) n                              update="keep": z keeps the old (Cho 2014; PyTorch; Keras)
    h = (1 - z) h' + z n                              update="take": z takes the new (Chung 2014; the course notes)

The two senses are the same function with the signs of W_z, U_z, b_z turned. *Principles and Practice* prints "take" in eq. 8-13,
programs "keep" in listing 8-1, and its prose (r = 1, z = 0 is a simple recurrent network) is true of "keep" alone. Its
§8.3 also says that an open reset gate removes the old state: a closed one does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gradus.reference.catalogue import Entry
from gradus.reference.lstm import Gradients
from gradus.reference.sigmoids import sigmoid


@dataclass(frozen=True)
class Trace:
    """Everything of a forward pass, each (B, T, m)."""

    reset_gate: np.ndarray
    update_gate: np.ndarray
    candidate: np.ndarray
    states: np.ndarray


def _mix(update: str, z: np.ndarray, old: np.ndarray, new: np.ndarray) -> np.ndarray:
    if update not in ("keep", "take"):
        raise ValueError(f'update is "keep" or "take", not {update!r}')
    return z * old + (1 - z) * new if update == "keep" else (1 - z) * old + z * new


def gru_trace(
    inputs: np.ndarray,
    initial: np.ndarray,
    input_weight: np.ndarray,
    hidden_weight: np.ndarray,
    bias: np.ndarray,
    update: str = "keep",
) -> Trace:
    """The forward pass with its gates, reset before the product."""
    units = initial.shape[1]
    state, steps = initial, []
    for step in range(inputs.shape[1]):
        sums = inputs[:, step] @ input_weight + bias
        gates = sigmoid(sums[:, : 2 * units] + state @ hidden_weight[:, : 2 * units])
        r, z = gates[:, :units], gates[:, units:]
        n = np.tanh(sums[:, 2 * units :] + (r * state) @ hidden_weight[:, 2 * units :])
        state = _mix(update, z, state, n)
        steps.append((r, z, n, state))
    return Trace(*(np.stack(values, axis=1) for values in zip(*steps, strict=True)))


def gru(
    inputs: np.ndarray,
    initial: np.ndarray,
    input_weight: np.ndarray,
    hidden_weight: np.ndarray,
    bias: np.ndarray,
    update: str = "keep",
) -> np.ndarray:
    """All states, reset before the product. inputs (B, T, n), initial (B, m) -> (B, T, m)."""
    return gru_trace(inputs, initial, input_weight, hidden_weight, bias, update).states


def gru_backward(
    inputs: np.ndarray,
    initial: np.ndarray,
    input_weight: np.ndarray,
    hidden_weight: np.ndarray,
    bias: np.ndarray,
    gradient: np.ndarray,
    update: str = "keep",
) -> Gradients:
    """Gradients by the five arrays; gradient (B, T, m) by the states."""
    trace = gru_trace(inputs, initial, input_weight, hidden_weight, bias, update)
    units = initial.shape[1]
    before = np.concatenate([initial[:, None], trace.states[:, :-1]], axis=1)
    by_sums = np.zeros((*inputs.shape[:2], 3 * units))
    by_state = np.zeros_like(initial)
    for step in reversed(range(inputs.shape[1])):
        r, z, n, old = trace.reset_gate[:, step], trace.update_gate[:, step], trace.candidate[:, step], before[:, step]
        by_state = by_state + gradient[:, step]
        kept, taken = (z, 1 - z) if update == "keep" else (1 - z, z)
        by_n = by_state * taken * (1 - n**2)
        by_z = by_state * ((old - n) if update == "keep" else (n - old)) * z * (1 - z)
        by_shown = by_n @ hidden_weight[:, 2 * units :].T  # by r * old
        by_r = by_shown * old * r * (1 - r)
        by_sums[:, step] = np.concatenate([by_r, by_z, by_n], axis=1)
        by_state = by_state * kept + by_shown * r + by_sums[:, step, : 2 * units] @ hidden_weight[:, : 2 * units].T
    by_gates, by_candidate = by_sums[..., : 2 * units], by_sums[..., 2 * units :]
    by_hidden_weight = [
        np.einsum("btk,btm->km", before, by_gates),
        np.einsum("btk,btm->km", trace.reset_gate * before, by_candidate),
    ]
    return (
        by_sums @ input_weight.T,
        by_state,
        np.einsum("btn,btm->nm", inputs, by_sums),
        np.concatenate(by_hidden_weight, axis=1),
        by_sums.sum(axis=(0, 1)),
    )


def gru_reset_after(
    inputs: np.ndarray,
    initial: np.ndarray,
    input_weight: np.ndarray,
    hidden_weight: np.ndarray,
    bias: np.ndarray,
    hidden_bias: np.ndarray,
    update: str = "keep",
) -> np.ndarray:
    """All states, reset after the product: one product h' U for all gates, which fused kernels like. (B, T, n) -> (B, T, m)."""
    return _trace_reset_after(inputs, initial, input_weight, hidden_weight, bias, hidden_bias, update)[0].states


def _trace_reset_after(
    inputs: np.ndarray,
    initial: np.ndarray,
    input_weight: np.ndarray,
    hidden_weight: np.ndarray,
    bias: np.ndarray,
    hidden_bias: np.ndarray,
    update: str,
) -> tuple[Trace, np.ndarray]:
    units = initial.shape[1]
    state, steps = initial, []
    for step in range(inputs.shape[1]):
        given, recalled = inputs[:, step] @ input_weight + bias, state @ hidden_weight + hidden_bias
        gates = sigmoid(given[:, : 2 * units] + recalled[:, : 2 * units])
        r, z = gates[:, :units], gates[:, units:]
        n = np.tanh(given[:, 2 * units :] + r * recalled[:, 2 * units :])
        state = _mix(update, z, state, n)
        steps.append((r, z, n, state, recalled[:, 2 * units :]))
    r, z, n, states, recalled = (np.stack(values, axis=1) for values in zip(*steps, strict=True))
    return Trace(r, z, n, states), recalled


def gru_reset_after_backward(
    inputs: np.ndarray,
    initial: np.ndarray,
    input_weight: np.ndarray,
    hidden_weight: np.ndarray,
    bias: np.ndarray,
    hidden_bias: np.ndarray,
    gradient: np.ndarray,
    update: str = "keep",
) -> Gradients:
    """Gradients by the six arrays; gradient (B, T, m) by the states."""
    trace, recalled = _trace_reset_after(inputs, initial, input_weight, hidden_weight, bias, hidden_bias, update)
    before = np.concatenate([initial[:, None], trace.states[:, :-1]], axis=1)
    by_given = np.zeros((*inputs.shape[:2], 3 * initial.shape[1]))
    by_recalled = np.zeros_like(by_given)
    by_state = np.zeros_like(initial)
    for step in reversed(range(inputs.shape[1])):
        r, z, n, old = trace.reset_gate[:, step], trace.update_gate[:, step], trace.candidate[:, step], before[:, step]
        by_state = by_state + gradient[:, step]
        kept, taken = (z, 1 - z) if update == "keep" else (1 - z, z)
        by_n = by_state * taken * (1 - n**2)
        by_z = by_state * ((old - n) if update == "keep" else (n - old)) * z * (1 - z)
        by_r = by_n * recalled[:, step] * r * (1 - r)
        by_given[:, step] = np.concatenate([by_r, by_z, by_n], axis=1)
        by_recalled[:, step] = np.concatenate([by_r, by_z, by_n * r], axis=1)
        by_state = by_state * kept + by_recalled[:, step] @ hidden_weight.T
    return (
        by_given @ input_weight.T,
        by_state,
        np.einsum("btn,btm->nm", inputs, by_given),
        np.einsum("btk,btm->km", before, by_recalled),
        by_given.sum(axis=(0, 1)),
        by_recalled.sum(axis=(0, 1)),
    )


def gru_parameters(size: int, units: int, reset_after: bool = False) -> int:
    """3 m (n + m + 1), or 3 m (n + m + 2) with the second bias that only the reset after the product needs."""
    return 3 * units * (size + units + (2 if reset_after else 1))


CATALOGUE: tuple[Entry, ...] = (
    Entry(
        name="GRU, reset before the product",
        function="gru.gru",
        backward="gru.gru_backward",
        formula=(
            r"n_t = \tanh(x_t W_n + (r_t \odot h_{t-1}) U_n + b_n), \quad"
            r" h_t = z_t \odot h_{t-1} + (1 - z_t) \odot n_t"
        ),
        range=r"(-1, 1) \text{ from } h_0 \text{ in it}",
        fast="gradus.nn.ResetBeforeGRU",
        source=(
            "Cho et al. 2014 (v3); Principles and Practice eq. 8-10 to 8-13; Deep Learning with Python §6.3.5;"
            " course notes §5.1.11"
        ),
        note="Eq. 8-13 turns the update gate the other way than listing 8-1 and the prose: 'take' and 'keep'.",
    ),
    Entry(
        name="GRU, reset after the product",
        function="gru.gru_reset_after",
        backward="gru.gru_reset_after_backward",
        formula=r"n_t = \tanh(x_t W_n + b_n + r_t \odot (h_{t-1} U_n + d_n))",
        range=r"(-1, 1) \text{ from } h_0 \text{ in it}",
        fast="torch.nn.GRU",
        source="Cho et al. 2014 (v1); PyTorch and cuDNN; Keras with reset_after=True",
        note="3 m more numbers than reset before: the second bias.",
    ),
)
