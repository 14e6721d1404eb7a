"""swaptrace selftest"""

from __future__ import annotations

import click


@click.command("selftest")
def command() -> int:
    """Swap a private workload through a spare zram device, and compare with the kernel's counters.

    Needs root. Exit status 0 if all figures are equal, 1 if not.
    """
    from rich import box
    from rich.table import Table

    from swaptrace import units
    from swaptrace.console import Console
    from swaptrace.record.selftest import selftest

    rows = selftest()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("figure", overflow="fold")
    for heading in ("swaptrace", "kernel", ""):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(row.what, units.count(row.swaptrace), units.count(row.kernel), "=" if row.equal else "DIFFERS")
    console = Console()
    console.print(table)
    passed = all(row.equal for row in rows)
    console.print("All equal: swaptrace can be trusted here." if passed else "Not all equal: please report this table.")
    return 0 if passed else 1
