"""The live analysis, on this machine: what it loses at a steady rate, and what memory it takes as time goes on.

Usage: python -m tests.bench.live rate EVENTS_A_SECOND SECONDS, or memory EVENTS TIMES. Prints JSON.

It is all of `record --summary` but the kernel's side: the loop, the status line and the sink that analyses and writes
results are the real ones. Their source makes events at a rate, and loses those for which the ring would have no room.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from swaptrace.areas import Snapshot
from swaptrace.events import EventBatch
from swaptrace.progress import LiveLine
from swaptrace.record.recorder import StatusLine
from swaptrace.record.results_writer import ResultsWriter
from swaptrace.running import Moment, Sink, Source, run
from swaptrace.stopping import Stop
from swaptrace.trace.header import Trailer
from swaptrace.tracing.ring import default_ring_bytes, records_in
from tests.bench import workload

__all__ = ["measure"]

_ROOM = 7 / 8  # of a ring's records, see bpf/common.h
_A_BATCH = 1 << 16
_CYCLE = 1_000_000  # events (32 MB); then they come again


def measure(*arguments: object) -> dict[str, Any]:
    """What main() prints for these arguments, from a process of its own.

    rate: sent, lost: events; took, cpu_s: seconds; resident: bytes; behind: the most events that waited. memory:
    resident after so many events, and after that many times as many (bytes); results: the file's bytes.
    """
    command = [sys.executable, "-m", "tests.bench.live", *map(str, arguments)]
    return dict(json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout))


class _Paced:
    """A source of so many events, at a rate; or, without one, of a batch at each poll."""

    def __init__(self, stop: Stop, rate: float | None, events: int) -> None:
        self._stop, self._rate, self._events = stop, rate, events
        # At a rate, the same events come again and again, for making them takes longer than analysing them. Without
        # one, they are made as they come: what is kept of them would count as the analysis' memory.
        self._made = workload.batches(2**62)
        self._cycle = EventBatch.concatenate(list(workload.batches(_CYCLE))).events if rate else None
        self._step = 1e9 / (rate or 20_000)
        self._room = int(records_in(default_ring_bytes()) * _ROOM)
        self._start = time.monotonic()
        self._wait = 0.1  # seconds, as a live source waits: less, the fuller the ring was
        self.sent = self.lost_events = self.behind = 0

    def poll(self) -> EventBatch:
        if self._rate is None:
            due = min(self.sent + _A_BATCH, self._events)
        else:
            due = min(int((time.monotonic() - self._start) * self._rate), self._events)
        waiting = due - self.sent
        self.behind = max(self.behind, waiting)
        if waiting > self._room and self._rate is not None:
            self.lost_events += waiting - self._room
            self.sent += waiting - self._room
        if self.sent >= self._events:
            self._stop.reason = "command ended"
        if self._rate is not None and waiting < _A_BATCH:
            share = waiting / self._room
            self._wait = max(self._wait / 2, 0.001) if share > 0.25 else min(self._wait * 1.5, 0.1)
            time.sleep(self._wait)
        return self._batch(min(due - self.sent, _A_BATCH))

    def _batch(self, length: int) -> EventBatch:
        if self._cycle is None:
            events = next(self._made).events
        else:
            place = self.sent % len(self._cycle)
            events = self._cycle[place : place + length].copy()
        events["time"] = 1000 + (np.arange(self.sent, self.sent + len(events)) * self._step).astype(np.int64)
        self.sent += len(events)
        return EventBatch(events)

    def lost(self) -> int:
        return self.lost_events

    def moment(self) -> Moment:
        return Moment(1000 + int(self.sent * self._step))

    def finish(self, exit_status: int | None, reason: str) -> tuple[list[EventBatch], Trailer]:
        start = workload.header().start
        return [], Trailer(Snapshot(self.moment().time, start.areas, start.stores), {}, exit_status, reason)


def _resident(name: str) -> int:
    """A line of this process's status, bytes."""
    found = re.search(rf"^{name}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


def _sinks(folder: str) -> tuple[ResultsWriter, StatusLine]:
    def fail(why: str) -> None:
        raise RuntimeError(why)

    return ResultsWriter(Path(folder, "results"), workload.header(), fail), StatusLine(LiveLine())


def _at_rate(rate: float, seconds: float) -> dict[str, float]:
    stop = Stop()
    with tempfile.TemporaryDirectory() as folder:
        sinks = _sinks(folder)
        source = _Paced(stop, rate, int(rate * seconds))
        before, start = time.process_time(), time.monotonic()
        source._start = start
        run(source, sinks, stop)
        took, cpu = time.monotonic() - start, time.process_time() - before
    assert sinks[1].events + source.lost_events == source.sent == int(rate * seconds)
    return {"sent": source.sent, "lost": source.lost_events, "took": took, "cpu_s": cpu, "behind": source.behind,
            "resident": _resident("VmHWM")}  # fmt: skip


class _Scale(Sink):
    """Notes what memory is resident after so many events, when results have been written as well."""

    def __init__(self, events: int) -> None:
        self._events, self.resident = events, 0

    def feed(self, batch: EventBatch) -> None:
        self._events -= len(batch)

    def tick(self, source: Source) -> None:
        if self._events <= 0 and not self.resident:
            self.resident = _resident("VmRSS")


def _memory(events: int, times: int) -> dict[str, float]:
    stop, scale = Stop(), _Scale(events)
    with tempfile.TemporaryDirectory() as folder:
        run(_Paced(stop, None, events * times), [*_sinks(folder), scale], stop)
        last, size = _resident("VmRSS"), Path(folder, "results").stat().st_size
    return {"first": scale.resident, "last": last, "most": _resident("VmHWM"), "results": size}


def main() -> None:
    what, first, second = sys.argv[1:]
    found = _at_rate(float(first), float(second)) if what == "rate" else _memory(int(first), int(second))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
