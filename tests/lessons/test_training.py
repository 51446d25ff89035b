"""The lessons of training: what their pages say, against the texts' numbers and against what can be derived."""

from __future__ import annotations

import math

import numpy as np
import pytest
from pages import numbers
from scipy import stats

from gradus.lessons.table import SUBJECTS


def near(value: float, rel: float = 1e-6):
    return pytest.approx(value, rel=rel, abs=1e-12)


def test_there_are_seventeen():
    assert len(SUBJECTS["Training"]) == 17


def test_activation_gallery():
    found = numbers("activation-gallery")
    assert found["sigmoid_top"] == near(0.25)
    assert found["sigmoid_at_4"] == near(math.exp(-4) / (1 + math.exp(-4)) ** 2)
    assert found["tanh_at_2"] == near(1 / math.cosh(2) ** 2)
    assert found["sinc_least"] == pytest.approx(-0.217234, abs=1e-5)
    root = math.sqrt(1 - 0.2)  # s (1 - s) = 0.05
    assert found["sigmoid_flat"] == pytest.approx(1 - math.log((1 + root) / (1 - root)) / 6, abs=1e-3)
    assert found["tanh_flat"] == pytest.approx(1 - math.atanh(math.sqrt(0.95)) / 6, abs=1e-3)
    assert found["dead_slow"] < 0.1 < 0.3 < found["dead_fast"]


def test_loss_gallery():
    found = numbers("loss-gallery")
    assert abs(found["clean_slope"] - 0.5) < 0.05
    assert found["squared_slope"] > 1  # the outlier pulls the line up
    assert abs(found["absolute_slope"] - 0.5) < 0.06 and abs(found["huber_slope"] - 0.5) < 0.15
    assert found["exponential_wrong"] == near(math.exp(5)) and found["hinge_at_zero"] == 1
    a = 1 / (1 + math.exp(6))
    assert found["squared_pull"] == near((a - 1) * a * (1 - a)) and found["logistic_pull"] == near(a - 1)
    assert found["logistic_steps"] < found["squared_steps"] / 2
    assert found["squared_end"] < -1 < 0 < found["logistic_end"]
    assert found["logistic_end_error"] < found["squared_end_error"] / 2
    assert found["logistic_not_convex"] == 0 < found["squared_not_convex"]
    assert found["squared_ratio"] > 1 > found["logarithm_ratio"]  # the two losses disagree about which model is better


def test_entropy():
    found = numbers("entropy")
    assert found["entropy_lopsided"] == pytest.approx(0.11612, abs=5e-6)
    assert found["entropy_even"] == near(1) and found["entropy_teams"] == near(5)
    assert found["entropy_favourite"] == pytest.approx(0.13034, abs=5e-6)
    assert found["surprise_win"] == pytest.approx(0.02272, abs=5e-6) and found["surprise_loss"] == near(6)
    assert found["one_hot"] == near(-math.log(0.2)) and found["seven_loss"] == near(-math.log(0.62))
    assert found["own_entropy"] == near(stats.entropy([0.7, 0.3], base=2))
    assert found["crossed"] == near(1) and found["divergence"] == near(stats.entropy([0.7, 0.3], [0.5, 0.5], base=2))
    assert found["reverse_divergence"] == near(stats.entropy([0.5, 0.5], [0.7, 0.3], base=2))
    assert found["identity"] < 1e-12 and found["two_classes"] < 1e-12
    assert found["first_zero"] == near(math.log(10)) and found["first_large"] > 2 * math.log(10)
    assert found["entropy_cold"] < found["entropy_one"] < found["entropy_hot"] < 2
    assert found["four_equal"] == near(0.25) and found["overflow"] == near(0.5)


def test_initialisation():
    found = numbers("initialisation")
    assert found["z_std"] == pytest.approx(math.sqrt(1000), rel=0.01)  # five times the sampling error
    assert found["z_std_scaled"] == pytest.approx(1, rel=0.01)
    assert found["flat_share"] == pytest.approx(2 * stats.norm.sf(4 / math.sqrt(1000)), abs=0.005)
    assert found["flat_share_scaled"] < 5e-4
    assert found["z_mean_uniform"] == pytest.approx(500, abs=0.5)
    assert found["z_std_uniform"] == pytest.approx(math.sqrt(1000 / 12), rel=0.05)
    assert found["zeros_gradient"] == 0 and found["constant_difference"] == 0 < found["he_difference"]
    assert found["relu_he_size"] == pytest.approx(1, rel=0.35) and found["relu_xavier_size"] == pytest.approx(
        2**-5, rel=0.35
    )
    assert found["tanh_small_size"] < 1e-6
    assert found["zeros_train"] == found["zeros_test"] == 0.5
    assert found["he_train"] > 0.97 and found["he_test"] > 0.9 and found["large_test"] < found["he_test"]


