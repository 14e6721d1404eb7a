"""A zsmalloc pool for tests: swaptrace.engine.zsmalloc, one call an operation."""

from __future__ import annotations

from swaptrace.engine.zsmalloc import Allocator, Geometry, Total, new_pool

__all__ = ["Pool"]


class Pool:
    """A pool for objects 0 to slots - 1."""

    def __init__(self, slots: int, geo: Geometry) -> None:
        self.geometry = geo
        self.arrays = new_pool(slots, geo)
        allocator = Allocator(self.arrays, geo.arrays)
        self.malloc, self.free = allocator.malloc, allocator.free

    @property
    def mem_used_total(self) -> int:
        """Bytes of the pool's pages."""
        return int(self.arrays.totals[Total.PAGES]) * self.geometry.page_size

    @property
    def layout(self) -> set[frozenset[int]]:
        """Which objects share a zspage."""
        found: dict[int, set[int]] = {}
        for obj, zspage in enumerate(self.arrays.objects.tolist()):
            if zspage:
                found.setdefault(zspage, set()).add(obj)
        return set(map(frozenset, found.values()))
