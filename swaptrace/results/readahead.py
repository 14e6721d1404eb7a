"""What swap readahead read, and how much of that for nothing, by the kernel's own counters: of the machine as a whole.

A fault reads the slots around its own, up to 2^vm.page-cluster of them (swap_cluster_readahead(), mm/swap_state.c).
Each page that comes along is counted in swap_ra, and in swap_ra_hit at the first fault that finds it.
"""

from __future__ import annotations

from typing import NamedTuple

from swaptrace.results.results import TraceResult


class Readahead(NamedTuple):
    """pages: that readahead read while this was recorded. unused: less those of them, or of before, that were used."""

    pages: int
    unused: int


def readahead(result: TraceResult) -> Readahead | None:
    """None where it is not known: of a part of a recording, of one that was cut off, and in older traces."""
    if result.start is None or result.end is None:
        return None
    before, after = result.start.vmstat, result.end.vmstat
    if not {"swap_ra", "swap_ra_hit"} <= before.keys() & after.keys():
        return None
    pages, used = (after[name] - before[name] for name in ("swap_ra", "swap_ra_hit"))
    # what was read before may be used now
    return Readahead(pages, max(pages - used, 0)) if pages >= 0 and used >= 0 else None
