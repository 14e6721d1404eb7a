"""The compressed store under several policies at once: what it holds, live and stale, at every moment of a trace.

Mirrors what ramzswap's handlers do (write, read, slot free; drivers/staging/ramzswap) and zram's after it
(zram_write_page, zram_slot_free_notify, zram_free_page; drivers/block/zram/zram_drv.c). One pass over the events; for
each page of the store there are a few bits, and every reported quantity is a sum over the pages whose bits put them
into it (`quantities`). The swap map does not depend on what the store does with notifications, so all policies see the
same stores and frees. It may depend on whether the area discards its free clusters: derived.not_predicted() says which
policies a recording says nothing about, then.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from swaptrace.analysis.jit import Events, Number, Record, njit
from swaptrace.analysis.lazy import extended, indexes_where, lazy_zeros
from swaptrace.analysis.mapping import HEADER, NO_AREA, NOBODY, PageMap, index_of, mark_of, owner_of, slot_of
from swaptrace.analysis.results import Integral, Series, SlotMap
from swaptrace.analysis.worker import Worker
from swaptrace.areas import MAX_TYPES
from swaptrace.events import REASON_SHIFT, EventFlag, EventKind, FreeReason
from swaptrace.store import clock, zsmalloc
from swaptrace.store.clock import BINS
from swaptrace.store.pools import OPERATION, Pools

__all__ = ["POLICIES", "Policy", "Quantity", "Replay", "Total", "check_widths", "quantities"]


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
    """When the store drops the entry of a freed slot. bit: of a page whose entry is held under this policy.

    discards: whether an area under this policy discards clusters that become free (SWP_PAGE_DISCARD). None: what is
    stale does not depend on which slots are used: nothing is, or what was seen to be.
    """

    bit: int
    stale: Quantity
    drops: str
    discards: bool | None


#: By name, in the order of the reports; the place in this table is the number of the policy's pool.
POLICIES = {
    "none": Policy(2, Quantity.NONE, "when the slot is written again", False),
    "discard": Policy(256, Quantity.DISCARD, "when all slots of its cluster are free (swapon --discard=pages)", True),
    "discard_once": Policy(512, Quantity.DISCARD_ONCE, "when the area is switched on (swapon --discard=once)", False),
    "notify": Policy(4, Quantity.NOTIFY, "at the slot's free", None),
    "observed": Policy(8, Quantity.OBSERVED, "when this machine's driver did", None),
}


class Total(IntEnum):
    """What the driver's own counters say, as changes since the recording began."""

    PAGES = 0
    COMPR = 1
    SAME = 2
    HUGE = 3
    GONE = 4
    PRESENT = 5
    UNSIZED = 6  # entries from before the recording whose size was not known then
    WRITTEN_BACK = 7  # on zram's backing device: bd_count in bd_stat
    FAILED = 8  # writes that the store refused: failed_writes in io_stat
    UNTOLD = 9  # stores that look like writes which failed, in traces and on kernels that do not tell of those
    RESETS = 10


_QUANTITIES = len(Quantity)

# bits of a page
_IN_USE, _HELD_NONE, _HELD_NOTIFY, _HELD_OBSERVED, _LOADED, _UNSIZED = 1, 2, 4, 8, 16, 32
_WAS_SAME, _WAS_HUGE = 64, 128  # flags of the last entry that the page had
_HELD_DISCARD, _HELD_ONCE = 256, 512
_MISSED = 1024  # a notification came, but could not take the entry's lock
_HELD = sum(policy.bit for policy in POLICIES.values())
_EVERY_BIT = _HELD | _IN_USE | _LOADED | _UNSIZED | _WAS_SAME | _WAS_HUGE | _MISSED
_ALL_BITS = (1 << _EVERY_BIT.bit_length()) - 1

_STORE, _LOAD, _FREED = int(EventKind.STORE), int(EventKind.LOAD), int(EventKind.FREE)
_DROP, _NOTIFY, _PRESENT = int(EventKind.DROP), int(EventKind.NOTIFY), int(EventKind.PRESENT)
_RESET, _ALLOC, _MOVED = int(EventKind.RESET), int(EventKind.ALLOC), int(EventKind.MOVED)
_DISCARD, _ANY_POLICY = int(EventKind.DISCARD), int(EventFlag.ANY_POLICY)
_FAILED = int(EventKind.FAILED)
_SWAPOFF = int(FreeReason.SWAPOFF)
_GONE, _DROPPED = int(EventFlag.GONE), int(EventFlag.DROPPED)
_REPLACED, _MISSED_FLAG = int(EventFlag.REPLACED), int(EventFlag.MISSED)
_SAME, _HUGE, _WRITTEN_BACK = int(EventFlag.SAME), int(EventFlag.HUGE), int(EventFlag.WRITTEN_BACK)

