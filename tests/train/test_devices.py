"""The plan of a device, and the memory that is kept."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from gradus.errors import UserError
from gradus.train.devices import denormals_as_zero, plan_device

# Steps of a convnet, counting the page faults that they cause. In processes of their own: the setting holds for a process.
COUNT_FAULTS = """
import os, resource, torch
from gradus.models import create_model
from gradus.train.devices import keep_freed_memory
torch.set_num_threads(1)
keeping = os.fork()
if keeping == 0:
    assert keep_freed_memory() and keep_freed_memory()
model, pictures = create_model("mnist_convnet", num_classes=10), torch.rand(256, 1, 28, 28)
for step in range(6):
    if step == 3:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    model(pictures).sum().backward()
found = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
if keeping:
    assert os.waitpid(keeping, 0)[1] == 0
print(found, flush=True)  # of the one that keeps it first
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc only")
def test_freed_memory_is_used_again():
    done = subprocess.run([sys.executable, "-c", COUNT_FAULTS], capture_output=True, text=True, check=True)
    kept, returned = map(int, done.stdout.split())
    if returned == 0:  # sandboxes such as gVisor count none
        pytest.skip("this kernel counts no page faults")
    assert kept < returned / 5, done.stdout


def test_the_plan():
    plan = plan_device("cpu")
    assert plan.device.type == "cpu" and plan.autocast_type is None and "fp32" in plan.describe()
    assert plan_device("cpu", "bf16").autocast_type is torch.bfloat16
    if not torch.cuda.is_available():
        assert plan_device("auto").device.type == "cpu"
        with pytest.raises(UserError, match="no GPU"):
            plan_device("cuda")


def test_convolution_weights_are_channels_last_and_nothing_else_changes():
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Linear(4, 2))
    before = [parameter.clone() for parameter in model.parameters()]
    placed = plan_device("cpu").place(model)
    assert placed[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert all(torch.equal(old, new) for old, new in zip(before, placed.parameters(), strict=True))


def test_denormals_count_as_zero_for_a_while():
    tiny = torch.full((4,), 1e-39)
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot")
    torch.set_flush_denormal(False)
    with denormals_as_zero(torch.device("cpu")):
        assert float((tiny * 1).sum()) == 0
        with denormals_as_zero(torch.device("cpu")):
            pass
        assert float((tiny * 1).sum()) == 0  # the inner one leaves it as it was
    assert float((tiny * 1).sum()) > 0


def test_denormals_count_as_zero_in_every_thread_and_no_longer_after_an_error():
    tiny, threads = torch.full((200_000,), 1e-39), torch.get_num_threads()
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot")
    torch.set_flush_denormal(False)
    if sys.platform != "linux" or not list((Path(torch.__file__).parent / "lib").glob("libgomp*.so*")):
        pytest.skip("PyTorch's threads are not GNU OpenMP's here")
    torch.set_num_threads(2)
    try:
        assert (tiny * 1).count_nonzero() == len(tiny)  # both threads have begun
        with pytest.raises(ValueError), denormals_as_zero(torch.device("cpu")):
            assert (tiny * 1).count_nonzero() == 0
            raise ValueError
        assert (tiny * 1).count_nonzero() == len(tiny)
    finally:
        torch.set_num_threads(threads)


def test_the_device_of_a_gpu_leaves_the_processor_alone():
    with denormals_as_zero(torch.device("cuda")):
        assert float(torch.full((4,), 1e-39).sum()) > 0
