"""Whose the pages of a store are: what each group of them adds up to, and what happened to it.

A group is whatever is asked for (swaptrace.dimensions): a memory cgroup, whose pages are those that were stored for it,
or a process, or a reason, whose pages are those that were freed by it. A row is a group's part of one area; row 0 is of
pages that are no slots.
"""

from __future__ import annotations

from collections.abc import Iterable

import cython
import numpy as np
from cython.cimports.swaptrace.engine import constants
from cython.cimports.swaptrace.engine.classes import Classes
from numpy.typing import NDArray

from swaptrace.engine.counters import GroupCount
from swaptrace.engine.lazy import extended, lazy_zeros

_COLUMNS = max(GroupCount) + 1
NOBODYS = 0  # the group of what nobody is known to have done


@cython.final
@cython.cclass
class Groups:
    """The groups of one store.

    at_store, at_free: whether that makes a page another group's. numbers: int32 (events,), the groups of the batch's
    events; group: that of the running one. row_of: int32 (areas, groups), 0 where there is none. row: int32 (pages,),
    that of each page; later: that of the page that is about to change, or -1 if it stays. counts: int64 (rows,
    GroupCount and on).
    """

    def __init__(self, at_store: bool = False, at_free: bool = False, wanted: bool = True) -> None:
        self.wanted, self.at_store, self.at_free = wanted, at_store, at_free
        self.numbers = np.zeros(0, np.int32)
        self.group, self.later = NOBODYS, -1
        self.row_of = np.zeros((0, 1), np.int32)
        self.row = lazy_zeros(0, np.int32)
        self.counts = np.zeros((1, _COLUMNS), np.int64)
        self.classes = Classes(1)
        self.rows: list[tuple[int, int]] = [(-1, NOBODYS)]

    # -- areas, pages and groups that come

    def add_area(self) -> None:
        """The store has one more area."""
        before = np.asarray(self.row_of)
        self.row_of = np.concatenate([before, np.zeros((1, before.shape[1]), np.int32)])

    def grow(self, pages: int) -> None:
        """Make room for that many pages."""
        more = pages - len(np.asarray(self.row))
        if self.wanted and more > 0:
            self.row = extended(np.asarray(self.row), more)

    def expect(self, numbers: NDArray[np.int32], present: Iterable[int], areas: Iterable[int]) -> None:
        """What comes next: events of these groups, one number for each, in these areas."""
        self.numbers = numbers
        groups = {NOBODYS, *present}
        table = np.asarray(self.row_of)
        if max(groups) >= table.shape[1]:
            room = np.zeros((table.shape[0], 2 * max(groups) + 1 - table.shape[1]), np.int32)
            self.row_of = table = np.concatenate([table, room], axis=1)
        new = [(area, group) for area in areas for group in sorted(groups) if not table[area, group]]
        for area, group in new:
            table[area, group] = len(self.rows)
            self.rows.append((area, group))
        if len(self.rows) > len(self.classes):
            self.classes.grow(len(self.rows))
            more = len(self.classes) - len(np.asarray(self.counts))
            self.counts = np.concatenate([np.asarray(self.counts), np.zeros((more, _COLUMNS), np.int64)])

    def copy(self) -> Groups:
        """The same, as far as it is results."""
        copy = Groups(bool(self.at_store), bool(self.at_free), bool(self.wanted))
        copy.rows, copy.counts, copy.classes = list(self.rows), np.array(self.counts), self.classes.copy()
        return copy

    def reset_statistics(self) -> None:
        """Forget what happened, but not what there is."""
        counts = np.asarray(self.counts)
        held = counts[:, [GroupCount.HELD_SLOTS, GroupCount.HELD_BYTES]].copy()
        counts[:] = 0
        counts[:, [GroupCount.HELD_SLOTS, GroupCount.HELD_BYTES]] = held
        self.classes.forget_integrals()

    # -- events

    def stored(self, area: cython.longlong) -> None:
        """A page of that area gets an entry, which makes it another group's."""
        self.later = self.row_of[area, self.group if self.at_store else 0]
        self.counts[self.later, constants.GROUP_STORES] += 1

    def found(self, area: cython.longlong) -> None:
        """A page of that area has an entry from before the recording: nobody knows whose."""
        self.later = self.row_of[area, 0]

    def freed(self, area: cython.longlong, page: cython.longlong, used: cython.bint, reason: cython.longlong) -> None:
        """A slot of that area is freed. used: whether `page` is its entry."""
        row: cython.longlong = self._row(area, page, used, self.at_free)
        self.counts[row, constants.GROUP_FREES] += 1
        self.counts[row, constants.GROUP_FREED_FOR + reason] += 1
        if self.at_free and used:
            self.later = row

    def loaded(self, area: cython.longlong, page: cython.longlong, used: cython.bint, again: cython.bint) -> None:
        """A page of that area is read. used: whether it is in use; again: whether it was read since it was stored."""
        row: cython.longlong = self._row(area, page, used, self.at_free)
        self.counts[row, constants.GROUP_LOADS] += 1
        if used and not again:
            self.counts[row, constants.GROUP_REFAULTS] += 1

    def _row(
        self, area: cython.longlong, page: cython.longlong, used: cython.bint, by_event: cython.bint
    ) -> cython.longlong:
        """Whose an event is: its own group's, or that of the page that it is about."""
        row: cython.longlong = self.row_of[area, self.group if by_event else 0]
        if used and self.at_store:
            row = self.row[page]
        return row

    def move(
        self,
        page: cython.longlong,
        old_class: cython.longlong,
        old_size: cython.longlong,
        was_held: cython.bint,
        new_class: cython.longlong,
        new_size: cython.longlong,
        is_held: cython.bint,
        since: cython.longlong,
    ) -> None:
        """A page goes over to another class, size, or group. held: by the store, as observed."""
        old: cython.longlong = self.row[page]
        new: cython.longlong = self.later if self.later >= 0 else old
        self.later = -1
        if new != old:
            self.row[page] = new
        self.classes.leave(old, old_class, old_size, since)
        self.classes.enter(new, new_class, new_size, since)
        if was_held:
            self.counts[old, constants.GROUP_HELD_SLOTS] -= 1
            self.counts[old, constants.GROUP_HELD_BYTES] -= old_size
        if is_held:
            self.counts[new, constants.GROUP_HELD_SLOTS] += 1
            self.counts[new, constants.GROUP_HELD_BYTES] += new_size
