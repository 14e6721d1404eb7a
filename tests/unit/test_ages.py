"""What writing back idle entries would give, against a slow model of it: entry by entry, threshold by threshold.

The model follows zram: an entry is on the disk from the moment at which nobody has stored or read it for longer than
the threshold, until it is overwritten or dropped; each time that it is read until then is one from the disk.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
from builders import PAGE_SIZE, START, Event, batches, free, header, notified_free, store, trailer
from hypothesis import given, settings
from reference import Area, Reference, Stay
from test_replay import (
    CATALOG,
    POOL,
    STORES,
    ZSWAP,
    Trace,
    analyse,
    cuts,
    garbage,
    gathered,
    numbers,
    plausible,
    refer,
    refer_between,
    reproducible,
)

from swaptrace.analysis.analysis import Analysis, machine_of
from swaptrace.engine.ages import passed
from swaptrace.engine.figures import THRESHOLDS, Ages
from swaptrace.events import EventFlag, EventKind
from swaptrace.report.as_json import as_json
from swaptrace.results.ages import thresholds
from swaptrace.results.results import AreaResult, WhatIf
from swaptrace.trace.header import Trailer

SECOND = 10**9
FEW = (0, 1, 7, 8, 30, 64, 82, 95, 111, 191)  # numbers of thresholds that are tried one by one
#: Streams whose steps take up to 5 ms become ones of seconds, minutes, days.
SLOWER = (1, 300, 20_000, 3_000_000)


@dataclass
class Idle:
    """What the model says of one area and threshold."""

    saved: int = 0  # byte-ns
    writes: int = 0
    loads: int = 0
    pages_end: int = 0
    bytes_end: int = 0


def written_at(stay: Stay, threshold: int, end: int) -> int | None:
    """When the entry goes to the disk; None if it does not, before it ends."""
    last = end if stay.end is None else stay.end
    touches = [stay.begin, *stay.reads, last]
    for touch, after in pairwise(touches):
        if after - touch > threshold:
            return touch + threshold
    return None


def modelled(stays: Sequence[Stay], area: Area, threshold: int, begin: int, end: int) -> Idle:
    """begin and end: of what is counted."""
    found = Idle()
    for stay in stays:
        written = written_at(stay, threshold, end) if stay.area is area else None
        if written is None:
            continue
        last = end if stay.end is None else stay.end
        found.saved += stay.size * max(last - max(written, begin), 0)
        found.writes += written >= begin
        found.loads += sum(read > written and read >= begin for read in stay.reads)
        found.pages_end += stay.end is None
        found.bytes_end += stay.size if stay.end is None else 0
    return found


def in_memory(stays: Sequence[Stay], area: Area, begin: int, end: int) -> int:
    ends = [(stay, end if stay.end is None else stay.end) for stay in stays if stay.area is area]
    return sum(stay.size * max(last - max(stay.begin, begin), 0) for stay, last in ends)


def at(age: Ages, number: int) -> Idle:
    columns = (age.writes, age.loads, age.pages_end, age.bytes_end)
    return Idle(age.saved[number], *(int(column[number]) for column in columns))


def check_ages(areas: Sequence[AreaResult], reference: Reference) -> Counter[str]:
    """Every threshold of FEW; which cases there were."""
    seen: Counter[str] = Counter()
    for found, area in zip(areas, reference.areas, strict=True):
        pages = area.pages
        if found.store is None:
            assert found.age is None
            continue
        assert found.age is not None
        assert found.age.span == pages.clock - pages.origin
        assert found.age.in_memory == in_memory(pages.stays, area, pages.origin, pages.clock)
        assert (
            found.age.unsized
            == sum(
                not stay.sized and stay.area is area and (stay.end is None or stay.end >= pages.origin)
                for stay in pages.stays
            )
            or pages.origin > START
        )
        for number in FEW:
            model = modelled(pages.stays, area, THRESHOLDS[number], pages.origin, pages.clock)
            assert at(found.age, number) == model, number
            seen.update(name for name, value in vars(model).items() if value)
    return seen


def slower(trace: Trace, factor: int) -> Trace:
    events = [event._replace(time=max(START + (event.time - START) * factor, 1)) for event in trace.events]
    return Trace(trace.areas, trace.stores, events, START + (trace.end - START) * factor, trace.cases, trace.held)


# ---------------------------------------------------------------------------------------------- against the slow model


@given(plausible, numbers(3), cuts)
@reproducible
def test_plausible_streams(trace: Trace, speed: int, cuts: list[int]) -> None:
    trace = slower(trace, SLOWER[speed])
    check_ages(analyse(trace, cuts, ages=True).areas, refer(trace))


@given(garbage, numbers(3), cuts)
@reproducible
def test_garbage(trace: Trace, speed: int, cuts: list[int]) -> None:
    trace = slower(trace, SLOWER[speed])
    check_ages(analyse(trace, cuts, ages=True).areas, refer(trace))


@given(plausible, numbers(3), numbers(2_000_000), numbers(2_000_000), cuts)
@settings(reproducible, max_examples=60)
def test_since_and_until(trace: Trace, speed: int, since: int, length: int, cuts: list[int]) -> None:
    """What is on the disk when counting begins was written before, and is there from the beginning."""
    trace = slower(trace, SLOWER[speed])
    begin = START + since * SLOWER[speed]
    end = begin + length * SLOWER[speed]
    reference = refer_between(trace, begin, end)
    check_ages(analyse(trace, cuts, since=begin, until=end, ages=True).areas, reference)


def test_streams_hold_every_case() -> None:
    """Entries are written back, and read from there, and are there at the end, often enough to mean something."""

    def look(trace: Trace) -> Counter[str]:
        slow = slower(trace, 20_000)
        return check_ages(analyse(slow, [], ages=True).areas, refer(slow))

    seen = gathered(plausible, look)
    assert {name: seen[name] for name in vars(Idle()) if seen[name] < 20} == {}


@given(plausible, numbers(3), numbers(len(FEW) - 1), numbers(2_000_000), cuts)
@settings(reproducible, max_examples=100)
def test_what_if_is_the_curve_at_its_threshold(
    trace: Trace, speed: int, number: int, since: int, cuts: list[int]
) -> None:
    """A replay in which entries go to the disk one by one, when they are due, finds the same; and the peak.

    Also of what comes after a moment, before which as much may have been written.
    """
    trace, threshold = slower(trace, SLOWER[speed]), THRESHOLDS[FEW[number]]
    reference = refer(trace)
    for found, area in zip(what_if(trace, threshold, cuts), reference.areas, strict=True):
        if found is None:
            assert area.area.store is None
            continue
        back, pages = found.write_back, area.pages
        assert back is not None
        model = modelled(pages.stays, area, threshold, pages.origin, pages.clock)
        assert (back.writes, back.loads, back.pages_end) == (model.writes, model.loads, model.pages_end)
        whole = in_memory(pages.stays, area, pages.origin, pages.clock)
        assert (back.recorded.byte_ns, back.in_memory.byte_ns) == (whole, whole - model.saved)
        peaks = [peak(pages.stays, area, limit, pages.clock) for limit in (1 << 62, threshold)]
        assert [back.recorded.peak, back.in_memory.peak] == peaks
        assert back.recorded.end - back.in_memory.end == model.bytes_end
    begin = START + since * SLOWER[speed]
    curves = analyse(trace, [], since=begin, ages=True)
    for found, after in zip(what_if(trace, threshold, cuts, since=begin), curves.areas, strict=True):
        if found is not None and found.write_back is not None and after.age is not None:
            back, age = found.write_back, at(after.age, FEW[number])
            saved = back.recorded.byte_ns - back.in_memory.byte_ns
            assert Idle(saved, back.writes, back.loads, back.pages_end, back.recorded.end - back.in_memory.end) == age
            assert back.recorded.byte_ns == after.age.in_memory


def peak(stays: Sequence[Stay], area: Area, threshold: int, end: int) -> int:
    """The most bytes in memory at once. What is due at a moment comes after that moment's events."""
    changes = []
    for stay in stays:
        if stay.area is area:
            written, (first, last) = written_at(stay, threshold, end), stay.turns
            changes.append((stay.begin, first, stay.size))
            if written is not None:
                changes.append((written, 1 << 62, -stay.size))
            elif stay.end is not None:
                changes.append((stay.end, last, -stay.size))
    held = most = 0
    for _, _, size in sorted(changes):
        held += size
        most = max(most, held)
    return most


