"""What follows from counts, against figures that are worked out here by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from builders import PAGE_SIZE, START, Event, batch, counted, free, header, store, swap_call, zram_area

from swaptrace.analysis.analysis import Analysis
from swaptrace.areas import Snapshot, Store
from swaptrace.events import EventFlag, EventKind
from swaptrace.results.derived import ramzswap
from swaptrace.results.results import AreaResult, TraceResult
from swaptrace.trace.header import Trailer

AREA = zram_area("/dev/zram0", 0, 64, 0)
START_COUNTERS = {"failed_reads": 100, "failed_writes": 200, "invalid_io": 300, "notify_free": 400, "miss_free": 500}
END_COUNTERS = {"failed_reads": 101, "failed_writes": 203, "invalid_io": 307, "notify_free": 411, "miss_free": 513}
ZRAM = Store(0, "zram0", 64, counters=START_COUNTERS)


def analysed(events: list[Event], **how: int) -> AreaResult:
    return whole(events, **how).areas[0]


def whole(events: list[Event], **how: int) -> TraceResult:
    analysis = Analysis(header([AREA], [ZRAM]), **how)  # type: ignore[arg-type]
    analysis.feed(batch([*events, Event(START + 900, EventKind.FAILED, 0, 60, run=3, arg=3)]))
    end = Snapshot(START + 1000, (AREA,), (replace(ZRAM, counters=END_COUNTERS),))
    return analysis.finish(Trailer(end))


def test_counters_of_the_kernel_are_those_of_the_recording() -> None:
    """How far they moved, not where they stand."""
    found = analysed([store(START + 1, 0, 1, 100)])
    assert {name: found.ramzswap[name] for name in ("failed_reads", "failed_writes", "invalid_io")} == {
        "failed_reads": 1, "failed_writes": 3, "invalid_io": 7,
    }  # fmt: skip
    assert (found.kernel_counts["notify_free"], found.kernel_counts["miss_free"]) == (11, 13)


def test_same_filled_pages_are_those_that_the_store_holds() -> None:
    """Those from before the recording included: what went of them is no count below 0."""
    before = replace(ZRAM, counters={"pages_stored": 7, "same_pages": 7})
    analysis = Analysis(header([AREA], [before]))
    held = [Event(START, EventKind.PRESENT, 0, slot, flags=EventFlag.SAME) for slot in (1, 3)]
    gone = [Event(START + slot, EventKind.DROP, 0, slot, flags=EventFlag.SAME) for slot in (1, 3)]
    analysis.feed(batch([*held, *gone]))
    found = analysis.finish(Trailer(Snapshot(START + 10))).areas[0]
    assert found.ramzswap["pages_zero"] == found.model.same_pages == 5


@pytest.mark.parametrize(
    ("sizes", "good", "expand"),
    [
        ([100, 200, 300, 4096], 75, 25),
        ([PAGE_SIZE // 2, PAGE_SIZE // 2 + 1], 50, 0),  # half a page itself is good
        ([PAGE_SIZE // 2] * 4, 100, 0),
        ([PAGE_SIZE // 2 + 1] * 4, 0, 0),
        ([PAGE_SIZE] * 3 + [PAGE_SIZE - 1], 0, 75),
        ([0, 0, PAGE_SIZE, 1], 75, 25),  # same-filled ones
    ],
)
def test_shares_of_sizes(sizes: list[int], good: float, expand: float) -> None:
    found = analysed([store(START + number, 0, number, size) for number, size in enumerate(sizes, 1)])
    assert (found.ramzswap["good_compress_pct"], found.ramzswap["pages_expand_pct"]) == (good, expand)
    assert found.ramzswap["num_writes"] == len(sizes) + 3  # which failed


def test_shares_of_nothing() -> None:
    none = ramzswap(
        counted(loads=1, stores=2, notify_free=3),
        4,
        np.zeros(PAGE_SIZE + 1, np.int64),
        PAGE_SIZE,
        lambda name: len(name),
    )
    assert none == {
        "num_reads": 1, "num_writes": 2 + 13, "failed_reads": 12, "failed_writes": 13, "invalid_io": 10,
        "notify_free": 3, "pages_zero": 4, "good_compress_pct": None, "pages_expand_pct": None,
    }  # fmt: skip


@pytest.mark.parametrize("since", [15, 25, 35])
def test_a_part_has_the_areas_that_came_in_it(since: int) -> None:
    """A swapon in the same batch, behind where counting begins: it counts from its own event on."""
    later = zram_area("/dev/zram1", 1, 8, 1)
    events = [
        store(START + 10, 0, 1, 100),
        store(START + 20, 0, 2, 200),
        store(START + 30, 1, 3, 400),  # before the area is on: of none
        swap_call(START + 40, "swapon", later, Store(1, "zram1", 8)),
        store(START + 50, 1, 4, 300),
        free(START + 60, 1, 4),
        Event(START + 61, EventKind.NOTIFY, 1, 4, size=300, flags=EventFlag.DROPPED),
    ]
    first, second = whole(events, since=START + since).areas
    assert first.stores == sum(event.time >= START + since and event.device == 0 for event in events[:2])
    assert (second.device, second.stores, second.frees, second.notify_free) == ("/dev/zram1", 1, 1, 1)


@pytest.mark.parametrize(("until", "areas"), [(35, 1), (45, 2)])
def test_a_part_ends_before_the_areas_that_come_later(until: int, areas: int) -> None:
    later = zram_area("/dev/zram1", 1, 8, 1)
    events = [store(START + 10, 0, 1, 100), swap_call(START + 40, "swapon", later, Store(1, "zram1", 8))]
    assert len(whole(events, until=START + until).areas) == areas
