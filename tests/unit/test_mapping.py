"""Slots and store indexes, in both directions; and the first look at a batch."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from builders import Event, batch, free, store, zram_area

from swaptrace.areas import SwapArea
from swaptrace.engine import mapping
from swaptrace.engine.records import EventRecords
from swaptrace.engine.survey import Surveyor
from swaptrace.engine.worker import Worker, ahead, cores
from swaptrace.events import EventKind

# Slots 0 to 3 are pages 10 to 13, slots 4 to 9 are pages 20 to 25, and slots 10 and 11 are page 3 and 4.
FILE = zram_area("/mnt/swap", 3, 12, 0, ((0, 10, 4), (4, 20, 6), (10, 3, 2)))
PLACES = {0: 10, 1: 11, 2: 12, 3: 13, 4: 20, 5: 21, 6: 22, 7: 23, 8: 24, 9: 25, 10: 3, 11: 4}


def test_each_slot_has_its_page_and_the_page_its_slot() -> None:
    pages = mapping.add_area(mapping.empty_map(0, 16, 4096), FILE, 7)
    assert (pages.store, pages.page_size) == (0, 4096)
    for slot, page in PLACES.items():
        last = max(s for s in PLACES if PLACES[s] - s == page - slot and s >= slot)
        assert mapping.Places(pages).index_of(7, slot) == (page, last - slot + 1)
        assert mapping.Places(pages).slot_of(7, page) == slot
    assert mapping.Places(pages).index_of(7, 12) == (-1, 1)
    assert mapping.Places(pages).index_of(7, -1) == (-1, 1)
    assert mapping.Places(pages).index_of(6, 0) == (-1, 1)


def test_a_map_has_no_page_that_there_is_no_room_for() -> None:
    pages = mapping.add_area(mapping.empty_map(0, 16, 4096), FILE, 7)
    assert owners(pages) == _owners()[:16]
    assert [mapping.end_of(pages, 7, slot) for slot in (0, 1, 4, 5, 12, 99)] == [0, 11, 14, 21, 26, 26]


def test_a_map_grows_for_the_area_and_no_other_page_is_its() -> None:
    pages = mapping.grow_map(mapping.add_area(mapping.empty_map(0, 16, 4096), FILE, 7), 26)
    assert owners(pages) == _owners()
    assert [mapping.Places(pages).slot_of(7, page) for page in PLACES.values()] == list(PLACES)
    every = np.arange(26)
    assert mapping.slots_at(pages, 7, every).tolist() == [mapping.Places(pages).slot_of(7, page) for page in every]
    assert pages.type_area.tolist() == [7 if number == 3 else mapping.NO_AREA for number in range(32)]


def _owners() -> list[int]:
    """Of the pages that FILE, as area 7, needs."""
    expected = [7 if page in PLACES.values() else mapping.NOBODY for page in range(26)]
    expected[10] = mapping.HEADER
    return expected


def owners(pages: mapping.PageMap) -> list[int]:
    """Whose each page is."""
    return [int(mapping.owner_of(pages, page)) for page in range(len(pages.owner))]


@pytest.mark.parametrize(("count", "length"), [(15, 16), (16, 16), (17, 17), (40, 40)])
def test_growing(count: int, length: int) -> None:
    pages = mapping.add_area(mapping.empty_map(0, 16, 4096), zram_area("/dev/zram0", 0, 16, 0), 1)
    grown = mapping.grow_map(pages, count)
    assert (grown is pages) == (count <= 16)  # nothing is copied that has room
    assert len(grown.owner) == length
    assert owners(grown)[:16] == owners(pages)
    assert owners(grown)[16:] == [mapping.NOBODY] * (length - 16)
    assert grown.owner.dtype == np.uint8


def test_it_does_not_matter_when_a_map_grows() -> None:
    """Areas may say that they are the same pages: the latest one has them, and nobody when that is off."""
    whole, other = zram_area("/dev/zram0", 0, 24, 0), zram_area("/mnt/swap", 4, 8, 0, ((0, 14, 8),))

    def outlines(room: int, grown_after: int) -> list[list[int]]:
        pages, seen = mapping.empty_map(0, room, 4096), []
        for step in range(6):
            if step < 4:
                areas = (FILE, 1), (whole, 2), (other, 4), (FILE, 7)
                pages = mapping.add_area(pages, *areas[step])
            else:
                pages = mapping.remove_area(pages, (other, FILE)[step - 4])
            if step >= grown_after:
                pages = mapping.grow_map(pages, 26)
                seen.append(owners(pages))
        return seen

    eager = outlines(26, 0)
    for grown_after in range(6):
        for room in (0, 8, 16, 20):
            assert outlines(room, grown_after) == eager[grown_after:]
    assert eager[-1][14:22] == [mapping.HEADER, *[mapping.NOBODY] * 7]


def test_the_next_area_takes_the_pages_and_the_one_before_still_knows_its_slots() -> None:
    pages = mapping.add_area(mapping.empty_map(0, 32, 4096), FILE, 7)
    pages = mapping.remove_area(pages, FILE)
    assert 7 not in owners(pages)
    assert (pages.type_area == mapping.NO_AREA).all()
    assert owners(pages)[10] == mapping.HEADER  # mkswap's, until something else is there
    pages = mapping.add_area(pages, zram_area("/dev/zram0", 3, 32, 0), 2)
    assert mapping.Places(pages).slot_of(2, 21) == 21
    assert mapping.Places(pages).slot_of(7, 21) == 5
    assert mapping.Places(pages).slot_of(7, 4) == 11
    assert mapping.Places(pages).slot_of(7, 5) == 0  # not one of its pages
    assert mapping.Places(pages).index_of(7, 5) == (21, 5)
    assert pages.extents[:, 0].tolist() == [2, 7, 7, 7]
    assert pages.extents[1:, 1].tolist() == [0, 4, 10]


def test_only_the_area_that_is_off_gives_up_its_pages() -> None:
    one, two = zram_area("/one", 0, 4, 0, ((0, 0, 4),)), zram_area("/two", 1, 4, 0, ((0, 4, 4),))
    pages = mapping.add_area(mapping.add_area(mapping.empty_map(0, 8, 4096), one, 0), two, 1)
    pages = mapping.remove_area(pages, one)
    assert owners(pages) == [mapping.HEADER, *[mapping.NOBODY] * 3, mapping.HEADER, 1, 1, 1]
    assert pages.type_area[:3].tolist() == [mapping.NO_AREA, 1, mapping.NO_AREA]


def test_a_disk_is_its_own_offsets() -> None:
    assert mapping.extents_of(SwapArea("/dev/sda2", 0, -2, 9)) == ((0, 0, 9),)
    assert mapping.extents_of(FILE) == FILE.extents


# -- survey


def test_survey() -> None:
    """The page behind the last one that is touched, by store; frees and allocations are about no store."""
    events = [
        free(5, 0, 900, run=7),
        Event(6, EventKind.ALLOC, 1, 1000, 3),
        store(9, 2, 40, 100),
        Event(8, EventKind.LOAD, 2, 10, 4),
        Event(7, EventKind.PRESENT, 3, 100, 50),
        Event(7, EventKind.DROP, 0xFFFF, 0),
        Event(7, EventKind.NOTIFY, 0xFF00, 1),
        Event(7, EventKind.MOVED, 5, 2),
        Event(7, EventKind.RESET, 6, 77, 0),
        store(7, 7, 5, 0),
        Event(7, EventKind.RESET, 7, 0, 0),
    ]
    surveyor = Surveyor()
    for _ in range(2):  # a batch knows nothing of the one before
        found = surveyor.survey(EventRecords(batch(events).events))
        assert list(found.ends.items()) == [(2, 41), (3, 150), (5, 3), (6, 0), (7, 6), (0xFF00, 2), (0xFFFF, 1)]
        assert (found.slots, found.last) == (sum(event.run for event in events), 9)
        assert (found.slot_ends[0], found.slot_ends[1], found.slot_ends.sum()) == (907, 1003, 1910)
    found = surveyor.survey(EventRecords(batch([]).events))
    assert (found.ends, found.slots, found.last, found.slot_ends.any()) == ({}, 0, 0, False)


# -- work beside the caller's


@pytest.mark.parametrize("threaded", [False, True])
def test_worker(threaded: bool) -> None:
    """One task after the other, in another thread if it has one; what a task raises comes out of the next wait."""
    worker, done = Worker(threaded), []

    def task(*arguments: object) -> None:
        done.append((arguments, threading.current_thread() is not threading.main_thread()))

    def fails() -> None:
        raise ValueError("no")

    worker.wait()
    worker.start(task, 1, "a")
    worker.start(task, 2)
    worker.wait()
    assert done == [((1, "a"), threaded), ((2,), threaded)]

    def both() -> None:
        worker.start(fails)
        worker.wait()

    with pytest.raises(ValueError, match="no"):
        both()
    worker.wait()  # said once is enough


def test_a_worker_waits_for_the_task_before() -> None:
    worker, may_end, order = Worker(True), threading.Event(), []

    def slow() -> None:
        may_end.wait(10)
        order.append("slow")

    worker.start(slow)
    assert order == []
    threading.Timer(0.05, may_end.set).start()
    worker.start(order.append, "next")
    assert order[0] == "slow"
    worker.wait()
    assert order == ["slow", "next"]


def test_ahead_makes_one_item_while_another_is_used() -> None:
    made = []

    def items():  # type: ignore[no-untyped-def]
        for number in range(4):
            made.append((number, threading.current_thread().name))
            yield number

    used = []
    for item in ahead(items()):
        used.append(item)
        assert len(made) <= item + 2  # never more than one ahead
    assert used == [0, 1, 2, 3]
    assert all(name.startswith("swaptrace-ahead") for _, name in made)
    assert list(ahead(iter([]))) == []


def test_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {3, 5, 9} if process == 0 else set())
    assert cores() == 3
