"""The rules that hold of a machine that is looked at and of a recording alike: each a function from facts to findings.

Facts are what both can tell: areas, stores with the kernel's own counters, and how far those moved. The audit's rules
about layers, notifications and filesystems are its own (swaptrace.audit.findings).
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from swaptrace import units
from swaptrace.areas import Store
from swaptrace.degradation import RECOMPRESSION
from swaptrace.findings.finding import Advice, Finding, Severity

SMALL = 1 << 20  # bytes: less than that is not worth anybody's time
_LOOSE = 1.5  # pool over compressed bytes: what compaction is for; just filled, it is 1.03 to 1.1
_FULL = 0.95  # of an area's slots
_REFUSED = 0.05  # of the pages that zswap was offered
_STORM_SHARE, _STORM_RATE = 0.5, 100.0  # of the pages stored, and a second: they came back while it was recorded
_STORM_PAGES = 1000  # fewer say nothing
_COLD_PAGES = 1000
_COLD_SHARE = 0.1  # of what the stores hold


@dataclass(frozen=True)
class AreaFacts:
    """A swap area (slots, pages). backing: as SwapArea has it. store: its store's name.

    Of a recording: stored, refaults, and slots whose page came back (`swapins`); None of a machine that is looked at,
    and where they are not known.
    """

    path: str
    priority: int
    slots: int
    used: int
    backing: str
    store: str | None = None
    stored: int | None = None
    refaults: int | None = None
    swapins: int | None = None

    def of_a_recording(self, stored: int, refaults: int | None, swapins: int | None) -> AreaFacts:
        """The same with what was recorded of it."""
        return replace(self, stored=stored, refaults=refaults, swapins=swapins)


@dataclass(frozen=True)
class CgroupFacts:
    """A memory cgroup in a recording: live pages and compressed bytes at its end, what it stored, and loaded."""

    name: str
    live: int
    held_bytes: int
    stored: int
    loaded: int


@dataclass(frozen=True)
class Facts:
    """seconds: how long was recorded; None of a machine that is looked at. moved: by store and counter, how far the
    kernel's counters moved meanwhile; of a machine that is looked at, what they are."""

    areas: tuple[AreaFacts, ...]
    stores: tuple[Store, ...]
    moved: dict[str, dict[str, int]]
    seconds: float | None = None
    cgroups: tuple[CgroupFacts, ...] = field(default=())

    @property
    def during(self) -> str:
        return "" if self.seconds is None else f" while recording ({units.duration(self.seconds * 1e9)})"


Rule = Callable[[Facts], Iterator[Finding]]


def find(facts: Facts) -> list[Finding]:
    """All findings, the gravest first."""
    return sorted((finding for rule in RULES for finding in rule(facts)), key=lambda finding: -finding.severity)


def failed_writes(facts: Facts) -> Iterator[Finding]:
    """zram had no room: mem_limit, or no memory."""
    for store in facts.stores:
        refused = facts.moved.get(store.name, {}).get("failed_writes", 0)
        if store.is_zswap or not refused:
            continue
        limit, used = store.counters.get("mem_limit", 0), store.counters.get("mem_used_total")
        because = (
            f"Its mem_limit is {units.size(limit)}, and its pool takes {units.size(used)}."
            if limit
            else "It has no mem_limit: the kernel had no memory for it."
        )
        advice = (
            Advice(
                "Raise the limit, or take it away with 0. The counter stays as it is.",
                (f"echo {2 * limit} > /sys/block/{store.name}/mem_limit",), cures=False,
            ),
        ) if limit else ()  # fmt: skip
        yield Finding(
            "failed-writes", Severity.WARNING, f"/dev/{store.name}",
            f"{store.name} refused {units.count(refused)} writes{facts.during}: those pages stayed in memory, and the "
            f"kernel tried again with others. {because}",
            {"failed_writes": refused, "mem_limit_bytes": limit, "mem_used_bytes": used}, advice,
        )  # fmt: skip


