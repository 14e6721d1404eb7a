"""The few figures that reports derive from others: shares, differences and rates, all in one place.

Everything else that a report shows is taken from the results as it is. None in, or nothing to divide by: None out.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from swaptrace.histogram import Survival
from swaptrace.results.results import AreaResult


def share(part: float | None, whole: float | None) -> float | None:
    """part / whole."""
    return None if part is None or not whole else float(part) / float(whole)


def difference(model: int | None, kernel: int | None) -> int | None:
    """By how much the model says more than the kernel."""
    return None if model is None or kernel is None else int(model) - int(kernel)


def stale_share(area: AreaResult, policy: str) -> float | None:
    """The share of the store's compressed bytes that is stale at the end, under a policy."""
    if policy not in area.policies:
        return None
    stale = area.policies[policy].stale_compr_bytes.end
    return share(stale, stale + area.live_compr_bytes_end)


def unread(area: AreaResult, reason: str) -> float | None:
    """The share of the slots freed for a reason whose page was stored and never read since: kept for nothing."""
    known = area.unread is not None and "unread" not in area.not_told and area.stores
    return share(area.unread[reason], area.free_reasons[reason]) if known and area.unread else None


def still_running(survival: Survival) -> int:
    """How many durations had not ended when the recording did."""
    return int(survival.censored.sum())


def size_shares(sizes: NDArray[np.int64]) -> dict[str, float] | None:
    """Shares (0 to 1) of all stored pages, in words, smallest size first; they add up to 1. None if there are none.

    sizes: pages by compressed size (bytes), int64, shape (page size + 1,).
    """
    total = int(sizes.sum())
    if total == 0:
        return None
    half = (len(sizes) - 1) // 2
    good = int(sizes[1 : half + 1].sum())
    same, whole = int(sizes[0]), int(sizes[-1])
    return {
        "same-filled": same / total,
        "up to half a page": good / total,
        "larger": (total - same - good - whole) / total,
        "incompressible": whole / total,
    }
