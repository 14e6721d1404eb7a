"""swaptrace report"""

from __future__ import annotations

from pathlib import Path

import click

from swaptrace.commands.exact import bytes_option
from swaptrace.commands.part import part_options
from swaptrace.commands.path import NamedPath
from swaptrace.dimensions import DIMENSIONS
from swaptrace.policies import POLICIES
from swaptrace.units import exact_bytes


@click.command("report")
@click.argument("trace", type=NamedPath())
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "csv", "html"]),
    default="text",
    show_default=True,
    help="csv: what was live and stale over time, for other programs.",
)
@click.option(
    "-o",
    "--output",
    type=NamedPath(),
    help="File (text, json, csv; -: stdout) or folder (html).  [default: stdout; of swap.trace, swap.report]",
)
@part_options
@click.option(
    "--policy", "policies", multiple=True, type=click.Choice(list(POLICIES)), help="Show only that policy; repeatable."
)
@click.option(
    "--what-if",
    "what_ifs",
    multiple=True,
    metavar="KEY=VALUE[,...]",
    help="Replay with another pool: chain=4..16, rule=least_waste|used_percent, fullness=tenths|quarters; or as if "
    "what is idle for so long were written back: writeback=15m (s, m, h, d); repeatable.",
)
@click.option("--age", is_flag=True, help="Also tell what writing back idle entries would give, by how long they are.")
@click.option("--by", type=click.Choice(list(DIMENSIONS)), help="Whose it is: tables of what each of them has.")
@click.option("--sort", metavar="COLUMN", help="Of --by: the column that comes first (live, stale, refaults, ...).")
@click.option("--top", type=click.IntRange(min=0), help="Of --by: so many of them, 0 for all.  [default: 20]")
@bytes_option
def command(
    trace: Path,
    form: str,
    output: Path | None,
    since: float | str | None,
    until: float | str | None,
    devices: tuple[str, ...],
    policies: tuple[str, ...],
    what_ifs: tuple[str, ...],
    age: bool,
    by: str | None,
    sort: str | None,
    top: int | None,
    exact: bool,
) -> int:
    """Report what TRACE says: a file of swaptrace record, with events, or with results (--summary)."""
    from swaptrace.report.command import Selection, report

    with exact_bytes(exact):
        selection = Selection(since, until, devices, policies, what_ifs, by or "", sort, top, age)
        report(trace, form, output, selection)
    return 0
