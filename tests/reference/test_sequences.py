"""What stands around the cells: both directions, layers, padding, the loss over time, embeddings, clipping."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numerical import FLOAT64, NEAR, check_gradients, differences, normal
from torch.nn import functional

from gradus.reference import clipping, embedding, gru, lstm, recurrent, sequences

quick = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 999)


def numpy_state(module):
    return {name: value.detach().numpy() for name, value in module.state_dict().items()}


def both_ways(kind, state, batch, units):
    """For each of two layers, (forward, backward) of our cell with the weights of a bidirectional network of PyTorch's."""
    zeros = np.zeros((batch, units))
    gates = {"RNN": 1, "LSTM": 4, "GRU": 3}[kind]

    def of(layer, turned):
        weights = sequences.weights_of_torch(state, layer, turned, gates, split=kind == "GRU")
        if kind == "RNN":
            return (
                lambda x: recurrent.rnn(x, zeros, *weights),
                lambda x, g: recurrent.rnn_backward(x, zeros, *weights, g),
            )
        if kind == "LSTM":
            return (
                lambda x: lstm.lstm(x, zeros, zeros, *weights)[0],
                lambda x, g: lstm.lstm_backward(x, zeros, zeros, *weights, g),
            )
        return (
            lambda x: gru.gru_reset_after(x, zeros, *weights),
            lambda x, g: gru.gru_reset_after_backward(x, zeros, *weights, g),
        )

    return [(of(layer, False), of(layer, True)) for layer in (0, 1)]


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("padded", [False, True])
def test_two_bidirectional_layers_are_those_of_torch(kind, padded):
    batch, steps, size, units = 3, 6, 4, 3
    torch.manual_seed(5)
    module = getattr(torch.nn, kind)(size, units, num_layers=2, bidirectional=True, batch_first=True).double()
    lengths = np.array([6, 2, 4]) if padded else None
    inputs, weight = normal(1, batch, steps, size), normal(2, batch, steps, 2 * units)
    if padded:
        weight = weight * sequences.step_mask(lengths, steps)[..., None]
    tensor = torch.tensor(inputs, requires_grad=True)
    if padded:
        packed = torch.nn.utils.rnn.pack_padded_sequence(
            tensor, torch.tensor(lengths), batch_first=True, enforce_sorted=False
        )
        wanted, _ = torch.nn.utils.rnn.pad_packed_sequence(module(packed)[0], batch_first=True)
    else:
        wanted, _ = module(tensor)
    (wanted * torch.tensor(weight)).sum().backward()

    layers = both_ways(kind, numpy_state(module), batch, units)
    forward = [lambda x, pair=pair: sequences.bidirectional(pair[0][0], pair[1][0], x, lengths) for pair in layers]
    backward = [
        lambda x, g, pair=pair: sequences.bidirectional_backward(pair[0][1], pair[1][1], x, g, lengths)
        for pair in layers
    ]
    passed = sequences.stacked(forward, inputs)
    mask = np.ones((batch, steps, 1)) if lengths is None else sequences.step_mask(lengths, steps)[..., None]
    np.testing.assert_allclose(passed[-1] * mask, wanted.detach(), **FLOAT64)
    by_inputs, of_layers = sequences.stacked_backward(backward, passed, weight)
    np.testing.assert_allclose(by_inputs, tensor.grad, **FLOAT64)
    for layer, directions in enumerate(of_layers):
        for suffix, gradients in zip(("", "_reverse"), directions, strict=True):
            by_input_weight, by_hidden_weight = gradients[-4:-2] if kind == "GRU" else gradients[-3:-1]
            named = dict(module.named_parameters())
            np.testing.assert_allclose(by_input_weight, named[f"weight_ih_l{layer}{suffix}"].grad.T, **FLOAT64)
            np.testing.assert_allclose(by_hidden_weight, named[f"weight_hh_l{layer}{suffix}"].grad.T, **FLOAT64)
            np.testing.assert_allclose(gradients[-1], named[f"bias_hh_l{layer}{suffix}"].grad, **FLOAT64)


