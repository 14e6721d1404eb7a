"""Slot frees that are under way at a moment: freed by the swap map, and the notification has not come yet.

The kernel notifies the store of each slot inside of the free, which holds the lock of the slots' cluster (up to 6.12
that of the whole area). So the next event about such an entry is its notification, and a free is over once the same
cluster had another one.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from swaptrace.events import EventBatch, EventKind

#: A free that is not over this many events after a cut has no notification to come.
MOST_EVENTS = 1 << 16

_OF_ENTRIES = (EventKind.STORE, EventKind.DROP, EventKind.NOTIFY)


def under_way(
    freed: NDArray[np.int64], latest: NDArray[np.int64], missed: NDArray[np.bool_], *, notified: bool
) -> NDArray[np.bool_]:
    """Which of an area's leaked slots may have their notification still to come: bool, of the same shape.

    freed: when each was freed, latest: when any slot of its cluster was, for the last time (ns). missed: whether its
    notification came, but found the entry locked. notified: whether the store was notified of any slot of the area: if
    it never was, one free that is over is enough to know that it will not be.
    """
    over = freed < latest
    return ~missed & ~over if notified or not over.any() else np.zeros(len(freed), np.bool_)


def _keys(device: NDArray[np.uint16], page: NDArray[np.uint32]) -> NDArray[np.int64]:
    return device.astype(np.int64) << 32 | page


class Completion:
    """Looks, in what comes after a moment, for the notifications of frees that had begun before."""

    def __init__(self, time: int, pages: dict[int, NDArray[np.int64]]) -> None:
        """time: that moment (ns). pages: by store, the indexes of entries that wait for a notification."""
        self._time = time
        keys = [_keys(np.full(len(found), store, np.uint16), found.astype(np.uint32)) for store, found in pages.items()]
        self._open = np.concatenate(keys) if keys else np.zeros(0, np.int64)
        self._seen = 0

    @property
    def over(self) -> bool:
        """Whether there is nothing more to look for."""
        return not len(self._open) or self._seen >= MOST_EVENTS

    def split(self, batch: EventBatch) -> tuple[EventBatch, EventBatch]:
        """(the notifications of these frees, as if they had come at that moment; the other events)."""
        events = batch.events[: max(MOST_EVENTS - self._seen, 0)]
        self._seen += len(batch)
        keys = _keys(events["device"], events["slot"])
        rows = np.flatnonzero(np.isin(events["kind"], _OF_ENTRIES) & np.isin(keys, self._open))
        found, first = np.unique(keys[rows], return_index=True)
        self._open = np.setdiff1d(self._open, found)
        mine = np.zeros(len(batch), np.bool_)
        mine[rows[first]] = events["kind"][rows[first]] == EventKind.NOTIFY
        if not mine.any():
            return EventBatch(batch.events[:0]), batch
        taken = batch.events[mine]
        taken["time"] = np.minimum(taken["time"], self._time)
        left = np.cumsum(~mine)
        calls = tuple(replace(call, row=int(left[call.row]) - 1) for call in batch.calls)
        return EventBatch(taken, batch.tasks), EventBatch(batch.events[~mine], batch.tasks, calls)
