"""The first analysis on a machine compiles its loops, which takes a while: that is announced, and shown to move."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from numba.core import event
from rich.console import Console
from rich.progress import Progress

__all__ = ["compiling_shown"]

_FUNCTIONS = 80  # about as many are compiled, some of them for several types


class _Shown(event.Listener):
    """Told by numba of each function that it compiles; of none that it finds compiled, on disk."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("compiling, this once", total=_FUNCTIONS, visible=False)
        self._begun = 0

    def on_start(self, told: Any) -> None:
        if not self._begun:
            self._progress.console.print("compiling the analysis, for this and all later runs: about half a minute ...")
        self._begun += 1

    def on_end(self, told: Any) -> None:
        total = max(self._begun, _FUNCTIONS)
        self._progress.update(self._task, advance=1, total=total, visible=True)

    def over(self) -> None:
        self._progress.update(self._task, visible=False)


@contextlib.contextmanager
def compiling_shown(console: Console) -> Iterator[Progress]:
    """Herein, say if something has to be compiled; on a terminal, with a bar. Yields that, for more of them."""
    events: Any = event  # numba has no type hints
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        listener = _Shown(progress)
        events.register("numba:compile", listener)
        try:
            yield progress
        finally:
            events.unregister("numba:compile", listener)
            listener.over()
