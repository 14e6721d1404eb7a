"""The kernel's state machine of `record --summary` against the analysis of the same events: the same figures.

The machine is compiled for this processor (native_summary.py), and its figures go the same way as the kernel's: from
the maps to a vector, and from that to results.
"""

from __future__ import annotations

from dataclasses import astuple, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import pytest
from builders import PAGE_SIZE, START, Event, batch, free, header, store, trailer, zram_area
from hypothesis import given, settings
from native_summary import NativeSummary
from test_replay import CATALOG, STORES, Trace, analyse, garbage, plausible, reproducible

from swaptrace.analysis.results import AreaResult, Integral, TraceResult
from swaptrace.areas import SwapArea
from swaptrace.engine.policies import POLICIES
from swaptrace.errors import BadInput, UsageProblem
from swaptrace.events import EventFlag, EventKind, FreeReason
from swaptrace.histogram import Survival
from swaptrace.report import command as report
from swaptrace.report.as_json import as_json
from swaptrace.summary.figures import LONGEST_RUN, Bit, Count, Limits
from swaptrace.summary.file import SummaryWriter, is_summary
from swaptrace.summary.plan import Plan
from swaptrace.summary.results import History, result, untold
from swaptrace.summary.state import Late, Maps, collect, leaks_of, look_at_pages, prepare

EPOCH = START - 7_000_000_000_000  # as if the programs had been compiled two hours before the recording
LIMITS = Limits(pages=128, slots=128, areas=6, stores=8, processors=3, epoch=EPOCH, page_size=PAGE_SIZE)


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> NativeSummary:
    return NativeSummary(tmp_path_factory.mktemp("native"), LIMITS)


class Machine(Protocol):
    """The state machine, wherever it runs."""

    maps: Maps

    def reset(self) -> None: ...

    def feed(self, events: np.ndarray) -> None: ...


def summarise(native: Machine, trace: Trace) -> TraceResult:
    """A stream through the state machine: what is there when it begins, the events, and the figures at the end."""
    whole = batch(trace.events).events
    first = next((row for row, event in enumerate(trace.events) if event.kind != EventKind.PRESENT), len(whole))
    native.reset()
    start = header(trace.areas, trace.stores)
    plan = Plan.of(start.start)
    assert plan.fits(LIMITS)
    plan.hold(whole[:first])
    prepare(native.maps, plan, EPOCH)
    native.maps.switch(True)
    native.feed(whole[first:])
    vector = collect(native.maps, plan, plan.left_censored(), trace.end)
    look_at_pages(native.maps, plan, vector)
    figures = vector[0]["areas"]
    times = np.array([trace.end], np.int64)
    history = History(vector, vector, times, figures["slots"][None], figures["bytes"][None])
    return result(start, trailer(trace.end), history, leaks_of(native.maps, plan), epoch=EPOCH)


#: Fields of a result that a summary does not have, or has in seconds.
OTHERWISE = {"policies", "recovered", "leaked", "pool", "series", "slot_map", "lifetime", "time_to_reuse",
             "lifetime_by_reason", "notification", "sizes", "free_path", "duplicate_compr_bytes"}  # fmt: skip
STEPS_BACK = 9000  # ns: how far the imitated kernel's time steps back at most, in at most 140 events


def check_integral(found: Integral, expected: Integral, disturbed: bool) -> None:
    """Equality. Only where events of an area that came moved the store's clock on, and the next one's time stamp steps
    back, do the clocks differ, by as much as time steps back."""
    if not disturbed:
        assert found == expected
        return
    assert (found.end, found.peak) == (expected.end, expected.peak)
    assert abs(found.byte_seconds - expected.byte_seconds) <= 140 * STEPS_BACK / 1e9 * expected.peak


