"""Files of results: what comes out is what went in; whatever else is in one is refused; the sink that writes them."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import signal
import tempfile
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from builders import START, batch, batches, free, header, store, trailer, zram_area
from fixtures import DATA, KERNELS, TRACE
from hypothesis import given, settings
from hypothesis import strategies as st
from test_hostile import EVENTS, HEADER, TRAILER

from swaptrace import running
from swaptrace.analysis.analysis import Analysis
from swaptrace.areas import Store
from swaptrace.cli import main
from swaptrace.engine.constants import BINS, MAP_ROWS
from swaptrace.errors import BadInput, EnvironmentProblem, UsageProblem
from swaptrace.events import EventBatch
from swaptrace.record import results_writer as module
from swaptrace.record.results_writer import ResultsWriter
from swaptrace.report.command import Selection, analyse
from swaptrace.results.file import COLUMNS, MOST_BYTES, encode, read_results
from swaptrace.results.results import SlotMap, TraceResult
from swaptrace.running import Moment, run
from swaptrace.stopping import Stop
from swaptrace.trace.header import FORMAT_VERSION, Kind, Trailer
from swaptrace.trace.reader import TraceReader
from swaptrace.trace.stream import StreamFile, StreamMaker
from swaptrace.trace.writer import TraceWriter
from tests.same import same, same_results


def result_of(*given: EventBatch, end: Trailer | None = TRAILER) -> TraceResult:
    analysis = Analysis(HEADER, ages=True)
    for one in given:
        analysis.feed(one)
    return analysis.finish(end)


def read(path: Path) -> TraceResult:
    return read_results(StreamFile(path))


def report(path: Path, *options: object) -> tuple[int, str]:
    """(exit status, what it prints) of the command."""
    out = io.StringIO()
    with pytest.raises(SystemExit) as raised, redirect_stdout(out), redirect_stderr(out):
        main(["report", str(path), *map(str, options)])
    return int(raised.value.code or 0), out.getvalue()


# ------------------------------------------------------------------------------------------------- there and back


@pytest.mark.parametrize("kernel", KERNELS)
def test_of_real_recordings(kernel: str, tmp_path: Path) -> None:
    reader = TraceReader(DATA / kernel / TRACE)
    analysis = Analysis(reader.header, ages=True)
    for one in reader:
        analysis.feed(one)
    expected = analysis.finish(reader.trailer)
    path = tmp_path / "results"
    path.write_bytes(encode(reader.header, expected))
    today = {"format_version": FORMAT_VERSION}  # that of the file now
    expected = replace(expected, trace={**expected.trace, **today}, header={**expected.header, **today})
    same_results(read(path), expected)
    assert path.stat().st_size < MOST_BYTES * len(expected.areas)


@pytest.mark.parametrize("end", [TRAILER, None, replace(TRAILER, lost={"SWAPON": 1}, missed={"FREE": 2})])
def test_with_losses(end: Trailer | None, tmp_path: Path) -> None:
    """Ranges, what is unknown, and what there is no end of."""
    expected = result_of(EVENTS, end=end)
    (tmp_path / "results").write_bytes(encode(HEADER, expected))
    same_results(read(tmp_path / "results"), expected)


def test_of_nothing(tmp_path: Path) -> None:
    expected = Analysis(header()).results(Moment(START + 5))
    (tmp_path / "results").write_bytes(encode(header(), expected))
    same_results(read(tmp_path / "results"), expected)
    assert read(tmp_path / "results").areas == []


def test_no_area_takes_more_than_it_may(tmp_path: Path) -> None:
    """A map that no compression makes smaller is given with fewer rows: each the sum of several."""
    result = result_of(EVENTS)
    random = np.random.default_rng(1)
    shape = BINS, MAP_ROWS
    noise = SlotMap(*(random.integers(0, 1 << 20, shape, np.int32) for _ in range(2)), 1 << 20, MAP_ROWS << 20)
    bins = {
        field: {name: np.zeros(BINS, np.int64) for name in getattr(result.areas[0].series, field)}
        for field in ("slots", "bytes", "pool_bytes")
    }
    series = replace(result.areas[0].series, time=np.arange(BINS, dtype=np.int64), **bins)
    area = replace(result.areas[0], slot_map=noise, series=series)
    path = tmp_path / "results"
    path.write_bytes(encode(HEADER, replace(result, areas=[area])))
    assert MOST_BYTES / 4 < path.stat().st_size <= MOST_BYTES + 4096  # of header and end
    (found,) = read(path).areas
    times = MAP_ROWS // found.slot_map.live.shape[1]
    assert times in (2, 4, 8, 16, 32)
    assert found.slot_map.slots_per_row == times << 20
    for rows, before in ((found.slot_map.live, noise.live), (found.slot_map.stale, noise.stale)):
        assert np.array_equal(rows, before.reshape(BINS, -1, times).sum(axis=2))
    assert found.slot_map.slots == noise.slots
    same(replace(found, slot_map=noise), area)


# ---------------------------------------------------------------------------------------------------- bad files


@pytest.fixture(scope="module")
def content() -> bytes:
    return encode(HEADER, result_of(EVENTS))


def test_every_flipped_bit_is_noticed(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "results"
    for place in range(0, len(content), 97):
        flipped = bytearray(content)
        flipped[place] ^= 1 << place % 8
        path.write_bytes(flipped)
        with pytest.raises(BadInput):
            read(path)


def test_a_file_that_was_cut_off_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "results"
    for length in [*range(0, len(content) - 8, 211), len(content) - 9]:
        path.write_bytes(content[:length])
        with pytest.raises(BadInput):
            read(path)
    path.write_bytes(content + b"more")
    with pytest.raises(BadInput, match="its end is missing"):
        read(path)


Parts = tuple[list[tuple[dict[str, Any], list[np.ndarray]]], dict[str, Any]]


def parts_of(content: bytes, path: Path) -> Parts:
    """(figures, columns) of each area, and what is said of the whole."""
    path.write_bytes(content)
    areas, whole = [], {}
    for record, metadata in StreamFile(path).batches():
        if b"swaptrace.area" in metadata:
            areas.append((json.loads(metadata[b"swaptrace.area"]), [column.to_numpy() for column in record.columns]))
        elif b"swaptrace.results" in metadata:
            whole = json.loads(metadata[b"swaptrace.results"])
    return areas, whole


def rebuilt(parts: Parts) -> bytes:
    """With checksums that are right."""
    maker = StreamMaker(replace(HEADER, kind=Kind.RESULTS), COLUMNS)
    made = [maker.nothing()]
    made += [maker.batch(columns, {b"swaptrace.area": json.dumps(text).encode()}) for text, columns in parts[0]]
    return b"".join((*made, maker.nothing({b"swaptrace.results": json.dumps(parts[1]).encode()}), maker.end()))


def leaves(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where all values of JSON are."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else None
    if items is None:
        return [path]
    return [path, *(leaf for name, value in items for leaf in leaves(value, (*path, name)))]


ODD: list[Any] = [
    None, True, -1, 0, 1, 2**31, 2**40, 2**62, 2**63, 2**70, 1e308, 1e400, float("nan"), 0.5, "", "zzz", "\ud800",
    "<script>", "policies.none", [], {}, [1], {"begin": 0, "shape": [4], "dtype": "int64"},
    {"begin": 2**40, "shape": [2**31, 2**31], "dtype": "int64"},
]  # fmt: skip


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(st.integers(0, 10_000), st.sampled_from(ODD), st.booleans())
def test_odd_values_are_refused_or_reported(place: int, value: Any, key: bool) -> None:
    """Each value and name of the JSON can be anything: text, JSON and HTML come out, or two lines."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "results"
        parts = parts_of(encode(HEADER, result_of(EVENTS)), path)
        document = {"areas": [text for text, _ in parts[0]], "whole": parts[1]}
        where = [path for path in leaves(document) if len(path) > 1 + (path[:1] == ("areas",))]
        *parents, name = where[place % len(where)]
        holder: Any = document
        for parent in parents:
            holder = holder[parent]
        if key and isinstance(holder, dict):
            holder[str(value)] = holder.pop(name)
        else:
            holder[name] = value
        path.write_bytes(rebuilt(parts))
        for form in ("text", "json"):
            status, said = report(path, "--format", form)
            assert status in (0, 4), said
            assert said


