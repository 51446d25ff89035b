"""Inside a save: killed anywhere, a checkpoint is the old one or the new one; what was damaged afterwards is refused."""

from __future__ import annotations

import random
import shutil
import signal
import time

import pytest
from moments import SAVING, number_of

from gradus.errors import UserError
from gradus.train import checkpoint

CALLS = {"snapshot": 2, "mkdir": 1, "write": 3, "fsync": 5, "rename": 2, "renamed": 2, "remove": 3}  # in one save


def whole_number(folder) -> int:
    """The number of the checkpoint that is there, having checked that none of its parts is of another one."""
    return number_of(checkpoint.load(folder, "last"))


def swept(folder) -> bool:
    checkpoint.sweep(folder, "last")
    return [entry.name for entry in folder.iterdir()] == ["last"]


def test_killed_in_every_change_of_the_disk(children, tally, times, tmp_path):
    """Half of the kills at a known change of the disk, at a random share of it, most upon what the one before left."""
    chance = random.Random(0)
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    assert children.run("call", "save_one", folder, 1).code == 0
    places = [(place, call) for place in SAVING for call in range(1, CALLS[place] + 1)]
    here = 1
    for number in range(2, 2 + times(len(places), 100)):
        place, call = places[number % len(places)]
        moment = {"at": place, "call": call, "signal": int(signal.SIGKILL), "share": chance.random()}
        before = sorted(entry.name for entry in folder.iterdir())
        ended = children.run("call", "save_one", folder, number, moments=[moment])
        what = f"{moment} upon {before}: {ended}"
        found = whole_number(folder)
        if ended.code == 0:  # the save upon that remainder makes fewer changes than that
            assert found == number, what
        else:
            assert ended.code == -signal.SIGKILL, what
            tally("SIGKILL inside save, at a known change", found in (here, number))
            assert found in (here, number), what
        here = found
        if chance.random() < 0.3:
            assert swept(folder) and whole_number(folder) == here, what
    assert swept(folder)


def test_killed_at_random_moments_of_a_save(children, tally, times, tmp_path):
    """Another process saves without pause, and is killed from outside after a random time; the numbers never go back."""
    chance, folder, here = random.Random(1), tmp_path / "checkpoints", 0
    folder.mkdir()
    for number in range(times(10, 100)):
        ready = tmp_path / f"ready-{number}"
        child = children.start("call", "save_on_and_on", folder, here + 1, ready)
        deadline = time.monotonic() + 120
        while not ready.exists() or not checkpoint.exists(folder, "last"):
            assert time.monotonic() < deadline
            time.sleep(0.001)
        time.sleep(chance.random() * 0.05)
        child.kill()
        assert child.end().code == -signal.SIGKILL
        found = whole_number(folder)
        tally("SIGKILL inside save, at a random time", found >= here)
        assert found >= here
        here = found
    assert swept(folder) and whole_number(folder) == here > 0


def test_a_reader_beside_a_writer(children, tally, times, tmp_path):
    """While one process replaces the checkpoint without pause, another one always reads a whole one, never an older one."""
    folder, ready = tmp_path / "checkpoints", tmp_path / "ready"
    folder.mkdir()
    assert children.run("call", "save_one", folder, 0).code == 0
    writer = children.start("call", "save_on_and_on", folder, 1, ready)
    try:
        reads = times(300, 5000)
        ended = children.run("call", "read_on_and_on", folder, reads)
    finally:
        writer.kill()
        writer.end()
    tally("reading while another process saves", ended.code == 0, reads)
    assert ended.code == 0, str(ended)
    assert int(ended.out) > 0  # the writer did write meanwhile


@pytest.fixture(scope="module")
def stopped(children, by_name, whole, tmp_path_factory):
    """A run that was killed in its third epoch."""
    run = tmp_path_factory.mktemp("stopped") / "run"
    moments = [{"at": "append", "call": 6, "signal": int(signal.SIGKILL)}]
    ended = children.run(*whole(by_name["dropout"]).arguments, "--out", run, moments=moments)
    assert ended.code == -signal.SIGKILL
    return run


@pytest.mark.parametrize("damage", ["a bit flipped", "cut"])
def test_damage_is_refused_and_named(damage, stopped, tally, times, tmp_path):
    """Every file of a checkpoint, at random places: refused, the file named. Never read as something else."""
    run = tmp_path / "run"
    shutil.copytree(stopped, run)
    for name in ("last", "best"):
        for path in sorted((run / "checkpoints" / name).iterdir()):
            content = path.read_bytes()
            original = checkpoint.load(run / "checkpoints", name)
            for number in range(times(20, 200)):
                chance = random.Random(f"{damage} {name} {path.name} {number}")
                place = chance.randrange(len(content))
                changed = bytearray(content[:place] if damage == "cut" else content)
                if damage != "cut":
                    changed[place] ^= 1 << chance.randrange(8)
                path.write_bytes(changed)
                try:
                    same = checkpoint.load(run / "checkpoints", name).state == original.state and path.suffix == ".json"
                    refused = same  # a changed blank or a digit of the layout: nothing else was read than was saved
                except UserError as error:
                    # a manifest that disagrees with a file does not tell which of the two was changed
                    refused = str(run) in str(error) and (path.name in str(error) or path.suffix == ".json")
                tally(f"checkpoint damaged: {damage}", refused)
                assert refused, f"{damage} at {place} of {path.name}"
            path.write_bytes(content)


def test_resume_says_what_can_be_done(stopped, children, by_name, whole, tally, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(stopped, run)
    model = {name: run / "checkpoints" / name / "model.safetensors" for name in ("last", "best")}
    content = {name: path.read_bytes() for name, path in model.items()}

    def refusal() -> str:
        ended = children.run("resume", run)
        assert ended.code == 2 and "Traceback" not in ended.error, str(ended)
        assert len(ended.error.splitlines()) == 1
        return ended.error

    model["last"].write_bytes(content["last"][:-1])
    told = refusal()
    assert "model.safetensors" in told and "best weights so far are whole" in told and "gradus train" in told
    assert children.run("eval", run).code == 0
    model["best"].write_bytes(content["best"][:-1])
    assert "start again" in refusal()
    again = children.run("train", run / "recipe.toml", "--out", tmp_path / "again")
    assert again.code == 0, str(again)  # what was advised works
    model["last"].write_bytes(content["last"])
    assert f"remove {run / 'checkpoints' / 'best'}" in refusal()
    shutil.rmtree(run / "checkpoints" / "best")
    assert children.run("resume", run).code == 0
    tally("resume of a damaged run says the way out")
