"""Recurrent cells in NumPy: values and gradients by PyTorch in float64 and by differences; limiting cases; parameter counts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numerical import FLOAT64, check_gradients, normal

from gradus.reference import gru, lstm, lstm_peephole, recurrent, recurrent_dropout, sequences

quick = settings(max_examples=25, deadline=None)
sizes = st.integers(1, 3)
seeds = st.integers(0, 999)


def rnn_arguments(seed, batch, steps, size, units):
    return (
        normal(seed, batch, steps, size),
        normal(seed + 1, batch, units),
        normal(seed + 2, size, units),
        normal(seed + 3, units, units),
        normal(seed + 4, units),
    )


def gated_arguments(seed, batch, steps, size, units, gates, states=1, biases=1):
    return (
        normal(seed, batch, steps, size),
        *(normal(seed + 10 + place, batch, units) for place in range(states)),
        normal(seed + 2, size, gates * units),
        normal(seed + 3, units, gates * units),
        *(normal(seed + 20 + place, gates * units) for place in range(biases)),
    )


def arrays(module):
    return {name: value.detach().numpy() for name, value in module.state_dict().items()}


def torch_gradients(module, inputs, states, weight, cell_weight=None):
    """Gradients by (inputs, states, parameters) of the weighted sum of all outputs (and of the last cell)."""
    given = [torch.tensor(array, requires_grad=True) for array in (inputs, *states)]
    state = given[1][None] if len(given) == 2 else (given[1][None], given[2][None])
    outputs, last = module(given[0], state)
    loss = (outputs * torch.tensor(weight)).sum()
    if cell_weight is not None:
        loss = loss + (last[1][0] * torch.tensor(cell_weight)).sum()
    loss.backward()
    parameters = {name: parameter.grad.numpy() for name, parameter in module.named_parameters()}
    return outputs.detach().numpy(), [array.grad.numpy() for array in given], parameters


# --- the simple recurrent layer


@quick
@given(sizes, st.integers(1, 5), sizes, sizes, seeds)
def test_rnn_backward(batch, steps, size, units, seed):
    arguments, weight = rnn_arguments(seed, batch, steps, size, units), normal(seed + 9, batch, steps, units)
    found = recurrent.rnn_backward(*arguments, weight)
    check_gradients(lambda *given: (weight * recurrent.rnn(*given)).sum(), arguments, found)


@quick
@given(sizes, st.integers(1, 6), sizes, sizes, seeds)
def test_rnn_is_that_of_torch(batch, steps, size, units, seed):
    torch.manual_seed(seed)
    module = torch.nn.RNN(size, units, batch_first=True).double()
    inputs, initial, weight = (
        normal(seed, batch, steps, size),
        normal(seed + 1, batch, units),
        normal(seed + 2, batch, steps, units),
    )
    outputs, (by_inputs, by_initial), by_weights = torch_gradients(module, inputs, (initial,), weight)
    arguments = (inputs, initial, *sequences.weights_of_torch(arrays(module)))
    np.testing.assert_allclose(recurrent.rnn(*arguments), outputs, **FLOAT64)
    wanted = (
        by_inputs,
        by_initial,
        by_weights["weight_ih_l0"].T,
        by_weights["weight_hh_l0"].T,
        by_weights["bias_hh_l0"],
    )
    for one, other in zip(recurrent.rnn_backward(*arguments, weight), wanted, strict=True):
        np.testing.assert_allclose(one, other, **FLOAT64)


def language_model(seed, steps, size=5, units=4):
    """The network of Principles and Practice chapter 7: one-hot words in, softmax at every step, no state to begin with."""
    generator = np.random.default_rng(seed)
    first, second, third = recurrent.elman_weights(size, units, size, generator)
    words = generator.integers(0, size, (1, steps + 1))
    inputs = (words[:, :-1, None] == np.arange(size)).astype(float)
    arguments = (inputs, np.zeros((1, units)), first, second, np.zeros(units))
    return arguments, third, words[:, 1:]


def loss_of(arguments, output_weight, targets):
    logits = recurrent.outputs(recurrent.rnn(*arguments), output_weight, np.zeros(output_weight.shape[1]))
    return sequences.sequence_cross_entropy(logits, targets)


def gradients_of(arguments, output_weight, targets, backward=recurrent.rnn_backward, **options):
    zeros = np.zeros(output_weight.shape[1])
    states = recurrent.rnn(*arguments)
    by_logits = sequences.sequence_cross_entropy_backward(recurrent.outputs(states, output_weight, zeros), targets)
    by_states, by_output_weight, _ = recurrent.outputs_backward(states, output_weight, zeros, by_logits)
    return backward(*arguments, by_states, **options), by_output_weight


def test_gradient_check_of_the_whole_network():
    # K-05: below 1e-7 in U, W and V for 6 steps
    arguments, output_weight, targets = language_model(3, steps=6)
    found, by_output_weight = gradients_of(arguments, output_weight, targets)
    worst = check_gradients(
        lambda *given: loss_of(given[:5], given[5], targets), (*arguments, output_weight), (*found, by_output_weight)
    )
    assert worst < 1e-7


@pytest.mark.parametrize("steps", [1, 3, 5])
def test_truncation_at_four_is_the_whole_gradient_of_five_steps(steps):
    arguments, output_weight, targets = language_model(4, steps)
    whole, _ = gradients_of(arguments, output_weight, targets)
    cut, _ = gradients_of(arguments, output_weight, targets, recurrent.rnn_backward_truncated, truncation=4)
    for one, other in zip(cut, whole, strict=True):
        np.testing.assert_allclose(one, other, **FLOAT64)


def test_truncation_at_four_loses_part_of_six_steps_but_nothing_of_w():
    arguments, output_weight, targets = language_model(4, steps=6)
    (_, by_initial, by_u, by_w, by_bias), _ = gradients_of(arguments, output_weight, targets)
    (_, cut_initial, cut_u, cut_w, cut_bias), _ = gradients_of(
        arguments, output_weight, targets, recurrent.rnn_backward_truncated, truncation=4
    )
    # what is lost is delta_0 of the last loss: times x_0 in U, times 1 in b, but times the zero initial state in W
    assert np.abs(cut_u - by_u).max() > 1e-4
    assert np.abs(cut_bias - by_bias).max() > 1e-4
    assert np.abs(cut_initial - by_initial).max() > 1e-4
    np.testing.assert_allclose(cut_w, by_w, **FLOAT64)
    # so with another initial state, or one step more, W loses too
    begun = (arguments[0], np.full_like(arguments[1], 0.5), *arguments[2:])
    for network, wanted in ((begun, targets), language_model(4, steps=7)[0::2]):
        whole = gradients_of(network, output_weight, wanted)[0][3]
        cut = gradients_of(network, output_weight, wanted, recurrent.rnn_backward_truncated, truncation=4)[0][3]
        assert np.abs(cut - whole).max() > 1e-4


@quick
@given(st.integers(1, 7), st.integers(0, 8), seeds)
def test_truncation_is_the_sum_of_what_each_loss_reaches(steps, truncation, seed):
    arguments, weight = rnn_arguments(seed, 2, steps, 2, 3), normal(seed + 9, 2, steps, 3)
    found = recurrent.rnn_backward_truncated(*arguments, weight, truncation)
    inputs, initial, *weights = (torch.tensor(array) for array in arguments)
    total = torch.zeros_like(weights[0])
    for origin in range(steps):
        by_u = weights[0].clone().requires_grad_()
        state = initial
        for step in range(origin + 1):
            state = state.detach() if step == origin - truncation else state
            first = by_u if step >= origin - truncation else weights[0]
            state = torch.tanh(inputs[:, step] @ first + state @ weights[1] + weights[2])
        (state * torch.tensor(weight[:, origin])).sum().backward()
        total += by_u.grad
    np.testing.assert_allclose(found[2], total.numpy(), **FLOAT64)


# --- LSTM


@quick
@given(sizes, st.integers(1, 4), sizes, st.integers(1, 2), seeds)
def test_lstm_backward(batch, steps, size, units, seed):
    arguments = gated_arguments(seed, batch, steps, size, units, gates=4, states=2)
    weight, cell_weight = normal(seed + 8, batch, steps, units), normal(seed + 9, batch, steps, units)

    def loss(*given):
        states, cells = lstm.lstm(*given)
        return (weight * states).sum() + (cell_weight * cells).sum()

    check_gradients(loss, arguments, lstm.lstm_backward(*arguments, weight, cell_weight))


@quick
@given(sizes, st.integers(1, 6), sizes, sizes, seeds)
def test_lstm_is_that_of_torch(batch, steps, size, units, seed):
    torch.manual_seed(seed)
    module = torch.nn.LSTM(size, units, batch_first=True).double()
    inputs, initial, cell = (
        normal(seed, batch, steps, size),
        normal(seed + 1, batch, units),
        normal(seed + 2, batch, units),
    )
    weight, cell_weight = normal(seed + 3, batch, steps, units), normal(seed + 4, batch, units)
    outputs, by_given, by_weights = torch_gradients(module, inputs, (initial, cell), weight, cell_weight)
    arguments = (inputs, initial, cell, *sequences.weights_of_torch(arrays(module), gates=4))
    np.testing.assert_allclose(lstm.lstm(*arguments)[0], outputs, **FLOAT64)
    of_cells = np.zeros_like(weight)
    of_cells[:, -1] = cell_weight
    wanted = (*by_given, by_weights["weight_ih_l0"].T, by_weights["weight_hh_l0"].T, by_weights["bias_ih_l0"])
    for one, other in zip(lstm.lstm_backward(*arguments, weight, of_cells), wanted, strict=True):
        np.testing.assert_allclose(one, other, **FLOAT64)


def test_lstm_with_closed_input_and_open_forget_gate_keeps_its_cell():
    # K-12; the gates are sigmoids: a bias of -60 is 0 in float64, one of 60 is 1
    inputs, initial, cell, input_weight, hidden_weight, _ = gated_arguments(1, 2, 30, 3, 4, gates=4, states=2)
    bias = np.concatenate([np.full(4, -60.0), np.full(4, 60.0), np.zeros(8)])
    _, cells = lstm.lstm(inputs, initial, cell, 0.1 * input_weight, 0.1 * hidden_weight, bias)
    np.testing.assert_array_equal(cells, np.broadcast_to(cell[:, None], cells.shape))
    # and the gradient of the last cell by the first one is 1: nothing vanishes
    last = np.zeros_like(cells)
    last[:, -1] = 1
    found = lstm.lstm_backward(
        inputs, initial, cell, 0.1 * input_weight, 0.1 * hidden_weight, bias, np.zeros_like(cells), last
    )
    np.testing.assert_allclose(found[2], 1, rtol=1e-12)


def test_lstm_forget_bias():
    np.testing.assert_array_equal(lstm.initial_bias(2), [0, 0, 1, 1, 0, 0, 0, 0])
    np.testing.assert_array_equal(lstm.initial_bias(2, forget=0), np.zeros(8))


@quick
@given(sizes, st.integers(1, 4), sizes, st.integers(1, 2), st.sampled_from(["new", "old"]), seeds)
def test_peephole_lstm_backward(batch, steps, size, units, output_sees, seed):
    arguments = (*gated_arguments(seed, batch, steps, size, units, gates=4, states=2), normal(seed + 30, 3, units))
    weight = normal(seed + 8, batch, steps, units)
    found = lstm_peephole.peephole_lstm_backward(*arguments, weight, output_sees)
    check_gradients(lambda *a: (weight * lstm_peephole.peephole_lstm(*a, output_sees)[0]).sum(), arguments, found)


def test_peepholes_of_zero_are_a_plain_lstm_and_others_are_not():
    arguments = gated_arguments(5, 2, 4, 3, 2, gates=4, states=2)
    plain = lstm.lstm(*arguments)
    for output_sees in ("new", "old"):
        for one, other in zip(
            lstm_peephole.peephole_lstm(*arguments, np.zeros((3, 2)), output_sees), plain, strict=True
        ):
            np.testing.assert_array_equal(one, other)
    peepholes = normal(6, 3, 2)
    new, old = (lstm_peephole.peephole_lstm(*arguments, peepholes, sees)[0] for sees in ("new", "old"))
    assert np.abs(new - old).max() > 1e-3
    assert np.abs(new - plain[0]).max() > 1e-3
    with pytest.raises(ValueError, match="output_sees"):
        lstm_peephole.peephole_lstm(*arguments, peepholes, "both")


def test_peephole_lstm_by_hand():
    # one unit, one step: c' = 2; i = f = g's sum 0 but for the peepholes
    arguments = (
        np.zeros((1, 1, 1)),
        np.zeros((1, 1)),
        np.array([[2.0]]),
        np.zeros((1, 4)),
        np.zeros((1, 4)),
        np.zeros(4),
    )
    states, cells = lstm_peephole.peephole_lstm(*arguments, np.array([[0.0], [0.5], [0.25]]))
    cell = 2 / (1 + np.exp(-1))  # f = sigmoid(0.5 * 2), and nothing is written: g = tanh(0)
    assert cells[0, 0, 0] == pytest.approx(cell)
    assert states[0, 0, 0] == pytest.approx(np.tanh(cell) / (1 + np.exp(-0.25 * cell)))


# --- GRU


@quick
@given(sizes, st.integers(1, 4), sizes, st.integers(1, 2), st.sampled_from(["keep", "take"]), seeds)
def test_gru_backward(batch, steps, size, units, update, seed):
    weight = normal(seed + 8, batch, steps, units)
    before = gated_arguments(seed, batch, steps, size, units, gates=3)
    check_gradients(
        lambda *given: (weight * gru.gru(*given, update)).sum(), before, gru.gru_backward(*before, weight, update)
    )
    after = gated_arguments(seed, batch, steps, size, units, gates=3, biases=2)
    check_gradients(
        lambda *given: (weight * gru.gru_reset_after(*given, update)).sum(),
        after,
        gru.gru_reset_after_backward(*after, weight, update),
    )


@quick
@given(sizes, st.integers(1, 6), sizes, sizes, seeds)
def test_gru_with_reset_after_is_that_of_torch(batch, steps, size, units, seed):
    torch.manual_seed(seed)
    module = torch.nn.GRU(size, units, batch_first=True).double()
    inputs, initial, weight = (
        normal(seed, batch, steps, size),
        normal(seed + 1, batch, units),
        normal(seed + 2, batch, steps, units),
    )
    outputs, by_given, by_weights = torch_gradients(module, inputs, (initial,), weight)
    arguments = (inputs, initial, *sequences.weights_of_torch(arrays(module), gates=3, split=True))
    np.testing.assert_allclose(gru.gru_reset_after(*arguments), outputs, **FLOAT64)
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    wanted = (*by_given, *(by_weights[name].T for name in names))
    for one, other in zip(gru.gru_reset_after_backward(*arguments, weight), wanted, strict=True):
        np.testing.assert_allclose(one, other, **FLOAT64)


@quick
@given(st.integers(1, 5), sizes, sizes, seeds)
def test_the_two_senses_of_the_update_gate_are_one_with_its_signs_turned(steps, size, units, seed):
    inputs, initial, *weights = gated_arguments(seed, 2, steps, size, units, gates=3)
    sign = np.repeat([1.0, -1.0, 1.0], units)
    turned = [weight * sign for weight in weights]
    np.testing.assert_allclose(
        gru.gru(inputs, initial, *weights, "take"), gru.gru(inputs, initial, *turned, "keep"), **FLOAT64
    )
    with pytest.raises(ValueError, match="update"):
        gru.gru(inputs, initial, *weights, "new")


@quick
@given(st.integers(2, 5), st.integers(2, 3), seeds)
def test_the_place_of_the_reset_gate_matters_unless_it_is_open(steps, units, seed):
    inputs, initial, input_weight, hidden_weight, bias = gated_arguments(seed, 2, steps, 2, units, gates=3)
    zeros = np.zeros_like(bias)
    before, after = (
        gru.gru(inputs, initial, input_weight, hidden_weight, bias),
        gru.gru_reset_after(inputs, initial, input_weight, hidden_weight, bias, zeros),
    )
    assert np.abs(before - after).max() > 1e-6
    bias = np.concatenate([np.full(units, 60.0), bias[units:]])
    np.testing.assert_allclose(
        gru.gru(inputs, initial, input_weight, hidden_weight, bias),
        gru.gru_reset_after(inputs, initial, input_weight, hidden_weight, bias, zeros),
        **FLOAT64,
    )


@pytest.mark.parametrize(("update", "candidate"), [("keep", -60.0), ("take", 60.0)])
@pytest.mark.parametrize("place", ["before", "after"])
def test_gru_of_pure_candidates_and_open_reset_is_a_simple_recurrent_network(update, candidate, place):
    # K-12. The book's prose (r = 1, z = 0 is a simple network) is "keep"; with its eq. 8-13, "take", that needs z = 1
    units = 3
    inputs, initial, input_weight, hidden_weight, _ = gated_arguments(2, 2, 6, 2, units, gates=3)
    bias = np.concatenate([np.full(units, 60.0), np.full(units, candidate), normal(7, units)])
    if place == "before":
        found = gru.gru(inputs, initial, input_weight, hidden_weight, bias, update)
    else:
        found = gru.gru_reset_after(inputs, initial, input_weight, hidden_weight, bias, np.zeros_like(bias), update)
    plain = recurrent.rnn(inputs, initial, input_weight[:, -units:], hidden_weight[:, -units:], bias[-units:])
    np.testing.assert_allclose(found, plain, **FLOAT64)


@pytest.mark.parametrize(("update", "keeping"), [("keep", 60.0), ("take", -60.0)])
def test_gru_that_takes_nothing_keeps_its_state_and_a_closed_reset_gate_hides_it(update, keeping):
    units = 3
    inputs, initial, input_weight, hidden_weight, bias = gated_arguments(3, 2, 6, 2, units, gates=3)
    kept = np.concatenate([bias[:units], np.full(units, keeping), bias[2 * units :]])
    found = gru.gru(inputs, initial, input_weight, hidden_weight, kept, update)
    np.testing.assert_allclose(found, np.broadcast_to(initial[:, None], found.shape), rtol=1e-12)
    # the text says that an *open* reset gate removes the old state: the closed one (r = 0) does
    closed = np.concatenate([np.full(units, -60.0), np.full(units, -keeping), bias[2 * units :]])
    found = gru.gru(inputs, initial, input_weight, hidden_weight, closed, update)
    np.testing.assert_allclose(found, np.tanh(inputs @ input_weight[:, -units:] + bias[-units:]), rtol=1e-12)


# --- how many numbers


def test_parameter_counts_of_the_texts():
    # K-06
    assert recurrent.rnn_parameters(1801, 256) == 526_848
    assert 256 * 1801 + 1801 == 462_857
    assert recurrent.rnn_parameters(1801, 256) + 462_857 == 989_705
    assert lstm.lstm_parameters(2000, 128) == 1_090_048
    assert lstm.lstm_parameters(128, 128) == 131_584
    assert 1_090_048 + 3 * 131_584 + 128 * 2000 + 2000 == 1_742_800
    assert gru.gru_parameters(1024, 1024) == 6_294_528
    assert gru.gru_parameters(1024, 1024, reset_after=True) == 6_297_600
    assert recurrent.rnn_parameters(32, 32) == 2_080
    assert lstm.lstm_parameters(32, 32) == 8_320
    assert gru.gru_parameters(14, 32) == 4_512
    assert gru.gru_parameters(14, 32, reset_after=True) == 4_608
    convolution, normalized, output = 11 * 161 * 1024 + 1024, 4 * 1024, 1024 * 29 + 29
    assert convolution + normalized + 3 * 6_294_528 + normalized + output == 20_736_029
    assert convolution + normalized + 3 * (6_294_528 + normalized) + output == 20_744_221


@pytest.mark.parametrize(("size", "units"), [(1, 1), (3, 5), (14, 32)])
def test_parameter_counts_are_those_of_torch(size, units):
    def count(module):
        return sum(parameter.numel() for parameter in module.parameters())

    assert count(torch.nn.RNN(size, units)) == recurrent.rnn_parameters(size, units) + units
    assert count(torch.nn.LSTM(size, units)) == lstm.lstm_parameters(size, units) + 4 * units
    assert count(torch.nn.GRU(size, units)) == gru.gru_parameters(size, units, reset_after=True)


# --- dropout with one mask a sequence


@quick
@given(sizes, st.integers(1, 4), sizes, sizes, seeds)
def test_rnn_with_dropout_backward(batch, steps, size, units, seed):
    arguments, weight = rnn_arguments(seed, batch, steps, size, units), normal(seed + 9, batch, steps, units)
    generator = np.random.default_rng(seed)
    masks = tuple(recurrent_dropout.sequence_mask(batch, count, 0.4, generator) for count in (size, units))
    check_gradients(
        lambda *network: (weight * recurrent_dropout.rnn_with_dropout(*network, *masks)).sum(),
        arguments,
        recurrent_dropout.rnn_with_dropout_backward(*arguments, *masks, weight),
    )
    state = arguments[1]
    for step in range(steps):  # the same masks at every step
        sums = (arguments[0][:, step] * masks[0]) @ arguments[2] + (state * masks[1]) @ arguments[3] + arguments[4]
        state = np.tanh(sums)
    np.testing.assert_allclose(recurrent_dropout.rnn_with_dropout(*arguments, *masks)[:, -1], state, **FLOAT64)


def test_sequence_mask_keeps_the_mean():
    mask = recurrent_dropout.sequence_mask(400, 50, 0.3, np.random.default_rng(0))
    np.testing.assert_allclose(np.unique(mask), [0, 1 / 0.7])
    assert mask.mean() == pytest.approx(1, abs=0.02)
