"""The compressed store under several policies at once: what it holds, live and stale, at every moment of a trace.

Mirrors what ramzswap's handlers do (write, read, slot free; drivers/staging/ramzswap) and zram's after it
(zram_write_page, zram_slot_free_notify, zram_free_page; drivers/block/zram/zram_drv.c). One pass over the events; for
each page of the store there are a few bits, and every reported quantity is a sum over the pages whose bits put them
into it (`_member`). The swap map does not depend on what the store does with notifications, so all policies see the
same stores and frees.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from swaptrace.analysis.jit import Events, Number, Record, njit
from swaptrace.analysis.mapping import HEADER, NO_AREA, PageMap, index_of, slot_of
from swaptrace.analysis.results import Integral, Series, SlotMap
from swaptrace.events import REASON_SHIFT, EventFlag, EventKind, FreeReason
from swaptrace.store import zsmalloc
from swaptrace.store.pools import BINS, OPERATION, Pools

__all__ = ["POLICIES", "Policy", "Quantity", "Replay", "Total"]


class Quantity(IntEnum):
    """What is summed over pages, in slots and compressed bytes. The policies' are what is stale under each."""

    LIVE = 0
    NONE = 1
    NOTIFY = 2
    OBSERVED = 3
    RECOVERED = 4  # stale under none, not under notify
    LEAKED = 5  # stale under observed, not under notify
    DUPLICATE = 6  # live, and read back into memory as well
    DISCARD = 7
    DISCARD_ONCE = 8


class Policy(NamedTuple):
    """When the store drops the entry of a freed slot. bit: of a page whose entry is held under this policy."""

    bit: int
    stale: Quantity
    drops: str


#: By name, in the order of the reports; the place in this table is the number of the policy's pool.
POLICIES = {
    "none": Policy(2, Quantity.NONE, "when the slot is written again"),
    "discard": Policy(256, Quantity.DISCARD, "when all slots of its cluster are free (swapon --discard=pages)"),
    "discard_once": Policy(512, Quantity.DISCARD_ONCE, "when the area is switched on (swapon --discard=once)"),
    "notify": Policy(4, Quantity.NOTIFY, "at the slot's free"),
    "observed": Policy(8, Quantity.OBSERVED, "when this machine's driver did"),
}


class Total(IntEnum):
    """What the driver's own counters say, as changes since the recording began."""

    PAGES = 0
    COMPR = 1
    SAME = 2
    HUGE = 3
    GOOD = 4  # compressed to half a page or less
    GONE = 5
    PRESENT = 6
    UNSIZED = 7  # entries from before the recording whose size was not known then


_QUANTITIES = len(Quantity)
_NONE = int(Quantity.NONE)

# bits of a page
_IN_USE, _HELD_NONE, _HELD_NOTIFY, _HELD_OBSERVED, _LOADED, _UNSIZED = 1, 2, 4, 8, 16, 32
_WAS_SAME, _WAS_HUGE = 64, 128  # flags of the last entry that the page had
_HELD_DISCARD, _HELD_ONCE = 256, 512
_MISSED = 1024  # a notification came, but could not take the entry's lock
_HELD = _HELD_NONE | _HELD_NOTIFY | _HELD_OBSERVED | _HELD_DISCARD | _HELD_ONCE
_ALL_BITS = 2047

_STORE, _LOAD, _FREED = int(EventKind.STORE), int(EventKind.LOAD), int(EventKind.FREE)
_DROP, _NOTIFY, _PRESENT = int(EventKind.DROP), int(EventKind.NOTIFY), int(EventKind.PRESENT)
_RESET, _ALLOC = int(EventKind.RESET), int(EventKind.ALLOC)
_SWAPOFF = int(FreeReason.SWAPOFF)
_GONE, _DROPPED = int(EventFlag.GONE), int(EventFlag.DROPPED)
_REPLACED, _MISSED_FLAG = int(EventFlag.REPLACED), int(EventFlag.MISSED)
_SAME, _HUGE, _WRITTEN_BACK = int(EventFlag.SAME), int(EventFlag.HUGE), int(EventFlag.WRITTEN_BACK)

MAP_ROWS = 256

