"""Several processes on one machine, really started, against one: the same gradients, losses, weights and files."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import one_of_several
import pytest
import torch
from safetensors.torch import load_file

from gradus.errors import UserError
from gradus.train import checkpoint, shards
from gradus.train.distributed import Part
from gradus.train.world import ALONE, World

torch_distributed = pytest.importorskip("torch.distributed")
pytestmark = [
    pytest.mark.skipif(not torch_distributed.is_available(), reason="this PyTorch has no torch.distributed"),
    pytest.mark.skipif(os.name == "nt", reason="signals and gloo as on POSIX"),
]

TRAIN = ["train", "digits-lenet5", "--device", "cpu", "--epochs", "5", "--batch-size", "32"]
TRAIN += ["--set", "train.checkpoint_seconds=0"]
SIZES = (2, 4)
ROOT = Path(__file__).parents[2]
COMPLETE = os.environ.get("GRADUS_CHAOS") == "1"  # ten kills in place of two


def environment(**more: str) -> dict[str, str]:
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **more}


def run_job(job: str, size: int, folder: Path) -> None:
    """Runs a job of `one_of_several.py` in `size` processes."""
    meeting = folder / f"meeting-{job}-{size}"
    processes = []
    for rank in range(size):
        told = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size), "LOCAL_WORLD_SIZE": str(size)}
        if sys.platform == "linux":
            told["GLOO_SOCKET_IFNAME"] = "lo"
        command = [sys.executable, one_of_several.__file__, job, str(folder)]
        kept = environment(**told, GRADUS_RENDEZVOUS=meeting.as_uri())
        processes.append(subprocess.Popen(command, env=kept, stderr=subprocess.PIPE, text=True))
    try:
        errors = [process.communicate(timeout=300)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0] * size, "\n".join(errors)


@pytest.fixture(scope="module")
def alone() -> dict:
    """What one process computes."""
    return {
        "gradients": one_of_several.all_gradients(ALONE, "ddp"),
        "regularized": one_of_several.all_regularized(ALONE, "ddp"),
        "losses": {"losses": one_of_several.hundred_losses(ALONE, "ddp")},
    }


@pytest.fixture(scope="module")
def trained_alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("alone") / "run"
    one_of_several.train(ALONE, "ddp", folder)
    return folder


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """The folders in which 2 and 4 processes have done `job_compute`."""
    folders = {}
    for size in SIZES:
        folders[size] = tmp_path_factory.mktemp(f"of-{size}")
        run_job("compute", size, folders[size])
    return folders


def difference(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Relative to the length of `expected`."""
    return float((found - expected).norm() / expected.norm().clamp(min=1e-300))


@pytest.mark.parametrize("kind", one_of_several.KINDS)
@pytest.mark.parametrize("size", SIZES)
def test_gradients_are_those_of_one_process(alone: dict, computed: dict[int, Path], size: int, kind: str):
    """In float64, within 1e-6 of each tensor's length: whole, short and tiny batches, in one part and in several."""
    found = load_file(computed[size] / f"{kind}-gradients.safetensors")
    assert found.keys() == alone["gradients"].keys()
    for name, expected in alone["gradients"].items():
        assert expected.norm() > 0 and difference(found[name], expected) < 1e-6, name


def test_one_batch_of_32_is_two_of_16_and_four_of_8(alone: dict):
    for name, expected in alone["gradients"].items():
        rows, _, parameter = name.split("/")
        assert difference(alone["gradients"][f"{rows}/1/{parameter}"], expected) < 1e-6


@pytest.mark.parametrize("kind", one_of_several.KINDS)
@pytest.mark.parametrize("size", SIZES)
def test_a_hundred_losses_are_those_of_one_process(alone: dict, computed: dict[int, Path], size: int, kind: str):
    found = load_file(computed[size] / f"{kind}-losses.safetensors")["losses"]
    expected = alone["losses"]["losses"]
    assert expected[-1] < 0.5 * expected[0]  # it learns, so the losses say something about the weights
    assert float((found - expected).abs().max()) < 1e-5


@pytest.mark.parametrize("kind", one_of_several.KINDS)
@pytest.mark.parametrize("size", SIZES)
def test_optimisers_penalties_clipping_and_averages(alone: dict, computed: dict[int, Path], size: int, kind: str):
    """In float64: sgd, adamw and rmsprop with l1, l2, max-norm, both clippings and the moving average of the weights."""
    found = load_file(computed[size] / f"{kind}-regularized.safetensors")
    assert found.keys() == alone["regularized"].keys()
    for name, expected in alone["regularized"].items():
        assert difference(found[name], expected) < 1e-9, name


def metrics(run: Path) -> list[dict]:
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [{name: value for name, value in json.loads(line).items() if name != "train_seconds"} for line in lines]


