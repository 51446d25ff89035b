"""What stands around a recurrent cell: padded sequences, both directions, several layers, the last output, the loss over time.

Shapes: B sequences, T steps, n numbers in, m units, K classes. `lengths` (B,) counts the steps that exist; the rest is padding.
A layer here is any function (B, T, n) -> (B, T, m), such as `lambda x: rnn(x, initial, U, W, b)`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from gradus.reference.catalogue import Entry
from gradus.reference.vector_activations import log_softmax

Layer = Callable[[np.ndarray], np.ndarray]
LayerBackward = Callable[
    [np.ndarray, np.ndarray], tuple[np.ndarray, ...]
]  # (inputs, gradient) -> by inputs, by weights ...


def step_mask(lengths: np.ndarray, steps: int) -> np.ndarray:
    """(B,) lengths -> (B, T), true where a step exists."""
    return np.arange(steps) < np.asarray(lengths)[:, None]


def reverse(inputs: np.ndarray, lengths: np.ndarray | None = None) -> np.ndarray:
    """Time turned round: (B, T, ...). With lengths, each sequence within its own steps and the padding stays behind.

    Turned as a whole, a padded row would begin with its padding. It is its own inverse, so also its own backward pass.
    """
    if lengths is None:
        return inputs[:, ::-1]
    steps = inputs.shape[1]
    order = np.arange(steps)[None].repeat(len(inputs), axis=0)
    order = np.where(step_mask(lengths, steps), np.asarray(lengths)[:, None] - 1 - order, order)
    return inputs[np.arange(len(inputs))[:, None], order]


def last_output(states: np.ndarray, lengths: np.ndarray | None = None) -> np.ndarray:
    """The state of each sequence's last step: (B, T, m) -> (B, m), for many-to-one networks. lengths of 1 and more."""
    if lengths is None:
        return states[:, -1]
    return states[np.arange(len(states)), np.asarray(lengths) - 1]


def last_output_backward(states: np.ndarray, lengths: np.ndarray | None, gradient: np.ndarray) -> np.ndarray:
    """All of the gradient goes to the last step; the others get theirs through time."""
    by_states = np.zeros_like(states)
    last = np.full(len(states), states.shape[1]) if lengths is None else np.asarray(lengths)
    by_states[np.arange(len(states)), last - 1] = gradient
    return by_states


def bidirectional(forward: Layer, backward: Layer, inputs: np.ndarray, lengths: np.ndarray | None = None) -> np.ndarray:
    """(B, T, n) -> (B, T, 2m): what `forward` read from the left, beside what `backward` read from the right, step by step.

    Two networks that know nothing of each other (Schuster and Paliwal 1997). *Principles and Practice* §7.3 lets them
    "propagate to each other"; they meet only in what uses their outputs.
    """
    return np.concatenate([forward(inputs), reverse(backward(reverse(inputs, lengths)), lengths)], axis=-1)


