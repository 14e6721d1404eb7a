"""From the events of swapon and swapoff calls to calls with paths and areas; what of them is not understood."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from builders import batch, free, header, trailer, zram_area

from swaptrace.analysis.analysis import Analysis
from swaptrace.areas import SwapArea
from swaptrace.errors import EnvironmentProblem
from swaptrace.events import AREA_DISCARDS, CALL_FAILED, PATH_BYTES, PATH_PLACE, EventKind, SwapCall, empty
from swaptrace.machine import snapshot
from swaptrace.machine.snapshot import KernelArea, not_understood, pair, take_snapshot
from swaptrace.machine.sysfs import SwapsLine
from swaptrace.report import words
from swaptrace.report.as_json import as_json
from swaptrace.results.results import TraceResult
from swaptrace.tracing import calls
from swaptrace.tracing.calls import Calls, located

THREAD = 4321
AREA = zram_area("/dev/zram0", 0, 64, 0)


def pieces(path: bytes, thread: int = THREAD) -> np.ndarray:
    """What bpf/swap_calls.c makes of a path."""
    whole = path + b"\0"
    events = empty(-(-len(whole) // PATH_BYTES))
    for number, event in enumerate(events):
        raw = bytearray(event.tobytes())
        piece = whole[number * PATH_BYTES : (number + 1) * PATH_BYTES]
        raw[PATH_PLACE : PATH_PLACE + len(piece)] = piece
        events[number] = np.frombuffer(bytes(raw), events.dtype)[0]
    events["kind"], events["tgid"], events["device"] = EventKind.PATH, thread, np.arange(len(events))
    return events


def call_event(kind: EventKind, swap_type: int, *, slots: int = 0, priority: int = 0, error: int = 0) -> np.void:
    events = empty(1)
    events["kind"], events["device"], events["slot"], events["tgid"] = kind, swap_type, THREAD, os.getpid()
    events["size"], events["run"] = error or slots, priority & 0xFFFF
    events["flags"] = CALL_FAILED if error else 0
    return events[0]


@pytest.fixture
def areas_on(monkeypatch: pytest.MonkeyPatch) -> list[SwapsLine]:
    """What /proc/swaps says; every path is that of a zram device, but for those that are gone."""
    lines: list[SwapsLine] = []
    monkeypatch.setattr(calls.sysfs, "read_swaps", lambda: lines)

    def describe(path: str, swap_type: int, priority: int, pages: int, *, zswap: bool, discards: bool) -> SwapArea:
        area = SwapArea(path, swap_type, priority, pages + 1, discards=discards)
        if "gone" in path:
            return not_understood(area, "it is gone", zswap=zswap)
        return replace(area, backing="zram", store=0, extents=((0, 0, pages + 1),))

    monkeypatch.setattr(calls, "describe_area", describe)
    return lines


def taken(source: Calls, path: np.ndarray, event: np.void) -> SwapCall:
    for piece in path:
        source.piece(piece)
    return source.call(7, event)


def of_no_area() -> Calls:
    return Calls((), lambda _: None, zswap=False)


@pytest.mark.usefixtures("areas_on")
@pytest.mark.parametrize("length", [1, 14, 15, 16, 17, 31, 32, 33, 255, 256, 4095])
def test_paths_of_any_length(length: int) -> None:
    path = b"/" + b"x" * (length - 1)
    call = taken(of_no_area(), pieces(path), call_event(EventKind.SWAPON, 3, slots=64, priority=-2))
    assert (call.row, call.call, call.path, call.result) == (7, "swapon", path.decode(), 0)
    assert call.area is not None
    assert (call.area.path, call.area.swap_type, call.area.slots, call.area.priority) == (path.decode(), 3, 64, -2)


@pytest.mark.usefixtures("areas_on")
@pytest.mark.parametrize("lost", range(3))
def test_a_piece_is_lost(lost: int) -> None:
    """The area is there all the same; what lies behind it is not known."""
    left = np.delete(pieces(b"/dev/disk/by-id/something-long-enough"), lost)
    source = of_no_area()
    call = taken(source, left, call_event(EventKind.SWAPON, 3, slots=64))
    assert call.area is not None
    assert (call.area.swap_type, call.area.slots, call.area.backing) == (3, 64, "unknown")
    assert call.area.not_told == "its path is not known"
    assert source.lost == {}  # the piece is counted where it was lost
    assert taken(source, pieces(b"/dev/zram9"), call_event(EventKind.SWAPON, 4, slots=64)).path == "/dev/zram9"


@pytest.mark.usefixtures("areas_on")
def test_threads_are_kept_apart() -> None:
    source = of_no_area()
    mine, other = pieces(b"/dev/zram-with-a-long-name"), pieces(b"/dev/another-of-a-long-name", THREAD + 1)
    for row in range(2):
        source.piece(mine[row])
        source.piece(other[row])
    assert source.call(0, call_event(EventKind.SWAPON, 1, slots=8)).path == "/dev/zram-with-a-long-name"


@pytest.mark.usefixtures("areas_on")
@pytest.mark.parametrize("kind", [EventKind.SWAPON, EventKind.SWAPOFF])
def test_a_call_whose_type_is_not_known_is_lost_and_counted(kind: EventKind) -> None:
    source = of_no_area()
    for number in range(1, 4):
        call = taken(source, pieces(b"/dev/zram1"), call_event(kind, 255))
        assert (call.result, call.area) == (0, None)
        assert source.lost == {kind.name: number}


@pytest.mark.usefixtures("areas_on")
@pytest.mark.parametrize("path", [b"/dev/zram1", b"/dev/gone", b""])
@pytest.mark.parametrize("discards", [False, True])
def test_whether_the_area_discards(path: bytes, discards: bool) -> None:
    """It is the kernel's answer, and none of the flags of the call."""
    event = call_event(EventKind.SWAPON, 3, slots=64)
    event["arg"], event["flags"] = 0x48005, AREA_DISCARDS if discards else 0
    call = taken(of_no_area(), pieces(path), event)
    assert call.area is not None
    assert (call.flags, call.area.discards) == (0x48005, discards)


