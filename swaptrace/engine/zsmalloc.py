"""zsmalloc, modelled: how many pages a zram pool holds, given only the order of stores (size) and frees.

zram's `compr_data_size` counts bytes; what is paid for them is `mem_used_total`, the pages of the zsmalloc pool.
The two differ by what zsmalloc cannot use, and above all in time: a freed object gives no page back until the last
object of its zspage goes. This module follows mm/zsmalloc.c object by object.

* `geometry()` works out the size classes, once, in plain Python. Kernels differ in three rules, each a parameter: the
  longest chain, `ChainRule` and `FullnessRule`.
* `new_pool()` makes an empty pool: a NamedTuple of arrays.
* `Allocator` has `malloc()`, `free()` and `compact()`, which other compiled loops call. They raise nothing: an error is
  a negative errno, and leaves the pool as it was. `malloc` and `free` are O(1).
* `Pool` wraps all that for plain Python, as `malloc()`, `free()`, `reset()` and `replay()` do for a pool's arrays.

An object is named by the caller's own number for it: the store's index, `0 <= obj < slots`. Same-filled pages hold no
object: to the pool, storing one is a `free`.

What is exact: the pages in use, their peak, the pages that compaction frees, and which object sits in which place of
which zspage (a zspage hands out the place that was freed last, else the lowest one never used), so that frees after a
compaction hit the right zspage.

What is not modelled, because the order of events does not decide it: a failed page allocation; a store that zram's
`mem_limit` refuses; two CPUs that both need the first zspage of a class (the kernel then makes one each); compaction
that another CPU interrupts; the short while that a zspage with locked pages waits for the deferred free; and, in old
kernels (seen in 4.19, gone by 6.1), page migration that moves a zspage within its list. The kernel also compacts by
itself, from its shrinker, when memory is short: a caller that knows when (mm_stat's `pages_compacted` has moved) calls
`compact` there.

Checked against Linux 6.1, 6.12 and 7.3 after every single operation: see tests/unit/test_zsmalloc.py.
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

__all__ = [
    "COMPACT",
    "FREE",
    "MOST_SLOTS",
    "Allocator",
    "ChainRule",
    "Fragmentation",
    "FullnessRule",
    "Geometry",
    "GeometryArrays",
    "Pool",
    "PoolArrays",
    "Total",
    "copy_pool",
    "free",
    "geometry",
    "malloc",
    "new_pool",
    "replay",
    "reset",
]

FREE: Final = 0
"""In `replay`, the size that frees the object (or stores a same-filled page, which is the same to the pool)."""
COMPACT: Final = -1
"""In `replay`, the size that compacts the pool; the object is then ignored."""

_CLASS_BITS: Final = 8
_GROUPS: Final = 12  # fullness groups: 12 since 6.4, 4 before

MOST_SLOTS: Final = 1 << 27
"""Of a pool: 512 GiB of 4K pages."""

#: A size class: the one it was merged into, else itself; bytes; objects and pages of a zspage; log2 of the objects,
#: rounded up; where its part of `fullness` starts.
SIZE_CLASS: Final = np.dtype(
    [(name, "i4") for name in ("index", "size", "objs_per_zspage", "pages_per_zspage", "bucket", "fullness")]
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
    """How zspages of a class are grouped, which one of a group is taken first, and how compaction pairs them."""

    QUARTERS = constants.ZS_QUARTERS
    """get_fullness_group up to 6.3: almost full means more than 3/4 of its objects in use. A zspage enters its group
    as the first, or as the second when the first has more objects in use. Compaction empties one source into as many
    destinations as that takes."""
    TENTHS = constants.ZS_TENTHS
    """From 6.4: ten groups by the ratio in use. A zspage enters its group as the first. Compaction fills one
    destination from as many sources as that takes."""


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
    handle_size: int
    min_alloc_size: int
    huge_class_size: int
    """zs_huge_class_size: zram stores what compresses to this many bytes or more as a whole page"""
    arrays: GeometryArrays = field(repr=False, compare=False)

    def stored_size(self, compressed: int) -> int:
        """The bytes that zram counts in `compr_data_size` for a page that compresses to `compressed` bytes."""
        return self.page_size if compressed >= self.huge_class_size else compressed


def geometry(
    page_size: int = 4096,
    chain_size: int = 8,
    chain_rule: ChainRule = ChainRule.LEAST_WASTE,
    fullness_rule: FullnessRule = FullnessRule.TENTHS,
    *,
    handle_size: int = 8,
    min_alloc_size: int = 32,
) -> Geometry:
    """The size classes that zs_create_pool makes.

    | kernel | chain_size | chain_rule | fullness_rule |
    |---|---|---|---|
    | up to 6.2 (seen: 4.19, 6.1) | 4 | USED_PERCENT | QUARTERS |
    | 6.3 | CONFIG_ZSMALLOC_CHAIN_SIZE (default 8) | LEAST_WASTE | QUARTERS |
    | from 6.4 (seen: 6.12, 7.3) | the same | LEAST_WASTE | TENTHS |

    `page_size` in bytes, a power of two from 4096 to 65536. `chain_size` in pages, 4 to 16 as in Kconfig. `handle_size`
    is that of an unsigned long: 8, or 4 on 32-bit machines. `min_alloc_size` (ZS_MIN_ALLOC_SIZE) is 32 bytes unless an
    object's address has few bits left for its index, as on some 32-bit machines. ValueError for anything else.
    """
    delta = page_size >> _CLASS_BITS
    if page_size < 4096 or page_size & (page_size - 1) or page_size > 65536:
        raise ValueError(f"page_size must be a power of two from 4096 to 65536, not {page_size}")
    if not 4 <= chain_size <= 16:
        raise ValueError(f"chain_size must be 4 to 16 pages, not {chain_size}")
    if handle_size not in (4, 8):
        raise ValueError(f"handle_size must be 4 or 8 bytes, not {handle_size}")
    if not 32 <= min_alloc_size <= page_size or min_alloc_size % 8:
        raise ValueError(f"min_alloc_size must be a multiple of 8 from 32 to the page size, not {min_alloc_size}")
    sizes = [*range(min_alloc_size, page_size, delta), page_size]
    classes, huge_class_size = _classes(page_size, sizes, chain_size, chain_rule, handle_size)
    arrays = GeometryArrays(
        size_class=_size_class(page_size, sizes, classes, handle_size),
        classes=classes,
        fullness=_fullness(classes, fullness_rule),
        rule=int(fullness_rule),
        full=3 if fullness_rule is FullnessRule.QUARTERS else _GROUPS - 1,
    )
    for array in arrays[:3]:
        array.setflags(write=False)
    return Geometry(
        page_size, chain_size, chain_rule, fullness_rule, handle_size, min_alloc_size, huge_class_size, arrays
    )


def _pages_per_zspage(page_size: int, size: int, chain_size: int, rule: ChainRule) -> int:
    """The chain length of a class; of equally good ones the shortest."""
    if rule is ChainRule.LEAST_WASTE:
        return min(range(1, chain_size + 1), key=lambda pages: pages * page_size % size)

    def used_percent(pages: int) -> int:
        return (pages * page_size // size * size) * 100 // (pages * page_size)

    return max(range(1, chain_size + 1), key=used_percent)


def _classes(
    page_size: int, sizes: list[int], chain_size: int, rule: ChainRule, handle_size: int
) -> tuple[Records, int]:
    """zs_create_pool: the classes, merged into the larger neighbour where zspages look the same; huge_class_size."""
    classes = np.zeros(len(sizes), SIZE_CLASS)
    huge_class_size = 0
    larger = (0, 0, 0)  # class, pages, objects
    fullness = 0
    for index in reversed(range(len(sizes))):
        pages = _pages_per_zspage(page_size, sizes[index], chain_size, rule)
        objects = pages * page_size // sizes[index]
        if pages != 1 and objects != 1 and not huge_class_size:
            # The handle is added before the class is looked up, so the smallest size that lands above this class:
            huge_class_size = sizes[index] - handle_size + 1
        if larger[1:] != (pages, objects):
            larger = (index, pages, objects)
            classes[index] = (index, sizes[index], objects, pages, (objects - 1).bit_length(), fullness)
            fullness += objects + 1
        else:
            classes[index] = classes[larger[0]]
    return classes, huge_class_size


def _size_class(page_size: int, sizes: list[int], classes: Records, handle_size: int) -> NDArray[np.int16]:
    """get_size_class_index for every size: the smallest class that holds the object and its handle, else the last."""
    wanted = np.arange(page_size + 1) + handle_size
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
    PEAK = constants.ZS_PEAK
    """the most pages right after a malloc: mem_used_max / page_size"""
    COMPACTED = constants.ZS_COMPACTED
    """pages freed by compaction so far: pages_compacted"""
    OBJECTS = constants.ZS_OBJECTS
    """objects stored"""
    ZSPAGES = constants.ZS_ZSPAGES
    """zspage numbers handed out so far, free ones included (internal)"""
    CELLS = constants.ZS_CELLS
    """cells handed out so far (internal)"""


ZSPAGE: Final = np.dtype(
    [
        ("next", "i4"),  # in its fullness list, or in the list of free numbers
        ("prev", "i4"),
        ("cells", "i8"),  # its first cell
        ("inuse", "u2"),
        ("freeobj", "u2"),  # 1 + the place freed last, 0 for none
        ("carved", "u2"),  # places at and after this one were never used
        ("size_class", "u2"),
        ("fullness", "u1"),
        ("bucket", "u1"),
        ("unused", "u2"),
        ("reserved", "u4"),  # up to 32 bytes: two records a cache line
    ]
)


class PoolArrays(NamedTuple):
    """The state of a pool. All zeros is an empty pool; zspages are numbered from 1, and 0 is none."""

    objects: Ints
    """[slots] where each object is: zspage << 16 | place in it; 0 when it is not stored"""
    zspages: Records
    """[zspages] records, see ZSPAGE"""
    cells: NDArray[np.int32]
    """for each place of each zspage: the object there; or, free, -1 - the zspage's `freeobj` when it was freed"""
    lists: NDArray[np.int32]
    """[classes, 12] the first zspage of each fullness group"""
    class_stats: Ints
    """[classes, 2] objects that the class's zspages have room for, and objects in use"""
    free_zspages: NDArray[np.int32]
    """[buckets] the first free zspage number whose block of cells has 2**bucket places"""
    totals: Ints
    """see Total"""


