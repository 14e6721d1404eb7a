"""The figures of a summary at one moment: read from the maps, added up over processors, as one flat vector of numbers.

A vector is what the file holds the changes of; `dtype_of` says what its numbers are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swaptrace.analysis.results import MOST_LEAKS, Leak
from swaptrace.events import EventKind
from swaptrace.histogram import BUCKETS, bucket_of
from swaptrace.summary.figures import (
    AREA,
    AREA_PART,
    BITS_PHASE,
    CLASSES,
    HEADER,
    HISTOGRAMS,
    NO_PAGE,
    PAGE,
    RESETS_SHIFT,
    SLOT,
    STORE_PART,
    Bit,
    Limits,
    Phase,
)
from swaptrace.summary.plan import Plan

__all__ = ["KINDS", "RUNNING", "Late", "Maps", "collect", "dtype_of", "leaks_of", "look_at_pages", "prepare"]

KINDS = EventKind.DISCARD + 1  # later ones change no figure of a summary, and files have no room for their number
_WORD = (1 << 64) - 1
_LEAK = Bit.IN_USE | Bit.NOTIFY | Bit.OBSERVED  # of these bits, a leaked page has the last one only
RUNNING = (Phase.USED, Phase.FREE)  # what `running` has a histogram of: lives, and waits for reuse

_SUMMED = ("counts", "reasons", "life_sum", "notify_sum")
_LARGEST = ("peak_slots", "peak_bytes", "life_largest", "reuse_largest", "notify_largest")


def dtype_of(areas: int, stores: int, page_size: int) -> np.dtype[np.void]:
    """The vector's fields, all of 64 bits. looked: when the pages were looked at last (ns), for running and swap_header
    (pages and bytes of mkswap's page)."""
    area = [
        *((name, AREA[name]) for name in ("slots", "bytes", "ended")),
        ("moment", "u8", (2, CLASSES)),
        *((name, AREA_PART[name]) for name in (*_SUMMED, *_LARGEST)),
        ("left_censored", "i8"),
        ("swap_header", "i8", 2),
        ("histograms", "i8", (HISTOGRAMS, BUCKETS)),
        ("running", "i8", (len(RUNNING), BUCKETS)),
        ("sizes", "i8", page_size + 1),
    ]
    store = [("now", "u8"), ("resets", "u8"), *((name, "i8") for name in STORE_PART.names or ())]
    return np.dtype(
        [
            ("time", "u8"),
            ("looked", "u8"),
            ("came", "u8"),
            ("events", "u8", KINDS),
            ("stores", np.dtype(store), (stores,)),
            ("areas", np.dtype(area), (areas,)),
        ]
    )


@dataclass(frozen=True)
class Maps:
    """The maps of bpf/summary.c, shared with the kernel. Parts and events: one row for each processor."""

    pages: NDArray[np.void]
    slots: NDArray[np.uint32]
    figures: NDArray[np.void]  # (1,) of Limits.figures()
    histograms: NDArray[np.uint64]  # (areas, HISTOGRAMS, BUCKETS)
    sizes: NDArray[np.uint64]  # (areas, page size + 1)
    area_parts: NDArray[np.void]  # (processors, areas)
    store_parts: NDArray[np.void]  # (processors, stores)
    events: NDArray[np.uint64]  # (processors, KINDS)

    @classmethod
    def of(cls, limits: Limits, read: Callable[[str, np.dtype[Any], int], NDArray[Any]]) -> Maps:
        """read(name, dtype, length): the array behind the map `summary_<name>`."""
        figures = read("figures", limits.figures(), 1)
        counts, sizes = figures["histograms"][0], figures["sizes"][0]
        processors, areas = limits.processors_room, limits.areas
        return cls(
            pages=read("pages", PAGE, max(limits.pages, 1)),
            slots=read("slots", SLOT, max(limits.slots, 1))["page"],
            figures=figures,
            histograms=counts[: areas * HISTOGRAMS * BUCKETS].reshape(areas, HISTOGRAMS, BUCKETS),
            sizes=sizes[: areas * (limits.page_size + 1)].reshape(areas, limits.page_size + 1),
            area_parts=figures["area_parts"][0].reshape(processors, limits.areas_room),
            store_parts=figures["store_parts"][0].reshape(processors, limits.stores_room),
            events=figures["events"][0].reshape(processors, -1)[:, :KINDS],
        )

    @property
    def areas(self) -> NDArray[np.void]:
        """(areas,)"""
        return np.asarray(self.figures["areas"][0])

    @property
    def stores(self) -> NDArray[np.void]:
        """(stores,)"""
        return np.asarray(self.figures["stores"][0])

    def switch(self, on: bool) -> None:
        """Whether the programs summarise, or hand events over."""
        self.figures["on"][0] = on


@dataclass(frozen=True)
class Late:
    """Slots and bytes of each area's classes (int64, shape (areas, CLASSES)); epoch: that of the programs, ns."""

    slots: NDArray[np.int64]
    bytes: NDArray[np.int64]
    epoch: int


def _add_late(figures: NDArray[np.void], late: Late, start: int) -> None:
    number = len(figures)
    figures["slots"] += late.slots[:number]
    figures["bytes"] += late.bytes[:number]
    for area, place in np.argwhere(late.bytes[:number]).tolist():
        low, high = (int(word) for word in figures["moment"][area, :, place])
        moment = (high << 64 | low) + int(late.bytes[area, place]) * (start - late.epoch)
        figures["moment"][area, :, place] = moment & _WORD, moment >> 64 & _WORD


def prepare(maps: Maps, plan: Plan, epoch: int) -> None:
    """Fill the maps with what a plan says. The switch is off meanwhile, or nothing happens."""
    for name in ("pages", "slots", "areas", "stores"):
        source, target = getattr(plan, name), getattr(maps, name)
        target[: len(source)] = source
    maps.figures["types"][0], maps.figures["store_of"][0] = plan.types, plan.place_of
    slots, sizes = plan.held()
    number = len(plan.areas)
    maps.areas["slots"][:number], maps.areas["bytes"][:number] = slots, sizes
    since = plan.snapshot.time - epoch
    for area, row in enumerate(sizes.tolist()):
        for place, held in enumerate(row):
            maps.area_parts["moment_low"][0, area, place] = held * since & _WORD
            maps.area_parts["moment_high"][0, area, place] = held * since >> 64


def collect(
    maps: Maps,
    plan: Plan,
    left_censored: NDArray[np.int64],
    now: int,
    late: Late | None = None,
) -> NDArray[np.void]:
    """The vector at `now` (ns): shape (1,), of dtype_of. What look_at_pages() finds is 0 in it.

    late: what was there from the start, but was found only after the maps had been filled.
    """
    areas, number = len(plan.snapshot.areas), len(plan.stores) - 1
    found = np.zeros(1, dtype_of(areas, number, maps.sizes.shape[1] - 1))
    vector = found[0]
    vector["time"], vector["came"] = now, maps.figures["came"][0]
    vector["events"] = maps.events.sum(axis=0)
    stores = vector["stores"]
    stores["now"], stores["resets"] = maps.stores["now"][:number], maps.stores["resets"][:number]
    for name in STORE_PART.names or ():
        stores[name] = maps.store_parts[name][:, :number].sum(axis=0)
    figures, parts = vector["areas"], maps.area_parts[:, :areas]
    for name in ("slots", "bytes", "ended"):
        figures[name] = maps.areas[name][:areas]
    for name in _SUMMED:
        figures[name] = parts[name].sum(axis=0)
    for name in _LARGEST:
        figures[name] = parts[name].max(axis=0)
    figures["moment"] = _sum_of_two_words(parts["moment_low"], parts["moment_high"])
    if late is not None:
        _add_late(figures, late, plan.snapshot.time)
    figures["left_censored"] = left_censored[:areas]
    figures["histograms"], figures["sizes"] = maps.histograms[:areas], maps.sizes[:areas]
    return found


def _sum_of_two_words(low: NDArray[np.uint64], high: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The sum over processors (axis 0) of numbers of 128 bits: uint64, (areas, 2, CLASSES), the lower word first."""
    half, mask = np.uint64(32), np.uint64(0xFFFFFFFF)
    first = (low & mask).sum(axis=0, dtype=np.uint64)
    second = (low >> half).sum(axis=0, dtype=np.uint64) + (first >> half)
    return np.stack([second << half | first & mask, high.sum(axis=0, dtype=np.uint64) + (second >> half)], axis=1)


def look_at_pages(maps: Maps, plan: Plan, vector: NDArray[np.void]) -> None:
    """Add what only the pages' own records tell, up to the vector's time."""
    now = int(vector["time"][0])
    vector["looked"] = now
    pages = _pages(maps, plan)
    for number in range(len(plan.snapshot.areas)):
        figures = vector["areas"][0][number]
        end = int(figures["ended"]) or now
        mine = pages["owner"] == number
        for row, phase in enumerate(RUNNING):
            since = pages["since"][mine & (pages["bits"] & BITS_PHASE == phase)].astype(np.int64)
            figures["running"][row] = np.bincount(bucket_of(end - since), minlength=BUCKETS)
        store = plan.stores[plan.store_of[number]]
        here = pages[int(store["first"]) : int(store["first"]) + int(store["pages"])]
        held = here[(here["owner"] == HEADER) & (here["bits"] & Bit.OBSERVED != 0)]
        figures["swap_header"] = len(held), int(held["size"].sum())


def _pages(maps: Maps, plan: Plan) -> NDArray[np.void]:
    """A copy of all pages' records. Those that were not looked at since their store's last reset hold nothing."""
    pages = maps.pages[: len(plan.pages)].copy()
    for store in maps.stores[: len(plan.stores) - 1]:
        here = pages[int(store["first"]) : int(store["first"]) + int(store["pages"])]
        here["bits"][here["bits"] >> RESETS_SHIFT != store["resets"]] &= BITS_PHASE
    return pages


def leaks_of(maps: Maps, plan: Plan) -> list[list[Leak]]:
    """The leaked slots of each area, by the time of their free, no more than MOST_LEAKS of them."""
    pages = _pages(maps, plan)
    found = []
    for number, area in enumerate(plan.snapshot.areas):
        at = np.flatnonzero((pages["holder"] == number) & (pages["bits"] & _LEAK == Bit.OBSERVED))
        phase = pages["bits"][at] & BITS_PHASE
        since = np.where(phase == Phase.FREE, pages["since"][at], 0).astype(np.int64)
        order = np.argsort(since, kind="stable")[:MOST_LEAKS]
        first = sum(earlier.slots for earlier in plan.snapshot.areas[:number])
        slot_of = np.zeros(len(pages), np.int64)
        pages_of_slots = plan.slots[first : first + area.slots]
        told = np.flatnonzero(pages["owner"][pages_of_slots] != NO_PAGE)
        slot_of[pages_of_slots[told]] = told
        found.append(
            [
                Leak(
                    slot=int(slot_of[at[row]]),
                    compr_bytes=int(pages["size"][at[row]]),
                    since=(int(since[row]) - plan.snapshot.time) / 1e9,
                    why="missed" if pages["bits"][at[row]] & Bit.MISSED else "not notified",
                )
                for row in order
            ]
        )
    return found