MAP_ROWS = 256

# the policies' pools, as masks
_POOL = {name: 1 << number for number, name in enumerate(POLICIES)}
_POOL_NONE, _POOL_DISCARD, _POOL_ONCE = _POOL["none"], _POOL["discard"], _POOL["discard_once"]
_POOL_NOTIFY, _POOL_OBSERVED = _POOL["notify"], _POOL["observed"]
_ALL_POOLS = (1 << len(POLICIES)) - 1

_PAGE = np.dtype(
    [
        ("size", "u4"),  # compressed size of the entry that the page has or had last
        ("bits", "u2"),
        ("holder", "u1"),  # the mark of the area that stored it: stale entries outlive their area; see mark_of()
        ("row", "u1"),  # of the slot that the page is to its holder, on the map
    ]
)


class _State(NamedTuple):
    """All pages that count towards the same quantities are a class, and an event moves pages from class to class.

    What the pages of each class add up to is kept; sums of that give every quantity. Only for the peaks, the sums
    themselves are kept as well.
    """

    class_of: NDArray[np.uint8]  # (all bits + 1,) the class of a page with these bits; class 0 counts towards nothing
    which: NDArray[np.int8]  # (classes, classes, _PEAKS) what a page enters, leaves and stays in, from class to class
    ends: NDArray[np.int8]  # (classes, classes, 3) where in `which` each of these ends
    on_map: NDArray[np.int32]  # (classes, 2) 1 where the class is live, and stale under the policy none
    page: NDArray[np.void]  # (pages,) _PAGE
    classes: NDArray[np.int64]  # (areas, classes, 3) slots, bytes, and the moment of bytes: see clock.py
    integral: NDArray[np.int64]  # (areas, classes, 2) byte-nanoseconds up to the last settlement, in two words
    sums: NDArray[np.int64]  # (areas, _PEAKS, 4) slots and bytes, now and at peak, of each quantity of _PEAKS
    totals: NDArray[np.int64]  # (Total,)
    clock: NDArray[np.int64]  # see clock.py
    series: NDArray[np.int64]  # (areas, BINS, quantities, 2) slots and bytes at the end of each bin
    row: NDArray[np.int32]  # (areas, MAP_ROWS, 2) live and stale slots per row of the map, now
    map: NDArray[np.int32]  # (areas, BINS, MAP_ROWS, 2)
    per_row: NDArray[np.int64]  # (areas,) slots per row of the map
    cluster: NDArray[np.int64]  # (areas, 4) where its clusters begin in `in_use`; whole ones, slots of each, slots
    in_use: NDArray[np.int32]  # slots allocated per cluster, one area after the other
    allocated: NDArray[np.bool_]  # the swap maps: slots that are not free, cluster by cluster
    operations: NDArray[np.void]  # (as many as a batch can cause,) OPERATION
    operation_count: NDArray[np.int64]  # (1,)


def quantities(bits: int) -> int:
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


_MASKS, _CLASS_OF = np.unique([quantities(bits) for bits in range(_ALL_BITS + 1)], return_inverse=True)


def check_widths(bits: int, classes: int, pools: int) -> None:
    """Whether the fields of _PAGE, _State and OPERATION hold as many policies as there are. Raises ImportError."""
    most = {
        "bits of a page": (bits, np.iinfo(_PAGE["bits"]).max),
        "classes of pages": (classes - 1, np.iinfo(np.uint8).max),
        "pools of an operation": (pools, np.iinfo(OPERATION["pools"]).max),
    }
    for what, (needed, there) in most.items():
        if needed > there:
            raise ImportError(f"too many policies: {what} go up to {there}, and {needed} is needed")


check_widths(_ALL_BITS, len(_MASKS), _ALL_POOLS)
_COUNTS = _MASKS[:, None] >> np.arange(_QUANTITIES) & 1  # (classes, quantities) 1 where the class counts towards it
_PEAKS = [quantity for quantity in Quantity if quantity is not Quantity.LIVE]  # nobody asks for that one's
_SLOTS, _BYTES, _PEAK_SLOTS, _PEAK_BYTES = range(4)


