"""How many pages a pool has for the bytes in it: by chain length, chain rule, fullness rule, and workload.

Recordings are replayed under each set of rules, as `report --what-if` does; the model alone frees random sizes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from swaptrace.analysis.analysis import machine_of
from swaptrace.engine.zsmalloc import (
    Allocator,
    ChainRule,
    FullnessRule,
    Geometry,
    Total,
    geometry,
    new_pool,
)
from swaptrace.trace.reader import TraceReader

from .fragmentation_page import page
from .harness import Results, day_of
from .levels import LEVELS, REPLACED
from .recorded import Recording, Sizes, against_mm_stat, differing, unequal

__all__ = ["ALONE", "KERNELS", "TITLE", "measured", "misses", "modelled", "page"]

TITLE = "Bytes that are given back, and pages that are not"
KERNELS = ("6.1", "6.12")
ALONE = True
PAGE_SIZE = 4096
CHAINS = (4, 8)
OBJECTS = 64_000
SEED = 2009
ALL_CHAINS = range(4, 17)  # that Kconfig allows


def specification(chain: int, rule: ChainRule, fullness: FullnessRule) -> str:
    """A set of rules, as `report --what-if` takes it."""
    return f"chain={chain},rule={rule.value},fullness={fullness.name.lower()}"


def all_rules(chains: Sequence[int] = CHAINS) -> Iterator[tuple[str, Geometry]]:
    """Each set of rules with these chain lengths, and its geometry."""
    for chain, rule, fullness in itertools.product(chains, ChainRule, FullnessRule):
        yield specification(chain, rule, fullness), geometry(PAGE_SIZE, chain, rule, fullness)


def packed(sizes: Sizes, geo: Geometry) -> int:
    """The bytes of the pool if the objects of each class were in as few zspages as they fit into: fully compacted."""
    classes = geo.arrays.classes
    objects = np.bincount(geo.arrays.size_class[sizes], minlength=len(classes))
    there = np.flatnonzero(objects)  # classes that were merged into others have none
    zspages = -(-objects[there] // classes["objs_per_zspage"][there])
    return int((zspages * classes["pages_per_zspage"][there]).sum()) * PAGE_SIZE


# ------------------------------------------------------------------------------------------------ the model alone


def modelled() -> Results:
    """Random sizes, freed at random: pool over compressed bytes, as it is and packed."""
    uniform = random_sizes(OBJECTS)
    return {
        "objects": OBJECTS,
        "by_rules": {rules: thinned(*uniform, geo) for rules, geo in all_rules(ALL_CHAINS)},
        "by_objects": {
            str(objects): {rules: thinned(*random_sizes(objects), geo) for rules, geo in _kernels_rules()}
            for objects in (1_000, 4_000, 16_000, OBJECTS)
        },
        "by_sizes": {
            str(different): {rules: thinned(*random_sizes(1_000, different), geo) for rules, geo in _kernels_rules()}
            for different in (10, 100, 1_000)
        },
        "objects_per_zspage": {rules: _objects_per_zspage(uniform[0], geo) for rules, geo in _kernels_rules()},
    }


def _kernels_rules() -> list[tuple[str, Geometry]]:
    """Those of 6.1 and of 6.12."""
    rules = dict(all_rules())
    old = specification(4, ChainRule.USED_PERCENT, FullnessRule.QUARTERS)
    new = specification(8, ChainRule.LEAST_WASTE, FullnessRule.TENTHS)
    return [(old, rules[old]), (new, rules[new])]


def random_sizes(objects: int, different: int = PAGE_SIZE) -> tuple[Sizes, Sizes]:
    """So many sizes, of so many different ones; and the order in which the objects are freed."""
    rng = np.random.default_rng(SEED)
    known = rng.permutation(PAGE_SIZE)[:different] + 1
    return known[rng.integers(0, different, objects)], rng.permutation(objects)


@dataclass
class Store:
    """A pool of objects of known sizes, in slots."""

    geometry: Geometry
    sizes: Sizes  # of the object in each slot, 0: none

    def __post_init__(self) -> None:
        self._arrays = new_pool(len(self.sizes), self.geometry)
        self._allocator = Allocator(self._arrays, self.geometry.arrays)

    def put(self, slots: Sizes, sizes: Sizes) -> None:
        self.sizes[slots] = sizes
        for slot, size in zip(slots.tolist(), sizes.tolist(), strict=True):
            self._allocator.malloc(slot, size)

    def drop(self, slots: Sizes) -> None:
        self.sizes[slots] = 0
        for slot in slots.tolist():
            self._allocator.free(slot)

    def ratios(self) -> list[float]:
        """Pool over compressed bytes, as it is and packed."""
        there = self.sizes[self.sizes > 0]
        pages, held = int(self._arrays.totals[Total.PAGES]), int(there.sum())
        return [pages * PAGE_SIZE / held, packed(there, self.geometry) / held]


def thinned(sizes: Sizes, order: Sizes, geo: Geometry) -> dict[str, list[float]]:
    """[pool, packed pool] over compressed bytes at each level; then at half, when each page was replaced by another."""
    count = len(order)
    store = Store(geo, np.zeros(count, np.int64))
    store.put(np.arange(count), sizes[:count])
    found, freed = {}, 0
    for level, parts in LEVELS.items():
        left = count // parts
        store.drop(order[freed : count - left])
        freed = count - left
        found[level] = store.ratios()
    return found | {REPLACED: replaced(sizes, order, geo)}


def replaced(sizes: Sizes, order: Sizes, geo: Geometry) -> list[float]:
    """Half of the slots are full; one page after the other goes, by chance, and another one comes into a free slot."""
    count, half = len(order), len(order) // 2
    store = Store(geo, np.zeros(count, np.int64))
    store.put(order[:half], sizes[:half])
    for number in range(half):
        store.drop(order[number : number + 1])
        store.put(order[half + number : half + number + 1], sizes[half + number : half + number + 1])
    return store.ratios()


def _objects_per_zspage(sizes: Sizes, geo: Geometry) -> float:
    """On average over objects."""
    classes = geo.arrays.classes
    return float(classes["objs_per_zspage"][geo.arrays.size_class[sizes]].mean())


# ------------------------------------------------------------------------------------------------ recordings


def measured(folder: Path) -> Results:
    """By algorithm and run: the kernel's figures at each checkpoint, and the pool by all rules at that moment."""
    algorithms = sorted(path for path in folder.iterdir() if path.is_dir())
    runs = [trace for algorithm in algorithms for trace in sorted(algorithm.glob("*.trace"))]
    header = TraceReader(runs[0]).header
    geo = machine_of(header).geometry
    if geo is None:
        raise ValueError(f"{runs[0]}: the pool's rules are not known")
    return {
        "release": header.kernel,
        "day": day_of(runs[0]),
        "rules": specification(geo.chain_size, geo.chain_rule, geo.fullness_rule),
        "algorithms": {
            algorithm.name: {trace.stem: of_run(trace) for trace in runs if trace.parent == algorithm}
            for algorithm in algorithms
        },
    }


