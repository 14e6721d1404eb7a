"""Swap areas and stores, as the kernel describes them.

Fields are annotated with the values that they can have: what is read from a file is held against that (see
swaptrace.trace.header), and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from msgspec import Meta

#: Swap types of the kernel are less than this: MAX_SWAPFILES_SHIFT is 5, the most that a swap entry has bits for.
MAX_TYPES = 32

#: Ids of stores from here on are zswap's, one for each swap area that it is in front of: this plus the swap type.
ZSWAP_STORES = 0xFF00

#: ns of CLOCK_MONOTONIC: 146 years at most, so that sums and differences have room in 64 bits.
MAX_TIME = 1 << 62
Time = Annotated[int, Meta(ge=0, le=MAX_TIME)]
#: A counter of the kernel's, or bytes.
Amount = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
#: Slots of an area, or pages of a store, are no more than an event's `slot` can number.
MAX_PAGES = 1 << 32
Pages = Annotated[int, Meta(ge=0, le=MAX_PAGES)]
#: An event's `device` has 16 bits.
StoreId = Annotated[int, Meta(ge=0, lt=1 << 16)]


@dataclass(frozen=True)
class SwapArea:
    """One swap area. (swap_type, generation) names it; generations count from 0 per type within a trace.

    extents: (first slot, first store index, slots), what the store's indexes are; empty without a store of its own.
    slots: the area's size in slots, the header's (offset 0) included. used: slots in use when this was read.
    backing: zram, zswap, disk, or unknown; not_told: why it is unknown, as half a sentence. discards: whether the
    kernel discards clusters that become free (SWP_PAGE_DISCARD); None in older traces, which do not tell.
    """

    path: str
    swap_type: Annotated[int, Meta(ge=0, lt=MAX_TYPES)]
    priority: int
    slots: Pages
    used: Pages = 0
    backing: Literal["disk", "unknown", "zram", "zswap"] = "disk"
    store: StoreId | None = None
    extents: tuple[tuple[Pages, Pages, Pages], ...] = ()
    generation: Amount = 0
    discards: bool | None = None
    not_told: str = ""


@dataclass(frozen=True)
class Store:
    """A compressed store: a zram device (id is its minor number, pages its disksize), or zswap in front of an area.

    counters: every number that sysfs tells, by name: those of mm_stat (orig_data_size ... in bytes, same_pages and
    huge_pages in pages), io_stat, debug_stat (miss_free) and bd_stat. `pages_stored` is orig_data_size in pages. Those
    of zswap are for the whole machine: there are none if it has another area to serve. allocator: where the compressed
    bytes are; "" if in several pools. features: what the device does besides, that no event tells of (see
    swaptrace.degradation.FEATURES). table_bytes: memory of zram's own table, which has an entry for each page of the
    device, stored or not; in whole pages (None: not known, or zswap, which has none). backing_dev: where zram can write
    pages back to, if anywhere.
    """

    id: StoreId
    name: str
    pages: Pages
    algorithm: str = ""
    counters: dict[str, Amount] = field(default_factory=dict)
    allocator: str = "zsmalloc"
    features: tuple[str, ...] = ()
    table_bytes: Amount | None = None
    backing_dev: str = ""

    @property
    def is_zswap(self) -> bool:
        return self.id >= ZSWAP_STORES


@dataclass(frozen=True)
class Snapshot:
    """Swap areas and stores at one moment (CLOCK_MONOTONIC, ns).

    memory: of the machine, in bytes: those of MEMORY that the kernel tells of. vmstat: its counters, pages: those of
    VMSTAT, likewise; none in traces of older recorders.
    """

    time: Time
    areas: tuple[SwapArea, ...] = ()
    stores: tuple[Store, ...] = ()
    memory: dict[str, Amount] = field(default_factory=dict)
    vmstat: dict[str, Amount] = field(default_factory=dict)


#: What is taken from /proc/meminfo.
MEMORY = ("MemTotal", "MemAvailable", "SwapCached", "Zswap", "Zswapped")
#: What is taken from /proc/vmstat: pages that readahead read, and those of them that somebody used.
VMSTAT = ("swap_ra", "swap_ra_hit")


def store_name(number: int) -> str:
    """What a store is called of which nothing else is told."""
    return "zswap" if number >= ZSWAP_STORES else f"zram{number}"


def title_of(path: str, swap_type: int, generation: int) -> str:
    """What tells a swap area from others, and from earlier ones on the same device."""
    return f"{path} (swap type {swap_type}{again(generation)})"


def again(generation: int) -> str:
    """What to add to a name for one that is not the first of it. generation: how many there were before."""
    return f", activation {generation + 1}" if generation else ""
