"""The reports, from a made-up but consistent result: one zram area with everything, one disk with next to nothing."""

from __future__ import annotations

import dataclasses
import io
import json
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

from swaptrace.engine.constants import AGES
from swaptrace.histogram import BUCKETS, Histogram, Survival, bucket_of
from swaptrace.report.as_json import as_json
from swaptrace.report.charts import CHARTS
from swaptrace.report.html import area_names, write_html
from swaptrace.report.interactive import library
from swaptrace.report.pictures import draw
from swaptrace.report.style import as_png
from swaptrace.report.tables import area_tables
from swaptrace.report.text import print_text
from swaptrace.results.results import (
    Ages,
    AreaResult,
    Content,
    Integral,
    Leak,
    PolicyResult,
    Series,
    SlotMap,
    TraceResult,
    WhatIf,
    WrittenBack,
)
from swaptrace.units import DASH

PAGE, SLOTS, BINS, ROWS, SECONDS = 4096, 32768, 600, 256, 240.0
REASONS = ("exit", "swapin", "unmap", "swapoff", "reclaim", "other")

# ------------------------------------------------------------------------------------------------------ made-up results


def histogram(durations: NDArray[np.int64]) -> Histogram:
    counts = np.bincount(bucket_of(durations), minlength=BUCKETS).astype(np.int64)
    return Histogram(counts, int(durations.sum()), int(durations.max(initial=0)))


def survival(durations: NDArray[np.int64], ended: NDArray[np.bool_]) -> Survival:
    done, running = histogram(durations[ended]), histogram(durations[~ended])
    return Survival(done.counts, running.counts, done.largest, left_censored=12)


def integral(series: NDArray[np.int64]) -> Integral:
    span = int(SECONDS * 1e9)
    return Integral(int(series[-1]), int(series.max()), int(series.mean() * span), span)


def policy(slots: NDArray[np.int64], held: NDArray[np.int64]) -> PolicyResult:
    return PolicyResult(int(slots[-1]), int(slots.max()), integral(held), integral((held * 1.13).astype(np.int64)))


