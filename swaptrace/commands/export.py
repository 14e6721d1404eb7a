"""swaptrace export"""

from __future__ import annotations

from pathlib import Path

import click

from swaptrace.commands.part import part_options
from swaptrace.commands.path import NamedPath


@click.command("export")
@click.argument("recording", metavar="FILE", type=NamedPath())
@click.option(
    "--to",
    required=True,
    type=click.Choice(["parquet", "csv", "perfetto", "openmetrics"]),
    help="parquet, csv: tables. perfetto: for ui.perfetto.dev. openmetrics: figures, for Prometheus.",
)
@click.option(
    "-o",
    "--output",
    type=NamedPath(),
    help="Folder (parquet, csv) or file (perfetto, openmetrics; -: stdout).  [default: beside FILE]",
)
@click.option(
    "--what",
    multiple=True,
    type=click.Choice(["events", "lifetimes", "series", "areas"]),
    help="Only that table; repeatable.",
)
@part_options
@click.option("--force", is_flag=True, help="Overwrite what is there.")
def command(
    recording: Path,
    to: str,
    output: Path | None,
    what: tuple[str, ...],
    since: float | str | None,
    until: float | str | None,
    devices: tuple[str, ...],
    force: bool,
) -> int:
    """Write a recording in a format of other programs."""
    from swaptrace.export.command import Wanted, export
    from swaptrace.report.command import Selection

    export(recording, Wanted(to, output, what, Selection(since, until, devices), force))
    return 0
