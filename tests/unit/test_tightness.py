"""Bounds against the tightest that there are: every event that may have been lost is tried, at every place.

A short stream is what was seen. Of each kind one event is put in again, in all ways: before each event and at the end,
on each slot, in each of its forms. What the slow reference says of all these streams is what the truth may have been:
no bound may leave any of it out, and for each figure and kind some stream comes as far as the rule allows, both ways,
or LOOSE says why not. A rule that allows a figure to be further off than that fails, as does one that allows less.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache

import pytest
from builders import CLUSTER_SLOTS, PAGE_SIZE, START, Event, batch, free, header, store, zram_area
from reference import Area, Reference

from swaptrace.analysis.analysis import Analysis
from swaptrace.areas import Snapshot, Store
from swaptrace.events import EventFlag, EventKind, FreeReason
from swaptrace.results.bounds import with_bounds
from swaptrace.results.catalogue import bounded_figures
from swaptrace.trace.header import Trailer

AREA = zram_area("/dev/zram0", 0, 8, 0)  # two clusters
COUNTERS = {"pages_stored": 9, "compr_data_size": 9 * PAGE_SIZE, "same_pages": 9, "huge_pages": 9, "bd_count": 9}
ZRAM = Store(0, "zram0", 8, counters=COUNTERS)  # so much that no total comes to 0, where any bound ends
USED = 50  # slots in use at the start
SLOTS = (1, 2, 4)  # what is lost is about one of these: 4 is in another cluster than the others
KINDS = ("STORE", "FREE", "DROP", "NOTIFY", "ALLOC", "LOAD", "MOVED", "FAILED")
FLAGS = EventFlag


def stored(slot: int, size: int = PAGE_SIZE, flags: int = 0) -> Event:
    return store(0, 0, slot, size, flags)


def freed(slot: int) -> Event:
    return free(0, 0, slot)


def dropped(slot: int, flags: int = 0, size: int = PAGE_SIZE) -> Event:
    return Event(0, EventKind.DROP, 0, slot, size=size, flags=flags)


def notified(slot: int, flags: int = FLAGS.DROPPED, size: int = PAGE_SIZE) -> Event:
    return Event(0, EventKind.NOTIFY, 0, slot, size=size if flags & FLAGS.DROPPED else 0, flags=flags)


def allocated(slot: int) -> Event:
    return Event(0, EventKind.ALLOC, 0, slot)


def loaded(slot: int) -> Event:
    return Event(0, EventKind.LOAD, 0, slot)


def moved(slot: int) -> Event:
    return Event(0, EventKind.MOVED, 0, slot, size=PAGE_SIZE, flags=FLAGS.HUGE)


def refused(slot: int) -> Event:
    return Event(0, EventKind.FAILED, 0, slot)


def present(slot: int) -> Event:
    return Event(0, EventKind.PRESENT, 0, slot, size=0)


#: What was seen. Each has what some rule needs, to be as far off as it allows; entries are whole pages for that.
STREAMS: dict[str, list[Event]] = {
    "nothing": [],
    "live": [stored(1), stored(2)],
    "stale": [stored(1), freed(1), stored(2), freed(2), notified(2)],
    "written again": [stored(1), dropped(1, FLAGS.REPLACED), stored(1)],
    "freed twice": [stored(1), freed(1), freed(1)],
    "read": [stored(1), loaded(1), stored(2), loaded(2), freed(2)],
    "read twice": [stored(1), loaded(1), loaded(1), freed(1)],
    "old": [present(1), present(2), freed(2)],
    "old, written again": [present(1), dropped(1, FLAGS.REPLACED), stored(1), freed(1)],
    "a cluster but for one": [*map(stored, (4, 5, 6, 7)), *map(freed, (5, 6, 7))],
    "a whole cluster": [*map(stored, (4, 5, 6, 7)), *map(freed, (5, 6, 7, 4))],
    "never written": [allocated(1), freed(1), freed(2)],
    "small ones": [stored(1, 1), stored(2, 1), freed(2), stored(4, 0, FLAGS.SAME)],
    "notified, not dropped": [stored(1), freed(1), notified(1, FLAGS.MISSED), stored(2), freed(2), notified(2, 0)],
    "dropped": [stored(1), freed(1), dropped(1), stored(2), dropped(2)],
    "moved": [stored(1), moved(1), freed(1), stored(2), freed(2), moved(2)],
    "used again": [stored(1), freed(1), notified(1), stored(1), freed(1)],
}


def forms(kind: str, slot: int) -> list[Event]:
    """Everything that an event of that kind may have said of a slot."""
    sizes = ((PAGE_SIZE, 0), (1, 0), (0, FLAGS.SAME), (PAGE_SIZE, FLAGS.HUGE))
    if kind == "STORE":
        return [stored(slot, size, flags) for size, flags in sizes]
    if kind == "DROP":
        written_back = FLAGS.WRITTEN_BACK
        marks = ((0, written_back), (0, written_back | FLAGS.ANY_POLICY), (PAGE_SIZE, FLAGS.REPLACED),
                 (PAGE_SIZE, FLAGS.ANY_POLICY))  # fmt: skip
        return [dropped(slot, flags, size) for size, flags in (*sizes, *marks)]
    if kind == "NOTIFY":
        told = [notified(slot, FLAGS.DROPPED | flags, size) for size, flags in (*sizes, (0, FLAGS.WRITTEN_BACK))]
        return [*told, notified(slot, FLAGS.MISSED), notified(slot, 0)]
    if kind == "FREE":
        return [freed(slot)._replace(reason=reason + 1) for reason in FreeReason]
    return [{"ALLOC": allocated, "LOAD": loaded, "MOVED": moved, "FAILED": refused}[kind](slot)]


def timed(events: list[Event]) -> list[Event]:
    return [event._replace(time=START + 10 * number) for number, event in enumerate(events, 1)]


def with_one_more(events: list[Event], kind: str) -> Iterator[list[Event]]:
    first = next((n for n, event in enumerate(events) if event.kind != EventKind.PRESENT), len(events))
    for place in range(first, len(events) + 1):
        for slot in SLOTS:
            for event in forms(kind, slot):
                yield [*events[:place], event, *events[place:]]


def area() -> object:
    return AREA.__class__(**{**AREA.__dict__, "used": USED})


def truth(events: list[Event]) -> dict[str, int]:
    """All figures that have a rule, as the slow reference has them."""
    reference = Reference([area()], [ZRAM], START, PAGE_SIZE, CLUSTER_SLOTS)  # type: ignore[list-item]
    for event in timed(events):
        reference.feed(event)
    reference.finish(START + 10_000)
    (found,) = reference.areas
    return {name: max(value, 0) for name, value in named(found).items()}  # as no kernel has less


def named(found: Area) -> dict[str, int]:
    totals, counts = found.pages.totals, found.counts
    pages = COUNTERS["pages_stored"] + totals["pages"]
    values = {
        "used_slots": USED + found.given_out,
        "live_slots_end": found.slots["live"],
        "live_compr_bytes_end": found.bytes["live"],
        "pages_stored": pages,
        "orig_data_size": pages * PAGE_SIZE,
        "same_pages": COUNTERS["same_pages"] + totals["same"],
        "huge_pages": COUNTERS["huge_pages"] + totals["huge"],
        "bd_count": COUNTERS["bd_count"] + totals["written back"],
        "compr_data_size": COUNTERS["compr_data_size"] + totals["compr"],
        "duplicate.slots_end": found.slots["duplicate"],
        **{f"free_reasons.{reason.name.lower()}": found.reasons[reason.name.lower()] for reason in FreeReason},
        **{f"unread.{reason.name.lower()}": found.unread[reason.name.lower()] for reason in FreeReason},
    }
    for name in ("duplicate", "recovered", "leaked", "none", "discard", "discard_once", "notify", "observed"):
        policy = name not in ("duplicate", "recovered", "leaked")
        base = f"policies.{name}.stale_" if policy else f"{name}."
        values |= {f"{base}compr_bytes.end": found.bytes[name], f"{base}compr_bytes.peak": found.peak_bytes[name]}
        if policy:
            values |= {f"{base}slots_end": found.slots[name], f"{base}slots_peak": found.peak_slots[name]}
    return counts_of(counts) | values


def counts_of(counts: dict[str, int]) -> dict[str, int]:
    names = ("stores", "loads", "frees", "frees_unwritten", "rewrites", "notify_free", "miss_free", "discarded",
             "left_censored", "moved", "written_back", "failed_writes", "refaults")  # fmt: skip
    return {name: counts[name] for name in names}


@cache
def seen(name: str) -> object:
    """The result of what was seen, as if nothing had been lost."""
    analysis = Analysis(header([area()], [ZRAM], missing=()))  # type: ignore[list-item]
    analysis.feed(batch(timed(STREAMS[name])))
    return analysis.finish(Trailer(Snapshot(START + 10_000))).areas[0]


def survey(kind: str) -> tuple[dict[str, dict[str, list[int]]], list[str]]:
    """By figure: how far below and above what was counted a bound is, and the truth may be; and what is left out."""
    apart: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
    wrong = []
    for name, events in STREAMS.items():
        counted = bounded_figures(seen(name))  # type: ignore[arg-type]
        bounded = with_bounds(
            seen(name), {kind: 1}, {}, page_size=PAGE_SIZE, cluster_slots=CLUSTER_SLOTS, part=False  # type: ignore[arg-type]
        )  # fmt: skip
        true = [truth(events), *(truth(more) for more in with_one_more(events, kind))]
        for figure, value in counted.items():
            found = bounded.ranges.get(figure)
            low, high = (value, value) if found is None else (found.low, found.high)
            assert high is not None
            least, most = min(one[figure] for one in true), max(one[figure] for one in true)
            if not low <= least <= most <= high:
                wrong.append(f"{figure} of {name!r}: [{low}, {high}], but [{least}, {most}] may be")
            below, above = apart[figure]["less"], apart[figure]["more"]
            below[:] = max(below[0], value - low), max(below[1], value - least)
            above[:] = max(above[0], high - value), max(above[1], most - value)
    return apart, wrong


#: Where a rule allows more than any of these events can do: (kinds, side, figures), and why. No more than a step each.
LOOSE: dict[tuple[str, str, str], str] = {
    ("FREE STORE DROP NOTIFY MOVED", "more", r"policies\.notify\..*"): "the rule is that of all policies",
    ("FREE STORE DROP NOTIFY ALLOC MOVED", "less|more", r"policies\.discard\..*"): "a slot may decide for its cluster",
    ("FREE", "less", r"(policies\..*|recovered|leaked).*peak"): "one rule for peaks, both ways",
    ("DROP NOTIFY MOVED", "more|less", r"policies\..*slots_peak"): "one rule for peaks, both ways",
    ("DROP NOTIFY MOVED", "more", r"(policies\.observed|leaked).*bytes.*"): "one rule for all that tell a size",
    ("MOVED", "more", r"(policies\..*|recovered).*bytes.*"): "one rule for all that tell a size",
    ("MOVED", "more", "live_compr_bytes_end|compr_data_size"): "one rule for all that tell a size",
    ("DROP NOTIFY", "more", "compr_data_size"): "one rule for all that tell a size",
    ("STORE DROP NOTIFY MOVED", "more|less", "same_pages|huge_pages|bd_count"): "one rule for all marks of an entry",
    ("STORE FREE LOAD DROP NOTIFY MOVED", "more|less", r"duplicate\.compr_bytes\..*"): "one rule for all sizes",
    ("STORE NOTIFY", "more|less", r"duplicate\.slots_end"): "one rule for the states of a slot",
    ("STORE NOTIFY", "less", "live_slots_end"): "one rule for the states of a slot",
    ("DROP NOTIFY ALLOC", "less", "frees_unwritten"): "an old entry, which no stream here keeps from the recorder",
    ("DROP NOTIFY", "more", "rewrites|left_censored"): "an old entry, which no stream here keeps from the recorder",
    ("STORE", "more", r"unread\.(?!other).*"): "the frees of these streams have another reason",
    ("STORE", "less", "left_censored"): "an old entry, which no stream here keeps from the recorder",
}  # fmt: skip


def step(figure: str) -> int:
    """What one slot may change at most: itself, a page's bytes, or a cluster of them."""
    size = PAGE_SIZE if "bytes" in figure or figure.endswith("_size") else 1
    return size * (CLUSTER_SLOTS if figure.startswith("policies.discard.") else 1)


