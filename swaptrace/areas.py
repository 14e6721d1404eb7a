"""Swap areas and stores, as the kernel describes them."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Snapshot", "Store", "SwapArea"]


@dataclass(frozen=True)
class SwapArea:
    """One swap area. (swap_type, generation) names it; generations count from 0 per type within a trace.

    extents: (first slot, first store index, slots), what the store's indexes are; empty without a store of its own.
    slots: the area's size in slots, the header's (offset 0) included. used: slots in use when this was read.
    """

    path: str
    swap_type: int
    priority: int
    slots: int
    used: int = 0
    backing: str = "disk"
    store: int | None = None
    extents: tuple[tuple[int, int, int], ...] = ()
    generation: int = 0


@dataclass(frozen=True)
class Store:
    """A compressed store (zram device): id is its minor number, pages its disksize.

    counters: every number that sysfs tells, by name: those of mm_stat (orig_data_size ... in bytes, same_pages and
    huge_pages in pages), io_stat, debug_stat (miss_free) and bd_stat. `pages_stored` is orig_data_size in pages.
    """

    id: int
    name: str
    pages: int
    algorithm: str = ""
    counters: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Snapshot:
    """Swap areas and stores at one moment (CLOCK_MONOTONIC, ns)."""

    time: int
    areas: tuple[SwapArea, ...] = ()
    stores: tuple[Store, ...] = ()
