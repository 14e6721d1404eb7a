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
    """The consumer's side. All records are events (see swaptrace.events), of 40 bytes with what is before each."""

    _RECORD: np.dtype[np.void]

    @abstractmethod
    def waiting(self) -> int:
        """Records that wait to be drained, finished or not."""

    @abstractmethod
    def pending(self) -> float:
        """The share of the ring that waits to be drained, 0 to 1."""

    @abstractmethod
    def drain(self, most: int | None = None) -> NDArray[np.void]:
        """Copy out and release all finished records, or the first `most`, in order: array of EVENT, shape (n,)."""

    def _copied(self, records: NDArray[np.void]) -> NDArray[np.uint64]:
        """The events of some records: uint64 (n, 4).

        Word by word: NumPy copies structures four times as slowly; and a copy even of one record, which is contiguous.
        """
        return records.view(np.uint64).reshape(-1, self._RECORD.itemsize // 8)[:, 1:].copy()


class RecordRing(Ring):
    """Two arrays that programs write to: records, a power of two of them, and how far both sides have got.

    A record has a number, counted from 1 on, which is written last. Positions count records, and never start anew.
    """

    _RECORD = np.dtype([("number", np.uint64), ("event", EVENT)])

    def __init__(self, records_fd: int, ends_fd: int, records: int) -> None:
        size = records * self._RECORD.itemsize
        self._ends_map = mmap.mmap(ends_fd, mmap.PAGESIZE, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        self._records_map = mmap.mmap(
            records_fd, -(-size // mmap.PAGESIZE) * mmap.PAGESIZE, mmap.MAP_SHARED, mmap.PROT_READ
        )
        ends = np.frombuffer(self._ends_map, np.uint64, 16)
        self._produced, self._consumed = ends[:1], ends[8:9]
        self._records = np.frombuffer(self._records_map, self._RECORD, records)

    def waiting(self) -> int:
        return int(self._produced[0] - self._consumed[0])

    def pending(self) -> float:
        return self.waiting() / len(self._records)

    def drain(self, most: int | None = None) -> NDArray[np.void]:
        consumed = int(self._consumed[0])
        waiting = self.waiting() if most is None else min(self.waiting(), most)
        start = consumed % len(self._records)
        to_the_end = min(len(self._records) - start, waiting)
        words = self._finished(start, to_the_end, consumed)
        if len(words) == to_the_end < waiting:
            words = np.concatenate([words, self._finished(0, waiting - to_the_end, consumed + to_the_end)])
        self._consumed[0] = consumed + len(words)
        return words.view(EVENT)[:, 0]

    def _finished(self, place: int, count: int, before: int) -> NDArray[np.uint64]:
        """The events of `count` records from a place on, up to the first that is not there yet.

        before: how many records came before them.
        """
        records = self._records[place : place + count]
        absent = records["number"] != np.arange(before + 1, before + 1 + count, dtype=np.uint64)
        return self._copied(records[: absent.argmax()] if absent.any() else records)


class KernelRing(Ring):
    """A BPF ring buffer map.

    The layout is the kernel's (kernel/bpf/ringbuf.c): a page with the consumer's position, one with the producer's, and
    the data, twice in a row, so that a record never wraps. All that is mapped counts as this process's memory, so of
    the second copy no more is mapped than the rest of a record that begins at the end of the first. Each record has a
    header of 8 bytes whose first word holds the length, a busy bit (still being written) and a discard bit.
    """

    _RECORD = np.dtype([("length", np.uint32), ("page", np.uint32), ("event", EVENT)])

    def __init__(self, map_fd: int, data_bytes: int) -> None:
        page = mmap.PAGESIZE
        self._size = data_bytes
        self._consumer_map = mmap.mmap(map_fd, page, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        self._data_map = mmap.mmap(map_fd, 2 * page + data_bytes, mmap.MAP_SHARED, mmap.PROT_READ, offset=page)
        self._consumer = np.frombuffer(self._consumer_map, np.uint64, 1)
        self._producer = np.frombuffer(self._data_map, np.uint64, 1)
        self._data_offset = page

    def waiting(self) -> int:
        return int(self._producer[0] - self._consumer[0]) // self._RECORD.itemsize

    def pending(self) -> float:
        return float(self._producer[0] - self._consumer[0]) / self._size

    def drain(self, most: int | None = None) -> NDArray[np.void]:
        size = self._RECORD.itemsize
        consumer = int(self._consumer[0])
        waiting = self.waiting() if most is None else min(self.waiting(), most)
        start = consumer % self._size
        to_the_end = min(-(-(self._size - start) // size), waiting)
        words = self._finished(start, to_the_end)
        if len(words) == to_the_end < waiting:
            again = start + to_the_end * size - self._size
            words = np.concatenate([words, self._finished(again, waiting - to_the_end)])
        self._consumer[0] = consumer + len(words) * size
        return words.view(EVENT)[:, 0]

    def _finished(self, place: int, count: int) -> NDArray[np.uint64]:
        """The events of `count` records from a place (bytes) on, up to the first busy one."""
        records = np.frombuffer(self._data_map, self._RECORD, count, self._data_offset + place)
        busy = records["length"] >= _BUSY
        return self._copied(records[: busy.argmax()] if busy.any() else records)


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
