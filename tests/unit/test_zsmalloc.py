"""The zsmalloc model against three judges: real kernels, a slow reference written apart from it, its own invariants.

The real kernels' sequences are in data/zsmalloc-*.json.gz, one for each of Linux 6.1, 6.12 and 7.3, about 8,800
operations each. A script wrote pages of seeded content to a zram device, one at a time with O_DIRECT, discarded single
pages, overwrote others, and wrote to zram's `compact` attribute, reading mm_stat after each operation: the size stored
is the change in compr_data_size. Nothing was traced. In a file: `objects` and `sizes` of the operations (0: a discard,
or a same-filled page was stored; -1: compact), and after each of them `pages` (mem_used_total / page_size), `peak`
(mem_used_max / page_size) and `pages_compacted`.

The model does not compact. Where the kernel did, the slow reference does, and the model goes on from its state.
"""

from __future__ import annotations

import gzip
import json
import random
import sys
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swaptrace.engine import zsmalloc
from swaptrace.engine.zsmalloc import MOST_SLOTS, ChainRule, FullnessRule, Geometry, Total, geometry
from tests.unit.pool import Pool

DATA = Path(__file__).parent / "data"
KERNELS = ("6.1", "6.12", "7.3")
OLD = geometry(chain_size=4, chain_rule=ChainRule.USED_PERCENT, fullness_rule=FullnessRule.QUARTERS)
BETWEEN = geometry(fullness_rule=FullnessRule.QUARTERS)  # 6.3
NEW = geometry()
GEOMETRIES = pytest.mark.parametrize("geo", [OLD, BETWEEN, NEW], ids=["old", "between", "new"])
SLOTS = 400
FREE, COMPACT = 0, -1  # sizes that are operations of their own
Operation = tuple[int, int]


# -------------------------------------------------------------------------------------------------- the slow reference


