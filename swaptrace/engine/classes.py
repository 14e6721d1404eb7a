"""What the pages of each class add up to, in rows: of an area, or of a group of an area's pages.

All pages that count towards the same quantities are a class (see swaptrace.engine.policies). Sums over classes give
every quantity: its slots and compressed bytes now, and its bytes over time.
"""

from __future__ import annotations

import cython
import numpy as np
from cython.cimports.swaptrace.engine import constants
from cython.cimports.swaptrace.engine.clock import add_integral

from swaptrace.engine.clock import integral_of
from swaptrace.engine.policies import COUNTS


@cython.final
@cython.cclass
class Classes:
    """now: int64 (rows, classes, 3): slots, bytes, and the moment of bytes (see swaptrace.engine.clock). integral:
    int64 (rows, classes, 2), byte-nanoseconds up to the last settlement, in two words. `since`: ns since then.
    """

    def __init__(self, rows: int = 0) -> None:
        classes = len(COUNTS)
        self.now = np.zeros((rows, classes, 3), np.int64)
        self.integral = np.zeros((rows, classes, 2), np.int64)

    def grow(self, rows: int) -> None:
        """Make room for that many rows, and for some to come."""
        have = len(self)
        if rows > have:
            more = Classes(max(rows, 2 * have if have > 1 else 0) - have)
            self.now = np.concatenate([np.asarray(self.now), np.asarray(more.now)])
            self.integral = np.concatenate([np.asarray(self.integral), np.asarray(more.integral)])

    def copy(self) -> Classes:
        """The same, in memory of its own."""
        copy = Classes()
        copy.now, copy.integral = np.array(self.now), np.array(self.integral)
        return copy

    def __len__(self) -> int:
        return len(np.asarray(self.now))

    def forget_integrals(self) -> None:
        """What there is stays; what follows is added up from here. Settle before."""
        np.asarray(self.integral)[:] = 0

    def leave(
        self, row: cython.longlong, number: cython.longlong, size: cython.longlong, since: cython.longlong
    ) -> None:
        """A page of that size (bytes) is no longer in that class."""
        self.now[row, number, constants.SLOTS] -= 1
        self.now[row, number, constants.BYTES] -= size
        self.now[row, number, constants.MOMENT] -= size * since

    def enter(
        self, row: cython.longlong, number: cython.longlong, size: cython.longlong, since: cython.longlong
    ) -> None:
        """A page of that size (bytes) is in that class from now on."""
        self.now[row, number, constants.SLOTS] += 1
        self.now[row, number, constants.BYTES] += size
        self.now[row, number, constants.MOMENT] += size * since

    def settle(self, since: cython.longlong) -> None:
        """Add up all integrals until now."""
        row: cython.Py_ssize_t
        number: cython.Py_ssize_t
        for row in range(self.now.shape[0]):
            for number in range(1, self.now.shape[1]):  # no page of class 0 counts towards anything
                held: cython.longlong = self.now[row, number, constants.BYTES]
                moment: cython.longlong = self.now[row, number, constants.MOMENT]
                if held or moment:
                    total: tuple[cython.longlong, cython.longlong] = add_integral(
                        self.integral[row, number, 0], self.integral[row, number, 1], held, since, moment
                    )
                    self.integral[row, number, 0] = total[0]
                    self.integral[row, number, 1] = total[1]
                    self.now[row, number, constants.MOMENT] = 0

    # -- results of one row

    def total(self, row: int, quantity: int, what: int) -> int:
        """constants.SLOTS or constants.BYTES of a quantity now."""
        return int(COUNTS[:, quantity] @ np.asarray(self.now)[row, :, what])

    def byte_ns(self, row: int, quantity: int) -> int:
        """Bytes of a quantity times the ns for which they were held, up to the last settlement: exact."""
        return sum(integral_of(part) for part in np.asarray(self.integral)[row, COUNTS[:, quantity] != 0])
