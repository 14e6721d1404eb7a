"""Trace files: what is written is what is read, wherever the file ends and whatever it really is."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from builders import START, Event, batch, free, header, store, swap_call, trailer, zram_area

from swaptrace.areas import Snapshot, Store, SwapArea
from swaptrace.errors import BadInput, EnvironmentProblem, UsageProblem
from swaptrace.events import EVENT, NAMES, EventBatch, EventKind, FreeReason, Mark
from swaptrace.report import words
from swaptrace.report.as_json import as_json
from swaptrace.report.command import analyse
from swaptrace.trace.header import FORMAT_VERSION, Header, to_json
from swaptrace.trace.plausible import Implausible, Plausible
from swaptrace.trace.reader import TraceReader
from swaptrace.trace.stream import HEADER_KEY, StreamMaker
from swaptrace.trace.writer import COLUMNS, TraceWriter

ZRAM = Store(0, "zram0", 16, "lzo-rle", {"orig_data_size": 8192, "pages_stored": 2})
AREA = zram_area("/dev/zram0", 0, 16, 0, ((0, 0, 9), (9, 12, 7)))
POOL = {"pages_per_zspage": [1, 2], "fullness_rule": "TENTHS"}
HEADER = header(
    [AREA, SwapArea("/dev/sda 2", 1, -3, 9)], [ZRAM], zsmalloc={"pages_per_zspage": [1, 2], "fullness_rule": "TENTHS"}
)
TRAILER = trailer(START + 99, lost={"FREE": 3}, exit_status=1, reason="SIGINT")
#: Three whole batches, each flushed on its own.
BATCHES = (
    batch(
        [store(START + 1, 0, 3, 100), Event(START + 2, EventKind.PRESENT, 0, 3, 65535)],
        {100: "stress", 7: "na\u00efve"},
    ),
    batch([swap_call(START + 3, "swapon", AREA, ZRAM), swap_call(START + 4, "swapoff", None, result=-22)]),
    batch([store(START + number, 0, number % 16, number) for number in range(500)]),
)


def write(path: Path, batches: tuple[EventBatch, ...] = BATCHES, *, force: bool = False) -> list[int]:
    """Write a trace; the file's size after the header and after each batch."""
    writer = TraceWriter(path, HEADER, force=force)
    sizes = [writer.size]
    for written in batches:
        writer.feed(written)
        writer.flush()
        sizes.append(writer.size)
    writer.close(TRAILER)
    return sizes


def same(found: EventBatch, written: EventBatch) -> bool:
    return (found.events == written.events).all() and (found.tasks, found.calls) == (written.tasks, written.calls)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, list[int]]:
    """A trace's bytes, and where its header and its batches end."""
    path = tmp_path_factory.mktemp("whole") / "trace"
    sizes = write(path)
    return path.read_bytes(), sizes


def test_round_trip(tmp_path: Path) -> None:
    write(tmp_path / "trace")
    reader = TraceReader(tmp_path / "trace")
    assert reader.header == HEADER
    assert reader.trailer is None  # not before all batches were read
    found = list(reader)
    assert len(found) == len(BATCHES)
    assert all(map(same, found, BATCHES))
    assert found[0].events.dtype == EVENT
    assert found[1].calls[0].area == AREA
    assert found[1].calls[0].store == ZRAM
    assert reader.trailer == TRAILER
    assert reader.bytes == (tmp_path / "trace").stat().st_size == reader.bytes_read


def test_batches_are_gathered(tmp_path: Path) -> None:
    """Small batches become one; rows of calls move along."""
    writer = TraceWriter(tmp_path / "trace", HEADER)
    for written in BATCHES:
        writer.feed(written)
    writer.feed(EventBatch(BATCHES[0].events[:0]))
    writer.close(TRAILER)
    [found] = list(TraceReader(tmp_path / "trace"))
    assert same(found, EventBatch.concatenate(BATCHES))
    assert [call.row for call in found.calls] == [2, 3]


