"""The lessons on shapes, gates and temperature: against PyTorch, counting and formulas."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pages import shown

from gradus.lessons import gates_by_hand as gates
from gradus.lessons import recurrent_shapes as shapes
from gradus.lessons import temperature


def numbers(name: str) -> dict[str, float]:
    return shown(name)[0]


def test_what_recurrent_networks_cost():
    found = numbers("recurrent-shapes")
    assert found["elman"] == 102_500
    assert found["deep"] == 328_320
    embedding = torch.nn.Embedding(10_000, 32)
    cells = torch.nn.RNN(32, 32, num_layers=4)
    second_biases = 4 * 32
    assert found["deep"] == sum(p.numel() for m in (embedding, cells) for p in m.parameters()) - second_biases


def test_each_shape_reads_and_says_where_it_should():
    for name, (steps, read, said, _) in shapes.SHAPES.items():
        assert set(read) | set(said) <= set(range(steps)), name
        before, after = name.split(", ")[0].split(" to ")
        assert (len(read) > 1) == (before == "many") and (len(said) > 1) == (after == "many")
    _, read, said, _ = shapes.SHAPES["many to many, delayed"]
    assert min(said) == max(read)  # nothing is said before all is read
    assert "translation" in shapes.SHAPES["many to many, delayed"][3]
    assert "tag" in shapes.SHAPES["many to many, at once"][3]


def test_only_a_network_that_reads_on_can_tell_teddy():
    found = numbers("recurrent-shapes")
    assert found["forward_gap"] == 0 and found["forward_best"] == 0.5
    assert found["both_gap"] > 0.01 and found["both_best"] == 1


def test_a_cell_whose_gates_are_set_keeps_exactly_and_drops_all():
    trace = gates.first_kept()
    assert (trace.cells[0, :, 0] == trace.cells[0, 0, 0]).all()
    assert trace.states[0, -1, 0] == pytest.approx(np.tanh(np.tanh(1)))
    cells = gates.subjects().cells[0, :, 0]
    assert cells[gates.WORDS.index("were")] == pytest.approx(np.tanh(2))
    assert cells[gates.WORDS.index("dog")] == pytest.approx(np.tanh(2))  # past a noun that is no subject
    assert cells[gates.WORDS.index("was")] == pytest.approx(-np.tanh(2))


def test_the_gradient_by_the_cell_is_the_product_of_forget_gates():
    forget = np.log(0.9 / 0.1)
    cell = torch.tensor([[0.3]], dtype=torch.float64, requires_grad=True)
    layer = torch.nn.LSTM(1, 1, batch_first=True).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        layer.bias_ih_l0[0], layer.bias_ih_l0[1] = -gates.OPEN, forget
    zero = torch.zeros(1, 1, 1, dtype=torch.float64)
    _, (_, last) = layer(torch.zeros(1, 6, 1, dtype=torch.float64), (zero, cell[None]))
    last.sum().backward()
    assert float(cell.grad) == pytest.approx(gates.carried_gradient(0.9, 7)[6])


@pytest.mark.parametrize(("update", "plain"), [("keep", 0.0), ("take", 1.0)])
def test_a_gru_forced_to_its_candidate_is_a_simple_network(update, plain):
    found, simple = gates.gru_of(plain, update)
    np.testing.assert_allclose(found, simple, atol=1e-9)
    kept, _ = gates.gru_of(1 - plain, update)
    assert np.abs(np.diff(kept, axis=1)).max() < 1e-9


def test_numbers_of_the_gates():
    found = numbers("gates-by-hand")
    assert found["kept"] == 0 and found["shown"] < 1e-9
    assert found["told_least"] < -0.9 and found["real_least"] > 0
    assert found["peephole"] > 0.01
    assert found["keep_at_0"] < 1e-9 < found["keep_at_1"] and found["take_at_1"] < 1e-9 < found["take_at_0"]


def test_temperature_goes_from_greedy_to_uniform():
    shares = temperature.probabilities()
    assert shares.sum() == pytest.approx(1)
    found = numbers("temperature")
    assert found["greedy"] < 1e-6
    assert found["uniform"] == pytest.approx(np.log(len(shares)), abs=1e-4)
    entropies = [
        float(-(p := temperature.reweighted(shares, t)) @ np.log(np.maximum(p, 1e-300))) for t in temperature.RANGE
    ]
    assert (np.diff(entropies) > 0).all()
    np.testing.assert_allclose(temperature.reweighted(shares, 1.0), shares)
    halved = shares**2 / (shares**2).sum()
    np.testing.assert_allclose(temperature.reweighted(shares, 0.5), halved)
    np.testing.assert_array_equal(temperature.reweighted(np.array([1.0, 0.0]), 0.5), [1, 0])
    assert found["rare_at_two"] > 0.8 and found["kept"] < 110


def test_a_nucleus_is_the_fewest_words_with_that_share():
    kept = temperature.nucleus(np.array([0.1, 0.5, 0.4]), 0.9)
    np.testing.assert_allclose(kept, [0, 5 / 9, 4 / 9])
    np.testing.assert_allclose(temperature.nucleus(np.array([0.6, 0.4]), 0.5), [1, 0])
