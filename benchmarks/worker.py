"""One contestant in a process of its own: `python worker.py CONTESTANT WORKLOAD DATA_FOLDER EPOCHS`, started by run.py."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

from clock import Clock
from contestants import CONTESTANTS
from workload import read_workload


def main() -> None:
    name, workload_name, folder, epochs = sys.argv[1:]
    channel = os.fdopen(os.dup(1), "w")  # what was our standard output now carries the clock's messages alone
    os.dup2(2, 1)  # and whatever a library prints goes to the log
    contestant = CONTESTANTS[name]
    os.environ.update(contestant.environment)
    module, function = contestant.function.split(":")
    workload = read_workload(workload_name, Path(folder))
    clock = Clock(channel, int(epochs))
    predicted = getattr(importlib.import_module(module), function)(workload, int(epochs), clock)
    clock.send({"accuracy": float((predicted == workload.test_labels).mean()), "left": clock.left})


if __name__ == "__main__":
    main()
