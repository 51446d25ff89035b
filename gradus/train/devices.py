"""One plan a device: where the tensors live, in what precision and memory order the network runs."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from gradus.errors import UserError

DEFAULT_THREADS = torch.get_num_threads()  # one a core, or what OMP_NUM_THREADS says, before anything changes it
_keeps_freed_memory = False  # a setting of the process, so it is known to the process


@dataclass(frozen=True)
class Plan:
    """device, and the autocast type (None: fp32 throughout)."""

    device: torch.device
    autocast_type: torch.dtype | None = None

    def autocast(self) -> AbstractContextManager:
        if self.autocast_type is None:
            return nullcontext()
        return torch.autocast(self.device.type, self.autocast_type)

    def place(self, model: nn.Module) -> nn.Module:
        """Moves a model here. Convolution weights go channels-last, which is faster on CPU and GPU and changes no result."""
        return model.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def synchronize(self) -> None:
        """Waits for the device, so that a clock read after it is true."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def describe(self, threads: int = 0) -> str:
        """In words; `threads` of a CPU, where they are not those of now."""
        threads = threads or torch.get_num_threads()
        cpu = f"CPU, {threads} thread{'s' if threads > 1 else ''}"
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else cpu
        return f"{name}, {'bf16' if self.autocast_type else 'fp32'}"


def keep_freed_memory() -> bool:
    """Has the C library keep freed memory for the next allocation. Returns whether it does (glibc on Linux only).

    A network frees and allocates its activations in every step. glibc gives blocks that large back to the system, which hands
    them out again as pages that must first be cleared: for the MNIST convnet 4 000 page faults and a third of the time of each
    step. The price is that a process keeps up to 2 GiB that it no longer uses. It holds for the whole process.
    """
    global _keeps_freed_memory
    if not _keeps_freed_memory and sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            trim_threshold, mmap_threshold, most = -1, -3, 2**31 - 1  # malloc.h: M_TRIM_THRESHOLD, M_MMAP_THRESHOLD
            _keeps_freed_memory = bool(mallopt(mmap_threshold, 2**30) and mallopt(trim_threshold, most))
    return _keeps_freed_memory


@contextmanager
def denormals_as_zero(device: torch.device) -> Iterator[None]:
    """Meanwhile, on a CPU, numbers nearer to 0 than 1.2e-38 count as 0, in all threads that compute.

    Gradients that come back through hundreds of steps get there, as do the moments of dead units, and a processor takes many
    times longer for each: five to six times for the backward pass of an LSTM over 250 steps (benchmarks/text.py). Only the last
    bits of what is next to nothing change.
    """
    if device.type != "cpu" or float(torch.tensor(1e-39) * 1) == 0 or not torch.set_flush_denormal(True):
        yield  # it is so already, or this processor cannot
        return
    try:
        _flush_in_threads(True)
        yield
    finally:
        torch.set_flush_denormal(False)
        _flush_in_threads(False)


def _flush_in_threads(on: bool) -> None:
    """Sets it in the threads that PyTorch shares its work among, where they are GNU OpenMP's (PyTorch on Linux). It belongs to
    each thread by itself, and `torch.set_flush_denormal` sets that of the thread that calls it: those begun before have another.
    """
    libraries = sorted((Path(torch.__file__).parent / "lib").glob("libgomp*.so*")) if sys.platform == "linux" else []
    if not libraries or torch.get_num_threads() == 1:
        return
    visit = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda _: torch.set_flush_denormal(on) and None)
    everywhere = ctypes.CDLL(str(libraries[0])).GOMP_parallel  # calls a function once in every thread
    everywhere(visit, None, ctypes.c_uint(torch.get_num_threads()), ctypes.c_uint(0))


def plan_device(device: str = "auto", precision: str = "fp32") -> Plan:
    """The plan of a device ("auto": the GPU where there is one). Precision "auto" is fp32 here: `choose_precision` measures."""
    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise UserError("device 'cuda': this machine has no GPU that PyTorch can use; use --device cpu")
    chosen = torch.device("cuda" if device == "cuda" or (device == "auto" and available) else "cpu")
    if chosen.type == "cpu":
        keep_freed_memory()
    return Plan(chosen, torch.bfloat16 if precision == "bf16" else None)


def set_up_process(plan: Plan, threads: int, deterministic: bool) -> None:
    """What holds for the whole process while it trains: threads, and whether only repeatable algorithms may be used."""
    if plan.device.type == "cpu" and threads and torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is repeatable only with a fixed workspace
    torch.use_deterministic_algorithms(deterministic)
    if plan.device.type == "cuda":
        torch.set_float32_matmul_precision("highest" if deterministic else "high")  # high: TF32
        torch.backends.cudnn.allow_tf32 = not deterministic
