"""What is measured or chosen before training: precision, threads; and what happens when memory does not suffice."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from torch import nn

from gradus.data.load import DataSettings
from gradus.errors import UserError
from gradus.recipes.execute import create_trainer
from gradus.recipes.experiment import prepare
from gradus.recipes.recipe import Recipe
from gradus.train import devices, measure
from gradus.train.devices import Plan
from gradus.train.settings import TrainSettings
from gradus.train.trainer import TrainingStopped

CPU = Plan(torch.device("cpu"))


def example():
    return torch.ones(4, 3), torch.sum


def settings(**changes) -> TrainSettings:
    return TrainSettings(**changes)


@pytest.mark.parametrize("precision", ["auto", "fp32"])
def test_a_cpu_computes_in_fp32_unasked(precision, monkeypatch):
    monkeypatch.setattr(measure, "compare_precisions", lambda *arguments: pytest.fail("nothing is to be measured"))
    plan, note = measure.choose_precision(settings(precision=precision), CPU, nn.Linear(3, 2), example)
    assert plan.autocast_type is None and note == ""


def test_a_precision_that_is_slower_is_refused_unless_forced(monkeypatch):
    monkeypatch.setattr(measure, "compare_precisions", lambda *arguments: (0.001, 0.005))
    with pytest.raises(UserError, match=r"precision 'bf16': 5.0 times slower than fp32 here .*force_precision=true"):
        measure.choose_precision(settings(precision="bf16"), CPU, nn.Linear(3, 2), example)
    forced = settings(precision="bf16", force_precision=True)
    assert measure.choose_precision(forced, CPU, nn.Linear(3, 2), example)[0].autocast_type is torch.bfloat16


def test_a_precision_that_is_faster_is_taken_and_the_figures_are_told(monkeypatch):
    monkeypatch.setattr(measure, "compare_precisions", lambda *arguments: (0.005, 0.001))
    plan, note = measure.choose_precision(settings(precision="bf16"), CPU, nn.Linear(3, 2), example)
    assert plan.autocast_type is torch.bfloat16
    assert note == "precision: bf16 (a pass takes 1 ms in bf16 here, 5 ms in fp32)"


def test_measuring_changes_nothing_in_the_model():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 2)).eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    full, half = measure.compare_precisions(CPU, Plan(CPU.device, torch.bfloat16), model, torch.randn(16, 8), torch.sum)
    assert 0 < full < math.inf and 0 < half < math.inf
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert not model.training and all(parameter.grad is None for parameter in model.parameters())


def test_small_work_takes_one_thread_and_large_work_all(monkeypatch):
    monkeypatch.setattr(measure, "DEFAULT_THREADS", 8)
    assert measure.choose_threads(settings(), 1e3, 64)[0] == 1
    assert measure.choose_threads(settings(), 1e6, 64)[0] == 8
    assert measure.choose_threads(settings(threads=3), 1e3, 64) == (3, "")


def test_a_busy_machine_is_told(monkeypatch):
    monkeypatch.setattr(measure, "DEFAULT_THREADS", 2)
    monkeypatch.setattr(measure.os, "getloadavg", lambda: (1.9, 1.0, 1.0))
    assert "load 1.9 on 2 cores" in measure.choose_threads(settings(), 1e6, 64)[1]
    assert measure.choose_threads(settings(), 1e3, 64)[1] == ""


@pytest.mark.parametrize(
    ("model", "inputs", "wanted"),
    [
        (nn.Linear(3, 5), torch.ones(4, 3), 2 * 4 * 3 * 5),
        (nn.Conv2d(2, 6, 3), torch.ones(4, 2, 8, 8), 2 * 4 * 6 * 6 * 6 * 2 * 9),
        (nn.LSTM(3, 5, batch_first=True), torch.ones(4, 7, 3), 2 * 4 * 7 * (4 * 5 * 3 + 4 * 5 * 5)),
        (nn.ReLU(), torch.ones(4, 3), 0),
    ],
)
def test_operations_are_two_for_each_use_of_a_weight(model, inputs, wanted):
    assert measure.operations(model, inputs) == wanted


def test_deterministic_holds_for_a_training_and_no_longer():
    recipe = Recipe(data=DataSettings(source="wine"), train=TrainSettings(epochs=1, deterministic=True))
    create_trainer(prepare(recipe))
    assert torch.are_deterministic_algorithms_enabled()
    create_trainer(prepare(replace(recipe, train=TrainSettings(epochs=1))))
    assert not torch.are_deterministic_algorithms_enabled()


def test_the_threads_of_a_recipe_are_those_that_compute():
    before = torch.get_num_threads()
    try:
        create_trainer(prepare(Recipe(data=DataSettings(source="wine"), train=TrainSettings(epochs=1, threads=3))))
        assert torch.get_num_threads() == 3
        assert devices.Plan(torch.device("cpu")).describe() == "CPU, 3 threads, fp32"
    finally:
        torch.set_num_threads(before)


# Memory


class Greedy(nn.Module):
    """A linear model that has memory for so many rows at a time."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.rows, self.head = rows, nn.Linear(13, 3)

    def forward(self, inputs):
        if self.training and len(inputs) > self.rows:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return self.head(inputs)


