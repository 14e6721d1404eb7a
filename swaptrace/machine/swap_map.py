"""What the kernel says of each slot of a swap area: whether it is in use, in the swap cache, and of a page of zeros.

/proc/swaps has the sum alone. Where it is kept, by release (mm/swapfile.c, mm/swap.h):

- swap_info_struct.swap_map, a byte a slot: how often it is in use, and SWAP_HAS_CACHE; until 0d6af9bcf383 ("mm, swap:
  use the swap table to track the swap count", after 6.18; gone in 7.3).
- swap_info_struct.zeromap, a bit a slot, since 0ca0c24e3211 ("mm: store zero pages to be swapped out in a bitmap",
  6.12); since the swap map went, a bit of the swap table's.
- swap_cluster_info.table, a word a slot, since 8578e0c00dcf ("mm, swap: use the swap table for the swap cache and
  switch API", 6.18): the page in the swap cache, or what is left of it; since the swap map went, all of it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from swaptrace.areas import MAX_TYPES
from swaptrace.events import EventFlag, EventKind, empty
from swaptrace.kernel.btf import KernelTypes
from swaptrace.kernel.layout import SwapMapLayout, swap_map_layout
from swaptrace.machine.kernel_memory import KernelMemory
from swaptrace.machine.runs import runs

# include/linux/swap.h, as long as there is a swap map
_SWAP_HAS_CACHE = 0x40
_SWAP_MAP_BAD = 0x3F  # mkswap's own page, and what lies behind the area's end
# mm/swap_table.h: a word is 0 (free), what is left of a page that went (SWP_TB_SHADOW_MARK), or bad; else in the cache
_SHADOW = np.uint64(1)
_BAD = np.uint64(2**64 - 8)
#: SWP_TB_ZERO_FLAG: the lowest of five bits at the top, where addresses leave room for them (64-bit machines).
_ZERO_FLAG = np.uint64(1 << 59)
_SWP_USED = 1
#: Of inuse_pages: above it lies SWAP_USAGE_OFFLIST_BIT since 6.13 (mm/swapfile.c), or another field.
_COUNT = (1 << 30) - 1
_TRIES, _BETWEEN_TRIES = 5, 0.01  # seconds


#: What is said of a slot: bits. CACHED: in the swap cache; until 6.12 also: in a processor's slot cache. ZERO: its page
#: is all zeros, which the swap map alone remembers.
IN_USE, CACHED, ZERO = np.uint8(1), np.uint8(2), np.uint8(4)


def read_swap_maps(
    types: KernelTypes, swap_info: int, path: Path = Path("/proc/kcore")
) -> dict[int, NDArray[np.uint8]]:
    """By swap type, of the areas that are on: what is said of each slot, see read_slots().

    swap_info: the address of swap_info[]. Without those that change all the time, and empty where they cannot be read.
    """
    layout = swap_map_layout(types)
    if layout is None or not swap_info:
        return {}
    try:
        with KernelMemory(path) as memory:
            areas = areas_in_use(memory, layout, swap_info)
            read = {swap_type: read_quiet(memory, layout, info) for swap_type, info in areas.items()}
    except OSError:  # no /proc/kcore, no right to read it, or an area that has just gone
        return {}
    return {swap_type: slots for swap_type, slots in read.items() if slots is not None}


def areas_in_use(memory: KernelMemory, layout: SwapMapLayout, swap_info: int) -> dict[int, int]:
    """By swap type, the addresses of the swap_info_struct of areas that are on. Raises OSError."""
    found = {}
    for swap_type in range(MAX_TYPES):
        info = memory.pointer(swap_info + 8 * swap_type)
        if not info:  # elements are taken in order, and never given back
            break
        if memory.pointer(info + layout.flags) & _SWP_USED:
            found[swap_type] = info
    return found


def read_quiet(memory: KernelMemory, layout: SwapMapLayout, info: int) -> NDArray[np.uint8] | None:
    """read_slots() at a moment at which nothing comes or goes; None if there is none. Raises OSError."""

    def in_use() -> int:
        return memory.pointer(info + layout.in_use) & _COUNT

    for _ in range(_TRIES):
        before, found = in_use(), read_slots(memory, layout, info)
        if before == np.count_nonzero(found & IN_USE) == in_use():
            return found
        time.sleep(_BETWEEN_TRIES)
    return None


def read_slots(memory: KernelMemory, layout: SwapMapLayout, info: int) -> NDArray[np.uint8]:
    """What is said of each slot of an area, the header's included: uint8 (slots,), bits. Raises OSError.

    info: the address of its swap_info_struct.
    """
    slots = int.from_bytes(memory.read(info + layout.slots, 4), "little")
    found = np.zeros(slots, np.uint8)
    if layout.swap_map is not None:
        counts = np.frombuffer(memory.read(memory.pointer(info + layout.swap_map), slots), np.uint8)
        used = (counts != 0) & (counts != _SWAP_MAP_BAD)
        found[used] = IN_USE
        found[used & (counts & _SWAP_HAS_CACHE != 0)] |= CACHED
    if layout.table is not None:
        for first, words in _tables(memory, layout, info, slots):
            found[first : first + len(words)] |= _of_words(words, alone=layout.swap_map is None)
    if layout.zeromap is not None:
        bits = np.frombuffer(memory.read(memory.pointer(info + layout.zeromap), -(-slots // 64) * 8), np.uint8)
        found[(np.unpackbits(bits, count=slots, bitorder="little") != 0) & (found != 0)] |= ZERO
    return found


def _tables(
    memory: KernelMemory, layout: SwapMapLayout, info: int, slots: int
) -> Iterator[tuple[int, NDArray[np.uint64]]]:
    """(first slot, words) of each cluster that has a table: it has none while all of its slots are free."""
    assert layout.table is not None
    size, width = layout.cluster_slots, layout.cluster_size
    clusters = memory.read(memory.pointer(info + layout.clusters), -(-slots // size) * width)
    tables = np.frombuffer(clusters, np.uint8).reshape(-1, width)[:, layout.table : layout.table + 8].copy()
    for number, table in enumerate(tables.view(np.uint64)[:, 0].tolist()):
        if table:
            first = number * size
            yield first, np.frombuffer(memory.read(table, 8 * size), np.uint64)[: slots - first]


def _of_words(words: NDArray[np.uint64], *, alone: bool) -> NDArray[np.uint8]:
    """alone: there is no swap map, so that the words tell all."""
    there = (words != 0) & (words != _BAD)
    found = np.zeros(len(words), np.uint8)
    if alone:
        found[there] = IN_USE
        found[there & (words & _ZERO_FLAG != 0)] |= ZERO
    found[there & (words & _SHADOW == 0)] |= IN_USE | CACHED
    return found


def in_use_events(swap_type: int, slots: NDArray[np.uint8], now: int) -> NDArray[np.void]:
    """IN_USE events of an area's slots, one for each run of those of which the same is said: EVENT. now: ns."""
    used = np.flatnonzero(slots & IN_USE)
    first, length = runs(used, slots[used])
    events = empty(len(first))
    events["time"], events["kind"], events["device"] = now, EventKind.IN_USE, swap_type
    events["slot"], events["run"] = used[first], length
    said = slots[used[first]]
    events["flags"] = np.where(said & CACHED, EventFlag.CACHED, 0) | np.where(said & ZERO, EventFlag.ZERO, 0)
    return events
