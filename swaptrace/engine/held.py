"""Bytes that areas hold: now, at peak, and over time, exactly."""

from __future__ import annotations

import cython
import numpy as np
from cython.cimports.swaptrace.engine import constants
from cython.cimports.swaptrace.engine.clock import add_integral

from swaptrace.engine.clock import integral_of
from swaptrace.engine.figures import Integral

_NOW, _PEAK, _LOW = 0, 2, 3  # columns


@cython.final
@cython.cclass
class Held:
    """rows: int64 (areas, 5), by area: bytes now, their moment and, at last, their integral in two words, as
    swaptrace.engine.clock has them; between these, the most bytes. since: what is counted begins then; settled: when
    integrals were added up (ns).
    """

    def __init__(self, origin: int) -> None:
        """Without areas. origin: ns."""
        self.rows = np.zeros((0, 5), np.int64)
        self.since = self.settled = origin

    def add_area(self) -> None:
        """One more area."""
        self.rows = np.concatenate([np.asarray(self.rows), np.zeros((1, 5), np.int64)])

    def copy(self) -> Held:
        """The same, in memory of its own."""
        copy = Held(self.since)
        copy.settled, copy.rows = self.settled, np.array(self.rows)
        return copy

    def add(self, area: cython.longlong, size: cython.longlong, now: cython.longlong) -> None:
        """So many bytes more."""
        if now - self.settled > constants.LONGEST:
            self.settle(now)
        self.rows[area, 0] += size
        self.rows[area, 1] += size * (now - self.settled)
        self.rows[area, 2] = max(self.rows[area, 2], self.rows[area, 0])

    def settle(self, now: cython.longlong) -> None:
        """Add up all integrals until now."""
        area: cython.Py_ssize_t
        since: cython.longlong = now - self.settled
        for area in range(self.rows.shape[0]):
            total: tuple[cython.longlong, cython.longlong] = add_integral(
                self.rows[area, 3], self.rows[area, 4], self.rows[area, 0], since, self.rows[area, 1]
            )
            self.rows[area, 1] = 0
            self.rows[area, 3] = total[0]
            self.rows[area, 4] = total[1]
        self.settled = now

    def reset_statistics(self, now: int) -> None:
        """Forget peaks and integrals: what follows is counted from `now` (ns)."""
        self.settle(now)
        rows = np.asarray(self.rows)
        rows[:, _LOW:] = 0
        rows[:, _PEAK] = rows[:, _NOW]
        self.since = now

    def integral(self, area: int) -> Integral:
        """Up to the last settlement."""
        row = np.asarray(self.rows)[area]
        return Integral(int(row[_NOW]), int(row[_PEAK]), integral_of(row[_LOW:]), self.settled - self.since)
