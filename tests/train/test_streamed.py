"""Streamed batches: the same rows in the same order whoever decodes them, from anywhere, in flat memory, by workers that live on
and leave nothing behind."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import torch
from children import Child, Children
from PIL import Image as PillowImage
from torch import Tensor

from gradus import load_data, load_run
from gradus.data import stored
from gradus.data.load import DataSettings
from gradus.data.stored import ParquetColumn
from gradus.errors import UserError
from gradus.models import ModelSettings
from gradus.recipes.execute import create_trainer, resume, train_recipe
from gradus.recipes.experiment import Experiment, fingerprint, prepare
from gradus.recipes.recipe import Recipe
from gradus.tasks import rows as encoded_rows
from gradus.tasks.baselines import baselines
from gradus.tasks.rows import EncodedRows, sample_rows
from gradus.tasks.settings import TaskSettings
from gradus.train import stream
from gradus.train.settings import TrainSettings
from gradus.train.source import Resident, in_order
from gradus.train.stream import Readers, Streamed, choose_workers, resident_limit, shuffled

WORKERS = (0, 1, 4)


def picture(number: int, size: tuple[int, int] = (9, 12)) -> PillowImage.Image:
    """Random colours, brighter for odd numbers, which are the class "odd"."""
    random = np.random.default_rng(number)
    return PillowImage.fromarray(
        random.integers(100 * (number % 2), 150 + 100 * (number % 2), (*size, 3), dtype=np.uint8)
    )


def make_folder(path: Path, rows: int) -> Path:
    for number in range(rows):
        file = path / ("odd" if number % 2 else "even") / f"{number:05d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        picture(number).save(file)
    return path


def make_parquet(path: Path, rows: int, group: int) -> Path:
    contents = []
    for number in range(rows):
        file = io.BytesIO()
        picture(number).save(file, "PNG")
        contents.append(file.getvalue())
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pyarrow.table({"image": contents, "label": ["odd" if number % 2 else "even" for number in range(rows)]})
    pyarrow.parquet.write_table(table, path, row_group_size=group)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("pictures") / "shades", 100)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_parquet(tmp_path_factory.mktemp("table") / "shades.parquet", 100, 13)


def recipe_of(source: Path | str, how: str = "always", workers: int = 0, **train: object) -> Recipe:
    settings = TrainSettings(**{"epochs": 2, "batch_size": 16, "checkpoint_seconds": 0.0, **train})  # type: ignore[arg-type]
    data = DataSettings(source=str(source), stream=how, workers=workers)  # type: ignore[arg-type]
    model = ModelSettings(name="mlp", options={"hidden": [16], "dropout": 0.2})
    return Recipe(data=data, task=TaskSettings(options={"image_size": 8}), model=model, train=settings)


def prepared(source: Path | str, how: str = "always", workers: int = 0, **train: object) -> Experiment:
    return prepare(recipe_of(source, how, workers, **train))


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


# The same batches


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("kind", ["folder", "table"])
def test_batches_are_those_of_resident_data(kind: str, workers: int, request: pytest.FixtureRequest):
    """Bit for bit, over epochs, for any number of workers; a small Parquet file is shuffled as a whole too."""
    source = request.getfixturevalue(kind)
    wanted, found = prepared(source, "never"), prepared(source)
    resident = Resident(wanted.tensors["train"], 16, seed=5)
    streamed = Streamed(Readers(found.tensors, workers), "train", 16, seed=5)
    try:
        assert (streamed.rows, streamed.steps) == (resident.rows, resident.steps) == (72, 5)
        for epoch in (0, 1, 4):
            assert torch.equal(streamed.order(epoch), resident.order(epoch))
            for step in range(resident.steps):
                batch = streamed.batch(epoch, step)
                assert equal(batch, resident.batch(epoch, step))
                assert len(batch["targets"]) == streamed.size(step) == resident.size(step)
        rows = list(in_order(Streamed(streamed.readers, "validation", 16), 5))
        assert equal(rows[0], {name: tensor[:5] for name, tensor in wanted.tensors["validation"].items()})
        assert sum(len(batch["targets"]) for batch in rows) == len(wanted.tensors["validation"]["targets"])
        assert len(streamed.readers.pids()) == workers
    finally:
        streamed.close()


@pytest.mark.parametrize("workers", WORKERS)
def test_it_goes_on_from_any_step(folder: Path, workers: int):
    tensors = prepared(folder).tensors
    plain = Streamed(Readers(tensors, 0), "train", 10, seed=1)
    streamed = Streamed(Readers(tensors, workers), "train", 10, seed=1)
    try:
        for epoch, step in [(0, 3), (0, 4), (2, 7), (2, 0), (1, 6), (1, 7), (2, 0), (2, 0), (0, 0), (0, 1)]:
            assert equal(streamed.batch(epoch, step), plain.batch(epoch, step)), (epoch, step)
            if (epoch, step) == (1, 6):  # validation in between takes the workers over
                assert equal(next(streamed.in_order(4)), next(plain.in_order(4)))
    finally:
        streamed.close()


def test_batches_that_were_left_for_others_do_not_go_on(folder: Path):
    readers = Readers(prepared(folder).tensors, 0)
    first = readers.read("train", [np.arange(3), np.arange(3)])
    next(first)
    readers.read("train", [])
    with pytest.raises(RuntimeError, match="left for others"):
        next(first)


def test_a_batch_draws_nothing(folder: Path):
    """The generator that dropout draws from is where it was, whoever decodes."""
    tensors = prepared(folder).tensors
    torch.manual_seed(5)
    wanted = torch.rand(3)
    for workers in (0, 1):
        torch.manual_seed(5)
        streamed = Streamed(Readers(tensors, workers), "train", 16)
        streamed.batch(0, 0)
        streamed.close()
        assert torch.equal(torch.rand(3), wanted)


def test_workers_live_on_and_end(folder: Path):
    streamed = Streamed(Readers(prepared(folder).tensors, 2), "train", 16)
    streamed.batch(0, 0)
    pids = streamed.readers.pids()
    for step in range(1, streamed.steps):
        streamed.batch(0, step)
    list(in_order(Streamed(streamed.readers, "validation", 16), 4))
    streamed.batch(1, 0)
    assert streamed.readers.pids() == pids and len(set(pids)) == 2
    streamed.close()
    assert wait_until(lambda: not any(map(is_alive, pids)))
    before = streamed.batch(1, 1)  # they start again where they are needed again
    assert not set(streamed.readers.pids()) & set(pids)
    streamed.close()
    assert equal(before, Streamed(Readers(prepared(folder).tensors, 0), "train", 16).batch(1, 1))


# The order


GROUPS = (np.repeat(np.arange(20), [7, 3] * 10), np.full(20, 10))


def test_the_order_of_a_large_parquet_file(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stream, "WINDOW_BYTES", 45)  # four groups
    group_of = GROUPS[0]
    orders = [shuffled(100, GROUPS, 3, epoch).numpy() for epoch in range(3)]
    for order in orders:
        assert sorted(order.tolist()) == list(range(100))
        groups = group_of[order]
        windows = [list(dict.fromkeys(groups.tolist()))[start : start + 4] for start in range(0, 20, 4)]
        for window in windows:  # the rows of four groups stand together, mixed
            places = np.flatnonzero(np.isin(groups, window))
            assert len(window) == 4 and places[-1] - places[0] + 1 == len(places)
            assert sum(a != b for a, b in pairwise(groups[places].tolist())) > 4
    assert not np.array_equal(orders[0], orders[1])
    assert np.array_equal(orders[2], shuffled(100, GROUPS, 3, 2).numpy())
    assert not np.array_equal(orders[2], shuffled(100, GROUPS, 4, 2).numpy())
    neighbours = [set(group_of[order][:20].tolist()) for order in orders]
    assert neighbours[0] != neighbours[1]  # other groups meet in other epochs


def test_what_fits_in_a_window_is_permuted_as_a_whole():
    wanted = Resident({"x": torch.arange(100)}, 10, seed=3).order(2)
    assert torch.equal(shuffled(100, GROUPS, 3, 2), wanted) and torch.equal(shuffled(100, None, 3, 2), wanted)


def test_a_group_larger_than_a_window_stands_alone(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stream, "WINDOW_BYTES", 9)
    order = shuffled(100, GROUPS, 0, 0).numpy()
    assert sorted(order.tolist()) == list(range(100))
    assert sum(a != b for a, b in pairwise(GROUPS[0][order].tolist())) == 19


@pytest.mark.parametrize("workers", (0, 4))
def test_a_row_group_is_read_once_an_epoch(table: Path, workers: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """In windows, and with kept groups to match, no group is fetched again and again for single rows."""
    column = ParquetColumn([table], "image")
    window = int(column.bytes.max()) * 3
    monkeypatch.setattr(stream, "WINDOW_BYTES", window)
    monkeypatch.setattr(stored, "KEPT_BYTES", 2 * window)
    log = tmp_path / "read"
    plain_read = ParquetColumn._read

    def read(self: ParquetColumn, group: int):
        with open(log, "a") as file:  # workers are other processes
            file.write(f"{os.getpid()} {group}\n")
        return plain_read(self, group)

    tensors = prepared(table).tensors
    monkeypatch.setattr(ParquetColumn, "_read", read)
    tensors["train"]["inputs"].column.values.sources.column._kept.clear()
    tensors["train"]["inputs"].column.values.sources.column._kept_bytes = 0
    streamed = Streamed(Readers(tensors, workers), "train", 6)
    for step in range(streamed.steps):
        streamed.batch(0, step)
    streamed.close()
    found = log.read_text().split("\n")[:-1]
    assert len(found) == len(set(found)) and {int(line.split()[1]) for line in found} == set(range(len(column.bytes)))


# Rows that are decoded when asked for


def test_encoded_rows_are_the_tensor(folder: Path, table: Path):
    for source in (folder, table):
        wanted, found = prepared(source, "never"), prepared(source)
        assert found.recipe.data.stream == "always" and wanted.recipe.data.stream == "never"
        assert found.task.state() == wanted.task.state()
        for split in wanted.tensors:
            tensor, rows = wanted.tensors[split]["inputs"], found.tensors[split]["inputs"]
            assert isinstance(rows, EncodedRows) and isinstance(tensor, Tensor)
            assert rows.shape == tensor.shape and rows.dtype == tensor.dtype and len(rows) == len(tensor)
            assert rows.row_bytes == tensor[0].numel()
            chosen = [5, 0, 5, len(tensor) - 1]
            for index in (slice(2, 9, 3), np.array(chosen), torch.tensor(chosen), chosen, slice(0, 0)):
                assert torch.equal(rows[index], tensor[index])
            assert torch.equal(torch.cat(list(rows.parts())), tensor)
        assert baselines(found.task, found.tensors["train"], found.tensors["test"]) == baselines(  # type: ignore[arg-type]
            wanted.task,
            wanted.tensors["train"],
            wanted.tensors["test"],  # type: ignore[arg-type]
        )


def test_large_data_are_sampled(folder: Path, table: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(encoded_rows, "SAMPLE_GROUPS", 3)
    column = prepared(table).tensors["train"]["inputs"].column
    chosen = sample_rows(column, 20)
    assert len(chosen) == 20 and (np.diff(chosen) > 0).all() and np.array_equal(chosen, sample_rows(column, 20))
    assert len(np.unique(encoded_rows.groups_of(column)[0][chosen])) == 3  # type: ignore[index]
    assert np.array_equal(sample_rows(column, 1000), np.arange(len(column)))
    monkeypatch.setattr(sample_rows, "__defaults__", (40, 0))
    sampled = prepared(folder)
    assert "sizes, means and deviations of the pictures: from 40 of 72" in sampled.notes
    exact = np.array(prepared(folder, "never").task.state()["inputs"]["mean"])
    assert 0 < np.abs(np.array(sampled.task.state()["inputs"]["mean"]) - exact).max() < 15


def test_the_linear_baseline_of_many_test_rows_is_judged_on_a_sample(folder: Path, monkeypatch: pytest.MonkeyPatch):
    from gradus.tasks import baselines as module

    monkeypatch.setattr(module, "LARGEST_JUDGED", 7)
    found = prepared(folder)
    assert list(baselines(found.task, found.tensors["train"], found.tensors["test"])) == [  # type: ignore[arg-type]
        "majority class",
        "logistic regression, judged on 7",
    ]


def test_the_fingerprint_sees_changed_files(tmp_path: Path):
    source = make_folder(tmp_path / "a", 30)
    first = fingerprint(prepared(source).tensors["train"])
    assert first == fingerprint(prepared(source, workers=1).tensors["train"])
    picture(7).resize((30, 30)).save(source / "odd" / "00003.png")
    assert fingerprint(prepared(source).tensors["train"]) != first


# What is streamed, and by how many


def test_auto_streams_what_does_not_fit(folder: Path, monkeypatch: pytest.MonkeyPatch):
    needed = 100 * 8 * 8 * 3
    cpu = torch.device("cpu")
    for free, how in ((2 * needed - 2, "always"), (2 * needed, "never")):
        monkeypatch.setattr(stream, "available_memory", lambda free=free: free)
        assert resident_limit("auto", cpu) == free // 2
        found = prepared(folder, "auto", workers=-1)
        assert found.recipe.data.stream == how
        told = [note for note in found.notes if note.startswith("pictures are streamed")]
        assert len(told) == (how == "always") and (found.recipe.data.workers == -1) == (how == "never")
    assert resident_limit("never", cpu) is None and resident_limit("always", cpu) == 0


def test_without_a_size_auto_looks_no_further_than_needed(folder: Path, monkeypatch: pytest.MonkeyPatch):
    model = ModelSettings(name="logistic_regression")
    recipe = Recipe(data=DataSettings(source=str(folder)), model=model, train=TrainSettings(batch_size=16))
    monkeypatch.setattr(stream, "available_memory", lambda: 2 * 100 * 64 * 64 * 3 - 2)  # 64x64 would not fit, 9x9 does
    assert prepare(recipe).recipe.data.stream == "never"
    monkeypatch.setattr(stream, "available_memory", lambda: 1000)
    found = prepare(recipe)
    assert found.recipe.data.stream == "always" and found.task.state()["inputs"]["size"] == 9


def test_tables_are_not_streamed():
    found = prepare(Recipe(data=DataSettings(source="iris", stream="always")))
    assert found.recipe.data.stream == "never" and any("only pictures are streamed" in note for note in found.notes)


def test_how_many_workers(monkeypatch: pytest.MonkeyPatch):
    cores = [8]
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(cores[0])), raising=False)
    assert choose_workers(-1, 1) == 4 and choose_workers(3, 2**60) == 3 and choose_workers(0, 1) == 0
    assert choose_workers(-1, 2**60) == 0 or not Path("/dev/shm").is_dir()  # no room for batches on their way
    for cores[0], wanted in ((2, 1), (1, 0)):
        assert choose_workers(-1, 1) == wanted
    with pytest.raises(UserError, match=r"data\.workers: expected 0 to 256"):
        DataSettings(workers=-2)


# Mistakes


@pytest.mark.parametrize("workers", (0, 2))
def test_a_broken_picture_is_named(tmp_path: Path, workers: int):
    source = make_folder(tmp_path / "a", 60)
    experiment = prepared(source, workers=workers)
    files = experiment.tensors["train"]["inputs"].column.values.sources
    broken = files[20]
    broken.write_bytes(broken.read_bytes()[:100])  # its header is whole
    trainer = create_trainer(experiment)
    with pytest.raises(UserError) as told:
        trainer.fit()
    assert str(told.value).startswith(f"{broken.parent.name}/{broken.name}: the picture is broken")
    assert "\n" not in str(told.value) and not trainer.source.readers.pids()  # type: ignore[attr-defined]


def test_a_worker_that_is_killed_is_told(folder: Path):
    streamed = Streamed(Readers(prepared(folder).tensors, 1), "train", 4)
    streamed.batch(0, 0)
    os.kill(streamed.readers.pids()[0], signal.SIGKILL)
    with pytest.raises(UserError, match=r"was killed.*fewer --workers than 1"):
        for step in range(1, streamed.steps):
            streamed.batch(0, step)
    streamed.close()


# Whole runs


def files_of(run: Path) -> dict:
    """What must not depend on how rows were read, or how often a run was stopped."""
    files = {name: (run / "checkpoints" / f"{name}.safetensors").read_bytes() for name in ("last/model", "best/model")}
    lines = (run / "metrics.jsonl").read_text().splitlines()
    files["metrics"] = [{k: v for k, v in json.loads(line).items() if k != "train_seconds"} for line in lines]
    evaluation = json.loads((run / "evaluation.json").read_text())
    files["evaluation"] = {name: evaluation[name] for name in ("split", "metrics", "baselines", "best")}
    return files


def test_runs_are_the_same_streamed_or_not(folder: Path, tmp_path: Path):
    found = []
    for how, workers in (("never", 0), ("always", 0), ("always", 2)):
        run = train_recipe(recipe_of(folder, how, workers), tmp_path / f"{how}-{workers}")
        found.append(files_of(run.path))
        assert load_run(run.path).evaluate("test") == run.evaluation["metrics"]
        assert load_run(run.path).recipe.data.stream == how
    assert found[0] == found[1] == found[2]
    report = run.report().read_text(encoding="utf-8")
    assert "streamed" in report and "data:image/" in report


def test_resume_refuses_changed_pictures(tmp_path: Path):
    source = make_folder(tmp_path / "a", 60)
    run = train_recipe(recipe_of(source), tmp_path / "run")
    (run.path / "evaluation.json").unlink()
    picture(1).resize((40, 40)).save(source / "odd" / "00001.png")
    picture(2).resize((40, 40)).save(source / "even" / "00002.png")
    with pytest.raises(UserError, match="not those that the run began with"):
        resume(run.path)


def is_alive(process: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


def children_of(process: int) -> list[int]:
    try:
        return [
            int(c) for task in Path(f"/proc/{process}/task").iterdir() for c in (task / "children").read_text().split()
        ]
    except OSError:
        return []


def wait_until(condition, seconds: float = 60, child: Child | None = None) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline or (child is not None and child.has_ended()):
            return bool(condition())
        time.sleep(0.005)
    return True


linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


@linux
def test_killed_with_four_workers(children: Children, tmp_path: Path):
    """SIGKILL of the training process leaves no worker, and the run goes on to the same bits as one that decodes by itself."""
    source = make_folder(tmp_path / "pictures", 200)
    flags = (
        "--data",
        source,
        "--model",
        "mlp",
        "--epochs",
        3,
        "--batch-size",
        4,
        "--set",
        "train.checkpoint_seconds=0",
    )
    flags += ("--set", "data.stream=always", "--set", "task.options.image_size=16")
    whole, run = tmp_path / "whole", tmp_path / "run"
    ended = children.run("train", *flags, "--workers", 0, "--out", whole)
    assert ended.code == 0, str(ended)

    child = children.start("train", *flags, "--workers", 4, "--out", run)
    metrics = run / "metrics.jsonl"
    assert wait_until(metrics.exists, 120, child)
    time.sleep(0.1)  # into the second epoch
    workers = children_of(child.pid)
    child.kill()
    child.end()
    assert len(workers) == 4
    assert wait_until(lambda: not any(map(is_alive, workers)))

    child = children.start("resume", run)
    assert wait_until(lambda: len(children_of(child.pid)) == 4, 120, child)  # it trains, and listens
    workers = children_of(child.pid)
    for process in (child.pid, *workers):  # as a terminal or a batch system does, to all of them
        os.kill(process, signal.SIGTERM)
    ended = child.end()
    assert ended.code == 143 and "Traceback" not in ended.error, str(ended)
    assert wait_until(lambda: not any(map(is_alive, workers)))

    ended = children.run("resume", run)
    assert ended.code == 0, str(ended)
    assert files_of(run) == files_of(whole)


MEASURE = """
import gc, os, sys
import numpy as np
from pathlib import Path
from gradus.data import stored
from gradus.recipes.experiment import prepare
from gradus.tasks import rows
from gradus.recipes.recipe import Recipe
from gradus.data.load import DataSettings
from gradus.tasks.settings import TaskSettings
from gradus.train import stream
from gradus.train.settings import TrainSettings
from gradus.train.stream import Readers, Streamed

