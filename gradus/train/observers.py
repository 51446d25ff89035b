"""Observers: what is shown and written while training. Each is a function of a record; none can change the training.

Records are dicts with an "event": "start" (path, epochs, steps, rows), "progress" (epoch, step, steps, train_...), "epoch" (the
line of metrics.jsonl, and whether it is the best so far), "note" (text) and "end" (split, metrics, baselines, timing), or
"stopped" where it does not come to that.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, TextIO

from gradus.errors import UserError
from gradus.files import append_line, unread
from gradus.train.trainer import Observer, Record

# endings of the names of metrics that are shown in per cent
RATES = (
    *("accuracy", "macro_f1", "map", "map50", "map75", "map_small", "map_medium", "map_large"),
    *("recall_at_1", "recall_at_10", "recall_at_100", "miou", "weighted_iou", "boundary_f"),
    *("span_f1", "span_precision", "span_recall"),
    *("mean_iou", "iou50", "pck_0.05", "pck_0.1"),
)


def format_metric(name: str, value: float) -> str:
    """`98.61 %` for shares, five digits for the rest."""
    return f"{100 * value:.2f} %" if name.endswith(RATES) else f"{value:.5g}"


def epoch_line(record: Record, epochs: int) -> str:
    """One line on an epoch: what was measured, how long it took so far, and whether it is the best."""
    shown = []
    for part in ("train", "validation"):
        text = ", ".join(metric_texts(record, part))
        if text:
            shown.append(f"{part} {text}")
    best = "  *" if record.get("best") else ""
    width = len(str(epochs))
    return f"epoch {record['epoch']:>{width}}/{epochs}  {' | '.join(shown)}  {record['train_seconds']:.1f} s{best}"


def metric_texts(record: Record, part: str) -> list[str]:
    """What was measured of "train" or "validation", as short texts. The parts that a loss is the sum of stand behind it, of the
    training alone: `loss 1.21 (class 0.80, box 0.41)`."""
    values = {name.removeprefix(f"{part}_"): value for name, value in record.items() if name.startswith(f"{part}_")}
    parts = {name.removesuffix("_loss"): values.pop(name) for name in list(values) if name.endswith("_loss")}
    values.pop("seconds", None)
    texts = [f"{name} {format_metric(name, value)}" for name, value in values.items()]
    if parts and part == "train" and "loss" in values:
        inner = ", ".join(f"{name} {value:.3g}" for name, value in parts.items())
        texts[list(values).index("loss")] += f" ({inner})"
    return texts


def show_progress(stream: TextIO | None = None) -> Observer:
    """A live bar on a terminal, plain lines elsewhere."""
    stream = stream or sys.stdout
    return _LiveBar() if stream.isatty() else _PlainLines(stream)


class _PlainLines:
    def __init__(self, stream: TextIO) -> None:
        self.stream, self.epochs = stream, 0

    def __call__(self, record: Record) -> None:
        if record["event"] == "start":
            self.epochs = record["epochs"]
        elif record["event"] == "epoch":
            self._print(epoch_line(record, self.epochs))
        elif record["event"] == "note":
            self._print(record["text"])

    def _print(self, line: str) -> None:
        try:
            print(line, file=self.stream, flush=True)
        except OSError:  # nobody reads any longer, or its disk is full; log.txt has the lines
            unread(self.stream)


class _LiveBar:
    """A bar over all epochs that shows the running training metrics; a line stays for each epoch."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[metrics]}"),
            TimeRemainingColumn(),
            refresh_per_second=10,
            transient=True,
        )
        self.epochs = 0

    def __call__(self, record: Record) -> None:
        try:
            self._show(record)
        except OSError:  # the terminal was closed
            unread(sys.stdout)

    def _show(self, record: Record) -> None:
        if record["event"] == "start":
            self.epochs, steps = record["epochs"], record["steps"]
            self.job = self.bar.add_task(
                "training", total=self.epochs * steps, completed=record["epoch"] * steps, metrics=""
            )
            self.bar.start()
        elif record["event"] == "progress":
            done = (record["epoch"] - 1) * record["steps"] + record["step"]
            text = "  ".join(metric_texts(record, "train"))
            self.bar.update(
                self.job, completed=done, description=f"epoch {record['epoch']}/{self.epochs}", metrics=text
            )
        elif record["event"] == "epoch":
            self.bar.console.print(epoch_line(record, self.epochs), highlight=False, markup=False)
        elif record["event"] == "note":
            self.bar.console.print(record["text"], highlight=False, markup=False)
        elif record["event"] in ("end", "stopped"):
            self.bar.stop()


def write_log(path: Path) -> Observer:
    """Adds a line an epoch to log.txt."""
    epochs = 0

    def observe(record: Record) -> None:
        nonlocal epochs
        if record["event"] == "start":
            epochs = record["epochs"]
        elif record["event"] in ("epoch", "note"):
            append_line(path, epoch_line(record, epochs) if record["event"] == "epoch" else record["text"])

    return observe


def write_tensorboard() -> Observer:
    """Writes the numbers of each epoch as TensorBoard files into the run folder."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise UserError(
            "TensorBoard files need a package that is not installed: pip install 'gradus[tensorboard]'"
        ) from None
    writer: Any = None

    def observe(record: Record) -> None:
        nonlocal writer
        if record["event"] == "start":
            writer = SummaryWriter(str(Path(record["path"]) / "tensorboard"))
        elif record["event"] == "epoch":
            for name, value in record.items():
                part, _, metric = name.partition("_")
                if part in ("train", "validation") and metric != "seconds":
                    writer.add_scalar(f"{metric}/{part}", value, record["epoch"])
            writer.add_scalar("learning_rate", record["learning_rate"], record["epoch"])
            writer.flush()
        elif record["event"] in ("end", "stopped"):
            writer.close()

    return observe