def assert_same_run(found: Path, expected: Path) -> None:
    """Equal up to rounding in float32: metrics, and weights and optimiser state of both checkpoints."""
    for one, other in zip(metrics(found), metrics(expected), strict=True):
        assert one == pytest.approx(other, rel=1e-3, abs=1e-4)
        assert one["samples"] == other["samples"] and one["validation_accuracy"] == other["validation_accuracy"]
    for name in ("last", "best"):
        one, other = checkpoint.load(found / "checkpoints", name), checkpoint.load(expected / "checkpoints", name)
        for mine, theirs in ((one.model, other.model), (one.optimizer or {}, other.optimizer or {})):
            assert mine.keys() == theirs.keys()
            for key, value in theirs.items():
                assert mine[key].shape == value.shape
                assert difference(mine[key].double(), value.double()) < 2e-3, key


@pytest.mark.parametrize("kind", one_of_several.KINDS)
@pytest.mark.parametrize("size", SIZES)
def test_a_training_is_that_of_one_process(trained_alone: Path, computed: dict[int, Path], size: int, kind: str):
    run = computed[size] / f"{kind}-whole"
    assert_same_run(run, trained_alone)
    files = sorted(path.name for path in (run / "checkpoints" / "last").iterdir())
    if kind == "ddp":
        assert files == ["model.safetensors", "optimizer.safetensors", "state.json"]
    else:
        assert files == [*(f"shard-{rank}-of-{size}.safetensors" for rank in range(size)), "state.json"]
    assert sorted(path.name for path in (run / "checkpoints" / "best").iterdir()) == ["model.safetensors", "state.json"]


@pytest.mark.parametrize("kind", one_of_several.KINDS)
@pytest.mark.parametrize("size", SIZES)
def test_stopped_and_continued_to_the_same_bits(computed: dict[int, Path], size: int, kind: str):
    """With dropout and batch normalisation, on as many processes as before."""
    whole, stopped = computed[size] / f"{kind}-noisy", computed[size] / f"{kind}-noisy-stopped"
    assert metrics(whole) == metrics(stopped)
    for name in ("last", "best"):
        one, other = checkpoint.load(whole / "checkpoints", name), checkpoint.load(stopped / "checkpoints", name)
        for mine, theirs in ((one.model, other.model), (one.optimizer or {}, other.optimizer or {})):
            assert mine.keys() == theirs.keys() and all(mine[key].equal(value) for key, value in theirs.items())


@pytest.mark.parametrize(("before", "after"), [(4, 2), (2, 4)])
def test_continued_on_another_number_of_processes(
    trained_alone: Path, computed: dict[int, Path], tmp_path: Path, before: int, after: int
):
    for kind in one_of_several.KINDS:
        shutil.copytree(computed[before] / f"{kind}-stopped", tmp_path / f"{kind}-stopped")
    run_job("go_on", after, tmp_path)
    for kind in one_of_several.KINDS:
        assert_same_run(tmp_path / f"{kind}-stopped", trained_alone)


@pytest.mark.parametrize("kind", one_of_several.KINDS)
@pytest.mark.parametrize("size", SIZES)
def test_continued_in_one_process(
    trained_alone: Path, computed: dict[int, Path], tmp_path: Path, size: int, kind: str
):
    shutil.copytree(computed[size] / f"{kind}-stopped", tmp_path / "run")
    one_of_several.go_on(ALONE, kind, tmp_path / "run")
    assert_same_run(tmp_path / "run", trained_alone)


def test_an_ordinary_checkpoint_continues_in_slices(trained_alone: Path, tmp_path: Path):
    """Saved by one process, read by two under fsdp (and under ddp)."""
    for kind in one_of_several.KINDS:
        with_signal = tmp_path / f"{kind}-stopped"
        assert one_of_several.stop_in_the_middle(ALONE, kind, with_signal)[0] == 1
    run_job("go_on", 2, tmp_path)
    for kind in one_of_several.KINDS:
        assert_same_run(tmp_path / f"{kind}-stopped", trained_alone)


def test_slices_are_read_as_they_were_cut(computed: dict[int, Path]):
    """Any rows of any tensor, across the files of four processes."""
    parent = computed[4] / "fsdp-whole" / "checkpoints"
    saved, whole = shards.Saved(parent, "last", ALONE), checkpoint.load(parent, "last")
    choose = random.Random(0)
    names = [name for name in saved.names("model/") if len(saved.shape(name)) > 0]
    assert any(len(saved._places[name][1]) == 4 for name in names)
    for name in names:
        tensor = whole.model[name.removeprefix("model/")]
        assert saved.read(name).equal(tensor) and saved.shape(name) == tuple(tensor.shape)
        for _ in range(5):
            first = choose.randrange(len(tensor))
            rows = choose.randint(1, len(tensor) - first)
            assert saved.read(name, first, rows).equal(tensor[first : first + rows])
    with pytest.raises(UserError, match="model/nothing is not in it"):
        saved.read("model/nothing")


