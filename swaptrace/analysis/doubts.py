"""What a store did that no event tells of, as the kernel's own counters show when the recording ends.

zsmalloc moves objects together by itself when memory is short, and when somebody writes to `compact`. And traces of
before FAILED events, as well as kernels that drop an entry before they know whether the new one fits (6.14 to 6.16),
have writes that failed among those that were stored.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from swaptrace import units
from swaptrace.areas import Store
from swaptrace.engine.counters import Total
from swaptrace.engine.replay import Replay
from swaptrace.results.absent import POOL_FIGURES
from swaptrace.results.bounds import all_unknown
from swaptrace.results.results import AreaResult


@dataclass(frozen=True)
class Doubts:
    """compacted: pages that compaction gave back. refused: writes that failed beyond those that events tell of, of
    `failed` in all. suspects: stores that may have been such writes.
    """

    compacted: int = 0
    failed: int = 0
    refused: int = 0
    suspects: int = 0


def doubts_of(start: Store | None, end: Store | None, replay: Replay, *, whole: bool) -> Doubts:
    """Of a store, by its counters at the start and at the end. whole: all events were seen, and none was lost."""
    if end is None or end.is_zswap:
        return Doubts()
    before = start.counters if start and not replay.total(Total.RESETS) else {}  # a reset begins them anew
    compacted, failed = (
        end.counters.get(name, 0) - before.get(name, 0) for name in ("pages_compacted", "failed_writes")
    )
    refused = failed - replay.total(Total.FAILED) if whole else 0
    return Doubts(max(compacted, 0), failed, max(refused, 0), replay.total(Total.UNTOLD))


def doubtful(area: AreaResult, doubts: Doubts) -> AreaResult:
    """The area without the figures that are in doubt, each with the reason."""
    not_told: dict[str, str] = {}
    unknown: dict[str, str] = {}
    if doubts.compacted:
        why = (
            f"the kernel compacted the pool meanwhile (it gave back {units.count(doubts.compacted)} pages), which no "
            "event tells: how large it was, and would have been, is not known"
        )
        names = (*POOL_FIGURES, *(f"policies.{name}.stale_pool_bytes" for name in area.policies))
        not_told |= dict.fromkeys(names, why)
    if doubts.refused:
        why = f"the kernel counted {units.count(doubts.refused)} failed writes that no event tells of"
        not_told |= dict.fromkeys(("failed_writes", "ramzswap.num_writes"), why)
        driver = area.ramzswap | {"num_writes": None, "failed_writes": doubts.failed}
        area = replace(area, failed_writes=None, ramzswap=driver)
        if doubts.suspects:
            unknown = all_unknown(area, f"{why}; they are among those that were stored")
    absent = {name: reason for name, reason in area.absent.items() if name not in not_told}
    return replace(area, absent=absent, not_told=area.not_told | not_told, unknown=area.unknown | unknown)
