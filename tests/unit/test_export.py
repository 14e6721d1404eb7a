"""export: what other programs read is what the report says."""

from __future__ import annotations

import csv
import io
import json
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from builders import START, batch, free, header, notified_free, store, swap_call, trailer, zram_area
from perfetto.protos.perfetto.trace import perfetto_trace_pb2 as protos
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from test_cli import main_in_process, run, two_lines
from test_hostile import PARTS, REFUSED, changed, within_limits, write

from swaptrace.analysis.analysis import Analysis
from swaptrace.areas import Store
from swaptrace.errors import UsageProblem
from swaptrace.events import EventBatch, EventFlag, EventKind, FreeReason, Mark
from swaptrace.export.command import Wanted, export
from swaptrace.export.openmetrics import is_counter, metric_name
from swaptrace.report.as_json import as_json
from swaptrace.report.cells import safe
from swaptrace.report.command import Selection, analyse
from swaptrace.results.catalogue import FIGURES, INTEGRAL_PARTS, Kind
from swaptrace.results.file import encode
from swaptrace.results.over_time import OVER_TIME
from swaptrace.tables.rows import TABLES
from swaptrace.trace.reader import TraceReader
from swaptrace.trace.writer import TraceWriter
from tests.data.documents import API, columns_written
from tests.unit.fixtures import DATA, FORMATS, KERNELS, TRACE

GOLDEN = [*KERNELS, *FORMATS]


def trace_of(name: str) -> Path:
    return DATA / name / TRACE


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tables of each golden trace, by its name."""
    folder = tmp_path_factory.mktemp("exported")
    for name in GOLDEN:
        export(trace_of(name), Wanted("parquet", folder / name))
    return folder


def report_of(name: str) -> list[dict[str, Any]]:
    areas: list[dict[str, Any]] = json.loads((DATA / name / "report.json").read_text())["areas"]
    return areas


def key(area: dict[str, Any]) -> tuple[str, int, int]:
    return area["device"], area["swap_type"], area["generation"]


def at(area: dict[str, Any], figure: str) -> Any:
    """A figure of a report, by its path."""
    value: Any = area
    for part in figure.split("."):
        value = None if value is None else value[part]
    return value


# -------------------------------------------------------------------------------------------------------------- parquet


@pytest.mark.parametrize("name", GOLDEN)
def test_parquet_has_the_types_that_are_described(exported: Path, name: str) -> None:
    """And units and sentences; all rows are there."""
    for table in TABLES.values():
        found = pq.read_table(exported / name / f"{table.name}.parquet")
        found.validate(full=True)
        assert [(field.name, field.type, field.nullable) for field in found.schema] == [
            (column.name, column.type, not column.always) for column in table.columns
        ]
        for field, column in zip(found.schema, table.columns, strict=True):
            assert field.metadata[b"description"].decode() == column.sentence
            assert field.metadata[b"unit"].decode() == column.unit
        assert b"swaptrace.header" in found.schema.metadata
    events = pq.read_metadata(exported / name / "events.parquet")
    assert events.num_rows == sum(len(batch) for batch in TraceReader(trace_of(name)))


HEADLINES = (
    "stores", "frees", "live_slots_end", "live_compr_bytes_end", "compr_data_size", "mem_used_total", "lifetime_ns.p50",
    "free_reasons.exit",
    *(f"policies.none.stale_{what}" for what in ("slots_end", "slots_peak")),
    *(f"{what}.{part}" for what in ("policies.none.stale_compr_bytes", "recovered.compr_bytes", "recovered.pool_bytes")
      for part in INTEGRAL_PARTS),
)  # fmt: skip


@pytest.mark.parametrize("name", GOLDEN)
@pytest.mark.parametrize("figure", HEADLINES)
def test_headlines_by_sql(exported: Path, name: str, figure: str) -> None:
    """From the table of areas: with the report's nulls where it has some."""
    rows = duckdb.sql(
        f"SELECT device, swap_type, generation, value FROM '{exported / name}/areas.parquet' WHERE figure = '{figure}'"
    ).fetchall()
    found = {row[:3]: row[3] for row in rows}
    for area in report_of(name):
        expected = at(area, figure)
        assert found.get(key(area)) == (None if expected is None else pytest.approx(expected, rel=1e-12)), key(area)


SUMS = {  # of lifetimes: SQL, and what it is in the report
    "count(*) FILTER (freed_ns IS NOT NULL AND replaced_ns IS NULL)": "policies.none.stale_slots_end",
    "coalesce(sum(compr_bytes) FILTER (freed_ns IS NOT NULL AND replaced_ns IS NULL), 0)": "recovered.compr_bytes.end",
    "count(*) FILTER (freed_ns IS NULL AND replaced_ns IS NULL)": "live_slots_end",
    "coalesce(sum(compr_bytes) FILTER (freed_ns IS NULL AND replaced_ns IS NULL), 0)": "live_compr_bytes_end",
    "count(*) FILTER (freed_ns IS NOT NULL AND stored_ns IS NOT NULL)": "lifetime_ns.count",
    "max(freed_ns - stored_ns)": "lifetime_ns.max",
    **{
        f"count(*) FILTER (reason = '{reason.name.lower()}' AND stored_ns IS NOT NULL)":
        f"lifetime_by_reason_ns.{reason.name.lower()}.count"
        for reason in FreeReason
    },
}  # fmt: skip


