"""Slot frees that are under way where a recording is cut: no cut makes a leak of them, or counts one of them twice."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from swaptrace.analysis import analysis as analysis_module
from swaptrace.analysis import underway
from swaptrace.analysis.analysis import Analysis
from swaptrace.areas import Store
from swaptrace.events import EventBatch, EventFlag, EventKind
from swaptrace.report import tables, words
from swaptrace.report.as_json import as_json
from swaptrace.results.results import TraceResult
from swaptrace.trace.header import Header
from swaptrace.trace.reader import TraceReader
from tests.unit.builders import (
    START,
    Event,
    batch,
    batches,
    free,
    header,
    notified_free,
    store,
    swap_call,
    trailer,
    zram_area,
)
from tests.unit.fixtures import DATA, KERNELS, TRACE

AREA = zram_area("/dev/zram0", 0, 64, 0)
ON_A_FILE = zram_area("/mnt/swap", 0, 64, 0, ((0, 8, 40),))
ZRAM = Store(0, "zram0", 64, counters={"pages_stored": 0})
COUNTS = ("stores", "loads", "frees", "frees_unwritten", "notify_free", "miss_free", "discarded", "moved")


def notify(time: int, page: int, size: int, flags: int = EventFlag.DROPPED) -> Event:
    return Event(time, EventKind.NOTIFY, 0, page, size=size, arg=3, flags=flags)


#: Two clusters of four slots are freed, each slot's notification a moment later.
STORED = [store(START + 10 + slot, 0, slot, 100 * slot) for slot in range(4, 12)]
FREED = [
    free(START + 30, 0, 4, 4),
    *(notify(START + 31 + n, 4 + n, 400 + 100 * n) for n in range(4)),
    free(START + 40, 0, 8, 4),
    *(notify(START + 41 + n, 8 + n, 800 + 100 * n) for n in range(4)),
]


def analysed(events: list[Event], cuts: tuple[int, ...] = (), area: Any = AREA, **how: Any) -> Analysis:
    analysis = Analysis(header([area], [ZRAM]), **how)
    for piece in batches(events, cuts):
        analysis.feed(piece)
    return analysis


@pytest.mark.parametrize("name", KERNELS)
def test_no_cut_of_a_real_trace_makes_a_leak(name: str) -> None:
    """As often as there are slots whose free and notification have something between them: cut right there."""
    reader = TraceReader(DATA / name / TRACE)
    events = EventBatch.concatenate(list(reader))
    whole = counted(_cut(reader.header, events).finish(reader.trailer))
    for moment in _moments(events):
        before = _cut(reader.header, events, until=moment).finish(reader.trailer)
        after = _cut(reader.header, events, since=moment).finish(reader.trailer)
        for area in before.areas:
            if area.device == "/dev/zram0":
                assert area.leaks == [] and area.notified
                assert area.leaked["compr_bytes"] is not None and area.leaked["compr_bytes"].end == 0
        assert {key: counted(before).get(key, 0) + counted(after)[key] for key in whole} == whole


def _cut(header: Header, events: EventBatch, **how: int) -> Analysis:
    analysis = Analysis(header, **how)
    analysis.feed(events)
    return analysis


def _moments(events: EventBatch) -> list[int]:
    """Of notifications in the middle of a free: of the largest ones, and of some others."""
    kinds, times = events.events["kind"], events.events["time"]
    frees = np.flatnonzero(kinds[:-2] == EventKind.FREE)
    frees = frees[(kinds[frees + 1] == EventKind.NOTIFY) & (times[frees] < times[frees + 1])]
    runs = events.events["run"][frees]
    chosen = {*frees[np.argsort(runs, kind="stable")[-2:]], *frees[:: max(len(frees) // 2, 1)]}
    rows = [row + (2 if events.events["run"][row] > 1 else 1) for row in sorted(chosen)]
    return [int(times[row]) for row in rows]


def counted(result: TraceResult) -> dict[tuple[int, int, str], int]:
    return {(area.swap_type, area.generation, name): getattr(area, name) for area in result.areas for name in COUNTS}


@pytest.mark.parametrize("moment", range(29, 46))
@pytest.mark.parametrize("cuts", [(), (10,), (11, 12), tuple(range(18))])
def test_a_free_belongs_to_the_part_in_which_it_began(moment: int, cuts: tuple[int, ...]) -> None:
    """Wherever the batches end. The report until then and the one from then on add up to the whole one."""
    events, at = [*STORED, *FREED], START + moment
    whole = analysed(events, cuts).finish(trailer(START + 100))
    before = analysed(events, cuts, until=at).finish(trailer(START + 100))
    after = analysed(events, cuts, since=at).finish(trailer(START + 100))
    begun = sum(event.time < at for event in FREED if event.kind == EventKind.FREE)
    assert before.areas[0].frees == before.areas[0].notify_free == 4 * begun
    assert before.areas[0].leaks == [] and before.areas[0].model.pages_stored == 8 - 4 * begun
    assert {key: value + counted(after)[key] for key, value in counted(before).items()} == counted(whole)
    assert before.trace["events"] + after.trace["events"] == whole.trace["events"]
    assert after.areas[0].policies["observed"].stale_slots_end == 0
    # nothing of what was over by then is stale for a moment in the later part
    assert after.areas[0].policies["observed"].stale_slots_peak == (4 if begun < 2 else 0)


def test_what_comes_after_a_cut_takes_no_time_before_it() -> None:
    (area,) = analysed([*STORED, *FREED], until=START + 32).finish(trailer(START + 100)).areas
    stale = area.policies["observed"].stale_compr_bytes
    assert round(stale.byte_seconds * 1e9) == 2 * (400 + 500 + 600 + 700) - 400 and stale.end == 0


@pytest.mark.parametrize("rows", range(8, 19))
@pytest.mark.parametrize("until", [None, START + 90])
def test_without_what_comes_next(rows: int, until: int | None) -> None:
    """A recorder that was killed, a loop that takes results meanwhile: what leaked is not known, unless all is over."""
    analysis = analysed([*STORED, *FREED][:rows], until=until)
    result = analysis.results()
    (area,) = result.areas
    waiting = {9: 4, 10: 3, 11: 2, 12: 1, 14: 4, 15: 3, 16: 2, 17: 1}.get(rows, 0)
    told = as_json(result)["areas"][0]
    assert area.leaks == [] and area.notified and area.under_way == waiting
    assert (told["leaked"]["compr_bytes"] is None) == ("leaked.compr_bytes" in told["unknown"]) == (waiting > 0)
    assert "leaked.pool_bytes" in told["unknown"] or not waiting
    assert "missed" not in words.headline(area)
    assert not any("not known" in why for why in words.warnings(result)) or waiting
    analysis.feed(batch([*STORED, *FREED][rows:]))
    assert as_json(analysis.results()) == as_json(analysed([*STORED, *FREED], until=until).results())


def test_a_free_that_is_over_leaked() -> None:
    """Its cluster had another one since; or its notification came, and found the entry locked."""
    events = [*STORED, free(START + 30, 0, 4), free(START + 31, 0, 5), notify(START + 32, 5, 500)]
    (area,) = analysed(events).results().areas
    assert [(leak.slot, leak.why) for leak in area.leaks] == [(4, "not notified")] and area.under_way == 0
    (area,) = analysed([*events, free(START + 33, 0, 6)]).results().areas
    assert [leak.slot for leak in area.leaks] == [4] and area.under_way == 1
    assert "1 slot leaked" in str(tables.recovered_table(area, None))
    missed = [*STORED, free(START + 30, 0, 4), notify(START + 31, 4, 0, EventFlag.MISSED)]
    (area,) = analysed(missed).results().areas
    assert [(leak.slot, leak.why) for leak in area.leaks] == [(4, "missed")] and area.under_way == 0


def test_an_area_that_is_told_of_nothing_leaks() -> None:
    """A file on a store: no notification is to come, of the last free of a cluster neither."""
    events = [store(START + 10, 0, 12, 100), free(START + 30, 0, 4)]
    (area,) = analysed(events, area=ON_A_FILE).results().areas
    assert [(leak.slot, leak.why) for leak in area.leaks] == [(4, "not notified")] and not area.notified
    (area,) = analysed([*events, store(START + 40, 0, 12, 50)], until=START + 35, area=ON_A_FILE).results().areas
    assert [leak.slot for leak in area.leaks] == [4]


def test_one_notification_tells_that_others_may_come() -> None:
    """Of an area that seems to get none, a file's; at most so many leaks are told one by one."""
    events = [
        *(store(START + 10 + slot, 0, 8 + slot, 100) for slot in (4, 5, 6)),
        free(START + 30, 0, 4),
        notify(START + 31, 12, 100),
        free(START + 40, 0, 8),
        free(START + 41, 0, 5),
    ]
    (area,) = analysed(events, area=ON_A_FILE).results().areas
    assert area.notify_free == 1 and area.under_way == 1 and area.leaks == []
    without = [event for event in events if event.kind != EventKind.NOTIFY]
    (area,) = analysed(without, area=ON_A_FILE).results().areas
    assert area.notify_free == area.under_way == 0 and [leak.slot for leak in area.leaks] == [4, 5]


