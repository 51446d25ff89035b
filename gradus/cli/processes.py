"""Which of several processes this one is: torchrun, or our launcher, may have started it beside others."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext


def is_one_of_several() -> bool:
    """Whether torchrun, or our launcher, started this process beside others."""
    return os.environ.get("WORLD_SIZE", "1") not in ("", "1")


def is_main() -> bool:
    return not is_one_of_several() or os.environ.get("RANK", "0") == "0"


def together() -> AbstractContextManager:
    """Within it a user's mistake is told once, however many processes find it."""
    if not is_one_of_several():
        return nullcontext()
    from gradus.train.world import join

    return join().together()


def lost_another(error: RuntimeError) -> bool:
    from gradus.train.world import was_lost

    return was_lost(error)
