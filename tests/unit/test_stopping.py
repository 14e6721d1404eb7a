"""Signals that end a recording or a test: Ctrl-C, SIGTERM and SIGHUP alike."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from builders import START, Event, batch, header, trailer

from swaptrace.events import EventBatch
from swaptrace.record import recorder
from swaptrace.running import Moment
from swaptrace.stopping import Stop, Stopped, signals
from swaptrace.trace.reader import TraceReader

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


class Source:
    """Of a recording in which nothing happens."""

    header, compared = header(), None

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def poll(self) -> EventBatch:
        return batch(list[Event]())

    def lost(self) -> int:
        return 0

    def moment(self) -> Moment:
        return Moment(START)

    def left_out(self) -> int:
        return 0

    def finish(self, _: int | None, reason: str) -> tuple[list[EventBatch], Any]:
        return [], trailer(START + 9, reason=reason)


@pytest.fixture
def handled() -> Iterator[None]:
    """Signals that nobody handles fail the test, and do not end it."""

    def fail(number: int, _: object) -> None:
        raise AssertionError(f"nobody handles {signal.Signals(number).name}")

    before = {number: signal.signal(number, fail) for number in ALL}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("handled")
@pytest.mark.parametrize("number", ALL)
def test_a_signal_may_come_as_soon_as_it_is_said_that_it_records(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        if text.startswith("recording to"):
            os.kill(os.getpid(), number)

    monkeypatch.setattr(recorder, "settled", lambda _: (Source(), None))
    monkeypatch.setattr(recorder, "to_stderr", say)
    trace = tmp_path / "trace"
    assert recorder.record(trace, None, (), duration=60, force=False, ring_bytes=None) == 0
    reader = TraceReader(trace)
    assert sum(map(len, reader)) == 0
    assert reader.trailer is not None and reader.trailer.reason == number.name
    assert "see it with" in said[-1]