def test_weights_of_torch_counts_the_gates_and_needs_no_bias():
    state = numpy_state(torch.nn.LSTM(2, 3, bias=False))
    assert [part.shape for part in sequences.weights_of_torch(state, gates=4)] == [(2, 12), (3, 12), (12,)]
    with pytest.raises(ValueError, match="3 gates of 3 units"):
        sequences.weights_of_torch(state, gates=3)


@quick
@given(st.lists(st.integers(0, 5), min_size=1, max_size=4), seeds)
def test_reversal_turns_each_sequence_within_its_length(lengths, seed):
    inputs = normal(seed, len(lengths), 5, 2)
    found = sequences.reverse(inputs, np.array(lengths))
    for row, length in enumerate(lengths):
        np.testing.assert_array_equal(found[row, :length], inputs[row, :length][::-1])
        np.testing.assert_array_equal(found[row, length:], inputs[row, length:])
    np.testing.assert_array_equal(sequences.reverse(found, np.array(lengths)), inputs)
    np.testing.assert_array_equal(sequences.reverse(inputs), inputs[:, ::-1])


@quick
@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), seeds)
def test_padding_changes_nothing(lengths, seed):
    inputs, other = normal(seed, len(lengths), 5, 2), normal(seed + 1, len(lengths), 5, 2)
    lengths = np.array(lengths)
    mask = sequences.step_mask(lengths, 5)
    other = np.where(mask[..., None], inputs, 100 * other)  # the same steps, other padding
    weights = (normal(seed + 2, 2, 3), normal(seed + 3, 3, 3), normal(seed + 4, 3))

    def network(x):
        initial = np.zeros((len(x), 3))
        states = sequences.bidirectional(
            lambda y: recurrent.rnn(y, initial, *weights), lambda y: recurrent.rnn(y, initial, *weights), x, lengths
        )
        return sequences.last_output(states, lengths), states

    (last, states), (last_other, states_other) = network(inputs), network(other)
    np.testing.assert_array_equal(last, last_other)
    np.testing.assert_array_equal(states[mask], states_other[mask])
    targets = np.random.default_rng(seed).integers(0, 6, mask.shape)
    for over in ("sequences", "steps"):
        one, two = (sequences.sequence_cross_entropy(logits, targets, mask, over) for logits in (states, states_other))
        assert one == two
    assert (sequences.sequence_cross_entropy_backward(states, targets, mask)[~mask] == 0).all()


@quick
@given(st.lists(st.integers(1, 4), min_size=1, max_size=3), seeds)
def test_last_output_backward(lengths, seed):
    states, weight = normal(seed, len(lengths), 4, 2), normal(seed + 1, len(lengths), 2)
    for counted in (np.array(lengths), None):
        found = sequences.last_output_backward(states, counted, weight)
        slope = differences(lambda s, counted=counted: (weight * sequences.last_output(s, counted)).sum(), states)
        np.testing.assert_allclose(found, slope, **NEAR)


@quick
@given(st.integers(1, 3), st.integers(1, 4), st.integers(2, 4), st.booleans(), seeds)
def test_sequence_cross_entropy_is_that_of_torch(batch, steps, classes, masked, seed):
    logits = 3 * normal(seed, batch, steps, classes)
    generator = np.random.default_rng(seed)
    targets = generator.integers(0, classes, (batch, steps))
    mask = generator.random((batch, steps)) < 0.6 if masked else None
    if masked:
        mask[0, 0] = True
    tensor = torch.tensor(logits, requires_grad=True)
    ignored = torch.tensor(targets if mask is None else np.where(mask, targets, -100))
    for over, reduction, divisor in (("steps", "mean", 1), ("sequences", "sum", batch)):
        loss = functional.cross_entropy(tensor.flatten(0, 1), ignored.flatten(), reduction=reduction) / divisor
        assert sequences.sequence_cross_entropy(logits, targets, mask, over) == pytest.approx(loss.item(), rel=1e-12)
        (wanted,) = torch.autograd.grad(loss, tensor)
        np.testing.assert_allclose(
            sequences.sequence_cross_entropy_backward(logits, targets, mask, over), wanted, **FLOAT64
        )


def test_sequence_cross_entropy_refuses_other_means():
    with pytest.raises(ValueError, match="sequences"):
        sequences.sequence_cross_entropy(np.zeros((1, 1, 2)), np.zeros((1, 1), dtype=int), over="tokens")