def check_area(found: AreaResult, expected: AreaResult, came: int, disturbed: bool) -> None:
    """Equality, to the last bit. came: how many areas came meanwhile, which a summary does not follow; disturbed: one
    of them to the same store."""
    left_out = OTHERWISE | ({"swap_header", "leaks"} if disturbed else set())
    for name in AreaResult.__dataclass_fields__:
        if name not in left_out | {"failed_writes", "ramzswap"}:
            assert getattr(found, name) == getattr(expected, name), name
    # a summary does not follow writes that fail: what tells of them is the kernel's counter, which is not read here
    assert found.failed_writes is None
    assert found.ramzswap == expected.ramzswap | {"failed_writes": None}
    told = [name for name in POLICIES if name not in untold(came)]
    assert list(found.policies) == told
    for name in told:
        mine, theirs = found.policies[name], expected.policies[name]
        assert mine.stale_slots_end == theirs.stale_slots_end, name
        assert mine.stale_slots_peak == theirs.stale_slots_peak, name
        check_integral(mine.stale_compr_bytes, theirs.stale_compr_bytes, disturbed)
    for name in ("recovered", "leaked"):
        check_integral(getattr(found, name)["compr_bytes"], getattr(expected, name)["compr_bytes"], disturbed)
    check_integral(found.duplicate_compr_bytes, expected.duplicate_compr_bytes, disturbed)
    for name, series in found.series.slots.items():
        assert series[-1] == expected.series.slots[name][-1]
        assert found.series.bytes[name][-1] == expected.series.bytes[name][-1]
    for mine, theirs in (
        (found.lifetime, expected.lifetime),
        (found.time_to_reuse, expected.time_to_reuse),
        (found.notification, expected.notification),
        *((found.lifetime_by_reason[reason], times) for reason, times in expected.lifetime_by_reason.items()),
    ):
        for one, other in zip(astuple(mine), astuple(theirs), strict=True):
            assert np.array_equal(one, other)
    assert np.array_equal(found.sizes, expected.sizes)


def check(native: Machine, trace: Trace) -> None:
    compare(summarise(native, trace), trace)


def compare(found: TraceResult, trace: Trace) -> None:
    """The areas that were on from the start."""
    expected = analyse(trace, [])
    assert found.trace["duration_s"] == expected.trace["duration_s"]
    calls = [event.call for event in trace.events if event.call and event.call.result == 0 and event.call.area]
    came = [call.area for call in calls if call.call == "swapon"]
    plan = Plan.of(header(trace.areas, trace.stores).start)
    assert len(found.areas) == len(trace.areas)
    for area, mine, theirs in zip(trace.areas, found.areas, expected.areas[: len(trace.areas)], strict=True):
        others = [other for other in came if other.store is not None and other.store == area.store]
        pages = [page for other in others for _, page in pages_of(other)]
        if others and max(pages) >= plan.stores["pages"][plan.place_of[area.store]]:
            # pages that the store was not said to have: sizes that an event does not tell are not known
            mine = replace(mine, model=replace(mine.model, compr_data_size=theirs.model.compr_data_size))
        check_area(mine, theirs, len(came), bool(others))


@given(plausible)
@settings(reproducible, max_examples=400)
def test_plausible_streams(native: NativeSummary, trace: Trace) -> None:
    check(native, trace)


OF_A_STORE = (EventKind.STORE, EventKind.DROP, EventKind.NOTIFY, EventKind.LOAD)


def only_what_it_follows(trace: Trace) -> Trace:
    """Without areas on the same pages, areas that come, pages that a store does not have, writes that fail, and entries
    that were there before what came before them."""
    areas: list[SwapArea] = []
    for area in trace.areas:
        if not any(set(pages_of(area)) & set(pages_of(other)) for other in areas):
            areas.append(area)
    came = ("swapon", 0)
    plan = Plan.of(header(areas, trace.stores).start)
    events = [
        event
        for event in trace.events
        if event.kind not in (EventKind.PRESENT, EventKind.FAILED)
        and (not event.call or (event.call.call, event.call.result) != came)
        and (event.kind not in OF_A_STORE or event.slot < plan.stores["pages"][plan.place_of[event.device]])
    ]
    return replace(trace, areas=areas, events=events)