# values kept for each quantity of each area
_SLOTS, _BYTES, _PEAK_SLOTS, _PEAK_BYTES, _CHANGED = range(5)
_POLICIES = len(POLICIES)
_POOL_NONE, _POOL_DISCARD, _POOL_ONCE, _POOL_NOTIFY, _POOL_OBSERVED = range(_POLICIES)
# the clock
_NOW, _ORIGIN, _WIDTH, _BIN, _ROW = range(5)


class _State(NamedTuple):
    quantities_of: NDArray[np.uint16]  # (all bits + 1,) see _quantities
    bits: NDArray[np.uint16]  # (pages,)
    size: NDArray[np.uint32]  # (pages,) compressed size of the entry that the page has or had last
    holder: NDArray[np.uint8]  # (pages,) the area that stored it: stale entries outlive their area
    values: NDArray[np.int64]  # (areas, quantities, 5)
    integral: NDArray[np.float64]  # (areas, quantities) byte-nanoseconds
    totals: NDArray[np.int64]  # (Total,)
    clock: NDArray[np.int64]  # (5,) see _NOW
    series: NDArray[np.int64]  # (areas, BINS, quantities, 2) slots and bytes at the end of each bin
    row: NDArray[np.int32]  # (areas, 2, MAP_ROWS) live and stale slots per row of the map, now
    map: NDArray[np.int32]  # (areas, BINS, 2, MAP_ROWS)
    per_row: NDArray[np.int64]  # (areas,) slots per row of the map
    cluster: NDArray[np.int64]  # (areas, 4) where its clusters begin in `in_use`; whole ones, slots of each, slots
    in_use: NDArray[np.int32]  # slots allocated per cluster, one area after the other
    allocated: NDArray[np.bool_]  # the swap maps: slots that are not free, cluster by cluster
    operations: NDArray[np.void]  # (policies, as many as a batch can cause) OPERATION
    operation_count: NDArray[np.int64]  # (policies,)


def _quantities(bits: int) -> int:
    """The quantities that a page with these bits counts towards, as a mask: the definition of all that is reported."""
    stale = {policy.stale for policy in POLICIES.values() if bits & policy.bit}
    if bits & _IN_USE:
        live = {Quantity.LIVE} if bits & _HELD else set()
        found = live | ({Quantity.DUPLICATE} if live and bits & _LOADED else set())
    else:
        told = Quantity.NOTIFY not in stale
        recovered = {Quantity.RECOVERED} if Quantity.NONE in stale and told else set()
        leaked = {Quantity.LEAKED} if Quantity.OBSERVED in stale and told else set()
        found = stale | recovered | leaked
    return sum(1 << quantity for quantity in found)


_QUANTITIES_OF = np.array([_quantities(bits) for bits in range(_ALL_BITS + 1)], np.uint16)


@njit
def _add(state: _State, area: Number, quantity: Number, slots: Number, size: Number) -> None:
    values = state.values[area, quantity]
    now = state.clock[_NOW]
    state.integral[area, quantity] += np.float64(values[_BYTES]) * np.float64(now - values[_CHANGED])
    values[_CHANGED] = now
    values[_SLOTS] += slots
    values[_BYTES] += size
    values[_PEAK_SLOTS] = max(values[_PEAK_SLOTS], values[_SLOTS])
    values[_PEAK_BYTES] = max(values[_PEAK_BYTES], values[_BYTES])


@njit
def _operate(state: _State, policy: Number, page: Number, size: Number) -> None:
    """Note for a policy's pool: the entry gets an object of that size in place of the one it has; none if it is 0."""
    number = state.operation_count[policy]
    if number < state.operations.shape[1]:
        operation = state.operations[policy, number]
        operation["time"] = state.clock[_NOW]
        operation["row"] = state.clock[_ROW]
        operation["page"] = page
        operation["size"] = size
        state.operation_count[policy] = number + 1


@njit
def _mark(state: _State, pages: PageMap, area: Number, quantity: Number, page: Number, slots: Number) -> None:
    """Note a page on the map of the area whose slot it is."""
    if quantity <= _NONE:
        row = slot_of(pages, area, page) // state.per_row[area]
        state.row[area, quantity, min(row, MAP_ROWS - 1)] += slots


