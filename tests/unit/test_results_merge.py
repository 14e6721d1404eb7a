"""Results that are put together: pieces of a recording are the whole, in whatever order; machines add up."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import fields, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from fixtures import DATA, KERNELS, TRACE
from test_hostile import EVENTS, HEADER, TRAILER

from swaptrace.analysis.analysis import Analysis
from swaptrace.engine.constants import BINS
from swaptrace.events import EventBatch, EventKind
from swaptrace.report.as_json import as_json
from swaptrace.results.file import encode, read_results
from swaptrace.results.merge import SEVERAL, Piece, in_time, over_machines, recording
from swaptrace.results.results import MOST_LEAKS, AreaResult, Leak, Range, TraceResult
from swaptrace.trace.header import Header, Trailer
from swaptrace.trace.reader import TraceReader
from swaptrace.trace.stream import StreamFile
from tests.same import same


@cache
def trace_of(kernel: str) -> tuple[Header, list[EventBatch], Trailer | None]:
    reader = TraceReader(DATA / kernel / TRACE)
    batches = list(reader)
    return reader.header, batches, reader.trailer


def pieces_of(
    header: Header, batches: Sequence[EventBatch], trailer: Trailer | None, cuts: Sequence[int]
) -> list[TraceResult]:
    """Results of what lies between the cuts (CLOCK_MONOTONIC, ns); without cuts, of the whole."""
    bounds: list[int | None] = [None, *cuts, None]
    found = []
    for since, until in itertools.pairwise(bounds):
        analysis = Analysis(header, since=since, until=until, ages=True)
        for batch in batches:
            analysis.feed(batch)
        found.append(analysis.finish(trailer))
    return found


def cuts_of(batches: Sequence[EventBatch], number: int, seed: int) -> list[int]:
    """Moments before which nothing happened for a while: no free is under way, whose notifications a cut would date."""
    events = EventBatch.concatenate(batches).events
    calm = np.isin(events["kind"], (EventKind.STORE, EventKind.LOAD, EventKind.ALLOC))
    quiet = events["time"][1:][(np.diff(events["time"].astype(np.int64)) > 1_000_000) & calm[1:] & calm[:-1]]
    assert len(quiet) >= number
    return sorted(int(time) for time in np.random.default_rng(seed).choice(quiet, number, replace=False))


#: What is not that of the whole: bins are in other places, see below.
COURSE = {"series", "slot_map"}


def check_areas(found: TraceResult, whole: TraceResult, parts: Sequence[TraceResult]) -> None:
    """Of areas that came later, all but the pools: those are their store's, which may have been there before."""
    first = {(area.device, area.generation) for area in parts[0].areas}
    for mine, theirs in zip(found.areas, whole.areas, strict=True):
        if (mine.device, mine.generation) in first:
            check_area(mine, theirs)
            continue
        pools = {"pool", "recovered.pool_bytes", "leaked.pool_bytes"}
        pools |= {f"policies.{name}.stale_pool_bytes" for name in theirs.policies}
        assert mine.unknown.keys() == theirs.unknown.keys() | pools
        check_area(*(without_pools(replace(area, unknown={})) for area in (mine, theirs)))


def without_pools(area: AreaResult) -> AreaResult:
    policies = {name: replace(policy, stale_pool_bytes=None) for name, policy in area.policies.items()}
    others = {name: {**getattr(area, name), "pool_bytes": None} for name in ("recovered", "leaked")}
    return replace(area, pool=None, policies=policies, **others)


def check_area(found: AreaResult, whole: AreaResult) -> None:
    for field in fields(AreaResult):
        if field.name not in COURSE:
            same(getattr(found, field.name), getattr(whole, field.name), field.name)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("number", [1, 4])
def test_pieces_of_a_recording_are_the_whole(kernel: str, number: int) -> None:
    header, batches, trailer = trace_of(kernel)
    (whole,) = pieces_of(header, batches, trailer, [])
    for seed in range(2):
        parts = pieces_of(header, batches, trailer, cuts_of(batches, number, seed))
        found = recording(parts)
        assert [area.device for area in found.areas] == [area.device for area in whole.areas]
        check_areas(found, whole, parts)
        for name in ("trace", "header", "lost", "missed", "tasks", "begin"):
            same(getattr(found, name), getattr(whole, name), name)


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_cut_anywhere_loses_no_count(kernel: str) -> None:
    """In the middle of a free, too; its notifications are then of the moment of the cut."""
    header, batches, trailer = trace_of(kernel)
    (whole,) = pieces_of(header, batches, trailer, [])
    times = EventBatch.concatenate(batches).events["time"]
    cuts = sorted({int(time) for time in np.random.default_rng(3).choice(times, 3)})
    found = recording(pieces_of(header, batches, trailer, cuts))
    for mine, theirs in zip(found.areas, whole.areas, strict=True):
        for name in ("stores", "loads", "frees", "notify_free", "miss_free", "discarded", "rewrites", "live_slots_end",
                     "free_reasons", "lifetime", "time_to_reuse", "sizes", "model", "used_slots"):  # fmt: skip
            same(getattr(mine, name), getattr(theirs, name), name)
        for name, policy in theirs.policies.items():
            assert mine.policies[name].stale_slots_end == policy.stale_slots_end, name


