"""record: the live source; its sinks are the trace writer, the live analysis with its results, and the status line."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from swaptrace import running, units
from swaptrace.areas import ZSWAP_STORES
from swaptrace.errors import UsageProblem, to_stderr
from swaptrace.events import EventBatch, EventFlag, EventKind, empty
from swaptrace.marks import Listener
from swaptrace.progress import LiveLine
from swaptrace.running import Sink
from swaptrace.stopping import Stop, signals
from swaptrace.trace.header import Header, Trailer
from swaptrace.trace.writer import TraceWriter, already_there
from swaptrace.tracing.environment import missing_views
from swaptrace.tracing.footprint import give_back, hurry, keep_in_memory
from swaptrace.tracing.source import LiveSource

if TYPE_CHECKING:
    from swaptrace.record.results_writer import ResultsWriter


class StatusLine(Sink):
    """A sink that shows running totals: events, slots, and the compressed bytes that notifications gave back."""

    def __init__(self, live: LiveLine) -> None:
        self._live = live
        self.events = self._stored = self._freed = self._given_back = self._lost = 0
        self._start = time.monotonic()

    def feed(self, batch: EventBatch) -> None:
        events = batch.events
        kind = events["kind"]
        dropped = events["flags"] & EventFlag.DROPPED > 0  # a notification's, in whatever event
        self.events += len(events)
        self._stored += int(np.count_nonzero(kind == EventKind.STORE))
        self._freed += int(events["run"][kind == EventKind.FREE].sum())
        self._given_back += int(events["size"][dropped].sum())

    def tick(self, source: running.Source) -> None:
        self._lost = source.lost()
        self._live.show(self.line())

    def ending(self) -> None:
        self._live.show("reading what is left, and how areas and stores are now ...")

    def close(self, trailer: Trailer) -> None:
        self._lost = sum(trailer.losses().values())

    def line(self) -> str:
        """The totals so far."""
        seconds = max(time.monotonic() - self._start, 1e-9)
        return (
            f"{units.duration(1e9 * seconds)}: "
            f"{units.count(self.events)} events ({units.rate(self.events / seconds)}), "
            f"{units.count(self._stored)} slots stored, {units.count(self._freed)} freed, "
            f"{units.size(self._given_back)} given back by notifications, {units.count(self._lost)} lost"
        )


class Marked(running.Source):
    """The same source, with the marks that are set meanwhile."""

    def __init__(self, source: running.Source, listener: Listener) -> None:
        self._source, self._listener = source, listener

    def lost(self) -> int:
        return self._source.lost()

    def moment(self) -> running.Moment:
        return self._source.moment()

    def poll(self) -> EventBatch:
        batch, marks = self._source.poll(), self._listener.take()
        return replace(batch, marks=batch.marks + marks) if marks else batch

    def finish(self, exit_status: int | None, reason: str) -> tuple[list[EventBatch], Trailer]:
        marks = self._listener.take()
        batches, trailer = self._source.finish(exit_status, reason)
        return [EventBatch(empty(), marks=marks), *batches] if marks else batches, trailer


def record(
    output: Path | None,
    summary: Path | None,
    command: tuple[str, ...],
    *,
    duration: float | None,
    force: bool,
    ring_bytes: int | None,
    labels: Mapping[str, str] | None = None,
    time_frees: bool = False,
    kprobes: bool = False,
    ages: bool = False,
) -> int:
    """Record until the command ends, the duration is over, or a signal comes; returns the exit status.

    output: where the events go; summary: where results go, worked out meanwhile. One of them may be None. ages: the
    results tell how long entries are idle, too. Raises Problem for all that a user can mend; what was recorded until
    then stays readable.
    """
    outputs = {option: path for option, path in (("-o", output), ("--summary", summary)) if path is not None}
    prepare_outputs(outputs, command, force=force)
    compiled, refused = settled(
        lambda: LiveSource(command, ring_bytes, labels=labels, time_frees=time_frees, kprobes=kprobes)
    )
    with LiveLine() as live, compiled as source, Listener() as listener, contextlib.ExitStack() as until_the_end:
        files: list[TraceWriter | ResultsWriter] = []
        if output is not None:
            files.append(TraceWriter(output, source.header, force=force))
        if summary is not None:
            results = results_writer(summary, source.header, force=force, ages=ages)
            until_the_end.enter_context(results.asked_by_signal())
            files.append(results)
        say_what_is_missing(source.header, refused)
        if listener.why_not:
            to_stderr(listener.why_not)
        if source.compared is not None:
            to_stderr(f"zram's layout is assumed; {units.count(source.compared)} entries are as it has them")
        stop = Stop(duration)
        with signals(stop):  # before it is said: who reads that may send one at once
            to_stderr(
                f"recording to {' and '.join(map(str, outputs.values()))}"
                + ("" if command or duration else "; stop with Ctrl-C")
            )
            status = StatusLine(live)
            hurry()
            trailer = running.run(Marked(source, listener), (*files, status), stop, command)
        left_out = source.left_out()
    to_stderr(f"\n{status.line()}")
    for file in files:
        to_stderr(f"{file.path}: {units.size(file.size)}; see it with: swaptrace report {file.path}")
    if left_out:
        to_stderr(
            f"left out: {units.count(left_out)} requests and drops of zram devices that came meanwhile, with device "
            f"numbers of {ZSWAP_STORES} and more; swap areas on them are in the report as if they were on a disk"
        )
    if trailer.lost:
        ring = source.header.ring_bytes >> 20
        to_stderr(
            f"events were lost, so that figures are known as ranges only; a larger ring may do: --ring {2 * ring}"
        )
    return trailer.exit_status or 0


def results_writer(path: Path, header: Header, *, force: bool, ages: bool = False) -> ResultsWriter:
    """The sink of the live analysis, which is loaded only where it is asked for: it takes memory."""
    from swaptrace.record.results_writer import ResultsWriter

    return ResultsWriter(path, header, to_stderr, force=force, ages=ages)


def settled(make: Callable[[], LiveSource]) -> tuple[LiveSource, str | None]:
    """Make a source, which compiles, and give back what only that needed; with it, why the rest could not be locked."""
    to_stderr("compiling and attaching BPF programs ...")
    source = make()
    give_back()
    return source, keep_in_memory()


def say_what_is_missing(header: Header, refused: str | None) -> None:
    """What the recording will not tell. refused: see settled()."""
    for event in header.missing:
        to_stderr(f"not recorded, as this kernel does not tell: {event} (see: swaptrace check)")
    if refused:
        to_stderr(f"the recorder may be swapped out itself, and is then in its own figures: {refused}")
    for sentence in missing_views():
        to_stderr(sentence)


def prepare_outputs(outputs: Mapping[str, Path], command: tuple[str, ...], *, force: bool) -> None:
    """Say now what would otherwise fail only after seconds of compiling. Raises UsageProblem.

    outputs: by the option that names them.
    """
    if command and shutil.which(command[0]) is None:
        raise UsageProblem(f"{command[0]}: command not found", "check the spelling, or give its whole path")
    for option, output in outputs.items():
        if os.path.lexists(output) and not force:
            raise already_there(output, option)
