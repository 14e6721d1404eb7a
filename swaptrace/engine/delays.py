"""Notifications on their way: pages of free slots whose entries are to be dropped later, under policies with a delay.

A delay is the same for all pages, so that the page that comes last is due last: a queue for each delay, linked through
arrays by page. A page has one place in each: memory is bounded by pages, and a page leaves without being looked for.
"""

from __future__ import annotations

import cython
import numpy as np
from numpy.typing import NDArray

from swaptrace.engine.lazy import extended
from swaptrace.engine.policies import DELAYS


@cython.final
@cython.cclass
class Delays:
    """The queues of one store, in the order of their delays.

    delay: ns; held and pools: bits and pools of the policies with that delay; int64 (queues,). Page n has place n + 1;
    at place 0, the two ends of a queue meet. due: when (ns), 0 where the page is not in the queue; before and after:
    the neighbours' places; int64 (places * queues,), place by place.
    """

    def __init__(self, delays: tuple[list[int], list[int], list[int]] = DELAYS) -> None:
        """Without room for any page."""
        self.delay, self.held, self.pools = (np.array(column, np.int64) for column in delays)
        self._set([np.zeros(len(self.delay), np.int64) for _ in range(3)])

    def _set(self, arrays: list[NDArray[np.int64]]) -> None:
        self.due, self.before, self.after = arrays

    def _extended(self, more: int) -> list[NDArray[np.int64]]:
        views: list[object] = [self.due, self.before, self.after]
        return [extended(np.asarray(view), more) for view in views]

    def grow(self, pages: int) -> None:
        """Make room for that many pages."""
        more = (pages + 1) * len(self.delay) - len(self.due)
        if more > 0:
            self._set(self._extended(more))

    def copy(self) -> Delays:
        """The same, in memory of its own."""
        copy = Delays()
        copy.delay, copy.held, copy.pools = self.delay, self.held, self.pools
        copy._set(self._extended(0))
        return copy

    def put(self, page: cython.longlong, bits: cython.longlong, now: cython.longlong) -> None:
        """The store is told `now` that the page's slot is free: with these bits, and unless it was told already."""
        queues: cython.Py_ssize_t = self.delay.shape[0]
        queue: cython.Py_ssize_t
        for queue in range(queues):
            at: cython.longlong = (page + 1) * queues + queue
            if bits & self.held[queue] and not self.due[at]:
                last: cython.longlong = self.before[queue]
                self.due[at] = now + self.delay[queue]
                self.before[at] = last
                self.after[at] = 0
                self.after[last * queues + queue] = page + 1
                self.before[queue] = page + 1

    def forget(self, page: cython.longlong) -> None:
        """The page has another entry by now."""
        queue: cython.Py_ssize_t
        for queue in range(self.delay.shape[0]):
            self._leave(queue, page + 1)

    def _leave(self, queue: cython.Py_ssize_t, place: cython.longlong) -> None:
        """Take a page out of a queue, if it is there."""
        queues: cython.Py_ssize_t = self.delay.shape[0]
        at: cython.longlong = place * queues + queue
        if self.due[at]:
            self.after[self.before[at] * queues + queue] = self.after[at]
            self.before[self.after[at] * queues + queue] = self.before[at]
            self.due[at] = 0

    def first_before(self, time: cython.longlong) -> cython.Py_ssize_t:
        """The queue whose first page is due first of all; -1 if none is due before that time."""
        queues: cython.Py_ssize_t = self.delay.shape[0]
        found: cython.Py_ssize_t = -1
        queue: cython.Py_ssize_t
        for queue in range(queues):
            if self.after[queue] and self.due_of(queue) < time:
                found, time = queue, self.due_of(queue)
        return found

    def due_of(self, queue: cython.Py_ssize_t) -> cython.longlong:
        """When a queue's first page is due (ns)."""
        due: cython.longlong = self.due[self.after[queue] * self.delay.shape[0] + queue]
        return due

    def pop(self, queue: cython.Py_ssize_t) -> cython.longlong:
        """Take out a queue's first page: that one."""
        place: cython.longlong = self.after[queue]
        self._leave(queue, place)
        return place - 1
