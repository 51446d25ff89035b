"""The processes that train one model together: who this one is, and what they tell each other.

Made from the environment variables that torchrun sets (RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, ...), or that our own launcher
does. What is not a tensor travels as JSON, on the CPU. Gradients go by gloo on a CPU and by NCCL on GPUs, one GPU a process.

Every method but the first properties is a meeting: all processes must call it, in the same order.
"""

from __future__ import annotations

import atexit
import ctypes
import json
import os
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from gradus.errors import UserError

RENDEZVOUS = "GRADUS_RENDEZVOUS"  # set by our launcher: a file in place of a port at which the processes meet
LAUNCHED = "GRADUS_LAUNCHED"  # set by our launcher: its folder, in which it is told where the run is
LAUNCHER = "GRADUS_LAUNCHER"  # the launcher's process number
RESTARTS = "GRADUS_RESTARTS"  # how often our launcher has started the processes again
BUCKET = 2**20  # entries that are sent together


@dataclass(frozen=True)
class World:
    """`size` processes, of which this one is number `rank` (0: the main one, which alone writes and prints)."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    def share_of(self, rows: int) -> tuple[int, int]:
        """Which of `rows` rows are this process's, as (first, end): consecutive, nearly equal numbers.

        Of fewer than two rows a process the last ones get none, since batch normalisation cannot learn from a single row.
        """
        busy = min(self.size, max(rows // 2, 1))
        if self.rank >= busy:
            return rows, rows
        least, more = divmod(rows, busy)
        first = self.rank * least + min(self.rank, more)
        return first, first + least + (self.rank < more)

    def gather(self, value: Any) -> list[Any]:
        """What each process gives, by rank, on all of them. Anything JSON can hold; numbers keep all their bits."""
        if self.size == 1:
            return [value]
        data = torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8)
        sizes = [torch.zeros(1, dtype=torch.int64) for _ in range(self.size)]
        dist.all_gather(sizes, torch.tensor([len(data)]))
        longest = int(max(sizes))
        padded = [torch.zeros(longest, dtype=torch.uint8) for _ in range(self.size)]
        dist.all_gather(padded, torch.nn.functional.pad(data, (0, longest - len(data))))
        texts = [bytes(part[: int(size)].numpy()).decode() for part, size in zip(padded, sizes, strict=True)]
        return [json.loads(text) for text in texts]

    def from_main(self, value: Any = None) -> Any:
        """What the main process gives (the others' `value` is not looked at)."""
        return self.gather(value if self.is_main else None)[0]

    def largest(self, *values: int) -> list[int]:
        """The largest of each of the values over all processes."""
        tensor = torch.tensor(values, dtype=torch.int64)
        if self.size > 1:
            dist.all_reduce(tensor, dist.ReduceOp.MAX)
        return tensor.tolist()

    @torch.no_grad()
    def copy_from_main(self, tensors: Iterable[Tensor]) -> None:
        """Makes the tensors equal to those of the main process, in place. Small ones of one type are sent together."""
        if self.size == 1:
            return
        groups: dict[tuple[torch.dtype, torch.device], list[list[Tensor]]] = {}
        for tensor in tensors:
            buckets = groups.setdefault((tensor.dtype, tensor.device), [[]])
            if sum(t.numel() for t in buckets[-1]) + tensor.numel() > BUCKET:
                buckets.append([])
            buckets[-1].append(tensor)
        for bucket in (bucket for buckets in groups.values() for bucket in buckets if bucket):
            flat = torch.cat([tensor.reshape(-1) for tensor in bucket])
            dist.broadcast(flat, 0)
            for tensor, part in zip(bucket, flat.split([tensor.numel() for tensor in bucket]), strict=True):
                tensor.copy_(part.view(tensor.shape))

    def tensors_from_main(self, tensors: dict[str, Tensor] | None, device: torch.device) -> dict[str, Tensor]:
        """A dictionary of tensors of the main process (of which the others know nothing), on the CPU."""
        if self.size == 1:
            assert tensors is not None
            return tensors
        about = {name: (list(t.shape), str(t.dtype)) for name, t in (tensors or {}).items()}
        told = self.from_main(about)
        result = {}
        for name, (shape, kind) in told.items():
            tensor = torch.empty(shape, dtype=getattr(torch, kind.removeprefix("torch.")), device=device)
            if self.is_main and tensors is not None:
                tensor.copy_(tensors[name])
            dist.broadcast(tensor, 0)
            result[name] = tensor.cpu()
        return result

    def barrier(self) -> None:
        """Waits for all processes."""
        if self.size > 1:
            self.largest(0)

    @contextmanager
    def together(self) -> Iterator[None]:
        """A `UserError` in any process within becomes one in all of them; the main process is the one that tells it."""
        if self.size == 1:
            yield
            return
        found = ""
        try:
            yield
        except UserError as error:
            found = str(error)
        said = [(rank, text) for rank, text in enumerate(self.gather(found)) if text]
        if not said:
            return
        rank, text = said[0]
        if len(said) < self.size and rank:
            text = f"{text} (in process {rank} of {self.size})"
        if not self.is_main:
            self._wait_for_main()
        raise told(UserError(text), self)

    def _wait_for_main(self) -> None:
        """Until the main process has ended, so that whoever watches does not end it for our sake before it has spoken."""
        with suppress(RuntimeError):
            self.barrier()  # at which the main process will never be


def add_up(gathered: list[Any]) -> tuple[dict[str, np.ndarray], int]:
    """The sums over the processes, in their order, of what each gathered: sums by name, and rows."""
    totals: dict[str, np.ndarray] = {}
    for sums, _ in gathered:
        for name, value in sums.items():
            array = np.asarray(value, dtype=np.float64)
            totals[name] = totals[name] + array if name in totals else array
    return totals, sum(rows for _, rows in gathered)


ALONE = World()
_joined: World | None = None


def told(error: UserError, world: World) -> UserError:
    """Marks an error that the main process tells, so that the others keep silent about it."""
    error.told_by_main = not world.is_main  # type: ignore[attr-defined]
    return error


def join() -> World:
    """The world that this process belongs to; the processes meet at the first call. `ALONE` where none was set up."""
    global _joined
    if _joined is not None:
        return _joined
    size = _number("WORLD_SIZE", 1)
    if size <= 1 and LAUNCHED not in os.environ:
        return ALONE
    world = World(rank=_number("RANK", 0), size=size, local_rank=_number("LOCAL_RANK", 0))
    if os.environ.get(LAUNCHED):
        _end_with_launcher()
    if size > 1:
        if not dist.is_available():
            raise UserError("this PyTorch was built without torch.distributed: train in one process")
        gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if gpus:
            torch.cuda.set_device(world.local_rank % gpus)
        # NCCL refuses two processes on one GPU; gloo does not
        alone_on_gpu = gpus >= _number("LOCAL_WORLD_SIZE", size) and dist.is_nccl_available()
        backend = "cpu:gloo,cuda:nccl" if alone_on_gpu else "gloo"
        place = os.environ.get(RENDEZVOUS, "env://")
        dist.init_process_group(backend, init_method=place, rank=world.rank, world_size=size)
        atexit.register(leave)
    _joined = world
    return world


def leave() -> None:
    """Ends the connections, so that the others do not wait for this process."""
    global _joined
    _joined = None
    if dist.is_available() and dist.is_initialized():
        with suppress(RuntimeError):
            dist.destroy_process_group()


def was_lost(error: BaseException) -> bool:
    """Whether an error means that another process of the world is gone."""
    if not (dist.is_available() and dist.is_initialized() and isinstance(error, RuntimeError)):
        return False
    signs = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "gloo", "NCCL", "Timed out")
    return isinstance(error, dist.DistError) or any(sign in str(error) for sign in signs)


