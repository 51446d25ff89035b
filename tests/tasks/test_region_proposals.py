"""Region proposals in the encoded data: kept on the disk, moved with the pictures, given to the models that take them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from gradus.data.augment.settings import AugmentSettings
from gradus.data.columns import Boxes, Column, Image, Objects
from gradus.data.dataset import Dataset, Split
from gradus.errors import UserError
from gradus.models.detection.predictions import ProposedPictures
from gradus.tasks import proposals as proposals_file
from gradus.tasks.detection import BoxOptions, DetectionTask
from gradus.tasks.proposals import proposals_of
from gradus.tasks.scenes import SceneInputs, SceneOptions


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GRADUS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "proposals"


def pictures(count: int = 3, channels: int = 3) -> Column:
    """Each 60 wide and 30 high with a bright rectangle from (10, 5) to (30, 25)."""
    random = np.random.default_rng(0)
    values = random.integers(0, 30, (count, 30, 60, channels)).astype(np.uint8)
    values[:, 5:25, 10:30] = 220
    return Column(Image(channels=channels), list(values))


def task_of(**options: object) -> tuple[DetectionTask, Split]:
    column = pictures()
    things = [Objects.of([[10, 5, 30, 25]], [0]) for _ in range(len(column))]
    split = Split({"image": column, "objects": Column(Boxes(classes=("thing",)), things)}, ["a", "b", "c"])
    task = DetectionTask(SceneInputs(SceneOptions(image_size=(64, 64))), BoxOptions(**options))
    task.fit(Dataset("made", "made", {"train": split}, target="objects"))
    task.to_device(torch.device("cpu"))
    return task, split


def holds(boxes: Tensor, wanted: list[float], far: float) -> bool:
    return bool(((boxes - torch.tensor(wanted)).abs().amax(dim=-1) <= far).any())


def test_the_same_boxes_come_from_the_disk(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    first, note = proposals_of(pictures(), 20, said.append)
    assert first.shape == (3, 20, 4) and first.dtype == torch.float32
    assert note.startswith("region proposals of 3 pictures computed in") and str(cache) in note
    assert len(list(cache.iterdir())) == 3
    assert all(holds(row, [10, 5, 30, 25], 2) for row in first)
    monkeypatch.setattr(proposals_file, "propose", None)  # it would fail if it were asked
    again, note = proposals_of(pictures(), 20)
    assert torch.equal(first, again) and note == ""


def test_a_damaged_file_is_computed_anew_and_other_settings_have_other_files(cache: Path) -> None:
    first, _ = proposals_of(pictures(1), 20)
    (file,) = cache.iterdir()
    for content in (b"", file.read_bytes()[:-7], b"not an array"):
        file.write_bytes(content)
        again, note = proposals_of(pictures(1), 20)
        assert torch.equal(first, again) and note
    fewer, note = proposals_of(pictures(1), 3)
    assert fewer.shape == (1, 3, 4) and note
    assert len(list(cache.iterdir())) == 2


def test_it_is_done_without_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GRADUS_CACHE", str(tmp_path / "file"))
    assert holds(proposals_of(pictures(1, channels=1), 20)[0][0], [10, 5, 30, 25], 2)


def test_one_process_and_several_find_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    several, _ = proposals_of(pictures(), 10)
    monkeypatch.setenv("GRADUS_CACHE", str(tmp_path / "other"))
    monkeypatch.setattr(proposals_file.os, "sched_getaffinity", lambda process: {0}, raising=False)
    assert torch.equal(several, proposals_of(pictures(), 10)[0])


def test_killed_workers_are_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    def die_in_a_worker(picture: np.ndarray, most: int) -> np.ndarray:
        if os.getpid() != mine:
            os._exit(9)
        return np.array([[1, 2, 3, 4]], np.float32)

    mine = os.getpid()
    monkeypatch.setattr(proposals_file, "propose", die_in_a_worker)
    monkeypatch.setattr(proposals_file.os, "sched_getaffinity", lambda process: {0, 1}, raising=False)
    found, _ = proposals_of(pictures(), 2)
    assert found[:, 0].tolist() == 3 * [[1, 2, 3, 4]]


def test_proposals_are_moved_with_the_pictures() -> None:
    """64x64 with bands above and below: 60 pixels become 64, and 16 rows stand above."""
    task, split = task_of(proposals=30)
    batch = task.encode(split)
    assert batch["proposals"].shape == (3, 30, 4)
    assert any(note.startswith("region proposals of 3 pictures") for note in task.notes)
    inputs, objects = task.prepare(batch, training=False)
    assert isinstance(inputs, ProposedPictures) and inputs.shape == (3, 3, 64, 64) and len(inputs) == 3
    scale = 64 / 60
    wanted = [10 * scale, 16 + 5 * scale, 30 * scale, 16 + 25 * scale]
    torch.testing.assert_close(objects[0, 0, :4], torch.tensor(wanted))
    assert all(holds(row, wanted, 2) for row in inputs.proposals)
    flipped = task.augmented(AugmentSettings(flip_horizontal=1.0), batch)
    flipped.to_device(torch.device("cpu"))
    inputs, objects = flipped.prepare(batch, training=True)
    assert objects[0, 0, 0] == pytest.approx(64 - wanted[2])
    assert all(holds(row, objects[0, 0, :4].tolist(), 2) for row in inputs.proposals)
    pixels = inputs.pictures[0, 0]
    left, top, right, bottom = (round(float(side)) for side in objects[0, 0, :4])
    assert pixels[top + 2 : bottom - 2, left + 2 : right - 2].min() > pixels[:, : left - 2].max()


def test_rows_without_boxes_stay_empty() -> None:
    task, split = task_of(proposals=200)
    batch = task.encode(split)
    empty = (batch["proposals"] == 0).all(dim=2)
    assert empty.any()
    inputs, _ = task.prepare(batch, training=False)
    sides = inputs.proposals[..., 2:] - inputs.proposals[..., :2]
    assert (sides.prod(dim=2)[empty] == 0).all() and (sides[~empty] > 0).all()


def test_without_the_option_there_are_none() -> None:
    task, split = task_of()
    batch = task.encode(split)
    assert "proposals" not in batch
    assert isinstance(task.prepare(batch, training=False)[0], Tensor)
    with pytest.raises(UserError, match="proposals"):
        BoxOptions(proposals=-1)