@cache
def slow_classes(geo: Geometry) -> list[tuple[int, int, int]]:
    """For each stored size from 1 to the page size: (class size, pages of a zspage, objects of a zspage)."""
    page = geo.page_size
    merged: dict[int, tuple[int, int, int]] = {}
    sizes = []
    size = 32
    while size < page:  # from ZS_MIN_ALLOC_SIZE on
        sizes.append(size)
        size += page // 256
    last = None
    for size in [page, *reversed(sizes)]:
        best, chain = None, 0
        for pages in range(1, geo.chain_size + 1):
            waste = pages * page - (pages * page // size) * size
            if geo.chain_rule is ChainRule.LEAST_WASTE:
                score = -waste
            else:
                score = int(100 * (pages * page - waste) / (pages * page))
            if best is None or score > best:
                best, chain = score, pages
        shape = (chain, chain * page // size)
        if last is None or last[1:] != shape:
            last = (size, *shape)
        merged[size] = last
    table = []
    for stored in range(1, page + 1):
        needed = min(stored + 8, page)  # and its handle
        table.append(merged[min(s for s in merged if s >= needed)])
    return table


class SlowZspage:
    def __init__(self, shape: tuple[int, int, int]) -> None:
        self.shape = shape
        self.pages, self.capacity = shape[1:]
        self.objects: dict[int, int] = {}  # place -> object
        self.free = list(reversed(range(self.capacity)))  # the next one to use is last

    @property
    def inuse(self) -> int:
        return len(self.objects)

    def put(self, obj: int) -> int:
        place = self.free.pop()
        self.objects[place] = obj
        return place

    def take(self, place: int) -> int:
        self.free.append(place)
        return self.objects.pop(place)


class SlowPool:
    """Lists of zspages, by class and group; where[obj] = (zspage, place)."""

    def __init__(self, geo: Geometry) -> None:
        self.tenths = geo.fullness_rule is FullnessRule.TENTHS
        self.table = slow_classes(geo)
        self.groups: dict[tuple[tuple[int, int, int], int], list[SlowZspage]] = {}
        self.where: dict[int, tuple[SlowZspage, int]] = {}
        self.zspages: list[SlowZspage] = []
        self.peak = self.compacted = 0

    @property
    def pages(self) -> int:
        return sum(z.pages for z in self.zspages)

    def group(self, zspage: SlowZspage) -> int:
        if zspage.inuse == zspage.capacity:
            return 99
        if self.tenths:
            return zspage.inuse * 100 // zspage.capacity // 10
        return int(zspage.inuse > 3 * zspage.capacity // 4)

    def insert(self, zspage: SlowZspage) -> None:
        siblings = self.groups.setdefault((zspage.shape, self.group(zspage)), [])
        behind = not self.tenths and siblings and siblings[0].inuse > zspage.inuse
        siblings.insert(1 if behind else 0, zspage)

    def remove(self, zspage: SlowZspage) -> int:
        """Take it out of the list it is in; returns that list's group."""
        for (shape, group), siblings in self.groups.items():
            if shape == zspage.shape and zspage in siblings:
                siblings.remove(zspage)
                return group
        raise AssertionError("a zspage is in no list")

    def first(self, shape: tuple[int, int, int], fullest: bool) -> SlowZspage | None:
        groups = sorted(g for s, g in self.groups if s == shape and g != 99 and self.groups[s, g])
        return self.groups[shape, groups[-1 if fullest else 0]][0] if groups else None

    def regroup(self, zspage: SlowZspage) -> None:
        in_list = next(g for (s, g), siblings in self.groups.items() if s == zspage.shape and zspage in siblings)
        if in_list != self.group(zspage):
            self.remove(zspage)
            self.insert(zspage)

    def release(self, zspage: SlowZspage, place: int) -> None:
        zspage.take(place)
        if zspage.inuse:
            self.regroup(zspage)
        else:
            self.remove(zspage)
            self.zspages.remove(zspage)

    def malloc(self, obj: int, size: int) -> None:
        old = self.where.get(obj)
        shape = self.table[size - 1]
        zspage = self.first(shape, fullest=True)
        if zspage is None:
            zspage = SlowZspage(shape)
            self.zspages.append(zspage)
            self.where[obj] = (zspage, zspage.put(obj))
            self.insert(zspage)
        else:
            self.where[obj] = (zspage, zspage.put(obj))
            self.regroup(zspage)
        self.peak = max(self.peak, self.pages)
        if old:
            self.release(*old)

    def free(self, obj: int) -> None:
        if obj in self.where:
            self.release(*self.where.pop(obj))

    def gain(self, shape: tuple[int, int, int]) -> int:
        return sum(len(z.free) for z in self.zspages if z.shape == shape) // shape[2]

    def move(self, source: SlowZspage, destination: SlowZspage) -> None:
        for place in sorted(source.objects):
            if not destination.free:
                break
            obj = source.take(place)
            self.where[obj] = (destination, destination.put(obj))

    def drop_if_empty(self, zspage: SlowZspage) -> None:
        if zspage.inuse:
            self.insert(zspage)
        else:
            self.zspages.remove(zspage)

    def compact(self) -> None:
        before = self.pages
        for shape in {z.shape for z in self.zspages}:
            (self.fill_destinations if self.tenths else self.empty_sources)(shape)
        self.compacted += before - self.pages

    def empty_sources(self, shape: tuple[int, int, int]) -> None:
        while source := self.first(shape, fullest=False):
            self.remove(source)
            if not self.gain(shape):
                self.insert(source)
                return
            while source.inuse:
                destination = self.first(shape, fullest=True)
                assert destination is not None, "gain() promised room"
                self.remove(destination)
                self.move(source, destination)
                self.insert(destination)
            self.drop_if_empty(source)

    def fill_destinations(self, shape: tuple[int, int, int]) -> None:
        destination = None
        while self.gain(shape):
            if destination is None:
                destination = self.first(shape, fullest=True)
                assert destination is not None, "gain() promised room"
                self.remove(destination)
            source = self.first(shape, fullest=False)
            assert source is not None, "gain() promised a source"
            self.remove(source)
            self.move(source, destination)
            self.drop_if_empty(source)
            if not destination.free:
                self.insert(destination)
                destination = None
        if destination is not None:
            self.insert(destination)

    def layout(self) -> set[frozenset[int]]:
        """Which objects share a zspage."""
        return {frozenset(zspage.objects.values()) for zspage in self.zspages}


def like(slow: SlowPool, slots: int, geo: Geometry) -> Pool:
    """A pool of the model in the same state."""
    pool = Pool(slots, geo)
    objects, zspages, lists, totals = pool.arrays
    numbers = {zspage: number for number, zspage in enumerate(slow.zspages, 1)}
    for zspage, number in numbers.items():
        sized = geo.arrays.classes["size"] == zspage.shape[0]
        size_class = int(geo.arrays.classes["index"][sized][0])
        row = geo.arrays.classes[size_class]
        one = zspages[number]
        one["size_class"], one["inuse"] = size_class, zspage.inuse
        one["fullness"] = geo.arrays.fullness[row["fullness"] + zspage.inuse]
        objects[list(zspage.objects.values())] = number
        totals[Total.PAGES] += zspage.pages
    totals[Total.ZSPAGES] = len(numbers)
    for siblings in slow.groups.values():
        in_list = [numbers[zspage] for zspage in siblings if zspage.inuse < zspage.capacity]
        for before, number in pairwise([0, *in_list]):
            zspages[number]["prev"] = before
            if before:
                zspages[before]["next"] = number
            else:
                lists[zspages[number]["size_class"], zspages[number]["fullness"]] = number
    return pool


class Both:
    """The model and the slow reference, side by side."""

    def __init__(self, geo: Geometry, slots: int = SLOTS) -> None:
        self.geo, self.slots = geo, slots
        self.pool, self.slow = Pool(slots, geo), SlowPool(geo)

    def operate(self, obj: int, size: int) -> None:
        if size == COMPACT:
            self.slow.compact()
            self.pool = like(self.slow, self.slots, self.geo)
        elif size == FREE:
            self.pool.free(obj)
            self.slow.free(obj)
        else:
            self.pool.malloc(obj, size)
            self.slow.malloc(obj, size)
        assert self.pool.mem_used_total == self.slow.pages * self.geo.page_size


def run_both(geo: Geometry, operations: list[Operation]) -> Pool:
    both = Both(geo)
    for operation in operations:
        both.operate(*operation)
    assert both.pool.layout == both.slow.layout()
    return both.pool


def stream(seed: int, length: int) -> list[Operation]:
    """Bursts of stores and of frees in a few size classes, so that zspages fill, empty and can be compacted."""
    rng = random.Random(seed)
    operations: list[Operation] = []
    while len(operations) < length:
        sizes = rng.choice([(1300,), (90, 180), (40, 600, 3000, 4096), tuple(rng.sample(range(1, 4097), 3))])
        share = rng.random()
        for _ in range(rng.randrange(10, 500)):
            size = FREE if rng.random() < share else rng.choice(sizes)
            operations.append((rng.randrange(SLOTS), size))
        if rng.random() < 0.4:
            operations.append((0, COMPACT))
    return operations


# ------------------------------------------------------------------------------------------------------------- geometry


@pytest.mark.parametrize(
    "geo",
    [
        OLD,
        NEW,
        geometry(chain_size=4),
        geometry(chain_size=5),
        geometry(chain_size=16),
        geometry(page_size=16384),
        geometry(page_size=65536, chain_size=4, chain_rule=ChainRule.USED_PERCENT, fullness_rule=FullnessRule.QUARTERS),
    ],
    ids=lambda geo: f"{geo.page_size}-{geo.chain_size}-{geo.chain_rule.value}",
)
def test_every_size_is_in_the_class_that_the_rules_give(geo: Geometry) -> None:
    found = geo.arrays.classes[geo.arrays.size_class[1:]]
    assert [(int(c["size"]), int(c["pages_per_zspage"]), int(c["objs_per_zspage"])) for c in found] == slow_classes(geo)


# The table in the kernel's own Documentation/mm/zsmalloc.rst: number of size classes, and the largest that is not huge.
# The numbers of classes are those of the percentages; the watermarks are the same by either rule.
DOCUMENTED = {
    4: (69, 3264),
    5: (86, 3408),
    6: (93, 3504),
    7: (112, 3584),
    8: (123, 3632),
    9: (140, 3680),
    10: (143, 3712),
    11: (159, 3744),
    12: (164, 3776),
    13: (180, 3792),
    14: (183, 3808),
    15: (188, 3840),
    16: (191, 3840),
}


@pytest.mark.parametrize("chain_size", DOCUMENTED)
@pytest.mark.parametrize("rule", ChainRule)
def test_geometry_is_the_documented_one(chain_size: int, rule: ChainRule) -> None:
    geo = geometry(chain_size=chain_size, chain_rule=rule)
    count, watermark = DOCUMENTED[chain_size]
    if rule is ChainRule.USED_PERCENT:
        assert len(np.unique(geo.arrays.classes["index"])) == count
    stored = watermark - 8
    assert geo.arrays.classes[geo.arrays.size_class[stored]]["size"] == watermark
    assert geo.arrays.classes[geo.arrays.size_class[stored + 1]]["size"] == 4096


def test_documented_classes_of_short_chains() -> None:
    """Rows of the same document's table: 1536 bytes are 8 objects in 3 pages, 1632 are 5 in 2."""
    for size, pages, objects in [(1536, 3, 8), (1632, 2, 5), (3072, 3, 4), (48, 3, 256), (32, 1, 128), (4096, 1, 1)]:
        c = OLD.arrays.classes[OLD.arrays.size_class[max(1, size - 8)]]
        assert (c["size"], c["pages_per_zspage"], c["objs_per_zspage"]) == (size, pages, objects)


def test_fullness_groups_of_both_rules() -> None:
    for geo, expected in [(OLD, [0, 1, 1, 1, 1, 1, 1, 2, 3]), (NEW, [0, 2, 3, 4, 6, 7, 8, 9, 11])]:
        c = next(c for c in geo.arrays.classes if c["objs_per_zspage"] == 8)
        assert geo.arrays.fullness[c["fullness"] : c["fullness"] + 9].tolist() == expected


@pytest.mark.parametrize(
    "bad",
    [
        {"page_size": 4095},
        {"page_size": 2048},
        {"page_size": 131072},
        {"chain_size": 3},
        {"chain_size": 17},
    ],
    ids=str,
)
def test_geometry_refuses_what_no_kernel_has(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        geometry(**bad)


def test_geometries_compare_by_their_rules_and_cannot_be_changed() -> None:
    assert geometry() == NEW
    assert NEW != BETWEEN
    with pytest.raises(ValueError, match="read-only"):
        NEW.arrays.size_class[5] = 0


# --------------------------------------------------------------------------------------------------------- real kernels


def recorded(kernel: str) -> dict[str, Any]:
    with gzip.open(DATA / f"zsmalloc-{kernel}.json.gz", "rt") as file:
        record: dict[str, Any] = json.load(file)
    return record


def geometry_of(record: dict[str, Any]) -> Geometry:
    return geometry(
        record["page_size"],
        record["chain_size"],
        ChainRule(record["chain_rule"]),
        FullnessRule[record["fullness_rule"]],
    )


@pytest.mark.parametrize("kernel", KERNELS)
def test_equals_a_real_kernel_after_every_operation(kernel: str) -> None:
    record = recorded(kernel)
    both = Both(geometry_of(record), record["slots"])
    found: list[tuple[int, int, int]] = []
    for operation in zip(record["objects"], record["sizes"], strict=True):
        both.operate(*operation)
        found.append((both.pool.mem_used_total // 4096, both.slow.peak, both.slow.compacted))
    expected = list(zip(record["pages"], record["peak"], record["pages_compacted"], strict=True))
    differs = next((i for i in range(len(expected)) if found[i] != expected[i]), None)
    assert differs is None, f"operation {differs}: {found[differs]}, the kernel {expected[differs]}"


@pytest.mark.parametrize("kernel", KERNELS)
def test_recorded_sequences_are_worth_comparing(kernel: str) -> None:
    """They compact to effect, several times, and hundreds of operations follow the last time with objects stored."""
    record = recorded(kernel)
    effective = [i for i, (a, b) in enumerate(pairwise(record["pages_compacted"])) if b > a]
    assert len(effective) >= 5
    assert sum(pages > 0 for pages in record["pages"][effective[-1] :]) > 300
    assert record["pages"][-1] == 0
    assert len({size for size in record["sizes"] if size > 0}) > 1000


# --------------------------------------------------------------------------------------------------- the slow reference

OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.integers(0, 40), st.sampled_from([30, 500, 1300, 1300, 2100, 3300, 4096])),
        st.tuples(st.integers(0, 40), st.integers(1, 4096)),
        st.tuples(st.integers(0, 40), st.just(FREE)),
        st.tuples(st.just(0), st.just(COMPACT)),
    ),
    max_size=150,
)


@GEOMETRIES
@settings(max_examples=60, deadline=None)
@given(operations=OPERATIONS)
def test_equals_the_slow_reference(geo: Geometry, operations: list[Operation]) -> None:
    run_both(geo, operations)


@GEOMETRIES
@pytest.mark.parametrize("seed", range(4))
def test_equals_the_slow_reference_in_long_streams(geo: Geometry, seed: int) -> None:
    run_both(geo, stream(seed, 4000))


def test_equals_the_slow_reference_with_large_pages() -> None:
    run_both(
        geometry(page_size=16384, chain_size=16),
        [(obj, 4 * size if size > 0 else size) for obj, size in stream(7, 2000)],
    )


# ----------------------------------------------------------------------------------------------------------- invariants


@GEOMETRIES
@settings(max_examples=40, deadline=None)
@given(operations=OPERATIONS)
def test_invariants(geo: Geometry, operations: list[Operation]) -> None:
    pool, sizes = Pool(SLOTS, geo), dict.fromkeys(range(SLOTS), 0)
    for obj, size in operations:
        if size > 0:
            pool.malloc(obj, size)
        else:
            pool.free(obj)
        sizes[obj] = max(size, 0)
        assert sum(sizes.values()) <= pool.mem_used_total
    for obj in range(SLOTS):
        pool.free(obj)
    assert pool.mem_used_total == 0
    assert not pool.arrays.lists.any()


@GEOMETRIES
def test_address_space_suffices_for_the_worst_case(geo: Geometry) -> None:
    """Slots alone in zspages of their own, class after class: numbers are reused, and stay in bounds."""
    slots = 8
    pool = Pool(slots * 256, geo)
    small = Pool(slots, geo)
    for size in range(1, 4097, 7):
        for obj in range(slots):
            small.malloc(obj, size)
    for pool_, size in ((pool, 40), (pool, 1300), (pool, 4096)):
        for obj in range(slots * 256):
            pool_.malloc(obj, size)
        for obj in range(slots * 256):
            if obj % 256:
                pool_.free(obj)
    for one in (small, pool):
        assert one.arrays.totals[Total.ZSPAGES] < len(one.arrays.zspages)


def test_freeing_what_is_not_stored_does_nothing() -> None:
    pool = Pool(4, NEW)
    pool.malloc(1, 100)
    pool.free(0)
    assert pool.mem_used_total > 0
    pool.free(1)
    pool.free(1)
    assert pool.mem_used_total == 0


# ----------------------------------------------------------------------------------------------------- compiled callers


@pytest.mark.parametrize(("obj", "size"), [(-1, 10), (4, 10), (0, 4097), (0, -2)])
def test_invalid_operations_change_nothing(obj: int, size: int) -> None:
    pool = Pool(4, NEW)
    pool.malloc(0, 77)
    before = [array.copy() for array in pool.arrays]
    pool.malloc(obj, size)
    if not 0 <= obj < 4:
        pool.free(obj)
    for one, other in zip(before, pool.arrays, strict=True):
        np.testing.assert_array_equal(one, other)


def test_size_nothing_is_no_object() -> None:
    pool = Pool(4, NEW)
    pool.malloc(0, 0)
    assert not pool.arrays.objects.any()
    with pytest.raises(ValueError, match="slots"):
        zsmalloc.new_pool(0, NEW)
    with pytest.raises(ValueError, match="slots"):
        zsmalloc.new_pool((1 << 27) + 1, NEW)


def test_calls_leave_reference_counts_alone() -> None:
    """Compiled functions must not keep arrays, nor let go of them."""
    pool = Pool(SLOTS, OLD)
    counts = [sys.getrefcount(array) for array in (*pool.arrays, *OLD.arrays[:3])]
    for obj, size in stream(1, 300):
        if size > 0:
            pool.malloc(obj, size)
        else:
            pool.free(obj)
    assert [sys.getrefcount(array) for array in (*pool.arrays, *OLD.arrays[:3])] == counts


def test_memory_is_taken_as_it_is_used() -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    def used(slots: int) -> Pool:
        pool = Pool(slots, NEW)
        pool.malloc(slots - 1, 1000)
        pool.malloc(0, 1000)
        return pool

    used(2)  # loads the compiled code
    before = resident()
    pool = used(MOST_SLOTS)
    whole = sum(array.nbytes for array in pool.arrays)
    assert whole > 1 << 31
    # two places of each array; where huge pages are on, the first touch of each may take 2 MiB
    assert resident() - before < whole // 100