def what_if(trace: Trace, threshold: int, cuts: Sequence[int] = (), **how: int) -> list[WhatIf | None]:
    start = header(trace.areas, trace.stores, zsmalloc=POOL)
    machine = replace(machine_of(start), write_back=threshold)
    analysis = Analysis(start, machine=machine, **how)  # type: ignore[arg-type]
    for piece in batches(trace.events, cuts):
        analysis.feed(piece)
    analysis.finish(trailer(trace.end))
    return analysis.what_if()


# ------------------------------------------------------------------------------ under every policy, and in the pool


def with_moves(trace: Trace, threshold: int) -> Trace:
    """The same, had the store written back what is idle: it tells of that, and what it drops then has no object."""
    return Trace(trace.areas, trace.stores, list(_with_moves(trace, threshold)), trace.end, trace.cases)


def _with_moves(trace: Trace, threshold: int) -> Iterator[Event]:
    touched: dict[tuple[int, int], int] = {}  # by store and page
    moved: set[tuple[int, int]] = set()
    held: set[tuple[int, int]] = set()  # as observed
    store_of = {area.swap_type: area.store for area in trace.areas}
    clocks: Counter[int] = Counter()  # each store's own: they never go back
    ends = [Event(trace.end, EventKind.TASK, number) for number in (0, 1, 2, ZSWAP.id)]
    for event in [*trace.events, *ends]:
        number: int | None = event.device
        if event.call is not None:
            number = None
            if event.call.result == 0 and event.call.area is not None and event.call.call == "swapon":
                number = store_of[event.call.area.swap_type] = event.call.area.store
        elif event.kind in (EventKind.FREE, EventKind.ALLOC):
            number = store_of.get(event.device)
        if number is None:
            yield event
            continue
        clocks[number] = max(clocks[number], event.time, START)
        for time, place in sorted((touch + threshold, place) for place, touch in touched.items()):
            if place[0] == number and time < clocks[number]:
                del touched[place]
                moved.add(place)
                yield Event(time, EventKind.MOVED, *place)
        place = number, event.slot
        if event.kind in (EventKind.STORE, EventKind.PRESENT):
            for page in range(event.slot, event.slot + event.run):
                touched[number, page] = clocks[number]
                moved.discard((number, page))
                (held.discard if event.flags & EventFlag.GONE else held.add)((number, page))
        elif event.kind == EventKind.LOAD:
            pages = [(number, page) for page in range(event.slot, event.slot + event.run)]
            touched |= {page: clocks[number] for page in pages if page not in moved}
        elif event.kind == EventKind.MOVED:
            touched.pop(place, None)
        elif event.kind == EventKind.RESET:
            touched = {place: touch for place, touch in touched.items() if place[0] != number}
            moved = {place for place in moved if place[0] != number}
            held = {place for place in held if place[0] != number}
        elif event.kind == EventKind.DROP or event.flags & EventFlag.DROPPED:
            if place in moved and place in held:
                event = event._replace(size=0)
            else:
                moved.discard(place)
            held.discard(place)
        if event.kind != EventKind.TASK:
            yield event