def new_pool(slots: int, geo: Geometry) -> PoolArrays:
    """An empty pool for objects 0 to slots - 1. ValueError when `slots` is not 1 to 2**27 (512 GiB of 4K pages).

    Address space is bounded by the slots (2.3 KiB each with 4K pages, 16.4 KiB with 64K pages). Memory is what is
    used of it: 8 bytes for each slot ever stored to; 32 for each zspage and 4 to 8 for each of its places, at the peak.
    """
    if not 1 <= slots <= MOST_SLOTS:
        raise ValueError(f"slots must be 1 to {MOST_SLOTS}, not {slots}")
    classes = geo.arrays.classes
    buckets = np.unique(classes["bucket"])
    # A store holds two objects for a moment: the new one, and the one it replaces.
    zspages = 1 + (slots + 1) * len(buckets)
    cells = (slots + 1) * int((1 << buckets).sum())
    return PoolArrays(
        objects=lazy_zeros(slots, np.int64),
        zspages=lazy_zeros(zspages, ZSPAGE),
        cells=lazy_zeros(cells, np.int32),
        lists=np.zeros((len(classes), _GROUPS), np.int32),
        class_stats=np.zeros((len(classes), 2), np.int64),
        free_zspages=np.zeros(int(buckets.max()) + 1, np.int32),
        totals=np.zeros(len(Total), np.int64),
    )


