"""The terminal, or the pipe, that reports are printed to."""

from __future__ import annotations

import rich.console

__all__ = ["Console"]


class Console(rich.console.Console):
    """rich's, which leaves it to swaptrace.cli what a closed pipe means; rich itself would exit with status 1."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError
