"""Bulk draining of the ring of events: everything that is there, as one NumPy array, without a call per event.

There are two (see bpf/common.h): an array of records of our own, and the kernel's ring buffer where that cannot be.
"""

from __future__ import annotations

import mmap
import os
from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from swaptrace.events import EVENT

_BUSY = 1 << 31
_PER_PROCESSOR, _LEAST, _MOST = 16 << 20, 4 << 20, 32 << 20  # bytes, see default_ring_bytes


class Ring(ABC):
    """The consumer's side. All records are events (see swaptrace.events), of 40 bytes with what is before each.

    Both sides have a position: how far they have got since the ring was made. Positions never start anew.
    """

    _RECORD: np.dtype[np.void]
    _STEP: int  # what a record adds to a position

    def __init__(self, produced: NDArray[np.uint64], consumed: NDArray[np.uint64], size: int) -> None:
        """produced, consumed: the positions, shape (1,), in shared memory. size: what once around adds to them."""
        self._produced, self._consumed, self._size = produced, consumed, size

    def waiting(self) -> int:
        """Records that wait to be drained, finished or not."""
        return int(self._produced[0] - self._consumed[0]) // self._STEP

    def pending(self) -> float:
        """The share of the ring that waits to be drained, 0 to 1."""
        return float(self._produced[0] - self._consumed[0]) / self._size

    def drain(self, most: int | None = None) -> NDArray[np.void]:
        """Copy out and release all finished records, or the first `most`, in order: array of EVENT, shape (n,)."""
        consumed = int(self._consumed[0])
        waiting = self.waiting() if most is None else min(self.waiting(), most)
        to_the_end = min(-(-(self._size - consumed % self._size) // self._STEP), waiting)
        words = self._finished(consumed, to_the_end)
        if len(words) == to_the_end < waiting:
            again = consumed + to_the_end * self._STEP
            words = np.concatenate([words, self._finished(again, waiting - to_the_end)])
        self._consumed[0] = consumed + len(words) * self._STEP
        return words.view(EVENT)[:, 0]

    def _finished(self, position: int, count: int) -> NDArray[np.uint64]:
        """The events of `count` records from a position on, up to the first that is not there yet: uint64 (n, 4).

        Word by word: NumPy copies structures four times as slowly; and a copy even of one record, which is contiguous.
        """
        records = self._records_at(position, count)
        absent = self._absent(records, position)
        records = records[: absent.argmax()] if absent.any() else records
        return records.view(np.uint64).reshape(-1, self._RECORD.itemsize // 8)[:, 1:].copy()

    @abstractmethod
    def _records_at(self, position: int, count: int) -> NDArray[np.void]:
        """`count` records from a position on, none of which begins beyond the ring's end: array of _RECORD."""

    @abstractmethod
    def _absent(self, records: NDArray[np.void], position: int) -> NDArray[np.bool_]:
        """Which of some records are not there yet. position: of the first."""


class RecordRing(Ring):
    """Two arrays that programs write to: records, a power of two of them, and how far both sides have got.

    A record has a number, counted from 1 on, which is written last. Positions count records.
    """

    _RECORD = np.dtype([("number", np.uint64), ("event", EVENT)])
    _STEP = 1

    def __init__(self, records_fd: int, ends_fd: int, records: int) -> None:
        pages = -(-records * self._RECORD.itemsize // mmap.PAGESIZE)
        self._ends_map = mmap.mmap(ends_fd, mmap.PAGESIZE, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        self._records_map = mmap.mmap(records_fd, pages * mmap.PAGESIZE, mmap.MAP_SHARED, mmap.PROT_READ)
        self._records = np.frombuffer(self._records_map, self._RECORD, records)
        ends = np.frombuffer(self._ends_map, np.uint64, 16)
        super().__init__(ends[:1], ends[8:9], records)

    def _records_at(self, position: int, count: int) -> NDArray[np.void]:
        place = position % self._size
        return self._records[place : place + count]

    def _absent(self, records: NDArray[np.void], position: int) -> NDArray[np.bool_]:
        there = np.arange(position + 1, position + 1 + len(records), dtype=np.uint64)
        absent: NDArray[np.bool_] = records["number"] != there
        return absent


class KernelRing(Ring):
    """A BPF ring buffer map.

    The layout is the kernel's (kernel/bpf/ringbuf.c): a page with the consumer's position, one with the producer's, and
    the data, twice in a row, so that a record never wraps. All that is mapped counts as this process's memory, so of
    the second copy no more is mapped than the rest of a record that begins at the end of the first. Each record has a
    header of 8 bytes whose first word holds the length, a busy bit (still being written) and a discard bit. Positions
    count bytes.
    """

    _RECORD = np.dtype([("length", np.uint32), ("page", np.uint32), ("event", EVENT)])
    _STEP = _RECORD.itemsize

    def __init__(self, map_fd: int, data_bytes: int) -> None:
        page = mmap.PAGESIZE
        self._consumer_map = mmap.mmap(map_fd, page, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        self._data_map = mmap.mmap(map_fd, 2 * page + data_bytes, mmap.MAP_SHARED, mmap.PROT_READ, offset=page)
        self._data_offset = page
        super().__init__(
            np.frombuffer(self._data_map, np.uint64, 1), np.frombuffer(self._consumer_map, np.uint64, 1), data_bytes
        )

    def _records_at(self, position: int, count: int) -> NDArray[np.void]:
        place = position % self._size
        return np.frombuffer(self._data_map, self._RECORD, count, self._data_offset + place)

    def _absent(self, records: NDArray[np.void], position: int) -> NDArray[np.bool_]:
        return records["length"] >= _BUSY


def default_ring_bytes() -> int:
    """16 MiB a processor, but no more than 1/128 of the machine's memory, nor than 32 MiB: a power of two (bytes).

    An event takes 40 bytes. A processor that frees slots at its fastest emits 2 million events a second; one that swaps
    pages out, which it has to compress, a quarter of that. The reader sleeps for a tenth of a second at most, and only
    when little happens; but on a machine that is busy on all processors, and waits for its disks, it may have to stand
    still for longer. 16 MiB hold what one processor emits in a fifth of a second at its very fastest. What comes faster
    than one core can write it down (5 million events a second and more) fills a ring of any size sooner or later, and
    all of it is locked in memory: 32 MiB leave the recorder well below 150 MB. A machine of little memory has less to
    swap, and is short of it: there it is 4 MiB at least.
    """
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    processors = os.sysconf("SC_NPROCESSORS_ONLN")
    wanted = max(min(processors * _PER_PROCESSOR, memory // 128, _MOST), _LEAST)
    return 1 << (wanted.bit_length() - 1)


def records_in(ring_bytes: int) -> int:
    """How many records a RecordRing of that size has: the largest power of two."""
    return 1 << ((ring_bytes // (8 + EVENT.itemsize)).bit_length() - 1)
