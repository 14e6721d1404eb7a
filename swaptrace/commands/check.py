"""swaptrace check"""

from __future__ import annotations

import click


@click.command("check")
def command() -> int:
    """Tell whether this kernel can be traced, and how: exit status 0 if it can, 1 if not."""
    from swaptrace.console import Console
    from swaptrace.progress import LiveLine
    from swaptrace.record.check import check, print_check

    with LiveLine("looking at this kernel ..."):
        result = check()
    print_check(result, Console())
    return 0 if result.possible else 1
