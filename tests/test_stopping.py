"""Who decides about a signal: the innermost block, and nobody's handlers are left behind."""

from __future__ import annotations

import signal
import threading

import pytest

from gradus.stopping import SIGNALS, Interrupted, held_signals, on_signals, told_when_stopped


def handlers() -> list:
    return [signal.getsignal(number) for number in SIGNALS]


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_the_innermost_block_decides(number):
    before, outer, inner = handlers(), [], []
    with on_signals(outer.append):
        with on_signals(inner.append):
            signal.raise_signal(number)
        signal.raise_signal(number)
    assert (outer, inner) == ([number], [number]) and handlers() == before


def test_handlers_are_put_back_after_an_exception():
    before = handlers()
    with pytest.raises(ZeroDivisionError), on_signals(print):
        raise ZeroDivisionError
    assert handlers() == before


def test_held_signals_come_at_the_end_and_only_once():
    order: list = []
    with on_signals(order.append):
        with held_signals():
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGTERM)
            order.append("written")
        order.append("after")
    assert order == ["written", signal.SIGTERM, "after"]


def test_an_error_in_a_held_block_is_told_rather_than_the_signal():
    order: list = []
    with on_signals(order.append), pytest.raises(ZeroDivisionError), held_signals():
        signal.raise_signal(signal.SIGTERM)
        raise ZeroDivisionError
    assert order == []


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="needs SIGHUP")
def test_an_ignored_hang_up_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with on_signals(lambda number: pytest.fail("nohup was overruled")):
            signal.raise_signal(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_other_threads_get_no_signals_and_no_error():
    before, done = handlers(), []

    def run() -> None:
        with on_signals(print), held_signals():
            done.append(handlers())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert done == [before]


def test_a_stop_that_says_nothing_is_given_words_and_keeps_its_number():
    with pytest.raises(Interrupted, match="go on with x") as told, told_when_stopped("go on with x"):
        raise Interrupted("", signal.SIGTERM)
    assert told.value.signal_number == 15
    with pytest.raises(Interrupted, match="saved"), told_when_stopped("go on with x"):
        raise Interrupted("saved", signal.SIGTERM)
    with pytest.raises(Interrupted, match="go on") as told, told_when_stopped("go on"):
        raise KeyboardInterrupt
    assert told.value.signal_number == 2