@given(plausible, numbers(3), numbers(len(FEW) - 1), cuts)
@settings(reproducible, max_examples=100)
def test_pools_and_policies_are_those_of_a_store_that_tells_so(
    trace: Trace, speed: int, number: int, cuts: list[int]
) -> None:
    trace, threshold = slower(trace, SLOWER[speed]), THRESHOLDS[FEW[number]]
    told = analyse(with_moves(trace, threshold), [], POOL)
    for found, area in zip(what_if(trace, threshold, cuts), told.areas, strict=True):
        if found is not None:
            assert found.mem_used_total == area.pool
            if area.pool is not None:
                stale = {name: policy.stale_pool_bytes for name, policy in area.policies.items()}
                assert found.stale_pool_bytes == stale


# ------------------------------------------------------------------------------------------------------------- by hand


def run(events: Sequence[Event], seconds: int, areas: Sequence[int] = (0,)) -> Ages:
    trace = Trace([CATALOG[area] for area in areas], list(STORES), list(events), START + seconds * SECOND)
    found = analyse(trace, [], ages=True).areas
    check_ages(found, refer(trace))
    assert found[0].age is not None
    return found[0].age


def after(seconds: float) -> int:
    return START + round(seconds * SECOND)


MINUTE = 64  # the number of that threshold


