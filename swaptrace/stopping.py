"""Signals that end what runs: Ctrl-C, SIGTERM, and SIGHUP, which a closed terminal or session sends. In one place."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from types import FrameType


class Stopped(Exception):
    """What could not be finished: a signal came. exit_status: as a shell has it."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name
        self.exit_status = 128 + signal.Signals[name]


class Stop:
    """Why to stop: a signal's name, "duration", or what the caller gives. Handlers do nothing but note it.

    Where nobody asks for it again and again, interruptible() has the handler raise Stopped.
    """

    def __init__(self, duration: float | None = None) -> None:
        """duration: seconds, from now on."""
        self.reason: str | None = None
        self._end = None if duration is None else time.monotonic() + duration
        self._raises = False

    def handle(self, number: int, _: FrameType | None = None) -> None:
        self.reason = self.reason or signal.Signals(number).name
        self._raise()

    def _raise(self) -> None:
        if self._raises and self.reason is not None:
            self._raises = False  # once: what is cleaned up after is not to be interrupted
            raise Stopped(self.reason)

    def due(self) -> str | None:
        """The reason to stop now, or None."""
        if self.reason is None and self._end is not None and time.monotonic() >= self._end:
            self.reason = "duration"
        return self.reason

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """Until this is left, a signal raises Stopped; so does one that has come already."""
        self._raises = True
        try:
            self._raise()
            yield
        finally:
            self._raises = False


@contextlib.contextmanager
def signals(stop: Stop) -> Iterator[None]:
    """Until this is left, signals set `stop`. SIGHUP stays ignored if it is: that is what nohup asks for."""
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, stop.handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
