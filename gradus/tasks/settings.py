"""The settings of a task, apart from the tasks, so that reading a recipe needs no PyTorch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class TaskSettings:
    """Which task. `options` are its own settings, such as label_smoothing; see `docs/tasks.md`."""

    name: str = ""  # empty: inferred from the columns
    options: dict[str, Any] = field(default_factory=dict)
