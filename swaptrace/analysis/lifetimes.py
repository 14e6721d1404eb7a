"""Slot lifetimes: stored -> freed, freed -> stored again, per area and reason of the free; and counts of all events.

One pass over the events, state per page of the store. A lifetime begins with the first store of a slot that was free
and ends with its free; storing it again in between (the page was changed and written back to the same slot) goes on
with the same life. A disk tells of no stores: there, a life begins when the slot is allocated.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from swaptrace.analysis.histogram import BUCKETS, Histogram, Survival, bucket_of
from swaptrace.analysis.jit import Events, Number, Record, njit
from swaptrace.analysis.lazy import extended, indexes_where
from swaptrace.analysis.mapping import HEADER, MAX_AREAS, NO_AREA, PageMap, index_of, mark_of, owned, owner_of
from swaptrace.errors import BadInput
from swaptrace.events import REASON_SHIFT, EventFlag, EventKind, FreeReason

__all__ = ["Count", "Lifetimes"]


class Count(IntEnum):
    """What is counted per area, in slots."""

    STORES = 0
    LOADS = 1
    FREES = 2
    FREES_UNWRITTEN = 3
    REWRITES = 4
    NOTIFY_FREE = 5
    MISS_FREE = 6
    DROPS = 7
    LEFT_CENSORED = 8
    FREED_LEFT_CENSORED = 9
    ALLOCATED = 10
    MOVED = 11
    WRITTEN_BACK = 12  # by zswap, to the swap area
    FAILED_WRITES = 13  # times, not slots


# phases of a slot
_UNKNOWN, _USED, _USED_BEFORE, _FREE = 0, 1, 2, 3

_STORE, _LOAD, _FREED = int(EventKind.STORE), int(EventKind.LOAD), int(EventKind.FREE)
_DROP, _NOTIFY, _PRESENT = int(EventKind.DROP), int(EventKind.NOTIFY), int(EventKind.PRESENT)
_ALLOC, _MOVED = int(EventKind.ALLOC), int(EventKind.MOVED)
_GONE, _MISSED, _REPLACED = int(EventFlag.GONE), int(EventFlag.MISSED), int(EventFlag.REPLACED)
_REASONS = max(FreeReason) + 1
_STORES, _LOADS, _FREES, _FREES_UNWRITTEN, _REWRITES, _NOTIFY_FREE, _MISS_FREE, _DROPS, _LEFT, _FREED_LEFT = range(10)
_ALLOCATED, _MOVES = 10, 11
_WRITTEN_BACK, _FAILED_WRITES = int(Count.WRITTEN_BACK), int(Count.FAILED_WRITES)
_FAILED = int(EventKind.FAILED)
_BY_ZSWAP = int(EventFlag.ANY_POLICY | EventFlag.WRITTEN_BACK)


class _State(NamedTuple):
    """phase: uint8 (pages,). since: int64 (pages,), when that phase began (ns). The others: per area."""

    phase: NDArray[np.uint8]
    since: NDArray[np.int64]
    counts: NDArray[np.int64]  # (areas, Count)
    reasons: NDArray[np.int64]  # (areas, FreeReason)
    lifetime: NDArray[np.int64]  # (areas, FreeReason, BUCKETS)
    reuse: NDArray[np.int64]  # (areas, BUCKETS)
    notification: NDArray[np.int64]  # (areas, BUCKETS)
    sizes: NDArray[np.int64]  # (areas, page size + 1)
    totals: NDArray[np.int64]  # (areas, _TOTALS)


_LIFETIME_MAX, _REUSE_MAX, _NOTIFY_MAX, _NOTIFY_SUM = range(4)
_LIFETIME_SUM = 4  # and one more for each further reason: sums of finished lifetimes
_LIFETIME_LARGEST = _LIFETIME_SUM + _REASONS
_TOTALS = _LIFETIME_LARGEST + _REASONS


@njit
def _bucket(value: Number) -> Number:
    """As histogram.bucket_of, for one value."""
    if value < 64:
        return max(value, 0)
    octave = 0
    while value >> octave >= 128:
        octave += 1
    return (octave + 1) * 64 + (value >> octave) - 64


@njit
def _stored(state: _State, area: Number, page: Number, event: Record) -> None:
    time = np.int64(event["time"])
    counts = state.counts[area]
    counts[_STORES] += 1
    if event["flags"] & _GONE:
        return  # written and freed at once: the free came first
    state.sizes[area, min(event["size"], state.sizes.shape[1] - 1)] += 1
    if state.phase[page] in (_USED, _USED_BEFORE):
        counts[_REWRITES] += 1
        return
    _begin(state, area, page, time)


@njit
def _begin(state: _State, area: Number, page: Number, time: Number) -> None:
    """A life begins: that of a slot that was free, or of which nothing was known."""
    if state.phase[page] == _FREE:
        gap = max(time - state.since[page], 0)
        state.reuse[area, _bucket(gap)] += 1
        state.totals[area, _REUSE_MAX] = max(state.totals[area, _REUSE_MAX], gap)
    state.phase[page] = _USED
    state.since[page] = time


@njit
def _freed(state: _State, area: Number, page: Number, time: Number, reason: Number) -> None:
    counts = state.counts[area]
    phase = state.phase[page]
    if phase == _USED:
        life = max(time - state.since[page], 0)
        state.lifetime[area, reason, _bucket(life)] += 1
        totals = state.totals[area]
        totals[_LIFETIME_MAX] = max(totals[_LIFETIME_MAX], life)
        totals[_LIFETIME_SUM + reason] += life
        totals[_LIFETIME_LARGEST + reason] = max(totals[_LIFETIME_LARGEST + reason], life)
    elif phase == _USED_BEFORE:
        counts[_FREED_LEFT] += 1
    else:
        counts[_FREES_UNWRITTEN] += 1
        return
    state.phase[page] = _FREE
    state.since[page] = time


@njit
def _allocated(state: _State, pages: PageMap, area: Number, event: Record) -> None:
    """Slots were given out. To a disk nothing else tells that they are in use from now on."""
    state.counts[area, _ALLOCATED] += event["run"]
    if pages.store >= 0:
        return
    for step in range(event["run"]):
        page: Number = index_of(pages.extents, area, np.int64(event["slot"]) + step)[0]
        if 0 <= page < len(state.phase) and state.phase[page] not in (_USED, _USED_BEFORE):
            _begin(state, area, page, np.int64(event["time"]))


@njit
def _advance(events: Events, pages: PageMap, state: _State) -> None:
    limit = len(state.phase)
    areas = len(state.counts)
    for event in events:
        kind = event["kind"]
        if kind in (_FREED, _ALLOC):
            area: Number = pages.type_area[event["device"]] if event["device"] < 32 else NO_AREA
            if area == NO_AREA:
                continue
            if kind == _ALLOC:
                _allocated(state, pages, area, event)
                continue
            reason = min(event["flags"] >> REASON_SHIFT & 0xF, _REASONS - 1)
            state.counts[area, _FREES] += event["run"]
            state.reasons[area, reason] += event["run"]
            for step in range(event["run"]):
                page: Number = index_of(pages.extents, area, np.int64(event["slot"]) + step)[0]
                if 0 <= page < limit:
                    _freed(state, area, page, np.int64(event["time"]), reason)
            continue
        if event["device"] != pages.store or event["slot"] >= limit:
            continue
        page = np.int64(event["slot"])
        if kind == _LOAD:
            for loaded in range(page, min(page + event["run"], limit)):
                owner = owner_of(pages, loaded)
                if owner < areas:
                    state.counts[owner, _LOADS] += 1
            continue
        area = owner_of(pages, page)
        if area >= areas and kind != _PRESENT:
            continue  # no slot: mkswap's page, a filesystem's
        if kind == _STORE:
            _stored(state, area, page, event)
        elif kind == _NOTIFY:
            state.counts[area, _NOTIFY_FREE] += 1
            if event["flags"] & _MISSED:
                state.counts[area, _MISS_FREE] += 1
            state.notification[area, _bucket(np.int64(event["arg"]))] += 1
            state.totals[area, _NOTIFY_SUM] += event["arg"]
            state.totals[area, _NOTIFY_MAX] = max(state.totals[area, _NOTIFY_MAX], event["arg"])
        elif kind == _MOVED:
            state.counts[area, _MOVES] += 1
        elif kind == _FAILED:
            state.counts[area, _FAILED_WRITES] += event["run"]
        elif kind == _DROP and not event["flags"] & _REPLACED:
            state.counts[area, _DROPS] += 1
            if event["flags"] & _BY_ZSWAP == _BY_ZSWAP:
                state.counts[area, _WRITTEN_BACK] += 1
        elif kind == _PRESENT:
            for page in range(event["slot"], min(event["slot"] + event["run"], limit)):
                owner = owner_of(pages, page)
                if owner < areas and state.phase[page] == _UNKNOWN:
                    state.phase[page] = _USED_BEFORE
                    state.counts[owner, _LEFT] += 1


class Lifetimes:
    """The lifetimes of one store's slots. Feed it events with advance(); read the results per area at any time."""

    def __init__(self, pages: int, page_size: int) -> None:
        self._page_size = page_size
        self._state = _State(np.zeros(pages, np.uint8), np.zeros(pages, np.int64), *self._statistics(0))
        self._cut_off: dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]] = {}  # by area that is off: used, free
        self._given_out_before: dict[int, int] = {}  # slots, by area: before counting began

    def _statistics(self, areas: int) -> tuple[NDArray[np.int64], ...]:
        shapes: tuple[tuple[int, ...], ...] = (
            (len(Count),), (_REASONS,), (_REASONS, BUCKETS), (BUCKETS,), (BUCKETS,), (self._page_size + 1,), (_TOTALS,),
        )  # fmt: skip
        return tuple(np.zeros((areas, *shape), np.int64) for shape in shapes)

    def add_area(self, pages: PageMap) -> None:
        """The store has one more area, whose slots begin anew."""
        state = self._state
        number = len(state.counts)
        if number >= MAX_AREAS:
            raise BadInput(
                f"more than {MAX_AREAS} swap areas came and went on one store", "report a part: --since and --until"
            )
        more = len(pages.owner) - len(state.phase)
        phase, since = extended(state.phase, more), extended(state.since, more)
        phase[owned(pages, number, HEADER)] = _UNKNOWN
        grown = (np.concatenate([old, new]) for old, new in zip(state[2:], self._statistics(1), strict=True))
        self._state = _State(phase, since, *grown)

    def end_area(self, area: int, pages: PageMap, now: int) -> None:
        """The area is off (ns): what runs still in its slots is right-censored there."""
        self._cut_off[area] = self._running(area, pages, _USED, now), self._running(area, pages, _FREE, now)

    def grow(self, pages: int) -> None:
        """Make room for that many pages."""
        more = pages - len(self._state.phase)
        if more > 0:
            self._state = self._state._replace(
                phase=extended(self._state.phase, more), since=extended(self._state.since, more)
            )

    def advance(self, events: NDArray[np.void], pages: PageMap) -> None:
        """Take in the next events (array of EVENT, in the ring's order)."""
        _advance(events, pages, self._state)

    def reset_statistics(self) -> None:
        """Forget all counts, but not the slots' states: what follows is counted from here."""
        self._given_out_before = {area: self.given_out(area) for area in range(len(self._state.counts))}
        for array in self._state[2:]:
            array[:] = 0
        for cut_off in self._cut_off.values():
            for array in cut_off:
                array[:] = 0

    # -- results of one area

    def count(self, area: int, what: Count) -> int:
        return int(self._state.counts[area, what])

    def given_out(self, area: int) -> int:
        """Slots that were allocated and not freed since the recording began; less than 0 if more were freed."""
        before = self._given_out_before.get(area, 0)
        return before + self.count(area, Count.ALLOCATED) - self.count(area, Count.FREES)

    def reasons(self, area: int) -> dict[str, int]:
        return {reason.name.lower(): int(self._state.reasons[area, reason]) for reason in FreeReason}

    def sizes(self, area: int) -> NDArray[np.int64]:
        return np.array(self._state.sizes[area])

    def notification(self, area: int) -> Histogram:
        totals = self._state.totals[area]
        return Histogram(self._state.notification[area].copy(), int(totals[_NOTIFY_SUM]), int(totals[_NOTIFY_MAX]))

    def by_reason(self, area: int) -> dict[str, Histogram]:
        totals = self._state.totals[area]
        return {
            reason.name.lower(): Histogram(
                self._state.lifetime[area, reason].copy(),
                int(totals[_LIFETIME_SUM + reason]),
                int(totals[_LIFETIME_LARGEST + reason]),
            )
            for reason in FreeReason
        }

    def lifetime(self, area: int, pages: PageMap, now: int) -> Survival:
        """stored -> freed; slots still in use at `now` (ns), or when the area went off, are right-censored."""
        ended = self._state.lifetime[area].sum(axis=0)
        censored = self._cut_off[area][0] if area in self._cut_off else self._running(area, pages, _USED, now)
        left = self.count(area, Count.LEFT_CENSORED)
        return Survival(ended, censored, int(self._state.totals[area, _LIFETIME_MAX]), left)

    def time_to_reuse(self, area: int, pages: PageMap, now: int) -> Survival:
        """freed -> stored again; slots still free at `now` (ns), or when the area went off, are right-censored."""
        censored = self._cut_off[area][1] if area in self._cut_off else self._running(area, pages, _FREE, now)
        return Survival(self._state.reuse[area].copy(), censored, int(self._state.totals[area, _REUSE_MAX]))

    def free_since(self, index: NDArray[np.int64]) -> NDArray[np.int64]:
        """When the slots at those store indexes were freed (ns); 0 where that was not seen."""
        return np.where(self._state.phase[index] == _FREE, self._state.since[index], 0)

    def _running(self, area: int, pages: PageMap, phase: int, now: int) -> NDArray[np.int64]:
        owner, phases = mark_of(area), self._state.phase
        rows = indexes_where(len(phases), lambda part: (phases[part] == phase) & (pages.owner[part] == owner))
        return np.bincount(bucket_of(now - self._state.since[rows]), minlength=BUCKETS).astype(np.int64)
