"""Files that no recorder wrote: each is refused with a sentence, or reported, soon and with little memory."""

from __future__ import annotations

import copy
import io
import json
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from builders import PAGE_SIZE, START, Event, batch, free, header, store, swap_call, trailer, zram_area
from click.testing import CliRunner
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from rich.console import Console

from swaptrace.areas import MAX_TIME, MAX_TYPES, Store, SwapArea
from swaptrace.cli import cli
from swaptrace.engine import zsmalloc
from swaptrace.errors import BadInput
from swaptrace.events import EVENT, NAMES, EventBatch, EventFlag, EventKind, Mark, empty
from swaptrace.report.as_json import as_json
from swaptrace.report.command import Selection, analyse, report
from swaptrace.report.text import print_text
from swaptrace.trace.header import Notes, to_json
from swaptrace.trace.messages import END, is_dictionary, messages
from swaptrace.trace.plausible import MAX_RUN, MOST_STORES, UNTOLD_PAGES
from swaptrace.trace.reader import TraceReader
from swaptrace.trace.stream import HEADER_KEY, StreamMaker
from swaptrace.trace.writer import COLUMNS, NOTES_KEY, TRAILER_KEY, TraceWriter

SECONDS, MEMORY = 5, 200 << 20  # what one file may take, on an idle machine; beside what the process has already
PAGES = 4096
ZRAM = Store(0, "zram0", PAGES, "lzo-rle", {"orig_data_size": 8192, "pages_stored": 2, "miss_free": 1})
AREA = zram_area("/dev/zram0", 0, PAGES, 0)
POOL = {"pages_per_zspage": zsmalloc.geometry().arrays.classes["pages_per_zspage"].tolist(), "fullness_rule": "TENTHS"}
HEADER = header([AREA, SwapArea("/dev/sda2", 1, -3, 900)], [ZRAM], zsmalloc=POOL)
TRAILER = trailer(
    START + 99_000,
    lost={"FREE": 3},
    missed={},
    free_path={"calls": 1, "slots": 2, "ns": 3},
    exit_status=0,
    reason="end",
)
EVENTS = batch(
    [
        Event(START, EventKind.PRESENT, 0, 40, 7, size=300),
        *(store(START + number, 0, 10 + number, 50 * number) for number in range(1, 80)),
        *(free(START + 1000 + number, 0, 10 + number) for number in range(1, 60, 2)),
        Event(START + 1500, EventKind.ALLOC, 1, 3, 64),
        Event(START + 1600, EventKind.NOTIFY, 0, 11, size=50, arg=900, flags=16),
        Event(START + 1700, EventKind.DROP, 0, 12, size=100),
        Event(START + 1800, EventKind.LOAD, 0, 13, 4),
        swap_call(START + 1900, "swapoff", AREA, ZRAM),
        swap_call(START + 2000, "swapon", AREA, ZRAM),
    ],
    {100: "stress"},
)
PARTS: dict[str, Any] = {
    "header": json.loads(to_json(HEADER)),
    "notes": json.loads(to_json(Notes(EVENTS.tasks, EVENTS.calls))),
    "trailer": json.loads(to_json(TRAILER)),
}


def write(
    path: Path, parts: dict[str, Any], events: NDArray[np.void] = EVENTS.events, compression: Any = "zstd"
) -> None:
    """A trace of these parts, of whatever they hold: without checksums, as early recorders wrote them."""
    told = {name: json.dumps(part).encode() for name, part in parts.items()}
    maker = StreamMaker(HEADER, COLUMNS, NAMES)
    columns = pa.schema(list(maker.schema), metadata={HEADER_KEY: told["header"]})
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, columns, options=options) as stream:
        for rows, metadata in ((events, {NOTES_KEY: told["notes"]}), (events[:0], {TRAILER_KEY: told["trailer"]})):
            arrays = [maker._column(name, rows[name]) for name in COLUMNS]
            stream.write_batch(pa.RecordBatch.from_arrays(arrays, schema=columns), custom_metadata=metadata)


