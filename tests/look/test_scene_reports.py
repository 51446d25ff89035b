"""Reports of detectors and segmenters: the sentence, its interval, why it is not better, the worst pictures; and odd results."""

from __future__ import annotations

import re

import made
import numpy as np
import pytest
from scenes_made import GROUND, SHAPES, scenes

from gradus.boxes.average_precision import area, class_curves, pool_metrics, voc_matches
from gradus.boxes.pool import pool_objects
from gradus.data.columns import Objects
from gradus.look.content import ReportContent
from gradus.look.measures import confidence_interval, map50_of_pictures
from gradus.look.report import page
from gradus.masks.measures import measures_of
from gradus.tasks.assessment import DetectionAssessment, SegmentationAssessment

PICTURES = 12
DATA = {"name": "scenes", "about": "", "splits": {"train": 1, "test": PICTURES}, "columns": [], "notes": []}


def shaken(given: list[Objects], seed: int = 0) -> list[Objects]:
    """Answers as a fair detector gives them: most objects, moved a little, some twice, some of the wrong class, and others."""
    random = np.random.default_rng(seed)
    found = []
    for one in given:
        boxes = np.concatenate([one.boxes, one.boxes[:1]]) + random.normal(0, 2.5, (len(one) + 1, 4))
        boxes = np.concatenate([boxes, [[1, 1, 9, 9]]])
        labels = np.concatenate([one.labels, one.labels[:1], [0]])
        labels = np.where(random.random(len(labels)) < 0.2, 1 - labels, labels)
        kept = random.random(len(labels)) < 0.85
        found.append(Objects.of(boxes[kept], labels[kept], scores=random.random(kept.sum())))
    return found


def detection(found=None, classes: tuple[str, ...] = SHAPES) -> ReportContent:
    split = scenes(1, PICTURES)["test"]
    given = list(split["objects"])
    found = shaken(given) if found is None else found
    assessment = DetectionAssessment(classes=classes, predictions=found, targets=given)
    assessment.metrics.update(pool_metrics(assessment.pool))
    parts = made.common(
        data=DATA, title="grid_detector on scenes", task="object-detection", primary=("map50", "max"), assessment=assessment,
        examples=split, target="objects", history=made.history(4, "map50"),
        baselines={"the same boxes on every picture": {"map50": 0.02}},
    )  # fmt: skip
    return ReportContent(**parts)


def segmentation(examples: bool = True, classes: tuple[str, ...] = GROUND) -> ReportContent:
    split = scenes(1, PICTURES, target="mask")["test"]
    given = np.stack(list(split["mask"]))
    given[:, :3] = 255
    assessment = SegmentationAssessment(
        classes=classes, ignore=255, predictions=np.roll(np.where(given == 255, 0, given), 4, axis=2), targets=given
    )
    assessment.metrics.update(measures_of(assessment.confusions, assessment.boundaries))
    parts = made.common(
        data=DATA, title="unet on scenes", task="semantic-segmentation", primary=("miou", "max"), assessment=assessment,
        examples=split if examples else None, target="mask", history=made.history(4, "miou"),
        baselines={"the most frequent class": {"miou": 0.2}},
    )  # fmt: skip
    return ReportContent(**parts)


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", html))


def test_map50_of_chosen_pictures_is_that_of_a_data_set_of_them():
    content = detection()
    pool = content.assessment.pool
    statistic = map50_of_pictures(pool)
    assert statistic(np.arange(PICTURES)) == pytest.approx(content.assessment.metrics["map50"], abs=1e-12)
    random = np.random.default_rng(3)
    for _ in range(5):
        rows = np.sort(random.integers(PICTURES, size=PICTURES))
        found, given = (
            [part[row] for row in rows] for part in (content.assessment.predictions, content.assessment.targets)
        )
        again = pool_objects(found, given, len(SHAPES))
        expected = np.nanmean([area(curve) for curve in class_curves(again, voc_matches(again))])
        assert statistic(rows) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("make", [detection, segmentation])
def test_each_measure_of_pictures_has_an_interval_around_it(make):
    content = make()
    names = ["map50"] if make is detection else list(content.assessment.metrics)
    for metric in names:
        interval = confidence_interval(content.assessment, metric)
        assert interval is not None and content.assessment.metrics[metric] in interval, metric
        assert 0 < interval.high - interval.low < 0.6


def test_the_report_of_a_detector():
    content = detection()
    html = page(content)
    said = text_of(html)
    value = f"{100 * content.assessment.metrics['map50']:.1f}%"
    assert f"finds square and disc with a mAP@50 of {value} on 12 test pictures" in said
    assert "95% interval, bootstrap" in said and "clearly better than the best baseline" in said
    for identity in ("mistakes", "errors", "confidence", "examples"):
        assert f'<section id="{identity}">' in html and f'href="#{identity}"' in html
    assert "Most is lost by" in said and "--min-score" in said
    assert html.count("data:image/jpeg") == 8 and "MAP@50" not in said


def test_the_report_of_a_segmenter():
    content = segmentation()
    html = page(content)
    said = text_of(html)
    value = f"{100 * content.assessment.metrics['miou']:.1f}%"
    assert f"tells apart ground, square and disc with a mean IoU of {value} on 12 test pictures" in said
    assert "boundary F" in said and "Most pixels are lost where" in said
    assert html.count("data:image/jpeg") == 4 * 6
    assert 'href="#confidence"' not in html and 'href="#errors"' not in html
    assert "data:image/jpeg" not in page(segmentation(examples=False))


@pytest.mark.parametrize("kind", ["nothing found", "perfect", "hostile", "many"])
def test_reports_of_odd_results(kind):
    given = list(scenes(1, PICTURES)["test"]["objects"])
    nothing = [Objects.of([], [], scores=[]) for _ in given]
    exact = [Objects.of(one.boxes, one.labels, scores=np.full(len(one), 0.9)) for one in given]
    if kind == "nothing found":
        said = text_of(page(detection(nothing)))
        assert "mAP@50 of 0.0%" in said and "of 0 boxes" in said
    elif kind == "perfect":
        said = text_of(page(detection(exact)))
        assert "mAP@50 of 100.0%" in said and "next to nothing to gain" in said and "no picture with an error" in said
    elif kind == "hostile":
        for html in (page(detection(classes=made.HOSTILE[:2])), page(segmentation(classes=made.HOSTILE[:3]))):
            assert made.SCRIPT not in html and "\udc80" not in html
    else:
        classes = tuple(f"kind {number}" for number in range(30))
        said = text_of(page(detection(classes=classes)))
        assert "finds 30 kinds of objects" in said and "All 30 of them" in said
