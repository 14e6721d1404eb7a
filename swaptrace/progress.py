"""What is going on, for who waits at a terminal: on its stderr, and gone again when it is over. Elsewhere, nothing.

LiveLine loads nothing, for it is there while a recording goes on; bars are rich's.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Self, TypeVar

_Item = TypeVar("_Item")


def somebody_waits() -> bool:
    """Whether stderr is a terminal that can go back to the beginning of a line."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


class LiveLine:
    """One line, which the next one takes the place of. Leaving its context clears it."""

    def __init__(self, line: str = "") -> None:
        self._terminal = somebody_waits()
        self._shown = False
        if line:
            self.show(line)

    def show(self, line: str) -> None:
        self._print(line)
        self._shown = True

    def clear(self) -> None:
        if self._shown:
            self._print("", end="\r")
        self._shown = False

    def _print(self, line: str, end: str = "") -> None:
        if self._terminal:
            width = shutil.get_terminal_size().columns - 1
            with contextlib.suppress(OSError):  # see to_stderr()
                print(f"\r{line[:width]:<{width}}", end=end, file=sys.stderr, flush=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()


@contextlib.contextmanager
def bar(what: str, total: float) -> Iterator[Callable[[float], object]]:
    """Yields what is to be told how much of the total is done."""
    if not somebody_waits():  # rich before 15 would print an empty line
        yield lambda done: None
        return
    from rich.progress import Progress

    from swaptrace.console import Console

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda done: progress.update(task, completed=done)


def track(items: Sequence[_Item], what: str) -> Iterator[_Item]:
    """The items; a bar shows how many of them are done."""
    with bar(what, len(items)) as done:
        for number, item in enumerate(items, 1):
            yield item
            done(number)
