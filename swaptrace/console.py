"""The terminal, or the pipe, that reports are printed to: 80 columns are enough."""

from __future__ import annotations

from typing import Any

import rich.console
from rich.text import Text

from swaptrace.units import DASH

WIDTH = 100  # sentences get no longer than this, however wide the terminal
_ASCII = str.maketrans({"✓": "=", DASH: "-", "·": "*", "µ": "u", "≤": "<="})


class Console(rich.console.Console):
    """rich's, which leaves it to swaptrace.cli what a closed pipe means; rich itself would exit with status 1.

    Where a terminal says that it has no columns, it has as many as others.
    """

    def __init__(self, **how: Any) -> None:
        super().__init__(**how)
        if self.width < 1:
            self.width = 80

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def say(console: rich.console.Console, sentence: str, style: str = "") -> None:
    """Print it. Nothing of it is read as rich's markup, for names come from the machine."""
    console.print(Text(plain(sentence, console), style=style), highlight=False, width=min(console.width, WIDTH))


def plain(text: str, console: rich.console.Console) -> str:
    """The same in ASCII, if that is all that the output can take."""
    if not console.options.ascii_only:
        return text
    return text.translate(_ASCII).encode("ascii", "replace").decode("ascii")