def test_thresholds() -> None:
    """Eight in each doubling, from a quarter of a second on; those of the tables are among them."""
    assert [THRESHOLDS[number] / (60 * SECOND) for number in (MINUTE, 82, 95, 111)] == [1, 5, 15, 60]
    assert THRESHOLDS[0] == 234_375_000
    assert all(one < other for one, other in pairwise(THRESHOLDS))
    assert all(other == 2 * one for one, other in zip(THRESHOLDS, THRESHOLDS[8:], strict=False))
    for number, threshold in enumerate(THRESHOLDS):
        assert [passed(threshold + more) for more in (-1, 0, 1)] == [number, number, number + 1]
    assert [passed(idle) for idle in (-5, 0, 1, 1 << 62)] == [0, 0, 0, len(THRESHOLDS)]


def test_an_entry_is_written_once_and_stays_on_the_disk() -> None:
    """Stored at 0 s, read at 90 s, at 100 s, and dropped at 130 s: idle for a minute, 60 s before it was read first."""
    age = run([
        store(after(0), 0, 3, 1000), Event(after(90), EventKind.LOAD, 0, 3), Event(after(100), EventKind.LOAD, 0, 3),
        notified_free(after(130), 0, 3, 1000),
    ], 200)  # fmt: skip
    assert at(age, MINUTE) == Idle(1000 * 70 * SECOND, writes=1, loads=2)
    assert at(age, MINUTE + 8) == Idle()  # two minutes
    assert at(age, MINUTE - 8) == Idle(1000 * 100 * SECOND, writes=1, loads=2)
    assert age.in_memory == 1000 * 130 * SECOND


def test_as_long_as_the_threshold_is_not_longer() -> None:
    """zram asks whether the last access was before then (ktime_after)."""
    for late, loads in ((0, 0), (1, 1)):
        age = run([store(after(0), 0, 3, 1000), Event(after(60) + late, EventKind.LOAD, 0, 3)], 61)
        assert at(age, MINUTE).loads == loads


def test_a_store_begins_anew() -> None:
    """Also over an entry that is on the disk, whose blocks are given up."""
    age = run([store(after(0), 0, 3, 1000), store(after(70), 0, 3, 400), Event(after(80), EventKind.LOAD, 0, 3)], 145)
    assert at(age, MINUTE) == Idle(1000 * 10 * SECOND + 400 * 5 * SECOND, writes=2, pages_end=1, bytes_end=400)


def test_same_filled_pages_take_nothing_and_incompressible_ones_a_page() -> None:
    age = run([store(after(0), 0, 3, 0, EventFlag.SAME), store(after(0), 0, 4, PAGE_SIZE, EventFlag.HUGE)], 100)
    assert at(age, MINUTE) == Idle(PAGE_SIZE * 40 * SECOND, writes=1, pages_end=1, bytes_end=PAGE_SIZE)


def test_what_was_written_back_while_recording_counts_no_more() -> None:
    """It is on the disk as it is: nothing is saved, and a load that comes from there would do so anyway."""
    moved = Event(after(70), EventKind.MOVED, 0, 3, size=1000)
    age = run([store(after(0), 0, 3, 1000), moved, Event(after(80), EventKind.LOAD, 0, 3)], 100)
    assert at(age, MINUTE) == Idle(1000 * 10 * SECOND, writes=1)
    assert age.in_memory == 1000 * 70 * SECOND


def test_stale_entries_are_idle_as_well() -> None:
    """Where nobody tells the store of a free, it holds the entry for nothing, and would write it back."""
    age = run([store(after(0), 0, 3, 1000), free(after(10), 0, 3)], 100)
    assert at(age, MINUTE) == Idle(1000 * 40 * SECOND, writes=1, pages_end=1, bytes_end=1000)


def test_an_entry_that_zswap_gives_up_when_it_is_read() -> None:
    """Its drop is the read, and its load, which follows, is none of an entry; a write-back by zswap is no read."""
    read, gone = int(EventFlag.ANY_POLICY), int(EventFlag.ANY_POLICY | EventFlag.WRITTEN_BACK)
    for flags, loads in ((read, 1), (gone, 0)):
        drop = Event(after(70), EventKind.DROP, ZSWAP.id, 3, size=1000, flags=flags)
        load = Event(after(70), EventKind.LOAD, ZSWAP.id, 3)
        age = run([store(after(0), ZSWAP.id, 3, 1000), drop, load], 100, (7,))
        assert at(age, MINUTE) == Idle(1000 * 10 * SECOND, writes=1, loads=loads)


