"""zsmalloc, modelled: how many pages a zram pool holds, given only the order of stores (size) and frees.

zram's `compr_data_size` counts bytes; what is paid for them is `mem_used_total`, the pages of the zsmalloc pool.
The two differ by what zsmalloc cannot use, and above all in time: a freed object gives no page back until the last
object of its zspage goes. This module follows mm/zsmalloc.c object by object.

* `geometry()` works out the size classes, once, in plain Python. Kernels differ in three rules, each a parameter: the
  longest chain, `ChainRule` and `FullnessRule`.
* `new_pool()` makes an empty pool: a NamedTuple of arrays.
* `Allocator` has `malloc()` and `free()`, which other compiled loops call; both are O(1).

An object is named by the caller's own number for it: the store's index, `0 <= obj < slots`. Same-filled pages hold no
object: to the pool, storing one is a `free`.

What is exact: the pages in use, and which object sits in which zspage. In which place of it makes no difference there.

What is not modelled, because the order of events does not decide it: a failed page allocation; a store that zram's
`mem_limit` refuses; two CPUs that both need the first zspage of a class (the kernel then makes one each); compaction,
by the pool's shrinker when memory is short, or by zram's `compact` attribute (where mm_stat's `pages_compacted` has
moved, the pool is not known: swaptrace.analysis.doubts); the short while that a zspage with locked pages waits for the
deferred free; and, in old kernels (seen in 4.19, gone by 6.1), page migration that moves a zspage within its list.

Checked against Linux 6.1, 6.12 and 7.3 after every single operation, those after a compaction included: see
tests/unit/test_zsmalloc.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import Final, NamedTuple

import cython
import numpy as np
from cython.cimports.swaptrace.engine import constants
from numpy.typing import NDArray

from swaptrace.engine.lazy import lazy_zeros
from swaptrace.engine.records import size_classes_of, zspages_of

_CLASS_BITS: Final = 8
_HANDLE_SIZE: Final = 8  # of an unsigned long, in bytes
_MIN_ALLOC_SIZE: Final = 32  # ZS_MIN_ALLOC_SIZE, bytes
_GROUPS: Final = 12  # fullness groups: 12 since 6.4, 4 before

MOST_SLOTS: Final = 1 << 27
"""Of a pool: 512 GiB of 4K pages."""

#: A size class: the one it was merged into, else itself; bytes; objects and pages of a zspage; where its part of
#: `fullness` starts.
SIZE_CLASS: Final = np.dtype(
    [(name, "i4") for name in ("index", "size", "objs_per_zspage", "pages_per_zspage", "fullness")]
)

Ints = NDArray[np.int64]
Records = NDArray[np.void]


# ---------------------------------------------------------------------------------------------------------- geometry


class ChainRule(Enum):
    """How many pages a zspage of a class has: the shortest chain that is best by one of two measures."""

    USED_PERCENT = "used_percent"
    """get_pages_per_zspage, up to 6.2: the largest whole percentage of the zspage that objects can use."""
    LEAST_WASTE = "least_waste"
    """calculate_zspage_chain_size, from 6.3: the fewest bytes left over at the end of the zspage."""


class FullnessRule(IntEnum):
    """How zspages of a class are grouped, and which one of a group is taken first."""

    QUARTERS = constants.ZS_QUARTERS
    """get_fullness_group up to 6.3: almost full means more than 3/4 of its objects in use. A zspage enters its group
    as the first, or as the second when the first has more objects in use."""
    TENTHS = constants.ZS_TENTHS
    """From 6.4: ten groups by the ratio in use. A zspage enters its group as the first."""


class GeometryArrays(NamedTuple):
    """A geometry, as compiled functions take it."""

    size_class: NDArray[np.int16]
    """[page_size + 1] the class of an object of that many bytes, for which the table adds the handle; [0] is -1"""
    classes: Records
    """[classes] records, see SIZE_CLASS"""
    fullness: NDArray[np.int8]
    """[classes[c]["fullness"] + inuse] the fullness group of a zspage of class c with so many objects in use"""
    rule: int
    """a FullnessRule"""
    full: int
    """the group of full zspages, which is the last one"""


@dataclass(frozen=True)
class Geometry:
    """The size classes of a pool; made by `geometry()`. Two are equal when their rules are."""

    page_size: int
    chain_size: int
    chain_rule: ChainRule
    fullness_rule: FullnessRule
    arrays: GeometryArrays = field(repr=False, compare=False)


def geometry(
    page_size: int = 4096,
    chain_size: int = 8,
    chain_rule: ChainRule = ChainRule.LEAST_WASTE,
    fullness_rule: FullnessRule = FullnessRule.TENTHS,
) -> Geometry:
    """The size classes that zs_create_pool makes.

    | kernel | chain_size | chain_rule | fullness_rule |
    |---|---|---|---|
    | up to 6.2 (seen: 4.19, 6.1) | 4 | USED_PERCENT | QUARTERS |
    | 6.3 | CONFIG_ZSMALLOC_CHAIN_SIZE (default 8) | LEAST_WASTE | QUARTERS |
    | from 6.4 (seen: 6.12, 7.3) | the same | LEAST_WASTE | TENTHS |

    `page_size` in bytes, a power of two from 4096 to 65536. `chain_size` in pages, 4 to 16 as in Kconfig. ValueError
    for anything else. Of 64-bit machines: others have smaller handles.
    """
    delta = page_size >> _CLASS_BITS
    if page_size < 4096 or page_size & (page_size - 1) or page_size > 65536:
        raise ValueError(f"page_size must be a power of two from 4096 to 65536, not {page_size}")
    if not 4 <= chain_size <= 16:
        raise ValueError(f"chain_size must be 4 to 16 pages, not {chain_size}")
    sizes = [*range(_MIN_ALLOC_SIZE, page_size, delta), page_size]
    classes = _classes(page_size, sizes, chain_size, chain_rule)
    arrays = GeometryArrays(
        size_class=_size_class(page_size, sizes, classes),
        classes=classes,
        fullness=_fullness(classes, fullness_rule),
        rule=int(fullness_rule),
        full=3 if fullness_rule is FullnessRule.QUARTERS else _GROUPS - 1,
    )
    for array in arrays[:3]:
        array.setflags(write=False)
    return Geometry(page_size, chain_size, chain_rule, fullness_rule, arrays)


def _pages_per_zspage(page_size: int, size: int, chain_size: int, rule: ChainRule) -> int:
    """The chain length of a class; of equally good ones the shortest."""
    if rule is ChainRule.LEAST_WASTE:
        return min(range(1, chain_size + 1), key=lambda pages: pages * page_size % size)

    def used_percent(pages: int) -> int:
        return (pages * page_size // size * size) * 100 // (pages * page_size)

    return max(range(1, chain_size + 1), key=used_percent)


def _classes(page_size: int, sizes: list[int], chain_size: int, rule: ChainRule) -> Records:
    """zs_create_pool: the classes, merged into the larger neighbour where zspages look the same."""
    classes = np.zeros(len(sizes), SIZE_CLASS)
    larger = (0, 0, 0)  # class, pages, objects
    fullness = 0
    for index in reversed(range(len(sizes))):
        pages = _pages_per_zspage(page_size, sizes[index], chain_size, rule)
        objects = pages * page_size // sizes[index]
        if larger[1:] != (pages, objects):
            larger = (index, pages, objects)
            classes[index] = (index, sizes[index], objects, pages, fullness)
            fullness += objects + 1
        else:
            classes[index] = classes[larger[0]]
    return classes


def _size_class(page_size: int, sizes: list[int], classes: Records) -> NDArray[np.int16]:
    """get_size_class_index for every size: the smallest class that holds the object and its handle, else the last."""
    wanted = np.arange(page_size + 1) + _HANDLE_SIZE
    found = np.minimum(np.searchsorted(sizes, wanted), len(sizes) - 1)
    table = classes["index"][found].astype(np.int16)
    table[0] = -1
    return table


def _fullness(classes: Records, rule: FullnessRule) -> NDArray[np.int8]:
    """get_fullness_group for every class and number of objects in use."""

    def group(inuse: int, objects: int) -> int:
        if rule is FullnessRule.TENTHS:
            return 0 if not inuse else 11 if inuse == objects else 100 * inuse // objects // 10 + 1
        return 0 if not inuse else 3 if inuse == objects else 1 if inuse <= 3 * objects // 4 else 2

    own = sorted({(int(c["fullness"]), int(c["objs_per_zspage"])) for c in classes})
    return np.array([group(inuse, objects) for _, objects in own for inuse in range(objects + 1)], np.int8)


# ------------------------------------------------------------------------------------------------------ state of a pool


class Total(IntEnum):
    """What the fields of `PoolArrays.totals` hold."""

    PAGES = constants.ZS_PAGES
    """pages in use: mem_used_total / page_size"""
    ZSPAGES = constants.ZS_ZSPAGES
    """zspage numbers handed out so far, free ones included"""
    FREE = constants.ZS_FREE
    """the first free zspage number, 0 for none"""


ZSPAGE: Final = np.dtype(
    [
        ("next", "i4"),  # in its fullness list, or in the list of free numbers
        ("prev", "i4"),
        ("inuse", "u2"),
        ("size_class", "u2"),
        ("fullness", "u1"),
        ("unused", "u1"),  # up to 16 bytes: four records a cache line
        ("reserved", "u2"),
    ]
)


class PoolArrays(NamedTuple):
    """The state of a pool. All zeros is an empty pool; zspages are numbered from 1, and 0 is none."""

    objects: NDArray[np.int32]
    """[slots] the zspage that each object is in; 0 when it is not stored"""
    zspages: Records
    """[zspages] records, see ZSPAGE"""
    lists: NDArray[np.int32]
    """[classes, 12] the first zspage of each fullness group"""
    totals: Ints
    """see Total"""


def new_pool(slots: int, geo: Geometry) -> PoolArrays:
    """An empty pool for objects 0 to slots - 1. ValueError when `slots` is not 1 to 2**27 (512 GiB of 4K pages).

    Address space is 20 bytes a slot. Memory is what is used of it: 4 bytes for each slot ever stored to, 16 for each
    zspage at the peak.
    """
    if not 1 <= slots <= MOST_SLOTS:
        raise ValueError(f"slots must be 1 to {MOST_SLOTS}, not {slots}")
    return PoolArrays(
        objects=lazy_zeros(slots, np.int32),
        # A store holds two objects for a moment: the new one, and the one it replaces.
        zspages=lazy_zeros(1 + slots + 1, ZSPAGE),
        lists=np.zeros((len(geo.arrays.classes), _GROUPS), np.int32),
        totals=np.zeros(len(Total), np.int64),
    )


def copy_pool(pool: PoolArrays, geo: Geometry) -> PoolArrays:
    """A pool in the same state, which takes as much memory as this one does. O(slots)."""
    copy = new_pool(len(pool.objects), geo)
    stored = np.flatnonzero(pool.objects)
    copy.objects[stored] = pool.objects[stored]
    used = 1 + int(pool.totals[Total.ZSPAGES])
    copy.zspages[:used] = pool.zspages[:used]
    copy.lists[:], copy.totals[:] = pool.lists, pool.totals
    return copy


def freeable_pages(pool: PoolArrays, geo: Geometry) -> int:
    """zs_can_compact(), of all classes: pages that compaction would give back. O(slots).

    It moves objects together until no class has room for those of a whole zspage.
    """
    used = 1 + int(pool.totals[Total.ZSPAGES])
    inuse = np.bincount(pool.objects[np.flatnonzero(pool.objects)], minlength=used)
    there = np.flatnonzero(inuse)
    number, classes = pool.zspages["size_class"][there], geo.arrays.classes
    each, count = classes["objs_per_zspage"].astype(np.int64), len(classes)
    allocated = np.bincount(number, minlength=count) * each
    wasted = allocated - np.bincount(number, weights=inuse[there], minlength=count).astype(np.int64)
    return int((wasted // np.maximum(each, 1) * classes["pages_per_zspage"]).sum())


# ----------------------------------------------------------------------------------------------------------- allocator


class Allocator:
    """The compiled functions on one pool: it shares the pool's arrays, and those of its geometry."""

    def __init__(self, pool: PoolArrays, geo: GeometryArrays) -> None:
        self.objects, self.zspages, self.lists = pool.objects, zspages_of(pool.zspages), pool.lists
        self.totals = pool.totals
        self.size_class, self.classes, self.fullness = geo.size_class, size_classes_of(geo.classes), geo.fullness
        self.rule, self.full = geo.rule, geo.full

    def pages(self) -> cython.longlong:
        """Pages in use: mem_used_total / page_size."""
        pages: cython.longlong = self.totals[constants.ZS_PAGES]
        return pages

    # -- zspages and their lists

    def _alloc_zspage(self, size_class: cython.longlong) -> cython.longlong:
        """alloc_zspage: an empty zspage, in no list yet."""
        zspage: cython.longlong = self.totals[constants.ZS_FREE]
        if zspage:
            self.totals[constants.ZS_FREE] = self.zspages[zspage].next
        else:
            self.totals[constants.ZS_ZSPAGES] += 1
            zspage = self.totals[constants.ZS_ZSPAGES]
        self.zspages[zspage].inuse = 0
        self.zspages[zspage].size_class = size_class
        self.totals[constants.ZS_PAGES] += self.classes[size_class].pages_per_zspage
        return zspage

    def _free_zspage(self, zspage: cython.longlong) -> None:
        """free_zspage, of one that is in no list."""
        self.zspages[zspage].next = cython.cast(cython.int, self.totals[constants.ZS_FREE])
        self.totals[constants.ZS_FREE] = zspage
        self.totals[constants.ZS_PAGES] -= self.classes[self.zspages[zspage].size_class].pages_per_zspage

    def _insert_zspage(self, zspage: cython.longlong) -> cython.longlong:
        """insert_zspage, into the group that its objects in use call for; returns the group.

        Empty and full zspages are in no list: nothing ever looks for one.
        """
        size_class: cython.longlong = self.zspages[zspage].size_class
        group: cython.longlong = self.fullness[self.classes[size_class].fullness + self.zspages[zspage].inuse]
        self.zspages[zspage].fullness = group
        if group in (0, self.full):
            return group
        head: cython.longlong = self.lists[size_class, group]
        if head and self.rule == constants.ZS_QUARTERS and self.zspages[zspage].inuse < self.zspages[head].inuse:
            self.zspages[zspage].prev = head
            self.zspages[zspage].next = self.zspages[head].next
            self.zspages[head].next = zspage
        else:
            self.zspages[zspage].prev = 0
            self.zspages[zspage].next = head
            self.lists[size_class, group] = zspage
        if self.zspages[zspage].next:
            self.zspages[self.zspages[zspage].next].prev = zspage
        return group

    def _remove_zspage(self, zspage: cython.longlong) -> None:
        """remove_zspage, from the group it is in."""
        if self.zspages[zspage].fullness == self.full:
            return
        if self.zspages[zspage].next:
            self.zspages[self.zspages[zspage].next].prev = self.zspages[zspage].prev
        if self.zspages[zspage].prev:
            self.zspages[self.zspages[zspage].prev].next = self.zspages[zspage].next
        else:
            self.lists[self.zspages[zspage].size_class, self.zspages[zspage].fullness] = self.zspages[zspage].next

    def _fix_fullness_group(self, zspage: cython.longlong) -> cython.longlong:
        """fix_fullness_group: after a change in its objects in use; returns the group it is now in."""
        size_class: cython.longlong = self.zspages[zspage].size_class
        group: cython.longlong = self.fullness[self.classes[size_class].fullness + self.zspages[zspage].inuse]
        if group == self.zspages[zspage].fullness:
            return group
        self._remove_zspage(zspage)
        return self._insert_zspage(zspage)

    def _fullest(self, size_class: cython.longlong) -> cython.longlong:
        """find_get_zspage: the first zspage of the fullest group but the full ones; 0 for none."""
        group: cython.longlong
        for group in range(self.full - 1, 0, -1):
            zspage: cython.longlong = self.lists[size_class, group]
            if zspage:
                return zspage
        return 0

    def _obj_malloc(self, zspage: cython.longlong, obj: cython.longlong) -> None:
        """obj_malloc: a place of `zspage` is now `obj`'s."""
        self.zspages[zspage].inuse += 1
        self.objects[obj] = cython.cast(cython.int, zspage)

    def _zs_free(self, zspage: cython.longlong) -> None:
        """zs_free of an object in that zspage."""
        self.zspages[zspage].inuse -= 1
        if self._fix_fullness_group(zspage) == 0:
            self._free_zspage(zspage)

    def malloc(self, obj: cython.longlong, size: cython.longlong) -> None:
        """Store `obj` in `size` bytes, handle not included.

        Mirrors zs_malloc as zram calls it (__zram_bvec_write in 6.1, zram_write_page in 6.12 and 7.3): the new object
        is allocated first, and only then is the one that the slot held, if any, freed. `size` is the compressed size;
        whether a huge one comes as it is or as a whole page makes no difference, the class is the same. Nothing changes
        when `obj` is no slot or `size` not 1 to the page size.
        """
        if not 0 <= obj < self.objects.shape[0] or not 0 < size < self.size_class.shape[0]:
            return
        old: cython.longlong = self.objects[obj]
        size_class: cython.longlong = self.size_class[size]
        zspage: cython.longlong = self._fullest(size_class)
        if zspage:
            self._obj_malloc(zspage, obj)
            self._fix_fullness_group(zspage)
        else:
            zspage = self._alloc_zspage(size_class)
            self._obj_malloc(zspage, obj)
            self._insert_zspage(zspage)
        if old:
            self._zs_free(old)

    def free(self, obj: cython.longlong) -> None:
        """zs_free of `obj`. Nothing changes when it is not stored, or no slot."""
        if not 0 <= obj < self.objects.shape[0]:
            return
        zspage: cython.longlong = self.objects[obj]
        if zspage:
            self.objects[obj] = 0
            self._zs_free(zspage)