def changed(where: str, value: object) -> dict[str, Any]:
    """PARTS with another value in one place: the name of the part, then keys and numbers, with dots between them."""
    parts = copy.deepcopy(PARTS)
    way = where.split(".")
    end: Any = way.pop()
    place: Any = parts
    for key in way:
        place = place[int(key) if isinstance(place, list) else key]
    last = int(end) if isinstance(place, list) else end
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return parts


def _memory(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(name))


@contextmanager
def within_limits(memory: int = MEMORY) -> Iterator[None]:
    Path("/proc/self/clear_refs").write_text("5")  # the peak is now's
    before, begin = _memory("VmRSS"), time.process_time()
    yield
    assert time.process_time() - begin < SECONDS
    assert _memory("VmHWM") - before < memory


def reported(path: Path) -> str | None:
    """What is wrong with a file, or None: then there is a report of it."""
    with within_limits():
        try:
            result = analyse(path)
        except BadInput as problem:
            assert str(path) in problem.what or "pages of a store" in problem.what
            assert "\n" not in problem.what + problem.remedy
            return problem.what
        json.dumps(as_json(result), allow_nan=False)
        print_text(result, Console(file=io.StringIO(), width=100))
        return None


@pytest.fixture(scope="module", autouse=True)
def compiled(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What is compiled, and loaded at the first use, is not counted."""
    path = tmp_path_factory.mktemp("valid") / "trace"
    write(path, PARTS)
    result = analyse(path)
    assert result.trace["complete"]
    assert result.trace["events"] == len(EVENTS)
    as_json(result)
    print_text(result, Console(file=io.StringIO()))


#: What each of a collection of damaged files had; then the words that say so.
REFUSED = [
    ("notes", "text", "notes"),
    ("notes.calls", True, "calls"),
    ("notes.calls.0", 3.5, "calls"),
    ("notes.calls.0.row", -1, "row"),
    ("notes.calls.0.area.extents", [[0, 0, 2**31]], "extents"),
    ("notes.tasks", {"no number": "x"}, "tasks"),
    ("header.zsmalloc.pages_per_zspage", [2**64], "pages_per_zspage"),
    ("header.zsmalloc.pages_per_zspage", [], "pages_per_zspage"),
    ("header.zsmalloc.pages_per_zspage", ..., "pages_per_zspage"),
    ("header.zsmalloc.pages_per_zspage.3", "two", "pages_per_zspage"),
    ("header.zsmalloc.fullness_rule", 2**63, "fullness_rule"),
    ("header.zsmalloc.fullness_rule", "THIRDS", "fullness_rule"),
    ("header.page_size", 2**32 - 1, "page_size"),
    ("header.page_size", 5000, "power of two"),
    ("header.start.stores.0.id", None, "id"),
    ("header.start.stores.0.id", 1 << 16, "id"),
    ("header.start.stores.0.pages", None, "pages"),
    ("header.start.stores.0.counters.miss_free", "many", "counters"),
    ("header.start.areas.0.extents.0", [0, 0], "extents"),
    ("header.start.areas.0.extents.0", [0, -1, 5], "extents"),
    ("header.start.areas.0.extents.0", [0, 0, PAGES + 1], "extents"),
    ("header.start.areas.0.swap_type", 32, "swap_type"),
    ("header.start.time", 2**63, "time"),
    ("header.cluster_slots", 0, "cluster_slots"),
    ("header.probes", 7, "probes"),
    ("trailer", "text", "trailer"),
    ("trailer.end", 7, "end"),
    ("trailer.end.areas", 7, "areas"),
    ("trailer.end.time", "never", "time"),
    ("trailer.end.time", 2**64, "time"),
    ("trailer.end.stores", [{"id": 0, "name": "zram0", "pages": 4, "counters": {"miss_free": "x"}}], "counters"),
    ("trailer.end.stores", [{"id": 0, "name": "zram0", "pages": 4, "counters": 8}], "counters"),
    ("trailer.lost", 8, "lost"),
    ("trailer.lost", {"FREE": -1}, "lost"),
    ("trailer.free_path", {"calls": 1}, "free_path"),
]  # fmt: skip


@pytest.mark.parametrize(("where", "value", "words"), REFUSED, ids=[f"{where}-{value}" for where, value, _ in REFUSED])
def test_a_changed_field_is_named(tmp_path: Path, where: str, value: object, words: str) -> None:
    write(tmp_path / "trace", changed(where, value))
    what = reported(tmp_path / "trace")
    assert what is not None
    assert words in what


def test_names_of_rules_are_those_of_the_model() -> None:
    for rule in zsmalloc.FullnessRule:
        assert header(zsmalloc={**POOL, "fullness_rule": rule.name}).zsmalloc
        assert _accepted("header.zsmalloc.fullness_rule", rule.name)


def _accepted(where: str, value: object) -> bool:
    from swaptrace.trace.header import Header, from_json

    return from_json(Header, json.dumps(changed(where, value)["header"])) is not None


#: Event fields at their limits: (kind, field, value); a report of what lies before says that the trace is damaged.
IMPOSSIBLE = [
    *((kind, "slot", 2**32 - 1) for kind in ("STORE", "FREE", "LOAD", "DROP", "NOTIFY", "PRESENT", "ALLOC")),
    *((kind, "size", 2**32 - 1) for kind in ("STORE", "DROP", "NOTIFY", "PRESENT")),
    ("STORE", "time", 2**64 - 1), ("FREE", "run", 65535), ("ALLOC", "run", 65535),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "field", "value"), IMPOSSIBLE, ids=str)
def test_an_impossible_event_ends_the_trace(tmp_path: Path, kind: str, field: str, value: int) -> None:
    events = EVENTS.events.copy()
    events[field][np.flatnonzero(events["kind"] == EventKind[kind])[0]] = value
    write(tmp_path / "trace", PARTS, events)
    with within_limits():
        result = analyse(tmp_path / "trace")
    assert not result.trace["complete"]
    assert "damaged (an e" in result.trace["damage"]
    assert result.trace["events"] == 0


def test_calls_of_events_that_are_not_there(tmp_path: Path) -> None:
    for row in (len(EVENTS), 10**6, PARTS["notes"]["calls"][1]["row"]):
        write(tmp_path / "trace", changed("notes.calls.0.row", row))
        assert "calls that belong to no event" in analyse(tmp_path / "trace").trace["damage"]


def test_claims_alone_take_no_memory(tmp_path: Path) -> None:
    """A store of 16 TiB, of which a few pages are used: its report is that of a small one."""
    parts = changed("header.start.stores.0.pages", 2**32)
    parts["header"]["start"]["areas"][0] |= {"slots": 2**32, "extents": [[0, 0, 2**32]]}
    for call in parts["notes"]["calls"]:
        call["area"], call["store"] = parts["header"]["start"]["areas"][0], parts["header"]["start"]["stores"][0]
    write(tmp_path / "trace", parts)
    assert reported(tmp_path / "trace") is None
    events = EVENTS.events.copy()
    events["slot"][3] = 2**32 - 1  # a store: now it would be needed
    write(tmp_path / "trace", parts, events)
    assert "of memory: too much here" in str(reported(tmp_path / "trace"))


# -------------------------------------------------------------------------------------------------------- lengths


def _raw(path: Path) -> list[bytes]:
    """A file's messages; the names that stand behind numbers go with the header."""
    contents = path.read_bytes()
    found = list(messages(io.BytesIO(contents), len(contents)))
    names = sum(map(is_dictionary, found))
    return [b"".join(found[: 1 + names]), *found[1 + names :]]


def test_names_cannot_ask_for_more_than_they_can_be(tmp_path: Path) -> None:
    """Nothing is made of what they claim to become, nor of names without end."""
    path = tmp_path / "trace"
    write(path, PARTS)
    contents = path.read_bytes()
    header, first, second, *rest = messages(io.BytesIO(contents), len(contents))
    assert is_dictionary(first) and is_dictionary(second)
    begin = 8 + struct.unpack_from("<i", first, 4)[0]
    words = struct.unpack_from(f"<{(len(first) - begin) // 8}q", first, begin)
    lengths = [begin + 8 * number for number, word in enumerate(words) if 0 < word < 999]
    assert lengths
    for place in lengths:
        huge = first[:place] + struct.pack("<q", 1 << 40) + first[place + 8 :]
        path.write_bytes(b"".join([header, huge, second, *rest]))
        assert reported(path) is None and "names" in analyse(path).trace["damage"]
    path.write_bytes(b"".join([header, *([first] * 400), second, *rest]))
    assert reported(path) is None and "names" in analyse(path).trace["damage"]


def test_names_that_are_others(tmp_path: Path, whole: Path) -> None:
    """Numbers are what counts; but what was changed is noticed by the checksum of the batch that follows."""
    path = tmp_path / "trace"
    contents = whole.read_bytes()
    found = list(messages(io.BytesIO(contents), len(contents)))
    changed = found[1][:-9] + bytes([found[1][-9] ^ 1]) + found[1][-8:]
    path.write_bytes(b"".join([found[0], changed, *found[2:]]))
    assert reported(path) is None and "checksum" in analyse(path).trace["damage"]


def test_a_column_cannot_ask_for_more_than_it_can_hold(tmp_path: Path) -> None:
    """The length that a compressed buffer is to have, in its first 8 bytes, would be allocated whatever it is."""
    path = tmp_path / "trace"
    write(path, PARTS)
    header_message, events, *rest = _raw(path)
    begin = 8 + struct.unpack_from("<i", events, 4)[0]
    lengths = [place for place in range(begin, len(events) - 7, 8) if _is_length(events, place)]
    assert len(lengths) == len(EVENT.names or ())
    for place in lengths:
        for length in (len(EVENTS) * 8 + 4096, 1 << 36, 1 << 62, -2):
            spoilt = events[:place] + struct.pack("<q", length) + events[place + 8 :]
            path.write_bytes(b"".join([header_message, spoilt, *rest]))
            with within_limits():
                result = analyse(path)
            assert "claims to have" in result.trace["damage"]


def _is_length(raw: bytes, place: int) -> bool:
    """Whether a compressed buffer begins there: its length, then zstd's magic number."""
    return raw[place + 8 : place + 12] == b"\x28\xb5\x2f\xfd"


def test_a_batch_cannot_claim_more_events_than_its_size_allows(tmp_path: Path) -> None:
    """Millions of zeros compress to almost nothing."""
    events = np.zeros(30_000_000, EVENT)
    write(tmp_path / "trace", PARTS, events)
    assert (tmp_path / "trace").stat().st_size < 200_000
    with within_limits():
        result = analyse(tmp_path / "trace")
    assert "claims to hold 30,000,000 events" in result.trace["damage"]


# ------------------------------------------------------------------------------------------------------- checksums


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trace as it is written today, of three batches."""
    path = tmp_path_factory.mktemp("whole") / "trace"
    writer = TraceWriter(path, HEADER)
    for begin in (0, 40, 80):
        writer.feed(EventBatch(EVENTS.events[begin : begin + 40], {begin: "task"}))
        writer.flush()
    writer.close(TRAILER)
    return path


def noticed(path: Path) -> bool:
    """Whether reading a file says that it is not what was written."""
    try:
        reader = TraceReader(path)
        for _ in reader:
            pass
    except BadInput:
        return True
    return reader.trailer is None


def test_a_whole_trace_has_nothing_to_notice(whole: Path) -> None:
    assert not noticed(whole)
    assert TraceReader(whole).header == HEADER


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_one_flipped_bit_is_noticed(whole: Path, data: st.DataObject) -> None:
    contents = bytearray(whole.read_bytes())
    place = data.draw(st.integers(0, len(contents) - 1))
    contents[place] ^= 1 << data.draw(st.integers(0, 7))
    path = whole.with_name("flipped")
    path.write_bytes(contents)
    assert noticed(path)


def test_a_flipped_bit_of_every_byte_of_the_ends_is_noticed(whole: Path) -> None:
    """Where a message begins and the stream ends, the checksums themselves included."""
    contents = whole.read_bytes()
    ends = [0]
    for raw in _raw(whole):
        ends.append(ends[-1] + len(raw))
    found = [contents.index(b"crc32 ", begin) for begin in ends[:-2]]
    digits = {begin + step for begin in found for step in range(-4, 15)}
    places = {*digits, *(end + step for end in ends for step in range(-8, 8)), *range(8)}
    path = whole.with_name("flipped")
    for place in sorted(place for place in places if 0 <= place < len(contents)):
        for bit in range(8):
            path.write_bytes(contents[:place] + bytes([contents[place] ^ 1 << bit]) + contents[place + 1 :])
            assert noticed(path), (place, bit)


def test_damage_ends_the_trace_where_it_is(whole: Path) -> None:
    """What lies before is reported, and the report says why there is no more."""
    first, _, one, two, *rest = _raw(whole)
    assert len(rest) == 3
    spoilt = bytearray(two)
    spoilt[-20] ^= 4
    path = whole.with_name("spoilt")
    path.write_bytes(b"".join([first, _, one, spoilt, *rest]))
    result = analyse(path)
    assert result.trace["events"] == 40
    assert not result.trace["complete"]
    place = len(first) + len(_) + len(one)
    assert result.trace["damage"] == (f"what the file has from byte {place:,} on is damaged (its checksum is another)")
    out = io.StringIO()
    print_text(result, Console(file=out, width=500))
    assert f"THE TRACE IS INCOMPLETE: what the file has from byte {place:,} on is damaged" in out.getvalue()


def test_a_batch_that_is_missing_twice_there_or_moved_is_noticed(whole: Path) -> None:
    first, empty, one, two, three, last, end = _raw(whole)
    path = whole.with_name("moved")
    for order in ([one, three], [one, one, two, three], [two, one, three], [one, two, three, last]):
        path.write_bytes(b"".join([first, empty, *order, last, end]))
        assert noticed(path)
    path.write_bytes(b"".join([first, empty, one, two, three, last, END]))
    assert not noticed(path)


def test_a_name_that_looks_like_a_checksum(tmp_path: Path) -> None:
    """Names of tasks and files are whatever somebody has called them."""
    name = "\x0e\0\0\0crc32 00000000\0"
    writer = TraceWriter(tmp_path / "trace", header([AREA], [ZRAM], command=(name,), host=name))
    writer.feed(EventBatch(EVENTS.events[:40], {1: name}))
    writer.close(TRAILER)
    assert not noticed(tmp_path / "trace")
    [found] = TraceReader(tmp_path / "trace")
    assert found.tasks == {1: r"\x0e\x00\x00\x00crc32 00000000\x00"}  # as text that can be seen


INVISIBLE = {
    "\x1b[31mred\x1b]0;title\x07\x9b1m": r"\x1b[31mred\x1b]0;title\x07\x9b1m",
    "two\nlines": r"two\nlines",
    "\udcff\ud800": r"\udcff\ud800",
    "\u200b=1+1": r"\u200b=1+1",
    "\u202eevil": r"\u202eevil",
    "häßlich <b>": "häßlich <b>",
}


@pytest.mark.parametrize("name", INVISIBLE, ids=ascii)
def test_names_are_text_that_can_be_seen(tmp_path: Path, name: str) -> None:
    """Wherever they stand: what a terminal or a spreadsheet would take for more comes in no further than the file."""
    area = zram_area(name, 0, 64, 0)
    writer = TraceWriter(tmp_path / "trace", header([area], [ZRAM], host=name, labels={"about": name}))
    writer.feed(replace(batch([store(START + 1, 0, 3, 100)], {100: name}), marks=(Mark(START + 2, name),)))
    writer.close(trailer(START + 1000))
    reader = TraceReader(tmp_path / "trace")
    [found], seen = list(reader), INVISIBLE[name]
    assert (reader.header.host, reader.header.labels, found.tasks) == (seen, {"about": seen}, {100: seen})
    assert [mark.text for mark in found.marks] == [seen]
    assert reader.header.start.areas[0].path == seen
    for options in ([], ["--format", "json"], ["--format", "csv"], ["--by", "process"]):
        out = tmp_path / "out"
        report = CliRunner().invoke(cli, ["report", str(tmp_path / "trace"), *options, "-o", str(out)])
        assert report.exit_code == 0, report.output
        assert out.read_text(encoding="utf-8").replace("\n", "").isprintable()


def test_a_hostile_trace_with_right_checksums(tmp_path: Path, whole: Path) -> None:
    """Who makes a file on purpose can make its checksums, too: they are against accidents."""
    writer = TraceWriter(tmp_path / "trace", HEADER)
    events = EVENTS.events[:40].copy()
    events["slot"] = 2**32 - 1
    writer.feed(EventBatch(events))
    writer.close(TRAILER)
    with within_limits():
        result = analyse(tmp_path / "trace")
    assert "beyond its store or area" in result.trace["damage"]


def damage_of(path: Path) -> str | None:
    """What the reader finds in a whole file."""
    reader = TraceReader(path)
    for _ in reader:
        pass
    return reader.damage


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"time": MAX_TIME + 1}, "an event of the far future"),
        ({"kind": EventKind.FREE, "device": MAX_TYPES}, "a swap type that there is not"),
        ({"kind": EventKind.ALLOC, "device": 3, "run": MAX_RUN + 1}, "more slots than are allocated or freed at once"),
        ({"kind": EventKind.STORE, "size": PAGE_SIZE + 1}, "an entry larger than a page"),
        ({"kind": EventKind.FREE, "flags": EventFlag.NOTIFIED, "run": 2}, "one notification of several slots"),
    ],
)
def test_events_that_no_kernel_tells_of(tmp_path: Path, values: dict[str, int], why: str) -> None:
    """Where each value is one less, they may."""
    for less in (0, 1):
        events = EVENTS.events.copy()
        for field, value in values.items():
            events[field][5] = value if field in ("kind", "flags") else value - less
        write(tmp_path / "trace", PARTS, events)
        damage = damage_of(tmp_path / "trace")
        assert damage is None if less else why in str(damage)


@pytest.mark.parametrize("kind", [EventKind.STORE, EventKind.RESET])
def test_no_machine_has_so_many_stores(tmp_path: Path, kind: EventKind) -> None:
    """Each takes some memory, and some time in every batch."""
    for stores, why in ((MOST_STORES, None), (MOST_STORES + 1, f"more than {MOST_STORES} stores")):
        events = empty(stores)
        events["time"], events["kind"], events["device"] = START + 1, kind, np.arange(stores)
        write(tmp_path / "trace", {**PARTS, "notes": {}}, events)
        assert (why or "None") in str(damage_of(tmp_path / "trace"))


def test_a_page_far_away_takes_no_memory_for_those_before_it(tmp_path: Path) -> None:
    """A store may be made larger while recording, and nothing tells: what it takes depends on how many were used."""
    events = EVENTS.events.copy()
    events["slot"][[3, 20]] = UNTOLD_PAGES - 2, UNTOLD_PAGES - 4097
    events["device"][[3, 20]] = ZRAM.id
    events["kind"][[3, 20]] = EventKind.STORE, EventKind.RESET
    events["run"][[3, 20]] = 1
    write(tmp_path / "far", PARTS, events)
    with within_limits(32 << 20):
        result = analyse(tmp_path / "far")
        print_text(result, Console(file=io.StringIO(), width=100))
    assert result.trace["damage"] is None


# ------------------------------------------------------------------------------------------------------------ fuzz


def places(part: Any, way: str) -> Iterator[str]:
    """Where something can be changed, at any depth."""
    yield way
    children = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    for key, child in children:
        if not (isinstance(part, list) and int(key) > 2):  # the others are like these
            yield from places(child, f"{way}.{key}")


PLACES = [place for name, part in PARTS.items() for place in places(part, name)]
_NUMBERS = st.sampled_from(
    [0, 1, -1, 255, 256, 65535, 2**31, 2**32 - 1, 2**32, 2**53, 2**62, 2**63 - 1, 2**63, 2**64, 10**30]
)
_VALUES = st.recursive(
    st.none() | st.booleans() | _NUMBERS | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(where=st.sampled_from(PLACES), value=_VALUES | st.just(...))
@example("header.zsmalloc.pages_per_zspage.0", 0)
@example("trailer.end.time", 2**62)
@example("header.start.time", 2**62)
def test_any_field_may_hold_anything(tmp_path_factory: pytest.TempPathFactory, where: str, value: object) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz"
    write(path, changed(where, {} if value is ... and "." not in where else value))
    reported(path)


_LIMITS = {
    name: [0, 1, 2 ** (8 * EVENT[name].itemsize) - 1, 2 ** (8 * EVENT[name].itemsize - 1)] for name in EVENT.names or ()
}
_EDITS = st.sampled_from(EVENT.names or ()).flatmap(
    lambda name: st.tuples(
        st.just(name),
        st.integers(0, len(EVENTS) - 1),
        st.sampled_from(_LIMITS[name]) | st.integers(0, 2 ** (8 * EVENT[name].itemsize) - 1),
    )
)


@settings(max_examples=150, deadline=None)
@given(edits=st.lists(_EDITS, min_size=1, max_size=8))
def test_any_event_may_hold_anything(tmp_path_factory: pytest.TempPathFactory, edits: list[Any]) -> None:
    events = EVENTS.events.copy()
    for name, row, value in edits:
        events[name][row] = value
    path = tmp_path_factory.getbasetemp() / "fuzz"
    write(path, PARTS, events)
    reported(path)


@settings(max_examples=150, deadline=None)
@given(data=st.data(), compression=st.sampled_from(["zstd", None]))
def test_any_byte_may_be_anything(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, compression: str | None
) -> None:
    """Without checksums, as in traces of early recorders."""
    path = tmp_path_factory.getbasetemp() / "fuzz"
    write(path, PARTS, compression=compression)
    contents = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        contents[data.draw(st.integers(0, len(contents) - 1))] = data.draw(st.integers(0, 255))
    del contents[data.draw(st.just(len(contents)) | st.integers(0, len(contents))) :]
    path.write_bytes(contents)
    reported(path)


@pytest.mark.parametrize("form", ["text", "json", "csv", "html"])
def test_every_format_says_what_is_damaged(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, whole: Path, form: str
) -> None:
    """CSV has no place for words, which go to stderr."""
    path, output = tmp_path / "spoilt", tmp_path / "report"
    contents = bytearray(whole.read_bytes())
    contents[-600] ^= 1
    path.write_bytes(contents)
    report(path, form, output, Selection())
    written = output / "report.html" if form == "html" else output
    assert "on is damaged" in (capsys.readouterr().err if form == "csv" else written.read_text())
