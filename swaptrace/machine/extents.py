"""Which pages of which zram device are a swap area's: through partitions, files, loop devices and dm tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from swaptrace.machine.machine import PAGE_SIZE, Machine
from swaptrace.machine.stack import BlockLayer

_SECTOR = 512
# FIEMAP of these gives addresses on the one device that sysfs names; that of btrfs, for one, gives addresses of its own
_PLAIN_FILESYSTEMS = {"ext2", "ext3", "ext4", "f2fs", "xfs"}


class NotTold(Exception):
    """It cannot be said which pages are the area's; the message says why, as half a sentence."""


class Segment(NamedTuple):
    """A piece of an area (bytes): where it is in the area, and in which store."""

    logical: int
    store: str
    physical: int
    length: int


def segments(machine: Machine, top: BlockLayer) -> list[Segment]:
    """All pieces of an area that lie on zram, in the area's order. Raises NotTold."""
    return sorted(_pieces(machine, top, 0, 0, None))


def _pieces(machine: Machine, layer: BlockLayer, logical: int, start: int, length: int | None) -> Iterator[Segment]:
    """The pieces of `length` bytes (None: all) of a layer from `start` on; `logical` is where the area has them."""
    if length is None and layer.kind != "file":
        length = layer.number("size") - start
    if layer.kind == "zram":
        yield Segment(logical, layer.name, start, length or 0)
    elif layer.kind in ("partition", "loop") and layer.below:
        shift = layer.number("start" if layer.kind == "partition" else "offset")
        yield from _pieces(machine, layer.below[0], logical, start + shift, length)
    elif layer.kind == "file" and layer.below:
        yield from _file_pieces(machine, layer, logical, start, length)
    elif layer.kind == "dm":
        yield from _dm_pieces(machine, layer, logical, start, length or 0)
    elif layer.kind != "disk" or layer.below:
        raise NotTold(f"how {layer.name} maps its pages is not known")


def _file_pieces(
    machine: Machine, layer: BlockLayer, logical: int, start: int, length: int | None
) -> Iterator[Segment]:
    if layer.facts.get("filesystem") not in _PLAIN_FILESYSTEMS:
        raise NotTold(f"{layer.facts.get('filesystem')} does not tell where on its device a file is")
    try:
        extents = machine.file_extents(layer.name)
    except OSError as error:
        raise NotTold(f"where {layer.name} is on its device cannot be read ({error.strerror or error})") from None
    end = start + length if length is not None else None
    for extent in extents:
        first = max(extent.logical, start)
        last = extent.logical + extent.length
        last = last if end is None else min(last, end)
        if first < last:
            physical = extent.physical + first - extent.logical
            yield from _pieces(machine, layer.below[0], logical + first - start, physical, last - first)


def _dm_pieces(machine: Machine, layer: BlockLayer, logical: int, start: int, length: int) -> Iterator[Segment]:
    try:
        table = machine.dm_table(str(layer.facts.get("dm_name", layer.name)))
    except (OSError, ValueError) as error:
        raise NotTold(f"the device-mapper table of {layer.name} cannot be read ({error})") from None
    if len(layer.below) != 1:
        raise NotTold(f"{layer.name} lies on several devices")
    for line in table.splitlines():
        begin, count, shift = _target(layer.name, line)
        first, last = max(begin, start), min(begin + count, start + length)
        if first < last:
            yield from _pieces(machine, layer.below[0], logical + first - start, shift + first - begin, last - first)


def _target(name: str, line: str) -> tuple[int, int, int]:
    """(start, length, offset on the device below), in bytes, of a target that keeps pages in their order."""
    patterns = (r"(\d+) (\d+) linear \S+ (\d+)", r"(\d+) (\d+) crypt \S+ \S+ \d+ \S+ (\d+)\b.*")
    for pattern in patterns:
        if match := re.fullmatch(pattern, line.strip()):
            begin, count, offset = (int(number) * _SECTOR for number in match.groups())
            return begin, count, offset
    raise NotTold(f"how {name} maps its pages is not known (dm target {' '.join(line.split()[2:3])})")


def pages_of(pieces: list[Segment]) -> dict[str, NDArray[np.int64]]:
    """Rows of (first page, pages) by store: the store's pages that are the area's as a whole."""
    rows: dict[str, list[tuple[int, int]]] = {}
    for piece in pieces:
        first = -(-piece.physical // PAGE_SIZE)
        end = (piece.physical + piece.length) // PAGE_SIZE
        if first < end:
            rows.setdefault(piece.store, []).append((first, end - first))
    return {store: np.array(sorted(found), np.int64) for store, found in rows.items()}


def count_entries(indexes: NDArray[np.int64], ranges: NDArray[np.int64]) -> int:
    """How many of the indexes (increasing) lie in rows of (first, count)."""
    begin = np.searchsorted(indexes, ranges[:, 0])
    end = np.searchsorted(indexes, ranges[:, 0] + ranges[:, 1])
    return int((end - begin).sum())


def slot_extents(pieces: list[Segment], slots: int) -> tuple[tuple[int, int, int], ...]:
    """(first slot, first store index, slots), as SwapArea has them; () if slots and pages are not aligned.

    The kernel leaves out what is no whole page of the device; with filesystem blocks of a page there is nothing such.
    """
    rows = []
    for piece in pieces:
        if piece.logical % PAGE_SIZE or piece.physical % PAGE_SIZE or len({p.store for p in pieces}) > 1:
            return ()
        slot = piece.logical // PAGE_SIZE
        count = min(piece.length // PAGE_SIZE, slots - slot)
        if count > 0:
            rows.append((slot, piece.physical // PAGE_SIZE, count))
    return tuple(rows)


def slots_of_entries(indexes: NDArray[np.int64], extents: tuple[tuple[int, int, int], ...]) -> NDArray[np.int64]:
    """The slots that have an entry: of the store's entries, those in the area's pages, but for the header's.

    indexes: of the entries, in any order. extents: see slot_extents().
    """
    found = [indexes[(first <= indexes) & (indexes < first + count)] - first + slot for slot, first, count in extents]
    slots = np.concatenate([np.zeros(0, np.int64), *found])
    return slots[slots > 0]
