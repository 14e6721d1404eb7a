"""The table of events: those of a trace, with names in place of numbers, and both of a slot and of its page."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from swaptrace.analysis.attribution import cgroup_name
from swaptrace.areas import Store, SwapArea, store_name
from swaptrace.engine.mapping import extents_of
from swaptrace.events import NAMES, SUBJECTS, EventBatch, EventFlag, EventKind, Subject, SwapCall
from swaptrace.in_use import split_off
from swaptrace.notifiers import SwapEventNotifiers
from swaptrace.results.catalogue import Unit
from swaptrace.results.derived import made_by
from swaptrace.tables.columns import (
    AREA,
    INTEGER,
    MOMENT,
    NAME,
    Column,
    Place,
    Table,
    integers,
    moments,
    named,
    numbered,
    places,
)
from swaptrace.trace.header import Header

EVENTS = Table(
    "events",
    "one event of the kernel, in the order in which it happened to its slot",
    (
        Column("time_ns", INTEGER, "when, since the recording began", Unit.NS, always=True),
        Column("time", MOMENT, "the same by the wall clock"),
        Column("kind", NAME, "what happened: `STORE`, `LOAD`, `FREE`, ..., see docs/trace-file.md", always=True),
        *AREA,
        Column("slot", INTEGER, "the first slot, as an offset in the swap area; null for a page that is no slot. What "
               "joins events of a slot, for a FREE has no page",
               Unit.PAGES),
        Column("store", NAME, "the store that it happened in: the zram device's name, or `zswap`; null for what "
               "happens to the swap area alone"),
        Column("page", INTEGER, "the first page of the store; null for what happens to the swap area alone, and drops "
               "an entry perhaps (a FREE with DROPPED)", Unit.PAGES),
        Column("run", INTEGER, "how many slots or pages, one after the other: sum it, to count slots. Of a FAILED, how "
               "often the store tried", Unit.PAGES, always=True),
        Column("compr_bytes", INTEGER, "compressed size of the entry that is stored, dropped or moved; null where no "
               "entry is, or its size is not known", Unit.BYTES),
        Column("flags", NAME, "names with spaces between them: `SAME`, `DROPPED NOTIFIED`, ..., see docs/trace-file.md;"
               " null if there are none"),
        Column("reason", NAME, "of a FREE: why; one of `free_reasons` in docs/report-json.md"),
        Column("pid", INTEGER, "process id of the task that did it", Unit.NUMBER, always=True),
        Column("process", NAME, "its command's name; null if it was gone before it could be looked up"),
        Column("cgroup", NAME, "of a STORE: the memory cgroup that the page is charged to; a path, or `cgroup` and the "
               "number of its directory"),
        Column("notification_ns", INTEGER, "how long the notification took, if it was timed", Unit.NS),
        Column("errno", INTEGER, "of a SWAPON or SWAPOFF: 0 if it succeeded", Unit.NUMBER),
        Column("pages", INTEGER, "of a DISCARD, pages of the request; of a FAILED, those of it that were not stored",
               Unit.PAGES),
    ),
)  # fmt: skip

_SIZED = np.zeros(256, np.bool_)
_SIZED[[EventKind.STORE, EventKind.DROP, EventKind.PRESENT, EventKind.MOVED]] = True
_OF_CALLS = (EventKind.SWAPON, EventKind.SWAPOFF)


@dataclass
class _Extents:
    """Which pages of a store are slots of areas that are on.

    rows: (first page, the page after the last, place, first slot) of each extent. columns: the same, sorted: int64
    (extents, 4).
    """

    rows: list[tuple[int, int, int, int]] = field(default_factory=list)
    columns: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 4), np.int64))

    def add(self, area: SwapArea, place: int) -> None:
        self.rows += [(index, index + slots, place, slot) for slot, index, slots in extents_of(area)]
        self._sort()

    def remove(self, place: int) -> None:
        self.rows = [row for row in self.rows if row[2] != place]
        self._sort()

    def _sort(self) -> None:
        self.columns = np.array(sorted(self.rows), np.int64).reshape(-1, 4)

    def find(self, page: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(places, slots) of pages; -1 where they are no slots."""
        if not len(self.columns):
            return np.full(len(page), -1), np.full(len(page), -1)
        begin, end, place, first = self.columns.T
        row = np.searchsorted(begin, page, side="right") - 1
        slot = first[row] + page - begin[row]
        is_slot = (row >= 0) & (page < end[row]) & (slot > 0)  # the first page of all is mkswap's
        return np.where(is_slot, place[row], -1), np.where(is_slot, slot, -1)


