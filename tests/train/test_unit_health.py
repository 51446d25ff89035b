"""Dead and saturated units are found by what is computed, whoever computes it."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from gradus.train.unit_health import unit_health

ROWS = torch.randn(64, 6, generator=torch.Generator().manual_seed(0))


class Functional(nn.Module):
    """ReLU as a function, in a forward of one's own; then a recurrent layer, whose gates are nobody's business."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.recurrent, self.last = nn.Linear(6, 8), nn.LSTM(8, 3, batch_first=True), nn.Linear(3, 2)

    def forward(self, inputs):
        hidden = functional.relu(self.first(inputs))
        return torch.sigmoid(self.last(self.recurrent(hidden[:, None])[0][:, -1]))


def test_units_that_a_bias_killed():
    torch.manual_seed(0)
    model = Functional()
    with torch.no_grad():
        model.first.bias[:6] = -100
    (found,) = unit_health(model, ROWS)  # neither the gates nor the sigmoid of the answers
    assert (found.layer, found.after, found.kind, found.units) == ("", "first", "relu", 8)
    assert found.dead == 0.75 and found.saturated == 0


def test_channels_and_features():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU6(), nn.Flatten(), nn.Linear(64, 5), nn.Tanh(), nn.Linear(5, 2))
    with torch.no_grad():
        model[0].bias[0] = -100
        model[0].bias[1] = 100
        model[3].bias[0] = 100
    first, second = unit_health(model, torch.randn(16, 1, 6, 6))
    assert (first.layer, first.after, first.units, first.dead, first.saturated) == ("1", "0", 4, 0.25, 0.5)
    assert (second.layer, second.after, second.units, second.dead) == ("4", "3", 5, 0.0)
    assert abs(second.saturated - 0.2) < 1e-6
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_a_failure_leaves_nothing_behind():
    model = nn.Sequential(nn.Linear(6, 3), nn.ReLU(), nn.Linear(4, 2))
    try:
        unit_health(model, ROWS)
    except RuntimeError:
        pass
    else:
        raise AssertionError("shapes do not fit")
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert torch.relu(torch.tensor(-1.0)) == 0
