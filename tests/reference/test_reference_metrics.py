"""Metrics against scikit-learn, against definitions written otherwise, and the worked examples of the texts."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn

from gradus.reference import edit_distance, metrics, overlap

quick = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 999)


def drawn(seed: int, rows: int, classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(scores, predictions, targets); scores with ties."""
    generator = np.random.default_rng(seed)
    scores = generator.integers(0, 6, (rows, classes)) / 5
    return scores, scores.argmax(axis=1), generator.integers(0, classes, rows)


@quick
@given(seeds, st.integers(1, 40), st.integers(2, 5))
def test_class_metrics_are_those_of_scikit_learn(seed, rows, classes):
    _, predictions, targets = drawn(seed, rows, classes)
    labels = np.arange(classes)
    confusion = metrics.confusion_matrix(predictions, targets, classes)
    np.testing.assert_array_equal(confusion, sklearn.confusion_matrix(targets, predictions, labels=labels))
    assert metrics.accuracy(predictions, targets) == sklearn.accuracy_score(targets, predictions)
    wanted = sklearn.precision_recall_fscore_support(targets, predictions, labels=labels, zero_division=0)
    for found, column in zip((metrics.precision, metrics.recall, metrics.f1), wanted[:3], strict=True):
        np.testing.assert_allclose(found(confusion), column, rtol=1e-12)
    means = metrics.averages(confusion)
    for kind in ("macro", "weighted", "micro"):
        wanted = sklearn.precision_recall_fscore_support(
            targets, predictions, labels=labels, average=kind, zero_division=0
        )
        np.testing.assert_allclose(list(means[kind].values()), wanted[:3], rtol=1e-12)


@quick
@given(seeds, st.integers(1, 30), st.integers(2, 6), st.integers(1, 6))
def test_top_k_without_ties_is_that_of_scikit_learn(seed, rows, classes, k):
    generator = np.random.default_rng(seed)
    scores, targets = generator.normal(size=(rows, classes)), generator.integers(0, classes, rows)
    found = metrics.top_k_accuracy(scores, targets, k)
    if k < classes and classes > 2:
        assert found == pytest.approx(sklearn.top_k_accuracy_score(targets, scores, k=k, labels=np.arange(classes)))
    assert metrics.top_k_accuracy(scores, targets, 1) == metrics.accuracy(scores.argmax(axis=1), targets)
    assert metrics.top_k_accuracy(scores, targets, classes) == 1


def test_of_equal_scores_the_first_counts():
    scores, targets = np.zeros((2, 3)), np.array([0, 2])
    assert [metrics.top_k_accuracy(scores, targets, k) for k in (1, 2, 3)] == [0.5, 0.5, 1.0]


@quick
@given(seeds, st.integers(4, 60))
def test_curves_are_those_of_scikit_learn(seed, rows):
    generator = np.random.default_rng(seed)
    scores = generator.integers(0, 10, rows) / 9  # with ties
    positive = np.append([0, 1], generator.integers(0, 2, rows - 2))
    false, true, _ = sklearn.roc_curve(positive, scores, drop_intermediate=False)
    for found, wanted in zip(metrics.roc_curve(scores, positive), (false, true), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-12)
    assert metrics.roc_auc(scores, positive) == pytest.approx(sklearn.roc_auc_score(positive, scores))
    assert metrics.average_precision(scores, positive) == pytest.approx(
        sklearn.average_precision_score(positive, scores)
    )
    precision, recall, _ = sklearn.precision_recall_curve(positive, scores)
    found = metrics.precision_recall_curve(scores, positive)
    np.testing.assert_allclose(found[0], precision[:-1][::-1], rtol=1e-12)  # scikit-learn ends with a point (1, 0)
    np.testing.assert_allclose(found[1], recall[:-1][::-1], rtol=1e-12)
    # the area is the chance that a positive row scores higher, half for ties
    pairs = np.sign(scores[positive == 1][:, None] - scores[positive == 0][None])
    assert metrics.roc_auc(scores, positive) == pytest.approx(((pairs + 1) / 2).mean())


