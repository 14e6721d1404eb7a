"""Draining the ring of events, on files that stand in for maps.

The kernel has its ring buffer's data twice in a row, so that a record never wraps. A file cannot show the same bytes at
two places; the stand-in writes every record to both, as far as they reach.
"""

from __future__ import annotations

import mmap
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np
import pytest

from swaptrace.events import EVENT, empty
from swaptrace.tracing.ring import KernelRing, RecordRing, Ring, default_ring_bytes, records_in

PAGE = mmap.PAGESIZE
RECORD = 8 + EVENT.itemsize
BUSY = 1 << 31


class Producer(ABC):
    """The programs' side, of a ring of a page. The events are numbered by their time."""

    def __init__(self, start: int = 0) -> None:
        """start: how many records there have been."""
        self.number = 0
        self.start = start

    def event(self) -> bytes:
        event = empty(1)
        event["time"], event["slot"] = self.number, 2 * self.number
        self.number += 1
        return event.tobytes()

    @property
    @abstractmethod
    def ring(self) -> Ring:
        """The recorder's side."""

    @property
    @abstractmethod
    def room(self) -> int:
        """The most records that it has room for."""

    @property
    @abstractmethod
    def ends(self) -> tuple[int, int]:
        """How many records were produced and consumed since the test began."""

    @abstractmethod
    def reserve(self, *, busy: bool = False) -> int:
        """One more record, which is there at once unless it is busy; what submit() wants to know of it."""

    @abstractmethod
    def submit(self, at: int) -> None:
        """A busy record is there."""

    @abstractmethod
    def close(self) -> None: ...


class KernelProducer(Producer):
    """A BPF ring buffer: consumer's position, producer's position, data, data again."""

    def __init__(self, start: int = 0) -> None:
        super().__init__(start)
        self.size = PAGE
        self.fd = os.memfd_create("ring")
        os.ftruncate(self.fd, 2 * PAGE + 2 * self.size)
        self.map = mmap.mmap(self.fd, 2 * PAGE + 2 * self.size)
        self._set(0, start * RECORD)
        self._set(PAGE, start * RECORD)

    @property
    def ring(self) -> Ring:
        return KernelRing(self.fd, self.size)

    @property
    def room(self) -> int:
        return self.size // RECORD

    @property
    def ends(self) -> tuple[int, int]:
        produced, consumed = self._position(PAGE) // RECORD, self._position(0) // RECORD
        return produced - self.start, consumed - self.start

    def _set(self, offset: int, position: int) -> None:
        self.map[offset : offset + 8] = position.to_bytes(8, "little")

    def _position(self, offset: int) -> int:
        return int.from_bytes(self.map[offset : offset + 8], "little")

    def _write(self, position: int, contents: bytes) -> None:
        place = position % self.size
        for shift in (-self.size, 0, self.size):  # both mappings, and the part that wraps
            for step, byte in enumerate(contents):
                if 0 <= place + shift + step < 2 * self.size:
                    self.map[2 * PAGE + place + shift + step] = byte

    def reserve(self, *, busy: bool = False) -> int:
        at = self._position(PAGE)
        assert at + RECORD - self._position(0) <= self.size, "the kernel would count it as lost"
        length = EVENT.itemsize | (BUSY if busy else 0)
        self._write(at, length.to_bytes(4, "little") + bytes(4) + self.event())
        self._set(PAGE, at + RECORD)
        return at

    def submit(self, at: int) -> None:
        self._write(at, EVENT.itemsize.to_bytes(4, "little"))

    def close(self) -> None:
        os.close(self.fd)


class RecordProducer(Producer):
    """The programs' own: see bpf/common.h."""

    def __init__(self, start: int = 0) -> None:
        super().__init__(start)
        self.records = records_in(PAGE)
        self.fds = os.memfd_create("records"), os.memfd_create("ends")
        for fd in self.fds:
            os.ftruncate(fd, PAGE)
        self.map, self.ends_map = (mmap.mmap(fd, PAGE) for fd in self.fds)
        for offset in (0, 64):
            self._set(offset, start)
        for number in range(max(start - self.records, 0), start):  # what there was before
            self.submit(number)

    @property
    def ring(self) -> Ring:
        return RecordRing(*self.fds, self.records)

    @property
    def room(self) -> int:
        return self.records

    @property
    def ends(self) -> tuple[int, int]:
        return self._position(0) - self.start, self._position(64) - self.start

    def _set(self, offset: int, position: int) -> None:
        self.ends_map[offset : offset + 8] = position.to_bytes(8, "little")

    def _position(self, offset: int) -> int:
        return int.from_bytes(self.ends_map[offset : offset + 8], "little")

    def reserve(self, *, busy: bool = False) -> int:
        at = self._position(0)
        assert at - self._position(64) < self.records, "the programs would count it as lost"
        place = at % self.records * RECORD
        self.map[place + 8 : place + RECORD] = self.event()
        self._set(0, at + 1)
        if not busy:
            self.submit(at)
        return at

    def submit(self, at: int) -> None:
        place = at % self.records * RECORD
        self.map[place : place + 8] = (at + 1).to_bytes(8, "little")

    def close(self) -> None:
        for fd in self.fds:
            os.close(fd)


