"""make bench: ratios, measured side by side in one run. Every figure is the median of five, with the extremes.

Usage: python -m tests.bench [EVENTS]. Nothing here is a test: a slow machine gives other figures, not a failure.
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from swaptrace.analysis.analysis import Analysis
from swaptrace.areas import Snapshot, Store, SwapArea
from swaptrace.events import EVENT, EventBatch, EventFlag, EventKind, empty
from swaptrace.live.ring import Ring
from swaptrace.trace.header import Header, Trailer
from swaptrace.trace.reader import TraceReader
from swaptrace.trace.writer import TraceWriter

ROUNDS = 5
SLOTS = 1 << 17
BATCH = 1 << 16
RECORD = np.dtype([("length", np.uint32), ("page", np.uint32), ("event", EVENT)])


@dataclass(frozen=True)
class Timing:
    """Events per second of one way to do something: median, slowest and fastest of ROUNDS."""

    what: str
    middle: float
    slowest: float
    fastest: float


def timing(what: str, events: int, run: Callable[[], object]) -> Timing:
    """Time it ROUNDS times, after one round that warms caches (and lets numba compile)."""
    run()
    rates = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        run()
        rates.append(events / (time.perf_counter() - start))
    return Timing(what, median(rates), min(rates), max(rates))


def churn(events: int) -> NDArray[np.void]:
    """Slots that are stored, freed and notified, in bursts of 1024, round and round the area."""
    bursts = events // (3 * 1024)
    slots = (np.arange(bursts * 1024) % (SLOTS - 1)).reshape(bursts, 1024) + 1
    made = empty(bursts * 3 * 1024)
    shaped = made.reshape(bursts, 3, 1024)
    shaped["slot"] = slots[:, None, :]
    shaped["run"] = 1
    shaped["kind"] = np.array([EventKind.STORE, EventKind.FREE, EventKind.NOTIFY])[None, :, None]
    shaped["size"][:, 0] = shaped["size"][:, 2] = 64 + slots * 37 % 4000
    shaped["flags"][:, 2] = EventFlag.DROPPED
    made["time"] = np.arange(len(made)) * 500 + 1000
    return made


def header() -> Header:
    area = SwapArea("/dev/zram0", 0, 100, SLOTS, backing="zram", store=0, extents=((0, 0, SLOTS),))
    classes = [4] * 255  # not a kernel's: pools are left out of this measurement, as lifetimes in pandas have none
    start = Snapshot(1, (area,), (Store(0, "zram0", SLOTS),))
    pool = {"pages_per_zspage": classes, "fullness_rule": "TENTHS"}
    return Header("bench", platform.machine(), 4096, "bench", (), 0, start, zsmalloc=pool)


def write(path: Path, events: NDArray[np.void]) -> None:
    writer = TraceWriter(path, header(), force=True)
    for start in range(0, len(events), BATCH):
        writer.write(EventBatch(events[start : start + BATCH]))
    writer.close(Trailer(header().start))


def analyse(path: Path) -> int:
    """The whole analysis: lifetimes, reuse, all policies, series and map; finished lifetimes."""
    reader = TraceReader(path)
    analysis = Analysis(reader.header)
    for batch in reader:
        analysis.feed(batch)
    return analysis.finish(reader.trailer).areas[0].lifetime.count


def lifetimes_in_pandas(path: Path) -> int:
    """Lifetimes alone, as one would write them in pandas; finished lifetimes."""
    import pyarrow as pa

    frame = pa.ipc.open_stream(path).read_pandas()
    frame = frame[frame.kind.isin((EventKind.STORE, EventKind.FREE))].sort_values(["slot", "time"], kind="stable")
    before = frame.groupby("slot")[["kind", "time"]].shift()
    ended = (frame.kind == EventKind.FREE) & (before.kind == EventKind.STORE)
    lives = (frame.time - before.time)[ended]
    return int(pd.cut(lives, 64).value_counts().sum())


class FullRing:
    """A ring buffer as the kernel lays it out, filled with events, to be drained again and again."""

    def __init__(self, events: int) -> None:
        page, self.size = os.sysconf("SC_PAGE_SIZE"), 1 << (events * RECORD.itemsize).bit_length()
        self.descriptor = os.memfd_create("ring")
        os.ftruncate(self.descriptor, 2 * page + 2 * self.size)
        records = np.zeros(events, RECORD)
        records["length"] = EVENT.itemsize
        os.pwrite(self.descriptor, records.tobytes(), 2 * page)
        os.pwrite(self.descriptor, (events * RECORD.itemsize).to_bytes(8, "little"), page)
        self.ring = Ring(self.descriptor, self.size)

    def rewind(self) -> None:
        os.pwrite(self.descriptor, bytes(8), 0)

    def drain_in_bulk(self) -> int:
        self.rewind()
        return len(self.ring.drain())

    def drain_by_callback(self) -> int:
        """What a callback per event costs at the least: a ctypes call and one field read, as bcc's ring_buffer_poll."""
        import ctypes

        seen = 0

        def handle(_: object, data: int, size: int) -> int:
            nonlocal seen
            seen += ctypes.cast(data, ctypes.POINTER(ctypes.c_uint64))[0] + 1
            return 0

        callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)(handle)
        events = self.ring_copy()
        address, step = events.ctypes.data, EVENT.itemsize
        for number in range(len(events)):
            callback(None, address + number * step, step)
        return seen

    def ring_copy(self) -> NDArray[np.void]:
        self.rewind()
        return self.ring.drain()


def main() -> None:
    events = int(sys.argv[1]) if len(sys.argv) > 1 else 3_000_000
    console = Console()
    console.print(f"{platform.machine()}, {os.cpu_count()} CPUs, Linux {platform.release()}, {events:,} events")
    made = churn(events)
    few = FullRing(200_000)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "trace")
        write(path, made)
        console.print(f"trace: {path.stat().st_size / len(made):.2f} bytes an event")
        ended = analyse(path), lifetimes_in_pandas(path)
        assert ended[0] == ended[1], f"they do not agree on the lifetimes: {ended}"
        pairs = (
            (
                timing("analysis: everything, from the file", len(made), lambda: analyse(path)),
                timing("pandas: lifetimes alone, from the file", len(made), lambda: lifetimes_in_pandas(path)),
            ),
            (
                timing("ring: drained in bulk", 200_000, few.drain_in_bulk),
                timing("ring: a Python callback per event", 200_000, few.drain_by_callback),
            ),
            (timing("writing the trace", len(made), lambda: write(path, made)),),
        )
    table = Table("what", "million events/s", "slowest", "fastest", "ratio")
    for pair in pairs:
        for one in pair:
            figures = (f"{rate / 1e6:.2f}" for rate in (one.middle, one.slowest, one.fastest))
            table.add_row(one.what, *figures, f"{one.middle / pair[-1].middle:.1f}")
    console.print(table)


if __name__ == "__main__":
    main()
