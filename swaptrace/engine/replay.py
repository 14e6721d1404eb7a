"""The compressed store under several policies at once: what it holds, live and stale, at every moment of a trace.

Mirrors what ramzswap's handlers do (write, read, slot free; drivers/staging/ramzswap) and zram's after it
(zram_write_page, zram_slot_free_notify, zram_free_page; drivers/block/zram/zram_drv.c). One pass over the events; for
each page of the store there are a few bits (see swaptrace.engine.policies), and what pages with the same bits add up to
is in swaptrace.engine.levels. The swap map does not depend on what the store does with notifications, so all policies
see the same stores and frees. It may depend on whether the area discards its free clusters: derived.not_predicted()
says which policies a recording says nothing about, then.
"""

from __future__ import annotations

import cython
import numpy as np
from cython.cimports.swaptrace.engine import constants
from cython.cimports.swaptrace.engine.ages import Ages
from cython.cimports.swaptrace.engine.arrays import (
    Event,
    Events,
    Operations,
    Pages,
    const_uint8_1d,
    int32_1d,
    int64_1d,
    int64_2d,
    uint8_1d,
)
from cython.cimports.swaptrace.engine.delays import Delays
from cython.cimports.swaptrace.engine.groups import Groups
from cython.cimports.swaptrace.engine.idle import Idle
from cython.cimports.swaptrace.engine.levels import Levels
from cython.cimports.swaptrace.engine.mapping import Places
from cython.cimports.swaptrace.engine.records import EventRecords
from numpy.typing import NDArray

from swaptrace.engine import zsmalloc
from swaptrace.engine.constants import HEADER
from swaptrace.engine.counters import Total
from swaptrace.engine.figures import Ages as AgesFound
from swaptrace.engine.figures import Integral, Series, SlotMap, WrittenBack
from swaptrace.engine.lazy import extended, indexes_where, lazy_zeros
from swaptrace.engine.mapping import PageMap, mark_of
from swaptrace.engine.policies import CLASS_OF, COUNTS, DELAYS, IN_STORE, LEAKED, OPERATION, PAGE, POOL, QUANTITIES
from swaptrace.engine.pools import Pools
from swaptrace.engine.records import operations_of, pages_of
from swaptrace.engine.worker import Worker
from swaptrace.events import FreeReason