rows.PART_BYTES = stored.KEPT_BYTES = stream.WINDOW_BYTES = 2**20
for path in sys.argv[1:]:  # each in a process of its own
    if os.fork() == 0:
        break
    assert os.wait()[1] == 0
else:
    sys.exit()
data = DataSettings(source=path, stream="always", validation=0, test=0)
found = prepare(Recipe(data=data, task=TaskSettings(options={"image_size": 128}), train=TrainSettings(batch_size=16)))
source = Streamed(Readers(found.tensors, 2), "train", 16)

def peak(process):
    status = Path(f"/proc/{process}/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in status if line.startswith("RssAnon")) // 1024

most = []
for epoch in range(2):
    for step in range(source.steps):
        source.batch(epoch, step)
        most.append([peak("self"), *map(peak, source.readers.pids())])
print(*np.max(most, axis=0), flush=True)
"""


@linux
@pytest.mark.parametrize("make", [make_folder, lambda path, rows: make_parquet(path / "a.parquet", rows, 32)])
def test_memory_is_flat(tmp_path: Path, make):
    """Four times the rows, whose pixels would take 47 MiB instead of 12, take no more memory, here or in a worker. And the
    workers end with the process though nothing closes them."""
    sources = [make(tmp_path / str(rows), rows) for rows in (250, 1000)]
    files = [str(source / "a.parquet" if (source / "a.parquet").exists() else source) for source in sources]
    command = [sys.executable, "-c", MEASURE, *files]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    found = [[int(number) for number in line.split()] for line in done.stdout.splitlines()]
    assert [len(numbers) for numbers in found] == [3, 3]
    for small, large in zip(*found, strict=True):
        assert large - small < 15, found  # MiB


def test_real_pictures(real_data: Path):
    if not (real_data / "cats_vs_dogs" / "train.parquet").exists():
        pytest.skip("needs cats_vs_dogs in GRADUS_DATA")
    experiment = prepared("cats_vs_dogs")
    labels = load_data("cats_vs_dogs")["train"]["label"]
    tensors = experiment.tensors
    one, none = (Streamed(Readers(tensors, workers), "train", 64, seed=2) for workers in (1, 0))
    try:
        for epoch, step in ((0, 0), (0, 1), (1, 30)):
            batch = one.batch(epoch, step)
            assert equal(batch, none.batch(epoch, step))
            rows = one.order(epoch)[step * 64 : step * 64 + 64]  # the file brings its own validation split
            assert batch["targets"].tolist() == [labels[int(row)] for row in rows]
    finally:
        one.close()
