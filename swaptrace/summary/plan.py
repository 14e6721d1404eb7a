"""How the areas and stores of a snapshot lie in the maps of bpf/summary.c, and what the maps hold when it begins."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from swaptrace.areas import Snapshot, Store, SwapArea
from swaptrace.events import EventFlag, EventKind
from swaptrace.summary.figures import (
    AREA,
    BITS_HELD,
    HEADER,
    NO_PAGE,
    NOBODY,
    PAGE,
    STORE,
    TYPE,
    TYPES,
    Bit,
    Limits,
    Phase,
)

__all__ = ["Plan", "places"]

_DISKS = 256  # beyond all minor numbers


def _pages_of(store: Store, areas: tuple[SwapArea, ...]) -> int:
    """A store's size, pages: what it says itself, or what its areas' extents need."""
    ends = [index + count for area in areas if area.store == store.id for _, index, count in area.extents]
    return max([store.pages, *ends])


def places(snapshot: Snapshot) -> tuple[list[int], dict[int, int]]:
    """(by area, its store's place; by store's minor number, its size in pages). A disk is a store of its own, whose
    minor number is beyond all others; the place is that in the dictionary."""
    sizes = {store.id: _pages_of(store, snapshot.areas) for store in snapshot.stores}
    minors = []
    for number, area in enumerate(snapshot.areas):
        minors.append(area.store if area.store is not None and area.store in sizes else _DISKS + number)
        sizes.setdefault(minors[-1], area.slots)
    order = list(sizes)
    return [order.index(minor) for minor in minors], sizes


@dataclass
class Plan:
    """Arrays for the maps. store_of: by area, its store's place; place_of: by minor number, uint8, shape (256,)."""

    snapshot: Snapshot
    pages: NDArray[np.void]
    slots: NDArray[np.uint32]
    types: NDArray[np.void]
    stores: NDArray[np.void]
    areas: NDArray[np.void]
    store_of: list[int]
    place_of: NDArray[np.uint8]

    @classmethod
    def of(cls, snapshot: Snapshot) -> Plan:
        """With nothing held yet."""
        store_of, sizes = places(snapshot)
        stores = np.zeros(len(sizes) + 1, STORE)  # and one that nobody has
        stores["pages"][:-1] = list(sizes.values())
        stores["first"] = np.cumsum(stores["pages"]) - stores["pages"]
        stores["now"] = snapshot.time
        stores["disk"][:-1] = [minor >= _DISKS for minor in sizes]
        place_of = np.full(256, len(sizes), np.uint8)
        for place, minor in enumerate(sizes):
            if minor < _DISKS:
                place_of[minor] = place
        pages = np.zeros(sum(sizes.values()) + 1, PAGE)  # and one for slots that the store has no page of
        pages["holder"] = pages["owner"] = NOBODY
        pages["owner"][-1] = NO_PAGE
        slots = np.full(sum(area.slots for area in snapshot.areas), len(pages) - 1, np.uint32)
        types, areas = np.zeros(TYPES, TYPE), np.zeros(len(snapshot.areas), AREA)
        types["area"] = NOBODY
        plan = cls(snapshot, pages, slots, types, stores, areas, store_of, place_of)
        for number in range(len(snapshot.areas)):
            plan._add(number)
        return plan

    def _add(self, number: int) -> None:
        """As swaptrace.engine.mapping.add_area: the area's pages are its own, but for mkswap's."""
        area, store = self.snapshot.areas[number], self.store_of[number]
        base = int(self.stores["first"][store])
        first = sum(earlier.slots for earlier in self.snapshot.areas[:number])
        for slot, index, count in area.extents or ((0, 0, area.slots),):
            self.pages["owner"][base + index : base + index + count] = number
            self.slots[first + slot : first + slot + count] = np.arange(base + index, base + index + count)
            if slot == 0:
                self.pages["owner"][base + index] = HEADER
        self.types[area.swap_type] = number, store, first, area.slots
        self.areas["store"][number] = store

    def limits(self, processors: int, epoch: int, page_size: int) -> Limits:
        """The room that this plan needs."""
        return Limits(
            len(self.pages), len(self.slots), len(self.areas), len(self.stores) - 1, processors, epoch, page_size
        )

    def fits(self, limits: Limits) -> bool:
        """Whether maps that were made with these limits have the room."""
        needed = self.limits(limits.processors, limits.epoch, limits.page_size)
        names = ("pages", "slots", "areas", "stores")
        return all(getattr(needed, name) <= getattr(limits, name) for name in names)

    def hold(self, present: NDArray[np.void]) -> None:
        """What the stores hold when the summary begins, from PRESENT events: as the replay of a trace takes them."""
        runs = present["run"].astype(np.int64)
        each = np.repeat(present, runs)
        index = each["slot"].astype(np.int64) + np.arange(len(each)) - np.repeat(np.cumsum(runs) - runs, runs)
        store = self.stores[self.place_of[each["device"]]]
        inside = index < store["pages"]
        each, index = each[inside], (index + store["first"])[inside]
        owner = self.pages["owner"][index]
        slots = owner < HEADER
        flags = each["flags"]
        bits = np.full(len(each), BITS_HELD, np.uint16)
        bits |= np.where(flags & EventFlag.SAME, Bit.SAME, 0).astype(np.uint16)
        bits |= np.where(flags & EventFlag.HUGE, Bit.HUGE, 0).astype(np.uint16)
        bits |= np.where(slots, Bit.IN_USE | Phase.USED_BEFORE, 0).astype(np.uint16)
        self.pages["bits"][index], self.pages["size"][index] = bits, each["size"]
        self.pages["holder"][index] = owner

    def correct(self, events: NDArray[np.void]) -> None:
        """What the stores hold after these events, too: the last one of a page decides."""
        index, last = self._last_of_pages(events)
        self.pages["bits"][index], self.pages["size"][index] = 0, 0
        self.pages["holder"][index] = NOBODY
        stored = last[(last["kind"] == EventKind.STORE) & (last["flags"] & EventFlag.GONE == 0)]
        self.hold(stored)

    def _last_of_pages(self, events: NDArray[np.void]) -> tuple[NDArray[np.int64], NDArray[np.void]]:
        """Pages of which these events tell whether they hold anything, and the last such event of each."""
        kinds = (EventKind.STORE, EventKind.DROP, EventKind.NOTIFY)
        telling = np.isin(events["kind"], kinds) & (
            events["slot"] < self.stores["pages"][self.place_of[events["device"]]]
        )
        telling &= (events["kind"] != EventKind.NOTIFY) | (events["flags"] & EventFlag.DROPPED != 0)
        mine = events[telling][::-1]
        index = self.stores["first"][self.place_of[mine["device"]]].astype(np.int64) + mine["slot"]
        pages, first = np.unique(index, return_index=True)
        return pages, mine[first]

    def correct_late(
        self, events: NDArray[np.void], shared: NDArray[np.void]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The same after the maps were filled with this plan: in `shared`, the pages that the kernel works on.

        A page that the kernel has changed since stays as it is. Returns what is to be added to held(), for the kernel
        itself adds to what it was.
        """
        before = self.held()
        index, last = self._last_of_pages(events)
        same = shared[index] == self.pages[index]
        self.correct(last[same])
        shared[index[same]] = self.pages[index[same]]
        after = self.held()
        return after[0] - before[0], after[1] - before[1]

    def begin_at(self, now: int) -> None:
        """The summary begins at another moment (ns)."""
        self.snapshot = replace(self.snapshot, time=now)
        self.stores["now"] = now

    def held(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Slots and bytes of each area's classes, as its pages say: int64, shape (areas, CLASSES)."""
        slots, sizes = (np.zeros_like(self.areas["slots"]) for _ in range(2))
        held = self.pages[(self.pages["holder"] < HEADER) & (self.pages["bits"] & BITS_HELD != 0)]
        place = held["holder"].astype(np.int64), (held["bits"] & (slots.shape[1] - 1)).astype(np.int64)
        np.add.at(slots, place, 1)
        np.add.at(sizes, place, held["size"].astype(np.int64))
        return slots, sizes

    def left_censored(self) -> NDArray[np.int64]:
        """Slots of each area that were in use before: int64, shape (areas,)."""
        before = self.pages["owner"][self.pages["bits"] & Phase.FREE == Phase.USED_BEFORE]
        return np.bincount(before, minlength=len(self.areas)).astype(np.int64)[: len(self.areas)]