def test_leaks_that_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first ones; 1000 as a rule."""
    assert analysis_module.MOST_LEAKS == 1000
    monkeypatch.setattr(analysis_module, "MOST_LEAKS", 2)
    events = [store(START + slot, 0, 8 + slot, 100) for slot in (4, 5, 6)]
    events += [free(START + 50 - slot, 0, slot) for slot in (4, 5, 6)]
    (area,) = analysed(events, area=ON_A_FILE).finish(trailer(START + 60)).areas
    assert [leak.slot for leak in area.leaks] == [6, 5]


def test_leaks_are_dated_from_the_start_of_the_recording() -> None:
    """Those that are older than `since`, too: none was freed before the start."""
    events = [store(START + 10, 0, 12, 100), free(START + 30, 0, 4), store(START + 90, 0, 14, 100)]
    for since in (None, START + 20, START + 60):
        (area,) = analysed(events, area=ON_A_FILE, since=since).finish(trailer(START + 100)).areas
        assert [(leak.slot, leak.since) for leak in area.leaks] == [(4, 30)]


def test_a_slot_that_is_written_again_leaked_until_then() -> None:
    """What comes next about its entry is no notification of that free."""
    again = [store(START + 40, 0, 4, 50), free(START + 50, 0, 4), notify(START + 51, 4, 50)]
    events = [*STORED, free(START + 30, 0, 4), *again]
    (area,) = analysed(events, until=START + 35).finish(trailer(START + 100)).areas
    assert [(leak.slot, leak.why) for leak in area.leaks] == [(4, "not notified")]
    assert area.notify_free == 0 and area.frees == 1


def test_notifications_that_do_not_come_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is more than so many events held back for them."""
    monkeypatch.setattr(underway, "MOST_EVENTS", 3)
    others = [store(START + 40 + slot, 0, slot, 50) for slot in (20, 21, 22)]
    late = [*STORED, free(START + 30, 0, 4), *others, notify(START + 60, 4, 400)]
    (area,) = analysed(late, until=START + 35).results().areas
    assert [leak.slot for leak in area.leaks] == [4] and area.under_way == 0
    for cuts in ((), tuple(range(len(late)))):
        (area,) = analysed(late, cuts, since=START + 35).results().areas
        assert (area.notify_free, area.stores, area.frees) == (1, 3, 0)