def pages_of(area: SwapArea) -> list[tuple[object, int]]:
    """Which pages of which store its slots are; a disk's are its own."""
    extents = area.extents or ((0, 0, area.slots),)
    place = area.path if area.store is None else area.store
    return [(place, index) for _, first, count in extents for index in range(first, first + count)]


@given(garbage.map(only_what_it_follows))
@settings(reproducible, max_examples=400)
def test_garbage(native: NativeSummary, trace: Trace) -> None:
    check(native, trace)


# ---------------------------------------------------------------------------------------------------------- its file


def written(
    native: NativeSummary, folder: Path, *, close: bool = True, lost: dict[str, int] | None = None
) -> tuple[Path, TraceResult]:
    """A file of three seconds, and what the analysis of the same events says."""
    area = CATALOG[0]
    second = 1_000_000_000
    events = [
        store(START + 10, 0, 3, 1000),
        store(START + second + 10, 0, 4, 500),
        free(START + 2 * second + 10, 0, 3, reason=FreeReason.EXIT),
    ]
    trace = Trace([area], list(STORES), events, START + 3 * second)
    start = header(trace.areas, trace.stores)
    plan = Plan.of(start.start)
    native.reset()
    prepare(native.maps, plan, EPOCH)
    native.maps.switch(True)
    path = folder / "summary"
    writer = SummaryWriter(path, start, EPOCH)
    for number, event in enumerate(events, 1):
        native.feed(batch([event]).events)
        vector = collect(native.maps, plan, plan.left_censored(), START + number * second)
        look_at_pages(native.maps, plan, vector)
        if number < len(events) or not close:
            writer.write(vector)
        else:
            writer.close(vector, replace(trailer(trace.end), lost=lost or {}), leaks_of(native.maps, plan))
    return path, analyse(trace, [])


def test_file_gives_the_same_report(native: NativeSummary, tmp_path: Path) -> None:
    path, expected = written(native, tmp_path)
    found = report.analyse(path)
    assert (found.trace["summary"], found.trace["complete"], found.trace["areas_left_out"]) == (True, True, 0)
    check_area(found.areas[0], expected.areas[0], 0, False)
    series = found.areas[0].series
    assert series.time.tolist() == [1_000_000_000, 2_000_000_000, 3_000_000_000]
    assert series.bytes["live"].tolist() == [1000, 1500, 500]
    assert series.bytes["none"].tolist() == [0, 0, 1000]
    assert as_json(found)["areas"][0].keys() == as_json(expected)["areas"][0].keys()
    assert as_json(found)["trace"].keys() == as_json(expected)["trace"].keys()


@pytest.mark.parametrize("lost", [{}, {"FREE": 1}])
@pytest.mark.parametrize("form", ["text", "json", "html"])
def test_every_report_can_be_made_of_it(native: NativeSummary, tmp_path: Path, form: str, lost: dict[str, int]) -> None:
    path, _ = written(native, tmp_path, lost=lost)
    report.report(path, form, tmp_path / "out", report.Selection())
    assert (tmp_path / "out").exists()


def test_lost_events_make_ranges_of_figures(native: NativeSummary, tmp_path: Path) -> None:
    path, _ = written(native, tmp_path, lost={"FREE": 1})
    (area,) = report.analyse(path).areas
    assert (area.ranges["frees"].low, area.ranges["frees"].high) == (1, 2)
    assert "lifetime_ns" in as_json(report.analyse(path))["areas"][0]["unknown"]


