"""The pools of one store under every policy: what the compressed bytes cost in pages of memory, at every moment.

swaptrace.engine.replay says, policy by policy, when an entry comes and goes; here zsmalloc (swaptrace.engine.zsmalloc)
says how many pages the pool then has. Stale pool bytes are what a pool holds more than the one under `notify`, which
holds live entries only. Policies share one pool for as long as nothing has told them apart.
"""

from __future__ import annotations

import cython
import numpy as np
from cython.cimports.swaptrace.engine.arrays import Operation, Operations, int32_1d, int64_1d
from cython.cimports.swaptrace.engine.clock import Clock, add_integral
from cython.cimports.swaptrace.engine.zsmalloc import Allocator
from numpy.typing import NDArray

from swaptrace.engine import zsmalloc
from swaptrace.engine.clock import fold, integral_of
from swaptrace.engine.constants import BINS
from swaptrace.engine.figures import Integral
from swaptrace.engine.policies import OPERATION
from swaptrace.engine.records import operations_of

_MOST_SLOTS = 1 << 20  # room for at least that many: a store may get its size, or another one, while recording
_MOST_POLICIES = 8 * OPERATION["pools"].itemsize


@cython.final
@cython.cclass
class _Pool:
    """One pool, and what is measured of it, all in pages.

    allocator: the pool; arrays: its state. pages: held now. peak: the most held. peak_stale: the most more than
    `notify` holds. moment: see swaptrace.engine.clock. integral: int64 (2,), page-nanoseconds up to the last
    settlement, in two words. series: int64 (BINS,), held at the end of each bin.
    """

    arrays: zsmalloc.PoolArrays
    geometry: zsmalloc.Geometry
    allocator: Allocator
    clock: Clock
    pages: cython.longlong
    peak: cython.longlong
    peak_stale: cython.longlong
    moment: cython.longlong
    integral: int64_1d
    series: int64_1d

    def __init__(self, arrays: zsmalloc.PoolArrays, geometry: zsmalloc.Geometry, clock: Clock) -> None:
        self.arrays = arrays
        self.geometry = geometry
        self.allocator = Allocator(arrays, geometry.arrays)
        self.clock = clock
        self.pages = self.allocator.pages()
        self.peak = 0
        self.peak_stale = 0
        self.moment = 0
        self.integral = np.zeros(2, np.int64)
        self.series = np.zeros(BINS, np.int64)

    @property
    def held(self) -> int:
        return self.pages

    def copy(self, apart: bool = False) -> _Pool:
        """The same, as far as it is results: it shares the pool, which this one goes on to change, unless apart."""
        arrays = zsmalloc.copy_pool(self.arrays, self.geometry) if apart else self.arrays
        copy: _Pool = _Pool(arrays, self.geometry, self.clock.copy())
        copy.peak, copy.peak_stale, copy.moment = self.peak, self.peak_stale, self.moment
        copy.integral, copy.series = np.array(self.integral), np.array(self.series)
        return copy

    def finish(self, end: int) -> None:
        """Let time go on to `end` (ns), if that is not past."""
        self._tick(end)
        self._settle(self.clock.now)

    def reset_statistics(self, now: int, least: int) -> None:
        """What follows is measured from `now` (ns). least: the pages that `notify` holds."""
        self.peak, self.peak_stale, self.moment = self.held, self.held - least, 0
        self.integral = np.zeros(2, np.int64)
        self.clock = Clock(now)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _settle(self, now: cython.longlong) -> cython.void:
        """Add up the integral until now."""
        total: tuple[cython.longlong, cython.longlong] = add_integral(
            self.integral[0], self.integral[1], self.pages, now - self.clock.since, self.moment
        )
        self.integral[0], self.integral[1] = total
        self.moment = 0
        self.clock.settled(now)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _tick(self, time: cython.longlong) -> cython.void:
        """Time goes on, with the same pages held meanwhile."""
        if time >= self.clock.next:
            self._close_bins(time)
        if time > self.clock.now:
            self.clock.now = time

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _close_bins(self, time: cython.longlong) -> cython.void:
        """Note the value at the end of each bin that is over by then, and settle."""
        while self.clock.bin_is_over(time):
            self.series[self.clock.bin] = self.pages
            if self.clock.close_bin():
                with cython.gil:
                    fold(np.asarray(self.series))
        self._settle(time)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _operate(self, operation: Operation) -> cython.void:
        """An entry comes or goes. Taking away an object that is not there changes nothing."""
        self._tick(operation.time)
        if operation.size > 0:
            self.allocator.malloc(operation.page, operation.size)
        else:
            self.allocator.free(operation.page)
        pages: cython.longlong = self.allocator.pages()
        if pages != self.pages:
            self.moment += (pages - self.pages) * (self.clock.now - self.clock.since)
            self.pages = pages
            self.peak = max(self.peak, pages)

    @cython.cfunc
    def advance(self, operations: Operations, policies: cython.longlong, held: int32_1d, least: int32_1d) -> None:
        """Take in a batch. held: what the pool holds after each operation, to be filled in; least: notify's pool."""
        number: cython.Py_ssize_t
        with cython.nogil:
            for number in range(operations.shape[0]):
                if operations[number].pools & policies:
                    self._operate(operations[number])
                held[number] = cython.cast(cython.int, self.pages)
                self.peak_stale = max(self.peak_stale, self.pages - least[number])


