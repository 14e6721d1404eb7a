"""What the events of a file can be at most: checked batch by batch, before any compiled loop relies on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swaptrace.areas import MAX_PAGES, MAX_TIME, Store, SwapArea
from swaptrace.events import OF_AREAS, OF_STORES, EventKind, SwapCall
from swaptrace.trace.header import Header

#: A store that was set up, or got another size, while recording may have so many pages (64 GiB of 4 KiB) though nothing
#: in the trace tells of it.
UNTOLD_PAGES = 1 << 24
#: Slots that are allocated or freed at once: those of the largest page there is (512 MiB in pages of 64 KiB).
MAX_RUN = 8192

_NOTHING, _STORE, _AREA = range(3)


def _subjects() -> NDArray[np.uint16]:
    """By kind, what `device` and `slot` are of, in the upper of two bytes. uint16, shape (256,)."""
    found = np.full(256, _NOTHING << 8, np.uint16)
    found[list(OF_STORES)], found[list(OF_AREAS)] = _STORE << 8, _AREA << 8
    return found


class Implausible(ValueError):
    """An event that no recorder can have written; the text says of what."""


class Plausible:
    """Knows how large stores and areas can be at each moment of a trace."""

    def __init__(self, header: Header) -> None:
        self._subject = _subjects()
        # By subject and device: the end of what it has.
        self._most = np.full((3, 256), MAX_PAGES + MAX_RUN, np.int64)
        self._most[_STORE] = UNTOLD_PAGES
        self._most[_NOTHING] = np.iinfo(np.int64).max
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

    def check(self, events: Mapping[str, NDArray[Any]], calls: Sequence[SwapCall]) -> None:
        """Raises Implausible if a batch has a value that cannot be. events: the fields of EVENT, by name, each (n,)."""
        before = self._most[_AREA].copy()
        for call in calls:
            if call.area is not None and call.result == 0:
                self._area(call.area)
            if call.store is not None:
                self._store(call.store)
        rows = [call.row for call in calls]
        length = len(events["kind"])
        if rows != sorted(set(rows)) or (rows and rows[-1] >= length):
            raise Implausible("swapon and swapoff calls that belong to no event")
        if length:
            most = self._most.copy()
            np.maximum(before, most[_AREA], out=most[_AREA])  # areas that end in this batch
            self._check_values(events, most.ravel())
            self._check_present(events)

    def _check_values(self, events: Mapping[str, NDArray[Any]], most: NDArray[np.int64]) -> None:
        """most: by subject and device, (3 * 256,)."""
        kind, run, size = events["kind"], events["run"], events["size"]
        subject = self._subject[kind]
        if int(events["time"].max()) > MAX_TIME:
            raise Implausible("an event of the far future")
        end = events["slot"] + np.where(kind == EventKind.FAILED, 1, run).astype(np.int64)  # others' runs are pages
        if (end > most[subject | events["device"]]).any():
            raise Implausible("an event of a page beyond its store or area")
        if int(run.max()) > MAX_RUN and (run[subject == _AREA << 8] > MAX_RUN).any():
            raise Implausible("an event of more slots than are allocated or freed at once")
        if int(size.max()) > self._page_size and (size[subject == _STORE << 8] > self._page_size).any():
            raise Implausible("an entry larger than a page")

    def _check_present(self, events: Mapping[str, NDArray[Any]]) -> None:
        """Each entry from before the recording is told of once."""
        present = np.flatnonzero(events["kind"] == EventKind.PRESENT)
        device, run = events["device"][present], events["run"][present]
        for number in np.unique(device):
            self._present[number] += run[device == number].sum(dtype=np.int64)
            if self._present[number] > self._most[_STORE, number]:
                raise Implausible("more entries from before than its store has pages")
