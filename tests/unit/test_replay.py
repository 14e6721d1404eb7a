"""The analysis against the slow reference, on made-up streams of events.

Two kinds of streams. A small imitation of the kernel (`Kernel`) turns drawn actions into the events that a real one
would emit: a slot's free, then its notification, then the drop with the true size, with everything that goes wrong on
real machines. And garbage: any event in any order, which no kernel emits, but a trace with losses may come close.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

import numpy as np
import pytest
from builders import (
    CLUSTER_SLOTS,
    PAGE_SIZE,
    START,
    Event,
    batch,
    batches,
    free,
    header,
    notified_free,
    store,
    swap_call,
    trailer,
    zram_area,
)
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from reference import POLICIES, QUANTITIES, Area, Reference

from swaptrace.analysis.analysis import Analysis
from swaptrace.areas import ZSWAP_STORES, Snapshot, Store, SwapArea
from swaptrace.engine import zsmalloc
from swaptrace.events import EventFlag, EventKind, FreeReason
from swaptrace.histogram import BUCKETS, bucket_of
from swaptrace.results.results import AreaResult, Integral, TraceResult
from swaptrace.trace.header import Trailer

reproducible = settings(
    max_examples=150,
    deadline=None,
    database=None,
    derandomize=True,
    report_multiple_bugs=False,
    phases=[Phase.generate],
)

ZSWAP = Store(ZSWAP_STORES + 3, "zswap", 11)
STORES = (Store(0, "zram0", 16), Store(1, "zram1", 12), ZSWAP)
LATE_STORE = Store(2, "zram2", 8)  # set up while recording

#: Areas to choose from; the type is whatever is free at swapon. Those on the same pages exclude each other.
CATALOG = (
    zram_area("/dev/zram0", 0, 16, 0),
    zram_area("/dev/zram0p1", 0, 6, 0),
    zram_area("/dev/zram0p2", 0, 10, 0, ((0, 6, 10),)),  # shifted, as by a partition's start
    zram_area("/mnt/file", 0, 12, 0, ((0, 9, 3), (3, 2, 4), (7, 14, 5))),  # and beyond what the store said of itself
    zram_area("/dev/zram1", 0, 12, 1),
    SwapArea("/dev/sda2", 0, -3, 14),
    zram_area("/dev/zram2", 0, 8, 2),
    SwapArea("/dev/sdb1", 0, -4, 11, 0, "zswap", ZSWAP.id, ((0, 0, 11),)),
)
PAGES = {
    number: {i for _, first, n in area.extents for i in range(first, first + n)} for number, area in enumerate(CATALOG)
}
_NO_EVENTS = (EventKind.TASK, EventKind.PATH, EventKind.IN_USE)  # never in a trace, or after its last event
KNOWN_STORES = {store.id: store for store in (*STORES, LATE_STORE)}


@dataclass
class Trace:
    areas: list[SwapArea]
    stores: list[Store]
    events: list[Event]
    end: int
    cases: Counter[str] = field(default_factory=Counter)  # what it is an example of
    held: dict[int, dict[int, tuple[int, int]]] = field(default_factory=dict)  # at the end, if known: (size, flags)


# ------------------------------------------------------------------------------------------------- a kernel's imitation

Action = tuple[str, int, int, int, int]  # what, three numbers that choose where and how, and the time since the last


class Kernel:
    """Swap map and stores as the kernel keeps them; actions become the events that the kernel emits."""

    def __init__(self, start: Sequence[int], present: int) -> None:
        self.time = START
        self.events: list[Event] = []
        self.cases: Counter[str] = Counter()
        self.on: dict[int, int] = {}  # number in the catalog by type
        self.in_use: set[tuple[int, int]] = set()  # (type, slot)
        self.allocated: set[tuple[int, int]] = set()  # these, and those that nothing was written to yet
        self.held: dict[int, dict[int, tuple[int, int]]] = {
            0: {},
            1: {},
            2: {},
            ZSWAP.id: {},
        }  # by store and page: (size, flags)
        self.left_stale: set[tuple[int, int]] = set()  # (store, page), of areas that are off
        self.off_types: set[int] = set()
        for number in start:
            if self._may_swapon(number):
                self.on[self._free_type()] = number
        self.areas = [self.area(swap_type) for swap_type in self.on]
        for swap_type in list(self.on):
            self._present(swap_type, present)
        counters: dict[int, Counter[str]] = {}
        for number, entries in self.held.items():
            counters[number] = self.counters(entries)
        self.stores = [Store(s.id, s.name, s.pages, counters=dict(counters[s.id])) for s in STORES]

    @staticmethod
    def counters(entries: dict[int, tuple[int, int]]) -> Counter[str]:
        """What mm_stat shows of these entries."""
        return Counter(
            pages_stored=len(entries),
            compr_data_size=sum(size for size, _ in entries.values()),
            same_pages=sum(bool(flags & EventFlag.SAME) for _, flags in entries.values()),
            huge_pages=sum(bool(flags & EventFlag.HUGE) for _, flags in entries.values()),
            bd_count=sum(bool(flags & EventFlag.WRITTEN_BACK) for _, flags in entries.values()),
        )

    def area(self, swap_type: int) -> SwapArea:
        return SwapArea(**{**CATALOG[self.on[swap_type]].__dict__, "swap_type": swap_type})

    def emit(self, event: Event) -> None:
        self.events.append(event)

    def _free_type(self) -> int:
        return next(number for number in range(32) if number not in self.on)

    def _may_swapon(self, number: int) -> bool:
        return number not in self.on.values() and not any(
            CATALOG[other].store is not None
            and CATALOG[other].store == CATALOG[number].store
            and PAGES[other] & PAGES[number]
            for other in self.on.values()
        )

    def _page(self, swap_type: int, slot: int) -> tuple[int, int] | None:
        """(store, page) of a slot; None for one of a disk."""
        area = self.area(swap_type)
        if area.store is None:
            return None
        return next((area.store, index + slot - first) for first, index, n in area.extents if first <= slot < first + n)

    def _present(self, swap_type: int, seed: int) -> None:
        """Slots that are in use when the recording begins, in runs; and mkswap's page."""
        area = self.area(swap_type)
        if area.store in (None, ZSWAP.id) or not seed:  # zswap does not tell
            return
        assert area.store is not None
        pages = sorted(PAGES[self.on[swap_type]])[: 1 + seed % 9]
        header = self._page(swap_type, 0)
        for page in pages:
            self.held[area.store][page] = 40 + page, 0
            if (area.store, page) != header:
                slot = next(s for s in range(area.slots) if self._page(swap_type, s) == (area.store, page))
                self.in_use.add((swap_type, slot))
                self.allocated.add((swap_type, slot))
                self.cases["left-censored"] += 1
        runs = np.split(pages, np.flatnonzero(np.diff(pages) != 1) + 1)
        for run in runs:
            self.emit(Event(self.time, EventKind.PRESENT, area.store, int(run[0]), len(run)))

    # -- what the driver does

    def _drop(self, place: tuple[int, int], why: int = 0) -> bool:
        held = self.held[place[0]].pop(place[1], None)
        if held is not None:
            self.emit(Event(self.time, EventKind.DROP, place[0], place[1], size=held[0], flags=held[1] | why))
        return held is not None

    def _notify(self, place: tuple[int, int], missed: bool, free: Event | None = None) -> None:
        """free: the event of the slot's free that tells of it, or else it has one of its own."""
        duration = 90 + 37 * len(self.events) % 5000
        if missed:
            self.cases["missed"] += 1
            flags, size = int(EventFlag.MISSED), 0
        else:
            size, flags = self.held[place[0]].pop(place[1], (0, 0))
            flags |= EventFlag.DROPPED if size or flags else 0
        told = Event(self.time, EventKind.NOTIFY, *place, size=size, arg=duration, flags=flags)
        if free is not None:
            flags |= EventFlag.NOTIFIED | (EventFlag.TIMED if duration % 2 else 0)
            told = told._replace(kind=free.kind, device=free.device, reason=free.reason, flags=flags)
        self.emit(told)

    def _write(self, place: tuple[int, int], how: int) -> None:
        before_it = EventFlag.ANY_POLICY if how % 2 else 0  # as frontswap does, or zswap itself
        self._drop(place, EventFlag.REPLACED | before_it if place[0] == ZSWAP.id else 0)
        size, flags = _entry(how)
        self.held[place[0]][place[1]] = size, flags
        self.emit(store(self.time, *place, size, flags))

    def write_back(self, swap_type: int, slot: int, how: int) -> None:
        """zram's writeback: the entry stays, its object goes. Same-filled pages have none. zswap's: the entry goes."""
        place = self._page(swap_type, slot)
        if place and place[0] == ZSWAP.id:
            gone = self._drop(place, EventFlag.ANY_POLICY | EventFlag.WRITTEN_BACK)
            self.cases["written back by zswap"] += gone
            return
        size, flags = self.held[place[0]].get(place[1], (0, int(EventFlag.SAME))) if place else (0, 1)
        if place and not flags & (EventFlag.SAME | EventFlag.WRITTEN_BACK):
            self.cases["written back"] += 1
            self.emit(Event(self.time, EventKind.MOVED, *place, size=size, flags=flags))
            self.held[place[0]][place[1]] = 0, int(EventFlag.WRITTEN_BACK)

    # -- actions

    def act(self, action: Action) -> None:
        what, where, which, how, passed = action
        self.time += passed
        if what in ("swapon", "failed call", "late store"):
            getattr(self, what.replace(" ", "_"))(where, which, how)
        elif what in ("reset", "foreign"):
            getattr(self, what)(where, which, how)
        elif self.on:
            swap_type = sorted(self.on)[where % len(self.on)]
            getattr(self, what.replace(" ", "_"))(swap_type, 1 + which % (self.area(swap_type).slots - 1), how)

    def store(self, swap_type: int, slot: int, how: int) -> None:
        place = self._page(swap_type, slot)
        if (swap_type, slot) in self.in_use:
            self.cases["rewrite"] += 1
        elif place and place[1] in self.held[place[0]]:
            self.cases["reuse of a stale slot"] += 1
        elif place:
            self.cases["store"] += 1
        self._allocate(swap_type, slot, how % 13 == 0)
        self.in_use.add((swap_type, slot))
        if place:
            if place in self.left_stale:
                self.cases["reuse of what another area left"] += 1
                self.left_stale.discard(place)
            self._write(place, how)

    def _allocate(self, swap_type: int, slot: int, lost: bool = False) -> None:
        if (swap_type, slot) not in self.allocated:
            self.allocated.add((swap_type, slot))
            self.cases["allocation not seen"] += lost
            if not lost:
                self.emit(Event(self.time, EventKind.ALLOC, swap_type, slot, 1))

    def take(self, swap_type: int, slot: int, how: int) -> None:
        """A processor's cache of slots is filled: nothing may be written to them for long."""
        for number in range(slot, min(slot + 1 + how % 4, self.area(swap_type).slots)):
            self.cases["allocated, not written"] += (swap_type, number) not in self.allocated
            self._allocate(swap_type, number)

    def free(self, swap_type: int, slot: int, how: int) -> None:
        self._free(swap_type, slot, 1, how)

    def free_run(self, swap_type: int, slot: int, how: int) -> None:
        self._free(swap_type, slot, min(2 + how % 5, self.area(swap_type).slots - slot), how)
        self.cases["run"] += 1

    def free_past_end(self, swap_type: int, slot: int, how: int) -> None:
        """No kernel does; but no area may take harm from it either."""
        slots = self.area(swap_type).slots
        self._free(swap_type, slots - 1, 1, how, excess=1 + how % 3)
        self.cases["free past the end"] += 1

    def _free(self, swap_type: int, slot: int, run: int, how: int, excess: int = 0) -> None:
        reason = FreeReason(how % len(FreeReason))
        if self.area(swap_type).store == ZSWAP.id and how % 3:
            self._tell_zswap(swap_type, range(slot, slot + run), "told before the free")
        slots = range(slot, slot + run)
        area = self.area(swap_type)
        itself = area.store != ZSWAP.id and all(self._page(swap_type, slot) == (area.store, slot) for slot in slots)
        told_of_both = itself and not excess and how % 2 and not area.path.startswith("/mnt")
        if not told_of_both:
            self.emit(free(self.time, swap_type, slot, run + excess, reason))
        for number in slots:
            if (swap_type, number) not in self.in_use:
                allocated = (swap_type, number) in self.allocated
                self.cases["free of a slot never written" if allocated else "free of an unknown slot"] += 1
            self.in_use.discard((swap_type, number))
            self.allocated.discard((swap_type, number))
            place = self._page(swap_type, number)
            if place is not None and place[0] == ZSWAP.id:
                self._tell_zswap(swap_type, range(number, number + 1), "told after the free")
            elif place is None or self.area(swap_type).path.startswith("/mnt"):
                self.cases["not notified"] += 1
            elif told_of_both:
                self.cases["free and notification in one"] += 1
                self._notify(place, missed=how % 7 == 0, free=Event(0, EventKind.FREE, swap_type, reason=reason + 1))
            else:
                self._notify(place, missed=how % 7 == 0)

    def _tell_zswap(self, swap_type: int, slots: range, case: str) -> None:
        """What zswap has no entry of makes no event."""
        for slot in slots:
            place = self._page(swap_type, slot)
            assert place is not None
            if place[1] in self.held[place[0]]:
                self.cases[case] += 1
                self._notify(place, missed=False)

    def gone(self, swap_type: int, slot: int, how: int) -> None:
        """A slot is written, freed and dropped on another processor before the store's event is out."""
        place = self._page(swap_type, slot)
        if place is None or place[0] == ZSWAP.id or (swap_type, slot) in self.in_use:
            return
        self.cases["gone"] += 1
        self._drop(place)
        size, flags = _entry(how)
        self.emit(free(self.time, swap_type, slot, 1, FreeReason.EXIT))
        self.emit(Event(self.time, EventKind.NOTIFY, *place, size=size, flags=flags | EventFlag.DROPPED, arg=500))
        self.emit(store(self.time - 700, *place, 0, EventFlag.GONE))

    def load(self, swap_type: int, slot: int, how: int) -> None:
        place = self._page(swap_type, slot)
        if place:
            self.cases["duplicate"] += (swap_type, slot) in self.in_use
            if place[0] == ZSWAP.id and how % 2:
                self.cases["read for good"] += self._drop(place, EventFlag.ANY_POLICY)
            self.emit(Event(self.time, EventKind.LOAD, *place, run=1 + how % 4))

    def discard(self, swap_type: int, slot: int, how: int) -> None:
        """A free cluster is discarded: dropped without a notification."""
        for number in range(slot, min(slot + 4, self.area(swap_type).slots)):
            place = self._page(swap_type, number)
            if (
                place
                and place[0] != ZSWAP.id
                and (swap_type, number) not in self.in_use
                and place[1] in self.held[place[0]]
            ):
                self._drop(place)
                self.cases["discard"] += 1

    def step_back(self, swap_type: int, slot: int, how: int) -> None:
        self.time -= 1 + how % 9000
        self.cases["time steps back"] += 1
        self.store(swap_type, slot, how)

    def swapon(self, where: int, which: int, how: int) -> None:
        number = where % len(CATALOG)
        if not self._may_swapon(number):
            return
        area = CATALOG[number]
        swap_type = self._free_type()
        if area.store not in (None, ZSWAP.id) and how % 2:
            assert area.store is not None
            self.cases["mkswap while recording"] += 1
            self._write((area.store, area.extents[0][1]), how)
        self.on[swap_type] = number
        self.cases["type reused"] += swap_type in self.off_types
        self.cases["late store"] += area.store == LATE_STORE.id
        if area.store is not None and any((area.store, page) in self.left_stale for page in PAGES[number]):
            self.cases["swapon over stale entries"] += 1
        known = KNOWN_STORES[area.store] if area.store is not None else None
        self.emit(swap_call(self.time, "swapon", self.area(swap_type), known))

    def swapoff(self, swap_type: int, slot: int, how: int) -> None:
        """All slots are freed first. What the store was not told of, it keeps."""
        area = self.area(swap_type)
        for number in range(1, area.slots):
            if (swap_type, number) in self.allocated:
                self._free(swap_type, number, 1, how + number)
        places = {(area.store, page) for page in PAGES[self.on[swap_type]] if area.store is not None}
        left = {place for place in places if place[1] in self.held[place[0]] and place != self._page(swap_type, 0)}
        self.left_stale |= left
        self.cases["swapoff with stale entries left"] += bool(left)
        self.emit(swap_call(self.time, "swapoff", area))
        self.off_types.add(swap_type)
        del self.on[swap_type]

    def failed_call(self, where: int, which: int, how: int) -> None:
        """EINVAL, or EBUSY for an area that is on already: nothing changes."""
        area = self.area(min(self.on)) if self.on and how % 2 else None
        name = "swapon" if which % 2 else "swapoff"
        self.emit(swap_call(self.time, name, area, result=-22 if area is None else -16))
        self.cases["failed call"] += 1

    def reset(self, where: int, which: int, how: int) -> None:
        number = where % 3
        if any(CATALOG[area].store == number for area in self.on.values()) or not self.held[number]:
            return
        for page in sorted(self.held[number]):
            self._drop((number, page))
        self.emit(Event(self.time, EventKind.RESET, number, 0, 0))
        self.left_stale = {place for place in self.left_stale if place[0] != number}
        self.cases["reset"] += 1

    def foreign(self, where: int, which: int, how: int) -> None:
        """A filesystem on the same store writes to a page that is no slot's."""
        number, page = where % 2, which % 20
        if any(CATALOG[area].store == number and page in PAGES[area] for area in self.on.values()):
            return
        self.cases["not a slot"] += 1
        if (number, page) in self.left_stale:
            self.cases["overwritten after swapoff"] += 1
            self.left_stale.discard((number, page))
        self._write((number, page), how)