@cython.final
@cython.cclass
class _Clusters:
    """The swap maps of one store's areas, as far as is known: which slots are allocated, and how many of each cluster.

    slots: of each cluster. areas: int64 (areas, 3), where its clusters begin in `used`; whole ones; slots. used: int32,
    slots allocated per cluster, one area after the other. allocated: uint8, the swap maps, cluster by cluster.
    """

    slots: cython.longlong
    areas: int64_2d
    used: int32_1d
    allocated: uint8_1d

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.areas = np.zeros((0, 3), np.int64)
        self.used = np.zeros(0, np.int32)
        self.allocated = np.zeros(0, np.uint8)

    def add_area(self, slots: int) -> None:
        """One more area, of that many slots."""
        one = np.array([[len(self.used), slots // self.slots, slots]], np.int64)
        self.areas = np.concatenate([np.asarray(self.areas), one])
        clusters = -(-slots // self.slots)
        self.used = extended(np.asarray(self.used), clusters)
        self.allocated = extended(np.asarray(self.allocated), clusters * self.slots)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def slots_of(self, area: cython.longlong) -> cython.longlong:
        """How many slots an area has."""
        slots: cython.longlong = self.areas[area, 2]
        return slots

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def allocate(self, area: cython.longlong, slot: cython.longlong) -> cython.void:
        """swap_range_alloc(): a slot is given out. Where that was not seen, its first store tells."""
        first: cython.longlong = self.areas[area, 0]
        if slot < self.areas[area, 2] and not self.allocated[first * self.slots + slot]:
            self.allocated[first * self.slots + slot] = 1
            self.used[first + slot // self.slots] += 1

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def release(self, area: cython.longlong, slot: cython.longlong) -> cython.longlong:
        """A slot is free again: the number of its cluster, if that is free with it and counts as such; else 0.

        Clusters that are not whole never count as free in mm/swapfile.c: the first has the header's page, which is
        never given out, and the last one what lies beyond the area's end.
        """
        first: cython.longlong = self.areas[area, 0]
        if slot >= self.areas[area, 2] or not self.allocated[first * self.slots + slot]:
            return 0
        self.allocated[first * self.slots + slot] = 0
        cluster: cython.longlong = slot // self.slots
        self.used[first + cluster] -= 1
        return cluster if self.used[first + cluster] == 0 and cluster < self.areas[area, 1] else 0


@cython.final
@cython.cclass
class Replay:
    """One store. Feed it events with advance(), in order; finish() before reading results.

    _reads: int64 (areas, 1 + FreeReason): pages that were read for the first time since they were stored; and slots
    that were freed without that, by reason.
    _page: PAGE (pages,). _totals: int64 (Total,). _operations: OPERATION, as many as a batch can cause;
    _operation_count: those of the last batch.
    """

    _areas: cython.longlong
    _clusters: _Clusters
    _levels: Levels
    _ages: Ages
    _idle: Idle
    _aged: cython.bint  # whether ages are wanted
    _writing_back: cython.bint  # whether there is a threshold for that
    _groups: Groups  # those of _levels
    _grouped: cython.bint  # whether they are wanted
    _reads: int64_2d
    _places: Places
    _class_of: const_uint8_1d
    _page: Pages
    _delays: Delays
    _totals: int64_1d
    _operations: Operations
    _operation_count: cython.longlong
    _buffers: list[NDArray[np.void]]  # one to fill while the pools read the other
    _pools: Pools | None
    _worker: Worker

    def __init__(
        self,
        pages: int,
        origin: int,
        geometry: zsmalloc.Geometry | None,
        cluster_slots: int,
        worker: Worker,
        groups: Groups | None = None,
        ages: bool = False,
        write_back: int | None = None,
    ) -> None:
        """A store of that many pages, which begins at `origin` (ns). Without a geometry, pools are not modelled.

        groups: whose the pages are, if that is wanted. ages: whether ages() is. write_back: what if the store wrote
        back entries that are idle for so long, ns. State is kept of the pages that grow() or an area's map makes room
        for only.

        The pools follow in the worker, a batch behind.
        """
        self._areas = 0
        self._clusters = _Clusters(cluster_slots)
        self._groups = groups if groups is not None else Groups(wanted=False)
        self._grouped = self._groups.wanted
        self._levels = Levels(origin, self._groups)
        self._ages = Ages(origin, ages)
        self._idle = Idle(origin, write_back)
        self._aged, self._writing_back = self._ages.wanted, self._idle.wanted
        self._reads = _no_reads(0)
        self._class_of = CLASS_OF
        self._page = pages_of(lazy_zeros(0, PAGE))
        self._delays = Delays()
        self._totals = np.zeros(len(Total), np.int64)
        self._buffers = [np.empty(0, OPERATION) for _ in range(2)]
        self._operations = operations_of(self._buffers[0])
        self._operation_count = 0
        least = list(POOL).index("notify")
        self._pools = Pools(pages, len(POOL), least, geometry, origin) if geometry is not None else None
        self._worker = worker

    def add_area(self, slots: int, pages: PageMap, now: int) -> None:
        """The store has one more area from `now` on (ns), of that many slots: the last one in `pages`."""
        self.grow(len(pages.owner))
        self._make_room(len(self._page))
        self._go_on(now)
        self._areas += 1
        self._clusters.add_area(slots)
        self._levels.add_area(slots)
        self._ages.add_area()
        self._idle.add_area()
        self._reads = np.concatenate([np.asarray(self._reads), _no_reads(1)])
        self._places = Places(pages)
        self._discard_area(self._areas - 1)
        self._work_pools()

    def grow(self, pages: int) -> None:
        """Make room for that many pages."""
        before = self._pages()
        if pages > len(before):
            self._page = pages_of(extended(before, pages - len(before)))
            self._delays.grow(pages)
            self._ages.grow(pages)
            self._idle.grow(pages)
            self._groups.grow(pages)

    def _pages(self) -> NDArray[np.void]:
        """Of dtype PAGE."""
        return np.asarray(self._page)

    # -- events

    def advance(
        self,
        events: EventRecords,
        told: NDArray[np.bool_],
        places: Places,
        slots: int,
    ) -> None:
        """Take in the next events that are about this store, with at most `slots` in all their runs together.

        told: bool (256,), by swap
        type, whether the store was notified of the slot frees under `notify`. places: of its map.
        """
        # at most an operation for each slot of a free's run, and one for each page that a discard or a reset drops
        self._make_room(slots + len(events) + len(self._page))
        self._places = places
        self._advance(events.records, told.view(np.uint8))
        self._work_pools()

    def _make_room(self, operations: int) -> None:
        """For the next batch's operations; for each of them, and each page, a delay may have one for later."""
        if self._pools is not None:
            self._buffers.reverse()
            operations *= 1 + len(DELAYS[0]) + self._writing_back
            if operations > len(self._buffers[0]):
                self._buffers[0] = np.empty(operations, OPERATION)
            self._operations = operations_of(self._buffers[0])
        self._operation_count = 0

    def _work_pools(self) -> None:
        if self._pools is not None and self._pools.fits(len(self._page)):
            self._worker.start(self._pools.advance, self._buffers[0][: self._operation_count])

    @cython.cfunc
    def _advance(self, events: Events, told: const_uint8_1d) -> None:
        number: cython.Py_ssize_t
        with cython.nogil:
            for number in range(events.shape[0]):
                event: Event = events[number]
                if self._grouped:
                    self._groups.group = self._groups.numbers[number]
                if event.kind in (constants.FREE, constants.ALLOC):
                    self._of_area(event, told[event.device])
                else:
                    self._of_store(event)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _of_area(self, event: Event, told: cython.bint) -> cython.void:
        """Slots of an area were allocated or freed."""
        area: cython.longlong = self._places.area_of(event.device)
        if area == constants.NO_AREA:
            return
        self._go_on(event.time)
        first: cython.longlong = event.slot
        reason: cython.longlong = min(max(event.reason, 1), constants.REASONS) - 1
        slot: cython.longlong
        for slot in range(first, first + event.run):
            if event.kind == constants.ALLOC:
                self._clusters.allocate(area, slot)
                continue
            page: cython.longlong = self._places.index_of(area, slot)[0]
            exists: cython.bint = 0 <= page < self._page.shape[0]
            if self._grouped:
                self._groups.freed(area, page, exists and self._is_used(area, page), reason)
            if exists:
                self._slot_free(area, page, told, reason)
            cluster: cython.longlong = self._clusters.release(area, slot)
            # swapoff clears SWP_WRITEOK first, without which free_cluster() schedules no discard
            if cluster and event.reason != constants.REASON_SWAPOFF + 1:
                self._discard(area, cluster)
        # the driver is notified of a slot of the block device, whose first page is its first
        if event.flags & constants.FLAG_NOTIFIED and first < min(self._page.shape[0], self._clusters.slots_of(area)):
            self._notified(first, event)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _of_store(self, event: Event) -> cython.void:
        """Something happened to the store, or to pages of it."""
        kind: cython.int = event.kind
        page: cython.longlong = event.slot
        if kind == constants.FAILED:  # nothing has changed
            self._totals[constants.TOTAL_FAILED] += event.run
        elif kind == constants.RESET:  # of the whole store: its slot means nothing
            self._go_on(event.time)
            self._reset()
        elif page < self._page.shape[0]:
            self._go_on(event.time)
            if kind == constants.STORE:
                self._store(page, event)
            elif kind == constants.NOTIFY:
                self._notified(page, event)
            elif kind == constants.DROP:
                self._drop(page, event)
            elif kind == constants.MOVED:
                self._write_back(page, event)
            elif kind == constants.LOAD:
                self._loaded(page, event.run)
            elif kind == constants.PRESENT:
                self._present(page, event)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _go_on(self, time: cython.longlong) -> cython.void:
        """Time goes on to there, and what is due before that happens."""
        if constants.HELD_AFTER_FREE or self._writing_back:
            self._happen_until(time)
        self._levels.tick(time)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _happen_until(self, time: cython.longlong) -> cython.void:
        """The notifications that come, and the entries that have been idle for too long, before that time."""
        while True:
            late: cython.Py_ssize_t = self._delays.first_before(time)
            due: cython.longlong = self._delays.due_of(late) if late >= 0 else time
            if self._writing_back and self._idle.queue.first_before(due) >= 0:
                self._levels.tick(self._idle.queue.due_of(0))
                self._write_idle(self._idle.queue.pop(0))
            elif late >= 0:
                self._levels.tick(due)
                self._take_away(self._delays.pop(late), self._delays.held[late], self._delays.pools[late])
            else:
                return

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _write_idle(self, page: cython.longlong) -> cython.void:
        """What if: the entry of a page goes to the disk, under every policy that holds it."""
        bits: cython.longlong = self._page[page].bits
        if not bits & constants.HELD or not _in_memory(bits, self._page[page].size):
            return
        if self._idle.state[page] == constants.IN_MEMORY:
            self._idle.written(self._holder(page), page, self._levels.clock.now)
        self._operate(constants.ALL_POOLS, page, 0)
        self._change(page, _was(bits, 0) & ~constants.UNSIZED, 0, self._holder(page))

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _tell_late(self, page: cython.longlong, bits: cython.longlong) -> cython.void:
        """The slot of a page with these bits is free, of which the store hears later where a policy has it."""
        if bits & constants.HELD_AFTER_FREE:
            self._delays.put(page, bits, self._levels.clock.now)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _change(
        self, page: cython.longlong, bits: cython.longlong, size: cython.longlong, holder: cython.longlong
    ) -> cython.void:
        """Give a page new bits, size and holder, and move it from the quantities that it leaves to those it enters."""
        old_bits: cython.longlong = self._page[page].bits
        old_size: cython.longlong = self._page[page].size
        old_holder: cython.longlong = self._holder(page)
        row: cython.longlong = self._page[page].row
        old_class: cython.longlong = self._class_of[old_bits]
        new_class: cython.longlong = self._class_of[bits]
        if self._grouped:
            if holder >= self._areas:
                self._groups.later = 0
            self._groups.move(
                page, old_class, old_size, old_bits & constants.HELD_AS_SEEN != 0,
                new_class, size, bits & constants.HELD_AS_SEEN != 0, self._levels.clock.now - self._levels.clock.since,
            )  # fmt: skip
        self._page[page].bits = bits
        self._page[page].size = size
        if holder == old_holder:
            if holder < self._areas and (old_class != new_class or old_size != size):
                self._levels.move(holder, row, old_class, old_size, new_class, size)
            return
        if old_holder < self._areas:
            self._levels.move(old_holder, row, old_class, old_size, 0, 0)
        self._page[page].holder = constants.NOBODY - holder
        if holder < self._areas:
            row = self._levels.row_of(holder, self._places.slot_of(holder, page))
            self._page[page].row = row
            self._levels.move(holder, row, 0, 0, new_class, size)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _holder(self, page: cython.longlong) -> cython.longlong:
        """The area that stored a page, HEADER, or NOBODY."""
        return constants.NOBODY - self._page[page].holder

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _change_bits(self, page: cython.longlong, bits: cython.longlong) -> cython.void:
        self._change(page, bits, self._page[page].size, self._holder(page))

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _operate(self, pools: cython.longlong, page: cython.longlong, size: cython.longlong) -> cython.void:
        """Note for these pools: the entry gets an object of that size in place of the one it has; none if it is 0."""
        number: cython.longlong = self._operation_count
        if number < self._operations.shape[0]:
            self._operations[number].time = self._levels.clock.now
            self._operations[number].page = page
            self._operations[number].size = size
            self._operations[number].pools = pools
            self._operation_count = number + 1

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _count(self, sign: cython.longlong, size: cython.longlong, flags: cython.longlong) -> cython.void:
        """An entry came (1) or went (-1): what zram's own counters make of it."""
        self._totals[constants.TOTAL_PAGES] += sign
        self._totals[constants.TOTAL_COMPR] += sign * size
        if flags & constants.FLAG_WRITTEN_BACK:
            self._totals[constants.TOTAL_WRITTEN_BACK] += sign
        elif flags & constants.FLAG_SAME:
            self._totals[constants.TOTAL_SAME] += sign
        elif flags & constants.FLAG_HUGE:
            self._totals[constants.TOTAL_HUGE] += sign

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _store(self, page: cython.longlong, event: Event) -> cython.void:
        """zram_write_page(): the new entry replaces whatever was there, under every policy."""
        area: cython.longlong = self._places.owner_of(page)
        if self._grouped and area < self._areas:
            self._groups.stored(area)
        flags: cython.longlong = event.flags
        bits: cython.longlong = self._page[page].bits
        old_size: cython.longlong = self._page[page].size
        if flags & constants.FLAG_GONE:
            # Freed and dropped before its size could be read: the free and the drop, which has the size, came first.
            self._totals[constants.TOTAL_GONE] += 1
            self._totals[constants.TOTAL_UNTOLD] += 1
            self._count(1, old_size, _flags_of(bits))
            self._operate(constants.POOLS_UNTOLD, page, old_size)
            bits &= constants.WAS_SAME | constants.WAS_HUGE
            bits |= constants.HELD_UNTOLD
            self._entry_ends(page)
            self._change(page, bits, old_size, area)
            self._replaced(page)
            if self._writing_back:
                self._idle.touched(page, self._levels.clock.now)
            self._tell_late(page, bits)
            return
        size: cython.longlong = event.size
        if bits & constants.HELD_AS_SEEN:  # the kernel drops the old entry first; it does not if that event was lost
            self._totals[constants.TOTAL_UNTOLD] += 1
            self._count(-1, old_size, _flags_of(bits))
        self._count(1, size, flags)
        self._operate(constants.ALL_POOLS, page, size)
        self._hold(page, area, size, _was(constants.HELD, flags))

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _hold(
        self, page: cython.longlong, area: cython.longlong, size: cython.longlong, bits: cython.longlong
    ) -> cython.void:
        """A page has an entry, under every policy; if it is a slot, that is in use."""
        self._replaced(page)
        self._entry_ends(page)
        if self._writing_back:
            self._idle.touched(page, self._levels.clock.now)
        if area >= self._areas:
            self._change(page, bits, size, area)
            return
        self._change(page, bits | constants.IN_USE, size, area)
        if _in_memory(bits, size):
            if self._aged:
                self._ages.began(page, self._levels.clock.now)
            if self._writing_back:
                self._idle.began(area, page, size, self._levels.clock.now)
        self._clusters.allocate(area, self._places.slot_of(area, page))

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _entry_ends(self, page: cython.longlong) -> cython.void:
        """The entry that the store was seen to hold, if there is one, is about to go, or its object is."""
        if self._aged and self._ages.number[page]:
            self._ages.ended(self._holder(page), page, self._page[page].size, self._levels.clock.now)
        if self._writing_back and self._idle.state[page]:
            self._idle.ended(self._holder(page), page, self._levels.clock.now)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _replaced(self, page: cython.longlong) -> cython.void:
        """A page has another entry: a notification that is on its way is not about that one."""
        if constants.HELD_AFTER_FREE:
            self._delays.forget(page)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _slot_free(
        self, area: cython.longlong, page: cython.longlong, told: cython.bint, reason: cython.longlong
    ) -> cython.void:
        """The swap map's side of a free, and, if the store was told, zram_slot_free_notify() where a policy has it."""
        bits: cython.longlong = self._page[page].bits
        if not bits & constants.IN_USE:
            return
        if not bits & constants.LOADED and self._holder(page) == area:
            self._reads[area, 1 + reason] += 1
        bits &= ~(constants.IN_USE | constants.LOADED)
        if told:
            self._tell_late(page, bits)
            if bits & constants.HELD_AT_FREE:
                bits &= ~constants.HELD_AT_FREE
                self._operate(constants.POOLS_AT_FREE, page, 0)
        self._change_bits(page, bits)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _discard(self, area: cython.longlong, cluster: cython.longlong) -> cython.void:
        """The last allocated slot of a cluster was freed: swap_cluster_schedule_discard(), as under --discard=pages."""
        slot: cython.longlong = cluster * self._clusters.slots
        end: cython.longlong = slot + self._clusters.slots
        while slot < end:
            found: tuple[cython.longlong, cython.longlong] = self._places.index_of(area, slot)
            count: cython.longlong = min(found[1], end - slot)
            page: cython.longlong
            for page in range(max(found[0], 0), min(found[0] + count, self._page.shape[0])):
                self._take_away(page, constants.HELD_AT_CLUSTER_FREE, constants.POOLS_AT_CLUSTER_FREE)
            slot += count

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _take_away(self, page: cython.longlong, held: cython.longlong, pool: cython.longlong) -> cython.void:
        """A policy has the store drop the entry of a page, if it holds one under that policy."""
        bits: cython.longlong = self._page[page].bits
        if bits & held:
            self._operate(pool, page, 0)
            self._change_bits(page, bits & ~held)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _discard_area(self, area: cython.longlong) -> cython.void:
        """discard_swap(), at swapon with --discard=once: what the area's slots hold is dropped (but not the header)."""
        page: cython.longlong
        for page in range(self._page.shape[0]):
            if self._places.owner_of(page) == area:
                self._take_away(page, constants.HELD_AT_SWAPON, constants.POOLS_AT_SWAPON)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _drop(self, page: cython.longlong, event: Event) -> cython.void:
        """zram_free_page(), zswap_entry_free(): the driver really dropped an entry."""
        size: cython.longlong = event.size
        flags: cython.longlong = event.flags
        any_policy: cython.longlong = flags & constants.FLAG_ANY_POLICY
        bits: cython.longlong = _was(self._page[page].bits, flags)
        holder: cython.longlong = self._holder(page)
        if any_policy:  # what zswap writes back was in memory until now
            flags &= ~constants.FLAG_WRITTEN_BACK
        self._count(-1, size, flags)
        # An entry that was not seen stored yet (see _store) has overwritten what other policies hold there still: that
        # has its size, too.
        if any_policy and not flags & constants.FLAG_REPLACED and not event.flags & constants.FLAG_WRITTEN_BACK:
            self._read(page)  # zswap gives an entry up when it is read
        if self._writing_back and self._idle.state[page] == constants.ON_DISK:
            size = 0  # of which other policies may hold the same
        self._entry_ends(page)
        no_slot: cython.bint = holder >= self._areas
        if (bits & constants.HELD_AS_SEEN and no_slot) or any_policy:
            bits &= ~constants.HELD  # there is no policy about it
        bits &= ~(constants.HELD_AS_SEEN | constants.UNSIZED)
        if any_policy:
            self._operate(constants.ALL_POOLS, page, 0)
        elif not flags & constants.FLAG_REPLACED:  # the store that replaces it finds the old object still there
            self._operate(constants.ALL_POOLS if no_slot else constants.POOLS_AS_SEEN, page, 0)
        self._change(page, bits, size, holder)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _notified(self, page: cython.longlong, event: Event) -> cython.void:
        """zram_slot_free_notify(); zswap_invalidate(): newer kernels tell zswap first, and free the slot later (up to
        6.12, from a slot cache)."""
        if event.flags & constants.FLAG_MISSED:
            self._page[page].bits |= constants.MISSED
        if event.flags & constants.FLAG_DROPPED:
            self._drop(page, event)
            if self._page[page].bits & constants.IN_USE:
                self._tell_late(page, self._page[page].bits)
                self._take_away(page, constants.HELD_AT_FREE, constants.POOLS_AT_FREE)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _write_back(self, page: cython.longlong, event: Event) -> cython.void:
        """writeback_store(): the entry's object goes, the entry stays: its page is on the backing device now."""
        self._count(-1, event.size, event.flags)
        self._count(1, 0, constants.FLAG_WRITTEN_BACK)
        self._operate(constants.ALL_POOLS, page, 0)
        self._entry_ends(page)
        bits: cython.longlong = _was(self._page[page].bits, 0) & ~constants.UNSIZED
        self._change(page, bits, 0, self._holder(page))

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _present(self, first: cython.longlong, event: Event) -> cython.void:
        """An entry from before the recording, held under every policy. Without a size, that is known at its drop."""
        size: cython.longlong = event.size
        unsized: cython.bint = size == 0 and not event.flags & (constants.FLAG_SAME | constants.FLAG_WRITTEN_BACK)
        bits: cython.longlong = _was(constants.HELD, event.flags) | (constants.UNSIZED if unsized else 0)
        page: cython.longlong
        for page in range(first, min(first + event.run, self._page.shape[0])):
            self._totals[constants.TOTAL_PRESENT] += 1
            self._totals[constants.TOTAL_UNSIZED] += unsized
            self._operate(constants.ALL_POOLS, page, size)
            area: cython.longlong = self._places.owner_of(page)
            if self._grouped and area < self._areas:
                self._groups.found(area)
            self._hold(page, area, size, bits)
            if unsized and area < self._areas:
                self._ages.found_unsized(area)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _reset(self) -> cython.void:
        """zram_reset_device(): nothing is left, under any policy. (What was held was seen dropped, entry by entry.)"""
        page: cython.longlong
        for page in range(self._page.shape[0]):
            if self._page[page].bits & constants.HELD:
                self._operate(constants.ALL_POOLS, page, 0)
            if self._page[page].bits or self._page[page].size:  # the others are not to be written to: memory
                self._entry_ends(page)
                self._change(page, 0, 0, self._holder(page))
        self._totals[constants.TOTAL_FAILED] = 0  # as the store's own counters
        self._totals[constants.TOTAL_RESETS] += 1

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _loaded(self, first: cython.longlong, run: cython.longlong) -> cython.void:
        """The pages of slots in use were read back into memory, where they now are as well."""
        page: cython.longlong
        for page in range(first, min(first + run, self._page.shape[0])):
            area: cython.longlong = self._places.owner_of(page)
            bits: cython.longlong = self._page[page].bits
            if area < self._areas:
                used: cython.bint = self._is_used(area, page)
                if used and not bits & constants.LOADED:
                    self._reads[area, 0] += 1
                if self._grouped:
                    self._groups.loaded(area, page, used, bits & constants.LOADED != 0)
            self._read(page)
            if bits & constants.IN_USE:
                self._change_bits(page, bits | constants.LOADED)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _read(self, page: cython.longlong) -> cython.void:
        """The entry of a page, if the store holds one, is read."""
        if self._aged and self._ages.number[page]:
            self._ages.loaded(self._holder(page), page, self._page[page].size, self._levels.clock.now)
        if self._writing_back:
            if self._idle.state[page]:
                self._idle.loaded(self._holder(page), page)
            self._idle.touched(page, self._levels.clock.now)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _is_used(self, area: cython.longlong, page: cython.longlong) -> cython.bint:
        """Whether a page is that of a slot of the area which is in use and was stored."""
        return self._page[page].bits & constants.IN_USE != 0 and self._holder(page) == area

    # -- moments

    def reset_statistics(self, now: int) -> None:
        """Forget peaks, integrals and series, but not the contents: what follows is measured from `now` (ns)."""
        self._catch_up(now)
        self._levels.reset_statistics(now)
        self._ages.reset_statistics(self._page, self._levels.clock.now)
        self._idle.reset_statistics(self._levels.clock.now)
        np.asarray(self._reads)[:] = 0
        if self._pools is not None:
            self._worker.wait()
            self._pools.reset_statistics(self._levels.clock.now)

    def finish(self, end: int) -> None:
        """Let time go on to the recording's end (ns)."""
        self._catch_up(end)
        self._levels.finish(end)
        self._ages.finish(self._page, self._levels.clock.now)
        self._idle.finish(self._levels.clock.now)
        if self._pools is not None:
            self._worker.wait()
            self._pools.finish(self._levels.clock.now)

    def _catch_up(self, time: int) -> None:
        """Let happen what is due before that time (ns)."""
        if self._is_late:
            self._make_room(len(self._page))
            self._happen_until(time)
            self._work_pools()

    @property
    def _is_late(self) -> bool:
        """Whether something may happen that no event tells of."""
        return bool(constants.HELD_AFTER_FREE or self._idle.wanted)

    def copy(self) -> Replay:
        """The same, as far as it is results. It shares the pages, which this one goes on to change: read it before.

        But if some may change by its end, it has its own.
        """
        self._worker.wait()
        copy = Replay(0, 0, None, self._clusters.slots, self._worker)
        copy._areas, copy._page, copy._totals = self._areas, self._page, self._totals
        copy._levels, copy._reads = self._levels.copy(), np.array(self._reads)
        copy._ages, copy._aged = self._ages.copy(apart=self._is_late), self._aged
        copy._groups, copy._grouped = copy._levels.groups, self._grouped
        copy._pools = self._pools.copy(apart=self._is_late) if self._pools is not None else None
        if self._is_late:
            copy._page, copy._delays = pages_of(extended(self._pages(), 0)), self._delays.copy()
            copy._idle, copy._writing_back = self._idle.copy(), self._writing_back
        return copy

    # -- results

    def total(self, what: Total) -> int:
        return int(self._totals[what])

    def slots(self, area: int, quantity: int) -> tuple[int, int]:
        """(now, at peak); the peak of LIVE is not known, and 0."""
        return self._levels.slots(area, quantity)

    def integral(self, area: int, quantity: int) -> Integral:
        """Compressed bytes: now, at peak (as in slots()), mean over time, and byte-seconds."""
        return self._levels.integral_of(area, quantity)

    def refaults(self, area: int) -> int:
        """Pages that were read for the first time since they were stored."""
        return int(np.asarray(self._reads)[area, 0])

    def unread(self, area: int) -> dict[str, int]:
        """By reason, slots that were freed without having been read since they were stored."""
        counts = np.asarray(self._reads)[area, 1:].tolist()
        return {reason.name.lower(): counts[reason] for reason in FreeReason}

    def ages(self, area: int) -> AgesFound | None:
        """What writing back idle entries would give, by threshold; None if that is not wanted. After finish()."""
        held = self._levels.integral_of(area, IN_STORE)
        return self._ages.of_area(area, held.byte_ns, held.span) if self._ages.wanted else None

    def written_back(self, area: int) -> WrittenBack | None:
        """What writing back idle entries gives; None if there is no threshold. After finish()."""
        return self._idle.of_area(area)

    @property
    def groups(self) -> Groups:
        return self._groups

    def forget_pools(self) -> None:
        """The store's pool holds what is not its own: there is no telling its size."""
        self._pools = None

    @property
    def pools(self) -> Pools | None:
        """The pools, by the numbers of POLICIES; None if they are not known.

        They are if the geometry is, and all that the store held when the recording began.
        """
        known = self._pools is not None and self._pools.fits(len(self._page)) and not self.total(Total.UNSIZED)
        return self._pools if known else None

    def indexes(self, quantity: int) -> NDArray[np.int64]:
        """The store indexes of all pages that count towards a quantity now (int64, increasing)."""
        page, counts = self._pages(), COUNTS[CLASS_OF, quantity] != 0
        least = mark_of(self._areas - 1)
        return indexes_where(len(page), lambda part: counts[page["bits"][part]] & (page["holder"][part] >= least))

    def of_area(self, area: int, quantity: int) -> NDArray[np.int64]:
        """Those of indexes() that are the area's."""
        index = self.indexes(quantity)
        return np.asarray(index[self._pages()["holder"][index] == mark_of(area)], np.int64)

    def leaks(self, area: int) -> tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.bool_]]:
        """An area's leaked entries now: store indexes, compressed sizes, and whether a notification came but missed."""
        index = self.of_area(area, LEAKED)
        leaked = self._pages()[index]
        return index, leaked["size"], (leaked["bits"] & constants.MISSED) != 0

    def header(self, pages: PageMap) -> tuple[int, int]:
        """What mkswap wrote and the store holds now, as observed: (pages, compressed bytes)."""
        page = self._pages()
        header = indexes_where(len(pages.owner), lambda part: pages.owner[part] == mark_of(HEADER))
        held = header[page["bits"][header] & constants.HELD_AS_SEEN != 0]
        return len(held), int(page["size"][held].sum())

    def held(self) -> NDArray[np.int64]:
        """The store indexes that hold an entry now, as observed (int64, increasing)."""
        page = self._pages()
        return indexes_where(len(page), lambda part: page["bits"][part] & constants.HELD_AS_SEEN != 0)

    def series(self, area: int) -> Series:
        values = self._levels.series_of(area)
        pools = self.pools
        return Series(
            self._levels.bins(),
            {name: values[:, quantity, 0] for quantity, name in enumerate(QUANTITIES)},
            {name: values[:, quantity, 1] for quantity, name in enumerate(QUANTITIES)},
            {name: pools.series(number) for number, name in enumerate(POOL)} if pools else {},
        )

    def slot_map(self, area: int, slots: int) -> SlotMap:
        return self._levels.slot_map(area, slots)


def _no_reads(areas: int) -> NDArray[np.int64]:
    return np.zeros((areas, 1 + len(FreeReason)), np.int64)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _was(bits: cython.longlong, flags: cython.longlong) -> cython.longlong:
    """The bits with an entry's flags in them."""
    bits &= ~(constants.WAS_SAME | constants.WAS_HUGE)
    if flags & constants.FLAG_SAME:
        bits |= constants.WAS_SAME
    if flags & constants.FLAG_HUGE:
        bits |= constants.WAS_HUGE
    return bits


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _in_memory(bits: cython.longlong, size: cython.longlong) -> cython.bint:
    """Whether an entry with these bits and that size has an object: same-filled ones have none, nor any size."""
    return size != 0 or bits & constants.UNSIZED != 0


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _flags_of(bits: cython.longlong) -> cython.longlong:
    flags: cython.longlong = constants.FLAG_SAME if bits & constants.WAS_SAME else 0
    return flags | (constants.FLAG_HUGE if bits & constants.WAS_HUGE else 0)
