"""Slots and store indexes: the one place where the swap map's side and the store's side are joined.

The engine keeps its state per page of a store (store index). An area without a store of its own (a disk) counts as one
whose indexes are its offsets.
"""

from __future__ import annotations

from typing import NamedTuple

import cython
import numpy as np
from cython.cimports.swaptrace.engine import constants
from cython.cimports.swaptrace.engine.arrays import const_int64_2d
from numpy.typing import NDArray

from swaptrace.areas import MAX_TYPES, SwapArea
from swaptrace.engine.constants import HEADER, NO_AREA, NOBODY
from swaptrace.engine.lazy import extended, lazy_zeros, parts

MAX_AREAS = 250


class PageMap(NamedTuple):
    """What has to be known to place an event.

    store: the store's id, or -1 for a disk area. page_size: bytes. type_area: int64 (32,), this store's area that has
    the swap type, or NO_AREA. extents: int64 (n, 4), rows of (area, first slot, first index, slots), by area and
    slot; by_page: the same by area and index. owner: uint8 (pages,), the mark (see mark_of) of the area that a page
    belongs to, of HEADER, or of NOBODY.
    """

    store: int
    page_size: int
    type_area: NDArray[np.int64]
    extents: NDArray[np.int64]
    by_page: NDArray[np.int64]
    owner: NDArray[np.uint8]


def empty_map(store: int, pages: int, page_size: int) -> PageMap:
    """A store of that many pages, without areas."""
    return PageMap(
        store,
        page_size,
        np.full(MAX_TYPES, NO_AREA, np.int64),
        np.zeros((0, 4), np.int64),
        np.zeros((0, 4), np.int64),
        lazy_zeros(pages, np.uint8),
    )


def grow_map(pages: PageMap, count: int) -> PageMap:
    """The same, with room for `count` pages at least: each is what it would be, had there been room from the beginning.

    That is, its last area's own, or nobody's if that area is off, whoever had it before.
    """
    before, more = len(pages.owner), count - len(pages.owner)
    if more <= 0:
        return pages
    pages = pages._replace(owner=extended(pages.owner, more))
    for area in np.unique(pages.extents[:, 0]).tolist():  # in the order in which they began
        _give(pages, area, before, area if area in pages.type_area else NOBODY)
    return pages


def _give(pages: PageMap, area: int, begin: int, owner: int) -> None:
    """The pages of an area, from that one on, get an owner, as far as there is room for them."""
    for slot, index, count in pages.extents[pages.extents[:, 0] == area, 1:].tolist():
        first, end = max(index, begin), min(index + count, len(pages.owner))
        if first < end:
            pages.owner[first:end] = mark_of(owner)
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
    by_slot, by_page = (extents[np.lexsort((extents[:, what], extents[:, 0]))] for what in (1, 2))
    pages = pages._replace(extents=by_slot, by_page=by_page)
    pages.type_area[area.swap_type] = number
    _give(pages, number, 0, number)
    return pages


def remove_area(pages: PageMap, area: SwapArea) -> PageMap:
    """The area is off: its type means nothing any more, and what is written to its pages from now on is no slot's.

    What the store still holds of its slots stays its own: see the holder of a page in swaptrace.engine.replay.
    """
    number = int(pages.type_area[area.swap_type])
    for part in parts(len(pages.owner)):
        pages.owner[part][is_owned(pages, part, number)] = mark_of(NOBODY)
    pages.type_area[area.swap_type] = NO_AREA
    return pages


def mark_of(owner: int) -> int:
    """What is kept of a page's owner: 0 of NOBODY, so that a page of which nothing is known takes no memory."""
    return NOBODY - owner


def owner_of(pages: PageMap, page: int) -> int:
    """The area that a page belongs to, HEADER, or NOBODY."""
    return NOBODY - int(pages.owner[page])


def is_owned(pages: PageMap, part: slice, *owners: int) -> NDArray[np.bool_]:
    """Whether the pages of a part of the map are one of these owners'."""
    return np.isin(pages.owner[part], [mark_of(owner) for owner in owners])


def slots_at(pages: PageMap, area: int, index: NDArray[np.int64]) -> NDArray[np.int64]:
    """Places.slot_of() of many pages: int64, one each."""
    rows = pages.by_page[pages.by_page[:, 0] == area]
    rows = rows[np.searchsorted(rows[:, 2], index, side="right") - 1]
    offset = index - rows[:, 2]
    return np.where((offset >= 0) & (offset < rows[:, 3]), rows[:, 1] + offset, 0)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _last_row(
    rows: const_int64_2d, column: cython.Py_ssize_t, area: cython.longlong, value: cython.longlong
) -> cython.Py_ssize_t:
    """The last of an area's rows whose column is not beyond that value; -1 if none is. rows: sorted by both."""
    begin: cython.Py_ssize_t = 0
    end: cython.Py_ssize_t = rows.shape[0]
    while begin < end:
        middle: cython.Py_ssize_t = (begin + end) // 2
        if rows[middle, 0] < area or (rows[middle, 0] == area and rows[middle, column] <= value):
            begin = middle + 1
        else:
            end = middle
    return begin - 1 if begin and rows[begin - 1, 0] == area else -1


class Places:
    """A map as the loops see it: it shares the map's arrays, and is good for as long as they are."""

    def __init__(self, pages: PageMap) -> None:
        self.store = pages.store
        self.type_area = pages.type_area
        self.extents = pages.extents
        self.by_page = pages.by_page
        self.owner = pages.owner

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
        row: cython.Py_ssize_t = _last_row(self.extents, 1, area, slot)
        if row >= 0:
            offset: cython.longlong = slot - self.extents[row, 1]
            if offset < self.extents[row, 3]:
                return self.extents[row, 2] + offset, self.extents[row, 3] - offset
        return -1, 1

    def slot_of(self, area: cython.longlong, page: cython.longlong) -> cython.longlong:
        """The slot that a page was or is to an area: another area may have the page by now. 0 if it never was one."""
        row: cython.Py_ssize_t = _last_row(self.by_page, 2, area, page)
        found: cython.longlong = 0
        if row >= 0:
            offset: cython.longlong = page - self.by_page[row, 2]
            if offset < self.by_page[row, 3]:
                found = self.by_page[row, 1] + offset
        return found