@pytest.mark.parametrize("name", GOLDEN)
@pytest.mark.parametrize("sql", SUMS)
def test_lifetimes_add_up_to_the_report(exported: Path, name: str, sql: str) -> None:
    """Slot by slot, by SQL, what the engine counted."""
    rows = duckdb.sql(
        f"SELECT device, swap_type, generation, {sql} FROM '{exported / name}/lifetimes.parquet' GROUP BY ALL"
    ).fetchall()
    found = {row[:3]: row[3] for row in rows}
    compared = 0
    for area in report_of(name):
        expected = at(area, SUMS[sql])
        if expected is not None and area["store"] is not None:  # null: not predicted, of this kernel
            assert found.get(key(area), 0) == expected, key(area)
            compared += 1
    assert compared or name in ("6.18", "7.3")


@pytest.mark.parametrize("name", GOLDEN)
def test_what_was_stale_over_time_by_sql(exported: Path, name: str) -> None:
    """Each row of lifetimes was stale, under `none`, from its free until it was replaced: bytes times seconds."""
    end = json.loads((DATA / name / "report.json").read_text())["trace"]["duration_s"] * 1e9
    rows = duckdb.sql(
        f"SELECT device, swap_type, generation, sum(compr_bytes * (coalesce(replaced_ns, {end}) - freed_ns)) / 1e9 "
        f"FROM '{exported / name}/lifetimes.parquet' WHERE store IS NOT NULL GROUP BY ALL"
    ).fetchall()
    found = {row[:3]: row[3] or 0 for row in rows}
    for area in report_of(name):
        expected = at(area, "policies.none.stale_compr_bytes.byte_seconds")
        moved = area["moved"] + area["left_censored"]  # whose size was another at first
        if expected is not None and area["store"] is not None and not moved:
            assert found.get(key(area), 0) == pytest.approx(expected, rel=1e-6), key(area)


@pytest.mark.parametrize("name", GOLDEN)
def test_series_end_where_the_report_does(exported: Path, name: str) -> None:
    for area in report_of(name):
        where = f"device = '{area['device']}' AND swap_type = {area['swap_type']} AND generation = {area['generation']}"
        (last,) = duckdb.sql(
            f'SELECT live_slots, "policies.none.stale_slots", "policies.none.stale_compr_bytes", '
            f"\"policies.observed.pool_bytes\" FROM '{exported / name}/series.parquet' WHERE {where} "
            "ORDER BY time_ns DESC LIMIT 1"
        ).fetchall()
        none = area["policies"]["none"]
        expected = (
            area["live_slots_end"],
            *((none["stale_slots_end"], none["stale_compr_bytes"]["end"]) if none else (None, None)),
        )
        assert last == (*expected, at(area, "pool.end")), key(area)


@pytest.mark.parametrize("selection", [Selection(), Selection(since=20.0)])
def test_series_are_those_of_the_results(tmp_path: Path, selection: Selection) -> None:
    """All areas' one after the other: each value, at its time, by both clocks."""
    export(trace_of("format2"), Wanted("parquet", tmp_path / "out", selection=selection))
    table, result = pq.read_table(tmp_path / "out/series.parquet"), analyse(trace_of("format2"), selection)
    times = np.concatenate([result.begin + area.series.time for area in result.areas])
    np.testing.assert_array_equal(table["time_ns"].to_numpy(), times)
    realtime = table["time"].cast(pa.int64()).to_numpy() - TraceReader(trace_of("format2")).header.start_realtime
    np.testing.assert_array_equal(realtime, times)
    for row in OVER_TIME:
        values = [row.values(area) for area in result.areas]
        flat = [
            [None] * len(area.series.time) if v is None else v.tolist()
            for area, v in zip(result.areas, values, strict=True)
        ]
        assert table[row.name].to_pylist() == [value for area in flat for value in area], row.name


