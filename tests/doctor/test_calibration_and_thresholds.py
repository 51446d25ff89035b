"""How sure answers are, thresholds by cost, and choices: what can be computed by hand, and the sound case beside the unsound."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from error_tables_made import answers

from gradus.doctor.calibration import Stated, fit_temperature, judged_temperature, log_loss, stated, tempered
from gradus.doctor.case import NotHere
from gradus.doctor.choosing import _at, choose, parse_limits, single_number
from gradus.doctor.thresholds import best_threshold, by_cost, by_f1, by_macro_f1, paired_interval, parse_costs
from gradus.errors import UserError
from gradus.look.text import METRIC_WORDS
from gradus.tasks import control, detection, generation, landmarks, language, localization, segmentation, targets
from gradus.tasks.assessment import ClassAssessment, LabelsAssessment, NumberAssessment
from gradus.tasks.directions import direction_of

TASK_MODULES = (control, detection, generation, landmarks, language, localization, segmentation, targets)


def drawn(temperature: float, rows: int = 4_000) -> ClassAssessment:
    """Answers whose logits are `temperature` times too large."""
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(rows, 3)) * 2
    true = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    targets = (generator.random((rows, 1)) > true.cumsum(axis=1)).sum(axis=1)
    said = np.exp(logits * temperature)
    return ClassAssessment(
        classes=("a", "b", "c"), probabilities=said / said.sum(axis=1, keepdims=True), targets=targets
    )


def test_a_temperature_undoes_what_made_logits_too_large():
    found = fit_temperature(drawn(3.0))
    assert 2.8 < found.temperature < 3.2 and found.after < found.before
    cold = fit_temperature(drawn(0.5))
    assert 0.45 < cold.temperature < 0.55
    answered = tempered(drawn(3.0), found.temperature)
    assert (answered.argmax(axis=1) == drawn(3.0).predictions).all()  # answers stay what they are
    assert log_loss(answered, drawn(3.0).targets) == pytest.approx(found.after)


def test_the_rows_that_judge_say_whether_a_temperature_is_worse():
    fitted = fit_temperature(drawn(3.0))
    good = judged_temperature(fitted, drawn(3.0, 500), "test")
    assert good.is_kept and not good.is_worse and good.after < good.before and good.rise.high < 0
    bad = judged_temperature(fitted, drawn(1.0, 500), "test")  # these were calibrated before
    assert not bad.is_kept and bad.is_worse and bad.loss[1] > bad.loss[0]
    nearly = judged_temperature(replace(fitted, temperature=1.02), drawn(1.0, 500), "test")
    assert nearly.is_kept  # no more than chance


def test_labels_are_tempered_each_on_its_own():
    found = LabelsAssessment(classes=("a",), probabilities=np.array([[0.9]]), targets=np.array([[True]]))
    assert tempered(found, 2.0)[0, 0] == pytest.approx(0.75)  # the odds of 9 to 1 become 3 to 1


def test_calibration_error_beyond_noise():
    sound, sure = stated(drawn(1.0)), stated(drawn(3.0))
    assert sound.error < sound.noise() and sure.error > 0.05 > sure.noise()
    assert sure.gap > 0.05 and stated(drawn(0.3)).gap < -0.05
    few = Stated(np.full(100, 0.95), np.arange(100) % 10 != 0)  # 90 % right where 95 % is stated: chance, of a hundred
    assert few.error > 0.03 and few.error < few.noise()
    with pytest.raises(NotHere, match="too few"):
        stated(answers(np.full(50, 0.9), np.ones(50, bool)))
    with pytest.raises(NotHere, match="without probabilities"):
        stated(NumberAssessment(names=("y",), predictions=np.zeros((200, 1)), targets=np.zeros((200, 1))))


def test_the_threshold_of_least_cost():
    probability = np.array([0.1, 0.2, 0.3, 0.4, 0.6, 0.9])
    positive = np.array([False, False, True, False, True, True])
    dear = best_threshold(probability, positive, by_cost(10, 1, positive))
    assert dear.threshold == pytest.approx(0.25) and dear.score == pytest.approx(-1 / 6)  # one false alarm
    cheap = best_threshold(probability, positive, by_cost(1, 10, positive))
    assert cheap.threshold == pytest.approx(0.5) and cheap.score == pytest.approx(-1 / 6)  # one missed
    assert best_threshold(probability, positive, by_f1(positive)).threshold == pytest.approx(0.25)  # 6/7 beside 4/5
    hits, alarms = np.array([2.0]), np.array([0.0])
    assert by_macro_f1(positive)(hits, alarms)[0] == pytest.approx((0.8 + 6 / 7) / 2)


def test_with_true_probabilities_the_threshold_is_the_ratio_of_the_costs():
    generator = np.random.default_rng(0)
    probability = generator.random(50_000)
    positive = generator.random(50_000) < probability
    assert best_threshold(probability, positive, by_cost(10, 1, positive)).threshold == pytest.approx(1 / 11, abs=0.03)


def test_costs_and_limits_are_read():
    assert parse_costs("fn=10, fp=1") == {"fn": 10, "fp": 1}
    for wrong in ("fn", "fn=", "fn=-1", "fn=x", ""):
        with pytest.raises(UserError, match="--cost"):
            parse_costs(wrong)
    assert [one.holds({"ms": 10}) for one in parse_limits("ms<10, ms<=10,ms>9.5")] == [False, True, True]
    with pytest.raises(UserError, match="--subject-to"):
        parse_limits("ms=10")
    with pytest.raises(UserError, match="did you mean 'accuracy'"):
        choose({"A": {"accuracy": 1.0}}, "acuracy")


def test_the_nets_of_the_course_notes():
    nets = {
        "1": {"f1": 0.90, "ms": 80.0},
        "2": {"f1": 0.92, "ms": 95.0},
        "3": {"f1": 0.95, "ms": 1500.0},
    }
    assert choose(nets, "f1", "ms<100") == ("2", ["3"])
    assert choose(nets, "f1")[0] == "3" and choose(nets, "f1", "ms<10") == (None, ["1", "2", "3"])
    timed = {name: {**values, "latency_ms": values["ms"]} for name, values in nets.items()}
    assert choose(timed, "latency_ms", "f1>0.9")[0] == "2"  # of a time less is better
    one_number = {"A": {"precision": 0.95, "recall": 0.90}, "B": {"precision": 0.98, "recall": 0.85}}
    assert choose(one_number, "harmonic(precision, recall)")[0] == "A"
    assert choose(one_number, "mean(5*precision, recall)")[0] == "B"
    assert single_number([0.95, 0.90], harmonic=True) == pytest.approx(2 * 0.95 * 0.9 / 1.85)
    assert single_number([0.9, 0.5], [3, 1]) == pytest.approx(0.8) and single_number([1, 0], harmonic=True) == 0


def test_less_of_an_error_is_better_by_any_name():
    for metric in (
        *("mase", "smape", "pinball", "false_alarms", "error_pixels", "perplexity_per_word", "bits_per_character"),
        *("age.mae", "a.b.loss"),
    ):
        assert choose({"A": {metric: 2.0}, "B": {metric: 1.0}}, metric)[0] == "B", metric
        with pytest.raises(UserError, match="more is better"):
            choose({"A": {metric: 2.0}}, f"mean({metric}, accuracy)")
    for metric in ("map", "map_small", "recall_at_10", "pck_0.05", "income.r2", "expected_return"):
        assert choose({"A": {metric: 2.0}, "B": {metric: 1.0}}, metric)[0] == "A", metric
    with pytest.raises(UserError, match="neither more nor less of coverage"):
        choose({"A": {"coverage": 0.9}}, "coverage")


def test_every_metric_of_a_task_and_every_word_for_one_has_the_direction_that_the_task_declares():
    declared = {}
    for made in (thing for module in TASK_MODULES for thing in vars(module).values()):
        directions = getattr(made, "directions", None)
        declared |= directions if isinstance(directions, dict) else {}
    declared |= {"pinball": "min", "span_f1": "max", "span_precision": "max", "span_recall": "max"}
    assert {"accuracy", "mae", "map50", "miou", "normalized_error", "return", "mean_iou"} <= {*declared}
    assert {name: direction_of(name) for name in declared} == declared
    told = {name: direction_of(name) for name in [*METRIC_WORDS, *_at(np.ones(2, bool), np.ones(2, bool))]}
    less = (*("hamming_loss", "error_rate", "smape", "mase", "pinball", "log_loss", "false_alarms"), "error_pixels")
    assert all(told[name] == "min" for name in less)
    assert [name for name, direction in told.items() if direction is None] == ["coverage"]


def test_a_paired_interval_holds_zero_where_nothing_changed():
    same = np.repeat([1.0, -1.0, 0.0], [20, 20, 160])
    better = np.repeat([1.0, -1.0, 0.0], [60, 5, 135])
    assert 0 in paired_interval(same) and paired_interval(better).low > 0.15
    assert paired_interval(np.random.default_rng(0).normal(0.5, 1, 400)).low > 0.3