@pytest.mark.parametrize(
    "places",
    [[2**32 - 1], [1, 1], [5, 4], [2**31, 2**31 + 1]],
    ids=["far away", "twice", "backwards", "beyond"],
)
def test_numbers_at_odd_places_are_refused(places: list[int], content: bytes, tmp_path: Path) -> None:
    areas, whole = parts_of(content, tmp_path / "results")
    areas[0] = areas[0][0], [np.array(places, np.uint32), np.ones(len(places), np.int64)]
    (tmp_path / "results").write_bytes(rebuilt((areas, whole)))
    with pytest.raises(BadInput, match="numbers at places"):
        read(tmp_path / "results")


def test_an_area_too_few_is_noticed(content: bytes, tmp_path: Path) -> None:
    areas, whole = parts_of(content, tmp_path / "results")
    (tmp_path / "results").write_bytes(rebuilt((areas[:1], whole)))
    with pytest.raises(BadInput, match="its end is missing"):
        read(tmp_path / "results")


def test_kinds_are_not_mistaken(content: bytes, tmp_path: Path) -> None:
    results, trace = tmp_path / "results", tmp_path / "trace"
    results.write_bytes(content)
    writer = TraceWriter(trace, HEADER)
    writer.close(TRAILER)
    with pytest.raises(BadInput, match="of another kind: results, not trace"):
        TraceReader(results)
    with pytest.raises(BadInput, match="of another kind: trace, not results"):
        read(trace)


