"""Results put together: the pieces of one recording, one after the other, or the areas of several machines.

Each field of an area's result has one row that says how: in time, and over machines. Both ways are associative, and in
whatever order the parts come, the result is the same to the last bit: counts, histograms and integrals are whole
numbers. What cannot be put together becomes a bound and says so (a peak over machines: they need not have had theirs at
the same moment), or is left out with a reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from functools import reduce
from operator import and_, or_
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from swaptrace.engine.constants import BINS
from swaptrace.engine.counters import COUNTS
from swaptrace.engine.figures import Series, SlotMap
from swaptrace.histogram import Histogram, Survival
from swaptrace.in_use import InUse
from swaptrace.results.catalogue import Kind, bounded_figures, figure_at, values, walk
from swaptrace.results.derived import ramzswap
from swaptrace.results.results import (
    MOST_LEAKS,
    Ages,
    AreaResult,
    Content,
    Integral,
    Leak,
    PolicyResult,
    Range,
    TraceResult,
    WhatIf,
    WrittenBack,
)

T = TypeVar("T", bound=Any)
Rule = Callable[[Any, Any], Any]

#: In place of a name that is not the same of all parts.
SEVERAL = "(several)"


# -- rules: of the earlier and the later one, or of any two


def _sum(one: Any, other: Any) -> Any:
    """None if either is not known."""
    return None if one is None or other is None else one + other


def _later(_: T, later: T) -> T:
    return later


def _earlier(earlier: T, _: T) -> T:
    return earlier


def _same(otherwise: Any = None) -> Rule:
    """What both are. otherwise: the whole, if they differ."""
    return lambda one, other: one if one == other else otherwise


def _by_name(rule: Rule) -> Rule:
    """Of dictionaries: what both have. What only one has is not known of the whole. None if either is None."""

    def merged(one: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> dict[str, Any] | None:
        if one is None or other is None:
            return None
        return {name: rule(one[name], other[name]) for name in one if name in other}

    return merged


def _of_fields(kind: type[Any], **rules: Rule) -> Rule:
    """Of objects of that class, field by field; of None if either is None."""
    assert {field.name for field in fields(kind)} == set(rules)

    def merged(one: Any, other: Any) -> Any:
        if one is None or other is None:
            return None
        return kind(**{name: rule(getattr(one, name), getattr(other, name)) for name, rule in rules.items()})

    return merged


def _reasons(one: dict[str, str], other: dict[str, str]) -> dict[str, str]:
    """Why what is not known: of the whole, either reason is enough."""
    return {name: min(found for found in (one.get(name), other.get(name)) if found) for name in {**one, **other}}


def _reasons_sorted(one: dict[str, str], other: dict[str, str]) -> dict[str, str]:
    """The same in an order that does not depend on which is which."""
    return dict(sorted(_reasons(one, other).items()))


def _leaks(one: list[Leak], other: list[Leak]) -> list[Leak]:
    every = sorted([*one, *other], key=lambda leak: (leak.since, leak.slot, leak.compr_bytes, leak.why))
    return every[:MOST_LEAKS]


# -- figures over time: those of a map and of a series are of the same moments


@dataclass(frozen=True)
class _Course:
    """What an area's results hold of its course. time: since the recording began, ns."""

    time: NDArray[np.int64]
    series: Series
    slots: SlotMap

    @staticmethod
    def of(piece: Piece) -> _Course:
        return _Course(piece.begin + piece.area.series.time, piece.area.series, piece.area.slot_map)

    def bins(self, width: int) -> NDArray[np.int64]:
        """The number of each moment's bin. Bins end at multiples of `width`, whatever there is."""
        return -(-self.time // width)

    def last(self, width: int) -> NDArray[np.int64]:
        """The places of those moments that are the last ones of their bins."""
        bins = self.bins(width)
        return np.flatnonzero(np.append(bins[1:] != bins[:-1], bins[:1] == bins[:1]))


def _joined(one: _Course, other: _Course, begin: int) -> tuple[Series, SlotMap]:
    """The course of the earlier and then the later one, in bins whose width is a power of two and the same of both.

    So what is put together first makes no difference: bins that are wider hold the last moment of narrower ones.
    begin: of the earlier piece, from which a series counts.
    """
    width = 1
    while int(max(one.time.max(initial=0), other.time.max(initial=0))) > width * BINS:
        width *= 2
    early, late = one.last(width), other.last(width)
    if len(early) and len(late) and one.bins(width)[early[-1]] == other.bins(width)[late[0]]:
        early = early[:-1]  # the bin in which the one ends and the other begins

    def both(left: NDArray[T], right: NDArray[T]) -> NDArray[T]:
        return np.concatenate([left[early], right[late]])

    named = _by_name(both)
    values = (named(getattr(one.series, of), getattr(other.series, of)) for of in ("slots", "bytes", "pool_bytes"))
    return Series(both(one.time, other.time) - begin, *values), _joined_maps(one.slots, other.slots, both)


def _joined_maps(one: SlotMap, other: SlotMap, both: Callable[[Any, Any], Any]) -> SlotMap:
    """In rows of as many slots as the coarser one has: each the double of the finer one's, or that once more."""
    while one.slots_per_row < other.slots_per_row:
        one = one.coarser()
    while other.slots_per_row < one.slots_per_row:
        other = other.coarser()
    return replace(one, live=both(one.live, other.live), stale=both(one.stale, other.stale))


def _nothing(one: Any, _: Any) -> Any:
    """Machines have neither time nor slots in common."""
    if isinstance(one, Series):
        return Series(np.zeros(0, np.int64), {}, {})
    return SlotMap(np.zeros((0, 0), np.int32), np.zeros((0, 0), np.int32), 1, 0)


# -- one row for each field of an area's result


@dataclass(frozen=True)
class _How:
    """How a field of two parts becomes that of the whole."""

    in_time: Rule
    over_machines: Rule


_INTEGRAL = _How(
    _of_fields(Integral, end=_later, peak=max, byte_ns=_sum, span=_sum),
    # the mean is that of a machine
    _of_fields(Integral, end=_sum, peak=max, byte_ns=_sum, span=_sum),
)
_COUNT = _How(_sum, _sum)
_STATE = _How(_later, _sum)
_NAME = _How(_same(SEVERAL), _same(SEVERAL))
_NUMBER = _How(_same(-1), _same(-1))
_PROPERTY = _How(_same(), _sum)
_DURATIONS = _How(Histogram.merge, Histogram.merge)
_LIVES = _How(Survival.merge, Survival.merge)  # in time: see _then()
_CONTENT = _How(_later, _of_fields(Content, **dict.fromkeys(Content.__dataclass_fields__, _sum)))
_DERIVED = _How(_later, _later)  # from other fields, see _merged() and _ranges()
_REASONS = _How(_reasons, _reasons_sorted)


def _named(how: _How) -> _How:
    return _How(_by_name(how.in_time), _by_name(how.over_machines))


def _policy(rule: str) -> Rule:
    integral = getattr(_INTEGRAL, rule)
    return _of_fields(
        PolicyResult,
        stale_slots_end=getattr(_STATE, rule),
        stale_slots_peak=max,
        stale_compr_bytes=integral,
        stale_pool_bytes=integral,
    )


def _what_if(rule: str) -> Rule:
    integral, count, state = (getattr(how, rule) for how in (_INTEGRAL, _COUNT, _STATE))
    written = _of_fields(WrittenBack, in_memory=integral, recorded=integral, writes=count, loads=count, pages_end=state)
    return _of_fields(WhatIf, mem_used_total=integral, stale_pool_bytes=_by_name(integral), write_back=written)


def _ages(rule: str) -> Rule:
    """What is on the disk when a part begins was written in an earlier one, and is there from that part's begin on."""
    state = getattr(_STATE, rule)
    return _of_fields(
        Ages,
        **dict.fromkeys(("in_memory", "span", "writes", "loads"), _sum),
        saved=lambda one, other: [a + b for a, b in zip(one, other, strict=True)],
        **dict.fromkeys(("pages_end", "bytes_end"), state),
        unsized=_earlier if rule == "in_time" else _sum,
    )


_FIELDS: dict[str, _How] = {
    "device": _NAME,
    **dict.fromkeys(("swap_type", "generation"), _NUMBER),
    "backing": _NAME,
    "zram": _NAME,
    **dict.fromkeys(("store", "algorithm"), _NAME),
    "slots": _PROPERTY,
    **dict.fromkeys(("table_bytes", "store_pages", "machine_bytes"), _PROPERTY),
    "freeable_bytes": _STATE,
    "notified": _How(or_, or_),
    "off": _How(or_, and_),
    **dict.fromkeys((*COUNTS, "sizes", "refaults"), _COUNT),
    **dict.fromkeys(("live_slots_end", "live_compr_bytes_end", "duplicate_slots_end", "used_slots"), _STATE),
    "ramzswap": _DERIVED,
    "swap_header": _named(_STATE),
    "model": _CONTENT,
    "kernel": _CONTENT,
    "kernel_counts": _How(_later, _by_name(_sum)),  # the kernel counts from the start of the recording on
    "policies": _How(_by_name(_policy("in_time")), _by_name(_policy("over_machines"))),
    "recovered": _named(_INTEGRAL),
    "leaked": _named(_INTEGRAL),
    "duplicate_compr_bytes": _INTEGRAL,
    "pool": _INTEGRAL,
    "lifetime": _LIVES,
    "lifetime_by_reason": _named(_DURATIONS),
    "time_to_reuse": _LIVES,
    "free_reasons": _named(_COUNT),
    "unread": _named(_COUNT),
    "in_use": _How(_later, _of_fields(InUse, **dict.fromkeys(InUse.__dataclass_fields__, _sum))),
    "notification": _DURATIONS,
    "series": _How(_later, _nothing),  # in time: see _joined()
    "slot_map": _How(_later, _nothing),
    "leaks": _How(_later, _leaks),
    "free_path": _How(_later, _by_name(_sum)),
    "age": _How(_ages("in_time"), _ages("over_machines")),
    "what_if": _How(_by_name(_what_if("in_time")), _by_name(_what_if("over_machines"))),
    "ranges": _DERIVED,
    "unknown": _REASONS,
    "not_told": _REASONS,
    "not_understood": _How(max, max),
    "shown": _How(_same(), _same(())),
    "discards": _How(_same(), _same()),
    "absent": _REASONS,
    "sharers": _How(_later, _sum),
    "under_way": _STATE,
    "not_predicted": _REASONS,
}  # fmt: skip
assert set(_FIELDS) == {field.name for field in fields(AreaResult)}


# -- the whole


@dataclass(frozen=True)
class Piece:
    """An area's results of a part of a recording. begin: when that began, ns since the recording did."""

    begin: int
    area: AreaResult


def recording(results: Iterable[TraceResult]) -> TraceResult:
    """The results of a recording, of those of its parts, which lie one after the other without a gap.

    Raises ValueError if there is none, or if they are not of one recording.
    """
    parts = sorted(results, key=lambda result: (result.begin, result.trace["duration_s"]))
    if not parts or any(part.header != parts[0].header for part in parts):
        raise ValueError("these are not the parts of one recording")
    pieces: dict[tuple[str, int, int], list[Piece]] = {}
    there: Counter[tuple[str, int, int]] = Counter()  # for how long, ns
    for part in parts:
        for area in part.areas:
            key = area.device, area.swap_type, area.generation
            pieces.setdefault(key, []).append(Piece(part.begin, area))
            there[key] += _span(part)
    first, last = parts[0], parts[-1]
    trace = {
        **last.trace,
        "events": sum(part.trace["events"] for part in parts),
        "duration_s": round((last.begin - first.begin) / 1e9 + last.trace["duration_s"], 9),
    }
    tasks = {number: name for part in parts for number, name in part.tasks.items()}
    span = sum(map(_span, parts))
    areas = [_since(in_time(each, first.begin), span - there[key]) for key, each in pieces.items()]
    return replace(last, trace=trace, areas=areas, tasks=tasks, begin=first.begin)


def _span(part: TraceResult) -> int:
    """How long a part is, ns."""
    seconds: float = part.trace["duration_s"]
    return round(1e9 * seconds)


def in_time(pieces: Iterable[Piece], begin: int = 0) -> AreaResult:
    """An area's results of the pieces of a recording, in any order. Raises ValueError if there is none.

    begin: what its series is to count from, ns since the recording began.
    """
    in_order = sorted(pieces, key=lambda piece: piece.begin)
    whole = _reduced(_then, in_order)
    series = whole.area.series
    return replace(whole.area, series=replace(series, time=series.time + (whole.begin - begin)))


def _since(area: AreaResult, before: int) -> AreaResult:
    """An area that was not there for the first `before` ns; its store may have been."""
    if not before:
        return area
    pools = [
        name
        for name, row, _ in walk(values(area))
        if row.kind is Kind.INTEGRAL and (row.name == "pool" or row.name.endswith("pool_bytes"))
    ]
    why = "the area came later than the first of the parts that these results are of, which do not tell of its store"
    whole: AreaResult = _stretched(area, before)
    return replace(whole, unknown=area.unknown | dict.fromkeys(pools, why))


def _stretched(value: Any, span: int) -> Any:
    """Whatever holds integrals, with those over as many ns more: before an area was there, nothing was held in it."""
    if isinstance(value, Integral | Ages):
        return replace(value, span=value.span + span)
    if isinstance(value, dict):
        return {name: _stretched(each, span) for name, each in value.items()}
    if isinstance(value, AreaResult | PolicyResult | WhatIf | WrittenBack):
        return replace(value, **{each.name: _stretched(getattr(value, each.name), span) for each in fields(value)})
    return value


def over_machines(areas: Iterable[AreaResult]) -> AreaResult:
    """The sum of areas of different machines, or of one. Raises ValueError if there is none.

    Names that are not the same of all are SEVERAL. Peaks are in `ranges`; means are those of an area.
    """
    return _reduced(_and, areas)


def _reduced(two: Callable[[T, T], T], parts: Iterable[T]) -> T:
    every = list(parts)
    if not every:
        raise ValueError("there are no results to put together")
    return reduce(two, every)


def _then(one: Piece, other: Piece) -> Piece:
    area = _merged("in_time", one.area, other.area)
    series, slots = _joined(_Course.of(one), _Course.of(other), one.begin)
    running = (one if one.area.off else other).area  # what ran at the end of the earlier piece goes on in the later one
    area = replace(
        area,
        series=series,
        slot_map=slots,
        lifetime=replace(area.lifetime, censored=running.lifetime.censored),
        time_to_reuse=replace(area.time_to_reuse, censored=running.time_to_reuse.censored),
        ranges=_ranges_in_time(one.area, other.area),
    )
    return Piece(one.begin, area)


def _and(one: AreaResult, other: AreaResult) -> AreaResult:
    return replace(_merged("over_machines", one, other), ranges=_ranges_over_machines(one, other))


def _merged(way: str, one: AreaResult, other: AreaResult) -> AreaResult:
    """All fields but those that need more than that field of both."""
    area = AreaResult(
        **{name: getattr(how, way)(getattr(one, name), getattr(other, name)) for name, how in _FIELDS.items()}
    )
    # the driver's statistics are those of the counts of the whole; its own failures, as the kernel's counters are
    moved = getattr(_FIELDS["kernel_counts"], way)(one.ramzswap, other.ramzswap)
    driver = ramzswap(area, area.model.same_pages, area.sizes, len(area.sizes) - 1, moved.get)
    return replace(area, ramzswap=driver)


Ranges = dict[str, Range]


def _told(area: AreaResult) -> Ranges:
    """Where all figures lie that can have a range: where they were counted, if nothing was lost."""
    peaks = {f"{name}.peak": value["peak"] for name, row, value in walk(values(area))
             if row.kind is Kind.INTEGRAL and value is not None}  # fmt: skip
    return {name: Range(value, value) for name, value in (bounded_figures(area) | peaks).items()} | area.ranges


def _ranges(one: AreaResult, other: AreaResult, of_two: Callable[[str, Range, Range], Range | None]) -> Ranges:
    """of_two: of a figure, one's range and the other's; None where the whole is exact."""
    first, second = _told(one), _told(other)
    found = {name: of_two(name, first[name], second[name]) for name in first if name in second}
    return {name: range_ for name, range_ in found.items() if range_ is not None}


def _ranges_in_time(one: AreaResult, other: AreaResult) -> Ranges:
    def of_two(name: str, early: Range, late: Range) -> Range | None:
        row = figure_at(name)
        if name not in one.ranges and name not in other.ranges:
            return None
        if name.endswith("peak"):
            highs = [found.high for found in (early, late) if found.high is not None]
            return Range(max(early.low, late.low), max(highs) if len(highs) == 2 else None)
        if row is not None and row.kind is Kind.COUNT:
            return _added(early, late)
        return late if name in other.ranges else None

    return _ranges(one, other, of_two)


def _ranges_over_machines(one: AreaResult, other: AreaResult) -> Ranges:
    def of_two(name: str, first: Range, second: Range) -> Range | None:
        if name.endswith("peak"):
            return Range(max(first.low, second.low), _sum(first.high, second.high))
        return _added(first, second) if name in one.ranges or name in other.ranges else None

    return _ranges(one, other, of_two)


def _added(one: Range, other: Range) -> Range:
    return Range(one.low + other.low, _sum(one.high, other.high))
