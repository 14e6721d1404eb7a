"""What the kernel tells about swap areas and zram devices in /proc, /sys and debugfs."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from swaptrace.areas import Store
from swaptrace.degradation import RECOMPRESSION
from swaptrace.events import EventFlag, EventKind, empty
from swaptrace.machine.runs import runs

PAGE_SIZE = os.sysconf("SC_PAGE_SIZE")
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
        swaps.append(SwapsLine(unescape(path.strip()), kind, int(size) // kib, int(used) // kib, int(priority)))
    return swaps


def unescape(path: str) -> str:
    """A path as in /proc: the kernel writes spaces and the like as three octal digits (seq_file_path)."""
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
        features=features_of(device),
        backing_dev=_backing_device(device),
    )


def _backing_device(device: Path) -> str:
    """Empty if there is none, or the kernel was built without CONFIG_ZRAM_WRITEBACK."""
    try:
        told = (device / "backing_dev").read_text().strip()
    except OSError:
        return ""
    return "" if told == "none" else told


def features_of(device: Path) -> tuple[str, ...]:
    """What a zram device, by its folder in sysfs, is set up to do that no event tells of.

    recomp_algorithm has a line for each algorithm that was chosen; it is empty if none was, and not there without
    CONFIG_ZRAM_MULTI_COMP (since 6.2, "zram: introduce recompress sysfs knob").
    """
    try:
        chosen = (device / "recomp_algorithm").read_text().strip()
    except OSError:
        return ()
    return (RECOMPRESSION,) if chosen else ()


def table_bytes(pages: int, entry_size: int | None) -> int | None:
    """Memory of zram's table for a device of so many pages, which the driver takes as a whole when disksize is set
    (zram_meta_alloc(), vzalloc): in whole pages. None if the size of an entry is not known."""
    return None if entry_size is None else -(-pages * entry_size // PAGE_SIZE) * PAGE_SIZE


def read_stores() -> tuple[Store, ...]:
    """All zram devices that have been set up (disksize is not 0)."""
    devices = sorted(_BLOCK.glob("zram*"), key=lambda path: int(path.name[4:]))
    return tuple(store for store in map(read_store, devices) if store.pages)


def present_entries(store: Store) -> NDArray[np.void]:
    """PRESENT events for all entries that a store holds now, from block_state: EVENT, one for each run of equal ones.

    Empty if the kernel was built without CONFIG_ZRAM_MEMORY_TRACKING, or debugfs is not mounted.
    """
    try:
        index, flags = read_block_state(store.name)
    except OSError:
        return empty()
    first, length = runs(index, flags)
    events = empty(len(first))
    events["time"] = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    events["slot"] = index[first]
    events["run"] = length
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


def read_block_state(name: str, raw: bytes | None = None) -> tuple[NDArray[np.int64], NDArray[np.uint16]]:
    """(indexes, EventFlag values) of the entries of a zram device, shape (entries,) each.

    Every line has the same width ("%12zd %12lld.%06lu" and the flags, read_block_state() in zram_drv.c), so all are
    read at once. Raises OSError if the file is not there.
    """
    raw = raw if raw is not None else _read_whole(_DEBUG_ZRAM / name / "block_state")
    if not raw:
        return np.zeros(0, np.int64), np.zeros(0, np.uint16)
    lines = np.frombuffer(raw, np.uint8).reshape(-1, raw.index(b"\n") + 1)
    digits = lines[:, :12].astype(np.int64) - ord("0")
    index = np.where(digits >= 0, digits, 0) @ (10 ** np.arange(11, -1, -1, dtype=np.int64))
    marks = lines[:, 32:]
    flags = np.zeros(len(lines), np.uint16)
    for letter, flag in (("s", EventFlag.SAME), ("h", EventFlag.HUGE), ("w", EventFlag.WRITTEN_BACK)):
        flags |= np.where((marks == ord(letter)).any(axis=1), np.uint16(flag), np.uint16(0))
    on_disk = flags & EventFlag.WRITTEN_BACK > 0  # which in 7.3 keep the mark of a huge one
    return index, np.where(on_disk, flags & ~np.uint16(EventFlag.HUGE), flags)