def test_entries_from_before_count_from_the_start() -> None:
    """Their bytes are not known before they go: none of them count."""
    age = run([Event(after(0), EventKind.PRESENT, 0, 2, 4), Event(after(70), EventKind.LOAD, 0, 3)], 100)
    assert at(age, MINUTE) == Idle(0, writes=4, loads=1, pages_end=4)
    assert (age.unsized, age.in_memory) == (4, 0)
    sized = run([Event(after(0), EventKind.PRESENT, 0, 2, 4, size=100)], 100)
    assert (sized.unsized, at(sized, MINUTE).bytes_end) == (0, 400)


def test_in_the_report() -> None:
    """Thresholds that are shorter than the recording, each with its figures."""
    events = [store(after(0), 0, 3, 1000), Event(after(90), EventKind.LOAD, 0, 3)]
    trace = Trace([CATALOG[0]], list(STORES), events, START + 120 * SECOND)
    (area,) = as_json(analyse(trace, [], ages=True))["areas"]
    age = area["age"]
    assert (age["in_memory_mean"], age["unsized"], len(age["thresholds"])) == (1000, 0, MINUTE + 8)
    assert age["thresholds"][MINUTE] == {
        "idle_s": 60, "saved_byte_seconds": 60_000, "saved_mean": 500, "saved_share": 0.5, "writes": 1, "loads": 1,
        "loads_per_s": 1 / 120, "pages_end": 1, "bytes_end": 1000,
    }  # fmt: skip
    assert [each["idle_s"] for each in age["thresholds"]] == [each / 1e9 for each in THRESHOLDS[: MINUTE + 8]]


def test_without_time_there_is_nothing() -> None:
    age = run([], 0)
    assert thresholds(age) == []


def test_nothing_is_known_if_events_were_lost() -> None:
    """Whatever of it: each is a moment at which an entry may have come, gone or been read."""
    for kind in ("STORE", "LOAD", "DROP", "NOTIFY", "MOVED"):
        analysis = Analysis(header([CATALOG[0]], STORES), ages=True)
        for piece in batches([store(after(0), 0, 3, 1000)], []):
            analysis.feed(piece)
        (area,) = as_json(analysis.finish(trailer(after(100), lost={kind: 1})))["areas"]
        assert area["age"] is None, kind
        assert area["unknown"]["age"] == f"lost: 1 {kind}"


@pytest.mark.parametrize(("number", "why"), [(5, "the area is on a disk"), (7, None)])
def test_areas_without_a_store_have_none(number: int, why: str | None) -> None:
    trace = Trace([CATALOG[number]], list(STORES), [], START + 100 * SECOND)
    (area,) = as_json(analyse(trace, [], ages=True))["areas"]
    assert (area["age"] is None) == (why is not None)
    assert area["unknown"].get("age", "").startswith(why or "")


def test_what_if_of_a_store_whose_pool_is_not_known() -> None:
    """Compressed bytes are known all the same."""
    start = header([CATALOG[0]], STORES)
    analysis = Analysis(start, machine=replace(machine_of(start), write_back=60 * SECOND))
    for piece in batches([store(after(0), 0, 3, 1000)], []):
        analysis.feed(piece)
    analysis.finish(trailer(after(100)))
    (found,) = analysis.what_if()
    assert found is not None and found.write_back is not None
    assert (found.mem_used_total, found.stale_pool_bytes) == (None, {})
    assert (found.write_back.in_memory.end, found.write_back.in_memory.byte_ns) == (0, 1000 * 60 * SECOND)


def test_results_in_between_change_nothing() -> None:
    """Of a recording that goes on: what is due by then, or on the disk when a part begins, is said of a copy."""
    events = [store(after(0), 0, 3, 1000), Event(after(90), EventKind.LOAD, 0, 3), store(after(170), 0, 4, 50)]
    start = header([CATALOG[0]], STORES)
    for how in ({}, {"since": after(150)}):
        for write_back in (None, 60 * SECOND):
            machine = replace(machine_of(start), write_back=write_back)
            one, other = (Analysis(start, machine=machine, ages=True, **how) for _ in range(2))  # type: ignore[arg-type]
            for event in events:
                for piece in batches([event], []):
                    one.feed(piece)
                    other.feed(piece)
                other.finish(Trailer(replace(start.start, time=event.time + 100 * SECOND)))
            found = [each.finish(trailer(after(300))).areas[0].age for each in (one, other)]
            assert [at(age, MINUTE) for age in found if age] == [at(found[0], MINUTE)] * 2  # type: ignore[arg-type]
            assert one.what_if() == other.what_if()
