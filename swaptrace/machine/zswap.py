"""zswap, a cache of compressed pages in memory in front of swap areas: whether it is in use, and what it tells."""

from __future__ import annotations

from dataclasses import dataclass

from swaptrace.areas import ZSWAP_STORES, Store, SwapArea
from swaptrace.machine.machine import Machine
from swaptrace.machine.sysfs import PAGE_SIZE

_MODULE = "sys/module/zswap/parameters"
_DEBUG = "sys/kernel/debug/zswap"

# mm/zswap.c, zswap_debugfs_init(); under the names that zram has for the same
_NAMES = {
    "stored_pages": "pages_stored",
    "same_filled_pages": "same_pages",  # until 6.11: later, the swap map knows zero-filled pages by itself
    "stored_incompressible_pages": "huge_pages",
    "pool_total_size": "mem_used_total",
}
#: How often it did not take a page, by reason.
REFUSALS = (
    "pool_limit_hit", "reject_reclaim_fail", "reject_alloc_fail", "reject_kmemcache_fail", "reject_compress_fail",
    "reject_compress_poor",
)  # fmt: skip
_COUNTERS = ("written_back_pages", "duplicate_entry", *REFUSALS)


@dataclass(frozen=True)
class Zswap:
    """why_off: why there is nothing to record of it; "" if there is. counters: for all swap areas together."""

    why_off: str
    compressor: str
    allocator: str
    counters: dict[str, int]

    @property
    def in_use(self) -> bool:
        return not self.why_off


def read_zswap(machine: Machine) -> Zswap:
    """zswap as it is now. What it took while it was on stays there: it is in use until that has gone."""
    enabled = machine.text(f"{_MODULE}/enabled")
    counters = _counters(machine)
    why_off = ""
    if not enabled:
        why_off = "the kernel has no zswap"
    elif enabled not in ("Y", "1") and not counters.get("pages_stored"):
        why_off = "zswap is off"
    # since 6.18, without a choice
    allocator = machine.text(f"{_MODULE}/zpool") or "zsmalloc"
    return Zswap(why_off, machine.text(f"{_MODULE}/compressor"), allocator, counters)


def _counters(machine: Machine) -> dict[str, int]:
    """From debugfs; without that, /proc/meminfo tells two of them (since 5.19)."""
    found = {name: machine.number(f"{_DEBUG}/{file}") for file, name in _NAMES.items()}
    found |= {name: machine.number(f"{_DEBUG}/{name}") for name in _COUNTERS}
    memory = machine.meminfo()
    if found["pages_stored"] is None and "Zswapped" in memory:
        found |= {"pages_stored": memory["Zswapped"] // PAGE_SIZE, "mem_used_total": memory.get("Zswap")}
    if found["pages_stored"] is not None:
        found["orig_data_size"] = found["pages_stored"] * PAGE_SIZE
    return {name: value for name, value in found.items() if value is not None}


def zswap_store(area: SwapArea, zswap: Zswap, *, pools: int, alone: bool = False) -> Store:
    """zswap as the store of one area. alone: there is no other one, so all that zswap counts is this area's.

    pools: how many of them zswap has, if its allocator is zsmalloc: with several, an entry may be in any of them.
    """
    in_one_pool = pools == 1 or zswap.allocator != "zsmalloc"
    return Store(
        id=ZSWAP_STORES + area.swap_type,
        name="zswap",
        pages=area.slots,
        algorithm=zswap.compressor,
        counters=dict(zswap.counters) if alone else {},
        allocator=zswap.allocator if in_one_pool else "",
    )