def test_summaries_that_the_kernel_added_up_are_refused(tmp_path: Path) -> None:
    schema = pa.schema([("index", pa.uint32()), ("value", pa.int64())], metadata={b"swaptrace.summary": b"{}"})
    with pa.OSFile(str(tmp_path / "old"), "wb") as file, pa.ipc.new_stream(file, schema):
        pass
    status, said = report(tmp_path / "old")
    assert status == 4
    assert "is a summary of an earlier swaptrace, which this one does not read" in said
    assert "report it with that one, or record again" in said


# ------------------------------------------------------------------------------------------------------- reports


@pytest.fixture
def both(content: bytes, tmp_path: Path) -> tuple[Path, Path]:
    """A trace, and the results of the same recording."""
    trace, results = tmp_path / "swap.trace", tmp_path / "swap.summary"
    writer = TraceWriter(trace, HEADER)
    writer.feed(EVENTS)
    writer.close(TRAILER)
    results.write_bytes(content)
    return trace, results


def test_reports_are_the_same(both: tuple[Path, Path], tmp_path: Path) -> None:
    """Text and HTML, but for the names of files."""
    said = []
    for path in both:
        status, text = report(path)
        assert status == 0, text
        page = tmp_path / f"{path.name}.page"
        assert report(path, "--format", "html", "-o", page)[0] == 0
        html = (page / "report.html").read_text()
        said.append((text.replace(str(path), "F"), html.replace(str(path), "F").replace(path.name, "F")))
    assert said[0] == said[1]


@pytest.mark.parametrize("option", [{"since": 0.0}, {"until": 1e-5}, {"what_ifs": ("chain=4",)}])
def test_what_needs_events_is_refused(option: dict[str, Any], both: tuple[Path, Path]) -> None:
    with pytest.raises(UsageProblem, match="holds results, without events"):
        analyse(both[1], Selection(**option))
    analyse(both[0], Selection(**option))


@pytest.mark.parametrize(
    ("field", "value"),
    [("span", -1), ("span", 1 << 70), ("in_memory", -1), ("unsized", -1), ("saved", 7), ("in_memory", 0)],
)
def test_ages_that_there_cannot_be(tmp_path: Path, field: str, value: int) -> None:
    """Less than nothing; more on the disk than there was; more of it the longer it has to be idle."""
    reader = TraceReader(DATA / "format2" / TRACE)
    analysis = Analysis(reader.header, ages=True)
    for each in reader:
        analysis.feed(each)
    result = analysis.finish(reader.trailer)
    number, area = next((n, area) for n, area in enumerate(result.areas) if area.age and area.age.saved[0])
    assert area.age is not None
    wrong = [*area.age.saved[:-1], area.age.in_memory] if field == "saved" else value
    areas = [*result.areas]
    areas[number] = replace(area, age=replace(area.age, **{field: wrong}))
    path = tmp_path / "results"
    path.write_bytes(encode(reader.header, result))
    assert report(path, "--age")[0] == 0
    path.write_bytes(encode(reader.header, replace(result, areas=areas)))
    status, said = report(path, "--age")
    assert status == 4, said


def test_ages_that_were_not_followed_are_refused(tmp_path: Path) -> None:
    """Nobody knows them afterwards. Where there is no area, nothing is missing."""
    path = tmp_path / "results"
    for ages, end, status in ((True, TRAILER, 0), (False, TRAILER, 2), (False, None, 0)):
        analysis = Analysis(HEADER if end else header(), ages=ages)
        path.write_bytes(encode(HEADER, analysis.finish(end)))
        found, said = report(path, "--age")
        assert found == status, said
        assert ("do not tell how long entries are idle" in said) == (status == 2)
        assert ("record with --age as well as --summary" in said) == (status == 2)


