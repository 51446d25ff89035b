"""Answers for any number of pictures, a few at a time, and what each stage of them costs."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from gradus.data.columns import Column, Image
from gradus.data.dataset import Split
from gradus.data.frames import Frame
from gradus.recipes.run import Run
from gradus.tasks.task import Answer, Task
from gradus.train.source import in_order

STAGES = ("reading", "preparing", "network", "decoding", "drawing")


class Stages:
    """Seconds spent in each stage. On a GPU each is waited for, so that its work counts where it was asked for.

    reading: files and their decoding; preparing: to the size and range of the network; network: backbone and heads; decoding:
    from the numbers of the network to answers, with suppression; drawing: pictures drawn and written
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: dict[str, float] = dict.fromkeys(STAGES, 0.0)
        self.pictures = 0

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)
            self.seconds[stage] += time.perf_counter() - started

    def rows(self) -> list[tuple[str, float, float]]:
        """(stage, milliseconds a picture, share of all) of those that took time."""
        total = max(sum(self.seconds.values()), 1e-9)
        count = max(self.pictures, 1)
        return [(name, 1000 * spent / count, spent / total) for name, spent in self.seconds.items() if spent]

    @property
    def rate(self) -> float:
        """Pictures a second."""
        return self.pictures / max(sum(self.seconds.values()), 1e-9)


def predict_frames(
    run: Run, frames: Iterable[Frame], stages: Stages | None = None, batch_size: int = 8
) -> Iterator[tuple[Frame, Answer]]:
    """Each frame with its answer, in order; no more than `batch_size` of them are in memory."""
    run.model  # noqa: B018 - loaded here, so that no stage is charged with it
    stages = stages or Stages(run.plan.device)
    task, source = _resident(run.task), iter(frames)
    while True:
        with stages("reading"):
            batch = list(islice(source, batch_size))
        if not batch:
            return
        answers = _answer(run, task, batch, stages)
        stages.pictures += len(batch)
        yield from zip(batch, answers, strict=True)


def _resident(task: Task) -> Task:
    """The task with inputs that are decoded at once: a few frames fit into memory, whatever the run was trained on."""
    task = copy.copy(task)
    if getattr(task, "inputs", None) is not None:
        task.inputs = copy.copy(task.inputs)  # type: ignore[attr-defined]
        task.inputs.streamed = False  # type: ignore[attr-defined]
    return task


def _answer(run: Run, task: Task, batch: list[Frame], stages: Stages) -> list[Answer]:
    """The answers for some frames. What is not network and decoding was preparing."""
    inner = ("network", "decoding")
    before, started = sum(stages.seconds[name] for name in inner), time.perf_counter()
    ((column, kind),) = ((name, kind) for name, kind in task.input_types.items() if isinstance(kind, Image))
    split = Split({column: Column(kind, [frame.pixels for frame in batch])}, [frame.name for frame in batch])
    answers = task.answers(split, _outputs_of(run, task, stages))
    spent = sum(stages.seconds[name] for name in inner) - before
    stages.seconds["preparing"] += time.perf_counter() - started - spent
    return answers


def _outputs_of(run: Run, task: Task, stages: Stages) -> Callable[[dict[str, Any]], Tensor]:
    """As `Run.outputs`, timed."""

    def outputs(tensors: dict[str, Any]) -> Tensor:
        parts = []
        with torch.inference_mode(), run.plan.autocast():
            for batch in in_order(tensors, run.recipe.train.batch_size):
                on_device = {name: tensor.to(run.plan.device) for name, tensor in batch.items()}
                inputs, _ = task.prepare(on_device, training=False)
                with stages("network"):
                    found = run.model(inputs)
                with stages("decoding"):
                    parts.append(task.collected(found, on_device).cpu())
        return torch.cat(parts)

    return outputs