def test_trace_of_nothing(tmp_path: Path) -> None:
    write(tmp_path / "trace", ())
    reader = TraceReader(tmp_path / "trace")
    assert list(reader) == []
    assert reader.trailer == TRAILER


def test_other_tools_open_it(tmp_path: Path) -> None:
    write(tmp_path / "trace")
    with (tmp_path / "trace").open("rb") as file:
        frame = pa.ipc.open_stream(file).read_pandas()
    assert list(frame.columns) == list(EVENT.names or ())
    assert len(frame) == sum(map(len, BATCHES))
    assert frame["run"].max() == 65535
    assert frame["time"].dtype == np.uint64


def test_other_tools_have_names(tmp_path: Path) -> None:
    """Of kinds and reasons, as text; also of those that this trace has none of, and of a kind that is none."""
    events = [free(START, 0, 3, reason=reason) for reason in FreeReason] + [
        store(START, 0xFFFF, 1, 5),
        free(START, 0, 1),
    ]
    written = batch(events)
    written.events["kind"][-1], written.events["reason"][-1] = 0, 0
    write(tmp_path / "trace", (written,))
    with (tmp_path / "trace").open("rb") as file:
        table = pa.ipc.open_stream(file).read_all()
    assert table["kind"].to_pylist() == ["FREE"] * 6 + ["STORE", ""]
    assert table["reason"].to_pylist() == ["other", "exit", "swapin", "unmap", "swapoff", "reclaim", "", ""]
    assert table["device"].to_pylist()[-2] == 0xFFFF
    frame = table.to_pandas()
    assert (frame.kind == "FREE").sum() == 6 and frame.groupby("reason", observed=True).size()["exit"] == 1
    (found,) = TraceReader(tmp_path / "trace")
    assert (found.events == written.events).all()


def test_paths_of_cgroups_and_marks_and_labels(tmp_path: Path) -> None:
    labels = {"pool": "a", "image": "2026.11 \u2603"}
    writer = TraceWriter(tmp_path / "trace", replace(HEADER, labels=labels))
    marks = Mark(START + 5, "the job begins"), Mark(START + 9, "\u2603")
    writer.feed(EventBatch(BATCHES[0].events, cgroups={77: "/kube.slice/pod1"}, marks=marks[:1]))
    writer.feed(EventBatch(BATCHES[0].events[:0], cgroups={1: "/"}, marks=marks[1:]))
    writer.flush()
    writer.feed(EventBatch(BATCHES[0].events[:0], marks=marks[:1]))  # without an event
    writer.close(TRAILER)
    reader = TraceReader(tmp_path / "trace")
    first, second = list(reader)
    assert reader.header.labels == labels
    assert (first.cgroups, first.marks) == ({77: "/kube.slice/pod1", 1: "/"}, marks)
    assert (len(second), second.marks) == (0, marks[:1])


# --------------------------------------------------------------------------------------------------------- the file


def test_mode_is_the_owners_alone(tmp_path: Path) -> None:
    """Whatever the umask, and also if the file that is overwritten had another one."""
    before = os.umask(0)
    try:
        write(tmp_path / "new")
        (tmp_path / "old").touch(0o666)
        write(tmp_path / "old", force=True)
    finally:
        os.umask(before)
    for name in ("new", "old"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_overwrites_only_if_forced(tmp_path: Path) -> None:
    path = tmp_path / "trace"
    path.write_text("precious" * 10_000)
    with pytest.raises(UsageProblem, match="exists already"):
        TraceWriter(path, HEADER)
    assert path.read_text() == "precious" * 10_000
    write(path, force=True)
    assert len(list(TraceReader(path))) == len(BATCHES)


def test_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentProblem, match="No such file or directory"):
        TraceWriter(tmp_path / "nowhere" / "trace", HEADER)


# ------------------------------------------------------------------------------------------------------------ cut off