def _entry(how: int) -> tuple[int, int]:
    """(size, flags) of an entry: same-filled, incompressible, or something in between."""
    if how % 11 == 0:
        return 0, int(EventFlag.SAME)
    if how % 5 == 0:
        return PAGE_SIZE, int(EventFlag.HUGE)
    return 1 + how * 37 % (PAGE_SIZE - 1), 0


ACTIONS = (
    *["store"] * 6, *["take"] * 2, *["free"] * 4, *["free_run"] * 2, "free_past_end", "gone", *["load"] * 2, "discard",
    *["write_back"] * 2, "step_back", *["swapon"] * 2, "swapoff", "failed call", *["reset"] * 2, *["foreign"] * 2,
)  # fmt: skip


def imitate(start: Sequence[int], present: int, actions: Sequence[Action]) -> Trace:
    kernel = Kernel(start, present)
    for action in actions:
        kernel.act(action)
    end = max([START, *(event.time for event in kernel.events)]) + 12_345
    return Trace(kernel.areas, kernel.stores, kernel.events, end, kernel.cases, kernel.held)


def numbers(most: int) -> st.SearchStrategy[int]:
    return st.integers(0, most)


def imitate_seed(seed: int) -> Trace:
    """A long stream from uniform choices: rare cases (a reset needs a swapoff first) want more luck than hypothesis's
    own lists, which are short and full of zeros, bring."""
    chooser = random.Random(seed)
    slots = chooser.choice((4, 12, 31))  # few slots: reused all the time
    drawn = [
        (
            chooser.choice(ACTIONS),
            chooser.randrange(100),
            chooser.randrange(slots),
            chooser.randrange(10_000),
            chooser.choice((0, chooser.randrange(300), chooser.randrange(5_000_000))),
        )
        for _ in range(chooser.randrange(5, 140))
    ]
    return imitate(
        chooser.sample([*range(6), 7], chooser.randrange(4)), chooser.choice((0, chooser.randrange(20))), drawn
    )


