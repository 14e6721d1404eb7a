"""zsmalloc, modelled: how many pages a zram pool holds, given only the order of stores (size) and frees.

zram's `compr_data_size` counts bytes; what is paid for them is `mem_used_total`, the pages of the zsmalloc pool.
The two differ by what zsmalloc cannot use, and above all in time: a freed object gives no page back until the last
object of its zspage goes. This module follows mm/zsmalloc.c object by object.

* `geometry()` works out the size classes, once, in plain Python. Kernels differ in three rules, each a parameter: the
  longest chain, `ChainRule` and `FullnessRule`.
* `new_pool()` makes an empty pool: a NamedTuple of arrays.
* `malloc()`, `free()`, `compact()`, `reset()` and `replay()` are compiled by numba, and may be called from other
  compiled functions. They raise nothing: an error is a negative errno, and leaves the pool as it was. `malloc` and
  `free` are O(1).
* `Pool` wraps all that for plain Python.

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

import errno
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from swaptrace.analysis.jit import njit
from swaptrace.analysis.lazy import lazy_zeros

__all__ = [
    "COMPACT",
    "FREE",
    "MOST_SLOTS",
    "ChainRule",
    "Fragmentation",
    "FullnessRule",
    "Geometry",
    "GeometryArrays",
    "Pool",
    "PoolArrays",
    "Total",
    "can_compact",
    "compact",
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
_INDEX_BITS: Final = 16  # of an object's location: its place in its zspage; the zspage's number is above
_INDEX_MASK: Final = (1 << _INDEX_BITS) - 1
_EINVAL: Final = -errno.EINVAL

MOST_SLOTS: Final = 1 << 27
"""Of a pool: 512 GiB of 4K pages."""

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

    QUARTERS = 0
    """get_fullness_group up to 6.3: almost full means more than 3/4 of its objects in use. A zspage enters its group
    as the first, or as the second when the first has more objects in use. Compaction empties one source into as many
    destinations as that takes."""
    TENTHS = 1
    """From 6.4: ten groups by the ratio in use. A zspage enters its group as the first. Compaction fills one
    destination from as many sources as that takes."""


class GeometryArrays(NamedTuple):
    """A geometry, as compiled functions take it."""

    size_class: NDArray[np.int16]
    """[page_size + 1] the class of an object of that many bytes, for which the table adds the handle; [0] is -1"""
    classes: Records
    """[classes] records of i4: `index` (the class it was merged into, else itself), `size` (bytes), `objs_per_zspage`,
    `pages_per_zspage`, `bucket` (log2 of objs_per_zspage, rounded up), `fullness` (where its part of `fullness` starts)
    """
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
    dtype = [(name, "i4") for name in ("index", "size", "objs_per_zspage", "pages_per_zspage", "bucket", "fullness")]
    classes = np.zeros(len(sizes), dtype)
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

    PAGES = 0
    """pages in use: mem_used_total / page_size"""
    PEAK = 1
    """the most pages right after a malloc: mem_used_max / page_size"""
    COMPACTED = 2
    """pages freed by compaction so far: pages_compacted"""
    OBJECTS = 3
    """objects stored"""
    ZSPAGES = 4
    """zspage numbers handed out so far, free ones included (internal)"""
    CELLS = 5
    """cells handed out so far (internal)"""


# numba wants plain integers for constants.
_PAGES: Final = int(Total.PAGES)
_PEAK: Final = int(Total.PEAK)
_COMPACTED: Final = int(Total.COMPACTED)
_OBJECTS: Final = int(Total.OBJECTS)
_ZSPAGES: Final = int(Total.ZSPAGES)
_CELLS: Final = int(Total.CELLS)
_ALLOCATED: Final = 0  # of class_stats
_USED: Final = 1
_QUARTERS: Final = int(FullnessRule.QUARTERS)

_ZSPAGE: Final = np.dtype(
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
    """[zspages] records, see _ZSPAGE"""
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
        zspages=lazy_zeros(zspages, _ZSPAGE),
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
    for name, used in (("zspages", 1 + int(pool.totals[_ZSPAGES])), ("cells", int(pool.totals[_CELLS]))):
        getattr(copy, name)[:used] = getattr(pool, name)[:used]
    for name in ("lists", "class_stats", "free_zspages", "totals"):
        getattr(copy, name)[:] = getattr(pool, name)
    return copy


# --------------------------------------------------------------------------------------------- zspages and their lists


@njit
def _alloc_zspage(pool: PoolArrays, geo: GeometryArrays, size_class: int) -> int:
    """alloc_zspage: an empty zspage, in no list yet. A free number keeps its block of cells for the next one."""
    bucket = geo.classes[size_class]["bucket"]
    zspage = pool.free_zspages[bucket]
    if zspage:
        pool.free_zspages[bucket] = pool.zspages[zspage]["next"]
    else:
        pool.totals[_ZSPAGES] += 1
        zspage = pool.totals[_ZSPAGES]
        pool.zspages[zspage]["cells"] = pool.totals[_CELLS]
        pool.zspages[zspage]["bucket"] = bucket
        pool.totals[_CELLS] += 1 << bucket
    z = pool.zspages[zspage]
    z["inuse"] = 0
    z["freeobj"] = 0
    z["carved"] = 0
    z["size_class"] = size_class
    pool.totals[_PAGES] += geo.classes[size_class]["pages_per_zspage"]
    pool.class_stats[size_class, _ALLOCATED] += geo.classes[size_class]["objs_per_zspage"]
    return int(zspage)


@njit
def _free_zspage(pool: PoolArrays, geo: GeometryArrays, zspage: int) -> int:
    """free_zspage, of one that is in no list; returns its pages."""
    z = pool.zspages[zspage]
    size_class = z["size_class"]
    z["next"] = pool.free_zspages[z["bucket"]]
    pool.free_zspages[z["bucket"]] = zspage
    pages = int(geo.classes[size_class]["pages_per_zspage"])
    pool.totals[_PAGES] -= pages
    pool.class_stats[size_class, _ALLOCATED] -= geo.classes[size_class]["objs_per_zspage"]
    return pages


@njit
def _insert_zspage(pool: PoolArrays, geo: GeometryArrays, zspage: int) -> int:
    """insert_zspage, into the group that its objects in use call for; returns the group.

    Empty and full zspages are in no list: nothing ever looks for one.
    """
    z = pool.zspages[zspage]
    size_class = z["size_class"]
    group = int(geo.fullness[geo.classes[size_class]["fullness"] + z["inuse"]])
    z["fullness"] = group
    if group in (0, geo.full):
        return group
    head = pool.lists[size_class, group]
    if head and geo.rule == _QUARTERS and z["inuse"] < pool.zspages[head]["inuse"]:
        z["prev"] = head
        z["next"] = pool.zspages[head]["next"]
        pool.zspages[head]["next"] = zspage
    else:
        z["prev"] = 0
        z["next"] = head
        pool.lists[size_class, group] = zspage
    if z["next"]:
        pool.zspages[z["next"]]["prev"] = zspage
    return group


@njit
def _remove_zspage(pool: PoolArrays, geo: GeometryArrays, zspage: int) -> None:
    """remove_zspage, from the group it is in."""
    z = pool.zspages[zspage]
    if z["fullness"] == geo.full:
        return
    if z["next"]:
        pool.zspages[z["next"]]["prev"] = z["prev"]
    if z["prev"]:
        pool.zspages[z["prev"]]["next"] = z["next"]
    else:
        pool.lists[z["size_class"], z["fullness"]] = z["next"]


@njit
def _fix_fullness_group(pool: PoolArrays, geo: GeometryArrays, zspage: int) -> int:
    """fix_fullness_group: after a change in its objects in use; returns the group it is now in."""
    z = pool.zspages[zspage]
    group = int(geo.fullness[geo.classes[z["size_class"]]["fullness"] + z["inuse"]])
    if group == z["fullness"]:
        return group
    _remove_zspage(pool, geo, zspage)
    return _insert_zspage(pool, geo, zspage)


@njit
def _fullest(pool: PoolArrays, geo: GeometryArrays, size_class: int) -> int:
    """find_get_zspage, isolate_dst_zspage: the first zspage of the fullest group but the full ones; 0 for none."""
    for group in range(geo.full - 1, 0, -1):
        zspage = int(pool.lists[size_class, group])
        if zspage:
            return zspage
    return 0


@njit
def _emptiest(pool: PoolArrays, geo: GeometryArrays, size_class: int) -> int:
    """isolate_src_zspage: the first zspage of the emptiest group; 0 for none."""
    for group in range(1, geo.full):
        zspage = int(pool.lists[size_class, group])
        if zspage:
            return zspage
    return 0


# ------------------------------------------------------------------------------------------------------------- objects


@njit
def _obj_malloc(pool: PoolArrays, zspage: int, obj: int) -> None:
    """obj_malloc: the place of `zspage` that was freed last, else the lowest one never used, is now `obj`'s."""
    z = pool.zspages[zspage]
    if z["freeobj"]:
        place = int(z["freeobj"]) - 1
        z["freeobj"] = -1 - pool.cells[z["cells"] + place]
    else:
        place = int(z["carved"])
        z["carved"] = place + 1
    pool.cells[z["cells"] + place] = obj
    z["inuse"] += 1
    pool.objects[obj] = zspage << _INDEX_BITS | place


