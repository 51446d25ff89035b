"""Batch renormalisation: the reference's values and gradients, plain batch norm at first, limits that rise, small batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from gradus.errors import UserError
from gradus.nn import BatchRenorm
from gradus.reference.normalization import batch_renorm, batch_renorm_backward


def layer(**how) -> BatchRenorm:
    made = BatchRenorm(3, begin=0, r_full=1, d_full=1, **how).double()
    with torch.no_grad():
        made.weight.copy_(torch.tensor([0.5, -1.0, 2.0]))
        made.bias.copy_(torch.tensor([0.1, 0.0, -0.3]))
        made.running_mean.copy_(torch.tensor([0.5, 2.0, -1.0]))
        made.running_var.copy_(torch.tensor([0.3, 1.0, 40.0]))
        made.num_batches_tracked.fill_(9)  # the limits have risen
    return made


@pytest.mark.parametrize("shape", [(8, 3), (4, 3, 5), (2, 3, 4, 4)])
def test_values_and_gradients_are_those_of_the_reference(shape):
    made, random = layer(), np.random.default_rng(0)
    given, gradient = random.normal(1, 2, shape), random.normal(size=shape)
    inputs = torch.tensor(given, requires_grad=True)
    found = made(inputs)
    found.backward(torch.tensor(gradient))
    scale, shift = (part.detach().numpy() for part in (made.weight, made.bias))
    before = layer()
    statistics = before.running_mean.numpy(), before.running_var.numpy()
    np.testing.assert_allclose(found.detach(), batch_renorm(given, scale, shift, *statistics), rtol=1e-9)
    wanted = batch_renorm_backward(given, scale, *statistics, gradient)
    for one, other in zip((inputs.grad, made.weight.grad, made.bias.grad), wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-10)


def test_at_first_and_in_evaluation_it_is_batch_norm():
    torch.manual_seed(0)
    plain, made = nn.BatchNorm2d(4), BatchRenorm(4, begin=5, r_full=10, d_full=10)
    for _ in range(5):
        inputs = 3 * torch.randn(6, 4, 5, 5) + 2
        torch.testing.assert_close(made(inputs), plain(inputs))
    torch.testing.assert_close(made.state_dict(), plain.state_dict())
    torch.testing.assert_close(made.eval()(inputs), plain.eval()(inputs))
    made.train(), plain.train()
    made(inputs), plain(inputs)
    assert not torch.allclose(made(inputs), plain(inputs), atol=1e-3), "its limits have begun to rise"


def test_with_wide_limits_a_row_does_not_depend_on_the_rest_of_its_batch():
    torch.manual_seed(0)
    made = layer(r_max=100, d_max=100).float()
    rows = torch.randn(8, 3)
    whole = made(rows)
    alone = layer(r_max=100, d_max=100).float()(rows[:2])
    torch.testing.assert_close(whole[:2], alone, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(nn.BatchNorm1d(3)(rows)[:2], nn.BatchNorm1d(3)(rows[:2]), atol=0.1)


@pytest.mark.parametrize("how", [{"r_max": 0.5}, {"d_max": -1.0}, {"begin": 30_000}])
def test_mistakes_are_told(how):
    with pytest.raises(UserError, match="batch renormalisation"):
        BatchRenorm(3, **how)
    with pytest.raises(UserError, match=r"3 features does not take inputs of shape \(2, 4\)"):
        BatchRenorm(3)(torch.zeros(2, 4))
