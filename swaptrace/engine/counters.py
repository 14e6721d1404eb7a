"""What the engine counts: of an area, and of a store."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["Count", "Total"]


class Count(IntEnum):
    """What is counted per area, in slots."""

    STORES = 0
    LOADS = 1
    FREES = 2
    FREES_UNWRITTEN = 3
    REWRITES = 4
    NOTIFY_FREE = 5
    MISS_FREE = 6
    DROPS = 7
    LEFT_CENSORED = 8
    FREED_LEFT_CENSORED = 9
    ALLOCATED = 10
    MOVED = 11
    WRITTEN_BACK = 12  # by zswap, to the swap area
    FAILED_WRITES = 13  # times, not slots


class Total(IntEnum):
    """What the driver's own counters say, as changes since the recording began."""

    PAGES = 0
    COMPR = 1
    SAME = 2
    HUGE = 3
    GONE = 4
    PRESENT = 5
    UNSIZED = 6  # entries from before the recording whose size was not known then
    WRITTEN_BACK = 7  # on zram's backing device: bd_count in bd_stat
    FAILED = 8  # writes that the store refused: failed_writes in io_stat
    UNTOLD = 9  # stores that look like writes which failed, in traces and on kernels that do not tell of those
    RESETS = 10
