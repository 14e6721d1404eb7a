"""swaptrace report"""

from __future__ import annotations

from pathlib import Path

import click

from swaptrace.commands.seconds import Seconds
from swaptrace.policies import POLICIES


@click.command("report")
@click.argument("trace", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "csv", "html"]),
    default="text",
    show_default=True,
    help="csv: what was live and stale over time, for other programs.",
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="File (text, json, csv; -: stdout) or folder (html)."
)
@click.option("--since", type=Seconds(zero=True), help="Count only from that many seconds after the start.")
@click.option("--until", type=Seconds(zero=False), help="Stop that many seconds after the start.")
@click.option(
    "--device", "devices", multiple=True, help="Only that swap area (/dev/zram0) or store (zram0); repeatable."
)
@click.option(
    "--policy", "policies", multiple=True, type=click.Choice(list(POLICIES)), help="Show only that policy; repeatable."
)
@click.option(
    "--what-if",
    "what_ifs",
    multiple=True,
    metavar="KEY=VALUE[,...]",
    help="Replay with another pool: chain=4..16, rule=least_waste|used_percent, fullness=tenths|quarters; repeatable.",
)
def command(
    trace: Path,
    form: str,
    output: Path | None,
    since: float | None,
    until: float | None,
    devices: tuple[str, ...],
    policies: tuple[str, ...],
    what_ifs: tuple[str, ...],
) -> int:
    """Report what a trace says."""
    from swaptrace.report.command import Selection, report

    report(trace, form, output, Selection(since, until, devices, policies, what_ifs))
    return 0