def copy_pool(pool: PoolArrays, geo: Geometry) -> PoolArrays:
    """A pool in the same state, which takes as much memory as this one does. O(slots)."""
    copy = new_pool(len(pool.objects), geo)
    stored = np.flatnonzero(pool.objects)
    copy.objects[stored] = pool.objects[stored]
    for name, used in (("zspages", 1 + int(pool.totals[Total.ZSPAGES])), ("cells", int(pool.totals[Total.CELLS]))):
        getattr(copy, name)[:used] = getattr(pool, name)[:used]
    for name in ("lists", "class_stats", "free_zspages", "totals"):
        getattr(copy, name)[:] = getattr(pool, name)
    return copy


# ----------------------------------------------------------------------------------------------------------- allocator


class Allocator:
    """The compiled functions on one pool: it shares the pool's arrays, and those of its geometry.

    An error is a negative errno, and leaves the pool as it was.
    """

    def __init__(self, pool: PoolArrays, geo: GeometryArrays) -> None:
        self.objects, self.zspages, self.cells = pool.objects, zspages_of(pool.zspages), pool.cells
        self.lists, self.class_stats, self.free_zspages = pool.lists, pool.class_stats, pool.free_zspages
        self.totals = pool.totals
        self.size_class, self.classes, self.fullness = geo.size_class, size_classes_of(geo.classes), geo.fullness
        self.rule, self.full = geo.rule, geo.full

    def pages(self) -> cython.longlong:
        """Pages in use: mem_used_total / page_size."""
        pages: cython.longlong = self.totals[constants.ZS_PAGES]
        return pages

    # -- zspages and their lists

    def _alloc_zspage(self, size_class: cython.longlong) -> cython.longlong:
        """alloc_zspage: an empty zspage, in no list yet. A free number keeps its block of cells for the next one."""
        bucket: cython.longlong = self.classes[size_class].bucket
        zspage: cython.longlong = self.free_zspages[bucket]
        if zspage:
            self.free_zspages[bucket] = self.zspages[zspage].next
        else:
            self.totals[constants.ZS_ZSPAGES] += 1
            zspage = self.totals[constants.ZS_ZSPAGES]
            self.zspages[zspage].cells = self.totals[constants.ZS_CELLS]
            self.zspages[zspage].bucket = bucket
            self.totals[constants.ZS_CELLS] += 1 << bucket
        self.zspages[zspage].inuse = 0
        self.zspages[zspage].freeobj = 0
        self.zspages[zspage].carved = 0
        self.zspages[zspage].size_class = size_class
        self.totals[constants.ZS_PAGES] += self.classes[size_class].pages_per_zspage
        self.class_stats[size_class, constants.CLASS_ALLOCATED] += self.classes[size_class].objs_per_zspage
        return zspage

    def _free_zspage(self, zspage: cython.longlong) -> cython.longlong:
        """free_zspage, of one that is in no list; returns its pages."""
        size_class: cython.longlong = self.zspages[zspage].size_class
        self.zspages[zspage].next = self.free_zspages[self.zspages[zspage].bucket]
        self.free_zspages[self.zspages[zspage].bucket] = zspage
        pages: cython.longlong = self.classes[size_class].pages_per_zspage
        self.totals[constants.ZS_PAGES] -= pages
        self.class_stats[size_class, constants.CLASS_ALLOCATED] -= self.classes[size_class].objs_per_zspage
        return pages

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
        """find_get_zspage, isolate_dst_zspage: the first zspage of the fullest group but the full ones; 0 for none."""
        group: cython.longlong
        for group in range(self.full - 1, 0, -1):
            zspage: cython.longlong = self.lists[size_class, group]
            if zspage:
                return zspage
        return 0

    def _emptiest(self, size_class: cython.longlong) -> cython.longlong:
        """isolate_src_zspage: the first zspage of the emptiest group; 0 for none."""
        group: cython.longlong
        for group in range(1, self.full):
            zspage: cython.longlong = self.lists[size_class, group]
            if zspage:
                return zspage
        return 0

    def _obj_malloc(self, zspage: cython.longlong, obj: cython.longlong) -> None:
        """obj_malloc: the place of `zspage` that was freed last, else the lowest one never used, is now `obj`'s."""
        if self.zspages[zspage].freeobj:
            place: cython.longlong = self.zspages[zspage].freeobj - 1
            self.zspages[zspage].freeobj = -1 - self.cells[self.zspages[zspage].cells + place]
        else:
            place = self.zspages[zspage].carved
            self.zspages[zspage].carved = place + 1
        self.cells[self.zspages[zspage].cells + place] = obj
        self.zspages[zspage].inuse += 1
        self.objects[obj] = zspage << constants.INDEX_BITS | place

    def _obj_free(self, zspage: cython.longlong, place: cython.longlong) -> None:
        """obj_free: the place of `zspage` is free, and will be used next."""
        self.cells[self.zspages[zspage].cells + place] = -1 - self.zspages[zspage].freeobj
        self.zspages[zspage].freeobj = place + 1
        self.zspages[zspage].inuse -= 1

    def _zs_free(self, location: cython.longlong) -> cython.longlong:
        """zs_free of the object at `location`; returns the pages given back."""
        zspage: cython.longlong = location >> constants.INDEX_BITS
        self._obj_free(zspage, location & constants.INDEX_MASK)
        self.class_stats[self.zspages[zspage].size_class, constants.CLASS_USED] -= 1
        self.totals[constants.ZS_OBJECTS] -= 1
        if self._fix_fullness_group(zspage) == 0:
            return self._free_zspage(zspage)
        return 0

    def malloc(self, obj: cython.longlong, size: cython.longlong) -> cython.longlong:
        """Store `obj` in `size` bytes, handle not included; returns its zspage's number, or -EINVAL.

        Mirrors zs_malloc as zram calls it (__zram_bvec_write in 6.1, zram_write_page in 6.12 and 7.3): the new object
        is allocated first, and only then is the one that the slot held, if any, freed. `size` is the compressed size;
        whether a huge one comes as it is or as a whole page makes no difference, the class is the same. -EINVAL, with
        nothing changed, when `obj` is no slot or `size` not 1 to the page size.
        """
        if not 0 <= obj < self.objects.shape[0] or not 0 < size < self.size_class.shape[0]:
            return -constants.EINVAL
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
            self.totals[constants.ZS_PEAK] = max(self.totals[constants.ZS_PEAK], self.totals[constants.ZS_PAGES])
        self.class_stats[size_class, constants.CLASS_USED] += 1
        self.totals[constants.ZS_OBJECTS] += 1
        if old:
            self._zs_free(old)
        return zspage

    def free(self, obj: cython.longlong) -> cython.longlong:
        """zs_free of `obj`, if it is stored; returns the pages given back, or -EINVAL if `obj` is no slot."""
        if not 0 <= obj < self.objects.shape[0]:
            return -constants.EINVAL
        location: cython.longlong = self.objects[obj]
        if location == 0:
            return 0
        self.objects[obj] = 0
        return self._zs_free(location)

    def can_compact(self, size_class: cython.longlong) -> cython.longlong:
        """zs_can_compact: the pages that compaction could free in a class: zspages that its free places would fill."""
        unused: cython.longlong = self.class_stats[size_class, constants.CLASS_ALLOCATED]
        unused -= self.class_stats[size_class, constants.CLASS_USED]
        return unused // self.classes[size_class].objs_per_zspage * self.classes[size_class].pages_per_zspage

    def _migrate_zspage(self, src: cython.longlong, dst: cython.longlong) -> None:
        """migrate_zspage: move objects of `src`, lowest place first, until it is empty or `dst` is full."""
        room: cython.longlong = self.classes[self.zspages[dst].size_class].objs_per_zspage
        place: cython.longlong = 0
        while self.zspages[src].inuse and self.zspages[dst].inuse < room:
            obj: cython.longlong = self.cells[self.zspages[src].cells + place]
            if obj >= 0:
                self._obj_malloc(dst, obj)
                self._obj_free(src, place)
            place += 1

    def _compact_class_quarters(self, size_class: cython.longlong) -> cython.longlong:
        """__zs_compact up to 6.3: take a source, empty it into one destination after the other; the pages freed.

        A source is taken out and put back even when there is nothing to gain, which can change its place in its list.
        """
        pages_freed: cython.longlong = 0
        while True:
            src: cython.longlong = self._emptiest(size_class)
            if src == 0:
                return pages_freed
            self._remove_zspage(src)
            if self.can_compact(size_class) == 0:
                self._insert_zspage(src)
                return pages_freed
            while self.zspages[src].inuse:
                dst: cython.longlong = self._fullest(size_class)
                if dst == 0:
                    self._insert_zspage(src)
                    return pages_freed
                self._remove_zspage(dst)
                self._migrate_zspage(src, dst)
                self._insert_zspage(dst)
            pages_freed += self._free_zspage(src)

    def _compact_class_tenths(self, size_class: cython.longlong) -> cython.longlong:
        """__zs_compact from 6.4: take a destination, fill it from one source after the other; the pages freed."""
        pages_freed: cython.longlong = 0
        dst: cython.longlong = 0
        while self.can_compact(size_class):
            if dst == 0:
                dst = self._fullest(size_class)
                if dst == 0:
                    return pages_freed
                self._remove_zspage(dst)
            src: cython.longlong = self._emptiest(size_class)
            if src == 0:
                break
            self._remove_zspage(src)
            self._migrate_zspage(src, dst)
            if self._insert_zspage(src) == 0:
                pages_freed += self._free_zspage(src)
            if self.zspages[dst].inuse == self.classes[size_class].objs_per_zspage:
                self._insert_zspage(dst)
                dst = 0
        if dst:
            self._insert_zspage(dst)
        return pages_freed

    def compact(self) -> cython.longlong:
        """zs_compact: pack the objects of each class into fewer zspages; returns the pages freed.

        What writing to zram's `compact` attribute does, and the pool's shrinker. Afterwards no class has as many free
        places as a zspage. O(classes + objects moved).
        """
        pages_freed: cython.longlong = 0
        size_class: cython.longlong
        for size_class in range(self.classes.shape[0] - 1, -1, -1):
            if self.classes[size_class].index != size_class:
                continue
            if self.rule == constants.ZS_QUARTERS:
                pages_freed += self._compact_class_quarters(size_class)
            else:
                pages_freed += self._compact_class_tenths(size_class)
        self.totals[constants.ZS_COMPACTED] += pages_freed
        return pages_freed