def test_cut_anywhere(whole: tuple[bytes, list[int]], tmp_path_factory: pytest.TempPathFactory) -> None:
    """At many places, and around the ends of the header and of each batch."""
    contents, sizes = whole
    places = {*range(0, len(contents), 37), *(size + step for size in sizes for step in range(-9, 10))}
    for length in sorted(places - {len(contents)}):
        check_cut(whole, length, tmp_path_factory)


def check_cut(whole: tuple[bytes, list[int]], length: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    contents, sizes = whole
    assert sizes[0] > 1000  # the header is in the file before anything happens
    path = tmp_path_factory.getbasetemp() / "cut"
    path.write_bytes(contents[:length])
    try:
        reader = TraceReader(path)
    except BadInput as problem:
        assert length < sizes[0]
        assert "not a swaptrace trace" in problem.what
        return
    assert reader.header == HEADER
    expected = BATCHES[: sum(length >= size for size in sizes[1:])]
    found = list(reader)
    assert len(found) == len(expected)
    assert all(map(same, found, expected))
    if length < sizes[-1] + 8:
        assert reader.trailer is None


def test_killed_recorder_leaves_what_was_flushed(tmp_path: Path) -> None:
    path = tmp_path / "trace"
    writer = TraceWriter(path, HEADER)
    writer.feed(BATCHES[0])
    writer.flush()
    writer.feed(BATCHES[1])
    [found] = list(TraceReader(path))  # the writer is still open
    assert same(found, BATCHES[0])


_FILL = """
import gc, resource, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_trace_file import BATCHES, HEADER
from swaptrace.errors import EnvironmentProblem
from swaptrace.trace.writer import TraceWriter
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
for limit in map(int, sys.argv[3:]):
    path = Path(sys.argv[1], str(limit))
    writer = TraceWriter(path, HEADER)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    whole = 0
    try:
        while True:
            writer.feed(BATCHES[whole % 3])
            writer.flush()
            whole += 1
    except EnvironmentProblem as problem:
        print(limit, whole, writer.size, problem.exit_status, problem.what, sep="|")
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    del writer
    gc.collect()  # now there is room again: what was not written must not follow
"""


def test_full_disk(tmp_path: Path) -> None:
    """The limit of a file's size stands in for the disk's: a write fails somewhere in a batch."""
    limits = [*range(3_500, 13_500, 250)]
    done = subprocess.run(
        [sys.executable, "-c", _FILL, tmp_path, Path(__file__).parent, *map(str, limits)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert [int(line.split("|")[0]) for line in lines] == limits
    for line in lines:
        limit, whole, size, status, what = line.split("|")
        path = tmp_path / limit
        assert status == "3"
        assert what == (
            f"cannot write to {path}: File too large; the {int(size):,} bytes before that are kept and can be read"
        )
        assert path.stat().st_size == int(size) <= int(limit)
        reader = TraceReader(path)
        assert len(list(reader)) == int(whole)
        assert reader.trailer is None
    assert int(lines[-1].split("|")[1]) > 3


# --------------------------------------------------------------------------------------------------------- not a trace


def other_arrow_file(path: Path) -> None:
    table = pa.table({"a": [1, 2, 3]})
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as stream:
        stream.write_table(table)


def with_header(path: Path, text: str, columns: pa.Schema | None = None) -> None:
    columns = columns if columns is not None else StreamMaker(HEADER, COLUMNS, NAMES).schema
    with pa.OSFile(str(path), "wb") as file:
        pa.ipc.new_stream(file, columns.with_metadata({HEADER_KEY: text.encode()})).close()


def changed(**changes: object) -> str:
    return json.dumps({**json.loads(to_json(HEADER)), **changes})


def test_not_a_trace(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for make in (
        lambda: path.write_text("a text, and a long enough one to be taken for something else\n" * 40),
        lambda: path.write_bytes(b""),
        lambda: path.write_bytes(bytes(4096)),
        lambda: path.write_bytes(b"\xff\xff\xff\xff\xf0\xff\xff\x7f" + bytes(64)),
        lambda: other_arrow_file(path),
    ):
        make()
        with pytest.raises(BadInput, match="is not a swaptrace trace"):
            TraceReader(path)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="No such file or directory"):
        TraceReader(tmp_path / "missing")
    with pytest.raises(BadInput, match="directory"):
        TraceReader(tmp_path)


def test_newer_format(tmp_path: Path) -> None:
    with_header(tmp_path / "trace", changed(format_version=FORMAT_VERSION + 1, start="told in another way"))
    with pytest.raises(BadInput, match=f"format version {FORMAT_VERSION + 1}") as raised:
        TraceReader(tmp_path / "trace")
    assert "upgrade" in raised.value.remedy


def test_keys_of_a_later_swaptrace_are_ignored(tmp_path: Path) -> None:
    start = {**json.loads(to_json(HEADER))["start"], "moon": "full"}
    with_header(tmp_path / "trace", changed(weather="fine", start=start))
    assert TraceReader(tmp_path / "trace").header == HEADER


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "{}", '{"format_version": 1}', '{"format_version": "x"}', changed(start=None),
     changed(start=[]), changed(start={"time": 1, "areas": [3]}), changed(command=7), "\udcff"],
)  # fmt: skip
def test_damaged_header(tmp_path: Path, text: str) -> None:
    path = tmp_path / "trace"
    with pa.OSFile(str(path), "wb") as file:
        metadata = {HEADER_KEY: text.encode(errors="surrogateescape")}
        pa.ipc.new_stream(file, StreamMaker(HEADER, COLUMNS, NAMES).schema.with_metadata(metadata)).close()
    with pytest.raises(BadInput, match=r"header of .* is damaged"):
        TraceReader(path)


def test_columns_of_something_else(tmp_path: Path) -> None:
    columns = list(StreamMaker(HEADER, COLUMNS, NAMES).schema)
    other_type = [pa.field(field.name, pa.string(), nullable=False) for field in columns]
    for number, fields in enumerate((columns[:-1], [*columns[1:], columns[0]], other_type)):
        path = tmp_path / str(number)
        with_header(path, to_json(HEADER), pa.schema(fields))
        with pytest.raises(BadInput, match="columns"):
            TraceReader(path)


def test_header_of_every_field_survives() -> None:
    """from_json() knows how to restore each of them: none is left at its default here."""
    full = Header(
        kernel="k", machine="m", page_size=16384, host="h", command=("a", "b"), start_realtime=5,
        start=Snapshot(9, (AREA,), (ZRAM,)), probes=({"event": "e"},), missing=("x",), recorder_tgid=4,
        zsmalloc=POOL, ring_bytes=8, swaptrace="0.1", format_version=FORMAT_VERSION,
    )  # fmt: skip
    from swaptrace.trace.header import from_json

    assert from_json(Header, to_json(full)) == full


REVERSED = {name: tuple(reversed(values)) for name, values in NAMES.items()}


@pytest.mark.parametrize(
    ("names", "why"),
    [
        ({**NAMES, "kind": REVERSED["kind"]}, "kind has other names"),
        ({**NAMES, "reason": REVERSED["reason"]}, "reason has other names"),
        ({**NAMES, "kind": (*NAMES["kind"], "LATER")}, "kind has other names"),
        ({**NAMES, "kind": NAMES["kind"][:5]}, "kind has numbers without a name"),
        ({**NAMES, "reason": ()}, "reason has numbers without a name"),
    ],
)
def test_names_of_something_else(tmp_path: Path, names: dict[str, tuple[str, ...]], why: str) -> None:
    """Numbers that mean something else than here would be other events: nobody is to take them for these."""
    events = batch([store(START + 1, 0, 1, 100), free(START + 2, 0, 1)]).events
    maker = StreamMaker(header(), COLUMNS, names)
    made = [maker.nothing(), maker.batch([events[name] for name in COLUMNS]), maker.end()]
    path = tmp_path / "other.trace"
    path.write_bytes(b"".join(made))
    reader = TraceReader(path)
    assert list(reader) == [] and reader.damage is not None and why in reader.damage


def test_an_earlier_recorder_knew_fewer_names(tmp_path: Path) -> None:
    events = batch([store(START + 1, 0, 1, 100)]).events
    maker = StreamMaker(header(), COLUMNS, {**NAMES, "kind": NAMES["kind"][: EventKind.STORE + 1]})
    path = tmp_path / "early.trace"
    path.write_bytes(maker.nothing() + maker.batch([events[name] for name in COLUMNS]) + maker.end())
    reader = TraceReader(path)
    assert sum(map(len, reader)) == 1 and reader.damage is None


@pytest.mark.parametrize(("field", "value"), [("kind", 77), ("kind", 255), ("reason", 7), ("reason", 255)])
def test_kinds_and_reasons_that_there_are_not(field: str, value: int) -> None:
    events = batch([free(START + 2, 0, 1)]).events
    events[field] = value
    with pytest.raises(Implausible, match="that there is not"):
        Plausible(header([zram_area("/dev/zram0", 0, 64, 0)])).check({name: events[name] for name in COLUMNS}, ())


@pytest.mark.parametrize("place", ["metadata", "body"])
def test_a_message_without_end(tmp_path: Path, place: str) -> None:
    """A file may be sparse, and as long as a message claims to be."""
    path = tmp_path / "long.trace"
    maker = StreamMaker(header(), COLUMNS, NAMES)
    raw = maker.nothing()
    with path.open("wb") as file:
        if place == "metadata":
            file.write(b"\xff\xff\xff\xff" + (0x7FFFFFF0).to_bytes(4, "little"))
        else:
            file.write(raw)
            events = batch([store(START + 1, 0, 1, 100)]).events
            body = maker.batch([events[name] for name in COLUMNS])
            length = int.from_bytes(body[4:8], "little")
            at = body.index((len(body) - 8 - length).to_bytes(8, "little"), 8)
            file.write(body[:at] + (6 << 30).to_bytes(8, "little") + body[at + 8 :])
        file.truncate(8 << 30)
    if place == "metadata":
        with pytest.raises(BadInput, match="is not a swaptrace trace"):
            TraceReader(path)
    else:
        reader = TraceReader(path)
        assert list(reader) == [] and "it is too long" in (reader.damage or "")


def test_reports_show_labels(tmp_path: Path) -> None:
    writer = TraceWriter(tmp_path / "trace", replace(HEADER, labels={"pool": "a", "run": "7"}))
    writer.close(TRAILER)
    result = analyse(tmp_path / "trace")
    assert as_json(result)["trace"]["labels"] == {"pool": "a", "run": "7"}
    assert ("labels", "pool=a, run=7") in words.heading(result)


@pytest.mark.parametrize("ends", [[0, 5000, 4], [0, -7, 4], [0, 1, 4]])
def test_names_that_lie_nowhere(tmp_path: Path, ends: list[int]) -> None:
    """Where one begins and ends is in the file, and so anything; the last ones are no UTF-8."""
    maker = StreamMaker(HEADER, COLUMNS, NAMES)
    places = pa.py_buffer(np.array(ends, np.int32))
    maker._names["kind"] = pa.Array.from_buffers(pa.utf8(), 2, [None, places, pa.py_buffer(b"\xff\xfeno")])
    events = batch([store(START + 1, 0, 1, 100)]).events
    path = tmp_path / "nowhere.trace"
    path.write_bytes(maker.nothing() + maker.batch([events[name] for name in COLUMNS]) + maker.end())
    reader = TraceReader(path)
    assert list(reader) == [] and reader.damage is not None
