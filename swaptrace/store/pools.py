"""The pools of one store under every policy: what the compressed bytes cost in pages of memory, at every moment.

store/replay.py says, policy by policy, when an entry comes and goes; here zsmalloc (store/zsmalloc.py) says how many
pages the pool then has. Stale pool bytes are what a pool holds more than the one under `notify`, which holds live
entries only. Policies share one pool for as long as nothing has told them apart.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from swaptrace.analysis.jit import Number, njit
from swaptrace.analysis.results import Integral
from swaptrace.store import clock, zsmalloc
from swaptrace.store.clock import BINS

__all__ = ["OPERATION", "Pools"]

#: One change, at `time` (ns): the entry of `page` gets an object of `size` bytes (0: none) under the policies whose
#: bits are set in `pools`, by the policies' numbers.
OPERATION = np.dtype([("time", "i8"), ("page", "u4"), ("size", "u4"), ("pools", "u4"), ("unused", "u4")])

_MOST_SLOTS = 1 << 20  # room for at least that many: a store may get its size, or another one, while recording
_MOST_POLICIES = 8 * OPERATION["pools"].itemsize
_PAGES = int(zsmalloc.Total.PAGES)
_PEAK, _PEAK_STALE, _MOMENT = range(3)


class _Pool(NamedTuple):
    """One pool, and what is measured of it, all in pages."""

    zsmalloc: zsmalloc.PoolArrays
    values: NDArray[np.int64]  # (3,) the most held; the most more than `notify` holds; the moment, see clock.py
    integral: NDArray[np.int64]  # (2,) page-nanoseconds up to the last settlement, in two words
    clock: NDArray[np.int64]
    series: NDArray[np.int64]  # (BINS, 1, 1) held at the end of each bin


@njit
def _settle(pool: _Pool, now: Number) -> None:
    """Add up the integral until now."""
    since = now - pool.clock[clock.SINCE]
    clock.add_integral(pool.integral, pool.zsmalloc.totals[_PAGES], since, pool.values[_MOMENT])
    pool.values[_MOMENT] = 0
    clock.settled(pool.clock, now)


@njit
def _tick(pool: _Pool, time: Number) -> None:
    """Time goes on, with the same pages held meanwhile."""
    if time >= pool.clock[clock.NEXT]:
        while clock.bin_is_over(pool.clock, time):
            pool.series[pool.clock[clock.BIN], 0, 0] = pool.zsmalloc.totals[_PAGES]
            if clock.bin_closed(pool.clock):
                clock.fold(pool.series)
        _settle(pool, time)
    pool.clock[clock.NOW] = max(pool.clock[clock.NOW], time)


@njit
def _advance(
    pool: _Pool,
    geometry: zsmalloc.GeometryArrays,
    operations: NDArray[np.void],
    policies: Number,
    held: NDArray[np.int32],
    least: NDArray[np.int32],
) -> None:
    """One pool through a batch. held: what it holds after each operation, to be filled in; least: the same of notify's.

    Taking away an object that is not there changes nothing.
    """
    pages: Number = pool.zsmalloc.totals[_PAGES]
    for number in range(len(operations)):
        operation = operations[number]
        if operation["pools"] & policies:
            _tick(pool, operation["time"])
            page: Number = np.int64(operation["page"])
            size: Number = np.int64(operation["size"])
            if size > 0:
                zsmalloc.malloc(pool.zsmalloc, geometry, page, size)
            else:
                zsmalloc.free(pool.zsmalloc, geometry, page)
            after: Number = pool.zsmalloc.totals[_PAGES]
            if after != pages:
                pool.values[_MOMENT] += (after - pages) * (pool.clock[clock.NOW] - pool.clock[clock.SINCE])
                pool.values[_PEAK] = max(pool.values[_PEAK], after)
                pages = after
        held[number] = pages
        pool.values[_PEAK_STALE] = max(pool.values[_PEAK_STALE], pages - least[number])


@njit
def _kinds(operations: NDArray[np.void], found: NDArray[np.int64]) -> Number:
    """The different sets of policies that operations are about, to be written into `found`; how many. Few, always."""
    count: Number = 0
    for number in range(len(operations)):
        kind: Number = np.int64(operations[number]["pools"])
        place = 0
        while place < count and found[place] != kind:
            place += 1
        if place == count:
            found[count] = kind
            count += 1
    return count


class Pools:
    """The pools of a store of `slots` pages (0: not known yet), by policy number. `least` is that of `notify`."""

    def __init__(self, slots: int, policies: int, least: int, geometry: zsmalloc.Geometry, origin: int) -> None:
        """policies: how many there are. Raises ValueError if those are more than an operation has bits for."""
        if policies > _MOST_POLICIES:
            raise ValueError(f"{policies} policies, but operations on pools have bits for {_MOST_POLICIES}")
        self.page_size = geometry.page_size
        self._geometry = geometry
        self._least = least
        self._slots = max(slots, _MOST_SLOTS)  # a reset may give it another size; what is not used costs nothing
        first = _Pool(
            zsmalloc.new_pool(self._slots, geometry),
            np.zeros(3, np.int64),
            np.zeros(2, np.int64),
            clock.new_clock(origin),
            np.zeros((BINS, 1, 1), np.int64),
        )
        self._pools = {(1 << policies) - 1: first}  # by the set of policies that share it
        self._held: dict[int, NDArray[np.int32]] = {}

    def fits(self, pages: int) -> bool:
        """Whether the pools have room for a store of that many pages."""
        return pages <= self._slots

    def advance(self, operations: NDArray[np.void]) -> None:
        """Take in the next operations (array of OPERATION)."""
        kinds = np.empty(len(operations), np.int64)
        for kind in sorted(kinds[: int(_kinds(operations, kinds))].tolist()):
            self._tell_apart(kind)
        held = np.empty((2, len(operations)), np.int32)
        for policies in sorted(self._pools, key=lambda policies: not policies >> self._least & 1):  # notify's first
            mine = held[1] if policies >> self._least & 1 else held[0]
            _advance(self._pools[policies], self._geometry.arrays, operations, policies, mine, held[1])

    def _tell_apart(self, kind: int) -> None:
        """From now on, policies in that set do something else than those that are not."""
        for policies, pool in list(self._pools.items()):
            inside, outside = policies & kind, policies & ~kind
            if inside and outside:
                del self._pools[policies]
                self._pools[inside] = pool
                arrays = zsmalloc.copy_pool(pool.zsmalloc, self._geometry)
                self._pools[outside] = _Pool(arrays, *(array.copy() for array in pool[1:]))

    def _of(self, policy: int) -> _Pool:
        return next(pool for policies, pool in self._pools.items() if policies >> policy & 1)

    def reset_statistics(self, now: int) -> None:
        """Forget peaks, integrals and series, but not what is held: what follows is measured from `now` (ns)."""
        least = self._of(self._least).zsmalloc.totals[_PAGES]
        for pool in self._pools.values():
            held = pool.zsmalloc.totals[_PAGES]
            pool.values[:] = held, held - least, 0
            pool.integral[:] = 0
            pool.clock[:] = clock.new_clock(now)

    def finish(self, end: int) -> None:
        """Let time go on to the recording's end (ns)."""
        for pool in self._pools.values():
            _tick(pool, end)
            _settle(pool, int(pool.clock[clock.NOW]))

    # -- results

    def held(self, number: int) -> Integral:
        """Bytes of a policy's pool, in whole pages: mem_used_total."""
        pool = self._of(number)
        return self._in_bytes(
            int(pool.zsmalloc.totals[_PAGES]), int(pool.values[_PEAK]), clock.integral_of(pool.integral)
        )

    def stale(self, number: int) -> Integral:
        """Bytes that a policy's pool holds more than that of `notify`."""
        pool, least = self._of(number), self._of(self._least)
        pages = int(pool.zsmalloc.totals[_PAGES] - least.zsmalloc.totals[_PAGES])
        page_ns = clock.integral_of(pool.integral) - clock.integral_of(least.integral)
        return self._in_bytes(pages, int(pool.values[_PEAK_STALE]), page_ns)

    def _in_bytes(self, pages: int, peak: int, page_ns: int) -> Integral:
        times = self._of(self._least).clock
        span = int(times[clock.NOW] - times[clock.ORIGIN])
        size = self.page_size
        mean = page_ns * size / span if span else float(pages * size)
        return Integral(pages * size, peak * size, mean, page_ns * size / 1e9)

    def series(self, number: int) -> NDArray[np.int64]:
        """Bytes at the end of each bin, the running one included: int64, shape (bins,)."""
        pool = self._of(number)
        whole = pool.series[: pool.clock[clock.BIN], 0, 0]
        return np.asarray(np.append(whole, pool.zsmalloc.totals[_PAGES]) * self.page_size, np.int64)