def wine(rows: int, **changes):
    recipe = Recipe(data=DataSettings(source="wine"), train=TrainSettings(epochs=2, batch_size=32, **changes))
    return create_trainer(prepare(recipe, model=Greedy(rows)))


def test_a_batch_that_does_not_fit_is_computed_in_parts_when_that_is_allowed():
    fits, shrinks = wine(32, accumulate=4), wine(8, accumulate=0)
    fits.fit()
    shrinks.fit()
    assert shrinks.learner.accumulate == 4
    assert torch.equal(fits.learner.model.head.weight, shrinks.learner.model.head.weight)
    assert shrinks._state()["accumulate"] == 4


def test_a_batch_that_does_not_fit_is_told_with_its_shapes():
    trainer = wine(8)
    with pytest.raises(TrainingStopped) as told:
        trainer.fit()
    message = str(told.value)
    assert "out of memory in a step of 32 rows (inputs 32x13 float32, targets 32 int64)" in message
    assert "--batch-size auto" in message and "train.accumulate=2" in message and "epoch 1, step 1" in message


def test_a_single_row_that_does_not_fit_is_told():
    with pytest.raises(TrainingStopped, match="even one row at a time"):
        wine(0, accumulate=0).fit()


REAL = """
import os, resource, torch
from torch import nn
from gradus.data.load import DataSettings
from gradus.recipes.execute import create_trainer
from gradus.recipes.experiment import prepare
from gradus.recipes.recipe import Recipe
from gradus.train.settings import TrainSettings

class Wide(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(64, 10)
    def forward(self, inputs):
        rows = inputs.flatten(1)
        if self.training:  # 1 MiB a row
            rows = (rows[:, None, :].expand(-1, 4096, -1) * self.head.weight.new_ones(1)).mean(dim=1)
        return self.head(rows)

def train(accumulate):
    settings = TrainSettings(epochs=1, batch_size=1024, accumulate=accumulate)
    trainer = create_trainer(prepare(Recipe(data=DataSettings(source="digits"), train=settings), model=Wide()))
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 700 * 2**20, resource.RLIM_INFINITY))
    try:
        trainer.fit()
        print("parts", trainer.learner.accumulate, flush=True)
    except Exception as error:
        print(type(error).__name__, error, flush=True)

for accumulate in (0, 1):  # each in a process of its own
    child = os.fork()
    if child == 0:
        train(accumulate)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the limit on memory is Linux's")
def test_a_process_that_really_runs_out_of_memory():
    done = subprocess.run([sys.executable, "-c", REAL], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    parts, told = done.stdout.splitlines()
    assert parts.startswith("parts ") and int(parts.split()[1]) >= 2
    assert told.startswith("TrainingStopped out of memory in a step of 1024 rows")
