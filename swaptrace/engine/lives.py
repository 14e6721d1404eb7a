"""The lives of slots, one by one: what swaptrace.engine.lifetimes counts, as rows.

A life begins with the first store of a slot that was free, and ends with the slot's free; its entry may stay in the
store for longer. A row is finished when the page is stored for another life: until then it is kept with the page, so
that memory is bounded by pages, not by lives. A disk tells of no stores: there, a life begins when the slot is
allocated.
"""

from __future__ import annotations

from collections.abc import Iterator

import cython
import numpy as np
from cython.cimports.swaptrace.engine import arrays, constants
from cython.cimports.swaptrace.engine.arrays import Event, Events, int64_1d
from cython.cimports.swaptrace.engine.mapping import Places
from cython.cimports.swaptrace.engine.records import EventRecords
from numpy.typing import NDArray

from swaptrace.engine.counters import LifeBit
from swaptrace.engine.lazy import extended, lazy_zeros, parts
from swaptrace.engine.records import lives_of

#: A row. Times are CLOCK_MONOTONIC (ns); `bits` (LifeBit) says which of them are known, and whether the size is.
LIFE = np.dtype(
    [
        ("stored", "i8"),
        ("freed", "i8"),
        ("dropped", "i8"),  # by the driver, as observed
        ("replaced", "i8"),  # the entry is gone for another reason than its slot's free
        ("slot", "u4"),
        ("page", "u4"),
        ("size", "u4"),  # compressed, bytes
        ("last", "u4"),  # of the page's last entry, this one or one whose store was not told of yet
        ("cgroup", "u4"),
        ("tgid", "u4"),  # of the free
        ("stores", "u4"),
        ("loads", "u4"),
        ("bits", "u2"),
        ("area", "u1"),  # its number in the store
        ("reason", "u1"),  # FreeReason + 1; 0: not known
        ("unused", "u4"),
    ]
)


