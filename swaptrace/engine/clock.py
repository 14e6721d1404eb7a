"""Time in a store model: bins of a series, and exact integrals over time.

Values are noted at the end of each time bin; when the bins are used up they are folded into half as many of twice the
width. Between two settlements a value's integral is kept as one moment (each change times the ns since the last
settlement), so that a change costs one multiplication; a settlement adds to a number of two words, in which nothing is
rounded.
"""

from __future__ import annotations

import cython
import numpy as np
from cython.cimports.swaptrace.engine import constants
from numpy.typing import NDArray

from swaptrace.engine.constants import BINS


class Clock:
    """All in ns but `bin`.

    now. origin: the first bin's begin. width: of each bin. bin: the running one's number. next: when there is something
    to do (the bin ends, or a settlement is due). since: when the last settlement was.
    """

    def __init__(self, origin: int) -> None:
        self.now = origin
        self.origin = origin
        self.width = constants.FIRST_WIDTH
        self.bin = 0
        self.next = origin + self.width
        self.since = origin

    def copy(self) -> Clock:
        copy = Clock(self.origin)
        copy.now, copy.width, copy.bin = self.now, self.width, self.bin
        copy.next, copy.since = self.next, self.since
        return copy

    def settled(self, now: cython.longlong) -> None:
        """All integrals have been settled up to `now`."""
        self.since = now
        self.next = min(self.origin + (self.bin + 1) * self.width, now + constants.LONGEST)

    def bin_is_over(self, now: cython.longlong) -> cython.bint:
        return now >= self.origin + (self.bin + 1) * self.width

    def close_bin(self) -> cython.bint:
        """Go on to the next bin. Whether the bins are to be folded, which is then up to the caller."""
        self.bin += 1
        if self.bin < constants.BINS:
            return False
        self.bin = constants.BINS // 2
        self.width *= 2
        return True


def fold(bins: NDArray[np.int64] | NDArray[np.int32]) -> None:
    """Keep every other bin, shape (BINS, ...)."""
    bins[: BINS // 2] = bins[1::2].copy()


def add_integral(
    low: cython.longlong, high: cython.longlong, value: cython.longlong, time: cython.longlong, moment: cython.longlong
) -> tuple[cython.longlong, cython.longlong]:
    """A number of two words, high * 2**62 + low, and value * time - moment to it. value and time: less than 2**62."""
    lower: cython.longlong = (value & constants.HALF_MASK) * (time & constants.HALF_MASK)
    middle: cython.longlong = (value >> constants.HALF_BITS) * (time & constants.HALF_MASK) + (
        value & constants.HALF_MASK
    ) * (time >> constants.HALF_BITS)
    upper: cython.longlong = (value >> constants.HALF_BITS) * (time >> constants.HALF_BITS)
    high += upper + (middle >> constants.HALF_BITS) - (moment >> constants.WORD_BITS)
    low += lower  # one after the other: no sum of two words is more than 64 bits hold
    high += low >> constants.WORD_BITS
    low = (low & constants.WORD_MASK) + ((middle & constants.HALF_MASK) << constants.HALF_BITS)
    high += low >> constants.WORD_BITS
    low = (low & constants.WORD_MASK) - (moment & constants.WORD_MASK)
    high += low >> constants.WORD_BITS
    return low & constants.WORD_MASK, high


def integral_of(total: NDArray[np.int64]) -> int:
    """What a number of two words is: value times ns."""
    return (int(total[1]) << constants.WORD_BITS) + int(total[0])