plausible = st.builds(imitate_seed, numbers(2**32))


# -------------------------------------------------------------------------------------------------------------- garbage


def garbage_event(
    time: int, kind: EventKind, device: int, slot: int, run: int, size: int, flags: int, how: int
) -> Event:
    if kind in (EventKind.SWAPON, EventKind.SWAPOFF):
        area = CATALOG[how % len(CATALOG)]
        if how % 5 == 0:
            return swap_call(time, kind.name.lower(), None, result=-22)
        area = SwapArea(**{**area.__dict__, "swap_type": device % 4})
        known = KNOWN_STORES[area.store] if area.store is not None else None
        return swap_call(time, kind.name.lower(), area, known)
    if kind == EventKind.RESET:
        slot = 0
    if kind == EventKind.FREE and how % 3 == 0:
        run, flags = 1, flags | EventFlag.NOTIFIED | (EventFlag.TIMED if how % 2 else 0)
    reason = how % len(FreeReason) + 1 if kind == EventKind.FREE else 0
    return Event(time, kind, device, slot, run, size, how, flags, reason=reason)


garbage_events = st.lists(
    st.builds(
        garbage_event,
        st.integers(START, START + 10_000_000),
        st.sampled_from([kind for kind in EventKind if kind not in _NO_EVENTS]),
        st.one_of(numbers(3), st.just(ZSWAP.id)),
        numbers(24),
        st.integers(1, 6),
        st.one_of(numbers(PAGE_SIZE), st.sampled_from([0, PAGE_SIZE + 100, 2**32 - 1])),
        st.one_of(numbers(63), numbers(63).map(lambda flags: flags | int(EventFlag.ANY_POLICY))),
        numbers(2**32 - 1),
    ),
    min_size=15, max_size=60,
)  # fmt: skip


