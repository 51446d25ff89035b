"""Baselines on scenes: answers that do not look at the picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scenes_made import scenes

from gradus.boxes.targets import stack_objects
from gradus.data.columns import Objects
from gradus.tasks.scene_baselines import same_boxes, usual_classes
from gradus.tasks.settings import TaskSettings
from gradus.tasks.table import create_task


def places(*sizes: tuple[int, int]) -> torch.Tensor:
    return torch.tensor([(height, width, 1, 1, 0, 0) for height, width in sizes], dtype=torch.float32)


def test_the_same_boxes_are_where_objects_usually_are_in_shares_of_the_picture():
    given = [Objects.of([[10, 10, 20, 20]], [1]), Objects.of([[20, 20, 40, 40]], [1]), Objects.of([[0, 0, 5, 5]], [0])]
    train = {"targets": stack_objects(given), "places": places((100, 100), (200, 200), (100, 100))}
    found = same_boxes(train, places((50, 100), (100, 100)), 3)
    assert found.shape == (2, 2, 6)
    np.testing.assert_allclose(found[0, 0], [10, 5, 20, 10, 1, 2 / 3], rtol=1e-6)  # in two of three training pictures
    np.testing.assert_allclose(found[1, 1], [0, 0, 5, 5, 0, 1 / 3], rtol=1e-6)


def test_the_usual_classes_of_masks():
    masks = torch.tensor([[[0, 1], [2, 255]], [[0, 1], [1, 255]], [[0, 0], [2, 255]], [[1, 1], [2, 255]]])
    most, of_place = usual_classes(masks, 3)
    assert most == 1
    np.testing.assert_array_equal(of_place, [[0, 1], [2, 1]])  # nothing is known of the last place


@pytest.mark.parametrize("target", ["objects", "mask"])
def test_tasks_have_baselines_under_the_names_of_their_metrics(target):
    dataset = scenes(12, 6, target=target)
    task = create_task(
        TaskSettings(name="object-detection" if target == "objects" else "semantic-segmentation"), dataset
    )
    encoded = {name: task.encode(dataset[name]) for name in ("train", "test")}
    found = task.baselines(encoded["train"], encoded["test"])
    metric = task.primary[0]
    assert len(found) == (1 if target == "objects" else 2)
    assert all(0 <= values[metric] < 0.5 for values in found.values())
    if target == "mask":
        whole = found["the most frequent class"]
        assert whole["pixel_accuracy"] == pytest.approx(float((encoded["test"]["targets"] == 0).float().mean()))