def _transitions() -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    """`which` and `ends` of the state."""
    member = _COUNTS[:, _PEAKS] != 0
    before, after = member[:, None], member[None, :]
    rank = np.select([after & ~before, before & ~after, before & after], [0, 1, 2], 3)
    ends = [(rank <= last).sum(axis=2) for last in range(3)]
    return np.argsort(rank, axis=2, kind="stable").astype(np.int8), np.stack(ends, axis=2).astype(np.int8)


@njit
def _move(
    state: _State, area: Number, row: Number, old_class: Number, old_size: Number, new_class: Number, new_size: Number
) -> None:
    """A page of an area goes over to another class, with another size perhaps."""
    since = state.clock[clock.NOW] - state.clock[clock.SINCE]
    old, new = state.classes[area, old_class], state.classes[area, new_class]
    old[0] -= 1
    old[1] -= old_size
    old[2] -= old_size * since
    new[0] += 1
    new[1] += new_size
    new[2] += new_size * since
    for shown in range(2):
        state.row[area, row, shown] += state.on_map[new_class, shown] - state.on_map[old_class, shown]
    sums, which = state.sums[area], state.which[old_class, new_class]
    entered, left, kept = state.ends[old_class, new_class]
    for number in range(entered):
        one = sums[which[number]]
        one[_SLOTS] += 1
        one[_BYTES] += new_size
        one[_PEAK_SLOTS] = max(one[_PEAK_SLOTS], one[_SLOTS])
        one[_PEAK_BYTES] = max(one[_PEAK_BYTES], one[_BYTES])
    for number in range(entered, left):
        one = sums[which[number]]
        one[_SLOTS] -= 1
        one[_BYTES] -= old_size
    if old_size != new_size:
        for number in range(left, kept):
            one = sums[which[number]]
            one[_BYTES] += new_size - old_size
            one[_PEAK_BYTES] = max(one[_PEAK_BYTES], one[_BYTES])


@njit
def _holder(entry: Record) -> Number:
    """The area that stored a page, HEADER, or NOBODY."""
    return NOBODY - np.int64(entry["holder"])