def test_swapoff_frees_are_over() -> None:
    """Whoever is off by then is told of nothing more."""
    events = [*STORED, *(free(START + 30, 0, slot) for slot in (4, 8)), swap_call(START + 40, "swapoff", AREA)]
    (area,) = analysed(events).results().areas
    assert [leak.slot for leak in area.leaks] == [4, 8] and area.under_way == 0


def completion(pages: dict[int, list[int]]) -> underway.Completion:
    return underway.Completion(START + 100, {store: np.array(found, np.int64) for store, found in pages.items()})


def test_notifications_of_other_stores_are_others() -> None:
    """The same page of another store, and another page of the same store."""
    looks = completion({1: [5], 2: [7]})
    events = [
        Event(START + 200, EventKind.NOTIFY, device, page, flags=EventFlag.DROPPED)
        for device, page in ((1, 7), (2, 5), (1, 5), (2, 7))
    ]
    taken, left = looks.split(batch(events))
    assert [(int(e["device"]), int(e["slot"])) for e in taken.events] == [(1, 5), (2, 7)]
    assert taken.events["time"].tolist() == [START + 100] * 2
    assert [(int(e["device"]), int(e["slot"])) for e in left.events] == [(1, 7), (2, 5)]
    assert looks.over


def test_how_long_a_notification_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(underway, "MOST_EVENTS", 3)
    assert completion({}).over and completion({1: []}).over
    looks = completion({0: [5]})
    other, wanted = store(START + 200, 0, 9, 100), notify(START + 201, 5, 100)
    assert not looks.over
    assert len(looks.split(batch([other, other]))[0]) == 0 and not looks.over
    assert len(looks.split(batch([other, wanted]))[0]) == 0  # the fourth
    assert looks.over
    late = completion({0: [5]})
    assert len(late.split(batch([other, other, wanted]))[0]) == 1


def test_free_that_tells_of_its_notification_is_cut_by_nothing() -> None:
    """There is nothing to wait for: where it is, its notification is."""
    events = [*STORED, *(notified_free(START + 30 + slot, 0, slot, 100 * slot) for slot in range(4, 12))]
    whole = counted(analysed(events).finish(trailer(START + 60)))
    for moment in range(START + 29, START + 43):
        before = analysed(events, until=moment).finish(None)
        after = analysed(events, since=moment).finish(trailer(START + 60))
        assert before.areas[0].leaks == after.areas[0].leaks == [] and not before.areas[0].under_way
        assert {name: counted(before)[name] + counted(after)[name] for name in whole} == whole
