"""zswap: what the kernel tells of it, and traces by hand: what it holds, and what of that is stale."""

from __future__ import annotations

from pathlib import Path

import pytest
from builders import START, Event, batch, free, header, store, swap_call, trailer, zram_area

from swaptrace.analysis.analysis import Analysis
from swaptrace.areas import ZSWAP_STORES, Store, SwapArea
from swaptrace.engine import zsmalloc
from swaptrace.events import EventFlag, EventKind
from swaptrace.machine.machine import Machine
from swaptrace.machine.snapshot import describe_area
from swaptrace.machine.zswap import read_zswap, zswap_store
from swaptrace.report.as_json import as_json
from swaptrace.results.results import AreaResult, TraceResult
from swaptrace.tracing.environment import features_off, missing_views

STORE = ZSWAP_STORES + 2
EXCLUSIVE, OVERWRITTEN = EventFlag.ANY_POLICY, EventFlag.REPLACED | EventFlag.ANY_POLICY
WRITTEN_BACK = EventFlag.ANY_POLICY | EventFlag.WRITTEN_BACK

# -- what the kernel tells


def machine(root: Path, enabled: str = "Y", zpool: str = "zsmalloc", **counters: int) -> Machine:
    files = {f"sys/kernel/debug/zswap/{name}": str(number) for name, number in counters.items()}
    if enabled:
        files["sys/module/zswap/parameters/enabled"] = enabled
        files["sys/module/zswap/parameters/compressor"] = "lzo"
    if zpool:
        files["sys/module/zswap/parameters/zpool"] = zpool
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return Machine(root)


def test_counters(tmp_path: Path) -> None:
    """Under the names that zram has for the same; those that zram does not have keep theirs."""
    zswap = read_zswap(
        machine(tmp_path, zpool="zbud", stored_pages=7, same_filled_pages=2, pool_total_size=8192, written_back_pages=3)
    )
    assert (zswap.in_use, zswap.compressor, zswap.allocator) == (True, "lzo", "zbud")
    assert zswap.counters == {
        "pages_stored": 7, "same_pages": 2, "mem_used_total": 8192, "written_back_pages": 3, "orig_data_size": 7 * 4096
    }  # fmt: skip


def test_counters_without_debugfs(tmp_path: Path) -> None:
    where = machine(tmp_path)
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal: 2000 kB\nZswap: 24 kB\nZswapped: 40 kB\n")
    found = read_zswap(where).counters
    assert found == {"pages_stored": 10, "mem_used_total": 24 * 1024, "orig_data_size": 40 * 1024}


def test_the_only_allocator_is_no_parameter(tmp_path: Path) -> None:
    assert read_zswap(machine(tmp_path, zpool="")).allocator == "zsmalloc"


@pytest.mark.parametrize(
    ("enabled", "stored", "why"),
    [("Y", 0, ""), ("1", 0, ""), ("N", 3, ""), ("N", 0, "zswap is off"), ("", 0, "the kernel has no zswap")],
)
def test_in_use(tmp_path: Path, enabled: str, stored: int, why: str) -> None:
    """What it took while it was on can go at any time."""
    machine(tmp_path, enabled, stored_pages=stored)
    assert read_zswap(Machine(tmp_path)).why_off == why
    without_zram = dict.fromkeys(("zram", "zram writeback"), "the zram module is not loaded")
    assert features_off(tmp_path) == ({"zswap": why} if why else without_zram)
    (tmp_path / "sys/module/zram").mkdir(parents=True)
    assert features_off(tmp_path) == ({"zswap": why} if why else {})


def test_no_word_of_zram_where_zswap_is_what_there_is_to_see(tmp_path: Path) -> None:
    machine(tmp_path)
    assert missing_views(tmp_path) == []
    machine(tmp_path, "N")
    assert "zswap is off" in missing_views(tmp_path)[0]


def test_area_and_its_store(tmp_path: Path) -> None:
    """An area of which nothing else is known; the machine's counters are its own if there is no other area."""
    disk = describe_area("/dev/nothing", 2, -3, 9, machine=Machine(tmp_path))
    assert (disk.backing, disk.store, disk.extents) == ("unknown", None, ())
    area = describe_area("/dev/nothing", 2, -3, 9, machine=Machine(tmp_path), zswap=True)
    assert (area.backing, area.store, area.extents) == ("zswap", STORE, ((0, 0, 10),))
    zswap = read_zswap(machine(tmp_path, stored_pages=7))
    alone = zswap_store(area, zswap, pools=1, alone=True)
    assert (alone.id, alone.name, alone.is_zswap, alone.allocator) == (STORE, "zswap", True, "zsmalloc")
    assert alone.counters == zswap.counters
    assert zswap_store(area, zswap, pools=1).counters == {}
    assert [zswap_store(area, zswap, pools=number).allocator for number in (0, 2)] == ["", ""]
    zbud = read_zswap(machine(tmp_path, zpool="zbud"))
    assert zswap_store(area, zbud, pools=0).allocator == "zbud"
    assert not Store(0, "zram0", 9).is_zswap


# -- traces by hand


def zswap_area(swap_type: int = 2) -> SwapArea:
    return SwapArea(f"/dev/sd{swap_type}", swap_type, -2, 12, 0, "zswap", ZSWAP_STORES + swap_type, ((0, 0, 12),))


def drop(time: int, slot: int, size: int, flags: int, device: int = STORE) -> Event:
    return Event(time, EventKind.DROP, device, slot, size=size, flags=flags)


def notify(time: int, slot: int, size: int, flags: int = 0) -> Event:
    return Event(time, EventKind.NOTIFY, STORE, slot, size=size, flags=flags | EventFlag.DROPPED, arg=300)