def backing_device_unused(facts: Facts) -> Iterator[Finding]:
    """zram writes nothing back by itself."""
    for store in facts.stores:
        if store.backing_dev and not store.counters.get("bd_writes") and store.counters.get("pages_stored", 0) > 1:
            yield Finding(
                "backing-device-unused", Severity.INFO, f"/dev/{store.name}",
                f"{store.name} has {store.backing_dev} to write pages back to, and has never written one: zram does so "
                "only when it is told to.",
                {"pages_stored": store.counters.get("pages_stored"), "bd_writes": 0},
                (Advice("Mark what is idle, and write it back some time later; a timer can do both.",
                        (f"echo all > /sys/block/{store.name}/idle",), cures=False),),
            )  # fmt: skip


_WHY_REFUSED = {
    "pool_limit_hit": "its pool was full (max_pool_percent)",
    "reject_compress_poor": "they did not compress",
    "reject_compress_fail": "they did not compress",
    "reject_alloc_fail": "there was no memory",
    "reject_kmemcache_fail": "there was no memory",
    "reject_reclaim_fail": "nothing could be written back to make room",
}


def zswap_refuses(facts: Facts) -> Iterator[Finding]:
    """Pages that zswap did not take went to the disk, past what is there to save it."""
    for name, counters in facts.moved.items():
        why = {counter: counters[counter] for counter in _WHY_REFUSED if counters.get(counter)}
        if name != "zswap" or not why:
            continue
        refused = sum(why.values())
        taken = sum(area.stored or 0 for area in facts.areas if area.backing == "zswap")
        if taken and refused < _REFUSED * (taken + refused):
            continue
        most = max(why, key=lambda counter: why[counter])
        yield Finding(
            "zswap-refuses", Severity.WARNING if most == "pool_limit_hit" else Severity.INFO, "zswap",
            f"zswap did not take pages {units.count(refused)} times{facts.during}, mostly because "
            f"{_WHY_REFUSED[most]}: they went to the disk.",
            dict(why),
            (Advice("Let its pool grow.", ("echo 30 > /sys/module/zswap/parameters/max_pool_percent",), cures=False),)
            if most == "pool_limit_hit" else (),
        )  # fmt: skip


def pool_fragmented(facts: Facts) -> Iterator[Finding]:
    """Whole pages of memory for objects that are gone: notifications give bytes back, and pages only with the last."""
    for store in facts.stores:
        pool, size = store.counters.get("mem_used_total"), store.counters.get("compr_data_size")
        if store.is_zswap or pool is None or not size or pool < _LOOSE * size or pool - size < SMALL:
            continue
        yield Finding(
            "pool-fragmented", Severity.INFO, f"/dev/{store.name}",
            f"The pool of {store.name} takes {units.size(pool)} of memory for {units.size(size)} of compressed pages, "
            f"{pool / size:.1f} times as much: most of its pages have room where objects were freed.",
            {"mem_used_bytes": pool, "compr_bytes": size},
            (Advice("Have the objects moved together; it takes processor time once.",
                    (f"echo 1 > /sys/block/{store.name}/compact",), cures=False),),
        )  # fmt: skip


def recompression(facts: Facts) -> Iterator[Finding]:
    """Sizes change without an event."""
    for store in facts.stores:
        if RECOMPRESSION in store.features:
            yield Finding(
                "recompression", Severity.INFO, f"/dev/{store.name}",
                f"{store.name} is set up to recompress its pages (recomp_algorithm): what they take changes without "
                "an event, so figures of its content are not told.",
            )  # fmt: skip