def test_events_have_names_and_both_places(tmp_path: Path) -> None:
    """A partition's slots are not where its store has their pages; what is of no slot has none."""
    area = zram_area("/dev/zram0p1", 3, 16, 0, ((0, 100, 16),))
    path = tmp_path / "trace"
    writer = TraceWriter(path, header([area], [Store(0, "zram0", 200)]))
    events = [
        store(START + 1, 0, 105, 1234)._replace(arg=7, tgid=8), store(START + 2, 0, 100, 60),
        store(START + 3, 0, 20, 60),
        free(START + 4, 3, 5, reason=FreeReason.EXIT)._replace(tgid=9), swap_call(START + 5, "swapoff", area),
        store(START + 6, 0, 105, 50, int(EventFlag.HUGE)), swap_call(START + 7, "swapon", area),
        store(START + 8, 0, 106, 50)._replace(arg=5), swap_call(START + 9, "swapon", None, result=-22),
    ]  # fmt: skip
    writer.feed(EventBatch(**{**batch(events).__dict__, "tasks": {8: "kswapd0"}, "cgroups": {7: "/a"}}))
    writer.close(trailer(START + 10))
    export(path, Wanted("parquet", tmp_path / "out", ["events"]))
    rows = pq.read_table(tmp_path / "out/events.parquet").to_pylist()
    names = ("time_ns", "kind", "device", "generation", "slot", "store", "page", "compr_bytes", "reason", "process")
    none = None
    assert [tuple(row[name] for name in names) for row in rows] == [
        (1, "STORE", "/dev/zram0p1", 0, 5, "zram0", 105, 1234, none, "kswapd0"),
        (2, "STORE", none, none, none, "zram0", 100, 60, none, none),
        (3, "STORE", none, none, none, "zram0", 20, 60, none, none),
        (4, "FREE", "/dev/zram0p1", 0, 5, none, none, none, "exit", none),
        (5, "SWAPOFF", "/dev/zram0p1", 0, none, none, none, none, none, none),
        (6, "STORE", none, none, none, "zram0", 105, 50, none, none),
        (7, "SWAPON", "/dev/zram0p1", 1, none, none, none, none, none, none),
        (8, "STORE", "/dev/zram0p1", 1, 6, "zram0", 106, 50, none, none),
        (9, "SWAPON", "/nowhere", none, none, none, none, none, none, none),
    ]
    assert [row["cgroup"] for row in rows if row["cgroup"]] == ["/a", "cgroup 5"]
    assert [row["flags"] for row in rows if row["flags"]] == ["HUGE"]
    assert [row["errno"] for row in rows if row["errno"] is not None] == [0, 0, 22]
    assert rows[0]["time"].isoformat() == "2023-11-14T22:13:20.000000001+00:00"


@pytest.mark.parametrize("name", GOLDEN)
def test_events_are_those_of_the_trace(exported: Path, name: str) -> None:
    """All numbers that have a column, row by row; and each name stands for its number."""
    events = EventBatch.concatenate(list(TraceReader(trace_of(name)))).events
    table = pq.read_table(exported / name / "events.parquet")
    start = TraceReader(trace_of(name)).header.start.time
    np.testing.assert_array_equal(table["time_ns"].to_numpy() + start, events["time"])
    for column, field in (("run", "run"), ("pid", "tgid")):
        np.testing.assert_array_equal(table[column].to_numpy(), events[field])
    assert table["kind"].to_pylist() == [EventKind(int(kind)).name for kind in events["kind"]]
    reasons = [FreeReason(int(reason) - 1).name.lower() if reason else None for reason in events["reason"]]
    assert table["reason"].to_pylist() == reasons
    told = [flags.split() if flags else [] for flags in table["flags"].to_pylist()]
    assert [sum(EventFlag[flag] for flag in flags) for flags in told] == events["flags"].tolist()
    of_area = np.isin(events["kind"], (EventKind.ALLOC, EventKind.FREE))
    slots = np.array([-1 if slot is None else slot for slot in table["slot"].to_pylist()])
    np.testing.assert_array_equal(slots[of_area], events["slot"][of_area])


@pytest.mark.parametrize("name", ["6.1", "format2"])
def test_stores_of_slots_are_the_areas_own(exported: Path, name: str) -> None:
    """Which area's a page is, the events say as the engine does: each area's stores are as many as it counted."""
    rows = duckdb.sql(
        f"SELECT device, swap_type, generation, count(*) FROM '{exported / name}/events.parquet' "
        "WHERE kind = 'STORE' AND slot IS NOT NULL GROUP BY ALL"
    ).fetchall()
    assert {row[:3]: row[3] for row in rows} == {
        key(area): area["stores"] for area in report_of(name) if area["stores"]
    }


@pytest.mark.parametrize(("since", "until"), [(None, 30.0), (30.0, None), (20.0, 40.0)])
def test_a_part(tmp_path: Path, since: float | None, until: float | None) -> None:
    """As the report has it; events are those of the part."""
    selection = Selection(since=since, until=until)
    export(trace_of("format2"), Wanted("parquet", tmp_path / "out", selection=selection))
    times = pq.read_table(tmp_path / "out/events.parquet")["time_ns"].to_numpy() / 1e9
    assert len(times) and (since or 0) <= times.min() and times.max() < (until or 1e9)
    areas = pq.read_table(tmp_path / "out/areas.parquet").to_pylist()
    expected = [area["frees"] for area in as_json(analyse(trace_of("format2"), selection))["areas"]]
    assert [row["value"] for row in areas if row["figure"] == "frees"] == expected