def idle(held: Integral) -> Ages:
    """No two figures of a threshold are the same, nor those of two thresholds."""
    count = np.arange(AGES, 0, -1, dtype=np.int64)
    saved = [held.byte_ns * 9 // (10 + number) for number in range(AGES)]
    return Ages(held.byte_ns, held.span, saved, 200 * count, 45 * count, 150 * count, 150_001 * count, unsized=5)


def written_back(held: Integral) -> WrittenBack:
    less = Integral(held.end // 2, held.peak * 2 // 3, held.byte_ns // 3, held.span)
    return WrittenBack(less, held, writes=30_011, loads=4_003, pages_end=21_007)


def spans(begin: NDArray[np.float64], end: NDArray[np.float64], offset: NDArray[np.int64]) -> NDArray[np.int32]:
    """How many of the spans (s) cover the end of each time bin, by row of slots: shape (bins, rows)."""
    change = np.zeros((BINS + 1, ROWS), dtype=np.int32)
    for moments, step in ((begin, 1), (end, -1)):
        place = np.clip(np.ceil(moments / SECONDS * BINS - 1), 0, BINS).astype(np.int64)
        np.add.at(change, (place, offset * ROWS // SLOTS), step)
    return change.cumsum(axis=0, dtype=np.int32)[:BINS]


def zram_area(device: str = "/dev/zram0") -> AreaResult:
    """A workload in waves: every slot is stored once or twice, freed when a task exits or a page returns."""
    rng = np.random.default_rng(20091)
    used = int(SLOTS * 0.7)
    offset = np.arange(used)
    wave = rng.choice([5.0, 60.0, 130.0], used, p=[0.5, 0.3, 0.2])
    stored = wave + offset / used * 25 + rng.exponential(2, used)
    by_exit = rng.random(used) < 0.6
    life = np.where(by_exit, 45 + rng.normal(0, 3, used).clip(-20, 40), rng.lognormal(1.2, 1.6, used))
    freed = stored + life
    reused = freed + rng.lognormal(3.4, 1.1, used)
    live = spans(stored, freed, offset) + spans(reused, reused + 30, offset)
    stale = spans(freed, reused, offset) + spans(reused + 30, np.full(used, 1e9), offset)
    none, missed = stale.sum(axis=1, dtype=np.int64), stale.sum(axis=1, dtype=np.int64) // 40
    slots = {"live": live.sum(axis=1, dtype=np.int64), "none": none, "notify": none * 0, "observed": missed}
    held = {name: values * 1290 for name, values in slots.items()}
    sizes = np.bincount(rng.normal(1290, 420, used).clip(60, 4000).astype(int), minlength=PAGE + 1).astype(np.int64)
    sizes[0], sizes[PAGE] = used // 9, used // 25
    ended, begun = freed < SECONDS, stored < SECONDS
    ns = np.minimum(life * 1e9, (SECONDS - stored) * 1e9).clip(1000).astype(np.int64)[begun]
    gap = np.minimum(reused - freed, SECONDS - freed)[ended]
    reason = np.where(by_exit, 0, rng.choice([1, 2, 4], used, p=[0.7, 0.25, 0.05]))[begun]
    pages, same = int(slots["live"][-1] + missed[-1]), 2900
    pool = int(pages * 1290 * 1.08) // PAGE * PAGE
    content = Content(pages, same, 900, pages * PAGE, pages * 1290, pool, 0)
    policies = {name: policy(slots[name], held[name]) for name in ("none", "notify", "observed")}
    done = ended[begun]
    return AreaResult(
        device=device,
        swap_type=0,
        generation=0,
        backing="zram",
        zram="zram0",
        slots=SLOTS,
        notified=True,
        stores=40_123,
        loads=9_876,
        frees=int(done.sum()),
        frees_unwritten=311,
        rewrites=57,
        refaults=9_321,
        notify_free=33_021,
        miss_free=14,
        discarded=0,
        written_back=0,
        failed_writes=None,
        ramzswap={
            "num_reads": 9_876,
            "num_writes": 40_123,
            "failed_reads": 0,
            "failed_writes": 0,
            "invalid_io": 0,
            "pages_zero": same,
            "good_compress_pct": np.float64(81.3),
            "pages_expand_pct": 3.6,
        },
        swap_header={"pages": 1, "compr_bytes": 74},
        model=content,
        kernel=dataclasses.replace(content, huge_pages=None, mem_used_total=pool + 3 * PAGE),
        kernel_counts={"notify_free": 33_035, "miss_free": 2, "used_slots": 1200},
        policies=policies,
        recovered={"compr_bytes": integral(held["none"]), "pool_bytes": integral(held["none"])},
        leaked={"compr_bytes": integral(held["observed"]), "pool_bytes": None},
        leaks=[Leak(7, 100, 1_500_000_000, "missed"), Leak(9, 200, 2_500_000_000, "not notified")],
        free_path={"calls": 30_000, "slots": 33_035, "ns": 90_000_000},
        what_if={
            "chain=8": WhatIf(integral(held["live"]), {"none": integral(held["none"])}),
            "writeback=15m": WhatIf(None, {}, written_back(integral(held["live"]))),
        },
        age=idle(integral(held["live"])),
        duplicate_slots_end=17,
        duplicate_compr_bytes=integral(held["notify"]),
        pool=integral(held["live"]),
        live_slots_end=int(slots["live"][-1]),
        live_compr_bytes_end=int(held["live"][-1]),
        lifetime=survival(ns, done),
        lifetime_by_reason={name: histogram(ns[done & (reason == code)]) for code, name in enumerate(REASONS)},
        time_to_reuse=survival((gap * 1e9).astype(np.int64), (reused < SECONDS)[ended]),
        free_reasons={name: int((done & (reason == code)).sum()) for code, name in enumerate(REASONS)},
        unread={name: int((done & (reason == code)).sum()) // (3 + code) for code, name in enumerate(REASONS)},
        notification=histogram(rng.lognormal(6.6, 0.5, 33_035).astype(np.int64)),
        sizes=sizes,
        series=Series((np.arange(1, BINS + 1) * SECONDS / BINS * 1e9).astype(np.int64), slots, held, held),
        slot_map=SlotMap(live, stale, SLOTS // ROWS, SLOTS),
        left_censored=12,
        moved=3,
        used_slots=1201,
    )


def disk_area(device: str = "/swap.img") -> AreaResult:
    """A disk that nothing is known of but a few slots in use."""
    unknown, nothing = Content(*[None] * 7), np.zeros(BUCKETS, dtype=np.int64)
    live = np.minimum(np.arange(3) * 5, 8)
    never: dict[str, Integral | None] = {"compr_bytes": None, "pool_bytes": None}
    return AreaResult(
        device=device, swap_type=1, generation=1, backing="disk", zram=None, slots=1_000_000, notified=False,
        stores=0, loads=0, frees=0, frees_unwritten=0, rewrites=0, notify_free=0, miss_free=0, discarded=0,
        written_back=0, failed_writes=None,
        ramzswap={}, swap_header={}, model=unknown, kernel=unknown, kernel_counts={}, policies={},
        recovered=never, leaked=never,
        leaks=[], free_path=None, what_if={},
        duplicate_slots_end=0, duplicate_compr_bytes=Integral(0, 0, 0, 0), pool=None,
        live_slots_end=8, live_compr_bytes_end=0,
        lifetime=Survival(nothing, nothing), lifetime_by_reason={}, time_to_reuse=Survival(nothing, nothing),
        free_reasons=dict.fromkeys(REASONS, 0), notification=Histogram(nothing), sizes=np.zeros(PAGE + 1, np.int64),
        series=Series(np.array([1, 2, 3]) * 80_000_000_000, {"live": live}, {}),
        slot_map=SlotMap(np.zeros((3, 4), np.int32), np.zeros((3, 4), np.int32), 250_000, 1_000_000),
        left_censored=0, moved=0, used_slots=8,
    )  # fmt: skip


def result(*areas: AreaResult, lost: int = 0, complete: bool = True) -> TraceResult:
    trace = {
        "path": "night.swaptrace", "format_version": 1, "kernel": "6.12.57-amd64", "host": "orion",
        "start_realtime": 1772403249.123456, "duration_s": SECONDS, "events": np.int64(1_234_567),
        "lost_events": lost, "complete": complete,
    }  # fmt: skip
    return TraceResult(trace, {"page_size": PAGE}, list(areas), {"STORE": lost - lost // 3, "FREE": lost // 3}, {})


@pytest.fixture(scope="module")
def whole() -> TraceResult:
    return result(zram_area(), disk_area())


def text_of(report: TraceResult, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    print_text(report, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


# ----------------------------------------------------------------------------------------------------------------- JSON

TRACE = [
    "path",
    "format_version",
    "kernel",
    "host",
    "start_realtime",
    "duration_s",
    "events",
    "lost_events",
    "complete",
    "damage",
    "labels",
    "marks",
    "since_s",
    "until_s",
    "summary",
    "areas_left_out",
    "readahead",
]
CONTENT = ["pages_stored", "same_pages", "huge_pages", "orig_data_size", "compr_data_size", "mem_used_total"]
AREA = [
    *[
        "device",
        "swap_type",
        "generation",
        "backing",
        "zram",
        "notified",
        "stores",
        "loads",
        "frees",
        "notify_free",
        "miss_free",
    ],
    *CONTENT,
    *["kernel", "policies", "recovered", "lifetime_ns", "time_to_reuse_ns", "free_reasons", "notification_ns"],
]
EXTRA = [
    *[
        "slots",
        "frees_unwritten",
        "rewrites",
        "discarded",
        "ramzswap",
        "refaults",
        "unread",
        "swap_header",
        "leaked",
        "left_censored",
    ],
    *["discards", "failed_writes", "table_bytes"],
    *["live_slots_end", "live_compr_bytes_end", "lifetime_by_reason_ns", "censored"],
    *["age", "pool", "duplicate", "leaks", "what_if", "slot_free_path", "bd_count", "moved", "used_slots"],
    *["store", "algorithm", "written_back", "in_use", "cost", "bounds", "unknown"],
]
INTEGRAL = {"end", "peak", "mean", "byte_seconds"}


def only_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(type(key) is str and only_plain(item) for key, item in value.items())
    if isinstance(value, list):
        return all(map(only_plain, value))
    return value is None or type(value) in (str, int, float, bool)


def test_json_keeps_the_contract(whole: TraceResult) -> None:
    report = as_json(whole)
    assert list(report) == ["schema_version", "trace", "losses", "missed", "not_told", "findings", "areas"]
    assert report["schema_version"] == 1
    assert list(report["trace"]) == TRACE
    for area in report["areas"]:
        assert set(area) == {*AREA, *EXTRA}
        assert list(area["kernel"])[: len(CONTENT)] == CONTENT
        assert set(area["lifetime_ns"]) == set(area["time_to_reuse_ns"]) == {"count", "p50", "p90", "p99", "max"}
        assert set(area["notification_ns"]) == {"count", "p50", "p99", "max", "total"}
        assert set(area["free_reasons"]) == set(REASONS)
        assert set(area["recovered"]) == set(area["leaked"]) == {"compr_bytes", "pool_bytes"}
    zram, disk = report["areas"]
    for found in zram["policies"].values():
        assert set(found) == {"stale_slots_end", "stale_slots_peak", "stale_compr_bytes", "stale_pool_bytes"}
        assert set(found["stale_compr_bytes"]) == set(found["stale_pool_bytes"]) == INTEGRAL
    assert set(zram["recovered"]["compr_bytes"]) == INTEGRAL
    assert disk["policies"] == {}
    assert disk["recovered"] == {"compr_bytes": None, "pool_bytes": None}
    assert disk["lifetime_ns"] == {"count": 0, "p50": None, "p90": None, "p99": None, "max": None}


def test_json_is_plain_and_never_nan(whole: TraceResult) -> None:
    area = dataclasses.replace(whole.areas[0], ramzswap={"good_compress_pct": float("nan")})
    report = as_json(dataclasses.replace(whole, areas=[area]))
    assert only_plain(report)
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert report["areas"][0]["ramzswap"] == {"good_compress_pct": None}


def test_every_json_field_is_documented(whole: TraceResult) -> None:
    words = (Path(__file__).parents[2] / "docs" / "report-json.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"`([a-z0-9_]+)`", words))
    report = as_json(whole)
    area = report["areas"][0]
    nested = (
        area["policies"]["none"],
        area["lifetime_ns"],
        area["notification_ns"],
        area["free_reasons"],
        area["ramzswap"],
    )
    names = {*report, *report["trace"], *area, *INTEGRAL}.union(*nested)
    assert names - documented == set()


# ----------------------------------------------------------------------------------------------------------------- text


def test_text_fits_80_columns_and_is_plain_when_piped(whole: TraceResult) -> None:
    said = text_of(whole)
    assert "\x1b" not in said
    assert max(map(len, said.splitlines())) <= 80
    assert "…" not in said
    for words in ("orion", "6.12.57-amd64", "2026-03-01 22:14:09 UTC", "4 min", "1,234,567", "/dev/zram0", "WARNING"):
        assert (words in said) == (words != "WARNING")


@pytest.mark.parametrize(
    ("zone", "said"),
    [
        ("UTC", "2026-03-01 22:14:09 UTC"),
        ("CET-1CEST,M3.5.0,M10.5.0/3", "2026-03-01 23:14:09 UTC+01:00"),
        ("IST-5:30", "2026-03-02 03:44:09 UTC+05:30"),
        ("NST3:30NDT,M3.2.0,M11.1.0", "2026-03-01 18:44:09 UTC-03:30"),
    ],
)
def test_times_are_local(
    whole: TraceResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zone: str, said: str
) -> None:
    """In text and HTML; programs get seconds since the epoch, whatever the zone is."""
    monkeypatch.setattr("swaptrace.report.html.CHARTS", ())
    try:
        with monkeypatch.context() as there:
            there.setenv("TZ", zone)
            time.tzset()
            assert f"recorded  {said}\n" in text_of(whole)
            assert f"<dd>{said}</dd>" in write_html(whole, tmp_path).read_text(encoding="utf-8")
            assert as_json(whole)["trace"]["start_realtime"] == whole.trace["start_realtime"] == 1772403249.123456
    finally:
        time.tzset()


def test_text_compares_the_model_with_the_kernel(whole: TraceResult) -> None:
    content = text_of(whole).split("What the store holds at the end")[1].split("Stale slots")[0]
    rows = {line.split()[0]: line.split()[1:] for line in content.splitlines() if line.strip()}
    assert rows["pages_stored"][-1] == "✓"
    assert rows["huge_pages"] == ["900", DASH, DASH]
    assert rows["mem_used_total"][-2:] == ["-12.0", "KiB"]
    assert rows["used_slots"][-1] == "+1"
    assert "bd_count" not in rows  # there is no backing device


def test_text_compares_the_use_of_a_disk() -> None:
    area = dataclasses.replace(disk_area(), kernel_counts={"used_slots": 8})
    table = text_of(result(area)).split("Slots in use at the end")[1]
    assert re.search(r"used_slots +8 +8 +✓", table)


def test_headline_answers_the_question(whole: TraceResult) -> None:
    said = " ".join(text_of(result(whole.areas[0])).split())
    assert re.search(
        r"Stale slots would hold [\d.]+ MiB \(\d+ % of the store\) at the end without slot-free notif", said
    )
    assert re.search(r"notifications can give back [\d.]+ MiB of it, and [\d.]+ MiB at the peak, but missed", said)


def test_headline_of_an_area_without_notifications(whole: TraceResult) -> None:
    said = " ".join(text_of(result(dataclasses.replace(whole.areas[0], notified=False))).split())
    assert re.search(r"Stale slots hold .* gets no slot-free notifications; they would give back", said)


def test_zswap_is_named(whole: TraceResult, tmp_path: Path) -> None:
    """In the terminal and in HTML; what it wrote back is a row that areas on zram do not have."""
    area = dataclasses.replace(
        whole.areas[0], device="/dev/sda2", backing="zswap", zram=None, store="zswap", discarded=50, written_back=41
    )
    said = " ".join(text_of(result(area)).split())
    assert "slots on zswap in front of a disk; slot-free notifications reach it." in said
    assert re.search(r"written_back 41\b.* by zswap to the swap area", said)
    assert "written_back" not in text_of(whole)
    html = write_html(result(area), tmp_path).read_text(encoding="utf-8")
    assert "zswap in front of a disk" in html
    assert "written_back" in html


def test_losses_and_an_incomplete_trace_are_said_first(whole: TraceResult) -> None:
    said = " ".join(text_of(result(*whole.areas, lost=3000, complete=False)).split())
    assert "WARNING 3,000 EVENTS WERE LOST (2,000 store, 1,000 free): the figures below are bounds" in said
    assert "WARNING THE TRACE IS INCOMPLETE" in said
    assert said.index("INCOMPLETE") < said.index("Stale slots would hold")


def test_quantiles_beyond_the_recording_are_said_in_words(whole: TraceResult) -> None:
    running = Survival(np.zeros(BUCKETS, np.int64), whole.areas[0].lifetime.ended)
    area = dataclasses.replace(whole.areas[0], lifetime=running)
    (table,) = (table for table in area_tables(area, SECONDS) if table.name == "times")
    assert [table.rows[name][0] for name in ("p50", "p90", "p99")] == ["not reached"] * 3


def test_text_without_areas() -> None:
    assert "No swap area was active" in text_of(result())


def test_text_takes_names_as_they_are(whole: TraceResult) -> None:
    assert "/dev/[red]x[/red]" in text_of(result(disk_area("/dev/[red]x[/red]")))


def test_text_for_an_ascii_terminal(whole: TraceResult) -> None:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="ascii", write_through=True)
    print_text(whole, Console(file=file, width=80))
    assert b"pages_stored" in raw.getvalue()


# -------------------------------------------------------------------------------------------------------- charts, HTML


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.name)
def test_charts_are_drawn_for_any_area(chart: Any, whole: TraceResult) -> None:
    none = np.zeros(0, np.int64)
    bare = dataclasses.replace(
        disk_area("$x_{"),
        series=Series(none, {}, {}),
        slot_map=SlotMap(np.zeros((0, 0), np.int32), np.zeros((0, 0), np.int32), 1, 0),
    )
    one_bin = dataclasses.replace(
        whole.areas[0],
        series=Series(np.array([5], np.int64), {"live": np.array([1])}, {"live": np.array([9])}),
        slot_map=SlotMap(np.ones((1, 1), np.int32), np.zeros((1, 1), np.int32), 1, 1),
    )
    assert not chart.plot(bare).panels
    assert chart.plot(whole.areas[0]).panels
    for area in (*whole.areas, bare, one_bin):
        png = as_png(draw(chart.plot(area)))
        width, height = (int.from_bytes(png[at : at + 4], "big") for at in (16, 20))
        assert width == 1440
        assert height >= 360
        assert len(png) < 500_000


def test_html_needs_nothing_else(whole: TraceResult, tmp_path: Path) -> None:
    page = write_html(result(*whole.areas, lost=7), tmp_path / "new" / "folder")
    html = page.read_text(encoding="utf-8")
    assert page == tmp_path / "new" / "folder" / "report.html"
    assert "default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; script-src 'unsafe-inline'" in html
    assert not re.search(r"https?://|<link|@import|url\(|<img|<script [^>]*src", html.replace(library(), ""))
    pictures = {path.name: path.read_bytes() for path in page.parent.glob("*.png")}
    assert {f"{name}.png" for name in re.findall(r'<figure aria-labelledby="(.+?)-title">', html)} == set(pictures)
    assert {"zram0-content.png", "zram0-map.png", "swap.img-content.png"} <= set(pictures)
    assert "swap.img-sizes.png" not in pictures
    assert all(data.startswith(b"\x89PNG") for data in pictures.values())
    assert "7 EVENTS WERE LOST" in html
    assert "pages_stored" in html


def test_html_escapes_what_comes_from_the_machine(whole: TraceResult, tmp_path: Path) -> None:
    html = write_html(result(disk_area("/dev/<b>bold</b>&\"'")), tmp_path).read_text(encoding="utf-8")
    assert "<b>" not in html.replace(library(), "")
    assert "&lt;b&gt;bold&lt;/b&gt;&amp;" in html
    assert all(re.fullmatch(r"[\w.-]+", path.name) for path in tmp_path.iterdir())


def test_files_of_different_areas_do_not_collide() -> None:
    devices = ("/dev/zram0", "/mnt/zram0", "/dev/zram0", "/../..", "/a b/ü", "/mnt/swap/", "/a b.c_d-E", "/" + "x" * 99)
    names = area_names([disk_area(device) for device in devices])
    assert names == ["zram0", "zram0-2", "zram0-3", "area", "area-2", "swap", "a_b.c_d-E", "x" * 60]


def test_a_disk_of_which_the_model_knows_zeros_is_not_called_clean(whole: TraceResult) -> None:
    """What was never looked into is no "0 B stale"."""
    nothing = Integral(0, 0, 0, 0)
    zeros = {name: PolicyResult(0, 0, nothing, None) for name in ("none", "notify", "observed")}
    recovered: dict[str, Integral | None] = {"compr_bytes": nothing, "pool_bytes": None}
    area = dataclasses.replace(disk_area(), policies=zeros, recovered=recovered, leaked=recovered)
    said = text_of(result(area))
    assert "no memory that is known of" in said
    assert "by policy" not in said


def test_series_may_hold_more_and_end_in_a_bin_without_width(whole: TraceResult) -> None:
    area = whole.areas[0]
    time = area.series.time.copy()
    time[-1] = time[-2]
    more = {
        name: {**vars(area.series)[name], "recovered": vars(area.series)[name]["none"]} for name in ("slots", "bytes")
    }
    area = dataclasses.replace(area, series=Series(time, more["slots"], more["bytes"]))
    for chart in CHARTS:
        draw(chart.plot(area)).canvas.draw()
