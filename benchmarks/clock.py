"""The clock of a contestant: it is called at the end of every epoch, and holds the contestant until its next turn.

Between two turns the contestants of the other processes run, so that a machine that grows slower does so for all of them.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any, TextIO


class Clock:
    """Sends the seconds of each epoch to run.py and waits for its word to go on."""

    def __init__(self, channel: TextIO, epochs: int) -> None:
        self.channel, self.left = channel, epochs
        self.started = 0.0

    def start(self) -> None:
        """Everything before this is preparation and is not counted."""
        self._wait({"ready": True})

    def lap(self) -> None:
        """An epoch is over."""
        seconds = time.perf_counter() - self.started
        self.left -= 1
        if self.left:
            self._wait({"seconds": seconds})
        else:
            self.send({"seconds": seconds})

    def send(self, message: dict[str, Any]) -> None:
        print(json.dumps(message), file=self.channel, flush=True)

    def _wait(self, message: dict[str, Any]) -> None:
        self.send(message)
        if not sys.stdin.readline():
            sys.exit("run.py has ended")
        self.started = time.perf_counter()