def test_the_course_is_that_of_the_whole() -> None:
    """At the end of each bin, what the whole has at that moment, if it has kept that moment."""
    header, batches, trailer = trace_of("6.12")
    (whole,) = pieces_of(header, batches, trailer, [])
    found = recording(pieces_of(header, batches, trailer, cuts_of(batches, 3, 1)))
    for mine, theirs in zip(found.areas, whole.areas, strict=True):
        if not theirs.stores:
            continue
        assert 200 < len(mine.series.time) <= BINS + 1
        assert (np.diff(mine.series.time) > 0).all()
        assert mine.series.time[-1] == theirs.series.time[-1]
        assert mine.slot_map.live.shape == (len(mine.series.time), theirs.slot_map.live.shape[1])
        assert np.array_equal(mine.slot_map.live.sum(axis=1), mine.series.slots["live"])
        assert np.array_equal(mine.slot_map.stale.sum(axis=1), mine.series.slots["none"])
        for name, values in theirs.series.slots.items():
            near = np.searchsorted(theirs.series.time, mine.series.time, side="left")
            low, high = (values[np.clip(near + step, 0, len(values) - 1)] for step in (-1, 1))
            least, most = np.minimum(low, high), np.maximum(low, high)
            spread = np.abs(np.diff(values)).max(initial=0)
            inside = (least - spread <= mine.series.slots[name]) & (mine.series.slots[name] <= most + spread)
            assert inside.all(), name


def groupings(parts: list[TraceResult]) -> list[TraceResult]:
    """The same four parts put together in other orders and groups."""
    a, b, c, d = parts
    return [
        recording([a, b, c, d]),
        recording([d, b, a, c]),
        recording([recording([a, b]), recording([c, d])]),
        recording([recording([c, d]), a, b]),
        recording([a, recording([recording([b, c]), d])]),
        recording([recording([recording([a, b]), c]), d]),
    ]


@pytest.mark.parametrize("kernel", ["5.10", "7.3"])
def test_neither_order_nor_groups_matter_in_time(kernel: str) -> None:
    """The course included."""
    header, batches, trailer = trace_of(kernel)
    first, *others = groupings(pieces_of(header, batches, trailer, cuts_of(batches, 3, 5)))
    for other in others:
        same(other, first)


def test_an_area_that_is_on_for_a_part_only() -> None:
    """In the test's own trace: it goes off and comes back as another generation."""
    cuts = [int(time) for time in (EVENTS.events["time"][10], EVENTS.events["time"][-1])]
    parts = pieces_of(HEADER, [EVENTS], replace(TRAILER, lost={}), cuts)
    (whole,) = pieces_of(HEADER, [EVENTS], replace(TRAILER, lost={}), [])
    found = recording(parts)
    assert [len(part.areas) for part in parts] == [2, 2, 3]
    check_areas(found, whole, parts)


def test_losses_stay_bounds() -> None:
    """Of counts the sums, of states the last, of peaks the larger ones."""
    parts = pieces_of(HEADER, [EVENTS], replace(TRAILER, lost={}), [int(EVENTS.events["time"][40])])
    early, late = (part.areas[0] for part in parts)
    early = replace(early, ranges={"stores": Range(3, 9), "policies.none.stale_slots_peak": Range(5, 8)})
    late = replace(late, ranges={"stores": Range(2, None), "live_slots_end": Range(1, 7)}, unknown={"pool": "so"})
    found = in_time([Piece(50, late), Piece(0, early)])
    peak = late.policies["none"].stale_slots_peak
    assert found.ranges == {
        "stores": Range(5, None),
        "policies.none.stale_slots_peak": Range(max(5, peak), max(8, peak)),
        "live_slots_end": Range(1, 7),
    }
    assert found.unknown == {"pool": "so"}


def test_parts_of_other_recordings_are_refused() -> None:
    one, other = (pieces_of(*trace_of(kernel), [])[0] for kernel in ("6.1", "6.12"))
    for parts in ([], [one, other]):
        with pytest.raises(ValueError, match="not the parts of one recording"):
            recording(parts)
    with pytest.raises(ValueError, match="no results"):
        in_time([])
    with pytest.raises(ValueError, match="no results"):
        over_machines([])


# ----------------------------------------------------------------------------------------------- over machines


@cache
def areas_of_machines() -> list[AreaResult]:
    """The busiest area of each kernel."""
    found = [pieces_of(*trace_of(kernel), [])[0].areas for kernel in KERNELS]
    return [max((area for area in areas if "none" in area.policies), key=lambda area: area.stores) for areas in found]


