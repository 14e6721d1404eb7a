"""The kernel's state machine of `record --summary` against the analysis of the same events: the same figures.

The machine is compiled for this processor (native_summary.py), and its figures go the same way as the kernel's: from
the maps to a vector, and from that to results.
"""

from __future__ import annotations

from dataclasses import astuple, replace

import numpy as np
import pytest
from builders import PAGE_SIZE, START, batch, header, trailer
from hypothesis import given, settings
from native_summary import NativeSummary
from test_replay import Trace, analyse, garbage, plausible, reproducible

from swaptrace.analysis.results import AreaResult, Integral, TraceResult
from swaptrace.areas import SwapArea
from swaptrace.events import EventKind
from swaptrace.store.replay import POLICIES
from swaptrace.summary.figures import Limits
from swaptrace.summary.plan import Plan
from swaptrace.summary.results import History, result, untold
from swaptrace.summary.state import collect, leaks_of, look_at_pages, prepare

EPOCH = START - 7_000_000_000_000  # as if the programs had been compiled two hours before the recording
LIMITS = Limits(pages=128, slots=128, areas=6, stores=8, processors=3, epoch=EPOCH, page_size=PAGE_SIZE)


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> NativeSummary:
    return NativeSummary(tmp_path_factory.mktemp("native"), LIMITS)


def summarise(native: NativeSummary, trace: Trace) -> TraceResult:
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
        if name not in left_out:
            assert getattr(found, name) == getattr(expected, name), name
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


def check(native: NativeSummary, trace: Trace) -> None:
    """The areas that were on from the start."""
    found, expected = summarise(native, trace), analyse(trace, [])
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
    """Without areas on the same pages, areas that come, pages that a store does not have, and entries that were there
    before what came before them."""
    areas: list[SwapArea] = []
    for area in trace.areas:
        if not any(set(pages_of(area)) & set(pages_of(other)) for other in areas):
            areas.append(area)
    came = ("swapon", 0)
    plan = Plan.of(header(areas, trace.stores).start)
    events = [
        event
        for event in trace.events
        if event.kind != EventKind.PRESENT
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
