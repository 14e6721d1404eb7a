"""What has to be known of a batch before any of its events is taken in: one quick look at all of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from swaptrace.analysis.jit import Events, Number, njit
from swaptrace.events import EventKind

__all__ = ["Survey", "survey"]

_STORES = 256  # `device` has 8 bits
_STORE, _LOAD, _DROP = int(EventKind.STORE), int(EventKind.LOAD), int(EventKind.DROP)
_NOTIFY, _PRESENT, _RESET = int(EventKind.NOTIFY), int(EventKind.PRESENT), int(EventKind.RESET)
_MOVED, _ALLOC, _FREE = int(EventKind.MOVED), int(EventKind.ALLOC), int(EventKind.FREE)
_FAILED = int(EventKind.FAILED)


class Survey(NamedTuple):
    """ends: int64 (256,), by store, the page after the last one that an event is about; -1 if there is no event.
    slot_ends: int64 (256,), by swap type, the slot after the last one that is allocated or freed; 0 if there is none.
    slots: the lengths of all runs together. last: the latest time (ns).
    """

    ends: NDArray[np.int64]
    slot_ends: NDArray[np.int64]
    slots: int
    last: int

    @property
    def stores(self) -> list[int]:
        """The stores that something happens to, increasing."""
        return [int(store) for store in np.flatnonzero(self.ends >= 0)]


@njit
def _look(events: Events, ends: NDArray[np.int64], slot_ends: NDArray[np.int64]) -> tuple[Number, Number]:
    slots: Number = 0
    last: Number = 0
    for number in range(len(events)):
        event = events[number]
        kind, device = event["kind"], event["device"]
        slots += np.int64(event["run"])
        last = max(last, np.int64(event["time"]))
        if kind in (_STORE, _LOAD, _DROP, _NOTIFY, _PRESENT, _MOVED):
            ends[device] = max(ends[device], np.int64(event["slot"]) + event["run"])
        elif kind == _FAILED:  # its run is no number of pages
            ends[device] = max(ends[device], np.int64(event["slot"]) + 1)
        elif kind in (_ALLOC, _FREE):
            slot_ends[device] = max(slot_ends[device], np.int64(event["slot"]) + event["run"])
        elif kind == _RESET:  # of the whole store: its slot means nothing
            ends[device] = max(ends[device], 0)
    return slots, last


def survey(events: Events) -> Survey:
    """Look through a batch (array of EVENT)."""
    ends = np.full(_STORES, -1, np.int64)
    slot_ends = np.zeros(_STORES, np.int64)
    slots, last = _look(events, ends, slot_ends)
    return Survey(ends, slot_ends, int(slots), int(last))
