"""How long entries of a store are idle, and what writing back those that are idle for too long would give: for every
threshold at once, in one pass.

zram writes an entry to its backing device if nobody has stored or read it for a threshold T (`echo SECONDS > idle`,
`echo idle > writeback`); there it stays until it is overwritten or dropped, however often it is read (ZRAM_WB in
drivers/block/zram/zram_drv.c). So what counts for an entry is the first time that it is idle for longer than T: under
any threshold below the longest that it has been idle until now, it is on the disk. Those are the first N of THRESHOLDS,
and N only grows. What changes for a stretch of thresholds is noted at its two ends; sums over all that is at a
threshold's number and above are what there is under it.
"""

from __future__ import annotations

import cython
import numpy as np
from cython.cimports.swaptrace.engine import constants
from cython.cimports.swaptrace.engine.arrays import Pages
from cython.cimports.swaptrace.engine.clock import add_integral
from numpy.typing import NDArray

from swaptrace.engine.clock import integral_of
from swaptrace.engine.constants import AGES
from swaptrace.engine.figures import THRESHOLDS
from swaptrace.engine.figures import Ages as AgesFound
from swaptrace.engine.lazy import extended, lazy_zeros

_NUMBERS = AGES + 1  # of thresholds that an entry has passed


def passed(idle: cython.longlong) -> cython.longlong:
    """How many of THRESHOLDS are less than that (ns)."""
    units: cython.longlong = (idle - 1) // constants.AGE_UNIT
    if idle <= 0 or units < constants.AGE_PARTS:
        return 0
    octave: cython.longlong = 0
    while units >> octave >= 2 * constants.AGE_PARTS:
        octave += 1
    return min((octave - 1) * constants.AGE_PARTS + (units >> octave) + 1, constants.AGES)


