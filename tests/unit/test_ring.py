"""Draining the ring buffer, on a file that stands in for the kernel's map.

The kernel has the data twice in a row, so that a record never wraps. A file cannot show the same bytes at two places;
the stand-in writes every record to both, as far as they reach.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator

import numpy as np
import pytest

from swaptrace.events import EVENT, empty
from swaptrace.tracing.ring import Ring, default_ring_bytes

PAGE = mmap.PAGESIZE
RECORD = 8 + EVENT.itemsize
BUSY = 1 << 31


class Producer:
    """The kernel's side: consumer's position, producer's position, data, data again."""

    def __init__(self, size: int, start: int = 0) -> None:
        self.size = size
        self.fd = os.memfd_create("ring")
        os.ftruncate(self.fd, 2 * PAGE + 2 * size)
        self.map = mmap.mmap(self.fd, 2 * PAGE + 2 * size)
        self._set(0, start)
        self._set(PAGE, start)
        self.number = 0

    def _set(self, offset: int, position: int) -> None:
        self.map[offset : offset + 8] = position.to_bytes(8, "little")

    def position(self, offset: int) -> int:
        return int.from_bytes(self.map[offset : offset + 8], "little")

    @property
    def consumed(self) -> int:
        return self.position(0)

    @property
    def produced(self) -> int:
        return self.position(PAGE)

    def _write(self, position: int, contents: bytes) -> None:
        place = position % self.size
        for shift in (-self.size, 0, self.size):  # both mappings, and the part that wraps
            for step, byte in enumerate(contents):
                if 0 <= place + shift + step < 2 * self.size:
                    self.map[2 * PAGE + place + shift + step] = byte

    def reserve(self, *, busy: bool = False) -> int:
        """One more record; its position. The events are numbered by their time."""
        assert self.produced + RECORD - self.consumed <= self.size, "the kernel would count it as lost"
        event = empty(1)
        event["time"], event["slot"] = self.number, 2 * self.number
        self.number += 1
        at = self.produced
        length = EVENT.itemsize | (BUSY if busy else 0)
        self._write(at, length.to_bytes(4, "little") + bytes(4) + event.tobytes())
        self._set(PAGE, at + RECORD)
        return at

    def submit(self, at: int) -> None:
        self._write(at, EVENT.itemsize.to_bytes(4, "little"))


@pytest.fixture
def producer() -> Iterator[Producer]:
    made = Producer(PAGE)
    yield made
    os.close(made.fd)


def times(ring: Ring) -> list[int]:
    events = ring.drain()
    assert events.dtype == EVENT
    assert (events["slot"] == 2 * events["time"]).all()
    return [int(time) for time in events["time"]]


def test_nothing_there(producer: Producer) -> None:
    ring = Ring(producer.fd, PAGE)
    assert times(ring) == []
    assert (ring.pending(), producer.consumed) == (0, 0)


def test_events_come_in_order_and_once(producer: Producer) -> None:
    ring = Ring(producer.fd, PAGE)
    for _ in range(5):
        producer.reserve()
    assert ring.pending() == 5 * RECORD / PAGE
    assert times(ring) == [0, 1, 2, 3, 4]
    assert producer.consumed == producer.produced == 5 * RECORD
    assert times(ring) == []
    producer.reserve()
    assert times(ring) == [5]


def test_busy_record_stops_the_drain(producer: Producer) -> None:
    """It is being written on another processor; what comes after it must wait, or it would be out of order."""
    ring = Ring(producer.fd, PAGE)
    producer.reserve()
    busy = producer.reserve(busy=True)
    producer.reserve()
    assert times(ring) == [0]
    assert producer.consumed == RECORD
    assert times(ring) == []
    producer.submit(busy)
    assert times(ring) == [1, 2]
    assert producer.consumed == 3 * RECORD


def test_wraps(producer: Producer) -> None:
    """The ring's size is no multiple of a record's: one record lies across the end, each time elsewhere."""
    ring = Ring(producer.fd, PAGE)
    assert PAGE % RECORD
    found: list[int] = []
    while producer.produced < 5 * PAGE:
        for _ in range(PAGE // RECORD):  # as full as it gets
            producer.reserve()
        found += times(ring)
        assert producer.consumed == producer.produced
    assert found == list(range(producer.number))


def test_positions_beyond_32_bits() -> None:
    """They count bytes since the ring was made, and never start anew."""
    producer = Producer(PAGE, start=(1 << 40) * RECORD)
    ring = Ring(producer.fd, PAGE)
    for _ in range(3):
        producer.reserve()
    assert times(ring) == [0, 1, 2]
    assert producer.consumed == ((1 << 40) + 3) * RECORD
    os.close(producer.fd)


@pytest.mark.parametrize("count", [1, 2])  # one record alone is contiguous, so that a copy has to be asked for
def test_drained_events_are_copies(producer: Producer, count: int) -> None:
    ring = Ring(producer.fd, PAGE)
    for _ in range(count):
        producer.reserve()
    events = ring.drain()
    events["flags"] |= 1  # the ring itself is mapped read-only
    before = events.copy()
    for _ in range(PAGE // RECORD):
        producer.reserve()
    assert np.array_equal(events, before)


def test_default_size_is_one_that_the_kernel_takes() -> None:
    size = default_ring_bytes()
    assert size.bit_count() == 1
    assert 4 << 20 <= size <= 32 << 20
    assert size % PAGE == 0


@pytest.mark.parametrize(
    ("processors", "memory", "mebibytes"),
    [(1, 16 << 30, 16), (2, 16 << 30, 32), (64, 512 << 30, 32), (64, 3 << 30, 16), (8, 256 << 20, 4)],
)
def test_default_size_follows_the_machine(
    monkeypatch: pytest.MonkeyPatch, processors: int, memory: int, mebibytes: int
) -> None:
    names = {"SC_PHYS_PAGES": memory // PAGE, "SC_PAGE_SIZE": PAGE, "SC_NPROCESSORS_ONLN": processors}
    monkeypatch.setattr(os, "sysconf", names.__getitem__)
    assert default_ring_bytes() == mebibytes << 20


def test_no_more_than_wanted(producer: Producer) -> None:
    """The rest stays for the next time, whole, across the end of the ring, too."""
    ring = Ring(producer.fd, producer.size)
    seen = []
    for _ in range(40):
        for _ in range(70):
            producer.reserve()
        assert ring.waiting() == 70
        for most in (1, 0, 33, 70):
            seen += ring.drain(most)["time"].tolist()
        assert ring.waiting() == 0
    assert seen == list(range(2800))
