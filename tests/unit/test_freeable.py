"""What compaction would give back: all but the zspages that the objects of each class need at least."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from swaptrace.engine.zsmalloc import ChainRule, FullnessRule, freeable_pages, geometry
from tests.unit.pool import Pool

GEOMETRIES = [
    geometry(4096, 4, ChainRule.USED_PERCENT, FullnessRule.QUARTERS),
    geometry(4096, 8, ChainRule.LEAST_WASTE, FullnessRule.TENTHS),
    geometry(16384, 8, ChainRule.LEAST_WASTE, FullnessRule.TENTHS),
]


def churned(number: int, seed: int) -> tuple[Pool, dict[int, int]]:
    """A pool of many objects, most of which have been freed again; and the sizes of those that are left."""
    geo, rng = GEOMETRIES[number], random.Random(seed)
    pool, sizes = Pool(3000, geo), {}
    for obj in range(3000):
        sizes[obj] = rng.choice([rng.randint(1, geo.page_size), rng.randint(30, 200), geo.page_size])
        pool.malloc(obj, sizes[obj])
    for obj in rng.sample(sorted(sizes), rng.randint(0, 3000)):
        pool.free(obj)
        del sizes[obj]
    return pool, sizes


def compacted(pool: Pool, sizes: dict[int, int]) -> int:
    """Pages that are left when the objects of each class are in as few zspages as they can be."""
    geo, objects = pool.geometry, Counter[int]()
    for size in sizes.values():
        objects[int(geo.arrays.size_class[size])] += 1
    rows = geo.arrays.classes
    return sum(
        -(-count // int(rows[number]["objs_per_zspage"])) * int(rows[number]["pages_per_zspage"])
        for number, count in objects.items()
    )


@pytest.mark.parametrize("number", range(len(GEOMETRIES)))
@pytest.mark.parametrize("seed", range(5))
def test_it_is_what_the_fewest_zspages_save(number: int, seed: int) -> None:
    pool, sizes = churned(number, seed)
    held = pool.mem_used_total // pool.geometry.page_size
    assert freeable_pages(pool.arrays, pool.geometry) == held - compacted(pool, sizes)


def test_an_empty_pool() -> None:
    assert freeable_pages(Pool(10, GEOMETRIES[1]).arrays, GEOMETRIES[1]) == 0