def test_vanishing_gradients():
    found = numbers("vanishing-gradients")
    assert found["ten_layers"] == pytest.approx(9536.74, abs=0.01)
    assert found["grows"] == near(1.5**50) and found["shrinks"] == near(0.5**50)
    assert found["deep_small"] == pytest.approx(2.907e-15, rel=1e-3)
    assert found["deep_large"] == pytest.approx(7.537e11, rel=1e-3)
    assert found["sigmoid_first"] < 1e-10 < found["tanh_first"]
    assert found["relu_half"] == pytest.approx(2**-10, rel=0.6) and 0.3 < found["relu_he"] < 3
    assert found["plain_first"] < 1e-15 and found["normalised_first"] > 0.1 and 0.3 < found["residual_first"] < 3
    assert (
        found["sigmoid_first"] < found["sigmoid_large"] < 1 < found["sigmoid_huge"]
        and 0.3 < found["sigmoid_flat"] < 0.6
    )
    assert found["multiplied"] < 1e-40 and 0.1 < found["added"] < 10
    share = stats.norm.sf(3) * 128
    assert found["dead_at_zero"] == 0 and found["dead_at_minus_three"] == pytest.approx(math.exp(-share), abs=0.08)


def test_gradient_checking():
    found = numbers("gradient-checking")
    assert found["right_ratio"] < 1e-6 < 0.05 < found["wrong_ratio"] < 1
    assert found["doubled_ratio"] == pytest.approx(1 / 3, rel=1e-4) and found["fourfold_ratio"] == pytest.approx(
        3 / 5, rel=1e-4
    )
    assert 1e-10 < found["best_forward"] < 1e-6 < found["best_central"] < 1e-3
    assert found["float32_error"] > 1e-2 and found["kink_slope"] == pytest.approx(0.5)
    assert (
        found["kink_ratio"] == pytest.approx(1 / 3) and found["with_penalty"] < 1e-6 < 1e-3 < found["forgotten_penalty"]
    )
    assert found["dropout_ratio"] > 0.5


def test_vectorisation():
    found = numbers("vectorisation")
    assert found["small_dot"] == 14 and found["repeats"] == 32 and found["stride"] == 0
    assert found["operations_difference"] < 1e-12 and found["step_difference"] < 1e-12
    assert found["turned"] == near(30) and found["turned_wrong"] == near(-30)
    assert found["video_values"] == 106_168_320 and found["video_mebibytes"] == 405
    assert found["vector_length"] == 12_288 and found["picture_difference"] == 0 < found["order_difference"]


def test_normalisation():
    found = numbers("normalisation")
    assert found["converted"] == 906_400 and found["true_ratio"] == pytest.approx(2.868, abs=1e-3)
    assert found["raw_ratio"] == pytest.approx(47.27, abs=0.01)
    assert found["scaled_mean"] < 1e-12 and found["scaled_spread"] < 1e-12 and found["min_max_range"] == near(1)
    assert found["turned_correlation"] < 1e-12 and found["white_error"] < 1e-4
    assert found["standardised_steps"] < found["centred_steps"] / 10
    assert found["test_mean"] > 0.01 and found["constant_column"] == 0


def test_batch_normalisation():
    found = numbers("batch-normalisation")
    assert found["raw_slope"] < found["rescaled_slope"] < found["normal_slope"] < 0.25
    assert found["undone"] < 1e-10 and found["bias_cancels"] < 1e-10 and found["alone"] < 1e-10
    assert found["with_accuracy"] > 0.9 and found["without_loss"] == pytest.approx(math.log(10), abs=0.05)
    assert found["alone_accuracy"] < 0.25 < found["running_accuracy"] == found["with_accuracy"]


def test_batch_size():
    found = numbers("batch-size")
    assert found["mean_of_all"] == 500.5
    for size in (1, 10, 100):  # drawing without putting back
        exact = math.sqrt((1000**2 - 1) / 12 / size * (1000 - size) / 999)
        assert found[f"spread_{size}"] == pytest.approx(exact, rel=0.05)
    assert found["unseen"] == pytest.approx(1 / math.e, abs=0.005)
    assert (found["parts"], found["last_part"]) == (5, 300 - 4 * 64)
    assert found["mini_loss"] < found["whole_loss"]  # after one epoch: eight steps against one


