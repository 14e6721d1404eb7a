"""What follows from counts, on counts that are made up: tables, and arithmetic done by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from builders import PAGE_SIZE, START, counted, header, zram_area

from swaptrace.areas import ZSWAP_STORES, Snapshot, Store, SwapArea
from swaptrace.results.derived import (
    allocations_told,
    content_of,
    content_told,
    is_notified,
    ramzswap,
    store_in,
    trace_result,
)
from swaptrace.results.results import Content
from swaptrace.trace.header import Trailer

ZRAM = Store(3, "zram3", 64, "lz4", {})
ZSWAP = Store(ZSWAP_STORES + 1, "zswap", 64)


@pytest.mark.parametrize(
    ("probes", "told"),
    [
        ([], False),
        ([{"event": "slot allocated", "functions": []}], False),
        ([{"event": "slot allocated", "functions": ["swap_range_alloc"]}], True),
        ([{"event": "slot freed", "functions": ["swap_range_free"]}], False),
    ],
)
def test_allocations_told(probes: list[dict[str, object]], told: bool) -> None:
    assert allocations_told(header(probes=tuple(probes))) is told


@pytest.mark.parametrize(
    ("path", "backing", "store", "notifications", "frees", "notified"),
    [
        ("/dev/zram3", "zram", ZRAM, 0, 0, True),  # nothing was freed: the device itself would be told
        ("/dev/zram3", "zram", ZRAM, 0, 5, False),
        ("/dev/zram3", "zram", ZRAM, 1, 5, True),
        ("/dev/zram31", "zram", ZRAM, 0, 0, False),
        ("/mnt/swap", "zram", ZRAM, 0, 0, False),
        ("/mnt/swap", "zram", ZRAM, 1, 0, True),
        ("/dev/sda", "zswap", ZSWAP, 0, 5, True),
        ("/dev/sda", "disk", None, 0, 0, False),
    ],
)
def test_who_is_told_of_frees(
    path: str, backing: str, store: Store | None, notifications: int, frees: int, notified: bool
) -> None:
    area = SwapArea(path, 0, -2, 64, backing=backing)
    assert is_notified(area, store, notifications, frees) is notified


CHANGES = {"pages": 10, "same": 2, "huge": -1, "written_back": 4, "compr": 5000}


@pytest.mark.parametrize(
    ("store", "start", "expected"),
    [
        (ZRAM, {}, Content(10, 2, -1, 10 * PAGE_SIZE, 5000, 77, 4)),
        (
            ZRAM,
            {"pages_stored": 100, "same_pages": 20, "huge_pages": 30, "compr_data_size": 400, "bd_count": 50},
            Content(110, 22, 29, 110 * PAGE_SIZE, 5400, 77, 54),
        ),
        (ZSWAP, {"pages_stored": 0}, Content(10, 2, -1, 10 * PAGE_SIZE, 5000, 77, None)),
        (ZSWAP, {"pages_stored": 1}, Content(11, 2, -1, 11 * PAGE_SIZE, None, 77, None)),  # whose size nobody tells
    ],
)
def test_content_is_the_start_and_all_changes(store: Store, start: dict[str, int], expected: Content) -> None:
    assert content_of(store, start, CHANGES, PAGE_SIZE, 77) == expected


def test_content_that_the_kernel_tells() -> None:
    counters = {"pages_stored": 1, "same_pages": 2, "huge_pages": 3, "orig_data_size": 4, "compr_data_size": 5}
    assert content_told(replace(ZRAM, counters=counters | {"other": 9})) == Content(1, 2, 3, 4, 5, None, None)
    assert content_told(None) == Content(None, None, None, None, None, None, None)


def test_the_same_store_later() -> None:
    later = Snapshot(9, stores=(replace(ZRAM, id=2), replace(ZRAM, pages=128), ZSWAP))
    assert store_in(later, ZRAM) == replace(ZRAM, pages=128)
    assert store_in(later, replace(ZRAM, id=4)) is None
    assert store_in(None, ZRAM) is None
    assert store_in(later, None) is None


@pytest.mark.parametrize(
    ("sizes", "good", "expand"),
    [
        ({}, None, None),
        ({100: 4}, 100, 0),
        ({PAGE_SIZE // 2: 1, PAGE_SIZE // 2 + 1: 3}, 25, 0),  # "good" is half a page, and less
        ({0: 1, PAGE_SIZE - 1: 1, PAGE_SIZE: 6}, 12.5, 75),
    ],
)
def test_ramzswap_shares(sizes: dict[int, int], good: float | None, expand: float | None) -> None:
    counts = np.zeros(PAGE_SIZE + 1, np.int64)
    for size, pages in sizes.items():
        counts[size] = pages
    moved = {"failed_reads": 5, "failed_writes": 0, "invalid_io": 7}
    found = ramzswap(counted(loads=11, stores=12, notify_free=13), 14, counts, PAGE_SIZE, moved.get)
    assert found == {
        "num_reads": 11, "num_writes": 12, "failed_reads": 5, "failed_writes": 0, "invalid_io": 7, "notify_free": 13,
        "pages_zero": 14, "good_compress_pct": good, "pages_expand_pct": expand,
    }  # fmt: skip


def test_what_is_said_of_the_trace() -> None:
    area = zram_area("/dev/zram0", 0, 64, 0)
    made = header((area,), start_realtime=1_700_000_000_500_000_000)
    result = trace_result(made, [], {7: "stress"}, {}, {}, events=3)
    assert result.trace["kernel"] == "6.1.0-test"
    assert result.trace["host"] == "tester"
    assert result.trace["start_realtime"] == 1_700_000_000.5
    assert (result.trace["complete"], result.trace["lost_events"], result.trace["events"]) == (False, 0, 3)
    assert result.trace["format_version"] == made.format_version
    assert result.header == {**vars(made), "start": None}  # all that was recorded, but for what the areas have anyhow
    assert (result.areas, result.lost, result.tasks, result.missed) == ([], {}, {7: "stress"}, {})
    told = Trailer(Snapshot(START), {"FREE": 2}, missed={"FREE": 1, "LOAD": 4})
    lossy = trace_result(made, [], {}, told.losses(), told.missed, complete=True)
    assert (lossy.trace["complete"], lossy.trace["lost_events"]) == (True, 7)
    assert (lossy.lost, lossy.missed) == ({"FREE": 3, "LOAD": 4}, {"FREE": 1, "LOAD": 4})