class EventRows:
    """Makes rows of batches, in their order. devices: only what is about these areas or stores; all if empty.

    since and until: CLOCK_MONOTONIC, ns; only what happened from the one on and before the other.
    """

    def __init__(
        self, header: Header, devices: Collection[str] = (), since: int | None = None, until: int | None = None
    ) -> None:
        self._start, self._realtime = header.start.time, header.start_realtime
        self._devices, self._since, self._until = set(devices), since, until
        self.last = header.start.time  # of the events so far, CLOCK_MONOTONIC (ns)
        self._notifiers = SwapEventNotifiers()
        self._places: list[Place] = []
        self._wanted_places: set[int] = set()
        self._on = np.full(256, -1, np.int64)  # places by swap type
        self._extents: dict[int, _Extents] = {}  # by store
        self._stores: dict[int, str] = {}
        self._tasks: dict[int, str] = {}
        self._cgroups: dict[int, str] = {}
        for store in header.start.stores:
            self._stores[store.id] = store.name
        for area in header.start.areas:
            self._swapon(area)

    def rows(self, batch: EventBatch) -> pa.RecordBatch:
        """The rows of the next batch: what the swap map says at the end is no event."""
        batch, _ = split_off(batch)
        self.last = max(self.last, int(batch.events["time"].max(initial=0)))
        self._tasks |= batch.tasks
        self._cgroups |= batch.cgroups
        place, slot = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for piece, call in batch.split():
            places_, slots = self._where(piece.events)
            if call is not None:
                places_[-1] = self._called(call, int(piece.events["time"][-1]))
            place.append(places_)
            slot.append(slots)
        return self._batch(batch.events, np.concatenate(place), np.concatenate(slot))

    @property
    def not_seen(self) -> list[str]:
        """Of the devices that are wanted, those of which there was no swap area until now."""
        known = {place.device for place in self._places} | {self._store(number) for number in self._extents}
        return sorted(self._devices - known)

    @property
    def devices(self) -> list[str]:
        """Of the swap areas that were seen until now."""
        return [place.device for place in self._places]

    # -- where

    def _swapon(self, area: SwapArea, store: Store | None = None, time: int = 0) -> int:
        self._swapoff(area.swap_type, time)
        area = self._notifiers.swapon(area, store, time)
        number = self._new_place(Place.of(area), self._store(area.store) if area.store is not None else None)
        self._on[area.swap_type] = number
        if area.store is not None:
            self._extents.setdefault(area.store, _Extents()).add(area, number)
        return number

    def _swapoff(self, swap_type: int, time: int) -> int:
        number, area = int(self._on[swap_type]), self._notifiers.areas.get(swap_type)
        if area is not None and area.store is not None:
            self._extents[area.store].remove(number)
        self._notifiers.swapoff(swap_type, time)
        self._on[swap_type] = -1
        return number

    def _called(self, call: SwapCall, time: int) -> int:
        """The place that a call is about, from now on in this state."""
        if call.store is not None:
            self._stores[call.store.id] = call.store.name
        area = made_by(call)
        if call.result == 0 and area is not None:
            return (
                self._swapon(area, call.store, time) if call.call == "swapon" else self._swapoff(area.swap_type, time)
            )
        return self._new_place(Place(call.path), None)

    def _new_place(self, place: Place, store: str | None) -> int:
        number = len(self._places)
        self._places.append(place)
        if place.device in self._devices or store in self._devices:
            self._wanted_places.add(number)
        return number

    def _where(self, events: NDArray[np.void]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(places, slots) of events; -1 where there is none."""
        place, slot = np.full(len(events), -1), np.full(len(events), -1)
        kind, device = events["kind"], events["device"]
        of_area, of_store = SUBJECTS[kind] == Subject.AREA, _of_store(kind)
        place[of_area] = self._on[device[of_area]]
        slot[of_area] = events["slot"][of_area]
        for store in np.unique(device[of_store]).tolist():
            if store in self._extents:
                rows = of_store & (device == store)
                place[rows], slot[rows] = self._extents[store].find(events["slot"][rows].astype(np.int64))
        return place, slot

    # -- columns

    def _batch(self, events: NDArray[np.void], place: NDArray[np.int64], slot: NDArray[np.int64]) -> pa.RecordBatch:
        wanted = self._wanted(events, place)
        if not wanted.all():
            events, place, slot = events[wanted], place[wanted], slot[wanted]
        kind, flags, arg = events["kind"], events["flags"], events["arg"]
        of_store = _of_store(kind)
        time = events["time"].astype(np.int64) - self._start
        calls = np.isin(kind, _OF_CALLS)
        return EVENTS.batch(
            {
                "time_ns": integers(time),
                "time": moments(time, self._realtime),
                "kind": numbered(kind, NAMES["kind"]),
                **places(place, self._places),
                "slot": integers(slot, slot >= 0),
                "store": named(events["device"], self._store, of_store | (kind == EventKind.RESET)),
                "page": integers(events["slot"], of_store),
                "run": integers(events["run"]),
                "compr_bytes": integers(events["size"], _is_sized(events)),
                "flags": named(flags, _flags),
                "reason": numbered(events["reason"], NAMES["reason"], events["reason"] > 0),
                "pid": integers(events["tgid"]),
                "process": named(events["tgid"], self._tasks.get),
                "cgroup": named(arg, partial(cgroup_name, self._cgroups), (kind == EventKind.STORE) & (arg > 0)),
                "notification_ns": integers(arg, flags & EventFlag.TIMED != 0),
                "errno": integers(arg, calls),
                "pages": integers(arg, np.isin(kind, (EventKind.DISCARD, EventKind.FAILED))),
            }
        )

    def _wanted(self, events: NDArray[np.void], place: NDArray[np.int64]) -> NDArray[np.bool_]:
        wanted = np.ones(len(events), np.bool_)
        if self._since is not None:
            wanted &= events["time"] >= self._since
        if self._until is not None:
            wanted &= events["time"] < self._until
        if self._devices:
            kind, device = events["kind"], events["device"]
            stores = [number for number in np.unique(device).tolist() if self._store(number) in self._devices]
            of_store = _of_store(kind) | (kind == EventKind.RESET)
            wanted &= np.isin(place, list(self._wanted_places)) | (of_store & np.isin(device, stores))
        return wanted

    def _store(self, number: int) -> str:
        return self._stores.get(number) or store_name(number)


def _of_store(kind: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which kinds are of a store's pages."""
    return np.asarray(((SUBJECTS[kind] == Subject.STORE) & (kind != EventKind.RESET)) | (kind == EventKind.DISCARD))


def _is_sized(events: NDArray[np.void]) -> NDArray[np.bool_]:
    """Of which events the size is known."""
    kind, flags, size = events["kind"], events["flags"], events["size"]
    unsized = (kind == EventKind.PRESENT) & (size == 0) & (flags & (EventFlag.SAME | EventFlag.WRITTEN_BACK) == 0)
    gone = flags & EventFlag.GONE != 0
    dropped = np.isin(kind, (EventKind.NOTIFY, EventKind.FREE)) & (flags & EventFlag.DROPPED != 0)
    return np.asarray((_SIZED[kind] & ~unsized & ~gone) | dropped)


def _flags(bits: int) -> str | None:
    """The names of a set of flags; None if it has none."""
    return " ".join(flag.name for flag in EventFlag if bits & flag and flag.name) or None