@cython.final
@cython.cclass
class Lives:
    """The lives of one store's slots. Feed it events with advance(); finished rows are given out by taken().

    _slots: int64 (areas,), how many each area has. _life: LIFE (pages,), the row that each page has. _done, _count:
    rows that are finished, and how many.
    """

    _places: Places
    _areas: cython.longlong
    _slots: int64_1d
    _life: arrays.Lives
    _done: arrays.Lives
    _count: cython.longlong

    def __init__(self) -> None:
        """Without areas, nor room for any page."""
        self._areas = 0
        self._slots = np.zeros(0, np.int64)
        self._life = lives_of(lazy_zeros(0, LIFE))
        self._done = lives_of(np.empty(0, LIFE))
        self._count = 0

    def add_area(self, slots: int) -> None:
        """The store has one more area, of that many slots."""
        self._areas += 1
        self._slots = np.append(np.asarray(self._slots), slots)

    def grow(self, pages: int) -> None:
        """Make room for that many pages."""
        before = np.asarray(self._life)
        if pages > len(before):
            self._life = lives_of(extended(before, pages - len(before)))

    def taken(self) -> NDArray[np.void]:
        """The rows (LIFE) that were finished since this was last called."""
        rows = np.asarray(self._done)[: self._count].copy()
        self._count = 0
        return rows

    def unfinished(self) -> Iterator[NDArray[np.void]]:
        """The rows (LIFE) that pages have now, part by part."""
        life = np.asarray(self._life)
        for part in parts(len(life)):
            rows = life[part]
            yield rows[known(rows, LifeBit.THERE)]

    # -- events

    def advance(self, events: EventRecords, places: Places, slots: int) -> None:
        """Take in the next events that are about this store, with at most `slots` in all their runs together.

        places: of its map.
        """
        room = self._count + slots + len(events)  # each slot or page of an event finishes one row at most
        if room > len(self._done):
            done = np.empty(room, LIFE)
            done[: self._count] = np.asarray(self._done)[: self._count]
            self._done = lives_of(done)
        self._places = places
        self._advance(events.records)

    @cython.cfunc
    def _advance(self, events: Events) -> None:
        number: cython.Py_ssize_t
        with cython.nogil:
            for number in range(events.shape[0]):
                event: Event = events[number]
                if event.kind in (constants.FREE, constants.ALLOC):
                    self._of_area(event)
                elif event.kind == constants.RESET:
                    self._reset(event.time)
                elif event.slot < self._life.shape[0]:
                    self._of_store(event.slot, event)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _of_area(self, event: Event) -> cython.void:
        """Slots of an area were allocated or freed."""
        area: cython.longlong = self._places.area_of(event.device)
        if area == constants.NO_AREA:
            return
        first: cython.longlong = event.slot
        slot: cython.longlong
        for slot in range(first, first + event.run):
            page: cython.longlong = self._places.index_of(area, slot)[0]
            if 0 <= page < self._life.shape[0]:
                if event.kind == constants.FREE:
                    self._freed(area, page, event)
                elif self._places.store < 0:
                    self._allocated(area, page, event.time)
        # the driver is notified of a slot of the block device, whose first page is its first
        if event.flags & constants.FLAG_NOTIFIED and first < min(self._life.shape[0], self._slots[area]):
            self._notified(first, event)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _of_store(self, page: cython.longlong, event: Event) -> cython.void:
        """Something happened to pages of the store."""
        kind: cython.int = event.kind
        if kind == constants.STORE:
            self._stored(page, event)
        elif kind == constants.LOAD:
            self._loaded(page, event.run)
        elif kind == constants.NOTIFY:
            self._notified(page, event)
        elif kind == constants.DROP:
            self._dropped(page, event)
        elif kind == constants.MOVED and self._is(page, constants.LIFE_THERE):
            self._sized(page, 0, 0)
            self._life[page].bits |= constants.LIFE_WRITTEN_BACK
        elif kind == constants.PRESENT:
            self._present(page, event)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _is(self, page: cython.longlong, bits: cython.longlong) -> cython.bint:
        """Whether the page's row has any of these bits."""
        return self._life[page].bits & bits != 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _is_used(self, page: cython.longlong, area: cython.longlong) -> cython.bint:
        """Whether the page's row is that of a slot of the area which is in use."""
        there: cython.longlong = self._life[page].bits & (constants.LIFE_THERE | constants.LIFE_FREED)
        return there == constants.LIFE_THERE and self._life[page].area == area

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _begin(self, page: cython.longlong, area: cython.longlong, time: cython.longlong) -> cython.void:
        """A page gets a row, of a life that began before the recording unless somebody adds when. The one that it had
        is finished."""
        if self._is(page, constants.LIFE_THERE):
            self._gone(page, time)
            self._done[self._count] = self._life[page]
            self._count += 1
        self._life[page].bits = constants.LIFE_THERE
        self._life[page].area = area
        self._life[page].page = page
        self._life[page].slot = self._places.slot_of(area, page)
        self._life[page].reason = 0
        self._life[page].size = self._life[page].cgroup = self._life[page].tgid = 0
        self._life[page].stores = self._life[page].loads = 0
        self._life[page].stored = self._life[page].freed = 0
        self._life[page].dropped = self._life[page].replaced = 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _gone(self, page: cython.longlong, time: cython.longlong) -> cython.void:
        """The row's entry is gone under every policy, if it was not before."""
        if not self._is(page, constants.LIFE_DROPPED) and self._places.store >= 0:
            self._life[page].dropped = time
            self._life[page].bits |= constants.LIFE_DROPPED
        if not self._is(page, constants.LIFE_REPLACED):
            self._life[page].replaced = time
            self._life[page].bits |= constants.LIFE_REPLACED

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _stored(self, page: cython.longlong, event: Event) -> cython.void:
        area: cython.longlong = self._places.owner_of(page)
        if area >= self._areas:  # no slot's any more
            if self._is(page, constants.LIFE_THERE):
                self._gone(page, event.time)
            return
        if event.flags & constants.FLAG_GONE:
            self._stored_and_freed(page, area, event)
            return
        if not self._is_used(page, area):
            self._begin(page, area, event.time)
            self._life[page].stored = event.time
            self._life[page].bits |= constants.LIFE_STORED
        self._life[page].bits &= constants.LIFE_THERE | constants.LIFE_STORED
        self._life[page].stores += 1
        self._life[page].cgroup = event.arg
        self._sized(page, event.size, event.flags)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _stored_and_freed(self, page: cython.longlong, area: cython.longlong, event: Event) -> cython.void:
        """A page that was freed and dropped before the store told of it: the drop, which had the size, came first. It
        is not known when the page was stored."""
        self._begin(page, area, event.time)
        self._life[page].freed = self._life[page].dropped = event.time
        self._life[page].bits |= constants.LIFE_FREED | constants.LIFE_DROPPED
        self._life[page].stores = 1
        self._life[page].cgroup = event.arg
        self._sized(page, self._life[page].last, event.flags)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _sized(self, page: cython.longlong, size: cython.longlong, flags: cython.longlong) -> cython.void:
        """What is told of the row's entry."""
        self._life[page].size = self._life[page].last = size
        bits: cython.longlong = self._life[page].bits & ~(constants.LIFE_SAME | constants.LIFE_HUGE)
        if flags & constants.FLAG_SAME:
            bits |= constants.LIFE_SAME
        if flags & constants.FLAG_HUGE:
            bits |= constants.LIFE_HUGE
        self._life[page].bits = bits | constants.LIFE_SIZED

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _freed(self, area: cython.longlong, page: cython.longlong, event: Event) -> cython.void:
        if self._is_used(page, area):
            self._life[page].freed = event.time
            self._life[page].reason = event.reason
            self._life[page].tgid = event.tgid
            self._life[page].bits |= constants.LIFE_FREED

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _allocated(self, area: cython.longlong, page: cython.longlong, time: cython.longlong) -> cython.void:
        """To a disk nothing but this tells that a slot is in use from now on."""
        if not self._is_used(page, area):
            self._begin(page, area, time)
            self._life[page].stored = time
            self._life[page].bits |= constants.LIFE_STORED

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _loaded(self, first: cython.longlong, run: cython.longlong) -> cython.void:
        page: cython.longlong
        for page in range(first, min(first + run, self._life.shape[0])):
            if self._is_used(page, self._places.owner_of(page)):
                self._life[page].loads += 1

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _present(self, first: cython.longlong, event: Event) -> cython.void:
        """The store held these when the recording began. Without a size, that is known when they are dropped."""
        unsized: cython.bint = event.size == 0 and not event.flags & (constants.FLAG_SAME | constants.FLAG_WRITTEN_BACK)
        page: cython.longlong
        for page in range(first, min(first + event.run, self._life.shape[0])):
            area: cython.longlong = self._places.owner_of(page)
            if area < self._areas and not self._is_used(page, area):
                self._begin(page, area, event.time)
                self._sized(page, event.size, event.flags)
                if event.flags & constants.FLAG_WRITTEN_BACK:
                    self._life[page].bits |= constants.LIFE_WRITTEN_BACK
                if unsized:
                    self._life[page].bits &= ~constants.LIFE_SIZED

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _notified(self, page: cython.longlong, event: Event) -> cython.void:
        if event.flags & constants.FLAG_MISSED and self._is(page, constants.LIFE_THERE):
            self._life[page].bits |= constants.LIFE_MISSED
        if event.flags & constants.FLAG_DROPPED:
            self._dropped(page, event)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _dropped(self, page: cython.longlong, event: Event) -> cython.void:
        """The driver dropped an entry, and so told its size: the row's, or one whose store was not told of yet."""
        self._life[page].last = event.size
        if not self._is(page, constants.LIFE_THERE):
            return
        if not self._is(page, constants.LIFE_DROPPED):
            self._sized(page, event.size, event.flags)
            self._life[page].dropped = event.time
            self._life[page].bits |= constants.LIFE_DROPPED
        if event.flags & constants.FLAG_ANY_POLICY:
            self._gone(page, event.time)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _reset(self, time: cython.longlong) -> cython.void:
        """Nothing is left in the store. (What was held was seen dropped, entry by entry.)"""
        page: cython.longlong
        for page in range(self._life.shape[0]):
            if self._is(page, constants.LIFE_THERE):
                self._gone(page, time)


def known(rows: NDArray[np.void], bit: LifeBit) -> NDArray[np.bool_]:
    """Of which rows (LIFE) that is known, or so: bool, one each."""
    return np.asarray(rows["bits"] & np.uint16(bit) != 0)