def bidirectional_backward(
    forward: LayerBackward,
    backward: LayerBackward,
    inputs: np.ndarray,
    gradient: np.ndarray,
    lengths: np.ndarray | None = None,
) -> tuple[np.ndarray, tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    """By inputs, then the other gradients of each direction."""
    left, right = np.split(gradient, 2, axis=-1)
    by_inputs, *of_forward = forward(inputs, left)
    by_reversed, *of_backward = backward(reverse(inputs, lengths), reverse(right, lengths))
    return by_inputs + reverse(by_reversed, lengths), tuple(of_forward), tuple(of_backward)


def stacked(layers: Sequence[Layer], inputs: np.ndarray) -> list[np.ndarray]:
    """A deep recurrent network: each layer reads the states of the one below. [inputs, states of layer 1, ..., of the last]."""
    passed = [inputs]
    for layer in layers:
        passed.append(layer(passed[-1]))
    return passed


def stacked_backward(
    layers: Sequence[LayerBackward], passed: Sequence[np.ndarray], gradient: np.ndarray
) -> tuple[np.ndarray, list[tuple[np.ndarray, ...]]]:
    """By inputs, then the other gradients of each layer. `passed` is what `stacked` returned."""
    of_layers: list[tuple[np.ndarray, ...]] = []
    for layer, read in zip(reversed(layers), reversed(passed[:-1]), strict=True):
        gradient, *others = layer(read, gradient)
        of_layers.insert(0, tuple(others))
    return gradient, of_layers


def _step_weights(targets: np.ndarray, mask: np.ndarray | None, over: str) -> np.ndarray:
    if over not in ("sequences", "steps"):
        raise ValueError(f'over is "sequences" or "steps", not {over!r}')
    counted = np.ones(targets.shape) if mask is None else np.asarray(mask, dtype=float)
    return counted / (len(targets) if over == "sequences" else max(counted.sum(), 1))


def sequence_cross_entropy(
    logits: np.ndarray, targets: np.ndarray, mask: np.ndarray | None = None, over: str = "sequences"
) -> float:
    """-log p(target) of every step. logits (B, T, K), targets (B, T) class indices, mask (B, T) of what counts.

    over="sequences": added up over time, the mean over sequences (*Principles and Practice* eq. 7-7 to 7-9).
    over="steps":     the mean over all steps that count, so that long sequences do not weigh a learning rate.

    Its listing 7-4 multiplies y.T by log y, shapes that do not match; listing 7-2's softmax sums over axis 0, time here.
    It never masks padding, so a network is praised for guessing the padding.
    """
    chosen = np.take_along_axis(log_softmax(logits), targets[..., None], axis=-1)[..., 0]
    return float(-(chosen * _step_weights(targets, mask, over)).sum())


def sequence_cross_entropy_backward(
    logits: np.ndarray, targets: np.ndarray, mask: np.ndarray | None = None, over: str = "sequences"
) -> np.ndarray:
    """(p - y) at every step that counts, divided as the loss is."""
    probabilities = np.exp(log_softmax(logits))
    residual = probabilities - (targets[..., None] == np.arange(logits.shape[-1]))
    return residual * _step_weights(targets, mask, over)[..., None]


def weights_of_torch(
    state: Mapping[str, np.ndarray],
    layer: int = 0,
    reverse_direction: bool = False,
    gates: int = 1,
    split: bool = False,
) -> tuple[np.ndarray, ...]:
    """One layer's weights of `torch.nn.RNN`, `LSTM` or `GRU` (its `state_dict` as arrays) in our shapes.

    PyTorch keeps (gates m, n) and two biases; we keep (n, gates m), (m, gates m) and, since the two are only ever added,
    their sum. In its GRU they are not (the reset gate stands between them): split=True keeps both. The order of gates is
    PyTorch's own: LSTM i, f, g, o; GRU r, z, n. (Keras: i, f, c, o and z, r, h.)
    """
    suffix = f"l{layer}" + ("_reverse" if reverse_direction else "")
    input_weight, hidden_weight = state[f"weight_ih_{suffix}"].T, state[f"weight_hh_{suffix}"].T
    if hidden_weight.shape[1] != gates * hidden_weight.shape[0]:
        raise ValueError(f"{hidden_weight.shape[1]} columns are not {gates} gates of {hidden_weight.shape[0]} units")
    zeros = np.zeros(hidden_weight.shape[1])
    biases = state.get(f"bias_ih_{suffix}", zeros), state.get(f"bias_hh_{suffix}", zeros)
    return (input_weight, hidden_weight, *(biases if split else (biases[0] + biases[1],)))


CATALOGUE: tuple[Entry, ...] = (
    Entry(
        name="bidirectional layer",
        function="sequences.bidirectional",
        backward="sequences.bidirectional_backward",
        formula=r"y_t = [\overrightarrow{s}_t;\ \overleftarrow{s}_t]",
        fast="torch.nn.LSTM(bidirectional=True)",
        source=(
            "Schuster and Paliwal 1997; Principles and Practice §7.3; Deep Learning with Python §6.3.8;"
            " course notes §5.1.12"
        ),
        note="Two independent networks; each padded sequence is turned round within its own length.",
    ),
    Entry(
        name="deep recurrent network",
        function="sequences.stacked",
        backward="sequences.stacked_backward",
        formula=r"s^{[l]}_t = f(s^{[l]}_{t-1}, s^{[l-1]}_t), \quad s^{[0]}_t = x_t",
        fast="torch.nn.LSTM(num_layers=2)",
        source="Principles and Practice §7.3, fig. 7-11; course notes §5.1.13; Plain Talk §8.3",
    ),
    Entry(
        name="last output",
        function="sequences.last_output",
        backward="sequences.last_output_backward",
        formula=r"y = s_T",
        source="Deep Learning with Python §6.2; course notes §5.1.7 (many-to-one)",
        note="The last step that exists, not the last of the padded row.",
    ),
    Entry(
        name="cross-entropy over a sequence",
        function="sequences.sequence_cross_entropy",
        backward="sequences.sequence_cross_entropy_backward",
        formula=r"L = -\sum_t m_t \sum_k y_{t,k} \log \hat{y}_{t,k}",
        derivative=r"\frac{\partial L}{\partial z_t} = m_t (\hat{y}_t - y_t)",
        range=r"[0, \infty)",
        fast="torch.nn.functional.cross_entropy(ignore_index=...)",
        source="Principles and Practice eq. 7-7 to 7-9, listing 7-4; Plain Talk §8.5, §8.6; course notes §5.1.6",
        note="Listing 7-4 multiplies arrays of shapes that do not match; padding must be masked.",
    ),
)
