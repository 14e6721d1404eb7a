"""Bulk draining of a BPF ring buffer: everything that is there, as one NumPy array, without a call per event.

The layout is the kernel's (kernel/bpf/ringbuf.c): a page with the consumer's position, one with the producer's, and the
data, mapped twice in a row, so that a record never wraps. Each record has a header of 8 bytes whose first word holds
the length, a busy bit (still being written) and a discard bit.
"""

from __future__ import annotations

import mmap
import os

import numpy as np
from numpy.typing import NDArray

from swaptrace.events import EVENT

__all__ = ["Ring", "default_ring_bytes"]

_BUSY = 1 << 31
_RECORD = np.dtype([("length", np.uint32), ("page", np.uint32), ("event", EVENT)])


class Ring:
    """The consumer's side of a ring buffer map whose records all are events (see swaptrace.events)."""

    def __init__(self, map_fd: int, data_bytes: int) -> None:
        page = mmap.PAGESIZE
        self._size = data_bytes
        self._consumer_map = mmap.mmap(map_fd, page, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        self._data_map = mmap.mmap(map_fd, page + 2 * data_bytes, mmap.MAP_SHARED, mmap.PROT_READ, offset=page)
        self._consumer = np.frombuffer(self._consumer_map, np.uint64, 1)
        self._producer = np.frombuffer(self._data_map, np.uint64, 1)
        self._data_offset = page

    def pending(self) -> float:
        """The share of the ring that waits to be drained, 0 to 1."""
        return float(self._producer[0] - self._consumer[0]) / self._size

    def drain(self) -> NDArray[np.void]:
        """Copy out and release all finished records, in order: array of EVENT, shape (n,)."""
        consumer = int(self._consumer[0])
        waiting = (int(self._producer[0]) - consumer) // _RECORD.itemsize
        records = np.frombuffer(self._data_map, _RECORD, waiting, self._data_offset + consumer % self._size)
        busy = records["length"] >= _BUSY
        if busy.any():
            records = records[: busy.argmax()]
        # word by word: NumPy copies structures four times as slowly; and a copy even of one record, which is contiguous
        words = records.view(np.uint64).reshape(-1, _RECORD.itemsize // 8)
        events = words[:, 1:].copy().view(EVENT)[:, 0]
        self._consumer[0] = consumer + len(records) * _RECORD.itemsize
        return events


def default_ring_bytes() -> int:
    """1/256 of the machine's memory, between 4 and 64 MiB, a power of two (bytes)."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    wanted = min(max(memory // 256, 4 << 20), 64 << 20)
    return 1 << (wanted.bit_length() - 1)
