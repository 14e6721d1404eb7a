"""swaptrace report"""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["command"]


@click.command("report")
@click.argument("trace", type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(["text", "json", "html"]), default="text", show_default=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File (text, json) or folder (html).")
@click.option("--since", type=float, help="Count only from that many seconds after the start.")
@click.option("--until", type=float, help="Stop that many seconds after the start.")
@click.option("--device", help="Only that swap area (/dev/zram0) or store (zram0).")
def command(
    trace: Path, form: str, output: Path | None, since: float | None, until: float | None, device: str | None
) -> int:
    """Report what a trace says."""
    from swaptrace.report.command import report

    report(trace, form, output, since=since, until=until, device=device)
    return 0
