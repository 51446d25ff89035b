"""Batches: each row once an epoch, in an order that the seed and the epoch decide alone; and the seeds themselves."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gradus.data.device_rows import Ragged
from gradus.train.randomness import INITIAL_WEIGHTS, ORDER, STEP, derive, seed_step
from gradus.train.source import Resident, by_length, in_order

quick = settings(max_examples=40, deadline=None)


def numbered(rows: int) -> dict[str, torch.Tensor]:
    """Two tensors whose rows tell their number."""
    return {"inputs": torch.arange(rows * 2).view(rows, 2), "targets": torch.arange(rows) * 10}


@quick
@given(st.integers(1, 60), st.integers(1, 70), st.integers(0, 2**63 - 1), st.integers(0, 1000))
def test_batches_hold_every_row_once(rows, batch_size, seed, epoch):
    source = Resident(numbered(rows), batch_size, seed)
    batches = [source.batch(epoch, step) for step in range(source.steps)]
    targets = torch.cat([batch["targets"] for batch in batches])
    assert sorted(targets.tolist()) == [10 * row for row in range(rows)]
    assert torch.equal(torch.cat([batch["inputs"][:, 0] for batch in batches]) * 5, targets)  # rows stay together
    sizes = [len(batch["targets"]) for batch in batches]
    assert sizes == [source.size(step) for step in range(source.steps)]
    assert all(size == batch_size for size in sizes[:-1]) and 0 < sizes[-1] <= batch_size


@quick
@given(st.integers(1, 50), st.integers(0, 2**63 - 1), st.integers(0, 1000))
def test_an_order_is_a_permutation_of_seed_and_epoch_alone(rows, seed, epoch):
    order = Resident(numbered(rows), 7, seed).order(epoch)
    assert sorted(order.tolist()) == list(range(rows))
    torch.manual_seed(seed ^ 1)
    other = Resident(numbered(rows), 3, seed)
    for earlier in (epoch + 1, 0):
        other.order(earlier)
    assert torch.equal(other.order(epoch), order)


def test_orders_differ_by_epoch_and_by_seed():
    orders = [tuple(Resident(numbered(50), 8, seed).order(epoch).tolist()) for seed in range(5) for epoch in range(20)]
    assert len(set(orders)) == len(orders)


def test_the_order_is_shuffled_evenly():
    """Each row comes first about equally often: 2000 epochs of 10 rows, 200 +- 6 deviations."""
    source = Resident(numbered(10), 4, 3)
    first = torch.bincount(torch.tensor([int(source.order(epoch)[0]) for epoch in range(2000)]), minlength=10)
    assert int((first - 200).abs().max()) < 6 * (2000 * 0.1 * 0.9) ** 0.5


def test_drawing_an_order_leaves_the_global_randomness_alone():
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    Resident(numbered(9), 4, 1).batch(3, 1)
    assert torch.equal(torch.rand(3), wanted)


def test_a_batch_is_apart_from_the_data():
    tensors = numbered(6)
    Resident(tensors, 3).batch(0, 0)["targets"].zero_()
    assert torch.equal(tensors["targets"], numbered(6)["targets"])


@quick
@given(st.integers(1, 40), st.integers(1, 50))
def test_in_order_gives_the_rows_as_they_stand(rows, batch_size):
    batches = list(in_order(numbered(rows), batch_size))
    assert torch.equal(torch.cat([batch["inputs"] for batch in batches]), numbered(rows)["inputs"])
    assert all(len(batch["targets"]) == batch_size for batch in batches[:-1])


def test_in_order_copies_nothing():
    tensors = numbered(6)
    storages = {batch["inputs"].untyped_storage().data_ptr() for batch in in_order(tensors, 4)}
    assert storages == {tensors["inputs"].untyped_storage().data_ptr()}


def test_rows_that_differ_in_length_are_evaluated_by_length():
    lengths = [5, 1, 3, 0, 2, 4]
    texts = Ragged.of([np.arange(1, length + 1) for length in lengths])
    tensors = {"inputs": texts, "targets": torch.arange(6)}
    batches = list(in_order(tensors, 2, by_length(tensors)))
    assert [batch["targets"].tolist() for batch in batches] == [[3, 1], [4, 2], [5, 0]]
    assert [batch["inputs"].shape[1] for batch in batches] == [1, 3, 5]
    assert by_length(numbered(4)) is None


def test_derived_seeds_do_not_meet():
    found = [
        derive(seed, stream, epoch, step)
        for seed in range(4)
        for stream in (INITIAL_WEIGHTS, ORDER, STEP)
        for epoch in range(30)
        for step in range(30)
    ]
    found += [derive(seed, ORDER, epoch) for seed in range(4) for epoch in range(30)]
    assert len(set(found)) == len(found)


@quick
@given(st.integers(0, 2**63 - 1), st.lists(st.integers(0, 2**40), max_size=4))
def test_derived_seeds_are_what_torch_takes(seed, parts):
    value = derive(seed, *parts)
    assert 0 <= value < 2**63 and value == derive(seed, *parts)
    torch.Generator().manual_seed(value)


@quick
@given(st.integers(0, 2**63 - 1), st.integers(0, 1000))
def test_neighbouring_counters_change_half_of_the_bits(seed, epoch):
    changed = [
        bin(derive(seed, STEP, epoch, step) ^ derive(seed, STEP, epoch, step + 1)).count("1") for step in range(50)
    ]
    assert 25 < sum(changed) / len(changed) < 38  # 31.5 of 63, six deviations of the mean of 50 either way


def test_a_step_draws_the_same_whatever_came_before():
    def draw(*position: int) -> list[float]:
        seed_step(*position, torch.device("cpu"))
        return torch.rand(4).tolist()

    wanted = draw(3, 2, 1)
    torch.manual_seed(0)
    draw(3, 2, 0)
    assert draw(3, 2, 1) == wanted
    assert len({tuple(draw(*position)) for position in ((3, 2, 1), (3, 1, 2), (3, 2, 2), (4, 2, 1), (2, 3, 1))}) == 5


@pytest.mark.parametrize("other", [(1, 0), (0, 1)])
def test_streams_and_counters_do_not_swap(other):
    assert derive(7, *other) != derive(7, *reversed(other))