def test_guessing_costs_the_logarithm_of_the_words_at_each_step():
    targets = np.zeros((2, 7), dtype=int)
    assert sequences.sequence_cross_entropy(np.zeros((2, 7, 1801)), targets) == pytest.approx(7 * np.log(1801))
    assert sequences.sequence_cross_entropy(np.zeros((2, 7, 1801)), targets, over="steps") == pytest.approx(
        np.log(1801)
    )


# --- embeddings


@quick
@given(st.integers(1, 3), st.integers(1, 5), seeds)
def test_embedding_is_a_product_with_one_hot_rows(batch, steps, seed):
    ids = np.random.default_rng(seed).integers(0, 4, (batch, steps))
    weight, gradient = normal(seed, 4, 2), normal(seed + 1, batch, steps, 2)
    np.testing.assert_array_equal(embedding.embedding(ids, weight), embedding.one_hot(ids, 4) @ weight)
    found = embedding.embedding_backward(ids, weight, gradient)
    np.testing.assert_allclose(found, np.einsum("btv,btn->vn", embedding.one_hot(ids, 4), gradient), **FLOAT64)
    check_gradients(lambda w: (gradient * embedding.embedding(ids, w)).sum(), (weight,), (found,))
    module = torch.nn.Embedding(4, 2, padding_idx=0, dtype=torch.float64)
    with torch.no_grad():
        module.weight.copy_(torch.tensor(weight))
    outputs = module(torch.tensor(ids))
    (outputs * torch.tensor(gradient)).sum().backward()
    np.testing.assert_array_equal(embedding.embedding(ids, weight), outputs.detach())
    np.testing.assert_allclose(
        embedding.embedding_backward(ids, weight, gradient, padding=0), module.weight.grad, **FLOAT64
    )


def test_repeated_ids_add_their_gradients_up():
    found = embedding.embedding_backward(
        np.array([[4, 20, 4]]), np.zeros((21, 2)), np.array([[[1.0, 2], [3, 4], [5, 6]]])
    )
    np.testing.assert_array_equal(found[[4, 20]], [[6, 8], [3, 4]])
    assert found.sum() == 21  # and nothing anywhere else


# --- clipping


@quick
@given(st.lists(st.integers(1, 4), min_size=1, max_size=3), st.floats(0.05, 5), seeds)
def test_clipping_is_that_of_torch(shapes, largest, seed):
    gradients = [normal(seed + place, size, 2) for place, size in enumerate(shapes)]
    parameters = [torch.nn.Parameter(torch.zeros(g.shape, dtype=torch.float64)) for g in gradients]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = torch.tensor(gradient.copy())
    clipped, norm = clipping.clip_by_global_norm(gradients, largest)
    assert norm == pytest.approx(float(torch.nn.utils.clip_grad_norm_(parameters, largest)))
    for one, parameter in zip(clipped, parameters, strict=True):
        np.testing.assert_allclose(one, parameter.grad, rtol=2e-6 / max(norm, 1e-3))  # torch divides by norm + 1e-6
    joined = np.concatenate([one.ravel() for one in clipped])
    assert np.sqrt((joined**2).sum()) <= largest * (1 + 1e-12) or norm <= largest
    for gradient in gradients:
        alone = clipping.clip_by_norm(gradient, largest)
        np.testing.assert_allclose(alone, clipping.clip_by_global_norm([gradient], largest)[0][0], **FLOAT64)
        assert (np.abs(clipping.clip_by_value(gradient, largest)) <= largest).all()


def test_clipping_keeps_what_is_short_and_the_direction_of_what_is_long():
    np.testing.assert_array_equal(clipping.clip_by_norm(np.array([3.0, 4.0]), 5), [3, 4])
    np.testing.assert_allclose(clipping.clip_by_norm(np.array([3.0, 4.0]), 1), [0.6, 0.8])
    np.testing.assert_array_equal(clipping.clip_by_norm(np.zeros(2), 1), [0, 0])
    clipped, norm = clipping.clip_by_global_norm([np.array([3.0]), np.array([4.0])], 1)
    assert norm == 5
    np.testing.assert_allclose(clipped, [[0.6], [0.8]])