def with_types(chosen: Sequence[int], events: list[Event], end: int) -> Trace:
    """Areas one after the other, on overlapping pages too; the trace may end before its last event."""
    areas = [SwapArea(**{**CATALOG[area].__dict__, "swap_type": number}) for number, area in enumerate(chosen)]
    return Trace(areas, list(STORES), events, end)


garbage = st.builds(
    with_types, st.lists(numbers(5), max_size=4), garbage_events, st.integers(START, START + 12_000_000)
)

# ----------------------------------------------------------------------------------------------------------- comparison


def analyse(trace: Trace, cuts: Sequence[int], zsmalloc: dict[str, object] | None = None, **how: Any) -> TraceResult:
    analysis = Analysis(header(trace.areas, trace.stores, zsmalloc=zsmalloc), **how)
    for piece in batches(trace.events, cuts):
        analysis.feed(piece)
    return analysis.finish(trailer(trace.end))


def refer(trace: Trace) -> Reference:
    reference = Reference(trace.areas, trace.stores, START, PAGE_SIZE, CLUSTER_SLOTS)
    for event in trace.events:
        reference.feed(event)
    reference.finish(trace.end)
    return reference


def buckets(durations: Sequence[int]) -> list[tuple[int, int]]:
    """(bucket, count), for those that are not empty."""
    return sorted(Counter(bucket_of(np.array(durations, np.int64)).tolist()).items())