@njit
def _change(state: _State, pages: PageMap, page: Number, bits: Number, size: Number, holder: Number) -> None:
    """Give a page new bits, size and holder, and move it from the quantities that it leaves to those that it enters."""
    old_bits, old_size, old_holder = state.bits[page], np.int64(state.size[page]), np.int64(state.holder[page])
    areas = len(state.values)
    if (old_bits != bits or old_size != size or old_holder != holder) and (old_bits | bits) & _HELD:
        before = np.int64(state.quantities_of[old_bits]) if old_holder < areas else 0
        after = np.int64(state.quantities_of[bits]) if holder < areas else 0
        for quantity in range(_QUANTITIES):
            was, is_now = before >> quantity & 1, after >> quantity & 1
            if not was and not is_now:
                continue
            if was and is_now and old_holder == holder:
                if old_size != size:
                    _add(state, holder, quantity, 0, size - old_size)
                continue
            if was:
                _add(state, old_holder, quantity, -1, -old_size)
                _mark(state, pages, old_holder, quantity, page, -1)
            if is_now:
                _add(state, holder, quantity, 1, size)
                _mark(state, pages, holder, quantity, page, 1)
    state.bits[page] = bits
    state.size[page] = size
    state.holder[page] = holder


@njit
def _allocate(state: _State, area: Number, slot: Number) -> None:
    """swap_range_alloc(): a slot is given out. Where that was not seen, its first store tells."""
    first, _, slots, end = state.cluster[area]
    if slot < end and not state.allocated[first * slots + slot]:
        state.allocated[first * slots + slot] = True
        state.in_use[first + slot // slots] += 1


@njit
def _release(state: _State, pages: PageMap, area: Number, slot: Number, flags: Number) -> None:
    """A slot is free again; with it, perhaps, its cluster."""
    first, _, slots, end = state.cluster[area]
    if slot < end and state.allocated[first * slots + slot]:
        state.allocated[first * slots + slot] = False
        cluster = first + slot // slots
        state.in_use[cluster] -= 1
        # swapoff clears SWP_WRITEOK first, without which free_cluster() schedules no discard
        if state.in_use[cluster] == 0 and flags >> REASON_SHIFT != _SWAPOFF:
            _discard(state, pages, area, slot // slots)


@njit
def _count(state: _State, pages: PageMap, sign: Number, size: Number, flags: Number) -> None:
    """An entry came (1) or went (-1): what zram's own counters make of it."""
    totals = state.totals
    totals[0] += sign
    totals[1] += sign * size
    if flags & _SAME:
        totals[2] += sign
    elif flags & _HUGE:
        totals[3] += sign
    if not flags & (_WRITTEN_BACK | _SAME) and 2 * size <= pages.page_size:
        totals[4] += sign


@njit
def _close_bin(state: _State) -> None:
    """Note all values at the end of the running bin; fold the bins into half as many when they are used up."""
    number = state.clock[_BIN]
    for area in range(len(state.values)):
        for quantity in range(_QUANTITIES):
            state.series[area, number, quantity, 0] = state.values[area, quantity, _SLOTS]
            state.series[area, number, quantity, 1] = state.values[area, quantity, _BYTES]
        for row in range(MAP_ROWS):
            state.map[area, number, 0, row] = state.row[area, 0, row]
            state.map[area, number, 1, row] = state.row[area, 1, row]
    number += 1
    if number == BINS:
        for area in range(len(state.values)):
            _fold(state.series[area])
            _fold(state.map[area])
        number = BINS // 2
        state.clock[_WIDTH] *= 2
    state.clock[_BIN] = number


@njit
def _fold(bins: NDArray[Any]) -> None:
    """Keep every other bin, shape (BINS, a, b): element by element, for assigning whole rows would make arrays."""
    for half in range(BINS // 2):
        for first in range(bins.shape[1]):
            for second in range(bins.shape[2]):
                bins[half, first, second] = bins[2 * half + 1, first, second]


@njit
def _tick(state: _State, time: Number) -> None:
    """Time goes on, never back: across CPUs, time stamps may step back by microseconds."""
    clock = state.clock
    if time <= clock[_NOW]:
        return
    while time >= clock[_ORIGIN] + (clock[_BIN] + 1) * clock[_WIDTH]:
        _close_bin(state)
    clock[_NOW] = time


@njit
def _was(bits: Number, flags: Number) -> Number:
    """The bits with an entry's flags in them."""
    was = (_WAS_SAME if flags & _SAME else 0) | (_WAS_HUGE if flags & _HUGE else 0)
    return (bits & ~np.uint16(_WAS_SAME | _WAS_HUGE)) | np.uint16(was)


@njit
def _flags_of(bits: Number) -> Number:
    return (_SAME if bits & _WAS_SAME else 0) | (_HUGE if bits & _WAS_HUGE else 0)


@njit
def _store(state: _State, pages: PageMap, page: Number, event: Record) -> None:
    """zram_write_page(): the new entry replaces whatever was there, under every policy."""
    area = np.int64(pages.owner[page])
    used = np.uint16(_IN_USE) if area < len(state.values) else np.uint16(0)
    if event["flags"] & _GONE:
        # Freed and dropped before its size could be read: the free and the drop, which has the size, came first.
        size, bits = np.int64(state.size[page]), state.bits[page]
        state.totals[5] += 1
        _count(state, pages, 1, size, _flags_of(bits))
        for policy in (_POOL_NONE, _POOL_DISCARD, _POOL_ONCE):
            _operate(state, policy, page, size)
        _change(
            state,
            pages,
            page,
            (bits & np.uint16(_WAS_SAME | _WAS_HUGE)) | np.uint16(_HELD_NONE | _HELD_DISCARD | _HELD_ONCE),
            size,
            area,
        )
        return
    size = np.int64(event["size"])
    if state.bits[page] & _HELD_OBSERVED:  # the kernel drops the old entry first; it does not if that event was lost
        _count(state, pages, -1, np.int64(state.size[page]), _flags_of(state.bits[page]))
    _count(state, pages, 1, size, event["flags"])
    for policy in range(_POLICIES):
        _operate(state, policy, page, size)
    _change(state, pages, page, _was(np.uint16(_HELD | used), event["flags"]), size, area)
    if used:
        _allocate(state, area, slot_of(pages, area, page))


@njit
def _slot_free(state: _State, pages: PageMap, page: Number, told: NDArray[np.bool_]) -> None:
    """The swap map's side of a free, and, if the store was told, zram_slot_free_notify() under the policy `notify`."""
    bits = state.bits[page]
    if not bits & _IN_USE:
        return
    bits &= ~np.uint16(_IN_USE | _LOADED)
    if told and bits & _HELD_NOTIFY:
        bits &= ~np.uint16(_HELD_NOTIFY)
        _operate(state, _POOL_NOTIFY, page, 0)
    _change(state, pages, page, bits, np.int64(state.size[page]), np.int64(state.holder[page]))


@njit
def _discard(state: _State, pages: PageMap, area: Number, cluster: Number) -> None:
    """The last allocated slot of a cluster was freed: swap_cluster_schedule_discard(), as under --discard=pages.

    Clusters that are not whole never count as free in mm/swapfile.c: the first has the header's page, which is never
    given out, and the last one what lies beyond the area's end.
    """
    slots = state.cluster[area, 2]
    if cluster == 0 or cluster >= state.cluster[area, 1]:
        return
    for slot in range(cluster * slots, (cluster + 1) * slots):
        page: Number = index_of(pages.extents, area, slot)[0]
        if 0 <= page < len(state.bits) and state.bits[page] & _HELD_DISCARD:
            _operate(state, _POOL_DISCARD, page, 0)
            bits = state.bits[page] & ~np.uint16(_HELD_DISCARD)
            _change(state, pages, page, bits, np.int64(state.size[page]), np.int64(state.holder[page]))


@njit
def _discard_area(state: _State, pages: PageMap, area: Number) -> None:
    """discard_swap(), at swapon with --discard=once: whatever the area's slots hold is dropped (but not the header)."""
    for page in range(len(state.bits)):
        if pages.owner[page] == area and state.bits[page] & _HELD_ONCE:
            _operate(state, _POOL_ONCE, page, 0)
            bits = state.bits[page] & ~np.uint16(_HELD_ONCE)
            _change(state, pages, page, bits, np.int64(state.size[page]), np.int64(state.holder[page]))


@njit
def _drop(state: _State, pages: PageMap, page: Number, event: Record) -> None:
    """zram_free_page(): the driver really dropped an entry."""
    size = np.int64(event["size"])
    bits, holder = _was(state.bits[page], event["flags"]), np.int64(state.holder[page])
    _count(state, pages, -1, size, event["flags"])
    # An entry that was not seen stored yet (see _store) has overwritten what other policies hold there still: that has
    # its size, too.
    if bits & _HELD_OBSERVED and holder >= len(state.values):
        bits &= ~np.uint16(_HELD)  # no slot's page: there is no policy about it
    bits &= ~np.uint16(_HELD_OBSERVED | _UNSIZED)
    if not event["flags"] & _REPLACED:  # the store that replaces it finds the old object still there
        _operate(state, _POOL_OBSERVED, page, 0)
        if holder >= len(state.values):
            for policy in range(_POLICIES):
                _operate(state, policy, page, 0)
    _change(state, pages, page, bits, size, holder)


@njit
def _present(state: _State, pages: PageMap, first: Number, event: Record) -> None:
    """An entry from before the recording, held under every policy. Without a size, that is known when it is dropped."""
    unsized = event["size"] == 0 and not event["flags"] & _SAME
    for page in range(first, min(first + event["run"], len(state.bits))):
        area = np.int64(pages.owner[page])
        used = np.uint16(_IN_USE) if area < len(state.values) else np.uint16(0)
        state.totals[6] += 1
        state.totals[7] += unsized
        bits = _was(np.uint16(_HELD | used | (_UNSIZED if unsized else 0)), event["flags"])
        for policy in range(_POLICIES):
            _operate(state, policy, page, np.int64(event["size"]))
        _change(state, pages, page, bits, np.int64(event["size"]), area)
        if used:
            _allocate(state, area, slot_of(pages, area, page))


@njit
def _reset(state: _State, pages: PageMap) -> None:
    """zram_reset_device(): nothing is left, under any policy. (What was held was seen dropped, entry by entry.)"""
    for page in range(len(state.bits)):
        if state.bits[page] & _HELD:
            for policy in range(_POLICIES):
                _operate(state, policy, page, 0)
        _change(state, pages, page, np.uint16(0), np.int64(0), np.int64(state.holder[page]))


@njit
def _advance(events: Events, told: NDArray[np.bool_], pages: PageMap, state: _State) -> None:
    limit = len(state.bits)
    for number in range(len(events)):
        event = events[number]
        kind = event["kind"]
        state.clock[_ROW] = number
        if kind in (_FREED, _ALLOC):
            area: Number = pages.type_area[event["device"]] if event["device"] < 32 else NO_AREA
            if area == NO_AREA:
                continue
            _tick(state, np.int64(event["time"]))
            for slot in range(np.int64(event["slot"]), np.int64(event["slot"]) + event["run"]):
                if kind == _ALLOC:
                    _allocate(state, area, slot)
                    continue
                page: Number = index_of(pages.extents, area, slot)[0]
                if 0 <= page < limit:
                    _slot_free(state, pages, page, told[number])
                _release(state, pages, area, slot, event["flags"])
            continue
        if event["device"] != pages.store or kind < _STORE:
            continue
        if kind == _RESET:  # of the whole store: its slot means nothing
            _tick(state, np.int64(event["time"]))
            _reset(state, pages)
            continue
        page = np.int64(event["slot"])
        if page >= limit:
            continue
        _tick(state, np.int64(event["time"]))
        if kind == _STORE:
            _store(state, pages, page, event)
        elif kind == _NOTIFY:
            if event["flags"] & _MISSED_FLAG:
                state.bits[page] |= np.uint16(_MISSED)
            if event["flags"] & _DROPPED:
                _drop(state, pages, page, event)
        elif kind == _DROP:
            _drop(state, pages, page, event)
        elif kind == _LOAD:
            for loaded in range(page, min(page + event["run"], limit)):
                bits = state.bits[loaded]
                if bits & _IN_USE:
                    size, holder = np.int64(state.size[loaded]), np.int64(state.holder[loaded])
                    _change(state, pages, loaded, bits | np.uint16(_LOADED), size, holder)
        elif kind == _PRESENT:
            _present(state, pages, page, event)


class Replay:
    """One store. Feed it events with advance(), in order; finish() before reading results."""

    def __init__(
        self, pages: int, origin: int, geometry: zsmalloc.Geometry | None = None, cluster_slots: int = 512
    ) -> None:
        """A store of that many pages, which begins at `origin` (ns). Without a geometry, pools are not modelled."""
        self._cluster_slots = cluster_slots
        least = list(POLICIES).index("notify")
        self._pools = Pools(pages, len(POLICIES), least, geometry, origin) if geometry is not None else None
        self._state = _State(
            quantities_of=_QUANTITIES_OF,
            bits=np.zeros(pages, np.uint16),
            size=np.zeros(pages, np.uint32),
            holder=np.full(pages, 255, np.uint8),
            values=np.zeros((0, _QUANTITIES, 5), np.int64),
            integral=np.zeros((0, _QUANTITIES), np.float64),
            totals=np.zeros(len(Total), np.int64),
            clock=np.array([origin, origin, 1000, 0, 0], np.int64),
            series=np.zeros((0, BINS, _QUANTITIES, 2), np.int64),
            row=np.zeros((0, 2, MAP_ROWS), np.int32),
            map=np.zeros((0, BINS, 2, MAP_ROWS), np.int32),
            per_row=np.zeros(0, np.int64),
            cluster=np.zeros((0, 4), np.int64),
            in_use=np.zeros(0, np.int32),
            allocated=np.zeros(0, np.bool_),
            operations=np.zeros((_POLICIES, 0), OPERATION),
            operation_count=np.zeros(_POLICIES, np.int64),
        )

    def add_area(self, slots: int, pages: PageMap) -> None:
        """The store has one more area, of that many slots: the last one in `pages`."""
        state = self._state
        per_cluster = self._cluster_slots
        clusters = -(-slots // per_cluster)
        state = state._replace(
            in_use=np.append(state.in_use, np.zeros(clusters, np.int32)),
            allocated=np.append(state.allocated, np.zeros(clusters * per_cluster, np.bool_)),
        )
        one: dict[str, NDArray[Any]] = {
            "values": np.zeros((1, _QUANTITIES, 5), np.int64),
            "integral": np.zeros((1, _QUANTITIES)),
            "series": np.zeros((1, BINS, _QUANTITIES, 2), np.int64),
            "row": np.zeros((1, 2, MAP_ROWS), np.int32),
            "map": np.zeros((1, BINS, 2, MAP_ROWS), np.int32),
            "per_row": np.array([max(-(-slots // MAP_ROWS), 1)], np.int64),
            "cluster": np.array([[len(state.in_use) - clusters, slots // per_cluster, per_cluster, slots]], np.int64),
        }
        one["values"][:, :, _CHANGED] = state.clock[_NOW]
        self._state = state._replace(**{name: np.concatenate([getattr(state, name), new]) for name, new in one.items()})
        self._state.operation_count[:] = 0
        if self._pools is not None:
            self._state = self._state._replace(operations=np.empty((_POLICIES, len(self._state.bits)), OPERATION))
        _discard_area(self._state, pages, len(self._state.values) - 1)
        self._work_pools()

    def grow(self, pages: int) -> None:
        """Make room for that many pages."""
        more = pages - len(self._state.bits)
        if more > 0:
            self._state = self._state._replace(
                bits=np.append(self._state.bits, np.zeros(more, np.uint16)),
                size=np.append(self._state.size, np.zeros(more, np.uint32)),
                holder=np.append(self._state.holder, np.full(more, 255, np.uint8)),
            )

    def advance(self, events: NDArray[np.void], told: NDArray[np.bool_], pages: PageMap) -> None:
        """Take in the next events. told: bool (n,), the slot frees that the store was notified of under `notify`."""
        if self._pools is not None:
            # at most an operation for each slot of a free's run, and one for each page that a discard or a reset drops
            most = int(events["run"].astype(np.int64).sum()) + len(events) + len(self._state.bits)
            self._state = self._state._replace(operations=np.empty((_POLICIES, most), OPERATION))
        self._state.operation_count[:] = 0
        _advance(events, told, pages, self._state)
        self._work_pools()

    def _work_pools(self) -> None:
        if self._pools is not None and self._pools.fits(len(self._state.bits)):
            count = self._state.operation_count
            self._pools.advance([one[:n] for one, n in zip(self._state.operations, count, strict=True)])

    def reset_statistics(self, now: int) -> None:
        """Forget peaks, integrals and series, but not the contents: what follows is measured from `now` (ns)."""
        _tick(self._state, now)
        state = self._state
        state.integral[:] = 0
        state.values[:, :, _PEAK_SLOTS] = state.values[:, :, _SLOTS]
        state.values[:, :, _PEAK_BYTES] = state.values[:, :, _BYTES]
        state.values[:, :, _CHANGED] = state.clock[_NOW]
        if self._pools is not None:
            self._pools.reset_statistics(now)
        state.clock[_ORIGIN], state.clock[_WIDTH], state.clock[_BIN] = state.clock[_NOW], 1000, 0

    def finish(self, end: int) -> None:
        """Let time go on to the recording's end (ns)."""
        _tick(self._state, end)
        for area in range(len(self._state.values)):
            for quantity in range(_QUANTITIES):
                _add(self._state, area, quantity, 0, 0)
        if self._pools is not None:
            self._pools.finish(int(self._state.clock[_NOW]))

    # -- results

    def total(self, what: Total) -> int:
        return int(self._state.totals[what])

    def slots(self, area: int, quantity: Quantity) -> tuple[int, int]:
        """(now, at peak)."""
        values = self._state.values[area, quantity]
        return int(values[_SLOTS]), int(values[_PEAK_SLOTS])

    def integral(self, area: int, quantity: Quantity) -> Integral:
        """Compressed bytes: now, at peak, mean over time, and byte-seconds."""
        values = self._state.values[area, quantity]
        span = self._state.clock[_NOW] - self._state.clock[_ORIGIN]
        area_under = float(self._state.integral[area, quantity])
        mean = float(area_under / span) if span else float(values[_BYTES])
        return Integral(int(values[_BYTES]), int(values[_PEAK_BYTES]), mean, area_under / 1e9)

    @property
    def pools(self) -> Pools | None:
        """The pools, by the numbers of POLICIES; None if they are not known.

        They are if the geometry is, and all that the store held when the recording began.
        """
        known = self._pools is not None and self._pools.fits(len(self._state.bits)) and not self.total(Total.UNSIZED)
        return self._pools if known else None

    def indexes(self, quantity: Quantity) -> NDArray[np.int64]:
        """The store indexes of all pages that count towards a quantity now (int64, increasing)."""
        member = (_QUANTITIES_OF[self._state.bits] >> quantity & 1).astype(np.bool_)
        return np.flatnonzero(member & (self._state.holder < len(self._state.values)))

    def leaks(self, area: int) -> tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.bool_]]:
        """An area's leaked entries now: store indexes, compressed sizes, and whether a notification came but missed."""
        index = self.indexes(Quantity.LEAKED)
        index = index[self._state.holder[index] == area]
        return index, self._state.size[index], (self._state.bits[index] & _MISSED) != 0

    def header(self, pages: PageMap) -> tuple[int, int]:
        """What mkswap wrote and the store holds now, as observed: (pages, compressed bytes)."""
        held = (pages.owner == HEADER) & (self._state.bits & _HELD_OBSERVED != 0)
        return int(np.count_nonzero(held)), int(self._state.size[held].sum())

    def held(self) -> NDArray[np.int64]:
        """The store indexes that hold an entry now, as observed (int64, increasing)."""
        return np.flatnonzero(self._state.bits & _HELD_OBSERVED)

    def _bins(self) -> NDArray[np.int64]:
        """Ends of the bins since the origin, the running one's included (ns)."""
        clock = self._state.clock
        ends = np.arange(1, clock[_BIN] + 2) * clock[_WIDTH]
        ends[-1] = clock[_NOW] - clock[_ORIGIN]
        return np.asarray(ends, np.int64)

    def series(self, area: int) -> Series:
        names = {quantity.name.lower(): quantity for quantity in Quantity}
        whole = self._state.series[area, : self._state.clock[_BIN]]
        now = self._state.values[area, :, :2]
        both = np.concatenate([whole, now[None]])
        return Series(
            self._bins(),
            {name: both[:, quantity, 0] for name, quantity in names.items()},
            {name: both[:, quantity, 1] for name, quantity in names.items()},
            {name: self.pools.series(number) for number, name in enumerate(POLICIES)} if self.pools else {},
        )

    def slot_map(self, area: int, slots: int) -> SlotMap:
        whole = self._state.map[area, : self._state.clock[_BIN]]
        both = np.concatenate([whole, self._state.row[area][None]])
        per_row = int(self._state.per_row[area])
        rows = -(-slots // per_row)
        return SlotMap(both[:, 0, :rows], both[:, 1, :rows], per_row, slots)
