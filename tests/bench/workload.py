"""A made-up trace, of any length, that looks like one of a busy machine: what the benchmarks measure.

Regions of an area's slots are stored one after the other and freed in another order, each slot with its notification:
two thirds at once, as by exits, one third page by page after being read back, in any order. Sizes are drawn anew at
each store. The same number of events gives the same trace.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from swaptrace.areas import Snapshot, Store, SwapArea
from swaptrace.engine import zsmalloc
from swaptrace.events import EVENT, EventBatch, EventFlag, EventKind, FreeReason
from swaptrace.trace.header import Header, Trailer
from swaptrace.trace.writer import TraceWriter

__all__ = ["SLOTS", "batches", "header", "write", "write_sparse"]

SLOTS = 1 << 18
REGION = 1 << 12  # slots
_EXIT = np.array([EventKind.FREE], np.uint8)
_SWAPIN = np.array([EventKind.LOAD, EventKind.FREE], np.uint8)
_SIZES = np.array([0, 575, 687, 751, 928, 1407, 1542, 1687, 2151, 4096], np.uint32)


def header(slots: int = SLOTS) -> Header:
    """Of a zram area whose pool is that of a Linux 6.12."""
    area = SwapArea("/dev/zram0", 0, 100, slots, backing="zram", store=0, extents=((0, 0, slots),))
    start = Snapshot(1, (area,), (Store(0, "zram0", slots),))
    classes = zsmalloc.geometry().arrays.classes["pages_per_zspage"].tolist()
    pool = {"pages_per_zspage": classes, "fullness_rule": "TENTHS"}
    return Header("bench", platform.machine(), 4096, "bench", (), 0, start, zsmalloc=pool)


def batches(events: int) -> Iterator[EventBatch]:
    """At least that many events, a region's stores and frees in each batch."""
    random = np.random.default_rng(2009)
    regions = SLOTS // REGION
    sizes = np.zeros(SLOTS, np.uint32)
    made, now = 0, 1000
    for turn in range(2**62):
        if made >= events:
            return
        stored = np.arange(REGION, dtype=np.uint32) + turn % regions * REGION
        pieces = [_stores(random, stored, sizes)]
        if turn >= regions // 2:
            freed = np.arange(REGION, dtype=np.uint32) + (turn - regions // 2) % regions * REGION
            pieces.append(_frees(freed, sizes, _EXIT, FreeReason.EXIT) if turn % 3 else
                          _frees(random.permutation(freed), sizes, _SWAPIN, FreeReason.SWAPIN))  # fmt: skip
        batch = np.concatenate(pieces)
        batch["slot"][batch["slot"] == 0] = 1  # mkswap's page is no slot
        batch["time"] = now + np.cumsum(random.integers(100, 900, len(batch)))
        batch["tgid"] = 1000 + turn % 50
        made, now = made + len(batch), int(batch["time"][-1])
        yield EventBatch(batch)


def _stores(random: np.random.Generator, slots: NDArray[np.uint32], sizes: NDArray[np.uint32]) -> NDArray[np.void]:
    new = random.choice(_SIZES, len(slots)) + random.integers(0, 64, len(slots), np.uint32)
    sizes[slots] = np.where(new < 64, 0, np.minimum(new, 4096))
    events = np.zeros(len(slots), EVENT)
    events["kind"], events["run"], events["slot"], events["size"] = EventKind.STORE, 1, slots, sizes[slots]
    events["flags"] = _flags(sizes[slots])
    return events


def _flags(sizes: NDArray[np.uint32]) -> NDArray[np.uint32]:
    return np.select([sizes == 0, sizes == 4096], [EventFlag.SAME, EventFlag.HUGE]).astype(np.uint16)


def _frees(
    slots: NDArray[np.uint32], sizes: NDArray[np.uint32], kinds: NDArray[np.uint8], reason: FreeReason
) -> NDArray[np.void]:
    events = np.zeros((len(slots), len(kinds)), EVENT)
    events["kind"], events["run"], events["slot"] = kinds, 1, slots[:, None]
    notified = events["kind"] == EventKind.FREE
    timed = slots % 16 == 0
    events["reason"][notified] = reason + 1
    events["size"][notified] = sizes[slots]
    events["flags"][notified] = EventFlag.NOTIFIED | EventFlag.DROPPED | EventFlag.TIMED * timed | _flags(sizes[slots])
    events["arg"][notified] = np.where(timed, 300 + sizes[slots] % 97, 0)
    return events.ravel()


def write(path: Path, events: int) -> int:
    """Write such a trace; returns its events."""
    return _write(path, header(), batches(events))


def write_sparse(path: Path, slots: int, touched: int, together: int) -> int:
    """A trace of an area of that many slots, of which few, all over it, are stored, and half of those freed.

    together: how many lie side by side: 1, or a cluster, as the kernel gives them out.
    """
    random = np.random.default_rng(2009)
    places = random.choice(slots // together - 1, touched // together, replace=False)
    chosen = ((1 + places[:, None]) * together + np.arange(together)).ravel().astype(np.uint32)
    sizes = np.zeros(slots, np.uint32)
    stores, frees = _stores(random, chosen, sizes), _frees(chosen[::2], sizes, _EXIT, FreeReason.EXIT)
    events = np.concatenate([stores, frees])
    events["time"] = 1000 + 500 * np.arange(len(events))
    return _write(path, header(slots), (EventBatch(part) for part in np.array_split(events, 1 + len(events) // REGION)))


def _write(path: Path, header: Header, batches: Iterable[EventBatch]) -> int:
    writer, count, last = TraceWriter(path, header, force=True), 0, 0
    for batch in batches:
        writer.feed(batch)
        count, last = count + len(batch), int(batch.events["time"][-1])
    writer.close(Trailer(Snapshot(last, header.start.areas, header.start.stores)))
    return count
