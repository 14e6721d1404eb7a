"""The first run's compiling is announced: once, on stderr, and only if there is any."""

from __future__ import annotations

import io

import pytest
from numba.core import event
from rich.console import Console

from swaptrace.report.compiling import compiling_shown


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("functions", [0, 3, 200])
def test_compiling_is_announced_once(terminal: bool, functions: int) -> None:
    out = io.StringIO()
    with compiling_shown(Console(file=out, force_terminal=terminal, width=100)) as progress:
        for _ in range(functions):
            event.start_event("numba:compile", data={})
            event.end_event("numba:compile", data={})
        progress.refresh()
    assert out.getvalue().count("compiling the analysis, for this and all later runs") == (functions > 0)
    assert ("compiling, this once" in out.getvalue()) == (terminal and functions > 0)  # the bar
    event.start_event("numba:compile", data={})  # nobody listens any more
    assert out.getvalue().count("compiling the analysis") == (functions > 0)
