"""Areas far larger than what is used of them: memory goes with what is used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from swaptrace.engine.lazy import extended, lazy_zeros, parts

MOST = 400_000_000  # bytes

#: The area is switched off and on again, and its results are taken in the middle.
_ANALYSIS = r"""
import re, sys
from pathlib import Path
import numpy as np
from builders import START, trailer, zram_area
from swaptrace.analysis.analysis import Analysis
from swaptrace.areas import Snapshot, Store
from swaptrace.engine import zsmalloc
from swaptrace.events import EVENT, EventBatch, EventFlag, EventKind, SwapCall
from swaptrace.trace.header import Header
SLOTS, CLUSTER = int(sys.argv[1]), 512
area, store = zram_area("/dev/zram0", 0, SLOTS, 0), Store(0, "zram0", SLOTS)
pool = {"pages_per_zspage": zsmalloc.geometry().arrays.classes["pages_per_zspage"].tolist(), "fullness_rule": "TENTHS"}
header = Header("6.12", "x86_64", 4096, "host", (), 0, Snapshot(START, (area,), (store,)), zsmalloc=pool)
clusters = {"spread": np.arange(0, SLOTS // CLUSTER, 100), "begin": np.arange(SLOTS // CLUSTER // 100),
            "end": np.array([SLOTS // CLUSTER - 1])}[sys.argv[2]]
slots = (clusters[:, None] * CLUSTER + np.arange(CLUSTER)).ravel()[1:]
now = START
def events(kind, slots, **fields):
    global now
    found = np.zeros(len(slots), EVENT)
    found["kind"], found["slot"], found["run"] = kind, slots, 1
    for name, value in fields.items():
        found[name] = value
    found["time"], now = now + np.arange(len(slots)), now + len(slots)
    return EventBatch(found)
analysis = Analysis(header)
for part in np.array_split(slots, 10):
    analysis.feed(events(EventKind.STORE, part, size=1000))
for part in np.array_split(slots[::2], 10):
    analysis.feed(events(EventKind.FREE, part))
analysis.feed(events(EventKind.NOTIFY, slots[:2:2], size=1000, flags=EventFlag.DROPPED))
(found,) = analysis.results().areas
assert found.frees == len(slots[::2]) and found.lifetime.count == found.frees
for call in ("swapoff", "swapon"):
    one = events(EventKind[call.upper()], slots[:1])
    analysis.feed(EventBatch(one.events, {}, (SwapCall(0, call, area.path, 0, 0, area, store),)))
analysis.feed(events(EventKind.STORE, slots, size=1000))
(first, second) = analysis.finish(trailer(now + 1)).areas
assert (first.frees, second.stores) == (found.frees, len(slots))
# not ru_maxrss, which begins with what the process was forked from
print(1024 * int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]))
"""


@pytest.mark.parametrize(("slots", "used"), [(1 << 26, "spread"), (1 << 26, "begin"), (1 << 27, "end")])
def test_one_percent_of_256_gib_takes_400_mb(slots: int, used: str) -> None:
    """used: where the clusters lie that slots are taken from, as the kernel takes them."""
    done = subprocess.run(
        [sys.executable, "-c", _ANALYSIS, str(slots), used],
        stdout=subprocess.PIPE, check=True, env={"PYTHONPATH": str(Path(__file__).parent)}, timeout=300,
    )  # fmt: skip
    assert int(done.stdout) <= MOST


@pytest.mark.parametrize("length", [0, 1, 4095, 4096, 4097, 3 << 20])
def test_what_is_longer_begins_with_what_there_was(length: int) -> None:
    values = lazy_zeros(length, np.uint64)
    values[::4999] = np.arange(len(values[::4999])) + 1
    values[-1:] = 7
    longer = extended(values, 5000)
    assert longer.dtype == np.uint64
    assert longer[:length].tolist() == values.tolist()
    assert longer[length:].tolist() == [0] * 5000


def test_parts() -> None:
    assert [*parts(10, 4)] == [slice(0, 4), slice(4, 8), slice(8, 10)]
    assert [*parts(0)] == []
