"""What the engine counts: of an area, of a store, of a group; and what it notes of a slot's life."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum, IntFlag

from swaptrace.events import FreeReason


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What is counted of an area, in slots: an area's results have it under these names.

    To add one is to write it down here, to count it in swaptrace.engine.lifetimes (which calls it COUNT_NAME; then
    `python -m swaptrace.engine.constants`), and to give it a row in swaptrace.results.catalogue.
    """

    stores: int
    loads: int
    frees: int
    frees_unwritten: int  # freed, but never seen stored: zero-filled pages, for the most part
    rewrites: int  # stored again while in use
    notify_free: int
    miss_free: int
    discarded: int  # entries dropped without a notification and without being overwritten
    written_back: int  # of these: by zswap, to the swap area
    left_censored: int  # entries that the store held before the recording began
    moved: int  # entries that went to zram's backing device
    failed_writes: int | None  # times, not slots, that the store refused a page; None where that is not told


#: Their names; the place in this list is a count's number.
COUNTS = tuple(field.name for field in fields(Counts))


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


class GroupCount(IntEnum):
    """What is counted of a group of an area's pages, in slots; and what the store holds of them now, as observed."""

    STORES = 0
    LOADS = 1
    REFAULTS = 2  # pages that are read for the first time since they were stored
    FREES = 3
    FREED_FOR = 4  # and so on: of these, by FreeReason
    HELD_SLOTS = FREED_FOR + len(FreeReason)
    HELD_BYTES = HELD_SLOTS + 1


class LifeBit(IntFlag):
    """Of a row of swaptrace.engine.lives: which of its fields are known, and what its entry is."""

    THERE = 1  # it is a row
    STORED = 2
    FREED = 4
    DROPPED = 8
    REPLACED = 16
    SIZED = 32
    SAME = 64
    HUGE = 128
    WRITTEN_BACK = 256  # zram's: the entry has no object in memory
    MISSED = 512
