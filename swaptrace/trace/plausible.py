"""What the events of a file can be at most: checked batch by batch, before any compiled loop relies on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swaptrace.areas import MAX_PAGES, MAX_TIME, MAX_TYPES, Store, SwapArea
from swaptrace.events import NAMES, SUBJECTS, EventFlag, EventKind, Subject, SwapCall
from swaptrace.trace.header import Header

#: A store that was set up, or got another size, while recording may have so many pages (64 GiB of 4 KiB) though nothing
#: in the trace tells of it.
UNTOLD_PAGES = 1 << 24
#: Slots that are allocated or freed at once: those of the largest page there is (512 MiB in pages of 64 KiB).
MAX_RUN = 8192

#: Stores of a trace: each takes some memory, and no machine has so many.
MOST_STORES = 1024

_FIRST = np.array([0, 1, 1 + MAX_TYPES])  # by Subject, where it begins in the table of ends
_DEVICES = 1 << 16


class Implausible(ValueError):
    """An event that no recorder can have written; the text says of what."""


class Plausible:
    """Knows how large stores and areas can be at each moment of a trace."""

    def __init__(self, header: Header) -> None:
        # The end of what nothing in particular has, of each area by swap type, and of each store.
        self._most = np.full(_FIRST[Subject.STORE] + _DEVICES, UNTOLD_PAGES, np.int64)
        nothing, self._areas, self._stores = np.split(self._most, _FIRST[1:])
        nothing[:] = np.iinfo(np.int64).max
        self._areas[:] = MAX_PAGES + MAX_RUN
        self._seen = np.zeros(_DEVICES, np.bool_)  # stores that something has happened to
        self._present = np.zeros(_DEVICES, np.int64)
        self._mapped = np.zeros(MAX_TYPES, np.int64)  # by swap type, how much of its swap map has come: slots
        self._page_size = header.page_size
        for area in header.start.areas:
            self._area(area)
        for store in header.start.stores:
            self._store(store)

    def _area(self, area: SwapArea) -> None:
        self._areas[area.swap_type] = area.slots
        if area.store is not None:
            end = max((index + slots for _, index, slots in area.extents), default=0)
            self._stores[area.store] = max(self._stores[area.store], end)

    def _store(self, store: Store) -> None:
        self._stores[store.id] = max(self._stores[store.id], store.pages)

    def check(self, events: Mapping[str, NDArray[Any]], calls: Sequence[SwapCall]) -> None:
        """Raises Implausible if a batch has a value that cannot be. events: the fields of EVENT, by name, each (n,)."""
        before = self._areas.copy()
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
            after = self._areas.copy()
            np.maximum(before, after, out=self._areas)  # areas that end in this batch
            self._check_values(events)
            self._areas[:] = after
            self._check_present(events)
            self._check_in_use(events)

    def _check_values(self, events: Mapping[str, NDArray[Any]]) -> None:
        kind, run, device, flags = events["kind"], events["run"], events["device"], events["flags"]
        if any(int(events[name].max()) >= len(names) for name, names in NAMES.items()):
            raise Implausible("an event of a kind, or for a reason, that there is not")
        subject = SUBJECTS[kind]
        of_area = subject == Subject.AREA
        if int(events["time"].max()) > MAX_TIME:
            raise Implausible("an event of the far future")
        if (device[of_area] >= MAX_TYPES).any():
            raise Implausible("an event of a swap type that there is not")
        end = events["slot"] + np.where(kind == EventKind.FAILED, 1, run).astype(np.int64)  # others' runs are pages
        if (end > self._most[_FIRST[subject] + device * (subject != Subject.NOTHING)]).any():
            raise Implausible("an event of a page beyond its store or area")
        if int(run.max()) > MAX_RUN and (run[of_area] > MAX_RUN).any():
            raise Implausible("an event of more slots than are allocated or freed at once")
        if int(events["size"].max()) > self._page_size:
            raise Implausible("an entry larger than a page")
        if (run[flags & EventFlag.NOTIFIED != 0] > 1).any():
            raise Implausible("one notification of several slots")
        self._seen[device[subject == Subject.STORE]] = True
        if np.count_nonzero(self._seen) > MOST_STORES:
            raise Implausible(f"events of more than {MOST_STORES} stores")

    def _check_present(self, events: Mapping[str, NDArray[Any]]) -> None:
        """Each entry from before the recording is told of once."""
        present = np.flatnonzero(events["kind"] == EventKind.PRESENT)
        device, run = events["device"][present], events["run"][present]
        for number in np.unique(device):
            self._present[number] += run[device == number].sum(dtype=np.int64)
            if self._present[number] > self._stores[number]:
                raise Implausible("more entries from before than its store has pages")

    def _check_in_use(self, events: Mapping[str, NDArray[Any]]) -> None:
        """What the swap map says comes last, of areas that there are, and of each slot once."""
        said = np.flatnonzero(events["kind"] == EventKind.IN_USE)
        if not len(said) and not self._mapped.any():
            return
        first = 0 if self._mapped.any() else said[0]
        if len(said) != len(events["kind"]) - first:
            raise Implausible("an event after the end of what was recorded")
        device, slot, run = (events[name][said].astype(np.int64) for name in ("device", "slot", "run"))
        if (device >= MAX_TYPES).any() or (slot + run > self._areas[device]).any():
            raise Implausible("a swap map of an area that there is not")
        for number in np.unique(device):
            mine = device == number
            begin, end = slot[mine], (slot + run)[mine]
            if begin[0] < self._mapped[number] or (begin[1:] < end[:-1]).any():
                raise Implausible("a swap map that tells of a slot twice")
            self._mapped[number] = end[-1]
