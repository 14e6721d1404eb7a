"""swapon and swapoff calls, put together from the events that tell of them; which of them were not understood."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from swaptrace.areas import Store, SwapArea
from swaptrace.events import AREA_DISCARDS, CALL_FAILED, PATH_BYTES, PATH_PLACE, EventKind, SwapCall
from swaptrace.machine import sysfs
from swaptrace.machine.snapshot import describe_area, not_understood

CALL_KINDS = (EventKind.SWAPON, EventKind.SWAPOFF, EventKind.PATH)
_NO_TYPE = 255  # bpf/swap_calls.c
_NO_PATH = "(path not known)"


class Calls:
    """Takes the events in the ring's order: pieces of a thread's path, then its call.

    areas: those that are on at the start. store: an area's store. lost: calls that went well, but whose area is not
    known, by event kind.
    """

    def __init__(self, areas: Iterable[SwapArea], store: Callable[[SwapArea], Store | None], *, zswap: bool) -> None:
        self.lost: dict[str, int] = {}
        self._on = {area.swap_type: area for area in areas}
        self._from_start = set(self._on)
        self._store, self._zswap = store, zswap
        self._pieces: dict[int, list[bytes]] = {}

    def piece(self, event: np.void) -> None:
        """Take a piece of the path of a call that follows."""
        pieces = self._pieces.setdefault(int(event["tgid"]), [])
        if event["device"] == 0:
            pieces.clear()
        if event["device"] == len(pieces):  # or else one before it was lost
            pieces.append(event.tobytes()[PATH_PLACE : PATH_PLACE + PATH_BYTES])

    def call(self, row: int, event: np.void, *, off_again: bool = False) -> SwapCall:
        """The call that an event tells of. row: its place in the batch. off_again: its area, as a later event tells."""
        path = _whole(self._pieces.pop(int(event["slot"]), []))
        kind, swap_type = EventKind(int(event["kind"])), int(event["device"])
        result = -int(event["size"]) if event["flags"] & CALL_FAILED else 0
        area = store = None
        if result == 0 and swap_type == _NO_TYPE:
            self.lost[kind.name] = self.lost.get(kind.name, 0) + 1
        elif result == 0 and kind == EventKind.SWAPON:
            if swap_type not in self._from_start:  # else, its call had not returned when the recording began
                area = self._came(path, event, off_again)
                store = self._store(area)
                self._on[swap_type] = area
            self._from_start.discard(swap_type)
        elif result == 0:
            self._from_start.discard(swap_type)
            area = self._on.pop(swap_type, SwapArea(path or _NO_PATH, swap_type, 0, 0))
        return SwapCall(row, kind.name.lower(), path or _NO_PATH, int(event["arg"]), result, area, store)

    def _came(self, told: str | None, event: np.void, off_again: bool) -> SwapArea:
        """The area that a swapon made: its numbers come from the kernel, what lies behind it from sysfs."""
        swap_type, pages = int(event["device"]), int(event["size"]) - 1
        priority = int(np.uint16(event["run"]).astype(np.int16))
        same = [line.path for line in sysfs.read_swaps() if (line.pages, line.priority) == (pages, priority)]
        path = located(told, same, int(event["tgid"]))
        discards = bool(event["flags"] & AREA_DISCARDS)
        area = SwapArea(path or told or _NO_PATH, swap_type, priority, pages + 1, discards=discards)
        if path is None:
            return not_understood(area, "its path is not known", zswap=self._zswap)
        area = describe_area(path, swap_type, priority, pages, zswap=self._zswap, discards=discards)
        here = (os.path.realpath(path), priority)
        on = not off_again and any((line.path, line.priority) == here for line in sysfs.read_swaps())
        if area.backing == "zram" and not on and not _fixed(path):  # by now, something else may be there
            return not_understood(area, "it was off again before it could be looked at", zswap=self._zswap)
        return area


def _whole(pieces: list[bytes]) -> str | None:
    """The path; None if pieces are missing."""
    path, end, _ = b"".join(pieces).partition(b"\0")
    return path.decode(errors="replace") if end and path else None


def located(told: str | None, same: list[str], process: int) -> str | None:
    """The whole path of an area that was switched on by a path that may be relative, or not known; None if unknown.

    same: the paths of areas of that size and priority that are on now.
    """
    if told is not None and told.startswith("/"):
        return told
    alike = [path for path in same if told is None or Path(path).name == Path(told).name]
    if len(alike) == 1:
        return alike[0]
    if told is None:
        return None
    try:
        return str(Path(f"/proc/{process}/cwd").readlink() / told)
    except OSError:  # it has ended
        return None


def _fixed(path: str) -> bool:
    """Whether a path is that of a zram device or a partition of one, which stay where they are."""
    return os.path.realpath(path).startswith("/dev/zram")
