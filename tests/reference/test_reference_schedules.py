"""Rates over time against torch's schedulers, our training schedules, and the numbers of the texts; averages likewise."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim import lr_scheduler

from gradus.reference import averages, schedules
from gradus.train.schedules import Plateau, factor_at
from gradus.train.settings import ScheduleSettings

quick = settings(max_examples=25, deadline=None)
STEPS, PER_EPOCH = 60, 5
TIMES = np.arange(STEPS)


def torchs(make, rate: float = 1.0) -> list[float]:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=rate)
    scheduler, rates = make(optimizer), []
    for _ in range(STEPS):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (schedules.inverse_time(TIMES, 0.3, 0.2), lambda o: lr_scheduler.LambdaLR(o, lambda t: 1 / (1 + 0.3 * t))),
        (schedules.exponential(TIMES, 0.9, rate=0.2), lambda o: lr_scheduler.ExponentialLR(o, 0.9)),
        (schedules.staircase(TIMES, 0.5, 7, rate=0.2), lambda o: lr_scheduler.StepLR(o, 7, 0.5)),
        (
            schedules.step_list(TIMES, (0.2, 0.02, 0.002), (10, 25)),
            lambda o: lr_scheduler.MultiStepLR(o, [10, 25], 0.1),
        ),
        (schedules.polynomial(TIMES, 40, 2.0, rate=0.2), lambda o: lr_scheduler.PolynomialLR(o, 40, 2.0)),
        (schedules.cosine(TIMES, STEPS, 0.01, 0.2), lambda o: lr_scheduler.CosineAnnealingLR(o, STEPS, 0.01)),
        (
            schedules.warmup(TIMES, 10, 0.2),
            lambda o: lr_scheduler.LinearLR(o, start_factor=0.1, end_factor=1.0, total_iters=9),
        ),
    ],
)
def test_rates_are_those_of_torch(ours, theirs):
    np.testing.assert_allclose(ours, torchs(theirs, 0.2), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("ours", "settings_"),
    [
        (schedules.inverse_time(TIMES / PER_EPOCH, 0.3), ScheduleSettings(name="inverse_time", rate=0.3)),
        (schedules.exponential(TIMES, 0.8, 2 * PER_EPOCH), ScheduleSettings(name="exponential", factor=0.8, every=2)),
        (
            schedules.staircase(TIMES, 0.8, 2 * PER_EPOCH, 3 * PER_EPOCH),
            ScheduleSettings(name="step", factor=0.8, every=2, hold=3),
        ),
        (schedules.root_decay(TIMES + 1), ScheduleSettings(name="root", every=1 / PER_EPOCH)),
        (schedules.step_list(TIMES, (1, 0.1, 0.01), (10, 25)), ScheduleSettings(name="milestones", milestones=(2, 5))),
        (schedules.polynomial(TIMES, STEPS, 2.0, 0.1), ScheduleSettings(name="polynomial", power=2, final=0.1)),
        (schedules.cosine(TIMES, STEPS, 0.1), ScheduleSettings(name="cosine", final=0.1)),
        (
            schedules.one_cycle(TIMES, STEPS, 0.4, 0.05, 0.01),
            ScheduleSettings(name="one_cycle", peak_at=0.4, start=0.05, final=0.01),
        ),
        (schedules.warmup(TIMES, 15), ScheduleSettings(name="constant", warmup=0.25)),
    ],
)
def test_rates_are_those_of_training(ours, settings_):
    np.testing.assert_allclose(
        ours, [factor_at(settings_, step, STEPS, PER_EPOCH) for step in range(STEPS)], rtol=1e-9, atol=1e-12
    )


LOSSES = [3.0, 2.0, 2.0, 2.5, 1.5, 1.6, 1.6, 1.6, 1.5, 1.5, 1.4, 1.41, 1.42, 1.43, 1.44, 1.45, 1.46, 0.5, 0.6]


@pytest.mark.parametrize("patience", [1, 2, 3])
def test_plateau_is_that_of_training_and_of_torch(patience):
    found = schedules.plateau(LOSSES, 0.5, patience, rate=0.1)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    # torch waits for one epoch more than its patience
    oracle = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=patience - 1, threshold=0.0, eps=0.0)
    plateau = Plateau(0.5, patience)
    for loss, rate in zip(LOSSES, found, strict=True):
        oracle.step(loss)
        plateau.update(loss)
        assert rate == pytest.approx(optimizer.param_groups[0]["lr"]) == pytest.approx(0.1 * plateau.scale)


def test_the_four_of_the_course_notes():
    """§2.2.8 with r0 = 0.2 and decayRate 1: 0.1, 0.067, 0.05, 0.04 in epochs 1 to 4; k / sqrt(epoch), not k / epoch^2."""
    epochs = np.arange(1, 5)
    np.testing.assert_allclose(schedules.inverse_time(epochs, 1.0, 0.2), [0.1, 0.2 / 3, 0.05, 0.04])
    np.testing.assert_allclose(schedules.exponential(epochs, 0.95, rate=0.2), 0.2 * 0.95**epochs)
    np.testing.assert_allclose(schedules.root_decay(epochs, 2.0, 0.2), [0.4, 0.4 / np.sqrt(2), 0.4 / np.sqrt(3), 0.2])
    assert schedules.root_decay(4, 1.0, 0.2) == 0.1 != 0.2 / 4**2


def test_epoch_nought_divides_by_nothing():
    assert schedules.root_decay(0, 3.0, 0.2) == schedules.root_decay(1, 3.0, 0.2) == pytest.approx(0.6)
    assert np.isfinite(schedules.root_decay(np.arange(3))).all()


def test_decay_by_the_update_in_keras():
    """decay=1e-6 (listing 4-16, 62 or 125 updates an epoch): after 80 epochs of 125 the rate has fallen by a hundredth."""
    assert schedules.inverse_time(80 * 125, 1e-6, 0.01) == pytest.approx(0.01 / 1.01)


def test_the_staircase_of_the_cifar_program():
    """*Plain Talk* §6.9: 0.1 * 0.1^floor(step / 136718)."""
    period = schedules.decay_steps(50_000, 128, 350)
    assert period == 136_718 == int(50_000 / 128 * 350) != 50_000 // 128 * 350
    rates = schedules.staircase(np.array([0, period - 1, period, 999_999]), 0.1, period, rate=0.1)
    np.testing.assert_allclose(rates, [0.1, 0.1, 0.01, 1e-8])


def test_the_staircase_of_the_language_model():
    """*Plain Talk* §8.5, small network: 4 epochs at 1.0, then half of it each epoch."""
    epochs = np.arange(13)
    found = schedules.staircase(epochs, 0.5, 1, hold=4 - 1)
    np.testing.assert_allclose(found, 0.5 ** np.maximum(epochs + 1 - 4, 0))
    assert found[3] == 1 and found[4] == 0.5 and found[12] == 2.0**-9


def test_listed_rates_need_their_boundaries():
    for boundaries in ((10,), (20, 10), (1, 2, 3)):
        with pytest.raises(ValueError, match="rising boundaries and one rate more"):
            schedules.step_list(0, (1, 2, 3), boundaries)
    np.testing.assert_allclose(schedules.step_list([0, 9, 10, 19, 20, 99]), [1e-2, 1e-2, 1e-3, 1e-3, 1e-4, 1e-4])


def test_after_the_end_the_last_rate_stays():
    for schedule in (schedules.polynomial, schedules.cosine, schedules.one_cycle):
        np.testing.assert_allclose(schedule(np.array([100, 101, 500]), 100, final=0.2), 0.2)


# averages


def pulled(values: np.ndarray, decay: float) -> np.ndarray:
    """The average written out: sum of (1 - β) β^k x_(t-k)."""
    return np.array([sum((1 - decay) * decay**k * values[t - k] for k in range(t + 1)) for t in range(len(values))])


@quick
@given(st.floats(0, 0.99), st.integers(1, 20), st.integers(0, 99))
def test_an_average_is_its_decaying_weights(decay, count, seed):
    values = np.random.default_rng(seed).normal(size=(count, 2))
    found = averages.exponential_average(values, decay)
    np.testing.assert_allclose(found, pulled(values, decay), rtol=1e-9, atol=1e-12)
    weights = averages.average_weights(decay, count)
    np.testing.assert_allclose(found[-1], (weights[:, None] * values[::-1]).sum(axis=0), rtol=1e-9, atol=1e-12)
    corrected = averages.exponential_average(values, decay, corrected=True)
    np.testing.assert_allclose(corrected[0], values[0], rtol=1e-9)
    assert weights.sum() == pytest.approx(1 - decay**count)
    assert (corrected <= values.max(axis=0) + 1e-12).all() and (corrected >= values.min(axis=0) - 1e-12).all()


def test_correction_makes_up_for_the_start_at_nought():
    """A temperature of 40: uncorrected the average begins with 4, 7.6; corrected it is 40 throughout."""
    days = np.full(60, 40.0)
    plain = averages.exponential_average(days, 0.9)
    np.testing.assert_allclose(plain[:2], [4, 7.6])
    np.testing.assert_allclose(averages.exponential_average(days, 0.9, corrected=True), days)
    assert plain[-1] == pytest.approx(40, rel=2e-3)  # later it makes no difference


def test_windows_of_the_course_notes():
    for decay, values in ((0.9, 10), (0.98, 50), (0.5, 2), (0.999, 1000)):
        assert averages.window(decay) == pytest.approx(values)
        # not 1/1-β, which is 1 - β
        assert averages.window(decay) > 1 > 1 / 1 - decay
    assert averages.average_weights(0.9, 11)[10] / 0.1 == pytest.approx(0.349, abs=5e-4)
    for decay in (0.9, 0.98, 0.999):  # near 1/e = 0.368
        assert 0.34 < decay ** averages.window(decay) < 1 / np.e
    np.testing.assert_allclose(averages.average_weights(0.9, 3), [0.1, 0.09, 0.081])


def test_a_larger_decay_is_smoother_and_later():
    generator = np.random.default_rng(0)
    days = np.arange(365)
    season = 10 - 12 * np.cos(2 * np.pi * days / 365)
    measured = season + generator.normal(scale=3, size=365)
    rough, usual, smooth = (averages.exponential_average(measured, b, corrected=True) for b in (0.5, 0.9, 0.98))
    jumps = [np.abs(np.diff(curve)).mean() for curve in (rough, usual, smooth)]
    assert jumps[0] > 4 * jumps[1] and jumps[1] > 2 * jumps[2]
    peaks = [int(np.argmax(averages.exponential_average(season, b))) for b in (0.5, 0.9, 0.98)]
    assert peaks[0] < peaks[1] < peaks[2]  # about 1, 9 and 40 days late


def test_the_shadow_of_tensorflow():
    np.testing.assert_allclose(averages.growing_decay(0.9999, [0, 1, 10, 90]), [0.1, 2 / 11, 11 / 20, 91 / 100])
    assert averages.growing_decay(0.9999, 1e6) == 0.9999
    values = np.random.default_rng(0).normal(size=(50, 3))
    shadow = values[0]
    for update, value in enumerate(values[1:], 1):
        shadow = shadow - (1 - min(0.9999, (1 + update) / (10 + update))) * (shadow - value)
    np.testing.assert_allclose(averages.shadow_average(values)[-1], shadow, rtol=1e-12)
    np.testing.assert_allclose(averages.shadow_average(np.full((9, 2), 4.0), 0.5, growing=False), 4)
