"""A whole training step as one CUDA graph: one launch in place of a hundred.

Small models lose most of a GPU's time between kernels. A graph holds the batch selection from the resident tensors, forward,
backward, clipping, update and counts; a replay needs the rows of the step, the learning rate and the seed, all of which live in
tensors (the seed of a captured generator does too). What a step returns is packed into one vector, copied out after each replay.

What cannot be captured is done step by step as before, and said once (`Stepper.reason`): a short last batch, a streamed source,
a model that looks at its own values, an optimiser that counts on the CPU.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from gradus.train.source import Batch, Resident

WARM_UP = 3  # ordinary steps before the capture: libraries choose their algorithms and optimisers make their state


class Graph(Protocol):
    """What a backend offers: `capture` runs `step` once without computing anything; `replay` computes it."""

    def capture(self, step: Callable[[], Tensor]) -> Tensor: ...
    def replay(self) -> None: ...


class CudaGraph:
    """torch.cuda.CUDAGraph, on a stream of its own during the capture."""

    def __init__(self) -> None:
        self.graph = torch.cuda.CUDAGraph()

    def capture(self, step: Callable[[], Tensor]) -> Tensor:
        with torch.cuda.graph(self.graph):
            return step()

    def replay(self) -> None:
        self.graph.replay()


class Stepper:
    """Makes the steps of a learner on a source, captured where that is possible.

    learner: one with `count_update` and `update` can be captured, any other is asked for its `step`
    graph:   the backend, for tests; None: CUDA where the learner is there
    reason:  why steps are not captured, in words; empty while they are, or may yet be
    failed:  whether that was only found by trying
    waited:  seconds that went by until batches were there
    """

    def __init__(self, learner: Any, source: Any, wanted: bool = True, graph: Graph | None = None) -> None:
        self.learner, self.source = learner, source
        self.reason = self._obstacle(wanted, graph)
        self.given = graph
        self.failed = False
        self.waited = 0.0
        self.start_again()

    def start_again(self) -> None:
        """Forgets what was captured: the next full steps are ordinary ones again, and then one is captured anew."""
        self.graph = self.given
        self.captured, self._warm = False, 0

    def _obstacle(self, wanted: bool, graph: Graph | None) -> str:
        if not wanted:
            return "switched off"
        if self.learner.device.type != "cuda" and graph is None:
            return "only a GPU has graphs"
        if not isinstance(self.source, Resident):
            return "the data are streamed"
        if not hasattr(self.learner, "update"):
            return f"{type(self.learner).__name__} cannot be captured"
        return getattr(self.learner, "capture_obstacle", "")

    def fetch(self, epoch: int, step: int) -> Batch:
        """The batch of a step, the time that it took counted."""
        started = time.perf_counter()
        batch = self.source.batch(epoch, step)
        self.waited += time.perf_counter() - started
        return batch

    def step(self, epoch: int, step: int, batch: Batch | None = None) -> dict[str, Tensor]:
        """One step; what it returns is the caller's to keep. batch: that of the step, where it was fetched already."""
        if self.reason or self.source.size(step) != self.source.batch_size:
            return self.learner.step(self.fetch(epoch, step) if batch is None else batch)
        if self._warm < WARM_UP:
            self._warm += 1
            return self._aside(self.fetch(epoch, step) if batch is None else batch)
        rows = self.source.rows_of(epoch, step)
        if not self.captured:
            self._capture(rows)
            if self.reason:
                return self.learner.step(self.fetch(epoch, step))
        self.rows.copy_(rows)
        self.learner.count_update()
        assert self.graph is not None
        self.graph.replay()
        return self._unpack(self.packed.clone())

    def _aside(self, batch: Batch) -> dict[str, Tensor]:
        """An ordinary step on a side stream, as capturing asks for."""
        if self.learner.device.type != "cuda":
            return self.learner.step(batch)
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            found = self.learner.step(batch)
        torch.cuda.current_stream().wait_stream(stream)
        return found

    def _capture(self, rows: Tensor) -> None:
        self.rows = rows.clone()
        self.shapes: dict[str, tuple[torch.Size, int]] = {}
        self.graph = self.graph or CudaGraph()

        def whole() -> Tensor:
            found = self.learner.update(self.source.select(self.rows))
            self.shapes = {name: (value.shape, value.numel()) for name, value in found.items()}
            return torch.cat([value.detach().double().reshape(-1) for value in found.values()])

        try:
            self.packed = self.graph.capture(whole)
            self.captured = True
        except Exception as error:
            self.reason = (str(error).splitlines() or [type(error).__name__])[0]
            self.failed = True
            if self.learner.device.type == "cuda":
                torch.cuda.synchronize()

    def _unpack(self, packed: Tensor) -> dict[str, Tensor]:
        parts = packed.split([size for _, size in self.shapes.values()])
        return {name: part.view(shape) for (name, (shape, _)), part in zip(self.shapes.items(), parts, strict=True)}
