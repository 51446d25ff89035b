"""Learning-rate schedules: pure functions of the step, so that a resumed run needs no state of theirs.

Each gives the factor that the learning rate is multiplied by at update `step` (0-based) of `steps` in all. `plateau` is the one
that depends on what happened; its small state is `Plateau`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from gradus.train.settings import ScheduleSettings


def factor_at(schedule: ScheduleSettings, step: int, steps: int, steps_per_epoch: int) -> float:
    """The factor of the learning rate at update `step`."""
    warm = round(schedule.warmup * steps)
    if step < warm:
        return (step + 1) / warm
    progress = (step - warm) / max(steps - warm, 1)  # 0 at the first update after the warm-up, just below 1 at the last
    periods = max(step - warm - schedule.hold * steps_per_epoch, 0) / (schedule.every * steps_per_epoch)
    match schedule.name:
        case "step":
            return schedule.factor ** math.floor(periods + 1e-9)
        case "milestones":
            epochs = (step - warm) / steps_per_epoch
            return schedule.factor ** sum(epochs + 1e-9 >= milestone for milestone in schedule.milestones)
        case "exponential":
            return schedule.factor ** (math.floor(periods + 1e-9) if schedule.staircase else periods)
        case "inverse_time":
            return 1 / (1 + schedule.rate * periods)
        case "root":
            return 1 / math.sqrt(1 + periods)
        case "polynomial":
            return schedule.final + (1 - schedule.final) * (1 - progress) ** schedule.power
        case "cosine":
            return schedule.final + (1 - schedule.final) * (1 + math.cos(math.pi * progress)) / 2
        case "one_cycle":
            return _one_cycle(schedule, progress)
    return 1.0  # constant, and plateau, whose factor is kept in its state


def _one_cycle(schedule: ScheduleSettings, progress: float) -> float:
    """Half a cosine up from `start` to 1 at `peak_at`, half a cosine down to `final` (after Smith 2018)."""
    if progress < schedule.peak_at:
        rise = (1 - math.cos(math.pi * progress / schedule.peak_at)) / 2
        return schedule.start + (1 - schedule.start) * rise
    fall = (1 + math.cos(math.pi * (progress - schedule.peak_at) / (1 - schedule.peak_at))) / 2
    return schedule.final + (1 - schedule.final) * fall


@dataclass
class Plateau:
    """Multiplies the rate by `factor` after `patience` epochs in which the watched loss has not fallen below its lowest."""

    factor: float
    patience: int
    lowest: float = math.inf
    waited: int = 0
    scale: float = 1.0

    def update(self, loss: float) -> None:
        if loss < self.lowest:
            self.lowest, self.waited = loss, 0
            return
        self.waited += 1
        if self.waited >= self.patience:
            self.scale, self.waited = self.scale * self.factor, 0

    def state(self) -> dict[str, Any]:
        lowest = None if math.isinf(self.lowest) else self.lowest  # JSON has no infinity
        return {"lowest": lowest, "waited": self.waited, "scale": self.scale}

    def restore(self, state: dict[str, Any]) -> None:
        self.lowest = math.inf if state["lowest"] is None else state["lowest"]
        self.waited, self.scale = state["waited"], state["scale"]
