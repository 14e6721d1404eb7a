"""Where the slots in use are: what the swap map said at the end, joined with what the store holds."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swaptrace.analysis.analysis import Analysis
from swaptrace.areas import Store
from swaptrace.events import EventBatch, EventFlag, EventKind
from swaptrace.in_use import InUse
from swaptrace.report.as_json import as_json
from swaptrace.report.tables import area_tables
from swaptrace.trace.reader import TraceReader
from swaptrace.trace.writer import TraceWriter
from tests.unit.builders import START, Event, batch, free, header, notified_free, store, trailer, zram_area

AREA = zram_area("/mnt/swap", 3, 64, 0, ((0, 8, 16), (16, 40, 24)))  # a file of two pieces
ZRAM = Store(0, "zram0", 64, counters={"pages_stored": 0})
END = START + 1000
CACHED, ZERO = int(EventFlag.CACHED), int(EventFlag.ZERO)

#: Slots 4 to 7 and 20 to 21 are stored; 5 is freed, and its entry stays; 21 is freed, and its entry goes.
EVENTS = [
    *(store(START + 10 + index, 0, index, 100) for index in (12, 13, 14, 15, 44, 45)),
    free(START + 80, 3, 5),
    notified_free(START + 90, 3, 21, 100),
]


def said(slot: int, run: int = 1, flags: int = 0, swap_type: int = 3) -> Event:
    return Event(END, EventKind.IN_USE, swap_type, slot, run, flags=flags)


#: Slot 5 was given out again, for zeros; 6 and 8 are in the swap cache; 9 is zeros and there; 30 and 31 are nowhere.
MAP = [said(4), said(5, 1, ZERO), said(6, 1, CACHED), said(7), said(8, 1, CACHED), said(9, 1, CACHED | ZERO),
       said(20), said(30, 2)]  # fmt: skip
FOUND = InUse(with_entry=4, zero_filled=2, swap_cache=1, elsewhere=2, cached=3)


def analysed(*batches: EventBatch, lost: dict[str, int] | None = None, **how: Any) -> InUse | None:
    return analysis_of(batches, **how).finish(trailer(END, lost=lost or {})).areas[0].in_use


def analysis_of(batches: tuple[EventBatch, ...], **how: Any) -> Analysis:
    analysis = Analysis(header([AREA], [ZRAM]), **how)
    for piece in batches:
        analysis.feed(piece)
    return analysis


def test_each_slot_is_in_one_part() -> None:
    assert analysed(batch(EVENTS), batch(MAP)) == FOUND
    assert FOUND.slots == sum(event.run for event in MAP)


def test_the_map_may_come_with_the_last_events() -> None:
    assert analysed(batch([*EVENTS, *MAP])) == FOUND
    assert analysed(batch(EVENTS), batch(MAP[:3]), batch(MAP[3:])) == FOUND


def test_runs_are_counted_as_their_slots_are() -> None:
    """However the map is cut into runs, and whatever slots are live, it is what a look at each slot finds."""
    rng = np.random.default_rng(3)
    for _ in range(50):
        flags = rng.choice([-1, 0, CACHED, ZERO, CACHED | ZERO], 40)
        live = np.flatnonzero(rng.integers(0, 2, 40))
        ours = [said(slot, 1, int(flag)) for slot, flag in enumerate(flags) if flag >= 0]
        runs = list(ours)
        for place in range(len(runs) - 1, 0, -1):  # some of those that go together are put together
            one, other = runs[place - 1], runs[place]
            if one.slot + one.run == other.slot and one.flags == other.flags and rng.integers(0, 2):
                runs[place - 1 : place + 1] = [one._replace(run=one.run + other.run)]
        stores = [
            store(START + 1 + n, 0, int(8 + slot if slot < 16 else 24 + slot), 100) for n, slot in enumerate(live)
        ]
        parts = {"with_entry": 0, "zero_filled": 0, "swap_cache": 0, "elsewhere": 0, "cached": 0}
        for event in ours:
            parts["cached"] += bool(event.flags & CACHED)
            if event.slot in live and event.slot:  # slot 0 is mkswap's own page, and never live
                parts["with_entry"] += 1
            elif event.flags & ZERO:
                parts["zero_filled"] += 1
            elif event.flags & CACHED:
                parts["swap_cache"] += 1
            else:
                parts["elsewhere"] += 1
        found = analysed(batch(stores), batch(runs))
        assert (asdict(found) if found else dict.fromkeys(parts, 0)) == parts


@pytest.mark.parametrize("how", [{"until": END + 5}, {"until": START + 50}], ids=str)
def test_a_part_of_a_recording_has_none(how: dict[str, int]) -> None:
    assert analysed(batch(EVENTS), batch(MAP), **how) is None


def test_what_was_before_makes_no_difference() -> None:
    assert analysed(batch(EVENTS), batch(MAP), since=START + 50) == FOUND


def test_no_map_no_figure() -> None:
    assert analysed(batch(EVENTS)) is None
    assert analysed(batch(EVENTS), batch([said(4, swap_type=1)])) is None


def test_it_is_no_event() -> None:
    analysis = analysis_of((batch(EVENTS), batch(MAP)))
    assert analysis.finish(trailer(END)).trace["events"] == len(EVENTS)


def test_in_json_and_in_the_table() -> None:
    result = analysis_of((batch(EVENTS), batch(MAP))).finish(trailer(END))
    assert as_json(result)["areas"][0]["in_use"] == asdict(FOUND)
    (table,) = (table for table in area_tables(result.areas[0], 1) if table.name == "in-use")
    assert table.rows == {
        "with an entry in the store": ["4", "44 %"],
        "zero-filled pages, without an entry": ["2", "22 %"],
        "only in the swap cache": ["1", "11 %"],
        "on the disk, or allocated and never written": ["2", "22 %"],
    }
    assert table.note == "3 of the 9 slots in use have their page in the swap cache."


def test_if_events_were_lost_it_is_not_known() -> None:
    result = analysis_of((batch(EVENTS), batch(MAP))).finish(trailer(END, lost={"STORE": 1}))
    area = as_json(result)["areas"][0]
    assert area["in_use"] is None
    assert "STORE" in area["unknown"]["in_use"]


def test_through_a_file(tmp_path: Path) -> None:
    writer = TraceWriter(tmp_path / "trace", header([AREA], [ZRAM]))
    for piece in (batch(EVENTS), batch(MAP)):
        writer.feed(piece)
    writer.close(trailer(END))
    assert analysed(*TraceReader(tmp_path / "trace")) == FOUND


@pytest.mark.parametrize(
    ("events", "why"),
    [
        ([said(4, 60), said(10, 1)], "tells of a slot twice"),
        ([said(10), said(4)], "tells of a slot twice"),
        ([said(60, 5)], "an area that there is not"),
        ([said(4, swap_type=32)], "an area that there is not"),
        ([said(4), EVENTS[0]], "after the end of what was recorded"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_no_swap_map_says_ends_the_trace(tmp_path: Path, events: list[Event], why: str) -> None:
    for cut in range(1, len(events) + 1):  # in one batch, and in two
        writer = TraceWriter(tmp_path / f"trace{cut}", header([AREA], [ZRAM]))
        for piece in (events[:cut], events[cut:]):
            writer.feed(batch(piece))
            writer.flush()
        writer.close(trailer(END))
        reader = TraceReader(tmp_path / f"trace{cut}")
        list(reader)
        assert why in str(reader.damage)
