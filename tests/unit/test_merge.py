"""What is counted of two ranges of slots, each for itself, adds up to what is counted of all: results merge."""

from __future__ import annotations

from functools import reduce
from itertools import pairwise

import numpy as np
from builders import PAGE_SIZE, of_store, zram_area
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from swaptrace.engine import clock, mapping
from swaptrace.engine.counters import COUNTS
from swaptrace.engine.lifetimes import Lifetimes
from swaptrace.engine.mapping import Places
from swaptrace.engine.policies import LIVE, QUANTITIES
from swaptrace.engine.records import EventRecords
from swaptrace.engine.replay import Replay
from swaptrace.engine.survey import TYPES
from swaptrace.engine.worker import Worker
from swaptrace.events import EventFlag, EventKind, FreeReason, empty
from swaptrace.histogram import Histogram, Survival

SLOTS = 64
END = 10_000_000
KINDS = [EventKind.STORE, EventKind.STORE, EventKind.FREE, EventKind.FREE, EventKind.LOAD, EventKind.NOTIFY]
PAGES = mapping.add_area(mapping.empty_map(0, SLOTS, PAGE_SIZE), zram_area("/dev/zram0", 0, SLOTS, 0), 0)


def events(seed: int) -> NDArray[np.void]:
    """Many of them, each of one slot."""
    random = np.random.default_rng(seed)
    made = empty(2000)
    made["time"] = np.sort(random.integers(0, END, len(made)))
    made["slot"], made["run"] = random.integers(1, SLOTS, len(made)), 1
    made["kind"] = random.choice(KINDS, len(made))
    made["size"] = random.integers(1, PAGE_SIZE, len(made))
    made["arg"] = random.integers(0, 5000, len(made))
    freed, notified = made["kind"] == EventKind.FREE, made["kind"] == EventKind.NOTIFY
    made["reason"][freed] = random.integers(0, len(FreeReason), freed.sum()) + 1
    made["flags"][notified] = np.where(random.integers(0, 2, notified.sum()), EventFlag.DROPPED, 0) | EventFlag.TIMED
    return made


def ranges(made: NDArray[np.void], cuts: list[int]) -> list[NDArray[np.void]]:
    bounds = [0, *sorted(cuts), SLOTS]
    return [made[(made["slot"] >= low) & (made["slot"] < high)] for low, high in pairwise(bounds)]


def lifetimes(made: NDArray[np.void]) -> Lifetimes:
    lives = Lifetimes(SLOTS, PAGE_SIZE)
    lives.add_area(PAGES)
    events = EventRecords(made)
    lives.advance(of_store(events, PAGES), Places(PAGES))
    return lives


def replay(made: NDArray[np.void]) -> Replay:
    content = Replay(SLOTS, 0, None, 512, Worker(False))
    content.add_area(SLOTS, PAGES, 0)
    events = EventRecords(made)
    told = np.ones(TYPES, np.bool_)
    content.advance(of_store(events, PAGES), told, Places(PAGES), len(made))
    content.finish(END)
    return content


def same(one: Histogram | Survival, other: Histogram | Survival) -> bool:
    return all(np.array_equal(value, other.__dict__[name]) for name, value in one.__dict__.items())


some_cuts = st.lists(st.integers(1, SLOTS - 1), min_size=1, max_size=3)


@given(st.integers(0, 2**32), some_cuts)
@settings(max_examples=25, deadline=None, derandomize=True, database=None)
def test_lifetimes_of_slot_ranges_merge(seed: int, cuts: list[int]) -> None:
    made = events(seed)
    whole, parts = lifetimes(made), [lifetimes(part) for part in ranges(made, cuts)]
    survivals = [part.lifetime(0, PAGES, END) for part in parts]
    for part, survival in zip(parts, survivals, strict=True):  # each part has all slots, but only its own were used
        assert survival.count + survival.censored.sum() <= part.counts(0).stores
    assert whole.lifetime(0, PAGES, END).count > 0
    assert same(reduce(Survival.merge, survivals), whole.lifetime(0, PAGES, END))
    reuses = [part.time_to_reuse(0, PAGES, END) for part in parts]
    assert same(reduce(Survival.merge, reuses), whole.time_to_reuse(0, PAGES, END))
    assert same(reduce(Histogram.merge, [part.notification(0) for part in parts]), whole.notification(0))
    for reason, histogram in whole.by_reason(0).items():
        assert same(reduce(Histogram.merge, [part.by_reason(0)[reason] for part in parts]), histogram)
    for what in COUNTS:
        assert sum(vars(part.counts(0))[what] for part in parts) == vars(whole.counts(0))[what]


@given(st.integers(0, 2**32), some_cuts)
@settings(max_examples=25, deadline=None, derandomize=True, database=None)
def test_content_of_slot_ranges_adds_up(seed: int, cuts: list[int]) -> None:
    """All but the peaks, which need not be at the same moment, and discards, which look at whole clusters."""
    made = events(seed)
    whole, parts = replay(made), [replay(part) for part in ranges(made, cuts)]
    assert whole.integral(0, LIVE).end > 0
    for quantity in range(len(QUANTITIES)):
        found = [part.integral(0, quantity) for part in parts]
        expected = whole.integral(0, quantity)
        assert sum(one.end for one in found) == expected.end, quantity
        assert sum(one.byte_ns for one in found) == expected.byte_ns, quantity
        assert sum(one.peak for one in found) >= expected.peak, quantity
        assert sum(part.slots(0, quantity)[0] for part in parts) == whole.slots(0, quantity)[0], quantity


@given(
    st.lists(
        st.tuples(st.integers(0, 2**62 - 1), st.integers(0, 2**62 - 1), st.integers(-(2**62), 2**62)),
        min_size=1,
        max_size=20,
    )
)
@settings(deadline=None, derandomize=True, database=None)
@example([(16662613787658, 594355749973548, 0)])  # 16 TB for a week
def test_integrals_are_exact(parts: list[tuple[int, int, int]]) -> None:
    total = (0, 0)
    for value, time, moment in parts:
        total = clock.add_integral(*total, value, time, moment)
    assert clock.integral_of(np.array(total, np.int64)) == sum(value * time - moment for value, time, moment in parts)
