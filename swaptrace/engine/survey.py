"""What has to be known of a batch before any of its events is taken in, and which store each of them is about."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import cython
import numpy as np
from cython.cimports.swaptrace.engine import constants
from cython.cimports.swaptrace.engine.arrays import Event, Events, MutableEvents, const_int32_2d, int64_1d
from cython.cimports.swaptrace.engine.records import EventRecords
from numpy.typing import NDArray

from swaptrace.engine.records import events_of
from swaptrace.events import EVENT, OF_AREAS, OF_STORES, EventKind

DEVICES = 256  # an event's `device` has 8 bits, as has its `kind`
NO_PART = -1


class Survey(NamedTuple):
    """ends: int64 (256,), by store, the page after the last one that an event is about; -1 if there is no event.
    slot_ends: int64 (256,), by swap type, the slot after the last one that is allocated or freed; 0 if there is none.
    slots: the lengths of all runs together. last: the latest time (ns).
    """

    ends: NDArray[np.int64]
    slot_ends: NDArray[np.int64]
    slots: int
    last: int

    @property
    def stores(self) -> list[int]:
        """The stores that something happens to, increasing."""
        return [int(store) for store in np.flatnonzero(self.ends >= 0)]


def survey(events: EventRecords) -> Survey:
    """Look through a batch."""
    records: Events = events.records
    ends: int64_1d = np.full(DEVICES, -1, np.int64)
    slot_ends: int64_1d = np.zeros(DEVICES, np.int64)
    slots: cython.longlong = 0
    last: cython.longlong = 0
    row: cython.Py_ssize_t
    with cython.nogil:
        for row in range(records.shape[0]):
            event: Event = records[row]
            slot: cython.longlong = event.slot
            time: cython.longlong = event.time
            slots += event.run
            last = max(last, time)
            if event.kind in (
                constants.STORE,
                constants.LOAD,
                constants.DROP,
                constants.NOTIFY,
                constants.PRESENT,
                constants.MOVED,
            ):
                ends[event.device] = max(ends[event.device], slot + event.run)
            elif event.kind == constants.FAILED:  # its run is no number of pages
                ends[event.device] = max(ends[event.device], slot + 1)
            elif event.kind in (constants.ALLOC, constants.FREE):
                slot_ends[event.device] = max(slot_ends[event.device], slot + event.run)
            elif event.kind == constants.RESET:  # of the whole store: its slot means nothing
                ends[event.device] = max(ends[event.device], 0)
    return Survey(np.asarray(ends), np.asarray(slot_ends), slots, last)


def routes(by_store: dict[int, int], by_type: dict[int, int]) -> NDArray[np.int32]:
    """Which part an event belongs to, by its kind and device: int32 (256, 256); NO_PART if to none.

    by_store, by_type: the parts of stores and of swap types that belong to one.
    """
    table = np.full((256, DEVICES), NO_PART, np.int32)
    for kinds, parts in (([*OF_STORES, EventKind.RESET], by_store), (list(OF_AREAS), by_type)):
        for device, part in parts.items():
            table[kinds, device] = part
    return table


def partition(events: EventRecords, table: NDArray[np.int32], parts: int) -> list[EventRecords]:
    """The events of a batch that belong to each part, in their order, one after the other in memory.

    table: see routes(). Two passes over the batch, however many parts there are: a loop that jumped from one of its own
    events to the next would wait for each of them.
    """
    records: Events = events.records
    part_of: const_int32_2d = table
    begins: int64_1d = np.zeros(parts + 2, np.int64)  # of each part, and of what is in none, which comes first
    row: cython.Py_ssize_t
    part: cython.Py_ssize_t
    with cython.nogil:
        for row in range(records.shape[0]):
            begins[part_of[records[row].kind, records[row].device] + 2] += 1
    counts = np.asarray(begins)[2:].tolist()
    if len(events) in counts:  # all are of one part: they are in order already
        none = EventRecords(np.empty(0, EVENT))
        return [events if count and count == len(events) else none for count in counts]
    ends = np.cumsum(begins).tolist()
    begins = np.array(ends, np.int64)
    sorted_events = np.empty(len(events), EVENT)
    moved: MutableEvents = events_of(sorted_events)
    with cython.nogil:
        for row in range(records.shape[0]):
            part = part_of[records[row].kind, records[row].device] + 1
            moved[begins[part]] = records[row]
            begins[part] += 1
    return [EventRecords(sorted_events[begin:end]) for begin, end in pairwise(ends[1:])]
