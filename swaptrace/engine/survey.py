"""What has to be known of a batch before any of its events is taken in, and which store each of them is about."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import cython
import numpy as np
from cython.cimports.swaptrace.engine import constants
from cython.cimports.swaptrace.engine.arrays import (
    Event,
    Events,
    MutableEvents,
    const_int32_2d,
    const_uint8_1d,
    int64_1d,
    uint16_1d,
)
from cython.cimports.swaptrace.engine.records import EventRecords
from numpy.typing import NDArray

from swaptrace.engine.records import events_of
from swaptrace.events import EVENT, SUBJECTS, Subject

DEVICES = 1 << 16  # an event's `device` has 16 bits
TYPES = 256  # more than there are swap types
NO_PART = -1


class Survey(NamedTuple):
    """ends: by store that something happens to, increasing, the page after the last one that an event is about.
    slot_ends: int64 (256,), by swap type, the slot after the last one that is allocated or freed; 0 if there is none.
    slots: the lengths of all runs together. last: the latest time (ns).
    """

    ends: dict[int, int]
    slot_ends: NDArray[np.int64]
    slots: int
    last: int


@cython.final
@cython.cclass
class Surveyor:
    """Looks through batches. ends: int64, by store, the end so far of this batch; -1: none.

    touched: uint16, the stores of this batch.
    """

    _ends: int64_1d
    _touched: uint16_1d
    _count: cython.longlong

    def __init__(self) -> None:
        self._ends = np.full(DEVICES, -1, np.int64)
        self._touched = np.zeros(DEVICES, np.uint16)
        self._count = 0

    def survey(self, events: EventRecords) -> Survey:
        """Look through a batch."""
        slot_ends = np.zeros(TYPES, np.int64)
        slots, last = self._look(events.records, slot_ends)
        stores = np.sort(np.asarray(self._touched)[: self._count])
        ends = np.asarray(self._ends)
        found = dict(zip(stores.tolist(), ends[stores].tolist(), strict=True))
        ends[stores] = -1
        self._count = 0
        return Survey(found, slot_ends, slots, last)

    @cython.cfunc
    def _look(self, records: Events, slot_ends: int64_1d) -> tuple[cython.longlong, cython.longlong]:
        subjects: const_uint8_1d = SUBJECTS
        slots: cython.longlong = 0
        last: cython.longlong = 0
        row: cython.Py_ssize_t
        with cython.nogil:
            for row in range(records.shape[0]):
                event: Event = records[row]
                end: cython.longlong = event.slot
                time: cython.longlong = event.time
                slots += event.run
                last = max(last, time)
                if subjects[event.kind] == constants.OF_STORE:
                    if event.kind == constants.RESET:  # of the whole store: its slot means nothing
                        end = 0
                    else:
                        end += 1 if event.kind == constants.FAILED else event.run  # whose run is no number of pages
                    self._touch(event.device, end)
                elif subjects[event.kind] == constants.OF_AREA and event.device < slot_ends.shape[0]:
                    slot_ends[event.device] = max(slot_ends[event.device], end + event.run)
        return slots, last

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _touch(self, store: cython.longlong, end: cython.longlong) -> cython.void:
        if self._ends[store] < 0:
            self._touched[self._count] = store
            self._count += 1
        self._ends[store] = max(self._ends[store], end)


def routes(by_store: dict[int, int], by_type: dict[int, int]) -> NDArray[np.int32]:
    """Which part an event belongs to, by its Subject and its device: int32 (3, DEVICES); NO_PART if to none.

    by_store, by_type: the parts of stores and of swap types that belong to one.
    """
    table = np.full((len(Subject), DEVICES), NO_PART, np.int32)
    for subject, parts in ((Subject.STORE, by_store), (Subject.AREA, by_type)):
        table[subject, list(parts)] = list(parts.values())
    return table


def partition(events: EventRecords, table: NDArray[np.int32], parts: int) -> list[EventRecords]:
    """The events of a batch that belong to each part, in their order, one after the other in memory.

    table: see routes(). Two passes over the batch, however many parts there are: a loop that jumped from one of its own
    events to the next would wait for each of them.
    """
    records: Events = events.records
    part_of: const_int32_2d = table
    subjects: const_uint8_1d = SUBJECTS
    begins: int64_1d = np.zeros(parts + 2, np.int64)  # of each part, and of what is in none, which comes first
    row: cython.Py_ssize_t
    part: cython.Py_ssize_t
    with cython.nogil:
        for row in range(records.shape[0]):
            begins[part_of[subjects[records[row].kind], records[row].device] + 2] += 1
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
            part = part_of[subjects[records[row].kind], records[row].device] + 1
            moved[begins[part]] = records[row]
            begins[part] += 1
    return [EventRecords(sorted_events[begin:end]) for begin, end in pairwise(ends[1:])]
