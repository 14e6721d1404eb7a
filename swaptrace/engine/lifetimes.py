"""Slot lifetimes: stored -> freed, freed -> stored again, per area and reason of the free; and counts of all events.

One pass over the events, state per page of the store. A lifetime begins with the first store of a slot that was free
and ends with its free; storing it again in between (the page was changed and written back to the same slot) goes on
with the same life. A disk tells of no stores: there, a life begins when the slot is allocated.
"""

from __future__ import annotations

import cython
import numpy as np
from cython.cimports.swaptrace.engine import constants
from cython.cimports.swaptrace.engine.arrays import (
    Event,
    Events,
    int64_1d,
    int64_2d,
    int64_3d,
    uint8_1d,
)
from cython.cimports.swaptrace.engine.mapping import Places
from cython.cimports.swaptrace.engine.records import EventRecords
from numpy.typing import NDArray

from swaptrace.engine.constants import HEADER
from swaptrace.engine.counters import COUNTS, Counts
from swaptrace.engine.lazy import extended, indexes_where, lazy_zeros, parts
from swaptrace.engine.mapping import MAX_AREAS, PageMap, is_owned, mark_of
from swaptrace.errors import BadInput
from swaptrace.events import FreeReason
from swaptrace.histogram import BUCKETS, Histogram, Survival, bucket_of


@cython.ccall
@cython.nogil
@cython.exceptval(check=False)
def _bucket(value: cython.longlong) -> cython.longlong:
    """As histogram.bucket_of, for one value (ns)."""
    if value < 64:
        return max(value, 0)
    octave: cython.longlong = 0
    step: cython.longlong = 32
    while step:
        if value >> octave + step >= 64:
            octave += step
        step >>= 1
    return (octave + 1) * 64 + (value >> octave) - 64