def test_the_sink_follows_ages_where_that_is_wanted(tmp_path: Path) -> None:
    for ages in (False, True):
        sink = ResultsWriter(tmp_path / str(ages), HEADER, print, ages=ages)
        sink.feed(EVENTS)
        sink.close(TRAILER)
        assert {area.age is not None for area in read(sink.path).areas if area.store} == {ages}


def test_selections_are_those_of_a_trace(both: tuple[Path, Path]) -> None:
    selection = Selection(devices=("zram0",), policies=("none",), age=True)
    trace, results = (analyse(path, selection) for path in both)
    same(results.areas, trace.areas)
    assert {area.shown for area in results.areas} == {("none",)}


def test_results_of_a_moment_say_so(tmp_path: Path) -> None:
    analysis = Analysis(HEADER)
    analysis.feed(EVENTS)
    (tmp_path / "results").write_bytes(encode(HEADER, analysis.results(Moment(START + 3000))))
    status, said = report(tmp_path / "results")
    assert status == 0
    assert "THE RECORDING HAD NOT ENDED" in said.replace("\n", " ")
    assert "INCOMPLETE" not in said


# ------------------------------------------------------------------------------------------------- the sink

AREA, ZRAM = zram_area("/dev/zram0", 0, 64, 0), Store(0, "zram0", 64)
MANY = [event for n in range(1, 60) for event in (store(START + 10 * n, 0, n, 50 * n), free(START + 600 + n, 0, n))]


class Source:
    """A batch at each poll; after the last one it stops. looks: called before each."""

    def __init__(self, stop: Stop, given: list[EventBatch], look: Callable[[int], None] = lambda _: None) -> None:
        self.stop, self.given, self.look = stop, given, look
        self.polled = 0
        self.until = START

    def poll(self) -> EventBatch:
        self.look(self.polled)
        if self.polled == len(self.given):
            self.stop.reason = "SIGINT"
            return batch([])
        self.polled += 1
        found = self.given[self.polled - 1]
        self.until = int(found.events["time"].max(initial=self.until)) + 1
        return found

    def lost(self) -> int:
        return 0

    def moment(self) -> Moment:
        return Moment(self.until, {"STORE": 2} if self.polled > 4 else {})

    def finish(self, exit_status: int | None, reason: str) -> tuple[list[EventBatch], Trailer]:
        return [], trailer(START + 5000, reason=reason)


@pytest.fixture(autouse=True)
def ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    """After each batch."""
    monkeypatch.setattr(running, "_TICK", 0)


def kept(path: Path, **how: Any) -> tuple[ResultsWriter, list[str]]:
    said: list[str] = []
    return ResultsWriter(path, header([AREA], [ZRAM]), said.append, **how), said


def test_there_are_results_from_the_start_on(tmp_path: Path) -> None:
    writer, _ = kept(tmp_path / "results")
    found = read(tmp_path / "results")
    assert [area.device for area in found.areas] == ["/dev/zram0"]
    assert not found.trace["complete"]
    assert found.trace["duration_s"] == 0
    assert (tmp_path / "results").stat().st_mode & 0o777 == 0o600
    assert writer.size == (tmp_path / "results").stat().st_size
    assert [file.name for file in tmp_path.iterdir()] == ["results"]


