"""The report in the terminal: 80 columns are enough, and nothing but words is lost when it is piped."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from swaptrace.console import new_table, plain, print_table, print_title, say
from swaptrace.findings.text import print_finding
from swaptrace.report import bounded, by, tables, words
from swaptrace.report.findings import findings
from swaptrace.results.results import AreaResult, TraceResult
from swaptrace.units import DASH


def print_text(result: TraceResult, console: Console, groups: by.Breakdown | None = None) -> None:
    """Print the whole report; in place of its areas, whose the pages are, if that is wanted.

    Nothing of it is read as rich's markup, for names come from the traced machine.
    """
    say(console, "swaptrace report", "bold")
    pairs = words.heading(result)
    say(console, "\n".join(f"  {name:<9} {value}" for name, value in pairs))
    for warning in words.warnings(result):
        console.print()
        say(console, f"WARNING  {warning}", "bold red")
    console.print()
    say(console, words.trace_headline(result), "bold")
    for finding in findings(result):
        print_finding(finding, console)
    if groups is not None:
        _print_groups(groups, console)
        return
    for area in result.areas:
        _print_area(area, result, console)


def _print_groups(groups: by.Breakdown, console: Console) -> None:
    console.print()
    for sentence in by.sentences(groups):
        say(console, sentence)
    for table in by.tables_of(groups):
        print_titled_table(table, console)


def _print_area(area: AreaResult, result: TraceResult, console: Console) -> None:
    console.print()
    title = Text(plain(words.area_title(area), console), style="bold")
    print_title(title, console)
    say(console, words.area_line(area))
    if area is not words.lead(result):
        say(console, words.headline(area))
    for table in bounded.area_tables(area, result.trace.get("duration_s")):
        print_titled_table(table, console)


def print_titled_table(table: tables.Table, console: Console) -> None:
    """Print it, with its title and its note."""
    console.print()
    say(console, table.title, "bold")
    print_table(_rich(table, console), console)
    if table.note:
        say(console, table.note)


def _rich(table: tables.Table, console: Console) -> RichTable:
    rich = new_table()
    # where there is no column of words, names give way to figures
    wordy_one = any(wordy for _, wordy in table.columns)
    rich.add_column("", no_wrap=wordy_one, min_width=min(12, max(map(len, table.rows), default=0)))
    for name, wordy in table.columns:
        rich.add_column(Text(name), justify="left" if wordy else "right", no_wrap=not wordy)
    for name, cells in table.rows.items():
        good = table.good.get(name) if table.good else None
        styles = [_style(cell) if table.good is None else _news(cell, good) for cell in (name, *cells)]
        rich.add_row(*(Text(plain(cell, console), style=of) for cell, of in zip((name, *cells), styles, strict=True)))
    return rich


def _style(cell: str) -> str:
    """Green for what agrees, red for what does not, dim for what nobody knows."""
    if cell == tables.EQUAL:
        return "green"
    return "dim" if cell == DASH else "red" if cell == bounded.OUTSIDE or cell.startswith(("+", "-")) else ""


def _news(cell: str, good: bool | None) -> str:
    """Green for a change that is good news, red for one that is bad."""
    if good is None or not cell.startswith(("+", "-", "x ")):
        return ""
    return "green" if good else "red"
