"""What the engine's parts agree on: constants for the C compiler, rows by store, results amid a recording."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from builders import START, Event, batch, free, header, store, zram_area

import swaptrace.engine
from swaptrace.analysis.analysis import Analysis
from swaptrace.areas import Store
from swaptrace.engine.constants import as_pxd, as_stub
from swaptrace.engine.records import EventRecords
from swaptrace.engine.survey import partition, routes
from swaptrace.engine.zsmalloc import geometry
from swaptrace.events import EventKind

POOL = {"pages_per_zspage": geometry().arrays.classes["pages_per_zspage"].tolist(), "fullness_rule": "TENTHS"}


def test_constants_of_the_c_compiler_are_those_of_the_enums() -> None:
    """And mypy's: `python -m swaptrace.engine.constants` writes both."""
    package = Path(swaptrace.engine.__file__).parent
    stubs = package.parents[1] / "stubs/cython/cimports/swaptrace/engine"
    assert package.joinpath("constants.pxd").read_text() == as_pxd()
    assert stubs.joinpath("constants.pyi").read_text() == as_stub()


def test_each_event_goes_to_the_store_that_it_is_about() -> None:
    """By store, or by swap type, which are different numbers; some are about neither."""
    events = batch(
        [
            store(1, 1, 5, 100),  # of store 1, which is part 0
            free(2, 1, 5),  # of swap type 1, which is part 1
            free(3, 0, 5),  # of swap type 0: part 0
            store(4, 2, 5, 100),  # of a store that is nobody's
            Event(5, EventKind.SWAPON, 1, 0),  # of none
            Event(6, EventKind.RESET, 3, 0),
            Event(7, EventKind.ALLOC, 1, 7),
            Event(8, EventKind.DISCARD, 1, 7),
        ]
    ).events
    parts = partition(EventRecords(events), routes({1: 0, 3: 2}, {0: 0, 1: 1}), 4)
    assert [times(part) for part in parts] == [[1, 3], [2, 7], [6], []]
    assert [times(part) for part in partition(EventRecords(events[:0]), routes({}, {}), 1)] == [[]]


def test_a_batch_of_one_store_is_not_copied() -> None:
    events = batch([store(1, 1, 5, 100), free(2, 1, 5)]).events
    none, all_of_it = partition(EventRecords(events), routes({1: 1}, {1: 1}), 2)
    assert (times(none), times(all_of_it)) == ([], [1, 2])
    assert np.shares_memory(all_of_it.array, events)


def times(events: EventRecords) -> list[int]:
    time: list[int] = events.array["time"].tolist()
    return time


def churn(stores: int, rounds: int) -> list[Event]:
    """Slots of several stores that are stored, freed and stored again."""
    random = np.random.default_rng(7)
    events, used = [], set()
    for step in range(rounds):
        number, slot = int(random.integers(stores)), int(random.integers(1, 64))
        time = START + 1000 * step + int(random.integers(-1500, 1500))  # may step back
        if (number, slot) in used and random.integers(2):
            used.remove((number, slot))
            events.append(free(time, number, slot))
        else:
            used.add((number, slot))
            events.append(store(time, number, slot, int(random.integers(100, 4000))))
    return events


def analysis_of(stores: int, **options: int) -> Analysis:
    areas = [zram_area(f"/dev/zram{number}", number, 64, number) for number in range(stores)]
    known = [Store(number, f"zram{number}", 64) for number in range(stores)]
    return Analysis(header(areas, known, zsmalloc=POOL), **options)


@pytest.mark.parametrize("options", [{}, {"threads": 2}, {"since": START + 1_500_000}])
def test_results_in_the_middle_change_nothing(options: dict[str, int]) -> None:
    """And are what a recording that ended there would have given."""
    from test_replay import plain

    events = churn(3, 2000)
    pieces = [events[begin : begin + 250] for begin in range(0, len(events), 250)]
    asked, whole = analysis_of(3, **options), analysis_of(3, **options)
    for number, piece in enumerate(pieces):
        asked.feed(batch(piece))
        whole.feed(batch(piece))
        until_here = analysis_of(3, **options)
        for before in pieces[: number + 1]:
            until_here.feed(batch(before))
        assert plain(asked.results()) == plain(until_here.results())
    assert asked.results().areas[0].policies["none"].stale_slots_end > 0
    assert plain(asked.results()) == plain(whole.results())


def test_what_one_store_has_is_the_same_beside_others() -> None:
    from test_replay import plain

    events = churn(4, 2000)
    together = analysis_of(4)
    together.feed(batch(events))
    first = together.results().areas[0]
    end = max(event.time for event in events)
    alone = analysis_of(1)
    alone.feed(batch([event for event in events if event.device == 0] + [store(end, 9, 0, 1)]))
    assert plain(alone.results().areas[0]) == plain(first)