@pytest.mark.usefixtures("areas_on")
def test_a_call_that_failed() -> None:
    source = of_no_area()
    call = taken(source, pieces(b"/dev/zram1"), call_event(EventKind.SWAPON, 255, error=16))
    assert (call.result, call.area, call.path, source.lost) == (-16, None, "/dev/zram1", {})


@pytest.mark.usefixtures("areas_on")
def test_an_area_from_before_whose_call_returns_only_now() -> None:
    """It is in the start snapshot already, and is no second one; once it is off, the next one of its type is."""
    source = Calls((AREA,), lambda _: None, zswap=False)
    on = call_event(EventKind.SWAPON, 0, slots=64)
    assert taken(source, pieces(b"/dev/zram0"), on).area is None
    assert taken(source, pieces(b"/dev/zram0"), call_event(EventKind.SWAPOFF, 0)).area == AREA
    assert taken(source, pieces(b"/dev/zram5"), on).path == "/dev/zram5"
    assert taken(source, pieces(b"/dev/zram5"), call_event(EventKind.SWAPOFF, 0)).area.path == "/dev/zram5"  # type: ignore[union-attr]
    again = Calls((AREA,), lambda _: None, zswap=False)
    taken(again, pieces(b"/dev/zram0"), call_event(EventKind.SWAPOFF, 0))
    assert taken(again, pieces(b"/dev/zram5"), on).area is not None


def test_a_file_that_is_off_again_is_not_understood(areas_on: list[SwapsLine]) -> None:
    """By now another file of its name may be there. A zram device stays what it is."""
    on = call_event(EventKind.SWAPON, 1, slots=64, priority=5)
    area = taken(of_no_area(), pieces(b"/mnt/swap"), on).area
    assert area is not None
    assert (area.backing, area.not_told) == ("unknown", "it was off again before it could be looked at")
    areas_on.append(SwapsLine("/mnt/swap", "file", 63, 0, 5))
    assert taken(of_no_area(), pieces(b"/mnt/swap"), on).area.backing == "zram"  # type: ignore[union-attr]
    again = of_no_area()
    for piece in pieces(b"/mnt/swap"):
        again.piece(piece)
    assert again.call(0, on, off_again=True).area.backing == "unknown"  # type: ignore[union-attr]
    assert taken(of_no_area(), pieces(b"/dev/zram7"), on).area.backing == "zram"  # type: ignore[union-attr]


def test_a_link_to_an_area(areas_on: list[SwapsLine], tmp_path: Path) -> None:
    """/proc/swaps has the device that /dev/mapper/NAME leads to."""
    (tmp_path / "link").symlink_to(tmp_path / "dm-0")
    areas_on.append(SwapsLine(str(tmp_path / "dm-0"), "partition", 63, 0, 5))
    on = call_event(EventKind.SWAPON, 1, slots=64, priority=5)
    area = taken(of_no_area(), pieces(str(tmp_path / "link").encode()), on).area
    assert area is not None
    assert area.backing == "zram"


def test_where_a_path_leads_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    me = os.getpid()
    monkeypatch.chdir(tmp_path)
    assert located("/swap", ["/other"], me) == "/swap"
    assert located("swap", ["/a/swap", "/a/other"], 1 << 22) == "/a/swap"
    assert located("./b/swap", ["/a/swap", "/b/swap"], me) == str(tmp_path / "b/swap")  # not to be told by the name
    assert located("swap", [], me) == str(tmp_path / "swap")
    assert located("swap", [], 1 << 22) is None  # no such process
    assert located(None, ["/a/swap"], me) == "/a/swap"
    assert located(None, ["/a/swap", "/b/swap"], me) is None


# -- swap types and /proc/swaps