@pytest.mark.parametrize("device", ["/dev/zram0", "zram1"])
def test_one_device(tmp_path: Path, device: str) -> None:
    """In every table nothing but what is of that area, or of that store."""
    export(trace_of("format2"), Wanted("parquet", tmp_path / "out", selection=Selection(devices=(device,))))
    for name in TABLES:
        rows = pq.read_table(tmp_path / "out" / f"{name}.parquet").to_pandas()
        assert len(rows) > 10
        assert set(rows.device.dropna()) == {"/dev/zram0" if device == "/dev/zram0" else "/tmp/areas/swap"}


def test_lost_events_are_ranges(tmp_path: Path) -> None:
    """And what is not known has its reason, as in the JSON report."""
    path = tmp_path / "trace"
    area = zram_area("/dev/zram0", 0, 16, 0)
    writer = TraceWriter(path, header([area], [Store(0, "zram0", 16)]))
    writer.feed(batch([store(START + 1, 0, 5, 100), free(START + 2, 0, 5)]))
    writer.close(trailer(START + 9, lost={"FREE": 3}))
    export(path, Wanted("parquet", tmp_path / "out"))
    rows = {row["figure"]: row for row in pq.read_table(tmp_path / "out/areas.parquet").to_pylist()}
    (expected,) = as_json(analyse(path))["areas"]
    assert expected["bounds"] and expected["unknown"]
    for figure, (low, high) in expected["bounds"].items():
        row = rows[figure]
        assert [row[name] for name in ("value", "low", "high", "why")] == [None, low, high, "events were lost"], figure
    for figure, why in expected["unknown"].items():
        if figure.startswith("leaks"):  # a list: no figure of the table
            continue
        inside = [row for name, row in rows.items() if name == figure or name.startswith(f"{figure}.")]
        assert inside and all(row["value"] is None and row["why"] == why for row in inside), figure
    assert pq.read_table(tmp_path / "out/series.parquet").num_rows == 0


# ------------------------------------------------------------------------------------------------------------------ csv

HARMFUL = {
    "=1+2": "'=1+2", "+1": "'+1", "-1": "'-1", "@SUM(A1)": "'@SUM(A1)", " =1": "' =1", "＝1": "'＝1",  # noqa: RUF001
    "\t=1": "\\x09=1", "a\nb\x1b[31m\x9b": "a\\x0ab\\x1b[31m\\x9b", "kworker/0:1-events": "kworker/0:1-events",
    'a"b,c': 'a"b,c', "": "",
}  # fmt: skip


@pytest.mark.parametrize("name", HARMFUL)
def test_names_are_safe_in_a_spreadsheet(name: str) -> None:
    assert safe(name) == HARMFUL[name]


def test_reports_as_csv_are_as_safe(tmp_path: Path) -> None:
    """The same rule for devices and groups there."""
    area = zram_area("=1+2", 0, 64, 0)
    writer = TraceWriter(tmp_path / "trace", header([area], [Store(0, "zram0", 64)], missing=()))
    writer.feed(batch([store(START + 1, 0, 3, 100), notified_free(START + 9, 0, 3, 100)], {100: "@SUM(A1)"}))
    writer.close(trailer(START + 1000))
    for options, cell in (([], "'=1+2"), (["--by", "process"], "'@SUM(A1) (100)")):
        done = run("report", str(tmp_path / "trace"), "--format", "csv", *options)
        assert done.returncode == 0 and cell in [row[0] for row in csv.reader(done.stdout.splitlines())], done.stderr


def test_a_link_is_not_replaced(tmp_path: Path) -> None:
    """/dev/stdout is one: who means stdout says -."""
    (tmp_path / "there").write_text("as it was")
    (tmp_path / "link").symlink_to("there")
    with pytest.raises(UsageProblem, match="link is no regular file"):
        export(trace_of("6.1"), Wanted("openmetrics", tmp_path / "link", force=True))
    assert (tmp_path / "link").is_symlink() and (tmp_path / "there").read_text() == "as it was"


def test_csv_has_what_parquet_has(exported: Path, tmp_path: Path) -> None:
    export(trace_of("6.1"), Wanted("csv", tmp_path / "out"))
    for table in TABLES.values():
        parquet = pq.read_table(exported / "6.1" / f"{table.name}.parquet")
        with (tmp_path / "out" / f"{table.name}.csv").open(newline="") as file:
            head, *rows = csv.reader(file)
        assert head == parquet.column_names and len(rows) == parquet.num_rows
        for number, column in enumerate(table.columns):
            if column.type == pa.int64():
                told = [int(row[number]) if row[number] else None for row in rows]
                assert told == parquet[column.name].to_pylist(), column.name


