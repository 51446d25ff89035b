"""Being asked to stop: Ctrl-C (SIGINT), a scheduler (SIGTERM), a terminal that was closed (SIGHUP).

Each part of a command decides what a request means there: at once where nothing would be lost (reading data, judging, writing a
report), at the end of a few writes that belong together, after the running step and a save while training. The innermost
`on_signals` decides.
"""

from __future__ import annotations

import inspect
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)  # Windows has no SIGHUP


class Interrupted(KeyboardInterrupt):
    """Stopped by the signal of this number. Its text says what is there and how to go on; empty where nobody knew."""

    def __init__(self, message: str = "", signal_number: int = signal.SIGINT) -> None:
        super().__init__(message)
        self.signal_number = int(signal_number)


@contextmanager
def on_signals(handle: Callable[[int], None]) -> Iterator[None]:
    """Calls `handle` with the number of each signal that asks for a stop; the handlers before it are then put back.

    Signals reach the main thread only: in any other one this does nothing. A hang-up that is ignored (nohup) stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    wanted = [number for number in SIGNALS if number == signal.SIGINT or signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, lambda caught, frame: handle(caught)) for number in wanted}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def held_signals() -> Iterator[None]:
    """Lets signals wait until the end of the block, then lets them do what they would have done before it."""
    waiting: list[int] = []
    with on_signals(waiting.append):
        yield
    for number in waiting[:1]:
        signal.raise_signal(number)


@contextmanager
def told_when_stopped(message: str) -> Iterator[None]:
    """Gives a stop that says nothing yet this text: what is there, and how to go on."""
    _told.append(message)
    try:
        yield
    except KeyboardInterrupt as stop:
        if str(stop):
            raise
        raise Interrupted(message, getattr(stop, "signal_number", signal.SIGINT)) from None
    finally:
        _told.pop()


_told: list[str] = []  # the texts of the `told_when_stopped` that the process is in


def stop_now(number: int) -> NoReturn:
    """Stops by an exception, or in the middle of an import without one: where an exception comes out of what a C++ extension
    imports, that may abort the process with a trace of its own."""
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            with suppress(OSError):
                os.write(2, f"gradus: {_told[-1] if _told else 'stopped'}\n".encode())
            os._exit(128 + number)
        frame = frame.f_back
    raise Interrupted("", number)
