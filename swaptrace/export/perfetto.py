"""A recording for ui.perfetto.dev: what stores held over time as counters, swap areas as slices, marks as instants.

The messages are those of the package `perfetto` (TracePacket). How large the file gets depends on time bins, areas and
calls: there are no events in it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count
from typing import IO, Any

from swaptrace.analysis.analysis import Analysis
from swaptrace.areas import title_of
from swaptrace.errors import EnvironmentProblem
from swaptrace.events import EventBatch, Mark, SwapCall
from swaptrace.notifiers import Notification, SwapEvent, SwapEventNotifiers
from swaptrace.results.catalogue import Unit
from swaptrace.results.derived import made_by
from swaptrace.results.over_time import OVER_TIME, OverTime
from swaptrace.results.results import AreaResult, TraceResult
from swaptrace.trace.header import Header

_SEQUENCE = 1  # of packets: there is one writer


def protobufs() -> Any:
    """The module of Perfetto's messages. Raises EnvironmentProblem if it is not installed."""
    try:
        from perfetto.protos.perfetto.trace import perfetto_trace_pb2
    except ImportError as error:
        raise EnvironmentProblem(
            f"a Perfetto trace is made with the Python package perfetto, which is not to be had here: {error}",
            "install it: pip install 'swaptrace[perfetto]'",
        ) from None
    return perfetto_trace_pb2


class Happened:
    """A Follower of an analysis: when areas were switched on and off, which calls failed, and what was marked.

    on, off: CLOCK_MONOTONIC (ns), by title_of(); calls: those that failed, with the same; marks.
    """

    lives = False

    def __init__(self) -> None:
        self.on: dict[str, int] = {}
        self.off: dict[str, int] = {}
        self.calls: list[tuple[int, SwapCall]] = []
        self.marks: list[Mark] = []
        self._notifiers = SwapEventNotifiers()
        self._notifiers.register(lambda told: self._note(self.on, told), SwapEvent.SWAPON)
        self._notifiers.register(lambda told: self._note(self.off, told), SwapEvent.SWAPOFF)

    @staticmethod
    def _note(times: dict[str, int], told: Notification) -> None:
        area = told.area
        times[title_of(area.path, area.swap_type, area.generation)] = told.time

    def begin(self, header: Header, analysis: Analysis, since: int | None, until: int | None) -> None:
        for area in header.start.areas:
            self._notifiers.swapon(area, None, header.start.time)

    def feed(self, batch: EventBatch) -> None:
        self.marks += batch.marks
        for call in batch.calls:
            time, area = int(batch.events["time"][call.row]), made_by(call)
            if call.result != 0 or area is None:
                self.calls.append((time, call))
            elif call.call == "swapon":
                self._notifiers.swapon(area, call.store, time)
            else:
                self._notifiers.swapoff(area.swap_type, time)


class _Packets:
    """Writes packets, one after the other: a trace is nothing but those."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._messages = file, protobufs()
        self._numbers = count(1)

    def put(self, **fields: Any) -> None:
        """A packet with these fields."""
        packet = self._messages.TracePacket(trusted_packet_sequence_id=_SEQUENCE, **fields)
        self._file.write(self._messages.Trace(packet=[packet]).SerializeToString())

    def clocks(self, header: Header) -> None:
        """Times are CLOCK_MONOTONIC, and this is what the wall clock showed when the recording began."""
        monotonic, realtime = self._messages.BUILTIN_CLOCK_MONOTONIC, self._messages.BUILTIN_CLOCK_REALTIME
        clocks = [
            {"clock_id": monotonic, "timestamp": header.start.time},
            {"clock_id": realtime, "timestamp": header.start_realtime},
        ]
        self.put(
            clock_snapshot={"clocks": clocks, "primary_trace_clock": monotonic},
            sequence_flags=self._messages.TracePacket.SEQ_INCREMENTAL_STATE_CLEARED,
        )

    def track(self, name: str, parent: int = 0, unit: Unit | None = None) -> int:
        """A new track: its number. unit: if it is a counter."""
        number = next(self._numbers)
        descriptor: dict[str, Any] = {"uuid": number, "name": name}
        if parent:
            descriptor["parent_uuid"] = parent
        if unit is not None:
            units = self._messages.CounterDescriptor
            descriptor["counter"] = {"unit": units.UNIT_SIZE_BYTES if unit is Unit.BYTES else units.UNIT_COUNT}
        self.put(track_descriptor=descriptor)
        return number

    def event(self, kind: str, track: int, time: int, **fields: Any) -> None:
        """Something on a track. kind: of TrackEvent.Type; time: CLOCK_MONOTONIC, ns."""
        event = {"type": self._messages.TrackEvent.Type.Value(f"TYPE_{kind}"), "track_uuid": track, **fields}
        self.put(timestamp=time, timestamp_clock_id=self._messages.BUILTIN_CLOCK_MONOTONIC, track_event=event)


def write(file: IO[bytes], header: Header, result: TraceResult, happened: Happened) -> None:
    """The whole trace. happened: of a file of results, nothing."""
    packets = _Packets(file)
    packets.clocks(header)
    begin = header.start.time + result.begin
    end = begin + round(result.trace["duration_s"] * 1e9)
    stores: set[str] = set()  # whose pools are told of
    for area in result.areas:
        title = title_of(area.device, area.swap_type, area.generation)
        track = packets.track(title)
        if title in happened.on:
            on, off = max(happened.on[title], begin), min(happened.off.get(title, end), end)
            if on <= off:
                packets.event("SLICE_BEGIN", track, on, name=f"{area.device} is swapped on")
                packets.event("SLICE_END", track, off)
        if area.exact:
            _counters(packets, area, track, begin, stores)
    _instants(packets, happened, begin, end)


def _counters(packets: _Packets, area: AreaResult, track: int, begin: int, stores: set[str]) -> None:
    """An area's figures over time; its store's as well, if no other area was there to tell them."""
    of_area = [row for row in OVER_TIME if not row.of_store]
    _count(packets, area, of_area, track, begin)
    if area.store is not None and area.store not in stores:
        stores.add(area.store)
        _count(packets, area, [row for row in OVER_TIME if row.of_store], packets.track(area.store), begin)


def _count(packets: _Packets, area: AreaResult, rows: list[OverTime], parent: int, begin: int) -> None:
    for row in rows:
        values = row.values(area) if area.shows(row.policy) else None
        if values is not None:
            track = packets.track(row.label, parent, row.unit)
            for time, value in zip((begin + area.series.time).tolist(), values.tolist(), strict=True):
                packets.event("COUNTER", track, time, counter_value=value)


def _instants(packets: _Packets, happened: Happened, begin: int, end: int) -> None:
    found = [(name, told) for name, told in (("calls that failed", _failed(happened)), ("marks", _marked(happened)))]
    for name, told in found:
        within = [(time, words) for time, words in told if begin <= time <= end]
        track = packets.track(name) if within else 0
        for time, words in within:
            packets.event("INSTANT", track, time, name=words)


def _failed(happened: Happened) -> Iterator[tuple[int, str]]:
    for time, call in happened.calls:
        why = os.strerror(-call.result) if call.result < 0 else "its area is not known"
        yield time, f"{call.call} {call.path}: {why}"


def _marked(happened: Happened) -> Iterator[tuple[int, str]]:
    return ((mark.time, mark.text) for mark in happened.marks)
