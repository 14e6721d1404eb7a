"""Slots and store indexes: the one place where the swap map's side and the store's side are joined.

The engine keeps its state per page of a store (store index). An area without a store of its own (a disk) counts as one
whose indexes are its offsets.
"""

from __future__ import annotations

from typing import NamedTuple

import cython
import numpy as np
from cython.cimports.swaptrace.engine import constants
from numpy.typing import NDArray

from swaptrace.areas import MAX_TYPES, SwapArea
from swaptrace.engine.constants import HEADER, NO_AREA, NOBODY
from swaptrace.engine.lazy import extended, indexes_where, lazy_zeros

__all__ = [
    "HEADER",
    "NOBODY",
    "NO_AREA",
    "PageMap",
    "Places",
    "add_area",
    "empty_map",
    "end_of",
    "grow_map",
    "mark_of",
    "owned",
    "owner_of",
    "remove_area",
]

MAX_AREAS = 250


class PageMap(NamedTuple):
    """What has to be known to place an event.

    store: the store's id, or -1 for a disk area. page_size: bytes. type_area: int64 (32,), this store's area that has
    the swap type, or NO_AREA. extents: int64 (n, 4), rows of (area, first slot, first index, slots). owner: uint8
    (pages,), the mark (see mark_of) of the area that a page belongs to, of HEADER, or of NOBODY. slot: uint32 (pages,),
    the slot that a page is.
    """

    store: int
    page_size: int
    type_area: NDArray[np.int64]
    extents: NDArray[np.int64]
    owner: NDArray[np.uint8]
    slot: NDArray[np.uint32]


def empty_map(store: int, pages: int, page_size: int) -> PageMap:
    """A store of that many pages, without areas."""
    return PageMap(
        store,
        page_size,
        np.full(MAX_TYPES, NO_AREA, np.int64),
        np.zeros((0, 4), np.int64),
        lazy_zeros(pages, np.uint8),
        lazy_zeros(pages, np.uint32),
    )


def grow_map(pages: PageMap, count: int) -> PageMap:
    """The same, with room for `count` pages at least: each is what it would be, had there been room from the beginning.

    That is, its last area's own, or nobody's if that area is off, whoever had it before.
    """
    before, more = len(pages.owner), count - len(pages.owner)
    if more <= 0:
        return pages
    pages = pages._replace(owner=extended(pages.owner, more), slot=extended(pages.slot, more))
    for area in np.unique(pages.extents[:, 0]).tolist():  # in the order in which they began
        _give(pages, area, before, area if area in pages.type_area else NOBODY)
    return pages


def _give(pages: PageMap, area: int, begin: int, owner: int) -> None:
    """The pages of an area, from that one on, get an owner, as far as there is room for them."""
    for slot, index, count in pages.extents[pages.extents[:, 0] == area, 1:].tolist():
        first, end = max(index, begin), min(index + count, len(pages.owner))
        if first < end:
            pages.owner[first:end] = mark_of(owner)
            pages.slot[first:end] = np.arange(slot + first - index, slot + end - index)
            if slot == 0 and first == index:
                pages.owner[index] = mark_of(HEADER)


def end_of(pages: PageMap, area: int, slot: int) -> int:
    """The page after the last one that an area's slots below that one are; 0 if there is none."""
    rows = pages.extents[(pages.extents[:, 0] == area) & (pages.extents[:, 1] < slot)]
    return int((rows[:, 2] + np.minimum(rows[:, 3], slot - rows[:, 1])).max(initial=0))


def extents_of(area: SwapArea) -> tuple[tuple[int, int, int], ...]:
    """(first slot, first index, slots) of an area; the identity for one without a store."""
    return area.extents or ((0, 0, area.slots),)


def add_area(pages: PageMap, area: SwapArea, number: int) -> PageMap:
    """Let area `number` of the store begin: its pages are its own from now on, whoever had them before.

    There is room for as many pages as before: see grow_map().
    """
    rows = [(number, *extent) for extent in extents_of(area)]
    extents = np.concatenate([pages.extents, np.array(rows, np.int64)])
    pages = pages._replace(extents=extents[np.lexsort((extents[:, 1], extents[:, 0]))])
    pages.type_area[area.swap_type] = number
    _give(pages, number, 0, number)
    return pages


def remove_area(pages: PageMap, area: SwapArea) -> PageMap:
    """The area is off: its type means nothing any more, and what is written to its pages from now on is no slot's.

    What the store still holds of its slots stays its own: see the holder of a page in swaptrace.engine.replay.
    """
    pages.owner[owned(pages, int(pages.type_area[area.swap_type]))] = mark_of(NOBODY)
    pages.type_area[area.swap_type] = NO_AREA
    return pages


def mark_of(owner: int) -> int:
    """What is kept of a page's owner: 0 of NOBODY, so that a page of which nothing is known takes no memory."""
    return NOBODY - owner


def owner_of(pages: PageMap, page: int) -> int:
    """The area that a page belongs to, HEADER, or NOBODY."""
    return NOBODY - int(pages.owner[page])


def owned(pages: PageMap, *owners: int) -> NDArray[np.int64]:
    """The store indexes (increasing) of the pages of these owners."""
    marks = [mark_of(owner) for owner in owners]
    return indexes_where(len(pages.owner), lambda part: np.isin(pages.owner[part], marks))


class Places:
    """A map as the loops see it: it shares the map's arrays, and is good for as long as they are."""

    def __init__(self, pages: PageMap) -> None:
        self.store = pages.store
        self.type_area = pages.type_area
        self.extents = pages.extents
        self.owner = pages.owner
        self.slot = pages.slot

    def area_of(self, swap_type: cython.longlong) -> cython.longlong:
        """This store's area that has the swap type, or NO_AREA."""
        area: cython.longlong = self.type_area[swap_type] if swap_type < self.type_area.shape[0] else constants.NO_AREA
        return area

    def owner_of(self, page: cython.longlong) -> cython.longlong:
        """As owner_of(), of one of the map's pages."""
        mark: cython.longlong = self.owner[page]
        return constants.NOBODY - mark

    def index_of(self, area: cython.longlong, slot: cython.longlong) -> tuple[cython.longlong, cython.longlong]:
        """The store index of a slot, and how many of the slots from it on lie there in a row; (-1, 1) if unknown."""
        row: cython.Py_ssize_t
        for row in range(self.extents.shape[0]):
            offset: cython.longlong = slot - self.extents[row, 1]
            if self.extents[row, 0] == area and 0 <= offset < self.extents[row, 3]:
                return self.extents[row, 2] + offset, self.extents[row, 3] - offset
        return -1, 1

    def slot_of(self, area: cython.longlong, page: cython.longlong) -> cython.longlong:
        """The slot that a page was or is to an area: another area may have the page by now."""
        row: cython.Py_ssize_t
        found: cython.longlong = 0
        if page < self.owner.shape[0] and self.owner_of(page) == area:
            found = self.slot[page]
        else:
            for row in range(self.extents.shape[0]):
                offset: cython.longlong = page - self.extents[row, 2]
                if self.extents[row, 0] == area and 0 <= offset < self.extents[row, 3]:
                    found = self.extents[row, 1] + offset
                    break
        return found