def analyse(events: list[Event], areas: list[SwapArea] | None = None, **counters: int) -> TraceResult:
    areas = areas if areas is not None else [zswap_area()]
    stores = [Store(area.store, "zswap", 12, counters=dict(counters)) for area in areas if area.store is not None]
    analysis = Analysis(header(areas, stores, zsmalloc=_pool()))
    analysis.feed(batch(events))
    return analysis.finish(trailer(START + 1000))


def _pool() -> dict[str, object]:
    pages = zsmalloc.geometry(4096).arrays.classes["pages_per_zspage"].tolist()
    return {"pages_per_zspage": pages, "fullness_rule": "TENTHS"}


def only(result: TraceResult) -> AreaResult:
    (area,) = result.areas
    return area


def stale(area: AreaResult) -> dict[str, tuple[int, int]]:
    return {name: (p.stale_slots_end, p.stale_compr_bytes.end) for name, p in area.policies.items()}


def test_notifications_before_and_after_the_free() -> None:
    """Stale is what a store that is told nothing would keep; here, nothing leaks either way."""
    events = [
        store(START + 1, STORE, 3, 500), store(START + 2, STORE, 4, 700), store(START + 3, STORE, 5, 900),
        notify(START + 5, 3, 500), free(START + 6, 2, 3),
        free(START + 7, 2, 4), notify(START + 8, 4, 700),
    ]  # fmt: skip
    area = only(analyse(events))
    assert stale(area) == {
        "none": (2, 1200), "discard": (2, 1200), "discard_once": (2, 1200), "notify": (0, 0), "observed": (0, 0)
    }  # fmt: skip
    assert (area.model.pages_stored, area.model.compr_data_size, area.notify_free) == (1, 900, 2)
    leaked = area.leaked["pool_bytes"]
    assert leaked is not None
    assert leaked.end == 0  # the pools of `observed` and `notify` hold the same


def test_told_early_is_told_under_notify() -> None:
    """A slot that waits in a CPU's slot cache: its entry is gone already, as it is under `notify`."""
    area = only(analyse([store(START + 1, STORE, 3, 3000), notify(START + 5, 3, 3000)]))
    leaked = area.leaked["pool_bytes"]
    assert leaked is not None
    assert (leaked.end, area.model.mem_used_total) == (0, 0)


@pytest.mark.parametrize("flags", [EXCLUSIVE, OVERWRITTEN, WRITTEN_BACK])
def test_what_goes_for_another_reason_is_stale_under_no_policy(flags: EventFlag) -> None:
    events = [store(START + 1, STORE, 3, 500), drop(START + 2, 3, 500, flags), free(START + 3, 2, 3)]
    area = only(analyse(events))
    assert set(stale(area).values()) == {(0, 0)}
    assert (area.model.pages_stored, area.model.mem_used_total, area.live_slots_end) == (0, 0, 0)
    assert area.written_back == (flags == WRITTEN_BACK)
    assert area.discarded == (flags != OVERWRITTEN)


def test_a_page_that_comes_back_and_goes_out_again_keeps_its_life() -> None:
    events = [
        store(START + 1, STORE, 3, 500), drop(START + 2, 3, 500, EXCLUSIVE), Event(START + 3, EventKind.LOAD, STORE, 3),
        store(START + 4, STORE, 3, 800), notify(START + 5, 3, 800), free(START + 6, 2, 3),
    ]  # fmt: skip
    area = only(analyse(events))
    assert (area.stores, area.loads, area.rewrites, area.frees, area.frees_unwritten) == (2, 1, 1, 1, 0)
    assert area.lifetime.largest == 5
    assert area.duplicate_slots_end == 0
    assert stale(area)["none"] == (1, 800)


def test_entries_from_before_are_a_number_only() -> None:
    area = only(analyse([notify(START + 1, 3, 500), store(START + 2, STORE, 4, 600)], pages_stored=5))
    assert area.model.pages_stored == 5
    assert (area.model.compr_data_size, area.model.mem_used_total, area.pool) == (None, None, None)


def test_several_areas_share_the_pool() -> None:
    """Neither's share of it is known, be the second one there at the start, or later, or on zram."""
    two = [zswap_area(2), zswap_area(3)]
    events = [store(START + 1, STORE, 3, 500), store(START + 2, STORE + 1, 3, 500)]
    for area in analyse(events, two).areas:
        assert (area.model.pages_stored, area.model.compr_data_size, area.model.mem_used_total) == (1, 500, None)
    known = Store(STORE + 1, "zswap", 12)
    late = [events[0], swap_call(START + 2, "swapon", two[1], known), store(START + 3, STORE + 1, 3, 500)]
    assert [area.model.mem_used_total for area in analyse(late, two[:1]).areas] == [None, None]
    assert only(analyse(events, two[:1])).model.mem_used_total is None
    assert only(analyse(events[:1], two[:1])).model.mem_used_total == 4096


def test_names() -> None:
    area = only(analyse([store(START + 1, STORE, 3, 500)]))
    assert (area.backing, area.store, area.zram, area.notified) == ("zswap", "zswap", None, True)


def test_only_zram_has_a_table_of_its_own() -> None:
    """In the report of each area, as the recording has it of its store."""
    areas = [zswap_area(), zram_area("/dev/zram0", 1, 12, 0)]
    stores = [Store(STORE, "zswap", 12), Store(0, "zram0", 12, table_bytes=4096)]
    analysis = Analysis(header(areas, stores))
    analysis.feed(batch([store(START + 1, 0, 3, 70)]))
    found = as_json(analysis.finish(trailer(START + 1000)))["areas"]
    assert {area["device"]: area["table_bytes"] for area in found} == {"/dev/sd2": None, "/dev/zram0": 4096}