def reasons(kind: str, side: str, figure: str) -> set[tuple[str, str, str]]:
    return {
        (kinds, sides, pattern)
        for kinds, sides, pattern in LOOSE
        if kind in kinds.split() and side in sides.split("|") and re.fullmatch(pattern, figure)
    }


@pytest.fixture(scope="module")
def apart() -> dict[str, dict[str, dict[str, list[int]]]]:
    """By kind, see survey(): no bound leaves out what may have been."""
    found = {}
    for kind in KINDS:
        found[kind], wrong = survey(kind)
        assert not wrong
    return found


def test_bounds_are_the_tightest(apart: dict[str, dict[str, dict[str, list[int]]]]) -> None:
    used: set[tuple[str, str, str]] = set()
    for kind, figures_ in apart.items():
        for figure, sides in figures_.items():
            for side, (rule, events) in sides.items():
                assert rule <= step(figure), (kind, figure, side)
                if rule != events:
                    why = reasons(kind, side, figure)
                    assert why, (
                        f"lost {kind}, {figure}, {side}: the rule allows {rule}, but events do no more than {events}"
                    )
                    used |= why
    assert used == set(LOOSE)  # what is tight by now has no place there


@pytest.mark.parametrize("lost", [2, 5])
def test_bounds_grow_with_what_was_lost(lost: int) -> None:
    """By a step for each, until there is no more: neither faster nor slower."""
    one, many = (
        with_bounds(
            seen("stale"), {"STORE": number}, {}, page_size=PAGE_SIZE, cluster_slots=CLUSTER_SLOTS, part=False  # type: ignore[arg-type]
        ).ranges
        for number in (1, lost)
    )  # fmt: skip
    counted = bounded_figures(seen("stale"))  # type: ignore[arg-type]
    assert one.keys() == many.keys() and "stores" in one
    for figure in ("stores", "pages_stored", "compr_data_size", "orig_data_size", "live_compr_bytes_end"):
        above = [found[figure].high - counted[figure] for found in (one, many)]  # type: ignore[operator]
        assert above[1] == lost * above[0] > 0, figure


def test_every_figure_with_a_rule_is_looked_at() -> None:
    assert set(bounded_figures(seen("live"))) == set(truth(STREAMS["live"]))  # type: ignore[arg-type]
