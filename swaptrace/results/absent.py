"""Figures that an area does not have, with the reason for each: its pool is not modelled, or it has no store.

Unlike what is in doubt, or lost, these are no surprise: the reports say so beside the figures, and warn of nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields

from swaptrace import units
from swaptrace.areas import Store, SwapArea
from swaptrace.engine import zsmalloc
from swaptrace.results.results import Content

#: Bytes of the pool, but for what is stale under each policy.
POOL_FIGURES = ("mem_used_total", "pool", "recovered.pool_bytes", "leaked.pool_bytes", "cost")

_COUNTERS = ("failed_reads", "failed_writes", "invalid_io", "pages_zero", "good_compress_pct", "pages_expand_pct")
_OF_A_STORE = (
    *(field.name for field in fields(Content)), "table_bytes", "failed_writes",
    *(f"ramzswap.{name}" for name in _COUNTERS), "age",
)  # fmt: skip


def why_no_store(area: SwapArea, not_modelled: str) -> str:
    """Why nothing is known of what is behind an area. not_modelled: why it is not followed, if there is a store."""
    if not_modelled:
        return not_modelled
    if area.backing == "disk":
        return "the area is on a disk, which holds no memory, and nothing tells what it does"
    return f"what lies behind this area is not known{area.not_told and f': {area.not_told}'}"


def why_no_pool(store: Store, *, known: bool, unsized: int, shared: bool) -> str:
    """Why a store's pool is not followed.

    known: whether the trace tells how the allocator is built. unsized: entries, held when the recording began, whose
    size was not told. shared: whether other swap areas' pages are in the same pool.
    """
    if store.allocator != "zsmalloc":
        return (
            f"its pool is {store.allocator}, of which there is no model" if store.allocator else "it has several pools"
        )
    if store.is_zswap and store.counters.get("pages_stored"):
        return "zswap held pages when the recording began, and does not tell which"
    if shared:
        return "zswap keeps the pages of several swap areas in one pool"
    if not known:
        return "the trace does not tell how this kernel's zsmalloc is built"
    if unsized:
        return f"the size of {units.count(unsized)} entries that the store held when the recording began was not told"
    return f"the store has more pages than are followed in a pool ({units.count(zsmalloc.MOST_SLOTS)})"


def absent_figures(policies: Iterable[str], *, no_store: str, no_pool: str) -> dict[str, str]:
    """By figure, the reason why an area does not have it; of all policies, too. The reasons: "" if there is none."""
    found = dict.fromkeys(_OF_A_STORE, no_store) if no_store else {}
    if why := no_store or no_pool:
        found |= dict.fromkeys((*POOL_FIGURES, *(f"policies.{name}.stale_pool_bytes" for name in policies)), why)
    return found
