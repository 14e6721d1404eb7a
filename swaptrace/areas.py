"""Swap areas and stores, as the kernel describes them."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["ZSWAP_STORES", "Snapshot", "Store", "SwapArea"]

#: Ids of stores from here on are zswap's, one for each swap area that it is in front of: this plus the swap type.
ZSWAP_STORES = 128


@dataclass(frozen=True)
class SwapArea:
    """One swap area. (swap_type, generation) names it; generations count from 0 per type within a trace.

    extents: (first slot, first store index, slots), what the store's indexes are; empty without a store of its own.
    slots: the area's size in slots, the header's (offset 0) included. used: slots in use when this was read. discards:
    whether the kernel discards clusters that become free (SWP_PAGE_DISCARD); None in older traces, which do not tell.
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
    discards: bool | None = None


@dataclass(frozen=True)
class Store:
    """A compressed store: a zram device (id is its minor number, pages its disksize), or zswap in front of an area.

    counters: every number that sysfs tells, by name: those of mm_stat (orig_data_size ... in bytes, same_pages and
    huge_pages in pages), io_stat, debug_stat (miss_free) and bd_stat. `pages_stored` is orig_data_size in pages. Those
    of zswap are for the whole machine: there are none if it has another area to serve. allocator: where the compressed
    bytes are; "" if in several pools. features: what the device does besides, that no event tells of (see
    swaptrace.degradation.FEATURES). table_bytes: memory of zram's own table, which has an entry for each page of the
    device, stored or not; in whole pages (None: not known, or zswap, which has none).
    """

    id: int
    name: str
    pages: int
    algorithm: str = ""
    counters: dict[str, int] = field(default_factory=dict)
    allocator: str = "zsmalloc"
    features: tuple[str, ...] = ()
    table_bytes: int | None = None

    @property
    def is_zswap(self) -> bool:
        return self.id >= ZSWAP_STORES


@dataclass(frozen=True)
class Snapshot:
    """Swap areas and stores at one moment (CLOCK_MONOTONIC, ns)."""

    time: int
    areas: tuple[SwapArea, ...] = ()
    stores: tuple[Store, ...] = ()