@njit
def _obj_free(pool: PoolArrays, zspage: int, place: int) -> None:
    """obj_free: the place of `zspage` is free, and will be used next."""
    z = pool.zspages[zspage]
    pool.cells[z["cells"] + place] = -1 - int(z["freeobj"])
    z["freeobj"] = place + 1
    z["inuse"] -= 1


@njit
def _zs_free(pool: PoolArrays, geo: GeometryArrays, location: int) -> int:
    """zs_free of the object at `location`; returns the pages given back."""
    zspage = location >> _INDEX_BITS
    _obj_free(pool, zspage, location & _INDEX_MASK)
    pool.class_stats[pool.zspages[zspage]["size_class"], _USED] -= 1
    pool.totals[_OBJECTS] -= 1
    if _fix_fullness_group(pool, geo, zspage) == 0:
        return _free_zspage(pool, geo, zspage)
    return 0


@njit
def malloc(pool: PoolArrays, geo: GeometryArrays, obj: int, size: int) -> int:
    """Store `obj` in `size` bytes, handle not included; returns its zspage's number, or -EINVAL.

    Mirrors zs_malloc as zram calls it (__zram_bvec_write in 6.1, zram_write_page in 6.12 and 7.3): the new object is
    allocated first, and only then is the one that the slot held, if any, freed. `size` is the compressed size; whether
    a huge one comes as it is or as a whole page makes no difference, the class is the same. -EINVAL, with nothing
    changed, when `obj` is no slot or `size` not 1 to the page size.
    """
    if not 0 <= obj < len(pool.objects) or not 0 < size < len(geo.size_class):
        return _EINVAL
    old = int(pool.objects[obj])
    size_class = int(geo.size_class[size])
    zspage = _fullest(pool, geo, size_class)
    if zspage:
        _obj_malloc(pool, zspage, obj)
        _fix_fullness_group(pool, geo, zspage)
    else:
        zspage = _alloc_zspage(pool, geo, size_class)
        _obj_malloc(pool, zspage, obj)
        _insert_zspage(pool, geo, zspage)
        pool.totals[_PEAK] = max(pool.totals[_PEAK], pool.totals[_PAGES])
    pool.class_stats[size_class, _USED] += 1
    pool.totals[_OBJECTS] += 1
    if old:
        _zs_free(pool, geo, old)
    return zspage