@njit
def _change(state: _State, pages: PageMap, page: Number, bits: Number, size: Number, holder: Number) -> None:
    """Give a page new bits, size and holder, and move it from the quantities that it leaves to those that it enters."""
    entry = state.page[page]
    areas = len(state.classes)
    old_bits, old_size, old_holder = np.int64(entry["bits"]), np.int64(entry["size"]), _holder(entry)
    old_class, new_class = np.int64(state.class_of[old_bits]), np.int64(state.class_of[bits])
    entry["bits"] = bits
    entry["size"] = size
    if holder == old_holder:
        if holder < areas and (old_class != new_class or old_size != size):
            _move(state, holder, entry["row"], old_class, old_size, new_class, size)
        return
    if old_holder < areas:
        _move(state, old_holder, entry["row"], old_class, old_size, 0, 0)
    entry["holder"] = mark_of(holder)
    if holder < areas:
        entry["row"] = min(slot_of(pages, holder, page) // state.per_row[holder], MAP_ROWS - 1)
        _move(state, holder, entry["row"], 0, 0, new_class, size)


@njit
def _allocate(state: _State, area: Number, slot: Number) -> None:
    """swap_range_alloc(): a slot is given out. Where that was not seen, its first store tells."""
    first, slots = state.cluster[area, 0], state.cluster[area, 2]
    if slot < state.cluster[area, 3] and not state.allocated[first * slots + slot]:
        state.allocated[first * slots + slot] = True
        state.in_use[first + slot // slots] += 1


@njit
def _release(state: _State, pages: PageMap, area: Number, slot: Number, reason: Number) -> None:
    """A slot is free again; with it, perhaps, its cluster."""
    first, slots = state.cluster[area, 0], state.cluster[area, 2]
    if slot < state.cluster[area, 3] and state.allocated[first * slots + slot]:
        state.allocated[first * slots + slot] = False
        cluster = first + slot // slots
        state.in_use[cluster] -= 1
        # swapoff clears SWP_WRITEOK first, without which free_cluster() schedules no discard
        if state.in_use[cluster] == 0 and reason != _SWAPOFF:
            _discard(state, pages, area, slot // slots)


@njit
def _operate(state: _State, pools: Number, page: Number, size: Number) -> None:
    """Note for these pools: the entry gets an object of that size in place of the one it has; none if it is 0."""
    number = state.operation_count[0]
    if number < len(state.operations):
        operation = state.operations[number]
        operation["time"] = state.clock[clock.NOW]
        operation["page"] = page
        operation["size"] = size
        operation["pools"] = pools
        state.operation_count[0] = number + 1


@njit
def _count(state: _State, sign: Number, size: Number, flags: Number) -> None:
    """An entry came (1) or went (-1): what zram's own counters make of it."""
    totals = state.totals
    totals[0] += sign
    totals[1] += sign * size
    if flags & _WRITTEN_BACK:
        totals[7] += sign
    elif flags & _SAME:
        totals[2] += sign
    elif flags & _HUGE:
        totals[3] += sign


@njit
def _settle(state: _State, now: Number) -> None:
    """Add up all integrals until now."""
    since = now - state.clock[clock.SINCE]
    for area in range(len(state.classes)):
        for number in range(1, state.classes.shape[1]):
            one = state.classes[area, number]
            clock.add_integral(state.integral[area, number], one[1], since, one[2])
            one[2] = 0
    clock.settled(state.clock, now)


@njit
def _close_bin(state: _State) -> None:
    """Note all values at the end of the running bin."""
    number = state.clock[clock.BIN]
    for area in range(len(state.classes)):
        for quantity in range(_QUANTITIES):
            for what in range(2):
                state.series[area, number, quantity, what] = _sum(state, area, quantity, what)
        for row in range(MAP_ROWS):
            for which in range(2):
                state.map[area, number, row, which] = state.row[area, row, which]
    if clock.bin_closed(state.clock):
        for area in range(len(state.classes)):
            clock.fold(state.series[area])
            clock.fold(state.map[area])


@njit
def _sum(state: _State, area: Number, quantity: Number, what: Number) -> Number:
    """_SLOTS or _BYTES of a quantity now."""
    total = 0
    for number in range(len(_COUNTS)):
        total += _COUNTS[number, quantity] * state.classes[area, number, what]
    return total


@njit
def _tick(state: _State, time: Number) -> None:
    """Time goes on, never back: across CPUs, time stamps may step back by microseconds."""
    if time >= state.clock[clock.NEXT]:
        while clock.bin_is_over(state.clock, time):
            _close_bin(state)
        _settle(state, time)
    state.clock[clock.NOW] = max(state.clock[clock.NOW], time)


@njit
def _was(bits: Number, flags: Number) -> Number:
    """The bits with an entry's flags in them."""
    was = (_WAS_SAME if flags & _SAME else 0) | (_WAS_HUGE if flags & _HUGE else 0)
    return bits & ~(_WAS_SAME | _WAS_HUGE) | was


@njit
def _flags_of(bits: Number) -> Number:
    return (_SAME if bits & _WAS_SAME else 0) | (_HUGE if bits & _WAS_HUGE else 0)


@njit
def _store(state: _State, pages: PageMap, page: Number, event: Record) -> None:
    """zram_write_page(): the new entry replaces whatever was there, under every policy."""
    area, flags = owner_of(pages, page), np.int64(event["flags"])
    bits, old_size = np.int64(state.page[page]["bits"]), np.int64(state.page[page]["size"])
    if flags & _GONE:
        # Freed and dropped before its size could be read: the free and the drop, which has the size, came first.
        state.totals[4] += 1
        state.totals[9] += 1
        _count(state, 1, old_size, _flags_of(bits))
        _operate(state, _POOL_NONE | _POOL_DISCARD | _POOL_ONCE, page, old_size)
        held = _HELD_NONE | _HELD_DISCARD | _HELD_ONCE
        _change(state, pages, page, bits & (_WAS_SAME | _WAS_HUGE) | held, old_size, area)
        return
    size = np.int64(event["size"])
    if bits & _HELD_OBSERVED:  # the kernel drops the old entry first; it does not if that event was lost
        state.totals[9] += 1
        _count(state, -1, old_size, _flags_of(bits))
    _count(state, 1, size, flags)
    _operate(state, _ALL_POOLS, page, size)
    used = area < len(state.classes)
    _change(state, pages, page, _was(_HELD | (_IN_USE if used else 0), flags), size, area)
    if used:
        _allocate(state, area, slot_of(pages, area, page))


@njit
def _slot_free(state: _State, pages: PageMap, page: Number, told: Number) -> None:
    """The swap map's side of a free, and, if the store was told, zram_slot_free_notify() under the policy `notify`."""
    entry = state.page[page]
    bits = np.int64(entry["bits"])
    if not bits & _IN_USE:
        return
    bits &= ~(_IN_USE | _LOADED)
    if told and bits & _HELD_NOTIFY:
        bits &= ~_HELD_NOTIFY
        _operate(state, _POOL_NOTIFY, page, 0)
    _change(state, pages, page, bits, np.int64(entry["size"]), _holder(entry))


@njit
def _discard(state: _State, pages: PageMap, area: Number, cluster: Number) -> None:
    """The last allocated slot of a cluster was freed: swap_cluster_schedule_discard(), as under --discard=pages.

    Clusters that are not whole never count as free in mm/swapfile.c: the first has the header's page, which is never
    given out, and the last one what lies beyond the area's end.
    """
    slots = state.cluster[area, 2]
    if cluster == 0 or cluster >= state.cluster[area, 1]:
        return
    slot, end = cluster * slots, (cluster + 1) * slots
    while slot < end:
        first, count = index_of(pages.extents, area, slot)
        count = min(count, end - slot)
        for page in range(max(first, 0), min(first + count, len(state.page))):
            _take_away(state, pages, page, _HELD_DISCARD, _POOL_DISCARD)
        slot += count


@njit
def _take_away(state: _State, pages: PageMap, page: Number, held: Number, pool: Number) -> None:
    """A policy has the store drop the entry of a page, if it holds one under that policy."""
    entry = state.page[page]
    bits = np.int64(entry["bits"])
    if bits & held:
        _operate(state, pool, page, 0)
        _change(state, pages, page, bits & ~held, np.int64(entry["size"]), _holder(entry))


@njit
def _discard_area(state: _State, pages: PageMap, area: Number) -> None:
    """discard_swap(), at swapon with --discard=once: whatever the area's slots hold is dropped (but not the header)."""
    for page in range(len(state.page)):
        if owner_of(pages, page) == area:
            _take_away(state, pages, page, _HELD_ONCE, _POOL_ONCE)


@njit
def _drop(state: _State, pages: PageMap, page: Number, event: Record) -> None:
    """zram_free_page(), zswap_entry_free(): the driver really dropped an entry."""
    size, flags = np.int64(event["size"]), np.int64(event["flags"])
    bits, holder = _was(np.int64(state.page[page]["bits"]), flags), _holder(state.page[page])
    if flags & _ANY_POLICY:  # what zswap writes back was in memory until now
        flags &= ~_WRITTEN_BACK
    _count(state, -1, size, flags)
    # An entry that was not seen stored yet (see _store) has overwritten what other policies hold there still: that has
    # its size, too.
    no_slot = holder >= len(state.classes)
    if (bits & _HELD_OBSERVED and no_slot) or flags & _ANY_POLICY:
        bits &= ~_HELD  # there is no policy about it
    bits &= ~(_HELD_OBSERVED | _UNSIZED)
    if flags & _ANY_POLICY:
        _operate(state, _ALL_POOLS, page, 0)
    elif not flags & _REPLACED:  # the store that replaces it finds the old object still there
        _operate(state, _ALL_POOLS if no_slot else _POOL_OBSERVED, page, 0)
    _change(state, pages, page, bits, size, holder)


@njit
def _write_back(state: _State, pages: PageMap, page: Number, event: Record) -> None:
    """writeback_store(): the entry's object goes, the entry stays: its page is on the backing device now."""
    _count(state, -1, np.int64(event["size"]), np.int64(event["flags"]))
    _count(state, 1, 0, _WRITTEN_BACK)
    _operate(state, _ALL_POOLS, page, 0)
    bits, holder = np.int64(state.page[page]["bits"]), _holder(state.page[page])
    _change(state, pages, page, _was(bits, 0) & ~_UNSIZED, 0, holder)


@njit
def _told_early(state: _State, pages: PageMap, page: Number) -> None:
    """zswap_invalidate(): newer kernels tell zswap first, and free the slot later (up to 6.12, from a slot cache)."""
    if state.page[page]["bits"] & _IN_USE:
        _take_away(state, pages, page, _HELD_NOTIFY, _POOL_NOTIFY)


@njit
def _present(state: _State, pages: PageMap, first: Number, event: Record) -> None:
    """An entry from before the recording, held under every policy. Without a size, that is known when it is dropped."""
    size, flags = np.int64(event["size"]), np.int64(event["flags"])
    unsized = size == 0 and not flags & (_SAME | _WRITTEN_BACK)
    for page in range(first, min(first + event["run"], len(state.page))):
        area = owner_of(pages, page)
        used = area < len(state.classes)
        state.totals[5] += 1
        state.totals[6] += unsized
        _operate(state, _ALL_POOLS, page, size)
        bits = _HELD | (_IN_USE if used else 0) | (_UNSIZED if unsized else 0)
        _change(state, pages, page, _was(bits, flags), size, area)
        if used:
            _allocate(state, area, slot_of(pages, area, page))


@njit
def _reset(state: _State, pages: PageMap) -> None:
    """zram_reset_device(): nothing is left, under any policy. (What was held was seen dropped, entry by entry.)"""
    for page in range(len(state.page)):
        bits = state.page[page]["bits"]
        if bits & _HELD:
            _operate(state, _ALL_POOLS, page, 0)
        if bits or state.page[page]["size"]:  # the others are not to be written to: that would take memory
            _change(state, pages, page, 0, 0, _holder(state.page[page]))


@njit
def _loaded(state: _State, pages: PageMap, page: Number) -> None:
    """The page of a slot in use was read back into memory, where it now is as well."""
    entry = state.page[page]
    bits = np.int64(entry["bits"])
    if bits & _IN_USE:
        _change(state, pages, page, bits | _LOADED, np.int64(entry["size"]), _holder(entry))


@njit
def _advance(events: Events, told: NDArray[np.bool_], pages: PageMap, state: _State) -> None:
    limit = len(state.page)
    for number in range(len(events)):
        event = events[number]
        kind, time = event["kind"], np.int64(event["time"])
        if kind in (_FREED, _ALLOC):
            area: Number = pages.type_area[event["device"]] if event["device"] < MAX_TYPES else NO_AREA
            if area == NO_AREA:
                continue
            _tick(state, time)
            reason = np.int64(event["flags"]) >> REASON_SHIFT
            for slot in range(np.int64(event["slot"]), np.int64(event["slot"]) + event["run"]):
                if kind == _ALLOC:
                    _allocate(state, area, slot)
                    continue
                freed: Number = index_of(pages.extents, area, slot)[0]
                if 0 <= freed < limit:
                    _slot_free(state, pages, freed, told[number])
                _release(state, pages, area, slot, reason)
            continue
        if event["device"] != pages.store or kind < _STORE or kind == _DISCARD:
            continue
        if kind == _FAILED:  # nothing has changed
            state.totals[8] += event["run"]
            continue
        if kind == _RESET:  # of the whole store: its slot means nothing
            _tick(state, time)
            _reset(state, pages)
            state.totals[8] = 0  # as the store's own counters
            state.totals[10] += 1
            continue
        page = np.int64(event["slot"])
        if page >= limit:
            continue
        _tick(state, time)
        if kind == _STORE:
            _store(state, pages, page, event)
        elif kind == _NOTIFY:
            if event["flags"] & _MISSED_FLAG:
                state.page[page]["bits"] |= _MISSED
            if event["flags"] & _DROPPED:
                _drop(state, pages, page, event)
                _told_early(state, pages, page)
        elif kind == _DROP:
            _drop(state, pages, page, event)
        elif kind == _MOVED:
            _write_back(state, pages, page, event)
        elif kind == _LOAD:
            for loaded in range(page, min(page + event["run"], limit)):
                _loaded(state, pages, loaded)
        elif kind == _PRESENT:
            _present(state, pages, page, event)


class Replay:
    """One store. Feed it events with advance(), in order; finish() before reading results."""

    def __init__(
        self,
        pages: int,
        origin: int,
        geometry: zsmalloc.Geometry | None,
        cluster_slots: int,
        worker: Worker,
    ) -> None:
        """A store of that many pages, which begins at `origin` (ns). Without a geometry, pools are not modelled.

        State is kept of the pages that grow() or an area's map makes room for only.

        The pools follow in the worker, a batch behind.
        """
        self._cluster_slots = cluster_slots
        self._worker = worker
        self._operations = [np.empty(0, OPERATION) for _ in range(2)]  # one to fill while the pools read the other
        least = list(POLICIES).index("notify")
        self._pools = Pools(pages, len(POLICIES), least, geometry, origin) if geometry is not None else None
        which, ends = _transitions()
        self._state = _State(
            class_of=_CLASS_OF.astype(np.uint8),
            which=which,
            ends=ends,
            on_map=_COUNTS[:, [Quantity.LIVE, Quantity.NONE]].astype(np.int32),
            page=lazy_zeros(0, _PAGE),
            totals=np.zeros(len(Total), np.int64),
            clock=clock.new_clock(origin),
            in_use=np.zeros(0, np.int32),
            allocated=np.zeros(0, np.bool_),
            operations=np.empty(0, OPERATION),
            operation_count=np.zeros(1, np.int64),
            **_areas(0),
        )

    def add_area(self, slots: int, pages: PageMap) -> None:
        """The store has one more area, of that many slots: the last one in `pages`."""
        state = self._state
        per_cluster = self._cluster_slots
        one = _areas(1)
        one["per_row"][0] = max(-(-slots // MAP_ROWS), 1)
        one["cluster"][0] = len(state.in_use), slots // per_cluster, per_cluster, slots
        clusters = -(-slots // per_cluster)
        self._state = state._replace(
            in_use=extended(state.in_use, clusters),
            allocated=extended(state.allocated, clusters * per_cluster),
            **{name: np.concatenate([getattr(state, name), new]) for name, new in one.items()},
        )
        self.grow(len(pages.owner))
        self._make_room(len(self._state.page))
        _discard_area(self._state, pages, len(self._state.classes) - 1)
        self._work_pools()

    def grow(self, pages: int) -> None:
        """Make room for that many pages."""
        before = self._state.page
        if pages > len(before):
            self._state = self._state._replace(page=extended(before, pages - len(before)))

    def advance(self, events: NDArray[np.void], told: NDArray[np.bool_], pages: PageMap, slots: int) -> None:
        """Take in the next events, with `slots` in all their runs together.

        told: bool (n,), the slot frees that the store was notified of under `notify`.
        """
        # at most an operation for each slot of a free's run, and one for each page that a discard or a reset drops
        self._make_room(slots + len(events) + len(self._state.page))
        _advance(events, told, pages, self._state)
        self._work_pools()

    def _make_room(self, operations: int) -> None:
        """For the next batch's operations."""
        if self._pools is not None:
            self._operations.reverse()
            if operations > len(self._operations[0]):
                self._operations[0] = np.empty(operations, OPERATION)
            self._state = self._state._replace(operations=self._operations[0])
        self._state.operation_count[0] = 0

    def _work_pools(self) -> None:
        if self._pools is not None and self._pools.fits(len(self._state.page)):
            self._worker.start(self._pools.advance, self._state.operations[: self._state.operation_count[0]])

    def reset_statistics(self, now: int) -> None:
        """Forget peaks, integrals and series, but not the contents: what follows is measured from `now` (ns)."""
        _tick(self._state, now)
        state = self._state
        now = int(state.clock[clock.NOW])
        _settle(state, now)
        state.integral[:] = 0
        state.sums[:, :, [_PEAK_SLOTS, _PEAK_BYTES]] = state.sums[:, :, [_SLOTS, _BYTES]]
        if self._pools is not None:
            self._worker.wait()
            self._pools.reset_statistics(now)
        state.clock[:] = clock.new_clock(now)

    def finish(self, end: int) -> None:
        """Let time go on to the recording's end (ns)."""
        _tick(self._state, end)
        end = int(self._state.clock[clock.NOW])
        _settle(self._state, end)
        if self._pools is not None:
            self._worker.wait()
            self._pools.finish(end)

    # -- results

    def total(self, what: Total) -> int:
        return int(self._state.totals[what])

    def slots(self, area: int, quantity: Quantity) -> tuple[int, int]:
        """(now, at peak); the peak of LIVE is not known, and 0."""
        return self._now(area, quantity, _SLOTS), self._peak(area, quantity, _PEAK_SLOTS)

    def integral(self, area: int, quantity: Quantity) -> Integral:
        """Compressed bytes: now, at peak (as in slots()), mean over time, and byte-seconds."""
        held = self._now(area, quantity, _BYTES)
        span = int(self._state.clock[clock.NOW] - self._state.clock[clock.ORIGIN])
        parts = self._state.integral[area, _COUNTS[:, quantity] != 0]
        area_under = sum(clock.integral_of(part) for part in parts)
        mean = area_under / span if span else float(held)
        return Integral(held, self._peak(area, quantity, _PEAK_BYTES), mean, area_under / 1e9)

    def _now(self, area: int, quantity: Quantity, what: int) -> int:
        return int(_sum(self._state, area, int(quantity), what))  # int(): before 0.68, numba has no enums as indexes

    def _peak(self, area: int, quantity: Quantity, which: int) -> int:
        return int(self._state.sums[area, _PEAKS.index(quantity), which]) if quantity in _PEAKS else 0

    def forget_pools(self) -> None:
        """The store's pool holds what is not its own: there is no telling its size."""
        self._pools = None

    @property
    def pools(self) -> Pools | None:
        """The pools, by the numbers of POLICIES; None if they are not known.

        They are if the geometry is, and all that the store held when the recording began.
        """
        known = self._pools is not None and self._pools.fits(len(self._state.page)) and not self.total(Total.UNSIZED)
        return self._pools if known else None

    def indexes(self, quantity: Quantity) -> NDArray[np.int64]:
        """The store indexes of all pages that count towards a quantity now (int64, increasing)."""
        page, counts = self._state.page, _COUNTS[self._state.class_of, quantity] != 0
        least = mark_of(len(self._state.classes) - 1)
        return indexes_where(len(page), lambda part: counts[page["bits"][part]] & (page["holder"][part] >= least))

    def leaks(self, area: int) -> tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.bool_]]:
        """An area's leaked entries now: store indexes, compressed sizes, and whether a notification came but missed."""
        index = self.indexes(Quantity.LEAKED)
        index = index[self._state.page["holder"][index] == mark_of(area)]
        leaked = self._state.page[index]
        return index, leaked["size"], (leaked["bits"] & _MISSED) != 0

    def header(self, pages: PageMap) -> tuple[int, int]:
        """What mkswap wrote and the store holds now, as observed: (pages, compressed bytes)."""
        header = indexes_where(len(pages.owner), lambda part: pages.owner[part] == mark_of(HEADER))
        held = header[self._state.page["bits"][header] & _HELD_OBSERVED != 0]
        return len(held), int(self._state.page["size"][held].sum())

    def held(self) -> NDArray[np.int64]:
        """The store indexes that hold an entry now, as observed (int64, increasing)."""
        page = self._state.page
        return indexes_where(len(page), lambda part: page["bits"][part] & _HELD_OBSERVED != 0)

    def _bins(self) -> NDArray[np.int64]:
        """Ends of the bins since the origin, the running one's included (ns)."""
        times = self._state.clock
        ends = np.arange(1, times[clock.BIN] + 2) * times[clock.WIDTH]
        ends[-1] = times[clock.NOW] - times[clock.ORIGIN]
        return np.asarray(ends, np.int64)

    def series(self, area: int) -> Series:
        names = {quantity.name.lower(): quantity for quantity in Quantity}
        whole = self._state.series[area, : self._state.clock[clock.BIN]]
        now = _COUNTS.T @ self._state.classes[area, :, :2]
        both = np.concatenate([whole, now[None]])
        return Series(
            self._bins(),
            {name: both[:, quantity, 0] for name, quantity in names.items()},
            {name: both[:, quantity, 1] for name, quantity in names.items()},
            {name: self.pools.series(number) for number, name in enumerate(POLICIES)} if self.pools else {},
        )

    def slot_map(self, area: int, slots: int) -> SlotMap:
        whole = self._state.map[area, : self._state.clock[clock.BIN]]
        both = np.concatenate([whole, self._state.row[area][None]])
        per_row = int(self._state.per_row[area])
        rows = -(-slots // per_row)
        return SlotMap(both[:, :rows, 0], both[:, :rows, 1], per_row, slots)


def _areas(count: int) -> dict[str, NDArray[Any]]:
    """The part of the state that is per area, all zeros."""
    return {
        "classes": np.zeros((count, len(_MASKS), 3), np.int64),
        "integral": np.zeros((count, len(_MASKS), 2), np.int64),
        "sums": np.zeros((count, len(_PEAKS), 4), np.int64),
        "series": np.zeros((count, BINS, _QUANTITIES, 2), np.int64),
        "row": np.zeros((count, MAP_ROWS, 2), np.int32),
        "map": np.zeros((count, BINS, MAP_ROWS, 2), np.int32),
        "per_row": np.zeros(count, np.int64),
        "cluster": np.zeros((count, 4), np.int64),
    }