# ----------------------------------------------------------------------------------------------------------- whole pool


def malloc(pool: PoolArrays, geo: GeometryArrays, obj: int, size: int) -> int:
    """Allocator.malloc, once."""
    return Allocator(pool, geo).malloc(obj, size)


def free(pool: PoolArrays, geo: GeometryArrays, obj: int) -> int:
    """Allocator.free, once."""
    return Allocator(pool, geo).free(obj)


def reset(pool: PoolArrays) -> None:
    """Empty the pool and zero its totals, as writing to zram's `reset` attribute does. O(slots)."""
    pool.objects[np.flatnonzero(pool.objects)] = 0  # a page that was never written to stays untouched
    for array in (pool.lists, pool.class_stats, pool.free_zspages, pool.totals):
        array[:] = 0


def replay(pool: PoolArrays, geo: GeometryArrays, objects: Ints, sizes: Ints, pages: Ints) -> int:
    """Carry out the operations (objects[i], sizes[i]) and note in pages[i] the pages in use after each.

    A size is bytes to store, FREE or COMPACT. The three arrays are equally long. Returns how many were carried out: it
    stops at the first that is not valid.
    """
    allocator = Allocator(pool, geo)
    for number, (obj, size) in enumerate(zip(objects.tolist(), sizes.tolist(), strict=True)):
        if size == COMPACT:
            result = allocator.compact()
        elif size == FREE:
            result = allocator.free(obj)
        else:
            result = allocator.malloc(obj, size)
        if result < 0:
            return number
        pages[number] = allocator.pages()
    return len(objects)


