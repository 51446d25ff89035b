"""Every schedule against a formula written here, and against torch.optim.lr_scheduler where it has one."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import lr_scheduler

from gradus.errors import UserError
from gradus.train.schedules import Plateau, factor_at
from gradus.train.settings import ScheduleSettings

EPOCHS, PER_EPOCH = 12, 5
STEPS = EPOCHS * PER_EPOCH


def factors(schedule: ScheduleSettings, steps: int = STEPS, per_epoch: int = PER_EPOCH) -> list[float]:
    return [factor_at(schedule, step, steps, per_epoch) for step in range(steps)]


def torch_factors(make: Callable[[torch.optim.Optimizer], object], steps: int = STEPS) -> list[float]:
    """The learning rates of a scheduler of torch's over `steps` updates, for a base rate of 1."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = make(optimizer)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def same(found: list[float], wanted: list[float]) -> None:
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-12)


def test_constant():
    assert factors(ScheduleSettings(name="constant")) == [1.0] * STEPS


@pytest.mark.parametrize("every", [1.0, 3.0, 0.4])
def test_step_is_that_of_torch(every):
    found = factors(ScheduleSettings(name="step", factor=0.5, every=every))
    same(found, torch_factors(lambda o: lr_scheduler.StepLR(o, round(every * PER_EPOCH), 0.5)))
    assert found[0] == 1 and found[-1] == 0.5 ** ((STEPS - 1) // round(every * PER_EPOCH))


def test_step_with_a_period_that_is_no_whole_number_of_updates():
    # 2.5 updates: jumps at the first update at or after 2.5, 5, 7.5, 10, ...
    found = factors(ScheduleSettings(name="step", factor=0.5, every=0.5), steps=10)
    assert found == [1, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125, 0.125]


def test_steps_fall_where_they_should_in_spite_of_rounding():
    assert math.floor(7 / (0.01 * 7)) == 99  # which is 100 periods all the same
    for schedule in (
        ScheduleSettings(name="step", factor=0.99, every=0.01),
        ScheduleSettings(name="exponential", factor=0.99, every=0.01, staircase=True),
    ):
        same(factors(schedule, steps=15, per_epoch=7), [0.99 ** (100 * step // 7) for step in range(15)])


def test_exponential_is_that_of_torch():
    found = factors(ScheduleSettings(name="exponential", factor=0.5, every=2.0))
    same(found, torch_factors(lambda o: lr_scheduler.ExponentialLR(o, 0.5 ** (1 / (2 * PER_EPOCH)))))
    assert found[0] == 1 and found[2 * PER_EPOCH] == pytest.approx(0.5)


def test_staircase_exponential_is_flat_within_a_period():
    found = factors(ScheduleSettings(name="exponential", factor=0.8, every=2.0, staircase=True))
    same(found, [0.8 ** (step // (2 * PER_EPOCH)) for step in range(STEPS)])


def test_inverse_time():
    found = factors(ScheduleSettings(name="inverse_time", rate=3.0, every=2.0))
    same(found, [1 / (1 + 3 * step / (2 * PER_EPOCH)) for step in range(STEPS)])
    assert found[0] == 1 and found[2 * PER_EPOCH] == 0.25


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_polynomial_is_that_of_torch(power):
    found = factors(ScheduleSettings(name="polynomial", power=power))
    same(found, torch_factors(lambda o: lr_scheduler.PolynomialLR(o, STEPS, power)))
    assert found[0] == 1 and found[-1] == pytest.approx((1 / STEPS) ** power)


def test_polynomial_ends_near_its_final_share():
    found = factors(ScheduleSettings(name="polynomial", final=0.2))
    same(found, [1 - 0.8 * step / STEPS for step in range(STEPS)])


@pytest.mark.parametrize("final", [0.0, 0.1])
def test_cosine_is_that_of_torch(final):
    found = factors(ScheduleSettings(name="cosine", final=final))
    same(found, torch_factors(lambda o: lr_scheduler.CosineAnnealingLR(o, STEPS, final)))
    assert found[0] == 1 and found[STEPS // 2] == pytest.approx((1 + final) / 2)


@pytest.mark.parametrize(("peak_at", "start", "final"), [(0.3, 0.04, 0.01), (0.5, 0.1, 0.3), (0.15, 0.5, 1e-4)])
def test_one_cycle_is_that_of_torch(peak_at, start, final):
    found = factors(ScheduleSettings(name="one_cycle", peak_at=peak_at, start=start, final=final))

    def make(optimizer: torch.optim.Optimizer) -> lr_scheduler.OneCycleLR:
        # torch places its last update, not the one after it, at the end: with one more, the rise ends at peak_at * STEPS
        return lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=1.0,
            total_steps=STEPS + 1,
            pct_start=(peak_at * STEPS + 1) / (STEPS + 1),
            anneal_strategy="cos",
            cycle_momentum=False,
            div_factor=1 / start,
            final_div_factor=start / final,
        )

    same(found, torch_factors(make))
    assert found[0] == pytest.approx(start) and found[round(peak_at * STEPS)] == pytest.approx(1)
    assert int(np.argmax(found)) == round(peak_at * STEPS)


def test_one_cycle_comes_down_to_nothing_where_asked():
    found = factors(ScheduleSettings(name="one_cycle", final=0.0), steps=1000)
    assert 0 < found[-1] < 1e-5


def test_warm_up_is_a_line_to_one_and_then_the_whole_schedule():
    found = factors(ScheduleSettings(name="cosine", warmup=0.25))
    warm = STEPS // 4
    same(found[:warm], [(step + 1) / warm for step in range(warm)])
    same(found[warm:], factors(ScheduleSettings(name="cosine"), steps=STEPS - warm))
    assert found[warm - 1] == 1 == found[warm]


def test_periods_are_counted_from_the_end_of_the_warm_up():
    found = factors(ScheduleSettings(name="step", factor=0.5, warmup=0.1))
    warm = round(0.1 * STEPS)
    same(found[warm:], [0.5 ** (step // PER_EPOCH) for step in range(STEPS - warm)])


def test_plateau_has_no_factor_of_the_step():
    assert factors(ScheduleSettings(name="plateau", warmup=0.0)) == [1.0] * STEPS


@st.composite
def schedules(draw):
    share = st.floats(0.01, 1)
    name = draw(
        st.sampled_from(
            [
                "constant",
                "step",
                "milestones",
                "exponential",
                "inverse_time",
                "root",
                "polynomial",
                "cosine",
                "one_cycle",
            ]
        )
    )
    return ScheduleSettings(
        name=name,
        warmup=0 if name == "one_cycle" else draw(st.floats(0, 0.99)),
        factor=draw(share),
        every=draw(st.floats(0.01, 20)),
        hold=draw(st.floats(0, 5)),
        milestones=tuple(sorted(draw(st.sets(st.floats(0.01, 50), min_size=1, max_size=3)))),
        staircase=draw(st.booleans()),
        rate=draw(st.floats(0, 10)),
        power=draw(st.floats(0.01, 5)),
        final=draw(st.floats(0, 1)),
        peak_at=draw(st.floats(0.01, 0.99)),
        start=draw(share),
    )


@given(schedules(), st.integers(1, 200), st.integers(1, 50))
def test_factors_are_shares(schedule, steps, per_epoch):
    found = factors(schedule, steps, per_epoch)
    assert all(math.isfinite(factor) and 0 <= factor <= 1 for factor in found)
    warm = round(schedule.warmup * steps)
    falling = found[warm:]
    if schedule.name != "one_cycle":
        assert found[:warm] == sorted(found[:warm]) and falling == sorted(falling, reverse=True)
        assert not falling or falling[0] == 1


@given(schedules(), st.integers(2, 100), st.data())
def test_a_factor_depends_on_its_step_alone(schedule, steps, data):
    step = data.draw(st.integers(0, steps - 1))
    assert factor_at(schedule, step, steps, 7) == factors(schedule, steps, 7)[step]


LOSSES = [3.0, 2.0, 2.0, 2.5, 1.5, 1.6, 1.6, 1.6, 1.5, 1.5, 1.4, 1.41, 1.42, 1.43, 1.44, 1.45, 1.46, 0.5, 0.6]


@pytest.mark.parametrize("patience", [1, 2, 3])
def test_plateau_is_that_of_torch(patience):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    # torch waits for one epoch more than its patience
    oracle = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=patience - 1, threshold=0.0, eps=0.0)
    plateau = Plateau(0.5, patience)
    scales = []
    for loss in LOSSES:
        oracle.step(loss)
        plateau.update(loss)
        scales.append(plateau.scale)
        assert plateau.scale == optimizer.param_groups[0]["lr"]
    assert scales[-1] < scales[0]


def test_plateau_by_hand():
    plateau = Plateau(0.1, 2)
    for loss, scale in [
        (1.0, 1),
        (1.0, 1),
        (1.1, 0.1),
        (0.9, 0.1),
        (0.95, 0.1),
        (0.95, 0.01),
        (0.95, 0.01),
        (0.95, 0.001),
    ]:
        plateau.update(loss)
        assert plateau.scale == pytest.approx(scale)


@given(st.lists(st.floats(0, 5), max_size=30), st.integers(0, 30), st.integers(1, 4))
def test_plateau_goes_on_from_its_state(losses, cut, patience):
    whole, first, second = Plateau(0.5, patience), Plateau(0.5, patience), Plateau(0.5, patience)
    for loss in losses:
        whole.update(loss)
    for loss in losses[:cut]:
        first.update(loss)
    second.restore(json.loads(json.dumps(first.state(), allow_nan=False)))
    for loss in losses[cut:]:
        second.update(loss)
    assert second == whole


@pytest.mark.parametrize(
    ("setting", "value", "expected"),
    [
        ("warmup", 1.0, "a share of all steps, 0 to below 1"),
        ("warmup", -0.1, "a share of all steps, 0 to below 1"),
        ("factor", 0.0, "above 0, at most 1"),
        ("factor", 1.5, "above 0, at most 1"),
        ("every", 0.0, "a number of epochs above 0"),
        ("hold", -1.0, "a number of epochs from 0"),
        ("hold", math.nan, "a number of epochs from 0"),
        ("rate", -1.0, "0 or more"),
        ("power", 0.0, "a number above 0"),
        ("final", 1.1, "0 to 1"),
        ("peak_at", 1.0, "between 0 and 1"),
        ("start", 0.0, "above 0, at most 1"),
        ("patience", 0, "1 or more epochs"),
        ("factor", math.nan, "above 0, at most 1"),
        ("every", math.nan, "a number of epochs above 0"),
    ],
)
def test_impossible_settings_are_told(setting, value, expected):
    with pytest.raises(UserError) as told:
        ScheduleSettings(**{setting: value})
    assert str(told.value) == f"schedule.{setting}: expected {expected}, received {value}"


@pytest.mark.parametrize("milestones", [(3.0,), (2.0, 5.0, 7.0), (0.4, 10.5)])
def test_milestones_are_those_of_torch(milestones):
    found = factors(ScheduleSettings(name="milestones", milestones=milestones, factor=0.5))
    updates = [math.ceil(milestone * PER_EPOCH) for milestone in milestones]
    same(found, torch_factors(lambda o: lr_scheduler.MultiStepLR(o, updates, 0.5)))
    assert found[-1] == 0.5 ** len(milestones)


def test_milestones_count_from_the_end_of_the_warm_up():
    found = factors(ScheduleSettings(name="milestones", milestones=(2.0,), warmup=0.25))
    warm = STEPS // 4
    same(found[warm:], [1.0] * 10 + [0.1] * (STEPS - warm - 10))


def test_root_by_epochs_and_by_updates():
    # epochs and updates counted from 1, so that the first has the whole rate: k / sqrt(epoch), k / sqrt(t)
    found = factors(ScheduleSettings(name="root"))
    same(found[::PER_EPOCH], [1 / math.sqrt(epoch) for epoch in range(1, EPOCHS + 1)])
    same(factors(ScheduleSettings(name="root", every=1 / PER_EPOCH)), [1 / math.sqrt(t) for t in range(1, STEPS + 1)])


@pytest.mark.parametrize("name", ["step", "exponential", "inverse_time", "root"])
def test_hold_begins_the_periods_later(name):
    held = factors(ScheduleSettings(name=name, hold=3.0, factor=0.5))
    assert held[: 3 * PER_EPOCH] == [1.0] * 3 * PER_EPOCH
    same(held[3 * PER_EPOCH :], factors(ScheduleSettings(name=name, factor=0.5), steps=STEPS - 3 * PER_EPOCH))


def test_the_language_model_keeps_its_rate_and_then_decays_by_epochs():
    """*Plain Talk* §8.5: rate * decay^max(epoch + 1 - M, 0), epochs from 0; the medium network has M = 6 and 0.8."""
    found = factors(ScheduleSettings(name="step", factor=0.8, hold=5.0))
    same(found[::PER_EPOCH], [0.8 ** max(epoch + 1 - 6, 0) for epoch in range(EPOCHS)])


@pytest.mark.parametrize("milestones", [(3.0, 2.0), (2.0, 2.0), (0.0, 2.0), (math.nan,), (math.inf,)])
def test_impossible_milestones_are_told(milestones):
    with pytest.raises(UserError, match=r"schedule\.milestones: expected rising numbers of epochs above 0, received"):
        ScheduleSettings(name="milestones", milestones=milestones)


def test_milestones_need_one():
    with pytest.raises(UserError, match="needs at least one epoch"):
        ScheduleSettings(name="milestones")