def test_weighted_averages():
    found = numbers("weighted-averages")
    assert found["tenth_power"] == pytest.approx(0.34868, abs=1e-5) and found["inside"] == near(1 - 0.9**10)
    assert [found[f"window_{key}"] for key in ("5", "9", "98")] == [near(2), near(10), near(50)]
    assert found["lag_9"] == pytest.approx(9, abs=1e-6) and found["lag_98"] == pytest.approx(49, abs=1e-6)
    assert found["first_raw"] == near(0.02 * found["first_day"]) and found["first_corrected"] == near(
        found["first_day"]
    )
    assert found["error_9"] < min(found["error_5"], found["error_98"])
    assert found["unrolled_difference"] < 1e-12


def test_optimiser_race():
    found = numbers("optimiser-race")
    assert found["saddle_descent"] == math.ceil(math.log(1e4) / math.log(1.01))  # 1e-4 * 1.01^t > 1
    assert found["saddle_momentum"] < found["saddle_descent"] / 3 and found["saddle_adam"] < found["saddle_descent"] / 3
    assert found["limit"] == near(1 / 15) and found["sign_changes"] == 40
    assert found["bowl_momentum"] < found["bowl_descent"] and found["valley_momentum"] < found["valley_descent"]
    assert found["moons_adam"] > found["moons_descent"] and found["moons_descent_own"] > found["moons_descent"]


def test_learning_rate_decay():
    found = numbers("learning-rate-decay")
    assert found["bounce_one"] == near(1.3) and found["bounce_two"] == near(-0.7)
    assert found["slow"] == near(0.3 - (1 - 2e-5) ** 1000) and found["good"] == near(0.3 - 0.8**50)
    assert found["inverse_time_100"] == near(1 / 11) and found["exponential_100"] == near(0.95**100)
    assert found["updates_100"] == near(1000**-0.5)
    assert found["root_100"] == near(0.1) and found["square_100"] == near(1e-4)
    assert found["large_end"] == pytest.approx(found["ball"], rel=0.05)
    assert found["inverse_end"] < found["large_end"] / 3 and found["inverse_30"] < found["small_30"]
    assert found["plateau_end"] < found["large_end"] / 3 and math.log2(0.3 / found["plateau_rate"]) % 1 == 0


def test_search_grid_random():
    found = numbers("search-grid-random")
    assert (found["grid_values"], found["random_values"]) == (5, 25)
    assert found["grid_best"] == near(0.95 * math.exp(-((0.07 / 0.06) ** 2)) + 0.05 * 0.9)
    assert found["random_best"] > found["grid_best"] and found["zoom_best"] > found["random_best"]
    assert found["even_above"] == pytest.approx(0.9, abs=0.01) and found["log_above"] == pytest.approx(0.25, abs=0.02)
    assert found["flat_beyond"] == pytest.approx(0.009 / 0.099, abs=0.01)
    assert found["reverse_beyond"] == pytest.approx(0.5, abs=0.02)


def test_regularisation():
    found = numbers("regularisation")
    assert found["train_15"] < found["train_5"] < found["train_2"]
    assert found["test_5"] < min(found["test_2"], found["test_15"])
    assert found["best_test"] < found["test_15"] and found["best_norm"] < found["free_norm"]
    assert found["l1_kept"] < 12 and found["l2_kept"] == 15
    for name in ("l2", "early_stopping", "more_data"):
        assert found[f"net_{name}"] < found["net_none"]
    assert found["moons_free_train"] > found["moons_l2_train"] and found["moons_free_test"] < found["moons_l2_test"]


def test_dropout():
    found = numbers("dropout")
    assert found["four_mean"] == pytest.approx(2, abs=0.02) and found["four_exactly"] == pytest.approx(6 / 16, abs=0.01)
    assert found["inverted_error"] < 0.02 and found["classic_error"] < 0.02
    assert found["wrong_factor"] == pytest.approx(0.8 / 0.2, rel=0.01) and found["example_sum"] == near(2.9)
    assert found["logit_difference"] < 1e-12 and 0 < found["probability_difference"] < 0.3
    assert found["whole_accuracy"] > found["single_accuracy"]


def test_ensembles_of_paths():
    found = numbers("ensembles-of-paths")
    assert (found["paths_3"], found["paths_16"], found["mean_length"]) == (8, 65_536, 8)
    assert found["middle"] == near(stats.binom(16, 0.5).cdf(11) - stats.binom(16, 0.5).cdf(4))
    assert found["sum_difference"] < 1e-9
    assert found["residual_whole"] > 0.9 and found["plain_whole"] > 0.9
    assert found["residual_one_out"] > found["plain_one_out"] + 0.2
    assert found["long_gradient"] < found["short_gradient"]


def test_every_number_is_known():
    for name in SUBJECTS["Training"]:
        assert not np.isnan(list(numbers(name).values())).any(), name