@dataclass(frozen=True)
class Fragmentation:
    """Where the bytes of a pool are: the first four add up to mem_used_total."""

    compr_data_size: int
    """bytes of the stored objects"""
    rounding: int
    """bytes of handles and of rounding each object up to its class's size"""
    unused: int
    """bytes of free places in zspages that are in use"""
    tails: int
    """bytes at the ends of zspages where no further object fits"""
    mem_used_total: int
    """bytes of all pages"""
    freeable: int
    """bytes that a compaction would free, a part of `unused` and `tails`"""


class Pool:
    """A pool for plain Python: what-if questions, and tests. Same rules, one call an operation."""

    def __init__(self, slots: int, geo: Geometry) -> None:
        """`slots` as for new_pool."""
        self.geometry = geo
        self.arrays = new_pool(slots, geo)
        self._allocator = Allocator(self.arrays, geo.arrays)
        self._sizes = np.zeros(slots, np.int64)
        self._compr_data_size = 0

    def malloc(self, obj: int, size: int) -> None:
        """Store a page that compresses to `size` bytes, replacing what `obj` held. ValueError if out of range."""
        if self._allocator.malloc(obj, size) < 0:
            raise ValueError(f"no slot {obj}, or no size of 1 to {self.geometry.page_size} bytes: {size}")
        self._account(obj, self.geometry.stored_size(size))

    def free(self, obj: int) -> int:
        """Free `obj`, if it is stored; returns the bytes that the pool gives back. ValueError when it is no slot."""
        pages = self._allocator.free(obj)
        if pages < 0:
            raise ValueError(f"no slot {obj}")
        self._account(obj, 0)
        return pages * self.geometry.page_size

    def compact(self) -> int:
        """Compact; returns the bytes freed."""
        return self._allocator.compact() * self.geometry.page_size

    def _account(self, obj: int, size: int) -> None:
        self._compr_data_size += size - int(self._sizes[obj])
        self._sizes[obj] = size

    def _total(self, total: Total) -> int:
        return int(self.arrays.totals[total])

    @property
    def objects(self) -> int:
        """Objects stored."""
        return self._total(Total.OBJECTS)

    @property
    def compr_data_size(self) -> int:
        """Bytes stored, counted as zram does: a huge object counts as a page."""
        return self._compr_data_size

    @property
    def mem_used_total(self) -> int:
        """Bytes of the pool's pages."""
        return self._total(Total.PAGES) * self.geometry.page_size

    @property
    def mem_used_max(self) -> int:
        """The most that mem_used_total was right after an allocation, in bytes."""
        return self._total(Total.PEAK) * self.geometry.page_size

    @property
    def pages_compacted(self) -> int:
        """Pages freed by compaction so far."""
        return self._total(Total.COMPACTED)

    def fragmentation(self) -> Fragmentation:
        """Where the bytes are now."""
        classes = self.geometry.arrays.classes
        room, used = self.arrays.class_stats.T
        size = classes["size"].astype(np.int64)
        page_size = self.geometry.page_size
        return Fragmentation(
            compr_data_size=self.compr_data_size,
            rounding=int((used * size).sum()) - self.compr_data_size,
            unused=int(((room - used) * size).sum()),
            tails=self.mem_used_total - int((room * size).sum()),
            mem_used_total=self.mem_used_total,
            freeable=sum(self._allocator.can_compact(c) for c in range(len(classes))) * page_size,
        )
