"""Where the slots in use are: the kernel's swap map, slot by slot, joined with what the store holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from swaptrace.events import EventBatch, EventFlag, EventKind


@dataclass(frozen=True)
class InUse:
    """Slots in use, by the kernel's swap map: each is in one of the first four.

    with_entry: the store holds an entry for it. zero_filled: it has none, as its page is all zeros. swap_cache:
    neither, and its page is in the swap cache. elsewhere: none of these. cached: in the swap cache, whatever else.
    """

    with_entry: int
    zero_filled: int
    swap_cache: int
    elsewhere: int
    cached: int

    @property
    def slots(self) -> int:
        """How many there are."""
        return self.with_entry + self.zero_filled + self.swap_cache + self.elsewhere


def split_off(batch: EventBatch) -> tuple[EventBatch, NDArray[np.void]]:
    """(the batch without what the swap map says, which comes last; that)."""
    kind = batch.events["kind"]
    if not len(batch) or kind[-1] != EventKind.IN_USE:
        return batch, batch.events[:0]
    end = int(np.argmax(kind == EventKind.IN_USE))
    return EventBatch(batch.events[:end], batch.tasks, batch.calls, batch.cgroups, batch.marks), batch.events[end:]


def in_use(said: NDArray[np.void], swap_type: int, live: NDArray[np.int64]) -> InUse | None:
    """Of an area's slots, what the swap map says and what the store holds. None if nothing is said of it.

    said: IN_USE events. live: the area's slots that are in use and have an entry, as the events tell: int64 (n,).
    """
    mine = said[said["device"] == swap_type]
    if not len(mine):
        return None
    first, length = mine["slot"].astype(np.int64), mine["run"].astype(np.int64)
    entries = np.diff(np.searchsorted(np.sort(live), np.stack([first, first + length])), axis=0)[0]
    cached, zero = mine["flags"] & EventFlag.CACHED != 0, mine["flags"] & EventFlag.ZERO != 0
    others = length - entries
    return InUse(
        with_entry=int(entries.sum()),
        zero_filled=int(others[zero].sum()),
        swap_cache=int(others[cached & ~zero].sum()),
        elsewhere=int(others[~cached & ~zero].sum()),
        cached=int(length[cached].sum()),
    )
