"""What the findings are based on: numbers about areas and zram devices, gathered without tracing.

The bound on stale slots. A *stale* slot is free in the swap map while the store holds an entry for it. Every entry in
an area's pages is mkswap's header, or of a slot in use, or stale; and a slot in use has one entry at most. So

    stale >= entries - header - slots in use

at one moment. What makes it weaker, never wrong: slots in use that have no entry (zero-filled pages since 6.12, pages
that zswap holds, pages allocated and not written yet, slots that wait in the per-CPU slot caches up to 6.12: freed by
the process, in use for the kernel). What would make it wrong is time, as block_state is not read in one moment: an
entry that is seen was either there when the slots in use were counted, or was written since. So the writes to the
device since then are subtracted as well.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from swaptrace.areas import Store
from swaptrace.errors import EnvironmentProblem
from swaptrace.in_use import InUse, in_use
from swaptrace.machine import sysfs
from swaptrace.machine.extents import (
    NotTold,
    Segment,
    count_entries,
    pages_of,
    segments,
    slot_extents,
    slots_of_entries,
)
from swaptrace.machine.machine import PAGE_SIZE, Machine
from swaptrace.machine.stack import (
    BlockLayer,
    Filesystem,
    devices_together,
    filesystem_of,
    kernel_notifies,
    mounts_of,
    resolve,
    stores_below,
    users_above,
)
from swaptrace.machine.swap_map import in_use_events
from swaptrace.machine.sysfs import SwapsLine
from swaptrace.machine.zswap import REFUSALS, read_zswap

_TRIES = 4  # looks at a busy device, in the hope of a quiet moment


@dataclass(frozen=True)
class Observed:
    """What tracing saw of one area. None: it could not be told, for it is not known which store pages are the area's.

    became_stale: slots freed while traced whose entries were still held at the end. leaked: those of them whose
    notification came but was missed. discarded: entries dropped by discards.
    """

    seconds: float
    frees: int
    notifications: int | None
    missed: int | None
    stored: int | None
    became_stale: int | None
    became_stale_bytes: int | None
    discarded: int | None
    lost_events: int


@dataclass(frozen=True)
class AreaEvidence:
    """One swap area (pages, unless the name says bytes).

    entries: those that the store holds in the area's pages, the header's included; None if that cannot be told, and
    `not_told` says why. in_use: where the slots in use are, slot by slot; None if that is not told. stale_at_least: the
    bound above, 0 if it says nothing; with `in_use`, and an area on zram, the very number. stale_bytes: about that many
    compressed bytes, at the store's average.
    """

    path: str
    kind: str
    pages: int
    used: int
    priority: int
    top: BlockLayer
    notified: bool | None  # None: there is no zram below that could be told
    stores: tuple[str, ...] = ()
    entries: int | None = None
    stale_at_least: int | None = None
    stale_bytes: int | None = None
    not_told: str = ""
    in_use: InUse | None = None
    observed: Observed | None = None

    @property
    def stale(self) -> int | None:
        """How many stale entries there are; None where no more than a bound is known."""
        return self.stale_at_least if self.in_use is not None and self.stores else None


@dataclass(frozen=True)
class StoreEvidence:
    """One zram device that has been set up.

    areas: paths of the swap areas that end here. mounts: filesystems on it, with their bytes free (None: not told, or
    not of this device alone). holders: device-mapper, loop and other devices on it. users: all that is on it or on that
    (users_above). file_pages, file_entries: what of it is swap files' (None: not known).
    """

    store: Store
    areas: tuple[str, ...] = ()
    mounts: tuple[tuple[Filesystem, int | None], ...] = ()
    holders: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    file_pages: int | None = None
    file_entries: int | None = None

    def counter(self, name: str) -> int:
        """One of the kernel's counters; 0 where it does not tell."""
        return self.store.counters.get(name, 0)


@dataclass(frozen=True)
class ZswapEvidence:
    """zswap: compressed bytes that it holds, and the size of the pages in them (None: the kernel does not tell).

    counters: how often it refused what, since it is on (debugfs).
    """

    enabled: bool
    pool_bytes: int | None = None
    stored_bytes: int | None = None
    counters: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Evidence:
    """All of it. available_bytes: memory that could be had without swapping (MemAvailable; None: not told). notes:
    sentences on what could not be seen. seconds: how long was traced (None: not at all)."""

    areas: tuple[AreaEvidence, ...]
    stores: tuple[StoreEvidence, ...]
    zswap: ZswapEvidence
    memory_bytes: int
    available_bytes: int | None = None
    notes: tuple[str, ...] = ()
    seconds: float | None = None

    def store(self, name: str) -> StoreEvidence | None:
        return next((found for found in self.stores if found.store.name == name), None)


@dataclass(frozen=True)
class _Look:
    """One look: slots in use by path, then the entries of each store; writes: to each store during the look.

    maps: what the kernel says of each slot, by path, where that was the same before and after.
    """

    swaps: list[SwapsLine]
    maps: dict[str, NDArray[np.uint8]]
    entries: dict[str, NDArray[np.int64]]
    counters: dict[str, Store]
    writes: dict[str, int]


