"""The losses of single steps, watched for jumps: medians of blocks, beside those of the blocks before.

A block is `BLOCK` steps; its median takes no notice of single hard batches, which are no jump: after one, the loss of most steps
is high. The spread of healthy losses is told by the blocks themselves (the median absolute deviation of the last `WINDOW`).
"""

from __future__ import annotations

import math
from statistics import median
from typing import Any

BLOCK = 10
WINDOW = 20  # blocks
LEAST = 5  # blocks before anything is judged
DEVIATIONS = 10.0  # a jump is so many deviations above the median of the blocks before,
SHARE = 0.25  # and by this share of the first loss, the scale on which losses are seen
TIMES = 1.5  # and so many times as high
RISEN = 1.5  # a loss has risen that stays so many times above what knowing nothing has, and above the first one
STAYS = 3  # blocks
KEPT = 20  # medians of an epoch


class Losses:
    """start: the loss that knowing nothing has, or None: the first loss is taken for it"""

    def __init__(self, start: float | None) -> None:
        self.start, self.first = start, -math.inf
        self.block: list[float] = []
        self.before: list[float] = []
        self.above = 0
        self.of_epoch: list[float] = []

    def begin(self, loss: float) -> None:
        """The loss before the first step. Without a call that of the first batch is taken for it."""
        self.first = loss
        self.start = loss if self.start is None else self.start

    def add(self, first: int, values: list[float]) -> list[dict[str, Any]]:
        """Takes the losses of steps from `first` (from 0) on; returns what happened: a spike, or that the loss has risen."""
        found = []
        for step, value in enumerate(values, first + 1):
            if self.first == -math.inf:
                self.begin(value)
            self.block.append(value)
            if len(self.block) == BLOCK:
                now = median(self.block)
                found += [{**one, "step": step} for one in self._judge(now)]
                self.block.clear()
                self.of_epoch.append(now)
        return found

    def _judge(self, now: float) -> list[dict[str, Any]]:
        assert self.start is not None
        found: list[dict[str, Any]] = []
        if self.start <= 0 or now < 0:  # a likelihood of densities has no zero to be measured from
            return found
        begun = max(self.start, self.first)
        self.above = self.above + 1 if now > RISEN * begun else 0
        if self.above == STAYS:
            found.append({"what": "risen", "before": begun, "after": now})
        if len(self.before) >= LEAST:
            usual = median(self.before)
            spread = 1.4826 * median(abs(value - usual) for value in self.before)
            if now > max(usual + DEVIATIONS * spread, usual + SHARE * self.start, TIMES * usual):
                found.append({"what": "spike", "before": usual, "after": now})
                self.before.clear()
        self.before.append(now)
        del self.before[:-WINDOW]
        return found

    def end_epoch(self) -> list[float]:
        """At most `KEPT` of the medians of the epoch that ends, evenly spaced."""
        medians, self.of_epoch = self.of_epoch, []
        return medians[:: max(1, -(-len(medians) // KEPT))]
