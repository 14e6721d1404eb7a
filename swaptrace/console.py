"""The terminal, or the pipe, that reports are printed to: 80 columns are enough."""

from __future__ import annotations

from typing import Any

import rich.console
from rich import box
from rich.cells import cell_len
from rich.rule import Rule
from rich.table import Column, Table
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


def print_title(title: Text, console: rich.console.Console, characters: str = "─") -> None:
    """With a line behind it, if it has room for one."""
    width = min(console.width, WIDTH)
    if title.cell_len + 4 > width:
        console.print(title, soft_wrap=True, highlight=False)
    else:
        console.print(Rule(title, align="left", style="none", characters=characters), width=width)


def new_table(header_style: str = "") -> Table:
    """How tables look: a line below the headings, and no frame."""
    return Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style=header_style)


def print_table(table: Table, console: rich.console.Console) -> None:
    """Print it. All cells are Text or str, and no line of a column that does not wrap, and no word of another, is cut.

    Where that is too wide, the table is printed row by row, a line for each cell. A column with a `min_width` gives
    way until that.
    """
    widths = [(not column.no_wrap and column.min_width) or _width(column) for column in table.columns]
    if sum(widths) + _GAP * (len(widths) - 1) <= console.width:
        console.print(table, highlight=False)
        return
    about, *headings = [str(column.header) for column in table.columns]
    for first, *cells in zip(*(column.cells for column in table.columns), strict=True):
        _print_line(f"{about}: {first}" if about else str(first), console)
        for heading, cell in zip(headings, cells, strict=True):
            _print_line(f"    {heading}: {', '.join(str(cell).split(chr(10)))}", console)


_GAP = 3  # between two columns


def _width(column: Column) -> int:
    """What it needs."""
    cells = [str(cell) for cell in (column.header, *column.cells)]
    parts = [part for cell in cells for part in (cell.split("\n") if column.no_wrap else cell.split())]
    return max(map(cell_len, parts), default=0)


def _print_line(line: str, console: rich.console.Console) -> None:
    """As a whole: what is too long for a terminal goes on in its next line, and is copied as one."""
    console.print(Text(plain(line, console)), soft_wrap=True, highlight=False)


def plain(text: str, console: rich.console.Console) -> str:
    """The same in ASCII, if that is all that the output can take."""
    if not console.options.ascii_only:
        return text
    return text.translate(_ASCII).encode("ascii", "replace").decode("ascii")