def gather(machine: Machine) -> Evidence:
    """Look at the machine. Raises EnvironmentProblem if the kernel has no swap at all."""
    tops = {line.path: resolve(machine, line.path) for line in _swaps(machine)}
    notes: dict[str, None] = {}
    look = _quiet_look(machine, notes)
    lines = [line for line in look.swaps if line.path in tops]
    pieces = {line.path: _segments(machine, tops[line.path]) for line in lines}
    areas = tuple(_area(line, tops[line.path], pieces[line.path], look) for line in lines)
    stores = tuple(_store(machine, store, areas, pieces, look) for store in look.counters.values())
    notes |= dict.fromkeys(f"{area.path}: {area.not_told}" for area in areas if area.not_told)
    memory = machine.meminfo()
    total, available = memory.get("MemTotal", 0), memory.get("MemAvailable")
    return Evidence(areas, stores, _zswap(machine, notes), total, available, tuple(notes))


def _swaps(machine: Machine) -> list[SwapsLine]:
    try:
        return sysfs.read_swaps((machine.root / "proc/swaps").read_text())
    except OSError:
        raise EnvironmentProblem(
            "there is no /proc/swaps: this kernel has no swap, or /proc is not mounted",
            "boot a kernel built with CONFIG_SWAP=y, and mount /proc",
        ) from None


def _segments(machine: Machine, top: BlockLayer) -> list[Segment] | str:
    """Where the area is on zram, or why that cannot be told."""
    if not stores_below(top):
        return []
    try:
        return segments(machine, top)
    except NotTold as reason:
        return str(reason)


# -- one look at slots and entries


def _quiet_look(machine: Machine, notes: dict[str, None]) -> _Look:
    """A look during which nothing was written, if there is such a moment; else the last of several looks."""
    for _ in range(_TRIES):
        look = _one_look(machine, notes)
        if not any(look.writes.values()):
            return look
    busy = ", ".join(name for name, count in look.writes.items() if count)
    notes[f"swapping went on while {busy} was looked at: what was written meanwhile is not counted as stale"] = None
    return look


def _one_look(machine: Machine, notes: dict[str, None]) -> _Look:
    folders = sorted((machine.root / "sys/block").glob("zram*"), key=lambda path: int(path.name[4:]))
    before = {folder.name: _writes(machine, folder.name) for folder in folders}
    swaps, maps = _swaps(machine), machine.swap_maps()
    counters = {folder.name: sysfs.read_store(folder) for folder in folders}
    size = machine.zram_entry_size() if counters else None
    counters = {
        name: replace(store, table_bytes=sysfs.table_bytes(store.pages, size))
        for name, store in counters.items()
        if store.pages
    }
    entries: dict[str, NDArray[np.int64]] = {}
    for name in counters:
        try:
            entries[name] = machine.block_state(name)
        except PermissionError:
            notes["which pages zram holds is told to root only: bounds come from its totals, or are missing"] = None
        except OSError:
            notes[
                f"which pages {name} holds cannot be seen: mount -t debugfs none /sys/kernel/debug "
                "(and the kernel needs CONFIG_ZRAM_MEMORY_TRACKING=y)"
            ] = None
    writes = {name: _writes(machine, name) - before[name] for name in counters}
    return _Look(swaps, _unchanged(swaps, maps, machine.swap_maps() if maps else {}), entries, counters, writes)


def _unchanged(
    swaps: list[SwapsLine], maps: dict[int, NDArray[np.uint8]], later: dict[int, NDArray[np.uint8]]
) -> dict[str, NDArray[np.uint8]]:
    """The swap maps that are the same later, by path: /proc/swaps has its lines in the order of types."""
    if len(maps) != len(swaps) or maps.keys() != later.keys():
        return {}
    pairs = zip(swaps, sorted(maps), strict=True)
    return {line.path: maps[number] for line, number in pairs if np.array_equal(maps[number], later[number])}


def _writes(machine: Machine, name: str) -> int:
    """Pages written to a device since it exists (Documentation/block/stat.rst: the seventh is write sectors)."""
    words = machine.text(f"sys/block/{name}/stat").split()
    return int(words[6]) * 512 // PAGE_SIZE if len(words) > 6 else 0


# -- areas


def _area(line: SwapsLine, top: BlockLayer, pieces: list[Segment] | str, look: _Look) -> AreaEvidence:
    stores = stores_below(top)
    entries, why = _entries(top, pieces, look) if stores else (None, "")
    stale = stale_bytes = None
    in_use = _in_use(line, pieces, look)
    if entries is not None:
        stale = max(entries - 1 - line.used - sum(look.writes.get(name, 0) for name in stores), 0)
        if in_use is not None:
            stale = max(entries - 1 - in_use.with_entry, 0)
        stale_bytes = _bytes(stale, [look.counters[name] for name in stores if name in look.counters])
    if top.kind == "unknown":
        why = "what lies behind it cannot be seen from here (a deleted file, or another mount namespace)"
    return AreaEvidence(
        path=line.path, kind=line.kind, pages=line.pages, used=line.used, priority=line.priority, top=top,
        notified=kernel_notifies(top) if stores else None, stores=stores, entries=entries, stale_at_least=stale,
        stale_bytes=stale_bytes, not_told=why, in_use=in_use,
    )  # fmt: skip


