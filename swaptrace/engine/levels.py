"""What the pages of a store add up to at every moment, per area and quantity: now, at peak, and over time.

An event moves pages from class to class (see swaptrace.engine.classes). What the pages of each class add up to is kept;
sums of that give every quantity. Only for the peaks, the sums themselves are kept as well.
"""

from __future__ import annotations

import cython
import numpy as np
from cython.cimports.swaptrace.engine import constants
from cython.cimports.swaptrace.engine.classes import Classes
from cython.cimports.swaptrace.engine.clock import Clock
from cython.cimports.swaptrace.engine.groups import Groups
from numpy.typing import NDArray

from swaptrace.engine.clock import fold
from swaptrace.engine.constants import BINS, MAP_ROWS
from swaptrace.engine.figures import Integral, SlotMap
from swaptrace.engine.policies import COUNTS, LIVE, QUANTITIES, STALE

PEAKS = [quantity for quantity in range(len(QUANTITIES)) if quantity != LIVE]  # nobody asks for that one's


def _transitions() -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    """`which` and `ends` of Levels."""
    member = COUNTS[:, PEAKS] != 0
    before, after = member[:, None], member[None, :]
    rank = np.select([after & ~before, before & ~after, before & after], [0, 1, 2], 3)
    ends = [(rank <= last).sum(axis=2) for last in range(3)]
    which = np.argsort(rank, axis=2, kind="stable").astype(np.int8)
    return np.ascontiguousarray(which), np.ascontiguousarray(np.stack(ends, axis=2).astype(np.int8))


_WHICH, _ENDS = _transitions()
_ON_MAP = np.ascontiguousarray(COUNTS[:, [LIVE, STALE["none"]]].astype(np.int32))