@cython.final
@cython.cclass
class Ages:
    """The ages of one store's entries, as observed. Tell it of each that comes, is read, and goes.

    touched: int64 (pages,), when the entry was stored or read last (ns). number: uint8 (pages,), 1 + how many
    thresholds it has passed; 0 where the store holds nothing in memory. since: what is counted begins then (ns).
    Per area: counts, int64 (areas, 1 + AGES, AGE_COLUMNS), by how many thresholds; time, int64 (areas, 1 + AGES, 2),
    byte-nanoseconds likewise, in two words; unsized, int64 (areas,), entries from before the recording without a size.
    """

    def __init__(self, origin: int, wanted: bool) -> None:
        """Without areas and pages. origin: ns. wanted: or else nothing is followed."""
        self.wanted = wanted
        self.touched, self.number = lazy_zeros(0, np.int64), lazy_zeros(0, np.uint8)
        self.since = origin
        self._set_areas(_no_areas(0))

    def _set_areas(self, arrays: list[NDArray[np.int64]]) -> None:
        self.counts, self.time, self.unsized = arrays

    def _areas(self) -> list[NDArray[np.int64]]:
        views: list[object] = [self.counts, self.time, self.unsized]
        return [np.asarray(view) for view in views]

    # -- areas and pages that come

    def add_area(self) -> None:
        """The store has one more area."""
        self._set_areas([np.concatenate(both) for both in zip(self._areas(), _no_areas(1), strict=True)])

    def grow(self, pages: int) -> None:
        """Make room for that many pages."""
        more = pages - len(np.asarray(self.number))
        if more > 0:
            self.touched = extended(np.asarray(self.touched), more)
            self.number = extended(np.asarray(self.number), more)

    def copy(self, apart: bool = False) -> Ages:
        """The same, as far as it is results: it shares the pages, which this one goes on to change, unless apart."""
        copy = Ages(self.since, self.wanted)
        copy._set_areas([array.copy() for array in self._areas()])
        copy.touched, copy.number = self.touched, self.number
        if apart:
            copy.touched = extended(np.asarray(self.touched), 0)
            copy.number = extended(np.asarray(self.number), 0)
        return copy

    # -- entries

    def began(self, page: cython.longlong, now: cython.longlong) -> None:
        """The store has an entry in memory."""
        self.touched[page] = now
        self.number[page] = 1

    def found_unsized(self, area: cython.longlong) -> None:
        """An entry from before the recording, whose size is not known, has begun."""
        self.unsized[area] += 1

    def ended(self, area: cython.longlong, page: cython.longlong, size: cython.longlong, now: cython.longlong) -> None:
        """An entry in memory goes. size: what it began with."""
        number: cython.longlong = self._idle(area, page, size, now)
        if number:
            self._add_time(area, number, size, now)
        self.number[page] = 0

    def loaded(self, area: cython.longlong, page: cython.longlong, size: cython.longlong, now: cython.longlong) -> None:
        """An entry in memory is read."""
        number: cython.longlong = self._idle(area, page, size, now)
        self.counts[area, number, constants.AGE_LOADS] += 1
        self.number[page] = number + 1
        self.touched[page] = now

    def _idle(
        self, area: cython.longlong, page: cython.longlong, size: cython.longlong, now: cython.longlong
    ) -> cython.longlong:
        """How many thresholds an entry has passed; those that it has since it was touched are noted."""
        before: cython.longlong = self.number[page] - 1
        touched: cython.longlong = self.touched[page]
        after: cython.longlong = passed(now - touched)
        if after <= before:
            return before
        if touched < self.since:  # these were noted when counting began
            before = max(before, passed(self.since - touched))
        if after > before:
            self._add(area, before, after, constants.AGE_WRITES, 1)
            self._add(area, before, after, constants.AGE_BYTES, size)
            self._add_time(area, after, -size, touched)  # from then on, and a threshold: see of_area()
            self._add_time(area, before, size, touched)
        return after

    def _add(
        self,
        area: cython.longlong,
        first: cython.longlong,
        end: cython.longlong,
        column: cython.longlong,
        value: cython.longlong,
    ) -> None:
        """So much more under each threshold from `first` on, before `end`."""
        self.counts[area, first, column] -= value
        self.counts[area, end, column] += value

    def _add_time(
        self, area: cython.longlong, number: cython.longlong, size: cython.longlong, time: cython.longlong
    ) -> None:
        """Bytes times a time (ns) more under each threshold before that number."""
        total: tuple[cython.longlong, cython.longlong] = add_integral(
            self.time[area, number, 0], self.time[area, number, 1], size, time, 0
        )
        self.time[area, number, 0] = total[0]
        self.time[area, number, 1] = total[1]

    # -- moments

    def reset_statistics(self, pages: Pages, now: int) -> None:
        """Forget what happened, but not what there is: what follows is counted from `now` (ns).

        Under each threshold, what is on the disk by then is there from the beginning. The pages themselves stay as
        they are: a copy shares them.
        """
        for counted in (np.asarray(self.counts), np.asarray(self.time), np.asarray(self.unsized)):
            counted[:] = 0
        self.since = now
        self._begin_anew(pages)

    def _begin_anew(self, pages: Pages) -> None:
        page: cython.Py_ssize_t
        for page in range(min(self.number.shape[0], pages.shape[0])):
            if self.number[page]:
                area: cython.longlong = constants.NOBODY - pages[page].holder
                size: cython.longlong = pages[page].size
                number: cython.longlong = max(self.number[page] - 1, passed(self.since - self.touched[page]))
                if number:
                    self._add_time(area, number, -size, self.since)
                if pages[page].bits & constants.UNSIZED:
                    self.found_unsized(area)

    def finish(self, pages: Pages, now: int) -> None:
        """The recording ends (ns). To be done once; the pages themselves stay as they are."""
        self._end(pages, now)

    def _end(self, pages: Pages, now: cython.longlong) -> None:
        page: cython.Py_ssize_t
        for page in range(min(self.number.shape[0], pages.shape[0])):
            if self.number[page]:
                area: cython.longlong = constants.NOBODY - pages[page].holder
                size: cython.longlong = pages[page].size
                number: cython.longlong = self._idle(area, page, size, now)
                if number:
                    self._add_time(area, number, size, now)
                    self.counts[area, number, constants.AGE_PAGES_NOW] += 1
                    self.counts[area, number, constants.AGE_BYTES_NOW] += size

    # -- results of one area, after finish()

    def of_area(self, area: int, in_memory: int, span: int) -> AgesFound:
        """By threshold. in_memory, span: as AgesFound has them."""
        # of those that have passed so many, and more: under a threshold, what has passed the next number
        above = np.cumsum(np.asarray(self.counts)[area, :0:-1], axis=0)[::-1]
        columns = {name: above[:, number].copy() for name, number in _COLUMNS.items()}
        written = above[:, constants.AGE_BYTES].tolist()
        saved, total = [0] * AGES, 0
        for number in range(AGES, 0, -1):
            total += integral_of(np.asarray(self.time)[area, number])
            saved[number - 1] = total - written[number - 1] * THRESHOLDS[number - 1]
        return AgesFound(in_memory, span, saved, unsized=int(self.unsized[area]), **columns)


_COLUMNS = {
    "loads": constants.AGE_LOADS,
    "writes": constants.AGE_WRITES,
    "pages_end": constants.AGE_PAGES_NOW,
    "bytes_end": constants.AGE_BYTES_NOW,
}


def _no_areas(count: int) -> list[NDArray[np.int64]]:
    """What Ages._areas() gives, for that many areas: all zeros."""
    shapes = ((_NUMBERS, constants.AGE_COLUMNS), (_NUMBERS, 2), ())
    return [np.zeros((count, *shape), np.int64) for shape in shapes]