@cython.cfunc
def _kinds(operations: Operations) -> set[int]:
    """The different sets of policies that operations are about. Few, always."""
    found: int64_1d = np.empty(operations.shape[0], np.int64)
    count: cython.Py_ssize_t = 0
    number: cython.Py_ssize_t
    place: cython.Py_ssize_t
    with cython.nogil:
        for number in range(operations.shape[0]):
            place = 0
            while place < count and found[place] != operations[number].pools:
                place += 1
            if place == count:
                found[count] = operations[number].pools
                count += 1
    return set(np.asarray(found)[:count].tolist())


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
        first = _Pool(zsmalloc.new_pool(self._slots, geometry), geometry, Clock(origin))
        self._pools: dict[int, _Pool] = {(1 << policies) - 1: first}  # by the set of policies that share it

    def fits(self, pages: int) -> bool:
        """Whether the pools have room for a store of that many pages."""
        return pages <= self._slots

    def advance(self, operations: NDArray[np.void]) -> None:
        """Take in the next operations (array of OPERATION)."""
        records: Operations = operations_of(operations)
        for kind in sorted(_kinds(records)):
            self._tell_apart(kind)
        held = np.empty((2, len(operations)), np.int32)
        for policies in sorted(self._pools, key=lambda policies: not policies >> self._least & 1):  # notify's first
            pool: _Pool = self._pools[policies]
            pool.advance(records, policies, held[1] if policies >> self._least & 1 else held[0], held[1])

    def _tell_apart(self, kind: int) -> None:
        """From now on, policies in that set do something else than those that are not."""
        for policies, pool in list(self._pools.items()):
            inside, outside = policies & kind, policies & ~kind
            if inside and outside:
                del self._pools[policies]
                self._pools[inside] = pool
                self._pools[outside] = pool.copy(apart=True)

    def copy(self, apart: bool) -> Pools:
        """The same, as far as it is results: see _Pool.copy()."""
        copy = Pools.__new__(Pools)
        copy.__dict__.update(self.__dict__)
        copy._pools = {policies: pool.copy(apart) for policies, pool in self._pools.items()}
        return copy

    def _of(self, policy: int) -> _Pool:
        return next(pool for policies, pool in self._pools.items() if policies >> policy & 1)

    def reset_statistics(self, now: int) -> None:
        """Forget peaks, integrals and series, but not what is held: what follows is measured from `now` (ns)."""
        least = self._of(self._least).held
        for pool in self._pools.values():
            pool.reset_statistics(now, least)

    def finish(self, end: int) -> None:
        """Let time go on to the recording's end (ns)."""
        for pool in self._pools.values():
            pool.finish(end)

    # -- results

    def held(self, number: int) -> Integral:
        """Bytes of a policy's pool, in whole pages: mem_used_total."""
        pool: _Pool = self._of(number)
        return self._in_bytes(pool.held, pool.peak, integral_of(pool.integral))

    def freeable(self, number: int) -> int:
        """Bytes of a policy's pool that compaction would give back now."""
        pool: _Pool = self._of(number)
        return zsmalloc.freeable_pages(pool.arrays, pool.geometry) * self.page_size

    def stale(self, number: int) -> Integral:
        """Bytes that a policy's pool holds more than that of `notify`."""
        pool: _Pool = self._of(number)
        least: _Pool = self._of(self._least)
        page_ns = integral_of(pool.integral) - integral_of(least.integral)
        return self._in_bytes(pool.held - least.held, pool.peak_stale, page_ns)

    def _in_bytes(self, pages: int, peak: int, page_ns: int) -> Integral:
        least: _Pool = self._of(self._least)
        span = least.clock.now - least.clock.origin
        size = self.page_size
        return Integral(pages * size, peak * size, page_ns * size, span)

    def series(self, number: int) -> NDArray[np.int64]:
        """Bytes at the end of each bin, the running one included: int64, shape (bins,)."""
        pool: _Pool = self._of(number)
        whole = np.asarray(pool.series)[: pool.clock.bin]
        return np.asarray(np.append(whole, pool.held) * self.page_size, np.int64)