def begun_run(out: str | Path | None) -> Path | None:
    """The run that the processes had begun before they were started again, or None where they were not."""
    launcher = os.environ.get(LAUNCHED)
    if launcher:
        note = Path(launcher) / "run"
        begun = Path(note.read_text(encoding="utf-8")) if _number(RESTARTS, 0) and note.exists() else None
    else:
        begun = Path(out) if out and _number("TORCHELASTIC_RESTART_COUNT", 0) else None
    return begun if begun is not None and (begun / "recipe.toml").exists() else None


def tell_launcher(run: Path) -> None:
    """Leaves word of where the run is, for the processes that may take our place."""
    launcher = os.environ.get(LAUNCHED)
    if launcher:
        note = Path(launcher) / "run"
        note.with_suffix(".new").write_text(str(run.resolve()), encoding="utf-8")
        note.with_suffix(".new").replace(note)


def check_can_restart(out: str | Path | None) -> None:
    """torchrun restarts a command as it stands: without --out each start would begin another run."""
    restarts = _number("TORCHELASTIC_MAX_RESTARTS", 0)
    if restarts and not out and LAUNCHED not in os.environ:
        raise UserError(
            f"--out: under torchrun with --max-restarts {restarts} the run needs a folder of its own, in which workers that "
            "are started again find it; give --out DIR"
        )


def _number(name: str, otherwise: int) -> int:
    text = os.environ.get(name, "")
    return int(text) if text.isdigit() else otherwise


def _end_with_launcher() -> None:
    """Has the system ask this process to stop when its launcher dies, however it does (Linux only)."""
    if sys.platform == "linux":
        set_signal_at_parents_death = 1  # linux/prctl.h: PR_SET_PDEATHSIG
        ctypes.CDLL(None).prctl(set_signal_at_parents_death, signal.SIGTERM)
        if str(os.getppid()) != os.environ.get(LAUNCHER):  # it died before that took effect
            os._exit(1)
