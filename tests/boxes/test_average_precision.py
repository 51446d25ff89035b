"""Average precision against faster-coco-eval, against VOC's rule as a slow loop, and by hand."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
import torch

from gradus.boxes.average_precision import (
    all_classes_curve,
    area,
    best_score_from_counts,
    best_threshold,
    class_curves,
    coco_average_precision,
    curve_of,
    detection_metrics,
    eleven_points,
    per_class,
    precision_from_counts,
    voc_matches,
)
from gradus.boxes.matching import match_counts
from gradus.boxes.pool import pool_objects
from gradus.boxes.targets import stack_objects
from gradus.data.columns import Objects
from gradus.reference.overlap import detection_average_precision

CLASSES = ("a", "b", "c")


def random_scenes(seed: int, pictures: int = 12, ignored: float = 0.15) -> tuple[list[Objects], list[Objects]]:
    """Given objects, and found ones: some near them, some twice, some elsewhere; integer sides and coarse scores make ties."""
    random = np.random.default_rng(seed)
    found, given = [], []
    for _ in range(pictures):
        number = int(random.integers(0, 7))
        corner = random.integers(0, 150, (number, 2))
        boxes = np.concatenate([corner, corner + random.choice([12, 24, 40, 90, 140], (number, 2))], axis=1)
        labels = random.integers(0, len(CLASSES), number)
        crowd = random.random(number) < ignored
        given.append(Objects.of(boxes, labels, crowd))
        chosen = random.integers(0, number, int(random.integers(0, 3 * number + 1))) if number else np.zeros(0, int)
        near = boxes[chosen] + random.integers(-4, 5, (len(chosen), 4))
        kinds = np.where(random.random(len(chosen)) < 0.8, labels[chosen], random.integers(0, 3, len(chosen)))
        corner = random.integers(0, 150, (3, 2))
        near = np.concatenate([near, np.concatenate([corner, corner + 30], axis=1)])
        near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 1)
        kinds = np.concatenate([kinds, random.integers(0, 3, 3)])
        found.append(Objects.of(near, kinds, scores=random.integers(1, 12, len(near)) / 12))
    return found, given


def coco_says(found: list[Objects], given: list[Objects]) -> np.ndarray:
    """The twelve numbers of COCO's own program."""
    from faster_coco_eval import COCO, COCOeval_faster

    def record(picture: int, one: Objects, index: int) -> dict:
        left, top, right, bottom = (float(side) for side in one.boxes[index])
        label = int(one.labels[index]) + 1
        return {"image_id": picture, "category_id": label, "bbox": [left, top, right - left, bottom - top]}

    annotations = []
    for picture, one in enumerate(given, start=1):
        for index in range(len(one)):
            made = record(picture, one, index)
            made |= {"id": len(annotations) + 1, "area": made["bbox"][2] * made["bbox"][3]}
            annotations.append(made | {"iscrowd": int(one.ignored[index])})
    images = [{"id": picture, "width": 400, "height": 400} for picture in range(1, len(given) + 1)]
    categories = [{"id": number, "name": name} for number, name in enumerate(CLASSES, start=1)]
    results = [
        record(picture, one, index) | {"score": float(one.scores[index])}
        for picture, one in enumerate(found, start=1)
        for index in range(len(one))
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO({"images": images, "annotations": annotations, "categories": categories})
        judged = COCOeval_faster(truth, truth.loadRes(results), "bbox")
        judged.evaluate()
        judged.accumulate()
        judged.summarize()
    return np.asarray(judged.stats)


COCO_NAMES = {0: "map", 2: "map75", 3: "map_small", 4: "map_medium", 5: "map_large"}
COCO_NAMES |= {6: "recall_at_1", 7: "recall_at_10", 8: "recall_at_100"}


@pytest.mark.parametrize("seed", range(25))
def test_as_faster_coco_eval(seed):
    pytest.importorskip("faster_coco_eval", reason="pip install faster-coco-eval")
    found, given = random_scenes(seed, ignored=(0, 0.15, 0.5)[seed % 3])
    theirs, mine = coco_says(found, given), detection_metrics(found, given, CLASSES)
    for place, name in COCO_NAMES.items():
        if theirs[place] < 0:
            assert name not in mine or not sum((~one.ignored).sum() for one in given)
        else:
            assert mine[name] == pytest.approx(theirs[place], abs=1e-9), name


def test_more_than_a_hundred_detections_as_faster_coco_eval():
    pytest.importorskip("faster_coco_eval", reason="pip install faster-coco-eval")
    random = np.random.default_rng(0)
    given = [Objects.of([[10, 10, 60, 60], [100, 100, 180, 190]], [0, 0])]
    corners = random.integers(0, 120, (150, 2))
    boxes = np.concatenate([np.concatenate([corners, corners + 50], axis=1), [[10, 10, 60, 61]]])
    scores = np.append(random.random(150) / 2 + 0.5, 0.1)
    found = [Objects.of(boxes, np.zeros(151), scores=scores)]
    assert detection_metrics(found, given, CLASSES)["map"] == pytest.approx(coco_says(found, given)[0], abs=1e-9)


def slow_voc(found: list[Objects], given: list[Objects], label: int, points: bool) -> float:
    """Average precision of one class as VOC's development kit describes it, one detection at a time."""
    total = sum(int(((one.labels == label) & ~one.ignored).sum()) for one in given)
    rows = [
        (one.scores[index], picture, one.boxes[index])
        for picture, one in enumerate(found)
        for index in range(len(one))
        if one.labels[index] == label
    ]
    taken, hits, errors, precisions, recalls = set(), 0, 0, [], []
    for _, picture, box in sorted(rows, key=lambda row: -row[0]):
        most, which = 0.0, None
        for index, other in enumerate(given[picture].boxes):
            if given[picture].labels[index] != label:
                continue
            width = min(box[2], other[2]) - max(box[0], other[0])
            height = min(box[3], other[3]) - max(box[1], other[1])
            shared = float(max(width, 0)) * float(max(height, 0))
            sides = [float(one[2] - one[0]) * float(one[3] - one[1]) for one in (box, other)]
            overlap = shared / (sum(sides) - shared)
            if overlap > most:
                most, which = overlap, index
        if which is not None and most >= 0.5:
            if given[picture].ignored[which]:
                continue
            right = (picture, which) not in taken
            taken.add((picture, which))
        else:
            right = False
        hits, errors = hits + right, errors + (not right)
        precisions.append(hits / (hits + errors))
        recalls.append(hits / total if total else 0)
    if points:
        steps = [
            max((p for p, r in zip(precisions, recalls, strict=True) if r >= k / 10 - 1e-12), default=0)
            for k in range(11)
        ]
        return sum(steps) / 11
    area, before = 0.0, 0.0
    for index, recall in enumerate(recalls):
        area += (recall - before) * max(precisions[index:])
        before = recall
    return area


@pytest.mark.parametrize("seed", range(12))
def test_as_the_development_kit_of_voc(seed):
    found, given = random_scenes(seed)
    pool = pool_objects(found, given, len(CLASSES))
    for label, curve in enumerate(class_curves(pool, voc_matches(pool))):
        if not curve.objects:
            assert np.isnan(area(curve))
            continue
        assert area(curve) == pytest.approx(slow_voc(found, given, label, points=False), abs=1e-12)
        assert eleven_points(curve) == pytest.approx(slow_voc(found, given, label, points=True), abs=1e-12)


@pytest.mark.parametrize("points", [None, 11])
def test_as_the_reference_where_nothing_is_ignored(points):
    found, given = random_scenes(5, ignored=0)
    pool = pool_objects(found, given, len(CLASSES))
    for label, curve in enumerate(class_curves(pool, voc_matches(pool))):
        mine = [one.take(np.flatnonzero(one.labels == label)) for one in found]
        mine = [one.take(np.argsort(-one.scores, kind="stable")) for one in mine]
        truths = [one.boxes[one.labels == label] for one in given]
        theirs = detection_average_precision(
            [one.boxes for one in mine], [one.scores for one in mine], truths, 0.5, points
        )
        assert (area(curve) if points is None else eleven_points(curve)) == pytest.approx(theirs, abs=1e-12)


def test_the_two_rules_differ_where_an_object_is_already_taken():
    """Both detections overlap the first object most; by COCO's rule the second may stand for the other."""
    given = [Objects.of([[0, 0, 10, 10], [0, 0, 10, 14]], [0, 0])]
    found = [Objects.of([[0, 0, 10, 10], [0, 0, 10, 11]], [0, 0], scores=[0.9, 0.8])]
    metrics = detection_metrics(found, given, CLASSES)
    assert metrics["map50"] == 0.5
    precision = coco_average_precision(pool_objects(found, given, 3)).precision
    assert precision[0, 0, 0] == 1


def test_edges():
    nothing = Objects.of([], [])
    one = Objects.of([[0, 0, 10, 10]], [1])
    sure = Objects.of([[0, 0, 10, 10]], [1], scores=[0.5])
    assert set(detection_metrics([], [], CLASSES).values()) == {0.0}
    assert detection_metrics([nothing, sure], [nothing, nothing], CLASSES)["map50"] == 0
    assert detection_metrics([Objects.of([], [], scores=[])], [one], CLASSES)["map"] == 0
    metrics = detection_metrics([sure, sure], [nothing, one], CLASSES)
    assert metrics["map50"] == 0.5 and metrics["recall_at_1"] == 1 and "map_large" not in metrics
    only_ignored = Objects.of([[0, 0, 10, 10]], [1], [True])
    assert detection_metrics([sure], [only_ignored], CLASSES)["map50"] == 0
    left_out = voc_matches(pool_objects([sure], [only_ignored], 3))
    assert not left_out.right.any() and not left_out.wrong.any()


def test_in_training_it_is_counted_by_the_same_rule():
    found, given = random_scenes(3)
    objects = stack_objects(given)
    most = max(map(len, found))
    detections = torch.zeros(len(found), most, 6)
    detections[..., 4] = -1
    for row, one in zip(detections, found, strict=True):
        order = np.argsort(-one.scores, kind="stable")
        row[: len(one)] = torch.from_numpy(
            np.concatenate([one.boxes, one.labels[:, None], one.scores[:, None]], axis=1)[order]
        ).float()
    counts = {name: value.numpy() for name, value in match_counts(detections, objects, 3).items()}
    pool = pool_objects(found, given, 3)
    matches = voc_matches(pool)
    assert counts["right"].sum() == matches.right.sum() and counts["wrong"].sum() == matches.wrong.sum()
    binned = precision_from_counts(counts["right"], counts["wrong"], counts["objects"])
    exact = [area(curve) for curve in class_curves(pool, matches)]
    np.testing.assert_allclose(binned, exact, atol=0.1)  # equal scores are one step there
    _, f1 = best_threshold(all_classes_curve(pool, matches))
    score = best_score_from_counts(counts["right"], counts["wrong"], counts["objects"])
    assert score is not None
    kept = pool.score >= score
    assert 2 * matches.right[kept].sum() / (
        matches.wrong[kept].sum() + matches.right[kept].sum() + counts["objects"].sum()
    ) == (pytest.approx(f1, abs=0.02))
    assert best_score_from_counts(0 * counts["right"], counts["wrong"], counts["objects"]) is None


def test_the_best_score_of_counts_by_hand():
    """Two classes, ten bins, four objects: 0.9 right, 0.7 right, 0.6 wrong, 0.5 right, 0.1 wrong."""
    right, wrong = np.zeros((2, 10)), np.zeros((2, 10))
    right[0, 9] = right[1, 7] = right[0, 5] = wrong[1, 6] = wrong[0, 1] = 1
    assert best_score_from_counts(right, wrong, np.array([2, 2])) == 0.5  # 6/8, after 2/5, 4/6 and 4/7
    assert best_score_from_counts(right, wrong * 9, np.array([2, 2])) == 0.7  # 4/6 against 6/16


def test_the_best_threshold_keeps_what_makes_f1_highest():
    score, right = np.array([0.9, 0.8, 0.7, 0.6, 0.5]), np.array([True, True, False, True, False])
    curve = curve_of(score, right, ~right, 4)
    assert best_threshold(curve) == (0.6, 2 * 3 / (4 + 4))
    tied = curve_of(np.array([0.9, 0.9]), np.array([True, False]), np.array([False, True]), 1)
    assert best_threshold(tied) == (0.9, 2 / 3)  # no threshold lies within a tie
    assert best_threshold(curve_of(np.zeros(0), np.zeros(0), np.zeros(0), 1))[1] == 0


def test_the_table_by_class():
    given = [Objects.of([[0, 0, 10, 10], [20, 20, 60, 60]], [0, 1])]
    found = [Objects.of([[0, 0, 10, 10], [20, 20, 60, 50], [70, 70, 90, 90]], [0, 1, 1], scores=[0.9, 0.4, 0.2])]
    first, second, third = per_class(pool_objects(found, given, 3))
    assert first["ap50"] == first["ap"] == first["f1"] == 1 and first["threshold"] == pytest.approx(0.9)
    assert second["objects"] == 1 and second["found"] == 2 and second["threshold"] == pytest.approx(0.4)
    assert second["ap"] == pytest.approx(0.6)  # overlap 0.75: right at 0.5, 0.55, ..., 0.75
    assert np.isnan(third["ap50"]) and third["objects"] == 0 and third["f1"] == 0
