"""The audit's advice as a table: every list of commands that it printed, run as printed, and what came of it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Column, Table

__all__ = ["Tried", "lines"]

_WIDTH = 180


@dataclass(frozen=True)
class Tried:
    """One list of commands on one kernel. found: what guest_advice.py has noted of it."""

    kernel: str
    finding: str
    stacking: str
    found: dict[str, Any]

    @property
    def row(self) -> tuple[str, str, str, str]:
        """finding, stacking, commands, what the audit says of them."""
        advice = self.found["advice"]
        commands = "\n".join(advice["commands"])
        return self.finding, self.stacking, commands, "removes it" if advice["cures"] else "drops what is stale"

    @property
    def pages(self) -> tuple[int, int]:
        """What zram0 holds before and after, by mm_stat: less those of zeros, which filesystems write at leisure."""
        before, after = (self.found[when]["mm_stat"] for when in ("before", "after"))
        return int(before[0]) // 4096 - int(before[5]), int(after[0]) // 4096 - int(after[5])

    @property
    def outcome(self) -> str:
        """In words, and how many pages zram0 holds before and after."""
        if self.found["status"]:
            return f"FAILED: {self.found['errors'].strip()}"
        there = self.finding in [finding["id"] for finding in self.found["after"]["findings"]]
        before, after = self.pages
        return f"{'stays' if there else 'gone'}\n{before} -> {after}"


def lines(tried: Sequence[Tried], kernels: Sequence[str]) -> list[str]:
    """The table as text, with a column for each kernel."""
    cells: dict[tuple[str, str, str, str], dict[str, str]] = {}
    for each in tried:
        cells.setdefault(each.row, {})[each.kernel] = each.outcome
    commands = Column("commands, as printed", no_wrap=True)
    table = Table("finding", "stacking", commands, "is to", *kernels, box=box.ASCII, show_lines=True)
    for row, outcomes in cells.items():
        table.add_row(*row, *(outcomes.get(kernel, "-") for kernel in kernels))
    console = Console(file=io.StringIO(), width=_WIDTH, markup=False, highlight=False)
    console.print(table)
    return str(console.file.getvalue()).splitlines()  # type: ignore[attr-defined]
