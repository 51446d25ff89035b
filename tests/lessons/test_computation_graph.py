"""The lesson on computation graphs: the books' numbers, and PyTorch's derivatives."""

from __future__ import annotations

import pytest
import torch
from pages import shown


def test_the_books_numbers():
    found = shown("computation-graph")[0]
    assert [found[f"value_{name}"] for name in ("u", "v", "J")] == [6, 11, 33]
    assert [found[f"slope_{name}"] for name in ("v", "a", "u", "b", "c")] == [3, 3, 3, 6, 9]
    assert [found[key] for key in ("value_f", "f_x", "f_y", "f_z")] == [18, -6, -6, -3]
    assert found["slope_twice"] == 2 * 3 + 1


def test_the_neuron_is_torchs():
    weights = torch.tensor([2.0, -3.0, -3.0], dtype=torch.float64, requires_grad=True)
    z = weights @ torch.tensor([-1.0, -2.0, 1.0], dtype=torch.float64)
    loss = torch.nn.functional.softplus(-z)  # -log sigmoid(z)
    loss.backward()
    found = shown("computation-graph")[0]
    assert found["loss"] == pytest.approx(loss.item(), rel=1e-12)
    assert found["p"] == pytest.approx(torch.sigmoid(z).item(), rel=1e-12)
    for key, wanted in zip(("neuron_w1", "neuron_w2", "neuron_b"), weights.grad.tolist(), strict=True):
        assert found[key] == pytest.approx(wanted, rel=1e-12)
    assert found["z_gap"] < 1e-12
