"""Checkpoints: what is saved is loaded, what is damaged is refused, and a save cut off anywhere leaves a whole one."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

from gradus.errors import UserError
from gradus.train import checkpoint
from gradus.train.checkpoint import Checkpoint, non_finite


def made(number: int) -> Checkpoint:
    """A checkpoint that tells its number in every file."""
    model = {"weight": torch.full((2, 3), float(number)), "steps": torch.tensor(number)}
    return Checkpoint(model, {"optimizer.exp_avg.weight": torch.full((2, 3), number / 4)}, {"epoch": number})


def number_of(found: Checkpoint) -> int:
    """The number of a checkpoint, having checked that its files belong together."""
    number = found.state["epoch"]
    assert torch.equal(found.model["weight"], torch.full((2, 3), float(number)))
    assert found.optimizer is not None
    assert torch.equal(found.optimizer["optimizer.exp_avg.weight"], torch.full((2, 3), number / 4))
    return number


def names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


# Round trips


@pytest.mark.parametrize(
    "dtype",
    [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.uint8, torch.bool],
    ids=str,
)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3, 1, 2)], ids=str)
def test_every_type_and_shape_comes_back_bit_equal(tmp_path, dtype, shape):
    tensor = (10 * torch.randn(shape, generator=torch.Generator().manual_seed(0))).to(dtype)
    checkpoint.save(tmp_path, "last", Checkpoint({"x": tensor}, {"y": tensor}, {}))
    found = checkpoint.load(tmp_path, "last")
    for loaded in (found.model["x"], (found.optimizer or {})["y"]):
        assert loaded.dtype == dtype and loaded.shape == tensor.shape and torch.equal(loaded, tensor)


def test_numbers_that_are_none_come_back_too(tmp_path):
    tensor = torch.tensor([float("nan"), float("inf"), -0.0])
    checkpoint.save(tmp_path, "last", Checkpoint({"x": tensor}, None, {}))
    found = checkpoint.load(tmp_path, "last").model["x"]
    assert torch.equal(found.view(torch.int32), tensor.view(torch.int32))


def test_the_memory_order_does_not_reach_the_file(tmp_path):
    plain = torch.randn(4, 3, 2, 2)
    checkpoint.save(tmp_path, "plain", Checkpoint({"x": plain}, None, {}))
    checkpoint.save(tmp_path, "last", Checkpoint({"x": plain.to(memory_format=torch.channels_last)}, None, {}))
    files = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("plain", "last")]
    assert files[0] == files[1]
    assert torch.equal(checkpoint.load(tmp_path, "last").model["x"], plain)


def test_tensors_that_share_their_storage_come_back_whole(tmp_path):
    base = torch.arange(12.0).view(3, 4)
    tensors = {"all": base, "again": base, "row": base[1], "turned": base.T, "every other": base[:, ::2]}
    checkpoint.save(tmp_path, "last", Checkpoint(tensors, None, {}))
    found = checkpoint.load(tmp_path, "last").model
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())


def test_a_model_comes_back_strictly(tmp_path):
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 2))
    model(torch.randn(3, 1, 3, 3))
    checkpoint.save(tmp_path, "best", Checkpoint(dict(model.state_dict()), None, {"value": 0.5}))
    found = checkpoint.load(tmp_path, "best")
    other = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 2))
    other.load_state_dict(found.model, strict=True)
    inputs = torch.randn(3, 1, 3, 3)
    assert torch.equal(model.eval()(inputs), other.eval()(inputs))
    assert found.optimizer is None and names(tmp_path / "best") == {"model.safetensors", "state.json"}


def test_the_state_comes_back_with_every_bit_of_its_numbers(tmp_path):
    state = {"a": 0.1 + 0.2, "b": [1e-300, 2**60, None, True], "c": {"猫": "x"}}
    checkpoint.save(tmp_path, "last", Checkpoint({}, {}, state))
    found = checkpoint.load(tmp_path, "last")
    assert found.state == state and found.model == {} and found.optimizer == {}


def test_a_state_that_json_cannot_hold_is_refused_before_anything_is_written(tmp_path):
    checkpoint.save(tmp_path, "last", made(1))
    with pytest.raises(ValueError):
        checkpoint.save(tmp_path, "last", Checkpoint({}, None, {"loss": float("nan")}))
    assert number_of(checkpoint.load(tmp_path, "last")) == 1 and names(tmp_path) == {"last"}


def test_saving_again_replaces_and_leaves_nothing_beside(tmp_path):
    for number in (1, 2, 3):
        checkpoint.save(tmp_path / "checkpoints", "last", made(number))
        assert number_of(checkpoint.load(tmp_path / "checkpoints", "last")) == number
        assert names(tmp_path / "checkpoints") == {"last"}


def test_the_files_of_a_checkpoint_that_had_more_are_gone(tmp_path):
    checkpoint.save(tmp_path, "last", made(1))
    checkpoint.save(tmp_path, "last", Checkpoint(made(2).model, None, {}))
    assert names(tmp_path / "last") == {"model.safetensors", "state.json"}


def test_saving_leaves_the_tensors_alone(tmp_path):
    weight = torch.randn(2, 3, 2, 2).to(memory_format=torch.channels_last).requires_grad_()
    before = weight.detach().clone()
    checkpoint.save(tmp_path, "last", Checkpoint({"w": weight}, None, {}))
    assert torch.equal(weight, before) and weight.requires_grad
    assert weight.is_contiguous(memory_format=torch.channels_last)


# Damage


def refused(folder: Path, name: str = "last") -> str:
    with pytest.raises(UserError) as told:
        checkpoint.load(folder, name)
    return str(told.value)


FILES = ["model.safetensors", "optimizer.safetensors", "state.json"]


def test_no_checkpoint_at_all(tmp_path):
    assert refused(tmp_path) == f"{tmp_path / 'last'}: there is no checkpoint"
    assert not checkpoint.exists(tmp_path, "last")
    checkpoint.save(tmp_path, "last", made(1))
    assert checkpoint.exists(tmp_path, "last") and not checkpoint.exists(tmp_path, "best")


@pytest.mark.parametrize("file", FILES)
def test_a_missing_file_is_named(tmp_path, file):
    checkpoint.save(tmp_path, "last", made(1))
    (tmp_path / "last" / file).unlink()
    message = refused(tmp_path)
    assert str(tmp_path / "last") in message and "damaged" in message and file in message


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("share", [0, 0.5, 0.99])
def test_a_truncated_file_is_refused(tmp_path, file, share):
    checkpoint.save(tmp_path, "last", made(1))
    path = tmp_path / "last" / file
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    message = refused(tmp_path)
    assert "damaged" in message and file in message


@pytest.mark.parametrize("file", FILES[:2])
def test_any_flipped_bit_of_the_tensors_is_refused(tmp_path, file):
    checkpoint.save(tmp_path, "last", made(1))
    path = tmp_path / "last" / file
    content = path.read_bytes()
    for place in range(0, len(content), 7):
        changed = bytearray(content)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        assert f"damaged ({file} is not what was saved)" in refused(tmp_path)
    path.write_bytes(content)
    assert number_of(checkpoint.load(tmp_path, "last")) == 1


def flipped_states(folder: Path) -> set[str]:
    """What loading gives for every flipped bit of state.json: "refused", "the same", "another", or the name of an error."""
    path = folder / "last" / "state.json"
    content = path.read_bytes()
    found = set()
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 1 << place % 7
        path.write_bytes(changed)
        try:
            found.add("the same" if checkpoint.load(folder, "last").state == {"epoch": 1} else "another")
        except UserError:
            found.add("refused")
        except Exception as error:
            found.add(type(error).__name__)
    path.write_bytes(content)
    return found


def test_a_flipped_bit_of_the_state_is_no_traceback(tmp_path):
    checkpoint.save(tmp_path, "last", made(1))
    assert flipped_states(tmp_path) <= {"refused", "the same", "another"}


def test_a_flipped_bit_of_the_state_is_not_taken_for_another_state(tmp_path):
    checkpoint.save(tmp_path, "last", made(1))
    assert "another" not in flipped_states(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        [],
        {"format": "1", "files": {}, "state": {}},
        {"format": 1, "files": {}, "state": {}},
        {"format": 1, "files": [], "state": {}},
        {"format": 1, "files": {"model.safetensors": {}}, "state": {}},
    ],
    ids=repr,
)
def test_json_of_another_shape_is_damage(tmp_path, content):
    checkpoint.save(tmp_path, "last", made(1))
    (tmp_path / "last" / "state.json").write_text(json.dumps(content))
    assert "damaged" in refused(tmp_path)


def rewrite(folder: Path, **changes: object) -> None:
    path = folder / "state.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_newer_format_is_told_apart_from_damage(tmp_path):
    checkpoint.save(tmp_path, "last", made(1))
    rewrite(tmp_path / "last", format=checkpoint.FORMAT + 1)
    message = refused(tmp_path)
    assert "newer version of gradus" in message and f"format {checkpoint.FORMAT + 1}" in message
    assert "damaged" not in message


def test_bytes_that_are_no_safetensors_are_refused(tmp_path):
    checkpoint.save(tmp_path, "last", made(1))
    path = tmp_path / "last" / "model.safetensors"
    path.write_bytes(b"\x80\x04K\x01.")  # a pickle, listed as if it had been saved
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    files = json.loads((tmp_path / "last" / "state.json").read_text())["files"]
    rewrite(tmp_path / "last", files={**files, "model.safetensors": {"bytes": 5, "sha256": digest}})
    assert "model.safetensors is not a safetensors file" in refused(tmp_path)


# Killed in the middle of a save


def partial(folder: Path) -> None:
    """What a kill leaves while a checkpoint is written: the first file cut, the others not there yet."""
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"\x10\x00")


def whole(folder: Path, number: int) -> None:
    checkpoint.save(folder.parent, folder.name, made(number))


@pytest.mark.parametrize(
    ("last", "new", "old", "wanted"),
    [
        # number of the whole checkpoint there, "partial", or None -> the one that must be found
        (1, "partial", None, 1),  # killed while the new one was written
        (1, 2, None, 1),  # killed before the first rename
        (None, 2, 1, 2),  # killed between the renames
        (2, None, 1, 2),  # killed before the old one was removed
        (None, 2, None, 2),  # the first save, killed before its only rename
        (1, None, None, 1),
        (None, "partial", 1, 1),
        (None, None, 1, 1),
        (2, "partial", 1, 2),  # killed again, in the save after that
    ],
)
def test_a_kill_leaves_a_whole_checkpoint_and_the_next_save_works(tmp_path, last, new, old, wanted):
    for name, content in (("last", last), (".last.new", new), (".last.old", old)):
        if content == "partial":
            partial(tmp_path / name)
        elif content is not None:
            whole(tmp_path / name, content)
    before = names(tmp_path)
    assert checkpoint.exists(tmp_path, "last")
    assert number_of(checkpoint.load(tmp_path, "last")) == wanted
    assert names(tmp_path) == before  # reading repairs nothing: another process may be writing
    checkpoint.save(tmp_path, "last", made(9))
    assert number_of(checkpoint.load(tmp_path, "last")) == 9 and names(tmp_path) == {"last"}


@pytest.mark.parametrize(
    ("last", "new", "old", "kept"),
    [
        (1, "partial", None, {"last": 1}),
        (1, 2, 3, {"last": 1}),
        (None, 2, 1, {"last": 2}),
        (None, "partial", 1, {"last": 1}),
        (None, "partial", None, {}),  # killed in the first save
        ("partial", 2, None, {"last": "partial", ".last.new": 2}),  # damaged: what is whole beside it is kept, and read
    ],
)
def test_sweeping_keeps_what_can_be_read(tmp_path, last, new, old, kept):
    for name, content in (("last", last), (".last.new", new), (".last.old", old)):
        if content == "partial":
            partial(tmp_path / name)
        elif content is not None:
            whole(tmp_path / name, content)
    checkpoint.sweep(tmp_path, "last")
    assert names(tmp_path) == set(kept)
    numbers = [content for content in kept.values() if content != "partial"]
    assert checkpoint.is_whole(tmp_path, "last") == bool(numbers)
    if numbers:
        assert number_of(checkpoint.load(tmp_path, "last")) == numbers[0]


def test_a_run_that_was_removed_does_not_come_back_in_pieces(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        checkpoint.save(tmp_path / "run" / "checkpoints", "last", made(1))
    assert not names(tmp_path)


class Killed(BaseException):
    """Stands in for a kill: nothing catches it."""


def save_until(call: int, folder: Path, number: int) -> bool:
    """Saves, and is killed in the change of the disk numbered `call`; tells whether the save came to its end.

    A file is then half written, a folder half removed, and nothing renamed or made.
    """
    changes = 0

    def half_written(path: Path, content: bytes) -> None:
        path.write_bytes(content[: len(content) // 2])

    def half_removed(path: Path, **options: bool) -> None:
        for file in sorted(Path(path).glob("*"))[:1]:
            file.unlink()

    def counted(function, half=lambda *arguments, **options: None):
        def run(*arguments, **options):
            nonlocal changes
            if changes == call:
                half(*arguments, **options)
                raise Killed
            changes += 1
            return function(*arguments, **options)

        return run

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(checkpoint, "write_synced", counted(checkpoint.write_synced, half_written))
        patched.setattr(checkpoint, "sync_folder", counted(checkpoint.sync_folder))
        patched.setattr(os, "rename", counted(os.rename))
        patched.setattr(os, "mkdir", counted(os.mkdir))
        patched.setattr(shutil, "rmtree", counted(shutil.rmtree, half_removed))
        try:
            checkpoint.save(folder, "last", made(number))
        except Killed:
            return False
    return True


def test_a_kill_in_any_change_of_the_disk_leaves_a_whole_checkpoint(tmp_path):
    found = []
    for call in range(100):
        folder = tmp_path / str(call)
        checkpoint.save(folder, "last", made(1))
        finished = save_until(call, folder, 2)
        found.append(number_of(checkpoint.load(folder, "last")))
        checkpoint.save(folder, "last", made(3))
        assert number_of(checkpoint.load(folder, "last")) == 3 and names(folder) == {"last"}
        if finished:
            break
    assert len(found) > 8  # a folder, three files and two renames at least
    assert (
        found == sorted(found) and found[0] == 1 and found[-1] == 2
    )  # the old one up to some change, then the new one


def test_two_kills_in_a_row_leave_a_whole_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda file: None)  # a kill, not a power cut: waiting for the disk adds nothing
    for first in range(12):
        for second in range(12):
            folder = tmp_path / f"{first}-{second}"
            checkpoint.save(folder, "last", made(1))
            save_until(first, folder, 2)
            before = number_of(checkpoint.load(folder, "last"))
            save_until(second, folder, 3)
            assert before <= number_of(checkpoint.load(folder, "last")) <= 3


# A full disk


def full_at(monkeypatch: pytest.MonkeyPatch, file: str) -> None:
    """From now on the disk is full when `file` of a checkpoint is written, after half of it."""
    write = checkpoint.write_synced

    def write_synced(path: Path, content: bytes) -> None:
        if path.name == file:
            write(path, content[: len(content) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        write(path, content)

    monkeypatch.setattr(checkpoint, "write_synced", write_synced)


@pytest.mark.parametrize("file", FILES)
def test_a_full_disk_leaves_the_last_checkpoint_and_says_what_is_missing(tmp_path, monkeypatch, file):
    checkpoint.save(tmp_path, "last", made(1))
    size = sum(path.stat().st_size for path in (tmp_path / "last").iterdir())
    with monkeypatch.context() as patched:
        full_at(patched, file)
        patched.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(100, 88, 1234))
        with pytest.raises(UserError) as told:
            checkpoint.save(tmp_path, "last", made(2))
    message = str(told.value)
    assert f"{tmp_path / 'last'}: the disk is full" in message
    assert f"{size:,} bytes needed" in message and "1,234 free" in message
    assert number_of(checkpoint.load(tmp_path, "last")) == 1 and names(tmp_path) == {"last"}
    checkpoint.save(tmp_path, "last", made(3))
    assert number_of(checkpoint.load(tmp_path, "last")) == 3


def test_a_full_disk_while_only_the_old_one_is_there_keeps_it(tmp_path, monkeypatch):
    whole(tmp_path / ".last.old", 1)
    partial(tmp_path / ".last.new")
    with monkeypatch.context() as patched:
        full_at(patched, "state.json")
        with pytest.raises(UserError, match="the disk is full"):
            checkpoint.save(tmp_path, "last", made(2))
    assert number_of(checkpoint.load(tmp_path, "last")) == 1


def test_a_full_disk_at_the_first_save_leaves_no_checkpoint(tmp_path, monkeypatch):
    full_at(monkeypatch, "state.json")
    with pytest.raises(UserError, match="the disk is full"):
        checkpoint.save(tmp_path, "last", made(1))
    assert not checkpoint.exists(tmp_path, "last")


def test_a_full_disk_while_only_the_new_one_is_there_keeps_it(tmp_path, monkeypatch):
    whole(tmp_path / ".last.new", 1)  # the first save, killed before its rename

    def rename(*arguments: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "rename", rename)
        with pytest.raises(UserError, match="the disk is full"):
            checkpoint.save(tmp_path, "last", made(2))
    assert number_of(checkpoint.load(tmp_path, "last")) == 1


def test_a_folder_that_may_not_be_written_is_told(tmp_path, monkeypatch):
    def write_synced(path: Path, content: bytes) -> None:
        raise OSError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(checkpoint, "write_synced", write_synced)
    with pytest.raises(UserError, match="cannot be written"):
        checkpoint.save(tmp_path, "last", made(1))


# Values that are not finite


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_the_first_tensor_that_is_not_finite_is_named(bad):
    tensors = {"a": torch.ones(2), "n": torch.tensor([1, 2]), "b": torch.ones(2, 2), "c": torch.ones(3)}
    assert non_finite(tensors) is None
    tensors["b"][1, 0] = tensors["c"][2] = bad
    assert non_finite(tensors) == "b"


def test_whole_numbers_and_empty_tensors_are_finite():
    assert non_finite({"a": torch.tensor(2**62), "b": torch.empty(0), "c": torch.tensor([True])}) is None
    assert non_finite({}) is None