@cython.final
@cython.cclass
class Lifetimes:
    """The lifetimes of one store's slots. Feed it events with advance(); read the results per area at any time.

    phase: uint8 (pages,). since: int64 (pages,), when that phase began (ns). The others are per area, and int64: counts
    (areas, COUNTS), reasons (areas, FreeReason), in slots; histograms lifetime (areas, FreeReason, BUCKETS), reuse and
    notification (areas, BUCKETS); sizes (areas, page size + 1), stores by compressed size; and in ns lifetime_sum and
    lifetime_max (areas, FreeReason), reuse_max, notification_sum and notification_max (areas,). in_use:
    int64 (areas,), slots that were allocated and not freed since the recording began.
    """

    _page_size: cython.longlong
    _places: Places
    _phase: uint8_1d
    _since: int64_1d
    _counts: int64_2d
    _reasons: int64_2d
    _lifetime: int64_3d
    _reuse: int64_2d
    _notification: int64_2d
    _sizes: int64_2d
    _lifetime_sum: int64_2d
    _lifetime_max: int64_2d
    _reuse_max: int64_1d
    _notification_sum: int64_1d
    _notification_max: int64_1d
    _cut_off: dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]]  # by area that is off: used, free
    _in_use: int64_1d

    def __init__(self, pages: int, page_size: int) -> None:
        self._page_size = page_size
        self._phase = lazy_zeros(pages, np.uint8)
        self._since = lazy_zeros(pages, np.int64)
        self._set_statistics(self._no_statistics(0))
        self._cut_off = {}
        self._in_use = np.zeros(0, np.int64)

    # -- events

    def advance(self, events: EventRecords, places: Places) -> None:
        """Take in the next events that are about this store, in the ring's order. places: of its map."""
        self._places = places
        self._advance(events.records)

    @cython.cfunc
    def _advance(self, events: Events) -> None:
        number: cython.Py_ssize_t
        with cython.nogil:
            for number in range(events.shape[0]):
                event: Event = events[number]
                if event.kind in (constants.FREE, constants.ALLOC):
                    self._of_area(event)
                elif event.slot < self._phase.shape[0]:
                    self._of_store(event)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _of_area(self, event: Event) -> cython.void:
        """Slots of an area were allocated or freed."""
        area: cython.longlong = self._places.area_of(event.device)
        if area == constants.NO_AREA:
            return
        if event.kind == constants.ALLOC:
            self._allocated(area, event)
            return
        reason: cython.longlong = min(max(event.reason, 1), constants.REASONS) - 1
        self._counts[area, constants.COUNT_FREES] += event.run
        self._in_use[area] -= event.run
        self._reasons[area, reason] += event.run
        slot: cython.longlong = event.slot
        step: cython.longlong
        for step in range(event.run):
            page: cython.longlong = self._places.index_of(area, slot + step)[0]
            if 0 <= page < self._phase.shape[0]:
                self._freed(area, page, event.time, reason)
        if event.flags & constants.FLAG_NOTIFIED:
            self._notified(area, event)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _of_store(self, event: Event) -> cython.void:
        """Something happened to pages of the store."""
        kind: cython.int = event.kind
        page: cython.longlong = event.slot
        area: cython.longlong = self._places.owner_of(page)
        if kind == constants.LOAD:
            self._loaded(page, event.run)
        elif kind == constants.PRESENT:
            self._present(page, event.run)
        elif area >= self._counts.shape[0]:
            return  # no slot: mkswap's page, a filesystem's
        elif kind == constants.STORE:
            self._stored(area, page, event)
        elif kind == constants.NOTIFY:
            self._notified(area, event)
        elif kind == constants.MOVED:
            self._counts[area, constants.COUNT_MOVED] += 1
        elif kind == constants.FAILED:
            self._counts[area, constants.COUNT_FAILED_WRITES] += event.run
        elif kind == constants.DROP and not event.flags & constants.FLAG_REPLACED:
            self._counts[area, constants.COUNT_DISCARDED] += 1
            if event.flags & constants.FLAG_ANY_POLICY and event.flags & constants.FLAG_WRITTEN_BACK:
                self._counts[area, constants.COUNT_WRITTEN_BACK] += 1

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _stored(self, area: cython.longlong, page: cython.longlong, event: Event) -> cython.void:
        self._counts[area, constants.COUNT_STORES] += 1
        if event.flags & constants.FLAG_GONE:
            return  # written and freed at once: the free came first
        size: cython.longlong = event.size
        self._sizes[area, min(size, self._page_size)] += 1
        if self._phase[page] in (constants.PHASE_USED, constants.PHASE_USED_BEFORE):
            self._counts[area, constants.COUNT_REWRITES] += 1
        else:
            self._begin(area, page, event.time)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _begin(self, area: cython.longlong, page: cython.longlong, time: cython.longlong) -> cython.void:
        """A life begins: that of a slot that was free, or of which nothing was known."""
        if self._phase[page] == constants.PHASE_FREE:
            gap: cython.longlong = max(time - self._since[page], 0)
            self._reuse[area, _bucket(gap)] += 1
            self._reuse_max[area] = max(self._reuse_max[area], gap)
        self._phase[page] = constants.PHASE_USED
        self._since[page] = time

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _freed(
        self, area: cython.longlong, page: cython.longlong, time: cython.longlong, reason: cython.longlong
    ) -> cython.void:
        if self._phase[page] == constants.PHASE_USED:
            life: cython.longlong = max(time - self._since[page], 0)
            self._lifetime[area, reason, _bucket(life)] += 1
            self._lifetime_sum[area, reason] += life
            self._lifetime_max[area, reason] = max(self._lifetime_max[area, reason], life)
        elif self._phase[page] != constants.PHASE_USED_BEFORE:
            self._counts[area, constants.COUNT_FREES_UNWRITTEN] += 1
            return
        self._phase[page] = constants.PHASE_FREE
        self._since[page] = time

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _allocated(self, area: cython.longlong, event: Event) -> cython.void:
        """To a disk nothing but this tells that slots are in use from now on."""
        self._in_use[area] += event.run
        if self._places.store >= 0:
            return
        slot: cython.longlong = event.slot
        step: cython.longlong
        for step in range(event.run):
            page: cython.longlong = self._places.index_of(area, slot + step)[0]
            if 0 <= page < self._phase.shape[0] and self._phase[page] not in (
                constants.PHASE_USED,
                constants.PHASE_USED_BEFORE,
            ):
                self._begin(area, page, event.time)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _loaded(self, first: cython.longlong, run: cython.longlong) -> cython.void:
        page: cython.longlong
        for page in range(first, min(first + run, self._phase.shape[0])):
            area: cython.longlong = self._places.owner_of(page)
            if area < self._counts.shape[0]:
                self._counts[area, constants.COUNT_LOADS] += 1

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _present(self, first: cython.longlong, run: cython.longlong) -> cython.void:
        """The store held these when the recording began."""
        page: cython.longlong
        for page in range(first, min(first + run, self._phase.shape[0])):
            area: cython.longlong = self._places.owner_of(page)
            if area < self._counts.shape[0] and self._phase[page] == constants.PHASE_UNKNOWN:
                self._phase[page] = constants.PHASE_USED_BEFORE
                self._counts[area, constants.COUNT_LEFT_CENSORED] += 1

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _notified(self, area: cython.longlong, event: Event) -> cython.void:
        self._counts[area, constants.COUNT_NOTIFY_FREE] += 1
        if event.flags & constants.FLAG_MISSED:
            self._counts[area, constants.COUNT_MISS_FREE] += 1
        if event.flags & constants.FLAG_TIMED:
            duration: cython.longlong = event.arg
            self._notification[area, _bucket(duration)] += 1
            self._notification_sum[area] += duration
            self._notification_max[area] = max(self._notification_max[area], duration)

    # -- areas and pages that come

    def _no_statistics(self, areas: int) -> list[NDArray[np.int64]]:
        """What _statistics() gives, for that many areas: all zeros."""
        reasons = len(FreeReason)
        shapes: tuple[tuple[int, ...], ...] = (
            (len(COUNTS),), (reasons,), (reasons, BUCKETS), (BUCKETS,), (BUCKETS,), (self._page_size + 1,),
            (reasons,), (reasons,), (), (), (),
        )  # fmt: skip
        return [np.zeros((areas, *shape), np.int64) for shape in shapes]

    def _statistics(self) -> list[NDArray[np.int64]]:
        """All that is per area."""
        views: list[object] = [
            self._counts, self._reasons, self._lifetime, self._reuse, self._notification, self._sizes,
            self._lifetime_sum, self._lifetime_max, self._reuse_max, self._notification_sum, self._notification_max,
        ]  # fmt: skip
        return [np.asarray(view) for view in views]

    def _set_statistics(self, arrays: list[NDArray[np.int64]]) -> None:
        self._counts, self._reasons, self._lifetime, self._reuse, self._notification, self._sizes = arrays[:6]
        self._lifetime_sum, self._lifetime_max, self._reuse_max = arrays[6:9]
        self._notification_sum, self._notification_max = arrays[9:]

    def add_area(self, pages: PageMap) -> None:
        """The store has one more area, whose slots begin anew."""
        number = len(self._counts)
        if number >= MAX_AREAS:
            raise BadInput(
                f"more than {MAX_AREAS} swap areas came and went on one store", "report a part: --since and --until"
            )
        self.grow(len(pages.owner))
        phases = np.asarray(self._phase)
        for part in parts(len(pages.owner)):
            known = phases[part] != constants.PHASE_UNKNOWN  # the others are not to be written to: memory
            phases[part][known & is_owned(pages, part, number, HEADER)] = constants.PHASE_UNKNOWN
        grown = zip(self._statistics(), self._no_statistics(1), strict=True)
        self._set_statistics([np.concatenate(both) for both in grown])
        self._in_use = np.append(self._in_use, 0)

    def end_area(self, area: int, pages: PageMap, now: int) -> None:
        """The area is off (ns): what runs still in its slots is right-censored there."""
        self._cut_off[area] = (
            self._running(area, pages, constants.PHASE_USED, now),
            self._running(area, pages, constants.PHASE_FREE, now),
        )

    def grow(self, pages: int) -> None:
        """Make room for that many pages."""
        more = pages - len(self._phase)
        if more > 0:
            self._phase = extended(np.asarray(self._phase), more)
            self._since = extended(np.asarray(self._since), more)

    def reset_statistics(self) -> None:
        """Forget all counts, but not the slots' states: what follows is counted from here."""
        self._set_statistics(self._no_statistics(len(self._counts)))
        nothing = np.zeros(BUCKETS, np.int64)
        self._cut_off = dict.fromkeys(self._cut_off, (nothing, nothing))

    def copy(self) -> Lifetimes:
        """The same, as far as it is results: it shares the slots' states, which this one goes on to change."""
        copy = Lifetimes(0, self._page_size)
        copy._phase, copy._since = self._phase, self._since
        copy._set_statistics([array.copy() for array in self._statistics()])
        copy._cut_off, copy._in_use = dict(self._cut_off), np.array(self._in_use)
        return copy

    # -- results of one area

    def counts(self, area: int) -> Counts:
        return Counts(**dict(zip(COUNTS, np.asarray(self._counts)[area].tolist(), strict=True)))

    def in_use(self, area: int) -> int:
        """Slots that were allocated and not freed since the recording began; less than 0 if more were freed."""
        return int(self._in_use[area])

    def reasons(self, area: int) -> dict[str, int]:
        counts = np.asarray(self._reasons)[area].tolist()
        return {reason.name.lower(): counts[reason] for reason in FreeReason}

    def sizes(self, area: int) -> NDArray[np.int64]:
        return np.array(np.asarray(self._sizes)[area])

    def notification(self, area: int) -> Histogram:
        counts = np.asarray(self._notification)[area].copy()
        return Histogram(counts, int(self._notification_sum[area]), int(self._notification_max[area]))

    def by_reason(self, area: int) -> dict[str, Histogram]:
        return {
            reason.name.lower(): Histogram(
                np.asarray(self._lifetime)[area, reason].copy(),
                int(np.asarray(self._lifetime_sum)[area, reason]),
                int(np.asarray(self._lifetime_max)[area, reason]),
            )
            for reason in FreeReason
        }

    def lifetime(self, area: int, pages: PageMap, now: int) -> Survival:
        """stored -> freed; slots still in use at `now` (ns), or when the area went off, are right-censored."""
        ended = np.asarray(self._lifetime)[area].sum(axis=0)
        censored = (
            self._cut_off[area][0] if area in self._cut_off else self._running(area, pages, constants.PHASE_USED, now)
        )
        longest = int(np.asarray(self._lifetime_max)[area].max())
        return Survival(ended, censored, longest, self.counts(area).left_censored)

    def time_to_reuse(self, area: int, pages: PageMap, now: int) -> Survival:
        """freed -> stored again; slots still free at `now` (ns), or when the area went off, are right-censored."""
        censored = (
            self._cut_off[area][1] if area in self._cut_off else self._running(area, pages, constants.PHASE_FREE, now)
        )
        return Survival(np.asarray(self._reuse)[area].copy(), censored, int(self._reuse_max[area]))

    def free_since(self, index: NDArray[np.int64]) -> NDArray[np.int64]:
        """When the slots at those store indexes were freed (ns); 0 where that was not seen."""
        return np.where(np.asarray(self._phase)[index] == constants.PHASE_FREE, np.asarray(self._since)[index], 0)

    def free(self, area: int, pages: PageMap) -> NDArray[np.int64]:
        """The store indexes (increasing) of an area's slots that were seen to be freed and are free now."""
        return self._indexes(area, pages, constants.PHASE_FREE)

    def _indexes(self, area: int, pages: PageMap, phase: int) -> NDArray[np.int64]:
        owner, phases = mark_of(area), np.asarray(self._phase)
        return indexes_where(len(phases), lambda part: (phases[part] == phase) & (pages.owner[part] == owner))

    def _running(self, area: int, pages: PageMap, phase: int, now: int) -> NDArray[np.int64]:
        ages = bucket_of(now - np.asarray(self._since)[self._indexes(area, pages, phase)])
        return np.bincount(ages, minlength=BUCKETS).astype(np.int64)