def test_a_harmful_process_in_csv(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """And one that is no UTF-8; on standard output."""
    path = tmp_path / "trace"
    writer = TraceWriter(path, header([zram_area("/dev/zram0", 0, 16, 0)], [Store(0, "zram0", 16)]))
    events = [store(START + 1, 0, 5, 100)._replace(tgid=1), store(START + 1, 0, 6, 100)._replace(tgid=2)]
    writer.feed(batch(events, {1: "=cmd|' /C calc'!A0", 2: "\udcff\x1b[2J"}))
    writer.close(trailer(START + 9))
    export(path, Wanted("csv", Path("-"), ["events"]))
    rows = list(csv.DictReader(io.StringIO(capsysbinary.readouterr().out.decode())))
    assert [row["process"] for row in rows] == ["'=cmd|' /C calc'!A0", "\\udcff\\x1b[2J"]


# ------------------------------------------------------------------------------------------------------------- perfetto


def packets_of(name: str, folder: Path, selection: Selection | None = None) -> Any:
    export(trace_of(name), Wanted("perfetto", folder / "out.pftrace", selection=selection or Selection()))
    trace = protos.Trace()
    trace.ParseFromString((folder / "out.pftrace").read_bytes())
    return trace.packet


@pytest.mark.parametrize("name", ["6.1", "format2"])
def test_perfetto_counters_are_the_series(tmp_path: Path, name: str) -> None:
    packets = packets_of(name, tmp_path)
    tracks = {
        packet.track_descriptor.uuid: packet.track_descriptor
        for packet in packets
        if packet.HasField("track_descriptor")
    }
    counters: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for packet in packets:
        if packet.track_event.type == protos.TrackEvent.TYPE_COUNTER:
            assert packet.timestamp_clock_id == protos.BUILTIN_CLOCK_MONOTONIC
            track = tracks[packet.track_event.track_uuid]
            values = counters.setdefault((tracks[track.parent_uuid].name, track.name), [])
            values.append((packet.timestamp, packet.track_event.counter_value))
    start, stores = TraceReader(trace_of(name)).header.start.time, set()
    for area in analyse(trace_of(name)).areas:
        again = f", activation {area.generation + 1}" if area.generation else ""
        for row in OVER_TIME:
            values = row.values(area)
            place = area.store if row.of_store else f"{area.device} (swap type {area.swap_type}{again})"
            if values is None or (row.of_store and place in stores):
                continue
            times = (start + area.series.time).tolist()
            assert counters.pop((str(place), row.label)) == list(zip(times, values.tolist(), strict=True))
        stores.add(area.store)
    assert not counters
    units = {track.name: track.counter.unit for track in tracks.values() if track.HasField("counter")}
    assert units["live slots"] == protos.CounterDescriptor.UNIT_COUNT
    assert units["live, compressed"] == protos.CounterDescriptor.UNIT_SIZE_BYTES


def test_perfetto_clocks(tmp_path: Path) -> None:
    """The trace's clock is CLOCK_MONOTONIC, and the wall clock is told beside it."""
    first = packets_of("format2", tmp_path)[0]
    recorded = TraceReader(trace_of("format2")).header
    assert first.clock_snapshot.primary_trace_clock == protos.BUILTIN_CLOCK_MONOTONIC
    assert {clock.clock_id: clock.timestamp for clock in first.clock_snapshot.clocks} == {
        protos.BUILTIN_CLOCK_MONOTONIC: recorded.start.time,
        protos.BUILTIN_CLOCK_REALTIME: recorded.start_realtime,
    }
    assert first.trusted_packet_sequence_id and first.sequence_flags


def test_perfetto_areas_calls_and_marks(tmp_path: Path) -> None:
    area, path = zram_area("/dev/zram0", 0, 16, 0), tmp_path / "trace"
    writer = TraceWriter(path, header([area], [Store(0, "zram0", 16)]))
    events = [
        store(START + 10, 0, 5, 100), swap_call(START + 20, "swapoff", area), swap_call(START + 30, "swapon", area),
        swap_call(START + 40, "swapon", None, result=-22), store(START + 50, 0, 5, 100),
    ]  # fmt: skip
    writer.feed(EventBatch(**{**batch(events).__dict__, "marks": (Mark(START + 45, "here"),)}))
    writer.close(trailer(START + 100))

    def events_of(selection: Selection) -> list[tuple[str, int, str]]:
        export(path, Wanted("perfetto", tmp_path / "out", selection=selection, force=True))
        trace = protos.Trace()
        trace.ParseFromString((tmp_path / "out").read_bytes())
        kinds = {number: name.removeprefix("TYPE_") for name, number in protos.TrackEvent.Type.items()}
        found = [
            (kinds[p.track_event.type], p.timestamp - START, p.track_event.name)
            for p in trace.packet
            if p.HasField("track_event")
        ]
        return [event for event in found if event[0] != "COUNTER"]

    on = "/dev/zram0 is swapped on"
    instants = [("INSTANT", 40, "swapon /nowhere: Invalid argument"), ("INSTANT", 45, "here")]
    slices = [("SLICE_BEGIN", 0, on), ("SLICE_END", 20, ""), ("SLICE_BEGIN", 30, on), ("SLICE_END", 100, "")]
    assert events_of(Selection()) == [*slices, *instants]
    assert events_of(Selection(until=35e-9)) == [*slices[:3], ("SLICE_END", 35, "")]


def test_perfetto_without_its_package(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "perfetto.protos.perfetto.trace", None)
    status, _, err = main_in_process(capsys, "export", trace_of("6.1"), "--to", "perfetto", "-o", tmp_path / "out")
    assert status == 3 and "swaptrace[perfetto]" in two_lines(err)[1]
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------------------------------------------------- openmetrics


@pytest.mark.parametrize("name", GOLDEN)
def test_openmetrics_are_the_report(tmp_path: Path, name: str) -> None:
    """Every sample is a figure of the JSON report, in base units; and each figure that is a number is there."""
    export(trace_of(name), Wanted("openmetrics", tmp_path / "out"))
    families = {family.name: family for family in text_string_to_metric_families((tmp_path / "out").read_text())}
    found = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families.values()
        for sample in family.samples
    }
    labelled = {"POLICY": "policy", "REASON": "reason"}
    compared = 0
    for area in report_of(name):
        labels = {
            part: "" if area[part] is None else str(area[part])
            for part in ("device", "swap_type", "generation", "backing", "store")
        }
        for row, label, value, part in numbers(area):
            more = {labelled[place]: text for place, text in label.items()}
            sample = metric_name(row, part) + ("_total" if is_counter(row) else "")
            scale = {"ns": 1e-9, "%": 0.01}.get(row.unit, 1)
            assert found.pop((sample, frozenset((labels | more).items()))) == pytest.approx(value * scale, rel=1e-12)
            compared += 1
    assert compared > 50
    assert {name for name, _ in found if not name.startswith(("swaptrace_recording", "swaptrace_lost"))} == set()
    help_of = families["swaptrace_policies_stale_compr_end_bytes"]
    assert help_of.unit == "bytes" and help_of.type == "gauge" and "compressed bytes" in help_of.documentation
    assert families["swaptrace_stores"].type == "counter"


