"""Decision boundaries of networks for tables."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from gradus.errors import UserError
from gradus.look.inside.boundary import boundary
from gradus.look.inside.table_subject import NumberColumn, TableRows, TableSubject


def half_plane(extra: int = 0) -> TableSubject:
    """Answers "above" where y > x, in units in which x is encoded as (x - 10) / 2 and y as it is; `extra` inputs do nothing."""
    model = nn.Linear(2 + extra, 2)
    with torch.no_grad():
        model.weight.zero_()
        model.weight[1, :2] = torch.tensor([-2.0, 1.0])
        model.weight[0, :2] = torch.tensor([2.0, -1.0])
        model.bias.copy_(torch.tensor([10.0, -10.0]))
    values = np.random.default_rng(0).uniform(0, 20, (50, 2))
    inputs = np.concatenate([(values - [10, 0]) / [2, 1], np.full((50, extra), 3.0)], axis=1)
    rows = TableRows(torch.from_numpy(inputs).float(), (values[:, 1] > values[:, 0]).astype(np.int64))
    numbers = {"x": NumberColumn(0, 10, 2), "y": NumberColumn(1, 0, 1)}
    numbers |= {f"z{index}": NumberColumn(2 + index, 0, 1) for index in range(extra)}
    return TableSubject(
        name="half",
        model=model,
        numbers=numbers,
        classes=("below", "above"),
        target="side",
        answer=lambda outputs: torch.softmax(outputs.double(), dim=1).numpy(),
        rows=lambda split: rows,
    )


def test_the_boundary_is_where_it_is_in_the_columns_own_units():
    sight = boundary(half_plane(), resolution=41)
    x, y, answers = sight.arrays["x"], sight.arrays["y"], sight.arrays["answers"]
    assert answers.shape == (41, 41, 2)
    expected = y[:, None] > x[None, :]
    clear = np.abs(y[:, None] - x[None, :]) > 1e-6
    np.testing.assert_array_equal((answers.argmax(axis=2) == 1)[clear], expected[clear])
    assert sight.numbers["accuracy"] == 1


@pytest.mark.parametrize("columns", ["", "y,x"])
def test_of_more_columns_two_are_chosen_or_named_and_the_others_stand_at_their_means(columns):
    sight = boundary(half_plane(extra=3), columns=columns, resolution=5)
    assert sight.numbers["accuracy_of_the_cut"] == 1
    assert ("over x and y" if not columns else "over y and x") in sight.said[0]
    assert "the other 3 inputs stand at their means" in sight.said[0]


def test_a_number_is_drawn_as_heights(tmp_path):
    subject = half_plane()
    model = nn.Linear(2, 1)
    rows = TableRows(torch.randn(20, 2), np.zeros(20))
    subject = TableSubject(
        name="slope", model=model, numbers=subject.numbers, classes=None, target="height",
        answer=lambda outputs: outputs[:, 0].double().numpy(), rows=lambda split: rows,
    )  # fmt: skip
    sight = boundary(subject, resolution=7)
    assert sight.arrays["answers"].shape == (7, 7)
    assert [path.name for path in sight.write(tmp_path)] == ["boundary.html", "boundary-regions.png"]


def test_mistakes_are_named():
    with pytest.raises(UserError, match="unknown column of numbers 'w'"):
        boundary(half_plane(), columns="x,w")
    with pytest.raises(UserError, match="expected two names"):
        boundary(half_plane(), columns="x")
    with pytest.raises(UserError, match="resolution is 2 to 2000"):
        boundary(half_plane(), resolution=1)