def of_run(trace: Path) -> dict[str, Any]:
    recording = Recording(trace)
    facts = recording.facts
    return {
        "lost_events": recording.lost,
        "checkpoints": [checkpoint(recording, one) for one in facts["checkpoints"]],
        "compacted": facts["compacted"]["mem_used_total"] if facts["compacted"] else None,
    }


def checkpoint(recording: Recording, facts: dict[str, Any]) -> dict[str, Any]:
    """The kernel's figures at a moment, the model's, and what pools there are by all rules."""
    moment = facts["time"]
    sizes = recording.sizes(moment)
    return {
        **against_mm_stat(recording, facts),
        "objects": len(sizes),
        "object_bytes": int(sizes.sum()),
        "different_sizes": len(np.unique(sizes)),
        "pools": {rules: recording.pool(moment, geo) for rules, geo in all_rules()},
        "packed": {rules: packed(sizes, geo) for rules, geo in all_rules()},
    }


def misses(results: Results) -> list[str]:
    """Where the model of the store, as it was recorded, is not what mm_stat says at that moment."""
    found = []
    for kernel, one in results["kernels"].items():
        for algorithm, runs in one["algorithms"].items():
            for name, run in runs.items():
                where = f"Linux {kernel}, {algorithm}, {name}"
                if run["lost_events"]:
                    found.append(f"{where}: {run['lost_events']} events were lost")
                for row in run["checkpoints"]:
                    found += unequal(where, row)
                    said = {"object bytes": (row["object_bytes"], row["kernel"]["compr_data_size"])}
                    said["pool by its rules"] = (row["pools"][one["rules"]], row["kernel"]["mem_used_total"])
                    found += [
                        differing(where, row, key, ours, kernels)
                        for key, (ours, kernels) in said.items()
                        if ours != kernels
                    ]
    return found
