"""The pools of one store, one per policy: what the compressed bytes cost in pages of memory, at every moment.

store/replay.py says, policy by policy, when an entry comes and goes; here zsmalloc (store/zsmalloc.py) says how many
pages the pool then has. Stale pool bytes are what a pool holds more than the one under `notify`, which holds live
entries only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from swaptrace.analysis.jit import Number, njit, njit_making_arrays
from swaptrace.analysis.results import Integral
from swaptrace.store import zsmalloc

__all__ = ["BINS", "OPERATION", "Pools"]

BINS = 1024  # time bins of a series; when they are used up, they are folded into half as many

#: One change of a pool: the entry of `page` gets an object of `size` bytes (0: none). `row` orders the operations of
#: different policies within a batch; `time` is in ns.
OPERATION = np.dtype([("time", np.int64), ("page", np.int64), ("row", np.int32), ("size", np.int32)], align=True)

_MOST_SLOTS = 1 << 20  # of a store whose size is not known when its first event comes
_PAGES = int(zsmalloc.Total.PAGES)
# the clock
_NOW, _ORIGIN, _WIDTH, _BIN = range(4)
# what is kept for each policy
_HELD, _PEAK, _PEAK_STALE = range(3)


@njit
def _tick(clock: NDArray[np.int64], now: Number, series: NDArray[np.int64], pages: Number) -> None:
    """Let time go on, with `pages` held meanwhile: bins as in store/replay.py."""
    while now >= clock[_ORIGIN] + (clock[_BIN] + 1) * clock[_WIDTH]:
        series[clock[_BIN]] = pages
        clock[_BIN] += 1
        if clock[_BIN] == BINS:
            for half in range(BINS // 2):
                series[half] = series[2 * half + 1]
            clock[_BIN] = BINS // 2
            clock[_WIDTH] *= 2
    clock[_NOW] = max(clock[_NOW], now)


@njit_making_arrays
def _carry_out(
    pool: zsmalloc.PoolArrays, geometry: zsmalloc.GeometryArrays, operations: NDArray[np.void]
) -> NDArray[np.int64]:
    """The pages that a pool holds after each operation. Taking away an object that is not there changes nothing."""
    pages = np.empty(len(operations), np.int64)
    for number in range(len(operations)):
        operation = operations[number]
        if operation["size"] > 0:
            zsmalloc.malloc(pool, geometry, operation["page"], operation["size"])
        else:
            zsmalloc.free(pool, geometry, operation["page"])
        pages[number] = pool.totals[_PAGES]
    return pages


@njit
def _follow(
    operations: NDArray[np.void],
    pages: NDArray[np.int64],
    values: NDArray[np.int64],
    integral: NDArray[np.float64],
    clock: NDArray[np.int64],
    series: NDArray[np.int64],
) -> None:
    """One pool through a batch: pages[i] is what it held after operations[i]."""
    for number in range(len(pages)):
        now = max(operations[number]["time"], clock[_NOW])
        integral[0] += np.float64(values[_HELD]) * np.float64(now - clock[_NOW])
        _tick(clock, now, series, values[_HELD])
        values[_HELD] = pages[number]
        values[_PEAK] = max(values[_PEAK], pages[number])


@njit
def _peak_difference(
    rows: NDArray[np.int32], pages: NDArray[np.int64], other_rows: NDArray[np.int32], other: NDArray[np.int64]
) -> Number:
    """The largest pages - other over a batch. The first element of each is what was held before the batch."""
    at, largest = 0, pages[0] - other[0]
    for number in range(len(pages)):
        row = rows[number]
        while at + 1 < len(other) and other_rows[at + 1] < row:
            at += 1
            largest = max(largest, pages[max(number - 1, 0)] - other[at])
        if at + 1 < len(other) and other_rows[at + 1] == row:
            at += 1
        largest = max(largest, pages[number] - other[at])
    for rest in range(at + 1, len(other)):
        largest = max(largest, pages[-1] - other[rest])
    return largest


class Pools:
    """The pools of a store of `slots` pages (0: not known yet), by policy number. `least` is that of `notify`."""

    def __init__(self, slots: int, policies: int, least: int, geometry: zsmalloc.Geometry, origin: int) -> None:
        self.page_size = geometry.page_size
        self._geometry = geometry.arrays
        self._least = least
        self._slots = slots or _MOST_SLOTS
        self._pools = [zsmalloc.new_pool(self._slots, geometry) for _ in range(policies)]
        self._values = np.zeros((policies, 3), np.int64)
        self._integral = np.zeros((policies, 1))
        self._clock = np.tile(np.array([origin, origin, 1000, 0], np.int64), (policies, 1))
        self._series = np.zeros((policies, BINS), np.int64)

    def fits(self, pages: int) -> bool:
        """Whether the pools have room for a store of that many pages."""
        return pages <= self._slots

    def advance(self, operations: list[NDArray[np.void]]) -> None:
        """Take in the next operations of each policy (arrays of OPERATION)."""
        before = self._values[:, _HELD].copy()
        after = [_carry_out(pool, self._geometry, one) for pool, one in zip(self._pools, operations, strict=True)]
        for number, (one, pages) in enumerate(zip(operations, after, strict=True)):
            _follow(one, pages, self._values[number], self._integral[number], self._clock[number], self._series[number])
        rows = [np.append(np.int32(-1), one["row"]) for one in operations]
        held = [np.append(first, pages) for first, pages in zip(before, after, strict=True)]
        for number in range(len(held)):
            peak = _peak_difference(rows[number], held[number], rows[self._least], held[self._least])
            self._values[number, _PEAK_STALE] = max(self._values[number, _PEAK_STALE], peak)

    def reset_statistics(self, now: int) -> None:
        """Forget peaks, integrals and series, but not what is held: what follows is measured from `now` (ns)."""
        held = self._values[:, _HELD]
        self._values[:, _PEAK] = held
        self._values[:, _PEAK_STALE] = held - held[self._least]
        self._integral[:] = 0
        self._clock[:] = (now, now, 1000, 0)

    def finish(self, end: int) -> None:
        """Let time go on to the recording's end (ns)."""
        for number, clock in enumerate(self._clock):
            span = max(end - int(clock[_NOW]), 0)
            self._integral[number] += float(self._values[number, _HELD]) * span
            _tick(clock, max(end, int(clock[_NOW])), self._series[number], self._values[number, _HELD])

    # -- results

    def held(self, number: int) -> Integral:
        """Bytes of a policy's pool, in whole pages: mem_used_total."""
        values = self._values[number]
        return self._in_bytes(int(values[_HELD]), int(values[_PEAK]), float(self._integral[number, 0]))

    def stale(self, number: int) -> Integral:
        """Bytes that a policy's pool holds more than that of `notify`."""
        values, least = self._values[number], self._values[self._least]
        area_under = float(self._integral[number, 0] - self._integral[self._least, 0])
        return self._in_bytes(int(values[_HELD] - least[_HELD]), int(values[_PEAK_STALE]), area_under)

    def _in_bytes(self, pages: int, peak: int, page_ns: float) -> Integral:
        clock = self._clock[self._least]
        span = int(clock[_NOW] - clock[_ORIGIN])
        mean = page_ns / span if span else float(pages)
        size = self.page_size
        return Integral(pages * size, peak * size, mean * size, page_ns * size / 1e9)

    def series(self, number: int) -> NDArray[np.int64]:
        """Bytes at the end of each bin, the running one included: int64, shape (bins,)."""
        whole = self._series[number, : self._clock[number, _BIN]]
        return np.asarray(np.append(whole, self._values[number, _HELD]) * self.page_size, np.int64)
