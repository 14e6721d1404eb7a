"""The one loop: events from a source go to sinks, until it is time to stop.

Whatever follows a running kernel is this: `record` (to a trace, to results, to a status line), `audit --trace` and
`selftest` (to an analysis).
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from swaptrace.events import EventBatch
from swaptrace.stopping import Stop
from swaptrace.trace.header import Trailer

_TICK = 1.0  # seconds: what a killed recorder may lose


@dataclass(frozen=True)
class Moment:
    """How far a source is: all that happened until `time` (CLOCK_MONOTONIC, ns) has been handed over, but for what was
    lost, or missed (as in Trailer)."""

    time: int
    lost: dict[str, int] = field(default_factory=dict)
    missed: dict[str, int] = field(default_factory=dict)


class Source(Protocol):
    """Where events come from, in batches and in order."""

    def poll(self) -> EventBatch:
        """What has happened since the last call; waits a little if that is nothing."""

    def lost(self) -> int:
        """Slots whose events were lost so far."""

    def moment(self) -> Moment:
        """How far it is. May take a few tenths of a second."""

    def finish(self, exit_status: int | None, reason: str) -> tuple[list[EventBatch], Trailer]:
        """What happened until now, and what is said of the whole. Called once, at the end."""


class Sink:
    """What takes events in. A sink overrides what concerns it."""

    def feed(self, batch: EventBatch) -> None:
        """The next batch."""

    def tick(self, source: Source) -> None:
        """Called about once a second, between two batches."""

    def ending(self) -> None:
        """It was time to stop: what is left comes now, and then close()."""

    def close(self, trailer: Trailer) -> None:
        """There are no more batches."""


def run(source: Source, sinks: Sequence[Sink], stop: Stop, command: tuple[str, ...] = ()) -> Trailer:
    """Feed all sinks until it is time to stop, or the command has ended, which is started for that; then close them."""
    child = subprocess.Popen(command) if command else None
    ticked = time.monotonic()
    try:
        while not _due(stop, child):
            batch = source.poll()
            for sink in sinks:
                sink.feed(batch)
            if time.monotonic() - ticked >= _TICK:
                ticked = time.monotonic()
                for sink in sinks:
                    sink.tick(source)
    finally:
        exit_status = end_of(child, stop.reason)
    for sink in sinks:
        sink.ending()
    batches, trailer = source.finish(exit_status, stop.reason or "end")
    for sink in sinks:
        for batch in batches:
            sink.feed(batch)
        sink.close(trailer)
    return trailer


def _due(stop: Stop, child: subprocess.Popen[bytes] | None) -> str | None:
    """The reason to stop now, or None."""
    if stop.reason is None and child is not None and child.poll() is not None:
        stop.reason = "command ended"
    return stop.due()


def end_of(child: subprocess.Popen[bytes] | None, reason: str | None) -> int | None:
    """The command's exit status, as a shell gives it; 0 if the recording, not the command, came to its end first."""
    if child is None:
        return None
    if child.poll() is None:
        child.terminate()
        child.wait()
        return 0
    if reason != "command ended":  # Ctrl-C reaches the command, too
        return 0
    return child.returncode if child.returncode >= 0 else 128 - child.returncode