ONE, TWO, THREE = (KernelArea(number, 1000 + number, 63 + number, -2 - number) for number in range(3))


def line(area: KernelArea, path: str = "/dev/sdz") -> SwapsLine:
    return SwapsLine(path, "partition", area.pages, 0, area.priority)


def test_pairs_are_of_the_same_areas() -> None:
    assert pair([ONE, THREE], [line(ONE), line(THREE)]) == [(ONE, line(ONE)), (THREE, line(THREE))]
    assert pair([ONE, THREE], [line(ONE), line(TWO), line(THREE)]) is None
    assert pair([ONE, TWO], [line(ONE), line(THREE)]) is None
    assert pair([ONE], []) is None
    assert pair([], []) == []


def test_an_area_that_comes_between_two_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """TWO is switched on after the kernel's table was read: the third line of /proc/swaps is not TWO's."""
    tables = iter([[ONE, THREE], [ONE, TWO, THREE], [ONE, TWO, THREE], [ONE, TWO, THREE]])
    lines = [line(area, f"/dev/sd{area.swap_type}") for area in (ONE, TWO, THREE)]
    monkeypatch.setattr(snapshot.sysfs, "read_swaps", lambda: lines)
    monkeypatch.setattr(snapshot.sysfs, "read_stores", tuple)
    found = take_snapshot(lambda: next(tables))
    assert [(area.swap_type, area.path) for area in found.areas] == [(0, "/dev/sd0"), (1, "/dev/sd1"), (2, "/dev/sd2")]


def test_an_area_that_is_replaced_by_one_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Same type, size and priority: another file."""
    other = KernelArea(0, 77, ONE.pages, ONE.priority)
    tables = iter([[ONE], [other], [other], [other]])
    paths = iter(["/dev/old", "/dev/new"])
    monkeypatch.setattr(snapshot.sysfs, "read_swaps", lambda: [line(ONE, next(paths))])
    monkeypatch.setattr(snapshot.sysfs, "read_stores", tuple)
    assert [area.path for area in take_snapshot(lambda: next(tables)).areas] == ["/dev/new"]


def test_areas_that_come_and_go_all_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "_BETWEEN_LOOKS", 0)
    monkeypatch.setattr(snapshot.sysfs, "read_swaps", list)
    monkeypatch.setattr(snapshot.sysfs, "read_stores", tuple)
    with pytest.raises(EnvironmentProblem, match="come and go"):
        take_snapshot(lambda: [ONE])


# -- in reports


def result_of(area: SwapArea) -> TraceResult:
    analysis = Analysis(header((area,)))
    analysis.feed(batch([free(5_000_000_100, 3, 8), free(5_000_000_200, 3, 9, 2)]))
    return analysis.finish(trailer(6_000_000_000))


def test_an_area_that_is_not_understood_has_figures_that_are_not_known() -> None:
    area = not_understood(SwapArea("/gone/swap", 3, -2, 64), "it is gone")
    result = result_of(area)
    (told,) = as_json(result)["areas"]
    assert (told["device"], told["backing"], told["frees"]) == ("/gone/swap", "unknown", 3)
    assert told["free_reasons"]["other"] == 3
    for figure in ("stores", "loads", "notified", "live_slots_end", "leaks", "lifetime_ns"):
        assert told[figure] is None, figure
        assert told["unknown"][figure] == "what lies behind this area is not known: it is gone"
    assert told["policies"]["none"]["stale_slots_end"] is None
    assert told["recovered"]["compr_bytes"]["end"] is None
    assert "frees" not in told["unknown"]
    assert "/gone/swap: what lies behind this area is not known: it is gone." in words.warnings(result)
    assert words.trace_headline(result) == "What stale slots cost here is not known."
    assert "it is gone" in words.area_line(result.areas[0])


def test_a_disk_is_understood() -> None:
    result = result_of(SwapArea("/dev/sda2", 3, -2, 64))
    (told,) = as_json(result)["areas"]
    assert (told["backing"], told["stores"]) == ("disk", 0)
    assert {why.split(",")[0] for why in told["unknown"].values()} == {
        "the area is on a disk"
    }  # of memory, nothing else
    assert not told["unknown"].keys() & {"stores", "frees", "lifetime_ns", "free_reasons"}
    assert not [said for said in words.warnings(result) if "lies behind" in said]


def test_areas_that_were_lost_are_told_of() -> None:
    """Though there is none in the report: the type of the only one was not known."""
    result = Analysis(header()).finish(trailer(6_000_000_000, lost={"SWAPON": 2}))
    assert result.areas == []
    assert words.trace_headline(result).startswith("A swap area was switched on while this was recorded")
    assert any(said.startswith("2 CALLS OF SWAPON WERE NOT UNDERSTOOD") for said in words.warnings(result))
    assert words.trace_headline(Analysis(header()).finish(trailer(6_000_000_000))).startswith("No swap area")