@njit
def free(pool: PoolArrays, geo: GeometryArrays, obj: int) -> int:
    """zs_free of `obj`, if it is stored; returns the pages that the pool gives back, or -EINVAL if `obj` is no slot."""
    if not 0 <= obj < len(pool.objects):
        return _EINVAL
    location = int(pool.objects[obj])
    if location == 0:
        return 0
    pool.objects[obj] = 0
    return _zs_free(pool, geo, location)


# ---------------------------------------------------------------------------------------------------------- compaction


@njit
def can_compact(pool: PoolArrays, geo: GeometryArrays, size_class: int) -> int:
    """zs_can_compact: the pages that compaction could free in a class: the zspages that its free places would fill."""
    c = geo.classes[size_class]
    unused = pool.class_stats[size_class, _ALLOCATED] - pool.class_stats[size_class, _USED]
    return int(unused // c["objs_per_zspage"] * c["pages_per_zspage"])


@njit
def _migrate_zspage(pool: PoolArrays, geo: GeometryArrays, src: int, dst: int) -> None:
    """migrate_zspage: move objects of `src`, lowest place first, until it is empty or `dst` is full."""
    source = pool.zspages[src]
    destination = pool.zspages[dst]
    room = geo.classes[destination["size_class"]]["objs_per_zspage"]
    place = 0
    while source["inuse"] and destination["inuse"] < room:
        obj = int(pool.cells[source["cells"] + place])
        if obj >= 0:
            _obj_malloc(pool, dst, obj)
            _obj_free(pool, src, place)
        place += 1


@njit
def _compact_class_quarters(pool: PoolArrays, geo: GeometryArrays, size_class: int) -> int:
    """__zs_compact up to 6.3: take a source, empty it into one destination after the other. Returns the pages freed.

    A source is taken out and put back even when there is nothing to gain, which can change its place in its list.
    """
    pages_freed = 0
    while True:
        src = _emptiest(pool, geo, size_class)
        if src == 0:
            return pages_freed
        _remove_zspage(pool, geo, src)
        if can_compact(pool, geo, size_class) == 0:
            _insert_zspage(pool, geo, src)
            return pages_freed
        while pool.zspages[src]["inuse"]:
            dst = _fullest(pool, geo, size_class)
            if dst == 0:
                _insert_zspage(pool, geo, src)
                return pages_freed
            _remove_zspage(pool, geo, dst)
            _migrate_zspage(pool, geo, src, dst)
            _insert_zspage(pool, geo, dst)
        pages_freed += _free_zspage(pool, geo, src)


@njit
def _compact_class_tenths(pool: PoolArrays, geo: GeometryArrays, size_class: int) -> int:
    """__zs_compact from 6.4: take a destination, fill it from one source after the other. Returns the pages freed."""
    pages_freed = 0
    dst = 0
    while can_compact(pool, geo, size_class):
        if dst == 0:
            dst = _fullest(pool, geo, size_class)
            if dst == 0:
                return pages_freed
            _remove_zspage(pool, geo, dst)
        src = _emptiest(pool, geo, size_class)
        if src == 0:
            break
        _remove_zspage(pool, geo, src)
        _migrate_zspage(pool, geo, src, dst)
        if _insert_zspage(pool, geo, src) == 0:
            pages_freed += _free_zspage(pool, geo, src)
        if pool.zspages[dst]["inuse"] == geo.classes[size_class]["objs_per_zspage"]:
            _insert_zspage(pool, geo, dst)
            dst = 0
    if dst:
        _insert_zspage(pool, geo, dst)
    return pages_freed


@njit
def compact(pool: PoolArrays, geo: GeometryArrays) -> int:
    """zs_compact: pack the objects of each class into fewer zspages; returns the pages freed.

    What writing to zram's `compact` attribute does, and the pool's shrinker. Afterwards no class has as many free
    places as a zspage. O(classes + objects moved).
    """
    pages_freed = 0
    for size_class in range(len(geo.classes) - 1, -1, -1):
        if geo.classes[size_class]["index"] != size_class:
            continue
        if geo.rule == _QUARTERS:
            pages_freed += _compact_class_quarters(pool, geo, size_class)
        else:
            pages_freed += _compact_class_tenths(pool, geo, size_class)
    pool.totals[_COMPACTED] += pages_freed
    return pages_freed


# ----------------------------------------------------------------------------------------------------------- whole pool


@njit
def reset(pool: PoolArrays) -> None:
    """Empty the pool and zero its totals, as writing to zram's `reset` attribute does. O(slots)."""
    for obj in range(len(pool.objects)):
        if pool.objects[obj]:  # a page that was never written to stays untouched
            pool.objects[obj] = 0
    pool.lists[:] = 0
    pool.class_stats[:] = 0
    pool.free_zspages[:] = 0
    pool.totals[:] = 0


@njit
def replay(pool: PoolArrays, geo: GeometryArrays, objects: Ints, sizes: Ints, pages: Ints) -> int:
    """Carry out the operations (objects[i], sizes[i]) and note in pages[i] the pages in use after each.

    A size is bytes to store, FREE or COMPACT. The three arrays are equally long. Returns how many were carried out: it
    stops at the first that is not valid.
    """
    for i in range(len(objects)):
        if sizes[i] == COMPACT:
            result = compact(pool, geo)
        elif sizes[i] == FREE:
            result = free(pool, geo, objects[i])
        else:
            result = malloc(pool, geo, objects[i], sizes[i])
        if result < 0:
            return i
        pages[i] = pool.totals[_PAGES]
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
        self._sizes = np.zeros(slots, np.int64)
        self._compr_data_size = 0

    def malloc(self, obj: int, size: int) -> None:
        """Store a page that compresses to `size` bytes, replacing what `obj` held. ValueError if out of range."""
        if malloc(self.arrays, self.geometry.arrays, obj, size) < 0:
            raise ValueError(f"no slot {obj}, or no size of 1 to {self.geometry.page_size} bytes: {size}")
        self._account(obj, self.geometry.stored_size(size))

    def free(self, obj: int) -> int:
        """Free `obj`, if it is stored; returns the bytes that the pool gives back. ValueError when it is no slot."""
        pages = free(self.arrays, self.geometry.arrays, obj)
        if pages < 0:
            raise ValueError(f"no slot {obj}")
        self._account(obj, 0)
        return pages * self.geometry.page_size

    def compact(self) -> int:
        """Compact; returns the bytes freed."""
        return compact(self.arrays, self.geometry.arrays) * self.geometry.page_size

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
            freeable=sum(can_compact(self.arrays, self.geometry.arrays, c) for c in range(len(classes))) * page_size,
        )