def test_a_damaged_slice_is_refused_by_all(computed: dict[int, Path], tmp_path: Path):
    shutil.copytree(computed[2] / "fsdp-stopped", tmp_path, dirs_exist_ok=True)
    file = tmp_path / "checkpoints" / "last" / "shard-1-of-2.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(UserError, match=r"damaged \(shard-1-of-2.safetensors is not what was saved\)"):
        checkpoint.load(tmp_path / "checkpoints", "last")
    run_job("damaged", 2, tmp_path)
    for rank in range(2):
        assert "shard-1-of-2.safetensors is not what was saved" in (tmp_path / f"told-{rank}").read_text()


def test_the_pieces_of_an_index_are_part_of_what_is_checked(computed: dict[int, Path], tmp_path: Path):
    shutil.copytree(computed[2] / "fsdp-stopped", tmp_path, dirs_exist_ok=True)
    path = tmp_path / "checkpoints" / "last" / "state.json"
    content = json.loads(path.read_text())
    next(iter(content["pieces"].values()))["places"][0][1] += 1
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"state\.json is not what was saved"):
        checkpoint.load(tmp_path / "checkpoints", "last")


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 32])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 7])
def test_every_row_is_in_one_part_and_no_part_learns_from_a_single_row(rows: int, size: int):
    batch = {"x": torch.arange(rows)}
    parts = [Part(batch, World(rank, size)) for rank in range(size)]
    assert torch.cat([part["x"][: part.counted] for part in parts]).equal(batch["x"])
    for part in parts:
        assert part.whole == rows and part.counted in (0, len(part["x"]))
        assert len(part["x"]) >= min(2, rows)  # what it works on, borrowed rows too
    numbers = [part.counted for part in parts if part.counted]
    assert max(numbers) - min(numbers) <= 1


# The command line


def gradus(*arguments: object, **more: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "gradus", *map(str, arguments)]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=environment(**more), **streams)


def finish(process: subprocess.Popen) -> tuple[int, str, str]:
    try:
        out, error = process.communicate(timeout=300)
    finally:
        process.kill()
    return process.returncode, out, error


def files_of(run: Path) -> dict[str, bytes]:
    names = ("last/model", "last/optimizer", "best/model")
    return {name: (run / "checkpoints" / f"{name}.safetensors").read_bytes() for name in names}


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("untouched") / "run"
    code, out, error = finish(gradus(*TRAIN, "--out", run, "--nproc", 2))
    assert code == 0, error
    assert out.count("epoch 1/5") == 1 and out.count("report ") == 1 and not error  # one of them prints
    return run


def test_nproc_makes_one_run(untouched: Path):
    assert json.loads((untouched / "environment.json").read_text())["processes"] == 2
    assert len(metrics(untouched)) == 5 and len((untouched / "log.txt").read_text().splitlines()) == 5
    assert metrics(untouched)[-1]["samples"] == 5 * 1294
    assert (untouched / "report.html").exists() and not (untouched / ".lock").exists()
    assert json.loads((untouched / "evaluation.json").read_text())["metrics"]["accuracy"] > 0.9


def workers_of(launcher: int) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == launcher and fields[0] != "Z":
            found.append(int(folder.name))
    return sorted(found)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds processes by /proc")
def test_killed_workers_are_started_again(untouched: Path, tmp_path: Path):
    """One of two is killed at random moments (in the complete test ten times): the same bits as without."""
    run, choose = tmp_path / "run", random.Random(1)
    launcher = gradus(*TRAIN, "--out", run, "--nproc", 2)
    kills, wanted, deadline = 0, 10 if COMPLETE else 2, time.monotonic() + 600
    reached = 0
    try:
        while kills < wanted and launcher.poll() is None:
            assert time.monotonic() < deadline
            path = run / "metrics.jsonl"
            epochs = path.read_bytes().count(b"\n") if path.exists() else 0
            workers = workers_of(launcher.pid)
            if epochs == 0 or kills > reached and epochs <= reached // 3 or len(workers) < 2:
                time.sleep(0.01)
                continue
            time.sleep(choose.random() * 0.5)
            workers = workers_of(launcher.pid)
            if len(workers) == 2:
                os.kill(choose.choice(workers), signal.SIGKILL)
                kills, reached = kills + 1, kills + 1
                while set(workers_of(launcher.pid)) & set(workers):
                    time.sleep(0.01)
    finally:
        code, out, error = finish(launcher)
    assert kills == wanted and code == 0, error
    assert error.count("all start again from the last checkpoint") == kills
    assert files_of(run) == files_of(untouched) and metrics(run) == metrics(untouched)
