"""Signals that end a recording or a test: Ctrl-C, SIGTERM and SIGHUP alike."""

from __future__ import annotations

import os
import signal

import pytest

from swaptrace.stopping import Stop, Stopped, signals

ALL = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.mark.parametrize("number", ALL)
def test_a_signal_is_noted(number: signal.Signals) -> None:
    stop, before = Stop(), signal.getsignal(number)
    with signals(stop):
        assert stop.due() is None
        os.kill(os.getpid(), number)
        assert stop.due() == number.name
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.due() == number.name  # the first one is why
    assert signal.getsignal(number) == before


def test_a_hangup_that_nohup_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        stop = Stop()
        with signals(stop):
            os.kill(os.getpid(), signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
            assert stop.due() is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_duration() -> None:
    assert Stop(1e-9).due() == "duration"
    assert Stop(60).due() is None


@pytest.mark.parametrize("number", ALL)
def test_what_is_interruptible_is_interrupted(number: signal.Signals) -> None:
    """Once: what follows, to clean up, is not."""
    stop, cleaned, inner = Stop(), False, False
    with signals(stop), pytest.raises(Stopped, match=number.name) as caught:
        try:
            with stop.interruptible():
                try:
                    os.kill(os.getpid(), number)
                    pytest.fail("it went on")
                finally:
                    os.kill(os.getpid(), signal.SIGTERM)
                    inner = True
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            cleaned = inner
    assert cleaned
    assert caught.value.exit_status == 128 + number


def test_a_signal_from_before_interrupts_at_once() -> None:
    """What is being set up is finished first, so that it can be taken away again."""
    stop = Stop()
    with signals(stop), pytest.raises(Stopped):
        os.kill(os.getpid(), signal.SIGTERM)
        with stop.interruptible():
            pytest.fail("it began")
