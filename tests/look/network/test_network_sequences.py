"""The layer table of networks for sequences: parameters, multiply-adds and fields worked out by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from gradus.errors import UserError
from gradus.look.network.summary import summarize
from gradus.recipes.looking import look, subject_of
from gradus.recipes.networks import network_of


def row_of(summary, kind: str):
    (row,) = [row for row in summary.rows() if row.kind == kind]
    return row


@pytest.mark.parametrize(
    ("name", "kind", "parameters", "multiply_adds"),
    [
        # gates x units x (inputs + units) a step; PyTorch's layers have two biases a gate
        ("simple_rnn", "RNN", 1 * 32 * (32 + 32 + 2), 1 * 32 * (32 + 32) * 50),
        ("lstm", "LSTM", 4 * 32 * (32 + 32 + 2), 4 * 32 * (32 + 32) * 50),
        ("gru", "GRU", 3 * 32 * (32 + 32 + 2), 3 * 32 * (32 + 32) * 50),
    ],
)
def test_recurrent_networks_on_ids(name, kind, parameters, multiply_adds):
    options = {"num_tokens": 10_000, "embedding_size": 32, "hidden_size": 32}
    sight = look(network_of(name, options, ["50"]), "structure")
    layers = {layer["kind"]: layer for layer in sight.record["layers"]}
    assert layers["Embedding"]["parameters"] == 320_000  # Deep Learning with Python §6.2.1
    assert layers["Embedding"]["multiply_adds"] == 0
    assert (layers[kind]["parameters"], layers[kind]["multiply_adds"]) == (parameters, multiply_adds)
    assert layers["Linear"]["multiply_adds"] == 2 * 32
    assert sight.record["inputs"] == [[50]]


def test_a_network_on_numbers_is_given_numbers():
    network = network_of("gru", {"in_features": 14, "hidden_size": 32, "num_classes": 1}, None)
    assert network.inputs[0].shape == (1, 100, 14) and network.inputs[0].is_floating_point()
    record = look(network, "structure").record
    layer = next(layer for layer in record["layers"] if layer["kind"] == "GRU")
    assert layer["multiply_adds"] == 3 * 32 * (14 + 32) * 100


def test_a_recurrent_layer_of_two_directions_and_layers():
    summary = summarize(nn.LSTM(8, 16, num_layers=2, bidirectional=True, batch_first=True), (20, 8))
    first, second = 2 * 4 * 16 * (8 + 16 + 2), 2 * 4 * 16 * (32 + 16 + 2)
    assert summary.parameters == first + second
    assert summary.multiply_adds == 20 * (2 * 4 * 16 * (8 + 16) + 2 * 4 * 16 * (32 + 16))


class Convolutions(nn.Module):
    """The convnet of Deep Learning with Python, listing 6-46: windows of 7, pooling of 5."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(1000, 12)
        self.first, self.second = nn.Conv1d(12, 8, 7), nn.Conv1d(8, 4, 7)
        self.pool, self.head = nn.MaxPool1d(5), nn.Linear(4, 1)

    def forward(self, ids: Tensor) -> Tensor:
        found = self.first(self.embedding(ids).transpose(1, 2)).relu()
        return self.head(self.second(self.pool(found)).relu().amax(dim=2))


def test_what_convolutions_over_words_see():
    summary = summarize(Convolutions(), (106,))
    fields = {row.name: row.sees for row in summary.rows()}
    assert [fields[name] for name in ("first", "pool", "second")] == [(7,), (11,), (41,)]  # 7; + 4; + 6 * 5
    costs = {row.name: row.multiply_adds for row in summary.rows()}
    assert costs["first"] == 100 * 7 * 12 * 8 and costs["second"] == 14 * 7 * 8 * 4
    assert costs["head"] == 4


def test_attention_is_four_projections_and_two_products():
    layer = nn.MultiheadAttention(8, 2, batch_first=True)

    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = layer

        def forward(self, vectors: Tensor) -> Tensor:
            return self.attention(vectors, vectors, vectors, need_weights=False)[0]

    summary = summarize(Own(), inputs=[torch.randn(1, 10, 8)])
    assert summary.parameters == 4 * (8 * 8 + 8)
    assert summary.multiply_adds == 4 * 10 * 8 * 8 + 2 * 10 * 10 * 8


def test_a_network_for_texts_refuses_a_picture_look():
    with pytest.raises(UserError, match="for pictures"):
        look(subject_of("lstm"), "mistakes")