@quick
@given(seeds, st.integers(2, 30))
def test_measures_of_numbers_are_those_of_scikit_learn(seed, rows):
    outputs, targets = np.random.default_rng(seed).normal(size=(2, rows))
    assert metrics.mean_absolute_error(outputs, targets) == pytest.approx(sklearn.mean_absolute_error(targets, outputs))
    assert metrics.mean_squared_error(outputs, targets) == pytest.approx(sklearn.mean_squared_error(targets, outputs))
    assert metrics.r_squared(outputs, targets) == pytest.approx(sklearn.r2_score(targets, outputs))
    assert metrics.r_squared(np.full(rows, targets.mean()), targets) == pytest.approx(0, abs=1e-12)


def test_cats_dogs_and_rabbits():
    """*Plain Talk* §1.3: 1000 pictures. Recall of cats 90 %, of rabbits 91.7 %; precision of dogs 83.3 %."""
    cells = {(0, 0): 180, (0, 1): 20, (1, 1): 200, (2, 2): 550, (2, 0): 30, (2, 1): 20}
    targets = np.concatenate([np.full(count, true) for (true, _), count in cells.items()])
    predictions = np.concatenate([np.full(count, said) for (_, said), count in cells.items()])
    confusion = metrics.confusion_matrix(predictions, targets, 3)
    np.testing.assert_array_equal(confusion, [[180, 20, 0], [0, 200, 0], [30, 20, 550]])
    np.testing.assert_allclose(metrics.recall(confusion), [0.90, 1, 0.917], atol=5e-4)
    np.testing.assert_allclose(metrics.precision(confusion), [0.857, 0.833, 1], atol=5e-4)
    # precision is not accuracy, whatever the word 精确率 is used for
    assert metrics.accuracy(predictions, targets) == pytest.approx(0.93)
    assert metrics.averages(confusion)["micro"]["precision"] == pytest.approx(0.93)


def test_f1_is_the_harmonic_mean():
    confusion = np.array([[3, 2], [5, 10]])
    p, r = metrics.precision(confusion), metrics.recall(confusion)
    np.testing.assert_allclose(metrics.f1(confusion), 2 / (1 / p + 1 / r))
    np.testing.assert_array_equal(metrics.f1(np.array([[0, 4], [0, 6]]))[0], 0)


def test_perplexity():
    """Even words: as many as there are. It is 2 to the entropy in bits and e to it in nats alike."""
    assert metrics.perplexity(np.log(np.full(7, 1 / 50))) == pytest.approx(50)
    assert metrics.perplexity(np.full(2, -1e4)) == np.inf
    logits, targets = torch.randn(20, 9, dtype=torch.float64), torch.randint(0, 9, (20,))
    chosen = torch.log_softmax(logits, 1)[torch.arange(20), targets].numpy()
    assert metrics.perplexity(chosen) == pytest.approx(torch.nn.functional.cross_entropy(logits, targets).exp().item())


@quick
@given(seeds)
def test_cosine_similarity_is_that_of_torch(seed):
    first, second = np.random.default_rng(seed).normal(size=(2, 5, 4))
    wanted = torch.cosine_similarity(torch.tensor(first), torch.tensor(second), dim=1)
    np.testing.assert_allclose(metrics.cosine_similarity(first, second), wanted, rtol=1e-12)
    np.testing.assert_allclose(metrics.cosine_similarity(first, -3 * first), -1)
    assert metrics.cosine_similarity(np.zeros(3), np.ones(3)) == 0


def test_satisficing_and_optimising():
    """Course notes §3.1.4: the most accurate that runs in 100 ms."""
    models = {
        "A": {"accuracy": 0.90, "ms": 80, "false alarms": 1},
        "B": {"accuracy": 0.92, "ms": 95, "false alarms": 3},
        "C": {"accuracy": 0.95, "ms": 1500, "false alarms": 0},
    }
    assert metrics.choose_model(models, "accuracy", {"ms": 100}) == "B"
    assert metrics.choose_model(models, "accuracy", {"ms": 100, "false alarms": 1}) == "A"
    assert metrics.choose_model(models, "accuracy", {}) == "C"
    assert metrics.choose_model(models, "ms", {"false alarms": 1}, highest=False) == "A"
    assert metrics.choose_model(models, "accuracy", {"ms": 10}) is None