class Levels:
    """All quantities of one store's areas. Pages move(), and time goes on by tick().

    which: int8 (classes, classes, PEAKS), what a page enters, leaves and stays in, from class to class; ends: int8
    (classes, classes, 3), where in `which` each of these ends. on_map: int32 (classes, 2), 1 where the class is live,
    and stale under the policy none. member: int64 (classes, quantities), 1 where the class counts towards the quantity.

    classes: a row per area. groups: whose the pages are. Per area: sums, int64 (areas, PEAKS, 4), slots and bytes, now
    and at peak. series: int64 (areas, BINS, quantities, 2), slots and bytes at the end
    of each bin. row: int32 (areas, MAP_ROWS, 2), live and stale slots per row of the map, now; map: int32 (areas, BINS,
    MAP_ROWS, 2), at the end of each bin. per_row: int64 (areas,), slots per row of the map.
    """

    def __init__(self, origin: int, groups: Groups) -> None:
        """Begins at `origin` (ns), without areas."""
        self.clock = Clock(origin)
        self.classes, self.groups = Classes(), groups
        self.which, self.ends, self.on_map, self.member = _WHICH, _ENDS, _ON_MAP, COUNTS
        self._set_areas(_no_areas(0))

    def _set_areas(self, arrays: list[NDArray[np.int64]]) -> None:
        self.sums, self.series, self.row, self.map, self.per_row = arrays

    def _areas(self) -> list[NDArray[np.int64]]:
        """All that is per area."""
        views: list[object] = [self.sums, self.series, self.row, self.map, self.per_row]
        return [np.asarray(view) for view in views]

    def add_area(self, slots: int) -> None:
        """One more area, of that many slots."""
        self._set_areas([np.concatenate(both) for both in zip(self._areas(), _no_areas(1), strict=True)])
        self.classes.grow(len(self.per_row))
        self.groups.add_area()
        self.per_row[len(self.per_row) - 1] = max(-(-slots // MAP_ROWS), 1)

    def copy(self) -> Levels:
        """The same, in memory of its own."""
        copy = Levels(0, self.groups.copy())
        copy.clock, copy.classes = self.clock.copy(), self.classes.copy()
        copy._set_areas([array.copy() for array in self._areas()])
        return copy

    def finish(self, end: int) -> None:
        """Let time go on to `end` (ns), if that is not past."""
        self.tick(end)
        self._settle(self.clock.now)

    def reset_statistics(self, now: int) -> None:
        """Forget peaks, integrals and series, but not what there is: what follows is measured from `now` (ns)."""
        self.finish(now)
        self.classes.forget_integrals()
        self.groups.reset_statistics()
        sums = np.asarray(self.sums)
        sums[:, :, [constants.PEAK_SLOTS, constants.PEAK_BYTES]] = sums[:, :, [constants.SLOTS, constants.BYTES]]
        self.clock = Clock(self.clock.now)

    # -- pages and time

    def move(
        self,
        area: cython.longlong,
        row: cython.longlong,
        old_class: cython.longlong,
        old_size: cython.longlong,
        new_class: cython.longlong,
        new_size: cython.longlong,
    ) -> None:
        """A page of an area, in that row of the map, goes over to another class, with another size perhaps (bytes)."""
        since: cython.longlong = self.clock.now - self.clock.since
        self.classes.leave(area, old_class, old_size, since)
        self.classes.enter(area, new_class, new_size, since)
        self.row[area, row, 0] += self.on_map[new_class, 0] - self.on_map[old_class, 0]
        self.row[area, row, 1] += self.on_map[new_class, 1] - self.on_map[old_class, 1]
        entered: cython.longlong = self.ends[old_class, new_class, 0]
        left: cython.longlong = self.ends[old_class, new_class, 1]
        kept: cython.longlong = self.ends[old_class, new_class, 2]
        number: cython.longlong
        for number in range(entered):
            self._enter(area, self.which[old_class, new_class, number], new_size)
        for number in range(entered, left):
            peak: cython.longlong = self.which[old_class, new_class, number]
            self.sums[area, peak, constants.SLOTS] -= 1
            self.sums[area, peak, constants.BYTES] -= old_size
        if old_size != new_size:
            for number in range(left, kept):
                peak = self.which[old_class, new_class, number]
                bytes_now: cython.longlong = self.sums[area, peak, constants.BYTES] + new_size - old_size
                self.sums[area, peak, constants.BYTES] = bytes_now
                self.sums[area, peak, constants.PEAK_BYTES] = max(
                    self.sums[area, peak, constants.PEAK_BYTES], bytes_now
                )

    def _enter(self, area: cython.longlong, peak: cython.longlong, size: cython.longlong) -> None:
        """One page more counts towards a quantity of PEAKS."""
        slots: cython.longlong = self.sums[area, peak, constants.SLOTS] + 1
        bytes_now: cython.longlong = self.sums[area, peak, constants.BYTES] + size
        self.sums[area, peak, constants.SLOTS] = slots
        self.sums[area, peak, constants.BYTES] = bytes_now
        self.sums[area, peak, constants.PEAK_SLOTS] = max(self.sums[area, peak, constants.PEAK_SLOTS], slots)
        self.sums[area, peak, constants.PEAK_BYTES] = max(self.sums[area, peak, constants.PEAK_BYTES], bytes_now)

    def row_of(self, area: cython.longlong, slot: cython.longlong) -> cython.longlong:
        """The row of the map that a slot is in."""
        row: cython.longlong = slot // self.per_row[area]
        return min(row, constants.MAP_ROWS - 1)

    def tick(self, time: cython.longlong) -> None:
        """Time goes on, never back: across CPUs, time stamps may step back by microseconds."""
        if time >= self.clock.next:
            while self.clock.bin_is_over(time):
                self._close_bin()
            self._settle(time)
        if time > self.clock.now:
            self.clock.now = time

    def _settle(self, now: cython.longlong) -> None:
        """Add up all integrals until now."""
        since: cython.longlong = now - self.clock.since
        self.classes.settle(since)
        if self.groups.wanted:
            self.groups.classes.settle(since)
        self.clock.settled(now)

    def _close_bin(self) -> None:
        """Note all values at the end of the running bin."""
        area: cython.Py_ssize_t
        for area in range(self.per_row.shape[0]):
            self._note_sums(area, self.clock.bin)
            self.map[area, self.clock.bin, :, :] = self.row[area]
        if self.clock.close_bin():
            with cython.gil:
                self._fold()

    def _fold(self) -> None:
        for area in range(len(np.asarray(self.per_row))):
            fold(np.asarray(self.series)[area])
            fold(np.asarray(self.map)[area])

    def _note_sums(self, area: cython.longlong, bin: cython.longlong) -> None:
        """The slots and bytes of all quantities, at the end of that bin."""
        number: cython.Py_ssize_t
        quantity: cython.Py_ssize_t
        for quantity in range(self.series.shape[2]):
            self.series[area, bin, quantity, constants.SLOTS] = 0
            self.series[area, bin, quantity, constants.BYTES] = 0
        for number in range(1, self.member.shape[0]):  # no page of class 0 counts towards anything
            slots: cython.longlong = self.classes.now[area, number, constants.SLOTS]
            if slots:
                held: cython.longlong = self.classes.now[area, number, constants.BYTES]
                for quantity in range(self.series.shape[2]):
                    if self.member[number, quantity]:
                        self.series[area, bin, quantity, constants.SLOTS] += slots
                        self.series[area, bin, quantity, constants.BYTES] += held

    # -- results of one area

    def slots(self, area: int, quantity: int) -> tuple[int, int]:
        """(now, at peak); the peak of LIVE is not known, and 0."""
        return self.classes.total(area, quantity, constants.SLOTS), self._peak(area, quantity, constants.PEAK_SLOTS)

    def integral_of(self, area: int, quantity: int) -> Integral:
        """Compressed bytes: now, at peak (as in slots()), mean over time, and byte-seconds."""
        span = self.clock.now - self.clock.origin
        held, peak = (
            self.classes.total(area, quantity, constants.BYTES),
            self._peak(area, quantity, constants.PEAK_BYTES),
        )
        return Integral(held, peak, self.classes.byte_ns(area, quantity), span)

    def _peak(self, area: int, quantity: int, which: int) -> int:
        return int(np.asarray(self.sums)[area, PEAKS.index(quantity), which]) if quantity in PEAKS else 0

    def bins(self) -> NDArray[np.int64]:
        """Ends of the bins since the origin, the running one's included (ns)."""
        ends = np.arange(1, self.clock.bin + 2) * self.clock.width
        ends[self.clock.bin] = self.clock.now - self.clock.origin
        return np.asarray(ends, np.int64)

    def series_of(self, area: int) -> NDArray[np.int64]:
        """Slots and bytes of each quantity at the end of each of bins(): int64 (bins, quantities, 2)."""
        whole = np.asarray(self.series)[area, : self.clock.bin]
        now = COUNTS[:, : len(QUANTITIES)].T @ np.asarray(self.classes.now)[area, :, :2]
        return np.concatenate([whole, now[None]])

    def slot_map(self, area: int, slots: int) -> SlotMap:
        whole = np.asarray(self.map)[area, : self.clock.bin]
        both = np.concatenate([whole, np.asarray(self.row)[area][None]])
        per_row = int(self.per_row[area])
        rows = -(-slots // per_row)
        return SlotMap(both[:, :rows, 0], both[:, :rows, 1], per_row, slots)


def _no_areas(count: int) -> list[NDArray[np.int64]]:
    """What Levels._areas() gives, for that many areas: all zeros."""
    quantities = len(QUANTITIES)
    shapes: list[tuple[type, tuple[int, ...]]] = [
        (np.int64, (len(PEAKS), 4)),
        (np.int64, (BINS, quantities, 2)),
        (np.int32, (MAP_ROWS, 2)),
        (np.int32, (BINS, MAP_ROWS, 2)),
        (np.int64, ()),
    ]
    return [np.zeros((count, *shape), kind) for kind, shape in shapes]
