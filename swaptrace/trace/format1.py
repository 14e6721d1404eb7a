"""Format 1, as traces were until swaptrace knew more than 128 zram devices: read for ever, and written no more.

Its events had no place for a reason but among the flags, ids of stores had 8 bits, a notification was an event of its
own, and all of them were timed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from swaptrace.areas import ZSWAP_STORES, Snapshot, Store, SwapArea
from swaptrace.events import EVENT, SUBJECTS, EventFlag, EventKind, Subject, SwapCall
from swaptrace.trace.header import Header, Notes, Trailer

#: Columns of a trace.
COLUMNS: dict[str, np.dtype[Any]] = {
    "time": np.dtype(np.uint64),
    "slot": np.dtype(np.uint32),
    "size": np.dtype(np.uint32),
    "arg": np.dtype(np.uint32),
    "flags": np.dtype(np.uint32),
    "tgid": np.dtype(np.uint32),
    "run": np.dtype(np.uint16),
    "kind": np.dtype(np.uint8),
    "device": np.dtype(np.uint8),
}

_ZSWAP_STORES = 128  # ids from there on were zswap's
_LOW_FLAGS, _ANY_POLICY = 0xFF, 1 << 16  # of its flags, those that are where they were; and the one above the reason
_REASON_SHIFT, _REASON_MASK = 8, 0xFF

T = TypeVar("T", Header, Trailer, Notes)


def columns_of_today(columns: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The columns of a batch of format 1 as those of an EVENT, by name."""
    kind, device, flags = columns["kind"], columns["device"].astype(np.uint16), columns["flags"]
    device[(SUBJECTS[kind] == Subject.STORE) & (device >= _ZSWAP_STORES)] += ZSWAP_STORES - _ZSWAP_STORES
    today = (flags & _LOW_FLAGS).astype(np.uint16)
    today[flags & _ANY_POLICY != 0] |= np.uint16(EventFlag.ANY_POLICY)
    today[kind == EventKind.NOTIFY] |= np.uint16(EventFlag.TIMED)
    reason = np.where(kind == EventKind.FREE, (flags >> _REASON_SHIFT & _REASON_MASK) + 1, 0).astype(np.uint8)
    found = {**columns, "device": device, "flags": today, "reason": reason}
    return {name: found[name] for name in EVENT.names or ()}


def of_today(item: T) -> T:
    """What was said in words, with today's ids of stores."""
    changes: dict[str, Any]
    if isinstance(item, Header):
        changes = {"start": _snapshot(item.start)}
    elif isinstance(item, Trailer):
        changes = {"end": _snapshot(item.end)}
    else:
        changes = {"calls": tuple(map(_call, item.calls))}
    return replace(item, **changes)


def _call(call: SwapCall) -> SwapCall:
    area = None if call.area is None else _area(call.area)
    return replace(call, area=area, store=None if call.store is None else _store(call.store))


def _snapshot(snapshot: Snapshot) -> Snapshot:
    areas, stores = tuple(map(_area, snapshot.areas)), tuple(map(_store, snapshot.stores))
    return replace(snapshot, areas=areas, stores=stores)


def _area(area: SwapArea) -> SwapArea:
    return area if area.store is None else replace(area, store=_id(area.store))


def _store(store: Store) -> Store:
    return replace(store, id=_id(store.id))


def _id(store: int) -> int:
    return store if store < _ZSWAP_STORES else store + ZSWAP_STORES - _ZSWAP_STORES