def priority_inversion(facts: Facts) -> Iterator[Finding]:
    """The disk is used before memory is, or for what is hot while what is cold fills the memory."""
    fast = [area for area in facts.areas if area.backing == "zram"]
    disks = [area for area in facts.areas if area.backing == "disk"]
    for disk in disks:
        behind = [area for area in fast if area.priority < disk.priority]
        if behind and disk.used:
            names = ", ".join(area.path for area in behind)
            yield Finding(
                "disk-before-zram", Severity.WARNING, disk.path,
                f"{disk.path}, a disk, has priority {disk.priority} and is filled before {names}, which is in memory "
                f"(priority {max(area.priority for area in behind)}).",
                {"priority": disk.priority, "slots_in_use": disk.used},
                _before(disk, behind),
            )  # fmt: skip
            continue
        hot, cold = disk.swapins or 0, sum(area.swapins or 0 for area in fast)
        if fast and all(area.used >= _FULL * area.slots for area in fast) and hot > cold and hot >= _STORM_PAGES:
            yield Finding(
                "priority-inversion", Severity.WARNING, disk.path,
                f"{units.count(hot)} pages came back from {disk.path}, a disk{facts.during}, and {units.count(cold)} "
                f"from {', '.join(area.path for area in fast)}, which is full: what is cold fills the memory, and what "
                "is hot goes to the disk.",
                {"swapins_from_disk": hot, "swapins_from_zram": cold},
                (Advice("Make the compressed area larger, or let zram write what is idle back to the disk.",
                        cures=False),),
            )  # fmt: skip


def _before(disk: AreaFacts, behind: list[AreaFacts]) -> tuple[Advice, ...]:
    """A higher priority for what is in memory: 32767 is the highest (SWAP_FLAG_PRIO_MASK)."""
    sentence = "Switch the compressed area on with a higher priority than the disk's; swapoff needs room for its pages."
    if disk.priority >= 32767:
        return (Advice("Switch the disk on with a lower priority than the compressed area's.", cures=False),)
    paths = [shlex.quote(area.path) for area in behind]
    commands = ((f"swapoff {path}", f"swapon -p {disk.priority + 1} {path}") for path in paths)
    return (Advice(sentence, tuple(command for pair in commands for command in pair)),)


def refault_storm(facts: Facts) -> Iterator[Finding]:
    """Pages come back soon after they went: the working set does not fit."""
    for area in facts.areas:
        back, stored = area.refaults, area.stored
        if back is None or not stored or not facts.seconds or back < _STORM_PAGES:
            continue
        if back >= _STORM_SHARE * stored and back >= _STORM_RATE * facts.seconds:
            yield Finding(
                "refault-storm", Severity.WARNING, area.path,
                f"{units.count(back)} of the {units.count(stored)} pages that went to {area.path} came back"
                f"{facts.during}, {units.rate(back / facts.seconds)}: what is in use does not fit into memory.",
                {"refaults": back, "stores": stored},
                (Advice("Find whose they are with --by cgroup, and give that more memory, or less to do.",
                        cures=False),),
            )  # fmt: skip


def stores_and_never_loads(facts: Facts) -> Iterator[Finding]:
    """What a cgroup swaps out, it does not miss."""
    held = sum(group.held_bytes for group in facts.cgroups)
    for group in facts.cgroups:
        if group.live < _COLD_PAGES or group.loaded or group.stored < _COLD_PAGES:
            continue
        if group.held_bytes >= _COLD_SHARE * held:
            yield Finding(
                "never-loads", Severity.INFO, group.name,
                f"{group.name} has {units.count(group.live)} pages in swap ({units.size(group.held_bytes)} compressed) "
                f"and read none of the {units.count(group.stored)} that it stored{facts.during}: a backing device "
                "would hold them as well.",
                {"live": group.live, "held_compr_bytes": group.held_bytes, "stores": group.stored},
            )  # fmt: skip


RULES: tuple[Rule, ...] = (
    failed_writes,
    priority_inversion,
    refault_storm,
    zswap_refuses,
    backing_device_unused,
    pool_fragmented,
    recompression,
    stores_and_never_loads,
)
