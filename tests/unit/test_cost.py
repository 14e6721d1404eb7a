"""What the machine pays for a store: pool, table and second copies; and would pay, were the store full."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from swaptrace.analysis.analysis import Analysis
from swaptrace.areas import ZSWAP_STORES, Snapshot, Store, SwapArea
from swaptrace.events import EventKind
from swaptrace.report.as_json import as_json
from swaptrace.report.tables import area_tables
from swaptrace.results.results import TraceResult
from swaptrace.trace.header import Header, Trailer
from tests.unit.builders import PAGE_SIZE, START, Event, batch, header, store, told_zsmalloc, zram_area

AREA = zram_area("/dev/zram0", 0, 64, 0)
ZRAM = Store(0, "zram0", 1000, counters={"pages_stored": 0, "compr_data_size": 0}, table_bytes=24576)
MEMORY = {"MemTotal": 4 << 20}
#: Eight pages, half a page each and one of them twice in memory.
EVENTS = [*(store(START + slot, 0, slot, 2000) for slot in range(1, 9)), Event(START + 20, EventKind.LOAD, 0, 3)]


def result(events: list[Event] = EVENTS, area: SwapArea = AREA, kept: Store = ZRAM, **how: Any) -> TraceResult:
    memory, lost = how.pop("memory", MEMORY), how.pop("lost", {})
    told: Header = header([area], [kept], **{"zsmalloc": told_zsmalloc(), **how})
    analysis = Analysis(told)
    analysis.feed(batch(events))
    return analysis.finish(Trailer(Snapshot(START + 10**9, (area,), (kept,), memory), lost))


def cost(found: TraceResult) -> dict[str, Any]:
    area: dict[str, Any] = as_json(found)["areas"][0]
    told: dict[str, Any] = area["cost"]
    return told


def test_what_is_paid() -> None:
    found = cost(result())
    pool = found["pool_bytes"]
    assert pool == result().areas[0].model.mem_used_total > 0
    assert found == {
        "pool_bytes": pool,
        "freeable_bytes": 0,
        "table_bytes": 24576,
        "duplicate_bytes": PAGE_SIZE,
        "total_bytes": pool + 24576 + PAGE_SIZE,
        "compression_ratio": 8 * PAGE_SIZE / 16000,
        "memory_ratio": 8 * PAGE_SIZE / (pool + 24576),
        "full_bytes": 1000 * pool // 8 + 24576,
        "machine_bytes": 4 << 20,
        "fits": True,
    }


def test_whether_it_would_fit() -> None:
    full = cost(result())["full_bytes"]
    assert cost(result(memory={"MemTotal": full}))["fits"] is True
    assert cost(result(memory={"MemTotal": full - 1}))["fits"] is False
    unknown = cost(result(memory={}))
    assert unknown["fits"] is unknown["machine_bytes"] is None


def test_an_empty_store() -> None:
    found = cost(result([]))
    assert [found[name] for name in ("compression_ratio", "memory_ratio", "full_bytes", "fits")] == [None] * 4
    assert found["total_bytes"] == 24576


def test_zswap_has_no_table_and_no_size() -> None:
    area = replace(AREA, backing="zswap", store=ZSWAP_STORES)
    kept = Store(ZSWAP_STORES, "zswap", 64)
    events = [event._replace(device=ZSWAP_STORES) for event in EVENTS]
    found = cost(result(events, area, kept))
    assert (found["table_bytes"], found["full_bytes"], found["fits"]) == (0, None, None)
    assert found["pool_bytes"] > 0


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"zsmalloc": None}, "how this kernel's zsmalloc is built"),
        ({"lost": {"STORE": 1}}, "STORE"),
        ({"area": SwapArea("/dev/sda2", 0, -2, 64)}, "which holds no memory"),
    ],
    ids=str,
)
def test_where_it_is_not_known(how: dict[str, Any], why: str) -> None:
    area = as_json(result(**how))["areas"][0]
    assert area["cost"] is None
    assert why in area["unknown"]["cost"]


def test_a_table_of_unknown_size() -> None:
    assert cost(result(kept=replace(ZRAM, table_bytes=None))) is None


def test_in_the_table() -> None:
    area = result().areas[0]
    (table,) = (table for table in area_tables(area, 1) if table.name == "cost")
    assert table.rows == {
        "pool of compressed pages": ["16.0 KiB"],
        "of it, freeable by compaction": ["0 B"],
        "zram's table": ["24.0 KiB"],
        "pages that are in memory as well": ["4.0 KiB"],
        "together": ["44.0 KiB"],
        "data over compressed data": ["2.05"],
        "data over pool and table": ["0.80"],
        "if it were full of such pages": ["2.0 MiB"],
        "the machine's memory": ["4.0 MiB"],
    }
    assert table.note.startswith("Full, it would fit")
    (tight,) = (t for t in area_tables(result(memory={"MemTotal": 4096}).areas[0], 1) if t.name == "cost")
    assert "NOT fit" in tight.note