PRODUCERS = [KernelProducer, RecordProducer]


@pytest.fixture(params=PRODUCERS)
def producer(request: pytest.FixtureRequest) -> Iterator[Producer]:
    made: Producer = request.param()
    yield made
    made.close()


def times(ring: Ring) -> list[int]:
    events = ring.drain()
    assert events.dtype == EVENT
    assert (events["slot"] == 2 * events["time"]).all()
    return [int(time) for time in events["time"]]


def test_nothing_there(producer: Producer) -> None:
    ring = producer.ring
    assert times(ring) == []
    assert (ring.pending(), producer.ends) == (0, (0, 0))


def test_events_come_in_order_and_once(producer: Producer) -> None:
    ring = producer.ring
    for _ in range(5):
        producer.reserve()
    size = PAGE / RECORD if isinstance(producer, KernelProducer) else producer.room
    assert ring.pending() == pytest.approx(5 / size)
    assert times(ring) == [0, 1, 2, 3, 4]
    assert producer.ends == (5, 5)
    assert times(ring) == []
    producer.reserve()
    assert times(ring) == [5]


def test_busy_record_stops_the_drain(producer: Producer) -> None:
    """It is being written on another processor; what comes after it must wait, or it would be out of order."""
    ring = producer.ring
    producer.reserve()
    busy = producer.reserve(busy=True)
    producer.reserve()
    assert times(ring) == [0]
    assert producer.ends == (3, 1)
    assert times(ring) == []
    producer.submit(busy)
    assert times(ring) == [1, 2]
    assert producer.ends == (3, 3)


def test_busy_record_where_another_was_before(producer: Producer) -> None:
    """In every place of the ring, also where a drain goes on at its beginning: what was left there is no new one."""
    ring = producer.ring
    for _ in range(3 * producer.room):
        producer.reserve()
        busy = producer.reserve(busy=True)
        first = producer.number - 2
        assert times(ring) == [first]
        assert times(ring) == []
        producer.submit(busy)
        assert times(ring) == [first + 1]


def test_wraps(producer: Producer) -> None:
    """A kernel's ring is no multiple of a record's size: one record lies across the end, each time elsewhere."""
    ring = producer.ring
    found: list[int] = []
    while producer.number < 5 * PAGE // RECORD:
        for _ in range(producer.room - 3):
            producer.reserve()
        found += times(ring)
        for _ in range(producer.room):  # as full as it gets
            producer.reserve()
        found += times(ring)
        assert producer.ends[0] == producer.ends[1]
    assert found == list(range(producer.number))


@pytest.mark.parametrize("kind", PRODUCERS)
def test_positions_beyond_32_bits(kind: type[Producer]) -> None:
    """They count since the ring was made, and never start anew."""
    producer = kind(1 << 40)
    ring = producer.ring
    for _ in range(3):
        producer.reserve()
    assert times(ring) == [0, 1, 2]
    assert producer.ends == (3, 3)
    producer.close()


@pytest.mark.parametrize("count", [1, 2])  # one record alone is contiguous, so that a copy has to be asked for
def test_drained_events_are_copies(producer: Producer, count: int) -> None:
    ring = producer.ring
    for _ in range(count):
        producer.reserve()
    events = ring.drain()
    events["flags"] |= 1  # the ring itself is mapped read-only
    before = events.copy()
    for _ in range(producer.room):
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


@pytest.mark.parametrize("ring_bytes", [1 << 12, 1 << 22, 16 << 20, 32 << 20])
def test_records_of_a_ring(ring_bytes: int) -> None:
    """A power of two, and as many as there is room for."""
    records = records_in(ring_bytes)
    assert records.bit_count() == 1
    assert records * RECORD <= ring_bytes < 2 * records * RECORD


def test_no_more_than_wanted(producer: Producer) -> None:
    """The rest stays for the next time, whole, across the end of the ring, too."""
    ring = producer.ring
    seen = []
    for _ in range(40):
        for _ in range(50):
            producer.reserve()
        assert ring.waiting() == 50
        for most in (1, 0, 23, 50):
            seen += ring.drain(most)["time"].tolist()
        assert ring.waiting() == 0
    assert seen == list(range(2000))
