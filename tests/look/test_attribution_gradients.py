"""Gradients, integrated gradients, guided gradients and occlusion against values derived by hand."""

from __future__ import annotations

import pytest
import torch
from small_subject import small_convnet
from torch import nn
from torch.nn import functional

from gradus.look.inside import gradients
from gradus.look.inside.occluding import occlusion
from gradus.look.inside.scores import evaluating, of_targets


class Linear(nn.Module):
    """(B, 1, 2, 2) -> (B, 3) in float64."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.dense = nn.Linear(4, 3).double()

    def forward(self, inputs):
        return self.dense(inputs.flatten(1))


class OfReLU(nn.Module):
    """(B, 1, 1, 2) -> (B, 1): by a function of the two values."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, inputs):
        x = inputs.flatten(1)
        return self.function(x[:, 0], x[:, 1])[:, None]


def pixels(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64).view(1, 1, 1, -1)


FIRST = torch.tensor([0])


def test_the_gradient_of_a_linear_score_is_its_weights():
    model = Linear()
    inputs, targets = torch.randn(3, 1, 2, 2, dtype=torch.float64), torch.tensor([2, 0, 1])
    found = gradients.gradient(model, inputs, targets)
    assert torch.allclose(found, model.dense.weight[targets].view(3, 1, 2, 2))
    smooth = gradients.smooth_gradient(model, inputs, targets, samples=3)
    assert torch.allclose(smooth, found)  # noise changes no constant


def test_after_the_softmax_the_gradient_is_that_of_the_probability():
    model = Linear()
    inputs, targets = torch.randn(1, 1, 2, 2, dtype=torch.float64), torch.tensor([2])
    p = model(inputs).softmax(1)[0].detach()
    by_hand = p[2] * (model.dense.weight[2] - p @ model.dense.weight)
    assert torch.allclose(gradients.gradient(model, inputs, targets, "probability").flatten(), by_hand)


def test_smooth_gradient_averages_over_noise_of_the_stated_size():
    # the gradient of x0² is 2 x0 wherever noise carries it, so its mean comes back to 2 x0 and scatters by 2 sigma / sqrt(n)
    model = OfReLU(lambda a, b: a**2 + 0 * b)
    found = gradients.smooth_gradient(model, pixels(3.0, 1.0), FIRST, samples=4000, noise=0.5)
    assert abs(float(found[0, 0, 0, 0]) - 6) < 4 * 2 * (0.5 * 2) / 4000**0.5
    again = gradients.smooth_gradient(model, pixels(3.0, 1.0), FIRST, samples=2, noise=0.5, seed=3)
    assert torch.equal(again, gradients.smooth_gradient(model, pixels(3.0, 1.0), FIRST, samples=2, noise=0.5, seed=3))
    assert not torch.equal(again, gradients.smooth_gradient(model, pixels(3.0, 1.0), FIRST, samples=2, seed=4))


def test_integrated_gradients_of_a_linear_score_are_weight_times_difference():
    model, targets = Linear(), torch.tensor([1])
    inputs, baseline = torch.randn(2, 1, 1, 2, 2, dtype=torch.float64)
    found = gradients.integrated_gradients(model, inputs, targets, baseline, steps=1)
    assert torch.allclose(found.flatten(), model.dense.weight[1] * (inputs - baseline).flatten())


def test_integrated_gradients_of_a_relu_by_hand():
    # relu(a + b - 1) from (0, 0) to (2, 2): the ReLU is open from a quarter of the way, so each input gets 2 * 3/4
    model = OfReLU(lambda a, b: functional.relu(a + b - 1))
    found = gradients.integrated_gradients(model, pixels(2, 2), FIRST, torch.zeros(1, 1, 1, 2).double(), steps=64)
    assert torch.allclose(found, pixels(1.5, 1.5))
    # the plain gradient at a closed ReLU is 0, integrated gradients see what was passed on the way
    peak = OfReLU(lambda a, b: 1 - functional.relu(1 - a) + 0 * b)
    assert gradients.gradient(peak, pixels(2, 0), FIRST).abs().sum() == 0
    over = gradients.integrated_gradients(peak, pixels(2, 0), FIRST, torch.zeros(1, 1, 1, 2).double(), steps=64)
    assert torch.allclose(over, pixels(1, 0))


