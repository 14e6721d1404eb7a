"""Time in a store model: bins of a series, and exact integrals over time.

A clock is an int64 array, see `new_clock`. Values are noted at the end of each time bin; when the bins are used up they
are folded into half as many of twice the width. Between two settlements a value's integral is kept as one moment (each
change times the ns since the last settlement), so that a change costs one multiplication; a settlement adds to a number
of two words, in which nothing is rounded.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from swaptrace.analysis.jit import Number, njit

__all__ = [
    "BIN",
    "BINS",
    "NEXT",
    "NOW",
    "ORIGIN",
    "SINCE",
    "WIDTH",
    "add_integral",
    "bin_closed",
    "bin_is_over",
    "fold",
    "integral_of",
    "new_clock",
    "settled",
]

BINS = 1024  # time bins of a series; when they are used up, they are folded into half as many
NOW, ORIGIN, WIDTH, BIN, NEXT, SINCE = range(6)

_FIRST_WIDTH = 1000  # ns
_LONGEST = 1 << 28  # ns between two settlements: a moment has room in 64 bits if no more than 32 GiB change meanwhile
_WORD = 30  # bits
_LOW = (1 << _WORD) - 1


def new_clock(origin: int) -> NDArray[np.int64]:
    """All in ns but BIN: now, the first bin's begin, the bins' width, the running bin's number, when there is something
    to do next (the bin ends, or a settlement is due), and when the last settlement was."""
    return np.array([origin, origin, _FIRST_WIDTH, 0, origin + _FIRST_WIDTH, origin], np.int64)


@njit
def settled(clock: NDArray[np.int64], now: Number) -> None:
    """All integrals have been settled up to `now`."""
    clock[SINCE] = now
    clock[NEXT] = min(clock[ORIGIN] + (clock[BIN] + 1) * clock[WIDTH], now + _LONGEST)


@njit
def bin_is_over(clock: NDArray[np.int64], now: Number) -> Number:
    return now >= clock[ORIGIN] + (clock[BIN] + 1) * clock[WIDTH]


@njit
def bin_closed(clock: NDArray[np.int64]) -> Number:
    """Go on to the next bin. Whether the bins are to be folded, which is then up to the caller."""
    clock[BIN] += 1
    if clock[BIN] < BINS:
        return False
    clock[BIN] = BINS // 2
    clock[WIDTH] *= 2
    return True


@njit
def fold(bins: NDArray[Any]) -> None:
    """Keep every other bin, shape (BINS, a, b): element by element, for assigning whole rows would make arrays."""
    for half in range(BINS // 2):
        for first in range(bins.shape[1]):
            for second in range(bins.shape[2]):
                bins[half, first, second] = bins[2 * half + 1, first, second]


@njit
def add_integral(total: NDArray[np.int64], value: Number, time: Number, moment: Number) -> None:
    """Add value * time - moment to a number of two words, the lower one first."""
    low = (value & _LOW) * (time & _LOW)
    middle = (value >> _WORD) * (time & _LOW) + (value & _LOW) * (time >> _WORD)
    high = (value >> _WORD) * (time >> _WORD)
    total[0] += (low & _LOW) - (moment & _LOW)
    total[1] += (high << _WORD) + middle + (low >> _WORD) - (moment >> _WORD) + (total[0] >> _WORD)
    total[0] &= _LOW


def integral_of(total: NDArray[np.int64]) -> int:
    """What a number of two words is: value times ns."""
    return (int(total[1]) << _WORD) + int(total[0])
