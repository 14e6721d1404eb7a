"""The selftest's workload: which of its pages are in which swap area, by /proc/PID/pagemap."""

from __future__ import annotations

import numpy as np
import pytest

from swaptrace.record.workload import Region

PRESENT, SWAPPED = 1 << 63, 1 << 62  # Documentation/admin-guide/mm/pagemap.rst


def entry(swap_type: int, slot: int, bits: int = SWAPPED) -> int:
    return bits | slot << 5 | swap_type


def test_pages_are_told_apart_by_their_area(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those in memory are in none, whatever else their entries say."""
    entries = [entry(0, 7), entry(3, 7), entry(3, 1 << 40), entry(31, 9), entry(3, 8, PRESENT), entry(3, 8, 0)]
    entries.append(entry(3, 5, SWAPPED | PRESENT))
    monkeypatch.setattr(Region, "_pagemap", lambda _: np.array(entries, np.uint64))
    region = Region(1, "same", 1)
    assert {kind: region.swapped_to(kind) for kind in (0, 1, 3, 31)} == {0: 1, 1: 0, 3: 2, 31: 1}
    assert region.slots().tolist() == [7, 7, 1 << 40, 9]