def test_completeness_tells_both_sides_and_closes_with_more_steps():
    model, targets = small_convnet().double(), torch.tensor([3, 1])
    inputs, baseline = torch.rand(2, 3, 12, 12).double(), torch.zeros(1, 3, 12, 12).double()
    gaps = []
    for steps in (2, 400):
        found = gradients.integrated_gradients(model, inputs, targets, baseline, steps=steps)
        sums, differences = gradients.completeness(model, inputs, targets, baseline, found)
        gaps.append(float((sums - differences).abs().max()))
        model.eval()
        by_hand = of_targets(model(inputs) - model(baseline), targets)
        assert torch.allclose(differences, by_hand)
    assert gaps[1] < 1e-3 * float(differences.abs().max()) < gaps[0] * 10


@pytest.mark.parametrize("relu", [functional.relu, torch.relu, nn.ReLU(), nn.ReLU(inplace=True)])
def test_guided_gradients_pass_a_relu_only_where_they_are_positive(relu):
    model = OfReLU(lambda a, b: relu(b + 0) * 3 - relu(a + 0))
    found = gradients.gradient(model, pixels(1, 1), FIRST, guided=True)
    assert found.flatten().tolist() == [0, 3]
    assert len(gradients.relus(model(pixels(1, 1).requires_grad_()))) == 2
    assert gradients.gradient(model, pixels(1, 1), FIRST).flatten().tolist() == [-1, 3]  # nothing stays behind


def test_looking_leaves_the_model_as_it_was():
    model = small_convnet().train()
    model[7].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    inputs, targets = torch.rand(2, 3, 12, 12), torch.tensor([0, 1])
    first = gradients.gradient(model, inputs, targets)
    assert torch.equal(first, gradients.gradient(model, inputs, targets))  # no dropout while looking
    gradients.integrated_gradients(model, inputs, targets, torch.zeros(1, 3, 12, 12), steps=2)
    occlusion(model, inputs[:1], targets, patch=4, stride=2, fill=torch.zeros(1, 3, 1, 1))
    assert model.training and model[0].training and not model[7].training
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not inputs.requires_grad
    with pytest.raises(ZeroDivisionError), evaluating(model):
        raise ZeroDivisionError
    assert model.training  # also after a failure


@pytest.mark.parametrize(("patch", "stride"), [(4, 4), (4, 3), (5, 2), (12, 1), (1, 1)])
def test_occlusion_is_the_loop_over_places(patch: int, stride: int):
    model, inputs = small_convnet().eval(), torch.rand(1, 3, 12, 11)
    targets, fill = torch.tensor([2, 0]), torch.tensor([0.5, 0.1, 0.9]).view(1, 3, 1, 1)
    patch = min(patch, 11)
    found = occlusion(model, inputs, targets, patch=patch, stride=stride, fill=fill, kind="probability")

    total, count = torch.zeros(2, 12, 11), torch.zeros(12, 11)
    with torch.no_grad():
        whole = model(inputs).softmax(1)[0]
        for top in sorted({*range(0, 12 - patch + 1, stride), 12 - patch}):
            for left in sorted({*range(0, 11 - patch + 1, stride), 11 - patch}):
                hidden = inputs.clone()
                hidden[:, :, top : top + patch, left : left + patch] = fill
                fall = whole - model(hidden).softmax(1)[0]
                total[:, top : top + patch, left : left + patch] += fall[targets][:, None, None]
                count[top : top + patch, left : left + patch] += 1
    assert count.min() >= 1
    assert torch.allclose(found, total / count, atol=1e-6)
    assert found.abs().max() > 1e-4


def test_occlusion_of_a_linear_score_by_hand():
    model = Linear()
    inputs = torch.randn(1, 1, 2, 2, dtype=torch.float64)
    found = occlusion(
        model, inputs, torch.tensor([1]), patch=1, stride=1, fill=torch.full((1, 1, 1, 1), 0.5, dtype=torch.float64)
    )
    assert torch.allclose(found.flatten(), model.dense.weight[1] * (inputs.flatten() - 0.5))