def test_results_of_any_moment_are_those_until_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Written after each batch here; what `report --until` says of the whole trace, but for what was lost by then."""
    monkeypatch.setattr(module, "_EVERY", 0)
    path, trace = tmp_path / "results", tmp_path / "trace"
    moments: list[bytes] = []

    def look(_: int) -> None:
        writer._writing.wait()
        moments.append(path.read_bytes())

    writer, said = kept(path)
    full = TraceWriter(trace, header([AREA], [ZRAM]))
    stop = Stop()
    given = batches(sorted(MANY), [7, 30, 31, 80])
    run(Source(stop, given, look), [writer, full], stop)
    assert said == []
    assert len(moments) == 6
    for number, content in enumerate(moments[1:], 1):
        (tmp_path / "then").write_bytes(content)
        found = read(tmp_path / "then")
        end = int(given[number - 1].events["time"].max()) + 1 - START
        assert found.trace["duration_s"] == end / 1e9
        expected = analyse(trace, Selection(until=end / 1e9))
        assert found.trace["events"] == expected.trace["events"] == sum(map(len, given[:number]))
        assert found.lost == ({"STORE": 2} if number > 4 else {})
        assert bool(found.areas[0].ranges) == (number > 4)
        same([replace(area, ranges={}, unknown={}) for area in found.areas],
             [replace(area, ranges={}, unknown={}) for area in expected.areas])  # fmt: skip
    same_results(read(path), analyse(trace))


def test_a_minute_passes_between_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first is written with the first tick: the one from before knows of no event."""
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    path = tmp_path / "results"
    writer, _ = kept(path)
    source = Source(Stop(), [])
    written = []
    for seconds in (0, 1, 58.5, 0.6, 30, 29.9, 0.2):
        now[0] += seconds
        path.unlink()
        writer.tick(source)
        writer._writing.wait()
        written.append(path.exists())
        path.touch()
    assert written == [True, False, False, True, False, False, True]


def test_a_signal_asks_for_them(tmp_path: Path) -> None:
    path = tmp_path / "results"
    writer, _ = kept(path)
    source = Source(Stop(), [])
    writer.tick(source)
    before = signal.getsignal(signal.SIGUSR1)
    with writer.asked_by_signal():
        writer._writing.wait()
        path.unlink()
        writer.tick(source)
        assert not path.exists()
        os.kill(os.getpid(), signal.SIGUSR1)
        writer.tick(source)
        writer._writing.wait()
        assert path.exists()
    assert signal.getsignal(signal.SIGUSR1) == before


def test_what_is_there_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "results"
    path.write_text("precious")
    with pytest.raises(UsageProblem, match="exists already"):
        kept(path)
    assert path.read_text() == "precious"
    kept(path, force=True)
    assert read(path).areas


def test_only_files_are_replaced(tmp_path: Path) -> None:
    """Not a device, say: it would be gone."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageProblem, match="pipe exists already"):
        kept(tmp_path / "pipe", force=True)


def test_a_place_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentProblem, match=re.escape(f"cannot write to {tmp_path}/no/results: No such file")):
        kept(tmp_path / "no" / "results")


def test_a_full_disk_leaves_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said, tried again, and works once there is room; at the end it is an error."""
    monkeypatch.setattr(module, "_EVERY", 0)
    path = tmp_path / "results"
    writer, said = kept(path)
    before = path.read_bytes()
    room = [False]
    sync = os.fsync

    def full(descriptor: int) -> None:
        if not room[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    source = Source(Stop(), [])
    writer.tick(source)
    writer.tick(source)
    with pytest.raises(EnvironmentProblem):
        writer._writing.wait()
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["results"]
    assert said == [f"cannot write to {path}: No space left on device; it holds what it held before"]
    room[0] = True
    writer.feed(batch(MANY[:5]))
    writer.tick(source)
    writer._writing.wait()
    assert read(path).trace["events"] == 5
    room[0] = False
    with pytest.raises(EnvironmentProblem, match="No space left on device; it holds what it held before") as raised:
        writer.close(trailer(START + 5000))
    assert "--summary FILE" in raised.value.remedy
    assert read(path).trace["events"] == 5


def test_an_analysis_that_fails_does_not_end_the_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trace goes on; what was written before stays, and the end says so."""

    def feed(_: Analysis, events: EventBatch) -> None:
        raise BadInput("too much memory", "another machine")

    path, trace = tmp_path / "results", tmp_path / "trace"
    writer, said = kept(path)
    before = path.read_bytes()
    monkeypatch.setattr(Analysis, "feed", feed)
    stop = Stop()
    full = TraceWriter(trace, header([AREA], [ZRAM]))
    with pytest.raises(BadInput, match="too much memory"):
        run(Source(stop, batches(sorted(MANY), [7])), [full, writer], stop)
    assert said == ["no more results from here on: too much memory"]
    assert path.read_bytes() == before
    reader = TraceReader(trace)
    assert sum(map(len, reader)) == len(MANY)
    assert reader.trailer is not None


def test_they_belong_to_the_user_behind_sudo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owners: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "chown", lambda _, user, group: owners.append((user, group)))
    monkeypatch.setenv("SUDO_UID", "1000")
    monkeypatch.setenv("SUDO_GID", "1001")
    kept(tmp_path / "results")
    assert owners == [(1000, 1001)]
