"""What the kernel tells about swap areas and zram devices in /proc, /sys and debugfs."""

from __future__ import annotations

import fcntl
import os
import re
import stat
import struct
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from swaptrace.areas import Snapshot, Store, SwapArea
from swaptrace.events import EventFlag, EventKind, empty

__all__ = [
    "SwapsLine",
    "describe_area",
    "file_extents",
    "present_entries",
    "read_block_state",
    "read_store",
    "read_stores",
    "read_swaps",
    "snapshot",
    "without",
]

PAGE_SIZE = os.sysconf("SC_PAGE_SIZE")
# include/uapi/linux/fiemap.h: start, length, flags (1: write out first), mapped, room for, reserved; and each extent:
# logical, physical, length, 16 bytes reserved, flags (1: the last one), 12 bytes reserved
_FS_IOC_FIEMAP = 0xC020660B
_FIEMAP = struct.Struct("=QQIIII")
_FIEMAP_EXTENT = struct.Struct("=QQQ16xI12x")
_FIEMAP_EXTENTS = 256
_BLOCK = Path("/sys/block")
_DEBUG_ZRAM = Path("/sys/kernel/debug/zram")

# Documentation/admin-guide/blockdev/zram.rst; columns were added at the end over time
_MM_STAT = (
    "orig_data_size", "compr_data_size", "mem_used_total", "mem_limit", "mem_used_max", "same_pages",
    "pages_compacted", "huge_pages", "huge_pages_since",
)  # fmt: skip
_IO_STAT = ("failed_reads", "failed_writes", "invalid_io", "notify_free")
_BD_STAT = ("bd_count", "bd_reads", "bd_writes")


@dataclass(frozen=True)
class SwapsLine:
    """One line of /proc/swaps: sizes in pages (without the header page), as the kernel lists them, by swap type."""

    path: str
    kind: str
    pages: int
    used: int
    priority: int


