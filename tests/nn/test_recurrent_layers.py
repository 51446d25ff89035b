"""Recurrent layers: held to the NumPy reference, gradients checked, masks that last a whole sequence."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from gradus.nn import PeepholeLSTM, RecurrentDropout, ResetBeforeGRU, SameMaskDropout
from gradus.nn import recurrent as layers
from gradus.reference import gru, lstm, lstm_peephole, recurrent_dropout, sequences

quick = settings(max_examples=25, deadline=None)
sizes = st.integers(1, 4)
seeds = st.integers(0, 999)
FLOAT64 = {"rtol": 1e-11, "atol": 1e-12}


def arrays(*tensors):
    return [tensor.detach().numpy() for tensor in tensors]


@quick
@given(sizes, st.integers(1, 5), sizes, sizes, seeds)
def test_peephole_lstm_is_the_reference(batch, steps, size, units, seed):
    torch.manual_seed(seed)
    layer = PeepholeLSTM(size, units).double()
    inputs = torch.randn(batch, steps, size, dtype=torch.float64, requires_grad=True)
    state = tuple(torch.randn(1, batch, units, dtype=torch.float64, requires_grad=True) for _ in range(2))
    outputs, (hidden, cell) = layer(inputs, state)
    weights = (layer.input_weight, layer.hidden_weight, layer.bias, layer.peepholes)
    arguments = arrays(inputs, state[0][0], state[1][0], *weights)
    states, cells = lstm_peephole.peephole_lstm(*arguments)
    np.testing.assert_allclose(outputs.detach(), states, **FLOAT64)
    np.testing.assert_allclose(hidden[0].detach(), states[:, -1], **FLOAT64)
    np.testing.assert_allclose(cell[0].detach(), cells[:, -1], **FLOAT64)
    weight = torch.randn_like(outputs)
    found = torch.autograd.grad((outputs * weight).sum(), (inputs, *state, *weights))
    wanted = lstm_peephole.peephole_lstm_backward(*arguments, weight.numpy())
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one.reshape(other.shape), other, **FLOAT64)


@quick
@given(sizes, st.integers(1, 5), sizes, sizes, seeds)
def test_reset_before_gru_is_the_reference(batch, steps, size, units, seed):
    torch.manual_seed(seed)
    layer = ResetBeforeGRU(size, units).double()
    inputs = torch.randn(batch, steps, size, dtype=torch.float64, requires_grad=True)
    state = torch.randn(1, batch, units, dtype=torch.float64, requires_grad=True)
    outputs, hidden = layer(inputs, state)
    weights = (layer.input_weight, layer.hidden_weight, layer.bias)
    arguments = arrays(inputs, state[0], *weights)
    np.testing.assert_allclose(outputs.detach(), gru.gru(*arguments), **FLOAT64)
    np.testing.assert_allclose(hidden[0].detach(), outputs[:, -1].detach(), **FLOAT64)
    weight = torch.randn_like(outputs)
    found = torch.autograd.grad((outputs * weight).sum(), (inputs, state, *weights))
    for one, other in zip(found, gru.gru_backward(*arguments, weight.numpy()), strict=True):
        np.testing.assert_allclose(one.reshape(other.shape), other, **FLOAT64)


@pytest.mark.parametrize("make", [PeepholeLSTM, ResetBeforeGRU])
def test_gradcheck_and_state_carried_over(make):
    torch.manual_seed(0)
    layer = make(2, 3).double()
    inputs = torch.randn(2, 4, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: layer(x)[0], inputs)
    whole, last = layer(inputs)
    first, state = layer(inputs[:, :1])
    rest, end = layer(inputs[:, 1:], state)
    torch.testing.assert_close(torch.cat([first, rest], dim=1), whole)
    torch.testing.assert_close(end, last)
    # the state that is left out is zeros
    zeros = torch.zeros(1, 2, 3, dtype=torch.float64)
    torch.testing.assert_close(layer(inputs, (zeros, zeros) if make is PeepholeLSTM else zeros)[0], whole)


def test_parameter_counts_and_where_they_begin():
    def count(module):
        return sum(parameter.numel() for parameter in module.parameters())

    assert count(PeepholeLSTM(32, 32)) == lstm.lstm_parameters(32, 32) + 3 * 32
    assert count(ResetBeforeGRU(14, 32)) == 4_512
    assert count(nn.GRU(14, 32)) == 4_608
    assert count(ResetBeforeGRU(1024, 1024)) == 6_294_528
    layer = PeepholeLSTM(3, 16, forget_bias=2.0)
    np.testing.assert_array_equal(*arrays(layer.bias, torch.tensor([0.0, 2, 0, 0]).repeat_interleave(16)))
    assert layer.hidden_weight.abs().max() <= 0.25
    assert layer.peepholes.std() > 0.05


@quick
@given(st.floats(0.05, 0.9), seeds)
def test_same_mask_dropout_is_constant_over_time(rate, seed):
    torch.manual_seed(seed)
    layer = SameMaskDropout(rate)
    outputs = layer(torch.ones(8, 5, 6))
    assert (outputs == outputs[:, :1]).all()
    kept = outputs[outputs != 0]
    torch.testing.assert_close(kept, torch.full_like(kept, 1 / (1 - rate)))
    assert torch.equal(layer.eval()(torch.ones(8, 5, 6)), torch.ones(8, 5, 6))


def test_same_mask_dropout_differs_between_sequences_and_keeps_the_mean():
    torch.manual_seed(0)
    outputs = SameMaskDropout(0.3)(torch.ones(2000, 2, 10))
    assert len({tuple(row) for row in outputs[:, 0].tolist()}) > 100
    assert outputs[:, 0].mean().item() == pytest.approx(1, abs=0.02)
    assert (outputs[:, 0] == 0).float().mean().item() == pytest.approx(0.3, abs=0.015)


KINDS = [(nn.RNN, {}), (nn.RNN, {"nonlinearity": "relu"}), (nn.LSTM, {}), (nn.GRU, {}), (nn.LSTM, {"bias": False})]


def a_layer(kind, options, size=3, units=4):
    torch.manual_seed(2)
    return kind(size, units, batch_first=True, **options).double()


def states_of(kind, batch, units=4):
    parts = tuple(torch.randn(1, batch, units, dtype=torch.float64) for _ in range(2))
    return parts if kind is nn.LSTM else parts[0]


def flat(result):
    outputs, state = result
    return [outputs, *(state if isinstance(state, tuple) else (state,))]


@pytest.mark.parametrize(("kind", "options"), KINDS)
@pytest.mark.parametrize("begun", [False, True])
def test_without_a_mask_both_paths_are_the_layer(kind, options, begun):
    layer, inputs = a_layer(kind, options), torch.randn(2, 5, 3, dtype=torch.float64)
    state = states_of(kind, 2) if begun else None
    wanted = flat(layer(inputs, state))
    dropped = RecurrentDropout(layer, recurrent=0.5)
    paths = [
        dropped._loop(inputs, state, torch.ones(2, 4, dtype=torch.float64)),
        dropped._folded(inputs, state, torch.ones(4, dtype=torch.float64)),
        dropped.eval()(inputs, state),
        RecurrentDropout(layer)(inputs, state),
    ]
    for found in paths:
        for one, other in zip(flat(found), wanted, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_the_folded_mask_is_the_loop_with_that_mask_and_its_gradients(kind, options):
    layer, inputs = a_layer(kind, options), torch.randn(3, 6, 3, dtype=torch.float64, requires_grad=True)
    dropped, state = RecurrentDropout(layer, recurrent=0.5), states_of(kind, 3)
    mask = torch.tensor([2.0, 0, 2, 0], dtype=torch.float64)
    parameters = [inputs, *layer.parameters()]
    found = dropped._folded(inputs, state, mask)
    wanted = dropped._loop(inputs, state, mask.expand(3, 4))
    for one, other in zip(flat(found), flat(wanted), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-12)
    weight = torch.randn(3, 6, 4, dtype=torch.float64)
    for one, other in zip(
        torch.autograd.grad((found[0] * weight).sum(), parameters),
        torch.autograd.grad((wanted[0] * weight).sum(), parameters),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)
    assert (found[0] - layer(inputs, state)[0]).abs().max() > 1e-2  # and the mask did something


@pytest.mark.parametrize("masks", ["batch", "sequence"])
def test_one_mask_is_drawn_a_call_of_the_right_shape(masks, monkeypatch):
    shapes = []
    drawn = layers.keep_mask

    def counting(like, shape, rate):
        shapes.append((tuple(shape), rate))
        return drawn(like, shape, rate)

    monkeypatch.setattr(layers, "keep_mask", counting)
    dropped = RecurrentDropout(nn.GRU(3, 4, batch_first=True), dropout=0.2, recurrent=0.5, masks=masks)
    dropped(torch.randn(2, 7, 3))
    assert shapes == [((2, 1, 3), 0.2), ((4,) if masks == "batch" else (2, 4), 0.5)]
    shapes.clear()
    dropped.eval()(torch.randn(2, 7, 3))
    assert shapes == []


def test_the_masked_state_is_the_same_unit_at_all_steps():
    # a network that only counts: h_t = relu(h_{t-1} m + 1); with m = 0 it stays at 1, with m = 2 it doubles and adds
    layer = nn.RNN(1, 6, nonlinearity="relu", batch_first=True)
    with torch.no_grad():
        layer.weight_hh_l0.copy_(torch.eye(6))
        layer.weight_ih_l0.zero_()
        layer.bias_ih_l0.fill_(1)
        layer.bias_hh_l0.zero_()
    for masks in ("batch", "sequence"):
        torch.manual_seed(1)
        outputs, _ = RecurrentDropout(layer, recurrent=0.5, masks=masks)(torch.zeros(40, 4, 1))
        dropped, kept = torch.tensor([1.0, 1, 1, 1]), torch.tensor([1.0, 3, 7, 15])
        runs = outputs.transpose(1, 2).reshape(-1, 4)
        is_dropped, is_kept = (runs == dropped).all(dim=1), (runs == kept).all(dim=1)
        assert (is_dropped ^ is_kept).all()  # no unit changes its mind in mid-sequence
        assert is_dropped.any() and is_kept.any()
        assert (outputs == outputs[:1]).all() == (masks == "batch")


def test_what_recurrent_dropout_refuses():
    for layer in (
        nn.LSTM(2, 3),
        nn.LSTM(2, 3, num_layers=2, batch_first=True),
        nn.GRU(2, 3, bidirectional=True, batch_first=True),
        nn.LSTM(2, 3, proj_size=2, batch_first=True),
    ):
        with pytest.raises(ValueError, match="one layer of one direction"):
            RecurrentDropout(layer)
    with pytest.raises(ValueError, match="under 1, not 1"):
        RecurrentDropout(nn.LSTM(2, 3, batch_first=True), recurrent=1)
    with pytest.raises(ValueError, match='"batch" or "sequence"'):
        RecurrentDropout(nn.LSTM(2, 3, batch_first=True), masks="step")


def test_a_dropout_around_a_layer_learns_its_weights():
    dropped = RecurrentDropout(nn.LSTM(2, 3, batch_first=True), dropout=0.1, recurrent=0.4)
    assert {name for name, _ in dropped.named_parameters()} == {
        f"layer.{name}" for name, _ in nn.LSTM(2, 3).named_parameters()
    }
    dropped(torch.randn(2, 5, 2))[0].sum().backward()
    assert all(parameter.grad is not None for parameter in dropped.parameters())


def test_dropout_around_a_simple_layer_is_the_reference():
    layer, inputs = a_layer(nn.RNN, {}), torch.randn(3, 6, 3, dtype=torch.float64)
    state, mask = states_of(nn.RNN, 3), torch.tensor([[2.0, 0, 2, 0], [0, 0, 2, 2], [2, 2, 2, 0]], dtype=torch.float64)
    found, _ = RecurrentDropout(layer, recurrent=0.5, masks="sequence")._loop(inputs, state, mask)
    weights = sequences.weights_of_torch({name: value.numpy() for name, value in layer.state_dict().items()})
    wanted = recurrent_dropout.rnn_with_dropout(*arrays(inputs, state[0]), *weights, np.ones((3, 3)), mask.numpy())
    np.testing.assert_allclose(found.detach(), wanted, **FLOAT64)