def _in_use(line: SwapsLine, pieces: list[Segment] | str, look: _Look) -> InUse | None:
    """Where an area's slots in use are; None if that cannot be told, or if something came or went meanwhile."""
    slots = look.maps.get(line.path)
    if slots is None or isinstance(pieces, str):
        return None
    extents = slot_extents(pieces, len(slots))
    names = {piece.store for piece in pieces}
    if any(name not in look.entries or look.writes.get(name) for name in names) or bool(pieces) != bool(extents):
        return None
    found = [slots_of_entries(look.entries[name], extents) for name in names]  # one at most, see slot_extents()
    said = in_use_events(0, slots, 0)
    if not len(said):
        return InUse(0, 0, 0, 0, 0)
    return in_use(said, 0, found[0] if found else np.zeros(0, np.int64))


def _entries(top: BlockLayer, pieces: list[Segment] | str, look: _Look) -> tuple[int | None, str]:
    """Entries in the area's pages (or None and why not)."""
    if top.kind == "zram":
        # nothing else is on the device: all that it holds is the area's, beyond the area's end as well
        name = top.name
        store = look.counters.get(name)
        if name in look.entries:
            return len(look.entries[name]), ""
        if store is not None and "pages_stored" in store.counters:
            return store.counters["pages_stored"], ""
    if isinstance(pieces, str):
        return None, f"how much is stale cannot be told: {pieces}"
    found = 0
    for name, ranges in pages_of(pieces).items():
        if name not in look.entries:
            return None, f"how much is stale cannot be told: which pages {name} holds is not known"
        found += count_entries(look.entries[name], ranges)
    return found, ""


def _bytes(pages: int, stores: list[Store]) -> int | None:
    """About how many compressed bytes that many entries have, at the average of the stores."""
    stored = sum(store.counters.get("pages_stored", 0) for store in stores)
    size = sum(store.counters.get("compr_data_size", 0) for store in stores)
    return round(size * pages / stored) if stored else (0 if not pages else None)


# -- stores


def _store(
    machine: Machine, store: Store, areas: tuple[AreaEvidence, ...], pieces: dict[str, list[Segment] | str], look: _Look
) -> StoreEvidence:
    mine = [area for area in areas if store.name in area.stores]
    mounted = {mount.point: filesystem_of(mount) for mount in mounts_of(machine, store.name)}
    folder = machine.root / f"sys/block/{store.name}/holders"
    holders = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    holders += _loops_on(machine, store.name)
    pages, found = _of_files(mine, pieces, store.name, look)
    alone = devices_together(machine, store.name) == (store.name,)
    mounts = tuple((found, _free(machine, point) if alone else None) for point, found in sorted(mounted.items()))
    return StoreEvidence(
        store, tuple(area.path for area in mine), mounts, tuple(holders), users_above(machine, store.name),
        pages, found,
    )  # fmt: skip


def _loops_on(machine: Machine, name: str) -> list[str]:
    """Loop devices whose backing file is the device itself: sysfs lists them under no holders."""
    loops = sorted((machine.root / "sys/block").glob("loop*/loop/backing_file"))
    return [path.parent.parent.name for path in loops if machine.text(str(path)) == f"/dev/{name}"]


def _free(machine: Machine, mount_point: str) -> int | None:
    try:
        return machine.space(mount_point).free
    except OSError:
        return None


def _of_files(
    areas: list[AreaEvidence], pieces: dict[str, list[Segment] | str], name: str, look: _Look
) -> tuple[int | None, int | None]:
    """(pages, entries) of a store that belong to swap files; None if that is not known."""
    pages = found = 0
    for area in areas:
        mapped = pieces[area.path]
        if isinstance(mapped, str) or name not in look.entries:
            return None, None
        ranges = pages_of(mapped).get(name)
        if ranges is not None:
            pages += int(ranges[:, 1].sum())
            found += count_entries(look.entries[name], ranges)
    return pages, found


# -- zswap


def _zswap(machine: Machine, notes: dict[str, None]) -> ZswapEvidence:
    """Its sizes come from debugfs, or from /proc/meminfo, which has them since 5.19."""
    zswap = read_zswap(machine)
    enabled = machine.text("sys/module/zswap/parameters/enabled") in ("Y", "1")
    pool, stored = (zswap.counters.get(name) for name in ("mem_used_total", "orig_data_size"))
    if enabled and pool is None:
        notes["how much zswap holds is told to root only, in debugfs (mount -t debugfs none /sys/kernel/debug)"] = None
    return ZswapEvidence(
        enabled, pool, stored, {name: zswap.counters[name] for name in REFUSALS if name in zswap.counters}
    )
