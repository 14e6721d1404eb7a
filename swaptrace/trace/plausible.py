"""What the events of a file can be at most: checked batch by batch, before any compiled loop relies on it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from swaptrace.areas import MAX_PAGES, MAX_TIME, Store, SwapArea
from swaptrace.events import OF_AREAS, OF_STORES, EventBatch, EventKind
from swaptrace.trace.header import Header

#: A store that was set up, or got another size, while recording may have so many pages (64 GiB of 4 KiB) though nothing
#: in the trace tells of it.
UNTOLD_PAGES = 1 << 24
#: Slots that are allocated or freed at once: those of the largest page there is (512 MiB in pages of 64 KiB).
MAX_RUN = 8192

_NOTHING, _STORE, _AREA = range(3)


def _subjects() -> NDArray[np.uint8]:
    """By kind, what `device` and `slot` are of. uint8, shape (256,)."""
    found = np.full(256, _NOTHING, np.uint8)
    found[list(OF_STORES)], found[list(OF_AREAS)] = _STORE, _AREA
    return found


class Implausible(ValueError):
    """An event that no recorder can have written; the text says of what."""


class Plausible:
    """Knows how large stores and areas can be at each moment of a trace."""

    def __init__(self, header: Header) -> None:
        self._subject = _subjects()
        self._most = np.full((3, 256), MAX_PAGES + MAX_RUN, np.int64)  # by subject and device: the end of what it has
        self._most[_STORE] = UNTOLD_PAGES
        self._present = np.zeros(256, np.int64)
        self._page_size = header.page_size
        for area in header.start.areas:
            self._area(area)
        for store in header.start.stores:
            self._store(store)

    def _area(self, area: SwapArea) -> None:
        self._most[_AREA, area.swap_type] = area.slots
        if area.store is not None:
            end = max((index + slots for _, index, slots in area.extents), default=0)
            self._most[_STORE, area.store] = max(self._most[_STORE, area.store], end)

    def _store(self, store: Store) -> None:
        self._most[_STORE, store.id] = max(self._most[_STORE, store.id], store.pages)

    def check(self, batch: EventBatch) -> None:
        """Raises Implausible if a batch has a value that cannot be."""
        before = self._most[_AREA].copy()
        for call in batch.calls:
            if call.area is not None and call.result == 0:
                self._area(call.area)
            if call.store is not None:
                self._store(call.store)
        self._check_rows(batch)
        self._check_events(batch.events, np.maximum(before, self._most[_AREA]))

    @staticmethod
    def _check_rows(batch: EventBatch) -> None:
        rows = [call.row for call in batch.calls]
        if rows != sorted(set(rows)) or (rows and rows[-1] >= len(batch)):
            raise Implausible("swapon and swapoff calls that belong to no event")

    def _check_events(self, events: NDArray[np.void], areas: NDArray[np.int64]) -> None:
        if not len(events):
            return
        kind, device, run = events["kind"], events["device"], events["run"]
        subject = self._subject[kind]
        most = np.where(subject == _AREA, areas[device], self._most[subject, device])
        if int(events["time"].max()) > MAX_TIME:
            raise Implausible("an event of the far future")
        pages = np.where(kind == EventKind.FAILED, 1, run)  # the others' runs are pages or slots
        if (events["slot"].astype(np.int64) + pages > most)[subject != _NOTHING].any():
            raise Implausible("an event of a page beyond its store or area")
        if int(run.max()) > MAX_RUN and (run[subject == _AREA] > MAX_RUN).any():
            raise Implausible("an event of more slots than are allocated or freed at once")
        if (events["size"][subject == _STORE] > self._page_size).any():
            raise Implausible("an entry larger than a page")
        self._check_present(events[kind == EventKind.PRESENT])

    def _check_present(self, present: NDArray[np.void]) -> None:
        """Each entry from before the recording is told of once."""
        for device in np.unique(present["device"]):
            self._present[device] += present["run"][present["device"] == device].sum(dtype=np.int64)
            if self._present[device] > self._most[_STORE, device]:
                raise Implausible("more entries from before than its store has pages")
