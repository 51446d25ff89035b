"""Side by side: Gradus, loops written by hand, and the peers, in one run on one machine.

    .peers/bin/python benchmarks/run.py [--epochs 3] [--rows N] [--only mlp,lstm] [--contestants gradus,skorch] [--json FILE]

How it is measured. Each contestant is a process of its own that trains `1 + epochs` epochs in one go, the way it wants to.
The first epoch (compilation, caches) is not counted. After each epoch the process is stopped, and the next contestant has
its turn: A B C A B C ... So a machine that grows slower does so for all. Only one process runs at any time, with as many
threads as its library takes by itself. An epoch lasts from the word to go on until the contestant's own end-of-epoch hook.

What is held equal: the rows, the batch size, the network, the optimiser and its settings, one last short batch. What is not:
the initial weights of Keras, the order of the rows, and the metrics: Gradus and Keras count the accuracy, skorch the loss; the
bare loops and Lightning nothing, which favours them. Keras' LSTM has one bias a gate, PyTorch's two.
"Resident as stored": all rows in memory as one tensor, pictures uint8, tokens int32.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO

from contestants import CONTESTANTS, Contestant
from workload import WORKLOADS, read_workload, write_data

HERE = Path(__file__).parent
PACKAGES = ("torch", "lightning", "skorch", "keras", "jax", "numpy")


@dataclass
class Measured:
    """seconds: of each timed epoch; accuracy: on the test rows, after all epochs"""

    contestant: Contestant
    seconds: list[float] = field(default_factory=list)
    accuracy: float = float("nan")
    failure: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


class Process:
    """A contestant's process, stopped except in its own turn."""

    def __init__(self, name: str, workload: str, data: Path, epochs: int) -> None:
        self.measured = Measured(CONTESTANTS[name])
        self.log = data / f"{workload}-{name}.log"
        command = [sys.executable, str(HERE / "worker.py"), name, workload, str(data), str(epochs)]
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
            )
        self._receive()  # prepared
        self._pause()

    def turn(self, *, timed: bool, last: bool) -> None:
        """One epoch; after the last one also the judging, whose time is not counted."""
        if self.measured.failure:
            return
        self.process.send_signal(signal.SIGCONT)
        _pipe(self.process.stdin).write("go\n")
        _pipe(self.process.stdin).flush()
        message = self._receive()
        if timed and "seconds" in message:
            self.measured.seconds.append(message["seconds"])
        if last:
            message = self._receive()
            self.measured.accuracy = message.get("accuracy", float("nan"))
            if message.get("left"):
                self.measured.failure = f"trained {message['left']} epochs fewer than asked for"
            self.process.wait()
        else:
            self._pause()

    def _receive(self) -> dict:
        line = _pipe(self.process.stdout).readline()
        if line:
            return json.loads(line)
        if not self.measured.failure:
            lines = self.log.read_text(errors="replace").strip().splitlines()
            self.measured.failure = f"exit code {self.process.wait()}: {lines[-1] if lines else 'it said nothing'}"
        return {}

    def _pause(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGSTOP)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def _pipe(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream


def measure(workload: str, names: list[str], data: Path, epochs: int) -> list[Measured]:
    """All contestants on one workload, in turns."""
    processes: list[Process] = []
    try:
        for name in names:
            processes.append(Process(name, workload, data, 1 + epochs))
        for epoch in range(1 + epochs):
            for process in processes:
                process.turn(timed=epoch > 0, last=epoch == epochs)
            _say(f"  {workload}: {'warm-up' if epoch == 0 else f'epoch {epoch} of {epochs}'} done")
    finally:
        for process in processes:
            process.end()
    return [process.measured for process in processes]


def table(results: list[Measured], steps: int, *, in_microseconds: bool) -> str:
    """Markdown. Ratio and difference are to the fastest bare loop, by the medians."""
    bare = [result.median for result in results if result.contestant.is_bare and result.seconds]
    fastest = min(bare) if bare else float("nan")
    scale, unit = (1e6 / steps, "µs a step") if in_microseconds else (1.0, "s an epoch")
    digits = 0 if in_microseconds else 3
    lines = [
        f"| contestant | median, {unit} | least | greatest | to the fastest bare loop | µs a step above it | test accuracy |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for result in sorted(results, key=lambda result: result.median if result.seconds else float("inf")):
        title = f"**{result.contestant.title}**" if result.contestant.is_gradus else result.contestant.title
        if not result.seconds or result.failure:
            lines.append(f"| {title} | failed: {result.failure} | | | | | |")
            continue
        times = " | ".join(
            f"{value * scale:.{digits}f}" for value in (result.median, min(result.seconds), max(result.seconds))
        )
        above = (result.median - fastest) / steps * 1e6
        lines.append(
            f"| {title} | {times} | {result.median / fastest:.2f} | {above:+.0f} | {100 * result.accuracy:.2f} % |"
        )
    return "\n".join(lines)


def goals(workload: str, results: list[Measured], steps: int) -> list[str]:
    """What was set out to be reached, and whether it was."""
    median = {name: r.median for name, r in zip(_names(results), results, strict=True) if r.seconds and not r.failure}
    bare = [seconds for name, seconds in median.items() if CONTESTANTS[name].is_bare]
    if "gradus" not in median or not bare:
        return []
    lines = []
    ours, fastest = median["gradus"], min(bare)
    if workload == "tiny":
        above = (ours - fastest) / steps * 1e6
        lines.append(f"Gradus takes {above:.0f} µs a step above the fastest bare loop (goal: under 50).")
    else:
        goal = {"mlp": 1.10, "convnet": 1.05, "lstm": 1.05}[workload]
        lines.append(f"Gradus takes {ours / fastest:.3f} times the fastest bare loop (goal: at most {goal:.2f}).")
    peers = {name: seconds for name, seconds in median.items() if not name.startswith(("bare", "gradus"))}
    if workload == "convnet" and peers:
        name = min(peers, key=peers.__getitem__)
        faster = f"{peers[name] / ours:.2f} times as fast as the fastest peer ({CONTESTANTS[name].title})"
        lines.append(f"Gradus is {faster}; goal: 1.3.")
    return lines


def _names(results: list[Measured]) -> list[str]:
    by_contestant = {id(contestant): name for name, contestant in CONTESTANTS.items()}
    return [by_contestant[id(result.contestant)] for result in results]


def describe_machine(script: str) -> dict[str, str]:
    """script: the program that is running, for the command"""
    import torch

    processor = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        names = [
            line.partition(":")[2].strip() for line in information.read_text().splitlines() if "model name" in line
        ]
        processor = names[0] if names else processor
    return {
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "machine": f"{processor}, {os.cpu_count()} cores, {platform.system()} {platform.release()}",
        "load before": " ".join(f"{value:.2f}" for value in os.getloadavg()) + " (it should be near 0)",
        "threads": f"{torch.get_num_threads()} in PyTorch (its default here); JAX takes all cores by itself",
        "versions": ", ".join(
            [f"Python {platform.python_version()}", *(f"{name} {installed(name)}" for name in PACKAGES)]
        ),
        "command": " ".join(["python", script, *sys.argv[1:]]),
    }


def installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "(not installed)"


def parse_arguments() -> argparse.Namespace:
    def names(known: dict) -> object:
        def parse(text: str) -> list[str]:
            chosen = text.split(",")
            if unknown := [name for name in chosen if name not in known]:
                raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; known: {', '.join(known)}")
            return chosen

        return parse

    parser = argparse.ArgumentParser(description="Gradus, loops written by hand and the peers, side by side.")
    parser.add_argument("--epochs", type=int, default=3, help="timed epochs of each contestant, after one that is not")
    parser.add_argument("--rows", type=int, help="training rows (default: all of MNIST, 12 800 reviews)")
    parser.add_argument("--only", type=names(WORKLOADS), default=list(WORKLOADS), help="workloads, joined by commas")
    parser.add_argument("--contestants", type=names(CONTESTANTS), default=list(CONTESTANTS), help="joined by commas")
    parser.add_argument("--json", type=Path, default=Path("runs/benchmark.json"), help="where the numbers go")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    signal.signal(
        signal.SIGTERM, lambda number, frame: sys.exit(128 + number)
    )  # so that no stopped process is left behind
    header = describe_machine("benchmarks/run.py")
    print("# Benchmark\n")
    print("\n".join(f"- {key}: {value}" for key, value in header.items()), flush=True)
    written: dict = {"header": header, "epochs": arguments.epochs, "workloads": {}, "equality": []}
    with tempfile.TemporaryDirectory(prefix="gradus-benchmark-") as folder:
        data = Path(folder)
        rows = write_data(data, arguments.rows, arguments.only)
        for name in arguments.only:
            workload = read_workload(name, data)
            fit = [one for one in arguments.contestants if not (workload.is_text and CONTESTANTS[one].pictures_only)]
            results = measure(name, fit, data, arguments.epochs)
            print(f"\n## {name}: {workload.about}\n\nData: {rows[name]}; {workload.steps} steps an epoch.")
            print(f"Timed epochs of each: {arguments.epochs}, after one that is not counted.\n")
            print(table(results, workload.steps, in_microseconds=name == "tiny"), flush=True)
            print("".join(f"\n{line}" for line in goals(name, results, workload.steps)))
            written["workloads"][name] = {"data": rows[name], "steps": workload.steps, "results": _as_json(results)}
        print("\n## The same numbers as a bare loop, bit by bit\n")
        for name in arguments.only:
            from equality import compare

            found = compare(read_workload(name, data))
            print(f"- {found.describe()}", flush=True)
            written["equality"].append(vars(found))
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(written, indent=1) + "\n")
    print(f"\nWritten to {arguments.json}")


def _as_json(results: list[Measured]) -> dict[str, dict]:
    return {
        name: {"seconds": result.seconds, "accuracy": result.accuracy, "failure": result.failure}
        for name, result in zip(_names(results), results, strict=True)
    }


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