def numbers(area: dict[str, Any]) -> Iterator[tuple[Any, dict[str, str], float, str]]:
    """(row, what stands for the parts in capitals, value, part of an integral) of all numbers in an area's report."""
    for row in FIGURES:
        if (
            row.kind in (Kind.TEXT, Kind.GROUP, Kind.LIST)
            or row.name.startswith("leaks.")
            or row.name in ("swap_type", "generation")
        ):
            continue
        for label, value in below(area, row.name.split("."), {}):
            if row.kind is Kind.INTEGRAL:
                yield from ((row, label, value[part], part) for part in INTEGRAL_PARTS if value[part] is not None)
            else:
                yield row, label, float(value), ""


def below(value: Any, parts: list[str], label: dict[str, str]) -> Iterator[tuple[dict[str, str], Any]]:
    if value is None or not parts:
        if value is not None:
            yield label, value
        return
    for name in list(value) if parts[0].isupper() else [parts[0]]:
        if name in value:
            yield from below(value[name], parts[1:], label | ({parts[0]: name} if parts[0].isupper() else {}))


def test_no_two_figures_are_one_metric() -> None:
    """But for those of the same kind that a label tells apart."""
    names = Counter(
        metric_name(row, part)
        for row in FIGURES
        if row.kind not in (Kind.TEXT, Kind.GROUP, Kind.LIST)
        for part in (INTEGRAL_PARTS if row.kind is Kind.INTEGRAL else ("",))
    )
    assert {name for name, number in names.items() if number > 1} == set()
    assert all(re.fullmatch(r"[a-z_0-9]+", name) for name in names)


# ---------------------------------------------------------------------------------------------------------------- files


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A trace in a folder of its own."""
    path = tmp_path / "here" / "small.trace"
    path.parent.mkdir()
    path.write_bytes(trace_of("6.1").read_bytes())
    return path


@pytest.mark.parametrize(
    ("to", "made"),
    [
        ("parquet", [f"small.export/{name}.parquet" for name in TABLES]),
        ("csv", [f"small.export/{name}.csv" for name in TABLES]),
        ("perfetto", ["small.pftrace"]),
        ("openmetrics", ["small.openmetrics"]),
    ],
)
def test_places_and_force(capsys: pytest.CaptureFixture[str], small: Path, to: str, made: list[str]) -> None:
    """Beside the recording; printed; nobody else's to read; never over what is there, but with --force."""
    status, out, _ = main_in_process(capsys, "export", small, "--to", to)
    assert status == 0 and out.splitlines() == [str(small.parent / name) for name in made]
    assert sorted(everything(small.parent)) == sorted([*made, "small.trace"])
    for name in made:
        place = small.parent / name
        assert place.stat().st_mode & 0o777 == 0o600
        place.write_text("mine")
    status, _, err = main_in_process(capsys, "export", small, "--to", to)
    assert status == 2 and "exists already" in two_lines(err)[0] and "--force" in two_lines(err)[1]
    assert all(everything(small.parent)[name] == b"mine" for name in made)
    assert main_in_process(capsys, "export", small, "--to", to, "--force")[0] == 0
    assert not any(everything(small.parent)[name] == b"mine" for name in made)