def read_swaps(text: str | None = None) -> list[SwapsLine]:
    """/proc/swaps (or `text`, in its format)."""
    lines = (text if text is not None else Path("/proc/swaps").read_text()).splitlines()[1:]
    swaps = []
    for line in lines:
        path, kind, size, used, priority = line.rsplit(maxsplit=4)
        kib = PAGE_SIZE // 1024
        swaps.append(SwapsLine(_unescape(path.strip()), kind, int(size) // kib, int(used) // kib, int(priority)))
    return swaps


def _unescape(path: str) -> str:
    """The kernel writes spaces and the like as three octal digits (seq_file_path)."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), path)


def _numbers(path: Path) -> list[int]:
    try:
        return [int(word) for word in path.read_text().split()]
    except (OSError, ValueError):  # not there on this kernel, or a device that has not been set up
        return []


def read_store(device: Path) -> Store:
    """A zram device, by its folder in /sys/block, with all counters that it shows."""
    counters: dict[str, int] = {}
    for file, names in (("mm_stat", _MM_STAT), ("io_stat", _IO_STAT), ("bd_stat", _BD_STAT)):
        counters |= dict(zip(names, _numbers(device / file), strict=False))
    if "orig_data_size" in counters:
        counters["pages_stored"] = counters["orig_data_size"] // PAGE_SIZE
    try:
        # "version: 1", then writestall (or 0), and since 5.8 miss_free
        numbers = (device / "debug_stat").read_text().splitlines()[1].split()
        counters["miss_free"] = int(numbers[1] if len(numbers) > 1 else numbers[0])
    except (OSError, IndexError, ValueError):
        pass
    algorithm = ""
    try:
        chosen = re.search(r"\[(.+?)\]", (device / "comp_algorithm").read_text())
        algorithm = chosen[1] if chosen else ""
    except OSError:
        pass
    size = _numbers(device / "disksize")
    return Store(
        id=int((device / "dev").read_text().split(":")[1]),
        name=device.name,
        pages=size[0] // PAGE_SIZE if size else 0,
        algorithm=algorithm,
        counters=counters,
    )


def read_stores() -> tuple[Store, ...]:
    """All zram devices that have been set up (disksize is not 0)."""
    devices = sorted(_BLOCK.glob("zram*"), key=lambda path: int(path.name[4:]))
    return tuple(store for store in map(read_store, devices) if store.pages)


def describe_area(path: str, swap_type: int, priority: int, pages: int, used: int = 0) -> SwapArea:
    """What lies behind a swap area: its store, and which of the store's pages the area's slots are.

    A zram device, a partition of one, or a file on a filesystem there is stored in it; all else counts as a disk.
    """
    slots = pages + 1  # the header's page is slot 0
    area = SwapArea(path=path, swap_type=swap_type, priority=priority, slots=slots, used=used)
    try:
        status = Path(path).stat()
    except OSError:  # gone again, or in another mount namespace
        return area
    block = stat.S_ISBLK(status.st_mode)
    number = status.st_rdev if block else status.st_dev
    device = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}").resolve()
    start = _numbers(device / "start")  # of a partition, in sectors of 512 bytes
    disk = device.parent if start else device
    if not disk.name.startswith("zram"):
        return area
    first = start[0] * 512 // PAGE_SIZE if start else 0
    extents = ((0, first, slots),) if block else file_extents(path, first, slots)
    return SwapArea(
        path=path, swap_type=swap_type, priority=priority, slots=slots, used=used, backing="zram",
        store=read_store(disk).id, extents=extents,
    )  # fmt: skip


def file_extents(path: str, first: int, slots: int) -> tuple[tuple[int, int, int], ...]:
    """Which store pages the slots of a swap file are: (first slot, first store index, slots), by slot.

    As the kernel maps it at swapon (generic_swapfile_activate, mm/page_io.c): block by block through the filesystem,
    here by FIEMAP. first: the store page where the filesystem's device begins. Empty if the filesystem does not tell.
    """
    extents: list[tuple[int, int, int]] = []
    position, last = 0, False
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return ()
    try:
        while not last and position < slots * PAGE_SIZE:
            request = bytearray(_FIEMAP.pack(position, 2**64 - 1 - position, 1, 0, _FIEMAP_EXTENTS, 0))
            request += bytes(_FIEMAP_EXTENT.size * _FIEMAP_EXTENTS)
            fcntl.ioctl(descriptor, _FS_IOC_FIEMAP, request)
            found = _FIEMAP.unpack_from(request)[3]
            if not found:
                break
            for number in range(found):
                logical, physical, length, flags = _FIEMAP_EXTENT.unpack_from(
                    request, _FIEMAP.size + number * _FIEMAP_EXTENT.size
                )
                extents.append((logical // PAGE_SIZE, first + physical // PAGE_SIZE, length // PAGE_SIZE))
                position, last = logical + length, bool(flags & 1)
    except OSError:
        return ()
    finally:
        os.close(descriptor)
    return tuple((slot, index, min(count, slots - slot)) for slot, index, count in extents if slot < slots)


def snapshot(types: list[int]) -> Snapshot:
    """Areas and stores now. `types` are the swap types in use, in order, which /proc/swaps does not tell."""
    now = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    stores = read_stores()
    areas = tuple(
        describe_area(line.path, swap_type, line.priority, line.pages, line.used)
        for swap_type, line in zip(types, read_swaps(), strict=False)
    )
    return Snapshot(now, areas, stores)


def present_entries(store: Store) -> NDArray[np.void]:
    """PRESENT events for all entries that a store holds now, from block_state: EVENT, one for each run of equal ones.

    Empty if the kernel was built without CONFIG_ZRAM_MEMORY_TRACKING, or debugfs is not mounted.
    """
    try:
        index, flags = read_block_state(store.name)
    except OSError:
        return empty()
    if not len(index):
        return empty()
    breaks = (np.diff(index) != 1) | (np.diff(flags) != 0)
    # a run is at most 65535 pages long
    breaks |= (np.arange(1, len(index)) % 0xFFFF) == 0
    first = np.concatenate([[0], np.flatnonzero(breaks) + 1])
    events = empty(len(first))
    events["time"] = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    events["slot"] = index[first]
    events["run"] = np.diff(np.append(first, len(index)))
    events["flags"] = flags[first]
    if len(index) == 1 == store.counters.get("pages_stored"):  # mkswap's page, as a rule: the only size that is told
        events["size"] = store.counters["compr_data_size"]
    events["kind"] = EventKind.PRESENT
    events["device"] = store.id
    return events


def without(present: NDArray[np.void], indexes: NDArray[np.int64]) -> NDArray[np.void]:
    """The same PRESENT events, but for those store indexes."""
    if not len(indexes) or not len(present):
        return present
    runs = present["run"].astype(np.int64)
    single = np.repeat(present, runs)
    single["slot"] += (np.arange(len(single)) - np.repeat(np.cumsum(runs) - runs, runs)).astype(np.uint32)
    single["run"] = 1
    return single[~np.isin(single["slot"], indexes)]


def _read_whole(path: Path) -> bytes:
    """All of a file that gives whole lines only, and nothing at all to a buffer with room for less than one.

    Python's own read() ends such a file too early: it asks for what is left of its buffer.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        parts = []
        while part := os.read(descriptor, 1 << 20):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(descriptor)


def read_block_state(name: str, raw: bytes | None = None) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    """(indexes, EventFlag values) of the entries of a zram device, shape (entries,) each.

    Every line has the same width ("%12zd %12lld.%06lu" and the flags, read_block_state() in zram_drv.c), so all are
    read at once. Raises OSError if the file is not there.
    """
    raw = raw if raw is not None else _read_whole(_DEBUG_ZRAM / name / "block_state")
    if not raw:
        return np.zeros(0, np.int64), np.zeros(0, np.uint32)
    lines = np.frombuffer(raw, np.uint8).reshape(-1, raw.index(b"\n") + 1)
    digits = lines[:, :12].astype(np.int64) - ord("0")
    index = np.where(digits >= 0, digits, 0) @ (10 ** np.arange(11, -1, -1, dtype=np.int64))
    marks = lines[:, 32:]
    flags = np.zeros(len(lines), np.uint32)
    for letter, flag in (("s", EventFlag.SAME), ("h", EventFlag.HUGE), ("w", EventFlag.WRITTEN_BACK)):
        flags |= np.where((marks == ord(letter)).any(axis=1), np.uint32(flag), np.uint32(0))
    return index, flags