def test_counts_states_and_times_add_up() -> None:
    areas = areas_of_machines()
    total = over_machines(areas)
    assert min(area.stores for area in areas) > 100
    for name in ("stores", "loads", "frees", "notify_free", "live_slots_end", "slots", "moved", "left_censored"):
        assert getattr(total, name) == sum(getattr(area, name) for area in areas), name
    assert np.array_equal(total.sizes, np.sum([area.sizes for area in areas], axis=0))
    assert total.free_reasons == {name: sum(a.free_reasons[name] for a in areas) for name in total.free_reasons}
    assert total.lifetime.count == sum(area.lifetime.count for area in areas)
    assert int(total.lifetime.censored.sum()) == sum(int(area.lifetime.censored.sum()) for area in areas)
    assert total.notification.total == sum(area.notification.total for area in areas)
    none = [area.policies["none"].stale_compr_bytes for area in areas]
    found = total.policies["none"].stale_compr_bytes
    assert (found.end, found.byte_ns) == (sum(one.end for one in none), sum(one.byte_ns for one in none))
    assert found.mean == found.byte_ns / sum(one.span for one in none)  # that of an area
    assert total.model.pages_stored == sum(area.model.pages_stored or 0 for area in areas)
    assert total.ramzswap["num_reads"] == sum(area.ramzswap["num_reads"] or 0 for area in areas)
    pages, half = total.sizes.sum(), total.sizes[: 4096 // 2 + 1].sum()
    assert total.ramzswap["good_compress_pct"] == 100 * int(half) / int(pages)
    assert total.device == areas[0].device or total.device == SEVERAL
    assert total.backing in {area.backing for area in areas} | {SEVERAL}


def test_peaks_are_bounds() -> None:
    """At least the largest, at most all of them at once; of pools as well. And the report shows both ends."""
    areas = areas_of_machines()
    total = over_machines(areas)
    peaks = [area.policies["none"].stale_slots_peak for area in areas]
    assert total.ranges["policies.none.stale_slots_peak"] == Range(max(peaks), sum(peaks))
    sized = [area.policies["none"].stale_compr_bytes.peak for area in areas]
    assert total.ranges["policies.none.stale_compr_bytes.peak"] == Range(max(sized), sum(sized))
    pooled = [area for area in areas if area.pool is not None and area.pool.peak]
    peak = pooled[0].pool.peak if pooled[0].pool else 0
    assert over_machines([pooled[0]] * 3).ranges["pool.peak"] == Range(peak, 3 * peak)
    assert all(name.endswith("peak") for name in total.ranges)
    (whole,) = pieces_of(*trace_of("6.12"), [])
    (told,) = as_json(replace(whole, areas=[total]))["areas"]
    assert told["bounds"]["policies.none.stale_slots_peak"] == [max(peaks), sum(peaks)]


def test_neither_order_nor_groups_matter_over_machines() -> None:
    areas = areas_of_machines()
    expected = over_machines(areas)
    for order in list(itertools.permutations(areas))[::17]:
        same(over_machines(order), expected)
        a, b, c, d, e = order
        same(over_machines([over_machines([a, b]), over_machines([over_machines([c, d]), e])]), expected)


def test_leaks_of_all_the_oldest() -> None:
    area = areas_of_machines()[0]
    leaks = [
        [Leak(slot, 100 + n, since, "missed") for slot, since in enumerate(range(n, 2 * MOST_LEAKS, 3))] for n in (0, 1)
    ]
    found = over_machines(replace(area, leaks=each) for each in leaks)
    assert len(found.leaks) == MOST_LEAKS
    assert [leak.since for leak in found.leaks[:5]] == [0, 1, 3, 4, 6]


def test_what_is_not_known_of_one_is_not_known_of_all() -> None:
    one, other = areas_of_machines()[:2]
    other = replace(other, pool=None, unknown={"pool": "b", "loads": "z"}, policies={"none": other.policies["none"]})
    one = replace(one, unknown={"pool": "a"})
    for found in (over_machines([one, other]), over_machines([other, one])):
        assert found.pool is None
        assert found.unknown == {"pool": "a", "loads": "z"}
        assert list(found.policies) == ["none"]


def test_they_are_kept_in_a_file(tmp_path: Path) -> None:
    (whole,) = pieces_of(*trace_of("6.18"), [])
    header, batches, trailer = trace_of("6.18")
    parts = pieces_of(header, batches, trailer, cuts_of(batches, 1, 3))
    kept = []
    for number, part in enumerate(parts):
        path = tmp_path / str(number)
        path.write_bytes(encode(header, part))
        kept.append(read_results(StreamFile(path)))
    assert [part.begin for part in kept] == [part.begin for part in parts]
    assert kept[1].begin > 0
    check_areas(recording(kept), whole, kept)
    total = replace(whole, areas=[over_machines([*whole.areas, *areas_of_machines()])])
    (tmp_path / "total").write_bytes(encode(header, total))
    same(read_results(StreamFile(tmp_path / "total")).areas, total.areas)