def filled(counts: np.ndarray) -> list[tuple[int, int]]:
    assert len(counts) == BUCKETS
    return [(int(bucket), int(counts[bucket])) for bucket in np.flatnonzero(counts)]


def check_integral(found: Integral, area: Area, quantity: str) -> None:
    pages = area.pages
    assert (found.end, found.peak) == (area.bytes[quantity], area.peak_bytes[quantity]), quantity
    assert found.byte_ns == area.byte_ns[quantity], quantity
    span = pages.clock - pages.origin
    mean = area.byte_ns[quantity] / span if span else area.bytes[quantity]
    assert found.mean == pytest.approx(mean, rel=1e-9), quantity


def check_series(found: AreaResult, area: Area) -> None:
    """The value at the end of a time bin is that after the last event before it."""
    pages, series = area.pages, found.series
    assert series.time[-1] == pages.clock - pages.origin
    assert all(before <= after for before, after in zip(series.time[:-1], series.time[1:], strict=True))
    zero = dict.fromkeys(QUANTITIES, 0)
    bins = len(series.time) - 1  # and the last one, which is still running
    for number in {0, bins // 3, bins // 2, bins - 1} & set(range(bins)):
        end = pages.origin + int(series.time[number])
        earlier = [values for clock, values in pages.history if clock < end]
        slots, sizes = earlier[-1].get(id(area), (zero, zero)) if earlier else pages.before.get(id(area), (zero, zero))
        assert {quantity: int(series.slots[quantity][number]) for quantity in QUANTITIES} == slots
        assert {quantity: int(series.bytes[quantity][number]) for quantity in QUANTITIES} == sizes
    assert {quantity: int(series.slots[quantity][-1]) for quantity in QUANTITIES} == area.slots
    assert {quantity: int(series.bytes[quantity][-1]) for quantity in QUANTITIES} == area.bytes


def check_map(found: AreaResult, area: Area) -> None:
    slots_of = {area.index_of(slot): slot for slot in range(found.slots)}
    assert found.slot_map.slots_per_row == 1
    for row, pages in ((found.slot_map.live[-1], area.live_slots), (found.slot_map.stale[-1], area.stale_slots)):
        assert np.flatnonzero(row).tolist() == sorted(slots_of[page] for page in pages)
        assert row.sum() == len(pages)


def check_area(found: AreaResult, area: Area) -> None:
    counts = area.counts
    names = ("stores", "loads", "frees", "frees_unwritten", "rewrites", "notify_free", "miss_free", "discarded")
    names += ("left_censored", "moved", "written_back", "refaults")
    assert {name: getattr(found, name) for name in names} == {name: counts[name] for name in names}
    assert found.used_slots == area.area.used + area.given_out
    assert found.free_reasons == {reason.name.lower(): area.reasons[reason.name.lower()] for reason in FreeReason}
    assert found.unread == {reason.name.lower(): area.unread[reason.name.lower()] for reason in FreeReason}
    assert {size: int(found.sizes[size]) for size in np.flatnonzero(found.sizes)} == dict(area.sizes)

    for policy in POLICIES:
        result = found.policies[policy]
        assert (result.stale_slots_end, result.stale_slots_peak) == (area.slots[policy], area.peak_slots[policy]), (
            policy
        )
        check_integral(result.stale_compr_bytes, area, policy)
    recovered, leaked = found.recovered["compr_bytes"], found.leaked["compr_bytes"]
    assert recovered is not None
    assert leaked is not None
    check_integral(recovered, area, "recovered")
    check_integral(leaked, area, "leaked")
    assert (found.live_slots_end, found.live_compr_bytes_end) == (area.slots["live"], area.bytes["live"])
    check_series(found, area)
    check_map(found, area)

    everything = [life for lives in area.lifetimes.values() for life in lives]
    assert filled(found.lifetime.ended) == buckets(everything)
    assert filled(found.lifetime.censored) == buckets(area.censored)
    assert found.lifetime.largest == max(everything, default=0)
    assert found.lifetime.left_censored == counts["left_censored"]
    for reason, histogram in found.lifetime_by_reason.items():
        lives = area.lifetimes.get(reason, [])
        assert filled(histogram.counts) == buckets(lives), reason
        assert (histogram.total, histogram.largest) == (sum(lives), max(lives, default=0)), reason
    assert filled(found.time_to_reuse.ended) == buckets(area.reuses)
    assert filled(found.time_to_reuse.censored) == buckets(area.reuses_censored)
    assert found.time_to_reuse.largest == max(area.reuses, default=0)
    assert filled(found.notification.counts) == buckets(area.notifications)
    assert found.notification.total == sum(area.notifications)
    assert found.notification.largest == max(area.notifications, default=0)


def check_store(found: AreaResult, area: Area, stores: Sequence[Store]) -> None:
    """The driver's own counters: what the kernel said at the start, and all changes since."""
    if found.store is None:
        assert found.model.pages_stored is None
        return
    start = next((store.counters for store in stores if store.name == found.store), {})
    totals, model = area.pages.totals, found.model
    assert model.pages_stored == start.get("pages_stored", 0) + totals["pages"]
    assert model.orig_data_size == model.pages_stored * PAGE_SIZE
    assert model.compr_data_size == start.get("compr_data_size", 0) + totals["compr"]
    assert model.same_pages == start.get("same_pages", 0) + totals["same"]
    assert model.huge_pages == start.get("huge_pages", 0) + totals["huge"]
    written_back = start.get("bd_count", 0) + totals["written back"]
    assert model.bd_count == (None if found.backing == "zswap" else written_back)


def check(result: TraceResult, reference: Reference, trace: Trace) -> None:
    found = [(area.device, area.swap_type, area.generation) for area in result.areas]
    assert found == [(a.area.path, a.area.swap_type, a.area.generation) for a in reference.areas]
    for area, expected in zip(result.areas, reference.areas, strict=True):
        check_area(area, expected)
        check_store(area, expected, trace.stores)


cuts = st.lists(numbers(400), max_size=12)


@given(plausible, cuts)
@reproducible
def test_plausible_streams(trace: Trace, cuts: list[int]) -> None:
    check(analyse(trace, cuts), refer(trace), trace)


@given(garbage, cuts)
@reproducible
def test_garbage(trace: Trace, cuts: list[int]) -> None:
    check(analyse(trace, cuts), refer(trace), trace)


GEOMETRY = zsmalloc.geometry(PAGE_SIZE)
POOL = {"pages_per_zspage": GEOMETRY.arrays.classes["pages_per_zspage"].tolist(), "fullness_rule": "TENTHS"}


def check_pools(result: TraceResult, trace: Trace) -> Counter[str]:
    """Every policy's pool against a pool of its own; in how many areas it held more than that of `notify` some time."""
    reference = Reference(trace.areas, trace.stores, START, PAGE_SIZE, CLUSTER_SLOTS, GEOMETRY)
    for event in trace.events:
        reference.feed(event)
    reference.finish(trace.end)
    apart: Counter[str] = Counter()
    for found, area in zip(result.areas, reference.areas, strict=True):
        if found.pool is None:
            continue
        pools, least = area.pages, area.pages.pools["notify"].mem_used_total
        assert (found.pool.end, found.pool.peak) == (
            pools.pools["observed"].mem_used_total,
            pools.pool_peak["observed"],
        )
        assert found.pool.byte_ns == pools.pool_byte_ns["observed"]
        for policy in POLICIES:
            stale = found.policies[policy].stale_pool_bytes
            assert stale is not None
            assert (stale.end, stale.peak) == (
                pools.pools[policy].mem_used_total - least,
                pools.pool_stale_peak[policy],
            ), policy
            byte_ns = pools.pool_byte_ns[policy] - pools.pool_byte_ns["notify"]
            assert stale.byte_ns == byte_ns, policy
            assert found.series.pool_bytes[policy][-1] == pools.pools[policy].mem_used_total, policy
            apart[policy] += stale.peak > 0
    return apart


@given(plausible, cuts)
@settings(reproducible, max_examples=60)
def test_pools_of_plausible_streams(trace: Trace, cuts: list[int]) -> None:
    check_pools(analyse(trace, cuts, POOL), trace)


@given(garbage, cuts)
@settings(reproducible, max_examples=60)
def test_pools_of_garbage(trace: Trace, cuts: list[int]) -> None:
    check_pools(analyse(trace, cuts, POOL), trace)


def plain(result: object) -> object:
    """A result as something that == compares, arrays included."""
    if isinstance(result, np.ndarray):
        return result.dtype.str, result.tolist()
    if is_dataclass(result):
        return {field.name: plain(getattr(result, field.name)) for field in fields(result)}
    if isinstance(result, dict):
        return {key: plain(value) for key, value in result.items()}
    return [plain(value) for value in result] if isinstance(result, (list, tuple)) else result


@given(plausible, cuts)
@settings(reproducible, max_examples=30)
def test_two_threads_find_what_one_does(trace: Trace, cuts: list[int]) -> None:
    """Neither the number of threads nor where batches are cut makes any difference, not even in a last digit."""
    whole = plain(analyse(trace, [], POOL))
    assert plain(analyse(trace, cuts, POOL, threads=2)) == whole
    assert plain(analyse(trace, cuts, POOL, threads=1)) == whole


@given(plausible)
@settings(reproducible, max_examples=60)
def test_agrees_with_the_kernels_counters(trace: Trace) -> None:
    """Not only with the reference: what the imitated kernel holds in the end is what the analysis says."""
    result = analyse(trace, [])
    for area in result.areas:
        if area.store is not None:
            number = next(s.id for s in KNOWN_STORES.values() if s.name == area.store)
            expected = Kernel.counters(trace.held[number])
            names = ("pages_stored", "compr_data_size", "same_pages", "huge_pages")
            names += ("bd_count",) if area.backing == "zram" else ()
            assert {name: getattr(area.model, name) for name in names} == {name: expected[name] for name in names}
        for policy in area.policies.values():
            assert policy.stale_slots_end <= area.policies["none"].stale_slots_end


def refer_between(trace: Trace, begin: int, end: int) -> Reference:
    """The reference, of the part from one moment on and before the other (ns)."""
    reference = Reference(trace.areas, trace.stores, START, PAGE_SIZE, CLUSTER_SLOTS)
    measuring = False
    for event in trace.events:
        if event.time >= end:
            break
        if not measuring and event.time >= begin:
            reference.measure_from(begin)
            measuring = True
        reference.feed(event)
    if not measuring:
        reference.measure_from(begin)
    reference.finish(max(begin, min(end, trace.end)))
    return reference


@given(plausible, numbers(2_000_000), numbers(2_000_000), cuts)
@settings(reproducible, max_examples=60)
def test_since_and_until(trace: Trace, since: int, length: int, cuts: list[int]) -> None:
    """Counts begin at one moment and end at the other, with what the store holds carried over."""
    begin, end = START + since, START + since + length
    reference = refer_between(trace, begin, end)
    result = analyse(trace, cuts, since=begin, until=end)
    check(result, reference, trace)
    assert result.trace["duration_s"] == pytest.approx((max(begin, min(end, trace.end)) - begin) / 1e9)


def test_one_event_at_a_time() -> None:
    """The finest cut there is, with an empty batch before each event."""
    trace = max((imitate_seed(seed) for seed in range(20)), key=lambda trace: len(trace.events))
    assert len(trace.events) > 150
    check(analyse(trace, [*range(len(trace.events)), *range(len(trace.events))]), refer(trace), trace)


#: What the streams must hold often enough for the tests above to mean something.
CASES = (
    "store", "rewrite", "reuse of a stale slot", "reuse of what another area left", "free of an unknown slot", "run",
    "free past the end", "gone", "duplicate", "discard", "time steps back", "mkswap while recording", "type reused",
    "late store", "swapon over stale entries", "swapoff with stale entries left", "failed call", "reset", "not a slot",
    "overwritten after swapoff", "missed", "not notified", "left-censored", "allocated, not written",
    "allocation not seen", "free of a slot never written", "written back", "told before the free",
    "told after the free", "written back by zswap", "read for good",
)  # fmt: skip


def gathered(strategy: st.SearchStrategy[Trace], look: Callable[[Trace], Counter[str]]) -> Counter[str]:
    """In how many of the strategy's examples each case occurs."""
    seen: Counter[str] = Counter()

    @given(strategy)
    @reproducible
    def gather(trace: Trace) -> None:
        seen.update(set(+look(trace)))

    gather()
    return seen


def test_plausible_streams_hold_every_case() -> None:
    seen = gathered(plausible, lambda trace: trace.cases)
    assert {case: seen[case] for case in CASES if seen[case] < 3} == {}


def test_pools_are_told_apart() -> None:
    seen = gathered(plausible, lambda trace: check_pools(analyse(trace, [], POOL), trace))
    assert {policy: seen[policy] for policy in POLICIES if seen[policy] < 20} == {"notify": 0}


def test_garbage_holds_every_kind_of_event() -> None:
    seen = gathered(garbage, lambda trace: Counter(event.kind.name for event in trace.events))
    assert {kind: seen[kind.name] for kind in EventKind if seen[kind.name] < 20} == dict.fromkeys(_NO_EVENTS, 0)


# ------------------------------------------------------------------------- streams that were once told wrong, or nearly


def run(events: Sequence[Event], areas: Sequence[SwapArea] = (CATALOG[0],), end: int = START + 1000) -> TraceResult:
    trace = Trace(list(areas), list(STORES), list(events), end)
    result = analyse(trace, [])
    check(result, refer(trace), trace)
    return result


def test_one_life_by_hand() -> None:
    """Stored at 100 ns with 1000 bytes, freed at 300 ns without the driver's knowledge, recording over at 1000 ns."""
    area = run([store(START + 100, 0, 3, 1000), free(START + 300, 0, 3, reason=FreeReason.EXIT)]).areas[0]
    none = area.policies["none"]
    assert (none.stale_slots_end, none.stale_compr_bytes.end) == (1, 1000)
    assert none.stale_compr_bytes.byte_ns == 1000 * 700
    assert none.stale_compr_bytes.mean == pytest.approx(700)
    assert area.policies["notify"].stale_slots_peak == 0
    assert area.leaked["compr_bytes"] == area.policies["observed"].stale_compr_bytes == none.stale_compr_bytes
    assert (area.lifetime.count, area.lifetime.largest) == (1, 200)
    assert area.free_reasons["exit"] == 1


def test_disk_by_hand() -> None:
    """A disk's slots live from their allocation on: 3 of 4 are freed, and one of these is given out again."""
    disk = SwapArea(**{**CATALOG[5].__dict__, "swap_type": 0, "used": 9})
    alloc = EventKind.ALLOC
    area = run(
        [
            Event(START + 100, alloc, 0, 2, 4),
            free(START + 300, 0, 3, 3, FreeReason.EXIT),
            Event(START + 350, alloc, 0, 4),
            free(START + 360, 0, 11),  # in use before the recording
        ],
        [disk],
    ).areas[0]
    assert (area.lifetime.count, area.lifetime.largest, area.frees, area.frees_unwritten) == (3, 200, 4, 1)
    assert (area.time_to_reuse.count, area.time_to_reuse.largest) == (1, 50)
    assert area.used_slots == 9 + 5 - 4


def test_use_is_not_known_without_allocations() -> None:
    analysis = Analysis(header([CATALOG[5]], probes=({"event": "slot allocated", "functions": []},)))
    analysis.feed(batch([free(START + 1, 0, 3)]))
    assert analysis.finish(trailer(START + 2)).areas[0].used_slots is None


def test_use_is_compared_with_the_area_that_is_on() -> None:
    """What /proc/swaps says of a type at the end is the last area's."""
    again = SwapArea(**{**CATALOG[5].__dict__, "swap_type": 0})
    analysis = Analysis(header([again]))
    calls = [swap_call(START + 1, "swapoff", again), swap_call(START + 2, "swapon", again)]
    analysis.feed(batch([*calls, Event(START + 3, EventKind.ALLOC, 0, 3, 2)]))
    end = Snapshot(START + 9, (SwapArea(**{**again.__dict__, "used": 2}),))
    first, second = analysis.finish(Trailer(end)).areas
    assert (first.used_slots, first.kernel_counts["used_slots"]) == (0, None)
    assert (second.used_slots, second.kernel_counts["used_slots"]) == (2, 2)


def test_moved_to_the_backing_device_by_hand() -> None:
    """The entry's bytes go, the entry stays, stale or not; it is dropped in the end."""
    back = int(EventFlag.WRITTEN_BACK)
    events = [
        store(START + 1, 0, 3, PAGE_SIZE, int(EventFlag.HUGE)),
        store(START + 2, 0, 4, 100),
        Event(START + 100, EventKind.MOVED, 0, 3, size=PAGE_SIZE, flags=int(EventFlag.HUGE)),
        free(START + 200, 0, 3),
    ]
    area = run(events).areas[0]
    model = area.model
    assert (model.pages_stored, model.huge_pages, model.compr_data_size, model.bd_count) == (2, 0, 100, 1)
    none = area.policies["none"]
    assert (none.stale_slots_end, none.stale_compr_bytes.end, area.live_slots_end, area.moved) == (1, 0, 1, 1)
    dropped = Event(START + 201, EventKind.NOTIFY, 0, 3, flags=int(EventFlag.DROPPED) | back)
    model = run([*events, dropped]).areas[0].model
    assert (model.pages_stored, model.compr_data_size, model.bd_count) == (1, 100, 0)


def test_only_zram_itself_is_notified() -> None:
    """As long as nothing was freed, which would show it."""
    areas = [CATALOG[0], zram_area("/dev/dm-0", 1, 12, 1)]
    result = run([store(START + 1, 0, 3, 100)], areas)
    assert [area.notified for area in result.areas] == [True, False]


def test_gone_over_a_stale_entry() -> None:
    """The drop of an entry whose store was not seen yet has another size than the stale one it replaced."""
    dropped = int(EventFlag.DROPPED)
    notify = EventKind.NOTIFY
    result = run(
        [
            store(START, 0, 3, 100),
            free(START + 10, 0, 3),
            Event(START + 11, notify, 0, 3, size=100, flags=dropped),
            free(START + 30, 0, 3),
            Event(START + 31, notify, 0, 3, size=70, flags=dropped),
            store(START + 25, 0, 3, 0, EventFlag.GONE),
            store(START + 40, 0, 3, 50),
        ]
    )
    none = result.areas[0].policies["none"].stale_compr_bytes
    assert (none.end, none.peak) == (0, 100)
    assert result.areas[0].live_compr_bytes_end == 50


def test_store_that_appears_while_recording() -> None:
    """Its means are over the whole recording, wherever batches are cut."""
    events = [
        store(START + 500, 2, 0, 60),
        swap_call(START + 510, "swapon", CATALOG[6], LATE_STORE),
        store(START + 600, 2, 1, 1000),
        free(START + 800, 0, 1),
    ]
    trace = Trace([], list(STORES), events, START + 1000)
    means = set()
    for cuts in ([], [1], [1, 2, 3]):
        result = analyse(trace, cuts)
        none = result.areas[0].policies["none"].stale_compr_bytes
        means.add(none.mean)
        assert result.areas[0].swap_header == {"pages": 1, "compr_bytes": 60}  # written before swapon
    assert means == {200.0}


def test_swapoff_that_was_lost() -> None:
    """The same type on another store: the frees are the new area's alone."""
    second = SwapArea(**{**CATALOG[4].__dict__, "swap_type": 0})
    result = run(
        [
            store(START + 1, 0, 3, 100),
            swap_call(START + 5, "swapon", second, STORES[1]),
            store(START + 6, 1, 3, 200),
            free(START + 9, 0, 3),
        ]
    )
    assert [(area.frees, area.live_slots_end) for area in result.areas] == [(0, 1), (1, 0)]


def test_notified_of_a_slot_that_there_is_not() -> None:
    """Whether the store's state has grown so far by then, or not: it is no page of the area."""
    beyond = notified_free(START + 9, 0, CATALOG[0].slots + 3, 100)
    for before in ([], [store(START + 1, 0, CATALOG[0].slots + 5, 100)]):
        (area,) = run([*before, beyond]).areas
        assert (area.model.pages_stored, area.notify_free) == (len(before), 1)


def test_area_over_another_with_shifted_slots() -> None:
    """What the first area left is overwritten through the second: each counts by its own slots."""
    partition = CATALOG[2]
    events = [
        store(START + 1, 0, 8, 100),
        free(START + 2, 0, 8),
        swap_call(START + 3, "swapoff", CATALOG[0]),
        swap_call(START + 4, "swapon", partition, STORES[0]),
        store(START + 5, 0, 8, 70),
    ]
    whole = run(events[:4]).areas
    assert np.flatnonzero(whole[0].slot_map.stale[-1]).tolist() == [8]
    first, second = run(events).areas
    assert not first.slot_map.stale[-1].any()
    assert np.flatnonzero(second.slot_map.live[-1]).tolist() == [2]


def test_running_times_end_with_their_area() -> None:
    """A slot that was free when its area went off cannot be used again: that wait ends there, not with the trace."""
    area = run(
        [
            store(START + 1, 0, 3, 100),
            free(START + 2, 0, 3),
            swap_call(START + 40, "swapoff", CATALOG[0]),
            swap_call(START + 50, "swapon", CATALOG[0], STORES[0]),
        ],
        end=START + 9_000_000,
    ).areas[0]
    assert filled(area.time_to_reuse.censored) == [(38, 1)]


def test_more_than_is_known_about_a_type() -> None:
    """Types and pages that nobody has heard of change nothing."""
    result = run([free(START + 1, 200, 3), free(START + 1, 31, 3), free(START + 2, 0, 2**32 - 1, 65535)])
    assert result.areas[0].frees == 65535
    assert result.areas[0].frees_unwritten == 0


def test_empty_batches_only() -> None:
    analysis = Analysis(header(CATALOG[:1], STORES))
    analysis.feed(batch([]))
    result = analysis.finish(None)
    assert (result.trace["events"], result.trace["complete"], result.trace["duration_s"]) == (0, False, 0)
