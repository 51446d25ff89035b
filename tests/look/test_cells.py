"""Gates and states computed again: they are those of the layers themselves, and the looks at them say what is there."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from passages_made import passage, subject_of
from torch import nn

from gradus.errors import UserError
from gradus.look.inside.cells import chosen_layer, held_by, unrolled
from gradus.look.inside.gates import gates
from gradus.models import create_model
from gradus.nn.recurrent import PeepholeLSTM, ResetBeforeGRU

TEXT = "the film not bad very good film"


@pytest.mark.parametrize(
    "layer",
    [
        nn.RNN(3, 4, batch_first=True),
        nn.RNN(3, 4, nonlinearity="relu", batch_first=True),
        nn.LSTM(3, 4, num_layers=2, bidirectional=True, batch_first=True),
        nn.GRU(3, 4, bias=False, batch_first=True),
        nn.GRU(3, 4, num_layers=2, batch_first=True),
        PeepholeLSTM(3, 4),
        ResetBeforeGRU(3, 4),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_what_is_held_is_what_the_layer_gives(layer):
    torch.manual_seed(0)
    inputs = torch.randn(1, 9, 3)
    outputs, state = layer(inputs)
    held = unrolled(layer, inputs[0])
    np.testing.assert_allclose(held["hidden"], outputs[0].detach(), atol=1e-5)
    further, _ = layer(inputs, state)
    states = state if isinstance(state, tuple) else (state,)
    again = unrolled(layer, inputs[0], tuple(part.detach() for part in states))
    np.testing.assert_allclose(again["hidden"], further[0].detach(), atol=1e-5)


def test_each_direction_of_a_network_is_told_in_the_order_of_the_text():
    torch.manual_seed(0)
    model = create_model("lstm", num_tokens=10, num_classes=2, hidden_size=4, embedding_size=3, bidirectional=True)
    text = passage(TEXT)
    subject = subject_of(model)
    assert chosen_layer(subject, "") == "body.forwards.0"
    (held,) = held_by(subject, "body.backwards.0", [text])
    vectors, mask = model.front(text.inputs[None])
    outputs = model.body(vectors, mask)[0, :, 4:].detach()
    np.testing.assert_allclose(held["hidden"], outputs, atol=1e-6)


def test_a_carried_state_goes_on_where_the_passage_before_ended():
    torch.manual_seed(0)
    model = create_model("recurrent_lm", num_tokens=10, hidden_size=4, embedding_size=3, layers=2)
    subject = subject_of(model, answers="next", names=tuple("abcdefghij"))
    whole, first, second = (passage(part) for part in (TEXT, "the film not bad", "very good film"))
    (once,) = held_by(subject, "body.forwards.1", [whole])
    parts = held_by(subject, "body.forwards.1", [first, second], carried=True)
    np.testing.assert_allclose(np.concatenate([part["cell"] for part in parts]), once["cell"], atol=1e-6)


def lstm_that_drops_at(word: int) -> nn.Module:
    """An LSTM of one unit: what it holds is kept (forget gate near 1) but at one word, where it is near 0."""
    model = create_model("lstm", num_tokens=10, num_classes=2, hidden_size=1, embedding_size=1)
    with torch.no_grad():
        model.front.embedding.weight.zero_()
        model.front.embedding.weight[word] = 1.0
        layer = model.body.forwards[0]
        for parameter in layer.parameters():
            parameter.zero_()
        layer.weight_ih_l0[1] = -12.0
        layer.bias_ih_l0[1] = 6.0
    return model


def test_the_forget_gate_is_shown_where_it_drops(tmp_path):
    sight = gates(subject_of(lstm_that_drops_at(8)), [passage(TEXT)])  # 8 is "not", at place 2
    forget = sight.arrays["forget-0"][:, 0]
    assert forget[2] < 0.01 and np.delete(forget, 2).min() > 0.99
    assert "least is kept at “not” 0.2%" in sight.said[1]
    assert sight.numbers[f"open (> 0.9) forget gate, {TEXT}"] == pytest.approx(6 / 7)
    assert sight.tables[0][2][2][2].startswith("–") and sight.tables[0][2][1][2].startswith("o")
    assert (sight.arrays["input-0"] == 0.5).all()
    names = [path.name for path in sight.write(tmp_path)]
    assert names[0] == "gates.html" and "gates-forget-0.png" in names


def test_a_grus_update_gate_at_one_keeps_the_state():
    model = create_model("gru", num_tokens=10, num_classes=2, hidden_size=3, embedding_size=2)
    with torch.no_grad():
        model.body.forwards[0].bias_ih_l0[3:6] = 50.0
    sight = gates(subject_of(model), [passage(TEXT)], unit=2)
    assert sight.arrays["update-0"].min() > 0.999
    assert np.abs(sight.arrays["hidden-0"]).max() < 1e-6


def test_networks_without_gates_are_refused():
    simple = create_model("simple_rnn", num_tokens=10, num_classes=2)
    with pytest.raises(UserError, match="no gates"):
        gates(subject_of(simple), [passage(TEXT)])
    with pytest.raises(UserError, match="no recurrent layer"):
        gates(subject_of(nn.Sequential(nn.Embedding(10, 2), nn.Flatten())), [passage(TEXT)])
    with pytest.raises(UserError, match="units 0 to 63"):
        gates(subject_of(create_model("gru", num_tokens=10)), [passage(TEXT)], unit=64)
