"""Large arrays: zeros that take memory only where they are written to, and how much of it there is."""

from __future__ import annotations

import mmap
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swaptrace import units
from swaptrace.engine.policies import DELAYS
from swaptrace.errors import BadInput

#: Python names it since 3.12 or so; include/uapi/asm-generic/mman-common.h, and so on x86 and arm64
_MAP_NORESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000)
_PIECE = 1 << 20  # elements
_BYTES = 54 + 48 * len(DELAYS[0])  # of all arrays of one page, twice, for they are copied when there are to be more


def check_memory(pages: int, more: int = 0) -> None:
    """Raises BadInput if this machine has too little memory to follow that many pages. more: bytes a page, besides."""
    needed = pages * (_BYTES + 2 * more)
    if 2 * needed > os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"):
        raise BadInput(
            f"following {units.count(pages)} pages of a store takes {units.size(needed)} of memory: too much here",
            "report it on a larger machine; or the trace is damaged: record again",
        )


def lazy_zeros(length: int, dtype: Any) -> NDArray[Any]:
    """Zeros that take no memory until they are written to, however many.

    MAP_NORESERVE, so that the kernel's overcommit heuristic does not count them either.
    """
    nbytes = max(1, length * np.dtype(dtype).itemsize)
    if sys.platform != "linux":
        return np.zeros(length, dtype)
    memory = mmap.mmap(-1, nbytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE)
    return np.frombuffer(memory, dtype, length)


def extended(values: NDArray[Any], more: int) -> NDArray[Any]:
    """The same, with that many zeros behind; what was zero still takes no memory."""
    longer = lazy_zeros(len(values) + more, values.dtype)
    before, after = values.view(np.uint8), longer.view(np.uint8)
    whole = len(before) // mmap.PAGESIZE
    after[whole * mmap.PAGESIZE : len(before)] = before[whole * mmap.PAGESIZE :]
    pages, copies = (each[: whole * mmap.PAGESIZE].reshape(-1, mmap.PAGESIZE) for each in (before, after))
    for part in parts(whole, _PIECE // mmap.PAGESIZE):
        used = pages[part].view(np.uint64).any(axis=1)
        copies[part][used] = pages[part][used]
    return longer


def parts(length: int, piece: int = _PIECE) -> Iterator[slice]:
    """An array of that length, part by part: for what is made of each part takes as much memory as it does, or more."""
    return (slice(begin, min(begin + piece, length)) for begin in range(0, length, piece))


def indexes_where(length: int, holds: Callable[[slice], NDArray[np.bool_]]) -> NDArray[np.int64]:
    """The indexes (int64, increasing) at which that holds. It is asked part by part."""
    found = [part.start + np.flatnonzero(holds(part)) for part in parts(length)]
    return np.concatenate([np.zeros(0, np.int64), *found])
