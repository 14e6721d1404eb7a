"""What if a store wrote back what is idle: entries that nobody has stored or read for a threshold.

As zram does if it is asked to at each moment (`echo SECONDS > idle`, `echo idle > writeback`): the entry's object goes,
the entry stays, and is read from the disk, until it is overwritten or dropped. That is so under each policy, for those
entries that the store holds under it. What it comes to is counted as observed.
"""

from __future__ import annotations

import cython
import numpy as np
from cython.cimports.swaptrace.engine import constants
from cython.cimports.swaptrace.engine.delays import Delays
from cython.cimports.swaptrace.engine.held import Held
from numpy.typing import NDArray

from swaptrace.engine.figures import WrittenBack
from swaptrace.engine.lazy import extended, lazy_zeros
from swaptrace.engine.policies import HELD


@cython.final
@cython.cclass
class Idle:
    """The entries of one store that wait until they are idle for the threshold, and those that are on the disk.

    wanted: whether there is a threshold, or else nothing is followed. queue: pages with an entry in memory under any
    policy; it comes to an entry when it is idle. state: uint8 (pages,), of entries as observed: constants.IDLE_NONE, or
    IN_MEMORY or ON_DISK. size: uint32 (pages,), the entries' sizes. recorded: bytes that the areas hold in memory as
    recorded; remaining: if idle ones are written back. counts: int64 (areas, IDLE_COLUMNS).
    """

    def __init__(self, origin: int, threshold: int | None) -> None:
        """Without areas and pages. origin, threshold: ns."""
        self.wanted, self._threshold = threshold is not None, threshold or 0
        self.queue = Delays(([threshold], [HELD], [0]) if threshold is not None else ([], [], []))
        self.state, self.size = lazy_zeros(0, np.uint8), lazy_zeros(0, np.uint32)
        self.recorded, self.remaining = Held(origin), Held(origin)
        self.counts = np.zeros((0, constants.IDLE_COLUMNS), np.int64)

    # -- areas and pages that come

    def add_area(self) -> None:
        """The store has one more area."""
        self.recorded.add_area()
        self.remaining.add_area()
        self.counts = np.concatenate([np.asarray(self.counts), np.zeros((1, constants.IDLE_COLUMNS), np.int64)])

    def grow(self, pages: int) -> None:
        """Make room for that many pages."""
        more = pages - len(np.asarray(self.state))
        if self.wanted and more > 0:
            self.queue.grow(pages)
            self.state, self.size = extended(np.asarray(self.state), more), extended(np.asarray(self.size), more)

    def copy(self) -> Idle:
        """The same, in memory of its own."""
        copy = Idle(0, self._threshold if self.wanted else None)
        copy.queue = self.queue.copy()
        copy.state, copy.size = extended(np.asarray(self.state), 0), extended(np.asarray(self.size), 0)
        copy.recorded, copy.remaining = self.recorded.copy(), self.remaining.copy()
        copy.counts = np.array(self.counts)
        return copy

    # -- entries

    def touched(self, page: cython.longlong, now: cython.longlong) -> None:
        """An entry in memory is stored or read."""
        self.queue.forget(page)
        self.queue.put(page, constants.HELD, now)

    def began(self, area: cython.longlong, page: cython.longlong, size: cython.longlong, now: cython.longlong) -> None:
        """The store is seen to hold an entry in memory."""
        self.state[page] = constants.IN_MEMORY
        self.size[page] = size
        self.recorded.add(area, size, now)
        self.remaining.add(area, size, now)

    def ended(self, area: cython.longlong, page: cython.longlong, now: cython.longlong) -> None:
        """Such an entry, or its object, goes, as was seen."""
        size: cython.longlong = self.size[page]
        self.recorded.add(area, -size, now)
        if self.state[page] == constants.ON_DISK:
            self.counts[area, constants.IDLE_PAGES_NOW] -= 1
        else:
            self.remaining.add(area, -size, now)
        self.state[page] = constants.IDLE_NONE

    def loaded(self, area: cython.longlong, page: cython.longlong) -> None:
        """Such an entry is read."""
        if self.state[page] == constants.ON_DISK:
            self.counts[area, constants.IDLE_LOADS] += 1

    def written(self, area: cython.longlong, page: cython.longlong, now: cython.longlong) -> None:
        """Such an entry goes to the disk."""
        size: cython.longlong = self.size[page]
        self.state[page] = constants.ON_DISK
        self.remaining.add(area, -size, now)
        self.counts[area, constants.IDLE_WRITES] += 1
        self.counts[area, constants.IDLE_PAGES_NOW] += 1

    # -- moments and results

    def reset_statistics(self, now: int) -> None:
        """Forget what happened, but not what there is: what follows is counted from `now` (ns)."""
        self.recorded.reset_statistics(now)
        self.remaining.reset_statistics(now)
        np.asarray(self.counts)[:, [constants.IDLE_WRITES, constants.IDLE_LOADS]] = 0

    def finish(self, now: int) -> None:
        """Let time go on to the recording's end (ns)."""
        self.recorded.settle(now)
        self.remaining.settle(now)

    def of_area(self, area: int) -> WrittenBack | None:
        """After finish(); None without a threshold."""
        if not self.wanted:
            return None
        counts: NDArray[np.int64] = np.asarray(self.counts)[area]
        return WrittenBack(
            self.remaining.integral(area),
            self.recorded.integral(area),
            writes=int(counts[constants.IDLE_WRITES]),
            loads=int(counts[constants.IDLE_LOADS]),
            pages_end=int(counts[constants.IDLE_PAGES_NOW]),
        )
