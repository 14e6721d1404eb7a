"""Runs of pages, as events have them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

#: An event's `run` has 16 bits.
MOST = (1 << 16) - 1


def runs(
    index: NDArray[np.int64], value: NDArray[Any], longest: int = MOST
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(places where a run begins, lengths) of pages in a row that have the same value.

    index: page numbers, increasing; value: one each. longest: longer ones are cut.
    """
    if not len(index):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    breaks = (np.diff(index) != 1) | (value[1:] != value[:-1])
    begins = np.concatenate([[0], np.flatnonzero(breaks) + 1])
    ends = np.append(begins[1:], len(index))
    pieces = -(-(ends - begins) // longest)
    within = np.arange(pieces.sum()) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    first = np.repeat(begins, pieces) + within * longest
    return first, np.minimum(np.repeat(ends, pieces) - first, longest)
