"""Work beside the caller's: tasks that run one after the other in a thread of their own.

The engine's loops let other threads run meanwhile. Nothing depends on how fast either thread is: a task touches nothing
that its caller touches before wait().
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

Item = TypeVar("Item")


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0))


class Worker:
    """Runs tasks in order: in a thread of its own, or at once if it is not to have one."""

    def __init__(self, threaded: bool) -> None:
        self._threads = ThreadPoolExecutor(1, "swaptrace") if threaded else None
        self._running: Future[Any] | None = None

    def start(self, task: Callable[..., None], *arguments: Any) -> None:
        """Wait for the task before, and start this one."""
        self.wait()
        if self._threads is None:
            task(*arguments)
        else:
            self._running = self._threads.submit(task, *arguments)

    def wait(self) -> None:
        """Until all is done. Raises what the last task raised."""
        if self._running is not None:
            running, self._running = self._running, None
            running.result()


def ahead(items: Iterator[Item]) -> Iterator[Item]:
    """The same items, each of them made while the caller still works on the one before."""
    with ThreadPoolExecutor(1, "swaptrace-ahead") as thread:
        following = thread.submit(next, items, None)
        while (item := following.result()) is not None:
            following = thread.submit(next, items, None)
            yield item