def test_file_that_was_cut_off(native: NativeSummary, tmp_path: Path) -> None:
    """Whatever its length: it is read up to the last whole second, or said not to hold one."""
    path, _ = written(native, tmp_path, close=False)
    whole = path.read_bytes()
    lengths = set()
    for length in range(len(whole) // 2, len(whole), 97):
        path.write_bytes(whole[:length])
        if not is_summary(path):
            continue
        try:
            found = report.analyse(path)
        except BadInput as problem:
            assert "ends before its first second" in problem.what
            continue
        assert not found.trace["complete"]
        lengths.add(len(found.areas[0].series.time))
    assert max(lengths) >= 2


def test_what_needs_events_is_refused(native: NativeSummary, tmp_path: Path) -> None:
    path, _ = written(native, tmp_path)
    for selection in (report.Selection(since=1), report.Selection(until=1), report.Selection(what_ifs=("chain=8",))):
        with pytest.raises(UsageProblem, match="is a summary, without events"):
            report.analyse(path, selection)
    with pytest.raises(UsageProblem, match="has no swap area"):
        report.analyse(path, report.Selection(devices=("/dev/nowhere",)))


def test_a_trace_is_no_summary(tmp_path: Path) -> None:
    nothing = tmp_path / "nothing"
    nothing.write_bytes(b"nothing of the kind")
    assert not is_summary(nothing)
    assert not is_summary(tmp_path)


# -------------------------------------------------------------------------------------------------------- its start


def test_what_happens_while_the_start_is_read(native: NativeSummary) -> None:
    """Entries that come or go meanwhile, before and after the maps are filled; pages that the kernel had first."""
    plan = Plan.of(header([CATALOG[0]], STORES).start)
    present = Event(START, EventKind.PRESENT, 0, 2, 6)
    plan.hold(batch([present]).events)
    dropped = Event(START + 1, EventKind.NOTIFY, 0, 4, size=70, flags=EventFlag.DROPPED)
    plan.correct(batch([dropped, store(START + 2, 0, 9, 300), store(START + 3, 0, 10, 0, EventFlag.GONE)]).events)
    held = np.flatnonzero(plan.pages["bits"][:16] & Bit.OBSERVED).tolist()
    assert held == [2, 3, 5, 6, 7, 9]
    native.reset()
    prepare(native.maps, plan, EPOCH)
    native.maps.switch(True)
    native.feed(batch([free(START + 5, 0, 5)]).events)
    late = [Event(START + 4, EventKind.DROP, 0, 2, size=10), store(START + 4, 0, 11, 55), store(START + 4, 0, 5, 1)]
    more = Late(*plan.correct_late(batch(late).events, native.maps.pages), EPOCH)
    end = START + 1000
    vector = collect(native.maps, plan, plan.left_censored(), end, more)
    look_at_pages(native.maps, plan, vector)
    figures = vector[0]["areas"]
    history = History(vector, vector, np.array([end]), figures["slots"][None], figures["bytes"][None])
    area = result(header([CATALOG[0]], STORES), trailer(end), history, [], epoch=EPOCH).areas[0]
    # 3, 6, 7, 9 and 11; 5 was freed by then, so its late store is left alone
    assert (area.live_slots_end, area.live_compr_bytes_end) == (5, 355)
    assert area.policies["none"].stale_slots_end == 1
    assert area.left_censored == 6
    live = Survival(area.lifetime.ended, area.lifetime.censored)
    assert live.count == 0


def test_slots_beyond_the_longest_run_are_told(tmp_path: Path) -> None:
    """No kernel frees so many at once; if one does, the report says how many were not followed."""
    limits = replace(LIMITS, pages=2000, slots=2000)
    native = NativeSummary(tmp_path, limits)
    area = zram_area("/dev/zram0", 0, 1500, 0)
    plan = Plan.of(header([area], [replace(STORES[0], pages=1500)]).start)
    prepare(native.maps, plan, EPOCH)
    native.maps.switch(True)
    native.feed(batch([free(START + 1, 0, 1, LONGEST_RUN + 88)]).events)
    vector = collect(native.maps, plan, plan.left_censored(), START + 10)
    counts = vector[0]["areas"][0]["counts"]
    assert (counts[Count.FREES], counts[Count.FREES_UNWRITTEN], counts[Count.CUT_OFF]) == (600, 512, 88)