REFUSALS: dict[str, tuple[list[str], int, str]] = {
    "the recording": (["--to", "openmetrics", "-o", "small.trace", "--force"], 2, "is the recording itself"),
    "the recording as a folder": (["--to", "parquet", "-o", "small.trace", "--force"], 2, "is the recording itself"),
    "a link to it": (["--to", "csv", "-o", ".", "--what", "series", "--force"], 2, "is the recording itself"),
    "another file as a folder": (["--to", "parquet", "-o", "other"], 2, "other is no folder"),
    "nowhere": (["--to", "perfetto", "-o", "no/where"], 3, "cannot write to no/where"),
    "several tables to stdout": (["--to", "csv", "-o", "-"], 2, "standard output takes one table"),
    "parquet to stdout": (["--to", "parquet", "-o", "-", "--what", "areas"], 2, "standard output takes one table"),
    "tables of what has none": (["--to", "perfetto", "--what", "areas"], 2, "--what is of tables"),
    "a device that is not there": (["--to", "parquet", "--device", "/dev/none"], 2, "no swap area /dev/none"),
    "after the end": (["--to", "csv", "--since", "9999"], 2, "nothing was recorded after"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSALS)
def test_what_is_refused_changes_nothing(
    capsys: pytest.CaptureFixture[str], small: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.chdir(small.parent)
    Path("other").write_text("mine")
    Path("series.csv").symlink_to("small.trace")
    before = everything(small.parent)
    options, expected, words = REFUSALS[case]
    status, out, err = main_in_process(capsys, "export", "small.trace", *options)
    assert (status, out) == (expected, "") and words in two_lines(err)[0]
    assert everything(small.parent) == before and not Path("small.export").exists()


@pytest.mark.parametrize("to", ["parquet", "csv", "perfetto", "openmetrics"])
@pytest.mark.parametrize(("where", "value", "words"), REFUSED[::6], ids=str)
def test_hostile_files(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, to: str, where: str, value: object, words: str
) -> None:
    """Exit status 4 and a sentence, soon, and nothing is left behind."""
    write(tmp_path / "trace", changed(where, value))
    with within_limits():
        status, _, err = main_in_process(capsys, "export", tmp_path / "trace", "--to", to, "-o", tmp_path / "out")
    assert status == 4 and words in two_lines(err)[0]
    assert [path.name for path in tmp_path.iterdir()] == ["trace"]


HUGE = [
    ("header.start_realtime", 2**63 - 1), ("trailer.lost", {"FREE": 2**63 - 1, "STORE": 2**63 - 1}),
    ("header.start.areas.0.path", "=\udcff\n"), ("notes.tasks", {"100": "\x1b" * 99}),
    ("header.labels", {"a": "\udcff"}),
]  # fmt: skip


@pytest.mark.parametrize("to", ["parquet", "csv", "perfetto", "openmetrics"])
@pytest.mark.parametrize(("where", "value"), HUGE, ids=[where for where, _ in HUGE])
def test_strange_files_are_exported(tmp_path: Path, to: str, where: str, value: object) -> None:
    """Numbers at the limits of what a file can say, names that are no text."""
    parts = changed(where, value)
    write(tmp_path / "trace", {**PARTS, **parts})
    export(tmp_path / "trace", Wanted(to, tmp_path / "out"))
    if to == "openmetrics":
        assert list(text_string_to_metric_families((tmp_path / "out").read_text()))
    elif to == "parquet" and where == "header.start_realtime":  # beyond what 64 bits can tell, soon
        assert not any(pq.read_table(tmp_path / "out/events.parquet")["time"].to_pylist())
    elif to == "csv":
        assert "\x1b" not in (tmp_path / "out/events.csv").read_text()


def test_a_damaged_trace_is_exported_up_to_there_and_said(capsys: pytest.CaptureFixture[str], small: Path) -> None:
    whole = small.read_bytes()
    small.write_bytes(whole[: len(whole) // 2])
    status, out, err = main_in_process(capsys, "export", small, "--to", "parquet")
    assert status == 0 and "THE TRACE IS INCOMPLETE" in err
    assert 0 < pq.read_metadata(out.splitlines()[0]).num_rows < sum(len(b) for b in TraceReader(trace_of("6.1")))


def test_a_killed_export_leaves_nothing_that_looks_whole(tmp_path: Path) -> None:
    """By a signal that it can hear: nothing at all. By the other one: nothing in the places."""
    path = tmp_path / "trace"
    path.write_bytes(trace_of("6.1").read_bytes())
    code = (
        "import sys, time\nfrom swaptrace.tables import rows\nbefore = rows.Rows.feed\n"
        "def feed(self, batch):\n    before(self, batch)\n    print('busy', flush=True)\n    time.sleep(60)\n"
        "rows.Rows.feed = feed\nfrom swaptrace.cli import main\nmain(sys.argv[1:])"
    )
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL):
        command = [sys.executable, "-c", code, "export", str(path), "--to", "parquet", "-o", str(tmp_path / "out")]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None and process.stdout.readline() == "busy\n"
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
        if number == signal.SIGKILL:
            assert not list((tmp_path / "out").glob("[!.]*"))
        else:
            assert process.returncode == 128 + number and "stopped by" in err and "Traceback" not in err
            assert not (tmp_path / "out").exists()


def test_no_room(tmp_path: Path) -> None:
    """Of a disk that is full while it writes, and of standard output."""
    limit = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000)); "
    ignore = "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    code = f"{limit}{ignore}from swaptrace.cli import main; main(sys.argv[1:])"
    for to in ("parquet", "csv", "perfetto"):
        place = tmp_path / to
        done = subprocess.run(
            [sys.executable, "-c", code, "export", trace_of("6.1"), "--to", to, "-o", place],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 3, done.stderr
        assert "cannot write to" in done.stderr and "Traceback" not in done.stderr and "ignored" not in done.stderr
        assert not place.exists()
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "swaptrace", "export", trace_of("6.1"), "--to", "openmetrics", "-o", "-"],
            stdout=full, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
    assert done.returncode == 3 and "Traceback" not in done.stderr


def test_results_have_what_needs_no_events(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Of `record --summary`: series, areas, counters and figures, those of the trace."""
    reader, path = TraceReader(trace_of("6.1")), tmp_path / "results"
    analysis = Analysis(reader.header)
    for one in reader:
        analysis.feed(one)
    path.write_bytes(encode(reader.header, analysis.finish(reader.trailer)))
    for to, made in (("parquet", 2), ("csv", 2), ("perfetto", 1), ("openmetrics", 1)):
        status, out, _ = main_in_process(capsys, "export", path, "--to", to)
        assert status == 0 and len(out.splitlines()) == made
    export(trace_of("6.1"), Wanted("parquet", tmp_path / "of the trace"))
    for name in ("series", "areas"):
        one, other = (
            pq.read_table(tmp_path / folder / f"{name}.parquet") for folder in ("results.export", "of the trace")
        )
        assert one.to_pylist() == other.to_pylist()
    status, _, err = main_in_process(capsys, "export", path, "--to", "csv", "--what", "lifetimes", "--force")
    assert status == 2 and "holds results, without events: there are no lifetimes" in two_lines(err)[0]


def test_memory_does_not_grow_with_events(tmp_path: Path) -> None:
    """The same slots, ten times as many events."""
    area = zram_area("/dev/zram0", 0, 4096, 0)
    peaks = []
    for rounds in (10, 100):
        path = tmp_path / f"{rounds}"
        writer = TraceWriter(path, header([area], [Store(0, "zram0", 4096)]))
        events = batch([e for slot in range(1, 4096) for e in (store(START, 0, slot, 90), free(START, 0, slot))]).events
        for number in range(rounds):
            events["time"] = START + number
            writer.feed(EventBatch(events.copy()))
        writer.close(trailer(START + rounds))
        code = (
            "import resource, sys; from pathlib import Path; from swaptrace.export.command import Wanted, export\n"
            "export(Path(sys.argv[1]), Wanted('csv', Path(sys.argv[2])))\n"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, path, tmp_path / f"{rounds}.out"], capture_output=True, text=True, check=True
        )
        peaks.append(int(done.stdout.splitlines()[-1]))
    assert (tmp_path / "100.out/events.csv").stat().st_size > 40 << 20
    assert peaks[1] - peaks[0] < 30 << 10  # KiB


# ------------------------------------------------------------------------------------------------------------ documents


def test_columns_are_documented() -> None:
    text = API.read_text(encoding="utf-8")
    assert columns_written(text) == text, "if this is as it should be: python -m tests.data.documents"
    assert set(re.findall(r"<!-- columns of (\w+) -->", text)) == set(TABLES)


def test_the_documented_sql_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That of docs/api.md."""
    monkeypatch.chdir(tmp_path)
    Path("swap.trace").write_bytes(trace_of("6.1").read_bytes())
    assert run("export", "swap.trace", "--to", "parquet").returncode == 0
    (sql,) = re.findall(r"```sql\n(.*?)```", API.read_text(encoding="utf-8"), re.DOTALL)
    figures, lives = (duckdb.sql(statement).fetchall() for statement in sql.split(";")[:2])
    of_slots = {row[:2]: row[2] for row in lives}
    expected = [(key(area)[0], at(area, "recovered.compr_bytes.end")) for area in report_of("6.1")]
    assert figures == expected
    found = [of_slots.get((area["device"], area["generation"])) or 0 for area in report_of("6.1")]
    assert found == [value for _, value in expected] and any(found)
