"""Several processes on one machine, really started, against one: the same gradients, losses, weights and files."""

from __future__ import annotations

import json
import os
import random
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import one_of_several
import pytest
import torch
from safetensors.torch import load_file

from gradus import cli
from gradus.errors import UserError
from gradus.train import checkpoint, shards
from gradus.train.distributed import Part
from gradus.train.world import ALONE, World

torch_distributed = pytest.importorskip("torch.distributed")
pytestmark = [
    pytest.mark.skipif(not torch_distributed.is_available(), reason="this PyTorch has no torch.distributed"),
    pytest.mark.skipif(os.name == "nt", reason="signals and gloo as on POSIX"),
]

COMPLETE = os.environ.get("GRADUS_CHAOS") == "1"  # ten kills in place of two, in a longer training
EPOCHS = "40" if COMPLETE else "6"
TRAIN = ["train", "digits-lenet5", "--device", "cpu", "--epochs", EPOCHS, "--batch-size", "16"]
TRAIN += ["--set", "train.checkpoint_seconds=0"]
SIZES = (2, 4)
ROOT = Path(__file__).parents[2]


def environment(**more: str) -> dict[str, str]:
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **more}


class Together:
    """Runs jobs of `one_of_several.py` in several processes, forked from one that has imported everything."""

    def __init__(self, errors: Path) -> None:
        streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        more = {"CUDA_VISIBLE_DEVICES": ""} | ({"GLOO_SOCKET_IFNAME": "lo"} if sys.platform == "linux" else {})
        command = [sys.executable, one_of_several.__file__]
        with open(errors, "wb") as told:
            streams["stderr"] = told
            self.server = subprocess.Popen(command, env=environment(**more), start_new_session=True, **streams)
        self.errors = errors

    def __call__(self, job: str, size: int, folder: Path) -> None:
        self.server.stdin.write(f"{job} {size} {folder}\n")
        self.server.stdin.flush()
        ready, _, _ = select.select([self.server.stdout], [], [], 400)
        codes = self.server.stdout.readline().split() if ready else "none within 400 s"
        assert codes == ["0"] * size, f"{codes}\n{self.errors.read_text()}"

    def end(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.server.pid, signal.SIGKILL)
        self.server.wait()


