"""A comparison in the terminal."""

from __future__ import annotations

from rich.rule import Rule
from rich.text import Text

from swaptrace.console import WIDTH, Console, plain, say
from swaptrace.diff import tables, words
from swaptrace.diff.document import Area, Comparison
from swaptrace.report.text import print_titled_table


def print_text(found: Comparison, console: Console, *, everything: bool) -> None:
    """Print all of it. everything: figures that have not changed as well.

    Nothing of it is read as rich's markup, for names come from the traced machines.
    """
    say(console, "swaptrace diff", "bold")
    say(console, "\n".join(f"  {name}  {runs}" for name, runs in words.heading(found)))
    for warning in found.warnings:
        console.print()
        say(console, f"WARNING  {warning}", "bold red")
    console.print()
    say(console, found.verdict, "bold")
    for table in tables.of_setup(found):
        print_titled_table(table, console)
    console.print()
    say(console, words.of_the_spread(found))
    for area in found.areas:
        _print_area(area, found, console, everything=everything)
    if found.not_compared:
        console.print()
        say(console, "Not compared", "bold")
        say(console, "\n".join(f"  {area.title}: {area.why}" for area in found.not_compared))


def _print_area(area: Area, found: Comparison, console: Console, *, everything: bool) -> None:
    console.print()
    title = Text(plain(area.title, console), style="bold")
    console.print(Rule(title, align="left", style="none"), width=min(console.width, WIDTH))
    if len(found.areas) > 1:
        say(console, area.verdict)
    for note in area.notes:
        say(console, note)
    made, rest = tables.of_area(area, several=found.has_spread, everything=everything, wide=False)
    for table in (*tables.of_area_setup(area), *made):
        print_titled_table(table, console)
    console.print()
    for sentence in rest:
        say(console, sentence)