def test_gaps_say_what_to_work_on():
    """Course notes §3.1.9: errors 8 % and 10 %; people 1 %: the bias is larger; people 7 %: the variance is."""
    gaps = metrics.error_gaps([0.01, 0.08, 0.10, 0.10, 0.10])
    assert gaps["avoidable bias"] == pytest.approx(0.07) and gaps["variance"] == pytest.approx(0.02)
    gaps = metrics.error_gaps([0.07, 0.08, 0.10, 0.10, 0.10])
    assert gaps["avoidable bias"] == pytest.approx(0.01) and gaps["variance"] == pytest.approx(0.02)
    gaps = metrics.error_gaps([0, 0.01, 0.015, 0.10, 0.11])
    assert max(gaps, key=gaps.get) == "data mismatch"


# boxes and masks


def boxes(seed: int, count: int) -> np.ndarray:
    corners = np.random.default_rng(seed).integers(0, 20, (count, 2, 2))
    return np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1).astype(float)


@quick
@given(seeds, st.booleans())
def test_boxes_overlap_as_their_cells_do(seed, pixels):
    first, second = boxes(seed, 4), boxes(seed + 1, 3)
    found = overlap.box_iou(first, second, pixels)

    def cells(box: np.ndarray) -> np.ndarray:
        drawn = np.zeros((21, 21), dtype=bool)
        x1, y1, x2, y2 = box.astype(int)
        drawn[y1 : y2 + pixels, x1 : x2 + pixels] = True
        return drawn

    for i, one in enumerate(first):
        for j, other in enumerate(second):
            painted = [cells(one), cells(other)]
            wanted = overlap.mask_iou(*painted) if any(mask.any() for mask in painted) else 0.0
            assert found[i, j] == pytest.approx(wanted)


def test_the_boxes_of_the_dandelion():
    """*Principles and Practice* listing 5-1, sides counted in pixels: the best box overlaps the others by .526, .734, .446."""
    dandelion = np.array(
        [[204, 102, 358, 250], [257, 118, 380, 250], [280, 135, 400, 250], [255, 118, 360, 235]], float
    )
    table = overlap.box_iou(dandelion, dandelion, pixels=True)
    np.testing.assert_allclose(np.diag(table), 1)
    np.testing.assert_allclose(table, table.T)
    found = sorted(round(float(value), 3) for value in table[3, :3])
    assert found == [0.446, 0.526, 0.734]


def test_boxes_by_hand():
    found = overlap.box_iou(
        np.array([[0, 0, 2, 2.0], [5, 5, 5, 5]]), np.array([[1, 1, 3, 3.0], [2, 0, 4, 2], [5, 5, 5, 5]])
    )
    np.testing.assert_allclose(found, [[1 / 7, 0, 0], [0, 0, 0]])


@quick
@given(seeds, st.integers(1, 4))
def test_mean_iou_is_that_of_scikit_learn(seed, classes):
    generator = np.random.default_rng(seed)
    predictions, targets = generator.integers(0, classes, (2, 6, 5))
    present = np.union1d(predictions, targets)
    wanted = sklearn.jaccard_score(targets.ravel(), predictions.ravel(), average="macro", labels=present)
    assert overlap.mean_iou(predictions, targets, classes + 2) == pytest.approx(wanted)


def test_empty_masks_agree():
    empty, full = np.zeros((2, 2)), np.ones((2, 2))
    assert (
        overlap.mask_iou(empty, empty) == 1 and overlap.mask_iou(empty, full) == 0 and overlap.mask_iou(full, full) == 1
    )


