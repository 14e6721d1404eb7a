"""Writes that failed, and what a store did that no event tells of: what the figures are worth then."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from swaptrace.analysis.analysis import Analysis
from swaptrace.areas import Snapshot, Store
from swaptrace.degradation import RECOMPRESSION
from swaptrace.events import EventFlag, EventKind
from swaptrace.report.as_json import as_json
from swaptrace.report.text import print_text
from swaptrace.trace.header import Header, Trailer, from_json, to_json
from tests.unit.builders import START, Event, batch, free, header, store, swap_call, told_zsmalloc, zram_area

BEFORE = {"pages_stored": 0, "compr_data_size": 0, "failed_writes": 5, "pages_compacted": 7}
ZRAM = Store(0, "zram0", 64, counters=BEFORE)
AREA = zram_area("/dev/zram0", 0, 64, 0)
REFUSED = [
    store(START + 10, 0, 1, 300),
    Event(START + 11, EventKind.FAILED, 0, 2, run=1, arg=1),  # a page over nothing
    store(START + 12, 0, 3, 100),
    Event(START + 13, EventKind.FAILED, 0, 3, run=1, arg=1),  # over an entry, which stays
    store(START + 14, 0, 8, 50),
    Event(START + 15, EventKind.FAILED, 0, 9, run=7, arg=7),  # the rest of a request
    free(START + 20, 0, 1),
]


def reported(events: list[Event], failed: int, compacted: int = 0, **how: Any) -> tuple[dict[str, Any], str]:
    """The JSON report's area, and the text. The kernel's counters move by so much."""
    analysis = Analysis(header([AREA], [how.pop("zram", ZRAM)], missing=(), **how))
    analysis.feed(batch(events))
    moved = {"pages_stored": 3, "failed_writes": 5 + failed, "pages_compacted": 7 + compacted}
    result = analysis.finish(Trailer(Snapshot(START + 100, (), (replace(ZRAM, counters=moved),))))
    out = io.StringIO()
    print_text(result, Console(file=out, width=100))
    return as_json(result)["areas"][0], " ".join(out.getvalue().split())


def test_failed_writes_are_no_pages() -> None:
    area, text = reported(REFUSED, 9, zsmalloc=told_zsmalloc())
    assert (area["pages_stored"], area["compr_data_size"], area["stores"], area["rewrites"]) == (3, 450, 3, 0)
    assert area["live_slots_end"] == 2 and area["policies"]["none"]["stale_slots_end"] == 1
    assert area["failed_writes"] == area["kernel"]["failed_writes"] == area["ramzswap"]["failed_writes"] == 9
    assert area["ramzswap"]["num_writes"] == 3 + 9
    assert area["unknown"] == {} and "WARNING" not in text
    assert re.search(r"failed_writes +9 .*? writes that the store refused", text)


def test_a_store_that_refuses_nothing_says_so() -> None:
    area, text = reported([store(START + 10, 0, 1, 300)], 0)
    assert area["failed_writes"] == 0
    assert "writes that the store refused" not in text


def test_a_trace_of_before_says_that_its_figures_are_not_known() -> None:
    """A write that failed was a store without an entry, as is one whose entry is dropped at once."""
    area, text = reported([store(START + 10, 0, 1, 0, flags=int(EventFlag.GONE))], 1)
    assert area["pages_stored"] is area["stores"] is area["failed_writes"] is None
    assert area["unknown"]["pages_stored"].startswith("the kernel counted 1 failed writes that no event tells of")
    assert "the kernel counted 1 failed writes that no event tells of" in text
    assert "What stale slots hold is not known" in text


def test_so_does_one_over_an_entry() -> None:
    """There the store had the old entry's size, and no drop came before."""
    area, _ = reported([store(START + 10, 0, 1, 300), store(START + 11, 0, 1, 300)], 1)
    assert area["pages_stored"] is None
    area, _ = reported([store(START + 10, 0, 1, 300)], 1)  # none of the stores can have been it
    assert area["pages_stored"] == 1
    assert area["failed_writes"] is None and area["unknown"]["failed_writes"]
    assert (area["ramzswap"]["num_writes"], area["ramzswap"]["failed_writes"]) == (None, 1)  # the kernel's own
    assert area["ramzswap"].keys() == reported([], 0)[0]["ramzswap"].keys()


def test_a_reset_begins_the_counters_anew() -> None:
    events = [Event(START + 10, EventKind.FAILED, 0, 1), Event(START + 11, EventKind.RESET, 0, 0, 0), *REFUSED[1:2]]
    analysis = Analysis(header([AREA], [ZRAM], missing=(), zsmalloc=told_zsmalloc()))
    analysis.feed(batch(events))
    after = replace(ZRAM, counters={"failed_writes": 1, "pages_compacted": 0})
    area = as_json(analysis.finish(Trailer(Snapshot(START + 100, (), (after,)))))["areas"][0]
    assert area["unknown"] == {}
    assert area["failed_writes"] == 2


def test_compaction_makes_pool_bytes_unknown() -> None:
    area, _ = reported(REFUSED, 9, zsmalloc=told_zsmalloc())
    assert area["pool"] is not None and area["mem_used_total"] > 0
    area, text = reported(REFUSED, 9, 76, zsmalloc=told_zsmalloc())
    assert area["pool"] is area["mem_used_total"] is area["recovered"]["pool_bytes"] is None
    assert area["policies"]["none"]["stale_pool_bytes"] is None
    assert area["pages_stored"] == 3 and area["kernel"]["pages_compacted"] == 76
    assert set(area["unknown"]) >= {"pool", "mem_used_total", "policies.none.stale_pool_bytes"}
    assert "the kernel compacted the pool meanwhile (it gave back 76 pages)" in text


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_store_that_recompresses_is_not_modelled(when: str) -> None:
    zram = replace(ZRAM, features=(RECOMPRESSION,))
    events = [store(START + 10, 0, 1, 300), free(START + 20, 0, 1)]
    head = header([AREA], [zram], missing=())
    if when == "meanwhile":
        head = header(missing=())
        events.insert(0, swap_call(START + 1, "swapon", AREA, zram))
    analysis = Analysis(from_json(Header, to_json(head)))
    analysis.feed(batch(events))
    result = analysis.finish(Trailer(Snapshot(START + 100, (), (zram,))))
    area = as_json(result)["areas"][0]
    assert area["frees"] == 1
    assert area["stores"] is area["pages_stored"] is area["policies"] is area["live_slots_end"] is None
    assert "zram0: it recompresses pages" in area["unknown"]["stores"]
    out = io.StringIO()
    print_text(result, Console(file=out, width=100))
    assert "zram0: it recompresses pages" in " ".join(out.getvalue().split())
