"""Drawings for a page: what is written stays inside the page and follows its theme; measures against worked cases."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest
from PIL import Image as PillowImage
from sklearn.metrics import roc_auc_score

from gradus.look import charts
from gradus.look.measures import calibration, confidence_interval, roc_curve, wilson_interval
from gradus.look.parallel import Axis, Line, draw_parallel, metric_span
from gradus.look.rates import draw_rates
from gradus.look.text import duration, number, percent
from gradus.tasks.assessment import ClassAssessment, NumberAssessment

NAN = float("nan")


def curves(name: str = "loss", training=(2.0, 1.0, 0.5), validation=(2.1, 1.2, NAN), **options) -> str:
    epochs = list(range(1, len(training) + 1))
    return charts.learning_curves(name, epochs, np.array(training), np.array(validation), title="Loss", **options)


def test_drawing_has_no_declarations_no_outside_styles_and_no_addresses():
    svg = curves()
    assert svg.startswith("<svg viewBox=") and svg.endswith("</svg>")
    assert "http" not in svg and "<style" not in svg and "<!DOCTYPE" not in svg and "font-family" not in svg


def test_ids_are_unique_across_drawings_and_every_reference_has_its_target():
    svg = curves("a") + curves("b")
    ids = re.findall(r' id="([^"]*)"', svg)
    assert len(ids) == len(set(ids)) > 0
    assert set(re.findall(r'(?:url\(#|href="#)([^)"]+)', svg)) == set(ids)


def test_colours_are_roles_of_the_page():
    svg = curves(best_epoch=2)
    assert "var(--model, #1f6feb)" in svg and "var(--second, #c2571a)" in svg
    assert not re.search(r"#0102\d\d", svg)
    assert not re.search(r"(?:fill|stroke): #", svg), "a colour that dark mode cannot change"


def test_the_same_drawing_is_written_twice_alike():
    assert curves() == curves()


def ticks(svg: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


def test_axis_is_logarithmic_only_above_two_decades():
    assert "0.01" in ticks(curves(training=(5.0, 0.5, 0.006), validation=(4.0, 0.6, 0.1)))
    assert "0.01" not in ticks(curves(training=(5.0, 0.5, 0.06), validation=(4.0, 0.6, 0.1)))


def test_best_epoch_is_marked_and_names_with_dollars_are_not_formulas():
    assert "best" in ticks(curves(best_epoch=2)) and "best" not in ticks(curves())
    svg = charts.histogram("h", np.arange(9.0), across="$x_1$ 价格")
    assert "$x_1$ 价格" in ticks(svg)


def test_chinese_text_gives_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        charts.scatter("s", np.arange(5.0), np.arange(5.0), across="真实价格", up="预测价格", identity=True)


@pytest.mark.parametrize("training", [(0.5,), (NAN, NAN), (0.0, 0.0), (-1.0, 1e9)])
def test_odd_curves_are_drawn(training):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "</svg>" in curves(training=training, validation=training)


def test_constant_numbers_are_drawn():
    same = np.full(300, 7.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "</svg>" in charts.histogram("h", same - 7, across="residual")
        assert "</svg>" in charts.scatter("s", same, same, across="true", up="predicted", identity=True)


def test_scatter_draws_a_bounded_number_of_points():
    many = np.random.default_rng(0).normal(size=50_000)
    assert charts.scatter("s", many, many, across="x", up="y").count("<use") <= charts.POINTS + 20


# ---------------------------------------------------------------- measures


def test_calibration_error_by_hand():
    # bins (0.5, 0.6]: 0.55 wrong, 0.6 right -> |1/2 - 0.575| = 0.075; (0.9, 1]: 0.95, 1.0 right, 0.95 wrong
    # -> |2/3 - 2.9/3| = 0.3; weights 2/5 and 3/5 -> 0.03 + 0.18 = 0.21
    confidence = np.array([0.55, 0.6, 0.95, 1.0, 0.95])
    measured = calibration(confidence, np.array([False, True, True, True, False]))
    assert measured.counts.tolist() == [0, 0, 0, 0, 0, 2, 0, 0, 0, 3]
    assert measured.error == pytest.approx(0.21)
    assert measured.confidence[5] == pytest.approx(0.575) and measured.frequency[9] == pytest.approx(2 / 3)


def test_calibration_takes_zero_one_nan_and_nothing():
    measured = calibration(np.array([0.0, 1.0, NAN]), np.array([False, True, True]))
    assert measured.counts[0] == 1 and measured.counts[-1] == 1 and measured.error == 0
    assert np.isnan(calibration(np.zeros(0), np.zeros(0, dtype=bool)).error)


def test_roc_area_is_that_of_scikit_learn_with_ties():
    generator = np.random.default_rng(0)
    positive = generator.random(500) < 0.3
    scores = (positive * 0.4 + generator.normal(size=500)).round(1)
    false_rate, true_rate, area = roc_curve(scores, positive)
    assert area == pytest.approx(roc_auc_score(positive, scores), abs=1e-12)
    assert false_rate[0] == true_rate[0] == 0 and false_rate[-1] == true_rate[-1] == 1
    assert np.isnan(roc_curve(scores, np.ones(500, dtype=bool))[2])


def test_wilson_interval_against_published_values():
    # Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson_interval(29, 29)[1] == 1.0


def two_classes(rows: int = 200) -> ClassAssessment:
    generator = np.random.default_rng(0)
    targets = generator.integers(2, size=rows)
    scores = np.clip(0.5 + 0.3 * (targets - 0.5) + 0.25 * generator.normal(size=rows), 0.01, 0.99)
    probabilities = np.stack([1 - scores, scores], axis=1).astype(np.float32)
    accuracy = float((probabilities.argmax(axis=1) == targets).mean())
    area = float(roc_auc_score(targets, probabilities[:, 1]))
    metrics = {"accuracy": accuracy, "roc_auc": area, "loss": 123.0, "invented": 0.5}
    return ClassAssessment(classes=("a", "b"), probabilities=probabilities, targets=targets, metrics=metrics)


def test_bootstrap_interval_is_repeatable_and_holds_the_metric():
    assessment = two_classes()
    first, again = confidence_interval(assessment, "roc_auc"), confidence_interval(assessment, "roc_auc")
    assert first is not None and first == again
    assert first.low < assessment.metrics["roc_auc"] < first.high and first.high - first.low < 0.2


def test_no_interval_for_a_quantity_that_cannot_be_recomputed():
    assert confidence_interval(two_classes(), "invented") is None
    assert confidence_interval(two_classes(), "loss") is None, (
        "the loss reported is not the cross-entropy of the answers"
    )
    assert confidence_interval(two_classes(), "absent") is None


def test_bootstrap_of_a_mean_agrees_with_the_normal_approximation():
    errors = np.random.default_rng(1).exponential(size=(4000, 1))
    zeros = np.zeros_like(errors)
    metrics = {"mae": float(errors.mean())}
    assessment = NumberAssessment(names=("y",), predictions=zeros, targets=errors, metrics=metrics)
    interval = confidence_interval(assessment, "mae")
    half = 1.96 * errors.std() / np.sqrt(len(errors))
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((errors.mean() - half, errors.mean() + half), abs=0.15 * half)


# ---------------------------------------------------------------- words


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.012345, "0.01235"), (15234.5, "15,234"), (0, "0"), (-2.5, "−2.5"), (NAN, "–"), (None, "–"), (3e-9, "3e−9")],
)
def test_number(value, expected):
    assert number(value) == expected


def test_percent_never_rounds_to_all_or_nothing():
    assert percent(0.9778) == "97.8%" and percent(1.0) == "100.0%" and percent(0.0) == "0.0%"
    assert percent(0.99999) == ">99.9%" and percent(0.00001) == "<0.1%"
    assert percent(np.float32(0.5)) == "50.0%"


def test_duration():
    assert [duration(s) for s in (0.034, 12.34, 59.99, 245, 3599.9, 8000, NAN)] == [
        "34 ms", "12.3 s", "1 min", "4 min 5 s", "1 h", "2 h 13 min", "–",
    ]  # fmt: skip


# ---------------------------------------------------------------- pictures of searches


def test_a_few_bad_trials_do_not_decide_the_axis_of_the_metric():
    values = np.array([10.0, 11.0, 12.0, 1e9])
    worst, best = metric_span(values, "min")
    assert best == 10 and 12 < worst <= 10 + 3 * 1.5
    assert metric_span(np.array([0.5, 0.7, 0.9]), "max") == (0.5, 0.9)
    worst, best = metric_span(np.array([3.0, 3.0]), "min")
    assert best == 3 and worst > 3


@pytest.mark.parametrize("count", [0, 1, 30])
def test_parallel_axes_are_drawn(tmp_path, count: int):
    generator = np.random.default_rng(0)
    axes = [Axis(f"$setting_{n}$ 层", [(0.0, "low"), (1.0, "high")], "log") for n in range(5)]
    states = ["complete", "pruned", "diverged"]
    lines = [
        Line(generator.random(5).tolist(), None if n % 3 == 2 else float(generator.random()), states[n % 3])
        for n in range(count)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw_parallel(tmp_path / "p.png", axes, lines, metric="validation mae", direction="min")
        draw_parallel(tmp_path / "q.png", axes, lines, metric="validation mae", direction="min")
    with PillowImage.open(tmp_path / "p.png") as picture:
        assert picture.width > 1500 and picture.height > 500
    assert (tmp_path / "p.png").read_bytes() == (tmp_path / "q.png").read_bytes()


def test_a_range_test_is_drawn(tmp_path):
    rates = np.geomspace(1e-7, 10, 50)
    losses = np.linspace(3, 1, 50)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for suggestion in (None, 0.01):
            draw_rates(tmp_path / "l.png", rates, losses, losses, suggestion=suggestion, own=0.1)
    assert (tmp_path / "l.png").stat().st_size > 5000
