"""Swap areas and stores at one moment, and which pages of which store an area's slots are."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from swaptrace.areas import ZSWAP_STORES, Snapshot, Store, SwapArea
from swaptrace.live import sysfs
from swaptrace.live.extents import NotTold, Segment, segments, slot_extents
from swaptrace.live.machine import Machine
from swaptrace.live.stack import resolve
from swaptrace.live.zswap import read_zswap, zswap_store

__all__ = ["describe_area", "store_of", "take_snapshot"]

_BLOCK = Path("/sys/block")
_SWP_PAGE_DISCARD = 1 << 10  # include/linux/swap.h: the same on every kernel since 5.0
_HERE = Machine()


def describe_area(
    path: str,
    swap_type: int,
    priority: int,
    pages: int,
    used: int = 0,
    machine: Machine = _HERE,
    *,
    zswap: bool = False,
    flags: int | None = None,
) -> SwapArea:
    """What lies behind a swap area of so many pages (its header's not included). flags: swap_info_struct.flags.

    Through partitions, files, loop devices and device mapper down to zram; everything else, and whatever does not tell
    how it maps its pages, counts as a disk. That has no store, unless zswap is in front of it, whose indexes are the
    slots themselves.
    """
    discards = None if flags is None else bool(flags & _SWP_PAGE_DISCARD)
    area = SwapArea(path=path, swap_type=swap_type, priority=priority, slots=pages + 1, used=used, discards=discards)
    disk = area
    if zswap:
        disk = replace(area, backing="zswap", store=ZSWAP_STORES + swap_type, extents=((0, 0, area.slots),))
    try:
        pieces: list[Segment] = segments(machine, resolve(machine, path))
    except NotTold:
        return disk
    extents = slot_extents(pieces, area.slots)
    if not extents:
        return disk
    store = sysfs.read_store(_BLOCK / pieces[0].store)
    # a device number that events have no room for stands for zswap there: nothing is recorded of it
    return disk if store.is_zswap else replace(area, backing="zram", store=store.id, extents=extents)


def store_of(area: SwapArea, pools: int = 0, entry_size: int | None = None) -> Store | None:
    """The store of an area, as it is now; None for a disk. pools: how many of them zswap has. entry_size: bytes of an
    entry of zram's table."""
    if area.backing == "zswap":
        return zswap_store(area, read_zswap(_HERE), pools=pools)
    return next((store for store in _zram_stores(entry_size) if store.id == area.store), None)


def _zram_stores(entry_size: int | None) -> tuple[Store, ...]:
    stores = sysfs.read_stores()
    return tuple(replace(store, table_bytes=sysfs.table_bytes(store.pages, entry_size)) for store in stores)


def take_snapshot(
    flags: Mapping[int, int | None], *, zswap: bool = False, pools: int = 0, entry_size: int | None = None
) -> Snapshot:
    """Areas and stores now. `flags` are those of the areas that are on, by swap type, in order: neither is told by
    /proc/swaps. None: not known yet.

    zswap: it is recorded. pools: how many of them it has. entry_size: bytes of an entry of zram's table.
    """
    now = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    stores = tuple(store for store in _zram_stores(entry_size) if not store.is_zswap)  # see describe_area
    areas = tuple(
        describe_area(line.path, swap_type, line.priority, line.pages, line.used, zswap=zswap, flags=flag)
        for (swap_type, flag), line in zip(flags.items(), sysfs.read_swaps(), strict=False)
    )
    state, alone = read_zswap(_HERE), len(areas) == 1
    stores += tuple(zswap_store(a, state, pools=pools, alone=alone) for a in areas if a.backing == "zswap")
    return Snapshot(now, areas, stores)
