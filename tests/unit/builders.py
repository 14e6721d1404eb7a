"""Traces by hand: events as plain tuples, and what turns them into the batches, headers and files of swaptrace."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from swaptrace.areas import Snapshot, Store, SwapArea
from swaptrace.engine import zsmalloc
from swaptrace.engine.counters import COUNTS, Counts
from swaptrace.engine.mapping import NO_AREA, PageMap
from swaptrace.engine.records import EventRecords
from swaptrace.engine.survey import partition, routes
from swaptrace.events import EventBatch, EventFlag, EventKind, FreeReason, SwapCall, empty
from swaptrace.trace.header import Header, Trailer

PAGE_SIZE = 4096
START = 5_000_000_000  # ns: when the traces of these tests begin


class Event(NamedTuple):
    """One event, its fields named as in swaptrace.events; `call` for a swapon or swapoff."""

    time: int
    kind: EventKind
    device: int
    slot: int = 0
    run: int = 1
    size: int = 0
    arg: int = 0
    flags: int = 0
    tgid: int = 100
    reason: int = 0  # of a free: FreeReason + 1
    call: SwapCall | None = None


def free(time: int, swap_type: int, slot: int, run: int = 1, reason: FreeReason = FreeReason.OTHER) -> Event:
    return Event(time, EventKind.FREE, swap_type, slot, run, reason=reason + 1)


def notified_free(time: int, swap_type: int, slot: int, size: int, flags: int = EventFlag.DROPPED) -> Event:
    """A free that tells of its notification, too, which was timed. flags: as that has them."""
    flags |= EventFlag.NOTIFIED | EventFlag.TIMED
    return Event(time, EventKind.FREE, swap_type, slot, size=size, arg=500, flags=flags, reason=FreeReason.OTHER + 1)


def store(time: int, device: int, slot: int, size: int, flags: int = 0) -> Event:
    return Event(time, EventKind.STORE, device, slot, size=size, flags=flags)


def swap_call(
    time: int, name: str, area: SwapArea | None, store: Store | None = None, *, number: int = 0, result: int = 0
) -> Event:
    """A swapon or swapoff; failed if `result` is not 0."""
    kind = EventKind[name.upper()]
    path, device = (area.path, area.swap_type) if area else ("/nowhere", 255)
    call = SwapCall(0, name, path, 0, result, area, store)
    return Event(time, kind, device, number, 0, arg=-result, call=call)


def batch(events: Sequence[Event], tasks: dict[int, str] | None = None) -> EventBatch:
    """One batch of them all. Notifications that are events of their own are timed, as zswap's are."""
    array = empty(len(events))
    for name in array.dtype.names or ():
        array[name] = [getattr(event, name) for event in events]
    array["flags"][array["kind"] == EventKind.NOTIFY] |= np.uint16(EventFlag.TIMED)
    calls = tuple(
        SwapCall(**{**event.call.__dict__, "row": row}) for row, event in enumerate(events) if event.call is not None
    )
    return EventBatch(array, tasks or {}, calls)


def of_store(events: EventRecords, pages: PageMap) -> EventRecords:
    """The events of a batch that are about one store, or its areas, as its map has them now."""
    types = {swap_type: 0 for swap_type, area in enumerate(pages.type_area.tolist()) if area != NO_AREA}
    return partition(events, routes({pages.store: 0} if pages.store >= 0 else {}, types), 1)[0]


def counted(**counts: int) -> Counts:
    """All others are 0, and writes that failed are not told."""
    return Counts(**{**dict.fromkeys(COUNTS, 0), "failed_writes": None, **counts})  # type: ignore[arg-type]


def batches(events: Sequence[Event], cuts: Iterable[int]) -> list[EventBatch]:
    """The events cut before each of those places; the same place twice makes an empty batch."""
    places = [0, *sorted(cut % (len(events) + 1) for cut in cuts), len(events)]
    return [batch(events[begin:end]) for begin, end in pairwise(places)]


def zram_area(
    path: str, swap_type: int, slots: int, store: int, extents: tuple[tuple[int, int, int], ...] | None = None
) -> SwapArea:
    """An area on a zram device: the whole of it, unless extents are given."""
    return SwapArea(path, swap_type, -2, slots, 0, "zram", store, extents or ((0, 0, slots),))


def told_zsmalloc() -> dict[str, Any]:
    """A header's `zsmalloc`, of a kernel with chains of 8 pages: with it, pools can be followed."""
    geometry = zsmalloc.geometry(PAGE_SIZE, 8, zsmalloc.ChainRule.LEAST_WASTE, zsmalloc.FullnessRule.TENTHS)
    return {"pages_per_zspage": geometry.arrays.classes["pages_per_zspage"].tolist(), "fullness_rule": "TENTHS"}


CLUSTER_SLOTS = 4  # so that areas of a few slots have whole clusters


def header(areas: Sequence[SwapArea] = (), stores: Sequence[Store] = (), **changes: object) -> Header:
    fields = {
        "kernel": "6.1.0-test",
        "machine": "x86_64",
        "page_size": PAGE_SIZE,
        "host": "tester",
        "command": ("stress", "--vm", "1"),
        "start_realtime": 1_700_000_000_000_000_000,
        "start": Snapshot(START, tuple(areas), tuple(stores)),
        "probes": (
            {"event": "slot freed", "functions": ["swap_range_free"]},
            {"event": "slot allocated", "functions": ["swap_range_alloc"]},
        ),
        "missing": ("store reset",),
        "recorder_tgid": 77,
        "cluster_slots": CLUSTER_SLOTS,
        "slots_by_discard": False,
    }
    return Header(**{**fields, **changes})  # type: ignore[arg-type]


def trailer(end: int, **changes: object) -> Trailer:
    return Trailer(**{"end": Snapshot(end), **changes})  # type: ignore[arg-type]


#: A program: `swaptrace selftest` that has been run, and found a difference.
SELFTEST = """
import swaptrace.record.selftest as module
module.selftest = lambda: [module.Comparison("one figure", 5, 5), module.Comparison("another", 5, 6)]
from swaptrace.cli import main
main(["selftest"])
"""
