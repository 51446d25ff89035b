"""Tracing: the graphs of small modules, edge by edge, and that a module stays as it was."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gradus.look.network.graph import Graph
from gradus.look.network.trace import TraceError, trace


def graph_of(module: nn.Module, *shapes: tuple[int, ...], real: bool = False) -> Graph:
    return trace(module, [torch.zeros(1, *shape) for shape in shapes], real)


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 2, 3, padding=1)
        self.shortcut, self.drop = nn.Sequential(), nn.Dropout()

    def forward(self, inputs: Tensor) -> Tensor:
        return F.relu(self.drop(self.second(self.first(inputs).relu_())) + self.shortcut(inputs))


def test_a_shortcut():
    graph = graph_of(Residual(), (2, 5, 5))
    assert graph.edges == {
        ("input", "first"),
        ("first", "relu"),
        ("relu", "second"),
        ("second", "drop"),
        ("drop", "add"),
        ("input", "add"),
        ("add", "relu (2)"),
    }
    assert [(graph.nodes[edge.source].name, edge.shape) for edge in graph.outputs] == [("relu (2)", (2, 5, 5))]
    assert [node.kind for node in graph.nodes] == ["input", "Conv2d", "relu", "Conv2d", "Dropout", "add", "relu"]


class Branches(nn.Module):
    """Two inputs, two outputs, a layer used twice, a parameter of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.shared, self.head = nn.Linear(3, 4), nn.Linear(8, 2)
        self.offset = nn.Parameter(torch.zeros(4))

    def forward(self, left: Tensor, right: Tensor) -> dict[str, object]:
        one, two = self.shared(left), self.shared(right) + self.offset
        first, second = torch.cat([one, two], 1).chunk(2, 1)
        return {"scores": self.head(torch.cat((first, second), dim=1)), "rest": [second]}


def test_several_inputs_and_outputs_and_a_layer_used_twice():
    graph = graph_of(Branches(), (3,), (3,))
    assert graph.edges == {
        ("input 1", "shared"),
        ("input 2", "shared (2)"),
        ("shared (2)", "add"),
        ("shared", "cat"),
        ("add", "cat"),
        ("cat", "chunk"),
        ("chunk", "cat (2)"),
        ("cat (2)", "head"),
    }
    assert [graph.nodes[edge.source].name for edge in graph.outputs] == ["head", "chunk"]
    parameters = {node.name: node.parameters for node in graph.nodes if node.parameters}
    assert parameters == {"shared": 16, "add": 4, "head": 18}  # those of a shared layer count once
    assert {node.name: node.learnt for node in graph.nodes}["shared (2)"] == ("shared.weight", "shared.bias")


class Loop(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRUCell(2, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        state = torch.zeros(len(inputs), 3)
        for moment in range(inputs.shape[1]):
            state = self.cell(inputs[:, moment], state)
        return state


def test_a_loop_is_unrolled():
    graph = graph_of(Loop(), (3, 2))
    assert ("cell", "cell (2)") in graph.edges and ("cell (2)", "cell (3)") in graph.edges
    assert sum(node.kind == "GRUCell" for node in graph.nodes) == 3
    assert sum(node.parameters for node in graph.nodes) == 3 * 3 * (2 + 3) + 2 * 3 * 3


class Choosing(nn.Module):
    """Which way it goes depends on the numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.low, self.high = nn.Linear(2, 3), nn.Linear(2, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.high(inputs) if inputs.sum() > 1 else self.low(inputs)


def test_control_flow_by_values_needs_numbers():
    with pytest.raises(TraceError):
        graph_of(Choosing(), (2,))
    names = {node.name for node in graph_of(Choosing(), (2,), real=True).nodes}
    assert "low" in names and "high" not in names


class Writing(nn.Module):
    def forward(self, inputs: Tensor) -> Tensor:
        made = torch.zeros_like(inputs)
        made[:, 0] = inputs[:, 1]
        kept = inputs * 2
        kept += made
        return kept


def test_writing_into_a_tensor():
    edges = graph_of(Writing(), (4,)).edges
    assert edges == {
        ("input", "zeros_like"),
        ("input", "getitem"),
        ("zeros_like", "setitem"),
        ("getitem", "setitem"),
        ("input", "mul"),
        ("mul", "add"),
        ("setitem", "add"),
    }


def test_attention_recurrence_and_embedding_are_layers():
    class Tagger(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.lstm = nn.Embedding(9, 4), nn.LSTM(4, 3, bidirectional=True, batch_first=True)
            self.encoder = nn.TransformerEncoderLayer(6, 2, 8, batch_first=True)

        def forward(self, tokens: Tensor) -> Tensor:
            states, (last, _) = self.lstm(self.embed(tokens))
            return self.encoder(states) + last.flatten()

    graph = trace(Tagger(), [torch.zeros(1, 5, dtype=torch.long)])
    assert ("lstm", "encoder.self_attn") in graph.edges and ("lstm", "flatten") in graph.edges
    layers = [node.kind for node in graph.nodes if node.layer]
    assert layers[:3] == ["Embedding", "LSTM", "MultiheadAttention"] and layers.count("Linear") == 2
    assert [node.scopes for node in graph.nodes if node.kind == "Linear"] == [("encoder",), ("encoder",)]


def test_scopes_are_the_calls_of_modules():
    inner = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    graph = graph_of(nn.Sequential(inner, inner, nn.Linear(2, 1)), (2,))
    assert [node.scopes for node in graph.nodes] == [(), ("0",), ("0",), ("0 (2)",), ("0 (2)",), ()]


def test_the_module_stays_as_it_was():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Dropout())
    model[1].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [one.training for one in model.modules()]
    identities = [id(one) for one in (*model.parameters(), *model.buffers())]
    graph_of(model, (1, 6, 6))
    with pytest.raises(TraceError, match=r"0 \(Conv2d\)"):
        graph_of(model, (3, 6, 6))
    assert modes == [one.training for one in model.modules()]
    assert identities == [id(one) for one in (*model.parameters(), *model.buffers())]
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert not any(one._forward_hooks or one._forward_pre_hooks for one in model.modules())


def test_a_recurrent_network_works_after_it_was_traced():
    model = nn.LSTM(2, 3)
    inputs = torch.randn(4, 1, 2)
    expected = model(inputs)[0]
    graph_of(model, (4, 2))
    assert torch.equal(model(inputs)[0], expected)


def test_numbers_and_shapes_give_the_same_graph():
    shapes, numbers = graph_of(Residual(), (2, 5, 5)), graph_of(Residual(), (2, 5, 5), real=True)
    assert shapes.edges == numbers.edges and not shapes.real and numbers.real
    for one, other in zip(shapes.nodes, numbers.nodes, strict=True):
        assert (one.multiply_adds, one.bytes, one.sees) == (other.multiply_adds, other.bytes, other.sees)