@pytest.fixture(scope="module")
def run_job(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Together]:
    together = Together(tmp_path_factory.mktemp("errors") / "errors.txt")
    yield together
    together.end()


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
def computed(run_job: Together, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
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


@pytest.mark.parametrize("size", SIZES)
def test_stopped_and_continued_to_the_same_bits(computed: dict[int, Path], size: int):
    """With dropout and batch normalisation, on as many processes as before (two under fsdp, four under ddp)."""
    whole, stopped = computed[size] / "noisy", computed[size] / "noisy-stopped"
    assert metrics(whole) == metrics(stopped)
    for name in ("last", "best"):
        one, other = checkpoint.load(whole / "checkpoints", name), checkpoint.load(stopped / "checkpoints", name)
        for mine, theirs in ((one.model, other.model), (one.optimizer or {}, other.optimizer or {})):
            assert mine.keys() == theirs.keys() and all(mine[key].equal(value) for key, value in theirs.items())


@pytest.mark.parametrize(("before", "after"), [(4, 2), (2, 4)])
def test_continued_on_another_number_of_processes(
    trained_alone: Path, computed: dict[int, Path], run_job: Together, tmp_path: Path, before: int, after: int
):
    for kind in one_of_several.KINDS:
        shutil.copytree(computed[before] / f"{kind}-stopped", tmp_path / f"{kind}-stopped")
    run_job("go_on", after, tmp_path)
    for kind in one_of_several.KINDS:
        assert_same_run(tmp_path / f"{kind}-stopped", trained_alone)


@pytest.mark.parametrize("kind", one_of_several.KINDS)
@pytest.mark.parametrize("size", SIZES)
def test_continued_in_one_process(trained_alone: Path, computed: dict[int, Path], tmp_path: Path, size: int, kind: str):
    shutil.copytree(computed[size] / f"{kind}-stopped", tmp_path / "run")
    one_of_several.go_on(ALONE, kind, tmp_path / "run")
    assert_same_run(tmp_path / "run", trained_alone)


def test_an_ordinary_checkpoint_continues_in_slices(trained_alone: Path, run_job: Together, tmp_path: Path):
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


def test_a_damaged_slice_is_refused_by_all(computed: dict[int, Path], run_job: Together, tmp_path: Path):
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


def test_a_value_that_is_not_finite_stops_all(run_job: Together, tmp_path: Path):
    """All name the same row, which only one of them learns from, and none has changed its weights by it."""
    run_job("not_finite", 2, tmp_path)
    told = [json.loads((tmp_path / f"told-{rank}").read_text()) for rank in range(2)]
    assert told[0] == told[1] and told[0]["finite"] and told[0]["step"] == 1
    assert "the inputs of the model for row " in told[0]["message"] and "step 2 of 8" in told[0]["message"]


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
    assert (
        len(re.findall(rf"epoch +1/{EPOCHS} ", out)) == 1 and out.count("report ") == 1 and not error
    )  # one of them prints
    return run


def test_nproc_makes_one_run(untouched: Path):
    assert json.loads((untouched / "environment.json").read_text())["processes"] == 2
    assert len(metrics(untouched)) == 6 and len((untouched / "log.txt").read_text().splitlines()) == 6
    assert metrics(untouched)[-1]["samples"] == 6 * 1294
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


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((*TRAIN, "--set", "train.epochz=3"), "unknown setting 'train.epochz'; did you mean 'epochs'?"),
        (("train", "--data", "nowhere.csv"), "nowhere.csv: there is no such file or folder"),
    ],
)
def test_a_mistake_is_told_once(tmp_path: Path, arguments: tuple, told: str):
    code, out, error = finish(gradus(*arguments, "--out", tmp_path / "run", "--nproc", 2))
    assert (code, out) == (2, "") and error == f"gradus: {told}\n"
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--nproc", "two"), "--nproc: expected a whole number from 1, received 'two'"),
        (("--nproc", "0"), "--nproc: expected a whole number from 1, received '0'"),
        (("--nproc", "2", "--max-restarts", "-1"), "--max-restarts: expected a whole number from 0"),
        (("--max-restarts", "2"), "give --nproc N too"),
    ],
)
def test_mistakes_in_the_flags(capsys: pytest.CaptureFixture, arguments: tuple, told: str):
    with pytest.raises(SystemExit) as stop:
        cli.main([*TRAIN, *arguments])
    assert stop.value.code == 2 and told in capsys.readouterr().err


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds processes by /proc")
def test_killed_workers_are_started_again(untouched: Path, tmp_path: Path):
    """One of two is killed at random moments (in the complete test ten times), then all are asked to stop, and continued:
    the same bits as without."""
    run, choose = tmp_path / "run", random.Random(1)
    launcher = gradus(*TRAIN, "--out", run, "--nproc", 2, "--max-restarts", 10)
    try:
        for _ in range(10 if COMPLETE else 2):
            workers = wait_for_workers(launcher, run, epochs=1)
            time.sleep(choose.random() * 0.3)
            os.kill(choose.choice(workers), signal.SIGKILL)
            while set(workers_of(launcher.pid)) & set(workers) and launcher.poll() is None:
                time.sleep(0.01)
        wait_for_workers(launcher, run, epochs=1)
        wait_for_workers(launcher, run, epochs=len(metrics(run)) + 1)  # it trains, so that there is something to save
        launcher.send_signal(signal.SIGTERM)
    finally:
        code, _, error = finish(launcher)
    assert code == 143 and f"gradus resume {run}" in error, error
    assert error.count("all start again from the last checkpoint") == (10 if COMPLETE else 2)
    code, _, error = finish(gradus("resume", run, "--nproc", 2))
    assert code == 0, error
    assert files_of(run) == files_of(untouched) and metrics(run) == metrics(untouched)


def wait_for_workers(launcher: subprocess.Popen, run: Path, epochs: int) -> list[int]:
    """Until both workers train (the lock names the main one) and there are records of so many epochs; their numbers."""
    deadline = time.monotonic() + 300
    while launcher.poll() is None and time.monotonic() < deadline:
        workers = workers_of(launcher.pid)
        lock, records = run / ".lock", run / "metrics.jsonl"
        if len(workers) == 2 and lock.exists() and records.exists():
            begun = lock.read_text() in map(str, workers)
            if begun and records.read_bytes().count(b"\n") >= epochs:
                return workers
        time.sleep(0.01)
    raise AssertionError(f"no two workers: {finish(launcher)}")


@pytest.mark.skipif(sys.platform != "linux", reason="network namespaces are Linux's")
def test_two_hosts(tmp_path: Path):
    """torchrun's rendezvous and the exchange of gradients between two network namespaces."""
    script = ROOT / "scripts" / "two_hosts.sh"
    more = environment(PYTHON=sys.executable)
    done = subprocess.run([str(script), str(tmp_path)], capture_output=True, text=True, timeout=500, env=more)
    if done.returncode == 77:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    assert "2 processes on two hosts against one" in done.stdout
