"""Swap areas and stores at one moment, and which pages of which store an area's slots are."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from swaptrace.areas import MEMORY, VMSTAT, ZSWAP_STORES, Snapshot, Store, SwapArea
from swaptrace.errors import EnvironmentProblem
from swaptrace.machine import sysfs
from swaptrace.machine.extents import NotTold, Segment, segments, slot_extents
from swaptrace.machine.machine import Machine
from swaptrace.machine.stack import may_be_on_zram, resolve
from swaptrace.machine.zswap import read_zswap, zswap_store

_BLOCK = Path("/sys/block")
_HERE = Machine()
_USED, _DISCARDS = 1, 1 << 10  # SWP_USED, SWP_PAGE_DISCARD (include/linux/swap.h): the latter so since 5.0
_LOOKS, _BETWEEN_LOOKS = 200, 0.01  # until the kernel's table of areas and /proc/swaps agree; seconds


@dataclass(frozen=True)
class KernelArea:
    """A swap area in the kernel's table. swap_file: tells it from the next one of its type. discards: see SwapArea."""

    swap_type: int
    swap_file: int
    pages: int
    priority: int
    discards: bool | None = None


def kernel_area(swap_type: int, seen: Any) -> KernelArea | None:
    """What the programs have seen of a type (bpf/swap_calls.c, struct swap_area); None if no area of it is on."""
    if not seen.flags & _USED:
        return None
    discards = bool(seen.flags & _DISCARDS)
    return KernelArea(swap_type, int(seen.swap_file), int(seen.pages), int(seen.priority), discards)


def describe_area(
    path: str,
    swap_type: int,
    priority: int,
    pages: int,
    used: int = 0,
    machine: Machine = _HERE,
    *,
    zswap: bool = False,
    discards: bool | None = None,
) -> SwapArea:
    """What lies behind a swap area of so many pages (its header's not included). discards: see SwapArea.

    Through partitions, files, loop devices and device mapper down to zram; everything else is a disk. That has no
    store, unless zswap is in front of it, whose indexes are the slots themselves. An area that may be on zram, but does
    not tell on which of its pages, is not understood.
    """
    area = SwapArea(path=path, swap_type=swap_type, priority=priority, slots=pages + 1, used=used, discards=discards)
    top = resolve(machine, path)
    try:
        pieces: list[Segment] = segments(machine, top)
    except NotTold as why:
        return not_understood(area, str(why), zswap=zswap) if may_be_on_zram(top) else _disk(area, zswap)
    if not pieces:
        return _disk(area, zswap)
    extents = slot_extents(pieces, area.slots)
    if not extents:
        return not_understood(area, "its slots are no whole pages of one zram device", zswap=zswap)
    store = sysfs.read_store(_BLOCK / pieces[0].store)
    if store.is_zswap:  # a device number that events have no room for stands for zswap there: nothing is recorded of it
        return not_understood(area, f"the number of {store.name} is too large to be recorded", zswap=zswap)
    return replace(area, backing="zram", store=store.id, extents=extents)


def not_understood(area: SwapArea, why: str, *, zswap: bool = False) -> SwapArea:
    """The same area, of which is not known what lies behind it. What zswap holds in front of it is known."""
    return _disk(area, True) if zswap else replace(area, backing="unknown", store=None, extents=(), not_told=why)


def _disk(area: SwapArea, zswap: bool) -> SwapArea:
    if not zswap:
        return replace(area, backing="disk", store=None, extents=())
    return replace(area, backing="zswap", store=ZSWAP_STORES + area.swap_type, extents=((0, 0, area.slots),))


def store_of(area: SwapArea, pools: int = 0, entry_size: int | None = None) -> Store | None:
    """The store of an area, as it is now; None for a disk. pools: how many of them zswap has. entry_size: bytes of an
    entry of zram's table."""
    if area.backing == "zswap":
        return zswap_store(area, read_zswap(_HERE), pools=pools)
    return next((store for store in _zram_stores(entry_size) if store.id == area.store), None)


def _zram_stores(entry_size: int | None) -> tuple[Store, ...]:
    stores = sysfs.read_stores()
    return tuple(replace(store, table_bytes=sysfs.table_bytes(store.pages, entry_size)) for store in stores)


def pair(areas: list[KernelArea], lines: list[sysfs.SwapsLine]) -> list[tuple[KernelArea, sysfs.SwapsLine]] | None:
    """(area, its line of /proc/swaps) of each area; None if the two do not tell of the same areas.

    Both are in the order of types.
    """
    if [(area.pages, area.priority) for area in areas] != [(line.pages, line.priority) for line in lines]:
        return None
    return list(zip(areas, lines, strict=True))


def take_snapshot(
    look: Callable[[], list[KernelArea]], *, zswap: bool = False, pools: int = 0, entry_size: int | None = None
) -> Snapshot:
    """Areas and stores now. look: the kernel's table of areas, in the order of types, which /proc/swaps does not tell.

    zswap: it is recorded. pools: how many of them it has. entry_size: bytes of an entry of zram's table.

    Raises EnvironmentProblem if areas come and go all the time.
    """
    for _ in range(_LOOKS):  # until nothing has come or gone meanwhile
        before, now = look(), time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        stores = tuple(store for store in _zram_stores(entry_size) if not store.is_zswap)  # see describe_area
        lines = sysfs.read_swaps()
        if before == look() and (pairs := pair(before, lines)) is not None:
            break
        time.sleep(_BETWEEN_LOOKS)
    else:
        raise EnvironmentProblem("swap areas come and go all the time: none can be looked at", "record again")
    areas = tuple(
        describe_area(
            line.path, area.swap_type, line.priority, line.pages, line.used, zswap=zswap, discards=area.discards
        )
        for area, line in pairs
    )
    state, alone = read_zswap(_HERE), len(areas) == 1
    stores += tuple(zswap_store(a, state, pools=pools, alone=alone) for a in areas if a.backing == "zswap")
    memory, vmstat = _HERE.meminfo(), _HERE.vmstat()
    return Snapshot(
        now,
        areas,
        stores,
        {name: memory[name] for name in MEMORY if name in memory},
        {name: vmstat[name] for name in VMSTAT if name in vmstat},
    )