def test_interpolated_average_precision_by_hand():
    """Right, wrong, right, right of four objects: precisions 1, 1/2, 2/3, 3/4 at recalls 1/4, 1/4, 1/2, 3/4."""
    precisions, recalls = np.array([1, 1 / 2, 2 / 3, 3 / 4]), np.array([1, 1, 2, 3]) / 4
    # the best precision to come: 1 to recall 1/4, then 3/4 to 3/4, then none
    assert overlap.interpolated_average_precision(precisions, recalls) == pytest.approx(1 / 4 + 3 / 4 * 2 / 4)
    # 0, .1, .2 have 1; .3 to .7 have 3/4; .8, .9, 1 nothing
    assert overlap.interpolated_average_precision(precisions, recalls, 11) == pytest.approx((3 + 5 * 3 / 4) / 11)
    assert overlap.interpolated_average_precision(np.ones(10), np.arange(1, 11) / 10, 11) == pytest.approx(1)


@quick
@given(seeds, st.integers(5, 40))
def test_interpolation_never_lowers_the_average_precision(seed, rows):
    generator = np.random.default_rng(seed)
    scores, positive = generator.normal(size=rows), np.append(1, generator.integers(0, 2, rows - 1))
    curve = metrics.precision_recall_curve(scores, positive)
    area = overlap.interpolated_average_precision(*curve)
    assert area >= metrics.average_precision(scores, positive) - 1e-12
    best = [max(p for p, r in zip(*curve, strict=True) if r >= at - 1e-12) for at in np.linspace(0, 1, 11)]
    assert overlap.interpolated_average_precision(*curve, 11) == pytest.approx(np.mean(best))


def test_an_object_counts_once():
    object_, near, far = [0, 0, 10, 10], [1, 0, 10, 10], [50, 50, 60, 60]
    found = overlap.detection_average_precision(
        [np.array([object_, near, far], float), np.array([far], float)],
        [np.array([0.9, 0.8, 0.7]), np.array([0.95])],
        [np.array([object_, far], float), np.array([object_], float)],
    )
    # by score: wrong (picture 2), right, wrong (again), right: precisions 0, 1/2, 1/3, 1/2 at recalls 0, 1/3, 1/3, 2/3
    assert found == pytest.approx(2 / 3 * 1 / 2)
    assert overlap.detection_average_precision([np.zeros((0, 4))], [np.zeros(0)], [np.ones((1, 4))]) == 0


# texts


@functools.cache
def recursive(first: str, second: str) -> int:
    if not first or not second:
        return len(first) + len(second)
    return min(
        recursive(first[1:], second) + 1,
        recursive(first, second[1:]) + 1,
        recursive(first[1:], second[1:]) + (first[0] != second[0]),
    )


words = st.text("abc", max_size=6)


@quick
@given(words, words, words)
def test_edit_distance_is_its_definition(one, two, three):
    distance = edit_distance.edit_distance
    assert distance(one, two) == recursive(one, two) == distance(two, one)
    assert distance(one, three) <= distance(one, two) + distance(two, three)
    assert (distance(one, two) == 0) == (one == two)


def test_error_rates_by_hand():
    assert edit_distance.edit_distance("kitten", "sitting") == 3
    assert edit_distance.edit_distance("今天天气", "今日天气好") == 2
    # 1 substitution, 1 deletion, 1 insertion of 6 words
    outputs, targets = ["the cat sad on mat today"], ["the cat sat on the mat"]
    assert edit_distance.word_error_rate(outputs, targets) == pytest.approx(3 / 6)
    assert edit_distance.character_error_rate(["abd", "x"], ["abc", "xy"]) == pytest.approx(2 / 5)
    # rates of all texts together, not the mean of the rates
    assert edit_distance.word_error_rate(["a b c d", "y"], ["a b c d", "x"]) == pytest.approx(1 / 5)
    assert edit_distance.word_error_rate(["a b c"], ["d"]) == 3
    with pytest.raises(ValueError, match="nothing to compare with"):
        edit_distance.word_error_rate(["a"], [" "])
