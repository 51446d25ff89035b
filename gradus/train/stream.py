"""Batches of rows that do not fit into memory: decoded by worker processes, ahead of the training, in the order of `Resident`.

Choices. The order is a pure function of (seed, epoch), whatever the workers do; a worker makes a whole batch, and batches come
back in their order. One set of workers serves all splits and lives until `close`. Worker processes ignore Ctrl-C and SIGTERM,
which are for the training process to decide about, and end when it ends, however it does. Not covered: sharing one decoded
picture between workers (each decodes what its batches need).
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import gc
import os
import shutil
import signal
import sys
import threading
import warnings
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from gradus.data.device_rows import DeviceRows
from gradus.data.memory import available_memory
from gradus.data.stored import KEPT_BYTES
from gradus.errors import UserError
from gradus.stopping import SIGNALS
from gradus.tasks.rows import EncodedRows
from gradus.train.randomness import ORDER, derive
from gradus.train.source import Batch

MOST_WORKERS = 4  # that are chosen without being asked for
AHEAD = 2  # batches that each worker makes ahead
EVALUATION_BYTES = 32 * 2**20  # of decoded rows in a batch, where nothing but speed depends on its size
WINDOW_BYTES = KEPT_BYTES  # of row groups that are shuffled together


def resident_limit(stream: str, device: torch.device) -> int | None:
    """How many bytes of decoded rows may stay in memory: None for any number ("never" stream), 0 for none ("always"), and for
    "auto" half of what is free now, on the device too."""
    if stream == "never":
        return None
    if stream == "always":
        return 0
    free = available_memory()
    return min(free, torch.cuda.mem_get_info(device)[0]) // 2 if device.type == "cuda" else free // 2


def choose_workers(asked: int, batch_bytes: int) -> int:
    """How many workers: as many as asked for, or for -1 one fewer than there are cores, at most 4, and no more than the memory
    that processes share has room for (a container may give it only 64 MB)."""
    if asked >= 0:
        return asked
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = min(cores - 1, MOST_WORKERS)
    shared = Path("/dev/shm")
    if shared.is_dir():
        workers = min(workers, shutil.disk_usage(shared).free // max(1, (AHEAD + 1) * batch_bytes))
    return workers


def shuffled(rows: int, groups: tuple[np.ndarray, np.ndarray] | None, seed: int, epoch: int) -> Tensor:
    """(rows,) int64: the order of an epoch, a pure function of its arguments.

    A permutation of all rows, the one of `Resident`. Where rows lie in groups that are only read whole (Parquet), and these
    have together more than `WINDOW_BYTES`: the groups are permuted, cut into windows of at most that many bytes (or one group),
    and the rows within each window permuted.
    """
    generator = torch.Generator().manual_seed(derive(seed, ORDER, epoch))
    if groups is None:
        return torch.randperm(rows, generator=generator)
    group_of, group_bytes = groups
    present = np.unique(group_of)
    if int(group_bytes[present].sum()) <= WINDOW_BYTES:
        return torch.randperm(rows, generator=generator)
    present = present[torch.randperm(len(present), generator=generator).numpy()]
    by_group = np.argsort(group_of, kind="stable")
    ends = np.searchsorted(group_of[by_group], present, side="right")
    starts = np.searchsorted(group_of[by_group], present, side="left")
    order = []
    for window in _windows(group_bytes[present]):
        found = np.concatenate([by_group[starts[place] : ends[place]] for place in window])
        order.append(torch.from_numpy(found)[torch.randperm(len(found), generator=generator)])
    return torch.cat(order)


def _windows(sizes: np.ndarray) -> Iterator[range]:
    """Consecutive places whose sizes add up to at most `WINDOW_BYTES`; a size above it stands alone."""
    first, total = 0, 0
    for place, size in enumerate(sizes.tolist()):
        if place > first and total + size > WINDOW_BYTES:
            yield range(first, place)
            first, total = place, 0
        total += size
    yield range(first, len(sizes))


class _Broken:
    """What a worker sends in place of a batch when a picture cannot be read. An exception would arrive with its traceback."""

    def __init__(self, message: str) -> None:
        self.message = message


class _Maker:
    """Makes the batch of a request (split, row numbers), in a worker or here."""

    def __init__(self, rows: dict[str, dict[str, EncodedRows]]) -> None:
        self.rows = rows

    def __getitem__(self, request: tuple[str, np.ndarray]) -> dict[str, Tensor] | _Broken:
        split, numbers = request
        try:
            return {name: rows[numbers] for name, rows in self.rows[split].items()}
        except UserError as error:
            return _Broken(str(error))


class _Requests:
    """The requests that are next, as the `DataLoader` takes them from a sampler."""

    def __init__(self) -> None:
        self.next: Iterable[tuple[str, np.ndarray]] = ()

    def __iter__(self) -> Iterator[tuple[str, np.ndarray]]:
        return iter(self.next)


class Readers:
    """The worker processes that decode the rows of all splits; they start when first needed and live until `close`.

    splits:  split name -> its encoded columns; what is a tensor already is only indexed, on the device
    workers: 0: rows are decoded in this process
    """

    def __init__(self, splits: dict[str, dict[str, Any]], workers: int, device: torch.device | str = "cpu") -> None:
        self.device, self.workers = torch.device(device), workers
        self.tensors: dict[str, Batch] = {}
        self.rows: dict[str, dict[str, EncodedRows]] = {}
        for split, columns in splits.items():
            self.rows[split] = {name: rows for name, rows in columns.items() if isinstance(rows, EncodedRows)}
            tensors = {name: tensor for name, tensor in columns.items() if isinstance(tensor, Tensor)}
            self.tensors[split] = {name: tensor.to(self.device) for name, tensor in tensors.items()}
        self._maker, self._requests = _Maker(self.rows), _Requests()
        self._loader: DataLoader | None = None
        self._at_exit = functools.partial(_close_at_exit, weakref.ref(self))
        self.reading = 0  # counts the calls of `read`: only the batches of the latest can go on

    def read(self, split: str, requests: Iterable[np.ndarray]) -> Iterator[Batch]:
        """The batches of row numbers that are asked for, in that order, on the device. An earlier `read` cannot go on.

        Raises `UserError` for a broken picture, naming it, and where a worker was killed.
        """
        self.reading += 1
        asked: list[np.ndarray] = []  # sent to workers, oldest first

        def send() -> Iterator[tuple[str, np.ndarray]]:
            for numbers in requests:
                asked.append(numbers)
                yield split, numbers

        return self._receive(split, send(), asked, self.reading)

    def _receive(
        self, split: str, requests: Iterator[tuple[str, np.ndarray]], asked: list[np.ndarray], reading: int
    ) -> Iterator[Batch]:
        for made in self._made(requests):
            if isinstance(made, _Broken):
                raise UserError(made.message)
            numbers = torch.from_numpy(asked.pop(0)).to(self.device)
            batch = {name: pixels.to(self.device, non_blocking=True) for name, pixels in made.items()}
            yield batch | {name: tensor.index_select(0, numbers) for name, tensor in self.tensors[split].items()}
            if reading != self.reading:
                raise RuntimeError("these batches were left for others, and cannot go on")

    def _made(self, requests: Iterator[tuple[str, np.ndarray]]) -> Iterator[dict[str, Tensor] | _Broken]:
        if not self.workers:
            yield from (self._maker[request] for request in requests)
            return
        self._requests.next = requests
        try:
            if self._loader is None:
                self._loader = self._make_loader()
            yield from _started(self._loader)
        except (RuntimeError, EOFError, OSError) as error:
            cut_off = isinstance(error, EOFError | ConnectionError)  # known before the process counts as dead
            if not cut_off and all(worker.is_alive() for worker in self._running()):
                raise
            raise UserError(
                "a process that decodes pictures was killed, most likely for want of memory; the training can be continued "
                f"(gradus resume), with fewer --workers than {self.workers} or a smaller batch"
            ) from None

    def _make_loader(self) -> DataLoader:
        # Python ends what is left of its processes with SIGTERM, which workers ignore, and then waits for them
        atexit.register(self._at_exit)
        warnings.filterwarnings("ignore", "This DataLoader will create")  # more workers than cores, as asked for
        return DataLoader(
            self._maker,  # type: ignore[arg-type]
            batch_size=None,  # a request is a batch already
            sampler=self._requests,
            num_workers=self.workers,
            prefetch_factor=AHEAD,
            persistent_workers=True,
            pin_memory=self.device.type == "cuda",
            worker_init_fn=_Beginning(os.getpid()),
            generator=torch.Generator(),  # else it would draw from the generator that dropout draws from
            multiprocessing_context="fork" if sys.platform == "linux" else None,
        )

    def pids(self) -> list[int]:
        """Of the worker processes that run now."""
        return [worker.pid for worker in self._running()]

    def _running(self) -> list[Any]:
        return getattr(getattr(self._loader, "_iterator", None), "_workers", [])

    def close(self) -> None:
        """Ends the workers. They start again if rows are asked for after it."""
        self.reading += 1
        running = getattr(self._loader, "_iterator", None)
        if running is not None:
            running._shutdown_workers()
            for worker in running._workers:
                if worker.is_alive():  # it hangs, in reading from a disk that does not answer
                    worker.kill()
        self._loader = None
        atexit.unregister(self._at_exit)


def _started(loader: DataLoader) -> Iterator[Any]:
    """The loader's iterator, its workers running. PyTorch tells of a dead worker from a signal handler, in the middle of whatever
    the training is doing; that handler is taken back, so that it is told where batches are waited for (within five seconds).

    Signals that ask for a stop are held back until a worker has learnt to ignore them: it would take them as its parent does.
    """
    takes_signals = threading.current_thread() is threading.main_thread() and hasattr(signal, "SIGCHLD")
    before = signal.getsignal(signal.SIGCHLD) if takes_signals else None
    held = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS) if hasattr(signal, "pthread_sigmask") else None
    try:
        return iter(loader)
    finally:
        if held is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)
        if before is not None:
            signal.signal(signal.SIGCHLD, before)


def _close_at_exit(readers: weakref.ref[Readers]) -> None:
    """Closes readers that are still there. Registered by them, without keeping them alive."""
    found = readers()
    if found is not None:
        found.close()


class _Beginning:
    """What a worker does first. A class, since processes that are spawned are sent it by name."""

    def __init__(self, parent: int) -> None:
        self.parent = parent

    def __call__(self, worker: int) -> None:
        for number in SIGNALS:  # the training process saves first, and then ends its workers
            signal.signal(number, signal.SIG_IGN)
        gc.freeze()  # else the collector would write to every object, and copy the memory that is shared with the parent
        if sys.platform == "linux":
            set_signal_at_parents_death = 1  # linux/prctl.h: PR_SET_PDEATHSIG
            ctypes.CDLL(None).prctl(set_signal_at_parents_death, signal.SIGKILL)
            if os.getppid() != self.parent:  # it died before that took effect
                os._exit(1)


class Streamed:
    """A split as a source of batches, as `Resident`, with the rows decoded by `readers`."""

    def __init__(self, readers: Readers, split: str, batch_size: int, seed: int = 0) -> None:
        self.readers, self.split, self.batch_size, self.seed = readers, split, batch_size, seed
        self._encoded = next(iter(readers.rows[split].values()))
        self.rows = len(self._encoded)
        self.steps = -(-self.rows // batch_size)
        self._epoch, self._order = -1, torch.empty(0)
        self._batches: Iterator[Batch] = iter(())
        self._next = (-1, -1, -1)  # epoch and step that the batches go on with, and the reading they belong to

    def order(self, epoch: int) -> Tensor:
        """(N,) int64: the rows in the order of this epoch."""
        if epoch != self._epoch:
            self._order = shuffled(self.rows, self._encoded.groups(), self.seed, epoch)
            self._epoch = epoch
        return self._order

    def batch(self, epoch: int, step: int) -> Batch:
        """The rows of one step: name -> (B, ...). Steps in a row are made ahead; any other may be asked for."""
        if self._next != (epoch, step, self.readers.reading):
            order = self.order(epoch).numpy()
            starts = range(step * self.batch_size, self.rows, self.batch_size)
            self._batches = self.readers.read(self.split, (order[start : start + self.batch_size] for start in starts))
        self._next = (-1, -1, -1)  # should the next line fail, they cannot go on
        batch = next(self._batches)
        self._next = (epoch, step + 1, self.readers.reading)
        return batch

    def size(self, step: int) -> int:
        """How many rows the batch of a step holds."""
        return min(self.batch_size, self.rows - step * self.batch_size)

    def in_order(self, batch_size: int) -> Iterator[Batch]:
        """All rows once, in their own order, in batches of at most `batch_size` rows and 32 MiB (but 8 rows)."""
        size = min(batch_size, max(8, EVALUATION_BYTES // self._encoded.row_bytes))
        numbers = np.arange(self.rows)
        return self.readers.read(self.split, (numbers[start : start + size] for start in range(0, self.rows, size)))

    def close(self) -> None:
        self.readers.close()


@contextmanager
def readable(tensors: dict[str, Any], workers: int, device: torch.device) -> Iterator[Batch | Streamed]:
    """Encoded columns as `in_order` takes them: as they are, or with workers that decode those that are no tensors."""
    if all(isinstance(tensor, Tensor | DeviceRows) for tensor in tensors.values()):
        yield tensors
        return
    readers = Readers({"all": tensors}, workers, device)
    try:
        yield Streamed(readers, "all", 1)
    finally:
        readers.close()
